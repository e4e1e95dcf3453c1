//! Signature files. Whatever lies among the signatures of a payload is a signature that holds, or a finding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::json;
use trustroot_core::key::PublicKey;
use trustroot_core::payload::Payload;
use trustroot_core::sigfile::{SignatureFile, SignedRole, collect};
use trustroot_core::signature::Portable;
use trustroot_core::tree::{Entry, Tree};

/// The payload and the key of the seeds.
const PAYLOAD: &[u8] = include_bytes!("../seeds/payload/targets");
const KEY: &str = include_str!("../seeds/certificate/public.pem");

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = json::read::<SignatureFile>(bytes) else { return };
    let path = file.path();
    assert!(path.starts_with("signatures/") && path.matches('/').count() == 2, "{path}");
    let payload = Payload::from_canonical(PAYLOAD).expect("a payload");
    let key = PublicKey::from_pem(KEY).expect("a key");
    let path = format!("c/signatures/targets-{}/{}", payload.digest(), &path[path.rfind('/').map_or(0, |at| at + 1)..]);
    let tree = Tree::from([(path, Entry::File(bytes.to_vec()))]);
    let found = collect(&tree, "c", SignedRole::Targets, &payload, &[&key], &Portable);
    assert_eq!(found.valid.len() + found.findings.len(), 1);
});
