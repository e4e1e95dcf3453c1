//! Records whose events are signed with SSH keys: no signature is taken away, exchanged or added later, not even by somebody
//! who writes git's history anew.
//!
//! Needs `ssh-keygen` (package openssh-client); `scripts/setup test` installs it.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use common::{Held, hold_with, plan, refused, verify};
use tempfile::TempDir;
use trustroot::ledger::GitLedger;
use trustroot::seams::{Answer, Commit, Head, Ledger, LedgerError};
use trustroot::ui::rehearsed::{Deviation, Instead};
use trustroot_core::beside;
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Deed, StepId};
use trustroot_core::plan::Plan;
use trustroot_core::record::{Logged, Record};
use trustroot_core::time::Timestamp;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::report::Verdict;

/// The keys of olga, who conducts. ECDSA signatures are randomised: each signing gives another valid one.
static KEYS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for name in ["olga", "other"] {
        keygen(folder.path(), &["-q", "-N", "", "-t", "ecdsa", "-b", "256", "-C", "it's $(me)", "-f", name]);
    }
    folder
});
static HELD: LazyLock<Held> = LazyLock::new(|| held_by("olga"));
static TREE: LazyLock<Tree> = LazyLock::new(|| HELD.tree());
static RECORD: LazyLock<Record> = LazyLock::new(|| Record::read(&TREE, &HELD.record).unwrap());

fn keygen(folder: &Path, arguments: &[&str]) {
    let output = Command::new("ssh-keygen").args(arguments).current_dir(folder).env_remove("SSH_AUTH_SOCK").output();
    let output = output.expect("ssh-keygen is there (package openssh-client)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What `ssh-keygen` signs with the key of this name.
fn signed(key: &str, namespace: &str, message: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("message"), message).unwrap();
    let key = KEYS.path().join(key);
    keygen(folder.path(), &["-q", "-Y", "sign", "-f", key.to_str().unwrap(), "-n", namespace, "message"]);
    std::fs::read_to_string(folder.path().join("message.sig")).unwrap()
}

/// The real ledger of somebody whose git signs with an SSH key, as many commits long.
struct Signing {
    inner: GitLedger,
    key: &'static str,
    commits: usize,
}

impl Ledger for Signing {
    fn head(&self) -> Result<Head, LedgerError> {
        self.inner.head()
    }

    fn append(&mut self, commit: &Commit) -> Result<Head, LedgerError> {
        self.commits = self.commits.saturating_sub(1);
        self.inner.append(commit)
    }

    fn tag(&mut self, name: &str, message: &str, time: Timestamp) -> Result<(), LedgerError> {
        self.inner.tag(name, message, time)
    }

    fn ssh_sign(&mut self, namespace: &str, bytes: &[u8]) -> Result<Option<String>, LedgerError> {
        Ok((self.commits > 0).then(|| signed(self.key, namespace, bytes)))
    }
}

fn plan_of_olga() -> Plan {
    let mut plan = plan();
    let olga = plan.people.iter_mut().find(|person| person.handle.as_str() == "olga").unwrap();
    olga.ssh = Some(std::fs::read_to_string(KEYS.path().join("olga.pub")).unwrap().trim().to_owned());
    plan
}

fn held_by(key: &'static str) -> Held {
    hold_with(&plan_of_olga(), Vec::new(), move |inner| Box::new(Signing { inner, key, commits: usize::MAX }))
}

/// Every event but the newest, and where its signature lies.
fn followed() -> impl Iterator<Item = (&'static Logged, String)> {
    let events = &RECORD.events;
    events[..events.len() - 1].iter().map(|logged| (logged, beside::path(&HELD.record, &logged.event)))
}

#[test]
fn every_event_names_the_signatures_beside_those_it_follows() {
    let report = verify(&TREE);
    assert_eq!(report.verdict, Verdict::Consistent, "{:?}", report.findings);
    assert!(report.checked.iter().any(|line| line.contains("46 SSH signatures")), "{:?}", report.checked);
    for pair in RECORD.events.windows(2) {
        let [before, event] = pair else { unreachable!() };
        let signature = TREE[&beside::path(&HELD.record, &before.event)].bytes().unwrap();
        assert_eq!(event.event.signatures.iter().collect::<Vec<_>>(), [(&before.digest, &Digest::of(signature))]);
    }
}

/// Refused by RECORD-FILES for this path, and by nothing else that reads no signature.
fn assert_named(tree: &Tree, path: &str) {
    let record = Record::read(tree, &HELD.record).unwrap();
    let findings = beside::check(&record, tree);
    let found: Vec<_> = findings.iter().map(|finding| (finding.check, finding.subject.as_str())).collect();
    assert_eq!(found, [(Check::RecordFiles, path)]);
}

#[test]
fn a_signature_taken_away_exchanged_or_made_a_link_is_refused() {
    let all: Vec<_> = followed().collect();
    for (i, (logged, path)) in all.iter().enumerate().step_by(3) {
        let mut gone = TREE.clone();
        gone.remove(path);
        // The next one's in its place, another valid one by the same key, and a link.
        let next = TREE[&all[(i + 1) % all.len()].1].clone();
        let again = Entry::File(signed("olga", "trustroot-event", &logged.event.to_canonical()).into_bytes());
        let trees = [next, again, Entry::Odd("a symbolic link")].map(|other| {
            let mut tree = TREE.clone();
            assert_ne!(tree.insert(path.clone(), other.clone()), Some(other));
            tree
        });
        trees.iter().chain([&gone]).for_each(|tree| assert_named(tree, path));
        if i % 9 == 0 {
            let [next, again, link] = trees.map(|tree| refused(&verify(&tree)));
            // Somebody who signed goes on signing; the first one may have been the last that was not signed.
            let stopped = (i > 0).then_some(Check::LogSigned);
            let expected: BTreeSet<Check> = [Check::RecordFiles].into_iter().chain(stopped).collect();
            assert_eq!(refused(&verify(&gone)), expected);
            assert_eq!(again, BTreeSet::from([Check::RecordFiles]));
            for checks in [next, link] {
                assert_eq!(checks, BTreeSet::from([Check::RecordFiles, Check::LogSigned]));
            }
        }
    }
}

#[test]
fn a_signature_added_later_is_refused_even_a_valid_one() {
    let unsigned = common::hold(&plan_of_olga(), Vec::new());
    let tree = unsigned.tree();
    let record = Record::read(&tree, &unsigned.record).unwrap();
    let (last, followed) = record.events.split_last().unwrap();
    let with = |logged: &Logged| {
        let signature = signed("olga", "trustroot-event", &logged.event.to_canonical());
        let mut tree = tree.clone();
        tree.insert(beside::path(&unsigned.record, &logged.event), Entry::File(signature.into_bytes()));
        verify(&tree)
    };
    for logged in followed.iter().step_by(9) {
        let checks = BTreeSet::from([Check::RecordFiles, Check::LogSigned]);
        assert_eq!(refused(&with(logged)), checks, "{}", logged.event.path());
    }
    // Nothing follows the newest: whoever has the key can sign it whenever they like.
    assert_eq!(with(last).verdict, Verdict::Consistent);
}

#[test]
fn what_lies_beside_an_event_that_is_not_followed_is_named_by_nobody() {
    let tree = common::rewritten(&TREE, &HELD.record, |event| {
        let is_last = event.n == u32::try_from(RECORD.events.len()).unwrap();
        if is_last {
            let first = &RECORD.events[0];
            let signature = TREE[&beside::path(&HELD.record, &first.event)].bytes().unwrap();
            event.signatures.insert(first.digest, Digest::of(signature));
        }
        true
    });
    assert!(refused(&verify(&tree)).contains(&Check::LogForm), "{:?}", verify(&tree).findings);
}

#[test]
fn a_signature_taken_away_with_gits_history_written_anew_is_refused() {
    let git = |folder: &Path, arguments: &[&str]| {
        let identity =
            ["-c", "user.name=Mallory", "-c", "user.email=mallory@example.invalid", "-c", "commit.gpgsign=no"];
        let output = Command::new("git").args(identity).args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let (_, path) = followed().nth(8).unwrap();
    for (taken, code) in [(None, 0), (Some(path), 1)] {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["clone", "-q", "--no-local", "--no-tags", HELD.path().to_str().unwrap(), "."]);
        if let Some(path) = &taken {
            std::fs::remove_file(folder.path().join(path)).unwrap();
        }
        // One commit that nothing comes before: git knows of no other state.
        git(folder.path(), &["checkout", "-q", "--orphan", "anew"]);
        git(folder.path(), &["add", "-A"]);
        git(folder.path(), &["commit", "-q", "-m", "Everything"]);
        for name in ["origin/HEAD", "origin/main", "origin/master"] {
            let _ = Command::new("git")
                .args(["update-ref", "-d", &format!("refs/remotes/{name}")])
                .current_dir(&folder)
                .output();
        }
        git(folder.path(), &["branch", "-M", "anew", "main"]);
        let output = Command::new(env!("CARGO_BIN_EXE_trustroot"))
            .args(["verify", "--rehearsal", "--at", "2026-12-02T00:00:00Z"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        if let Some(path) = &taken {
            assert!(said.contains(&format!("RECORD-FILES: {path}: it is missing")), "{said}");
        }
    }
}

#[test]
fn a_key_that_the_plan_does_not_name_signs_no_event() {
    let other = std::panic::catch_unwind(|| held_by("other"));
    let said = *other.err().expect("it stopped").downcast::<String>().unwrap();
    assert!(said.contains("SshSign"), "{said}");
    // Where the plan names no key at all, nothing is signed, whatever git is set up for.
    let held = hold_with(&plan(), Vec::new(), |inner| Box::new(Signing { inner, key: "other", commits: usize::MAX }));
    let tree = held.tree();
    assert!(tree.keys().all(|path| !path.ends_with(".sig")));
    assert_eq!(verify(&tree).verdict, Verdict::Consistent);
}

#[test]
fn signatures_by_others_or_for_other_purposes_are_refused() {
    let (logged, path) = followed().nth(3).unwrap();
    let bytes = logged.event.to_canonical();
    for (key, namespace) in [("other", "trustroot-event"), ("olga", "trustroot-record")] {
        let signature = signed(key, namespace, &bytes);
        let mut exchanged = TREE.clone();
        exchanged.insert(path.clone(), Entry::File(signature.clone().into_bytes()));
        assert!(refused(&verify(&exchanged)).contains(&Check::LogSigned), "{key} {namespace}");
        // Beside the newest, which nothing follows, no other rule is in the way.
        let last = beside::path(&HELD.record, &RECORD.events.last().unwrap().event);
        let mut exchanged = TREE.clone();
        exchanged.insert(last.clone(), Entry::File(signature.into_bytes()));
        assert_eq!(refused(&verify(&exchanged)), BTreeSet::from([Check::LogSigned]), "{key} {namespace}");
    }
    // Somebody for whom the plan names no key signs.
    let unsigned = common::hold(&plan(), Vec::new());
    let mut tree = unsigned.tree();
    let record = Record::read(&tree, &unsigned.record).unwrap();
    let last = &record.events.last().unwrap().event;
    let signature = signed("other", "trustroot-event", &last.to_canonical());
    tree.insert(beside::path(&unsigned.record, last), Entry::File(signature.into_bytes()));
    assert_eq!(refused(&verify(&tree)), BTreeSet::from([Check::LogSigned]));
}

#[test]
fn the_printed_line_checks_every_signature_with_ssh_keygen() {
    let report = verify(&TREE);
    let by_ssh: Vec<&String> = report.equivalents.iter().filter(|line| line.contains("ssh-keygen")).collect();
    assert_eq!(by_ssh.len(), 1);
    let run = |tree: &Tree| {
        let folder = tempfile::tempdir().unwrap();
        for (path, entry) in tree {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, entry.bytes().unwrap()).unwrap();
        }
        Command::new("sh").args(["-c", by_ssh[0]]).current_dir(folder.path()).output().unwrap().status.success()
    };
    assert!(run(&TREE), "{}", by_ssh[0]);
    let (logged, path) = followed().nth(3).unwrap();
    let mut by_other = TREE.clone();
    let signature = signed("other", "trustroot-event", &logged.event.to_canonical());
    by_other.insert(path, Entry::File(signature.into_bytes()));
    assert!(!run(&by_other));
}

// ------------------------------------------------------------------------------------- whoever signs goes on signing

#[test]
fn a_log_written_anew_without_signatures_is_refused() {
    // The forger changes what came after the proposal, which no root signature is over, and has nobody's SSH key.
    let tree = common::rewritten(&TREE, &HELD.record, |event| {
        if let Deed::Published { tag } = &mut event.deed {
            tag.push_str("-x");
        }
        true
    });
    assert!(tree.keys().filter(|path| path.ends_with(".sig")).count() > 40);
    let report = verify(&tree);
    assert_eq!(refused(&report), BTreeSet::from([Check::LogSigned, Check::RecordPages]), "{:?}", report.findings);
    // From the first event on, nothing is signed: but the root names the events before its proposal.
    let tree = common::rewritten(&TREE, &HELD.record, |event| {
        event.checked.clear();
        true
    });
    assert!(tree.keys().all(|path| !path.ends_with(".sig")));
    assert!(refused(&verify(&tree)).contains(&Check::RootRecord));
}

#[test]
fn the_signature_of_the_newest_event_taken_away_is_refused_too() {
    let last = &RECORD.events.last().unwrap().event;
    let mut tree = TREE.clone();
    tree.remove(&beside::path(&HELD.record, last));
    assert_eq!(refused(&verify(&tree)), BTreeSet::from([Check::LogSigned]));
    // Nor can the one over the whole record be left out alone.
    let mut tree = TREE.clone();
    tree.remove(&beside::record_path(&HELD.record, last));
    assert_eq!(refused(&verify(&tree)), BTreeSet::from([Check::LogSigned]));
}

/// A rehearsal whose git signs the first `commits` events and then no more, with this choice of the scribe.
fn stopped_signing(commits: usize, step: StepId, choice: &str) -> std::thread::Result<Held> {
    let deviation = Deviation {
        step,
        name: "unsigned".to_owned(),
        nth: 1,
        instead: Instead::Answer(Answer::One(choice.to_owned())),
    };
    let ledger = move |inner| Box::new(Signing { inner, key: "olga", commits }) as Box<dyn Ledger>;
    std::panic::catch_unwind(|| hold_with(&plan_of_olga(), vec![deviation], ledger))
}

#[test]
fn whoever_cannot_sign_any_more_stops_or_has_it_in_the_headline() {
    let clock = StepId::new(Act::Open, "clock");
    let said = *stopped_signing(1, clock.clone(), "pause").err().expect("it stopped").downcast::<String>().unwrap();
    assert!(said.contains("Interrupted"), "{said}");
    let held = stopped_signing(1, clock, "unsigned").unwrap();
    let report = verify(&held.tree());
    assert_eq!(report.verdict, Verdict::Consistent, "{:?}", report.findings);
    let told: BTreeSet<Check> =
        report.findings.iter().filter(|finding| finding.level == Level::Warning).map(|finding| finding.check).collect();
    assert_eq!(told, BTreeSet::from([Check::Exceptions, Check::LogSigned]));
    assert!(report.headline().contains("1 exception"), "{}", report.headline());
    // Once exceptions were read back, none can be logged: there is nothing but to stop.
    let close = StepId::new(Act::Close, "record");
    let said = *stopped_signing(44, close, "pause").err().expect("it stopped").downcast::<String>().unwrap();
    assert!(said.contains("Interrupted"), "{said}");
}
