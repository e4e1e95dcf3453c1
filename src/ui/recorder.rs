//! An audience around another, which keeps a transcript and counts stops.
//!
//! Rules:
//! 1. The transcript is what a person saw and answered, in order, in plain text. Secrets are not in it.
//! 2. A stop is one question that reached a person: a prompt, a PIN, a plug or a push. New secrets (questions whose name
//!    begins with `new-`) are counted apart.

use super::{WIDTH, headed, toned, written};
use crate::seams::{Answer, Audience, AudienceError, Form, Pin, Question, Tone};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use trustroot_core::event::{Act, StepId};
use trustroot_core::page::{Page, Text};
use trustroot_core::text::Handle;

/// The audience that records what another one does.
pub struct Recorder<A> {
    inner: A,
    transcript: Transcript,
}

/// What was recorded. Clones share it, so it can be read while and after the ceremony runs.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Rc<RefCell<Log>>);

#[derive(Debug, Default)]
struct Log {
    text: String,
    stops: BTreeMap<(Act, Handle), u32>,
    new_secrets: BTreeMap<(Act, Handle), u32>,
    pins: BTreeMap<(Act, Handle), u32>,
    by_step: BTreeMap<StepId, u32>,
}

impl Transcript {
    /// Pages, lines, questions and answers so far, each ending in a line feed.
    pub fn text(&self) -> String {
        self.0.borrow().text.clone()
    }

    /// How often each person had to stop in each act, new secrets aside.
    pub fn stops(&self) -> BTreeMap<(Act, Handle), u32> {
        self.0.borrow().stops.clone()
    }

    /// How often a step stopped anybody, whoever was asked, new secrets aside.
    pub fn stops_by_step(&self) -> BTreeMap<StepId, u32> {
        self.0.borrow().by_step.clone()
    }

    /// How often each person chose a new secret in each act.
    pub fn new_secrets(&self) -> BTreeMap<(Act, Handle), u32> {
        self.0.borrow().new_secrets.clone()
    }

    /// How often each person typed a secret that was there before, in each act. Each is a stop too.
    pub fn pins(&self) -> BTreeMap<(Act, Handle), u32> {
        self.0.borrow().pins.clone()
    }

    fn line(&self, line: &str) {
        let mut log = self.0.borrow_mut();
        log.text.push_str(line.trim_end_matches('\n'));
        log.text.push('\n');
    }

    fn asked(&self, question: &Question) {
        self.line(&headed(question));
        let mut log = self.0.borrow_mut();
        let who = (question.act, question.who.clone());
        if question.name.starts_with("new-") {
            *log.new_secrets.entry(who).or_default() += 1;
        } else {
            if let Form::Secret { .. } = question.form {
                *log.pins.entry(who.clone()).or_default() += 1;
            }
            *log.stops.entry(who).or_default() += 1;
            *log.by_step.entry(question.step.clone()).or_default() += 1;
        }
    }

    /// Writes down what came back, in the words that `shown` finds for it.
    fn answered<T>(&self, result: &Result<T, AudienceError>, shown: impl FnOnce(&T) -> String) {
        match result {
            Ok(answer) => self.line(&format!("> {}", shown(answer))),
            Err(error) => self.line(&format!("> ({error})")),
        }
    }
}

impl<A: Audience> Recorder<A> {
    /// Records what `inner` shows and hears.
    pub fn new(inner: A) -> Self {
        Self { inner, transcript: Transcript::default() }
    }

    /// The transcript, shared.
    pub fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    /// The audience inside, such as a file of answers that is to be finished.
    pub fn inner(&self) -> &A {
        &self.inner
    }

    /// See [`Transcript::stops`].
    pub fn stops(&self) -> BTreeMap<(Act, Handle), u32> {
        self.transcript.stops()
    }
}

impl<A: Audience> Audience for Recorder<A> {
    fn show(&mut self, page: &Page) -> Result<(), AudienceError> {
        self.inner.show(page)?;
        self.transcript.line(&trustroot_core::page::plain::render(page, WIDTH));
        Ok(())
    }

    fn say(&mut self, kind: Tone, line: &Text) -> Result<(), AudienceError> {
        self.inner.say(kind, line)?;
        self.transcript.line(&toned(kind, line));
        Ok(())
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, AudienceError> {
        self.transcript.asked(question);
        let answer = self.inner.ask(question);
        self.transcript.answered(&answer, written);
        answer
    }

    fn ask_or_see(&mut self, question: &Question, is_done: &mut dyn FnMut() -> bool) -> Result<Answer, AudienceError> {
        self.transcript.asked(question);
        let answer = self.inner.ask_or_see(question, is_done);
        self.transcript.answered(&answer, written);
        answer
    }

    fn secret(&mut self, question: &Question, repeat: bool) -> Result<Pin, AudienceError> {
        self.transcript.asked(question);
        let pin = self.inner.secret(question, repeat);
        self.transcript.answered(&pin, |_| "(secret, not shown)".to_owned());
        pin
    }

    fn wait(&mut self, announce: &Text, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        // Written first: the work may be where everything ends.
        self.transcript.line(&announce.line());
        self.inner.wait(announce, work)
    }

    fn count_down(&mut self, announce: &Text, seconds: u16, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        self.transcript.line(&announce.line());
        self.inner.count_down(announce, seconds, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::forms::tests::question;
    use crate::ui::rehearsed::{Deviation, Instead, Rehearsed};

    #[test]
    fn it_writes_down_and_counts_without_the_secret() {
        let ready = question(Form::Ready);
        let deviation = Deviation { step: ready.step.clone(), name: "q".into(), nth: 2, instead: Instead::Interrupted };
        let mut r = Recorder::new(Rehearsed::new("918273").deviating([deviation]));
        let transcript = r.transcript();
        r.say(Tone::Done, &Text::own("saw ").and_foreign("\u{1b}[2J")).unwrap();
        r.ask(&ready).unwrap();
        assert!(matches!(r.ask(&ready), Err(AudienceError::Interrupted)));
        let mut new = question(Form::Secret { min: 6, max: 8 });
        new.name = "new-pin";
        r.secret(&new, true).ok().unwrap();
        let mut worked = false;
        r.wait(&"touch it now".into(), &mut || {
            assert!(transcript.text().ends_with("touch it now\n"), "announced before");
            worked = true;
        })
        .unwrap();
        assert!(worked);
        let alice = Handle::new("alice").unwrap();
        assert_eq!(r.stops(), BTreeMap::from([((Act::Open, alice.clone()), 2)]));
        assert_eq!(transcript.new_secrets(), BTreeMap::from([((Act::Open, alice), 1)]));
        assert_eq!(
            transcript.text(),
            "done: saw \\u{1b}[2J\nopen.x (alice): what is it?\n> (Enter)\nopen.x (alice): what is it?\n> (interrupted)\n\
             open.x (alice): what is it?\n> (secret, not shown)\ntouch it now\n"
        );
    }
}
