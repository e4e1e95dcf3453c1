//! The lint of a plan: what is wrong, and what is unwise, before anybody meets.
//!
//! Rules:
//! 1. Each finding names a `PLAN-…` check. [`Level::Refused`] stops a ceremony from opening; the rest is for people.
//! 2. Nothing is decided by the clock of this machine: without `now`, nothing is said about the past.
//! 3. Findings come in the order of the checks below, and by holder in the order of the plan.

use super::{Attestation, KeyKind, Plan, TokenKind, lint_follows};
use crate::check::{Check, Finding, Level};
use crate::page::Text;
use crate::text::Handle;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The firmware from which YubiKeys do not leak ECDSA keys through a side channel (EUCLEAK, YSA-2024-03).
pub const SAFE_FIRMWARE: (u8, u8, u8) = (5, 7, 0);
/// Root and targets may expire so many years after the day without a word.
pub const YEARS_EXPECTED: u16 = 2;
/// Root and targets may not expire later than so many years after the day.
pub const YEARS_MOST: u16 = 5;
/// A snapshot may expire so many years after the day without a word.
pub const SNAPSHOT_YEARS: u16 = 1;
/// A timestamp may expire so many days after the day without a word: for so long an old state can be passed off as new.
pub const TIMESTAMP_DAYS: i64 = 92;

/// Everything that is wrong or unwise about the plan. With `now`, also what is over.
pub fn lint(plan: &Plan, now: Option<Timestamp>) -> Vec<Finding> {
    let mut found = Vec::new();
    lint_follows::alone(plan, &mut found);
    thresholds(plan, &mut found);
    diversity(plan, &mut found);
    expiry(plan, now, &mut found);
    terms(plan, &mut found);
    seats(plan, &mut found);
    people(plan, &mut found);
    tokens(plan, &mut found);
    found
}

fn thresholds(plan: &Plan, found: &mut Vec<Finding>) {
    let holders = plan.holders.len();
    for (role, threshold) in [("root", plan.root.threshold), ("targets", plan.targets.threshold)] {
        let needed = usize::try_from(threshold).unwrap_or(usize::MAX);
        let report = |level, check, what: String| Finding::new(level, check, role, what);
        if needed == 0 {
            let what = "a threshold of 0: metadata that nobody signed would be valid".to_string();
            found.push(report(Level::Refused, Check::PlanThreshold, what));
        } else if needed > holders {
            let what = format!("a threshold of {threshold} with {holders} {}: it can never be met", plural(holders));
            found.push(report(Level::Refused, Check::PlanThreshold, what));
        } else {
            if needed == 1 {
                let what = "a threshold of 1: each holder alone can sign anything".to_string();
                found.push(report(Level::Warning, Check::PlanThreshold, what).hint("2 of 3 and 3 of 5 are usual"));
            }
            if needed == holders {
                let what = format!("a threshold of {threshold} with {holders} {}: 1 loss stops you", plural(holders));
                let hint = "invite more holders than must sign";
                found.push(report(Level::Warning, Check::PlanMargin, what).hint(hint));
            }
        }
    }
}

fn plural(holders: usize) -> &'static str {
    if holders == 1 { "holder" } else { "holders" }
}

fn diversity(plan: &Plan, found: &mut Vec<Finding>) {
    let organisation = plan.holders.iter().map(|holder| holder.organisation.as_deref());
    let country = plan.holders.iter().map(|holder| holder.country.as_deref());
    for (of, values) in [("organisation", organisation.collect::<Vec<_>>()), ("country", country.collect())] {
        // "ACME" and "Acme" are one organisation; the first spelling is shown.
        let mut groups: BTreeMap<String, (&str, usize)> = BTreeMap::new();
        for value in values.iter().flatten() {
            groups.entry(value.to_lowercase()).or_insert((value, 0)).1 += 1;
        }
        for (role, threshold) in [("root", plan.root.threshold), ("targets", plan.targets.threshold)] {
            // At a threshold of 1 everybody can, which is said elsewhere.
            let needed = usize::try_from(threshold).unwrap_or(usize::MAX).max(2);
            for (name, count) in groups.values().filter(|(_, count)| *count >= needed) {
                let what = Text::own(format!("{count} holders have the {of} \""))
                    .and_foreign(*name)
                    .and(format!("\" and can reach the threshold of {threshold} without anybody else"));
                found.push(Finding::new(Level::Warning, Check::PlanDiversity, role, what));
            }
        }
        let silent = values.iter().filter(|value| value.is_none()).count();
        if silent > 0 {
            let what =
                format!("{silent} of {} holders state no {of}, so it is not known who they stand for", values.len());
            found.push(Finding::new(Level::Note, Check::PlanDiversity, of, what));
        }
    }
}

/// Whether `later` is more than so many calendar years after `day`. Both are starts of days.
fn beyond(day: Timestamp, years: u16, later: Timestamp) -> bool {
    let from = day.day();
    let year: u16 = from[..4].parse().unwrap_or(9999);
    // Days of this form are ordered as texts; 29 February plus a year is before 1 March and after 28 February.
    later.day() > format!("{:04}{}", year.saturating_add(years).min(9999), &from[4..])
}

fn expiry(plan: &Plan, now: Option<Timestamp>, found: &mut Vec<Finding>) {
    let roles = [
        ("timestamp", plan.timestamp.expires),
        ("snapshot", plan.snapshot.expires),
        ("targets", plan.targets.expires),
        ("root", plan.root.expires),
    ];
    let mut report = |level, subject: &str, what: String, hint: Option<&str>| {
        let finding = Finding::new(level, Check::PlanExpiry, subject, what);
        found.push(if let Some(hint) = hint { finding.hint(hint) } else { finding });
    };
    if let Some(now) = now
        && now > plan.day.plus_days(2)
    {
        // The day lasts a day, and then "more than a day" is over.
        report(
            Level::Warning,
            "day",
            format!("the day, {}, is over", plan.day.day()),
            Some("set the day that is meant"),
        );
    }
    for (role, expires) in roles {
        let on = expires.day();
        if expires <= plan.day {
            let what = format!("it expires on {on}, not after the day of the ceremony, {}", plan.day.day());
            report(Level::Refused, role, what, None);
        } else if now.is_some_and(|now| expires <= now) {
            report(Level::Refused, role, format!("it has expired on {on} already"), None);
        }
        let offline = matches!(role, "root" | "targets");
        let fresh = "for so long an old state can be passed off as new";
        if offline && beyond(plan.day, YEARS_MOST, expires) {
            let what = format!("it expires on {on}, more than {YEARS_MOST} years after the ceremony");
            report(Level::Refused, role, what, Some("holders and algorithms do not last so long; meet again"));
        } else if offline && beyond(plan.day, YEARS_EXPECTED, expires) {
            let what = format!("it expires on {on}, more than {YEARS_EXPECTED} years after the ceremony");
            report(Level::Warning, role, what, Some("people who meet rarely forget how; a year is usual"));
        } else if role == "snapshot" && beyond(plan.day, SNAPSHOT_YEARS, expires) {
            let what = format!("it expires on {on}, more than {SNAPSHOT_YEARS} year after the ceremony: {fresh}");
            report(Level::Warning, role, what, None);
        } else if role == "timestamp" && plan.day.days_until(expires) > TIMESTAMP_DAYS {
            let what = format!("it expires on {on}, more than {TIMESTAMP_DAYS} days after the ceremony: {fresh}");
            report(Level::Warning, role, what, None);
        }
    }
    for pair in roles.windows(2) {
        let [(sooner, expires), (later, limit)] = pair else { continue };
        if expires > limit {
            let what = format!("it expires on {}, after {later} ({})", expires.day(), limit.day());
            report(Level::Warning, sooner, what, Some("online roles expire before offline ones, and root last"));
        }
    }
}

fn terms(plan: &Plan, found: &mut Vec<Finding>) {
    for holder in &plan.holders {
        let Some(ends) = holder.term_ends else { continue };
        let subject = holder.handle.as_str();
        if ends <= plan.day {
            let what = format!("the term ends on {}, not after the day of the ceremony", ends.day());
            found.push(Finding::new(Level::Refused, Check::PlanTerm, subject, what));
        } else if ends < plan.root.expires {
            let what =
                format!("the term ends on {}, before the root expires ({})", ends.day(), plan.root.expires.day());
            let hint = "plan the next ceremony before the term ends, or let the root expire sooner";
            found.push(Finding::new(Level::Warning, Check::PlanTerm, subject, what).hint(hint));
        }
    }
}

fn seats(plan: &Plan, found: &mut Vec<Finding>) {
    let seats = &plan.seats;
    let mut report = |level, subject: &str, what: String| {
        found.push(Finding::new(level, Check::PlanSeats, subject, what));
    };
    let known =
        |handle: &Handle| plan.holder(handle).is_some() || plan.people.iter().any(|person| person.handle == *handle);
    let officers = [("conductor", &seats.conductor), ("scribe", &seats.scribe)];
    let witnesses = seats.witnesses.iter().map(|handle| ("witness", handle));
    for (seat, handle) in officers.into_iter().chain(witnesses) {
        if !known(handle) {
            report(Level::Refused, seat, format!("{handle} is neither a holder nor one of the people"));
        }
    }
    if seats.conductor == seats.scribe {
        let what = format!("{} is conductor and scribe; who runs the ceremony may not be who records it", seats.scribe);
        report(Level::Refused, "scribe", what);
    }
    for (seat, handle) in officers {
        if plan.holder(handle).is_some() {
            report(Level::Note, seat, format!("{handle} is also a holder"));
        }
        if seats.witnesses.contains(handle) {
            report(Level::Warning, "witness", format!("{handle} is also the {seat}, and watches nobody else"));
        }
    }
    let mut seen = BTreeSet::new();
    for handle in seats.witnesses.iter().filter(|handle| !seen.insert(*handle)) {
        report(Level::Refused, "witness", format!("{handle} is named twice"));
    }
    if seats.witnesses.is_empty() {
        report(Level::Note, "witness", "nobody is invited to watch".to_string());
    }
    for person in &plan.people {
        let handle = &person.handle;
        if *handle != seats.conductor && *handle != seats.scribe && !seats.witnesses.contains(handle) {
            report(Level::Note, handle.as_str(), "has no seat".to_string());
        }
    }
}

fn people(plan: &Plan, found: &mut Vec<Finding>) {
    let holders = plan.holders.iter().map(|h| (&h.handle, h.name.as_str(), h.ssh.as_deref()));
    let others = plan.people.iter().map(|p| (&p.handle, p.name.as_str(), p.ssh.as_deref()));
    let mut report = |level, handle: &Handle, what: Text| {
        found.push(Finding::new(level, Check::PlanPeople, handle.as_str(), what));
    };
    let (mut handles, mut names, mut keys) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    let mut without_key: Vec<&str> = Vec::new();
    for (handle, name, ssh) in holders.chain(others) {
        if !handles.insert(handle) {
            report(Level::Refused, handle, "the handle is given to two people".into());
        }
        if let Some(other) = names.insert(name.to_lowercase(), handle) {
            let what = Text::own("has the name \"").and_foreign(name).and(format!("\", as {other} has"));
            report(Level::Refused, handle, what);
        }
        match ssh.map(ssh_key) {
            None => without_key.push(handle.as_str()),
            Some(Err(why)) => report(Level::Refused, handle, why.into()),
            Some(Ok(key)) => {
                if let Some(other) = keys.insert(key, handle) {
                    report(Level::Refused, handle, format!("has the SSH key of {other}").into());
                }
            }
        }
    }
    let mut serials = BTreeMap::new();
    let leaving = plan.leaving.iter().map(|leaving| (&leaving.handle, &leaving.token));
    for (handle, token) in plan.holders.iter().map(|holder| (&holder.handle, &holder.token)).chain(leaving) {
        let Some(serial) = token.serial else { continue };
        if let Some(other) = serials.insert((token.kind, serial), handle) {
            report(Level::Refused, handle, format!("has the token of {other}, serial {serial}").into());
        }
    }
    if !without_key.is_empty() {
        let what = format!("what these state in the record is not signed: {}", without_key.join(", "));
        let finding = Finding::new(Level::Note, Check::PlanPeople, "ssh", what);
        found.push(finding.hint("add their SSH public keys to the plan"));
    }
}

/// The key of an OpenSSH line in its binary form, without the comment.
fn ssh_key(line: &str) -> Result<Vec<u8>, &'static str> {
    use ssh_key::{Algorithm, EcdsaCurve, PublicKey};
    let key = PublicKey::from_openssh(line).map_err(|_| "the SSH public key cannot be read")?;
    match key.algorithm() {
        Algorithm::Ed25519
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256
        | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 } => {
            key.to_bytes().map_err(|_| "the SSH public key cannot be read")
        }
        _ => Err(
            "the SSH public key is of a kind that is not taken; Ed25519 and ECDSA P-256 are, with or without \"sk\"",
        ),
    }
}

fn tokens(plan: &Plan, found: &mut Vec<Finding>) {
    let policy = &plan.tokens;
    if policy.minimum_firmware < SAFE_FIRMWARE {
        let (major, minor, patch) = policy.minimum_firmware;
        let what = format!(
            "firmware from {major}.{minor}.{patch} is taken; before 5.7.0 a YubiKey's ECDSA keys can be copied by who \
             holds it for a while (EUCLEAK)"
        );
        let finding = Finding::new(Level::Warning, Check::PlanToken, "minimum_firmware", what);
        found.push(finding.hint("minimum_firmware = \"5.7.0\""));
    }
    if policy.attestation == Attestation::Optional {
        let what = "keys without attestation are taken: nothing shows that they were made on a token";
        let finding = Finding::new(Level::Warning, Check::PlanToken, "attestation", what);
        found.push(finding.hint("attestation = \"required\""));
    }
    for name in &policy.waive {
        let what = format!("keys that {name} concerns are taken: the plan waives it");
        let finding = Finding::new(Level::Warning, Check::PlanToken, "waive", what);
        found.push(finding.hint("bring tokens that it does not concern"));
    }
    let holders = plan.holders.iter().map(|holder| (&holder.handle, &holder.token, holder.key.is_none()));
    let leaving = plan.leaving.iter().map(|leaving| (&leaving.handle, &leaving.token, false));
    for (handle, token, makes) in holders.chain(leaving) {
        let subject = handle.as_str();
        let mut report = |level, what: &str, hint: &str| {
            found.push(Finding::new(level, Check::PlanToken, subject, what).hint(hint));
        };
        match (token.kind, plan.rehearsal) {
            (TokenKind::Virtual, false) => {
                report(
                    Level::Refused,
                    "a virtual token in production: its key is known to everybody",
                    "name a real token",
                );
            }
            (TokenKind::Yubikey | TokenKind::Pkcs11, true) => {
                let hint = "use a key made for the rehearsal only; it is refused in production for ever";
                report(Level::Warning, "a real token in a rehearsal", hint);
            }
            _ => {}
        }
        // What was said of a key when it was made is not said again.
        if !makes {
            continue;
        }
        key_kind(plan.key_kind(token), token.kind, &mut report);
        if token.kind.attests() {
            continue;
        }
        if token.attestation.is_some() {
            let what = "the key is taken on its module's claim, which proves nothing; everybody who verifies is told";
            report(Level::Warning, what, "a YubiKey attests its key");
        } else if policy.attestation == Attestation::Required {
            let hint = "attestation = \"claimed\" for this token, which everybody who verifies is told, or a YubiKey";
            report(Level::Refused, "a token behind PKCS#11 cannot attest its key, and attestation is required", hint);
        }
        if token.key.is_some() {
            let what = "the key was made before the ceremony, and nobody here saw that it has no copy";
            report(Level::Warning, what, "leave `key` out, and the ceremony generates one where the module can");
        }
    }
}

/// Whether tokens of this kind make such keys, and whether clients understand them.
fn key_kind(key: KeyKind, token: TokenKind, report: &mut impl FnMut(Level, &str, &str)) {
    match key {
        KeyKind::EcdsaP256 => {}
        KeyKind::Ed25519 if !token.attests() => {}
        KeyKind::Ed25519 => {
            let what = "an Ed25519 key: tokens of this kind make ECDSA P-256 keys here";
            report(Level::Refused, what, "algorithm = \"ecdsa-p256\"");
        }
        KeyKind::EcdsaP384 => {
            let what = "an ECDSA P-384 key: one such key, and clients built on tough refuse the whole root";
            report(Level::Refused, what, "algorithm = \"ecdsa-p256\" or \"ed25519\"");
        }
        KeyKind::RsaPss3072 => {
            let what = "an RSA key: clients understand it, but this version proposes no root with one";
            report(Level::Refused, what, "algorithm = \"ecdsa-p256\" or \"ed25519\"");
        }
    }
}

#[cfg(test)]
mod tests;
