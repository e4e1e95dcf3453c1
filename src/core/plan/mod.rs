//! The plan: the one input that people review.
//!
//! A plan is written in TOML ([`parse`]), linted ([`lint`]), and frozen at the opening of a ceremony as canonical JSON
//! ([`Plan::to_canonical`]). No number of a ceremony is in code: thresholds, expiry and seats all come from here.
//! Unknown fields are errors. Text that gets signed is clean (`text::check_clean`); handles become file names.

pub mod carry;
pub mod lint;
pub mod lint_follows;
pub mod parse;
pub mod template;

use crate::attestation::AdvisoryName;
use crate::digest::Digest;
use crate::key::Algorithm;
use crate::serial::Serial;
use crate::slot::Slot;
use crate::text::Handle;
use crate::time::Timestamp;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The only format of plans there is.
pub const FORMAT: u32 = 1;

/// What a ceremony is to do, who is there, and the rules it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// The name of the ceremony; its record is `ceremony/<day>-<name>/`.
    pub name: Handle,
    /// What the ceremony is called on screens and pages. Clean text.
    pub title: String,
    /// The trust root that is made or continued. A root key serves one trust root. Clean text.
    pub trust_root: String,
    /// What is to happen.
    pub kind: Kind,
    /// Why, in every kind but a genesis; it is signed into the root. Clean text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The day the ceremony is expected to be held, as the start of that day in UTC.
    #[serde(with = "parse::day")]
    pub day: Timestamp,
    /// Whether this is a rehearsal: virtual tokens only, marked in everything that is signed.
    #[serde(default)]
    pub rehearsal: bool,
    /// The root that is continued, in every kind but a genesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// The root role; its keys are the holders' keys.
    pub root: KeyedRole,
    /// The targets role; its keys are the holders' keys.
    pub targets: KeyedRole,
    /// The snapshot role, signed by an online key.
    pub snapshot: OnlineRole,
    /// The timestamp role, signed by an online key.
    pub timestamp: OnlineRole,
    /// What a holder's token has to be.
    pub tokens: TokenPolicy,
    /// Who sits where.
    pub seats: Seats,
    /// The people who get a root key, in the order in which they act.
    pub holders: Vec<Holder>,
    /// The keys of the root before that the new root no longer names. Whoever brings another token is here with the old
    /// key, and among the holders with the new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Leaving>,
    /// Everybody else who has a seat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<Person>,
}

/// What is to happen to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A first root, version 1.
    Genesis,
    /// The same keys and thresholds, a later expiry.
    Renew,
    /// Holders, keys or thresholds change as planned.
    Rotate,
    /// Something was lost, stolen or compromised.
    Recover,
}

/// The root that is continued: which one, so that a plan written for another is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follows {
    /// Its version; the new root has the next one.
    pub version: u64,
    /// Its payload digest.
    pub root: Digest,
    /// The payload digest of the newest targets, whose files and delegations carry over; none where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Digest>,
    /// What is published elsewhere, where nothing but roots is here: the next versions go on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
}

/// The newest versions that are published elsewhere; 0 where there never was one. Clients that have seen them refuse anything
/// that is not above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// Of the targets. Their files and delegations do not carry over from there.
    pub targets: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the timestamp.
    pub timestamp: u64,
}

/// A role whose keys are the holders'.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedRole {
    /// How many different keys must sign.
    pub threshold: u32,
    /// When the metadata expires: the start of that day in UTC.
    #[serde(with = "parse::day")]
    pub expires: Timestamp,
}

/// A role that an online key signs, with threshold 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineRole {
    /// The name of the online key; the private key's place is given to `trustroot run --online-key NAME=FILE`.
    pub key: Handle,
    /// The fingerprint of the key, where it is the one that the root before gives the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<Digest>,
    /// The name of the key that signed the role before, where another takes over: it signs once more beside the new one, so
    /// that a client in the middle of its requests never finds files that do not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Handle>,
    /// When the metadata expires: the start of that day in UTC.
    #[serde(with = "parse::day")]
    pub expires: Timestamp,
}

/// What a holder's token has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPolicy {
    /// The kind of key that is generated.
    pub algorithm: KeyKind,
    /// Whether each signature needs the PIN.
    pub pin: Always,
    /// Whether each signature needs a touch.
    pub touch: Always,
    /// The least firmware, `major.minor.patch`.
    #[serde(with = "parse::firmware")]
    pub minimum_firmware: (u8, u8, u8),
    /// Whether a key without a valid attestation is refused.
    pub attestation: Attestation,
    /// Published weaknesses that are accepted, by name. Everybody who verifies is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waive: Vec<AdvisoryName>,
}

/// The kind of key that is generated on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// ECDSA over NIST P-256 with SHA-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// Ed25519.
    Ed25519,
    /// ECDSA over NIST P-384 with SHA-384; the lint says why not.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// RSASSA-PSS with SHA-256, 3,072 bits; the lint says why not.
    #[serde(rename = "rsa-pss-3072")]
    RsaPss3072,
}

impl KeyKind {
    /// As plans write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::RsaPss3072 => "rsa-pss-3072",
        }
    }

    /// The kind as the core knows it.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::EcdsaP256 => Algorithm::EcdsaP256,
            Self::Ed25519 => Algorithm::Ed25519,
            Self::EcdsaP384 => Algorithm::EcdsaP384,
            Self::RsaPss3072 => Algorithm::RsaPss,
        }
    }
}

/// A policy that allows one answer today, and is written down so that people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Always {
    /// Each time.
    Always,
}

/// Whether a key without a valid attestation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attestation {
    /// It is refused.
    Required,
    /// It is taken, and shown as not attested everywhere.
    Optional,
}

/// Who sits where. Every handle names a holder or one of `people`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seats {
    /// Runs the ceremony.
    pub conductor: Handle,
    /// Records, and alone closes exceptions. Never the conductor.
    pub scribe: Handle,
    /// Watch, and may co-sign the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Handle>,
}

/// Somebody who gets a root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The short name, used in file names.
    pub handle: Handle,
    /// The name in full. Clean text.
    pub name: String,
    /// The organisation, for the diversity lint. Clean text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Two capital letters (ISO 3166-1 alpha-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The day the term ends.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "parse::optional_day")]
    pub term_ends: Option<Timestamp>,
    /// The fingerprint of the key that this holder has in the root before, and keeps. Without it a key is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The token that is expected.
    pub token: PlannedToken,
    /// An SSH public key (`ssh-ed25519 AAAA…`) that signs what the person states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
}

/// A key of the root before that the new root no longer names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Whose it is: the short name; a holder's, where that person gets a new key.
    pub handle: Handle,
    /// The name in full. Clean text.
    pub name: String,
    /// The fingerprint of the key.
    pub key: Digest,
    /// Whether it signs once more, for the threshold of the root before. A key that is lost does not; one that was stolen
    /// should not.
    pub signs: bool,
    /// The token it is on.
    pub token: PlannedToken,
}

/// The token a holder is expected to bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedToken {
    /// What it is.
    pub kind: TokenKind,
    /// The serial number printed on it, where it is known beforehand; a text for a PKCS#11 token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// YubiKey: the slot of the key, where it is not 9c.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// PKCS#11: the module's library by absolute path, or its name in the configuration of p11-kit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// PKCS#11: the token's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// PKCS#11: the kind of key, where it is not that of [`TokenPolicy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyKind>,
    /// PKCS#11: the id (`CKA_ID`, hexadecimal) of a key that was made before; without it a key is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// PKCS#11: that this token cannot attest its key, and what its module claims is taken instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Claimed>,
}

/// What stands in for an attestation, written down so that people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claimed {
    /// The module's own claim, which proves nothing.
    Claimed,
}

impl PlannedToken {
    /// The slot of the key, on a token that has slots.
    pub fn slot(&self) -> Slot {
        self.slot.unwrap_or(Slot::SIGNATURE)
    }

    /// A token of this kind, of which nothing else is known.
    pub fn of(kind: TokenKind) -> Self {
        Self {
            kind,
            serial: None,
            slot: None,
            module: None,
            label: None,
            algorithm: None,
            key: None,
            attestation: None,
        }
    }
}

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A YubiKey, through PIV.
    Yubikey,
    /// Anything with a PKCS#11 module.
    Pkcs11,
    /// A seeded token of software, for rehearsals only.
    Virtual,
}

impl TokenKind {
    /// Whether the vendor vouches for a key made on such a token. Where it does not, there is a claim of its module.
    pub fn attests(self) -> bool {
        !matches!(self, Self::Pkcs11)
    }

    /// Whether a ceremony replaces the secrets of such a token. Those of a PKCS#11 token are set with its own tools.
    pub fn is_provisioned_here(self) -> bool {
        !matches!(self, Self::Pkcs11)
    }
}

/// Somebody who has a seat and no root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The short name.
    pub handle: Handle,
    /// The name in full. Clean text.
    pub name: String,
    /// An SSH public key that signs what the person states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
}

impl Kind {
    /// The name in plans and in what is signed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Renew => "renew",
            Self::Rotate => "rotate",
            Self::Recover => "recover",
        }
    }
}

impl Plan {
    /// The frozen form: canonical JSON, whose SHA-256 opens the record.
    pub fn to_canonical(&self) -> Vec<u8> {
        crate::canonical::of(self)
    }

    /// The kind of key that this token makes or holds.
    pub fn key_kind(&self, token: &PlannedToken) -> KeyKind {
        token.algorithm.unwrap_or(self.tokens.algorithm)
    }

    /// The folder of the record, relative to the repository: `ceremony/<day>-<name>`.
    pub fn record_dir(&self) -> String {
        alloc::format!("ceremony/{}-{}", self.day.day(), self.name)
    }

    /// The holder with this handle.
    pub fn holder(&self, handle: &Handle) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.handle == *handle)
    }

    /// The old key of this handle, where it signs once more.
    pub fn signing_old(&self, handle: &Handle) -> Option<&Leaving> {
        self.leaving.iter().find(|leaving| leaving.handle == *handle && leaving.signs)
    }

    /// The names of the online keys that are needed: those of the new root, and those that sign once more.
    pub fn online_names(&self) -> BTreeSet<&Handle> {
        let roles = [&self.snapshot, &self.timestamp];
        roles.into_iter().flat_map(|role| [Some(&role.key), role.before.as_ref()]).flatten().collect()
    }

    /// The full name of a holder, of whoever leaves, or of one of the people; the handle itself for nobody known.
    pub fn name_of<'a>(&'a self, handle: &'a Handle) -> &'a str {
        let holder = self.holders.iter().find(|h| h.handle == *handle).map(|h| h.name.as_str());
        let leaving = self.leaving.iter().find(|l| l.handle == *handle).map(|l| l.name.as_str());
        let person = self.people.iter().find(|p| p.handle == *handle).map(|p| p.name.as_str());
        holder.or(leaving).or(person).unwrap_or(handle.as_str())
    }

    /// The SSH public key of a holder or of one of the people.
    pub fn ssh_of(&self, handle: &Handle) -> Option<&str> {
        let holder = self.holders.iter().find(|h| h.handle == *handle).and_then(|h| h.ssh.as_deref());
        let person = self.people.iter().find(|p| p.handle == *handle).and_then(|p| p.ssh.as_deref());
        holder.or(person)
    }
}

/// Reads `major.minor.patch`, each 0 to 255 without leading zeros.
pub fn read_firmware(text: &str) -> Option<(u8, u8, u8)> {
    let mut parts = text.split('.').map(|part| part.parse::<u8>().ok().filter(|n| alloc::format!("{n}") == part));
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}
