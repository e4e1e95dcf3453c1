//! The strict reader of JSON. What it takes has one canonical form, and that form is read as the same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::json;
use trustroot_core::payload::Payload;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = json::parse(bytes) else { return };
    let payload = Payload::of(&value);
    let again = json::parse(&payload.to_json()).expect("the canonical form is JSON once controls are escaped");
    assert_eq!(again, value);
    assert_eq!(Payload::of(&again), payload);
});
