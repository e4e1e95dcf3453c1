//! `trustroot run`, and `trustroot` without a verb: conduct a ceremony on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trustroot_core::check::Level;
use trustroot_core::digest::Digest;
use trustroot_core::event::Act;
use trustroot_core::pkcs11_uri::Pkcs11Uri;
use trustroot_core::plan::{Plan, TokenKind};
use trustroot_core::text::{Handle, escape};
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;

use super::failure::{Failure, Kind};
use super::rehearsal::{PIN, Rehearsal};
use super::rehearse::verified;
use super::room::OnlinePlace;
use super::{ceremony, clock, join, plan as plan_verb, room, status};
use crate::conduct::Ending;
use crate::ledger::{GitLedger, Identity};
use crate::seams::{Audience, AudienceError, Commit, Ledger as _, Remote as _};
use crate::ui::{Answers, Recorder, Rehearsed, Terminal, Transcript, report};

/// When the plan of a ceremony with a fixed clock is frozen, in seconds of its day.
pub(super) const BEFORE_OPENING: i64 = 8 * 3600;

/// Conduct a ceremony on this machine: open it from a plan, or go on with the open one.
#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// The plan to open a ceremony from; without it the open ceremony goes on.
    plan: Option<PathBuf>,
    /// An online key, by the name that the plan gives it: a file (PKCS#8 PEM, Ed25519 or P-256), or a PKCS#11 URI
    /// (`pkcs11:token=…;object=…?module-path=…`), whose PIN is asked for.
    #[arg(long = "online-key", value_name = "NAME=FILE|URI", value_parser = online_key)]
    online: Vec<(Handle, OnlinePlace)>,
    /// Read this bundle too, which a holder without a network made with `trustroot join --bundle-out`. May be given several
    /// times.
    #[arg(long, value_name = "FILE")]
    bundle: Vec<PathBuf>,
    /// When this run ends or waits, write all of it into a bundle file, for somebody without a network.
    #[arg(long, value_name = "FILE")]
    bundle_out: Option<PathBuf>,
    /// Take the answers from this file instead of the terminal. Secrets are still asked for at the terminal.
    #[arg(long, value_name = "FILE", conflicts_with = "auto")]
    answers: Option<PathBuf>,
    /// Answer every question by itself. Rehearsals only.
    #[arg(long)]
    auto: bool,
}

fn online_key(text: &str) -> Result<(Handle, OnlinePlace), String> {
    let (name, place) = text.split_once('=').ok_or("write NAME=FILE or NAME=pkcs11:…")?;
    let name = Handle::new(name).map_err(|error| error.to_string())?;
    if !Pkcs11Uri::is_meant(place) {
        return Ok((name, OnlinePlace::File(PathBuf::from(place))));
    }
    let uri = Pkcs11Uri::parse(place).map_err(|error| error.to_string())?;
    Ok((name, OnlinePlace::Token(uri)))
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let plan = args.plan.as_ref().map(|path| plan_verb::read(&here.join(path))).transpose()?;
    let bundles = args.bundle.iter().map(|path| here.join(path)).collect();
    let mut ledger = open_ledger(here)?.with_bundles(bundles);
    if let Some(file) = &args.bundle_out {
        ledger = ledger.apart();
        free(&here.join(file))?;
    }
    let found = ceremony::newest(&ledger.head()?.tree)?;
    let record = match (plan, found) {
        (None, Some(found)) if found.is_open() => found.record.dir,
        (Some((plan, _)), Some(found)) if found.is_open() => {
            if Digest::of(&plan.to_canonical()) != found.record.plan_digest {
                let message = format!("the ceremony {} is open, with another plan", found.record.dir);
                return Err(
                    Failure::new(Kind::Refused, message).hint("go on with it (`trustroot run`), or abandon it first")
                );
            }
            found.record.dir
        }
        (Some((plan, _)), _) => {
            check(&plan, &ledger.head()?.tree)?;
            // Before anything is frozen: what is missing now is missing in the middle of the ceremony.
            room::reachable(&plan)?;
            let mut rehearsal = Rehearsal::read(ledger.state_dir())?;
            if plan.rehearsal && rehearsal.is_none() {
                let settings = Rehearsal::fresh(Vec::new(), true)?;
                settings.write(ledger.state_dir())?;
                rehearsal = Some(settings);
            }
            room::online_keys(&plan, rehearsal.as_ref(), &ledger, &online_places(here, args))?;
            open(&mut ledger, &plan, None, clock::now())?
        }
        (None, _) => {
            let failure = Failure::new(Kind::Refused, "no ceremony is open here");
            return Err(failure.hint("trustroot plan new FILE, edit it, then: trustroot run FILE"));
        }
    };
    conduct(here, ledger, &record, args)
}

/// `trustroot` without a verb: the next right thing for whoever sits here.
pub(super) fn next(here: &Path) -> Result<(), Failure> {
    let open = GitLedger::open(here).and_then(|ledger| {
        let joined = join::is_seat(ledger.state_dir());
        ledger.head().map(|head| (head, joined))
    });
    let open = match open {
        Ok((_, true)) => return join::run(here, &join::Args::default()),
        other => other.map(|(head, _)| head),
    };
    let found = match open {
        Ok(head) => ceremony::newest(&head.tree)?,
        Err(crate::seams::LedgerError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    match found {
        Some(found) if found.is_open() => run(here, &Args::default()),
        Some(_) => status::run(here, &status::Args::default()),
        None => {
            let failure = Failure::new(Kind::Usage, "there is no ceremony here yet");
            Err(failure
                .hint("to see one: trustroot rehearse --auto")
                .hint("to hold one: trustroot plan new FILE, then trustroot run FILE")
                .hint("for everything else: trustroot --help"))
        }
    }
}

/// The repository at `here`, as its own person; the repository of `trustroot rehearse` has an identity of its own.
pub(super) fn open_ledger(here: &Path) -> Result<GitLedger, Failure> {
    let ledger = GitLedger::open(here)?;
    if Rehearsal::read(ledger.state_dir())?.is_none_or(|rehearsal| rehearsal.own_identity) {
        ledger.identity()?;
        return Ok(ledger);
    }
    drop(ledger);
    Ok(GitLedger::open_as(here, Some(Identity::rehearsal()))?)
}

/// The lint of a plan that is about to be opened.
fn check(plan: &Plan, tree: &Tree) -> Result<(), Failure> {
    let findings = plan_verb::findings(plan, Some(tree), clock::now());
    if findings.iter().any(|finding| finding.level == Level::Refused) {
        let failure = Failure { findings, ..Failure::new(Kind::Refused, "the plan is refused; nothing was opened") };
        return Err(failure.hint("mend it, and look again with `trustroot plan lint FILE`"));
    }
    if !findings.is_empty() {
        report::people(&report::findings(&findings));
    }
    Ok(())
}

/// Freezes the plan in a first commit: what opens the record.
pub(super) fn open(
    ledger: &mut GitLedger,
    plan: &Plan,
    source: Option<(&str, &str)>,
    time: Timestamp,
) -> Result<String, Failure> {
    let head = ledger.head()?;
    let record = plan.record_dir();
    let path = format!("{record}/plan.json");
    if head.tree.keys().any(|other| other.starts_with(&format!("{record}/"))) {
        let failure = Failure::new(Kind::Refused, format!("there is a ceremony in {record} already"));
        return Err(failure.hint("records are never overwritten; give the ceremony another name or day"));
    }
    let frozen = plan.to_canonical();
    let message =
        format!("Freeze the plan of {}\n\nPlan: {}\n", record.trim_start_matches("ceremony/"), Digest::of(&frozen));
    let mut files = BTreeMap::from([(path, frozen)]);
    if !head.tree.contains_key(".gitattributes") {
        files.insert(".gitattributes".to_owned(), b"* -text\n".to_vec());
    }
    if let Some((path, text)) = source {
        files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    ledger.append(&Commit { parent: head.commit, files, message, time })?;
    Ok(record)
}

fn online_places(here: &Path, args: &Args) -> BTreeMap<Handle, OnlinePlace> {
    let place = |place: &OnlinePlace| match place {
        OnlinePlace::File(path) => OnlinePlace::File(here.join(path)),
        token => token.clone(),
    };
    args.online.iter().map(|(name, given)| (name.clone(), place(given))).collect()
}

fn conduct(here: &Path, mut ledger: GitLedger, record: &str, args: &Args) -> Result<(), Failure> {
    let plan = ceremony::read(&ledger.head()?.tree, record)?.record.plan;
    let rehearsal = Rehearsal::read(ledger.state_dir())?;
    if plan.rehearsal && rehearsal.is_none() {
        let message = format!("the virtual tokens of {record} are not on this machine");
        let failure = Failure::new(Kind::Surroundings, message);
        return Err(
            failure.hint("a rehearsal goes on where it was begun; rehearse anew here with `trustroot rehearse`")
        );
    }
    if args.auto && !plan.rehearsal {
        return Err(Failure::new(Kind::Usage, "--auto is for rehearsals").hint("a real ceremony is answered by people"));
    }
    if let Some(holder) = plan.holders.iter().find(|h| args.auto && h.token.kind != TokenKind::Virtual) {
        let message = format!("--auto is for virtual tokens, and {} has a real one", holder.handle);
        let failure = Failure::new(Kind::Usage, message);
        return Err(
            failure.hint("its PIN would be the one that everybody reads in this program; answer at the terminal")
        );
    }
    let online = online_places(here, args);
    // The PIN that a rehearsal answers with is for virtual tokens: a real one would lose a try to it.
    let files_only = online.values().all(|place| matches!(place, OnlinePlace::File(_)));
    let virtual_only = plan.holders.iter().all(|holder| holder.token.kind == TokenKind::Virtual);
    let by_itself = plan.rehearsal && virtual_only && files_only;
    if args.auto && !files_only {
        let failure = Failure::new(Kind::Usage, "--auto is for online keys in files, and one is on a token");
        return Err(failure.hint("its PIN is asked for; answer at the terminal"));
    }
    let rehearsal = rehearsal.as_ref();
    let ending = if args.auto {
        let mut audience = Recorder::new(Rehearsed::new(PIN).watched(report::watchers()));
        room::conduct(here, &mut ledger, record, &plan, rehearsal, &online, &mut audience)
    } else if let Some(path) = &args.answers {
        let mut audience = answers(&here.join(path), by_itself)?;
        let ending = room::conduct(here, &mut ledger, record, &plan, rehearsal, &online, &mut audience);
        let ending = ending?;
        audience.finish()?;
        Ok(ending)
    } else {
        let mut audience = Recorder::new(Terminal::new()?);
        let ending = room::conduct(here, &mut ledger, record, &plan, rehearsal, &online, &mut audience);
        if ending.is_ok() {
            say_stops(&audience.transcript(), &plan);
        }
        ending
    }?;
    if let Some(file) = args.bundle_out.as_ref().map(|file| here.join(file)) {
        ledger.write_bundle(&file)?;
        let shown = escape(&file.display().to_string());
        report::people(&format!("Written: {shown}. Who has it goes on with: trustroot join FILE"));
    }
    ended(ledger, here, record, ending, rehearsal.filter(|_| plan.rehearsal))
}

/// Refuses a bundle file that is there already.
pub(super) fn free(file: &Path) -> Result<(), Failure> {
    if !file.exists() {
        return Ok(());
    }
    let failure = Failure::new(Kind::Usage, format!("{} is there already", escape(&file.display().to_string())));
    Err(failure.hint("name a file that is not there yet; nothing is overwritten"))
}

/// The answers file at `path`. Its secrets come from the terminal; where all is virtual, `by_itself`, from a rehearsal's PIN.
pub(super) fn answers(path: &Path, by_itself: bool) -> Result<Answers, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let answers = Answers::from_toml(&path.display().to_string(), &text)?.watched(report::watchers());
    let secrets: Result<Box<dyn Audience>, AudienceError> = if by_itself {
        Ok(Box::new(Rehearsed::new(PIN)))
    } else {
        Terminal::new().map(|terminal| Box::new(terminal) as Box<dyn Audience>)
    };
    Ok(answers.secrets_from(secrets?))
}

/// Says how often this run stopped a holder at most, and everybody else together. What others are asked at a holder's step
/// (the words they heard) counts for that holder.
pub(super) fn say_stops(transcript: &Transcript, plan: &Plan) {
    let stops = transcript.stops_by_step();
    let of = |act: Act, holder: &Handle| -> u32 {
        let prefix = format!("{act}.{holder}.");
        stops.iter().filter(|(step, _)| step.as_str().starts_with(&prefix)).map(|(_, count)| count).sum()
    };
    let most = |act| plan.holders.iter().map(|holder| of(act, &holder.handle)).max().unwrap_or(0);
    let holders: u32 = plan.holders.iter().map(|h| of(Act::Keys, &h.handle) + of(Act::Sign, &h.handle)).sum();
    let others = stops.values().sum::<u32>() - holders;
    report::people(&format!(
        "\nStops in this run: at most {} a holder in the keys act (new secrets aside), {} in the sign act, {others} beyond the holders'.",
        most(Act::Keys),
        most(Act::Sign)
    ));
}

/// What to say when a ceremony is over: where things are, and what to look at next. What a rehearsal made is verified.
pub(super) fn ended(
    ledger: GitLedger,
    dir: &Path,
    record: &str,
    ending: Ending,
    rehearsal: Option<&Rehearsal>,
) -> Result<(), Failure> {
    let shown = escape(&dir.display().to_string());
    if ending == Ending::Waits {
        let found = ceremony::read(&ledger.head()?.tree, record)?;
        report::people(&format!("\nThe ceremony in {record} waits for others:"));
        report::people(&status::awaited_lines(&found.ceremony, &[]).join("\n"));
        report::people(&format!("hint: when they have pushed, or sent a bundle: {}", room::again(dir)));
        return Ok(());
    }
    if ending == Ending::Aborted {
        report::people(&format!("The ceremony in {record} was abandoned. What was done stays in the record."));
        report::people("hint: hold another with a new plan; it says how far this one was");
        return Ok(());
    }
    let last = ceremony::read(&ledger.head()?.tree, record)?.record.last_time();
    drop(ledger);
    let width = record.len() + 1;
    let what = if rehearsal.is_some() { "rehearsal" } else { "ceremony" };
    report::people(&format!("\nThe {what} is over. What came of it lies in {shown}:"));
    report::people(&format!("  {:width$}  the trust root, as clients fetch it", "root/"));
    report::people(&format!("  {record}/  the record; open record.html in a browser"));
    report::people(&format!("To see each step as a commit: git -C {shown} log --stat"));
    match rehearsal {
        Some(rehearsal) => verified(dir, &shown, last.filter(|_| rehearsal.fixed_clock)),
        None => {
            report::people(&format!("To verify it, here and on other machines: trustroot verify {shown}"));
            Ok(())
        }
    }
}
