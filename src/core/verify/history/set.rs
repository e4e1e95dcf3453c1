//! Whether the files of one folder fit together at one moment, as a client would take them.
//!
//! Rules:
//! 1. The newest root of the folder leads to timestamp, snapshot, targets and every delegated role that the snapshot names
//!    and the targets lead to. Each file is the numbered one where there is one, else the plain one.
//! 2. Expiry is not asked: moments lie in the past. How long each file was good is told apart.
//! 3. A folder with `root_history/` is a source, out of which the published files are built once the online keys have
//!    signed. Files there that a quorum signed, and that snapshot and timestamp do not name yet, wait; they do not break.

use super::files::{Files, named_role};
use super::past::{Folder, Held};
use crate::check::Check;
use crate::metadata::fields::MetaFile;
use crate::metadata::targets::Delegates;
use crate::metadata::{Refusal, Role};
use crate::time;
use crate::trusted::{Floor, TrustedSnapshot};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most delegated roles that are followed in one set.
const MAX_DELEGATED: usize = 20_000;

/// A file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// `root`, `timestamp`, `snapshot`, `targets`, or the name of a delegated role. Foreign text.
    pub(super) role: String,
    pub(super) name: String,
    pub(super) blob: usize,
    pub(super) version: u64,
    pub(super) expires: time::Timestamp,
}

/// The files that clients get.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// The root first, then timestamp, snapshot, targets, and the delegated ones.
    pub(super) parts: Vec<Part>,
    /// What the snapshot names.
    pub(super) meta: BTreeMap<String, u64>,
}

impl Set {
    pub(super) fn version(&self, role: &str) -> u64 {
        self.parts.iter().find(|part| part.role == role).map_or(0, |part| part.version)
    }
}

/// What became of a folder.
#[derive(Clone, Debug)]
pub(super) enum Fit {
    /// A client reaches the targets.
    Fits(Set),
    /// It will, once the online keys have signed.
    Waits,
    /// It does not: why, and about which file.
    Breaks(Refusal, String, Option<usize>),
}

/// A refusal, and the file that it is about.
type Broken = (Refusal, String, Option<usize>);

/// Judges the folder at `path`, as it is now.
pub(super) fn fit<'a>(files: &mut Files<'a>, path: &'a str, folder: &Folder<'a>) -> Fit {
    let roots = files.roots_in(path, folder);
    match walk(files, folder, roots.first().copied()) {
        Ok(set) => Fit::Fits(set),
        Err(_) if folder.is_source() && waits(files, folder, &roots) => Fit::Waits,
        Err((refusal, name, blob)) => Fit::Breaks(refusal, name, blob),
    }
}

/// The content of the first of these files, or what to say of the first.
fn find(folder: &Folder<'_>, names: &[String]) -> Result<(String, usize), Broken> {
    super::files::find(folder, names).map_err(|refusal| {
        let name = refusal.finding().subject.clone();
        (refusal, name, None)
    })
}

/// Rule 1.
fn walk(files: &mut Files<'_>, here: &Folder<'_>, root: Option<(u64, usize)>) -> Result<Set, Broken> {
    let (past, verifier) = (files.past, files.verifier);
    let names = |version: u64, role: &str| {
        let role = super::super::published::percent_encoded(role);
        [format!("{version}.{role}.json"), format!("{role}.json")]
    };
    let Some((version, blob)) = root else {
        return Err((Refusal::new(Check::MetaMissing, "root.json", "there is no root"), "root.json".to_string(), None));
    };
    let candidates = [format!("{version}.root.json"), format!("root_history/{version}.root.json"), "root.json".into()];
    let name = find(here, &candidates).map_or_else(|_| "root.json".to_string(), |(name, _)| name);
    let about = |name: &str, blob: usize| {
        let name = name.to_string();
        move |refusal: Refusal| (refusal, name.clone(), Some(blob))
    };
    let mut parts = Vec::new();
    let mut part = |role: &str, name: &str, blob: usize, version: u64, expires: time::Timestamp| {
        parts.push(Part { role: role.to_string(), name: name.to_string(), blob, version, expires });
    };

    let by_root = blob;
    let root = files.pinned(blob).map_err(about(&name, blob))?;
    part("root", &name, blob, version, root.metadata().expires());
    let root = root.at(time::Timestamp::EARLIEST).map_err(about(&name, blob))?;

    let (name, blob) = find(here, &["timestamp.json".to_string()])?;
    let timestamp = root.timestamp(past.bytes(blob), &Floor::none(), verifier).map_err(about(&name, blob))?;
    files.learnt(by_root, Role::Timestamp, blob, timestamp.metadata());
    part("timestamp", &name, blob, timestamp.metadata().version(), timestamp.metadata().expires());

    let version = timestamp.metadata().body().snapshot().version;
    let (name, blob) = find(here, &names(version, "snapshot"))?;
    let snapshot = timestamp.snapshot(past.bytes(blob), verifier).map_err(about(&name, blob))?;
    files.learnt(by_root, Role::Snapshot, blob, snapshot.metadata());
    part("snapshot", &name, blob, version, snapshot.metadata().expires());
    let promised = snapshot.metadata().body().meta();
    let meta: BTreeMap<String, u64> = promised.iter().map(|(name, file)| (name.clone(), file.version)).collect();

    let version = meta.get("targets.json").copied().unwrap_or_default();
    let (name, blob) = find(here, &names(version, "targets"))?;
    let mut open = Vec::new();
    if let Some(expires) = files.leaf((by_root, blob), "targets", promised.get("targets.json")) {
        part("targets", &name, blob, version, expires);
    } else {
        let targets = snapshot.targets(past.bytes(blob), verifier).map_err(about(&name, blob))?;
        files.learnt(by_root, Role::Targets, blob, targets.metadata());
        part("targets", &name, blob, version, targets.metadata().expires());
        files.followed((by_root, blob), "targets", promised.get("targets.json"), targets.metadata());
        open.push((targets, blob));
    }
    let mut left: BTreeMap<&str, &MetaFile> =
        promised.iter().filter_map(|(name, promise)| Some((name.strip_suffix(".json")?, promise))).collect();
    left.retain(|name, _| Role::ALL.iter().all(|role| role.name() != *name));
    let mut followed = 0;
    while let Some((from, by)) = open.pop() {
        let Some(delegations) = from.metadata().body().delegations() else { continue };
        // A role may be delegated to from several places; the first that is asked decides.
        let roles: BTreeMap<&str, &MetaFile> = match &delegations.to {
            Delegates::Roles(roles) => {
                roles.iter().filter_map(|role| left.get_key_value(role.name.as_str())).map(|(n, v)| (*n, *v)).collect()
            }
            Delegates::Succinct(bins) => {
                left.iter().filter(|(name, _)| bins.has(name)).map(|(n, v)| (*n, *v)).collect()
            }
        };
        for (role, promise) in roles {
            followed += 1;
            if followed > MAX_DELEGATED {
                let what = format!("more than {MAX_DELEGATED} delegated roles");
                return Err((Refusal::new(Check::MetaForm, "snapshot.json", what), "snapshot.json".to_string(), None));
            }
            left.remove(role);
            let (name, blob) = find(here, &names(promise.version, role))?;
            if let Some(expires) = files.leaf((by, blob), role, Some(promise)) {
                part(role, &name, blob, promise.version, expires);
                continue;
            }
            let delegated = from.delegated(role, past.bytes(blob), verifier).map_err(about(&name, blob))?;
            part(role, &name, blob, promise.version, delegated.metadata().expires());
            files.followed((by, blob), role, Some(promise), delegated.metadata());
            open.push((delegated, blob));
        }
    }
    Ok(Set { parts, meta })
}

/// Rule 3: whether a quorum signed everything in a source, and only what online keys sign lags behind.
fn waits(files: &mut Files<'_>, here: &Folder<'_>, roots: &[(u64, usize)]) -> bool {
    let blob = |name: &str| match here.get(name) {
        Some(Held::Blob(blob)) => Some(blob),
        _ => None,
    };
    let (Some(&(_, newest)), Some(targets)) = (roots.first(), blob("targets.json")) else { return false };
    if !files.is_signed(newest, Role::Root, newest) || !files.is_signed(newest, Role::Targets, targets) {
        return false;
    }
    // The online keys may still be those of the root before.
    let snapshot = roots.iter().take(2).find_map(|(_, root)| lagging(files, here, *root));
    let (Some(snapshot), Some(read)) = (snapshot, files.read("targets.json", targets)) else { return false };
    let promised = |name: &str| snapshot.metadata().body().meta().get(name).map(|file| file.version);
    if promised("targets.json").is_none_or(|promised| read.version < promised) {
        return false;
    }
    here.files().all(|(name, held)| {
        let Some(role) = name.strip_suffix(".json").filter(|_| named_role(name).is_none()) else { return true };
        let Held::Blob(blob) = held else { return false };
        let Some(read) = files.read(name, blob) else { return true };
        let version = read.version;
        files.is_signed_for(targets, role, blob) && promised(name).is_none_or(|promised| version >= promised)
    })
}

/// The snapshot, if it and the timestamp fit each other under this root.
fn lagging(files: &mut Files<'_>, here: &Folder<'_>, root: usize) -> Option<TrustedSnapshot> {
    let root = files.pinned(root).ok()?.at(time::Timestamp::EARLIEST).ok()?;
    let bytes = |name: &str| find(here, &[name.to_string()]).ok().map(|(_, blob)| files.past.bytes(blob));
    let timestamp = root.timestamp(bytes("timestamp.json")?, &Floor::none(), files.verifier).ok()?;
    timestamp.snapshot(bytes("snapshot.json")?, files.verifier).ok()
}

/// What went back from one set to the next, if anything did: no client that saw the first takes the second.
///
/// Where the keys of timestamp or snapshot changed, both may begin anew (TUF 5.3.11).
pub(super) fn went_back(files: &mut Files<'_>, before: &Set, after: &Set) -> Option<String> {
    let root = |set: &Set| set.parts.first().map(|part| part.blob);
    let (old, new) = (files.root(root(before)?)?, files.root(root(after)?)?);
    if new.version() < old.version() {
        return Some(format!("the root goes back from version {} to {}", old.version(), new.version()));
    }
    if new.body().rotates_online_keys_of(old.body()) {
        return None;
    }
    for role in ["timestamp", "snapshot"] {
        let (old, new) = (before.version(role), after.version(role));
        if new < old {
            return Some(format!("the {role} goes back from version {old} to {new}"));
        }
    }
    before.meta.iter().filter(|(name, _)| *name != "root.json").find_map(|(name, old)| match after.meta.get(name) {
        Some(new) if new >= old => None,
        Some(new) => Some(format!("{} goes back from version {old} to {new}", crate::text::escape(name))),
        None => Some(format!("the snapshot no longer names {}", crate::text::escape(name))),
    })
}
