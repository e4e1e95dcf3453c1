//! The local state: a folder of metadata as it was received, under plain names.
//!
//! Rules:
//! 1. One process at a time, or several that only read, by a lock that the system drops when the process ends, however it
//!    ends.
//! 2. A file appears whole or not at all: written beside, made durable, renamed. The folder itself is made durable once, by
//!    [`Store::settle`]: names that a crash loses lead back to an older state, never to a mixture that is not verified.
//! 3. Only files that end in `.json` are metadata; everything of our own begins with a dot.
//! 4. When the keys of timestamp or snapshot change, both files go (TUF 5.3.11). A mark is made durable before the root is
//!    replaced, so that a crash in between is made good by the next process and never forgotten.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use trustroot_core::digest::Digest;

const LOCK: &str = ".lock";
const MARK: &str = ".rotated";
const TURN: &str = ".turn";

/// The local state, held by this process.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Nothing where there is no lock to be had, and nothing to be written.
    lock: Option<File>,
    dirty: bool,
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // A child that is being started elsewhere in this process may hold a copy of the open file. Closing does the same.
            let _ = lock.unlock();
        }
    }
}

impl Store {
    /// Takes the folder `dir`, which is made if it is not there, and waits at most `wait` for another process.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Store`].
    pub fn open(dir: &Path, wait: Duration) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|error| Error::store(dir, error))?;
        let path = dir.join(LOCK);
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|error| Error::store(&path, error))?;
        take(|| lock.try_lock(), dir, wait)?;
        Ok(Self { dir: dir.to_owned(), lock: Some(lock), dirty: false })
    }

    /// Takes the folder `dir` for reading alone, and leaves no trace in it: it may be on a medium that cannot be written.
    /// Where there is a lock, it is waited for, together with others that only read.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Store`].
    pub fn open_to_read(dir: &Path, wait: Duration) -> Result<Self, Error> {
        // Without a lock that can be read there is none to wait for. Each file is whole by itself, and files that do not fit
        // together are refused.
        let lock = File::open(dir.join(LOCK)).ok();
        if let Some(lock) = &lock {
            take(|| lock.try_lock_shared(), dir, wait)?;
        }
        Ok(Self { dir: dir.to_owned(), lock, dirty: false })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file called `name`, if it is there; at most `most` bytes of it. What is longer is as good as damaged, and not
    /// there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let path = self.dir.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::store(&path, error)),
        };
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| Error::store(&path, error))?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
    }

    /// Puts `bytes` in the place of the file called `name`.
    ///
    /// # Errors
    /// [`Error::Store`]; what was there is there still.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let beside = self.dir.join(format!(".{name}.new"));
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, self.dir.join(name))
        };
        let written = write();
        if let Err(error) = written {
            // If even this fails, the next writer takes the same name.
            let _ = std::fs::remove_file(&beside);
            return Err(Error::store(&self.dir.join(name), error));
        }
        self.dirty = true;
        Ok(())
    }

    /// Removes the file called `name`, if it is there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        match std::fs::remove_file(&path) {
            Ok(()) => {
                self.dirty = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::store(&path, error)),
        }
    }

    /// Makes the names durable.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn settle(&mut self) -> Result<(), Error> {
        if self.dirty {
            sync(&self.dir)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Puts a newer root in place. If it ends the authority of the timestamp's or snapshot's keys on the way, their files
    /// go, whatever happens to this process in between.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn put_root(&mut self, version: u64, bytes: &[u8], rotated: bool) -> Result<(), Error> {
        if !rotated {
            return self.put("root.json", bytes);
        }
        self.put(MARK, version.to_string().as_bytes())?;
        self.settle()?;
        self.put("root.json", bytes)?;
        self.settle()?;
        self.forget()
    }

    /// Makes good what a process left undone that was ended while it put a newer root in place. `root` is the version of
    /// the root that is here.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn recover(&mut self, root: u64) -> Result<(), Error> {
        match self.cut_short(root)? {
            Some(true) => self.forget(),
            Some(false) => self.remove(MARK),
            None => Ok(()),
        }
    }

    /// Whether timestamp and snapshot should have gone already, as a process was ended that put a newer root in place. Nothing
    /// if none was. `root` is the version of the root that is here: where it was not replaced any more, its keys are still the
    /// ones that signed what is here.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn cut_short(&self, root: u64) -> Result<Option<bool>, Error> {
        let Some(mark) = self.get(MARK, 32)? else { return Ok(None) };
        let version = std::str::from_utf8(&mark).ok().and_then(|text| text.trim().parse::<u64>().ok());
        Ok(Some(version.is_none_or(|version| version <= root)))
    }

    fn forget(&mut self) -> Result<(), Error> {
        self.remove("timestamp.json")?;
        self.remove("snapshot.json")?;
        self.settle()?;
        self.remove(MARK)
    }
}

/// The turn to put a target in its place, among all who follow the local state in one folder. It is another one than the
/// store's own, which a session may hold meanwhile.
#[derive(Debug)]
pub struct Turn(File);

impl Turn {
    /// Waits for the turn, at most `wait`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Store`].
    pub fn take(dir: &Path, wait: Duration) -> Result<Self, Error> {
        let path = dir.join(TURN);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| Error::store(&path, error))?;
        take(|| file.try_lock(), dir, wait)?;
        Ok(Self(file))
    }

    /// Whether the snapshot that lies here is the one with this file digest.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn is_under(&self, snapshot: Digest, dir: &Path) -> Result<bool, Error> {
        let path = dir.join("snapshot.json");
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Digest::of(&bytes) == snapshot),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::store(&path, error)),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // As for the store.
        let _ = self.0.unlock();
    }
}

/// Tries until it holds the lock of the folder, or `wait` is over.
fn take(attempt: impl Fn() -> Result<(), TryLockError>, dir: &Path, wait: Duration) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < wait => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(Error::store(&dir.join(LOCK), error)),
        }
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync(dir: &Path) -> Result<(), Error> {
    // Where folders cannot be opened, their names are durable by themselves.
    if cfg!(not(unix)) {
        return Ok(());
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::store(dir, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path) -> Store {
        Store::open(dir, Duration::ZERO).unwrap()
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = store(dir.path());
        assert!(matches!(Store::open(dir.path(), Duration::from_millis(30)), Err(Error::Busy(_))));
        let read = || Store::open_to_read(dir.path(), Duration::ZERO);
        assert!(matches!(read(), Err(Error::Busy(_))));
        drop(held);
        let readers = (read().unwrap(), read().unwrap());
        assert!(matches!(Store::open(dir.path(), Duration::ZERO), Err(Error::Busy(_))));
        drop(readers);
        store(dir.path());
    }

    #[test]
    fn a_rotation_takes_timestamp_and_snapshot_along() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        for name in ["timestamp.json", "snapshot.json", "targets.json"] {
            store.put(name, b"{}").unwrap();
        }
        store.put_root(2, b"two", false).unwrap();
        assert!(store.get("timestamp.json", 9).unwrap().is_some());
        store.put_root(3, b"three", true).unwrap();
        let there = |name| store.get(name, 9).unwrap().is_some();
        assert!(!there("timestamp.json") && !there("snapshot.json") && there("targets.json") && !there(MARK));
    }

    #[test]
    fn a_rotation_that_was_cut_short_is_made_good() {
        for (here, kept) in [(2, true), (3, false)] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = store(dir.path());
            store.put("timestamp.json", b"{}").unwrap();
            assert_eq!(store.cut_short(here).unwrap(), None);
            store.put(MARK, b"3").unwrap();
            assert_eq!(store.cut_short(here).unwrap(), Some(!kept));
            store.recover(here).unwrap();
            assert_eq!(store.get("timestamp.json", 9).unwrap().is_some(), kept);
            assert!(store.get(MARK, 9).unwrap().is_none());
        }
    }

    #[test]
    fn what_is_too_long_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        store.put("root.json", b"12345").unwrap();
        assert_eq!(store.get("root.json", 5).unwrap().unwrap(), b"12345");
        assert_eq!(store.get("root.json", 4).unwrap(), None);
    }
}
