//! The conductor: replay, next step, show, ask or act, event, commit.
//!
//! Rules:
//! 1. Nothing is held between steps but the sitting of one holder (an open token and the PIN typed for it). After each
//!    commit the record is read from the ledger and replayed; killing the program anywhere loses nothing.
//! 2. One step, one event, one commit. Steps that cannot be undone commit their intent before the card command.
//! 3. Every question can be interrupted by one key press, which leads to `trouble.rs`.
//! 4. Only the seams are known here; `cli` hands the implementations in.

mod apart;
mod claims;
mod clients;
mod finish;
mod insertion;
mod keys;
mod opening;
mod propose;
mod seat;
mod signing;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::beside;
use trustroot_core::check::Finding;
use trustroot_core::digest::Digest;
use trustroot_core::event::{Deed, Event, StepId};
use trustroot_core::page::{Block, Text, script};
use trustroot_core::record::Record;
use trustroot_core::replay::{Ceremony, Next, replay};
use trustroot_core::signature::Verifier;
use trustroot_core::ssh::{self, EVENT_NAMESPACE, RECORD_NAMESPACE};
use trustroot_core::step::Step;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::words;

use self::apart::Onward;
use crate::seams::{
    Answer, Audience, AudienceError, Clock, Commit, Entropy, Form, Head, Judge, Ledger, LedgerError, OnlineKey, Pin,
    Question, ThrowAwayKeys, Token, Tokens, Tone,
};

/// How many words of a digest a listener is asked for.
const WORDS_ASKED: usize = 3;
/// The farthest that two clocks may be apart, in seconds.
const CLOCKS_APART: i64 = 300;
/// How long a token waits for a touch.
const TOUCH_SECONDS: u16 = 15;

/// Everything a ceremony needs from outside.
pub struct Room<'a> {
    /// The repository.
    pub ledger: &'a mut dyn Ledger,
    /// The people.
    pub audience: &'a mut dyn Audience,
    /// The tokens.
    pub tokens: &'a mut dyn Tokens,
    /// The online keys, by the names that the plan gives them.
    pub online: &'a BTreeMap<Handle, Box<dyn OnlineKey>>,
    /// Keys for the twin.
    pub throw_away: &'a mut dyn ThrowAwayKeys,
    /// Independent clients.
    pub judges: &'a [Box<dyn Judge>],
    /// The time.
    pub clock: &'a dyn Clock,
    /// Chance, for the words that are asked for.
    pub entropy: &'a mut dyn Entropy,
    /// Signature verification.
    pub verifier: &'a dyn Verifier,
    /// The program: its version, and SHA-256 of its file where the record is to hold it.
    pub program: Program,
}

/// The program, as the record names it.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name and version.
    pub version: String,
    /// SHA-256 of the executable; nothing in a rehearsal.
    pub digest: Option<Digest>,
}

/// How a ceremony ended, or where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The record is closed.
    Closed,
    /// It was abandoned below quorum.
    Aborted,
    /// It waits for people who sit elsewhere, and the conductor left.
    Waits,
}

/// Why the conductor stopped before the end. What was committed stays.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// A person stopped it, or could not be asked.
    #[error(transparent)]
    Audience(#[from] AudienceError),
    /// The repository.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The record does not hold.
    #[error("the record does not hold")]
    Record(Vec<Finding>),
    /// A lint or a client refused what was to be signed. Nothing was signed.
    #[error("what was to be signed was refused; nothing was signed")]
    Refused(Vec<Finding>),
    /// A client refused what holders signed. It is not published, and the signatures stay.
    #[error("what was signed is refused by a client; it was not published")]
    Signed(Vec<Finding>),
    /// The clock went back.
    #[error("the clock of this machine says {now}, and the last event states {last}")]
    Clock {
        /// The machine's time.
        now: Timestamp,
        /// The newest event's.
        last: Timestamp,
    },
    /// A key that the plan names was not handed in, or fails.
    #[error("the online key \"{name}\" cannot be used: {reason}")]
    Online {
        /// Its name in the plan.
        name: Handle,
        /// Why.
        reason: String,
    },
    /// Our own mistake.
    #[error("{0}")]
    Bug(String),
}

/// Why a step was left.
enum Leave {
    /// Something was logged in between: replay and begin the step again.
    Again,
    /// For good.
    Halt(Halt),
}

impl<E: Into<Halt>> From<E> for Leave {
    fn from(error: E) -> Self {
        Self::Halt(error.into())
    }
}

/// Where the ceremony stands: read anew before each step.
struct Stand {
    head: Head,
    record: Record,
    ceremony: Ceremony,
}

/// One holder at the machine: an open token, and the PIN once it was typed.
struct Sitting {
    holder: Handle,
    token: Box<dyn Token>,
    pin: Option<Pin>,
}

/// The conductor of one ceremony; or what leads one holder, at a machine of their own, through what is theirs.
pub struct Conductor<'a> {
    room: Room<'a>,
    dir: String,
    sitting: Option<Sitting>,
    /// Who sits here, where it is not the conductor.
    seat: Option<Handle>,
    /// Where holders sit elsewhere: those who are at this machine all the same.
    here: BTreeSet<Handle>,
    /// Likewise, those whose new keys others hear in this room.
    hearing: BTreeSet<Handle>,
}

impl<'a> Conductor<'a> {
    /// The conductor of the ceremony whose record is in `dir`.
    pub fn new(room: Room<'a>, dir: &str) -> Self {
        Self { room, dir: dir.to_owned(), sitting: None, seat: None, here: BTreeSet::new(), hearing: BTreeSet::new() }
    }

    /// Goes on from wherever the record stands, until the ceremony ends.
    ///
    /// # Errors
    /// See [`Halt`]. Starting again goes on at the step where it stopped.
    pub fn run(&mut self) -> Result<Ending, Halt> {
        let mut resumed = true;
        loop {
            let stand = self.stand()?;
            if std::mem::take(&mut resumed) {
                self.say_resumed(&stand)?;
            }
            if let Some(Deed::Published { tag }) = stand.ceremony.events.last().map(|logged| &logged.event.deed) {
                self.tag(&stand, tag)?;
            }
            let step = match stand.ceremony.next() {
                Next::Do(step) => step,
                Next::Closed => return self.push_end(&stand).map(|()| Ending::Closed),
                Next::Aborted => return self.push_end(&stand).map(|()| Ending::Aborted),
                Next::Stuck { of, left, threshold } => match self.stuck(&stand, of, left, threshold) {
                    Ok(()) | Err(Leave::Again) => continue,
                    Err(Leave::Halt(halt)) => return Err(halt),
                },
            };
            let step = match self.awaited(&stand, &step) {
                Ok(Onward::Do(step)) => step,
                Ok(Onward::Again) | Err(Leave::Again) => continue,
                Ok(Onward::Leave) => return Ok(Ending::Waits),
                Err(Leave::Halt(halt)) => return Err(halt),
            };
            if self.sitting.as_ref().is_some_and(|sitting| Some(&sitting.holder) != step.holder()) {
                self.sitting = None;
            }
            match self.step(&step, &stand) {
                Ok(()) | Err(Leave::Again) => {}
                Err(Leave::Halt(halt)) => return Err(halt),
            }
        }
    }

    /// Says where a ceremony that was begun before goes on; nothing at its beginning and end.
    fn say_resumed(&mut self, stand: &Stand) -> Result<(), Halt> {
        let events = stand.ceremony.events.len();
        if let (1.., Next::Do(step)) = (events, stand.ceremony.next()) {
            let step = step.id();
            let line =
                format!("This ceremony was begun before. {events} events are in its record; it goes on at {step}.");
            self.room.audience.say(Tone::Note, &line.into())?;
        }
        Ok(())
    }

    fn stand(&self) -> Result<Stand, Halt> {
        let head = self.room.ledger.head()?;
        let record = Record::read(&head.tree, &self.dir).map_err(Halt::Record)?;
        let changed = beside::check(&record, &head.tree);
        if !changed.is_empty() {
            return Err(Halt::Record(changed));
        }
        let ceremony = replay(&record, &head.tree).map_err(|finding| Halt::Record(vec![finding]))?;
        Ok(Stand { head, record, ceremony })
    }

    fn step(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let mut page = script::page(step, &stand.ceremony);
        if let (Step::Read, Some(digest)) = (step, self.room.program.digest) {
            let label = format!("the program, {}, SHA-256 of its file", self.room.program.version);
            page.blocks.push(Block::Digest { label, digest });
        }
        if self.seat.is_some() {
            page = seat::at_home(step, page);
        }
        self.room.audience.show(&page)?;
        match step {
            Step::Roll => self.roll(step, stand),
            Step::Clock => self.clock(step, stand),
            Step::Read => self.read(step, stand),
            Step::Token(holder) => self.token(step, stand, holder),
            Step::Provision(holder) => self.provision(step, stand, holder),
            Step::Generate(holder) => self.generate(step, stand, holder),
            Step::Hear(holder) => self.hear(step, stand, holder),
            Step::Vouch(holder) => self.vouch(step, stand, holder),
            Step::Unvouched(holder) => self.unvouched(step, stand, holder),
            Step::Propose => self.propose(step, stand),
            Step::Review => self.review(step, stand),
            Step::Sign(holder) => self.sign(step, stand, holder, false),
            Step::SignOld(holder) => self.sign(step, stand, holder, true),
            Step::OneMachine => self.one_machine(step, stand),
            Step::Assemble => self.assemble(step, stand),
            Step::Verify => self.verify(step, stand),
            Step::Publish => self.publish(step, stand),
            Step::ReadBack => self.exceptions(step, stand),
            Step::Close => self.close(step, stand),
        }
    }

    // ---------------------------------------------------------------------------------------------- events

    /// Commits one event of whoever sits here, with the evidence it establishes.
    fn commit(
        &mut self,
        stand: &Stand,
        step: StepId,
        hands: Hands,
        deed: Deed,
        evidence: BTreeMap<String, Vec<u8>>,
    ) -> Result<(), Leave> {
        let author = self.author(stand).clone();
        let now = self.time(stand, &author)?;
        let event = Event {
            format: trustroot_core::event::FORMAT,
            plan: stand.ceremony.plan_digest,
            n: stand.record.next_n(&author),
            author: author.clone(),
            after: stand.record.after(&author),
            time: now,
            step,
            acted: hands.acted,
            checked: hands.checked,
            deed,
            files: evidence.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect(),
            signatures: stand.record.signatures_after(&author, &stand.head.tree),
        };
        let bytes = event.to_canonical();
        let path = format!("{}/{}", self.dir, event.path());
        let mut files = evidence;
        let key = stand.ceremony.plan.ssh_of(&event.author);
        match self.ssh_sign(key, EVENT_NAMESPACE, &bytes)? {
            Some(signature) => drop(files.insert(beside::path(&self.dir, &event), signature.into_bytes())),
            None if must_be_signed(stand, &event) => return self.unsigned(stand, event.step, &event.author),
            None => {}
        }
        if let (Deed::Closed { .. }, Some(signature)) = (&event.deed, self.ssh_sign(key, RECORD_NAMESPACE, &bytes)?) {
            files.insert(beside::record_path(&self.dir, &event), signature.into_bytes());
        }
        let message = format!(
            "{}\n\nCeremony: {}\nStep: {}\nEvent: {}\n",
            summary(&event),
            self.dir.trim_start_matches("ceremony/"),
            event.step,
            Digest::of(&bytes)
        );
        files.insert(path, bytes);
        self.room.ledger.append(&Commit { parent: stand.head.commit.clone(), files, message, time: now })?;
        Ok(())
    }

    /// The author's SSH signature, if the plan names a key for them and their git is set up to sign. One by another key would
    /// be refused for ever, so it is not written.
    fn ssh_sign(&mut self, key: Option<&str>, namespace: &str, bytes: &[u8]) -> Result<Option<String>, Halt> {
        let Some(key) = key else { return Ok(None) };
        let Some(signature) = self.room.ledger.ssh_sign(namespace, bytes)? else { return Ok(None) };
        match ssh::verify(key, namespace, bytes, &signature) {
            Ok(()) => Ok(Some(signature)),
            Err(error) => Err(LedgerError::SshSign(format!("it is not by the key of the plan: {error}")).into()),
        }
    }

    /// Who sits at this machine.
    fn author<'s>(&'s self, stand: &'s Stand) -> &'s Handle {
        self.seat.as_ref().unwrap_or(&stand.ceremony.plan.seats.conductor)
    }

    /// The time of the next event, which is never before that of an event it follows. Two machines' clocks differ a little:
    /// where another one wrote the newest event, its time is taken rather than one that is before it.
    fn time(&self, stand: &Stand, author: &Handle) -> Result<Timestamp, Halt> {
        let last = stand.record.last_time();
        let now = self.room.clock.now(last);
        let Some(last) = last.filter(|last| now < *last) else { return Ok(now) };
        let own = stand.record.events.iter().any(|logged| logged.event.author == *author && logged.event.time == last);
        if own || last.unix() - now.unix() > CLOCKS_APART {
            return Err(Halt::Clock { now, last });
        }
        Ok(last)
    }

    // ------------------------------------------------------------------------------------------- questions

    /// Asks; the one key press that interrupts leads to the trouble page, and the step begins again.
    fn ask(&mut self, stand: &Stand, question: &Question) -> Result<Answer, Leave> {
        match self.room.audience.ask(question)? {
            Answer::Interject => {
                self.trouble(stand, question)?;
                Err(Leave::Again)
            }
            answer => Ok(answer),
        }
    }

    /// Asks for one word that consents; another word is told so and asked again.
    fn consent(&mut self, stand: &Stand, question: &Question, word: &'static str) -> Result<(), Leave> {
        loop {
            match self.ask(stand, question)? {
                Answer::Line(line) if line == word => return Ok(()),
                _ => {
                    let line = format!("That is not the word \"{word}\". Nothing was done.");
                    self.say(Tone::Trouble, line)?;
                    self.say(Tone::Hint, "Type the word in full, or press ! if something is wrong.")?;
                }
            }
        }
    }

    /// Asks for some words of `digest`, at places drawn by chance. False if nothing was typed and that is allowed.
    fn words(&mut self, stand: &Stand, asked: WordsAsked<'_>) -> Result<bool, Leave> {
        let WordsAsked { step, name, who, digest, what, optional } = asked;
        let mut places = BTreeSet::new();
        let mut draw = 0;
        while places.len() < WORDS_ASKED {
            let purpose = format!("{}/{name}/{who}/{draw}", step.id());
            places.insert(self.room.entropy.below(32, &purpose, &digest) as usize + 1);
            draw += 1;
        }
        let places: Vec<usize> = places.into_iter().collect();
        let Some(expect) = words::ask(&digest, &places).map(|words| words.to_lowercase()) else {
            return Err(Halt::Bug("a digest has 32 words".to_owned()).into());
        };
        let spoken = places.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let question = Question {
            step: step.id(),
            act: step.act(),
            name,
            who: who.clone(),
            prompt: format!("Words {spoken} of {what}").into(),
            form: Form::Exactly { expect: expect.clone(), optional },
            affirms: Some(digest),
        };
        loop {
            let Answer::Line(line) = self.ask(stand, &question)? else { continue };
            let given = line.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            if given == expect {
                return Ok(true);
            }
            if given.is_empty() && optional {
                return Ok(false);
            }
            self.say(Tone::Trouble, format!("These are not words {spoken} of {what}."))?;
            self.say(
                Tone::Hint,
                "Read the row aloud again and compare. If the words differ on two machines, stop: press ! at the question.",
            )?;
        }
    }

    fn say(&mut self, tone: Tone, line: impl Into<Text>) -> Result<(), Leave> {
        Ok(self.room.audience.say(tone, &line.into())?)
    }

    /// Runs work that takes a while under an announcement.
    fn wait<T>(&mut self, announce: impl Into<Text>, work: impl FnOnce() -> T) -> Result<T, Leave> {
        self.touched(false, announce, work)
    }

    /// As [`Self::wait`]; where the token waits for a `touch`, what is left of its time is counted down.
    fn touched<T>(&mut self, touch: bool, announce: impl Into<Text>, work: impl FnOnce() -> T) -> Result<T, Leave> {
        let mut work = Some(work);
        let mut result = None;
        let mut once = || {
            if let Some(work) = work.take() {
                result = Some(work());
            }
        };
        let announce = announce.into();
        match touch {
            true => self.room.audience.count_down(&announce, TOUCH_SECONDS, &mut once)?,
            false => self.room.audience.wait(&announce, &mut once)?,
        }
        result.ok_or_else(|| Halt::Bug("the audience did not run the work it announced".to_owned()).into())
    }
}

/// Whether the event would be refused for ever without a signature: its author signed earlier ones, and no exception says
/// that this ended.
fn must_be_signed(stand: &Stand, event: &Event) -> bool {
    beside::signs(&stand.record, &stand.head.tree, &event.author)
        && !beside::admits_unsigned(&stand.record, &event.author)
        && !beside::is_admission(&event.deed)
}

/// Who acted, and who checked, as stated.
struct Hands {
    acted: Handle,
    checked: BTreeSet<Handle>,
}

impl Hands {
    fn of(acted: &Handle, checked: impl IntoIterator<Item = Handle>) -> Self {
        Self { acted: acted.clone(), checked: checked.into_iter().collect() }
    }
}

/// A question for some words of a digest.
struct WordsAsked<'s> {
    step: &'s Step,
    name: &'static str,
    who: &'s Handle,
    digest: Digest,
    /// What the words are of, and where the listener has them from.
    what: &'s str,
    optional: bool,
}

fn summary(event: &Event) -> String {
    match &event.deed {
        Deed::Roll { present, .. } => format!("Call the roll: {} present", present.len()),
        Deed::Clock { .. } => "Read the time in two places".to_owned(),
        Deed::Read { .. } => "Read plan and program aloud".to_owned(),
        Deed::Token { holder, token } => format!("Identify the token of {holder}: serial {}", token.serial),
        Deed::Provisioned { holder, .. } => format!("Replace the secrets of the token of {holder}"),
        Deed::GenerateIntent { holder, .. } => format!("Begin to generate the key of {holder}"),
        Deed::Generated { holder, fingerprint, .. } => format!("Generate the key of {holder}: {}", fingerprint.short()),
        Deed::Heard { holder, .. } => format!("Hear the key of {holder}"),
        Deed::Vouched { holder, by, .. } => format!("Vouch for the key of {holder}: {} heard it", by.len()),
        Deed::Proposed { root, .. } => format!("Propose the root {}", root.short()),
        Deed::Reviewed { root, .. } => format!("Review the root {}", root.short()),
        Deed::SignIntent { holder, old, .. } => format!("Consent of {holder} to sign{}", with_old(*old)),
        Deed::Signed { holder, old, .. } => format!("Sign as {holder}{}", with_old(*old)),
        Deed::Assembled { root, .. } => format!("Assemble the root {}", root.short()),
        Deed::Verified { clients } => format!("Verify with {}", trustroot_core::text::escape(&clients.join(" and "))),
        Deed::Published { tag } => format!("Publish as {}", trustroot_core::text::escape(tag)),
        Deed::ReadBack { exceptions } => format!("Read back {exceptions} exceptions"),
        Deed::Closed { .. } => "Close the record".to_owned(),
        Deed::Exception { number, .. } => format!("Log exception {number}"),
        Deed::Left { holder, old: true, .. } => format!("Go on without the old key of {holder}"),
        Deed::Left { holder, .. } => format!("Go on without {holder}"),
        Deed::Aborted { .. } => "Abandon the ceremony".to_owned(),
        Deed::Chosen { .. } => "Choose a branch of a fork".to_owned(),
    }
}

fn with_old(old: bool) -> &'static str {
    if old { " with the old key" } else { "" }
}
