//! Files of answers, for ceremonies that follow a script.
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
//! 2. `affirms` is the digest that the question is about, in 64 hexadecimal digits.

use crate::digest::Digest;
use crate::text::escape;
use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most bytes that a file of answers may have.
const LIMIT: usize = 1 << 20;

/// Answers by step and question, each in the order in which they are given.
pub type Answers = BTreeMap<(String, String), VecDeque<Entry>>;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line of the file, from 1.
    pub line: usize,
    /// What it says.
    pub value: Value,
    /// The digest that it affirms.
    pub affirms: Option<Digest>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A line, a word or one of several.
    Text(String),
    /// Any number of several.
    List(Vec<String>),
    /// It is done.
    Ready,
    /// An interjection in place of an answer.
    Interject,
}

/// Why a file is none of answers. Everything in it is inert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {what}\nhint: {hint}")]
pub struct AnswersError {
    /// The line of the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// What to do.
    pub hint: &'static str,
}

/// Reads a file of answers.
///
/// # Errors
/// Anything that is not in the form above, with its line.
pub fn read(text: &str) -> Result<Answers, AnswersError> {
    let file = File { text };
    if text.len() > LIMIT {
        return Err(file.refuse(0, "the file is longer than 1 MiB", "leave only answers in it"));
    }
    let top = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        file.refuse(at, &escape(error.message()), "mend the line; the file is TOML")
    })?;
    let mut all = Answers::new();
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
                all.insert((step.get_ref().to_string(), question.get_ref().to_string()), entries);
            }
        }
    }
    Ok(all)
}

/// The file while it is read, for the places of errors.
struct File<'t> {
    text: &'t str,
}

impl<'t> File<'t> {
    /// The line of a place, from 1.
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn refuse(&self, at: usize, what: &str, hint: &'static str) -> AnswersError {
        AnswersError { line: self.line(at), what: what.to_owned(), hint }
    }

    fn table<'v>(&self, value: &'v Spanned<DeValue<'t>>, what: &str) -> Result<&'v DeTable<'t>, AnswersError> {
        value.get_ref().as_table().ok_or_else(|| {
            let what = format!("{what} is not a table");
            self.refuse(value.span().start, &what, "every entry is [answers.\"STEP\".QUESTION]")
        })
    }

    fn entry(&self, value: &Spanned<DeValue<'t>>) -> Result<Entry, AnswersError> {
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

    #[test]
    fn the_file_is_strict() {
        for (text, says) in [
            ("x = 1", "1: `x` is not known here"),
            ("answers = 1", "1: `answers` is not a table"),
            ("[answers.\"open.x\"]\nq = 1", "2: an answer is not a table"),
            ("[answers.\"open.x\".q]\nvalue = 1", "2: a value is a string"),
            ("[answers.\"open.x\".q]\nvalue = false", "2: a value is a string"),
            ("[answers.\"open.x\".q]\nvalue = [1]", "2: a list holds strings only"),
            ("[answers.\"open.x\".q]\nvalue = 'x'\ninterject = true", "not both"),
            ("[answers.\"open.x\".q]\ninterject = false", "`interject` is not known here, or not in this form"),
            ("[answers.\"open.x\".q]\nvalue = 'x'\naffirms = 'ab'", "3: a digest is 64"),
            ("[answers.\"open.x\".q]\nvalu = 'x'", "2: `valu` is not known here"),
            ("[answers.\"open.x\".q]\n", "1: an answer without a value"),
            ("\n[answers.\"open.x\".q", "2: "),
            ("[answers.a.b]\nvalue='x'\n[answers.a.b]\nvalue='y'", "3: "),
        ] {
            let words = read(text).unwrap_err().to_string();
            assert!(words.contains(says) && words.contains("\nhint: "), "{text:?}: {words}");
        }
        assert!(read(&" ".repeat(LIMIT + 1)).unwrap_err().what.contains("1 MiB"));
    }

    proptest::proptest! {
        /// Pieces of an answers file in any order: read, or refused in words that move no cursor, and never a panic.
        #[test]
        fn any_file_is_read_or_refused(pieces in proptest::collection::vec(0..PIECES.len(), 0..12)) {
            let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
            if let Err(error) = read(&text) {
                let words = error.to_string();
                proptest::prop_assert!(!words.contains(|c: char| c.is_control() && c != '\n'), "{:?}", words);
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
