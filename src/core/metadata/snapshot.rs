//! Snapshot metadata (TUF 4.4): the versions of all targets metadata.

use super::fields::{MetaFile, Notes, object};
use super::{Body, Refusal};
use crate::check::Check;
use crate::json::Value;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;

/// The fields of snapshot metadata.
#[derive(Clone, Debug)]
pub struct Snapshot {
    meta: BTreeMap<String, MetaFile>,
}

impl Body for Snapshot {
    const TYPE: &'static str = "snapshot";
    const MOST: usize = 32 << 20;

    fn read(signed: &Arc<Value>, notes: &mut Notes) -> Result<Self, Refusal> {
        let mut meta = BTreeMap::new();
        for (name, value) in object(signed, "meta", notes)? {
            meta.insert(name.clone(), MetaFile::read(value, notes)?);
        }
        if !meta.contains_key("targets.json") {
            return Err(notes.refusal(Check::MetaForm, "`meta` does not name targets.json"));
        }
        Ok(Self { meta })
    }
}

impl Snapshot {
    /// What is said of each file, by its name without a version, such as `targets.json`.
    pub fn meta(&self) -> &BTreeMap<String, MetaFile> {
        &self.meta
    }
}
