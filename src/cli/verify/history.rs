//! `trustroot verify` in a repository that others made: its whole git history, as text, as JSON and as a page.
//!
//! Which kind of repository it is: ours if the newest commit has a record (`ceremony/*/plan.json`) or numbered roots in
//! `root/`; else somebody else's, if any commit holds a root anywhere. `--history` asks for the history whatever it is.

use std::path::Path;

use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{Ask, HistoryReport, Past, Seen, Told, page, verify_history};
use trustroot_core::verify::roots::root_number;

use super::once::{Once, Shown};
use super::{Args, Asked, At, holds_trust_root, is_top, json_text, list, no_commit, refused};
use crate::cli::failure::{Failure, Kind};
use crate::cli::print;
use crate::ledger::Reading;
use crate::seams::LedgerError;
use crate::ui::report;

/// How many places one finding names on a terminal; JSON and the page name all.
const SHOWN: usize = 4;

/// A repository whose history is to be verified, and the history.
pub(super) struct Chosen {
    reading: Reading,
    past: Past,
}

/// The history, if it is to be verified: read once, to choose and to verify.
pub(super) fn chosen(path: &Path, asked: &Asked, args: &Args) -> Result<Option<Chosen>, Failure> {
    let reading = match Reading::open(path) {
        Ok(reading) => reading,
        Err(LedgerError::NotFound(_)) if !args.history => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // A folder inside somebody's repository that is a trust root by itself is looked at by itself.
    let apart = !is_top(&reading, path) && holds_trust_root(path);
    let paths = if args.history || apart { Vec::new() } else { reading.top_paths()? };
    if !args.history && (apart || is_ours(&paths)) {
        return Ok(None);
    }
    let until = matches!(args.at, Some(At::Time(_))).then_some(asked.now);
    let mut shown = Shown::default();
    let past = reading.whole_history(until, |read, of| shown.show(|| format!("{read} of {of} commits are read …")))?;
    if past.holds_roots() {
        return Ok(Some(Chosen { reading, past }));
    }
    // One of ours in which nothing was made yet says so itself.
    if paths.iter().any(|path| path.starts_with("ceremony/plans/")) {
        return Ok(None);
    }
    Err(nothing(&reading, &past, until))
}

/// Why there is no history to verify.
fn nothing(reading: &Reading, past: &Past, until: Option<Timestamp>) -> Failure {
    if past.commits + past.later == 0 {
        return no_commit(reading);
    }
    let shown = escape(&reading.path().display().to_string());
    let before = until.map_or(String::new(), |until| format!(" up to {until}"));
    let failure = Failure::new(
        Kind::Refused,
        format!("the repository at {shown} is no trust root: no commit of it{before} holds a root"),
    );
    failure.hint(match past.later {
        0 => {
            "a root is a file called root.json or N.root.json; for numbered roots that are in no repository use \
              `trustroot verify --roots DIR`"
        }
        _ => "ask about a later time with --at: there are later commits",
    })
}

/// Whether the newest commit has our layout.
fn is_ours(paths: &[String]) -> bool {
    paths.iter().any(|path| {
        let record = path.strip_prefix("ceremony/").and_then(|rest| rest.split_once('/'));
        record.is_some_and(|(_, file)| file == "plan.json")
            || path.strip_prefix("root/").is_some_and(|name| root_number(name).is_some())
    })
}

/// Verifies the history and reports.
pub(super) fn run(here: &Path, chosen: &Chosen, asked: &Asked, args: &Args) -> Result<(), Failure> {
    let Chosen { reading, past } = chosen;
    let ask = Ask { now: asked.now, rehearsal: asked.rehearsal, strict: asked.strict, anchor: asked.anchor.as_ref() };
    let found = verify_history(past, &ask, &Once::default());
    if let Some(file) = &args.html {
        let path = here.join(file);
        std::fs::write(&path, page(&found)).map_err(|error| Failure::file(&path, &error))?;
    }
    if args.json {
        print(&json_text(found.to_json()))?;
    } else {
        let bare = if reading.is_bare() { "bare " } else { "" };
        let place = format!("the history of the {bare}repository {}", escape(&reading.path().display().to_string()));
        let why = if args.history { "asked for by --history" } else { "it has no layout of ours" };
        print(&as_text(&format!("{place} ({why})"), &found))?;
    }
    if found.accepted() { Ok(()) } else { Err(refused("this history does not verify")) }
}

fn as_text(place: &str, found: &HistoryReport) -> String {
    let facts = &found.facts;
    let headline = found.headline();
    let mut out = format!("{headline}\n\n{place}\nnewest commit {}\nas of {}\n", facts.head, found.now);
    if !facts.roots.is_empty() {
        out.push_str(&format!("\nRoots of {}\n", facts.folder));
    }
    for root in &facts.roots {
        let from = root.from.map_or("not on the main line".to_owned(), |from| format!("from {}", from.day()));
        let rivals = match root.rivals {
            0 => String::new(),
            1 => ", 1 RIVAL".to_owned(),
            many => format!(", {many} RIVALS"),
        };
        out.push_str(&format!(
            "  root {:<4} {}  {from}, expires {}, signed by {} of {} keys ({} needed){rivals}\n",
            root.version,
            root.payload,
            root.expires.day(),
            root.signed,
            root.keys,
            root.threshold
        ));
    }
    if !facts.holders.is_empty() {
        out.push_str("\nHolders\n");
    }
    for holder in &facts.holders {
        let proof = holder.proof.and_then(|proof| facts.attestations.get(proof)?.facts.as_ref());
        let proof = proof.map_or("no hardware proof".to_owned(), |proof| {
            let (major, minor, patch) = proof.firmware;
            format!("token {}, firmware {major}.{minor}.{patch}", proof.serial)
        });
        let owner = holder.owner.as_ref().map_or(String::new(), |owner| format!("  {owner}"));
        out.push_str(&format!(
            "  {}  in {}, signed {} of {}, {proof}{owner}\n",
            holder.fingerprint.short(),
            holder.in_words(),
            holder.signed,
            holder.roots.len()
        ));
    }
    let all: Vec<String> = found.findings.iter().map(told).collect();
    out.push_str(&list("Found", &all));
    out.push_str(&list("Checked", &found.checked));
    out.push_str(&list("Not checked", &found.not_checked));
    out.push_str(&list("The same with other programs, in the repository", &found.equivalents));
    out.push_str(&format!("\n{headline}\n"));
    out
}

/// A finding, and the places where it was seen.
fn told(told: &Told) -> String {
    let mut text = report::finding(&told.finding);
    let place = |seen: &Seen| {
        let path = if seen.path.is_empty() { String::new() } else { format!("  {}", seen.path) };
        let digest = seen.digest.map_or(String::new(), |digest| format!("  sha256 {digest}"));
        format!("\n  {}{path}{digest}", seen.place())
    };
    told.seen.iter().take(SHOWN).for_each(|seen| text.push_str(&place(seen)));
    let more = told.seen.len().saturating_sub(SHOWN) + told.more;
    if more > 0 {
        text.push_str(&format!("\n  and {more} more places (--json names them)"));
    }
    text
}
