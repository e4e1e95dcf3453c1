//! The ledger: a git repository that holds a trust root, on libgit2.
//!
//! Rules:
//! 1. Objects are on disk before the branch moves, the branch moves by compare-and-swap, and the working tree follows.
//!    A process that is killed between two of these leaves something that the next start finishes.
//! 2. Only `ceremony/`, `root/` and `.gitattributes` are read and written. Other files of the repository are carried
//!    along unseen.
//! 3. What people changed is never overwritten. A file is ours to restore only if it is missing, or equals what a parent
//!    of the newest commit holds.
//! 4. No symbolic link is followed inside a repository or a folder, for reading or for writing.
//! 5. Reading is bounded in entries, bytes and depth, and nothing that a repository holds is executed.
//! 6. The network is the person's own `git`; nothing here opens a connection.
//! 7. In the working tree what a file names appears before it, and a root last, so that whoever serves `root/` as it lies never
//!    serves files that do not fit together, also while a commit is being written.

mod carry;
mod git;
mod history;
mod lock;
mod merge;
mod named;
mod pipes;
mod read;
mod remote;
mod repair;
mod scan;
mod sign;
mod steps;
mod worktree;

pub use git::{GITATTRIBUTES, GitLedger, Identity};
pub use read::{Change, Difference, Past, Reading, read_all, read_dir};
pub use remote::{bare, clone};

use std::path::Path;

use git2::Oid;
use trustroot_core::git::ObjectId;
use trustroot_core::text;
use trustroot_core::verify::roots::root_number;

use crate::seams::LedgerError;

/// The folders and the file that belong to a trust root, at the top of its repository.
const TOPS: [&str; 3] = [".gitattributes", "ceremony", "root"];
/// Where branches from elsewhere lie until they are taken over.
const FETCHED: &str = "refs/trustroot/";
/// The most entries, files and folders together, that are read at once.
const MAX_ENTRIES: usize = 20_000;
/// The most entries, folders and files together, that are looked at in all of a history: each counts once for each place
/// and content that it had.
const MAX_HISTORY: usize = 1_000_000;
/// The most bytes of one file.
const MAX_FILE: usize = 64 << 20;
/// The most bytes of all files together.
const MAX_TOTAL: usize = 512 << 20;
/// The deepest folder, counted from the top.
const MAX_DEPTH: usize = 32;
/// What the files are called that exist while a file of the working tree is written.
const TEMPORARY: &str = ".trustroot-";

/// `path`, as it is shown.
fn shown(path: &Path) -> String {
    text::escape(&path.to_string_lossy())
}

/// An id as libgit2 has it. It fails for no 20 bytes; if it did, the id would be that of no object.
fn oid(id: ObjectId) -> Oid {
    Oid::from_bytes(id.as_bytes()).unwrap_or(Oid::ZERO_SHA1)
}

/// An id of libgit2's, which are of 20 bytes in this build.
fn object_id(oid: Oid) -> Option<ObjectId> {
    ObjectId::from_bytes(oid.as_bytes())
}

/// A failure of the system or of libgit2 at `path`.
fn io(path: &Path, reason: impl std::fmt::Display) -> LedgerError {
    LedgerError::Io { path: shown(path), reason: text::escape(&reason.to_string()) }
}

/// When `path` appears among the files of a commit (rule 7): numbered files first, then the timestamp, then roots in order.
fn appearance(path: &str) -> (u8, u64) {
    match path.strip_prefix("root/") {
        Some("timestamp.json") => (1, 0),
        Some(name) => root_number(name).map_or((0, 0), |number| (2, number)),
        None => (0, 0),
    }
}

/// What is counted while files are read, so that a hostile repository ends in a refusal and not in a full memory.
struct Budget {
    most: usize,
    entries: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { most: MAX_ENTRIES, entries: 0, bytes: 0 }
    }
}

impl Budget {
    /// For everything that a history holds.
    fn of_history() -> Self {
        Self { most: MAX_HISTORY, ..Self::default() }
    }

    /// Counts one file or folder at `depth`.
    fn entry(&mut self, depth: usize) -> Result<(), LedgerError> {
        self.entries += 1;
        if self.entries > self.most {
            return Err(LedgerError::Limit(format!("more than {} files and folders", self.most)));
        }
        if depth > MAX_DEPTH {
            return Err(LedgerError::Limit(format!("folders more than {MAX_DEPTH} deep")));
        }
        Ok(())
    }

    /// Counts the `size` bytes of the file at `path`, before they are read.
    fn file(&mut self, path: &str, size: u64) -> Result<(), LedgerError> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > MAX_FILE {
            return Err(LedgerError::Limit(format!("{} is larger than 64 MiB", text::escape(path))));
        }
        self.bytes += size;
        if self.bytes > MAX_TOTAL {
            return Err(LedgerError::Limit("files of more than 512 MiB together".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::appearance;

    #[test]
    fn a_root_appears_after_everything_that_fits_it() {
        let mut names =
            ["10.root.json", "9.root.json", "timestamp.json", "2.snapshot.json", "README.md", "10.targets.json"];
        names.sort_by_key(|name| appearance(&format!("root/{name}")));
        let last = ["timestamp.json", "9.root.json", "10.root.json"];
        assert_eq!(names[3..], last, "{names:?}");
        assert_eq!(appearance("ceremony/2.root.json"), (0, 0));
    }
}
