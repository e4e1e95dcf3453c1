//! The envelope of every metadata file: `{"signatures": […], "signed": {…}}` (TUF 4.2).
//!
//! Rules:
//! 1. The payload is the canonical form of the value of `signed` as it was read.
//! 2. Signatures are kept in order. One key id twice is refused, before anything is verified: clients differ in which of
//!    the two counts.
//! 3. A published file is JSON in the canonical order without white space, signatures ordered by key id. Control characters
//!    (the line feeds of PEM) are escaped, since canonical JSON has them bare and is then no JSON. Of several signatures
//!    under one key id the lowest bytes are taken, so assembly is a union in any order.

use super::Refusal;
use super::fields::{Notes, member, text};
use crate::check::Check;
use crate::digest::Digest;
use crate::json::{self, Members, Value};
use crate::page::Text;
use crate::payload::{NotCanonical, Payload};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The most signatures that one file may carry.
pub const MAX_SIGNATURES: usize = 1024;

/// One signature as it was read; nothing is known of it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key id it is filed under. Foreign text.
    pub keyid: String,
    /// The bytes of the signature; empty where the file has an empty placeholder, or what is not hexadecimal.
    pub sig: Vec<u8>,
    /// The whole object, unknown fields included.
    pub value: Value,
}

/// A metadata file as received.
#[derive(Clone, Debug)]
pub struct Envelope {
    signatures: Vec<Signature>,
    signed: Arc<Value>,
    payload: Payload,
    extra: Members,
    file: Digest,
    length: u64,
}

impl Envelope {
    /// Reads a metadata file.
    ///
    /// # Errors
    /// `JSON-STRICT`, `META-FORM` and `SIG-REPEATED`. A signature that is empty or not hexadecimal is a leniency.
    pub fn parse(bytes: &[u8], notes: &mut Notes) -> Result<Self, Refusal> {
        let mut members = match json::parse(bytes) {
            Ok(Value::Obj(members)) => members,
            Ok(_) => return Err(notes.refusal(Check::MetaForm, "the file is no JSON object")),
            Err(error) => return Err(notes.refusal(Check::JsonStrict, error.to_string())),
        };
        let missing = |name: &str| notes.refusal(Check::MetaForm, format!("the field `{name}` is missing"));
        let signed = members.remove("signed").ok_or_else(|| missing("signed"))?;
        let list = members.remove("signatures").ok_or_else(|| missing("signatures"))?;
        let signatures = read_signatures(list, notes)?;
        let payload = Payload::within(&signed, bytes.len());
        let (file, length) = (Digest::of(bytes), bytes.len() as u64);
        Ok(Self { signatures, signed: Arc::new(signed), payload, extra: members, file, length })
    }

    /// Takes the bytes of `signed` alone, without signatures.
    ///
    /// # Errors
    /// `JSON-STRICT`, and `META-FORM` for bytes that are not canonical.
    pub fn of_payload(bytes: &[u8], notes: &Notes) -> Result<Self, Refusal> {
        let (payload, signed) = Payload::read(bytes).map_err(|error| match error {
            NotCanonical::Json(error) => notes.refusal(Check::JsonStrict, error.to_string()),
            NotCanonical::Form => notes.refusal(Check::MetaForm, NotCanonical::Form.to_string()),
        })?;
        let (file, length) = (Digest::of(bytes), bytes.len() as u64);
        let signed = Arc::new(signed);
        Ok(Self { signatures: Vec::new(), signed, payload, extra: Members::new(), file, length })
    }

    /// The signatures, in the order of the file.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The value of `signed`, which typed fields may share.
    pub fn signed(&self) -> &Arc<Value> {
        &self.signed
    }

    /// What is signed.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Members beside `signatures` and `signed`. Nobody signs them.
    pub fn extra(&self) -> &Members {
        &self.extra
    }

    /// SHA-256 of the bytes as received.
    pub fn file_digest(&self) -> Digest {
        self.file
    }

    /// The length as received, in bytes.
    pub fn file_length(&self) -> u64 {
        self.length
    }
}

fn read_signatures(list: Value, notes: &mut Notes) -> Result<Vec<Signature>, Refusal> {
    let Value::Arr(items) = list else {
        return Err(notes.refusal(Check::MetaForm, "the field `signatures` is not an array"));
    };
    if items.len() > MAX_SIGNATURES {
        return Err(notes.refusal(Check::MetaForm, format!("more than {MAX_SIGNATURES} signatures")));
    }
    let mut seen = BTreeSet::new();
    let mut empty = 0;
    let mut signatures = Vec::with_capacity(items.len());
    for value in items {
        let keyid = text(&value, "keyid", notes)?.to_string();
        if !seen.insert(keyid.clone()) {
            let what = Text::own("two signatures under the key id ").and_foreign(keyid.as_str());
            return Err(notes.refusal(Check::SigRepeated, what));
        }
        member(&value, "sig", notes)?;
        let digits = text(&value, "sig", notes)?;
        empty += usize::from(digits.is_empty());
        // One bad signature does not spoil a file that enough others signed; other clients read on as well.
        let sig = hex::decode(digits).unwrap_or_else(|_| {
            let what =
                Text::own("the signature under the key id ").and_foreign(keyid.as_str()).and(" is not hexadecimal");
            notes.lenient(Check::MetaForm, what);
            Vec::new()
        });
        signatures.push(Signature { keyid, sig, value });
    }
    if empty > 0 {
        notes.lenient(Check::SigEmpty, format!("{empty} of {} signatures are empty", signatures.len()));
    }
    Ok(signatures)
}

/// The bytes of the metadata file with this payload and these signatures (key id, bytes), in any order. Empty signatures
/// are left out. Nothing is verified here.
pub fn assemble(payload: &Payload, signatures: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut lowest: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (keyid, sig) in signatures.into_iter().filter(|(_, sig)| !sig.is_empty()) {
        let kept = lowest.entry(keyid).or_insert_with(|| sig.clone());
        if sig < *kept {
            *kept = sig;
        }
    }
    let list = lowest
        .into_iter()
        .map(|(keyid, sig)| Value::from([("keyid", Value::Str(keyid)), ("sig", Value::Str(hex::encode(sig)))]))
        .collect();
    let mut file = b"{\"signatures\":".to_vec();
    file.extend_from_slice(&Payload::of(&Value::Arr(list)).to_json());
    file.extend_from_slice(b",\"signed\":");
    file.extend_from_slice(&payload.to_json());
    file.push(b'}');
    file
}
