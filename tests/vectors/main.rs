//! Vectors: small files with one failure each, and for each failure a file beside it that passes.
//!
//! Rules:
//! 1. A vector lies in the folder of its check. `<name>.<kind>` is what is read, `<name>.expect` says which check has to
//!    report, at which level, and what reads it; another program can go by these files alone.
//! 2. The check reports, at that level, and nothing weighs more; alone, but for checks that cannot but say the same, which
//!    `.expect` names. A vector that passes has nothing refused, and nothing of its check above a note.
//! 3. Each vector is written by a function here, and what is committed is what that function writes, byte for byte.
//!    `VECTORS=write cargo test --test vectors` writes them anew.
//! 4. Every check has a vector that fails and one that passes; the two that no file can show stand in [`ELSEWHERE`].

mod attestations;
mod branches;
mod claims;
#[path = "../common/mod.rs"]
mod common;
mod histories;
mod make;
mod metadata;
mod plans;
mod records;
mod repositories;
#[path = "../support/stage.rs"]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use trustroot_core::attestation::AdvisoryName;
use trustroot_core::attestation::anchor::{Anchors, certificate_from_pem};
use trustroot_core::attestation::verify::{Expected, examine};
use trustroot_core::beside;
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::claim::Origin;
use trustroot_core::event::Event;
use trustroot_core::lint::{Proposal, lint};
use trustroot_core::metadata::{Body, Metadata, Refusal, root::Root, snapshot::Snapshot, targets::Targets, timestamp};
use trustroot_core::payload::Payload;
use trustroot_core::plan::{self, Plan};
use trustroot_core::record::Record;
use trustroot_core::replay::replay;
use trustroot_core::sigfile::{SignatureFile, SignedRole, collect};
use trustroot_core::signature::Portable;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::trusted::{CurrentRoot, Floor, TrustedRoot};
use trustroot_core::verify::roots::verify_roots;

use make::{holders, key, now, online, signed};

/// Who reads a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The reader of metadata.
    Root,
    Timestamp,
    Snapshot,
    Targets,
    /// The chain of roots, as `1.root.json` alone, as `2.root.json` and as `3.root.json` after the base's first root.
    FirstRoot,
    SecondRoot,
    ThirdRoot,
    /// A client at [`now`], in the place of one file of the base.
    SetRoot,
    SetTimestamp,
    SetSnapshot,
    SetTargets,
    /// A client that has stored [`metadata::stored_timestamp`].
    NextTimestamp,
    /// The lint of a proposal, beside the base's targets.
    ProposedRoot,
    /// The reader of plans, and the lint.
    Plan,
    /// The reader of frozen plans.
    FrozenPlan,
    /// The reader of events.
    Event,
    /// The reader of a record, and the replay.
    Record,
    /// The judge of alice's branch; see [`branches`].
    Branch,
    /// The verification of a whole trust root.
    Repository,
    /// The verification of the git history of a trust root that others made.
    History,
    /// What a plan says of the root of the base's genesis, which it continues.
    FollowingPlan,
    /// The collector of signatures over [`metadata::signed_payload`].
    Signature,
    /// The examiner of attestations: key 1, [`attestations::SERIAL`], slot 9c, firmware from 5.7.4, a rehearsal.
    Attestation,
    /// The same with firmware from 4.3.5.
    OldAttestation,
    /// The same, and EUCLEAK is waived.
    WaivedAttestation,
    /// As the first, in production.
    ProductionAttestation,
    /// The examiner of claims: key 1, on the token of [`claims`], generated in the ceremony.
    Claim,
    /// The same for a key that was there before.
    ExistingClaim,
}

impl Kind {
    /// What the header calls it, and what the file's name ends with.
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Root => ("root", "json"),
            Self::Timestamp => ("timestamp", "json"),
            Self::Snapshot => ("snapshot", "json"),
            Self::Targets => ("targets", "json"),
            Self::FirstRoot => ("first root", "json"),
            Self::SecondRoot => ("second root", "json"),
            Self::ThirdRoot => ("third root", "json"),
            Self::SetRoot => ("root of a set", "json"),
            Self::SetTimestamp => ("timestamp of a set", "json"),
            Self::SetSnapshot => ("snapshot of a set", "json"),
            Self::SetTargets => ("targets of a set", "json"),
            Self::NextTimestamp => ("next timestamp", "json"),
            Self::ProposedRoot => ("proposed root", "payload"),
            Self::Plan => ("plan", "toml"),
            Self::FrozenPlan => ("frozen plan", "json"),
            Self::Event => ("event", "json"),
            Self::Record => ("record", "json"),
            Self::Branch => ("branch of a holder", "json"),
            Self::Repository => ("repository", "json"),
            Self::History => ("history", "json"),
            Self::FollowingPlan => ("plan that continues the genesis of the base", "toml"),
            Self::Signature => ("signature file", "json"),
            Self::Attestation => ("attestation", "pem"),
            Self::OldAttestation => ("attestation, firmware from 4.3.5", "pem"),
            Self::WaivedAttestation => ("attestation, firmware from 4.3.5, EUCLEAK waived", "pem"),
            Self::ProductionAttestation => ("attestation in production", "pem"),
            Self::Claim => ("claim", "json"),
            Self::ExistingClaim => ("claim of a key that was there before", "json"),
        }
    }
}

/// One file, and what has to be found in it.
pub(crate) struct Vector {
    pub(crate) check: Check,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// At which level the check reports; nothing if the vector passes.
    pub(crate) level: Option<Level>,
    pub(crate) bytes: Vec<u8>,
    /// Other checks that say the same, at the same level.
    pub(crate) also: &'static [Check],
}

impl Vector {
    /// With other checks that cannot but say the same.
    pub(crate) fn also(self, also: &'static [Check]) -> Self {
        Self { also, ..self }
    }
}

pub(crate) fn fails(check: Check, name: &'static str, kind: Kind, level: Level, bytes: Vec<u8>) -> Vector {
    Vector { check, name, kind, level: Some(level), bytes, also: &[] }
}

pub(crate) fn passes(check: Check, name: &'static str, kind: Kind, bytes: Vec<u8>) -> Vector {
    Vector { check, name, kind, level: None, bytes, also: &[] }
}

fn all() -> Vec<Vector> {
    [
        metadata::reading(),
        metadata::keys(),
        metadata::chains(),
        metadata::sets(),
        metadata::proposals(),
        metadata::signature_files(),
        plans::vectors(),
        records::events(),
        records::vectors(),
        attestations::vectors(),
        claims::vectors(),
        branches::vectors(),
        repositories::vectors(),
        histories::vectors(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

// ----------------------------------------------------------------------------------------------------------- judging

fn outcome<T>(result: Result<T, Refusal>, findings: impl FnOnce(T) -> Vec<Finding>) -> Vec<Finding> {
    result.map_or_else(|refusal| vec![refusal.into()], findings)
}

fn parsed<T: Body>(bytes: &[u8]) -> Vec<Finding> {
    outcome(Metadata::<T>::parse("vector", bytes), |file| file.findings().to_vec())
}

fn chain(number: u64, bytes: &[u8]) -> Vec<Finding> {
    let base = ("1.root.json".to_owned(), signed(&make::root(), &holders()));
    let files = BTreeMap::from([base, (format!("{number}.root.json"), bytes.to_vec())]);
    verify_roots(&files, false, &Portable).all_findings().cloned().collect()
}

fn current(root: &[u8]) -> Result<CurrentRoot, Refusal> {
    TrustedRoot::pinned(root, &Portable)?.at(now())
}

/// A client that gets the base, with `bytes` in the place of one file.
fn client(kind: Kind, bytes: &[u8]) -> Vec<Finding> {
    let base = base();
    let file = |of: Kind, name: &str| if of == kind { bytes.to_vec() } else { base[name].clone() };
    let to_the_end = || {
        let root = current(&file(Kind::SetRoot, "1.root.json"))?;
        let timestamp = root.timestamp(&file(Kind::SetTimestamp, "timestamp.json"), &Floor::none(), &Portable)?;
        if kind == Kind::SetTimestamp {
            return Ok(Vec::new());
        }
        let snapshot = timestamp.snapshot(&file(Kind::SetSnapshot, "1.snapshot.json"), &Portable)?;
        let targets = snapshot.targets(&file(Kind::SetTargets, "1.targets.json"), &Portable)?;
        Ok(targets.findings())
    };
    outcome(to_the_end(), |findings| findings)
}

fn next_timestamp(bytes: &[u8]) -> Vec<Finding> {
    let first = signed(&make::root(), &holders());
    let since = TrustedRoot::pinned(&first, &Portable).unwrap();
    let root = current(&first).unwrap();
    let stored = signed(&metadata::stored_timestamp(), &[online()]);
    let floor = Floor::from_local(&root, &since, Some(&stored), None, &Portable);
    outcome(root.timestamp(bytes, &floor, &Portable), |_| Vec::new())
}

fn read_plan(result: Result<Plan, plan::parse::PlanError>) -> Vec<Finding> {
    match result {
        Ok(plan) => plan::lint::lint(&plan, Some(now())),
        Err(error) => vec![Finding::new(Level::Refused, Check::PlanForm, "vector", error.to_string())],
    }
}

fn read_record(bytes: &[u8]) -> Vec<Finding> {
    let files = records::files(bytes);
    let dir = files.keys().find_map(|path| path.strip_suffix("/plan.json")).unwrap().to_owned();
    let tree: Tree = files.into_iter().map(|(path, bytes)| (path, Entry::File(bytes))).collect();
    match Record::read(&tree, &dir) {
        Ok(record) => replay(&record, &tree).err().into_iter().chain(beside::check(&record, &tree)).collect(),
        Err(findings) => findings,
    }
}

fn read_signature(bytes: &[u8]) -> Vec<Finding> {
    let payload = metadata::signed_payload();
    let path = trustroot_core::json::read::<SignatureFile>(bytes).map_or("x.json".to_owned(), |file| file.path());
    let name = path.rsplit('/').next().unwrap();
    let path = format!("record/signatures/targets-{}/{name}", payload.digest());
    let tree = Tree::from([(path, Entry::File(bytes.to_vec()))]);
    let keys = holders().map(|key| key.public());
    let collected = collect(&tree, "record", SignedRole::Targets, &payload, &keys.each_ref(), &Portable);
    assert_eq!(collected.valid.len() + collected.findings.len(), 1);
    collected.findings
}

fn attestation(bytes: &[u8], minimum_firmware: (u8, u8, u8), rehearsal: bool, waived: &[AdvisoryName]) -> Vec<Finding> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (slot, device) = text.split_at(text.rfind("-----BEGIN").unwrap());
    let [slot, device] = [slot, device].map(|pem| certificate_from_pem(pem).unwrap());
    let key = key(1).public();
    let serial = attestations::SERIAL;
    let expected = Expected { key: &key, serial, slot: "9c", minimum_firmware, rehearsal, waived };
    examine(&slot, &device, &[], &expected, &Anchors::pinned()).findings
}

fn judge(kind: Kind, bytes: &[u8]) -> Vec<Finding> {
    match kind {
        Kind::Root => parsed::<Root>(bytes),
        Kind::Timestamp => parsed::<timestamp::Timestamp>(bytes),
        Kind::Snapshot => parsed::<Snapshot>(bytes),
        Kind::Targets => parsed::<Targets>(bytes),
        Kind::FirstRoot => chain(1, bytes),
        Kind::SecondRoot => chain(2, bytes),
        Kind::ThirdRoot => chain(3, bytes),
        Kind::SetRoot | Kind::SetTimestamp | Kind::SetSnapshot | Kind::SetTargets => client(kind, bytes),
        Kind::NextTimestamp => next_timestamp(bytes),
        Kind::ProposedRoot => {
            let targets = Payload::of(&make::targets());
            let proposal =
                Proposal { root: bytes, targets: targets.bytes(), old_root: None, old_targets: None, now: now() };
            lint(&proposal)
        }
        Kind::Plan => read_plan(Plan::from_toml(std::str::from_utf8(bytes).unwrap())),
        Kind::FrozenPlan => read_plan(Plan::from_json(bytes)),
        Kind::Event => {
            let refused = |error: String| Finding::new(Level::Refused, Check::LogForm, "vector", error);
            Event::from_bytes(bytes).err().map(|error| refused(error.to_string())).into_iter().collect()
        }
        Kind::Record => read_record(bytes),
        Kind::Branch => branches::findings(bytes),
        Kind::Repository => repositories::findings(bytes),
        Kind::History => histories::findings(bytes),
        Kind::FollowingPlan => repositories::following(bytes),
        Kind::Signature => read_signature(bytes),
        Kind::Attestation => attestation(bytes, (5, 7, 4), true, &[]),
        Kind::OldAttestation => attestation(bytes, (4, 3, 5), true, &[]),
        Kind::WaivedAttestation => attestation(bytes, (4, 3, 5), true, &[AdvisoryName::Eucleak]),
        Kind::ProductionAttestation => attestation(bytes, (5, 7, 4), false, &[]),
        Kind::Claim => claims::findings(bytes, Origin::Generated),
        Kind::ExistingClaim => claims::findings(bytes, Origin::Existing),
    }
}

#[test]
fn each_vector_is_refused_by_its_check_alone_or_passes() {
    let mut wrong = Vec::new();
    for vector in all() {
        let findings = judge(vector.kind, &vector.bytes);
        let right = match vector.level {
            Some(level) => {
                let at: BTreeSet<Check> = findings.iter().filter(|f| f.level == level).map(|f| f.check).collect();
                let expected = vector.also.iter().chain([&vector.check]).copied().collect();
                at == expected && findings.iter().all(|finding| finding.level <= level)
            }
            None => {
                findings.iter().all(|f| f.level < Level::Refused && (f.check != vector.check || f.level == Level::Note))
            }
        };
        if !right {
            let found: Vec<_> = findings.iter().map(|finding| format!("{:?} {finding}", finding.level)).collect();
            wrong.push(format!("{} {} ({:?}): {found:#?}", vector.check, vector.name, vector.level));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// ------------------------------------------------------------------------------------------------------------- files

/// The repository that vectors of chains and clients go with.
fn base() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        ("1.root.json".to_owned(), signed(&make::root(), &holders())),
        ("timestamp.json".to_owned(), signed(&make::timestamp(), &[online()])),
        ("1.snapshot.json".to_owned(), signed(&make::snapshot(), &[online()])),
        ("1.targets.json".to_owned(), signed(&make::targets(), &holders())),
        ("stored-timestamp.json".to_owned(), signed(&metadata::stored_timestamp(), &[online()])),
    ])
}

/// Every file, by its path below `tests/vectors`.
fn written() -> BTreeMap<PathBuf, Vec<u8>> {
    let repositories = repositories::bases().into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    let bases = base().into_iter().chain(repositories);
    let mut files: BTreeMap<PathBuf, Vec<u8>> =
        bases.map(|(name, bytes)| (Path::new("base").join(name), bytes)).collect();
    let mut put =
        |path: PathBuf, bytes: Vec<u8>| assert!(files.insert(path.clone(), bytes).is_none(), "{path:?} twice");
    for vector in all() {
        let (reader, extension) = vector.kind.name();
        let path = Path::new(vector.check.name()).join(vector.name);
        let level = match vector.level {
            None => "passes",
            Some(Level::Refused) => "refused",
            Some(Level::Warning) => "warning",
            Some(Level::Lenient) => "lenient",
            Some(Level::Note) => "note",
        };
        let also: String = vector.also.iter().map(|check| format!("also: {check}\n")).collect();
        let header = format!("check: {}\nlevel: {level}\nread as: {reader}\n{also}", vector.check);
        let named = |extension: &str| PathBuf::from(format!("{}.{extension}", path.display()));
        put(named(extension), vector.bytes);
        put(named("expect"), header.into_bytes());
    }
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// The files that lie in the folders of checks and of the base.
fn lying() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(&entry).unwrap().map(|file| file.unwrap().path()) {
            found.insert(file.strip_prefix(folder()).unwrap().to_owned(), fs::read(&file).unwrap());
        }
    }
    found
}

#[test]
fn what_is_committed_is_what_is_written_here() {
    let written = written();
    if std::env::var_os("VECTORS").is_some_and(|value| value == "write") {
        for path in lying().keys() {
            fs::remove_file(folder().join(path)).unwrap();
        }
        for (path, bytes) in &written {
            fs::create_dir_all(folder().join(path).parent().unwrap()).unwrap();
            fs::write(folder().join(path), bytes).unwrap();
        }
    }
    let lying = lying();
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&lying), names(&written), "VECTORS=write cargo test --test vectors");
    for (path, bytes) in &written {
        assert!(lying[path] == *bytes, "{} is not what is written here", path.display());
    }
}

// ---------------------------------------------------------------------------------------------------------- coverage

/// Checks that no file can show, because they are about programs and not about what lies somewhere: for each, the file and the
/// test that shows what it refuses and what it passes. The test names the check.
const ELSEWHERE: &[(Check, &str, &str)] = &[
    (Check::ClientOurs, "tests/trouble.rs", "what_our_own_client_refuses_is_not_proposed"),
    (Check::ClientOther, "tests/trouble.rs", "what_another_client_refuses_is_not_proposed"),
];

#[test]
fn every_check_has_a_vector_that_fails_and_one_that_passes() {
    let vectors = all();
    for check in Check::ALL {
        let has = |passes: bool| vectors.iter().any(|one| one.check == *check && one.level.is_none() == passes);
        let elsewhere: Vec<_> = ELSEWHERE.iter().filter(|(other, ..)| other == check).collect();
        match elsewhere.as_slice() {
            [] => assert!(has(true) && has(false), "{check}: fails {}, passes {}", has(false), has(true)),
            [(_, file, test)] => {
                assert!(!has(false), "{check} has vectors; it need not stand in ELSEWHERE");
                let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
                let from = text.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("{file} has no test {test}"));
                let body = &text[from..from + text[from..].find("\n}\n").unwrap()];
                assert!(text[..from].trim_end().ends_with("#[test]"), "{file}: {test} is no test");
                let names = |what: &str| assert!(body.contains(what), "{check}: {test} does not assert {what}");
                names(&format!("Check::{check:?}"));
                names("Ending::Closed");
            }
            _ => panic!("{check} stands in ELSEWHERE twice"),
        }
    }
}
