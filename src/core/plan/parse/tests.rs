//! Plans as people write them, right and wrong: what is refused, where, and with which hint.

use super::*;
use crate::plan::template::{Template, template};
use crate::slot::Slot;
use crate::text::Handle;
use crate::time::Timestamp;

fn text() -> String {
    let name = Handle::new("genesis").unwrap();
    let day = Timestamp::from_day("2026-12-01").unwrap();
    let wanted = Template {
        name: &name,
        title: "First root",
        trust_root: "Example",
        day,
        holders: 3,
        threshold: 2,
        rehearsal: true,
    };
    template(&wanted).unwrap()
}

/// The template with `old` replaced once must be refused with `message`, at the place of `at` in the new text.
fn refuses(old: &str, new: &str, at: &str, message: &str) {
    let text = text();
    assert!(text.contains(old), "{old}");
    let text = text.replacen(old, new, 1);
    let error = Plan::from_toml(&text).unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains(message), "{shown}");
    let offset = text.find(at).unwrap();
    let line = text[..offset].split('\n').count();
    let column = offset - text[..offset].rfind('\n').map_or(0, |newline| newline + 1) + 1;
    assert_eq!((error.line, error.column), (line, column), "{shown}");
}

#[test]
fn a_mistyped_field_has_a_place_and_a_hint() {
    refuses(
        "threshold = 2",
        "treshold = 2",
        "treshold",
        "unknown field \"treshold\"; hint: did you mean \"threshold\"?",
    );
    refuses("rehearsal = true", "rehersal = true", "rehersal", "did you mean \"rehearsal\"?");
    refuses("country = \"NL\"", "pony = \"cat\"", "pony", "known here: handle, name, organisation, country");
    let trap = "\"x`, expected `name\" = 1\nkind = \"genesis\"";
    refuses("kind = \"genesis\"", trap, "\"x`", "unknown field \"x`, expected `name\"");
    refuses("kind = \"genesis\"", "\"\\u001b\" = 1", "\"\\u001b\"", "unknown field \"\\u{1b}\"");
}

#[test]
fn a_mistyped_value_has_a_place_and_a_hint() {
    refuses(
        "kind = \"genesis\"",
        "kind = \"gensis\"",
        "\"gensis\"",
        "unknown value \"gensis\"; hint: did you mean \"genesis\"?",
    );
    refuses("\"required\"", "\"never\"", "\"never\"", "known here: required, optional");
}

#[test]
fn a_field_twice() {
    refuses("format = 1", "format = 1\nformat = 1", "format = 1\nname", "duplicate key");
    refuses("[targets]", "[root]", "root]\nthreshold = 2\nexpires = \"2027-12-01\"\n\n# Snap", "duplicate key");
}

#[test]
fn a_missing_field() {
    refuses("threshold = 2\n", "", "[root]", "the field \"threshold\" is missing");
}

#[test]
fn wrong_types() {
    refuses("threshold = 2", "threshold = \"2\"", "\"2\"", "invalid type: string \"2\", expected u32");
    refuses("threshold = 2", "threshold = -2", "-2", "invalid value: integer \"-2\"");
    refuses("threshold = 2", "threshold = 4294967296", "4294967296", "expected u32");
    refuses("rehearsal = true", "rehearsal = 1", "1\n\n# The holders", "expected a boolean");
}

#[test]
fn bad_days() {
    let quoted = "a day is written \"YYYY-MM-DD\", in quotes";
    refuses("day = \"2026-12-01\"", "day = \"2026-12-1\"", "\"2026-12-1\"", quoted);
    refuses("day = \"2026-12-01\"", "day = \"2026-02-30\"", "\"2026-02-30\"", quoted);
    refuses("day = \"2026-12-01\"", "day = 2026-12-01", "2026-12-01\n", "in quotes; hint: write \"2026-12-01\"");
}

#[test]
fn bad_handles_and_firmware() {
    refuses("handle = \"alice\"", "handle = \"Alice\"", "\"Alice\"", "a handle is 1 to 40 of a-z");
    refuses("conductor = \"olga\"", "conductor = \"../x\"", "\"../x\"", "a handle is");
    refuses("\"5.7.0\"", "\"5.7\"", "\"5.7\"", "a firmware version is written \"5.7.0\"");
    refuses("\"5.7.0\"", "\"5.07.0\"", "\"5.07.0\"", "a firmware version");
}

#[test]
fn unclean_text_is_found_where_it_stands() {
    let hidden = "U+202E";
    refuses(
        "\"First root\"",
        "\"First\\u202E root\"",
        "\"First\\u202E",
        &alloc::format!("title: the text contains the character {hidden}"),
    );
    refuses("\"Example\"", "\" Example\"", "\" Example\"", "trust_root: the text is empty or begins");
    refuses("\"Bob Birch\"", "\"B\u{43e}b Birch\"", "\"B\u{43e}b Birch\"", "holders[1].name: the text mixes");
    refuses("\"Valley University\"", "\"\"", "\"\"", "holders[2].organisation: ");
    refuses("\"Peter Pinewood\"", "\"Pe\u{301}ter\"", "\"Pe\u{301}ter\"", "people[1].name: ");
}

#[test]
fn countries() {
    for wrong in ["nl", "N", "NLD", "N1", "ÑL"] {
        let quoted = alloc::format!("\"{wrong}\"");
        refuses("\"NL\"", &quoted, &quoted, "two capital letters; hint: ISO 3166-1");
    }
}

#[test]
fn ssh_keys_are_one_line() {
    refuses("country = \"NL\"", "ssh = \"a\\nb\"", "\"a\\nb\"", "holders[0].ssh: an SSH public key is one line");
    let long = "x".repeat(MAX_SSH + 1);
    refuses("country = \"NL\"", &alloc::format!("ssh = \"{long}\""), "\"xx", "at most 1000 bytes");
    let most = alloc::format!("ssh = \"{}\"", "x".repeat(MAX_SSH));
    assert!(Plan::from_toml(&text().replacen("country = \"NL\"", &most, 1)).is_ok());
}

#[test]
fn what_a_pkcs11_token_needs_and_others_may_not_have() {
    let virtual_token = "{ kind = \"virtual\", serial = 90000001 }";
    let with = |fields: &str| alloc::format!("{{ kind = \"pkcs11\"{fields} }}");
    let module = ", module = \"softhsm2\"";
    let needs = |fields: &str, at: &str, why: &str| refuses(virtual_token, &with(fields), at, why);
    needs("", "{ kind = \"pkcs11\"", "holders[0].token: a PKCS#11 token needs its \"module\"");
    needs(module, "{ kind = \"pkcs11\"", "holders[0].token: a PKCS#11 token needs its \"label\" or");
    for path in ["lib/x.so", "../x", "", ".hidden", "a b"] {
        let fields = alloc::format!(", label = \"a\", module = \"{path}\"");
        needs(&fields, &alloc::format!("\"{path}\" }}"), "holders[0].token.module: ");
    }
    let fields = alloc::format!("{module}, serial = 7");
    needs(&fields, "7 }", "holders[0].token.serial: the serial of a PKCS#11 token is a text; hint: write it in");
    let fields = alloc::format!("{module}, label = \"{}\"", "x".repeat(33));
    needs(&fields, "\"xxx", "holders[0].token.label: ");
    let fields = alloc::format!("{module}, label = \"a\", key = \"0A\"");
    needs(&fields, "\"0A\"", "holders[0].token.key: ");
    let fields = alloc::format!("{module}, label = \"a\", attestation = \"required\"");
    needs(&fields, "\"required\" }", "unknown value \"required\"");
    let all = alloc::format!(
        "{module}, label = \"a\", serial = \"0a1b\", algorithm = \"ed25519\", key = \"0a\", attestation = \"claimed\""
    );
    let plan = Plan::from_toml(&text().replacen(virtual_token, &with(&all), 1)).unwrap();
    assert_eq!(Plan::from_json(&plan.to_canonical()), Ok(plan));

    for field in ["module = \"/x\"", "label = \"a\"", "algorithm = \"ed25519\"", "key = \"0a\""] {
        let token = alloc::format!("{{ kind = \"virtual\", {field} }}");
        let value = field.split(" = ").nth(1).unwrap();
        refuses(virtual_token, &token, &alloc::format!("{value} }}"), "only a token of kind \"pkcs11\" has this");
    }
    let slotted = "{ kind = \"yubikey\", slot = \"9d\" }";
    let plan = Plan::from_toml(&text().replacen(virtual_token, slotted, 1)).unwrap();
    assert_eq!(
        (plan.holders[0].token.slot().to_string().as_str(), plan.holders[1].token.slot()),
        ("9d", Slot::SIGNATURE)
    );
    assert_eq!(Plan::from_json(&plan.to_canonical()), Ok(plan));
    refuses(virtual_token, "{ kind = \"yubikey\", slot = \"f9\" }", "\"f9\" }", "a slot is \"9a\", \"9c\"");
    refuses(virtual_token, "{ kind = \"virtual\", slot = \"9c\" }", "\"9c\" }", "only a token of kind \"yubikey\" has");
    refuses(virtual_token, "{ kind = \"yubikey\", serial = \"7\" }", "\"7\" }", "without quotes");
    refuses(virtual_token, "{ kind = \"yubikey\", serial = -7 }", "-7 }", "a serial: a number of 32 bits");
}

#[test]
fn holders_are_counted() {
    let one = "[[holders]]\nhandle = \"h\"\nname = \"H\"\ntoken = { kind = \"virtual\" }\n";
    let base = text();
    let without = |n: usize| {
        let (head, rest) = base.split_once("[[holders]]").unwrap();
        let people = &rest[rest.find("# Everybody else").unwrap()..];
        alloc::format!("{head}{}{people}", one.repeat(n))
    };
    assert!(Plan::from_toml(&without(1)).is_ok());
    assert!(Plan::from_toml(&without(MAX_HOLDERS)).is_ok());
    assert!(Plan::from_toml(&without(MAX_HOLDERS + 1)).unwrap_err().what.starts_with("holders: 51 holders"));
    assert!(Plan::from_toml(&without(0)).unwrap_err().what.contains("the field \"holders\" is missing"));
    let none = without(0).replacen("format", "holders = []\nformat", 1);
    assert!(Plan::from_toml(&none).unwrap_err().what.starts_with("holders: 0 holders"));
}

#[test]
fn other_formats_are_not_guessed_at() {
    refuses("format = 1", "format = 2", "2\nname", "format: plans of format 2 are not known");
}

#[test]
fn not_toml_at_all() {
    refuses("[root]", "[root", "\nthreshold", "table");
    let deep = alloc::format!("x = {}", "[".repeat(100_000));
    assert!(Plan::from_toml(&deep).is_err());
    let padded = alloc::format!("{}#{}", text(), "x".repeat(MAX_BYTES));
    assert_eq!(Plan::from_toml(&padded).unwrap_err().what, "longer than 1048576 bytes");
    let fits = text();
    let fits = alloc::format!("{fits}#{}", "x".repeat(MAX_BYTES - fits.len() - 1));
    assert!(Plan::from_toml(&fits).is_ok());
}

#[test]
fn columns_count_characters() {
    let error = Plan::from_toml("# é\ntitle = \"ééé\" x").unwrap_err();
    assert_eq!((error.line, error.column), (2, 15), "{error}");
}

#[test]
fn errors_are_short_and_inert() {
    let long = alloc::format!("format = \"\\u001b[2J{}\"", "x".repeat(10_000));
    let error = Plan::from_toml(&text().replacen("format = 1", &long, 1)).unwrap_err().to_string();
    assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
}

fn frozen() -> String {
    String::from_utf8(Plan::from_toml(&text()).unwrap().to_canonical()).unwrap()
}

fn refuses_json(old: &str, new: &str, message: &str) {
    let text = frozen();
    assert!(text.contains(old), "{old}");
    let error = Plan::from_json(text.replacen(old, new, 1).as_bytes()).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn the_frozen_form_is_read_back() {
    assert_eq!(Plan::from_json(frozen().as_bytes()), Plan::from_toml(&text()));
}

#[test]
fn the_frozen_form_has_one_spelling() {
    let canonical = "not in canonical form";
    refuses_json("\"format\":1", "\"format\": 1", canonical);
    refuses_json("{\"day\"", "\n{\"day\"", canonical);
    refuses_json("First root", "First\\u0020root", canonical);
    refuses_json("\"name\":\"genesis\",", "\"name\":\"genesis\",\"people\":[],", "twice");
    refuses_json("\"serial\":90000001", "\"serial\":null", canonical);
    refuses_json("\"format\":1", "\"format\":1,\"format\":1", "twice");
    refuses_json("\"format\":1", "\"format\":1,\"note\":1", "unknown field \"note\"");
    refuses_json("\"format\":1", "\"format\":2", "format: plans of format 2");
    refuses_json("First root", "First root ", "title: the text is empty or begins or ends");
    assert!(Plan::from_json(&[b' '; MAX_BYTES + 1]).unwrap_err().what.contains("longer"));
}
