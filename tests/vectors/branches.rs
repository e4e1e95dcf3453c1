//! Vectors of holders' branches.
//!
//! A branch is a JSON object: `files` are those of the conductor's branch, by path; `adds`, `changes` and `removes` are what
//! the one commit of alice's branch does to them; `lost` are commits that were taken over before and are no longer part of it.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::branch::{Change, ChangeKind, Offer, Step, judge};
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Deed, Event, FORMAT, StepId};
use trustroot_core::json::Value;
use trustroot_core::payload::Payload;
use trustroot_core::record::Record;
use trustroot_core::sigfile::{SignatureFile, SignedRole};
use trustroot_core::signature::{Portable, Signed};
use trustroot_core::text::Handle;
use trustroot_core::tree::{Entry, Tree};

use super::make::{Key, key, now};
use super::records::{handle, opening, plan, token};
use super::{Kind, Vector, fails, passes};

type Files = BTreeMap<String, String>;

/// Files that events are added to.
#[derive(Clone)]
struct Side {
    files: Files,
}

fn tree(files: &Files) -> Tree {
    files.iter().map(|(path, text)| (path.clone(), Entry::File(text.as_bytes().to_vec()))).collect()
}

impl Side {
    /// The conductor's, after the opening.
    fn opened() -> Self {
        let plan_path = format!("{}/plan.json", plan().record_dir());
        let files = BTreeMap::from([(plan_path, String::from_utf8(plan().to_canonical()).unwrap())]);
        opening().into_iter().fold(Self { files }, |side, (step, deed)| side.then("olga", step, deed, &[]))
    }

    /// The conductor's, where only alice is left and a root was proposed and reviewed.
    fn reviewed() -> Self {
        let [bob, carol] = ["bob", "carol"].map(handle);
        let left = |holder: &Handle| Deed::Left { holder: holder.clone(), reason: "ill".to_owned(), old: false };
        let alice = handle("alice");
        let by = BTreeSet::from([handle("peter"), handle("quinn")]);
        let vouched = Deed::Vouched { holder: alice.clone(), fingerprint: key(1).public().fingerprint(), by };
        let [root, targets] = payloads("first");
        let payload = |role: &str, of: &Payload| {
            (format!("signatures/{role}-{}/payload.json", of.digest()), String::from_utf8(of.bytes().to_vec()).unwrap())
        };
        let files = [payload("root", &root), payload("targets", &targets)];
        let (root, targets) = (root.digest(), targets.digest());
        let listener = handle("peter");
        Self::opened()
            .then("olga", StepId::new(Act::Keys, "left"), left(&bob), &[])
            .then("olga", StepId::new(Act::Keys, "left"), left(&carol), &[])
            .enrolled("olga")
            .then("olga", StepId::of(Act::Keys, &alice, "vouch"), vouched, &[])
            .then("olga", StepId::new(Act::Propose, "twin"), Deed::Proposed { root, targets, twin: vec![] }, &files)
            .then("olga", StepId::new(Act::Review, "read"), Deed::Reviewed { root, targets, listener }, &[])
    }

    /// With alice's key in it, as `author` wrote it down.
    fn enrolled(self, author: &str) -> Self {
        self.enrolled_with(author, &key(1))
    }

    fn enrolled_with(self, author: &str, key: &Key) -> Self {
        let alice = handle("alice");
        let serial = 90_000_001.into();
        let at = |what| StepId::of(Act::Keys, &alice, what);
        let holder = || alice.clone();
        let public = key.public();
        let fingerprint = public.fingerprint();
        let file = (format!("keys/alice-{}/public.pem", fingerprint.short()), public.to_pem());
        self.then(author, at("token"), Deed::Token { holder: holder(), token: token() }, &[])
            .then(author, at("provision"), Deed::Provisioned { holder: holder(), serial }, &[])
            .then(author, at("generate"), Deed::GenerateIntent { holder: holder(), serial, slot: "9c".to_owned() }, &[])
            .then(author, at("generate"), Deed::Generated { holder: holder(), serial, fingerprint }, &[file])
    }

    /// With alice's signatures over these payloads in it.
    fn signed(self, payloads: &[Payload; 2]) -> Self {
        let alice = handle("alice");
        let step = StepId::of(Act::Sign, &alice, "sign");
        let [root, targets] = payloads.each_ref().map(Payload::digest);
        let intent = Deed::SignIntent {
            holder: alice.clone(),
            serial: 90_000_001.into(),
            root,
            targets,
            second_machine: true,
            old: false,
        };
        let files = [SignedRole::Root, SignedRole::Targets].into_iter().zip(payloads).map(|(role, payload)| {
            let signature = key(1).sign(payload.bytes());
            let signed = Signed::check(&key(1).public(), payload, &signature, &Portable).unwrap();
            let file = SignatureFile::new(role, &signed, &signature);
            (file.path(), String::from_utf8(file.to_canonical()).unwrap())
        });
        let files: Vec<_> = files.collect();
        let fingerprint = key(1).public().fingerprint();
        let done = Deed::Signed { holder: alice, fingerprint, old: false };
        self.then("alice", step.clone(), intent, &[]).then("alice", step, done, &files)
    }

    fn then(mut self, author: &str, step: StepId, deed: Deed, files: &[(String, String)]) -> Self {
        let (author, dir) = (handle(author), plan().record_dir());
        let tree = tree(&self.files);
        let record = Record::read(&tree, &dir).unwrap();
        let own = record.events.iter().filter(|logged| logged.event.author == author).max_by_key(|l| l.event.n);
        let mut after = record.heads();
        after.extend(own.map(|logged| logged.digest));
        let files: Files = files.iter().map(|(path, text)| (format!("{dir}/{path}"), text.clone())).collect();
        let event = Event {
            format: FORMAT,
            plan: record.plan_digest,
            author: author.clone(),
            n: record.next_n(&author),
            after,
            time: record.last_time().unwrap_or(now()).plus_seconds(60),
            step,
            acted: author,
            checked: BTreeSet::new(),
            deed,
            files: files.iter().map(|(path, text)| (path.clone(), Digest::of(text.as_bytes()))).collect(),
            signatures: BTreeMap::new(),
        };
        self.files.extend(files);
        self.files.insert(format!("{dir}/{}", event.path()), String::from_utf8(event.to_canonical()).unwrap());
        self
    }

    fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn without(mut self, part: &str) -> Self {
        let before = self.files.len();
        self.files.retain(|path, _| !path.contains(part));
        assert!(self.files.len() < before, "{part}");
        self
    }

    /// The first path that holds `part`.
    fn path(&self, part: &str) -> String {
        self.files.keys().find(|path| path.contains(part)).unwrap_or_else(|| panic!("{part}")).clone()
    }
}

/// Root and targets, as short as they can be.
fn payloads(name: &str) -> [Payload; 2] {
    ["root", "targets"].map(|role| {
        let members = [("_type", role), ("name", name)].map(|(name, text)| (name.to_owned(), Value::from(text)));
        Payload::of(&Value::Obj(members.into()))
    })
}

/// The vector: from what is here to what alice's branch holds.
fn bytes(here: &Side, branch: &Side, lost: &[&str]) -> Vec<u8> {
    let object = |files: Vec<(&String, &str)>| {
        Value::Obj(files.into_iter().map(|(path, text)| (path.clone(), Value::from(text))).collect())
    };
    let all = |files: &Files, wanted: &dyn Fn(&String, &String) -> bool| {
        let wanted = files.iter().filter(|(path, text)| wanted(path, text));
        object(wanted.map(|(path, text)| (path, text.as_str())).collect())
    };
    let members = BTreeMap::from([
        ("files".to_owned(), all(&here.files, &|_, _| true)),
        ("adds".to_owned(), all(&branch.files, &|path, _| !here.files.contains_key(path))),
        ("changes".to_owned(), all(&branch.files, &|path, text| here.files.get(path).is_some_and(|old| old != text))),
        ("removes".to_owned(), all(&here.files, &|path, _| !branch.files.contains_key(path))),
        ("lost".to_owned(), Value::Arr(lost.iter().map(|id| Value::from(*id)).collect())),
    ]);
    let mut bytes = Payload::of(&members.into()).to_json();
    bytes.push(b'\n');
    bytes
}

/// What is found in a vector.
pub(crate) fn findings(bytes: &[u8]) -> Vec<Finding> {
    let Value::Obj(members) = trustroot_core::json::parse(bytes.trim_ascii_end()).unwrap() else { panic!("no object") };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = |name: &str| -> Files {
        let Value::Obj(files) = &members[name] else { panic!("no object: {name}") };
        files.iter().map(|(path, value)| (path.clone(), text(value))).collect()
    };
    let Value::Arr(lost) = &members["lost"] else { panic!("no array") };
    let mine = files("files");
    let mut theirs = mine.clone();
    theirs.extend(files("adds"));
    theirs.extend(files("changes"));
    theirs.retain(|path, _| !files("removes").contains_key(path));
    let kinds = [("adds", ChangeKind::Added), ("changes", ChangeKind::Changed), ("removes", ChangeKind::Removed)];
    let changes =
        kinds.iter().flat_map(|(name, kind)| files(name).into_keys().map(|path| Change { path, kind: *kind }));
    let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let offer = Offer {
        handle: handle("alice"),
        dir: plan().record_dir(),
        commit: commit.clone(),
        tree: tree(&theirs),
        steps: vec![Step { commit, changes: changes.collect() }],
        lost: lost.iter().map(text).collect(),
    };
    judge(&tree(&mine), &offer, &Portable).err().unwrap_or_default()
}

pub(crate) fn vectors() -> Vec<Vector> {
    use Check::{BranchForeign, BranchKey, BranchPayload, BranchRewrite};
    let fails = |check, name, here: &Side, branch: &Side| {
        fails(check, name, Kind::Branch, Level::Refused, bytes(here, branch, &[]))
    };
    let passes = |check, name, here: &Side, branch: &Side| passes(check, name, Kind::Branch, bytes(here, branch, &[]));
    let opened = Side::opened();
    let enrolled = opened.clone().enrolled("alice");
    let reviewed = Side::reviewed();
    let signed = reviewed.clone().signed(&payloads("first"));
    let key_of = |name: &str, number: u8| {
        let public = key(number).public();
        let path = format!("{}/keys/{name}-{}/public.pem", plan().record_dir(), public.fingerprint().short());
        (path, public.to_pem())
    };
    let (bobs, pem) = key_of("bob", 2);
    let with_bob = opened.clone().with(&bobs, &pem);
    let event = |side: &Side, author: &str| side.path(&format!("/log/{author}/"));
    let more = |side: &Side, path: &str| {
        let text = format!("{} ", side.files[path]);
        side.clone().with(path, &text)
    };
    let payload = signed.path("/payload.json");
    vec![
        passes(BranchForeign, "a-key-of-ones-own", &opened, &enrolled),
        fails(BranchForeign, "a-workflow", &opened, &enrolled.clone().with(".github/workflows/x.yml", "on: push\n")),
        fails(BranchForeign, "a-root", &opened, &enrolled.clone().with("root/1.root.json", "{}")),
        fails(BranchForeign, "an-event-of-the-conductor", &opened, &{
            let deed = Deed::Left { holder: handle("bob"), reason: "gone".to_owned(), old: false };
            enrolled.clone().then("olga", StepId::new(Act::Keys, "left"), deed, &[])
        }),
        fails(BranchForeign, "another-ceremony", &opened, &enrolled.clone().with("ceremony/2025-x/plan.json", "{}")),
        fails(BranchForeign, "a-key-in-another-name", &opened, &enrolled.clone().with(&bobs, &pem)),
        fails(BranchForeign, "a-note-beside-the-key", &opened, &{
            let note = enrolled.path("/keys/alice-").replace("public.pem", "note.txt");
            enrolled.clone().with(&note, "hello")
        }),
        fails(BranchForeign, "the-plan-changed", &opened, &more(&enrolled, &enrolled.path("/plan.json"))),
        fails(
            BranchForeign,
            "an-event-of-the-conductor-removed",
            &opened,
            &enrolled.clone().without("/log/olga/0003-"),
        ),
        passes(BranchRewrite, "goes-on", &reviewed, &signed),
        fails(BranchRewrite, "an-event-taken-back", &enrolled, &enrolled.clone().without("/log/alice/0004-")),
        fails(BranchRewrite, "an-event-changed", &enrolled, &more(&enrolled, &event(&enrolled, "alice"))),
        super::fails(
            BranchRewrite,
            "a-commit-taken-back",
            Kind::Branch,
            Level::Refused,
            bytes(&opened, &enrolled, &["89abcdef0123456789abcdef0123456789abcdef"]),
        ),
        passes(BranchKey, "nobody-elses", &with_bob, &with_bob.clone().enrolled("alice")),
        fails(BranchKey, "bobs-key", &with_bob, &with_bob.clone().enrolled_with("alice", &key(2))),
        fails(BranchKey, "bobs-key-swapped", &with_bob, &{
            with_bob.clone().enrolled("alice").with(&bobs, &key(3).public().to_pem())
        }),
        fails(BranchKey, "not-the-key-of-its-name", &opened, &{
            enrolled.clone().with(&enrolled.path("/keys/alice-"), &key(3).public().to_pem())
        }),
        fails(BranchKey, "another-under-the-name-of-the-record", &reviewed, &{
            signed.clone().with(&signed.path("/keys/alice-"), &key(3).public().to_pem())
        }),
        passes(BranchPayload, "what-was-proposed", &reviewed, &signed),
        fails(BranchPayload, "another-payload", &reviewed, &reviewed.clone().signed(&payloads("second"))),
        fails(BranchPayload, "the-proposal-changed", &reviewed, &signed.clone().with(&payload, "{}")),
        fails(BranchPayload, "before-the-proposal", &opened, &enrolled.clone().signed(&payloads("first"))),
    ]
}
