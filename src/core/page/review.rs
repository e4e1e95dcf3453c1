//! The review page: what will be signed, read from the exact bytes that will be signed, never from the plan.
//!
//! It shows every key with its fingerprint, what changes from the last version, what a loss would mean, and the payload
//! digest. It is the same page on the conductor's screen and under `trustroot verify --proposal FILE`.

use super::{Block, Change, Text, changes};
use crate::json::Value;
use crate::metadata::{Metadata, Role, root::Root, targets::TargetFiles, targets::Targets};
use crate::proposal::{HOLDERS, REHEARSAL};
use crate::replay::Ceremony;
use crate::serial::Serial;
use crate::time::Timestamp;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The blocks of the review step.
pub fn blocks(ceremony: &Ceremony) -> Vec<Block> {
    let Some(proposal) = &ceremony.proposal else {
        return alloc::vec![Block::Note(Text::own(
            "Shown here on the day: every key with its fingerprint, the differences to the last version, and the digest.",
        ))];
    };
    let before = ceremony.before.as_deref();
    let mut blocks = of_root(&proposal.root, Some(ceremony.plan.day), before.map(|before| &before.root));
    blocks.extend(of_targets(&proposal.targets, before.and_then(|before| before.targets.as_ref())));
    let path = format!("{}/signatures/root-{}/payload.json", ceremony.dir, proposal.root_digest());
    blocks.push(Block::Do(Text::own("Export the proposal to another machine and look at it there:")));
    blocks.push(Block::Code(format!("trustroot verify --proposal {path}")));
    let vouched: Vec<_> = ceremony
        .taking_part()
        .filter(|(_, state)| !state.kept && state.vouched.as_ref().is_none_or(|by| by.len() < 2))
        .map(|(handle, _)| handle.to_string())
        .collect();
    if !vouched.is_empty() {
        blocks
            .push(Block::Risk(Text::own(format!("ENROL-UNVOUCHED: too few heard the key of {}.", vouched.join(", ")))));
    }
    blocks.push(Block::Do(Text::own(
        "The conductor reads the words aloud, row by row. The scribe types the words asked for. Then the conductor asks: any objections?",
    )));
    // What is read aloud comes last, so that it stands right above the question.
    blocks.push(Block::Say(Text::own("The payload digest of the root, which every signature is over, is:")));
    blocks.push(Block::Digest { label: "root, payload digest".to_string(), digest: proposal.root_digest() });
    blocks
}

/// A root payload, as a person has to see it. `day` is the day it is signed on, and `old` the root before, where they are
/// known.
pub fn of_root(payload: &[u8], day: Option<Timestamp>, old: Option<&Metadata<Root>>) -> Vec<Block> {
    let root = match Metadata::<Root>::of_payload("the proposed root", payload) {
        Ok(root) => root,
        Err(refusal) => return alloc::vec![Block::Risk(Text::own(refusal.to_string()))],
    };
    let mut blocks = Vec::new();
    if root.signed().get(REHEARSAL).is_some() {
        blocks.push(Block::Risk(Text::own("REHEARSAL. Nothing signed here is to be trusted.")));
    }
    let body = root.body();
    let people = people(root.signed());
    let order = |id: &str| people.iter().position(|(known, _)| *known == id).unwrap_or(usize::MAX);
    let mut keys: Vec<_> = body.keys().iter().collect();
    keys.sort_by_key(|(id, _)| order(id));
    for (id, key) in keys {
        let who = people.get(order(id)).map_or_else(|| Text::own("online key"), |(_, who)| who.clone());
        let roles: Vec<_> = Role::ALL
            .into_iter()
            .filter(|role| body.role(*role).keyids.contains(id))
            .map(|role| role.to_string())
            .collect();
        let kind = key.public().map_or("unusable".to_string(), |key| key.algorithm().to_string());
        blocks.push(Block::Facts(alloc::vec![
            ("key of".to_string(), who),
            ("roles".to_string(), roles.join(", ").into()),
            ("kind".to_string(), kind.into()),
        ]));
        if let Some(key) = key.public() {
            blocks.push(Block::Digest { label: "key fingerprint".to_string(), digest: key.fingerprint() });
        }
    }
    blocks.push(Block::Diff(changes::of(&root, old)));
    blocks.extend(old.map(|old| changes::risks(&root, old)).unwrap_or_default());
    blocks.extend(risks(&root, day));
    blocks
}

/// A targets payload, as a person has to see it. `old` are the targets before, where they are known.
pub fn of_targets(payload: &[u8], old: Option<&Metadata<Targets>>) -> Vec<Block> {
    let targets = match Metadata::<Targets>::of_payload("the proposed targets", payload) {
        Ok(targets) => targets,
        Err(refusal) => return alloc::vec![Block::Risk(Text::own(refusal.to_string()))],
    };
    let mut changes = Vec::new();
    let mut put = |what: &str, old: Option<String>, new: Option<String>| {
        if old != new {
            changes.push(Change { what: what.to_string(), old: old.map(Text::foreign), new: new.map(Text::foreign) });
        }
    };
    let facts = |targets: &Metadata<Targets>| {
        let files = targets.body().targets().count().to_string();
        [targets.version().to_string(), targets.expires().to_string(), files]
    };
    let was = old.map(facts);
    for (i, (what, now)) in
        ["targets version", "targets expire", "target files"].into_iter().zip(facts(&targets)).enumerate()
    {
        put(what, was.as_ref().map(|was| was[i].clone()), Some(now));
    }
    let files = targets.body().targets();
    let before = old.map_or(TargetFiles::NONE, |old| old.body().targets());
    for path in before.paths().filter(|path| !files.contains(path)) {
        put("target", Some(path.to_string()), None);
    }
    for (path, target) in files.iter() {
        match before.get(path) {
            None => put("target", None, Some(path.to_string())),
            Some(was) if was == target => {}
            Some(_) => put("target", Some(path.to_string()), Some(format!("{path}, another file"))),
        }
    }
    alloc::vec![Block::Diff(changes)]
}

/// What a loss, or an absence, would mean.
fn risks(root: &Metadata<Root>, day: Option<Timestamp>) -> Vec<Block> {
    let mut risks = Vec::new();
    for role in [Role::Root, Role::Targets] {
        let keyed = root.body().role(role);
        let keys = keyed.keyids.len() as u64;
        let spare = keys.saturating_sub(keyed.threshold);
        let stop = spare + 1;
        let line = match stop {
            1 => format!("{role}: 1 loss stops you; every key is needed."),
            stop => format!("{role}: {stop} losses stop you; {spare} can be borne."),
        };
        risks.push(Block::Risk(line.into()));
        if keyed.threshold == 1 {
            risks.push(Block::Risk(format!("{role}: one stolen key signs alone.").into()));
        }
    }
    let holders = root.signed().get(HOLDERS).and_then(Value::as_arr).unwrap_or_default();
    let claimed = holders.iter().filter(|person| is_claimed(person)).count();
    if claimed > 0 {
        let line = format!(
            "{claimed} of {} holders' keys: only a PKCS#11 module claims that they are on a token. Nobody attests it.",
            holders.len()
        );
        risks.push(Block::Risk(line.into()));
    }
    if let Some(day) = day {
        let days = day.days_until(root.expires());
        risks.push(Block::Risk(
            format!("The root expires {days} days after the ceremony, on {}.", root.expires().day()).into(),
        ));
    }
    risks
}

/// Whether the payload says that this holder's token cannot attest.
fn is_claimed(person: &Value) -> bool {
    person.get("claim").is_some()
}

/// Who is behind which key id, as the payload says, in its order.
fn people(signed: &Value) -> Vec<(&str, Text)> {
    let mut people = Vec::new();
    for person in signed.get(HOLDERS).and_then(Value::as_arr).unwrap_or_default() {
        let text = |name: &str| person.get(name).and_then(Value::as_str).unwrap_or("");
        let mut who = Text::foreign(text("name")).and(" (").and_foreign(text("handle")).and(")");
        for more in ["organisation", "country"] {
            if !text(more).is_empty() {
                who = who.and(", ").and_foreign(text(more));
            }
        }
        if let Some(serial) = person.get("serial").and_then(Serial::from_value) {
            who = who.and(format!(", token {serial}"));
        }
        if is_claimed(person) {
            who = who.and("; claimed by its PKCS#11 module, NOT attested");
        }
        people.push((text("keyid"), who));
    }
    people
}
