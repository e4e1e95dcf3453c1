//! The ledger against real repositories, with the `git` program as the judge.
//!
//! Each test is a thing that happens to a repository: a step, a rival, a kill, an attack. Settings stand in the
//! repository's own configuration, so that the person's never matter.

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

// --------------------------------------------------------------------------------------------------------- refusals

#[test]
fn a_branch_that_moved_is_not_overwritten() {
    let (place, mut ledger, first) = Place::with_one_step();
    place.git(&["commit", "-q", "--allow-empty", "-m", "somebody else"]);
    let theirs = place.git(&["rev-parse", "HEAD"]).trim().to_owned();
    match ledger.append(&step(Some(&first), 2)) {
        Err(LedgerError::Moved { expected, found }) => assert_eq!((expected, found), (first, theirs.clone())),
        other => panic!("{other:?}"),
    }
    assert!(matches!(ledger.append(&step(None, 2)), Err(LedgerError::Moved { .. })));
    assert!(!place.repo().join("ceremony/2026-genesis/log/ada/2.json").exists());
    ledger.append(&step(Some(&theirs), 2)).unwrap();
    place.assert_sound();
}

#[test]
fn a_branch_that_moves_while_a_person_signs_is_not_overwritten() {
    // The signing program is the one place where others can run between our look at the branch and our move of it.
    let (place, mut ledger) = Place::with_person(true);
    let first = ledger.append(&step(None, 1)).unwrap().commit.unwrap();
    let program = place.folder.path().join("slow-keygen");
    let repo = place.repo();
    fs::write(
        &program,
        format!(
            "#!/bin/sh\ngit -C '{}' -c user.name=E -c user.email=e@e -c commit.gpgsign=false \
             commit -q --allow-empty -m rival || exit 9\nexec ssh-keygen \"$@\"\n",
            repo.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    place.git(&["config", "gpg.ssh.program", program.to_str().unwrap()]);
    assert!(matches!(ledger.append(&step(Some(&first), 2)), Err(LedgerError::Moved { .. })));
    assert_eq!(place.git(&["log", "-1", "--format=%s"]), "rival\n");
    place.assert_sound();
}

#[test]
fn one_process_at_a_time_and_none_is_lost() {
    let (place, ledger, _) = Place::with_one_step();
    assert!(matches!(place.open(), Err(LedgerError::Busy(_))));
    drop(ledger);
    let threads = 4;
    let steps = 5;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let place = &place;
            scope.spawn(move || {
                for number in 0..steps {
                    let mut ledger = loop {
                        match place.open() {
                            Ok(ledger) => break ledger,
                            Err(LedgerError::Busy(_)) => std::thread::yield_now(),
                            Err(other) => panic!("{other}"),
                        }
                    };
                    let parent = ledger.head().unwrap().commit;
                    let path = format!("ceremony/2026-genesis/log/t{thread}/{number}.json");
                    ledger.append(&commit(parent.as_deref(), number, &[(&path, "{}")])).unwrap();
                }
            });
        }
    });
    assert_eq!(place.git(&["rev-list", "--count", "HEAD"]).trim(), (1 + threads * steps).to_string());
    place.assert_sound();
}

#[test]
fn a_detached_head_and_a_merge_under_way_are_refused() {
    let (place, mut ledger, first) = Place::with_one_step();
    place.git(&["checkout", "-q", "--detach"]);
    assert!(matches!(ledger.append(&step(Some(&first), 2)), Err(LedgerError::Busy(_))));
    drop(ledger);
    assert!(matches!(place.open(), Err(LedgerError::Busy(_))));
    assert_eq!(Reading::open(&place.repo()).unwrap().head().unwrap().commit, Some(first.clone()));
    place.git(&["checkout", "-q", "main"]);
    drop(place.open().unwrap());
    fs::write(place.repo().join(".git/MERGE_HEAD"), format!("{first}\n")).unwrap();
    assert!(matches!(place.open(), Err(LedgerError::Busy(_))));
}

#[test]
fn what_is_append_only_stays() {
    let (place, mut ledger, first) = Place::with_one_step();
    let second = ledger
        .append(&commit(Some(&first), 2, &[("root/1.root.json", "{}"), ("ceremony/plans/a.toml", "a")]))
        .unwrap()
        .commit
        .unwrap();
    for path in ["ceremony/2026-genesis/log/ada/1.json", "root/1.root.json", ".gitattributes"] {
        let result = ledger.append(&commit(Some(&second), 3, &[(path, "other")]));
        assert!(matches!(result, Err(LedgerError::Unfit(_))), "{path}: {result:?}");
    }
    let replaced = [("root/timestamp.json", "new"), ("ceremony/plans/a.toml", "b")];
    let third = ledger.append(&commit(Some(&second), 3, &replaced)).unwrap().commit.unwrap();
    assert!(matches!(ledger.append(&commit(Some(&third), 4, &replaced)), Err(LedgerError::Unfit(_))), "no change");
    place.assert_sound();
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let (place, mut ledger, first) = Place::with_one_step();
    let long = format!("root/{}", "x".repeat(256));
    for path in [
        "",
        "/etc/passwd",
        "README.md",
        "src/main.rs",
        "root",
        "root/",
        "root//a",
        "root/../a",
        "root/./a",
        "../root/a",
        ".git/config",
        "root/.git/config",
        "root/.GIT/config",
        "root/git~1/config",
        "ceremony/a:b",
        "ceremony/a.",
        "root/.trustroot-1.tmp",
        "root/a\u{202e}b",
        "root/a\nb",
        "root/a\0b",
        "root/a\\b",
        "root/timestamp.json/under-a-file",
        "ceremony/2026-genesis",
        &long,
    ] {
        let result = ledger.append(&commit(Some(&first), 2, &[(path, "x")]));
        assert!(
            matches!(result, Err(LedgerError::Unfit(_) | LedgerError::Dirty { .. })),
            "{}: {result:?}",
            path.escape_debug()
        );
    }
    let both = [("root/a", "x"), ("root/a/b", "x")];
    assert!(matches!(ledger.append(&commit(Some(&first), 2, &both)), Err(LedgerError::Unfit(_))));
    place.assert_sound();
    assert_eq!(place.git(&["rev-parse", "HEAD"]).trim(), first);
}

#[test]
fn a_foreign_repository_is_refused() {
    let (place, ledger, _) = Place::with_one_step();
    drop(ledger);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.repo(), Some(65_534), None).unwrap();
        assert!(
            matches!(place.open(), Err(LedgerError::Foreign(_))),
            "refused, unless this machine's git is told to trust every owner (safe.directory = *)"
        );
        assert!(matches!(Reading::open(&place.repo()), Err(LedgerError::Foreign(_))));
    } else {
        // Only root can give files away; what everybody can see is that one's own are not refused.
        assert!(place.open().is_ok());
    }
}

#[test]
fn a_read_only_repository_is_read_and_not_written() {
    let (place, ledger, first) = Place::with_one_step();
    drop(ledger);
    let lock = |mode| {
        for folder in ["", ".git", ".git/objects", ".git/refs/heads", ".git/trustroot"] {
            fs::set_permissions(place.repo().join(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(place.repo().join(".git/trustroot.lock"), fs::Permissions::from_mode(mode & 0o666))
            .unwrap();
    };
    lock(0o555);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            give_up_root();
            assert_eq!(Reading::open(&place.repo()).unwrap().head().unwrap().commit, Some(first.clone()));
            assert!(matches!(place.open(), Err(LedgerError::Io { .. })));
        });
    });
    lock(0o755);
    let mut ledger = place.open().unwrap();
    lock(0o555);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            give_up_root();
            assert!(matches!(ledger.append(&step(Some(&first), 2)), Err(LedgerError::Io { .. })));
        });
    });
    lock(0o755);
    let head = place.git(&["rev-parse", "HEAD"]).trim().to_owned();
    assert_eq!(head, first);
    ledger.append(&step(Some(&head), 2)).unwrap();
    place.assert_sound();
}

/// Makes file permissions count for this thread, even if root runs the tests.
fn give_up_root() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).unwrap();
    sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    set_capabilities(None, sets).unwrap();
}

#[test]
fn nobody_commits_without_a_name() {
    let place = Place::new();
    let mut ledger = GitLedger::init(&place.repo(), None).unwrap();
    place.git(&["config", "user.name", ""]);
    place.git(&["config", "user.email", ""]);
    assert!(matches!(ledger.identity(), Err(LedgerError::NoIdentity)));
    assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::NoIdentity)));
    assert_eq!(ledger.head().unwrap().commit, None);
}

// ---------------------------------------------------------------------------------------------------- dirt and kills

#[test]
fn foreign_dirt_is_refused_and_left_alone() {
    let (place, ledger, _) = Place::with_one_step();
    drop(ledger);
    place.write("root/timestamp.json", "edited");
    assert_eq!(dirty_files(place.open()), ["root/timestamp.json"]);
    assert_eq!(place.read("root/timestamp.json"), "edited");
    place.git(&["checkout", "-q", "root"]);

    place.write("ceremony/2026-genesis/extra\u{1b}.json", "new");
    assert_eq!(dirty_files(place.open()), ["ceremony/2026-genesis/extra\\u{1b}.json"]);
    place.git(&["clean", "-qfd"]);

    fs::set_permissions(place.repo().join("root/timestamp.json"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(dirty_files(place.open()), ["root/timestamp.json"]);
    place.git(&["checkout", "-q", "root"]);

    place.write("src/a.rs", "staged");
    place.git(&["add", "src/a.rs"]);
    assert_eq!(dirty_files(place.open()), ["src/a.rs"]);
    place.git(&["reset", "-q"]);
    drop(place.open().unwrap());
}

#[test]
fn plans_are_for_people_to_edit() {
    let (place, mut ledger, first) = Place::with_one_step();
    let plans = [("ceremony/plans/a.toml", "a"), ("ceremony/plans/b.toml", "b")];
    let second = ledger.append(&commit(Some(&first), 2, &plans)).unwrap().commit.unwrap();
    let third = ledger.append(&step(Some(&second), 3)).unwrap().commit.unwrap();
    drop(ledger);
    place.write("ceremony/plans/a.toml", "edited");
    place.write("ceremony/plans/new.toml", "new");
    fs::remove_file(place.repo().join("ceremony/plans/b.toml")).unwrap();
    let mut ledger = place.open().unwrap();
    assert!(!place.repo().join("ceremony/plans/b.toml").exists());
    // What a person edits is not overwritten, but what stands on disk can be committed.
    let mine = commit(Some(&third), 4, &[("ceremony/plans/a.toml", "mine")]);
    assert!(matches!(ledger.append(&mine), Err(LedgerError::Dirty { .. })));
    assert_eq!(place.read("ceremony/plans/a.toml"), "edited");
    ledger.append(&commit(Some(&third), 4, &[("ceremony/plans/a.toml", "edited")])).unwrap();
    assert_eq!(place.git(&["status", "--porcelain"]), " D ceremony/plans/b.toml\n?? ceremony/plans/new.toml\n");
}

#[test]
fn a_kill_between_branch_and_working_tree_is_repaired() {
    let (place, mut ledger, first) = Place::with_one_step();
    let head = ledger.append(&step(Some(&first), 2)).unwrap();
    drop(ledger);
    // The branch alone is moved: working tree and index are those of the commit before.
    place.git(&["reset", "-q", "--hard", &first]);
    place.git(&["update-ref", "refs/heads/main", head.commit.as_deref().unwrap()]);
    place.write("root/.trustroot-4711.tmp", "{\"vers");
    assert_ne!(place.git(&["status", "--porcelain"]), "");
    let ledger = place.open().unwrap();
    assert_eq!(place.read("root/timestamp.json"), "{\"version\":2}");
    assert_eq!(ledger.head().unwrap(), head);
    place.assert_sound();
    drop(ledger);

    // The working tree is whole, the index is not.
    place.git(&["read-tree", &first]);
    drop(place.open().unwrap());
    place.assert_sound();

    // Half of the working tree.
    fs::remove_file(place.repo().join("ceremony/2026-genesis/log/ada/2.json")).unwrap();
    let mut ledger = place.open().unwrap();
    place.assert_sound();
    assert_eq!(ledger.repair().unwrap(), [] as [String; 0]);
}

#[test]
fn a_process_that_is_killed_anywhere_loses_nothing() {
    const CHILD: &str = "TRUSTROOT_TEST_APPENDS_AT";
    if let Some(repo) = std::env::var_os(CHILD) {
        // The same test, run again as a process of its own: it commits until it is killed.
        let mut ledger = GitLedger::open_as(Path::new(&repo), Some(Identity::rehearsal())).unwrap();
        for number in 0.. {
            let parent = ledger.head().unwrap().commit;
            let name = format!("ceremony/2026-genesis/log/ada/{}-{number}.json", std::process::id());
            let files = [(name.as_str(), "{}"), ("root/timestamp.json", name.as_str())];
            ledger.append(&commit(parent.as_deref(), 1, &files)).unwrap();
        }
    }
    let (place, ledger, _) = Place::with_one_step();
    drop(ledger);
    let mut steps = 1;
    for round in 0..24_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_that_is_killed_anywhere_loses_nothing"])
            .env(CHILD, place.repo())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Not before it has begun, and then at another moment each round.
        let before = place.git(&["rev-parse", "HEAD"]);
        while place.git(&["rev-parse", "HEAD"]) == before {
            assert!(child.try_wait().unwrap().is_none(), "it must not end by itself");
        }
        std::thread::sleep(std::time::Duration::from_micros(round * 731));
        child.kill().unwrap();
        child.wait().unwrap();
        let ledger = place.open().unwrap();
        let files = ledger.head().unwrap().tree.len();
        place.assert_sound();
        let count: usize = place.git(&["rev-list", "--count", "HEAD"]).trim().parse().unwrap();
        assert_eq!(files, count + 2, "one event for each commit, the timestamp and .gitattributes");
        assert!(count > steps);
        steps = count;
    }
}

#[test]
fn our_dirt_is_not_repaired_over_foreign_dirt() {
    let (place, mut ledger, first) = Place::with_one_step();
    let second = ledger.append(&step(Some(&first), 2)).unwrap().commit.unwrap();
    drop(ledger);
    place.git(&["reset", "-q", "--hard", &first]);
    place.git(&["update-ref", "refs/heads/main", &second]);
    place.write("root/timestamp.json", "edited in between");
    assert_eq!(dirty_files(place.open()), ["root/timestamp.json"]);
    assert!(!place.repo().join("ceremony/2026-genesis/log/ada/2.json").exists(), "nothing was changed");
}

#[test]
fn the_locks_of_a_killed_process_are_removed_and_no_others() {
    let (place, ledger, first) = Place::with_one_step();
    drop(ledger);
    let dot_git = place.repo().join(".git");
    fs::write(dot_git.join("index.lock"), "").unwrap();
    let mut ledger = place.open().unwrap();
    match ledger.append(&step(Some(&first), 2)) {
        Err(LedgerError::Io { reason, .. }) => assert!(reason.contains("is safe"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let second = ledger.head().unwrap().commit.unwrap();
    assert_ne!(second, first);
    assert!(ledger.append(&step(Some(&second), 3)).is_err(), "the lock is somebody else's");
    fs::remove_file(dot_git.join("index.lock")).unwrap();
    let third = ledger.append(&step(Some(&second), 3)).unwrap().commit.unwrap();
    place.assert_sound();
    drop(ledger);

    fs::write(dot_git.join("trustroot/writing"), "refs/heads/main\n").unwrap();
    for lock in ["index.lock", "HEAD.lock", "refs/heads/main.lock"] {
        fs::write(dot_git.join(lock), "").unwrap();
    }
    let mut ledger = place.open().unwrap();
    ledger.append(&step(Some(&third), 4)).unwrap();
    place.assert_sound();
    drop(ledger);

    fs::write(dot_git.join("trustroot/writing"), "refs/tags/one\n").unwrap();
    fs::write(dot_git.join("refs/tags/one.lock"), "").unwrap();
    place.open().unwrap().tag("one", "m", at(5)).unwrap();
    place.assert_sound();
    assert!(!dot_git.join("trustroot/writing").exists());

    fs::write(dot_git.join("trustroot/writing"), "refs/heads/main\n").unwrap();
    let lock = fs::File::create(dot_git.join("index.lock")).unwrap();
    lock.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(60)).unwrap();
    drop(place.open().unwrap());
    assert!(dot_git.join("index.lock").exists(), "a lock made a minute after our mark is not ours");
}

#[test]
fn nothing_is_written_through_a_link() {
    let (place, mut ledger, first) = Place::with_one_step();
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();

    let record = place.repo().join("ceremony/2026-second");
    symlink(&outside, &record).unwrap();
    let through = commit(Some(&first), 2, &[("ceremony/2026-second/plan.json", "{}")]);
    assert!(matches!(ledger.append(&through), Err(LedgerError::Dirty { .. })));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    drop(ledger);
    assert_eq!(dirty_files(place.open()), ["ceremony/2026-second"]);
    fs::remove_file(&record).unwrap();

    let file = place.repo().join("root/timestamp.json");
    let target = outside.join("timestamp.json");
    fs::rename(&file, &target).unwrap();
    symlink(&target, &file).unwrap();
    assert_eq!(dirty_files(place.open()), ["root/timestamp.json"]);
    fs::remove_file(&file).unwrap();

    let mut ledger = place.open().unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&target, &file).unwrap();
    assert!(matches!(ledger.append(&step(Some(&first), 2)), Err(LedgerError::Dirty { .. })));
    assert_eq!(fs::read_to_string(&target).unwrap(), "{\"version\":1}");
    assert_eq!(place.git(&["rev-parse", "HEAD"]).trim(), first);
}

// ------------------------------------------------------------------------------------------------------- signatures

#[test]
fn commits_and_tags_are_signed_as_git_is_set_up() {
    let (place, mut ledger) = Place::with_person(true);
    let first = ledger.append(&step(None, 1)).unwrap().commit.unwrap();
    ledger.append(&step(Some(&first), 2)).unwrap();
    ledger.tag("genesis", "The first root", at(3)).unwrap();
    place.git(&["verify-commit", "HEAD", "HEAD~1"]);
    let judged = place.try_git(&["verify-tag", "genesis"]);
    assert!(judged.status.success());
    assert!(String::from_utf8_lossy(&judged.stderr).contains("Good \"git\" signature for ada@example.org"));
    assert_eq!(
        place.git(&["for-each-ref", "--format=%(taggername) %(taggerdate:raw) %(subject)", "refs/tags"]),
        "Ada 1800000180 +0000 The first root\n"
    );
    place.assert_sound();
    assert_eq!(fs::read_dir(ledger.state_dir()).unwrap().count(), 1, "nothing is left of the signing");
}

#[test]
fn a_rehearsal_never_signs() {
    let (place, ledger) = Place::with_person(true);
    drop(ledger);
    let mut ledger = place.open().unwrap();
    ledger.append(&step(None, 1)).unwrap();
    ledger.tag("t", "m", at(2)).unwrap();
    assert_eq!(ledger.ssh_sign("trustroot-event", b"x").unwrap(), None);
    assert!(!place.git(&["cat-file", "commit", "HEAD"]).contains("gpgsig"));
    assert!(!place.git(&["cat-file", "tag", "t"]).contains("BEGIN"));
}

#[test]
fn bytes_are_signed_in_their_namespace() {
    let (place, mut ledger) = Place::with_person(false);
    let signature = ledger.ssh_sign("trustroot-event", b"the event").unwrap().unwrap();
    let file = place.folder.path().join("event.sig");
    fs::write(&file, &signature).unwrap();
    let judged = |namespace: &str| {
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", "ada@example.org", "-n", namespace, "-f"])
            .arg(place.folder.path().join("allowed"))
            .arg("-s")
            .arg(&file)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"the event").unwrap();
        child.wait().unwrap().success()
    };
    assert!(judged("trustroot-event"));
    assert!(!judged("git"));
    place.git(&["config", "--unset", "gpg.format"]);
    assert_eq!(ledger.ssh_sign("trustroot-event", b"x").unwrap(), None);
}

#[test]
fn a_signature_that_is_wanted_and_cannot_be_made_is_an_error() {
    let (place, mut ledger) = Place::with_person(true);
    place.git(&["config", "user.signingkey", "/nowhere/key"]);
    assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::SshSign(_))));
    assert!(matches!(ledger.ssh_sign("trustroot-event", b"x"), Err(LedgerError::SshSign(_))));
    place.git(&["config", "--unset", "user.signingkey"]);
    assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::SshSign(_))));
    place.git(&["config", "gpg.format", "openpgp"]);
    for program in ["/nowhere/gpg", "false", "true"] {
        place.git(&["config", "gpg.program", program]);
        assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::GpgSign(_))), "{program}");
    }
    place.git(&["config", "gpg.format", "smoke"]);
    assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::GpgSign(_))));
    assert_eq!(ledger.head().unwrap().commit, None);
}

#[test]
fn openpgp_is_asked_as_git_asks_it() {
    let (place, mut ledger) = Place::with_person(true);
    let program = place.folder.path().join("gpg");
    fs::write(
        &program,
        "#!/bin/sh\nenv | grep ^GIT_ && exit 1\n\
         echo \"$@\" >\"$0.arguments\"; cat >\"$0.input\"\necho '[GNUPG:] SIG_CREATED D' >&2\n\
         printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nAAAA\\n-----END PGP SIGNATURE-----\\n'\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    place.git(&["config", "gpg.format", "openpgp"]);
    place.git(&["config", "gpg.program", program.to_str().unwrap()]);
    place.git(&["config", "--unset", "user.signingkey"]);
    ledger.append(&step(None, 1)).unwrap();
    let beside = |end: &str| fs::read_to_string(place.folder.path().join(format!("gpg.{end}"))).unwrap();
    assert_eq!(beside("arguments"), "--status-fd=2 -bsau Ada <ada@example.org>\n");
    let object = place.git(&["cat-file", "commit", "HEAD"]);
    let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----\n";
    assert_eq!(object.replace(signature, ""), beside("input"));
    assert!(object.contains(signature), "{object}");
    place.assert_sound();
}

#[test]
fn a_tag_is_made_once() {
    let (place, mut ledger, first) = Place::with_one_step();
    ledger.tag("genesis", "The first root\n\nand more", at(2)).unwrap();
    let tag = place.git(&["rev-parse", "refs/tags/genesis"]);
    ledger.tag("genesis", "said differently", at(9)).unwrap();
    assert_eq!(place.git(&["rev-parse", "refs/tags/genesis"]), tag);
    assert_eq!(place.git(&["cat-file", "-t", "genesis"]), "tag\n");
    ledger.append(&step(Some(&first), 2)).unwrap();
    assert!(matches!(ledger.tag("genesis", "moved", at(3)), Err(LedgerError::TagExists(_))));
    for bad in ["", "-d", "a..b", "a b", "a/", "a\nb", "a\0b"] {
        assert!(matches!(ledger.tag(bad, "m", at(3)), Err(LedgerError::Unfit(_))), "{}", bad.escape_debug());
    }
    place.assert_sound();
}

// ---------------------------------------------------------------------------------------------------------- reading

#[test]
fn what_is_no_plain_file_is_odd() {
    let (place, ledger, _) = Place::with_one_step();
    drop(ledger);
    place.write("root/run.sh", "#!/bin/sh");
    fs::set_permissions(place.repo().join("root/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", place.repo().join("root/link")).unwrap();
    place.git(&["add", "."]);
    let id = place.git(&["rev-parse", "HEAD"]).trim().to_owned();
    place.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{id},ceremony/module")]);
    place.git(&["commit", "-qm", "odd things"]);
    let tree = Reading::open(&place.repo()).unwrap().head().unwrap().tree;
    assert_eq!(tree["root/run.sh"], Entry::Odd("an executable file"));
    assert_eq!(tree["root/link"], Entry::Odd("a symbolic link"));
    assert_eq!(tree["ceremony/module"], Entry::Odd("a submodule"));
    let folder = read_dir(&place.repo()).unwrap();
    assert_eq!(folder["root/run.sh"], Entry::Odd("an executable file"));
    assert_eq!(folder["root/link"], Entry::Odd("a symbolic link"));
    assert!(read_all(&place.repo()).unwrap().keys().all(|path| !path.starts_with(".git/")));
}

#[test]
fn a_hostile_tree_is_read_without_harm() {
    // Names that git's own commands refuse, written as raw objects: `a` twice, `..`, `.git`, one that is not UTF-8.
    let place = Place::new();
    drop(GitLedger::init(&place.repo(), None).unwrap());
    let repo = git2::Repository::open(place.repo()).unwrap();
    let blob = repo.blob(b"x").unwrap();
    let mut raw = Vec::new();
    for name in [&b".."[..], b".git", b"a", b"a", b"\xff", b"x\x1b"] {
        raw.extend_from_slice(b"100644 ");
        raw.extend_from_slice(name);
        raw.push(0);
        raw.extend_from_slice(blob.as_bytes());
    }
    let odb = repo.odb().unwrap();
    let inner = odb.write(git2::ObjectType::Tree, &raw).unwrap();
    let mut top = repo.treebuilder(None).unwrap();
    top.insert("root", inner, 0o040_000).unwrap();
    let tree = repo.find_tree(top.write().unwrap()).unwrap();
    let who = git2::Signature::new("Eve", "eve@example.org", &git2::Time::new(1, 0)).unwrap();
    repo.commit(Some("HEAD"), &who, &who, "evil", &tree, &[]).unwrap();
    let tree = Reading::open(&place.repo()).unwrap().head().unwrap().tree;
    let unnameable = Entry::Odd("a name that no file can have");
    let expected: BTreeMap<String, Entry> = [
        ("root/..", unnameable.clone()),
        ("root/.git", unnameable.clone()),
        ("root/a", Entry::Odd("two entries of one name")),
        ("root/x\u{1b}", Entry::File(b"x".to_vec())),
        ("root/\u{fffd}", unnameable),
    ]
    .map(|(path, entry)| (path.to_owned(), entry))
    .into();
    assert_eq!(tree, expected);
    assert_eq!(dirty_files(place.open()).len(), 4, "the two of one name are one path");
    assert!(!place.repo().join("root").exists());
}

#[test]
fn a_tree_that_unfolds_without_end_is_refused() {
    let place = Place::new();
    drop(GitLedger::init(&place.repo(), None).unwrap());
    let repo = git2::Repository::open(place.repo()).unwrap();
    let who = git2::Signature::new("Eve", "eve@example.org", &git2::Time::new(1, 0)).unwrap();
    // Ten names that all lead to the same folder, ten deep: 10^10 files in eleven objects.
    let commit_of = |width: usize, depth: usize| {
        let mut id = repo.blob(b"x").unwrap();
        let mut mode = 0o100_644;
        for _ in 0..depth {
            let mut folder = repo.treebuilder(None).unwrap();
            for name in 0..width {
                folder.insert(format!("{name}"), id, mode).unwrap();
            }
            id = folder.write().unwrap();
            mode = 0o040_000;
        }
        let mut top = repo.treebuilder(None).unwrap();
        top.insert("root", id, mode).unwrap();
        let tree = repo.find_tree(top.write().unwrap()).unwrap();
        repo.commit(None, &who, &who, "bomb", &tree, &[]).unwrap().to_string()
    };
    let reading = Reading::open(&place.repo()).unwrap();
    assert!(matches!(reading.at(&commit_of(10, 10)), Err(LedgerError::Limit(_))));
    assert!(matches!(reading.at(&commit_of(1, 200)), Err(LedgerError::Limit(_))));
    assert_eq!(reading.at(&commit_of(3, 3)).unwrap().tree.len(), 27);
    assert!(matches!(reading.at("HEAD"), Err(LedgerError::Io { .. })));
}

#[test]
fn differences_between_commit_and_working_tree_are_named() {
    let (place, ledger, _) = Place::with_one_step();
    drop(ledger);
    place.write("root/timestamp.json", "changed");
    place.write("root/new.json", "new");
    place.write("elsewhere.txt", "not ours");
    fs::remove_file(place.repo().join("ceremony/2026-genesis/log/ada/1.json")).unwrap();
    symlink("x", place.repo().join("root/link")).unwrap();
    let expected = [
        ("ceremony/2026-genesis/log/ada/1.json", Change::Missing),
        ("root/link", Change::Odd("a symbolic link")),
        ("root/new.json", Change::Added),
        ("root/timestamp.json", Change::Bytes),
    ]
    .map(|(path, change)| Difference { path: path.to_owned(), change });
    assert_eq!(Reading::open(&place.repo()).unwrap().differences().unwrap(), expected);
}

#[test]
fn history_finds_what_every_branch_ever_held() {
    let (place, mut ledger, first) = Place::with_one_step();
    let second = ledger.append(&commit(Some(&first), 2, &[("root/1.root.json", "one")])).unwrap().commit.unwrap();
    drop(ledger);
    // A rival on a branch that is only reached by a tag, and then gone from its own tip.
    place.git(&["checkout", "-q", "-b", "rival", &first]);
    place.write("root/1.root.json", "other");
    place.git(&["add", "."]);
    place.git(&["commit", "-qm", "rival"]);
    let rival = place.git(&["rev-parse", "HEAD"]).trim().to_owned();
    place.git(&["rm", "-q", "root/1.root.json"]);
    place.git(&["commit", "-qm", "hidden"]);
    place.git(&["tag", "t"]);
    place.git(&["checkout", "-q", "main"]);
    place.git(&["branch", "-qD", "rival"]);
    // The same bytes again are no news.
    place.git(&["commit", "-q", "--allow-empty", "-m", "again"]);

    let history = Reading::open(&place.repo()).unwrap().history("root").unwrap();
    let mut found: Vec<_> = history
        .iter()
        .map(|past| (past.path.as_str(), past.commit.as_str(), std::str::from_utf8(&past.bytes).unwrap()))
        .collect();
    found.sort_unstable();
    let mut expected = [
        ("root/1.root.json", rival.as_str(), "other"),
        ("root/1.root.json", second.as_str(), "one"),
        ("root/timestamp.json", first.as_str(), "{\"version\":1}"),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(Reading::open(&place.repo()).unwrap().history("nowhere").unwrap(), []);
}

#[test]
fn reading_goes_on_while_a_ceremony_writes() {
    let (place, ledger, first) = Place::with_one_step();
    let reading = Reading::open(&place.repo()).unwrap();
    assert_eq!(reading.head().unwrap().commit, Some(first));
    assert_eq!(reading.path(), fs::canonicalize(ledger.reading().path()).unwrap());
    assert!(!reading.is_shallow());
    let shallow = place.folder.path().join("shallow");
    let url = format!("file://{}", place.repo().display());
    place.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    place.git(&["clone", "-q", "--depth=1", &url, shallow.to_str().unwrap()]);
    assert!(Reading::open(&shallow).unwrap().is_shallow());
    drop(GitLedger::open(&shallow).unwrap());
    assert!(Path::new(&shallow).join("root/timestamp.json").is_file());
}
