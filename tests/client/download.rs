//! Several targets in one run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{run, said};
use ed25519_dalek::{Signer as _, SigningKey};
use trustroot_core::digest::Digest;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{Keyholders, Root, Snapshot, Targets, Timestamp, new_key_id};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::fields::{Hashes, MetaFile};
use trustroot_core::metadata::targets::Target;
use trustroot_core::payload::Payload;
use trustroot_core::time::Timestamp as Time;

/// A repository in `folder` whose one key signs everything, with these files.
fn published(folder: &Path, files: &[(&str, &[u8])]) {
    let signing = SigningKey::from_bytes(&[7; 32]);
    let key = PublicKey::from_ed25519(signing.verifying_key().as_bytes()).unwrap();
    let id = new_key_id(&key).unwrap();
    let signed = |name: &str, payload: Payload| {
        let bytes = assemble(&payload, [(id.clone(), signing.sign(payload.bytes()).to_vec())]);
        std::fs::write(folder.join(name), &bytes).unwrap();
        MetaFile::of(1, &bytes)
    };
    let expires = Time::parse("2999-01-01T00:00:00Z").unwrap();
    let role = Keyholders { keys: BTreeSet::from([key]), threshold: 1 };
    let [root, targets, snapshot, timestamp] = [(); 4].map(|()| role.clone());
    let root = Root { version: 1, expires, root, targets, snapshot, timestamp, extra: BTreeMap::new() };
    signed("1.root.json", root.payload().unwrap());
    std::fs::create_dir(folder.join("targets")).unwrap();
    let mut targets = BTreeMap::new();
    for (path, content) in files {
        let digest = Digest::of(content);
        std::fs::write(folder.join(format!("targets/{digest}.{path}")), content).unwrap();
        let target = Target { length: content.len() as u64, hashes: Hashes::sha256(digest), custom: None };
        targets.insert((*path).to_owned(), target);
    }
    let targets = Targets { version: 1, expires, targets, delegations: None, extra: BTreeMap::new() };
    let meta = BTreeMap::from([("targets.json".to_owned(), signed("1.targets.json", targets.payload().unwrap()))]);
    let snapshot = signed("1.snapshot.json", Snapshot { version: 1, expires, meta }.payload().unwrap());
    signed("timestamp.json", Timestamp { version: 1, expires, snapshot }.payload().unwrap());
}

#[test]
fn targets_come_in_order_up_to_the_first_that_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::create_dir(here.join("made")).unwrap();
    published(&here.join("made"), &[("one", b"first"), ("two", b"second"), ("three", b"third")]);
    let dir = ["client", "--metadata-dir", "metadata"];
    assert!(run(here, &[&dir[..], &["init", "made/1.root.json"]].concat()).status.success());
    let from = ["--metadata-url", "made", "--target-base-url", "made/targets", "--target-dir", "got"];
    let download = |names: &[&str]| {
        let names = names.iter().flat_map(|name| ["--target-name", name]);
        let words: Vec<_> = dir.into_iter().chain(from).chain(names).chain(["download"]).collect();
        let output = run(here, &words);
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap(), said(&output))
    };
    let path = |name: &str| format!("./got/{name}\n");
    let (code, paths, said) = download(&["two", "none", "three"]);
    assert_eq!((code, paths), (Some(1), path("two")), "{said}");
    assert!(said.contains("none"), "{said}");
    assert!(!here.join("got/three").exists());
    let (code, paths, said) = download(&["three", "one"]);
    assert_eq!((code, paths), (Some(0), path("three") + &path("one")), "{said}");
    assert_eq!(std::fs::read(here.join("got/one")).unwrap(), b"first");
}
