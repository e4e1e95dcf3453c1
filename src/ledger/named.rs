//! What references name, read from objects alone.
//!
//! Rules:
//! 1. A tag is followed by its own bytes, checked against its id. What `packed-refs` says a reference leads to is written
//!    beside it, comes with a prepared clone, and may name another commit than git shows.
//! 2. A reference whose object is missing is damage. One that names another reference which is not there names nothing yet.

use git2::{ErrorCode, ObjectType, Odb, Oid, Reference};
use trustroot_core::git::tagged;

use super::oid;
use super::read::Reading;
use crate::seams::LedgerError;

/// The most bytes of a tag, message included.
const MAX_TAG: usize = 1 << 20;
/// The most tags that lead to one another.
const MAX_TAGS: usize = 64;

impl Reading {
    /// The object that a reference leads to, and what it is; nothing for a name that leads nowhere.
    pub(super) fn named(
        &self,
        odb: &Odb<'_>,
        reference: &Reference<'_>,
    ) -> Result<Option<(Oid, ObjectType)>, LedgerError> {
        let id = match reference.target() {
            Some(id) => id,
            None => match reference.resolve() {
                Ok(found) => match found.target() {
                    Some(id) => id,
                    None => return Ok(None),
                },
                // Such as `origin/HEAD` of an empty clone, or names that go round in a circle.
                Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::GenericError) => {
                    return Ok(None);
                }
                Err(error) => return Err(self.git(&error)),
            },
        };
        self.followed(odb, id).map(Some)
    }

    /// The commit that a reference leads to; nothing for one that names no commit.
    pub(super) fn named_commit(&self, reference: &Reference<'_>) -> Result<Option<Oid>, LedgerError> {
        let odb = self.repo.odb().map_err(|error| self.git(&error))?;
        let found = self.named(&odb, reference)?;
        Ok(found.filter(|(_, kind)| *kind == ObjectType::Commit).map(|(id, _)| id))
    }

    /// Follows tags from this object to what is none.
    fn followed(&self, odb: &Odb<'_>, first: Oid) -> Result<(Oid, ObjectType), LedgerError> {
        let mut id = first;
        for _ in 0..MAX_TAGS {
            let (_, kind) = odb.read_header(id).map_err(|error| self.missing(id, &error))?;
            if kind != ObjectType::Tag {
                return Ok((id, kind));
            }
            let bytes = self.object(odb, id, ObjectType::Tag, MAX_TAG)?;
            let next = tagged(&bytes).map(oid);
            id = next.ok_or_else(|| self.damaged(format!("the object {id} is no tag")))?;
        }
        Err(LedgerError::Limit(format!("more than {MAX_TAGS} tags that lead to one another, from {first}")))
    }
}
