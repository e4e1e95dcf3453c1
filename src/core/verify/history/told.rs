//! What was found, gathered: the same thing found in several places is one finding that names them all.

use super::report::{Seen, Told};
use crate::check::{Check, Finding, Level};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The most places that one finding names; more are counted.
const MAX_SEEN: usize = 100;

/// What was found so far.
#[derive(Default)]
pub(super) struct Tell {
    told: Vec<Told>,
    known: BTreeMap<(Check, Level, String, String), usize>,
}

impl Tell {
    /// A finding, and where it was seen.
    pub(super) fn found(&mut self, finding: Finding, seen: Vec<Seen>) {
        let key = (finding.check, finding.level, finding.subject.clone(), finding.what.line());
        let number = *self.known.entry(key).or_insert_with(|| {
            self.told.push(Told { finding, seen: Vec::new(), more: 0 });
            self.told.len() - 1
        });
        let told = &mut self.told[number];
        for one in seen {
            if told.seen.contains(&one) {
                continue;
            }
            if told.seen.len() < MAX_SEEN { told.seen.push(one) } else { told.more += 1 }
        }
    }

    /// Everything, the gravest first, otherwise in the order in which it was found.
    pub(super) fn done(self) -> Vec<Told> {
        let mut told = self.told;
        told.sort_by_key(|told| core::cmp::Reverse(told.finding.level));
        told
    }
}
