//! The real program, killed by the system at moments spread over its whole run, and started again by the same command.

#[path = "support/stage.rs"]
mod stage;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `trustroot rehearse` with one seed, as a person would type it.
fn rehearse(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustroot"));
    let args = ["rehearse", "--auto", "--seed", "kill", "--holders", "2", "--threshold", "2", "--dir"];
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
