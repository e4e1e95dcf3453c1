//! The chain of roots from the one that is here to the newest (TUF 5.3): asked for ahead, checked at once, believed in order.
//!
//! Rules:
//! 1. Nothing is asked ahead before a few next roots were answered: whoever is up to date asks once, whoever is a little
//!    behind asks in order.
//! 2. Once a root was answered that it is not there, nothing more is asked.
//! 3. Links between neighbours are checked in parallel, as values that are not believed; [`TrustedRoot::follow`] believes
//!    them one after the other, and stops at the first that is missing or bad. What came after it is dropped unread.
//! 4. There is no most number of roots. Each has its limits, and each needs a quorum of its predecessor.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::{Metadata, Refusal};
use trustroot_core::signature::Verifier;
use trustroot_core::trusted::{Link, TrustedRoot};

use crate::error::Error;
use crate::limits::Limits;
use crate::source::{FetchError, Source, read};

/// After how many roots that were asked for one by one the rest is asked for ahead.
const CAREFUL: u64 = 4;
/// The most roots that are checked at once.
const BATCH: usize = 32;

/// How far the chain led.
pub(crate) struct Advanced {
    /// The newest root.
    pub(crate) root: TrustedRoot,
    /// Its bytes, if it is newer than the one at the start.
    pub(crate) bytes: Option<Vec<u8>>,
    /// Whether a key of timestamp or snapshot was retired on the way.
    pub(crate) rotated: bool,
    /// A root that was seen beyond the first missing one.
    pub(crate) gap: Option<u64>,
    /// Why it went no further, if that was no end.
    pub(crate) fault: Option<Error>,
}

/// Follows the chain as far as `source` has it. `believed` is told each version.
pub(crate) fn advance(
    start: TrustedRoot,
    source: &dyn Source,
    limits: &Limits,
    verifier: &dyn Verifier,
    believed: &mut dyn FnMut(u64),
) -> Advanced {
    let mut at = Advanced { root: start, bytes: None, rotated: false, gap: None, fault: None };
    for _ in 0..CAREFUL {
        let Some(next) = at.root.metadata().version().checked_add(1) else { return at };
        match ask(source, next, limits) {
            Ok(bytes) => {
                if !at.believe(vec![bytes], verifier, believed) {
                    return at;
                }
            }
            Err(why) => {
                at.end(next, why, source);
                return at;
            }
        }
    }
    ahead(&mut at, source, limits, verifier, believed);
    at
}

fn name(version: u64) -> String {
    format!("{version}.root.json")
}

fn ask(source: &dyn Source, version: u64, limits: &Limits) -> Result<Vec<u8>, FetchError> {
    read(source, &name(version), limits.root, limits)
}

impl Advanced {
    /// Believes roots in order, as far as they are good. Whether all were.
    fn believe(&mut self, files: Vec<Vec<u8>>, verifier: &dyn Verifier, believed: &mut dyn FnMut(u64)) -> bool {
        for (checked, bytes) in check(&self.root, &files, verifier).into_iter().zip(files) {
            let next = checked.and_then(|link| self.root.follow(&link));
            match next {
                Ok(next) => {
                    self.rotated |= next.metadata().body().rotates_online_keys_of(self.root.metadata().body());
                    self.root = next;
                    self.bytes = Some(bytes);
                    believed(self.root.metadata().version());
                }
                Err(refusal) => {
                    self.fault = Some(refusal.into());
                    return false;
                }
            }
        }
        true
    }

    /// The chain ends before `version`, for this reason.
    fn end(&mut self, version: u64, why: FetchError, source: &dyn Source) {
        if !matches!(why, FetchError::Missing) {
            self.fault = Some(Error::Fetch { file: name(version), source_name: source.name(), why });
            return;
        }
        let number = |file: &String| file.strip_suffix(".root.json")?.parse::<u64>().ok();
        let beyond = source.list().into_iter().flatten().filter_map(|file| number(&file)).filter(|n| *n > version);
        self.gap = self.gap.into_iter().chain(beyond).min();
    }
}

/// Reads roots and checks each against the one before it, on every core. The links are in order and end at the first fault.
fn check(trusted: &TrustedRoot, files: &[Vec<u8>], verifier: &dyn Verifier) -> Vec<Result<Link, Refusal>> {
    let first = trusted.metadata().version();
    let numbered: Vec<(u64, &Vec<u8>)> = (first.saturating_add(1)..).zip(files).collect();
    let parse = |(version, bytes): &(u64, &Vec<u8>)| {
        Metadata::<Root>::parse_after(&name(*version), bytes, trusted.metadata()).map(Arc::new)
    };
    let read = parallel(&numbered, &parse);
    let mut pairs = Vec::new();
    let mut before = trusted.shared();
    let mut fault = None;
    for one in &read {
        match one {
            Ok(root) => {
                pairs.push((before, root));
                before = root;
            }
            Err(refusal) => {
                fault = Some(Err(refusal.clone()));
                break;
            }
        }
    }
    let link = |(old, new): &(&Arc<Metadata<Root>>, &Arc<Metadata<Root>>)| Link::check(old, new, verifier);
    let mut links = parallel(&pairs, &link);
    links.extend(fault);
    links
}

/// Does the same to every item, on every core; the results are in order.
fn parallel<T: Sync, R: Send>(items: &[T], work: &(dyn Fn(&T) -> R + Sync)) -> Vec<R> {
    // Asking for the cores reads files of the system, so it is left until there is something to share.
    let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let cores = if items.len() < 4 { 1 } else { cores() };
    if cores < 2 {
        return items.iter().map(work).collect();
    }
    let share = items.len().div_ceil(cores);
    std::thread::scope(|scope| {
        let mut parts = items.chunks(share);
        let mine = parts.next().unwrap_or_default();
        let others: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>())).collect();
        let mut done: Vec<R> = mine.iter().map(work).collect();
        for other in others {
            match other.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}

/// What those who ask ahead and the one who believes share.
struct Shared {
    /// The next version that nobody has asked for.
    next: u64,
    /// The last version that may be asked for; 0 once nothing may be asked any more.
    last: u64,
    /// What came and is not checked yet.
    came: BTreeMap<u64, Result<Vec<u8>, FetchError>>,
}

struct Desk {
    shared: Mutex<Shared>,
    changed: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A thread that panicked left whole values behind: each is put in by one assignment.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one root after the other, until one is not there or nobody wants more.
    fn work(&self, source: &dyn Source, limits: &Limits) {
        let mut shared = self.lock();
        while shared.last > 0 {
            if shared.next > shared.last {
                shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let version = shared.next;
            shared.next += 1;
            drop(shared);
            let mut asked = Asked { desk: self, version, answer: None };
            asked.answer = Some(ask(source, version, limits));
            drop(asked);
            shared = self.lock();
        }
    }
}

/// A root that was asked for. Whatever happens to the one who asks, there is an answer, so that nobody waits for it for ever.
struct Asked<'a> {
    desk: &'a Desk,
    version: u64,
    answer: Option<Result<Vec<u8>, FetchError>>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let none = || Err(FetchError::Io("whoever was asked gave no answer".to_owned()));
        let answer = self.answer.take().unwrap_or_else(none);
        let mut shared = self.desk.lock();
        if answer.is_err() {
            shared.last = 0;
        }
        shared.came.insert(self.version, answer);
        self.desk.changed.notify_all();
    }
}

/// Ends the asking, whatever happens to the one who believes.
struct Closing<'a>(&'a Desk);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.lock().last = 0;
        self.0.changed.notify_all();
    }
}

fn ahead(
    at: &mut Advanced,
    source: &dyn Source,
    limits: &Limits,
    verifier: &dyn Verifier,
    believed: &mut dyn FnMut(u64),
) {
    let first = at.root.metadata().version().saturating_add(1);
    let far = |from: u64| from.saturating_add(limits.ahead.max(1) as u64 - 1).min(u64::MAX - 1);
    let shared = Shared { next: first, last: far(first), came: BTreeMap::new() };
    let desk = Desk { shared: Mutex::new(shared), changed: Condvar::new() };
    std::thread::scope(|scope| {
        let closing = Closing(&desk);
        for _ in 0..limits.connections.max(1) {
            scope.spawn(|| desk.work(source, limits));
        }
        loop {
            let next = at.root.metadata().version().saturating_add(1);
            let mut files = Vec::new();
            let mut end = None;
            {
                let mut shared = desk.lock();
                while !shared.came.contains_key(&next) {
                    shared = desk.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
                }
                while files.len() < BATCH {
                    let version = next.saturating_add(files.len() as u64);
                    match shared.came.remove(&version) {
                        Some(Ok(bytes)) => files.push(bytes),
                        Some(Err(why)) => {
                            end = Some((version, why));
                            break;
                        }
                        None => break,
                    }
                }
                if end.is_none() && shared.last > 0 {
                    shared.last = far(next.saturating_add(files.len() as u64));
                    desk.changed.notify_all();
                }
            }
            if !at.believe(files, verifier, believed) {
                break;
            }
            if let Some((version, why)) = end {
                at.end(version, why, source);
                break;
            }
        }
        drop(closing);
    });
}
