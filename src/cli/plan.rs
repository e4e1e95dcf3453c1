//! `trustroot plan`: write a plan, lint it, print the script for the room.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::defunct::abandoned;
use trustroot_core::digest::Digest;
use trustroot_core::page::closing;
use trustroot_core::plan::carry::{Becomes, Carry, carry};
use trustroot_core::plan::lint::lint;
use trustroot_core::plan::lint_follows::{against, elsewhere as published_elsewhere};
use trustroot_core::plan::template::{Template, template};
use trustroot_core::plan::{Elsewhere, Kind as PlanKind, Plan};
use trustroot_core::predecessor::Predecessor;
use trustroot_core::record::Record;
use trustroot_core::signature::Portable;
use trustroot_core::text::{Handle, escape};
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;
use trustroot_core::words;

use super::failure::{Failure, Kind};
use super::{ceremony, clock, print};
use crate::ledger::Reading;
use crate::seams::LedgerError;
use crate::ui::report;

/// Write and lint a plan, and print the script for the room.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Write a plan for people to edit, with a comment at everything that has to be decided.
    New(New),
    /// Say what is wrong or unwise in a plan, and the digest it would be frozen with.
    Lint(Lint),
    /// Print the script of a plan as HTML: acts and steps, with boxes for initials and time.
    Script(Script),
}

#[derive(clap::Args)]
struct New {
    /// The file to write; it must not exist.
    file: PathBuf,
    /// How many holders, 1 to 9; write more by hand.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=9))]
    holders: u8,
    /// How many of them must sign: 3 in a first plan, as before in one that continues.
    #[arg(long, value_name = "N")]
    threshold: Option<u8>,
    /// The expected day, YYYY-MM-DD; by default four weeks from now.
    #[arg(long, value_name = "DAY")]
    day: Option<String>,
    /// A plan for virtual tokens.
    #[arg(long)]
    rehearsal: bool,
    /// Continue the trust root here: every key stays, and it expires later.
    #[arg(long, group = "continues", requires = "reason", conflicts_with = "holders")]
    renew: bool,
    /// Continue the trust root here: holders, tokens, thresholds or online keys change as planned.
    #[arg(long, group = "continues", requires = "reason", conflicts_with = "holders")]
    rotate: bool,
    /// Continue the trust root here: a key was lost, stolen or compromised, or a holder is gone.
    #[arg(long, group = "continues", requires = "reason", conflicts_with = "holders")]
    recover: bool,
    /// Why, in a sentence. It is signed into the root.
    #[arg(long, value_name = "TEXT", requires = "continues")]
    reason: Option<String>,
    /// This holder gets a new token; the old key signs once more. May be given several times.
    #[arg(long, value_name = "HANDLE", value_parser = handle, requires = "continues")]
    replace: Vec<Handle>,
    /// This holder gets a new token; the old key is lost or stolen, and does not sign.
    #[arg(long, value_name = "HANDLE", value_parser = handle, requires = "continues")]
    lost: Vec<Handle>,
    /// This holder leaves, and signs once more.
    #[arg(long, value_name = "HANDLE", value_parser = handle, requires = "continues")]
    remove: Vec<Handle>,
    /// This holder is gone, and does not sign.
    #[arg(long, value_name = "HANDLE", value_parser = handle, requires = "continues")]
    gone: Vec<Handle>,
    /// So many new holders, to be named in the file.
    #[arg(long, value_name = "N", requires = "continues", default_value_t = 0)]
    add: u8,
    /// A new online key of this name takes over snapshot and timestamp; the one before signs once more.
    #[arg(long, value_name = "NAME", value_parser = handle, requires = "continues")]
    new_online_key: Option<Handle>,
    /// The online key before does not sign once more: somebody else may have it.
    #[arg(long, requires = "new_online_key")]
    no_overlap: bool,
    /// Nothing but roots is here: the versions of targets, snapshot and timestamp that are published elsewhere, such as
    /// 3,160,412; 0 for what never was.
    #[arg(long, value_name = "VERSIONS", value_parser = elsewhere, requires = "continues")]
    elsewhere: Option<Elsewhere>,
}

#[derive(clap::Args)]
struct Lint {
    /// The plan.
    file: PathBuf,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Script {
    /// The plan.
    file: PathBuf,
    /// Where to write the script; by default it goes to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn handle(text: &str) -> Result<Handle, String> {
    Handle::new(text).map_err(|error| error.to_string())
}

fn elsewhere(text: &str) -> Result<Elsewhere, String> {
    let numbers: Option<Vec<u64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([targets, snapshot, timestamp]) => {
            Ok(Elsewhere { targets: *targets, snapshot: *snapshot, timestamp: *timestamp })
        }
        _ => Err("write three versions, such as 3,160,412".to_owned()),
    }
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    match &args.verb {
        Verb::New(args) => new(here, args),
        Verb::Lint(args) => lint_plan(here, args),
        Verb::Script(args) => script(here, args),
    }
}

/// Reads the plan in a file; also its text.
pub(super) fn read(path: &Path) -> Result<(Plan, String), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    match Plan::from_toml(&text) {
        Ok(plan) => Ok((plan, text)),
        Err(error) => {
            let name = escape(&path.display().to_string());
            let message = format!("PLAN-FORM: {name}:{}:{}: {}", error.line, error.column, error.what);
            let failure = Failure::new(Kind::Refused, message);
            let hint =
                error.hint.unwrap_or_else(|| "mend that line; docs/format.md says what each field is".to_owned());
            Err(failure.hint(hint))
        }
    }
}

fn new(here: &Path, args: &New) -> Result<(), Failure> {
    let day = match &args.day {
        Some(day) => Timestamp::from_day(day).map_err(|_| Failure::new(Kind::Usage, "a day is written YYYY-MM-DD"))?,
        None => clock::now().plus_days(28),
    };
    if args.renew || args.rotate || args.recover {
        return continued(here, args, day);
    }
    let name = Handle::new("genesis").map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    let wanted = Template {
        name: &name,
        title: "Our first key-signing ceremony",
        trust_root: "Our project",
        day,
        holders: usize::from(args.holders),
        threshold: u32::from(args.threshold.unwrap_or(3)),
        rehearsal: args.rehearsal,
    };
    let text = template(&wanted).map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
    write(here, &args.file, &text, "The people in it do not exist: edit them, and everything else.")
}

/// Writes a plan into a file that is not there yet.
fn write(here: &Path, file: &Path, text: &str, what: &str) -> Result<(), Failure> {
    let path = here.join(file);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    }
    let create = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    create.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| Failure::file(&path, &error))?;
    let shown = escape(&file.display().to_string());
    report::people(&format!("The plan is in {shown}. {what}"));
    report::people(&format!("hint: trustroot plan lint {shown}"));
    Ok(())
}

/// A plan that continues the trust root here, prefilled from it.
fn continued(here: &Path, args: &New, day: Timestamp) -> Result<(), Failure> {
    let tree = Reading::open(here)?.head()?.tree;
    let (kind, name) = match (args.renew, args.rotate) {
        (true, _) => (PlanKind::Renew, "renewal"),
        (_, true) => (PlanKind::Rotate, "rotation"),
        _ => (PlanKind::Recover, "recovery"),
    };
    let changes = [
        (&args.replace, Becomes::Replaced),
        (&args.lost, Becomes::Lost),
        (&args.remove, Becomes::Leaves),
        (&args.gone, Becomes::Gone),
    ];
    let each = |(handles, becomes): (&Vec<Handle>, Becomes)| {
        handles.iter().map(|handle| (handle.clone(), becomes)).collect::<Vec<_>>()
    };
    let changes = changes.into_iter().flat_map(each).collect();
    let name = Handle::new(name).map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    let wanted = Continued {
        name: &name,
        kind,
        reason: args.reason.as_deref().unwrap_or_default(),
        day,
        changes,
        add: usize::from(args.add),
        threshold: args.threshold.map(u32::from),
        online: args.new_online_key.as_ref(),
        overlap: !args.no_overlap,
        elsewhere: args.elsewhere,
        rehearsal: args.rehearsal,
    };
    let text = carried(&tree, wanted)?;
    write(here, &args.file, &text, "Every key of the root is named in it, and what becomes of it.")
}

/// What a plan that continues the trust root is to change.
pub(super) struct Continued<'a> {
    pub(super) name: &'a Handle,
    pub(super) kind: PlanKind,
    pub(super) reason: &'a str,
    pub(super) day: Timestamp,
    pub(super) changes: BTreeMap<Handle, Becomes>,
    pub(super) add: usize,
    pub(super) threshold: Option<u32>,
    pub(super) online: Option<&'a Handle>,
    pub(super) overlap: bool,
    pub(super) elsewhere: Option<Elsewhere>,
    pub(super) rehearsal: bool,
}

/// The text of a plan that continues the newest root of `tree`.
pub(super) fn carried(tree: &Tree, wanted: Continued<'_>) -> Result<String, Failure> {
    let Some(before) = Predecessor::newest(tree) else {
        let failure = Failure::new(Kind::Refused, "there is no root here that could be continued");
        return Err(failure.hint("go to the trust root's clone; a first root begins with `trustroot plan new FILE`"));
    };
    let made = ceremony::newest_made(tree)?;
    let last = made.as_ref().map(|found| &found.record.plan);
    let tokens = |plan: &Plan| {
        let leaving = plan.leaving.iter().filter_map(|leaving| leaving.token.serial);
        let all = plan.holders.iter().filter_map(|holder| holder.token.serial).chain(leaving);
        all.filter_map(|serial| serial.number()).collect::<Vec<_>>()
    };
    let used_serial = ceremony::plans(tree).iter().flat_map(tokens).max().unwrap_or(0);
    let title = format!("{} of root {}", wanted.name, before.root.version());
    let wanted = Carry {
        name: wanted.name,
        title: &title,
        kind: wanted.kind,
        reason: wanted.reason,
        day: wanted.day,
        before: &before,
        last,
        changes: wanted.changes,
        add: wanted.add,
        threshold: wanted.threshold,
        online: wanted.online.cloned(),
        overlap: wanted.overlap,
        elsewhere: wanted.elsewhere,
        used_serial,
        rehearsal: wanted.rehearsal || last.is_some_and(|last| last.rehearsal),
    };
    carry(&wanted).map_err(|error| Failure::new(Kind::Usage, error.to_string()))
}

/// Everything that is wrong or unwise about a plan: by itself, and against the trust root it continues.
pub(super) fn findings(plan: &Plan, tree: Option<&Tree>, now: Timestamp) -> Vec<Finding> {
    let mut findings = lint(plan, Some(now));
    let Some(tree) = tree else { return findings };
    let before = Predecessor::newest(tree);
    match &before {
        Some(before) if plan.kind != PlanKind::Genesis => {
            findings.extend(against(plan, before));
            findings.extend(published_elsewhere(plan, tree));
        }
        Some(before) => {
            let what = format!("there is root {} here already, and a genesis makes the first", before.root.version());
            let finding = Finding::new(Level::Refused, Check::PlanFollows, "kind", what);
            findings.push(finding.hint("trustroot plan new FILE --renew, --rotate or --recover"));
        }
        None if plan.kind != PlanKind::Genesis => {
            let what = "there is no root here that the plan could continue";
            findings.push(Finding::new(Level::Refused, Check::PlanFollows, "follows", what));
        }
        None => {}
    }
    let version = before.map_or(1, |before| before.root.version().saturating_add(1));
    for defunct in abandoned(tree, version, &Portable) {
        findings.push(Finding::new(Level::Warning, Check::RivalPossible, defunct.dir.clone(), defunct.what()));
    }
    findings
}

fn lint_plan(here: &Path, args: &Lint) -> Result<(), Failure> {
    let (plan, _) = read(&here.join(&args.file))?;
    let tree = tree_at(here)?;
    let findings = findings(&plan, tree.as_ref(), clock::now());
    let refused = findings.iter().any(|finding| finding.level == Level::Refused);
    let digest = Digest::of(&plan.to_canonical());
    if args.json {
        let value = json!({
            "digest": digest.to_string(),
            "record": plan.record_dir(),
            "refused": refused,
            "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
        });
        print(&format!("{value:#}"))?;
    } else {
        let mut text = report::findings(&findings);
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("plan digest: {digest}\n"));
        for row in words::rows(&digest) {
            text.push_str(&format!("  {}\n", row.join(" ")));
        }
        print(&text)?;
    }
    if refused {
        return Err(Failure::new(Kind::Refused, "the plan is refused").hint("mend what is refused, and lint again"));
    }
    Ok(())
}

/// The files of the repository that `here` is in; nothing where it is in none. A plan can be looked at anywhere.
fn tree_at(here: &Path) -> Result<Option<Tree>, Failure> {
    match Reading::open(here).and_then(|reading| reading.head()) {
        Ok(head) => Ok(Some(head.tree)),
        Err(LedgerError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn script(here: &Path, args: &Script) -> Result<(), Failure> {
    let (plan, _) = read(&here.join(&args.file))?;
    let plan_digest = Digest::of(&plan.to_canonical());
    let record = Record { dir: plan.record_dir(), plan, plan_digest, events: Vec::new(), set_aside: Vec::new() };
    let before = tree_at(here)?.map(|tree| Predecessor::of(&record.plan, &tree)).transpose();
    let before = before.map_err(|finding| Failure {
        findings: vec![finding],
        ..Failure::new(Kind::Refused, "the plan continues another root than the one here")
    })?;
    let html = closing::script_html(&record, before.flatten().map(Arc::new).as_ref());
    match &args.output {
        None => print(&html),
        Some(output) => {
            let path = here.join(output);
            std::fs::write(&path, html).map_err(|error| Failure::file(&path, &error))?;
            report::people(&format!("The script is in {}.", escape(&output.display().to_string())));
            Ok(())
        }
    }
}

/// A finding as JSON.
pub(super) fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({
        "check": finding.check.name(),
        "level": report::level(finding.level),
        "subject": finding.subject,
        "what": finding.what.line(),
        "hint": finding.hint,
    })
}
