//! `trustroot token provision`, `attest`, `unblock` and `retire`: a token outside a ceremony.
//!
//! Rules:
//! 1. The token is shown with its serial and its state before anything is asked; no try is spent to know it.
//! 2. Secrets come from the terminal and from nowhere else.
//! 3. What cannot be undone needs a word typed in full. A token whose key is in a current root is never reset.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use trustroot_core::attestation::anchor::certificate_to_pem;
use trustroot_core::event::{Act, StepId};
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::{Metadata, Role};
use trustroot_core::text::{Handle, escape};
use trustroot_core::tree::Entry;
use trustroot_core::verify::roots::root_number;

use super::attestation::{Wanted, verdict};
use super::show::state_lines;
use super::verify::Advisories;
use super::{Attest, One, Provision, tries_json};
use crate::cli::failure::{Failure, Kind};
use crate::cli::print;
use crate::ledger::Reading;
use crate::seams::{
    Answer, Audience as _, Form, NewSecrets, Pin, Question, SlotState, Token, TokenError, TokenState, Tries,
};
use crate::token::no_core_dumps;
use crate::token::piv::{YubikeyToken, YubikeyTokens};
use crate::ui::{Terminal, report};

/// A token, and the person who holds it, at a terminal.
struct Desk {
    token: YubikeyToken,
    state: TokenState,
    terminal: Terminal,
}

impl Desk {
    fn open(serial: Option<u32>) -> Result<Self, Failure> {
        no_core_dumps().map_err(|error| {
            Failure::new(Kind::Surroundings, format!("core dumps cannot be switched off: {error}"))
                .hint("a PIN could end up in one; start again where the limit can be set")
        })?;
        let mut token = YubikeyTokens.open_serial(serial)?;
        let state = token.state()?;
        let facts = token.facts();
        report::people(&format!("{} with serial {}, firmware {}", facts.model, facts.serial, facts.firmware));
        report::people(&state_lines(&state).iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
        Ok(Self { token, state, terminal: Terminal::new()? })
    }

    fn question(&self, name: &'static str, prompt: String, form: Form) -> Result<Question, Failure> {
        let who = Handle::new("holder").map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
        let step = StepId::new(Act::Keys, "token");
        Ok(Question { step, act: Act::Keys, name, who, prompt: prompt.into(), form, affirms: None })
    }

    /// A secret: a new one, typed twice, or the one that is set.
    fn secret(&mut self, name: &'static str, new: bool, tries: impl Into<Tries>) -> Result<Pin, Failure> {
        let serial = self.token.serial();
        let prompt = match new {
            true => format!("A new {name} for token {serial}: 6 to 8 letters, digits or signs"),
            false => format!("The {name} of token {serial}; tries left: {}", tries.into()),
        };
        let question = self.question(if new { "new" } else { "secret" }, prompt, Form::Secret { min: 6, max: 8 })?;
        Ok(self.terminal.secret(&question, new)?)
    }

    /// Consent to what cannot be undone.
    fn consent(&mut self, prompt: String, word: &'static str) -> Result<(), Failure> {
        let question = self.question("consent", prompt, Form::Consent { word })?;
        match self.terminal.ask(&question)? {
            Answer::Line(line) if line == word => Ok(()),
            _ => Err(Failure::new(Kind::Refused, format!("that is not the word \"{word}\"; nothing was done"))
                .hint("start again, and type the word in full")),
        }
    }
}

/// Replaces the factory secrets, and generates a key on request.
pub(super) fn provision(args: &Provision) -> Result<(), Failure> {
    let mut desk = Desk::open(args.one.serial)?;
    if let SlotState::Occupied(key) = desk.token.inspect()? {
        let failure = Failure::from(TokenError::Occupied("9c".to_owned()));
        return Err(failure.hint(format!("its key is {}; to look at it: trustroot token inspect", key.fingerprint())));
    }
    let puk_state = desk.state.puk.unwrap_or((false, 0));
    if desk.state.has_factory_secrets() {
        let (default, tries) = (desk.state.pin_is_default, desk.state.pin_tries);
        let pin = desk.secret("PIN", default, tries)?;
        let puk = desk.secret("PUK", puk_state.0, puk_state.1)?;
        desk.token.provision(&NewSecrets { pin: &pin, puk: Some(&puk) })?;
        report::people("done: PIN, PUK and management key are its own now, and each was proved.");
        generate(&mut desk, args, Some(pin))?;
    } else if args.generate {
        generate(&mut desk, args, None)?;
    } else {
        let failure = Failure::new(Kind::Refused, "nothing is the factory's any more; nothing was done");
        return Err(failure.hint("to generate a key: trustroot token provision --generate"));
    }
    let key = match desk.token.inspect()? {
        SlotState::Occupied(key) => Some(key),
        SlotState::Empty(_) => None,
    };
    let fingerprint = key.as_ref().map(|key| key.fingerprint().to_string());
    if args.one.json {
        let serial = desk.token.serial();
        return print(&format!("{:#}", json!({ "serial": serial, "provisioned": true, "fingerprint": fingerprint })));
    }
    if let Some(fingerprint) = fingerprint {
        print(&format!("key {fingerprint}"))?;
    }
    Ok(())
}

fn generate(desk: &mut Desk, args: &Provision, pin: Option<Pin>) -> Result<(), Failure> {
    if !args.generate {
        return Ok(());
    }
    let SlotState::Empty(slot) = desk.token.inspect()? else {
        return Err(TokenError::Occupied("9c".to_owned()).into());
    };
    let serial = desk.token.serial();
    desk.consent(format!("Generate a key in slot 9c of token {serial}; this cannot be undone"), "generate")?;
    let pin = match pin {
        Some(pin) => pin,
        None => {
            let tries = desk.token.state()?.pin_tries;
            desk.secret("PIN", false, tries)?
        }
    };
    desk.token.generate(slot, &pin)?;
    report::people("done: the key was made. Next: trustroot token attest");
    Ok(())
}

/// Writes public key and attestation, verified.
pub(super) fn attest(here: &Path, args: &Attest) -> Result<(), Failure> {
    let mut token = YubikeyTokens.open_serial(args.one.serial)?;
    let serial = token.serial();
    let SlotState::Occupied(key) = token.inspect()? else {
        return Err(Failure::from(TokenError::NoKey).hint("to make one: trustroot token provision --generate"));
    };
    let files = token.attest()?;
    drop(token);
    let name = format!("token {serial}");
    let wanted = Wanted {
        key: Some(key.clone()),
        serial: Some(serial),
        slot: "9c".to_owned(),
        minimum_firmware: (0, 0, 0),
        rehearsal: args.rehearsal,
        report_only: args.advisories == Advisories::Report,
    };
    let verdict = verdict(&name, &files.slot, std::slice::from_ref(&files.device), &wanted);
    if !verdict.holds() {
        let failure = Failure::new(Kind::Refused, "the attestation does not hold; nothing was written");
        return Err(Failure { findings: verdict.findings, ..failure }
            .hint("docs/checks.md has a paragraph for each name of a check"));
    }
    let folder = here.join(&args.out).join(serial.to_string());
    let pem = |der: &[u8]| certificate_to_pem(der).unwrap_or_default();
    let texts = [
        ("public.pem", key.to_pem()),
        ("attestation-9c.pem", pem(&files.slot)),
        ("f9-intermediate.pem", pem(&files.device)),
    ];
    std::fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
    for (name, text) in &texts {
        write_new(&folder.join(name), text)?;
    }
    let shown = escape(&folder.display().to_string());
    if args.one.json {
        return print(&format!("{:#}", json!({ "folder": shown, "attestation": verdict.json() })));
    }
    print(&format!("{}\nwritten to {shown}", verdict.text()))
}

/// Writes a file that was not there. The same text lying there already is as good.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(|error| Failure::file(path, &error)),
        Err(_) if std::fs::read(path).is_ok_and(|lies| lies == text.as_bytes()) => Ok(()),
        Err(error) => Err(Failure::file(path, &error).hint("evidence is never written over; name another folder")),
    }
}

/// Sets a new PIN with the PUK.
pub(super) fn unblock(args: &One) -> Result<(), Failure> {
    let mut desk = Desk::open(args.serial)?;
    let (_, tries) = desk.state.puk.unwrap_or((false, 0));
    if tries <= 1 {
        return Err(TokenError::PukBlocked { tries }.into());
    }
    let puk = desk.secret("PUK", false, tries)?;
    let pin = desk.secret("PIN", true, 0)?;
    desk.token.unblock(&puk, &pin)?;
    let state = desk.token.state()?;
    report::people(&format!("done: the PIN is new, and was proved; tries left: {}", state.pin_tries));
    if args.json {
        print(&format!("{:#}", json!({ "serial": desk.token.serial(), "pin-tries": tries_json(state.pin_tries) })))?;
    }
    Ok(())
}

/// Resets a token whose key is in no root any more.
pub(super) fn retire(here: &Path, args: &One) -> Result<(), Failure> {
    let mut desk = Desk::open(args.serial)?;
    let serial = desk.token.serial();
    if let SlotState::Occupied(key) = desk.token.inspect()? {
        not_in_root(here, &key)?;
        report::people(&format!("  slot 9c: key {}, not in the newest root here", key.fingerprint()));
    }
    desk.consent(format!("Reset token {serial}: every PIV key in it is destroyed; this cannot be undone"), "destroy")?;
    let token = &mut desk.token;
    let mut done = Err(TokenError::Removed);
    desk.terminal.wait(&"Resetting; leave the token where it is.".into(), &mut || done = token.reset())?;
    done?;
    report::people("done: the token is as it left the factory.");
    if args.json {
        print(&format!("{:#}", json!({ "serial": serial, "retired": true })))?;
    }
    Ok(())
}

/// Refuses if the key is in the newest root of the trust root at `here`, or if there is none to look into.
fn not_in_root(here: &Path, key: &PublicKey) -> Result<(), Failure> {
    let unknown = |what: String| {
        Failure::new(Kind::Refused, what)
            .hint("go to the newest clone of the trust root that the key served (or -C DIR), and start again")
    };
    let head = Reading::open(here).and_then(|reading| reading.head());
    let tree = head.map_err(|error| unknown(format!("whether its key is in a root cannot be said: {error}")))?.tree;
    let numbers = tree.keys().filter_map(|path| root_number(path.strip_prefix("root/")?));
    let newest = numbers.max().ok_or_else(|| unknown("there is no root here to look for its key in".to_owned()))?;
    let name = format!("root/{newest}.root.json");
    let bytes = tree.get(&name).and_then(Entry::bytes).unwrap_or_default();
    let root = Metadata::<Root>::parse(&name, bytes)
        .map_err(|_| unknown(format!("{name} cannot be read, so its key may be in it")))?;
    let serves = [Role::Root, Role::Targets]
        .into_iter()
        .any(|role| root.body().role(role).keys.as_ref().map_or(true, |keys| keys.keys().contains(key)));
    if serves {
        let failure = Failure::new(Kind::Refused, format!("its key is in {name}; a token in use is never reset"));
        return Err(failure.hint("rotate the key out of the root first: trustroot plan new --kind rotate"));
    }
    Ok(())
}
