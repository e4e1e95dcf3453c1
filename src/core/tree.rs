//! The files of a repository at one moment, as plain data.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Files by path from the top of the repository, `/`-separated.
pub type Tree = BTreeMap<String, Entry>;

/// One entry of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file, not executable.
    File(Vec<u8>),
    /// Something that a trust root never holds: an executable, a symbolic link, a submodule. The text says which.
    Odd(&'static str),
}

impl Entry {
    /// The bytes of a regular file.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::File(bytes) => Some(bytes),
            Self::Odd(_) => None,
        }
    }
}
