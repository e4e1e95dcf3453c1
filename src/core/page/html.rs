//! Pages as HTML, for paper and for the record.
//!
//! Rules:
//! 1. One file, nothing else: no script, no picture, no font, no link to another place; a policy in the file forbids
//!    them all the same. The same pages give the same bytes.
//! 2. Foreign text is escaped as on the terminal, then for HTML, and isolated (`bdi`), so that letters that run from
//!    right to left do not turn the words around them.
//! 3. On paper each sheet carries the running head: title, digest, and whether it is a rehearsal. A script has boxes
//!    for the time and for initials; a record has what happened, and exceptions stand where they happened.

use super::{Block, Change, Outcome, Page, Span, Text};
use crate::digest::Digest;
use crate::event::Act;
use crate::text::{self, Handle};
use crate::words;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What a document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Before the day: boxes to be filled in by hand.
    Script,
    /// After the day: what happened.
    Record,
}

/// How a document is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it is of a rehearsal, which every sheet then says.
    pub rehearsal: bool,
    /// What stands in the running head of every sheet: the digest, and what it is the digest of ("plan").
    pub digest: Option<(String, Digest)>,
}

/// A whole document: the title, `intro` before the first act, and the pages with a heading for each act.
pub fn document(title: &Text, intro: &[Block], pages: &[Page], mode: &Mode) -> String {
    let mut out = String::from(HEAD);
    let plain: String = title.0.iter().map(span_text).collect();
    out.push_str(&format!("<title>{}{}</title>\n", if mode.rehearsal { "REHEARSAL: " } else { "" }, attribute(&plain)));
    out.push_str("<style>\n");
    out.push_str(STYLE);
    out.push_str("</style>\n</head>\n");
    let class = match mode.purpose {
        Purpose::Script => "script",
        Purpose::Record => "record",
    };
    out.push_str(&format!("<body class=\"{class}\">\n"));
    if mode.rehearsal {
        out.push_str("<div class=\"stamp\" aria-hidden=\"true\">REHEARSAL</div>\n");
    }
    // A table, because its head is the one thing that every browser repeats on every sheet.
    out.push_str("<table class=\"sheet\" role=\"presentation\">\n<thead><tr><td><header>");
    out.push_str(&format!("<span class=\"of\">{}</span>", inline(title)));
    if mode.rehearsal {
        out.push_str("<strong class=\"mark\">REHEARSAL</strong>");
    }
    if let Some((of, digest)) = &mode.digest {
        out.push_str(&format!("<code>{} {}</code>", escape(of), grouped(digest)));
    }
    out.push_str("</header></td></tr></thead>\n<tbody><tr><td><main>\n");
    let kind = match mode.purpose {
        Purpose::Script => "The script",
        Purpose::Record => "The record",
    };
    out.push_str(&format!("<p class=\"kind\">{kind}</p>\n<h1>{}</h1>\n", inline(title)));
    if mode.rehearsal {
        out.push_str("<p class=\"rehearsal\">This is a rehearsal. Its keys protect nothing, and nothing signed here is ever valid in production.</p>\n");
    }
    out.push_str(&exceptions(pages));
    for block in intro {
        write_block(block, &mut out);
    }
    out.push_str(&contents(pages));
    write_pages(pages, mode, &mut out);
    out.push_str("</main></td></tr></tbody>\n</table>\n</body>\n</html>\n");
    out
}

/// The beginning of a page up to our style, with this title of our own words; the head is left open.
pub(crate) fn opening(title: &str) -> String {
    format!("{HEAD}<title>{}</title>\n<style>\n{STYLE}</style>\n", escape(title))
}

/// The acts of the pages in the order of the pages, with the pages of each.
fn acts(pages: &[Page]) -> impl Iterator<Item = &[Page]> {
    pages.chunk_by(|a, b| a.act == b.act)
}

fn number(act: Act) -> usize {
    Act::ALL.iter().position(|known| *known == act).map_or(0, |i| i + 1)
}

fn contents(pages: &[Page]) -> String {
    if pages.is_empty() {
        return String::new();
    }
    let mut out =
        String::from("<nav><table class=\"contents\">\n<tr><th>Act</th><th></th><th>Steps</th><th>About</th></tr>\n");
    let line = |name: &str, title: &str, pages: &[Page]| {
        let minutes: u64 = pages.iter().map(|page| u64::from(page.minutes)).sum();
        format!("<tr><td>{name}</td><td>{title}</td><td>{}</td><td>{minutes} min</td></tr>\n", pages.len())
    };
    for pages in acts(pages) {
        let Some(first) = pages.first() else { continue };
        out.push_str(&line(&number(first.act).to_string(), &escape(first.act.title()), pages));
    }
    out.push_str(&line("", "<strong>Together</strong>", pages));
    out.push_str("</table></nav>\n");
    out
}

/// A box at the top that counts the exceptions, so that no reader of a record misses them.
fn exceptions(pages: &[Page]) -> String {
    let steps: Vec<String> = pages
        .iter()
        .filter(|page| page.outcome.iter().any(|outcome| outcome.exception))
        .map(|page| {
            let step = attribute(page.step.as_str());
            format!("<a href=\"#{step}\">{step}</a>")
        })
        .collect();
    let count = pages.iter().flat_map(|page| &page.outcome).filter(|outcome| outcome.exception).count();
    if count == 0 {
        return String::new();
    }
    let many = if count == 1 { "exception" } else { "exceptions" };
    format!(
        "<p class=\"risk\"><b class=\"tag\">{count} {many}</b> Not everything went by the script: {}</p>\n",
        steps.join(", ")
    )
}

fn write_pages(pages: &[Page], mode: &Mode, out: &mut String) {
    for pages in acts(pages) {
        let Some(first) = pages.first() else { continue };
        let act = number(first.act);
        out.push_str(&format!("<h2><span>Act {act}</span> {}</h2>\n", escape(first.act.title())));
        for (i, page) in pages.iter().enumerate() {
            write_page(page, &format!("{act}.{}", i + 1), mode, out);
        }
    }
}

fn write_page(page: &Page, number: &str, mode: &Mode, out: &mut String) {
    let class = if page.irreversible { " class=\"final\"" } else { "" };
    let step = attribute(page.step.as_str());
    out.push_str(&format!("<section id=\"{step}\"{class}>\n<h3><span>{number}</span> {}</h3>\n", escape(&page.title)));
    out.push_str("<p class=\"who\">");
    let people = |handles: &[Handle]| handles.iter().map(Handle::as_str).collect::<Vec<_>>().join(", ");
    if !page.acts.is_empty() {
        out.push_str(&format!("<span>acts <b>{}</b></span>", people(&page.acts)));
    }
    if !page.checks.is_empty() {
        out.push_str(&format!("<span>checks <b>{}</b></span>", people(&page.checks)));
    }
    if page.minutes > 0 {
        out.push_str(&format!("<span>about {} min</span>", page.minutes));
    }
    out.push_str(&format!("<code>{step}</code></p>\n"));
    if page.irreversible {
        out.push_str("<p class=\"once\">This step cannot be undone.</p>\n");
    }
    for block in &page.blocks {
        write_block(block, out);
    }
    for outcome in &page.outcome {
        write_outcome(outcome, out);
    }
    if mode.purpose == Purpose::Script {
        out.push_str("<div class=\"fill\"><span>Time (UTC)</span>");
        for _ in 0..(page.acts.len() + page.checks.len()).clamp(1, 4) {
            out.push_str("<span>Initials</span>");
        }
        out.push_str("<span class=\"wide\">Exception no.</span></div>\n");
    } else if page.outcome.is_empty() {
        out.push_str("<p class=\"nothing\">Nothing is recorded for this step.</p>\n");
    }
    out.push_str("</section>\n");
}

fn write_outcome(outcome: &Outcome, out: &mut String) {
    let (class, tag) = if outcome.exception { ("done exception", "Exception") } else { ("done", "Done") };
    let checked: Vec<&str> = outcome.checked.iter().map(Handle::as_str).collect();
    let checked =
        if checked.is_empty() { String::new() } else { format!(", checked by <b>{}</b>", checked.join(", ")) };
    out.push_str(&format!(
        "<div class=\"{class}\"><p><b class=\"tag\">{tag}</b> <time>{}</time> stated by <b>{}</b>{checked}</p><p>{}</p></div>\n",
        outcome.time,
        outcome.acted,
        inline(&outcome.what)
    ));
}

fn write_block(block: &Block, out: &mut String) {
    match block {
        Block::Say(text) => {
            out.push_str(&format!("<blockquote><b class=\"tag\">Say</b><p>{}</p></blockquote>\n", inline(text)))
        }
        Block::Do(text) => {
            out.push_str(&format!("<p class=\"do\"><b class=\"tag\">Do</b><span>{}</span></p>\n", inline(text)))
        }
        Block::Note(text) => out.push_str(&format!("<p>{}</p>\n", inline(text))),
        Block::Risk(text) => {
            out.push_str(&format!("<p class=\"risk\"><b class=\"tag\">Risk</b> {}</p>\n", inline(text)))
        }
        Block::Facts(facts) => {
            out.push_str("<dl>\n");
            for (name, value) in facts {
                out.push_str(&format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), inline(value)));
            }
            out.push_str("</dl>\n");
        }
        Block::Digest { label, digest } => write_digest(label, digest, out),
        Block::Table { head, rows } => {
            out.push_str("<div class=\"scroll\"><table class=\"data\">\n<thead><tr>");
            head.iter().for_each(|cell| out.push_str(&format!("<th>{}</th>", escape(cell))));
            out.push_str("</tr></thead>\n<tbody>\n");
            for row in rows {
                out.push_str("<tr>");
                row.iter().for_each(|cell| out.push_str(&format!("<td>{}</td>", inline(cell))));
                out.push_str("</tr>\n");
            }
            out.push_str("</tbody></table></div>\n");
        }
        Block::Diff(changes) => {
            out.push_str("<ul class=\"diff\">\n");
            changes.iter().for_each(|change| write_change(change, out));
            out.push_str("</ul>\n");
        }
        Block::Code(code) => out.push_str(&format!("<pre>{}</pre>\n", escape(code.trim_end_matches('\n')))),
    }
}

fn write_digest(label: &str, digest: &Digest, out: &mut String) {
    out.push_str(&format!(
        "<figure><figcaption>{}</figcaption>\n<code>{}</code>\n<ol>\n",
        escape(label),
        grouped(digest)
    ));
    for (i, word) in words::words(digest).iter().enumerate() {
        out.push_str(&format!("<li><i>{}</i> {word}</li>", i + 1));
        out.push_str(if i % 8 == 7 { "\n" } else { "" });
    }
    out.push_str("</ol></figure>\n");
}

fn write_change(change: &Change, out: &mut String) {
    let (class, sign) = match (&change.old, &change.new) {
        (None, Some(_)) => ("new", "+"),
        (Some(_), None) => ("gone", "\u{2212}"),
        _ => ("changed", "~"),
    };
    out.push_str(&format!("<li class=\"{class}\"><i>{sign}</i> {}", escape(&change.what)));
    if let Some(old) = &change.old {
        out.push_str(&format!("<div>was <del>{}</del></div>", inline(old)));
    }
    if let Some(new) = &change.new {
        out.push_str(&format!("<div>now <ins>{}</ins></div>", inline(new)));
    }
    out.push_str("</li>\n");
}

/// Hexadecimal digits in groups of four; a line may break between groups.
fn grouped(digest: &Digest) -> String {
    let hex = digest.to_string();
    let groups: Vec<&str> = hex.as_bytes().chunks(4).filter_map(|four| core::str::from_utf8(four).ok()).collect();
    groups.join(" ")
}

fn span_text(span: &Span) -> &str {
    match span {
        Span::Own(own) => own,
        Span::Foreign(foreign) => foreign.raw(),
    }
}

/// Text inside an element: foreign parts isolated, line breaks of our own kept.
fn inline(text: &Text) -> String {
    let mut out = String::new();
    for span in &text.0 {
        match span {
            Span::Own(own) => out.push_str(&escape(own).replace('\n', "<br>")),
            Span::Foreign(foreign) => out.push_str(&format!("<bdi>{}</bdi>", for_html(&foreign.escaped()))),
        }
    }
    out
}

/// Our own words: no controls but the line break, and escaped for HTML. A backslash of ours stays single.
pub(crate) fn escape(own: &str) -> String {
    let inert = |line: &str| line.split('\\').map(text::escape).collect::<Vec<_>>().join("\\");
    for_html(&own.split('\n').map(inert).collect::<Vec<_>>().join("\n"))
}

/// Words of any origin for an attribute or the title, which know no elements.
fn attribute(any: &str) -> String {
    for_html(&text::escape(any))
}

/// The five characters that mean something to HTML, inside elements and quoted attributes alike.
fn for_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"referrer\" content=\"no-referrer\">
";

/// Paper first: one ink and one accent, so that a black-and-white copy loses nothing. Every meaning that a colour has is
/// also a word.
const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample;

    fn mode(purpose: Purpose, rehearsal: bool) -> Mode {
        Mode { purpose, rehearsal, digest: Some(("plan".to_string(), Digest::of(b""))) }
    }

    fn made(pages: &[Page], mode: &Mode) -> String {
        document(&Text::foreign("First root"), &[Block::Note("An introduction.".into())], pages, mode)
    }

    /// Every opening tag of the body.
    fn tags(html: &str) -> impl Iterator<Item = &str> {
        html[html.find("<body").unwrap()..].split('<').skip(1).map(|tag| tag.split('>').next().unwrap())
    }

    #[test]
    fn a_script_has_boxes_and_a_record_has_outcomes() {
        let pages = [sample::page()];
        let script = made(&[Page { outcome: Vec::new(), ..sample::page() }], &mode(Purpose::Script, false));
        // One box for each who acts or checks.
        assert_eq!(script.matches("<span>Initials</span>").count(), 3);
        assert_eq!(script.matches("<span>Time (UTC)</span>").count(), 1);
        assert!(!script.contains("class=\"done"));
        let record = made(&pages, &mode(Purpose::Record, false));
        assert!(!record.contains("Initials</span>"));
        assert!(record.contains(
            "<time>2026-12-01T10:00:00Z</time> stated by <b>alice</b>, checked by <b>bob</b></p><p>The key was made.</p>"
        ));
        let empty = made(&[Page { outcome: Vec::new(), ..sample::page() }], &mode(Purpose::Record, false));
        assert!(empty.contains("Nothing is recorded for this step."));
    }

    #[test]
    fn a_rehearsal_says_so_in_the_running_head() {
        let head = |html: &str| {
            let from = html.find("<header>").unwrap();
            html[from..from + html[from..].find("</header>").unwrap()].to_string()
        };
        for purpose in [Purpose::Script, Purpose::Record] {
            let rehearsal = made(&[sample::page()], &mode(purpose, true));
            assert!(head(&rehearsal).contains("REHEARSAL"));
            assert!(rehearsal.contains("<title>REHEARSAL: First root</title>"));
            assert!(rehearsal.contains("class=\"stamp\""));
            let production = made(&[sample::page()], &mode(purpose, false));
            assert!(!production.to_lowercase().contains("rehearsal<"), "{production}");
            assert!(head(&production).contains("<code>plan e3b0 c442 98fc 1c14"));
        }
    }

    #[test]
    fn exceptions_stand_where_they_happened_and_at_the_top() {
        let mut page = sample::page();
        let quiet = made(core::slice::from_ref(&page), &mode(Purpose::Record, false));
        assert!(!quiet.contains("<div class=\"done exception\">") && !quiet.contains("Not everything went"));
        page.outcome[0].exception = true;
        let record = made(&[page], &mode(Purpose::Record, false));
        let section = &record[record.find("<section").unwrap()..];
        assert!(section.contains("<div class=\"done exception\"><p><b class=\"tag\">Exception</b>"));
        let top = &record[..record.find("<section").unwrap()];
        assert!(top.contains("1 exception</b> Not everything went by the script: <a href=\"#keys.alice.generate\">"));
    }

    #[test]
    fn words_can_be_copied_back() {
        let html = made(&[sample::page()], &mode(Purpose::Script, false));
        let list = &html[html.find("<ol>").unwrap() + 4..html.find("</ol>").unwrap()];
        let text: String = list.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text).collect();
        assert_eq!(words::parse(&text.replace(char::is_numeric, " ")), Ok(Digest::of(b"")));
    }

    #[test]
    fn nothing_foreign_becomes_markup() {
        let evil = "</style></title><script>alert(1)</script><img src=x onerror=\"a()\">' &lt; \u{1b}[2J\u{202e}\u{0}";
        let pages = [Page {
            title: evil.to_string(),
            // A step can come from a record that somebody else wrote.
            step: serde_json::from_value(serde_json::Value::from(evil)).unwrap(),
            blocks: sample::every_block(evil),
            outcome: alloc::vec![Outcome {
                what: Text::foreign(evil),
                exception: true,
                ..sample::page().outcome[0].clone()
            }],
            ..sample::page()
        }];
        let evil_mode = Mode { digest: Some((evil.to_string(), Digest::of(b""))), ..mode(Purpose::Record, true) };
        let html = document(&Text::foreign(evil), &sample::every_block(evil), &pages, &evil_mode);
        let hidden = |c: &char| *c != '\n' && *c != '\\' && text::escape(&c.to_string()) != c.to_string();
        assert_eq!(html.chars().find(hidden), None);
        assert_eq!(html.matches("</title>").count(), 1);
        assert_eq!(html.matches("</style>").count(), 1);
        let known = [
            "a",
            "b",
            "bdi",
            "blockquote",
            "body",
            "br",
            "code",
            "dd",
            "del",
            "div",
            "dl",
            "dt",
            "figcaption",
            "figure",
            "h1",
            "h2",
            "h3",
            "header",
            "html",
            "i",
            "ins",
            "li",
            "main",
            "nav",
            "ol",
            "p",
            "pre",
            "section",
            "span",
            "strong",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "time",
            "tr",
            "ul",
        ];
        for tag in tags(&html) {
            let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
            assert!(known.contains(&name), "{tag}");
            for attribute in tag.split(' ').skip(1).filter(|part| part.contains("=\"")) {
                let known = ["class=", "id=", "href=", "role=", "aria-hidden="];
                assert!(known.iter().any(|known| attribute.starts_with(known)), "{tag}");
            }
        }
    }

    #[test]
    fn tags_are_balanced() {
        let html = made(&[sample::page(), sample::page()], &mode(Purpose::Record, true));
        let mut open: Vec<&str> = Vec::new();
        for tag in tags(&html) {
            let name = tag.split(' ').next().unwrap();
            match name.strip_prefix('/') {
                Some("html") => {}
                Some(closed) => assert_eq!(open.pop(), Some(closed)),
                None if name == "br" => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty());
    }

    #[test]
    fn nothing_is_fetched() {
        let html = made(&[sample::page()], &mode(Purpose::Script, true));
        for from in ["http:", "https:", "url(", "@import", "src=", "<script", "<link"] {
            assert!(!html.contains(from), "{from}");
        }
        assert!(html.contains("default-src 'none'"));
    }

    #[test]
    fn acts_are_listed_with_their_time() {
        let first = Page { act: Act::Open, minutes: 4, ..sample::page() };
        let html = made(&[first, sample::page(), sample::page()], &mode(Purpose::Script, false));
        assert!(html.contains("<tr><td>2</td><td>Tokens and keys</td><td>2</td><td>6 min</td></tr>"));
        assert!(html.contains("<strong>Together</strong></td><td>3</td><td>10 min</td>"));
        assert!(html.contains("<h3><span>2.2</span>"));
    }
}
