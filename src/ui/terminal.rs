//! The audience at a terminal.
//!
//! Rules:
//! 1. Linear output: a line that was written is not written over, except the one that is being typed. No colour, no
//!    emoji, no full-screen redraws. It is readable when projected, on a serial line and through a screen reader. What
//!    it writes goes to standard error; standard output is for data.
//! 2. Every question says who is asked, at which step, what is asked, and what an answer looks like. Lines are broken
//!    between words.
//! 3. `!` as the first key of any prompt but a secret interjects at once, without Enter (see `ui/typing.rs`).
//! 4. Keys typed before a prompt is there never answer it, and are never shown.
//! 5. Ctrl-C, Ctrl-D on an empty prompt, SIGTERM and a closed terminal are [`AudienceError::Interrupted`]; nothing is
//!    asked afterwards. The terminal is put back when this value is dropped or [`restore`] is called: call it before
//!    `std::process::exit`, which drops nothing.
//! 6. Secrets are never echoed, and are wiped. Foreign text is shown escaped.

use super::forms::{self, Heard};
use super::typing::{self, Typed};
use super::{toned, tty};
use crate::seams::{Answer, Audience, AudienceError, Form, Pin, Question, Tone};
use console::Term;
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use trustroot_core::page::{Page, Text, plain};
use zeroize::Zeroizing;

/// What precedes the rest of a line that was too long.
const CARRIED: &str = "  ";
/// How often a count-down says what is left, in seconds.
const STRIDE: u16 = 5;

/// The audience at a terminal. There is at most one at a time.
pub struct Terminal {
    term: Term,
    tty: tty::Tty,
    /// Whether a page was the last thing shown: a line then stands apart from it.
    below_page: bool,
}

impl Terminal {
    /// Asks, and looks whether what is asked for came by itself, where that can be seen.
    fn hear(
        &mut self,
        question: &Question,
        mut is_done: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<Answer, AudienceError> {
        match &question.form {
            Form::Secret { .. } => {
                return Err(AudienceError::NotAsked(format!("{} is not a question for a secret", question.step)));
            }
            Form::One(choices) | Form::Several(choices) if choices.is_empty() => {
                return Err(AudienceError::NotAsked(format!("{} leaves nothing to choose from", question.step)));
            }
            _ => {}
        }
        self.below_page = false;
        let term = &self.term;
        let _prompt = self.tty.prompt()?;
        pose(term, question, is_done.is_some())?;
        let mut pending = None;
        loop {
            let is_done = is_done.as_mut().map(|is_done| &mut **is_done as &mut dyn FnMut() -> bool);
            let heard = match typing::line(term, is_done).map_err(gone_or_broken)? {
                Typed::Interject => return Ok(Answer::Interject),
                Typed::Seen => return Ok(Answer::Ready),
                Typed::Line(line) => forms::hear(&question.form, &line, pending.as_ref()),
            };
            match (heard, &question.form) {
                (Heard::Answer(answer), _) => return Ok(answer),
                (Heard::Affirm(taken), Form::Several(choices)) => {
                    write(term, &forms::read_back(choices, &taken))?;
                    pending = Some(taken);
                }
                (Heard::Affirm(_), _) => pending = None,
                (Heard::No(words), _) => {
                    // What was read back before is no longer the last thing said.
                    pending = None;
                    write(term, &words)?;
                    write(term, &format!("answer: {}", forms::expects(&question.form)))?;
                }
            }
        }
    }

    /// Writes a line between questions.
    fn below(&mut self, line: &str) -> Result<(), AudienceError> {
        let gap = if std::mem::take(&mut self.below_page) { "\n" } else { "" };
        write(&self.term, &format!("{gap}{line}"))
    }
}

/// Puts the terminal back as it was found: echo on, cursor shown. Harmless at any time.
pub fn restore() {
    tty::restore();
}

impl Terminal {
    /// Takes over the terminal that keys are read from: standard input if it is one, else the controlling terminal.
    ///
    /// # Errors
    /// [`AudienceError::NotAsked`] if there is none, if standard error is not a terminal, or if there is a `Terminal`
    /// already; [`AudienceError::Io`] if it cannot be set up.
    pub fn new() -> Result<Self, AudienceError> {
        Ok(Self { tty: tty::Tty::open()?, term: Term::stderr(), below_page: false })
    }
}

/// The columns of the terminal, within what can be read and what can be taken in at a glance.
fn width(term: &Term) -> usize {
    term.size_checked().map_or(super::WIDTH, |(_, columns)| usize::from(columns).clamp(40, 100))
}

/// Writes lines, broken at spaces. What is carried over is set in, so that no quoted text stands where ours begins.
fn write(term: &Term, text: &str) -> Result<(), AudienceError> {
    let mut out = String::new();
    for line in text.split('\n') {
        for (i, part) in plain::wrap(line, width(term) - CARRIED.len()).iter().enumerate() {
            out.push_str(if i > 0 { CARRIED } else { "" });
            out.push_str(part);
            out.push('\n');
        }
    }
    term.write_str(&out).map_err(gone_or_broken)
}

/// A failure of the terminal; one that was closed is an interruption.
fn gone_or_broken(error: io::Error) -> AudienceError {
    if typing::is_gone(&error) { AudienceError::Interrupted } else { AudienceError::Io(error) }
}

/// The lines that say what is asked, and of what is asked for whether it is `seen` when it comes.
fn pose(term: &Term, question: &Question, seen: bool) -> Result<(), AudienceError> {
    write(term, "")?;
    write(term, &format!("[{}]  {}", question.who, question.step))?;
    write(term, &question.prompt.line())?;
    if let Form::One(choices) | Form::Several(choices) = &question.form {
        for line in forms::listed(choices, width(term)) {
            write(term, &line)?;
        }
    }
    let interject = match question.form {
        Form::Secret { .. } => "   (Ctrl-C = stop)",
        _ => "   (! = trouble)",
    };
    let expects = if seen { forms::SEEN.to_owned() } else { forms::expects(&question.form) };
    write(term, &format!("answer: {expects}{interject}"))
}

impl Audience for Terminal {
    fn show(&mut self, page: &Page) -> Result<(), AudienceError> {
        self.below_page = true;
        // A page is broken already, and its commands are not to be broken.
        let page = plain::render(page, width(&self.term));
        self.term.write_line(&format!("\n{}", page.trim_end_matches('\n'))).map_err(gone_or_broken)
    }

    fn say(&mut self, kind: Tone, line: &Text) -> Result<(), AudienceError> {
        self.below(&toned(kind, line))
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, AudienceError> {
        self.hear(question, None)
    }

    fn ask_or_see(&mut self, question: &Question, is_done: &mut dyn FnMut() -> bool) -> Result<Answer, AudienceError> {
        self.hear(question, Some(is_done))
    }

    fn secret(&mut self, question: &Question, repeat: bool) -> Result<Pin, AudienceError> {
        let Form::Secret { min, max } = question.form else {
            return Err(AudienceError::NotAsked(format!("{} is a question for a secret", question.step)));
        };
        self.below_page = false;
        let term = &self.term;
        let _prompt = self.tty.prompt()?;
        pose(term, question, false)?;
        loop {
            let typed = typing::secret(term).map_err(gone_or_broken)?;
            if let Some(words) = forms::refuse_secret(&typed, min, max) {
                write(term, &words)?;
                write(term, "type it again:")?;
                continue;
            }
            if repeat {
                write(term, "the same again:")?;
                let again = typing::secret(term).map_err(gone_or_broken)?;
                if *typed != *again {
                    write(term, "the two are different; type it again, twice:")?;
                    continue;
                }
            }
            return Ok(Pin::new(Zeroizing::new(typed.as_str().to_owned())));
        }
    }

    fn wait(&mut self, announce: &Text, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        if tty::interrupted() {
            return Err(AudienceError::Interrupted);
        }
        self.below(&announce.line())?;
        // Between prompts the terminal does not echo (see `ui/tty.rs`).
        work();
        Ok(())
    }

    fn count_down(&mut self, announce: &Text, seconds: u16, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        if tty::interrupted() {
            return Err(AudienceError::Interrupted);
        }
        self.below(&announce.line())?;
        let term = &self.term;
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut left = seconds;
                while left > STRIDE {
                    // Ended by the work, which then drops its end, and not by the time.
                    if is_done.recv_timeout(Duration::from_secs(STRIDE.into())) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                    left -= STRIDE;
                    // A terminal that went away is noticed by the next question.
                    let _ = write(term, &format!("{left} seconds left"));
                }
            });
            work();
            drop(done);
        });
        Ok(())
    }
}
