//! `trustroot rehearse`: a whole ceremony with virtual tokens, in a fresh repository, verified at the end.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use trustroot_core::check::Level;
use trustroot_core::plan::carry::Becomes;
use trustroot_core::plan::lint::lint;
use trustroot_core::plan::template::{Template, template};
use trustroot_core::plan::{Kind as PlanKind, Plan};
use trustroot_core::text::{Handle, escape};
use trustroot_core::time::Timestamp;

use super::failure::{Failure, Kind};
use super::plan::{Continued, carried, findings};
use super::rehearsal::{PIN, Rehearsal};
use super::rehearse_apart::Apart;
use super::{ceremony, clock, room, run, verify};
use crate::conduct::Ending;
use crate::ledger::{GitLedger, Identity};
use crate::seams::{Audience, Ledger as _, LedgerError};
use crate::token::Fault;
use crate::ui::rehearsed::Deviation;
use crate::ui::{Recorder, Rehearsed, Terminal, report};

/// The day of a seeded rehearsal, so that its bytes are the same each time.
const SEEDED_DAY: &str = "2026-01-05";

/// Days from one ceremony of a seeded chain to the next.
const DAYS_APART: i64 = 180;

/// A file beside the repository while it is being made: what is there is ours, and a rehearsal that was killed before its
/// first commit begins again in the same place.
const BEGUN: &str = ".trustroot-rehearsal";

/// Hold a whole ceremony with virtual tokens, in a fresh repository, and verify it.
///
/// Nothing made in a rehearsal is ever to be trusted: every page, key and signature says so. A rehearsal that was stopped is
/// resumed by the same command, or by `trustroot` in its repository.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Answer every question by itself, and show the pages as they go by.
    #[arg(long)]
    auto: bool,
    /// How many holders take part, 1 to 9.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=9))]
    holders: u8,
    /// How many of them must sign.
    #[arg(long, value_name = "N", default_value_t = 3)]
    threshold: u8,
    /// The repository to make; by default a new folder here.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Make the same bytes for the same text: keys, dates, record and commits follow from it.
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,
    /// Practise trouble: HOLDER:FAULT or HOLDER:FAULT:TIMES, such as bob:pulled-mid-sign. May be given several times; with
    /// --kind it happens in the ceremonies after the genesis.
    #[arg(long, value_name = "HOLDER:FAULT")]
    fault: Vec<String>,
    /// What to practise: by default a genesis. A renewal, a rotation or a recovery follows a genesis that goes by itself.
    /// May be given several times, for a chain of ceremonies.
    #[arg(long, value_name = "KIND", value_parser = ["genesis", "renew", "rotate", "recover"])]
    kind: Vec<String>,
    /// Each holder sits at a machine of their own: a clone for each in the folder, and a bare repository between them.
    #[arg(long)]
    apart: bool,
    /// This holder never comes, and the others go on. May be given several times.
    #[arg(long, value_name = "HOLDER", value_parser = handle, requires_all = ["apart", "auto"])]
    absent: Vec<Handle>,
}

fn handle(text: &str) -> Result<Handle, String> {
    Handle::new(text).map_err(|error| error.to_string())
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let mut settings = match &args.seed {
        Some(seed) => Rehearsal::seeded(seed, args.fault.clone()),
        None => Rehearsal::fresh(args.fault.clone(), false)?,
    };
    settings.kinds = args.kind.iter().filter(|kind| *kind != "genesis").cloned().collect();
    settings.faults()?;
    if args.threshold == 0 || args.threshold > args.holders {
        let message = format!("{} of {} cannot sign", args.threshold, args.holders);
        return Err(Failure::new(Kind::Usage, message).hint("the threshold is from 1 to the number of holders"));
    }
    if !args.auto && !std::io::stdin().is_terminal() {
        let failure = Failure::new(Kind::Surroundings, "a rehearsal by hand needs a terminal");
        return Err(failure.hint("run it in one, or add --auto"));
    }
    let dir = match &args.dir {
        Some(dir) => here.join(dir),
        None => free_folder(here)?,
    };
    let apart = args.apart.then(|| Apart::new(&dir, &args.absent));
    let dir = apart.as_ref().map_or(dir, Apart::conductor);
    let shown = escape(&dir.display().to_string());

    let (mut ledger, record, settings) = match resume(&dir, &shown, args, &settings)? {
        Some(stopped) => stopped,
        None => begin(&dir, &shown, args, settings)?,
    };
    let chain = settings.kinds.clone();
    let plan = ceremony::read(&ledger.head()?.tree, &record)?.record.plan;
    if let Some(apart) = &apart {
        apart.hub(&ledger, &plan)?;
    }
    let (must, holders) = (plan.root.threshold, plan.holders.len());
    report::people(&format!("A rehearsal in {shown}: {must} of {holders} holders sign, with virtual tokens."));
    // What comes before the first of the chain is not what is practised; it goes by itself.
    let mut record = record;
    let mut done = ceremony::plans(&ledger.head()?.tree).len() - 1;
    loop {
        let plan = ceremony::read(&ledger.head()?.tree, &record)?.record.plan;
        let by_itself = args.auto || done == 0 && !chain.is_empty();
        if !by_itself {
            say_how(&dir, &plan);
        }
        let ending = match &apart {
            Some(apart) => apart.hold(&mut ledger, &record, &plan, &settings, by_itself)?,
            None => one(&dir, &mut ledger, &record, &plan, &settings, by_itself, Vec::new())?,
        };
        let next = chain.get(done).filter(|_| ending == Ending::Closed);
        let Some(kind) = next else {
            return run::ended(ledger, &dir, &record, ending, Some(&settings));
        };
        record = follow(&mut ledger, kind, done + 1, &settings)?;
        done += 1;
    }
}

/// Holds one ceremony of the rehearsal, or goes on with it; what answers by itself deviates as told.
pub(super) fn one(
    dir: &Path,
    ledger: &mut GitLedger,
    record: &str,
    plan: &Plan,
    settings: &Rehearsal,
    by_itself: bool,
    deviations: Vec<Deviation>,
) -> Result<Ending, Failure> {
    if by_itself {
        let rehearsed = Rehearsed::new(PIN).deviating(deviations);
        let mut audience = Recorder::new(rehearsed.watched(report::watchers()));
        let ending = conduct(dir, ledger, record, plan, settings, &mut audience);
        if ending.is_ok() {
            run::say_stops(&audience.transcript(), plan);
        }
        return ending;
    }
    let mut audience = Recorder::new(Terminal::new()?);
    let ending = conduct(dir, ledger, record, plan, settings, &mut audience);
    if ending.is_ok() {
        run::say_stops(&audience.transcript(), plan);
    }
    ending
}

/// Says how a rehearsal by hand goes.
fn say_how(dir: &Path, plan: &Plan) {
    report::people(&format!(
        "You play everybody. Each question begins with the [handle] of the person whose turn it is.\n\
         Choose a PIN for each virtual token, and remember it: you are asked again when its holder signs.\n\
         Press ! at a question when something is wrong. Ctrl-C stops; to go on afterwards: {}",
        room::again(dir)
    ));
    if plan.follows.is_some() {
        report::people(&format!("The tokens of the genesis have the PIN \"{PIN}\"."));
    }
}

/// Opens the next ceremony of a chain, `number` from 1.
fn follow(ledger: &mut GitLedger, kind: &str, number: usize, settings: &Rehearsal) -> Result<String, Failure> {
    let tree = ledger.head()?.tree;
    let (made, bug) = (ceremony::newest_made(&tree)?, |error: String| Failure::new(Kind::Bug, error));
    let Some(last) = made.map(|found| found.record.plan) else {
        return Err(bug("the chain has no genesis".to_owned()));
    };
    let day = if settings.fixed_clock { last.day.plus_days(DAYS_APART) } else { clock::now() };
    let day = Timestamp::from_day(&day.day()).map_err(|error| bug(error.to_string()))?;
    let holders: Vec<Handle> = last.holders.iter().map(|holder| holder.handle.clone()).collect();
    let name = Handle::new(&format!("rehearsal-{number}-{kind}")).map_err(|error| bug(error.to_string()))?;
    let new_online = Handle::new(&format!("online-{number}")).map_err(|error| bug(error.to_string()))?;
    // As many signatures as the root before needs have to be left.
    let spare = holders.len().saturating_sub(usize::try_from(last.root.threshold).unwrap_or(usize::MAX));
    let (kind, reason, changes, add, online) = match kind {
        "renew" => (PlanKind::Renew, "The root expires.", BTreeMap::new(), 0, None),
        "rotate" => {
            let order = [Becomes::Replaced, Becomes::Leaves];
            let changes = holders.iter().cloned().zip(order).collect();
            (PlanKind::Rotate, "One holder gets a new token, and another hands over.", changes, 1, Some(&new_online))
        }
        _ => {
            let changes: BTreeMap<Handle, Becomes> =
                holders.iter().take(1.min(spare)).cloned().map(|handle| (handle, Becomes::Lost)).collect();
            (PlanKind::Recover, "A token was stolen.", changes, 0, None)
        }
    };
    let wanted = Continued {
        name: &name,
        kind,
        reason,
        day,
        changes,
        add,
        threshold: None,
        online,
        overlap: true,
        elsewhere: None,
        rehearsal: true,
    };
    let toml = carried(&tree, wanted)?;
    let plan = Plan::from_toml(&toml).map_err(|error| bug(error.to_string()))?;
    let findings = findings(&plan, Some(&tree), day);
    let refused: Vec<_> = findings.into_iter().filter(|finding| finding.level == Level::Refused).collect();
    if !refused.is_empty() {
        return Err(Failure { findings: refused, ..Failure::new(Kind::Usage, "this rehearsal cannot be held") });
    }
    // Before the last ceremony somebody new may still come.
    let plans = ceremony::plans(&tree);
    let known = |holder: &Handle| plans.iter().chain([&plan]).any(|plan| plan.holder(holder).is_some());
    if let Some(fault) = settings.faults()?.iter().find(|fault| number == settings.kinds.len() && !known(&fault.holder))
    {
        let failure = Failure::new(Kind::Usage, format!("a fault is for {}, who is no holder", fault.holder));
        let holders: Vec<_> = plan.holders.iter().map(|holder| holder.handle.as_str()).collect();
        return Err(failure.hint(format!("the holders are {}", holders.join(", "))));
    }
    let path = format!("ceremony/plans/{name}.toml");
    run::open(ledger, &plan, Some((&path, &toml)), ledger_time(settings, day))
}

/// When a plan is frozen: before the opening where the clock is fixed.
fn ledger_time(settings: &Rehearsal, day: Timestamp) -> Timestamp {
    if settings.fixed_clock { day.plus_seconds(run::BEFORE_OPENING) } else { clock::now() }
}

/// Verifies what the rehearsal made, as `trustroot verify` does, at `fixed` or now.
pub(super) fn verified(dir: &Path, shown: &str, fixed: Option<Timestamp>) -> Result<(), Failure> {
    let now = fixed.unwrap_or_else(clock::now);
    let asked = verify::Asked { now, rehearsal: true, strict: true, anchor: None };
    let (_, report) = verify::trust_root(dir, &asked)?;
    let at = fixed.map_or_else(String::new, |time| format!(" --at {time}"));
    let again = format!("trustroot verify --rehearsal{at} {shown}");
    if !report.accepted() {
        let failure = Failure::new(Kind::Refused, "what the rehearsal made does not verify; this is our mistake");
        return Err(failure.hint(format!("look at it with `{again}`, and report it")));
    }
    report::people(&format!("It verifies. To see what was checked: {again}"));
    Ok(())
}

fn conduct(
    dir: &Path,
    ledger: &mut GitLedger,
    record: &str,
    plan: &Plan,
    settings: &Rehearsal,
    audience: &mut dyn Audience,
) -> Result<Ending, Failure> {
    room::conduct(dir, ledger, record, plan, Some(settings), &BTreeMap::new(), audience)
}

fn begin(dir: &Path, shown: &str, args: &Args, settings: Rehearsal) -> Result<(GitLedger, String, Rehearsal), Failure> {
    let begun = dir.join(BEGUN);
    if !begun.exists() && std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let failure = Failure::new(Kind::Refused, format!("{shown} is not empty, and is no rehearsal"));
        return Err(failure.hint("name a folder that is not there yet, with --dir"));
    }
    let day =
        if settings.fixed_clock { Timestamp::from_day(SEEDED_DAY) } else { Timestamp::from_day(&clock::now().day()) };
    let day = day.map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    let name = Handle::new("rehearsal").map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    let wanted = Template {
        name: &name,
        title: "A rehearsal",
        trust_root: "Rehearsal",
        day,
        holders: usize::from(args.holders),
        threshold: u32::from(args.threshold),
        rehearsal: true,
    };
    let toml = template(&wanted).map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
    let plan = Plan::from_toml(&toml).map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    let unknown = |fault: &&Fault| settings.kinds.is_empty() && plan.holder(&fault.holder).is_none();
    if let Some(fault) = settings.faults()?.iter().find(unknown) {
        let failure = Failure::new(Kind::Usage, format!("a fault is for {}, who is no holder", fault.holder));
        let holders: Vec<_> = plan.holders.iter().map(|holder| holder.handle.as_str()).collect();
        return Err(failure.hint(format!("the holders are {}", holders.join(", "))));
    }
    let refused: Vec<_> =
        lint(&plan, Some(day)).into_iter().filter(|finding| finding.level == Level::Refused).collect();
    if !refused.is_empty() {
        return Err(Failure { findings: refused, ..Failure::new(Kind::Usage, "this rehearsal cannot be held") });
    }
    std::fs::create_dir_all(dir).map_err(|error| Failure::file(dir, &error))?;
    std::fs::write(&begun, "A rehearsal begins here.\n").map_err(|error| Failure::file(&begun, &error))?;
    // Half a repository of ours, in which nothing was committed, makes room for a whole one.
    let git = dir.join(".git");
    if git.exists() {
        std::fs::remove_dir_all(&git).map_err(|error| Failure::file(&git, &error))?;
    }
    let mut ledger = GitLedger::init(dir, Some(Identity::rehearsal()))?;
    settings.write(ledger.state_dir())?;
    let record = run::open(
        &mut ledger,
        &plan,
        Some(("ceremony/plans/rehearsal.toml", &toml)),
        day.plus_seconds(run::BEFORE_OPENING),
    )?;
    remove_mark(dir)?;
    Ok((ledger, record, settings))
}

/// The repository has its first commit: it says itself what it is.
fn remove_mark(dir: &Path) -> Result<(), Failure> {
    let begun = dir.join(BEGUN);
    match std::fs::remove_file(&begun) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file(&begun, &error)),
        _ => Ok(()),
    }
}

/// The rehearsal that was stopped in `dir`; nothing if none was, or if it was stopped before its first commit.
fn resume(
    dir: &Path,
    shown: &str,
    args: &Args,
    wanted: &Rehearsal,
) -> Result<Option<(GitLedger, String, Rehearsal)>, Failure> {
    if !dir.join(".git").exists() {
        return Ok(None);
    }
    let begun = dir.join(BEGUN).exists();
    let opened = GitLedger::open_as(dir, Some(Identity::rehearsal()));
    // What cannot be opened, or holds no commit, while our mark stands beside it was never more than begun. An open that
    // another process holds is not that.
    let (ledger, head) = match opened.and_then(|ledger| ledger.head().map(|head| (ledger, head))) {
        Ok((_, head)) if begun && head.commit.is_none() => return Ok(None),
        Ok(opened) => opened,
        Err(LedgerError::NotFound(_) | LedgerError::Io { .. }) if begun => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(settings) = Rehearsal::read(ledger.state_dir())? else {
        let failure = Failure::new(Kind::Refused, format!("{shown} is a repository, and no rehearsal's"));
        return Err(failure.hint("name a folder that is not there yet, with --dir"));
    };
    remove_mark(dir)?;
    let other_seed = args.seed.is_some() && wanted.seed != settings.seed;
    if other_seed || (!args.fault.is_empty() && args.fault != settings.faults) {
        let failure =
            Failure::new(Kind::Usage, format!("the rehearsal in {shown} was begun with another seed or faults"));
        return Err(failure.hint("leave both out to go on with it, or rehearse in another --dir"));
    }
    match ceremony::newest(&head.tree)? {
        Some(found) if found.is_open() => Ok(Some((ledger, found.record.dir, settings))),
        // Stopped between two ceremonies of a chain.
        Some(found) if found.ceremony.closed && ceremony::plans(&head.tree).len() <= settings.kinds.len() => {
            Ok(Some((ledger, found.record.dir, settings)))
        }
        Some(found) => {
            let failure =
                Failure::new(Kind::Refused, format!("the rehearsal in {shown}, {}, is over", found.record.dir));
            Err(failure
                .hint(format!("look at it with `trustroot verify --rehearsal {shown}`, or rehearse in another --dir")))
        }
        None => {
            let failure = Failure::new(Kind::Refused, format!("{shown} holds no ceremony"));
            Err(failure.hint("remove it, or rehearse in another --dir"))
        }
    }
}

/// `trustroot-rehearsal`, or with the first number that is free.
fn free_folder(here: &Path) -> Result<PathBuf, Failure> {
    let names =
        std::iter::once("trustroot-rehearsal".to_owned()).chain((2..1000).map(|n| format!("trustroot-rehearsal-{n}")));
    let mut folders = names.map(|name| here.join(name));
    folders.find(|folder| !folder.exists()).ok_or_else(|| {
        Failure::new(Kind::Surroundings, "a thousand rehearsals lie here already")
            .hint("remove some, or name a folder with --dir")
    })
}
