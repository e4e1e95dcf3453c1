//! Verifying numbered roots in a folder, ours or anybody's.
//!
//! Rules:
//! 1. Each root is judged on its own: by its own keys, and by the keys of the file numbered one less. All of them accepted
//!    is the chain accepted.
//! 2. A key counts once, under however many key ids it signs.
//! 3. Each leniency used is listed; strict, each of them refuses.
//! 4. Expiry is not asked here: old roots are expired. The report says when each expires.
//! 5. A root in the strict forms that follows one in old forms files a signature under the key ids of both, since clients look it
//!    up by the id that their own root has: that is said, and no leniency.

use crate::chain::{self, Signatures};
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::root::Root;
use crate::metadata::{Metadata, Refusal, Role, strict};
use crate::proposal::REHEARSAL;
use crate::quorum::{QuorumMet, quorum};
use crate::signature::{SignatureFault, Verifier};
use crate::text;
use crate::time::Timestamp;
use crate::verify::report::findings_json;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What was found in a folder of roots.
#[derive(Clone, Debug)]
pub struct RootsReport {
    /// Whether old forms were refused.
    pub strict: bool,
    /// Each root, in the order of numbers.
    pub roots: Vec<RootReport>,
    /// What concerns the folder and no single root.
    pub findings: Vec<Finding>,
}

/// What was found of one root.
#[derive(Clone, Debug)]
pub struct RootReport {
    /// The number in the file's name.
    pub number: u64,
    /// The file digest.
    pub file: Digest,
    /// What the file says; nothing if it cannot be read.
    pub facts: Option<RootFacts>,
    /// What was found, leniencies included.
    pub findings: Vec<Finding>,
}

/// What a root says, and who signed it.
#[derive(Clone, Debug)]
pub struct RootFacts {
    /// The version inside.
    pub version: u64,
    /// The payload digest: what is read aloud, and what an anchor is.
    pub payload: Digest,
    /// When it expires.
    pub expires: Timestamp,
    /// How many keys must sign for the role root.
    pub threshold: usize,
    /// The different keys of the role root.
    pub keys: BTreeSet<PublicKey>,
    /// Who signed, each key once, in the order of keys.
    pub signers: Vec<Signer>,
    /// Whether it says that it was signed in a rehearsal.
    pub rehearsal: bool,
}

/// A key that signed a root.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The key.
    pub key: PublicKey,
    /// The key ids it signed under; escaped.
    pub keyids: Vec<String>,
    /// Whether it counts as one of this root's own keys.
    pub for_own: bool,
    /// Whether it counts as one of the predecessor's keys.
    pub for_old: bool,
}

impl RootsReport {
    /// Whether there is a root and nothing is refused.
    pub fn accepted(&self) -> bool {
        !self.roots.is_empty() && passes(&self.findings) && self.roots.iter().all(RootReport::accepted)
    }

    /// Every finding, those of the folder first.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.roots.iter().flat_map(|root| &root.findings))
    }

    /// The report for programs: names as here, digests in hexadecimal, times as in metadata.
    pub fn to_json(&self) -> Value {
        Value::from([
            ("accepted", Value::Bool(self.accepted())),
            ("strict", Value::Bool(self.strict)),
            ("roots", Value::Arr(self.roots.iter().map(RootReport::to_json).collect())),
            ("findings", findings_json(&self.findings)),
        ])
    }
}

impl RootReport {
    /// Whether nothing about this root is refused.
    pub fn accepted(&self) -> bool {
        self.facts.is_some() && passes(&self.findings)
    }

    fn to_json(&self) -> Value {
        let mut json = BTreeMap::from([
            ("number".to_string(), Value::from(self.number)),
            ("file_digest".to_string(), Value::Str(self.file.to_string())),
            ("accepted".to_string(), Value::Bool(self.accepted())),
            ("findings".to_string(), findings_json(&self.findings)),
        ]);
        if let Some(facts) = &self.facts {
            let digest = |key: &PublicKey| Value::Str(key.fingerprint().to_string());
            let signer = |signer: &Signer| {
                Value::from([
                    ("fingerprint", digest(&signer.key)),
                    ("keyids", Value::Arr(signer.keyids.iter().cloned().map(Value::Str).collect())),
                    ("for_own", Value::Bool(signer.for_own)),
                    ("for_old", Value::Bool(signer.for_old)),
                ])
            };
            json.insert("version".to_string(), facts.version.into());
            json.insert("payload_digest".to_string(), Value::Str(facts.payload.to_string()));
            json.insert("expires".to_string(), Value::Str(facts.expires.to_string()));
            json.insert("threshold".to_string(), Value::from(facts.threshold as u64));
            json.insert("keys".to_string(), Value::Arr(facts.keys.iter().map(digest).collect()));
            json.insert("rehearsal".to_string(), Value::Bool(facts.rehearsal));
            json.insert("signers".to_string(), Value::Arr(facts.signers.iter().map(signer).collect()));
        }
        json.into()
    }
}

fn passes(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Refused)
}

/// The number in `N.root.json`, written in the one way there is.
pub fn root_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".root.json")?;
    let number: u64 = digits.parse().ok()?;
    (number > 0 && number.to_string() == digits).then_some(number)
}

/// Verifies the files `N.root.json` among `files` (by name, without folders). Other files are passed over.
pub fn verify_roots(files: &BTreeMap<String, Vec<u8>>, refuse_old: bool, verifier: &dyn Verifier) -> RootsReport {
    let mut numbered = BTreeMap::new();
    let mut findings = Vec::new();
    for (name, bytes) in files {
        match root_number(name) {
            Some(number) => {
                numbered.insert(number, bytes);
            }
            None if name.ends_with(".root.json") => {
                let what = "its name does not begin with a version number, so it is passed over";
                findings.push(Finding::new(Level::Warning, Check::RootVersion, text::escape(name), what));
            }
            None => {}
        }
    }
    match numbered.keys().next() {
        None => {
            let what = "there is no root: no file is called N.root.json";
            findings.push(Finding::new(Level::Refused, Check::RootGap, "the folder", what));
        }
        Some(1) => {}
        Some(first) => {
            let what = format!("the roots begin at {first}; nothing here says how it came from 1.root.json");
            let finding = Finding::new(Level::Warning, Check::RootGap, "the folder", what);
            findings.push(finding.hint("add the earlier roots, or compare this one with what you know from elsewhere"));
        }
    }
    let mut roots: Vec<RootReport> = Vec::new();
    let mut last: Option<(u64, Option<Metadata<Root>>)> = None;
    for (number, bytes) in numbered {
        let name = format!("{number}.root.json");
        let read = Metadata::<Root>::parse(&name, bytes);
        let mut report = RootReport { number, file: Digest::of(bytes), facts: None, findings: Vec::new() };
        if let Some((before, _)) = last.as_ref().filter(|(before, _)| before + 1 != number) {
            let what = format!("it follows {before}.root.json; the roots between are missing");
            report.findings.push(Refusal::new(Check::RootGap, name.clone(), what).hint("add the missing files").into());
        }
        let read = match read {
            Ok(read) => {
                let old = last.as_ref().filter(|(before, _)| before + 1 == number).map(|(_, old)| old.as_ref());
                judge(&read, old, &mut report, verifier);
                Some(read)
            }
            Err(refusal) => {
                report.findings.push(refusal.into());
                None
            }
        };
        if refuse_old {
            report.findings = strict(report.findings);
        }
        roots.push(report);
        last = Some((number, read));
    }
    RootsReport { strict: refuse_old, roots, findings }
}

/// `old` is nothing for the first root, and `Some(None)` for one that could not be read.
fn judge(
    root: &Metadata<Root>,
    old: Option<Option<&Metadata<Root>>>,
    report: &mut RootReport,
    verifier: &dyn Verifier,
) {
    let subject = root.name().to_string();
    report.findings.extend(root.findings().iter().cloned());
    if root.version() != report.number {
        let what = format!("version {} inside a file numbered {}", root.version(), report.number);
        report.findings.push(Refusal::new(Check::RootVersion, subject.clone(), what).into());
    }
    let mut signers: BTreeMap<PublicKey, Signer> = BTreeMap::new();
    let mut bad: BTreeMap<String, SignatureFault> = BTreeMap::new();
    let mut signatures = Signatures::of(root, verifier);
    if let Some(met) = ask(root, &mut signatures, root, Check::RootQuorum, report, &mut signers, &mut bad) {
        mark(&mut signers, &met, |signer| signer.for_own = true);
    }
    match old {
        None => {}
        Some(None) => {
            let what = "its predecessor cannot be read, so nobody can say whether it follows";
            report.findings.push(Refusal::new(Check::RootQuorumOld, subject.clone(), what).into());
        }
        Some(Some(old)) => {
            if let Some(met) = ask(old, &mut signatures, root, Check::RootQuorumOld, report, &mut signers, &mut bad) {
                mark(&mut signers, &met, |signer| signer.for_old = true);
            }
        }
    }
    for (keyid, fault) in bad {
        // Empty ones are reported by the reader already.
        if fault != SignatureFault::Empty {
            let what = format!("under the key id {keyid}: {fault}");
            report.findings.push(Finding::new(Level::Warning, Check::SigValid, subject.clone(), what));
        }
    }
    for signer in signers.values().filter(|signer| signer.keyids.len() > 1) {
        let what = format!(
            "the key with fingerprint {} signed under {} key ids and counts once",
            signer.key.fingerprint().short(),
            signer.keyids.len()
        );
        // Rule 5.
        let named = |by: &Metadata<Root>, id: &String| by.body().role(Role::Root).keyids.contains(id);
        let once = |by: &Metadata<Root>| signer.keyids.iter().filter(|id| named(by, id)).count() == 1;
        let of_both = old.flatten().is_some_and(|old| once(root) && once(old) && signer.keyids.len() == 2);
        let level = if of_both && root.findings().is_empty() { Level::Note } else { Level::Lenient };
        report.findings.push(Finding::new(level, Check::KeyDistinct, subject.clone(), what));
    }
    let role = root.body().role(Role::Root);
    report.facts = role.keys.as_ref().ok().map(|keys| RootFacts {
        version: root.version(),
        payload: root.payload().digest(),
        expires: root.expires(),
        threshold: keys.threshold(),
        keys: keys.keys().clone(),
        signers: signers.into_values().collect(),
        rehearsal: root.signed().get(REHEARSAL).is_some(),
    });
}

/// Whether a quorum of `by` signed `root`; collects who signed and what does not hold on the way.
fn ask<'a>(
    by: &'a Metadata<Root>,
    signatures: &mut Signatures<'a, Root>,
    root: &Metadata<Root>,
    check: Check,
    report: &mut RootReport,
    signers: &mut BTreeMap<PublicKey, Signer>,
    bad: &mut BTreeMap<String, SignatureFault>,
) -> Option<QuorumMet> {
    let tried = signatures.by_role(by.body(), Role::Root);
    for one in &tried {
        match &one.result {
            Ok(signed) => {
                let fresh = || Signer { key: signed.key().clone(), keyids: Vec::new(), for_own: false, for_old: false };
                let signer = signers.entry(signed.key().clone()).or_insert_with(fresh);
                if !signer.keyids.contains(&one.keyid) {
                    signer.keyids.push(one.keyid.clone());
                }
            }
            Err(fault) => {
                bad.insert(one.keyid.clone(), *fault);
            }
        }
    }
    let keys = match chain::role_keys(by, Role::Root) {
        Ok(keys) => keys,
        Err(refusal) => {
            report.findings.push(refusal.into());
            return None;
        }
    };
    match quorum(keys, root.payload(), &chain::held(&tried)) {
        Ok(met) => Some(met),
        Err(short) => {
            let whose = format!("the role root in version {}", by.version());
            report.findings.push(chain::shortfall(root.name(), check, &whose, &short).into());
            None
        }
    }
}

fn mark(signers: &mut BTreeMap<PublicKey, Signer>, met: &QuorumMet, how: impl Fn(&mut Signer)) {
    for key in met.signers() {
        if let Some(signer) = signers.get_mut(key) {
            how(signer);
        }
    }
}

#[cfg(test)]
mod tests;
