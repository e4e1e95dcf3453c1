//! What the owners published, at three moments: as it began; later, with new keys and more roots; and after they learned which
//! keys were lost, and replaced them all.

use crate::simulator::{self, Repository, keys, targets, to};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use trustroot_core::digest::Digest;
use trustroot_core::json;
use trustroot_core::payload::Payload;

/// What is served, by path: below `metadata/` and `targets/`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The numbers of the keys that the mirror has: one of two that a root needs, and all others of the first two moments but that
/// of the bins.
pub const LOST: [u8; 7] = [1, 11, 12, 13, 22, 30, 31];

/// The targets that are there, and what is in them.
pub const TARGETS: [(&str, &[u8]); 3] = [("a.txt", b"a"), ("inner/b.txt", b"content"), ("deep/c", b"")];

/// A repository with consistent snapshots or without.
pub struct Owners {
    pub moments: Vec<Files>,
    /// The digests of the payloads that they signed.
    pub signed: BTreeSet<Digest>,
}

/// Without consistent snapshots, and with.
pub static OWNERS: LazyLock<[Owners; 2]> = LazyLock::new(|| [false, true].map(Owners::new));

impl Owners {
    fn new(consistent: bool) -> Self {
        let mut repository = Repository::new();
        repository.consistent = consistent;
        repository.root = 0;
        let content = |number: usize| BTreeMap::from([(TARGETS[number].0.to_owned(), TARGETS[number].1.to_vec())]);
        repository.top().files = content(0);
        let delegations = |inner, other| {
            vec![to("inner", inner, &["inner/*"]), to("deep", other, &["deep/*"]), to("../up", other, &["*"])]
        };
        repository.top().to = delegations(30, 31);
        let deep = simulator::Targets { bins: Some((1, "bin", 33)), ..targets(31) };
        let bin = simulator::Targets { files: content(2), ..targets(33) };
        let inner = simulator::Targets { files: content(1), ..targets(30) };
        let others = [("inner", inner), ("../up", targets(31)), ("deep", deep), ("bin-0", bin.clone()), ("bin-1", bin)];
        repository.targets.extend(others.map(|(name, role)| (name.to_owned(), role)));
        repository.publish_root();
        repository.publish_root();
        repository.publish();
        let first = repository.server.files();
        repository.timestamp_keys = keys(&[22], 1);
        for _ in 0..5 {
            repository.publish_root();
        }
        repository.publish();
        let second = repository.server.files();
        repository.root_keys = keys(&[2, 3, 4], 2);
        (repository.snapshot_keys, repository.timestamp_keys) = (keys(&[41], 1), keys(&[42], 1));
        (repository.snapshot, repository.timestamp) = (0, 0);
        repository.top().keys = keys(&[43], 1);
        repository.top().to = delegations(44, 45);
        for (name, number) in [("inner", 44), ("deep", 45), ("../up", 45)] {
            repository.targets.get_mut(name).unwrap().keys = keys(&[number], 1);
        }
        repository.publish_root();
        repository.publish();
        let moments = vec![first, second, repository.server.files()];
        let metadata = moments.iter().flatten().filter(|(path, _)| path.starts_with("metadata/"));
        let signed = metadata.map(|(_, bytes)| payload(bytes).digest()).collect();
        Self { moments, signed }
    }

    /// The moment at which nothing of the mirror's counts any more.
    pub fn newest(&self) -> &Files {
        &self.moments[2]
    }
}

/// The payload of a file of metadata that can be read.
pub fn payload(bytes: &[u8]) -> Payload {
    let file = json::parse(bytes).expect("what is kept is JSON");
    Payload::of(file.get("signed").expect("what is kept was signed"))
}

/// One of the files, or the first root that is not there.
pub fn pick(files: &Files, choice: u8) -> String {
    let place = usize::from(choice) % (files.len() + 1);
    files.keys().nth(place).cloned().unwrap_or_else(|| {
        let next = (1..).find(|n| !files.contains_key(&format!("metadata/{n}.root.json"))).unwrap_or(0);
        format!("metadata/{next}.root.json")
    })
}
