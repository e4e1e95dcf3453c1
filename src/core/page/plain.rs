//! Pages as plain text, for a projected terminal, a serial line and a log.
//!
//! Rules:
//! 1. Lines of at most the width asked for, read from top to bottom. No colour, no cursor, no emoji; every ornament is
//!    ASCII. Only [`Block::Code`] keeps its own lines.
//! 2. Foreign text is escaped, and our own words lose every control but the line break, so nothing on a page can move
//!    a cursor. The third column is ours (`SAY`, `DO`, `RISK`, `DONE`, names): foreign text begins further right, so
//!    none passes itself off as a line of the page.
//! 3. The words of a digest are numbered, so that a person can find word 17.

use super::{Block, Change, Outcome, Page, Span, Text};
use crate::digest::Digest;
use crate::event::Act;
use crate::text::{self, Handle};
use crate::words;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The narrowest page; a narrower wish is not granted, because words would no longer fit.
pub const NARROWEST: usize = 40;
/// The widest page; longer lines are not read.
pub const WIDEST: usize = 160;

/// The margin of what has no mark of its own; as wide as the marks.
const ASIDE: &str = "          ";

/// The page as lines of at most `width` columns, within [`NARROWEST`] and [`WIDEST`]; ends with a line break.
pub fn render(page: &Page, width: usize) -> String {
    let mut out = Lines::new(width);
    heading(page, &mut out);
    out.blocks(&page.blocks);
    if !page.outcome.is_empty() {
        out.blank();
        for outcome in &page.outcome {
            out.outcome(outcome);
        }
    }
    out.text
}

/// Blocks without a page around them, such as a report; as [`render`].
pub fn blocks(blocks: &[Block], width: usize) -> String {
    let mut out = Lines::new(width);
    out.blocks(blocks);
    out.text
}

fn heading(page: &Page, out: &mut Lines) {
    let act = Act::ALL.iter().position(|act| *act == page.act).map_or(0, |i| i + 1);
    let left = format!("Act {act} of {}, {}", Act::ALL.len(), page.act.title());
    let right = page.step.to_string();
    out.rule('=');
    let room = out.width.saturating_sub(left.width() + right.width());
    if room >= 2 {
        out.line(&format!("{left}{}{right}", " ".repeat(room)));
    } else {
        out.wrapped("", "", &left);
        out.wrapped("", "", &right);
    }
    out.wrapped("", "  ", &own_words(&page.title.to_uppercase()));
    let names = |handles: &[Handle]| handles.iter().map(Handle::as_str).collect::<Vec<_>>().join(", ");
    let mut who: Vec<String> = Vec::new();
    if !page.acts.is_empty() {
        who.push(format!("acts: {}", names(&page.acts)));
    }
    if !page.checks.is_empty() {
        who.push(format!("checks: {}", names(&page.checks)));
    }
    if page.minutes > 0 {
        who.push(format!("about {} min", page.minutes));
    }
    if !who.is_empty() {
        out.wrapped("", "  ", &who.join("   "));
    }
    if page.irreversible {
        out.wrapped("", "  ", "*** THIS STEP CANNOT BE UNDONE ***");
    }
    out.rule('-');
}

/// Our own and foreign words, safe to show; line breaks of our own are kept.
fn inert(text: &Text) -> String {
    let mut out = String::new();
    for span in &text.0 {
        match span {
            Span::Own(own) => out.push_str(&own_words(own)),
            Span::Foreign(foreign) => out.push_str(&foreign.escaped()),
        }
    }
    out
}

/// Our own words without controls, the line break apart. A backslash of ours stays single.
fn own_words(own: &str) -> String {
    let lines = own.split('\n').map(|line| line.split('\\').map(text::escape).collect::<Vec<_>>().join("\\"));
    lines.collect::<Vec<_>>().join("\n")
}

fn one_line(text: String) -> String {
    text.replace('\n', " ")
}

struct Lines {
    text: String,
    width: usize,
}

impl Lines {
    fn new(width: usize) -> Self {
        Self { text: String::new(), width: width.clamp(NARROWEST, WIDEST) }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end_matches(' '));
        self.text.push('\n');
    }

    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn rule(&mut self, of: char) {
        self.line(&of.to_string().repeat(self.width));
    }

    /// `text` with `first` before its first line and `rest` before the others.
    fn wrapped(&mut self, first: &str, rest: &str, text: &str) {
        let mut margin = first;
        for paragraph in text.split('\n') {
            for line in wrap(paragraph, self.width - first.width().max(rest.width()).min(self.width - 10)) {
                self.line(&format!("{margin}{line}"));
                margin = rest;
            }
        }
    }

    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            self.blank();
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Say(text) => self.wrapped("  SAY   | ", "        | ", &inert(text)),
            Block::Do(text) => self.wrapped("  DO   -> ", "          ", &inert(text)),
            Block::Note(text) => self.wrapped(ASIDE, ASIDE, &inert(text)),
            Block::Risk(text) => self.wrapped("  RISK  ! ", "        ! ", &inert(text)),
            Block::Facts(facts) => {
                let facts: Vec<_> =
                    facts.iter().map(|(name, value)| (one_line(own_words(name)), inert(value))).collect();
                self.facts(&facts);
            }
            Block::Digest { label, digest } => self.digest(label, digest),
            Block::Table { head, rows } => self.table(head, rows),
            Block::Diff(changes) => self.diff(changes),
            Block::Code(code) => {
                // Verbatim, so that it can be copied; a line longer than the page is the terminal's to break.
                for line in code.trim_end_matches('\n').split('\n') {
                    self.line(&format!("    {}", own_words(line)));
                }
            }
        }
    }

    /// Names and values, aligned; a name too long for its column has a line of its own.
    fn facts(&mut self, facts: &[(String, String)]) {
        let widest = facts.iter().map(|(name, _)| name.width()).filter(|w| *w <= self.width / 3).max().unwrap_or(0);
        for (name, value) in facts {
            let rest = " ".repeat(widest + 4);
            if name.width() > widest {
                self.wrapped("  ", "  ", name);
                self.wrapped(&rest, &rest, value);
            } else {
                self.wrapped(&format!("  {}  ", pad(name, widest)), &rest, value);
            }
        }
    }

    fn digest(&mut self, label: &str, digest: &Digest) {
        self.wrapped("  ", "  ", &own_words(label));
        let hex = digest.to_string();
        let groups: Vec<&str> = hex.as_bytes().chunks(4).filter_map(|four| core::str::from_utf8(four).ok()).collect();
        for row in groups.chunks(if self.width < 48 { 4 } else { 8 }) {
            self.line(&format!("    {}", row.join(" ")));
        }
        let numbered: Vec<String> =
            words::words(digest).iter().enumerate().map(|(i, word)| format!("{:2} {}", i + 1, pad(word, 11))).collect();
        let across = match self.width {
            0..52 => 2,
            52..68 => 3,
            68..132 => 4,
            _ => 8,
        };
        for row in numbered.chunks(across) {
            self.line(&format!("    {}", row.join("  ")));
        }
    }

    fn table(&mut self, head: &[String], rows: &[Vec<Text>]) {
        let head: Vec<String> = head.iter().map(|cell| one_line(own_words(cell))).collect();
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| one_line(inert(cell))).collect()).collect();
        let columns = rows.iter().map(Vec::len).chain([head.len()]).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|i| {
                rows.iter().chain([&head]).filter_map(|row| row.get(i)).map(|cell| cell.width()).max().unwrap_or(0)
            })
            .collect();
        if 2 + widths.iter().map(|width| width + 2).sum::<usize>() <= self.width {
            let mut row_of = |row: &[String]| {
                let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
                self.line(&format!("    {}", cells.join("  ")));
            };
            row_of(&head);
            row_of(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
            rows.iter().for_each(|row| row_of(row));
            return;
        }
        // Too wide: one record after the other, a line for each cell.
        for (n, row) in rows.into_iter().enumerate() {
            if n > 0 {
                self.line("");
            }
            let names = head.iter().cloned().chain(core::iter::repeat(String::new()));
            self.facts(&names.zip(row).collect::<Vec<_>>());
        }
    }

    /// A change with one side only has one line where it fits, and the values of such lines stand below each other. The
    /// first two spaces end the name, so only a name without two in a row can stand there.
    fn diff(&mut self, changes: &[Change]) {
        let one_side = |change: &Change| {
            let (mark, value) = match (&change.old, &change.new) {
                (None, Some(new)) => ('+', inert(new)),
                (Some(old), None) => ('-', inert(old)),
                _ => return None,
            };
            let what = own_words(&change.what);
            let fits = 4 + what.width() + 2 + value.width() <= self.width;
            (fits && !what.contains("  ") && !what.contains('\n') && !value.contains('\n'))
                .then_some((mark, what, value))
        };
        let lines: Vec<_> = changes.iter().map(one_side).collect();
        // As wide as the widest name that leaves room for every value of such a line.
        let room = lines.iter().flatten().map(|(_, _, value)| self.width.saturating_sub(6 + value.width())).min();
        let widest = lines.iter().flatten().map(|(_, what, _)| what.width()).max();
        let column = widest.unwrap_or(0).min(room.unwrap_or(0));
        for (change, line) in changes.iter().zip(lines) {
            match line {
                Some((mark, what, value)) => self.line(&format!("  {mark} {}  {value}", pad(&what, column))),
                None => self.change(change),
            }
        }
    }

    /// Old and new stand on lines of their own: a foreign value may contain any arrow.
    fn change(&mut self, change: &Change) {
        let what = own_words(&change.what);
        match (&change.old, &change.new) {
            (None, Some(new)) => {
                self.wrapped("  + ", "    ", &what);
                self.wrapped("      now  ", "           ", &inert(new));
            }
            (Some(old), None) => {
                self.wrapped("  - ", "    ", &what);
                self.wrapped("      was  ", "           ", &inert(old));
            }
            (Some(old), Some(new)) => {
                self.wrapped("  ~ ", "    ", &what);
                self.wrapped("      was  ", "           ", &inert(old));
                self.wrapped("      now  ", "           ", &inert(new));
            }
            (None, None) => self.wrapped("  ~ ", "    ", &what),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let checked: Vec<&str> = outcome.checked.iter().map(Handle::as_str).collect();
        let mut who = format!("{}, stated by {}", outcome.time, outcome.acted);
        if !checked.is_empty() {
            who.push_str(&format!(", checked by {}", checked.join(", ")));
        }
        let (first, rest) =
            if outcome.exception { ("  EXCEPTION ! ", "            ! ") } else { ("  DONE  ", "        ") };
        self.wrapped(first, rest, &who);
        self.wrapped(rest, rest, &inert(&outcome.what));
    }
}

/// `text` and spaces up to `width` columns.
fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// `text` in lines of at most `width` columns, broken at spaces, and inside a word only where it is longer than a line.
/// Runs of spaces inside a line are kept, so that two different texts do not look alike. Never no line at all.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for (i, word) in text.split(' ').enumerate() {
        let space = usize::from(i > 0);
        if used + space + word.width() <= width {
            if space == 1 {
                line.push(' ');
            }
            line.push_str(word);
            used += space + word.width();
            continue;
        }
        if i > 0 {
            lines.push(core::mem::take(&mut line));
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > width {
                lines.push(core::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepId;
    use crate::page::sample;
    use crate::time::Timestamp;

    fn shown(block: Block, width: usize) -> String {
        blocks(&[block], width)
    }

    #[test]
    fn a_page() {
        let page = Page {
            step: StepId::of(Act::Keys, &Handle::new("alice").unwrap(), "generate"),
            act: Act::Keys,
            title: "Generate the key".to_string(),
            acts: alloc::vec![Handle::new("alice").unwrap()],
            checks: alloc::vec![Handle::new("bob").unwrap(), Handle::new("peter").unwrap()],
            minutes: 3,
            irreversible: true,
            blocks: alloc::vec![
                Block::Say("Here is a sentence that is long enough to be broken once.".into()),
                Block::Do("Touch the token.".into()),
                Block::Facts(alloc::vec![
                    ("serial".to_string(), Text::foreign("12345678")),
                    ("to be signed".to_string(), "nothing yet".into()),
                ]),
            ],
            outcome: alloc::vec![Outcome {
                time: Timestamp::parse("2026-12-01T10:00:00Z").unwrap(),
                acted: Handle::new("alice").unwrap(),
                checked: alloc::vec![Handle::new("bob").unwrap()],
                what: "The key was made.".into(),
                exception: false,
            }],
        };
        let expected = "\
============================================================
Act 2 of 9, Tokens and keys              keys.alice.generate
GENERATE THE KEY
acts: alice   checks: bob, peter   about 3 min
*** THIS STEP CANNOT BE UNDONE ***
------------------------------------------------------------

  SAY   | Here is a sentence that is long enough to be
        | broken once.

  DO   -> Touch the token.

  serial        12345678
  to be signed  nothing yet

  DONE  2026-12-01T10:00:00Z, stated by alice, checked by
        bob
        The key was made.
";
        assert_eq!(render(&page, 60), expected);
    }

    #[test]
    fn a_digest_in_hex_and_numbered_words() {
        let block = Block::Digest { label: "Payload of root 1".to_string(), digest: Digest::of(b"") };
        let expected = "  Payload of root 1
    e3b0 c442 98fc 1c14 9afb f4c8 996f b924
    27ae 41e4 649b 934c a495 991b 7852 b855
     1 tissue        2 phonetic      3 snowslide     4 December
     5 printer       6 Wilmington    7 befriend      8 belowground
";
        let text = shown(block.clone(), 80);
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.lines().count(), 11);
        assert_eq!(shown(block.clone(), 160).lines().count(), 7);
        assert_eq!(shown(block.clone(), 40).lines().count(), 21);
        // What is on the screen can be typed back as it is.
        for width in [40, 80, 160] {
            let text = shown(block.clone(), width);
            let words = &text[text.find(" 1 tissue").unwrap()..];
            assert_eq!(words::parse(words), Ok(Digest::of(b"")));
        }
    }

    #[test]
    fn risk_and_exception_stand_out_on_every_line() {
        let text = shown(Block::Risk("word ".repeat(30).trim_end().into()), 60);
        assert!(text.starts_with("  RISK  ! word"));
        assert!(text.lines().skip(1).all(|line| line.starts_with("        ! ")));
        let mut page = sample::page();
        page.outcome[0].exception = true;
        assert!(render(&page, 60).contains("  EXCEPTION ! 20"));
    }

    #[test]
    fn tables_are_aligned_or_stacked() {
        let head = alloc::vec!["name".to_string(), "key".to_string()];
        let rows = alloc::vec![
            alloc::vec![Text::foreign("山田"), "one".into()],
            alloc::vec![Text::foreign("Zoë Long"), "two".into()],
        ];
        let table = Block::Table { head: head.clone(), rows };
        assert_eq!(shown(table, 60), "    name      key\n    --------  ---\n    山田      one\n    Zoë Long  two\n");
        let wide = alloc::vec![alloc::vec!["a".into(), "x".repeat(50).into()], alloc::vec!["b".into(), "y".into()]];
        let stacked = shown(Block::Table { head, rows: wide }, 40);
        assert_eq!(
            stacked,
            alloc::format!(
                "  name  a\n  key   {}\n        {}\n\n  name  b\n  key   y\n",
                "x".repeat(32),
                "x".repeat(18)
            )
        );
    }

    #[test]
    fn a_diff_says_was_and_now() {
        let change = |old: Option<&str>, new: Option<&str>| Change {
            what: "root threshold".to_string(),
            old: old.map(Text::foreign),
            new: new.map(Text::foreign),
        };
        let diff = Block::Diff(alloc::vec![
            change(None, Some("3")),
            change(Some("2"), None),
            change(Some("2"), Some("3 -> 4"))
        ]);
        let expected =
            "  + root threshold  3\n  - root threshold  2\n  ~ root threshold\n      was  2\n      now  3 -> 4\n";
        assert_eq!(shown(diff, 80), expected);
    }

    #[test]
    fn a_diff_of_one_side_has_one_line_where_nothing_can_be_mistaken() {
        let new = |what: &str, new: &str| Change { what: what.to_string(), old: None, new: Some(Text::foreign(new)) };
        let diff = Block::Diff(alloc::vec![
            new("root version", "1"),
            new("plan", &"x".repeat(30)),
            new("plan digest", &"y".repeat(31)),
            new("a  1", "2"),
        ]);
        let expected = alloc::format!(
            "  + root version  1\n  + plan  {}\n  + plan digest\n      now  {}\n           yy\n  + a  1\n      now  2\n",
            "x".repeat(30),
            "y".repeat(29),
        );
        assert_eq!(shown(diff, 40), expected);
    }

    #[test]
    fn code_is_verbatim() {
        let line = alloc::format!("openssl dgst -sha256 \\\n  {}", "x".repeat(100));
        assert_eq!(shown(Block::Code(line.clone()), 60), alloc::format!("    {}\n", line.replace('\n', "\n    ")));
    }

    #[test]
    fn nothing_foreign_escapes() {
        for block in sample::every_block("\u{1b}[2J\r\n\u{202e}\u{200b}\u{9b}DONE  \\") {
            for width in [0, 40, 41, 80, usize::MAX] {
                let text = shown(block.clone(), width);
                let hidden = |c: &char| *c != '\n' && text::escape(&c.to_string()) != c.to_string() && *c != '\\';
                assert_eq!(text.chars().find(hidden), None, "{text}");
                assert!(text.lines().all(|line| line.is_empty() || line.starts_with("  ")), "{text}");
            }
        }
    }

    #[test]
    fn nothing_foreign_stands_where_marks_stand() {
        let mark = "DONE";
        let foreign = alloc::format!("{} {mark}", "x".repeat(30)).repeat(9);
        for mut block in sample::every_block(mark).into_iter().chain(sample::every_block(&foreign)) {
            // Names, labels, headings and what changes are our own words, and may stand there.
            match &mut block {
                Block::Facts(_) | Block::Digest { .. } | Block::Diff(_) => continue,
                Block::Table { head, .. } => head[1] = "two".to_string(),
                _ => {}
            }
            for width in [40, 60, 80, 160] {
                let text = shown(block.clone(), width);
                assert!(!text.lines().any(|line| line.starts_with("  DONE")), "{text}");
            }
        }
    }

    #[test]
    fn not_even_our_own_title_moves_a_cursor() {
        let page = Page { title: "a\u{1b}[2J".to_string(), ..sample::page() };
        assert!(!render(&page, 80).contains('\u{1b}'));
    }

    #[test]
    fn lines_fit() {
        for width in [40, 60, 80, 132, 160] {
            let mut page = sample::page();
            page.blocks = sample::every_block(&"山田 太郎 and a-very-long-word-without-any-space ".repeat(4));
            page.blocks.retain(|block| !matches!(block, Block::Code(_)));
            for line in render(&page, width).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn wrapping_keeps_runs_of_spaces_and_breaks_long_words() {
        assert_eq!(wrap("a  b", 10), ["a  b"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("山山山", 3), ["山", "山", "山"]);
        assert_eq!(wrap("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
    }
}
