//! An audience that answers by itself, for `rehearse --auto` and for tests.
//!
//! Rules:
//! 1. It gives the answer that lets the ceremony go on: the words expected, the word of consent, the example, the first
//!    choice, all of several, Enter, one fixed PIN, and the PIN backwards as the PUK. Where people elsewhere are awaited, it
//!    leaves.
//! 2. A [`Deviation`] replaces one answer, named by step, question and how often it was asked before. That is how wrong
//!    answers, interjections and interruptions are practised and tested.
//! 3. It never goes round in a circle for ever: one question of one step is answered 300 times at most.
//! 4. Its PIN is for virtual tokens. Nothing real is ever protected by it.

use super::{Sink, headed, toned, written};
use crate::seams::{Answer, Audience, AudienceError, Form, Pin, Question, Tone};
use std::collections::BTreeMap;
use std::io::Write;
use trustroot_core::event::StepId;
use trustroot_core::page::{Page, Text};
use zeroize::Zeroizing;

/// How often one question of one step is answered. A fault of a virtual token fires 99 times at most.
const ROUNDS: u32 = 300;

/// The audience that answers by itself.
pub struct Rehearsed {
    pin: Zeroizing<String>,
    deviations: Vec<Deviation>,
    asked: BTreeMap<(StepId, &'static str), u32>,
    sink: Sink,
}

/// One answer that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// At which step.
    pub step: StepId,
    /// At which question of the step.
    pub name: String,
    /// At which asking of that question, from 1.
    pub nth: u32,
    /// What happens instead.
    pub instead: Instead,
}

/// What happens in place of the usual answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// This answer is given. It does not answer a question for a secret.
    Answer(Answer),
    /// This secret is typed, whatever its length. It answers only a question for a secret.
    Secret(String),
    /// Ctrl-C.
    Interrupted,
}

impl Rehearsed {
    /// Types `pin` wherever a secret is asked for.
    pub fn new(pin: &str) -> Self {
        Self {
            pin: Zeroizing::new(pin.to_owned()),
            deviations: Vec::new(),
            asked: BTreeMap::new(),
            sink: Sink::nowhere(),
        }
    }

    /// Deviates as told. Where two deviations name the same asking, the first counts.
    #[must_use]
    pub fn deviating(mut self, deviations: impl IntoIterator<Item = Deviation>) -> Self {
        self.deviations.extend(deviations);
        self
    }

    /// Writes pages, lines, questions and answers to `sink`, so that people can watch.
    #[must_use]
    pub fn watched(mut self, sink: Box<dyn Write>) -> Self {
        self.sink = Sink(sink);
        self
    }

    /// The deviations whose question was not reached, so that none is practised in vain.
    pub fn unused(&self) -> &[Deviation] {
        &self.deviations
    }

    /// How often the question was asked.
    fn rounds(&self, question: &Question) -> u32 {
        self.asked.get(&(question.step.clone(), question.name)).copied().unwrap_or(0)
    }

    /// Counts this asking, and takes out the deviation that is meant for it.
    fn deviation(&mut self, question: &Question) -> Option<Instead> {
        let asked = self.asked.entry((question.step.clone(), question.name)).or_default();
        *asked += 1;
        let here = |d: &Deviation| d.step == question.step && d.name == question.name && d.nth == *asked;
        let at = self.deviations.iter().position(here)?;
        Some(self.deviations.remove(at).instead)
    }
}

impl Audience for Rehearsed {
    fn show(&mut self, page: &Page) -> Result<(), AudienceError> {
        self.sink.page(page)
    }

    fn say(&mut self, kind: Tone, line: &Text) -> Result<(), AudienceError> {
        self.sink.line(&toned(kind, line))
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, AudienceError> {
        self.sink.line(&headed(question))?;
        let answer = match self.deviation(question) {
            Some(Instead::Answer(answer)) => answer,
            Some(Instead::Secret(_)) => return Err(misplaced(question, "a secret", "an answer")),
            Some(Instead::Interrupted) => return Err(AudienceError::Interrupted),
            None if self.rounds(question) > ROUNDS => {
                let Question { step, name, .. } = question;
                let what = format!("{step}, `{name}`: the rehearsal goes round in a circle; answer it by hand");
                return Err(AudienceError::NotAsked(what));
            }
            None => usual(question)?,
        };
        self.sink.line(&format!("> {}", written(&answer)))?;
        Ok(answer)
    }

    fn secret(&mut self, question: &Question, _repeat: bool) -> Result<Pin, AudienceError> {
        self.sink.line(&headed(question))?;
        let secret = match self.deviation(question) {
            Some(Instead::Secret(secret)) => Zeroizing::new(secret),
            Some(Instead::Answer(_)) => return Err(misplaced(question, "an answer", "a secret")),
            Some(Instead::Interrupted) => return Err(AudienceError::Interrupted),
            None => match question.form {
                // A PUK must not be the PIN.
                Form::Secret { min, max } if (min..=max).contains(&self.pin.len()) => match question.name {
                    "new-puk" | "puk" => Zeroizing::new(self.pin.chars().rev().collect()),
                    _ => self.pin.clone(),
                },
                Form::Secret { min, max } => {
                    let bytes = self.pin.len();
                    return Err(AudienceError::NotAsked(format!(
                        "{} wants a secret of {min} to {max} bytes, and the rehearsal's PIN has {bytes}",
                        question.step
                    )));
                }
                _ => return Err(AudienceError::NotAsked(format!("{} asks for no secret", question.step))),
            },
        };
        self.sink.line("> (secret, not shown)")?;
        Ok(Pin::new(secret))
    }

    fn wait(&mut self, announce: &Text, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        self.sink.line(&announce.line())?;
        work();
        Ok(())
    }
}

fn misplaced(question: &Question, given: &str, wanted: &str) -> AudienceError {
    let Question { step, name, .. } = question;
    AudienceError::NotAsked(format!("the deviation at {step}, `{name}`, gives {given} where {wanted} is wanted"))
}

/// The answer that lets the ceremony go on.
fn usual(question: &Question) -> Result<Answer, AudienceError> {
    let nothing = |what| AudienceError::NotAsked(format!("{}, `{}`: {what}", question.step, question.name));
    Ok(match &question.form {
        Form::Line { example, .. } => Answer::Line(example.clone()),
        Form::Exactly { expect, .. } => Answer::Line(expect.clone()),
        Form::Consent { word } => Answer::Line((*word).to_owned()),
        // Nobody is there who could be waited for.
        Form::One(choices) if question.name == "waiting" && choices.iter().any(|choice| choice.key == "pause") => {
            Answer::One("pause".to_owned())
        }
        Form::One(choices) => match choices.first() {
            Some(first) => Answer::One(first.key.clone()),
            None => return Err(nothing("there is nothing to choose from")),
        },
        Form::Several(choices) => Answer::Several(choices.iter().map(|choice| choice.key.clone()).collect()),
        Form::Ready => Answer::Ready,
        Form::Secret { .. } => return Err(nothing("a secret is not asked for like this")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::forms::tests::{choices, question};
    use trustroot_core::event::Act;

    #[test]
    fn it_answers_so_that_the_ceremony_goes_on() {
        let mut r = Rehearsed::new("123456");
        let line = |text: &str| Answer::Line(text.into());
        for (form, answer) in [
            (Form::Line { example: "14:05".into(), optional: false }, line("14:05")),
            (Form::Exactly { expect: "acid bath".into(), optional: true }, line("acid bath")),
            (Form::Consent { word: "sign" }, line("sign")),
            (Form::One(choices()), Answer::One("alice".into())),
            (Form::Several(choices()), Answer::Several(["alice".into(), "bob".into()].into())),
            (Form::Ready, Answer::Ready),
        ] {
            assert_eq!(r.ask(&question(form)).unwrap(), answer);
        }
        let secret = |min, max| question(Form::Secret { min, max });
        assert_eq!(r.secret(&secret(6, 8), true).ok().unwrap().expose(), b"123456");
        assert!(matches!(r.secret(&secret(7, 8), true), Err(AudienceError::NotAsked(_))));
        assert!(matches!(r.secret(&question(Form::Ready), true), Err(AudienceError::NotAsked(_))));
        assert!(matches!(r.ask(&secret(6, 8)), Err(AudienceError::NotAsked(_))));
        assert!(matches!(r.ask(&question(Form::One(vec![]))), Err(AudienceError::NotAsked(_))));
    }

    #[test]
    fn it_does_not_go_round_for_ever() {
        let mut r = Rehearsed::new("123456");
        let ready = question(Form::Ready);
        assert!((0..ROUNDS).all(|_| r.ask(&ready).is_ok()));
        assert!(matches!(r.ask(&ready), Err(AudienceError::NotAsked(why)) if why.contains("circle")));
    }

    #[test]
    fn it_deviates_where_it_is_told_and_nowhere_else() {
        let step = StepId::new(Act::Open, "x");
        let at = |nth, instead| Deviation { step: step.clone(), name: "q".into(), nth, instead };
        let elsewhere = Deviation { name: "other".into(), ..at(1, Instead::Interrupted) };
        let mut r = Rehearsed::new("123456").deviating([
            at(2, Instead::Answer(Answer::Interject)),
            at(3, Instead::Interrupted),
            at(4, Instead::Secret("000000".into())),
            at(6, Instead::Secret("000000".into())),
            elsewhere.clone(),
        ]);
        let (ready, secret) = (question(Form::Ready), question(Form::Secret { min: 6, max: 8 }));
        assert_eq!(r.ask(&ready).unwrap(), Answer::Ready);
        assert_eq!(r.ask(&ready).unwrap(), Answer::Interject);
        assert!(matches!(r.ask(&ready), Err(AudienceError::Interrupted)));
        assert_eq!(r.secret(&secret, false).ok().unwrap().expose(), b"000000");
        assert_eq!(r.secret(&secret, false).ok().unwrap().expose(), b"123456");
        assert!(matches!(r.ask(&ready), Err(AudienceError::NotAsked(_))), "a secret does not answer this");
        assert_eq!(r.unused(), [elsewhere]);
    }
}
