//! A whole trust root: everything that `verify` looks at, pages of the record included.
#![no_main]

#[path = "../files.rs"]
mod files;

use libfuzzer_sys::fuzz_target;
use trustroot_core::signature::Portable;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};

fuzz_target!(|bytes: &[u8]| {
    let options = Options {
        now: Timestamp::from_day("2026-01-06").expect("a day"),
        rehearsal: true,
        strict: false,
        anchor: None,
        program: Some("trustroot 0.1.0"),
        history: History::None,
        differences: &[],
    };
    for finding in verify_trust_root(&files::tree(bytes), &options, &Portable).findings {
        assert!(!finding.to_string().contains(char::is_control), "{finding}");
    }
});
