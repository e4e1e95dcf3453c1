//! A mirror that does whatever the bytes of an input say, and what holds of the client that follows it all the same.
//!
//! The test `hostile.rs` takes inputs by chance, the fuzz target `client` those that reach new code. An input is a list of
//! choices, each of a byte or a few; where it ends, every choice is 0, which is to be honest.
//!
//! The mirror has every file that the owners ever published, and some of their keys, but never a quorum for a root and none of
//! the newest moment ([`owners::LOST`]). So whatever it does, the newest moment can be followed afterwards.
#![allow(dead_code, missing_docs, unreachable_pub)]

mod forge;
pub mod hold;
pub mod owners;
pub mod rounds;

use owners::Files;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use trustroot_client::source::{Body, FetchError, Source};

/// Takes an input apart.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub fn place(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// How the mirror sends one file.
#[derive(Clone, Copy)]
enum Way {
    /// It answers with this status.
    Status(u16),
    /// It says that the file is not there.
    Missing,
    /// This byte without end, after the file.
    Endless(u8),
    /// It breaks off there, with this error.
    Broken(usize, io::ErrorKind),
    /// It says that the bytes begin there.
    From(u64),
    /// A byte at a time, interrupted in between.
    Drip,
}

impl Way {
    const KINDS: usize = 6;

    fn new(kind: usize, input: &mut Input<'_>) -> Self {
        const ERRORS: [io::ErrorKind; 5] = [
            io::ErrorKind::TimedOut,
            io::ErrorKind::WouldBlock,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::InvalidData,
        ];
        match kind % Self::KINDS {
            0 => Self::Missing,
            1 => Self::Status(input.place() as u16),
            2 => Self::Endless(input.byte()),
            3 => Self::Broken(input.place(), ERRORS[input.below(ERRORS.len())]),
            4 if input.byte().is_multiple_of(2) => Self::From(input.byte().into()),
            4 => Self::From(u64::MAX - u64::from(input.byte())),
            _ => Self::Drip,
        }
    }
}

/// What the mirror was asked for, and what it sent.
#[derive(Default)]
pub struct Seen {
    /// How many bytes were taken.
    pub taken: u64,
    /// How many files were asked for.
    pub asked: u64,
    /// The files that came whole, by the name that was asked for.
    pub whole: BTreeMap<String, Vec<Vec<u8>>>,
}

/// A mirror in one round.
#[derive(Clone)]
pub struct Mirror {
    files: Arc<Files>,
    ways: Arc<BTreeMap<String, Way>>,
    /// What a folder would say lies in it.
    list: Option<Vec<String>>,
    folder: &'static str,
    seen: Arc<Mutex<Seen>>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("mirror")
    }
}

impl Mirror {
    /// One that serves these files as they are.
    pub fn honest(files: &Files, seen: &Arc<Mutex<Seen>>) -> Self {
        let (files, ways) = (Arc::new(files.clone()), Arc::default());
        Self { files, ways, list: None, folder: "metadata", seen: Arc::clone(seen) }
    }

    /// One that serves a moment of the repository after what the input says.
    pub fn of(input: &mut Input<'_>, owners: &owners::Owners, seen: &Arc<Mutex<Seen>>) -> Self {
        let mut files = owners.moments[input.below(owners.moments.len())].clone();
        let mut ways = BTreeMap::new();
        for _ in 0..input.below(8) {
            let path = owners::pick(&files, input.byte());
            let kind = input.below(Way::KINDS + forge::KINDS);
            match kind.checked_sub(Way::KINDS) {
                Some(kind) => forge::change(kind, &path, &mut files, input, owners),
                None => drop(ways.insert(path, Way::new(kind, input))),
            }
        }
        if input.byte() % 4 == 3 {
            forge::republish(&mut files, input);
        }
        const NAMES: [&str; 6] = ["4", "1000", "18446744073709551615", "18446744073709551616", "+9", "\u{1b}[2J"];
        let list = (0..input.below(4)).map(|_| format!("{}.root.json", NAMES[input.below(NAMES.len())])).collect();
        let (files, ways, list) =
            (Arc::new(files), Arc::new(ways), Some(list).filter(|list: &Vec<_>| !list.is_empty()));
        Self { files, ways, list, folder: "metadata", seen: Arc::clone(seen) }
    }

    /// The file at `path`, as it would be sent.
    pub fn file(&self, path: &str) -> Vec<u8> {
        self.files.get(path).cloned().unwrap_or_default()
    }

    /// The same mirror, asked for metadata or for targets.
    pub fn serving(&self, folder: &'static str) -> Box<dyn Source> {
        Box::new(Self { folder, ..self.clone() })
    }
}

impl Source for Mirror {
    fn name(&self) -> String {
        "mirror".to_owned()
    }

    fn open(&self, path: &str, from: u64, most: u64) -> Result<Body, FetchError> {
        let place = format!("{}/{path}", self.folder);
        let way = self.ways.get(&place).copied();
        let mut seen = self.seen.lock().unwrap();
        seen.asked += 1;
        match way {
            Some(Way::Status(status)) => return Err(FetchError::Status(status)),
            Some(Way::Missing) => return Err(FetchError::Missing),
            _ => {}
        }
        let bytes = self.files.get(&place).cloned().ok_or(FetchError::Missing)?;
        seen.whole.entry(path.to_owned()).or_default().push(bytes.clone());
        let begin = from.min(bytes.len() as u64);
        let at = begin as usize;
        let body = Sent { bytes, at, way, turn: 0, left: most.saturating_add(64 << 10), seen: Arc::clone(&self.seen) };
        let from = if let Some(Way::From(lie)) = way { lie } else { begin };
        Ok(Body { from, bytes: Box::new(body) })
    }

    fn list(&self) -> Option<Vec<String>> {
        self.list.clone()
    }
}

/// A body. Whoever takes it is held to the most that was asked for, and one more part, which may be under way.
struct Sent {
    bytes: Vec<u8>,
    at: usize,
    way: Option<Way>,
    turn: u64,
    left: u64,
    seen: Arc<Mutex<Seen>>,
}

/// Where a body without end ends all the same: what was signed may be as long as whoever signed it likes.
const ENOUGH: usize = 1 << 20;

impl Read for Sent {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut count = into.len().min(rest.len());
        match self.way {
            Some(Way::Drip) if self.turn.is_multiple_of(2) => return Err(io::ErrorKind::Interrupted.into()),
            Some(Way::Drip) => count = count.min(1 + rest.len() / 16),
            Some(Way::Broken(at, kind)) if self.at >= at => return Err(io::Error::new(kind, "\u{1b}[2J broken")),
            Some(Way::Broken(at, _)) => count = count.min(at - self.at),
            _ => {}
        }
        into[..count].copy_from_slice(&rest[..count]);
        if let Some(Way::Endless(byte)) = self.way
            && self.at < ENOUGH
        {
            into[count..].fill(byte);
            count = into.len();
        }
        self.at += count;
        self.seen.lock().unwrap().taken += count as u64;
        self.left = self.left.checked_sub(count as u64).expect("no more is taken than was asked for");
        Ok(count)
    }
}
