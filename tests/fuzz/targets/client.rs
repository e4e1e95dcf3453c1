//! The whole client and a mirror that does anything: the inputs of `src/client/tests/hostile.rs`, looked for by coverage.
#![no_main]

#[path = "../../../src/client/tests/mirror/mod.rs"]
mod mirror;
#[path = "../../../src/client/tests/simulator/mod.rs"]
mod simulator;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    mirror::rounds::follow(bytes);
});
