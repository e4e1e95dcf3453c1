//! Root metadata (TUF 4.3).

use super::fields::{Notes, boolean, member, object};
use super::tufkey::{KeyedRole, TufKey, read_keys};
use super::{Body, Refusal, Role};
use crate::check::Check;
use crate::json::Value;
use crate::key::PublicKey;
use crate::page::Text;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

/// The fields of root metadata.
#[derive(Clone, Debug)]
pub struct Root {
    consistent_snapshot: bool,
    keys: BTreeMap<String, TufKey>,
    roles: BTreeMap<Role, KeyedRole>,
}

impl Body for Root {
    const TYPE: &'static str = "root";
    const MOST: usize = 1 << 20;

    fn read(signed: &Arc<Value>, notes: &mut Notes) -> Result<Self, Refusal> {
        Self::read_after(signed, None, notes)
    }
}

impl Root {
    /// Reads the fields; keys that `other` has too are taken from there. The role `root` has to be one whose quorum can be
    /// met; the others are judged when they are needed.
    pub(super) fn read_after(signed: &Value, other: Option<&Self>, notes: &mut Notes) -> Result<Self, Refusal> {
        // The field is optional in the specification; left out it means false.
        let consistent_snapshot = match signed.get("consistent_snapshot") {
            Some(_) => boolean(signed, "consistent_snapshot", notes)?,
            None => false,
        };
        let keys = read_keys(signed, other.map(Self::keys), notes)?;
        let found = member(signed, "roles", notes)?;
        for name in object(signed, "roles", notes)?.keys() {
            if name != "mirrors" && !Role::ALL.iter().any(|role| role.name() == name) {
                let what = Text::own("the root gives keys to the unknown role ").and_foreign(name.as_str());
                return Err(notes.refusal(Check::MetaForm, what));
            }
        }
        let mut roles = BTreeMap::new();
        for role in Role::ALL {
            let of = member(found, role.name(), notes)?;
            roles.insert(role, KeyedRole::read(of, role.name(), &keys, notes)?);
        }
        let root = Self { consistent_snapshot, keys, roles };
        if let Err(fault) = &root.role(Role::Root).keys {
            return Err(notes.refusal(Check::RoleThreshold, format!("the role root has {fault}")));
        }
        Ok(root)
    }

    /// Whether file names carry versions and hashes (TUF 6.2).
    pub fn consistent_snapshot(&self) -> bool {
        self.consistent_snapshot
    }

    /// The keys by key id.
    pub fn keys(&self) -> &BTreeMap<String, TufKey> {
        &self.keys
    }

    /// The keys and threshold of a role.
    pub fn role(&self, role: Role) -> &KeyedRole {
        // `read` put all four in.
        &self.roles[&role]
    }

    /// Whether the online keys were rotated since `old` (TUF 5.3.11): a key that `old` gave to timestamp or snapshot has lost
    /// that role. A key more, or another threshold, takes nothing from anybody, so what was trusted stays a floor.
    pub fn rotates_online_keys_of(&self, old: &Self) -> bool {
        [Role::Timestamp, Role::Snapshot].iter().any(|role| {
            // Mostly they are the same, and nothing has to be collected.
            self.role(*role).keys != old.role(*role).keys && !old.usable(*role).is_subset(&self.usable(*role))
        })
    }

    /// The keys of a role that can be verified with, whether or not they are enough.
    fn usable(&self, role: Role) -> BTreeSet<&PublicKey> {
        self.role(role).keyids.iter().filter_map(|id| self.keys.get(id)?.public()).collect()
    }
}
