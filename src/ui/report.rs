//! What verbs print: data to standard output, everything for people to standard error.
//!
//! Rules, after `age`: an error is one line `error: …` in lower case without a full stop, then a line for each cause,
//! then `hint: …` with what to do now. No colour, no emoji, no control character, whatever is quoted.

use std::error::Error;
use std::io::Write as _;
use trustroot_core::check::{Finding, Level};
use trustroot_core::text::escape;

/// Prints data to standard output, and a line feed if there is none at the end.
///
/// # Errors
/// Standard output cannot be written. A closed pipe is the reader's choice and no error of ours: compare the kind with
/// [`std::io::ErrorKind::BrokenPipe`].
pub fn data(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.is_empty() && !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Prints lines for people to standard error. Where that cannot be written there is nobody left to tell.
pub fn people(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.trim_end_matches('\n').as_bytes()).and_then(|()| err.write_all(b"\n"));
}

/// Whether somebody is likely to watch standard error now.
pub fn watched() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// Where people watch a ceremony that answers by itself: standard error.
pub fn watchers() -> Box<dyn std::io::Write> {
    Box::new(std::io::stderr())
}

/// An error, its causes and the hints, as lines for people. A hint that an error brings along on lines of its own (as
/// [`crate::seams::AudienceError`] does) follows the causes.
pub fn failure(error: &dyn Error, hints: &[&str]) -> String {
    let mut lines = Vec::new();
    let mut advice = Vec::new();
    let mut said = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let words = error.to_string();
        // Many errors end in the words of their cause; nobody is told twice.
        if !said.contains(&words) {
            for (i, line) in words.lines().enumerate() {
                match line.strip_prefix("hint: ") {
                    Some(hint) => advice.push(format!("hint: {}", inert(hint))),
                    None if i > 0 => lines.push(format!("  {}", inert(line))),
                    None => {
                        let label = if lines.is_empty() { "error" } else { "cause" };
                        lines.push(format!("{label}: {}", inert(line)));
                    }
                }
            }
            said = words;
        }
        next = error.source();
    }
    advice.extend(hints.iter().map(|hint| format!("hint: {}", inert(hint))));
    lines.extend(advice);
    lines.join("\n")
}

/// The word for a level.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Refused => "refused",
        Level::Warning => "warning",
        Level::Lenient => "lenient",
        Level::Note => "note",
    }
}

/// A finding: its level, the name of its check, what it is about, what was found; and a hint on a line of its own.
pub fn finding(finding: &Finding) -> String {
    let Finding { check, level: weight, subject, what, hint } = finding;
    let about = if subject.is_empty() { String::new() } else { format!("{}: ", inert(subject)) };
    let mut text = format!("{}: {check}: {about}{}", level(*weight), inert(&what.line()));
    if let Some(hint) = hint {
        text.push_str(&format!("\n  hint: {}", inert(hint)));
    }
    text
}

/// Findings, the gravest first, otherwise in their order; one text, without a line feed at its end.
pub fn findings(findings: &[Finding]) -> String {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    sorted.into_iter().map(finding).collect::<Vec<_>>().join("\n")
}

/// Text that may quote foreign words, escaped already or not: what could move a cursor is escaped, and backslashes are
/// left alone so that nothing is escaped twice.
pub(super) fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut bytes = [0; 4];
    for c in text.chars() {
        match c {
            '\\' => out.push(c),
            _ => out.push_str(&escape(c.encode_utf8(&mut bytes))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::AudienceError;
    use trustroot_core::check::Check;
    use trustroot_core::page::Text;

    #[derive(Debug, thiserror::Error)]
    #[error("the plan cannot be read")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("no such file: a\u{1b}[2J\u{202e}b\\u{{9b}}")]
    struct Inner;

    #[test]
    fn an_error_says_what_why_and_what_now() {
        assert_eq!(
            failure(&Outer(Inner), &["look with ls"]),
            "error: the plan cannot be read\ncause: no such file: a\\u{1b}[2J\\u{202e}b\\u{9b}\nhint: look with ls"
        );
        let answers = AudienceError::Answers("day.toml:3: it is a list\nhint: write a word".into());
        assert_eq!(failure(&answers, &[]), "error: day.toml:3: it is a list\nhint: write a word");
        let io = AudienceError::Io(std::io::Error::other("gone"));
        assert_eq!(failure(&io, &[]), "error: the terminal failed: gone", "the cause is not said twice");
    }

    #[test]
    fn findings_are_named_weighed_and_inert() {
        let refused =
            Finding::new(Level::Refused, Check::KeyId, "2.root.json", Text::foreign("\u{7}x")).hint("mend it");
        let note = Finding::new(Level::Note, Check::Anchor, "", "no anchor");
        assert_eq!(
            findings(&[note, refused]),
            "refused: KEY-ID: 2.root.json: \\u{7}x\n  hint: mend it\nnote: ANCHOR: no anchor"
        );
    }
}
