//! The chain of roots from the one that is here to the newest (TUF 5.3): asked for ahead, checked at once, believed in order.
//!
//! Rules:
//! 1. Nothing is asked ahead before a few next roots were answered: whoever is up to date asks once, whoever is a little
//!    behind asks in order.
//! 2. Once a root was answered that it is not there, nothing more is asked.
//! 3. Whoever asked for a root also reads it, and checks its link to a neighbour that is here: in parallel, as values that are
//!    not believed. [`TrustedRoot::follow`] believes them one after the other, under one lock, and stops at the first that is
//!    missing or bad. What came after it is dropped.
//! 4. There is no most number of roots. Each has its limits, and each needs a quorum of its predecessor. How many lie here
//!    unbelieved is limited by number and by bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::{Metadata, Refusal};
use trustroot_core::signature::Verifier;
use trustroot_core::trusted::{Link, TrustedRoot};

use crate::error::Error;
use crate::limits::Limits;
use crate::source::{FetchError, Source, read};

/// After how many roots that were asked for one by one the rest is asked for ahead.
const CAREFUL: u64 = 4;
/// While so many bytes of roots lie here unbelieved, no more are asked for.
const HELD: usize = 1 << 20;

/// After how many roots it is looked at whether one more should ask.
const SAMPLE: u32 = 8;
/// A server that answers in this time is so near that it is waited for because processors are busy: one more asking would be
/// one more in their queue.
const NEAR: Duration = Duration::from_millis(1);

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
    believed: &mut (dyn FnMut(u64) + Send),
) -> Advanced {
    let mut at = Advanced { root: start, bytes: None, rotated: false, gap: None, fault: None };
    for _ in 0..CAREFUL {
        let Some(next) = at.root.metadata().version().checked_add(1) else { return at };
        let came = Came::read(next, ask(source, next, limits), at.root.metadata());
        let link = came.root.and_then(|new| Link::check(at.root.shared(), &new, verifier).map_err(Fault::Refused));
        if !at.believe(next, came.bytes, link, source, believed) {
            return at;
        }
    }
    ahead(at, &Origin { source, limits, verifier }, believed)
}

fn name(version: u64) -> String {
    format!("{version}.root.json")
}

fn ask(source: &dyn Source, version: u64, limits: &Limits) -> Result<Vec<u8>, FetchError> {
    read(source, &name(version), limits.root, limits)
}

impl Advanced {
    /// Believes a root, if it is there and follows the last. Whether it does; if not, the chain ends here.
    fn believe(
        &mut self,
        version: u64,
        bytes: Vec<u8>,
        link: Result<Link, Fault>,
        source: &dyn Source,
        believed: &mut dyn FnMut(u64),
    ) -> bool {
        match link.and_then(|link| self.root.follow(&link).map_err(Fault::Refused)) {
            Ok(next) => {
                self.rotated |= next.metadata().body().rotates_online_keys_of(self.root.metadata().body());
                self.root = next;
                self.bytes = Some(bytes);
                believed(version);
                return true;
            }
            Err(Fault::Fetch(why)) => self.end(version, why, source),
            Err(Fault::Refused(refusal)) => self.fault = Some(refusal.into()),
        }
        false
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

/// A root that came, or did not.
struct Came {
    /// What it is, or why the chain ends before it.
    root: Result<Arc<Metadata<Root>>, Fault>,
    bytes: Vec<u8>,
    /// Whether it follows the one before it, once both are here.
    link: Option<Result<Link, Refusal>>,
}

/// Why a root is none.
enum Fault {
    Fetch(FetchError),
    Refused(Refusal),
}

impl Came {
    /// Reads a root. Keys that it has in common with `known`, which is any root, are not decoded again.
    fn read(version: u64, answer: Result<Vec<u8>, FetchError>, known: &Metadata<Root>) -> Self {
        match answer {
            Err(why) => Self { root: Err(Fault::Fetch(why)), bytes: Vec::new(), link: None },
            Ok(bytes) => {
                let root = Metadata::<Root>::parse_after(&name(version), &bytes, known);
                Self { root: root.map(Arc::new).map_err(Fault::Refused), bytes, link: None }
            }
        }
    }
}

/// What those who ask ahead share.
struct Shared<'a> {
    /// How far the chain is believed.
    at: Advanced,
    /// Who is told each version that is.
    believed: &'a mut (dyn FnMut(u64) + Send),
    /// The next version that nobody has asked for, if there is one.
    next: Option<u64>,
    /// The last version that may be asked for; 0 once nothing may be asked any more.
    last: u64,
    /// What came and was not believed yet.
    came: BTreeMap<u64, Came>,
    /// How many bytes these are.
    held: usize,
    /// How many ask, and how many of these have nothing to ask for.
    asking: usize,
    idle: usize,
}

/// The version of the later one, and both.
type Neighbours = (u64, Arc<Metadata<Root>>, Arc<Metadata<Root>>);

impl Shared<'_> {
    /// Puts a root in its place, and gives those of its links, to the one before it and to the one after, whose other end
    /// is here. The later of two neighbours finds the other, so each link is given once.
    fn put(&mut self, version: u64, came: Came) -> Vec<Neighbours> {
        if came.root.is_err() {
            self.last = 0;
        }
        self.held += came.bytes.len();
        self.came.insert(version, came);
        let link = |old: Option<u64>| {
            let (old, new) = (old?, old?.checked_add(1)?);
            Some((new, Arc::clone(self.root(old)?), Arc::clone(self.root(new)?)))
        };
        [version.checked_sub(1), Some(version)].into_iter().filter_map(link).collect()
    }

    fn root(&self, version: u64) -> Option<&Arc<Metadata<Root>>> {
        let trusted = self.at.root.shared();
        if version == trusted.version() {
            return Some(trusted);
        }
        self.came.get(&version)?.root.as_ref().ok()
    }

    /// Takes the root after the last believed one out, once it is known what becomes of it.
    fn take(&mut self) -> Option<(u64, Vec<u8>, Result<Link, Fault>)> {
        let version = self.at.root.metadata().version().checked_add(1)?;
        let came = self.came.get(&version)?;
        if came.root.is_ok() && came.link.is_none() {
            return None;
        }
        let came = self.came.remove(&version)?;
        self.held -= came.bytes.len();
        let link = match came.root {
            Ok(_) => came.link?.map_err(Fault::Refused),
            Err(fault) => Err(fault),
        };
        Some((version, came.bytes, link))
    }

    /// Believes what can be believed now. After the end of the chain nothing can: what would come next was taken out.
    fn settle(&mut self, from: &Origin<'_>) {
        while let Some((version, bytes, link)) = self.take() {
            let follows = self.at.believe(version, bytes, link, from.source, self.believed);
            self.last = if self.last > 0 && follows { from.far(version) } else { 0 };
        }
    }
}

/// Where roots come from, and how they are checked.
struct Origin<'a> {
    source: &'a dyn Source,
    limits: &'a Limits,
    verifier: &'a dyn Verifier,
}

impl Origin<'_> {
    /// The last version that may be asked for while `version` is the last that is believed; 0 after the last that can be.
    fn far(&self, version: u64) -> u64 {
        if version == u64::MAX { 0 } else { version.saturating_add(self.limits.ahead.max(1) as u64) }
    }
}

struct Desk<'a> {
    shared: Mutex<Shared<'a>>,
    /// Told when more may be asked for, or nothing any more.
    open: Condvar,
}

impl<'a> Desk<'a> {
    fn lock(&self) -> MutexGuard<'_, Shared<'a>> {
        // A thread that panicked left whole values behind: each is put in by one assignment.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one root after the other, and checks and believes what can be then, until one is not there or nobody wants
    /// more. Where most of the time goes into waiting, another is called to help.
    fn work<'s>(&'s self, scope: &'s Scope<'s, '_>, from: &'s Origin<'_>) {
        let _broken = Broken(self);
        let (mut waiting, mut taken, mut count) = (Duration::ZERO, Duration::ZERO, 0);
        let mut shared = self.lock();
        while shared.last > 0 {
            let (last, room) = (shared.last, shared.held <= HELD);
            let Some(version) = shared.next.filter(|next| *next <= last && room) else {
                shared.idle += 1;
                shared = self.open.wait(shared).unwrap_or_else(PoisonError::into_inner);
                shared.idle -= 1;
                continue;
            };
            shared.next = version.checked_add(1);
            let known = Arc::clone(shared.at.root.shared());
            drop(shared);
            let start = Instant::now();
            let answer = ask(from.source, version, from.limits);
            waiting += start.elapsed();
            let came = Came::read(version, answer, &known);
            drop(known);
            shared = self.lock();
            for (new, before, root) in shared.put(version, came) {
                drop(shared);
                let link = Link::check(&before, &root, from.verifier);
                shared = self.lock();
                if let Some(came) = shared.came.get_mut(&new) {
                    came.link = Some(link);
                }
            }
            shared.settle(from);
            if shared.idle > 0 {
                self.open.notify_all();
            }
            taken += start.elapsed();
            count += 1;
            if count == SAMPLE {
                let far = waiting > taken.mul_f32(0.8) && waiting > NEAR * SAMPLE;
                if far && shared.last > 0 && shared.asking < from.limits.connections {
                    // Where no more threads are to be had, those that are here go on.
                    let another = Builder::new().spawn_scoped(scope, || self.work(scope, from));
                    shared.asking += usize::from(another.is_ok());
                }
                (waiting, taken, count) = (Duration::ZERO, Duration::ZERO, 0);
            }
        }
    }
}

/// Ends the asking if one who asks breaks down: nobody waits for what it would have brought.
struct Broken<'d, 'a>(&'d Desk<'a>);

impl Drop for Broken<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().last = 0;
            self.0.open.notify_all();
        }
    }
}

/// Goes on from `at`, with several who ask. This thread is one of them.
fn ahead(at: Advanced, from: &Origin<'_>, believed: &mut (dyn FnMut(u64) + Send)) -> Advanced {
    let start = at.root.metadata().version();
    // One more than can be at work, for one is waiting mostly.
    let asking = std::thread::available_parallelism().map_or(1, usize::from).saturating_add(1);
    let asking = asking.min(from.limits.connections.max(1));
    let (next, last) = (start.checked_add(1), from.far(start));
    let shared = Shared { at, believed, next, last, came: BTreeMap::new(), held: 0, asking, idle: 0 };
    let desk = Desk { shared: Mutex::new(shared), open: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 1..asking {
            // Where no more threads are to be had, those that are here do it.
            if Builder::new().spawn_scoped(scope, || desk.work(scope, from)).is_err() {
                desk.lock().asking -= 1;
            }
        }
        desk.work(scope, from);
    });
    desk.shared.into_inner().unwrap_or_else(PoisonError::into_inner).at
}
