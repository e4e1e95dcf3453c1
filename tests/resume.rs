//! Stopped anywhere and gone on with, a ceremony ends in the same bytes.
//!
//! With virtual tokens and a fixed clock the newest commit names every byte that was ever committed, so one comparison of
//! its id says everything.

#[path = "support/stage.rs"]
mod stage;

use std::sync::atomic::{AtomicUsize, Ordering};

use stage::{Stage, Stop, at, handle};
use trustroot::conduct::{Ending, Halt};
use trustroot::seams::{AudienceError, LedgerError};
use trustroot::ui::rehearsed::Instead;
use trustroot_core::event::Deed;
use trustroot_core::plan::Kind;
use trustroot_core::plan::carry::Becomes;

/// The id that an uninterrupted ceremony ends in, and how many commits it makes.
fn whole(stage: &Stage) -> (String, usize) {
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    (stage.commit(), stage.ceremony().events.len())
}

/// Tries every one of `cases` on all processors.
fn each<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    test(case);
                }
            });
        }
    });
}

#[test]
fn stopped_before_or_after_any_commit_it_ends_in_the_same_bytes() {
    let (expected, commits) = whole(&Stage::new(1, 1));
    assert!(commits > 15, "{commits}");
    let stops: Vec<Stop> = (0..commits).flat_map(|k| [Stop::Before(k), Stop::After(k)]).collect();
    each(&stops, |stop| {
        let stage = Stage::new(1, 1);
        let stopped = stage.hold_until(&[], Some(*stop));
        assert!(matches!(stopped.halt(), Halt::Ledger(LedgerError::Io { .. })), "{stop:?}");
        assert_eq!(stage.hold(&[]).ending(), Ending::Closed, "{stop:?}");
        assert_eq!(stage.commit(), expected, "{stop:?}");
    });
}

/// A program that gets one commit further each time it is started, and never hears that it did.
#[test]
fn stopped_after_every_commit_it_ends_in_the_same_bytes() {
    let (expected, commits) = whole(&Stage::new(3, 2));
    let stage = Stage::new(3, 2);
    for _ in 0..commits {
        stage.hold_until(&[], Some(Stop::After(0))).halt();
    }
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    assert_eq!(stage.commit(), expected);
}

#[test]
fn interrupted_at_any_question_it_ends_in_the_same_bytes() {
    let reference = Stage::new(1, 1);
    let outcome = reference.hold(&[]);
    assert_eq!(outcome.ending(), Ending::Closed);
    let questions = &outcome.questions;
    assert!(questions.len() > 15, "{questions:?}");
    let expected = reference.commit();
    each(questions, |(step, name, nth)| {
        let stage = Stage::new(1, 1);
        let interrupted = stage.hold(&[at(step, name, *nth, Instead::Interrupted)]);
        assert!(matches!(interrupted.halt(), Halt::Audience(AudienceError::Interrupted)), "{step} {name}");
        assert_eq!(stage.hold(&[]).ending(), Ending::Closed, "{step} {name}");
        assert_eq!(stage.commit(), expected, "interrupted at {step}, {name} {nth}");
    });
}

/// A ceremony that continues a root, with a new token for one holder: stopped around each of its commits.
#[test]
fn a_later_ceremony_stopped_anywhere_ends_in_the_same_bytes() {
    let mut base = Stage::new(2, 2);
    assert_eq!(base.hold(&[]).ending(), Ending::Closed);
    let toml = base.carried("rotation", "2026-06-01", |plan| {
        (plan.kind, plan.reason) = (Kind::Rotate, "Bob has a new token, and the server moves.");
        plan.changes = [(handle("bob"), Becomes::Replaced)].into();
        plan.online = Some(handle("online-two"));
    });
    base.follow(&toml);
    let (expected, commits) = whole(&base.copied());
    assert!(commits > 20, "{commits}");
    let bases = std::sync::Mutex::new(base);
    let stops: Vec<Stop> = (0..commits).map(|k| if k % 2 == 0 { Stop::Before(k) } else { Stop::After(k) }).collect();
    each(&stops, |stop| {
        let stage = bases.lock().unwrap().copied();
        let stopped = stage.hold_until(&[], Some(*stop));
        assert!(matches!(stopped.halt(), Halt::Ledger(LedgerError::Io { .. })), "{stop:?}");
        assert_eq!(stage.hold(&[]).ending(), Ending::Closed, "{stop:?}");
        assert_eq!(stage.commit(), expected, "{stop:?}");
    });
}

/// How often a fault fired is kept with the token, so a resumed ceremony meets it no more often. What a fault was is only
/// lost if the program is killed between the fault and the commit of its exception; then nobody was told of it either.
#[test]
fn faults_are_met_once_however_often_it_is_stopped() {
    let faults = ["alice:pulled-after-generate", "bob:forged-key", "bob:not-touched", "alice:pulled-mid-sign"];
    let fresh = || Stage::new(2, 2).with_faults(&faults);
    let reference = fresh();
    let (expected, commits) = whole(&reference);
    let events = reference.ceremony().events;
    let is_exception = |k: &usize| matches!(events[*k].event.deed, Deed::Exception { .. });
    let exceptions: Vec<usize> = (0..events.len()).filter(is_exception).collect();
    assert_eq!(exceptions.len(), faults.len());
    let stops: Vec<Stop> = (0..commits).flat_map(|k| [Stop::Before(k), Stop::After(k)]).collect();
    let stops: Vec<Stop> = stops.into_iter().skip(16).step_by(4).collect();
    each(&stops, |stop| {
        let stage = fresh();
        stage.hold_until(&[], Some(*stop)).halt();
        assert_eq!(stage.hold(&[]).ending(), Ending::Closed, "{stop:?}");
        match stop {
            Stop::Before(k) if exceptions.contains(k) => {
                assert_eq!(stage.ceremony().exceptions.len(), faults.len() - 1, "{stop:?}");
            }
            _ => assert_eq!(stage.commit(), expected, "{stop:?}"),
        }
    });
}
