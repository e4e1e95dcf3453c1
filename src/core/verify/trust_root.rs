//! Verifying a whole trust root: what is published, against the records of the people who made it.
//!
//! Rules:
//! 1. Everything is looked at and everything found is reported, not the first fault alone.
//! 2. Nothing in the repository vouches for the repository as a whole: an anchor from elsewhere does. A coherent
//!    truncation of the newest end cannot be seen from inside, and the report says so.
//! 3. A rehearsal is verified only as a rehearsal, and production only as production. A key that is used in both is refused.

use super::equivalents::equivalents;
use super::look::Look;
use super::proposed::Proposed;
use super::published::Published;
use super::record::{Held, keys_lying_in};
use super::report::{Facts, HolderLine, Proof, RecordLine, Report, RootLine, Verdict};
use super::roots::root_number;
use super::{earlier, keys, names, proposed, published, record, rivals};
use crate::attestation::anchor::Anchors;
use crate::check::Check;
use crate::digest::Digest;
use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::{Metadata, root::Root};
use crate::plan::Plan;
use crate::proposal::{RECORD, REHEARSAL};
use crate::record::records;
use crate::signature::Verifier;
use crate::text::{Handle, escape};
use crate::time::Timestamp;
use crate::tree::{Entry, Tree};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most differences of a working tree that are reported one by one.
const MAX_DIFFERENCES: usize = 20;

/// What a verification goes by, besides the files.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The time asked about.
    pub now: Timestamp,
    /// Whether this is to be a rehearsal.
    pub rehearsal: bool,
    /// Whether old forms are refused.
    pub strict: bool,
    /// The payload digest of a root, known from elsewhere.
    pub anchor: Option<Digest>,
    /// Name and version of this program, as records name it; nothing where pages are not to be rendered again.
    pub program: Option<&'a str>,
    /// What git remembers of `root/`.
    pub history: History<'a>,
    /// Where the working tree is not the commit that is verified: path and how.
    pub differences: &'a [(String, String)],
}

/// What git remembers of `root/`.
#[derive(Clone, Copy, Debug)]
pub enum History<'a> {
    /// There is no git here.
    None,
    /// A clone that was cut: what was before is unknown.
    Shallow(&'a [Past]),
    /// Everything below `root/` that any reference reaches, and what ancestors of the commit held of records that it does
    /// not.
    Whole(&'a [Past]),
}

/// A file as it stood in some commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The path from the top of the repository.
    pub path: String,
    /// The commit.
    pub commit: String,
    /// Whether it is the commit that is verified, or one before it.
    pub behind: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Verifies the trust root whose files are `tree`.
pub fn verify_trust_root(tree: &Tree, options: &Options<'_>, verifier: &dyn Verifier) -> Report {
    let mut look = Look {
        tree,
        options,
        verifier,
        findings: Vec::new(),
        checked: Vec::new(),
        not_checked: Vec::new(),
        caveats: Vec::new(),
    };
    let dirs = records(tree);
    working_tree(&mut look);
    names::look(&mut look, &dirs);

    let anchors = Anchors::pinned();
    let mut all: Vec<Held> = dirs.iter().filter_map(|dir| record::look(&mut look, dir)).collect();
    all.sort_by_key(|held| (held.record.last_time(), held.record.dir.clone()));
    let proofs: Vec<BTreeMap<Handle, Proof>> = all.iter().map(|held| keys::look(&mut look, held, &anchors)).collect();
    let proposals: Vec<Option<Proposed>> = all.iter().map(|held| proposed::look(&mut look, held)).collect();

    earlier::look(&mut look, &all);
    let elsewhere = made_elsewhere(&mut look, &dirs, &all, &proposals);
    let published = published::look(&mut look, &all, elsewhere);
    match &published {
        Some(published) => {
            established(&mut look, published, &proposals, elsewhere);
            rivals::in_history(&mut look, published);
            rivals::rolled_back(&mut look, published);
        }
        None if all.iter().any(|held| held.assembled().is_some()) => {
            look.refuse(Check::RootFiles, "root/", "a record made a root, and there is none").hint =
                Some("restore it from git".to_string());
        }
        None if all.iter().any(|held| held.state() == "open") => {
            look.caveats.push("nothing is published yet".to_string());
            look.not_checked.push("root/: nothing is published yet".to_string());
        }
        None => {
            look.refuse(Check::RootGap, "root/", "there is no root, and no open ceremony that would make one").hint = Some(
                "go to the top of a trust root's repository; for numbered roots alone use `trustroot verify --roots DIR`"
                    .to_string(),
            );
        }
    }
    let pairs = all.iter().zip(&proposals).filter_map(|(held, proposed)| Some((held, proposed.as_ref()?)));
    for tag in all.iter().filter_map(|held| held.ceremony.published.as_deref()) {
        look.not_checked.push(format!("whether the tag {} is here, and is where it was put", escape(tag)));
    }
    rivals::rewritten(&mut look, &all);
    rivals::in_records(&mut look, pairs.clone(), published.as_ref());
    rivals::admitted(&mut look, pairs);
    all.iter().for_each(|held| rivals::set_aside(&mut look, held, published.as_ref()));
    let rehearsal = rehearsal(&mut look, &dirs, published.as_ref());
    let anchored = anchor(&mut look, published.as_ref());

    let facts = facts(tree, &dirs, &all, &proofs, &proposals, published.as_ref(), anchored);
    let equivalents = equivalents(&all, published.as_ref(), options, &look);
    limits(&mut look, published.as_ref());
    let verdict = match (look.refused(), anchored) {
        (0, Some(_)) => Verdict::Verified,
        (0, None) => Verdict::Consistent,
        _ => Verdict::Refused,
    };
    let Look { findings, checked, not_checked, caveats, .. } = look;
    Report { verdict, rehearsal, caveats, findings, checked, not_checked, facts, equivalents }
}

fn working_tree(look: &mut Look<'_>) {
    let differences = look.options.differences;
    for (path, how) in differences.iter().take(MAX_DIFFERENCES) {
        look.refuse(Check::WorkingTree, path, how.clone()).hint = Some(
            "the commit is what was verified; look with `git status`, then commit or restore the file".to_string(),
        );
    }
    if let Some(more) = differences.len().checked_sub(MAX_DIFFERENCES).filter(|more| *more > 0) {
        look.refuse(Check::WorkingTree, "", format!("{more} more files differ"));
    }
}

/// The newest root that another program made, where the first record continues one, or where there is no record at all: none of
/// its kind is in a record, and the headline says so.
fn made_elsewhere(look: &mut Look<'_>, dirs: &[String], all: &[Held], proposals: &[Option<Proposed>]) -> Option<u64> {
    let continued =
        all.iter().filter_map(|held| held.record.plan.follows.as_ref()).map(|follows| follows.version).min();
    let imported = || look.tree.keys().filter_map(|path| root_number(path.strip_prefix("root/")?)).max();
    let version = if dirs.is_empty() { imported()? } else { continued? };
    if proposals.iter().flatten().any(|proposed| proposed.version <= version) {
        return None;
    }
    look.caveats.push(format!("roots 1 to {version} were made elsewhere"));
    look.not_checked
        .push(format!("how roots 1 to {version} were made, and who holds their keys: no record here says it"));
    Some(version)
}

/// A root that names a record was made by a ceremony like ours: it is no other program's, and its record belongs here.
fn names_a_record(look: &mut Look<'_>, subject: &str, root: &Metadata<Root>) {
    let Some(named) = root.signed().get(RECORD) else { return };
    let plan = named.get("plan").and_then(Value::as_str).map_or_else(String::new, |plan| {
        // Foreign text until it is compared; a digest has 64 digits.
        format!(", of the plan {}", escape(&plan.chars().take(64).collect::<String>()))
    });
    look.refuse(Check::RootRecord, subject, format!("it names a record{plan}, and that record is not here")).hint =
        Some("restore the folder below ceremony/ from git, or from another clone".to_string());
}

/// Every key of every root comes from a record, and is one key; what was made elsewhere is judged by its signatures alone.
fn established(look: &mut Look<'_>, published: &Published, proposals: &[Option<Proposed>], elsewhere: Option<u64>) {
    let is_elsewhere = |version: &u64| elsewhere.is_some_and(|newest| *version <= newest);
    let brought = published.roots.iter().filter(|(version, _)| is_elsewhere(version));
    let brought = brought.flat_map(|(_, root)| root.body().keys().values()).filter_map(|key| key.public());
    let known: BTreeSet<&PublicKey> =
        proposals.iter().flatten().flat_map(|proposed| &proposed.keys).chain(brought).collect();
    for (version, root) in published.roots.iter().filter(|(version, _)| is_elsewhere(version)) {
        names_a_record(look, &format!("root/{version}.root.json"), root);
    }
    let mut count = BTreeSet::new();
    for (version, root) in published.roots.iter().filter(|(version, _)| !is_elsewhere(version)) {
        let subject = format!("root/{version}.root.json");
        let mut seen: BTreeMap<&PublicKey, &str> = BTreeMap::new();
        for (id, key) in root.body().keys() {
            let Some(public) = key.public() else {
                look.refuse(Check::KeyForm, &subject, format!("the key {} cannot be used", escape(id)));
                continue;
            };
            if seen.insert(public, id).is_some() {
                let what = format!("the key {} stands under two key ids", public.fingerprint());
                look.refuse(Check::KeyDistinct, &subject, what);
            }
            if !known.contains(public) {
                let what = format!("the key {} comes from no record", public.fingerprint());
                look.refuse(Check::AttBound, &subject, what).hint =
                    Some("nobody can say who holds it; ask the holders before using this root".to_string());
            }
            count.insert(public);
        }
        if !proposals.iter().flatten().any(|proposed| proposed.payload == root.payload().digest()) {
            look.refuse(Check::RootRecord, &subject, "no record proposed this payload");
        }
    }
    look.checked.push(format!("{} keys in the roots, each from a record", count.len()));
}

/// Rule 3. Whether what lies here is a rehearsal.
fn rehearsal(look: &mut Look<'_>, dirs: &[String], published: Option<&Published>) -> bool {
    let asked = look.options.rehearsal;
    let plan = |dir: &String| {
        let bytes = look.bytes(&format!("{dir}/plan.json"))?;
        Some((dir.clone(), Plan::from_json(bytes).ok()?.rehearsal))
    };
    let plans: Vec<(String, bool)> = dirs.iter().filter_map(plan).collect();
    let roots = published.iter().flat_map(|published| published.roots.values());
    let marked: Vec<(u64, bool)> =
        roots.map(|root: &Metadata<Root>| (root.version(), root.signed().get(REHEARSAL).is_some())).collect();
    let targets = published.and_then(|published| published.targets.as_ref());
    let marked_targets = targets.is_some_and(|targets| targets.metadata().signed().get(REHEARSAL).is_some());

    let hint = if asked {
        "verify without --rehearsal"
    } else {
        "do not trust what is signed here; to look at a rehearsal, verify with --rehearsal"
    };
    let wrong = |is: bool| match (is, asked) {
        (true, false) => Some("this is a rehearsal's"),
        (false, true) => Some("this is no rehearsal's"),
        _ => None,
    };
    for (version, is) in &marked {
        if let Some(what) = wrong(*is) {
            look.refuse(Check::Rehearsal, &format!("root/{version}.root.json"), what).hint = Some(hint.to_string());
        }
    }
    if let Some(what) = targets.and_then(|_| wrong(marked_targets)) {
        look.refuse(Check::Rehearsal, "root/: targets", what).hint = Some(hint.to_string());
    }
    // In production a rehearsal's record may lie beside, if nothing of it was published; its keys are burnt.
    let production = !marked.is_empty() && marked.iter().all(|(_, is)| !is) && !marked_targets;
    for (dir, is) in &plans {
        let Some(what) = wrong(*is) else { continue };
        if *is && production {
            look.warn(Check::Rehearsal, dir, "a rehearsal's record beside production; its keys are refused there");
        } else {
            look.refuse(Check::Rehearsal, dir, what).hint = Some(hint.to_string());
        }
    }
    shared_keys(look, &plans, published);
    plans.iter().any(|(_, is)| *is) && !production || marked.iter().any(|(_, is)| *is)
}

/// No key of a rehearsal's record is one of production, in any record or root.
fn shared_keys(look: &mut Look<'_>, plans: &[(String, bool)], published: Option<&Published>) {
    let lying = |rehearsal: bool| {
        let dirs = plans.iter().filter(move |(_, is)| *is == rehearsal);
        dirs.flat_map(|(dir, _)| keys_lying_in(look, dir)).collect::<Vec<_>>()
    };
    let burnt: BTreeMap<PublicKey, String> = lying(true).into_iter().map(|(path, key)| (key, path)).collect();
    let mut production: BTreeMap<PublicKey, String> = lying(false).into_iter().map(|(path, key)| (key, path)).collect();
    if plans.iter().any(|(_, is)| !is) {
        // What a production record's proposal names is in its folders; what a root names may be nowhere else.
        let unmarked = |root: &&Metadata<Root>| root.signed().get(REHEARSAL).is_none();
        for root in published.iter().flat_map(|published| published.roots.values()).filter(unmarked) {
            for key in root.body().keys().values().filter_map(|key| key.public()) {
                production.entry(key.clone()).or_insert_with(|| format!("root/{}.root.json", root.version()));
            }
        }
    }
    for (key, path) in &production {
        if let Some(other) = burnt.get(key) {
            let what = format!("the key was used in a rehearsal: {}", escape(other));
            look.refuse(Check::Rehearsal, path, what).hint =
                Some("make a new key; whoever watched the rehearsal may have its signatures".to_string());
        }
    }
}

/// The version that the anchor is of.
fn anchor(look: &mut Look<'_>, published: Option<&Published>) -> Option<u64> {
    let Some(anchor) = look.options.anchor else {
        look.not_checked.push("whose trust root this is: no anchor was given".to_string());
        return None;
    };
    let found = published.and_then(|published| {
        published.roots.iter().find(|(_, root)| root.payload().digest() == anchor).map(|(version, _)| *version)
    });
    match found {
        Some(version) => {
            look.checked.push(format!("the anchor: it is the payload digest of root {version}"));
            let newest = published.and_then(|published| published.roots.keys().next_back().copied());
            if newest.is_some_and(|newest| newest > version) {
                let what = format!(
                    "roots after {version} are tied to it by their predecessors' signatures, not by the anchor"
                );
                look.note(Check::Anchor, "root/", what);
            }
        }
        None => {
            let what = format!("no root here has the payload digest {anchor}");
            look.refuse(Check::Anchor, "root/", what).hint = Some(
                "this is another trust root than the one you know, or the anchor is no payload digest".to_string(),
            );
        }
    }
    found
}

/// What no verification from inside can see.
fn limits(look: &mut Look<'_>, published: Option<&Published>) {
    let newest = published.and_then(|published| published.roots.keys().next_back().copied());
    if let Some(newest) = newest {
        let what = format!("whether root {newest} is the newest: an end that was cut off in good order looks the same");
        look.not_checked.push(what);
    }
    look.not_checked.push("the people: that a holder is who the record says, and was not forced".to_string());
}

fn facts(
    tree: &Tree,
    dirs: &[String],
    all: &[Held],
    proofs: &[BTreeMap<Handle, Proof>],
    proposals: &[Option<Proposed>],
    published: Option<&Published>,
    anchored: Option<u64>,
) -> Facts {
    let mut facts = Facts { anchored, ..Facts::default() };
    for root in published.iter().flat_map(|published| &published.report.roots) {
        let Some(found) = &root.facts else { continue };
        facts.roots.push(RootLine {
            version: found.version,
            payload: found.payload,
            expires: found.expires,
            threshold: found.threshold,
            keys: found.keys.len(),
            signed: found.signers.iter().filter(|signer| found.keys.contains(&signer.key)).count(),
        });
    }
    if let Some(targets) = published.and_then(|published| published.targets.as_ref()) {
        let (_, timestamp, snapshot) = targets.set();
        facts.metadata = Vec::from([
            ("timestamp".to_string(), timestamp.version(), timestamp.expires()),
            ("snapshot".to_string(), snapshot.version(), snapshot.expires()),
            ("targets".to_string(), targets.metadata().version(), targets.metadata().expires()),
        ]);
    }
    // What speaks for a key that is kept is where it was made.
    let keys_of = |(held, proofs): (&Held, &BTreeMap<Handle, Proof>)| {
        let of =
            |(handle, proof): (&Handle, &Proof)| Some((held.ceremony.holders.get(handle)?.key.clone()?, proof.clone()));
        proofs.iter().filter_map(of).collect::<Vec<_>>()
    };
    let known: BTreeMap<PublicKey, Proof> = all.iter().zip(proofs).flat_map(keys_of).collect();
    for (held, proposed) in all.iter().zip(proposals) {
        for holder in &held.record.plan.holders {
            let state = held.ceremony.holders.get(&holder.handle);
            facts.holders.push(HolderLine {
                record: held.record.dir.clone(),
                handle: holder.handle.to_string(),
                name: escape(&holder.name),
                fingerprint: state.and_then(|state| state.key.as_ref()).map(PublicKey::fingerprint),
                serial: match state.and_then(|state| state.token.as_ref()) {
                    Some(token) => Some(token.serial),
                    None => state.filter(|state| state.kept).and(holder.token.serial),
                },
                algorithm: state.and_then(|state| state.key.as_ref()).map(PublicKey::algorithm),
                proof: state.and_then(|state| known.get(state.key.as_ref()?).cloned()).unwrap_or(Proof::NONE),
                signed: proposed.as_ref().is_some_and(|proposed| proposed.signed.contains(&holder.handle)),
            });
        }
    }
    for dir in dirs {
        let held = all.iter().find(|held| held.record.dir == *dir);
        let plan = tree.get(&format!("{dir}/plan.json")).and_then(Entry::bytes);
        facts.records.push(RecordLine {
            dir: escape(dir),
            plan: Digest::of(plan.unwrap_or_default()),
            events: held.map_or(0, |held| held.record.events.len()),
            state: held.map_or("unreadable", Held::state),
        });
    }
    facts
}
