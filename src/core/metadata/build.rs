//! Building new metadata, in the strict forms only.
//!
//! Rules:
//! 1. The same input gives the same bytes.
//! 2. What is built is read back before it is handed out, so nothing leaves here that our own reader would call lenient.
//! 3. Fields of our own begin with `x-`; identity never goes inside a key object.

use super::fields::MetaFile;
use super::targets::Target;
use super::tufkey::{key_id, new_form};
use super::{Body, Metadata, Role};
use crate::digest::Digest;
use crate::json::Value;
use crate::key::PublicKey;
use crate::payload::Payload;
use crate::time;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The version of the specification that new metadata names.
pub const SPEC_VERSION: &str = "1.0.31";

/// Why metadata is not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildFault {
    /// New metadata holds ECDSA P-256 and Ed25519 keys only.
    #[error("the key with fingerprint {0} is of a kind that not every client understands; use ECDSA P-256 or Ed25519")]
    Key(Digest),
    /// A field of our own with the name of a field of the specification, or without `x-`.
    #[error("the extra field \"{}\" does not begin with x-", crate::text::escape(.0))]
    Extra(String),
    /// What was built is not what our own reader calls strict.
    #[error("{0}")]
    Refused(#[from] super::Refusal),
}

/// A role in a root to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyholders {
    /// The keys.
    pub keys: BTreeSet<PublicKey>,
    /// How many must sign.
    pub threshold: u64,
}

/// Root metadata to be built.
#[derive(Clone, Debug)]
pub struct Root {
    /// The version, from 1.
    pub version: u64,
    /// When it expires.
    pub expires: time::Timestamp,
    /// The role root.
    pub root: Keyholders,
    /// The role targets.
    pub targets: Keyholders,
    /// The role snapshot.
    pub snapshot: Keyholders,
    /// The role timestamp.
    pub timestamp: Keyholders,
    /// Fields of our own, such as `x-trustroot-record`.
    pub extra: BTreeMap<String, Value>,
}

/// Targets metadata to be built.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The version, from 1.
    pub version: u64,
    /// When it expires.
    pub expires: time::Timestamp,
    /// The files by path.
    pub targets: BTreeMap<String, Target>,
    /// Who else may name files, as the targets before wrote it.
    pub delegations: Option<Value>,
    /// Fields of our own.
    pub extra: BTreeMap<String, Value>,
}

/// Snapshot metadata to be built.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The version, from 1.
    pub version: u64,
    /// When it expires.
    pub expires: time::Timestamp,
    /// The targets metadata: `targets.json`, and delegated ones.
    pub meta: BTreeMap<String, MetaFile>,
}

/// Timestamp metadata to be built.
#[derive(Clone, Debug)]
pub struct Timestamp {
    /// The version, from 1.
    pub version: u64,
    /// When it expires.
    pub expires: time::Timestamp,
    /// The snapshot.
    pub snapshot: MetaFile,
}

/// The key id under which new metadata files `key`; nothing for kinds of keys that new metadata does not use.
pub fn new_key_id(key: &PublicKey) -> Option<String> {
    new_form(key).map(|form| key_id(&form).to_string())
}

impl Root {
    /// The canonical payload.
    ///
    /// # Errors
    /// [`BuildFault`].
    pub fn payload(&self) -> Result<Payload, BuildFault> {
        let roles = [
            (Role::Root, &self.root),
            (Role::Targets, &self.targets),
            (Role::Snapshot, &self.snapshot),
            (Role::Timestamp, &self.timestamp),
        ];
        let mut keys = BTreeMap::new();
        let mut written = BTreeMap::new();
        for (name, role) in roles {
            let mut ids = Vec::new();
            for key in &role.keys {
                let form = new_form(key).ok_or_else(|| BuildFault::Key(key.fingerprint()))?;
                let id = key_id(&form).to_string();
                keys.insert(id.clone(), form);
                ids.push(id);
            }
            ids.sort();
            let ids = Value::Arr(ids.into_iter().map(Value::Str).collect());
            let role = Value::from([("keyids", ids), ("threshold", Value::from(role.threshold))]);
            written.insert(name.name().to_string(), role);
        }
        let body = [("consistent_snapshot", Value::Bool(true)), ("keys", keys.into()), ("roles", written.into())];
        finish::<super::root::Root>(self.version, self.expires, body.into(), &self.extra)
    }
}

impl Targets {
    /// The canonical payload.
    ///
    /// # Errors
    /// [`BuildFault`].
    pub fn payload(&self) -> Result<Payload, BuildFault> {
        let targets = self.targets.iter().map(|(path, target)| (path.clone(), target.to_value())).collect();
        let mut body = Vec::from([("targets", Value::Obj(targets))]);
        body.extend(self.delegations.clone().map(|delegations| ("delegations", delegations)));
        finish::<super::targets::Targets>(self.version, self.expires, body, &self.extra)
    }
}

impl Snapshot {
    /// The canonical payload.
    ///
    /// # Errors
    /// [`BuildFault`].
    pub fn payload(&self) -> Result<Payload, BuildFault> {
        let meta = self.meta.iter().map(|(name, file)| (name.clone(), file.to_value())).collect();
        let body = Vec::from([("meta", Value::Obj(meta))]);
        finish::<super::snapshot::Snapshot>(self.version, self.expires, body, &BTreeMap::new())
    }
}

impl Timestamp {
    /// The canonical payload.
    ///
    /// # Errors
    /// [`BuildFault`].
    pub fn payload(&self) -> Result<Payload, BuildFault> {
        let meta = Value::from([("snapshot.json", self.snapshot.to_value())]);
        let body = Vec::from([("meta", meta)]);
        finish::<super::timestamp::Timestamp>(self.version, self.expires, body, &BTreeMap::new())
    }
}

fn finish<T: Body>(
    version: u64,
    expires: time::Timestamp,
    body: Vec<(&str, Value)>,
    extra: &BTreeMap<String, Value>,
) -> Result<Payload, BuildFault> {
    if let Some(name) = extra.keys().find(|name| !name.starts_with("x-")) {
        return Err(BuildFault::Extra(name.clone()));
    }
    let mut members = extra.clone();
    members.insert("_type".to_string(), T::TYPE.into());
    members.insert("spec_version".to_string(), SPEC_VERSION.into());
    members.insert("version".to_string(), version.into());
    members.insert("expires".to_string(), expires.to_string().into());
    members.extend(body.into_iter().map(|(name, value)| (name.to_string(), value)));
    let payload = Payload::of(&members.into());
    let built = Metadata::<T>::of_payload(T::TYPE, payload.bytes())?;
    // A warning here is a role that cannot be met or a key that cannot be used; neither may leave here.
    let mut findings = built.findings().to_vec();
    findings.iter_mut().for_each(|finding| finding.level = crate::check::Level::Refused);
    super::refused(&findings)?;
    Ok(payload)
}
