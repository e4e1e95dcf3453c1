//! `trustroot join`: a holder at a machine of their own, against any git remote or a bundle.

use std::path::{Path, PathBuf};

use trustroot_core::defunct::abandoned;
use trustroot_core::event::{Act, StepId};
use trustroot_core::page::Text;
use trustroot_core::plan::{Plan, TokenKind};
use trustroot_core::replay::Ceremony;
use trustroot_core::seat::Turn;
use trustroot_core::serial::Serial;
use trustroot_core::signature::Portable;
use trustroot_core::text::{Handle, escape};

use super::failure::{Failure, Kind};
use super::rehearsal::{PIN, Rehearsal};
use super::{ceremony, room, run, status};
use crate::ledger::{self, GitLedger};
use crate::seams::{Answer, Audience, Choice, Form, Ledger as _, PushOutcome, Pushed, Question, RemoteError};
use crate::ui::{Recorder, Rehearsed, Terminal, Transcript, report};

/// Beside the repository, who sat here last. It is never committed.
const SEAT: &str = "seat";

/// Take part in a ceremony from your own machine: enrol, hear others, review and sign.
///
/// Finds or makes a clone, sees who sits here from the token, leads through what is yours now, and pushes once. Started again
/// it goes on; when nothing is yours, it says who is awaited.
#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// Where the trust root is: the address of a git repository, its path, or a bundle file; without it, the clone that this
    /// folder is in.
    from: Option<String>,
    /// The folder of the clone; by default it is named after the address.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Who sits here, by the handle that the plan gives; by default the token says it, or you are asked.
    #[arg(long = "as", value_name = "HANDLE", value_parser = handle)]
    who: Option<Handle>,
    /// Read this bundle too. May be given several times.
    #[arg(long, value_name = "FILE")]
    bundle: Vec<PathBuf>,
    /// Write what you did into a bundle file for the conductor, instead of a push.
    #[arg(long, value_name = "FILE")]
    bundle_out: Option<PathBuf>,
    /// Take the answers from this file instead of the terminal. Secrets are still asked for at the terminal.
    #[arg(long, value_name = "FILE", conflicts_with = "auto")]
    answers: Option<PathBuf>,
    /// Answer every question by itself. Rehearsals only.
    #[arg(long)]
    auto: bool,
}

fn handle(text: &str) -> Result<Handle, String> {
    Handle::new(text).map_err(|error| error.to_string())
}

impl Args {
    /// For `who`, at a clone that is there.
    pub(super) fn at(who: Handle, auto: bool) -> Self {
        Self { who: Some(who), auto, ..Self::default() }
    }
}

/// Whether somebody joined a ceremony from the clone of this state folder.
pub(super) fn is_seat(state: &Path) -> bool {
    state.join(SEAT).exists()
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let (dir, mut bundles) = place(here, args)?;
    bundles.extend(args.bundle.iter().map(|path| here.join(path)));
    let mut ledger = run::open_ledger(&dir)?.with_bundles(bundles);
    if let Some(file) = &args.bundle_out {
        ledger = ledger.apart();
        run::free(&here.join(file))?;
    }
    let Some(remote) = ledger.remote() else {
        let failure = Failure::new(Kind::Usage, "this repository has no remote, so nobody else is to be found from it");
        return Err(failure.hint("trustroot join URL, or, if the ceremony is held at this machine: trustroot run"));
    };
    let (head, failed) = remote.conductor()?;
    say_failed(&failed);
    let Some(found) = ceremony::newest(&head.tree)? else {
        let failure = Failure::new(Kind::Refused, "no ceremony was opened there yet");
        return Err(failure.hint("ask the conductor whether `trustroot run PLAN` was started and pushed; then again"));
    };
    let plan = found.record.plan.clone();
    let record = found.record.dir.clone();
    let rehearsal = settings(&ledger, &plan, args)?;
    let who = match known(&ledger, &found.ceremony, args)? {
        Some(who) => who,
        None => asked(&plan, &dir, args)?,
    };
    let remembered = ledger.state_dir().join(SEAT);
    std::fs::write(&remembered, format!("{who}\n")).map_err(|error| Failure::file(&remembered, &error))?;

    let time = room::clock(&plan, rehearsal.as_ref()).now(found.record.last_time());
    let Some(remote) = ledger.remote() else { return Err(Failure::new(Kind::Bug, "the remote went away")) };
    let seat = remote.seat(&record, &who, time)?;
    if !seat.findings.is_empty() {
        report::people(&report::findings(&seat.findings));
    }
    let shown = escape(&dir.display().to_string());
    let name = escape(plan.name_of(&who));
    report::people(&format!("You are {name} ({who}), in {shown}, on the branch {}.", seat.branch));
    say_fallen(&ledger, &found.ceremony, &who)?;

    let (turn, transcript) = sit(&dir, here, &mut ledger, &record, &plan, rehearsal.as_ref(), &who, args)?;
    let pushes = hand_over(&mut ledger, args.bundle_out.as_ref().map(|path| here.join(path)).as_deref())?;
    say_effort(&transcript, &who, pushes);
    let now = ceremony::read(&ledger.head()?.tree, &record)?.ceremony;
    say_turn(&turn, &now, &dir);
    Ok(())
}

// ------------------------------------------------------------------------------------------------------ where and who

/// The folder of the clone, which is made if it is not there; and the bundle that was named in place of an address.
fn place(here: &Path, args: &Args) -> Result<(PathBuf, Vec<PathBuf>), Failure> {
    let Some(from) = &args.from else {
        return Ok((args.dir.as_ref().map_or_else(|| here.to_owned(), |dir| here.join(dir)), Vec::new()));
    };
    let dir = match &args.dir {
        Some(dir) => here.join(dir),
        None => here.join(folder_of(from)?),
    };
    let local = here.join(from);
    // From a stick only bundles are taken; another file is refused where it is read.
    let bundle = local.is_file().then(|| local.clone());
    if dir.join(".git").exists() {
        return Ok((dir, bundle.into_iter().collect()));
    }
    let from = if local.exists() { local.display().to_string() } else { from.clone() };
    report::people(&format!("Cloning {} into {}.", escape(&from), escape(&dir.display().to_string())));
    ledger::clone(here, &from, &dir)?;
    Ok((dir, bundle.into_iter().collect()))
}

/// The folder that a clone goes into: the last part of the address, without what says of which kind it is.
fn folder_of(from: &str) -> Result<String, Failure> {
    let last = from.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let name = last.strip_suffix(".git").or(last.strip_suffix(".bundle")).unwrap_or(last);
    if name.is_empty() || name.starts_with('.') || escape(name) != name {
        let failure = Failure::new(Kind::Usage, format!("no name of a folder follows from {}", escape(from)));
        return Err(failure.hint("name the folder of the clone with --dir"));
    }
    Ok(name.to_owned())
}

/// The settings of a rehearsal here, which are made when somebody joins one for the first time.
fn settings(ledger: &GitLedger, plan: &Plan, args: &Args) -> Result<Option<Rehearsal>, Failure> {
    if args.auto && !plan.rehearsal {
        return Err(Failure::new(Kind::Usage, "--auto is for rehearsals").hint("a real ceremony is answered by people"));
    }
    if let Some(holder) = plan.holders.iter().find(|h| args.auto && h.token.kind != TokenKind::Virtual) {
        let message = format!("--auto is for virtual tokens, and {} has a real one", holder.handle);
        return Err(Failure::new(Kind::Usage, message).hint("answer at the terminal"));
    }
    let found = Rehearsal::read(ledger.state_dir())?;
    if !plan.rehearsal || found.is_some() {
        return Ok(found);
    }
    let fresh = Rehearsal::fresh(Vec::new(), true)?;
    fresh.write(ledger.state_dir())?;
    Ok(Some(fresh))
}

/// Everybody who may sit at a machine of their own: holders, and those who sign with an old key.
pub(super) fn people(plan: &Plan) -> Vec<&Handle> {
    let old = plan.leaving.iter().filter(|leaving| leaving.signs).map(|leaving| &leaving.handle);
    let mut all: Vec<&Handle> = Vec::new();
    for handle in plan.holders.iter().map(|holder| &holder.handle).chain(old) {
        if !all.contains(&handle) && *handle != plan.seats.conductor {
            all.push(handle);
        }
    }
    all
}

/// Who sits here: as said, as remembered, or as the token says.
fn known(ledger: &GitLedger, ceremony: &Ceremony, args: &Args) -> Result<Option<Handle>, Failure> {
    let plan = &ceremony.plan;
    let all = people(plan);
    if let Some(who) = &args.who {
        if *who == plan.seats.conductor {
            let failure = Failure::new(Kind::Usage, format!("{who} is the conductor of this ceremony"));
            return Err(failure.hint("the conductor's own machine: trustroot run"));
        }
        if !all.contains(&who) {
            let names = all.iter().map(|handle| handle.to_string()).collect::<Vec<_>>().join(", ");
            let failure = Failure::new(Kind::Usage, format!("{who} has no part in this ceremony"));
            return Err(failure.hint(format!("those who have: {names}")));
        }
        return Ok(Some(who.clone()));
    }
    let remembered = ledger.state_dir().join(SEAT);
    let remembered = std::fs::read_to_string(remembered).ok().and_then(|text| Handle::new(text.trim()).ok());
    if let Some(who) = remembered.filter(|who| all.contains(&who)) {
        return Ok(Some(who));
    }
    let here = serials(ledger, plan);
    let has = |who: &&Handle| {
        let state = ceremony.holders.get(*who).and_then(|state| state.token.as_ref()).map(|token| token.serial);
        let planned = [false, true].map(|old| ceremony.planned_token(who, old).and_then(|token| token.serial));
        state.into_iter().chain(planned.into_iter().flatten()).any(|serial| here.contains(&serial))
    };
    let mut fits = all.into_iter().filter(has);
    Ok(match (fits.next(), fits.next()) {
        (Some(who), None) => Some(who.clone()),
        _ => None,
    })
}

/// The serials of the tokens that are here. None is opened for more than that.
fn serials(ledger: &GitLedger, plan: &Plan) -> Vec<Serial> {
    let mut found = Vec::new();
    if plan.rehearsal {
        let files = std::fs::read_dir(ledger.state_dir().join("tokens")).into_iter().flatten().flatten();
        let serial = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".json")?.parse::<u32>().ok();
        found.extend(files.filter_map(|file| serial(file.file_name())).map(Serial::from));
    }
    // A rehearsal takes real tokens too; readers are not touched where nobody has one.
    let leaving = plan.leaving.iter().map(|leaving| leaving.token.kind);
    if plan.holders.iter().map(|holder| holder.token.kind).chain(leaving).any(|kind| kind == TokenKind::Yubikey) {
        found.extend(plugged_in());
    }
    found
}

#[cfg(feature = "piv")]
fn plugged_in() -> Vec<Serial> {
    use crate::token::piv::{Seen, readers};
    let serial = |seen| match seen {
        Seen::Token(token) => Some(Serial::from(token.serial())),
        Seen::Nothing { .. } => None,
    };
    readers().into_iter().flatten().filter_map(|reader| serial(reader.seen)).collect()
}

#[cfg(not(feature = "piv"))]
fn plugged_in() -> Vec<Serial> {
    Vec::new()
}

/// Asks who sits here.
fn asked(plan: &Plan, here: &Path, args: &Args) -> Result<Handle, Failure> {
    if args.auto || args.answers.is_some() {
        let failure = Failure::new(Kind::Usage, "no token here says who sits here");
        return Err(
            failure.hint(format!("say it: trustroot -C {} join --as HANDLE", escape(&here.display().to_string())))
        );
    }
    let all = people(plan);
    let choice = |handle: &&Handle| Choice { key: handle.to_string(), label: Text::foreign(plan.name_of(handle)) };
    let question = Question {
        step: StepId::new(Act::Open, "seat"),
        act: Act::Open,
        name: "who",
        who: plan.seats.scribe.clone(),
        prompt: "Who are you".into(),
        form: Form::One(all.iter().map(choice).collect()),
        affirms: None,
    };
    let mut terminal = Terminal::new()?;
    loop {
        if let Answer::One(key) = terminal.ask(&question)?
            && let Some(who) = all.iter().find(|handle| handle.as_str() == key)
        {
            return Ok((*who).clone());
        }
    }
}

// ------------------------------------------------------------------------------------------------------- the sitting

#[allow(clippy::too_many_arguments, reason = "what one sitting needs, named once")]
fn sit(
    dir: &Path,
    here: &Path,
    ledger: &mut GitLedger,
    record: &str,
    plan: &Plan,
    rehearsal: Option<&Rehearsal>,
    who: &Handle,
    args: &Args,
) -> Result<(Turn, Transcript), Failure> {
    let again = |failure: Failure| match failure.kind {
        Kind::Interrupted => {
            failure.hint("what you did is committed here, and not pushed yet; `trustroot join` does both")
        }
        _ => failure,
    };
    if args.auto {
        let mut audience = Recorder::new(Rehearsed::new(PIN).watched(report::watchers()));
        let turn = room::sit(dir, ledger, record, plan, rehearsal, who, &mut audience).map_err(again)?;
        return Ok((turn, audience.transcript()));
    }
    if let Some(path) = &args.answers {
        let virtual_only = plan.holders.iter().all(|holder| holder.token.kind == TokenKind::Virtual);
        let mut audience = Recorder::new(run::answers(&here.join(path), plan.rehearsal && virtual_only)?);
        let turn = room::sit(dir, ledger, record, plan, rehearsal, who, &mut audience).map_err(again)?;
        audience.inner().finish()?;
        return Ok((turn, audience.transcript()));
    }
    let mut audience = Recorder::new(Terminal::new()?);
    let turn = room::sit(dir, ledger, record, plan, rehearsal, who, &mut audience).map_err(again)?;
    Ok((turn, audience.transcript()))
}

/// Pushes what was done, or writes it into a bundle; how often it pushed.
fn hand_over(ledger: &mut GitLedger, bundle: Option<&Path>) -> Result<u32, Failure> {
    let Some(remote) = ledger.remote() else { return Ok(0) };
    if let Some(file) = bundle {
        remote.write_bundle(file)?;
        let shown = escape(&file.display().to_string());
        report::people(&format!("Written: {shown}. Carry it to the conductor: trustroot run --bundle FILE"));
        return Ok(0);
    }
    if !remote.unpushed()? {
        return Ok(0);
    }
    let pushed = remote.push(None);
    if pushed.is_empty() {
        let failure =
            Failure::new(Kind::Surroundings, "what you did is committed here, and there is no remote to push it to");
        return Err(failure.hint("write it into a file for the conductor: trustroot join --bundle-out FILE"));
    }
    pushed_lines(&pushed);
    let count = u32::try_from(pushed.len()).unwrap_or(u32::MAX);
    if pushed.iter().any(|one| one.outcome.is_ok()) {
        return Ok(count);
    }
    let failure = Failure::new(Kind::Surroundings, "what you did is committed here, and nobody else has it yet");
    Err(failure
        .hint("once what stands above is mended: trustroot join")
        .hint("or carry it to the conductor: trustroot join --bundle-out FILE"))
}

// --------------------------------------------------------------------------------------------------------- what is said

fn say_failed(failed: &[(String, RemoteError)]) {
    for (source, error) in failed {
        report::people(&format!("Nothing was fetched from {source}: {error}\nhint: {}", error.hint()));
    }
}

/// What came of each push, a line each, and what to do about those that failed.
fn pushed_lines(pushed: &[Pushed]) {
    for one in pushed {
        let remote = &one.remote;
        report::people(&match &one.outcome {
            Ok(PushOutcome::UpToDate) => format!("{remote} has everything already."),
            Ok(PushOutcome::Done) => format!("Pushed to {remote}."),
            Ok(PushOutcome::AfterCatchingUp) => {
                format!("Somebody had pushed to {remote}; that was taken in, and pushed.")
            }
            Err(error) => format!("Not pushed: {error}\nhint: {}", error.hint()),
        });
    }
}

/// Says of each abandoned attempt at the same root that this person signed that the signature fell away.
fn say_fallen(ledger: &GitLedger, ceremony: &Ceremony, who: &Handle) -> Result<(), Failure> {
    let version = ceremony.before.as_ref().map_or(1, |before| before.root.version().saturating_add(1));
    for fallen in abandoned(&ledger.head()?.tree, version, &Portable) {
        let own = fallen.signed.iter().any(|signer| signer.split(' ').next() == Some(who.as_str()));
        if own && !ceremony.closed {
            report::people(&format!("Your signature there fell away: {}.", fallen.what()));
        }
    }
    Ok(())
}

/// How often this sitting stopped a person.
fn say_effort(transcript: &Transcript, who: &Handle, pushes: u32) {
    let of = |counts: std::collections::BTreeMap<(Act, Handle), u32>| -> u32 {
        counts.iter().filter(|((_, asked), _)| asked == who).map(|(_, count)| count).sum()
    };
    let (stops, pins, new) = (of(transcript.stops()), of(transcript.pins()), of(transcript.new_secrets()));
    let prompts = stops.saturating_sub(pins);
    report::people(&format!(
        "In this sitting: prompts {prompts}, PIN entries {pins}, new secrets {new}, pushes {pushes}."
    ));
}

/// Whose turn it is now.
fn say_turn(turn: &Turn, ceremony: &Ceremony, dir: &Path) {
    let again = format!("hint: later, here: {} join", room::again(dir));
    match turn {
        Turn::Do(_) | Turn::Wait => {
            report::people("\nNothing more is yours now.");
            let awaited = status::awaited_lines(ceremony, &[]);
            if awaited.is_empty() {
                report::people("The conductor is next.");
            } else {
                report::people(&format!("Awaited, as far as is known here:\n{}", awaited.join("\n")));
            }
            report::people(&again);
        }
        Turn::Absent => report::people("\nThe roll was called without you: nothing of this ceremony is yours."),
        Turn::Left(reason) => {
            report::people(&format!("\nThe others went on without you: {}", escape(reason)));
            report::people("hint: ask the conductor; what you wrote before is in the record");
        }
        Turn::Aborted(reason) => report::people(&format!("\nThe ceremony was abandoned: {}", escape(reason))),
        Turn::Closed => {
            report::people("\nThe ceremony is over, and its record closed.");
            report::people(&format!(
                "hint: see that it says what you signed: trustroot verify {}",
                escape(&dir.display().to_string())
            ));
        }
    }
}
