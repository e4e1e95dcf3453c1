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
use std::ops::Range;
use std::rc::Rc;

use git2::{ObjectType, Odb, Oid};
use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{
    Change, Held, Holder, Stray, is_a_root, is_named_like_a_key, is_named_like_a_root, is_named_like_metadata,
};

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
const MAX_SOUGHT: usize = 8 << 30;
/// The most bytes of all different contents together.
const MAX_CONTENTS: usize = 512 << 20;
/// The most entries of trees that are looked at, each time that they are.
const MAX_LOOKED: usize = 200_000_000;
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

/// Where some keep the earlier roots, beside the newest.
const ROOT_HISTORY: &[u8] = b"root_history";

/// Everything that was found so far, each folder, name and content once.
pub(super) struct Scan<'a> {
    reading: &'a Reading,
    odb: &'a Odb<'a>,
    listings: HashMap<Oid, Rc<Listing>>,
    kept: usize,
    /// By tree: whether anything in it or below is of interest.
    holds: HashMap<Oid, bool>,
    folders: Numbered,
    names: Numbered,
    blobs: Vec<Vec<u8>>,
    contents: HashMap<Oid, usize>,
    /// By file: whether it is a root.
    roots: HashMap<Oid, bool>,
    /// Roots under other names that were told.
    told: HashSet<Oid>,
    hidden: Vec<Hidden>,
    unread: usize,
    looked: usize,
    changes: usize,
    bytes: usize,
    sought: usize,
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

/// A tree: its files and its folders, each in order of names.
#[derive(Default)]
struct Listing {
    raw: Vec<u8>,
    files: Vec<Item>,
    folders: Vec<Item>,
    /// Whether a file is named like TUF's.
    metadata: bool,
    entries: usize,
}

struct Item {
    name: Range<u32>,
    id: Oid,
    mode: Mode,
    named: Named,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    File,
    Folder,
    Link,
    Submodule,
}

impl Mode {
    /// What it is, if it is no file.
    fn odd(self) -> Option<&'static str> {
        match self {
            Self::Link => Some("a symbolic link"),
            Self::Submodule => Some("a submodule"),
            Self::File | Self::Folder => None,
        }
    }
}

/// What a name promises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Root,
    Metadata,
    Json,
    Key,
    Other,
}

impl Named {
    /// A name that is no text promises nothing.
    fn of(name: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(name) else { return Self::Other };
        match text {
            _ if is_named_like_a_key(text) => Self::Key,
            _ if !text.ends_with(".json") => Self::Other,
            _ if is_named_like_a_root(text) => Self::Root,
            _ if is_named_like_metadata(text) => Self::Metadata,
            _ => Self::Json,
        }
    }
}

impl Item {
    /// Whether somebody could keep a root in it that nobody looks for there.
    fn may_hide(&self) -> bool {
        self.mode == Mode::Link || self.mode == Mode::File && self.named != Named::Root
    }
}

/// Which files of a folder are meant.
#[derive(Clone, Copy)]
enum Kept {
    /// Keys everywhere, other files only beside metadata.
    Here,
    /// As the roots of a `root_history/`: everything that is JSON or a key.
    History,
}

impl Listing {
    /// Reads a tree as git stores it; nothing if it is none.
    fn parse(raw: Vec<u8>) -> Option<Self> {
        let mut listing = Self::default();
        let mut at = 0;
        while at < raw.len() {
            let space = at + raw.get(at..)?.iter().take(8).position(|byte| *byte == b' ')?;
            let mode = u32::from_str_radix(std::str::from_utf8(raw.get(at..space)?).ok()?, 8).ok()?;
            let end = space + 1 + raw.get(space + 1..)?.iter().position(|byte| *byte == 0)?;
            let name = raw.get(space + 1..end)?;
            let id = Oid::from_bytes(raw.get(end + 1..end + 21)?).ok()?;
            at = end + 21;
            listing.entries += 1;
            let mode = match mode {
                0o040_000 => Mode::Folder,
                0o120_000 => Mode::Link,
                0o160_000 => Mode::Submodule,
                _ => Mode::File,
            };
            let named = if mode == Mode::Folder { Named::Other } else { Named::of(name) };
            listing.metadata |= matches!(named, Named::Root | Named::Metadata);
            let item = Item { name: u32::try_from(space + 1).ok()?..u32::try_from(end).ok()?, id, mode, named };
            if mode == Mode::Folder { &mut listing.folders } else { &mut listing.files }.push(item);
        }
        listing.raw = raw;
        let raw = &listing.raw;
        let by_name = |a: &Item, b: &Item| name_in(raw, a).cmp(name_in(raw, b));
        listing.files.sort_by(by_name);
        listing.folders.sort_by(by_name);
        Some(listing)
    }

    fn name(&self, item: &Item) -> &[u8] {
        name_in(&self.raw, item)
    }

    /// Whether a file is kept. Of several of one name all are or none.
    fn keeps(&self, item: &Item, kept: Kept) -> bool {
        match kept {
            _ if item.named == Named::Key => true,
            Kept::Here => self.metadata && item.named != Named::Other,
            Kept::History => item.named != Named::Other,
        }
    }

    /// The tree of the earlier roots that belong to the metadata here.
    fn history(&self) -> Option<Oid> {
        self.folders.iter().find(|item| self.metadata && self.name(item) == ROOT_HISTORY).map(|item| item.id)
    }

    /// Whether a folder has a life of its own.
    fn is_apart(&self, item: &Item) -> bool {
        self.name(item) != ROOT_HISTORY || Some(item.id) != self.history()
    }
}

fn name_in<'r>(raw: &'r [u8], item: &Item) -> &'r [u8] {
    raw.get(item.name.start as usize..item.name.end as usize).unwrap_or_default()
}

/// Entries of one name in two lists in order of names: the name, and those of either.
type Same<'l> = (&'l [u8], &'l [Item], &'l [Item]);

/// Two lists in order of names, side by side.
struct Pairs<'l> {
    old: (&'l Listing, &'l [Item]),
    new: (&'l Listing, &'l [Item]),
}

impl<'l> Iterator for Pairs<'l> {
    type Item = Same<'l>;

    fn next(&mut self) -> Option<Same<'l>> {
        let name = match (self.old.1.first(), self.new.1.first()) {
            (Some(a), Some(b)) => self.old.0.name(a).min(self.new.0.name(b)),
            (Some(a), None) => self.old.0.name(a),
            (None, Some(b)) => self.new.0.name(b),
            (None, None) => return None,
        };
        Some((name, run(&mut self.old, name), run(&mut self.new, name)))
    }
}

/// Whether nothing changed.
fn alike(before: &[Item], after: &[Item]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| (a.id, a.mode) == (b.id, b.mode))
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// Takes the entries of this name from the front.
fn run<'l>(of: &mut (&'l Listing, &'l [Item]), name: &[u8]) -> &'l [Item] {
    let count = of.1.iter().take_while(|item| of.0.name(item) == name).count();
    let (taken, rest) = of.1.split_at(count);
    of.1 = rest;
    taken
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
    pub(super) fn changes(&mut self, old: Option<Oid>, new: Oid) -> Result<(Vec<Change>, Vec<Hidden>), LedgerError> {
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
    pub(super) fn strays(&mut self, name: &str, id: Oid, kind: ObjectType) -> Result<Vec<Stray>, LedgerError> {
        let stray = |holder, path, blob| Stray { holder, id: id.to_string(), time: Timestamp::EPOCH, path, blob };
        if kind != ObjectType::Tree {
            let is = self.is_root(id)?;
            let blob = if is { Some(self.content(name.as_bytes(), id, MAX_HIDDEN)?) } else { None };
            return Ok(blob.map(|blob| stray(Holder::File, name.to_owned(), blob)).into_iter().collect());
        }
        let (changes, hidden) = self.changes(None, id)?;
        let mut found: Vec<(String, usize)> = hidden.into_iter().map(|hidden| (hidden.path, hidden.blob)).collect();
        for change in changes {
            let Some(Held::Blob(blob)) = change.held else { continue };
            if self.blobs.get(blob).is_some_and(|bytes| is_a_root(bytes)) {
                found.push((joined(&self.folders.all[change.folder], &self.names.all[change.name]), blob));
            }
        }
        Ok(found.into_iter().map(|(path, blob)| stray(Holder::Tree, format!("{name}:{path}"), blob)).collect())
    }

    /// How many files were too large to look for a root in them, or too many.
    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    fn compare(
        &mut self,
        old: Option<Oid>,
        new: Option<Oid>,
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
        let (old, new) = (self.listing(old)?, self.listing(new)?);
        self.files((&old, &new), Kept::Here, path, changes)?;
        if old.history() != new.history() {
            let (old, new) = (self.listing(old.history())?, self.listing(new.history())?);
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
        for (name, before, after) in (Pairs { old: (old, &old.folders), new: (new, &new.folders) }) {
            if alike(before, after) && old.history() == new.history() {
                continue;
            }
            let ids = |listing: &Listing, items: &[Item]| -> Vec<Oid> {
                items.iter().filter(|item| listing.is_apart(item)).map(|item| item.id).collect()
            };
            let below = joined(path, &String::from_utf8_lossy(name));
            match (ids(old, before).as_slice(), ids(new, after).as_slice()) {
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
    fn holds(&mut self, id: Option<Oid>, depth: usize) -> Result<bool, LedgerError> {
        let Some(id) = id else { return Ok(false) };
        if let Some(known) = self.holds.get(&id) {
            return Ok(*known);
        }
        if depth > MAX_DEPTH {
            return Err(LedgerError::Limit(format!("folders more than {MAX_DEPTH} deep")));
        }
        let listing = self.listing(Some(id))?;
        let mut holds = listing.metadata || listing.files.iter().any(|item| item.named == Named::Key);
        // Where it holds something else, each file is asked when the folder is compared.
        for item in listing.files.iter().filter(|item| item.may_hide()) {
            holds = holds || self.is_root(item.id)?;
        }
        for folder in &listing.folders {
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
        let prefix = if matches!(kept, Kept::History) { "root_history/" } else { "" };
        for (name, before, after) in (Pairs { old: (old, &old.files), new: (new, &new.files) }) {
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
    fn is_root(&mut self, id: Oid) -> Result<bool, LedgerError> {
        if let Some(known) = self.roots.get(&id) {
            return Ok(*known);
        }
        let is = match self.contents.get(&id).and_then(|known| self.blobs.get(*known)) {
            Some(bytes) => is_a_root(bytes),
            None => match self.reading.size(self.odb, id, ObjectType::Blob)? {
                size if size > MAX_HIDDEN || self.sought + size > MAX_SOUGHT => {
                    self.unread += 1;
                    false
                }
                size => {
                    self.sought += size;
                    is_a_root(&self.reading.object(self.odb, id, ObjectType::Blob, MAX_HIDDEN)?)
                }
            },
        };
        self.roots.insert(id, is);
        Ok(is)
    }

    /// A tree.
    fn listing(&mut self, id: Option<Oid>) -> Result<Rc<Listing>, LedgerError> {
        let Some(id) = id else { return Ok(Rc::default()) };
        let listing = match self.listings.get(&id) {
            Some(known) => Rc::clone(known),
            None => {
                let raw = self.reading.object(self.odb, id, ObjectType::Tree, MAX_TREE)?;
                let read =
                    Listing::parse(raw).ok_or_else(|| self.reading.damaged(format!("the object {id} is no tree")))?;
                let read = Rc::new(read);
                if self.kept + read.entries > KEPT {
                    self.listings.clear();
                    self.kept = 0;
                }
                self.kept += read.entries;
                self.listings.insert(id, Rc::clone(&read));
                read
            }
        };
        self.looked += listing.entries;
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
        if !self.contents.contains_key(&item.id) && self.reading.size(self.odb, item.id, ObjectType::Blob)? > most {
            return Ok((!key).then_some(Held::Odd(TOO_LARGE)));
        }
        self.content(name, item.id, most).map(|number| Some(Held::Blob(number)))
    }

    /// The number of a content.
    fn content(&mut self, name: &[u8], id: Oid, most: usize) -> Result<usize, LedgerError> {
        if let Some(known) = self.contents.get(&id) {
            return Ok(*known);
        }
        let bytes = self.reading.object(self.odb, id, ObjectType::Blob, most)?;
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
