//! Every other file of metadata in every commit: whether a quorum signed it, and whether another of its version exists.
//!
//! Rules:
//! 1. A file is judged by the roots that lie in its own folder and in the folder of the chain at its own commit, as far as
//!    they belong to the chain; a delegated one by the targets beside it.
//! 2. Two files of one role and version that a quorum signed, with different payloads, are rivals.
//! 3. A timestamp that is not newer than the main line's newest, that a quorum signed and that the main line never held,
//!    shows that the line was written anew, or that somebody else was served.

use super::files::{Files, is_numbered, is_staged, named_role};
use super::line::Line;
use super::past::{Folder, Past, State};
use super::report::Seen;
use super::roots::Chain;
use super::sightings::{Sighting, Sightings};
use super::told::Tell;
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::metadata::Role;
use crate::text::escape;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What quorums signed: by role and version, then by payload.
type Valid<'s, 'a> = BTreeMap<(String, u64), BTreeMap<Digest, Vec<&'s Sighting<'a>>>>;

/// A file, judged.
struct Judged<'s, 'a> {
    one: &'s Sighting<'a>,
    role: String,
    version: u64,
    payload: Digest,
    /// Whether a quorum signed it; nothing if nobody says who should.
    signed: Option<bool>,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Counts {
    /// How many different files there are, and how many of them no quorum signed.
    pub(super) files: (usize, usize),
    /// How many of these were published.
    pub(super) unsigned: usize,
}

/// Judges all.
pub(super) fn look<'a>(
    files: &mut Files<'a>,
    chain: &Chain,
    line: &Line,
    sightings: &Sightings<'a>,
    tell: &mut Tell,
) -> Counts {
    let mut unsigned = 0;
    let past: &'a Past = files.past;
    let mut found: Vec<Judged<'_, 'a>> = Vec::new();
    past.walk(|moment, _, state| {
        found.extend(sightings.of_moment(moment).iter().filter_map(|one| judge(files, chain, state, one)));
    });
    found.sort_by_key(|judged| (judged.one.moment, judged.one.folder, judged.one.name));
    let mut valid: Valid<'_, 'a> = BTreeMap::new();
    let mut results: BTreeMap<(usize, &str), Option<bool>> = BTreeMap::new();
    for Judged { one, role, version, payload, signed } in &found {
        let entry = results.entry((one.blob, role)).or_insert(*signed);
        if *signed == Some(true) {
            *entry = *signed;
            valid.entry((role.clone(), *version)).or_default().entry(*payload).or_default().push(one);
        } else if *signed == Some(false)
            && one.on_line.is_some()
            && is_numbered(one.name)
            && line.judged.contains(one.folder)
            && !line.unsigned.contains(&(one.path(), one.blob))
        {
            unsigned += 1;
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
        let mut all: Vec<&Sighting<'_>> = payloads.values().flatten().copied().collect();
        all.sort_by_key(|one| one.moment);
        let seen = all.iter().map(|one| one.seen(past)).collect();
        let finding = Finding::new(Level::Warning, Check::MetaRival, subject, what)
            .hint("two clients may have got two answers: ask what was published, and from which branch");
        tell.found(finding, seen);
    }
    unheld(files, &valid, tell);
    let judged = results.values().filter(|result| result.is_some()).count();
    let without = results.values().filter(|result| **result == Some(false)).count();
    Counts { files: (judged, without), unsigned }
}

/// The name of a delegated role, from that of its file.
fn delegated_name(file: &str) -> &str {
    let base = file.strip_suffix(".json").unwrap_or(file);
    match base.split_once('.') {
        Some((_, role)) if is_numbered(file) => role,
        _ => base,
    }
}

/// Judges one file at the moment that brought it; nothing if it is a root, or no metadata.
fn judge<'s, 'a>(
    files: &mut Files<'a>,
    chain: &Chain,
    state: &State<'a>,
    one: &'s Sighting<'a>,
) -> Option<Judged<'s, 'a>> {
    let named = named_role(one.name);
    if !one.name.ends_with(".json") || matches!(named, Some((Role::Root, _))) {
        return None;
    }
    let read = files.read(one.name, one.blob)?;
    let (version, payload, kind) = (read.version, read.payload, read.role);
    let here = state.folder(one.folder)?;
    let roots = roots_of(files, chain, state, (one.folder, here));
    let role = match named {
        Some((role, _)) => role.name().to_string(),
        None => delegated_name(one.name).to_string(),
    };
    let signed = match named {
        Some(_) => Some(roots.iter().any(|root| files.is_signed(*root, kind, one.blob))),
        None => by_targets(files, &roots, here, one.blob, &role),
    };
    Some(Judged { one, role, version, payload, signed })
}

/// Rule 1: the contents of the roots.
fn roots_of<'a>(files: &mut Files<'a>, chain: &Chain, state: &State<'a>, own: (&'a str, &Folder<'a>)) -> Vec<usize> {
    let beside = state.folders().find(|(path, _)| *path == chain.folder);
    let mut roots = Vec::new();
    for (path, folder) in core::iter::once(own).chain(beside) {
        for (version, blob) in files.roots_in(path, folder).iter() {
            let payload = files.root(*blob).map(|root| root.payload().digest());
            let belongs = payload.is_some_and(|payload| chain.valid.get(version).is_some_and(|v| v.contains(&payload)));
            if belongs && !roots.contains(blob) {
                roots.push(*blob);
            }
        }
    }
    roots
}

/// Whether the targets beside a delegated file, signed themselves, let a quorum sign it; nothing if none delegate to it.
fn by_targets(files: &mut Files<'_>, roots: &[usize], here: &Folder<'_>, blob: usize, role: &str) -> Option<bool> {
    let mut asked = None;
    for (name, targets) in here.targets() {
        if files.read(name, targets).is_none() || !files.delegates(targets, role) {
            continue;
        }
        asked = Some(false);
        if roots.iter().any(|root| files.is_signed(*root, Role::Targets, targets))
            && files.is_signed_for(targets, role, blob)
        {
            return Some(true);
        }
    }
    asked
}

/// Rule 3.
fn unheld(files: &Files<'_>, valid: &Valid<'_, '_>, tell: &mut Tell) {
    if !files.past.moves.is_empty() {
        // What was left behind is told with each move.
        return;
    }
    let timestamps = || valid.iter().filter(|((role, _), _)| role == "timestamp");
    let on_line = |payloads: &BTreeMap<Digest, Vec<&Sighting<'_>>>| {
        payloads.values().flatten().any(|one| one.on_line.is_some() && !is_staged(one.folder))
    };
    let newest = timestamps().filter(|(_, payloads)| on_line(payloads)).map(|((_, version), _)| *version).max();
    let lost: Vec<Seen> = timestamps()
        .filter(|((_, version), payloads)| newest.is_some_and(|newest| *version <= newest) && !on_line(payloads))
        .flat_map(|(_, payloads)| payloads.values().flatten())
        .filter(|one| !is_staged(one.folder))
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
