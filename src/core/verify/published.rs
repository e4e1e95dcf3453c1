//! `root/`: the chain of roots, the trusted set to its end, and that every file is one that a record established.
//!
//! Rules:
//! 1. The roots are a chain from 1, and the newest leads to timestamp, snapshot and targets, at the time asked about.
//! 2. Every root and every targets file is named by the assembly of a record, byte for byte. So is the first snapshot.
//! 3. What online keys signed after a ceremony is judged by TUF's rules alone: a later snapshot, signed by the role and
//!    not beyond the newest; a timestamp of a later version than the ceremony's.
//! 4. `README.md` is the page that the newest closed record names. Nothing else lies there.

use super::look::{Look, below};
use super::record::Held;
use super::roots::{RootsReport, root_number, verify_roots};
use crate::chain;
use crate::check::{Check, Level};
use crate::digest::Digest;
use crate::event::Deed;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::Targets;
use crate::metadata::timestamp::Timestamp;
use crate::metadata::{Body, Metadata, Refusal, Role, strict};
use crate::time;
use crate::trusted::{Floor, TrustedRoot, TrustedTargets};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What is published.
pub(super) struct Published {
    /// The roots by version, those that can be read.
    pub(super) roots: BTreeMap<u64, Metadata<Root>>,
    /// The roots, each judged.
    pub(super) report: RootsReport,
    /// The end of the trusted set, if it was reached.
    pub(super) targets: Option<TrustedTargets>,
}

/// Looks at `root/`; nothing if it holds no root. Roots up to `elsewhere` were made by another program.
pub(super) fn look(look: &mut Look<'_>, records: &[Held], elsewhere: Option<u64>) -> Option<Published> {
    let mut files = BTreeMap::new();
    for (path, entry) in below(look.tree, "root/") {
        let name = path.trim_start_matches("root/");
        if let Some(bytes) = entry.bytes().filter(|_| !name.contains('/')) {
            files.insert(name.to_string(), bytes.to_vec());
        }
    }
    if !files.keys().any(|name| root_number(name).is_some()) {
        for path in below(look.tree, "root/").map(|(path, _)| path) {
            look.refuse(Check::RootFiles, path, "there is no root, and no record names this file");
        }
        return None;
    }
    let report = verify_roots(&files, look.options.strict, look.verifier);
    look.findings.extend(report.all_findings().cloned());
    if !files.contains_key("1.root.json") {
        look.refuse(Check::RootGap, "root/1.root.json", "it is missing: clients start from it").hint =
            Some("restore it from git".to_string());
    }
    let roots: BTreeMap<u64, Metadata<Root>> = files
        .iter()
        .filter_map(|(name, bytes)| Some((root_number(name)?, Metadata::parse(name, bytes).ok()?)))
        .collect();
    look.checked
        .push(format!("root/: {} roots, each signed by its own keys and its predecessor's", report.roots.len()));

    let nothing_but_roots = elsewhere.is_some_and(|newest| !roots.keys().any(|version| *version > newest))
        && files.keys().all(|name| root_number(name).is_some());
    let targets = if nothing_but_roots {
        look.warn(
            Check::MetaMissing,
            "root/",
            "nothing but roots is here: they lead to nothing that a client could take",
        );
        look.caveats.push("nothing but roots is here".to_string());
        unexpired(look, &roots);
        None
    } else {
        refresh(look, &files, records)
    };
    if let Some(targets) = &targets {
        let (_, timestamp, snapshot) = targets.set();
        let versions = format!(
            "timestamp {}, snapshot {}, targets {}",
            timestamp.version(),
            snapshot.version(),
            targets.metadata().version()
        );
        look.checked.push(format!("root/: {versions}: signatures, versions, lengths, digests and expiry"));
    }
    let published = Published { roots, report, targets };
    named(look, records, &published, elsewhere);
    Some(published)
}

/// The newest root alone.
fn unexpired(look: &mut Look<'_>, roots: &BTreeMap<u64, Metadata<Root>>) {
    let newest = roots.last_key_value().map(|(_, root)| root.unexpired(look.options.now));
    if let Some(Err(refusal)) = newest {
        look.findings.push(refusal.into());
    }
}

/// Rule 1, after the chain. A set that has expired is looked at again as of the newest record, so that expiry hides
/// nothing else.
fn refresh(look: &mut Look<'_>, files: &BTreeMap<String, Vec<u8>>, records: &[Held]) -> Option<TrustedTargets> {
    let result = walk(look, files, look.options.now);
    let result = match result {
        Err(refusal) if refusal.check() == Check::Expired => {
            look.findings.push(refusal.into());
            let then = records.iter().filter_map(|held| held.record.last_time()).max()?;
            walk(look, files, then)
        }
        other => other,
    };
    match result {
        Ok(targets) => {
            let mut findings = targets.findings();
            if look.options.strict {
                findings = strict(findings);
            }
            // The roots' own are reported with the roots.
            let root = targets.set().0.name();
            findings.retain(|finding| finding.subject != root);
            look.findings.extend(findings);
            Some(targets)
        }
        Err(refusal) => {
            let new = !look.findings.iter().any(|finding| finding == refusal.finding());
            look.findings.extend(new.then(|| refusal.into()));
            None
        }
    }
}

fn walk(look: &Look<'_>, files: &BTreeMap<String, Vec<u8>>, now: time::Timestamp) -> Result<TrustedTargets, Refusal> {
    let verifier = look.verifier;
    let file = |name: &str| {
        let missing =
            || Refusal::new(Check::MetaMissing, format!("root/{name}"), "it is missing").hint("restore it from git");
        files.get(name).map(Vec::as_slice).ok_or_else(missing)
    };
    let mut root = TrustedRoot::pinned(file("1.root.json")?, verifier)?;
    while let Some(next) = files.get(&format!("{}.root.json", root.metadata().version().saturating_add(1))) {
        root = root.advance(next, verifier)?;
    }
    if !root.metadata().body().consistent_snapshot() {
        let what = "the root does not ask for consistent snapshots, and files here are numbered";
        return Err(Refusal::new(Check::MetaForm, root.metadata().name().to_string(), what));
    }
    let timestamp = root.at(now)?.timestamp(file("timestamp.json")?, &Floor::none(), verifier)?;
    let version = timestamp.metadata().body().snapshot().version;
    let snapshot = timestamp.snapshot(file(&format!("{version}.snapshot.json"))?, verifier)?;
    let version = snapshot.metadata().body().meta().get("targets.json").map_or(1, |meta| meta.version);
    snapshot.targets(file(&format!("{version}.targets.json"))?, verifier)
}

/// Rules 2 to 4.
fn named(look: &mut Look<'_>, records: &[Held], published: &Published, elsewhere: Option<u64>) {
    // By path: the digests that assemblies name, and the records that do.
    let mut assembled: BTreeMap<&String, Vec<(Digest, &Held)>> = BTreeMap::new();
    for held in records {
        for (path, digest) in held.assembled().into_iter().flat_map(|logged| &logged.event.files) {
            assembled.entry(path).or_default().push((*digest, held));
        }
    }
    for (path, by) in &assembled {
        if by.len() > 1 && path.as_str() != "root/timestamp.json" {
            let dirs: Vec<&str> = by.iter().map(|(_, held)| held.record.dir.as_str()).collect();
            look.refuse(Check::RootRival, path, format!("more than one record made it: {}", dirs.join(", ")));
        }
        if look.bytes(path).is_none() {
            look.refuse(Check::RootFiles, path, format!("it is missing; {} names it", by[0].1.record.dir)).hint =
                Some("restore it from git".to_string());
        }
    }
    let newest = records.iter().filter(|held| held.assembled().is_some()).max_by_key(|held| held.record.last_time());
    // The version of the timestamp that the newest ceremony made.
    let ceremonys = match newest.and_then(|held| held.assembled()).map(|logged| &logged.event.deed) {
        Some(Deed::Assembled { timestamp: Some(version), .. }) => *version,
        _ => 1,
    };
    let closed = records.iter().filter(|held| held.ceremony.closed).max_by_key(|held| held.record.last_time());
    let readme = closed.and_then(|held| held.closing()).and_then(|logged| logged.event.files.get("root/README.md"));
    if readme.is_some() && look.bytes("root/README.md").is_none() {
        look.refuse(Check::RootFiles, "root/README.md", "it is missing; the newest closed record names it");
    }
    let delegated = delegated(look, published);
    let mut by_role = Vec::new();
    let paths: Vec<&String> = below(look.tree, "root/").map(|(path, _)| path).collect();
    for path in &paths {
        let Some(bytes) = look.bytes(path) else { continue };
        let digest = Digest::of(bytes);
        let name = path.trim_start_matches("root/");
        let fits = match assembled.get(path) {
            _ if name == "README.md" => match readme {
                Some(named) => *named == digest,
                None => false,
            },
            Some(_) if name == "timestamp.json" => {
                let of_newest =
                    newest.and_then(|held| held.assembled()).and_then(|logged| logged.event.files.get(*path));
                of_newest == Some(&digest) || later_timestamp(name, bytes, ceremonys, &mut by_role)
            }
            Some(by) => by.iter().all(|(named, _)| *named == digest),
            None => {
                brought(look, name, bytes, published, elsewhere)
                    || later_snapshot(look, name, bytes, published, &mut by_role)
                    || delegated.contains(*path)
            }
        };
        if !fits {
            let what = if assembled.contains_key(path) || name == "README.md" {
                "it is not the file that the record names"
            } else {
                "no record names it, and the metadata does not lead to it"
            };
            look.refuse(Check::RootFiles, path, what).hint =
                Some("`git log -- PATH` says who changed or added it".into());
        }
    }
    if !by_role.is_empty() {
        let what = format!("{}: signed online after the ceremony; judged by TUF's rules alone", by_role.join(", "));
        look.find(Level::Note, Check::RootFiles, "root/", what.clone());
        look.not_checked.push(what);
    }
    look.checked.push(format!("root/: {} files, each named by a record or by the metadata", paths.len()));
}

/// A root, or what one of them has signed, that another program made before the first record. The timestamp's own signature and
/// expiry are checked with the trusted set.
fn brought(look: &Look<'_>, name: &str, bytes: &[u8], published: &Published, elsewhere: Option<u64>) -> bool {
    let Some(newest) = elsewhere else { return false };
    if let Some(number) = root_number(name) {
        return number <= newest;
    }
    if name == "timestamp.json" {
        return true;
    }
    let roots = published.roots.iter().filter(|(version, _)| **version <= newest).map(|(_, root)| root);
    let number = name.split('.').next().and_then(|number| number.parse::<u64>().ok());
    let newest = published.targets.as_ref().map(|targets| targets.set().2.version());
    signed_by_any::<Targets>(look, name, bytes, Role::Targets, roots.clone())
        || number <= newest && signed_by_any::<Snapshot>(look, name, bytes, Role::Snapshot, roots)
}

/// Whether this is the file of its name in the role that one of the roots has signed.
fn signed_by_any<'a, T: Body>(
    look: &Look<'_>,
    name: &str,
    bytes: &[u8],
    role: Role,
    mut roots: impl Iterator<Item = &'a Metadata<Root>>,
) -> bool {
    let Ok(read) = Metadata::<T>::parse(name, bytes) else { return false };
    name == format!("{}.{role}.json", read.version())
        && roots.any(|root| chain::signed_by(root, role, &read, Check::MetaQuorum, look.verifier).is_ok())
}

/// Rule 3, for a timestamp that is not the ceremony's. Its signature and expiry are checked with the trusted set.
fn later_timestamp(name: &str, bytes: &[u8], ceremonys: u64, by_role: &mut Vec<String>) -> bool {
    let later = Metadata::<Timestamp>::parse(name, bytes).is_ok_and(|read| read.version() > ceremonys);
    if later {
        by_role.push(format!("root/{name}"));
    }
    later
}

/// Rule 3, for a snapshot that no record names.
fn later_snapshot(look: &Look<'_>, name: &str, bytes: &[u8], published: &Published, by_role: &mut Vec<String>) -> bool {
    let number = name.strip_suffix(".snapshot.json").and_then(|text| Some((text, text.parse::<u64>().ok()?)));
    let Some((_, number)) = number.filter(|(text, number)| number.to_string() == *text) else { return false };
    let Some(targets) = &published.targets else { return false };
    let Ok(read) = Metadata::<Snapshot>::parse(name, bytes) else { return false };
    let signed =
        |root: &Metadata<Root>| chain::signed_by(root, Role::Snapshot, &read, Check::MetaQuorum, look.verifier).is_ok();
    let newest = targets.set().2.version();
    let fits = read.version() == number && number <= newest && published.roots.values().any(signed);
    if fits {
        by_role.push(format!("root/{name}"));
    }
    fits
}

/// The paths of delegated metadata and of target files that the trusted set leads to, each checked.
fn delegated(look: &mut Look<'_>, published: &Published) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let Some(top) = &published.targets else { return paths };
    let meta: Vec<(String, u64)> =
        top.set().2.body().meta().iter().map(|(name, file)| (name.clone(), file.version)).collect();
    let mut open: Vec<TrustedTargets> = Vec::from([top.clone()]);
    let mut left: BTreeMap<String, u64> = meta.into_iter().filter(|(name, _)| name != "targets.json").collect();
    while let Some(from) = open.pop() {
        for (name, target) in from.metadata().body().targets().iter() {
            let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
            let Some(prefix) = target.hashes.prefix() else { continue };
            let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let path = format!("root/targets/{folder}{prefix}.{file}");
            match look.bytes(&path) {
                Some(bytes) if target.matches(bytes) => drop(paths.insert(path)),
                Some(_) => drop(look.refuse(Check::MetaHash, &path, "it is not the file that the targets name")),
                None => drop(look.warn(Check::MetaMissing, &path, "the targets name it, and it is not here")),
            }
        }
        let roles: Vec<(String, u64)> = left.iter().map(|(name, version)| (name.clone(), *version)).collect();
        for (name, version) in roles {
            let Some(role) = name.strip_suffix(".json") else { continue };
            let path = format!("root/{version}.{}.json", percent_encoded(role));
            let read = look.bytes(&path).map(|bytes| from.delegated(role, bytes, look.verifier));
            // If it is refused here, another of the roles may delegate to it.
            if let Some(Ok(targets)) = read {
                left.remove(&name);
                paths.insert(path);
                open.push(targets);
            }
        }
    }
    for (name, version) in left {
        let what = format!("version {version} is named by the snapshot; it is missing, or no delegation accepts it");
        look.refuse(Check::MetaMissing, &name, what);
    }
    paths
}

/// The name of a role in a file name: every byte escaped that is not unreserved in RFC 3986, 2.3.
pub(crate) fn percent_encoded(role: &str) -> String {
    let mut out = String::new();
    for byte in role.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
