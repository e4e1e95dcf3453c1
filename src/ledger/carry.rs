//! Going from one commit to another, which need not follow it: a merge, a fast-forward, another branch.
//!
//! Rules:
//! 1. The order is that of a commit: objects, a mark that says where the working tree comes from, the branch
//!    (compare-and-swap), `HEAD` if it names another branch, then the working tree and the index. A process that is killed
//!    anywhere is followed by one that finds the mark and carries on.
//! 2. A file that people changed stays as they left it. In the trust root that is found before anything moves, and refused.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use git2::{Oid, build::CheckoutBuilder};
use trustroot_core::branch::PLANS;
use trustroot_core::tree::Entry;

use super::appearance;
use super::git::{GitLedger, blob_id, index_entry};
use super::read::is_top;
use super::worktree::Worktree;
use crate::seams::{Head, Ledger as _, LedgerError};

/// A file that two commits hold differently.
struct Moved {
    path: Vec<u8>,
    /// Its id and mode before and after; nothing where it is not.
    before: Option<(Oid, u32)>,
    after: Option<(Oid, u32)>,
}

impl Moved {
    /// The path, if it lies in the trust root.
    fn in_root(&self) -> Option<&str> {
        let path = std::str::from_utf8(&self.path).ok()?;
        path.split('/').next().is_some_and(is_top).then_some(path)
    }
}

impl GitLedger {
    /// Moves `branch` from `tip` to `to`, and the working tree from the commit that is checked out to `to`; the branch is
    /// checked out afterwards.
    pub(super) fn go(&mut self, branch: &str, tip: Option<Oid>, to: Oid, line: &str) -> Result<Head, LedgerError> {
        if self.behind {
            self.repair()?;
        }
        let git = |error: git2::Error| self.reading.git(&error);
        let from = self.reading.head_commit()?.map(|head| head.id());
        let here = self.branch()?;
        self.refuse_changed(&self.moved(from, to)?)?;
        self.mark(branch, Some(from.unwrap_or(Oid::ZERO_SHA1)))?;
        self.behind = true;
        if tip != Some(to) {
            match self.move_branch(branch, tip, to, line) {
                Err(error @ (LedgerError::Moved { .. } | LedgerError::Busy(_))) => {
                    self.unmark()?;
                    self.behind = false;
                    return Err(error);
                }
                other => other?,
            }
        }
        if here != branch {
            self.reading.repo.reference_symbolic("HEAD", branch, true, &format!("trustroot: {line}")).map_err(git)?;
        }
        // Finds the mark, and does what a start after a kill would do.
        self.repair()?;
        self.head()
    }

    /// Brings the working tree and the index from what `from` holds (nothing, if it is nothing) to what `to` holds. May be done
    /// again.
    pub(super) fn carry(&self, from: Option<Oid>, to: Oid) -> Result<(), LedgerError> {
        let moved = self.moved(from, to)?;
        if moved.is_empty() {
            return Ok(());
        }
        let git = |error: git2::Error| self.reading.git(&error);
        let repo = &self.reading.repo;
        let worktree = self.reading.worktree()?;
        let mut others = Vec::new();
        for file in &moved {
            match file.in_root() {
                Some(path) => self.carry_own(&worktree, path, file)?,
                None if self.is_untouched(file) => others.push(file),
                None => {}
            }
        }
        let (written, gone): (Vec<&Moved>, Vec<&Moved>) = others.into_iter().partition(|file| file.after.is_some());
        if !written.is_empty() {
            let mut checkout = CheckoutBuilder::new();
            checkout.force().update_index(false).disable_pathspec_match(true);
            for file in written {
                checkout.path(file.path.as_slice());
            }
            let tree = repo.find_commit(to).and_then(|commit| commit.tree()).map_err(git)?;
            repo.checkout_tree(tree.as_object(), Some(&mut checkout)).map_err(git)?;
        }
        for path in gone.iter().filter_map(|file| std::str::from_utf8(&file.path).ok()) {
            worktree.remove(path)?;
        }
        let mut index = repo.index().map_err(git)?;
        index.read(true).map_err(git)?;
        for file in &moved {
            match file.after {
                Some((id, mode)) => index.add(&index_entry(&file.path, id, mode, None)).map_err(git)?,
                None => match index.remove_path(Path::new(std::ffi::OsStr::from_bytes(&file.path))) {
                    Err(error) if error.code() != git2::ErrorCode::NotFound => return Err(git(error)),
                    _ => {}
                },
            }
        }
        // Marked anew, so that a lock of the index that a kill leaves now is known for ours.
        self.mark(&self.branch()?, Some(from.unwrap_or(Oid::ZERO_SHA1)))?;
        index.write().map_err(git)
    }

    /// A file of the trust root. What is not what one of the two commits holds is for [`Self::repair`] to refuse.
    fn carry_own(&self, worktree: &Worktree<'_>, path: &str, file: &Moved) -> Result<(), LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let there = match worktree.look(path)? {
            None => None,
            Some(Entry::File(bytes)) => Some(blob_id(&bytes).map_err(git)?),
            Some(Entry::Odd(_)) => return Ok(()),
        };
        let is_before = there.is_none() || there == file.before.map(|(id, _)| id);
        match file.after {
            Some((id, 0o100_644)) if is_before => {
                let blob = self.reading.repo.find_blob(id).map_err(git)?;
                worktree.put(path, blob.content()).map(|_| ())
            }
            None if is_before && there.is_some() => worktree.remove(path),
            _ => Ok(()),
        }
    }

    /// Refuses if people changed a file of the trust root that is to move. Their plans are theirs: only one that would be
    /// overwritten is refused.
    fn refuse_changed(&self, moved: &[Moved]) -> Result<(), LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let worktree = self.reading.worktree()?;
        let mut foreign = Vec::new();
        for (file, path) in moved.iter().filter_map(|file| Some((file, file.in_root()?))) {
            let there = match worktree.look(path)? {
                None => continue,
                Some(Entry::File(bytes)) => Some(blob_id(&bytes).map_err(git)?),
                Some(Entry::Odd(_)) => None,
            };
            let known = there.is_some() && [file.before, file.after].iter().any(|side| side.map(|(id, _)| id) == there);
            let left_alone = path.starts_with(PLANS) && file.after.is_none();
            if !known && !left_alone {
                foreign.push(path.to_owned());
            }
        }
        if foreign.is_empty() { Ok(()) } else { Err(self.dirty(foreign)) }
    }

    /// Whether a file outside the trust root is missing or as one of the two commits has it, so that nobody's change is lost.
    fn is_untouched(&self, file: &Moved) -> bool {
        let Some(top) = self.reading.repo.workdir() else { return false };
        let path = top.join(std::ffi::OsStr::from_bytes(&file.path));
        let Ok(found) = std::fs::symlink_metadata(&path) else { return true };
        let id = if found.is_symlink() {
            std::fs::read_link(&path).ok().and_then(|to| blob_id(to.as_os_str().as_bytes()).ok())
        } else if found.is_file() {
            Oid::hash_file(git2::ObjectType::Blob, &path).ok()
        } else {
            None
        };
        // A submodule is a folder, and its commits are its own.
        id.is_some() && [file.before, file.after].iter().any(|side| side.map(|(id, _)| id) == id)
    }

    /// The files that two commits hold differently.
    fn moved(&self, from: Option<Oid>, to: Oid) -> Result<Vec<Moved>, LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let repo = &self.reading.repo;
        let tree = |id: Oid| repo.find_commit(id).and_then(|commit| commit.tree()).map_err(git);
        let before = from.map(tree).transpose()?;
        let diff = repo.diff_tree_to_tree(before.as_ref(), Some(&tree(to)?), None).map_err(git)?;
        let side = |file: git2::DiffFile<'_>| file.exists().then(|| (file.id(), u32::from(file.mode())));
        let moved = diff.deltas().filter_map(|delta| {
            let path = delta.new_file().path_bytes().or(delta.old_file().path_bytes())?.to_vec();
            Some(Moved { path, before: side(delta.old_file()), after: side(delta.new_file()) })
        });
        let mut moved: Vec<Moved> = moved.collect();
        moved.sort_by_key(|file| appearance(file.in_root().unwrap_or_default()));
        Ok(moved)
    }
}
