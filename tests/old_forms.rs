//! Whole ceremonies over roots that others made, in old forms: key ids of old key objects, an old keytype, points in
//! hexadecimal, a fraction in `expires`, an id that is no hash, empty signatures. Virtual tokens stand in for the old holders.
//!
//! Rules:
//! 1. The old quorum signs under the key ids that the old root gives its keys; the new root is strict.
//! 2. Online roles that exist elsewhere go on from the versions they have.
//! 3. Where the strict judge does not read the old root, the record says so by name, and it starts at the new one.

#[path = "support/stage.rs"]
mod stage;
#[path = "support/stand_in.rs"]
mod stand_in;

use std::collections::BTreeSet;

use stage::{Stage, handle};
use stand_in::{Published, StandIns, tokens};
use trustroot::conduct::Ending;
use trustroot::ledger::{GitLedger, Identity};
use trustroot::seams::{Commit, Ledger as _};
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::Deed;
use trustroot_core::import::{Ask, import};
use trustroot_core::json::Value;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::new_key_id;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::snapshot::Snapshot;
use trustroot_core::metadata::targets::Targets;
use trustroot_core::metadata::timestamp::Timestamp;
use trustroot_core::metadata::tufkey::{Spelling, key_id, spell};
use trustroot_core::metadata::{Metadata, Role};
use trustroot_core::payload::Payload;
use trustroot_core::plan::carry::{Becomes, Carry};
use trustroot_core::plan::lint::lint;
use trustroot_core::plan::lint_follows::{against, elsewhere};
use trustroot_core::plan::{Elsewhere, Kind, Plan};
use trustroot_core::predecessor::Predecessor;
use trustroot_core::signature::Portable;
use trustroot_core::time::Timestamp as Day;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};

/// What had been published before: targets, snapshot, timestamp.
const BEFORE: (u64, u64, u64) = (7, 160, 412);

/// A trust root that was imported, and the plan of its next root.
struct Planned {
    stage: Stage,
    before: Predecessor,
    toml: String,
    /// What the lint of the plan said.
    linted: Vec<Finding>,
}

/// The same, after the ceremony.
struct Continued {
    stage: Stage,
    before: Predecessor,
    /// The clients that verified it, as the record names them.
    clients: Vec<String>,
}

/// Imports the chain of stand-ins for `roots`, and plans the next root. With `roots_only` the rest is published elsewhere, and
/// the plan says in which versions.
fn planned(roots: &[Metadata<Root>], roots_only: bool, change: impl Fn(&mut Carry<'_>)) -> Planned {
    let mut stage = Stage::new(3, 2);
    let mut stand_ins = StandIns::of(stage.seed, &stage.plan, roots);
    let versions = (!roots_only).then_some(BEFORE);
    let Published { files, newest } = stand_ins.publish(roots, versions);
    let source: Tree = files.iter().map(|(name, bytes)| (name.clone(), Entry::File(bytes.clone()))).collect();
    let ask = Ask { now: Day::from_day("2026-01-05").unwrap(), roots_only, anchor: None, rehearsal: true };
    let found = import(&source, &ask, &Portable);
    assert!(found.accepted(), "{:#?}", found.findings);
    for (name, bytes) in &files {
        assert_eq!(found.files.get(&format!("root/{name}")), Some(bytes), "{name} is taken byte for byte");
    }

    stage.folder = stage::folder();
    let mut ledger = GitLedger::init(stage.folder.path(), Some(Identity::rehearsal())).unwrap();
    let mut taken = found.files.clone();
    taken.insert(".gitattributes".to_owned(), b"* -text\n".to_vec());
    let time = stage.plan.day.plus_seconds(12 * 3600);
    ledger.append(&Commit { parent: None, files: taken, message: "Import\n".to_owned(), time }).unwrap();
    let state = ledger.state_dir().join("tokens");
    drop(ledger);

    let before = Predecessor::newest(&stage.tree()).unwrap();
    assert_eq!(before.root.payload().digest(), newest.payload().digest());
    let mut toml = stage.carried("taken-over", "2026-03-02", |plan| {
        plan.last = None;
        plan.elsewhere = roots_only.then_some(Elsewhere { targets: BEFORE.0, snapshot: BEFORE.1, timestamp: BEFORE.2 });
        change(plan);
    });
    // The tokens that stand in have serial numbers, which a foreign root does not know.
    let with_serial = |toml: &str, key: Digest| {
        let at = toml.find(&format!("key = \"{key}\"")).unwrap();
        let token = at + toml[at..].find("kind = \"virtual\"").unwrap() + "kind = \"virtual\"".len();
        let serial = stand_ins.serial(before.root_key(key).unwrap());
        format!("{}, serial = {serial}{}", &toml[..token], &toml[token..])
    };
    for key in before.keys(Role::Root) {
        toml = with_serial(&toml, key.fingerprint());
    }
    let plan = Plan::from_toml(&toml).unwrap();
    let mut old = plan.clone();
    old.holders.retain(|holder| holder.key.is_some());
    old.leaving.clear();
    for leaving in &plan.leaving {
        let mut holder = plan.holders[0].clone();
        (holder.handle, holder.token) = (leaving.handle.clone(), leaving.token.clone());
        old.holders.push(holder);
    }
    drop(tokens(stage.seed, &state, &old));
    let linted = [lint(&plan, None), against(&plan, &before), elsewhere(&plan, &stage.tree())].concat();
    assert!(linted.iter().all(|finding| finding.level < Level::Refused), "{linted:?}");

    // The lint names each key that must sign and, where it is not the usual one, the key id it signs under.
    let quorum = linted.iter().find(|finding| finding.check == Check::PlanQuorumOld).unwrap().what.line();
    for key in before.keys(Role::Root) {
        let usual = new_key_id(key).unwrap();
        for id in before.key_ids(Role::Root, key).iter().filter(|id| **id != usual) {
            assert!(quorum.contains(&format!("under the key id {id}")), "{quorum}");
        }
    }
    Planned { stage, before, toml, linted }
}

impl Planned {
    /// Holds the ceremony to its end.
    fn held(self) -> Continued {
        let Self { mut stage, before, toml, .. } = self;
        stage.follow(&toml);
        assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
        let events = stage.ceremony().events;
        let clients = events.iter().find_map(|logged| match &logged.event.deed {
            Deed::Verified { clients } => Some(clients.clone()),
            _ => None,
        });
        let made = Continued { stage, before, clients: clients.unwrap() };
        judge(&made);
        made
    }
}

/// Rules 1 and 2, of whatever came out.
fn judge(made: &Continued) {
    let tree = made.stage.tree();
    let old = made.before.root.version();
    let new = Predecessor::newest(&tree).unwrap();
    assert_eq!(new.root.version(), old + 1);
    assert_eq!(new.root.findings(), [], "the new root has the strict forms only");
    // Old clients look signatures up under the old ids, which the new root no longer knows.
    let filed: BTreeSet<&str> = new.root.signatures().iter().map(|signature| signature.keyid.as_str()).collect();
    let named = new.root.body().keys();
    for key in made.before.keys(Role::Root) {
        let usual = new_key_id(key).unwrap();
        for id in made.before.key_ids(Role::Root, key) {
            assert!(filed.contains(id.as_str()), "the signature is filed under {id} as well");
            assert!(id == usual || !named.contains_key(&id), "{id}");
        }
        assert_eq!(filed.contains(usual.as_str()), named.contains_key(&usual));
    }
    // What went before stays as it was, and the rest goes on from it.
    let bytes = |name: &str| tree[&format!("root/{name}")].bytes().unwrap().to_vec();
    let timestamp = Metadata::<Timestamp>::parse("timestamp", &bytes("timestamp.json")).unwrap();
    let snapshot = Metadata::<Snapshot>::parse("snapshot", &bytes("161.snapshot.json")).unwrap();
    let targets = Metadata::<Targets>::parse("targets", &bytes("8.targets.json")).unwrap();
    assert_eq!((targets.version(), snapshot.version(), timestamp.version()), (8, 161, 413));
    // The whole is accepted, with every leniency named; strictly, only what others made is refused.
    let options = Options {
        now: made.stage.ceremony().events.last().unwrap().event.time,
        rehearsal: true,
        strict: false,
        anchor: None,
        program: Some("trustroot 0.0.0"),
        history: History::None,
        differences: &[],
    };
    let report = verify_trust_root(&tree, &options, &Portable);
    assert!(report.accepted(), "{:#?}", report.findings);
    let headline = report.headline();
    assert!(headline.contains(&format!("roots 1 to {old} were made elsewhere")), "{headline}");
    let strictly = verify_trust_root(&tree, &Options { strict: true, ..options }, &Portable);
    let refused = strictly.findings.iter().filter(|finding| finding.level == Level::Refused);
    for finding in refused {
        let number: u64 = finding.subject.split('.').next().unwrap().parse().unwrap();
        assert!(number <= old, "{finding}");
    }
}

/// Leaves the repository for python-tuf.
fn leave(made: &Continued, name: &str) {
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&target);
    let copied =
        std::process::Command::new("cp").arg("-a").arg(made.stage.folder.path()).arg(&target).status().unwrap();
    assert!(copied.success());
}

/// Two roots as programs of other times wrote them. In the first, points are in hexadecimal and `expires` has a fraction; in the
/// second, one key id is no hash, a signature is empty, and tuf-on-ci's fields name the holders.
fn old_roots() -> Vec<Metadata<Root>> {
    let key = |number: u8| {
        let secret = p256::ecdsa::SigningKey::from_slice(&[number; 32]).unwrap();
        PublicKey::from_p256_point(secret.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
    };
    let object = |number: u8, spelling: Spelling, owner: Option<&str>| {
        let public = Value::Str(spell(&key(number), spelling).unwrap());
        let mut members = vec![
            ("keytype", Value::from("ecdsa-sha2-nistp256")),
            ("scheme", "ecdsa-sha2-nistp256".into()),
            ("keyval", Value::from([("public", public)])),
        ];
        members.extend(owner.map(|owner| ("x-tuf-on-ci-keyowner", Value::from(owner))));
        Value::Obj(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let root = |version: u64, expires: &str, keys: Vec<(String, Value)>, more: &[String], empty: usize| {
        let ids: Vec<String> = keys.iter().map(|(id, _)| id.clone()).collect();
        let (holders, online) = ids.split_at(3);
        let role = |ids: &[String], threshold: u64| {
            let ids = Value::Arr(ids.iter().cloned().map(Value::Str).collect());
            Value::from([("keyids", ids), ("threshold", Value::from(threshold))])
        };
        let roles = [
            ("root", role(holders, 2)),
            ("targets", role(holders, 2)),
            ("snapshot", role(online, 1)),
            ("timestamp", role(online, 1)),
        ];
        let signed = Value::from([
            ("_type", Value::from("root")),
            ("spec_version", "1.0".into()),
            ("version", Value::from(version)),
            ("expires", expires.into()),
            ("consistent_snapshot", Value::Bool(true)),
            ("keys", Value::Obj(keys.into_iter().collect())),
            ("roles", Value::from(roles)),
        ]);
        let signatures = holders.iter().chain(more).enumerate().map(|(i, id)| {
            let sig = if i < empty { "" } else { "00" };
            Value::from([("keyid", Value::Str(id.clone())), ("sig", sig.into())])
        });
        let file = Value::from([("signatures", Value::Arr(signatures.collect())), ("signed", signed)]);
        Metadata::parse(&format!("{version}.root.json"), &Payload::of(&file).to_json()).unwrap()
    };
    let named = |object: Value| (key_id(&object).to_string(), object);
    let first = [1, 2, 3, 9].map(|number| named(object(number, Spelling::HexPoint, None))).to_vec();
    let owners = [(1, "@Alice"), (2, "@bob"), (3, "@carol.c")];
    let mut second: Vec<(String, Value)> =
        owners.map(|(number, owner)| named(object(number, Spelling::Pem, Some(owner)))).to_vec();
    second.push(named(object(9, Spelling::Pem, None)));
    second[1].0 = "b".repeat(64);
    // Clients at the first look the holders up by the ids that it gives them.
    let of_first: Vec<String> = first[..3].iter().map(|(id, _)| id.clone()).collect();
    let first = root(1, "2024-12-18T13:28:12.99008-06:00", first, &[], 0);
    let second = root(2, "2027-01-01T00:00:00Z", second, &of_first, 1);
    vec![first, second]
}

#[test]
fn holders_of_an_old_root_hand_over_under_the_key_ids_that_it_gives_them() {
    let planned = planned(&old_roots(), false, |plan| {
        (plan.kind, plan.reason, plan.add) = (Kind::Rotate, "Alice hands over, and the server moves.", 1);
        plan.changes = [(handle("alice"), Becomes::Leaves), (handle("bob"), Becomes::Replaced)].into();
        plan.online = Some(handle("online-new"));
    });
    let quorum = planned.linted.iter().find(|finding| finding.check == Check::PlanQuorumOld).unwrap().what.line();
    let bob = format!("bob (old key) under the key id {}", "b".repeat(64));
    assert!(quorum.contains("alice (old key) under the key id") && quorum.contains(&bob), "{quorum}");
    assert!(quorum.contains("carol-c under the key id"), "{quorum}");
    let made = planned.held();
    let tough = "tough 0.24.0 (expiry not asked), from root 3 on (it does not read root 2: ";
    assert_eq!(made.clients[1], format!("{tough}KEY-ID, KEY-TYPE, SIG-EMPTY, SPEC-VERSION)"));
    leave(&made, "old-forms");
}

#[cfg(feature = "public-data")]
mod sigstore {
    use super::*;

    /// Sigstore's roots up to this number.
    fn roots(newest: u64) -> Vec<Metadata<Root>> {
        let beside = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
        let folder = std::env::var_os("TRUSTROOT_CORPUS").map_or(beside, std::path::PathBuf::from);
        let read = |number: u64| {
            let name = format!("{number}.root.json");
            Metadata::parse(&name, &std::fs::read(folder.join("sigstore-roots").join(&name)).unwrap()).unwrap()
        };
        (1..=newest).map(read).collect()
    }

    #[test]
    fn a_next_root_of_each_of_the_twelve_is_planned_and_held() {
        // What the strict judge does not read, by what it is: a date that it writes anew, and a key id that is no hash.
        let of_first = "from root 2 on (it does not read root 1: EXPIRES-FORM, KEY-ENCODING, KEY-TYPE, SPEC-VERSION)";
        let of_eleventh = "from root 12 on (it does not read root 11: KEY-ID, SPEC-VERSION)";
        for number in 1..=12 {
            // In the first the holders sign snapshot and timestamp too: those go to a new online key.
            let first = number == 1;
            let planned = planned(&roots(number), first, |plan| {
                if first {
                    (plan.kind, plan.reason) = (Kind::Rotate, "An online key takes over.");
                    (plan.online, plan.overlap) = (Some(handle("online")), false);
                }
            });
            // One of each form is held to the end.
            if ![1, 4, 9, 11, 12].contains(&number) {
                continue;
            }
            let made = planned.held();
            let start = if number < 11 { of_first } else { of_eleventh };
            assert_eq!(made.clients[1], format!("tough 0.24.0 (expiry not asked), {start}"));
            if number == 12 {
                leave(&made, "sigstore-continued");
            }
        }
    }
}
