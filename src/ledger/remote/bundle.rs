//! Bundles: what comes on a stick, and what goes on one.
//!
//! Rules:
//! 1. A bundle is copied first, and only the copy is read: a stick may answer differently the second time.
//! 2. Its head is read by ourselves, its pack by `git index-pack --strict`; what its references reach must be whole before one
//!    of ours names it.
//! 3. It is as any other source: nothing in it moves a branch. An old bundle that is given again changes nothing.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use git2::{ObjectType, Oid};
use trustroot_core::bundle::{Bundle, MAX_HEAD};
use trustroot_core::check::Finding;

use super::super::git::GitLedger;
use super::super::{io, shown};
use super::program::{MAX_PACK, git, run, run_with};
use super::{Source, told};
use crate::seams::RemoteError;

/// The most tags that go into a bundle.
const MAX_TAGS: usize = 1000;

impl GitLedger {
    /// Reads the bundle `file` into references of its own. What it rewrites is a finding.
    pub(super) fn read_bundle(&self, file: &Path) -> Result<Vec<Finding>, RemoteError> {
        let name = shown(file);
        let refuse = |reason: &str| RemoteError::NoBundle { file: name.clone(), reason: reason.to_owned() };
        let failed = |error: std::io::Error| RemoteError::NoBundle { file: name.clone(), reason: error.to_string() };
        // Not blocking: it could be a pipe. Whether it is a file is seen once it is open.
        let options =
            File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).clone();
        let from = options.open(file).map_err(failed)?;
        if !from.metadata().map_err(failed)?.is_file() {
            return Err(refuse("it is no file; of a stick only bundles are read"));
        }
        let mut copy = tempfile::tempfile_in(&self.state).map_err(|error| io(&self.state, error))?;
        let copied = std::io::copy(&mut from.take(MAX_PACK + 1), &mut copy).map_err(failed)?;
        if copied > MAX_PACK {
            return Err(RemoteError::TooLarge { remote: name, what: "more than 1 GiB".to_owned() });
        }
        let mut head = Vec::new();
        copy.rewind().and_then(|()| (&copy).take(MAX_HEAD as u64 + 12).read_to_end(&mut head)).map_err(failed)?;
        let bundle = Bundle::read(&head).map_err(|error| refuse(error.0))?;
        drop(head);
        if let Some(missing) = bundle.needs.iter().find(|id| !self.has_commit(id)) {
            return Err(RemoteError::BundleGap { file: name, missing: missing.clone() });
        }

        copy.seek(SeekFrom::Start(bundle.pack as u64)).map_err(failed)?;
        let mut command = git(self.reading.path(), Some(self.reading.repo.path()));
        command.args(["index-pack", "--stdin", "--fix-thin", "--strict"]).arg(format!("--max-input-size={MAX_PACK}"));
        let said = run(&mut command, Some(copy))?;
        if !said.status.success() {
            return Err(match told::failure("fetch", &name, &said) {
                RemoteError::Git { remote, said, .. } => RemoteError::Damaged { remote, said },
                other => other,
            });
        }
        let mut command = git(self.reading.path(), Some(self.reading.repo.path()));
        command.args(["rev-list", "--objects", "--quiet", "--stdin", "--not", "--all"]);
        let ids: String = bundle.references.values().map(|id| format!("{id}\n")).collect();
        let said = run_with(&mut command, &ids)?;
        if !said.status.success() {
            return Err(RemoteError::Damaged { remote: name, said: said.words() });
        }
        let mut findings = Vec::new();
        for (reference, id) in &bundle.references {
            let Some(branch) = reference.strip_prefix("refs/heads/") else { continue };
            if !self.has_commit(id) {
                return Err(refuse("a branch in it is no commit"));
            }
            findings.extend(self.keep(file, branch, id)?);
        }
        Ok(findings)
    }

    /// Moves our reference for a branch of a bundle, if that goes forward.
    fn keep(&self, file: &Path, branch: &str, id: &str) -> Result<Option<Finding>, RemoteError> {
        let git = |error: git2::Error| RemoteError::from(self.reading.git(&error));
        let reference = format!("{}{branch}", Source::Bundle(file.to_owned()).heads());
        let id = Oid::from_str(id).map_err(git)?;
        if let Some(before) = self.commit_at(&reference)? {
            if self.contains(before, id)? {
                return Ok(None);
            }
            if !self.contains(id, before)? {
                return Ok(Some(self.rewritten(branch, &shown(file))));
            }
        }
        self.keep_in_mind(&reference, id)?;
        Ok(None)
    }

    fn has_commit(&self, id: &str) -> bool {
        let Ok(id) = Oid::from_str(id) else { return false };
        self.reading.repo.odb().is_ok_and(|odb| odb.read_header(id).is_ok_and(|(_, kind)| kind == ObjectType::Commit))
    }

    /// Writes a bundle of the branch that is checked out, with its whole history and its tags.
    pub(super) fn bundle_to(&mut self, file: &Path) -> Result<(), RemoteError> {
        let failed = |error: std::io::Error| RemoteError::from(io(file, error));
        if std::fs::symlink_metadata(file).is_ok() {
            return Err(RemoteError::Occupied(shown(file)));
        }
        let branch = self.branch()?;
        let Some(head) = self.commit_at(&branch)? else {
            let said = "there is no commit yet".to_owned();
            return Err(RemoteError::Git { what: "bundle", remote: shown(file), said });
        };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(failed)?;
        let scratch = tempfile::Builder::new().prefix(".trustroot-").tempdir_in(&folder).map_err(failed)?;
        let part = scratch.path().join("bundle");
        let mut command = git(self.reading.path(), Some(self.reading.repo.path()));
        command.args(["bundle", "create", "--quiet"]).arg(&part).arg("HEAD").arg(&branch);
        command.args(self.tags_of(head)?);
        let said = run(&mut command, None)?;
        if !said.status.success() {
            return Err(told::failure("bundle", &shown(file), &said));
        }
        // On the stick before anybody pulls it out.
        File::open(&part).and_then(|written| written.sync_all()).map_err(failed)?;
        std::fs::rename(&part, file).map_err(failed)?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// The tags that `head` reaches, by their full names.
    fn tags_of(&self, head: Oid) -> Result<Vec<String>, RemoteError> {
        let git = |error: git2::Error| RemoteError::from(self.reading.git(&error));
        let names = self.reading.repo.tag_names(None).map_err(git)?;
        let mut found = Vec::new();
        for name in names.iter().filter_map(|name| name.ok().flatten()).take(MAX_TAGS) {
            let reference = format!("refs/tags/{name}");
            if let Some(commit) = self.commit_at(&reference)?
                && self.contains(head, commit)?
                && trustroot_core::bundle::is_reference(&reference)
            {
                found.push(reference);
            }
        }
        Ok(found)
    }
}
