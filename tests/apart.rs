//! Ceremonies whose holders sit at machines of their own, over real git repositories: who is waited for and who is not, what
//! is refused when it arrives, and what a sitting asks of a person.

#[path = "support/community.rs"]
mod community;
#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeMap;

use community::Community;
use stage::{handle, instead, interject, line, one};
use trustroot::conduct::Ending;
use trustroot::seams::{Commit, Ledger as _};
use trustroot_core::check::Check;
use trustroot_core::digest::Digest;
use trustroot_core::event::{Deed, Event};
use trustroot_core::plan::Kind;
use trustroot_core::plan::carry::Becomes;
use trustroot_core::predecessor::Predecessor;
use trustroot_core::record::Record;
use trustroot_core::seat::Turn;

/// A genesis of 2 of 3, held from three homes.
fn begun() -> Community {
    let mut ours = Community::new(3, 2);
    assert_eq!(ours.hold(&[], |_, _| true), Ending::Closed);
    ours
}

#[test]
fn a_renewal_costs_a_holder_three_prompts_one_pin_and_one_push() {
    let mut ours = begun();
    let toml = ours.stage.carried("renewal", "2026-06-01", |_| ());
    ours.stage.follow(&toml);
    assert_eq!(ours.conduct(&mut Vec::new()), Ending::Waits);
    let alice = handle("alice");
    let sitting = ours.sit(&alice, &[]);
    assert!(matches!(sitting.sat.turn, Ok(Turn::Wait)), "{:?}", sitting.sat.turn);
    let sum = |counts: BTreeMap<_, u32>| counts.values().sum::<u32>();
    let transcript = &sitting.sat.transcript;
    let (stops, pins) = (sum(transcript.stops()), sum(transcript.pins()));
    let (prompts, pushes) = (stops - pins, sitting.pushed.len());
    println!("a renewal at a holder: 1 command, {prompts} prompts, {pins} PIN entry, {pushes} push");
    assert!(prompts <= 3 && pins == 1 && pushes == 1 && sum(transcript.new_secrets()) == 0, "{}", transcript.text());
    // What is signed was on this screen before, from this machine's copy.
    let text = transcript.text();
    let (shown, asked) = (text.find("WHAT WILL BE SIGNED").unwrap(), text.find("Sign root and targets").unwrap());
    assert!(shown < asked && text.contains("~ root expires"), "{text}");
    // Nothing is asked twice.
    let again = ours.sit(&alice, &[]);
    assert_eq!(sum(again.sat.transcript.stops()), 0);
}

#[test]
fn the_others_go_on_without_somebody_who_does_not_come() {
    let mut ours = begun();
    let toml = ours.stage.carried("renewal", "2026-06-01", |_| ());
    ours.stage.follow(&toml);
    let carol = handle("carol");
    assert_eq!(ours.hold(&[], |_, who| *who != carol), Ending::Waits);
    // Carol signs at home before she hears that the others go on without her.
    let late = ours.sit_quietly(&carol, &[]);
    assert!(matches!(late.turn, Ok(Turn::Wait)));
    let without = [
        instead("sign.carol.sign", "waiting", one("without")),
        instead("sign.carol.sign", "go-on-without", one("carol")),
        instead("sign.carol.sign", "leave-reason", line("Carol is at sea.")),
    ];
    assert_eq!(ours.hold(&without, |_, _| false), Ending::Closed);
    let ceremony = ours.stage.ceremony();
    assert_eq!(ceremony.holders[&carol].left.as_deref(), Some("Carol is at sea."));
    assert!(!ceremony.holders[&carol].signed && ceremony.holders[&carol].kept);
    assert!(ours.stage.report().accepted());
    // What arrives after the end changes nothing, and her next sitting says that it is over.
    ours.hand_over(&carol);
    let commit = ours.stage.commit();
    let over = ours.sit(&carol, &[]);
    assert!(matches!(over.sat.turn, Ok(Turn::Closed)), "{:?}", over.sat.turn);
    assert_eq!(ours.stage.commit(), commit);
}

#[test]
fn a_signature_counts_that_was_made_while_the_others_went_on() {
    let mut ours = Community::new(4, 3);
    assert_eq!(ours.hold(&[], |_, _| true), Ending::Closed);
    let toml = ours.stage.carried("renewal", "2026-06-01", |_| ());
    ours.stage.follow(&toml);
    let (carol, dave) = (handle("carol"), handle("dave"));
    assert_eq!(ours.hold(&[], |_, who| *who != carol && *who != dave), Ending::Waits);
    ours.sit_quietly(&carol, &[]);
    let without = [
        instead("sign.carol.sign", "waiting", one("without")),
        instead("sign.carol.sign", "go-on-without", one("carol")),
    ];
    // Dave is still awaited, so the ceremony is not over when her signature comes.
    assert_eq!(ours.hold(&without, |_, _| false), Ending::Waits);
    ours.hand_over(&carol);
    assert_eq!(ours.hold(&[], |_, _| true), Ending::Closed);
    let ceremony = ours.stage.ceremony();
    assert!(ceremony.holders[&carol].signed && ceremony.holders[&carol].left.is_some());
    let root = Predecessor::newest(&ours.stage.tree()).unwrap().root;
    assert_eq!(root.signatures().len(), 4, "no signature is lost");
    assert!(ours.stage.report().accepted());
}

#[test]
fn a_late_joiner_and_a_stand_in_are_enrolled_from_home() {
    let mut ours = begun();
    let toml = ours.stage.carried("stand-in", "2026-06-01", |plan| {
        (plan.kind, plan.reason, plan.add) = (Kind::Rotate, "Alice hands over.", 2);
        plan.changes = BTreeMap::from([(handle("alice"), Becomes::Leaves)]);
    });
    ours.stage.follow(&toml);
    let invited: Vec<_> =
        ours.stage.plan.holders.iter().filter(|h| h.key.is_none()).map(|h| h.handle.clone()).collect();
    let [first, late] = invited.as_slice() else { panic!("{invited:?}") };
    // Everybody has done what they can; the late one has no key yet, and nothing can be proposed without it.
    assert_eq!(ours.hold(&[], |_, who| who != late), Ending::Waits);
    let ceremony = ours.stage.ceremony();
    assert!(ceremony.holders[first].vouched.is_some() && ceremony.proposal.is_none());
    assert_eq!(ceremony.awaited().len(), 1);
    assert_eq!(ours.hold(&[], |_, _| true), Ending::Closed);
    let ceremony = ours.stage.ceremony();
    // Each new key proves itself by signing the new root; alice's old one signs from her own machine too.
    assert!(invited.iter().all(|who| ceremony.holders[who].signed) && ceremony.old[&handle("alice")].signed);
    let authors: Vec<_> = ceremony.events.iter().map(|logged| logged.event.author.to_string()).collect();
    assert!(invited.iter().all(|who| authors.contains(&who.to_string())), "{authors:?}");
    let heard = ceremony.events.iter().filter(|logged| matches!(logged.event.deed, Deed::Heard { .. })).count();
    assert_eq!(heard, 4, "two others for each new key, and nobody twice");
    let report = ours.stage.report();
    assert!(report.accepted(), "{:#?}", report.findings);
}

#[test]
fn an_attestation_is_proved_again_where_it_arrives() {
    let mut ours = Community::new(3, 2);
    assert_eq!(ours.conduct(&mut Vec::new()), Ending::Waits);
    let (alice, bob, carol) = (handle("alice"), handle("bob"), handle("carol"));
    ours.sit(&alice, &[]);
    ours.sit(&carol, &[]);
    ours.sit_quietly(&bob, &[]);
    // Bob's program is another one: it puts the attestation of alice's token beside his own key.
    let home = &ours.homes[&bob].stage;
    let theirs = ours.homes[&alice].stage.tree();
    let of_alice = |name: &str| {
        let found = theirs.iter().find(|(path, _)| path.contains("/keys/alice-") && path.ends_with(name));
        found.unwrap().1.bytes().unwrap().to_vec()
    };
    let record = Record::read(&home.tree(), &home.dir()).unwrap();
    let last = record.events.iter().filter(|logged| logged.event.author == bob).max_by_key(|logged| logged.event.n);
    let mut event: Event = last.unwrap().event.clone();
    assert!(matches!(event.deed, Deed::Generated { .. }));
    let mut files = BTreeMap::new();
    for (path, digest) in &mut event.files {
        let name = path.rsplit('/').next().unwrap();
        let bytes = match name {
            "public.pem" => home.tree()[path].bytes().unwrap().to_vec(),
            _ => of_alice(name),
        };
        *digest = Digest::of(&bytes);
        files.insert(path.clone(), bytes);
    }
    community::git(&["-C", home.folder.path().to_str().unwrap(), "reset", "--quiet", "--hard", "HEAD~1"]);
    files.insert(format!("{}/{}", home.dir(), event.path()), event.to_canonical());
    let mut ledger = home.ledger();
    let parent = ledger.head().unwrap().commit;
    ledger
        .append(&Commit { parent, files, message: "Generate the key of bob\n".to_owned(), time: event.time })
        .unwrap();
    drop(ledger);
    assert!(ours.hand_over(&bob).iter().all(|one| one.outcome.is_ok()));

    let outcome = ours.stage.hold(&[]);
    let text = outcome.transcript.text();
    assert!(text.contains("Nothing was taken of the branch of bob at first:"), "{text}");
    assert!(text.contains(Check::AttSerial.name()) && text.contains(Check::AttBound.name()), "{text}");
    let ceremony = ours.stage.ceremony();
    assert!(
        ceremony.holders[&alice].key.is_some() && ceremony.holders[&carol].key.is_some(),
        "the others are not held up"
    );
    assert!(ceremony.holders[&bob].token.is_none(), "nothing of it was taken");
}

#[test]
fn whose_signatures_fall_away_is_said_before_anybody_signs_again() {
    let mut ours = begun();
    let toml = ours.stage.carried("renewal", "2026-06-01", |_| ());
    ours.stage.follow(&toml);
    let alice = handle("alice");
    assert_eq!(ours.hold(&[], |_, who| *who == alice), Ending::Waits);
    let abandoned = ours.stage.hold(&[
        instead("sign.bob.sign", "waiting", interject()),
        instead("sign.bob.sign", "trouble", one("abandon")),
        instead("sign.bob.sign", "abandon-reason", line("The expiry is wrong.")),
    ]);
    assert_eq!(abandoned.ending(), Ending::Aborted);
    assert!(
        abandoned
            .transcript
            .text()
            .contains("These signatures fall away, and are made anew for another proposal: alice.")
    );
    let turn = ours.sit(&alice, &[]).sat.turn;
    assert!(matches!(&turn, Ok(Turn::Aborted(reason)) if reason == "The expiry is wrong."), "{turn:?}");

    let toml = ours.stage.carried("renewal-again", "2026-06-02", |_| ());
    ours.stage.follow(&toml);
    assert_eq!(ours.hold(&[], |_, _| true), Ending::Closed);
    let ceremony = ours.stage.ceremony();
    assert!(ceremony.admits(Check::RivalPossible, None));
    let what = &ceremony.exceptions[0].what;
    assert!(what.contains("abandoned with signatures of alice on another root 2"), "{what}");
    assert!(ours.stage.report().accepted());
}
