//! A client that is killed at any moment, or finds the disk full, leaves a state that the next one can use, and never an
//! older one.
//!
//! The client runs in a process of its own: this test program, started again for [`refreshes_where_it_is_told_to`] alone.

mod simulator;

use simulator::{Case, Repository, keys, start, versions};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use trustroot_client::{Client, Limits, source};

/// Tells the process that it is the client, and where: the address, and the folder of the metadata.
const TOLD: [&str; 2] = ["TRUSTROOT_TEST_URL", "TRUSTROOT_TEST_DIR"];

/// Does nothing in the test program itself.
#[test]
fn refreshes_where_it_is_told_to() {
    let [Ok(url), Ok(dir)] = TOLD.map(std::env::var) else { return };
    let mirrors = [source::from_text(&url, &Limits::default()).unwrap()];
    let client = Client::new(Path::new(&dir), Limits::default());
    let session = client.refresh(&mirrors, simulator::now()).unwrap();
    println!("refreshed to {:?}", versions(&session));
}

fn child(repository: &Repository, dir: &Path, before: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap().display().to_string();
    let words = [before, &[program.as_str(), "--exact", "refreshes_where_it_is_told_to", "--nocapture"]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env(TOLD[0], repository.server.url("metadata")).env(TOLD[1], dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn killed_at_any_moment_it_never_goes_back_and_the_next_one_goes_on() {
    let (mut repository, case) = start();
    let mut before = [1, 0, 0, 0];
    for round in 0..40_u8 {
        // Every third time the online keys are replaced and their versions begin anew.
        if round % 3 == 2 {
            repository.timestamp_keys = keys(&[100 + round], 1);
            repository.snapshot_keys = keys(&[150 + round], 1);
            (repository.timestamp, repository.snapshot) = (0, 0);
            (before[1], before[2]) = (0, 0);
        }
        repository.publish_root();
        repository.publish();
        let mut killed = child(&repository, &case.folder.path().join("metadata"), &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round) * 17 % 41));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let here = case.here();
        assert!(here[0] >= before[0] && here[3] >= before[3], "round {round}: {here:?} after {before:?}");
        if round % 4 == 3 {
            let end = case.refresh(&repository).unwrap();
            assert_eq!(
                end,
                [repository.root, repository.timestamp, repository.snapshot, repository.targets["targets"].version]
            );
            assert_eq!(case.here(), end);
        }
        before = case.here();
    }
    assert_eq!(case.names().len(), 4);
}

/// On a file system of its own with room for the root and little more. Only the system's administrator may make one; anybody
/// else gets it in a user namespace.
#[test]
fn a_full_disk_leaves_what_was_there() {
    let (mut repository, case) = start();
    case.refresh(&repository).unwrap();
    let big = vec![b'x'; 3000];
    for number in 0..200 {
        repository.top().files.insert(format!("{number}/{}", "long".repeat(20)), big.clone());
    }
    repository.publish();
    let metadata = case.folder.path().join("metadata");
    let small = case.folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let script = "mount -t tmpfs -o size=24k tmpfs \"$1\" && cp -p \"$2\"/*.json \"$1\" || exit 77; shift 2; \"$@\"; code=$?; \
                  cp \"$TRUSTROOT_TEST_DIR\"/*.json \"$OUT\" && exit $code";
    let out = case.folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let (target, from) = (small.display().to_string(), metadata.display().to_string());
    let before = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", &target, &from];
    let output = child(&repository, &small, &before).env("OUT", &out).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_ne!(output.status.code(), Some(77), "no file system could be made: {said}");
    assert!(!output.status.success() && said.contains("StorageFull"), "{said}");
    let case = Case { folder: tempfile::tempdir().unwrap(), limits: case.limits, time: case.time };
    std::fs::rename(&out, case.folder.path().join("metadata")).unwrap();
    assert_eq!(case.here(), [1, 2, 2, 1], "what fitted is newer, what did not is as before");
    assert_eq!(case.refresh(&repository).unwrap(), [1, 2, 2, 2]);
}
