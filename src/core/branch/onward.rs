//! One branch that went on in two places: the conductor's branch here and at a remote, a holder's branch and the
//! conductor's.
//!
//! Rules:
//! 1. What a ceremony holds, and every numbered root, is only ever added ([`is_kept`]). Both sides' additions are taken.
//! 2. Everything else (people's plans, what online keys sign again and again) may change on one side. What both sides changed
//!    is a finding: people choose, not we.
//! 3. What comes out holds as records ([`whole`]) before anybody goes on from it.

use crate::check::{Check, Finding, Level};
use crate::record::{Record, records};
use crate::replay::replay;
use crate::text::escape;
use crate::tree::Tree;
use crate::verify::roots::root_number;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// Where people edit.
pub const PLANS: &str = "ceremony/plans/";

/// Whether a file, once committed, keeps its bytes for ever.
pub fn is_kept(path: &str) -> bool {
    let in_record = path.starts_with("ceremony/") && !path.starts_with(PLANS);
    in_record || path.strip_prefix("root/").is_some_and(|name| root_number(name).is_some())
}

/// What two sides come to that parted at `base`: for each path the content of one of them. `E` is a content, or what stands
/// for one.
///
/// # Errors
/// Everything that contradicts, as findings of `BRANCH-REWRITE`.
pub fn onward<'a, E: PartialEq>(
    base: &BTreeMap<String, E>,
    mine: &'a BTreeMap<String, E>,
    theirs: &'a BTreeMap<String, E>,
) -> Result<Onward<'a, E>, Vec<Finding>> {
    let mut merged = BTreeMap::new();
    let mut findings = Vec::new();
    let paths: BTreeSet<&'a String> = mine.keys().chain(theirs.keys()).collect();
    for path in paths {
        let (before, here, there) = (base.get(path), mine.get(path), theirs.get(path));
        let taken = if here == there || before == there {
            here
        } else if before == here {
            there
        } else {
            let what = "it was changed here, and otherwise there; nobody but people can choose";
            findings.push(refused(path, what));
            continue;
        };
        if is_kept(path) && (before.is_some() && taken != before) {
            let side = if taken == here { "here" } else { "there" };
            let how = if taken.is_some() { "has other bytes" } else { "is gone" };
            findings.push(refused(path, &alloc::format!("it is never changed, and {how} {side}")));
            continue;
        }
        if let Some(taken) = taken {
            merged.insert(path.as_str(), taken);
        }
    }
    if findings.is_empty() { Ok(merged) } else { Err(findings) }
}

/// The files that two sides come to, by path.
pub type Onward<'a, E> = BTreeMap<&'a str, &'a E>;

fn refused(path: &str, what: &str) -> Finding {
    let finding = Finding::new(Level::Refused, Check::BranchRewrite, escape(path), what);
    finding.hint("look with `git log --all -- PATH` who did it; nothing was changed here")
}

/// Whether every record in `tree` reads and replays.
///
/// # Errors
/// What does not hold, of all records.
pub fn whole(tree: &Tree) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    for dir in records(tree) {
        match Record::read(tree, &dir) {
            Ok(record) => findings.extend(replay(&record, tree).err()),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned as _;

    const EVENT: &str = "ceremony/x/log/a/0001.json";
    const ROOT: &str = "root/2.root.json";
    const TIME: &str = "root/timestamp.json";
    const PLAN: &str = "ceremony/plans/x.toml";

    fn side(files: &[(&str, u8)]) -> BTreeMap<String, u8> {
        files.iter().map(|(path, content)| ((*path).to_owned(), *content)).collect()
    }

    fn merged(base: &[(&str, u8)], mine: &[(&str, u8)], theirs: &[(&str, u8)]) -> Result<Vec<(String, u8)>, String> {
        let (base, mine, theirs) = (side(base), side(mine), side(theirs));
        let found = onward(&base, &mine, &theirs)
            .map_err(|found| found.iter().map(|finding| alloc::format!("{finding}\n")).collect::<String>())?;
        Ok(found.into_iter().map(|(path, content)| (path.to_owned(), *content)).collect())
    }

    #[test]
    fn additions_of_both_sides_are_taken_and_removals_of_what_people_edit() {
        let found =
            merged(&[(PLAN, 1), (TIME, 1)], &[(PLAN, 1), (TIME, 2), (EVENT, 1)], &[(TIME, 1), (ROOT, 1)]).unwrap();
        assert_eq!(found, [(EVENT.to_owned(), 1), (ROOT.to_owned(), 1), (TIME.to_owned(), 2)]);
        assert_eq!(merged(&[], &[(EVENT, 1)], &[(EVENT, 1)]).unwrap(), [(EVENT.to_owned(), 1)]);
    }

    #[test]
    fn what_contradicts_is_a_finding() {
        for (base, mine, theirs) in [
            (&[][..], &[(EVENT, 1)][..], &[(EVENT, 2)][..]),
            (&[(EVENT, 1)], &[(EVENT, 1)], &[]),
            (&[(EVENT, 1)], &[], &[(EVENT, 1)]),
            (&[(ROOT, 1)], &[(ROOT, 1)], &[(ROOT, 2)]),
            (&[(TIME, 1)], &[(TIME, 2)], &[(TIME, 3)]),
            (&[(TIME, 1)], &[(TIME, 2)], &[]),
        ] {
            assert!(merged(base, mine, theirs).unwrap_err().contains("BRANCH-REWRITE"), "{base:?} {mine:?} {theirs:?}");
            assert!(merged(base, theirs, mine).is_err());
        }
    }
}
