//! Vectors of whole trust roots, and of plans that continue one.
//!
//! A repository is a JSON object. `base` names a file in `base`, an object of paths and texts, or is missing where everything is
//! in `put`; `put` gives paths other texts, `take` takes paths away. What `verify` is told besides: `at`, the time asked about;
//! `production`, where no rehearsal is asked for; `anchor`, a payload digest; `history`, contents of paths in earlier commits;
//! `differences`, what the working tree has otherwise; `merge`, a path that a merge in the history holds with other bytes than
//! any of the commits that it merges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ed25519_dalek::Signer as _;
use trustroot::conduct::Ending;
use trustroot::seams::Answer;
use trustroot::ui::rehearsed::{Deviation, Instead};
use trustroot_core::beside;
use trustroot_core::branch::{Change, ChangeKind};
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Deed, Event};
use trustroot_core::json::Value;
use trustroot_core::payload::Payload;
use trustroot_core::plan::carry::{Becomes, Carry};
use trustroot_core::plan::lint_follows::against;
use trustroot_core::plan::{self, Plan};
use trustroot_core::predecessor::Predecessor;
use trustroot_core::record::Record;
use trustroot_core::signature::Portable;
use trustroot_core::ssh::{EVENT_NAMESPACE, RECORD_NAMESPACE};
use trustroot_core::time::Timestamp;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::merges::Merges;
use trustroot_core::verify::trust_root::{History, Options, Past, verify_trust_root};

use super::common::rewritten;
use super::records::handle;
use super::stage::{Stage, instead, interject, one};
use super::{Kind, Vector, fails, passes};

const RECORD: &str = "ceremony/2026-01-05-genesis";

/// A rehearsal of two of three holders in which all goes as planned, and what came after it in the same repository.
struct Held {
    /// After the genesis.
    genesis: Tree,
    /// After a renewal that was abandoned with one signature.
    abandoned: Tree,
    /// After the renewal that followed that.
    renewed: Tree,
    /// A plan that continues the genesis: everybody stays; alice's key is gone; alice's and bob's are.
    following: [String; 3],
}

static HELD: LazyLock<Held> = LazyLock::new(|| {
    let mut stage = Stage::new(3, 2);
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    let genesis = stage.tree();
    let gone = |handles: &[&str]| {
        stage.carried("rotation", "2026-01-12", |plan: &mut Carry<'_>| {
            (plan.kind, plan.reason, plan.add) = (plan::Kind::Recover, "Lost.", 2);
            plan.changes = handles.iter().map(|name| (handle(name), Becomes::Gone)).collect();
        })
    };
    let following = [stage.carried("renewal", "2026-01-12", |_| ()), gone(&["alice"]), gone(&["alice", "bob"])];
    stage.follow(&following[0]);
    let stopped =
        [instead("sign.bob.sign", "consent", interject()), instead("sign.bob.sign", "trouble", one("abandon"))];
    assert_eq!(stage.hold(&stopped).ending(), Ending::Aborted);
    let abandoned = stage.tree();
    stage.follow(&stage.carried("renewal-again", "2026-01-13", |_| ()));
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    Held { genesis, abandoned, renewed: stage.tree(), following }
});

/// The genesis, where nobody had a second machine.
static ONE_MACHINE: LazyLock<Tree> = LazyLock::new(|| {
    let stage = Stage::new(3, 2);
    let one = |name: &str| {
        instead(&format!("sign.{name}.sign"), "second-machine", Instead::Answer(Answer::Line(String::new())))
    };
    let deviations: Vec<Deviation> = ["alice", "bob", "carol"].map(one).into();
    assert_eq!(stage.hold(&deviations).ending(), Ending::Closed);
    stage.tree()
});

/// The root that the same holders signed as version 1 of another plan.
static RIVAL: LazyLock<String> = LazyLock::new(|| {
    let stage = Stage::changed(3, 2, |plan| plan.replace("title = \"A rehearsal\"", "title = \"Another rehearsal\""));
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    text(&stage.tree()["root/1.root.json"])
});

fn text(entry: &Entry) -> String {
    String::from_utf8(entry.bytes().unwrap().to_vec()).unwrap()
}

fn object<'t>(members: impl IntoIterator<Item = (&'t str, Value)>) -> Value {
    Value::Obj(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Payload::of(value).to_json();
    bytes.push(b'\n');
    bytes
}

// -------------------------------------------------------------------------------------------------------------- reading

/// The repositories that vectors are changes to, by name.
pub(crate) fn bases() -> BTreeMap<&'static str, Vec<u8>> {
    let files = |tree: &Tree| {
        Value::Obj(tree.iter().map(|(path, entry)| (path.clone(), Value::from(text(entry).as_str()))).collect())
    };
    BTreeMap::from([("genesis.json", bytes(&files(&HELD.genesis))), ("renewed.json", bytes(&files(&HELD.renewed)))])
}

fn tree_of(value: Option<&Value>) -> Tree {
    let members = value.and_then(Value::as_obj).into_iter().flatten();
    members.map(|(path, text)| (path.clone(), Entry::File(text.as_str().unwrap().as_bytes().to_vec()))).collect()
}

/// What is found in the repository of a vector.
pub(crate) fn findings(vector: &[u8]) -> Vec<Finding> {
    let value = trustroot_core::json::parse(vector).unwrap();
    let known =
        BTreeSet::from(["anchor", "at", "base", "differences", "history", "merge", "production", "put", "take"]);
    assert!(value.as_obj().unwrap().keys().all(|name| known.contains(name.as_str())));
    let mut tree = match value.get("base").and_then(Value::as_str) {
        Some("genesis.json") => HELD.genesis.clone(),
        Some("renewed.json") => HELD.renewed.clone(),
        Some(other) => panic!("no base {other}"),
        None => Tree::new(),
    };
    for path in value.get("take").and_then(Value::as_arr).unwrap_or_default() {
        tree.remove(path.as_str().unwrap()).unwrap();
    }
    tree.extend(tree_of(value.get("put")));
    let member = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap().to_owned();
    let past = value.get("history").map(|history| {
        let past = |one: &Value| Past {
            path: member(one, "path"),
            commit: member(one, "commit"),
            behind: one.get("behind").is_none_or(|is| *is == Value::Bool(true)),
            bytes: member(one, "text").into_bytes(),
        };
        history.as_arr().unwrap().iter().map(past).collect::<Vec<_>>()
    });
    let differences = value.get("differences").and_then(Value::as_obj).into_iter().flatten();
    let differences: Vec<_> = differences.map(|(path, how)| (path.clone(), how.as_str().unwrap().to_owned())).collect();
    let options = Options {
        now: Timestamp::parse(&member(&value, "at")).unwrap(),
        rehearsal: value.get("production").is_none(),
        strict: true,
        anchor: value.get("anchor").map(|anchor| Digest::from_hex(anchor.as_str().unwrap()).unwrap()),
        program: Some("trustroot 0.0.0"),
        history: past.as_deref().map_or(History::None, History::Whole),
        differences: &differences,
    };
    let merges = value.get("merge").and_then(Value::as_str).map_or_else(Merges::default, |path| {
        let change = Change { path: path.to_owned(), kind: ChangeKind::Changed };
        Merges { count: 1, odd: vec![("1".repeat(40), vec![change])] }
    });
    verify_trust_root(&tree, &options, &Portable).with_merges(&merges).findings
}

/// What is found in a plan that continues the root of the genesis, besides what is wrong with it by itself.
pub(crate) fn following(toml: &[u8]) -> Vec<Finding> {
    let plan = Plan::from_toml(std::str::from_utf8(toml).unwrap()).unwrap();
    against(&plan, &Predecessor::newest(&HELD.genesis).unwrap())
}

// -------------------------------------------------------------------------------------------------------------- writing

/// A repository as changes to a base.
struct Repository(BTreeMap<String, Value>);

fn repository(base: &str, from: &Tree, to: &Tree) -> Repository {
    let changed = to.iter().filter(|(path, entry)| from.get(*path) != Some(*entry));
    let put: BTreeMap<_, _> = changed.map(|(path, entry)| (path.clone(), Value::from(text(entry).as_str()))).collect();
    let take: Vec<Value> =
        from.keys().filter(|path| !to.contains_key(*path)).map(|path| Value::from(path.as_str())).collect();
    let mut members = BTreeMap::new();
    if !base.is_empty() {
        members.insert("base".to_owned(), Value::from(base));
    }
    if !put.is_empty() {
        members.insert("put".to_owned(), put.into());
    }
    if !take.is_empty() {
        members.insert("take".to_owned(), Value::Arr(take));
    }
    Repository(members).at(if base == "renewed.json" { "2026-01-14T00:00:00Z" } else { "2026-01-06T00:00:00Z" })
}

impl Repository {
    fn told(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn at(self, time: &str) -> Self {
        self.told("at", time)
    }

    fn remembering(self, path: &str, text: &str) -> Self {
        let past = object([
            ("path", Value::from(path)),
            ("commit", Value::from("1".repeat(40).as_str())),
            ("text", Value::from(text)),
        ]);
        self.told("history", Value::Arr(vec![past]))
    }

    fn bytes(self) -> Vec<u8> {
        bytes(&self.0.into())
    }
}

/// The genesis after a change.
fn genesis(change: impl FnOnce(&mut Tree)) -> Repository {
    let mut tree = HELD.genesis.clone();
    change(&mut tree);
    repository("genesis.json", &HELD.genesis, &tree)
}

fn put(tree: &mut Tree, path: &str, text: &str) {
    tree.insert(path.to_owned(), Entry::File(text.as_bytes().to_vec()));
}

/// The genesis with its log written anew, from some event on not at all.
fn logged(change: impl FnMut(&mut Event) -> bool) -> Repository {
    repository("genesis.json", &HELD.genesis, &rewritten(&HELD.genesis, RECORD, change))
}

/// The genesis while it was still open, before the first event that `end` picks, with `change` made to the others.
fn open(end: impl Fn(&Deed) -> bool, mut change: impl FnMut(&mut Event)) -> Tree {
    let mut over = false;
    let mut tree = rewritten(&HELD.genesis, RECORD, |event| {
        over |= end(&event.deed);
        change(event);
        !over
    });
    let record = Record::read(&tree, RECORD).unwrap();
    let named: BTreeSet<&String> = record.events.iter().flat_map(|logged| logged.event.files.keys()).collect();
    tree.retain(|path, _| {
        let evidence = !path.contains("/log/") && !path.ends_with("/plan.json") && path != ".gitattributes";
        !evidence || named.contains(path)
    });
    tree
}

fn opened(end: impl Fn(&Deed) -> bool, change: impl FnMut(&mut Event)) -> Repository {
    repository("genesis.json", &HELD.genesis, &open(end, change))
}

/// The other form of the first signature in a file of metadata: `n - s` in place of `s`.
fn other_form(metadata: &str) -> String {
    let start = metadata.find("\"sig\":\"").unwrap() + 7;
    let end = start + metadata[start..].find('"').unwrap();
    let digits = &metadata[start..end];
    let der: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let (r, s) = p256::ecdsa::Signature::from_der(&der).unwrap().split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap().to_der();
    let other: String = other.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{other}{}", &metadata[..start], &metadata[end..])
}

pub(crate) fn vectors() -> Vec<Vector> {
    use Check::{
        Anchor, EnrolUnvouched, Exceptions, LogSigned, MergeUnion, MetaMissing, NameTwin, PlanQuorumOld, ProposalBuilt,
        RecordClosed, RecordEarlier, RecordPages, Rehearsal, ReviewOneMachine, RivalPossible, RootFiles, RootRecord,
        RootRival, WorkingTree,
    };
    let fails =
        |check, name, level, repository: Repository| fails(check, name, Kind::Repository, level, repository.bytes());
    let passes = |check, name, repository: Repository| passes(check, name, Kind::Repository, repository.bytes());
    let refused = Level::Refused;
    let good = || genesis(|_| ());
    let root = text(&HELD.genesis["root/1.root.json"]);
    let payload = Predecessor::newest(&HELD.genesis).unwrap().root.payload().digest().to_string();
    let merged = format!("{RECORD}/plan.json");
    let proposes = |deed: &Deed| matches!(deed, Deed::Proposed { .. });
    let renewed = |take: &str| {
        let mut tree = HELD.renewed.clone();
        tree.retain(|path, _| take.is_empty() || !path.starts_with(take));
        repository("renewed.json", &HELD.renewed, &tree)
    };
    vec![
        fails(RootRival, "another-in-history", refused, good().remembering("root/1.root.json", &RIVAL)),
        passes(RootRival, "the-same-in-history", good().remembering("root/1.root.json", &root)),
        fails(MetaMissing, "no-targets", refused, genesis(|tree| drop(tree.remove("root/1.targets.json"))))
            .also(&[RootFiles]),
        passes(MetaMissing, "all-there", good()),
        fails(
            RecordPages,
            "a-tag-changed-and-not-the-pages",
            refused,
            logged(|event| {
                if let Deed::Published { tag } = &mut event.deed {
                    tag.push_str("-x");
                }
                true
            }),
        ),
        passes(RecordPages, "as-rendered", good()),
        fails(RecordEarlier, "an-abandoned-one-taken-away", refused, renewed("ceremony/2026-01-12-renewal/")),
        passes(RecordEarlier, "all-there", renewed("")),
        fails(RecordClosed, "still-open", Level::Warning, opened(proposes, |_| ())),
        passes(RecordClosed, "closed", good()),
        fails(
            RootFiles,
            "the-other-form-of-a-signature",
            refused,
            genesis(|tree| put(tree, "root/1.root.json", &other_form(&root))),
        ),
        fails(RootFiles, "a-file-too-many", refused, genesis(|tree| put(tree, "root/targets/notes.txt", "x"))),
        passes(RootFiles, "as-named", good()),
        fails(RootRecord, "a-statement-before-the-proposal-changed", refused, unheard())
            .also(&[ProposalBuilt, RecordPages]),
        passes(RootRecord, "as-the-root-names-it", good()),
        fails(ProposalBuilt, "a-statement-before-the-proposal-changed", refused, unheard())
            .also(&[RootRecord, RecordPages]),
        passes(ProposalBuilt, "as-plan-and-record-give-it", good()),
        fails(
            RivalPossible,
            "abandoned-with-a-signature",
            Level::Warning,
            repository("genesis.json", &HELD.genesis, &HELD.abandoned).at("2026-01-12T12:00:00Z"),
        ),
        passes(RivalPossible, "nothing-abandoned", good()),
        fails(Rehearsal, "asked-for-production", refused, good().told("production", Value::Bool(true))),
        passes(Rehearsal, "asked-for-a-rehearsal", good()),
        fails(Anchor, "of-another", refused, good().told("anchor", Digest::of(b"another").to_string().as_str())),
        passes(Anchor, "of-this-root", good().told("anchor", payload.as_str())),
        fails(
            WorkingTree,
            "other-bytes",
            refused,
            good().told("differences", object([("root/timestamp.json", Value::from("other bytes"))])),
        ),
        passes(WorkingTree, "as-committed", good()),
        fails(MergeUnion, "a-record-changed-in-a-merge", refused, good().told("merge", merged.as_str())),
        passes(MergeUnion, "an-online-file-changed-in-a-merge", good().told("merge", "root/timestamp.json")),
        fails(NameTwin, "in-capitals", refused, genesis(|tree| put(tree, "root/TIMESTAMP.json", "x")))
            .also(&[RootFiles]),
        passes(NameTwin, "none", good()),
        fails(
            ReviewOneMachine,
            "nobody-had-a-second",
            Level::Warning,
            repository("genesis.json", &HELD.genesis, &ONE_MACHINE),
        )
        .also(&[Exceptions]),
        passes(ReviewOneMachine, "everybody-had", good()),
        fails(
            EnrolUnvouched,
            "one-voucher-and-no-exception",
            Level::Warning,
            opened(proposes, |event| {
                if let Deed::Vouched { by, .. } = &mut event.deed {
                    by.pop_last();
                }
            }),
        )
        .also(&[RecordClosed]),
        passes(EnrolUnvouched, "two-vouchers", good()),
        fails(Exceptions, "one", Level::Warning, with_an_exception()).also(&[RecordClosed]),
        passes(Exceptions, "none", good()),
        fails(LogSigned, "by-another-key", refused, signed(|i| Some((if i == 1 { 8 } else { 7 }, EVENT_NAMESPACE)))),
        fails(
            LogSigned,
            "for-another-purpose",
            refused,
            signed(|i| Some((7, if i == 1 { RECORD_NAMESPACE } else { EVENT_NAMESPACE }))),
        ),
        fails(LogSigned, "signed-no-more", refused, signed(|i| (i == 0).then_some((7, EVENT_NAMESPACE)))),
        passes(LogSigned, "all-signed", signed(|_| Some((7, EVENT_NAMESPACE)))),
        passes(LogSigned, "nobody-signs", signed(|_| None)),
        super::fails(PlanQuorumOld, "two-gone", Kind::FollowingPlan, refused, HELD.following[2].clone().into_bytes()),
        super::passes(PlanQuorumOld, "all-stay", Kind::FollowingPlan, HELD.following[0].clone().into_bytes()),
    ]
}

/// The genesis with another second clock than the one that was heard.
fn unheard() -> Repository {
    logged(|event| {
        if let Deed::Clock { source, .. } = &mut event.deed {
            source.push_str(" of another room");
        }
        true
    })
}

/// The genesis before its proposal, with an exception at the end.
fn with_an_exception() -> Repository {
    let mut tree = open(|deed| matches!(deed, Deed::Proposed { .. }), |_| ());
    let record = Record::read(&tree, RECORD).unwrap();
    let last = &record.events.last().unwrap().event;
    let seats = record.plan.seats.clone();
    let event = Event {
        n: last.n + 1,
        after: record.heads(),
        acted: seats.scribe.clone(),
        checked: BTreeSet::from([seats.conductor]),
        deed: Deed::Exception {
            number: 1,
            check: None,
            what: "A cup fell over.".to_owned(),
            remedy: "None.".to_owned(),
            approved: seats.scribe,
        },
        files: BTreeMap::new(),
        ..last.clone()
    };
    put(&mut tree, &format!("{RECORD}/{}", event.path()), std::str::from_utf8(&event.to_canonical()).unwrap());
    repository("genesis.json", &HELD.genesis, &tree)
}

// ---------------------------------------------------------------------------------------------------- SSH signatures

/// The opening of the genesis, where the plan names olga's SSH key, number 7; `sign` gives the key and the namespace of the
/// signature beside each event.
fn signed(sign: impl Fn(usize) -> Option<(u8, &'static str)>) -> Repository {
    let open = open(|deed| matches!(deed, Deed::Token { .. }), |_| ());
    let record = Record::read(&open, RECORD).unwrap();
    let mut plan = record.plan.clone();
    let olga = plan.people.iter_mut().find(|person| person.handle == handle("olga")).unwrap();
    olga.ssh = Some(format!("ssh-ed25519 {}", base64(&public(7))));
    let mut tree = Tree::from([(".gitattributes".to_owned(), open[".gitattributes"].clone())]);
    tree.insert(format!("{RECORD}/plan.json"), Entry::File(plan.to_canonical()));
    let mut last: Option<Digest> = None;
    let mut beside_last: Option<Digest> = None;
    for (i, logged) in record.events.iter().enumerate() {
        let event = Event {
            plan: Digest::of(&plan.to_canonical()),
            after: last.into_iter().collect(),
            signatures: last.zip(beside_last).into_iter().collect(),
            ..logged.event.clone()
        };
        let bytes = event.to_canonical();
        last = Some(Digest::of(&bytes));
        beside_last = sign(i).map(|(key, namespace)| {
            let armour = armour(key, namespace, &bytes);
            put(&mut tree, &beside::path(RECORD, &event), &armour);
            Digest::of(armour.as_bytes())
        });
        tree.insert(format!("{RECORD}/{}", event.path()), Entry::File(bytes));
    }
    repository("", &Tree::new(), &tree)
}

fn secret(number: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[number; 32])
}

/// `string` of RFC 4251.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn public(number: u8) -> Vec<u8> {
    [string(b"ssh-ed25519"), string(secret(number).verifying_key().as_bytes())].concat()
}

/// The armour that `ssh-keygen -Y sign` writes (PROTOCOL.sshsig of OpenSSH).
fn armour(number: u8, namespace: &str, message: &[u8]) -> String {
    let common = [string(namespace.as_bytes()), string(b""), string(b"sha256")].concat();
    let inner = [b"SSHSIG".as_slice(), &common, &string(Digest::of(message).as_bytes())].concat();
    let signature = [string(b"ssh-ed25519"), string(&secret(number).sign(&inner).to_bytes())].concat();
    let blob = [b"SSHSIG\0\0\0\x01".as_slice(), &string(&public(number)), &common, &string(&signature)].concat();
    let text = base64(&blob);
    let lines: Vec<&str> = text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let at = (number >> (18 - 6 * digit)) & 63;
            out.push(if digit <= three.len() { char::from(DIGITS[at as usize]) } else { '=' });
        }
    }
    out
}
