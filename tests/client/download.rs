//! Several targets in one run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
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
fn published(folder: &Path, version: u64, files: &[(&str, &[u8])]) {
    std::fs::create_dir_all(folder.join("targets")).unwrap();
    let signing = SigningKey::from_bytes(&[7; 32]);
    let key = PublicKey::from_ed25519(signing.verifying_key().as_bytes()).unwrap();
    let id = new_key_id(&key).unwrap();
    let signed = |name: &str, payload: Payload| {
        let bytes = assemble(&payload, [(id.clone(), signing.sign(payload.bytes()).to_vec())]);
        std::fs::write(folder.join(name), &bytes).unwrap();
        MetaFile::of(version, &bytes)
    };
    let expires = Time::parse("2999-01-01T00:00:00Z").unwrap();
    let role = Keyholders { keys: BTreeSet::from([key]), threshold: 1 };
    let [root, targets, snapshot, timestamp] = [(); 4].map(|()| role.clone());
    let root = Root { version: 1, expires, root, targets, snapshot, timestamp, extra: BTreeMap::new() };
    signed("1.root.json", root.payload().unwrap());
    let mut targets = BTreeMap::new();
    for (path, content) in files {
        let digest = Digest::of(content);
        std::fs::write(folder.join(format!("targets/{digest}.{path}")), content).unwrap();
        let target = Target { length: content.len() as u64, hashes: Hashes::sha256(digest), custom: None };
        targets.insert((*path).to_owned(), target);
    }
    let targets = Targets { version, expires, targets, delegations: None, extra: BTreeMap::new() };
    let meta = BTreeMap::from([(
        "targets.json".to_owned(),
        signed(&format!("{version}.targets.json"), targets.payload().unwrap()),
    )]);
    let snapshot = Snapshot { version, expires, meta }.payload().unwrap();
    let snapshot = signed(&format!("{version}.snapshot.json"), snapshot);
    signed("timestamp.json", Timestamp { version, expires, snapshot }.payload().unwrap());
}

#[test]
fn targets_come_in_order_up_to_the_first_that_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    published(&here.join("made"), 1, &[("one", b"first"), ("two", b"second"), ("three", b"third")]);
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

/// Answers the first request once `meanwhile` is done, and every request with the file that it names in `folder`.
fn slow(folder: &Path, meanwhile: impl FnOnce() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, folder) = (format!("http://{}", listener.local_addr().unwrap()), folder.to_owned());
    std::thread::spawn(move || {
        let mut meanwhile = Some(meanwhile);
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut first, mut line) = (String::new(), String::new());
            stream.read_line(&mut first).unwrap();
            while stream.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            if let Some(meanwhile) = meanwhile.take() {
                meanwhile();
            }
            let content = std::fs::read(folder.join(first.split(' ').nth(1).unwrap().trim_start_matches('/'))).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
            stream.get_mut().write_all(&[head.as_bytes(), &content].concat()).unwrap();
        }
    });
    url
}

#[test]
fn what_another_process_brings_during_a_download_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let made = here.join("made");
    published(&made, 1, &[("app", b"old"), ("same", b"same")]);
    let dir = ["client", "--metadata-dir", "metadata", "--metadata-url", "made"];
    assert!(run(here, &[&dir[..], &["init", "made/1.root.json"]].concat()).status.success());
    let other = here.to_owned();
    let url = slow(&made.join("targets"), move || {
        published(&other.join("made"), 2, &[("app", b"new"), ("same", b"same")]);
        assert!(run(&other, &[&dir[..], &["refresh"]].concat()).status.success());
    });
    let words = ["--target-base-url", &url, "--target-dir", "got", "--target-name", "app", "--target-name", "same"];
    let output = run(here, &[&dir[..], &words, &["download"]].concat());
    let said = said(&output);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "./got/app\n./got/same\n", "{said}");
    assert!(said.contains("another process brought newer metadata"), "{said}");
    assert_eq!(std::fs::read(here.join("got/app")).unwrap(), b"new");
}
