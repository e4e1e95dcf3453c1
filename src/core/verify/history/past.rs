//! What git remembers of a repository that others made, as plain data: which folders hold metadata or keys, and how they
//! changed from commit to commit.
//!
//! Rules:
//! 1. A content is here once, however many commits hold it: folders point to names and contents by number.
//! 2. A commit is a moment only if it changed such a folder against its first parent.
//! 3. Everything here is foreign: names of files, of references, times. Commit ids and contents were computed by git.

use crate::digest::Digest;
use crate::time::Timestamp;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What was read out of one repository.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The full id of the newest commit of the main line; empty where there is none.
    pub head: String,
    /// How many commits were walked.
    pub commits: usize,
    /// How many of them are the main line: the newest commit, its first parent, and so on.
    pub line: usize,
    /// How many references were followed.
    pub references: usize,
    /// How many commits were left out because they are later than the time asked about.
    pub later: usize,
    /// Whether the clone was cut, so that nothing is known of what came before.
    pub cut: bool,
    /// The moments, parents before children.
    pub moments: Vec<Moment>,
    /// The different contents of folders.
    pub folders: Vec<Folder>,
    /// The different names of files, from their folder.
    pub names: Vec<String>,
    /// The different contents of files.
    pub blobs: Vec<Vec<u8>>,
    /// Where a reference left a line of commits behind.
    pub moves: Vec<Move>,
}

/// A commit that changed a folder.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The full id.
    pub commit: String,
    /// The committer's time: stated, not proved.
    pub time: Timestamp,
    /// Whether it belongs to the main line.
    pub on_line: bool,
    /// The folders of this commit: the path from the top (empty for the top itself), and which content.
    pub folders: Arc<Vec<(String, usize)>>,
}

/// The content of one folder, as far as metadata and keys go.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Which name, and what lies under it.
    pub files: Vec<(usize, Held)>,
}

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A file with this content.
    Blob(usize),
    /// No file; the text says what.
    Odd(&'static str),
}

/// A reference that was made to point somewhere else than forward.
#[derive(Clone, Debug)]
pub struct Move {
    /// The reference. Foreign text.
    pub reference: String,
    /// The full id of the commit it pointed to.
    pub from: String,
    /// The full id of the commit it pointed to afterwards.
    pub to: String,
    /// When, as the log of the reference has it.
    pub time: Timestamp,
    /// What the log says. Foreign text.
    pub said: String,
}

impl Past {
    /// The files of a folder in order of names.
    pub(super) fn files(&self, folder: usize) -> impl Iterator<Item = (&str, Held)> {
        let files = self.folders.get(folder).map(|folder| folder.files.as_slice()).unwrap_or_default();
        files.iter().filter_map(|(name, held)| Some((self.names.get(*name)?.as_str(), *held)))
    }

    /// A content.
    pub(super) fn bytes(&self, blob: usize) -> &[u8] {
        self.blobs.get(blob).map(Vec::as_slice).unwrap_or_default()
    }

    /// The file digest of a content.
    pub(super) fn digest(&self, blob: usize) -> Digest {
        Digest::of(self.bytes(blob))
    }
}
