//! What was found in the history of a repository that others made.
//!
//! Rules:
//! 1. One finding that refuses is `REFUSED`. Trouble that the line itself has mended since is a warning, and stands in the
//!    headline.
//! 2. Every finding names the commits by their full ids, the paths, and the digests of the files.
//! 3. Foreign text in a report is escaped already.

use super::past::{Holder, Past, Stray};
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::json::Value;
use crate::text::escape;
use crate::time::Timestamp;
use crate::verify::report::{Verdict, findings_json, lines_json};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The whole report.
#[derive(Clone, Debug)]
pub struct HistoryReport {
    /// The end of it.
    pub verdict: Verdict,
    /// Whether its roots are a rehearsal's, and that was asked for.
    pub rehearsal: bool,
    /// The version of the root that the anchor is of.
    pub anchored: Option<u64>,
    /// The time asked about.
    pub now: Timestamp,
    /// Everything that was found, the gravest first.
    pub findings: Vec<Told>,
    /// What was checked, a line each.
    pub checked: Vec<String>,
    /// What was not checked, a line each.
    pub not_checked: Vec<String>,
    /// What the history is.
    pub facts: Facts,
    /// Lines for a shell in the repository, which check the same with other programs.
    pub equivalents: Vec<String>,
}

/// A finding, and every place where it was seen.
#[derive(Clone, Debug)]
pub struct Told {
    /// The finding.
    pub finding: Finding,
    /// Where.
    pub seen: Vec<Seen>,
    /// How many more places there are than are named.
    pub more: usize,
}

/// A file in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it is in a commit, or a reference names it otherwise.
    pub holder: Holder,
    /// The full id of the commit, or of the tree or the file that a reference names by itself.
    pub commit: String,
    /// The committer's time, stated.
    pub time: Timestamp,
    /// The path from the top; escaped. Empty where it is about the commit itself.
    pub path: String,
    /// The file digest, where there is one file.
    pub digest: Option<Digest>,
}

impl Seen {
    pub(super) fn at(past: &Past, moment: usize, path: &str, blob: Option<usize>) -> Self {
        let (commit, time) = past
            .moments
            .get(moment)
            .map_or_else(|| (past.head.clone(), Timestamp::EPOCH), |moment| (moment.commit.clone(), moment.time));
        let digest = blob.map(|blob| past.digest(blob));
        Self { holder: Holder::Commit, commit, time, path: escape(path), digest }
    }

    pub(super) fn stray(past: &Past, stray: &Stray) -> Self {
        Self {
            holder: stray.holder,
            commit: stray.id.clone(),
            time: stray.time,
            path: escape(&stray.path),
            digest: Some(past.digest(stray.blob)),
        }
    }

    /// When it was, what holds it and its full id, in words. What no commit holds has no time.
    pub fn place(&self) -> String {
        match self.holder {
            Holder::Commit => format!("{} commit {}", self.time, self.commit),
            other => format!("no commit, but the {} {}", other.name(), self.commit),
        }
    }
}

/// What the history is.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The newest commit of the main line.
    pub head: String,
    /// How many commits were walked, and how many of them are the main line.
    pub commits: (usize, usize),
    /// How many references were followed.
    pub references: usize,
    /// Whether the clone was cut, so that earlier commits are not here.
    pub cut: bool,
    /// The first and the last moment of the main line that changed metadata.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The folder whose newest root counts; escaped.
    pub folder: String,
    /// The chain of roots.
    pub roots: Vec<RootLife>,
    /// Every other validly signed root, of versions of the chain and beyond.
    pub rivals: Vec<Rival>,
    /// Timestamp, snapshot, targets and the delegated roles, each over time.
    pub roles: Vec<RoleLife>,
    /// Everybody who ever had a key of the role root.
    pub holders: Vec<HolderLife>,
    /// Every attestation that was found.
    pub attestations: Vec<Attestation>,
    /// How many numbered files no quorum signed, of those that lay where clients are served and that none was led to.
    pub unsigned: usize,
    /// Spans in which the published files did not fit together.
    pub breaks: Vec<Break>,
    /// How often the folder waited for the online keys, as sources do.
    pub waited: usize,
    /// How many payloads of roots never had a quorum.
    pub drafts: usize,
    /// Folders that hold the roots of somebody else; escaped.
    pub others: Vec<String>,
    /// How many different files of metadata were judged, and how many of them no quorum signed.
    pub files: (usize, usize),
}

/// A root of the chain.
#[derive(Clone, Debug)]
pub struct RootLife {
    /// The version.
    pub version: u64,
    /// The payload digest.
    pub payload: Digest,
    /// Where it first lay.
    pub seen: Option<Seen>,
    /// When it became the newest on the main line, and when the next did.
    pub from: Option<Timestamp>,
    /// Until when it was the newest; nothing if it is.
    pub until: Option<Timestamp>,
    /// When it expires.
    pub expires: Timestamp,
    /// How many keys must sign.
    pub threshold: usize,
    /// How many different keys it has.
    pub keys: usize,
    /// How many of them signed it.
    pub signed: usize,
    /// Whether nothing about it is refused.
    pub accepted: bool,
    /// How many other validly signed roots of this version there are.
    pub rivals: usize,
}

/// A validly signed root that is not the chain's.
#[derive(Clone, Debug)]
pub struct Rival {
    /// The version.
    pub version: u64,
    /// The payload digest.
    pub payload: Digest,
    /// When it expires.
    pub expires: Timestamp,
    /// How many of its own keys signed it.
    pub signed: usize,
    /// Where it first lay.
    pub seen: Seen,
}

/// A role over time.
#[derive(Clone, Debug)]
pub struct RoleLife {
    /// The name; escaped.
    pub role: String,
    /// The files that counted, in order: version, from when, until when, expiry.
    pub spans: Vec<RoleSpan>,
    /// The least time between a renewal and the expiry of what it replaced, in seconds; negative if it came too late.
    pub least_margin: Option<(i64, u64)>,
}

/// How long one version counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleSpan {
    /// The version.
    pub version: u64,
    /// When it came.
    pub from: Timestamp,
    /// When the next came; nothing if it is the newest.
    pub until: Option<Timestamp>,
    /// When it expires.
    pub expires: Timestamp,
}

/// Somebody's key.
#[derive(Clone, Debug)]
pub struct HolderLife {
    /// The key fingerprint.
    pub fingerprint: Digest,
    /// Who the metadata says it belongs to; escaped.
    pub owner: Option<String>,
    /// The versions of roots that name it.
    pub roots: Vec<u64>,
    /// How many of these it signed.
    pub signed: usize,
    /// The attestation that proves it, as a number in [`Facts::attestations`].
    pub proof: Option<usize>,
}

/// An attestation that was found.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// Where the slot's certificate first lay.
    pub seen: Seen,
    /// The serial number, firmware, slot, and the fingerprint of the attested key, if the chain holds.
    pub facts: Option<AttestationFacts>,
    /// Whether everything about it holds but what a published advisory says.
    pub holds: bool,
    /// The versions of roots that name the key.
    pub roots: Vec<u64>,
}

/// What an attestation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationFacts {
    /// The serial number.
    pub serial: u32,
    /// The firmware.
    pub firmware: (u8, u8, u8),
    /// The slot; escaped.
    pub slot: String,
    /// The fingerprint of the attested key.
    pub fingerprint: Digest,
    /// The advisories that concern it, by name.
    pub advisories: Vec<String>,
}

/// A span of the main line in which a folder did not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// When it began.
    pub from: Timestamp,
    /// When it was mended; nothing if it was not.
    pub until: Option<Timestamp>,
}

impl HistoryReport {
    /// Whether nothing is refused.
    pub fn accepted(&self) -> bool {
        self.verdict != Verdict::Refused
    }

    /// How many findings have this level.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|told| told.finding.level == level).count()
    }

    /// What weighs less than a refusal and is worth the headline, a few words each.
    pub fn caveats(&self) -> Vec<String> {
        let warned = |checks: &[Check]| {
            let of = |told: &&Told| told.finding.level == Level::Warning && checks.contains(&told.finding.check);
            self.findings.iter().filter(of).count()
        };
        let cut = self.facts.cut.then(|| "earlier commits are not in this clone".to_string());
        let many = |count: usize, one: &str, more: &str| (count > 0).then(|| super::many(count, one, more));
        let breaks = self.facts.breaks.iter().filter(|one| one.until.is_some()).count();
        let unproved = self.facts.attestations.iter().filter(|one| !one.holds).count();
        [
            cut,
            many(warned(&[Check::RootRival]), "valid root outside the chain", "valid roots outside the chain"),
            many(warned(&[Check::MetaRival]), "version with two files", "versions with two files"),
            many(self.facts.unsigned, "published file that no quorum signed", "published files that no quorum signed"),
            many(breaks, "span that did not fit together", "spans that did not fit together"),
            many(warned(&[Check::MetaRollback]), "step back", "steps back"),
            many(warned(&[Check::HistoryRewrite]), "rewrite", "rewrites"),
            many(warned(&[Check::ExpiryMargin]), "renewal too late or due", "renewals too late or due"),
            many(unproved, "attestation that does not hold", "attestations that do not hold"),
            many(warned(&[Check::AttMissing]), "key without a hardware proof", "keys without a hardware proof"),
            many(warned(&[Check::AttAdvisory]), "token under an advisory", "tokens under an advisory"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The headline, in one line.
    pub fn headline(&self) -> String {
        self.verdict.headline(self.rehearsal, self.count(Level::Refused), self.anchored, &self.caveats())
    }

    /// The report for programs: names as here, digests in hexadecimal, times as in metadata.
    pub fn to_json(&self) -> Value {
        Value::from([
            ("kind", "history".into()),
            ("verdict", self.verdict.name().into()),
            ("headline", self.headline().into()),
            ("rehearsal", Value::Bool(self.rehearsal)),
            ("anchored", self.anchored.map_or(Value::Null, Value::from)),
            ("now", time(self.now)),
            ("findings", Value::Arr(self.findings.iter().map(Told::to_json).collect())),
            ("checked", lines_json(&self.checked)),
            ("not_checked", lines_json(&self.not_checked)),
            ("facts", self.facts.to_json()),
            ("equivalents", lines_json(&self.equivalents)),
        ])
    }
}

fn time(time: Timestamp) -> Value {
    Value::Str(time.to_string())
}

fn count(number: usize) -> Value {
    Value::from(number as u64)
}

fn or_null<T>(value: Option<T>, how: impl FnOnce(T) -> Value) -> Value {
    value.map_or(Value::Null, how)
}

fn list<T>(items: &[T], how: impl Fn(&T) -> Value) -> Value {
    Value::Arr(items.iter().map(how).collect())
}

impl Told {
    fn to_json(&self) -> Value {
        let Value::Arr(mut one) = findings_json(core::slice::from_ref(&self.finding)) else { return Value::Null };
        let Some(Value::Obj(mut members)) = one.pop() else { return Value::Null };
        members.insert("seen".to_string(), list(&self.seen, Seen::to_json));
        members.insert("seen_more".to_string(), count(self.more));
        Value::Obj(members)
    }
}

impl Seen {
    fn to_json(&self) -> Value {
        Value::from([
            (self.holder.name(), self.commit.as_str().into()),
            ("time", if self.holder == Holder::Commit { time(self.time) } else { Value::Null }),
            ("path", self.path.as_str().into()),
            ("file_digest", or_null(self.digest, |digest| digest.to_string().into())),
        ])
    }
}

impl Facts {
    fn to_json(&self) -> Value {
        Value::from(BTreeMap::from([
            ("head".to_string(), self.head.as_str().into()),
            ("commits".to_string(), count(self.commits.0)),
            ("main_line".to_string(), count(self.commits.1)),
            ("references".to_string(), count(self.references)),
            ("cut".to_string(), Value::Bool(self.cut)),
            ("folder".to_string(), self.folder.as_str().into()),
            ("waited".to_string(), count(self.waited)),
            ("drafts".to_string(), count(self.drafts)),
            ("other_trust_roots".to_string(), lines_json(&self.others)),
            ("files".to_string(), count(self.files.0)),
            ("files_without_quorum".to_string(), count(self.files.1)),
            ("published_without_quorum".to_string(), count(self.unsigned)),
            ("roots".to_string(), list(&self.roots, RootLife::to_json)),
            ("rivals".to_string(), list(&self.rivals, Rival::to_json)),
            ("roles".to_string(), list(&self.roles, RoleLife::to_json)),
            ("holders".to_string(), list(&self.holders, HolderLife::to_json)),
            ("attestations".to_string(), list(&self.attestations, Attestation::to_json)),
            (
                "breaks".to_string(),
                list(&self.breaks, |one| Value::from([("from", time(one.from)), ("until", or_null(one.until, time))])),
            ),
        ]))
    }
}

impl RootLife {
    fn to_json(&self) -> Value {
        Value::from([
            ("version", self.version.into()),
            ("payload_digest", self.payload.to_string().into()),
            ("seen", or_null(self.seen.as_ref(), Seen::to_json)),
            ("from", or_null(self.from, time)),
            ("until", or_null(self.until, time)),
            ("expires", time(self.expires)),
            ("threshold", count(self.threshold)),
            ("keys", count(self.keys)),
            ("signed", count(self.signed)),
            ("accepted", Value::Bool(self.accepted)),
            ("rivals", count(self.rivals)),
        ])
    }
}

impl Rival {
    fn to_json(&self) -> Value {
        Value::from([
            ("version", self.version.into()),
            ("payload_digest", self.payload.to_string().into()),
            ("expires", time(self.expires)),
            ("signed", count(self.signed)),
            ("seen", self.seen.to_json()),
        ])
    }
}

impl RoleLife {
    fn to_json(&self) -> Value {
        let span = |span: &RoleSpan| {
            Value::from([
                ("version", span.version.into()),
                ("from", time(span.from)),
                ("until", or_null(span.until, time)),
                ("expires", time(span.expires)),
            ])
        };
        // Reports hold no negative numbers: seconds by which a renewal came too late have a name of their own.
        let margin = |(seconds, version): (i64, u64)| {
            Value::from([
                ("version", version.into()),
                (if seconds < 0 { "seconds_late" } else { "seconds_to_spare" }, seconds.unsigned_abs().into()),
            ])
        };
        Value::from([
            ("role", self.role.as_str().into()),
            ("least_margin", or_null(self.least_margin, margin)),
            ("spans", list(&self.spans, span)),
        ])
    }
}

impl HolderLife {
    /// The roots that name the key, in words: `roots 1 to 4 and 7`.
    pub fn in_words(&self) -> String {
        super::proofs::versions(&self.roots)
    }

    fn to_json(&self) -> Value {
        Value::from([
            ("fingerprint", self.fingerprint.to_string().into()),
            ("owner", or_null(self.owner.as_deref(), Value::from)),
            ("roots", list(&self.roots, |version| (*version).into())),
            ("signed", count(self.signed)),
            ("attestation", or_null(self.proof, count)),
        ])
    }
}

impl Attestation {
    fn to_json(&self) -> Value {
        let facts = |facts: &AttestationFacts| {
            let (major, minor, patch) = facts.firmware;
            Value::from([
                ("serial", u64::from(facts.serial).into()),
                ("firmware", format!("{major}.{minor}.{patch}").into()),
                ("slot", facts.slot.as_str().into()),
                ("fingerprint", facts.fingerprint.to_string().into()),
                ("advisories", list(&facts.advisories, |name| name.as_str().into())),
            ])
        };
        Value::from([
            ("seen", self.seen.to_json()),
            ("facts", or_null(self.facts.as_ref(), facts)),
            ("holds", Value::Bool(self.holds)),
            ("roots", list(&self.roots, |version| (*version).into())),
        ])
    }
}
