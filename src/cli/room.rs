//! The room: the implementations behind the seams, chosen by plan and command line, and one run of the conductor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trustroot_core::digest::Digest;
use trustroot_core::page::script::kind_name;
use trustroot_core::pkcs11_uri::Pkcs11Uri;
use trustroot_core::plan::{Plan, TokenKind};
use trustroot_core::replay::Next;
use trustroot_core::seat::Turn;
use trustroot_core::signature::Portable;
use trustroot_core::text::{Handle, escape};
use zeroize::Zeroizing;

use super::chance::{SeededEntropy, SystemEntropy, fresh};
use super::clock::{FixedClock, SystemClock};
use super::failure::{Failure, Kind};
use super::rehearsal::Rehearsal;
use super::{ceremony, program_version};
use crate::conduct::{Conductor, Ending, Halt, Program, Room};
use crate::judge::ToughClient;
use crate::ledger::GitLedger;
use crate::seams::{
    Audience, Clock, Entropy, Glance, Judge, Ledger as _, OnlineKey, Token, TokenError, Tokens, Wanted,
};
use crate::token::{
    FileKey, Pkcs11OnlineKey, Pkcs11Tokens, SeededThrowAwayKeys, VirtualTokens, no_core_dumps, write_rehearsal_key,
};
use crate::ui::report;

/// The hour at which a ceremony with a fixed clock begins, in seconds of its day.
const NINE_O_CLOCK: i64 = 9 * 3600;

/// Conducts the ceremony in `dir` of the repository at `here` until it ends, and says what was and was not done if it stops
/// before.
pub(super) fn conduct(
    here: &Path,
    ledger: &mut GitLedger,
    dir: &str,
    plan: &Plan,
    rehearsal: Option<&Rehearsal>,
    online: &BTreeMap<Handle, OnlinePlace>,
    audience: &mut dyn Audience,
) -> Result<Ending, Failure> {
    let online = online_keys(plan, rehearsal, ledger, online)?;
    let ended = furnished(ledger, plan, rehearsal, &online, audience, |room| Conductor::new(room, dir).run())?;
    ended.map_err(|halt| stopped(halt, here, ledger, dir))
}

/// Leads `who`, at a machine of their own, through what is theirs in the ceremony in `dir`, and says whose turn it is then.
pub(super) fn sit(
    here: &Path,
    ledger: &mut GitLedger,
    dir: &str,
    plan: &Plan,
    rehearsal: Option<&Rehearsal>,
    who: &Handle,
    audience: &mut dyn Audience,
) -> Result<Turn, Failure> {
    let none = BTreeMap::new();
    let ended =
        furnished(ledger, plan, rehearsal, &none, audience, |room| Conductor::at_home(room, dir, who.clone()).sit())?;
    ended.map_err(|halt| stopped(halt, here, ledger, dir))
}

/// Puts the room together, and runs `work` in it.
fn furnished<T>(
    ledger: &mut GitLedger,
    plan: &Plan,
    rehearsal: Option<&Rehearsal>,
    online: &BTreeMap<Handle, Box<dyn OnlineKey>>,
    audience: &mut dyn Audience,
    work: impl FnOnce(Room<'_>) -> T,
) -> Result<T, Failure> {
    no_core_dumps().map_err(|error| {
        Failure::new(Kind::Surroundings, format!("core dumps cannot be switched off: {error}"))
            .hint("a PIN could end up in one; start again where the limit can be set")
    })?;
    let mut tokens = EveryKind { rehearsed: None, modules: Pkcs11Tokens::new() };
    if let Some(rehearsal) = rehearsal.filter(|_| plan.rehearsal) {
        let folder = ledger.state_dir().join("tokens");
        tokens.rehearsed = Some(VirtualTokens::new(rehearsal.seed, &folder, plan, rehearsal.faults_in(plan)?)?);
    }
    let clock = clock(plan, rehearsal);
    let mut entropy: Box<dyn Entropy> = match rehearsal {
        Some(rehearsal) => Box::new(SeededEntropy(rehearsal.seed)),
        None => Box::new(SystemEntropy),
    };
    let throw_away_seed = rehearsal.map_or_else(fresh, |rehearsal| Ok(rehearsal.seed))?;
    let mut throw_away = SeededThrowAwayKeys::new(Zeroizing::new(throw_away_seed));
    // tough reads the machine's clock, so it can be asked about expiry only where the ceremony goes by that clock.
    let fixed = rehearsal.is_some_and(|rehearsal| rehearsal.fixed_clock);
    let judges: [Box<dyn Judge>; 1] = [Box::new(ToughClient::new(!fixed))];
    let program = Program { version: program_version(), digest: own_digest(plan)? };
    Ok(work(Room {
        ledger,
        audience,
        tokens: &mut tokens,
        online,
        throw_away: &mut throw_away,
        judges: &judges,
        clock: clock.as_ref(),
        entropy: entropy.as_mut(),
        verifier: &Portable,
        program,
    }))
}

/// The clock that a ceremony goes by.
pub(super) fn clock(plan: &Plan, rehearsal: Option<&Rehearsal>) -> Box<dyn Clock> {
    if rehearsal.is_some_and(|rehearsal| rehearsal.fixed_clock) {
        return Box::new(FixedClock { start: plan.day.plus_seconds(NINE_O_CLOCK) });
    }
    Box::new(SystemClock)
}

/// The halt as a failure, after saying what is in the record and what is not.
fn stopped(halt: Halt, here: &Path, ledger: &GitLedger, dir: &str) -> Failure {
    let failure = Failure::from(halt);
    let Ok(head) = ledger.head() else { return failure };
    let Ok(found) = ceremony::read(&head.tree, dir) else { return failure };
    let events = match (found.ceremony.events.len(), found.ceremony.events.last()) {
        (1, Some(last)) => format!("1 event, at {}", last.event.step),
        (count, Some(last)) => format!("{count} events, the last at {}", last.event.step),
        (_, None) => "the frozen plan and no event yet".to_owned(),
    };
    let signed: Vec<_> =
        found.ceremony.holders.iter().filter(|(_, state)| state.signed).map(|(h, _)| h.to_string()).collect();
    let signed =
        if signed.is_empty() { "nobody signed yet".to_owned() } else { format!("signed: {}", signed.join(", ")) };
    report::people(&format!("\nIn the record: {events}; {signed}."));
    if let Next::Do(step) = found.ceremony.next() {
        report::people(&format!("Not done: {}, and what comes after it.", step.id()));
    }
    match failure.kind {
        Kind::Interrupted => failure.hint(format!("nothing is lost; to go on at that step: {}", again(here))),
        _ => failure,
    }
}

/// The command that goes on with the ceremony of the repository at `here`.
pub(super) fn again(here: &Path) -> String {
    if here == Path::new(".") {
        return "trustroot".to_owned();
    }
    format!("trustroot -C {}", escape(&here.display().to_string()))
}

/// SHA-256 of the program's file. A rehearsal's record does not hold it, so that its bytes do not depend on the build.
fn own_digest(plan: &Plan) -> Result<Option<Digest>, Failure> {
    if plan.rehearsal {
        return Ok(None);
    }
    let path = std::env::current_exe()
        .map_err(|error| Failure::new(Kind::Surroundings, format!("the program's own file is not known: {error}")))?;
    let bytes = std::fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
    Ok(Some(Digest::of(&bytes)))
}

/// The online keys that the plan names, by those names.
pub(super) fn online_keys(
    plan: &Plan,
    rehearsal: Option<&Rehearsal>,
    ledger: &GitLedger,
    given: &BTreeMap<Handle, OnlinePlace>,
) -> Result<BTreeMap<Handle, Box<dyn OnlineKey>>, Failure> {
    let mut keys: BTreeMap<Handle, Box<dyn OnlineKey>> = BTreeMap::new();
    for name in plan.online_names() {
        let key: Box<dyn OnlineKey> = match (given.get(name), rehearsal) {
            (Some(OnlinePlace::File(path)), _) => Box::new(FileKey::open(path)?),
            (Some(OnlinePlace::Token(uri)), _) => Box::new(Pkcs11OnlineKey::open(uri)?),
            (None, Some(rehearsal)) if plan.rehearsal => {
                let path = ledger.state_dir().join(format!("online-{name}.pem"));
                Box::new(write_rehearsal_key(&path, name, &rehearsal.seed)?)
            }
            (None, _) => {
                let message = format!("the plan names the online key \"{name}\", and neither file nor URI was given");
                let hint = format!(
                    "trustroot run --online-key {name}=FILE (make one: openssl genpkey -algorithm ed25519 -out FILE)"
                );
                return Err(Failure::new(Kind::Usage, message).hint(hint));
            }
        };
        keys.insert(name.clone(), key);
    }
    Ok(keys)
}

/// Refuses a plan with a token that this build cannot talk to.
pub(super) fn reachable(plan: &Plan) -> Result<(), Failure> {
    let unknown = |kind| match kind {
        TokenKind::Virtual => false,
        TokenKind::Yubikey => !cfg!(feature = "piv"),
        TokenKind::Pkcs11 => !cfg!(feature = "pkcs11"),
    };
    let holders = plan.holders.iter().map(|holder| (&holder.handle, holder.token.kind));
    let old = plan.leaving.iter().filter(|leaving| leaving.signs).map(|l| (&l.handle, l.token.kind));
    let Some((handle, kind)) = holders.chain(old).find(|(_, kind)| unknown(*kind)) else {
        return Ok(());
    };
    let kind = kind_name(kind);
    let message = format!("{handle} has a {kind}, which this build cannot talk to; nothing was opened");
    Err(Failure::new(Kind::Refused, message)
        .hint("practise the plan with `rehearsal = true` and tokens of kind \"virtual\""))
}

/// Tokens of every kind that this build knows, in one ceremony.
struct EveryKind {
    /// Those of a rehearsal.
    rehearsed: Option<VirtualTokens>,
    /// Those behind modules.
    modules: Pkcs11Tokens,
}

impl Tokens for EveryKind {
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        match (wanted.kind, &mut self.rehearsed) {
            (TokenKind::Virtual, Some(rehearsed)) => rehearsed.open(wanted),
            #[cfg(feature = "piv")]
            (TokenKind::Yubikey, _) => crate::token::piv::YubikeyTokens.open(wanted),
            (TokenKind::Pkcs11, _) => self.modules.open(wanted),
            (kind, _) => Err(TokenError::Refused(format!("this build cannot talk to a {} here", kind_name(kind)))),
        }
    }

    fn glance(&mut self, wanted: &Wanted) -> Option<Glance> {
        match wanted.kind {
            #[cfg(feature = "piv")]
            TokenKind::Yubikey => crate::token::piv::YubikeyTokens.glance(wanted),
            _ => None,
        }
    }
}

/// Where an online key is.
#[derive(Clone, Debug)]
pub(super) enum OnlinePlace {
    /// In this file.
    File(PathBuf),
    /// On a token, behind a PKCS#11 module.
    Token(Pkcs11Uri),
}
