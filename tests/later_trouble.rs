//! Trouble in ceremonies that continue a root: every fault that a token can have, in a renewal, a rotation and a recovery. Each ends
//! in a root that verifies, each fault stands in the record, and nobody loses a signature.

#[path = "support/stage.rs"]
mod stage;

use stage::{Stage, handle};
use trustroot::conduct::Ending;
use trustroot::token::{Fault, FaultPoint};
use trustroot_core::plan::Kind;
use trustroot_core::plan::carry::{Becomes, Carry};
use trustroot_core::predecessor::Predecessor;
use trustroot_core::verify::report::Report;

/// What can go wrong where nothing but a signature is made.
const SIGNING: [FaultPoint; 5] = [
    FaultPoint::Absent,
    FaultPoint::WrongToken,
    FaultPoint::WrongPin,
    FaultPoint::PulledMidSign,
    FaultPoint::NotTouched,
];

/// A genesis of 3 of 3, held once for all.
fn begun() -> Stage {
    let stage = Stage::new(3, 3);
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    stage
}

/// Continues the root of `base` with one fault at each of these holders, and verifies what came of it.
fn troubled(base: &Stage, faults: &[(&str, FaultPoint)], change: impl FnOnce(&mut Carry<'_>)) -> Stage {
    let mut stage = base.copied();
    let toml = stage.carried("next", "2026-06-01", change);
    stage.faults = faults.iter().map(|(holder, at)| Fault { holder: handle(holder), at: *at, times: 1 }).collect();
    stage.follow(&toml);
    let outcome = stage.hold(&[]);
    assert_eq!(outcome.ending(), Ending::Closed, "{faults:?}");
    let report: Report = stage.report();
    assert!(report.accepted(), "{faults:?}: {:#?}", report.findings);
    let ceremony = stage.ceremony();
    // A PIN that is typed wrong once is said on the spot; where secrets are set it stands in the record as well.
    let makes_a_key = |who: &str| stage.plan.holder(&handle(who)).is_some_and(|holder| holder.key.is_none());
    let told = faults.iter().filter(|(who, at)| *at != FaultPoint::WrongPin || makes_a_key(who));
    assert_eq!(ceremony.exceptions.len(), told.count(), "{faults:?}: {:?}", ceremony.exceptions);
    if faults.iter().any(|(_, at)| *at == FaultPoint::WrongPin) {
        assert!(outcome.transcript.text().contains("wrong"), "{faults:?}");
    }
    let missing = ceremony.standings().into_iter().find(|standing| standing.missing() > 0);
    assert!(missing.is_none(), "{faults:?}: {missing:?}");
    assert_eq!(Predecessor::newest(&stage.tree()).unwrap().root.version(), 2);
    stage
}

#[test]
fn a_renewal_gets_past_every_fault() {
    let base = begun();
    // One fault at each of three holders: five kinds in two ceremonies.
    for faults in [&SIGNING[..3], &SIGNING[2..]] {
        let holders = ["alice", "bob", "carol"];
        let faults: Vec<_> = holders.into_iter().zip(faults.iter().copied()).collect();
        troubled(&base, &faults, |_| ());
    }
}

#[test]
fn a_rotation_gets_past_every_fault_of_new_and_old_tokens() {
    let base = begun();
    let rotation = |plan: &mut Carry<'_>| {
        (plan.kind, plan.reason) = (Kind::Rotate, "Bob has a new token, and Alice hands over to Dave.");
        plan.changes = [(handle("bob"), Becomes::Replaced), (handle("alice"), Becomes::Leaves)].into();
        plan.add = 1;
    };
    // Alice has the old token that signs once more, Dave a new one, and Carol keeps hers.
    for (i, point) in FaultPoint::ALL.iter().enumerate() {
        let faults = [("alice", SIGNING[i % 5]), ("carol", SIGNING[(i + 2) % 5]), ("dave", *point)];
        if i % 2 == 0 || !SIGNING.contains(point) {
            troubled(&base, &faults, rotation);
        }
    }
}

#[test]
fn a_recovery_gets_past_a_forged_attestation_of_the_new_token() {
    let mut base = Stage::new(3, 2);
    assert_eq!(base.hold(&[]).ending(), Ending::Closed);
    base.faults.clear();
    let faults = [("bob", FaultPoint::ForgedKey), ("alice", FaultPoint::PulledMidSign)];
    let stage = troubled(&base, &faults, |plan| {
        (plan.kind, plan.reason) = (Kind::Recover, "The token of Bob was stolen.");
        plan.changes = [(handle("bob"), Becomes::Lost)].into();
    });
    let old = Predecessor::of_version(2, &stage.tree()).unwrap();
    let new = Predecessor::newest(&stage.tree()).unwrap();
    let kept = |before: &Predecessor| {
        before.keys(trustroot_core::metadata::Role::Root).into_iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(kept(&old).iter().filter(|key| kept(&new).contains(key)).count(), 2, "the stolen key is gone");
}
