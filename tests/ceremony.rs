//! Whole ceremonies as readable transcripts, and how often they stop people.
//!
//! The expected text is in `tests/transcripts`; `SNAPSHOTS=overwrite cargo test --test ceremony` writes it anew.

#[path = "support/stage.rs"]
mod stage;

use snapbox::{Data, assert_data_eq, file};
use stage::Stage;
use trustroot::conduct::Ending;
use trustroot_core::event::Act;

#[test]
fn a_genesis_is_a_transcript_that_people_can_read() {
    let stage = Stage::new(3, 2);
    let outcome = stage.hold(&[]);
    assert_eq!(outcome.ending(), Ending::Closed);
    assert_data_eq!(Data::text(outcome.transcript.text()).raw(), file!["transcripts/genesis.txt"].raw());

    let ceremony = stage.ceremony();
    assert!(ceremony.closed && ceremony.exceptions.is_empty());
    assert_eq!(ceremony.holders.values().filter(|state| state.signed).count(), 3);
    let names: Vec<String> = stage.tree().into_keys().filter(|path| path.starts_with("root/")).collect();
    let expected = ["1.root.json", "1.snapshot.json", "1.targets.json", "README.md", "timestamp.json"];
    assert_eq!(names, expected.map(|name| format!("root/{name}")));
}

#[test]
fn one_seed_gives_one_commit_and_another_seed_another() {
    let commit = |seed| {
        let stage = Stage::new(3, 2).with_seed(seed);
        assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
        stage.commit()
    };
    let first = commit(1);
    assert_eq!(commit(1), first);
    assert_ne!(commit(2), first);
}

/// The figures that the design promises. What others are asked at a holder's step (the words they heard) counts for that
/// holder: it is the holder who stands there meanwhile.
#[test]
fn nobody_is_stopped_more_often_than_was_promised() {
    let stage = Stage::new(5, 3);
    let outcome = stage.hold(&[]);
    assert_eq!(outcome.ending(), Ending::Closed);
    let stops = outcome.transcript.stops_by_step();
    let of = |act: Act, holder: &str| -> u32 {
        let steps = stops.iter().filter(|(step, _)| step.as_str().starts_with(&format!("{act}.{holder}.")));
        steps.map(|(_, count)| count).sum()
    };
    let holders: Vec<&str> = stage.plan.holders.iter().map(|holder| holder.handle.as_str()).collect();
    let keys: Vec<u32> = holders.iter().map(|holder| of(Act::Keys, holder)).collect();
    let sign: Vec<u32> = holders.iter().map(|holder| of(Act::Sign, holder)).collect();
    let others = stops.values().sum::<u32>() - keys.iter().chain(&sign).sum::<u32>();
    println!("stops: {keys:?} in the keys act, {sign:?} in the sign act, {others} beyond the holders'");
    for (holder, (keys, sign)) in holders.iter().zip(keys.iter().zip(&sign)) {
        assert!((1..=6).contains(keys), "{holder}: {keys} stops in the keys act");
        assert!((1..=4).contains(sign), "{holder}: {sign} stops in the sign act");
    }
    assert!((1..=12).contains(&others), "{others} stops beyond the holders'");
    let secrets = outcome.transcript.new_secrets();
    assert_eq!(secrets.len(), 5);
    assert!(secrets.iter().all(|((act, _), count)| *act == Act::Keys && *count == 1), "{secrets:?}");
}
