//! Tokens behind PKCS#11 modules: HSMs, cloud key stores, smart cards, SoftHSM.
//!
//! Rules:
//! 1. A module is code that somebody else wrote and that runs in this process. It is loaded only where a plan or a command
//!    names it, and only from a file that nobody but root and this person can write.
//! 2. What a module says is a claim. It is read back from the token, never taken from what was asked for, and it is never
//!    called an attestation.
//! 3. A key is found by its public half, by its id, or by the label that this program gave it; never by "the first one".
//! 4. Each call that needs the PIN opens a session, logs in, and closes it. Tries are known by flags only; where the flag
//!    says that one is left, the PIN is not presented.
//! 5. Keys are generated where the module follows the specification (SoftHSM, HSMs). Modules for PIV cards do not: ykcs11
//!    asks for the management key and OpenSC generates nothing. Through them a key that is there signs.

mod key;
mod module;
mod online;
mod session;

pub use online::Pkcs11OnlineKey;

use std::collections::BTreeMap;

use trustroot_core::claim::{self, Claim, Origin};
use trustroot_core::event::TokenFacts;
use trustroot_core::key::PublicKey;
use trustroot_core::plan::TokenKind;
use trustroot_core::review::{Reviewed, Root, Targets};

use self::module::Module;
use self::session::{Slot, Sought};
use crate::seams::{
    AttestationFiles, EmptySlot, NewSecrets, Pin, Pkcs11Wanted, SlotState, Token, TokenError, TokenState, Tokens,
    Wanted,
};

/// The tokens of every module that a ceremony names.
#[derive(Default)]
pub struct Pkcs11Tokens {
    modules: BTreeMap<String, Module>,
}

/// What a module shows of one token, without a PIN.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What the token says of itself.
    pub facts: TokenFacts,
    /// Its state.
    pub state: TokenState,
}

impl Pkcs11Tokens {
    /// No module is loaded yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn module(&mut self, name: &str) -> Result<Module, TokenError> {
        if let Some(module) = self.modules.get(name) {
            return Ok(module.clone());
        }
        let module = Module::load(name)?;
        self.modules.insert(name.to_owned(), module.clone());
        Ok(module)
    }

    /// Every token that this module shows, without a PIN. One whose serial or label has no form that a record could hold is
    /// an error of its own.
    ///
    /// # Errors
    /// The module cannot be loaded, or fails.
    pub fn list(&mut self, module: &str) -> Result<Vec<Result<Shown, TokenError>>, TokenError> {
        let slots = self.module(module)?.slots()?;
        let shown = |slot: Result<Slot, TokenError>| {
            let slot = slot?;
            Ok(Shown { facts: slot.facts()?, state: slot.state()? })
        };
        Ok(slots.into_iter().map(shown).collect())
    }
}

/// A public key of a token: its id in hexadecimal, its label, and the key.
pub type PublicObject = (String, String, PublicKey);

/// What a module shows of one token and of the keys in it, without a PIN.
pub struct Inspected {
    /// The token.
    pub shown: Shown,
    /// The public keys that are seen.
    pub keys: Vec<PublicObject>,
}

impl Pkcs11Tokens {
    /// As [`Self::list`], with the public keys that each token shows without a PIN and that are of a kind that is
    /// understood.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn inspect(&mut self, module: &str) -> Result<Vec<Result<Inspected, TokenError>>, TokenError> {
        let slots = self.module(module)?.slots()?;
        let look = |slot: Result<Slot, TokenError>| {
            let slot = slot?;
            let shown = Shown { facts: slot.facts()?, state: slot.state()? };
            let keys = slot.open(false)?.public_objects()?;
            Ok(Inspected { shown, keys })
        };
        Ok(slots.into_iter().map(look).collect())
    }
}

impl Tokens for Pkcs11Tokens {
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        let Some(behind) = wanted.pkcs11.as_ref().filter(|_| wanted.kind == TokenKind::Pkcs11) else {
            return Err(TokenError::Refused(format!("the token of {} is not behind a PKCS#11 module", wanted.holder)));
        };
        let module = self.module(&behind.module)?;
        let serial = wanted.serial.as_ref().map(ToString::to_string);
        let find = || Slot::find(&module, behind.label.as_deref(), serial.as_deref());
        let slot = match find() {
            Err(TokenError::Device(_) | TokenError::Removed) => {
                module.begin_anew()?;
                find()?
            }
            found => found?,
        };
        let facts = slot.facts()?;
        Ok(Box::new(Pkcs11Token { slot, facts, behind: behind.clone() }))
    }
}

/// One token in one sitting.
struct Pkcs11Token {
    slot: Slot,
    facts: TokenFacts,
    behind: Pkcs11Wanted,
}

impl Pkcs11Token {
    fn sought(&self) -> Sought<'_> {
        match (&self.behind.known, &self.behind.id) {
            (Some(key), _) => Sought::Public(key),
            (None, Some(id)) => Sought::Id(id),
            (None, None) => Sought::Label(&self.behind.name),
        }
    }

    fn sign(&self, payload: &[u8], pin: &Pin) -> Result<Vec<u8>, TokenError> {
        let session = self.slot.log_in(pin)?;
        session.sign(self.sought(), payload, pin)
    }

    /// What the module says of the key, read after the PIN.
    fn claim_of(&self, pin: &Pin) -> Result<Claim, TokenError> {
        let session = self.slot.log_in(pin)?;
        let (public, key) = session.claimed(self.sought())?;
        let origin = if self.behind.id.is_some() { Origin::Existing } else { Origin::Generated };
        Ok(Claim {
            format: claim::FORMAT,
            fingerprint: public.fingerprint(),
            origin,
            module: self.slot.module_claim()?,
            token: self.slot.token_claim()?,
            key,
        })
    }
}

impl Token for Pkcs11Token {
    fn facts(&self) -> TokenFacts {
        self.facts.clone()
    }

    fn state(&mut self) -> Result<TokenState, TokenError> {
        self.slot.state()
    }

    fn has_pin_pad(&self) -> bool {
        self.slot.has_pin_pad()
    }

    fn pin_length(&self) -> (usize, usize) {
        self.slot.pin_length()
    }

    fn provision(&mut self, _: &NewSecrets<'_>) -> Result<(), TokenError> {
        Err(TokenError::Refused("the PIN of a PKCS#11 token is set with its own tools".to_owned()))
    }

    fn inspect(&mut self) -> Result<SlotState, TokenError> {
        let session = self.slot.open(false)?;
        match session.public(self.sought())? {
            Some(key) => Ok(SlotState::Occupied(key)),
            // A key of the record, or one that the plan names, is there or this is another token; it is never made anew.
            None if self.behind.known.is_some() || self.behind.id.is_some() => Err(TokenError::NoKey),
            None => Ok(SlotState::Empty(EmptySlot::assertion(&self.behind.name))),
        }
    }

    fn generate(&mut self, slot: EmptySlot, pin: &Pin) -> Result<PublicKey, TokenError> {
        if slot.name() != self.behind.name {
            return Err(TokenError::Device(format!("another place was inspected: {}", slot.name())));
        }
        let session = self.slot.log_in(pin)?;
        // The private half is seen only now; the label may have been given by somebody else, or in between.
        if session.holds(slot.name())? {
            return Err(TokenError::Occupied(slot.name().to_owned()));
        }
        session.generate(self.behind.algorithm, slot.name())
    }

    fn attest(&mut self) -> Result<AttestationFiles, TokenError> {
        Err(TokenError::Refused("a token behind a PKCS#11 module cannot attest its key".to_owned()))
    }

    fn claim(&mut self, pin: &Pin) -> Result<Option<Claim>, TokenError> {
        self.claim_of(pin).map(Some)
    }

    fn sign_root(&mut self, payload: &Reviewed<Root>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.sign(payload.bytes(), pin)
    }

    fn sign_targets(&mut self, payload: &Reviewed<Targets>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.sign(payload.bytes(), pin)
    }
}
