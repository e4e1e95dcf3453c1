//! Both sides of every limit of the lint.

use super::*;
use crate::plan::Kind;
use crate::plan::template::{Template, template};
use std::boxed::Box;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio a comment";

fn day(text: &str) -> Timestamp {
    Timestamp::from_day(text).unwrap()
}

/// Three of five, in production, without a warning.
fn plan() -> Plan {
    let name = Handle::new("genesis").unwrap();
    let wanted = Template {
        name: &name,
        title: "First root",
        trust_root: "Example",
        day: day("2026-12-01"),
        holders: 5,
        threshold: 3,
        rehearsal: false,
    };
    Plan::from_toml(&template(&wanted).unwrap()).unwrap()
}

/// What the lint of the plan, changed, reports above a note.
fn found(change: impl FnOnce(&mut Plan)) -> Vec<(Level, Check, String)> {
    let mut plan = plan();
    change(&mut plan);
    let serious = |finding: &Finding| finding.level > Level::Note;
    lint(&plan, None).into_iter().filter(serious).map(|f| (f.level, f.check, f.subject)).collect()
}

fn one(level: Level, check: Check, subject: &str) -> Vec<(Level, Check, String)> {
    alloc::vec![(level, check, subject.to_string())]
}

fn handle(text: &str) -> Handle {
    Handle::new(text).unwrap()
}

#[test]
fn nothing_to_say() {
    assert_eq!(found(|_| ()), []);
}

#[test]
fn what_continues_a_root_says_which_and_why() {
    for kind in [Kind::Rotate, Kind::Recover] {
        let findings = found(|plan| plan.kind = kind);
        let refused: Vec<_> = findings.iter().filter(|(level, ..)| *level == Level::Refused).collect();
        let follows = |subject: &str| (Level::Refused, Check::PlanFollows, subject.to_string());
        assert_eq!(refused, [&follows("follows"), &follows("reason")]);
    }
    let renewal = found(|plan| plan.kind = Kind::Renew);
    assert!(renewal.contains(&(Level::Refused, Check::PlanFollows, "kind".to_string())), "{renewal:?}");
    let reason = Some("why".to_string());
    assert_eq!(found(|plan| plan.reason = reason), one(Level::Refused, Check::PlanFollows, "kind"));
}

#[test]
fn thresholds_between_two_and_one_less_than_the_holders() {
    type Set = fn(&mut Plan, u32);
    let roles: [(&str, Set); 2] =
        [("root", |plan, n| plan.root.threshold = n), ("targets", |plan, n| plan.targets.threshold = n)];
    for (role, set) in roles {
        let at = |n| found(|plan| set(plan, n));
        assert_eq!(at(0), one(Level::Refused, Check::PlanThreshold, role));
        assert_eq!(at(1), one(Level::Warning, Check::PlanThreshold, role));
        assert_eq!(at(2), []);
        assert_eq!(at(4), []);
        assert_eq!(at(5), one(Level::Warning, Check::PlanMargin, role));
        assert_eq!(at(6), one(Level::Refused, Check::PlanThreshold, role));
        assert_eq!(at(u32::MAX), one(Level::Refused, Check::PlanThreshold, role));
    }
}

#[test]
fn an_organisation_or_country_that_reaches_the_threshold() {
    type Set = fn(&mut Plan, usize, &str);
    let sets: [Set; 2] = [
        |plan, i, name| plan.holders[i].organisation = Some(name.to_string()),
        |plan, i, name| plan.holders[i].country = Some(name.to_string()),
    ];
    for set in sets {
        let both = |n: usize| found(|plan| (0..n).for_each(|i| set(plan, i, ["XX", "xx"][i % 2])));
        assert_eq!(both(2), []);
        let warned = |role| one(Level::Warning, Check::PlanDiversity, role);
        assert_eq!(both(3), [warned("root"), warned("targets")].concat());
    }
    let silent = found(|plan| plan.holders.iter_mut().for_each(|holder| holder.organisation = None));
    assert_eq!(silent, []);
    let mut silent = plan();
    silent.holders[0].organisation = None;
    let notes = lint(&silent, None);
    assert!(notes.iter().any(|note| note.check == Check::PlanDiversity && note.level == Level::Note));
}

#[test]
fn offline_roles_expire_after_the_day_and_within_years() {
    type Set = fn(&mut Plan, Timestamp);
    // The other offline role moves along, so that only the horizon speaks.
    let sets: [(&str, Set); 2] =
        [("root", |plan, t| plan.root.expires = t), ("targets", |plan, t| plan.targets.expires = t)];
    for (role, set) in sets {
        let at = |text: &str| {
            let all = found(|plan| {
                plan.timestamp.expires = day("2026-12-02");
                plan.snapshot.expires = day("2026-12-02");
                set(plan, day(text));
            });
            all.into_iter().filter(|(_, _, subject)| subject == role).map(|(level, ..)| level).collect::<Vec<_>>()
        };
        assert_eq!(at("2026-12-01").first(), Some(&Level::Refused));
        assert!(!at("2026-12-02").contains(&Level::Refused));
        if role == "root" {
            assert_eq!(at("2028-12-01"), []);
            assert_eq!(at("2028-12-02"), [Level::Warning]);
            assert_eq!(at("2031-12-01"), [Level::Warning]);
            assert_eq!(at("2031-12-02"), [Level::Refused]);
        } else {
            // Targets after root is a warning of its own.
            assert_eq!(at("2028-12-01"), [Level::Warning]);
            assert_eq!(at("2028-12-02"), [Level::Warning; 2]);
            assert_eq!(at("2031-12-02"), [Level::Refused, Level::Warning]);
        }
    }
}

#[test]
fn years_are_years() {
    assert!(!beyond(day("2028-02-29"), 1, day("2029-02-28")));
    assert!(beyond(day("2028-02-29"), 1, day("2029-03-01")));
    assert!(!beyond(day("2026-12-01"), 2, day("2028-12-01")));
    assert!(!beyond(day("9998-12-01"), 5, day("9999-12-01")));
}

#[test]
fn online_roles_are_fresh() {
    let stamp = |text| {
        found(|plan| {
            plan.snapshot.expires = day("2027-06-01");
            plan.timestamp.expires = day(text);
        })
    };
    assert_eq!(stamp("2027-03-03"), []);
    assert_eq!(stamp("2027-03-04"), one(Level::Warning, Check::PlanExpiry, "timestamp"));
    assert_eq!(stamp("2026-12-01"), one(Level::Refused, Check::PlanExpiry, "timestamp"));
    let snapshot = |text| {
        found(|plan| {
            plan.root.expires = day("2028-12-01");
            plan.targets.expires = day("2028-12-01");
            plan.snapshot.expires = day(text);
        })
    };
    assert_eq!(snapshot("2027-12-01"), []);
    assert_eq!(snapshot("2027-12-02"), one(Level::Warning, Check::PlanExpiry, "snapshot"));
}

#[test]
fn online_before_offline() {
    let stamp = found(|plan| plan.timestamp.expires = plan.snapshot.expires.plus_days(1));
    assert_eq!(stamp, one(Level::Warning, Check::PlanExpiry, "timestamp"));
    let snapshot = found(|plan| plan.targets.expires = plan.snapshot.expires.plus_days(-1));
    assert_eq!(snapshot, one(Level::Warning, Check::PlanExpiry, "snapshot"));
    let targets = found(|plan| plan.targets.expires = plan.root.expires.plus_days(1));
    assert_eq!(targets, one(Level::Warning, Check::PlanExpiry, "targets"));
    assert_eq!(found(|plan| plan.timestamp.expires = plan.snapshot.expires), []);
}

#[test]
fn what_is_over_when_now_is_known() {
    let at = |now: Timestamp| {
        let serious = |finding: &Finding| finding.level > Level::Note;
        lint(&plan(), Some(now)).into_iter().filter(serious).map(|f| (f.level, f.subject)).collect::<Vec<_>>()
    };
    assert_eq!(at(day("2026-12-03")), []);
    let over = (Level::Warning, "day".to_string());
    assert_eq!(at(day("2026-12-03").plus_seconds(1)), core::slice::from_ref(&over));
    assert_eq!(at(day("2026-12-15").plus_seconds(-1)), core::slice::from_ref(&over));
    assert_eq!(at(day("2026-12-15")), [over, (Level::Refused, "timestamp".to_string())]);
}

#[test]
fn terms() {
    let ends = |text| found(|plan| plan.holders[1].term_ends = Some(day(text)));
    assert_eq!(ends("2026-12-01"), one(Level::Refused, Check::PlanTerm, "bob"));
    assert_eq!(ends("2026-12-02"), one(Level::Warning, Check::PlanTerm, "bob"));
    assert_eq!(ends("2027-11-30"), one(Level::Warning, Check::PlanTerm, "bob"));
    assert_eq!(ends("2027-12-01"), []);
}

#[test]
fn seats_name_people_who_are_there() {
    let refused = |seat| one(Level::Refused, Check::PlanSeats, seat);
    assert_eq!(found(|plan| plan.seats.conductor = handle("nobody")), refused("conductor"));
    assert_eq!(found(|plan| plan.seats.scribe = handle("nobody")), refused("scribe"));
    assert_eq!(found(|plan| plan.seats.witnesses.push(handle("nobody"))), refused("witness"));
    assert_eq!(found(|plan| plan.seats.witnesses.push(handle("quinn"))), refused("witness"));
    assert_eq!(found(|plan| plan.seats.scribe = plan.seats.conductor.clone()), refused("scribe"));
    let watching_oneself = found(|plan| plan.seats.witnesses.push(handle("olga")));
    assert_eq!(watching_oneself, one(Level::Warning, Check::PlanSeats, "witness"));
    assert_eq!(found(|plan| plan.seats.witnesses.push(handle("alice"))), []);
}

#[test]
fn seats_that_are_noted() {
    let note = |change: fn(&mut Plan), subject: &str| {
        let mut plan = plan();
        change(&mut plan);
        let noted = |f: &Finding| f.level == Level::Note && f.check == Check::PlanSeats && f.subject == subject;
        lint(&plan, None).iter().any(noted)
    };
    assert!(note(|plan| plan.seats.conductor = handle("alice"), "conductor"));
    assert!(note(|plan| plan.seats.scribe = handle("alice"), "scribe"));
    assert!(note(|plan| plan.seats.witnesses.clear(), "witness"));
    assert!(note(|plan| plan.seats.witnesses.clear(), "quinn"));
    assert!(!note(|_| (), "conductor") && !note(|_| (), "scribe") && !note(|_| (), "witness"));
}

#[test]
fn people_are_different() {
    type Change = Box<dyn FnOnce(&mut Plan)>;
    let changes: [(&str, Change); 5] = [
        ("bob", Box::new(|plan| plan.holders[1].name = "ALICE Ashwood".to_string())),
        ("olga", Box::new(|plan| plan.people[0].name = "Alice Ashwood".to_string())),
        (
            "bob",
            Box::new(|plan| {
                plan.holders[0].ssh = Some(ED25519.to_string());
                plan.holders[1].ssh = Some(ED25519.replace("a comment", "another"));
            }),
        ),
        ("bob", Box::new(|plan| (0..2).for_each(|i| plan.holders[i].token.serial = Some(7.into())))),
        (
            "alice",
            Box::new(|plan| {
                let mut again = plan.people[2].clone();
                (again.handle, again.name) = (handle("alice"), "Another Alice".to_string());
                plan.people.push(again);
            }),
        ),
    ];
    for (subject, change) in changes {
        assert_eq!(found(change), one(Level::Refused, Check::PlanPeople, subject));
    }
}

#[test]
fn ssh_keys_that_are_taken() {
    let sk_ed25519 = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICFo/k5LU8863u66YC9e\
                      UO2170QduohPURkQnbLa/dczAAAABHNzaDo= a";
    let p256 = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5\
                KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc= a";
    let sk_p256 = "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNT\
                   YAAABBBIELQJ2DgvaX1yQlKFokfWM2suuaCFI2qp0eJodHyg6O4ifxc3XpRKd1OS8dNYQtE/YjdXSrA+AOnMF5ns2Nkx4AAAAEc3NoOg==";
    for key in [ED25519, sk_ed25519, p256, sk_p256] {
        assert_eq!(found(|plan| plan.holders[0].ssh = Some(key.to_string())), [], "{key}");
    }
    let p384 = "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBHjUcBJ65LfekXJ7ItrQE3ib12H3\
                WB6V1zSFPhC5nApfN2Mm1aL0CnUN5ynXSkvjyDhYPEDBhO2V2q5yum3nimfq0IqSVMSKqqFN+eWSaKZBiw/G737zHsQ2xSqpAaKEAQ== a";
    for key in ["ssh-ed25519 AAAA", "", "ssh-rsa AAAA", p384, &ED25519.replace("ssh-ed25519", "ecdsa-sha2-nistp256")] {
        let refused = one(Level::Refused, Check::PlanPeople, "alice");
        assert_eq!(found(|plan| plan.holders[0].ssh = Some(key.to_string())), refused, "{key}");
    }
}

#[test]
fn token_rules_weaker_than_the_defaults() {
    let firmware = |version| found(|plan| plan.tokens.minimum_firmware = version);
    assert_eq!(firmware((5, 6, 255)), one(Level::Warning, Check::PlanToken, "minimum_firmware"));
    assert_eq!(firmware((5, 7, 0)), []);
    let optional = found(|plan| plan.tokens.attestation = Attestation::Optional);
    assert_eq!(optional, one(Level::Warning, Check::PlanToken, "attestation"));
}

#[test]
fn tokens_of_rehearsals_and_of_production() {
    let token = |rehearsal, kind| {
        found(|plan| {
            plan.rehearsal = rehearsal;
            plan.holders.iter_mut().for_each(|holder| holder.token.kind = TokenKind::Virtual);
            if !rehearsal {
                plan.holders.iter_mut().for_each(|holder| holder.token.kind = TokenKind::Yubikey);
            }
            plan.holders[2].token.kind = kind;
        })
    };
    assert_eq!(token(true, TokenKind::Virtual), []);
    assert_eq!(token(true, TokenKind::Yubikey), one(Level::Warning, Check::PlanToken, "carol"));
    assert_eq!(token(false, TokenKind::Yubikey), []);
    assert_eq!(token(false, TokenKind::Virtual), one(Level::Refused, Check::PlanToken, "carol"));
    assert_eq!(token(false, TokenKind::Pkcs11), one(Level::Refused, Check::PlanToken, "carol"));
}
