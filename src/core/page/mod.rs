//! Pages: what is shown at a step, as data.
//!
//! The terminal, the printed script and the record page are renderings of the same pages ([`plain`], [`html`]), so the
//! script that people hold is the program that runs. Text that came from outside is `Untrusted` in a [`Span`] and is
//! escaped by each renderer.

mod changes;
pub mod closing;
pub mod html;
pub mod plain;
pub mod readme;
pub mod review;
pub mod script;

use crate::digest::Digest;
use crate::event::{Act, StepId};
use crate::text::{Handle, Untrusted};
use crate::time::Timestamp;
use alloc::string::String;
use alloc::vec::Vec;

/// One page: one step of the ceremony, or a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The step.
    pub step: StepId,
    /// The act.
    pub act: Act,
    /// A heading in our own words.
    pub title: String,
    /// Who acts at this step.
    pub acts: Vec<Handle>,
    /// Who checks.
    pub checks: Vec<Handle>,
    /// About how many minutes it takes.
    pub minutes: u32,
    /// Whether what follows cannot be undone.
    pub irreversible: bool,
    /// What is on the page.
    pub blocks: Vec<Block>,
    /// What happened here, once it has.
    pub outcome: Vec<Outcome>,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// To be read aloud, word for word.
    Say(Text),
    /// To be done.
    Do(Text),
    /// An explanation.
    Note(Text),
    /// A line of risk that nobody may overlook.
    Risk(Text),
    /// Names and values, one a line.
    Facts(Vec<(String, Text)>),
    /// A digest, as hexadecimal digits and as words to be read aloud.
    Digest {
        /// What it is the digest of.
        label: String,
        /// The digest.
        digest: Digest,
    },
    /// A table.
    Table {
        /// The headings.
        head: Vec<String>,
        /// The rows, as many cells each as there are headings.
        rows: Vec<Vec<Text>>,
    },
    /// What changes from the last version to the next.
    Diff(Vec<Change>),
    /// Something to copy exactly, such as a command line.
    Code(String),
}

/// One line of a semantic diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changes, in words: "root threshold".
    pub what: String,
    /// The old value; nothing if it is new.
    pub old: Option<Text>,
    /// The new value; nothing if it is removed.
    pub new: Option<Text>,
}

/// What happened at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When, as stated.
    pub time: Timestamp,
    /// Who acted, as stated.
    pub acted: Handle,
    /// Who checked, as stated.
    pub checked: Vec<Handle>,
    /// What happened.
    pub what: Text,
    /// Whether it was an exception.
    pub exception: bool,
}

/// A run of our own and of foreign text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub Vec<Span>);

/// A piece of [`Text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// Our own words.
    Own(String),
    /// Words from outside, escaped by each renderer.
    Foreign(Untrusted),
}

impl Text {
    /// Our own words.
    pub fn own(text: impl Into<String>) -> Self {
        Self(alloc::vec![Span::Own(text.into())])
    }

    /// Words from outside.
    pub fn foreign(text: impl Into<String>) -> Self {
        Self(alloc::vec![Span::Foreign(Untrusted::new(text))])
    }

    /// With our own words after it.
    #[must_use]
    pub fn and(mut self, text: impl Into<String>) -> Self {
        self.0.push(Span::Own(text.into()));
        self
    }

    /// With words from outside after it.
    #[must_use]
    pub fn and_foreign(mut self, text: impl Into<String>) -> Self {
        self.0.push(Span::Foreign(Untrusted::new(text)));
        self
    }

    /// The text as one line, foreign parts escaped.
    pub fn line(&self) -> String {
        let mut line = String::new();
        for span in &self.0 {
            match span {
                Span::Own(text) => line.push_str(text),
                Span::Foreign(text) => line.push_str(&text.escaped()),
            }
        }
        line
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::own(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::own(text)
    }
}

/// A page and its parts, for the tests of the renderers.
#[cfg(test)]
pub(crate) mod sample {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    /// Every kind of block, with `foreign` wherever foreign text can stand, and the same as our own words.
    pub(crate) fn every_block(foreign: &str) -> Vec<Block> {
        let text = || Text::own("our words, ").and_foreign(foreign).and("; ").and(foreign);
        vec![
            Block::Say(text()),
            Block::Do(text()),
            Block::Note(text()),
            Block::Risk(text()),
            Block::Facts(vec![("name".to_string(), text()), (foreign.to_string(), text())]),
            Block::Digest { label: foreign.to_string(), digest: Digest::of(b"") },
            Block::Table {
                head: vec!["one".to_string(), foreign.to_string()],
                rows: vec![vec![text(), text()], vec![text()], vec![]],
            },
            Block::Diff(vec![
                Change { what: foreign.to_string(), old: Some(text()), new: Some(text()) },
                Change { what: "gone".to_string(), old: Some(text()), new: None },
                Change { what: "made".to_string(), old: None, new: Some(text()) },
                Change { what: "same".to_string(), old: None, new: None },
            ]),
            Block::Code(foreign.to_string()),
        ]
    }

    /// A page with every kind of block and one outcome.
    pub(crate) fn page() -> Page {
        let handle = |text| Handle::new(text).unwrap();
        Page {
            step: StepId::of(Act::Keys, &handle("alice"), "generate"),
            act: Act::Keys,
            title: "Generate the key".to_string(),
            acts: vec![handle("alice")],
            checks: vec![handle("bob"), handle("peter")],
            minutes: 3,
            irreversible: true,
            blocks: every_block("Zoë"),
            outcome: vec![Outcome {
                time: Timestamp::parse("2026-12-01T10:00:00Z").unwrap(),
                acted: handle("alice"),
                checked: vec![handle("bob")],
                what: "The key was made.".into(),
                exception: false,
            }],
        }
    }
}
