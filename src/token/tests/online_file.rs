//! Online keys in files, made by openssl and by ourselves.

use super::*;
use crate::seams::OnlineKey as _;
use crate::token::{FileKey, write_rehearsal_key};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use trustroot_core::key::Algorithm;
use trustroot_core::review::OnlinePayload;

fn close(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn why(path: &Path) -> String {
    let refused = error(FileKey::open(path));
    assert!(matches!(refused, TokenError::Refused(_)));
    refused.to_string()
}

#[test]
fn keys_that_openssl_made_sign() {
    let folder = tempfile::tempdir().unwrap();
    let payload = || OnlinePayload::new(br#"{"_type":"timestamp"}"#.to_vec()).unwrap();
    for (name, arguments, algorithm) in [
        ("ed.pem", &["-algorithm", "ed25519"][..], Algorithm::Ed25519),
        ("ec.pem", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], Algorithm::EcdsaP256),
    ] {
        let made = openssl(folder.path(), &[&["genpkey"], arguments, &["-out", name]].concat());
        assert!(made.status.success(), "{made:?}");
        let path = folder.path().join(name);
        close(&path, 0o600);
        let key = FileKey::open(&path).unwrap();
        assert_eq!(key.public().algorithm(), algorithm);
        let public = openssl(folder.path(), &["pkey", "-in", name, "-pubout"]);
        assert_eq!(String::from_utf8(public.stdout).unwrap(), key.public().to_pem());
        let signature = key.sign(&payload(), None).unwrap();
        assert!(verifies(key.public(), payload().bytes(), &signature));
        // Through a symbolic link as well.
        let link = folder.path().join(format!("link-{name}"));
        symlink(&path, &link).unwrap();
        assert_eq!(FileKey::open(&link).unwrap().public(), key.public());
    }
}

#[test]
fn files_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    write_rehearsal_key(&path, &handle("online"), &SEED).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601, 0o666] {
        close(&path, mode);
        let why = why(&path);
        assert!(why.contains("chmod 600") && why.contains("key.pem") && why.contains(&format!("{mode:o}")), "{why}");
    }
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(why(&link).contains("others may read"));
    close(&path, 0o400);
    FileKey::open(&path).unwrap();
}

#[test]
fn anything_else_is_refused_with_the_line_that_makes_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let hint = "openssl genpkey -algorithm ed25519 -out";
    let path = folder.path().join("key.pem");
    assert!(why(&path).contains(hint));
    assert!(why(folder.path()).contains("not a file"));
    assert!(openssl(folder.path(), &["genpkey", "-algorithm", "ed448", "-out", "ed448.pem"]).status.success());
    let other = fs::read(folder.path().join("ed448.pem")).unwrap();
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n".to_vec();
    for content in [Vec::new(), b"key".to_vec(), vec![0xff; 64], vec![b'a'; 20_000], other, encrypted] {
        fs::write(&path, content).unwrap();
        close(&path, 0o600);
        assert!(why(&path).contains(hint), "{}", why(&path));
    }
}

/// Each byte of a key's file as another one: a key, or refused in words that hold nothing of it and move no cursor.
#[test]
fn a_changed_file_is_a_key_or_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for algorithm in [&["-algorithm", "ed25519"][..], &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]] {
        assert!(openssl(folder.path(), &[&["genpkey"], algorithm, &["-out", "key.pem"]].concat()).status.success());
        let whole = fs::read(&path).unwrap();
        close(&path, 0o600);
        let body: Vec<u8> = whole.split(|byte| *byte == b'\n').nth(1).unwrap().to_vec();
        for at in 0..whole.len() {
            for other in [0, b'\n', b'A', whole[at] ^ 1, 0x1b, 0xff] {
                let mut changed = whole.clone();
                changed[at] = other;
                fs::write(&path, changed).unwrap();
                let Err(refused) = FileKey::open(&path) else { continue };
                let words = refused.to_string();
                assert!(!words.contains(char::is_control), "{at}: {words:?}");
                assert!(!body.windows(8).any(|part| words.as_bytes().windows(8).any(|said| said == part)), "{at}");
            }
        }
    }
}

#[test]
fn the_key_of_a_rehearsal_is_made_once_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let key = write_rehearsal_key(&path, &handle("online"), &SEED).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(write_rehearsal_key(&path, &handle("online"), &SEED).unwrap().public(), key.public());
    // Another name or another seed is another key, and does not replace this one.
    for (name, seed) in [("other", SEED), ("online", [2; 32])] {
        let refused = error(write_rehearsal_key(&path, &handle(name), &seed));
        assert!(refused.to_string().contains("another key is there"), "{refused}");
    }
    assert_eq!(FileKey::open(&path).unwrap().public(), key.public());
    let public = openssl(folder.path(), &["pkey", "-in", "key.pem", "-pubout"]);
    assert_eq!(String::from_utf8(public.stdout).unwrap(), key.public().to_pem());
}
