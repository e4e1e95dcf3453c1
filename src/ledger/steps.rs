//! What commits do to files: of a branch from elsewhere, and of merges.
//!
//! Rules:
//! 1. Everything is compared by id and mode, in all of the repository; equal folders are passed over.
//! 2. Of a merge only what its parents do not explain is a change: a content that none of them has, and a file that is gone
//!    though no side removed it.
//! 3. Folders are measured before they are loaded, and entries are counted.

use std::collections::{BTreeMap, HashSet};

use git2::{ObjectType, Oid};
use trustroot_core::branch::{Change, ChangeKind, Step};
use trustroot_core::text;
use trustroot_core::verify::merges::Merges;

use super::Budget;
use super::read::Reading;
use super::scan::MAX_TREE;
use crate::seams::LedgerError;

/// The most commits that a branch may be ahead by.
pub(super) const MAX_STEPS: usize = 2_000;
/// The most changes of one commit that are named.
const MAX_CHANGES: usize = 10_000;
/// The longest path.
const MAX_PATH: usize = 4096;

/// An entry of a folder.
type Item = (i32, Oid);
/// A folder, by name.
type Items = BTreeMap<Vec<u8>, Item>;

impl Reading {
    /// The commits that `tip` reaches and `known` does not hold, each after its parents, with what they change.
    pub(super) fn steps(&self, tip: Oid, known: &HashSet<Oid>) -> Result<Vec<Step>, LedgerError> {
        let mut steps = Vec::new();
        for id in self.reached_beyond(&[tip], known, MAX_STEPS)? {
            steps.push(Step { commit: id.to_string(), changes: self.changes(id)? });
        }
        Ok(steps)
    }

    /// What a commit does to the files of its parents.
    pub(super) fn changes(&self, commit: Oid) -> Result<Vec<Change>, LedgerError> {
        let git = |error: git2::Error| self.git(&error);
        let commit = self.repo.find_commit(commit).map_err(git)?;
        let mut parents = Vec::new();
        for parent in commit.parent_ids() {
            let parent = self.repo.find_commit(parent).map_err(git)?;
            parents.push(Some(parent.tree_id()));
        }
        let ids: Vec<Oid> = commit.parent_ids().collect();
        let base = match ids.as_slice() {
            [first, second, ..] => self.repo.merge_base(*first, *second).ok(),
            _ => None,
        };
        let base = match base {
            Some(base) => Some(self.repo.find_commit(base).map_err(git)?.tree_id()),
            None => None,
        };
        let mut found = Compared { reading: self, changes: Vec::new(), budget: Budget::of_history() };
        found.folder(Some(commit.tree_id()), &parents, base, "", 1)?;
        Ok(found.changes)
    }

    /// The merges among the commits that the one checked out reaches. Where history was cut, only what is there is looked at.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Damaged`] if objects are missing.
    pub fn merges(&self) -> Result<Merges, LedgerError> {
        let mut merges = Merges::default();
        let Some(head) = self.head_commit()? else { return Ok(merges) };
        for id in self.reached(&[head.id()])? {
            let commit = self.repo.find_commit(id).map_err(|error| self.git(&error))?;
            let whole = commit.parent_ids().all(|parent| self.repo.find_commit(parent).is_ok());
            if commit.parent_count() < 2 || !whole {
                continue;
            }
            merges.count += 1;
            let changes = self.changes(id)?;
            if !changes.is_empty() {
                merges.odd.push((id.to_string(), changes));
            }
        }
        Ok(merges)
    }
}

struct Compared<'a> {
    reading: &'a Reading,
    changes: Vec<Change>,
    budget: Budget,
}

impl Compared<'_> {
    /// Compares one folder with that of each parent; `base` is what the parents parted from.
    fn folder(
        &mut self,
        now: Option<Oid>,
        parents: &[Option<Oid>],
        base: Option<Oid>,
        prefix: &str,
        depth: usize,
    ) -> Result<(), LedgerError> {
        if !parents.is_empty() && parents.iter().all(|parent| *parent == now) {
            return Ok(());
        }
        let here = self.items(now)?;
        let mut there = Vec::new();
        for parent in parents {
            there.push(self.items(*parent)?);
        }
        let before = if parents.len() > 1 { self.items(base)? } else { Items::new() };
        let names: std::collections::BTreeSet<&Vec<u8>> =
            here.keys().chain(there.iter().flat_map(Items::keys)).collect();
        for name in names {
            self.budget.entry(depth)?;
            // A name that is no text is shown escaped; it is refused wherever a record is.
            let name_shown = match std::str::from_utf8(name) {
                Ok(name) => name.to_owned(),
                Err(_) => text::escape(&String::from_utf8_lossy(name)),
            };
            let path = format!("{prefix}{name_shown}");
            if path.len() > MAX_PATH {
                return Err(LedgerError::Limit(format!("a path of more than {MAX_PATH} bytes")));
            }
            let (item, items) = (here.get(name), there.iter().map(|items| items.get(name)).collect::<Vec<_>>());
            let folder = |item: Option<&Item>| item.filter(|(mode, _)| *mode == 0o040_000).map(|(_, id)| *id);
            let file = |item: Option<&Item>| item.filter(|(mode, _)| *mode != 0o040_000).copied();
            let folders: Vec<Option<Oid>> = items.iter().map(|item| folder(*item)).collect();
            if folder(item).is_some() || folders.iter().any(Option::is_some) {
                self.folder(folder(item), &folders, folder(before.get(name)), &format!("{path}/"), depth + 1)?;
            }
            let files: Vec<Option<Item>> = items.iter().map(|item| file(*item)).collect();
            let kind = match file(item) {
                Some(item) if files.contains(&Some(item)) => None,
                Some(_) if files.iter().any(Option::is_some) => Some(ChangeKind::Changed),
                Some(_) => Some(ChangeKind::Added),
                None if files.iter().all(Option::is_none) => None,
                // One side removed what both had.
                None if files.contains(&None) && file(before.get(name)).is_some() => None,
                None => Some(ChangeKind::Removed),
            };
            if let Some(kind) = kind {
                if self.changes.len() >= MAX_CHANGES {
                    return Err(LedgerError::Limit(format!("a commit that changes more than {MAX_CHANGES} files")));
                }
                self.changes.push(Change { path, kind });
            }
        }
        Ok(())
    }

    fn items(&self, tree: Option<Oid>) -> Result<Items, LedgerError> {
        let Some(tree) = tree else { return Ok(Items::new()) };
        let git = |error: git2::Error| self.reading.git(&error);
        let odb = self.reading.repo.odb().map_err(git)?;
        self.reading.measure(&odb, tree, ObjectType::Tree, MAX_TREE)?;
        let tree = self.reading.repo.find_tree(tree).map_err(git)?;
        Ok(tree.iter().map(|entry| (entry.name_bytes().to_vec(), (entry.filemode_raw(), entry.id()))).collect())
    }
}
