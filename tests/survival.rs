//! What a ceremony survives besides being killed: state that is gone, keys that are others, a clock that jumps, a branch
//! that moves. Each ends in words that say what to do, and goes on from there to the end.

#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeMap;

use stage::{Stage, Stop, at, line};
use trustroot::conduct::{Ending, Halt};
use trustroot::seams::{Commit, Ledger as _, LedgerError};
use trustroot::ui::rehearsed::Instead;
use trustroot_core::event::Deed;
use trustroot_core::time::Timestamp;

/// Which commit of the whole ceremony has a deed that `wanted` picks, from 0.
fn commit_of(wanted: impl Fn(&Deed) -> bool) -> usize {
    let whole = Stage::new(2, 2);
    assert_eq!(whole.hold(&[]).ending(), Ending::Closed);
    whole.ceremony().events.iter().position(|logged| wanted(&logged.event.deed)).unwrap()
}

/// A ceremony of two holders that stopped before that commit.
fn stopped_before(wanted: impl Fn(&Deed) -> bool) -> Stage {
    let stage = Stage::new(2, 2);
    stage.hold_until(&[], Some(Stop::Before(commit_of(wanted)))).halt();
    stage
}

#[test]
fn tokens_whose_state_is_gone_after_the_keys_hold_no_key_and_nothing_signed_is_lost() {
    let stage = stopped_before(|deed| matches!(deed, Deed::SignIntent { .. }));
    let tokens = stage.ledger().state_dir().join("tokens");
    let kept = stage.folder.path().with_extension("kept");
    std::fs::rename(&tokens, &kept).unwrap();
    let events = stage.ceremony().events.len();
    let outcome = stage.hold(&[at("sign.alice.sign", "token-trouble", 2, Instead::Interrupted)]);
    assert!(matches!(outcome.halt(), Halt::Audience(_)), "{:?}", outcome.halt());
    assert!(outcome.transcript.text().contains("the slot holds no key"), "{}", outcome.transcript.text());
    // One exception more, and everything else stands. With the tokens back it goes on.
    assert_eq!(stage.ceremony().events.len(), events + 1);
    std::fs::remove_dir_all(&tokens).unwrap();
    std::fs::rename(&kept, &tokens).unwrap();
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
}

#[test]
fn an_online_key_that_was_not_proposed_is_refused_before_it_signs() {
    let mut stage = stopped_before(|deed| matches!(deed, Deed::Assembled { .. }));
    let path = stage.ledger().state_dir().join(format!("online-{}.pem", stage.plan.snapshot.key));
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    stage.other_online = Some([9; 32]);
    let halted = stage.hold(&[]);
    let Halt::Online { reason, .. } = halted.halt() else { panic!("{:?}", halted.halt()) };
    assert!(reason.contains("is not the one that was proposed and signed"), "{reason}");
    stage.other_online = None;
    std::fs::write(&path, kept).unwrap();
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
}

#[test]
fn what_expired_between_signing_and_assembly_is_not_called_unsigned() {
    let mut stage = stopped_before(|deed| matches!(deed, Deed::Assembled { .. }));
    let events = stage.ceremony().events.len();
    stage.jump = 400 * 86_400;
    let halted = stage.hold(&[]);
    assert!(matches!(halted.halt(), Halt::Signed(_)), "{:?}", halted.halt());
    let text = halted.halt().to_string();
    assert!(!text.contains("nothing was signed"), "{text}");
    assert_eq!(stage.ceremony().events.len(), events);
    // The clock is set right again.
    stage.jump = 0;
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
}

#[test]
fn a_clock_that_went_back_stops_it_and_nothing_is_lost() {
    let mut stage = stopped_before(|deed| matches!(deed, Deed::Proposed { .. }));
    let events = stage.ceremony().events.len();
    stage.jump = -86_400;
    assert!(matches!(stage.hold(&[]).halt(), Halt::Clock { .. }));
    assert_eq!(stage.ceremony().events.len(), events);
    stage.jump = 0;
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
}

#[test]
fn a_branch_that_moves_between_read_and_append_stops_the_append() {
    let stage = stopped_before(|deed| matches!(deed, Deed::Proposed { .. }));
    let mut ledger = stage.ledger();
    let read = ledger.head().unwrap().commit;
    let time = Timestamp::parse("2026-01-05T20:00:00Z").unwrap();
    let plan = |name: &str| BTreeMap::from([(format!("ceremony/plans/{name}.toml"), b"# draft\n".to_vec())]);
    let commit = |parent, name| Commit { parent, files: plan(name), message: "A draft\n".to_owned(), time };
    ledger.append(&commit(read.clone(), "one")).unwrap();
    let error = ledger.append(&commit(read, "two")).unwrap_err();
    assert!(matches!(error, LedgerError::Moved { .. }), "{error:?}");
    assert!(!error.hint().is_empty());
    drop(ledger);
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
}

#[test]
fn two_conductors_at_once_on_two_clones_end_in_a_fork_that_is_named() {
    use trustroot_core::check::Check;
    use trustroot_core::record::Record;
    let (one, two) = (Stage::new(2, 2), Stage::new(2, 2));
    let deviation = at("open.clock", "heard", 1, line("09:00 the church tower"));
    one.hold_until(&[], Some(Stop::After(4))).halt();
    two.hold_until(&[deviation], Some(Stop::After(4))).halt();
    // Somebody merges: the union of the files.
    let mut tree = one.tree();
    tree.extend(two.tree());
    let findings = Record::read(&tree, &one.dir()).unwrap_err();
    assert!(findings.iter().all(|finding| finding.check == Check::LogFork && finding.hint.is_some()), "{findings:?}");
}
