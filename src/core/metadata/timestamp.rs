//! Timestamp metadata (TUF 4.6): the newest snapshot.

use super::fields::{MetaFile, Notes, object};
use super::{Body, Refusal};
use crate::check::Check;
use crate::json::Value;
use alloc::sync::Arc;

/// The fields of timestamp metadata.
#[derive(Clone, Debug)]
pub struct Timestamp {
    snapshot: MetaFile,
}

impl Body for Timestamp {
    const TYPE: &'static str = "timestamp";
    const MOST: usize = 64 << 10;

    fn read(signed: &Arc<Value>, notes: &mut Notes) -> Result<Self, Refusal> {
        let meta = object(signed, "meta", notes)?;
        // TUF 4.6: "The only file listed is snapshot.json".
        let (Some(snapshot), 1) = (meta.get("snapshot.json"), meta.len()) else {
            return Err(notes.refusal(Check::MetaForm, "`meta` does not name snapshot.json and nothing else"));
        };
        Ok(Self { snapshot: MetaFile::read(snapshot, notes)? })
    }
}

impl Timestamp {
    /// What is said of snapshot.json.
    pub fn snapshot(&self) -> &MetaFile {
        &self.snapshot
    }
}
