//! Vectors of the git histories of trust roots that others made.
//!
//! A history is a JSON object: `at` is the time asked about; `commits` are those of the main line in order, each with its `time`
//! and the files that it `put` (a path, and its text); `forced`, where it is there, says that the main line was made to leave
//! its newest commit. Holders and layout are those of `base`, below `repository`.

use std::collections::BTreeMap;

use trustroot::token::certificate::{Claims, DEVICE_NAME, Issuer};
use trustroot_core::attestation::anchor::certificate_to_pem;
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::json::Value;
use trustroot_core::metadata::build::{self, Snapshot};
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::payload::Payload;
use trustroot_core::signature::Portable;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{
    Ask, Change, Held, Moment, Move, Past, is_named_like_a_key, is_named_like_metadata, verify_history,
};

use super::make::{self, holders, key, now, online, signed, with};
use super::{Kind, Vector, fails, passes};

const SET: &str = "repository";

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

type Files = BTreeMap<String, String>;

/// The attestation of a holder's key, as Sigstore lays them down.
fn attested(number: u8) -> Files {
    let serial = 13_000_000 + u32::from(number);
    let firmware = (5, 7, 4);
    let claims = Claims { serial, firmware, pin: 3, touch: 2, slot: "9c".to_owned() };
    let device = Issuer::new(DEVICE_NAME, key(21).signing());
    let slot = device.attest(key(number).signing().verifying_key(), &claims);
    let device = device.certificate(&Issuer::rehearsal(), 0, Some(firmware));
    let file = |name: &str| format!("ceremony/2026-01-01/keys/{serial}/{serial}_{name}.pem");
    Files::from([
        (file("key_cert"), certificate_to_pem(&slot).unwrap()),
        (file("device_cert"), certificate_to_pem(&device).unwrap()),
        (file("pubkey"), key(number).public().to_pem()),
    ])
}

/// Root, targets, snapshot and timestamp of version 1; the timestamp is of this version and good for so many days.
fn set(version: u64, days: i64) -> Files {
    let rehearsal = |payload: Value| with(payload, &[trustroot_core::proposal::REHEARSAL], "yes");
    let targets = signed(&rehearsal(make::targets()), &holders());
    let expires = now().plus_days(days);
    let read = |payload: Payload| Payload::read(payload.bytes()).unwrap().1;
    let meta = BTreeMap::from([("targets.json".to_owned(), MetaFile::of(1, &targets))]);
    let snapshot = Snapshot { version: 1, expires: now().plus_days(100), meta }.payload().unwrap();
    let snapshot = signed(&read(snapshot), &[online()]);
    let timestamp = build::Timestamp { version, expires, snapshot: MetaFile::of(1, &snapshot) }.payload().unwrap();
    let timestamp = read(timestamp);
    Files::from([
        (format!("{SET}/1.root.json"), text(signed(&rehearsal(make::root()), &holders()))),
        (format!("{SET}/1.targets.json"), text(targets)),
        (format!("{SET}/1.snapshot.json"), text(snapshot)),
        (format!("{SET}/timestamp.json"), text(signed(&timestamp, &[online()]))),
    ])
}

/// A history of these commits, by the day after [`now`] of each.
fn history(at: i64, commits: &[(i64, Files)], forced: bool) -> Vec<u8> {
    let day = |number: i64| Value::from(now().plus_days(number).to_string().as_str());
    let put = |files: &Files| {
        Value::Obj(files.iter().map(|(path, text)| (path.clone(), Value::from(text.as_str()))).collect())
    };
    let commits = commits.iter().map(|(at, files)| Value::from([("time", day(*at)), ("put", put(files))]));
    let mut members =
        BTreeMap::from([("at".to_owned(), day(at)), ("commits".to_owned(), Value::Arr(commits.collect()))]);
    if forced {
        members.insert("forced".to_owned(), Value::Bool(true));
    }
    let mut bytes = Payload::of(&members.into()).to_json();
    bytes.push(b'\n');
    bytes
}

/// What is found in the history of a vector.
pub(crate) fn findings(vector: &[u8]) -> Vec<Finding> {
    let value = trustroot_core::json::parse(vector).unwrap();
    let time = |of: &Value, name: &str| Timestamp::parse(of.get(name).and_then(Value::as_str).unwrap()).unwrap();
    let mut past = Past::default();
    for (number, commit) in value.get("commits").and_then(Value::as_arr).unwrap().iter().enumerate() {
        let put = commit.get("put").and_then(Value::as_obj).unwrap();
        let changes = put.iter().map(|(path, text)| change(&mut past, path, text.as_str().unwrap())).collect();
        past.head = format!("{number:040x}");
        let before = number.checked_sub(1);
        past.moments.push(Moment {
            commit: past.head.clone(),
            time: time(commit, "time"),
            on_line: true,
            before,
            changes,
        });
        (past.commits, past.line, past.references) = (number + 1, number + 1, 1);
    }
    if value.get("forced").is_some() {
        past.moves.push(Move {
            reference: "refs/remotes/origin/main".to_owned(),
            from: "f".repeat(40),
            to: past.head.clone(),
            time: time(&value, "at"),
            said: "update by push".to_owned(),
        });
    }
    let ask = Ask { now: time(&value, "at"), rehearsal: true, strict: true, anchor: None };
    verify_history(&past, &ask, &Portable).findings.into_iter().map(|told| told.finding).collect()
}

/// A file that a commit puts, with folder, name and content put into `past`.
fn change(past: &mut Past, path: &str, text: &str) -> Change {
    let (folder, name) = path.rsplit_once('/').unwrap();
    assert!(is_named_like_metadata(name) || is_named_like_a_key(name), "{path}");
    // Each is here once.
    let mut known = |of: fn(&mut Past) -> &mut Vec<String>, text: &str| {
        let of = of(past);
        of.iter().position(|known| known == text).unwrap_or_else(|| {
            of.push(text.to_owned());
            of.len() - 1
        })
    };
    let (folder, name) = (known(|past| &mut past.folders, folder), known(|past| &mut past.names, name));
    let bytes = text.as_bytes();
    let blob = past.blobs.iter().position(|known| known == bytes).unwrap_or_else(|| {
        past.blobs.push(bytes.to_vec());
        past.blobs.len() - 1
    });
    Change { folder, name, held: Some(Held::Blob(blob)) }
}

pub(crate) fn vectors() -> Vec<Vector> {
    use Check::{AttMissing, ExpiryMargin, HistoryRewrite, MetaRival};
    let fails = |check, name, bytes| fails(check, name, Kind::History, Level::Warning, bytes);
    let passes = |check, name, bytes| passes(check, name, Kind::History, bytes);
    let begun = |attested_holders: u8| {
        let mut files = set(1, 40);
        (1..=attested_holders).for_each(|number| files.extend(attested(number)));
        files
    };
    let good = || history(15, &[(1, begun(3)), (10, set(2, 60))], false);
    let rival = || {
        let another = with(make::targets(), &[trustroot_core::proposal::REHEARSAL], "another");
        let path = format!("{SET}/1.targets.json");
        Files::from([(path, text(signed(&another, &holders())))])
    };
    let changed = || history(15, &[(1, begun(3)), (10, set(2, 60)), (12, rival()), (13, set(2, 60))], false);
    vec![
        fails(MetaRival, "another-under-the-same-number", changed()).also(&[HistoryRewrite, Check::MetaHash]),
        passes(MetaRival, "one-of-each", good()),
        fails(HistoryRewrite, "the-main-line-was-forced", history(15, &[(1, begun(3))], true)),
        passes(HistoryRewrite, "it-only-grew", good()),
        fails(ExpiryMargin, "renewed-after-it-had-expired", history(50, &[(1, begun(3)), (45, set(2, 80))], false)),
        passes(ExpiryMargin, "renewed-in-time", good()),
        fails(AttMissing, "one-key-without", history(15, &[(1, begun(2))], false)),
        passes(AttMissing, "all-attested", good()),
    ]
}
