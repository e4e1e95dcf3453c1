//! Signing tokens: where they are found, what can be asked of one, and what may go wrong.

use std::collections::BTreeMap;

use trustroot_core::claim::Claim;
use trustroot_core::event::TokenFacts;
use trustroot_core::key::PublicKey;
use trustroot_core::plan::KeyKind;
use trustroot_core::review::Reviewed;
use trustroot_core::serial::Serial;
use trustroot_core::slot::Slot;
use trustroot_core::text::Handle;

use super::Pin;

/// The place where tokens are found.
pub trait Tokens {
    /// Opens the token that `wanted` describes. The caller has asked for it to be plugged in.
    ///
    /// # Errors
    /// [`TokenError::Absent`] and [`TokenError::Wrong`] name what was found instead.
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError>;

    /// What can be seen of the places for such a token without touching one: when it changes, [`Self::open`] may find
    /// another. Nothing where no place can be watched.
    fn glance(&mut self, wanted: &Wanted) -> Option<Glance> {
        let _ = wanted;
        None
    }
}

/// The places for tokens as they look from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// By name: whether something is in it, and how often that changed.
    pub places: BTreeMap<String, (bool, u32)>,
}

impl Glance {
    /// In how many places something is.
    pub fn occupied(&self) -> usize {
        self.places.values().filter(|(is_occupied, _)| *is_occupied).count()
    }
}

/// The token that is looked for: whose it is, what the plan says of it, and what the record already knows.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose.
    pub holder: Handle,
    /// The kind in the plan.
    pub kind: trustroot_core::plan::TokenKind,
    /// The serial, where the plan or the record names one.
    pub serial: Option<Serial>,
    /// The slot of the key, on a token that has slots.
    pub slot: Slot,
    /// What else is known of a token behind a PKCS#11 module.
    pub pkcs11: Option<Pkcs11Wanted>,
}

/// What is known of a token behind a PKCS#11 module, and of its key.
#[derive(Clone, Debug)]
pub struct Pkcs11Wanted {
    /// The library by absolute path, or its name in the configuration of p11-kit.
    pub module: String,
    /// The label of the token, where the plan names one.
    pub label: Option<String>,
    /// The kind of key.
    pub algorithm: KeyKind,
    /// The id (hexadecimal) of a key that was made before, where the plan names one.
    pub id: Option<String>,
    /// The label of a key that the ceremony generates.
    pub name: String,
    /// The key of the record, once there is one.
    pub known: Option<PublicKey>,
}

/// A signing token. A handle is held for one sitting and dropped after it.
pub trait Token {
    /// What the token says of itself.
    fn facts(&self) -> TokenFacts;

    /// Tries left and factory defaults, read without spending a try.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn state(&mut self) -> Result<TokenState, TokenError>;

    /// Whether a PUK is chosen besides the PIN.
    fn has_puk(&self) -> bool {
        false
    }

    /// Replaces the factory PIN, PUK and management key, each proved before the next is touched. A management key is made
    /// by the token's own layer and kept under the PIN. What an earlier, interrupted run replaced already is proved with
    /// the secrets given, and left.
    ///
    /// # Errors
    /// [`TokenError::NotFresh`] for a token whose PIN is not the factory's and is not the one given.
    fn provision(&mut self, secrets: &NewSecrets<'_>) -> Result<(), TokenError>;

    /// Sets a new PIN with the PUK, for a PIN that is blocked or forgotten. The last try of the PUK is never spent.
    ///
    /// # Errors
    /// [`TokenError::WrongPuk`] and [`TokenError::PukBlocked`]; [`TokenError::Refused`] where there is no PUK.
    fn unblock(&mut self, puk: &Pin, new: &Pin) -> Result<(), TokenError> {
        let (_, _) = (puk, new);
        Err(TokenError::Refused("this token has no PUK".to_owned()))
    }

    /// Brings the token back to what it was when it left the factory: every key and secret in it is gone. Whoever calls
    /// this has the holder's consent, and has seen that none of its keys is in a current root.
    ///
    /// # Errors
    /// [`TokenError::Refused`] where that cannot be done from here.
    fn reset(&mut self) -> Result<(), TokenError> {
        Err(TokenError::Refused("this token cannot be reset from here".to_owned()))
    }

    /// Looks into the signing slot.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn inspect(&mut self) -> Result<SlotState, TokenError>;

    /// Whether the PIN is typed on the token itself. The PIN that is handed in is empty then, and not used.
    fn has_pin_pad(&self) -> bool {
        false
    }

    /// The shortest and the longest PIN, in bytes; by default a YubiKey's.
    fn pin_length(&self) -> (usize, usize) {
        (6, 8)
    }

    /// Generates a key in a slot that [`Self::inspect`] found empty. Irreversible.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn generate(&mut self, slot: EmptySlot, pin: &Pin) -> Result<PublicKey, TokenError>;

    /// The attestation of the key in the signing slot, and the certificate of the device that made it, both in DER.
    /// Nothing is verified here.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn attest(&mut self) -> Result<AttestationFiles, TokenError>;

    /// What the module behind which a token lies says of the key, where the token cannot attest; nothing from one that can.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn claim(&mut self, pin: &Pin) -> Result<Option<Claim>, TokenError> {
        let _ = pin;
        Ok(None)
    }

    /// Signs a root payload that was reviewed. ECDSA signatures are DER.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn sign_root(&mut self, payload: &Reviewed<trustroot_core::review::Root>, pin: &Pin)
    -> Result<Vec<u8>, TokenError>;

    /// Signs a targets payload that was reviewed.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn sign_targets(
        &mut self,
        payload: &Reviewed<trustroot_core::review::Targets>,
        pin: &Pin,
    ) -> Result<Vec<u8>, TokenError>;
}

/// The secrets that take the place of the factory's.
#[derive(Clone, Copy)]
pub struct NewSecrets<'a> {
    /// The PIN.
    pub pin: &'a Pin,
    /// The PUK, where [`Token::has_puk`].
    pub puk: Option<&'a Pin>,
}

/// What can be known of a token without spending a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// Whether the PIN is the factory's.
    pub pin_is_default: bool,
    /// Tries of the PIN that are left.
    pub pin_tries: Tries,
    /// The PUK, where there is one: whether it is the factory's, and its tries left.
    pub puk: Option<(bool, u8)>,
    /// Whether the management key is the factory's, where there is one.
    pub management_key_is_default: Option<bool>,
}

impl TokenState {
    /// Whether a secret of the factory is left.
    pub fn has_factory_secrets(&self) -> bool {
        self.pin_is_default
            || self.puk.is_some_and(|(default, _)| default)
            || self.management_key_is_default == Some(true)
    }
}

/// Tries of a secret that are left, as far as a token tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// So many.
    Left(u8),
    /// The token does not tell; none was wrong since the last right one.
    Untold,
    /// The token does not tell; at least one was wrong since the last right one.
    Low,
}

impl Tries {
    /// Whether a secret may be presented: the last try is never spent here.
    pub fn may_try(self) -> bool {
        !matches!(self, Self::Left(0 | 1))
    }
}

impl From<u8> for Tries {
    fn from(left: u8) -> Self {
        Self::Left(left)
    }
}

impl std::fmt::Display for Tries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Left(left) => write!(f, "{left}"),
            Self::Untold => f.write_str("not told by this token"),
            Self::Low => f.write_str("not told by this token, and fewer than all"),
        }
    }
}

/// Who sets a new PIN when a token takes no more tries of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinReset {
    /// The holder, with the PUK.
    Puk,
    /// The token's security officer (PKCS#11, `C_InitPIN`).
    Officer,
}

/// What is in the signing slot.
pub enum SlotState {
    /// Nothing; here is the right to generate.
    Empty(EmptySlot),
    /// A key.
    Occupied(PublicKey),
}

/// The right to generate into the signing slot. Token back-ends make it when inspection finds the slot empty, and
/// `generate` consumes it, so overwriting a key cannot be written.
#[derive(Debug)]
pub struct EmptySlot {
    name: String,
}

impl EmptySlot {
    /// For token back-ends: the slot called `name` was inspected and found empty.
    pub fn assertion(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// The name of the slot, such as `9c`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// An attestation as the token gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationFiles {
    /// The attestation certificate of the signing slot, DER.
    pub slot: Vec<u8>,
    /// The device's own attestation certificate (slot f9), DER.
    pub device: Vec<u8>,
}

/// What went wrong at a token. The texts are shown to the holder; each has a remedy in [`TokenError::hint`].
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No token answers.
    #[error("no token answers for {0}")]
    Absent(Handle),
    /// No reader holds the token that is wanted: why, reader by reader, and what to do on this system.
    #[error("{what}")]
    Unready {
        /// What every reader says, one line.
        what: String,
        /// What to do now.
        remedy: String,
    },
    /// Another token than the one wanted.
    #[error("this is the token with serial {found}; the one wanted has serial {wanted}")]
    Wrong {
        /// What was found.
        found: Serial,
        /// What was wanted.
        wanted: Serial,
    },
    /// The PIN was wrong.
    #[error("wrong PIN; tries left: {tries}")]
    WrongPin {
        /// What is left.
        tries: Tries,
    },
    /// The PIN is blocked, or one more wrong PIN would block it.
    #[error("no more tries of the PIN are spent here; tries left: {tries}")]
    PinBlocked {
        /// What is left.
        tries: Tries,
        /// Who sets a new one.
        reset: PinReset,
    },
    /// The PUK was wrong.
    #[error("wrong PUK; tries left: {tries}")]
    WrongPuk {
        /// What is left.
        tries: u8,
    },
    /// The PUK is blocked, or one more wrong PUK would block it.
    #[error("no more tries of the PUK are spent here; tries left: {tries}")]
    PukBlocked {
        /// What is left.
        tries: u8,
    },
    /// The token was pulled out.
    #[error("the token was pulled out before it answered")]
    Removed,
    /// Nobody touched the token in time.
    #[error("the token was not touched in time")]
    NotTouched,
    /// The token is not in factory state.
    #[error("the token is not fresh: its PIN was changed before")]
    NotFresh,
    /// The slot holds a key already.
    #[error("the slot {0} holds a key already")]
    Occupied(String),
    /// The slot is empty where a key was expected.
    #[error("the slot holds no key")]
    NoKey,
    /// The back-end refuses, for the reason given.
    #[error("{0}")]
    Refused(String),
    /// The device or its driver failed.
    #[error("the token failed: {0}")]
    Device(String),
}

impl TokenError {
    /// What to do now.
    pub fn hint(&self) -> &str {
        match self {
            Self::Unready { remedy, .. } => remedy,
            Self::Absent(_) => "plug the token in, wait for its light, and try again",
            Self::Wrong { .. } => "unplug this token and plug in the one whose serial is wanted",
            Self::WrongPin { .. } => "type the PIN again, slowly; the last try is never spent here",
            Self::PinBlocked { reset: PinReset::Puk, .. } => {
                "set a new PIN with the PUK (`trustroot token unblock`), or leave this token out"
            }
            Self::PinBlocked { reset: PinReset::Officer, .. } => {
                "its security officer sets a new PIN (pkcs11-tool --module LIBRARY --token-label LABEL --login \
                 --login-type so --init-pin; for a YubiKey: `trustroot token unblock`), or leave this token out"
            }
            Self::WrongPuk { .. } => "type the PUK again, slowly; its last try is never spent here",
            Self::PukBlocked { .. } => {
                "without PIN and PUK the token can only be reset, which destroys its keys; leave it out"
            }
            Self::Removed => "plug it in again and repeat the step; nothing was signed unless the record says so",
            Self::NotTouched => "try again, and touch the token when its light blinks",
            Self::NotFresh => "use a fresh token, or reset this one if none of its keys is in a root",
            Self::Occupied(_) => "use an empty token; a key is never overwritten",
            Self::NoKey => "this is not the token whose key was recorded; plug that one in",
            Self::Refused(_) => "read the reason, mend it in the plan or bring another token",
            Self::Device(_) => "unplug the token, plug it in again, and repeat the step",
        }
    }
}
