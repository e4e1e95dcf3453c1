//! The audiences: every way there is to show a page to a person and to hear an answer.
//!
//! Rules:
//! 1. Nothing outside this module writes to a terminal. What is for people goes to the terminal or to standard error;
//!    data goes to standard output ([`report`]).
//! 2. Everything is linear text, one line after another, without colour and without emoji: it reads the same on a
//!    projector, on a serial line, through a screen reader and in a transcript.
//! 3. Foreign text reaches a person only through [`trustroot_core::page::Text::line`] or an escape.
//! 4. A question that cannot be asked is an error. There is no default answer anywhere.

pub mod answers;
mod forms;
pub mod recorder;
pub mod rehearsed;
pub mod report;
pub mod terminal;
mod tty;
mod typing;

pub use answers::Answers;
pub use recorder::{Recorder, Transcript};
pub use rehearsed::{Deviation, Instead, Rehearsed};
pub use terminal::Terminal;

use crate::seams::{Answer, AudienceError, Question, Tone};
use std::io::Write;
use trustroot_core::page::{Page, Text, plain};

/// How wide pages are where no terminal says how wide it is, in columns.
const WIDTH: usize = 80;

/// One line with its tone, as every audience writes it.
fn toned(kind: Tone, line: &Text) -> String {
    let tone = match kind {
        Tone::Done => "done",
        Tone::Note => "note",
        Tone::Trouble => "trouble",
        Tone::Hint => "hint",
    };
    format!("{tone}: {}", line.line())
}

/// The head of a question: the step, who is asked, and what.
fn headed(question: &Question) -> String {
    format!("{} ({}): {}", question.step, question.who, question.prompt.line())
}

/// An answer, as transcripts write it.
fn written(answer: &Answer) -> String {
    match answer {
        Answer::Line(line) => format!("\"{}\"", trustroot_core::text::escape(line)),
        Answer::One(key) => trustroot_core::text::escape(key),
        Answer::Several(keys) if keys.is_empty() => "(none)".to_owned(),
        Answer::Several(keys) => {
            keys.iter().map(|key| trustroot_core::text::escape(key)).collect::<Vec<_>>().join(", ")
        }
        Answer::Ready => "(Enter)".to_owned(),
        Answer::Interject => "!".to_owned(),
    }
}

/// Where an audience without a terminal writes what a person would have seen.
struct Sink(Box<dyn Write>);

impl Sink {
    fn nowhere() -> Self {
        Self(Box::new(std::io::sink()))
    }

    fn line(&mut self, line: &str) -> Result<(), AudienceError> {
        writeln!(self.0, "{line}")?;
        Ok(self.0.flush()?)
    }

    fn page(&mut self, page: &Page) -> Result<(), AudienceError> {
        self.line(plain::render(page, WIDTH).trim_end_matches('\n'))
    }
}
