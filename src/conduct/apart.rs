//! The conductor's side of a ceremony whose holders sit elsewhere: what they wrote is fetched, judged, proved and taken in;
//! who is awaited is said; what is here is pushed once before a wait.
//!
//! Rules:
//! 1. A repository without remotes and bundles is one room, and nothing here happens.
//! 2. One branch that is refused holds nobody else up: its findings are shown, nothing of it is taken, the others go on.
//! 3. An attestation that held at the holder's machine is verified again here, and so is every signature, before it is taken.
//! 4. Nobody waits for the next in the order of the plan: whoever is here goes on, and whatever arrived is taken in.

use trustroot_core::check::{Finding, Level};
use trustroot_core::page::{Block, Page, Text};
use trustroot_core::seat::Awaited;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;
use trustroot_core::tree::Entry;
use trustroot_core::verify::proofs;

use super::trouble::choice;
use super::{Conductor, Halt, Leave, Stand};
use crate::seams::{Answer, Caught, Choice, Form, Look, Offered, PushOutcome, Pushed, Question, RemoteError, Tone};

/// How it goes on where holders sit elsewhere.
pub(super) enum Onward {
    /// With this step, of somebody who is at this machine.
    Do(Step),
    /// The record has to be read again: something was taken in, or decided.
    Again,
    /// Not now: the conductor leaves until others did their part.
    Leave,
}

impl Conductor<'_> {
    /// Which step comes now, where the next one in order may be somebody's who sits elsewhere.
    pub(super) fn awaited(&mut self, stand: &Stand, step: &Step) -> Result<Onward, Leave> {
        let awaited = stand.ceremony.awaited();
        if awaited.is_empty() || self.room.ledger.remote().is_none() {
            return Ok(Onward::Do(step.clone()));
        }
        let conductor = &stand.ceremony.plan.seats.conductor;
        let ready = |one: &&Awaited| match &one.step {
            // Enough heard it elsewhere, or nobody is there who could: the rest is for those in this room.
            Step::Vouch(holder) if stand.ceremony.awaited_to_hear(holder).is_empty() => true,
            Step::Vouch(_) => self.hearing.contains(&one.who),
            _ => one.who == *conductor || self.here.contains(&one.who),
        };
        if let Some(one) = awaited.iter().find(ready) {
            return Ok(Onward::Do(one.step.clone()));
        }
        if self.take_in(stand)? {
            return Ok(Onward::Again);
        }
        self.push(None)?;
        self.wait_for(stand, &awaited)
    }

    /// Fetches, judges, proves and takes in. Whether anything was taken in.
    pub(super) fn take_in(&mut self, stand: &Stand) -> Result<bool, Leave> {
        let Some(remote) = self.room.ledger.remote() else { return Ok(false) };
        let sources = remote.sources();
        let look = remote.look(&self.dir)?;
        self.say_failed(&look, &sources)?;
        let author = stand.ceremony.plan.seats.conductor.clone();
        let time = self.time(stand, &author)?;
        if let Some(remote) = self.room.ledger.remote()
            && let Caught::Forward(_) = remote.catch_up(time)?
        {
            self.say(Tone::Done, "The branch went on elsewhere; that was taken in.")?;
            return Ok(true);
        }
        // Each is proved over what was found good before it.
        let mut union = stand.head.tree.clone();
        let sound = |finding: &Finding, known: &[Finding]| known.contains(finding);
        let known = proofs(&union, &self.dir, time, self.room.verifier);
        let mut taken = Vec::new();
        for offered in &look.offers {
            let addition = match &offered.judged {
                Ok(addition) if addition.is_empty() => continue,
                Ok(addition) => addition,
                Err(findings) => {
                    self.say_refused(offered, findings)?;
                    continue;
                }
            };
            let mut with = union.clone();
            with.extend(addition.files().iter().map(|(path, bytes)| (path.clone(), Entry::File(bytes.clone()))));
            let mut findings = proofs(&with, &self.dir, time, self.room.verifier);
            findings.retain(|finding| !sound(finding, &known));
            if findings.is_empty() {
                union = with;
                taken.push(addition);
            } else {
                self.say_refused(offered, &findings)?;
            }
        }
        if taken.is_empty() {
            return Ok(false);
        }
        let who = taken.iter().map(|addition| addition.handle().to_string()).collect::<Vec<_>>().join(", ");
        let name = self.dir.trim_start_matches("ceremony/");
        let message = format!("Take in what {who} wrote\n\nCeremony: {name}\n");
        let Some(remote) = self.room.ledger.remote() else { return Ok(false) };
        remote.merge(&taken, &message, time)?;
        for addition in &taken {
            let events =
                addition.files().keys().filter(|path| path.contains("/log/") && path.ends_with(".json")).count();
            self.say(Tone::Done, format!("Taken in from {}: {events} events.", addition.handle()))?;
        }
        Ok(true)
    }

    /// Pushes what the remotes lack, and says what came of it. A push that fails is no reason to stop: what is committed here
    /// is safe.
    pub(super) fn push(&mut self, tag: Option<&str>) -> Result<(), Leave> {
        let Some(remote) = self.room.ledger.remote() else { return Ok(()) };
        if tag.is_none() && !remote.unpushed()? {
            return Ok(());
        }
        for pushed in remote.push(tag) {
            self.say_pushed(&pushed)?;
        }
        Ok(())
    }

    /// Says what came of a push.
    pub(super) fn say_pushed(&mut self, pushed: &Pushed) -> Result<(), Leave> {
        let remote = &pushed.remote;
        match &pushed.outcome {
            Ok(PushOutcome::UpToDate) => self.say(Tone::Note, format!("{remote} has everything already.")),
            Ok(PushOutcome::Done) => self.say(Tone::Done, format!("Pushed to {remote}.")),
            Ok(PushOutcome::AfterCatchingUp) => {
                self.say(Tone::Done, format!("Somebody had pushed to {remote}; that was taken in, and pushed."))
            }
            Err(error) => {
                self.say(Tone::Trouble, format!("Not pushed: {}.", sentence(error)))?;
                self.say(Tone::Hint, format!("{}.", error.hint()))
            }
        }
    }

    fn say_failed(&mut self, look: &Look, sources: &[String]) -> Result<(), Leave> {
        for (source, error) in &look.failed {
            self.say(Tone::Trouble, format!("Nothing was fetched from {source}: {}.", sentence(error)))?;
            self.say(Tone::Hint, format!("{}.", error.hint()))?;
        }
        for finding in &look.findings {
            self.say_finding(finding)?;
        }
        if look.failed.is_empty() {
            self.say(Tone::Note, format!("Looked at {}.", sources.join(", ")))?;
        }
        Ok(())
    }

    fn say_refused(&mut self, offered: &Offered, findings: &[Finding]) -> Result<(), Leave> {
        let (handle, from) = (&offered.offer.handle, offered.from.join(", "));
        self.say(Tone::Trouble, format!("Nothing was taken of the branch of {handle} at {from}:"))?;
        findings.iter().try_for_each(|finding| self.say_finding(finding))
    }

    pub(super) fn say_finding(&mut self, finding: &Finding) -> Result<(), Leave> {
        let tone = if finding.level >= Level::Warning { Tone::Trouble } else { Tone::Note };
        self.say(tone, finding.to_string())?;
        match &finding.hint {
            Some(hint) => self.say(Tone::Hint, format!("{hint}.")),
            None => Ok(()),
        }
    }

    /// The page of a wait, and what the conductor decides.
    fn wait_for(&mut self, stand: &Stand, awaited: &[Awaited]) -> Result<Onward, Leave> {
        let first = &awaited[0].step;
        self.room.audience.show(&page(stand, awaited))?;
        let choices = vec![
            choice("look", "look again: fetch, and take in what arrived"),
            choice("here", "somebody is at this machine, and does it here"),
            choice("without", "go on without somebody"),
            choice("pause", "leave; `trustroot` goes on here another time"),
        ];
        let asked = Question {
            step: first.id(),
            act: first.act(),
            name: "waiting",
            who: stand.ceremony.plan.seats.conductor.clone(),
            prompt: "How does it go on".into(),
            form: Form::One(choices),
            affirms: None,
        };
        match self.ask(stand, &asked)? {
            Answer::One(key) if key == "here" => {
                let who = self.who(stand, first, awaited, "at-this-machine", "Who is at this machine")?;
                for one in awaited.iter().filter(|one| who.as_ref() == Some(&one.who)) {
                    let at = if matches!(one.step, Step::Vouch(_)) { &mut self.hearing } else { &mut self.here };
                    at.insert(one.who.clone());
                }
            }
            Answer::One(key) if key == "without" => {
                let who = self.who(stand, first, awaited, "go-on-without", "Without whom")?;
                self.go_on_without(awaited, who.as_ref())?;
            }
            Answer::One(key) if key == "pause" => return Ok(Onward::Leave),
            _ => {}
        }
        Ok(Onward::Again)
    }

    /// Which of those awaited; nothing if it was nobody after all.
    fn who(
        &mut self,
        stand: &Stand,
        step: &Step,
        awaited: &[Awaited],
        name: &'static str,
        prompt: &'static str,
    ) -> Result<Option<Handle>, Leave> {
        let name_of = |one: &Awaited| Text::foreign(stand.ceremony.plan.name_of(&one.who));
        let mut choices: Vec<Choice> = Vec::new();
        for one in awaited {
            if choices.iter().all(|choice| choice.key != one.who.as_str()) {
                choices.push(Choice { key: one.who.to_string(), label: name_of(one) });
            }
        }
        // A handle cannot begin with a sign.
        choices.push(choice("-", "nobody; back"));
        let question = Question {
            step: step.id(),
            act: step.act(),
            name,
            who: stand.ceremony.plan.seats.conductor.clone(),
            prompt: prompt.into(),
            form: Form::One(choices),
            affirms: None,
        };
        let Answer::One(key) = self.ask(stand, &question)? else { return Ok(None) };
        Ok(awaited.iter().map(|one| &one.who).find(|who| who.as_str() == key).cloned())
    }

    /// Goes on without this holder; without those who would hear the holder's key, where that is awaited.
    fn go_on_without(&mut self, awaited: &[Awaited], who: Option<&Handle>) -> Result<(), Leave> {
        for one in awaited.iter().filter(|one| who == Some(&one.who)) {
            let stand = self.stand()?;
            match &one.step {
                Step::Vouch(holder) => self.vouched(&one.step, &stand, holder)?,
                step => {
                    let old = matches!(step, Step::SignOld(_));
                    self.leave(&stand, &step.id(), &one.who, old, None)?;
                }
            }
        }
        Ok(())
    }

    /// What was published is pushed with its tag, once the record is closed or abandoned.
    pub(super) fn push_end(&mut self, stand: &Stand) -> Result<(), Halt> {
        let tag = stand.ceremony.published.as_deref().filter(|_| stand.ceremony.closed);
        match self.push(tag) {
            Ok(()) | Err(Leave::Again) => Ok(()),
            Err(Leave::Halt(halt)) => Err(halt),
        }
    }
}

/// What went wrong, without the full stop that another program may have put there.
fn sentence(error: &RemoteError) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

/// Who is awaited, for what, and with which token.
fn page(stand: &Stand, awaited: &[Awaited]) -> Page {
    let ceremony = &stand.ceremony;
    let seats = &ceremony.plan.seats;
    let row = |one: &Awaited| {
        let what = match &one.step {
            Step::Vouch(holder) => {
                let others = ceremony.awaited_to_hear(holder).iter().map(ToString::to_string).collect::<Vec<_>>();
                format!("to be heard by {}", others.join(", "))
            }
            step => step.id().to_string(),
        };
        let token = one.serial.map_or_else(|| "not known before".to_owned(), |serial| serial.to_string());
        vec![
            Text::foreign(ceremony.plan.name_of(&one.who)).and(format!(" ({})", one.who)),
            Text::own(what),
            Text::own(token),
        ]
    };
    let head = ["awaited", "for", "token"].map(str::to_owned).to_vec();
    let mut blocks = vec![Block::Table { head, rows: awaited.iter().map(row).collect() }];
    if ceremony.proposal.is_some() {
        for standing in ceremony.standings() {
            let line = format!("{}: {} of {} signed", standing.of, standing.signed.len(), standing.need);
            blocks.push(Block::Note(line.into()));
        }
    }
    blocks.push(Block::Do("Each of them, at a machine of their own: trustroot join".into()));
    let first = &awaited[0].step;
    Page {
        step: first.id(),
        act: first.act(),
        title: "Waiting for others".to_owned(),
        acts: vec![seats.conductor.clone()],
        checks: Vec::new(),
        minutes: 1,
        irreversible: false,
        blocks,
        outcome: Vec::new(),
    }
}
