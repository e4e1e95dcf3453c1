//! Figures of verifying whole git histories, and beside each the bare cost of its signature checks. Nothing is asserted.
//!
//! Two layouts: a source, whose files are replaced, with `root_history/` beside; and a published folder, in which numbered
//! files gather, so that its trees grow with every commit, and what git has to unpack and hash with the square of their number.
//! `git fsck` stands beside it: it reads and checks every object, and knows nothing of TUF. How many commits is given by
//! arguments: `5000 50000`.

#[path = "../tests/history/stage.rs"]
#[allow(dead_code)]
mod stage;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stage::{SET, Stage, day, key, root, snapshot, targets, timestamp};
use trustroot_client::Fast;
use trustroot_core::metadata::build::Timestamp;
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::signature::Verifier as _;

const PROGRAM: &str = env!("CARGO_BIN_EXE_trustroot");

fn main() {
    // `cargo bench` adds words of its own.
    let mut sizes: Vec<u64> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1000, 5000, 20_000, 50_000];
    }
    println!("{:<40} {:>10} {:>12} {:>10} {:>12}", "history of", "time", "checks alone", "git fsck", "most memory");
    for commits in sizes {
        measured(&format!("{commits} commits of a source"), commits, &source(commits));
        // Making more would take longer than reading them.
        if commits < 10_000 {
            measured(&format!("{commits} commits of a published folder"), commits, &published(commits));
        }
    }
}

/// Every commit replaces timestamp and snapshot, every 500th brings a root as well.
fn source(commits: u64) -> Stage {
    let mut stage = Stage::new();
    let targets = targets(1);
    stage.write("metadata/targets.json", &targets);
    for number in 1..=commits {
        if number % 500 == 1 {
            let version = number / 500 + 1;
            stage.write(&format!("metadata/root_history/{version}.root.json"), &root(version, ""));
            stage.write("metadata/root.json", &root(version, ""));
        }
        let snapshot = snapshot(number, &[("targets.json", 1, &targets)]);
        stage.write("metadata/snapshot.json", &snapshot);
        stage.write("metadata/timestamp.json", &timestamp(number, day(250), (number, &snapshot)));
        stage.write("README.md", &number.to_be_bytes());
        commit(&mut stage, number);
    }
    stage.finish();
    stage
}

/// Every commit adds a numbered snapshot.
fn published(commits: u64) -> Stage {
    let mut stage = Stage::new();
    let targets = targets(1);
    stage.write(&format!("{SET}/1.root.json"), &root(1, ""));
    stage.write(&format!("{SET}/1.targets.json"), &targets);
    for number in 1..=commits {
        let snapshot = snapshot(number, &[("targets.json", 1, &targets)]);
        stage.write(&format!("{SET}/{number}.snapshot.json"), &snapshot);
        stage.write(&format!("{SET}/timestamp.json"), &timestamp(number, day(250), (number, &snapshot)));
        commit(&mut stage, number);
    }
    stage.finish();
    stage
}

/// Commits minute by minute.
fn commit(stage: &mut Stage, number: u64) {
    let at = day(1).unix() + 60 * number as i64;
    stage.commit_at(at);
}

fn measured(what: &str, commits: u64, stage: &Stage) {
    let start = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args(["verify", "--rehearsal", "--at", "2026-06-01T00:00:00Z", "--history"])
        .arg(stage.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("the program ends") {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let held = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(held.unwrap_or(0_u64));
        std::thread::sleep(Duration::from_millis(2));
    };
    let time = start.elapsed();
    assert!(ended.success(), "the history verifies");
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    println!(
        "{what:<40} {:>10} {:>12} {:>10} {:>12}",
        seconds(time),
        seconds(checks(2 * commits)),
        seconds(fsck(stage)),
        format!("{} MiB", most / 1024)
    );
}

/// How long git takes to check every object.
fn fsck(stage: &Stage) -> Duration {
    let start = Instant::now();
    stage.git(&["fsck", "--full", "--no-dangling", "--no-progress"]);
    start.elapsed()
}

/// How long so many checks of signatures take.
fn checks(number: u64) -> Duration {
    let payload =
        Timestamp { version: 1, expires: day(1), snapshot: MetaFile::of(1, b"") }.payload().expect("a payload");
    let key = key(9);
    let (_, signature) = key.sign(&payload);
    let (public, start) = (key.public(), Instant::now());
    assert!((0..number.min(2000)).all(|_| Fast.verify(&public, payload.bytes(), &signature)));
    start.elapsed().mul_f64(number as f64 / number.min(2000) as f64)
}
