//! Roots that are asked for ahead, where something on the way is out of the ordinary.

mod simulator;

use simulator::{Case, Repository, now, start};
use std::panic::{AssertUnwindSafe, catch_unwind};
use trustroot_client::source::{Body, FetchError, Source};
use trustroot_client::{Client, Limits, Progress};

/// A client that begins at the root `first` of a repository.
fn begun_at(repository: &Repository, first: u64) -> Case {
    let case = Case { folder: tempfile::tempdir().unwrap(), limits: Limits::default(), time: now() };
    case.client().init(&repository.server.get(&format!("metadata/{first}.root.json"))).unwrap();
    case
}

#[test]
fn the_greatest_version_that_a_root_can_have() {
    // Asked for one by one, at the border of that, and ahead.
    for before in [0, 1, 3, 4, 5, 6, 30] {
        let (mut repository, _) = start();
        let first = u64::MAX - before;
        repository.root = first - 1;
        for _ in 0..=before {
            repository.publish_root();
        }
        assert_eq!(begun_at(&repository, first).refresh(&repository).unwrap(), [u64::MAX, 1, 1, 1]);
    }
}

/// Breaks down when it is asked for one file.
#[derive(Debug)]
struct Breaking {
    inner: Box<dyn Source>,
    at: &'static str,
}

impl Source for Breaking {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn open(&self, path: &str, from: u64, most: u64) -> Result<Body, FetchError> {
        assert_ne!(path, self.at, "a source that somebody else wrote");
        self.inner.open(path, from, most)
    }
}

#[test]
fn a_source_that_breaks_down_is_not_waited_for() {
    let (mut repository, case) = start();
    for _ in 0..60 {
        repository.publish_root();
    }
    for at in ["3.root.json", "7.root.json", "40.root.json"] {
        let inner = case.source(&repository.server.url("metadata"));
        let mirrors: [Box<dyn Source>; 1] = [Box::new(Breaking { inner, at })];
        let client = case.client();
        let refreshed = catch_unwind(AssertUnwindSafe(|| client.refresh(&mirrors, now()).is_ok()));
        assert!(refreshed.is_err(), "{at}");
    }
    assert_eq!(case.refresh(&repository).unwrap()[0], 61);
}

#[test]
fn somebody_who_breaks_down_while_told_is_not_waited_for() {
    let (mut repository, case) = start();
    for _ in 0..60 {
        repository.publish_root();
    }
    let dir = case.folder.path().join("metadata");
    for at in [3, 7, 40] {
        let client = Client::new(&dir, Limits::default())
            .watched(move |what| assert!(!matches!(what, Progress::Root(version) if version == at)));
        let mirrors = [case.source(&repository.server.url("metadata"))];
        let refreshed = catch_unwind(AssertUnwindSafe(|| client.refresh(&mirrors, now()).is_ok()));
        assert!(refreshed.is_err(), "{at}");
    }
    assert_eq!(case.refresh(&repository).unwrap()[0], 61);
}
