//! A pane of `tmux`, typed at by a test.
//!
//! Rules:
//! 1. Each pane has a `tmux` server of its own, which ends with it.
//! 2. Nothing sleeps for a fixed time: the screen is looked at until it shows what is waited for, or time is up.

#![allow(dead_code, unreachable_pub, reason = "tests include this file as a module of their own, and use a part of it")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// One `tmux` server with one window.
pub(crate) struct Pane {
    socket: String,
}

impl Pane {
    /// Runs a command in a new server, on a screen of so many columns and lines.
    pub(crate) fn open(test: &str, (columns, lines): (u16, u16), command: &[&str]) -> Self {
        let pane = Self { socket: format!("trustroot-{}-{test}", std::process::id()) };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let mut args =
            vec!["-f", "/dev/null", "-u", "set-option", "-g", "history-limit", "50000", ";", "new-session", "-d"];
        args.extend(["-x", &columns, "-y", &lines]);
        args.extend(command);
        let out = pane.tmux(&args);
        assert!(out.status.success(), "tmux: {}", String::from_utf8_lossy(&out.stderr));
        pane
    }

    /// One command of `tmux`.
    pub(crate) fn tmux(&self, args: &[&str]) -> Output {
        self.command().args(args).output().expect("these tests need tmux; scripts/test installs it")
    }

    fn command(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.env_remove("TMUX").args(["-L", &self.socket]);
        tmux
    }

    /// Types text as it is. It is handed over a pipe: a secret must not be an argument of `tmux` either.
    pub(crate) fn type_(&self, text: &str) {
        let mut tmux = self.command();
        tmux.args(["load-buffer", "-b", "typed", "-", ";", "paste-buffer", "-d", "-r", "-b", "typed"]);
        let mut running = tmux.stdin(Stdio::piped()).spawn().expect("tmux is there");
        running.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("tmux reads");
        assert!(running.wait().expect("tmux ends").success());
    }

    /// Presses one key, by the name that `tmux` has for it.
    pub(crate) fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).status.success());
    }

    /// Types a line.
    pub(crate) fn enter(&self, text: &str) {
        if !text.is_empty() {
            self.type_(text);
        }
        self.press("Enter");
    }

    /// Everything that was ever on the screen, wrapped lines joined.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]).stdout).into_owned()
    }

    /// Looks until the screen shows `text`.
    pub(crate) fn see(&self, text: &str) -> String {
        let mut screen = String::new();
        until(|| {
            screen = self.screen();
            screen.contains(text)
        })
        .unwrap_or_else(|()| panic!("`{text}` is not on the screen:\n{screen}"));
        screen
    }

    /// Whether the cursor is shown.
    pub(crate) fn has_cursor(&self) -> bool {
        let cursor = self.tmux(&["display-message", "-p", "#{cursor_flag}"]);
        String::from_utf8_lossy(&cursor.stdout).trim() == "1"
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// Looks until `done`, or for twenty seconds.
pub(crate) fn until(mut done: impl FnMut() -> bool) -> Result<(), ()> {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        if Instant::now() > end {
            return Err(());
        }
        std::thread::sleep(Duration::from_millis(15));
    }
    Ok(())
}
