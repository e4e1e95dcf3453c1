//! Failures: what happened, what to do now, and the exit code. The one place where errors become exit codes.

use std::fmt;

use trustroot_core::check::Finding;

use crate::conduct::Halt;
use crate::seams::{AudienceError, LedgerError, RemoteError, TokenError};
use crate::ui::report;

/// What kind of failure; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Refused, or a finding.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The surroundings: token, git, terminal, network, files.
    Surroundings = 3,
    /// Our own mistake.
    Bug = 70,
    /// A person pressed Ctrl-C.
    Interrupted = 130,
}

/// A failure of a verb.
#[derive(Debug)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// What happened, one line, nothing foreign unescaped.
    pub message: String,
    /// What was found, if checks refused.
    pub findings: Vec<Finding>,
    /// What to do now.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with nothing but a message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), findings: Vec::new(), hints: Vec::new() }
    }

    /// With what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let path = trustroot_core::text::escape(&path.display().to_string());
        let failure = Self::new(Kind::Surroundings, format!("{path}: {error}"));
        failure.hint("check the path, its permissions and the space on the disk")
    }

    /// The lines that people read.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        if !self.findings.is_empty() {
            text.push_str(&report::findings(&self.findings));
            text.push('\n');
        }
        let hints: Vec<&str> = self.hints.iter().map(String::as_str).collect();
        text.push_str(&report::failure(self, &hints));
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::new(Kind::Surroundings, error.to_string()).hint(error.hint())
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let kind = match error {
            RemoteError::Address { .. } => Kind::Usage,
            RemoteError::Declined { .. }
            | RemoteError::Protected { .. }
            | RemoteError::TooLarge { .. }
            | RemoteError::Damaged { .. }
            | RemoteError::NoBundle { .. }
            | RemoteError::BundleGap { .. } => Kind::Refused,
            _ => Kind::Surroundings,
        };
        Self::new(kind, error.to_string()).hint(error.hint())
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let kind = if matches!(error, TokenError::Refused(_)) { Kind::Refused } else { Kind::Surroundings };
        Self::new(kind, error.to_string()).hint(error.hint())
    }
}

impl From<AudienceError> for Failure {
    fn from(error: AudienceError) -> Self {
        match error {
            AudienceError::Interrupted => Self::new(Kind::Interrupted, "stopped by Ctrl-C, or the terminal was closed"),
            AudienceError::Answers(_) => Self::new(Kind::Refused, error.to_string()),
            AudienceError::NotAsked(_) | AudienceError::Io(_) => Self::new(Kind::Surroundings, error.to_string()),
        }
    }
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        let message = halt.to_string();
        match halt {
            Halt::Audience(error) => error.into(),
            Halt::Ledger(error) => error.into(),
            Halt::Record(findings) => Self { findings, ..Self::new(Kind::Refused, message) }
                .hint("`trustroot verify` shows everything that is wrong; restore the record from git before going on"),
            Halt::Refused(findings) => Self { findings, ..Self::new(Kind::Refused, message) }.hint(
                "mend the plan and hold the ceremony again; `trustroot plan lint FILE` shows most of it beforehand",
            ),
            Halt::Signed(findings) => Self { findings, ..Self::new(Kind::Refused, message) }.hint(
                "the signatures are in the record and stay valid; mend what is named above (a clock, an expiry, an online \
                 key), then start again. Hold no other ceremony for this version",
            ),
            Halt::Clock { .. } => {
                Self::new(Kind::Surroundings, message).hint("set the clock of this machine, then start again")
            }
            Halt::Online { .. } => {
                Self::new(Kind::Surroundings, message).hint("give it with `trustroot run --online-key NAME=FILE`")
            }
            Halt::Bug(_) => Self::new(Kind::Bug, message)
                .hint("this is our mistake; please report it with the step it happened at. Nothing committed is lost"),
        }
    }
}
