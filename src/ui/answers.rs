//! An audience that reads its answers from a file, for ceremonies that follow a script.
//!
//! The file is strict TOML, keyed by step and by the name of the question:
//!
//! ```toml
//! [answers."open.roll".present]
//! value = ["alice", "bob"]
//!
//! [[answers."review.read".words]]     # asked twice in a row: answered in order
//! value = "not these"
//! affirms = "…64 hexadecimal digits…"
//! [[answers."review.read".words]]
//! interject = true
//! ```
//!
//! Rules:
//! 1. `value` is a string for a line, a word or one of several, a list of strings for any number of several, and `true`
//!    for "it is done". `interject = true` stands in place of a value.
//! 2. A question that affirms a digest is answered only by an entry with the same digest in `affirms`; an entry that
//!    affirms where the question does not is refused too.
//! 3. A missing answer, an answer in the wrong form and, at the end ([`Answers::finish`]), an unused answer are errors.
//! 4. Secrets never stand in the file. They are asked of the audience given to [`Answers::secrets_from`], or not at all.

use super::{Sink, headed, toned, written};
use crate::seams::{Answer, Audience, AudienceError, Choice, Form, Pin, Question, Tone};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use trustroot_core::digest::Digest;
use trustroot_core::page::{Page, Text};
use trustroot_core::text::escape;

/// The most bytes that a file of answers may have.
const LIMIT: usize = 1 << 20;

/// The audience that answers from a file.
pub struct Answers {
    name: String,
    left: BTreeMap<(String, String), VecDeque<Entry>>,
    secrets: Option<Box<dyn Audience>>,
    sink: Sink,
}

/// One answer of the file.
struct Entry {
    line: usize,
    value: Value,
    affirms: Option<Digest>,
}

/// What an answer says.
enum Value {
    Text(String),
    List(Vec<String>),
    Ready,
    Interject,
}

impl Answers {
    /// Reads a file of answers. `name` is how errors call the file.
    ///
    /// # Errors
    /// [`AudienceError::Answers`], with file and line, for anything that is not in the form above.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, AudienceError> {
        let file = File { name: escape(name), text };
        if text.len() > LIMIT {
            return Err(file.refuse(0, "the file is longer than 1 MiB", "leave only answers in it"));
        }
        let top = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            file.refuse(at, &escape(error.message()), "mend the line; the file is TOML")
        })?;
        let mut left = BTreeMap::new();
        for (key, value) in top.get_ref() {
            let at = key.span().start;
            if key.get_ref() != "answers" {
                let what = format!("`{}` is not known here", escape(key.get_ref()));
                return Err(file.refuse(at, &what, "every entry is [answers.\"STEP\".QUESTION]"));
            }
            for (step, questions) in file.table(value, "`answers`")? {
                for (question, entries) in file.table(questions, "a step")? {
                    let entries = match entries.get_ref() {
                        DeValue::Array(list) => list.iter().map(|entry| file.entry(entry)).collect::<Result<_, _>>()?,
                        _ => VecDeque::from([file.entry(entries)?]),
                    };
                    left.insert((step.get_ref().to_string(), question.get_ref().to_string()), entries);
                }
            }
        }
        Ok(Self { name: file.name, left, secrets: None, sink: Sink::nowhere() })
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

/// The file while it is read: its name and its text, for the places of errors.
struct File<'t> {
    name: String,
    text: &'t str,
}

impl<'t> File<'t> {
    /// The line of a place, from 1.
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn refuse(&self, at: usize, what: &str, hint: &str) -> AudienceError {
        AudienceError::Answers(format!("{}:{}: {what}\nhint: {hint}", self.name, self.line(at)))
    }

    fn table<'v>(&self, value: &'v Spanned<DeValue<'t>>, what: &str) -> Result<&'v DeTable<'t>, AudienceError> {
        value.get_ref().as_table().ok_or_else(|| {
            let what = format!("{what} is not a table");
            self.refuse(value.span().start, &what, "every entry is [answers.\"STEP\".QUESTION]")
        })
    }

    fn entry(&self, value: &Spanned<DeValue<'t>>) -> Result<Entry, AudienceError> {
        let at = value.span().start;
        let (mut said, mut affirms) = (None, None);
        for (key, field) in self.table(value, "an answer")? {
            let at = field.span().start;
            match (key.get_ref().as_ref(), field.get_ref()) {
                ("value" | "interject", _) if said.is_some() => {
                    return Err(self.refuse(at, "an answer is a value or an interjection, not both", "take one out"));
                }
                ("value", DeValue::String(text)) => said = Some(Value::Text(text.to_string())),
                ("value", DeValue::Boolean(true)) => said = Some(Value::Ready),
                ("value", DeValue::Array(list)) => {
                    let list: Option<Vec<_>> =
                        list.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
                    let list = list.ok_or_else(|| self.refuse(at, "a list holds strings only", "quote every item"))?;
                    said = Some(Value::List(list));
                }
                ("value", _) => {
                    let hint = "see the form of the question in the script";
                    return Err(self.refuse(at, "a value is a string, a list of strings, or true", hint));
                }
                ("interject", DeValue::Boolean(true)) => said = Some(Value::Interject),
                ("affirms", DeValue::String(hex)) => {
                    let digest = Digest::from_hex(hex);
                    affirms = Some(digest.map_err(|error| {
                        self.refuse(at, &error.to_string(), "copy the digest as it is printed, without spaces")
                    })?);
                }
                (other, _) => {
                    let what = format!("`{}` is not known here, or not in this form", escape(other));
                    return Err(self.refuse(at, &what, "an answer has `value` or `interject = true`, and `affirms`"));
                }
            }
        }
        match said {
            Some(value) => Ok(Entry { line: self.line(at), value, affirms }),
            None => Err(self.refuse(at, "an answer without a value", "add `value`, or `interject = true`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::forms::tests::{choices, question};

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
    fn the_file_is_strict() {
        for (text, says) in [
            ("x = 1", "day.toml:1: `x` is not known here"),
            ("answers = 1", "day.toml:1: `answers` is not a table"),
            ("[answers.\"open.x\"]\nq = 1", "day.toml:2: an answer is not a table"),
            ("[answers.\"open.x\".q]\nvalue = 1", "day.toml:2: a value is a string"),
            ("[answers.\"open.x\".q]\nvalue = false", "day.toml:2: a value is a string"),
            ("[answers.\"open.x\".q]\nvalue = [1]", "day.toml:2: a list holds strings only"),
            ("[answers.\"open.x\".q]\nvalue = 'x'\ninterject = true", "not both"),
            ("[answers.\"open.x\".q]\ninterject = false", "`interject` is not known here, or not in this form"),
            ("[answers.\"open.x\".q]\nvalue = 'x'\naffirms = 'ab'", "day.toml:3: a digest is 64"),
            ("[answers.\"open.x\".q]\nvalu = 'x'", "day.toml:2: `valu` is not known here"),
            ("[answers.\"open.x\".q]\n", "day.toml:1: an answer without a value"),
            ("\n[answers.\"open.x\".q", "day.toml:2: "),
            ("[answers.a.b]\nvalue='x'\n[answers.a.b]\nvalue='y'", "day.toml:3: "),
        ] {
            let words = words(Answers::from_toml("day.toml", text));
            assert!(words.contains(says) && words.contains("\nhint: "), "{text:?}: {words}");
        }
        assert!(words(Answers::from_toml("day.toml", &" ".repeat(LIMIT + 1))).contains("1 MiB"));
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

    proptest::proptest! {
        /// Pieces of an answers file in any order: read, or refused in words that move no cursor, and never a panic. What
        /// is read and never asked for is named at the end.
        #[test]
        fn any_file_is_read_or_refused(pieces in proptest::collection::vec(0..PIECES.len(), 0..12)) {
            let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
            match Answers::from_toml("day.toml", &text) {
                Ok(answers) => {
                    let answered = answers.left.values().any(|entries| !entries.is_empty());
                    proptest::prop_assert_eq!(answers.finish().is_err(), answered);
                }
                Err(error) => {
                    let words = error.to_string();
                    proptest::prop_assert!(!words.contains(|c: char| c.is_control() && c != '\n'), "{:?}", words);
                }
            }
        }
    }

    const PIECES: &[&str] = &[
        "[answers.\"open.x\".q]\n",
        "[[answers.\"open.x\".q]]\n",
        "[[answers.\"\\u001b[2J\".q]]\n",
        "[other]\n",
        "value = 'one'\n",
        "value = ['a', 'b']\n",
        "value = [1]\n",
        "value = true\n",
        "value = { a = 1 }\n",
        "interject = true\n",
        "interject = 1\n",
        "affirms = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n",
        "affirms = \"\\u202e\"\n",
        "pin = '123456'\n",
        "\u{1b}[2J",
        "\u{202e}",
        "'''\n",
        "[\n",
    ];
}
