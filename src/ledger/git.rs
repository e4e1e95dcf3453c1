//! Writing: one step, one commit.
//!
//! Rules:
//! 1. The order is: objects (flushed to disk), branch (compare-and-swap from the commit expected), working tree, index.
//! 2. What cannot be committed is found before anything is written: paths outside the trust root, changes to what is
//!    append-only, files of other people in the way.
//! 3. What a killed process left is finished at the next start (`repair.rs`), and before the next commit of this process.
//! 4. `ceremony/plans/` is for people to edit: a commit may replace what is committed there, and never what is not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use git2::{ConfigLevel, ErrorCode, IndexEntry, IndexTime, ObjectType, Oid, Repository, RepositoryState};
use rustix::fs::Stat;
use trustroot_core::branch::PLANS;
use trustroot_core::text;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Entry;

use super::lock::Lock;
use super::read::{Named, Reading, is_name};
use super::remote::Fetched;
use super::sign::{Signer, is_set, text_of};
use super::worktree::Worktree;
use super::{Budget, TEMPORARY, appearance, io, shown};
use crate::seams::{Commit, Head, Ledger, LedgerError, Remote};

/// The file that keeps git from changing any byte, added by the first commit to a branch that has none.
pub const GITATTRIBUTES: (&str, &[u8]) = (".gitattributes", b"* -text\n");

/// Files of a trust root that a commit may replace. All others are append-only, except people's plans.
const REPLACEABLE: [&str; 2] = ["root/README.md", "root/timestamp.json"];
/// How many paths a refusal names.
const NAMED: usize = 5;

/// A name and address for commits that are not a person's: rehearsals. Such commits and tags are never signed, so the
/// same files, message and time give the same commit id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: String,
    email: String,
}

impl Identity {
    /// The one identity of all rehearsals.
    pub fn rehearsal() -> Self {
        Self { name: "trustroot rehearsal".to_owned(), email: "rehearsal@trustroot.invalid".to_owned() }
    }
}

/// A repository that this process alone writes to, until it is dropped.
pub struct GitLedger {
    pub(super) reading: Reading,
    identity: Option<Identity>,
    pub(super) state: PathBuf,
    /// Files that were given as bundles.
    pub(super) bundles: Vec<PathBuf>,
    /// Whether others sit elsewhere, whatever remotes and bundles there are.
    pub(super) apart: bool,
    /// What the last fetch could not read or take, until somebody is told.
    pub(super) fetched: Option<Fetched>,
    /// The newest commit is not, or not whole, in the working tree.
    pub(super) behind: bool,
    cache: RefCell<Option<Head>>,
    _lock: Lock,
}

impl GitLedger {
    /// Opens the repository that `path` lies in, and finishes what a killed process left. The person's git says who
    /// commits, and whether commits are signed.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`], [`LedgerError::Foreign`]; [`LedgerError::Busy`] if another process works here, no branch
    /// is checked out, or a merge is under way; [`LedgerError::Dirty`]; [`LedgerError::Io`], also for a bare repository.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::open_as(path, None)
    }

    /// As [`Self::open`]; with an identity, that one commits, and nothing is signed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as(path: &Path, identity: Option<Identity>) -> Result<Self, LedgerError> {
        let reading = Reading::open(path)?;
        if reading.is_bare() {
            return Err(reading.io("it is bare; work in a clone with a working tree"));
        }
        let common = reading.repo.commondir().to_owned();
        let lock = Lock::take(&common.join("trustroot.lock"))?;
        let state = common.join("trustroot");
        make_private(&state)?;
        flush_to_disk(&reading, &state)?;
        let mut ledger = Self {
            reading,
            identity,
            state,
            bundles: Vec::new(),
            apart: false,
            fetched: None,
            behind: true,
            cache: RefCell::new(None),
            _lock: lock,
        };
        ledger.repair()?;
        Ok(ledger)
    }

    /// Makes a repository at `path`, which is made too, with the empty branch `main`, and opens it.
    ///
    /// # Errors
    /// [`LedgerError::Io`] if there is a repository already; else as [`Self::open`].
    pub fn init(path: &Path, identity: Option<Identity>) -> Result<Self, LedgerError> {
        let mut options = git2::RepositoryInitOptions::new();
        options.no_reinit(true).mkpath(true).external_template(false).initial_head("main");
        Repository::init_opts(path, &options).map_err(|error| io(path, error.message()))?;
        Self::open_as(path, identity)
    }

    /// The same repository, for reading.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// A folder for what is never committed, in the repository's own folder: `trustroot`, mode 0700.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Who commits: name and mail address.
    ///
    /// # Errors
    /// [`LedgerError::NoIdentity`].
    pub fn identity(&self) -> Result<(String, String), LedgerError> {
        if let Some(Identity { name, email }) = &self.identity {
            return Ok((name.clone(), email.clone()));
        }
        let config = self.config()?;
        match (text_of(&config, "user.name")?, text_of(&config, "user.email")?) {
            (Some(name), Some(email)) => Ok((name, email)),
            _ => Err(LedgerError::NoIdentity),
        }
    }

    // ------------------------------------------------------------------------------------------------------- append

    /// Says, until [`Self::unmark`], that this process is about to write `reference`, a branch or a tag; and where the working
    /// tree comes from, if that is no parent of where it goes.
    pub(super) fn mark(&self, reference: &str, from: Option<Oid>) -> Result<(), LedgerError> {
        let mark = self.state.join("writing");
        let from = from.map_or(String::new(), |from| format!("{from}\n"));
        std::fs::write(&mark, format!("{reference}\n{from}")).map_err(|error| io(&mark, error))
    }

    pub(super) fn unmark(&self) -> Result<(), LedgerError> {
        let mark = self.state.join("writing");
        std::fs::remove_file(&mark).map_err(|error| io(&mark, error))
    }

    /// The branch that is checked out, by its full name.
    pub(super) fn branch(&self) -> Result<String, LedgerError> {
        let repo = &self.reading.repo;
        let under_way = match repo.state() {
            RepositoryState::Clean => None,
            RepositoryState::Merge => Some("a merge is under way"),
            RepositoryState::Revert | RepositoryState::RevertSequence => Some("a revert is under way"),
            RepositoryState::CherryPick | RepositoryState::CherryPickSequence => Some("a cherry-pick is under way"),
            RepositoryState::Bisect => Some("a bisection is under way"),
            RepositoryState::Rebase | RepositoryState::RebaseInteractive | RepositoryState::RebaseMerge => {
                Some("a rebase is under way")
            }
            RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => Some("git am is under way"),
        };
        if let Some(what) = under_way {
            return Err(LedgerError::Busy(what.to_owned()));
        }
        let head = repo.find_reference("HEAD").map_err(|error| self.reading.git(&error))?;
        match head.symbolic_target() {
            Ok(Some(branch)) if branch.starts_with("refs/heads/") => Ok(branch.to_owned()),
            _ => Err(LedgerError::Busy("no branch is checked out".to_owned())),
        }
    }

    /// Refuses what must not be committed on top of `parent`.
    pub(super) fn check_fit(
        &self,
        files: &BTreeMap<&str, &[u8]>,
        parent: Option<&git2::Commit<'_>>,
    ) -> Result<(), LedgerError> {
        let held = match parent {
            Some(parent) => self.reading.names(parent)?,
            None => BTreeMap::new(),
        };
        let worktree = self.reading.worktree()?;
        let mut budget = Budget::default();
        let mut changes = false;
        let mut foreign = Vec::new();
        for (&path, &bytes) in files {
            check_path(path)?;
            budget.file(path, bytes.len() as u64)?;
            let id = blob_id(bytes).map_err(|error| self.reading.git(&error))?;
            let old = match held.get(path) {
                None => None,
                Some(Named::Blob(old)) => Some(*old),
                Some(Named::Odd(what)) => return Err(unfit(path, &format!("it is {what} in the newest commit"))),
            };
            changes |= old != Some(id);
            if old.is_some_and(|old| old != id) && !may_replace(path) {
                return Err(unfit(path, "it is committed with other bytes, and is append-only"));
            }
            let in_the_way = match worktree.look(path)? {
                None => false,
                Some(Entry::Odd(_)) => true,
                Some(Entry::File(bytes)) => {
                    let there = blob_id(&bytes).map_err(|error| self.reading.git(&error))?;
                    there != id && Some(there) != old
                }
            };
            if in_the_way {
                foreign.push(path.to_owned());
            }
        }
        if !foreign.is_empty() {
            return Err(self.dirty(foreign));
        }
        if changes { Ok(()) } else { Err(LedgerError::Unfit("the step changes nothing".to_owned())) }
    }

    /// Writes blobs and trees: `base` with `files` put in.
    pub(super) fn write_tree(
        &self,
        base: Option<&git2::Tree<'_>>,
        files: &BTreeMap<&str, &[u8]>,
    ) -> Result<Oid, LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let repo = &self.reading.repo;
        let mut builder = repo.treebuilder(base).map_err(git)?;
        let mut folders: BTreeMap<&str, BTreeMap<&str, &[u8]>> = BTreeMap::new();
        for (&path, &bytes) in files {
            if let Some((folder, rest)) = path.split_once('/') {
                folders.entry(folder).or_default().insert(rest, bytes);
                continue;
            }
            if builder.get(path).map_err(git)?.is_some_and(|entry| entry.filemode_raw() != 0o100_644) {
                return Err(unfit(path, "something else than a file has this name"));
            }
            let id = repo.blob(bytes).map_err(git)?;
            builder.insert(path, id, 0o100_644).map_err(git)?;
        }
        for (folder, files) in folders {
            let inner = match builder.get(folder).map_err(git)? {
                None => None,
                Some(entry) if entry.kind() == Some(ObjectType::Tree) => Some(repo.find_tree(entry.id()).map_err(git)?),
                Some(_) => return Err(unfit(folder, "something else than a folder has this name")),
            };
            let id = self.write_tree(inner.as_ref(), &files)?;
            builder.insert(folder, id, 0o040_000).map_err(git)?;
        }
        builder.write().map_err(git)
    }

    /// Writes the commit object, signed if that is set up.
    pub(super) fn write_commit(
        &self,
        message: &str,
        time: Timestamp,
        tree: Oid,
        parents: &[&git2::Commit<'_>],
    ) -> Result<Oid, LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let repo = &self.reading.repo;
        let (who, _) = self.signature(time)?;
        let tree = repo.find_tree(tree).map_err(git)?;
        let message = line_ended(message)?;
        let content = repo.commit_create_buffer(&who, &who, &message, &tree, parents).map_err(git)?;
        match self.signer(&["commit.gpgsign"])? {
            None => repo.odb().map_err(git)?.write(ObjectType::Commit, &content).map_err(git),
            Some(signer) => {
                let content = std::str::from_utf8(&content).map_err(|error| self.reading.io(error))?;
                let signature = self.sign(&signer, "git", content.as_bytes())?;
                repo.commit_signed(content, signature.trim_end(), None).map_err(git)
            }
        }
    }

    /// Moves `branch` from `parent` to `new`, if it still is there.
    pub(super) fn move_branch(
        &self,
        branch: &str,
        parent: Option<Oid>,
        new: Oid,
        message: &str,
    ) -> Result<(), LedgerError> {
        let repo = &self.reading.repo;
        let line = format!("trustroot: {}", message.lines().next().unwrap_or_default());
        let moved = match parent {
            Some(parent) => repo.reference_matching(branch, new, true, parent, &line),
            None => repo.reference(branch, new, false, &line),
        };
        match moved {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound) => {
                let found = repo.refname_to_id(branch).ok();
                Err(moved_away(parent, found))
            }
            Err(error) if error.code() == ErrorCode::Locked => {
                Err(LedgerError::Busy(format!("another git holds {}.lock", text::escape(branch))))
            }
            Err(error) => Err(self.reading.git(&error)),
        }
    }

    /// Brings the working tree and the index to the files that were committed.
    fn check_out(&self, files: &BTreeMap<&str, &[u8]>) -> Result<(), LedgerError> {
        let worktree: Worktree<'_> = self.reading.worktree()?;
        let mut stats = Vec::new();
        let mut in_order: Vec<(&str, &[u8])> = files.iter().map(|(&path, &bytes)| (path, bytes)).collect();
        in_order.sort_by_key(|(path, _)| appearance(path));
        for (path, bytes) in in_order {
            let stat = match worktree.look(path)? {
                Some(Entry::File(there)) if there == bytes => worktree.stat(path)?,
                _ => worktree.put(path, bytes)?,
            };
            stats.push((path, blob_id(bytes).map_err(|error| self.reading.git(&error))?, Some(stat)));
        }
        self.write_index(&stats)
    }

    pub(super) fn write_index(&self, stats: &[(&str, Oid, Option<Stat>)]) -> Result<(), LedgerError> {
        if stats.is_empty() {
            return Ok(());
        }
        let git = |error: git2::Error| self.reading.git(&error);
        let mut index = self.reading.repo.index().map_err(git)?;
        index.read(true).map_err(git)?;
        for (path, id, stat) in stats {
            index.add(&index_entry(path.as_bytes(), *id, 0o100_644, stat.as_ref())).map_err(git)?;
        }
        index.write().map_err(git)
    }

    // ------------------------------------------------------------------------------------------------------ signing

    /// The committer at `time`, and the same as one line of text.
    fn signature(&self, time: Timestamp) -> Result<(git2::Signature<'static>, String), LedgerError> {
        let (name, email) = self.identity()?;
        if time.unix() < 0 {
            return Err(LedgerError::Unfit("a commit cannot be dated before 1970".to_owned()));
        }
        let who = git2::Signature::new(&name, &email, &git2::Time::new(time.unix(), 0))
            .map_err(|_| LedgerError::NoIdentity)?;
        // As git2 cleaned it, so that commits and tags say the same.
        let line = match (who.name(), who.email()) {
            (Ok(name), Ok(email)) => format!("{name} <{email}>"),
            _ => return Err(LedgerError::NoIdentity),
        };
        Ok((who, line))
    }

    /// Who signs, if one of the `switches` is on and the identity is a person's.
    fn signer(&self, switches: &[&str]) -> Result<Option<Signer>, LedgerError> {
        if self.identity.is_some() {
            return Ok(None);
        }
        let config = self.config()?;
        for switch in switches {
            if is_set(&config, switch)? {
                return Signer::from_config(&config).map(Some);
            }
        }
        Ok(None)
    }

    fn sign(&self, signer: &Signer, namespace: &str, bytes: &[u8]) -> Result<String, LedgerError> {
        let (name, email) = self.identity()?;
        signer.sign(namespace, &format!("{name} <{email}>"), bytes, self.reading.path(), &self.state)
    }

    fn config(&self) -> Result<git2::Config, LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        self.reading.repo.config().map_err(git)?.snapshot().map_err(git)
    }

    pub(super) fn dirty(&self, mut files: Vec<String>) -> LedgerError {
        files.truncate(NAMED);
        let files = files.iter().map(|path| text::escape(path)).collect();
        LedgerError::Dirty { path: shown(self.reading.path()), files }
    }
}

impl Ledger for GitLedger {
    fn head(&self) -> Result<Head, LedgerError> {
        let commit = self.reading.head_commit()?.map(|commit| commit.id().to_string());
        if let Some(head) = self.cache.borrow().as_ref().filter(|head| head.commit == commit) {
            return Ok(head.clone());
        }
        let head = self.reading.head()?;
        *self.cache.borrow_mut() = Some(head.clone());
        Ok(head)
    }

    fn append(&mut self, commit: &Commit) -> Result<Head, LedgerError> {
        if self.behind {
            self.repair()?;
        }
        let branch = self.branch()?;
        let parent = self.reading.head_commit()?;
        let found = parent.as_ref().map(git2::Commit::id);
        if found.map(|id| id.to_string()) != commit.parent {
            let expected = commit.parent.clone().unwrap_or_else(no_commit);
            return Err(LedgerError::Moved { expected, found: found.map_or_else(no_commit, |id| id.to_string()) });
        }
        let base = match &parent {
            Some(parent) => Some(parent.tree().map_err(|error| self.reading.git(&error))?),
            None => None,
        };
        let mut files: BTreeMap<&str, &[u8]> =
            commit.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        if base.as_ref().is_none_or(|base| base.get_name(GITATTRIBUTES.0).is_none()) {
            files.entry(GITATTRIBUTES.0).or_insert(GITATTRIBUTES.1);
        }
        self.check_fit(&files, parent.as_ref())?;
        let tree = self.write_tree(base.as_ref(), &files)?;
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let id = self.write_commit(&commit.message, commit.time, tree, &parents)?;

        self.mark(&branch, None)?;
        let moved = self.move_branch(&branch, found, id, &commit.message);
        let checked_out = moved.and_then(|()| {
            self.check_out(&files).map_err(|error| {
                self.reading.io(format!("commit {id} is safe, but the working tree could not follow: {error}"))
            })
        });
        let unmarked = self.unmark();
        drop(parents);
        drop(base);
        drop(parent);
        self.behind = !matches!(checked_out, Ok(()) | Err(LedgerError::Moved { .. } | LedgerError::Busy(_)));
        checked_out?;
        unmarked?;
        self.head()
    }

    fn tag(&mut self, name: &str, message: &str, time: Timestamp) -> Result<(), LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let reference = format!("refs/tags/{name}");
        if name.starts_with('-') || !git2::Reference::is_valid_name(&reference) {
            return Err(unfit(name, "git takes no such name for a tag"));
        }
        let Some(commit) = self.reading.head_commit()? else {
            return Err(unfit(name, "there is no commit yet to put the tag on"));
        };
        let commit = commit.id();
        let taken = || match self.reading.repo.find_reference(&reference) {
            Ok(found) if self.reading.named_commit(&found)? == Some(commit) => Ok(true),
            Ok(_) => Err(LedgerError::TagExists(text::escape(name))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
            Err(error) => Err(git(error)),
        };
        if taken()? {
            return Ok(());
        }
        let (_, who) = self.signature(time)?;
        let message = line_ended(message)?;
        let seconds = time.unix();
        let mut content =
            format!("object {commit}\ntype commit\ntag {name}\ntagger {who} {seconds} +0000\n\n{message}");
        if let Some(signer) = self.signer(&["tag.gpgsign", "tag.forcesignannotated", "commit.gpgsign"])? {
            let signature = self.sign(&signer, "git", content.as_bytes())?;
            content.push_str(signature.trim_end());
            content.push('\n');
        }
        let odb = self.reading.repo.odb().map_err(git)?;
        let id = odb.write(ObjectType::Tag, content.as_bytes()).map_err(git)?;
        self.mark(&reference, None)?;
        let tagged = match self.reading.repo.reference(&reference, id, false, "") {
            Ok(_) => Ok(()),
            Err(error) if error.code() == ErrorCode::Exists => taken().map(|_| ()),
            Err(error) => Err(git(error)),
        };
        let unmarked = self.unmark();
        tagged.and(unmarked)
    }

    fn remote(&mut self) -> Option<&mut dyn Remote> {
        if self.has_remotes() { Some(self) } else { None }
    }

    fn ssh_sign(&mut self, namespace: &str, bytes: &[u8]) -> Result<Option<String>, LedgerError> {
        if self.identity.is_some() {
            return Ok(None);
        }
        match Signer::ssh(&self.config()?)? {
            None => Ok(None),
            // SSH keys need no name, so a person without one can sign.
            Some(signer) => signer.sign(namespace, "", bytes, self.reading.path(), &self.state).map(Some),
        }
    }
}

/// Whether a commit may put other bytes at `path`.
fn may_replace(path: &str) -> bool {
    REPLACEABLE.contains(&path) || path.starts_with(PLANS)
}

/// Refuses paths that lie outside the trust root, or that some file system or git would take for something else.
fn check_path(path: &str) -> Result<(), LedgerError> {
    let inside = path == GITATTRIBUTES.0 || path.starts_with("ceremony/") || path.starts_with("root/");
    if !inside {
        return Err(unfit(path, "it lies outside ceremony/ and root/"));
    }
    if path.len() > 1024 || text::escape(path) != path {
        return Err(unfit(path, "it is too long or holds a character that is not shown as itself"));
    }
    for name in path.split('/') {
        // `git~1` is what `.git` is called on file systems with short names.
        let reserved = name.eq_ignore_ascii_case("git~1") || name.starts_with(TEMPORARY);
        let awkward = name.contains(':') || name.ends_with(['.', ' ']) || name.len() > 255;
        if !is_name(name) || reserved || awkward {
            return Err(unfit(path, "a part of it is no name for a file in every clone"));
        }
    }
    Ok(())
}

pub(super) fn unfit(path: &str, why: &str) -> LedgerError {
    LedgerError::Unfit(format!("{}: {why}", text::escape(path)))
}

fn no_commit() -> String {
    "no commit".to_owned()
}

pub(super) fn moved_away(expected: Option<Oid>, found: Option<Oid>) -> LedgerError {
    let name = |id: Option<Oid>| id.map_or_else(no_commit, |id| id.to_string());
    LedgerError::Moved { expected: name(expected), found: name(found) }
}

pub(super) fn blob_id(bytes: &[u8]) -> Result<Oid, git2::Error> {
    Oid::hash_object(ObjectType::Blob, bytes)
}

/// `message` with one newline at its end.
fn line_ended(message: &str) -> Result<String, LedgerError> {
    if message.contains('\0') || message.trim().is_empty() {
        return Err(LedgerError::Unfit("a message is empty or holds a NUL".to_owned()));
    }
    Ok(format!("{}\n", message.trim_end_matches('\n')))
}

/// An entry of the index as git itself would write it, which keeps the low 32 bits of most fields. Without `stat` it says
/// nothing of the file on disk.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn index_entry(path: &[u8], id: Oid, mode: u32, stat: Option<&Stat>) -> IndexEntry {
    IndexEntry {
        ctime: stat.map_or(IndexTime::new(0, 0), |s| IndexTime::new(s.st_ctime as i32, s.st_ctime_nsec as u32)),
        mtime: stat.map_or(IndexTime::new(0, 0), |s| IndexTime::new(s.st_mtime as i32, s.st_mtime_nsec as u32)),
        dev: stat.map_or(0, |s| s.st_dev as u32),
        ino: stat.map_or(0, |s| s.st_ino as u32),
        mode,
        uid: stat.map_or(0, |s| s.st_uid),
        gid: stat.map_or(0, |s| s.st_gid),
        file_size: stat.map_or(0, |s| s.st_size as u32),
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}

/// Makes the folder `path` for its owner alone.
fn make_private(path: &Path) -> Result<(), LedgerError> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io(path, error)),
        _ => {}
    }
    let found = std::fs::symlink_metadata(path).map_err(|error| io(path, error))?;
    if !found.is_dir() {
        return Err(io(path, "something else than a folder has this name"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(|error| io(path, error))?;
    }
    Ok(())
}

/// Makes libgit2 flush objects and references to disk before it goes on. It knows this only as a setting; ours stands in
/// a file of our own, so that the person's configuration stays as it is.
fn flush_to_disk(reading: &Reading, state: &Path) -> Result<(), LedgerError> {
    let path = state.join("gitconfig");
    let text = "[core]\n\tfsyncObjectFiles = true\n";
    if !std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
        std::fs::write(&path, text).map_err(|error| io(&path, error))?;
    }
    let git = |error: git2::Error| reading.git(&error);
    reading.repo.config().map_err(git)?.add_file(&path, ConfigLevel::App, true).map_err(git)
}
