//! Virtual tokens: YubiKeys of software, for rehearsals.
//!
//! Rules:
//! 1. They refuse plans that are no rehearsal, and holders whose planned token is a real one.
//! 2. They are deterministic: keys follow from seed, serial number and generation; signatures are RFC 6979.
//! 3. Each signature presents the PIN anew. At one try left the PIN is not presented at all, so no token is blocked.
//! 4. A token that was pulled out answers nothing more; the next `open` finds it plugged in again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use trustroot_core::event::TokenFacts;
use trustroot_core::key::PublicKey;
use trustroot_core::plan::{Plan, TokenKind};
use trustroot_core::review::{Reviewed, Root, Targets};
use trustroot_core::serial::Serial;
use trustroot_core::text::Handle;

use super::certificate::{Claims, DEVICE_NAME, Issuer};
use super::derive;
use super::faults::{Fault, FaultPoint};
use super::virtual_state::{FACTORY_PIN, State, make_folder};
use crate::seams::{
    AttestationFiles, EmptySlot, NewSecrets, Pin, PinReset, SlotState, Token, TokenError, TokenState, Tokens, Wanted,
};

/// The one slot of a virtual token: PIV's digital signature slot.
const SLOT: &str = "9c";
/// The model that a virtual token names.
pub const MODEL: &str = "virtual YubiKey (REHEARSAL)";
/// The firmware that a virtual token has unless it is told otherwise.
pub const FIRMWARE: (u8, u8, u8) = (5, 7, 4);

/// The virtual tokens of a rehearsal, one for each holder.
pub struct VirtualTokens {
    seed: [u8; 32],
    folder: PathBuf,
    firmware: (u8, u8, u8),
    serials: BTreeMap<Handle, u32>,
    /// The tokens of keys that leave, which lie beside new ones.
    old: BTreeMap<Handle, u32>,
    faults: Vec<Fault>,
}

impl VirtualTokens {
    /// The tokens of the holders of `plan`, with their states in `folder`, which is made if it is not there.
    ///
    /// A token has the serial number that the plan names, else one derived from the seed and the holder's handle.
    ///
    /// # Errors
    /// [`TokenError::Refused`] unless the plan is a rehearsal, and for a fault at somebody who has no virtual token;
    /// [`TokenError::Device`] if the folder cannot be made.
    pub fn new(seed: [u8; 32], folder: &Path, plan: &Plan, faults: Vec<Fault>) -> Result<Self, TokenError> {
        if !plan.rehearsal {
            return Err(TokenError::Refused(
                "virtual tokens serve rehearsals only, and this plan is not one (`rehearsal = true` is missing)"
                    .to_owned(),
            ));
        }
        let mut serials: BTreeMap<Handle, u32> = BTreeMap::new();
        let virtual_holders = || plan.holders.iter().filter(|holder| holder.token.kind == TokenKind::Virtual);
        for holder in virtual_holders() {
            if let Some(serial) = holder.token.serial.and_then(|serial| serial.number()) {
                serials.insert(holder.handle.clone(), serial);
            }
        }
        for holder in virtual_holders().filter(|holder| holder.token.serial.is_none()) {
            let bytes = derive::bytes("serial", &[&seed, holder.handle.as_str().as_bytes()]);
            // Eight digits as on a real token; the 9 in front is far from any serial number sold.
            let mut serial = 90_000_000 + u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % 10_000_000;
            while serials.values().any(|taken| *taken == serial) {
                serial += 1;
            }
            serials.insert(holder.handle.clone(), serial);
        }
        let leaving = plan.leaving.iter().filter(|leaving| leaving.token.kind == TokenKind::Virtual);
        let old: BTreeMap<Handle, u32> =
            leaving.filter_map(|leaving| Some((leaving.handle.clone(), leaving.token.serial?.number()?))).collect();
        let known = |holder: &Handle| serials.contains_key(holder) || old.contains_key(holder);
        if let Some(fault) = faults.iter().find(|fault| !known(&fault.holder)) {
            return Err(TokenError::Refused(format!(
                "the fault {} is for {}, who has no virtual token in this plan",
                fault.at.name(),
                fault.holder
            )));
        }
        make_folder(folder)?;
        Ok(Self { seed, folder: folder.to_owned(), firmware: FIRMWARE, serials, old, faults })
    }

    /// With another firmware, which facts and attestations then name.
    #[must_use]
    pub fn with_firmware(mut self, firmware: (u8, u8, u8)) -> Self {
        self.firmware = firmware;
        self
    }

    /// The serial number of a holder's token.
    pub fn serial(&self, holder: &Handle) -> Option<u32> {
        self.serials.get(holder).copied()
    }
}

impl Tokens for VirtualTokens {
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        if wanted.kind != TokenKind::Virtual {
            return Err(TokenError::Refused(format!(
                "the plan wants a real token of {}; this one is virtual",
                wanted.holder
            )));
        }
        let old = self.old.get(&wanted.holder).copied().filter(|old| Some(Serial::from(*old)) == wanted.serial);
        let serial = old.or(self.serial(&wanted.holder)).ok_or_else(|| TokenError::Absent(wanted.holder.clone()))?;
        let state = State::load(&self.folder, &self.seed, &wanted.holder, serial)?;
        let mut token = VirtualToken {
            seed: self.seed,
            folder: self.folder.clone(),
            firmware: self.firmware,
            faults: self.faults.iter().filter(|fault| fault.holder == wanted.holder).cloned().collect(),
            plugged: true,
            state,
        };
        if token.fires(FaultPoint::Absent)? {
            return Err(TokenError::Absent(wanted.holder.clone()));
        }
        let expected = wanted.serial.unwrap_or(serial.into());
        if token.fires(FaultPoint::WrongToken)? {
            return Err(TokenError::Wrong { found: (serial ^ 1).into(), wanted: expected });
        }
        if expected != serial.into() {
            return Err(TokenError::Wrong { found: serial.into(), wanted: expected });
        }
        token.state.store(&token.folder)?;
        Ok(Box::new(token))
    }
}

/// One virtual token in one sitting.
struct VirtualToken {
    seed: [u8; 32],
    folder: PathBuf,
    firmware: (u8, u8, u8),
    faults: Vec<Fault>,
    plugged: bool,
    state: State,
}

impl VirtualToken {
    /// Whether a fault fires here now; if so, that is remembered.
    fn fires(&mut self, at: FaultPoint) -> Result<bool, TokenError> {
        let times: u32 = self.faults.iter().filter(|fault| fault.at == at).map(|fault| fault.times).sum();
        let fired = self.state.fired.get(at.name()).copied().unwrap_or(0);
        if fired >= times {
            return Ok(false);
        }
        self.state.fired.insert(at.name().to_owned(), fired + 1);
        self.state.store(&self.folder)?;
        Ok(true)
    }

    fn still_plugged(&self) -> Result<(), TokenError> {
        if self.plugged { Ok(()) } else { Err(TokenError::Removed) }
    }

    fn pulled(&mut self) -> TokenError {
        self.plugged = false;
        TokenError::Removed
    }

    /// Presents a PIN, as VERIFY does, but never on the last try.
    fn present(&mut self, pin: &[u8]) -> Result<(), TokenError> {
        if self.state.pin_tries <= 1 {
            return Err(TokenError::PinBlocked { tries: self.state.pin_tries.into(), reset: PinReset::Puk });
        }
        let taken_as_wrong = self.fires(FaultPoint::WrongPin)?;
        if taken_as_wrong || !self.state.is_pin(pin) {
            self.state.pin_tries -= 1;
            self.state.store(&self.folder)?;
            return Err(TokenError::WrongPin { tries: self.state.pin_tries.into() });
        }
        if self.state.pin_tries != super::virtual_state::TRIES {
            self.state.pin_tries = super::virtual_state::TRIES;
            self.state.store(&self.folder)?;
        }
        Ok(())
    }

    /// The key of a generation, from 1.
    fn key_of(&self, generation: u32) -> SigningKey {
        let (serial, generation) = (self.state.serial.to_be_bytes(), generation.to_be_bytes());
        derive::p256("slot key", &[&self.seed, &serial, &generation])
    }

    fn key(&self) -> Result<SigningKey, TokenError> {
        if self.state.key { Ok(self.key_of(self.state.generation)) } else { Err(TokenError::NoKey) }
    }

    fn sign(&mut self, payload: &[u8], pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.still_plugged()?;
        let key = self.key()?;
        self.present(pin.expose())?;
        if self.fires(FaultPoint::NotTouched)? {
            return Err(TokenError::NotTouched);
        }
        if self.fires(FaultPoint::PulledMidSign)? {
            return Err(self.pulled());
        }
        let signature: p256::ecdsa::Signature = key.sign(payload);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

fn public(key: &SigningKey) -> Result<PublicKey, TokenError> {
    PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes())
        .map_err(|error| TokenError::Device(error.to_string()))
}

impl Token for VirtualToken {
    fn facts(&self) -> TokenFacts {
        let (major, minor, patch) = self.firmware;
        TokenFacts {
            kind: TokenKind::Virtual,
            serial: self.state.serial.into(),
            label: None,
            model: MODEL.to_owned(),
            firmware: format!("{major}.{minor}.{patch}"),
        }
    }

    fn state(&mut self) -> Result<TokenState, TokenError> {
        self.still_plugged()?;
        Ok(TokenState {
            pin_is_default: self.state.pin_is_default,
            pin_tries: self.state.pin_tries.into(),
            puk: None,
            management_key_is_default: None,
        })
    }

    fn provision(&mut self, secrets: &NewSecrets<'_>) -> Result<(), TokenError> {
        self.still_plugged()?;
        if !self.state.pin_is_default {
            return Err(TokenError::NotFresh);
        }
        let new = secrets.pin.expose();
        // As on a YubiKey; printable ASCII only, because a PIN is counted in characters and stored in bytes.
        if !(6..=8).contains(&new.len()) || !new.iter().all(u8::is_ascii_graphic) || new == FACTORY_PIN {
            return Err(TokenError::Refused(
                "a PIN is 6 to 8 letters, digits or signs, without spaces, and not the factory's".to_owned(),
            ));
        }
        self.present(FACTORY_PIN)?;
        self.state.set_pin(new);
        self.state.store(&self.folder)
    }

    fn inspect(&mut self) -> Result<SlotState, TokenError> {
        self.still_plugged()?;
        if !self.state.key {
            return Ok(SlotState::Empty(EmptySlot::assertion(SLOT)));
        }
        Ok(SlotState::Occupied(public(&self.key()?)?))
    }

    fn generate(&mut self, slot: EmptySlot, pin: &Pin) -> Result<PublicKey, TokenError> {
        self.still_plugged()?;
        if slot.name() != SLOT {
            return Err(TokenError::Device(format!("a virtual token has the slot {SLOT} only, not {}", slot.name())));
        }
        // The right to generate may stem from another token, or from before another handle generated.
        if self.state.key {
            return Err(TokenError::Occupied(SLOT.to_owned()));
        }
        self.present(pin.expose())?;
        if self.fires(FaultPoint::PulledBeforeGenerate)? {
            return Err(self.pulled());
        }
        self.state.generation += 1;
        self.state.key = true;
        self.state.store(&self.folder)?;
        if self.fires(FaultPoint::PulledAfterGenerate)? {
            return Err(self.pulled());
        }
        public(&self.key()?)
    }

    fn attest(&mut self) -> Result<AttestationFiles, TokenError> {
        self.still_plugged()?;
        let mut key = self.key()?;
        let mut claims =
            Claims { serial: self.state.serial, firmware: self.firmware, pin: 3, touch: 2, slot: SLOT.to_owned() };
        let mut authority = Issuer::rehearsal();
        if self.fires(FaultPoint::ForgedSerial)? {
            claims.serial ^= 1;
        }
        if self.fires(FaultPoint::ForgedKey)? {
            // A generation that this token never reaches.
            key = self.key_of(u32::MAX);
        }
        if self.fires(FaultPoint::ForgedPolicy)? {
            (claims.pin, claims.touch) = (1, 1);
        }
        if self.fires(FaultPoint::ForgedSlot)? {
            claims.slot = "9a".to_owned();
        }
        if self.fires(FaultPoint::OldFirmware)? {
            claims.firmware = (5, 2, 7);
        }
        if self.fires(FaultPoint::ForgedAuthority)? {
            authority = Issuer::new(super::certificate::ANCHOR_NAME, derive::p256("forged authority", &[&self.seed]));
        }
        let device_key = derive::p256("device key", &[&self.seed, &self.state.serial.to_be_bytes()]);
        let device = Issuer::new(DEVICE_NAME, device_key);
        Ok(AttestationFiles {
            slot: device.attest(key.verifying_key(), &claims),
            device: device.certificate(&authority, 0, Some(claims.firmware)),
        })
    }

    fn sign_root(&mut self, payload: &Reviewed<Root>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.sign(payload.bytes(), pin)
    }

    fn sign_targets(&mut self, payload: &Reviewed<Targets>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.sign(payload.bytes(), pin)
    }
}
