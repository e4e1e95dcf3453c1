//! What a verification found: the headline, the findings, and what was and was not checked.
//!
//! Rules:
//! 1. One finding that refuses is `REFUSED`, whatever else holds.
//! 2. Without an anchor nothing is said about identity: whatever lies in one clone can be consistent and still be somebody
//!    else's. `VERIFIED` means that a payload digest from elsewhere is that of a root of the chain.
//! 3. What is weaker than our defaults stands in the headline.
//! 4. Foreign text in a report is escaped already.

use crate::attestation::AdvisoryName;
use crate::check::{Finding, Level};
use crate::digest::Digest;
use crate::json::Value;
use crate::key::Algorithm;
use crate::serial::Serial;
use crate::time::Timestamp;
use crate::words;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What was found of a whole trust root.
#[derive(Clone, Debug)]
pub struct Report {
    /// The end of it.
    pub verdict: Verdict,
    /// Whether it is a rehearsal's, and was asked for as one.
    pub rehearsal: bool,
    /// What is weaker than our defaults or not as the script says, a few words each; part of the headline.
    pub caveats: Vec<String>,
    /// Everything that was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
    /// What was checked, a line each.
    pub checked: Vec<String>,
    /// What was not checked, a line each.
    pub not_checked: Vec<String>,
    /// What the trust root is.
    pub facts: Facts,
    /// Lines for a shell in the top folder of the repository, which check the same with other programs. Lines that begin
    /// with `#` explain.
    pub equivalents: Vec<String>,
}

/// The end of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Something does not hold.
    Refused,
    /// Everything fits together; whose it is was not asked.
    Consistent,
    /// Everything fits together, and is what is known from elsewhere.
    Verified,
}

impl Verdict {
    /// The name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Consistent => "consistent",
            Self::Verified => "verified",
        }
    }

    /// The headline of a report: the mark of a rehearsal, the verdict with how many findings refuse or the version of the root
    /// that is the anchor's, and what else is worth a headline.
    pub(crate) fn headline(self, rehearsal: bool, refused: usize, anchored: Option<u64>, caveats: &[String]) -> String {
        let mark = if rehearsal { "REHEARSAL, nothing here is to be trusted: " } else { "" };
        let verdict = match (self, anchored) {
            (Self::Refused, _) => format!("REFUSED ({refused} {})", if refused == 1 { "finding" } else { "findings" }),
            (Self::Consistent, _) => "CONSISTENT, IDENTITY NOT CHECKED".to_string(),
            (Self::Verified, Some(version)) => format!("VERIFIED, anchored at root {version}"),
            (Self::Verified, None) => "VERIFIED".to_string(),
        };
        let caveats = if caveats.is_empty() { String::new() } else { format!("; {}", caveats.join("; ")) };
        format!("{mark}{verdict}{caveats}")
    }
}

/// What speaks for a holder's key, besides the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Nothing that holds.
    Nothing,
    /// A PKCS#11 module says where the key is; nobody vouches for the module.
    Claimed,
    /// The token attested it, and its vendor vouches for the token.
    Attested,
}

/// What speaks for a holder's key, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How much it is worth.
    pub evidence: Evidence,
    /// The firmware that was attested, `major, minor, patch`.
    pub firmware: Option<(u8, u8, u8)>,
    /// The published weaknesses that concern the key, and that the plan waives by name.
    pub waived: Vec<AdvisoryName>,
}

impl Proof {
    /// That there is none.
    pub const NONE: Self = Self { evidence: Evidence::Nothing, firmware: None, waived: Vec::new() };
}

/// What the trust root is.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The published roots, by version.
    pub roots: Vec<RootLine>,
    /// The version that the anchor is of.
    pub anchored: Option<u64>,
    /// Timestamp, snapshot and targets: role, version, expiry.
    pub metadata: Vec<(String, u64, Timestamp)>,
    /// The holders of every record, in the order of records and plans.
    pub holders: Vec<HolderLine>,
    /// The records.
    pub records: Vec<RecordLine>,
}

/// A published root.
#[derive(Clone, Debug)]
pub struct RootLine {
    /// The version.
    pub version: u64,
    /// The payload digest: what is read aloud, and what an anchor is.
    pub payload: Digest,
    /// When it expires.
    pub expires: Timestamp,
    /// How many keys must sign.
    pub threshold: usize,
    /// How many different keys the role root has.
    pub keys: usize,
    /// How many of its own keys signed.
    pub signed: usize,
}

/// A holder of a record.
#[derive(Clone, Debug)]
pub struct HolderLine {
    /// The folder of the record.
    pub record: String,
    /// The handle.
    pub handle: String,
    /// The name in full; escaped.
    pub name: String,
    /// The key fingerprint, once there is a key.
    pub fingerprint: Option<Digest>,
    /// The serial number of the token, as the record has it.
    pub serial: Option<Serial>,
    /// The kind of key, once there is one.
    pub algorithm: Option<Algorithm>,
    /// What speaks for the key.
    pub proof: Proof,
    /// Whether both signatures are there and verify.
    pub signed: bool,
}

impl HolderLine {
    /// The firmware that was attested, as people write it.
    pub fn firmware(&self) -> Option<String> {
        self.proof.firmware.map(|(major, minor, patch)| format!("{major}.{minor}.{patch}"))
    }

    /// What speaks for the key, in words: `attested (ECDSA P-256, firmware 5.7.4)`.
    pub fn worth(&self) -> String {
        let worth = match self.proof.evidence {
            Evidence::Attested => "attested",
            Evidence::Claimed => "CLAIMED by its PKCS#11 module, not attested",
            Evidence::Nothing => "NOT ATTESTED",
        };
        let kind = self.algorithm.map(|kind| kind.to_string());
        let firmware = self.firmware().map(|firmware| format!("firmware {firmware}"));
        let waived = self.proof.waived.iter().map(|name| format!("{name} waived"));
        let more: Vec<String> = kind.into_iter().chain(firmware).chain(waived).collect();
        if more.is_empty() { worth.to_string() } else { format!("{worth} ({})", more.join(", ")) }
    }
}

/// A record.
#[derive(Clone, Debug)]
pub struct RecordLine {
    /// The folder.
    pub dir: String,
    /// The digest of the plan.
    pub plan: Digest,
    /// How many events count.
    pub events: usize,
    /// `closed`, `open`, `abandoned` or `unreadable`.
    pub state: &'static str,
}

impl Report {
    /// Whether nothing is refused.
    pub fn accepted(&self) -> bool {
        self.verdict != Verdict::Refused
    }

    /// The headline, in one line.
    pub fn headline(&self) -> String {
        let refused = self.findings.iter().filter(|finding| finding.level == Level::Refused).count();
        self.verdict.headline(self.rehearsal, refused, self.facts.anchored, &self.caveats)
    }

    /// The report for programs: names as here, digests in hexadecimal, times as in metadata.
    pub fn to_json(&self) -> Value {
        Value::from([
            ("verdict", self.verdict.name().into()),
            ("headline", self.headline().into()),
            ("rehearsal", Value::Bool(self.rehearsal)),
            ("caveats", lines_json(&self.caveats)),
            ("findings", findings_json(&self.findings)),
            ("checked", lines_json(&self.checked)),
            ("not_checked", lines_json(&self.not_checked)),
            ("facts", self.facts.to_json()),
            ("equivalents", lines_json(&self.equivalents)),
        ])
    }
}

impl Facts {
    fn to_json(&self) -> Value {
        let number = |number: usize| Value::from(number as u64);
        let root = |root: &RootLine| {
            Value::from([
                ("version", root.version.into()),
                ("payload_digest", root.payload.to_string().into()),
                ("payload_words", words::words(&root.payload).join(" ").into()),
                ("expires", root.expires.to_string().into()),
                ("threshold", number(root.threshold)),
                ("keys", number(root.keys)),
                ("signed", number(root.signed)),
            ])
        };
        let role = |(role, version, expires): &(String, u64, Timestamp)| {
            let (version, expires) = ((*version).into(), expires.to_string().into());
            Value::from([("role", role.as_str().into()), ("version", version), ("expires", expires)])
        };
        let holder = |holder: &HolderLine| {
            let fingerprint = holder.fingerprint.map_or(Value::Null, |digest| digest.to_string().into());
            Value::from([
                ("record", holder.record.as_str().into()),
                ("handle", holder.handle.as_str().into()),
                ("name", holder.name.as_str().into()),
                ("fingerprint", fingerprint),
                ("serial", holder.serial.map_or(Value::Null, |serial| serial.to_value())),
                ("algorithm", holder.algorithm.map_or(Value::Null, |kind| kind.to_string().into())),
                ("attested", Value::Bool(holder.proof.evidence == Evidence::Attested)),
                ("claimed", Value::Bool(holder.proof.evidence == Evidence::Claimed)),
                ("firmware", holder.firmware().map_or(Value::Null, Value::Str)),
                ("waived", Value::Arr(holder.proof.waived.iter().map(|name| name.to_string().into()).collect())),
                ("signed", Value::Bool(holder.signed)),
            ])
        };
        let record = |record: &RecordLine| {
            Value::from([
                ("dir", record.dir.as_str().into()),
                ("plan_digest", record.plan.to_string().into()),
                ("events", number(record.events)),
                ("state", record.state.into()),
            ])
        };
        Value::from(BTreeMap::from([
            ("roots".to_string(), Value::Arr(self.roots.iter().map(root).collect())),
            ("anchored".to_string(), self.anchored.map_or(Value::Null, Value::from)),
            ("metadata".to_string(), Value::Arr(self.metadata.iter().map(role).collect())),
            ("holders".to_string(), Value::Arr(self.holders.iter().map(holder).collect())),
            ("records".to_string(), Value::Arr(self.records.iter().map(record).collect())),
        ]))
    }
}

/// Lines for programs.
pub(crate) fn lines_json(lines: &[String]) -> Value {
    Value::Arr(lines.iter().cloned().map(Value::Str).collect())
}

/// Findings for programs.
pub fn findings_json(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        let level = match finding.level {
            Level::Note => "note",
            Level::Lenient => "lenient",
            Level::Warning => "warning",
            Level::Refused => "refused",
        };
        Value::from([
            ("check", finding.check.name().into()),
            ("level", level.into()),
            ("subject", finding.subject.as_str().into()),
            ("what", Value::Str(finding.what.line())),
            ("hint", finding.hint.clone().map_or(Value::Null, Value::Str)),
        ])
    };
    Value::Arr(findings.iter().map(one).collect())
}
