//! Every check of the history verifier, from both sides: what is just right passes, and what is just wrong is told by that
//! name, and by no other.

use super::stage::{
    SET, Stage, day, evidence, files, holders, key, plan, role, root, serial, signed, snapshot, targets, timestamp,
};
use super::{found, judged, names, one, past, report};
use trustroot::ledger::Reading;
use trustroot::token::certificate::{Claims, DEVICE_NAME, Issuer};
use trustroot_core::attestation::anchor::certificate_to_pem;
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::{Metadata, build};
use trustroot_core::signature::Portable;
use trustroot_core::verify::history::{Ask, verify_history};

const WARNING: Level = Level::Warning;
const REFUSED: Level = Level::Refused;

#[test]
fn root_rival() {
    // A draft that only one of two signed can never be taken for the root.
    let draft = Metadata::<Root>::parse("root", &root(2, "another")).unwrap().payload().clone();
    for (keys, rival) in [(vec![key(1)], false), (vec![key(1), key(4)], false), (vec![key(1), key(2)], true)] {
        let mut stage = Stage::clean();
        stage.branch("draft");
        stage.write("ceremony/2026-01-08/staged/root.json", &signed(&draft, &keys));
        stage.commit(11);
        let expected = if rival { one(REFUSED, Check::RootRival, "root 2") } else { vec![] };
        assert_eq!(found(&report(&mut stage, 15)), expected);
    }
}

#[test]
fn root_rival_of_the_first_version() {
    // Nobody signs a first root but its own keys: only those of the known one make another its rival.
    let mut stage = Stage::clean();
    let strangers = [key(31), key(32)];
    let mut other = plan(1);
    other.root = role(&strangers, 2);
    stage.write("elsewhere/1.root.json", &signed(&other.payload().unwrap(), &strangers));
    stage.commit(11);
    assert_eq!(found(&report(&mut stage, 15)), []);
    stage.write("elsewhere/1.root.json", &root(1, "another"));
    stage.commit(12);
    assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, Check::RootRival, "root 1"));
}

#[test]
fn root_rival_that_follows_a_rival() {
    // Two lines of roots that part at version 2: clients of either take each, whatever keys the second line has.
    let mut stage = Stage::clean();
    stage.write(&format!("{SET}/3.root.json"), &root(3, ""));
    stage.commit(11);
    stage.branch("other");
    let mine = [key(41), key(42)];
    let mut second = plan(2);
    second.root = role(&mine, 2);
    let mut third = plan(3);
    third.root = role(&mine, 2);
    let both: Vec<_> = holders().into_iter().chain(mine.clone()).collect();
    stage.write(&format!("{SET}/2.root.json"), &signed(&second.payload().unwrap(), &both));
    stage.write(&format!("{SET}/3.root.json"), &signed(&third.payload().unwrap(), &mine));
    stage.commit(12);
    let mut expected = one(REFUSED, Check::RootRival, "root 2");
    expected.extend(one(REFUSED, Check::RootRival, "root 3"));
    assert_eq!(found(&report(&mut stage, 15)), expected);
}

#[test]
fn root_gap() {
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    for version in [1, 3] {
        stage.write(&format!("{version}.root.json"), &root(version, ""));
    }
    stage.commit(1);
    let found = found(&report(&mut stage, 15));
    assert!(found.iter().any(|(level, check, _)| (*level, *check) == (REFUSED, Check::RootGap)), "{found:?}");
    // Some earlier commit of the main line had it: then nothing is missing.
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    for version in [1, 2, 3] {
        stage.write("root.json", &root(version, ""));
        stage.commit(version as i64);
    }
    assert_eq!(super::found(&report(&mut stage, 15)), []);
}

#[test]
fn root_version() {
    // Whoever asks for root 3 gets root 2, and refuses it; and what lies under another number is not root 2.
    let draft = Metadata::<Root>::parse("root", &root(2, "another")).unwrap().payload().clone();
    for other in [root(2, ""), signed(&draft, &[key(1)])] {
        let mut stage = Stage::clean();
        stage.write(&format!("{SET}/3.root.json"), &other);
        let commit = stage.commit(11);
        let report = report(&mut stage, 15);
        assert_eq!(found(&report), one(REFUSED, Check::RootVersion, "3.root.json"));
        assert!(names(&report, Check::RootVersion, &commit));
    }
}

#[test]
fn a_numbered_root_that_nobody_can_read() {
    // Clients ask for it and stop there, so that it lies beside a chain in order is not enough.
    for (bytes, check) in [(&b"{"[..], Check::JsonStrict), (&b"{}"[..], Check::MetaForm)] {
        let mut stage = Stage::clean();
        stage.write(&format!("{SET}/3.root.json"), bytes);
        stage.commit(11);
        assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, check, "3.root.json"));
    }
}

#[test]
fn a_numbered_root_that_is_no_file() {
    // A server that follows the link gives root 2 for 3; one that does not gives nothing.
    let mut stage = Stage::clean();
    stage.link(&format!("{SET}/3.root.json"), "2.root.json");
    stage.commit(11);
    assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, Check::MetaMissing, "3.root.json"));
}

#[test]
fn a_root_that_nobody_signed_has_no_rival() {
    // The published root was changed, so that no quorum signed it: the one before it is not its rival.
    let mut stage = Stage::clean();
    let draft = Metadata::<Root>::parse("root", &root(2, "another")).unwrap().payload().clone();
    stage.write(&format!("{SET}/2.root.json"), &signed(&draft, &[key(1)]));
    stage.commit(11);
    let found = found(&report(&mut stage, 15));
    let levels = |check| found.iter().filter(|one| one.1 == check).map(|one| one.0).collect::<Vec<_>>();
    assert_eq!(levels(Check::RootRival), [WARNING], "{found:?}");
    assert!(levels(Check::RootQuorum).contains(&REFUSED), "{found:?}");
}

#[test]
fn root_gap_where_signatures_are_only_collected() {
    let mut stage = Stage::new();
    stage.write("ceremony/2026-01-01/staged/1.root.json", &root(1, ""));
    stage.commit(1);
    assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, Check::RootGap, "the main line"));
}

#[test]
fn meta_rival() {
    let mut stage = Stage::clean();
    // The same payload with other signatures is the same file to clients.
    let payload = files(2, 0).payload().unwrap();
    stage.branch("other");
    stage.write(&format!("{SET}/2.targets.json"), &signed(&payload, &[key(1), key(2)]));
    stage.commit(11);
    assert_eq!(found(&report(&mut stage, 15)), []);
    stage.write(&format!("{SET}/2.targets.json"), &signed(&files(2, 5).payload().unwrap(), &[key(1), key(2)]));
    stage.commit(12);
    assert_eq!(found(&report(&mut stage, 15)), one(WARNING, Check::MetaRival, "targets 2"));
}

#[test]
fn meta_quorum() {
    for (keys, enough) in [(vec![key(1), key(2)], true), (vec![key(1)], false), (vec![key(1), key(9)], false)] {
        let mut stage = Stage::clean();
        stage.write(&format!("{SET}/3.targets.json"), &signed(&files(3, 0).payload().unwrap(), &keys));
        stage.commit(11);
        let path = format!("{SET}/3.targets.json");
        let expected = if enough { vec![] } else { one(WARNING, Check::MetaQuorum, &path) };
        assert_eq!(found(&report(&mut stage, 15)), expected);
    }
}

#[test]
fn meta_quorum_of_what_is_served() {
    let mut stage = Stage::clean();
    let third = signed(&files(3, 0).payload().unwrap(), &[key(1)]);
    let named = snapshot(3, &[("targets.json", 3, &third)]);
    stage.write(&format!("{SET}/3.targets.json"), &third);
    stage.write(&format!("{SET}/3.snapshot.json"), &named);
    stage.write(&format!("{SET}/timestamp.json"), &timestamp(3, day(60), (3, &named)));
    stage.commit(11);
    let path = format!("{SET}/3.targets.json");
    assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, Check::MetaQuorum, &path));
}

#[test]
fn meta_missing() {
    let mut stage = Stage::clean();
    // A file that nothing leads to may go.
    stage.remove(&format!("{SET}/1.targets.json"));
    stage.commit(11);
    assert_eq!(found(&report(&mut stage, 15)), []);
    stage.remove(&format!("{SET}/2.targets.json"));
    stage.commit(12);
    let path = format!("{SET}/2.targets.json");
    assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, Check::MetaMissing, &path));
}

#[test]
fn meta_missing_where_a_link_stands() {
    let mut stage = Stage::clean();
    stage.link(&format!("{SET}/timestamp.json"), "/etc/hostname");
    stage.commit(12);
    let path = format!("{SET}/timestamp.json");
    assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, Check::MetaMissing, &path));
    let mut stage = Stage::clean();
    stage.submodule(&format!("{SET}/2.snapshot.json"));
    stage.commit(12);
    let path = format!("{SET}/2.snapshot.json");
    assert_eq!(found(&report(&mut stage, 15)), one(REFUSED, Check::MetaMissing, &path));
}

#[test]
fn meta_rollback() {
    // Versions may stay, and may begin anew with another key (TUF 5.3.11).
    let mut stage = Stage::clean();
    let mut next = plan(3);
    next.timestamp = role(&[key(10)], 1);
    next.snapshot = next.timestamp.clone();
    stage.write(&format!("{SET}/3.root.json"), &signed(&next.payload().unwrap(), &holders()));
    let targets = targets(2);
    let named = build::Snapshot {
        version: 1,
        expires: day(200),
        meta: [("targets.json".to_owned(), MetaFile::of(2, &targets))].into(),
    };
    let named = signed(&named.payload().unwrap(), &[key(10)]);
    let stamp = build::Timestamp { version: 1, expires: day(60), snapshot: MetaFile::of(1, &named) };
    stage.write(&format!("{SET}/1.snapshot.json"), &named);
    stage.write(&format!("{SET}/timestamp.json"), &signed(&stamp.payload().unwrap(), &[key(10)]));
    stage.commit(11);
    let rollbacks = |stage: &mut Stage| {
        let all = found(&report(stage, 15));
        all.into_iter().filter(|(_, check, _)| *check == Check::MetaRollback).collect::<Vec<_>>()
    };
    assert_eq!(rollbacks(&mut stage), []);
    // With the same keys they may not, and it weighs less once it was made good.
    let mut stage = Stage::clean();
    stage.set(1, 60);
    stage.commit(11);
    assert_eq!(rollbacks(&mut stage), one(REFUSED, Check::MetaRollback, SET));
    stage.set(3, 60);
    stage.commit(12);
    assert_eq!(rollbacks(&mut stage), one(WARNING, Check::MetaRollback, SET));
}

#[test]
fn history_rewrite_of_a_numbered_file() {
    let mut stage = Stage::clean();
    stage.write(&format!("{SET}/1.targets.json"), &signed(&files(1, 0).payload().unwrap(), &[key(1), key(2)]));
    stage.commit(11);
    // Fewer signatures on the same payload are a note.
    assert_eq!(found(&report(&mut stage, 15)), []);
    // One that nobody signed is no rival, and a rewrite all the same; also if it was away for a while.
    stage.remove(&format!("{SET}/1.targets.json"));
    stage.commit(12);
    stage.write(&format!("{SET}/1.targets.json"), b"{}");
    stage.commit(13);
    let path = format!("{SET}/1.targets.json");
    assert_eq!(found(&report(&mut stage, 15)), one(WARNING, Check::HistoryRewrite, &path));
}

#[test]
fn history_rewrite_of_a_remotes_branch() {
    let mut stage = Stage::clean();
    stage.finish();
    let server = tempfile::tempdir().unwrap();
    let url = server.path().to_str().unwrap();
    stage.git(&["clone", "-q", "--bare", ".", url]);
    stage.git(&["remote", "add", "origin", url]);
    stage.git(&["fetch", "-q", "origin"]);
    let base = stage.git(&["rev-parse", "main"]);
    let rewrites = |stage: &Stage| {
        let past = Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
        found(&judged(&past, 15))
    };
    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    // Forward is what branches do.
    stage.write("README.md", b"one");
    stage.commit(12);
    stage.finish();
    stage.git(&[&who[..], &["push", "-q", "origin", "main"]].concat());
    assert_eq!(rewrites(&stage), []);
    // One's own branch, moved in one's own clone, rewrites nobody's.
    stage.reset(&base);
    stage.write("README.md", b"two");
    stage.commit(13);
    stage.finish();
    assert_eq!(rewrites(&stage), []);
    stage.git(&[&who[..], &["push", "-q", "--force", "origin", "main"]].concat());
    assert_eq!(rewrites(&stage), one(WARNING, Check::HistoryRewrite, "refs/remotes/origin/main"));
}

#[test]
fn history_rewrite_that_another_reference_remembers() {
    let lost = |version: u64| {
        let mut stage = Stage::begun();
        stage.branch("other");
        stage.set(version, 40);
        stage.commit(6);
        stage.branch("main");
        stage.set(4, 60);
        stage.commit(8);
        found(&report(&mut stage, 15))
    };
    // What is newer than the main line may still come to it.
    assert_eq!(lost(5), []);
    assert_eq!(lost(3), one(WARNING, Check::HistoryRewrite, "the main line"));
}

/// The second timestamp is good until day 40; the third comes so many seconds after that.
fn renewed(seconds: i64) -> Vec<(Level, Check, String)> {
    let mut stage = Stage::clean();
    stage.set(3, 80);
    stage.commit_at(day(40).unix() + seconds);
    found(&report(&mut stage, 50))
}

#[test]
fn expiry_margin_of_a_renewal() {
    assert_eq!(renewed(-1), []);
    assert_eq!(renewed(0), []);
    assert_eq!(renewed(1), one(WARNING, Check::ExpiryMargin, "timestamp 2"));
}

#[test]
fn expiry_margin_of_what_holders_sign() {
    // Root and targets expire on day 300, and are due from two weeks before that.
    let at = |day: i64| {
        let mut stage = Stage::clean();
        let targets = targets(3);
        let plan = build::Snapshot {
            version: 3,
            expires: super::day(400),
            meta: [("targets.json".to_owned(), MetaFile::of(3, &targets))].into(),
        };
        let next = signed(&plan.payload().unwrap(), &[key(9)]);
        stage.write(&format!("{SET}/3.targets.json"), &targets);
        stage.write(&format!("{SET}/3.snapshot.json"), &next);
        stage.write(&format!("{SET}/timestamp.json"), &timestamp(3, super::day(400), (3, &next)));
        stage.commit(30);
        found(&report(&mut stage, day))
    };
    assert_eq!(at(286), []);
    let mut due = one(WARNING, Check::ExpiryMargin, "root 2");
    due.extend(one(WARNING, Check::ExpiryMargin, "targets 3"));
    assert_eq!(at(287), due);
    let mut over = one(REFUSED, Check::Expired, "root 2");
    over.extend(one(REFUSED, Check::Expired, "targets 3"));
    assert_eq!(at(300), over);
}

#[test]
fn expired() {
    let mut stage = Stage::clean();
    assert_eq!(found(&report(&mut stage, 39)), []);
    assert_eq!(found(&report(&mut stage, 40)), one(REFUSED, Check::Expired, "timestamp 2"));
}

#[test]
fn att_missing() {
    let mut stage = Stage::clean();
    assert_eq!(found(&report(&mut stage, 15)), []);
    let mut stage = Stage::new();
    stage.attest(1, (5, 7, 4));
    stage.attest(3, (5, 7, 4));
    // Another holder's attestation proves nothing for this one.
    stage.attest(4, (5, 7, 4));
    stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
    stage.set(1, 40);
    stage.commit(1);
    let bare = key(2).public().fingerprint().to_string();
    assert_eq!(found(&report(&mut stage, 15)), one(WARNING, Check::AttMissing, &bare));
    // It may come later, anywhere, on any branch.
    stage.branch("evidence");
    stage.attest(2, (5, 7, 4));
    stage.commit(2);
    assert_eq!(found(&report(&mut stage, 15)), []);
}

#[test]
fn att_bound() {
    let mut stage = Stage::begun();
    let path = evidence(1, "pubkey");
    stage.write(&path, key(4).public().to_pem().as_bytes());
    stage.commit(2);
    // What lay there first holds, and proves the key; what lies there now does not.
    assert_eq!(found(&report(&mut stage, 15)), []);
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    stage.write(&path, key(4).public().to_pem().as_bytes());
    stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
    stage.set(1, 40);
    stage.commit(1);
    let mut all = found(&report(&mut stage, 15));
    all.sort();
    let bare = key(1).public().fingerprint().to_string();
    assert_eq!(all, [(WARNING, Check::AttBound, path), (WARNING, Check::AttMissing, bare)]);
}

/// What is found if the attestation of the first holder claims this.
fn claimed(claims: &Claims, firmware: (u8, u8, u8)) -> Vec<(Level, Check, String)> {
    let mut stage = Stage::new();
    (2..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    stage.attest_as(1, claims, firmware);
    stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
    stage.set(1, 40);
    stage.commit(1);
    let mut all = found(&report(&mut stage, 15));
    all.sort();
    all
}

#[test]
fn att_advisory_serial_policy_and_slot() {
    let good = || Claims { serial: serial(1), firmware: (5, 7, 4), pin: 3, touch: 2, slot: "9c".to_owned() };
    let path = evidence(1, "key_cert");
    let bare = key(1).public().fingerprint().to_string();
    let fails = |check: Check| vec![(WARNING, check, path.clone()), (WARNING, Check::AttMissing, bare.clone())];
    let sorted = |mut all: Vec<(Level, Check, String)>| {
        all.sort();
        all
    };
    assert_eq!(claimed(&good(), (5, 7, 4)), []);
    // A token under an advisory proves its key all the same.
    assert_eq!(claimed(&Claims { firmware: (5, 4, 3), ..good() }, (5, 4, 3)), one(WARNING, Check::AttAdvisory, &path));
    assert_eq!(claimed(&Claims { serial: 7, ..good() }, (5, 7, 4)), sorted(fails(Check::AttSerial)));
    assert_eq!(claimed(&Claims { touch: 1, ..good() }, (5, 7, 4)), sorted(fails(Check::AttPolicy)));
    assert_eq!(claimed(&Claims { slot: "9a".to_owned(), ..good() }, (5, 7, 4)), sorted(fails(Check::AttSlot)));
}

#[test]
fn att_chain() {
    let mut stage = Stage::begun();
    let claims = Claims { serial: serial(5), firmware: (5, 7, 4), pin: 3, touch: 2, slot: "9c".to_owned() };
    let device = Issuer::new(DEVICE_NAME, p256::ecdsa::SigningKey::from_slice(&[21; 32]).unwrap());
    let public = p256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap();
    let slot = device.attest(public.verifying_key(), &claims);
    // Without the certificate of its device nobody can follow it.
    stage.write(&evidence(5, "key_cert"), certificate_to_pem(&slot).unwrap().as_bytes());
    stage.commit(2);
    assert_eq!(found(&report(&mut stage, 15)), one(WARNING, Check::AttChain, &evidence(5, "key_cert")));
    // With it, it holds, if it leads to an anchor.
    let good = device.certificate(&Issuer::rehearsal(), 0, Some((5, 7, 4)));
    stage.write(&evidence(5, "device_cert"), certificate_to_pem(&good).unwrap().as_bytes());
    stage.commit(3);
    assert_eq!(found(&report(&mut stage, 15)), []);
    let mut stage = Stage::begun();
    let stranger = Issuer::new("Somebody", p256::ecdsa::SigningKey::from_slice(&[77; 32]).unwrap());
    let forged = device.certificate(&stranger, 0, Some((5, 7, 4)));
    stage.write(&evidence(5, "key_cert"), certificate_to_pem(&slot).unwrap().as_bytes());
    stage.write(&evidence(5, "device_cert"), certificate_to_pem(&forged).unwrap().as_bytes());
    stage.commit(2);
    assert_eq!(found(&report(&mut stage, 15)), one(WARNING, Check::AttChain, &evidence(5, "key_cert")));
}

#[test]
fn att_missing_where_a_whole_chain_lies_in_one_file() {
    // As `yubico-piv-tool` and people put them together: each holder's two certificates, with words between, or all in one file.
    let of = |number: u8| {
        let claims = Claims { serial: serial(number), firmware: (5, 7, 4), pin: 3, touch: 2, slot: "9c".to_owned() };
        let device = Issuer::new(DEVICE_NAME, key(20 + number).0);
        let slot = device.attest(key(number).0.verifying_key(), &claims);
        let device = device.certificate(&Issuer::rehearsal(), 0, Some((5, 7, 4)));
        let (slot, device) = (certificate_to_pem(&slot).unwrap(), certificate_to_pem(&device).unwrap());
        format!("The slot:\n{slot}\nThe device:\n{device}")
    };
    for together in [false, true] {
        let mut stage = Stage::new();
        if together {
            let all: String = (1..=3).map(of).collect();
            stage.write("ceremony/20260101/20260101-all.pem", all.as_bytes());
        } else {
            (1..=3).for_each(|number| stage.write(&format!("ceremony/2026-01-01/{number}.pem"), of(number).as_bytes()));
        }
        stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
        stage.set(1, 40);
        stage.commit(1);
        let report = report(&mut stage, 15);
        assert_eq!(found(&report), []);
        assert_eq!(report.facts.attestations.len(), 3);
    }
}

#[test]
fn rehearsal_and_anchor() {
    let mut stage = Stage::clean();
    stage.finish();
    let past = past(stage.path(), 15);
    let ask = |rehearsal: bool, anchor: Option<&Digest>| {
        found(&verify_history(&past, &Ask { now: day(15), rehearsal, strict: false, anchor }, &Portable))
    };
    let digest = Metadata::<Root>::parse("root", &root(2, "")).unwrap().payload().digest();
    assert_eq!(ask(true, Some(&digest)), []);
    assert_eq!(ask(true, Some(&Digest::of(b""))), one(REFUSED, Check::Anchor, SET));
    let not_asked = ask(false, None);
    assert!(not_asked.contains(&(REFUSED, Check::Rehearsal, "1.root.json".to_owned())), "{not_asked:?}");
    // The evidence is a rehearsal's too.
    assert!(not_asked.iter().any(|(_, check, _)| *check == Check::AttRehearsal), "{not_asked:?}");
}
