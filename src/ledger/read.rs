//! Reading a trust root: from a commit, from its history, or from a plain folder. Nothing here writes.
//!
//! Rules:
//! 1. A commit is read from git's objects, never from the working tree.
//! 2. Every object's header is looked at before its bytes are loaded, and everything loaded is counted.
//! 3. What is no plain file (an executable, a link, a submodule, a name that no file can have) is reported as
//!    [`Entry::Odd`], not skipped.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use git2::{ErrorClass, ErrorCode, ObjectType, Oid, Repository, RepositoryOpenFlags};
use trustroot_core::text;
use trustroot_core::tree::{Entry, Tree};

use super::worktree::Worktree;
use super::{Budget, FETCHED, TOPS, io, pipes, shown};
use crate::seams::{Head, LedgerError};

/// The most commits that are walked.
pub(super) const MAX_COMMITS: usize = 1_000_000;

/// A repository that is only read: any branch, a detached `HEAD`, a bare clone, and while a ceremony writes to it.
pub struct Reading {
    pub(super) repo: Repository,
    pub(super) path: PathBuf,
}

/// A file as it stood in some commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The path from the top of the repository.
    pub path: String,
    /// The full id of the earliest commit found that holds these bytes at this path.
    pub commit: String,
    /// Whether that commit is the one checked out, or one before it.
    pub behind: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A place where the working tree is not what the newest commit holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path from the top of the repository, not escaped.
    pub path: String,
    /// How it differs.
    pub change: Change,
}

/// How a file of the working tree differs from the newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Other bytes.
    Bytes,
    /// The commit has it, the working tree does not.
    Missing,
    /// The working tree has it, the commit does not.
    Added,
    /// One of the two is no plain file; the text says what.
    Odd(&'static str),
}

/// A file of a commit, without its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Blob(Oid),
    Odd(&'static str),
}

impl Named {
    /// The blob, if it is a plain file.
    pub(super) fn blob(&self) -> Option<Oid> {
        match self {
            Self::Blob(id) => Some(*id),
            Self::Odd(_) => None,
        }
    }
}

impl Reading {
    /// Opens the repository that `path` lies in.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`], [`LedgerError::Foreign`], [`LedgerError::Unknown`] or [`LedgerError::Io`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        if let Some(odd) = pipes::find(path) {
            let reason = format!("{} is a pipe or a device; nothing was opened", shown(&odd));
            return Err(LedgerError::Unknown { path: shown(path), reason });
        }
        let none: [&OsStr; 0] = [];
        let repo =
            Repository::open_ext(path, RepositoryOpenFlags::CROSS_FS, none).map_err(|error| match error.code() {
                ErrorCode::NotFound => LedgerError::NotFound(shown(path)),
                ErrorCode::Owner => LedgerError::Foreign(shown(path)),
                _ if error.class() == ErrorClass::Repository => {
                    LedgerError::Unknown { path: shown(path), reason: text::escape(error.message()) }
                }
                _ => io(path, error.message()),
            })?;
        if let Some(top) = repo.workdir() {
            // By `core.worktree` a prepared repository could show the files of another folder in place of these.
            let inside = match (top.canonicalize(), path.canonicalize()) {
                (Ok(top), Ok(path)) => path.starts_with(top),
                _ => false,
            };
            if !inside && !path.starts_with(repo.path()) {
                let reason = format!("by its configuration (core.worktree) the working tree is {}", shown(top));
                return Err(LedgerError::Unknown { path: shown(path), reason });
            }
        }
        let path = repo.workdir().unwrap_or_else(|| repo.path()).to_owned();
        Ok(Self { repo, path })
    }

    /// The top of the working tree, or the repository itself if it is bare.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no working tree.
    pub fn is_bare(&self) -> bool {
        self.repo.is_bare()
    }

    /// Whether the clone was cut short (`git clone --depth`, or by grafts), so that its history proves nothing about what came before.
    pub fn is_shallow(&self) -> bool {
        // In a linked working tree libgit2 looks beside its HEAD, and git keeps both files with the objects.
        self.repo.is_shallow()
            || ["shallow", "info/grafts"].iter().any(|name| self.repo.commondir().join(name).exists())
    }

    /// The files of the commit that is checked out.
    ///
    /// # Errors
    /// [`LedgerError::Limit`] or [`LedgerError::Io`].
    pub fn head(&self) -> Result<Head, LedgerError> {
        let Some(commit) = self.head_commit()? else {
            return Ok(Head { commit: None, tree: Tree::new() });
        };
        self.files(&commit)
    }

    /// The files of the commit with the full id `commit`.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Io`] if there is no such commit.
    pub fn at(&self, commit: &str) -> Result<Head, LedgerError> {
        // Shorter texts would be padded by git2.
        if commit.len() != 40 {
            return Err(self.io("a commit is named by 40 hexadecimal digits"));
        }
        let id = Oid::from_str(commit).map_err(|error| self.git(&error))?;
        self.files(&self.repo.find_commit(id).map_err(|error| self.git(&error))?)
    }

    /// Every distinct content that any `*.json` directly in `folder` ever had, in any commit that any branch, tag or
    /// other reference reaches; the earliest commits first. Links and folders are passed over.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Damaged`] if objects are missing.
    pub fn history(&self, folder: &str) -> Result<Vec<Past>, LedgerError> {
        let prefix = format!("{folder}/");
        let direct = |path: &str| path.strip_prefix(&prefix).is_some_and(|name| !name.contains('/'));
        self.held(&self.tips()?, folder, &|path, mode, _| mode != 0o120_000 && path.ends_with(".json") && direct(path))
    }

    /// What a commit that is an ancestor of the one checked out held below `folder`, and a later one changed or removed,
    /// unless it stands there again. Where history was cut, only what is there is looked at.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn lost(&self, folder: &str) -> Result<Vec<Past>, LedgerError> {
        let Some(head) = self.head_commit()? else { return Ok(Vec::new()) };
        let now = self.names(&head)?;
        let stands = |path: &str, id| now.get(path).and_then(Named::blob) == Some(id);
        self.held(&[head.id()], folder, &|path, mode, id| mode == 0o100_644 && !stands(path, id))
    }

    /// The commits that all references and `HEAD` name. What is no commit (a tag of a file, say) has no history.
    fn tips(&self) -> Result<Vec<Oid>, LedgerError> {
        let git = |error: git2::Error| self.git(&error);
        let mut tips: Vec<Oid> = self.head_commit()?.iter().map(git2::Commit::id).collect();
        for reference in self.repo.references().map_err(git)? {
            let reference = reference.map_err(git)?;
            // What was fetched and not taken over is nobody's history yet.
            if reference.name_bytes().starts_with(FETCHED.as_bytes()) {
                continue;
            }
            tips.extend(self.named_commit(&reference)?);
        }
        Ok(tips)
    }

    /// The commits that `tips` reach, each after its parents.
    ///
    /// Walked from object to object, each checked against its id: what git keeps besides to be faster (`commit-graph`)
    /// comes with a prepared clone too, and may leave parents out.
    pub(super) fn reached(&self, tips: &[Oid]) -> Result<Vec<Oid>, LedgerError> {
        self.reached_beyond(tips, &HashSet::new(), MAX_COMMITS)
    }

    /// As [`Self::reached`], without the commits `known`; at most `most`.
    pub(super) fn reached_beyond(
        &self,
        tips: &[Oid],
        known: &HashSet<Oid>,
        most: usize,
    ) -> Result<Vec<Oid>, LedgerError> {
        let mut seen = HashSet::new();
        let mut order = Vec::new();
        let mut open: Vec<(Oid, bool)> = tips.iter().rev().map(|tip| (*tip, false)).collect();
        while let Some((id, parents_done)) = open.pop() {
            if parents_done {
                order.push(id);
                continue;
            }
            if known.contains(&id) || !seen.insert(id) {
                continue;
            }
            if seen.len() > most {
                return Err(LedgerError::Limit(format!("more than {most} commits")));
            }
            let commit = match self.repo.find_commit(id) {
                Ok(commit) => commit,
                Err(error) if error.code() == ErrorCode::NotFound && self.is_shallow() => continue,
                Err(error) => return Err(self.git(&error)),
            };
            open.push((id, true));
            open.extend(commit.parent_ids().filter(|parent| !seen.contains(parent)).map(|parent| (parent, false)));
        }
        Ok(order)
    }

    /// Every distinct content below `folder`, in any commit that `tips` reach, that `wanted` picks by path, mode and id.
    fn held(
        &self,
        tips: &[Oid],
        folder: &str,
        wanted: &dyn Fn(&str, i32, Oid) -> bool,
    ) -> Result<Vec<Past>, LedgerError> {
        let git = |error: git2::Error| self.git(&error);
        let odb = self.repo.odb().map_err(git)?;
        let (mut trees, mut files) = (HashSet::new(), HashSet::new());
        let mut found = Vec::new();
        let mut budget = Budget::of_history();
        let head: Vec<Oid> = self.head_commit()?.iter().map(git2::Commit::id).collect();
        let behind: HashSet<Oid> = self.reached(&head)?.into_iter().collect();
        for id in self.reached(tips)? {
            let top = self.repo.find_commit(id).and_then(|commit| commit.tree()).map_err(git)?;
            // Entry by entry, not by name: in a tree that is out of order a search by name may miss what is there.
            let named =
                |entry: &git2::TreeEntry<'_>| entry.name() == Ok(folder) && entry.kind() == Some(ObjectType::Tree);
            let folders = top.iter().filter(named).map(|entry| (folder.to_owned(), entry.id(), 1));
            let mut open: Vec<(String, Oid, usize)> = folders.collect();
            while let Some((prefix, tree, depth)) = open.pop() {
                if !trees.insert((prefix.clone(), tree)) {
                    continue;
                }
                budget.entry(depth)?;
                for entry in &self.repo.find_tree(tree).map_err(git)? {
                    let Ok(name) = entry.name() else { continue };
                    let path = format!("{prefix}/{name}");
                    let mode = entry.filemode_raw();
                    match entry.kind() {
                        Some(ObjectType::Tree) => open.push((path, entry.id(), depth + 1)),
                        Some(ObjectType::Blob)
                            if wanted(&path, mode, entry.id()) && files.insert((path.clone(), entry.id())) =>
                        {
                            budget.entry(1)?;
                            let bytes = self.blob(&odb, &path, entry.id(), &mut budget)?;
                            found.push(Past { path, commit: id.to_string(), behind: behind.contains(&id), bytes });
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(found)
    }

    /// Where the working tree differs from the commit that is checked out, under `ceremony/`, `root/` and at
    /// `.gitattributes`, in order of paths. Ignored files count.
    ///
    /// # Errors
    /// [`LedgerError::Limit`] or [`LedgerError::Io`]; a bare repository has no working tree.
    pub fn differences(&self) -> Result<Vec<Difference>, LedgerError> {
        let mut held = match self.head_commit()? {
            Some(commit) => self.names(&commit)?,
            None => BTreeMap::new(),
        };
        let mut found = Vec::new();
        self.worktree()?.walk(Some(&TOPS), &mut Budget::default(), &mut |path, entry| {
            let change = match (held.remove(&path), entry) {
                (Some(Named::Odd(what)), _) | (_, Entry::Odd(what)) => Some(Change::Odd(what)),
                (None, Entry::File(_)) => Some(Change::Added),
                (Some(Named::Blob(id)), Entry::File(bytes)) => {
                    let same = Oid::hash_object(ObjectType::Blob, &bytes).map_err(|error| self.git(&error))? == id;
                    (!same).then_some(Change::Bytes)
                }
            };
            found.extend(change.map(|change| Difference { path, change }));
            Ok(())
        })?;
        found.extend(held.into_keys().map(|path| Difference { path, change: Change::Missing }));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The working tree.
    pub(super) fn worktree(&self) -> Result<Worktree<'_>, LedgerError> {
        let Some(path) = self.repo.workdir() else {
            return Err(self.io("the repository is bare: it has no working tree"));
        };
        // A prepared clone may say that modes mean nothing here. Where a file of git's own is not executable, they do.
        let said = self.repo.config().and_then(|config| config.get_bool("core.filemode")).unwrap_or(true);
        let own = std::fs::metadata(self.repo.path().join("HEAD"));
        let told = own.is_ok_and(|own| std::os::unix::fs::PermissionsExt::mode(&own.permissions()) & 0o111 == 0);
        Worktree::open(path, said || told)
    }

    /// The commit that is checked out; nothing before the first.
    pub(super) fn head_commit(&self) -> Result<Option<git2::Commit<'_>>, LedgerError> {
        match self.repo.head() {
            Ok(head) => match self.named_commit(&head)? {
                Some(id) => self.repo.find_commit(id).map(Some).map_err(|error| self.git(&error)),
                None => Err(self.io("HEAD names no commit")),
            },
            Err(error) if error.code() == ErrorCode::UnbornBranch => Ok(None),
            Err(error) => Err(self.git(&error)),
        }
    }

    /// The files of `commit`, with their bytes.
    pub(super) fn files(&self, commit: &git2::Commit<'_>) -> Result<Head, LedgerError> {
        Ok(Head { commit: Some(commit.id().to_string()), tree: self.tree_files(commit.tree_id())? })
    }

    /// The files of the tree with the id `top`, with their bytes.
    pub(super) fn tree_files(&self, top: Oid) -> Result<Tree, LedgerError> {
        let odb = self.repo.odb().map_err(|error| self.git(&error))?;
        let mut budget = Budget::default();
        let mut tree = Tree::new();
        for (path, named) in self.tree_names(top)? {
            let entry = match named {
                Named::Blob(id) => Entry::File(self.blob(&odb, &path, id, &mut budget)?),
                Named::Odd(what) => Entry::Odd(what),
            };
            tree.insert(path, entry);
        }
        Ok(tree)
    }

    /// The files of `commit`, without their bytes.
    pub(super) fn names(&self, commit: &git2::Commit<'_>) -> Result<BTreeMap<String, Named>, LedgerError> {
        self.tree_names(commit.tree_id())
    }

    fn tree_names(&self, top: Oid) -> Result<BTreeMap<String, Named>, LedgerError> {
        let mut names = BTreeMap::new();
        let top = self.repo.find_tree(top).map_err(|error| self.git(&error))?;
        self.level(&top, "", 1, &mut Budget::default(), &mut names)?;
        Ok(names)
    }

    /// What lies in one folder; at the top, what belongs to a trust root.
    fn level(
        &self,
        tree: &git2::Tree<'_>,
        prefix: &str,
        depth: usize,
        budget: &mut Budget,
        names: &mut BTreeMap<String, Named>,
    ) -> Result<(), LedgerError> {
        let mut seen = HashSet::new();
        for entry in tree {
            if prefix.is_empty() && !entry.name().is_ok_and(is_top) {
                continue;
            }
            budget.entry(depth)?;
            let (path, fits) = match entry.name() {
                Ok(name) if is_name(name) => (format!("{prefix}{name}"), true),
                _ => (format!("{prefix}{}", text::escape(&String::from_utf8_lossy(entry.name_bytes()))), false),
            };
            // A file and a folder of one name stand in order for git, so this is looked at by name alone.
            let twice = !seen.insert(entry.name_bytes().to_vec());
            let named = match entry.filemode_raw() {
                _ if !fits => Named::Odd("a name that no file can have"),
                _ if twice => Named::Odd("two entries of one name"),
                0o040_000 => {
                    let inner = self.repo.find_tree(entry.id()).map_err(|error| self.git(&error))?;
                    self.level(&inner, &format!("{path}/"), depth + 1, budget, names)?;
                    continue;
                }
                0o100_644 => Named::Blob(entry.id()),
                0o100_755 => Named::Odd("an executable file"),
                0o120_000 => Named::Odd("a symbolic link"),
                0o160_000 => Named::Odd("a submodule"),
                _ => Named::Odd("a file of an unknown mode"),
            };
            names.insert(path, named);
        }
        Ok(())
    }

    fn blob(&self, odb: &git2::Odb<'_>, path: &str, id: Oid, budget: &mut Budget) -> Result<Vec<u8>, LedgerError> {
        let (size, kind) = odb.read_header(id).map_err(|error| self.git(&error))?;
        if kind != ObjectType::Blob {
            return Err(self.io(format!("{path} is no file but a {kind}")));
        }
        budget.file(path, size as u64)?;
        Ok(odb.read(id).map_err(|error| self.git(&error))?.data().to_vec())
    }

    /// A failure at this repository.
    pub(super) fn io(&self, reason: impl std::fmt::Display) -> LedgerError {
        io(&self.path, reason)
    }

    /// What libgit2 said.
    pub(super) fn git(&self, error: &git2::Error) -> LedgerError {
        let lacks = error.class() == ErrorClass::Odb && error.code() == ErrorCode::NotFound;
        if lacks || error.code() == ErrorCode::HashsumMismatch {
            return LedgerError::Damaged { path: shown(&self.path), reason: text::escape(error.message()) };
        }
        io(&self.path, error.message())
    }
}

/// Reads the trust root in the plain folder `path`, as if it were a commit: `ceremony/`, `root/` and `.gitattributes`.
///
/// # Errors
/// [`LedgerError::Limit`] or [`LedgerError::Io`].
pub fn read_dir(path: &Path) -> Result<Tree, LedgerError> {
    read_folder(path, Some(&TOPS))
}

/// Reads every file in the plain folder `path` and below, except in a `.git` at its top.
///
/// # Errors
/// [`LedgerError::Limit`] or [`LedgerError::Io`].
pub fn read_all(path: &Path) -> Result<Tree, LedgerError> {
    read_folder(path, None)
}

fn read_folder(path: &Path, tops: Option<&[&str]>) -> Result<Tree, LedgerError> {
    let mut tree = Tree::new();
    Worktree::open(path, true)?.walk(tops, &mut Budget::default(), &mut |path, entry| {
        tree.insert(path, entry);
        Ok(())
    })?;
    Ok(tree)
}

/// Whether a name at the top belongs to a trust root, or is taken for one that does by a file system that has no case.
pub(super) fn is_top(name: &str) -> bool {
    TOPS.iter().any(|top| top.eq_ignore_ascii_case(name))
}

/// Whether `name` can be a file's name in every clone.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('/') && !name.eq_ignore_ascii_case(".git")
}
