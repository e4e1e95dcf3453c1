//! Replay refuses every event that could not follow: the events of a real ceremony, each changed in one way.

#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeSet;

use stage::{Stage, at, instead, interject, one};
use trustroot::conduct::Ending;
use trustroot_core::check::Check;
use trustroot_core::digest::Digest;
use trustroot_core::event::{Deed, Event};
use trustroot_core::record::{Logged, Record};
use trustroot_core::replay::{Next, replay};
use trustroot_core::step::Step;
use trustroot_core::text::Handle;
use trustroot_core::tree::{Entry, Tree};

fn handle(text: &str) -> Handle {
    Handle::new(text).unwrap()
}

fn handles(texts: &[&str]) -> BTreeSet<Handle> {
    texts.iter().map(|text| handle(text)).collect()
}

/// A whole record to change: 3 of whom 2 must sign, one exception, one who left.
struct Whole {
    record: Record,
    tree: Tree,
}

impl Whole {
    fn new() -> Self {
        let stage = Stage::new(3, 2);
        let outcome = stage.hold(&[
            instead("sign.carol.sign", "consent", interject()),
            instead("sign.carol.sign", "trouble", one("exception")),
            at("sign.carol.sign", "consent", 2, interject()),
            at("sign.carol.sign", "trouble", 2, one("leave")),
        ]);
        assert_eq!(outcome.ending(), Ending::Closed);
        let tree = stage.tree();
        Self { record: Record::read(&tree, &stage.dir()).unwrap(), tree }
    }

    /// The place of the first event that `is`.
    #[track_caller]
    fn place(&self, is: fn(&Deed) -> bool) -> usize {
        self.record.events.iter().position(|logged| is(&logged.event.deed)).expect("there is such an event")
    }

    fn event(&self, place: usize) -> Event {
        self.record.events[place].event.clone()
    }

    /// The record up to `place`, and then these events.
    fn then(&self, place: usize, more: &[Event]) -> Record {
        let mut record = self.record.clone();
        record.events.truncate(place);
        record.events.extend(
            more.iter().map(|event| Logged { digest: Digest::of(&event.to_canonical()), event: event.clone() }),
        );
        record
    }

    #[track_caller]
    fn refuses(&self, place: usize, more: &[Event], check: Check, why: &str) {
        let finding = replay(&self.then(place, more), &self.tree).expect_err(why);
        assert_eq!(finding.check, check, "{finding:?}");
        assert!(finding.what.line().contains(why), "\"{}\" does not say: {why}", finding.what.line());
    }

    /// The event that `is`, with its deed changed, in its own place.
    #[track_caller]
    fn changed(&self, is: fn(&Deed) -> bool, change: impl FnOnce(&mut Deed), check: Check, why: &str) {
        let place = self.place(is);
        let mut event = self.event(place);
        change(&mut event.deed);
        assert_ne!(event, self.event(place), "nothing was changed");
        self.refuses(place, &[event], check, why);
    }

    /// The event that `is`, twice.
    #[track_caller]
    fn twice(&self, is: fn(&Deed) -> bool, why: &str) {
        let place = self.place(is);
        self.refuses(place + 1, &[self.event(place)], Check::LogStep, why);
    }

    /// The event that `is`, right after the event that `before` is, which is earlier than its own place.
    #[track_caller]
    fn early(&self, is: fn(&Deed) -> bool, before: fn(&Deed) -> bool, check: Check, why: &str) {
        self.refuses(self.place(before), &[self.event(self.place(is))], check, why);
    }
}

macro_rules! is {
    ($variant:ident) => {
        |deed: &Deed| matches!(deed, Deed::$variant { .. })
    };
}

/// Changes fields of a deed that is known to be of this kind.
macro_rules! set {
    ($variant:ident { $($field:ident = $value:expr),* }) => {
        |deed: &mut Deed| match deed {
            Deed::$variant { $($field,)* .. } => { $(*$field = $value;)* }
            _ => unreachable!("the place was looked for by kind"),
        }
    };
}

#[test]
fn no_event_counts_that_could_not_follow() {
    use Check::{AttBound, IntentDone, LogStep, RecordFiles};
    let whole = Whole::new();
    let nobody = Digest::of(b"nobody");

    whole.twice(is!(Roll), "the roll was called before");
    whole.changed(is!(Roll), set!(Roll { present = handles(&["olga", "peter", "zoe"]) }), LogStep, "not in the plan");
    whole.changed(is!(Roll), set!(Roll { present = handles(&["olga", "alice"]) }), LogStep, "conductor and scribe");
    whole.early(is!(Clock), is!(Roll), LogStep, "after the roll");
    whole.twice(is!(Clock), "the time is read once");
    whole.early(is!(Read), is!(Clock), LogStep, "after the time");
    whole.twice(is!(Read), "read once");
    whole.changed(is!(Read), set!(Read { listener = handle("zoe") }), LogStep, "not present");

    whole.early(is!(Token), is!(Read), LogStep, "between opening and proposal");
    whole.twice(is!(Token), "has the token already");
    whole.changed(
        is!(Token),
        |deed| {
            if let Deed::Token { token, .. } = deed {
                token.serial = 1.into()
            }
        },
        LogStep,
        "planned serial",
    );
    let kind = trustroot_core::plan::TokenKind::Yubikey;
    whole.changed(
        is!(Token),
        |deed| {
            if let Deed::Token { token, .. } = deed {
                token.kind = kind
            }
        },
        LogStep,
        "planned kind",
    );
    whole.changed(is!(Token), set!(Token { holder = handle("peter") }), LogStep, "planned kind");
    whole.early(is!(Provisioned), is!(Token), LogStep, "provisioned once");
    whole.twice(is!(Provisioned), "provisioned once");
    whole.changed(is!(Provisioned), set!(Provisioned { serial = 1.into() }), LogStep, "provisioned once");
    whole.early(is!(GenerateIntent), is!(Provisioned), LogStep, "on a provisioned token");
    whole.twice(is!(GenerateIntent), "generating began before");
    whole.early(is!(Generated), is!(GenerateIntent), IntentDone, "without its intent");
    whole.twice(is!(Generated), "another holder has this key");
    whole.changed(is!(Generated), set!(Generated { serial = 1.into() }), LogStep, "identified token");
    whole.changed(is!(Generated), set!(Generated { fingerprint = nobody }), RecordFiles, "does not name");
    whole.early(is!(Vouched), is!(Generated), LogStep, "vouched for once");
    whole.twice(is!(Vouched), "vouched for once");
    whole.changed(is!(Vouched), set!(Vouched { fingerprint = nobody }), LogStep, "vouched for once");
    whole.changed(is!(Vouched), set!(Vouched { by = handles(&["alice", "peter"]) }), LogStep, "other people");
    whole.changed(is!(Vouched), set!(Vouched { by = handles(&["zoe", "peter"]) }), LogStep, "other people");

    whole.early(is!(Proposed), is!(Vouched), LogStep, "a holder's key is missing");
    whole.twice(is!(Proposed), "a proposal is made once");
    whole.changed(is!(Proposed), set!(Proposed { root = nobody }), LogStep, "name the payloads");
    whole.changed(is!(Reviewed), set!(Reviewed { root = nobody }), LogStep, "reviewed once");
    whole.changed(is!(Reviewed), set!(Reviewed { listener = handle("zoe") }), LogStep, "not present");
    whole.twice(is!(Reviewed), "reviewed once");
    whole.early(is!(SignIntent), is!(Reviewed), LogStep, "what was reviewed is signed");
    whole.changed(is!(SignIntent), set!(SignIntent { root = nobody }), LogStep, "what was reviewed is signed");
    whole.changed(is!(SignIntent), set!(SignIntent { targets = nobody }), LogStep, "what was reviewed is signed");
    whole.changed(is!(SignIntent), set!(SignIntent { serial = 1.into() }), LogStep, "token of the record");
    whole.twice(is!(SignIntent), "signing began before");
    whole.early(is!(Signed), is!(SignIntent), IntentDone, "without its intent");
    whole.changed(is!(Signed), set!(Signed { fingerprint = nobody }), LogStep, "key of the record");
    whole.twice(is!(Signed), "signs once");

    // After the first signature, one is missing.
    whole.refuses(
        whole.place(is!(Signed)) + 1,
        &[whole.event(whole.place(is!(Assembled)))],
        LogStep,
        "when a quorum signed",
    );
    whole.changed(is!(Assembled), set!(Assembled { root = nobody }), LogStep, "when a quorum signed");
    whole.twice(is!(Assembled), "assembled once");
    whole.early(is!(Verified), is!(Assembled), LogStep, "after assembly");
    whole.twice(is!(Verified), "refresh once");
    whole.early(is!(Published), is!(Verified), LogStep, "published once");
    whole.twice(is!(Published), "published once");
    whole.early(is!(ReadBack), is!(Published), LogStep, "after publication");
    whole.changed(is!(ReadBack), set!(ReadBack { exceptions = 0 }), LogStep, "more or fewer exceptions");
    whole.early(is!(Closed), is!(ReadBack), LogStep, "after the exceptions were read back");
    whole.twice(is!(Closed), "the record was closed");
    whole.changed(is!(Exception), set!(Exception { number = 2 }), LogStep, "numbered from 1");
    whole.changed(is!(Exception), set!(Exception { approved = handle("zoe") }), LogStep, "not in the plan");
    let late = Event {
        deed: Deed::Exception {
            number: 3,
            check: None,
            what: "x".into(),
            remedy: "y".into(),
            approved: handle("peter"),
        },
        ..whole.event(0)
    };
    whole.refuses(whole.place(is!(Closed)), &[late], LogStep, "read back before");
    whole.twice(is!(Left), "not a holder who takes part");
    whole.changed(is!(Left), set!(Left { holder = handle("peter") }), LogStep, "not a holder who takes part");
    whole.early(is!(Left), is!(Read), LogStep, "between opening and assembly");
    let abort = Event { deed: Deed::Aborted { reason: "x".into(), missing: None }, ..whole.event(0) };
    whole.refuses(whole.place(is!(Assembled)), std::slice::from_ref(&abort), LogStep, "from quorum on");
    whole.refuses(1, &[abort.clone(), whole.event(1)], LogStep, "abandoned before");
    let choice = Event { deed: Deed::Chosen { fork: BTreeSet::from([nobody]), chosen: nobody }, ..whole.event(0) };
    whole.refuses(1, &[choice], LogStep, "is chosen");

    // Whose hands.
    let roll = whole.event(0);
    whole.refuses(
        0,
        &[Event { author: handle("alice"), ..roll.clone() }],
        LogStep,
        "neither the conductor nor the holder",
    );
    whole.refuses(0, &[Event { acted: handle("zoe"), ..roll.clone() }], LogStep, "somebody who is not in the plan");
    whole.refuses(0, &[Event { checked: handles(&["zoe"]), ..roll }], LogStep, "somebody who is not in the plan");
    let read_back = whole.place(is!(ReadBack));
    whole.refuses(read_back, &[Event { acted: handle("olga"), ..whole.event(read_back) }], LogStep, "only the scribe");
    let signed = whole.place(is!(Signed));
    whole.refuses(signed, &[Event { author: handle("bob"), ..whole.event(signed) }], LogStep, "neither the conductor");
    let own = Event { author: handle("alice"), ..whole.event(signed) };
    assert!(replay(&whole.then(signed, &[own]), &whole.tree).is_ok(), "a holder may write what is about them");

    // Alice's key file with another form, and with bob's key in it.
    let place = whole.place(is!(Generated));
    let generated = whole.event(place);
    let path = generated.files.keys().find(|path| path.ends_with("/public.pem")).unwrap();
    let bobs = whole.tree.keys().find(|path| path.contains("/keys/bob-") && path.ends_with("/public.pem")).unwrap();
    let longer = [whole.tree[path].bytes().unwrap(), b"\n"].concat();
    for (pem, check) in [(longer, Check::KeyForm), (whole.tree[bobs].bytes().unwrap().to_vec(), AttBound)] {
        let (mut tree, mut event) = (whole.tree.clone(), generated.clone());
        event.files.insert(path.clone(), Digest::of(&pem));
        tree.insert(path.clone(), Entry::File(pem));
        let finding = replay(&whole.then(place, &[event]), &tree).expect_err("another key");
        assert_eq!(finding.check, check, "{finding:?}");
    }
}

#[test]
fn what_two_machines_wrote_counts_in_either_order() {
    let whole = Whole::new();
    let alice = handle("alice");
    let own = |place: usize| Event { author: handle("alice"), ..whole.event(place) };
    let place = whole.place(is!(SignIntent));
    let signs = [own(place), own(whole.place(is!(Signed)))];
    let left = Event {
        deed: Deed::Left { holder: alice.clone(), reason: "x".into(), old: false },
        ..whole.event(whole.place(is!(Left)))
    };
    let [intent, signed] = signs.clone();
    for order in [[left.clone(), intent.clone(), signed.clone()], [intent, signed, left.clone()]] {
        let ceremony = replay(&whole.then(place, &order), &whole.tree).unwrap();
        let state = &ceremony.holders[&alice];
        assert!(state.signed && state.left.is_some());
        assert_eq!(ceremony.standings()[0].signed.len(), 1);
    }
    let at_one = [left, whole.event(place)];
    whole.refuses(place, &at_one, Check::LogStep, "not a holder who takes part");
    let for_another = Event { acted: handle("bob"), ..own(place) };
    whole.refuses(place, &[for_another], Check::LogStep, "nobody else acts");

    // Each author counts exceptions from 1, and approves only what is their own.
    let by = |author: &str, approved: &str| Event {
        author: handle(author),
        acted: handle(author),
        step: Step::Sign(alice.clone()).id(),
        deed: Deed::Exception {
            number: 1,
            check: None,
            what: "x".into(),
            remedy: "y".into(),
            approved: handle(approved),
        },
        ..whole.event(place)
    };
    for order in [[by("alice", "alice"), by("olga", "peter")], [by("olga", "peter"), by("alice", "alice")]] {
        let ceremony = replay(&whole.then(place, &order), &whole.tree).unwrap();
        assert_eq!((ceremony.exceptions.len(), ceremony.next_exception(&alice)), (2, 2));
    }
    let refused = "neither the conductor nor the holder";
    whole.refuses(place, &[by("alice", "peter")], Check::LogStep, refused);
    whole.refuses(place, &[by("bob", "bob")], Check::LogStep, refused);
}

#[test]
fn a_key_is_heard_once_by_somebody_else_after_it_was_made() {
    let whole = Whole::new();
    let place = whole.place(is!(Generated));
    let Deed::Generated { holder, fingerprint, .. } = whole.event(place).deed else {
        unreachable!("it was looked for")
    };
    let heard = |by: &str, fingerprint: Digest| Event {
        author: handle(by),
        acted: handle(by),
        step: Step::Hear(holder.clone()).id(),
        deed: Deed::Heard { holder: holder.clone(), fingerprint },
        files: [].into(),
        ..whole.event(place)
    };
    let ceremony = replay(&whole.then(place + 1, &[heard("bob", fingerprint)]), &whole.tree).unwrap();
    assert_eq!(ceremony.holders[&holder].heard, handles(&["bob"]));
    // Bob is not asked again; carol is, and a third is not once two have heard it.
    let asked = |ceremony: &trustroot_core::replay::Ceremony, who: &str| {
        ceremony.to_hear(&handle(who)).any(|heard| *heard == holder)
    };
    assert!(!asked(&ceremony, "quinn"), "two holders are asked before any witness");
    assert!(!asked(&ceremony, "bob") && asked(&ceremony, "carol") && !asked(&ceremony, holder.as_str()));
    let two = [heard("bob", fingerprint), heard("quinn", fingerprint)];
    assert!(!asked(&replay(&whole.then(place + 1, &two), &whole.tree).unwrap(), "carol"));
    let refuses = |place, event, why| whole.refuses(place, &[event], Check::LogStep, why);
    refuses(place + 1, heard(holder.as_str(), fingerprint), "neither the conductor");
    refuses(place + 1, heard("bob", Digest::of(b"another")), "after it was generated");
    refuses(place, heard("bob", fingerprint), "after it was generated");
    let twice = [heard("bob", fingerprint), heard("bob", fingerprint)];
    whole.refuses(place + 1, &twice, Check::LogStep, "hears a key once");
}

#[test]
fn evidence_is_there_byte_for_byte() {
    let whole = Whole::new();
    let dir = whole.record.dir.clone();
    let named: BTreeSet<String> =
        whole.record.events.iter().flat_map(|logged| logged.event.files.keys().cloned()).collect();
    let inside: Vec<&String> = named.iter().filter(|path| path.starts_with(&dir)).collect();
    assert!(inside.len() > 15, "{inside:?}");
    for path in inside {
        for entry in [None, Some(Entry::Odd("a symbolic link")), Some(Entry::File(b"other".to_vec()))] {
            let mut tree = whole.tree.clone();
            match entry {
                Some(entry) => drop(tree.insert(path.clone(), entry)),
                None => drop(tree.remove(path)),
            }
            let finding = replay(&whole.record, &tree).expect_err(path);
            assert_eq!(finding.check, Check::RecordFiles, "{path}");
        }
    }
    let mut outside = whole.event(0);
    outside.files.insert("ceremony/plans/x.toml".to_owned(), Digest::of(b""));
    whole.refuses(0, &[outside], Check::RecordFiles, "outside its record");
}

#[test]
fn every_prefix_of_a_record_says_what_comes_next() {
    let whole = Whole::new();
    let mut steps = Vec::new();
    for count in 0..=whole.record.events.len() {
        match replay(&whole.then(count, &[]), &whole.tree).unwrap().next() {
            Next::Do(step) => steps.push(step),
            Next::Closed => assert_eq!(count, whole.record.events.len()),
            other => panic!("after {count} events: {other:?}"),
        }
    }
    steps.dedup();
    assert_eq!(steps, Step::all(&whole.record.plan), "the printed script is what happens");
}

/// A signature counts, whatever its holder does after it: then nobody is stuck.
#[test]
fn who_signed_and_left_is_not_missing() {
    let whole = Whole::new();
    let signed = whole.place(is!(Signed));
    let left = |holder: &str| Event {
        deed: Deed::Left { holder: handle(holder), reason: "x".into(), old: false },
        ..whole.event(0)
    };
    let next = |more: &[Event]| replay(&whole.then(signed + 1, more), &whole.tree).unwrap().next();
    assert!(matches!(next(&[left("alice"), left("bob")]), Next::Do(Step::Sign(holder)) if holder.as_str() == "carol"));
    assert_eq!(next(&[left("bob"), left("carol")]), Next::Stuck { of: "the new root", left: 1, threshold: 2 });
}
