//! YubiKeys through PIV, over PC/SC.
//!
//! Rules:
//! 1. A token is known by its serial before anything is asked of a person. Where none is known, the one token that
//!    answers is taken; where several answer, none is.
//! 2. State is read without spending a try (GET METADATA, firmware 5.3.0 and later; older firmware is refused, because it
//!    cannot say what is in its slots). At one try left neither PIN nor PUK is presented.
//! 3. A slot is generated into only if inspection found it empty; a PIN is presented anew for each signature.
//! 4. Each secret is proved before the next is touched: PIN, then PUK, then the management key.
//! 5. The card is left as it was found: logins are dropped, the card is not reset, no service is stopped.
//! 6. Nothing is logged: the libraries below would write what they send, so no logger is ever installed.

mod readers;
mod secrets;
mod yubikey_token;

pub use readers::{Reader, Seen, readers};
pub use yubikey_token::{Occupied, YubikeyToken, YubikeyTokens, slots};

use std::time::Duration;

/// The first firmware that says what is in a slot.
const FIRST_FIRMWARE: (u8, u8, u8) = (5, 3, 0);
/// A refusal that comes sooner than this is not a touch that was waited for.
const TOO_SOON: Duration = Duration::from_secs(2);
