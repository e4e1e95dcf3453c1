//! Trees as git stores them, taken apart as far as it matters, and side by side.
//!
//! Rules:
//! 1. Nothing is expected of the order in a tree, and nothing is lost where two entries have one name.
//! 2. A tree mostly is its predecessor with a few entries changed: what the two begin and end with alike is compared as bytes
//!    and taken over, so that a folder of thousands of files costs little more than reading it. Only trees in strict order are
//!    treated so; it gives what taking them apart, entry by entry, gives.

use super::ObjectId;
use crate::verify::history::{is_named_like_a_key, is_named_like_a_root, is_named_like_metadata};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Where some keep the earlier roots, beside the newest.
const ROOT_HISTORY: &[u8] = b"root_history";

/// A tree: its files and its folders, each in order of names.
#[derive(Default)]
pub struct Listing {
    raw: Vec<u8>,
    files: Vec<Item>,
    folders: Vec<Item>,
    /// How many files are named like TUF's.
    metadata: usize,
    /// Whether the entries stand in order in the tree itself, each name once among files and once among folders.
    strict: bool,
}

/// An entry.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where the entry begins in the tree.
    at: u32,
    name: Range<u32>,
    /// The object.
    pub id: ObjectId,
    /// What it is.
    pub mode: Mode,
    /// What its name promises.
    pub named: Named,
}

/// What an entry is: the kind of file in its mode. The rest of the mode, who may do what with it, does not matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A file, and whatever git has no name for: it is looked at like a file.
    File,
    /// A tree.
    Folder,
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
}

impl Mode {
    /// The kind in a mode: octal digits. Nothing if it is none.
    fn parse(digits: &[u8]) -> Option<Self> {
        if digits.is_empty() || !digits.iter().all(|digit| matches!(digit, b'0'..=b'7')) {
            return None;
        }
        let mode = digits.iter().fold(0, |mode: u32, digit| mode << 3 | u32::from(digit - b'0'));
        Some(match mode & 0o170_000 {
            0o040_000 => Self::Folder,
            0o120_000 => Self::Link,
            0o160_000 => Self::Submodule,
            _ => Self::File,
        })
    }

    /// What it is, if it is no file.
    pub fn odd(self) -> Option<&'static str> {
        match self {
            Self::Link => Some("a symbolic link"),
            Self::Submodule => Some("a submodule"),
            Self::File | Self::Folder => None,
        }
    }
}

/// What a name promises. A folder's promises nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A root.
    Root,
    /// Another top-level role of TUF.
    Metadata,
    /// Some other JSON, which may be that of a delegation.
    Json,
    /// A certificate or a public key.
    Key,
    /// None of these.
    Other,
}

impl Named {
    /// A name that is no text promises nothing.
    fn of(name: &[u8]) -> Self {
        let Ok(text) = core::str::from_utf8(name) else { return Self::Other };
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
    /// The entry that begins there; nothing if none does.
    fn parse(raw: &[u8], at: usize) -> Option<Self> {
        let space = at + raw.get(at..)?.iter().take(8).position(|byte| *byte == b' ')?;
        let mode = Mode::parse(raw.get(at..space)?)?;
        let end = space + 1 + raw.get(space + 1..)?.iter().position(|byte| *byte == 0)?;
        let named = if mode == Mode::Folder { Named::Other } else { Named::of(raw.get(space + 1..end)?) };
        let id = ObjectId::from_bytes(raw.get(end + 1..end + 21)?)?;
        let place = |at: usize| u32::try_from(at).ok();
        Some(Self { at: place(at)?, name: place(space + 1)?..place(end)?, id, mode, named })
    }

    fn begins(&self) -> usize {
        self.at as usize
    }

    /// After the name a zero and the id.
    fn ends(&self) -> usize {
        self.name.end as usize + 21
    }

    /// Whether somebody could keep a root in it that nobody looks for there.
    pub fn may_hide(&self) -> bool {
        self.mode == Mode::Link || self.mode == Mode::File && self.named != Named::Root
    }
}

/// Which files of a folder are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Keys everywhere, other files only beside metadata.
    Here,
    /// As the roots of a `root_history/`: everything that is JSON or a key.
    History,
}

impl Listing {
    /// Reads a tree as git stores it; nothing if it is none. `like` is one that it may resemble.
    pub fn parse(raw: Vec<u8>, like: &Self) -> Option<Self> {
        let mut new = Self { raw, strict: true, ..Self::default() };
        let (front, back) = if like.strict { common(&like.raw, &new.raw) } else { (0, 0) };
        // Entries are told by reading on from the first: those that end in what is alike are the same.
        let of_front = |items: &[Item]| items.partition_point(|item| item.ends() <= front);
        let of_back = |items: &[Item]| items.partition_point(|item| item.begins() < like.raw.len() - back);
        for (items, known) in [(&mut new.files, &like.files), (&mut new.folders, &like.folders)] {
            items.extend_from_slice(known.get(..of_front(known))?);
        }
        let (files, folders) = (like.files.get(of_back(&like.files)..)?, like.folders.get(of_back(&like.folders)..)?);
        let at = [&new.files, &new.folders].into_iter().filter_map(|items| Some(items.last()?.ends())).max();
        let mut at = at.unwrap_or(0);
        let first = [files, folders].into_iter().filter_map(|items| Some(items.first()?.begins())).min();
        // The same entries at the end, if reading on from here comes to where they begin.
        let last = first.map(|first| new.raw.len() - (like.raw.len() - first));
        while at < new.raw.len() && Some(at) != last {
            let item = Item::parse(&new.raw, at)?;
            at = item.ends();
            new.push(item);
        }
        if at < new.raw.len() {
            let moved = |place: u32| u32::try_from(place as usize + new.raw.len() - like.raw.len()).ok();
            let moved = |item: &Item| {
                Some(Item { at: moved(item.at)?, name: moved(item.name.start)?..moved(item.name.end)?, ..item.clone() })
            };
            let (files, folders): (Option<Vec<Item>>, Option<Vec<Item>>) =
                (files.iter().map(moved).collect(), folders.iter().map(moved).collect());
            new.join(files?, folders?);
        }
        new.metadata = new.files.iter().filter(|item| matches!(item.named, Named::Root | Named::Metadata)).count();
        if !new.strict {
            let raw = &new.raw;
            let by_name = |a: &Item, b: &Item| name_in(raw, a).cmp(name_in(raw, b));
            new.files.sort_by(by_name);
            new.folders.sort_by(by_name);
        }
        Some(new)
    }

    fn push(&mut self, item: Item) {
        let folder = item.mode == Mode::Folder;
        let (files, folders) = if folder { (vec![], vec![item]) } else { (vec![item], vec![]) };
        self.join(files, folders);
    }

    fn join(&mut self, files: Vec<Item>, folders: Vec<Item>) {
        for (known, more) in [(&mut self.files, files), (&mut self.folders, folders)] {
            if let (Some(last), Some(first)) = (known.last(), more.first()) {
                self.strict &= name_in(&self.raw, last) < name_in(&self.raw, first);
            }
            known.extend(more);
        }
    }

    /// Its files, in order of names.
    pub fn files(&self) -> &[Item] {
        &self.files
    }

    /// Its folders, in order of names.
    pub fn folders(&self) -> &[Item] {
        &self.folders
    }

    /// The name of an entry of this tree.
    pub fn name(&self, item: &Item) -> &[u8] {
        name_in(&self.raw, item)
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.files.len() + self.folders.len()
    }

    /// Whether a file is named like TUF's.
    pub fn is_of_metadata(&self) -> bool {
        self.metadata > 0
    }

    /// Whether a file is kept. Of several of one name all are or none.
    pub fn keeps(&self, item: &Item, kept: Kept) -> bool {
        match kept {
            _ if item.named == Named::Key => true,
            Kept::Here => self.is_of_metadata() && item.named != Named::Other,
            Kept::History => item.named != Named::Other,
        }
    }

    /// The tree of the earlier roots that belong to the metadata here.
    pub fn history(&self) -> Option<ObjectId> {
        self.folders.iter().find(|item| self.is_of_metadata() && self.name(item) == ROOT_HISTORY).map(|item| item.id)
    }

    /// The folders among these that have a life of their own; `history` is that of this one.
    pub fn apart(&self, items: &[Item], history: Option<ObjectId>) -> Vec<ObjectId> {
        let apart = |item: &&Item| self.name(item) != ROOT_HISTORY || Some(item.id) != history;
        items.iter().filter(apart).map(|item| item.id).collect()
    }
}

fn name_in<'r>(raw: &'r [u8], item: &Item) -> &'r [u8] {
    raw.get(item.name.start as usize..item.name.end as usize).unwrap_or_default()
}

/// How many bytes two texts begin with alike, and how many of the rest they end with alike.
fn common(a: &[u8], b: &[u8]) -> (usize, usize) {
    /// What is compared at once.
    const STEP: usize = 512;
    let most = a.len().min(b.len());
    let mut front = 0;
    while front + STEP <= most && a[front..front + STEP] == b[front..front + STEP] {
        front += STEP;
    }
    front += a[front..most].iter().zip(&b[front..most]).take_while(|(a, b)| a == b).count();
    let most = most - front;
    let (a, b) = (&a[a.len() - most..], &b[b.len() - most..]);
    let mut rest = most;
    while rest >= STEP && a[rest - STEP..rest] == b[rest - STEP..rest] {
        rest -= STEP;
    }
    rest -= a[..rest].iter().rev().zip(b[..rest].iter().rev()).take_while(|(a, b)| a == b).count();
    (front, most - rest)
}

/// Entries of one name in two lists in order of names: the name, and those of either.
pub type Same<'l> = (&'l [u8], &'l [Item], &'l [Item]);

/// Two lists in order of names, side by side.
pub struct Pairs<'l> {
    old: (&'l Listing, &'l [Item]),
    new: (&'l Listing, &'l [Item]),
}

impl<'l> Pairs<'l> {
    /// The files. Unless `all`, some that are the same in both are passed over.
    pub fn of_files((old, new): (&'l Listing, &'l Listing), all: bool) -> Self {
        Self { old: (old, &old.files), new: (new, &new.files) }.without_the_same(all)
    }

    /// The folders. Unless `all`, some that are the same in both are passed over.
    pub fn of_folders((old, new): (&'l Listing, &'l Listing), all: bool) -> Self {
        Self { old: (old, &old.folders), new: (new, &new.folders) }.without_the_same(all)
    }

    fn without_the_same(mut self, all: bool) -> Self {
        let ((old, a), (new, b)) = (&mut self.old, &mut self.new);
        if all || !old.strict || !new.strict {
            return self;
        }
        let (front, back) = common(&old.raw, &new.raw);
        let same = a.partition_point(|item| item.ends() <= front);
        (*a, *b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
        while let (Some((last_a, rest_a)), Some((last_b, rest_b))) = (a.split_last(), b.split_last()) {
            let left = |listing: &Listing, item: &Item| listing.raw.len() - item.begins();
            if left(old, last_a) > back || left(old, last_a) != left(new, last_b) {
                break;
            }
            (*a, *b) = (rest_a, rest_b);
        }
        self
    }
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

/// Takes the entries of this name from the front.
fn run<'l>(of: &mut (&'l Listing, &'l [Item]), name: &[u8]) -> &'l [Item] {
    let count = of.1.iter().take_while(|item| of.0.name(item) == name).count();
    let (taken, rest) = of.1.split_at(count);
    of.1 = rest;
    taken
}

/// Whether nothing changed.
pub fn alike(before: &[Item], after: &[Item]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| (a.id, a.mode) == (b.id, b.mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn an_entry_is_what_git_takes_it_for() {
        let read = |mode: &str| Listing::parse(tree(&[(mode, "x", 1)]), &Listing::default());
        for (mode, is) in [
            ("100644", Mode::File),
            ("100755", Mode::File),
            ("0100644", Mode::File),
            ("0", Mode::File),
            ("40000", Mode::Folder),
            ("040755", Mode::Folder),
            ("120000", Mode::Link),
            ("120777", Mode::Link),
            ("160000", Mode::Submodule),
        ] {
            let listing = read(mode).unwrap();
            assert!(listing.files().iter().chain(listing.folders()).all(|item| item.mode == is), "{mode}");
        }
        for bad in ["", "+40000", "-1", "100648", "10064400", " 100644"] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }

    /// A tree of these entries: mode, name, and a number for the id.
    fn tree(entries: &[(&str, &str, u8)]) -> Vec<u8> {
        let mut raw = Vec::new();
        for (mode, name, id) in entries {
            raw.extend(format!("{mode} {name}\0").as_bytes());
            raw.extend([*id; 20]);
        }
        raw
    }

    fn told(listing: &Listing) -> Vec<(Vec<u8>, ObjectId)> {
        let all = listing.files.iter().chain(&listing.folders);
        all.map(|item| (listing.name(item).to_vec(), item.id)).collect()
    }

    /// The names at which two differ.
    fn differ(old: &Listing, new: &Listing, all: bool) -> Vec<String> {
        let pairs = Pairs::of_files((old, new), all).chain(Pairs::of_folders((old, new), all));
        let differ = pairs.filter(|(_, before, after)| !alike(before, after));
        differ.map(|(name, ..)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// Every tree after every other, with entries that are in order or not, double, or that end as others begin.
    #[test]
    fn what_is_taken_over_is_what_would_have_been_read() {
        let entries = [
            ("100644", "1.root.json", 1),
            ("100644", "2.root.json", 2),
            ("100644", "2.root.json", 3),
            ("40000", "a", 4),
            ("100644", "a.b", 4),
            ("100644", "2 100644 x", 2),
            // An id that reads like an entry of its own.
            ("120000", "z", b'0'),
        ];
        let mut trees: Vec<Vec<u8>> = Vec::new();
        for places in 0..(1 << entries.len()) {
            let some: Vec<_> =
                entries.iter().enumerate().filter(|(at, _)| places >> at & 1 == 1).map(|(_, one)| *one).collect();
            trees.push(tree(&some));
            trees.push(tree(&some.into_iter().rev().collect::<Vec<_>>()));
        }
        let none = Listing::default();
        let plain: Vec<Listing> = trees.iter().map(|raw| Listing::parse(raw.clone(), &none).unwrap()).collect();
        for old in &plain {
            for (raw, expected) in trees.iter().zip(&plain) {
                let new = Listing::parse(raw.clone(), old).unwrap();
                assert_eq!(told(&new), told(expected));
                assert_eq!((new.strict, new.metadata), (expected.strict, expected.metadata));
                assert_eq!(differ(old, &new, false), differ(old, expected, true));
            }
        }
        assert!(plain.iter().any(|one| one.strict && one.entries() > 3) && plain.iter().any(|one| !one.strict));
    }

    #[test]
    fn how_much_is_alike() {
        let long = vec![7; 2000];
        let mut other = long.clone();
        other[900] = 8;
        assert_eq!(common(&long, &other), (900, 1099));
        assert_eq!(common(&long, &long), (2000, 0));
        assert_eq!(common(b"aXb", b"ab"), (1, 1));
        assert_eq!(common(b"aa", b"aaa"), (2, 0));
        assert_eq!(common(b"", b"a"), (0, 0));
    }
}
