//! TUF metadata (specification 1.0.x, section 4), read from bytes as received.
//!
//! Rules:
//! 1. What is verified is the canonical form of the value that was read ([`envelope`]); typed fields are a view on it and
//!    are never written back. Unknown fields stay reachable.
//! 2. Reading proves nothing about who signed. `chain` and `trusted` do.
//! 3. A form that the specification does not allow is refused, or accepted by name: each leniency used is a finding of
//!    level [`Level::Lenient`], which [`strict`] turns into a refusal.
//! 4. What is built ([`build`]) has the strict forms only.

pub mod build;
pub mod envelope;
pub mod fields;
pub mod root;
pub mod snapshot;
pub mod targets;
pub mod timestamp;
pub mod tufkey;

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::json::Value;
use crate::page::Text;
use crate::payload::Payload;
use crate::time::Timestamp;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use envelope::{Envelope, Signature};
use fields::Notes;

/// The four top-level roles (TUF 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Trusts itself and names the keys of the others.
    Root,
    /// Names the files.
    Targets,
    /// Names the versions of all targets metadata.
    Snapshot,
    /// Names the newest snapshot.
    Timestamp,
}

impl Role {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// The name in metadata and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Metadata was refused; the finding says by which check and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Finding);

impl Refusal {
    /// A refusal of the file called `subject` (escaped already where that is foreign).
    pub fn new(check: Check, subject: impl Into<String>, what: impl Into<Text>) -> Self {
        Self(Finding::new(Level::Refused, check, subject, what))
    }

    /// With what to do now.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self(self.0.hint(hint))
    }

    /// The check that refused.
    pub fn check(&self) -> Check {
        self.0.check
    }

    /// The finding, of level [`Level::Refused`].
    pub fn finding(&self) -> &Finding {
        &self.0
    }
}

impl From<Refusal> for Finding {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl core::error::Error for Refusal {}

/// Findings as `--strict` has them: what was accepted by name is refused.
pub fn strict(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        if finding.level == Level::Lenient {
            finding.level = Level::Refused;
        }
    }
    findings
}

/// The first finding that refuses, if there is one.
///
/// # Errors
/// That finding.
pub fn refused(findings: &[Finding]) -> Result<(), Refusal> {
    findings.iter().find(|finding| finding.level == Level::Refused).map_or(Ok(()), |one| Err(Refusal(one.clone())))
}

/// What is particular to one kind of metadata.
pub trait Body: Sized {
    /// The value of `_type`.
    const TYPE: &'static str;
    /// The most bytes of a file of this kind. Real roots have some ten thousand; what is far beyond any honest file is
    /// refused before it is read, since reading takes many times its length in memory.
    const MOST: usize;

    /// Reads the fields of this kind.
    ///
    /// # Errors
    /// The first form that cannot be read; leniencies go to `notes`.
    fn read(signed: &Arc<Value>, notes: &mut Notes) -> Result<Self, Refusal>;
}

/// A metadata file as it was read: typed fields beside the value and the bytes they came from.
#[derive(Clone, Debug)]
pub struct Metadata<T> {
    name: String,
    envelope: Envelope,
    spec_version: String,
    version: u64,
    expires: Timestamp,
    findings: Vec<Finding>,
    body: T,
}

impl<T: Body> Metadata<T> {
    /// Reads a metadata file. `name` is what findings call it, such as `3.root.json`; it is escaped here.
    ///
    /// # Errors
    /// `JSON-STRICT`, `META-FORM`, `META-TYPE`, `SPEC-VERSION`, `SIG-REPEATED`, `ROLE-THRESHOLD`: the first that refuses.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let mut notes = Notes::new(name);
        let envelope = Self::envelope(bytes, &mut notes)?;
        Self::read(envelope, notes)
    }

    fn envelope(bytes: &[u8], notes: &mut Notes) -> Result<Envelope, Refusal> {
        if bytes.len() > T::MOST {
            let what = format!("it has {} bytes; {} metadata has at most {}", bytes.len(), T::TYPE, T::MOST);
            return Err(notes.refusal(Check::MetaForm, what).hint("this is no such file: ask whoever put it there"));
        }
        Envelope::parse(bytes, notes)
    }

    /// Reads a payload that is not signed yet: the bytes are those of `signed` alone, in canonical form.
    ///
    /// # Errors
    /// As [`Self::parse`]; `META-FORM` for bytes that are not canonical.
    pub fn of_payload(name: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let notes = Notes::new(name);
        let envelope = Envelope::of_payload(bytes, &notes)?;
        Self::read(envelope, notes)
    }

    fn read(envelope: Envelope, notes: Notes) -> Result<Self, Refusal> {
        Self::read_with(envelope, notes, T::read)
    }

    fn read_with(
        envelope: Envelope,
        mut notes: Notes,
        body: impl FnOnce(&Arc<Value>, &mut Notes) -> Result<T, Refusal>,
    ) -> Result<Self, Refusal> {
        let signed = envelope.signed();
        let found = fields::text(signed, "_type", &notes)?;
        if found != T::TYPE {
            let what =
                Text::own("the type is \"").and_foreign(found).and("\", where ").and(T::TYPE).and(" is expected");
            return Err(notes.refusal(Check::MetaType, what));
        }
        let spec_version = fields::spec_version(signed, &mut notes)?;
        let version = fields::version(signed, &notes)?;
        let expires = fields::expires(signed, &mut notes)?;
        let body = body(signed, &mut notes)?;
        let (name, findings) = notes.done();
        Ok(Self { name, envelope, spec_version, version, expires, findings, body })
    }
}

impl Metadata<root::Root> {
    /// As [`Self::parse`], for a root beside another one: a key object that is the same there, under the same id, is not
    /// decoded again. The result is the same.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_after(name: &str, bytes: &[u8], other: &Self) -> Result<Self, Refusal> {
        let mut notes = Notes::new(name);
        let envelope = Self::envelope(bytes, &mut notes)?;
        Self::read_with(envelope, notes, |signed, notes| root::Root::read_after(signed, Some(other.body()), notes))
    }
}

impl<T> Metadata<T> {
    /// What findings call the file; escaped.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `version`, at least 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// `expires`; a fraction of a second is cut off.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// `spec_version` as written.
    pub fn spec_version(&self) -> &str {
        &self.spec_version
    }

    /// The fields of this kind.
    pub fn body(&self) -> &T {
        &self.body
    }

    /// The leniencies that reading used, and warnings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The whole value of `signed`, unknown fields included.
    pub fn signed(&self) -> &Value {
        self.envelope.signed()
    }

    /// The members of `signed` that are no field of the specification and begin with `x-`.
    pub fn extra(&self) -> BTreeMap<&str, &Value> {
        let members = self.signed().as_obj().into_iter().flatten();
        members.filter(|(name, _)| name.starts_with("x-")).map(|(name, value)| (name.as_str(), value)).collect()
    }

    /// The signatures in the order of the file.
    pub fn signatures(&self) -> &[Signature] {
        self.envelope.signatures()
    }

    /// What was signed.
    pub fn payload(&self) -> &Payload {
        self.envelope.payload()
    }

    /// The file digest: SHA-256 of the bytes as received.
    pub fn file_digest(&self) -> Digest {
        self.envelope.file_digest()
    }

    /// The length of the file in bytes, as received.
    pub fn file_length(&self) -> u64 {
        self.envelope.file_length()
    }

    /// The first leniency as a refusal, for `--strict`.
    ///
    /// # Errors
    /// The first leniency that reading used.
    pub fn strictly(&self) -> Result<(), Refusal> {
        refused(&strict(self.findings.clone()))
    }

    /// Refuses metadata that expires at or before `now` (TUF 5.3.10, 5.4.4, 5.5.6, 5.6.5).
    ///
    /// # Errors
    /// `EXPIRED`.
    pub fn unexpired(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.expires > now {
            return Ok(());
        }
        let what = alloc::format!("expired at {}; the time asked about is {now}", self.expires);
        Err(Refusal::new(Check::Expired, self.name.to_string(), what)
            .hint("ask for newer metadata; if there is none, the repository has to renew it"))
    }
}

#[cfg(test)]
mod tests;
