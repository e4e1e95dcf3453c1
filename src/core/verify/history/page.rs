//! The report as one page to look at: a timeline, and below it everything in words.
//!
//! Rules:
//! 1. As all our pages: one file, no script, nothing from outside; foreign text is escaped for people and for HTML.
//! 2. Every mark of the timeline has a title, and stands below in words; nothing is said by colour alone.

use super::past::Holder;
use super::report::{HistoryReport, Seen, Told};
use super::timeline::{margin, timeline};
use crate::check::{Check, Level};
use crate::page::html;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most findings of one check that are shown at once, and at all.
const MAX_OPEN: usize = 12;
const MAX_FOUND: usize = 1000;
/// The most places of a finding that are shown at once.
const MAX_PLACES: usize = 4;
/// The most files that a form is said of.
const MAX_SUBJECTS: usize = 12;

/// The page, as HTML.
pub fn page(report: &HistoryReport) -> String {
    let facts = &report.facts;
    let mut out = html::opening("The history of a trust root");
    out.push_str("<style>\n");
    out.push_str(include_str!("page.css"));
    out.push_str("</style>\n</head>\n<body>\n<table class=\"sheet\" role=\"presentation\"><tbody><tr><td><main>\n");
    out.push_str("<p class=\"kind\">The history of a trust root</p>\n");
    out.push_str(&format!("<h1>{}</h1>\n", text(&facts.folder).replace('/', "/<wbr>")));
    let class = if report.accepted() { "verdict" } else { "verdict refused" };
    out.push_str(&format!("<p class=\"{class}\">{}</p>\n", text(&report.headline())));
    out.push_str(&format!(
        "<p>{} commits, {} of them the main line; newest commit <code>{}</code>; as of <time>{}</time>.</p>\n",
        facts.commits.0,
        facts.commits.1,
        text(&facts.head),
        report.now
    ));
    out.push_str(&tiles(report));
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
pub(super) fn text(words: &str) -> String {
    html::escape(words)
}

/// What people ask first, in a number each.
fn tiles(report: &HistoryReport) -> String {
    let facts = &report.facts;
    let attested = facts.holders.iter().filter(|holder| holder.proof.is_some()).count();
    let breaks = facts.breaks.len();
    // Where nothing but roots is published, no role over time says so.
    let roots = facts.roots.iter().filter_map(|root| Some((root.expires.unix() - root.until?.unix(), root.version)));
    let targets = facts.roles.iter().filter(|life| life.role == "targets").filter_map(|life| life.least_margin);
    let least = roots.map(|margin| (margin, "root")).chain(targets.map(|margin| (margin, "targets"))).min();
    let closest =
        least.map_or(("–".to_string(), "no renewal yet".to_string(), false), |((seconds, version), role)| {
            let words = margin(seconds);
            let (number, unit) = words.split_once(' ').unwrap_or((&words, ""));
            (number.to_string(), format!("{unit}: the closest renewal, of {role} {version}"), seconds < 0)
        });
    let count = |number: usize, one: &str, more: &str, bad: bool| {
        (number.to_string(), if number == 1 { one } else { more }.to_string(), bad && number > 0)
    };
    let proved = format!("of {} keys attested", facts.holders.len());
    let all = [
        count(facts.roots.len(), "root", "roots", false),
        count(facts.rivals.len(), "rival root", "rival roots", true),
        count(breaks, "span that did not fit", "spans that did not fit", true),
        (attested.to_string(), proved, attested < facts.holders.len()),
        closest,
    ];
    let mut out = String::from("<ul class=\"tiles\">\n");
    for (number, words, bad) in all {
        let class = if bad { " class=\"bad\"" } else { "" };
        out.push_str(&format!("<li{class}><b>{}</b> {}</li>\n", text(&number), text(&words)));
    }
    out.push_str("</ul>\n");
    out
}

// ------------------------------------------------------------------------------------------------------------ in words

fn findings(all: &[Told], out: &mut String) {
    out.push_str("<h2>Found</h2>\n");
    if all.is_empty() {
        out.push_str("<p>Nothing.</p>\n");
    }
    let is_trouble = |told: &&(usize, &Told)| told.1.finding.level >= Level::Warning;
    let numbered: Vec<(usize, &Told)> = all.iter().enumerate().collect();
    let troubles: Vec<(usize, &Told)> = numbered.iter().filter(is_trouble).copied().collect();
    let kind = |told: &Told| (told.finding.level, told.finding.check);
    let mut kinds: Vec<(Level, Check)> = Vec::new();
    for (_, told) in &troubles {
        if !kinds.contains(&kind(told)) {
            kinds.push(kind(told));
        }
    }
    for (level, check) in kinds {
        let some: Vec<&(usize, &Told)> = troubles.iter().filter(|(_, told)| kind(told) == (level, check)).collect();
        let (open, folded) = some.split_at(some.len().min(MAX_OPEN));
        open.iter().for_each(|(number, told)| finding(*number, told, out));
        if folded.is_empty() {
            continue;
        }
        out.push_str(&format!("<details><summary>{} more of {check} ({})</summary>\n", folded.len(), word(level)));
        folded.iter().take(MAX_FOUND).for_each(|(number, told)| finding(*number, told, out));
        if folded.len() > MAX_FOUND {
            out.push_str(&format!("<p>and {} more, which <code>--json</code> names</p>\n", folded.len() - MAX_FOUND));
        }
        out.push_str("</details>\n");
    }
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
    forms.iter().take(MAX_FOUND).for_each(|(number, told)| finding(*number, told, out));
    if forms.len() > MAX_FOUND {
        out.push_str(&format!("<p>and {} more, which <code>--json</code> names</p>\n", forms.len() - MAX_FOUND));
    }
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
