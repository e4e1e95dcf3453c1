//! A plan that continues a root, prefilled from the repository: every key of the root before is named, and what becomes of it.
//!
//! What it writes is read by [`Plan::from_toml`](super::Plan::from_toml). Everything that carries over stands in the text, so
//! that people see it when they read the plan; what the root does not say is taken from the plan of the newest ceremony.

use super::template::{HOLDERS, quoted};
use super::{Claimed, Elsewhere, Holder, Kind, OnlineRole, Plan, PlannedToken, TokenKind};
use crate::key::PublicKey;
use crate::metadata::Role;
use crate::predecessor::Predecessor;
use crate::serial::Serial;
use crate::text::{self, Handle};
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What is to change.
#[derive(Clone, Debug)]
pub struct Carry<'a> {
    /// The name of the ceremony.
    pub name: &'a Handle,
    /// What it is called. Clean text.
    pub title: &'a str,
    /// What is to happen: anything but a genesis.
    pub kind: Kind,
    /// Why. Clean text.
    pub reason: &'a str,
    /// The day of the ceremony; the hour is not used.
    pub day: Timestamp,
    /// The root that is continued.
    pub before: &'a Predecessor,
    /// The plan of the newest ceremony, where there was one.
    pub last: Option<&'a Plan>,
    /// What becomes of holders who do not simply stay.
    pub changes: BTreeMap<Handle, Becomes>,
    /// How many new holders.
    pub add: usize,
    /// How many must sign for root and targets, where that changes.
    pub threshold: Option<u32>,
    /// The name of a new online key for snapshot and timestamp.
    pub online: Option<Handle>,
    /// Whether the online key before signs once more.
    pub overlap: bool,
    /// The highest serial number that any earlier ceremony planned: a rehearsal counts on from it.
    pub used_serial: u32,
    /// What is published elsewhere, where nothing but roots is here.
    pub elsewhere: Option<Elsewhere>,
    /// Whether it is a rehearsal; where there was a plan, as that says.
    pub rehearsal: bool,
}

/// What becomes of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// Gets a new token; the old key signs once more.
    Replaced,
    /// Gets a new token; the old key is lost or stolen, and does not sign.
    Lost,
    /// Leaves, and signs once more.
    Leaves,
    /// Is gone, and does not sign.
    Gone,
}

/// Why there is no such plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarryError {
    /// Nobody of that handle holds a key.
    #[error("{0} holds no key of the root; the holders are {1}")]
    Nobody(Handle, String),
    /// More new holders than there are names.
    #[error("there are no names for {0} more holders; write them into the plan by hand")]
    TooMany(usize),
    /// Text that may not be signed.
    #[error("{0}: {1}")]
    Text(&'static str, text::TextFault),
    /// No online key can be kept.
    #[error(
        "several keys sign the {0}, or a holder's does, so no online key can be kept; it goes to a new one, in a rotation: \
         --rotate --new-online-key NAME --no-overlap"
    )]
    Online(Role),
    /// A genesis continues nothing.
    #[error("a genesis continues nothing")]
    Genesis,
}

/// One key of the root before, and whose it is.
struct Old<'a> {
    handle: Handle,
    name: String,
    key: &'a PublicKey,
    planned: Option<&'a Holder>,
    organisation: Option<String>,
    country: Option<String>,
    token: PlannedToken,
}

/// The plan as TOML, with comments.
///
/// # Errors
/// See [`CarryError`].
pub fn carry(wanted: &Carry<'_>) -> Result<String, CarryError> {
    if wanted.kind == Kind::Genesis {
        return Err(CarryError::Genesis);
    }
    text::check_clean(wanted.title).map_err(|why| CarryError::Text("title", why))?;
    text::check_clean(wanted.reason).map_err(|why| CarryError::Text("reason", why))?;
    let old = holders(wanted);
    if let Some(nobody) = wanted.changes.keys().find(|handle| !old.iter().any(|old| old.handle == **handle)) {
        let known = old.iter().map(|old| old.handle.as_str()).collect::<Vec<_>>().join(", ");
        return Err(CarryError::Nobody(nobody.clone(), known));
    }
    for role in [Role::Snapshot, Role::Timestamp].into_iter().filter(|_| wanted.online.is_none()) {
        if !wanted.before.is_online(role) {
            return Err(CarryError::Online(role));
        }
    }
    let mut out = head(wanted);
    out.push_str(&roles(wanted));
    let mut serials = Serials::of(wanted, &old);
    out.push_str("# The holders of the new root, in the order in which they act. A holder with `key` keeps that key of the root before;\n# one without makes a new one.\n");
    for holder in &old {
        match wanted.changes.get(&holder.handle) {
            None => out.push_str(&stays(holder)),
            Some(Becomes::Replaced | Becomes::Lost) => out.push_str(&renewed(wanted, holder, &mut serials)),
            Some(Becomes::Leaves | Becomes::Gone) => {}
        }
    }
    out.push_str(&added(wanted, &old, &mut serials)?);
    out.push_str(&leaving(wanted, &old));
    out.push_str(&people(wanted));
    Ok(out)
}

/// The holders of the root before, in the order of the newest plan.
fn holders<'a>(wanted: &Carry<'a>) -> Vec<Old<'a>> {
    let mut all: Vec<(usize, Old<'a>)> = Vec::new();
    let mut taken: BTreeSet<Handle> = BTreeSet::new();
    for (i, key) in wanted.before.keys(Role::Root).into_iter().enumerate() {
        let known = wanted.before.known(key);
        let handle = known.handle.as_deref().and_then(|handle| Handle::new(handle).ok());
        let handle = handle.filter(|handle| !taken.contains(handle));
        let numbered = || Handle::new(&format!("holder-{}", i + 1)).ok();
        let Some(handle) = handle.or_else(numbered) else { continue };
        taken.insert(handle.clone());
        let place = wanted.last.and_then(|last| last.holders.iter().position(|holder| holder.handle == handle));
        let planned = place.and_then(|place| wanted.last?.holders.get(place));
        let clean = |text: Option<String>| text.filter(|text| text::check_clean(text).is_ok());
        let name = clean(known.name).unwrap_or_else(|| format!("Holder of {}", key.fingerprint().short()));
        let kind = if wanted.rehearsal { TokenKind::Virtual } else { TokenKind::Yubikey };
        let kind = planned.map_or(kind, |planned| planned.token.kind);
        let serial = known.serial.or(planned.and_then(|planned| planned.token.serial));
        let token = match planned {
            Some(planned) => PlannedToken { serial, ..planned.token.clone() },
            None => PlannedToken { serial, ..PlannedToken::of(kind) },
        };
        let (organisation, country) = (clean(known.organisation), clean(known.country));
        all.push((place.unwrap_or(usize::MAX), Old { handle, name, key, planned, organisation, country, token }));
    }
    all.sort_by(|a, b| (a.0, &a.1.handle).cmp(&(b.0, &b.1.handle)));
    all.into_iter().map(|(_, old)| old).collect()
}

fn head(wanted: &Carry<'_>) -> String {
    let what = if wanted.rehearsal {
        "# The plan of a REHEARSAL. Its keys are virtual, and nothing signed here is ever valid in production."
    } else {
        "# The plan of a ceremony that continues a trust root. Everybody who takes part reads it before the day; it is frozen when\n# the ceremony opens."
    };
    let follows = wanted.before.follows();
    let trust_root = wanted.last.map_or("Our project", |last| last.trust_root.as_str());
    let targets = follows.targets.map_or(String::new(), |digest| format!("targets = \"{digest}\"\n"));
    let elsewhere = wanted.elsewhere.map_or(String::new(), |Elsewhere { targets, snapshot, timestamp }| {
        format!(
            "# The newest versions that are published elsewhere; the next go on from them.\n\
             elsewhere = {{ targets = {targets}, snapshot = {snapshot}, timestamp = {timestamp} }}\n"
        )
    });
    format!(
        "{what}
# Check it with: trustroot plan lint FILE

format = 1
name = \"{name}\"
title = {title}
trust_root = {trust_root}
kind = \"{kind}\"             # renew: every key stays; rotate: planned change; recover: lost, stolen, compromised, gone
reason = {reason}    # signed into the root, and public for ever
day = \"{day}\"
rehearsal = {rehearsal}

# The root that is continued. If another is published before the day, this plan is refused, and written anew.
[follows]
version = {version}
root = \"{root}\"
{targets}{elsewhere}",
        name = wanted.name,
        title = quoted(wanted.title),
        trust_root = quoted(trust_root),
        kind = wanted.kind.name(),
        reason = quoted(wanted.reason),
        day = wanted.day.day(),
        rehearsal = wanted.rehearsal,
        version = follows.version,
        root = follows.root,
    )
}

fn roles(wanted: &Carry<'_>) -> String {
    let day = wanted.day;
    // Not before the root that is there: a rehearsal may renew on the day of the genesis.
    let later = wanted.before.root.expires().plus_days(1);
    let year = day.plus_days(365).max(later);
    let threshold =
        |role: Role| wanted.threshold.map_or(wanted.before.threshold(role), |n| usize::try_from(n).unwrap_or(0));
    let mut out = format!(
        "
# The new root meets its own threshold and that of root {version}, which is {old}.
[root]
threshold = {root}
expires = \"{year}\"

[targets]
threshold = {targets}
expires = \"{year}\"

",
        version = wanted.before.root.version(),
        old = wanted.before.threshold(Role::Root),
        root = threshold(Role::Root),
        targets = threshold(Role::Targets),
        year = year.day(),
    );
    for (name, role, last, days) in [
        ("snapshot", Role::Snapshot, wanted.last.map(|last| &last.snapshot), 30),
        ("timestamp", Role::Timestamp, wanted.last.map(|last| &last.timestamp), 14),
    ] {
        out.push_str(&online(wanted, name, role, last, day.plus_days(days)));
    }
    out.push_str(&policy(wanted));
    out
}

fn online(wanted: &Carry<'_>, name: &str, role: Role, last: Option<&OnlineRole>, expires: Timestamp) -> String {
    // A root that others made may give the two roles a key each, and names for them there are none.
    let both = wanted.before.keys(Role::Snapshot) == wanted.before.keys(Role::Timestamp);
    let unnamed = || if both { "online".to_string() } else { format!("online-{name}") };
    let before = last.map_or_else(unnamed, |last| last.key.to_string());
    let expires = expires.day();
    match &wanted.online {
        Some(new) if wanted.overlap && wanted.before.is_online(role) => format!(
            "# A new key takes over; the one before signs once more beside it, for clients in the middle of their requests.\n\
             [{name}]\nkey = \"{new}\"\nbefore = \"{before}\"\nexpires = \"{expires}\"\n\n"
        ),
        Some(new) => format!("# A new key takes over at once.\n[{name}]\nkey = \"{new}\"\nexpires = \"{expires}\"\n\n"),
        None => {
            let kept = wanted.before.keys(role).first().map(|key| key.fingerprint());
            let kept = kept.map_or(String::new(), |kept| format!("keeps = \"{kept}\"\n"));
            format!("[{name}]\nkey = \"{before}\"\n{kept}expires = \"{expires}\"\n\n")
        }
    }
}

fn policy(wanted: &Carry<'_>) -> String {
    let (firmware, attestation) = match wanted.last.map(|last| &last.tokens) {
        Some(tokens) => {
            let (major, minor, patch) = tokens.minimum_firmware;
            let required = tokens.attestation == super::Attestation::Required;
            (format!("{major}.{minor}.{patch}"), if required { "required" } else { "optional" })
        }
        None => ("5.7.0".to_string(), "required"),
    };
    let seats = wanted.last.map(|last| &last.seats);
    let seat = |handle: Option<&Handle>, or: &str| handle.map_or(or.to_string(), ToString::to_string);
    let witnesses = seats.map_or_else(
        || "\"quinn\"".to_string(),
        |seats| seats.witnesses.iter().map(|witness| format!("\"{witness}\"")).collect::<Vec<_>>().join(", "),
    );
    format!(
        "# What a new token has to be.
[tokens]
algorithm = \"ecdsa-p256\"
pin = \"always\"
touch = \"always\"
minimum_firmware = \"{firmware}\"
attestation = \"{attestation}\"

# Who sits where. The scribe is never the conductor.
[seats]
conductor = \"{conductor}\"
scribe = \"{scribe}\"
witnesses = [{witnesses}]

",
        conductor = seat(seats.map(|seats| &seats.conductor), "olga"),
        scribe = seat(seats.map(|seats| &seats.scribe), "peter"),
    )
}

fn token(token: &PlannedToken) -> String {
    let kind = match token.kind {
        TokenKind::Yubikey => "yubikey",
        TokenKind::Pkcs11 => "pkcs11",
        TokenKind::Virtual => "virtual",
    };
    let mut out = format!("token = {{ kind = \"{kind}\"");
    let mut put = |name: &str, value: String| out.push_str(&format!(", {name} = {value}"));
    if let Some(module) = &token.module {
        put("module", quoted(module));
    }
    if let Some(label) = &token.label {
        put("label", quoted(label));
    }
    if let Some(serial) = &token.serial {
        put("serial", serial.as_text().map_or_else(|| serial.to_string(), quoted));
    }
    if let Some(slot) = token.slot {
        put("slot", quoted(&slot.to_string()));
    }
    if let Some(algorithm) = token.algorithm {
        put("algorithm", quoted(algorithm.name()));
    }
    if let Some(id) = &token.key {
        put("key", quoted(id));
    }
    if let Some(Claimed::Claimed) = token.attestation {
        put("attestation", quoted("claimed"));
    }
    out.push_str(" }\n");
    out
}

/// Everything about a holder but key and token.
fn person(old: &Old<'_>) -> String {
    let mut out = format!("[[holders]]\nhandle = \"{}\"\nname = {}\n", old.handle, quoted(&old.name));
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            out.push_str(&format!("{name} = {}\n", quoted(value)));
        }
    };
    put("organisation", old.organisation.as_deref());
    put("country", old.country.as_deref().filter(|country| country.len() == 2));
    put("ssh", old.planned.and_then(|planned| planned.ssh.as_deref()));
    let ends = old.planned.and_then(|planned| planned.term_ends).map(Timestamp::day);
    put("term_ends", ends.as_deref());
    out
}

fn stays(old: &Old<'_>) -> String {
    format!("{}key = \"{}\"\n{}\n", person(old), old.key.fingerprint(), token(&old.token))
}

fn renewed(wanted: &Carry<'_>, old: &Old<'_>, serials: &mut Serials) -> String {
    // Behind a module the new key may be on the same token; whoever brings another edits the label.
    let serial = if old.token.kind == TokenKind::Virtual { serials.next(wanted).map(Serial::from) } else { None };
    let same = old.token.serial.filter(|_| old.token.label.is_none() && old.token.kind == TokenKind::Pkcs11);
    let new = PlannedToken { serial: serial.or(same), key: None, ..old.token.clone() };
    format!(
        "# {} makes a key on a new token; the old key is under [[leaving]].\n{}{}\n",
        old.handle,
        person(old),
        token(&new)
    )
}

fn added(wanted: &Carry<'_>, old: &[Old<'_>], serials: &mut Serials) -> Result<String, CarryError> {
    let free = HOLDERS.iter().filter(|[handle, ..]| !old.iter().any(|old| old.handle.as_str() == *handle));
    let new: Vec<_> = free.take(wanted.add).collect();
    if new.len() < wanted.add {
        return Err(CarryError::TooMany(wanted.add));
    }
    let kind = if wanted.rehearsal { TokenKind::Virtual } else { TokenKind::Yubikey };
    let mut out = String::new();
    for [handle, name, organisation, country] in new {
        let token = token(&PlannedToken { serial: serials.next(wanted).map(Serial::from), ..PlannedToken::of(kind) });
        let edit = if wanted.rehearsal { "" } else { "# This person does not exist: put yours in their place.\n" };
        out.push_str(&format!(
            "{edit}[[holders]]\nhandle = \"{handle}\"\nname = \"{name}\"\norganisation = \"{organisation}\"\ncountry = \"{country}\"\n{token}\n"
        ));
    }
    Ok(out)
}

fn leaving(wanted: &Carry<'_>, old: &[Old<'_>]) -> String {
    let mut out = String::new();
    for old in old {
        let Some(becomes) = wanted.changes.get(&old.handle) else { continue };
        let signs = matches!(becomes, Becomes::Replaced | Becomes::Leaves);
        if out.is_empty() {
            out.push_str("# The keys that the new root no longer names, and whether each signs once more for the threshold of the root before.\n");
        }
        out.push_str(&format!(
            "[[leaving]]\nhandle = \"{}\"\nname = {}\nkey = \"{}\"\nsigns = {signs}\n{}\n",
            old.handle,
            quoted(&old.name),
            old.key.fingerprint(),
            token(&old.token)
        ));
    }
    out
}

fn people(wanted: &Carry<'_>) -> String {
    let Some(last) = wanted.last else { return super::template::PEOPLE.to_string() };
    let mut out = String::new();
    let mut put = |handle: &Handle, name: &str, ssh: Option<&str>| {
        let ssh = ssh.map_or(String::new(), |ssh| format!("ssh = {}\n", quoted(ssh)));
        out.push_str(&format!("[[people]]\nhandle = \"{handle}\"\nname = {}\n{ssh}\n", quoted(name)));
    };
    for person in &last.people {
        put(&person.handle, &person.name, person.ssh.as_deref());
    }
    // Who leaves as a holder may keep a seat.
    let seats = [&last.seats.conductor, &last.seats.scribe].into_iter().chain(&last.seats.witnesses);
    for handle in seats.collect::<BTreeSet<_>>() {
        let gone = matches!(wanted.changes.get(handle), Some(Becomes::Leaves | Becomes::Gone));
        if let Some(holder) = last.holder(handle).filter(|_| gone) {
            put(handle, &holder.name, holder.ssh.as_deref());
        }
    }
    out
}

/// Serial numbers for the virtual tokens of a rehearsal, none of them used before.
struct Serials(u32);

impl Serials {
    fn of(wanted: &Carry<'_>, old: &[Old<'_>]) -> Self {
        Self(
            old.iter().filter_map(|old| old.token.serial?.number()).max().unwrap_or(90_000_000).max(wanted.used_serial),
        )
    }

    fn next(&mut self, wanted: &Carry<'_>) -> Option<u32> {
        self.0 = self.0.saturating_add(1);
        wanted.rehearsal.then_some(self.0)
    }
}

#[cfg(test)]
mod tests;
