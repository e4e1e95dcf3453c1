//! A small repository, built here byte by byte, and what `tough` must say to each way of spoiling it.

use super::*;
use ed25519_dalek::Signer as _;
use p256::pkcs8::EncodePublicKey as _;
use trustroot_core::canonical;
use trustroot_core::digest::Digest;
use trustroot_core::json::{Members, Value};

const FAR: &str = "2999-01-01T00:00:00Z";
const PAST: &str = "2001-01-01T00:00:00Z";

enum Secret {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// A key with the id that the metadata uses for it, which a test may spoil.
struct Key {
    secret: Secret,
    id: String,
}

impl Key {
    fn p256(seed: u8) -> Self {
        Self::of(Secret::P256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap()))
    }

    fn ed25519(seed: u8) -> Self {
        Self::of(Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[seed; 32])))
    }

    fn of(secret: Secret) -> Self {
        let mut key = Self { secret, id: String::new() };
        key.id = Digest::of(&canonical::to_vec(&key.object())).to_string();
        key
    }

    fn object(&self) -> Value {
        let (kind, scheme, public) = match &self.secret {
            Secret::P256(key) => {
                ("ecdsa", "ecdsa-sha2-nistp256", key.verifying_key().to_public_key_pem(Default::default()).unwrap())
            }
            Secret::Ed25519(key) => {
                let hex = key.verifying_key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                ("ed25519", "ed25519", hex)
            }
        };
        Value::from([
            ("keytype", kind.into()),
            ("scheme", scheme.into()),
            ("keyval", Value::from([("public", public.into())])),
        ])
    }

    fn sign(&self, payload: &[u8]) -> Value {
        let bytes = match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(payload);
                signature.as_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(payload).to_vec(),
        };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Value::from([("keyid", self.id.as_str().into()), ("sig", hex.into())])
    }
}

fn signed(payload: Value, keys: &[&Key]) -> Vec<u8> {
    let bytes = canonical::to_vec(&payload);
    let signatures = Value::Arr(keys.iter().map(|key| key.sign(&bytes)).collect());
    let file = canonical::to_vec(&Value::from([("signatures", signatures), ("signed", payload)]));
    // Canonical form leaves the line ends of a PEM as they are; JSON asks for them to be escaped.
    String::from_utf8(file).unwrap().replace('\n', "\\n").into_bytes()
}

fn meta(version: u64, bytes: &[u8]) -> Value {
    Value::from([
        ("version", version.into()),
        ("length", (bytes.len() as u64).into()),
        ("hashes", Value::from([("sha256", Digest::of(bytes).to_string().into())])),
    ])
}

/// Two of three P-256 keys sign root and targets, an Ed25519 key signs snapshot and timestamp.
struct Repository {
    holders: Vec<Key>,
    online: Key,
    expires: &'static str,
    /// How many holders sign each root.
    signers: usize,
    /// How many roots there are.
    roots: u64,
}

impl Repository {
    fn new() -> Self {
        Self { holders: (1..=3).map(Key::p256).collect(), online: Key::ed25519(9), expires: FAR, signers: 2, roots: 2 }
    }

    fn head(&self, kind: &str, version: u64) -> [(&'static str, Value); 4] {
        [
            ("_type", kind.into()),
            ("spec_version", "1.0.31".into()),
            ("version", version.into()),
            ("expires", self.expires.into()),
        ]
    }

    fn payload<const N: usize>(&self, kind: &str, version: u64, rest: [(&'static str, Value); N]) -> Value {
        Value::Obj(self.head(kind, version).into_iter().chain(rest).map(|(name, value)| (name.into(), value)).collect())
    }

    fn root(&self, version: u64) -> Vec<u8> {
        let role = |keys: &[&Key], threshold: u64| {
            let ids = keys.iter().map(|key| key.id.as_str().into()).collect();
            Value::from([("keyids", Value::Arr(ids)), ("threshold", threshold.into())])
        };
        let holders: Vec<&Key> = self.holders.iter().collect();
        let keys = holders.iter().copied().chain([&self.online]).map(|key| (key.id.clone(), key.object())).collect();
        let roles = Value::from([
            ("root", role(&holders, 2)),
            ("targets", role(&holders, 2)),
            ("snapshot", role(&[&self.online], 1)),
            ("timestamp", role(&[&self.online], 1)),
        ]);
        let rest = [("consistent_snapshot", Value::Bool(true)), ("keys", Value::Obj(keys)), ("roles", roles)];
        signed(self.payload("root", version, rest), &holders[..self.signers])
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let holders: Vec<&Key> = self.holders.iter().take(2).collect();
        let targets = signed(self.payload("targets", 1, [("targets", Value::Obj(Members::new()))]), &holders);
        let pins = Value::from([("targets.json", meta(1, &targets))]);
        let snapshot = signed(self.payload("snapshot", 1, [("meta", pins)]), &[&self.online]);
        let pins = Value::from([("snapshot.json", meta(1, &snapshot))]);
        let timestamp = signed(self.payload("timestamp", 1, [("meta", pins)]), &[&self.online]);
        let mut files: BTreeMap<String, Vec<u8>> =
            (1..=self.roots).map(|version| (format!("{version}.root.json"), self.root(version))).collect();
        files.insert("1.targets.json".into(), targets);
        files.insert("1.snapshot.json".into(), snapshot);
        files.insert("timestamp.json".into(), timestamp);
        files
    }
}

fn judge(files: &BTreeMap<String, Vec<u8>>, enforce_expiry: bool) -> Result<(), String> {
    let now = Timestamp::parse("2026-11-22T12:00:00Z").unwrap();
    ToughClient::new(enforce_expiry).refresh(&files["1.root.json"], files, now)
}

fn refusal(repository: &Repository) -> String {
    let line = judge(&repository.files(), true).unwrap_err();
    assert!(!line.chars().any(char::is_control), "{line}");
    line
}

#[test]
fn a_good_repository_is_accepted() {
    judge(&Repository::new().files(), true).unwrap();
    judge(&Repository { roots: 1, ..Repository::new() }.files(), true).unwrap();
}

#[test]
fn a_key_id_that_is_not_the_hash_of_its_key_is_refused() {
    let mut repository = Repository::new();
    repository.holders[2].id = "00".repeat(32);
    let line = refusal(&repository);
    assert!(line.contains("Invalid key ID"), "{line}");
}

#[test]
fn too_few_signatures_are_refused() {
    let line = refusal(&Repository { signers: 1, ..Repository::new() });
    assert!(line.contains("Signature threshold of 2 not met"), "{line}");
}

#[test]
fn a_snapshot_that_is_not_the_one_promised_is_refused() {
    let repository = Repository::new();
    let mut files = repository.files();
    // One space more is the same JSON, validly signed, of another length and hash.
    let snapshot = files.get_mut("1.snapshot.json").unwrap();
    *snapshot =
        String::from_utf8(snapshot.clone()).unwrap().replacen("\"version\":1}", "\"version\":1 }", 1).into_bytes();
    let line = judge(&files, true).unwrap_err();
    assert!(line.contains("1.snapshot.json"), "{line}");
    // The same length, another hash.
    let mut files = repository.files();
    let snapshot = files.get_mut("1.snapshot.json").unwrap();
    let last = snapshot.len() - 1;
    snapshot[last] = b' ';
    let line = judge(&files, true).unwrap_err();
    assert!(line.contains("Hash mismatch"), "{line}");
}

#[test]
fn expiry_is_enforced_where_it_is_asked_for_and_the_name_says_so() {
    let files = Repository { expires: PAST, ..Repository::new() }.files();
    let line = judge(&files, true).unwrap_err();
    assert!(line.contains("xpired"), "{line}");
    judge(&files, false).unwrap();
    assert_eq!(ToughClient::new(true).name(), "tough 0.24.0");
    assert_eq!(ToughClient::new(false).name(), "tough 0.24.0 (expiry not asked)");
}

#[test]
fn the_end_is_the_newest_file() {
    let repository = Repository::new();
    for (gap, newest, role) in
        [("4.root.json", 4, "root"), ("7.targets.json", 7, "targets"), ("2.snapshot.json", 2, "snapshot")]
    {
        let mut files = repository.files();
        files.insert(gap.into(), repository.root(newest));
        let line = judge(&files, true).unwrap_err();
        assert!(line.ends_with(&format!("of {role}; the newest file is {gap}")), "{line}");
    }
    // Other spellings of a number are no numbers.
    let mut files = repository.files();
    files.insert("07.root.json".into(), Vec::new());
    files.insert("+7.root.json".into(), Vec::new());
    judge(&files, true).unwrap();
}

#[test]
fn missing_files_and_rubbish_are_refused_in_one_plain_line() {
    for name in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let mut files = Repository::new().files();
        files.remove(name);
        let line = judge(&files, true).unwrap_err();
        assert!(line.contains(name) && !line.contains("invalid/"), "{line}");
        files.insert(name.into(), b"{\"signed\": \"\x1b[2J\n\"}".to_vec());
        let line = judge(&files, true).unwrap_err();
        assert!(!line.chars().any(char::is_control), "{line}");
    }
    let mut files = Repository::new().files();
    for n in 0..=MAX_DELEGATED {
        files.insert(format!("1.role{n}.json"), Vec::new());
    }
    assert!(judge(&files, true).unwrap_err().contains("at most 1000"));
}

#[test]
fn the_longest_chain_of_delegations_fits_the_stack() {
    let repository = Repository::new();
    let online = &repository.online;
    let mut files = repository.files();
    let mut pins = BTreeMap::new();
    for n in 0..=MAX_DELEGATED {
        let name = if n == 0 { "targets".to_string() } else { format!("role{n}") };
        let mut rest = vec![("targets", Value::Obj(Members::new()))];
        if n < MAX_DELEGATED {
            let role = Value::from([
                ("name", format!("role{}", n + 1).into()),
                ("keyids", Value::Arr(vec![online.id.as_str().into()])),
                ("threshold", 1.into()),
                ("terminating", Value::Bool(false)),
                ("paths", Value::Arr(vec!["*".into()])),
            ]);
            let keys = Value::Obj([(online.id.clone(), online.object())].into());
            rest.push(("delegations", Value::from([("keys", keys), ("roles", Value::Arr(vec![role]))])));
        }
        let payload = repository.head("targets", 1).into_iter().chain(rest);
        let payload = Value::Obj(payload.map(|(name, value)| (name.into(), value)).collect());
        let signers: Vec<&Key> = if n == 0 { repository.holders.iter().collect() } else { vec![online] };
        let bytes = signed(payload, &signers);
        pins.insert(format!("{name}.json"), meta(1, &bytes));
        files.insert(format!("1.{name}.json"), bytes);
    }
    let snapshot = signed(repository.payload("snapshot", 1, [("meta", pins.into())]), &[online]);
    let pins = Value::from([("snapshot.json", meta(1, &snapshot))]);
    files.insert("timestamp.json".into(), signed(repository.payload("timestamp", 1, [("meta", pins)]), &[online]));
    files.insert("1.snapshot.json".into(), snapshot);
    judge(&files, true).unwrap();
    // The last of the chain was looked at.
    files.insert(format!("1.role{MAX_DELEGATED}.json"), Vec::new());
    assert!(judge(&files, true).is_err());
}

#[test]
fn the_version_is_the_one_in_the_lock_file() {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    assert!(lock.contains(&format!("name = \"tough\"\nversion = \"{TOUGH_VERSION}\"\n")));
    assert_eq!(lock.matches("name = \"tough\"\n").count(), 1);
}
