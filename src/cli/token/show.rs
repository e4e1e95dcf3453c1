//! `trustroot token list` and `inspect`: what is plugged in, and what it says of itself. No try of anything is spent.

use serde_json::{Value, json};
use trustroot_core::attestation::anchor::Anchors;
use trustroot_core::attestation::verify::read;

use super::attestation::{Wanted, verdict};
use super::tries_json;
use crate::cli::failure::{Failure, Kind};
use crate::cli::print;
use crate::seams::{Token as _, TokenState};
use crate::token::piv::{Occupied, Seen, YubikeyTokens, readers, slots};

/// Every reader, and why one holds no YubiKey that answers.
pub(super) fn list(as_json: bool) -> Result<(), Failure> {
    let readers = readers()?;
    let mut tokens = 0;
    let (mut text, mut all) = (String::new(), Vec::new());
    let mut hints = Vec::new();
    for reader in readers {
        match reader.seen {
            Seen::Token(token) => {
                tokens += 1;
                let (serial, firmware) = (token.serial(), token.facts().firmware);
                text.push_str(&format!("YubiKey {serial}, firmware {firmware}  ({})\n", reader.name));
                all.push(json!({ "reader": reader.name, "serial": serial, "firmware": firmware }));
            }
            Seen::Nothing { why, remedy } => {
                text.push_str(&format!("{}: {why}\n", reader.name));
                all.push(json!({ "reader": reader.name, "why-not": why, "remedy": remedy }));
                hints.extend(remedy);
            }
        }
    }
    if as_json {
        print(&format!("{:#}", json!({ "readers": all })))?;
    } else {
        print(&text)?;
    }
    if tokens > 0 {
        return Ok(());
    }
    let what = if all.is_empty() { "no reader and no YubiKey is plugged in" } else { "no YubiKey answers" };
    let failure = Failure::new(Kind::Surroundings, what);
    if hints.is_empty() {
        return Err(failure.hint("plug the token in, wait for its light, and try again"));
    }
    Err(hints.into_iter().fold(failure, Failure::hint))
}

/// What one token says of itself.
pub(super) fn inspect(serial: Option<u32>, as_json: bool) -> Result<(), Failure> {
    let mut token = YubikeyTokens.open_serial(serial)?;
    let facts = token.facts();
    let state = token.state()?;
    let found = slots(&mut token)?;
    let attested = found.iter().any(|slot| slot.slot == "9c" && slot.generated == Some(true));
    let files = if attested { Some(token.attest()?) } else { None };
    drop(token);
    let attestation = files.map(|files| {
        let name = format!("slot 9c of token {}", facts.serial);
        let said = read(&files.slot, &files.device, &[], &name, &Anchors::pinned());
        let wanted = Wanted {
            key: found.iter().find(|slot| slot.slot == "9c").and_then(|slot| slot.key.clone()),
            serial: facts.serial.number(),
            slot: "9c".to_owned(),
            minimum_firmware: (0, 0, 0),
            rehearsal: said
                .facts
                .is_some_and(|facts| facts.anchor.kind == trustroot_core::attestation::AnchorKind::Rehearsal),
            report_only: false,
        };
        verdict(&name, &files.slot, &[files.device], &wanted)
    });
    if as_json {
        return print(&format!(
            "{:#}",
            json!({
                "serial": facts.serial.number(),
                "model": facts.model,
                "firmware": facts.firmware,
                "state": state_json(&state),
                "slots": found.iter().map(slot_json).collect::<Vec<_>>(),
                "attestation": attestation.map(|verdict| verdict.json()),
            })
        ));
    }
    let mut out = format!("{} with serial {}, firmware {}\n", facts.model, facts.serial, facts.firmware);
    for line in state_lines(&state) {
        out.push_str(&format!("  {line}\n"));
    }
    if found.is_empty() {
        out.push_str("  every slot is empty (f9, the vendor's, aside)\n");
    }
    for slot in &found {
        let origin = match slot.generated {
            Some(true) => "generated in the token",
            Some(false) => "IMPORTED: somebody may have a copy",
            None => "of unknown origin",
        };
        let key = slot.key.as_ref().map_or(String::new(), |key| format!(", key {}", key.fingerprint()));
        out.push_str(&format!("  slot {}: {}, {origin}{key}\n", slot.slot, slot.algorithm));
    }
    if let Some(verdict) = attestation {
        out.push_str(&format!("\n{}", verdict.text()));
    }
    print(&out)
}

/// The state of the secrets, a line each.
pub(super) fn state_lines(state: &TokenState) -> Vec<String> {
    let whose = |default: bool| if default { "the FACTORY's, which everybody knows" } else { "its own" };
    let mut lines = vec![format!("PIN: {}; tries left: {}", whose(state.pin_is_default), state.pin_tries)];
    if let Some((default, tries)) = state.puk {
        lines.push(format!("PUK: {}; tries left: {tries}", whose(default)));
    }
    if let Some(default) = state.management_key_is_default {
        lines.push(format!("management key: {}", whose(default)));
    }
    lines
}

fn state_json(state: &TokenState) -> Value {
    json!({
        "pin": { "factory": state.pin_is_default, "tries": tries_json(state.pin_tries) },
        "puk": state.puk.map(|(default, tries)| json!({ "factory": default, "tries": tries })),
        "management-key": state.management_key_is_default.map(|default| json!({ "factory": default })),
    })
}

fn slot_json(slot: &Occupied) -> Value {
    json!({
        "slot": slot.slot,
        "algorithm": slot.algorithm,
        "generated": slot.generated,
        "fingerprint": slot.key.as_ref().map(|key| key.fingerprint().to_string()),
    })
}
