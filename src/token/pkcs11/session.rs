//! Slots and sessions: which token, how many tries, logged in or not; and the module's errors in our words.

use pkcs11::context::Function;
use pkcs11::error::{Error, RvError};
use pkcs11::session::{Session as Open, UserType};
use pkcs11::slot::{Slot as SlotId, TokenInfo};
use pkcs11::types::{AuthPin, Version};
use trustroot_core::claim;
use trustroot_core::event::TokenFacts;
use trustroot_core::key::PublicKey;
use trustroot_core::plan::TokenKind;
use trustroot_core::serial::Serial;
use trustroot_core::text::escape;

use super::module::Module;
use crate::seams::{Pin, PinReset, TokenError, TokenState, Tries};

/// The longest PIN that is asked for, in bytes, whatever a module says.
const MAX_PIN: usize = 255;

/// Which key is meant.
#[derive(Clone, Copy)]
pub(super) enum Sought<'a> {
    /// The one with this public half.
    Public(&'a PublicKey),
    /// The one with this `CKA_ID`, hexadecimal.
    Id(&'a str),
    /// The one with this `CKA_LABEL`.
    Label(&'a str),
}

/// A slot with a token in it.
pub(super) struct Slot {
    module: Module,
    id: SlotId,
    info: TokenInfo,
}

/// A session with a token, which ends when it is dropped.
pub(super) struct Session<'a> {
    pub(super) open: Open,
    pub(super) slot: &'a Slot,
}

impl Slot {
    pub(super) fn new(module: Module, id: SlotId) -> Result<Self, TokenError> {
        let info = module.library.get_token_info(id).map_err(|error| failed(&error))?;
        Ok(Self { module, id, info })
    }

    pub(super) fn is_initialised(&self) -> bool {
        self.info.token_initialized()
    }

    /// The one token with this label and serial.
    pub(super) fn find(module: &Module, label: Option<&str>, serial: Option<&str>) -> Result<Self, TokenError> {
        let (mut slots, mut broken) = (Vec::new(), None);
        for slot in module.slots()? {
            match slot {
                Ok(slot) => slots.push(slot),
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        let all = slots.iter().map(Slot::shown).collect::<Vec<_>>().join("; ");
        slots.retain(|slot| {
            label.is_none_or(|label| slot.info.label() == label)
                && serial.is_none_or(|serial| slot.info.serial_number() == serial)
        });
        let wanted = [label.map(|label| format!("label \"{label}\"")), serial.map(|serial| format!("serial {serial}"))];
        let wanted = wanted.into_iter().flatten().collect::<Vec<_>>().join(" and ");
        let path = module.path.display();
        match slots.len() {
            1 => slots.pop().ok_or(TokenError::Removed),
            0 => {
                let all = if all.is_empty() { "no token at all".to_owned() } else { all };
                let what = format!("{path} shows no token with {wanted}; it shows {all}");
                if let Some(error) = broken {
                    return Err(TokenError::Device(escape(&format!("{what}, and one that cannot be used ({error})"))));
                }
                let remedy = "plug the token in, or mend label and serial in the plan, and try again";
                Err(TokenError::Unready { what: escape(&what), remedy: remedy.to_owned() })
            }
            count => {
                let what = format!("{path} shows {count} tokens with {wanted}: {all}");
                let remedy = "unplug the others, or name the serial in the plan";
                Err(TokenError::Unready { what: escape(&what), remedy: remedy.to_owned() })
            }
        }
    }

    fn shown(&self) -> String {
        format!("\"{}\", serial {}", self.info.label(), self.info.serial_number())
    }

    /// What the token says of itself, in the form of a record.
    pub(super) fn facts(&self) -> Result<TokenFacts, TokenError> {
        let info = &self.info;
        let serial = self.serial()?;
        Ok(TokenFacts {
            kind: TokenKind::Pkcs11,
            serial,
            model: info.model().to_owned(),
            firmware: version(info.firmware_version()),
            label: Some(info.label().to_owned()),
        })
    }

    fn serial(&self) -> Result<Serial, TokenError> {
        Serial::text(self.info.serial_number()).map_err(|fault| {
            TokenError::Refused(format!("the module gives the token the serial \"{}\", and {fault}", {
                escape(self.info.serial_number())
            }))
        })
    }

    /// The state now, read anew.
    pub(super) fn state(&self) -> Result<TokenState, TokenError> {
        let info = self.module.library.get_token_info(self.id).map_err(|error| failed(&error))?;
        if !info.user_pin_initialized() {
            let what = "the token has no PIN yet; set one with its own tools";
            return Err(TokenError::Refused(what.to_owned()));
        }
        let tries = tries(info.user_pin_count_low(), info.user_pin_final_try(), info.user_pin_locked());
        Ok(TokenState { pin_is_default: false, pin_tries: tries, puk: None, management_key_is_default: None })
    }

    pub(super) fn has_pin_pad(&self) -> bool {
        self.info.protected_authentication_path()
    }

    pub(super) fn pin_length(&self) -> (usize, usize) {
        let most = match self.info.max_pin_length() {
            0 => MAX_PIN,
            most => most.min(MAX_PIN),
        };
        (self.info.min_pin_length().clamp(1, most), most)
    }

    /// A session without a PIN.
    pub(super) fn open(&self, write: bool) -> Result<Session<'_>, TokenError> {
        let library = &self.module.library;
        let open = if write { library.open_rw_session(self.id) } else { library.open_ro_session(self.id) };
        let session = Session { open: open.map_err(|error| failed(&error))?, slot: self };
        // Slots are numbers that may be given to another token after one was pulled out.
        let now = library.get_token_info(self.id).map_err(|error| failed(&error))?;
        if (now.serial_number(), now.label()) != (self.info.serial_number(), self.info.label()) {
            return Err(TokenError::Removed);
        }
        Ok(session)
    }

    /// A session after the PIN. The last try is never spent.
    pub(super) fn log_in(&self, pin: &Pin) -> Result<Session<'_>, TokenError> {
        let state = self.state()?;
        if !state.pin_tries.may_try() {
            return Err(blocked(state.pin_tries));
        }
        // Some tokens take no read-only session for a login, and generating needs one that writes.
        let session = self.open(!self.info.write_protected())?;
        session.present(UserType::User, pin)?;
        Ok(session)
    }

    pub(super) fn module_claim(&self) -> Result<claim::Module, TokenError> {
        let info = self.module.library.get_library_info().map_err(|error| failed(&error))?;
        Ok(claim::Module {
            description: info.library_description().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            version: version(info.library_version()),
            cryptoki: version(info.cryptoki_version()),
        })
    }

    pub(super) fn token_claim(&self) -> Result<claim::Token, TokenError> {
        let info = &self.info;
        Ok(claim::Token {
            label: info.label().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            serial: self.serial()?,
            firmware: version(info.firmware_version()),
            hardware: version(info.hardware_version()),
        })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // Closing the last session logs out by the specification (5.6); this is for modules that forget to. Where nobody was
        // logged in it is an error, which says nothing new.
        let _ = self.open.logout();
    }
}

impl Session<'_> {
    /// Presents the PIN, or lets the token's own pad ask for it.
    pub(super) fn present(&self, user: UserType, pin: &Pin) -> Result<(), TokenError> {
        let given = if self.slot.has_pin_pad() {
            None
        } else {
            let text = std::str::from_utf8(pin.expose()).map_err(|_| self.wrong_pin())?;
            // A box of just this size: nothing is left behind when it is taken over, and it is wiped when dropped.
            Some(AuthPin::from(Box::<str>::from(text)))
        };
        let mut made = self.open.login(user, given.as_ref());
        if matches!((&user, &made), (UserType::User, Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)))) {
            // Some module kept a login that was closed; a PIN that was not looked at must not pass for the right one.
            self.open.logout().map_err(|error| failed(&error))?;
            made = self.open.login(user, given.as_ref());
        }
        match made {
            Ok(()) => Ok(()),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                Err(self.wrong_pin())
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(blocked(Tries::Left(0))),
            Err(Error::Pkcs11(RvError::PinExpired, _)) => {
                let what = "the PIN has expired; set a new one with the token's own tools";
                Err(TokenError::Refused(what.to_owned()))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn wrong_pin(&self) -> TokenError {
        let tries = self.slot.state().map_or(Tries::Low, |state| state.pin_tries);
        match tries {
            Tries::Left(0) => blocked(tries),
            tries => TokenError::WrongPin { tries },
        }
    }
}

/// The PIN is blocked, or nearly; whoever initialised the token sets a new one.
pub(super) fn blocked(tries: Tries) -> TokenError {
    TokenError::PinBlocked { tries, reset: PinReset::Officer }
}

/// Tries of the PIN by the flags of a token: one was wrong, one is left, none is left.
fn tries(low: bool, last: bool, locked: bool) -> Tries {
    match (locked, last, low) {
        (true, _, _) => Tries::Left(0),
        (false, true, _) => Tries::Left(1),
        (false, false, true) => Tries::Low,
        (false, false, false) => Tries::Untold,
    }
}

fn version(version: Version) -> String {
    format!("{}.{}", version.major(), version.minor())
}

/// A module's error as one of ours.
pub(super) fn failed(error: &Error) -> TokenError {
    match error {
        Error::Pkcs11(
            RvError::TokenNotPresent
            | RvError::DeviceRemoved
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::SlotIdInvalid
            | RvError::TokenNotRecognized,
            _,
        ) => TokenError::Removed,
        Error::Pkcs11(RvError::FunctionCanceled, Function::Login) => {
            TokenError::Refused("nothing was typed on the token's pad".to_owned())
        }
        Error::Pkcs11(error, function) => TokenError::Device(format!("C_{function:?} answered {error:?}")),
        error => TokenError::Device(escape(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_is_known_by_its_flag() {
        assert_eq!(tries(false, false, false), Tries::Untold);
        assert_eq!(tries(true, false, false), Tries::Low);
        assert_eq!(tries(true, true, false), Tries::Left(1));
        assert_eq!(tries(false, true, false), Tries::Left(1));
        assert_eq!(tries(true, true, true), Tries::Left(0));
        assert_eq!(tries(false, false, true), Tries::Left(0));
        assert!(tries(false, false, false).may_try() && tries(true, false, false).may_try());
        assert!(!tries(true, true, false).may_try() && !tries(false, false, true).may_try());
    }

    #[test]
    fn a_token_that_is_gone_is_told_from_one_that_fails() {
        let of = |error| failed(&Error::Pkcs11(error, Function::Sign));
        assert!(matches!(of(RvError::TokenNotPresent), TokenError::Removed));
        assert!(matches!(of(RvError::DeviceRemoved), TokenError::Removed));
        assert!(matches!(of(RvError::SessionHandleInvalid), TokenError::Removed));
        assert_eq!(of(RvError::DeviceError).to_string(), "the token failed: C_Sign answered DeviceError");
    }
}
