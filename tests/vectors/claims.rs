//! Vectors of claims: what a PKCS#11 module says of a key that nobody attests.

use std::collections::BTreeMap;

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::claim::{self, Attribute, Claim, Key, Module, Origin, Token};
use trustroot_core::event::TokenFacts;
use trustroot_core::plan::TokenKind;
use trustroot_core::serial::Serial;

use super::make::{key, replaced};
use super::{Kind, Vector, fails, passes};

/// The token that is expected.
fn facts() -> TokenFacts {
    TokenFacts {
        kind: TokenKind::Pkcs11,
        serial: Serial::text("6cbc5ac7e5c5a7d0").unwrap(),
        model: "SoftHSM v2".to_owned(),
        firmware: "2.6".to_owned(),
        label: Some("alice".to_owned()),
    }
}

fn good(origin: Origin) -> Claim {
    use Attribute::*;
    let yes = [Sensitive, AlwaysSensitive, NeverExtractable, Local, Token, Private, Sign].map(|told| (told, true));
    let no = [AlwaysAuthenticate, Extractable, Decrypt, Unwrap, Derive, SignRecover].map(|told| (told, false));
    let TokenFacts { serial, model, firmware, label, .. } = facts();
    Claim {
        format: claim::FORMAT,
        fingerprint: key(1).public().fingerprint(),
        origin,
        module: Module {
            description: "Implementation of PKCS11".to_owned(),
            manufacturer: "SoftHSM".to_owned(),
            version: "2.6".to_owned(),
            cryptoki: "2.40".to_owned(),
        },
        token: self::Token {
            label: label.unwrap(),
            manufacturer: "SoftHSM project".to_owned(),
            model,
            serial,
            hardware: firmware.clone(),
            firmware,
        },
        key: Key {
            id: "0102030405060708".to_owned(),
            label: "2026-01-05-genesis alice".to_owned(),
            attributes: BTreeMap::from_iter(yes.into_iter().chain(no)),
        },
    }
}

/// What is found in a claim about key 1 on that token, as the plan has it come to be.
pub(crate) fn findings(bytes: &[u8], origin: Origin) -> Vec<Finding> {
    let claim = match Claim::from_bytes(bytes) {
        Ok(claim) => claim,
        Err(fault) => return vec![Finding::new(Level::Refused, Check::ClaimForm, "claim.json", fault.to_string())],
    };
    let (key, token) = (key(1).public(), facts());
    claim::examine(&claim, &claim::Expected { key: &key, token: &token, origin }, "claim.json")
}

pub(crate) fn vectors() -> Vec<Vector> {
    use Check::{ClaimBound, ClaimForm, ClaimKey};
    use Level::{Refused, Warning};
    let bytes = good(Origin::Generated).to_canonical();
    let change = |old: &str, new: &str| replaced(&bytes, old, new);
    let there = good(Origin::Existing).to_canonical();
    let told = |bytes: &[u8], name: &str, value: &str| replaced(bytes, &format!("\"{name}\":{value},"), "");
    let fails = |check, name, level, bytes| fails(check, name, Kind::Claim, level, bytes);
    let passes = |check, name, bytes| passes(check, name, Kind::Claim, bytes);
    let mut all = vec![
        passes(ClaimForm, "good", bytes.clone()),
        fails(ClaimForm, "white-space", Refused, change(",", ", ")),
        fails(ClaimForm, "line-feed-at-the-end", Refused, [bytes.as_slice(), b"\n"].concat()),
        fails(ClaimForm, "format-2", Refused, change("\"format\":1", "\"format\":2")),
        fails(ClaimForm, "unknown-attribute", Refused, change("\"local\":true", "\"local\":true,\"trusted\":true")),
        fails(ClaimForm, "attribute-twice", Refused, change("\"local\":true", "\"local\":true,\"local\":true")),
        fails(ClaimForm, "serial-as-a-number", Refused, change("\"6cbc5ac7e5c5a7d0\"", "4294967296")),
        fails(ClaimForm, "id-of-half-a-byte", Refused, change("\"0102030405060708\"", "\"010\"")),
        passes(ClaimBound, "the-key-and-token", bytes.clone()),
        fails(ClaimBound, "another-key", Refused, {
            let other = key(2).public().fingerprint().to_string();
            change(&key(1).public().fingerprint().to_string(), &other)
        }),
        fails(ClaimBound, "another-serial", Refused, change("6cbc5ac7e5c5a7d0", "6cbc5ac7e5c5a7d1")),
        fails(ClaimBound, "another-label", Refused, change("\"label\":\"alice\"", "\"label\":\"bob\"")),
        fails(ClaimBound, "another-model", Refused, change("SoftHSM v2", "SoftHSM v3")),
        fails(ClaimBound, "not-generated-here", Refused, there.clone()),
        passes(ClaimKey, "all-as-it-should-be", bytes.clone()),
        fails(ClaimKey, "extractable", Refused, change("\"extractable\":false", "\"extractable\":true")),
        fails(ClaimKey, "not-sensitive", Refused, change("\"sensitive\":true", "\"sensitive\":false")),
        fails(
            ClaimKey,
            "was-extractable",
            Refused,
            change("\"never-extractable\":true", "\"never-extractable\":false"),
        ),
        fails(ClaimKey, "imported", Refused, change("\"local\":true", "\"local\":false")),
        fails(ClaimKey, "local-untold", Refused, told(&bytes, "local", "true")),
        fails(ClaimKey, "decrypts-too", Refused, change("\"decrypt\":false", "\"decrypt\":true")),
        passes(ClaimKey, "decrypt-untold", told(&bytes, "decrypt", "false")),
    ];
    let existing = |vector: Vector| Vector { kind: Kind::ExistingClaim, ..vector };
    all.extend([
        existing(passes(ClaimKey, "existing", there.clone())),
        existing(fails(ClaimKey, "existing-local-untold", Warning, told(&there, "local", "true"))),
        existing(fails(ClaimKey, "existing-imported", Refused, replaced(&there, "\"local\":true", "\"local\":false"))),
    ]);
    all
}
