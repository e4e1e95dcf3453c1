//! What a record proposed and its holders signed: built again from the record, and compared.
//!
//! Rules:
//! 1. Plan and events up to the proposal give its payloads again, byte for byte. So its signatures vouch for them.
//! 2. The root names the plan and the events before it.
//! 3. Each holder who signed, as the record says, has a valid signature of each payload there, in one form only.
//! 4. The published root and targets are the payloads with the lowest valid signature of each key that had signed.

use super::look::{Look, below};
use super::record::{Held, before};
use crate::chain;
use crate::check::{Check, Level};
use crate::digest::Digest;
use crate::event::Deed;
use crate::json::Value;
use crate::key::PublicKey;
use crate::lint;
use crate::metadata::envelope::assemble;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::Targets;
use crate::metadata::{Body, Metadata, Role};
use crate::payload::Payload;
use crate::proposal::{self, RECORD, filed};
use crate::record::{Logged, Record};
use crate::replay::{Proposal, replay};
use crate::sigfile::{SignatureFile, SignedRole, collect};
use crate::signature::normal_form;
use crate::signers::missing_for_root;
use crate::text::Handle;
use crate::tree::Tree;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What was proposed, as far as the rest of a verification needs it.
pub(super) struct Proposed {
    /// The version of the root.
    pub(super) version: u64,
    /// The payload digest of the root.
    pub(super) payload: Digest,
    /// Whose signatures of both payloads verify.
    pub(super) signed: BTreeSet<Handle>,
    /// How many keys signed the root.
    pub(super) signatures: usize,
    /// How many signatures at least are missing until the root is valid.
    pub(super) missing: usize,
    /// The holders' keys and the online keys.
    pub(super) keys: BTreeSet<PublicKey>,
}

/// Looks at the proposal of the record, if there is one.
pub(super) fn look(look: &mut Look<'_>, held: &Held) -> Option<Proposed> {
    let event = held.event(|deed| matches!(deed, Deed::Proposed { .. }))?;
    let proposal = held.ceremony.proposal.as_ref()?;
    let dir = &held.record.dir;
    let path = format!("{dir}/signatures/root-{}/payload.json", proposal.root_digest());

    let online = online_keys(look, held, event);
    rebuild(look, held, event, &online);
    names_record(look, held, proposal, &path);
    lints(look, held, proposal, event);

    let version = Metadata::<Root>::of_payload("the proposed root", &proposal.root).ok()?.version();
    let (signed, valid) = signatures(look, held, proposal);
    if let Some(assembled) = held.assembled() {
        published(look, held, proposal, assembled);
    }
    let holders = held.ceremony.holders.values().filter_map(|state| state.key.clone());
    let keys = holders.chain(online.into_values()).collect();
    let what = format!("{dir}: the payloads, built again from plan and events; {} holders' signatures", signed.len());
    look.checked.push(what);
    let missing = missing_for_root(&held.ceremony, &valid.iter().collect());
    let (payload, signatures) = (proposal.root_digest(), valid.len());
    Some(Proposed { version, payload, signed, signatures, missing, keys })
}

/// The online keys that the event names, by the plan's names.
fn online_keys(look: &mut Look<'_>, held: &Held, event: &Logged) -> BTreeMap<Handle, PublicKey> {
    let plan = &held.record.plan;
    let mut keys = BTreeMap::new();
    for name in [&plan.snapshot.key, &plan.timestamp.key] {
        let prefix = format!("{}/keys/{name}-", held.record.dir);
        let ours = |path: &&String| path.starts_with(&prefix) && path.ends_with("/public.pem");
        let paths: Vec<&String> = event.event.files.keys().filter(ours).collect();
        let [path] = paths.as_slice() else {
            let what = format!("it names {} public keys for the online key {name}, not one", paths.len());
            look.refuse(Check::ProposalBuilt, &format!("{}/{}", held.record.dir, event.event.path()), what);
            continue;
        };
        let pem = look.bytes(path).and_then(|bytes| core::str::from_utf8(bytes).ok());
        let key = pem.and_then(|pem| PublicKey::from_pem(pem).ok().filter(|key| key.to_pem() == pem));
        match key {
            Some(key) if format!("{}/public.pem", held.ceremony.key_dir(name, key.fingerprint())) == **path => {
                keys.insert(name.clone(), key);
            }
            _ => {
                let what = "it does not hold the online key that its folder names, in its one form";
                look.refuse(Check::KeyForm, path, what);
            }
        }
    }
    keys
}

/// Rule 1.
fn rebuild(look: &mut Look<'_>, held: &Held, event: &Logged, online: &BTreeMap<Handle, PublicKey>) {
    let mut record: Record = before(&held.record, event.digest);
    record.events.push(event.clone());
    let subject = format!("{}/{}", held.record.dir, event.event.path());
    let hint = "what was signed does not follow from the record; do not use it before somebody explains it";
    let built = match replay(&record, look.tree) {
        Ok(ceremony) => proposal::build(&ceremony, online).map(|built| (built, ceremony)),
        Err(finding) => return look.findings.push(finding),
    };
    match built {
        Err(fault) => {
            look.refuse(Check::ProposalBuilt, &subject, format!("it cannot be built again: {fault}")).hint =
                Some(hint.into());
        }
        Ok((built, ceremony)) => {
            let Some(proposal) = &ceremony.proposal else { return };
            for (role, built, proposed) in
                [("root", &built.root, &proposal.root), ("targets", &built.targets, &proposal.targets)]
            {
                if built.bytes() != proposed.as_slice() {
                    let what = format!("plan and events give another {role}: {}", built.digest());
                    look.refuse(Check::ProposalBuilt, &subject, what).hint = Some(hint.into());
                }
            }
        }
    }
}

/// Rule 2.
fn names_record(look: &mut Look<'_>, held: &Held, proposal: &Proposal, path: &str) {
    let value = Payload::read(&proposal.root).ok().map(|(_, value)| value);
    let named = value.as_ref().and_then(|value| value.get(RECORD));
    let plan = named.and_then(|named| named.get("plan")).and_then(Value::as_str);
    let events = named.and_then(|named| named.get("events")).and_then(Value::as_arr);
    let heads: Option<BTreeSet<&str>> = events.map(|events| events.iter().filter_map(Value::as_str).collect());
    let wanted: Vec<String> = proposal.heads.iter().map(Digest::to_string).collect();
    if plan != Some(held.record.plan_digest.to_string().as_str())
        || heads != Some(wanted.iter().map(String::as_str).collect())
    {
        let what = format!("its field {RECORD} does not name the plan and the events before it");
        look.refuse(Check::RootRecord, path, what).hint =
            Some("the root vouches for another record than this one".to_string());
    }
}

/// What the lint says, at the time of the proposal.
fn lints(look: &mut Look<'_>, held: &Held, proposal: &Proposal, event: &Logged) {
    let before = held.ceremony.before.as_deref();
    let (root, targets) = (proposal.root.as_slice(), proposal.targets.as_slice());
    look.findings.extend(lint::lint(&lint::Proposal {
        root,
        targets,
        old_root: before.map(|before| &before.root),
        old_targets: before.and_then(|before| before.targets.as_ref()),
        now: event.event.time,
    }));
}

/// Rule 3. The holders whose signatures of both payloads verify, and every key whose signature of the root does.
fn signatures(look: &mut Look<'_>, held: &Held, proposal: &Proposal) -> (BTreeSet<Handle>, BTreeSet<PublicKey>) {
    let dir = &held.record.dir;
    let keys = held.ceremony.signing_keys();
    let mut valid: Vec<BTreeMap<PublicKey, Vec<u8>>> = Vec::new();
    for (role, bytes) in [(SignedRole::Root, &proposal.root), (SignedRole::Targets, &proposal.targets)] {
        let Ok(payload) = Payload::from_canonical(bytes) else {
            look.refuse(Check::SigPayload, dir, format!("the payload of {role} is not in canonical form"));
            return Default::default();
        };
        let collected = collect(look.tree, dir, role, &payload, &keys, look.verifier);
        look.findings.extend(collected.findings);
        valid.push(collected.valid);
        one_form(look, &format!("{dir}/signatures/{role}-{}/", payload.digest()), &keys);
    }
    let mut signed = BTreeSet::new();
    let holders = held.ceremony.holders.iter().map(|(handle, state)| (handle, state, false));
    for (handle, state, old) in holders.chain(held.ceremony.old.iter().map(|(handle, state)| (handle, state, true))) {
        let both = state.key.as_ref().is_some_and(|key| valid.iter().all(|valid| valid.contains_key(key)));
        if both {
            signed.extend((!old).then(|| handle.clone()));
        } else if state.signed {
            let what = format!("{handle} signed, as the record says; valid signatures of both payloads are not there");
            look.refuse(Check::SigPayload, dir, what);
        }
    }
    let of_root = valid.into_iter().next().unwrap_or_default();
    (signed, of_root.into_keys().collect())
}

/// No signature of one key stands there twice, written with `s` and with `n - s`.
fn one_form(look: &mut Look<'_>, folder: &str, keys: &[&PublicKey]) {
    let mut seen: BTreeMap<(Digest, Vec<u8>), String> = BTreeMap::new();
    let mut found = Vec::new();
    for (path, entry) in below(look.tree, folder) {
        let Some(file) = entry.bytes().and_then(|bytes| crate::json::read::<SignatureFile>(bytes).ok()) else {
            continue;
        };
        let Some(key) = keys.iter().find(|key| key.fingerprint() == file.fingerprint) else { continue };
        let signature = hex::decode(&file.sig).unwrap_or_default();
        let Some(normal) = normal_form(key.algorithm(), &signature) else { continue };
        if let Some(other) = seen.insert((file.fingerprint, normal), path.clone()) {
            found.push((path.clone(), other));
        }
    }
    for (path, other) in found {
        look.refuse(Check::SigValid, &path, format!("it is the signature in {other}, in its other form")).hint = Some(
            "somebody without the key made one of the two from the other; keep the one that an event names".into(),
        );
    }
}

/// Rule 4.
fn published(look: &mut Look<'_>, held: &Held, proposal: &Proposal, assembled: &Logged) {
    let dir = &held.record.dir;
    // Only what had been signed by then; a signature that came later is in the record, not in the file.
    let mut known = Tree::new();
    for logged in &before(&held.record, assembled.digest).events {
        for path in logged.event.files.keys() {
            known.extend(look.tree.get(path).map(|entry| (path.clone(), entry.clone())));
        }
    }
    let keys = held.ceremony.signing_keys();
    let mut names = BTreeSet::new();
    let versions = (version::<Root>(&proposal.root), version::<Targets>(&proposal.targets));
    let parts = [(SignedRole::Root, &proposal.root, versions.0), (SignedRole::Targets, &proposal.targets, versions.1)];
    for (role, bytes, version) in parts {
        let (Some(version), Ok(payload)) = (version, Payload::from_canonical(bytes)) else { continue };
        let path = format!("root/{version}.{role}.json");
        let valid = collect(&known, dir, role, &payload, &keys, look.verifier).valid;
        let file = assemble(&payload, filed(&held.ceremony, role, valid));
        if look.bytes(&path) != Some(file.as_slice()) {
            let what = format!("it is not the payload and the signatures of {dir}, assembled");
            look.refuse(Check::RootFiles, &path, what).hint =
                Some("restore it from git; the record says what it has to be".to_string());
        }
        names.insert(path);
    }
    let named = &assembled.event.files;
    let rest: Vec<&String> = named.keys().filter(|path| !names.contains(*path)).collect();
    let is_timestamp = |path: &str| path == "root/timestamp.json";
    let complete = names.iter().all(|path| named.contains_key(path)) && rest.len() == 2;
    let snapshots: Vec<&&String> = rest.iter().filter(|path| !is_timestamp(path)).collect();
    if let [path] = snapshots.as_slice()
        && let Err(what) = snapshot(look, proposal, path)
    {
        look.refuse(Check::RootFiles, path, what);
    }
    if !complete || snapshots.len() != 1 {
        let what = "it does not name root, targets, snapshot and timestamp, and nothing else";
        look.find(Level::Refused, Check::RootFiles, &format!("{dir}/{}", assembled.event.path()), what);
    }
}

/// That the file is the snapshot that its name says, signed with the key that the proposed root gives the role.
fn snapshot(look: &Look<'_>, proposal: &Proposal, path: &str) -> Result<(), String> {
    let bytes = look.bytes(path).ok_or("it is missing, and the assembly names it as the snapshot")?;
    let read = Metadata::<Snapshot>::parse(path, bytes).map_err(|refusal| refusal.finding().what.line())?;
    if path != format!("root/{}.snapshot.json", read.version()) {
        return Err(format!("it is the snapshot of version {}, under another name", read.version()));
    }
    let root = Metadata::<Root>::of_payload("the proposed root", &proposal.root)
        .map_err(|refusal| refusal.finding().what.line())?;
    chain::signed_by(&root, Role::Snapshot, &read, Check::MetaQuorum, look.verifier)
        .map(drop)
        .map_err(|refusal| refusal.finding().what.line())
}

fn version<T: Body>(payload: &[u8]) -> Option<u64> {
    Metadata::<T>::of_payload("the proposal", payload).ok().map(|read| read.version())
}
