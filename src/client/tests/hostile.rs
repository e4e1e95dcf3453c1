//! The whole client over a hostile source: any answer to any request, and a real repository changed at will, by chance from a
//! seed.
//!
//! Half of the inputs are judged by real signatures. Whatever comes, what the client then keeps is what the owners signed,
//! no version goes back, and a file that is downloaded is theirs. For the other half every signature counts, so that changed
//! metadata gets as deep as it can. Nobody may make the client read more than it said it would.
//!
//! `TRUSTROOT_HOSTILE=N` tries N inputs in place of the usual few; the one that fails is printed.

mod simulator;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::{Arc, LazyLock, Mutex};
use trustroot_client::source::{Body, FetchError, Source};
use trustroot_client::{Client, Limits};
use trustroot_core::digest::Digest;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::targets::Targets;
use trustroot_core::metadata::{Body as Fields, snapshot::Snapshot, timestamp::Timestamp};
use trustroot_core::signature::Verifier;

/// Paths that are looked for. Two are there.
const PATHS: [&str; 5] = ["a.txt", "inner/b.txt", "none", "../a", "inner/."];

/// Every signature counts.
struct Yes;

impl Verifier for Yes {
    fn verify(&self, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// The repository at two moments: what is served, by path.
static REPOSITORY: LazyLock<[BTreeMap<String, Vec<u8>>; 2]> = LazyLock::new(|| {
    let mut repository = simulator::Repository::new();
    repository.top().files.insert("a.txt".into(), b"a".to_vec());
    repository.top().to = vec![simulator::to("inner", 30, &["inner/*"]), simulator::to("../up", 31, &["*"])];
    let files = [("inner/b.txt".to_owned(), b"content".to_vec())].into();
    repository.targets.insert("inner".into(), simulator::Targets { files, ..simulator::targets(30) });
    repository.targets.insert("../up".into(), simulator::targets(31));
    repository.publish_root();
    repository.publish();
    let first = repository.server.files();
    repository.timestamp_keys = simulator::keys(&[22], 1);
    for _ in 0..7 {
        repository.publish_root();
    }
    repository.publish();
    [first, repository.server.files()]
});

/// The payloads that the owners signed.
static SIGNED: LazyLock<BTreeSet<Digest>> = LazyLock::new(|| {
    let files = REPOSITORY.iter().flatten().filter(|(path, _)| path.starts_with("metadata/"));
    files.filter_map(|(path, bytes)| payload(path, bytes)).collect()
});

fn payload(path: &str, bytes: &[u8]) -> Option<Digest> {
    fn of<T: Fields>(bytes: &[u8]) -> Option<Digest> {
        Some(Metadata::<T>::parse("a file", bytes).ok()?.payload().digest())
    }
    match path.rsplit('/').next()? {
        name if name.ends_with("root.json") => of::<Root>(bytes),
        "timestamp.json" => of::<Timestamp>(bytes),
        name if name.ends_with("snapshot.json") => of::<Snapshot>(bytes),
        _ => of::<Targets>(bytes),
    }
}

/// What the source does with one file.
#[derive(Clone)]
enum Deed {
    Missing,
    Status(u16),
    Cut(usize),
    Endless(u8),
    Another(usize),
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Raw(Vec<u8>),
}

/// Takes an input apart; where it ends, everything is 0.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn place(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn deed(&mut self) -> Deed {
        let (kind, place) = (self.byte(), self.place());
        let count = usize::from(self.byte());
        match kind % 8 {
            0 => Deed::Missing,
            1 => Deed::Status(place as u16),
            2 => Deed::Cut(place),
            3 => Deed::Endless(count as u8),
            4 => Deed::Another(place),
            5 => Deed::Insert(place, self.bytes(count)),
            6 => Deed::Replace(place, self.bytes(count)),
            _ => Deed::Raw(self.bytes(place % 4096)),
        }
    }
}

/// Serves what `files` has, after what `deeds` say.
#[derive(Clone)]
struct Hostile {
    files: &'static BTreeMap<String, Vec<u8>>,
    deeds: BTreeMap<usize, Vec<Deed>>,
    folder: &'static str,
    read: Arc<Mutex<u64>>,
}

impl std::fmt::Debug for Hostile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hostile")
    }
}

/// Counts what is taken, and holds whoever takes it to the most that was asked for.
struct Counted {
    bytes: Vec<u8>,
    endless: Option<u8>,
    at: usize,
    most: u64,
    read: Arc<Mutex<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = if self.endless.is_some() { into.len() } else { into.len().min(rest.len()) };
        match self.endless {
            Some(byte) => into.fill(byte),
            None => into[..count].copy_from_slice(&rest[..count]),
        }
        self.at += count;
        *self.read.lock().unwrap() += count as u64;
        // One more part may be under way when the limit is passed.
        assert!(self.at as u64 <= self.most + (64 << 10), "{} bytes of at most {}", self.at, self.most);
        Ok(count)
    }
}

impl Source for Hostile {
    fn name(&self) -> String {
        "hostile".to_owned()
    }

    fn open(&self, path: &str, from: u64, most: u64) -> Result<Body, FetchError> {
        let path = format!("{}/{path}", self.folder);
        let place = self.files.keys().position(|name| *name == path).unwrap_or(self.files.len());
        let mut bytes = self.files.get(&path).cloned();
        let mut endless = None;
        for deed in self.deeds.get(&place).into_iter().flatten() {
            let whole = bytes.clone().unwrap_or_default();
            let at = |place: usize| place % (whole.len() + 1);
            bytes = match deed {
                Deed::Missing => None,
                Deed::Status(status) => return Err(FetchError::Status(*status)),
                Deed::Cut(place) => Some(whole[..at(*place)].to_vec()),
                Deed::Endless(byte) => {
                    endless = Some(*byte);
                    Some(whole)
                }
                Deed::Another(place) => self.files.values().nth(place % self.files.len()).cloned(),
                Deed::Insert(place, new) => Some([&whole[..at(*place)], new, &whole[at(*place)..]].concat()),
                Deed::Replace(place, new) => {
                    let end = (at(*place) + new.len()).min(whole.len());
                    Some([&whole[..at(*place)], new, &whole[end..]].concat())
                }
                Deed::Raw(new) => Some(new.clone()),
            };
        }
        let bytes = bytes.ok_or(FetchError::Missing)?;
        let from = from.min(bytes.len() as u64);
        let counted = Counted { bytes, endless, at: from as usize, most: from + most, read: Arc::clone(&self.read) };
        Ok(Body { from, bytes: Box::new(counted) })
    }
}

fn version(bytes: &[u8]) -> u64 {
    let value = trustroot_core::json::parse(bytes).expect("what is kept is JSON");
    value.get("signed").and_then(|signed| signed.get("version")?.as_u64()).expect("what is kept has a version")
}

/// Does what an input says; gives the version of the root at the end, and how many files were downloaded.
fn try_input(bytes: &[u8]) -> (u64, usize) {
    let mut input = Input(bytes);
    let real = input.byte() % 2 == 0;
    let folder = tempfile::tempdir_in(if cfg!(target_os = "linux") { "/dev/shm" } else { "." }).expect("a folder");
    let (state, downloads) = (folder.path().join("metadata"), folder.path().join("targets"));
    let client = Client::new(&state, Limits::default());
    let client = if real { client } else { client.with_verifier(Yes) };
    client.init(&REPOSITORY[0]["metadata/1.root.json"]).expect("the first root");
    let read = Arc::new(Mutex::new(0));
    let (mut floor, mut downloaded) = (0, 0);
    for _ in 0..1 + input.byte() % 3 {
        let files = &REPOSITORY[usize::from(input.byte() % 2)];
        let mut deeds: BTreeMap<usize, Vec<Deed>> = BTreeMap::new();
        for _ in 0..input.byte() % 8 {
            let file = usize::from(input.byte()) % (files.len() + 1);
            deeds.entry(file).or_default().push(input.deed());
        }
        let mut source = Hostile { files, deeds, folder: "metadata", read: Arc::clone(&read) };
        let metadata: [Box<dyn Source>; 1] = [Box::new(source.clone())];
        source.folder = "targets";
        let targets: [Box<dyn Source>; 1] = [Box::new(source)];
        if let Ok(mut session) = client.refresh(&metadata, simulator::now()) {
            let path = PATHS[usize::from(input.byte()) % PATHS.len()];
            let found = session.find(path);
            drop(session);
            if let Ok(found) = found
                && let Ok(file) = client.download(&found, &targets, &downloads)
            {
                let content = std::fs::read(&file.path).expect("a file");
                downloaded += 1;
                assert!(file.path.starts_with(&downloads) && found.target.matches(&content));
                assert!(!real || [&b"a"[..], b"content"].contains(&content.as_slice()), "{content:?}");
            }
        }
        let root = version(&std::fs::read(state.join("root.json")).expect("a root stays"));
        assert!(root >= floor, "the root goes back from {floor} to {root}");
        floor = root;
        for entry in std::fs::read_dir(&state).expect("the folder").flatten() {
            let name = entry.file_name().into_string().expect("a name");
            if !name.ends_with(".json") {
                assert!(name.starts_with('.'), "{name}");
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("a file");
            let kept = payload(&name, &bytes).expect("what is kept can be read");
            assert!(!real || SIGNED.contains(&kept), "{name} was signed by nobody");
        }
        let _ = client.offline(simulator::now());
    }
    assert!(*read.lock().unwrap() < 3 << 30);
    (floor, downloaded)
}

/// Bytes by chance, many of them small, as the choices in an input are, or from JSON.
fn by_chance(state: &mut u64) -> Vec<u8> {
    let mut next = || {
        // Xorshift: any source does that gives the same bytes for the same seed.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    };
    let length = next() % 120;
    let byte = |chance: u64| match chance % 4 {
        0 => (chance >> 8) as u8 % 10,
        1 => b"0123456789abcdef\"{}[]:,-"[(chance >> 8) as usize % 24],
        _ => (chance >> 8) as u8,
    };
    (0..length).map(|_| byte(next())).collect()
}

#[test]
fn any_answers_leave_what_the_owners_signed() {
    let count = std::env::var("TRUSTROOT_HOSTILE").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let (mut state, mut downloaded, mut failed) = (0x5eed_u64, 0, 0);
    for number in 0..count {
        let bytes = by_chance(&mut state);
        match std::panic::catch_unwind(|| try_input(&bytes)) {
            Ok((_, 0)) => failed += 1,
            Ok((_, files)) => downloaded += files,
            Err(panic) => {
                eprintln!("input {number}: {bytes:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(downloaded > 10 && failed > 10, "{downloaded} downloaded, {failed} without any: chance tries too little");
}

#[test]
fn answers_in_order_are_followed() {
    // Two rounds, the repository at its two moments, nothing done to it; each time a target that is there.
    assert_eq!(try_input(&[0, 1, 0, 0, 0, 1, 0, 1]), (9, 2));
}
