//! Events: what was done, one small canonical JSON file each.
//!
//! Rules:
//! 1. An event names the digests of the events it follows: its author's previous one and every head of the other
//!    authors that its author had seen. Two branches merge by union of files.
//! 2. It names the SHA-256 of every file it establishes, by path from the top of the repository.
//! 3. It names the SHA-256 of the SSH signature beside each event it follows, where one lies there: see `beside`.
//! 4. Its file is the canonical JSON of [`Event`] and nothing else, at
//!    `log/<author>/<n, four digits>-<step>-<digest, 16 hex>.json`; bytes in any other form are refused.

use crate::digest::Digest;
use crate::serial::Serial;
use crate::text::Handle;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The only format of events there is.
pub const FORMAT: u32 = 1;

/// One entry in the log of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// [`FORMAT`].
    pub format: u32,
    /// SHA-256 of `plan.json`.
    pub plan: Digest,
    /// Who sat at the machine that wrote this; one chain per author.
    pub author: Handle,
    /// The place in the author's chain, from 1.
    pub n: u32,
    /// The events this one follows.
    pub after: BTreeSet<Digest>,
    /// The time stated. Never before that of an event it follows.
    pub time: Timestamp,
    /// The step of the ceremony.
    pub step: StepId,
    /// Who acted.
    pub acted: Handle,
    /// Who checked, as stated.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub checked: BTreeSet<Handle>,
    /// What was done.
    pub deed: Deed,
    /// SHA-256 of every file established, by path from the top of the repository.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
    /// SHA-256 of the SSH signature beside an event it follows, by the digest of that event. No signature, no entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signatures: BTreeMap<Digest, Digest>,
}

/// The acts of a ceremony, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// Who is here, the time, the plan and the program.
    Open,
    /// Each holder's token and key.
    Keys,
    /// The metadata is built, linted and tried with throw-away keys.
    Propose,
    /// The metadata is looked at and its digest read aloud.
    Review,
    /// Each holder signs.
    Sign,
    /// Signatures become metadata.
    Assemble,
    /// Two clients refresh to the end.
    Verify,
    /// The result is committed and tagged.
    Publish,
    /// Exceptions are read back, and the record is signed.
    Close,
}

/// The name of a step: `<act>.<what>` or `<act>.<holder>.<what>`. People say it; it is part of file names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The step `<act>.<what>`.
    pub fn new(act: Act, what: &str) -> Self {
        Self(format!("{act}.{what}"))
    }

    /// The step `<act>.<holder>.<what>`.
    pub fn of(act: Act, holder: &Handle, what: &str) -> Self {
        Self(format!("{act}.{holder}.{what}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name has the form of a step: two or three parts of `[a-z0-9-]` with dots between them, 80 characters at
    /// most, the first an act.
    pub fn is_well_formed(&self) -> bool {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let parts = self.0.split('.');
        let known = parts.clone().all(|part| !part.is_empty() && part.bytes().all(letter));
        known && matches!(parts.count(), 2 | 3) && self.0.len() <= 80 && self.act().is_some()
    }

    /// The holder in the middle of the name, if it has one.
    pub fn holder(&self) -> Option<&str> {
        let mut parts = self.0.split('.');
        let holder = parts.nth(1)?;
        parts.next().map(|_| holder)
    }

    /// The act it belongs to.
    pub fn act(&self) -> Option<Act> {
        let first = self.0.split('.').next()?;
        Act::ALL.into_iter().find(|act| act.to_string() == first)
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::escape(&self.0))
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Act {
    /// All acts, in order.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::Keys,
        Self::Propose,
        Self::Review,
        Self::Sign,
        Self::Assemble,
        Self::Verify,
        Self::Publish,
        Self::Close,
    ];

    /// What the act is for, as a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Open => "Opening",
            Self::Keys => "Tokens and keys",
            Self::Propose => "Composing the root",
            Self::Review => "Review",
            Self::Sign => "Signing",
            Self::Assemble => "Assembly",
            Self::Verify => "Verification",
            Self::Publish => "Publication",
            Self::Close => "Closing",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Keys => "keys",
            Self::Propose => "propose",
            Self::Review => "review",
            Self::Sign => "sign",
            Self::Assemble => "assemble",
            Self::Verify => "verify",
            Self::Publish => "publish",
            Self::Close => "close",
        })
    }
}

/// What was done. Irreversible steps are two deeds: an intent before the card command, the done after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Deed {
    /// The roll was called. Holders who are not present take no part.
    Roll {
        /// Everybody who is here.
        present: BTreeSet<Handle>,
        /// Every record that is over, by its folder, with the digest of all it holds: see `earlier`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        earlier: BTreeMap<String, Digest>,
    },
    /// The time was read in two places.
    Clock {
        /// What the second place said, as typed.
        heard: String,
        /// Where the second time came from, as typed.
        source: String,
    },
    /// The digests of plan and program were read aloud, and a listener gave back the words asked for.
    Read {
        /// The version of the program.
        program: String,
        /// SHA-256 of the program's file; nothing in a rehearsal with a fixed clock, whose record must not depend on the build.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program_digest: Option<Digest>,
        /// Who listened.
        listener: Handle,
    },
    /// A token was identified, and shown to be the one that is expected.
    Token {
        /// Whose.
        holder: Handle,
        /// What it says of itself.
        token: TokenFacts,
    },
    /// The token's PIN, PUK and management key were replaced.
    Provisioned {
        /// Whose.
        holder: Handle,
        /// Which token.
        serial: Serial,
    },
    /// A key is about to be generated.
    GenerateIntent {
        /// Whose.
        holder: Handle,
        /// Which token.
        serial: Serial,
        /// Which slot, such as `9c`; on a PKCS#11 token the label that the key gets, or the id of the one that is there.
        slot: String,
    },
    /// A key was generated. The files are its public key and attestation.
    Generated {
        /// Whose.
        holder: Handle,
        /// Which token.
        serial: Serial,
        /// The key fingerprint.
        fingerprint: Digest,
    },
    /// Somebody at a machine of their own heard the holder read the fingerprint, and typed the words asked for.
    Heard {
        /// Whose key.
        holder: Handle,
        /// Which key.
        fingerprint: Digest,
    },
    /// Other people heard the holder read the fingerprint, and typed the words asked for.
    Vouched {
        /// Whose key.
        holder: Handle,
        /// Which key.
        fingerprint: Digest,
        /// Who heard it.
        by: BTreeSet<Handle>,
    },
    /// The metadata was built, passed every lint, and its twin was accepted. The files are the exact bytes.
    Proposed {
        /// The payload digest of the root.
        root: Digest,
        /// The payload digest of the targets.
        targets: Digest,
        /// Which clients accepted the twin, with their versions.
        twin: Vec<String>,
    },
    /// The review page was read aloud, and a listener gave back the words asked for.
    Reviewed {
        /// The payload digest of the root.
        root: Digest,
        /// The payload digest of the targets.
        targets: Digest,
        /// Who listened.
        listener: Handle,
    },
    /// A holder consented and is about to sign.
    SignIntent {
        /// Whose key.
        holder: Handle,
        /// Which token.
        serial: Serial,
        /// The payload digest of the root.
        root: Digest,
        /// The payload digest of the targets.
        targets: Digest,
        /// Whether the holder gave words read from another machine.
        second_machine: bool,
        /// Whether it is with the old key, which the new root no longer names.
        #[serde(default, skip_serializing_if = "is_false")]
        old: bool,
    },
    /// A holder signed root and targets. The files are the signatures.
    Signed {
        /// Whose key.
        holder: Handle,
        /// The key fingerprint.
        fingerprint: Digest,
        /// Whether it is with the old key, which the new root no longer names.
        #[serde(default, skip_serializing_if = "is_false")]
        old: bool,
    },
    /// The signatures became metadata. The files are those of `root/`.
    Assembled {
        /// The payload digest of the root.
        root: Digest,
        /// The version of the timestamp, after which the online role goes on by itself; 1 where it is not stated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<u64>,
    },
    /// Clients refreshed from the assembled files to the end.
    Verified {
        /// Which clients, with their versions.
        clients: Vec<String>,
    },
    /// The result was published under a tag.
    Published {
        /// The name of the tag.
        tag: String,
    },
    /// The exceptions were read back and accepted by the scribe.
    ReadBack {
        /// How many there were.
        exceptions: u32,
    },
    /// The record was rendered and closed. The files are its pages.
    Closed {
        /// The version of the program that rendered them.
        program: String,
    },
    /// Something did not go as the script says.
    Exception {
        /// The number, from 1 for each author, as read aloud.
        number: u32,
        /// The named check it stands for, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<String>,
        /// What happened.
        what: String,
        /// What was done about it.
        remedy: String,
        /// Who approved going on.
        approved: Handle,
    },
    /// A holder takes no further part.
    Left {
        /// Who.
        holder: Handle,
        /// Why.
        reason: String,
        /// Whether it is the old key, which the new root no longer names, that signs no more.
        #[serde(default, skip_serializing_if = "is_false")]
        old: bool,
    },
    /// The ceremony was abandoned below quorum. What was signed stays, marked defunct.
    Aborted {
        /// Why.
        reason: String,
        /// How many signatures the payload lacks to be complete, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<u32>,
    },
    /// A fork was found, and this branch of it was chosen.
    Chosen {
        /// The events that exclude each other.
        fork: BTreeSet<Digest>,
        /// The one that counts.
        chosen: Digest,
    },
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFacts {
    /// What kind of token.
    pub kind: crate::plan::TokenKind,
    /// The serial number.
    pub serial: Serial,
    /// The model, as the token names it.
    pub model: String,
    /// `major.minor.patch`; of a PKCS#11 token `major.minor`, as its module says.
    pub firmware: String,
    /// The label of a PKCS#11 token, as its module says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Event {
    /// The bytes of the file.
    pub fn to_canonical(&self) -> Vec<u8> {
        crate::canonical::of(self)
    }

    /// The path of the file, relative to the record.
    pub fn path(&self) -> String {
        let digest = Digest::of(&self.to_canonical());
        format!("log/{}/{:04}-{}-{}.json", self.author, self.n, self.step, digest.short())
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Bytes that are not the canonical JSON of an event, duplicate or unknown fields, another format, a step whose
    /// name is not well formed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAnEvent> {
        crate::json::parse(bytes).map_err(|error| NotAnEvent(error.to_string()))?;
        let event: Self = serde_json::from_slice(bytes).map_err(|error| NotAnEvent(error.to_string()))?;
        if event.format != FORMAT {
            return Err(NotAnEvent(format!("format {} is not known; this program knows {FORMAT}", event.format)));
        }
        if !event.step.is_well_formed() {
            return Err(NotAnEvent("the step has no known act, or its name is not well formed".to_string()));
        }
        if event.to_canonical() != bytes {
            return Err(NotAnEvent("the bytes are not in canonical form".to_string()));
        }
        Ok(event)
    }
}

/// Bytes that are no event. The text is escaped where it quotes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event: {}", crate::text::escape(.0))]
pub struct NotAnEvent(String);
