//! Verifying the whole git history of a repository that others made: Sigstore's `root-signing` and its kind.
//!
//! Rules:
//! 1. Nothing is assumed of the layout but the names of TUF's files: a folder with a `root.json`, an `N.root.json` or another
//!    top-level role is looked at, wherever it lies and in whichever commit. Earlier roots may lie in `root_history/`.
//! 2. Every root, targets, snapshot, timestamp and delegated file is verified against the roots of its own commit.
//! 3. The newest commit's chain of roots is the one that counts. Nothing in a repository says that it is the chain of the
//!    people one means: an anchor does.
//! 4. Trouble that cannot be undone, or that nobody undid, refuses; trouble that was mended is a warning.
//! 5. Old forms are accepted by name, as everywhere.

mod files;
mod line;
mod others;
mod page;
mod past;
mod proofs;
mod report;
mod roots;
mod same;
mod set;
mod sightings;
mod timeline;
mod told;

pub use files::{is_a_root, is_named_like_a_key, is_named_like_a_root, is_named_like_metadata};
pub use page::page;
pub use past::{Back, Change, Held, Holder, Moment, Move, Past, Stray};
pub use report::{
    Attestation, AttestationFacts, Break, Facts, HistoryReport, HolderLife, Rival, RoleLife, RoleSpan, RootLife, Seen,
    Told,
};

use self::files::Files;
use self::roots::Chain;
use self::sightings::Sightings;
use self::told::Tell;
use super::report::Verdict;
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::proposal::REHEARSAL;
use crate::signature::Verifier;
use crate::text::escape;
use crate::time::Timestamp;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What a verification goes by, besides the history.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The time asked about. Commits after it should not be in the history.
    pub now: Timestamp,
    /// Whether this is to be a rehearsal.
    pub rehearsal: bool,
    /// Whether old forms are refused.
    pub strict: bool,
    /// The payload digest of a root, known from elsewhere.
    pub anchor: Option<&'a Digest>,
}

/// Verifies everything that git remembers.
pub fn verify_history(past: &Past, ask: &Ask<'_>, verifier: &dyn Verifier) -> HistoryReport {
    let mut tell = Tell::default();
    let mut files = Files::new(past, verifier);
    let sightings = Sightings::of(past);
    let mut facts = Facts {
        head: past.head.clone(),
        commits: (past.commits, past.line),
        references: past.references,
        span: span(past),
        cut: past.cut,
        ..Facts::default()
    };
    let mut not_checked = Vec::new();
    let mut checked = Vec::new();
    let mut anchored = None;
    let mut equivalents = Vec::new();
    if let Some(mut chain) = roots::find(&mut files, &sightings, ask) {
        roots::tell(&chain, &sightings, past, &mut tell);
        rehearsal(&chain, ask, &sightings, past, &mut tell);
        anchored = anchor(&chain, ask, &mut tell);
        roots::rivals(&mut files, &mut chain, &sightings, &mut tell);
        let line = line::walk(&mut files, &chain, &mut tell);
        facts.roles = line::margins(&line, &files, ask, &mut tell);
        let counts = others::look(&mut files, &chain, &line, &sightings, &mut tell);
        (facts.files, facts.unsigned) = (counts.files, counts.unsigned);
        forms(&mut files, &sightings, ask, &mut tell);
        let (attestations, holders) = proofs::look(&files, &chain, &sightings, ask, &mut tell);
        facts.roots = lives(&chain, &line, &sightings, past);
        if let Some(newest) = facts.roots.last().filter(|_| line.lives.is_empty())
            && newest.expires <= ask.now
        {
            // Where nothing but roots is published, no role over time says so.
            let what = format!("expired at {}; the time asked about is {}", newest.expires, ask.now);
            let finding = Finding::new(Level::Refused, Check::Expired, format!("root {}", newest.version), what);
            let finding = finding.hint("fetch, in case it was renewed; to ask about another time use --at TIME");
            tell.found(finding, newest.seen.clone().into_iter().collect());
        }
        facts.folder = roots::shown(&chain.folder);
        facts.rivals = core::mem::take(&mut chain.rivals);
        facts.breaks = line.breaks;
        facts.waited = line.waited;
        facts.drafts = chain.drafts;
        let elsewhere = chain.others.union(&line.others).filter(|folder| !line.judged.contains(*folder));
        facts.others = elsewhere.map(|folder| roots::shown(folder)).collect();
        checked.push(format!(
            "{} reached by {}, {} of them the main line: every file named like TUF metadata in each",
            many(past.commits, "commit", "commits"),
            many(past.references, "reference", "references"),
            past.line
        ));
        checked.push(format!(
            "{} of {}, each signed by its own keys and its predecessor's",
            many(facts.roots.len(), "root", "roots"),
            facts.folder
        ));
        checked.push(format!(
            "{} against the roots of their own commits; no quorum signed {} of them",
            many(facts.files.0, "other file of metadata", "other files of metadata"),
            facts.files.1
        ));
        let folders: Vec<String> = line.judged.iter().map(|folder| roots::shown(folder)).collect();
        if folders.is_empty() {
            not_checked.push("what clients were served: no folder with these roots has a timestamp".to_string());
        } else {
            let moments = many(line.moments, "moment", "moments");
            checked
                .push(format!("{moments} of the main line, as a client would take them from {}", folders.join(", ")));
        }
        if line.waited > 0 {
            checked.push(format!(
                "at {} the files waited for the online keys to sign, as in a source they do",
                many(line.waited, "moment", "moments")
            ));
        }
        checked.push(format!(
            "{} down to a pinned anchor, and to the holders' keys",
            many(attestations.len(), "attestation", "attestations")
        ));
        equivalents = same::equivalents(&chain, &sightings, &attestations, past);
        (facts.attestations, facts.holders) = (attestations, holders);
        if !facts.others.is_empty() {
            not_checked.push(format!("other trust roots that lie here too: {}", facts.others.join(", ")));
        }
        if facts.drafts > 0 {
            not_checked.push(format!("{} of roots that never had a quorum", many(facts.drafts, "draft", "drafts")));
        }
    } else {
        let what = "the main line has no root outside folders in which signatures are collected";
        let finding = Finding::new(Level::Refused, Check::RootGap, "the main line", what);
        tell.found(finding.hint("check out the branch that is published"), Vec::new());
    }
    moves(past, &mut tell);
    if past.cut {
        not_checked.push("what came before the clone was cut (`git fetch --unshallow`)".to_string());
    }
    if past.later > 0 {
        let later = many(past.later, "commit", "commits");
        not_checked.push(format!("{later} later than the time asked about"));
    }
    if let Some(back) = &past.back {
        let (parent, own) = back.farthest;
        not_checked.push(format!(
            "how long anything lasted, as far as times go back: {} an earlier time than {} parent, {} the farthest, by {}",
            many(back.count, "commit of the main line states", "commits of the main line state"),
            if back.count == 1 { "its" } else { "their" },
            back.commit,
            line::lasted(own, parent)
        ));
    }
    if past.unread > 0 {
        let files = many(past.unread, "file", "files");
        not_checked
            .push(format!("{files} under other names than TUF's, too large or too many to look for a root in them"));
    }
    if past.replaced {
        not_checked.push(
            "what `git replace` puts in place of objects: everything was read as it was committed, which `git log` does not"
                .to_string(),
        );
    }
    not_checked.extend(
        [
            "the working tree: only what was committed counts",
            "target files: what the targets name is not compared with what lies here",
            "who was served what, and when: times of commits are stated, and a line that was rewritten before it was cloned \
             leaves no trace but what other references hold",
        ]
        .map(str::to_string),
    );
    if anchored.is_none() {
        not_checked.push("whose roots these are: no anchor was given".to_string());
    }
    let findings = tell.done();
    let refused = findings.iter().any(|told| told.finding.level == Level::Refused);
    HistoryReport {
        verdict: match (refused, anchored) {
            (true, _) => Verdict::Refused,
            (false, None) => Verdict::Consistent,
            (false, Some(_)) => Verdict::Verified,
        },
        rehearsal: ask.rehearsal,
        anchored,
        now: ask.now,
        findings,
        checked,
        not_checked,
        facts,
        equivalents,
    }
}

/// A number of things.
fn many(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn span(past: &Past) -> Option<(Timestamp, Timestamp)> {
    let times = || past.moments.iter().filter(|moment| moment.on_line).map(|moment| moment.time);
    Some((times().min()?, times().max()?))
}

/// A rehearsal is verified only as one, and nothing else as one.
fn rehearsal(chain: &Chain, ask: &Ask<'_>, sightings: &Sightings<'_>, past: &Past, tell: &mut Tell) {
    for (version, (blob, root)) in &chain.roots {
        let (what, hint) = match (root.signed().get(REHEARSAL).is_some(), ask.rehearsal) {
            (true, false) => {
                ("this is a rehearsal's", "do not trust it; to look at a rehearsal, verify with --rehearsal")
            }
            (false, true) => ("this is no rehearsal's", "verify without --rehearsal"),
            _ => continue,
        };
        let seen = sightings.best(*blob).map(|one| one.seen(past));
        let finding = Finding::new(Level::Refused, Check::Rehearsal, format!("{version}.root.json"), what);
        tell.found(finding.hint(hint), seen.into_iter().collect());
    }
}

/// The version of the chain that the anchor is of.
fn anchor(chain: &Chain, ask: &Ask<'_>, tell: &mut Tell) -> Option<u64> {
    let anchor = ask.anchor?;
    let found = chain.roots.iter().find(|(_, (_, root))| root.payload().digest() == *anchor);
    if found.is_none() {
        let what = format!("no root of the chain has the payload digest {anchor}");
        let finding = Finding::new(Level::Refused, Check::Anchor, roots::shown(&chain.folder), what);
        tell.found(finding.hint("these are other roots than the ones you know"), Vec::new());
    }
    found.map(|(version, _)| *version)
}

/// Old forms of everything but the roots, which are reported with the chain: the same form is one finding.
fn forms(files: &mut Files<'_>, sightings: &Sightings<'_>, ask: &Ask<'_>, tell: &mut Tell) {
    let past = files.past;
    let mut known: BTreeMap<usize, ()> = BTreeMap::new();
    for one in sightings.iter().filter(|one| one.on_line.is_some() && !files::is_staged(one.folder)) {
        let Some(read) = files.read(one.name, one.blob).filter(|read| read.root.is_none()) else { continue };
        let findings = files::weighed(&read.findings, ask.strict);
        if findings.is_empty() || known.insert(one.blob, ()).is_some() {
            continue;
        }
        for finding in findings {
            // A form is one finding, however many files have it.
            let (_, role) = one.name.rsplit_once('/').unwrap_or(("", one.name));
            let role = role.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('.');
            tell.found(Finding { subject: escape(role), ..finding }, Vec::from([one.seen(past)]));
        }
    }
}

/// Where references left commits behind.
fn moves(past: &Past, tell: &mut Tell) {
    for told in &past.moves {
        let what = format!(
            "it moved from commit {} to commit {}, which does not hold it: what lay between is off the line",
            escape(&told.from),
            escape(&told.to)
        );
        let seen = [&told.from, &told.to].map(|commit| Seen {
            holder: Holder::Commit,
            commit: escape(commit),
            time: told.time,
            path: String::new(),
            digest: None,
        });
        let finding = Finding::new(Level::Warning, Check::HistoryRewrite, escape(&told.reference), what)
            .hint("`git log COMMIT..COMMIT` with the two shows what was taken out; ask who forced it");
        tell.found(finding, seen.to_vec());
    }
}

/// The roots over time.
fn lives(chain: &Chain, line: &line::Line, sightings: &Sightings<'_>, past: &Past) -> Vec<RootLife> {
    let spans = line.lives.get("root").map(Vec::as_slice).unwrap_or_default();
    let came = |version: u64| {
        let span = spans.iter().find(|(span, ..)| span.version == version).map(|(span, ..)| span.from);
        let (blob, _) = chain.roots.get(&version)?;
        let seen = sightings.best(*blob).and_then(|one| past.moments.get(one.on_line?)).map(|moment| moment.time);
        span.or(seen)
    };
    let one = |(version, (blob, root)): (&u64, &(usize, _))| {
        let root: &crate::metadata::Metadata<crate::metadata::root::Root> = root;
        let report = chain.report.roots.iter().find(|report| report.number == *version);
        let facts = report.and_then(|report| report.facts.as_ref());
        let signed = facts.map_or(0, |facts| facts.signers.iter().filter(|signer| signer.for_own).count());
        RootLife {
            version: *version,
            payload: root.payload().digest(),
            seen: sightings.best(*blob).map(|one| one.seen(past)),
            from: came(*version),
            until: version.checked_add(1).and_then(came),
            expires: root.expires(),
            threshold: facts.map_or(0, |facts| facts.threshold),
            keys: facts.map_or(0, |facts| facts.keys.len()),
            signed,
            accepted: report.is_some_and(super::roots::RootReport::accepted),
            rivals: chain.valid.get(version).map_or(0, |valid| valid.len().saturating_sub(1)),
        }
    };
    chain.roots.iter().map(|(version, (blob, root))| one((version, &(*blob, (**root).clone())))).collect()
}
