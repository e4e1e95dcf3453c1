//! Everybody who sits elsewhere: remotes, bundles, and what is taken from them.
//!
//! Rules:
//! 1. The network, clones and bundles are the person's own `git` ([`program`]); objects are looked at with libgit2.
//! 2. What is fetched lies under `refs/trustroot/` and nowhere else: no branch, tag or remote-tracking reference moves. There
//!    it only goes forward: what a source rewrites is reported, and what it had stays.
//! 3. A source that fails does not keep the others from being read.
//! 4. Nothing is ever forced.

mod bundle;
mod fetch;
mod offers;
mod program;
mod push;
mod seat;
mod told;

use std::path::{Path, PathBuf};

use trustroot_core::address::Address;
use trustroot_core::branch::{Addition, PREFIX};
use trustroot_core::check::Finding;
use trustroot_core::text;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;

use super::git::GitLedger;
use super::{FETCHED, shown};
use crate::seams::{Caught, Head, Ledger as _, LedgerError, Look, Pushed, Remote, RemoteError, Seat};

pub use fetch::{bare, clone};

/// What a round of fetching could not read or take.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    failed: Vec<(String, RemoteError)>,
    findings: Vec<Finding>,
}

/// Where something comes from.
enum Source {
    /// A remote of git's configuration.
    Remote(String),
    /// A bundle file that was given now.
    Bundle(PathBuf),
    /// A bundle that was read before, by the name that its file had.
    Earlier(String),
}

impl Source {
    /// As it is shown.
    fn shown(&self) -> String {
        match self {
            Self::Remote(name) => text::escape(name),
            Self::Bundle(file) => shown(file),
            Self::Earlier(stem) => format!("the bundle {stem}"),
        }
    }

    /// Under which references what is fetched from it lies.
    fn heads(&self) -> String {
        match self {
            Self::Remote(name) => format!("{FETCHED}remotes/{name}/heads/"),
            Self::Bundle(file) => format!("{FETCHED}bundles/{}/heads/", stem(file)),
            Self::Earlier(stem) => format!("{FETCHED}bundles/{stem}/heads/"),
        }
    }
}

/// The name of a bundle's file in references.
fn stem(file: &Path) -> String {
    let name = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let plain: String = name.chars().take(60).map(plain).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "bundle".to_owned() } else { plain.to_owned() }
}

impl GitLedger {
    /// The same, with bundle files besides the remotes.
    #[must_use]
    pub fn with_bundles(mut self, files: Vec<PathBuf>) -> Self {
        self.bundles = files;
        self
    }

    /// The same, of a ceremony whose holders sit elsewhere although neither remote nor bundle says so yet.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// Whether there is anybody elsewhere.
    pub(super) fn has_remotes(&self) -> bool {
        self.apart || !self.bundles.is_empty() || self.reading.repo.remotes().is_ok_and(|remotes| !remotes.is_empty())
    }

    /// The names of the remotes.
    fn remotes(&self) -> Vec<String> {
        let remotes = self.reading.repo.remotes();
        let names = remotes.iter().flat_map(|names| names.iter()).filter_map(|name| name.ok().flatten());
        names
            .filter(|name| git2::Reference::is_valid_name(&format!("{FETCHED}remotes/{name}/heads/x")))
            .map(str::to_owned)
            .collect()
    }

    /// Everything that is read: remotes, and bundles given now.
    fn all_sources(&self) -> Vec<Source> {
        let remotes = self.remotes().into_iter().map(Source::Remote);
        remotes.chain(self.bundles.iter().cloned().map(Source::Bundle)).collect()
    }

    /// The address of a remote, if it is one that is used.
    fn address(&self, name: &str) -> Result<Address, RemoteError> {
        let remote = self.reading.repo.find_remote(name).map_err(|error| self.reading.git(&error))?;
        let url = remote.url().unwrap_or_default();
        Address::parse(url).map_err(|error| RemoteError::Address { url: text::escape(name), reason: error.0 })
    }

    /// The conductor's branch, in short form: what is checked out, unless that is a holder's; then what was checked out before.
    fn conductors_branch(&self) -> Result<String, LedgerError> {
        let here = self.branch()?;
        let here = here.strip_prefix("refs/heads/").unwrap_or(&here);
        if !here.starts_with(PREFIX) {
            return Ok(here.to_owned());
        }
        let kept = std::fs::read_to_string(self.state.join("conductor")).unwrap_or_default();
        let kept = kept.trim();
        let fits = !kept.is_empty() && git2::Reference::is_valid_name(&format!("refs/heads/{kept}"));
        Ok(if fits { kept.to_owned() } else { "main".to_owned() })
    }

    /// Sets one of our references for what is elsewhere. A lock that a kill leaves at it is known for ours at the next start.
    fn keep_in_mind(&self, reference: &str, commit: git2::Oid) -> Result<(), LedgerError> {
        self.mark(reference, None)?;
        let kept = self.reading.repo.reference(reference, commit, true, "trustroot: elsewhere");
        let unmarked = self.unmark();
        match kept {
            Ok(_) => unmarked,
            Err(error) if error.code() == git2::ErrorCode::Locked => {
                Err(LedgerError::Busy(format!("another git holds {}.lock", text::escape(reference))))
            }
            Err(error) => Err(self.reading.git(&error)),
        }
    }

    /// The commit that a reference names; nothing if there is no such reference, or if it names something else.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] if what it names is missing: nobody is to take that for a branch that is not there.
    fn commit_at(&self, reference: &str) -> Result<Option<git2::Oid>, LedgerError> {
        match self.reading.repo.find_reference(reference) {
            Ok(found) => self.reading.named_commit(&found),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.reading.git(&error)),
        }
    }
}

impl Remote for GitLedger {
    fn look(&mut self, dir: &str) -> Result<Look, LedgerError> {
        let Fetched { failed, findings } = self.fetch_all()?;
        Ok(Look { offers: self.offers(dir)?, failed, findings })
    }

    fn arrived(&mut self, dir: &str) -> Result<Look, LedgerError> {
        Ok(Look { offers: self.offers(dir)?, ..Look::default() })
    }

    fn merge(&mut self, additions: &[&Addition], message: &str, time: Timestamp) -> Result<Head, LedgerError> {
        self.take_over(additions, message, time)
    }

    fn catch_up(&mut self, time: Timestamp) -> Result<Caught, LedgerError> {
        let branch = self.branch()?;
        let short = branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned();
        let Some(tip) = self.commit_at(&branch)? else { return Ok(Caught::Nothing) };
        let there = self.newest(&short, None)?.unwrap_or(tip);
        let goal = self.combine(tip, there, &format!("Take in what {short} has elsewhere"), time)?;
        if goal == tip {
            return Ok(Caught::Nothing);
        }
        self.go(&branch, Some(tip), goal, "take in what was done elsewhere").map(Caught::Forward)
    }

    fn conductor(&mut self) -> Result<(Head, Vec<(String, RemoteError)>), LedgerError> {
        let fetched = self.fetch_all()?;
        let head = match self.conductors_commit()? {
            Some(commit) => self.reading.at(&commit.to_string())?,
            None => self.head()?,
        };
        self.fetched = Some(Fetched { failed: Vec::new(), findings: fetched.findings });
        Ok((head, fetched.failed))
    }

    fn seat(&mut self, dir: &str, handle: &Handle, time: Timestamp) -> Result<Seat, LedgerError> {
        self.take_seat(dir, handle, time)
    }

    fn unpushed(&self) -> Result<bool, LedgerError> {
        self.lacks_something()
    }

    fn push(&mut self, tag: Option<&str>) -> Vec<Pushed> {
        self.push_all(tag)
    }

    fn write_bundle(&mut self, file: &Path) -> Result<(), RemoteError> {
        self.bundle_to(file)
    }

    fn sources(&self) -> Vec<String> {
        self.all_sources().iter().map(Source::shown).collect()
    }
}
