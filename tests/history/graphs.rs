//! Graphs of commits as they grow and as somebody could twist them: nothing gets lost on the way, and nothing is told twice.

use super::stage::{SET, Stage, holders, key, root, signed};
use super::{day, found, judged, names, one, past, program, report};
use std::fs;
use trustroot_core::check::{Check, Level};
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::verify::history::HistoryReport;

const RIVAL: &str = "ceremony/2026-01-05/staged/root.json";

/// Where the rival was seen: commit and path of each place.
fn places(report: &HistoryReport) -> Vec<(String, String)> {
    let told = report.findings.iter().find(|told| told.finding.check == Check::RootRival).unwrap();
    told.seen.iter().map(|seen| (seen.commit.clone(), seen.path.clone())).collect()
}

#[test]
fn a_root_that_was_there_for_one_commit() {
    let mut stage = Stage::clean();
    let chain = stage.tip();
    stage.write(RIVAL, &root(2, "another"));
    let commit = stage.commit(11);
    stage.remove(RIVAL);
    stage.commit(12);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert_eq!(places(&report), [(commit, RIVAL.to_owned()), (chain, format!("{SET}/2.root.json"))]);
}

#[test]
fn a_root_at_two_paths_and_one_that_was_renamed() {
    let mut stage = Stage::clean();
    let chain = stage.tip();
    stage.write("a/2.root.json", &root(2, "another"));
    stage.write("b/root.json", &root(2, "another"));
    let both = stage.commit(11);
    stage.remove("a/2.root.json");
    stage.write("c/2.root.json", &root(2, "another"));
    let renamed = stage.commit(12);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    let expected = [(&both, "a/2.root.json"), (&both, "b/root.json"), (&renamed, "c/2.root.json")];
    let mut expected: Vec<_> = expected.map(|(commit, path)| (commit.clone(), path.to_owned())).into();
    expected.push((chain, format!("{SET}/2.root.json")));
    assert_eq!(places(&report), expected);
    assert_eq!(report.facts.rivals.len(), 1);
}

#[test]
fn a_merge_that_holds_what_no_parent_holds() {
    let mut stage = Stage::clean();
    stage.branch("side");
    stage.write("README.md", b"side");
    stage.commit(11);
    stage.branch("main");
    stage.write("NOTES.md", b"main");
    stage.commit(11);
    stage.merge("side");
    stage.write(RIVAL, &root(2, "another"));
    let merge = stage.commit(12);
    stage.remove(RIVAL);
    stage.commit(13);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert!(names(&report, Check::RootRival, &merge));
}

#[test]
fn a_merge_that_drops_what_its_parent_published() {
    // The side is merged with the tree of the main line before it: the rival on the side is only there.
    let mut stage = Stage::clean();
    stage.branch("side");
    stage.write(&format!("{SET}/2.root.json"), &root(2, "another"));
    let side = stage.commit(11);
    stage.branch("main");
    stage.write("NOTES.md", b"main");
    stage.commit(11);
    stage.merge("side");
    stage.commit(12);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert!(names(&report, Check::RootRival, &side));
}

#[test]
fn an_octopus_and_lines_that_cross() {
    let mut stage = Stage::clean();
    let base = stage.tip();
    let tips: Vec<String> = (0..5)
        .map(|number| {
            stage.branch(&format!("arm{number}"));
            stage.reset(&base);
            if number == 3 {
                stage.write(RIVAL, &root(2, "another"));
            } else {
                stage.write(&format!("arm{number}.md"), b"text");
            }
            stage.commit(11)
        })
        .collect();
    // Two merges of the same two, each the other way round, and both merged again.
    let (one_way, other_way) = ([tips[0].clone(), tips[3].clone()], [tips[3].clone(), tips[0].clone()]);
    stage.branch("cross");
    let crossed = [stage.commit_on(&one_way, day(12).unix()), stage.commit_on(&other_way, day(12).unix())];
    stage.branch("main");
    let mut all = vec![base];
    all.extend(tips.clone());
    all.extend(crossed);
    stage.commit_on(&all, day(13).unix());
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert!(names(&report, Check::RootRival, &tips[3]));
}

#[test]
fn a_head_that_stands_elsewhere() {
    let mut stage = Stage::clean();
    let second = stage.tip();
    let payload = Metadata::<Root>::parse("root", &root(3, "")).unwrap().payload().clone();
    stage.write(&format!("{SET}/3.root.json"), &signed(&payload, &holders()));
    stage.set(3, 60);
    let third = stage.commit(12);
    stage.finish();
    // One commit back: what is newer is told of, as what another reference holds.
    stage.git(&["checkout", "-q", "--detach", &second]);
    let report = judged(&past(stage.path(), 15), 15);
    assert_eq!(report.facts.head, second);
    assert_eq!(found(&report), one(Level::Warning, Check::RootRival, "root 3"));
    assert!(names(&report, Check::RootRival, &third));
    // A branch that nobody has committed to yet.
    stage.git(&["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    let (code, text, error) = program(stage.path(), 15, &["--history"]);
    assert_eq!(code, 1, "{text}{error}");
}

#[test]
fn times_that_go_back() {
    let mut stage = Stage::clean();
    stage.write("README.md", b"text");
    stage.commit(50);
    // It came after the second had expired, and says that it came before.
    stage.set(3, 80);
    let back = stage.commit(39);
    let report = report(&mut stage, 60);
    assert_eq!(found(&report), []);
    let said = format!(
        "how long anything lasted, as far as times go back: 1 commit of the main line states an earlier time than its parent, \
         {back} the farthest, by 11 days 0 hours"
    );
    assert!(report.not_checked.contains(&said), "{:?}", report.not_checked);
    // An hour is a clock that is wrong.
    let mut stage = Stage::clean();
    stage.set(3, 80);
    stage.commit_at(day(10).unix() - 3600);
    let report = super::report(&mut stage, 15);
    assert!(!report.not_checked.iter().any(|line| line.contains("times go back")), "{:?}", report.not_checked);
}

#[test]
fn times_before_1970_and_after_every_calendar() {
    for at in [-1, i64::from(i32::MIN), 253_402_300_800, 9_000_000_000_000_000] {
        let mut stage = Stage::clean();
        stage.finish();
        let repository = git2::Repository::open(stage.path()).unwrap();
        let base = repository.head().unwrap().target().unwrap();
        let tree = repository.find_commit(base).unwrap().tree_id();
        let who = format!("A <a@b> {at} +0000");
        let text = format!("tree {tree}\nparent {base}\nauthor {who}\ncommitter {who}\n\nchange\n");
        let commit = repository.odb().unwrap().write(git2::ObjectType::Commit, text.as_bytes()).unwrap();
        fs::write(stage.path().join(".git/refs/heads/main"), format!("{commit}\n")).unwrap();
        let past = trustroot::ledger::Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
        let report = judged(&past, 15);
        assert_eq!(found(&report), []);
        assert_eq!(report.facts.head, commit.to_string());
        let page = trustroot_core::verify::history::page(&report);
        assert!(page.len() < 100_000);
    }
}

#[test]
fn a_draft_that_was_signed_branch_by_branch() {
    // Each branch holds one signature, and none was ever merged.
    let mut stage = Stage::clean();
    let base = stage.tip();
    let draft = Metadata::<Root>::parse("root", &root(2, "another")).unwrap().payload().clone();
    let commits: Vec<String> = [1, 2]
        .map(|number| {
            stage.branch(&format!("sign/{number}"));
            stage.reset(&base);
            stage.write("staged/root.json", &signed(&draft, &[key(number)]));
            stage.commit(11)
        })
        .into();
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert!(commits.iter().all(|commit| names(&report, Check::RootRival, commit)));
}
