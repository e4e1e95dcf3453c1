//! The semantic diff from one root to the next, and what of it is a risk: keys by fingerprint and never by name alone, so that
//! a key that was exchanged under the same name is seen.

use super::{Block, Change, Text};
use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::root::Root;
use crate::metadata::{Metadata, Role};
use crate::proposal::{HOLDERS, RECORD};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What the root changes from the one before; everything, where it is the first.
pub(super) fn of(root: &Metadata<Root>, old: Option<&Metadata<Root>>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut put = |what: String, old: Option<String>, new: Option<String>| {
        if old != new {
            changes.push(Change { what, old: old.map(Text::foreign), new: new.map(Text::foreign) });
        }
    };
    let version = |root: &Metadata<Root>| root.version().to_string();
    let expires = |root: &Metadata<Root>| root.expires().to_string();
    let consistent = |root: &Metadata<Root>| root.body().consistent_snapshot().to_string();
    put("root version".to_string(), old.map(version), Some(version(root)));
    put("root expires".to_string(), old.map(expires), Some(expires(root)));
    put("consistent snapshots".to_string(), old.map(consistent), Some(consistent(root)));
    for role in Role::ALL {
        let count = |root: &Metadata<Root>| {
            let keyed = root.body().role(role);
            format!("{} of {}", keyed.threshold, keyed.keyids.len())
        };
        put(format!("{role} signatures"), old.map(count), Some(count(root)));
    }
    if let Some(old) = old {
        for role in Role::ALL {
            let (before, now) = (keys(old, role), keys(root, role));
            for key in before.difference(&now) {
                put(format!("{role} key"), Some(named(old, key)), None);
            }
            for key in now.difference(&before) {
                put(format!("{role} key"), None, Some(named(root, key)));
            }
        }
    }
    if let Some(record) = root.signed().get(RECORD) {
        let plan = record.get("plan").and_then(Value::as_str).unwrap_or("missing");
        put("plan digest".to_string(), None, Some(plan.to_string()));
    }
    let text = |value: &Value| String::from_utf8(crate::canonical::to_vec(value)).unwrap_or_default();
    let (extra, extra_old) = (root.extra(), old.map(Metadata::extra).unwrap_or_default());
    let names: BTreeSet<&str> = extra.keys().chain(extra_old.keys()).copied().collect();
    for name in names.into_iter().filter(|name| !matches!(*name, RECORD | HOLDERS)) {
        let value = |extra: &alloc::collections::BTreeMap<&str, &Value>| extra.get(name).map(|value| text(value));
        put(Text::foreign(name).line(), value(&extra_old), value(&extra));
    }
    changes
}

/// What of the change is a risk by itself.
pub(super) fn risks(root: &Metadata<Root>, old: &Metadata<Root>) -> Vec<Block> {
    let mut risks = Vec::new();
    let mut risk = |text: String| risks.push(Block::Risk(Text::own(text)));
    let (before, now) = (keys(old, Role::Root), keys(root, Role::Root));
    let kept = before.intersection(&now).count();
    let gone = before.difference(&now).count();
    if gone > 0 && kept == 0 {
        risk("Every holder's key is replaced at once: nobody of the root before can sign the next one.".to_string());
    } else if u64::try_from(kept).unwrap_or(0) < root.body().role(Role::Root).threshold {
        risk(format!("Only {kept} keys of the root before stay, fewer than must sign the next one."));
    }
    let threshold = |root: &Metadata<Root>| root.body().role(Role::Root).threshold;
    if threshold(root) < threshold(old) {
        risk(format!("The threshold goes down from {} to {}.", threshold(old), threshold(root)));
    }
    if root.expires() <= old.expires() {
        risk(format!("It expires on {}, not after the root before.", root.expires().day()));
    }
    let people = |root: &Metadata<Root>| -> Vec<(String, String)> {
        let people = root.signed().get(HOLDERS).and_then(Value::as_arr).unwrap_or_default().iter();
        let text = |person: &Value, name: &str| person.get(name).and_then(Value::as_str).unwrap_or("").to_string();
        people.map(|person| (text(person, "handle"), text(person, "keyid"))).collect()
    };
    let earlier = people(old);
    for (handle, id) in people(root) {
        if let Some((_, was)) = earlier.iter().find(|(known, was)| *known == handle && *was != id) {
            let (was, now): (String, String) = (was.chars().take(16).collect(), id.chars().take(16).collect());
            let text = Text::own("The key of ").and_foreign(handle).and(" is another one now: key id ");
            risks.push(Block::Risk(text.and_foreign(was).and(" becomes ").and_foreign(now).and(".")));
        }
    }
    risks
}

fn keys(root: &Metadata<Root>, role: Role) -> BTreeSet<&PublicKey> {
    let body = root.body();
    body.role(role).keyids.iter().filter_map(|id| body.keys().get(id)?.public()).collect()
}

/// The fingerprint of a key, and the person that this root names behind it.
fn named(root: &Metadata<Root>, key: &PublicKey) -> String {
    let body = root.body();
    let is = |person: &&Value| {
        let id = person.get("keyid").and_then(Value::as_str);
        id.and_then(|id| body.keys().get(id)).and_then(|found| found.public()) == Some(key)
    };
    let people = root.signed().get(HOLDERS).and_then(Value::as_arr).unwrap_or_default();
    let who = people.iter().find(is).and_then(|person| person.get("handle")).and_then(Value::as_str);
    match who {
        Some(who) => format!("{} ({who})", key.fingerprint()),
        None => key.fingerprint().to_string(),
    }
}
