//! A whole rehearsal, held by the conductor with virtual tokens in a repository of its own.

#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use trustroot::conduct::{Conductor, Ending, Program, Room};
use trustroot::judge::tough_client::ToughClient;
use trustroot::ledger::{GitLedger, Identity};
use trustroot::seams::{Clock, Commit, Entropy, Judge, Ledger, OnlineKey};
use trustroot::token::{SeededThrowAwayKeys, VirtualTokens, write_rehearsal_key};
use trustroot::ui::rehearsed::{Deviation, Rehearsed};
use trustroot_core::beside;
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::Event;
use trustroot_core::plan::Plan;
use trustroot_core::plan::template::{Template, template};
use trustroot_core::record::Record;
use trustroot_core::signature::Portable;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::report::Report;
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};

/// The version that the rehearsals here name.
pub const PROGRAM: &str = "trustroot 0.1.0";
/// The seed of every rehearsal here.
pub const SEED: [u8; 32] = [7; 32];

/// A clock that counts on from the newest event, or from the day of the ceremony.
pub struct FixedClock {
    start: Timestamp,
}

impl FixedClock {
    pub fn new(start: Timestamp) -> Self {
        Self { start }
    }
}

impl Clock for FixedClock {
    fn now(&self, last: Option<Timestamp>) -> Timestamp {
        last.map_or(self.start, |last| last.plus_seconds(60))
    }
}

/// Chance that follows from its purpose.
pub struct FixedEntropy;

impl Entropy for FixedEntropy {
    fn below(&mut self, bound: u32, purpose: &str, about: &Digest) -> u32 {
        let digest = Digest::of(&[purpose.as_bytes(), about.as_bytes()].concat());
        let bytes = digest.as_bytes();
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % bound
    }
}

pub fn handle(text: &str) -> Handle {
    Handle::new(text).unwrap()
}

/// The plan of a 3-of-5 rehearsal, as a template gives it.
pub fn plan() -> Plan {
    let day = Timestamp::from_day("2026-12-01").unwrap();
    let text = template(&Template {
        name: &handle("genesis"),
        title: "The first root of Example",
        trust_root: "Example",
        day,
        holders: 5,
        threshold: 3,
        rehearsal: true,
    });
    Plan::from_toml(&text.unwrap()).unwrap()
}

/// A repository in which a rehearsal was held.
pub struct Held {
    /// Holds the folder.
    pub dir: tempfile::TempDir,
    /// The record's folder in the repository.
    pub record: String,
    /// The plan.
    pub plan: Plan,
}

impl Held {
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("root-of-trust")
    }

    /// The files of the newest commit.
    pub fn tree(&self) -> Tree {
        trustroot::ledger::Reading::open(&self.path()).unwrap().head().unwrap().tree
    }
}

/// Commits the plan, as opening a ceremony does.
pub fn open(path: &Path, plan: &Plan) -> GitLedger {
    let mut ledger = GitLedger::init(path, Some(Identity::rehearsal())).unwrap();
    let files = BTreeMap::from([(format!("{}/plan.json", plan.record_dir()), plan.to_canonical())]);
    let message = "Open the ceremony\n".to_owned();
    ledger.append(&Commit { parent: None, files, message, time: plan.day.plus_seconds(9 * 3600) }).unwrap();
    ledger
}

/// Holds the rehearsal of `plan`, from opening to close, with these deviations.
pub fn hold(plan: &Plan, deviations: Vec<Deviation>) -> Held {
    hold_with(plan, deviations, |ledger| Box::new(ledger))
}

/// The same, with a ledger of the test's own before the real one.
pub fn hold_with(plan: &Plan, deviations: Vec<Deviation>, wrap: impl FnOnce(GitLedger) -> Box<dyn Ledger>) -> Held {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = wrap(open(&dir.path().join("root-of-trust"), plan));
    let name = &plan.snapshot.key;
    let key = write_rehearsal_key(&dir.path().join("online.pem"), name, &SEED).unwrap();
    let online = BTreeMap::from([(name.clone(), Box::new(key) as Box<dyn OnlineKey>)]);
    let mut tokens = VirtualTokens::new(SEED, &dir.path().join("tokens"), plan, Vec::new()).unwrap();
    let mut audience = Rehearsed::new("rehearse").deviating(deviations);
    let judges: Vec<Box<dyn Judge>> = vec![Box::new(ToughClient::new(false))];
    let mut throw_away = SeededThrowAwayKeys::new(SEED.into());
    let room = Room {
        ledger: ledger.as_mut(),
        audience: &mut audience,
        tokens: &mut tokens,
        online: &online,
        throw_away: &mut throw_away,
        judges: &judges,
        clock: &FixedClock::new(plan.day.plus_seconds(10 * 3600)),
        entropy: &mut FixedEntropy,
        verifier: &Portable,
        program: Program { version: PROGRAM.to_owned(), digest: None },
    };
    let ending = Conductor::new(room, &plan.record_dir()).run().unwrap_or_else(|halt| panic!("{halt:?}"));
    assert_eq!(ending, Ending::Closed);
    assert!(audience.unused().is_empty());
    Held { dir, record: plan.record_dir(), plan: plan.clone() }
}

/// Writes the log of the record in `dir` anew, as a forger would who may write everything but has no key: `change` edits
/// each event, or drops it by `false`; numbers and digests of those before are put right.
pub fn rewritten(tree: &Tree, dir: &str, mut change: impl FnMut(&mut Event) -> bool) -> Tree {
    let record = Record::read(tree, dir).unwrap();
    let mut out = tree.clone();
    let mut moved: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
    let mut n = 0;
    for logged in &record.events {
        let mut event = logged.event.clone();
        out.remove(&format!("{dir}/{}", event.path()));
        // A signature beside an event that was changed no longer verifies, and is taken away.
        event.signatures.retain(|digest, _| moved[digest] == BTreeSet::from([*digest]));
        event.after = event.after.iter().flat_map(|digest| moved[digest].clone()).collect();
        if !change(&mut event) {
            moved.insert(logged.digest, event.after);
            continue;
        }
        n += 1;
        event.n = n;
        let bytes = event.to_canonical();
        if Digest::of(&bytes) != logged.digest {
            out.remove(&beside::path(dir, &logged.event));
            out.remove(&beside::record_path(dir, &logged.event));
        }
        moved.insert(logged.digest, BTreeSet::from([Digest::of(&bytes)]));
        out.insert(format!("{dir}/{}", event.path()), Entry::File(bytes));
    }
    out
}

/// Strictly, as a rehearsal, when nothing has expired, without git's memory.
pub fn options() -> Options<'static> {
    Options {
        now: Timestamp::parse("2026-12-02T00:00:00Z").unwrap(),
        rehearsal: true,
        strict: true,
        anchor: None,
        program: Some(PROGRAM),
        history: History::None,
        differences: &[],
    }
}

/// The files, verified by [`options`].
pub fn verify(tree: &Tree) -> Report {
    verify_trust_root(tree, &options(), &Portable)
}

/// The checks that refused something.
pub fn refused(report: &Report) -> BTreeSet<Check> {
    report.findings.iter().filter(|finding| finding.level == Level::Refused).map(|finding| finding.check).collect()
}
