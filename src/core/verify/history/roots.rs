//! The chain of roots of a history, and its rivals.
//!
//! Rules:
//! 1. The chain is that of one folder, the newest commit's. Versions that this folder lacks are taken from the main line,
//!    where the root after it proves that they belong to it.
//! 2. A rival is another payload of a version of the chain that clients of the chain would take as well: a quorum of its own
//!    keys and of the root before it signed it. Of the first version it is one that a quorum of the same holders signed.
//!    It does not matter where it lies, on which branch, nor in how many files its signatures are.
//! 3. Whatever else calls itself a root of these versions is a draft, or belongs to another trust root.

use super::Ask;
use super::files::{Files, Roots, Unfit, is_named_like_a_root, is_staged};
use super::past::{Past, State, Stray};
use super::report::{Rival, Seen};
use super::sightings::{Sighting, Sightings};
use super::told::Tell;
use crate::chain::{self, Signatures};
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::metadata::root::Root;
use crate::metadata::{Metadata, Role};
use crate::quorum::quorum;
use crate::signature::{Signed, Verifier};
use crate::text::escape;
use crate::verify::roots::{RootsReport, verify_roots};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The chain.
pub(super) struct Chain {
    /// The folder that is served.
    pub(super) folder: String,
    /// By version: the content, and the root.
    pub(super) roots: BTreeMap<u64, (usize, Arc<Metadata<Root>>)>,
    /// The roots, each judged.
    pub(super) report: RootsReport,
    /// Numbered roots of the folder that no client takes.
    pub(super) unfit: Vec<Unfit>,
    /// The payloads of the chain and of its rivals, by version.
    pub(super) valid: BTreeMap<u64, BTreeSet<Digest>>,
    /// The rivals, by version.
    pub(super) rivals: Vec<Rival>,
    /// How many other payloads of roots never had a quorum.
    pub(super) drafts: usize,
    /// Folders of other trust roots.
    pub(super) others: BTreeSet<String>,
}

/// Finds the chain; nothing where there is no root on the main line outside folders in which signatures are collected.
pub(super) fn find<'a>(files: &mut Files<'a>, sightings: &Sightings<'a>, ask: &Ask<'_>) -> Option<Chain> {
    let past: &'a Past = files.past;
    let newest = past.moments.iter().rposition(|moment| moment.on_line)?;
    let mut found = None;
    past.line(|moment, _, state| {
        if moment == newest {
            found = chosen(files, state);
        }
    });
    if found.is_none() {
        // The newest commit has none any more: the last that had.
        past.line(|_, _, state| found = chosen(files, state).or(found.take()));
    }
    let (folder, versions, unfit) = found?;
    let mut roots: BTreeMap<u64, (usize, Arc<Metadata<Root>>)> = BTreeMap::new();
    for (version, blob) in versions.iter() {
        roots.extend(files.root(*blob).map(|root| (*version, (*blob, root))));
    }
    earlier(files, sightings, &mut roots);
    let named = roots.iter().map(|(version, (blob, _))| {
        let name = format!("{version}.root.json");
        (name, past.bytes(*blob).to_vec())
    });
    let report = verify_roots(&named.collect(), ask.strict, files.verifier);
    let valid = roots.iter().map(|(v, (_, root))| (*v, BTreeSet::from([root.payload().digest()]))).collect();
    let (rivals, others) = (Vec::new(), BTreeSet::new());
    Some(Chain { folder, roots, report, unfit, valid, rivals, drafts: 0, others })
}

/// Rule 1: the folder of a commit that is served, and its roots: with a timestamp before without, then by the newest root,
/// then by how many roots there are, then the one nearest to the top.
fn chosen<'a>(files: &mut Files<'a>, state: &State<'a>) -> Option<(String, Roots, Vec<Unfit>)> {
    let mut best = None;
    for (path, folder) in state.folders().filter(|(path, _)| !is_staged(path)) {
        let roots = files.roots_in(path, folder);
        let Some((newest, _)) = roots.first() else { continue };
        let depth = core::cmp::Reverse(path.split('/').count());
        let rank = (folder.is_served(), *newest, roots.len(), depth, core::cmp::Reverse(path));
        if best.as_ref().is_none_or(|(known, _)| *known < rank) {
            best = Some((rank, (path, folder, roots)));
        }
    }
    let (_, (path, folder, roots)) = best?;
    Some((path.to_string(), roots, files.unfit(folder)))
}

/// Adds the roots before the first, as far as the main line knows them.
fn earlier(files: &mut Files<'_>, sightings: &Sightings<'_>, roots: &mut BTreeMap<u64, (usize, Arc<Metadata<Root>>)>) {
    let verifier = files.verifier;
    while let Some((version, first)) = roots.first_key_value().map(|(version, (_, root))| (*version, Arc::clone(root)))
    {
        if version == 1 {
            return;
        }
        let of_line = sightings.iter().rev().filter(|one| one.on_line.is_some() && !is_staged(one.folder));
        let found = of_line.filter(|one| is_named_like_a_root(one.name)).find_map(|one| {
            let root = files.root(one.blob).filter(|root| root.version() + 1 == version)?;
            let belongs = chain::own_quorum(&root, verifier).is_ok() && chain::follows(&root, &first, verifier).is_ok();
            belongs.then_some((one.blob, root))
        });
        let Some((blob, root)) = found else { return };
        roots.insert(version - 1, (blob, root));
    }
}

impl Chain {
    /// Whether clients take the root of this version, as far as its signatures go.
    fn is_signed(&self, version: u64) -> bool {
        let unsigned = |finding: &Finding| {
            finding.level == Level::Refused && matches!(finding.check, Check::RootQuorum | Check::RootQuorumOld)
        };
        let report = self.report.roots.iter().find(|report| report.number == version);
        report.is_some_and(|report| !report.findings.iter().any(unsigned))
    }
}

/// Tells what is to be said of each root of the chain.
pub(super) fn tell(chain: &Chain, sightings: &Sightings<'_>, past: &Past, tell: &mut Tell) {
    for finding in &chain.report.findings {
        tell.found(Finding { subject: shown(&chain.folder), ..finding.clone() }, Vec::new());
    }
    for one in &chain.unfit {
        let finding = Finding::from(one.why.clone()).hint(
            "clients that ask for this number refuse what they get: take the file away, or put the right root there",
        );
        let here = |seen: &&Sighting<'_>| {
            seen.on_line.is_some() && (seen.folder, seen.name, Some(seen.blob)) == (&chain.folder, &one.name, one.blob)
        };
        tell.found(finding, sightings.iter().find(here).map(|seen| seen.seen(past)).into_iter().collect());
    }
    for report in &chain.report.roots {
        let Some((blob, _)) = chain.roots.get(&report.number) else { continue };
        let here = sightings.best(*blob);
        for finding in &report.findings {
            let seen = here.map(|one| one.seen(past));
            tell.found(finding.clone(), seen.into_iter().collect());
        }
    }
}

/// The path of a folder as it is shown.
pub(super) fn shown(folder: &str) -> String {
    if folder.is_empty() { "the top folder".to_string() } else { escape(folder) }
}

/// One payload that calls itself a root, wherever it lies.
struct Candidate<'a> {
    root: Arc<Metadata<Root>>,
    /// Every form of the file, with where it lay.
    forms: Vec<(usize, Found<'a>)>,
}

/// Where a candidate lay.
enum Found<'a> {
    Named(&'a Sighting<'a>),
    Stray(&'a Stray),
}

impl Found<'_> {
    fn seen(&self, past: &Past) -> Seen {
        match self {
            Self::Named(one) => one.seen(past),
            Self::Stray(stray) => Seen::stray(past, stray),
        }
    }

    /// The folder of a trust root, if it can be one's.
    fn folder(&self) -> Option<String> {
        match self {
            Self::Named(one) => Some(one.folder.to_string()),
            Self::Stray(_) => None,
        }
    }
}

/// Rule 2, for every version in order; tells each rival.
pub(super) fn rivals(files: &mut Files<'_>, chain: &mut Chain, sightings: &Sightings<'_>, tell: &mut Tell) {
    let mut candidates: BTreeMap<(u64, Digest), Candidate<'_>> = BTreeMap::new();
    let past: &Past = files.past;
    let named = sightings.iter().filter(|one| is_named_like_a_root(one.name));
    let named = named.map(|one| (one.blob, Found::Named(one)));
    for (blob, found) in named.chain(past.strays.iter().map(|stray| (stray.blob, Found::Stray(stray)))) {
        let Some(root) = files.root(blob) else { continue };
        let key = (root.version(), root.payload().digest());
        candidates.entry(key).or_insert_with(|| Candidate { root, forms: Vec::new() }).forms.push((blob, found));
    }
    // Roots that clients can reach, by version: those of the chain, and rivals as they are found.
    let mut reached: BTreeMap<u64, Vec<Arc<Metadata<Root>>>> =
        chain.roots.iter().map(|(version, (_, root))| (*version, Vec::from([Arc::clone(root)]))).collect();
    let verifier = files.verifier;
    for ((version, payload), candidate) in &candidates {
        let of_chain = chain.valid.get(version).is_some_and(|valid| valid.contains(payload));
        if of_chain {
            continue;
        }
        let contents: BTreeSet<usize> = candidate.forms.iter().map(|(blob, _)| *blob).collect();
        let forms: Vec<Arc<Metadata<Root>>> = contents.into_iter().filter_map(|blob| files.root(blob)).collect();
        let met = |by: &Metadata<Root>| met(by, &forms, verifier);
        let own = met(&candidate.root);
        let before = version.checked_sub(1).and_then(|before| reached.get(&before));
        let known = chain.roots.get(version);
        let follows = match (before, known) {
            (Some(before), _) => before.iter().find_map(|old| met(old)),
            (None, Some((_, root))) => met(root),
            (None, None) => None,
        };
        let (Some(own), Some(_)) = (own, follows) else {
            let related = own.is_none() || known.is_some_and(|(_, root)| shares_a_key(root, &candidate.root));
            if related {
                chain.drafts += 1;
            } else {
                let folders = candidate.forms.iter().filter_map(|(_, one)| one.folder());
                chain.others.extend(folders.filter(|folder| *folder != chain.folder));
            }
            continue;
        };
        reached.entry(*version).or_default().push(Arc::clone(&candidate.root));
        chain.valid.entry(*version).or_default().insert(*payload);
        let mut seen: Vec<Seen> = candidate.forms.iter().map(|(_, one)| one.seen(past)).collect();
        if let Some(first) = seen.first() {
            let (version, payload, expires) = (*version, *payload, candidate.root.expires());
            chain.rivals.push(Rival { version, payload, expires, signed: own, seen: first.clone() });
        }
        let together = if seen.len() > 1 && !forms.iter().any(|form| chain::own_quorum(form, verifier).is_ok()) {
            ", in several files together"
        } else {
            ""
        };
        let finding = if let Some((blob, root)) = known.filter(|_| chain.is_signed(*version)) {
            seen.extend(sightings.best(*blob).map(|one| one.seen(past)));
            let what = format!(
                "two different roots of version {version} are validly signed: {payload} (by {own} of its keys{together}), \
                 and {} of the chain",
                root.payload().digest()
            );
            Finding::new(Level::Refused, Check::RootRival, format!("root {version}"), what)
                .hint("ask the holders which one counts, and to publish their answer as the next root")
        } else {
            let what = format!(
                "a validly signed root {version} that the newest commit does not hold: {payload} (by {own} of its \
                 keys{together})"
            );
            Finding::new(Level::Warning, Check::RootRival, format!("root {version}"), what)
                .hint("it is newer, on another branch, or was taken away: look at the commit")
        };
        tell.found(finding, seen);
    }
}

fn shares_a_key(a: &Metadata<Root>, b: &Metadata<Root>) -> bool {
    match (&a.body().role(Role::Root).keys, &b.body().role(Role::Root).keys) {
        (Ok(a), Ok(b)) => !a.keys().is_disjoint(b.keys()),
        _ => false,
    }
}

/// How many keys of the role root, as `by` has it, signed these forms of one payload together, if that is a quorum.
fn met(by: &Metadata<Root>, forms: &[Arc<Metadata<Root>>], verifier: &dyn Verifier) -> Option<usize> {
    let keys = chain::role_keys(by, Role::Root).ok()?;
    let payload = forms.first()?.payload();
    let mut signed: Vec<Signed> = Vec::new();
    for form in forms {
        signed.extend(chain::held(&Signatures::of(form, verifier).by_role(by.body(), Role::Root)));
    }
    quorum(keys, payload, &signed).ok().map(|met| met.signers().len())
}
