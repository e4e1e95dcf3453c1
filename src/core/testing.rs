//! Keys and small repositories for the tests of this package. Keys are seeded, so every run has the same bytes.

use crate::json::{Members, Value};
use crate::key::PublicKey;
use crate::metadata::build::{self, Keyholders};
use crate::metadata::envelope::assemble;
use crate::metadata::fields::MetaFile;
use crate::metadata::targets::Target;
use crate::payload::Payload;
use crate::time::Timestamp;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use ed25519_dalek::Signer as _;

/// A private key.
#[derive(Clone)]
pub(crate) enum Key {
    P256(p256::ecdsa::SigningKey),
    Ed(ed25519_dalek::SigningKey),
}

/// The P-256 key with this number.
pub(crate) fn ec(number: u8) -> Key {
    Key::P256(p256::ecdsa::SigningKey::from_slice(&[number.max(1); 32]).unwrap())
}

/// The Ed25519 key with this number.
pub(crate) fn ed(number: u8) -> Key {
    Key::Ed(ed25519_dalek::SigningKey::from_bytes(&[number; 32]))
}

impl Key {
    pub(crate) fn public(&self) -> PublicKey {
        match self {
            Self::P256(key) => PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap(),
            Self::Ed(key) => PublicKey::from_ed25519(key.verifying_key().as_bytes()).unwrap(),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            Self::Ed(key) => key.sign(message).to_bytes().to_vec(),
        }
    }

    pub(crate) fn id(&self) -> String {
        build::new_key_id(&self.public()).unwrap()
    }
}

/// `2026-01-01T00:00:00Z`
pub(crate) fn now() -> Timestamp {
    Timestamp::from_day("2026-01-01").unwrap()
}

pub(crate) fn keyholders(keys: &[Key], threshold: u64) -> Keyholders {
    Keyholders { keys: keys.iter().map(Key::public).collect(), threshold }
}

/// The file with this payload, signed by these keys under their own ids.
pub(crate) fn file(payload: &Payload, keys: &[Key]) -> Vec<u8> {
    assemble(payload, keys.iter().map(|key| (key.id(), key.sign(payload.bytes()))))
}

/// The payload with changed members.
pub(crate) fn changed(payload: &Payload, change: impl FnOnce(&mut Members)) -> Payload {
    let Value::Obj(mut members) = Payload::read(payload.bytes()).unwrap().1 else { unreachable!() };
    change(&mut members);
    Payload::of(&Value::Obj(members))
}

/// A repository that tests change and publish: three holders of which two must sign, one online key.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) holders: Vec<Key>,
    pub(crate) online: Key,
    pub(crate) root: build::Root,
    pub(crate) targets: build::Targets,
    pub(crate) snapshot: build::Snapshot,
    pub(crate) timestamp: build::Timestamp,
}

/// The four files as published.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) root: Vec<u8>,
    pub(crate) targets: Vec<u8>,
    pub(crate) snapshot: Vec<u8>,
    pub(crate) timestamp: Vec<u8>,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let (holders, online) = (Vec::from([ec(1), ec(2), ed(3)]), ed(9));
        let expires = now().plus_days(100);
        let targets = BTreeMap::from([("a.txt".to_string(), Target::of(b"a"))]);
        let one = Keyholders { keys: [online.public()].into(), threshold: 1 };
        Self {
            root: build::Root {
                version: 1,
                expires,
                root: keyholders(&holders, 2),
                targets: keyholders(&holders, 2),
                snapshot: one.clone(),
                timestamp: one,
                extra: BTreeMap::from([("x-trustroot-record".to_string(), Value::from("none"))]),
            },
            targets: build::Targets { version: 1, expires, targets, delegations: None, extra: BTreeMap::new() },
            snapshot: build::Snapshot { version: 1, expires, meta: BTreeMap::new() },
            timestamp: build::Timestamp { version: 1, expires, snapshot: MetaFile::of(1, b"") },
            holders,
            online,
        }
    }

    /// Writes lengths, hashes and versions through and signs everything.
    pub(crate) fn publish(&mut self) -> Published {
        let root = file(&self.root.payload().unwrap(), &self.holders);
        let targets = file(&self.targets.payload().unwrap(), &self.holders);
        let meta = MetaFile::of(self.targets.version, &targets);
        self.snapshot.meta.insert("targets.json".to_string(), meta);
        let snapshot = file(&self.snapshot.payload().unwrap(), core::slice::from_ref(&self.online));
        self.timestamp.snapshot = MetaFile::of(self.snapshot.version, &snapshot);
        let timestamp = file(&self.timestamp.payload().unwrap(), core::slice::from_ref(&self.online));
        Published { root, targets, snapshot, timestamp }
    }
}

/// Sigstore's twelve roots by file name, from the folder of public test data.
///
/// # Panics
/// If it is not there: whoever asks for the feature `public-data` has the data.
#[cfg(feature = "public-data")]
pub(crate) fn sigstore() -> BTreeMap<String, Vec<u8>> {
    let beside = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("TRUSTROOT_CORPUS").map_or(beside, std::path::PathBuf::from);
    let roots = folder.join("sigstore-roots");
    assert!(
        roots.is_dir(),
        "{} holds no `sigstore-roots`. Set TRUSTROOT_CORPUS to the folder of public test data, which has Sigstore's \
         N.root.json (sigstore/root-signing, metadata/root_history/) in `sigstore-roots`.",
        folder.display()
    );
    let read = |number: u64| {
        let name = alloc::format!("{number}.root.json");
        let bytes = std::fs::read(roots.join(&name)).unwrap();
        (name, bytes)
    };
    (1..=12).map(read).collect()
}
