//! The holders' keys: each attested by its token, as the plan asks, and bound to what is published.
//!
//! Rules:
//! 1. The attested key is the published key: the one in `public.pem`, by which the folder is named, and which the
//!    proposal puts into the root.
//! 2. Where the plan requires attestations, whatever an attestation fails refuses. Where it does not, a key without a
//!    valid one is shown as not attested, in the headline. A rehearsal's attestation is never accepted in production.
//! 3. A token that cannot attest has a claim of its module, which is compared with the record and shown as a claim, in the
//!    headline too.

use super::look::Look;
use super::record::Held;
use super::report::{Evidence, Proof};
use crate::attestation::advisories;
use crate::attestation::anchor::{Anchors, certificate_from_pem, certificate_to_pem};
use crate::attestation::verify::{Examined, Expected, examine};
use crate::check::{Check, Level};
use crate::claim::{self, Claim, Origin};
use crate::event::{Deed, TokenFacts};
use crate::key::PublicKey;
use crate::plan::Attestation;
use crate::slot::Slot;
use crate::text::Handle;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// Looks at every key of the record; what speaks for each holder's key.
pub(super) fn look(look: &mut Look<'_>, held: &Held, anchors: &Anchors) -> BTreeMap<Handle, Proof> {
    let mut proofs = BTreeMap::new();
    let mut keys = 0usize;
    for logged in &held.record.events {
        let Deed::Generated { holder, .. } = &logged.event.deed else { continue };
        let state = held.ceremony.holders.get(holder);
        let Some((key, token)) = state.and_then(|state| Some((state.key.as_ref()?, state.token.as_ref()?))) else {
            continue;
        };
        keys += 1;
        let proof = match token.kind.attests() {
            true => one(look, held, anchors, holder, key, token),
            false if claimed(look, held, holder, key, token) => Proof { evidence: Evidence::Claimed, ..Proof::NONE },
            false => Proof::NONE,
        };
        proofs.insert(holder.clone(), proof);
    }
    let count = |kind| proofs.values().filter(|proof| proof.evidence == kind).count();
    let (attested, claimed) = (count(Evidence::Attested), count(Evidence::Claimed));
    let dir = &held.record.dir;
    look.checked
        .push(format!("{dir}: {keys} keys, {attested} attested down from a pinned anchor and bound to the token"));
    if claimed > 0 {
        look.checked.push(format!("{dir}: {claimed} claims of PKCS#11 modules, compared with key and token"));
        look.not_checked.push(format!(
            "{dir}: whether {claimed} keys are on a token at all; their PKCS#11 modules claim it, and nobody attests it"
        ));
        let keys = if claimed == 1 { "1 key" } else { &format!("{claimed} keys") };
        look.caveats.push(format!("{keys} of {dir} claimed by a PKCS#11 module, not attested"));
    }
    let without = keys - attested - claimed;
    if without > 0 && held.record.plan.tokens.attestation == Attestation::Optional {
        look.caveats.push(format!("{without} keys of {dir} are not attested"));
    }
    proofs
}

/// Whether the claim about this key is there, is about this key, and says what it should.
fn claimed(look: &mut Look<'_>, held: &Held, holder: &Handle, key: &PublicKey, token: &TokenFacts) -> bool {
    let path = format!("{}/{}", held.ceremony.key_dir(holder, key.fingerprint()), claim::FILE);
    let Some(bytes) = look.bytes(&path) else {
        let what = "it is missing, so not even its module says where the key is";
        look.refuse(Check::ClaimForm, &path, what).hint = Some("ask the holder for it".into());
        return false;
    };
    let claim = match Claim::from_bytes(bytes) {
        Ok(claim) => claim,
        Err(fault) => {
            look.refuse(Check::ClaimForm, &path, fault.to_string()).hint = Some("restore it from git".into());
            return false;
        }
    };
    let plan = &held.record.plan;
    let origin = Origin::planned(plan, holder);
    let planned = plan.holder(holder).map(|holder| plan.key_kind(&holder.token).algorithm());
    if planned.is_some_and(|planned| planned != key.algorithm()) {
        let what = format!("the key is {}, and the plan has another kind", key.algorithm());
        look.refuse(Check::ClaimBound, &path, what);
        return false;
    }
    let findings = claim::examine(&claim, &claim::Expected { key, token, origin }, &path);
    let holds = findings.iter().all(|finding| finding.level < Level::Refused);
    look.findings.extend(findings);
    holds
}

/// What the attestation of this key proves, if it holds.
fn one(
    look: &mut Look<'_>,
    held: &Held,
    anchors: &Anchors,
    holder: &Handle,
    key: &PublicKey,
    token: &TokenFacts,
) -> Proof {
    let plan = &held.record.plan;
    let required = plan.tokens.attestation == Attestation::Required;
    let level = if required { Level::Refused } else { Level::Warning };
    let folder = held.ceremony.key_dir(holder, key.fingerprint());
    let mut certificates = Vec::new();
    let slot = plan.holder(holder).map_or(Slot::SIGNATURE, |holder| holder.token.slot());
    for name in [slot.attestation_file().as_str(), "f9-intermediate.pem"] {
        let path = format!("{folder}/{name}");
        let Some(bytes) = look.bytes(&path) else {
            look.find(level, Check::AttForm, &path, "it is missing, so nothing says where the key was made").hint =
                Some("ask the holder for it; the token makes it again at any time".into());
            return Proof::NONE;
        };
        let text = core::str::from_utf8(bytes).ok();
        let der = text.and_then(certificate_from_pem);
        // One spelling, so that one certificate is one file.
        match der.filter(|der| certificate_to_pem(der).as_deref() == text) {
            Some(der) => certificates.push(der),
            None => {
                look.find(level, Check::AttForm, &path, "it is not one certificate in PEM, in its one form");
                return Proof::NONE;
            }
        }
    }
    let [attestation, device] = certificates.as_slice() else { return Proof::NONE };
    let Some(serial) = token.serial.number() else {
        look.find(level, Check::AttSerial, &folder, "the token's serial in the record is not a number");
        return Proof::NONE;
    };
    let expected = Expected {
        key,
        serial,
        slot: &slot.to_string(),
        minimum_firmware: plan.tokens.minimum_firmware,
        rehearsal: plan.rehearsal,
        waived: &plan.tokens.waive,
    };
    let Examined { facts, findings } = examine(attestation, device, &[], &expected, anchors);
    let mut holds = true;
    for mut finding in findings {
        if finding.level == Level::Refused {
            holds = false;
            if finding.check != Check::AttRehearsal {
                finding.level = level;
            }
        }
        finding.subject = format!("{folder}: {}", finding.subject);
        look.findings.push(finding);
    }
    let Some(facts) = facts else { return Proof::NONE };
    let (major, minor, patch) = facts.firmware;
    if token.firmware != format!("{major}.{minor}.{patch}") {
        let what = format!(
            "the attested firmware is {major}.{minor}.{patch}, and the token said another when it was identified"
        );
        look.find(level, Check::AttFirmware, &folder, what);
        holds = false;
    }
    if !holds {
        return Proof::NONE;
    }
    let known = advisories(facts.firmware, key.algorithm()).map(|advisory| advisory.name);
    let waived = known.filter(|name| plan.tokens.waive.contains(name)).collect();
    Proof { evidence: Evidence::Attested, firmware: Some(facts.firmware), waived }
}
