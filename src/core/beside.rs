//! The SSH signatures that lie beside events, and how the events after them bind them.
//!
//! Nobody's digest is over a signature that lies beside the file it signs. So that none is taken away, added or exchanged
//! later:
//! 1. The signature of an event lies at the event's path with `.sig` behind it, and comes with the event, in one commit.
//! 2. Every event names, for each event it follows, the SHA-256 of the signature beside it; where none lies, it names none.
//! 3. It names nothing beside an event that it does not follow.
//! 4. Whoever signed an event signs all that they write after it, unless an exception of theirs for LOG-SIGNED stands in the record.
//!
//! What lies beside the newest events is named by nobody yet. Nothing follows the closing event, so this goes for its two
//! signatures as for the end itself: git's history and an anchor show whether it was cut off.

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::event::{Deed, Event};
use crate::record::Record;
use crate::text::{Handle, escape};
use crate::tree::Tree;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Where the SSH signature of an event lies, in the record in `dir`.
pub fn path(dir: &str, event: &Event) -> String {
    format!("{dir}/{}.sig", event.path())
}

/// Where the SSH signature lies that stands for the whole record, beside its closing event.
pub fn record_path(dir: &str, closing: &Event) -> String {
    format!("{dir}/{}.record.sig", closing.path())
}

/// Whether `author` signed an event of the record in `tree`.
pub fn signs(record: &Record, tree: &Tree, author: &Handle) -> bool {
    let own = record.events.iter().chain(&record.set_aside).filter(|logged| logged.event.author == *author);
    own.into_iter().any(|logged| tree.contains_key(&path(&record.dir, &logged.event)))
}

/// Rule 4: whether the record says that events of `author` stay unsigned from some point on.
pub fn admits_unsigned(record: &Record, author: &Handle) -> bool {
    record.events.iter().any(|logged| logged.event.author == *author && is_admission(&logged.event.deed))
}

/// Rule 4: whether this is what says it.
pub fn is_admission(deed: &Deed) -> bool {
    matches!(deed, Deed::Exception { check: Some(check), .. } if check == Check::LogSigned.name())
}

/// Rule 2 for all events of a record; rule 3 is held where the record is read.
pub fn check(record: &Record, tree: &Tree) -> Vec<Finding> {
    let all = || record.events.iter().chain(&record.set_aside);
    let known: BTreeMap<Digest, &Event> = all().map(|logged| (logged.digest, &logged.event)).collect();
    let mut findings = Vec::new();
    for event in all().map(|logged| &logged.event) {
        let at = || format!("{}/{}", record.dir, event.path());
        for digest in &event.after {
            let Some(followed) = known.get(digest) else { continue };
            let path = path(&record.dir, followed);
            let what = match (event.signatures.get(digest), tree.get(&path).map(|entry| entry.bytes().map(Digest::of)))
            {
                (None, None) => continue,
                (Some(named), Some(Some(found))) if *named == found => continue,
                (Some(_), None) => format!("it is missing; {} names it", at()),
                (Some(_), Some(_)) => format!("it is not the signature that {} names", at()),
                (None, Some(_)) => format!("{}, which follows, does not name it: it was added afterwards", at()),
            };
            let finding = Finding::new(Level::Refused, Check::RecordFiles, escape(&path), what);
            findings.push(finding.hint("restore it from git; `git log -- PATH` says who changed it"));
        }
    }
    findings
}
