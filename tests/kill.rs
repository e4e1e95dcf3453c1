//! The real program, killed by the system at moments spread over its whole run, and started again by the same command.

#[path = "support/stage.rs"]
mod stage;

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
/// One place in [`STRIDE`] is tried, and since the places of a step are fewer than the steps times that, each kind of place
/// is met. `TRUSTROOT_KILL_STRIDE=1` tries every single one.
#[cfg(target_os = "linux")]
#[test]
fn killed_while_it_waits_for_the_disk_the_same_command_ends_in_the_same_bytes() {
    let stride = std::env::var("TRUSTROOT_KILL_STRIDE").map_or(STRIDE, |stride| stride.parse().unwrap());
    let folder = stage::folder();
    let whole = folder.path().join("whole");
    assert!(rehearse_with(&whole, "1").status().unwrap().success());
    let expected = commit(&whole);

    let next = std::sync::atomic::AtomicUsize::new(0);
    let killed = std::sync::atomic::AtomicUsize::new(0);
    let try_all = || {
        loop {
            let at = 1 + stride * next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let dir = folder.path().join(format!("synced-{at}"));
            let mut traced = Command::new("strace");
            traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"]);
            traced.arg(format!("inject=fsync,fdatasync:signal=SIGKILL:when={at}")).arg("--");
            let command = rehearse_with(&dir, "1");
            traced.arg(command.get_program()).args(command.get_args());
            traced.env_clear().env("HOME", folder.path()).env("PATH", std::env::var_os("PATH").unwrap());
            traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if traced.status().expect("strace is not installed").success() {
                assert_eq!(commit(&dir), expected);
                return;
            }
            killed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
    let killed = killed.into_inner();
    assert!(killed * stride > 100, "a ceremony waits for the disk more often than {killed} times {stride}");
}

/// Of so many places one is tried; it shares no factor with the number of places in a step.
#[cfg(target_os = "linux")]
const STRIDE: usize = 13;

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
