//! Attacks on the trusted set, one a test.

use super::*;
use crate::json::Value;
use crate::metadata::build::Keyholders;
use crate::metadata::envelope::assemble;
use crate::metadata::targets::Target;
use crate::payload::Payload;
use crate::signature::Portable;
use crate::testing::{Published, Repository, changed, ec, ed, file, now};
use core::slice::from_ref;

fn current(published: &Published) -> CurrentRoot {
    TrustedRoot::pinned(&published.root, &Portable).unwrap().at(now()).unwrap()
}

fn refresh(published: &Published, floor: &Floor) -> Result<TrustedTargets, Refusal> {
    let timestamp = current(published).timestamp(&published.timestamp, floor, &Portable)?;
    timestamp.snapshot(&published.snapshot, &Portable)?.targets(&published.targets, &Portable)
}

fn refused(published: &Published) -> Check {
    refresh(published, &Floor::none()).unwrap_err().check()
}

fn floor_of(published: &Published) -> Floor {
    let root = TrustedRoot::pinned(&published.root, &Portable).unwrap();
    let (timestamp, snapshot) = (Some(published.timestamp.as_slice()), Some(published.snapshot.as_slice()));
    Floor::from_local(&root.at(now()).unwrap(), &root, timestamp, snapshot, &Portable)
}

#[test]
fn all_the_way() {
    let trusted = refresh(&Repository::new().publish(), &Floor::none()).unwrap();
    assert!(trusted.metadata().body().targets().get("a.txt").unwrap().matches(b"a"));
    assert_eq!(trusted.findings(), []);
}

#[test]
fn the_same_files_again() {
    let published = Repository::new().publish();
    assert!(refresh(&published, &floor_of(&published)).is_ok());
}

#[test]
fn a_pinned_root_without_its_own_quorum() {
    let repository = Repository::new();
    let lone = file(&repository.root.payload().unwrap(), &repository.holders[..1]);
    assert_eq!(TrustedRoot::pinned(&lone, &Portable).unwrap_err().check(), Check::RootQuorum);
}

#[test]
fn an_expired_root_is_asked_for_last() {
    let mut repository = Repository::new();
    repository.root.expires = now();
    let root = TrustedRoot::pinned(&repository.publish().root, &Portable).unwrap();
    assert_eq!(root.at(now()).unwrap_err().check(), Check::Expired);
    assert!(root.at(now().plus_seconds(-1)).is_ok());
    repository.root.version = 2;
    repository.root.expires = now().plus_days(1);
    let next = root.advance(&repository.publish().root, &Portable).unwrap();
    assert!(next.at(now()).is_ok());
}

#[test]
fn a_root_version_skipped() {
    let mut repository = Repository::new();
    let root = TrustedRoot::pinned(&repository.publish().root, &Portable).unwrap();
    repository.root.version = 3;
    let refusal = root.advance(&repository.publish().root, &Portable).unwrap_err();
    assert_eq!(refusal.check(), Check::RootVersion);
    assert_eq!(root.metadata().version(), 1);
}

#[test]
fn a_timestamp_by_a_strangers_key() {
    let mut repository = Repository::new();
    let mut published = repository.publish();
    published.timestamp = file(&repository.timestamp.payload().unwrap(), from_ref(&ed(66)));
    assert_eq!(refused(&published), Check::MetaQuorum);
    repository.online = ed(66);
    let stranger = repository.publish();
    published.timestamp = stranger.timestamp;
    assert_eq!(refused(&published), Check::MetaQuorum);
}

#[test]
fn a_snapshot_by_a_strangers_key() {
    let mut repository = Repository::new();
    repository.root.snapshot = Keyholders { keys: [ed(77).public()].into(), threshold: 1 };
    assert_eq!(refused(&repository.publish()), Check::MetaQuorum);
}

#[test]
fn targets_with_one_signature_too_few() {
    let mut repository = Repository::new();
    let root = repository.publish().root;
    repository.holders.truncate(1);
    let published = Published { root, ..repository.publish() };
    assert_eq!(refused(&published), Check::MetaQuorum);
}

#[test]
fn a_snapshot_where_the_timestamp_should_be() {
    let mut published = Repository::new().publish();
    published.timestamp = published.snapshot.clone();
    assert_eq!(refused(&published), Check::MetaType);
}

#[test]
fn mixed_files_of_two_moments() {
    let mut repository = Repository::new();
    let old = repository.publish();
    repository.targets.version = 2;
    repository.snapshot.version = 2;
    let new = repository.publish();
    assert_eq!(refused(&Published { snapshot: new.snapshot, ..old.clone() }), Check::MetaHash);
    assert_eq!(refused(&Published { targets: new.targets, ..old }), Check::MetaHash);
}

#[test]
fn another_version_than_promised() {
    let mut repository = Repository::new();
    let mut published = repository.publish();
    repository.timestamp.snapshot.version = 2;
    published.timestamp = file(&repository.timestamp.payload().unwrap(), from_ref(&repository.online));
    assert_eq!(refused(&published), Check::MetaHash);
}

#[test]
fn another_version_of_targets_than_promised() {
    let mut repository = Repository::new();
    let mut published = repository.publish();
    repository.snapshot.meta.get_mut("targets.json").unwrap().version = 2;
    published.snapshot = file(&repository.snapshot.payload().unwrap(), from_ref(&repository.online));
    repository.timestamp.snapshot = crate::metadata::fields::MetaFile::of(1, &published.snapshot);
    published.timestamp = file(&repository.timestamp.payload().unwrap(), from_ref(&repository.online));
    assert_eq!(refused(&published), Check::MetaHash);
}

#[test]
fn a_byte_too_many_in_the_targets() {
    let mut published = Repository::new().publish();
    published.targets.push(b' ');
    assert_eq!(refused(&published), Check::MetaHash);
}

#[test]
fn a_byte_too_many_in_the_snapshot() {
    let mut published = Repository::new().publish();
    published.snapshot.push(b' ');
    assert_eq!(refused(&published), Check::MetaHash);
}

#[test]
fn another_snapshot_of_the_same_version_and_length() {
    let mut repository = Repository::new();
    let published = repository.publish();
    repository.snapshot.expires = now().plus_days(99);
    let other = repository.publish().snapshot;
    assert_eq!(other.len(), published.snapshot.len());
    assert_eq!(refused(&Published { snapshot: other, ..published }), Check::MetaHash);
}

#[test]
fn an_expired_timestamp() {
    let mut repository = Repository::new();
    repository.timestamp.expires = now();
    assert_eq!(refused(&repository.publish()), Check::Expired);
}

#[test]
fn an_expired_snapshot() {
    let mut repository = Repository::new();
    repository.snapshot.expires = now();
    assert_eq!(refused(&repository.publish()), Check::Expired);
}

#[test]
fn expired_targets() {
    let mut repository = Repository::new();
    repository.targets.expires = now();
    assert_eq!(refused(&repository.publish()), Check::Expired);
}

fn rolled_back(old: &Published, floor: &Floor) -> Check {
    refresh(old, floor).unwrap_err().check()
}

#[test]
fn an_older_timestamp() {
    let mut repository = Repository::new();
    let old = repository.publish();
    repository.timestamp.version = 2;
    assert_eq!(rolled_back(&old, &floor_of(&repository.publish())), Check::MetaRollback);
}

#[test]
fn an_expired_timestamp_is_still_a_floor() {
    let mut repository = Repository::new();
    let old = repository.publish();
    repository.timestamp.version = 2;
    repository.timestamp.expires = now();
    assert_eq!(rolled_back(&old, &floor_of(&repository.publish())), Check::MetaRollback);
}

#[test]
fn a_timestamp_of_the_same_version_with_other_content() {
    let mut repository = Repository::new();
    let old = repository.publish();
    repository.timestamp.expires = now().plus_days(3);
    assert_eq!(rolled_back(&repository.publish(), &floor_of(&old)), Check::MetaRollback);
}

#[test]
fn an_older_snapshot_under_a_newer_timestamp() {
    let mut repository = Repository::new();
    repository.snapshot.version = 2;
    let newer = repository.publish();
    repository.snapshot.version = 1;
    repository.timestamp.version = 2;
    assert_eq!(rolled_back(&repository.publish(), &floor_of(&newer)), Check::MetaRollback);
}

#[test]
fn older_targets_under_a_newer_snapshot() {
    let mut repository = Repository::new();
    repository.targets.version = 2;
    let newer = repository.publish();
    repository.targets.version = 1;
    (repository.snapshot.version, repository.timestamp.version) = (2, 2);
    assert_eq!(rolled_back(&repository.publish(), &floor_of(&newer)), Check::MetaRollback);
}

#[test]
fn targets_that_the_snapshot_forgets() {
    let mut repository = Repository::new();
    repository.snapshot.meta.insert("spare.json".to_string(), crate::metadata::fields::MetaFile::of(1, b""));
    let newer = repository.publish();
    repository.snapshot.meta.remove("spare.json");
    (repository.snapshot.version, repository.timestamp.version) = (2, 2);
    assert_eq!(rolled_back(&repository.publish(), &floor_of(&newer)), Check::MetaRollback);
}

/// Clients hold snapshots of a time when these named the root too, and have to get past them.
#[test]
fn a_root_that_the_snapshot_no_longer_names() {
    let mut repository = Repository::new();
    repository.snapshot.meta.insert("root.json".to_string(), crate::metadata::fields::MetaFile::of(1, b""));
    let floor = floor_of(&repository.publish());
    repository.snapshot.meta.remove("root.json");
    (repository.snapshot.version, repository.timestamp.version) = (2, 2);
    assert!(refresh(&repository.publish(), &floor).is_ok());
}

#[test]
fn a_snapshot_is_a_floor_without_its_timestamp() {
    let mut repository = Repository::new();
    let old = repository.publish();
    repository.snapshot.version = 2;
    let newer = repository.publish();
    let root = TrustedRoot::pinned(&newer.root, &Portable).unwrap();
    let floor = Floor::from_local(&root.at(now()).unwrap(), &root, None, Some(&newer.snapshot), &Portable);
    assert_eq!(rolled_back(&old, &floor), Check::MetaRollback);
}

#[test]
fn what_a_stranger_signed_is_no_floor() {
    let published = Repository::new().publish();
    let mut stranger = Repository::new();
    stranger.online = ed(66);
    stranger.timestamp.version = u64::MAX;
    let theirs = stranger.publish();
    let root = TrustedRoot::pinned(&published.root, &Portable).unwrap();
    let floor = Floor::from_local(&root.at(now()).unwrap(), &root, Some(&theirs.timestamp), None, &Portable);
    assert!(refresh(&published, &floor).is_ok());
}

/// TUF 5.3.11: the way back after somebody stole the online key and signed a version far in the future.
#[test]
fn a_rotation_of_online_keys_ends_the_floor_and_another_key_does_not() {
    let mut repository = Repository::new();
    let first = TrustedRoot::pinned(&repository.publish().root, &Portable).unwrap();
    let stolen = repository.online.public();
    repository.snapshot.version = u64::MAX;
    let theirs = repository.publish();
    repository.snapshot.version = 1;
    repository.root.version = 2;
    repository.online = ed(8);
    for (keys, ended) in [(Vec::from([ed(8).public()]), true), (Vec::from([ed(8).public(), stolen]), false)] {
        let keys = Keyholders { keys: keys.into_iter().collect(), threshold: 1 };
        (repository.root.snapshot, repository.root.timestamp) = (keys.clone(), keys);
        let mended = repository.publish();
        let second = first.advance(&mended.root, &Portable).unwrap().at(now()).unwrap();
        let local = (Some(theirs.timestamp.as_slice()), Some(theirs.snapshot.as_slice()));
        let floor = Floor::from_local(&second, &first, local.0, local.1, &Portable);
        assert_eq!(second.timestamp(&mended.timestamp, &floor, &Portable).is_ok(), ended);
    }
}

/// Targets that delegate `inner.txt` to a role with the key 20.
fn delegating(repository: &mut Repository, delegated: &[u8], version: u64) -> Published {
    let key = crate::metadata::tufkey::new_form(&ec(20).public()).unwrap();
    let role = Value::from([
        ("name", Value::from("inner")),
        ("keyids", Value::Arr(Vec::from([Value::Str(ec(20).id())]))),
        ("threshold", Value::from(1)),
        ("paths", Value::Arr(Vec::from([Value::from("inner*")]))),
        ("terminating", Value::Bool(true)),
    ]);
    let keys = Value::Obj([(ec(20).id(), key)].into());
    let delegations = Value::from([("keys", keys), ("roles", Value::Arr(Vec::from([role])))]);
    let payload = changed(&repository.targets.payload().unwrap(), |members| {
        members.insert("delegations".to_string(), delegations);
    });
    let targets = file(&payload, &repository.holders);
    let named = crate::metadata::fields::MetaFile::of;
    repository.snapshot.meta.insert("targets.json".to_string(), named(1, &targets));
    repository.snapshot.meta.insert("inner.json".to_string(), named(version, delegated));
    let online = from_ref(&repository.online);
    let snapshot = file(&repository.snapshot.payload().unwrap(), online);
    repository.timestamp.snapshot = named(1, &snapshot);
    let timestamp = file(&repository.timestamp.payload().unwrap(), online);
    Published { root: file(&repository.root.payload().unwrap(), &repository.holders), targets, snapshot, timestamp }
}

fn inner() -> Payload {
    let mut repository = Repository::new();
    repository.targets.targets = [("inner.txt".to_string(), Target::of(b"i"))].into();
    repository.targets.payload().unwrap()
}

#[test]
fn a_delegation() {
    let file = file(&inner(), from_ref(&ec(20)));
    let top = refresh(&delegating(&mut Repository::new(), &file, 1), &Floor::none()).unwrap();
    assert_eq!(top.metadata().body().delegations().unwrap().for_path("inner.txt"), [("inner".to_string(), true)]);
    let inner = top.delegated("inner", &file, &Portable).unwrap();
    assert!(inner.metadata().body().targets().contains("inner.txt"));
}

#[test]
fn a_delegation_signed_by_another() {
    let file = file(&inner(), from_ref(&ec(1)));
    let top = refresh(&delegating(&mut Repository::new(), &file, 1), &Floor::none()).unwrap();
    assert_eq!(top.delegated("inner", &file, &Portable).unwrap_err().check(), Check::MetaQuorum);
}

#[test]
fn nothing_is_delegated_to_a_role_that_is_not_named() {
    let published = Repository::new().publish();
    let top = refresh(&published, &Floor::none()).unwrap();
    assert_eq!(top.delegated("targets", &published.targets, &Portable).unwrap_err().check(), Check::MetaMissing);
}

#[test]
fn a_role_with_unknown_keys_is_refused_when_it_is_needed() {
    let repository = Repository::new();
    let payload = changed(&repository.root.payload().unwrap(), |members| {
        let Some(Value::Obj(keys)) = members.get_mut("keys") else { unreachable!() };
        let Some(Value::Obj(key)) = keys.get_mut(&repository.online.id()) else { unreachable!() };
        key.insert("scheme".to_string(), Value::from("ed448"));
    });
    let root = TrustedRoot::pinned(&file(&payload, &repository.holders), &Portable).unwrap();
    assert!(root.metadata().findings().iter().any(|finding| finding.check == Check::KeyForm));
    let timestamp = repository.clone().publish().timestamp;
    let refusal = root.at(now()).unwrap().timestamp(&timestamp, &Floor::none(), &Portable).unwrap_err();
    assert_eq!(refusal.check(), Check::RoleThreshold);
}

#[test]
fn a_good_signature_beside_bad_ones() {
    let mut repository = Repository::new();
    let mut published = repository.publish();
    let payload = repository.timestamp.payload().unwrap();
    let good = (repository.online.id(), repository.online.sign(payload.bytes()));
    published.timestamp = assemble(&payload, [good, ("unknown".to_string(), [7; 64].to_vec())]);
    assert!(refresh(&published, &Floor::none()).is_ok());
}
