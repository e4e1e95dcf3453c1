//! The seam to the git repository that holds a trust root.

use std::collections::BTreeMap;

use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;

use super::Remote;

/// A git repository that holds a trust root.
pub trait Ledger {
    /// The files of the newest commit under `ceremony/` and `root/`, and where that is.
    ///
    /// # Errors
    /// See [`LedgerError`].
    fn head(&self) -> Result<Head, LedgerError>;

    /// Commits one step: objects first, then the branch by compare-and-swap, then the working tree.
    ///
    /// # Errors
    /// [`LedgerError::Moved`] if the branch is no longer where `commit.parent` says; nothing is changed then.
    fn append(&mut self, commit: &Commit) -> Result<Head, LedgerError>;

    /// Makes the tag `name` at the newest commit, signed where the person's git is set up for it, annotated otherwise.
    /// An existing tag of that name at that commit is left as it is.
    ///
    /// # Errors
    /// [`LedgerError::TagExists`] if the name is taken by something else.
    fn tag(&mut self, name: &str, message: &str, time: Timestamp) -> Result<(), LedgerError>;

    /// Signs `bytes` with the person's own SSH key in `namespace` (`ssh-keygen -Y sign`); nothing if their git is not
    /// set up for SSH signatures. The result is the armoured signature.
    ///
    /// # Errors
    /// `ssh-keygen` was set up and failed, or the person refused.
    fn ssh_sign(&mut self, namespace: &str, bytes: &[u8]) -> Result<Option<String>, LedgerError>;

    /// Everybody who sits elsewhere; nothing for a repository without remotes and bundles, whose ceremonies are held in one
    /// room.
    fn remote(&mut self) -> Option<&mut dyn Remote> {
        None
    }
}

/// A moment of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The full id of the commit; nothing before the first.
    pub commit: Option<String>,
    /// The files under `ceremony/` and `root/`, and `.gitattributes`.
    pub tree: Tree,
}

/// One step, one event, one commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Where the branch must be; nothing for the first commit.
    pub parent: Option<String>,
    /// The files to add or replace, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The message: a line of what, a blank line, trailers.
    pub message: String,
    /// The time stated, as author's and committer's.
    pub time: Timestamp,
}

/// What went wrong at the repository.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no repository.
    #[error("there is no git repository at {0}")]
    NotFound(String),
    /// The repository belongs to somebody else.
    #[error("the repository at {0} belongs to another user of this machine")]
    Foreign(String),
    /// The working tree holds changes that are not ours.
    #[error("the working tree at {path} holds changes that no step made: {}", files.join(", "))]
    Dirty {
        /// The repository.
        path: String,
        /// The first few paths, escaped.
        files: Vec<String>,
    },
    /// Somebody else committed in the meantime.
    #[error("the branch moved: it was expected at {expected} and is at {found}")]
    Moved {
        /// The commit expected.
        expected: String,
        /// The commit found.
        found: String,
    },
    /// No branch is checked out, or a merge or rebase is under way.
    #[error("the repository is in the middle of something: {0}")]
    Busy(String),
    /// The tag's name is taken.
    #[error("the tag {0} exists already and points elsewhere")]
    TagExists(String),
    /// The person's name or mail address is not set.
    #[error("git does not know who you are")]
    NoIdentity,
    /// `ssh-keygen` failed.
    #[error("ssh-keygen could not sign: {0}")]
    SshSign(String),
    /// `gpg` or `gpgsm` failed.
    #[error("gpg could not sign: {0}")]
    GpgSign(String),
    /// There is more than a trust root ever holds.
    #[error("the repository is larger than a trust root may be: {0}")]
    Limit(String),
    /// The commit or tag that was asked for must not be made: a path outside the trust root, a change to what is
    /// append-only. Nothing was changed.
    #[error("this must not be committed: {0}")]
    Unfit(String),
    /// The repository is of a kind that is not read: another hash, another storage of references, a working tree that is
    /// somewhere else.
    #[error("the repository at {path} is of a kind that is not read here: {reason}")]
    Unknown {
        /// The repository.
        path: String,
        /// What git said, escaped.
        reason: String,
    },
    /// Objects are missing, or are not what their ids say.
    #[error("the repository at {path} is not whole: {reason}")]
    Damaged {
        /// The repository.
        path: String,
        /// What git said, escaped.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("the repository at {path} cannot be read or written: {reason}")]
    Io {
        /// The repository.
        path: String,
        /// What the system or git said, escaped.
        reason: String,
    },
}

impl LedgerError {
    /// What to do now.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "go to the trust root's clone, or make one with `git init` and `trustroot plan new`",
            Self::Foreign(_) => {
                "work in a clone of your own, or, if you trust it, `git config --global --add safe.directory PATH`"
            }
            Self::Dirty { .. } => "look with `git status`; commit or stash what is yours, then start again",
            Self::Moved { .. } => {
                "another process or person committed; start again, and the ceremony goes on from there"
            }
            Self::Busy(_) => {
                "let the other process end, or finish or abort it with git, check the branch out, then start again"
            }
            Self::TagExists(_) => {
                "look with `git show TAG`; a published tag is never moved, so name the ceremony differently"
            }
            Self::NoIdentity => "git config user.name \"Your Name\" && git config user.email you@example.org",
            Self::SshSign(_) => "check user.signingkey and your agent (`ssh-add -L`), then start again",
            Self::GpgSign(_) => "check user.signingkey and `gpg --list-secret-keys`, then start again",
            Self::Limit(_) => "look with `git ls-files` for what does not belong there, and verify a clone without it",
            Self::Unfit(_) => {
                "nothing was changed; look at the path with `git log`, and report it if no person put it there"
            }
            Self::Unknown { .. } => {
                "make a clone that any git reads, with `git clone --ref-format=files URL`; repositories with SHA-256 ids are \
                 not read"
            }
            Self::Damaged { .. } => {
                "a clone that left objects out is completed by `git fetch --refetch --no-filter`; else look with \
                 `git fsck`, and make a new clone"
            }
            Self::Io { .. } => "check space and permissions (`df`, `ls -l`); what was committed is safe, start again",
        }
    }
}
