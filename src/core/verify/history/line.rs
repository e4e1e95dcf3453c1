//! The main line, moment by moment: whether what was published fitted together, went back, was written anew, and was
//! renewed in time.
//!
//! Rules:
//! 1. A folder is judged from its first timestamp on, if its newest root belongs to the chain; folders in which signatures
//!    are collected are not. Who was served from where cannot be seen: every such folder counts as published.
//! 2. A span that did not fit is one finding, from its first commit to the one that mended it. One that nothing mended
//!    refuses.
//! 3. A numbered file never changes its payload.
//! 4. Margins go by the times of commits, which are stated.

use super::Ask;
use super::files::{Files, is_numbered, is_staged};
use super::past::{Folder, Held, Past};
use super::report::{Break, RoleLife, RoleSpan, Seen};
use super::roots::{Chain, shown};
use super::set::{Fit, Set, fit, went_back};
use super::told::Tell;
use crate::check::{Check, Finding, Level};
use crate::metadata::Refusal;
use crate::page::Text;
use crate::text::escape;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// From how little time to expiry on root and targets are due, in days.
const DUE: i64 = 14;

/// What became of the main line.
#[derive(Default)]
pub(super) struct Line {
    pub(super) breaks: Vec<Break>,
    pub(super) waited: usize,
    /// By role: the spans, each with the moment that brought it and its path and content.
    pub(super) lives: BTreeMap<String, Vec<(RoleSpan, usize, String, usize)>>,
    /// Files that were told for want of a quorum, each by its path and content.
    pub(super) unsigned: BTreeSet<(String, usize)>,
    /// Folders that were judged.
    pub(super) judged: BTreeSet<String>,
    /// Folders whose roots belong to no root of the chain.
    pub(super) others: BTreeSet<String>,
    pub(super) moments: usize,
}

/// One folder under way.
#[derive(Default)]
struct Place {
    set: Option<Set>,
    /// The moment that brought the set.
    since: usize,
    open: Option<Open>,
    back: Vec<(Set, Finding, Vec<Seen>)>,
    /// By name: the content, and the moment that brought it.
    numbered: BTreeMap<String, (usize, usize)>,
}

/// A span that does not fit.
struct Open {
    refusal: Refusal,
    name: String,
    blob: Option<usize>,
    from: usize,
}

/// Walks the line.
pub(super) fn walk<'a>(files: &mut Files<'a>, chain: &Chain, tell: &mut Tell) -> Line {
    let past: &'a Past = files.past;
    let mut line = Line::default();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let mut noted = None;
    past.line(|moment, at, state| {
        line.moments += 1;
        for path in state.touched().filter(|path| !is_staged(path)) {
            match state.folder(path) {
                Some(folder) => judge(&mut line, &mut places, (path, folder), moment, chain, files, tell),
                None => {
                    let Some(mut place) = places.remove(path) else { continue };
                    close(&mut line, &mut place, path, Some(moment), files, tell);
                    backs(path, place, files, tell, false);
                }
            }
        }
        current(&mut line, &places, chain, &mut noted, (moment, at.time));
    });
    for (path, mut place) in places {
        close(&mut line, &mut place, &path, None, files, tell);
        backs(&path, place, files, tell, true);
    }
    line
}

/// Judges a folder that this moment changed.
fn judge<'a>(
    line: &mut Line,
    places: &mut BTreeMap<String, Place>,
    (path, folder): (&'a str, &Folder<'a>),
    moment: usize,
    chain: &Chain,
    files: &mut Files<'a>,
    tell: &mut Tell,
) {
    let known = places.contains_key(path);
    if !known && !folder.is_served() {
        return;
    }
    let newest = files.roots_in(path, folder).first().copied();
    let root = newest.and_then(|(_, blob)| files.root(blob));
    let belongs = root.is_some_and(|root| {
        chain.valid.get(&root.version()).is_some_and(|valid| valid.contains(&root.payload().digest()))
    });
    if !known && !belongs {
        if newest.is_some() {
            line.others.insert(path.to_string());
        }
        return;
    }
    line.judged.insert(path.to_string());
    let place = places.entry(path.to_string()).or_insert_with(|| {
        let numbered = folder.files().filter(|(name, _)| is_numbered(name)).filter_map(|(name, held)| match held {
            Held::Blob(blob) => Some((name.to_string(), (blob, moment))),
            Held::Odd(_) => None,
        });
        Place { numbered: numbered.collect(), ..Place::default() }
    });
    numbered(place, path, moment, files, tell);
    match fit(files, path, folder) {
        Fit::Waits => {
            line.waited += 1;
            close(line, place, path, Some(moment), files, tell);
        }
        Fit::Fits(set) => {
            close(line, place, path, Some(moment), files, tell);
            if let Some(before) = &place.set
                && let Some(what) = went_back(files, before, &set)
            {
                let seen = [(before, place.since), (&set, moment)].map(|(set, at)| {
                    let part = set.parts.get(1);
                    let name = part.map_or("timestamp.json", |part| part.name.as_str());
                    Seen::at(files.past, at, &joined(path, name), part.map(|part| part.blob))
                });
                let finding = Finding::new(Level::Warning, Check::MetaRollback, shown(path), what)
                    .hint("clients that saw the later state refuse the earlier one: ask who put it back");
                place.back.push((before.clone(), finding, seen.to_vec()));
            }
            (place.set, place.since) = (Some(set), moment);
        }
        Fit::Breaks(refusal, name, blob) => {
            let same =
                place.open.as_ref().is_some_and(|open| open.refusal.check() == refusal.check() && open.name == name);
            if !same {
                close(line, place, path, Some(moment), files, tell);
                place.open = Some(Open { refusal, name, blob, from: moment });
            }
        }
    }
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

/// Ends a span that did not fit, at the moment that mended it or took the folder away.
fn close(line: &mut Line, place: &mut Place, path: &str, until: Option<usize>, files: &Files<'_>, tell: &mut Tell) {
    let Some(open) = place.open.take() else { return };
    let past = files.past;
    let time = |moment: usize| past.moments.get(moment).map_or(Timestamp::EPOCH, |moment| moment.time);
    let (from, to) = (time(open.from), until.map(time));
    // One commit may fail in several ways, one after the other.
    line.breaks.push(Break { from, until: to });
    let file = joined(path, &open.name);
    if let Some(blob) = open.blob.filter(|_| open.refusal.check() == Check::MetaQuorum) {
        line.unsigned.insert((file.clone(), blob));
    }
    let mut seen = Vec::from([Seen::at(past, open.from, &file, open.blob)]);
    let found = open.refusal.finding();
    let (level, end) = match until {
        Some(moment) => {
            seen.push(Seen::at(past, moment, "", None));
            (Level::Warning, format!("from {from}, mended after {}", lasted(from, time(moment))))
        }
        None => (Level::Refused, format!("since {from}, and not mended")),
    };
    let what = Text(found.what.0.clone()).and(format!(": so a client that came then was refused ({end})"));
    let mut finding = Finding::new(level, found.check, escape(&file), what);
    finding.hint = match until {
        Some(_) => Some("the commits are those that began and that mended it".to_string()),
        None => Some("whoever publishes has to mend it; clients refuse this set".to_string()),
    };
    tell.found(finding, seen);
}

/// Tells the steps back, which weigh more where the last set is still behind.
fn backs(path: &str, place: Place, files: &mut Files<'_>, tell: &mut Tell, at_end: bool) {
    let Place { back, set, .. } = place;
    for (before, mut finding, seen) in back {
        let behind = at_end && set.as_ref().is_some_and(|last| went_back(files, &before, last).is_some());
        if behind {
            finding.level = Level::Refused;
            finding.subject = shown(path);
        }
        tell.found(finding, seen);
    }
}

/// Rule 3, for what this moment changed.
fn numbered(place: &mut Place, path: &str, moment: usize, files: &mut Files<'_>, tell: &mut Tell) {
    let past = files.past;
    for (name, blob) in past.changed(moment, path).filter(|(name, _)| is_numbered(name)) {
        let old = place.numbered.insert(name.to_string(), (blob, moment));
        let Some((old, since)) = old.filter(|(old, _)| *old != blob) else { continue };
        let payload = |files: &mut Files<'_>, blob| files.read(name, blob).map(|read| read.payload);
        let same = payload(files, old).is_some() && payload(files, old) == payload(files, blob);
        let (level, what) = if same {
            (Level::Note, "the published file was changed: the same payload, with other signatures or another spelling")
        } else {
            (Level::Warning, "the published file was changed to another payload under the same number")
        };
        let file = joined(path, name);
        let mut finding = Finding::new(level, Check::HistoryRewrite, escape(&file), what);
        if !same {
            finding.hint = Some("a number is given once: compare both, and ask who changed it".to_string());
        }
        tell.found(
            finding,
            Vec::from([Seen::at(past, since, &file, Some(old)), Seen::at(past, moment, &file, Some(blob))]),
        );
    }
}

/// Notes what clients get at this moment: of the folder of the chain, else of the one with the newest root and timestamp.
/// `noted` is the folder, and the moment that brought its set, which were noted last.
fn current(
    line: &mut Line,
    places: &BTreeMap<String, Place>,
    chain: &Chain,
    noted: &mut Option<(String, usize)>,
    (moment, time): (usize, Timestamp),
) {
    let sets = places.iter().filter_map(|(path, place)| Some((path, place.set.as_ref()?, place.since)));
    let rank = |path: &str, set: &Set| (set.version("root"), set.version("timestamp"), path == chain.folder);
    let Some((path, set, since)) = sets.max_by_key(|(path, set, _)| rank(path, set)) else { return };
    let now = Some((path.clone(), since));
    if core::mem::replace(noted, now.clone()) == now {
        return;
    }
    for part in &set.parts {
        let spans = line.lives.entry(part.role.clone()).or_default();
        if let Some((last, ..)) = spans.last_mut() {
            if (last.version, last.expires) == (part.version, part.expires) {
                continue;
            }
            last.until = Some(time);
        }
        let span = RoleSpan { version: part.version, from: time, until: None, expires: part.expires };
        spans.push((span, moment, joined(path, &part.name), part.blob));
    }
}

/// Whether everything was renewed in time, and is good at the time asked about; the roles over time.
pub(super) fn margins(line: &Line, files: &Files<'_>, ask: &Ask<'_>, tell: &mut Tell) -> Vec<RoleLife> {
    let past = files.past;
    let mut out = Vec::new();
    for (role, spans) in &line.lives {
        let mut least: Option<(i64, u64)> = None;
        for (i, (span, moment, path, blob)) in spans.iter().enumerate() {
            let subject = format!("{} {}", escape(role), span.version);
            let seen = || Seen::at(past, *moment, path, Some(*blob));
            if let Some((next, renewed, next_path, next_blob)) = spans.get(i + 1) {
                let margin = span.expires.unix() - next.from.unix();
                if least.is_none_or(|(least, _)| margin < least) {
                    least = Some((margin, span.version));
                }
                if margin < 0 {
                    let late = lasted(span.expires, next.from);
                    let what =
                        format!("it had expired at {}; version {} came {late} later", span.expires, next.version);
                    let renewal = Seen::at(past, *renewed, next_path, Some(*next_blob));
                    let finding = Finding::new(Level::Warning, Check::ExpiryMargin, subject, what);
                    tell.found(finding, Vec::from([seen(), renewal]));
                }
                continue;
            }
            let left = ask.now.days_until(span.expires);
            if span.expires <= ask.now {
                let what = format!("expired at {}; the time asked about is {}", span.expires, ask.now);
                let finding = Finding::new(Level::Refused, Check::Expired, subject, what)
                    .hint("fetch, in case it was renewed; to ask about another time use --at TIME");
                tell.found(finding, Vec::from([seen()]));
            } else if left < DUE && matches!(role.as_str(), "root" | "targets") {
                let what = format!("it expires at {}, {left} days after the time asked about", span.expires);
                let finding = Finding::new(Level::Warning, Check::ExpiryMargin, subject, what)
                    .hint("holders have to meet again before that day");
                tell.found(finding, Vec::from([seen()]));
            }
        }
        let spans = spans.iter().map(|(span, ..)| *span).collect();
        out.push(RoleLife { role: escape(role), spans, least_margin: least });
    }
    let order = |life: &RoleLife| {
        let known = ["root", "targets", "snapshot", "timestamp"].iter().position(|role| *role == life.role);
        (known.unwrap_or(4), life.role.clone())
    };
    out.sort_by_key(order);
    out
}

/// A length of time in words: the two largest units.
pub(super) fn lasted(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.unix() - from.unix()).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let unit = |number: i64, name: &str| format!("{number} {name}{}", if number == 1 { "" } else { "s" });
    match (days, hours, minutes) {
        (0, 0, 0) => unit(seconds, "second"),
        (0, 0, _) => unit(minutes, "minute"),
        (0, _, _) => format!("{} {}", unit(hours, "hour"), unit(minutes, "minute")),
        _ => format!("{} {}", unit(days, "day"), unit(hours, "hour")),
    }
}
