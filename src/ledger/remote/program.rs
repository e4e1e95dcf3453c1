//! The person's own `git`, for everything that leaves this machine.
//!
//! Rules:
//! 1. Its environment is chosen by name: what finds the person's programs, homes, agents, askpass programs, certificates and
//!    proxies. No `GIT_*` of whoever called us reaches it.
//! 2. https, ssh and files are the only ways; no helper program is started, no hook of this repository runs, no submodule is
//!    entered. Addresses and names stand after `--`.
//! 3. It speaks English, so that what it says can be told apart. What it says is escaped and without credentials before
//!    anybody sees it. It asks for passphrases at the terminal itself, or not at all where there is none.
//! 4. It ends: after [`PATIENCE`] it is stopped. No file that it writes is larger than [`MAX_PACK`], and of what it says no
//!    more than [`MAX_SAID`] is kept.

use std::ffi::OsStr;
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use trustroot_core::address::without_credentials;
use trustroot_core::text;

use crate::seams::RemoteError;

/// The largest pack that is taken, in bytes: what a trust root may hold, twice.
pub(super) const MAX_PACK: u64 = 1 << 30;
/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The most bytes of each of its outputs that are kept.
const MAX_SAID: usize = 1 << 20;
/// How long a message may be that is shown.
const MAX_SHOWN: usize = 600;

/// What is handed on of our environment, besides names that begin with one of [`PREFIXES`].
const NAMES: [&str; 30] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "TERM",
    "TMPDIR",
    "TZ",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "GNUPGHOME",
    "GPG_TTY",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "PKCS11_PROVIDER",
    "NIX_SSL_CERT_FILE",
    "SHELL",
    "PASSWORD_STORE_DIR",
];
/// Of agents, askpass programs and security keys; of where settings lie.
const PREFIXES: [&str; 2] = ["SSH_", "XDG_"];

/// Settings that hold whatever the person's say.
const SETTINGS: [&str; 17] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "push.recurseSubmodules=no",
    "push.followTags=false",
    "transfer.bundleURI=false",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "color.ui=false",
    "advice.pushUpdateRejected=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "init.templateDir=",
];

/// What a command said, and how it ended.
pub(super) struct Said {
    pub(super) status: ExitStatus,
    pub(super) out: String,
    pub(super) err: String,
    /// It was stopped because it took too long.
    pub(super) late: bool,
}

impl Said {
    /// What went wrong, for people: the lines of git and of the far end that are no advice, the last ones if there are many.
    pub(super) fn words(&self) -> String {
        if self.late {
            return format!("no answer in {} minutes", PATIENCE.as_secs() / 60);
        }
        words(&self.err, &self.status.to_string())
    }
}

/// The lines of `said` that are about the matter, as one line that can be shown; `otherwise`, if there are none.
pub(super) fn words(said: &str, otherwise: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| {
        let noise = ["hint:", "To ", "From ", "Warning: Permanently added", "** "];
        let progress = line.ends_with('%') || line.contains("% (") || line.ends_with(", done.");
        !line.is_empty() && *line != "remote:" && !progress && !noise.iter().any(|start| line.starts_with(start))
    });
    let lines: Vec<&str> = lines.collect();
    let mut shown = text::escape(&without_credentials(&lines.join("; ")));
    if let Some((cut, _)) = shown.char_indices().nth(MAX_SHOWN) {
        shown.truncate(cut);
        shown.push('…');
    }
    if shown.is_empty() { otherwise.to_owned() } else { shown }
}

/// A `git` that will run in `folder`, on the repository in `git_dir` where one is given.
pub(super) fn git(folder: &Path, git_dir: Option<&Path>) -> Command {
    // The shell sets the limit that no safe code can: it holds for git and for whatever git starts.
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg("ulimit -f \"$1\" 2>/dev/null; shift; exec \"$@\"").arg("sh");
    command.arg((MAX_PACK / 512).to_string()).arg("git");
    for setting in SETTINGS {
        command.arg("-c").arg(setting);
    }
    if let Some(git_dir) = git_dir {
        command.arg("--git-dir").arg(git_dir);
    }
    command.current_dir(folder).env_clear();
    for (name, value) in std::env::vars_os() {
        let known =
            name.to_str().is_some_and(|name| NAMES.contains(&name) || PREFIXES.iter().any(|p| name.starts_with(p)));
        if known {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C").env("GIT_ALLOW_PROTOCOL", "file:https:ssh").env("GIT_NO_REPLACE_OBJECTS", "1");
    if !std::io::stdin().is_terminal() {
        command.env("GIT_TERMINAL_PROMPT", "0");
    }
    command
}

/// Runs a command to its end, with `input` as its input.
///
/// # Errors
/// [`RemoteError::NoGit`] if it cannot be started.
pub(super) fn run(command: &mut Command, input: Option<std::fs::File>) -> Result<Said, RemoteError> {
    let failed = |error: std::io::Error| RemoteError::NoGit(text::escape(&error.to_string()));
    let mut child = command
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let out = child.stdout.take().map(listen);
    let err = child.stderr.take().map(listen);
    let (status, late) = wait(&mut child).map_err(failed)?;
    // A program that git left behind may hold the other end for ever.
    let heard = |from: Option<Receiver<Vec<u8>>>| {
        let bytes = from.and_then(|from| from.recv_timeout(Duration::from_secs(5)).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let said = Said { status, out: heard(out), err: heard(err), late };
    if said.status.code() == Some(127) && said.err.contains("git") {
        return Err(RemoteError::NoGit("there is no such program in PATH".to_owned()));
    }
    Ok(said)
}

/// As [`run`], with `lines` as the input.
pub(super) fn run_with(command: &mut Command, lines: &str) -> Result<Said, RemoteError> {
    let failed = |error: std::io::Error| RemoteError::NoGit(text::escape(&error.to_string()));
    let mut file = tempfile::tempfile().map_err(failed)?;
    file.write_all(lines.as_bytes()).and_then(|()| std::io::Seek::rewind(&mut file)).map_err(failed)?;
    run(command, Some(file))
}

/// Waits until the child ends, or until it took too long.
fn wait(child: &mut Child) -> std::io::Result<(ExitStatus, bool)> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            return Ok((child.wait()?, true));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Reads to the end, and keeps the beginning.
fn listen(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let (mut kept, mut part) = (Vec::new(), [0; 8192]);
        while let Ok(read @ 1..) = from.read(&mut part) {
            let room = MAX_SAID.saturating_sub(kept.len());
            kept.extend_from_slice(part.get(..read.min(room)).unwrap_or_default());
        }
        // Nobody listens any more if waiting was given up.
        let _ = sender.send(kept);
    });
    receiver
}

/// Adds what comes after `--`.
pub(super) fn after_dashes<I: AsRef<OsStr>>(command: &mut Command, words: impl IntoIterator<Item = I>) -> &mut Command {
    command.arg("--").args(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_inert_and_short() {
        let said = "To https://bob:hunter2@example.org/a\nhint: try\nremote: Resolving deltas: 100% (1/1), done.\nremote: \n\
                    remote: GH006: \u{1b}[31mno\u{1b}[m\nerror: failed to push to 'https://bob:hunter2@example.org/a'\n";
        let shown = words(said, "nothing");
        assert_eq!(shown, "remote: GH006: \\u{1b}[31mno\\u{1b}[m; error: failed to push to 'https://example.org/a'");
        assert_eq!(words("hint: x\n", "signal 9"), "signal 9");
        assert!(words(&"long words ".repeat(1000), "").chars().count() <= MAX_SHOWN + 1);
    }
}
