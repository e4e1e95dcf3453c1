//! Merges: the union of branches, as a commit.
//!
//! Rules:
//! 1. Of holders' branches the union is taken: the tree of the commit that is checked out, and the files that were found in
//!    order. Of two states of one branch: what was added on both sides ([`trustroot_core::branch::onward`]), and outside the
//!    trust root what git itself would merge without asking.
//! 2. A merge that would contradict, in the trust root or outside, is not made.

use std::collections::BTreeMap;

use git2::{Oid, Repository};
use trustroot_core::branch::{Addition, Onward, onward, union, whole};
use trustroot_core::check::Finding;
use trustroot_core::signature::Portable;
use trustroot_core::time::Timestamp;

use super::git::{GitLedger, index_entry, unfit};
use super::read::{Named, is_top};
use crate::seams::{Head, Ledger as _, LedgerError};

impl GitLedger {
    /// Takes additions over in one merge commit.
    pub(super) fn take_over(
        &mut self,
        additions: &[&Addition],
        message: &str,
        time: Timestamp,
    ) -> Result<Head, LedgerError> {
        if self.behind {
            self.repair()?;
        }
        let mut additions: Vec<&Addition> = additions.iter().copied().filter(|addition| !addition.is_empty()).collect();
        additions.sort_by(|a, b| (a.handle(), a.commit()).cmp(&(b.handle(), b.commit())));
        if additions.is_empty() {
            return Err(LedgerError::Unfit("there is nothing to take over".to_owned()));
        }
        let branch = self.branch()?;
        let (tip, id) = self.write_union(&additions, message, time)?;
        self.go(&branch, Some(tip), id, message.lines().next().unwrap_or_default())
    }

    /// Writes the merge commit, and says on which commit.
    fn write_union(&self, additions: &[&Addition], message: &str, time: Timestamp) -> Result<(Oid, Oid), LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let head = self.head()?;
        let files = union(&head.tree, additions, &Portable).map_err(contradicts)?;
        let Some(parent) = self.reading.head_commit()? else {
            return Err(LedgerError::Unfit("there is no commit yet to merge into".to_owned()));
        };
        let base = parent.tree().map_err(git)?;
        let tip = parent.id();
        let files: BTreeMap<&str, &[u8]> =
            files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        self.check_fit(&files, Some(&parent))?;
        let mut parents = vec![parent];
        for addition in additions {
            let id = Oid::from_str(addition.commit()).map_err(git)?;
            if parents.iter().all(|parent| parent.id() != id) {
                parents.push(self.reading.repo.find_commit(id).map_err(git)?);
            }
        }
        let tree = self.write_tree(Some(&base), &files)?;
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        Ok((tip, self.write_commit(message, time, tree, &parents)?))
    }

    /// The commit that holds what `a` and `b` hold: one of them if it contains the other, else a new merge of both.
    pub(super) fn combine(&self, a: Oid, b: Oid, message: &str, time: Timestamp) -> Result<Oid, LedgerError> {
        if self.contains(a, b)? {
            return Ok(a);
        }
        let git = |error: git2::Error| self.reading.git(&error);
        let repo = &self.reading.repo;
        let (ours, theirs) = (repo.find_commit(a).map_err(git)?, repo.find_commit(b).map_err(git)?);
        let forward = self.contains(b, a)?;
        let base = if forward { Some(a) } else { repo.merge_base(a, b).ok() };
        let Some(base) = base else {
            let what = "the two have no common beginning: they are different repositories";
            return Err(LedgerError::Unfit(what.to_owned()));
        };
        let before = self.reading.names(&repo.find_commit(base).map_err(git)?)?;
        let (mine, other) = (self.reading.names(&ours)?, self.reading.names(&theirs)?);
        let merged = onward(&before, &mine, &other).map_err(contradicts)?;
        if forward {
            whole(&self.reading.files(&theirs)?.tree).map_err(contradicts)?;
            return Ok(b);
        }
        let tree = self.merged_tree(repo, &ours, &theirs, &merged)?;
        let files = self.reading.tree_files(tree)?;
        whole(&files).map_err(contradicts)?;
        self.write_commit(message, time, tree, &[&ours, &theirs])
    }

    /// The tree of a merge: `merged` in the trust root, and git's own merge of the rest.
    fn merged_tree(
        &self,
        repo: &Repository,
        ours: &git2::Commit<'_>,
        theirs: &git2::Commit<'_>,
        merged: &Onward<'_, Named>,
    ) -> Result<Oid, LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let mut index = repo.merge_commits(ours, theirs, None).map_err(git)?;
        let in_root = |path: &[u8]| {
            let top = path.split(|b| *b == b'/').next().unwrap_or_default();
            std::str::from_utf8(top).is_ok_and(is_top)
        };
        let mut drop_these = Vec::new();
        for entry in index.iter() {
            let stage = i32::from((entry.flags >> 12) & 3);
            if in_root(&entry.path) {
                drop_these.push((entry.path, stage));
            } else if stage != 0 {
                return Err(unfit(&String::from_utf8_lossy(&entry.path), "it was changed here, and otherwise there"));
            }
        }
        for (path, stage) in drop_these {
            let path = std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&path));
            index.remove(path, stage).map_err(git)?;
        }
        for (path, named) in merged {
            match named {
                Named::Blob(id) => index.add(&index_entry(path.as_bytes(), *id, 0o100_644, None)).map_err(git)?,
                Named::Odd(what) => return Err(unfit(path, &format!("it is {what}"))),
            }
        }
        index.write_tree_to(repo).map_err(git)
    }

    /// Whether `tip` is or follows `earlier`.
    pub(super) fn contains(&self, tip: Oid, earlier: Oid) -> Result<bool, LedgerError> {
        if tip == earlier {
            return Ok(true);
        }
        self.reading.repo.graph_descendant_of(tip, earlier).map_err(|error| self.reading.git(&error))
    }
}

/// What a union breaks, as a refusal of the ledger.
fn contradicts(findings: Vec<Finding>) -> LedgerError {
    let shown: Vec<String> = findings.iter().take(3).map(ToString::to_string).collect();
    LedgerError::Unfit(shown.join("; "))
}
