//! People who sit at clones of their own: a conductor, holders, and remotes between them, with real git repositories.
//!
//! What they do is written by hand here, event by event, so that a test can let them do what no program of ours would. Keys
//! are seeded and payloads are short: what is signed matters only by its digest.

#![allow(dead_code, unreachable_pub, reason = "each test uses another part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use tempfile::TempDir;
use trustroot::ledger::{GitLedger, Identity, clone};
use trustroot::seams::{Commit, Head, Ledger as _, LedgerError, Look, Remote, RemoteError, Seat};
use trustroot_core::branch::Addition;
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Deed, Event, FORMAT, StepId, TokenFacts};
use trustroot_core::json::Value;
use trustroot_core::key::PublicKey;
use trustroot_core::payload::Payload;
use trustroot_core::plan::template::{Template, template};
use trustroot_core::plan::{Plan, TokenKind};
use trustroot_core::record::Record;
use trustroot_core::replay::{Ceremony, replay};
use trustroot_core::sigfile::{SignatureFile, SignedRole};
use trustroot_core::signature::{Portable, Signed};
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;

pub fn handle(text: &str) -> Handle {
    Handle::new(text).unwrap()
}

/// The folder of everything, and the plan.
pub struct Community {
    pub folder: TempDir,
    pub plan: Plan,
    pub dir: String,
}

/// Somebody at a clone.
pub struct Desk {
    pub ledger: GitLedger,
    pub who: Handle,
    pub dir: String,
}

impl Community {
    /// A community of `threshold` of `holders`.
    pub fn new(holders: usize, threshold: u32) -> Self {
        let name = handle("genesis");
        let day = Timestamp::from_day("2026-01-05").unwrap();
        let wanted = Template {
            name: &name,
            title: "A rehearsal",
            trust_root: "Rehearsal",
            day,
            holders,
            threshold,
            rehearsal: true,
        };
        let plan = Plan::from_toml(&template(&wanted).unwrap()).unwrap();
        let dir = plan.record_dir();
        Self { folder: room(), plan, dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bare repository that serves as a remote.
    pub fn bare(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        git(self.folder.path(), &["init", "-q", "--bare", "-b", "main", path.to_str().unwrap()]);
        path
    }

    /// The conductor, at a fresh repository with these remotes, after the opening; everything is pushed.
    pub fn conductor(&self, remotes: &[&str]) -> Desk {
        let path = self.path("conductor");
        let mut ledger = GitLedger::init(&path, Some(Identity::rehearsal())).unwrap();
        for name in remotes {
            git(&path, &["remote", "add", name, self.path(name).to_str().unwrap()]);
        }
        let files = BTreeMap::from([(format!("{}/plan.json", self.dir), self.plan.to_canonical())]);
        let time = self.plan.day.plus_seconds(8 * 3600);
        ledger.append(&Commit { parent: None, files, message: "Freeze the plan".to_owned(), time }).unwrap();
        let mut desk = Desk { ledger, who: self.plan.seats.conductor.clone(), dir: self.dir.clone() };
        desk.open();
        if !remotes.is_empty() {
            desk.push();
        }
        desk
    }

    /// The conductor's repository, opened again.
    pub fn conductor_again(&self) -> Desk {
        self.desk("conductor", &self.plan.seats.conductor.clone())
    }

    pub fn desk(&self, name: &str, who: &Handle) -> Desk {
        let ledger = GitLedger::open_as(&self.path(name), Some(Identity::rehearsal())).unwrap();
        Desk { ledger, who: who.clone(), dir: self.dir.clone() }
    }

    /// A holder, at a fresh clone of `from`, on their own branch.
    pub fn holder(&self, who: &str, from: &str) -> Desk {
        clone(self.folder.path(), self.path(from).to_str().unwrap(), &self.path(who)).unwrap();
        let mut desk = self.desk(who, &handle(who));
        desk.sit();
        desk
    }

    pub fn holders(&self) -> Vec<String> {
        self.plan.holders.iter().map(|holder| holder.handle.to_string()).collect()
    }
}

/// A folder in memory where there is such a thing: many repositories flush many files to disk, and a test learns nothing from
/// waiting for it.
pub fn room() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// The key of a person, from the name.
pub fn key(who: &Handle) -> SigningKey {
    SigningKey::from_slice(Digest::of(who.to_string().as_bytes()).as_bytes()).unwrap()
}

pub fn public(who: &Handle) -> PublicKey {
    PublicKey::from_p256_point(key(who).verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

/// The payloads of the proposal numbered `n`.
pub fn payloads(n: i64) -> [(SignedRole, Payload); 2] {
    [SignedRole::Root, SignedRole::Targets].map(|role| {
        let members = BTreeMap::from([
            ("_type".to_owned(), Value::from(role.to_string().as_str())),
            ("proposal".to_owned(), Value::from(n.to_string().as_str())),
        ]);
        (role, Payload::of(&members.into()))
    })
}

impl Desk {
    pub fn remote(&mut self) -> &mut dyn Remote {
        self.ledger.remote().expect("there are remotes")
    }

    pub fn head(&self) -> Head {
        self.ledger.head().unwrap()
    }

    pub fn tree(&self) -> Tree {
        self.head().tree
    }

    pub fn record(&self) -> Record {
        Record::read(&self.tree(), &self.dir).unwrap_or_else(|findings| panic!("{findings:?}"))
    }

    pub fn ceremony(&self) -> Ceremony {
        replay(&self.record(), &self.tree()).unwrap_or_else(|finding| panic!("{finding}"))
    }

    /// The time of the next event.
    pub fn now(&self) -> Timestamp {
        let last = self.record().last_time().unwrap_or(self.ceremony().plan.day.plus_seconds(9 * 3600));
        last.plus_seconds(60)
    }

    pub fn sit(&mut self) -> Seat {
        let (dir, who, time) = (self.dir.clone(), self.who.clone(), Timestamp::from_day("2026-01-06").unwrap());
        let seat = self.remote().seat(&dir, &who, time).unwrap_or_else(|error| panic!("{error}"));
        assert!(seat.failed.is_empty(), "{:?}", seat.failed);
        seat
    }

    pub fn push(&mut self) {
        for pushed in self.remote().push(None) {
            pushed.outcome.unwrap_or_else(|error| panic!("{}: {error}", pushed.remote));
        }
    }

    pub fn try_push(&mut self) -> Vec<Result<trustroot::seams::PushOutcome, RemoteError>> {
        self.remote().push(None).into_iter().map(|pushed| pushed.outcome).collect()
    }

    /// The same, with these bundles in hand.
    pub fn given(self, files: &[PathBuf]) -> Self {
        Self { ledger: self.ledger.with_bundles(files.to_vec()), ..self }
    }

    /// A bundle, also where there are no remotes.
    pub fn bundle(&mut self, file: &Path) -> Result<(), RemoteError> {
        Remote::write_bundle(&mut self.ledger, file)
    }

    pub fn look(&mut self) -> Look {
        let dir = self.dir.clone();
        self.remote().look(&dir).unwrap()
    }

    /// Looks, and takes everything over that is in order. Returns what is not.
    pub fn take(&mut self) -> Vec<String> {
        self.try_take().unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_take(&mut self) -> Result<Vec<String>, LedgerError> {
        let look = self.look();
        let mut told: Vec<String> = look.findings.iter().map(ToString::to_string).collect();
        told.extend(look.failed.iter().map(|(source, error)| format!("{source}: {error}")));
        let mut good: Vec<&Addition> = Vec::new();
        for offered in &look.offers {
            match &offered.judged {
                Ok(addition) if addition.is_empty() => {}
                Ok(addition) => good.push(addition),
                Err(findings) => told.extend(findings.iter().map(ToString::to_string)),
            }
        }
        if !good.is_empty() {
            let names: Vec<String> = good.iter().map(|addition| addition.handle().to_string()).collect();
            let message = format!("Take over what {} did", names.join(" and "));
            let time = Timestamp::from_day("2026-01-06").unwrap();
            self.remote().merge(&good, &message, time)?;
        }
        Ok(told)
    }

    /// One event, one commit.
    pub fn act(&mut self, step: StepId, deed: Deed, files: BTreeMap<String, Vec<u8>>) {
        self.act_as(&self.who.clone(), step, deed, files);
    }

    pub fn act_as(&mut self, author: &Handle, step: StepId, deed: Deed, files: BTreeMap<String, Vec<u8>>) {
        let head = self.head();
        let record = Record::read(&head.tree, &self.dir).unwrap();
        let event = Event {
            format: FORMAT,
            plan: record.plan_digest,
            author: author.clone(),
            n: record.next_n(author),
            after: record.after(author),
            time: record.last_time().unwrap_or(record.plan.day.plus_seconds(9 * 3600)).plus_seconds(60),
            step: step.clone(),
            acted: author.clone(),
            checked: BTreeSet::new(),
            deed,
            files: files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect(),
            signatures: record.signatures_after(author, &head.tree),
        };
        let mut files = files;
        files.insert(format!("{}/{}", self.dir, event.path()), event.to_canonical());
        let message = format!("{step}\n\nEvent: {}", Digest::of(&event.to_canonical()));
        self.ledger.append(&Commit { parent: head.commit, files, message, time: event.time }).unwrap();
    }

    fn open(&mut self) {
        let plan = Plan::from_json(self.tree()[&format!("{}/plan.json", self.dir)].bytes().unwrap()).unwrap();
        let mut present: BTreeSet<Handle> = plan.holders.iter().map(|holder| holder.handle.clone()).collect();
        present.extend(plan.people.iter().map(|person| person.handle.clone()));
        let one = |what| StepId::new(Act::Open, what);
        self.act(one("roll"), Deed::Roll { present, earlier: BTreeMap::new() }, BTreeMap::new());
        let (heard, source) = ("09:00".to_owned(), "the wall".to_owned());
        self.act(one("clock"), Deed::Clock { heard, source }, BTreeMap::new());
        let listener = plan.seats.scribe.clone();
        let read = Deed::Read { program: "trustroot 0.1.0".to_owned(), program_digest: None, listener };
        self.act(one("read"), read, BTreeMap::new());
    }

    /// Identifies the token, replaces its secrets, makes the key: four commits on the holder's own branch.
    pub fn enrol(&mut self) {
        let (who, author) = (self.who.clone(), self.who.clone());
        self.enrol_as(&author, &who);
    }

    pub fn enrol_as(&mut self, author: &Handle, who: &Handle) {
        self.enrol_once(author, who, who);
    }

    /// With the key of somebody else.
    pub fn enrol_with_key(&mut self, who: &Handle, whose: &Handle) {
        self.enrol_once(who, who, whose);
    }

    fn enrol_once(&mut self, author: &Handle, who: &Handle, whose: &Handle) {
        let serial = self.ceremony().plan.holder(who).unwrap().token.serial.unwrap();
        let at = |what| StepId::of(Act::Keys, who, what);
        let token = TokenFacts {
            kind: TokenKind::Virtual,
            serial,
            model: "virtual YubiKey (REHEARSAL)".to_owned(),
            firmware: "5.7.4".to_owned(),
            label: None,
        };
        let holder = who.clone();
        self.act_as(author, at("token"), Deed::Token { holder: holder.clone(), token }, BTreeMap::new());
        self.act_as(author, at("provision"), Deed::Provisioned { holder: holder.clone(), serial }, BTreeMap::new());
        let intent = Deed::GenerateIntent { holder: holder.clone(), serial, slot: "9c".to_owned() };
        self.act_as(author, at("generate"), intent, BTreeMap::new());
        let key = public(whose);
        let path = format!("{}/keys/{who}-{}/public.pem", self.dir, key.fingerprint().short());
        let made = Deed::Generated { holder, serial, fingerprint: key.fingerprint() };
        self.act_as(author, at("generate"), made, BTreeMap::from([(path, key.to_pem().into_bytes())]));
    }

    /// For the conductor: something that changes nothing for anybody.
    pub fn propose_nothing(&mut self) {
        let (what, remedy) = ("a note".to_owned(), "none".to_owned());
        let approved = self.who.clone();
        let deed = Deed::Exception { number: 1, check: None, what, remedy, approved };
        self.act(StepId::new(Act::Keys, "note"), deed, BTreeMap::new());
    }

    /// For a holder: an exception of their own.
    pub fn note(&mut self, what: &str) {
        let (who, remedy) = (self.who.clone(), "none".to_owned());
        let deed = Deed::Exception { number: 1, check: None, what: what.to_owned(), remedy, approved: who.clone() };
        self.act(StepId::of(Act::Keys, &who, "token"), deed, BTreeMap::new());
    }

    /// For the conductor: every key was vouched for, and a root is proposed and reviewed.
    pub fn propose(&mut self, n: i64) {
        let ceremony = self.ceremony();
        let states: Vec<_> =
            ceremony.taking_part().map(|(who, state)| (who.clone(), state.key.clone().unwrap())).collect();
        for (who, key) in &states {
            let by = ceremony.plan.people.iter().map(|person| person.handle.clone()).collect();
            let vouched = Deed::Vouched { holder: who.clone(), fingerprint: key.fingerprint(), by };
            self.act(StepId::of(Act::Keys, who, "vouch"), vouched, BTreeMap::new());
        }
        let payloads = payloads(n);
        let path = |(role, payload): &(SignedRole, Payload)| {
            (format!("{}/signatures/{role}-{}/payload.json", self.dir, payload.digest()), payload.bytes().to_vec())
        };
        let files = payloads.iter().map(path).collect();
        let (root, targets) = (payloads[0].1.digest(), payloads[1].1.digest());
        let twin = vec!["tough".to_owned()];
        self.act(StepId::new(Act::Propose, "twin"), Deed::Proposed { root, targets, twin }, files);
        let listener = ceremony.plan.seats.scribe.clone();
        self.act(StepId::new(Act::Review, "read"), Deed::Reviewed { root, targets, listener }, BTreeMap::new());
    }

    /// The signature files of this person over the proposal `n`.
    pub fn signatures(&self, n: i64) -> BTreeMap<String, Vec<u8>> {
        signatures(&self.dir, &self.who, n)
    }

    /// Consents and signs: two commits on the holder's own branch.
    pub fn sign(&mut self, n: i64) {
        let files = self.signatures(n);
        self.sign_with(n, files);
    }

    pub fn sign_with(&mut self, n: i64, files: BTreeMap<String, Vec<u8>>) {
        let holder = self.who.clone();
        let serial = self.ceremony().plan.holder(&holder).unwrap().token.serial.unwrap();
        let [(_, root), (_, targets)] = payloads(n);
        let step = StepId::of(Act::Sign, &holder, "sign");
        let (root, targets) = (root.digest(), targets.digest());
        let intent =
            Deed::SignIntent { holder: holder.clone(), serial, root, targets, second_machine: true, old: false };
        self.act(step.clone(), intent, BTreeMap::new());
        let fingerprint = public(&holder).fingerprint();
        self.act(step, Deed::Signed { holder, fingerprint, old: false }, files);
    }
}

pub fn signatures(dir: &str, who: &Handle, n: i64) -> BTreeMap<String, Vec<u8>> {
    let one = |(role, payload): (SignedRole, Payload)| {
        let signature: Signature = key(who).sign(payload.bytes());
        let der = signature.to_der().as_bytes().to_vec();
        let signed = Signed::check(&public(who), &payload, &der, &Portable).unwrap();
        let file = SignatureFile::new(role, &signed, &der);
        (format!("{dir}/{}", file.path()), file.to_canonical())
    };
    payloads(n).into_iter().map(one).collect()
}

/// Runs git as somebody without any settings; it must succeed.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments);
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Eve")
        .env("GIT_AUTHOR_EMAIL", "eve@example.org")
        .env("GIT_COMMITTER_NAME", "Eve")
        .env("GIT_COMMITTER_EMAIL", "eve@example.org")
        .output()
        .unwrap()
}

/// Writes a file in a working tree, and commits everything.
pub fn commit_file(folder: &Path, path: &str, bytes: &[u8]) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", &format!("Put {path}")]);
}
