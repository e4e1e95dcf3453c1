//! The twin: the proposed metadata with throw-away keys in place of the real ones, and nothing else changed.
//!
//! Rules:
//! 1. Only keys are replaced: the public key inside each key object, in the same spelling. A key id that was right becomes
//!    right for the new key, wherever it is named; a key id that was wrong stays as it is, and so stays wrong. A key that
//!    cannot be read stays as it is, and fails a client as the real one would.
//! 2. Putting the keys back gives the original bytes; [`Twin`] cannot be made otherwise.
//! 3. One real key has one stand-in everywhere, and no stand-in is a real key: a key under two ids stays a key under two
//!    ids, and no signature on a twin is one on the real thing.
//! 4. A twin is signable only by throw-away keys (`ThrowAwayKey::sign` takes `&Twin`), and no token takes one.
//!
//! Snapshot and timestamp hold no keys, but digests of files that throw-away keys signed; [`TwinSet`] builds them.

use crate::digest::Digest;
use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::fields::{MetaFile, Notes};
use crate::metadata::root::Root;
use crate::metadata::targets::Targets;
use crate::metadata::tufkey::{key_id, read_keys, spell};
use crate::metadata::{Metadata, Refusal, Role, build, envelope};
use crate::payload::Payload;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A payload in which every key is a throw-away key.
#[derive(Clone, Debug)]
pub struct Twin {
    payload: Payload,
}

impl Twin {
    /// The canonical bytes to sign.
    pub fn bytes(&self) -> &[u8] {
        self.payload.bytes()
    }

    /// The metadata file with these signatures by throw-away keys (key id, bytes).
    pub fn file(&self, signatures: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
        envelope::assemble(&self.payload, signatures)
    }
}

/// Why there is no twin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TwinFault {
    /// The proposal cannot be read as metadata.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Snapshot or timestamp of the twin cannot be built.
    #[error("{0}")]
    Build(#[from] build::BuildFault),
    /// A stand-in is of another kind than the key it stands in for.
    #[error("the stand-in for the key {0} is a key of another kind")]
    Kind(Digest),
    /// A stand-in is one of the real keys, or stands in for two.
    #[error("the stand-in for the key {0} is not a fresh key of its own")]
    NotFresh(Digest),
    /// Putting the keys back does not give the original bytes.
    #[error("putting the keys back does not give the {0} payload again; the twin would prove nothing")]
    NotReversible(&'static str),
}

/// The twins of a proposal, made with one set of stand-ins.
#[derive(Clone, Debug)]
pub struct TwinSet {
    predecessor: Option<(Twin, Metadata<Root>)>,
    root: Twin,
    root_read: Metadata<Root>,
    targets: Twin,
    targets_version: u64,
}

impl TwinSet {
    /// The twins of these canonical payloads. `predecessor` is the payload of the root before, in a rotation; `replace`
    /// gives a fresh key of the same kind and is asked once for each different key.
    ///
    /// # Errors
    /// [`TwinFault`].
    pub fn of(
        predecessor: Option<&[u8]>,
        root: &[u8],
        targets: &[u8],
        replace: &mut dyn FnMut(&PublicKey) -> PublicKey,
    ) -> Result<Self, TwinFault> {
        let before = predecessor.map(|bytes| Metadata::<Root>::of_payload("the root before", bytes)).transpose()?;
        let real_root = Metadata::<Root>::of_payload("the proposed root", root)?;
        let real_targets = Metadata::<Targets>::of_payload("the proposed targets", targets)?;

        let roots = before.iter().chain([&real_root]).flat_map(|root| root.body().keys().values());
        let delegated = real_targets.body().delegations().into_iter().flat_map(|all| all.keys.values());
        let originals: BTreeSet<PublicKey> = roots.chain(delegated).filter_map(|key| key.public().cloned()).collect();
        let stand_ins = stand_ins(&originals, replace)?;

        let twin = twin_of(real_root.signed(), "root", &stand_ins)?;
        let root_read = Metadata::of_payload("the twin of the root", twin.bytes())?;
        let predecessor = match before {
            None => None,
            Some(before) => {
                let twin = twin_of(before.signed(), "previous root", &stand_ins)?;
                let read = Metadata::of_payload("the twin of the root before", twin.bytes())?;
                Some((twin, read))
            }
        };
        let targets = twin_of(real_targets.signed(), "targets", &stand_ins)?;
        Ok(Self { predecessor, root: twin, root_read, targets, targets_version: real_targets.version() })
    }

    /// The twin of the root before, which a client starts from; signed by [`Self::predecessor_signers`] of the role root.
    pub fn predecessor(&self) -> Option<&Twin> {
        self.predecessor.as_ref().map(|(twin, _)| twin)
    }

    /// The version of the root before.
    pub fn predecessor_version(&self) -> Option<u64> {
        self.predecessor.as_ref().map(|(_, read)| read.version())
    }

    /// The twin of the root; signed by [`Self::signers`] of the role root and, in a rotation, by [`Self::predecessor_signers`].
    pub fn root(&self) -> &Twin {
        &self.root
    }

    /// The version of the root.
    pub fn root_version(&self) -> u64 {
        self.root_read.version()
    }

    /// The twin of the targets; signed by [`Self::signers`] of the role targets.
    pub fn targets(&self) -> &Twin {
        &self.targets
    }

    /// The version of the targets.
    pub fn targets_version(&self) -> u64 {
        self.targets_version
    }

    /// The snapshot that names this file of targets.
    ///
    /// # Errors
    /// [`TwinFault::Build`] for a version of 0.
    pub fn snapshot(&self, version: u64, expires: Timestamp, targets_file: &[u8]) -> Result<Twin, TwinFault> {
        let meta = BTreeMap::from([("targets.json".to_string(), MetaFile::of(self.targets_version, targets_file))]);
        Ok(Twin { payload: build::Snapshot { version, expires, meta }.payload()? })
    }

    /// The timestamp that names this file of the snapshot.
    ///
    /// # Errors
    /// [`TwinFault::Build`] for a version of 0.
    pub fn timestamp(
        &self,
        version: u64,
        expires: Timestamp,
        snapshot_version: u64,
        snapshot_file: &[u8],
    ) -> Result<Twin, TwinFault> {
        let snapshot = MetaFile::of(snapshot_version, snapshot_file);
        Ok(Twin { payload: build::Timestamp { version, expires, snapshot }.payload()? })
    }

    /// The stand-ins that sign for `role`, by the key id they sign under.
    pub fn signers(&self, role: Role) -> BTreeMap<String, PublicKey> {
        signers(&self.root_read, role)
    }

    /// The stand-ins that sign for `role` in the root before, by the key id they sign under; none for a genesis.
    pub fn predecessor_signers(&self, role: Role) -> BTreeMap<String, PublicKey> {
        self.predecessor.as_ref().map(|(_, read)| signers(read, role)).unwrap_or_default()
    }
}

fn signers(root: &Metadata<Root>, role: Role) -> BTreeMap<String, PublicKey> {
    let ids = root.body().role(role).keyids.iter();
    ids.filter_map(|id| Some((id.clone(), root.body().keys().get(id)?.public()?.clone()))).collect()
}

/// Asks for a stand-in for each key, and refuses those that are not fresh.
fn stand_ins(
    originals: &BTreeSet<PublicKey>,
    replace: &mut dyn FnMut(&PublicKey) -> PublicKey,
) -> Result<BTreeMap<PublicKey, PublicKey>, TwinFault> {
    let mut used = BTreeSet::new();
    let mut stand_ins = BTreeMap::new();
    for original in originals {
        let stand_in = replace(original);
        if stand_in.algorithm() != original.algorithm() {
            return Err(TwinFault::Kind(original.fingerprint()));
        }
        if originals.contains(&stand_in) || !used.insert(stand_in.clone()) {
            return Err(TwinFault::NotFresh(original.fingerprint()));
        }
        stand_ins.insert(original.clone(), stand_in);
    }
    Ok(stand_ins)
}

/// How to put one key back: the id it had, and the text of its public key.
type Restore = BTreeMap<String, (String, String)>;

fn twin_of(signed: &Value, what: &'static str, stand_ins: &BTreeMap<PublicKey, PublicKey>) -> Result<Twin, TwinFault> {
    let mut twin = signed.clone();
    let mut restore = Restore::new();
    // Root metadata has its keys at the top, targets metadata inside `delegations`.
    let part = if signed.get("_type").and_then(Value::as_str) == Some("root") {
        Some(&mut twin)
    } else {
        member_mut(&mut twin, "delegations")
    };
    if let Some(part) = part {
        let mut ids = BTreeMap::new();
        for (id, key) in read_keys(part, None, &mut Notes::new(what))? {
            let Some((public, spelling)) = key.public().zip(key.spelling()) else { continue };
            let stand_in = stand_ins.get(public).and_then(|stand_in| spell(stand_in, spelling));
            let text = stand_in.ok_or_else(|| TwinFault::Kind(public.fingerprint()))?;
            let new_id = with_public(key.value(), &text)
                .filter(|_| key.has_right_id())
                .map_or_else(|| id.clone(), |value| key_id(&value).to_string());
            let old_text = key.value().get("keyval").and_then(|keyval| keyval.get("public")).and_then(Value::as_str);
            restore.insert(new_id.clone(), (id.clone(), old_text.unwrap_or_default().to_string()));
            ids.insert(id, (new_id, text));
        }
        swap(part, &ids);
    }

    let mut back = twin.clone();
    let part = if what == "targets" { member_mut(&mut back, "delegations") } else { Some(&mut back) };
    if let Some(part) = part {
        swap(part, &restore);
    }
    if back != *signed {
        return Err(TwinFault::NotReversible(what));
    }
    Ok(Twin { payload: Payload::of(&twin) })
}

/// In the object `part`: replaces ids and public keys under `keys`, and ids in the `keyids` of `roles` and
/// `succinct_roles`.
fn swap(part: &mut Value, ids: &BTreeMap<String, (String, String)>) {
    if let Some(Value::Obj(keys)) = member_mut(part, "keys") {
        let old = core::mem::take(keys);
        for (id, key) in old {
            match ids.get(&id) {
                None => keys.insert(id, key),
                Some((new_id, text)) => keys.insert(new_id.clone(), with_public(&key, text).unwrap_or(key)),
            };
        }
    }
    match member_mut(part, "roles") {
        Some(Value::Obj(roles)) => roles.values_mut().for_each(|role| swap_ids(role, ids)),
        Some(Value::Arr(roles)) => roles.iter_mut().for_each(|role| swap_ids(role, ids)),
        _ => {}
    }
    if let Some(role) = member_mut(part, "succinct_roles") {
        swap_ids(role, ids);
    }
}

fn swap_ids(role: &mut Value, ids: &BTreeMap<String, (String, String)>) {
    if let Some(Value::Arr(items)) = member_mut(role, "keyids") {
        for item in items {
            if let Some((new_id, _)) = item.as_str().and_then(|id| ids.get(id)) {
                *item = Value::Str(new_id.clone());
            }
        }
    }
}

/// The key object with another `keyval.public`; nothing if there is none to replace.
fn with_public(key: &Value, text: &str) -> Option<Value> {
    let mut key = key.clone();
    *member_mut(member_mut(&mut key, "keyval")?, "public")? = text.into();
    Some(key)
}

fn member_mut<'a>(of: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    if let Value::Obj(members) = of { members.get_mut(name) } else { None }
}

#[cfg(test)]
mod tests;
