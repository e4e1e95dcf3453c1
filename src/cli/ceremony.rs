//! Finding the ceremony of a repository: the open one, the newest one, or none.

use trustroot_core::record::{Record, records};
use trustroot_core::replay::{Ceremony, Next, replay};
use trustroot_core::tree::Tree;

use super::failure::{Failure, Kind};

/// A ceremony and its record.
pub(super) struct Found {
    /// The record.
    pub(super) record: Record,
    /// Where it stands.
    pub(super) ceremony: Ceremony,
}

impl Found {
    /// Whether somebody has to go on with it.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.ceremony.next(), Next::Closed | Next::Aborted)
    }
}

/// Reads and replays the record in `dir`.
pub(super) fn read(tree: &Tree, dir: &str) -> Result<Found, Failure> {
    let refused =
        |findings| Failure { findings, ..Failure::new(Kind::Refused, format!("the record in {dir} does not hold")) };
    let record = Record::read(tree, dir).map_err(refused)?;
    let ceremony = replay(&record, tree).map_err(|finding| refused(vec![finding]))?;
    Ok(Found { record, ceremony })
}

/// The newest record of the repository: the open one if one is open, else the last by name, which begins with the day.
pub(super) fn newest(tree: &Tree) -> Result<Option<Found>, Failure> {
    let mut newest: Option<Found> = None;
    for dir in records(tree) {
        let found = read(tree, &dir)?;
        if found.is_open() {
            if let Some(other) = newest.as_ref().filter(|other| other.is_open()) {
                let message = format!("two ceremonies are open: {} and {}", other.record.dir, found.record.dir);
                return Err(Failure::new(Kind::Refused, message).hint("finish or abandon one of them first"));
            }
            newest = Some(found);
        } else if newest.as_ref().is_none_or(|newest| !newest.is_open()) {
            newest = Some(found);
        }
    }
    Ok(newest)
}
