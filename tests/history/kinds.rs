//! One repository with each kind of trouble, and one without any: the whole report of each.

use super::stage::{
    SET, Stage, delegated, delegating, evidence, files, holders, key, root, signed, snapshot, targets, timestamp,
};
use super::{day, found, judged, names, one, past, report, told};
use trustroot_core::check::{Check, Level};
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;

/// A repository without any trouble, with everything that could be taken for some: a draft, a branch with a merge, late
/// signatures, another trust root beside, a delegated role.
fn calm() -> Stage {
    let mut stage = Stage::begun();
    let payload = Metadata::<Root>::parse("root", &root(2, "")).unwrap().payload().clone();
    stage.branch("signing");
    stage.write("ceremony/2026-01-08/staged/root.json", &signed(&payload, &[key(1)]));
    stage.commit(7);
    stage.write("ceremony/2026-01-08/staged/root.json", &signed(&payload, &[key(1), key(2)]));
    stage.commit(8);
    stage.branch("main");
    stage.merge("signing");
    stage.write("ceremony/2026-01-08/staged/root.json", &signed(&payload, &[key(1), key(2)]));
    stage.write(&format!("{SET}/2.root.json"), &signed(&payload, &[key(1), key(2)]));
    stage.set(2, 40);
    stage.commit(10);
    // A late signature changes the file and not the payload.
    stage.write(&format!("{SET}/2.root.json"), &signed(&payload, &holders()));
    stage.commit(11);
    let (targets, crates) = (delegating(3), delegated(1, 8));
    let named = snapshot(3, &[("targets.json", 3, &targets), ("crates.json", 1, &crates)]);
    stage.write(&format!("{SET}/3.targets.json"), &targets);
    stage.write(&format!("{SET}/1.crates.json"), &crates);
    stage.write(&format!("{SET}/3.snapshot.json"), &named);
    stage.write(&format!("{SET}/timestamp.json"), &timestamp(3, day(60), (3, &named)));
    stage.commit(12);
    stage
}

#[test]
fn none() {
    let mut stage = calm();
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), []);
    assert_eq!(report.headline(), "REHEARSAL, nothing here is to be trusted: CONSISTENT, IDENTITY NOT CHECKED");
    told("none", &mut stage, 15);
    // A bare clone says the same, whatever git packed it into.
    let bare = tempfile::tempdir().unwrap();
    stage.git(&["clone", "-q", "--bare", ".", bare.path().to_str().unwrap()]);
    assert_eq!(judged(&past(bare.path(), 15), 15).to_json(), report.to_json());
}

#[test]
fn rivals() {
    let mut stage = Stage::clean();
    stage.branch("draft");
    stage.write("ceremony/2026-01-05/staged/root.json", &root(2, "another"));
    let commit = stage.commit(11);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert!(names(&report, Check::RootRival, &commit));
    assert_eq!(report.facts.roots[1].rivals, 1);
    told("rivals", &mut stage, 15);
}

#[test]
fn rivals_whose_signatures_never_lay_in_one_file() {
    let mut stage = Stage::clean();
    let draft = Metadata::<Root>::parse("root", &root(2, "another")).unwrap().payload().clone();
    stage.write("ceremony/2026-01-05/staged/root.json", &signed(&draft, &[key(1)]));
    stage.commit(11);
    let report = report(&mut stage, 15);
    assert_eq!((found(&report), report.facts.drafts), (vec![], 1));
    stage.write("ceremony/2026-01-05/staged/root.json", &signed(&draft, &[key(2)]));
    stage.commit(12);
    told("rivals-in-parts", &mut stage, 15);
}

#[test]
fn a_root_that_the_newest_commit_no_longer_has() {
    let mut stage = Stage::clean();
    stage.branch("ahead");
    stage.write(&format!("{SET}/3.root.json"), &root(3, ""));
    stage.commit(12);
    told("newer-elsewhere", &mut stage, 15);
}

#[test]
fn two_files_of_one_version() {
    let mut stage = Stage::clean();
    stage.branch("other");
    stage.write(&format!("{SET}/2.targets.json"), &signed(&files(2, 5).payload().unwrap(), &holders()));
    let commit = stage.commit(12);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Warning, Check::MetaRival, "targets 2"));
    assert!(names(&report, Check::MetaRival, &commit));
    told("rival-metadata", &mut stage, 15);
}

#[test]
fn a_main_line_that_was_forced() {
    let mut stage = Stage::clean();
    stage.finish();
    let server = tempfile::tempdir().unwrap();
    let url = server.path().to_str().unwrap();
    stage.git(&["clone", "-q", "--bare", ".", url]);
    stage.git(&["remote", "add", "origin", url]);
    // The log of the reference has the time of the push, which is not the same every time.
    let push = |stage: &Stage, more: &[&str]| {
        stage.git(&[&["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "push", "-q"], more].concat());
    };
    stage.git(&["fetch", "-q", "origin"]);
    let base = stage.git(&["rev-parse", "main"]);
    stage.write("README.md", b"one");
    let lost = stage.commit(12);
    stage.finish();
    push(&stage, &["origin", "main"]);
    stage.reset(&base);
    stage.write("README.md", b"two");
    let kept = stage.commit(13);
    stage.finish();
    push(&stage, &["--force", "origin", "main"]);
    // The log says when it was pushed: now.
    let past = super::Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
    let report = judged(&past, 15);
    assert_eq!(found(&report), one(Level::Warning, Check::HistoryRewrite, "refs/remotes/origin/main"));
    assert!(names(&report, Check::HistoryRewrite, &lost) && names(&report, Check::HistoryRewrite, &kept));
    assert!(report.headline().ends_with("; 1 rewrite"), "{}", report.headline());
}

#[test]
fn a_main_line_that_was_written_anew_before_it_was_cloned() {
    let mut stage = Stage::begun();
    let base = stage.commit(2);
    stage.set(2, 30);
    stage.commit(5);
    stage.set(3, 40);
    stage.branch("kept-by-somebody");
    let lost = stage.commit(6);
    stage.branch("main");
    stage.reset(&base);
    stage.set(4, 60);
    stage.commit(8);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Warning, Check::HistoryRewrite, "the main line"));
    assert!(names(&report, Check::HistoryRewrite, &lost));
    told("rewrite", &mut stage, 15);
}

#[test]
fn a_numbered_file_that_was_changed() {
    let mut stage = Stage::clean();
    stage.write(&format!("{SET}/1.targets.json"), &signed(&files(1, 5).payload().unwrap(), &holders()));
    stage.commit(12);
    assert_eq!(
        found(&report(&mut stage, 15)),
        [
            (Level::Warning, Check::HistoryRewrite, format!("{SET}/1.targets.json")),
            (Level::Warning, Check::MetaRival, "targets 1".to_owned())
        ]
    );
    told("numbered-changed", &mut stage, 15);
}

/// The timestamp promises another snapshot than the one that lies there.
fn mismatched() -> (Stage, String, String) {
    let mut stage = Stage::clean();
    let (third, fourth) = (targets(3), targets(4));
    let named = snapshot(3, &[("targets.json", 3, &third)]);
    let path = format!("{SET}/3.snapshot.json");
    stage.write(&format!("{SET}/3.targets.json"), &third);
    stage.write(&path, &snapshot(3, &[("targets.json", 4, &fourth)]));
    stage.write(&format!("{SET}/timestamp.json"), &timestamp(3, day(60), (3, &named)));
    let broken = stage.commit(12);
    (stage, path, broken)
}

#[test]
fn files_that_do_not_fit_together() {
    let (mut stage, path, broken) = mismatched();
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::MetaHash, &path));
    assert!(names(&report, Check::MetaHash, &broken));
    told("mismatch", &mut stage, 15);
}

#[test]
fn files_that_did_not_fit_together_for_a_day() {
    let (mut stage, path, broken) = mismatched();
    stage.set(4, 60);
    stage.remove(&path);
    let mended = stage.commit(13);
    let mend = report(&mut stage, 15);
    assert_eq!(found(&mend), one(Level::Warning, Check::MetaHash, &path));
    assert!(names(&mend, Check::MetaHash, &broken) && names(&mend, Check::MetaHash, &mended));
    told("mismatch-mended", &mut stage, 15);
    // As somebody saw it who came between the two.
    assert!(!report(&mut stage, 12).accepted());
}

#[test]
fn a_step_back() {
    let mut stage = Stage::clean();
    let first = snapshot(1, &[("targets.json", 1, &targets(1))]);
    stage.write(&format!("{SET}/timestamp.json"), &timestamp(1, day(60), (1, &first)));
    let back = stage.commit(12);
    let report = report(&mut stage, 15);
    // The old number is given a second time, too.
    assert_eq!(
        found(&report),
        [
            (Level::Refused, Check::MetaRollback, SET.to_owned()),
            (Level::Warning, Check::MetaRival, "timestamp 1".to_owned())
        ]
    );
    assert!(names(&report, Check::MetaRollback, &back));
    told("step-back", &mut stage, 15);
}

#[test]
fn keys_without_proof_and_tokens_under_an_advisory() {
    let mut stage = Stage::new();
    stage.attest(1, (5, 7, 4));
    stage.attest(2, (5, 2, 6));
    stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
    stage.set(1, 40);
    stage.commit(1);
    let mut found = found(&report(&mut stage, 15));
    found.sort();
    let bare = key(3).public().fingerprint().to_string();
    assert_eq!(
        found,
        [(Level::Warning, Check::AttAdvisory, evidence(2, "key_cert")), (Level::Warning, Check::AttMissing, bare)]
    );
    told("proof", &mut stage, 15);
}

#[test]
fn a_renewal_that_came_too_late() {
    let mut stage = Stage::clean();
    stage.set(3, 80);
    stage.commit(45);
    told("late", &mut stage, 50);
    assert_eq!(found(&report(&mut stage, 50)), one(Level::Warning, Check::ExpiryMargin, "timestamp 2"));
}

#[test]
fn metadata_that_has_expired() {
    let mut stage = Stage::clean();
    assert_eq!(found(&report(&mut stage, 41)), one(Level::Refused, Check::Expired, "timestamp 2"));
    told("expired", &mut stage, 41);
}

#[test]
fn a_root_that_is_due() {
    let mut stage = Stage::clean();
    let named = snapshot(3, &[("targets.json", 3, &targets(3))]);
    stage.set(3, 295);
    stage.write(&format!("{SET}/3.snapshot.json"), &named);
    stage.commit(30);
    told("due", &mut stage, 190);
    let margins = found(&report(&mut stage, 290));
    assert!(margins.contains(&(Level::Warning, Check::ExpiryMargin, "root 2".to_owned())), "{margins:?}");
    assert!(margins.contains(&(Level::Warning, Check::ExpiryMargin, "targets 3".to_owned())), "{margins:?}");
}

#[test]
fn a_file_that_no_quorum_signed() {
    let mut stage = Stage::clean();
    stage.write(&format!("{SET}/3.targets.json"), &signed(&files(3, 0).payload().unwrap(), &[key(1)]));
    let commit = stage.commit(12);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Warning, Check::MetaQuorum, &format!("{SET}/3.targets.json")));
    assert!(names(&report, Check::MetaQuorum, &commit));
    told("unsigned", &mut stage, 15);
}

#[test]
fn a_delegated_file_that_nobody_named_signed() {
    let mut stage = Stage::clean();
    let (targets, crates) = (delegating(3), delegated(1, 7));
    let named = snapshot(3, &[("targets.json", 3, &targets), ("crates.json", 1, &crates)]);
    stage.write(&format!("{SET}/3.targets.json"), &targets);
    stage.write(&format!("{SET}/1.crates.json"), &crates);
    stage.write(&format!("{SET}/3.snapshot.json"), &named);
    stage.write(&format!("{SET}/timestamp.json"), &timestamp(3, day(60), (3, &named)));
    stage.commit(12);
    let crates = format!("{SET}/1.crates.json");
    assert_eq!(found(&report(&mut stage, 15)), one(Level::Refused, Check::MetaQuorum, &crates));
    told("delegated", &mut stage, 15);
}

#[test]
fn everything_at_once() {
    let (mut stage, path, _) = mismatched();
    stage.remove(&evidence(3, "key_cert"));
    stage.branch("draft");
    stage.write("ceremony/2026-01-05/staged/root.json", &root(2, "another"));
    stage.commit(13);
    stage.branch("main");
    stage.set(4, 45);
    stage.remove(&path);
    stage.commit(50);
    stage.set(3, 99);
    stage.commit(51);
    told("all", &mut stage, 60);
}
