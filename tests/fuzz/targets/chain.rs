//! Two roots, with NUL between them. The trusted set and the report on a folder agree on whether they are a chain.
//!
//! Every well-formed signature counts here: what is fuzzed is who is asked and how it is counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::key::PublicKey;
use trustroot_core::signature::Verifier;
use trustroot_core::trusted::TrustedRoot;
use trustroot_core::verify::roots::verify_roots;

struct Credulous;

impl Verifier for Credulous {
    fn verify(&self, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0).map(<[u8]>::to_vec);
    let (Some(first), Some(second)) = (parts.next(), parts.next()) else { return };
    let pinned = TrustedRoot::pinned(&first, &Credulous).ok().filter(|root| root.metadata().version() == 1);
    let chain = pinned.and_then(|root| root.advance(&second, &Credulous).ok());
    let files = [("1.root.json".to_owned(), first), ("2.root.json".to_owned(), second)];
    let report = verify_roots(&files.into(), false, &Credulous);
    assert_eq!(chain.is_some(), report.accepted(), "{:?}", report.all_findings().collect::<Vec<_>>());
});
