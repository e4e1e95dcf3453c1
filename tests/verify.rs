//! Verification of a whole trust root, made by a rehearsal and then changed in every place.

mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use common::{Held, hold, options, plan, refused, verify};
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::signature::Portable;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::report::{Evidence, Report, Verdict};
use trustroot_core::verify::trust_root::{History, Options, Past, verify_trust_root};

/// The rehearsal in which all goes as planned.
static HELD: LazyLock<Held> = LazyLock::new(|| hold(&plan(), Vec::new()));
static TREE: LazyLock<Tree> = LazyLock::new(|| HELD.tree());

fn assert_refused(report: &Report, check: Check, about: &str) {
    assert_eq!(report.verdict, Verdict::Refused, "{about}");
    let found: Vec<String> = report.findings.iter().map(Finding::to_string).collect();
    assert!(refused(report).contains(&check), "{about}: {check} is not among {found:#?}");
}

fn payload_digest() -> Digest {
    verify(&TREE).facts.roots[0].payload
}

#[test]
fn a_rehearsal_is_consistent() {
    let report = verify(&TREE);
    for finding in &report.findings {
        println!("{:?} {finding}", finding.level);
    }
    println!("{}\n{:#?}\n{:#?}\n{:#?}", report.headline(), report.checked, report.not_checked, report.equivalents);
    assert_eq!(report.verdict, Verdict::Consistent);
    assert!(report.findings.iter().all(|finding| finding.level == Level::Note), "{:?}", report.findings);
    assert_eq!(report.headline(), "REHEARSAL, nothing here is to be trusted: CONSISTENT, IDENTITY NOT CHECKED");
    assert!(report.facts.holders.iter().all(|holder| holder.proof.evidence == Evidence::Attested && holder.signed));
    assert_eq!(report.facts.holders.len(), 5);
}

// ---------------------------------------------------------------------------------------- one change anywhere

/// Everything that lies in `root/` and in the record.
fn places() -> Vec<String> {
    TREE.keys().filter(|path| path.starts_with("root/") || path.starts_with("ceremony/")).cloned().collect()
}

fn bytes(tree: &Tree, path: &str) -> Vec<u8> {
    tree[path].bytes().unwrap().to_vec()
}

fn with(path: &str, bytes: impl Into<Vec<u8>>) -> Tree {
    let mut tree = TREE.clone();
    tree.insert(path.to_owned(), Entry::File(bytes.into()));
    tree
}

/// Runs `check` for every place, on both cores.
fn everywhere(check: impl Fn(&str) + Sync) {
    let places = places();
    assert!(places.len() > 80, "{}", places.len());
    std::thread::scope(|scope| {
        let (one, two) = places.split_at(places.len() / 2);
        for half in [one, two] {
            let check = &check;
            scope.spawn(move || half.iter().for_each(|path| check(path)));
        }
    });
}

fn assert_some_check_refuses(tree: &Tree, about: &str) {
    let report = verify(tree);
    assert_eq!(report.verdict, Verdict::Refused, "{about} goes unseen");
    assert!(!refused(&report).is_empty(), "{about}");
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    everywhere(|path| {
        let good = bytes(&TREE, path);
        // The first, the last, one in the middle, and a letter in the other case: which hexadecimal digits and many
        // readers take for the same.
        let letter = good.iter().rposition(|byte| byte.is_ascii_alphabetic());
        for at in [Some(0), Some(good.len() / 2), Some(good.len() - 1), letter].into_iter().flatten() {
            let mut bad = good.clone();
            bad[at] ^= if Some(at) == letter { 0x20 } else { 0x01 };
            assert_some_check_refuses(&with(path, bad), &format!("byte {at} of {path}"));
        }
    });
}

#[test]
fn a_missing_file_anywhere_is_refused() {
    everywhere(|path| {
        let mut tree = TREE.clone();
        tree.remove(path);
        assert_some_check_refuses(&tree, &format!("{path} removed"));
    });
}

#[test]
fn a_file_too_many_anywhere_is_refused() {
    everywhere(|path| {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let copy = bytes(&TREE, path);
        for stray in
            [format!("{folder}/stray.json"), format!("{path}.sig"), format!("{folder}/{}", name.to_uppercase())]
        {
            if TREE.contains_key(&stray) {
                continue;
            }
            assert_some_check_refuses(&with(&stray, copy.clone()), &format!("a copy of {path} at {stray}"));
        }
    });
}

#[test]
fn an_odd_entry_anywhere_is_refused() {
    everywhere(|path| {
        let mut tree = TREE.clone();
        tree.insert(path.to_owned(), Entry::Odd("a symbolic link"));
        assert_some_check_refuses(&tree, &format!("a link at {path}"));
    });
}

#[test]
fn two_files_swapped_anywhere_are_refused() {
    let places = places();
    for pair in places.windows(2) {
        let [one, two] = pair else { unreachable!() };
        let mut tree = TREE.clone();
        tree.insert(one.clone(), TREE[two].clone());
        tree.insert(two.clone(), TREE[one].clone());
        if tree != *TREE {
            assert_some_check_refuses(&tree, &format!("{one} and {two} swapped"));
        }
    }
}

// ------------------------------------------------------------------------------------------- whose, and what kind

#[test]
fn an_anchor_ties_it_or_refuses_it() {
    let root = payload_digest();
    let report = verify_trust_root(&TREE, &Options { anchor: Some(root), ..options() }, &Portable);
    assert_eq!((report.verdict, report.facts.anchored), (Verdict::Verified, Some(1)));
    // The digest of the file is no anchor.
    for wrong in [Digest::of(b"another"), Digest::of(&bytes(&TREE, "root/1.root.json"))] {
        let report = verify_trust_root(&TREE, &Options { anchor: Some(wrong), ..options() }, &Portable);
        assert_eq!(refused(&report), BTreeSet::from([Check::Anchor]));
    }
}

#[test]
fn a_rehearsal_is_verified_only_as_one() {
    let report = verify_trust_root(&TREE, &Options { rehearsal: false, ..options() }, &Portable);
    assert_eq!(refused(&report), BTreeSet::from([Check::Rehearsal]));
}

/// The plan of a production ceremony on another day.
fn production() -> trustroot_core::plan::Plan {
    let mut plan = plan();
    plan.rehearsal = false;
    plan.name = common::handle("production");
    plan.holders.iter_mut().for_each(|holder| holder.token.kind = trustroot_core::plan::TokenKind::Yubikey);
    plan
}

#[test]
fn production_is_no_rehearsal_and_a_key_is_not_used_in_both() {
    let plan = production();
    let dir = plan.record_dir();
    let alone = Tree::from([
        (".gitattributes".to_owned(), TREE[".gitattributes"].clone()),
        (format!("{dir}/plan.json"), Entry::File(plan.to_canonical())),
    ]);
    let as_production = Options { rehearsal: false, ..options() };
    let report = verify_trust_root(&alone, &as_production, &Portable);
    assert_eq!((report.verdict, report.rehearsal), (Verdict::Consistent, false), "{:?}", report.findings);
    assert!(report.headline().contains("nothing is published yet"));
    assert_refused(&verify(&alone), Check::Rehearsal, "production with --rehearsal");

    // A key of the rehearsal lies in the production record.
    let key = TREE.keys().find(|path| path.ends_with("/public.pem")).unwrap();
    let mut both = with(&format!("{dir}/plan.json"), plan.to_canonical());
    both.insert(key.replace(&HELD.record, &dir), TREE[key].clone());
    let report = verify_trust_root(&both, &as_production, &Portable);
    let shared =
        |finding: &&Finding| finding.check == Check::Rehearsal && finding.what.line().contains("was used in a");
    assert_eq!(report.findings.iter().filter(shared).count(), 1);
}

#[test]
fn differences_of_the_working_tree_are_refused() {
    let differences = [("root/timestamp.json".to_owned(), "other bytes".to_owned())];
    let report = verify_trust_root(&TREE, &Options { differences: &differences, ..options() }, &Portable);
    assert_eq!(refused(&report), BTreeSet::from([Check::WorkingTree]));
}

#[test]
fn expiry_is_refused_and_hides_nothing_else() {
    let now = Timestamp::parse("2028-01-01T00:00:00Z").unwrap();
    let report = verify_trust_root(&TREE, &Options { now, ..options() }, &Portable);
    assert_eq!(refused(&report), BTreeSet::from([Check::Expired]));
    let report = verify_trust_root(&with("root/stray", "x"), &Options { now, ..options() }, &Portable);
    assert_eq!(refused(&report), BTreeSet::from([Check::Expired, Check::RootFiles]));
}

#[test]
fn names_that_look_alike_are_refused() {
    for twin in ["root/TIMESTAMP.json", "root/timestamp.\u{ff4a}son"] {
        assert_refused(&verify(&with(twin, "x")), Check::NameTwin, twin);
    }
}

#[test]
fn nothing_there_is_refused() {
    assert_refused(&verify(&Tree::new()), Check::RootGap, "an empty folder");
}

// ---------------------------------------------------------------------------------------------------- signatures

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A P-256 signature with `n - s` in place of `s`.
fn other_form(signature: &[u8]) -> Vec<u8> {
    let signature = p256::ecdsa::Signature::from_der(signature).unwrap();
    let (r, s) = signature.split_scalars();
    p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap().to_der().as_bytes().to_vec()
}

#[test]
fn the_other_form_of_a_signature_in_the_root_is_refused() {
    let text = String::from_utf8(bytes(&TREE, "root/1.root.json")).unwrap();
    let start = text.find("\"sig\":\"").unwrap() + 7;
    let end = start + text[start..].find('"').unwrap();
    let other = to_hex(&other_form(&from_hex(&text[start..end])));
    let changed = with("root/1.root.json", format!("{}{other}{}", &text[..start], &text[end..]));
    let report = verify(&changed);
    // Every client takes it: the quorum stands. The record does not.
    assert_eq!(refused(&report), BTreeSet::from([Check::RootFiles]));
    assert_eq!(report.facts.roots[0].signed, 5);
}

#[test]
fn the_other_form_of_a_signature_in_the_record_is_refused() {
    use trustroot_core::sigfile::SignatureFile;
    let is_signature = |path: &&String| path.contains("/signatures/root-") && !path.ends_with("payload.json");
    let path = TREE.keys().find(is_signature).unwrap();
    let mut file: SignatureFile = trustroot_core::json::read(&bytes(&TREE, path)).unwrap();
    file.sig = to_hex(&other_form(&from_hex(&file.sig)));
    let beside = format!("{}/{}", HELD.record, file.path());
    let both = with(&beside, file.to_canonical());
    let report = verify(&both);
    assert_refused(&report, Check::SigValid, "both forms");
    assert_refused(&report, Check::RecordFiles, "both forms");

    // In its place, with the log written anew: the published root is assembled from the other one.
    let mut instead = both.clone();
    instead.remove(path);
    let instead = common::rewritten(&instead_for_reading(&instead, path), &HELD.record, |event| {
        if event.files.remove(path).is_some() {
            event.files.insert(beside.clone(), Digest::of(&file.to_canonical()));
        }
        true
    });
    let mut instead = instead;
    instead.remove(path);
    assert_refused(&verify(&instead), Check::RootFiles, "the other form instead");
}

/// The record is read before it is rewritten, for which nothing but the log has to be whole.
fn instead_for_reading(tree: &Tree, path: &str) -> Tree {
    let mut tree = tree.clone();
    tree.insert(path.to_owned(), TREE[path].clone());
    tree
}

// -------------------------------------------------------------------- records written anew by somebody without keys

#[test]
fn writing_the_log_anew_without_a_change_is_no_change() {
    assert_eq!(common::rewritten(&TREE, &HELD.record, |_| true), *TREE);
}

fn key_folder(handle: &str) -> String {
    let prefix = format!("{}/keys/{handle}-", HELD.record);
    let path = TREE.keys().find(|path| path.starts_with(&prefix)).unwrap();
    path.rsplit_once('/').unwrap().0.to_owned()
}

/// The rehearsal with other evidence under these paths, and a log that says so.
fn with_evidence(changes: &[(String, Vec<u8>)]) -> Tree {
    let mut tree = TREE.clone();
    for (path, bytes) in changes {
        tree.insert(path.clone(), Entry::File(bytes.clone()));
    }
    common::rewritten(&tree, &HELD.record, |event| {
        for (path, bytes) in changes {
            if let Some(digest) = event.files.get_mut(path) {
                *digest = Digest::of(bytes);
            }
        }
        true
    })
}

#[test]
fn attestations_of_others_are_refused() {
    let (alice, bob) = (key_folder("alice"), key_folder("bob"));
    let of = |folder: &str, name: &str| bytes(&TREE, &format!("{folder}/{name}"));
    let swapped = with_evidence(&[
        (format!("{alice}/attestation-9c.pem"), of(&bob, "attestation-9c.pem")),
        (format!("{alice}/f9-intermediate.pem"), of(&bob, "f9-intermediate.pem")),
    ]);
    let report = verify(&swapped);
    for check in [Check::AttBound, Check::AttSerial, Check::RootRecord, Check::ProposalBuilt] {
        assert_refused(&report, check, "bob's attestation for alice");
    }
    let mixed = with_evidence(&[(format!("{alice}/attestation-9c.pem"), of(&bob, "attestation-9c.pem"))]);
    assert_refused(&verify(&mixed), Check::AttChain, "bob's attestation below alice's device");
    let spelt = String::from_utf8(of(&alice, "attestation-9c.pem")).unwrap().replace('\n', "\r\n");
    let spelt = with_evidence(&[(format!("{alice}/attestation-9c.pem"), spelt.into_bytes())]);
    assert_refused(&verify(&spelt), Check::AttForm, "another spelling");
}

#[test]
fn keys_of_others_are_refused() {
    let (alice, bob) = (key_folder("alice"), key_folder("bob"));
    let of = |folder: &str| bytes(&TREE, &format!("{folder}/public.pem"));
    let path = |folder: &str| format!("{folder}/public.pem");
    let swapped = with_evidence(&[(path(&alice), of(&bob)), (path(&bob), of(&alice))]);
    assert_refused(&verify(&swapped), Check::AttBound, "alice and bob swapped");
}

#[test]
fn a_file_that_an_event_has_no_business_to_name_is_refused() {
    let stray = format!("{}/keys/mallory-0000000000000000/public.pem", HELD.record);
    let tree = common::rewritten(&with(&stray, "x"), &HELD.record, |event| {
        if matches!(event.deed, trustroot_core::event::Deed::ReadBack { .. }) {
            event.files.insert(stray.clone(), Digest::of(b"x"));
        }
        true
    });
    assert_refused(&verify(&tree), Check::RecordFiles, "a key that comes with the reading back");
}

#[test]
fn a_statement_changed_after_the_proposal_is_seen_by_the_pages_alone() {
    // Nobody's root signature is over what came after the proposal; without SSH signatures only the pages differ.
    let tree = common::rewritten(&TREE, &HELD.record, |event| {
        if let trustroot_core::event::Deed::Published { tag } = &mut event.deed {
            tag.push_str("-x");
        }
        true
    });
    assert_eq!(refused(&verify(&tree)), BTreeSet::from([Check::RecordPages]));
}

#[test]
fn every_beginning_of_a_ceremony_is_consistent_and_says_that_it_is_open() {
    use trustroot_core::record::Record;
    let record = Record::read(&TREE, &HELD.record).unwrap();
    let plan = format!("{}/plan.json", HELD.record);
    let mut tree = Tree::from([(plan.clone(), TREE[&plan].clone())]);
    tree.insert(".gitattributes".to_owned(), TREE[".gitattributes"].clone());
    for logged in &record.events {
        let report = verify(&tree);
        assert_eq!(report.verdict, Verdict::Consistent, "before {}: {:#?}", logged.event.path(), report.findings);
        assert!(report.headline().contains("is still open"), "{}", report.headline());
        let path = format!("{}/{}", HELD.record, logged.event.path());
        for path in logged.event.files.keys().chain([&path]) {
            tree.insert(path.clone(), TREE[path].clone());
        }
    }
    assert_eq!(tree, *TREE);
}

// ----------------------------------------------------------------------------------------------------- exceptions

/// Nobody has a second machine.
fn held_on_one_machine() -> Held {
    use trustroot::seams::Answer;
    use trustroot::ui::rehearsed::{Deviation, Instead};
    let plan = plan();
    let one = |holder: &trustroot_core::plan::Holder| Deviation {
        step: trustroot_core::step::Step::Sign(holder.handle.clone()).id(),
        name: "second-machine".to_owned(),
        nth: 1,
        instead: Instead::Answer(Answer::Line(String::new())),
    };
    let deviations = plan.holders.iter().map(one).collect();
    hold(&plan, deviations)
}

#[test]
fn exceptions_stand_in_the_headline_and_cannot_be_left_out() {
    use trustroot_core::event::Deed;
    let held = held_on_one_machine();
    let tree = held.tree();
    let report = verify(&tree);
    assert_eq!(report.verdict, Verdict::Consistent, "{:?}", report.findings);
    assert!(report.headline().contains("1 exception"), "{}", report.headline());
    let warned: BTreeSet<Check> =
        report.findings.iter().filter(|finding| finding.level == Level::Warning).map(|finding| finding.check).collect();
    assert_eq!(warned, BTreeSet::from([Check::Exceptions, Check::ReviewOneMachine]));

    let without = common::rewritten(&tree, &held.record, |event| {
        if let Deed::ReadBack { exceptions } = &mut event.deed {
            *exceptions = 0;
        }
        !matches!(event.deed, Deed::Exception { .. })
    });
    assert_refused(&verify(&without), Check::ReviewOneMachine, "the exception taken out");
}

#[test]
fn a_key_that_one_person_vouched_for_is_refused() {
    use trustroot_core::event::Deed;
    let tree = common::rewritten(&TREE, &HELD.record, |event| {
        if let Deed::Vouched { by, .. } = &mut event.deed {
            by.pop_last();
        }
        true
    });
    assert_refused(&verify(&tree), Check::EnrolUnvouched, "one person vouched, and no exception says so");
}

// ---------------------------------------------------------------------------------------------------------- rivals

#[test]
fn another_valid_root_in_history_is_a_rival() {
    let mut other = plan();
    other.root.expires = other.root.expires.plus_days(1);
    other.targets.expires = other.root.expires;
    // The same seed gives the same keys: the same people signed two roots of version 1.
    let rival = hold(&other, Vec::new()).tree();
    let past = |bytes: Vec<u8>| {
        [Past { path: "root/1.root.json".to_owned(), commit: "c0ffee".to_owned(), behind: true, bytes }]
    };
    let verify =
        |past: &[Past]| verify_trust_root(&TREE, &Options { history: History::Whole(past), ..options() }, &Portable);

    assert_eq!(refused(&verify(&past(bytes(&rival, "root/1.root.json")))), BTreeSet::from([Check::RootRival]));
    assert_eq!(verify(&past(bytes(&TREE, "root/1.root.json"))).verdict, Verdict::Consistent);

    let text = String::from_utf8(bytes(&TREE, "root/1.root.json")).unwrap();
    let unsigned = format!("{{\"signatures\":[],{}", &text[text.find("\"signed\"").unwrap()..]);
    let report = verify(&past(unsigned.into_bytes()));
    assert_eq!(report.verdict, Verdict::Consistent);
    let rewrite = |finding: &&Finding| finding.check == Check::RootRival && finding.level == Level::Warning;
    assert_eq!(report.findings.iter().filter(rewrite).count(), 1);
}

// ---------------------------------------------------------------------------------------------------- online roles

/// The rehearsal after its online key signed another snapshot and timestamp.
fn renewed(snapshot_version: u64, timestamp_version: u64) -> Tree {
    use trustroot::seams::OnlineKey as _;
    use trustroot_core::metadata::build::{Snapshot, Timestamp as NewTimestamp, new_key_id};
    use trustroot_core::metadata::envelope::assemble;
    use trustroot_core::metadata::fields::MetaFile;
    use trustroot_core::payload::Payload;
    use trustroot_core::review::OnlinePayload;
    let dir = tempfile::tempdir().unwrap();
    let key =
        trustroot::token::write_rehearsal_key(&dir.path().join("key"), &plan().snapshot.key, &common::SEED).unwrap();
    let sign = |payload: &Payload| {
        let signature = key.sign(&OnlinePayload::new(payload.bytes().to_vec()).unwrap(), None).unwrap();
        assemble(payload, [(new_key_id(key.public()).unwrap(), signature)])
    };
    let expires = plan().day.plus_days(60);
    let meta = std::collections::BTreeMap::from([(
        "targets.json".to_owned(),
        MetaFile::of(1, &bytes(&TREE, "root/1.targets.json")),
    )]);
    let snapshot = sign(&Snapshot { version: snapshot_version, expires, meta }.payload().unwrap());
    let named = MetaFile::of(snapshot_version, &snapshot);
    let timestamp = sign(&NewTimestamp { version: timestamp_version, expires, snapshot: named }.payload().unwrap());
    let mut tree = with("root/timestamp.json", timestamp);
    tree.insert(format!("root/{snapshot_version}.snapshot.json"), Entry::File(snapshot));
    tree
}

#[test]
fn what_online_keys_sign_later_is_judged_by_tuf_alone() {
    let report = verify(&renewed(2, 2));
    assert_eq!(report.verdict, Verdict::Consistent, "{:?}", report.findings);
    assert!(report.not_checked.iter().any(|line| line.contains("root/2.snapshot.json, root/timestamp.json")));
    // The same version again is not later, and the ceremony's snapshot is not replaced.
    assert_refused(&verify(&renewed(2, 1)), Check::RootFiles, "timestamp 1 again");
    assert_refused(&verify(&renewed(1, 2)), Check::RootFiles, "snapshot 1 again");
    let mut ahead = renewed(2, 2);
    ahead.insert("root/3.snapshot.json".to_owned(), ahead["root/2.snapshot.json"].clone());
    assert_refused(&verify(&ahead), Check::RootFiles, "a snapshot that nothing names");
}

// ------------------------------------------------------------------------------------------------- other programs

/// Runs a line in a folder, as a person would.
fn sh(line: &str, folder: &std::path::Path) -> bool {
    std::process::Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// Puts the files into a new folder.
fn laid_out(tree: &Tree) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, entry) in tree {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, entry.bytes().unwrap()).unwrap();
    }
    folder
}

fn lines(report: &Report) -> Vec<String> {
    report.equivalents.iter().filter(|line| !line.starts_with('#')).cloned().collect()
}

#[test]
fn the_equivalents_run_and_refuse() {
    let report = verify_trust_root(&TREE, &Options { history: History::Whole(&[]), ..options() }, &Portable);
    let lines = lines(&report);
    assert!(lines.len() >= 11, "{lines:#?}");
    for line in &lines {
        assert!(sh(line, &HELD.path()), "{line}");
    }
    // Each kind of change is refused by one of them.
    let first = |part: &str| TREE.keys().find(|path| path.contains(part)).unwrap().clone();
    let (alice, bob) = (key_folder("alice"), key_folder("bob"));
    let signature = String::from_utf8(bytes(&TREE, &first("/signatures/root-"))).unwrap();
    // The last digit of the signature, before `"}`.
    let (head, last) = signature[..signature.len() - 2].split_at(signature.len() - 3);
    let digit = if last == "0" { "1" } else { "0" };
    let changes = [
        (first("/payload.json"), b"{}".to_vec()),
        (first("/signatures/root-"), format!("{head}{digit}\"}}").into_bytes()),
        ("root/1.targets.json".to_owned(), br#"{"signatures":[],"signed":{}}"#.to_vec()),
        (format!("{alice}/public.pem"), bytes(&TREE, &format!("{bob}/public.pem"))),
        (format!("{alice}/attestation-9c.pem"), bytes(&TREE, &format!("{bob}/attestation-9c.pem"))),
    ];
    for (path, bytes) in changes {
        let folder = laid_out(&with(&path, bytes));
        let of_files = lines.iter().filter(|line| !line.contains("git "));
        assert!(of_files.into_iter().any(|line| !sh(line, folder.path())), "{path}");
    }
}

#[test]
fn an_online_timestamp_that_went_back_is_seen_in_history() {
    let now = renewed(2, 2);
    let past = |version: u64, behind: bool| {
        let bytes = bytes(&renewed(version, version), "root/timestamp.json");
        Past { path: "root/timestamp.json".to_owned(), commit: "c0ffee".to_owned(), behind, bytes }
    };
    let verify =
        |past: &[Past]| verify_trust_root(&now, &Options { history: History::Whole(past), ..options() }, &Portable);
    // What came before is older; what another branch has may still come.
    assert_eq!(verify(&[past(2, true), past(3, false)]).verdict, Verdict::Consistent);
    let report = verify(&[past(3, true), past(4, true)]);
    assert_eq!(refused(&report), BTreeSet::from([Check::MetaRollback]));
    let told = report.findings.iter().find(|finding| finding.check == Check::MetaRollback).unwrap();
    assert_eq!(told.what.line(), "commit c0ffee held version 4, and it is version 2 now");
    // Nobody's signature is no timestamp.
    let text = String::from_utf8(past(4, true).bytes).unwrap();
    let unsigned = format!("{{\"signatures\":[],{}", &text[text.find("\"signed\"").unwrap()..]);
    assert_eq!(verify(&[Past { bytes: unsigned.into_bytes(), ..past(4, true) }]).verdict, Verdict::Consistent);
}
