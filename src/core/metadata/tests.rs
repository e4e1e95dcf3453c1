//! Metadata that is odd or hostile, one fault a test.

use super::root::Root;
use super::snapshot::Snapshot;
use super::targets::Targets;
use super::timestamp::Timestamp as TimestampBody;
use super::*;
use crate::testing::{Key, Repository, changed, ec, ed, file};
use proptest::prelude::*;

use crate::json::Members;

fn root_with(change: impl FnOnce(&mut Members)) -> Result<Metadata<Root>, Refusal> {
    let payload = changed(&Repository::new().root.payload().unwrap(), change);
    Metadata::parse("1.root.json", &file(&payload, &[]))
}

fn refused(change: impl FnOnce(&mut Members)) -> Check {
    root_with(change).unwrap_err().check()
}

fn lenient(change: impl FnOnce(&mut Members)) -> Vec<Check> {
    let root = root_with(change).unwrap();
    assert!(root.findings().iter().all(|finding| finding.level == Level::Lenient));
    assert!(root.strictly().is_err());
    root.findings().iter().map(|finding| finding.check).collect()
}

fn set(name: &'static str, value: impl Into<Value>) -> impl FnOnce(&mut Members) {
    let value = value.into();
    move |members| drop(members.insert(name.to_string(), value))
}

fn inside<'a>(members: &'a mut Members, name: &str) -> &'a mut Members {
    match members.get_mut(name) {
        Some(Value::Obj(inner)) => inner,
        other => panic!("{name}: {other:?}"),
    }
}

/// Changes the key object of the first holder; its id becomes wrong on the way.
fn key(change: impl FnOnce(&mut Members)) -> impl FnOnce(&mut Members) {
    |members| change(inside(inside(members, "keys"), &ec(1).id()))
}

fn role(change: impl FnOnce(&mut Members)) -> impl FnOnce(&mut Members) {
    |members| change(inside(inside(members, "roles"), "root"))
}

#[test]
fn what_we_build_is_strict() {
    let root = root_with(|_| {}).unwrap();
    assert_eq!(root.findings(), []);
    assert!(root.body().keys().values().all(|key| key.has_right_id()));
    assert!(root.extra().contains_key("x-trustroot-record"));
}

#[test]
fn published_files_are_json_with_the_same_payload() {
    let payload = Repository::new().root.payload().unwrap();
    let bytes = file(&payload, &[ec(1)]);
    assert!(bytes.iter().all(|byte| *byte >= b' '));
    let root = Metadata::<Root>::parse("1.root.json", &bytes).unwrap();
    assert_eq!((root.payload(), root.file_digest()), (&payload, Digest::of(&bytes)));
}

#[test]
fn another_type() {
    assert_eq!(refused(set("_type", "targets")), Check::MetaType);
}

#[test]
fn no_type() {
    assert_eq!(refused(|members| drop(members.remove("_type"))), Check::MetaForm);
}

#[test]
fn version_zero() {
    assert_eq!(refused(set("version", 0)), Check::MetaForm);
}

#[test]
fn a_negative_version() {
    assert_eq!(refused(set("version", Value::Int(-1))), Check::MetaForm);
}

#[test]
fn a_version_as_text() {
    assert_eq!(refused(set("version", "1")), Check::MetaForm);
}

#[test]
fn a_number_beyond_64_bits() {
    let bytes = String::from_utf8(file(&Repository::new().root.payload().unwrap(), &[])).unwrap();
    let bytes = bytes.replace("\"version\":1,", "\"version\":18446744073709551617,");
    assert_eq!(Metadata::<Root>::parse("x", bytes.as_bytes()).unwrap_err().check(), Check::JsonStrict);
}

#[test]
fn a_repeated_name() {
    let bytes = String::from_utf8(file(&Repository::new().root.payload().unwrap(), &[])).unwrap();
    let bytes = bytes.replace("\"version\":1,", "\"version\":1,\"version\":1,");
    assert_eq!(Metadata::<Root>::parse("x", bytes.as_bytes()).unwrap_err().check(), Check::JsonStrict);
}

#[test]
fn deep_nesting() {
    let bytes = ["{\"signed\":".repeat(50_000), "1".to_string(), "}".repeat(50_000)].concat();
    assert_eq!(Metadata::<Root>::parse("x", bytes.as_bytes()).unwrap_err().check(), Check::JsonStrict);
}

#[test]
fn another_major_version_of_the_specification() {
    for other in ["2.0.0", "1", "1.", "1.0.0.0", "1.0.x", "", "1.0 ", "01.0.0"] {
        assert_eq!(refused(set("spec_version", other)), Check::SpecVersion, "{other}");
    }
}

#[test]
fn the_old_specification_version() {
    assert_eq!(lenient(set("spec_version", "1.0")), [Check::SpecVersion]);
}

#[test]
fn an_old_form_of_expiry() {
    assert_eq!(lenient(set("expires", "2030-01-01T00:00:00.5+01:00")), [Check::ExpiresForm]);
}

#[test]
fn no_form_of_expiry() {
    assert_eq!(refused(set("expires", "tomorrow")), Check::ExpiresForm);
}

#[test]
fn a_threshold_of_zero() {
    assert_eq!(refused(role(set("threshold", 0))), Check::RoleThreshold);
}

#[test]
fn a_threshold_beyond_the_keys() {
    assert_eq!(refused(role(set("threshold", 4))), Check::RoleThreshold);
}

#[test]
fn a_huge_threshold() {
    assert_eq!(refused(role(set("threshold", u64::MAX))), Check::RoleThreshold);
}

#[test]
fn a_key_id_twice_in_a_role() {
    let twice = Value::Arr(Vec::from([Value::Str(ec(1).id()), Value::Str(ec(1).id())]));
    assert_eq!(refused(role(set("keyids", twice))), Check::MetaForm);
}

#[test]
fn a_missing_role() {
    assert_eq!(refused(|members| drop(inside(members, "roles").remove("snapshot"))), Check::MetaForm);
}

#[test]
fn an_unknown_role() {
    let unknown = |members: &mut Members| {
        let root = inside(members, "roles")["root"].clone();
        inside(members, "roles").insert("rooot".to_string(), root);
    };
    assert_eq!(refused(unknown), Check::MetaForm);
}

#[test]
fn an_id_that_is_not_the_hash() {
    assert_eq!(lenient(key(set("x-owner", "alice"))), [Check::KeyId]);
}

#[test]
fn an_old_keytype() {
    assert_eq!(lenient(key(set("keytype", "ecdsa-sha2-nistp256"))), [Check::KeyType, Check::KeyId]);
}

#[test]
fn a_hexadecimal_point() {
    let point = tufkey::spell(&ec(1).public(), tufkey::Spelling::HexPoint).unwrap();
    let root = root_with(key(|key| drop(inside(key, "keyval").insert("public".to_string(), point.into())))).unwrap();
    assert_eq!(root.findings()[0].check, Check::KeyEncoding);
    assert_eq!(root.body().keys()[&ec(1).id()].public(), Some(&ec(1).public()));
}

fn unusable(change: impl FnOnce(&mut Members)) {
    let root = root_with(key(change)).unwrap();
    assert!(root.body().keys()[&ec(1).id()].unusable().is_some());
    assert_eq!(root.findings()[0].check, Check::KeyForm);
    assert_eq!(root.body().role(Role::Root).keys.as_ref().unwrap().keys().len(), 2);
}

#[test]
fn an_unknown_keytype_does_not_break_the_root() {
    unusable(set("keytype", "sigstore-oidc"));
}

#[test]
fn a_key_under_another_scheme_is_unusable() {
    unusable(set("scheme", "ecdsa-sha2-nistp384"));
}

#[test]
fn a_private_key_in_place_of_a_public_one_is_unusable() {
    unusable(|key| drop(inside(key, "keyval").insert("public".to_string(), "-----BEGIN PRIVATE KEY-----".into())));
}

#[test]
fn an_ed25519_key_of_small_order_is_unusable() {
    unusable(|key| {
        key.insert("keytype".to_string(), "ed25519".into());
        key.insert("scheme".to_string(), "ed25519".into());
        inside(key, "keyval").insert("public".to_string(), "00".repeat(32).into());
    });
}

#[test]
fn too_few_usable_keys() {
    let unknown = |members: &mut Members| {
        for id in [ec(1).id(), ec(2).id()] {
            inside(inside(members, "keys"), &id).insert("scheme".to_string(), "unknown".into());
        }
    };
    assert_eq!(refused(unknown), Check::RoleThreshold);
}

#[test]
fn one_key_under_two_ids_cannot_fill_a_role() {
    let double = |members: &mut Members| {
        let again = inside(members, "keys")[&ec(1).id()].clone();
        inside(members, "keys").insert("again".to_string(), again);
        let ids = Value::Arr(Vec::from([Value::Str(ec(1).id()), Value::from("again")]));
        inside(inside(members, "roles"), "root").insert("keyids".to_string(), ids);
    };
    assert_eq!(refused(double), Check::RoleThreshold);
}

#[test]
fn two_signatures_under_one_id() {
    let text = r#"{"signatures":[{"keyid":"a","sig":"00"},{"keyid":"a","sig":"01"}],"signed":{}}"#;
    assert_eq!(Metadata::<Root>::parse("x", text.as_bytes()).unwrap_err().check(), Check::SigRepeated);
}

#[test]
fn empty_signatures_are_a_leniency() {
    let payload = Repository::new().root.payload().unwrap();
    let bytes = String::from_utf8(file(&payload, &[])).unwrap();
    let bytes = bytes.replace("\"signatures\":[]", r#""signatures":[{"keyid":"a","sig":""}]"#);
    let root = Metadata::<Root>::parse("x", bytes.as_bytes()).unwrap();
    assert_eq!(root.findings()[0].check, Check::SigEmpty);
}

#[test]
fn empty_signatures_are_not_assembled() {
    let payload = Repository::new().root.payload().unwrap();
    let bytes = envelope::assemble(&payload, [("a".to_string(), Vec::new())]);
    assert_eq!(Metadata::<Root>::parse("x", &bytes).unwrap().signatures(), []);
}

#[test]
fn an_envelope_without_signatures() {
    assert_eq!(Metadata::<Root>::parse("x", br#"{"signed":{}}"#).unwrap_err().check(), Check::MetaForm);
}

#[test]
fn a_foreign_name_is_escaped() {
    let refusal = Metadata::<Root>::parse("a\u{1b}[2J", b"[]").unwrap_err();
    assert_eq!(refusal.to_string(), "META-FORM: a\\u{1b}[2J: the file is no JSON object");
}

fn body<T: Body>(text: &str) -> Result<Metadata<T>, Refusal> {
    let common = r#""spec_version":"1.0.31","version":1,"expires":"2030-01-01T00:00:00Z""#;
    let bytes = alloc::format!(r#"{{"signatures":[],"signed":{{"_type":"{}",{common},{text}}}}}"#, T::TYPE);
    Metadata::parse("x", bytes.as_bytes())
}

#[test]
fn a_timestamp_that_names_more() {
    assert!(body::<TimestampBody>(r#""meta":{"snapshot.json":{"version":1}}"#).is_ok());
    let more = body::<TimestampBody>(r#""meta":{"snapshot.json":{"version":1},"a.json":{"version":1}}"#);
    assert_eq!(more.unwrap_err().check(), Check::MetaForm);
}

#[test]
fn a_snapshot_without_targets() {
    assert_eq!(body::<Snapshot>(r#""meta":{}"#).unwrap_err().check(), Check::MetaForm);
}

#[test]
fn a_target_without_a_known_hash() {
    let md5 = body::<Targets>(r#""targets":{"a":{"length":1,"hashes":{"md5":"00"}}}"#);
    assert_eq!(md5.unwrap_err().check(), Check::MetaForm);
}

#[test]
fn a_delegation_to_a_top_level_role() {
    let text = r#""targets":{},"delegations":{"keys":{},"roles":[{"name":"root","keyids":[],"threshold":1,"paths":["*"],
        "terminating":false}]}"#;
    assert_eq!(body::<Targets>(text).unwrap_err().check(), Check::MetaForm);
}

#[test]
fn every_hash_has_to_match() {
    let hashes = |sha256: &str, sha512: &str| {
        let text = alloc::format!(r#"{{"hashes":{{"sha256":"{sha256}","sha512":"{sha512}"}}}}"#);
        fields::Hashes::read(&crate::json::parse(text.as_bytes()).unwrap(), &Notes::new("x")).unwrap()
    };
    use sha2::Digest as _;
    let (sha256, sha512) = (Digest::of(b"a").to_string(), hex::encode(sha2::Sha512::digest(b"a")));
    assert!(hashes(&sha256, &sha512).matches(b"a"));
    assert!(!hashes(&sha256, &"0".repeat(128)).matches(b"a"));
    assert!(!hashes(&"0".repeat(64), &sha512).matches(b"a"));
}

#[test]
fn an_extra_field_of_the_specification_is_not_built() {
    let mut repository = Repository::new();
    repository.root.extra.insert("expires".to_string(), Value::from("never"));
    assert_eq!(repository.root.payload(), Err(build::BuildFault::Extra("expires".to_string())));
}

#[test]
fn a_role_that_cannot_be_met_is_not_built() {
    let mut repository = Repository::new();
    repository.root.snapshot.threshold = 2;
    assert!(matches!(repository.root.payload(), Err(build::BuildFault::Refused(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Assembly is a union: order and repetition of signatures do not matter.
    #[test]
    fn assembly_has_no_order(numbers in proptest::collection::vec(1u8..40, 0..8)) {
        let payload = Repository::new().root.payload().unwrap();
        let keys: Vec<Key> = numbers.iter().map(|n| ed(*n)).collect();
        let mut turned = keys.clone();
        turned.reverse();
        turned.extend(keys.first().cloned());
        prop_assert_eq!(file(&payload, &keys), file(&payload, &turned));
    }

    /// Whatever the bytes, reading them ends, without a panic.
    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..2000, cut in any::<bool>()) {
        let mut root = file(&Repository::new().root.payload().unwrap(), &[ed(1)]);
        let at = at.min(root.len());
        if cut { root.truncate(at); }
        root.splice(at..at, bytes.iter().copied());
        let _ = Metadata::<Root>::parse("x", &root);
        let _ = Metadata::<Root>::of_payload("x", &bytes);
    }
}

#[test]
fn a_file_far_beyond_any_honest_one_is_refused_before_it_is_read() {
    let root = file(&Repository::new().root.payload().unwrap(), &[]);
    let padded = |length: usize| {
        let mut bytes = root.clone();
        bytes.resize(length, b' ');
        Metadata::<Root>::parse("1.root.json", &bytes).map(drop)
    };
    assert_eq!(padded(Root::MOST), Ok(()));
    let refusal = padded(Root::MOST + 1).unwrap_err();
    assert_eq!(refusal.check(), Check::MetaForm);
    assert_eq!(refusal.finding().what.line(), "it has 1048577 bytes; root metadata has at most 1048576");
}
