//! Lint: what is looked at in a proposal before anybody is asked to sign it.
//!
//! Rules:
//! 1. A proposal has the strict forms. Every leniency and every warning of the reader is a refusal here: what we sign has to
//!    be read by every client, and cannot be mended once it is signed.
//! 2. A finding of level `Refused` blocks the ceremony; a warning is shown on the review page.
//! 3. Everything is reported at once, not the first fault alone.

use crate::check::{Check, Finding, Level};
use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::root::Root;
use crate::metadata::targets::{Delegates, Targets};
use crate::metadata::tufkey::new_form;
use crate::metadata::{Body, Metadata, Role};
use crate::page::Text;
use crate::predecessor::Predecessor;
use crate::text::check_clean;
use crate::time::Timestamp;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// The largest version number that every client reads: 2^53 - 1.
const MAX_VERSION: u64 = (1 << 53) - 1;

/// What is proposed, and what it follows.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// The canonical payload of the root.
    pub root: &'a [u8],
    /// The canonical payload of the targets.
    pub targets: &'a [u8],
    /// The newest published root, if there is one.
    pub old_root: Option<&'a Metadata<Root>>,
    /// The newest published targets, if there are any.
    pub old_targets: Option<&'a Metadata<Targets>>,
    /// The time of the ceremony.
    pub now: Timestamp,
}

/// Everything that is wrong or unwise in a proposal.
pub fn lint(proposal: &Proposal<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(root) = read::<Root>("root", proposal.root, proposal.now, &mut findings) {
        follows(&root, proposal, &mut findings);
        lint_root(&root, &mut findings);
    }
    if let Some(targets) = read::<Targets>("targets", proposal.targets, proposal.now, &mut findings) {
        lint_targets(&targets, proposal, &mut findings);
    }
    findings
}

/// Everything that is wrong or unwise in one payload, of a root or of targets, looked at without the other. `before` is what it
/// follows, where that is at hand; without it nothing is said about what changes, except that this was not looked at.
pub fn lint_alone(payload: &[u8], before: Option<&Predecessor>, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let old_root = before.map(|before| &before.root);
    let old_targets = before.and_then(|before| before.targets.as_ref());
    let alone = Proposal { root: payload, targets: payload, old_root, old_targets, now };
    let kind = crate::payload::Payload::read(payload).ok().and_then(|(_, value)| {
        let kind = value.get("_type").and_then(Value::as_str);
        kind.map(ToString::to_string)
    });
    // What has no type that holders sign is refused by the reader of roots.
    if kind.as_deref() == Some("targets") {
        if let Some(targets) = read::<Targets>("targets", payload, now, &mut findings) {
            lint_targets(&targets, &alone, &mut findings);
        }
    } else if let Some(root) = read::<Root>("root", payload, now, &mut findings) {
        if before.is_some() || root.version() == 1 {
            follows(&root, &alone, &mut findings);
        } else {
            let what =
                format!("root {} is not at hand, so what changes is not shown", root.version().saturating_sub(1));
            let finding = Finding::new(Level::Warning, Check::RootVersion, "root", what);
            findings.push(finding.hint("look at the file in a clone of the trust root's repository"));
        }
        lint_root(&root, &mut findings);
    }
    findings
}

/// Whether nothing in the findings blocks the ceremony.
pub fn passes(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Refused)
}

fn refuse(findings: &mut Vec<Finding>, check: Check, subject: &str, what: impl Into<Text>) {
    findings.push(Finding::new(Level::Refused, check, subject, what));
}

/// Reads strictly, and looks at what all metadata has in common.
fn read<T: Body>(name: &str, bytes: &[u8], now: Timestamp, findings: &mut Vec<Finding>) -> Option<Metadata<T>> {
    let read = match Metadata::<T>::of_payload(name, bytes) {
        Ok(read) => read,
        Err(refusal) => {
            findings.push(refusal.into());
            return None;
        }
    };
    for mut finding in read.findings().iter().cloned() {
        finding.level = Level::Refused;
        findings.push(finding);
    }
    if let Err(refusal) = read.unexpired(now) {
        findings.push(refusal.into());
    }
    if read.version() > MAX_VERSION {
        refuse(findings, Check::MetaForm, name, format!("version {} is beyond 2^53 - 1", read.version()));
    }
    if let Some(members) = read.signed().as_obj() {
        for (field, value) in members.iter().filter(|(field, _)| !KNOWN.contains(&field.as_str())) {
            if !field.starts_with("x-") {
                let what = Text::own("the field \"").and_foreign(field.as_str()).and("\" is not of the specification");
                refuse(findings, Check::MetaForm, name, what.and(" and does not begin with x-"));
            }
            clean(field, name, findings);
            clean_all(value, name, findings);
        }
    }
    Some(read)
}

/// The fields of root and targets metadata.
const KNOWN: [&str; 9] =
    ["_type", "consistent_snapshot", "delegations", "expires", "keys", "roles", "spec_version", "targets", "version"];

fn clean(text: &str, subject: &str, findings: &mut Vec<Finding>) {
    if let Err(fault) = check_clean(text) {
        let shown: alloc::string::String = text.chars().take(40).collect();
        let what = Text::own("the text \"").and_foreign(shown).and("\" may not be signed: ").and(fault.to_string());
        refuse(findings, Check::TextClean, subject, what);
    }
}

/// Every name and every string of a value. The reader has limited the depth.
fn clean_all(value: &Value, subject: &str, findings: &mut Vec<Finding>) {
    match value {
        Value::Str(text) => clean(text, subject, findings),
        Value::Arr(items) => items.iter().for_each(|item| clean_all(item, subject, findings)),
        Value::Obj(members) => {
            for (name, value) in members {
                clean(name, subject, findings);
                clean_all(value, subject, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) => {}
    }
}

fn follows(root: &Metadata<Root>, proposal: &Proposal<'_>, findings: &mut Vec<Finding>) {
    let wanted = proposal.old_root.map_or(Some(1), |old| old.version().checked_add(1));
    if wanted != Some(root.version()) {
        let after = proposal.old_root.map_or("no root".to_string(), |old| format!("version {}", old.version()));
        refuse(findings, Check::RootVersion, "root", format!("version {} cannot follow {after}", root.version()));
    }
}

fn lint_root(root: &Metadata<Root>, findings: &mut Vec<Finding>) {
    let body = root.body();
    if !body.consistent_snapshot() {
        refuse(findings, Check::MetaForm, "root", "`consistent_snapshot` is not true; what we publish is consistent");
    }
    for (id, key) in body.keys() {
        if key.public().is_some_and(|public| new_form(public).as_ref() != Some(key.value())) {
            let what = Text::own("the key ").and_foreign(id.as_str());
            let what = what.and(" is not in the form of new keys: ecdsa with PEM or ed25519, and no other fields");
            refuse(findings, Check::KeyForm, "root", what);
        }
        if !Role::ALL.iter().any(|role| body.role(*role).keyids.contains(id)) {
            let what = Text::own("no role names the key ").and_foreign(id.as_str());
            refuse(findings, Check::KeyForm, "root", what);
        }
    }
    let of = |role: Role| -> BTreeSet<&PublicKey> {
        body.role(role).keyids.iter().filter_map(|id| body.keys().get(id)?.public()).collect()
    };
    let offline: BTreeSet<_> = of(Role::Root).union(&of(Role::Targets)).copied().collect();
    let online: BTreeSet<_> = of(Role::Snapshot).union(&of(Role::Timestamp)).copied().collect();
    for key in offline.intersection(&online) {
        let what = format!("the key {} is both a holder's and an online key", key.fingerprint().short());
        refuse(findings, Check::KeyRoles, "root", what);
    }
    if body.role(Role::Root).threshold == 1 {
        let what = "one key alone can replace the root";
        findings.push(Finding::new(Level::Warning, Check::RoleThreshold, "root", what));
    }
}

fn lint_targets(targets: &Metadata<Targets>, proposal: &Proposal<'_>, findings: &mut Vec<Finding>) {
    match proposal.old_targets {
        // The same payload may be signed again; a new one needs a new version.
        Some(old) if old.payload() == targets.payload() => {}
        Some(old) if targets.version() <= old.version() => {
            let what = format!("version {} after version {}", targets.version(), old.version());
            refuse(findings, Check::MetaRollback, "targets", what);
        }
        _ => {}
    }
    for (path, target) in targets.body().targets().iter() {
        clean(path, "targets", findings);
        if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let what = Text::own("the path \"").and_foreign(path).and("\" has an empty part, or `.` or `..`");
            refuse(findings, Check::MetaForm, "targets", what);
        }
        if target.hashes.get_sha256().is_none() {
            let what = Text::own("the file \"").and_foreign(path).and("\" has no SHA-256");
            refuse(findings, Check::MetaForm, "targets", what);
        }
        match &target.custom {
            None => {}
            // tough refuses the whole file for it.
            Some(Value::Obj(members)) if members.is_empty() => {
                let what = Text::own("the file \"").and_foreign(path).and("\" has an empty `custom`");
                refuse(findings, Check::MetaForm, "targets", what);
            }
            Some(custom) => clean_all(custom, "targets", findings),
        }
    }
    let Some(delegations) = targets.body().delegations() else { return };
    let fields = targets.signed().get("delegations").and_then(Value::as_obj);
    if fields.is_some_and(|fields| fields.keys().any(|name| !matches!(name.as_str(), "keys" | "roles"))) {
        let what = "`delegations` has fields beside `keys` and `roles`, which not every client reads";
        refuse(findings, Check::MetaForm, "targets", what);
    }
    if let Delegates::Roles(roles) = &delegations.to {
        roles.iter().for_each(|role| clean(&role.name, "targets", findings));
    }
    for (id, key) in &delegations.keys {
        if key.public().is_some_and(|public| new_form(public).as_ref() != Some(key.value())) {
            let what = Text::own("the delegated key ").and_foreign(id.as_str()).and(" is not in the form of new keys");
            refuse(findings, Check::KeyForm, "targets", what);
        }
    }
}

#[cfg(test)]
mod tests;
