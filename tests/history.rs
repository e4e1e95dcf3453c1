//! `verify` on repositories that others made: one with each kind of trouble, and one without any.
//!
//! Every repository is made with the `git` program at fixed times, with the layout of Sigstore's `root-signing`. What is
//! compared is every finding above a note: nothing more, nothing less.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use p256::ecdsa::signature::Signer as _;
use tempfile::TempDir;
use trustroot::ledger::Reading;
use trustroot::token::certificate::{Claims, DEVICE_NAME, Issuer};
use trustroot_core::attestation::anchor::certificate_to_pem;
use trustroot_core::check::{Check, Level};
use trustroot_core::json::Value;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{Keyholders, Root, Snapshot, Targets, Timestamp, new_key_id};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::metadata::targets::Target;
use trustroot_core::payload::Payload;
use trustroot_core::proposal::REHEARSAL;
use trustroot_core::signature::Portable;
use trustroot_core::time;
use trustroot_core::verify::history::{Ask, HistoryReport, page, verify_history};

// ------------------------------------------------------------------------------------------------------------ stage

#[derive(Clone)]
struct Key(p256::ecdsa::SigningKey);

fn key(number: u8) -> Key {
    Key(p256::ecdsa::SigningKey::from_slice(&[number; 32]).unwrap())
}

impl Key {
    fn public(&self) -> PublicKey {
        PublicKey::from_p256_point(self.0.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
    }

    fn sign(&self, payload: &Payload) -> (String, Vec<u8>) {
        let signature: p256::ecdsa::Signature = self.0.sign(payload.bytes());
        (new_key_id(&self.public()).unwrap(), signature.to_der().as_bytes().to_vec())
    }
}

fn signed(payload: &Payload, keys: &[Key]) -> Vec<u8> {
    assemble(payload, keys.iter().map(|key| key.sign(payload)))
}

fn day(number: i64) -> time::Timestamp {
    time::Timestamp::from_day("2026-01-01").unwrap().plus_days(number)
}

fn role(keys: &[Key], threshold: u64) -> Keyholders {
    Keyholders { keys: keys.iter().map(Key::public).collect(), threshold }
}

fn holders() -> [Key; 3] {
    [key(1), key(2), key(3)]
}

/// A root of the three holders, of which two must sign; `note` makes it another.
fn root(version: u64, note: &str) -> Vec<u8> {
    let root = Root {
        version,
        expires: day(300),
        root: role(&holders(), 2),
        targets: role(&holders(), 2),
        snapshot: role(&[key(9)], 1),
        timestamp: role(&[key(9)], 1),
        extra: BTreeMap::from([
            (REHEARSAL.to_owned(), Value::from("yes")),
            ("x-trustroot-note".to_owned(), Value::from(note)),
        ]),
    };
    signed(&root.payload().unwrap(), &holders())
}

fn targets(version: u64) -> Vec<u8> {
    let targets = BTreeMap::from([("a.txt".to_owned(), Target::of(b"a"))]);
    let targets =
        Targets { version, expires: day(300), targets, extra: BTreeMap::new(), delegations: Default::default() };
    signed(&targets.payload().unwrap(), &holders())
}

fn snapshot(version: u64, targets: (u64, &[u8])) -> Vec<u8> {
    let meta = BTreeMap::from([("targets.json".to_owned(), MetaFile::of(targets.0, targets.1))]);
    signed(&Snapshot { version, expires: day(200), meta }.payload().unwrap(), &[key(9)])
}

fn timestamp(version: u64, expires: time::Timestamp, snapshot: (u64, &[u8])) -> Vec<u8> {
    let timestamp = Timestamp { version, expires, snapshot: MetaFile::of(snapshot.0, snapshot.1) };
    signed(&timestamp.payload().unwrap(), &[key(9)])
}

struct Stage {
    folder: TempDir,
}

const SET: &str = "repository/repository";

impl Stage {
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        stage.git(&["init", "-q", "-b", "main"], 0);
        stage
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn git(&self, arguments: &[&str], at: i64) -> String {
        let when = day(at).to_string();
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", &when)
            .env("GIT_COMMITTER_DATE", &when)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Commits everything on this day; the full id.
    fn commit(&self, at: i64) -> String {
        self.git(&["add", "-A"], at);
        self.git(&["commit", "-q", "-m", "change"], at);
        self.git(&["rev-parse", "HEAD"], at)
    }

    /// Writes targets, snapshot and timestamp of this version, good until a day.
    fn set(&self, version: u64, until: i64) {
        let targets = targets(version);
        let snapshot = snapshot(version, (version, &targets));
        self.write(&format!("{SET}/{version}.targets.json"), &targets);
        self.write(&format!("{SET}/{version}.snapshot.json"), &snapshot);
        self.write(&format!("{SET}/timestamp.json"), &timestamp(version, day(until), (version, &snapshot)));
    }

    /// The attestation of a holder's key, as Sigstore lays them down.
    fn attest(&self, number: u8, firmware: (u8, u8, u8)) {
        let serial = 13_000_000 + u32::from(number);
        let claims = Claims { serial, firmware, pin: 3, touch: 2, slot: "9c".to_owned() };
        let device = Issuer::new(DEVICE_NAME, key(21).0);
        let slot = device.attest(key(number).0.verifying_key(), &claims);
        let device = device.certificate(&Issuer::rehearsal(), 0, Some(firmware));
        let file = |name: &str| format!("ceremony/2026-01-01/keys/{serial}/{serial}_{name}.pem");
        self.write(&file("key_cert"), certificate_to_pem(&slot).unwrap().as_bytes());
        self.write(&file("device_cert"), certificate_to_pem(&device).unwrap().as_bytes());
        self.write(&file("pubkey"), key(number).public().to_pem().as_bytes());
    }

    /// A repository without any trouble: three attested holders, two roots, renewed in time.
    fn clean() -> Self {
        let stage = Self::new();
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

    fn report(&self, at: i64) -> HistoryReport {
        let past = Reading::open(&self.path()).unwrap().whole_history(Some(day(at))).unwrap();
        let ask = Ask { now: day(at), rehearsal: true, strict: false, anchor: None };
        verify_history(&past, &ask, &Portable)
    }
}

/// Every finding above a note.
fn found(report: &HistoryReport) -> Vec<(Level, Check, String)> {
    let told = report.findings.iter().filter(|told| told.finding.level > Level::Note);
    told.map(|told| (told.finding.level, told.finding.check, told.finding.subject.clone())).collect()
}

/// Whether a finding names this commit.
fn names(report: &HistoryReport, check: Check, commit: &str) -> bool {
    let told = report.findings.iter().filter(|told| told.finding.check == check);
    told.flat_map(|told| &told.seen).any(|seen| seen.commit == commit)
}

fn one(level: Level, check: Check, subject: &str) -> Vec<(Level, Check, String)> {
    vec![(level, check, subject.to_owned())]
}

// ------------------------------------------------------------------------------------------------------------ trouble

#[test]
fn without_trouble_nothing_is_found() {
    let stage = Stage::clean();
    let report = stage.report(15);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.roots.len(), 2);
    assert_eq!(report.facts.holders.len(), 3);
    assert!(report.facts.holders.iter().all(|holder| holder.proof.is_some()));
    assert_eq!(report.headline(), "REHEARSAL, nothing here is to be trusted: CONSISTENT, IDENTITY NOT CHECKED");
}

#[test]
fn a_bare_clone_says_the_same() {
    let stage = Stage::clean();
    let bare = tempfile::tempdir().unwrap();
    stage.git(&["clone", "-q", "--bare", ".", bare.path().to_str().unwrap()], 11);
    let past = Reading::open(bare.path()).unwrap().whole_history(Some(day(15))).unwrap();
    let ask = Ask { now: day(15), rehearsal: true, strict: false, anchor: None };
    let report = verify_history(&past, &ask, &Portable);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.head, stage.report(15).facts.head);
}

#[test]
fn another_valid_root_of_a_version_is_a_rival_wherever_it_lies() {
    let stage = Stage::clean();
    stage.git(&["checkout", "-q", "-b", "draft"], 11);
    stage.write("ceremony/2026-01-05/staged/root.json", &root(2, "another"));
    let commit = stage.commit(11);
    stage.git(&["checkout", "-q", "main"], 12);
    let report = stage.report(15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert!(names(&report, Check::RootRival, &commit));
    assert_eq!(report.facts.roots[1].rivals, 1);
}

#[test]
fn a_draft_without_a_quorum_is_no_rival_until_its_signatures_meet() {
    let stage = Stage::clean();
    let payload = |bytes: &[u8]| {
        let file = trustroot_core::metadata::Metadata::<trustroot_core::metadata::root::Root>::parse("root", bytes);
        file.unwrap().payload().clone()
    };
    let draft = payload(&root(2, "another"));
    stage.write("ceremony/2026-01-05/staged/root.json", &signed(&draft, &[key(1)]));
    stage.commit(11);
    let report = stage.report(15);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.drafts, 1);
    // The other signature lies in another commit, and no file ever held both.
    stage.write("ceremony/2026-01-05/staged/root.json", &signed(&draft, &[key(2)]));
    stage.commit(12);
    assert_eq!(found(&stage.report(15)), one(Level::Refused, Check::RootRival, "root 2"));
}

#[test]
fn a_set_that_does_not_fit_is_one_span_from_its_beginning_to_its_end() {
    let stage = Stage::clean();
    let (third, fourth) = (targets(3), targets(4));
    let named = snapshot(3, (3, &third));
    stage.write(&format!("{SET}/3.targets.json"), &third);
    // The timestamp promises another snapshot than the one that lies here.
    stage.write(&format!("{SET}/3.snapshot.json"), &snapshot(3, (4, &fourth)));
    stage.write(&format!("{SET}/timestamp.json"), &timestamp(3, day(60), (3, &named)));
    let broken = stage.commit(12);
    let report = stage.report(15);
    let path = format!("{SET}/3.snapshot.json");
    assert_eq!(found(&report), one(Level::Refused, Check::MetaHash, &path));
    assert!(names(&report, Check::MetaHash, &broken));
    stage.set(4, 60);
    stage.git(&["rm", "-q", &path], 13);
    let mended = stage.commit(13);
    let report = stage.report(15);
    assert_eq!(found(&report), one(Level::Warning, Check::MetaHash, &path));
    assert!(names(&report, Check::MetaHash, &broken) && names(&report, Check::MetaHash, &mended));
    assert!(report.headline().ends_with("1 span that did not fit together"), "{}", report.headline());
    // As one looked at it between the two.
    assert!(!stage.report(12).accepted());
}

#[test]
fn a_step_back_is_seen() {
    let stage = Stage::clean();
    let before = stage.git(&["rev-parse", "HEAD"], 11);
    let first = snapshot(1, (1, &targets(1)));
    stage.write(&format!("{SET}/timestamp.json"), &timestamp(1, day(60), (1, &first)));
    let back = stage.commit(12);
    let report = stage.report(15);
    // The old number is given a second time, too.
    assert_eq!(
        found(&report),
        [
            (Level::Refused, Check::MetaRollback, SET.to_owned()),
            (Level::Warning, Check::MetaRival, "timestamp 1".to_owned())
        ]
    );
    assert!(names(&report, Check::MetaRollback, &before) && names(&report, Check::MetaRollback, &back));
}

#[test]
fn a_main_line_that_was_forced_is_a_rewrite() {
    let stage = Stage::clean();
    let server = tempfile::tempdir().unwrap();
    let url = server.path().to_str().unwrap();
    stage.git(&["clone", "-q", "--bare", ".", url], 11);
    stage.git(&["remote", "add", "origin", url], 11);
    stage.git(&["fetch", "-q", "origin"], 11);
    stage.write("README.md", b"one");
    let lost = stage.commit(12);
    stage.git(&["push", "-q", "origin", "main"], 12);
    stage.git(&["reset", "-q", "--hard", "HEAD~1"], 12);
    stage.write("README.md", b"two");
    let kept = stage.commit(13);
    stage.git(&["push", "-q", "--force", "origin", "main"], 13);
    let report = stage.report(15);
    assert_eq!(found(&report), one(Level::Warning, Check::HistoryRewrite, "refs/remotes/origin/main"));
    assert!(names(&report, Check::HistoryRewrite, &lost) && names(&report, Check::HistoryRewrite, &kept));
}

#[test]
fn a_numbered_file_that_was_changed_is_a_rewrite() {
    let stage = Stage::clean();
    let another = Targets {
        version: 1,
        expires: day(299),
        targets: BTreeMap::new(),
        extra: BTreeMap::new(),
        delegations: Default::default(),
    };
    let again = signed(&another.payload().unwrap(), &holders());
    stage.write(&format!("{SET}/1.targets.json"), &again);
    stage.commit(12);
    let report = stage.report(15);
    assert_eq!(
        found(&report),
        [
            (Level::Warning, Check::HistoryRewrite, format!("{SET}/1.targets.json")),
            (Level::Warning, Check::MetaRival, "targets 1".to_owned())
        ]
    );
}

#[test]
fn a_key_without_an_attestation_and_a_token_under_an_advisory_are_told() {
    let stage = Stage::new();
    stage.attest(1, (5, 7, 4));
    stage.attest(2, (5, 2, 6));
    stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
    stage.set(1, 40);
    stage.commit(1);
    let report = stage.report(15);
    let bare = key(3).public().fingerprint().to_string();
    let token = "ceremony/2026-01-01/keys/13000002/13000002_key_cert.pem".to_owned();
    let mut found = found(&report);
    found.sort();
    assert_eq!(found, [(Level::Warning, Check::AttAdvisory, token), (Level::Warning, Check::AttMissing, bare)]);
}

#[test]
fn an_attestation_beside_another_public_key_proves_nothing() {
    let stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    let path = "ceremony/2026-01-01/keys/13000001/13000001_pubkey.pem";
    stage.write(path, key(4).public().to_pem().as_bytes());
    stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
    stage.set(1, 40);
    stage.commit(1);
    let mut found = found(&stage.report(15));
    found.sort();
    let bare = key(1).public().fingerprint().to_string();
    assert_eq!(found, [(Level::Warning, Check::AttBound, path.to_owned()), (Level::Warning, Check::AttMissing, bare)]);
}

#[test]
fn a_renewal_that_came_too_late_and_one_that_is_due() {
    let stage = Stage::clean();
    stage.set(3, 80);
    stage.commit(45);
    let report = stage.report(50);
    assert_eq!(found(&report), one(Level::Warning, Check::ExpiryMargin, "timestamp 2"));
    let report = stage.report(81);
    assert_eq!(
        found(&report),
        [
            (Level::Refused, Check::Expired, "timestamp 3".to_owned()),
            (Level::Warning, Check::ExpiryMargin, "timestamp 2".to_owned())
        ]
    );
}

// ------------------------------------------------------------------------------------------------------- other layouts

#[test]
fn a_source_waits_for_the_online_keys_and_does_not_break() {
    let stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    let (first, second) = (targets(1), targets(2));
    let named = snapshot(1, (1, &first));
    stage.write("metadata/root_history/1.root.json", &root(1, ""));
    stage.write("metadata/root.json", &root(1, ""));
    stage.write("metadata/targets.json", &first);
    stage.write("metadata/snapshot.json", &named);
    stage.write("metadata/timestamp.json", &timestamp(1, day(40), (1, &named)));
    stage.commit(1);
    stage.write("metadata/targets.json", &second);
    stage.commit(2);
    let named = snapshot(2, (2, &second));
    stage.write("metadata/snapshot.json", &named);
    stage.write("metadata/timestamp.json", &timestamp(2, day(40), (2, &named)));
    stage.commit(3);
    let report = stage.report(15);
    assert_eq!(found(&report), []);
    assert_eq!(report.facts.waited, 1);
    assert_eq!(report.facts.folder, "metadata");
}

#[test]
fn numbered_roots_alone_are_a_chain_that_expires() {
    let stage = Stage::new();
    (1..=3).for_each(|number| stage.attest(number, (5, 7, 4)));
    stage.write("1.root.json", &root(1, ""));
    stage.write("2.root.json", &root(2, ""));
    stage.commit(1);
    assert_eq!(found(&stage.report(15)), []);
    assert_eq!(found(&stage.report(301)), one(Level::Refused, Check::Expired, "root 2"));
}

#[test]
fn links_are_not_followed() {
    let stage = Stage::clean();
    fs::remove_file(stage.path().join(SET).join("timestamp.json")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", stage.path().join(SET).join("timestamp.json")).unwrap();
    stage.commit(12);
    let report = stage.report(15);
    assert_eq!(found(&report), one(Level::Refused, Check::MetaMissing, &format!("{SET}/timestamp.json")));
}

// ------------------------------------------------------------------------------------------------------------ programs

#[test]
fn the_program_chooses_reports_and_the_lines_it_prints_hold() {
    let stage = Stage::clean();
    let html = stage.path().join("page.html");
    let run = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_trustroot"))
            .args(["verify", "--rehearsal", "--at", "2026-01-16T00:00:00Z"])
            .args(more)
            .current_dir(stage.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = run(&["--html", html.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("it has no layout of ours"), "{text}");
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("<svg") && !page.contains("<script") && !page.contains("http:"), "{page}");
    let (code, json) = run(&["--json", "--history"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["verdict"].as_str()), (Some(0), Some("consistent")));
    let lines: Vec<&str> = json["equivalents"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(lines.iter().filter(|line| line.starts_with("quorum ")).count() >= 3, "{lines:?}");
    let script = format!("set -e\n{}\n", lines.join("\n"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(stage.path()).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn foreign_words_are_inert_on_the_page() {
    let stage = Stage::clean();
    stage.write("<script>alert(1)<\u{202e}/script>/1.root.json", &root(1, "another"));
    stage.commit(12);
    let report = stage.report(15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 1"));
    let page = page(&report);
    assert!(!page.contains("<script>") && !page.contains('\u{202e}'), "{page}");
}
