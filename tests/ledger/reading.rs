//! What is read: trees, differences, folders, and limits on all of it.

use super::*;

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
