//! Who must sign: the thresholds that a ceremony has to meet, whose signature counts for which, and what is still possible.
//!
//! Rules:
//! 1. A new root meets its own threshold and that of the root before (TUF 5.3.4). Its targets are signed by both as well, so
//!    that a client in the middle of its requests finds targets that fit the root it has.
//! 2. A key that is kept counts on both sides with one signature; a key that leaves counts on the old side alone, a new key
//!    on the new side alone.
//! 3. This counts people, to say who is awaited. Whether metadata is valid is judged by `quorum` alone, from signatures.

use crate::key::PublicKey;
use crate::metadata::Role;
use crate::replay::{Ceremony, HolderState};
use crate::text::Handle;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// One threshold, and where the ceremony stands to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is the threshold of, such as `the root before`.
    pub of: &'static str,
    /// Whether a root is valid only when it is met. The targets can be signed again; a root cannot.
    pub of_root: bool,
    /// How many must sign.
    pub need: usize,
    /// Who has signed.
    pub signed: BTreeSet<Signer>,
    /// Who has not and still can.
    pub awaited: BTreeSet<Signer>,
    /// Who cannot: absent, or left.
    pub out: BTreeSet<Signer>,
}

/// Somebody who signs, with the new root's key or with one that leaves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer {
    /// Who.
    pub handle: Handle,
    /// Whether it is with the old key, which the new root no longer names.
    pub old: bool,
}

impl Standing {
    /// How many signatures are missing.
    pub fn missing(&self) -> usize {
        self.need.saturating_sub(self.signed.len())
    }

    /// Whether it can still be met.
    pub fn possible(&self) -> bool {
        self.signed.len() + self.awaited.len() >= self.need
    }

    /// How many of those who are awaited may yet fail.
    pub fn spare(&self) -> usize {
        (self.signed.len() + self.awaited.len()).saturating_sub(self.need)
    }
}

impl core::fmt::Display for Signer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}{}", self.handle, if self.old { " (old key)" } else { "" })
    }
}

/// Every threshold that the ceremony has to meet: the new root's and its targets', then those of the root before.
pub fn standings(ceremony: &Ceremony) -> Vec<Standing> {
    let plan = &ceremony.plan;
    let size = |threshold: u32| usize::try_from(threshold).unwrap_or(usize::MAX);
    let new = || ceremony.keyholders().map(|(handle, state)| (handle, false, state));
    let mut all = Vec::from([
        standing(ceremony, "the new root", true, size(plan.root.threshold), new()),
        standing(ceremony, "the new targets", false, size(plan.targets.threshold), new()),
    ]);
    let Some(before) = &ceremony.before else { return all };
    for (role, of) in [(Role::Root, "the root before"), (Role::Targets, "the targets before")] {
        let keys = before.keys(role);
        // Where another program gave the targets to keys of their own, those may not be anybody here; a client in the middle
        // of its requests then starts again.
        if role == Role::Targets && !keys.is_subset(&before.keys(Role::Root)) {
            continue;
        }
        let counts = |state: &HolderState| state.key.as_ref().is_some_and(|key: &PublicKey| keys.contains(key));
        let kept =
            ceremony.keyholders().filter(|(_, state)| counts(state)).map(|(handle, state)| (handle, false, state));
        let old = ceremony.old.iter().filter(|(_, state)| counts(state)).map(|(handle, state)| (handle, true, state));
        all.push(standing(ceremony, of, role == Role::Root, before.threshold(role), kept.chain(old)));
    }
    all
}

/// How many signatures at least are missing until the root is valid, when `valid` are the keys that signed it: its targets
/// can be signed again, a root that has its quorums is valid for ever.
pub fn missing_for_root(ceremony: &Ceremony, valid: &BTreeSet<&PublicKey>) -> usize {
    let key = |signer: &Signer| {
        let among = if signer.old { &ceremony.old } else { &ceremony.holders };
        among.get(&signer.handle).and_then(|state| state.key.as_ref())
    };
    let missing = |standing: Standing| {
        let all = standing.signed.iter().chain(&standing.awaited).chain(&standing.out);
        standing.need.saturating_sub(all.filter_map(key).filter(|key| valid.contains(key)).count())
    };
    standings(ceremony).into_iter().filter(|standing| standing.of_root).map(missing).max().unwrap_or(0)
}

fn standing<'a>(
    ceremony: &Ceremony,
    of: &'static str,
    of_root: bool,
    need: usize,
    signers: impl Iterator<Item = (&'a Handle, bool, &'a HolderState)>,
) -> Standing {
    let (mut signed, mut awaited, mut out) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (handle, old, state) in signers {
        // A signature counts, whatever its holder did after it.
        let here = ceremony.present.is_none() || ceremony.is_present(handle);
        let among = match state {
            state if state.signed => &mut signed,
            state if here && state.left.is_none() => &mut awaited,
            _ => &mut out,
        };
        among.insert(Signer { handle: handle.clone(), old });
    }
    Standing { of, of_root, need, signed, awaited, out }
}
