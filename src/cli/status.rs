//! `trustroot status`: where a ceremony and its trust root stand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use trustroot_core::check::Level;
use trustroot_core::foresight::{Foresight, foresee, remind};
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::page::script::kind_name;
use trustroot_core::replay::{Ceremony, Next};
use trustroot_core::seat::{Awaited, HEARERS};
use trustroot_core::signature::Portable;
use trustroot_core::signers::{Signer, Standing};
use trustroot_core::step::Step;
use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;

use super::branches::{Branch, arrived};
use super::ceremony::{self, Found};
use super::failure::{Failure, Kind};
use super::plan::finding_json;
use super::{clock, kit, print};
use crate::ledger::Reading;
use crate::ui::report;

/// Say where a ceremony and its trust root stand.
#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// The repository; by default the one this folder is in.
    path: Option<PathBuf>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
    /// Say only what is due, and end with 1 if something is: for a cron job.
    #[arg(long, conflicts_with = "json")]
    due: bool,
    /// Write a message for people about what is due, as plain text or Markdown; nothing if nothing is.
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "text", value_parser = ["text", "markdown"], conflicts_with_all = ["json", "due"])]
    remind: Option<String>,
    /// Fetch from every remote first. Otherwise what arrived is told as of the last time.
    #[arg(long)]
    look: bool,
    /// Write what clients need to begin into a new folder: the first root, its digest in digits, words and QR, the chain
    /// from it to the newest root, and snippets for common clients.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "due", "remind"])]
    bootstrap_kit: Option<PathBuf>,
    /// Where root/ is published, for the kit.
    #[arg(long, value_name = "URL", requires = "bootstrap_kit")]
    url: Option<String>,
    /// The time asked about (YYYY-MM-DDTHH:MM:SSZ) instead of now.
    #[arg(long, value_name = "TIME", value_parser = at)]
    at: Option<Timestamp>,
}

fn at(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|error| error.to_string())
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let path = args.path.as_ref().map_or_else(|| here.to_owned(), |path| here.join(path));
    let tree = Reading::open(&path)?.head()?.tree;
    if let Some(dir) = &args.bootstrap_kit {
        return print(&kit::write(&tree, &here.join(dir), args.url.as_deref())?);
    }
    let found = ceremony::newest(&tree)?;
    let now = args.at.unwrap_or_else(clock::now);
    let ahead = foresee(&tree, now, &Portable);
    if found.is_none() && ahead.expiry.is_empty() {
        let failure = Failure::new(Kind::Refused, "there is neither a ceremony nor a trust root here");
        return Err(failure.hint("trustroot rehearse --auto shows one; trustroot plan new FILE begins one"));
    }
    if let Some(form) = &args.remind {
        let trust_root = found.as_ref().map_or("this repository", |found| found.record.plan.trust_root.as_str());
        return print(&remind(&ahead, trust_root, form == "markdown").unwrap_or_default());
    }
    let branches = match found.as_ref().filter(|found| found.is_open() && !args.due) {
        Some(found) => arrived(&path, &found.record.dir, args.look)?,
        None => Vec::new(),
    };
    if args.json {
        return print(&format!("{:#}", as_json(found.as_ref(), &ahead, &branches, now)));
    }
    if !args.due {
        return print(&as_text(found.as_ref(), &ahead, &branches));
    }
    let due: Vec<_> = ahead.due.into_iter().filter(|finding| finding.level > Level::Note).collect();
    if due.is_empty() {
        return Ok(());
    }
    Err(Failure { findings: due, ..Failure::new(Kind::Refused, "something is due at this trust root") })
}

/// What comes next, in words.
fn next_words(ceremony: &Ceremony) -> String {
    match ceremony.next() {
        Next::Do(step) => format!("step {}; `trustroot` in this repository goes on", step.id()),
        Next::Closed => "nothing; the record is closed".to_owned(),
        Next::Aborted => "nothing; the ceremony was abandoned".to_owned(),
        Next::Stuck { of, left, threshold } => {
            format!("{left} holders are left and {threshold} must sign for {of}: abandon it")
        }
    }
}

/// Who is awaited, for what and with which token, and whether it arrived in one of the branches; a line each.
pub(super) fn awaited_lines(ceremony: &Ceremony, branches: &[Branch]) -> Vec<String> {
    let line = |one: Awaited| {
        let token = one.serial.map_or_else(String::new, |serial| format!(", with token {serial}"));
        match one.step {
            Step::Vouch(holder) => {
                let others = ceremony.awaited_to_hear(&holder).iter().map(ToString::to_string).collect::<Vec<_>>();
                let heard = ceremony.holders.get(&holder).map_or(0, |state| state.heard.len());
                let others = if others.is_empty() { vec!["those in the room".to_owned()] } else { others };
                format!(
                    "  {}, for the words of the key of {holder} (heard by {heard} of {HEARERS})",
                    others.join(" and ")
                )
            }
            step => {
                let arrived = branches.iter().any(|branch| branch.adds(&step.id()));
                let arrived = if arrived { ": arrived, not taken in yet" } else { "" };
                format!("  {}, for {}{token}{arrived}", one.who, step.id())
            }
        }
    };
    ceremony.awaited().into_iter().map(line).collect()
}

/// Who signs, and with which token.
fn with_token(ceremony: &Ceremony, signer: &Signer) -> String {
    let states = if signer.old { &ceremony.old } else { &ceremony.holders };
    let token = states.get(&signer.handle).and_then(|state| state.token.as_ref()).map(|token| token.serial);
    let serial = token.or_else(|| ceremony.planned_token(&signer.handle, signer.old)?.serial);
    serial.map_or_else(|| signer.to_string(), |serial| format!("{signer}, token {serial}"))
}

/// How many losses of keys stop the newest root, if it can be read.
fn losses(found: &Found) -> Option<usize> {
    let proposal = found.ceremony.proposal.as_ref()?;
    let root = Metadata::<Root>::of_payload("the root", &proposal.root).ok()?;
    let role = root.body().role(trustroot_core::metadata::Role::Root);
    usize::try_from(role.threshold).ok().map(|threshold| (role.keyids.len() + 1).saturating_sub(threshold))
}

fn as_json(found: Option<&Found>, ahead: &Foresight, branches: &[Branch], now: Timestamp) -> serde_json::Value {
    let ceremony = found.map(|found| {
        let ceremony = &found.ceremony;
        let holders: Vec<_> = ceremony
            .plan
            .holders
            .iter()
            .filter_map(|holder| Some((holder, ceremony.holders.get(&holder.handle)?)))
            .map(|(holder, state)| {
                json!({
                    "handle": holder.handle.as_str(),
                    "name": holder.name,
                    "present": ceremony.is_present(&holder.handle),
                    "token": state.token.as_ref().map(|token| token.serial),
                    "fingerprint": state.key.as_ref().map(|key| key.fingerprint().to_string()),
                    "vouched-by": state.vouched.as_ref().map(|by| by.iter().map(ToString::to_string).collect::<Vec<_>>()),
                    "signed": state.signed,
                    "left": state.left,
                })
            })
            .collect();
        let one = |one: Awaited| {
            json!({ "who": one.who.as_str(), "step": one.step.id().as_str(), "token": one.serial })
        };
        let awaited: Vec<_> = ceremony.awaited().into_iter().map(one).collect();
        let next = match ceremony.next() {
            Next::Do(step) => json!(step.id().as_str()),
            _ => serde_json::Value::Null,
        };
        json!({
            "record": found.record.dir,
            "rehearsal": ceremony.plan.rehearsal,
            "open": found.is_open(),
            "next": next,
            "threshold": ceremony.threshold(),
            "quorums": ceremony.standings().iter().map(quorum_json).collect::<Vec<_>>(),
            "root-payload": ceremony.proposal.as_ref().map(|proposal| proposal.root_digest().to_string()),
            "losses-that-stop-you": losses(found),
            "exceptions": ceremony.exceptions.len(),
            "holders": holders,
            "awaited": awaited,
            "arrived": branches.iter().map(Branch::json).collect::<Vec<_>>(),
        })
    });
    let expiry: Vec<_> = ahead
        .expiry
        .iter()
        .map(|one| json!({ "file": one.file, "expires": one.expires.to_string(), "days": one.days }))
        .collect();
    let quorum = ahead.quorum.as_ref().map(|quorum| {
        json!({
            "root": quorum.version,
            "keys": quorum.keys,
            "threshold": quorum.threshold,
            "losses-that-stop-you": quorum.losses(),
            "did-not-sign": quorum.silent,
        })
    });
    let calendar: Vec<_> =
        ahead.calendar.iter().map(|sitting| json!({ "day": sitting.day.day(), "new-keys": sitting.who })).collect();
    let due: Vec<_> = ahead.due.iter().map(finding_json).collect();
    json!({
        "now": now.to_string(),
        "ceremony": ceremony,
        "expiry": expiry,
        "quorum": quorum,
        "due": due,
        "calendar": calendar,
    })
}

fn quorum_json(standing: &Standing) -> serde_json::Value {
    let names = |signers: &BTreeSet<Signer>| signers.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "of": standing.of,
        "need": standing.need,
        "signed": names(&standing.signed),
        "awaited": names(&standing.awaited),
        "out": names(&standing.out),
        "possible": standing.possible(),
    })
}

fn as_text(found: Option<&Found>, ahead: &Foresight, branches: &[Branch]) -> String {
    let mut out = String::new();
    if let Some(found) = found {
        let ceremony = &found.ceremony;
        let mark = if ceremony.plan.rehearsal { " (REHEARSAL)" } else { "" };
        out.push_str(&format!("Ceremony  {}{mark}\n", found.record.dir));
        out.push_str(&format!("Next      {}\n", next_words(ceremony)));
        let signed = ceremony.holders.values().filter(|state| state.signed).count();
        out.push_str(&format!("Signed    {signed} of {}, {} needed\n", ceremony.holders.len(), ceremony.threshold()));
        for standing in ceremony.standings().iter().filter(|_| found.is_open() && ceremony.before.is_some()) {
            let names =
                |signers: &BTreeSet<Signer>| signers.iter().map(|one| with_token(ceremony, one)).collect::<Vec<_>>();
            let awaited = names(&standing.awaited);
            let awaited = if awaited.is_empty() { "nobody".to_owned() } else { awaited.join(", ") };
            let (of, need, signed) = (standing.of, standing.need, standing.signed.len());
            out.push_str(&format!("For {of}: {signed} of {need} signed; awaited: {awaited}\n"));
        }
        if let Some(proposal) = &ceremony.proposal {
            out.push_str(&format!("Digest    {} (root payload)\n", proposal.root_digest()));
        }
        if let Some(losses) = losses(found) {
            out.push_str(&format!("Quorum    {losses} lost keys stop you\n"));
        }
        if !ceremony.exceptions.is_empty() {
            out.push_str(&format!("Exceptions {}\n", ceremony.exceptions.len()));
        }
        out.push('\n');
        for holder in &ceremony.plan.holders {
            let Some(state) = ceremony.holders.get(&holder.handle) else { continue };
            let what = match state {
                state if state.signed => "signed",
                state if state.left.is_some() => "takes no further part",
                _ if ceremony.present.is_some() && !ceremony.is_present(&holder.handle) => "absent",
                state if state.key.is_some() => "has a key, has not signed",
                _ => "has no key yet",
            };
            let kept = holder.token.serial.filter(|_| state.kept).map(|serial| (holder.token.kind, serial));
            let token = state.token.as_ref().map(|token| (token.kind, token.serial)).or(kept);
            let token = token.map_or(String::new(), |(kind, serial)| format!(", {} {serial}", kind_name(kind)));
            out.push_str(&format!("  {:<12} {what}{token}  {}\n", holder.handle.as_str(), escape(&holder.name)));
        }
    }
    if let Some(found) = found.filter(|found| found.is_open()) {
        let awaited = awaited_lines(&found.ceremony, branches);
        if !awaited.is_empty() {
            out.push_str(&format!(
                "\nAwaited, from this machine or their own (`trustroot join`)\n{}\n",
                awaited.join("\n")
            ));
        }
    }
    if !branches.is_empty() {
        out.push_str("\nArrived, and not taken in yet (`trustroot run` takes in what holds)\n");
        branches.iter().for_each(|branch| out.push_str(&format!("{}\n", branch.text())));
    }
    if let Some(quorum) = ahead.quorum.as_ref().filter(|_| found.is_none()) {
        let (version, threshold, keys) = (quorum.version, quorum.threshold, quorum.keys);
        out.push_str(&format!("Root      {version}, without a record here\n"));
        out.push_str(&format!("Quorum    {threshold} of {keys}; {} lost keys stop you\n", quorum.losses()));
    }
    if !ahead.expiry.is_empty() {
        out.push_str("\nExpiry\n");
    }
    for one in &ahead.expiry {
        let mark = if one.expired { "  EXPIRED" } else { "" };
        out.push_str(&format!("  {:<18} {}  in {} days{mark}\n", one.file, one.expires, one.days));
    }
    if !ahead.due.is_empty() {
        out.push_str(&format!("\nDue\n{}\n", report::findings(&ahead.due)));
    }
    if !ahead.calendar.is_empty() {
        out.push_str("\nCalendar: new keys, oldest first, never so many at once that those who stay are no quorum\n");
    }
    for sitting in &ahead.calendar {
        out.push_str(&format!("  {}  {}\n", sitting.day.day(), sitting.who.join(", ")));
    }
    out
}
