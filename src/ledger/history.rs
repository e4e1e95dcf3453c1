//! Reading the whole history of a repository that others made.
//!
//! Rules:
//! 1. Every commit that a reference, the log of a reference or a detached `HEAD` reaches is walked. Trees and contents are
//!    read once, however many commits hold them.
//! 2. Only folders that hold TUF metadata or certificates are kept, wherever they lie; nothing else is loaded.
//! 3. An object's header is looked at before the object is loaded. Commits, trees and contents have limits of their own,
//!    and all of them together; what goes beyond ends in a refusal. What git itself needs to unpack a delta is not bounded.
//! 4. Links are not followed and submodules not entered. Objects that replace others (`refs/replace`) are not heeded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use git2::{ObjectType, Odb, Oid, ReferenceType};
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{Folder, Held, Moment, Move, Past, is_named_like_a_key, is_named_like_metadata};

use super::read::{MAX_COMMITS, Reading};
use super::{FETCHED, MAX_FILE};
use crate::seams::LedgerError;

/// The most bytes of a commit, message included.
const MAX_COMMIT: usize = 1 << 20;
/// The most bytes of a tree: some 250,000 entries.
pub(super) const MAX_TREE: usize = 8 << 20;
/// The most bytes of a certificate or public key.
const MAX_KEY: usize = 64 << 10;
/// The most bytes of all different contents together.
const MAX_CONTENTS: usize = 1 << 30;
/// The most entries of all different trees together, and of what is kept of them.
const MAX_ENTRIES: usize = 20_000_000;
/// The most folders with metadata or keys in one commit.
const MAX_FOLDERS: usize = 4096;
/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 64;
/// The longest path, in bytes.
const MAX_PATH: usize = 4096;
/// The most entries of the log of one reference that are looked at, the newest first.
const MAX_LOG: usize = 2000;

impl Reading {
    /// What git remembers, up to `until` where a time is given: later commits are left out.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Io`] if objects are missing.
    pub fn whole_history(&self, until: Option<Timestamp>) -> Result<Past, LedgerError> {
        let odb = self.repo.odb().map_err(|error| self.git(&error))?;
        let mut walk = Walk { reading: self, odb: &odb, commits: Vec::new(), places: HashMap::new() };
        let (tips, moves) = self.tips_and_moves()?;
        let references = tips.len();
        for tip in tips.values().chain(moves.iter().map(|(_, from, _)| from)) {
            walk.from(*tip)?;
        }
        let head = self.head_commit()?.map(|head| head.id());
        if let Some(head) = head {
            walk.from(head)?;
        }
        let line = walk.line(head, until);
        let order = walk.order()?;

        let mut scan = Scan::new(self, &odb);
        let mut past = Past {
            head: line.first().map(|newest| walk.commits[*newest].id.to_string()).unwrap_or_default(),
            references,
            cut: self.is_shallow(),
            ..Past::default()
        };
        let on_line: HashSet<usize> = line.iter().copied().collect();
        past.line = line.len();
        let mut seen: HashMap<usize, Arc<Vec<(String, usize)>>> = HashMap::new();
        for number in order {
            let commit = &walk.commits[number];
            let folders = scan.tree(commit.tree, 0)?;
            let before = commit.parents.first().and_then(|parent| seen.get(parent));
            let changed = before.map_or(!folders.is_empty(), |before| **before != *folders);
            seen.insert(number, Arc::clone(&folders));
            if until.is_some_and(|until| commit.time > until) {
                past.later += 1;
                continue;
            }
            past.commits += 1;
            if changed {
                past.moments.push(Moment {
                    commit: commit.id.to_string(),
                    time: commit.time,
                    on_line: on_line.contains(&number),
                    folders,
                });
            }
        }
        (past.folders, past.names) = (scan.folders, scan.names);
        past.blobs = scan.blobs;
        for (told, from, to) in moves {
            let to_contains = walk.reaches(to, from);
            if !to_contains && until.is_none_or(|until| told.time <= until) {
                past.moves.push(told);
            }
        }
        Ok(past)
    }

    /// The paths of the newest commit that a trust root of ours has.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Io`] if objects are missing.
    pub fn top_paths(&self) -> Result<Vec<String>, LedgerError> {
        match self.head_commit()? {
            Some(commit) => Ok(self.names(&commit)?.into_keys().collect()),
            None => Ok(Vec::new()),
        }
    }

    /// The commits that references point to, by name; and every step of their logs, each with where from and where to.
    #[allow(clippy::type_complexity)]
    fn tips_and_moves(&self) -> Result<(BTreeMap<String, Oid>, Vec<(Move, Oid, Oid)>), LedgerError> {
        let git = |error: git2::Error| self.git(&error);
        let mut tips = BTreeMap::new();
        let mut moves = Vec::new();
        for reference in self.repo.references().map_err(git)? {
            let reference = reference.map_err(git)?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if name.starts_with(FETCHED) {
                continue;
            }
            // Tags may point to anything.
            let Ok(commit) = reference.peel(ObjectType::Commit) else { continue };
            tips.insert(name.clone(), commit.id());
            // What a person did to branches of their own clone rewrites nobody's main line.
            let of_others = name.starts_with("refs/remotes/") || self.is_bare();
            if reference.kind() != Some(ReferenceType::Direct) || !of_others {
                continue;
            }
            let Ok(log) = self.repo.reflog(&name) else { continue };
            for entry in log.iter().take(MAX_LOG) {
                let (from, to) = (entry.id_old(), entry.id_new());
                if from.is_zero() || to.is_zero() || from == to {
                    continue;
                }
                // A log may name what was cleared away since; then nothing more can be said.
                if !self.has(from) || !self.has(to) {
                    continue;
                }
                moves.push((
                    Move {
                        reference: name.clone(),
                        from: from.to_string(),
                        to: to.to_string(),
                        time: time(entry.committer().when().seconds()),
                        said: String::from_utf8_lossy(entry.message_bytes().unwrap_or_default()).into_owned(),
                    },
                    from,
                    to,
                ));
            }
        }
        moves.sort_by(|(a, ..), (b, ..)| (a.time, &a.reference, &a.from).cmp(&(b.time, &b.reference, &b.from)));
        Ok((tips, moves))
    }

    fn has(&self, commit: Oid) -> bool {
        self.repo.odb().is_ok_and(|odb| odb.read_header(commit).is_ok_and(|(_, kind)| kind == ObjectType::Commit))
    }

    /// That an object is of a kind, and not too large to load.
    pub(super) fn measure(&self, odb: &Odb<'_>, id: Oid, kind: ObjectType, most: usize) -> Result<(), LedgerError> {
        let (size, found) = odb.read_header(id).map_err(|error| self.missing(id, &error))?;
        if found != kind {
            return Err(self.io(format!("the object {id} is a {found}, where a {kind} is expected")));
        }
        if size > most {
            return Err(LedgerError::Limit(format!("the {kind} {id} has {size} bytes, more than {most}")));
        }
        Ok(())
    }

    fn missing(&self, id: Oid, error: &git2::Error) -> LedgerError {
        self.io(format!("the object {id} cannot be read: {}", error.message()))
    }
}

/// The time `seconds` after 1970, or the nearest that can be written.
fn time(seconds: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(seconds)
}

/// A commit, without its message.
struct Commit {
    id: Oid,
    tree: Oid,
    parents: Vec<usize>,
    time: Timestamp,
}

/// All commits, each once.
struct Walk<'a> {
    reading: &'a Reading,
    odb: &'a Odb<'a>,
    commits: Vec<Commit>,
    places: HashMap<Oid, usize>,
}

impl Walk<'_> {
    /// Takes `tip` and everything before it.
    fn from(&mut self, tip: Oid) -> Result<(), LedgerError> {
        let mut open = vec![tip];
        // The parents of a commit are numbered once all of them are known.
        let mut parents: Vec<(usize, Vec<Oid>)> = Vec::new();
        while let Some(id) = open.pop() {
            if self.places.contains_key(&id) {
                continue;
            }
            if self.commits.len() >= MAX_COMMITS {
                return Err(LedgerError::Limit(format!("more than {MAX_COMMITS} commits")));
            }
            self.reading.measure(self.odb, id, ObjectType::Commit, MAX_COMMIT)?;
            let commit = self.reading.repo.find_commit(id).map_err(|error| self.reading.missing(id, &error))?;
            let number = self.commits.len();
            self.places.insert(id, number);
            let mut known = Vec::new();
            for parent in commit.parent_ids() {
                // Where a clone was cut, parents are named and not there.
                if self.reading.is_shallow() && self.odb.read_header(parent).is_err() {
                    continue;
                }
                known.push(parent);
                open.push(parent);
            }
            parents.push((number, known));
            let time = time(commit.committer().when().seconds());
            self.commits.push(Commit { id, tree: commit.tree_id(), parents: Vec::new(), time });
        }
        for (number, known) in parents {
            self.commits[number].parents = known.iter().filter_map(|id| self.places.get(id).copied()).collect();
        }
        Ok(())
    }

    /// The main line: from the head, or the newest commit before `until`, along first parents.
    fn line(&self, head: Option<Oid>, until: Option<Timestamp>) -> Vec<usize> {
        let mut line = Vec::new();
        let mut next = head.and_then(|head| self.places.get(&head).copied());
        while let Some(number) = next {
            let commit = &self.commits[number];
            if until.is_none_or(|until| commit.time <= until) {
                line.push(number);
            }
            next = commit.parents.first().copied();
        }
        line
    }

    /// Parents before children; otherwise by time, then by id.
    fn order(&self) -> Result<Vec<usize>, LedgerError> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.commits.len()];
        let mut waits: Vec<usize> = Vec::with_capacity(self.commits.len());
        let mut ready = BinaryHeap::new();
        let key = |number: usize| Reverse((self.commits[number].time, self.commits[number].id, number));
        for (number, commit) in self.commits.iter().enumerate() {
            waits.push(commit.parents.len());
            commit.parents.iter().for_each(|parent| children[*parent].push(number));
            if commit.parents.is_empty() {
                ready.push(key(number));
            }
        }
        let mut order = Vec::with_capacity(self.commits.len());
        while let Some(Reverse((_, _, number))) = ready.pop() {
            order.push(number);
            for child in &children[number] {
                waits[*child] -= 1;
                if waits[*child] == 0 {
                    ready.push(key(*child));
                }
            }
        }
        if order.len() != self.commits.len() {
            return Err(self.reading.io("the commits go round in a circle"));
        }
        Ok(order)
    }

    /// Whether `to` is or follows `from`.
    fn reaches(&self, to: Oid, from: Oid) -> bool {
        let (Some(to), Some(from)) = (self.places.get(&to), self.places.get(&from)) else { return false };
        // Nearest first: a log mostly goes a few commits forward.
        let (mut open, mut seen) = (VecDeque::from([*to]), HashSet::new());
        while let Some(number) = open.pop_front() {
            if number == *from {
                return true;
            }
            if seen.insert(number) {
                open.extend(&self.commits[number].parents);
            }
        }
        false
    }
}

/// Folders and contents, each once.
struct Scan<'a> {
    reading: &'a Reading,
    odb: &'a Odb<'a>,
    trees: HashMap<Oid, Arc<Vec<(String, usize)>>>,
    folders: Vec<Folder>,
    /// By the tree, and the tree of the roots that lie in a folder of their own.
    known: HashMap<(Oid, Option<Oid>), usize>,
    names: Vec<String>,
    numbers: HashMap<String, usize>,
    blobs: Vec<Vec<u8>>,
    contents: HashMap<Oid, usize>,
    entries: usize,
    bytes: usize,
}

/// Where some keep the earlier roots, beside the newest.
const ROOT_HISTORY: &str = "root_history";

impl<'a> Scan<'a> {
    fn new(reading: &'a Reading, odb: &'a Odb<'a>) -> Self {
        Self {
            reading,
            odb,
            trees: HashMap::new(),
            folders: Vec::new(),
            known: HashMap::new(),
            names: Vec::new(),
            numbers: HashMap::new(),
            blobs: Vec::new(),
            contents: HashMap::new(),
            entries: 0,
            bytes: 0,
        }
    }

    /// The folders with metadata or keys in a tree, by their path from it.
    fn tree(&mut self, id: Oid, depth: usize) -> Result<Arc<Vec<(String, usize)>>, LedgerError> {
        if let Some(known) = self.trees.get(&id) {
            return Ok(Arc::clone(known));
        }
        if depth > MAX_DEPTH {
            return Err(LedgerError::Limit(format!("folders more than {MAX_DEPTH} deep")));
        }
        let mut found = Vec::new();
        let mut inner: Vec<(String, Oid)> = Vec::new();
        let mut files: Vec<(String, Entry)> = Vec::new();
        self.entries(id, &mut files, &mut inner)?;
        let metadata = files.iter().any(|(name, _)| is_named_like_metadata(name));
        let history = inner.iter().find(|(name, _)| metadata && name == ROOT_HISTORY).map(|(_, id)| *id);
        if metadata || files.iter().any(|(name, _)| is_named_like_a_key(name)) {
            found.push((String::new(), self.folder(id, history, &files, metadata)?));
        }
        for (name, tree) in inner {
            if Some(tree) == history && name == ROOT_HISTORY {
                continue;
            }
            for (below, folder) in self.tree(tree, depth + 1)?.iter() {
                let path = if below.is_empty() { name.clone() } else { format!("{name}/{below}") };
                if path.len() > MAX_PATH {
                    return Err(LedgerError::Limit(format!("a path of more than {MAX_PATH} bytes")));
                }
                found.push((path, *folder));
            }
            if found.len() > MAX_FOLDERS {
                return Err(LedgerError::Limit(format!("more than {MAX_FOLDERS} folders with metadata in one commit")));
            }
        }
        let found = Arc::new(found);
        self.trees.insert(id, Arc::clone(&found));
        Ok(found)
    }

    /// The entries of a tree: those that are or should be files, and the folders.
    fn entries(
        &mut self,
        id: Oid,
        files: &mut Vec<(String, Entry)>,
        folders: &mut Vec<(String, Oid)>,
    ) -> Result<(), LedgerError> {
        self.reading.measure(self.odb, id, ObjectType::Tree, MAX_TREE)?;
        let tree = self.reading.repo.find_tree(id).map_err(|error| self.reading.missing(id, &error))?;
        self.count(tree.len())?;
        for entry in &tree {
            // A name that is no text names nothing that we look for.
            let Ok(name) = entry.name() else { continue };
            let odd = match entry.filemode_raw() {
                0o040_000 => {
                    folders.push((name.to_owned(), entry.id()));
                    continue;
                }
                0o120_000 => Some("a symbolic link"),
                0o160_000 => Some("a submodule"),
                _ => None,
            };
            if name.ends_with(".json") || is_named_like_a_key(name) {
                files.push((name.to_owned(), odd.map_or(Entry::Blob(entry.id()), Entry::Odd)));
            }
        }
        Ok(())
    }

    fn count(&mut self, entries: usize) -> Result<(), LedgerError> {
        self.entries += entries;
        if self.entries > MAX_ENTRIES {
            return Err(LedgerError::Limit(format!("more than {MAX_ENTRIES} entries of folders")));
        }
        Ok(())
    }

    /// Keeps a folder, with the roots of its history as `root_history/N.root.json`.
    fn folder(
        &mut self,
        id: Oid,
        history: Option<Oid>,
        files: &[(String, Entry)],
        metadata: bool,
    ) -> Result<usize, LedgerError> {
        if let Some(known) = self.known.get(&(id, history)) {
            return Ok(*known);
        }
        let mut folder = Folder::default();
        let mut take = |scan: &mut Self, name: &str, path: String, entry: &Entry| -> Result<(), LedgerError> {
            let key = is_named_like_a_key(name);
            if !key && !metadata {
                return Ok(());
            }
            let held = match entry {
                Entry::Odd(what) => Held::Odd(what),
                Entry::Blob(blob) => match scan.blob(*blob, if key { MAX_KEY } else { MAX_FILE }, key)? {
                    Some(content) => Held::Blob(content),
                    None => return Ok(()),
                },
            };
            let number = scan.name(path);
            folder.files.push((number, held));
            Ok(())
        };
        for (name, entry) in files {
            take(self, name, name.clone(), entry)?;
        }
        if let Some(history) = history {
            let (mut older, mut ignored) = (Vec::new(), Vec::new());
            self.entries(history, &mut older, &mut ignored)?;
            for (name, entry) in &older {
                take(self, name, format!("{ROOT_HISTORY}/{name}"), entry)?;
            }
        }
        self.count(folder.files.len())?;
        self.folders.push(folder);
        self.known.insert((id, history), self.folders.len() - 1);
        Ok(self.folders.len() - 1)
    }

    fn name(&mut self, name: String) -> usize {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        self.names.push(name.clone());
        self.numbers.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    /// The content of a file. Of what may be no key at all, what is too large is passed over.
    fn blob(&mut self, id: Oid, most: usize, or_none: bool) -> Result<Option<usize>, LedgerError> {
        if let Some(known) = self.contents.get(&id) {
            return Ok(Some(*known));
        }
        match self.reading.measure(self.odb, id, ObjectType::Blob, most) {
            Err(LedgerError::Limit(_)) if or_none => return Ok(None),
            other => other?,
        }
        let object = self.odb.read(id).map_err(|error| self.reading.missing(id, &error))?;
        self.bytes += object.len();
        if self.bytes > MAX_CONTENTS {
            return Err(LedgerError::Limit("different files of more than 1 GiB together".to_owned()));
        }
        self.blobs.push(object.data().to_vec());
        self.contents.insert(id, self.blobs.len() - 1);
        Ok(Some(self.blobs.len() - 1))
    }
}

/// An entry of a tree that is no folder.
enum Entry {
    Blob(Oid),
    Odd(&'static str),
}
