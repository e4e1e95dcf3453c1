//! The proposal: from plan and keys to the exact bytes that will be signed.
//!
//! Everything in the payloads comes from the record: plan, public keys, event heads. So whoever has the record can build
//! them again and compare (`PROPOSAL-BUILT`), and the root's signatures vouch for the record it names
//! (`x-trustroot-record`).

use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::build::{BuildFault, Keyholders, Root, Snapshot, Targets, Timestamp, new_key_id};
use crate::metadata::fields::MetaFile;
use crate::metadata::snapshot::Snapshot as SnapshotBody;
use crate::metadata::timestamp::Timestamp as TimestampBody;
use crate::metadata::{Metadata, Role};
use crate::payload::Payload;
use crate::plan::{Elsewhere, OnlineRole, Plan};
use crate::predecessor::newest;
use crate::replay::Ceremony;
use crate::sigfile::SignedRole;
use crate::text::Handle;
use crate::tree::{Entry, Tree};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The field that says a payload was signed in a rehearsal.
pub const REHEARSAL: &str = "x-trustroot-rehearsal";
/// The field that names the record.
pub const RECORD: &str = "x-trustroot-record";
/// The field that names the people behind the keys.
pub const HOLDERS: &str = "x-trustroot-holders";
/// The field that names ceremony and trust root.
pub const CEREMONY: &str = "x-trustroot-ceremony";

/// What the field `claim` of a holder says whose token cannot attest.
pub const CLAIMED_BY_MODULE: &str = "pkcs11";

/// What a rehearsal's payload says.
pub const REHEARSAL_TEXT: &str = "REHEARSAL. Nothing signed here is to be trusted.";

/// The payloads that holders sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The root.
    pub root: Payload,
    /// The targets.
    pub targets: Payload,
}

/// Why nothing can be proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalFault {
    /// An online key of the plan is missing.
    #[error("the online key \"{0}\" of the plan is missing")]
    Online(Handle),
    /// An online key is not the one that the plan keeps.
    #[error("the online key \"{0}\" is not the one that the plan keeps")]
    NotKept(Handle),
    /// A holder who takes part has no key.
    #[error("{0} has no key")]
    NoKey(Handle),
    /// The metadata cannot be built.
    #[error(transparent)]
    Build(#[from] BuildFault),
}

/// Builds root and targets: of a genesis, or the next ones. `online` are the public halves of the online keys, by the plan's
/// names.
///
/// # Errors
/// See [`ProposalFault`].
pub fn build(ceremony: &Ceremony, online: &BTreeMap<Handle, PublicKey>) -> Result<Built, ProposalFault> {
    let plan = &ceremony.plan;
    let mut keys = BTreeSet::new();
    let mut people = Vec::new();
    for (handle, state) in ceremony.keyholders() {
        let key = state.key.as_ref().ok_or_else(|| ProposalFault::NoKey(handle.clone()))?;
        keys.insert(key.clone());
        people.push(person(ceremony, handle, key));
    }
    let online_role = |role: &OnlineRole| {
        let key = online.get(&role.key).ok_or_else(|| ProposalFault::Online(role.key.clone()))?;
        if role.keeps.is_some_and(|kept| kept != key.fingerprint()) {
            return Err(ProposalFault::NotKept(role.key.clone()));
        }
        Ok(Keyholders { keys: BTreeSet::from([key.clone()]), threshold: 1 })
    };
    let heads = ceremony.proposal.as_ref().map_or(&ceremony.heads, |proposal| &proposal.heads);
    let events = heads.iter().map(|digest| Value::Str(digest.to_string())).collect();
    let record = Value::from([("events", Value::Arr(events)), ("plan", ceremony.plan_digest.to_string().into())]);

    let before = ceremony.before.as_deref();
    let mut root_extra = common(plan);
    root_extra.insert(RECORD.to_string(), record);
    root_extra.insert(HOLDERS.to_string(), Value::Arr(people));
    let root = Root {
        version: before.map_or(1, |before| before.root.version().saturating_add(1)),
        expires: plan.root.expires,
        root: Keyholders { keys: keys.clone(), threshold: plan.root.threshold.into() },
        targets: Keyholders { keys, threshold: plan.targets.threshold.into() },
        snapshot: online_role(&plan.snapshot)?,
        timestamp: online_role(&plan.timestamp)?,
        extra: root_extra,
    };
    let old = before.and_then(|before| before.targets.as_ref());
    let targets = Targets {
        version: old.map_or(0, |old| old.version()).max(elsewhere(plan).targets).saturating_add(1),
        expires: plan.targets.expires,
        targets: old
            .map(|old| old.body().targets().iter().map(|(path, file)| (path.to_string(), file)).collect())
            .unwrap_or_default(),
        delegations: old.and_then(|old| old.signed().get("delegations")).cloned(),
        extra: common(plan),
    };
    Ok(Built { root: root.payload()?, targets: targets.payload()? })
}

/// What the online roles published last, which the next snapshot and timestamp continue.
#[derive(Clone, Debug, Default)]
pub struct Online {
    /// The version of the snapshot; 0 before the first.
    snapshot: u64,
    /// What the snapshot names besides the targets.
    delegated: BTreeMap<String, MetaFile>,
    /// The version of the timestamp; 0 before the first.
    timestamp: u64,
}

impl Online {
    /// What `root/` holds: the newest snapshot, and the timestamp; what is published elsewhere, by the plan, counts as well. What
    /// cannot be read counts as nothing, and the clients that judge the result say so.
    pub fn of(tree: &Tree, plan: &Plan) -> Self {
        let bytes = |path: &str| tree.get(path).and_then(Entry::bytes);
        let newest = newest(tree, "snapshot");
        let snapshot = newest.and_then(|(_, path)| Metadata::<SnapshotBody>::parse(&path, bytes(&path)?).ok());
        let path = "root/timestamp.json";
        let timestamp = bytes(path).and_then(|bytes| Metadata::<TimestampBody>::parse(path, bytes).ok());
        let mut delegated = snapshot.as_ref().map_or_else(BTreeMap::new, |read| read.body().meta().clone());
        delegated.remove("targets.json");
        // The timestamp may name a snapshot that is no longer here.
        let named = timestamp.as_ref().map_or(0, |read| read.body().snapshot().version);
        let elsewhere = elsewhere(plan);
        Self {
            snapshot: snapshot.map_or(0, |read| read.version()).max(named).max(elsewhere.snapshot),
            delegated,
            timestamp: timestamp.map_or(0, |read| read.version()).max(elsewhere.timestamp),
        }
    }

    /// The version of the next snapshot.
    pub fn next_snapshot(&self) -> u64 {
        self.snapshot.saturating_add(1)
    }

    /// The version of the next timestamp.
    pub fn next_timestamp(&self) -> u64 {
        self.timestamp.saturating_add(1)
    }

    /// The next snapshot, over a finished targets file of this version.
    ///
    /// # Errors
    /// See [`BuildFault`].
    pub fn snapshot(&self, plan: &Plan, version: u64, targets_file: &[u8]) -> Result<Payload, BuildFault> {
        let mut meta = self.delegated.clone();
        meta.insert("targets.json".to_string(), MetaFile::of(version, targets_file));
        Snapshot { version: self.next_snapshot(), expires: plan.snapshot.expires, meta }.payload()
    }

    /// The next timestamp, over the finished file of the next snapshot.
    ///
    /// # Errors
    /// See [`BuildFault`].
    pub fn timestamp(&self, plan: &Plan, snapshot_file: &[u8]) -> Result<Payload, BuildFault> {
        let snapshot = MetaFile::of(self.next_snapshot(), snapshot_file);
        Timestamp { version: self.next_timestamp(), expires: plan.timestamp.expires, snapshot }.payload()
    }
}

/// The key ids under which a signature by `key` is filed: the new root's and, where the root before names the key by another,
/// that one too. A client that stands at the root before looks the signature up by it.
pub fn filed_under(ceremony: &Ceremony, role: SignedRole, key: &PublicKey) -> BTreeSet<String> {
    let named = ceremony.keyholders().any(|(_, state)| state.key.as_ref() == Some(key));
    let role = match role {
        SignedRole::Root => Role::Root,
        SignedRole::Targets => Role::Targets,
    };
    let old = ceremony.before.iter().flat_map(|before| before.key_ids(role, key));
    new_key_id(key).filter(|_| named).into_iter().chain(old).collect()
}

/// Valid signatures by key, as the metadata files them: each under every id of [`filed_under`].
pub fn filed(
    ceremony: &Ceremony,
    role: SignedRole,
    valid: impl IntoIterator<Item = (PublicKey, Vec<u8>)>,
) -> Vec<(String, Vec<u8>)> {
    let each = |(key, signature): (PublicKey, Vec<u8>)| {
        filed_under(ceremony, role, &key).into_iter().map(move |id| (id, signature.clone()))
    };
    valid.into_iter().flat_map(each).collect()
}

fn elsewhere(plan: &Plan) -> Elsewhere {
    plan.follows.as_ref().and_then(|follows| follows.elsewhere).unwrap_or_default()
}

fn common(plan: &Plan) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    let id = plan.record_dir().trim_start_matches("ceremony/").to_string();
    let mut ceremony = BTreeMap::from([
        ("id".to_string(), Value::Str(id)),
        ("trust-root".to_string(), plan.trust_root.as_str().into()),
    ]);
    if let Some(reason) = &plan.reason {
        ceremony.insert("kind".to_string(), plan.kind.name().into());
        ceremony.insert("reason".to_string(), reason.as_str().into());
    }
    fields.insert(CEREMONY.to_string(), ceremony.into());
    if plan.rehearsal {
        fields.insert(REHEARSAL.to_string(), REHEARSAL_TEXT.into());
    }
    fields
}

fn person(ceremony: &Ceremony, handle: &Handle, key: &PublicKey) -> Value {
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_string(), value));
    put("handle", handle.as_str().into());
    put("keyid", new_key_id(key).unwrap_or_default().into());
    if let Some(holder) = ceremony.plan.holder(handle) {
        put("name", holder.name.as_str().into());
        if let Some(organisation) = &holder.organisation {
            put("organisation", organisation.as_str().into());
        }
        if let Some(country) = &holder.country {
            put("country", country.as_str().into());
        }
    }
    let state = ceremony.holders.get(handle);
    let planned = ceremony.plan.holder(handle).map(|holder| &holder.token);
    let serial = match state.and_then(|state| state.token.as_ref()) {
        Some(token) => Some(token.serial),
        // The token of a key that is kept is not identified again before the proposal; the plan says which it is.
        None if state.is_some_and(|state| state.kept) => planned.and_then(|token| token.serial),
        None => None,
    };
    if let Some(serial) = serial {
        put("serial", serial.to_value());
    }
    if planned.is_some_and(|token| !token.kind.attests()) {
        put("claim", CLAIMED_BY_MODULE.into());
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::template::{Template, template};
    use crate::record::Record;
    use crate::replay::replay;
    use crate::testing::{ec, ed};
    use crate::tree::Tree;

    /// A ceremony before its proposal: three holders, of whom `with_keys` have keys.
    fn ceremony(with_keys: u8) -> Ceremony {
        let name = Handle::new("genesis").unwrap();
        let day = crate::time::Timestamp::from_day("2026-01-05").unwrap();
        let (title, trust_root) = ("A rehearsal", "Rehearsal");
        let wanted = Template { name: &name, title, trust_root, day, holders: 3, threshold: 2, rehearsal: true };
        let plan = Plan::from_toml(&template(&wanted).unwrap()).unwrap();
        let plan_digest = crate::digest::Digest::of(&plan.to_canonical());
        let record = Record { dir: plan.record_dir(), plan, plan_digest, events: Vec::new(), set_aside: Vec::new() };
        let mut ceremony = replay(&record, &Tree::new()).unwrap();
        ceremony.present = Some(ceremony.holders.keys().cloned().collect());
        for (number, state) in (1..=with_keys).zip(ceremony.holders.values_mut()) {
            state.key = Some(ec(number).public());
        }
        ceremony
    }

    fn online() -> BTreeMap<Handle, PublicKey> {
        BTreeMap::from([(Handle::new("online").unwrap(), ed(9).public())])
    }

    #[test]
    fn everything_in_it_comes_from_the_record() {
        let ceremony = ceremony(3);
        let built = build(&ceremony, &online()).unwrap();
        assert_eq!(build(&ceremony, &online()).unwrap(), built, "the same bytes again");
        let text = |payload: &Payload| String::from_utf8(payload.bytes().to_vec()).unwrap();
        assert!(text(&built.root).contains(&ceremony.plan_digest.to_string()));
        for payload in [&built.root, &built.targets] {
            assert!(text(payload).contains("\"id\":\"2026-01-05-genesis\""));
            assert!(text(payload).contains(REHEARSAL_TEXT));
        }
        // No mark outside rehearsals.
        let mut real = ceremony.clone();
        real.plan.rehearsal = false;
        assert!(!text(&build(&real, &online()).unwrap().root).contains(REHEARSAL));
    }

    #[test]
    fn who_left_is_not_in_it() {
        let mut ceremony = ceremony(3);
        let bob = Handle::new("bob").unwrap();
        let key = ceremony.holders[&bob].key.clone().unwrap();
        let names_bob = |ceremony: &Ceremony| {
            let root = String::from_utf8(build(ceremony, &online()).unwrap().root.bytes().to_vec()).unwrap();
            (root.contains("\"bob\""), root.contains(&new_key_id(&key).unwrap()))
        };
        assert_eq!(names_bob(&ceremony), (true, true));
        ceremony.holders.get_mut(&bob).unwrap().left = Some(String::from("ill"));
        assert_eq!(names_bob(&ceremony), (false, false));
    }

    #[test]
    fn nothing_is_proposed_without_a_key() {
        let online_name = Handle::new("online").unwrap();
        assert_eq!(build(&ceremony(3), &BTreeMap::new()), Err(ProposalFault::Online(online_name)));
        assert_eq!(build(&ceremony(2), &online()), Err(ProposalFault::NoKey(Handle::new("carol").unwrap())));
    }
}
