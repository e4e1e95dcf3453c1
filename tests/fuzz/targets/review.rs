//! What is done with a foreign proposal: the lint and the review pages of a payload. Nothing on them moves a cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::lint::{Proposal, lint};
use trustroot_core::page::{plain, review};
use trustroot_core::time::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let now = Timestamp::from_day("2026-01-05").expect("a day");
    for finding in lint(&Proposal { root: bytes, targets: bytes, old_root: None, old_targets: None, now }) {
        assert!(!finding.to_string().contains(char::is_control), "{finding}");
    }
    for blocks in [review::of_root(bytes, Some(now), None), review::of_targets(bytes, None)] {
        let shown = plain::blocks(&blocks, 72);
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
});
