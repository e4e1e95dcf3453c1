//! Several clients at work in the same folders at once, each a process of its own, while the repository publishes and some of
//! them are killed. Threads of one process would share its locks and its end.

mod again;
mod simulator;

use again::{child, content, ended, kill_at};
use simulator::{Case, Repository, keys, start};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TARGETS: [(&str, usize); 2] = [("big", 1_500_000), ("small", 7)];

/// Publishes everything anew. The first byte of each target is the version in which it was published.
fn publish(repository: &mut Repository) {
    let next = repository.targets["targets"].version + 1;
    for (name, length) in TARGETS {
        repository.top().files.insert(name.to_owned(), content(next as usize, length));
    }
    repository.publish_root();
    repository.publish();
}

/// What lies here never goes back, at whatever moment one looks, and every target that is there is whole, and was trusted.
fn watch(case: &Case, done: &AtomicBool, mut before: [u64; 4]) {
    let mut newest = [0; TARGETS.len()];
    while !done.load(Ordering::Relaxed) {
        let files = TARGETS.map(|(name, _)| std::fs::read(case.folder.path().join("targets").join(name)));
        let here = case.here();
        assert!((0..4).all(|role| here[role] >= before[role]), "{here:?} after {before:?}");
        before = here;
        for (((name, length), bytes), newest) in TARGETS.into_iter().zip(files).zip(&mut newest) {
            let Ok(bytes) = bytes else { continue };
            let version = bytes[0];
            assert!(u64::from(version) <= here[3] && bytes == content(version.into(), length), "{name} is not whole");
            assert!(version >= *newest, "{name} went back from {newest} to {version}");
            *newest = version;
        }
    }
}

/// Who is not killed ends well, whatever the others do and however they end, and so does whoever comes later.
#[test]
fn clients_at_once_of_which_some_are_killed_leave_what_a_later_one_can_use() {
    let (mut repository, case) = start();
    publish(&mut repository);
    let names = TARGETS.map(|(name, _)| name);
    for round in 0..8_u8 {
        // Before some rounds the online keys are replaced, and their versions begin anew.
        let mut before = case.here();
        if round % 3 == 2 {
            repository.timestamp_keys = keys(&[100 + round], 1);
            repository.snapshot_keys = keys(&[150 + round], 1);
            (repository.timestamp, repository.snapshot) = (0, 0);
            publish(&mut repository);
            before = case.refresh(&repository).unwrap();
        }
        publish(&mut repository);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (case, done) = (&case, &done);
            let watching = scope.spawn(move || watch(case, done, before));
            let at_work: Vec<_> = (0..6_usize)
                .map(|number| {
                    let at_work = child(&repository, case, &names).spawn().unwrap();
                    // Every other one is killed, each at another line: before the lock, under it, with a part.
                    let mut lines = usize::from(round) * 17 % 60 + number * 5;
                    let moment = move |_: &str| {
                        lines = lines.saturating_sub(1);
                        lines == 0
                    };
                    scope.spawn(move || match number % 2 {
                        0 => Some(ended(at_work)),
                        _ => {
                            kill_at(at_work, moment, Duration::ZERO);
                            None
                        }
                    })
                })
                .collect();
            publish(&mut repository);
            let ended: Vec<_> = at_work.into_iter().map(|one| one.join()).collect();
            done.store(true, Ordering::Relaxed);
            watching.join().unwrap();
            for (well, said) in ended.into_iter().filter_map(Result::unwrap) {
                assert!(well, "round {round}: {said}");
            }
        });

        let (well, said) = ended(child(&repository, &case, &names).spawn().unwrap());
        assert!(well, "round {round}: {said}");
        assert_eq!(case.here(), repository.versions(), "round {round}");
        for (name, length) in TARGETS {
            let bytes = std::fs::read(case.folder.path().join("targets").join(name)).unwrap();
            assert!(bytes == content(repository.versions()[3] as usize, length), "round {round}: {name}");
        }
        let left = case.folder.path().join("targets/.trustroot");
        assert!(!left.exists(), "round {round}: {:?}", std::fs::read_dir(left).unwrap().collect::<Vec<_>>());
    }
}
