//! The holders of a history, and the attestations that prove where their keys were made.
//!
//! Rules:
//! 1. An attestation may lie in any commit and under any name: it proves itself, down from a pinned anchor. It is bound to a
//!    holder if the attested key is a key of the role root.
//! 2. The serial number in the name of the file or of its folder, and a public key beside it, have to be the attested ones.
//! 3. Nobody asked these holders for what our plans ask for: what an attestation lacks is a warning, as is a key without
//!    one.

use super::Ask;
use super::files::{Files, is_named_like_a_key};
use super::past::{Folder, Past};
use super::report::{Attestation, AttestationFacts, HolderLife, Seen};
use super::roots::Chain;
use super::sightings::Sightings;
use super::told::Tell;
use crate::attestation::advisories;
use crate::attestation::anchor::{Anchors, certificate_from_pem};
use crate::attestation::found::pairs;
use crate::attestation::verify::{Examined, Expected, Facts, examine, read};
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::metadata::Role;
use crate::text::escape;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where some repositories name the owner of a key.
const OWNER: &str = "x-tuf-on-ci-keyowner";
/// The signing slot.
const SLOT: &str = "9c";
/// The most certificates and public keys of one folder that are looked at.
const MAX_KEYS: usize = 1024;

/// Looks at all attestations and all holders.
pub(super) fn look(
    files: &Files<'_>,
    chain: &Chain,
    sightings: &Sightings<'_>,
    ask: &Ask<'_>,
    tell: &mut Tell,
) -> (Vec<Attestation>, Vec<HolderLife>) {
    let mut holders = holders(chain);
    let mut found = Vec::new();
    let anchors = Anchors::pinned();
    for pair in all_pairs(files.past, tell) {
        let attestation = judge(files.past, &pair, &holders, &anchors, ask, tell);
        found.push(attestation);
    }
    for holder in holders.values_mut() {
        let proves = |one: &Attestation| {
            one.holds && one.facts.as_ref().is_some_and(|facts| facts.fingerprint == holder.fingerprint)
        };
        holder.proof = found.iter().position(proves);
        if holder.proof.is_none() {
            let owner = holder.owner.as_ref().map_or(String::new(), |owner| format!(" of {owner}"));
            let what =
                format!("nothing shows that the key{owner} was made on a token; it is in {}", versions(&holder.roots));
            let seen = chain.roots.iter().filter(|(version, _)| holder.roots.contains(version));
            let seen = seen.filter_map(|(_, (blob, _))| Some(sightings.best(*blob)?.seen(files.past)));
            let finding = Finding::new(Level::Warning, Check::AttMissing, holder.fingerprint.to_string(), what)
                .hint("ask the holder for the attestation; the token makes it again at any time");
            tell.found(finding, seen.collect());
        }
    }
    (found, holders.into_values().collect())
}

/// Versions in words: `roots 1 to 4 and 7`.
pub(super) fn versions(versions: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for version in versions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *version => *last = *version,
            _ => runs.push((*version, *version)),
        }
    }
    let many = versions.len() > 1;
    let runs: Vec<String> =
        runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a} to {b}") }).collect();
    match runs.as_slice() {
        [] => "no root".to_string(),
        [one] if !many => format!("root {one}"),
        [one] => format!("roots {one}"),
        [start @ .., last] => format!("roots {} and {last}", start.join(", ")),
    }
}

/// Everybody with a key of the role root, in the order in which they came.
fn holders(chain: &Chain) -> BTreeMap<(u64, PublicKey), HolderLife> {
    let mut first: BTreeMap<PublicKey, u64> = BTreeMap::new();
    let mut holders: BTreeMap<(u64, PublicKey), HolderLife> = BTreeMap::new();
    for (version, (_, root)) in &chain.roots {
        let role = root.body().role(Role::Root);
        let Ok(keys) = &role.keys else { continue };
        let report = chain.report.roots.iter().find(|report| report.number == *version);
        let signers = report.and_then(|report| report.facts.as_ref()).map(|facts| facts.signers.as_slice());
        for key in keys.keys() {
            let came = *first.entry(key.clone()).or_insert(*version);
            let holder = holders.entry((came, key.clone())).or_insert_with(|| HolderLife {
                fingerprint: key.fingerprint(),
                owner: None,
                roots: Vec::new(),
                signed: 0,
                proof: None,
            });
            holder.roots.push(*version);
            let signed = signers.unwrap_or_default().iter().any(|signer| signer.key == *key && signer.for_own);
            holder.signed += usize::from(signed);
            let of_key = root.body().keys().values().filter(|one| one.public() == Some(key));
            let owner = of_key.filter_map(|one| one.value().get(OWNER)?.as_str()).next();
            holder.owner = owner.map(escape).or(holder.owner.take());
        }
    }
    holders
}

/// The certificate of a slot and of its device, as they lay together.
struct Pair {
    moment: usize,
    folder: String,
    name: String,
    slot: (usize, Vec<u8>),
    device: Option<(usize, Vec<u8>)>,
    /// The public keys beside it that are meant for it.
    keys: Vec<(String, usize, PublicKey)>,
}

/// Every different pair, in the order of moments.
fn all_pairs(past: &Past, tell: &mut Tell) -> Vec<Pair> {
    let mut found: BTreeMap<(Digest, Digest), Pair> = BTreeMap::new();
    let mut alone: BTreeMap<Digest, (usize, Seen)> = BTreeMap::new();
    past.walk(|moment, _, state| {
        for path in state.touched() {
            let keys = past.changed(moment, path).any(|(name, _)| is_named_like_a_key(name));
            let Some(folder) = state.folder(path).filter(|_| keys) else { continue };
            for pair in pairs_in(past, moment, path, folder) {
                let slot = Digest::of(&pair.slot.1);
                let Some(device) = &pair.device else {
                    let seen = Seen::at(past, moment, &joined(path, &pair.name), Some(pair.slot.0));
                    let known = alone.entry(slot).or_insert_with(|| (moment, seen.clone()));
                    if moment < known.0 {
                        *known = (moment, seen);
                    }
                    continue;
                };
                let key = (slot, Digest::of(&device.1));
                if found.get(&key).is_none_or(|known| pair.moment < known.moment) {
                    found.insert(key, pair);
                }
            }
        }
    });
    let paired: BTreeSet<Digest> = found.keys().map(|(slot, _)| *slot).collect();
    for (_, seen) in alone.into_iter().filter(|(slot, _)| !paired.contains(slot)).map(|(_, alone)| alone) {
        let what = "the certificate of its device is not beside it, so nobody can follow it to its maker";
        let finding = Finding::new(Level::Warning, Check::AttChain, seen.path.clone(), what)
            .hint("ask the holder for the certificate of slot f9");
        tell.found(finding, Vec::from([seen]));
    }
    let mut found: Vec<Pair> = found.into_values().collect();
    found.sort_by(|a, b| (a.moment, &a.folder, &a.name).cmp(&(b.moment, &b.folder, &b.name)));
    found
}

/// Where a document begins in PEM.
const BEGIN: &str = "-----BEGIN ";

/// The documents of a PEM file, each by itself: some keep a whole chain in one.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().copied().skip(1).chain([text.len()]).collect();
    // What stands between two documents is about the next.
    starts.into_iter().zip(ends).filter_map(move |(from, to)| {
        let one = text.get(from..to)?;
        let last = one.rfind("-----")?;
        one.get(..last + 5)
    })
}

/// The certificates of slots in a folder, each with that of its device.
fn pairs_in(past: &Past, moment: usize, path: &str, folder: &Folder<'_>) -> Vec<Pair> {
    let mut certificates: Vec<(&str, usize, Vec<u8>)> = Vec::new();
    let mut keys: Vec<(&str, usize, PublicKey)> = Vec::new();
    for (name, blob) in folder.keys().take(MAX_KEYS) {
        let bytes = past.bytes(blob);
        let Some(text) = core::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN)) else {
            certificates.push((name, blob, bytes.to_vec()));
            continue;
        };
        for one in documents(text).take(MAX_KEYS) {
            if let Ok(key) = PublicKey::from_pem(one) {
                keys.push((name, blob, key));
            } else if let Some(der) = certificate_from_pem(one) {
                certificates.push((name, blob, der));
            }
        }
    }
    let ders: Vec<&[u8]> = certificates.iter().map(|(_, _, der)| der.as_slice()).collect();
    let pairs = pairs(&ders);
    let one = |(slot, device): &(usize, Option<usize>)| {
        let (name, blob, der) = certificates.get(*slot)?;
        let meant = |key: &&(&str, usize, PublicKey)| {
            pairs.len() == 1 || serial_in(key.0).is_some_and(|serial| serial_in(name) == Some(serial))
        };
        let keys = keys.iter().filter(meant).map(|(name, blob, key)| ((*name).to_string(), *blob, key.clone()));
        let device = device.and_then(|device| certificates.get(device)).map(|(_, blob, der)| (*blob, der.clone()));
        Some(Pair {
            moment,
            folder: path.to_string(),
            name: (*name).to_string(),
            slot: (*blob, der.clone()),
            device,
            keys: keys.collect(),
        })
    };
    pairs.iter().filter_map(one).collect()
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

/// The serial number that the name of a file or of a folder begins with. Tokens that attest have serial numbers of seven digits
/// and more; a number that is shorter counts something else, and one that is a day (`20210618`) says when.
fn serial_in(name: &str) -> Option<u32> {
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    let rest = name.get(digits.len()..).unwrap_or_default();
    if digits.len() < 7 || !(rest.is_empty() || rest.starts_with(['_', '-', '.'])) {
        return None;
    }
    let day = || Some(format!("{}-{}-{}", digits.get(..4)?, digits.get(4..6)?, digits.get(6..8)?));
    let is_day =
        digits.len() == 8 && digits.starts_with("20") && day().is_some_and(|day| Timestamp::from_day(&day).is_ok());
    if is_day { None } else { digits.parse().ok() }
}

fn judge(
    past: &Past,
    pair: &Pair,
    holders: &BTreeMap<(u64, PublicKey), HolderLife>,
    anchors: &Anchors,
    ask: &Ask<'_>,
    tell: &mut Tell,
) -> Attestation {
    let path = |name: &str| joined(&pair.folder, name);
    let device = pair.device.as_ref().map(|(_, der)| der.as_slice()).unwrap_or_default();
    let seen = Seen::at(past, pair.moment, &path(&pair.name), Some(pair.slot.0));
    let say = |tell: &mut Tell, finding: Finding| {
        let level = if finding.level == Level::Note { return } else { Level::Warning };
        tell.found(Finding { level, subject: seen.path.clone(), ..finding }, Vec::from([seen.clone()]));
    };
    let Examined { facts, findings } = read(&pair.slot.1, device, &[], &seen.path, anchors);
    let Some(facts) = facts else {
        findings.into_iter().for_each(|finding| say(tell, finding));
        return Attestation { seen, facts: None, holds: false, roots: Vec::new() };
    };
    let folder = pair.folder.rsplit('/').next().unwrap_or_default();
    let expected = Expected {
        key: &facts.key,
        serial: serial_in(&pair.name).or(serial_in(folder)).unwrap_or(facts.serial),
        slot: SLOT,
        minimum_firmware: (0, 0, 0),
        rehearsal: ask.rehearsal,
        waived: &[],
    };
    let examined = examine(&pair.slot.1, device, &[], &expected, anchors);
    let roots = holders.iter().find(|((_, key), _)| *key == facts.key).map(|(_, holder)| holder.roots.clone());
    let mut holds = examined.facts.is_some();
    for mut finding in examined.findings {
        let advisory = finding.check == Check::AttAdvisory;
        holds &= finding.level != Level::Refused || advisory;
        match &roots {
            // What is known of a token concerns nobody whose key is in no root.
            None if advisory => continue,
            Some(roots) if advisory => {
                finding.what = finding.what.and(format!("; its key is in {}", versions(roots)));
                finding.hint = Some("firmware cannot be updated: plan the change to a newer token".to_string());
            }
            _ => {}
        }
        say(tell, finding);
    }
    for (name, blob, key) in pair.keys.iter().filter(|(.., key)| *key != facts.key) {
        holds = false;
        let what = format!(
            "the public key beside the attestation is {}, the attested key is {}",
            key.fingerprint(),
            facts.key.fingerprint()
        );
        let key = Seen::at(past, pair.moment, &path(name), Some(*blob));
        let finding = Finding::new(Level::Warning, Check::AttBound, key.path.clone(), what)
            .hint("the attestation proves another key than the one that was published");
        tell.found(finding, Vec::from([key, seen.clone()]));
    }
    Attestation { seen, facts: Some(said(&facts)), holds, roots: roots.unwrap_or_default() }
}

fn said(facts: &Facts) -> AttestationFacts {
    AttestationFacts {
        serial: facts.serial,
        firmware: facts.firmware,
        slot: facts.slot.clone(),
        fingerprint: facts.key.fingerprint(),
        advisories: advisories(facts.firmware, facts.key.algorithm())
            .map(|advisory| advisory.name.to_string())
            .collect(),
    }
}
