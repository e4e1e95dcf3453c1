//! Payloads, which are signed byte for byte. What is taken is in the one form there is, and keeps its digest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::digest::Digest;
use trustroot_core::payload::Payload;
use trustroot_core::{canonical, json};

fuzz_target!(|bytes: &[u8]| {
    let Ok((payload, value)) = Payload::read(bytes) else { return };
    assert_eq!(payload.bytes(), bytes);
    assert_eq!(payload.digest(), Digest::of(bytes));
    assert_eq!(canonical::to_vec(&value), bytes);
    assert_eq!(json::parse(&payload.to_json()), Ok(value));
});
