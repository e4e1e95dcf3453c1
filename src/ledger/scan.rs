//! What commits changed of metadata and keys, tree against tree.
//!
//! Rules:
//! 1. Trees with the same id are not entered: what did not change costs nothing, however large it is.
//! 2. Only folders that hold TUF metadata, certificates or public keys are kept, wherever they lie; of other files nothing is
//!    loaded. The roots of a `root_history/` beside metadata belong to that metadata.
//! 3. An object's header is looked at before the object is loaded. Trees and contents have limits of their own, and all that
//!    is looked at together; what goes beyond ends in a refusal. Only a file that is larger than any metadata or key is
//!    told as that, since it may be anything. What git itself needs to unpack a delta is not bounded.
//! 4. Nothing is expected of the order in a tree, and two entries of one name are both told.
//! 5. Links are not followed and submodules not entered.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use git2::{ObjectType, Odb, Oid};
use trustroot_core::text::escape;
use trustroot_core::verify::history::{Change, Held, is_named_like_a_key, is_named_like_metadata};

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
const ROOT_HISTORY: &str = "root_history";

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
    looked: usize,
    changes: usize,
    bytes: usize,
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

/// A tree, as far as it matters: in order of names.
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
    name: Range<usize>,
    id: Oid,
    /// What it is, if it is no file and no folder.
    odd: Option<&'static str>,
}

impl Item {
    fn is_as(&self, other: &Self) -> bool {
        (self.id, self.odd) == (other.id, other.odd)
    }
}

impl Listing {
    /// Reads a tree as git stores it; nothing if it is none.
    fn parse(raw: Vec<u8>) -> Option<Self> {
        let mut listing = Self::default();
        let mut at = 0;
        while at < raw.len() {
            let space = at + raw.get(at..)?.iter().take(8).position(|byte| *byte == b' ')?;
            let mode = u32::from_str_radix(std::str::from_utf8(raw.get(at..space)?).ok()?, 8).ok()?;
            let name = space + 1..space + 1 + raw.get(space + 1..)?.iter().position(|byte| *byte == 0)?;
            let id = name.end + 1..name.end + 21;
            let item = Item { id: Oid::from_bytes(raw.get(id.clone())?).ok()?, odd: None, name: name.clone() };
            at = id.end;
            listing.entries += 1;
            // A name that is no text names nothing that we look for.
            let Ok(text) = std::str::from_utf8(raw.get(name)?) else { continue };
            let odd = match mode {
                0o040_000 => {
                    listing.folders.push(item);
                    continue;
                }
                0o120_000 => Some("a symbolic link"),
                0o160_000 => Some("a submodule"),
                _ => None,
            };
            if text.ends_with(".json") || is_named_like_a_key(text) {
                listing.metadata = listing.metadata || is_named_like_metadata(text);
                listing.files.push(Item { odd, ..item });
            }
        }
        listing.raw = raw;
        let raw = &listing.raw;
        let by_name = |a: &Item, b: &Item| raw.get(a.name.clone()).cmp(&raw.get(b.name.clone()));
        listing.files.sort_by(by_name);
        listing.folders.sort_by(by_name);
        Some(listing)
    }

    fn name(&self, item: &Item) -> &str {
        self.raw.get(item.name.clone()).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    fn all(&self) -> Vec<(&str, &Item)> {
        self.files.iter().map(|item| (self.name(item), item)).collect()
    }

    /// The files that are kept: keys everywhere, other files only beside metadata.
    fn kept(&self) -> Vec<(&str, &Item)> {
        let mut kept = self.all();
        kept.retain(|(name, _)| self.metadata || is_named_like_a_key(name));
        kept
    }

    /// The tree of the earlier roots that belong to the metadata here.
    fn history(&self) -> Option<Oid> {
        self.folders.iter().find(|item| self.metadata && self.name(item) == ROOT_HISTORY).map(|item| item.id)
    }

    /// The folders with a life of their own.
    fn folders(&self) -> Vec<(&str, &Item)> {
        let history = self.history();
        let all = self.folders.iter().map(|item| (self.name(item), item));
        all.filter(|(name, item)| *name != ROOT_HISTORY || Some(item.id) != history).collect()
    }
}

/// The next entries of one name in two lists in order of names: the name, and those of either.
type Same<'l> = (&'l str, Range<usize>, Range<usize>);

fn same<'l>(old: &[(&'l str, &Item)], new: &[(&'l str, &Item)], at: (usize, usize)) -> Option<Same<'l>> {
    let (a, b) = (old.get(at.0), new.get(at.1));
    let name = match (a, b) {
        (Some((a, _)), Some((b, _))) => a.min(b),
        (Some((name, _)), None) | (None, Some((name, _))) => name,
        (None, None) => return None,
    };
    let run = |list: &[(&str, &Item)], from: usize| {
        let more = list.iter().skip(from).take_while(|(other, _)| other == name).count();
        from..from + more
    };
    Some((name, run(old, at.0), run(new, at.1)))
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
            looked: 0,
            changes: 0,
            bytes: 0,
        }
    }

    /// The folders, names and contents, by number.
    pub(super) fn done(self) -> (Vec<String>, Vec<String>, Vec<Vec<u8>>) {
        (self.folders.all, self.names.all, self.blobs)
    }

    /// What the tree `new` holds otherwise than `old`.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Damaged`] if objects are missing.
    pub(super) fn changes(&mut self, old: Option<Oid>, new: Oid) -> Result<Vec<Change>, LedgerError> {
        let mut changes = Vec::new();
        self.compare(old, Some(new), "", 0, &mut changes)?;
        self.changes += changes.len();
        if self.changes > MAX_CHANGES {
            return Err(LedgerError::Limit(format!("more than {MAX_CHANGES} changes of metadata and keys")));
        }
        Ok(changes)
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
        self.files(&old.kept(), &new.kept(), path, "", changes)?;
        if old.history() != new.history() {
            let (old, new) = (self.listing(old.history())?, self.listing(new.history())?);
            self.files(&old.all(), &new.all(), path, "root_history/", changes)?;
        }
        let (olds, news) = (old.folders(), new.folders());
        let mut at = (0, 0);
        while let Some((name, a, b)) = same(&olds, &news, at) {
            at = (a.end, b.end);
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let ids = |of: &[(&str, &Item)], range: Range<usize>| -> Vec<Oid> {
                of.get(range).unwrap_or_default().iter().map(|(_, item)| item.id).collect()
            };
            match (ids(&olds, a).as_slice(), ids(&news, b).as_slice()) {
                ([], [new]) => self.compare(None, Some(*new), &below, depth + 1, changes)?,
                ([old], []) => self.compare(Some(*old), None, &below, depth + 1, changes)?,
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

    /// Whether a tree holds metadata or keys, at any depth. Asked once of each, however many paths lead to it.
    fn holds(&mut self, id: Option<Oid>, depth: usize) -> Result<bool, LedgerError> {
        let Some(id) = id else { return Ok(false) };
        if let Some(known) = self.holds.get(&id) {
            return Ok(*known);
        }
        if depth > MAX_DEPTH {
            return Err(LedgerError::Limit(format!("folders more than {MAX_DEPTH} deep")));
        }
        let listing = self.listing(Some(id))?;
        let mut holds = listing.metadata || listing.all().iter().any(|(name, _)| is_named_like_a_key(name));
        for folder in &listing.folders {
            // All are asked, so that what is missing is missed.
            holds |= self.holds(Some(folder.id), depth + 1)?;
        }
        self.holds.insert(id, holds);
        Ok(holds)
    }

    /// What one folder holds otherwise of files; `prefix` stands before their names.
    fn files(
        &mut self,
        old: &[(&str, &Item)],
        new: &[(&str, &Item)],
        path: &str,
        prefix: &str,
        changes: &mut Vec<Change>,
    ) -> Result<(), LedgerError> {
        let mut at = (0, 0);
        while let Some((name, a, b)) = same(old, new, at) {
            at = (a.end, b.end);
            let (before, after) = (old.get(a).unwrap_or_default(), new.get(b).unwrap_or_default());
            let is_same = before.len() == after.len() && before.iter().zip(after).all(|((_, a), (_, b))| a.is_as(b));
            if is_same {
                continue;
            }
            let folder = self.folders.number(path);
            if folder >= MAX_FOLDERS {
                return Err(LedgerError::Limit(format!("more than {MAX_FOLDERS} folders with metadata or keys")));
            }
            let number = self.names.number(&format!("{prefix}{name}"));
            let mut held = Vec::new();
            for (_, item) in after {
                held.extend(self.held(name, item)?);
            }
            // What went, or what is larger than any key, is not there; of several of one name the last counts.
            let all = held.iter().map(|held| Some(*held));
            let went = held.is_empty().then_some(None);
            changes.extend(all.chain(went).map(|held| Change { folder, name: number, held }));
        }
        Ok(())
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
    fn held(&mut self, name: &str, item: &Item) -> Result<Option<Held>, LedgerError> {
        if let Some(odd) = item.odd {
            return Ok(Some(Held::Odd(odd)));
        }
        if let Some(known) = self.contents.get(&item.id) {
            return Ok(Some(Held::Blob(*known)));
        }
        let key = is_named_like_a_key(name);
        let bytes =
            match self.reading.object(self.odb, item.id, ObjectType::Blob, if key { MAX_KEY } else { MAX_METADATA }) {
                Ok(bytes) => bytes,
                Err(LedgerError::Limit(_)) if key => return Ok(None),
                Err(LedgerError::Limit(_)) => return Ok(Some(Held::Odd(TOO_LARGE))),
                Err(error) => return Err(error),
            };
        self.bytes += bytes.len();
        if self.bytes > MAX_CONTENTS {
            let what = format!("different files of more than 512 MiB together, up to {}", escape(name));
            return Err(LedgerError::Limit(what));
        }
        self.blobs.push(bytes);
        self.contents.insert(item.id, self.blobs.len() - 1);
        Ok(Some(Held::Blob(self.blobs.len() - 1)))
    }
}
