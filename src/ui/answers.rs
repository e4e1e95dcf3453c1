//! An audience that reads its answers from a file, for ceremonies that follow a script.
//!
//! Rules, besides the form of the file ([`answers`]):
//! 1. A question that affirms a digest is answered only by an entry with the same digest in `affirms`; an entry that
//!    affirms where the question does not is refused too.
//! 2. A missing answer, an answer in the wrong form and, at the end ([`Answers::finish`]), an unused answer are errors.
//! 3. Secrets never stand in the file. They are asked of the audience given to [`Answers::secrets_from`], or not at all.

use super::{Sink, headed, toned, written};
use crate::seams::{Answer, Audience, AudienceError, Choice, Form, Pin, Question, Tone};
use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use trustroot_core::answers::{self, Entry, Value};
use trustroot_core::page::{Page, Text};
use trustroot_core::text::escape;

/// The audience that answers from a file.
pub struct Answers {
    name: String,
    left: answers::Answers,
    secrets: Option<Box<dyn Audience>>,
    sink: Sink,
}

impl Answers {
    /// Reads a file of answers. `name` is how errors call the file.
    ///
    /// # Errors
    /// [`AudienceError::Answers`], with file and line, for anything that is not in the form above.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, AudienceError> {
        let name = escape(name);
        match answers::read(text) {
            Ok(left) => Ok(Self { name, left, secrets: None, sink: Sink::nowhere() }),
            Err(error) => Err(AudienceError::Answers(format!("{name}:{error}"))),
        }
    }

    /// Writes pages, lines, questions and answers to `sink`, so that people can watch.
    #[must_use]
    pub fn watched(mut self, sink: Box<dyn Write>) -> Self {
        self.sink = Sink(sink);
        self
    }

    /// Asks `audience` for secrets: a terminal, or [`super::rehearsed::Rehearsed`] in a rehearsal.
    #[must_use]
    pub fn secrets_from(mut self, audience: Box<dyn Audience>) -> Self {
        self.secrets = Some(audience);
        self
    }

    /// The end of the ceremony: every answer must have been used.
    ///
    /// # Errors
    /// [`AudienceError::Answers`] names the first answer, in the order of the file, that nobody asked for.
    pub fn finish(&self) -> Result<(), AudienceError> {
        let unused = self.left.iter().filter_map(|(key, entries)| Some((entries.front()?.line, key))).min();
        match unused {
            None => Ok(()),
            Some((line, (step, name))) => Err(AudienceError::Answers(format!(
                "{}:{line}: the answer to question `{}` of step {} was never asked for\n\
                 hint: take it out, or compare step and name with the script",
                self.name,
                escape(name),
                escape(step),
            ))),
        }
    }

    fn next(&mut self, question: &Question) -> Result<Entry, AudienceError> {
        let key = (question.step.as_str().to_owned(), question.name.to_owned());
        self.left.get_mut(&key).and_then(VecDeque::pop_front).ok_or_else(|| {
            let affirms = match question.affirms {
                Some(_) => ", and `affirms` = the digest as you know it from elsewhere",
                None => "",
            };
            AudienceError::Answers(format!(
                "{}: there is no answer, or none is left, to question `{}` of step {}: {}\n\
                 hint: add [answers.\"{}\".{}] with {}{affirms}",
                self.name,
                question.name,
                question.step,
                question.prompt.line(),
                question.step,
                question.name,
                looks_like(&question.form),
            ))
        })
    }

    fn refuse(&self, line: usize, question: &Question, what: &str, hint: &str) -> AudienceError {
        AudienceError::Answers(format!(
            "{}:{line}: the answer to question `{}` of step {} {what}\nhint: {hint}",
            self.name, question.name, question.step,
        ))
    }
}

impl Audience for Answers {
    fn show(&mut self, page: &Page) -> Result<(), AudienceError> {
        self.sink.page(page)
    }

    fn say(&mut self, kind: Tone, line: &Text) -> Result<(), AudienceError> {
        self.sink.line(&toned(kind, line))
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, AudienceError> {
        let entry = self.next(question)?;
        match (question.affirms, entry.affirms) {
            (None, None) => {}
            (Some(asked), Some(affirmed)) if asked == affirmed => {}
            (Some(asked), Some(affirmed)) => {
                let what = format!("affirms {affirmed}, but what is asked about is {asked}");
                let hint = "find out which of the two is right before you change the file";
                return Err(self.refuse(entry.line, question, &what, hint));
            }
            (Some(asked), None) => {
                let what = format!("affirms nothing, but the question is about {asked}");
                let hint = "compare the digest with what you know from elsewhere, then add it as `affirms`";
                return Err(self.refuse(entry.line, question, &what, hint));
            }
            (None, Some(_)) => {
                let hint = "take `affirms` out; this question is about no digest";
                return Err(self.refuse(entry.line, question, "affirms a digest that nobody asked about", hint));
            }
        }
        let line = entry.line;
        let answer = fit(&question.form, entry.value)
            .map_err(|what| self.refuse(line, question, &what, &format!("write {}", looks_like(&question.form))))?;
        self.sink.line(&headed(question))?;
        self.sink.line(&format!("> {}", written(&answer)))?;
        Ok(answer)
    }

    fn secret(&mut self, question: &Question, repeat: bool) -> Result<Pin, AudienceError> {
        match &mut self.secrets {
            Some(audience) => audience.secret(question, repeat),
            None => Err(AudienceError::NotAsked(format!(
                "{} asks {} for a secret, and secrets never stand in a file of answers\n\
                 hint: run this step at a terminal",
                question.step, question.who
            ))),
        }
    }

    fn wait(&mut self, announce: &Text, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        self.sink.line(&announce.line())?;
        work();
        Ok(())
    }
}

/// The answer that `value` gives to a question of this form, or what is wrong with it.
fn fit(form: &Form, value: Value) -> Result<Answer, String> {
    match (form, value) {
        (Form::Secret { .. }, _) => Err("is a secret, which never stands in a file".to_owned()),
        (_, Value::Interject) => Ok(Answer::Interject),
        (Form::Line { optional, .. } | Form::Exactly { optional, .. }, Value::Text(text)) => {
            let text = text.trim();
            if text.is_empty() && !optional {
                return Err("is empty".to_owned());
            }
            Ok(Answer::Line(text.to_owned()))
        }
        (Form::Consent { .. }, Value::Text(text)) => Ok(Answer::Line(text.trim().to_owned())),
        (Form::One(choices), Value::Text(key)) => {
            known(choices, &key)?;
            Ok(Answer::One(key))
        }
        (Form::Several(choices), Value::List(keys)) => {
            let mut taken = BTreeSet::new();
            for key in keys {
                known(choices, &key)?;
                if !taken.insert(key.clone()) {
                    return Err(format!("names `{}` twice", escape(&key)));
                }
            }
            Ok(Answer::Several(taken))
        }
        (Form::Ready, Value::Ready) => Ok(Answer::Ready),
        (_, Value::Text(_)) => Err("is a string, which is the wrong form".to_owned()),
        (_, Value::List(_)) => Err("is a list, which is the wrong form".to_owned()),
        (_, Value::Ready) => Err("is `true`, which is the wrong form".to_owned()),
    }
}

fn known(choices: &[Choice], key: &str) -> Result<(), String> {
    if choices.iter().any(|choice| choice.key == key) {
        return Ok(());
    }
    Err(format!("names `{}`, which is not among the choices", escape(key)))
}

/// What the value in a file looks like.
fn looks_like(form: &Form) -> String {
    let keys = |choices: &[Choice]| choices.iter().map(|choice| escape(&choice.key)).collect::<Vec<_>>().join(", ");
    match form {
        Form::Line { example, .. } => format!("`value` = a string such as \"{}\"", escape(example)),
        Form::Exactly { .. } => "`value` = the words, as a string".to_owned(),
        Form::Consent { word } => format!("`value` = \"{word}\""),
        Form::One(choices) => format!("`value` = one of {}", keys(choices)),
        Form::Several(choices) => format!("`value` = a list of any of {}", keys(choices)),
        Form::Ready => "`value` = true".to_owned(),
        Form::Secret { .. } => "nothing; secrets are typed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::forms::tests::{choices, question};
    use trustroot_core::digest::Digest;

    fn answers(text: &str) -> Answers {
        Answers::from_toml("day.toml", text).unwrap()
    }

    fn words<T>(result: Result<T, AudienceError>) -> String {
        match result {
            Err(AudienceError::Answers(words)) => words,
            Err(other) => panic!("another error: {other}"),
            Ok(_) => panic!("no error"),
        }
    }

    #[test]
    fn every_form_is_answered_in_order() {
        let mut a = answers(
            "[[answers.\"open.x\".q]]\nvalue = ' one '\n[[answers.\"open.x\".q]]\ninterject = true\n\
             [[answers.\"open.x\".q]]\nvalue = 'bob'\n[[answers.\"open.x\".q]]\nvalue = ['bob', 'alice']\n\
             [[answers.\"open.x\".q]]\nvalue = true\n[[answers.\"open.x\".q]]\nvalue = 'no'\n",
        );
        let line = question(Form::Line { example: "x".into(), optional: false });
        assert_eq!(a.ask(&line).unwrap(), Answer::Line("one".into()));
        assert_eq!(a.ask(&line).unwrap(), Answer::Interject);
        assert_eq!(a.ask(&question(Form::One(choices()))).unwrap(), Answer::One("bob".into()));
        let both = BTreeSet::from(["alice".to_owned(), "bob".to_owned()]);
        assert_eq!(a.ask(&question(Form::Several(choices()))).unwrap(), Answer::Several(both));
        assert!(words(a.finish()).starts_with("day.toml:9: the answer to question `q` of step open.x was never"));
        assert_eq!(a.ask(&question(Form::Ready)).unwrap(), Answer::Ready);
        let consent = question(Form::Consent { word: "sign" });
        assert_eq!(a.ask(&consent).unwrap(), Answer::Line("no".into()), "the conductor judges the word");
        a.finish().unwrap();
        let none = words(a.ask(&consent));
        assert!(
            none.contains("none is left") && none.contains("hint: add [answers.\"open.x\".q] with `value` = \"sign\"")
        );
    }

    #[test]
    fn only_the_digest_that_is_asked_about_is_affirmed() {
        let (right, wrong) = (Digest::of(b"right"), Digest::of(b"wrong"));
        let entry = |affirms: &str| answers(&format!("[answers.\"open.x\".q]\nvalue = true\n{affirms}\n"));
        let mut asked = question(Form::Ready);
        assert!(words(entry(&format!("affirms = '{right}'")).ask(&asked)).contains("nobody asked about"));
        asked.affirms = Some(right);
        assert!(words(entry("").ask(&asked)).contains("affirms nothing"));
        let other = words(entry(&format!("affirms = '{wrong}'")).ask(&asked));
        assert!(
            other.starts_with("day.toml:1: ")
                && other.contains(&right.to_string())
                && other.contains(&wrong.to_string())
        );
        assert_eq!(entry(&format!("affirms = '{right}'")).ask(&asked).unwrap(), Answer::Ready);
    }

    #[test]
    fn the_wrong_form_is_refused() {
        let entry = |value: &str| answers(&format!("[answers.\"open.x\".q]\nvalue = {value}\n"));
        for (form, value, says) in [
            (Form::Ready, "'yes'", "is a string, which is the wrong form"),
            (Form::Line { example: "x".into(), optional: false }, "true", "is `true`, which is the wrong form"),
            (Form::Line { example: "x".into(), optional: false }, "' '", "is empty"),
            (Form::Consent { word: "sign" }, "['sign']", "is a list, which is the wrong form"),
            (Form::One(choices()), "'mallory'", "names `mallory`, which is not among the choices"),
            (Form::Several(choices()), "['bob', 'bob']", "names `bob` twice"),
            (Form::Secret { min: 6, max: 8 }, "'123456'", "never stands in a file"),
        ] {
            let words = words(entry(value).ask(&question(form)));
            assert!(words.contains(says), "{words}");
        }
        let optional = Form::Line { example: "x".into(), optional: true };
        assert_eq!(entry("''").ask(&question(optional)).unwrap(), Answer::Line(String::new()));
    }

    #[test]
    fn a_file_that_is_refused_is_named_with_its_line() {
        let words = words(Answers::from_toml("day\u{1b}.toml", "\nx = 1"));
        assert!(words.starts_with("day\\u{1b}.toml:2: `x` is not known here\nhint: "), "{words}");
    }

    #[test]
    fn secrets_are_asked_elsewhere_or_not_at_all() {
        let asked = question(Form::Secret { min: 6, max: 8 });
        let mut alone = answers("");
        assert!(matches!(alone.secret(&asked, false), Err(AudienceError::NotAsked(_))));
        let rehearsed = crate::ui::rehearsed::Rehearsed::new("654321");
        let mut with = answers("").secrets_from(Box::new(rehearsed));
        assert_eq!(with.secret(&asked, false).ok().unwrap().expose(), b"654321");
    }
}
