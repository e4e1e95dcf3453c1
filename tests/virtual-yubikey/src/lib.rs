//! A YubiKey of software, for tests: its PIV applet as a host sees it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`card`] | the applet: one command in, one answer out; for tests without any middleware |
//! | [`state`] | which YubiKey it is, what it keeps, and the file of that |
//! | [`attest`] | the chain from the anchor of rehearsals down to the slot |
//! | [`reader`] | the card in a reader of a real `pcscd`, and the hand that touches, pulls and inserts |
//! | [`control`] | that hand from another process |
//!
//! Nothing here depends on the product, nor the product on this: each is judged by what others make of it.

mod apdu;
pub mod attest;
pub mod card;
pub mod control;
mod der;
mod keys;
pub mod reader;
pub mod state;

pub use attest::Line;
pub use card::{AlwaysTouched, Card, Faults, Finger};
pub use keys::algorithm;
pub use reader::{Reader, Touch};
pub use state::{Model, State};
