//! Trouble, as people see it: each case is an excerpt of a transcript, from where it goes wrong to where it goes on.
//!
//! The expected texts are in `tests/transcripts`; `SNAPSHOTS=overwrite cargo test --test trouble` writes them anew. What a
//! case leaves in the record is asserted beside it.

#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeMap;

use snapbox::{Data, assert_data_eq};
use stage::{Outcome, PIN, Stage, at, instead, interject, line, one, pin, several};
use trustroot::cli::Failure;
use trustroot::conduct::{Ending, Halt};
use trustroot::seams::{
    AttestationFiles, EmptySlot, Judge, NewSecrets, Pin, SlotState, Token, TokenError, TokenState, Tokens, Wanted,
};
use trustroot::token::{FaultPoint, VirtualTokens};
use trustroot_core::check::Check;
use trustroot_core::event::{Deed, TokenFacts};
use trustroot_core::key::PublicKey;
use trustroot_core::replay::Ceremony;
use trustroot_core::review::{Reviewed, Root, Targets};
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;

/// The rule above each page.
const PAGE: &str = "=====";

#[track_caller]
fn golden(name: &str, text: String) {
    let path = format!("{}/tests/transcripts/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let path = std::path::Path::new(&path);
    // Without this a missing file would be written and taken as it is.
    assert!(path.exists() || std::env::var_os("SNAPSHOTS").is_some(), "{} is missing", path.display());
    assert_data_eq!(Data::text(text).raw(), Data::read_from(path, None).raw());
}

/// Holds a ceremony of 2 of 3 to its regular end.
#[track_caller]
fn closed(deviations: &[trustroot::ui::rehearsed::Deviation]) -> (Stage, Outcome) {
    let stage = Stage::new(3, 2);
    let outcome = stage.hold(deviations);
    assert_eq!(outcome.ending(), Ending::Closed);
    (stage, outcome)
}

fn exceptions(ceremony: &Ceremony) -> Vec<String> {
    ceremony.exceptions.iter().map(|entry| format!("{} {}", entry.step, entry.what)).collect()
}

fn signers(ceremony: &Ceremony) -> Vec<&str> {
    ceremony.holders.iter().filter(|(_, state)| state.signed).map(|(handle, _)| handle.as_str()).collect()
}

/// What the command line says when the conductor stops.
fn failure(outcome: Outcome) -> String {
    outcome.halt();
    let Err(halt) = outcome.ended else { unreachable!("halt() looked") };
    Failure::from(halt).lines()
}

// --------------------------------------------------------------------------------------------------- wrong answers

#[test]
fn other_words_of_the_plan_are_asked_for_again() {
    let (stage, outcome) = closed(&[instead("open.read", "words", line("acme acme acme"))]);
    golden("wrong-plan-words", outcome.excerpt("open.read (peter)", PAGE));
    assert_eq!(exceptions(&stage.ceremony()), [""; 0]);
}

#[test]
fn other_words_than_the_fingerprint_are_asked_for_again() {
    let (stage, outcome) = closed(&[instead("keys.alice.vouch", "heard", line("acme acme acme"))]);
    golden("wrong-vouching-words", outcome.excerpt("keys.alice.vouch (peter)", PAGE));
    assert_eq!(stage.ceremony().holders[&Handle::new("alice").unwrap()].vouched.as_ref().unwrap().len(), 2);
}

#[test]
fn another_word_than_consent_does_nothing() {
    let wrong = [
        ("keys.alice.generate", "consent", "Generate"),
        ("review.read", "objections", "no"),
        ("sign.alice.sign", "consent", "yes"),
        ("publish.tag", "consent", ""),
        ("close.exceptions", "accept", "accept"),
    ];
    let (stage, outcome) = closed(&wrong.map(|(step, name, word)| instead(step, name, line(word))));
    let asked = |word: &str| format!("> \"{word}\"");
    let excerpts = wrong.map(|(step, _, word)| format!("{step}\n{}", outcome.excerpt(&asked(word), PAGE)));
    golden("wrong-consent", excerpts.join("\n"));
    assert_eq!(exceptions(&stage.ceremony()), [""; 0]);
}

#[test]
fn one_wrong_pin_costs_one_try_and_says_so() {
    let (stage, outcome) = closed(&[instead("sign.alice.sign", "pin", pin("mistyped"))]);
    golden("wrong-pin", outcome.excerpt("The PIN of token 90000001; tries left: 3", PAGE));
    assert!(outcome.transcript.text().contains("The PIN of token 90000001; tries left: 2"));
    assert_eq!(signers(&stage.ceremony()), ["alice", "bob", "carol"]);
    assert!(!outcome.transcript.text().contains("mistyped"));
    assert!(!outcome.transcript.text().contains(PIN));
}

#[test]
fn the_last_try_of_a_pin_is_never_spent() {
    let wrong = |nth| at("sign.bob.sign", "pin", nth, pin("mistyped"));
    let (stage, outcome) = closed(&[wrong(1), wrong(2)]);
    golden("last-try", outcome.excerpt("no more tries of the PIN are spent here; tries left: 1", PAGE));
    let ceremony = stage.ceremony();
    assert_eq!(signers(&ceremony), ["alice", "carol"]);
    assert_eq!(outcome.transcript.text().matches("sign.bob.sign (bob): The PIN of token").count(), 2);

    // Whoever insists is asked for no PIN again, and ends with the same choice.
    let insist = |nth| at("sign.bob.sign", "token-trouble", nth, one("again"));
    let (stage, outcome) = closed(&[wrong(1), wrong(2), insist(1), insist(2)]);
    assert_eq!(outcome.transcript.text().matches("sign.bob.sign (bob): The PIN of token").count(), 2);
    assert_eq!(stage.ceremony().exceptions.len(), 3);
    assert_eq!(signers(&stage.ceremony()), ["alice", "carol"]);
}

#[test]
fn the_factory_pin_is_not_taken_as_a_new_one() {
    let (_, outcome) = closed(&[instead("keys.alice.provision", "new-pin", pin("123456"))]);
    golden("factory-pin", outcome.excerpt("keys.alice.provision (alice)", PAGE));
}

// ----------------------------------------------------------------------------------------------------------- tokens

#[test]
fn every_fault_of_a_token_is_said_and_logged_and_the_ceremony_goes_on() {
    for point in FaultPoint::ALL {
        let name = point.name();
        let stage = Stage::new(2, 2).with_faults(&[&format!("bob:{name}")]);
        let outcome = stage.hold(&[]);
        assert_eq!(outcome.ending(), Ending::Closed, "{name}");
        golden(&format!("fault-{name}"), outcome.excerpt("trouble: ", PAGE));
        let ceremony = stage.ceremony();
        assert_eq!(signers(&ceremony), ["alice", "bob"], "{name}");
        assert_eq!(ceremony.exceptions.len(), 1, "{name}: {:?}", exceptions(&ceremony));
        // One key was generated, whatever happened: an intent is never repeated and a key never overwritten.
        let begun = |deed: &Deed| matches!(deed, Deed::GenerateIntent { holder, .. } if holder.as_str() == "bob");
        assert_eq!(ceremony.events.iter().filter(|logged| begun(&logged.event.deed)).count(), 1, "{name}");
    }
}

#[test]
fn a_token_that_never_works_is_left_out() {
    let stage = Stage::new(3, 2).with_faults(&["bob:forged-authority:9"]);
    let leave = at("keys.bob.generate", "token-trouble", 3, one("leave"));
    let outcome = stage.hold(&[leave]);
    assert_eq!(outcome.ending(), Ending::Closed);
    let ceremony = stage.ceremony();
    assert_eq!(signers(&ceremony), ["alice", "carol"]);
    assert_eq!(ceremony.exceptions.len(), 3);
    let root = String::from_utf8(ceremony.proposal.unwrap().root).unwrap();
    assert!(root.contains("alice") && !root.contains("bob"), "a key without attestation is in the root: {root}");
}

/// A token, or its driver, that signs something else than it was given.
struct Liar(Box<dyn Token>);

impl Token for Liar {
    fn facts(&self) -> TokenFacts {
        self.0.facts()
    }
    fn state(&mut self) -> Result<TokenState, TokenError> {
        self.0.state()
    }
    fn provision(&mut self, secrets: &NewSecrets<'_>) -> Result<(), TokenError> {
        self.0.provision(secrets)
    }
    fn inspect(&mut self) -> Result<SlotState, TokenError> {
        self.0.inspect()
    }
    fn generate(&mut self, slot: EmptySlot, pin: &Pin) -> Result<PublicKey, TokenError> {
        self.0.generate(slot, pin)
    }
    fn attest(&mut self) -> Result<AttestationFiles, TokenError> {
        self.0.attest()
    }
    fn sign_root(&mut self, payload: &Reviewed<Root>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        self.0.sign_root(payload, pin)
    }
    fn sign_targets(&mut self, payload: &Reviewed<Targets>, pin: &Pin) -> Result<Vec<u8>, TokenError> {
        let mut signature = self.0.sign_targets(payload, pin)?;
        if let Some(last) = signature.last_mut() {
            *last ^= 1;
        }
        Ok(signature)
    }
}

struct BobLies(VirtualTokens);

impl Tokens for BobLies {
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        let token = self.0.open(wanted)?;
        Ok(if wanted.holder.as_str() == "bob" { Box::new(Liar(token)) } else { token })
    }
}

#[test]
fn a_signature_that_does_not_verify_never_becomes_an_event() {
    let stage = Stage { tokens: Some(|tokens| Box::new(BobLies(tokens))), ..Stage::new(3, 2) };
    let outcome = stage.hold(&[at("sign.bob.sign", "token-trouble", 2, one("leave"))]);
    assert_eq!(outcome.ending(), Ending::Closed);
    golden("bad-signature", outcome.excerpt("trouble: ", PAGE));
    assert_eq!(signers(&stage.ceremony()), ["alice", "carol"]);
    let bob = stage.ceremony().holders[&Handle::new("bob").unwrap()].key.as_ref().unwrap().fingerprint().short();
    assert!(!stage.tree().keys().any(|path| path.contains("/signatures/") && path.contains(&bob)));
}

// ------------------------------------------------------------------------------------------------- people and choices

#[test]
fn one_key_press_logs_an_exception_and_the_step_begins_again() {
    let (stage, outcome) = closed(&[
        instead("review.read", "words", interject()),
        instead("review.read", "trouble", one("exception")),
        instead("review.read", "exception-what", line("The stream stopped for a minute.")),
        instead("review.read", "exception-remedy", line("It runs again; the page is read from the top.")),
    ]);
    golden("exception", outcome.excerpt("Something is wrong", PAGE));
    assert_eq!(exceptions(&stage.ceremony()), ["review.read The stream stopped for a minute."]);
    let record = String::from_utf8(stage.tree()[&format!("{}/record.html", stage.dir())].bytes().unwrap().to_vec());
    assert!(record.unwrap().contains("The stream stopped for a minute."));
}

#[test]
fn an_exception_with_text_that_may_not_be_signed_is_asked_for_again() {
    let (stage, outcome) = closed(&[
        instead("review.read", "words", interject()),
        instead("review.read", "trouble", one("exception")),
        instead("review.read", "exception-what", line("a\u{202e}b")),
    ]);
    golden("exception-text", outcome.excerpt("Something is wrong", PAGE));
    assert_eq!(stage.ceremony().exceptions.len(), 1);
}

#[test]
fn going_back_from_the_trouble_page_logs_nothing() {
    let (stage, _) = closed(&[instead("sign.bob.sign", "consent", interject())]);
    assert_eq!(exceptions(&stage.ceremony()), [""; 0]);
}

/// Who is left out is the holder whose fingerprint is doubted, not the one who was asked what they heard.
#[test]
fn a_holder_is_left_out_and_a_quorum_signs() {
    let stage = Stage::new(3, 2);
    let outcome = stage.hold(&[
        at("keys.bob.vouch", "heard", 2, interject()),
        instead("keys.bob.vouch", "trouble", one("leave")),
        instead("keys.bob.vouch", "leave-reason", line("The fingerprint differs on two machines.")),
    ]);
    assert_eq!(outcome.ending(), Ending::Closed);
    golden("leave", outcome.excerpt("Something is wrong", PAGE));
    let ceremony = stage.ceremony();
    assert_eq!(signers(&ceremony), ["alice", "carol"]);
    let bob = &ceremony.holders[&Handle::new("bob").unwrap()];
    assert_eq!(bob.left.as_deref(), Some("The fingerprint differs on two machines."));
}

#[test]
fn when_too_few_are_left_nothing_but_abandoning_is_offered() {
    let stage = Stage::new(2, 2);
    let outcome = stage
        .hold(&[instead("keys.bob.token", "plug-in", interject()), instead("keys.bob.token", "trouble", one("leave"))]);
    assert_eq!(outcome.ending(), Ending::Aborted);
    golden("stuck", outcome.since("Holders left"));
    let ceremony = stage.ceremony();
    assert!(ceremony.aborted.is_some() && signers(&ceremony).is_empty());
}

#[test]
fn below_quorum_it_can_be_abandoned_and_the_record_says_what_is_missing() {
    let stage = Stage::new(3, 2);
    let outcome = stage.hold(&[
        instead("sign.bob.sign", "consent", interject()),
        instead("sign.bob.sign", "trouble", one("abandon")),
        instead("sign.bob.sign", "abandon-reason", line("The hall has to be cleared.")),
    ]);
    assert_eq!(outcome.ending(), Ending::Aborted);
    golden("abandon", outcome.since("Something is wrong"));
    let ceremony = stage.ceremony();
    let Some(Deed::Aborted { reason, missing }) = ceremony.events.last().map(|logged| &logged.event.deed) else {
        panic!("the last event is no end");
    };
    assert_eq!((reason.as_str(), *missing), ("The hall has to be cleared.", Some(1)));
    assert_eq!(signers(&ceremony), ["alice"]);
    assert!(!stage.tree().keys().any(|path| path.starts_with("root/")));
}

#[test]
fn another_word_does_not_abandon() {
    let (stage, _) = closed(&[
        instead("open.read", "words", interject()),
        instead("open.read", "trouble", one("abandon")),
        instead("open.read", "abandon-consent", line("abort")),
    ]);
    assert_eq!(stage.ceremony().aborted, None);
}

#[test]
fn from_quorum_on_abandoning_is_not_offered() {
    let offered = |step: &str, name: &str| closed(&[instead(step, name, interject())]).1.offered;
    assert_eq!(offered("sign.bob.sign", "consent"), ["back", "exception", "leave", "abandon", "pause"]);
    // Alice and bob made a quorum.
    assert_eq!(offered("sign.carol.sign", "consent"), ["back", "exception", "leave", "pause"]);
    assert_eq!(offered("publish.tag", "consent"), ["back", "exception", "pause"]);
}

#[test]
fn pausing_stops_and_goes_on_at_the_same_step() {
    let stage = Stage::new(2, 2);
    let paused = stage
        .hold(&[instead("keys.bob.vouch", "heard", interject()), instead("keys.bob.vouch", "trouble", one("pause"))]);
    golden("pause", failure(paused));
    let whole = Stage::new(2, 2);
    assert_eq!(whole.hold(&[]).ending(), Ending::Closed);
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    assert_eq!(stage.commit(), whole.commit());
}

#[test]
fn a_holder_who_is_absent_takes_no_part() {
    let here = several(&["alice", "carol", "olga", "peter", "quinn"]);
    let (stage, outcome) = closed(&[instead("open.roll", "present", here)]);
    golden("absent-holder", outcome.excerpt("open.roll (olga)", PAGE));
    let ceremony = stage.ceremony();
    assert_eq!(signers(&ceremony), ["alice", "carol"]);
    assert!(!outcome.transcript.text().contains("keys.bob"));
}

#[test]
fn a_roll_with_too_few_or_without_conductor_is_asked_for_again() {
    let (_, outcome) = closed(&[
        at("open.roll", "present", 1, several(&["alice", "olga", "peter"])),
        at("open.roll", "present", 2, several(&["alice", "bob", "carol", "olga"])),
    ]);
    golden("too-few", outcome.excerpt("open.roll (olga)", PAGE));
}

#[test]
fn clocks_more_than_five_minutes_apart_are_read_again() {
    let heard = |nth, text| at("open.clock", "heard", nth, line(text));
    let (stage, outcome) = closed(&[
        heard(1, "09:06 wall clock"),
        heard(2, "10:00 wall clock in local time"),
        heard(3, "09:02"),
        heard(4, "nine o'clock"),
        heard(5, "09:05 wall clock"),
    ]);
    golden("clocks-apart", outcome.excerpt("open.clock (peter)", PAGE));
    let heard = stage.ceremony().events.iter().find_map(|logged| match &logged.event.deed {
        Deed::Clock { heard, source } => Some(format!("{heard} from {source}")),
        _ => None,
    });
    assert_eq!(heard.as_deref(), Some("09:05 from wall clock"));
}

#[test]
fn a_key_that_nobody_vouched_for_is_an_exception() {
    let nothing = |nth| at("keys.bob.vouch", "heard", nth, line(""));
    let (stage, outcome) = closed(&[nothing(1), nothing(2)]);
    golden("unvouched", outcome.excerpt("keys.bob.vouch (peter)", "keys.carol.token"));
    let ceremony = stage.ceremony();
    assert!(ceremony.admits(Check::EnrolUnvouched, Some(&stage::step_id("keys.bob.unvouched"))));
    assert_eq!(ceremony.exceptions.len(), 1);
}

#[test]
fn a_root_that_was_looked_at_on_one_machine_only_is_an_exception() {
    let nothing = ["alice", "bob", "carol"].map(|h| instead(&format!("sign.{h}.sign"), "second-machine", line("")));
    let (stage, outcome) = closed(&nothing);
    golden("one-machine", outcome.excerpt("sign.one-machine", "assemble.files"));
    let ceremony = stage.ceremony();
    assert!(ceremony.admits(Check::ReviewOneMachine, None));
    assert_eq!((ceremony.exceptions.len(), ceremony.second_machines()), (1, 0));
}

#[test]
fn other_words_from_another_machine_stop_the_signature() {
    let (_, outcome) = closed(&[instead("sign.alice.sign", "second-machine", line("acme acme acme"))]);
    golden("wrong-second-machine", outcome.excerpt("as ANOTHER machine shows them", PAGE));
}

// ----------------------------------------------------------------------------------------- refused before it is signed

#[test]
fn what_the_lint_refuses_is_not_proposed() {
    // The day came late: the plan's root expired before it was built.
    let stage = Stage { start: Timestamp::from_day("2027-06-01").unwrap(), ..Stage::new(2, 2) };
    let here = line("00:01 wall clock");
    let outcome = stage.hold(&[instead("open.clock", "heard", here)]);
    assert!(matches!(outcome.halt(), Halt::Refused(_)));
    golden("lint-refuses", failure(outcome));
    assert_eq!(stage.ceremony().proposal, None);
}

struct Refusing;

impl Judge for Refusing {
    fn name(&self) -> String {
        "another client 1.0".to_owned()
    }

    fn refresh(&self, _: &[u8], _: &BTreeMap<String, Vec<u8>>, _: Timestamp) -> Result<(), String> {
        Err("I do not like \u{1b}[31mthis".to_owned())
    }
}

#[test]
fn what_another_client_refuses_is_not_proposed() {
    let stage = Stage { judge: Some(|| Box::new(Refusing)), ..Stage::new(2, 2) };
    let outcome = stage.hold(&[]);
    assert_eq!(refused_by(&outcome), [Check::ClientOther]);
    golden("client-refuses", failure(outcome));
    assert_eq!(stage.ceremony().proposal, None);
    // One that does not refuse it: the ceremony goes on.
    assert_eq!(Stage { judge: None, ..stage }.hold(&[]).ending(), Ending::Closed);
}

/// The checks of the findings that it stopped for.
fn refused_by(outcome: &Outcome) -> Vec<Check> {
    let Halt::Refused(findings) = outcome.halt() else { panic!("{:?}", outcome.halt()) };
    findings.iter().map(|finding| finding.check).collect()
}

#[test]
fn what_our_own_client_refuses_is_not_proposed() {
    // The day came so late that the planned timestamp has expired, which no lint of root and targets looks at.
    let stage = Stage { start: Timestamp::from_day("2026-02-10").unwrap(), ..Stage::new(2, 2) };
    let outcome = stage.hold(&[instead("open.clock", "heard", line("00:01 wall clock"))]);
    assert_eq!(refused_by(&outcome), [Check::ClientOurs]);
    assert!(outcome.questions.iter().all(|(step, ..)| !step.starts_with("sign.")), "before anybody consents");
    golden("own-client-refuses", failure(outcome));
    assert_eq!(stage.ceremony().proposal, None);
    assert_eq!(Stage::new(2, 2).hold(&[]).ending(), Ending::Closed);
}

#[test]
fn without_its_online_key_nothing_is_proposed() {
    let stage = Stage { online: false, ..Stage::new(2, 2) };
    let outcome = stage.hold(&[]);
    assert!(matches!(outcome.halt(), Halt::Online { .. }));
    golden("online-key-missing", failure(outcome));
    assert_eq!(stage.ceremony().proposal, None);
    // Handed in, it goes on.
    assert_eq!(Stage { online: true, ..stage }.hold(&[]).ending(), Ending::Closed);
}
