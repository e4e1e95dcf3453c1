//! What proves itself in an open record: each key by its attestation or claim, each signature by its key. The conductor asks
//! before anything from elsewhere is taken over.

use super::look::Look;
use super::record::Held;
use super::trust_root::{History, Options};
use super::{keys, record};
use crate::attestation::anchor::Anchors;
use crate::check::{Finding, Level};
use crate::payload::Payload;
use crate::record::Record;
use crate::replay::replay;
use crate::sigfile::{SignedRole, collect};
use crate::signature::Verifier;
use crate::time::Timestamp;
use crate::tree::Tree;
use alloc::vec::Vec;

/// What is refused of the keys and signatures of the record in `dir`.
pub fn proofs(tree: &Tree, dir: &str, now: Timestamp, verifier: &dyn Verifier) -> Vec<Finding> {
    let read = Record::read(tree, dir).and_then(|record| {
        let ceremony = replay(&record, tree).map_err(|finding| alloc::vec![finding])?;
        Ok(Held { record, ceremony })
    });
    let held = match read {
        Ok(held) => held,
        Err(findings) => return findings,
    };
    let rehearsal = held.record.plan.rehearsal;
    let options =
        Options { now, rehearsal, strict: true, anchor: None, program: None, history: History::None, differences: &[] };
    let mut look = Look {
        tree,
        options: &options,
        verifier,
        findings: Vec::new(),
        checked: Vec::new(),
        not_checked: Vec::new(),
        caveats: Vec::new(),
    };
    record::files(&mut look, &held.record);
    record::signatures(&mut look, &held.record);
    keys::look(&mut look, &held, &Anchors::pinned());
    let mut findings = look.findings;
    let signing = held.ceremony.signing_keys();
    if let Some(proposal) = &held.ceremony.proposal {
        for (role, bytes) in [(SignedRole::Root, &proposal.root), (SignedRole::Targets, &proposal.targets)] {
            let Ok(payload) = Payload::from_canonical(bytes) else { continue };
            findings.extend(collect(tree, dir, role, &payload, &signing, verifier).findings);
        }
    }
    findings.retain(|finding| finding.level == Level::Refused);
    findings
}
