//! Tests of records: order, forks and choices, chains, times, names and forms, one fault each.

use super::*;
use crate::event::{Act, FORMAT, StepId};
use crate::plan::template::{Template, template};
use crate::time::Timestamp;
use alloc::vec;

fn plan() -> Plan {
    let name = Handle::new("genesis").unwrap();
    let day = Timestamp::from_day("2026-01-05").unwrap();
    let (title, trust_root) = ("A rehearsal", "Rehearsal");
    let wanted = Template { name: &name, title, trust_root, day, holders: 3, threshold: 2, rehearsal: true };
    Plan::from_toml(&template(&wanted).unwrap()).unwrap()
}

/// An event of `author` about nothing that matters here, told apart by `what`.
fn event(author: &str, n: u32, after: &[&Event], what: &str) -> Event {
    let plan = plan();
    let exception = Deed::Exception {
        number: 1,
        check: None,
        what: what.to_string(),
        remedy: "none".to_string(),
        approved: plan.seats.scribe.clone(),
    };
    Event {
        format: FORMAT,
        plan: Digest::of(&plan.to_canonical()),
        author: Handle::new(author).unwrap(),
        n,
        after: after.iter().map(|event| Digest::of(&event.to_canonical())).collect(),
        time: plan.day.plus_seconds(i64::from(n)),
        step: StepId::new(Act::Open, "roll"),
        acted: plan.seats.conductor,
        checked: BTreeSet::new(),
        deed: exception,
        files: BTreeMap::new(),
        signatures: BTreeMap::new(),
    }
}

fn chosen(n: u32, after: &[&Event], fork: &[&Event], chosen: &Event) -> Event {
    let digest = |event: &Event| Digest::of(&event.to_canonical());
    let deed = Deed::Chosen { fork: fork.iter().map(|event| digest(event)).collect(), chosen: digest(chosen) };
    Event { deed, ..event("olga", n, after, "") }
}

fn tree(events: &[&Event]) -> Tree {
    let plan = plan();
    let dir = plan.record_dir();
    let mut tree = Tree::from([(format!("{dir}/plan.json"), Entry::File(plan.to_canonical()))]);
    tree.extend(events.iter().map(|event| (format!("{dir}/{}", event.path()), Entry::File(event.to_canonical()))));
    tree
}

fn read(tree: &Tree) -> Result<Record, Vec<Finding>> {
    Record::read(tree, &plan().record_dir())
}

fn whats(record: &Record) -> Vec<String> {
    let what = |logged: &Logged| match &logged.event.deed {
        Deed::Exception { what, .. } => what.clone(),
        _ => String::from("chosen"),
    };
    record.events.iter().map(what).collect()
}

#[track_caller]
fn refused(tree: &Tree, check: Check) {
    let findings = read(tree).expect_err("the record is refused");
    assert_eq!(findings.first().map(|finding| finding.check), Some(check), "{findings:?}");
}

#[test]
fn parallel_branches_have_one_order() {
    let first = event("olga", 1, &[], "first");
    let (a, b) = (event("alice", 1, &[&first], "a1"), event("bob", 1, &[&first], "b1"));
    let (a2, b2) = (event("alice", 2, &[&a], "a2"), event("bob", 2, &[&b], "b2"));
    let both = event("olga", 2, &[&first, &a2, &b2], "both");
    let both = Event { time: a2.time.plus_seconds(9), ..both };
    let all = [&first, &a, &b, &a2, &b2, &both];
    let record = read(&tree(&all)).unwrap();
    let order = whats(&record);
    let place = |what: &str| order.iter().position(|known| known == what).unwrap();
    assert_eq!((place("first"), place("both"), order.len()), (0, 5, 6));
    assert!(place("a1") < place("a2") && place("b1") < place("b2"));
    // Of two that could be next, the one with the lower digest is.
    let lower = Digest::of(&a.to_canonical()) < Digest::of(&b.to_canonical());
    assert_eq!(place("a1") < place("b1"), lower);
    assert_eq!(record.heads(), BTreeSet::from([Digest::of(&both.to_canonical())]));
    assert_eq!((record.next_n(&both.author), record.next_n(&a.author)), (3, 3));
    assert_eq!(record.last_time(), Some(both.time));
}

#[test]
fn a_fork_stops_until_somebody_chooses() {
    let first = event("olga", 1, &[], "first");
    let (left, right) = (event("olga", 2, &[&first], "left"), event("olga", 2, &[&first], "right"));
    refused(&tree(&[&first, &left, &right]), Check::LogFork);
    let after_right = event("olga", 3, &[&right], "after right");
    let choice = chosen(4, &[&left, &after_right], &[&left, &right], &left);
    let record = read(&tree(&[&first, &left, &right, &after_right, &choice])).unwrap();
    assert_eq!(whats(&record), ["first", "left", "chosen"]);
    assert_eq!(record.set_aside.len(), 2);
    let going_on = event("olga", 5, &[&choice], "on");
    let record = read(&tree(&[&first, &left, &right, &after_right, &choice, &going_on])).unwrap();
    assert_eq!(whats(&record).last().map(String::as_str), Some("on"));
}

#[test]
fn only_a_fork_can_be_chosen_from() {
    let first = event("olga", 1, &[], "first");
    let second = event("olga", 2, &[&first], "an exception to be forgotten");
    let third = event("olga", 3, &[&second], "third");
    // Events that nobody disputes.
    refused(&tree(&[&first, &second, &third, &chosen(4, &[&third], &[&second, &third], &third)]), Check::LogFork);
    // One event alone; none of the named; an event that is not there.
    refused(&tree(&[&first, &second, &chosen(3, &[&second], &[&second], &second)]), Check::LogFork);
    let (left, right) = (event("olga", 2, &[&first], "left"), event("olga", 2, &[&first], "right"));
    refused(&tree(&[&first, &left, &right, &chosen(3, &[&left, &right], &[&left, &right], &first)]), Check::LogFork);
    refused(&tree(&[&first, &left, &chosen(3, &[&left], &[&left, &right], &left)]), Check::LogFork);
    // A choice that does not follow both.
    refused(&tree(&[&first, &left, &right, &chosen(3, &[&left], &[&left, &right], &left)]), Check::LogFork);
}

#[test]
fn chains_and_times_hold() {
    let first = event("olga", 1, &[], "first");
    let second = event("olga", 2, &[&first], "second");
    assert_eq!(whats(&read(&tree(&[&first, &second])).unwrap()), ["first", "second"]);
    refused(&tree(&[&second]), Check::LogChain);
    refused(&tree(&[&first, &event("olga", 3, &[&first], "third")]), Check::LogChain);
    refused(&tree(&[&first, &event("olga", 2, &[], "second")]), Check::LogChain);
    refused(&tree(&[&event("olga", 0, &[], "none")]), Check::LogChain);
    let early = Event { time: first.time.plus_seconds(-1), ..second };
    refused(&tree(&[&first, &early]), Check::LogTime);
}

#[test]
fn names_forms_and_plan_hold() {
    let plan = plan();
    let dir = plan.record_dir();
    let first = event("olga", 1, &[], "first");
    let good = tree(&[&first]);
    let path = format!("{dir}/{}", first.path());
    let with = |path: String, entry: Entry| {
        let mut tree = good.clone();
        tree.insert(path, entry);
        tree
    };
    refused(
        &with(format!("{dir}/log/olga/0002-open.roll-0000.json"), Entry::File(first.to_canonical())),
        Check::LogForm,
    );
    refused(&with(path.clone(), Entry::File(b"{}".to_vec())), Check::LogForm);
    refused(&with(path.clone(), Entry::Odd("a symbolic link")), Check::LogForm);
    let mut spaced = first.to_canonical();
    spaced.push(b'\n');
    refused(&with(path, Entry::File(spaced)), Check::LogForm);
    refused(&tree(&[&Event { plan: Digest::of(b"another"), ..first.clone() }]), Check::LogPlan);
    refused(&tree(&[&Event { format: 2, ..first.clone() }]), Check::LogForm);
    // What is no event is no concern of the log's.
    assert!(read(&with(format!("{dir}/log/olga/0001.json.sig"), Entry::File(vec![0]))).is_ok());
    refused(&Tree::new(), Check::PlanForm);
    refused(&with(format!("{dir}/plan.json"), Entry::File(b"{}".to_vec())), Check::PlanForm);
    let other = "ceremony/2026-01-06-genesis";
    let moved = Tree::from([(format!("{other}/plan.json"), Entry::File(plan.to_canonical()))]);
    let findings = Record::read(&moved, other).expect_err("another name");
    assert_eq!(findings[0].check, Check::RecordName);
    assert_eq!(records(&good), [dir]);
    assert!(records(&Tree::from([("ceremony/plans/x/plan.json".to_string(), Entry::File(vec![]))])).is_empty());
}
