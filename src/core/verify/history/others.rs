//! Every other file of metadata in every commit: whether a quorum signed it, and whether another of its version exists.
//!
//! Rules:
//! 1. A file is judged by the roots that lie in its own folder and in the folder of the chain at its own commit, as far as
//!    they belong to the chain; a delegated one by the targets beside it.
//! 2. Two files of one role and version that a quorum signed, with different payloads, are rivals.
//! 3. A timestamp that is not newer than the main line's newest, that a quorum signed and that the main line never held,
//!    shows that the line was written anew, or that somebody else was served.

use super::files::{Files, is_numbered, is_staged, named_role, roots_in};
use super::past::Held;
use super::report::Seen;
use super::roots::{Chain, Sighting};
use super::told::Tell;
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::metadata::Role;
use crate::text::escape;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Judges all; how many different files there are, and how many of them no quorum signed.
pub(super) fn look(
    files: &mut Files<'_>,
    chain: &Chain,
    judged: &BTreeSet<String>,
    sightings: &[Sighting],
    tell: &mut Tell,
) -> (usize, usize) {
    let past = files.past;
    let mut valid: BTreeMap<(String, u64), BTreeMap<Digest, Vec<&Sighting>>> = BTreeMap::new();
    let mut results: BTreeMap<(usize, String), Option<bool>> = BTreeMap::new();
    for one in sightings {
        let named = named_role(&one.name);
        if !one.name.ends_with(".json") || matches!(named, Some((Role::Root, _))) {
            continue;
        }
        let Some(read) = files.read(&one.name, one.blob) else { continue };
        let (version, payload, kind) = (read.version, read.payload, read.role);
        let role = match named {
            Some((role, _)) => role.name().to_string(),
            None => delegated_name(&one.name).to_string(),
        };
        let roots = roots_of(files, chain, one);
        let signed = match named {
            Some(_) => Some(roots.iter().any(|root| files.is_signed(*root, kind, one.blob))),
            None => by_targets(files, &roots, one, &role),
        };
        let entry = results.entry((one.blob, role.clone())).or_insert(signed);
        if signed == Some(true) {
            *entry = signed;
            valid.entry((role, version)).or_default().entry(payload).or_default().push(one);
        } else if signed == Some(false)
            && one.on_line.is_some()
            && is_numbered(&one.name)
            && judged.contains(&one.folder)
        {
            let what = "no quorum of its role signed it, by any root that lies in its own commit";
            let finding = Finding::new(Level::Warning, Check::MetaQuorum, escape(&one.path()), what);
            tell.found(finding, Vec::from([one.seen(past)]));
        }
    }
    for ((role, version), payloads) in &valid {
        if payloads.len() < 2 {
            continue;
        }
        let what = format!("{} different files of version {version} are validly signed", payloads.len());
        let subject = format!("{} {version}", escape(role));
        let seen = payloads.values().flatten().map(|one| one.seen(past)).collect();
        let finding = Finding::new(Level::Warning, Check::MetaRival, subject, what)
            .hint("two clients may have got two answers: ask what was published, and from which branch");
        tell.found(finding, seen);
    }
    unheld(files, &valid, tell);
    let judged = results.values().filter(|result| result.is_some()).count();
    (judged, results.values().filter(|result| **result == Some(false)).count())
}

/// The name of a delegated role, from that of its file.
fn delegated_name(file: &str) -> &str {
    let base = file.strip_suffix(".json").unwrap_or(file);
    match base.split_once('.') {
        Some((_, role)) if is_numbered(file) => role,
        _ => base,
    }
}

/// Rule 1: the contents of the roots.
fn roots_of(files: &mut Files<'_>, chain: &Chain, one: &Sighting) -> Vec<usize> {
    let at = files.past.moments.get(one.moment).map(|moment| moment.folders.as_slice()).unwrap_or_default();
    let beside = at.iter().filter(|(path, _)| *path == chain.folder).map(|(_, within)| *within);
    let folders: Vec<usize> = core::iter::once(one.within).chain(beside).collect();
    let mut roots = Vec::new();
    for folder in folders {
        for (version, blob) in roots_in(files, folder) {
            let payload = files.root(blob).map(|root| root.payload().digest());
            let belongs =
                payload.is_some_and(|payload| chain.valid.get(&version).is_some_and(|v| v.contains(&payload)));
            if belongs && !roots.contains(&blob) {
                roots.push(blob);
            }
        }
    }
    roots
}

/// Whether the targets beside a delegated file, signed themselves, let a quorum sign it; nothing if none delegate to it.
fn by_targets(files: &mut Files<'_>, roots: &[usize], one: &Sighting, role: &str) -> Option<bool> {
    let past = files.past;
    let mut asked = None;
    for (name, held) in past.files(one.within) {
        let (Some((Role::Targets, _)), Held::Blob(targets)) = (named_role(name), held) else { continue };
        if files.read(name, targets).is_none() || !files.delegates(targets, role) {
            continue;
        }
        asked = Some(false);
        if roots.iter().any(|root| files.is_signed(*root, Role::Targets, targets))
            && files.is_signed_for(targets, role, one.blob)
        {
            return Some(true);
        }
    }
    asked
}

/// Rule 3.
fn unheld(files: &Files<'_>, valid: &BTreeMap<(String, u64), BTreeMap<Digest, Vec<&Sighting>>>, tell: &mut Tell) {
    if !files.past.moves.is_empty() {
        // What was left behind is told with each move.
        return;
    }
    let timestamps = || valid.iter().filter(|((role, _), _)| role == "timestamp");
    let on_line = |payloads: &BTreeMap<Digest, Vec<&Sighting>>| {
        payloads.values().flatten().any(|one| one.on_line.is_some() && !is_staged(&one.folder))
    };
    let newest = timestamps().filter(|(_, payloads)| on_line(payloads)).map(|((_, version), _)| *version).max();
    let lost: Vec<Seen> = timestamps()
        .filter(|((_, version), payloads)| newest.is_some_and(|newest| *version <= newest) && !on_line(payloads))
        .flat_map(|(_, payloads)| payloads.values().flatten())
        .filter(|one| !is_staged(&one.folder))
        .map(|one| one.seen(files.past))
        .collect();
    if lost.is_empty() {
        return;
    }
    let what = "validly signed timestamps, older than the newest, that the main line never held: it was written anew, or \
                another line was published";
    let finding = Finding::new(Level::Warning, Check::HistoryRewrite, "the main line", what)
        .hint("`git branch -a --contains COMMIT` says which reference still knows it");
    tell.found(finding, lost);
}
