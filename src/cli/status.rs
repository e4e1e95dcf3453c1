//! `trustroot status`: where a ceremony and its trust root stand.

use std::path::{Path, PathBuf};

use serde_json::json;
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::page::script::kind_name;
use trustroot_core::replay::{Ceremony, Next};
use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::roots::root_number;

use super::ceremony::{self, Found};
use super::failure::{Failure, Kind};
use super::{clock, print};
use crate::ledger::Reading;

/// Say where a ceremony and its trust root stand.
#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// The repository; by default the one this folder is in.
    path: Option<PathBuf>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

/// Days before an expiry from which it is said that something is due.
const SOON: i64 = 30;

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let path = args.path.as_ref().map_or_else(|| here.to_owned(), |path| here.join(path));
    let tree = Reading::open(&path)?.head()?.tree;
    let found = ceremony::newest(&tree)?;
    let now = clock::now();
    let expiries = expiries(&tree);
    if found.is_none() && expiries.is_empty() {
        let failure = Failure::new(Kind::Refused, "there is neither a ceremony nor a trust root here");
        return Err(failure.hint("trustroot rehearse --auto shows one; trustroot plan new FILE begins one"));
    }
    if args.json {
        print(&format!("{:#}", as_json(found.as_ref(), &expiries, now)))
    } else {
        print(&as_text(found.as_ref(), &expiries, now))
    }
}

/// What lies in `root/`, newest version of each role, and when it expires.
fn expiries(tree: &Tree) -> Vec<(String, Timestamp)> {
    let roots = tree.keys().filter_map(|path| root_number(path.strip_prefix("root/")?));
    let mut names: Vec<String> = roots.max().map(|newest| format!("root/{newest}.root.json")).into_iter().collect();
    for role in ["targets", "snapshot"] {
        let numbered = tree
            .keys()
            .filter_map(|path| path.strip_prefix("root/")?.strip_suffix(&format!(".{role}.json"))?.parse::<u64>().ok());
        names.extend(numbered.max().map(|newest| format!("root/{newest}.{role}.json")));
    }
    names.push("root/timestamp.json".to_owned());
    let expires = |name: &String| {
        let bytes = tree.get(name).and_then(Entry::bytes)?;
        // Only the date is shown here; whether the file is to be trusted is for `verify`.
        let value = trustroot_core::json::parse(bytes).ok()?;
        Timestamp::parse(value.get("signed")?.get("expires")?.as_str()?).ok()
    };
    names.iter().filter_map(|name| Some((name.trim_start_matches("root/").to_owned(), expires(name)?))).collect()
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

/// How many losses of keys stop the newest root, if it can be read.
fn losses(found: &Found) -> Option<usize> {
    let proposal = found.ceremony.proposal.as_ref()?;
    let root = Metadata::<Root>::of_payload("the root", &proposal.root).ok()?;
    let role = root.body().role(trustroot_core::metadata::Role::Root);
    usize::try_from(role.threshold).ok().map(|threshold| (role.keyids.len() + 1).saturating_sub(threshold))
}

fn as_json(found: Option<&Found>, expiries: &[(String, Timestamp)], now: Timestamp) -> serde_json::Value {
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
            "root-payload": ceremony.proposal.as_ref().map(|proposal| proposal.root_digest().to_string()),
            "losses-that-stop-you": losses(found),
            "exceptions": ceremony.exceptions.len(),
            "holders": holders,
        })
    });
    let expiries: Vec<_> = expiries
        .iter()
        .map(
            |(name, expires)| json!({ "file": name, "expires": expires.to_string(), "days": now.days_until(*expires) }),
        )
        .collect();
    json!({ "now": now.to_string(), "ceremony": ceremony, "expiry": expiries })
}

fn as_text(found: Option<&Found>, expiries: &[(String, Timestamp)], now: Timestamp) -> String {
    let mut out = String::new();
    if let Some(found) = found {
        let ceremony = &found.ceremony;
        let mark = if ceremony.plan.rehearsal { " (REHEARSAL)" } else { "" };
        out.push_str(&format!("Ceremony  {}{mark}\n", found.record.dir));
        out.push_str(&format!("Next      {}\n", next_words(ceremony)));
        let signed = ceremony.holders.values().filter(|state| state.signed).count();
        out.push_str(&format!("Signed    {signed} of {}, {} needed\n", ceremony.holders.len(), ceremony.threshold()));
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
            let token = state
                .token
                .as_ref()
                .map_or(String::new(), |token| format!(", {} {}", kind_name(token.kind), token.serial));
            out.push_str(&format!("  {:<12} {what}{token}  {}\n", holder.handle.as_str(), escape(&holder.name)));
        }
    }
    if !expiries.is_empty() {
        out.push_str("\nExpiry\n");
    }
    for (name, expires) in expiries {
        let days = now.days_until(*expires);
        let due = match days {
            days if days < 0 => "  EXPIRED",
            days if days < SOON => "  due",
            _ => "",
        };
        out.push_str(&format!("  {name:<18} {expires}  in {days} days{due}\n"));
    }
    out
}
