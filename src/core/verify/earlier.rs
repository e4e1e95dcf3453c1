//! Records against those that came before them: the first event of each names every record that was over by then.
//!
//! Rules:
//! 1. What is named is there, and its folder has the digest named.
//! 2. What was over by then, as its own events state it, is named.

use super::look::Look;
use super::record::Held;
use crate::check::Check;
use crate::digest::Digest;
use crate::earlier::folder_digest;
use crate::event::{Deed, Event};
use crate::text::escape;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

const RESTORE: &str = "get the folder from another clone and compare; `git log -- PATH` says who changed it here";

/// Looks at what the first event of each record says of the others.
pub(super) fn look(look: &mut Look<'_>, all: &[Held]) {
    let mut bound = BTreeSet::new();
    for held in all {
        let dir = &held.record.dir;
        let Some((event, earlier)) = roll(held) else { continue };
        for (named, digest) in earlier {
            let path = format!("{dir}/{}", event.path());
            if !all.iter().any(|other| other.record.dir == *named && other.record.dir != *dir) {
                let what = format!("{path} names it, and there is no such record, or it cannot be read");
                look.refuse(Check::RecordEarlier, named, what).hint = Some(RESTORE.into());
            } else if folder_digest(look.tree, named) != *digest {
                let what = format!("it was over when {path} named it, and it is not what it was");
                look.refuse(Check::RecordEarlier, named, what).hint = Some(RESTORE.into());
            } else {
                bound.insert(named);
            }
        }
        let was_over = |other: &&Held| {
            other.record.dir != *dir && other.ceremony.is_over() && other.record.last_time() <= Some(event.time)
        };
        for other in all.iter().filter(was_over).filter(|other| !earlier.contains_key(&other.record.dir)) {
            let what =
                format!("it states that it was over before {} began, whose first event does not name it", escape(dir));
            look.refuse(Check::RecordEarlier, &other.record.dir, what).hint =
                Some("it was put in later; `git log -- PATH` says by whom".into());
        }
    }
    if !bound.is_empty() {
        look.checked.push(format!("{} earlier records, each as a later one names it", bound.len()));
    }
}

/// The event that called the roll, and the earlier records that it names.
fn roll(held: &Held) -> Option<(&Event, &BTreeMap<String, Digest>)> {
    let logged = held.event(|deed| matches!(deed, Deed::Roll { .. }))?;
    match &logged.event.deed {
        Deed::Roll { earlier, .. } => Some((&logged.event, earlier)),
        _ => None,
    }
}
