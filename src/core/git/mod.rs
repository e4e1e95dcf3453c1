//! The objects of git, read from their bytes: trees, commits and tags (gitformat-pack, git-commit-tree, git-mktag).
//!
//! Rules:
//! 1. What git reads is read, also where `git fsck` warns; what git cannot read is no object.
//! 2. Bytes alone count. Whether they are those of an id is for whoever loads them to check.

mod commit;
mod listing;
mod tag;

pub use commit::Commit;
pub use listing::{Item, Kept, Listing, Mode, Named, Pairs, Same, alike};
pub use tag::tagged;

use core::fmt;

/// The id of an object: 20 bytes, shown as 40 hexadecimal digits in lower case. Of git's two kinds, SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 20]);

impl ObjectId {
    /// The id of these bytes; nothing unless they are 20.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The id in exactly 40 hexadecimal digits, of either case as git takes them.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
