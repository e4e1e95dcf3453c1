//! Judging a holder's branch, and the union of several.

use super::place::{Place, named};
use super::{Addition, ChangeKind, Offer};
use crate::beside;
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::event::{Deed, Event};
use crate::key::PublicKey;
use crate::payload::Payload;
use crate::record::Record;
use crate::replay::{Ceremony, replay};
use crate::sigfile::{SignedRole, collect};
use crate::signature::Verifier;
use crate::text::{Handle, escape};
use crate::tree::{Entry, Tree};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

/// How many findings one branch gets; after so many it is clear.
const MOST: usize = 20;

/// Judges what a holder's branch adds to the files `mine`. An addition of no files says that all of it was taken before.
///
/// # Errors
/// Every broken rule of the head of this module, as findings.
pub fn judge(mine: &Tree, offer: &Offer, verifier: &dyn Verifier) -> Result<Addition, Vec<Finding>> {
    let mut files = BTreeMap::new();
    if !offer.steps.is_empty() {
        let record = Record::read(mine, &offer.dir)?;
        let ceremony = replay(&record, mine).map_err(|finding| alloc::vec![finding])?;
        let mut judging = Judging { mine, offer, ceremony: &ceremony, findings: Vec::new() };
        judging.rewrites();
        judging.changes();
        files = judging.additions();
        judging.evidence(&files);
        judging.keys(&files);
        judging.too_late(&files);
        let mut findings = judging.findings;
        if findings.is_empty()
            && let Err(found) = judge_union(mine, &offer.dir, &files, verifier)
        {
            findings = found;
        }
        if !findings.is_empty() {
            findings.truncate(MOST);
            return Err(findings);
        }
    }
    Ok(Addition { handle: offer.handle.clone(), dir: offer.dir.clone(), commit: offer.commit.clone(), files })
}

/// The files that all of `additions` add to `mine`, if nothing in them excludes anything else.
///
/// # Errors
/// What the union of them breaks, though each may hold alone.
pub fn union(
    mine: &Tree,
    additions: &[&Addition],
    verifier: &dyn Verifier,
) -> Result<BTreeMap<String, Vec<u8>>, Vec<Finding>> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for addition in additions {
        for (path, bytes) in &addition.files {
            let there = files.get(path).map(Vec::as_slice).or_else(|| mine.get(path).and_then(Entry::bytes));
            if there.is_some_and(|there| there != bytes.as_slice()) {
                let what = format!("the branch of {} has other bytes for it", addition.handle);
                return Err(alloc::vec![Finding::new(Level::Refused, Check::BranchRewrite, escape(path), what)]);
            }
            files.insert(path.clone(), bytes.clone());
        }
    }
    let dirs: BTreeSet<&str> = additions.iter().filter(|a| !a.is_empty()).map(|a| a.dir.as_str()).collect();
    for dir in dirs {
        judge_union(mine, dir, &files, verifier)?;
    }
    Ok(files)
}

/// Reads and replays the record at `dir` as it would be with `files`, and checks every signature in it.
fn judge_union(
    mine: &Tree,
    dir: &str,
    files: &BTreeMap<String, Vec<u8>>,
    verifier: &dyn Verifier,
) -> Result<(), Vec<Finding>> {
    let mut tree = mine.clone();
    tree.extend(files.iter().map(|(path, bytes)| (path.clone(), Entry::File(bytes.clone()))));
    let record = Record::read(&tree, dir)?;
    let ceremony = replay(&record, &tree).map_err(|finding| alloc::vec![finding])?;
    let mut findings = beside::check(&record, &tree);
    let payloads = ceremony.proposal.as_ref().map(|p| [(SignedRole::Root, &p.root), (SignedRole::Targets, &p.targets)]);
    for (role, bytes) in payloads.into_iter().flatten() {
        let Ok(payload) = Payload::from_canonical(bytes) else { continue };
        findings.extend(collect(&tree, dir, role, &payload, &ceremony.signing_keys(), verifier).findings);
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

struct Judging<'a> {
    mine: &'a Tree,
    offer: &'a Offer,
    ceremony: &'a Ceremony,
    findings: Vec<Finding>,
}

impl Judging<'_> {
    fn refuse(&mut self, check: Check, subject: &str, what: impl Into<crate::page::Text>, hint: &str) {
        if self.findings.len() <= MOST {
            self.findings.push(Finding::new(Level::Refused, check, escape(subject), what).hint(hint));
        }
    }

    /// Rule 2: what was taken over before is still there.
    fn rewrites(&mut self) {
        let hint = "ask the holder what happened; they start again from the conductor's branch and sign anew";
        for commit in &self.offer.lost {
            let what = format!("the branch no longer contains {commit}, which was taken over before");
            self.refuse(Check::BranchRewrite, &self.name(), what, hint);
        }
        let own = format!("{}/log/{}/", self.offer.dir, self.offer.handle);
        let mine = self.mine;
        for (path, entry) in mine.range(own.clone()..).take_while(|(path, _)| path.starts_with(&own)) {
            let evidence = entry.bytes().and_then(|bytes| Event::from_bytes(bytes).ok());
            let named = evidence.into_iter().flat_map(|event| event.files.into_keys());
            for path in named.chain([path.clone()]) {
                let (here, there) = (mine.get(&path), self.offer.tree.get(&path));
                if here.is_some() && here != there {
                    let how = if there.is_some() { "has other bytes in the branch" } else { "is gone from the branch" };
                    self.refuse(Check::BranchRewrite, &path, format!("it was taken over before, and {how}"), hint);
                }
            }
        }
    }

    fn name(&self) -> String {
        super::name(&self.offer.dir, &self.offer.handle)
    }

    /// Rules 1, 3 and 4, for every commit.
    fn changes(&mut self) {
        if !self.signs_or_makes_a_key() {
            let what = format!("{} is no holder of this ceremony", self.offer.handle);
            self.refuse(Check::BranchForeign, &self.name(), what, "branches are named for a holder of the plan");
        }
        let offer = self.offer;
        let mut seen = BTreeSet::new();
        for (step, change) in offer.steps.iter().flat_map(|step| step.changes.iter().map(move |change| (step, change)))
        {
            if !seen.insert((&change.path, change.kind)) {
                continue;
            }
            let did = match change.kind {
                ChangeKind::Added => "adds",
                ChangeKind::Changed => "changes",
                ChangeKind::Removed => "removes",
            };
            let told = format!("commit {} of {} {did} it", short(&step.commit), self.name());
            let place = Place::of(&offer.dir, &change.path);
            match (&place, self.is_own(&place), change.kind) {
                (_, true, ChangeKind::Added) => {}
                (Place::Signature(role, digest, _), _, ChangeKind::Added) if !self.is_proposed(*role, *digest) => {
                    let what = format!("{told}, and that {role} is not what was proposed");
                    self.refuse(Check::BranchPayload, &change.path, what, SIGN_AGAIN);
                }
                (Place::Payload(..), ..) => {
                    self.refuse(
                        Check::BranchPayload,
                        &change.path,
                        format!("{told}; only the conductor proposes"),
                        SIGN_AGAIN,
                    );
                }
                (Place::Key(..), _, ChangeKind::Changed | ChangeKind::Removed) => {
                    let hint = "a key under one name never changes; find out who did it, before anything else";
                    self.refuse(Check::BranchKey, &change.path, told, hint);
                }
                (_, true, _) => {
                    let hint = "what was added once stays; the holder starts again from the conductor's branch";
                    self.refuse(Check::BranchRewrite, &change.path, told, hint);
                }
                _ => {
                    let hint = "nothing of the branch was taken; a holder's branch holds only what `trustroot join` puts there";
                    self.refuse(Check::BranchForeign, &change.path, told, hint);
                }
            }
        }
    }

    fn signs_or_makes_a_key(&self) -> bool {
        let handle = &self.offer.handle;
        self.ceremony.holders.contains_key(handle) || self.ceremony.old.contains_key(handle)
    }

    /// Rule 1: whether a place is the holder's own. Signatures are, of what was proposed, by keys that are the holder's.
    fn is_own(&self, place: &Place<'_>) -> bool {
        let handle = &self.offer.handle;
        match place {
            Place::Event(author) | Place::EventSignature(author) => author == handle,
            Place::Key(name, _) => name == handle,
            Place::Signature(role, digest, key) => {
                self.is_proposed(*role, *digest) && self.keys_of(handle).contains(*key)
            }
            Place::Payload(..) | Place::Elsewhere => false,
        }
    }

    fn is_proposed(&self, role: SignedRole, digest: Digest) -> bool {
        self.ceremony.proposal.as_ref().is_some_and(|proposal| match role {
            SignedRole::Root => proposal.root_digest() == digest,
            SignedRole::Targets => proposal.targets_digest() == digest,
        })
    }

    /// The fingerprints of a holder's keys, in short form.
    fn keys_of(&self, handle: &Handle) -> BTreeSet<String> {
        let states = self.ceremony.holders.get(handle).into_iter().chain(self.ceremony.old.get(handle));
        states.filter_map(|state| state.key.as_ref()).map(|key| key.fingerprint().short()).collect()
    }

    /// The files that the branch adds, by rule 5.
    fn additions(&mut self) -> BTreeMap<String, Vec<u8>> {
        let offer = self.offer;
        let added = offer.steps.iter().flat_map(|step| &step.changes).filter(|change| change.kind == ChangeKind::Added);
        let paths: BTreeSet<&String> = added.map(|change| &change.path).collect();
        let mut files = BTreeMap::new();
        for path in paths {
            let place = Place::of(&offer.dir, path);
            if !self.is_own(&place) {
                continue;
            }
            match (offer.tree.get(path), self.mine.get(path)) {
                (Some(Entry::File(there)), Some(Entry::File(here))) if there == here => {}
                (Some(Entry::File(there)), None) => drop(files.insert(path.clone(), there.clone())),
                (Some(Entry::Odd(what)), _) => {
                    self.refuse(Check::BranchForeign, path, format!("it is {what}"), "a record holds plain files only");
                }
                (None, _) => {
                    let hint = "what was added once stays; the holder starts again from the conductor's branch";
                    self.refuse(
                        Check::BranchRewrite,
                        path,
                        "a commit of the branch adds it, and the newest lacks it",
                        hint,
                    );
                }
                (Some(Entry::File(_)), Some(_)) => {
                    let check = if matches!(place, Place::Key(..)) { Check::BranchKey } else { Check::BranchRewrite };
                    let hint =
                        "the conductor's branch has this file too; find out who made which, before anything else";
                    self.refuse(check, path, "it is there with other bytes", hint);
                }
            }
        }
        files
    }

    /// Nothing is added that no event of the holder names.
    fn evidence(&mut self, files: &BTreeMap<String, Vec<u8>>) {
        let offer = self.offer;
        let events: Vec<(&String, Event)> = events(&offer.dir, files).collect();
        let named: BTreeSet<&String> = events.iter().flat_map(|(_, event)| event.files.keys()).collect();
        for path in files.keys() {
            let event = match Place::of(&offer.dir, path) {
                Place::Event(_) => true,
                Place::EventSignature(_) => {
                    let of = path.strip_suffix(".sig").unwrap_or(path);
                    files.contains_key(of) || self.mine.contains_key(of)
                }
                _ => named.contains(path),
            };
            if !event {
                let hint = "a holder's branch holds only what `trustroot join` puts there";
                self.refuse(Check::RecordFiles, path, "no event of the branch names it", hint);
            }
        }
    }

    /// Rule 3: a new key is nobody else's.
    fn keys(&mut self, files: &BTreeMap<String, Vec<u8>>) {
        let offer = self.offer;
        let hint = "two people with one key are one person; find out whose it is, before anything else";
        for (path, bytes) in files {
            let Place::Key(_, short) = Place::of(&offer.dir, path) else { continue };
            if !path.ends_with("/public.pem") {
                continue;
            }
            let key = core::str::from_utf8(bytes).ok().and_then(|pem| PublicKey::from_pem(pem).ok());
            let Some(key) = key.filter(|key| key.fingerprint().short() == short) else {
                let what = "it does not hold the key that its folder is named for";
                self.refuse(Check::BranchKey, path, what, "the holder starts again from the conductor's branch");
                continue;
            };
            if let Some(owner) = self.other_owner(&key) {
                self.refuse(Check::BranchKey, path, format!("this key is already {owner}"), hint);
            }
        }
    }

    /// Who else has a key: in this record, in any other of the repository, or in the root before.
    fn other_owner(&self, key: &PublicKey) -> Option<String> {
        let handle = &self.offer.handle;
        let states = self.ceremony.holders.iter().chain(&self.ceremony.old);
        let mut others = states.filter(|(name, state)| *name != handle && state.key.as_ref() == Some(key));
        if let Some((name, _)) = others.next() {
            return Some(format!("that of {name}"));
        }
        let short = key.fingerprint().short();
        let lies = |path: &String| {
            let (dir, rest) = path.split_once("/keys/")?;
            let (name, digits) = named(rest.split('/').next()?)?;
            (dir.starts_with("ceremony/") && name != *handle && digits == short)
                .then(|| format!("that of {name}, in {dir}"))
        };
        if let Some(found) = self.mine.keys().find_map(lies) {
            return Some(found);
        }
        let kept = |name: &Handle| self.ceremony.plan.holder(name).is_some_and(|h| h.key == Some(key.fingerprint()));
        let before = self.ceremony.before.as_ref()?.root.body().keys();
        let there = before.values().any(|old| old.public() == Some(key)) && !kept(handle);
        there.then(|| "in the root before".to_string())
    }

    /// Rule 6, and rule 4 for what events say.
    fn too_late(&mut self, files: &BTreeMap<String, Vec<u8>>) {
        let offer = self.offer;
        let ceremony = self.ceremony;
        let over = ceremony.aborted.is_some() || ceremony.assembled || ceremony.closed;
        for (path, event) in events(&offer.dir, files) {
            if over {
                let what = "the ceremony had gone on without it: it is assembled, or was abandoned";
                let hint = "what is in the branch stays there; who missed this root is in the next one";
                self.refuse(Check::LogStep, path, what, hint);
            }
            if let Deed::SignIntent { root, targets, .. } = &event.deed
                && !(self.is_proposed(SignedRole::Root, *root) && self.is_proposed(SignedRole::Targets, *targets))
            {
                self.refuse(Check::BranchPayload, path, "it is about another payload than the proposal", SIGN_AGAIN);
            }
        }
    }
}

/// What to do about signatures for something else.
const SIGN_AGAIN: &str =
    "a signature counts for its bytes alone; the holder looks at what is proposed now, and signs that";

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// The events among `files` that can be read; the others are for the reader of records.
fn events<'a>(dir: &'a str, files: &'a BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = (&'a String, Event)> {
    files.iter().filter_map(move |(path, bytes)| match Place::of(dir, path) {
        Place::Event(_) => Some((path, Event::from_bytes(bytes).ok()?)),
        _ => None,
    })
}
