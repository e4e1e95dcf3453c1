//! `trustroot import`: look at a trust root that another program kept, and make a repository of it that goes on with our
//! ceremonies. What is taken is committed byte for byte, in one commit; without `--dir` nothing is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::import::{Ask, Import, import};
use trustroot_core::signature::Portable;
use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;
use trustroot_core::words;

use super::failure::{Failure, Kind};
use super::verify::{anchor, indented, json_text};
use super::{clock, print};
use crate::ledger::{GITATTRIBUTES, GitLedger, read_all};
use crate::seams::{Commit, Ledger as _};
use crate::ui::report;

/// How many of the files that are left out are named on a terminal; JSON names all.
const SHOWN: usize = 6;

/// Take over a trust root that another program kept: tuf-on-ci's, tuftool's, python-tuf's, or numbered roots.
///
/// Every root is verified from the first to the newest, and what the newest leads to as a client would. Without --dir
/// nothing is written.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder with the metadata, or one above it, such as a clone.
    from: PathBuf,
    /// Make a repository here, whose history begins with these roots, byte for byte. It may be a git repository that has no root
    /// yet.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Take nothing but the roots.
    #[arg(long)]
    roots_only: bool,
    /// The payload digest of one of the roots, known from elsewhere: digits, words, a root.json, or a file with one of them.
    #[arg(long, value_name = "HEX|WORDS|FILE")]
    anchor: Option<String>,
    /// Take a rehearsal's, to practise.
    #[arg(long)]
    rehearsal: bool,
    /// The time asked about (YYYY-MM-DDTHH:MM:SSZ) instead of now.
    #[arg(long, value_name = "TIME", value_parser = at)]
    at: Option<Timestamp>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

fn at(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|error| error.to_string())
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let from = here.join(&args.from);
    if !from.is_dir() {
        let message = format!("{} is no folder", escape(&from.display().to_string()));
        let failure = Failure::new(Kind::Usage, message);
        return Err(failure.hint("clone or unpack the trust root, and name the folder in which its root metadata lies"));
    }
    let now = args.at.unwrap_or_else(clock::now);
    let anchor = args.anchor.as_deref().map(|text| anchor(here, text, &from)).transpose()?;
    let ask = Ask { now, roots_only: args.roots_only, anchor, rehearsal: args.rehearsal };
    let found = import(&read_all(&from)?, &ask, &Portable);
    if args.json {
        print(&json_text(found.to_json()))?;
    } else {
        print(&as_text(&found, now))?;
    }
    if !found.accepted() {
        let failure = Failure::new(Kind::Refused, "this trust root cannot be taken over as it is");
        return Err(failure.hint("docs/checks.md has a paragraph for each name of a check"));
    }
    match &args.dir {
        Some(dir) => write(here, dir, &found),
        None => {
            report::people("Nothing was written. To make a repository of it: add --dir DIR");
            Ok(())
        }
    }
}

/// Commits what was found into the repository at `dir`, which is made if it is not there.
fn write(here: &Path, dir: &Path, found: &Import) -> Result<(), Failure> {
    let path = here.join(dir);
    let shown = escape(&dir.display().to_string());
    let is_empty = std::fs::read_dir(&path).map_or(true, |mut entries| entries.next().is_none());
    let mut ledger = if is_empty { GitLedger::init(&path, None)? } else { GitLedger::open(&path)? };
    ledger.identity()?;
    let head = ledger.head()?;
    if let Some(there) = head.tree.keys().find(|path| path.starts_with("root/") || path.starts_with("ceremony/")) {
        let failure = Failure::new(Kind::Refused, format!("{shown} holds a trust root already: {}", escape(there)));
        return Err(failure.hint("a repository holds one trust root; import into a new folder"));
    }
    let mut files: BTreeMap<String, Vec<u8>> = found.files.clone();
    if !head.tree.contains_key(GITATTRIBUTES.0) {
        files.insert(GITATTRIBUTES.0.to_owned(), GITATTRIBUTES.1.to_vec());
    }
    let newest = found.newest().unwrap_or_default();
    let digest = digest(found).map_or_else(String::new, |digest| digest.to_string());
    let message = format!(
        "Import roots 1 to {newest}\n\nTaken over byte for byte. The layout was {}.\nPayload digest of root {newest}: {digest}\n",
        found.layout.words()
    );
    ledger.append(&Commit { parent: head.commit, files, message, time: clock::now() })?;
    report::people(&format!("{} files are committed in {shown}, byte for byte.", found.files.len()));
    if found.anchored.is_none() {
        report::people("Compare the words of the payload digest with what you know from elsewhere, or use --anchor.");
    }
    report::people(&format!("hint: trustroot verify {shown}"));
    report::people(&format!("hint: trustroot -C {shown} plan new next.toml --renew --reason TEXT"));
    Ok(())
}

/// The payload digest of the newest root.
fn digest(found: &Import) -> Option<Digest> {
    found.roots.roots.last().and_then(|root| root.facts.as_ref()).map(|facts| facts.payload)
}

/// Each old form and the roots that have it, a line each: a long history repeats itself.
fn old_forms(found: &Import) -> String {
    let mut forms: BTreeMap<Check, Vec<u64>> = BTreeMap::new();
    for root in &found.roots.roots {
        for finding in root.findings.iter().filter(|finding| finding.level == Level::Lenient) {
            let roots = forms.entry(finding.check).or_default();
            if roots.last() != Some(&root.number) {
                roots.push(root.number);
            }
        }
    }
    let spans = |roots: &[u64]| {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for root in roots {
            match spans.last_mut() {
                Some((_, last)) if *last + 1 == *root => *last = *root,
                _ => spans.push((*root, *root)),
            }
        }
        let span = |(first, last)| if first == last { format!("{first}") } else { format!("{first} to {last}") };
        spans.into_iter().map(span).collect::<Vec<_>>().join(", ")
    };
    forms.iter().map(|(check, roots)| format!("  {:<13} roots {}\n", check.name(), spans(roots))).collect()
}

fn as_text(found: &Import, now: Timestamp) -> String {
    let mut out = String::new();
    let folder = if found.folder.is_empty() { "the folder itself" } else { &found.folder };
    out.push_str(&format!("Layout    {}\nFrom      {folder}\nAs of     {now}\n", found.layout.words()));
    for root in &found.roots.roots {
        let Some(facts) = &root.facts else {
            out.push_str(&format!("Root {:<4} cannot be read\n", root.number));
            continue;
        };
        let verdict = if root.accepted() { "holds" } else { "REFUSED" };
        let (must, keys) = (facts.threshold, facts.keys.len());
        out.push_str(&format!("Root {:<4} {verdict}, {must} of {keys}, expires {}\n", root.number, facts.expires));
    }
    if let Some(set) = &found.set {
        let (timestamp, snapshot, targets) = (set.timestamp, set.snapshot, set.targets);
        out.push_str(&format!("Leads to  timestamp {timestamp}, snapshot {snapshot}, targets {targets}\n"));
    }
    out.push_str(&format!("Takes     {} files\n", found.files.len()));
    if !found.left.is_empty() {
        let shown = found.left.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if found.left.len() > SHOWN { ", …" } else { "" };
        out.push_str(&format!("Leaves    {} files: {shown}{more}\n", found.left.len()));
    }
    if let Some(digest) = digest(found) {
        out.push_str(&format!("\nPayload digest of the newest root: {digest}\n"));
        for row in words::rows(&digest) {
            out.push_str(&format!("  {}\n", row.join(" ")));
        }
    }
    let forms = old_forms(found);
    if !forms.is_empty() {
        out.push_str(&format!("\nOld forms, accepted by name; `trustroot verify --roots` says where exactly\n{forms}"));
    }
    let lenient = |finding: &&Finding| finding.level == Level::Lenient;
    let of_roots = found.roots.all_findings().filter(|finding| !lenient(finding));
    let all: Vec<_> = of_roots.chain(&found.findings).cloned().collect();
    if !all.is_empty() {
        out.push_str(&format!("\nFound\n{}\n", indented(&report::findings(&all))));
    }
    let headline = match (found.accepted(), found.anchored) {
        (false, _) => "REFUSED".to_owned(),
        (true, None) => "IT CAN BE TAKEN OVER, IDENTITY NOT CHECKED".to_owned(),
        (true, Some(version)) => format!("IT CAN BE TAKEN OVER, anchored at root {version}"),
    };
    out.push_str(&format!("\n{headline}\n"));
    out
}
