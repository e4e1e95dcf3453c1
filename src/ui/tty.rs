//! The state of the terminal: who echoes, what a signal does, and how everything is put back.
//!
//! Rules:
//! 1. While the program runs and does not ask, the terminal does not echo, so that keys typed during a wait are not
//!    seen; everything else is as it was found, so that Ctrl-C is a signal and other programs can prompt.
//! 2. While it asks, every key comes at once and as itself, Ctrl-C too. Entering that state throws away what was typed
//!    before.
//! 3. The terminal is put back when [`Tty`] is dropped (a panic drops it too), by [`restore`], and before the process is
//!    ended from here.
//! 4. SIGINT is taken by a handler that only takes note ([`interrupted`]); so are SIGTERM and SIGHUP. A prompt ends at
//!    once. Work under way is let finish, since a token may be in the middle of a command; the next question is then
//!    not asked. A second signal, or a prompt that does not end within a second, ends the process with code 130.
//!    Signals just after a prompt are not a second one: `console` repeats as SIGINT whatever interrupted its read.

use crate::seams::AudienceError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcsetattr,
};
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The terminal and how it was found, for as long as a [`Tty`] lives.
static FOUND: Mutex<Option<Found>> = Mutex::new(None);
/// Whether the handler is installed, or why not.
static HANDLER: OnceLock<Result<(), String>> = OnceLock::new();
/// Whether a signal asked us to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether a prompt is open.
static PROMPTING: AtomicBool = AtomicBool::new(false);
/// When the last prompt ended.
static ENDED: Mutex<Option<Instant>> = Mutex::new(None);
/// How long after a prompt a signal counts as the one that ended it.
const ECHOES: Duration = Duration::from_millis(500);

struct Found {
    fd: OwnedFd,
    modes: Termios,
}

fn found() -> MutexGuard<'static, Option<Found>> {
    // A panic while it was held cannot have left it half written: it is replaced whole.
    FOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a signal asked us to end. It stays so.
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(SeqCst)
}

/// Puts the terminal back as it was found, and shows the cursor. Does nothing if there is no terminal.
pub(super) fn restore() {
    if let Some(found) = &*found() {
        // Nothing can be done where this fails: the terminal is gone.
        // What was typed unseen is thrown away, lest the shell shows it, or runs it.
        let _ = tcflush(&found.fd, QueueSelector::IFlush);
        let _ = tcsetattr(&found.fd, OptionalActions::Now, &found.modes);
        if !is_dumb() {
            let _ = console::Term::stderr().show_cursor();
        }
    }
}

/// Whether the terminal understands no escape sequences.
pub(super) fn is_dumb() -> bool {
    console::is_dumb()
}

/// The terminal, not echoing.
pub(super) struct Tty(());

impl Tty {
    /// Takes the terminal over.
    pub(super) fn open() -> Result<Self, AudienceError> {
        let nobody = |what: &str| {
            AudienceError::NotAsked(format!("{what}\nhint: run this in a terminal, or give a file of answers"))
        };
        if !io::stderr().is_terminal() {
            return Err(nobody("standard error is not a terminal"));
        }
        // The same choice that `console` makes when it reads keys.
        let stdin = io::stdin();
        let fd = if stdin.is_terminal() {
            stdin.as_fd().try_clone_to_owned()?
        } else {
            let tty = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
            tty.map_err(|_| nobody("there is no terminal to read from"))?.into()
        };
        let modes = tcgetattr(&fd).map_err(io::Error::from)?;
        let handled = HANDLER.get_or_init(|| ctrlc::set_handler(on_signal).map_err(|error| error.to_string()));
        handled.clone().map_err(|words| AudienceError::Io(io::Error::other(words)))?;
        let mut place = found();
        if place.is_some() {
            return Err(AudienceError::NotAsked("the terminal is in use already".to_owned()));
        }
        set(&fd, OptionalActions::Now, &quiet(&modes))?;
        *place = Some(Found { fd, modes });
        Ok(Self(()))
    }

    /// Opens a prompt: throws away what was typed before, and hands every key on as it is.
    pub(super) fn prompt(&mut self) -> Result<Prompt<'_>, AudienceError> {
        if interrupted() {
            return Err(AudienceError::Interrupted);
        }
        PROMPTING.store(true, SeqCst);
        // Made before anything can fail, so that dropping it undoes whatever was done.
        let prompt = Prompt(self);
        // A terminal that cannot be set is one that was closed.
        raw().map_err(|_| AudienceError::Interrupted)?;
        Ok(prompt)
    }
}

/// Every key at once and as itself, and nothing of what was typed before.
fn raw() -> io::Result<()> {
    let found = found();
    let Some(Found { fd, modes }) = &*found else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    let mut modes = quiet(modes);
    modes.local_modes -= LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    set(fd, OptionalActions::Flush, &modes)?;
    Ok(tcflush(fd, QueueSelector::IFlush)?)
}

/// Whether a key lies there, or the terminal went away, before this time is over or a signal comes.
pub(super) fn has_key_within(time: Duration) -> io::Result<bool> {
    let found = found();
    let Some(Found { fd, .. }) = &*found else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&time)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        restore();
        *found() = None;
    }
}

/// An open prompt; the terminal goes back to not echoing when it is dropped.
pub(super) struct Prompt<'t>(#[expect(dead_code, reason = "one prompt at a time")] &'t mut Tty);

impl Drop for Prompt<'_> {
    fn drop(&mut self) {
        if let Some(found) = &*found() {
            let _ = set(&found.fd, OptionalActions::Now, &quiet(&found.modes));
        }
        *ENDED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        PROMPTING.store(false, SeqCst);
    }
}

fn set(fd: &OwnedFd, when: OptionalActions, modes: &Termios) -> io::Result<()> {
    Ok(tcsetattr(fd, when, modes)?)
}

/// As it was found, but not echoing.
fn quiet(modes: &Termios) -> Termios {
    let mut modes = modes.clone();
    modes.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
    modes
}

/// Runs on the thread of the `ctrlc` crate.
fn on_signal() {
    if INTERRUPTED.swap(true, SeqCst) && !PROMPTING.load(SeqCst) {
        let ended = *ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_none_or(|ended| ended.elapsed() > ECHOES) {
            leave();
        }
        return;
    }
    // The signal ends the wait for a key; only one that came between two keys does not.
    for _ in 0..50 {
        if !PROMPTING.load(SeqCst) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    leave();
}

fn leave() -> ! {
    restore();
    std::process::exit(130);
}
