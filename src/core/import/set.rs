//! What the newest root leads to: timestamp, snapshot, targets, delegated metadata and files, as a client takes them.

use super::{Import, Layout, Versions};
use crate::chain;
use crate::check::{Check, Finding, Level};
use crate::json;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::Targets;
use crate::metadata::{Metadata, Refusal, Role};
use crate::signature::Verifier;
use crate::text::escape;
use crate::time::Timestamp;
use crate::tree::{Entry, Tree};
use crate::trusted::{Floor, TrustedRoot, TrustedTargets};
use crate::verify::percent_encoded;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The folder with the metadata, and the time.
struct Source<'a> {
    tree: &'a Tree,
    folder: &'a str,
}

impl Source<'_> {
    fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.tree.get(path).and_then(Entry::bytes)
    }

    /// The metadata of `role` in this version: numbered, or the one file without a number.
    fn metadata(&self, role: &str, version: u64) -> Option<&[u8]> {
        let encoded = percent_encoded(role);
        let names = [format!("{version}.{encoded}.json"), format!("{version}.{role}.json")];
        let plain = [format!("{encoded}.json"), format!("{role}.json")];
        names.into_iter().chain(plain).find_map(|name| self.bytes(&format!("{}{name}", self.folder)))
    }
}

/// Takes what the newest root leads to, or says why it does not.
pub(super) fn take(
    import: &mut Import,
    tree: &Tree,
    folder: &str,
    roots: &BTreeMap<String, Vec<u8>>,
    now: Timestamp,
    verifier: &dyn Verifier,
) {
    let source = Source { tree, folder };
    let others = ["timestamp.json", "snapshot.json", "targets.json"];
    let Some(timestamp) = source.bytes(&format!("{folder}timestamp.json")) else {
        if import.layout != Layout::Roots {
            let there = others.into_iter().filter(|name| source.bytes(&format!("{folder}{name}")).is_some());
            let what = format!("there is no timestamp, so nothing leads to {}", there.collect::<Vec<_>>().join(", "));
            let finding = Finding::new(Level::Refused, Check::MetaMissing, "timestamp.json", what);
            import.findings.push(finding.hint("take the published repository instead, or --roots-only"));
        }
        return;
    };
    let walked = match walk(&source, roots, timestamp, now, verifier) {
        Err(refusal) if refusal.check() == Check::Expired => {
            let what = refusal.finding().what.line();
            let finding = Finding::new(Level::Warning, Check::Expired, refusal.finding().subject.clone(), what);
            import.findings.push(finding.hint("clients refuse it until the next ceremony or its online job renews it"));
            before_expiry(&source, roots, timestamp)
                .map_or(Err(refusal), |then| walk(&source, roots, timestamp, then, verifier))
        }
        other => other,
    };
    let targets = match walked {
        Ok(targets) => targets,
        Err(refusal) => {
            let finding: Finding = refusal.into();
            let hint =
                "nothing that does not hold is taken; mend it at its source, or take the roots with --roots-only";
            import.findings.push(finding.hint(hint));
            return;
        }
    };
    import.findings.extend(targets.findings().into_iter().filter(|finding| finding.subject != targets.set().0.name()));
    let (root, timestamp_read, snapshot) = targets.set();
    let versions = Versions {
        timestamp: timestamp_read.version(),
        snapshot: snapshot.version(),
        targets: targets.metadata().version(),
    };
    let mut put = |name: String, bytes: &[u8]| drop(import.files.insert(format!("root/{name}"), bytes.to_vec()));
    put("timestamp.json".to_string(), timestamp);
    for (role, version) in [("snapshot", versions.snapshot), ("targets", versions.targets)] {
        if let Some(bytes) = source.metadata(role, version) {
            put(format!("{version}.{role}.json"), bytes);
        }
    }
    let snapshot_newest = versions.snapshot;
    import.set = Some(versions);
    if !root.body().consistent_snapshot() {
        let what = "it does not ask for consistent snapshots; the next root does, and from then on clients ask for numbered files";
        let finding = Finding::new(Level::Warning, Check::MetaForm, root.name(), what);
        import
            .findings
            .push(finding.hint("keep serving the files without numbers until every client has the next root"));
    }
    delegated(import, &source, &targets, verifier);
    earlier(import, &source, roots, snapshot_newest, verifier);
}

fn walk(
    source: &Source<'_>,
    roots: &BTreeMap<String, Vec<u8>>,
    timestamp: &[u8],
    now: Timestamp,
    verifier: &dyn Verifier,
) -> Result<TrustedTargets, Refusal> {
    let missing = |name: String| Refusal::new(Check::MetaMissing, escape(&name), "it is missing");
    let file = |role: &str, version: u64| {
        source.metadata(role, version).ok_or_else(|| missing(format!("{version}.{role}.json")))
    };
    let first = roots.get("1.root.json").ok_or_else(|| missing("1.root.json".to_string()))?;
    let mut root = TrustedRoot::pinned(first, verifier)?;
    while let Some(next) = roots.get(&format!("{}.root.json", root.metadata().version().saturating_add(1))) {
        root = root.advance(next, verifier)?;
    }
    let timestamp = root.at(now)?.timestamp(timestamp, &Floor::none(), verifier)?;
    let snapshot = timestamp.snapshot(file("snapshot", timestamp.metadata().body().snapshot().version)?, verifier)?;
    let version = snapshot.metadata().body().meta().get("targets.json").map_or(1, |meta| meta.version);
    snapshot.targets(file("targets", version)?, verifier)
}

/// The last second in which nothing here had expired.
fn before_expiry(source: &Source<'_>, roots: &BTreeMap<String, Vec<u8>>, timestamp: &[u8]) -> Option<Timestamp> {
    let expires = |bytes: &[u8]| {
        let value = json::parse(bytes).ok()?;
        Timestamp::parse_lenient(value.get("signed")?.get("expires")?.as_str()?).ok()
    };
    let newest = roots.keys().filter_map(|name| crate::verify::roots::root_number(name)).max()?;
    let mut all = Vec::from([expires(timestamp)?, expires(roots.get(&format!("{newest}.root.json"))?)?]);
    for (path, entry) in source.tree.iter().filter(|(path, _)| path.starts_with(source.folder)) {
        // Old numbered ones may count too: they had not expired later than those that follow them.
        let is_set = |role: &str| path.ends_with(&format!("{role}.json"));
        let name = path.get(source.folder.len()..).unwrap_or_default();
        if !name.contains('/') && (is_set("snapshot") || is_set("targets")) && is_newest(source, name) {
            all.extend(entry.bytes().and_then(expires));
        }
    }
    all.into_iter().min().map(|first| first.plus_seconds(-1))
}

/// Whether no file of the same role has a higher number.
fn is_newest(source: &Source<'_>, name: &str) -> bool {
    let Some((number, role)) = name.split_once('.').and_then(|(n, role)| Some((n.parse::<u64>().ok()?, role))) else {
        return true;
    };
    let higher = |path: &String| {
        let other = path.strip_prefix(source.folder).and_then(|name| name.split_once('.'));
        other.is_some_and(|(n, of)| of == role && n.parse::<u64>().is_ok_and(|n| n > number))
    };
    !source.tree.keys().any(higher)
}

/// Delegated metadata, and the files that all targets name.
fn delegated(import: &mut Import, source: &Source<'_>, top: &TrustedTargets, verifier: &dyn Verifier) {
    let meta = top.set().2.body().meta().iter().filter(|(name, _)| *name != "targets.json");
    let mut left: BTreeMap<String, u64> = meta.map(|(name, file)| (name.clone(), file.version)).collect();
    let mut open = Vec::from([top.clone()]);
    let mut missing = BTreeSet::new();
    while let Some(from) = open.pop() {
        for (name, target) in from.metadata().body().targets().iter() {
            let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
            let Some(prefix) = target.hashes.prefix() else { continue };
            let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let hashed = format!("targets/{folder}{prefix}.{file}");
            // Beside the folder of the metadata, or in it.
            let beside = source.folder.trim_end_matches('/').rsplit_once('/').map_or("", |(above, _)| above);
            let beside = if beside.is_empty() { String::new() } else { format!("{beside}/") };
            let mut places = [beside.as_str(), source.folder].into_iter().flat_map(|base| {
                let plain = format!("{base}targets/{name}");
                [format!("{base}{hashed}"), plain]
            });
            match places.find_map(|path| source.bytes(&path).filter(|bytes| target.matches(bytes))) {
                Some(bytes) => drop(import.files.insert(format!("root/{hashed}"), bytes.to_vec())),
                None => drop(missing.insert(name.to_string())),
            }
        }
        let roles: Vec<(String, u64)> = left.iter().map(|(name, version)| (name.clone(), *version)).collect();
        for (name, version) in roles {
            let Some(role) = name.strip_suffix(".json") else { continue };
            let Some(bytes) = source.metadata(role, version) else { continue };
            // If it is refused here, another of the roles may delegate to it.
            if let Ok(targets) = from.delegated(role, bytes, verifier) {
                import.files.insert(format!("root/{version}.{}.json", percent_encoded(role)), bytes.to_vec());
                left.remove(&name);
                open.push(targets);
            }
        }
    }
    for (name, version) in left {
        let what = format!("version {version} is named by the snapshot; it is missing, or no delegation accepts it");
        let finding = Finding::new(Level::Refused, Check::MetaMissing, escape(&name), what);
        import.findings.push(finding.hint("take the published repository instead, or --roots-only"));
    }
    if let Some(first) = missing.first() {
        let number = missing.len();
        let what = format!("{number} files that the targets name are not here, such as {}", escape(first));
        let finding = Finding::new(Level::Warning, Check::MetaMissing, "targets/", what);
        import
            .findings
            .push(finding.hint("copy them to root/targets/ under their digests, or serve them from where they are"));
    }
}

/// Earlier numbered snapshots and targets, which a client in the middle of its requests may still ask for.
fn earlier(
    import: &mut Import,
    source: &Source<'_>,
    roots: &BTreeMap<String, Vec<u8>>,
    snapshot: u64,
    verifier: &dyn Verifier,
) {
    let roots: Vec<Metadata<Root>> =
        roots.iter().filter_map(|(name, bytes)| Metadata::parse(name, bytes).ok()).collect();
    for (path, entry) in source.tree {
        let Some(name) = path.strip_prefix(source.folder).filter(|name| !name.contains('/')) else { continue };
        let (Some(bytes), Some((digits, rest))) = (entry.bytes(), name.split_once('.')) else { continue };
        let Some(number) = digits.parse::<u64>().ok().filter(|number| number.to_string() == digits) else { continue };
        let signed = match rest {
            "snapshot.json" if number <= snapshot => {
                by_any::<Snapshot>(&roots, Role::Snapshot, name, bytes, number, verifier)
            }
            "targets.json" => by_any::<Targets>(&roots, Role::Targets, name, bytes, number, verifier),
            _ => false,
        };
        if signed {
            import.files.entry(format!("root/{name}")).or_insert_with(|| bytes.to_vec());
        }
    }
}

/// Whether one of the roots has this file signed by the role, in this version.
fn by_any<T: crate::metadata::Body>(
    roots: &[Metadata<Root>],
    role: Role,
    name: &str,
    bytes: &[u8],
    number: u64,
    verifier: &dyn Verifier,
) -> bool {
    let Ok(read) = Metadata::<T>::parse(name, bytes) else { return false };
    read.version() == number
        && roots.iter().any(|root| chain::signed_by(root, role, &read, Check::MetaQuorum, verifier).is_ok())
}
