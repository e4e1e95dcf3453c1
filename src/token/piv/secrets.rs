//! PIN, PUK and management key: what state they are in, and how one takes the place of another.

use trustroot_core::text::escape;
use yubikey::mgm::{MgmAlgorithmId, MgmKey};
use yubikey::piv::{ManagementSlotId, SlotAlgorithmId, SlotId, SlotMetadata, metadata};
use yubikey::{Error, YubiKey};
use zeroize::Zeroizing;

use super::yubikey_token::trouble;
use crate::seams::{NewSecrets, PinReset, TokenError, TokenState};

/// What a YubiKey leaves the factory with.
const FACTORY_PIN: &[u8] = b"123456";
const FACTORY_PUK: &[u8] = b"12345678";
const FACTORY_MANAGEMENT_KEY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];
/// Where a management key is kept under the PIN: the object "printed information", as other programs do it.
const PROTECTED: yubikey::ObjectId = 0x005f_c109;
/// More tries than a counter can hold, so that no loop over tries is without end.
const ALL_TRIES: u16 = 256;

/// Which of the two that are typed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    Pin,
    Puk,
}

/// Whether a secret is the factory's, and the tries left of it.
fn counter(token: &mut YubiKey, which: ManagementSlotId) -> Result<(bool, u8), TokenError> {
    let read = metadata(token, SlotId::Management(which)).map_err(|error| trouble(&error))?;
    match read {
        SlotMetadata { default: Some(default), retries: Some(retries), .. } => Ok((default, retries.remaining_count)),
        _ => Err(TokenError::Device("it does not say how many tries are left".to_owned())),
    }
}

/// Everything, without spending a try.
pub(super) fn state(token: &mut YubiKey) -> Result<TokenState, TokenError> {
    let (pin_is_default, pin_tries) = counter(token, ManagementSlotId::Pin)?;
    let puk = counter(token, ManagementSlotId::Puk)?;
    let (management, _) = management(token)?;
    Ok(TokenState {
        pin_is_default,
        pin_tries: pin_tries.into(),
        puk: Some(puk),
        management_key_is_default: Some(management),
    })
}

/// Whether the management key is the factory's, and its kind.
fn management(token: &mut YubiKey) -> Result<(bool, MgmAlgorithmId), TokenError> {
    let read = metadata(token, SlotId::Management(ManagementSlotId::Management)).map_err(|error| trouble(&error))?;
    match read {
        SlotMetadata { default: Some(default), algorithm: SlotAlgorithmId::Management(kind), .. } => {
            Ok((default, kind))
        }
        _ => Err(TokenError::Device("it does not say what its management key is".to_owned())),
    }
}

/// Presents the PIN; never on its last try.
pub(super) fn present(token: &mut YubiKey, pin: &[u8]) -> Result<(), TokenError> {
    let (_, tries) = counter(token, ManagementSlotId::Pin)?;
    if tries <= 1 {
        return Err(blocked(tries));
    }
    token.verify_pin(pin).map_err(|error| wrong(&error, Typed::Pin))
}

/// The PIN is blocked, or nearly.
fn blocked(tries: u8) -> TokenError {
    TokenError::PinBlocked { tries: tries.into(), reset: PinReset::Puk }
}

/// The error of a call that took a PIN or PUK.
fn wrong(error: &Error, which: Typed) -> TokenError {
    match (error, which) {
        (Error::WrongPin { tries }, Typed::Pin) => TokenError::WrongPin { tries: (*tries).into() },
        (Error::WrongPin { tries }, Typed::Puk) => TokenError::WrongPuk { tries: *tries },
        (Error::PinLocked, Typed::Pin) => blocked(0),
        (Error::PinLocked, Typed::Puk) => TokenError::PukBlocked { tries: 0 },
        // What remains is a status that the library has no name for: the new secret was refused.
        (Error::GenericError | Error::SizeError, _) => TokenError::Refused(
            "the token refuses this secret; its own rules may ask for a longer or less simple one".to_owned(),
        ),
        (other, _) => trouble(other),
    }
}

/// Whether a PIN or PUK can be typed on every keyboard, counted in bytes, and is not the factory's.
fn fit(secret: &[u8], which: Typed) -> Result<(), TokenError> {
    let (name, factory) = match which {
        Typed::Pin => ("PIN", FACTORY_PIN),
        Typed::Puk => ("PUK", FACTORY_PUK),
    };
    if (6..=8).contains(&secret.len()) && secret.iter().all(u8::is_ascii_graphic) && secret != factory {
        return Ok(());
    }
    Err(TokenError::Refused(format!(
        "a {name} is 6 to 8 letters, digits or signs, without spaces, and not the factory's"
    )))
}

/// Rule 4 of the back-end: PIN, PUK, management key, each proved before the next is touched. What was replaced before is
/// proved with what is given.
pub(super) fn provision(token: &mut YubiKey, secrets: &NewSecrets<'_>) -> Result<(), TokenError> {
    let pin = secrets.pin.expose();
    let Some(puk) = secrets.puk.map(|puk| puk.expose()) else {
        return Err(TokenError::Refused("a YubiKey needs a PUK besides its PIN".to_owned()));
    };
    fit(pin, Typed::Pin)?;
    fit(puk, Typed::Puk)?;
    if pin == puk {
        return Err(TokenError::Refused("PIN and PUK must differ: who sees one typed would know both".to_owned()));
    }
    let (is_factory, tries) = counter(token, ManagementSlotId::Pin)?;
    if tries <= 1 {
        return Err(blocked(tries));
    }
    if is_factory {
        token.change_pin(FACTORY_PIN, pin).map_err(|error| wrong(&error, Typed::Pin))?;
    }
    match present(token, pin) {
        Err(TokenError::WrongPin { tries }) if !is_factory => return Err(TokenError::WrongPin { tries }),
        other => other?,
    }
    if counter(token, ManagementSlotId::Pin)?.0 {
        return Err(TokenError::Device("its PIN is still the factory's".to_owned()));
    }
    let (is_factory, tries) = counter(token, ManagementSlotId::Puk)?;
    if tries <= 1 {
        return Err(TokenError::PukBlocked { tries });
    }
    if is_factory {
        token.change_puk(FACTORY_PUK, puk).map_err(|error| wrong(&error, Typed::Puk))?;
    }
    // A change from itself to itself is the only command that proves a PUK and moves nothing.
    token.change_puk(puk, puk).map_err(|error| wrong(&error, Typed::Puk))?;
    new_management_key(token, pin)
}

/// Replaces a factory management key by a random one, kept under the PIN; any other one is proved.
fn new_management_key(token: &mut YubiKey, pin: &[u8]) -> Result<(), TokenError> {
    let (is_factory, kind) = management(token)?;
    if is_factory {
        let factory = MgmKey::from_bytes(FACTORY_MANAGEMENT_KEY, Some(kind)).map_err(|error| trouble(&error))?;
        let preferred = MgmKey::get_default(token).map_err(|error| trouble(&error))?.algorithm_id();
        let mut bytes = Zeroizing::new([0; 24]);
        getrandom::fill(bytes.as_mut())
            .map_err(|error| TokenError::Device(format!("this system gives no randomness: {error}")))?;
        let new = MgmKey::from_bytes(bytes.as_slice(), Some(preferred)).map_err(|error| trouble(&error))?;
        token.authenticate(&factory).map_err(|error| trouble(&error))?;
        present(token, pin)?;
        // Kept first and read back, and only then set: wherever this stops, the key that counts is known.
        let mut kept = Zeroizing::new(vec![0x88, 0x1a, 0x89, 0x18]);
        kept.extend_from_slice(bytes.as_slice());
        let expected = kept.clone();
        token.save_object(PROTECTED, &mut kept).map_err(|error| trouble(&error))?;
        let lies = token.fetch_object(PROTECTED).map_err(|error| trouble(&error))?;
        if *lies != *expected {
            return Err(TokenError::Device("it does not keep its management key".to_owned()));
        }
        new.set_protected(token).map_err(|error| trouble(&error))?;
    }
    log_in(token, pin)?;
    match management(token)? {
        (false, _) => Ok(()),
        (true, _) => Err(TokenError::Device("its management key is still the factory's".to_owned())),
    }
}

/// Logs in with PIN and the management key that is kept under it.
pub(super) fn log_in(token: &mut YubiKey, pin: &[u8]) -> Result<(), TokenError> {
    present(token, pin)?;
    if management(token)?.0 {
        return Err(TokenError::Refused("its management key is still the factory's; provision it first".to_owned()));
    }
    let elsewhere = || {
        TokenError::Refused(
            "its management key is not kept under its PIN, so no key can be generated from here".to_owned(),
        )
    };
    let key = MgmKey::get_protected(token).map_err(|error| match error {
        Error::PcscError { .. } => trouble(&error),
        _ => elsewhere(),
    })?;
    token.authenticate(&key).map_err(|error| match error {
        Error::AuthenticationError => elsewhere(),
        other => trouble(&other),
    })
}

/// Sets a new PIN with the PUK; never on the last try of the PUK.
pub(super) fn unblock(token: &mut YubiKey, puk: &[u8], new: &[u8]) -> Result<(), TokenError> {
    fit(new, Typed::Pin)?;
    if puk == new {
        return Err(TokenError::Refused("PIN and PUK must differ: who sees one typed would know both".to_owned()));
    }
    let (is_factory, tries) = counter(token, ManagementSlotId::Puk)?;
    if is_factory {
        return Err(TokenError::Refused("its PUK is the factory's, which everybody knows".to_owned()));
    }
    if tries <= 1 {
        return Err(TokenError::PukBlocked { tries });
    }
    token.unblock_pin(puk, new).map_err(|error| wrong(&error, Typed::Puk))?;
    present(token, new)
}

/// Brings the token back to the factory's state. That is possible only once PIN and PUK are blocked, so they are.
pub(super) fn reset(token: &mut YubiKey) -> Result<(), TokenError> {
    let mut wrong = Zeroizing::new([0; 8]);
    getrandom::fill(wrong.as_mut())
        .map_err(|error| TokenError::Device(format!("this system gives no randomness: {error}")))?;
    for _ in 0..ALL_TRIES {
        if counter(token, ManagementSlotId::Pin)?.1 == 0 {
            break;
        }
        match token.verify_pin(wrong.as_slice()) {
            Ok(()) | Err(Error::WrongPin { .. } | Error::PinLocked) => {}
            Err(error) => return Err(trouble(&error)),
        }
    }
    for _ in 0..ALL_TRIES {
        if counter(token, ManagementSlotId::Puk)?.1 == 0 {
            break;
        }
        match token.change_puk(wrong.as_slice(), wrong.as_slice()) {
            Ok(()) | Err(Error::WrongPin { .. } | Error::PinLocked) => {}
            Err(error) => return Err(trouble(&error)),
        }
    }
    token.reset_device().map_err(|error| match error {
        Error::GenericError => TokenError::Device(escape("it refuses to be reset")),
        other => trouble(&other),
    })?;
    let state = state(token)?;
    let fresh =
        state.pin_is_default && state.puk.is_some_and(|puk| puk.0) && state.management_key_is_default == Some(true);
    if fresh { Ok(()) } else { Err(TokenError::Device("it is not as it left the factory".to_owned())) }
}
