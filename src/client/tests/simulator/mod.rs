//! A repository in memory, served over HTTP on this machine, that a test can change, publish and damage.
//!
//! What is published is appended; nothing is taken back unless a test attacks. Keys are seeded. A test that fails can be
//! looked at: where `TRUSTROOT_DUMP` names a folder, [`Repository::dump`] writes what was served into it.
#![allow(dead_code, missing_docs, unreachable_pub)]

use ed25519_dalek::Signer as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trustroot_client::source::{self, Source};
use trustroot_client::{Client, Error, Limits, Session};
use trustroot_core::check::Check;
use trustroot_core::digest::Digest;
use trustroot_core::json::Value;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::new_key_id;
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::tufkey::new_form;
use trustroot_core::payload::Payload;
use trustroot_core::time::Timestamp;

/// The time at which every test begins.
pub fn now() -> Timestamp {
    Timestamp::from_day("2026-01-01").unwrap()
}

/// The Ed25519 key with this number.
pub fn key(number: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> PublicKey {
    PublicKey::from_ed25519(key(number).verifying_key().as_bytes()).unwrap()
}

fn id(number: u8) -> String {
    new_key_id(&public(number)).unwrap()
}

/// Keys by their numbers, and how many must sign.
#[derive(Clone)]
pub struct Keys {
    pub numbers: Vec<u8>,
    pub threshold: u64,
    /// Who signs; everybody, unless a test says otherwise.
    pub signers: Vec<u8>,
}

pub fn keys(numbers: &[u8], threshold: u64) -> Keys {
    Keys { numbers: numbers.to_vec(), threshold, signers: numbers.to_vec() }
}

impl Keys {
    fn object(&self) -> Vec<(String, Value)> {
        self.numbers.iter().map(|number| (id(*number), new_form(&public(*number)).unwrap())).collect()
    }

    fn role(&self) -> Value {
        let ids = self.numbers.iter().map(|number| Value::Str(id(*number))).collect();
        Value::from([("keyids", Value::Arr(ids)), ("threshold", Value::from(self.threshold))])
    }

    pub fn sign(&self, payload: &Payload) -> Vec<u8> {
        let sign = |number: &u8| (id(*number), key(*number).sign(payload.bytes()).to_bytes().to_vec());
        assemble(payload, self.signers.iter().map(sign))
    }
}

/// A delegation of one targets file to another.
#[derive(Clone)]
pub struct Delegation {
    pub name: String,
    pub keys: Keys,
    pub paths: Vec<&'static str>,
    pub prefixes: Vec<String>,
    pub terminating: bool,
}

pub fn to(name: &str, number: u8, paths: &[&'static str]) -> Delegation {
    let keys = keys(&[number], 1);
    Delegation { name: name.to_owned(), keys, paths: paths.to_vec(), prefixes: Vec::new(), terminating: false }
}

/// What a targets file says.
#[derive(Clone)]
pub struct Targets {
    pub version: u64,
    pub expires: Timestamp,
    pub files: BTreeMap<String, Vec<u8>>,
    pub to: Vec<Delegation>,
    /// Hash bins: the bits, the prefix of their names, and their key.
    pub bins: Option<(u64, &'static str, u8)>,
    pub keys: Keys,
}

pub fn targets(number: u8) -> Targets {
    let (files, to, keys) = (BTreeMap::new(), Vec::new(), keys(&[number], 1));
    Targets { version: 0, expires: now().plus_days(30), files, to, bins: None, keys }
}

/// The repository; every field may be changed before the next [`Self::publish`].
pub struct Repository {
    pub root: u64,
    pub snapshot: u64,
    pub timestamp: u64,
    pub root_expires: Timestamp,
    pub snapshot_expires: Timestamp,
    pub timestamp_expires: Timestamp,
    pub consistent: bool,
    pub hashes: bool,
    pub root_keys: Keys,
    pub snapshot_keys: Keys,
    pub timestamp_keys: Keys,
    /// By role; `targets` is the top-level one.
    pub targets: BTreeMap<String, Targets>,
    /// What is said of each targets file in the snapshot, where a test does not want the truth: its version.
    pub meta: BTreeMap<String, u64>,
    /// Who signed the root before this one; they sign the next one too.
    before: Vec<u8>,
    pub server: Server,
}

impl Repository {
    /// One version of everything, published.
    pub fn new() -> Self {
        let mut repository = Self {
            root: 0,
            snapshot: 0,
            timestamp: 0,
            root_expires: now().plus_days(100),
            snapshot_expires: now().plus_days(20),
            timestamp_expires: now().plus_days(10),
            consistent: true,
            hashes: true,
            root_keys: keys(&[1, 2, 3], 2),
            snapshot_keys: keys(&[11], 1),
            timestamp_keys: keys(&[12], 1),
            targets: BTreeMap::from([("targets".to_owned(), targets(13))]),
            meta: BTreeMap::new(),
            before: Vec::new(),
            server: Server::start(),
        };
        repository.publish_root();
        repository.publish();
        repository
    }

    /// What a client is at that has everything: root, timestamp, snapshot, targets.
    pub fn versions(&self) -> [u64; 4] {
        [self.root, self.timestamp, self.snapshot, self.targets["targets"].version]
    }

    pub fn top(&mut self) -> &mut Targets {
        self.targets.get_mut("targets").unwrap()
    }

    /// Signs the next root, by its own keys and by those of the one before.
    pub fn publish_root(&mut self) {
        self.root += 1;
        let payload = self.root_payload();
        let mut signers = self.root_keys.clone();
        signers.signers.extend(self.before.clone());
        let bytes = signers.sign(&payload);
        self.before = self.root_keys.signers.clone();
        self.server.put(&format!("metadata/{}.root.json", self.root), bytes);
    }

    pub fn root_payload(&self) -> Payload {
        let top = &self.targets["targets"].keys;
        let all = [&self.root_keys, top, &self.snapshot_keys, &self.timestamp_keys];
        let roles = Value::from([
            ("root", self.root_keys.role()),
            ("targets", top.role()),
            ("snapshot", self.snapshot_keys.role()),
            ("timestamp", self.timestamp_keys.role()),
        ]);
        let keys = Value::Obj(all.iter().flat_map(|keys| keys.object()).collect());
        let body = [("consistent_snapshot", Value::Bool(self.consistent)), ("keys", keys), ("roles", roles)];
        payload("root", self.root, self.root_expires, body.into())
    }

    /// Publishes all targets files in a new version each, and everything above them.
    pub fn publish(&mut self) {
        for targets in self.targets.values_mut() {
            targets.version += 1;
        }
        self.publish_as_it_is();
    }

    /// As [`Self::publish`], without counting the targets files up.
    pub fn publish_as_it_is(&mut self) {
        self.snapshot += 1;
        let mut meta = BTreeMap::new();
        for (role, targets) in &self.targets.clone() {
            let bytes = targets.keys.sign(&targets.payload());
            let version = self.meta.get(role).copied().unwrap_or(targets.version);
            meta.insert(format!("{role}.json"), self.promise(version, &bytes));
            self.put(role, targets.version, bytes);
            for (path, content) in &targets.files {
                let hash = Digest::of(content);
                let name = match path.rsplit_once('/') {
                    _ if !self.consistent => path.clone(),
                    Some((folder, name)) => format!("{folder}/{hash}.{name}"),
                    None => format!("{hash}.{path}"),
                };
                self.server.put(&format!("targets/{name}"), content.clone());
            }
        }
        let body = Vec::from([("meta", Value::from(meta))]);
        let snapshot = self.snapshot_keys.sign(&payload("snapshot", self.snapshot, self.snapshot_expires, body));
        self.put("snapshot", self.snapshot, snapshot.clone());
        self.publish_timestamp(self.snapshot, &snapshot);
    }

    /// Publishes a timestamp that names this snapshot.
    pub fn publish_timestamp(&mut self, version: u64, snapshot: &[u8]) {
        self.timestamp += 1;
        let meta = Value::from([("snapshot.json", self.promise(version, snapshot))]);
        let body = Vec::from([("meta", meta)]);
        let bytes = self.timestamp_keys.sign(&payload("timestamp", self.timestamp, self.timestamp_expires, body));
        self.server.put("metadata/timestamp.json", bytes);
    }

    fn promise(&self, version: u64, bytes: &[u8]) -> Value {
        let hashes = Value::from([("sha256", Value::Str(Digest::of(bytes).to_string()))]);
        if !self.hashes {
            return Value::from([("version", Value::from(version))]);
        }
        Value::from([("version", version.into()), ("length", (bytes.len() as u64).into()), ("hashes", hashes)])
    }

    fn put(&self, role: &str, version: u64, bytes: Vec<u8>) {
        let role: String = role
            .bytes()
            .map(|b| {
                let plain = b.is_ascii_alphanumeric() || b"-._~".contains(&b);
                if plain { char::from(b).to_string() } else { format!("%{b:02X}") }
            })
            .collect();
        let number = if self.consistent { format!("{version}.") } else { String::new() };
        self.server.put(&format!("metadata/{number}{role}.json"), bytes);
    }

    /// Writes what is served into the folder that `TRUSTROOT_DUMP` names, below `name`.
    pub fn dump(&self, name: &str) {
        let Some(folder) = std::env::var_os("TRUSTROOT_DUMP") else { return };
        for (path, bytes) in &self.server.state.lock().unwrap().files {
            let path = Path::new(&folder).join(name).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dump(std::thread::current().name().unwrap_or("case"));
        }
    }
}

pub fn payload(kind: &str, version: u64, expires: Timestamp, body: Vec<(&str, Value)>) -> Payload {
    let mut members: BTreeMap<String, Value> = body.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    members.insert("_type".to_owned(), kind.into());
    members.insert("spec_version".to_owned(), "1.0.31".into());
    members.insert("version".to_owned(), version.into());
    members.insert("expires".to_owned(), expires.to_string().into());
    Payload::of(&members.into())
}

impl Targets {
    pub fn payload(&self) -> Payload {
        let file = |(path, content): (&String, &Vec<u8>)| {
            let hashes = Value::from([("sha256", Value::Str(Digest::of(content).to_string()))]);
            (path.clone(), Value::from([("length", (content.len() as u64).into()), ("hashes", hashes)]))
        };
        let mut body = Vec::from([("targets", Value::Obj(self.files.iter().map(file).collect()))]);
        if let Some((bits, prefix, number)) = self.bins {
            let keys = keys(&[number], 1);
            let Value::Obj(mut bins) = keys.role() else { unreachable!() };
            bins.insert("bit_length".to_owned(), bits.into());
            bins.insert("name_prefix".to_owned(), prefix.into());
            let keys = Value::Obj(keys.object().into_iter().collect());
            body.push(("delegations", Value::from([("keys", keys), ("succinct_roles", Value::Obj(bins))])));
        } else if !self.to.is_empty() {
            let role = |to: &Delegation| {
                let Value::Obj(mut role) = to.keys.role() else { unreachable!() };
                role.insert("name".to_owned(), to.name.clone().into());
                role.insert("terminating".to_owned(), Value::Bool(to.terminating));
                if to.prefixes.is_empty() {
                    let paths = to.paths.iter().map(|path| Value::from(*path)).collect();
                    role.insert("paths".to_owned(), Value::Arr(paths));
                } else {
                    let prefixes = to.prefixes.iter().map(|prefix| Value::Str(prefix.clone())).collect();
                    role.insert("path_hash_prefixes".to_owned(), Value::Arr(prefixes));
                }
                Value::Obj(role)
            };
            let keys = Value::Obj(self.to.iter().flat_map(|to| to.keys.object()).collect());
            let roles = Value::Arr(self.to.iter().map(role).collect());
            body.push(("delegations", Value::from([("keys", keys), ("roles", roles)])));
        }
        payload("targets", self.version, self.expires, body)
    }
}

/// How a server misbehaves for one path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this status.
    Status(u16),
    /// It sends bytes without end.
    Endless,
    /// It sends one byte now and then.
    Drip,
    /// It breaks off in the middle, once.
    Half,
    /// It stops in the middle, once, and leaves the client waiting.
    Stuck,
    /// It gives no part of it, and the whole only.
    WholeOnly,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    faults: BTreeMap<String, Fault>,
    /// Heads of answers that have no body.
    heads: BTreeMap<String, String>,
    asked: Vec<String>,
}

/// A server on this machine.
#[derive(Clone)]
pub struct Server {
    state: Arc<Mutex<State>>,
    address: String,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { state, address }
    }

    pub fn url(&self, part: &str) -> String {
        format!("{}/{part}", self.address)
    }

    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        self.state.lock().unwrap().files.insert(path.to_owned(), bytes);
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
        self.state.lock().unwrap().files[path].clone()
    }

    pub fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path).unwrap();
    }

    /// Whether this file of the metadata is served.
    pub fn has(&self, name: &str) -> bool {
        self.state.lock().unwrap().files.contains_key(&format!("metadata/{name}"))
    }

    /// Everything that is served.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().files.clone()
    }

    pub fn fault(&self, path: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(path.to_owned(), fault);
    }

    /// Answers with this status and these lines of a head, and no body.
    pub fn answer(&self, path: &str, status: u16, lines: &str) {
        let head = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n{lines}\r\n");
        self.state.lock().unwrap().heads.insert(path.to_owned(), head);
    }

    pub fn well(&self) {
        let mut state = self.state.lock().unwrap();
        state.faults.clear();
        state.heads.clear();
    }

    /// What was asked for since the last time, in order, without `metadata/`.
    pub fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.state.lock().unwrap().asked);
        asked.into_iter().map(|path| path.trim_start_matches("metadata/").to_owned()).collect()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(first) = lines.next().transpose()? else { return Ok(()) };
        let path = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
        let mut from = 0;
        for line in lines.by_ref() {
            let line = line?.to_ascii_lowercase();
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        let (found, fault, head) = {
            let mut state = state.lock().unwrap();
            state.asked.push(path.clone());
            let fault = state.faults.get(&path).copied();
            if matches!(fault, Some(Fault::Half | Fault::Stuck)) {
                state.faults.remove(&path);
            }
            (state.files.get(&path).cloned(), fault, state.heads.get(&path).cloned())
        };
        if let Some(head) = head {
            out.write_all(head.as_bytes())?;
            continue;
        }
        match (fault, found) {
            (Some(Fault::WholeOnly), Some(_)) if from > 0 => {
                write!(out, "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n")?;
            }
            (Some(Fault::Status(status)), _) => {
                write!(out, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")?;
            }
            (Some(Fault::Endless), _) => {
                write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                loop {
                    out.write_all(&[b' '; 4096])?;
                }
            }
            (Some(Fault::Drip), Some(bytes)) => {
                write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
                for byte in bytes {
                    out.write_all(&[byte])?;
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            (_, None) => write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnone\n")?,
            (fault, Some(bytes)) => {
                let part = bytes.get(from..).unwrap_or_default();
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let range = if from > 0 {
                    format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len())
                } else {
                    String::new()
                };
                write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}\r\n", part.len())?;
                if matches!(fault, Some(Fault::Half | Fault::Stuck)) {
                    out.write_all(&part[..part.len() / 2])?;
                    // Until the client is gone.
                    return if fault == Some(Fault::Stuck) { lines.next().transpose().map(drop) } else { Ok(()) };
                }
                out.write_all(part)?;
            }
        }
    }
}

/// A repository in order, and a client that begins with its first root.
pub fn start() -> (Repository, Case) {
    let repository = Repository::new();
    let case = Case::new(&repository);
    (repository, case)
}

/// A client with a folder of its own, initialised with the first root of a repository.
pub struct Case {
    pub folder: tempfile::TempDir,
    pub limits: Limits,
    pub time: Timestamp,
}

impl Case {
    pub fn new(repository: &Repository) -> Self {
        let limits = Limits { silence: Duration::from_millis(700), ..Limits::default() };
        let case = Self { folder: tempfile::tempdir().unwrap(), limits, time: now() };
        case.client().init(&repository.server.get("metadata/1.root.json")).unwrap();
        case
    }

    pub fn client(&self) -> Client {
        Client::new(&self.folder.path().join("metadata"), self.limits.clone())
    }

    pub fn source(&self, url: &str) -> Box<dyn Source> {
        source::from_text(url, &self.limits).unwrap()
    }

    /// Refreshes, and gives the versions of root, timestamp, snapshot and targets.
    pub fn refresh(&self, repository: &Repository) -> Result<[u64; 4], Error> {
        let mirrors = [self.source(&repository.server.url("metadata"))];
        let client = self.client();
        let session = client.refresh(&mirrors, self.time)?;
        Ok(versions(&session))
    }

    /// The check that refuses the refresh.
    #[track_caller]
    pub fn refused(&self, repository: &Repository) -> Check {
        match self.refresh(repository) {
            Err(Error::Refused(refusal)) => refusal.check(),
            other => panic!("not refused by a check: {other:?}"),
        }
    }

    pub fn find(&self, repository: &Repository, path: &str) -> Result<String, Error> {
        let mirrors = [self.source(&repository.server.url("metadata"))];
        let client = self.client();
        let mut session = client.refresh(&mirrors, self.time)?;
        session.find(path).map(|found| found.role)
    }

    pub fn download(&self, repository: &Repository, path: &str) -> Result<Vec<u8>, Error> {
        let mirrors = [self.source(&repository.server.url("metadata"))];
        let client = self.client();
        let found = client.refresh(&mirrors, self.time)?.find(path)?;
        let bases = [self.source(&repository.server.url("targets"))];
        let file = client.download(&found, &bases, &self.folder.path().join("targets"))?;
        Ok(std::fs::read(file.path).unwrap())
    }

    /// What is trusted, by the files that lie here: root, timestamp, snapshot, targets; 0 for what is not there.
    pub fn here(&self) -> [u64; 4] {
        ["root", "timestamp", "snapshot", "targets"].map(|role| {
            let path = self.folder.path().join(format!("metadata/{role}.json"));
            let Ok(bytes) = std::fs::read(path) else { return 0 };
            let value = trustroot_core::json::parse(&bytes).unwrap();
            value.get("signed").unwrap().get("version").unwrap().as_u64().unwrap()
        })
    }

    /// The names in the folder of metadata that end in `.json`.
    pub fn names(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.folder.path().join("metadata")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".json")).collect()
    }
}

pub fn versions(session: &Session<'_>) -> [u64; 4] {
    let (root, timestamp, snapshot) = session.trusted().set();
    [root.version(), timestamp.version(), snapshot.version(), session.trusted().metadata().version()]
}
