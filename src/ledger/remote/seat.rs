//! A holder's own branch: where it begins, and how it keeps up with the conductor's.

use std::collections::HashSet;

use git2::Oid;
use trustroot_core::branch::{self, judge};
use trustroot_core::signature::Portable;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;

use super::super::git::GitLedger;
use super::super::io;
use crate::seams::{LedgerError, Seat};

impl GitLedger {
    /// The newest state of a branch of several that all sources have; nothing if none has it. States that parted are refused,
    /// unless they are the same person's, who may go on from both.
    ///
    /// # Errors
    /// [`LedgerError::Unfit`]
    pub(super) fn newest(&self, branch: &str, besides: Option<Oid>) -> Result<Option<Oid>, LedgerError> {
        let heads = self.heads_of(branch)?;
        let mut newest = besides;
        for (commit, from) in &heads {
            newest = match newest {
                None => Some(*commit),
                Some(other) if self.contains(other, *commit)? => Some(other),
                Some(other) if self.contains(*commit, other)? => Some(*commit),
                Some(other) => {
                    return Err(LedgerError::Unfit(format!(
                        "the branch {branch} has parted: {} has {commit}, and {other} is elsewhere; whoever wrote both \
                         chooses, before anybody goes on",
                        from.join(" and ")
                    )));
                }
            };
        }
        Ok(newest)
    }

    /// The newest commit of the conductor's branch, fetched or here; nothing before the first.
    pub(super) fn conductors_commit(&self) -> Result<Option<Oid>, LedgerError> {
        let branch = self.conductors_branch()?;
        let here = self.commit_at(&format!("refs/heads/{branch}"))?;
        self.newest(&branch, here)
    }

    /// Puts the working tree on the holder's own branch.
    pub(super) fn take_seat(&mut self, dir: &str, handle: &Handle, time: Timestamp) -> Result<Seat, LedgerError> {
        let fetched = match self.fetched.take() {
            Some(fetched) => fetched,
            None => self.fetch_all()?,
        };
        let conductors = self.conductors_branch()?;
        let Some(conductor) = self.conductors_commit()? else {
            return Err(LedgerError::Unfit(format!("there is no commit on {conductors} yet, here or elsewhere")));
        };
        let short = branch::name(dir, handle);
        let own = format!("refs/heads/{short}");
        let tip = self.commit_at(&own)?;
        let mut goal = tip;
        for there in self.heads_of(&short)?.into_keys() {
            if let Some(here) = goal
                && self.contains(here, there)?
            {
                continue;
            }
            self.hold_to_rules(dir, handle, there, conductor)?;
            goal = Some(match goal {
                None => there,
                Some(here) => self.combine(here, there, &format!("Take in what {short} has elsewhere"), time)?,
            });
        }
        let goal = match goal {
            None => conductor,
            Some(here) => self.combine(here, conductor, &format!("Take in what {conductors} has now"), time)?,
        };
        let kept = self.state.join("conductor");
        std::fs::write(&kept, format!("{conductors}\n")).map_err(|error| io(&kept, error))?;
        let head = self.go(&own, tip, goal, "sit down at the holder's own branch")?;
        Ok(Seat {
            branch: short,
            head,
            conductor: conductor.to_string(),
            failed: fetched.failed,
            findings: fetched.findings,
        })
    }

    /// What somebody with access to a remote put on the holder's branch is as foreign as any other branch.
    fn hold_to_rules(&self, dir: &str, handle: &Handle, there: Oid, conductor: Oid) -> Result<(), LedgerError> {
        let known: HashSet<Oid> = self.reading.reached(&[conductor])?.into_iter().collect();
        let offer = self.offer(dir, handle, there, &known, &[])?;
        let mine = self.reading.at(&conductor.to_string())?.tree;
        match judge(&mine, &offer, &Portable) {
            Ok(_) => Ok(()),
            Err(findings) => {
                let first = findings.first().map(ToString::to_string).unwrap_or_default();
                Err(LedgerError::Unfit(format!("{} as it is elsewhere: {first}", branch::name(dir, handle))))
            }
        }
    }
}
