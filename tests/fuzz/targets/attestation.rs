//! An attestation: the slot's certificate, the device's and one more, each after its length in two bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::attestation::anchor::Anchors;
use trustroot_core::attestation::found::pairs;
use trustroot_core::attestation::verify::{Expected, examine};
use trustroot_core::key::PublicKey;

/// The key of the seeds.
const KEY: &str = include_str!("../seeds/certificate/public.pem");

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let [slot, device, more] = std::array::from_fn(|_| {
        let Some((length, after)) = rest.split_first_chunk() else { return &[][..] };
        let (part, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        rest = after;
        part
    });
    for (slot, device) in pairs(&[more, device, slot]) {
        assert!(slot < 3 && device.is_none_or(|device| device < 3 && device != slot));
    }
    let key = PublicKey::from_pem(KEY).expect("a key");
    for rehearsal in [true, false] {
        let expected =
            Expected { key: &key, serial: 90_000_001, slot: "9c", minimum_firmware: (5, 7, 0), rehearsal, waived: &[] };
        let examined = examine(slot, device, &[more], &expected, &Anchors::pinned());
        for finding in &examined.findings {
            assert!(!finding.to_string().contains(char::is_control), "{finding}");
        }
        if let Ok(attested) = examined.attested() {
            assert!(rehearsal && attested.facts().key == key, "nobody can forge a vendor's attestation");
        }
    }
});
