//! Repositories made to lead astray, or to use up time and memory.

use super::stage::{SET, Stage, day, root, targets};
use super::{found, judged, names, one, past, program, report};
use git2::{ObjectType, Oid, Repository};
use std::fs;
use trustroot::ledger::Reading;
use trustroot::seams::LedgerError;
use trustroot_core::check::{Check, Level};
use trustroot_core::verify::history::Past;

fn read(stage: &mut Stage) -> Result<Past, LedgerError> {
    stage.finish();
    Reading::open(stage.path()).unwrap().whole_history(Some(day(15)), |_, _| ())
}

/// The refusal, which has to be one for its size.
fn limit(stage: &mut Stage) -> String {
    match read(stage) {
        Err(LedgerError::Limit(what)) => what,
        other => panic!("{:?}", other.map(|past| past.commits)),
    }
}

fn damage(stage: &mut Stage) -> String {
    match read(stage) {
        Err(LedgerError::Damaged { reason, .. }) => reason,
        other => panic!("{:?}", other.map(|past| past.commits)),
    }
}

/// A tree of these entries as they stand: mode, name, object.
fn tree(repository: &Repository, entries: &[(&str, &[u8], Oid)]) -> Oid {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend(*name);
        bytes.push(0);
        bytes.extend(id.as_bytes());
    }
    repository.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
}

/// A commit of a tree after these, at this day, which a new branch names.
fn commit(repository: &Repository, tree: Oid, parents: &[Oid], at: i64, branch: &str) -> Oid {
    let mut text = format!("tree {tree}\n");
    parents.iter().for_each(|parent| text.push_str(&format!("parent {parent}\n")));
    let seconds = day(at).unix();
    text.push_str(&format!("author A <a@b> {seconds} +0000\ncommitter A <a@b> {seconds} +0000\n\nchange\n"));
    let id = repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
    fs::write(repository.path().join("refs/heads").join(branch), format!("{id}\n")).unwrap();
    id
}

fn opened(stage: &mut Stage) -> Repository {
    stage.finish();
    Repository::open(stage.path()).unwrap()
}

fn blob(repository: &Repository, bytes: &[u8]) -> Oid {
    repository.blob(bytes).unwrap()
}

// -------------------------------------------------------------------------------------------------- time and memory

#[test]
fn a_tree_of_hundreds_of_thousands_of_files() {
    let mut stage = Stage::clean();
    let repository = opened(&mut stage);
    let tiny = blob(&repository, b"");
    let names: Vec<String> = (0..280_000).map(|number| format!("{number:07}")).collect();
    let entries: Vec<_> = names.iter().map(|name| ("100644", name.as_bytes(), tiny)).collect();
    let many = tree(&repository, &entries);
    let top = tree(&repository, &[("40000", b"many", many)]);
    commit(&repository, top, &[], 5, "many");
    assert!(limit(&mut stage).starts_with(&format!("the tree {many} has ")));
    let (code, _, error) = program(stage.path(), 15, &[]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("larger than a trust root may be") && error.contains("hint:"), "{error}");
}

#[test]
fn folders_without_end() {
    let mut stage = Stage::clean();
    stage.write(&format!("{}root.json", "a/".repeat(63)), &root(1, ""));
    stage.commit(11);
    assert_eq!(found(&report(&mut stage, 15)), []);
    stage.write(&format!("{}root.json", "a/".repeat(70)), &root(1, ""));
    stage.commit(12);
    assert_eq!(limit(&mut stage), "folders more than 64 deep");
}

#[test]
fn a_tree_that_unfolds_into_billions() {
    // Ten times ten times … the same tree: a few objects, and more paths than anybody can walk.
    let bomb = |leaf: &[u8]| {
        let mut stage = Stage::clean();
        let repository = opened(&mut stage);
        let mut inner = tree(&repository, &[("100644", leaf, blob(&repository, b"{}"))]);
        for _ in 0..10 {
            let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
            let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_bytes(), inner)).collect();
            inner = tree(&repository, &entries);
        }
        commit(&repository, inner, &[], 5, "bomb");
        stage
    };
    // What holds nothing of interest is looked at once.
    assert!(read(&mut bomb(b"README")).is_ok());
    assert_eq!(limit(&mut bomb(b"root.json")), "more than 100000 folders with metadata or keys");
}

#[test]
fn files_larger_than_any_metadata_and_keys_that_are_none() {
    let mut stage = Stage::clean();
    // Packed they take a few kilobytes.
    stage.write(&format!("{SET}/timestamp.json"), &vec![b' '; (64 << 20) + 1]);
    stage.write(&format!("{SET}/film.pem"), &vec![0; 1 << 20]);
    stage.commit(12);
    let path = format!("{SET}/timestamp.json");
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::MetaMissing, &path));
    let what = report.findings[0].finding.what.line();
    assert!(what.starts_with("it is a file of more than 64 MiB, not a file"), "{what}");
}

#[test]
fn merges_of_a_thousand_and_lines_that_cross() {
    let mut stage = Stage::clean();
    let repository = opened(&mut stage);
    let base = repository.head().unwrap().target().unwrap();
    let top = repository.find_commit(base).unwrap().tree_id();
    let parents: Vec<Oid> =
        (0..1000).map(|number| commit(&repository, top, &[base], 10 + number % 2, &format!("b{number}"))).collect();
    commit(&repository, top, &parents, 12, "octopus");
    // Two lines, each commit after both: there are 2^200 ways back.
    let mut pair = [base, commit(&repository, top, &[base], 10, "other")];
    for at in 0..200 {
        pair = [("left", at), ("right", at + 1)].map(|(name, at)| commit(&repository, top, &pair, at, name));
    }
    assert_eq!(found(&report(&mut stage, 15)), []);
}

#[test]
fn many_commits_that_change_nothing_cost_nothing() {
    let mut stage = Stage::clean();
    for number in 0..3000 {
        stage.write(&format!("notes/{}/{}.md", number % 50, number), b"text");
        stage.commit_at(day(11).unix() + number);
    }
    let past = read(&mut stage).unwrap();
    assert_eq!((past.commits, past.moments.len()), (3002, 2));
    assert_eq!(found(&judged(&past, 15)), []);
}

// ------------------------------------------------------------------------------------------------------ led astray

#[test]
fn references_that_name_each_other() {
    let mut stage = Stage::clean();
    stage.finish();
    let heads = stage.path().join(".git/refs/heads");
    fs::write(heads.join("one"), "ref: refs/heads/two\n").unwrap();
    fs::write(heads.join("two"), "ref: refs/heads/one\n").unwrap();
    fs::write(heads.join("self"), "ref: refs/heads/self\n").unwrap();
    assert_eq!(found(&report(&mut stage, 15)), []);
}

#[test]
fn grafts_and_replacements_hide_nothing() {
    let rival = |stage: &mut Stage| {
        stage.write("ceremony/2026-01-05/staged/root.json", &root(2, "another"));
        let commit = stage.commit(11);
        stage.remove("ceremony/2026-01-05/staged/root.json");
        let head = stage.commit(12);
        stage.finish();
        (commit, head)
    };
    let mut stage = Stage::clean();
    let (commit, head) = rival(&mut stage);
    fs::create_dir_all(stage.path().join(".git/info")).unwrap();
    fs::write(stage.path().join(".git/info/grafts"), format!("{head}\n")).unwrap();
    assert!(names(&report(&mut stage, 15), Check::RootRival, &commit));

    let mut stage = Stage::clean();
    let clean = stage.commit(11);
    let (commit, _) = rival(&mut stage);
    stage.git(&["replace", &commit, &clean]);
    let report = report(&mut stage, 15);
    assert!(names(&report, Check::RootRival, &commit));
    assert!(report.not_checked.iter().any(|line| line.starts_with("what `git replace`")), "{:?}", report.not_checked);
}

#[test]
fn a_commit_graph_that_leaves_parents_out_hides_nothing() {
    let mut stage = Stage::clean();
    stage.write("ceremony/2026-01-05/staged/root.json", &root(2, "another"));
    let commit = stage.commit(11);
    stage.remove("ceremony/2026-01-05/staged/root.json");
    stage.commit(12);
    stage.finish();
    stage.git(&["commit-graph", "write", "--reachable"]);
    let graph = stage.path().join(".git/objects/info/commit-graph");
    let mut bytes = fs::read(&graph).unwrap();
    let last = bytes.len() - 60;
    bytes[last] ^= 0xff;
    fs::remove_file(&graph).unwrap();
    fs::write(&graph, bytes).unwrap();
    assert!(names(&report(&mut stage, 15), Check::RootRival, &commit));
}

#[test]
fn two_entries_of_one_name_are_both_looked_at() {
    for turned in [false, true] {
        let mut stage = Stage::clean();
        let repository = opened(&mut stage);
        let (good, other) = (blob(&repository, &root(2, "")), blob(&repository, &root(2, "another")));
        let first = ("100644", b"2.root.json".as_slice(), if turned { other } else { good });
        let second = ("100644", b"2.root.json".as_slice(), if turned { good } else { other });
        let one_root = ("100644", b"1.root.json".as_slice(), blob(&repository, &root(1, "")));
        // And out of order.
        let top = tree(&repository, &[second, one_root, first]);
        let commit = commit(&repository, top, &[], 11, "twice").to_string();
        assert!(names(&report(&mut stage, 15), Check::RootRival, &commit));
    }
}

#[test]
fn names_that_are_no_text_or_would_be_orders() {
    let mut stage = Stage::clean();
    let repository = opened(&mut stage);
    let rival = blob(&repository, &root(1, "another"));
    let inner = tree(&repository, &[("100644", b"1.root.json", rival), ("100644", b"\xff\xfe.json", rival)]);
    let evil = "<script>alert(1)</script>\u{202e}\u{1b}[2J".as_bytes();
    let top = tree(&repository, &[("40000", evil, inner), ("40000", b"..", inner), ("40000", b".git", inner)]);
    commit(&repository, top, &[], 11, "evil");
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 1"));
    let page = trustroot_core::verify::history::page(&report);
    assert!(!page.contains("<script>") && !page.contains('\u{202e}') && !page.contains('\u{1b}'), "{page}");
    let (_, text, _) = program(stage.path(), 15, &[]);
    assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn times_that_nobody_can_have() {
    let mut stage = Stage::clean();
    stage.branch("times");
    for at in [0, 1, 99_999_999_999_999] {
        stage.write("metadata/1.root.json", &root(1, &at.to_string()));
        let parent = stage.tip();
        stage.commit_on(&[parent], at);
    }
    stage.finish();
    // The last is later than the time asked about.
    let past = past(stage.path(), 15);
    assert_eq!(past.later, 1);
    assert_eq!(
        found(&judged(&past, 15)),
        [one(Level::Refused, Check::RootRival, "root 1"), one(Level::Refused, Check::RootRival, "root 1")].concat()
    );
}

// ----------------------------------------------------------------------------------------------------- not all there

#[test]
fn a_clone_that_was_cut_says_so() {
    let mut stage = Stage::clean();
    stage.set(3, 60);
    stage.commit(12);
    stage.finish();
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", stage.path().display());
    stage.git(&["clone", "-q", "--depth", "1", &url, clone.path().to_str().unwrap()]);
    let report = judged(&past(clone.path(), 15), 15);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.commits, (1, 1));
    assert!(report.headline().ends_with("; earlier commits are not in this clone"), "{}", report.headline());
    assert!(report.not_checked.iter().any(|line| line.starts_with("what came before the clone was cut")));
}

#[test]
fn an_object_that_is_missing_is_missed() {
    // A content, a tree, and a commit.
    for what in ["HEAD:repository/repository/2.targets.json", "HEAD:repository", "HEAD~1"] {
        let mut stage = Stage::clean();
        stage.finish();
        let id = stage.git(&["rev-parse", what]);
        fs::remove_file(stage.path().join(".git/objects").join(&id[..2]).join(&id[2..])).unwrap();
        assert_eq!(damage(&mut stage), format!("the object {id} is missing"));
        let (code, _, error) = program(stage.path(), 15, &[]);
        assert_eq!(code, 3, "{error}");
        assert!(error.contains(&id) && error.contains("hint: "), "{error}");
    }
}

#[test]
fn an_object_that_is_not_what_its_id_says_is_seen() {
    let mut stage = Stage::clean();
    stage.finish();
    let id = stage.git(&["rev-parse", "HEAD:repository/repository/2.root.json"]);
    let other = stage.git(&["rev-parse", "HEAD:repository/repository/1.root.json"]);
    let objects = stage.path().join(".git/objects");
    let file = objects.join(&id[..2]).join(&id[2..]);
    fs::remove_file(&file).unwrap();
    fs::copy(objects.join(&other[..2]).join(&other[2..]), &file).unwrap();
    assert!(damage(&mut stage).starts_with(&format!("the object {id} cannot be read: ")));
}

#[test]
fn objects_of_another_kind_and_commits_that_are_none() {
    let mut stage = Stage::clean();
    let repository = opened(&mut stage);
    let file = blob(&repository, &targets(1));
    let top = tree(&repository, &[("40000", b"metadata", file)]);
    commit(&repository, top, &[], 11, "kind");
    assert_eq!(damage(&mut stage), format!("the object {file} is a blob, where a tree is expected"));
    let mut stage = Stage::clean();
    let repository = opened(&mut stage);
    let broken = repository.odb().unwrap().write(ObjectType::Tree, b"100644 root.json\0short").unwrap();
    commit(&repository, broken, &[], 11, "broken");
    assert_eq!(damage(&mut stage), format!("the object {broken} is no tree"));
}
