//! `trustroot token list --module` and `inspect --module`: the tokens that a PKCS#11 module shows, and their public keys. No
//! PIN is asked for, and no try is spent.

use serde_json::json;
use trustroot_core::text::escape;

use super::tries_json;
use crate::cli::failure::{Failure, Kind};
use crate::cli::print;
use crate::token::Pkcs11Tokens;
use crate::token::pkcs11::Inspected;

/// The tokens of each module, and why one cannot be used.
pub(super) fn list(modules: &[String], as_json: bool) -> Result<(), Failure> {
    let mut loaded = Pkcs11Tokens::new();
    let (mut text, mut all, mut usable) = (String::new(), Vec::new(), 0);
    for module in modules {
        for shown in loaded.list(module)? {
            match shown {
                Ok(shown) => {
                    usable += 1;
                    let label = escape(shown.facts.label.as_deref().unwrap_or_default());
                    let (serial, tries) = (shown.facts.serial, shown.state.pin_tries);
                    text.push_str(&format!(
                        "PKCS#11 token \"{label}\", serial \"{serial}\", firmware {}; tries of the PIN left: {tries}  ({module})\n",
                        shown.facts.firmware
                    ));
                    all.push(json!({
                        "module": module, "label": shown.facts.label, "serial": serial.to_string(),
                        "model": shown.facts.model, "firmware": shown.facts.firmware, "tries": tries_json(tries),
                    }));
                }
                Err(error) => {
                    text.push_str(&format!("a token that cannot be used: {error}  ({module})\n"));
                    all.push(json!({ "module": module, "why-not": error.to_string(), "remedy": error.hint() }));
                }
            }
        }
    }
    if as_json {
        print(&format!("{:#}", json!({ "tokens": all })))?;
    } else {
        print(&text)?;
    }
    match usable {
        0 => Err(Failure::new(Kind::Surroundings, "no token can be used").hint("plug the token in, or give it a PIN")),
        _ => Ok(()),
    }
}

/// What the tokens of a module say of themselves: their state, and the public keys that are seen without a PIN.
pub(super) fn inspect(module: &str, label: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let mut loaded = Pkcs11Tokens::new();
    let (mut text, mut all) = (String::new(), Vec::new());
    for shown in loaded.inspect(module)? {
        let Inspected { shown, keys } = match shown {
            Ok(inspected) => inspected,
            // A token of that label would be the one that is meant.
            Err(error) if label.is_none() => {
                text.push_str(&format!("a token that cannot be used: {error}\n"));
                all.push(json!({ "why-not": error.to_string(), "remedy": error.hint() }));
                continue;
            }
            Err(_) => continue,
        };
        let called = shown.facts.label.as_deref().unwrap_or_default();
        if label.is_some_and(|label| label != called) {
            continue;
        }
        let (serial, tries) = (shown.facts.serial, shown.state.pin_tries);
        text.push_str(&format!(
            "PKCS#11 token \"{}\", serial \"{serial}\", {}, firmware {}\n  PIN: set; tries left: {tries}\n",
            escape(called),
            escape(&shown.facts.model),
            shown.facts.firmware
        ));
        if keys.is_empty() {
            text.push_str("  no public key is seen without the PIN\n");
        }
        for (id, name, key) in &keys {
            let name = escape(name);
            text.push_str(&format!("  id {id}, \"{name}\": {}, key {}\n", key.algorithm(), key.fingerprint()));
        }
        let keys = keys.iter().map(|(id, name, key)| {
            json!({
                "id": id, "label": name, "algorithm": key.algorithm().to_string(),
                "fingerprint": key.fingerprint().to_string(), "public-key": key.to_pem(),
            })
        });
        all.push(json!({
            "label": called, "serial": serial.to_string(), "model": shown.facts.model,
            "firmware": shown.facts.firmware, "tries": tries_json(tries), "keys": keys.collect::<Vec<_>>(),
        }));
    }
    if as_json {
        return print(&format!("{:#}", json!({ "module": module, "tokens": all })));
    }
    if all.is_empty() {
        let failure = Failure::new(Kind::Surroundings, "no such token is there");
        return Err(failure.hint(format!("to see which are: trustroot token list --module {}", escape(module))));
    }
    text.push_str("  not attested: what a module says of a key is its claim, and nobody vouches for it\n");
    print(&text)
}
