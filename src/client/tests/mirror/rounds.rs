//! A client that follows a mirror for a few rounds, and the owners at the end.

use super::hold::{self, Kept, Step, clock, is_inert, kept};
use super::owners::{self, OWNERS, Owners, TARGETS, pick};
use super::{Input, Mirror, Seen};
use crate::simulator;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trustroot_client::source::Source;
use trustroot_client::{Client, Error, Fast, Found, Limits, Progress};
use trustroot_core::digest::Digest;
use trustroot_core::key::PublicKey;
use trustroot_core::signature::Verifier;
use trustroot_core::trusted::TrustedRoot;

/// Paths that are looked for, and the names under which they may lie here.
const PATHS: [(&str, Option<&str>); 8] = [
    ("a.txt", Some("a.txt")),
    ("inner/b.txt", Some("inner/b.txt")),
    ("deep/c", Some("deep/c")),
    ("none", Some("none")),
    ("../x", None),
    ("inner/.", None),
    (".hidden", Some("%2Ehidden")),
    ("/abs", Some("%2Fabs")),
];

/// Every signature counts.
struct Yes;

impl Verifier for Yes {
    fn verify(&self, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// What the client itself uses, asked once about the same bytes.
struct Remembering;

impl Verifier for Remembering {
    fn verify(&self, key: &PublicKey, payload: &[u8], signature: &[u8]) -> bool {
        let parts = [b"client", key.spki_der(), signature, payload];
        hold::remembered(&parts, || Fast.verify(key, payload, signature))
    }
}

/// Small, so that the limits are reached; and nobody is waited for, as nobody else is there.
fn limits() -> Limits {
    Limits {
        root: 32 << 10,
        timestamp: 8 << 10,
        snapshot: 64 << 10,
        targets: 64 << 10,
        ahead: 8,
        connections: 2,
        wait: Duration::ZERO,
        ..Limits::default()
    }
}

/// What came of an input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The version of the root before the owners were followed.
    pub root: u64,
    /// How many refreshes went through.
    pub refreshed: usize,
    /// How many files were downloaded.
    pub downloaded: usize,
}

/// A client in a folder of its own.
struct Round<'a> {
    real: bool,
    owners: &'a Owners,
    folder: PathBuf,
    client: Client,
    believed: Arc<Mutex<Vec<u64>>>,
    seen: Arc<Mutex<Seen>>,
    outcome: Outcome,
}

/// Does what an input says, and holds the client to its promises after each step.
pub fn follow(bytes: &[u8]) -> Outcome {
    let mut input = Input(bytes);
    let choice = input.byte();
    // Folders in memory: what is made durable there costs nothing.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
    let believed = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&believed);
    let client = Client::new(&folder.path().join("metadata"), limits()).watched(move |progress| match progress {
        Progress::Root(version) => told.lock().unwrap().push(version),
        Progress::Mirror(error) => is_inert(error),
        Progress::Target { have, of, .. } => assert!(have <= of),
    });
    let real = choice & 1 == 0;
    let client = if real { client.with_verifier(Remembering) } else { client.with_verifier(Yes) };
    let owners = &OWNERS[usize::from(choice >> 1 & 1)];
    let folder_path = folder.path().to_owned();
    let (seen, outcome) = (Arc::default(), Outcome::default());
    let mut round = Round { real, owners, folder: folder_path, client, believed, seen, outcome };
    round.begin(choice >> 2 & 1 == 1, &mut input);
    for _ in 0..1 + input.below(4) {
        round.step(&mut input);
    }
    round.outcome.root = hold::version(&round.metadata()["root.json"]);
    round.end();
    let seen = round.seen.lock().unwrap();
    assert!(seen.asked < 4096 && seen.taken < 64 << 20, "{} asked for, {} bytes taken", seen.asked, seen.taken);
    drop(seen);
    round.outcome
}

impl Round<'_> {
    fn metadata(&self) -> Kept {
        kept(&self.folder.join("metadata"))
    }

    /// Initialises the client: with what a mirror says is the first root, if `odd`, and else, or where that is refused, with
    /// the first root.
    fn begin(&self, odd: bool, input: &mut Input<'_>) {
        let first = self.owners.moments[0]["metadata/1.root.json"].as_slice();
        if odd {
            let mirror = Mirror::of(input, self.owners, &self.seen);
            let file = mirror.file(&pick(&self.owners.moments[0], input.byte()));
            match self.client.init(&file) {
                Ok(root) => {
                    let digest = root.metadata().payload().digest();
                    assert!(!self.real || self.owners.signed.contains(&digest), "a root that was signed by too few");
                    assert_eq!(self.metadata()["root.json"], file);
                    return;
                }
                Err(error) => is_inert(&error),
            }
            assert!(self.metadata().is_empty(), "a refused root leaves nothing");
        }
        self.client.init(first).expect("the first root");
    }

    /// One step of the client, against one mirror or two.
    fn step(&mut self, input: &mut Input<'_>) {
        let before = self.metadata();
        self.seen.lock().unwrap().whole.clear();
        self.believed.lock().unwrap().clear();
        let (kind, now) = (input.below(8), clock(input.below(256)));
        let (path, place) = PATHS[input.below(PATHS.len())];
        let mut downloads = None;
        let mut mirrors = Vec::new();
        for _ in 0..1 + usize::from(kind == 1) {
            mirrors.push(Mirror::of(input, self.owners, &self.seen));
        }
        let serving = |folder| mirrors.iter().map(|mirror| mirror.serving(folder)).collect::<Vec<Box<dyn Source>>>();
        let (metadata, targets) = (serving("metadata"), serving("targets"));
        let session = match kind {
            7 => self.client.offline(now),
            _ => self.client.refresh(&metadata, now),
        };
        match session {
            Ok(mut session) => {
                self.outcome.refreshed += usize::from(kind != 7);
                for note in session.notes() {
                    assert!(!note.to_string().contains(char::is_control), "{note}");
                }
                let (root, timestamp, snapshot) = session.trusted().set();
                assert!(timestamp.expires() > now && root.expires() > now && snapshot.expires() > now, "expired");
                let found = [path, TARGETS[0].0].map(|path| session.find(path));
                drop(session);
                for found in found {
                    match found {
                        Ok(found) => downloads = self.download(&found, &targets).or(downloads),
                        Err(error) => is_usual(&error),
                    }
                }
            }
            Err(error) => is_usual(&error),
        }
        if downloads.is_some() {
            assert!(place.is_some() || downloads.as_deref() == Some(TARGETS[0].0), "{path} was downloaded");
        }
        let after = self.metadata();
        let (seen, believed) = (self.seen.lock().unwrap(), self.believed.lock().unwrap());
        Step { real: self.real, before: &before, after: &after, sent: &seen.whole, believed: &believed }.holds();
        drop((seen, believed));
        let kept = TrustedRoot::pinned(&after["root.json"], self.client.verifier());
        assert!(kept.is_ok(), "the root that is kept can be begun from: {kept:?}");
        self.nothing_outside();
    }

    /// Downloads what was found; gives its path if it is here now.
    fn download(&mut self, found: &Found, targets: &[Box<dyn Source>]) -> Option<String> {
        let folder = self.folder.join("targets");
        let file = match self.client.download(found, targets, &folder) {
            Ok(file) => file,
            Err(Error::Path(_)) => return None,
            Err(error) => {
                is_usual(&error);
                return None;
            }
        };
        let content = std::fs::read(&file.path).expect("a file");
        let place = file.path.strip_prefix(&folder).expect("below the folder").to_str().expect("a name");
        assert!(PATHS.contains(&(found.path.as_str(), Some(place))), "{} lies at {place}", found.path);
        assert!(found.target.matches(&content), "{} has other bytes", found.path);
        self.is_promised(&found.path, &content);
        self.outcome.downloaded += 1;
        Some(found.path.clone())
    }

    /// The bytes are those that some targets file which is kept names for the path.
    fn is_promised(&self, path: &str, content: &[u8]) {
        let digest = Digest::of(content).to_string();
        let names = |bytes: &Vec<u8>| {
            let file = trustroot_core::json::parse(bytes).ok()?;
            let target = file.get("signed")?.get("targets")?.get(path)?.clone();
            let length = target.get("length")?.as_u64()? == content.len() as u64;
            // Where only rarer hashes are given, the length has to do.
            let hash = target.get("hashes")?.get("sha256").and_then(|hash| hash.as_str().map(str::to_lowercase));
            Some(length && hash.is_none_or(|hash| hash == digest))
        };
        assert!(
            self.metadata().values().any(|bytes| names(bytes) == Some(true)),
            "{path} has bytes that nobody promised"
        );
    }

    /// What lies in the folder around: the metadata, targets under the names that were asked for, and parts of them.
    fn nothing_outside(&self) {
        let all = kept(&self.folder);
        let below = |name: &str| {
            let target = name.strip_prefix("targets/");
            let known =
                |target| PATHS.iter().any(|(_, place)| *place == Some(target)) || target.starts_with(".trustroot/");
            name.starts_with("metadata/") || target.is_some_and(known)
        };
        for (name, bytes) in &all {
            assert!(below(name), "{name} was written");
            assert!(bytes.len() <= super::ENOUGH + (128 << 10), "{name} is {} bytes long", bytes.len());
        }
    }

    /// Follows the owners at last, who have replaced every lost key, and gets what they promise.
    fn end(&mut self) {
        let now = simulator::now();
        let owners = Mirror::honest(self.owners.newest(), &self.seen);
        let (metadata, targets) = ([owners.serving("metadata")], [owners.serving("targets")]);
        let mut session = match self.client.refresh(&metadata, now) {
            Ok(session) => session,
            // Where every signature counts, the mirror may have had a root of its own believed.
            Err(error) => {
                assert!(!self.real, "the owners cannot be followed: {error}");
                return is_usual(&error);
            }
        };
        if !self.real {
            return;
        }
        let found = TARGETS.map(|(path, _)| session.find(path).expect("a target of the owners"));
        drop(session);
        for (found, (path, content)) in found.iter().zip(TARGETS) {
            let file = self.client.download(found, &targets, &self.folder.join("targets")).expect(path);
            assert_eq!(std::fs::read(file.path).expect("a file"), content);
        }
        let mut session = self.client.offline(now).expect("what is here is whole");
        for (path, _) in TARGETS {
            session.find(path).expect("a target of the owners, offline");
        }
        let names: BTreeMap<_, _> = self.metadata().into_iter().filter(|(name, _)| name.ends_with(".json")).collect();
        for top in ["root", "timestamp", "snapshot", "targets"] {
            let digest = owners::payload(&names[&format!("{top}.json")]).digest();
            assert!(self.owners.signed.contains(&digest), "{top}.json is not the owners'");
        }
    }
}

/// A mirror can have the client refuse, and miss files, and nothing else: the local state stays in order.
fn is_usual(error: &Error) {
    is_inert(error);
    match error {
        Error::Mirrors(all) => all.iter().for_each(is_usual),
        Error::Refused(_) | Error::Fetch { .. } | Error::NoTarget(_) | Error::NotHere { .. } | Error::Path(_) => {}
        other => panic!("{other:?}"),
    }
}
