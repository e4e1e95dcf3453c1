//! `trustroot plan`: write a plan, lint it, print the script for the room.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use trustroot_core::check::{Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::page::closing;
use trustroot_core::plan::Plan;
use trustroot_core::plan::lint::lint;
use trustroot_core::plan::template::{Template, template};
use trustroot_core::record::Record;
use trustroot_core::text::{Handle, escape};
use trustroot_core::time::Timestamp;
use trustroot_core::words;

use super::failure::{Failure, Kind};
use super::{clock, print};
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
    /// How many of them must sign.
    #[arg(long, value_name = "N", default_value_t = 3)]
    threshold: u8,
    /// The expected day, YYYY-MM-DD; by default four weeks from now.
    #[arg(long, value_name = "DAY")]
    day: Option<String>,
    /// A plan for virtual tokens.
    #[arg(long)]
    rehearsal: bool,
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
    let name = Handle::new("genesis").map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    let wanted = Template {
        name: &name,
        title: "Our first key-signing ceremony",
        trust_root: "Our project",
        day,
        holders: usize::from(args.holders),
        threshold: u32::from(args.threshold),
        rehearsal: args.rehearsal,
    };
    let text = template(&wanted).map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
    let path = here.join(&args.file);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    }
    let create = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    create.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| Failure::file(&path, &error))?;
    let shown = escape(&args.file.display().to_string());
    report::people(&format!("The plan is in {shown}. The people in it do not exist: edit them, and everything else."));
    report::people(&format!("hint: trustroot plan lint {shown}"));
    Ok(())
}

fn lint_plan(here: &Path, args: &Lint) -> Result<(), Failure> {
    let (plan, _) = read(&here.join(&args.file))?;
    let findings = lint(&plan, Some(clock::now()));
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

fn script(here: &Path, args: &Script) -> Result<(), Failure> {
    let (plan, _) = read(&here.join(&args.file))?;
    let plan_digest = Digest::of(&plan.to_canonical());
    let record = Record { dir: plan.record_dir(), plan, plan_digest, events: Vec::new(), set_aside: Vec::new() };
    let html = closing::script_html(&record);
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
