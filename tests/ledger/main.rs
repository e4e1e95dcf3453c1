//! The ledger against real repositories, with the `git` program as the judge.
//!
//! Each test is a thing that happens to a repository: a step, a rival, a kill, an attack. Settings stand in the
//! repository's own configuration, so that the person's never matter.

mod dirt;
mod reading;
mod refusals;
mod signatures;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use trustroot::ledger::{Change, Difference, GITATTRIBUTES, GitLedger, Identity, Reading, read_all, read_dir};
use trustroot::seams::{Commit, Ledger as _, LedgerError};
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Entry;

// ------------------------------------------------------------------------------------------------------------ stage

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    /// A fresh repository of a rehearsal, and one step in it.
    fn with_one_step() -> (Self, GitLedger, String) {
        let place = Self::new();
        let mut ledger = GitLedger::init(&place.repo(), Some(Identity::rehearsal())).unwrap();
        let head = ledger.append(&step(None, 1)).unwrap();
        (place, ledger, head.commit.unwrap())
    }

    /// A fresh repository of a person with an SSH key, who signs if `signs`; and the file of allowed signers.
    fn with_person(signs: bool) -> (Self, GitLedger) {
        let place = Self::new();
        drop(GitLedger::init(&place.repo(), None).unwrap());
        let key = place.folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let allowed = place.folder.path().join("allowed");
        fs::write(&allowed, format!("ada@example.org {public}")).unwrap();
        place.git(&["config", "user.name", "Ada"]);
        place.git(&["config", "user.email", "ada@example.org"]);
        place.git(&["config", "gpg.format", "ssh"]);
        place.git(&["config", "user.signingkey", key.to_str().unwrap()]);
        place.git(&["config", "gpg.ssh.allowedSignersFile", allowed.to_str().unwrap()]);
        place.git(&["config", "commit.gpgsign", if signs { "true" } else { "false" }]);
        let ledger = GitLedger::open(&place.repo()).unwrap();
        (place, ledger)
    }

    fn open(&self) -> Result<GitLedger, LedgerError> {
        GitLedger::open_as(&self.repo(), Some(Identity::rehearsal()))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.repo().join(path)).unwrap()
    }

    fn write(&self, path: &str, bytes: &str) {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Runs git as somebody without any settings; it must succeed.
    fn git(&self, arguments: &[&str]) -> String {
        let output = self.try_git(arguments);
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn try_git(&self, arguments: &[&str]) -> Output {
        Command::new("git")
            .arg("-C")
            .arg(self.repo())
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Eve")
            .env("GIT_AUTHOR_EMAIL", "eve@example.org")
            .env("GIT_COMMITTER_NAME", "Eve")
            .env("GIT_COMMITTER_EMAIL", "eve@example.org")
            .output()
            .unwrap()
    }

    /// Git finds nothing to complain about, and nothing that is not committed.
    fn assert_sound(&self) {
        self.git(&["fsck", "--strict", "--no-dangling"]);
        assert_eq!(self.git(&["status", "--porcelain"]), "");
        assert_eq!(self.git(&["diff-files", "--name-only"]), "");
        assert_eq!(Reading::open(&self.repo()).unwrap().differences().unwrap(), []);
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix(1_800_000_000 + 60 * minute).unwrap()
}

fn commit(parent: Option<&str>, minute: i64, files: &[(&str, &str)]) -> Commit {
    Commit {
        parent: parent.map(str::to_owned),
        files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect(),
        message: format!("Step {minute}\n\nTrustroot-Step: {minute}"),
        time: at(minute),
    }
}

fn step(parent: Option<&str>, number: i64) -> Commit {
    let event = format!("ceremony/2026-genesis/log/ada/{number}.json");
    commit(parent, number, &[(&event, "{}"), ("root/timestamp.json", &format!("{{\"version\":{number}}}"))])
}

fn dirty_files(result: Result<GitLedger, LedgerError>) -> Vec<String> {
    match result {
        Err(LedgerError::Dirty { files, .. }) => files,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("nothing was refused"),
    }
}

// ------------------------------------------------------------------------------------------------------------ steps

#[test]
fn steps_become_commits_that_git_accepts() {
    let (place, mut ledger, first) = Place::with_one_step();
    let head = ledger.append(&step(Some(&first), 2)).unwrap();
    place.assert_sound();
    assert_eq!(head.commit.as_deref(), Some(place.git(&["rev-parse", "main"]).trim()));
    assert_eq!(head, ledger.head().unwrap());
    assert_eq!(
        head.tree.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            ".gitattributes",
            "ceremony/2026-genesis/log/ada/1.json",
            "ceremony/2026-genesis/log/ada/2.json",
            "root/timestamp.json"
        ]
    );
    assert_eq!(head.tree[GITATTRIBUTES.0], Entry::File(GITATTRIBUTES.1.to_vec()));
    assert_eq!(place.read("root/timestamp.json"), "{\"version\":2}");
    assert_eq!(
        place.git(&["log", "-1", "--format=%an <%ae> %ad|%cn <%ce> %cd|%B", "--date=raw"]),
        "trustroot rehearsal <rehearsal@trustroot.invalid> 1800000120 +0000|\
         trustroot rehearsal <rehearsal@trustroot.invalid> 1800000120 +0000|\
         Step 2\n\nTrustroot-Step: 2\n\n"
    );
    assert_eq!(read_dir(&place.repo()).unwrap(), head.tree);
}

#[test]
fn the_same_steps_give_the_same_commits() {
    let (_one, _, first) = Place::with_one_step();
    let (_two, _, second) = Place::with_one_step();
    assert_eq!(first, second);
}

#[test]
fn other_files_of_the_repository_are_carried_along() {
    let (place, ledger, _) = Place::with_one_step();
    drop(ledger);
    place.write("src/main.rs", "fn main() {}");
    fs::set_permissions(place.repo().join("src/main.rs"), fs::Permissions::from_mode(0o755)).unwrap();
    place.git(&["add", "src"]);
    place.git(&["commit", "-qm", "a program"]);
    let parent = place.git(&["rev-parse", "HEAD"]).trim().to_owned();
    place.write("src/main.rs", "edited, not committed");
    let mut ledger = place.open().unwrap();
    ledger.append(&step(Some(&parent), 2)).unwrap();
    assert_eq!(place.git(&["show", "HEAD:src/main.rs"]), "fn main() {}");
    assert_eq!(place.git(&["ls-tree", "HEAD", "src/main.rs"]).split(' ').next(), Some("100755"));
    assert_eq!(place.read("src/main.rs"), "edited, not committed");
    assert_eq!(place.git(&["status", "--porcelain"]), " M src/main.rs\n");
}

#[test]
fn a_repository_is_found_from_inside_and_in_linked_worktrees() {
    let (place, ledger, first) = Place::with_one_step();
    drop(ledger);
    drop(GitLedger::open(&place.repo().join("ceremony/2026-genesis")).unwrap());
    let linked = place.folder.path().join("linked");
    place.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    let mut ledger = GitLedger::open_as(&linked, Some(Identity::rehearsal())).unwrap();
    assert!(matches!(place.open(), Err(LedgerError::Busy(_))), "one lock for all working trees");
    ledger.append(&step(Some(&first), 2)).unwrap();
    assert!(linked.join("ceremony/2026-genesis/log/ada/2.json").is_file());
    assert_eq!(place.git(&["rev-parse", "main"]).trim(), first);
    assert_ne!(place.git(&["rev-parse", "side"]).trim(), first);
    place.assert_sound();
}

#[test]
fn what_is_no_repository_is_not_found() {
    let place = Place::new();
    assert!(matches!(GitLedger::open(place.folder.path()), Err(LedgerError::NotFound(_))));
    drop(GitLedger::init(&place.repo(), None).unwrap());
    assert!(matches!(GitLedger::init(&place.repo(), None), Err(LedgerError::Io { .. })));
}

#[test]
fn a_bare_clone_is_read_and_not_written() {
    let (place, mut ledger, first) = Place::with_one_step();
    let bare = place.folder.path().join("bare.git");
    place.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let reading = Reading::open(&bare).unwrap();
    assert!(reading.is_bare());
    assert_eq!(reading.head().unwrap(), ledger.head().unwrap());
    assert!(reading.differences().is_err());
    assert!(matches!(GitLedger::open(&bare), Err(LedgerError::Io { .. })));
    ledger.append(&step(Some(&first), 2)).unwrap();
}

#[test]
fn the_state_folder_is_private_and_not_committed() {
    let (place, ledger, _) = Place::with_one_step();
    let mode = fs::metadata(ledger.state_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    fs::write(ledger.state_dir().join("token"), "secret").unwrap();
    place.assert_sound();
}
