//! What commits changed of metadata and keys, tree against tree.
//!
//! Rules:
//! 1. Trees with the same id are not entered: what did not change costs nothing, however large it is.
//! 2. Only folders that hold TUF metadata, certificates or public keys are kept, wherever they lie. The roots of a
//!    `root_history/` beside metadata belong to that metadata. Every other file is looked at once, whether it is a root under
//!    a name that does not say so: only then it is kept.
//! 3. An object's header is looked at before the object is loaded. Trees and contents have limits of their own, and all that
//!    is looked at together; what goes beyond ends in a refusal. Only a file that is larger than any metadata or key is
//!    told as that, since it may be anything. What git itself needs to unpack a delta is not bounded.
//! 4. Nothing is expected of the order in a tree, and two entries of one name are both told.
//! 5. Links are not followed and submodules not entered; what a link holds is a file like others to rule 2.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use git2::{ObjectType, Odb};
use trustroot_core::git::{Item, Kept, Listing, Named, ObjectId, Pairs, alike};
use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{Change, Held, Holder, Stray, is_a_root};

use super::oid;
use super::read::Reading;
use crate::seams::LedgerError;

/// The most bytes of a tree: some 250,000 entries.
pub(super) const MAX_TREE: usize = 8 << 20;
/// The most bytes of a certificate or public key.
const MAX_KEY: usize = 64 << 10;
/// The most bytes of a file of metadata.
const MAX_METADATA: usize = 64 << 20;
/// What a file beyond that is.
const TOO_LARGE: &str = "a file of more than 64 MiB";
/// The most bytes of a file in which a root is looked for under another name; clients take none that is larger.
const MAX_HIDDEN: usize = 1 << 20;
/// The most bytes of all such files together.
const MAX_SOUGHT: u64 = 8 << 30;
/// The most bytes of all different contents together.
const MAX_CONTENTS: usize = 512 << 20;
/// The most entries of trees that are looked at, each time that they are.
const MAX_LOOKED: usize = 500_000_000;
/// The most changes of all commits together.
const MAX_CHANGES: usize = 5_000_000;
/// The most folders with metadata or keys, in all commits together.
const MAX_FOLDERS: usize = 100_000;
/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 64;
/// The longest path, in bytes.
const MAX_PATH: usize = 4096;
/// How many entries of trees are kept at hand for the next comparison.
const KEPT: usize = 500_000;

/// Everything that was found so far, each folder, name and content once.
pub(super) struct Scan<'a> {
    reading: &'a Reading,
    odb: &'a Odb<'a>,
    listings: HashMap<ObjectId, Rc<Listing>>,
    kept: usize,
    /// By tree: whether anything in it or below is of interest.
    holds: HashMap<ObjectId, bool>,
    folders: Numbered,
    names: Numbered,
    blobs: Vec<Vec<u8>>,
    contents: HashMap<ObjectId, usize>,
    /// By file: whether it is a root.
    roots: HashMap<ObjectId, bool>,
    /// Roots under other names that were told.
    told: HashSet<ObjectId>,
    hidden: Vec<Hidden>,
    unread: usize,
    looked: usize,
    changes: usize,
    bytes: usize,
    sought: u64,
}

/// A root under a name that does not say so.
pub(super) struct Hidden {
    /// The path from the top of the tree.
    pub(super) path: String,
    /// The content, by number.
    pub(super) blob: usize,
}

/// Texts, each with a number.
#[derive(Default)]
struct Numbered {
    all: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Numbered {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

impl<'a> Scan<'a> {
    pub(super) fn new(reading: &'a Reading, odb: &'a Odb<'a>) -> Self {
        Self {
            reading,
            odb,
            listings: HashMap::new(),
            kept: 0,
            holds: HashMap::new(),
            folders: Numbered::default(),
            names: Numbered::default(),
            blobs: Vec::new(),
            contents: HashMap::new(),
            roots: HashMap::new(),
            told: HashSet::new(),
            hidden: Vec::new(),
            unread: 0,
            looked: 0,
            changes: 0,
            bytes: 0,
            sought: 0,
        }
    }

    /// The folders, names and contents, by number.
    pub(super) fn done(self) -> (Vec<String>, Vec<String>, Vec<Vec<u8>>) {
        (self.folders.all, self.names.all, self.blobs)
    }

    /// What the tree `new` holds otherwise than `old`, and the roots in it that no tree before it held, under names that do not
    /// say so.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Damaged`] if objects are missing.
    pub(super) fn changes(
        &mut self,
        old: Option<ObjectId>,
        new: ObjectId,
    ) -> Result<(Vec<Change>, Vec<Hidden>), LedgerError> {
        let mut changes = Vec::new();
        self.compare(old, Some(new), "", 0, &mut changes)?;
        self.changes += changes.len();
        if self.changes > MAX_CHANGES {
            return Err(LedgerError::Limit(format!("more than {MAX_CHANGES} changes of metadata and keys")));
        }
        Ok((changes, std::mem::take(&mut self.hidden)))
    }

    /// The roots in a tree or a file that a reference of this name leads to, and no commit: each with its path as git shows it.
    ///
    /// # Errors
    /// As [`Self::changes`].
    pub(super) fn strays(&mut self, name: &str, id: ObjectId, kind: ObjectType) -> Result<Vec<Stray>, LedgerError> {
        let stray = |holder, path, blob| Stray { holder, id: id.to_string(), time: Timestamp::EPOCH, path, blob };
        if kind != ObjectType::Tree {
            let is = self.is_root(id)?;
            let blob = if is { Some(self.content(name.as_bytes(), id, MAX_HIDDEN)?) } else { None };
            return Ok(blob.map(|blob| stray(Holder::File, name.to_owned(), blob)).into_iter().collect());
        }
        let (changes, mut hidden) = self.changes(None, id)?;
        hidden.extend(self.roots(&changes));
        Ok(hidden
            .into_iter()
            .map(|Hidden { path, blob }| stray(Holder::Tree, format!("{name}:{path}"), blob))
            .collect())
    }

    /// The roots among what changed.
    pub(super) fn roots(&self, changes: &[Change]) -> Vec<Hidden> {
        let root = |change: &Change| {
            let Some(Held::Blob(blob)) = change.held else { return None };
            let is = self.blobs.get(blob).is_some_and(|bytes| is_a_root(bytes));
            is.then(|| Hidden { path: joined(&self.folders.all[change.folder], &self.names.all[change.name]), blob })
        };
        changes.iter().filter_map(root).collect()
    }

    /// How many files were too large to look for a root in them, or too many.
    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    fn compare(
        &mut self,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        path: &str,
        depth: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), LedgerError> {
        // Of what was there it is known already.
        let held = old.is_some_and(|old| self.holds.get(&old) != Some(&false));
        if old == new || !held && !self.holds(new, depth)? {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(LedgerError::Limit(format!("folders more than {MAX_DEPTH} deep")));
        }
        if path.len() > MAX_PATH {
            return Err(LedgerError::Limit(format!("a path of more than {MAX_PATH} bytes")));
        }
        let old = self.listing(old, None)?;
        let new = self.listing(new, Some(&old))?;
        self.files((&old, &new), Kept::Here, path, changes)?;
        if old.history() != new.history() {
            let old = self.listing(old.history(), None)?;
            let new = self.listing(new.history(), Some(&old))?;
            self.files((&old, &new), Kept::History, path, changes)?;
            self.folders((&old, &new), &joined(path, "root_history"), depth + 1, changes)?;
        }
        self.folders((&old, &new), path, depth, changes)
    }

    /// What the folders in one folder hold otherwise.
    fn folders(
        &mut self,
        (old, new): (&Listing, &Listing),
        path: &str,
        depth: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), LedgerError> {
        let (was, is) = (old.history(), new.history());
        for (name, before, after) in Pairs::of_folders((old, new), was != is) {
            if alike(before, after) && was == is {
                continue;
            }
            let below = joined(path, &String::from_utf8_lossy(name));
            match (old.apart(before, was).as_slice(), new.apart(after, is).as_slice()) {
                ([old], [new]) => self.compare(Some(*old), Some(*new), &below, depth + 1, changes)?,
                (old, new) if old == new => {}
                // Where a tree has two folders of one name, all of it goes, and all of it comes.
                (old, new) => {
                    for old in old {
                        self.compare(Some(*old), None, &below, depth + 1, changes)?;
                    }
                    for new in new {
                        self.compare(None, Some(*new), &below, depth + 1, changes)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a tree holds metadata, keys or a root under another name, at any depth. Asked once of each, however many paths
    /// lead to it.
    fn holds(&mut self, id: Option<ObjectId>, depth: usize) -> Result<bool, LedgerError> {
        let Some(id) = id else { return Ok(false) };
        if let Some(known) = self.holds.get(&id) {
            return Ok(*known);
        }
        if depth > MAX_DEPTH {
            return Err(LedgerError::Limit(format!("folders more than {MAX_DEPTH} deep")));
        }
        let listing = self.listing(Some(id), None)?;
        let mut holds = listing.is_of_metadata() || listing.files().iter().any(|item| item.named == Named::Key);
        // Where it holds something else, each file is asked when the folder is compared.
        for item in listing.files().iter().filter(|item| item.may_hide()) {
            holds = holds || self.is_root(item.id)?;
        }
        for folder in listing.folders() {
            // All are asked, so that what is missing is missed.
            holds |= self.holds(Some(folder.id), depth + 1)?;
        }
        self.holds.insert(id, holds);
        Ok(holds)
    }

    /// What one folder holds otherwise of files.
    fn files(
        &mut self,
        (old, new): (&Listing, &Listing),
        kept: Kept,
        path: &str,
        changes: &mut Vec<Change>,
    ) -> Result<(), LedgerError> {
        let prefix = if kept == Kept::History { "root_history/" } else { "" };
        let turned = kept == Kept::Here && old.is_of_metadata() != new.is_of_metadata();
        for (name, before, after) in Pairs::of_files((old, new), turned) {
            let same = alike(before, after);
            let keeps = |listing: &Listing, items: &[Item]| items.iter().any(|item| listing.keeps(item, kept));
            // Where the first metadata comes or the last goes, what lies beside it comes or goes with it.
            let (was, is) = (keeps(old, before), keeps(new, after));
            if same && was == is {
                continue;
            }
            if was || is {
                let folder = self.folders.number(path);
                if folder >= MAX_FOLDERS {
                    return Err(LedgerError::Limit(format!("more than {MAX_FOLDERS} folders with metadata or keys")));
                }
                let number = self.names.number(&format!("{prefix}{}", String::from_utf8_lossy(name)));
                let mut held = Vec::new();
                for item in after.iter().filter(|_| is) {
                    held.extend(self.held(name, item)?);
                }
                // What went, or what is larger than any key, is not there; of several of one name the last counts.
                let all = held.iter().map(|held| Some(*held));
                let went = held.is_empty().then_some(None);
                changes.extend(all.chain(went).map(|held| Change { folder, name: number, held }));
            }
            for item in after.iter().filter(|item| !same && item.may_hide()) {
                if self.is_root(item.id)? && self.told.insert(item.id) {
                    let path = joined(path, &format!("{prefix}{}", String::from_utf8_lossy(name)));
                    let blob = self.content(name, item.id, MAX_HIDDEN)?;
                    self.hidden.push(Hidden { path, blob });
                }
            }
        }
        Ok(())
    }

    /// Whether a file is a root, whatever it is called. Asked once of each.
    fn is_root(&mut self, id: ObjectId) -> Result<bool, LedgerError> {
        if let Some(known) = self.roots.get(&id) {
            return Ok(*known);
        }
        let is = match self.contents.get(&id).and_then(|known| self.blobs.get(*known)) {
            Some(bytes) => is_a_root(bytes),
            None => match self.reading.size(self.odb, oid(id), ObjectType::Blob)? {
                size if size > MAX_HIDDEN || self.sought + size as u64 > MAX_SOUGHT => {
                    self.unread += 1;
                    false
                }
                size => {
                    self.sought += size as u64;
                    is_a_root(&self.reading.object(self.odb, oid(id), ObjectType::Blob, MAX_HIDDEN)?)
                }
            },
        };
        self.roots.insert(id, is);
        Ok(is)
    }

    /// A tree. `like` is one that it may resemble.
    fn listing(&mut self, id: Option<ObjectId>, like: Option<&Listing>) -> Result<Rc<Listing>, LedgerError> {
        let Some(id) = id else { return Ok(Rc::default()) };
        let listing = match self.listings.get(&id) {
            Some(known) => Rc::clone(known),
            None => {
                let raw = self.reading.object(self.odb, oid(id), ObjectType::Tree, MAX_TREE)?;
                let read = Listing::parse(raw, like.unwrap_or(&Listing::default()))
                    .ok_or_else(|| self.reading.damaged(format!("the object {id} is no tree")))?;
                let read = Rc::new(read);
                if self.kept + read.entries() > KEPT {
                    self.listings.clear();
                    self.kept = 0;
                }
                self.kept += read.entries();
                self.listings.insert(id, Rc::clone(&read));
                read
            }
        };
        self.looked += listing.entries();
        if self.looked > MAX_LOOKED {
            return Err(LedgerError::Limit(format!("more than {MAX_LOOKED} entries of folders to look at")));
        }
        Ok(listing)
    }

    /// What lies under a name; nothing for what is too large to be a key.
    fn held(&mut self, name: &[u8], item: &Item) -> Result<Option<Held>, LedgerError> {
        if let Some(odd) = item.mode.odd() {
            return Ok(Some(Held::Odd(odd)));
        }
        let key = item.named == Named::Key;
        let most = if key { MAX_KEY } else { MAX_METADATA };
        if !self.contents.contains_key(&item.id) && self.reading.size(self.odb, oid(item.id), ObjectType::Blob)? > most
        {
            return Ok((!key).then_some(Held::Odd(TOO_LARGE)));
        }
        self.content(name, item.id, most).map(|number| Some(Held::Blob(number)))
    }

    /// The number of a content.
    fn content(&mut self, name: &[u8], id: ObjectId, most: usize) -> Result<usize, LedgerError> {
        if let Some(known) = self.contents.get(&id) {
            return Ok(*known);
        }
        let bytes = self.reading.object(self.odb, oid(id), ObjectType::Blob, most)?;
        self.bytes += bytes.len();
        if self.bytes > MAX_CONTENTS {
            let name = escape(&String::from_utf8_lossy(name));
            let what = format!("different files of more than 512 MiB together, up to {name}");
            return Err(LedgerError::Limit(what));
        }
        self.blobs.push(bytes);
        self.contents.insert(id, self.blobs.len() - 1);
        Ok(self.blobs.len() - 1)
    }
}
