//! What comes next in a ceremony: a function of where it stands.

use crate::check::Check;
use crate::replay::{Ceremony, HolderState};
use crate::step::Step;
use crate::text::Handle;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This step.
    Do(Step),
    /// Nothing: the record is closed.
    Closed,
    /// Nothing: the ceremony was abandoned.
    Aborted,
    /// Nothing can be done: fewer holders are left than must sign.
    Stuck {
        /// For what, such as `the new root`.
        of: &'static str,
        /// How many are left.
        left: usize,
        /// How many must sign.
        threshold: usize,
    },
}

impl Ceremony {
    /// What comes next.
    pub fn next(&self) -> Next {
        if self.closed {
            return Next::Closed;
        }
        if self.aborted.is_some() {
            return Next::Aborted;
        }
        if self.present.is_none() {
            return Next::Do(Step::Roll);
        }
        if !self.clock_read {
            return Next::Do(Step::Clock);
        }
        if self.program.is_none() {
            return Next::Do(Step::Read);
        }
        if self.proposal.is_none() {
            for (handle, state) in self.taking_part().filter(|(_, state)| !state.kept) {
                let handle = handle.clone();
                if let Some(step) = state.key_step(&handle) {
                    return Next::Do(step);
                }
                let unvouched = Step::Unvouched(handle.clone());
                let step = match state {
                    HolderState { vouched: None, .. } => Step::Vouch(handle),
                    HolderState { vouched: Some(by), .. }
                        if by.len() < 2 && !self.admits(Check::EnrolUnvouched, Some(&unvouched.id())) =>
                    {
                        unvouched
                    }
                    HolderState { .. } => continue,
                };
                return Next::Do(step);
            }
        }
        // From quorum on the ceremony goes on with whoever is left.
        if let Some(short) = self.standings().into_iter().find(|standing| !standing.possible()) {
            let left = short.signed.len() + short.awaited.len();
            return Next::Stuck { of: short.of, left, threshold: short.need };
        }
        if self.proposal.is_none() {
            return Next::Do(Step::Propose);
        }
        if !self.reviewed {
            return Next::Do(Step::Review);
        }
        if !self.assembled {
            if let Some((handle, _)) = self.taking_part().find(|(_, state)| !state.signed) {
                return Next::Do(Step::Sign(handle.clone()));
            }
            let here = |handle: &Handle, state: &HolderState| self.is_present(handle) && state.left.is_none();
            let mut old = self.old.iter().filter(|(handle, state)| here(handle, state) && !state.signed);
            if let Some((handle, _)) = old.next() {
                return Next::Do(Step::SignOld(handle.clone()));
            }
            if self.second_machines() < self.threshold() && !self.admits(Check::ReviewOneMachine, None) {
                return Next::Do(Step::OneMachine);
            }
            return Next::Do(Step::Assemble);
        }
        if self.verified.is_none() {
            return Next::Do(Step::Verify);
        }
        if self.published.is_none() {
            return Next::Do(Step::Publish);
        }
        if !self.read_back {
            return Next::Do(Step::ReadBack);
        }
        Next::Do(Step::Close)
    }
}
