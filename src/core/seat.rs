//! What each person can do now, at whichever machine they sit.
//!
//! Rules:
//! 1. Holders wait for the conductor, and never for each other: whoever can act is told so, in any order.
//! 2. A holder at a machine of their own does what is about their own key, and says what they heard of others' keys.
//!    Everything that is about all stays with the conductor.
//! 3. Nobody is asked what the record already has.

use crate::plan::PlannedToken;
use crate::replay::{Ceremony, HolderState};
use crate::serial::Serial;
use crate::step::Step;
use crate::text::Handle;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// How many others are asked for the words of a new key.
pub const HEARERS: usize = 2;

/// A step that somebody can take now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Who is awaited.
    pub who: Handle,
    /// For what. [`Step::Vouch`] waits for others to hear the key of `who`.
    pub step: Step,
    /// The serial of the token that is needed, if it is known.
    pub serial: Option<Serial>,
}

/// Whose turn it is, for one person at a machine of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Theirs: this step.
    Do(Step),
    /// Somebody else's, or they did their part.
    Wait,
    /// Nobody's: the roll was called without them.
    Absent,
    /// Nobody's: the others went on without them, for this reason.
    Left(alloc::string::String),
    /// Nobody's: the record is closed.
    Closed,
    /// Nobody's: the ceremony was abandoned, for this reason.
    Aborted(alloc::string::String),
}

impl Ceremony {
    /// Everybody who can act now for a key of their own, in the order of the plan; nobody while the next step is about all.
    pub fn awaited(&self) -> Vec<Awaited> {
        if self.program.is_none() || self.closed || self.aborted.is_some() || self.assembled {
            return Vec::new();
        }
        if self.proposal.is_none() {
            let new = self.taking_part().filter(|(_, state)| !state.kept);
            let step = |(handle, state): (&Handle, &HolderState)| {
                let vouch = || state.vouched.is_none().then(|| Step::Vouch(handle.clone()));
                self.awaited_at(handle, state, state.key_step(handle).or_else(vouch)?, false)
            };
            return new.filter_map(step).collect();
        }
        if !self.reviewed {
            return Vec::new();
        }
        let new = self.taking_part().filter(|(_, state)| !state.signed);
        let new = new.filter_map(|(handle, state)| self.awaited_at(handle, state, Step::Sign(handle.clone()), false));
        let here = |(handle, state): &(&Handle, &HolderState)| self.is_present(handle) && state.left.is_none();
        let old = self.old.iter().filter(here).filter(|(_, state)| !state.signed);
        let old = old.filter_map(|(handle, state)| self.awaited_at(handle, state, Step::SignOld(handle.clone()), true));
        new.chain(old).collect()
    }

    fn awaited_at(&self, who: &Handle, state: &HolderState, step: Step, old: bool) -> Option<Awaited> {
        let planned = self.planned_token(who, old).and_then(|planned: &PlannedToken| planned.serial);
        let serial = state.token.as_ref().map(|token| token.serial).or(planned);
        Some(Awaited { who: who.clone(), step, serial })
    }

    /// Whose turn it is, seen by `who` at a machine of their own. Keys of the holders in `unheard` are not asked about: the
    /// words were asked for, and nothing was typed.
    pub fn turn(&self, who: &Handle, unheard: &BTreeSet<Handle>) -> Turn {
        if self.closed {
            return Turn::Closed;
        }
        if let Some(reason) = &self.aborted {
            return Turn::Aborted(reason.clone());
        }
        if self.present.is_some() && !self.is_present(who) {
            return Turn::Absent;
        }
        let own = self.awaited().into_iter().filter(|awaited| awaited.who == *who).map(|awaited| awaited.step);
        if let Some(step) = own.into_iter().find(|step| !matches!(step, Step::Vouch(_))) {
            return Turn::Do(step);
        }
        if let Some(holder) = self.to_hear(who).find(|holder| !unheard.contains(*holder)) {
            return Turn::Do(Step::Hear(holder.clone()));
        }
        let left =
            |state: Option<&HolderState>| state.filter(|state| !state.signed).and_then(|state| state.left.clone());
        match left(self.holders.get(who)).or(left(self.old.get(who))) {
            Some(reason) => Turn::Left(reason),
            None => Turn::Wait,
        }
    }

    /// The holders whose new key nobody vouched for yet and fewer than [`HEARERS`] others heard, and which `who` is asked for.
    pub fn to_hear(&self, who: &Handle) -> impl Iterator<Item = &Handle> {
        let open = self.proposal.is_none() && self.program.is_some() && self.is_present(who);
        let keys = self.taking_part().filter(move |(_, state)| open && !state.kept && state.key.is_some());
        let wanted = |state: &HolderState| state.vouched.is_none() && state.heard.len() < HEARERS;
        let keys = keys.filter(move |(_, state)| wanted(state) && !state.heard.contains(who));
        keys.map(|(handle, _)| handle).filter(move |handle| self.hearers(handle).contains(&who))
    }

    /// Who is still awaited for the words of this holder's key.
    pub fn awaited_to_hear(&self, holder: &Handle) -> Vec<&Handle> {
        let heard = self.holders.get(holder).map(|state| &state.heard);
        let missing = HEARERS.saturating_sub(heard.map_or(0, BTreeSet::len));
        let others = self.hearers(holder).into_iter();
        others.filter(|other| heard.is_none_or(|heard| !heard.contains(*other))).take(missing).collect()
    }

    /// Who is asked, at machines of their own, for the words of this holder's key: the next holders in the order of the plan,
    /// round and round, so that everybody is asked for as few as possible; those who are late with their own key after the
    /// others. Only holders have branches; scribe and witnesses hear a key in the conductor's room.
    fn hearers(&self, holder: &Handle) -> Vec<&Handle> {
        let holders: Vec<&Handle> = self.taking_part().map(|(handle, _)| handle).collect();
        let place = holders.iter().position(|other| *other == holder).unwrap_or(0);
        let round = || holders.iter().copied().cycle().skip(place + 1).take(holders.len().saturating_sub(1));
        let has_key = |handle: &&Handle| self.holders.get(*handle).is_some_and(|state| state.key.is_some());
        let round = round().filter(has_key).chain(round().filter(|handle| !has_key(handle)));
        round.filter(|other| **other != self.plan.seats.conductor).take(HEARERS).collect()
    }
}

impl HolderState {
    /// What comes next for a holder's own new key; nothing once it is there.
    pub(crate) fn key_step(&self, handle: &Handle) -> Option<Step> {
        let handle = handle.clone();
        match self {
            Self { token: None, .. } => Some(Step::Token(handle)),
            state if !state.is_provisioned() => Some(Step::Provision(handle)),
            Self { key: None, .. } => Some(Step::Generate(handle)),
            _ => None,
        }
    }
}
