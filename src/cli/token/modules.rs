//! `trustroot token list --module`: the tokens that a PKCS#11 module shows. No PIN is asked for, and no try is spent.

use serde_json::json;

use super::tries_json;
use crate::cli::failure::{Failure, Kind};
use crate::cli::print;
use crate::token::Pkcs11Tokens;

/// The tokens of each module, and why one cannot be used.
pub(super) fn list(modules: &[String], as_json: bool) -> Result<(), Failure> {
    let mut loaded = Pkcs11Tokens::new();
    let (mut text, mut all, mut usable) = (String::new(), Vec::new(), 0);
    for module in modules {
        for shown in loaded.list(module)? {
            match shown {
                Ok(shown) => {
                    usable += 1;
                    let label = trustroot_core::text::escape(shown.facts.label.as_deref().unwrap_or_default());
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
