//! The layouts that are met: Sigstore's through its years, those of tuf-on-ci and its kind, and plain folders.

use super::stage::{SET, Stage, day, delegated, delegating, key, plan, root, signed, snapshot, targets, timestamp};
use super::{found, one, report, told};
use trustroot_core::check::{Check, Level};
use trustroot_core::json::Value;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::{Metadata, Role};
use trustroot_core::payload::Payload;

#[test]
fn a_source_waits_for_the_online_keys_and_does_not_break() {
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    stage.write("metadata/root_history/1.root.json", &root(1, ""));
    stage.write("metadata/root.json", &root(1, ""));
    stage.source(1, 40);
    stage.commit(1);
    stage.write("metadata/targets.json", &targets(2));
    stage.commit(2);
    stage.source(2, 40);
    stage.commit(3);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), []);
    assert_eq!((report.facts.waited, report.facts.folder.as_str()), (1, "metadata"));
}

/// Sigstore: a ceremony's own repository first, then one folder for clients, then a source with `root_history/`, out of
/// which the published files are built elsewhere.
#[test]
fn sigstore_through_its_years() {
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    let set = |stage: &mut Stage, folder: &str, version: u64, until: i64| {
        let targets = targets(version);
        let snapshot = snapshot(version, &[("targets.json", version, &targets)]);
        for (name, bytes) in [("targets", &targets), ("snapshot", &snapshot)] {
            stage.write(&format!("{folder}/{version}.{name}.json"), bytes);
            stage.write(&format!("{folder}/{name}.json"), bytes);
        }
        stage.write(&format!("{folder}/timestamp.json"), &timestamp(version, day(until), (version, &snapshot)));
    };
    let ceremony = |stage: &mut Stage, date: &str, version: u64| {
        for name in [format!("{version}.root.json"), "root.json".to_owned()] {
            stage.write(&format!("ceremony/{date}/repository/{name}"), &root(version, ""));
        }
    };
    ceremony(&mut stage, "2026-01-01", 1);
    set(&mut stage, "ceremony/2026-01-01/repository", 1, 20);
    stage.commit(1);
    for name in ["1.root.json", "root.json"] {
        stage.write(&format!("{SET}/{name}"), &root(1, ""));
    }
    set(&mut stage, SET, 1, 20);
    stage.commit(2);
    // Signatures are collected one by one.
    let payload = Metadata::<Root>::parse("root", &root(2, "")).unwrap().payload().clone();
    for (at, keys) in [(5, 1), (6, 2), (7, 3)] {
        let keys: Vec<_> = (1..=keys).map(key).collect();
        stage.write("repository/staged/root.json", &signed(&payload, &keys));
        stage.commit(at);
    }
    stage.remove("repository/staged");
    for name in ["2.root.json", "root.json"] {
        stage.write(&format!("{SET}/{name}"), &root(2, ""));
    }
    set(&mut stage, SET, 2, 40);
    stage.commit(10);
    // The move to a source: folders go, and files go on under plain names.
    for (version, note) in [(1, ""), (2, "")] {
        stage.write(&format!("metadata/root_history/{version}.root.json"), &root(version, note));
    }
    stage.write("metadata/root.json", &root(2, ""));
    stage.source(3, 50);
    stage.remove("repository");
    stage.commit(20);
    stage.source(4, 60);
    stage.commit(25);
    let report = report(&mut stage, 30);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.folder, "metadata");
    assert_eq!(report.facts.roots.iter().map(|root| root.version).collect::<Vec<_>>(), [1, 2]);
    told("sigstore-layouts", &mut stage, 30);
}

/// A root as tuf-on-ci writes it: names of owners inside the key objects, so that their ids are another's.
fn on_ci(version: u64) -> Vec<u8> {
    let payload = plan(version).payload().unwrap();
    let (_, mut signed_part) = Payload::read(payload.bytes()).unwrap();
    let Value::Obj(members) = &mut signed_part else { panic!("an object") };
    let Some(Value::Obj(keys)) = members.get_mut("keys") else { panic!("keys") };
    for (number, form) in keys.values_mut().enumerate() {
        let Value::Obj(form) = form else { panic!("a key") };
        form.insert("x-tuf-on-ci-keyowner".to_owned(), format!("@holder{number}").into());
    }
    let payload = Payload::of(&signed_part);
    signed(&payload, &super::stage::holders())
}

#[test]
fn a_source_of_tuf_on_ci() {
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    stage.write("metadata/root_history/1.root.json", &on_ci(1));
    stage.write("metadata/root.json", &on_ci(1));
    stage.source(1, 40);
    stage.commit(1);
    // A delegated role is signed on a branch, and merged; the online keys sign after that.
    stage.branch("sign/add-crates");
    stage.write("metadata/targets.json", &delegating(2));
    stage.write("metadata/crates.json", &delegated(1, 7));
    stage.commit(2);
    stage.write("metadata/crates.json", &delegated(1, 8));
    stage.commit(3);
    stage.branch("main");
    stage.merge("sign/add-crates");
    stage.write("metadata/targets.json", &delegating(2));
    stage.write("metadata/crates.json", &delegated(1, 8));
    stage.commit(4);
    let (targets, crates) = (delegating(2), delegated(1, 8));
    let named = snapshot(2, &[("targets.json", 2, &targets), ("crates.json", 1, &crates)]);
    stage.write("metadata/snapshot.json", &named);
    stage.write("metadata/timestamp.json", &timestamp(2, day(40), (2, &named)));
    stage.commit(5);
    let report = report(&mut stage, 15);
    // Their key ids are not the hashes of their keys, which strict clients refuse.
    let lenient: Vec<_> = found(&report).into_iter().filter(|(level, ..)| *level > Level::Lenient).collect();
    assert_eq!(lenient, []);
    assert_eq!(report.facts.waited, 1);
    assert!(report.facts.holders.iter().all(|holder| holder.owner.is_some() && holder.proof.is_some()));
    told("tuf-on-ci", &mut stage, 15);
}

#[test]
fn plain_files_at_the_top() {
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    let targets = targets(1);
    let named = snapshot(1, &[("targets.json", 1, &targets)]);
    stage.write("root.json", &root(1, ""));
    stage.write("targets.json", &targets);
    stage.write("snapshot.json", &named);
    stage.write("timestamp.json", &timestamp(1, day(40), (1, &named)));
    stage.commit(1);
    // The root is replaced under its one name; the first is only in the history.
    stage.write("root.json", &root(2, ""));
    stage.commit(5);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.roots.iter().map(|root| root.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(report.facts.folder, "the top folder");
}

#[test]
fn numbered_roots_alone() {
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    stage.write("1.root.json", &root(1, ""));
    stage.write("2.root.json", &root(2, ""));
    stage.commit(1);
    assert_eq!(found(&report(&mut stage, 15)), []);
    assert_eq!(found(&report(&mut stage, 301)), one(Level::Refused, Check::Expired, "root 2"));
}

#[test]
fn a_source_beside_what_is_published_from_it() {
    let mut stage = Stage::begun();
    stage.write("metadata/root_history/1.root.json", &root(1, ""));
    stage.write("metadata/root.json", &root(1, ""));
    stage.source(1, 20);
    stage.commit(2);
    stage.source(2, 30);
    stage.commit(5);
    stage.set(2, 30);
    stage.commit(6);
    assert_eq!(found(&report(&mut stage, 15)), []);
}

#[test]
fn two_trust_roots_in_one_repository_are_not_each_others_rivals() {
    let mut stage = Stage::clean();
    let mut other = plan(1);
    let keys = [key(31), key(32)];
    let holders = super::stage::role(&keys, 2);
    (other.root, other.targets) = (holders.clone(), holders);
    stage.write("staging/1.root.json", &signed(&other.payload().unwrap(), &keys));
    stage.write("other/1.root.json", &signed(&other.payload().unwrap(), &keys));
    stage.commit(12);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.others, ["other", "staging"]);
    assert_eq!(report.facts.roots[0].rivals, 0);
    let root = Metadata::<Root>::parse("root", &root(1, "")).unwrap();
    assert_eq!(root.body().role(Role::Root).threshold, 2);
}
