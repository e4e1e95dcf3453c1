//! Abandoned ceremonies: what was signed stays, and may yet be completed by somebody who collects the rest.
//!
//! The next ceremony for the same version says so (`RIVAL-POSSIBLE`), and how many signatures the old payload lacks.

use crate::digest::Digest;
use crate::metadata::Metadata;
use crate::metadata::root::Root;
use crate::payload::Payload;
use crate::record::{Record, records};
use crate::replay::{HolderState, replay};
use crate::sigfile::{SignedRole, collect};
use crate::signature::Verifier;
use crate::signers::{Signer, missing_for_root};
use crate::text::Handle;
use crate::tree::Tree;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What an abandoned ceremony left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defunct {
    /// The folder of its record.
    pub dir: String,
    /// The version of the root it proposed.
    pub version: u64,
    /// The payload digest of that root.
    pub payload: Digest,
    /// Who signed it, with a new key or an old one.
    pub signed: Vec<String>,
    /// How many signatures at least would make it valid.
    pub missing: usize,
}

impl Defunct {
    /// In a sentence.
    pub fn what(&self) -> String {
        let Self { dir, version, payload, signed, missing } = self;
        let who = signed.join(", ");
        format!(
            "{dir} was abandoned with signatures of {who} on another root {version}, {payload}; they count for nothing here, \
             and {missing} more make it valid"
        )
    }
}

/// Every abandoned ceremony that left signatures on a root of this version, in order of their folders. Records that do not
/// hold are left to `verify`.
pub fn abandoned(tree: &Tree, version: u64, verifier: &dyn Verifier) -> Vec<Defunct> {
    let read = |dir: String| {
        let record = Record::read(tree, &dir).ok()?;
        let ceremony = replay(&record, tree).ok().filter(|ceremony| ceremony.aborted.is_some())?;
        let proposal = ceremony.proposal.as_ref()?;
        let root = Metadata::<Root>::of_payload("the abandoned root", &proposal.root).ok()?;
        let payload = Payload::from_canonical(&proposal.root).ok().filter(|_| root.version() == version)?;
        let valid = collect(tree, &dir, SignedRole::Root, &payload, &ceremony.signing_keys(), verifier).valid;
        let missing = missing_for_root(&ceremony, &valid.keys().collect());
        let of = |states: &BTreeMap<Handle, HolderState>, old: bool| {
            let signed =
                states.iter().filter(|(_, state)| state.key.as_ref().is_some_and(|key| valid.contains_key(key)));
            signed.map(|(handle, _)| Signer { handle: handle.clone(), old }.to_string()).collect::<Vec<_>>()
        };
        let signed = [of(&ceremony.holders, false), of(&ceremony.old, true)].concat();
        let found = Defunct { dir, version, payload: payload.digest(), signed, missing };
        (!found.signed.is_empty()).then_some(found)
    };
    records(tree).into_iter().filter_map(read).collect()
}
