//! Figures: how long things take, and beside each what it cannot be faster than. Nothing is asserted.
//!
//! `scripts/bench` prints them. Times are the least of several runs: what the machine does besides only adds.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use p256::ecdsa::signature::Signer as _;
use trustroot_core::json::{self, Value};
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{self, Keyholders, new_key_id};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::targets::Target;
use trustroot_core::payload::Payload;
use trustroot_core::signature::{Portable, Verifier as _};
use trustroot_core::time::Timestamp;
use trustroot_core::trusted::TrustedRoot;
use trustroot_core::verify::roots::verify_roots;

const PROGRAM: &str = env!("CARGO_BIN_EXE_trustroot");
const ROOTS: u64 = 1000;
const HOLDERS: u8 = 5;
const THRESHOLD: usize = 3;

fn main() {
    println!("{:<44} {:>12} {:>12} {:>7}", "what", "time", "beside", "ratio");
    program();
    chain("P-256", &(1..=HOLDERS).map(p256).collect::<Vec<_>>());
    chain("Ed25519", &(1..=HOLDERS).map(ed25519).collect::<Vec<_>>());
    reading();
}

fn line(what: &str, time: Duration, beside: Option<Duration>) {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let ratio = beside.map(|beside| format!("{:.2}", time.as_secs_f64() / beside.as_secs_f64()));
    let beside = beside.map(ms).unwrap_or_default();
    println!("{what:<44} {:>12} {beside:>12} {:>7}", ms(time), ratio.unwrap_or_default());
}

fn least(runs: usize, mut run: impl FnMut()) -> Duration {
    let times = (0..runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

// ----------------------------------------------------------------------------------------------------- the program

fn quietly(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs the program, and gives the most memory that it held at once, in bytes, where the system says it.
fn peak(arguments: &[&str]) -> Option<u64> {
    let mut child = quietly(arguments).spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = None;
    while child.try_wait().expect("the program ends").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let held = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let held = held.and_then(|kib| kib.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(held.map(|kib| kib * 1024));
        std::thread::sleep(Duration::from_micros(200));
    }
    most
}

fn program() {
    let succeeds = |arguments: &[&str]| {
        let status = quietly(arguments).status().expect("the program starts");
        assert!(status.success(), "trustroot {}", arguments.join(" "));
    };
    // What starting any process costs.
    let nothing = least(50, || drop(Command::new("true").status()));
    line("start (--version), beside `true`", least(50, || succeeds(&["--version"])), Some(nothing));

    let folder = tempfile::tempdir().expect("a folder");
    let room = |name: &str| folder.path().join(name).display().to_string();
    let rehearse = |dir: &str| ["rehearse", "--auto", "--seed", "bench", "--dir", dir].map(str::to_owned);
    let mut number = 0;
    let whole = least(3, || {
        number += 1;
        let arguments = rehearse(&room(&number.to_string()));
        succeeds(&arguments.each_ref().map(String::as_str));
    });
    line("rehearse --auto, 3 of 5", whole, None);
    let held = room("1");
    let verify = ["verify", "--rehearsal", "--at", "2026-01-06T00:00:00Z", held.as_str()];
    line("verify --rehearsal of it", least(10, || succeeds(&verify)), None);
    let fresh = rehearse(&room("memory"));
    let memory = [("rehearse", peak(&fresh.each_ref().map(String::as_str))), ("verify", peak(&verify))];
    for (what, bytes) in memory {
        let shown = bytes.map_or("not known here".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
        println!("{:<44} {shown:>12}", format!("most memory of {what}"));
    }
}

// ------------------------------------------------------------------------------------------------- a chain of roots

/// Signs a message.
type Signs = dyn Fn(&[u8]) -> Vec<u8>;

/// A key, and how it signs.
struct Key {
    public: PublicKey,
    sign: Box<Signs>,
}

fn p256(number: u8) -> Key {
    let key = p256::ecdsa::SigningKey::from_slice(&[number; 32]).expect("a scalar");
    let public = PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).expect("a point");
    let sign = move |message: &[u8]| {
        let signature: p256::ecdsa::Signature = key.sign(message);
        signature.to_der().as_bytes().to_vec()
    };
    Key { public, sign: Box::new(sign) }
}

fn ed25519(number: u8) -> Key {
    let key = ed25519_dalek::SigningKey::from_bytes(&[number; 32]);
    let public = PublicKey::from_ed25519(key.verifying_key().as_bytes()).expect("a point");
    let sign = move |message: &[u8]| ed25519_dalek::Signer::sign(&key, message).to_bytes().to_vec();
    Key { public, sign: Box::new(sign) }
}

/// A chain, and each of its signatures with its key and payload.
struct Chain {
    files: BTreeMap<String, Vec<u8>>,
    signatures: Vec<(PublicKey, Payload, Vec<u8>)>,
}

/// Roots that a quorum of the same holders signs, each time the next ones in turn.
fn generate(holders: &[Key]) -> Chain {
    let all = |threshold| Keyholders { keys: holders.iter().map(|key| key.public.clone()).collect(), threshold };
    let online = Keyholders { keys: BTreeSet::from([ed25519(9).public]), threshold: 1 };
    let mut chain = Chain { files: BTreeMap::new(), signatures: Vec::new() };
    for version in 1..=ROOTS {
        let root = build::Root {
            version,
            expires: Timestamp::from_day("2030-01-01").expect("a day"),
            root: all(THRESHOLD as u64),
            targets: all(THRESHOLD as u64),
            snapshot: online.clone(),
            timestamp: online.clone(),
            extra: BTreeMap::new(),
        };
        let payload = root.payload().expect("a root");
        let turn = holders.iter().cycle().skip(version as usize % holders.len()).take(THRESHOLD);
        let signed: Vec<_> =
            turn.map(|key| (key.public.clone(), payload.clone(), (key.sign)(payload.bytes()))).collect();
        let named = signed.iter().map(|(key, _, sig)| (new_key_id(key).expect("a key id"), sig.clone()));
        chain.files.insert(format!("{version}.root.json"), assemble(&payload, named));
        chain.signatures.extend(signed);
    }
    chain
}

fn chain(kind: &str, holders: &[Key]) {
    let chain = generate(holders);
    let raw = least(3, || {
        for (key, payload, signature) in &chain.signatures {
            assert!(Portable.verify(key, payload.bytes(), signature));
        }
    });
    println!("{:<44} {:>12}", format!("signature checks in {ROOTS} roots, {kind}"), chain.signatures.len());
    let report = least(3, || assert!(verify_roots(&chain.files, true, &Portable).accepted()));
    line(&format!("verify {ROOTS} roots, {kind}, beside checks alone"), report, Some(raw));
    let client = least(3, || {
        let root = |version: u64| chain.files[&format!("{version}.root.json")].as_slice();
        let first = TrustedRoot::pinned(root(1), &Portable).expect("the first root");
        let last = (2..=ROOTS).try_fold(first, |trusted, version| trusted.advance(root(version), &Portable));
        assert_eq!(last.expect("a chain").metadata().version(), ROOTS);
    });
    line(&format!("advance by {ROOTS} roots, {kind}, beside checks"), client, Some(raw));
}

// ---------------------------------------------------------------------------------------------------------- reading

fn reading() {
    let target = |n: u32| (format!("folder/file-{n}.tar.gz"), Target::of(&n.to_be_bytes()));
    let expires = Timestamp::from_day("2030-01-01").expect("a day");
    let targets = (0..50_000).map(target).collect();
    let payload = build::Targets { version: 1, expires, targets, delegations: None, extra: BTreeMap::new() }
        .payload()
        .expect("targets");
    let bytes = payload.to_json();
    let ours = least(5, || drop(black_box(json::parse(&bytes).expect("JSON"))));
    let theirs = least(5, || drop(black_box(serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON"))));
    line("strict reading of 50,000 targets, by serde_json", ours, Some(theirs));
    let value: Value = json::parse(&bytes).expect("JSON");
    line("canonical form of it", least(5, || drop(black_box(Payload::of(&value)))), None);
    let speed = |time: Duration| bytes.len() as f64 / 1e6 / time.as_secs_f64();
    println!(
        "{:<44} {:>7.0} MB/s {:>7.0} MB/s",
        format!("strict reading, {} bytes", bytes.len()),
        speed(ours),
        speed(theirs)
    );
}
