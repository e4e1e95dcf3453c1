//! `trustroot verify`: a whole trust root, numbered roots in a folder, or a proposal before anybody signs it.
//!
//! It needs no set-up and no network. A git repository is verified at the commit that is checked out, and differences of its
//! working tree are findings; a bare clone and a plain folder are verified too. The report goes to standard output, the
//! headline first and last.

mod history;
mod once;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::json::Value;
use trustroot_core::lint;
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::page::{Block, Text, plain, review};
use trustroot_core::payload::Payload;
use trustroot_core::predecessor::Predecessor;
use trustroot_core::signature::Portable;
use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::merges::Merges;
use trustroot_core::verify::report::{Report, findings_json};
use trustroot_core::verify::roots::{RootsReport, root_number, verify_roots};
use trustroot_core::verify::trust_root::{History, Options, Past, verify_trust_root};
use trustroot_core::words;

use super::failure::{Failure, Kind};
use super::{ceremony, clock, print, program_version};
use crate::ledger::{Change, Reading, read_all, read_dir};
use crate::seams::LedgerError;
use crate::ui::report;

/// The largest file that is read as a proposal or an anchor, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// How wide a report is, in columns.
const WIDTH: usize = 100;

/// Verify a trust root, or numbered roots, or a proposal. Offline, and without set-up.
#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// The repository or folder; by default the one this folder is in.
    #[arg(conflicts_with_all = ["roots", "proposal"])]
    path: Option<PathBuf>,
    /// Verify the numbered roots (N.root.json) in this folder, whoever made them.
    #[arg(long, value_name = "DIR", conflicts_with = "proposal")]
    roots: Option<PathBuf>,
    /// Show what would be signed (a payload.json), to be compared with what is read aloud.
    #[arg(long, value_name = "FILE")]
    proposal: Option<PathBuf>,
    /// The payload digest of a root, known from elsewhere: 64 hexadecimal digits, 32 words, a root.json, or a file with one
    /// of them.
    #[arg(long, value_name = "HEX|WORDS|FILE")]
    anchor: Option<String>,
    /// Verify a rehearsal, which is refused otherwise.
    #[arg(long)]
    rehearsal: bool,
    /// The time asked about (YYYY-MM-DDTHH:MM:SSZ) instead of now; "record" is the time of the newest record's last event.
    #[arg(long, value_name = "TIME", value_parser = At::parse)]
    at: Option<At>,
    /// Refuse old forms that are otherwise accepted by name.
    #[arg(long)]
    strict: bool,
    /// Verify the whole git history of a repository that others made, also where the layout is ours.
    #[arg(long, conflicts_with_all = ["roots", "proposal"])]
    history: bool,
    /// Write the report of a history as one page of HTML into this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["roots", "proposal"])]
    html: Option<PathBuf>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

/// The time asked about.
#[derive(Clone, Copy, Debug)]
enum At {
    Time(Timestamp),
    Record,
}

impl At {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "record" {
            return Ok(Self::Record);
        }
        Timestamp::parse(text).map(Self::Time).map_err(|error| format!("{error}, or is the word \"record\""))
    }
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    for path in args.path.iter().chain(&args.roots) {
        a_folder(&here.join(path))?;
    }
    let path = args.path.as_ref().map_or_else(|| here.to_owned(), |path| here.join(path));
    let now = match args.at {
        None => clock::now(),
        Some(At::Time(time)) => time,
        Some(At::Record) => time_of_record(&Source::read(&path)?.tree)?,
    };
    if let Some(file) = &args.proposal {
        return proposal(here, &here.join(file), now, args);
    }
    let path = args.roots.as_ref().or(args.path.as_ref()).map_or_else(|| here.to_owned(), |path| here.join(path));
    let anchor = args.anchor.as_deref().map(|text| anchor(here, text, &path)).transpose()?;
    if args.roots.is_some() {
        return roots(&path, anchor, args);
    }
    let asked = Asked { now, rehearsal: args.rehearsal, strict: args.strict, anchor };
    if let Some(chosen) = history::chosen(&path, &asked, args)? {
        return history::run(here, &chosen, &asked, args);
    }
    if args.html.is_some() {
        let what = "--html is for histories, and this is a trust root of our own layout, or no git repository";
        return Err(Failure::new(Kind::Usage, what)
            .hint("a record has pages of its own; in a git repository ask for the history with --history"));
    }
    let (place, report) = trust_root(&path, &asked)?;
    if args.json {
        print(&json_text(report.to_json()))?;
    } else {
        print(&as_text(&place, now, &report))?;
    }
    if report.accepted() { Ok(()) } else { Err(refused("this trust root does not verify")) }
}

/// A path that was mistyped is no damaged repository.
fn a_folder(path: &Path) -> Result<(), Failure> {
    let shown = escape(&path.display().to_string());
    let what = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => format!("{shown} is no folder"),
        Err(error) => format!("{shown}: {error}"),
    };
    Err(Failure::new(Kind::Surroundings, what)
        .hint("give the folder of a repository or, after --roots, of numbered roots"))
}

fn refused(message: &str) -> Failure {
    Failure::new(Kind::Refused, message).hint("docs/checks.md has a paragraph for each name of a check")
}

// ---------------------------------------------------------------------------------------------------- a trust root

/// What a whole verification is asked for.
pub(super) struct Asked {
    /// The time asked about.
    pub(super) now: Timestamp,
    /// Whether it is to be a rehearsal.
    pub(super) rehearsal: bool,
    /// Whether old forms are refused.
    pub(super) strict: bool,
    /// The payload digest of a root.
    pub(super) anchor: Option<Digest>,
}

/// Verifies the trust root at `path`; also says what was read.
pub(super) fn trust_root(path: &Path, asked: &Asked) -> Result<(String, Report), Failure> {
    let Source { place, tree, past, shallow, differences, merges } = Source::read(path)?;
    let program = program_version();
    let options = Options {
        now: asked.now,
        rehearsal: asked.rehearsal,
        strict: asked.strict,
        anchor: asked.anchor,
        program: Some(&program),
        history: match &past {
            None => History::None,
            Some(past) if shallow => History::Shallow(past),
            Some(past) => History::Whole(past),
        },
        differences: &differences,
    };
    Ok((place, verify_trust_root(&tree, &options, &Portable).with_merges(&merges)))
}

/// The files to verify, and where they are from.
struct Source {
    place: String,
    tree: Tree,
    past: Option<Vec<Past>>,
    shallow: bool,
    differences: Vec<(String, String)>,
    merges: Merges,
}

impl Source {
    fn read(path: &Path) -> Result<Self, Failure> {
        let shown = escape(&path.display().to_string());
        match Reading::open(path) {
            // A folder inside somebody's repository that is a trust root by itself, such as an unpacked archive.
            Ok(reading) if is_top(&reading, path) || !holds_trust_root(path) => Self::of_git(&reading),
            Ok(_) | Err(LedgerError::NotFound(_)) => Ok(Self {
                place: format!("the folder {shown}, without git"),
                tree: read_dir(path)?,
                past: None,
                shallow: false,
                differences: Vec::new(),
                merges: Merges::default(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn of_git(reading: &Reading) -> Result<Self, Failure> {
        let head = reading.head()?;
        let shown = escape(&reading.path().display().to_string());
        let Some(commit) = head.commit else { return Err(no_commit(reading)) };
        let bare = if reading.is_bare() { "bare " } else { "" };
        let past = reading.history("root")?.into_iter().chain(reading.lost("ceremony")?);
        let past = past.map(|past| {
            let crate::ledger::Past { path, commit, behind, bytes } = past;
            Past { path, commit, behind, bytes }
        });
        let past = past.collect();
        let differences = if reading.is_bare() { Vec::new() } else { reading.differences()? };
        let how = |change| match change {
            Change::Bytes => "the working tree holds other bytes than the commit".to_owned(),
            Change::Missing => "the commit has it, the working tree does not".to_owned(),
            Change::Added => "the working tree has it, the commit does not".to_owned(),
            Change::Odd(what) => format!("in the commit or in the working tree it is {what}"),
        };
        // Plans are for people to edit before a ceremony is opened.
        let differences = differences.into_iter().filter(|difference| !difference.path.starts_with("ceremony/plans/"));
        Ok(Self {
            place: format!("commit {commit} of the {bare}repository {shown}"),
            tree: head.tree,
            past: Some(past),
            shallow: reading.is_shallow(),
            merges: reading.merges()?,
            differences: differences.map(|difference| (difference.path, how(difference.change))).collect(),
        })
    }
}

fn no_commit(reading: &Reading) -> Failure {
    let shown = escape(&reading.path().display().to_string());
    let failure = Failure::new(Kind::Refused, format!("the repository at {shown} has no commit yet"));
    failure.hint("there is nothing to verify; `trustroot rehearse --auto` makes something")
}

/// The time of the last event of the newest record.
fn time_of_record(tree: &Tree) -> Result<Timestamp, Failure> {
    let found = ceremony::newest(tree)?;
    found.and_then(|found| found.record.last_time()).ok_or_else(|| {
        let failure = Failure::new(Kind::Refused, "there is no record here whose time could be asked about");
        failure.hint("give the time: --at YYYY-MM-DDTHH:MM:SSZ")
    })
}

fn is_top(reading: &Reading, path: &Path) -> bool {
    match (reading.path().canonicalize(), path.canonicalize()) {
        (Ok(top), Ok(path)) => top == path,
        _ => false,
    }
}

fn holds_trust_root(path: &Path) -> bool {
    path.join("root").is_dir() || path.join("ceremony").is_dir()
}

// ------------------------------------------------------------------------------------------------------- the anchor

/// The payload digest that was given as digits, as words, as a root, or in a file that is not among what is verified at
/// `verified`: whatever lies there agrees with itself.
pub(super) fn anchor(here: &Path, text: &str, verified: &Path) -> Result<Digest, Failure> {
    if let Some(digest) = digest_in(text) {
        return Ok(digest);
    }
    let path = here.join(text);
    if !path.exists() {
        let why = match words::parse(text) {
            Err(error) if text.split_whitespace().count() > 1 => error.to_string(),
            _ => format!("\"{}\" is neither a digest nor a file", escape(text)),
        };
        let failure = Failure::new(Kind::Usage, format!("the anchor cannot be read: {why}"));
        return Err(
            failure.hint("give 64 hexadecimal digits, 32 words in quotes, a root.json, or a file with one of them")
        );
    }
    let top = Reading::open(verified).map_or_else(|_| verified.to_owned(), |reading| reading.path().to_owned());
    if let (Ok(top), Ok(file)) = (top.canonicalize(), path.canonicalize())
        && file.starts_with(top)
    {
        let message = format!("the anchor {} is a part of what is verified, so it proves nothing", escape(text));
        return Err(Failure::new(Kind::Usage, message).hint(
            "give a digest, words or a root that you have from somewhere else, such as a recording or a client",
        ));
    }
    let bytes = read_file(&path)?;
    let digest = std::str::from_utf8(&bytes).ok().and_then(digest_in);
    let of_root = || Metadata::<Root>::parse("the anchor", &bytes).ok().map(|root| root.payload().digest());
    digest.or_else(of_root).ok_or_else(|| {
        let failure = Failure::new(Kind::Usage, format!("{} is no anchor", escape(&path.display().to_string())));
        failure.hint("it has to hold a payload digest, as digits or words, or be a root.json")
    })
}

fn digest_in(text: &str) -> Option<Digest> {
    let text = text.trim();
    Digest::from_hex(&text.to_ascii_lowercase()).ok().or_else(|| words::parse(text).ok())
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let failed = |error| Failure::file(path, &error);
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("{} is larger than 16 MiB", escape(&path.display().to_string()));
        return Err(Failure::new(Kind::Refused, message).hint("this is no such file"));
    }
    Ok(bytes)
}

// --------------------------------------------------------------------------------------------------- numbered roots

fn roots(folder: &Path, anchor: Option<Digest>, args: &Args) -> Result<(), Failure> {
    let mut files = BTreeMap::new();
    let mut findings = Vec::new();
    for (path, entry) in read_all(folder)? {
        match entry {
            Entry::File(bytes) if !path.contains('/') => drop(files.insert(path, bytes)),
            Entry::Odd(what) if root_number(&path).is_some() => {
                let what = format!("it is {what}, not a regular file");
                findings.push(Finding::new(Level::Refused, Check::RootFiles, escape(&path), what));
            }
            _ => {}
        }
    }
    let mut report = verify_roots(&files, args.strict, &Portable);
    for root in &report.roots {
        let Some(facts) = &root.facts else { continue };
        let (what, hint) = match (facts.rehearsal, args.rehearsal) {
            (true, false) => {
                ("this is a rehearsal's", "do not trust it; to look at a rehearsal, verify with --rehearsal")
            }
            (false, true) => ("this is no rehearsal's", "verify without --rehearsal"),
            _ => continue,
        };
        let subject = format!("{}.root.json", root.number);
        findings.push(Finding::new(Level::Refused, Check::Rehearsal, subject, what).hint(hint));
    }
    report.findings.extend(findings);
    let anchored = anchor.and_then(|anchor| {
        let of_anchor = |root: &&trustroot_core::verify::roots::RootReport| {
            root.facts.as_ref().is_some_and(|facts| facts.payload == anchor)
        };
        report.roots.iter().find(of_anchor).map(|root| root.number)
    });
    if let (Some(anchor), None) = (anchor, anchored) {
        let what = format!("no root here has the payload digest {anchor}");
        let finding = Finding::new(Level::Refused, Check::Anchor, "the folder", what);
        report.findings.push(finding.hint("these are other roots than the ones you know"));
    }
    if args.json {
        print(&json_text(report.to_json()))?;
    } else {
        print(&roots_text(&report, anchored))?;
    }
    if report.accepted() { Ok(()) } else { Err(refused("these roots do not verify")) }
}

fn roots_text(report: &RootsReport, anchored: Option<u64>) -> String {
    let headline = match (report.accepted(), anchored) {
        (false, _) => "REFUSED".to_owned(),
        (true, None) => "CONSISTENT, IDENTITY NOT CHECKED".to_owned(),
        (true, Some(number)) => format!("VERIFIED, anchored at root {number}"),
    };
    let rehearsal = report.roots.iter().any(|root| root.facts.as_ref().is_some_and(|facts| facts.rehearsal));
    let headline = if rehearsal { format!("REHEARSAL, nothing here is to be trusted: {headline}") } else { headline };
    let mut out = format!("{headline}\n\n");
    for root in &report.roots {
        let Some(facts) = &root.facts else {
            out.push_str(&format!("root {:<4} cannot be read\n", root.number));
            continue;
        };
        let own = facts.signers.iter().filter(|signer| signer.for_own).count();
        let old = facts.signers.iter().filter(|signer| signer.for_old).count();
        out.push_str(&format!(
            "root {:<4} {}  signed by {own} of its {} keys ({} needed){}, expires {}\n",
            root.number,
            facts.payload,
            facts.keys.len(),
            facts.threshold,
            if root.number == 1 { String::new() } else { format!(" and {old} of its predecessor's") },
            facts.expires
        ));
    }
    let findings: Vec<Finding> = report.all_findings().cloned().collect();
    if !findings.is_empty() {
        out.push_str(&format!("\nFound\n{}\n", indented(&report::findings(&findings))));
    }
    out.push_str(
        "\nNot checked\n  expiry: old roots are expired\n  records, attestations, and what the roots lead to\n",
    );
    out.push_str(&format!("\n{headline}\n"));
    out
}

// ------------------------------------------------------------------------------------------------------- a proposal

fn proposal(here: &Path, file: &Path, now: Timestamp, args: &Args) -> Result<(), Failure> {
    let bytes = read_file(file)?;
    let before = follows(here, file, &bytes);
    let findings = lint::lint_alone(&bytes, before.as_ref().map(|(before, _)| before), now);
    let digest = Digest::of(&bytes);
    let value = Payload::read(&bytes).ok().map(|(_, value)| value);
    let kind = value.as_ref().and_then(|value| value.get("_type")).and_then(Value::as_str).unwrap_or("unknown");
    let role = if kind == "targets" { "targets" } else { "root" };
    let passes = lint::passes(&findings);
    if args.json {
        print(&json_text(Value::from([
            ("role", role.into()),
            ("payload_digest", digest.to_string().into()),
            ("payload_words", words::words(&digest).join(" ").into()),
            ("accepted", Value::Bool(passes)),
            ("findings", findings_json(&findings)),
        ])))?;
    } else {
        let old = before.as_ref().map(|(before, _)| before);
        let mut blocks = match role {
            "targets" => review::of_targets(&bytes, old.and_then(|old| old.targets.as_ref())),
            _ => review::of_root(&bytes, None, old.map(|old| &old.root)),
        };
        if let Some((old, place)) = &before {
            let what = format!("Compared with root {} of the repository ", old.root.version());
            blocks.push(Block::Note(Text::own(what).and_foreign(place).and(", as it lies there.")));
        }
        blocks.push(Block::Digest { label: format!("{role}, payload digest"), digest });
        blocks.push(Block::Do(Text::own(
            "Compare the words with what is read aloud, word by word. If one differs, say so before anybody signs.",
        )));
        let mut out = plain::blocks(&blocks, WIDTH);
        if findings.is_empty() {
            out.push_str("\nEvery lint passes.\n");
        } else {
            out.push_str(&format!("\nFound\n{}\n", indented(&report::findings(&findings))));
        }
        print(&out)?;
    }
    if passes {
        Ok(())
    } else {
        Err(refused("this proposal must not be signed").hint("press ! where it is asked about, and say what is wrong"))
    }
}

/// What a proposed root follows, in the clone that the file lies in or else the one around `here`; also which clone. Only this
/// machine's own clone can say what changes for the person at it.
fn follows(here: &Path, file: &Path, bytes: &[u8]) -> Option<(Predecessor, String)> {
    let (_, value) = Payload::read(bytes).ok()?;
    let is_root = value.get("_type").and_then(Value::as_str) == Some("root");
    let version = value.get("version").and_then(Value::as_u64);
    let places = [file.parent().unwrap_or(here), here];
    places.into_iter().find_map(|place| {
        let reading = Reading::open(place).ok()?;
        let tree = reading.head().ok()?.tree;
        let before = match (is_root, version) {
            (true, Some(version)) => Predecessor::of_version(version, &tree),
            _ => Predecessor::newest(&tree),
        };
        before.map(|before| (before, reading.path().display().to_string()))
    })
}

// -------------------------------------------------------------------------------------------------------- as text

fn as_text(place: &str, now: Timestamp, report: &Report) -> String {
    let headline = report.headline();
    let mut out = format!("{headline}\n\n{place}\nas of {now}\n");
    let facts = &report.facts;
    for root in &facts.roots {
        let mark = if facts.anchored == Some(root.version) { "  (the anchor)" } else { "" };
        out.push_str(&format!("\nroot {}  payload digest {}{mark}\n", root.version, root.payload));
        for row in words::rows(&root.payload) {
            out.push_str(&format!("        {}\n", row.join(" ")));
        }
        out.push_str(&format!(
            "        signed by {} of {} keys, {} needed; expires {}\n",
            root.signed, root.keys, root.threshold, root.expires
        ));
    }
    for (role, version, expires) in &facts.metadata {
        out.push_str(&format!("{role} {version}  expires {expires}\n"));
    }
    for record in &facts.records {
        out.push_str(&format!(
            "\n{}: {} events, {}; plan digest {}\n",
            record.dir, record.events, record.state, record.plan
        ));
        for holder in facts.holders.iter().filter(|holder| holder.record == record.dir) {
            let key = holder.fingerprint.map_or("no key".to_owned(), |digest| digest.short());
            let token = holder.serial.map_or(String::new(), |serial| format!(", token {serial}"));
            let worth = holder.worth();
            let signed = if holder.signed { ", signed" } else { ", not signed" };
            let said = if holder.fingerprint.is_some() { format!("{token}, {worth}{signed}") } else { String::new() };
            out.push_str(&format!("  {:<12} {key}{said}  {}\n", holder.handle, holder.name));
        }
    }
    if !report.findings.is_empty() {
        out.push_str(&format!("\nFound\n{}\n", indented(&report::findings(&report.findings))));
    }
    out.push_str(&list("Checked", &report.checked));
    out.push_str(&list("Not checked", &report.not_checked));
    out.push_str(&list("The same with other programs, in the top folder of the repository", &report.equivalents));
    out.push_str(&format!("\n{headline}\n"));
    out
}

/// Lines under a title; nothing if there are none.
fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("\n{title}\n{}\n", indented(&lines.join("\n"))) }
}

pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// A report as JSON on lines; its strings are escaped, and no reader has to know canonical JSON.
pub(super) fn json_text(value: Value) -> String {
    format!("{:#}", to_serde(value))
}

fn to_serde(value: Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(is) => is.into(),
        // Reports count things; what 64 bits cannot hold is not in them.
        Value::Int(number) => u64::try_from(number).map_or(serde_json::Value::Null, Into::into),
        Value::Str(text) => text.into(),
        Value::Arr(items) => items.into_iter().map(to_serde).collect(),
        Value::Obj(members) => {
            serde_json::Value::Object(members.into_iter().map(|(name, value)| (name, to_serde(value))).collect())
        }
    }
}
