//! What is found at the start: finished if it is ours, refused if it is not.
//!
//! Rules:
//! 1. A file of the trust root is ours to restore if it is missing, or equals what a parent of the newest commit holds.
//!    The same goes for its entry in git's index.
//! 2. Ours to remove are our own temporary files, and lock files that our own process left when it was killed.
//! 3. Everything else is foreign: any other bytes, any other file that git does not ignore, anything else that is staged.
//!    Then nothing is changed.
//! 4. `ceremony/plans/` is for people: what they edit, add or delete there is no dirt.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use git2::{Delta, ErrorCode, Oid};
use trustroot_core::branch::PLANS;
use trustroot_core::tree::Entry;

use super::git::{GitLedger, blob_id};
use super::read::Named;
use super::worktree::is_temporary;
use super::{Budget, TOPS, appearance, io};
use crate::seams::LedgerError;

/// How much younger than our mark a lock file may be and still be ours.
const MARK: Duration = Duration::from_secs(10);

/// The files of a commit, by path.
type Names = BTreeMap<String, Named>;
/// Entries of the index that lag behind the newest commit, and what the commit holds.
type Behind = Vec<(String, Oid)>;

impl GitLedger {
    /// Finishes what a killed process left, and refuses what other people left. Returns the paths that were restored.
    ///
    /// # Errors
    /// [`LedgerError::Busy`], [`LedgerError::Dirty`] (nothing was changed then) or [`LedgerError::Io`].
    pub fn repair(&mut self) -> Result<Vec<String>, LedgerError> {
        let from = self.drop_stale_locks()?;
        self.branch()?;
        if let (Some(from), Some(head)) = (from, self.reading.head_commit()?.map(|head| head.id())) {
            self.carry(Some(from).filter(|from| !from.is_zero()), head)?;
        }
        let (held, parents) = self.held_and_parents()?;
        let earlier = |path: &str, id: Oid| parents.iter().any(|names| names.get(path) == Some(&Named::Blob(id)));
        let worktree = self.reading.worktree()?;

        let mut foreign = Vec::new();
        let mut temporary = Vec::new();
        // A plan that people deleted stays deleted, unless the newest commit is what it is missing from.
        let mut restore: BTreeMap<&str, Oid> = held
            .iter()
            .filter_map(|(path, named)| Some((path.as_str(), named.blob()?)))
            .filter(|(path, id)| !path.starts_with(PLANS) || !earlier(path, *id))
            .collect();
        worktree.walk(Some(&TOPS), &mut Budget::default(), &mut |path, entry| {
            let id = match &entry {
                Entry::File(bytes) => Some(blob_id(bytes).map_err(|error| self.reading.git(&error))?),
                Entry::Odd(_) => None,
            };
            let wanted = restore.remove(path.as_str());
            let fine = match (wanted, id) {
                (Some(wanted), Some(id)) if wanted == id => true,
                (Some(wanted), Some(id)) if earlier(&path, id) => {
                    // The key is borrowed from `held`, which has it because `restore` had it.
                    if let Some((key, _)) = held.get_key_value(&path) {
                        restore.insert(key, wanted);
                    }
                    true
                }
                (None, Some(_)) if is_temporary(&path) => {
                    temporary.push(path.clone());
                    true
                }
                // What the commit itself holds as odd is for verification to judge.
                (None, _) if held.contains_key(&path) => true,
                (None, _) if self.reading.repo.is_path_ignored(&path).unwrap_or(false) => true,
                _ => path.starts_with(PLANS),
            };
            if !fine {
                foreign.push(path);
            }
            Ok(())
        })?;
        let (index, staged) = self.index_behind(&held, &earlier)?;
        foreign.extend(staged);
        if !foreign.is_empty() {
            foreign.sort();
            foreign.dedup();
            return Err(self.dirty(foreign));
        }

        for path in temporary {
            worktree.remove(&path)?;
        }
        let mut restore: Vec<(String, Oid)> = restore.into_iter().map(|(path, id)| (path.to_owned(), id)).collect();
        restore.sort_by_key(|(path, _)| appearance(path));
        let mut stats = Vec::new();
        // First those whose file needs nothing. Without times and sizes git compares the bytes when it looks next.
        stats.extend(index.iter().map(|(path, id)| (path.as_str(), *id, None)));
        for (path, id) in &restore {
            let blob = self.reading.repo.find_blob(*id).map_err(|error| self.reading.git(&error))?;
            stats.push((path.as_str(), *id, Some(worktree.put(path, blob.content())?)));
        }
        self.write_index(&stats)?;
        if from.is_some() {
            self.unmark()?;
        }
        self.behind = false;
        Ok(restore.into_iter().map(|(path, _)| path).collect())
    }

    /// The names that the newest commit holds, and those of each of its parents.
    fn held_and_parents(&self) -> Result<(Names, Vec<Names>), LedgerError> {
        let Some(commit) = self.reading.head_commit()? else {
            return Ok((BTreeMap::new(), Vec::new()));
        };
        let held = self.reading.names(&commit)?;
        let mut parents = Vec::new();
        for number in 0..commit.parent_count() {
            match commit.parent(number) {
                Ok(parent) => parents.push(self.reading.names(&parent)?),
                // A shallow clone has no parents to compare with.
                Err(error) if error.code() == ErrorCode::NotFound => {}
                Err(error) => return Err(self.reading.git(&error)),
            }
        }
        Ok((held, parents))
    }

    /// The entries of the index that are ours to bring up to date, and the paths that somebody else staged.
    fn index_behind(
        &self,
        held: &Names,
        earlier: &dyn Fn(&str, Oid) -> bool,
    ) -> Result<(Behind, Vec<String>), LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let tree = match self.reading.head_commit()? {
            Some(commit) => Some(commit.tree().map_err(git)?),
            None => None,
        };
        let mut index = self.reading.repo.index().map_err(git)?;
        index.read(true).map_err(git)?;
        let diff = self.reading.repo.diff_tree_to_index(tree.as_ref(), Some(&index), None).map_err(git)?;
        let mut ours = Vec::new();
        let mut staged = Vec::new();
        for delta in diff.deltas() {
            let path = String::from_utf8_lossy(delta.old_file().path_bytes().unwrap_or_default()).into_owned();
            let behind = match delta.status() {
                Delta::Deleted => !path.starts_with(PLANS) || !earlier(&path, delta.old_file().id()),
                Delta::Modified => {
                    delta.new_file().mode() == git2::FileMode::Blob && earlier(&path, delta.new_file().id())
                }
                _ => false,
            };
            match held.get(&path).and_then(Named::blob) {
                Some(id) if behind => ours.push((path, id)),
                _ => staged.push(path),
            }
        }
        Ok((ours, staged))
    }

    /// Removes lock files of git that our own process left when it was killed. Our mark says which it was about to take
    /// and when; a lock that is much younger belongs to another git that is at work now. Returns the commit that the working
    /// tree came from, if the mark names one.
    fn drop_stale_locks(&self) -> Result<Option<Oid>, LedgerError> {
        let mark = self.state.join("writing");
        let (Ok(said), Ok(marked)) = (std::fs::read_to_string(&mark), modified(&mark)) else { return Ok(None) };
        let mut lines = said.lines();
        let Some(branch) = lines.next().filter(|branch| git2::Reference::is_valid_name(branch)) else {
            return Ok(None);
        };
        let locks = [
            self.reading.repo.commondir().join(format!("{branch}.lock")),
            self.reading.repo.path().join("HEAD.lock"),
            self.reading.repo.path().join("index.lock"),
        ];
        for lock in locks {
            if let Ok(made) = modified(&lock)
                && made.duration_since(marked).is_ok_and(|age| age <= MARK)
            {
                std::fs::remove_file(&lock).map_err(|error| io(&lock, error))?;
            }
        }
        let from = lines.next().filter(|id| id.len() == 40).and_then(|id| Oid::from_str(id).ok());
        match from {
            // The mark goes only when the working tree has come along.
            Some(from) => Ok(Some(from)),
            None => self.unmark().map(|()| None),
        }
    }
}

/// When the file at `path` was last written; a link counts as itself.
fn modified(path: &Path) -> std::io::Result<std::time::SystemTime> {
    std::fs::symlink_metadata(path)?.modified()
}
