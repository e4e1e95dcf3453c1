//! What holds of the client's folder after each step, judged without the client's own rules: signatures are counted here, with
//! another library, and versions compared.

use super::owners::payload;
use crate::simulator;
use ed25519_dalek::{Signature, VerifyingKey};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use trustroot_core::digest::Digest;
use trustroot_core::json::{self, Value};
use trustroot_core::payload::Payload;

/// What lies in a folder, by its path there.
pub type Kept = BTreeMap<String, Vec<u8>>;

/// Every file below `folder`.
pub fn kept(folder: &Path) -> Kept {
    fn look(top: &Path, folder: &Path, found: &mut Kept) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                look(top, &path, found);
                continue;
            }
            let name = path.strip_prefix(top).expect("below the top").to_str().expect("a name").to_owned();
            found.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
    let mut found = Kept::new();
    look(folder, folder, &mut found);
    found
}

fn signed(bytes: &[u8]) -> Value {
    json::parse(bytes).expect("what is kept is JSON").get("signed").cloned().expect("what is kept was signed")
}

/// The version that a file of metadata says it has.
pub fn version(bytes: &[u8]) -> u64 {
    signed(bytes).get("version").and_then(Value::as_u64).expect("what is kept has a version")
}

/// Whether as many of the keys as a role needs have signed these bytes. `of` holds the keys, `role` their ids.
fn has_quorum(bytes: &[u8], of: &Value, role: &Value) -> bool {
    let file = json::parse(bytes).expect("JSON");
    let payload = payload(bytes);
    let mut good = BTreeSet::new();
    for one in file.get("signatures").and_then(Value::as_arr).unwrap_or_default() {
        let text = |name: &str| one.get(name).and_then(Value::as_str);
        let (Some(id), Some(sig)) = (text("keyid"), text("sig").and_then(from_hex)) else { continue };
        let ids = role.get("keyids").and_then(Value::as_arr).unwrap_or_default();
        if !ids.iter().any(|listed| listed.as_str() == Some(id)) {
            continue;
        }
        let public = || from_hex(of.get("keys")?.get(id)?.get("keyval")?.get("public")?.as_str()?)?.try_into().ok();
        let Some(public): Option<[u8; 32]> = public() else { continue };
        let (Ok(key), Ok(sig)) = (VerifyingKey::from_bytes(&public), Signature::from_slice(&sig)) else { continue };
        let parts = [b"strict", &public[..], &sig.to_bytes(), payload.bytes()];
        if remembered(&parts, || key.verify_strict(payload.bytes(), &sig).is_ok()) {
            good.insert(public);
        }
    }
    role.get("threshold").and_then(Value::as_u64).is_some_and(|least| least > 0 && good.len() as u64 >= least)
}

/// What a check of signatures said about the same bytes before, or says now. Most inputs have the same files, and checking
/// them takes most of the time.
pub fn remembered(parts: &[&[u8]], ask: impl FnOnce() -> bool) -> bool {
    static SAID: LazyLock<Mutex<BTreeMap<Digest, bool>>> = LazyLock::new(Mutex::default);
    let lengths = parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes());
    let digest = Digest::of(&lengths.chain(parts.concat()).collect::<Vec<u8>>());
    if let Some(said) = SAID.lock().unwrap().get(&digest) {
        return *said;
    }
    let said = ask();
    let mut all = SAID.lock().unwrap();
    if all.len() >= 4096 {
        all.clear();
    }
    all.insert(digest, said);
    said
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

/// Whether a quorum of a role of this root signed these bytes. What is no root has no role.
fn of_root(root: &[u8], name: &str, bytes: &[u8]) -> bool {
    let root = signed(root);
    root.get("roles").and_then(|roles| roles.get(name)).is_some_and(|role| has_quorum(bytes, &root, role))
}

fn is_delegated(bytes: &[u8], by: &[u8]) -> bool {
    let by = signed(by);
    let Some(delegations) = by.get("delegations") else { return false };
    let roles = delegations.get("roles").and_then(Value::as_arr).unwrap_or_default();
    roles.iter().chain(delegations.get("succinct_roles")).any(|role| has_quorum(bytes, delegations, role))
}

/// One step of the client, as it is seen from outside.
pub struct Step<'a> {
    /// Whether signatures counted only where they were good.
    pub real: bool,
    /// What lay in the folder before.
    pub before: &'a Kept,
    /// What lies in it now.
    pub after: &'a Kept,
    /// The files that were sent whole in this step, by the name that was asked for.
    pub sent: &'a BTreeMap<String, Vec<Vec<u8>>>,
    /// The versions of the roots that the client said it believes, in their order.
    pub believed: &'a [u64],
}

impl Step<'_> {
    /// Holds the step to everything that is promised.
    pub fn holds(&self) {
        for name in self.after.keys() {
            assert!([".lock", ".turn"].contains(&name.as_str()) || name.ends_with(".json"), "{name} lies there");
            assert!(!name.contains(['/', '\\']), "{name} lies there");
        }
        let chain = self.chain();
        let sent: BTreeSet<&Vec<u8>> = self.sent.values().flatten().collect();
        for (name, bytes) in self.after.iter().filter(|(name, _)| name.ends_with(".json")) {
            version(bytes);
            if self.before.get(name) == Some(bytes) {
                continue;
            }
            assert!(sent.contains(bytes), "{name} is not as it was sent");
            let role = name.trim_end_matches(".json");
            let good = match role {
                "root" => chain.last().expect("a root").contains(&bytes),
                "timestamp" | "snapshot" | "targets" => chain.iter().flatten().any(|root| of_root(root, role, bytes)),
                _ => self.after.values().any(|by| by.first() == Some(&b'{') && is_delegated(bytes, by)),
            };
            assert!(!self.real || good, "{name} was signed by too few");
        }
        let keys: BTreeSet<_> = chain.iter().flatten().map(|root| online(root)).collect();
        let rotated = keys.len() > 1;
        for (name, old) in self.before.iter().filter(|(name, _)| name.ends_with(".json")) {
            let new = self.after.get(name);
            assert!(new.is_some() || rotated, "{name} is gone");
            let back = new.is_some_and(|new| version(new) < version(old));
            assert!(!back || rotated && name != "root.json", "{name} goes back from {}", version(old));
        }
    }

    /// The roots from the one before to the newest, as far as each has the quorum of the one before it and its own. Where two
    /// mirrors sent two for one version, both may stand there.
    fn chain(&self) -> Vec<Vec<&Vec<u8>>> {
        let mut chain = vec![Vec::from([&self.before["root.json"]])];
        for number in self.believed {
            let last = chain.last().expect("a root");
            let is_next = |root: &Vec<u8>| {
                let file = json::parse(root).ok();
                file.and_then(|file| file.get("signed")?.get("version")?.as_u64()) == Some(*number)
            };
            let follows = |root: &&Vec<u8>| {
                let signed = || of_root(root, "root", root) && last.iter().any(|old| of_root(old, "root", root));
                is_next(root) && (!self.real || signed())
            };
            let sent = self.sent.get(&format!("{number}.root.json")).into_iter().flatten();
            let next: Vec<_> = sent.filter(follows).collect();
            assert!(!next.is_empty(), "root {number} is believed, and signed by too few");
            chain.push(next);
        }
        chain
    }
}

/// The roles of timestamp and snapshot, and their keys.
fn online(root: &[u8]) -> BTreeSet<Digest> {
    let root = signed(root);
    let roles = ["timestamp", "snapshot"].map(|role| root.get("roles").and_then(|roles| roles.get(role)));
    let ids = roles.iter().flatten().flat_map(|role| role.get("keyids").and_then(Value::as_arr).unwrap_or_default());
    let keys = ids.filter_map(|id| root.get("keys")?.get(id.as_str()?));
    roles.into_iter().flatten().chain(keys).map(|part| Payload::of(part).digest()).collect()
}

/// Nothing of foreign text moves a cursor.
pub fn is_inert(error: &trustroot_client::Error) {
    let said = format!("{error} {}", error.hint());
    assert!(!said.contains(char::is_control), "{said:?}");
    assert!(said.len() < 16 << 10, "{} bytes are said", said.len());
}

/// The moment at which a round is judged, by a few choices.
pub fn clock(choice: usize) -> trustroot_core::time::Timestamp {
    const DAYS: [i64; 8] = [0, 0, 1, 9, 11, 21, 4000, -4000];
    simulator::now().plus_days(DAYS[choice % DAYS.len()])
}
