//! Pushing.
//!
//! Rules:
//! 1. One `git push` to each remote, of the branch that is checked out under its own name, and of a tag where one is named.
//!    Never forced, whatever the settings say.
//! 2. What came of it is read from `--porcelain`, reference by reference; success is what stands there, not the exit code alone.

use trustroot_core::branch::PREFIX;
use trustroot_core::text;

use super::super::git::GitLedger;
use super::program::{after_dashes, git, run};
use super::{Source, told};
use crate::seams::{LedgerError, PushOutcome, Pushed, RemoteError};

impl GitLedger {
    /// The remotes that are pushed to: the one that the person's git is set to push to, else all.
    fn push_remotes(&self) -> Vec<String> {
        let all = self.remotes();
        let branch = self.branch().unwrap_or_default();
        let short = branch.strip_prefix("refs/heads/").unwrap_or_default();
        let config = self.reading.repo.config().and_then(|mut config| config.snapshot());
        let set = config.ok().and_then(|config| {
            let names = [format!("branch.{short}.pushRemote"), "remote.pushDefault".to_owned()];
            names.iter().find_map(|name| config.get_string(name).ok())
        });
        match set {
            Some(one) if all.contains(&one) => vec![one],
            _ => all,
        }
    }

    /// Pushes to each remote.
    pub(super) fn push_all(&mut self, tag: Option<&str>) -> Vec<Pushed> {
        let remotes = self.push_remotes();
        let push = |name: String| Pushed { remote: text::escape(&name), outcome: self.push_to(&name, tag) };
        remotes.into_iter().map(push).collect()
    }

    fn push_to(&self, name: &str, tag: Option<&str>) -> Result<PushOutcome, RemoteError> {
        let branch = self.branch()?;
        let short = branch.strip_prefix("refs/heads/").unwrap_or(&branch);
        let first = self.push_once(name, &branch, tag);
        if !matches!(first, Err(RemoteError::Moved { .. })) || !short.starts_with(PREFIX) {
            return first;
        }
        // Nobody but the holder writes to a holder's branch: it was another clone of the same person, or this one's own push
        // whose answer was lost.
        self.fetch(name, &self.conductors_branch()?)?;
        let there = self.commit_at(&format!("{}{short}", Source::Remote(name.to_owned()).heads()))?;
        match (self.commit_at(&branch)?, there) {
            (Some(here), Some(there)) if self.contains(there, here)? => Ok(PushOutcome::UpToDate),
            (Some(here), Some(there)) if self.contains(here, there)? => {
                self.push_once(name, &branch, tag).map(|_| PushOutcome::AfterCatchingUp)
            }
            _ => first,
        }
    }

    fn push_once(&self, name: &str, branch: &str, tag: Option<&str>) -> Result<PushOutcome, RemoteError> {
        self.address(name)?;
        let remote = text::escape(name);
        let mut specs = vec![format!("{branch}:{branch}")];
        specs.extend(tag.map(|tag| format!("refs/tags/{tag}:refs/tags/{tag}")));
        let mut command = git(self.reading.path(), Some(self.reading.repo.path()));
        command.args(["push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no"]);
        let said = run(after_dashes(&mut command, [name.to_owned()].into_iter().chain(specs.iter().cloned())), None)?;
        let mut outcome = PushOutcome::UpToDate;
        for spec in &specs {
            let to = spec.split_once(':').map_or("", |(_, to)| to);
            let short = text::escape(to.strip_prefix("refs/heads/").or(to.strip_prefix("refs/tags/")).unwrap_or(to));
            let Some((flag, reason)) = answer(&said.out, to) else {
                return Err(told::failure("push", &remote, &said));
            };
            match flag {
                '=' => {}
                ' ' | '*' => outcome = PushOutcome::Done,
                _ if to.starts_with("refs/tags/") && reason.contains("already exists") => {
                    return Err(LedgerError::TagExists(short).into());
                }
                _ => return Err(told::rejection(&remote, &short, &reason, &said)),
            }
        }
        if !said.status.success() {
            return Err(told::failure("push", &remote, &said));
        }
        self.pushed(name, branch)?;
        Ok(outcome)
    }

    /// Keeps in mind that the remote has the branch as it is here.
    fn pushed(&self, name: &str, branch: &str) -> Result<(), LedgerError> {
        let (short, commit) = (branch.strip_prefix("refs/heads/").unwrap_or(branch), self.commit_at(branch)?);
        if let Some(commit) = commit {
            let reference = format!("{}{short}", Source::Remote(name.to_owned()).heads());
            self.keep_in_mind(&reference, commit)?;
        }
        Ok(())
    }

    /// Whether a remote that is pushed to lacks something of the branch that is checked out.
    pub(super) fn lacks_something(&self) -> Result<bool, LedgerError> {
        let branch = self.branch()?;
        let short = branch.strip_prefix("refs/heads/").unwrap_or(&branch);
        let Some(here) = self.commit_at(&branch)? else { return Ok(false) };
        for name in self.push_remotes() {
            match self.commit_at(&format!("{}{short}", Source::Remote(name).heads()))? {
                Some(there) if self.contains(there, here)? => {}
                _ => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// What `git push --porcelain` says of the reference `to`: its flag, and what stands in parentheses, or the whole summary.
fn answer(out: &str, to: &str) -> Option<(char, String)> {
    out.lines().find_map(|line| {
        let mut parts = line.splitn(3, '\t');
        let (flag, names, summary) = (parts.next()?, parts.next()?, parts.next()?);
        let flag = if flag.is_empty() { ' ' } else { flag.chars().next()? };
        (names.split_once(':')?.1 == to).then(|| (flag, summary.to_owned()))
    })
}
