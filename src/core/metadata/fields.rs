//! Reading single fields of metadata, with one wording for what is wrong.
//!
//! Every refusal names the field. Foreign text goes only into foreign spans.

use super::Refusal;
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::json::{Members, Value};
use crate::page::Text;
use crate::text;
use crate::time::Timestamp;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use sha2::Digest as _;

/// What reading a file finds on its way.
#[derive(Debug)]
pub struct Notes {
    subject: String,
    findings: Vec<Finding>,
}

impl Notes {
    /// For the file called `name`, which is escaped here.
    pub fn new(name: &str) -> Self {
        Self { subject: text::escape(name), findings: Vec::new() }
    }

    /// An old form is accepted by name.
    pub fn lenient(&mut self, check: Check, what: impl Into<Text>) {
        self.findings.push(Finding::new(Level::Lenient, check, self.subject.clone(), what));
    }

    /// Something is unwise or unusable, and not refused.
    pub fn warning(&mut self, check: Check, what: impl Into<Text>) {
        self.findings.push(Finding::new(Level::Warning, check, self.subject.clone(), what));
    }

    /// A refusal of this file.
    pub fn refusal(&self, check: Check, what: impl Into<Text>) -> Refusal {
        Refusal::new(check, self.subject.clone(), what)
    }

    /// The escaped name and the findings.
    pub fn done(self) -> (String, Vec<Finding>) {
        (self.subject, self.findings)
    }
}

/// The member `name`.
///
/// # Errors
/// `META-FORM` if it is not there, or `of` is no object.
pub fn member<'a>(of: &'a Value, name: &str, notes: &Notes) -> Result<&'a Value, Refusal> {
    of.get(name).ok_or_else(|| notes.refusal(Check::MetaForm, format!("the field `{name}` is missing")))
}

/// The member `name`, a string.
///
/// # Errors
/// `META-FORM` if it is not there or no string.
pub fn text<'a>(of: &'a Value, name: &str, notes: &Notes) -> Result<&'a str, Refusal> {
    member(of, name, notes)?.as_str().ok_or_else(|| wrong(name, "a string", notes))
}

/// The member `name`, a whole number from 0 to 2^64 - 1.
///
/// # Errors
/// `META-FORM` if it is not there or no such number.
pub fn number(of: &Value, name: &str, notes: &Notes) -> Result<u64, Refusal> {
    member(of, name, notes)?.as_u64().ok_or_else(|| wrong(name, "a whole number that is not negative", notes))
}

/// The member `name`, a Boolean.
///
/// # Errors
/// `META-FORM` if it is not there or no Boolean.
pub fn boolean(of: &Value, name: &str, notes: &Notes) -> Result<bool, Refusal> {
    match member(of, name, notes)? {
        Value::Bool(value) => Ok(*value),
        _ => Err(wrong(name, "true or false", notes)),
    }
}

/// The member `name`, an object.
///
/// # Errors
/// `META-FORM` if it is not there or no object.
pub fn object<'a>(of: &'a Value, name: &str, notes: &Notes) -> Result<&'a Members, Refusal> {
    member(of, name, notes)?.as_obj().ok_or_else(|| wrong(name, "an object", notes))
}

/// The member `name`, an array of strings.
///
/// # Errors
/// `META-FORM` if it is not there or anything else.
pub fn texts(of: &Value, name: &str, notes: &Notes) -> Result<Vec<String>, Refusal> {
    let fault = || wrong(name, "an array of strings", notes);
    let items = member(of, name, notes)?.as_arr().ok_or_else(fault)?;
    items.iter().map(|item| item.as_str().map(ToString::to_string).ok_or_else(fault)).collect()
}

fn wrong(name: &str, wanted: &str, notes: &Notes) -> Refusal {
    notes.refusal(Check::MetaForm, format!("the field `{name}` is not {wanted}"))
}

/// `version` (TUF 4.3 and others): at least 1.
///
/// # Errors
/// `META-FORM`.
pub fn version(of: &Value, notes: &Notes) -> Result<u64, Refusal> {
    match number(of, "version", notes)? {
        0 => Err(wrong("version", "at least 1", notes)),
        version => Ok(version),
    }
}

/// `spec_version` (TUF 4.3): `1.MINOR.PATCH`; the old `1.0` is a leniency.
///
/// # Errors
/// `SPEC-VERSION` for every other major version and for anything that is no version.
pub fn spec_version(of: &Value, notes: &mut Notes) -> Result<String, Refusal> {
    let text = text(of, "spec_version", notes)?;
    let whole = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        ["1", minor, patch] if whole(minor) && whole(patch) => {}
        ["1", minor] if whole(minor) => {
            let what = format!("spec_version is \"{text}\", not 1.MINOR.PATCH");
            notes.lenient(Check::SpecVersion, what);
        }
        _ => {
            let what = Text::own("spec_version is \"").and_foreign(text).and("\", not 1.MINOR.PATCH");
            return Err(notes.refusal(Check::SpecVersion, what));
        }
    }
    Ok(text.to_string())
}

/// `expires` (TUF 4.2): `YYYY-MM-DDTHH:MM:SSZ`; fractions and offsets are a leniency.
///
/// # Errors
/// `EXPIRES-FORM` for anything else.
pub fn expires(of: &Value, notes: &mut Notes) -> Result<Timestamp, Refusal> {
    let text = text(of, "expires", notes)?;
    if let Ok(moment) = Timestamp::parse(text) {
        return Ok(moment);
    }
    let what = Text::own("expires is \"").and_foreign(text).and("\", not YYYY-MM-DDTHH:MM:SSZ");
    let moment = Timestamp::parse_lenient(text).map_err(|_| notes.refusal(Check::ExpiresForm, what.clone()))?;
    notes.lenient(Check::ExpiresForm, what);
    Ok(moment)
}

/// The hashes of a file (TUF 4.4, 4.5): SHA-256, SHA-512 or both. Others are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    sha256: Option<Digest>,
    sha512: Option<[u8; 64]>,
}

impl Hashes {
    /// The SHA-256 alone, as everything that is built here has it.
    pub fn sha256(digest: Digest) -> Self {
        Self { sha256: Some(digest), sha512: None }
    }

    /// The SHA-256, if it is among them.
    pub fn get_sha256(&self) -> Option<Digest> {
        self.sha256
    }

    /// The hash as it stands before a name in a consistent snapshot: SHA-256 if there is one, else SHA-512; hexadecimal.
    pub fn prefix(&self) -> Option<String> {
        self.sha256.map(|digest| digest.to_string()).or_else(|| self.sha512.map(hex::encode))
    }

    /// Whether every hash that is known here is that of `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.sha256.is_none_or(|digest| digest == Digest::of(bytes))
            && self.sha512.is_none_or(|digest| digest == <[u8; 64]>::from(sha2::Sha512::digest(bytes)))
    }

    /// Begins to check bytes that come in parts.
    pub fn begin(&self) -> HashCheck {
        HashCheck {
            promised: self.clone(),
            sha256: self.sha256.map(|_| sha2::Sha256::new()),
            sha512: self.sha512.map(|_| sha2::Sha512::new()),
        }
    }

    /// The object of hashes as it is written.
    pub fn to_value(&self) -> Value {
        let sha256 = self.sha256.map(|digest| ("sha256".to_string(), Value::Str(digest.to_string())));
        let sha512 = self.sha512.map(|digest| ("sha512".to_string(), Value::Str(hex::encode(digest))));
        Value::Obj(sha256.into_iter().chain(sha512).collect())
    }

    /// Reads the member `hashes`.
    ///
    /// # Errors
    /// `META-FORM` if none of them is known here, or one is not written in lower-case hexadecimal.
    pub fn read(of: &Value, notes: &Notes) -> Result<Self, Refusal> {
        let members = object(of, "hashes", notes)?;
        let mut hashes = Self::default();
        for (name, value) in members {
            let text = value.as_str().ok_or_else(|| wrong("hashes", "an object of strings", notes))?;
            match name.as_str() {
                "sha256" => {
                    let digest = Digest::from_hex(text).map_err(|_| wrong("sha256", "64 hexadecimal digits", notes))?;
                    hashes.sha256 = Some(digest);
                }
                "sha512" => {
                    let mut digest = [0; 64];
                    if hex::decode_to_slice(text, &mut digest).is_err() || text.bytes().any(|b| b.is_ascii_uppercase())
                    {
                        return Err(wrong("sha512", "128 hexadecimal digits", notes));
                    }
                    hashes.sha512 = Some(digest);
                }
                _ => {}
            }
        }
        if hashes == Self::default() {
            return Err(wrong("hashes", "a SHA-256 or SHA-512", notes));
        }
        Ok(hashes)
    }
}

/// A check of hashes over bytes that come in parts.
#[derive(Clone, Debug)]
pub struct HashCheck {
    promised: Hashes,
    sha256: Option<sha2::Sha256>,
    sha512: Option<sha2::Sha512>,
}

impl HashCheck {
    /// Takes the next part.
    pub fn update(&mut self, part: &[u8]) {
        if let Some(hash) = &mut self.sha256 {
            hash.update(part);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(part);
        }
    }

    /// Whether every hash that was promised is that of the parts together.
    pub fn matches(self) -> bool {
        self.sha256.map(|hash| Digest::from_bytes(hash.finalize().into())) == self.promised.sha256
            && self.sha512.map(|hash| <[u8; 64]>::from(hash.finalize())) == self.promised.sha512
    }
}

/// What a metadata file says of another one (TUF 4.4 and 4.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaFile {
    /// The version, at least 1.
    pub version: u64,
    /// The length in bytes, if it is given.
    pub length: Option<u64>,
    /// The hashes, if they are given.
    pub hashes: Option<Hashes>,
}

impl MetaFile {
    /// What there is to say of the file `bytes`, which holds this version.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        Self { version, length: Some(bytes.len() as u64), hashes: Some(Hashes::sha256(Digest::of(bytes))) }
    }

    /// Reads one member of `meta`.
    ///
    /// # Errors
    /// `META-FORM`.
    pub fn read(of: &Value, notes: &Notes) -> Result<Self, Refusal> {
        let length = of.get("length").map(|_| number(of, "length", notes)).transpose()?;
        let hashes = of.get("hashes").map(|_| Hashes::read(of, notes)).transpose()?;
        Ok(Self { version: version(of, notes)?, length, hashes })
    }

    /// The object as it is written.
    pub fn to_value(&self) -> Value {
        let mut members = BTreeMap::from([("version".to_string(), Value::from(self.version))]);
        members.extend(self.length.map(|length| ("length".to_string(), Value::from(length))));
        members.extend(self.hashes.as_ref().map(|hashes| ("hashes".to_string(), hashes.to_value())));
        members.into()
    }

    /// Refuses bytes that have another length or other hashes than promised (TUF 5.5.2, 5.6.2).
    ///
    /// # Errors
    /// `META-HASH`.
    pub fn accepts(&self, subject: &str, bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(length) = self.length.filter(|length| *length != bytes.len() as u64) {
            let what = format!("{} bytes long, where {length} are promised", bytes.len());
            return Err(Refusal::new(Check::MetaHash, text::escape(subject), what));
        }
        if self.hashes.as_ref().is_some_and(|hashes| !hashes.matches(bytes)) {
            let what = "other hashes than promised by the file above it";
            return Err(Refusal::new(Check::MetaHash, text::escape(subject), what));
        }
        Ok(())
    }
}
