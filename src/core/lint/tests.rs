//! Proposals with one fault each, and the check that blocks them.

use super::*;
use crate::metadata::tufkey::key_id;
use crate::payload::Payload;
use crate::testing::{Repository, changed, ec, file, keyholders, now};
use alloc::string::String;

use crate::json::Members;

fn findings(root: &Payload, targets: &Payload) -> Vec<Finding> {
    let old = (None, None);
    lint(&Proposal { root: root.bytes(), targets: targets.bytes(), old_root: old.0, old_targets: old.1, now: now() })
}

fn blocked(root: &Payload, targets: &Payload) -> BTreeSet<Check> {
    let all = findings(root, targets);
    assert_eq!(passes(&all), all.iter().all(|finding| finding.level != Level::Refused));
    all.iter().filter(|finding| finding.level == Level::Refused).map(|finding| finding.check).collect()
}

fn root_with(change: impl FnOnce(&mut Members)) -> BTreeSet<Check> {
    let repository = Repository::new();
    blocked(&changed(&repository.root.payload().unwrap(), change), &repository.targets.payload().unwrap())
}

fn targets_with(change: impl FnOnce(&mut Members)) -> BTreeSet<Check> {
    let repository = Repository::new();
    blocked(&repository.root.payload().unwrap(), &changed(&repository.targets.payload().unwrap(), change))
}

fn built(change: impl FnOnce(&mut Repository)) -> BTreeSet<Check> {
    let mut repository = Repository::new();
    change(&mut repository);
    blocked(&repository.root.payload().unwrap(), &repository.targets.payload().unwrap())
}

fn inside<'a>(members: &'a mut Members, name: &str) -> &'a mut Members {
    let Some(Value::Obj(inner)) = members.get_mut(name) else { panic!("{name}") };
    inner
}

#[test]
fn a_good_proposal() {
    let repository = Repository::new();
    assert_eq!(findings(&repository.root.payload().unwrap(), &repository.targets.payload().unwrap()), []);
}

/// Sigstore's root 11: one id of five is not the hash of its key.
#[test]
fn a_wrong_key_id() {
    let repository = Repository::new();
    let text = String::from_utf8(repository.root.payload().unwrap().to_json()).unwrap();
    let text = text.replace(&repository.holders[0].id(), &"ab".repeat(32));
    let root = Payload::of(&crate::json::parse(text.as_bytes()).unwrap());
    assert_eq!(blocked(&root, &repository.targets.payload().unwrap()), [Check::KeyId].into());
}

#[test]
fn one_key_with_two_ids() {
    let checks = root_with(|members| {
        let Value::Obj(mut again) = inside(members, "keys")[&ec(1).id()].clone() else { panic!() };
        again.insert("x-again".to_string(), Value::from("yes"));
        let id = key_id(&Value::Obj(again.clone())).to_string();
        inside(members, "keys").insert(id.clone(), Value::Obj(again));
        let Some(Value::Arr(ids)) = inside(inside(members, "roles"), "root").get_mut("keyids") else { panic!() };
        ids.push(Value::Str(id));
    });
    assert_eq!(checks, [Check::KeyDistinct, Check::KeyForm].into());
}

#[test]
fn an_unknown_key() {
    let checks = root_with(|members| {
        let unknown = Value::from([
            ("keytype", Value::from("new")),
            ("scheme", Value::from("new")),
            ("keyval", Value::Obj(Members::new())),
        ]);
        let id = key_id(&unknown).to_string();
        inside(members, "keys").insert(id.clone(), unknown);
        let Some(Value::Arr(ids)) = inside(inside(members, "roles"), "root").get_mut("keyids") else { panic!() };
        ids.push(Value::Str(id));
    });
    assert_eq!(checks, [Check::KeyForm].into());
}

#[test]
fn a_key_that_no_role_names() {
    let checks = root_with(|members| {
        let key = new_form(&ec(50).public()).unwrap();
        inside(members, "keys").insert(ec(50).id(), key);
    });
    assert_eq!(checks, [Check::KeyForm].into());
}

#[test]
fn an_id_that_names_no_key() {
    let checks = root_with(|members| {
        let Some(Value::Arr(ids)) = inside(inside(members, "roles"), "root").get_mut("keyids") else { panic!() };
        ids.push(Value::from("nobody"));
    });
    assert_eq!(checks, [Check::MetaForm].into());
}

#[test]
fn a_role_without_enough_keys() {
    let checks = root_with(|members| {
        inside(inside(members, "roles"), "timestamp").insert("threshold".to_string(), 2.into());
    });
    assert_eq!(checks, [Check::RoleThreshold].into());
}

#[test]
fn a_holders_key_as_online_key() {
    let checks = built(|repository| {
        repository.root.timestamp = keyholders(&repository.holders[..1], 1);
    });
    assert_eq!(checks, [Check::KeyRoles].into());
}

#[test]
fn one_key_alone_is_a_warning() {
    let mut repository = Repository::new();
    repository.root.root.threshold = 1;
    let all = findings(&repository.root.payload().unwrap(), &repository.targets.payload().unwrap());
    assert!(passes(&all));
    assert_eq!((all[0].level, all[0].check), (Level::Warning, Check::RoleThreshold));
}

#[test]
fn an_expired_root() {
    assert_eq!(built(|repository| repository.root.expires = now()), [Check::Expired].into());
}

#[test]
fn expired_targets() {
    assert_eq!(built(|repository| repository.targets.expires = now()), [Check::Expired].into());
}

#[test]
fn a_first_root_that_is_not_the_first() {
    assert_eq!(built(|repository| repository.root.version = 2), [Check::RootVersion].into());
}

#[test]
fn a_version_that_does_not_follow() {
    let repository = Repository::new();
    let (root, targets) = (repository.root.payload().unwrap(), repository.targets.payload().unwrap());
    let old: Metadata<Root> = Metadata::parse("1.root.json", &file(&root, &[])).unwrap();
    let all = lint(&Proposal {
        root: root.bytes(),
        targets: targets.bytes(),
        old_root: Some(&old),
        old_targets: None,
        now: now(),
    });
    assert_eq!(all.iter().map(|finding| finding.check).collect::<Vec<_>>(), [Check::RootVersion]);
}

#[test]
fn targets_that_go_back() {
    let mut repository = Repository::new();
    let root = repository.root.payload().unwrap();
    repository.targets.version = 5;
    let old: Metadata<Targets> =
        Metadata::parse("5.targets.json", &file(&repository.targets.payload().unwrap(), &[])).unwrap();
    let with = |targets: &Payload| {
        let proposal = Proposal {
            root: root.bytes(),
            targets: targets.bytes(),
            old_root: None,
            old_targets: Some(&old),
            now: now(),
        };
        lint(&proposal).iter().map(|finding| finding.check).collect::<Vec<_>>()
    };
    assert_eq!(with(old.payload()), []);
    repository.targets.expires = now().plus_days(7);
    assert_eq!(with(&repository.targets.payload().unwrap()), [Check::MetaRollback]);
    repository.targets.version = 6;
    assert_eq!(with(&repository.targets.payload().unwrap()), []);
}

#[test]
fn an_old_form() {
    assert_eq!(
        root_with(|members| drop(members.insert("spec_version".into(), "1.0".into()))),
        [Check::SpecVersion].into()
    );
}

#[test]
fn no_consistent_snapshots() {
    let checks = root_with(|members| drop(members.insert("consistent_snapshot".into(), Value::Bool(false))));
    assert_eq!(checks, [Check::MetaForm].into());
}

#[test]
fn a_field_without_a_prefix() {
    assert_eq!(root_with(|members| drop(members.insert("note".into(), "hello".into()))), [Check::MetaForm].into());
}

#[test]
fn text_that_is_not_nfc() {
    let value = Value::from([("name", Value::from("Zoe\u{308}"))]);
    assert_eq!(root_with(|members| drop(members.insert("x-trustroot-a".into(), value))), [Check::TextClean].into());
}

#[test]
fn a_hidden_character_in_a_name() {
    let value = Value::Arr(Vec::from([Value::from([("a\u{200b}", Value::Null)])]));
    assert_eq!(root_with(|members| drop(members.insert("x-trustroot-a".into(), value))), [Check::TextClean].into());
}

#[test]
fn a_version_that_javascript_rounds() {
    assert_eq!(
        targets_with(|members| drop(members.insert("version".into(), (1 << 53).into()))),
        [Check::MetaForm].into()
    );
}

#[test]
fn bytes_that_are_not_canonical() {
    let repository = Repository::new();
    let root = repository.root.payload().unwrap().to_json();
    let targets = repository.targets.payload().unwrap();
    let proposal = Proposal { root: &root, targets: targets.bytes(), old_root: None, old_targets: None, now: now() };
    assert_eq!(lint(&proposal)[0].check, Check::MetaForm);
}

#[test]
fn the_two_payloads_swapped() {
    let repository = Repository::new();
    let (root, targets) = (repository.root.payload().unwrap(), repository.targets.payload().unwrap());
    assert_eq!(blocked(&targets, &root), [Check::MetaType].into());
}

#[test]
fn an_empty_custom() {
    let checks = targets_with(|members| {
        inside(inside(members, "targets"), "a.txt").insert("custom".to_string(), Value::Obj(Members::new()));
    });
    assert_eq!(checks, [Check::MetaForm].into());
}

#[test]
fn a_path_that_climbs() {
    for path in ["../a", "/a", "a//b", "a/./b"] {
        let checks = targets_with(|members| {
            let target = inside(members, "targets")["a.txt"].clone();
            inside(members, "targets").insert(path.to_string(), target);
        });
        assert_eq!(checks, [Check::MetaForm].into(), "{path}");
    }
}
