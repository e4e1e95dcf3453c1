//! Taking over the history of a trust root that another program kept: which files of a folder are it, whether they hold, what
//! it lacks, and where each file goes in our layout.
//!
//! Rules:
//! 1. Bytes are taken as they are. Only names change: `root/N.root.json`, `root/V.snapshot.json` and so on.
//! 2. Nothing is taken that does not hold: the roots by their chain from 1, everything else as a client takes it from the newest
//!    root. What has expired is looked at as of the second before it did, and said.
//! 3. Old forms are accepted by name, as everywhere. What is there and is not taken is said.
//! 4. No layout is asked for. Which program's it is follows from the names of the files.

mod lacks;
mod set;

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::json::Value;
use crate::metadata::Metadata;
use crate::metadata::root::Root;
use crate::proposal::{RECORD, REHEARSAL};
use crate::signature::Verifier;
use crate::text::escape;
use crate::time::Timestamp;
use crate::tree::{Entry, Tree};
use crate::verify::report::findings_json;
use crate::verify::roots::{RootsReport, root_number, verify_roots};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where earlier roots lie in the layout of tuf-on-ci, below the folder of the metadata.
const HISTORY: &str = "root_history/";
/// Folders that are looked into before others, if they hold a root.
const USUAL: [&str; 5] = ["", "metadata/", "root/", "repository/metadata/", "repository/"];

/// Whose layout a folder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// tuf-on-ci's sources: `metadata/` without numbers, earlier roots in `root_history/`.
    TufOnCi,
    /// Consistent snapshots, as tuftool, python-tuf and published repositories have them: every file but the timestamp numbered.
    Consistent,
    /// `root.json` beside numbered roots, the rest without numbers.
    Unnumbered,
    /// Roots and nothing else.
    Roots,
}

impl Layout {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::TufOnCi => "tuf-on-ci's: files without numbers, earlier roots in root_history/",
            Self::Consistent => "consistent snapshots, as tuftool and published repositories have them",
            Self::Unnumbered => "python-tuf's without consistent snapshots: numbered roots, the rest without numbers",
            Self::Roots => "numbered roots and nothing else",
        }
    }
}

/// What an import goes by, besides the files.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The time asked about.
    pub now: Timestamp,
    /// Whether nothing but the roots is wanted.
    pub roots_only: bool,
    /// The payload digest of a root, known from elsewhere.
    pub anchor: Option<Digest>,
    /// Whether it may be a rehearsal's.
    pub rehearsal: bool,
}

/// The newest versions besides the root's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the targets.
    pub targets: u64,
}

/// A trust root, as it would be taken over.
#[derive(Clone, Debug)]
pub struct Import {
    /// Whose layout it has.
    pub layout: Layout,
    /// The folder of the metadata, below the one that was given; empty for that one itself, else it ends with a slash. Escaped.
    pub folder: String,
    /// The roots, each judged.
    pub roots: RootsReport,
    /// What the newest root leads to; nothing where nothing but roots is there, or wanted.
    pub set: Option<Versions>,
    /// The files by their paths in our layout, byte for byte as they were found.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What lies there and is not taken; escaped.
    pub left: Vec<String>,
    /// The version that the anchor is of.
    pub anchored: Option<u64>,
    /// What was found besides the roots, and what is lacking: a refusal stands in the way.
    pub findings: Vec<Finding>,
}

impl Import {
    /// Whether it can be taken over.
    pub fn accepted(&self) -> bool {
        self.roots.accepted() && self.findings.iter().all(|finding| finding.level != Level::Refused)
    }

    /// The version of the newest root.
    pub fn newest(&self) -> Option<u64> {
        self.roots.roots.last().map(|root| root.number)
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let texts = |all: &[String]| Value::Arr(all.iter().cloned().map(Value::Str).collect());
        let names: Vec<String> = self.files.keys().cloned().collect();
        let mut json = BTreeMap::from([
            ("accepted".to_string(), Value::Bool(self.accepted())),
            ("layout".to_string(), self.layout.words().into()),
            ("folder".to_string(), Value::Str(self.folder.clone())),
            ("roots".to_string(), self.roots.to_json()),
            ("files".to_string(), texts(&names)),
            ("left".to_string(), texts(&self.left)),
            ("findings".to_string(), findings_json(&self.findings)),
        ]);
        json.extend(self.anchored.map(|version| ("anchored".to_string(), Value::from(version))));
        if let Some(set) = &self.set {
            let set = [("timestamp", set.timestamp), ("snapshot", set.snapshot), ("targets", set.targets)];
            json.extend(set.map(|(name, version)| (name.to_string(), Value::from(version))));
        }
        json.into()
    }
}

/// Looks at the folder whose files are `tree`.
pub fn import(tree: &Tree, ask: &Ask, verifier: &dyn Verifier) -> Import {
    let mut findings = Vec::new();
    let folder = folder(tree, &mut findings);
    let inside: BTreeMap<&str, &[u8]> = folder.as_deref().map_or_else(BTreeMap::new, |folder| files(tree, folder));
    let roots = numbered(&inside, &mut findings);
    let report = verify_roots(&roots, false, verifier);
    let anchored = anchor(&report, ask, &mut findings);
    rehearsal(&report, ask, &mut findings);
    records(&roots, &mut findings);
    let mut layout = layout(&inside);
    let mut import = Import {
        layout,
        folder: escape(folder.as_deref().unwrap_or_default()),
        set: None,
        files: roots.iter().map(|(name, bytes)| (format!("root/{name}"), bytes.clone())).collect(),
        left: Vec::new(),
        anchored,
        findings,
        roots: report,
    };
    begins_at_one(&mut import);
    let newest = roots.keys().filter_map(|name| root_number(name)).max();
    let newest = newest.and_then(|number| {
        let name = format!("{number}.root.json");
        Metadata::<Root>::parse(&name, roots.get(&name)?).ok()
    });
    let Some(newest) = newest.filter(|_| import.accepted()) else { return import };
    let given = folder.unwrap_or_default();
    if ask.roots_only {
        layout = Layout::Roots;
    } else {
        set::take(&mut import, tree, &given, &roots, ask.now, verifier);
    }
    if layout == Layout::Roots {
        import.layout = layout;
    }
    lacks::tell(&mut import, &newest, ask.now);
    let taken: BTreeSet<&[u8]> = import.files.values().map(Vec::as_slice).collect();
    let left = inside.iter().filter(|(name, bytes)| name.ends_with(".json") && !taken.contains(*bytes));
    import.left = left.map(|(name, _)| escape(name)).collect();
    import
}

/// The folder of the metadata, with a slash at its end unless it is the one given.
fn folder(tree: &Tree, findings: &mut Vec<Finding>) -> Option<String> {
    let holds = |path: &str, is_root: &dyn Fn(&str) -> bool| {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        is_root(name).then(|| folder.strip_suffix(HISTORY).map_or(folder.clone(), ToString::to_string))
    };
    let with = |is_root: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        tree.keys().filter_map(|path| holds(path, is_root)).collect()
    };
    // tuftool's people keep a `root.json` of their own above the metadata: numbered roots say more.
    let numbered = with(&|name| root_number(name).is_some());
    let all = if numbered.is_empty() { with(&|name| name == "root.json") } else { numbered };
    if let Some(usual) = USUAL.into_iter().find(|usual| all.contains(*usual)) {
        return Some(usual.to_string());
    }
    let mut refuse = |what: String, hint: &str| {
        findings.push(Finding::new(Level::Refused, Check::RootGap, "the folder", what).hint(hint));
        None
    };
    match all.len() {
        0 => refuse("there is no root: no file is called root.json or N.root.json".to_string(), "name another folder"),
        1 => all.into_iter().next(),
        number => {
            let names: Vec<String> = all.iter().take(8).map(|folder| escape(folder)).collect();
            refuse(format!("roots lie in {number} folders: {}", names.join(", ")), "name the one that is meant")
        }
    }
}

/// The regular files in `folder`, by name, and those in its `root_history/`.
fn files<'a>(tree: &'a Tree, folder: &str) -> BTreeMap<&'a str, &'a [u8]> {
    let named = |(path, entry): (&'a String, &'a Entry)| {
        let name = path.strip_prefix(folder)?;
        let inside = name.strip_prefix(HISTORY).unwrap_or(name);
        (!inside.contains('/')).then_some((name, entry.bytes()?))
    };
    tree.iter().filter_map(named).collect()
}

/// The roots by the names that they get.
fn numbered(inside: &BTreeMap<&str, &[u8]>, findings: &mut Vec<Finding>) -> BTreeMap<String, Vec<u8>> {
    let mut roots: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut put = |name: String, from: &str, bytes: &[u8]| {
        let Some(other) = roots.get(&name).filter(|other| other.as_slice() != bytes) else {
            roots.insert(name, bytes.to_vec());
            return;
        };
        let payload = |bytes: &[u8]| Metadata::<Root>::parse(&name, bytes).ok().map(|root| root.payload().digest());
        let (level, what) = if payload(bytes).is_some() && payload(bytes) == payload(other) {
            (Level::Warning, format!("it is {name} with other signatures, and is left out"))
        } else {
            (Level::Refused, format!("it is another root than {name}"))
        };
        let finding = Finding::new(level, Check::RootRival, escape(from), what);
        findings.push(finding.hint("find out which one was published; keep that one"));
    };
    for (name, bytes) in inside.iter().filter(|(name, _)| root_number(name).is_some()) {
        put((*name).to_string(), name, bytes);
    }
    for (name, bytes) in inside {
        let Some(inner) = name.strip_prefix(HISTORY) else { continue };
        if root_number(inner).is_some() {
            put(inner.to_string(), name, bytes);
        }
    }
    if let Some(bytes) = inside.get("root.json") {
        match Metadata::<Root>::parse("root.json", bytes) {
            Ok(root) => put(format!("{}.root.json", root.version()), "root.json", bytes),
            Err(refusal) => findings.push(refusal.into()),
        }
    }
    roots
}

fn layout(inside: &BTreeMap<&str, &[u8]>) -> Layout {
    let numbered = |role: &str| {
        let number = |name: &str| name.strip_suffix(role).is_some_and(|digits| digits.parse::<u64>().is_ok());
        inside.keys().any(|name| number(name))
    };
    if inside.keys().any(|name| name.starts_with(HISTORY)) {
        Layout::TufOnCi
    } else if numbered(".snapshot.json") {
        Layout::Consistent
    } else if inside.contains_key("snapshot.json") || inside.contains_key("timestamp.json") {
        Layout::Unnumbered
    } else {
        Layout::Roots
    }
}

/// Clients start from `1.root.json`, and so does everything here.
fn begins_at_one(import: &mut Import) {
    let Some(first) = import.roots.roots.first().map(|root| root.number).filter(|first| *first > 1) else { return };
    let what = format!("the roots begin at {first}: clients that start from an earlier one could not follow");
    let finding = Finding::new(Level::Refused, Check::RootGap, "1.root.json", what);
    import
        .findings
        .push(finding.hint("find the earlier roots: in root_history/, in git, or at a client that has them"));
}

fn anchor(report: &RootsReport, ask: &Ask, findings: &mut Vec<Finding>) -> Option<u64> {
    let anchor = ask.anchor?;
    let is =
        |root: &&crate::verify::roots::RootReport| root.facts.as_ref().is_some_and(|facts| facts.payload == anchor);
    let found = report.roots.iter().find(is).map(|root| root.number);
    if found.is_none() {
        let what = format!("no root here has the payload digest {anchor}");
        let finding = Finding::new(Level::Refused, Check::Anchor, "the folder", what);
        findings.push(finding.hint("these are other roots than the ones you know"));
    }
    found
}

fn rehearsal(report: &RootsReport, ask: &Ask, findings: &mut Vec<Finding>) {
    let marked = report.roots.iter().find(|root| root.facts.as_ref().is_some_and(|facts| facts.rehearsal));
    if let Some(root) = marked.filter(|_| !ask.rehearsal) {
        let what = format!("it says `{REHEARSAL}`: nothing signed there is to be trusted");
        let subject = format!("{}.root.json", root.number);
        findings
            .push(Finding::new(Level::Refused, Check::Rehearsal, subject, what).hint("to practise, add --rehearsal"));
    }
}

/// A root that a ceremony of ours made goes nowhere without its record.
fn records(roots: &BTreeMap<String, Vec<u8>>, findings: &mut Vec<Finding>) {
    let names = |(name, bytes): (&String, &Vec<u8>)| {
        Metadata::<Root>::parse(name, bytes).ok()?.signed().get(RECORD).is_some().then(|| name.clone())
    };
    if let Some(name) = roots.iter().find_map(names) {
        let what = "it names the record of a ceremony, which would be left behind";
        let finding = Finding::new(Level::Refused, Check::RootRecord, name, what);
        findings.push(finding.hint("clone its whole repository with git, and plan the next root there"));
    }
}

#[cfg(test)]
mod tests;
