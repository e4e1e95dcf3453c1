//! Attestations: what a token's maker says of a key, verified down from a pinned anchor.
//!
//! A YubiKey's attestation is a certificate of the key in a slot, signed by the device's own certificate (slot f9),
//! which the vendor signed. It says that the key was generated on a device of that vendor, with which serial, firmware
//! and policies. It says nothing of who holds the device, nor when the key was made.

pub mod advisory;
pub mod anchor;
mod certificate;
pub mod found;
pub mod policy;
pub mod verify;

pub use advisory::{ADVISORIES, Advisory, AdvisoryName, advisories};
pub use anchor::{Anchor, AnchorKind, Anchors};
pub use certificate::NotACertificate;
pub use policy::{FormFactor, PinPolicy, TouchPolicy};
pub use verify::{Attested, Examined, Expected, Facts, examine, read, verify};
