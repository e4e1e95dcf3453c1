//! Files of a history, each read once: what they are, and by which roots they are signed.
//!
//! Rules:
//! 1. What a file is follows from its name: `root.json` or `N.root.json` is a root, and so on; any other JSON file beside
//!    them may be metadata of a delegated role, and is nothing if it cannot be read as such.
//! 2. A role's file may carry its version before its name or not; `timestamp.json` never does.

use super::past::{Folder, Held, Past};
use crate::chain;
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::metadata::fields::MetaFile;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::{Delegations, Targets};
use crate::metadata::timestamp::Timestamp;
use crate::metadata::{Body, Metadata, Refusal, Role};
use crate::signature::Verifier;
use crate::time;
use crate::trusted::TrustedRoot;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The folder in which some keep the earlier roots beside the newest.
pub(super) const ROOT_HISTORY: &str = "root_history/";

/// Whether a file of this name makes its folder one of TUF metadata.
pub fn is_named_like_metadata(name: &str) -> bool {
    named_role(name).is_some()
}

/// Whether a file of this name is taken for a root.
pub fn is_named_like_a_root(name: &str) -> bool {
    matches!(named_role(name), Some((Role::Root, _)))
}

/// Whether these bytes are a root, whatever they are called.
pub fn is_a_root(bytes: &[u8]) -> bool {
    // A root has the word in quotes, or escapes in their place; anything else need not be read.
    let starts = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let may = || bytes.contains(&b'\\') || bytes.windows(6).any(|part| part == b"\"root\"");
    starts && may() && Metadata::<Root>::parse("root.json", bytes).is_ok()
}

/// Whether a file of this name may hold a certificate or a public key.
pub fn is_named_like_a_key(name: &str) -> bool {
    [".pem", ".crt", ".cer", ".der"].iter().any(|end| name.len() > end.len() && name.ends_with(end))
}

/// The top-level role that a file is named for, and the version in the name.
pub(super) fn named_role(name: &str) -> Option<(Role, Option<u64>)> {
    let base = name.strip_prefix(ROOT_HISTORY).unwrap_or(name).strip_suffix(".json")?;
    let (version, role) = match base.split_once('.') {
        Some((digits, role)) => (Some(number(digits)?), role),
        None => (None, base),
    };
    Role::ALL.into_iter().find(|known| known.name() == role).map(|role| (role, version))
}

/// The role that a file is named for, and the version in the name. Delegated roles may have any name.
fn version_in(name: &str) -> Option<u64> {
    number(name.strip_prefix(ROOT_HISTORY).unwrap_or(name).split_once('.')?.0)
}

/// A number written in the one way there is.
fn number(digits: &str) -> Option<u64> {
    digits.parse::<u64>().ok().filter(|number| *number > 0 && number.to_string() == digits)
}

/// Whether a file of this name never changes once it is published.
pub(super) fn is_numbered(name: &str) -> bool {
    name.ends_with(".json") && version_in(name).is_some()
}

/// What a file says.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) role: Role,
    pub(super) version: u64,
    pub(super) payload: Digest,
    /// The leniencies and warnings of reading.
    pub(super) findings: Vec<Finding>,
    /// The root, if it is one.
    pub(super) root: Option<Arc<Metadata<Root>>>,
}

impl Read {
    fn of<T: Body>(role: Role, file: &Metadata<T>) -> Self {
        Self {
            role,
            version: file.version(),
            payload: file.payload().digest(),
            findings: file.findings().to_vec(),
            root: None,
        }
    }
}

/// Everything that was read so far.
pub(super) struct Files<'a> {
    pub(super) past: &'a Past,
    pub(super) verifier: &'a dyn Verifier,
    read: BTreeMap<(usize, Role), Option<Read>>,
    signed: BTreeMap<(usize, usize, Role), bool>,
    delegated: BTreeMap<(usize, usize, String), bool>,
    delegations: BTreeMap<usize, Option<Delegations>>,
    pinned: BTreeMap<usize, Result<TrustedRoot, Refusal>>,
    /// By folder: since when, and which.
    roots: BTreeMap<&'a str, (usize, Roots)>,
    /// Targets that were followed and delegate no further, by who says who signs them (a root, or other targets) and by content.
    leaves: BTreeMap<(usize, usize), Leaf>,
}

/// A file of targets that a client takes: as which role, by which promise of the snapshot, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leaf {
    role: String,
    promise: MetaFile,
    expires: time::Timestamp,
}

/// The roots of a folder, the newest first: the content of each, by version.
pub(super) type Roots = Arc<Vec<(u64, usize)>>;

impl<'a> Files<'a> {
    pub(super) fn new(past: &'a Past, verifier: &'a dyn Verifier) -> Self {
        Self {
            past,
            verifier,
            read: BTreeMap::new(),
            signed: BTreeMap::new(),
            delegated: BTreeMap::new(),
            delegations: BTreeMap::new(),
            pinned: BTreeMap::new(),
            roots: BTreeMap::new(),
            leaves: BTreeMap::new(),
        }
    }

    /// Reads the content `blob` under the name `name`; nothing if it is no metadata.
    pub(super) fn read(&mut self, name: &str, blob: usize) -> Option<&Read> {
        let role = named_role(name).map_or(Role::Targets, |(role, _)| role);
        let past = self.past;
        let entry = self.read.entry((blob, role)).or_insert_with(|| {
            let bytes = past.bytes(blob);
            match role {
                Role::Root => Metadata::<Root>::parse(name, bytes).ok().map(|root| {
                    let read = Read::of(role, &root);
                    Read { root: Some(Arc::new(root)), ..read }
                }),
                Role::Timestamp => Metadata::<Timestamp>::parse(name, bytes).ok().map(|file| Read::of(role, &file)),
                Role::Snapshot => Metadata::<Snapshot>::parse(name, bytes).ok().map(|file| Read::of(role, &file)),
                Role::Targets => Metadata::<Targets>::parse(name, bytes).ok().map(|file| Read::of(role, &file)),
            }
        });
        entry.as_ref()
    }

    /// Keeps what the way of a client showed: the file was read, and a quorum of the role in the root signed it.
    pub(super) fn learnt<T: Body>(&mut self, root: usize, role: Role, blob: usize, file: &Metadata<T>) {
        self.read.entry((blob, role)).or_insert_with(|| Some(Read::of(role, file)));
        self.signed.insert((root, blob, role), true);
    }

    /// When the targets that were followed expire, as this role and by this promise, if they delegate no further.
    pub(super) fn leaf(&self, by: (usize, usize), role: &str, promise: Option<&MetaFile>) -> Option<time::Timestamp> {
        let leaf = self.leaves.get(&by)?;
        (leaf.role == role && Some(&leaf.promise) == promise).then_some(leaf.expires)
    }

    /// Keeps that a client took these targets, if they delegate no further.
    pub(super) fn followed(
        &mut self,
        by: (usize, usize),
        role: &str,
        promise: Option<&MetaFile>,
        file: &Metadata<Targets>,
    ) {
        let Some(promise) = promise.filter(|_| file.body().delegations().is_none()) else { return };
        let leaf = Leaf { role: role.to_string(), promise: promise.clone(), expires: file.expires() };
        self.leaves.insert(by, leaf);
    }

    /// The root with this content.
    pub(super) fn root(&mut self, blob: usize) -> Option<Arc<Metadata<Root>>> {
        self.read("root.json", blob)?.root.clone()
    }

    /// Whether a quorum of the role, as the root with the content `root` has it, signed the file.
    pub(super) fn is_signed(&mut self, root: usize, role: Role, blob: usize) -> bool {
        if let Some(known) = self.signed.get(&(root, blob, role)) {
            return *known;
        }
        let is = self.root(root).is_some_and(|root| signed(&root, role, self.past.bytes(blob), self.verifier).is_ok());
        self.signed.insert((root, blob, role), is);
        is
    }

    /// Whether a quorum of the role `role`, as the targets with the content `from` delegate to it, signed the file.
    pub(super) fn is_signed_for(&mut self, from: usize, role: &str, blob: usize) -> bool {
        let key = (from, blob, role.to_string());
        if let Some(known) = self.delegated.get(&key) {
            return *known;
        }
        let is = || {
            let from = Metadata::<Targets>::parse("targets.json", self.past.bytes(from)).ok()?;
            let file = Metadata::<Targets>::parse(role, self.past.bytes(blob)).ok()?;
            chain::signed_by_delegate(&from, role, &file, self.verifier).ok()
        };
        let is = is().is_some();
        self.delegated.insert(key, is);
        is
    }

    /// Whether the targets with the content `from` delegate to a role of this name.
    pub(super) fn delegates(&mut self, from: usize, role: &str) -> bool {
        let past = self.past;
        let roles = self.delegations.entry(from).or_insert_with(|| {
            let targets = Metadata::<Targets>::parse("targets.json", past.bytes(from)).ok();
            targets.and_then(|targets| targets.body().delegations().cloned())
        });
        roles.as_ref().is_some_and(|all| all.role(role).is_some())
    }

    /// The root with this content, for those who trust it.
    pub(super) fn pinned(&mut self, blob: usize) -> Result<TrustedRoot, Refusal> {
        let (past, verifier) = (self.past, self.verifier);
        self.pinned.entry(blob).or_insert_with(|| TrustedRoot::pinned(past.bytes(blob), verifier)).clone()
    }

    /// The roots of the folder at this path, as it is now.
    pub(super) fn roots_in(&mut self, path: &'a str, folder: &Folder<'a>) -> Roots {
        let since = folder.roots_since();
        if let Some((_, known)) = self.roots.get(path).filter(|(known, _)| *known == since) {
            return Arc::clone(known);
        }
        let mut found = BTreeMap::new();
        for (name, blob) in folder.roots() {
            let Some(version) = self.read(name, blob).map(|read| read.version) else { continue };
            match version_in(name) {
                // A numbered file is what clients ask for.
                Some(number) if number == version => drop(found.insert(version, blob)),
                // Whoever asks for this number refuses it, and it stands in for no other.
                Some(_) => {}
                None => drop(found.entry(version).or_insert(blob)),
            }
        }
        let found: Roots = Arc::new(found.into_iter().rev().collect());
        self.roots.insert(path, (since, Arc::clone(&found)));
        found
    }

    /// The numbered roots of the folder that are no files, cannot be read, or hold another version than their number.
    pub(super) fn unfit(&mut self, folder: &Folder<'a>) -> Vec<Unfit> {
        let past = self.past;
        let one = |(name, blob)| {
            let number = version_in(name)?;
            let why = match self.read(name, blob).map(|read| read.version) {
                None => Metadata::<Root>::parse(name, past.bytes(blob)).err()?,
                Some(version) if version != number => {
                    let what = alloc::format!("version {version} inside a file numbered {number}");
                    Refusal::new(Check::RootVersion, crate::text::escape(name), what)
                }
                Some(_) => return None,
            };
            Some(Unfit { name: name.to_string(), blob: Some(blob), why })
        };
        let mut all: Vec<Unfit> = folder.roots().filter_map(one).collect();
        all.extend(folder.files().filter_map(|(name, held)| {
            let Held::Odd(what) = held else { return None };
            let numbered = is_named_like_a_root(name) && version_in(name).is_some();
            numbered.then(|| Unfit { name: name.to_string(), blob: None, why: no_file(name, what) })
        }));
        all
    }
}

/// A numbered root that no client takes, whoever signed it.
#[derive(Clone, Debug)]
pub(super) struct Unfit {
    pub(super) name: String,
    /// Its content, if it is a file.
    pub(super) blob: Option<usize>,
    pub(super) why: Refusal,
}

/// The content of the first of these files that is in a folder, and what to say if there is none.
pub(super) fn find(folder: &Folder<'_>, names: &[String]) -> Result<(String, usize), Refusal> {
    for name in names {
        match folder.get(name) {
            Some(Held::Blob(blob)) => return Ok((name.clone(), blob)),
            Some(Held::Odd(what)) => return Err(no_file(name, what)),
            None => {}
        }
    }
    let wanted = names.first().cloned().unwrap_or_default();
    Err(Refusal::new(Check::MetaMissing, crate::text::escape(&wanted), "it is missing"))
}

fn no_file(name: &str, what: &str) -> Refusal {
    Refusal::new(Check::MetaMissing, crate::text::escape(name), alloc::format!("it is {what}, not a file"))
}

/// That a quorum of `role`, as `root` has it, signed the file with these bytes.
fn signed(root: &Metadata<Root>, role: Role, bytes: &[u8], verifier: &dyn Verifier) -> Result<(), Refusal> {
    let check = Check::MetaQuorum;
    match role {
        Role::Root => {
            chain::signed_by(root, role, &Metadata::<Root>::parse("root.json", bytes)?, check, verifier).map(drop)
        }
        Role::Timestamp => {
            chain::signed_by(root, role, &Metadata::<Timestamp>::parse("timestamp.json", bytes)?, check, verifier)
                .map(drop)
        }
        Role::Snapshot => {
            chain::signed_by(root, role, &Metadata::<Snapshot>::parse("snapshot.json", bytes)?, check, verifier)
                .map(drop)
        }
        Role::Targets => {
            chain::signed_by(root, role, &Metadata::<Targets>::parse("targets.json", bytes)?, check, verifier).map(drop)
        }
    }
}

/// Whether people collect signatures in a folder of this path, and nobody is served from it.
pub(super) fn is_staged(path: &str) -> bool {
    path.split('/').any(|part| {
        matches!(part, "staged" | "staging" | "defunct" | "ceremony" | "testdata" | "tests" | "test")
            || part.ends_with(".staged")
    })
}

/// The findings of reading, as they weigh here.
pub(super) fn weighed(findings: &[Finding], strict: bool) -> Vec<Finding> {
    let kept = findings.iter().filter(|finding| finding.level > Level::Note).cloned().collect();
    if strict { crate::metadata::strict(kept) } else { kept }
}
