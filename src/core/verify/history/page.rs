//! The report as one page to look at: a timeline, and below it everything in words.
//!
//! Rules:
//! 1. As all our pages: one file, no script, nothing from outside; foreign text is escaped for people and for HTML.
//! 2. Every mark of the timeline has a title, and stands below in words; nothing is said by colour alone.

use super::past::Holder;
use super::report::{HistoryReport, HolderLife, RoleLife, Seen, Told};
use crate::check::{Check, Level};
use crate::page::html;
use crate::time::Timestamp;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most spans of a role that are drawn.
const MAX_SPANS: usize = 4000;
/// The most roots, roles and holders that have a lane.
const MAX_LANES: usize = 60;
/// The most places of a finding that are shown at once.
const MAX_PLACES: usize = 4;
/// The most files that a form is said of.
const MAX_SUBJECTS: usize = 12;
/// Where the lanes begin and end, and how high one is.
const LEFT: i64 = 190;
const RIGHT: i64 = 980;
const LANE: i64 = 24;

/// The page, as HTML.
pub fn page(report: &HistoryReport) -> String {
    let facts = &report.facts;
    let mut out = html::opening("The history of a trust root");
    out.push_str("<style>\n");
    out.push_str(include_str!("page.css"));
    out.push_str("</style>\n</head>\n<body>\n<table class=\"sheet\" role=\"presentation\"><tbody><tr><td><main>\n");
    out.push_str("<p class=\"kind\">The history of a trust root</p>\n");
    out.push_str(&format!("<h1>{}</h1>\n", text(&facts.folder)));
    let class = if report.accepted() { "verdict" } else { "verdict refused" };
    out.push_str(&format!("<p class=\"{class}\">{}</p>\n", text(&report.headline())));
    out.push_str(&format!(
        "<p>{} commits, {} of them the main line; newest commit <code>{}</code>; as of <time>{}</time>.</p>\n",
        facts.commits.0,
        facts.commits.1,
        text(&facts.head),
        report.now
    ));
    out.push_str(&timeline(report));
    findings(&report.findings, &mut out);
    roots(report, &mut out);
    holders(report, &mut out);
    for (title, lines) in [("Checked", &report.checked), ("Not checked", &report.not_checked)] {
        out.push_str(&format!("<h2>{title}</h2>\n<ul>\n"));
        lines.iter().for_each(|line| out.push_str(&format!("<li>{}</li>\n", text(line))));
        out.push_str("</ul>\n");
    }
    if !report.equivalents.is_empty() {
        out.push_str("<h2>The same with other programs</h2>\n<pre>");
        out.push_str(&text(&report.equivalents.join("\n")));
        out.push_str("</pre>\n");
    }
    out.push_str("</main></td></tr></tbody></table>\n</body>\n</html>\n");
    out
}

/// Words of the report, which are escaped for people already.
fn text(words: &str) -> String {
    html::escape(words)
}

// -------------------------------------------------------------------------------------------------------- the timeline

/// Where moments lie from left to right.
struct Scale {
    from: i64,
    to: i64,
}

impl Scale {
    fn x(&self, time: Timestamp) -> i64 {
        let whole = i128::from((self.to - self.from).max(1));
        let part = i128::from(time.unix().clamp(self.from, self.to) - self.from);
        LEFT + i64::try_from(part * i128::from(RIGHT - LEFT) / whole).unwrap_or(0)
    }
}

fn timeline(report: &HistoryReport) -> String {
    let facts = &report.facts;
    let Some((first, last)) = facts.span else { return String::new() };
    let end = facts.roots.last().map_or(last, |root| root.expires.min(last.plus_days(730)));
    let scale = Scale { from: first.unix(), to: end.max(last).max(report.now.min(last.plus_days(730))).unix() };
    let mut rows = Vec::new();
    let mut y = 34;
    for root in facts.roots.iter().rev().take(MAX_LANES).rev() {
        let Some(from) = root.from else { continue };
        let until = root.until.unwrap_or_else(|| report.now.clamp(from, from.max(root.expires)));
        let class = if root.accepted && root.rivals == 0 { "ok" } else { "bad" };
        let what = format!(
            "root {}: newest from {} to {}, expires {}; {} of {} keys signed, {} needed; {} rivals",
            root.version, from, until, root.expires, root.signed, root.keys, root.threshold, root.rivals
        );
        let rival = if root.rivals > 0 { " RIVAL" } else { "" };
        lane(&format!("root {}{rival}", root.version), y, &mut rows);
        bar(&scale, (from, until), y, class, &what, &mut rows);
        bar(&scale, (until, root.expires), y, "left", &format!("root {} was still valid", root.version), &mut rows);
        y += LANE;
    }
    for life in facts.roles.iter().filter(|life| life.role != "root").take(MAX_LANES) {
        lane(&life.role, y, &mut rows);
        role(life, &scale, report.now, y, &mut rows);
        y += LANE;
    }
    if !facts.breaks.is_empty() {
        lane("did not fit", y, &mut rows);
        for one in facts.breaks.iter().take(MAX_SPANS) {
            let until = one.until.unwrap_or(report.now).max(one.from);
            bar(&scale, (one.from, until), y, "bad", &format!("from {} to {until}", one.from), &mut rows);
        }
        y += LANE;
    }
    for (check, marks) in events(report) {
        lane(check.name(), y, &mut rows);
        marks.iter().for_each(|mark| rows.push(mark_at(&scale, mark, y)));
        y += LANE;
    }
    for holder in facts.holders.iter().take(MAX_LANES) {
        let name = holder.owner.clone().unwrap_or_else(|| holder.fingerprint.short());
        lane(&name.chars().take(22).collect::<String>(), y, &mut rows);
        for (from, until) in terms(holder, report) {
            let class = if holder.proof.is_some() { "ok" } else { "bare" };
            let proof = if holder.proof.is_some() { "attested" } else { "no hardware proof" };
            bar(&scale, (from, until), y, class, &format!("{name}: {proof}, {}", holder.in_words()), &mut rows);
        }
        y += LANE;
    }
    let mut out =
        format!("<div class=\"line\"><svg viewBox=\"0 0 1000 {}\" role=\"img\" aria-label=\"timeline\">\n", y + 10);
    years(&scale, y, &mut out);
    rows.iter().for_each(|row| out.push_str(row));
    out.push_str(
        "</svg></div>\n<p class=\"key\"><span>full: the newest, or attested</span><span>pale: still valid, but \
                  replaced</span><span>dashed: no hardware proof</span><span>red: refused, a rival, expired or did not \
                  fit</span><span>red diamond: it leads to what was found</span></p>\n",
    );
    out
}

/// A finding at a moment: the number of the finding, when, and in words.
type Mark = (usize, Timestamp, String);

/// The findings that happened at moments, by check. What has a lane of its own is left out: holders, expiry, and spans that
/// did not fit together.
fn events(report: &HistoryReport) -> BTreeMap<Check, Vec<Mark>> {
    let mut events: BTreeMap<Check, Vec<Mark>> = BTreeMap::new();
    let shown = [Check::RootRival, Check::MetaRival, Check::MetaRollback, Check::HistoryRewrite];
    for (number, told) in report.findings.iter().enumerate() {
        let check = told.finding.check;
        if told.finding.level < Level::Warning || !shown.contains(&check) {
            continue;
        }
        let marks = events.entry(check).or_default();
        let left = MAX_SPANS.saturating_sub(marks.len());
        let what = |seen: &Seen| format!("{check}: {}, commit {} of {}", told.finding.subject, seen.commit, seen.time);
        marks.extend(told.seen.iter().take(left).map(|seen| (number, seen.time, what(seen))));
    }
    events
}

/// A mark that leads to its finding.
fn mark_at(scale: &Scale, (number, time, what): &Mark, y: i64) -> String {
    let (x, middle) = (scale.x(*time), y + 8);
    format!(
        "<a href=\"#f{number}\"><path class=\"bad\" d=\"M{x} {y}l7 8-7 8-7-8z\"/><circle class=\"hole\" cx=\"{x}\" cy=\"{middle}\" \
         r=\"2\"/><title>{}</title></a>\n",
        text(what)
    )
}

/// The years as lines from top to bottom; months where there is less than a year.
fn years(scale: &Scale, height: i64, out: &mut String) {
    let day = |unix: i64| Timestamp::EPOCH.plus_seconds(unix).day();
    let long = scale.to - scale.from > 400 * 86_400;
    let cut = if long { 4 } else { 7 };
    let mut last = day(scale.from).get(..cut).unwrap_or_default().to_string();
    let mut shown = 0;
    let step = if scale.to - scale.from > 60 * 366 * 86_400 { 366 } else { 1 };
    let mut at = scale.from;
    while at <= scale.to && shown < 60 {
        let text = day(at);
        let part = text.get(..cut).unwrap_or_default();
        if part != last {
            last = part.to_string();
            let x = scale.x(Timestamp::EPOCH.plus_seconds(at));
            out.push_str(&format!(
                "<line class=\"rule\" x1=\"{x}\" x2=\"{x}\" y1=\"20\" y2=\"{height}\"/><text class=\"soft\" x=\"{x}\" y=\"14\">{part}</text>\n"
            ));
            shown += 1;
        }
        at += step * 86_400;
    }
}

fn lane(name: &str, y: i64, rows: &mut Vec<String>) {
    rows.push(format!("<text x=\"8\" y=\"{}\">{}</text>\n", y + 13, text(name)));
}

fn bar(scale: &Scale, (from, until): (Timestamp, Timestamp), y: i64, class: &str, what: &str, rows: &mut Vec<String>) {
    if until < from {
        return;
    }
    let (a, b) = (scale.x(from), scale.x(until));
    rows.push(format!(
        "<rect class=\"{class}\" x=\"{a}\" y=\"{y}\" width=\"{}\" height=\"16\"><title>{}</title></rect>\n",
        (b - a).max(2),
        text(what)
    ));
}

/// A role: good, and where it had expired before it was renewed. Neighbours that are good are one bar.
fn role(life: &RoleLife, scale: &Scale, now: Timestamp, y: i64, rows: &mut Vec<String>) {
    let mut good: Option<(Timestamp, Timestamp, u64, u64)> = None;
    let flush = |good: &mut Option<(Timestamp, Timestamp, u64, u64)>, rows: &mut Vec<String>| {
        if let Some((from, until, a, b)) = good.take() {
            bar(scale, (from, until), y, "ok", &format!("{} {a} to {b}: good from {from} to {until}", life.role), rows);
        }
    };
    for span in life.spans.iter().take(MAX_SPANS) {
        let end = span.until.unwrap_or(now).max(span.from);
        let until = end.min(span.expires).max(span.from);
        good = match good {
            Some((from, to, a, _)) if to >= span.from => Some((from, until, a, span.version)),
            mut other => {
                flush(&mut other, rows);
                Some((span.from, until, span.version, span.version))
            }
        };
        if end > span.expires {
            flush(&mut good, rows);
            let from = span.expires.max(span.from);
            bar(
                scale,
                (from, end),
                y,
                "bad",
                &format!("{} {} had expired from {from} to {end}", life.role, span.version),
                rows,
            );
        }
    }
    flush(&mut good, rows);
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

// ------------------------------------------------------------------------------------------------------------ in words

fn findings(all: &[Told], out: &mut String) {
    out.push_str("<h2>Found</h2>\n");
    if all.is_empty() {
        out.push_str("<p>Nothing.</p>\n");
    }
    let is_trouble = |told: &&(usize, &Told)| told.1.finding.level >= Level::Warning;
    let numbered: Vec<(usize, &Told)> = all.iter().enumerate().collect();
    numbered.iter().filter(is_trouble).for_each(|(number, told)| finding(*number, told, out));
    let forms: Vec<&(usize, &Told)> = numbered.iter().filter(|one| !is_trouble(one)).collect();
    if forms.is_empty() {
        return;
    }
    // Many, and each harmless: in short, and in full for whoever opens it.
    let mut by_check: BTreeMap<(Check, Level), Vec<&str>> = BTreeMap::new();
    for (_, told) in &forms {
        by_check.entry((told.finding.check, told.finding.level)).or_default().push(&told.finding.subject);
    }
    out.push_str(
        "<h3>Old forms accepted by name, and notes</h3>\n<div class=\"scroll\"><table class=\"data\"><thead><tr><th>Check</th>\
         <th>Level</th><th>Where</th></tr></thead><tbody>\n",
    );
    for ((check, level), mut subjects) in by_check {
        let times = subjects.len();
        subjects.dedup();
        let more = subjects.len().saturating_sub(MAX_SUBJECTS);
        let named: Vec<String> = subjects.iter().take(MAX_SUBJECTS).map(|subject| text(subject)).collect();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        out.push_str(&format!(
            "<tr><td>{check}</td><td>{}, {times}×</td><td><bdi>{}</bdi>{more}</td></tr>\n",
            word(level),
            named.join(", ")
        ));
    }
    out.push_str("</tbody></table></div>\n<details><summary>Each of them, with its commits</summary>\n");
    forms.iter().for_each(|(number, told)| finding(*number, told, out));
    out.push_str("</details>\n");
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Refused => "refused",
        Level::Warning => "warning",
        Level::Lenient => "lenient",
        Level::Note => "note",
    }
}

fn finding(number: usize, told: &Told, out: &mut String) {
    let level = word(told.finding.level);
    out.push_str(&format!(
        "<section class=\"found {level}\" id=\"f{number}\"><h3>{}</h3><p><b class=\"tag\">{level}</b> {}</p><p>{}</p>",
        told.finding.check,
        text(&told.finding.subject),
        text(&told.finding.what.line())
    ));
    if let Some(hint) = &told.finding.hint {
        out.push_str(&format!("<p><b class=\"tag\">hint</b> {}</p>", text(hint)));
    }
    let (first, rest) = told.seen.split_at(told.seen.len().min(MAX_PLACES));
    let places = |some: &[Seen]| some.iter().map(place).collect::<String>();
    out.push_str(&format!("<ul>{}</ul>", places(first)));
    let more = rest.len() + told.more;
    if more > 0 {
        let beyond = if told.more > 0 { format!("<li>and {} more</li>", told.more) } else { String::new() };
        out.push_str(&format!(
            "<details><summary>{more} more places</summary><ul>{}{beyond}</ul></details>",
            places(rest)
        ));
    }
    out.push_str("</section>\n");
}

fn place(seen: &Seen) -> String {
    let digest = seen.digest.map_or(String::new(), |digest| format!("<br>sha256 <code>{digest}</code>"));
    let path = if seen.path.is_empty() { String::new() } else { format!("<br><bdi>{}</bdi>", text(&seen.path)) };
    let place = match seen.holder {
        Holder::Commit => format!("<time>{}</time> commit", seen.time),
        other => format!("no commit, but the {}", other.name()),
    };
    format!("<li>{place} <code>{}</code>{path}{digest}</li>", text(&seen.commit))
}

fn roots(report: &HistoryReport, out: &mut String) {
    out.push_str("<h2>Roots</h2>\n<div class=\"scroll\"><table class=\"data\"><thead><tr><th>Root</th><th>From</th><th>Expires</th><th>Signed</th><th>Payload digest</th></tr></thead><tbody>\n");
    for root in &report.facts.roots {
        let from = root.from.map_or("not on the main line".to_string(), |from| from.day());
        let rivals = if root.rivals > 0 { format!(" <b>{} rival(s)</b>", root.rivals) } else { String::new() };
        out.push_str(&format!(
            "<tr><td>{}{rivals}</td><td>{from}</td><td>{}</td><td>{} of {}, {} needed</td><td><code>{}</code></td></tr>\n",
            root.version, root.expires.day(), root.signed, root.keys, root.threshold, root.payload
        ));
    }
    out.push_str("</tbody></table></div>\n");
}

fn holders(report: &HistoryReport, out: &mut String) {
    out.push_str("<h2>Holders</h2>\n<div class=\"scroll\"><table class=\"data\"><thead><tr><th>Key</th><th>Owner, as the metadata says</th><th>In</th><th>Signed</th><th>Hardware proof</th></tr></thead><tbody>\n");
    for holder in &report.facts.holders {
        let proof = holder.proof.and_then(|proof| report.facts.attestations.get(proof)?.facts.as_ref());
        let proof = proof.map_or("<b>none</b>".to_string(), |facts| {
            let (major, minor, patch) = facts.firmware;
            let advisories = facts.advisories.join(", ");
            let advisories = if advisories.is_empty() { advisories } else { format!(", under {}", text(&advisories)) };
            format!("token {}, firmware {major}.{minor}.{patch}{advisories}", facts.serial)
        });
        out.push_str(&format!(
            "<tr><td><code>{}</code></td><td><bdi>{}</bdi></td><td>{}</td><td>{}</td><td>{proof}</td></tr>\n",
            holder.fingerprint.short(),
            text(holder.owner.as_deref().unwrap_or("")),
            holder.in_words(),
            holder.signed
        ));
    }
    out.push_str("</tbody></table></div>\n");
}
