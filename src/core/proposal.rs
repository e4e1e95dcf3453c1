//! The proposal: from plan and keys to the exact bytes that will be signed.
//!
//! Everything in the payloads comes from the record: plan, public keys, event heads. So whoever has the record can build
//! them again and compare (`PROPOSAL-BUILT`), and the root's signatures vouch for the record it names
//! (`x-trustroot-record`).

use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::build::{BuildFault, Keyholders, Root, Snapshot, Targets, Timestamp, new_key_id};
use crate::metadata::fields::MetaFile;
use crate::payload::Payload;
use crate::plan::Plan;
use crate::replay::Ceremony;
use crate::text::Handle;
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
    /// A holder who takes part has no key.
    #[error("{0} has no key")]
    NoKey(Handle),
    /// The metadata cannot be built.
    #[error(transparent)]
    Build(#[from] BuildFault),
}

/// Builds root and targets of a genesis. `online` are the public halves of the online keys, by the plan's names.
///
/// # Errors
/// See [`ProposalFault`].
pub fn build(ceremony: &Ceremony, online: &BTreeMap<Handle, PublicKey>) -> Result<Built, ProposalFault> {
    let plan = &ceremony.plan;
    let mut keys = BTreeSet::new();
    let mut people = Vec::new();
    for (handle, state) in ceremony.taking_part() {
        let key = state.key.as_ref().ok_or_else(|| ProposalFault::NoKey(handle.clone()))?;
        keys.insert(key.clone());
        people.push(person(ceremony, handle, key));
    }
    let online_role = |name: &Handle| {
        let key = online.get(name).ok_or_else(|| ProposalFault::Online(name.clone()))?;
        Ok::<_, ProposalFault>(Keyholders { keys: BTreeSet::from([key.clone()]), threshold: 1 })
    };
    let heads = ceremony.proposal.as_ref().map_or(&ceremony.heads, |proposal| &proposal.heads);
    let events = heads.iter().map(|digest| Value::Str(digest.to_string())).collect();
    let record = Value::from([("events", Value::Arr(events)), ("plan", ceremony.plan_digest.to_string().into())]);

    let mut root_extra = common(plan);
    root_extra.insert(RECORD.to_string(), record);
    root_extra.insert(HOLDERS.to_string(), Value::Arr(people));
    let root = Root {
        version: 1,
        expires: plan.root.expires,
        root: Keyholders { keys: keys.clone(), threshold: plan.root.threshold.into() },
        targets: Keyholders { keys, threshold: plan.targets.threshold.into() },
        snapshot: online_role(&plan.snapshot.key)?,
        timestamp: online_role(&plan.timestamp.key)?,
        extra: root_extra,
    };
    let targets = Targets { version: 1, expires: plan.targets.expires, targets: BTreeMap::new(), extra: common(plan) };
    Ok(Built { root: root.payload()?, targets: targets.payload()? })
}

/// The snapshot over a finished targets file, and the timestamp over the snapshot that `sign` finishes.
///
/// # Errors
/// See [`BuildFault`].
pub fn snapshot(plan: &Plan, targets_file: &[u8]) -> Result<Payload, BuildFault> {
    let meta = BTreeMap::from([("targets.json".to_string(), MetaFile::of(1, targets_file))]);
    Snapshot { version: 1, expires: plan.snapshot.expires, meta }.payload()
}

/// The timestamp over a finished snapshot file.
///
/// # Errors
/// See [`BuildFault`].
pub fn timestamp(plan: &Plan, snapshot_file: &[u8]) -> Result<Payload, BuildFault> {
    Timestamp { version: 1, expires: plan.timestamp.expires, snapshot: MetaFile::of(1, snapshot_file) }.payload()
}

fn common(plan: &Plan) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    let id = plan.record_dir().trim_start_matches("ceremony/").to_string();
    let ceremony = [("id", Value::Str(id)), ("trust-root", plan.trust_root.as_str().into())];
    fields.insert(CEREMONY.to_string(), Value::from(ceremony));
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
    if let Some(token) = ceremony.holders.get(handle).and_then(|state| state.token.as_ref()) {
        put("serial", u64::from(token.serial).into());
    }
    Value::Obj(fields)
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
