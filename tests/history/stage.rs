//! Repositories as others make them: metadata signed by fixed keys, committed at fixed times, so that every commit has the
//! same id on every machine.
//!
//! Commits are made by `git fast-import`, which a test speaks to as it goes: one process, however many commits.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use p256::ecdsa::signature::Signer as _;
use tempfile::TempDir;
use trustroot::token::certificate::{Claims, DEVICE_NAME, Issuer};
use trustroot_core::attestation::anchor::certificate_to_pem;
use trustroot_core::json::Value;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{Keyholders, Root, Snapshot, Targets, Timestamp, new_key_id};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::metadata::targets::Target;
use trustroot_core::payload::Payload;
use trustroot_core::proposal::REHEARSAL;
use trustroot_core::time;

// ---------------------------------------------------------------------------------------------------------- metadata

/// A key of this number.
#[derive(Clone)]
pub(super) struct Key(pub(super) p256::ecdsa::SigningKey);

/// The holders' keys are 1 to 3, the online key is 9.
pub(super) fn key(number: u8) -> Key {
    Key(p256::ecdsa::SigningKey::from_slice(&[number; 32]).unwrap())
}

pub(super) fn holders() -> [Key; 3] {
    [key(1), key(2), key(3)]
}

impl Key {
    pub(super) fn public(&self) -> PublicKey {
        PublicKey::from_p256_point(self.0.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
    }

    pub(super) fn sign(&self, payload: &Payload) -> (String, Vec<u8>) {
        let signature: p256::ecdsa::Signature = self.0.sign(payload.bytes());
        (new_key_id(&self.public()).unwrap(), signature.to_der().as_bytes().to_vec())
    }
}

pub(super) fn signed(payload: &Payload, keys: &[Key]) -> Vec<u8> {
    assemble(payload, keys.iter().map(|key| key.sign(payload)))
}

/// So many days after the first of 2026.
pub(super) fn day(number: i64) -> time::Timestamp {
    time::Timestamp::from_day("2026-01-01").unwrap().plus_days(number)
}

pub(super) fn role(keys: &[Key], threshold: u64) -> Keyholders {
    Keyholders { keys: keys.iter().map(Key::public).collect(), threshold }
}

/// The root of the three holders, of which two must sign.
pub(super) fn plan(version: u64) -> Root {
    Root {
        version,
        expires: day(300),
        root: role(&holders(), 2),
        targets: role(&holders(), 2),
        snapshot: role(&[key(9)], 1),
        timestamp: role(&[key(9)], 1),
        extra: BTreeMap::from([(REHEARSAL.to_owned(), Value::from("yes"))]),
    }
}

/// That root, signed by all; `note` makes it another.
pub(super) fn root(version: u64, note: &str) -> Vec<u8> {
    let mut root = plan(version);
    root.extra.insert("x-trustroot-note".to_owned(), Value::from(note));
    signed(&root.payload().unwrap(), &holders())
}

/// Targets of this version, as a plan; `number` makes their one file another.
pub(super) fn files(version: u64, number: u64) -> Targets {
    let targets = BTreeMap::from([("a.txt".to_owned(), Target::of(&number.to_be_bytes()))]);
    Targets { version, expires: day(300), targets, extra: BTreeMap::new(), delegations: None }
}

pub(super) fn targets(version: u64) -> Vec<u8> {
    signed(&files(version, 0).payload().unwrap(), &holders())
}

/// Targets that delegate to the role `crates` with the key 8.
pub(super) fn delegating(version: u64) -> Vec<u8> {
    let key = key(8);
    let id = new_key_id(&key.public()).unwrap();
    let keyids = Value::Arr(vec![id.as_str().into()]);
    let pem = Value::from([("public", key.public().to_pem().into())]);
    let form = Value::from([("keytype", "ecdsa".into()), ("scheme", "ecdsa-sha2-nistp256".into()), ("keyval", pem)]);
    let role = Value::from([
        ("name", "crates".into()),
        ("keyids", keyids),
        ("threshold", 1.into()),
        ("paths", Value::Arr(vec!["crates/*".into()])),
        ("terminating", Value::Bool(true)),
    ]);
    let delegations = Value::from([("keys", Value::from([(id.as_str(), form)])), ("roles", Value::Arr(vec![role]))]);
    let targets = Targets { delegations: Some(delegations), ..files(version, 0) };
    signed(&targets.payload().unwrap(), &holders())
}

/// The delegated role's file, signed by this key.
pub(super) fn delegated(version: u64, by: u8) -> Vec<u8> {
    signed(&files(version, 7).payload().unwrap(), &[key(by)])
}

/// A snapshot of these files: name, version and bytes.
pub(super) fn snapshot(version: u64, of: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let meta = of.iter().map(|(name, version, bytes)| ((*name).to_owned(), MetaFile::of(*version, bytes))).collect();
    signed(&Snapshot { version, expires: day(200), meta }.payload().unwrap(), &[key(9)])
}

pub(super) fn timestamp(version: u64, expires: time::Timestamp, snapshot: (u64, &[u8])) -> Vec<u8> {
    let timestamp = Timestamp { version, expires, snapshot: MetaFile::of(snapshot.0, snapshot.1) };
    signed(&timestamp.payload().unwrap(), &[key(9)])
}

// ------------------------------------------------------------------------------------------------------- a repository

/// Where numbered files are served from, as Sigstore did from 2021 on.
pub(super) const SET: &str = "repository/repository";

enum Entry {
    File(Vec<u8>),
    Link(String),
    Submodule,
    Gone,
}

/// A repository that is being made.
pub(super) struct Stage {
    pub(super) folder: TempDir,
    import: Option<Import>,
    /// What the next commit changes.
    changes: BTreeMap<String, Entry>,
    branch: String,
    tips: BTreeMap<String, String>,
    merge: Option<String>,
}

/// `git fast-import`, listening.
struct Import {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it made, which it knows by number only.
    marks: Vec<String>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            import: None,
            changes: BTreeMap::new(),
            branch: "main".to_owned(),
            tips: BTreeMap::new(),
            merge: None,
        };
        stage.git(&["init", "-q", "-b", "main"]);
        stage
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.path());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    /// Runs git here, and gives what it printed.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        assert!(self.import.is_none(), "finish first");
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) {
        self.changes.insert(path.to_owned(), Entry::File(bytes.to_vec()));
    }

    pub(super) fn link(&mut self, path: &str, to: &str) {
        self.changes.insert(path.to_owned(), Entry::Link(to.to_owned()));
    }

    pub(super) fn submodule(&mut self, path: &str) {
        self.changes.insert(path.to_owned(), Entry::Submodule);
    }

    /// Takes a file or a folder away.
    pub(super) fn remove(&mut self, path: &str) {
        self.changes.insert(path.to_owned(), Entry::Gone);
    }

    /// Goes on at this branch, which begins where the last commit is if it is new.
    pub(super) fn branch(&mut self, name: &str) {
        if let Some(tip) = self.tips.get(&self.branch).cloned() {
            self.tips.entry(name.to_owned()).or_insert(tip);
        }
        self.branch = name.to_owned();
    }

    /// The next commit merges this branch.
    pub(super) fn merge(&mut self, name: &str) {
        self.merge = Some(self.tips[name].clone());
    }

    /// Goes back to a commit on this branch, as a forced push does.
    pub(super) fn reset(&mut self, commit: &str) {
        self.tips.insert(self.branch.clone(), commit.to_owned());
    }

    /// The newest commit of this branch.
    pub(super) fn tip(&self) -> String {
        self.tips[&self.branch].clone()
    }

    /// Commits what was written since, on this day; the full id.
    pub(super) fn commit(&mut self, at: i64) -> String {
        self.commit_at(day(at).unix())
    }

    /// As [`Self::commit`], so many seconds after 1970.
    pub(super) fn commit_at(&mut self, at: i64) -> String {
        let parents: Vec<String> = self.tips.get(&self.branch).cloned().into_iter().chain(self.merge.take()).collect();
        self.commit_on(&parents, at)
    }

    /// As [`Self::commit`], with these parents, at these seconds of 1970.
    pub(super) fn commit_on(&mut self, parents: &[String], at: i64) -> String {
        let changes = std::mem::take(&mut self.changes);
        let branch = self.branch.clone();
        if self.import.is_none() {
            let mut command = self.command(&["fast-import", "--quiet", "--force"]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
            self.import = Some(Import { child, input, output, marks: Vec::new() });
        }
        let import = self.import.as_mut().unwrap();
        let mut stream = Vec::new();
        // Without this a branch of this process would be the parent.
        writeln!(stream, "reset refs/heads/{branch}\n").unwrap();
        writeln!(stream, "commit refs/heads/{branch}\nmark :{}", import.marks.len() + 1).unwrap();
        writeln!(stream, "author Ada <ada@example.org> {at} +0000\ncommitter Ada <ada@example.org> {at} +0000")
            .unwrap();
        writeln!(stream, "data 6\nchange").unwrap();
        for (number, parent) in parents.iter().enumerate() {
            let word = if number == 0 { "from" } else { "merge" };
            match import.marks.iter().rposition(|made| made == parent) {
                Some(mark) => writeln!(stream, "{word} :{}", mark + 1).unwrap(),
                None => writeln!(stream, "{word} {parent}").unwrap(),
            }
        }
        let data = |stream: &mut Vec<u8>, bytes: &[u8]| {
            writeln!(stream, "data {}", bytes.len()).unwrap();
            stream.extend(bytes);
            stream.push(b'\n');
        };
        for (path, entry) in changes {
            match entry {
                Entry::File(bytes) => {
                    writeln!(stream, "M 100644 inline {path}").unwrap();
                    data(&mut stream, &bytes);
                }
                Entry::Link(to) => {
                    writeln!(stream, "M 120000 inline {path}").unwrap();
                    data(&mut stream, to.as_bytes());
                }
                Entry::Submodule => writeln!(stream, "M 160000 {} {path}", "1".repeat(40)).unwrap(),
                Entry::Gone => writeln!(stream, "D {path}").unwrap(),
            }
        }
        writeln!(stream, "get-mark :{}", import.marks.len() + 1).unwrap();
        import.input.write_all(&stream).unwrap();
        import.input.flush().unwrap();
        let mut id = String::new();
        import.output.read_line(&mut id).unwrap();
        let id = id.trim().to_owned();
        assert_eq!(id.len(), 40, "git fast-import did not take {parents:?}");
        import.marks.push(id.clone());
        self.tips.insert(branch, id.clone());
        id
    }

    /// Lets everything be written.
    pub(super) fn finish(&mut self) {
        if let Some(Import { mut child, input, output, .. }) = self.import.take() {
            drop((input, output));
            assert!(child.wait().unwrap().success());
        }
    }

    /// Writes targets, snapshot and timestamp of this version, the last good until a day.
    pub(super) fn set(&mut self, version: u64, until: i64) {
        let targets = targets(version);
        let snapshot = snapshot(version, &[("targets.json", version, &targets)]);
        self.write(&format!("{SET}/{version}.targets.json"), &targets);
        self.write(&format!("{SET}/{version}.snapshot.json"), &snapshot);
        self.write(&format!("{SET}/timestamp.json"), &timestamp(version, day(until), (version, &snapshot)));
    }

    /// The same under plain names in a source, with `metadata/root_history/` beside.
    pub(super) fn source(&mut self, version: u64, until: i64) {
        let targets = targets(version);
        let snapshot = snapshot(version, &[("targets.json", version, &targets)]);
        self.write("metadata/targets.json", &targets);
        self.write("metadata/snapshot.json", &snapshot);
        self.write("metadata/timestamp.json", &timestamp(version, day(until), (version, &snapshot)));
    }

    /// The attestation of a holder's key, as Sigstore laid them down.
    pub(super) fn attest(&mut self, number: u8, firmware: (u8, u8, u8)) {
        let claims = Claims { serial: serial(number), firmware, pin: 3, touch: 2, slot: "9c".to_owned() };
        self.attest_as(number, &claims, firmware);
    }

    /// An attestation with these claims, and the certificate of a device of this firmware.
    pub(super) fn attest_as(&mut self, number: u8, claims: &Claims, firmware: (u8, u8, u8)) {
        let device = Issuer::new(DEVICE_NAME, key(21).0);
        let slot = device.attest(key(number).0.verifying_key(), claims);
        let device = device.certificate(&Issuer::rehearsal(), 0, Some(firmware));
        self.write(&evidence(number, "key_cert"), certificate_to_pem(&slot).unwrap().as_bytes());
        self.write(&evidence(number, "device_cert"), certificate_to_pem(&device).unwrap().as_bytes());
        self.write(&evidence(number, "pubkey"), key(number).public().to_pem().as_bytes());
    }

    /// Three attested holders, and one root that is served.
    pub(super) fn begun() -> Self {
        let mut stage = Self::new();
        (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
        stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
        stage.set(1, 20);
        stage.commit(1);
        stage
    }

    /// A repository without any trouble: three attested holders, two roots, a draft on the way, renewed in time.
    pub(super) fn clean() -> Self {
        let mut stage = Self::new();
        (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
        stage.write("ceremony/2026-01-01/staged/root.json", &root(1, ""));
        stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
        stage.set(1, 20);
        stage.commit(1);
        stage.write(&format!("{SET}/2.root.json"), &root(2, ""));
        stage.set(2, 40);
        stage.commit(10);
        stage
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut import) = self.import.take() {
            let _ = import.child.kill();
            let _ = import.child.wait();
        }
    }
}

pub(super) fn serial(number: u8) -> u32 {
    13_000_000 + u32::from(number)
}

/// Where Sigstore laid what proves a holder's key.
pub(super) fn evidence(number: u8, what: &str) -> String {
    let serial = serial(number);
    format!("ceremony/2026-01-01/keys/{serial}/{serial}_{what}.pem")
}
