//! The holders' keys: each attested by its token, as the plan asks, and bound to what is published.
//!
//! Rules:
//! 1. The attested key is the published key: the one in `public.pem`, by which the folder is named, and which the
//!    proposal puts into the root.
//! 2. Where the plan requires attestations, whatever an attestation fails refuses. Where it does not, a key without a
//!    valid one is shown as not attested, in the headline. A rehearsal's attestation is never accepted in production.

use super::look::Look;
use super::record::Held;
use crate::attestation::anchor::{Anchors, certificate_from_pem, certificate_to_pem};
use crate::attestation::verify::{Examined, Expected, examine};
use crate::check::{Check, Level};
use crate::event::{Deed, TokenFacts};
use crate::key::PublicKey;
use crate::plan::Attestation;
use crate::text::Handle;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

/// The signing slot.
const SLOT: &str = "9c";

/// Looks at every key of the record; the holders whose attestation holds.
pub(super) fn look(look: &mut Look<'_>, held: &Held, anchors: &Anchors) -> BTreeSet<Handle> {
    let mut attested = BTreeSet::new();
    let mut keys = 0usize;
    for logged in &held.record.events {
        let Deed::Generated { holder, .. } = &logged.event.deed else { continue };
        let state = held.ceremony.holders.get(holder);
        let Some((key, token)) = state.and_then(|state| Some((state.key.as_ref()?, state.token.as_ref()?))) else {
            continue;
        };
        keys += 1;
        if one(look, held, anchors, holder, key, token) {
            attested.insert(holder.clone());
        }
    }
    let dir = &held.record.dir;
    look.checked.push(format!(
        "{dir}: {keys} keys, {} attested down from a pinned anchor and bound to the token",
        attested.len()
    ));
    let without = keys - attested.len();
    if without > 0 && held.record.plan.tokens.attestation == Attestation::Optional {
        look.caveats.push(format!("{without} keys of {dir} are not attested"));
    }
    attested
}

/// Whether the attestation of this key holds.
fn one(
    look: &mut Look<'_>,
    held: &Held,
    anchors: &Anchors,
    holder: &Handle,
    key: &PublicKey,
    token: &TokenFacts,
) -> bool {
    let plan = &held.record.plan;
    let required = plan.tokens.attestation == Attestation::Required;
    let level = if required { Level::Refused } else { Level::Warning };
    let folder = held.ceremony.key_dir(holder, key.fingerprint());
    let mut certificates = Vec::new();
    for name in ["attestation-9c.pem", "f9-intermediate.pem"] {
        let path = format!("{folder}/{name}");
        let Some(bytes) = look.bytes(&path) else {
            look.find(level, Check::AttForm, &path, "it is missing, so nothing says where the key was made").hint =
                Some("ask the holder for it; the token makes it again at any time".into());
            return false;
        };
        let text = core::str::from_utf8(bytes).ok();
        let der = text.and_then(certificate_from_pem);
        // One spelling, so that one certificate is one file.
        match der.filter(|der| certificate_to_pem(der).as_deref() == text) {
            Some(der) => certificates.push(der),
            None => {
                look.find(level, Check::AttForm, &path, "it is not one certificate in PEM, in its one form");
                return false;
            }
        }
    }
    let [slot, device] = certificates.as_slice() else { return false };
    let expected = Expected {
        key,
        serial: token.serial,
        slot: SLOT,
        minimum_firmware: plan.tokens.minimum_firmware,
        rehearsal: plan.rehearsal,
        waived: &plan.tokens.waive,
    };
    let Examined { facts, findings } = examine(slot, device, &[], &expected, anchors);
    let mut holds = facts.is_some();
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
    if let Some(facts) = facts {
        let (major, minor, patch) = facts.firmware;
        if token.firmware != format!("{major}.{minor}.{patch}") {
            let what = format!(
                "the attested firmware is {major}.{minor}.{patch}, and the token said another when it was identified"
            );
            look.find(level, Check::AttFirmware, &folder, what);
            holds = false;
        }
    }
    holds
}
