//! What is found at the start: finished if it is ours, refused if it is not.

use super::*;

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
            .args(["--exact", "dirt::a_process_that_is_killed_anywhere_loses_nothing"])
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
