//! Every reader, and why one holds no YubiKey that answers.
//!
//! Rules:
//! 1. A look disturbs nobody: a card of another kind is known by its answer to reset, which the service has, and is not
//!    spoken to; a YubiKey without PIV is asked for it once and left. Neither is reset, whoever uses it.
//! 2. Each reason has its own words, and what to do about it on this system.

use std::ffi::CString;
use std::time::Duration;

use pcsc::{Context, Disposition, Error as Pcsc, Protocols, ReaderState, Scope, ShareMode, State};
use trustroot_core::text::escape;
use yubikey::Error;

use super::yubikey_token::YubikeyToken;
use crate::seams::{Glance, TokenError};

/// A reader, and what was seen in it.
pub struct Reader {
    /// Its name, escaped.
    pub name: String,
    /// What was seen.
    pub seen: Seen,
}

/// What was seen in a reader.
pub enum Seen {
    /// A YubiKey that answers. Dropping it leaves the card as it is.
    Token(Box<YubikeyToken>),
    /// Nothing that can be used, and why.
    Nothing {
        /// Why, in a few words.
        why: String,
        /// What to do on this system, where something can be done.
        remedy: Option<&'static str>,
    },
}

/// Looks into every reader. A card that is shared with another program is selected and left, never reset.
///
/// # Errors
/// [`TokenError::Unready`] where no reader can be listed: the service does not run, or refuses this user.
pub fn readers() -> Result<Vec<Reader>, TokenError> {
    let mut context = match yubikey::reader::Context::open() {
        Ok(context) => context,
        Err(error) => return none_or(&error),
    };
    let found = match context.iter() {
        Ok(found) => found,
        Err(error) => return none_or(&error),
    };
    let service = Context::establish(Scope::User).map_err(Error::from);
    let service = match &service {
        Ok(service) => service,
        Err(error) => return none_or(error),
    };
    let look = |reader: yubikey::reader::Reader<'_>| {
        let name = reader.name().into_owned();
        let seen = match is_yubikey(service, &name).and_then(|()| reader.open()) {
            Ok(token) => Seen::Token(Box::new(YubikeyToken::from(token))),
            Err(error) => why(&name, &error),
        };
        Reader { name: escape(&name), seen }
    };
    Ok(found.map(look).collect())
}

/// Which readers there are and whether something is in them, without a word to what is. Where the service does not run,
/// there are none.
pub(super) fn glance() -> Glance {
    let states = || -> Result<_, Pcsc> {
        let context = Context::establish(Scope::User)?;
        let state = |name| ReaderState::new(name, State::UNAWARE);
        let mut states: Vec<ReaderState> = context.list_readers_owned()?.into_iter().map(state).collect();
        context.get_status_change(Duration::ZERO, &mut states)?;
        Ok(states)
    };
    let place = |state: &ReaderState| {
        let name = escape(&state.name().to_string_lossy());
        (name, (state.event_state().contains(State::PRESENT), state.event_count()))
    };
    Glance { places: states().unwrap_or_default().iter().map(place).collect() }
}

/// Finds out whether the card in a reader is a YubiKey with PIV. The library would reset a card that is none.
fn is_yubikey(service: &Context, reader: &str) -> Result<(), Error> {
    let name = CString::new(reader).map_err(|_| Pcsc::UnknownReader)?;
    let mut states = [ReaderState::new(name.clone(), State::UNAWARE)];
    service.get_status_change(Duration::ZERO, &mut states)?;
    let [state] = &states;
    let event = state.event_state();
    if !event.contains(State::PRESENT) {
        return Err(Pcsc::NoSmartcard.into());
    }
    if event.contains(State::MUTE) {
        return Err(Pcsc::UnresponsiveCard.into());
    }
    if event.contains(State::EXCLUSIVE) {
        return Err(Pcsc::SharingViolation.into());
    }
    // Every YubiKey says its name there, over USB and NFC.
    if !state.atr().to_ascii_lowercase().windows(7).any(|window| window == b"yubikey") {
        return Err(Pcsc::ProtoMismatch.into());
    }
    let card = service.connect(&name, ShareMode::Shared, Protocols::T1)?;
    let mut answer = [0; pcsc::MAX_BUFFER_SIZE];
    let has_piv = card.transmit(SELECT_PIV, &mut answer).map(|answer| answer.ends_with(&[0x90, 0x00]));
    // What a handle that is dropped would do is a reset.
    card.disconnect(Disposition::LeaveCard).map_err(|(_, error)| error)?;
    if has_piv? { Ok(()) } else { Err(Error::AppletNotFound { applet_name: "PIV" }) }
}

/// No reader at all is an answer; that readers cannot be listed is an error.
fn none_or(error: &Error) -> Result<Vec<Reader>, TokenError> {
    match error {
        Error::PcscError { inner: Some(Pcsc::NoReadersAvailable) } => Ok(Vec::new()),
        Error::PcscError { inner: Some(Pcsc::NoService | Pcsc::ServiceStopped) } => Err(TokenError::Unready {
            what: "the smart-card service does not run".to_owned(),
            remedy: START_SERVICE.to_owned(),
        }),
        Error::PcscError { inner: Some(Pcsc::SecurityViolation) } => Err(TokenError::Unready {
            what: "the smart-card service refuses this user".to_owned(),
            remedy: ALLOW_USER.to_owned(),
        }),
        other => Err(TokenError::Unready {
            what: format!("readers cannot be listed: {}", escape(&other.to_string())),
            remedy: START_SERVICE.to_owned(),
        }),
    }
}

fn why(name: &str, error: &Error) -> Seen {
    let (why, remedy) = match error {
        Error::PcscError { inner: Some(Pcsc::NoSmartcard | Pcsc::RemovedCard) } => {
            ("nothing is in it".to_owned(), None)
        }
        Error::PcscError { inner: Some(Pcsc::SharingViolation) } => {
            ("another program uses it alone".to_owned(), Some(END_OTHERS))
        }
        Error::PcscError { inner: Some(Pcsc::SecurityViolation) } => {
            ("this user may not use it".to_owned(), Some(ALLOW_USER))
        }
        Error::PcscError { inner: Some(Pcsc::UnresponsiveCard | Pcsc::UnpoweredCard | Pcsc::ResetCard) } => (
            "the card in it does not answer".to_owned(),
            Some("unplug the token, wait for five seconds, and plug it in again"),
        ),
        Error::PcscError { inner: Some(Pcsc::ProtoMismatch) } => {
            ("the card in it is not a YubiKey".to_owned(), Some(NOT_ONE))
        }
        Error::AppletNotFound { .. } if name.to_lowercase().contains("yubi") => (
            "PIV is switched off on this YubiKey".to_owned(),
            Some("switch it on: ykman config usb --enable PIV, then plug the YubiKey in again"),
        ),
        Error::AppletNotFound { .. } | Error::GenericError | Error::NotSupported | Error::ParseError => {
            ("the card in it is not a YubiKey 4 or 5 with PIV".to_owned(), Some(NOT_ONE))
        }
        other => (
            format!("it does not answer: {}", escape(&other.to_string())),
            Some("unplug the token, and plug it in again"),
        ),
    };
    Seen::Nothing { why, remedy }
}

/// SELECT of the PIV applet (NIST SP 800-73-4, part 2, 3.1.1).
const SELECT_PIV: &[u8] = &[0x00, 0xa4, 0x04, 0x00, 0x05, 0xa0, 0x00, 0x00, 0x03, 0x08];
const NOT_ONE: &str = "plug the YubiKey in; other cards are not used here";

#[cfg(target_os = "linux")]
const START_SERVICE: &str = "start it: sudo systemctl start pcscd.socket (Debian: sudo apt-get install pcscd)";
#[cfg(target_os = "linux")]
const ALLOW_USER: &str = "a rule of polkit decides who may: sit at this machine itself, or allow org.debian.pcsc-lite.access_pcsc and access_card";
#[cfg(target_os = "linux")]
const END_OTHERS: &str = "end what uses it, most often gpg: gpgconf --kill scdaemon";

#[cfg(target_os = "macos")]
const START_SERVICE: &str = "plug a token in; the service starts with the first one (else restart the machine)";
#[cfg(target_os = "macos")]
const ALLOW_USER: &str = "allow the terminal to use smart cards in System Settings, Privacy & Security";
#[cfg(target_os = "macos")]
const END_OTHERS: &str = "end what uses it, most often gpg (gpgconf --kill scdaemon) or a browser";

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const START_SERVICE: &str = "start the smart-card service of this system";
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const ALLOW_USER: &str = "allow this user to use smart cards";
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const END_OTHERS: &str = "end what uses it, most often gpg: gpgconf --kill scdaemon";

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, error: Error) -> (String, Option<&'static str>) {
        match why(name, &error) {
            Seen::Nothing { why, remedy } => (why, remedy),
            Seen::Token(_) => unreachable!("an error is no token"),
        }
    }

    #[test]
    fn each_reason_has_its_words() {
        let pcsc = |inner| Error::PcscError { inner: Some(inner) };
        let missing = || Error::AppletNotFound { applet_name: "PIV" };
        let all = [
            said("Yubico YubiKey", pcsc(Pcsc::NoSmartcard)),
            said("Yubico YubiKey", pcsc(Pcsc::SharingViolation)),
            said("Yubico YubiKey", pcsc(Pcsc::SecurityViolation)),
            said("Yubico YubiKey", pcsc(Pcsc::UnresponsiveCard)),
            said("Yubico YubiKey", missing()),
            said("Gemalto", missing()),
        ];
        for (i, (why, remedy)) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|(other, _)| other != why), "{why} is said twice");
            assert_eq!(remedy.is_none(), i == 0, "{why}: only an empty reader needs no remedy");
        }
        assert!(none_or(&pcsc(Pcsc::NoReadersAvailable)).is_ok_and(|readers| readers.is_empty()));
        let Err(TokenError::Unready { what, remedy }) = none_or(&pcsc(Pcsc::NoService)) else { panic!("no error") };
        assert!(what.contains("does not run") && !remedy.is_empty());
    }
}
