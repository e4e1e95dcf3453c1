//! A stage: a whole ceremony in a folder of its own, with virtual tokens, a fixed clock, seeded chance and the real git
//! ledger and TUF client. Tests say who deviates, which tokens fail and where the program is stopped.
//!
//! It is wired here from the public parts and not by the command line, so that a test can put its own judge, clock or
//! ledger in place of one of them. `tests/kill.rs` and `tests/cmd` hold the command line's own wiring.

#![allow(dead_code, unreachable_pub, reason = "each test uses another part of the stage")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use trustroot::conduct::{Conductor, Ending, Halt, Program, Room};
use trustroot::judge::ToughClient;
use trustroot::ledger::{GitLedger, Identity};
use trustroot::seams::{
    Answer, Audience, AudienceError, Clock, Commit, Entropy, Form, Head, Judge, Ledger, LedgerError, OnlineKey, Pin,
    Question, Remote, Tokens, Tone,
};
use trustroot::token::{Fault, SeededThrowAwayKeys, VirtualTokens, write_rehearsal_key};
use trustroot::ui::rehearsed::{Deviation, Instead};
use trustroot::ui::{Recorder, Rehearsed, Transcript};
use trustroot_core::digest::Digest;
use trustroot_core::event::StepId;
use trustroot_core::page::{Page, Text};
use trustroot_core::plan::carry::{Carry, carry};
use trustroot_core::plan::template::{Template, template};
use trustroot_core::plan::{Kind, Plan};
use trustroot_core::predecessor::Predecessor;
use trustroot_core::record::{Record, records};
use trustroot_core::replay::{Ceremony, replay};
use trustroot_core::seat::Turn;
use trustroot_core::signature::Portable;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;
use trustroot_core::verify::report::Report;
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};
use zeroize::Zeroizing;

/// The PIN that everybody chooses.
pub(crate) const PIN: &str = "rehearse";

/// A ceremony that can be held, stopped and gone on with.
pub(crate) struct Stage {
    /// Its repository; removed at the end.
    pub(crate) folder: TempDir,
    /// Its plan.
    pub(crate) plan: Plan,
    /// The faults of tokens.
    pub(crate) faults: Vec<Fault>,
    /// Everything follows from it.
    pub(crate) seed: [u8; 32],
    /// The time of the first event.
    pub(crate) start: Timestamp,
    /// The independent client; tough where there is none.
    pub(crate) judge: Option<fn() -> Box<dyn Judge>>,
    /// Whether the online key is handed in.
    pub(crate) online: bool,
    /// The seed of another online key than the one that belongs to the ceremony.
    pub(crate) other_online: Option<[u8; 32]>,
    /// How far the clock jumps, in seconds, before the first event of a run.
    pub(crate) jump: i64,
    /// Whether tokens are found as they are, or by a source of the test's own.
    pub(crate) tokens: Option<fn(VirtualTokens) -> Box<dyn Tokens>>,
    /// Bundles that are read besides the remotes.
    pub(crate) bundles: Vec<PathBuf>,
}

/// A question by step and name, and which asking of it, from 1.
pub(crate) type Asked = (String, &'static str, u32);

/// How holding a ceremony came out.
pub(crate) struct Outcome {
    /// The end, or why it stopped.
    pub(crate) ended: Result<Ending, Halt>,
    /// What people saw and answered.
    pub(crate) transcript: Transcript,
    /// The deviations that were not reached.
    pub(crate) unused: Vec<Deviation>,
    /// Every choice that was offered, in order.
    pub(crate) offered: Vec<String>,
    /// Every question, in order.
    pub(crate) questions: Vec<Asked>,
}

/// How a sitting at a machine of one's own came out.
pub(crate) struct Sat {
    /// Whose turn it is then, or why it stopped.
    pub(crate) turn: Result<Turn, Halt>,
    /// What the person saw and answered.
    pub(crate) transcript: Transcript,
    /// The deviations that were not reached.
    pub(crate) unused: Vec<Deviation>,
}

/// Where the ledger stops the program, as a kill would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Before this append, from 0: nothing of it is done.
    Before(usize),
    /// After it: it is done, and the program does not hear of it.
    After(usize),
}

impl Stage {
    /// A ceremony of `threshold` of `holders`, its plan frozen.
    pub(crate) fn new(holders: usize, threshold: u32) -> Self {
        Self::changed(holders, threshold, |plan| plan)
    }

    /// The same, with the text of the plan changed.
    pub(crate) fn changed(holders: usize, threshold: u32, change: impl FnOnce(String) -> String) -> Self {
        let day = Timestamp::from_day("2026-01-05").unwrap();
        let name = Handle::new("genesis").unwrap();
        let wanted = Template {
            name: &name,
            title: "A rehearsal",
            trust_root: "Rehearsal",
            day,
            holders,
            threshold,
            rehearsal: true,
        };
        let plan = Plan::from_toml(&change(template(&wanted).unwrap())).unwrap();
        let stage = Self {
            folder: folder(),
            plan,
            faults: Vec::new(),
            seed: [7; 32],
            start: day.plus_seconds(9 * 3600),
            judge: None,
            online: true,
            other_online: None,
            jump: 0,
            tokens: None,
            bundles: Vec::new(),
        };
        let frozen = stage.plan.to_canonical();
        let files = BTreeMap::from([
            (format!("{}/plan.json", stage.dir()), frozen),
            (".gitattributes".to_owned(), b"* -text\n".to_vec()),
        ]);
        let message = "Freeze the plan\n".to_owned();
        let mut ledger = GitLedger::init(stage.folder.path(), Some(Identity::rehearsal())).unwrap();
        ledger.append(&Commit { parent: None, files, message, time: day.plus_seconds(8 * 3600) }).unwrap();
        stage
    }

    /// With these faults, as on the command line.
    #[must_use]
    pub(crate) fn with_faults(mut self, faults: &[&str]) -> Self {
        self.faults = faults.iter().map(|text| Fault::parse(text).unwrap()).collect();
        self
    }

    /// With everything following from another seed.
    #[must_use]
    pub(crate) fn with_seed(mut self, seed: u8) -> Self {
        self.seed = [seed; 32];
        self
    }

    /// The same in a folder of its own, with everything that is beside the repository.
    pub(crate) fn copied(&self) -> Self {
        let copy = folder();
        let from = self.folder.path().join(".");
        let done = std::process::Command::new("cp").arg("-a").arg(from).arg(copy.path()).status().unwrap();
        assert!(done.success());
        Self {
            folder: copy,
            plan: self.plan.clone(),
            faults: self.faults.clone(),
            seed: self.seed,
            start: self.start,
            judge: self.judge,
            online: self.online,
            other_online: self.other_online,
            jump: self.jump,
            tokens: self.tokens,
            bundles: self.bundles.clone(),
        }
    }

    /// The text of a plan that continues the newest root here, on this day.
    pub(crate) fn carried(&self, name: &str, day: &str, change: impl FnOnce(&mut Carry<'_>)) -> String {
        let tree = self.tree();
        let before = Predecessor::newest(&tree).unwrap();
        let name = Handle::new(name).unwrap();
        let plans: Vec<Plan> = records(&tree).iter().map(|dir| Record::read(&tree, dir).unwrap().plan).collect();
        let serials = |plan: &Plan| {
            let leaving = plan.leaving.iter().filter_map(|leaving| leaving.token.serial);
            plan.holders.iter().filter_map(|holder| holder.token.serial).chain(leaving).max()
        };
        let mut wanted = Carry {
            name: &name,
            title: "A rehearsal",
            kind: Kind::Renew,
            reason: "The root expires.",
            day: Timestamp::from_day(day).unwrap(),
            before: &before,
            last: Some(&self.plan),
            changes: BTreeMap::new(),
            add: 0,
            threshold: None,
            online: None,
            overlap: true,
            used_serial: plans.iter().filter_map(serials).filter_map(|serial| serial.number()).max().unwrap_or(0),
            elsewhere: None,
            rehearsal: true,
        };
        change(&mut wanted);
        carry(&wanted).unwrap()
    }

    /// Freezes the plan of the next ceremony, which is the one that is held from now on.
    pub(crate) fn follow(&mut self, toml: &str) {
        self.plan = Plan::from_toml(toml).unwrap();
        self.start = self.plan.day.plus_seconds(9 * 3600);
        let mut ledger = self.ledger();
        let parent = ledger.head().unwrap().commit;
        let files = BTreeMap::from([(format!("{}/plan.json", self.dir()), self.plan.to_canonical())]);
        let time = self.plan.day.plus_seconds(8 * 3600);
        ledger.append(&Commit { parent, files, message: "Freeze the plan\n".to_owned(), time }).unwrap();
    }

    /// The folder of the record.
    pub(crate) fn dir(&self) -> String {
        self.plan.record_dir()
    }

    /// Opens the repository, as each start of the program does.
    pub(crate) fn ledger(&self) -> GitLedger {
        let ledger = GitLedger::open_as(self.folder.path(), Some(Identity::rehearsal())).unwrap();
        ledger.with_bundles(self.bundles.clone())
    }

    /// A machine of somebody's own, with a clone of `from` and tokens of its own seed.
    pub(crate) fn clone_of(from: &Path, plan: &Plan, seed: u8) -> Self {
        let folder = folder();
        std::fs::remove_dir(folder.path()).unwrap();
        trustroot::ledger::clone(Path::new("."), from.to_str().unwrap(), folder.path()).unwrap();
        let mut stage = Self {
            folder,
            plan: plan.clone(),
            faults: Vec::new(),
            seed: [seed; 32],
            start: plan.day.plus_seconds(9 * 3600),
            judge: None,
            online: false,
            other_online: None,
            jump: 0,
            tokens: None,
            bundles: Vec::new(),
        };
        stage.take_plan(plan);
        stage
    }

    /// The ceremony of this plan is the one from now on.
    pub(crate) fn take_plan(&mut self, plan: &Plan) {
        self.plan = plan.clone();
        self.start = plan.day.plus_seconds(9 * 3600);
    }

    /// Leads `who`, at this machine of their own, through what is theirs now, as `trustroot join` does before it pushes.
    pub(crate) fn sit(&self, who: &Handle, deviations: &[Deviation]) -> Sat {
        let rehearsed = Rehearsed::new(PIN).deviating(deviations.to_vec());
        let mut audience = Recorder::new(rehearsed);
        let transcript = audience.transcript();
        let mut ledger = self.stopping(None);
        let turn =
            self.furnished(&mut ledger, &mut audience, |room| Conductor::at_home(room, &self.dir(), who.clone()).sit());
        Sat { turn, transcript, unused: audience.inner().unused().to_vec() }
    }

    /// The id of the newest commit.
    pub(crate) fn commit(&self) -> String {
        self.ledger().head().unwrap().commit.unwrap()
    }

    /// The files of the newest commit.
    pub(crate) fn tree(&self) -> Tree {
        self.ledger().head().unwrap().tree
    }

    /// Where the ceremony stands by its record, which must hold.
    pub(crate) fn ceremony(&self) -> Ceremony {
        let tree = self.tree();
        replay(&Record::read(&tree, &self.dir()).unwrap(), &tree).unwrap()
    }

    /// The whole repository, verified strictly at the time of its newest event.
    pub(crate) fn report(&self) -> Report {
        self.report_of(&self.tree())
    }

    /// The same of other files.
    pub(crate) fn report_of(&self, tree: &Tree) -> Report {
        let options = Options {
            now: self.ceremony().events.last().unwrap().event.time,
            rehearsal: true,
            strict: true,
            anchor: None,
            program: Some("trustroot 0.0.0"),
            history: History::None,
            differences: &[],
        };
        verify_trust_root(tree, &options, &Portable)
    }

    /// Holds the ceremony, or goes on with it, with answers that go as planned but for `deviations`.
    pub(crate) fn hold(&self, deviations: &[Deviation]) -> Outcome {
        self.hold_until(deviations, None)
    }

    /// Holds the ceremony as one run of the program that is stopped at one of its commits.
    pub(crate) fn hold_until(&self, deviations: &[Deviation], stop: Option<Stop>) -> Outcome {
        let rehearsed = Rehearsed::new(PIN).deviating(deviations.to_vec());
        let mut audience = Recorder::new(Noting { inner: rehearsed, offered: Vec::new(), questions: Vec::new() });
        let transcript = audience.transcript();
        let ended = self.run(&mut self.stopping(stop), &mut audience);
        let Noting { inner, offered, questions } = audience.inner();
        let (unused, offered, questions) = (inner.unused().to_vec(), offered.clone(), questions.clone());
        Outcome { ended, transcript, unused, offered, questions }
    }

    fn stopping(&self, stop: Option<Stop>) -> Stopping {
        Stopping { inner: self.ledger(), stop, appended: 0 }
    }

    fn run(&self, ledger: &mut Stopping, audience: &mut dyn Audience) -> Result<Ending, Halt> {
        self.furnished(ledger, audience, |room| Conductor::new(room, &self.dir()).run())
    }

    fn furnished<T>(&self, ledger: &mut Stopping, audience: &mut dyn Audience, work: impl FnOnce(Room<'_>) -> T) -> T {
        let state = ledger.inner.state_dir().to_owned();
        let tokens = VirtualTokens::new(self.seed, &state.join("tokens"), &self.plan, self.faults.clone()).unwrap();
        let mut tokens = self.tokens.unwrap_or(|tokens| Box::new(tokens))(tokens);
        let online = if self.online { self.online_keys(&state) } else { BTreeMap::new() };
        let judges = [self.judge.map_or_else(|| Box::new(ToughClient::new(false)) as Box<dyn Judge>, |make| make())];
        let room = Room {
            ledger,
            audience,
            tokens: tokens.as_mut(),
            online: &online,
            throw_away: &mut SeededThrowAwayKeys::new(Zeroizing::new(self.seed)),
            judges: &judges,
            clock: &Counting { start: self.start, jump: self.jump },
            entropy: &mut Seeded(self.seed),
            verifier: &Portable,
            program: Program { version: "trustroot 0.0.0".to_owned(), digest: None },
        };
        work(room)
    }

    fn online_keys(&self, state: &Path) -> BTreeMap<Handle, Box<dyn OnlineKey>> {
        let seed = self.other_online.unwrap_or(self.seed);
        let key = |name: &Handle| write_rehearsal_key(&state.join(format!("online-{name}.pem")), name, &seed).unwrap();
        let names = self.plan.online_names().into_iter();
        names.map(|name| (name.clone(), Box::new(key(name)) as Box<dyn OnlineKey>)).collect()
    }
}

impl Outcome {
    /// How it ended; every deviation must have been reached.
    #[track_caller]
    pub(crate) fn ending(&self) -> Ending {
        assert_eq!(self.unused, [], "deviations that nobody was asked for\n{}", self.transcript.text());
        match &self.ended {
            Ok(ending) => *ending,
            Err(halt) => panic!("it stopped: {halt}: {halt:?}\n{}", tail(&self.transcript.text())),
        }
    }

    /// Why it stopped.
    #[track_caller]
    pub(crate) fn halt(&self) -> &Halt {
        assert_eq!(self.unused, [], "deviations that nobody was asked for\n{}", self.transcript.text());
        match &self.ended {
            Ok(ending) => panic!("it ended {ending:?}"),
            Err(halt) => halt,
        }
    }

    /// The lines of the transcript from the first that contains `from` to the end.
    #[track_caller]
    pub(crate) fn since(&self, from: &str) -> String {
        let text = self.transcript.text();
        let lines: Vec<&str> = text.lines().skip_while(|line| !line.contains(from)).collect();
        assert!(!lines.is_empty(), "`{from}` is not in the transcript:\n{text}");
        lines.join("\n") + "\n"
    }

    /// The lines of the transcript from the first that contains `from` up to, and without, the next that contains `to`.
    #[track_caller]
    pub(crate) fn excerpt(&self, from: &str, to: &str) -> String {
        let text = self.transcript.text();
        let lines: Vec<&str> = text.lines().collect();
        let Some(begin) = lines.iter().position(|line| line.contains(from)) else {
            panic!("`{from}` is not in the transcript:\n{text}");
        };
        let Some(length) = lines[begin + 1..].iter().position(|line| line.contains(to)) else {
            panic!("`{to}` does not follow `{from}` in the transcript:\n{}", lines[begin..].join("\n"));
        };
        lines[begin..=begin + length].join("\n") + "\n"
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// A fresh folder: in memory where there is such a place, since the ledger waits for the disk at every commit.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Another answer at the first asking of question `name` at `step`, such as `open.read`.
pub(crate) fn instead(step: &str, name: &str, instead: Instead) -> Deviation {
    at(step, name, 1, instead)
}

/// Another answer at the `nth` asking.
pub(crate) fn at(step: &str, name: &str, nth: u32, instead: Instead) -> Deviation {
    Deviation { step: step_id(step), name: name.to_owned(), nth, instead }
}

/// A short name.
pub(crate) fn handle(text: &str) -> Handle {
    Handle::new(text).unwrap()
}

/// A step by its name.
pub(crate) fn step_id(step: &str) -> StepId {
    let (act, rest) = step.split_once('.').unwrap();
    let act = trustroot_core::event::Act::ALL.into_iter().find(|known| known.to_string() == act).unwrap();
    StepId::new(act, rest)
}

/// This line is typed.
pub(crate) fn line(text: &str) -> Instead {
    Instead::Answer(Answer::Line(text.to_owned()))
}

/// This is chosen.
pub(crate) fn one(key: &str) -> Instead {
    Instead::Answer(Answer::One(key.to_owned()))
}

/// These are chosen.
pub(crate) fn several(keys: &[&str]) -> Instead {
    Instead::Answer(Answer::Several(keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>()))
}

/// The one key press.
pub(crate) fn interject() -> Instead {
    Instead::Answer(Answer::Interject)
}

/// This PIN is typed.
pub(crate) fn pin(text: &str) -> Instead {
    Instead::Secret(text.to_owned())
}

/// A clock that goes on by 20 seconds an event, if it does not jump.
struct Counting {
    start: Timestamp,
    jump: i64,
}

impl Clock for Counting {
    fn now(&self, last: Option<Timestamp>) -> Timestamp {
        last.map_or(self.start, |last| last.plus_seconds(20)).plus_seconds(self.jump)
    }
}

/// Chance that follows from seed, purpose and digest.
struct Seeded([u8; 32]);

impl Entropy for Seeded {
    fn below(&mut self, bound: u32, purpose: &str, about: &Digest) -> u32 {
        let drawn = Digest::of(&[&self.0[..], about.as_bytes(), purpose.as_bytes()].concat());
        u32::from_be_bytes(drawn.as_bytes()[..4].try_into().unwrap()) % bound
    }
}

/// The real ledger, until it stops.
struct Stopping {
    inner: GitLedger,
    stop: Option<Stop>,
    appended: usize,
}

impl Ledger for Stopping {
    fn head(&self) -> Result<Head, LedgerError> {
        self.inner.head()
    }

    fn append(&mut self, commit: &Commit) -> Result<Head, LedgerError> {
        let k = self.appended;
        self.appended += 1;
        let stopped = || LedgerError::Io { path: "the stage".to_owned(), reason: format!("stopped at append {k}") };
        if self.stop == Some(Stop::Before(k)) {
            return Err(stopped());
        }
        let head = self.inner.append(commit)?;
        if self.stop == Some(Stop::After(k)) { Err(stopped()) } else { Ok(head) }
    }

    fn tag(&mut self, name: &str, message: &str, time: Timestamp) -> Result<(), LedgerError> {
        self.inner.tag(name, message, time)
    }

    fn ssh_sign(&mut self, namespace: &str, bytes: &[u8]) -> Result<Option<String>, LedgerError> {
        self.inner.ssh_sign(namespace, bytes)
    }

    fn remote(&mut self) -> Option<&mut dyn Remote> {
        self.inner.remote()
    }
}

/// An audience that notes what it is asked, and what is offered.
struct Noting {
    inner: Rehearsed,
    offered: Vec<String>,
    questions: Vec<Asked>,
}

impl Noting {
    fn note(&mut self, question: &Question) {
        let step = question.step.to_string();
        let before = self.questions.iter().filter(|(at, name, _)| *at == step && *name == question.name).count();
        self.questions.push((step, question.name, u32::try_from(before).unwrap() + 1));
        if let Form::One(choices) = &question.form {
            self.offered.extend(choices.iter().map(|choice| choice.key.clone()));
        }
    }
}

impl Audience for Noting {
    fn show(&mut self, page: &Page) -> Result<(), AudienceError> {
        self.inner.show(page)
    }

    fn say(&mut self, kind: Tone, line: &Text) -> Result<(), AudienceError> {
        self.inner.say(kind, line)
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, AudienceError> {
        self.note(question);
        self.inner.ask(question)
    }

    fn secret(&mut self, question: &Question, repeat: bool) -> Result<Pin, AudienceError> {
        self.note(question);
        self.inner.secret(question, repeat)
    }

    fn wait(&mut self, announce: &Text, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        self.inner.wait(announce, work)
    }
}
