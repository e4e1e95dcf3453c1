//! Fetching and cloning.

use std::path::Path;

use trustroot_core::address::Address;
use trustroot_core::branch::PREFIX;
use trustroot_core::bundle;
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::text;

use super::super::git::GitLedger;
use super::super::{io, shown};
use super::program::{Said, after_dashes, git, run};
use super::{Fetched, Source, told};
use crate::seams::{LedgerError, RemoteError};

impl GitLedger {
    /// Fetches from every source. What fails is told, and keeps nothing from the others.
    pub(super) fn fetch_all(&mut self) -> Result<Fetched, LedgerError> {
        if self.behind {
            self.repair()?;
        }
        let branch = self.conductors_branch()?;
        let mut fetched = self.fetched.take().unwrap_or_default();
        for source in self.all_sources() {
            let found = match &source {
                Source::Remote(name) => self.fetch(name, &branch),
                Source::Bundle(file) => self.read_bundle(file),
                Source::Earlier(_) => continue,
            };
            match found {
                Ok(findings) => fetched.findings.extend(findings),
                Err(error) => fetched.failed.push((source.shown(), error)),
            }
        }
        Ok(fetched)
    }

    /// Fetches the conductor's branch and all holders' branches of one remote. What the remote rewrote is a finding.
    pub(super) fn fetch(&self, name: &str, branch: &str) -> Result<Vec<Finding>, RemoteError> {
        self.address(name)?;
        let heads = Source::Remote(name.to_owned()).heads();
        let mut command = git(self.reading.path(), Some(self.reading.repo.path()));
        command.args(["fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"]);
        // With a star, so that a branch that is not there yet is no error.
        let specs =
            [format!("refs/heads/{branch}*:{heads}{branch}*"), format!("refs/heads/{PREFIX}*:{heads}{PREFIX}*")];
        let said = run(after_dashes(&mut command, [name.to_owned()].into_iter().chain(specs)), None)?;
        let rewritten = rejected(&said);
        if !said.status.success() && (rewritten.is_empty() || gave_up(&said)) {
            return Err(told::failure("fetch", &text::escape(name), &said));
        }
        Ok(rewritten.iter().map(|there| self.rewritten(there, &text::escape(name))).collect())
    }

    /// The finding that a branch was rewritten at a source.
    pub(super) fn rewritten(&self, branch: &str, source: &str) -> Finding {
        let of_holder = branch.starts_with(PREFIX);
        let check = if of_holder { Check::BranchRewrite } else { Check::HistoryRewrite };
        let what = format!("{source} has rewritten it: what was fetched before is no longer part of it");
        let finding = Finding::new(Level::Warning, check, text::escape(branch), what);
        finding
            .hint("what was fetched before is kept, and nothing of the new state is taken; ask who did that, and why")
    }
}

/// The branches that git refused to move because they would not go forward, in short form.
fn rejected(said: &Said) -> Vec<String> {
    let line = |line: &str| {
        let rest = line.trim_start().strip_prefix("! [rejected]")?.trim_start();
        let (branch, rest) = rest.split_once(" -> ")?;
        rest.contains("(non-fast-forward)").then(|| branch.trim().to_owned())
    };
    said.err.lines().filter_map(line).collect()
}

/// Whether git stopped before it was through.
fn gave_up(said: &Said) -> bool {
    said.late || said.err.lines().any(|line| line.starts_with("fatal:"))
}

/// Clones what `from` says (an address, or the file of a bundle) into the folder `into`, which may not exist; relative paths
/// are relative to `here`. A bundle is no remote afterwards: it is given anew each time.
///
/// # Errors
/// [`RemoteError::Address`] for other ways than https, ssh and paths, and for addresses with a password in them.
pub fn clone(here: &Path, from: &str, into: &Path) -> Result<(), RemoteError> {
    let refuse = |url: String, reason| Err(RemoteError::Address { url, reason });
    let address = match Address::parse(from) {
        Ok(address) if address.holds_secret() => {
            return refuse(address.shown(), "it holds a password or token, which other programs could read");
        }
        Ok(address) => address,
        Err(error) => return refuse(text::escape(&trustroot_core::address::without_credentials(from)), error.0),
    };
    if std::fs::symlink_metadata(into).is_ok() {
        return Err(RemoteError::Occupied(shown(into)));
    }
    if let Some(path) = address.path().map(|path| here.join(path)) {
        if path.is_file() {
            return clone_bundle(&path, into);
        }
        if !path.exists() {
            return Err(RemoteError::NoRepository { remote: shown(&path), said: "there is nothing".to_owned() });
        }
    }
    let mut command = git(here, None);
    command.args(["clone", "--no-tags", "--no-recurse-submodules", "--no-local", "--origin", "origin"]);
    let said = run(after_dashes(&mut command, [address.as_str().as_ref(), into.as_os_str()]), None)?;
    if said.status.success() { Ok(()) } else { Err(told::failure("clone", &address.shown(), &said)) }
}

/// A clone of a bundle: its branch that is no holder's.
fn clone_bundle(file: &Path, into: &Path) -> Result<(), RemoteError> {
    let mut ledger = GitLedger::init(into, None)?;
    let cloned = ledger.start_from(file);
    if cloned.is_err() {
        drop(ledger);
        // Made a moment ago, and of no use.
        std::fs::remove_dir_all(into).map_err(|error| io(into, error))?;
    }
    cloned
}

impl GitLedger {
    fn start_from(&mut self, file: &Path) -> Result<(), RemoteError> {
        self.read_bundle(file)?;
        let heads = Source::Bundle(file.to_owned()).heads();
        let names = self.branches_below(&heads)?;
        let mut main = names.iter().filter(|name| !name.starts_with(PREFIX));
        let first = main.clone().find(|name| *name == "main").or_else(|| main.next());
        let Some(name) = first else {
            let reason = "it holds no branch but holders'".to_owned();
            return Err(RemoteError::NoBundle { file: shown(file), reason });
        };
        let branch = format!("refs/heads/{name}");
        let Some(commit) = self.commit_at(&format!("{heads}{name}"))? else {
            return Err(RemoteError::NoBundle { file: shown(file), reason: "its branch is no commit".to_owned() });
        };
        self.go(&branch, None, commit, "clone a bundle")?;
        Ok(())
    }

    /// The branches below a prefix of references, in short form.
    pub(super) fn branches_below(&self, heads: &str) -> Result<Vec<String>, LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let mut found = Vec::new();
        for reference in self.reading.repo.references().map_err(git)? {
            let reference = reference.map_err(git)?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let plain = name.strip_prefix(heads).filter(|name| bundle::is_reference(&format!("refs/heads/{name}")));
            found.extend(plain.map(str::to_owned));
        }
        Ok(found)
    }
}

/// Makes a bare repository at `path`, with the empty branch `main`, for people on one machine to meet at.
///
/// # Errors
/// [`LedgerError::Io`] if there is a repository already.
pub fn bare(path: &Path) -> Result<(), LedgerError> {
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).mkpath(true).external_template(false).initial_head("main");
    git2::Repository::init_opts(path, &options).map_err(|error| io(path, error.message()))?;
    Ok(())
}

impl GitLedger {
    /// Names the repository at `path` as a remote, unless there is one of that name.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn add_remote(&self, name: &str, path: &Path) -> Result<(), LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        // Opened anew: with our own settings laid over it, the repository's configuration would not be the one written to.
        let repo = git2::Repository::open(self.reading.path()).map_err(git)?;
        if repo.find_remote(name).is_ok() {
            return Ok(());
        }
        let url = path.to_str().ok_or_else(|| io(path, "its path is not UTF-8"))?;
        repo.remote(name, url).map(drop).map_err(git)
    }
}
