//! Merges in the history of a trust root (`MERGE-UNION`).
//!
//! Several people's branches become one by merges, and a merge is where something can be slipped in that no single change
//! shows. What a merge holds beyond its parents is found by whoever reads git; what weighs is said here: files that are never
//! changed ([`is_kept`]). Everything else is judged by what it is now.

use super::report::{Report, Verdict};
use crate::branch::{Change, ChangeKind, is_kept};
use crate::check::{Check, Finding, Level};
use crate::text::escape;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The most findings about merges.
const MOST: usize = 20;

/// The merges of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merges {
    /// How many there are.
    pub count: usize,
    /// Those that hold what their parents do not explain: the full id, and what.
    pub odd: Vec<(String, Vec<Change>)>,
}

impl Report {
    /// The report, and what is to be said about the merges of the history.
    #[must_use]
    pub fn with_merges(mut self, merges: &Merges) -> Self {
        let changes = merges.odd.iter().flat_map(|(id, changes)| changes.iter().map(move |change| (id, change)));
        let mut found = changes.filter(|(_, change)| is_kept(&change.path));
        for (id, change) in found.by_ref().take(MOST) {
            let how = match change.kind {
                ChangeKind::Added => "has this file, and none of the commits that it merges does",
                ChangeKind::Changed => "has other bytes than any of the commits that it merges",
                ChangeKind::Removed => "lacks this file, which a commit that it merges has",
            };
            let what = format!("the merge {id} {how}");
            let finding = Finding::new(Level::Refused, Check::MergeUnion, escape(&change.path), what);
            self.findings.push(finding.hint("look with `git show -m COMMIT`; go on only from a commit before it"));
            self.verdict = Verdict::Refused;
        }
        if found.next().is_some() {
            let more =
                Finding::new(Level::Refused, Check::MergeUnion, "ceremony/", String::from("more files like these"));
            self.findings.push(more);
        }
        if merges.count > 0 {
            self.checked.push(format!("{} merges: each holds what its parents hold, and nothing else", merges.count));
        }
        self
    }
}
