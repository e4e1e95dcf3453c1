//! The seam to everybody who sits elsewhere: git remotes, and bundle files on a stick.
//!
//! Whoever calls this may rely on: nothing that comes from elsewhere is in the branch, the index or the working tree until
//! [`Remote::merge`] or [`Remote::seat`] took it, and both take only what [`trustroot_core::branch`] found in order. What is
//! committed here stays committed, whatever becomes of a push.

use std::path::Path;

use trustroot_core::branch::{Addition, Offer};
use trustroot_core::check::Finding;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;

use super::{Head, LedgerError};

/// A repository that has remotes, or was given bundles.
pub trait Remote {
    /// Fetches from every remote and reads every bundle that was given, and judges what holders' branches of the ceremony in
    /// `dir` add to the branch that is checked out. Nothing is taken over.
    ///
    /// # Errors
    /// Only what went wrong in this repository. A remote that fails is in [`Look::failed`], and the others go on.
    fn look(&mut self, dir: &str) -> Result<Look, LedgerError>;

    /// As [`Self::look`], of what was fetched before: nothing is asked of anybody.
    ///
    /// # Errors
    /// As [`Self::look`].
    fn arrived(&mut self, dir: &str) -> Result<Look, LedgerError>;

    /// Takes additions over in one merge commit: its parents are the commit that is checked out and the heads of the
    /// branches, in order of handle; its tree is the union. As [`super::Ledger::append`] it survives being killed anywhere.
    ///
    /// # Errors
    /// [`LedgerError::Moved`] if the branch moved since [`Self::look`]; [`LedgerError::Unfit`] if the additions exclude each
    /// other. Nothing was changed then.
    fn merge(&mut self, additions: &[&Addition], message: &str, time: Timestamp) -> Result<Head, LedgerError>;

    /// Takes over what the branch that is checked out is ahead by at a remote: an online key that signed there, another clone
    /// of the same person. Fast-forward where that is possible, else one merge commit, if nothing contradicts.
    ///
    /// # Errors
    /// As [`Self::merge`]; [`LedgerError::Unfit`] names what contradicts.
    fn catch_up(&mut self, time: Timestamp) -> Result<Caught, LedgerError>;

    /// For a holder: fetches, and gives the newest commit of the conductor's branch and its files. Nothing is checked out. Also
    /// gives the sources that could not be read.
    ///
    /// # Errors
    /// [`LedgerError::Unfit`] if two sources have states of it that parted.
    fn conductor(&mut self) -> Result<(Head, Vec<(String, RemoteError)>), LedgerError>;

    /// For a holder: fetches (unless [`Self::conductor`] just did), and puts the working tree on the holder's own branch for the ceremony in `dir`. It begins where
    /// the conductor's branch is, as fetched; it goes on from where it was left, here or at a remote; and where the
    /// conductor's branch moved on since, that is taken in, by a fast-forward or one merge commit.
    ///
    /// # Errors
    /// As [`Self::merge`].
    fn seat(&mut self, dir: &str, handle: &Handle, time: Timestamp) -> Result<Seat, LedgerError>;

    /// Whether a remote lacks something of the branch that is checked out, as far as was fetched or pushed.
    ///
    /// # Errors
    /// See [`LedgerError`].
    fn unpushed(&self) -> Result<bool, LedgerError>;

    /// Pushes the branch that is checked out, and `tag`, with one `git push` to each remote. Never forced.
    fn push(&mut self, tag: Option<&str>) -> Vec<Pushed>;

    /// Writes a bundle of the branch that is checked out, and of its tags, to `file`, which may not exist. It holds the whole
    /// history, so that it can be read anywhere.
    ///
    /// # Errors
    /// See [`RemoteError`].
    fn write_bundle(&mut self, file: &Path) -> Result<(), RemoteError>;

    /// The names of the remotes and the files of the bundles, as they are shown.
    fn sources(&self) -> Vec<String>;
}

/// What was seen elsewhere.
#[derive(Debug, Default)]
pub struct Look {
    /// The holders' branches, in order of handle. One that several sources have is here once.
    pub offers: Vec<Offered>,
    /// The sources that could not be read, with why.
    pub failed: Vec<(String, RemoteError)>,
    /// What is to be said about sources and is about no single branch: a conductor's branch that was rewritten there.
    pub findings: Vec<Finding>,
}

/// A holder's branch, and what came of judging it.
#[derive(Clone, Debug)]
pub struct Offered {
    /// Where it was found; the names of remotes and bundles, as they are shown.
    pub from: Vec<String>,
    /// The branch as it is there.
    pub offer: Offer,
    /// What it adds, or why nothing of it is taken. An addition of no commits says that all of it was taken before.
    pub judged: Result<Addition, Vec<Finding>>,
}

/// What [`Remote::catch_up`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caught {
    /// Nothing was ahead.
    Nothing,
    /// The branch went forward, or was merged; here it is.
    Forward(Head),
}

/// Where a holder sits.
#[derive(Debug)]
pub struct Seat {
    /// The branch that is checked out now, in short form, such as `trustroot/2026-11-22-genesis/alice`.
    pub branch: String,
    /// Its newest commit and files.
    pub head: Head,
    /// The commit of the conductor's branch that it was brought up to.
    pub conductor: String,
    /// The sources that could not be read, with why.
    pub failed: Vec<(String, RemoteError)>,
    /// What is to be said about sources.
    pub findings: Vec<Finding>,
}

/// What came of a push to one remote.
#[derive(Debug)]
pub struct Pushed {
    /// The name of the remote, as it is shown.
    pub remote: String,
    /// What came of it.
    pub outcome: Result<PushOutcome, RemoteError>,
}

/// A push that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The remote had everything.
    UpToDate,
    /// The remote has it now.
    Done,
    /// Somebody had pushed to the holder's own branch in the meantime. That was fetched, nothing contradicted, and then the
    /// push worked.
    AfterCatchingUp,
}

/// What went wrong on the way to or from elsewhere. Every text in it is escaped, and without credentials.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The program `git` is not there, or too old.
    #[error("the program git cannot be used: {0}")]
    NoGit(String),
    /// An address that is not used.
    #[error("{url} is no address that is used here: {reason}")]
    Address {
        /// The address.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// No way there: no such host, no network, nobody listens.
    #[error("{remote} cannot be reached: {said}")]
    Unreachable {
        /// The remote.
        remote: String,
        /// What git said.
        said: String,
    },
    /// The host's key is unknown or another one.
    #[error("the host of {remote} did not prove who it is: {said}")]
    HostKey {
        /// The remote.
        remote: String,
        /// What ssh or TLS said.
        said: String,
    },
    /// The person could not prove who they are.
    #[error("{remote} does not know you: {said}")]
    Authentication {
        /// The remote.
        remote: String,
        /// What git said.
        said: String,
    },
    /// No repository is there, or none that this person may see.
    #[error("{remote} is no repository that you may read: {said}")]
    NoRepository {
        /// The remote.
        remote: String,
        /// What git said.
        said: String,
    },
    /// The person may not write there.
    #[error("{remote} does not let you write: {said}")]
    Denied {
        /// The remote.
        remote: String,
        /// What git said.
        said: String,
    },
    /// The branch takes no pushes of this person.
    #[error("the branch {branch} is protected at {remote}: {said}")]
    Protected {
        /// The remote.
        remote: String,
        /// The branch, in short form.
        branch: String,
        /// What the far end said.
        said: String,
    },
    /// A hook or rule of the far end declined.
    #[error("a rule of {remote} declined the push: {said}")]
    Declined {
        /// The remote.
        remote: String,
        /// What the far end said.
        said: String,
    },
    /// Somebody else pushed to the branch.
    #[error("the branch {branch} has moved at {remote}: somebody else pushed to it")]
    Moved {
        /// The remote.
        remote: String,
        /// The branch, in short form.
        branch: String,
    },
    /// The disk at the far end is full.
    #[error("the disk at {remote} is full: {said}")]
    FarDisk {
        /// The remote.
        remote: String,
        /// What the far end said.
        said: String,
    },
    /// More than is taken.
    #[error("{remote} holds more than is taken: {what}")]
    TooLarge {
        /// The remote or bundle.
        remote: String,
        /// Of what.
        what: String,
    },
    /// Objects that git does not accept.
    #[error("what {remote} sends is damaged or malformed: {said}")]
    Damaged {
        /// The remote or bundle.
        remote: String,
        /// What git said.
        said: String,
    },
    /// A file that is no bundle.
    #[error("{file} is no bundle that is read here: {reason}")]
    NoBundle {
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A bundle that goes on from commits that are not here.
    #[error("{file} goes on from {missing}, which is not here")]
    BundleGap {
        /// The file.
        file: String,
        /// The commit.
        missing: String,
    },
    /// A folder that a clone was to go into is there.
    #[error("{0} is there already")]
    Occupied(String),
    /// Anything else that git said.
    #[error("git could not {what} {remote}: {said}")]
    Git {
        /// `fetch`, `push`, `clone` or `bundle`.
        what: &'static str,
        /// The remote or file.
        remote: String,
        /// What git said.
        said: String,
    },
    /// It went wrong in this repository.
    #[error(transparent)]
    Here(#[from] LedgerError),
}

impl RemoteError {
    /// What to do now.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoGit(_) => "install git 2.34 or newer, and see that `git --version` answers",
            Self::Address { .. } => {
                "give https://…, ssh://…, user@host:path, or the path of a repository or a bundle; passwords belong into a \
                 credential helper (`git help credentials`)"
            }
            Self::Unreachable { .. } => {
                "check the network, a proxy, and the address (`git remote -v`), then start again; without a network, carry a \
                 bundle (`--bundle-out FILE`)"
            }
            Self::HostKey { .. } => {
                "ask whoever keeps the host for its key, over another way; then once `git ls-remote REMOTE`, and start again"
            }
            Self::Authentication { .. } => {
                "try `git ls-remote REMOTE` until it answers (ssh: `ssh-add -l`; https: a credential helper), then start again"
            }
            Self::NoRepository { .. } => {
                "check the address letter by letter (`git remote -v`), and ask whether you were invited"
            }
            Self::Denied { .. } => {
                "ask whoever keeps the repository for the right to push; or push to a fork and tell the conductor its address; \
                 or carry a bundle (`--bundle-out FILE`). What is committed here is safe"
            }
            Self::Protected { .. } => {
                "ask whoever keeps the repository to let you push to that branch (holders: to trustroot/**), or carry a bundle \
                 (`--bundle-out FILE`). What is committed here is safe"
            }
            Self::Declined { .. } => {
                "read what the far end said; ask whoever keeps it; or carry a bundle (`--bundle-out FILE`). What is committed \
                 here is safe"
            }
            Self::Moved { .. } => {
                "start again: what was pushed is fetched and taken in, if nothing contradicts. Never push with --force"
            }
            Self::FarDisk { .. } => {
                "tell whoever keeps it; what is committed here is safe, and start again when there is space"
            }
            Self::TooLarge { .. } => {
                "a trust root never holds that much; ask who put it there, and fetch from another source meanwhile"
            }
            Self::Damaged { .. } => {
                "nothing of it was taken; ask for it to be checked with `git fsck`, and fetch from another source meanwhile"
            }
            Self::NoBundle { .. } => {
                "ask for a file made with `--bundle-out FILE`, or with `git bundle create FILE BRANCH`"
            }
            Self::BundleGap { .. } => {
                "ask for a whole bundle (`git bundle create FILE BRANCH`), or fetch what it goes on from"
            }
            Self::Occupied(_) => "name another folder with --dir, or go into that one and start there",
            Self::Git { .. } => {
                "read what git said; the same by hand: `git fetch REMOTE`, `git push REMOTE BRANCH`. What is committed here is safe"
            }
            Self::Here(error) => error.hint(),
        }
    }
}
