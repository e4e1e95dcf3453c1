//! What can go wrong, and what to do then.

use std::io;
use std::path::{Path, PathBuf};
use trustroot_core::metadata::Refusal;
use trustroot_core::text::escape;

use crate::source::FetchError;

/// Why something was not done. Foreign text in it is escaped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of the trusted set refused what was served, or what lies here.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// A file could not be had.
    #[error("{file} from {source_name}: {why}")]
    Fetch {
        /// The file that was asked for.
        file: String,
        /// The place that was asked.
        source_name: String,
        /// What happened.
        why: FetchError,
    },
    /// The local state or a downloaded file could not be read or written.
    #[error("{}: {error}", escape(&path.display().to_string()))]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no root here to start from.
    #[error("{} holds no root.json: this client was not initialised", escape(&.0.display().to_string()))]
    NoRoot(PathBuf),
    /// Something is needed that only a repository has, and nobody may be asked.
    #[error("{} holds no {file}, and offline nobody is asked", escape(&dir.display().to_string()))]
    NotHere {
        /// The folder of the local state.
        dir: PathBuf,
        /// The file, as it lies there.
        file: String,
    },
    /// There is another root here already.
    #[error("{} holds another root already, of another trust root or newer than this one", escape(&.0.display().to_string()))]
    OtherRoot(PathBuf),
    /// Another process holds the local state.
    #[error("another process has been at work in {} for too long", escape(&.0.display().to_string()))]
    Busy(PathBuf),
    /// No role that is trusted for the path names it.
    #[error("the repository has no target \"{}\"", escape(.0))]
    NoTarget(String),
    /// While a target came, another process brought newer metadata, which may name another one.
    #[error("while \"{}\" came, another process brought newer metadata here", escape(.0))]
    Stale(String),
    /// The path of a target cannot be a file below a folder.
    #[error("the target path \"{}\" would leave the folder", escape(.0))]
    Path(String),
    /// An address that is not understood.
    #[error("the address \"{}\" is not understood: {why}", escape(text))]
    Address {
        /// The address.
        text: String,
        /// Why.
        why: &'static str,
    },
    /// A fingerprint that was said is neither digits nor words.
    #[error("the fingerprint is neither 64 hexadecimal digits nor 32 words: {0}")]
    Fingerprint(String),
    /// What came is not what was announced by its digest, or by another place.
    #[error("{0}")]
    Differs(String),
    /// Every mirror failed; what each of them did.
    #[error("none of {} mirrors could be used: {}", .0.len(), .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mirrors(Vec<Error>),
}

impl Error {
    pub(crate) fn store(path: &Path, error: io::Error) -> Self {
        Self::Store { path: path.to_owned(), error }
    }

    /// What to do now.
    pub fn hint(&self) -> &str {
        match self {
            Self::Refused(refusal) => refusal.finding().hint.as_deref().unwrap_or(
                "nothing was changed by the refused file; try again later, or another mirror, and ask the repository",
            ),
            Self::Fetch { why: FetchError::Missing, .. } => {
                "the repository is not complete there; try again later, or another mirror"
            }
            Self::Fetch { .. } => "check the address and the network, or try another mirror",
            Self::Store { .. } => "check the path, its permissions and the space on the disk",
            Self::NoRoot(_) => "initialise it first, with the root that you have from a place you trust",
            Self::NotHere { .. } => "do the same once while the repository can be reached",
            Self::OtherRoot(_) => {
                "to go on from the root that is there, refresh; to follow another trust root, give another metadata folder"
            }
            Self::Busy(_) => "wait for it, or end it; the lock goes away with the process",
            Self::NoTarget(_) => "check the spelling; names are case-sensitive and contain their folders",
            Self::Stale(_) => "run it again; what has come is kept, and used if it is still what is trusted",
            Self::Path(_) => "do not use this file; ask the repository why its targets have such names",
            Self::Address { .. } => "give an https:// address, a file:// address or the path of a folder",
            Self::Fingerprint(_) => "say it again; spaces and capitals do not matter",
            Self::Differs(_) => "do not use it; ask the project, through another channel, which root is theirs",
            Self::Mirrors(errors) => errors.last().map_or("give at least one mirror", Self::hint),
        }
    }

    /// Whether another mirror could do better.
    pub(crate) fn may_fail_over(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Fetch { .. })
    }
}
