//! Holders' branches: what a branch from elsewhere adds, and whether it may.
//!
//! Every holder works on a branch of their own, `trustroot/<name of the ceremony's folder>/<handle>`. It begins at the
//! conductor's branch and only adds. The conductor takes over what it adds as a union of files. Rules:
//! 1. A holder's branch adds events of that holder, files of that holder's keys, and signatures by them; nothing else, in no
//!    commit (`BRANCH-FOREIGN`). Every commit is looked at, because all of them become history.
//! 2. What was taken over before stays: its commits are ancestors, its files are there with their bytes
//!    (`BRANCH-REWRITE`).
//! 3. A key under one name has one set of bytes, and is nobody else's (`BRANCH-KEY`).
//! 4. What is signed is what was proposed (`BRANCH-PAYLOAD`).
//! 5. The union is by path. One path with two contents is a finding, never a choice. The union is read and replayed as a
//!    whole, by the checks that judge every record, before anything is taken.
//! 6. Nothing is taken once the ceremony is assembled or abandoned: the published bytes would depend on the order of arrival.
//!    What comes after the proposal is for the replay to judge, which has the same answer for every order.

mod judge;
mod onward;
mod place;

pub use judge::{judge, union};
pub use onward::{Onward, PLANS, is_kept, onward, whole};
pub use place::Place;

use crate::text::Handle;
use crate::tree::Tree;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What the names of all holders' branches begin with.
pub const PREFIX: &str = "trustroot/";

/// The name of a holder's branch, in short form: `trustroot/<name of the ceremony's folder>/<handle>`.
pub fn name(dir: &str, handle: &Handle) -> String {
    format!("{PREFIX}{}/{handle}", dir.strip_prefix("ceremony/").unwrap_or(dir))
}

/// The folder of the ceremony, and whose branch it is, by its name in short form; nothing if it is no holder's branch.
pub fn of_name(name: &str) -> Option<(String, Handle)> {
    let (ceremony, handle) = name.strip_prefix(PREFIX)?.split_once('/')?;
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = !ceremony.is_empty() && ceremony.len() <= 80 && ceremony.bytes().all(letter);
    let handle = Handle::new(handle).ok().filter(|_| fits && !ceremony.starts_with('-'))?;
    Some((format!("ceremony/{ceremony}"), handle))
}

/// A holder's branch as it is elsewhere, next to the branch that is checked out here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whose it is by its name.
    pub handle: Handle,
    /// The folder of the ceremony that it is for, by its name.
    pub dir: String,
    /// The full id of its newest commit.
    pub commit: String,
    /// The files of that commit that belong to a trust root.
    pub tree: Tree,
    /// Its commits that are not here yet, each after its parents.
    pub steps: Vec<Step>,
    /// The full ids of commits of this holder that were taken over before, and that it no longer contains.
    pub lost: Vec<String>,
}

/// A commit of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The full id.
    pub commit: String,
    /// What it does to the files of its parents, all files of the repository included. Of a merge: what none of the parents
    /// has, and what a parent has that it lacks.
    pub changes: Vec<Change>,
}

/// A change to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path from the top of the repository, as it is.
    pub path: String,
    /// What was done.
    pub kind: ChangeKind,
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It has other bytes, or another mode.
    Changed,
    /// It is gone.
    Removed,
}

/// What a branch adds and may add. Only [`judge`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    handle: Handle,
    dir: String,
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Addition {
    /// Whose.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The folder of the ceremony.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// The full id of the branch's newest commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The files, by path from the top of the repository; none if everything was taken over before.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Whether there is nothing to take over.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}
