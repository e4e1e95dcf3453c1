//! Where a ceremony stands: what replay comes to, and what can be asked of it.
//!
//! Nothing here changes anything: only `replay` does, one event after another.

use crate::check::Check;
use crate::digest::Digest;
use crate::event::{StepId, TokenFacts};
use crate::key::PublicKey;
use crate::plan::{Plan, PlannedToken};
use crate::predecessor::Predecessor;
use crate::record::{Logged, Record};
use crate::signers::{Standing, standings};
use crate::text::Handle;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Where a ceremony stands.
#[derive(Clone, Debug)]
pub struct Ceremony {
    /// The frozen plan.
    pub plan: Plan,
    /// SHA-256 of `plan.json`.
    pub plan_digest: Digest,
    /// The folder of the record.
    pub dir: String,
    /// The events that count, in replay order.
    pub events: Vec<Logged>,
    /// What the conductor's next event follows: the events that no other follows, and the conductor's last one.
    pub heads: BTreeSet<Digest>,
    /// Who is here, once the roll was called.
    pub present: Option<BTreeSet<Handle>>,
    /// Whether the time was read in two places.
    pub clock_read: bool,
    /// The program that opened the ceremony, once plan and program were read aloud.
    pub program: Option<String>,
    /// The root that is continued; nothing in a genesis.
    pub before: Option<Arc<Predecessor>>,
    /// Each holder of the plan.
    pub holders: BTreeMap<Handle, HolderState>,
    /// Those who sign once more with a key that the new root no longer names.
    pub old: BTreeMap<Handle, HolderState>,
    /// What was proposed.
    pub proposal: Option<Proposal>,
    /// Whether the review page was read aloud and read back.
    pub reviewed: bool,
    /// Whether the signatures became metadata.
    pub assembled: bool,
    /// The clients that refreshed to the end.
    pub verified: Option<Vec<String>>,
    /// The tag of the publication.
    pub published: Option<String>,
    /// Whether the exceptions were read back.
    pub read_back: bool,
    /// Whether the record is closed.
    pub closed: bool,
    /// The exceptions, in replay order.
    pub exceptions: Vec<ExceptionEntry>,
    /// Why the ceremony was abandoned, if it was.
    pub aborted: Option<String>,
}

/// Where one holder stands.
#[derive(Clone, Debug, Default)]
pub struct HolderState {
    /// The token, once identified.
    pub token: Option<TokenFacts>,
    /// Whether its secrets were replaced.
    pub provisioned: bool,
    /// Whether generating began.
    pub generate_intent: bool,
    /// The key: once generated, or from the beginning where it is one of the root before.
    pub key: Option<PublicKey>,
    /// Whether the key is one of the root before.
    pub kept: bool,
    /// Who heard its fingerprint at a machine of their own.
    pub heard: BTreeSet<Handle>,
    /// Who vouched for it, once they were asked.
    pub vouched: Option<BTreeSet<Handle>>,
    /// Whether signing began, and whether the words from another machine were given.
    pub sign_intent: Option<bool>,
    /// Whether root and targets are signed.
    pub signed: bool,
    /// Why the holder takes no further part.
    pub left: Option<String>,
}

impl HolderState {
    /// Whether a key can be generated: the secrets were replaced, or are not replaced in a ceremony.
    pub(crate) fn is_provisioned(&self) -> bool {
        self.provisioned || self.token.as_ref().is_some_and(|token| !token.kind.is_provisioned_here())
    }
}

/// The exact bytes that were proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The canonical payload of the root.
    pub root: Vec<u8>,
    /// The canonical payload of the targets.
    pub targets: Vec<u8>,
    /// The clients that accepted the twin.
    pub twin: Vec<String>,
    /// The events that it follows, which the root names.
    pub heads: BTreeSet<Digest>,
    /// The holders whose keys it names.
    pub holders: BTreeSet<Handle>,
}

impl Proposal {
    /// The payload digest of the root.
    pub fn root_digest(&self) -> Digest {
        Digest::of(&self.root)
    }

    /// The payload digest of the targets.
    pub fn targets_digest(&self) -> Digest {
        Digest::of(&self.targets)
    }
}

/// An exception as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionEntry {
    /// Who wrote it down; each author counts from 1.
    pub author: Handle,
    /// The number, as read aloud.
    pub number: u32,
    /// When.
    pub time: Timestamp,
    /// At which step.
    pub step: StepId,
    /// The named check it stands for.
    pub check: Option<String>,
    /// What happened.
    pub what: String,
    /// What was done about it.
    pub remedy: String,
    /// Who approved going on.
    pub approved: Handle,
}

impl Ceremony {
    /// The ceremony of a record before its first event, over the root that the plan continues.
    pub fn planned(record: &Record, before: Option<Arc<Predecessor>>) -> Self {
        let plan = &record.plan;
        let kept = |fingerprint: Option<Digest>| {
            let key = fingerprint.and_then(|fingerprint| before.as_ref()?.root_key(fingerprint)).cloned();
            HolderState { kept: fingerprint.is_some(), key, ..HolderState::default() }
        };
        let holders = plan.holders.iter().map(|holder| (holder.handle.clone(), kept(holder.key))).collect();
        let signing = plan.leaving.iter().filter(|leaving| leaving.signs);
        let old = signing.map(|leaving| (leaving.handle.clone(), kept(Some(leaving.key)))).collect();
        Self {
            plan: record.plan.clone(),
            plan_digest: record.plan_digest,
            dir: record.dir.clone(),
            events: Vec::new(),
            heads: record.after(&record.plan.seats.conductor),
            present: None,
            clock_read: false,
            program: None,
            before,
            holders,
            old,
            proposal: None,
            reviewed: false,
            assembled: false,
            verified: None,
            published: None,
            read_back: false,
            closed: false,
            exceptions: Vec::new(),
            aborted: None,
        }
    }

    /// The number of the next exception that `author` writes down.
    pub fn next_exception(&self, author: &Handle) -> u32 {
        let before = self.exceptions.iter().filter(|entry| entry.author == *author).count();
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The token that the plan expects of a holder, or with `old` the one of the key that leaves.
    pub fn planned_token(&self, holder: &Handle, old: bool) -> Option<&PlannedToken> {
        if old {
            return self.plan.signing_old(holder).map(|leaving| &leaving.token);
        }
        self.plan.holder(holder).map(|holder| &holder.token)
    }

    pub(crate) fn is_known(&self, handle: &Handle) -> bool {
        self.holders.contains_key(handle)
            || self.plan.leaving.iter().any(|leaving| leaving.handle == *handle)
            || self.plan.people.iter().any(|person| person.handle == *handle)
    }

    /// Whether this person was there when the roll was called.
    pub fn is_present(&self, handle: &Handle) -> bool {
        self.present.as_ref().is_some_and(|present| present.contains(handle))
    }

    pub(crate) fn is_proposed(&self, root: &Digest, targets: &Digest) -> bool {
        self.proposal.as_ref().is_some_and(|p| p.root_digest() == *root && p.targets_digest() == *targets)
    }

    /// The folder of a key, from the top of the repository.
    pub fn key_dir(&self, name: &Handle, fingerprint: Digest) -> String {
        format!("{}/keys/{name}-{}", self.dir, fingerprint.short())
    }

    /// The holders who are present and have not left, in the order of the plan.
    pub fn taking_part(&self) -> impl Iterator<Item = (&Handle, &HolderState)> {
        let in_order = self.plan.holders.iter().filter_map(|h| self.holders.get_key_value(&h.handle));
        in_order.filter(|(handle, state)| self.is_present(handle) && state.left.is_none())
    }

    /// The holders whose keys the root names, in the order of the plan: those whose key is kept, whether they are here or
    /// not, and those who are here and make one.
    pub fn keyholders(&self) -> impl Iterator<Item = (&Handle, &HolderState)> {
        let in_order = self.plan.holders.iter().filter_map(|h| self.holders.get_key_value(&h.handle));
        in_order.filter(|(handle, state)| {
            let here = self.present.is_none() || self.is_present(handle);
            state.kept || state.signed || here && state.left.is_none()
        })
    }

    /// Every key that may sign here: the holders', and those that leave.
    pub fn signing_keys(&self) -> Vec<&PublicKey> {
        self.holders.values().chain(self.old.values()).filter_map(|state| state.key.as_ref()).collect()
    }

    /// How many holders must sign so that the new root and its targets are both complete.
    pub fn threshold(&self) -> usize {
        usize::try_from(self.plan.root.threshold.max(self.plan.targets.threshold)).unwrap_or(usize::MAX)
    }

    /// Whether nothing more can be added: it was closed, or abandoned.
    pub fn is_over(&self) -> bool {
        self.closed || self.aborted.is_some()
    }

    /// Every threshold that has to be met, and where the ceremony stands to it.
    pub fn standings(&self) -> Vec<Standing> {
        standings(self)
    }

    /// Whether enough holders signed, for the new root and for the one before. From here on nothing can be abandoned.
    pub fn has_quorum(&self) -> bool {
        // Each signature is over both payloads, and holders have different keys; the metadata itself is judged by
        // `quorum` when it is assembled and verified.
        self.standings().iter().all(|standing| standing.missing() == 0)
    }

    /// How many signatures at least are missing until root and targets are complete.
    pub fn missing(&self) -> usize {
        self.standings().iter().map(Standing::missing).max().unwrap_or(0)
    }

    /// How many holders gave the words of the digest from another machine.
    pub fn second_machines(&self) -> usize {
        let all = self.holders.values().chain(self.old.values());
        all.filter(|state| state.signed && state.sign_intent == Some(true)).count()
    }

    /// Whether an exception for `check` stands in the record, at `step` if one is given.
    pub fn admits(&self, check: Check, step: Option<&StepId>) -> bool {
        let named = |entry: &&ExceptionEntry| entry.check.as_deref() == Some(check.name());
        self.exceptions.iter().filter(named).any(|entry| step.is_none_or(|step| entry.step == *step))
    }
}
