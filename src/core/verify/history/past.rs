//! What git remembers of a repository that others made, as plain data: which files of metadata and keys lay where, and how
//! that changed from commit to commit.
//!
//! Rules:
//! 1. A content is here once, however many commits hold it: changes point to folders, names and contents by number.
//! 2. A commit is a moment only if it changed such a file against the nearest moment that its first parents lead to. What it
//!    did not change is not repeated: [`walk`](Past::walk) and [`line`](Past::line) carry it along.
//! 3. Everything here is foreign: names of files, of references, times. Commit ids and contents were computed by git.

use super::files::{is_named_like_a_key, is_named_like_a_root, named_role};
use crate::digest::Digest;
use crate::metadata::Role;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
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
    /// Whether there are replacements of objects (`refs/replace`), which were not heeded.
    pub replaced: bool,
    /// The moments, parents before children.
    pub moments: Vec<Moment>,
    /// The different folders, from the top of the repository; empty for the top itself.
    pub folders: Vec<String>,
    /// The different names of files, from their folder.
    pub names: Vec<String>,
    /// The different contents of files.
    pub blobs: Vec<Vec<u8>>,
    /// Where a reference left a line of commits behind.
    pub moves: Vec<Move>,
    /// Where times go back along the main line by more than clocks differ.
    pub back: Option<Back>,
    /// Roots where nobody looks for them.
    pub strays: Vec<Stray>,
    /// How many files were too large, or too many, to look for a root in them.
    pub unread: usize,
}

/// Commits that state an earlier time than their parents.
#[derive(Clone, Debug)]
pub struct Back {
    /// How many.
    pub count: usize,
    /// The full id of the one that goes back the farthest.
    pub commit: String,
    /// The times of its parent and its own.
    pub farthest: (Timestamp, Timestamp),
}

/// A root under a name that does not say so, or in no commit: where it lay first.
#[derive(Clone, Debug)]
pub struct Stray {
    /// What holds it.
    pub holder: Holder,
    /// The full id of that.
    pub id: String,
    /// The committer's time: stated, not proved.
    pub time: Timestamp,
    /// The path from the top. Where no commit holds it, as git shows it: the reference, and the path after a colon. Foreign
    /// text.
    pub path: String,
    /// The content.
    pub blob: usize,
}

/// What holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A commit.
    Commit,
    /// A tree that a reference names by itself.
    Tree,
    /// Nothing: a reference names the file by itself.
    File,
}

impl Holder {
    /// Git's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::File => "blob",
        }
    }
}

/// A commit that changed metadata or keys.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The full id.
    pub commit: String,
    /// The committer's time: stated, not proved.
    pub time: Timestamp,
    /// Whether it belongs to the main line.
    pub on_line: bool,
    /// The moment, before this one in the list, that the changes are against; nothing if everything is new.
    pub before: Option<usize>,
    /// What changed. Where a tree has two files of one name, both are here, and the last counts.
    pub changes: Vec<Change>,
}

/// A file that came, changed or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which folder.
    pub folder: usize,
    /// Which name.
    pub name: usize,
    /// What lies there now; nothing if it went.
    pub held: Option<Held>,
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

/// What lies in one folder at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder<'a> {
    files: BTreeMap<&'a str, Held>,
    /// Those of them that are named like roots, top-level targets, certificates or public keys.
    roots: BTreeMap<&'a str, usize>,
    targets: BTreeMap<&'a str, usize>,
    keys: BTreeMap<&'a str, usize>,
    /// By which moment `roots` came to be as they are, counted from 1.
    roots_since: usize,
}

impl<'a> Folder<'a> {
    /// The files, in order of names.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'a str, Held)> + '_ {
        self.files.iter().map(|(name, held)| (*name, *held))
    }

    /// What lies under a name.
    pub(super) fn get(&self, name: &str) -> Option<Held> {
        self.files.get(name).copied()
    }

    /// The files that are named like roots, in order of names.
    pub(super) fn roots(&self) -> impl Iterator<Item = (&'a str, usize)> + '_ {
        self.roots.iter().map(|(name, blob)| (*name, *blob))
    }

    /// The files that are named like top-level targets, in order of names.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&'a str, usize)> + '_ {
        self.targets.iter().map(|(name, blob)| (*name, *blob))
    }

    /// The same number as long as the roots of this folder are the same.
    pub(super) fn roots_since(&self) -> usize {
        self.roots_since
    }

    /// The files that are named like certificates and public keys, in order of names.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'a str, usize)> + '_ {
        self.keys.iter().map(|(name, blob)| (*name, *blob))
    }

    /// Whether clients can be served from here.
    pub(super) fn is_served(&self) -> bool {
        self.files.contains_key("timestamp.json")
    }

    /// Whether earlier roots lie beside the newest, as they do in sources.
    pub(super) fn is_source(&self) -> bool {
        let prefix = super::files::ROOT_HISTORY;
        self.files.range(prefix..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }
}

/// Everything that lies there at one moment, and which folders that moment changed.
#[derive(Clone, Debug, Default)]
pub(super) struct State<'a> {
    folders: BTreeMap<&'a str, Folder<'a>>,
    touched: BTreeSet<&'a str>,
}

/// What makes a change undone: the folder, the name, what lay there, and since when its roots were as they were.
type Undo<'a> = (&'a str, &'a str, Option<Held>, usize);

impl<'a> State<'a> {
    /// The folders that hold metadata or keys, in order of paths.
    pub(super) fn folders(&self) -> impl Iterator<Item = (&'a str, &Folder<'a>)> {
        self.folders.iter().map(|(path, folder)| (*path, folder))
    }

    /// A folder, if it holds metadata or keys.
    pub(super) fn folder(&self, path: &str) -> Option<&Folder<'a>> {
        self.folders.get(path)
    }

    /// The folders that the last moment changed, in order of paths; they need not be there any more.
    pub(super) fn touched(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.touched.iter().copied()
    }

    /// Goes on by the changes of a moment; what to do to go back.
    fn apply(&mut self, past: &'a Past, number: usize, moment: &Moment) -> Vec<Undo<'a>> {
        self.touched.clear();
        let mut undo = Vec::with_capacity(moment.changes.len());
        for change in &moment.changes {
            let (Some(path), Some(name)) = (past.folders.get(change.folder), past.names.get(change.name)) else {
                continue;
            };
            self.touched.insert(path);
            undo.push(self.put(path, name, change.held, number.saturating_add(1)));
        }
        undo
    }

    /// Goes back.
    fn revert(&mut self, undo: Vec<Undo<'a>>) {
        for (path, name, held, since) in undo.into_iter().rev() {
            self.put(path, name, held, since);
        }
    }

    fn put(&mut self, path: &'a str, name: &'a str, held: Option<Held>, since: usize) -> Undo<'a> {
        let folder = self.folders.entry(path).or_default();
        let before = match held {
            Some(held) => folder.files.insert(name, held),
            None => folder.files.remove(name),
        };
        let undo = (path, name, before, folder.roots_since);
        let blob = match held {
            Some(Held::Blob(blob)) => Some(blob),
            _ => None,
        };
        let note = |of: &mut BTreeMap<&'a str, usize>| match blob {
            Some(blob) => drop(of.insert(name, blob)),
            None => drop(of.remove(name)),
        };
        match named_role(name) {
            Some((Role::Root, _)) => {
                note(&mut folder.roots);
                folder.roots_since = since;
            }
            Some((Role::Targets, _)) => note(&mut folder.targets),
            _ => {}
        }
        if is_named_like_a_key(name) {
            note(&mut folder.keys);
        }
        if folder.files.is_empty() {
            self.folders.remove(path);
        }
        undo
    }
}

impl Past {
    /// Whether any commit holds a root, so that there is something to verify.
    pub fn holds_roots(&self) -> bool {
        self.names.iter().any(|name| is_named_like_a_root(name))
    }

    /// Visits the moments of the main line in order, each with what lies there.
    pub(super) fn line<'a>(&'a self, mut each: impl FnMut(usize, &'a Moment, &State<'a>)) {
        let mut state = State::default();
        for (number, moment) in self.moments.iter().enumerate().filter(|(_, moment)| moment.on_line) {
            state.apply(self, number, moment);
            each(number, moment, &state);
        }
    }

    /// Visits every moment once, each with what lies there: after the one that it changes, and otherwise in no order.
    pub(super) fn walk<'a>(&'a self, mut each: impl FnMut(usize, &'a Moment, &State<'a>)) {
        let mut after: Vec<Vec<usize>> = Vec::new();
        after.resize_with(self.moments.len(), Vec::new);
        let mut open: Vec<Step<'a>> = Vec::new();
        for (number, moment) in self.moments.iter().enumerate() {
            // What names itself or a later one would go round in a circle.
            match moment.before.filter(|before| *before < number).and_then(|before| after.get_mut(before)) {
                Some(after) => after.push(number),
                None => open.push(Step::To(number)),
            }
        }
        open.reverse();
        let mut state = State::default();
        while let Some(step) = open.pop() {
            match step {
                Step::Back(undo) => state.revert(undo),
                Step::To(number) => {
                    let Some(moment) = self.moments.get(number) else { continue };
                    open.push(Step::Back(state.apply(self, number, moment)));
                    each(number, moment, &state);
                    open.extend(after.get(number).into_iter().flatten().rev().map(|next| Step::To(*next)));
                }
            }
        }
    }

    /// The files that a moment brought or changed in the folder at this path.
    pub(super) fn changed(&self, moment: usize, path: &str) -> impl Iterator<Item = (&str, usize)> {
        let changes = self.moments.get(moment).map(|moment| moment.changes.as_slice()).unwrap_or_default();
        changes.iter().filter_map(move |change| match change.held {
            Some(Held::Blob(blob)) if self.folders.get(change.folder).is_some_and(|folder| folder == path) => {
                Some((self.names.get(change.name)?.as_str(), blob))
            }
            _ => None,
        })
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

/// What comes next on the way through all moments.
enum Step<'a> {
    To(usize),
    Back(Vec<Undo<'a>>),
}
