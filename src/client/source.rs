//! Where bytes come from: a server or a folder. Nothing here is believed; the lengths are bounded all the same.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use trustroot_core::text::escape;

use crate::error::Error;
use crate::http::Http;
use crate::limits::Limits;

/// A place that files can be had from.
pub trait Source: Send + Sync + fmt::Debug {
    /// What people call it; escaped.
    fn name(&self) -> String;

    /// Opens the file at `path` (parts joined with `/`), of which at most `most` bytes will be read, if possible from the
    /// byte `from` on.
    ///
    /// # Errors
    /// [`FetchError`]; nothing else was asked for.
    fn open(&self, path: &str, from: u64, most: u64) -> Result<Body, FetchError>;

    /// Names of files at the top, where they can be seen without asking for each.
    fn list(&self) -> Option<Vec<String>> {
        None
    }
}

/// The bytes of a file, as they come.
pub struct Body {
    /// Where the bytes begin in the file: what was asked for, or 0.
    pub from: u64,
    /// The bytes.
    pub bytes: Box<dyn Read + Send>,
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not there.
    #[error("there is no such file")]
    Missing,
    /// It is longer than allowed, or than announced.
    #[error("it is longer than {0} bytes, which is the most that is read")]
    TooLong(u64),
    /// It comes too slowly.
    #[error("it comes too slowly to be honest")]
    Slow,
    /// The server answered with an error.
    #[error("the server answered {0}")]
    Status(u16),
    /// The connection, the name or the disk failed.
    #[error("{0}")]
    Io(String),
}

/// The source that an address names: `https://`, `http://`, `file://`, or the path of a folder.
///
/// # Errors
/// [`Error::Address`].
pub fn from_text(text: &str, limits: &Limits) -> Result<Box<dyn Source>, Error> {
    let fault = |why| Error::Address { text: text.to_owned(), why };
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(Box::new(Http::new(text, limits).map_err(fault)?));
    }
    if let Some(path) = text.strip_prefix("file://") {
        let path = path.strip_prefix("localhost").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(fault("after file:// comes the path of a folder, from the root on"));
        }
        let path = decode(path).ok_or_else(|| fault("a % in it is not followed by two hexadecimal digits"))?;
        return Ok(Box::new(Folder::new(PathBuf::from(path))));
    }
    if text.contains("://") {
        return Err(fault("only https, http and file are known"));
    }
    if text.is_empty() {
        return Err(fault("it is empty"));
    }
    Ok(Box::new(Folder::new(PathBuf::from(text))))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A folder on this machine, laid out as a server would serve it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Source for Folder {
    fn name(&self) -> String {
        escape(&self.path.display().to_string())
    }

    fn open(&self, path: &str, from: u64, _most: u64) -> Result<Body, FetchError> {
        if Path::new(path).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(FetchError::Missing);
        }
        let path = self.path.join(path);
        let fault = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FetchError::Missing,
            _ => FetchError::Io(error.to_string()),
        };
        // Opening a pipe would wait for somebody to write into it.
        if !std::fs::metadata(&path).map_err(fault)?.is_file() {
            return Err(FetchError::Io("it is not a regular file".to_owned()));
        }
        let mut file = File::open(&path).map_err(fault)?;
        let from = file.seek(SeekFrom::Start(from)).map_err(fault)?;
        Ok(Body { from, bytes: Box::new(file) })
    }

    fn list(&self) -> Option<Vec<String>> {
        let entries = std::fs::read_dir(&self.path).ok()?;
        Some(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

/// Watches how fast a body comes.
pub(crate) struct Pace {
    start: Instant,
    grace: Duration,
    rate: u64,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { start: Instant::now(), grace: limits.silence, rate: limits.rate }
    }

    /// Refuses if fewer than the least bytes came in the time since the start.
    pub(crate) fn allows(&self, bytes: u64) -> Result<(), FetchError> {
        let counted = self.start.elapsed().saturating_sub(self.grace);
        if counted.as_secs().saturating_mul(self.rate) > bytes { Err(FetchError::Slow) } else { Ok(()) }
    }
}

/// The room for a file of which nothing has come yet, in bytes. Most roots fit.
const PART: usize = 8 << 10;
/// The most bytes that are read at once, and so the most that may come beyond a limit before it is seen.
const MOST_PART: usize = 64 << 10;

/// Reads a whole file of at most `most` bytes.
pub(crate) fn read(source: &dyn Source, path: &str, most: u64, limits: &Limits) -> Result<Vec<u8>, FetchError> {
    let pace = Pace::new(limits);
    let mut body = source.open(path, 0, most)?.bytes;
    let mut bytes = vec![0; PART];
    let mut have = 0;
    loop {
        if have == bytes.len() {
            bytes.resize(have + have.clamp(PART, MOST_PART), 0);
        }
        have += match body.read(&mut bytes[have..]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(&error)),
        };
        if have as u64 > most {
            return Err(FetchError::TooLong(most));
        }
        pace.allows(have as u64)?;
    }
    bytes.truncate(have);
    // Roots are held in numbers until they are believed, so without spare room.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// A body that stopped coming.
pub(crate) fn broken(error: &io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => FetchError::Slow,
        _ => FetchError::Io(escape(&error.to_string())),
    }
}
