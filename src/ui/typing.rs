//! Reading what a person types: one line, or one secret.
//!
//! Lines are read by `dialoguer`'s `Input` on terminals that can move the cursor, and by the small editor here on those
//! that cannot (`TERM=dumb`). Secrets are always read by the editor here, without echo, and not by `dialoguer`'s
//! `Password`: that one goes on waiting after Ctrl-C when a handler is installed (`std` restarts the read), asks again
//! after Ctrl-D, and leaves the secret in the buffer of standard input, which nobody wipes.
//!
//! One key interjects: the first key is read before `Input` begins. A `!` ends the prompt there and then; any other
//! character becomes the text that `Input` starts with.

use super::tty;
use console::{Key, Term, measure_text_width};
use dialoguer::theme::Theme;
use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;
use zeroize::Zeroizing;

/// What precedes what is typed.
const MARK: &str = "> ";
/// Ctrl-D, the end of input, where nothing was typed.
const END: char = '\u{4}';
/// Ctrl-U, which takes everything back.
const KILL: char = '\u{15}';
/// The most bytes of a secret that are kept; longer ones are refused as too long by any limit.
const MOST: usize = 1_024;

/// What was typed.
pub(super) enum Typed {
    /// A line, without its end.
    Line(String),
    /// `!`, as the first key.
    Interject,
    /// Nothing: what was asked for came by itself.
    Seen,
}

/// How often it is looked whether something came by itself.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// Reads a line. Until its first key `is_done` is looked at, if it is given, and ends it.
///
/// # Errors
/// Ctrl-C, Ctrl-D as the first key, a signal, or a closed terminal.
pub(super) fn line(term: &Term, mut is_done: Option<&mut dyn FnMut() -> bool>) -> Result<Typed> {
    term.write_str(MARK)?;
    let first = loop {
        if let Some(is_done) = &mut is_done {
            while !tty::has_key_within(LOOKS_EVERY)? {
                if tty::interrupted() {
                    return Err(ErrorKind::Interrupted.into());
                }
                if is_done() {
                    term.write_line("(it is there)")?;
                    return Ok(Typed::Seen);
                }
            }
        }
        match term.read_key()? {
            Key::Char('!') => {
                term.write_line("!")?;
                return Ok(Typed::Interject);
            }
            Key::Enter => {
                term.write_line("")?;
                return Ok(Typed::Line(String::new()));
            }
            Key::Char(END) => return Err(ErrorKind::UnexpectedEof.into()),
            Key::Char(c) if !c.is_control() => break c,
            _ => {}
        }
    };
    if tty::is_dumb() {
        let mut typed = String::from(first);
        term.write_str(&typed)?;
        edit(term, &mut typed, true)?;
        return Ok(Typed::Line(typed));
    }
    // `Input` writes the mark again, over the one that is there.
    term.write_str("\r")?;
    let input = dialoguer::Input::<String>::with_theme(&Plain).with_initial_text(first).allow_empty(true);
    let dialoguer::Error::IO(error) = match input.interact_text_on(term) {
        Ok(line) => return Ok(Typed::Line(line)),
        Err(error) => error,
    };
    Err(error)
}

/// Reads a secret, without echo.
///
/// # Errors
/// As [`line`].
pub(super) fn secret(term: &Term) -> Result<Zeroizing<String>> {
    term.write_str(MARK)?;
    // It never grows, so no copy of it is left behind.
    let mut typed = Zeroizing::new(String::with_capacity(MOST + 4));
    edit(term, &mut typed, false)?;
    Ok(typed)
}

/// Reads characters up to Enter; Backspace takes one back, Ctrl-U all.
fn edit(term: &Term, typed: &mut String, echo: bool) -> Result<()> {
    loop {
        if tty::interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        match term.read_key()? {
            Key::Enter => return term.write_line(""),
            Key::Char(END) if typed.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            Key::Backspace => {
                if let Some(c) = typed.pop() {
                    rub_out(term, c, echo)?;
                }
            }
            Key::Char(KILL) => {
                while let Some(c) = typed.pop() {
                    rub_out(term, c, echo)?;
                }
            }
            Key::Char(c) if !c.is_control() && typed.len() < MOST => {
                typed.push(c);
                if echo {
                    term.write_str(c.encode_utf8(&mut [0; 4]))?;
                }
            }
            _ => {}
        }
    }
}

fn rub_out(term: &Term, c: char, echo: bool) -> Result<()> {
    if !echo {
        return Ok(());
    }
    let width = measure_text_width(c.encode_utf8(&mut [0; 4]));
    term.write_str(&"\u{8} \u{8}".repeat(width))
}

/// Whether an error means that nobody is there any more, rather than that something broke.
pub(super) fn is_gone(error: &Error) -> bool {
    /// What a terminal that was closed answers.
    const EIO: i32 = rustix::io::Errno::IO.raw_os_error();
    let kinds = [ErrorKind::Interrupted, ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe, ErrorKind::NotConnected];
    tty::interrupted() || kinds.contains(&error.kind()) || error.raw_os_error() == Some(EIO)
}

/// A line after a mark, before and after it is typed.
struct Plain;

impl Theme for Plain {
    fn format_input_prompt(&self, f: &mut dyn fmt::Write, _: &str, _: Option<&str>) -> fmt::Result {
        f.write_str(MARK)
    }

    fn format_input_prompt_selection(&self, f: &mut dyn fmt::Write, _: &str, line: &str) -> fmt::Result {
        write!(f, "{MARK}{}", super::report::inert(line))
    }
}
