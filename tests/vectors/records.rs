//! Vectors of events and of records.
//!
//! A record is a JSON object of paths and texts.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Deed, Event, FORMAT, StepId, TokenFacts};
use trustroot_core::json::Value;
use trustroot_core::plan::{Plan, TokenKind};
use trustroot_core::text::Handle;

use super::make::{key, now, replaced};
use super::{Kind, Vector, fails, passes, plans};

pub(crate) fn handle(text: &str) -> Handle {
    Handle::new(text).unwrap()
}

/// The plan of every record here.
pub(crate) fn plan() -> Plan {
    Plan::from_toml(&plans::plan(true)).unwrap()
}

/// Alice's token.
pub(crate) fn token() -> TokenFacts {
    TokenFacts {
        kind: TokenKind::Virtual,
        serial: 90_000_001.into(),
        model: "virtual YubiKey (REHEARSAL)".to_owned(),
        firmware: "5.7.4".to_owned(),
        label: None,
    }
}

/// What was done at the opening, before the events are linked.
pub(crate) fn opening() -> Vec<(StepId, Deed)> {
    let present = ["alice", "bob", "carol", "olga", "peter", "quinn"].map(handle).into();
    let program = "trustroot 0.1.0".to_owned();
    vec![
        (StepId::new(Act::Open, "roll"), Deed::Roll { present, earlier: BTreeMap::new() }),
        (StepId::new(Act::Open, "clock"), Deed::Clock { heard: "09:00".to_owned(), source: "the wall".to_owned() }),
        (StepId::new(Act::Open, "read"), Deed::Read { program, program_digest: None, listener: handle("peter") }),
    ]
}

/// What was done until alice had her key, before the events are linked.
fn deeds() -> Vec<(StepId, Deed)> {
    let (alice, serial) = (handle("alice"), 90_000_001.into());
    let of_alice = |what| StepId::of(Act::Keys, &handle("alice"), what);
    let fingerprint = key(1).public().fingerprint();
    let of_keys = vec![
        (of_alice("token"), Deed::Token { holder: alice.clone(), token: token() }),
        (of_alice("provision"), Deed::Provisioned { holder: alice.clone(), serial }),
        (of_alice("generate"), Deed::GenerateIntent { holder: alice.clone(), serial, slot: "9c".to_owned() }),
        (of_alice("generate"), Deed::Generated { holder: alice, serial, fingerprint }),
    ];
    opening().into_iter().chain(of_keys).collect()
}

/// A record under way, as files and as events that `change` may alter before each is linked to the one before it.
struct Room {
    files: BTreeMap<String, String>,
}

const LAST: usize = 6;

fn public_pem() -> String {
    format!("{}/keys/alice-{}/public.pem", plan().record_dir(), key(1).public().fingerprint().short())
}

fn held(deeds: Vec<(StepId, Deed)>, pem: &str, change: impl Fn(usize, &mut Event)) -> Room {
    let plan = plan();
    let (dir, frozen) = (plan.record_dir(), plan.to_canonical());
    let mut files = BTreeMap::from([
        (format!("{dir}/plan.json"), String::from_utf8(frozen.clone()).unwrap()),
        (public_pem(), pem.to_owned()),
    ]);
    let mut last: Option<Digest> = None;
    for (i, (step, deed)) in deeds.into_iter().enumerate() {
        let evidence = matches!(deed, Deed::Generated { .. }).then(|| (public_pem(), Digest::of(pem.as_bytes())));
        let mut event = Event {
            format: FORMAT,
            plan: Digest::of(&frozen),
            author: handle("olga"),
            n: u32::try_from(i).unwrap() + 1,
            after: last.into_iter().collect(),
            time: now().plus_seconds(60 * i64::try_from(i).unwrap()),
            step,
            acted: handle("olga"),
            checked: BTreeSet::from([handle("peter")]),
            deed,
            files: evidence.into_iter().collect(),
            signatures: BTreeMap::new(),
        };
        change(i, &mut event);
        let bytes = event.to_canonical();
        last = Some(Digest::of(&bytes));
        files.insert(format!("{dir}/{}", event.path()), String::from_utf8(bytes).unwrap());
    }
    Room { files }
}

/// The usual one, with something in the form of an SSH signature beside the sixth event. Nobody reads it here: whether it
/// verifies is for LOG-SIGNED.
fn signed(change: impl Fn(&mut Event)) -> Room {
    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n";
    let mut room = usual(|i, event| {
        if i == LAST {
            event.signatures = event.after.iter().map(|digest| (*digest, Digest::of(SIGNATURE.as_bytes()))).collect();
            change(event);
        }
    });
    room.files.insert(format!("{}.sig", room.event(6)), SIGNATURE.to_owned());
    room
}

fn usual(change: impl Fn(usize, &mut Event)) -> Room {
    held(deeds(), &key(1).public().to_pem(), change)
}

impl Room {
    fn bytes(&self) -> Vec<u8> {
        let members = self.files.iter().map(|(path, text)| (path.clone(), Value::from(text.as_str())));
        let mut bytes = trustroot_core::payload::Payload::of(&Value::Obj(members.collect())).to_json();
        bytes.push(b'\n');
        bytes
    }

    /// The path of the event with this number.
    fn event(&self, n: u32) -> String {
        self.files.keys().find(|path| path.contains(&format!("/{n:04}-"))).unwrap().clone()
    }

    fn changed(mut self, change: impl FnOnce(&mut Self)) -> Vec<u8> {
        change(&mut self);
        self.bytes()
    }
}

pub(crate) fn events() -> Vec<Vector> {
    let room = usual(|_, _| {});
    let good = room.files[&room.event(2)].clone().into_bytes();
    let fails = |name, bytes| fails(Check::LogForm, name, Kind::Event, Level::Refused, bytes);
    let change = |old: &str, new: &str| replaced(&good, old, new);
    vec![
        passes(Check::LogForm, "good", Kind::Event, good.clone()),
        fails("white-space", change(",", ", ")),
        fails("line-feed-at-the-end", [good.as_slice(), b"\n"].concat()),
        fails("unknown-field", change("{", "{\"Note\":1,")),
        fails("unknown-deed", change("\"did\":\"clock\"", "\"did\":\"dance\"")),
        fails("field-twice", change("\"n\":2", "\"n\":2,\"n\":2")),
        fails("format-2", change("\"format\":1", "\"format\":2")),
        fails("step-of-no-act", change("open.clock", "dance.clock")),
        fails("step-with-a-slash", change("open.clock", "open/clock")),
        fails("step-with-an-empty-part", change("open.clock", "open..clock")),
        fails("author-with-a-dot", change("\"author\":\"olga\"", "\"author\":\"../olga\"")),
        fails("a-fraction-of-a-second", change(":00Z", ":00.5Z")),
        fails("digest-in-capitals", {
            let digest = plan_digest();
            change(&digest, &digest.to_uppercase())
        }),
    ]
}

fn plan_digest() -> String {
    Digest::of(&plan().to_canonical()).to_string()
}

pub(crate) fn vectors() -> Vec<Vector> {
    use Check::{
        AttBound, IntentDone, KeyForm, LogChain, LogFork, LogForm, LogPlan, LogStep, LogTime, PlanForm, RecordFiles,
        RecordName,
    };
    let fails = |check, name, bytes| fails(check, name, Kind::Record, Level::Refused, bytes);
    let passes = |check, name, bytes| passes(check, name, Kind::Record, bytes);
    let good = || usual(|_, _| {}).bytes();
    let last = |change: &dyn Fn(&mut Event)| {
        let change = |i: usize, event: &mut Event| {
            if i == LAST {
                change(event)
            }
        };
        usual(change).bytes()
    };
    let without = |i: usize| {
        let mut deeds = deeds();
        deeds.remove(i);
        held(deeds, &key(1).public().to_pem(), |_, _| {}).bytes()
    };
    let before = now().plus_seconds(60 * (i64::try_from(LAST).unwrap() - 1));
    let moved = usual(|_, _| {}).changed(|room| {
        let path = room.event(7);
        let bytes = room.files.remove(&path).unwrap();
        room.files.insert(path.replace("0007", "0008"), bytes);
    });
    let fork = usual(|_, _| {}).changed(|room| {
        let (sixth, dir) = (room.event(6), plan().record_dir());
        let mut event = Event::from_bytes(room.files[&sixth].as_bytes()).unwrap();
        event.time = event.time.plus_seconds(1);
        room.files.insert(format!("{dir}/{}", event.path()), String::from_utf8(event.to_canonical()).unwrap());
    });
    let renamed = {
        let dir = plan().record_dir();
        let files = usual(|_, _| {}).files.into_iter();
        Room { files: files.map(|(path, text)| (path.replace(&dir, &format!("{dir}-2")), text)).collect() }.bytes()
    };
    vec![
        passes(LogForm, "record", good()),
        fails(LogForm, "in-another-place", moved),
        fails(LogChain, "one-missing", usual(|_, _| {}).changed(|room| drop(room.files.remove(&room.event(2))))),
        fails(LogChain, "a-number-skipped", last(&|event| event.n += 1)),
        fails(LogChain, "names-no-earlier-one", last(&|event| event.after.clear())),
        passes(LogChain, "whole", good()),
        fails(LogTime, "a-second-before", last(&|event| event.time = before.plus_seconds(-1))),
        passes(LogTime, "the-same-second", last(&|event| event.time = before)),
        fails(LogFork, "one-number-twice", fork),
        passes(LogFork, "none", good()),
        fails(LogPlan, "another-plan", last(&|event| event.plan = Digest::of(b"another"))),
        passes(LogPlan, "the-records-plan", good()),
        fails(LogStep, "no-roll", without(0)),
        fails(LogStep, "the-time-twice", {
            let mut deeds = deeds();
            deeds.insert(2, deeds[1].clone());
            held(deeds, &key(1).public().to_pem(), |_, _| {}).bytes()
        }),
        fails(LogStep, "not-provisioned", without(4)),
        fails(LogStep, "by-a-stranger", last(&|event| event.acted = handle("mallory"))),
        fails(
            LogStep,
            "the-wrong-author",
            last(&|event| {
                event.author = handle("bob");
                event.n = 1;
            }),
        ),
        passes(LogStep, "in-order", good()),
        passes(
            LogStep,
            "by-the-holder",
            last(&|event| {
                event.author = handle("alice");
                event.acted = handle("alice");
                event.n = 1;
            }),
        ),
        fails(IntentDone, "no-intent", without(5)),
        passes(IntentDone, "intent-and-done", good()),
        fails(
            RecordFiles,
            "another-byte",
            usual(|_, _| {}).changed(|room| room.files.get_mut(&public_pem()).unwrap().push('\n')),
        ),
        fails(RecordFiles, "missing", usual(|_, _| {}).changed(|room| drop(room.files.remove(&public_pem())))),
        fails(
            RecordFiles,
            "outside-the-record",
            last(&|event| {
                event.files.insert("src/main.rs".to_owned(), Digest::of(b""));
            }),
        ),
        passes(RecordFiles, "as-named", good()),
        fails(
            RecordFiles,
            "signature-taken-away",
            signed(|_| {}).changed(|room| drop(room.files.remove(&format!("{}.sig", room.event(6))))),
        ),
        fails(
            RecordFiles,
            "signature-exchanged",
            signed(|_| {}).changed(|room| room.files.get_mut(&format!("{}.sig", room.event(6))).unwrap().push('\n')),
        ),
        fails(RecordFiles, "signature-added-later", signed(|event| event.signatures.clear()).bytes()),
        passes(RecordFiles, "signature-as-named", signed(|_| {}).bytes()),
        fails(
            LogForm,
            "signature-beside-one-it-does-not-follow",
            signed(|event| {
                event.signatures.insert(event.plan, event.plan);
            })
            .bytes(),
        ),
        fails(RecordName, "another-folder", renamed),
        passes(RecordName, "named-for-its-plan", good()),
        fails(
            PlanForm,
            "record-with-a-changed-plan",
            usual(|_, _| {}).changed(|room| {
                let path = format!("{}/plan.json", plan().record_dir());
                room.files.get_mut(&path).unwrap().push(' ');
            }),
        ),
        passes(PlanForm, "record", good()),
        fails(AttBound, "file-of-another-key", held(deeds(), &key(2).public().to_pem(), |_, _| {}).bytes()),
        passes(AttBound, "file-of-the-key", good()),
        fails(KeyForm, "no-key", held(deeds(), "no key\n", |_, _| {}).bytes()),
        passes(KeyForm, "a-key", good()),
    ]
}

/// The files of a record, from the bytes of a vector.
pub(crate) fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let value = trustroot_core::json::parse(bytes).unwrap();
    let members = value.as_obj().unwrap();
    members.iter().map(|(path, text)| (path.clone(), text.as_str().unwrap().as_bytes().to_vec())).collect()
}
