//! Files on disk: read and written folder by folder, without ever following a symbolic link.
//!
//! Every name is opened relative to the folder that was opened before it, with `O_NOFOLLOW`. Swapping a folder for a
//! link while we work therefore ends in an error and never in a file outside.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use trustroot_core::text;
use trustroot_core::tree::Entry;

use super::{Budget, MAX_FILE, TEMPORARY, io};
use crate::seams::LedgerError;

/// How folders are opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder on disk, and whether its files' executable bits mean anything.
pub(super) struct Worktree<'a> {
    path: &'a Path,
    top: OwnedFd,
    modes: bool,
}

impl<'a> Worktree<'a> {
    /// Opens the folder `path`; links on the way to it are the caller's own and are followed.
    pub(super) fn open(path: &'a Path, modes: bool) -> Result<Self, LedgerError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| io(path, error))?;
        Ok(Self { path, top, modes })
    }

    /// Visits every entry under the names `tops` in any case (all names, if `None`), in order of their bytes. Folders are not
    /// visited themselves.
    pub(super) fn walk(
        &self,
        tops: Option<&[&str]>,
        budget: &mut Budget,
        visit: &mut dyn FnMut(String, Entry) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut names = self.names(&self.top, "")?;
        names.retain(|name| match (tops, name) {
            (Some(tops), Name::Plain(name)) => tops.iter().any(|top| top.eq_ignore_ascii_case(name)),
            (Some(_), Name::Foreign(_)) => false,
            (None, Name::Plain(name)) => name != ".git",
            (None, Name::Foreign(_)) => true,
        });
        self.visit_names(&self.top, "", 1, names, budget, visit)
    }

    fn visit_names(
        &self,
        folder: &OwnedFd,
        prefix: &str,
        depth: usize,
        names: Vec<Name>,
        budget: &mut Budget,
        visit: &mut dyn FnMut(String, Entry) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        for name in names {
            budget.entry(depth)?;
            let name = match name {
                Name::Plain(name) => name,
                Name::Foreign(shown) => {
                    visit(format!("{prefix}{shown}"), Entry::Odd("a name that is not UTF-8"))?;
                    continue;
                }
            };
            let path = format!("{prefix}{name}");
            let stat = match rustix::fs::statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // It went between listing and looking.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(io(&self.path.join(&path), error)),
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let inner = rustix::fs::openat(folder, name.as_str(), FOLDER, Mode::empty())
                    .map_err(|error| io(&self.path.join(&path), error))?;
                let names = self.names(&inner, &path)?;
                self.visit_names(&inner, &format!("{path}/"), depth + 1, names, budget, visit)?;
            } else {
                let entry = self.entry(folder, &name, &path, &stat, budget)?;
                visit(path, entry)?;
            }
        }
        Ok(())
    }

    /// The sorted names in `folder`.
    fn names(&self, folder: &OwnedFd, path: &str) -> Result<Vec<Name>, LedgerError> {
        let failed = |error: Errno| io(&self.path.join(path), error);
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(Name::Plain(name.to_owned())),
                Err(_) => names.push(Name::Foreign(text::escape(&entry.file_name().to_string_lossy()))),
            }
            if names.len() > super::MAX_ENTRIES {
                return Err(LedgerError::Limit(format!("more than {} files and folders", super::MAX_ENTRIES)));
            }
        }
        names.sort();
        Ok(names)
    }

    /// What stands at `name` in `folder`, which is no folder itself.
    fn entry(
        &self,
        folder: &OwnedFd,
        name: &str,
        path: &str,
        stat: &Stat,
        budget: &mut Budget,
    ) -> Result<Entry, LedgerError> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => return Ok(Entry::Odd("a symbolic link")),
            _ => return Ok(Entry::Odd("a device, pipe or socket")),
        }
        if self.modes && stat.st_mode & 0o111 != 0 {
            return Ok(Entry::Odd("an executable file"));
        }
        let failed = |error: std::io::Error| io(&self.path.join(path), error);
        budget.file(path, u64::try_from(stat.st_size).unwrap_or(u64::MAX))?;
        // Not blocking: somebody could put a pipe here between the look and the opening.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let mut bytes = Vec::new();
        File::from(file).take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != u64::try_from(stat.st_size).unwrap_or(u64::MAX) {
            return Err(failed(std::io::Error::other("the file changed while it was read")));
        }
        Ok(Entry::File(bytes))
    }

    /// The folder that `path` lies in, and its last name.
    fn folder<'p>(&self, path: &'p str) -> Result<(OwnedFd, &'p str), Errno> {
        let (folders, name) = split(path);
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.top, 0)?;
        for part in folders {
            folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?;
        }
        Ok((folder, name))
    }

    /// What stands at `path`; nothing, if there is nothing.
    pub(super) fn look(&self, path: &str) -> Result<Option<Entry>, LedgerError> {
        let failed = |error: Errno| io(&self.path.join(path), error);
        let (folder, name) = match self.folder(path) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Some(Entry::Odd("a path through something else"))),
            Err(error) => return Err(failed(error)),
        };
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Ok(Some(Entry::Odd("a folder")))
            }
            Ok(stat) => self.entry(&folder, name, path, &stat, &mut Budget::default()).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Puts `bytes` at `path`, making folders where they are missing: beside it first, flushed to disk, then renamed, so
    /// that the old bytes or the new ones stand there and never a part. Returns what git's index keeps about the file.
    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> Result<Stat, LedgerError> {
        self.try_put(path, bytes).map_err(|error| io(&self.path.join(path), error))
    }

    fn try_put(&self, path: &str, bytes: &[u8]) -> std::io::Result<Stat> {
        let (folders, name) = split(path);
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.top, 0)?;
        for part in folders {
            match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)) {
                Ok(()) => rustix::fs::fsync(&folder)?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?;
        }
        let temporary = format!("{TEMPORARY}{}.tmp", std::process::id());
        // One that was left behind by a process of the same number; nobody else works here while we hold the lock.
        match rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&folder, &temporary, flags, Mode::from_raw_mode(0o666))?);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let renamed = written.and_then(|()| Ok(rustix::fs::renameat(&folder, &temporary, &folder, name)?));
        if let Err(error) = renamed {
            // The first error is the one that matters.
            let _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
            return Err(error);
        }
        rustix::fs::fsync(&folder)?;
        Ok(rustix::fs::fstat(&file)?)
    }

    /// Removes the file at `path`, if there is one.
    pub(super) fn remove(&self, path: &str) -> Result<(), LedgerError> {
        match self.folder(path).and_then(|(folder, name)| rustix::fs::unlinkat(&folder, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(io(&self.path.join(path), error)),
        }
    }

    /// What git's index keeps about the file at `path`.
    pub(super) fn stat(&self, path: &str) -> Result<Stat, LedgerError> {
        self.folder(path)
            .and_then(|(folder, name)| rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|error| io(&self.path.join(path), error))
    }
}

/// Whether the file at `path` is one that [`Worktree::put`] left behind when it was killed.
pub(super) fn is_temporary(path: &str) -> bool {
    let (_, name) = split(path);
    name.strip_prefix(TEMPORARY)
        .and_then(|rest| rest.strip_suffix(".tmp"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The folders of `path`, and its last name.
fn split(path: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    (folders.split('/').filter(|part| !part.is_empty()), name)
}

/// A name in a folder.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Plain(String),
    /// Not UTF-8; as it is shown.
    Foreign(String),
}
