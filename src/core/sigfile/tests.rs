//! Tests of signature files: what is collected, and each fault that is refused.

use super::*;
use crate::json::Value;
use crate::signature::Portable;
use crate::testing::{Key, ec, ed};

const DIR: &str = "ceremony/2026-01-05-genesis";

fn payload() -> Payload {
    Payload::of(&Value::from([("_type", Value::from("root"))]))
}

fn file(key: &Key, payload: &Payload) -> SignatureFile {
    let signature = key.sign(payload.bytes());
    let public = key.public();
    let signed = Signed::check(&public, payload, &signature, &Portable).unwrap();
    SignatureFile::new(SignedRole::Root, &signed, &signature)
}

fn put(tree: &mut Tree, file: &SignatureFile) -> String {
    let path = format!("{DIR}/{}", file.path());
    tree.insert(path.clone(), Entry::File(file.to_canonical()));
    path
}

fn collected(tree: &Tree, keys: &[&PublicKey]) -> Collected {
    collect(tree, DIR, SignedRole::Root, &payload(), keys, &Portable)
}

#[track_caller]
fn refused(tree: &Tree, keys: &[&PublicKey], why: &str) {
    let collected = collected(tree, keys);
    assert!(collected.valid.is_empty(), "{why}");
    let [finding] = &collected.findings[..] else { panic!("{why}: {:?}", collected.findings) };
    assert_eq!(finding.check, Check::SigPayload);
    assert!(finding.what.line().contains(why), "{} is not: {why}", finding.what.line());
}

#[test]
fn signatures_are_collected_by_key() {
    let keys = [ec(1), ec(2), ed(3)];
    let publics: Vec<PublicKey> = keys.iter().map(Key::public).collect();
    let mut tree = Tree::new();
    for key in &keys {
        put(&mut tree, &file(key, &payload()));
    }
    let folder = format!("{DIR}/signatures/root-{}", payload().digest());
    tree.insert(format!("{folder}/payload.json"), Entry::File(payload().bytes().to_vec()));
    let publics: Vec<&PublicKey> = publics.iter().collect();
    let collected = collected(&tree, &publics);
    assert!(collected.findings.is_empty(), "{:?}", collected.findings);
    assert_eq!(collected.valid.len(), 3);
    // Another payload's signatures are not looked at.
    let other = Payload::of(&Value::from([("_type", Value::from("targets"))]));
    assert!(collect(&tree, DIR, SignedRole::Targets, &other, &publics, &Portable).valid.is_empty());
}

/// ECDSA signatures have a twin, (r, n - s), which is as valid: whatever order they arrive in, one is taken.
#[test]
fn of_two_valid_signatures_the_lower_is_taken() {
    let key = ec(1);
    let public = key.public();
    let signature = p256::ecdsa::Signature::from_der(&key.sign(payload().bytes())).unwrap();
    let (r, s) = (signature.r(), signature.s());
    let twin = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let both = [signature, twin].map(|signature| signature.to_der().as_bytes().to_vec());
    let mut tree = Tree::new();
    for bytes in &both {
        let signed = Signed::check(&public, &payload(), bytes, &Portable).unwrap();
        put(&mut tree, &SignatureFile::new(SignedRole::Root, &signed, bytes));
    }
    assert_eq!(tree.len(), 2);
    assert_eq!(collected(&tree, &[&public]).valid.get(&public), both.iter().min());
}

#[test]
fn each_fault_is_refused() {
    let key = ec(1);
    let public = key.public();
    let good = file(&key, &payload());
    let changed = |change: &dyn Fn(&mut SignatureFile)| {
        let mut file = good.clone();
        change(&mut file);
        let mut tree = Tree::new();
        put(&mut tree, &file);
        tree
    };
    assert_eq!(collected(&changed(&|_| {}), &[&public]).valid.len(), 1);
    refused(&changed(&|file| file.keyid = "00".repeat(32)), &[&public], "key id");
    refused(&changed(&|file| file.sig = "zz".to_string()), &[&public], "hexadecimal");
    refused(&changed(&|file| file.sig = file.sig.to_uppercase()), &[&public], "small");
    refused(&changed(&|file| file.sig = "00".repeat(70)), &[&public], "does not verify");
    refused(&changed(&|_| {}), &[], "no holder has its key");
    refused(&changed(&|_| {}), &[&ec(2).public()], "no holder has its key");

    let mut tree = Tree::new();
    let path = put(&mut tree, &good);
    let with = |path: &str, entry: Entry| Tree::from([(path.to_string(), entry)]);
    refused(&with(&path, Entry::Odd("a symbolic link")), &[&public], "not a regular file");
    refused(&with(&path, Entry::File(b"{".to_vec())), &[&public], "");
    let mut spaced = good.to_canonical();
    spaced.push(b' ');
    refused(&with(&path, Entry::File(spaced)), &[&public], "canonical");
    let elsewhere = path.replace(".json", "0.json");
    refused(&with(&elsewhere, Entry::File(good.to_canonical())), &[&public], "belongs to");
    // A signature of another payload, carried into this one's folder under a name that fits its own content.
    let other = Payload::of(&Value::from([("_type", Value::from("targets"))]));
    let foreign = file(&key, &other);
    let name = foreign.path().rsplit_once('/').unwrap().1.to_string();
    let beside = format!("{DIR}/signatures/root-{}/{name}", payload().digest());
    refused(&with(&beside, Entry::File(foreign.to_canonical())), &[&public], "belongs to");
}
