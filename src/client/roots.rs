//! The chain of roots from the one that is here to the newest (TUF 5.3): asked for ahead, checked at once, believed in order.
//!
//! Rules:
//! 1. Nothing is asked ahead before a few next roots were answered: whoever is up to date asks once, whoever is a little
//!    behind asks in order.
//! 2. Once a root was answered that it is not there, nothing more is asked.
//! 3. Whoever asked for a root also reads it, and checks its link to a neighbour that is here: in parallel, as values that are
//!    not believed. [`TrustedRoot::follow`] believes them one after the other, and stops at the first that is missing or
//!    bad. What came after it is dropped.
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
        let came = Came::read(next, ask(source, next, limits), at.root.metadata());
        let link = came.root.and_then(|new| Link::check(at.root.shared(), &new, verifier).map_err(Fault::Refused));
        if !at.believe(next, came.bytes, link, source, believed) {
            return at;
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

/// What those who ask ahead and the one who believes share.
struct Shared {
    /// The next version that nobody has asked for, if there is one.
    next: Option<u64>,
    /// The last version that may be asked for; 0 once nothing may be asked any more.
    last: u64,
    /// The root that was taken out last; the one at the start, before.
    taken: Arc<Metadata<Root>>,
    /// What came and was not taken out yet.
    came: BTreeMap<u64, Came>,
    /// How many bytes these are.
    held: usize,
    /// How many ask, and how many of these have nothing to ask for.
    asking: usize,
    idle: usize,
    /// Whether one of those who ask broke down; nobody waits for what it would have brought.
    broken: bool,
}

/// The version of the later one, and both.
type Neighbours = (u64, Arc<Metadata<Root>>, Arc<Metadata<Root>>);

impl Shared {
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
        if version == self.taken.version() {
            return Some(&self.taken);
        }
        self.came.get(&version)?.root.as_ref().ok()
    }

    /// Whether it is known what becomes of the root after the one that was taken out last.
    fn is_next_ready(&self) -> bool {
        let next = self.taken.version().checked_add(1).and_then(|version| self.came.get(&version));
        next.is_some_and(|came| came.root.is_err() || came.link.is_some())
    }

    /// Takes that root out.
    fn take(&mut self) -> Option<(Vec<u8>, Result<Link, Fault>)> {
        if !self.is_next_ready() {
            return None;
        }
        let came = self.came.remove(&self.taken.version().checked_add(1)?)?;
        self.held -= came.bytes.len();
        let link = match came.root {
            Ok(root) => {
                self.taken = root;
                came.link?.map_err(Fault::Refused)
            }
            Err(fault) => Err(fault),
        };
        Some((came.bytes, link))
    }
}

/// Where roots come from, and how they are checked.
struct Origin<'a> {
    source: &'a dyn Source,
    limits: &'a Limits,
    verifier: &'a dyn Verifier,
}

struct Desk {
    shared: Mutex<Shared>,
    /// Told when the root that is taken out next may have been checked.
    checked: Condvar,
    /// Told when more may be asked for, or nothing any more.
    open: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A thread that panicked left whole values behind: each is put in by one assignment.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one root after the other, and checks what can be checked then, until one is not there or nobody wants more.
    /// Where most of the time goes into waiting, another is called to help.
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
            let known = Arc::clone(&shared.taken);
            drop(shared);
            let start = Instant::now();
            let answer = ask(from.source, version, from.limits);
            waiting += start.elapsed();
            let came = Came::read(version, answer, &known);
            shared = self.lock();
            for (new, before, root) in shared.put(version, came) {
                drop(shared);
                let link = Link::check(&before, &root, from.verifier);
                shared = self.lock();
                if let Some(came) = shared.came.get_mut(&new) {
                    came.link = Some(link);
                }
            }
            if shared.is_next_ready() {
                self.checked.notify_one();
            }
            taken += start.elapsed();
            count += 1;
            if count == SAMPLE {
                if shared.last > 0 && shared.asking < from.limits.connections && waiting > taken.mul_f32(0.8) {
                    // Where no more threads are to be had, those that are here go on.
                    let another = Builder::new().spawn_scoped(scope, || self.work(scope, from));
                    shared.asking += usize::from(another.is_ok());
                }
                (waiting, taken, count) = (Duration::ZERO, Duration::ZERO, 0);
            }
        }
    }
}

/// Ends the asking, whatever happens to the one who believes.
struct Closing<'a>(&'a Desk);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.lock().last = 0;
        self.0.open.notify_all();
    }
}

/// Ends the waiting, if one who asks breaks down.
struct Broken<'a>(&'a Desk);

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().broken = true;
            self.0.checked.notify_all();
        }
    }
}

fn ahead(
    at: &mut Advanced,
    source: &dyn Source,
    limits: &Limits,
    verifier: &dyn Verifier,
    believed: &mut dyn FnMut(u64),
) {
    let far = |from: u64| from.saturating_add(limits.ahead.max(1) as u64);
    let start = at.root.metadata().version();
    // One more than can be at work, for one is waiting mostly.
    let asking =
        std::thread::available_parallelism().map_or(1, usize::from).saturating_add(1).min(limits.connections.max(1));
    let (next, taken) = (start.checked_add(1), Arc::clone(at.root.shared()));
    let shared =
        Shared { next, last: far(start), taken, came: BTreeMap::new(), held: 0, asking, idle: 0, broken: false };
    let desk = Desk { shared: Mutex::new(shared), checked: Condvar::new(), open: Condvar::new() };
    let from = Origin { source, limits, verifier };
    std::thread::scope(|scope| {
        let _closing = Closing(&desk);
        for _ in 0..asking {
            scope.spawn(|| desk.work(scope, &from));
        }
        while let Some(version) = at.root.metadata().version().checked_add(1) {
            let mut shared = desk.lock();
            let (bytes, link) = loop {
                match shared.take() {
                    Some(came) => break came,
                    None if shared.broken => return,
                    None => shared = desk.checked.wait(shared).unwrap_or_else(PoisonError::into_inner),
                }
            };
            if shared.last > 0 {
                shared.last = far(version);
            }
            if shared.idle > 0 {
                desk.open.notify_all();
            }
            drop(shared);
            if !at.believe(version, bytes, link, source, believed) {
                return;
            }
        }
    });
}
