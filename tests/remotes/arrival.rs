//! Whatever the order in which work arrives, the conductor's tree ends in the same bytes, or there is a clear refusal.
//!
//! Three holders: one at each of two remotes, one with a stick alone. What they do is delivered late, twice, old after new, by
//! several ways at once; the conductor looks at any time, and is stopped between looking, merging and pushing, or killed
//! anywhere. Each seed is another run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use trustroot::ledger::{GitLedger, Identity, clone};
use trustroot::seams::{LedgerError, RemoteError};
use trustroot_core::digest::Digest;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;

use crate::clones::{Community, Desk, git, handle};

/// Says to this program, started once more, in which folder it is the conductor.
const INSIDE: &str = "TRUSTROOT_TEST_CONDUCTOR";

/// Chance from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 += 1;
        let digest = Digest::of(&self.0.to_be_bytes());
        usize::from(digest.as_bytes()[0]) * 256 % bound.max(1) + usize::from(digest.as_bytes()[1]) % bound.max(1)
    }

    fn pick(&mut self, bound: usize) -> usize {
        self.below(bound) % bound
    }
}

struct Run {
    community: Community,
    dice: Dice,
    olga: Option<Desk>,
    desks: Vec<Desk>,
    sticks: Vec<PathBuf>,
    killed: usize,
}

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

impl Run {
    fn new(seed: u64) -> Self {
        let community = Community::new(3, 2);
        community.bare("hub");
        community.bare("mirror");
        let mut olga = community.conductor(&["hub", "mirror"]);
        let stick = community.path("out.bundle");
        olga.bundle(&stick).unwrap();
        let mut desks = vec![community.holder("alice", "hub"), community.holder("bob", "mirror")];
        clone(community.folder.path(), stick.to_str().unwrap(), &community.path("carol")).unwrap();
        let mut carol = community.desk("carol", &handle("carol")).given(&[stick]);
        carol.sit();
        desks.push(carol);
        Self { community, dice: Dice(seed << 32), olga: Some(olga), desks, sticks: Vec::new(), killed: 0 }
    }

    fn olga(&mut self) -> &mut Desk {
        if self.olga.is_none() {
            self.olga = Some(self.community.conductor_again());
        }
        let olga = self.olga.take().unwrap().given(&self.sticks);
        self.olga.insert(olga)
    }

    /// The holder's work reaches the conductor by one way or another, perhaps not for the first time.
    fn deliver(&mut self, i: usize) {
        let number = self.sticks.len();
        let desk = &mut self.desks[i];
        // The third has no network. The others carry a stick now and then, too.
        if i == 2 || self.dice.pick(4) == 0 {
            let stick = self.community.path(&format!("in-{number}.bundle"));
            desk.bundle(&stick).unwrap();
            self.sticks.push(stick);
        } else {
            desk.push();
        }
        // Old sticks come again under new names.
        if number > 0 && self.dice.pick(2) == 0 {
            let again = self.community.path(&format!("again-{number}.bundle"));
            std::fs::copy(&self.sticks[self.dice.pick(number)], &again).unwrap();
            self.sticks.push(again);
        }
    }

    /// The conductor does something, and may be stopped or killed.
    fn conduct(&mut self) {
        match self.dice.pick(5) {
            0 => drop(self.olga().look()),
            1 => drop(self.olga().take()),
            2 => {
                // Stopped after fetching.
                self.olga().look();
                self.olga = None;
            }
            3 => {
                // Stopped after merging.
                self.olga().take();
                self.olga = None;
            }
            _ => self.kill(),
        }
    }

    /// The conductor's process looks, merges and pushes, and is killed at some moment.
    fn kill(&mut self) {
        self.olga = None;
        let wait = Duration::from_millis(self.dice.pick(250) as u64);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "arrival::a_conductor_in_a_process_of_its_own"])
            .env(INSIDE, self.community.path("conductor"))
            .env(format!("{INSIDE}_DIR"), &self.community.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(wait);
        child.kill().unwrap();
        child.wait().unwrap();
        self.killed += 1;
    }

    /// All that the holders do in one phase, in some order, with everything in between.
    fn phase(&mut self, work: &dyn Fn(&mut Desk)) {
        let mut waiting: Vec<usize> = vec![0, 0, 1, 1, 2, 2];
        let mut worked = [false; 3];
        while !waiting.is_empty() {
            let at = self.dice.pick(waiting.len());
            let i = waiting.remove(at);
            if !worked[i] {
                work(&mut self.desks[i]);
                worked[i] = true;
            }
            self.deliver(i);
            if self.dice.pick(2) == 0 {
                self.conduct();
            }
        }
        // Whatever a killed git still holds is let go in a moment.
        for _ in 0..100 {
            let told = self.olga().try_take().unwrap_or_else(|error| vec![error.to_string()]);
            if told.is_empty() {
                return;
            }
            assert!(told.iter().all(|line| line.contains("lock")), "{told:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it never ends");
    }
}

/// A whole ceremony up to the quorum; the files that it ends in.
fn run(seed: u64) -> (Tree, usize) {
    let mut run = Run::new(seed);
    run.phase(&|desk| desk.enrol());
    run.olga().propose(1);
    run.olga().push();
    let stick = run.community.path("out.bundle");
    std::fs::remove_file(&stick).unwrap();
    run.olga().bundle(&stick).unwrap();
    run.phase(&|desk| {
        desk.sit();
        desk.sign(1);
    });
    let olga = run.olga();
    olga.push();
    let ceremony = olga.ceremony();
    assert!(NAMES.iter().all(|who| ceremony.holders[&handle(who)].signed), "seed {seed}: a signature is lost");
    let tree = olga.tree();
    assert!(crate::merge_findings(olga).is_empty());
    let path = run.community.path("conductor");
    assert_eq!(git(&path, &["status", "--porcelain"]), "", "seed {seed}");
    git(&path, &["fsck", "--strict", "--no-dangling"]);
    for remote in ["hub", "mirror"] {
        let there = git(&run.community.path(remote), &["rev-parse", "main"]);
        assert_eq!(there, git(&path, &["rev-parse", "main"]), "seed {seed}");
    }
    (tree, run.killed)
}

#[test]
fn any_order_of_arrival_ends_in_the_same_bytes() {
    let (expected, mut killed) = run(1);
    for seed in 2..7 {
        let (tree, more) = run(seed);
        killed += more;
        let differs: Vec<_> = expected.iter().filter(|(path, entry)| tree.get(*path) != Some(*entry)).collect();
        assert!(tree.len() == expected.len() && differs.is_empty(), "seed {seed}: {differs:?}");
    }
    assert!(killed > 0, "nothing was killed");
}

#[test]
fn a_conductor_in_a_process_of_its_own() {
    let (Some(path), Ok(dir)) = (std::env::var_os(INSIDE), std::env::var(format!("{INSIDE}_DIR"))) else { return };
    let ledger = GitLedger::open_as(Path::new(&path), Some(Identity::rehearsal())).unwrap();
    let mut desk = Desk { ledger, who: handle("olga"), dir };
    if std::env::var_os(format!("{INSIDE}_MERGES")).is_some() {
        desk.remote().catch_up(Timestamp::from_day("2026-01-06").unwrap()).unwrap();
        desk.take();
        return;
    }
    desk.take();
    desk.try_push();
}

/// What of a merge is on disk changes at these calls of the system; the process is killed at each of them, one after the other.
#[cfg(target_os = "linux")]
#[test]
fn killed_at_each_step_of_a_merge_it_is_there_whole_or_not_at_all() {
    let community = Community::new(2, 1);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    for who in ["alice", "bob"] {
        let mut desk = community.holder(who, "hub");
        desk.enrol();
        desk.push();
    }
    // Besides, somebody edited what lies outside the trust root, and a plan.
    let other = community.path("other");
    git(community.folder.path(), &["clone", "-q", "hub", "other"]);
    crate::clones::commit_file(&other, "docs/page.md", b"hello");
    crate::clones::commit_file(&other, "ceremony/plans/next.toml", b"# soon");
    git(&other, &["push", "-q", "origin", "main"]);
    olga.propose_nothing();
    let before = olga.head();
    drop(olga);
    let conductor = community.path("conductor");
    let spare = community.path("spare");
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    community.conductor_again().look();
    copy(&conductor, &spare);
    let traced = |inject: &str| {
        let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat";
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", calls, "-e", inject, "-o"]).arg(community.path("notes")).arg("--");
        command.arg(std::env::current_exe().unwrap());
        command.args(["--exact", "arrival::a_conductor_in_a_process_of_its_own"]);
        // Only this process is to be killed, and it fetched before.
        command
            .env(INSIDE, &conductor)
            .env(format!("{INSIDE}_DIR"), &community.dir)
            .env(format!("{INSIDE}_MERGES"), "1");
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace is not installed")
    };
    assert!(traced("signal=none").success());
    let notes = std::fs::read_to_string(community.path("notes")).unwrap();
    let expected = community.conductor_again().tree();
    assert_ne!(expected, before.tree);
    let count = |name: &str| notes.lines().filter(|line| line.contains(&format!(" {name}("))).count();
    let mut stops = 0;
    for call in ["fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat"] {
        // Each of the first, where the commit is made, and then every sixth.
        for at in (1..=count(call)).filter(|at| *at < 5 || at % 6 == 0) {
            std::fs::remove_dir_all(&conductor).unwrap();
            copy(&spare, &conductor);
            assert!(!traced(&format!("inject={call}:signal=KILL:when={at}")).success(), "{call} {at} was not reached");
            let mut olga = community.conductor_again();
            let there = olga.tree();
            assert_eq!(git(&conductor, &["status", "--porcelain"]), "", "{call} {at}");
            assert!(there.len() >= before.tree.len(), "{call} {at}");
            olga.remote().catch_up(Timestamp::from_day("2026-01-06").unwrap()).unwrap();
            olga.take();
            assert_eq!(olga.tree(), expected, "{call} {at}");
            assert_eq!(std::fs::read(conductor.join("docs/page.md")).unwrap(), b"hello", "{call} {at}");
            stops += 1;
        }
    }
    assert!(stops > 20, "{stops}: {notes}");
}

#[test]
fn pushes_at_the_same_moment_all_arrive() {
    let community = Community::new(5, 3);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    let mut desks: Vec<Desk> = community.holders().iter().map(|who| community.holder(who, "hub")).collect();
    desks.iter_mut().for_each(Desk::enrol);
    std::thread::scope(|scope| {
        for desk in &mut desks {
            scope.spawn(|| desk.push());
        }
        // Some of it may be there already, and none of it twice.
        assert_eq!(olga.take(), Vec::<String>::new());
    });
    assert_eq!(olga.take(), Vec::<String>::new());
    assert!(olga.ceremony().holders.values().all(|state| state.key.is_some()));
    assert!(crate::merge_findings(&olga).is_empty());
}

#[test]
fn two_conductors_by_mistake_are_refused_and_nothing_is_lost() {
    let community = Community::new(1, 1);
    community.bare("hub");
    let mut here = community.conductor(&["hub"]);
    git(community.folder.path(), &["clone", "-q", "hub", "elsewhere"]);
    let mut there = community.desk("elsewhere", &here.who.clone());
    here.propose_nothing();
    let who: Handle = here.who.clone();
    there.enrol_as(&who, &handle("alice"));
    here.push();
    let error = there.try_push().remove(0).unwrap_err();
    assert!(matches!(error, RemoteError::Moved { .. }), "{error}");
    there.look();
    let before = there.head();
    let refused = there.remote().catch_up(Timestamp::from_day("2026-01-06").unwrap()).unwrap_err();
    assert!(matches!(&refused, LedgerError::Unfit(what) if what.contains("LOG-FORK")), "{refused}");
    assert_eq!(there.head(), before);
    assert_eq!(git(&community.path("elsewhere"), &["status", "--porcelain"]), "");
    // A holder who can reach both is told, and sits at neither.
    git(&community.path("elsewhere"), &["push", "-q", "origin", "HEAD:refs/heads/mainland"]);
    let mut alice = community.holder("alice", "hub");
    git(&community.path("alice"), &["remote", "add", "second", community.path("elsewhere").to_str().unwrap()]);
    let refused = {
        let (dir, time) = (alice.dir.clone(), Timestamp::from_day("2026-01-06").unwrap());
        alice.remote().seat(&dir, &handle("alice"), time).unwrap_err()
    };
    assert!(refused.to_string().contains("has parted"), "{refused}");
}
