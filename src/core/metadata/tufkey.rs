//! Keys as TUF metadata writes them (TUF 4.2: `keytype`, `scheme`, `keyval`), and their key ids.
//!
//! Rules:
//! 1. A key id is the SHA-256 of the canonical form of the whole key object, extra fields included. Another id is a
//!    leniency (`KEY-ID`): it names the key in this file and proves nothing.
//! 2. A key of a kind that is not understood, or a weak one, is unusable. It does not break the file; it never counts.
//! 3. New keys have one form ([`new_form`]): `ecdsa` with PEM, or `ed25519` with 64 hexadecimal digits.

use super::Refusal;
use super::fields::{Notes, member, object, text, texts};
use crate::canonical;
use crate::check::Check;
use crate::digest::Digest;
use crate::json::Value;
use crate::key::{Algorithm, KeyError, PublicKey};
use crate::page::Text;
use crate::quorum::{RoleFault, RoleKeys};
use crate::text;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The most keys that one file may name.
pub const MAX_KEYS: usize = 1024;

/// How the public key is spelled in `keyval.public`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// The PEM of the SubjectPublicKeyInfo.
    Pem,
    /// Hexadecimal digits of the SEC 1 point, an old form of ECDSA keys.
    HexPoint,
    /// Hexadecimal digits of the 32 bytes of an Ed25519 key.
    HexEd25519,
}

/// A key object as it was read. Roots that follow one another share those that they have in common.
#[derive(Clone, Debug)]
pub struct TufKey(Arc<Object>);

#[derive(Debug)]
struct Object {
    value: Value,
    key: Result<Read, String>,
    right_id: bool,
}

impl TufKey {
    /// The key, if it can be verified with.
    pub fn public(&self) -> Option<&PublicKey> {
        self.0.key.as_ref().ok().map(|read| &read.key)
    }

    /// How the key is spelled, if it can be verified with.
    pub fn spelling(&self) -> Option<Spelling> {
        self.0.key.as_ref().ok().map(|read| read.spelling)
    }

    /// Why the key cannot be verified with; escaped.
    pub fn unusable(&self) -> Option<&str> {
        self.0.key.as_ref().err().map(String::as_str)
    }

    /// Whether the key id it is filed under is its own.
    pub fn has_right_id(&self) -> bool {
        self.0.right_id
    }

    /// The whole key object.
    pub fn value(&self) -> &Value {
        &self.0.value
    }
}

/// The key id of a key object: SHA-256 of its canonical form.
pub fn key_id(key: &Value) -> Digest {
    Digest::of(&canonical::to_vec(key))
}

/// The one form in which new metadata writes `key`; nothing for kinds of keys that new metadata does not use.
pub fn new_form(key: &PublicKey) -> Option<Value> {
    let (keytype, scheme, spelling) = match key.algorithm() {
        Algorithm::EcdsaP256 => ("ecdsa", "ecdsa-sha2-nistp256", Spelling::Pem),
        Algorithm::Ed25519 => ("ed25519", "ed25519", Spelling::HexEd25519),
        Algorithm::EcdsaP384 | Algorithm::RsaPss => return None,
    };
    let public = spell(key, spelling)?;
    let keyval = Value::from([("public", Value::Str(public))]);
    Some(Value::from([("keytype", keytype.into()), ("scheme", scheme.into()), ("keyval", keyval)]))
}

/// `key` in this spelling, if a key of its kind has it.
pub fn spell(key: &PublicKey, spelling: Spelling) -> Option<String> {
    match (spelling, key.algorithm()) {
        (Spelling::Pem, _) => Some(key.to_pem()),
        (Spelling::HexEd25519, Algorithm::Ed25519) => key.ed25519_bytes().map(hex::encode),
        // The uncompressed point is the end of a DER SubjectPublicKeyInfo: 1 + 2 * 32 bytes on P-256.
        (Spelling::HexPoint, Algorithm::EcdsaP256) => {
            let start = key.spki_der().len().checked_sub(65)?;
            key.spki_der().get(start..).map(hex::encode)
        }
        _ => None,
    }
}

/// Reads the member `keys`: key objects by key id. Those that `known` has, the same under the same id, are taken from there.
///
/// # Errors
/// `META-FORM` for what is no key object at all.
pub fn read_keys(
    of: &Value,
    known: Option<&BTreeMap<String, TufKey>>,
    notes: &mut Notes,
) -> Result<BTreeMap<String, TufKey>, Refusal> {
    let members = object(of, "keys", notes)?;
    if members.len() > MAX_KEYS {
        return Err(notes.refusal(Check::MetaForm, format!("more than {MAX_KEYS} keys")));
    }
    let mut keys = BTreeMap::new();
    let mut old_type = Vec::new();
    let mut old_encoding = Vec::new();
    let mut wrong_id = Vec::new();
    for (id, value) in members {
        let (keytype, scheme) = (text(value, "keytype", notes)?, text(value, "scheme", notes)?);
        object(value, "keyval", notes)?;
        let known = known.and_then(|keys| keys.get(id)).filter(|key| key.0.value == *value);
        let key = match known {
            Some(known) => known.clone(),
            None => TufKey(Arc::new(Object {
                key: read_key(keytype, scheme, member(value, "keyval", notes)?),
                right_id: Digest::from_hex(id).is_ok_and(|digest| digest == key_id(value)),
                value: value.clone(),
            })),
        };
        match &key.0.key {
            Err(why) => {
                let what = Text::own("the key ").and_foreign(id).and(" cannot be verified with: ").and(why.clone());
                notes.warning(Check::KeyForm, what);
            }
            Ok(read) => {
                if read.old_type {
                    old_type.push(id.as_str());
                }
                if read.old_encoding {
                    old_encoding.push(id.as_str());
                }
            }
        }
        if !key.0.right_id {
            wrong_id.push(id.as_str());
        }
        keys.insert(id.clone(), key);
    }
    note(notes, Check::KeyType, "with an old keytype", &old_type);
    note(notes, Check::KeyEncoding, "not written as PEM (Ed25519: lower-case hexadecimal)", &old_encoding);
    note(notes, Check::KeyId, "under an id that is not the hash of the key", &wrong_id);
    note_repeated(&keys, notes);
    Ok(keys)
}

/// One finding for all keys with the same oddity.
fn note(notes: &mut Notes, check: Check, what: &str, ids: &[&str]) {
    if let Some((first, rest)) = ids.split_first() {
        let number = if rest.is_empty() { "1 key".to_string() } else { format!("{} keys", ids.len()) };
        let mut line = Text::own(format!("{number} {what}: ")).and_foreign(short(first));
        for id in rest.iter().take(7) {
            line = line.and(", ").and_foreign(short(id));
        }
        notes.lenient(check, if rest.len() > 7 { line.and(" and others") } else { line });
    }
}

fn short(id: &str) -> String {
    id.chars().take(16).collect()
}

fn note_repeated(keys: &BTreeMap<String, TufKey>, notes: &mut Notes) {
    let mut ids: BTreeMap<&PublicKey, Vec<&str>> = BTreeMap::new();
    for (id, key) in keys {
        if let Some(public) = key.public() {
            ids.entry(public).or_default().push(id);
        }
    }
    for (key, ids) in ids.into_iter().filter(|(_, ids)| ids.len() > 1) {
        let what = format!("the key with fingerprint {} has {} key ids: ", key.fingerprint().short(), ids.len());
        let mut line = Text::own(what);
        for (i, id) in ids.iter().take(8).enumerate() {
            line = line.and(if i > 0 { ", " } else { "" }).and_foreign(short(id));
        }
        notes.lenient(Check::KeyDistinct, line);
    }
}

/// What a key object holds, and how it says it.
#[derive(Debug)]
struct Read {
    key: PublicKey,
    spelling: Spelling,
    old_type: bool,
    old_encoding: bool,
}

/// Reads what is in a key object; the error says why the key is unusable.
fn read_key(keytype: &str, scheme: &str, keyval: &Value) -> Result<Read, String> {
    let Some(public) = keyval.get("public").and_then(Value::as_str) else {
        return Err("it has no `keyval.public`".to_string());
    };
    let fault = |error: KeyError| error.to_string();
    let pem = |wanted: Algorithm, old_type: bool| {
        let key = PublicKey::from_pem(public).map_err(fault)?;
        if key.algorithm() != wanted {
            return Err(format!("it is a key for {}, under a scheme for {wanted}", key.algorithm()));
        }
        let old_encoding = public.trim_end() != key.to_pem().trim_end();
        Ok(Read { key, spelling: Spelling::Pem, old_type, old_encoding })
    };
    match (keytype, scheme) {
        ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
            let old_type = keytype != "ecdsa";
            match hex::decode(public) {
                Ok(point) => {
                    let key = PublicKey::from_p256_point(&point).map_err(fault)?;
                    Ok(Read { key, spelling: Spelling::HexPoint, old_type, old_encoding: true })
                }
                Err(_) => pem(Algorithm::EcdsaP256, old_type),
            }
        }
        ("ecdsa" | "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384") => pem(Algorithm::EcdsaP384, keytype != "ecdsa"),
        ("rsa", "rsassa-pss-sha256") => pem(Algorithm::RsaPss, false),
        ("ed25519", "ed25519") => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(public, &mut bytes).map_err(|_| "it is not 64 hexadecimal digits".to_string())?;
            let key = PublicKey::from_ed25519(&bytes).map_err(fault)?;
            let old_encoding = public.bytes().any(|b| b.is_ascii_uppercase());
            Ok(Read { key, spelling: Spelling::HexEd25519, old_type: false, old_encoding })
        }
        _ => {
            Err(format!("keytype \"{}\" with scheme \"{}\" is not known", text::escape(keytype), text::escape(scheme)))
        }
    }
}

/// A role as it is written: key ids and a threshold (TUF 4.3, 4.5).
#[derive(Clone, Debug)]
pub struct KeyedRole {
    /// The key ids in the order of the file. Foreign text.
    pub keyids: Vec<String>,
    /// The threshold as written, at least 1.
    pub threshold: u64,
    /// What a quorum is counted with; a fault where usable keys are too few.
    pub keys: Result<RoleKeys, RoleFault>,
}

impl KeyedRole {
    /// Reads `keyids` and `threshold` of the role called `name` (escaped here), whose keys are among `keys`.
    ///
    /// # Errors
    /// `META-FORM`; `ROLE-THRESHOLD` for a threshold of 0. A threshold that usable keys cannot reach is a warning here and
    /// a refusal when the role is needed.
    pub fn read(of: &Value, name: &str, keys: &BTreeMap<String, TufKey>, notes: &mut Notes) -> Result<Self, Refusal> {
        let name = text::escape(name);
        let keyids = texts(of, "keyids", notes)?;
        let threshold = super::fields::number(of, "threshold", notes)?;
        let mut seen = BTreeSet::new();
        if keyids.iter().any(|id| !seen.insert(id)) {
            return Err(notes.refusal(Check::MetaForm, format!("the role {name} names a key id twice")));
        }
        for id in keyids.iter().filter(|id| !keys.contains_key(*id)).take(8) {
            let what = Text::own(format!("the role {name} names the key id ")).and_foreign(short(id));
            notes.warning(Check::MetaForm, what.and(", which is not among the keys"));
        }
        let usable = keyids.iter().filter_map(|id| keys.get(id)?.public().cloned());
        let role = RoleKeys::new(usable, threshold);
        match role {
            Err(fault @ RoleFault::Zero) => {
                return Err(notes.refusal(Check::RoleThreshold, format!("the role {name} has {fault}")));
            }
            Err(fault) => notes.warning(Check::RoleThreshold, format!("the role {name} has {fault}")),
            Ok(_) => {}
        }
        Ok(Self { keyids, threshold, keys: role })
    }
}
