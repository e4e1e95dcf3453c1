//! Three ceremonies in one repository: a genesis, an attempt that was abandoned, and the renewal after it. Somebody without
//! any key writes the earlier records and git's history anew; the root that the last one made vouches for what they were.

mod common;
#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use stage::{Stage, instead, interject, one};
use trustroot::conduct::Ending;
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::earlier::folder_digest;
use trustroot_core::event::{Act, Deed};
use trustroot_core::page::closing;
use trustroot_core::record::Record;
use trustroot_core::replay::replay;
use trustroot_core::tree::{Entry, Tree};

const GENESIS: &str = "ceremony/2026-01-05-genesis";
const ABANDONED: &str = "ceremony/2026-06-01-renewal";
const RENEWAL: &str = "ceremony/2026-06-02-renewal-again";

/// One at a time opens the repository.
static STAGE: LazyLock<Mutex<Stage>> = LazyLock::new(|| {
    let mut stage = Stage::new(3, 2);
    // An exception after the proposal, which no signature of the root of its own ceremony vouches for.
    let logged =
        [instead("sign.bob.sign", "consent", interject()), instead("sign.bob.sign", "trouble", one("exception"))];
    assert_eq!(stage.hold(&logged).ending(), Ending::Closed);
    stage.follow(&stage.carried("renewal", "2026-06-01", |_| ()));
    let stopped =
        [instead("sign.bob.sign", "consent", interject()), instead("sign.bob.sign", "trouble", one("abandon"))];
    assert_eq!(stage.hold(&stopped).ending(), Ending::Aborted);
    stage.follow(&stage.carried("renewal-again", "2026-06-02", |_| ()));
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    Mutex::new(stage)
});
static TREE: LazyLock<Tree> = LazyLock::new(|| STAGE.lock().unwrap().tree());

/// What is refused in `tree`: the checks, and the subjects.
fn refused(tree: &Tree) -> BTreeSet<(Check, String)> {
    let report = STAGE.lock().unwrap().report_of(tree);
    let refused = report.findings.into_iter().filter(|finding| finding.level == Level::Refused);
    refused.map(|finding| (finding.check, finding.subject)).collect()
}

fn earlier(dirs: &[&str]) -> BTreeSet<(Check, String)> {
    dirs.iter().map(|dir| (Check::RecordEarlier, (*dir).to_owned())).collect()
}

/// The closed record in `dir` without its one exception, as if nobody had logged it, and its pages rendered anew.
fn without_its_exception(tree: &Tree, dir: &str) -> Tree {
    let mut tree = common::rewritten(tree, dir, |event| {
        if let Deed::ReadBack { exceptions } = &mut event.deed {
            *exceptions = 0;
        }
        !matches!(event.deed, Deed::Exception { .. })
    });
    let whole = Record::read(&tree, dir).unwrap();
    let (closed, before) = whole.events.split_last().unwrap();
    let Deed::Closed { program } = &closed.event.deed else { panic!("the last event closes") };
    let record = Record { events: before.to_vec(), ..whole.clone() };
    let pages = closing::pages(&replay(&record, &tree).unwrap(), &record, program);
    let inside = |path: &&String| path.starts_with(dir);
    for (path, bytes) in pages.iter().filter(|(path, _)| inside(path)) {
        tree.insert(path.clone(), Entry::File(bytes.clone()));
    }
    common::rewritten(&tree, dir, |event| {
        if let Deed::Closed { .. } = event.deed {
            event.files = pages.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect();
        }
        true
    })
}

#[test]
fn each_ceremony_names_those_that_were_over() {
    let tree = &*TREE;
    let named = |dir: &str| {
        let record = Record::read(tree, dir).unwrap();
        record.events.into_iter().find_map(|logged| match logged.event.deed {
            Deed::Roll { earlier, .. } => Some(earlier),
            _ => None,
        })
    };
    let of = |dirs: &[&str]| dirs.iter().map(|dir| ((*dir).to_owned(), folder_digest(tree, dir))).collect();
    assert_eq!(named(GENESIS), Some(of(&[])));
    assert_eq!(named(ABANDONED), Some(of(&[GENESIS])));
    assert_eq!(named(RENEWAL), Some(of(&[GENESIS, ABANDONED])));
    assert_eq!(refused(tree), BTreeSet::new());
}

/// The lines that `docs/format.md` names make the same digest.
#[test]
fn git_and_sha256sum_have_the_same_digest() {
    let digest = folder_digest(&TREE, GENESIS).to_string();
    let stage = STAGE.lock().unwrap();
    let line = format!("git ls-files -z {GENESIS} | xargs -0 sha256sum | sha256sum");
    let out = Command::new("sh").arg("-c").arg(line).current_dir(stage.folder.path()).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(said.split_whitespace().next(), Some(digest.as_str()));
}

#[test]
fn an_abandoned_attempt_cannot_be_made_unheard_of() {
    let mut tree = TREE.clone();
    tree.retain(|path, _| !path.starts_with(ABANDONED));
    assert_eq!(refused(&tree), earlier(&[ABANDONED]));
}

#[test]
fn an_exception_after_the_proposal_cannot_be_taken_out() {
    let changed = without_its_exception(&TREE, GENESIS);
    let count = |tree: &Tree| tree.keys().filter(|path| path.starts_with(GENESIS)).count();
    assert_eq!(count(&changed) + 1, count(&TREE), "the exception is gone");
    assert_eq!(refused(&changed), earlier(&[GENESIS]));
}

#[test]
fn an_attempt_that_never_was_cannot_be_put_in() {
    let mut tree = TREE.clone();
    // The abandoned one again, under another name and day; nobody needs a key for what was done before its proposal.
    let record = Record::read(&tree, ABANDONED).unwrap();
    let mut plan = record.plan.clone();
    plan.name = trustroot_core::text::Handle::new("invented").unwrap();
    let dir = plan.record_dir();
    tree.insert(format!("{dir}/plan.json"), Entry::File(plan.to_canonical()));
    let mut last: Option<Digest> = None;
    let mut n = 0;
    for logged in &record.events {
        if matches!(logged.event.step.act(), Some(Act::Open)) || matches!(logged.event.deed, Deed::Aborted { .. }) {
            let mut event = logged.event.clone();
            n += 1;
            (event.n, event.plan, event.after) = (n, Digest::of(&plan.to_canonical()), last.into_iter().collect());
            last = Some(Digest::of(&event.to_canonical()));
            tree.insert(format!("{dir}/{}", event.path()), Entry::File(event.to_canonical()));
        }
    }
    let found = refused(&tree);
    assert!(found.contains(&(Check::RecordEarlier, dir.clone())), "{found:?}");
    assert!(found.iter().all(|(check, _)| *check == Check::RecordEarlier), "{found:?}");
}
