//! Attacks on `verify`: what somebody who may write the whole repository, or hands over a prepared clone, tries so that
//! something false looks right. Each test is named for its attack.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use common::{Held, hold, plan, refused};
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Deed, Event, StepId};
use trustroot_core::plan::Plan;
use trustroot_core::record::Record;
use trustroot_core::signature::Portable;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::report::{Report, Verdict};
use trustroot_core::verify::trust_root::{Options, verify_trust_root};

static HELD: LazyLock<Held> = LazyLock::new(|| hold(&plan(), Vec::new()));
static TREE: LazyLock<Tree> = LazyLock::new(|| HELD.tree());

fn options() -> Options<'static> {
    Options { strict: false, ..common::options() }
}

fn verify(tree: &Tree) -> Report {
    verify_trust_root(tree, &options(), &Portable)
}

#[track_caller]
fn assert_refused(report: &Report, check: Check) {
    assert_eq!(report.verdict, Verdict::Refused, "{}", report.headline());
    assert!(refused(report).contains(&check), "{:#?}", report.findings);
}

fn put(tree: &mut Tree, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
    tree.insert(path.into(), Entry::File(bytes.into()));
}

/// The rehearsal without what lies in `root/`.
fn without_root() -> Tree {
    TREE.iter().filter(|(path, _)| !path.starts_with("root/")).map(|(path, e)| (path.clone(), e.clone())).collect()
}

/// Another plan of the same people, a day later.
fn another_plan() -> Plan {
    let mut other = plan();
    other.name = common::handle("another");
    other
}

/// The record up to, and without, the first event that `end` picks; with nothing in `root/`.
fn cut(end: impl Fn(&Deed) -> bool) -> Tree {
    let mut cut = false;
    let mut tree = common::rewritten(&without_root(), &HELD.record, |event| {
        cut |= end(&event.deed);
        !cut
    });
    let dir = &HELD.record;
    let record = Record::read(&tree, dir).unwrap();
    let named: BTreeSet<&String> = record.events.iter().flat_map(|logged| logged.event.files.keys()).collect();
    tree.retain(|path, _| {
        let evidence = path.starts_with(dir.as_str()) && !path.contains("/log/") && !path.ends_with("/plan.json");
        !evidence || named.contains(path)
    });
    tree
}

/// The last event before the proposal, which a forger fills in anew.
static BLANK: LazyLock<Event> = LazyLock::new(|| {
    let record = Record::read(&cut(|deed| matches!(deed, Deed::Proposed { .. })), &HELD.record).unwrap();
    record.events.last().unwrap().event.clone()
});

/// An event of the conductor's after `after`, as a forger writes it.
fn event(n: u32, after: BTreeSet<Digest>, deed: Deed) -> Event {
    Event { n, after, deed, files: BTreeMap::new(), signatures: BTreeMap::new(), ..BLANK.clone() }
}

/// Puts the event in, and gives its digest.
fn log(tree: &mut Tree, event: &Event) -> Digest {
    let bytes = event.to_canonical();
    put(tree, format!("{}/{}", HELD.record, event.path()), bytes.clone());
    Digest::of(&bytes)
}

fn exception(number: u32, what: &str) -> Deed {
    let approved = plan().seats.scribe;
    Deed::Exception { number, check: None, what: what.to_owned(), remedy: "None.".to_owned(), approved }
}

// ------------------------------------------------------------------------------------------------ coherent rewrites

#[test]
fn a_published_root_taken_away_beside_an_open_ceremony_is_refused() {
    let mut tree = without_root();
    let other = another_plan();
    put(&mut tree, format!("{}/plan.json", other.record_dir()), other.to_canonical());
    assert_refused(&verify(&tree), Check::RootFiles);
}

#[test]
fn an_exception_set_aside_by_a_made_up_fork_stands_in_the_headline() {
    let mut tree = cut(|deed| matches!(deed, Deed::Proposed { .. }));
    let record = Record::read(&tree, &HELD.record).unwrap();
    let (n, heads) = (record.next_n(&plan().seats.conductor), record.heads());
    let one = event(n, heads.clone(), exception(1, "The token lay in the hall over night."));
    let two = event(n, heads, exception(1, "A cup fell over."));
    let fork = BTreeSet::from([log(&mut tree, &one), log(&mut tree, &two)]);
    let chosen = Digest::of(&two.to_canonical());
    let choice = event(n + 1, fork.clone(), Deed::Chosen { fork, chosen });
    log(&mut tree, &choice);
    let report = verify(&tree);
    assert_eq!(report.verdict, Verdict::Consistent, "{:#?}", report.findings);
    assert!(report.headline().contains("1 event of ceremony/2026-12-01-genesis set aside"), "{}", report.headline());
    let told = |finding: &&trustroot_core::check::Finding| finding.check == Check::LogFork;
    assert_eq!(report.findings.iter().filter(told).count(), 1);
}

#[test]
fn a_quorum_set_aside_by_a_made_up_fork_is_a_rival() {
    // Everything from the proposal on is set aside: its signatures make a valid root for ever.
    let mut tree = cut(|deed| matches!(deed, Deed::Assembled { .. }));
    let record = Record::read(&tree, &HELD.record).unwrap();
    let proposed = record.events.iter().find(|logged| matches!(logged.event.deed, Deed::Proposed { .. })).unwrap();
    let other = event(proposed.event.n, proposed.event.after.clone(), exception(1, "A cup fell over."));
    let other = Event { time: record.last_time().unwrap(), ..other };
    let chosen = log(&mut tree, &other);
    let fork = BTreeSet::from([proposed.digest, chosen]);
    let mut after = record.heads();
    after.insert(chosen);
    let n = record.next_n(&plan().seats.conductor);
    let choice = Event { time: record.last_time().unwrap(), ..event(n, after, Deed::Chosen { fork, chosen }) };
    log(&mut tree, &choice);
    assert_refused(&verify(&tree), Check::RootRival);
}

#[test]
fn two_open_ceremonies_with_a_quorum_each_are_rivals() {
    let mut tree = cut(|deed| matches!(deed, Deed::Assembled { .. }));
    assert_eq!(verify(&tree).verdict, Verdict::Consistent);
    let other = hold(&another_plan(), Vec::new());
    let complete = other.tree();
    let mut cut = false;
    let mut second = common::rewritten(&complete, &other.record, |event| {
        cut |= matches!(event.deed, Deed::Assembled { .. });
        !cut
    });
    second.retain(|path, _| path.starts_with(&other.record));
    for page in ["script.html", "record.html", "README.md"] {
        second.remove(&format!("{}/{page}", other.record));
    }
    tree.extend(second);
    assert_refused(&verify(&tree), Check::RootRival);
}

#[test]
fn two_choices_that_contradict_each_other_do_not_erase_both_branches() {
    let mut tree = cut(|deed| matches!(deed, Deed::Proposed { .. }));
    let record = Record::read(&tree, &HELD.record).unwrap();
    let (n, heads) = (record.next_n(&plan().seats.conductor), record.heads());
    let fork: BTreeSet<Digest> = ["The token lay in the hall over night.", "A cup fell over."]
        .map(|what| log(&mut tree, &event(n, heads.clone(), exception(1, what))))
        .into();
    let choices: BTreeSet<Digest> = fork
        .iter()
        .map(|chosen| {
            let deed = Deed::Chosen { fork: fork.clone(), chosen: *chosen };
            log(&mut tree, &event(n + 1, fork.clone(), deed))
        })
        .collect();
    assert_refused(&verify(&tree), Check::LogFork);
    // A choice between the two choices ends it, and one of the exceptions counts.
    let chosen = *choices.first().unwrap();
    log(&mut tree, &event(n + 2, choices.clone(), Deed::Chosen { fork: choices, chosen }));
    let report = verify(&tree);
    assert_eq!(report.verdict, Verdict::Consistent, "{:#?}", report.findings);
    assert!(report.headline().contains("1 exception in"), "{}", report.headline());
    assert!(report.headline().contains("2 events of"), "{}", report.headline());
}

#[test]
fn a_token_identified_anew_after_its_secrets_were_replaced_is_refused() {
    // Otherwise the factory PIN of the second token would stay, and the record would say that it was replaced. The plan
    // names no serials, so that any token may come.
    let mut other = plan();
    other.holders.iter_mut().for_each(|holder| holder.token.serial = None);
    let again = |after: fn(&Deed) -> bool| {
        let mut tree = cut(after);
        let digest = Digest::of(&other.to_canonical());
        tree = common::rewritten(&tree, &HELD.record, |event| {
            event.plan = digest;
            true
        });
        put(&mut tree, format!("{}/plan.json", HELD.record), other.to_canonical());
        let record = Record::read(&tree, &HELD.record).unwrap();
        let mut deeds = record.events.iter().map(|logged| &logged.event.deed);
        let Some(Deed::Token { holder, token }) = deeds.find(|deed| matches!(deed, Deed::Token { .. })) else {
            panic!("no token was identified");
        };
        let mut token = token.clone();
        token.serial = (token.serial.number().unwrap() + 1000).into();
        let step = StepId::of(Act::Keys, holder, "token");
        let deed = Deed::Token { holder: holder.clone(), token };
        let n = record.next_n(&plan().seats.conductor);
        let last = record.last_time().unwrap();
        log(&mut tree, &Event { plan: digest, time: last, step, ..event(n, record.heads(), deed) });
        verify(&tree)
    };
    // Another token before that is what happens when the first does not work.
    assert_eq!(again(|deed| matches!(deed, Deed::Provisioned { .. })).verdict, Verdict::Consistent);
    assert_refused(&again(|deed| matches!(deed, Deed::GenerateIntent { .. })), Check::LogStep);
}

// ------------------------------------------------------------------------------------------------------ exhaustion

#[test]
fn a_record_of_nothing_but_choices_is_refused_before_each_is_searched_for() {
    let mut tree = cut(|deed| matches!(deed, Deed::Proposed { .. }));
    let record = Record::read(&tree, &HELD.record).unwrap();
    let (n, heads) = (record.next_n(&plan().seats.conductor), record.heads());
    let fork: BTreeSet<Digest> = (0..50)
        .map(|number| log(&mut tree, &event(n, heads.clone(), exception(1, &format!("Cup {number} fell over.")))))
        .collect();
    let chosen = *fork.first().unwrap();
    for number in 0..50 {
        let deed = Deed::Chosen { fork: fork.clone(), chosen };
        let time = BLANK.time.plus_seconds(number);
        log(&mut tree, &Event { time, ..event(n + 1, fork.clone(), deed) });
    }
    let report = verify(&tree);
    assert_eq!(refused(&report), BTreeSet::from([Check::LogForm, Check::RootGap]), "{:#?}", report.findings);
}

#[test]
fn an_event_that_follows_hundreds_is_refused() {
    let mut tree = cut(|deed| matches!(deed, Deed::Proposed { .. }));
    let after: BTreeSet<Digest> = (0..300u32).map(|number| Digest::of(&number.to_be_bytes())).collect();
    log(&mut tree, &event(99, after, exception(1, "A cup fell over.")));
    assert_refused(&verify(&tree), Check::LogForm);
}

// ------------------------------------------------------------------------------------------------------------- git

fn trustroot(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trustroot")).current_dir(folder).args(arguments).output().unwrap()
}

const VERIFY: [&str; 4] = ["verify", "--rehearsal", "--at", "2026-12-02T00:00:00Z"];

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Mallory", "-c", "user.email=mallory@example.invalid", "-c", "core.hooksPath="]);
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A clone of the rehearsal's repository, to be attacked.
fn clone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = HELD.path();
    git(folder.path(), &["clone", "-q", from.to_str().unwrap(), "."]);
    folder
}

/// Puts these files in place of everything under `ceremony/` and `root/`, as one more commit.
fn commit(folder: &Path, tree: &Tree) {
    for top in ["ceremony", "root"] {
        let _ = std::fs::remove_dir_all(folder.join(top));
    }
    for (path, entry) in tree {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, entry.bytes().unwrap()).unwrap();
    }
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "Tidy up"]);
}

#[test]
fn an_anchor_from_the_repository_itself_proves_nothing_and_is_refused() {
    let clone = clone();
    let by = |anchor: &str| trustroot(clone.path(), &[&VERIFY[..], &["--anchor", anchor]].concat());
    let output = by("root/1.root.json");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("hint: "), "{}", said(&output));
    // The same file, got in another way, is one.
    let elsewhere = tempfile::tempdir().unwrap();
    let kept = elsewhere.path().join("kept.json");
    std::fs::copy(clone.path().join("root/1.root.json"), &kept).unwrap();
    let output = by(kept.to_str().unwrap());
    assert!(said(&output).contains("VERIFIED, anchored at root 1"), "{}", said(&output));
    // Numbered roots alike.
    let output = trustroot(clone.path(), &["verify", "--rehearsal", "--roots", "root", "--anchor", "root/1.root.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn the_roots_of_a_rehearsal_are_refused_as_numbered_roots_too() {
    let clone = clone();
    let output = trustroot(clone.path(), &["verify", "--roots", "root"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("REHEARSAL: "), "{}", said(&output));
    let output = trustroot(clone.path(), &["verify", "--roots", "root", "--rehearsal"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).starts_with("REHEARSAL, nothing here is to be trusted: CONSISTENT"), "{}", said(&output));
}

#[test]
fn an_event_taken_out_by_a_later_commit_is_refused() {
    let clone = clone();
    // An exception is logged, committed, and taken out again by a log that is whole without it.
    let open = cut(|deed| matches!(deed, Deed::Proposed { .. }));
    let record = Record::read(&open, &HELD.record).unwrap();
    let mut with = open.clone();
    let one = event(record.next_n(&plan().seats.conductor), record.heads(), exception(1, "A cup fell over."));
    log(&mut with, &one);
    let folder = clone.path();
    git(folder, &["checkout", "-q", "--orphan", "other"]);
    git(folder, &["tag", "-d", "2026-12-01-genesis-root-1"]);
    git(folder, &["update-ref", "-d", "refs/remotes/origin/main"]);
    git(folder, &["update-ref", "-d", "refs/heads/main"]);
    commit(folder, &with);
    let output = trustroot(folder, &VERIFY);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    commit(folder, &open);
    let output = trustroot(folder, &VERIFY);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("refused: RECORD-FILES: "), "{}", said(&output));
}

#[test]
fn attributes_that_undo_the_line_that_keeps_bytes_are_told() {
    let told = |text: &str| {
        let mut tree = TREE.clone();
        put(&mut tree, ".gitattributes", text);
        verify(&tree).findings.iter().any(|finding| finding.subject == ".gitattributes" && finding.level > Level::Note)
    };
    assert!(!told("* -text\n"));
    assert!(!told("# kept as it is\n*.png -diff\n* -text\n"));
    for bad in [
        "* -text\n*.json text eol=crlf\n",
        "* -text\nroot/* filter=lfs\n",
        "*.json ident\n* -text\n",
        "* -text\n[attr]x working-tree-encoding=UTF-16\n",
        "* text\n* -text -text !text\n",
    ] {
        assert!(told(bad), "{bad}");
    }
}

#[test]
fn a_folder_that_some_file_systems_take_for_root_is_refused() {
    let clone = clone();
    let folder = clone.path();
    let blob = git(folder, &["rev-parse", "HEAD:root/1.root.json"]);
    git(folder, &["update-index", "--add", "--cacheinfo", &format!("100644,{blob},Root/2.root.json")]);
    git(folder, &["commit", "-q", "-m", "Hide a root"]);
    git(folder, &["reset", "-q", "--hard"]);
    let output = trustroot(folder, &VERIFY);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("NAME-TWIN"), "{}", said(&output));
}

#[test]
fn a_history_cut_by_grafts_is_not_taken_for_whole() {
    let clone = clone();
    let head = git(clone.path(), &["rev-parse", "HEAD"]);
    std::fs::create_dir_all(clone.path().join(".git/info")).unwrap();
    std::fs::write(clone.path().join(".git/info/grafts"), format!("{head}\n")).unwrap();
    let output = trustroot(clone.path(), &VERIFY);
    assert!(said(&output).contains("rivals and rewrites before the clone was cut"), "{}", said(&output));
}

/// Writes an object that git itself would not write, and gives its id.
fn object(folder: &Path, kind: &str, bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    git(folder, &["hash-object", "-t", kind, "-w", "--literally", file.path().to_str().unwrap()])
}

/// One entry of a tree object.
fn entry(mode: &str, name: &str, id: &str) -> Vec<u8> {
    let id = (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap());
    [format!("{mode} {name}\0").into_bytes(), id.collect()].concat()
}

/// The tree of the newest commit, with `change` made to its entries.
fn top_with(folder: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> String {
    let listed = git(folder, &["ls-tree", "HEAD"]);
    let mut entries: Vec<Vec<u8>> = listed
        .lines()
        .map(|line| {
            let (left, name) = line.split_once('\t').unwrap();
            let words: Vec<&str> = left.split(' ').collect();
            entry(words[0].trim_start_matches('0'), name, words[2])
        })
        .collect();
    change(&mut entries);
    object(folder, "tree", &entries.concat())
}

#[test]
fn a_file_that_has_the_name_of_the_folder_beside_it_is_refused() {
    let clone = clone();
    let folder = clone.path();
    let evil = object(folder, "blob", b"{}");
    for top in ["root", "ceremony"] {
        let tree = top_with(folder, |entries| {
            let at = entries.iter().position(|one| one.starts_with(format!("40000 {top}\0").as_bytes())).unwrap();
            entries.insert(at, entry("100644", top, &evil));
        });
        let commit = git(folder, &["commit-tree", &tree, "-p", "HEAD", "-m", "Two of one name"]);
        let bare = tempfile::tempdir().unwrap();
        git(folder, &["clone", "-q", "--bare", ".", bare.path().to_str().unwrap()]);
        git(folder, &["push", "-q", bare.path().to_str().unwrap(), &format!("{commit}:refs/heads/main")]);
        let output = trustroot(bare.path(), &VERIFY);
        assert_eq!(output.status.code(), Some(1), "{top}: {}", said(&output));
        assert!(said(&output).contains(&format!("{top}: it is two entries of one name")), "{}", said(&output));
    }
}

#[test]
fn a_rival_in_a_tree_that_is_out_of_order_is_found() {
    let clone = clone();
    let folder = clone.path();
    let evil = object(folder, "blob", b"not a root");
    let inner = object(folder, "tree", &entry("100644", "1.root.json", &evil));
    let tree = top_with(folder, |entries| {
        entries.retain(|one| !one.starts_with(b"40000 root\0"));
        entries.insert(0, entry("40000", "root", &inner));
    });
    let commit = git(folder, &["commit-tree", &tree, "-m", "Out of order"]);
    git(folder, &["update-ref", "refs/heads/other", &commit]);
    let output = trustroot(folder, &VERIFY);
    assert!(said(&output).contains(&format!("ROOT-RIVAL: root/1.root.json in commit {commit}")), "{}", said(&output));
}

#[test]
fn a_file_of_the_record_that_a_merge_left_out_is_refused() {
    let clone = clone();
    let folder = clone.path();
    git(folder, &["checkout", "-q", "-b", "side"]);
    std::fs::write(folder.join(&HELD.record).join("log/olga/note.txt"), "A cup fell over.").unwrap();
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "A note"]);
    git(folder, &["checkout", "-q", "main"]);
    git(folder, &["merge", "-q", "-s", "ours", "--no-edit", "side"]);
    let output = trustroot(folder, &VERIFY);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("a record only grows"), "{}", said(&output));
}

#[test]
fn a_working_tree_in_another_folder_is_refused() {
    let clone = clone();
    let good = HELD.path();
    git(clone.path(), &["config", "core.worktree", good.to_str().unwrap()]);
    std::fs::write(clone.path().join("root/1.root.json"), "{}").unwrap();
    // From the folder whose bytes nobody would look at.
    let output = trustroot(&clone.path().join("root"), &VERIFY);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("core.worktree") && said(&output).contains("hint: "), "{}", said(&output));
}

#[test]
fn what_a_clone_left_out_is_said() {
    let from = format!("file://{}", HELD.path().display());
    git(&HELD.path(), &["config", "uploadpack.allowFilter", "true"]);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // Cut, and looked at from a linked working tree, where git keeps no `shallow`.
    git(folder.path(), &["clone", "-q", "--depth=1", &from, "cut"]);
    git(&at("cut"), &["worktree", "add", "-q", "../linked"]);
    for name in ["cut", "linked"] {
        let output = trustroot(&at(name), &VERIFY);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("rivals and rewrites before the clone was cut"), "{}", said(&output));
    }
    // Without the trees of earlier commits.
    git(folder.path(), &["clone", "-q", "--filter=tree:0", &from, "thin"]);
    let output = trustroot(&at("thin"), &VERIFY);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("is not whole") && said(&output).contains("--refetch"), "{}", said(&output));
    git(&at("thin"), &["fetch", "-q", "--refetch", "--no-filter"]);
    assert_eq!(trustroot(&at("thin"), &VERIFY).status.code(), Some(0));
}

#[test]
fn an_object_that_is_not_what_its_id_says_is_refused() {
    let clone = clone();
    let folder = clone.path();
    let from = HELD.path();
    git(folder, &["fetch", "-q", from.to_str().unwrap()]);
    let evil = object(folder, "blob", b"{}");
    let good = git(folder, &["rev-parse", "HEAD:root/1.root.json"]);
    let place = |id: &str| folder.join(".git/objects").join(&id[..2]).join(&id[2..]);
    let _ = std::fs::remove_file(place(&good));
    std::fs::create_dir_all(place(&good).parent().unwrap()).unwrap();
    std::fs::copy(place(&evil), place(&good)).unwrap();
    for pack in std::fs::read_dir(folder.join(".git/objects/pack")).unwrap() {
        std::fs::remove_file(pack.unwrap().path()).unwrap();
    }
    let output = trustroot(folder, &VERIFY);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("is not whole: object hash mismatch"), "{}", said(&output));
    assert!(said(&output).contains("git fsck"), "{}", said(&output));
}

#[test]
fn objects_that_git_shows_in_place_of_others_change_nothing() {
    let clone = clone();
    let folder = clone.path();
    let head = git(folder, &["rev-parse", "HEAD"]);
    let good = git(folder, &["rev-parse", "HEAD:root/1.root.json"]);
    let evil = object(folder, "blob", b"{}");
    git(folder, &["replace", &good, &evil]);
    let output = trustroot(folder, &VERIFY);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains(&head), "{}", said(&output));
    // What git writes now is the other file.
    std::fs::remove_file(folder.join("root/1.root.json")).unwrap();
    git(folder, &["checkout", "HEAD", "--", "root/1.root.json"]);
    let output = trustroot(folder, &VERIFY);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("WORKING-TREE"), "{}", said(&output));
}

#[test]
fn bits_of_the_index_hide_nothing() {
    for bit in ["--assume-unchanged", "--skip-worktree"] {
        let clone = clone();
        let folder = clone.path();
        git(folder, &["update-index", bit, "root/timestamp.json"]);
        std::fs::write(folder.join("root/timestamp.json"), "{}").unwrap();
        assert_eq!(git(folder, &["status", "--porcelain"]), "");
        let output = trustroot(folder, &VERIFY);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("WORKING-TREE: root/timestamp.json"), "{}", said(&output));
        // Nor are the lines that are printed fooled.
        let lines = said(&output);
        let git_lines: Vec<&str> = lines.lines().filter(|line| line.contains("hash-object")).collect();
        assert_eq!(git_lines.len(), 1, "{lines}");
        let status = Command::new("sh").args(["-c", git_lines[0]]).current_dir(folder).status().unwrap();
        assert!(!status.success());
    }
}

#[test]
fn the_pages_of_a_rehearsal_may_be_rendered_anew_and_nothing_else_of_it() {
    let closing = |event: &mut Event| {
        if let Deed::Closed { program } = &mut event.deed {
            program.push_str("-next");
        }
        true
    };
    let clone = clone();
    commit(clone.path(), &common::rewritten(&TREE, &HELD.record, closing));
    let output = trustroot(clone.path(), &VERIFY);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("the end of the rehearsal was made anew: 1 earlier"), "{}", said(&output));
    // The event before the closing one is no page.
    commit(
        clone.path(),
        &common::rewritten(&TREE, &HELD.record, |event| {
            if let Deed::ReadBack { .. } = event.deed {
                event.checked.clear();
            }
            true
        }),
    );
    let output = trustroot(clone.path(), &VERIFY);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("a record only grows"), "{}", said(&output));
}
