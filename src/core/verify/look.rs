//! What all parts of a verification share: what is looked at, and what was found so far.

use super::trust_root::Options;
use crate::check::{Check, Finding, Level};
use crate::page::Text;
use crate::signature::Verifier;
use crate::text::escape;
use crate::tree::{Entry, Tree};
use alloc::string::String;
use alloc::vec::Vec;

/// One verification under way.
pub(super) struct Look<'a> {
    pub(super) tree: &'a Tree,
    pub(super) options: &'a Options<'a>,
    pub(super) verifier: &'a dyn Verifier,
    pub(super) findings: Vec<Finding>,
    pub(super) checked: Vec<String>,
    pub(super) not_checked: Vec<String>,
    pub(super) caveats: Vec<String>,
}

impl Look<'_> {
    /// A finding about `subject`, which is escaped here. The caller may add a hint.
    pub(super) fn find(&mut self, level: Level, check: Check, subject: &str, what: impl Into<Text>) -> &mut Finding {
        self.findings.push(Finding::new(level, check, escape(subject), what));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    pub(super) fn refuse(&mut self, check: Check, subject: &str, what: impl Into<Text>) -> &mut Finding {
        self.find(Level::Refused, check, subject, what)
    }

    pub(super) fn warn(&mut self, check: Check, subject: &str, what: impl Into<Text>) -> &mut Finding {
        self.find(Level::Warning, check, subject, what)
    }

    pub(super) fn note(&mut self, check: Check, subject: &str, what: impl Into<Text>) {
        self.find(Level::Note, check, subject, what);
    }

    /// The bytes of the regular file at `path`.
    pub(super) fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.tree.get(path).and_then(Entry::bytes)
    }

    /// How many findings refuse so far.
    pub(super) fn refused(&self) -> usize {
        self.findings.iter().filter(|finding| finding.level == Level::Refused).count()
    }
}

/// What lies below `folder`, which ends in `/`, in order of paths.
pub(super) fn below<'t>(tree: &'t Tree, folder: &'t str) -> impl Iterator<Item = (&'t String, &'t Entry)> {
    tree.range(String::from(folder)..).take_while(move |(path, _)| path.starts_with(folder))
}
