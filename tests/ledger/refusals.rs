//! What is not appended: files that do not fit, branches that moved, places where nothing can be written.

use super::*;

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
