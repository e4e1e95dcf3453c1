//! Vectors of plans, as people write them and frozen.

use trustroot_core::check::{Check, Level};
use trustroot_core::plan::Plan;
use trustroot_core::plan::template::{Template, template};
use trustroot_core::text::Handle;

use super::make::{now, replaced};
use super::{Kind, Vector, fails, passes};

/// A production plan with three holders, two of whom must sign, that nothing is wrong with.
pub(crate) fn plan(rehearsal: bool) -> String {
    let name = Handle::new("genesis").unwrap();
    let (title, trust_root) = ("First root", "Example");
    template(&Template { name: &name, title, trust_root, day: now(), holders: 3, threshold: 2, rehearsal }).unwrap()
}

/// The plan with one place changed.
fn changed(old: &str, new: &str) -> Vec<u8> {
    replaced(plan(false).as_bytes(), old, new)
}

/// `text` with `expires` of this role on this day.
fn expiring(text: &str, role: &str, day: &str) -> String {
    let at = text.find(&format!("[{role}]")).unwrap();
    let value = at + text[at..].find("expires = \"").unwrap() + "expires = \"".len();
    format!("{}{day}{}", &text[..value], &text[value + day.len()..])
}

/// The plan with the thresholds of root and targets.
fn thresholds(number: u32) -> Vec<u8> {
    plan(false).replace("threshold = 2", &format!("threshold = {number}")).into_bytes()
}

/// The plan with one more line about the first holder.
fn alice(line: &str) -> Vec<u8> {
    changed("handle = \"alice\"", &format!("handle = \"alice\"\n{line}"))
}

const FOLLOWS: &str =
    "[follows]\nversion = 1\nroot = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\n";

/// A plan that continues a root: alice and bob keep their keys, carol makes one.
fn rotation(change: impl FnOnce(String) -> String) -> Vec<u8> {
    let keep = |who: &str, digit: &str| {
        (format!("handle = \"{who}\"\n"), format!("handle = \"{who}\"\nkey = \"{}\"\n", digit.repeat(64)))
    };
    let online = ("key = \"online\"\n".to_owned(), format!("key = \"online\"\nkeeps = \"{}\"\n", "3".repeat(64)));
    let kind = ("kind = \"genesis\"".to_owned(), "reason = \"Why.\"\nkind = \"rotate\"".to_owned());
    let follows = ("[root]\n".to_owned(), format!("{FOLLOWS}[root]\n"));
    let changes = [keep("alice", "1"), keep("bob", "2"), online, kind, follows];
    change(changes.iter().fold(plan(false), |text, (old, new)| text.replace(old, new))).into_bytes()
}

/// The plan with a PKCS#11 token for the first holder, about which more is said.
fn behind(more: &str) -> Vec<u8> {
    let token = format!("kind = \"pkcs11\", module = \"softhsm2\", label = \"alice\"{more}");
    changed("kind = \"yubikey\"", &token)
}

pub(crate) fn vectors() -> Vec<Vector> {
    use Check::{
        PlanDiversity, PlanExpiry, PlanFollows, PlanForm, PlanMargin, PlanPeople, PlanSeats, PlanTerm, PlanThreshold,
        PlanToken,
    };
    use Level::{Refused, Warning};
    let good = || plan(false).into_bytes();
    let fails = |check, name, level, bytes| fails(check, name, Kind::Plan, level, bytes);
    let passes = |check, name, bytes| passes(check, name, Kind::Plan, bytes);
    let mut all = vec![
        passes(PlanForm, "good", good()),
        fails(PlanForm, "unknown-field", Refused, changed("format = 1", "format = 1\nnote = \"x\"")),
        fails(PlanForm, "field-twice", Refused, changed("format = 1", "format = 1\nformat = 1")),
        fails(PlanForm, "format-2", Refused, changed("format = 1", "format = 2")),
        fails(PlanForm, "hidden-character", Refused, changed("First root", "First\\u202e root")),
        fails(PlanForm, "no-such-day", Refused, changed("day = \"2026-01-05\"", "day = \"2026-02-29\"")),
        fails(PlanThreshold, "0", Refused, thresholds(0)),
        fails(PlanThreshold, "1", Warning, thresholds(1)),
        passes(PlanThreshold, "2-of-3", thresholds(2)),
        passes(PlanThreshold, "3-of-3", thresholds(3)),
        fails(PlanThreshold, "4-of-3", Refused, thresholds(4)),
        fails(PlanMargin, "3-of-3", Warning, thresholds(3)),
        passes(PlanMargin, "2-of-3", thresholds(2)),
        fails(PlanDiversity, "two-of-one-country", Warning, changed("\"JP\"", "\"NL\"")),
        fails(PlanDiversity, "two-of-one-organisation", Warning, changed("Harbour Observatory", "NORTHERN library")),
        passes(PlanDiversity, "all-different", good()),
        fails(PlanTerm, "over-on-the-day", Refused, alice("term_ends = \"2026-01-05\"")),
        fails(PlanTerm, "before-the-root-expires", Warning, alice("term_ends = \"2027-01-04\"")),
        passes(PlanTerm, "when-the-root-expires", alice("term_ends = \"2027-01-05\"")),
        fails(PlanSeats, "scribe-is-conductor", Refused, changed("scribe = \"peter\"", "scribe = \"olga\"")),
        fails(PlanSeats, "nobody-known", Refused, changed("scribe = \"peter\"", "scribe = \"mallory\"")),
        fails(PlanSeats, "witness-twice", Refused, changed("[\"quinn\"]", "[\"quinn\", \"quinn\"]")),
        fails(PlanSeats, "scribe-as-witness", Warning, changed("[\"quinn\"]", "[\"quinn\", \"peter\"]")),
        passes(PlanSeats, "good", good()),
        fails(PlanPeople, "one-handle-twice", Refused, changed("handle = \"bob\"", "handle = \"alice\"")),
        fails(PlanPeople, "one-name-twice", Refused, changed("Bob Birch", "alice ASHWOOD")),
        fails(PlanPeople, "no-ssh-key", Refused, alice("ssh = \"ssh-ed25519 AAAA\"")),
        passes(PlanPeople, "good", good()),
        fails(PlanToken, "firmware-5.6.255", Warning, changed("\"5.7.0\"", "\"5.6.255\"")),
        passes(PlanToken, "firmware-5.7.0", good()),
        passes(PlanToken, "firmware-5.7.1", changed("\"5.7.0\"", "\"5.7.1\"")),
        fails(PlanToken, "attestation-optional", Warning, changed("\"required\"", "\"optional\"")),
        fails(PlanToken, "virtual-in-production", Refused, changed("kind = \"yubikey\"", "kind = \"virtual\"")),
        fails(PlanToken, "pkcs11-cannot-attest", Refused, behind("")),
        fails(PlanToken, "pkcs11-claimed", Warning, behind(", attestation = \"claimed\"")),
        fails(PlanToken, "ed25519-on-a-yubikey", Refused, changed("\"ecdsa-p256\"", "\"ed25519\"")),
        fails(PlanToken, "p384", Refused, changed("\"ecdsa-p256\"", "\"ecdsa-p384\"")),
        fails(PlanForm, "pkcs11-without-module", Refused, changed("kind = \"yubikey\"", "kind = \"pkcs11\"")),
        fails(PlanForm, "module-of-a-yubikey", Refused, {
            changed("kind = \"yubikey\"", "kind = \"yubikey\", module = \"softhsm2\"")
        }),
        fails(PlanForm, "module-by-a-relative-path", Refused, {
            changed("kind = \"yubikey\"", "kind = \"pkcs11\", module = \"./x.so\", label = \"alice\"")
        }),
    ];
    all.extend([
        fails(PlanFollows, "genesis-with-a-reason", Refused, changed("\nday =", "\nreason = \"why\"\nday =")),
        passes(PlanFollows, "genesis", good()),
        passes(PlanFollows, "rotation", rotation(|text| text)),
        fails(PlanFollows, "rotation-without-a-reason", Refused, rotation(|t| t.replace("reason = \"Why.\"\n", ""))),
        fails(PlanFollows, "rotation-of-nothing", Refused, rotation(|t| t.replace(FOLLOWS, ""))),
        fails(PlanFollows, "one-key-for-two", Refused, rotation(|t| t.replace(&"2".repeat(64), &"1".repeat(64)))),
        fails(PlanFollows, "renewal-with-a-new-key", Refused, rotation(|t| t.replace("\"rotate\"", "\"renew\""))),
    ]);
    let expiry: [(&str, &str, &str, Option<Level>); 12] = [
        ("root-on-the-day", "root", "2026-01-05", Some(Refused)),
        ("timestamp-on-the-day", "timestamp", "2026-01-05", Some(Refused)),
        ("timestamp-a-day-later", "timestamp", "2026-01-06", None),
        ("timestamp-92-days", "timestamp", "2026-04-07", None),
        ("timestamp-93-days", "timestamp", "2026-04-08", Some(Warning)),
        ("snapshot-1-year", "snapshot", "2027-01-05", None),
        ("snapshot-over-1-year", "snapshot", "2027-01-06", Some(Warning)),
        ("root-2-years", "root", "2028-01-05", None),
        ("root-over-2-years", "root", "2028-01-06", Some(Warning)),
        ("root-5-years", "root", "2031-01-05", Some(Warning)),
        ("root-over-5-years", "root", "2031-01-06", Some(Refused)),
        ("targets-after-root", "targets", "2027-01-06", Some(Warning)),
    ];
    for (name, role, day, level) in expiry {
        let mut text = plan(false);
        if name.starts_with("timestamp-9") || name.starts_with("snapshot") {
            // So that online roles still expire before offline ones.
            for (role, day) in [("snapshot", "2027-01-05"), ("targets", "2027-01-06"), ("root", "2027-01-06")] {
                text = expiring(&text, role, day);
            }
        }
        let bytes = expiring(&text, role, day).into_bytes();
        all.push(Vector { check: PlanExpiry, name, kind: Kind::Plan, level, bytes, also: &[] });
    }
    let frozen = Plan::from_toml(&plan(false)).unwrap().to_canonical();
    let refused = |name, bytes| super::fails(PlanForm, name, Kind::FrozenPlan, Refused, bytes);
    all.extend([
        super::passes(PlanForm, "frozen", Kind::FrozenPlan, frozen.clone()),
        refused("frozen-with-a-space", replaced(&frozen, "\"format\":1", "\"format\": 1")),
        refused("frozen-with-null", replaced(&frozen, "\"kind\":\"genesis\"", "\"kind\":null")),
        refused("frozen-field-twice", replaced(&frozen, "\"format\":1", "\"format\":1,\"format\":1")),
        refused("frozen-line-feed-at-the-end", [frozen.as_slice(), b"\n"].concat()),
    ]);
    all
}
