//! A trust root of others, in whatever layout, as it would be taken over; and what is due in it. Whatever is taken lies below
//! `root/`, byte for byte as it was found, and looked at again it is judged the same.
#![no_main]

#[path = "../files.rs"]
mod files;

use libfuzzer_sys::fuzz_target;
use trustroot_core::foresight::{foresee, remind};
use trustroot_core::import::{Ask, import};
use trustroot_core::key::PublicKey;
use trustroot_core::signature::{Portable, Verifier};
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Entry;

/// Every signature counts.
struct Yes;

impl Verifier for Yes {
    fn verify(&self, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, bytes)) = bytes.split_first() else { return };
    let tree = files::tree(bytes);
    let verifier: &dyn Verifier = if flags & 1 == 0 { &Yes } else { &Portable };
    let now = Timestamp::from_day("2026-01-06").expect("a day");
    let ask = Ask { now, roots_only: flags & 2 != 0, anchor: None, rehearsal: flags & 4 == 0 };
    let taken = import(&tree, &ask, verifier);
    for finding in taken.findings.iter().chain(taken.roots.all_findings()) {
        assert!(!finding.to_string().contains(char::is_control), "{finding}");
    }
    assert!(!taken.left.iter().chain([&taken.folder]).any(|text| text.contains(char::is_control)));
    let found: Vec<&[u8]> = tree.values().filter_map(Entry::bytes).collect();
    for (path, bytes) in &taken.files {
        assert!(path.starts_with("root/"), "{path}");
        assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{path}");
        assert!(found.contains(&bytes.as_slice()), "{path} is not as it was found");
    }
    let again = import(&tree, &ask, verifier);
    assert_eq!(again.to_json(), taken.to_json(), "the same files give the same report");
    let foresight = foresee(&tree, now, verifier);
    for markdown in [false, true] {
        let said = remind(&foresight, "a \u{1b}[2J root", markdown).unwrap_or_default();
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
    }
});
