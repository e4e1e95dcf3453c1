//! The lint of a plan that continues a root: alone, and against the root that is there.
//!
//! Rules:
//! 1. What carries over is named: each key of the root before is a holder's who keeps it, or leaves. Nothing carries over by
//!    being left out, and nothing is dropped by being forgotten.
//! 2. A plan is for one root, by payload digest. Where another was published in the meantime, it is refused.
//! 3. Who can meet the old threshold is known before anybody meets.

use super::{Kind, OnlineRole, Plan};
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::metadata::Role;
use crate::metadata::build::new_key_id;
use crate::page::Text;
use crate::predecessor::{Predecessor, newest};
use crate::text::Handle;
use crate::tree::Tree;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What can be said of kind, reason, and keys that stay or leave, without the root before.
pub(super) fn alone(plan: &Plan, found: &mut Vec<Finding>) {
    let mut refuse = |subject: &str, what: &str, hint: &str| {
        found.push(Finding::new(Level::Refused, Check::PlanFollows, subject, what).hint(hint));
    };
    let roles = [("snapshot", &plan.snapshot), ("timestamp", &plan.timestamp)];
    if plan.kind == Kind::Genesis {
        let keeps = plan.holders.iter().any(|holder| holder.key.is_some())
            || roles.iter().any(|(_, role)| role.keeps.is_some() || role.before.is_some());
        if plan.follows.is_some() || plan.reason.is_some() || !plan.leaving.is_empty() || keeps {
            let what = "a genesis follows nothing, so it has no reason, keeps no key and nobody leaves";
            refuse("kind", what, "for what continues a root, write the plan with `trustroot plan new FILE --rotate`");
        }
        return;
    }
    if plan.follows.is_none() {
        let hint = "write the plan in its repository: trustroot plan new FILE --renew, --rotate or --recover";
        refuse("follows", "the plan does not say which root it continues", hint);
    }
    if plan.reason.is_none() {
        refuse("reason", "there is no reason, which is signed into the root", "reason = \"...\", in a sentence");
    }
    if plan.kind == Kind::Renew {
        let all_keep = plan.holders.iter().all(|holder| holder.key.is_some());
        let online = roles.iter().all(|(_, role)| role.keeps.is_some());
        if !all_keep || !plan.leaving.is_empty() || !online {
            let what = "a renewal keeps every key; here some are made, or leave";
            refuse("kind", what, "kind = \"rotate\", or \"recover\" where something was lost, stolen or compromised");
        }
    }
    for (subject, role) in roles {
        online(subject, role, found);
    }
    keys(plan, found);
}

fn online(subject: &str, role: &OnlineRole, found: &mut Vec<Finding>) {
    let mut report = |level, what: String| found.push(Finding::new(level, Check::PlanFollows, subject, what));
    if role.keeps.is_some() && role.before.is_some() {
        report(Level::Refused, "the key is kept, so there is none before it that signs once more".to_string());
    } else if role.before.as_ref() == Some(&role.key) {
        report(Level::Refused, format!("the key {} cannot come before itself", role.key));
    } else if role.keeps.is_none() && role.before.is_none() {
        let what = "the key is replaced without an overlap: a client in the middle of its requests finds files that do not \
                    fit, and has to start again; right for a key that somebody else may have";
        report(Level::Warning, what.to_string());
    }
}

/// Each key once, and each handle one person.
fn keys(plan: &Plan, found: &mut Vec<Finding>) {
    let mut refuse = |subject: &Handle, what: String| {
        found.push(Finding::new(Level::Refused, Check::PlanFollows, subject.as_str(), what));
    };
    let mut seen: BTreeMap<Digest, &Handle> = BTreeMap::new();
    let kept = plan.holders.iter().filter_map(|holder| Some((&holder.handle, holder.key?)));
    for (handle, key) in kept.chain(plan.leaving.iter().map(|leaving| (&leaving.handle, leaving.key))) {
        if let Some(other) = seen.insert(key, handle) {
            refuse(handle, format!("the key {} is named for {other} already", key.short()));
        }
    }
    let mut handles = BTreeSet::new();
    for leaving in &plan.leaving {
        if !handles.insert(&leaving.handle) {
            refuse(&leaving.handle, "two keys leave under this handle; give one of them another".to_string());
        }
        let holder = plan.holder(&leaving.handle);
        if holder.is_some_and(|holder| holder.key.is_some()) {
            refuse(&leaving.handle, "keeps one key, and another leaves: a holder has one key".to_string());
        }
        let person = plan.people.iter().find(|person| person.handle == leaving.handle);
        let name = holder.map(|holder| &holder.name).or(person.map(|person| &person.name));
        if name.is_some_and(|name| *name != leaving.name) {
            refuse(&leaving.handle, "the handle is given to two people: the names differ".to_string());
        }
    }
}

/// What can be said against the newest root, `before`.
pub fn against(plan: &Plan, before: &Predecessor) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(follows) = &plan.follows else { return found };
    let is = before.follows();
    if (follows.version, follows.root, follows.targets) != (is.version, is.root, is.targets) {
        let what = match (follows.version == is.version, follows.root == is.root) {
            (true, true) => "the newest targets are not those that the plan carries over".to_string(),
            (true, false) => format!("root {} has the payload digest {}, not {}", is.version, is.root, follows.root),
            _ => format!("the newest root is version {}, and the plan continues {}", is.version, follows.version),
        };
        let finding = Finding::new(Level::Refused, Check::PlanFollows, "follows", what);
        found.push(finding.hint("another root was published since the plan was written; write the plan anew"));
        return found;
    }
    named(plan, before, &mut found);
    roles(plan, before, &mut found);
    quorum_old(plan, before, &mut found);
    found
}

/// What the newest root's other roles publish, where it is not here. `tree` is the repository.
pub fn elsewhere(plan: &Plan, tree: &Tree) -> Vec<Finding> {
    let Some(follows) = &plan.follows else { return Vec::new() };
    let timestamp = tree.contains_key("root/timestamp.json").then_some("timestamp");
    let numbered = ["snapshot", "targets"].into_iter().filter(|role| newest(tree, role).is_some());
    let here: Vec<&str> = timestamp.into_iter().chain(numbered).collect();
    let mut found = Vec::new();
    let mut report = |level, what: String, hint: &str| {
        found.push(Finding::new(level, Check::PlanFollows, "follows.elsewhere", what).hint(hint));
    };
    match follows.elsewhere {
        None if here.len() < 3 => {
            let gone: Vec<&str> =
                ["timestamp", "snapshot", "targets"].into_iter().filter(|role| !here.contains(role)).collect();
            let what = format!(
                "root {} is here without {}: the next would begin at version 1, and clients that have seen a higher one refuse it",
                follows.version,
                gone.join(" and ")
            );
            let hint = "import the published repository; or say what is published elsewhere, 0 for what never was: \
                        elsewhere = { targets = 0, snapshot = 0, timestamp = 0 }";
            report(Level::Refused, what, hint);
        }
        Some(_) if here.len() == 3 => {
            let what = "timestamp, snapshot and targets are here, and the plan says that they are elsewhere";
            report(Level::Refused, what.to_string(), "take the line away; the next versions go on from those here");
        }
        Some(elsewhere) if elsewhere.targets > 0 && !here.contains(&"targets") => {
            let what = format!(
                "the files and delegations of targets {} do not carry over: the next targets name none",
                elsewhere.targets
            );
            report(Level::Warning, what, "import the published repository, if clients need those files");
        }
        _ => {}
    }
    found
}

/// Rule 1.
fn named(plan: &Plan, before: &Predecessor, found: &mut Vec<Finding>) {
    let kept = plan.holders.iter().filter_map(|holder| Some((&holder.handle, holder.key?)));
    let leaving = plan.leaving.iter().map(|leaving| (&leaving.handle, leaving.key));
    let named: Vec<(&Handle, Digest)> = kept.chain(leaving).collect();
    for (handle, key) in &named {
        let Some(public) = before.root_key(*key) else {
            let what = format!("the key {} is not one of root {}", key.short(), before.root.version());
            found.push(Finding::new(Level::Refused, Check::PlanFollows, handle.as_str(), what));
            continue;
        };
        if let Some(known) = before.known(public).handle.filter(|known| known != handle.as_str()) {
            let what = Text::own(format!("root {} names the key {} for ", before.root.version(), key.short()));
            let finding = Finding::new(
                Level::Warning,
                Check::PlanFollows,
                handle.as_str(),
                what.and_foreign(known).and(", not for this holder"),
            );
            found.push(finding.hint("a key does not change hands; rename a holder only if it is the same person"));
        }
    }
    for key in before.keys(Role::Root) {
        let fingerprint = key.fingerprint();
        if !named.iter().any(|(_, named)| *named == fingerprint) {
            let who = before.known(key).handle;
            let who = who.map_or_else(Text::default, |who| Text::own(", of ").and_foreign(who));
            let mut what = Text::own(format!("nothing says what becomes of the key {}", fingerprint.short()));
            what.0.extend(who.0);
            let finding = Finding::new(
                Level::Refused,
                Check::PlanFollows,
                "holders",
                what.and(format!(" in root {}", before.root.version())),
            );
            found.push(finding.hint("name it as the key of a holder who keeps it, or under [[leaving]]"));
        }
    }
}

fn roles(plan: &Plan, before: &Predecessor, found: &mut Vec<Finding>) {
    for (name, role, planned) in
        [("snapshot", Role::Snapshot, &plan.snapshot), ("timestamp", Role::Timestamp, &plan.timestamp)]
    {
        if (planned.keeps.is_some() || planned.before.is_some()) && !before.is_online(role) {
            let (keys, must) = (before.keys(role).len(), before.threshold(role));
            let what = format!(
                "root {} gives the role to {keys} keys, of which {must} must sign, or to a holder's: no one online key can be \
                 kept or sign once more",
                before.root.version()
            );
            let finding = Finding::new(Level::Refused, Check::PlanFollows, name, what);
            found.push(finding.hint("give it to a new online key: --rotate --new-online-key NAME --no-overlap"));
            continue;
        }
        let mut report =
            |level, subject: &str, what: String| found.push(Finding::new(level, Check::PlanFollows, subject, what));
        let has = |kept: &Digest| before.keys(role).iter().any(|key| key.fingerprint() == *kept);
        if planned.keeps.as_ref().is_some_and(|kept| !has(kept)) {
            report(
                Level::Refused,
                name,
                "the key that is kept is not the one that the root before gives the role".to_string(),
            );
        }
    }
    let mut report =
        |level, subject: &str, what: String| found.push(Finding::new(level, Check::PlanFollows, subject, what));
    let expired = before.root.expires();
    if plan.root.expires <= expired {
        let level = if plan.kind == Kind::Renew { Level::Refused } else { Level::Warning };
        let what = format!(
            "it expires on {}, not after root {} ({})",
            plan.root.expires.day(),
            before.root.version(),
            expired.day()
        );
        report(level, "root", what);
    }
    for (name, role, threshold) in
        [("root", Role::Root, plan.root.threshold), ("targets", Role::Targets, plan.targets.threshold)]
    {
        let was = before.threshold(role);
        let now = usize::try_from(threshold).unwrap_or(usize::MAX);
        if plan.kind == Kind::Renew && now != was {
            report(
                Level::Refused,
                name,
                format!("a renewal keeps the threshold of {was}; kind = \"rotate\" changes it"),
            );
        } else if now < was {
            report(Level::Warning, name, format!("the threshold goes down from {was} to {now}"));
        }
    }
}

/// Rule 3.
fn quorum_old(plan: &Plan, before: &Predecessor, found: &mut Vec<Finding>) {
    let need = before.threshold(Role::Root);
    let signers = old_signers(plan, before);
    let names = signers.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let version = before.root.version();
    let (level, what) = match signers.len() {
        have if have < need => {
            let what =
                format!("{have} of the keys of root {version} sign ({names}), and {need} must: it cannot be followed");
            (Level::Refused, what)
        }
        have if have == need => {
            (Level::Warning, format!("each of {names} must sign for root {version}: 1 absence stops the ceremony"))
        }
        have => {
            let spare = have - need;
            (Level::Note, format!("{need} of {names} must sign for root {version}; {spare} may be absent"))
        }
    };
    let finding = Finding::new(level, Check::PlanQuorumOld, "root before", what);
    found.push(match level {
        Level::Refused => {
            finding.hint("signs = true for those under [[leaving]] who still can; without them no client follows")
        }
        Level::Warning => finding.hint("signs = true for more of those who leave, where they can come"),
        _ => finding,
    });
}

/// Who signs for the root before, by this plan, with the key ids that clients look the signatures up by.
fn old_signers(plan: &Plan, before: &Predecessor) -> Vec<String> {
    let kept = plan.holders.iter().filter_map(|holder| Some((&holder.handle, holder.key?, false)));
    let leaving = plan.leaving.iter().filter(|leaving| leaving.signs).map(|l| (&l.handle, l.key, true));
    let signer = |(handle, key, old): (&Handle, Digest, bool)| {
        let public = before.root_key(key)?;
        let old = if old { " (old key)" } else { "" };
        let ids = before.key_ids(Role::Root, public);
        // The id of new metadata goes without saying.
        let usual = new_key_id(public).is_some_and(|id| ids == [id]);
        let ids: Vec<String> = ids.iter().map(|id| crate::text::escape(id)).collect();
        let under = if usual { String::new() } else { format!(" under the key id {}", ids.join(" and ")) };
        Some(format!("{handle}{old}{under}"))
    };
    kept.chain(leaving).filter_map(signer).collect()
}
