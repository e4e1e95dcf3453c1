//! What all vectors are made with: seeded keys, a small repository, and changes to JSON by path.

use std::collections::BTreeMap;

use p256::ecdsa::signature::Signer as _;
use trustroot_core::json::{self, Value};
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{Keyholders, Root, Snapshot, Targets, Timestamp, new_key_id};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::metadata::targets::Target;
use trustroot_core::payload::Payload;
use trustroot_core::time;

/// A P-256 key; its signatures are those of RFC 6979, so vectors have the same bytes each time.
#[derive(Clone)]
pub(crate) struct Key(p256::ecdsa::SigningKey);

/// The key with this number, from 1.
pub(crate) fn key(number: u8) -> Key {
    Key(p256::ecdsa::SigningKey::from_slice(&[number; 32]).unwrap())
}

impl Key {
    pub(crate) fn signing(&self) -> p256::ecdsa::SigningKey {
        self.0.clone()
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_p256_point(self.0.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
    }

    pub(crate) fn id(&self) -> String {
        new_key_id(&self.public()).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: p256::ecdsa::Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

/// The holders of root and targets, of which [`THRESHOLD`] must sign.
pub(crate) fn holders() -> [Key; 3] {
    [key(1), key(2), key(3)]
}

pub(crate) const THRESHOLD: u64 = 2;

/// The key of snapshot and timestamp.
pub(crate) fn online() -> Key {
    key(9)
}

/// The time that is asked about wherever one is.
pub(crate) fn now() -> time::Timestamp {
    time::Timestamp::from_day("2026-01-05").unwrap()
}

fn expires() -> time::Timestamp {
    now().plus_days(100)
}

fn role(keys: &[Key], threshold: u64) -> Keyholders {
    Keyholders { keys: keys.iter().map(Key::public).collect(), threshold }
}

/// The payload of a root of these holders.
pub(crate) fn root_of(version: u64, holders: &[Key]) -> Value {
    let online = || role(&[online()], 1);
    let root = Root {
        version,
        expires: expires(),
        root: role(holders, THRESHOLD),
        targets: role(holders, THRESHOLD),
        snapshot: online(),
        timestamp: online(),
        extra: BTreeMap::from([("x-trustroot-note".to_owned(), Value::from("none"))]),
    };
    value(&root.payload().unwrap())
}

/// The payload of the root that stands unchanged beside the vectors.
pub(crate) fn root() -> Value {
    root_of(1, &holders())
}

pub(crate) fn targets() -> Value {
    let targets = BTreeMap::from([("a.txt".to_owned(), Target::of(b"a"))]);
    value(
        &Targets { version: 1, expires: expires(), targets, delegations: None, extra: BTreeMap::new() }
            .payload()
            .unwrap(),
    )
}

pub(crate) fn snapshot() -> Value {
    let meta = BTreeMap::from([("targets.json".to_owned(), MetaFile::of(1, &signed(&targets(), &holders())))]);
    value(&Snapshot { version: 1, expires: expires(), meta }.payload().unwrap())
}

pub(crate) fn timestamp() -> Value {
    let snapshot = MetaFile::of(1, &signed(&snapshot(), &[online()]));
    value(&Timestamp { version: 1, expires: expires(), snapshot }.payload().unwrap())
}

fn value(payload: &Payload) -> Value {
    Payload::read(payload.bytes()).unwrap().1
}

/// The file of this payload, signed by these keys under their own ids.
pub(crate) fn signed(payload: &Value, keys: &[Key]) -> Vec<u8> {
    let payload = Payload::of(payload);
    assemble(&payload, keys.iter().map(|key| (key.id(), key.sign(payload.bytes()))))
}

/// The member at this path, made if it is not there.
pub(crate) fn at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Value {
    let Some((first, rest)) = path.split_first() else { return value };
    let Value::Obj(members) = value else { panic!("{first}: not an object") };
    if !members.contains_key(first) {
        members.insert((*first).to_owned(), Value::Null);
    }
    at(members.get_mut(first).unwrap(), rest)
}

/// `value` with another member at this path.
pub(crate) fn with(mut value: Value, path: &[&str], new: impl Into<Value>) -> Value {
    *at(&mut value, path) = new.into();
    value
}

/// `value` without the member at this path.
pub(crate) fn without(mut value: Value, path: &[&str], name: &str) -> Value {
    let Value::Obj(members) = at(&mut value, path) else { panic!("{path:?}: not an object") };
    members.remove(name).unwrap();
    value
}

/// Reads JSON that is written here.
pub(crate) fn read(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap()
}

/// `bytes` with the one place that says `old` saying `new`.
pub(crate) fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1).into_bytes()
}
