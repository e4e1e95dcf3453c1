//! Downloading a target (TUF 5.7): what was found is fetched, checked and put in its place.
//!
//! Rules:
//! 1. Nothing appears under its name before its length and every hash were checked.
//! 2. What was broken off goes on where it stopped, next time too. The part that is here is hashed again: nothing about it
//!    is remembered. If the whole does not match, it is fetched once more from its beginning, and then refused.
//! 3. What is here already, and matches, is not asked for.
//! 4. Once a target is here, no part of it is, nor of what it was before: but for those that another process is at work on.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use trustroot_core::check::Check;
use trustroot_core::digest::Digest;
use trustroot_core::metadata::Refusal;
use trustroot_core::metadata::fields::HashCheck;
use trustroot_core::metadata::targets::Target;
use trustroot_core::text::escape;

use crate::client::{Client, Progress};
use crate::error::Error;
use crate::names;
use crate::session::Found;
use crate::source::{FetchError, Pace, Source, broken};
use crate::store::{Turn, sync};

/// The folder in which parts of downloads lie, below the one of the targets.
const PARTS: &str = ".trustroot";

/// How often the folder of parts is made, if others take it away at once.
const TRIES: u32 = 100;

/// A target that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Where it lies.
    pub path: PathBuf,
    /// Whether it was here already.
    pub cached: bool,
}

impl Client {
    /// Fetches a target into `dir`, under its own path, from the first of `mirrors` that has it.
    ///
    /// # Errors
    /// [`Error::Path`] for a path that would leave the folder; `META-HASH` for bytes that are others than promised; what
    /// could not be had or written; [`Error::Stale`] if what is trusted changed meanwhile.
    pub fn download(&self, found: &Found, mirrors: &[Box<dyn Source>], dir: &Path) -> Result<Downloaded, Error> {
        let path = dir.join(names::file(&found.path)?);
        let parts = dir.join(PARTS);
        let any = format!("{}-", Digest::of(found.path.as_bytes()).short());
        if self.cached(found, dir)? {
            sweep(&parts, &any);
            return Ok(Downloaded { path, cached: true });
        }
        let asked = names::target(&found.path, &found.target, found.consistent)?;
        let whole = Digest::of(format!("{:?}", found.target.hashes).as_bytes());
        let part = Part::open(&parts, &(any.clone() + &whole.short()))?;
        let mut errors = Vec::new();
        let mut fetched = false;
        for mirror in mirrors {
            match self.fetch(found, &asked, mirror.as_ref(), &part) {
                Ok(()) => {
                    fetched = true;
                    break;
                }
                Err(error) if error.may_fail_over() => {
                    if mirrors.len() > 1 {
                        self.tell(Progress::Mirror(&error));
                    }
                    errors.push(error);
                }
                Err(error) => {
                    part.tidy(&parts);
                    return Err(error);
                }
            }
        }
        if !fetched {
            part.tidy(&parts);
            return match errors.pop() {
                Some(error) if errors.is_empty() => Err(error),
                last => Err(Error::Mirrors(errors.into_iter().chain(last).collect())),
            };
        }
        let turn = self.turn(found).inspect_err(|_| part.tidy(&parts))?;
        part.place(&path)?;
        drop(turn);
        sweep(&parts, &any);
        Ok(Downloaded { path, cached: false })
    }

    /// The turn to put what was found in its place. A mirror may have been slow for this process, and quick for another one
    /// that has put a newer target there meanwhile.
    fn turn(&self, found: &Found) -> Result<Turn, Error> {
        let turn = Turn::take(self.dir(), self.limits.wait)?;
        if turn.is_under(found.snapshot, self.dir())? { Ok(turn) } else { Err(Error::Stale(found.path.clone())) }
    }

    /// Whether the target lies in `dir` already, whole.
    ///
    /// # Errors
    /// [`Error::Path`], [`Error::Store`].
    pub fn cached(&self, found: &Found, dir: &Path) -> Result<bool, Error> {
        let path = dir.join(names::file(&found.path)?);
        let fault = |error| Error::store(&path, error);
        match std::fs::metadata(&path) {
            Ok(here) if here.is_file() && here.len() == found.target.length => {}
            Ok(here) if here.is_dir() => {
                return Err(fault(io::Error::from(io::ErrorKind::IsADirectory)));
            }
            Ok(_) => return Ok(false),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => return Ok(false),
            Err(error) => return Err(fault(error)),
        }
        let mut file = File::open(&path).map_err(fault)?;
        let (check, length) = hash(&mut file, &found.target).map_err(fault)?;
        Ok(length == found.target.length && check.matches())
    }

    fn fetch(&self, found: &Found, asked: &str, source: &dyn Source, part: &Part) -> Result<(), Error> {
        let resumed = part.length()? > 0;
        match self.attempt(found, asked, source, part) {
            // What was here before may be to blame: once more, all of it.
            Err(Error::Refused(_)) if resumed => self.attempt(found, asked, source, part),
            done => done,
        }
    }

    fn attempt(&self, found: &Found, asked: &str, source: &dyn Source, part: &Part) -> Result<(), Error> {
        let target = &found.target;
        let away = |why| Error::Fetch { file: escape(asked), source_name: source.name(), why };
        let fault = |error| Error::store(&part.path, error);
        let mut file = &part.file;
        if part.length()? > target.length {
            part.clear()?;
        }
        file.rewind().map_err(fault)?;
        let (mut check, mut have) = hash(&mut file, target).map_err(fault)?;
        if have < target.length || target.length == 0 {
            let body = match source.open(asked, have, target.length - have) {
                Ok(body) if body.from == have => Some(body),
                // The server sends the whole again, or none of the rest (416).
                Ok(_) => None,
                Err(FetchError::Status(416)) if have > 0 => None,
                Err(why) => return Err(away(why)),
            };
            let mut body = match body {
                Some(body) => body,
                None => {
                    part.clear()?;
                    (check, have) = (target.hashes.begin(), 0);
                    source.open(asked, 0, target.length).map_err(away)?
                }
            };
            let pace = Pace::new(&self.limits);
            let start = have;
            let mut buffer = vec![0; 64 << 10];
            loop {
                let count = match body.bytes.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(away(broken(&error))),
                };
                have += count as u64;
                if have > target.length {
                    part.clear()?;
                    return Err(away(FetchError::TooLong(target.length)));
                }
                check.update(&buffer[..count]);
                file.write_all(&buffer[..count]).map_err(fault)?;
                self.tell(Progress::Target { path: &found.path, have, of: target.length });
                pace.allows(have - start).map_err(away)?;
            }
        }
        if have == target.length && check.matches() {
            return Ok(());
        }
        part.clear()?;
        let what = if have == target.length {
            "other hashes than the trusted metadata promises".to_owned()
        } else {
            format!("{have} bytes long, where {} are promised", target.length)
        };
        Err(Refusal::new(Check::MetaHash, escape(&found.path), what)
            .hint("do not use this file; try another mirror, and tell the repository")
            .into())
    }
}

/// Reads to the end, and gives the check so far and the length.
fn hash(file: &mut impl Read, target: &Target) -> io::Result<(HashCheck, u64)> {
    let mut check = target.hashes.begin();
    let mut length = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((check, length)),
            Ok(count) => {
                check.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes the parts whose names begin with `any` and that nobody holds, and then their folder if it is empty.
fn sweep(parts: &Path, any: &str) {
    for entry in std::fs::read_dir(parts).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(any));
        if is_one
            && let Ok(file) = File::options().read(true).write(true).open(&path)
            && file.try_lock().is_ok()
            && is_at(&file, &path)
        {
            let _ = std::fs::remove_file(&path);
        }
    }
    // Another download may be using the folder.
    let _ = std::fs::remove_dir(parts);
}

/// Opens or makes the file at `path` in the folder `parts`, which is made, too. Downloads that end take the folder away while
/// it is empty, so it may be gone again before the file is in it.
fn made(parts: &Path, path: &Path) -> Result<File, Error> {
    let mut tries = 1..TRIES;
    loop {
        let folder = std::fs::create_dir_all(parts).map_err(|error| (parts, error));
        let open = |()| File::options().read(true).write(true).create(true).truncate(false).open(path);
        match folder.and_then(|folder| open(folder).map_err(|error| (path, error))) {
            Ok(file) => return Ok(file),
            Err((_, error))
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
                    && tries.next().is_some() => {}
            Err((place, error)) => return Err(Error::store(place, error)),
        }
    }
}

/// Whether the file at `path` is this one, and no other that took its place.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let id = |here: std::fs::Metadata| (here.dev(), here.ino());
        file.metadata().map(id).ok() == std::fs::metadata(path).map(id).ok()
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// The part of a target that is here, held by this process.
struct Part {
    path: PathBuf,
    file: File,
    /// Whether it is left for the next time; of several at work on the same target one keeps it.
    kept: bool,
}

impl Part {
    /// The file called `name` in the folder `parts`; while others hold that one, the first free one beside it.
    fn open(parts: &Path, name: &str) -> Result<Self, Error> {
        let path = parts.join(name);
        let mut own = path.clone();
        for number in 1_u32.. {
            let file = made(parts, &own)?;
            // Whoever held it before may have put it in its place meanwhile: then it is a target, and no part any more.
            if file.try_lock().is_ok() && is_at(&file, &own) {
                let part = Self { kept: own == path, path: own, file };
                if !part.kept {
                    part.clear()?;
                }
                return Ok(part);
            }
            own = path.with_extension(number.to_string());
        }
        Err(Error::Busy(path))
    }

    fn length(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(|error| Error::store(&self.path, error))?.len())
    }

    fn clear(&self) -> Result<(), Error> {
        let mut file = &self.file;
        file.set_len(0).and_then(|()| file.rewind()).map_err(|error| Error::store(&self.path, error))
    }

    /// After a failure: what can be gone on with stays, everything else goes.
    fn tidy(&self, parts: &Path) {
        if !self.kept || self.length().is_ok_and(|length| length == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = std::fs::remove_dir(parts);
    }

    /// Puts the whole file in its place, durably.
    fn place(self, path: &Path) -> Result<(), Error> {
        let fault = |error| Error::store(path, error);
        self.file.sync_all().map_err(fault)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(fault)?;
        std::fs::rename(&self.path, path).map_err(fault)?;
        sync(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_at_work_on_one_target_has_a_part_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("part"), b"left from before").unwrap();
        let parts: Vec<Part> = (0..4).map(|_| Part::open(folder.path(), "part").unwrap()).collect();
        let places: std::collections::BTreeSet<&PathBuf> = parts.iter().map(|part| &part.path).collect();
        assert_eq!(places.len(), 4);
        let kept: Vec<bool> = parts.iter().map(|part| part.kept).collect();
        assert_eq!(kept, [true, false, false, false]);
        assert_eq!(parts[0].length().unwrap(), 16);
    }

    #[test]
    fn parts_that_nobody_holds_go_with_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("parts");
        let held = Part::open(&parts, "a-new").unwrap();
        for left in ["a-new.1", "a-old", "b-new"] {
            std::fs::write(parts.join(left), b"left").unwrap();
        }
        sweep(&parts, "a-");
        let there = ["a-new", "a-new.1", "a-old", "b-new"].map(|name| parts.join(name).exists());
        assert_eq!(there, [true, false, false, true]);
        drop(held);
        sweep(&parts, "a-");
        sweep(&parts, "b-");
        assert!(!parts.exists());
    }

    /// Whoever ends takes an empty folder of parts away, also while another begins. Here it is taken away a few times at once.
    #[test]
    fn a_folder_of_parts_that_goes_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("parts");
        for _ in 0..300 {
            std::thread::scope(|scope| {
                scope.spawn(|| (0..TRIES / 2).for_each(|_| drop(std::fs::remove_dir(&parts))));
                let part = Part::open(&parts, "part").unwrap();
                part.tidy(&parts);
            });
        }
    }

    /// A part that was put in its place while its name was taken by the next one is a target: nobody writes into it.
    #[test]
    #[cfg(unix)]
    fn a_part_that_was_put_in_its_place_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (path, placed) = (folder.path().join("part"), folder.path().join("target"));
        std::fs::write(&path, b"whole").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        assert!(is_at(&file, &path));
        std::fs::rename(&path, &placed).unwrap();
        assert!(!is_at(&file, &path));
        std::fs::write(&path, b"another's").unwrap();
        assert!(!is_at(&file, &path) && is_at(&file, &placed));
    }
}
