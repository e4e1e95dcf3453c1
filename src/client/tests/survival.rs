//! A client that is killed at any moment, or finds the disk full, leaves a state that the next one can use, and never an
//! older one: of the metadata, and of targets.

mod again;
mod simulator;

use again::{child, content, ended, kill_at, started};
use simulator::{Case, Fault, Repository, keys, now, start};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trustroot_client::Progress;
use trustroot_core::digest::Digest;

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
        let mut killed = child(&repository, &case, &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round) * 17 % 41));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let here = case.here();
        assert!(here[0] >= before[0] && here[3] >= before[3], "round {round}: {here:?} after {before:?}");
        if round % 4 == 3 {
            let end = case.refresh(&repository).unwrap();
            assert_eq!(end, repository.versions());
            assert_eq!(case.here(), end);
        }
        before = case.here();
    }
    assert_eq!(case.names().len(), 4);
}

// ------------------------------------------------------------------------------------------------------------ downloads

/// Some of several parts, one of a single, one of a folder of its own, one without any byte.
const TARGETS: [(&str, usize); 4] = [("big", 3 << 20), ("folder/other", 700_000), ("small", 9), ("empty", 0)];

/// The files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let all = entries.map(|entry| entry.unwrap().path());
    all.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Kills at another line each time, so that every step is hit: the root, the refresh, each part of each target, and between
/// them. The first mirror has nothing of the metadata, and targets that break off, are cut, or are others.
#[test]
fn killed_while_it_downloads_it_leaves_whole_targets_and_parts_that_can_be_gone_on_with() {
    let (mut repository, case) = start();
    let folder = case.folder.path().join("targets");
    let mirrors = ["bad", ""].map(|part| repository.server.url(part));
    let names = TARGETS.map(|(name, _)| name);
    let mut before = case.here();
    let mut killed = 0;
    for round in 0..36 {
        // What was broken off is still to be had in two rounds of three.
        let now = round / 3;
        repository.server.well();
        for (name, length) in TARGETS {
            let content = content(now, length);
            let (folder, file) = name.rsplit_once('/').unwrap_or((".", name));
            let bad = format!("bad/targets/{folder}/{}.{file}", Digest::of(&content)).replace("/./", "/");
            repository.top().files.insert(name.to_owned(), content.clone());
            match round % 3 {
                0 => {
                    repository.server.put(&bad, content.clone());
                    repository.server.fault(&bad, Fault::Half);
                }
                1 => repository.server.put(&bad, content[..length / 3].to_vec()),
                _ => repository.server.put(&bad, vec![b'x'; length]),
            }
        }
        repository.publish_root();
        repository.publish();
        let mut lines = round * 23 % 300;
        let moment = |_: &str| {
            lines = lines.saturating_sub(1);
            lines == 0
        };
        let later = Duration::from_micros(round as u64 % 5 * 700);
        let at_work = started(&[], &mirrors, case.folder.path(), &names).spawn().unwrap();
        killed += u32::from(kill_at(at_work, moment, later));

        let here = case.here();
        assert!((0..4).all(|role| here[role] >= before[role]), "round {round}: {here:?} after {before:?}");
        before = here;
        for file in files(&folder) {
            let name = file.strip_prefix(&folder).unwrap();
            let Some((_, length)) = TARGETS.into_iter().find(|(known, _)| name == Path::new(known)) else {
                assert!(name.starts_with(".trustroot"), "round {round}: {}", name.display());
                continue;
            };
            let bytes = std::fs::read(&file).unwrap();
            assert!((0..=now).any(|then| bytes == content(then, length)), "round {round}: {}", name.display());
        }
        if round % 4 == 3 {
            let (well, said) = ended(started(&[], &mirrors, case.folder.path(), &names).spawn().unwrap());
            assert!(well, "round {round}: {said}");
            for (name, length) in TARGETS {
                assert!(std::fs::read(folder.join(name)).unwrap() == content(now, length), "round {round}: {name}");
            }
            assert_eq!(case.here(), repository.versions());
            assert_eq!(files(&folder).len(), names.len(), "round {round}: parts are left: {:?}", files(&folder));
        }
    }
    assert!(killed > 0, "nothing was killed");
}

/// The server stops in the middle, so the moment is always the same.
#[test]
fn what_a_killed_download_left_is_gone_on_with() {
    let (mut repository, case) = start();
    let content = content(1, 3 << 20);
    repository.top().files.insert("big".into(), content.clone());
    repository.publish();
    repository.server.fault(&format!("targets/{}.big", Digest::of(&content)), Fault::Stuck);
    let half = content.len() / 2;
    let here = format!("big: {half}");
    assert!(kill_at(child(&repository, &case, &["big"]).spawn().unwrap(), |line| line.contains(&here), Duration::ZERO));

    let folder = case.folder.path().join("targets");
    let [part] = &files(&folder)[..] else { panic!("{:?}", files(&folder)) };
    assert!(part.starts_with(folder.join(".trustroot")) && std::fs::read(part).unwrap() == content[..half]);

    let had = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&had);
    let client = case.client().watched(move |progress| {
        if let Progress::Target { have, .. } = progress {
            seen.lock().unwrap().push(have);
        }
    });
    let mirrors = [case.source(&repository.server.url("metadata"))];
    let found = client.refresh(&mirrors, now()).unwrap().find("big").unwrap();
    client.download(&found, &[case.source(&repository.server.url("targets"))], &folder).unwrap();
    assert!(had.lock().unwrap()[0] > half as u64, "the half that is here was fetched again");
    assert!(std::fs::read(folder.join("big")).unwrap() == content);
    assert_eq!(files(&folder), [folder.join("big")]);
}

// ---------------------------------------------------------------------------------------------------------- a full disk

/// Lets a client work on a file system of its own of this size. Gives what it said, and the case as it left it, with room
/// again. Only the system's administrator may make a file system; anybody else gets it in a user namespace.
fn with_little_room(repository: &Repository, case: Case, size: &str, targets: &[&str]) -> (String, Case) {
    let room = tempfile::tempdir().unwrap();
    let [small, out] = ["small", "out"].map(|name| room.path().join(name));
    std::fs::create_dir(&small).unwrap();
    std::fs::create_dir(&out).unwrap();
    let script = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && cp -Rp \"$3\"/metadata \"$2\" || exit 77; cd \"$2\"; out=$4; \
                  shift 4; \"$@\"; code=$?; cp -R . \"$out\" && exit $code";
    let [from, to, out_text] = [case.folder.path(), &small, &out].map(|path| path.display().to_string());
    let before = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", size, &to, &from, &out_text];
    let at_work = started(&before, &[repository.server.url("")], &small, targets).spawn().unwrap();
    let (well, said) = ended(at_work);
    assert!(!well && said.contains("StorageFull"), "{said}");
    assert!(said.contains("hint: check the path, its permissions and the space on the disk"), "{said}");
    let case = Case { folder: tempfile::tempdir().unwrap(), ..case };
    std::fs::remove_dir(case.folder.path()).unwrap();
    std::fs::rename(&out, case.folder.path()).unwrap();
    (said, case)
}

/// There is room for the root and little more.
#[test]
fn a_full_disk_leaves_what_was_there() {
    let (mut repository, case) = start();
    case.refresh(&repository).unwrap();
    let big = vec![b'x'; 3000];
    for number in 0..200 {
        repository.top().files.insert(format!("{number}/{}", "long".repeat(20)), big.clone());
    }
    repository.publish();
    let (_, case) = with_little_room(&repository, case, "24k", &[]);
    assert_eq!(case.here(), [1, 2, 2, 1], "what fitted is newer, what did not is as before");
    assert_eq!(case.refresh(&repository).unwrap(), [1, 2, 2, 2]);
}

/// There is room for the metadata and the small target, and not for the big one.
#[test]
fn a_full_disk_leaves_no_target_but_the_whole_one() {
    let (mut repository, case) = start();
    let [big, small] = [content(1, 3 << 20), content(1, 9)];
    repository.top().files.extend([("big".to_owned(), big.clone()), ("small".to_owned(), small.clone())]);
    repository.publish();
    let (said, case) = with_little_room(&repository, case, "1m", &["small", "big"]);
    assert!(said.contains("small is there") && !said.contains("big is there"), "{said}");
    assert_eq!(case.here(), [1, 2, 2, 2]);
    let folder = case.folder.path().join("targets");
    assert_eq!(std::fs::read(folder.join("small")).unwrap(), small);
    assert!(!folder.join("big").exists());
    let (well, said) = ended(child(&repository, &case, &["small", "big"]).spawn().unwrap());
    assert!(well, "{said}");
    assert!(std::fs::read(folder.join("big")).unwrap() == big);
    assert_eq!(files(&folder).len(), 2, "parts are left: {:?}", files(&folder));
}
