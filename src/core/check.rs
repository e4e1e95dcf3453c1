//! The named checks, and what they report.
//!
//! Every rule has a name that people can say. For every name there is a paragraph in `docs/checks.md`.

use crate::page::Text;
use alloc::string::String;
use core::fmt;

macro_rules! checks {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// A named check.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check { $($(#[doc = $doc])* $variant,)* }

        impl Check {
            /// Every check there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as people say it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The rule in a sentence.
            pub fn rule(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

checks! {
    // Metadata, as bytes and as fields.
    /// A file is strict JSON: no name twice, no fractions, bounded depth and size, nothing after it.
    JsonStrict = "JSON-STRICT",
    /// Metadata has the fields of its type, in the forms of the TUF specification.
    MetaForm = "META-FORM",
    /// `_type` is the role that the file is for.
    MetaType = "META-TYPE",
    /// `spec_version` is `1.MINOR.PATCH`.
    SpecVersion = "SPEC-VERSION",
    /// `expires` is written `YYYY-MM-DDTHH:MM:SSZ`.
    ExpiresForm = "EXPIRES-FORM",
    /// Metadata has not expired.
    Expired = "EXPIRED",
    /// Text that is signed is NFC, of one script, without hidden characters.
    TextClean = "TEXT-CLEAN",
    // Keys and signatures.
    /// A key is of a kind that is understood, in an encoding that is not weak.
    KeyForm = "KEY-FORM",
    /// A public key is PEM (or raw hexadecimal for Ed25519), not a hex-encoded point.
    KeyEncoding = "KEY-ENCODING",
    /// The keytype of a P-256 key is `ecdsa`.
    KeyType = "KEY-TYPE",
    /// A key id is the SHA-256 of the canonical form of the whole key.
    KeyId = "KEY-ID",
    /// One key has one key id.
    KeyDistinct = "KEY-DISTINCT",
    /// A holder's key signs root and targets and nothing else.
    KeyRoles = "KEY-ROLES",
    /// Published metadata carries no empty signature.
    SigEmpty = "SIG-EMPTY",
    /// A signature is by a key of the role, valid, and in its one form.
    SigValid = "SIG-VALID",
    /// Nobody signs twice under one key id.
    SigRepeated = "SIG-REPEATED",
    /// A threshold is at least 1 and at most the number of different keys.
    RoleThreshold = "ROLE-THRESHOLD",
    // The chain of roots and the trusted set.
    /// A root is signed by a quorum of its own keys.
    RootQuorum = "ROOT-QUORUM",
    /// A root is signed by a quorum of its predecessor's keys.
    RootQuorumOld = "ROOT-QUORUM-OLD",
    /// A root's version is its file's number, one more than its predecessor's.
    RootVersion = "ROOT-VERSION",
    /// The numbered roots begin at 1 and have no gap.
    RootGap = "ROOT-GAP",
    /// There is one validly signed root of each version.
    RootRival = "ROOT-RIVAL",
    /// Timestamp, snapshot or targets are signed by a quorum of the keys that the root gives the role.
    MetaQuorum = "META-QUORUM",
    /// A file has the version, length and hashes that the file above it promises.
    MetaHash = "META-HASH",
    /// No version goes back.
    MetaRollback = "META-ROLLBACK",
    /// A file that the set needs is there.
    MetaMissing = "META-MISSING",
    /// There is one validly signed file of each role and version.
    MetaRival = "META-RIVAL",
    /// Metadata is renewed before it expires.
    ExpiryMargin = "EXPIRY-MARGIN",
    /// The main line of a history only grows, and what it published under a number stays.
    HistoryRewrite = "HISTORY-REWRITE",
    // The plan.
    /// A plan is strict TOML without unknown fields.
    PlanForm = "PLAN-FORM",
    /// A threshold fits the holders.
    PlanThreshold = "PLAN-THRESHOLD",
    /// More holders are invited than must sign.
    PlanMargin = "PLAN-MARGIN",
    /// No organisation and no country can reach a threshold alone.
    PlanDiversity = "PLAN-DIVERSITY",
    /// Metadata expires after the ceremony, within sensible horizons, online roles before offline ones.
    PlanExpiry = "PLAN-EXPIRY",
    /// Terms do not end before the root expires.
    PlanTerm = "PLAN-TERM",
    /// Seats name people who are there; the scribe is not the conductor.
    PlanSeats = "PLAN-SEATS",
    /// Handles, names and serials are different for different people.
    PlanPeople = "PLAN-PEOPLE",
    /// Token rules are at least as strong as the defaults.
    PlanToken = "PLAN-TOKEN",
    /// A plan that continues a root names it, why, and what becomes of each of its keys.
    PlanFollows = "PLAN-FOLLOWS",
    /// Enough holders of the root before sign to meet its threshold.
    PlanQuorumOld = "PLAN-QUORUM-OLD",
    // Attestations.
    /// An attestation chains to a pinned anchor.
    AttChain = "ATT-CHAIN",
    /// The attested key is the published key and the key in the root.
    AttBound = "ATT-BOUND",
    /// The attested serial is the token's.
    AttSerial = "ATT-SERIAL",
    /// The attested slot is the signing slot.
    AttSlot = "ATT-SLOT",
    /// The attested PIN and touch policies are those of the plan.
    AttPolicy = "ATT-POLICY",
    /// The attested firmware is at least the plan's minimum.
    AttFirmware = "ATT-FIRMWARE",
    /// No published weakness concerns the attested firmware and key.
    AttAdvisory = "ATT-ADVISORY",
    /// Attestation certificates are DER, in the form their vendor documents.
    AttForm = "ATT-FORM",
    /// The attestation of a rehearsal is never accepted in production.
    AttRehearsal = "ATT-REHEARSAL",
    /// Every holder's key has an attestation that holds.
    AttMissing = "ATT-MISSING",
    // Claims, where nothing attests.
    /// A claim is canonical JSON, and is there where a token cannot attest.
    ClaimForm = "CLAIM-FORM",
    /// A claim names the key and the token that the record names.
    ClaimBound = "CLAIM-BOUND",
    /// A module claims that the key never leaves its token and only signs.
    ClaimKey = "CLAIM-KEY",
    // The record.
    /// An event is canonical JSON, named for its content.
    LogForm = "LOG-FORM",
    /// Each event follows events that are there; each author's chain counts from 1 without a gap.
    LogChain = "LOG-CHAIN",
    /// No author numbers two events alike, and no two events exclude each other.
    LogFork = "LOG-FORK",
    /// No event is earlier than one it follows.
    LogTime = "LOG-TIME",
    /// An event is one that could follow, by somebody who could do it.
    LogStep = "LOG-STEP",
    /// An event's plan is the record's plan.
    LogPlan = "LOG-PLAN",
    /// An event that a person's SSH key should vouch for is signed by it.
    LogSigned = "LOG-SIGNED",
    /// Every file of the record is named by an event, and is the file that was named.
    RecordFiles = "RECORD-FILES",
    /// The pages of the record are what its plan and events render to.
    RecordPages = "RECORD-PAGES",
    /// The record is closed.
    RecordClosed = "RECORD-CLOSED",
    /// A record names every record that was over before it, with the digest of all that it holds.
    RecordEarlier = "RECORD-EARLIER",
    /// No two names of files differ only in case or in Unicode form.
    NameTwin = "NAME-TWIN",
    /// The record's folder is named for its plan.
    RecordName = "RECORD-NAME",
    /// Every file of `root/` is named by an event, and is the file that was named.
    RootFiles = "ROOT-FILES",
    /// The root names the plan and the events that led to its proposal.
    RootRecord = "ROOT-RECORD",
    /// A signature file signs the payload it names, with the key it is named for.
    SigPayload = "SIG-PAYLOAD",
    // Branches of people who sit elsewhere.
    /// A holder's branch adds the holder's own events, keys and signatures, and nothing else.
    BranchForeign = "BRANCH-FOREIGN",
    /// What was taken from a branch, or given to it, stays in it.
    BranchRewrite = "BRANCH-REWRITE",
    /// A key under one name has one set of bytes, and is nobody else's.
    BranchKey = "BRANCH-KEY",
    /// What a branch signs is what was proposed.
    BranchPayload = "BRANCH-PAYLOAD",
    /// A merge holds what its parents hold, and nothing else.
    MergeUnion = "MERGE-UNION",
    /// An abandoned ceremony with signatures stands in the record of the next one for that version.
    RivalPossible = "RIVAL-POSSIBLE",
    /// The proposed payload is what plan and record give.
    ProposalBuilt = "PROPOSAL-BUILT",
    /// Every step that cannot be undone has its intent and its end.
    IntentDone = "INTENT-DONE",
    /// A rehearsal is verified only as a rehearsal, and production only as production.
    Rehearsal = "REHEARSAL",
    /// What is verified is what is known from elsewhere.
    Anchor = "ANCHOR",
    /// The working tree is the newest commit.
    WorkingTree = "WORKING-TREE",
    /// A quorum of holders read the digest from another machine.
    ReviewOneMachine = "REVIEW-ONE-MACHINE",
    /// Two other people vouched for each key.
    EnrolUnvouched = "ENROL-UNVOUCHED",
    /// Nothing went differently from the script without being written down and accepted.
    Exceptions = "EXCEPTIONS",
    // Independent clients.
    /// Our own client refreshes to the end.
    ClientOurs = "CLIENT-OURS",
    /// An independent client refreshes to the end.
    ClientOther = "CLIENT-OTHER",
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For information.
    Note,
    /// An old form, accepted by name; refused when strict.
    Lenient,
    /// Unwise, but not refused.
    Warning,
    /// Refused.
    Refused,
}

/// What a check reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// How much it weighs.
    pub level: Level,
    /// The file, role or person it is about; escaped already where it is foreign.
    pub subject: String,
    /// What was found.
    pub what: Text,
    /// What to do now, where there is something to do.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding of this level.
    pub fn new(level: Level, check: Check, subject: impl Into<String>, what: impl Into<Text>) -> Self {
        Self { check, level, subject: subject.into(), what: what.into(), hint: None }
    }

    /// With what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.check, self.subject, self.what.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_sayable_and_different() {
        let names: BTreeSet<_> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        for name in names {
            assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'), "{name}");
        }
        assert!(Check::ALL.iter().all(|check| check.rule().trim().ends_with('.')));
    }
}
