//! The real program, killed by the system at moments spread over its whole run, and started again by the same command.

#[path = "support/stage.rs"]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `trustroot rehearse` with one seed, as a person would type it.
fn rehearse(dir: &Path) -> Command {
    rehearse_with(dir, "2")
}

/// The same with so many holders, all of whom sign.
fn rehearse_with(dir: &Path, holders: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustroot"));
    let args = ["rehearse", "--auto", "--seed", "kill", "--holders", holders, "--threshold", holders, "--dir"];
    command.args(args).arg(dir).env_clear().env("HOME", dir.parent().unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn commit(dir: &Path) -> String {
    let head = std::fs::read_to_string(dir.join(".git/refs/heads/main")).unwrap();
    head.trim().to_owned()
}

#[test]
fn killed_at_any_moment_the_same_command_ends_in_the_same_bytes() {
    let folder = stage::folder();
    let whole = folder.path().join("whole");
    let begun = Instant::now();
    assert!(rehearse(&whole).status().unwrap().success());
    let took = begun.elapsed();
    let expected = commit(&whole);

    // Early moments lie close together: that is where the repository is made.
    let early = (0..8).map(|i| Duration::from_millis(2 + 3 * i));
    let later = (1..12).map(|i| took * i / 12);
    for (i, delay) in early.chain(later).enumerate() {
        let dir = folder.path().join(format!("killed-{i}"));
        // Killed twice: the start after a kill is a moment like any other.
        for _ in 0..2 {
            let mut child = rehearse(&dir).spawn().unwrap();
            std::thread::sleep(delay);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        if !is_over(&dir) {
            let output = rehearse(&dir).stderr(Stdio::piped()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "killed after {delay:?} it does not go on: {said}");
        }
        assert_eq!(commit(&dir), expected, "killed after {delay:?}");
        let left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 4, "what is left beside the repository: {left:?}");
    }
}

/// At each place where the program waits for a disk, the system kills it before the disk has answered.
///
/// One place in [`STRIDE`] is tried, and of each kind of file the first and the last. `TRUSTROOT_KILL_STRIDE=1` tries every
/// single one.
#[cfg(target_os = "linux")]
#[test]
fn killed_while_it_waits_for_the_disk_the_same_command_ends_in_the_same_bytes() {
    let stride = std::env::var("TRUSTROOT_KILL_STRIDE").map_or(STRIDE, |stride| stride.parse().unwrap());
    let folder = stage::folder();
    let whole = folder.path().join("whole");
    let waits = waits(&folder.path().join("trace"), &whole);
    let expected = commit(&whole);

    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (i, kind) in waits.iter().enumerate() {
        kinds.entry(kind).or_insert((i + 1, i + 1)).1 = i + 1;
    }
    assert!(kinds.contains_key(".git/refs/tags/.lock") && kinds.len() > 15, "{kinds:?}");
    let mut places: BTreeSet<usize> = (1..=waits.len()).step_by(stride).collect();
    places.extend(kinds.values().flat_map(|(first, last)| [*first, *last]));
    assert!(waits.len() > 100, "a ceremony waits for the disk more often than {} times", waits.len());

    let places = std::sync::Mutex::new(places);
    let try_all = || {
        loop {
            let Some(at) = places.lock().unwrap().pop_first() else { return };
            let dir = folder.path().join(format!("synced-{at}"));
            let mut traced =
                traced(Path::new("/dev/null"), &format!("inject=fsync,fdatasync:signal=SIGKILL:when={at}"), &dir);
            assert!(!traced.status().unwrap().success(), "it was not killed at fsync {at}");
            if !is_over(&dir) {
                let output = rehearse_with(&dir, "1").stderr(Stdio::piped()).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "killed at fsync {at} it does not go on: {said}");
            }
            assert_eq!(commit(&dir), expected, "killed at fsync {at}");
            std::fs::remove_dir_all(&dir).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(try_all);
        }
    });
}

/// Of so many places one is tried; it shares no factor with the number of places in a step.
#[cfg(target_os = "linux")]
const STRIDE: usize = 13;

/// The rehearsal under `strace`, which notes what it waits for the disk with in `notes` and does as `inject` says.
#[cfg(target_os = "linux")]
fn traced(notes: &Path, inject: &str, dir: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-e", inject, "-o"]).arg(notes).arg("--");
    let command = rehearse_with(dir, "1");
    traced.arg(command.get_program()).args(command.get_args());
    traced.env_clear().env("HOME", dir.parent().unwrap()).env("PATH", std::env::var_os("PATH").unwrap());
    traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    traced
}

/// Every wait for the disk of a whole rehearsal in `dir`, in order: the folder of the file from the repository's top, without
/// what names one object, key or payload, and how the file's name ends.
#[cfg(target_os = "linux")]
fn waits(notes: &Path, dir: &Path) -> Vec<String> {
    // It says nothing about signals, and nothing is injected.
    assert!(traced(notes, "signal=none", dir).status().expect("strace is not installed").success());
    let text = std::fs::read_to_string(notes).unwrap();
    let path = |line: &str| Some(line.split_once('<')?.1.split_once('>')?.0.to_owned());
    let kind = |path: String| {
        let inside = path.strip_prefix(dir.to_str().unwrap()).unwrap_or_default().trim_start_matches('/');
        let (folder, name) = inside.rsplit_once('/').unwrap_or(("", inside));
        let end = name.rfind('.').map_or("", |at| &name[at..]);
        let whose = |part: &&str| !part.contains('-') && !part.starts_with("tmp_");
        let folder: Vec<&str> = folder.split('/').filter(whose).collect();
        format!("{}/{end}", folder.join("/"))
    };
    text.lines().filter(|line| line.contains("sync(")).filter_map(path).map(kind).collect()
}

/// Whether the second kill came after the end: then the command refuses, because the rehearsal is over.
fn is_over(dir: &Path) -> bool {
    let packed = dir.join(".git/refs/tags/2026-01-05-rehearsal-root-1").exists();
    packed && {
        let output = rehearse(dir).stderr(Stdio::piped()).output().unwrap();
        output.status.success() || String::from_utf8_lossy(&output.stderr).contains("is over")
    }
}

/// A process that was killed while it made the repository, at each file that making one writes.
#[test]
fn half_a_repository_of_ours_makes_room_for_a_whole_one() {
    let folder = stage::folder();
    let whole = folder.path().join("whole");
    assert!(rehearse(&whole).status().unwrap().success());
    let expected = commit(&whole);
    let halves: [&[&str]; 5] =
        [&[], &["objects"], &["objects", "refs"], &["HEAD"], &["HEAD", "objects", "refs", "config"]];
    for (i, names) in halves.iter().enumerate() {
        let dir = folder.path().join(format!("half-{i}"));
        std::fs::create_dir_all(dir.join(".git")).unwrap();
        std::fs::write(dir.join(".trustroot-rehearsal"), "").unwrap();
        for name in *names {
            match *name {
                "HEAD" => std::fs::write(dir.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap(),
                "config" => std::fs::write(dir.join(".git/config"), "[core").unwrap(),
                folder => std::fs::create_dir(dir.join(".git").join(folder)).unwrap(),
            }
        }
        assert!(rehearse(&dir).status().unwrap().success(), "{names:?}");
        assert_eq!(commit(&dir), expected, "{names:?}");
    }
    // Without our mark it is somebody else's, and stays as it is.
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join(".git/objects")).unwrap();
    assert!(!rehearse(&other).status().unwrap().success());
    assert_eq!(std::fs::read_dir(other.join(".git")).unwrap().count(), 1);
}
