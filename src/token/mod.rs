//! Hardware behind one trait, and what stands in for it.
//!
//! Rules:
//! 1. Back-ends sign what was reviewed, and nothing else; each type of payload has its own method.
//! 2. A PIN is presented, never kept, printed or logged. This layer logs nothing.
//! 3. A virtual token serves rehearsals only. It is a model of a YubiKey, made of software, and proves nothing.

pub mod certificate;
mod derive;
pub mod faults;
pub mod harden;
pub mod online_file;
#[cfg(feature = "piv")]
pub mod piv;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
#[cfg(not(feature = "pkcs11"))]
#[path = "pkcs11_absent.rs"]
pub mod pkcs11;
pub mod throwaway;
mod virtual_state;
pub mod virtual_token;

pub use faults::{Fault, FaultPoint, NotAFault};
pub use harden::no_core_dumps;
pub use online_file::{FileKey, write_rehearsal_key};
pub use pkcs11::{Pkcs11OnlineKey, Pkcs11Tokens};
pub use throwaway::SeededThrowAwayKeys;
pub use virtual_token::VirtualTokens;

#[cfg(test)]
mod tests;
