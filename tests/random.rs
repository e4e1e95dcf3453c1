//! Ceremonies in which anything goes wrong at random: whatever people answer, whichever tokens fail and wherever it is
//! stopped, the record holds, and nothing is signed that was not reviewed.

#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stage::{Stage, Stop, at, interject, line, one, pin};
use trustroot::conduct::Ending;
use trustroot::token::FaultPoint;
use trustroot::ui::rehearsed::{Deviation, Instead};
use trustroot_core::event::Deed;

/// How many ceremonies are held.
const CASES: u32 = 12;

/// One mishap: at which question of an undisturbed ceremony, what happens, and what is chosen on the trouble page.
type Mishap = (prop::sample::Index, u8, u8);

const CHOICES: [&str; 6] = ["back", "exception", "leave", "abandon", "pause", "again"];

fn deviations(questions: &[stage::Asked], mishaps: &[Mishap]) -> Vec<Deviation> {
    let mut deviations = Vec::new();
    for (place, kind, choice) in mishaps {
        let (step, name, nth) = place.get(questions);
        let secret = name.ends_with("pin");
        let instead = match kind % 4 {
            0 => Instead::Interrupted,
            1 if secret => pin("mistyped"),
            1 => line("something else"),
            2 if secret => pin(""),
            2 => line(""),
            _ => interject(),
        };
        deviations.push(at(step, name, *nth, instead));
        let chosen = CHOICES[usize::from(*choice) % CHOICES.len()];
        deviations.push(at(step, "trouble", 1, one(chosen)));
        deviations.push(at(step, "token-trouble", 1, one(chosen)));
    }
    deviations
}

#[test]
fn whatever_goes_wrong_the_record_holds() {
    let reference = Stage::new(3, 2);
    let questions = reference.hold(&[]).questions;
    let mishaps = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 0..5);
    let faults = prop::collection::vec((0..3_usize, 0..FaultPoint::ALL.len(), 1..4_u32), 0..3);
    let stops = prop::collection::vec((0..20_usize, any::<bool>()), 0..3);
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    // The same cases on every day and machine.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&(mishaps, faults, stops), |(mishaps, faults, stops)| {
        let faults: Vec<String> = faults
            .iter()
            .map(|(holder, point, times)| {
                format!("{}:{}:{times}", ["alice", "bob", "carol"][*holder], FaultPoint::ALL[*point].name())
            })
            .collect();
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        let stage = Stage::new(3, 2).with_faults(&faults);
        let mut left = deviations(&questions, &mishaps);
        let mut stops = stops.iter().map(|(k, after)| if *after { Stop::After(*k) } else { Stop::Before(*k) });
        let mut ended = None;
        for start in 0..12 {
            // People tire of mishaps: the last starts go as planned.
            let now = if start < 8 { left.clone() } else { Vec::new() };
            let run = stage.hold_until(&now, stops.next());
            left = run.unused;
            holds(&stage);
            if let Ok(ending) = run.ended {
                ended = Some(ending);
                break;
            }
        }
        let ceremony = stage.ceremony();
        prop_assert!(ended.is_some(), "it never ends");
        prop_assert_eq!(ended == Some(Ending::Closed), ceremony.closed);
        prop_assert_eq!(ended == Some(Ending::Aborted), ceremony.aborted.is_some());
        prop_assert!(!(ceremony.aborted.is_some() && ceremony.has_quorum()));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// The record replays, and every signature in it is over a payload whose review is in the record before the consent.
fn holds(stage: &Stage) {
    let ceremony = stage.ceremony();
    let mut reviewed = BTreeSet::new();
    for logged in &ceremony.events {
        match &logged.event.deed {
            Deed::Reviewed { root, targets, .. } => {
                reviewed.extend([format!("root-{root}"), format!("targets-{targets}")])
            }
            Deed::SignIntent { root, targets, .. } => {
                assert!(reviewed.contains(&format!("root-{root}")) && reviewed.contains(&format!("targets-{targets}")));
            }
            _ => {}
        }
    }
    let prefix = format!("{}/signatures/", ceremony.dir);
    for path in stage.tree().keys().filter(|path| !path.ends_with("/payload.json")) {
        if let Some((folder, _)) = path.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')) {
            assert!(reviewed.contains(folder), "{path} signs what was not reviewed");
        }
    }
}
