//! The rules of `trustroot`, pure: no clock, no file, no socket, no terminal, no randomness, no signing.
//!
//! Everything here is a function of its arguments; `now` is one of them. The package is `no_std`, so naming a clock or a
//! file does not compile. A check that passed leaves a value behind that only the check can make, and the next step asks
//! for that value.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod address;
pub mod answers;
pub mod attestation;
pub mod beside;
pub mod branch;
pub mod bundle;
pub mod canonical;
pub mod ceremony;
pub mod chain;
pub mod check;
pub mod claim;
pub mod defunct;
pub mod digest;
pub mod earlier;
pub mod event;
pub mod foresight;
pub mod git;
pub mod import;
pub mod json;
pub mod key;
pub mod lint;
pub mod metadata;
pub mod next;
pub mod page;
pub mod payload;
pub mod pkcs11_uri;
pub mod plan;
pub mod predecessor;
pub mod proposal;
pub mod quorum;
pub mod record;
pub mod replay;
pub mod reply;
pub mod review;
pub mod search;
pub mod seat;
pub mod serial;
pub mod sigfile;
pub mod signature;
pub mod signers;
pub mod slot;
pub mod ssh;
pub mod step;
#[cfg(test)]
mod testing;
pub mod text;
pub mod time;
pub mod tree;
pub mod trusted;
pub mod twin;
pub mod verify;
pub mod words;
