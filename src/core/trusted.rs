//! The trusted set: from a pinned root to the targets, in the only order there is (TUF 5.2 to 5.6).
//!
//! Rules:
//! 1. Each step is a value of its own type, made only by the step before it: [`TrustedRoot`], [`CurrentRoot`],
//!    [`TrustedTimestamp`], [`TrustedSnapshot`], [`TrustedTargets`]. Another order does not compile.
//! 2. Everything is checked over bytes as received. Nothing is changed before an error: each step borrows the one before
//!    and makes a new value, so whoever holds a set keeps a valid set.
//! 3. Roots may be expired on the way; expiry of a root is asked once, by [`TrustedRoot::at`] (5.3.10). `now` is always an
//!    argument, and stays the same for the whole set.
//! 4. Versions never go back. [`Floor`] holds what was trusted before, expired or not.
//! 5. Leniencies used on the way are in `findings`. A caller who is strict refuses them with `metadata::strict`.

use crate::chain;
use crate::check::{Check, Finding};
use crate::digest::Digest;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::Targets;
use crate::metadata::timestamp::Timestamp;
use crate::metadata::{Body, Metadata, Refusal, Role};
use crate::signature::Verifier;
use crate::text;
use crate::time;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A root that is trusted, expired or not.
#[derive(Clone, Debug)]
pub struct TrustedRoot {
    root: Arc<Metadata<Root>>,
}

impl TrustedRoot {
    /// Trusts these bytes because the caller has them from a place it trusts (TUF 5.2). They have to be signed by a quorum
    /// of their own keys all the same.
    ///
    /// # Errors
    /// What reading refuses, and `ROOT-QUORUM`.
    pub fn pinned(bytes: &[u8], verifier: &dyn Verifier) -> Result<Self, Refusal> {
        let root = Metadata::<Root>::parse("the pinned root", bytes)?;
        chain::own_quorum(&root, verifier)?;
        Ok(Self { root: Arc::new(root) })
    }

    /// The next root (TUF 5.3.3 to 5.3.8).
    ///
    /// # Errors
    /// What reading refuses, `ROOT-QUORUM-OLD`, `ROOT-QUORUM`, `ROOT-VERSION`.
    pub fn advance(&self, bytes: &[u8], verifier: &dyn Verifier) -> Result<Self, Refusal> {
        let name = self.root.version().checked_add(1).map_or_else(String::new, |next| format!("{next}.root.json"));
        let new = Metadata::<Root>::parse(&name, bytes)?;
        chain::follows(&self.root, &new, verifier)?;
        // 5.3.7: "Note that the expiration of the new (intermediate) root metadata file does not matter yet".
        Ok(Self { root: Arc::new(new) })
    }

    /// The last root, at the time that the rest of the update goes by (TUF 5.3.10).
    ///
    /// # Errors
    /// `EXPIRED`.
    pub fn at(&self, now: time::Timestamp) -> Result<CurrentRoot, Refusal> {
        self.root.unexpired(now)?;
        Ok(CurrentRoot { root: Arc::clone(&self.root), now })
    }

    /// The next root, whose signatures were checked ahead by [`Link::check`] (TUF 5.3.4, 5.3.5).
    ///
    /// # Errors
    /// `ROOT-VERSION` if the link does not begin at this root.
    pub fn follow(&self, link: &Link) -> Result<Self, Refusal> {
        if !Arc::ptr_eq(&self.root, &link.old) {
            let what = "it was checked against another root than the one that is trusted";
            return Err(Refusal::new(Check::RootVersion, link.new.name().to_string(), what));
        }
        Ok(Self { root: Arc::clone(&link.new) })
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata<Root> {
        &self.root
    }

    /// The metadata, shared, as [`Link::check`] takes it.
    pub fn shared(&self) -> &Arc<Metadata<Root>> {
        &self.root
    }
}

/// Proof that one root follows another, whether or not the first is trusted.
///
/// Checking needs no trust, so many links can be checked at once; believing goes in order, by [`TrustedRoot::follow`].
#[derive(Clone, Debug)]
pub struct Link {
    old: Arc<Metadata<Root>>,
    new: Arc<Metadata<Root>>,
}

impl Link {
    /// Checks that `new` follows `old`: both quorums, and the version.
    ///
    /// # Errors
    /// `ROOT-QUORUM-OLD`, `ROOT-QUORUM`, `ROOT-VERSION`.
    pub fn check(
        old: &Arc<Metadata<Root>>,
        new: &Arc<Metadata<Root>>,
        verifier: &dyn Verifier,
    ) -> Result<Self, Refusal> {
        chain::follows(old, new, verifier)?;
        Ok(Self { old: Arc::clone(old), new: Arc::clone(new) })
    }
}

/// The newest root, unexpired.
///
/// Only [`TrustedRoot::at`] makes one. Leaving that out does not compile:
/// ```compile_fail,E0599
/// # use trustroot_core::{signature::Portable, trusted::{Floor, TrustedRoot}};
/// # fn set(root: TrustedRoot) {
/// root.timestamp(b"{}", &Floor::none(), &Portable);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CurrentRoot {
    root: Arc<Metadata<Root>>,
    now: time::Timestamp,
}

impl CurrentRoot {
    /// The metadata.
    pub fn metadata(&self) -> &Metadata<Root> {
        &self.root
    }

    /// The time that was handed to [`TrustedRoot::at`].
    pub fn now(&self) -> time::Timestamp {
        self.now
    }

    /// The timestamp (TUF 5.4).
    ///
    /// # Errors
    /// What reading refuses, `META-QUORUM`, `META-ROLLBACK`, `EXPIRED`.
    pub fn timestamp(&self, bytes: &[u8], floor: &Floor, verifier: &dyn Verifier) -> Result<TrustedTimestamp, Refusal> {
        let timestamp = self.read_timestamp(bytes, verifier)?;
        // 5.4.3.1 and 5.4.3.2.
        floor.allows_timestamp(&timestamp)?;
        // 5.4.4.
        timestamp.unexpired(self.now)?;
        Ok(TrustedTimestamp { root: self.clone(), timestamp: Arc::new(timestamp), floor: floor.clone() })
    }

    /// As [`Self::timestamp`], for a client that keeps what it has: a timestamp of the version that is the floor is
    /// discarded, whatever it says, and the one of the floor goes on to be used (TUF 5.4.3.1: "This is normal and it
    /// shouldn't raise any error"). The second value says whether that happened.
    ///
    /// # Errors
    /// As [`Self::timestamp`].
    pub fn newest_timestamp(
        &self,
        bytes: &[u8],
        floor: &Floor,
        verifier: &dyn Verifier,
    ) -> Result<(TrustedTimestamp, bool), Refusal> {
        let new = self.read_timestamp(bytes, verifier)?;
        let (timestamp, kept) = match &floor.timestamp {
            Some(local) if local.usable && local.file.version() == new.version() => (Arc::clone(&local.file), true),
            _ => {
                floor.allows_timestamp(&new)?;
                (Arc::new(new), false)
            }
        };
        timestamp.unexpired(self.now)?;
        Ok((TrustedTimestamp { root: self.clone(), timestamp, floor: floor.clone() }, kept))
    }

    fn read_timestamp(&self, bytes: &[u8], verifier: &dyn Verifier) -> Result<Metadata<Timestamp>, Refusal> {
        let timestamp = Metadata::<Timestamp>::parse("timestamp.json", bytes)?;
        // 5.4.2.
        chain::signed_by(&self.root, Role::Timestamp, &timestamp, Check::MetaQuorum, verifier)?;
        Ok(timestamp)
    }

    fn read_snapshot(&self, bytes: &[u8], verifier: &dyn Verifier) -> Result<Metadata<Snapshot>, Refusal> {
        let snapshot = Metadata::<Snapshot>::parse("snapshot.json", bytes)?;
        // 5.5.3.
        chain::signed_by(&self.root, Role::Snapshot, &snapshot, Check::MetaQuorum, verifier)?;
        Ok(snapshot)
    }
}

/// The versions below which nothing is accepted: those of metadata that was trusted before.
///
/// Old metadata counts if a key that the current root gives to its role signed it, expired or not. A quorum did when it was
/// stored, and none of the keys was retired since, so a higher threshold ends no floor. What no such key signed is no floor:
/// it is either damaged, or from before a rotation that is meant to end its authority.
#[derive(Clone, Debug, Default)]
pub struct Floor {
    timestamp: Option<Local<Timestamp>>,
    snapshot: Option<Local<Snapshot>>,
}

/// A file that was trusted before.
#[derive(Clone, Debug)]
struct Local<T> {
    file: Arc<Metadata<T>>,
    /// Whether a quorum of the current root's keys signed it, so that it may be used and not only compared with.
    usable: bool,
}

impl<T: Body> Local<T> {
    fn read(root: &CurrentRoot, role: Role, bytes: &[u8], verifier: &dyn Verifier) -> Option<Self> {
        let file = Metadata::<T>::parse(&format!("{role}.json"), bytes).ok()?;
        let root = &root.root;
        let usable = chain::signed_by(root, role, &file, Check::MetaQuorum, verifier).is_ok();
        let counts = usable || chain::signed_by_one(root, role, &file, verifier);
        counts.then(|| Self { file: Arc::new(file), usable })
    }
}

impl Floor {
    /// No metadata was trusted before.
    pub fn none() -> Self {
        Self::default()
    }

    /// The floor that local metadata gives. `since` is the root that was newest when these files were stored.
    ///
    /// TUF 5.3.11: if a key of timestamp or snapshot was retired since then, both files are no floor, so that a repository
    /// recovers from somebody who stole that key and signed a version far in the future.
    pub fn from_local(
        root: &CurrentRoot,
        since: &TrustedRoot,
        timestamp: Option<&[u8]>,
        snapshot: Option<&[u8]>,
        verifier: &dyn Verifier,
    ) -> Self {
        let mut floor = Self::none();
        if root.root.body().rotates_online_keys_of(since.root.body()) {
            return floor;
        }
        floor.timestamp = timestamp.and_then(|bytes| Local::read(root, Role::Timestamp, bytes, verifier));
        floor.snapshot = snapshot.and_then(|bytes| Local::read(root, Role::Snapshot, bytes, verifier));
        floor
    }

    /// The lowest version of the snapshot that may be named.
    fn snapshot_version(&self) -> u64 {
        let named = self.timestamp.as_ref().map(|local| local.file.body().snapshot().version);
        named.max(self.snapshot.as_ref().map(|local| local.file.version())).unwrap_or_default()
    }

    fn allows_timestamp(&self, new: &Metadata<Timestamp>) -> Result<(), Refusal> {
        let refuse = |what: String| {
            Refusal::new(Check::MetaRollback, new.name().to_string(), what)
                .hint("the repository or its mirror serves old metadata; try again later, or another mirror")
        };
        if let Some(local) = &self.timestamp {
            let version = local.file.version();
            if new.version() < version {
                return Err(refuse(format!("version {} after version {version}", new.version())));
            }
            // 5.4.3.1: with equal versions the new file is discarded. Bytes that say the same may stay, and where the old
            // file can be used no more, there is nothing to keep in place of the new one.
            let same = new.payload().digest() == local.file.payload().digest();
            if new.version() == version && local.usable && !same {
                return Err(refuse(format!("version {version} again, with other content")));
            }
        }
        let snapshot = new.body().snapshot().version;
        let floor = self.snapshot_version();
        if snapshot < floor {
            return Err(refuse(format!("it names version {snapshot} of the snapshot after version {floor}")));
        }
        Ok(())
    }

    fn allows_snapshot(&self, new: &Metadata<Snapshot>) -> Result<(), Refusal> {
        let Some(local) = &self.snapshot else { return Ok(()) };
        // 5.5.5 speaks of targets metadata alone. Snapshots once named the root as well, and at some version stopped.
        for (name, old) in local.file.body().meta().iter().filter(|(name, _)| *name != "root.json") {
            let version = old.version;
            let what = match new.body().meta().get(name) {
                Some(file) if file.version >= version => continue,
                Some(file) => format!("{} goes back from version {version} to {}", text::escape(name), file.version),
                None => format!("{} is no longer named", text::escape(name)),
            };
            return Err(Refusal::new(Check::MetaRollback, new.name().to_string(), what));
        }
        Ok(())
    }
}

/// The newest timestamp.
#[derive(Clone, Debug)]
pub struct TrustedTimestamp {
    root: CurrentRoot,
    timestamp: Arc<Metadata<Timestamp>>,
    floor: Floor,
}

impl TrustedTimestamp {
    /// The metadata.
    pub fn metadata(&self) -> &Metadata<Timestamp> {
        &self.timestamp
    }

    /// The snapshot of the floor, if it is the one that the timestamp names, so that nothing has to be asked for. `bytes`
    /// are its file; its signatures were checked when it became the floor.
    ///
    /// # Errors
    /// `EXPIRED`: of this version nothing newer can come.
    pub fn kept_snapshot(&self, bytes: &[u8]) -> Result<Option<TrustedSnapshot>, Refusal> {
        let promised = self.timestamp.body().snapshot();
        let Some(Local { file: snapshot, usable: true }) = &self.floor.snapshot else { return Ok(None) };
        let same = snapshot.file_digest() == Digest::of(bytes) && snapshot.version() == promised.version;
        if !same || promised.accepts("snapshot.json", bytes).is_err() {
            return Ok(None);
        }
        snapshot.unexpired(self.root.now)?;
        Ok(Some(TrustedSnapshot { set: self.clone(), snapshot: Arc::clone(snapshot) }))
    }

    /// The snapshot that the timestamp names (TUF 5.5).
    ///
    /// # Errors
    /// `META-HASH`, what reading refuses, `META-QUORUM`, `META-ROLLBACK`, `EXPIRED`.
    pub fn snapshot(&self, bytes: &[u8], verifier: &dyn Verifier) -> Result<TrustedSnapshot, Refusal> {
        let promised = self.timestamp.body().snapshot();
        // 5.5.2, before the bytes are read as JSON.
        promised.accepts("snapshot.json", bytes)?;
        let snapshot = self.root.read_snapshot(bytes, verifier)?;
        // 5.5.4.
        same_version(promised.version, &snapshot)?;
        // 5.5.5.
        self.floor.allows_snapshot(&snapshot)?;
        // 5.5.6.
        snapshot.unexpired(self.root.now)?;
        Ok(TrustedSnapshot { set: self.clone(), snapshot: Arc::new(snapshot) })
    }
}

/// The snapshot that the newest timestamp names.
#[derive(Clone, Debug)]
pub struct TrustedSnapshot {
    set: TrustedTimestamp,
    snapshot: Arc<Metadata<Snapshot>>,
}

impl TrustedSnapshot {
    /// The metadata.
    pub fn metadata(&self) -> &Metadata<Snapshot> {
        &self.snapshot
    }

    /// The top-level targets that the snapshot names (TUF 5.6).
    ///
    /// # Errors
    /// `META-HASH`, what reading refuses, `META-QUORUM`, `EXPIRED`.
    pub fn targets(&self, bytes: &[u8], verifier: &dyn Verifier) -> Result<TrustedTargets, Refusal> {
        let targets = self.named("targets", bytes)?;
        // 5.6.3.
        let root = &self.set.root.root;
        chain::signed_by(root, Role::Targets, &targets, Check::MetaQuorum, verifier)?;
        targets.unexpired(self.set.root.now)?;
        Ok(TrustedTargets { set: self.clone(), role: "targets".to_string(), targets: Arc::new(targets) })
    }

    /// Reads the targets metadata of `role`, as the snapshot names it (5.6.2, 5.6.4).
    fn named(&self, role: &str, bytes: &[u8]) -> Result<Metadata<Targets>, Refusal> {
        let name = format!("{role}.json");
        let promised = self.snapshot.body().meta().get(&name).ok_or_else(|| {
            Refusal::new(
                Check::MetaHash,
                text::escape(&name),
                "the snapshot does not name it, so nothing may stand here",
            )
        })?;
        promised.accepts(&name, bytes)?;
        let targets = Metadata::<Targets>::parse(&name, bytes)?;
        same_version(promised.version, &targets)?;
        Ok(targets)
    }
}

fn same_version<T: Body>(promised: u64, file: &Metadata<T>) -> Result<(), Refusal> {
    if file.version() == promised {
        return Ok(());
    }
    let what = format!("version {}, where version {promised} is promised", file.version());
    Err(Refusal::new(Check::MetaHash, file.name().to_string(), what))
}

/// Targets metadata: the top-level one, or one that it delegates to.
#[derive(Clone, Debug)]
pub struct TrustedTargets {
    set: TrustedSnapshot,
    role: String,
    targets: Arc<Metadata<Targets>>,
}

impl TrustedTargets {
    /// The metadata.
    pub fn metadata(&self) -> &Metadata<Targets> {
        &self.targets
    }

    /// The role: `targets`, or the name of a delegated one. Foreign text.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The root, the timestamp and the snapshot that led here.
    pub fn set(&self) -> (&Metadata<Root>, &Metadata<Timestamp>, &Metadata<Snapshot>) {
        (&self.set.set.root.root, &self.set.set.timestamp, &self.set.snapshot)
    }

    /// The metadata of `role`, to which this one delegates (TUF 5.6.7).
    ///
    /// # Errors
    /// `META-MISSING` if nothing is delegated to that role, and as [`TrustedSnapshot::targets`].
    pub fn delegated(&self, role: &str, bytes: &[u8], verifier: &dyn Verifier) -> Result<Self, Refusal> {
        let known = self.targets.body().delegations().is_some_and(|all| all.role(role).is_some());
        if !known {
            return Err(chain::not_delegated(&self.targets, role));
        }
        let targets = self.set.named(role, bytes)?;
        chain::signed_by_delegate(&self.targets, role, &targets, verifier)?;
        targets.unexpired(self.set.set.root.now)?;
        Ok(Self { set: self.set.clone(), role: role.to_string(), targets: Arc::new(targets) })
    }

    /// The leniencies and warnings of every file of the set.
    pub fn findings(&self) -> Vec<Finding> {
        let (root, timestamp, snapshot) = self.set();
        let all = [root.findings(), timestamp.findings(), snapshot.findings(), self.targets.findings()];
        all.into_iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
