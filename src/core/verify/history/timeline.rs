//! The timeline of a history: a lane for each root with its rivals, each role, each kind of event and each holder.
//!
//! Rules:
//! 1. It is as wide as the screen, a telephone's too: places are parts of the whole, and names go above their lanes where
//!    there is no room beside them.
//! 2. Every mark has a title. What lies nearer together than can be seen is one bar or one mark, so that a long history makes
//!    a page of bounded size.

use super::page::text;
use super::past::Holder;
use super::report::{HistoryReport, HolderLife, Rival, RoleLife, RootLife};
use crate::check::{Check, Level};
use crate::time::Timestamp;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most roots, roles and holders that have a lane.
const MAX_LANES: usize = 60;
/// The most rivals that are drawn beside one root.
const MAX_RIVALS: usize = 8;
/// The most dates along the top.
const MAX_DATES: i64 = 8;
/// What the whole length counts: two bars nearer than one of it are seen as one.
const WHOLE: i64 = 2000;

/// Where moments lie from left to right.
struct Scale {
    from: i64,
    to: i64,
}

impl Scale {
    fn of(report: &HistoryReport) -> Option<Self> {
        let (first, last) = report.facts.span?;
        let beyond = last.plus_days(730);
        let end = report.facts.roots.last().map_or(last, |root| root.expires.min(beyond));
        Some(Self { from: first.unix(), to: end.max(last).max(report.now.min(beyond)).unix().max(first.unix() + 60) })
    }

    fn x(&self, time: Timestamp) -> i64 {
        let part = i128::from(time.unix().clamp(self.from, self.to) - self.from);
        i64::try_from(part * i128::from(WHOLE) / i128::from(self.to - self.from)).unwrap_or(0)
    }
}

/// A part of the whole, as CSS has it.
fn percent(x: i64) -> String {
    let hundredths = x * 10_000 / WHOLE;
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// One row of marks.
#[derive(Default)]
struct Track {
    /// From, until, class and title.
    bars: Vec<(i64, i64, &'static str, String)>,
    marks: String,
    last: Option<i64>,
}

impl Track {
    fn bar(&mut self, scale: &Scale, (from, until): (Timestamp, Timestamp), class: &'static str, title: String) {
        if until < from {
            return;
        }
        let (a, b) = (scale.x(from), scale.x(until));
        match self.bars.last_mut() {
            // Too near to be told apart.
            Some((last_a, last_b, last, title)) if *last == class && a <= *last_b + 1 && b - *last_a <= 4 => {
                *last_b = b.max(*last_b);
                title.truncate(title.find(", and more").unwrap_or(title.len()));
                title.push_str(", and more");
            }
            _ => self.bars.push((a, b, class, title)),
        }
    }

    /// A mark that leads to a finding; one where another stands already is left out.
    fn mark(&mut self, scale: &Scale, time: Timestamp, finding: usize, title: &str) {
        let x = scale.x(time);
        if self.last.replace(x) != Some(x) {
            let title = text(title);
            self.marks.push_str(&format!(
                "<a class=\"mark\" style=\"left:{}\" href=\"#f{finding}\" title=\"{title}\" aria-label=\"{title}\"></a>",
                percent(x)
            ));
        }
    }

    fn html(&self, class: &str) -> String {
        let mut out = format!("<div class=\"track{class}\">");
        for (a, b, class, title) in &self.bars {
            out.push_str(&format!(
                "<i class=\"{class}\" style=\"left:{};width:{}\" title=\"{}\"></i>",
                percent(*a),
                percent((b - a).max(6)),
                text(title)
            ));
        }
        out.push_str(&self.marks);
        out.push_str("</div>");
        out
    }
}

/// A lane: its name, a few words more, and its rows.
fn lane(name: &str, note: &str, rows: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!(" <small>{}</small>", text(note)) };
    format!("<div class=\"lane\"><span><bdi>{}</bdi>{note}</span><div>{rows}</div></div>\n", text(name))
}

/// The whole timeline; empty where nothing has a time.
pub(super) fn timeline(report: &HistoryReport) -> String {
    let Some(scale) = Scale::of(report) else { return String::new() };
    let facts = &report.facts;
    let mut lanes = String::new();
    let left = facts.roots.len().saturating_sub(MAX_LANES);
    if left > 0 {
        lanes.push_str(&format!("<p class=\"key\">{left} older roots are in the table below.</p>\n"));
    }
    for root in facts.roots.iter().skip(left) {
        lanes.push_str(&of_root(root, report, &scale));
    }
    let newer = facts.rivals.iter().filter(|rival| facts.roots.iter().all(|root| root.version != rival.version));
    for rival in newer.take(MAX_RIVALS) {
        let mut track = Track::default();
        of_rival(rival, report, &scale, &mut track);
        lanes.push_str(&lane(&format!("root {}", rival.version), "not in the newest commit", &track.html("")));
    }
    for life in facts.roles.iter().filter(|life| life.role != "root").take(MAX_LANES) {
        let mut track = Track::default();
        of_role(life, &scale, report.now, &mut track);
        let note = life.least_margin.map_or(String::new(), |(seconds, _)| margin(seconds));
        lanes.push_str(&lane(&life.role, &note, &track.html("")));
    }
    if !facts.breaks.is_empty() {
        let mut track = Track::default();
        for one in &facts.breaks {
            let until = one.until.unwrap_or(report.now).max(one.from);
            let title = format!("did not fit together from {} to {until}", one.from);
            track.bar(&scale, (one.from, until), "bad", title);
        }
        lanes.push_str(&lane("did not fit", "clients were refused", &track.html("")));
    }
    for (check, track) in events(report, &scale) {
        lanes.push_str(&lane(check.name(), "", &track.html("")));
    }
    for holder in facts.holders.iter().take(MAX_LANES) {
        lanes.push_str(&of_holder(holder, report, &scale));
    }
    let (rules, dates) = axis(&scale, report.now);
    format!(
        "<div class=\"line\" role=\"group\" aria-label=\"timeline\" style=\"--rules:{rules}\">\n<div class=\"lane dates\"><span></span>\
         <div>{dates}</div></div>\n{lanes}</div>\n<p class=\"key\"><span><i class=\"ok\"></i>the newest, or attested</span><span>\
         <i class=\"left\"></i>still valid, but replaced or not yet expired</span><span><i class=\"bare\"></i>no hardware proof</span>\
         <span><i class=\"bad\"></i>refused, expired or did not fit</span><span><i class=\"fork\"></i>a rival</span><span><i \
         class=\"mark\"></i>leads to what was found</span><span><i class=\"now\"></i>the time asked about</span></p>\n"
    )
}

fn of_root(root: &RootLife, report: &HistoryReport, scale: &Scale) -> String {
    let rivals: Vec<&Rival> = report.facts.rivals.iter().filter(|rival| rival.version == root.version).collect();
    let Some(from) = root.from.or(root.seen.as_ref().map(|seen| seen.time)) else { return String::new() };
    let until = root.until.unwrap_or_else(|| report.now.clamp(from, from.max(root.expires)));
    let class = if root.accepted { "ok" } else { "bad" };
    let title = format!(
        "root {}: newest from {from} to {until}, expires {}; {} of {} keys signed, {} needed; {} rivals",
        root.version, root.expires, root.signed, root.keys, root.threshold, root.rivals
    );
    let mut track = Track::default();
    track.bar(scale, (from, until), class, title);
    track.bar(scale, (until, root.expires), "left", format!("root {} was still valid", root.version));
    if let Some(until) = root.until.filter(|until| *until > root.expires) {
        let title = format!("root {} had expired from {} to {until}", root.version, root.expires);
        track.bar(scale, (root.expires, until), "bad", title);
    }
    let mut rows = track.html("");
    for rival in rivals.iter().take(MAX_RIVALS) {
        let mut track = Track::default();
        of_rival(rival, report, scale, &mut track);
        rows.push_str(&track.html(" forked"));
    }
    let note = match (rivals.len(), root.until) {
        (0, Some(until)) => margin(root.expires.unix() - until.unix()),
        (0, None) => String::new(),
        (1, _) => "1 rival".to_string(),
        (many, _) => format!("{many} rivals"),
    };
    lane(&format!("root {}", root.version), &note, &rows)
}

/// A rival, from where it was seen until it expires: as long could clients take it.
fn of_rival(rival: &Rival, report: &HistoryReport, scale: &Scale, track: &mut Track) {
    let from = if rival.seen.holder == Holder::Commit { rival.seen.time } else { Timestamp::EPOCH };
    let title = format!("a rival of version {}, {}, seen at {}", rival.version, rival.payload, rival.seen.place());
    track.bar(scale, (from, rival.expires.max(from)), "fork", title.clone());
    let is_of = |told: &super::report::Told| told.finding.check == Check::RootRival && told.seen.contains(&rival.seen);
    if let Some(finding) = report.findings.iter().position(is_of) {
        track.mark(scale, from, finding, &title);
    }
}

/// The least time that a renewal had to spare, in words.
pub(super) fn margin(seconds: i64) -> String {
    let (days, hours) = (seconds.abs() / 86_400, seconds.abs() / 3600);
    let count = |number: i64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let time = if days > 0 { count(days, "day") } else { count(hours, "hour") };
    if seconds < 0 { format!("{time} too late") } else { format!("{time} to spare") }
}

/// A role: good, and where it had expired before it was renewed. Neighbours that are good are one bar.
fn of_role(life: &RoleLife, scale: &Scale, now: Timestamp, track: &mut Track) {
    let mut good: Option<(Timestamp, Timestamp, u64, u64)> = None;
    let flush = |good: &mut Option<(Timestamp, Timestamp, u64, u64)>, track: &mut Track| {
        if let Some((from, until, a, b)) = good.take() {
            track.bar(scale, (from, until), "ok", format!("{} {a} to {b}: good from {from} to {until}", life.role));
        }
    };
    for span in &life.spans {
        let end = span.until.unwrap_or(now).max(span.from);
        let until = end.min(span.expires).max(span.from);
        good = match good {
            Some((from, to, a, _)) if to >= span.from => Some((from, until, a, span.version)),
            mut other => {
                flush(&mut other, track);
                Some((span.from, until, span.version, span.version))
            }
        };
        if end > span.expires {
            flush(&mut good, track);
            let from = span.expires.max(span.from);
            let title = format!("{} {} had expired from {from} to {end}", life.role, span.version);
            track.bar(scale, (from, end), "bad", title);
        }
    }
    flush(&mut good, track);
    if let Some(last) = life.spans.last().filter(|last| last.expires > now) {
        let title = format!("{} {} expires {}", life.role, last.version, last.expires);
        track.bar(scale, (now.max(last.from), last.expires), "left", title);
    }
}

/// The findings that happened at moments, by check. What has a lane of its own is left out: rivals of roots, holders, expiry,
/// and spans that did not fit together.
fn events(report: &HistoryReport, scale: &Scale) -> BTreeMap<Check, Track> {
    let mut events: BTreeMap<Check, Vec<(Timestamp, usize, String)>> = BTreeMap::new();
    let shown = [Check::MetaRival, Check::MetaRollback, Check::HistoryRewrite];
    for (number, told) in report.findings.iter().enumerate() {
        let check = told.finding.check;
        if told.finding.level < Level::Warning || !shown.contains(&check) {
            continue;
        }
        let marks = told.seen.iter().filter(|seen| seen.holder == Holder::Commit).map(|seen| {
            let what = format!("{check}: {}, commit {} of {}", told.finding.subject, seen.commit, seen.time);
            (seen.time, number, what)
        });
        events.entry(check).or_default().extend(marks);
    }
    let drawn = events.into_iter().map(|(check, mut marks)| {
        marks.sort_by_key(|(time, number, _)| (*time, *number));
        let mut track = Track::default();
        marks.iter().for_each(|(time, number, what)| track.mark(scale, *time, *number, what));
        (check, track)
    });
    drawn.collect()
}

fn of_holder(holder: &HolderLife, report: &HistoryReport, scale: &Scale) -> String {
    let name = holder.owner.clone().unwrap_or_else(|| holder.fingerprint.short());
    let facts = holder.proof.and_then(|proof| report.facts.attestations.get(proof)?.facts.as_ref());
    let advised = facts.is_some_and(|facts| !facts.advisories.is_empty());
    let (class, proof) = match (facts, advised) {
        (None, _) => ("bare", "no hardware proof"),
        (Some(_), true) => ("ok", "attested, under an advisory"),
        (Some(_), false) => ("ok", "attested"),
    };
    let mut track = Track::default();
    for (from, until) in terms(holder, report) {
        track.bar(scale, (from, until), class, format!("{name}: {proof}, in {}", holder.in_words()));
    }
    lane(&name.chars().take(28).collect::<String>(), proof, &track.html(" holder"))
}

/// From when until when a holder's key was in the newest root.
fn terms(holder: &HolderLife, report: &HistoryReport) -> Vec<(Timestamp, Timestamp)> {
    let mut terms: Vec<(Timestamp, Timestamp)> = Vec::new();
    for root in report.facts.roots.iter().filter(|root| holder.roots.contains(&root.version)) {
        let Some(from) = root.from else { continue };
        let until = root.until.unwrap_or(report.now).max(from);
        match terms.last_mut() {
            Some((_, last)) if *last == from => *last = until,
            _ => terms.push((from, until)),
        }
    }
    terms
}

/// Lines through all lanes, as a picture of CSS, and the dates above them: years, months or days, the fewest that fit.
fn axis(scale: &Scale, now: Timestamp) -> (String, String) {
    let day = |unix: i64| Timestamp::EPOCH.plus_seconds(unix).day();
    let days = (scale.to - scale.from) / 86_400;
    // How much of a date is said, and every how many of these days there may be one.
    let cut = match days {
        ..60 => 10,
        60..1100 => 7,
        _ => 4,
    };
    let mut starts: Vec<(i64, String)> = Vec::new();
    let mut at = scale.from - scale.from.rem_euclid(86_400) + 86_400;
    // A date that no clock has makes a long line; nothing is gained by walking all of it.
    let step = 86_400 * (days / 20_000 + 1);
    while at <= scale.to {
        let whole = day(at);
        let part = whole.get(..cut).unwrap_or_default();
        let before = day(at - step);
        if cut == 10 || before.get(..cut) != Some(part) {
            starts.push((at, part.to_string()));
        }
        at += step;
    }
    let every = (starts.len() as i64 / MAX_DATES + 1) as usize;
    let mut rules = Vec::new();
    let mut dates = String::new();
    let rule = |x: i64, colour: &str, width: &str| {
        let x = percent(x);
        format!("linear-gradient(var({colour}),var({colour})) {x} 0/{width} 100% no-repeat")
    };
    let asked = scale.x(now);
    if (scale.from..=scale.to).contains(&now.unix()) {
        rules.push(rule(asked, "--ink", "2px"));
    }
    for (at, part) in starts.iter().step_by(every) {
        let x = scale.x(Timestamp::EPOCH.plus_seconds(*at));
        rules.push(rule(x, "--line", "1px"));
        // Dates grow with their length; one at the very end would stand out of a narrow page.
        if x < WHOLE * (96 - 2 * cut as i64) / 100 {
            dates.push_str(&format!("<time style=\"left:{}\">{part}</time>", percent(x)));
        }
    }
    if rules.is_empty() {
        rules.push("none".to_string());
    }
    (rules.join(","), dates)
}
