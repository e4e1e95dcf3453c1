//! One process at a time, by an advisory lock.
//!
//! The system drops the lock when the process ends, however it ends, so a lock never has to be removed by hand. The file
//! stays; its content, the process's number, is for people only.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::seams::LedgerError;

/// A lock that is held until it is dropped.
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Unlocked by name, not by closing alone: a child that is being started elsewhere in this process holds a copy of the
    /// open file until it becomes its own program, and would hold the lock with it.
    fn drop(&mut self) {
        // If it fails, closing the file does the same a moment later.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock at `path`, without waiting.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] while another holds it.
    pub(super) fn take(path: &Path) -> Result<Self, LedgerError> {
        // Not truncated when opened: until the lock is ours, the number in it is the other's.
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(|error| super::io(path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The number only helps to find the other process; without it the refusal is the same.
                let _ = file.take(20).read_to_string(&mut holder);
                let holder: String = holder.chars().filter(char::is_ascii_digit).collect();
                return Err(LedgerError::Busy(format!("another trustroot works in it (process {holder})")));
            }
            Err(TryLockError::Error(error)) => return Err(super::io(path, error)),
        }
        let number = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        number.map_err(|error| super::io(path, error))?;
        Ok(Self { file })
    }
}
