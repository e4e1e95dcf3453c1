//! Claims: their one form, and what they must say.

use super::*;
use crate::plan::TokenKind;
use crate::testing::{ec, ed};

fn claim() -> Claim {
    use Attribute::*;
    let yes = [Sensitive, AlwaysSensitive, NeverExtractable, Local, Token, Private, Sign];
    let no = [Extractable, Decrypt, Unwrap, Derive, SignRecover, AlwaysAuthenticate];
    let told = |attributes: &[Attribute], value| attributes.iter().map(move |a| (*a, value)).collect::<Vec<_>>();
    let text = ToString::to_string;
    Claim {
        format: FORMAT,
        fingerprint: ed(1).public().fingerprint(),
        origin: Origin::Generated,
        module: Module {
            description: text("Implementation of PKCS11"),
            manufacturer: text("SoftHSM"),
            version: text("2.6"),
            cryptoki: text("2.40"),
        },
        token: super::Token {
            label: text("holder1"),
            manufacturer: text("SoftHSM project"),
            model: text("SoftHSM v2"),
            serial: Serial::text("6cbc5ac7e5c5a7d0").unwrap(),
            firmware: text("2.6"),
            hardware: text("2.6"),
        },
        key: Key {
            id: text("0102"),
            label: text("trustroot 2026-01-05-genesis alice"),
            attributes: told(&yes, true).into_iter().chain(told(&no, false)).collect(),
        },
    }
}

fn facts() -> TokenFacts {
    let token = claim().token;
    TokenFacts {
        kind: TokenKind::Pkcs11,
        serial: token.serial,
        model: token.model,
        firmware: token.firmware,
        label: Some(token.label),
    }
}

/// What is found after `change`, by check and level.
fn found(change: impl FnOnce(&mut Claim)) -> Vec<(Check, Level)> {
    let mut claim = claim();
    change(&mut claim);
    let (key, token) = (ed(1).public(), facts());
    let expected = Expected { key: &key, token: &token, origin: claim.origin };
    examine(&claim, &expected, "claim.json").into_iter().map(|finding| (finding.check, finding.level)).collect()
}

#[test]
fn a_claim_that_says_what_it_should() {
    assert_eq!(found(|_| {}), []);
    assert_eq!(Claim::from_bytes(&claim().to_canonical()), Ok(claim()));
}

#[test]
fn a_claim_has_one_spelling() {
    let good = String::from_utf8(claim().to_canonical()).unwrap();
    let refuses = |old: &str, new: &str, why: &str| {
        assert!(good.contains(old), "{old}");
        let error = Claim::from_bytes(good.replacen(old, new, 1).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refuses("{", "{ ", "canonical");
    refuses("\"format\":1", "\"format\":2", "format 2");
    refuses("\"format\":1", "\"format\":1,\"format\":1", "twice");
    refuses("\"local\":true", "\"local\":1", "invalid type");
    refuses("\"local\"", "\"locally\"", "unknown variant");
    refuses("\"0102\"", "\"010\"", "hexadecimal");
    refuses("\"0102\"", "\"0A\"", "hexadecimal");
    refuses("\"6cbc5ac7e5c5a7d0\"", "\"\"", "a serial in quotes");
    refuses("\"holder1\"", &format!("\"{}\"", "x".repeat(MAX_TEXT + 1)), "more than 128");
    assert!(Claim::from_bytes(&[b' '; MAX_BYTES + 1]).unwrap_err().to_string().contains("longer"));
}

#[test]
fn it_belongs_to_this_key_on_this_token() {
    let bound = [(Check::ClaimBound, Level::Refused)];
    assert_eq!(found(|claim| claim.fingerprint = ec(1).public().fingerprint()), bound);
    assert_eq!(found(|claim| claim.token.serial = Serial::from(7)), bound);
    assert_eq!(found(|claim| claim.token.label.push('x')), bound);
    assert_eq!(found(|claim| claim.token.model.clear()), bound);
    assert_eq!(found(|claim| claim.token.firmware.clear()), bound);
    let (key, token) = (ed(1).public(), facts());
    let expected = Expected { key: &key, token: &token, origin: Origin::Existing };
    assert_eq!(examine(&claim(), &expected, "claim.json").len(), 1);
}

#[test]
fn a_key_that_was_generated_is_all_that_it_should_be() {
    use Attribute::*;
    let refused = [(Check::ClaimKey, Level::Refused)];
    for attribute in [Sensitive, AlwaysSensitive, NeverExtractable, Local, Token, Private, Sign] {
        assert_eq!(
            found(|claim| {
                claim.key.attributes.insert(attribute, false);
            }),
            refused,
            "{attribute:?}"
        );
        assert_eq!(
            found(|claim| {
                claim.key.attributes.remove(&attribute);
            }),
            refused,
            "{attribute:?}"
        );
    }
    for attribute in [Extractable, Decrypt, Unwrap, Derive, SignRecover] {
        assert_eq!(
            found(|claim| {
                claim.key.attributes.insert(attribute, true);
            }),
            refused,
            "{attribute:?}"
        );
    }
    assert_eq!(
        found(|claim| {
            claim.key.attributes.remove(&Extractable);
        }),
        refused
    );
    for attribute in [Decrypt, Unwrap, Derive, SignRecover, AlwaysAuthenticate] {
        assert_eq!(
            found(|claim| {
                claim.key.attributes.remove(&attribute);
            }),
            [],
            "{attribute:?}"
        );
    }
    assert_eq!(
        found(|claim| {
            claim.key.attributes.insert(AlwaysAuthenticate, true);
        }),
        []
    );
}

#[test]
fn of_a_key_that_was_there_less_is_known() {
    use Attribute::*;
    let existing = |change: &dyn Fn(&mut BTreeMap<Attribute, bool>)| {
        found(|claim| {
            claim.origin = Origin::Existing;
            change(&mut claim.key.attributes);
        })
    };
    assert_eq!(existing(&|_| {}), []);
    let (refused, warned) = ([(Check::ClaimKey, Level::Refused)], [(Check::ClaimKey, Level::Warning)]);
    for attribute in [Local, AlwaysSensitive, NeverExtractable, Private] {
        assert_eq!(
            existing(&|told| {
                told.remove(&attribute);
            }),
            warned,
            "{attribute:?}"
        );
        assert_eq!(
            existing(&|told| {
                told.insert(attribute, false);
            }),
            refused,
            "{attribute:?}"
        );
    }
    assert_eq!(
        existing(&|told| {
            told.insert(Derive, true);
        }),
        warned
    );
    assert_eq!(
        existing(&|told| {
            told.insert(Extractable, true);
        }),
        refused
    );
    assert_eq!(
        existing(&|told| {
            told.remove(&Sensitive);
        }),
        refused
    );
}
