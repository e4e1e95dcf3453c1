//! Finding the ceremony of a repository: the open one, the newest one, or none.

use trustroot_core::plan::Plan;
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

/// Every plan that a record of the repository froze.
pub(super) fn plans(tree: &Tree) -> Vec<Plan> {
    let frozen = |dir: String| tree.get(&format!("{dir}/plan.json"))?.bytes().and_then(|b| Plan::from_json(b).ok());
    records(tree).into_iter().filter_map(frozen).collect()
}

/// The newest ceremony that made a root.
pub(super) fn newest_made(tree: &Tree) -> Result<Option<Found>, Failure> {
    let mut made = Vec::new();
    for dir in records(tree) {
        made.push(read(tree, &dir)?);
    }
    Ok(made.into_iter().filter(|found| found.ceremony.assembled).max_by_key(|found| found.record.last_time()))
}

/// The newest record of the repository: the open one if one is open, else the one with the last event.
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
        } else if newest.as_ref().is_none_or(|n| !n.is_open() && n.record.last_time() <= found.record.last_time()) {
            newest = Some(found);
        }
    }
    Ok(newest)
}
