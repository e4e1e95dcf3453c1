//! One YubiKey in one sitting, and where it is found.

use std::time::Instant;

use pcsc::Error as Pcsc;
use sha2::{Digest as _, Sha256};
use trustroot_core::event::TokenFacts;
use trustroot_core::key::PublicKey;
use trustroot_core::plan::TokenKind;
use trustroot_core::reply::certificate_in;
use trustroot_core::review::{Reviewed, Root, Targets};
use trustroot_core::slot::Slot;
use trustroot_core::text::escape;
use x509_cert::der::Encode as _;
use yubikey::piv::{self, AlgorithmId, SlotAlgorithmId, SlotId};
use yubikey::{Error, PinPolicy, TouchPolicy, YubiKey};

use super::readers::{Seen, glance, readers};
use super::{FIRST_FIRMWARE, TOO_SOON, secrets};
use crate::seams::{
    AttestationFiles, EmptySlot, Glance, NewSecrets, Pin, SlotState, Token, TokenError, TokenState, Tokens, Wanted,
};

/// The object that holds the device's own certificate, slot f9.
const DEVICE_CERTIFICATE: yubikey::ObjectId = 0x005f_ff01;

/// What an error of the library means here.
pub(super) fn trouble(error: &Error) -> TokenError {
    match error {
        Error::PcscError {
            inner:
                Some(
                    Pcsc::RemovedCard
                    | Pcsc::NoSmartcard
                    | Pcsc::ResetCard
                    | Pcsc::ReaderUnavailable
                    | Pcsc::UnknownReader
                    | Pcsc::NotTransacted
                    | Pcsc::CommDataLost
                    | Pcsc::UnpoweredCard
                    | Pcsc::UnresponsiveCard,
                ),
        } => TokenError::Removed,
        Error::PcscError { inner: Some(Pcsc::SharingViolation) } => {
            TokenError::Device("another program uses it alone".to_owned())
        }
        Error::PcscError { inner: Some(Pcsc::NoService | Pcsc::ServiceStopped) } => {
            TokenError::Device("the smart-card service stopped".to_owned())
        }
        Error::NotSupported => TokenError::Refused(format!(
            "its firmware does not say what is in its slots; {}.{}.{} is the first that does",
            FIRST_FIRMWARE.0, FIRST_FIRMWARE.1, FIRST_FIRMWARE.2
        )),
        other => TokenError::Device(escape(&other.to_string())),
    }
}

/// The YubiKeys in the readers of this machine.
#[derive(Default)]
pub struct YubikeyTokens;

impl YubikeyTokens {
    /// Opens the YubiKey with this serial; without one, the only YubiKey that answers.
    ///
    /// # Errors
    /// [`TokenError::Unready`] says what every reader says; [`TokenError::Wrong`] names the one token that is there
    /// instead.
    pub fn open_serial(&self, serial: Option<u32>) -> Result<YubikeyToken, TokenError> {
        let mut tokens = Vec::new();
        let (mut silent, mut remedy) = (Vec::new(), None);
        for reader in readers()? {
            match reader.seen {
                Seen::Token(token) => tokens.push(*token),
                Seen::Nothing { why, remedy: now } => {
                    silent.push(format!("{}: {why}", reader.name));
                    remedy = remedy.or(now);
                }
            }
        }
        let serials: Vec<u32> = tokens.iter().map(YubikeyToken::serial).collect();
        let remedy = remedy.unwrap_or("plug the token in, wait for its light, and try again").to_owned();
        let at = match serial {
            Some(wanted) => serials.iter().position(|found| *found == wanted),
            None => (serials.len() == 1).then_some(0),
        };
        match (at, serial, serials.as_slice()) {
            (Some(at), ..) => {
                let token = tokens.swap_remove(at);
                token.check_firmware()?;
                Ok(token)
            }
            (None, Some(wanted), [found]) => Err(TokenError::Wrong { found: (*found).into(), wanted: wanted.into() }),
            (None, Some(wanted), [_, _, ..]) => {
                let found = serials.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                Err(TokenError::Unready {
                    what: format!("YubiKeys {found} answer; the one wanted has serial {wanted}"),
                    remedy: "plug in the one whose serial is wanted".to_owned(),
                })
            }
            (None, None, [_, _, ..]) => {
                let found = serials.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                Err(TokenError::Unready {
                    what: format!("several YubiKeys answer: {found}"),
                    remedy: "say which one is meant by its serial, or unplug the others".to_owned(),
                })
            }
            _ if silent.is_empty() => {
                Err(TokenError::Unready { what: "no reader and no YubiKey is plugged in".to_owned(), remedy })
            }
            _ => Err(TokenError::Unready { what: format!("no YubiKey answers ({})", silent.join("; ")), remedy }),
        }
    }
}

impl Tokens for YubikeyTokens {
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        if wanted.kind != TokenKind::Yubikey {
            return Err(TokenError::Refused(format!("the token of {} is planned to be no YubiKey", wanted.holder)));
        }
        let token = self.open_serial(wanted.serial.and_then(|serial| serial.number()))?;
        Ok(Box::new(token.with_key_in(wanted.slot)))
    }

    fn glance(&mut self, wanted: &Wanted) -> Option<Glance> {
        (wanted.kind == TokenKind::Yubikey).then(glance)
    }
}

/// A slot that is not empty.
pub struct Occupied {
    /// Its name, such as `9c`.
    pub slot: String,
    /// The kind of key.
    pub algorithm: String,
    /// Whether it was generated in the token; nothing where the token does not say.
    pub generated: Option<bool>,
    /// The key, where it is of a kind that is understood.
    pub key: Option<PublicKey>,
}

/// One YubiKey in one sitting. Dropping it drops every login and leaves the card otherwise as it is.
pub struct YubikeyToken {
    /// There until it is dropped.
    handle: Option<YubiKey>,
    /// Where its key is, or gets.
    slot: Slot,
}

impl From<YubiKey> for YubikeyToken {
    fn from(handle: YubiKey) -> Self {
        Self { handle: Some(handle), slot: Slot::SIGNATURE }
    }
}

impl Drop for YubikeyToken {
    fn drop(&mut self) {
        let Some(mut handle) = self.handle.take() else { return };
        // Selecting another applet ends PIN and management logins without a reset, which other programs would notice. If
        // that fails the handle is dropped as it is, which resets the card: a login must not stay.
        if handle.deauthenticate().is_ok() {
            let _ = handle.disconnect(pcsc::Disposition::LeaveCard);
        }
    }
}

impl YubikeyToken {
    fn yubikey(&mut self) -> Result<&mut YubiKey, TokenError> {
        self.handle.as_mut().ok_or(TokenError::Removed)
    }

    /// The serial.
    pub fn serial(&self) -> u32 {
        self.handle.as_ref().map_or(0, |handle| handle.serial().0)
    }

    /// The same token, with the key in this slot instead of 9c.
    #[must_use]
    pub fn with_key_in(mut self, slot: Slot) -> Self {
        self.slot = slot;
        self
    }

    fn firmware(&self) -> (u8, u8, u8) {
        self.handle.as_ref().map_or((0, 0, 0), |handle| {
            let version = handle.version();
            (version.major, version.minor, version.patch)
        })
    }

    fn check_firmware(&self) -> Result<(), TokenError> {
        if self.firmware() < FIRST_FIRMWARE { Err(trouble(&Error::NotSupported)) } else { Ok(()) }
    }

    /// The key in a slot; nothing if it is empty.
    fn occupied(&mut self, slot: Slot) -> Result<Option<Occupied>, TokenError> {
        let read = match piv::metadata(self.yubikey()?, id(slot)?) {
            Ok(read) => read,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(trouble(&error)),
        };
        let der = read.public.as_ref().and_then(|public| public.to_der().ok());
        Ok(Some(Occupied {
            slot: slot.to_string(),
            algorithm: match read.algorithm {
                SlotAlgorithmId::Asymmetric(algorithm) => format!("{algorithm:?}"),
                _ => "unknown".to_owned(),
            },
            generated: read.origin.map(|origin| matches!(origin, piv::Origin::Generated)),
            key: der.and_then(|der| PublicKey::from_spki_der(&der).ok()),
        }))
    }

    /// Does something with the token. An answer without a status is what some drivers make of a token that is gone, and the
    /// library then says whatever it says of a status that it does not know; a look tells.
    fn with<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let done = act(self);
        if !matches!(done, Err(TokenError::Device(_) | TokenError::Refused(_))) {
            return done;
        }
        match self.handle.as_mut().map(|token| piv::metadata(token, SlotId::Signature)) {
            Some(Err(gone @ Error::PcscError { .. })) => Err(trouble(&gone)),
            Some(Err(Error::GenericError)) => Err(TokenError::Removed),
            _ => done,
        }
    }

    /// Generates in the signing slot, once more seen to be empty.
    fn make_key(&mut self, pin: &Pin) -> Result<PublicKey, TokenError> {
        secrets::log_in(self.yubikey()?, pin.expose())?;
        // The right to generate may stem from another token, or from before another program generated.
        if let Some(found) = self.occupied(self.slot)? {
            return Err(TokenError::Occupied(found.slot));
        }
        let slot = id(self.slot)?;
        let token = self.yubikey()?;
        let made = piv::generate(token, slot, AlgorithmId::EccP256, PinPolicy::Always, TouchPolicy::Always)
            .map_err(|error| trouble(&error))?;
        let der = made.to_der().map_err(|error| TokenError::Device(escape(&error.to_string())))?;
        PublicKey::from_spki_der(&der).map_err(|error| TokenError::Device(error.to_string()))
    }

    fn attestation(&mut self) -> Result<AttestationFiles, TokenError> {
        if self.occupied(self.slot)?.is_none() {
            return Err(TokenError::NoKey);
        }
        let slot = id(self.slot)?;
        let token = self.yubikey()?;
        let slot = piv::attest(token, slot).map_err(|error| match error {
            Error::GenericError | Error::NotSupported => {
                TokenError::Refused("the token does not attest this key: it was imported, or f9 is gone".to_owned())
            }
            other => trouble(&other),
        })?;
        let device = token.fetch_object(DEVICE_CERTIFICATE).map_err(|error| match error {
            Error::NotFound => TokenError::Refused("the token has no device certificate in slot f9".to_owned()),
            other => trouble(&other),
        })?;
        let device = certificate_in(&device)
            .ok_or_else(|| TokenError::Device("what lies in slot f9 is no certificate".to_owned()))?;
        Ok(AttestationFiles { slot: slot.to_vec(), device: device.to_vec() })
    }

    fn sign(&mut self, payload: &[u8], pin: &Pin) -> Result<Vec<u8>, TokenError> {
        let digest = Sha256::digest(payload);
        let slot = id(self.slot)?;
        let token = self.yubikey()?;
        secrets::present(token, pin.expose())?;
        let begun = Instant::now();
        match piv::sign_data(token, &digest, AlgorithmId::EccP256, slot) {
            Ok(signature) => Ok(signature.to_vec()),
            // One status for two causes. The PIN was taken a moment ago, so it is the touch, unless the answer came at
            // once: then another program used up the login in between.
            Err(Error::AuthenticationError) if begun.elapsed() >= TOO_SOON => Err(TokenError::NotTouched),
            Err(Error::AuthenticationError) => Err(TokenError::Device(
                "it refused to sign at once; another program may have used it in between".to_owned(),
            )),
            Err(error) => Err(trouble(&error)),
        }
    }
}

/// The slot as the library calls it.
fn id(slot: Slot) -> Result<SlotId, TokenError> {
    slot.to_string().parse().map_err(|error: Error| trouble(&error))
}

/// Every slot that is not empty, f9 aside, which the vendor filled.
///
/// # Errors
/// See [`TokenError`].
pub fn slots(token: &mut YubikeyToken) -> Result<Vec<Occupied>, TokenError> {
    let mut found = Vec::new();
    for slot in Slot::all() {
        found.extend(token.occupied(slot)?);
    }
    Ok(found)
}

impl Token for YubikeyToken {
    fn facts(&self) -> TokenFacts {
        let (major, minor, patch) = self.firmware();
        TokenFacts {
            kind: TokenKind::Yubikey,
            serial: self.serial().into(),
            label: None,
            model: format!("YubiKey {major}"),
            firmware: format!("{major}.{minor}.{patch}"),
        }
    }

    fn state(&mut self) -> Result<TokenState, TokenError> {
        self.with(|token| secrets::state(token.yubikey()?))
    }

    fn has_puk(&self) -> bool {
        true
    }

    fn provision(&mut self, new: &NewSecrets<'_>) -> Result<(), TokenError> {
        self.with(|token| secrets::provision(token.yubikey()?, new))
    }

    fn unblock(&mut self, puk: &Pin, new: &Pin) -> Result<(), TokenError> {
        self.with(|token| secrets::unblock(token.yubikey()?, puk.expose(), new.expose()))
    }

    fn reset(&mut self) -> Result<(), TokenError> {
        self.with(|token| secrets::reset(token.yubikey()?))
    }

    fn inspect(&mut self) -> Result<SlotState, TokenError> {
        match self.with(|token| token.occupied(token.slot))? {
            None => Ok(SlotState::Empty(EmptySlot::assertion(&self.slot.to_string()))),
            Some(Occupied { key: Some(key), .. }) => Ok(SlotState::Occupied(key)),
            Some(Occupied { key: None, slot, .. }) => Err(TokenError::Occupied(slot)),
        }
    }

    fn generate(&mut self, slot: EmptySlot, pin: &Pin) -> Result<PublicKey, TokenError> {
        if slot.name() != self.slot.to_string() {
            let what = format!("the key is to be generated in {}, not in {}", self.slot, slot.name());
            return Err(TokenError::Refused(what));
        }
        self.with(|token| token.make_key(pin))
    }

    fn attest(&mut self) -> Result<AttestationFiles, TokenError> {
        self.with(Self::attestation)
    }

    fn sign_root(&mut self, payload: &Reviewed<Root>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.with(|token| token.sign(payload.bytes(), pin))
    }

    fn sign_targets(&mut self, payload: &Reviewed<Targets>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.with(|token| token.sign(payload.bytes(), pin))
    }
}
