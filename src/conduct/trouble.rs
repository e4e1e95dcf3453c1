//! When something is wrong: exceptions, leaving a holder out, abandoning.
//!
//! An exception is a number, a time, a step, what happened, what was done about it, and who approved going on. The scribe
//! words and approves it. Below quorum a ceremony can be abandoned; from quorum on it cannot: publish, then supersede.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::check::Check;
use trustroot_core::event::{Deed, StepId};
use trustroot_core::replay::Next;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;

use super::{Conductor, Hands, Leave, Stand};
use crate::seams::{Answer, AudienceError, Choice, Form, Question, TokenError, Tone};

/// The remedy where the step is begun again.
pub(super) const AGAIN: &str = "The step is repeated.";

impl Conductor<'_> {
    /// The page behind the one key press. Returns when the step is to begin again.
    pub(super) fn trouble(&mut self, stand: &Stand, at: &Question) -> Result<(), Leave> {
        let step = at.step.clone();
        if let Some(seat) = self.seat.clone() {
            return self.trouble_at_home(stand, &seat, &step);
        }
        // Whose step it is, and not who was asked: whoever hears a wrong fingerprint doubts the holder who read it.
        let (holder, old) = match stand.ceremony.next() {
            Next::Do(step) => (step.holder().cloned(), matches!(step, Step::SignOld(_))),
            _ => (None, false),
        };
        let mut choices = vec![
            choice("back", "nothing is; begin this step again"),
            choice("exception", "log an exception, then begin this step again"),
        ];
        if let Some(holder) = holder.as_ref().filter(|holder| self.may_leave(stand, holder, old)) {
            choices.push(choice("leave", format!("go on without {holder}")));
        }
        if !stand.ceremony.has_quorum() {
            choices.push(choice("abandon", "abandon the ceremony; what was done stays in the record"));
        }
        choices.push(choice("pause", "stop here; `trustroot` goes on at this step another time"));
        match self.choose(stand, &step, "trouble", "Something is wrong. What now", choices)?.as_str() {
            "exception" => {
                let what =
                    self.line(stand, &step, "exception-what", "What happened, in a sentence", "A cup fell over.")?;
                let remedy = self.line(stand, &step, "exception-remedy", "What was done about it", AGAIN)?;
                self.log_exception(stand, step, None, what, remedy)
            }
            "leave" => match holder {
                Some(holder) => self.leave(stand, &step, &holder, old, None),
                None => Ok(()),
            },
            "abandon" => self.abandon(stand, &step),
            "pause" => Err(AudienceError::Interrupted.into()),
            _ => Ok(()),
        }
    }

    /// Trouble with a holder's token: said, logged, and the holder tries again, is left out, or the ceremony ends.
    pub(super) fn token_trouble(
        &mut self,
        stand: &Stand,
        step: &Step,
        holder: &Handle,
        error: TokenError,
    ) -> Result<(), Leave> {
        self.sitting = None;
        self.say(Tone::Trouble, format!("{error}."))?;
        self.say(Tone::Hint, format!("{}.", error.hint()))?;
        let id = step.id();
        let old = matches!(step, Step::SignOld(_));
        let mut choices = vec![choice("again", "log it, and try again")];
        if self.seat.is_some() {
            choices.push(choice("pause", "stop here, and tell the conductor; `trustroot join` goes on at this step"));
        } else if self.may_leave(stand, holder, old) {
            let leave = choice("leave", format!("go on without {holder}"));
            // What trying again cannot mend is not offered first: a rehearsal that answers by itself would go on for ever.
            let first = matches!(error, TokenError::PinBlocked { .. });
            choices.insert(if first { 0 } else { 1 }, leave);
        }
        if self.seat.is_none() && !stand.ceremony.has_quorum() {
            choices.push(choice("abandon", "abandon the ceremony; what was done stays in the record"));
        }
        match self.choose(stand, &id, "token-trouble", "How does it go on", choices)?.as_str() {
            "pause" => return Err(AudienceError::Interrupted.into()),
            "leave" => self.leave(stand, &id, holder, old, Some(format!("{error}.")))?,
            "abandon" => self.abandon(stand, &id)?,
            _ => self.log_exception(stand, id, None, format!("{error}."), AGAIN.to_owned())?,
        }
        Err(Leave::Again)
    }

    /// Fewer holders are left than must sign: nothing but abandoning is possible.
    pub(super) fn stuck(&mut self, stand: &Stand, of: &str, left: usize, threshold: usize) -> Result<(), Leave> {
        let of = if stand.ceremony.before.is_some() { format!(" for {of}") } else { String::new() };
        self.say(Tone::Trouble, format!("Holders left{of}: {left}; {threshold} must sign."))?;
        self.say(Tone::Hint, "Abandon this ceremony, and hold another with a new plan.")?;
        let step = stand.ceremony.events.last().map_or_else(|| Step::Roll.id(), |logged| logged.event.step.clone());
        let choices = vec![
            choice("abandon", "abandon the ceremony; what was done stays in the record"),
            choice("pause", "stop here"),
        ];
        match self.choose(stand, &step, "stuck", "What now", choices)?.as_str() {
            "abandon" => self.abandon(stand, &step),
            _ => Err(AudienceError::Interrupted.into()),
        }
    }

    /// The events of `author` were signed so far, and git here is not set up to sign: another machine, or a key that is not at
    /// hand. Going on unsigned is possible while exceptions can be logged, and stands in the headline for ever.
    pub(super) fn unsigned(&mut self, stand: &Stand, step: StepId, author: &Handle) -> Result<(), Leave> {
        let what = format!("Events of {author} were signed with an SSH key so far; git here is not set up to sign.");
        self.say(Tone::Trouble, what.clone())?;
        self.say(Tone::Hint, "Set gpg.format to ssh and user.signingkey to the key of the plan, and start again.")?;
        let mut choices = vec![choice("pause", "stop here, and set it up")];
        // At a machine of one's own only what concerns oneself is excepted.
        let own = self.seat.as_ref().is_none_or(|seat| step.holder() == Some(seat.as_str()));
        if own && !stand.ceremony.read_back {
            choices.push(choice("unsigned", "log an exception, and go on without signatures"));
        }
        match self.choose(stand, &step, "unsigned", "How does it go on", choices)?.as_str() {
            "unsigned" => {
                let remedy = format!("Events of {author} after this are not signed.");
                self.log_exception(stand, step, Some(Check::LogSigned), what, remedy)?;
                Err(Leave::Again)
            }
            _ => Err(AudienceError::Interrupted.into()),
        }
    }

    /// Commits an exception that the scribe approves.
    pub(super) fn log_exception(
        &mut self,
        stand: &Stand,
        step: StepId,
        check: Option<Check>,
        what: String,
        remedy: String,
    ) -> Result<(), Leave> {
        let seats = &stand.ceremony.plan.seats;
        // At a machine of their own, holders word and approve what concerns themselves; the scribe reads all of it back.
        let (approved, hands) = match &self.seat {
            Some(seat) => (seat.clone(), Hands::of(seat, [])),
            None => (seats.scribe.clone(), Hands::of(&seats.scribe, [seats.conductor.clone()])),
        };
        let number = stand.ceremony.next_exception(self.author(stand));
        let deed =
            Deed::Exception { number, check: check.map(|check| check.name().to_owned()), what, remedy, approved };
        self.commit(stand, step, hands, deed, BTreeMap::new())?;
        self.say(Tone::Note, format!("Exception {number} is in the record."))
    }

    /// Goes on without a holder: an exception, and then the event that takes the holder out.
    pub(super) fn leave(
        &mut self,
        stand: &Stand,
        step: &StepId,
        holder: &Handle,
        old: bool,
        cause: Option<String>,
    ) -> Result<(), Leave> {
        let reason = match cause {
            Some(cause) => cause,
            None => self.line(stand, step, "leave-reason", "Why, in a sentence", "The token does not work.")?,
        };
        self.sitting = None;
        let whose = if old { format!("the old key of {holder}") } else { holder.to_string() };
        let what = format!("{whose} takes no further part: {reason}");
        self.log_exception(stand, step.clone(), None, what, "The others go on.".to_owned())?;
        let stand = self.stand()?;
        let hands = self.hands_of_conductor(&stand);
        let deed = Deed::Left { holder: holder.clone(), reason, old };
        self.commit(&stand, step.clone(), hands, deed, BTreeMap::new())
    }

    fn abandon(&mut self, stand: &Stand, step: &StepId) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        let all = ceremony.holders.values().chain(ceremony.old.values());
        let signed = all.filter(|state| state.signed).count();
        let missing = ceremony.proposal.as_ref().map(|_| ceremony.missing());
        if let Some(missing) = missing {
            self.say(Tone::Note, format!("{signed} signed; {missing} more would complete what was proposed."))?;
            let standings = ceremony.standings();
            let who: BTreeSet<_> =
                standings.iter().flat_map(|standing| &standing.signed).map(ToString::to_string).collect();
            if !who.is_empty() {
                let who = who.into_iter().collect::<Vec<_>>().join(", ");
                self.say(
                    Tone::Note,
                    format!("These signatures fall away, and are made anew for another proposal: {who}."),
                )?;
            }
        }
        let question = Question {
            step: step.clone(),
            act: step.act().unwrap_or(trustroot_core::event::Act::Open),
            name: "abandon-consent",
            who: ceremony.plan.seats.conductor.clone(),
            prompt: "Abandon the ceremony; this cannot be undone".into(),
            form: Form::Consent { word: "abandon" },
            affirms: None,
        };
        self.consent_plain(&question, "abandon")?;
        let reason = self.line(stand, step, "abandon-reason", "Why, in a sentence", "The rehearsal was stopped.")?;
        let missing = missing.map(|missing| u32::try_from(missing).unwrap_or(u32::MAX));
        let hands = self.hands_of_conductor(stand);
        self.commit(stand, step.clone(), hands, Deed::Aborted { reason, missing }, BTreeMap::new())
    }

    /// Whether the holder takes part and has not signed, and going on without one can be written down. Whether enough are
    /// left is for replay to say: too few, and nothing but abandoning remains.
    fn may_leave(&self, stand: &Stand, holder: &Handle, old: bool) -> bool {
        let ceremony = &stand.ceremony;
        let opened = ceremony.program.is_some() && !ceremony.assembled;
        let here = match old {
            true => ceremony.old.get(holder).filter(|state| ceremony.is_present(holder) && state.left.is_none()),
            false => ceremony.taking_part().find(|(handle, _)| *handle == holder).map(|(_, state)| state),
        };
        opened && here.is_some_and(|state| !state.signed)
    }

    pub(super) fn hands_of_conductor(&self, stand: &Stand) -> Hands {
        let seats = &stand.ceremony.plan.seats;
        Hands::of(&seats.conductor, [seats.scribe.clone()])
    }

    pub(super) fn choose(
        &mut self,
        stand: &Stand,
        step: &StepId,
        name: &'static str,
        prompt: &str,
        choices: Vec<Choice>,
    ) -> Result<String, Leave> {
        let question = Question {
            step: step.clone(),
            act: step.act().unwrap_or(trustroot_core::event::Act::Open),
            name,
            who: self.seat.as_ref().unwrap_or(&stand.ceremony.plan.seats.scribe).clone(),
            prompt: prompt.into(),
            form: Form::One(choices.clone()),
            affirms: None,
        };
        // Interrupting the trouble page itself leads back to it, and so does what was not offered.
        loop {
            match self.room.audience.ask(&question)? {
                Answer::One(key) if choices.iter().any(|choice| choice.key == key) => return Ok(key),
                _ => {}
            }
        }
    }

    pub(super) fn line(
        &mut self,
        stand: &Stand,
        step: &StepId,
        name: &'static str,
        prompt: &str,
        example: &str,
    ) -> Result<String, Leave> {
        let question = Question {
            step: step.clone(),
            act: step.act().unwrap_or(trustroot_core::event::Act::Open),
            name,
            who: self.seat.as_ref().unwrap_or(&stand.ceremony.plan.seats.scribe).clone(),
            prompt: prompt.into(),
            form: Form::Line { example: example.to_owned(), optional: false },
            affirms: None,
        };
        loop {
            // Interrupting here takes the choice back.
            let Answer::Line(line) = self.room.audience.ask(&question)? else { return Err(Leave::Again) };
            match trustroot_core::text::check_clean(&line) {
                Ok(()) => return Ok(line),
                Err(fault) => self.say(Tone::Trouble, format!("This cannot be recorded: {fault}."))?,
            }
        }
    }

    fn consent_plain(&mut self, question: &Question, word: &str) -> Result<(), Leave> {
        match self.room.audience.ask(question)? {
            Answer::Line(line) if line == word => Ok(()),
            _ => {
                self.say(Tone::Note, format!("That is not the word \"{word}\". Nothing was done."))?;
                Err(Leave::Again)
            }
        }
    }
}

pub(super) fn choice(key: &str, label: impl Into<trustroot_core::page::Text>) -> Choice {
    Choice { key: key.to_owned(), label: label.into() }
}
