//! Rivals: another validly signed root of a version, in git's history or in a record that was abandoned; and keys that
//! were used in a rehearsal.
//!
//! Who signs two roots of one version lets two groups of clients part for ever, and each of the two looks right.

use super::look::Look;
use super::proposed::Proposed;
use super::published::Published;
use super::record::{Held, keys_lying_in};
use super::roots::root_number;
use super::trust_root::History;
use crate::chain;
use crate::check::Check;
use crate::digest::Digest;
use crate::event::{Deed, Event};
use crate::key::PublicKey;
use crate::metadata::root::Root;
use crate::metadata::timestamp::Timestamp;
use crate::metadata::{Metadata, Role};
use crate::payload::Payload;
use crate::sigfile::{SignedRole, collect};
use crate::text::escape;
use crate::trusted::TrustedTargets;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Every root that git's history holds beside those in `root/`.
pub(super) fn in_history(look: &mut Look<'_>, published: &Published) {
    let past = match &look.options.history {
        History::None => {
            look.not_checked.push("rivals and rewrites: there is no git history here".to_string());
            return;
        }
        History::Shallow(past) => {
            look.not_checked.push("rivals and rewrites before the clone was cut (`git fetch --unshallow`)".to_string());
            *past
        }
        History::Whole(past) => *past,
    };
    let mut seen = BTreeSet::new();
    for file in past {
        let Some(number) = file.path.strip_prefix("root/").and_then(root_number) else { continue };
        if look.bytes(&file.path) == Some(file.bytes.as_slice()) {
            continue;
        }
        let commit: String = escape(&file.commit).chars().take(40).collect();
        let subject = format!("{} in commit {commit}", file.path);
        let Ok(read) = Metadata::<Root>::parse(&file.path, &file.bytes) else {
            look.warn(Check::RootRival, &subject, "another file of this name, which cannot be read");
            continue;
        };
        if !seen.insert((number, read.payload().digest(), read.file_digest())) {
            continue;
        }
        let own = chain::own_quorum(&read, look.verifier).is_ok();
        let old = number.checked_sub(1).and_then(|before| published.roots.get(&before));
        let follows = number == 1 || old.is_none_or(|old| chain::follows(old, &read, look.verifier).is_ok());
        match published.roots.get(&number) {
            Some(now) if now.payload() == read.payload() => {
                look.warn(Check::RootRival, &subject, "the same payload with other signatures: the file was rewritten");
            }
            Some(_) if own && follows => {
                let what = format!("another validly signed root {number}: {}", read.payload().digest());
                look.refuse(Check::RootRival, &subject, what).hint =
                    Some("ask the holders which one counts, and publish their answer as the next root".to_string());
            }
            Some(_) => {
                look.warn(Check::RootRival, &subject, "another root of this version, without its quorum");
            }
            None if own && follows => {
                let what =
                    format!("a root {number} that is not in root/: a newer one, on another branch or taken away");
                look.warn(Check::RootRival, &subject, what).hint =
                    Some("look at the commit, and verify it".to_string());
            }
            None => {}
        }
    }
    let contents = past.iter().filter(|file| file.path.starts_with("root/")).count();
    look.checked.push(format!("git history: {contents} contents of root/, for rivals and rewrites"));
}

/// The newest timestamp that an earlier commit held, if the one in `root/` is older: clients that saw it take no older one
/// (TUF 5.4.3), and whoever did not see it is kept behind.
///
/// Only what the newest root's role signed counts: its keys end what others signed. If the keys of the snapshot changed
/// while those of the timestamp stayed, both may have begun anew (5.3.11), and it is told as a warning.
pub(super) fn rolled_back(look: &mut Look<'_>, published: &Published) {
    let (History::Shallow(past) | History::Whole(past)) = look.options.history else { return };
    let Some((root, now, _)) = published.targets.as_ref().map(TrustedTargets::set) else { return };
    let mut newest: Option<(u64, String)> = None;
    for file in past.iter().filter(|file| file.behind && file.path == "root/timestamp.json") {
        let Ok(read) = Metadata::<Timestamp>::parse(&file.path, &file.bytes) else { continue };
        let newer = read.version() > newest.as_ref().map_or(now.version(), |(version, _)| *version);
        if newer && chain::signed_by(root, Role::Timestamp, &read, Check::MetaQuorum, look.verifier).is_ok() {
            newest = Some((read.version(), escape(&file.commit).chars().take(40).collect()));
        }
    }
    let Some((version, commit)) = newest else { return };
    let keys = |root: &Metadata<Root>, role| root.body().role(role).keys.clone();
    let begun_anew = published.roots.values().any(|old| {
        keys(old, Role::Timestamp) == keys(root, Role::Timestamp)
            && keys(old, Role::Snapshot) != keys(root, Role::Snapshot)
    });
    let what = format!("commit {commit} held version {version}, and it is version {} now", now.version());
    let finding = if begun_anew {
        look.warn(Check::MetaRollback, "root/timestamp.json", what)
    } else {
        look.refuse(Check::MetaRollback, "root/timestamp.json", what)
    };
    finding.hint = Some("clients that saw the later one refuse this one: ask who put it back".to_string());
}

/// Every file of a record that an earlier commit held and this one does not: a log that was written anew may be whole.
///
/// The end of a rehearsal may be made anew, and is told: its pages change with every version that renders them.
pub(super) fn rewritten(look: &mut Look<'_>, all: &[Held]) {
    let mut rendered: BTreeMap<&String, usize> = BTreeMap::new();
    let (History::Shallow(past) | History::Whole(past)) = look.options.history else { return };
    for file in past.iter().filter(|file| is_of_record(&file.path)) {
        if look.bytes(&file.path) == Some(file.bytes.as_slice()) {
            continue;
        }
        if let Some(held) = all.iter().find(|held| is_end_of_rehearsal(held, &file.path, &file.bytes)) {
            *rendered.entry(&held.record.dir).or_default() += 1;
            continue;
        }
        let commit: String = escape(&file.commit).chars().take(40).collect();
        let what = format!("commit {commit} has it, and a later one changed or removed it: a record only grows");
        look.refuse(Check::RecordFiles, &file.path, what).hint =
            Some("`git log -- PATH` says who did it; ask them why".to_string());
    }
    for (dir, files) in rendered {
        look.note(
            Check::RecordFiles,
            dir,
            format!("the end of the rehearsal was made anew: {files} earlier files in git"),
        );
    }
}

/// Whether the file is a page of this closed rehearsal, or an event that closed it: what follows from the rest.
fn is_end_of_rehearsal(held: &Held, path: &str, bytes: &[u8]) -> bool {
    let Some(inside) = path.strip_prefix(&format!("{}/", held.record.dir)) else { return false };
    let closes = || Event::from_bytes(bytes).is_ok_and(|event| matches!(event.deed, Deed::Closed { .. }));
    held.record.plan.rehearsal
        && held.ceremony.closed
        && (matches!(inside, "script.html" | "record.html" | "README.md") || inside.starts_with("log/") && closes())
}

/// Whether the path lies in a record, and not where people edit plans.
fn is_of_record(path: &str) -> bool {
    let rest = path.strip_prefix("ceremony/").and_then(|rest| rest.split_once('/'));
    rest.is_some_and(|(folder, _)| folder != "plans")
}

/// Every proposal of a record that did not become the root of its version.
pub(super) fn in_records<'a>(
    look: &mut Look<'_>,
    proposals: impl Iterator<Item = (&'a Held, &'a Proposed)>,
    published: Option<&Published>,
) {
    // By version: the first record with a quorum for it, where nothing is published yet.
    let mut complete: BTreeMap<u64, (&String, Digest)> = BTreeMap::new();
    for (held, proposed) in proposals {
        let dir = &held.record.dir;
        let now = published.and_then(|published| published.roots.get(&proposed.version));
        let (have, missing) = (proposed.signatures, proposed.missing);
        if held.assembled().is_some() || now.is_some_and(|root| root.payload().digest() == proposed.payload) {
            continue;
        }
        let mut other = now.is_some();
        if now.is_none() && missing == 0 {
            let (_, first) = complete.entry(proposed.version).or_insert((dir, proposed.payload));
            other = *first != proposed.payload;
        }
        if other && missing == 0 {
            let what = format!("{have} holders signed another root {}: {}", proposed.version, proposed.payload);
            look.refuse(Check::RootRival, dir, what).hint =
                Some("a quorum on a payload is a valid root for ever".to_string());
        } else if held.ceremony.aborted.is_some() && have > 0 {
            let what = format!(
                "{have} holders signed the root {} that was abandoned; {missing} more make it valid",
                proposed.payload
            );
            look.warn(Check::RivalPossible, dir, what).hint = Some(
                "whoever collects them has another root of this version; the holders must never sign it".to_string(),
            );
        }
    }
}

/// Every ceremony for the version of an abandoned one says that a rival is possible.
pub(super) fn admitted<'a>(look: &mut Look<'_>, proposals: impl Iterator<Item = (&'a Held, &'a Proposed)>) {
    let all: Vec<(&Held, &Proposed)> = proposals.collect();
    for (held, proposed) in &all {
        let began =
            |held: &Held| held.event(|deed| matches!(deed, Deed::Proposed { .. })).map(|logged| logged.event.time);
        let earlier = all.iter().filter(|(other, of)| {
            let over = other.ceremony.aborted.is_some() && other.record.last_time() <= began(held);
            over && of.version == proposed.version && of.signatures > 0 && other.record.dir != held.record.dir
        });
        let dirs: Vec<&str> = earlier.map(|(other, _)| other.record.dir.as_str()).collect();
        if !dirs.is_empty() && !held.ceremony.admits(Check::RivalPossible, None) {
            let what = format!(
                "it proposes root {}, as {} did, and no exception in the record says so",
                proposed.version,
                dirs.join(" and ")
            );
            look.refuse(Check::RivalPossible, &held.record.dir, what).hint = Some(
                "those who signed were not told that signatures on another root of this version exist".to_string(),
            );
        }
    }
}

/// What a choice between the branches of a fork set aside: it does not count in the record, and its signatures are as good
/// as any.
pub(super) fn set_aside(look: &mut Look<'_>, held: &Held, published: Option<&Published>) {
    let (dir, aside) = (&held.record.dir, &held.record.set_aside);
    if aside.is_empty() {
        return;
    }
    let events = if aside.len() == 1 { "1 event".to_string() } else { format!("{} events", aside.len()) };
    let paths: Vec<String> = aside.iter().map(|logged| logged.event.path()).collect();
    let what = format!("{events} set aside, which an event chose not to count: {}", paths.join(", "));
    look.warn(Check::LogFork, dir, what).hint = Some("read them: one may say what somebody wants unsaid".to_string());
    look.caveats.push(format!("{events} of {dir} set aside"));

    let lying = keys_lying_in(look, dir);
    let keys: Vec<&PublicKey> = lying.iter().map(|(_, key)| key).collect();
    let need = held.ceremony.threshold();
    for logged in aside {
        let Deed::Proposed { root, .. } = &logged.event.deed else { continue };
        let path = format!("{dir}/signatures/root-{root}/payload.json");
        let Some(payload) = look.bytes(&path).and_then(|bytes| Payload::from_canonical(bytes).ok()) else { continue };
        let is_published = |root: &Metadata<Root>| root.payload().digest() == payload.digest();
        if published.is_some_and(|published| published.roots.values().any(is_published)) {
            continue;
        }
        match collect(look.tree, dir, SignedRole::Root, &payload, &keys, look.verifier).valid.len() {
            0 => {}
            have if have >= need => {
                let what = format!("{have} holders signed a root that was set aside");
                look.refuse(Check::RootRival, &path, what).hint =
                    Some("a quorum on a payload is a valid root for ever".to_string());
            }
            have => {
                let what =
                    format!("{have} holders signed a root that was set aside; {} more make it valid", need - have);
                look.warn(Check::RootRival, &path, what);
            }
        }
    }
}
