//! Detached signatures: one file each, so that no two people ever write the same file.
//!
//! A file holds the key id, the signature and the SHA-256 of the payload it signs, as canonical JSON, at
//! `signatures/<role>-<payload digest>/<key fingerprint, 16 hex>-<file digest, 16 hex>.json`. Assembly is a pure union that
//! does not depend on order; of several valid signatures by one key the lowest by bytes is taken.

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::metadata::build::new_key_id;
use crate::payload::Payload;
use crate::signature::{Signed, Verifier};
use crate::text::escape;
use crate::tree::{Entry, Tree};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The roles that holders sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignedRole {
    /// The root.
    Root,
    /// The targets.
    Targets,
}

impl fmt::Display for SignedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Targets => "targets",
        })
    }
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureFile {
    /// The role of the payload.
    pub role: SignedRole,
    /// The key id, as metadata names the key.
    pub keyid: String,
    /// SHA-256 of the DER SubjectPublicKeyInfo.
    pub fingerprint: Digest,
    /// SHA-256 of the payload.
    pub payload: Digest,
    /// The signature, hexadecimal; DER for ECDSA.
    pub sig: String,
}

impl SignatureFile {
    /// The file of a signature that was checked.
    pub fn new(role: SignedRole, signed: &Signed, signature: &[u8]) -> Self {
        Self {
            role,
            keyid: new_key_id(signed.key()).unwrap_or_default(),
            fingerprint: signed.key().fingerprint(),
            payload: signed.payload(),
            sig: hex::encode(signature),
        }
    }

    /// The bytes of the file.
    pub fn to_canonical(&self) -> Vec<u8> {
        crate::canonical::of(self)
    }

    /// Where it lies, relative to the record.
    pub fn path(&self) -> String {
        let digest = Digest::of(&self.to_canonical()).short();
        format!("signatures/{}-{}/{}-{digest}.json", self.role, self.payload, self.fingerprint.short())
    }
}

/// The signatures of one payload: what is valid, and what is not.
#[derive(Debug, Default)]
pub struct Collected {
    /// By key, the lowest valid signature.
    pub valid: BTreeMap<PublicKey, Vec<u8>>,
    /// What was refused, each with its file.
    pub findings: Vec<Finding>,
}

/// Reads every signature file of `payload` in the record at `dir`, and checks each with the key it is named for.
pub fn collect(
    tree: &Tree,
    dir: &str,
    role: SignedRole,
    payload: &Payload,
    keys: &[&PublicKey],
    verifier: &dyn Verifier,
) -> Collected {
    let folder = format!("{dir}/signatures/{role}-{}/", payload.digest());
    let mut collected = Collected::default();
    for (path, entry) in tree.range(folder.clone()..).take_while(|(path, _)| path.starts_with(&folder)) {
        if path.ends_with("/payload.json") {
            continue;
        }
        match read(dir, path, entry, role, payload, keys, verifier) {
            Ok((key, signature)) => {
                let kept = collected.valid.entry(key).or_insert_with(|| signature.clone());
                if signature < *kept {
                    *kept = signature;
                }
            }
            Err(what) => {
                let finding = Finding::new(Level::Refused, Check::SigPayload, escape(path), what);
                collected.findings.push(finding.hint("a signature file is never edited; restore it from git"));
            }
        }
    }
    collected
}

fn read(
    dir: &str,
    path: &str,
    entry: &Entry,
    role: SignedRole,
    payload: &Payload,
    keys: &[&PublicKey],
    verifier: &dyn Verifier,
) -> Result<(PublicKey, Vec<u8>), String> {
    let bytes = entry.bytes().ok_or("it is not a regular file")?;
    let file: SignatureFile = crate::json::read(bytes).map_err(|error| error.to_string())?;
    if file.to_canonical() != bytes {
        return Err("it is not in canonical form".to_string());
    }
    if format!("{dir}/{}", file.path()) != path {
        return Err(format!("its content belongs to {dir}/{}", file.path()));
    }
    if file.role != role || file.payload != payload.digest() {
        return Err("it signs another payload than the one it lies beside".to_string());
    }
    let key = keys.iter().find(|key| key.fingerprint() == file.fingerprint).ok_or("no holder has its key")?;
    if new_key_id(key).as_deref() != Some(file.keyid.as_str()) {
        return Err("its key id is not that of its key".to_string());
    }
    let signature = hex::decode(&file.sig).map_err(|_| "its signature is not hexadecimal")?;
    if hex::encode(&signature) != file.sig {
        return Err("its signature is not in small hexadecimal letters".to_string());
    }
    match Signed::check(key, payload, &signature, verifier) {
        Ok(_) => Ok(((*key).clone(), signature)),
        Err(_) => Err("its signature does not verify".to_string()),
    }
}

#[cfg(test)]
mod tests;
