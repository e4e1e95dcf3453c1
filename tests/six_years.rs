//! A community over six years: eleven roots. The conductor and each holder have a clone of their own, two remotes and a
//! stick between them (`support/community.rs`). Afterwards clients that stopped at *every* state that was ever
//! published update to every later one: by `tough` here, with its store of trusted metadata on disk, and by python-tuf in
//! `scripts/test`, from the repository that is left in `target/tmp/six-years`.
//!
//! Rules:
//! 1. The eleven are: genesis, renewals, one device replaced, one holder out and one in, two absent, a stolen token, 3 of 5 to 4
//!    of 7 (begun, abandoned and held again), another online key, every holder's token replaced at once.
//! 2. A client is stopped in three ways: with the store of that state, with nothing but a root of that version, and in the middle
//!    of its requests, when it asked for the next root a moment before it was there.

#[path = "support/community.rs"]
mod community;
#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use community::Community;
use stage::{handle, instead, interject, one, several};
use tough::{ExpirationEnforcement, RepositoryLoader};
use trustroot::conduct::Ending;
use trustroot_core::check::{Check, Level};
use trustroot_core::metadata::Role;
use trustroot_core::plan::carry::{Becomes, Carry};
use trustroot_core::plan::lint::lint;
use trustroot_core::plan::lint_follows::against;
use trustroot_core::plan::{Kind, Plan};
use trustroot_core::predecessor::Predecessor;
use trustroot_core::tree::Tree;
use trustroot_core::verify::roots::root_number;
use url::Url;

/// What is served, by name.
type Files = BTreeMap<String, Vec<u8>>;

/// A trust root whose every published state is kept.
struct Years {
    ours: Community,
    states: Vec<Files>,
}

impl Years {
    /// Holds the ceremony of this plan to its end, verifies everything strictly, and keeps what is then published.
    fn hold(&mut self, toml: &str, deviations: &[trustroot::ui::rehearsed::Deviation]) {
        let plan = Plan::from_toml(toml).unwrap();
        let before = self.newest();
        let findings = [lint(&plan, None), against(&plan, &before)].concat();
        assert!(findings.iter().all(|finding| finding.level < Level::Refused), "{findings:?}");
        self.ours.stage.follow(toml);
        assert_eq!(self.ours.hold(deviations, |_, _| true), Ending::Closed);
        let report = self.ours.stage.report();
        assert!(report.accepted(), "{:#?}", report.findings);
        assert_eq!(self.newest().root.version(), before.root.version() + 1);
        self.keep();
    }

    fn next(&mut self, name: &str, day: &str, change: impl FnOnce(&mut Carry<'_>)) {
        let toml = self.ours.stage.carried(name, day, change);
        self.hold(&toml, &[]);
    }

    fn newest(&self) -> Predecessor {
        Predecessor::newest(&self.ours.stage.tree()).unwrap()
    }

    fn keep(&mut self) {
        self.states.push(served(&self.ours.stage.tree()));
    }
}

fn served(tree: &Tree) -> Files {
    let of_root = tree.iter().filter_map(|(path, entry)| Some((path.strip_prefix("root/")?, entry.bytes()?)));
    of_root.filter(|(name, _)| name.ends_with(".json")).map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect()
}

fn becoming(handles: &[&str], becomes: Becomes) -> BTreeMap<trustroot_core::text::Handle, Becomes> {
    handles.iter().map(|text| (handle(text), becomes)).collect()
}

fn larger(plan: &mut Carry<'_>) {
    (plan.kind, plan.reason, plan.add, plan.threshold) = (Kind::Rotate, "The community grows.", 2, Some(4));
}

/// Rule 1.
fn six_years() -> Years {
    let mut ours = Years { ours: Community::new(5, 3), states: Vec::new() };
    assert_eq!(ours.ours.hold(&[], |_, _| true), Ending::Closed);
    ours.keep();
    ours.next("renewal", "2026-08-03", |_| ());
    ours.next("new-token", "2027-03-01", |plan| {
        (plan.kind, plan.reason) = (Kind::Rotate, "The token of bob is old.");
        plan.changes = becoming(&["bob"], Becomes::Replaced);
    });
    ours.next("one-out-one-in", "2027-10-04", |plan| {
        (plan.kind, plan.reason, plan.add) = (Kind::Rotate, "Alice hands over.", 1);
        plan.changes = becoming(&["alice"], Becomes::Leaves);
    });
    // Two of five are absent; their keys stay.
    let toml = ours.ours.stage.carried("two-absent", "2028-05-01", |_| ());
    let present = ["bob", "carol", "dave", "olga", "peter", "quinn"];
    ours.hold(&toml, &[instead("open.roll", "present", several(&present))]);
    let before = ours.newest();
    assert_eq!((before.keys(Role::Root).len(), before.root.signatures().len()), (5, 3));
    ours.next("stolen", "2028-12-04", |plan| {
        (plan.kind, plan.reason) = (Kind::Recover, "The token of carol was stolen.");
        plan.changes = becoming(&["carol"], Becomes::Lost);
    });
    // Abandoned after one signature, and held again.
    let toml = ours.ours.stage.carried("larger", "2029-07-02", larger);
    ours.ours.stage.follow(&toml);
    let dave = handle("dave");
    let waits = ours.ours.hold(&[], |ceremony, who| !ceremony.reviewed || *who == dave);
    assert_eq!(waits, Ending::Waits);
    let stopped =
        [instead("sign.bob.sign", "waiting", interject()), instead("sign.bob.sign", "trouble", one("abandon"))];
    assert_eq!(ours.ours.hold(&stopped, |_, _| false), Ending::Aborted);
    assert!(ours.ours.stage.ceremony().holders[&dave].signed);
    assert_eq!(&served(&ours.ours.stage.tree()), ours.states.last().unwrap(), "nothing of it is published");
    ours.next("larger-again", "2029-07-03", larger);
    let ceremony = ours.ours.stage.ceremony();
    assert!(ceremony.admits(Check::RivalPossible, None), "{:?}", ceremony.exceptions);
    let what = &ceremony.exceptions[0].what;
    assert!(what.contains("more make it valid") && what.contains("2029-07-02-larger was abandoned"), "{what}");
    let before = ours.newest();
    assert_eq!((before.keys(Role::Root).len(), before.threshold(Role::Root)), (7, 4));
    let online = |ours: &Years| ours.newest().keys(Role::Timestamp).first().unwrap().fingerprint();
    let old = online(&ours);
    ours.next("online", "2030-01-07", |plan| {
        (plan.kind, plan.reason, plan.online) = (Kind::Rotate, "The server moves.", Some(handle("online-two")));
    });
    assert_ne!(online(&ours), old);
    let all: Vec<String> = ours.ours.stage.plan.holders.iter().map(|holder| holder.handle.to_string()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let before = ours.newest();
    ours.next("everybody", "2030-08-05", |plan| {
        (plan.kind, plan.reason) = (Kind::Rotate, "New tokens for everybody.");
        plan.changes = becoming(&all, Becomes::Replaced);
    });
    assert!(ours.newest().keys(Role::Root).is_disjoint(&before.keys(Role::Root)));
    ours.next("renewal-2", "2031-03-03", |_| ());
    ours.next("renewal-3", "2032-01-05", |_| ());
    ours
}

#[test]
fn whoever_stopped_at_any_of_eleven_states_reaches_every_later_one() {
    let ours = six_years();
    let states = &ours.states;
    assert_eq!((ours.newest().root.version(), states.len()), (11, 11));
    // Every record binds its own root, and the abandoned one stays beside them.
    assert_eq!(ours.ours.stage.report().facts.records.len(), 12);
    leave(ours.ours.stage.folder.path());

    // What was once served under a number is served for ever: a client in the middle of its requests still finds it.
    for (earlier, later) in states.iter().zip(&states[1..]) {
        let numbered = earlier.iter().filter(|(name, _)| *name != "timestamp.json");
        numbered.for_each(|(name, bytes)| assert_eq!(later.get(name), Some(bytes), "{name}"));
    }
    let served: Vec<_> = states.iter().map(on_disk).collect();
    let half: Vec<_> =
        states.iter().enumerate().skip(1).map(|(i, state)| on_disk(&without_root(state, i + 1))).collect();
    let next = AtomicUsize::new(0);
    let tried = AtomicUsize::new(0);
    let stopped = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(state) = served.get(i) else { return };
            let store = tempfile::tempdir().unwrap();
            assert_eq!(update(store.path(), &states[0], 1, state.path()), Ok(newest(&states[i])), "at state {}", i + 1);
            for (j, later) in served.iter().enumerate().skip(i + 1) {
                let way = format!("from {} to {}", i + 1, j + 1);
                let kept = copied(store.path());
                assert_eq!(update(kept.path(), &states[0], 1, later.path()), Ok(newest(&states[j])), "{way}");
                let fresh = tempfile::tempdir().unwrap();
                let ended = update(fresh.path(), &states[j], i + 1, later.path());
                assert_eq!(ended, Ok(newest(&states[j])), "{way}, with nothing but the root");
                tried.fetch_add(2, Ordering::Relaxed);
            }
            // In the middle of its requests, and then on.
            if let Some(half) = half.get(i) {
                let (root, snapshot, targets) = newest(&states[i + 1]);
                let ended = update(store.path(), &states[0], 1, half.path());
                assert_eq!(ended, Ok((root - 1, snapshot, targets)), "half of state {}", i + 2);
                let ended = update(store.path(), &states[0], 1, served[i + 1].path());
                assert_eq!(ended, Ok((root, snapshot, targets)), "from half of state {0} to {0}", i + 2);
                tried.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(stopped);
        scope.spawn(stopped);
    });
    assert_eq!(tried.into_inner(), 11 * 10 + 10);

    // The same client refuses what does not fit: a new root beside the files of the state before.
    let mut unfit = states[7].clone();
    unfit.insert("9.root.json".to_owned(), states[8]["9.root.json"].clone());
    let store = tempfile::tempdir().unwrap();
    let ended = update(store.path(), &states[0], 1, on_disk(&unfit).path());
    assert!(ended.is_err(), "old targets do not fit a root of other holders: {ended:?}");
}

/// The same without its newest root.
fn without_root(state: &Files, version: usize) -> Files {
    let mut half = state.clone();
    assert!(half.remove(&format!("{version}.root.json")).is_some());
    half
}

fn on_disk(files: &Files) -> tempfile::TempDir {
    let folder = stage::folder();
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

/// A store as it is now.
fn copied(store: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(store).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// The newest versions of root, snapshot and targets.
fn newest(files: &Files) -> (u64, u64, u64) {
    let of = |role: &str| {
        let number = |name: &String| name.strip_suffix(&format!(".{role}.json"))?.parse::<u64>().ok();
        files.keys().filter_map(number).max().unwrap()
    };
    assert_eq!(files.keys().filter_map(|name| root_number(name)).max(), Some(of("root")));
    (of("root"), of("snapshot"), of("targets"))
}

/// Lets `tough` update from the root of this version among `roots` over the files in a folder, with a store that stays.
/// Returns the versions it ended at. It cannot be told the time, so expiry is not asked for: python-tuf is asked instead.
fn update(store: &Path, roots: &Files, version: usize, from: &Path) -> Result<(u64, u64, u64), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let url = Url::from_directory_path(from).unwrap();
    let loader = RepositoryLoader::new(&roots[&format!("{version}.root.json")], url.clone(), url)
        .datastore(store)
        .expiration_enforcement(ExpirationEnforcement::Unsafe);
    let repository = runtime.block_on(loader.load()).map_err(|error| error.to_string())?;
    let (root, snapshot) = (repository.root().signed.version, repository.snapshot().signed.version);
    Ok((root.get(), snapshot.get(), repository.targets().signed.version.get()))
}

/// Leaves the repository for python-tuf.
fn leave(folder: &Path) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("six-years");
    let _ = std::fs::remove_dir_all(&target);
    let copied = std::process::Command::new("cp").arg("-a").arg(folder).arg(&target).status().unwrap();
    assert!(copied.success());
}
