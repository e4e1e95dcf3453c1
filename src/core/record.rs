//! The record of one ceremony, as it lies in the repository: plan, log, keys, signatures.
//!
//! [`Record::read`] takes the files of a repository and gives the plan and the events in replay order, or says by named
//! checks why it cannot. Rules:
//! 1. `plan.json` is the frozen plan; the folder is named for it.
//! 2. Every `log/<author>/*.json` is an event, in canonical form, at the path that its content gives.
//! 3. Every event follows events that are there; each author counts from 1 without a gap; no event is earlier than one
//!    it follows. So the events form a graph without cycles, and any order of arrival gives the same record.
//! 4. Two events of one author with one number are a fork, until an event that follows them names them and chooses. It
//!    chooses between such events only: nothing else is ever set aside. Two choices that differ are a fork themselves.
//! 5. Replay order is topological, ties by digest.
//! 6. An event names no signature beside an event that it does not follow. What it does name is looked at by `beside`.

use crate::beside;
use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::event::{Deed, Event};
use crate::plan::Plan;
use crate::text::{Handle, escape};
use crate::tree::{Entry, Tree};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most events a record holds.
pub const MAX_EVENTS: usize = 10_000;
/// The most events that one event follows: there is one head for each author, and more only while there are forks.
const MAX_FOLLOWED: usize = 256;
/// The most choices in a record. Each is looked for in the whole graph.
const MAX_CHOICES: usize = 32;

/// The record of one ceremony.
#[derive(Clone, Debug)]
pub struct Record {
    /// The folder, such as `ceremony/2026-11-22-genesis`.
    pub dir: String,
    /// The frozen plan.
    pub plan: Plan,
    /// SHA-256 of `plan.json`.
    pub plan_digest: Digest,
    /// The events that count, in replay order.
    pub events: Vec<Logged>,
    /// The events of branches that were not chosen after a fork.
    pub set_aside: Vec<Logged>,
}

/// An event and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// SHA-256 of the event's bytes.
    pub digest: Digest,
    /// The event.
    pub event: Event,
}

/// The folders of `ceremony/` that hold a record: those with a `plan.json`.
pub fn records(tree: &Tree) -> Vec<String> {
    let plan_of = |path: &str| {
        let dir = path.strip_suffix("/plan.json")?;
        let name = dir.strip_prefix("ceremony/")?;
        (!name.contains('/')).then(|| dir.to_string())
    };
    tree.keys().filter_map(|path| plan_of(path)).collect()
}

impl Record {
    /// Reads the record in `dir`.
    ///
    /// # Errors
    /// Every broken rule of the head of this file, as findings.
    pub fn read(tree: &Tree, dir: &str) -> Result<Self, Vec<Finding>> {
        let plan_path = format!("{dir}/plan.json");
        let refuse = |check, subject: &str, what: String| {
            alloc::vec![Finding::new(Level::Refused, check, escape(subject), what)]
        };
        let Some(bytes) = tree.get(&plan_path).and_then(Entry::bytes) else {
            return Err(refuse(Check::PlanForm, &plan_path, "there is no such regular file".to_string()));
        };
        let plan = Plan::from_json(bytes).map_err(|error| refuse(Check::PlanForm, &plan_path, error.to_string()))?;
        let plan_digest = Digest::of(bytes);
        if plan.record_dir() != dir {
            return Err(refuse(Check::RecordName, dir, format!("the plan belongs into {}", plan.record_dir())));
        }

        let mut findings = Vec::new();
        let mut events = BTreeMap::new();
        let prefix = format!("{dir}/log/");
        for (path, entry) in tree.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)) {
            if !path.ends_with(".json") {
                continue;
            }
            let Some(bytes) = entry.bytes() else {
                findings.push(Finding::new(Level::Refused, Check::LogForm, escape(path), "it is not a regular file"));
                continue;
            };
            match read_event(dir, path, bytes, plan_digest) {
                Ok(event) => drop(events.insert(Digest::of(bytes), event)),
                Err(finding) => findings.push(finding),
            }
            if events.len() > MAX_EVENTS {
                return Err(refuse(Check::LogForm, dir, format!("more than {MAX_EVENTS} events")));
            }
        }
        check_chains(dir, &events, &mut findings);
        if !findings.is_empty() {
            return Err(findings);
        }
        let graph = Graph::new(&events);
        let order = graph.order();
        let choices = read_choices(dir, &graph, &order, &mut findings);
        if !findings.is_empty() {
            return Err(findings);
        }
        let aside = graph.set_aside(&choices);
        check_forks(dir, &events, &aside, &mut findings);
        check_agreement(dir, &choices, &aside, &mut findings);
        if !findings.is_empty() {
            return Err(findings);
        }
        let (set_aside, ordered) = order.into_iter().partition(|logged| aside.contains(&logged.digest));
        Ok(Self { dir: dir.to_string(), plan, plan_digest, events: ordered, set_aside })
    }

    /// The digests of the events that no other event follows.
    pub fn heads(&self) -> BTreeSet<Digest> {
        let all = self.events.iter().chain(&self.set_aside);
        let mut heads: BTreeSet<_> = all.clone().map(|logged| logged.digest).collect();
        for logged in all {
            for followed in &logged.event.after {
                heads.remove(followed);
            }
        }
        heads
    }

    /// What the author's next event follows: every head, and the author's own last event, which others may have followed
    /// since.
    pub fn after(&self, author: &Handle) -> BTreeSet<Digest> {
        let own = self.events.iter().filter(|logged| logged.event.author == *author);
        let mut after = self.heads();
        after.extend(own.max_by_key(|logged| logged.event.n).map(|logged| logged.digest));
        after
    }

    /// What the author's next event says of the SSH signatures beside the events that it follows.
    pub fn signatures_after(&self, author: &Handle, tree: &Tree) -> BTreeMap<Digest, Digest> {
        let after = self.after(author);
        let all = self.events.iter().chain(&self.set_aside).filter(|logged| after.contains(&logged.digest));
        let signature = |logged: &Logged| {
            Some((logged.digest, Digest::of(tree.get(&beside::path(&self.dir, &logged.event))?.bytes()?)))
        };
        all.filter_map(signature).collect()
    }

    /// The number of the author's next event.
    pub fn next_n(&self, author: &Handle) -> u32 {
        let all = self.events.iter().chain(&self.set_aside);
        let last = all.filter(|logged| logged.event.author == *author).map(|logged| logged.event.n).max();
        last.unwrap_or(0) + 1
    }

    /// The time of the newest event.
    pub fn last_time(&self) -> Option<crate::time::Timestamp> {
        self.events.iter().map(|logged| logged.event.time).max()
    }
}

fn read_event(dir: &str, path: &str, bytes: &[u8], plan_digest: Digest) -> Result<Event, Finding> {
    let refuse = |check, what: String| Finding::new(Level::Refused, check, escape(path), what);
    let event = Event::from_bytes(bytes).map_err(|error| refuse(Check::LogForm, error.to_string()))?;
    if format!("{dir}/{}", event.path()) != path {
        return Err(refuse(Check::LogForm, format!("the content belongs to {dir}/{}", event.path())));
    }
    if event.plan != plan_digest {
        return Err(refuse(
            Check::LogPlan,
            format!("it is for the plan {}, the record's is {plan_digest}", event.plan),
        ));
    }
    Ok(event)
}

/// Rules 3 and 6, event by event.
fn check_chains(dir: &str, events: &BTreeMap<Digest, Event>, findings: &mut Vec<Finding>) {
    for event in events.values() {
        let path = format!("{dir}/{}", event.path());
        let mut refuse = |check, what: String| findings.push(Finding::new(Level::Refused, check, path.clone(), what));
        if event.after.len() > MAX_FOLLOWED {
            refuse(Check::LogForm, format!("it follows more than {MAX_FOLLOWED} events"));
            continue;
        }
        if event.signatures.keys().any(|digest| !event.after.contains(digest)) {
            refuse(Check::LogForm, "it names a signature beside an event that it does not follow".to_string());
        }
        let mut own = None;
        for digest in &event.after {
            let Some(followed) = events.get(digest) else {
                refuse(Check::LogChain, format!("it follows the event {digest}, which is not there"));
                continue;
            };
            if followed.time > event.time {
                refuse(Check::LogTime, format!("it states {}, and follows an event of {}", event.time, followed.time));
            }
            if followed.author == event.author {
                own = own.max(Some(followed.n));
            }
        }
        if event.n != own.unwrap_or(0) + 1 {
            let what = match own {
                Some(own) => format!("it is number {} of {}, after number {own}", event.n, event.author),
                None => format!("it is number {} of {}, and names no earlier one", event.n, event.author),
            };
            refuse(Check::LogChain, what);
        }
    }
}

/// Rule 4.
fn check_forks(dir: &str, events: &BTreeMap<Digest, Event>, aside: &BTreeSet<Digest>, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<(&Handle, u32), &Event> = BTreeMap::new();
    for (digest, event) in events {
        if aside.contains(digest) {
            continue;
        }
        if let Some(other) = seen.insert((&event.author, event.n), event) {
            let what = format!("{} and {} have one author and one number", other.path(), event.path());
            let finding = Finding::new(Level::Refused, Check::LogFork, dir, what);
            findings.push(finding.hint("find out who wrote both; go on only after an event chooses one of them"));
        }
    }
}

/// A choice between the events of one author with one number.
struct Choice<'a> {
    digest: Digest,
    place: (&'a Handle, u32),
    fork: &'a BTreeSet<Digest>,
    chosen: Digest,
    path: String,
}

/// Rule 4: the choices, in replay order, and what they are between. Otherwise a choice could set an exception aside that
/// nobody disputes.
fn read_choices<'a>(dir: &str, graph: &Graph<'a>, order: &[Logged], findings: &mut Vec<Finding>) -> Vec<Choice<'a>> {
    let mut choices = Vec::new();
    for digest in order.iter().map(|logged| logged.digest) {
        let Some(event) = graph.events.get(&digest) else { continue };
        let Deed::Chosen { fork, chosen } = &event.deed else { continue };
        let path = format!("{dir}/{}", event.path());
        if choices.len() == MAX_CHOICES {
            let what = format!("more than {MAX_CHOICES} choices between events");
            findings.push(Finding::new(Level::Refused, Check::LogForm, path, what));
            break;
        }
        let members: Vec<&Event> = fork.iter().filter_map(|member| graph.events.get(member)).collect();
        let places: BTreeSet<(&Handle, u32)> = members.iter().map(|event| (&event.author, event.n)).collect();
        let fits = fork.len() > 1 && members.len() == fork.len() && places.len() == 1 && fork.contains(chosen);
        match places.first().filter(|_| fits && fork.is_subset(&graph.ancestors(digest))) {
            Some(place) => choices.push(Choice { digest, place: *place, fork, chosen: *chosen, path }),
            None => {
                let what = "it chooses, but not one of several events with one author and one number that it follows";
                findings.push(Finding::new(Level::Refused, Check::LogFork, path, what));
            }
        }
    }
    choices
}

/// Rule 4: choices that count do not contradict each other.
fn check_agreement(dir: &str, choices: &[Choice<'_>], aside: &BTreeSet<Digest>, findings: &mut Vec<Finding>) {
    let mut chosen: BTreeMap<(&Handle, u32), &Choice<'_>> = BTreeMap::new();
    for choice in choices.iter().filter(|choice| !aside.contains(&choice.digest)) {
        let first = *chosen.entry(choice.place).or_insert(choice);
        if first.chosen != choice.chosen {
            let what = format!("{} and {} choose differently", first.path, choice.path);
            findings.push(Finding::new(Level::Refused, Check::LogFork, dir, what));
        }
    }
}

/// The events as a graph without cycles: rule 3 was checked before, and a digest cannot follow itself.
struct Graph<'a> {
    events: &'a BTreeMap<Digest, Event>,
    followers: BTreeMap<Digest, BTreeSet<Digest>>,
}

impl<'a> Graph<'a> {
    fn new(events: &'a BTreeMap<Digest, Event>) -> Self {
        let mut followers: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        for (digest, event) in events {
            for followed in &event.after {
                followers.entry(*followed).or_default().insert(*digest);
            }
        }
        Self { events, followers }
    }

    /// Everything that the event `of` follows.
    fn ancestors(&self, of: Digest) -> BTreeSet<Digest> {
        let mut found = BTreeSet::new();
        let mut open = alloc::vec![of];
        while let Some(digest) = open.pop() {
            let after = self.events.get(&digest).into_iter().flat_map(|event| &event.after);
            open.extend(after.filter(|followed| found.insert(**followed)));
        }
        found
    }

    /// `from` and everything that follows them.
    fn descendants(&self, from: impl IntoIterator<Item = Digest>) -> BTreeSet<Digest> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Digest> = from.into_iter().collect();
        while let Some(digest) = open.pop() {
            if found.insert(digest) {
                open.extend(self.followers.get(&digest).into_iter().flatten().copied());
            }
        }
        found
    }

    /// What no longer counts: the branches that were not chosen, up to the event that chose. The latest choices first, since
    /// one may be between earlier ones; a choice that does not count sets nothing aside, and of two about one fork neither
    /// sets the other aside.
    fn set_aside(&self, choices: &[Choice<'_>]) -> BTreeSet<Digest> {
        let mut aside = BTreeSet::new();
        for choice in choices.iter().rev() {
            if aside.contains(&choice.digest) {
                continue;
            }
            let alike = choices.iter().filter(|other| other.place == choice.place && !aside.contains(&other.digest));
            let kept = self.descendants(alike.map(|other| other.digest));
            let losers = choice.fork.iter().copied().filter(|loser| *loser != choice.chosen);
            aside.extend(self.descendants(losers).difference(&kept));
        }
        aside
    }

    /// Rule 5.
    fn order(&self) -> Vec<Logged> {
        let mut waiting: BTreeMap<Digest, usize> =
            self.events.iter().map(|(digest, event)| (*digest, event.after.len())).collect();
        let mut ready: BTreeSet<Digest> =
            waiting.iter().filter(|(_, count)| **count == 0).map(|(digest, _)| *digest).collect();
        let mut ordered = Vec::with_capacity(self.events.len());
        while let Some(digest) = ready.pop_first() {
            if let Some(event) = self.events.get(&digest) {
                ordered.push(Logged { digest, event: event.clone() });
            }
            for follower in self.followers.get(&digest).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(follower) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(*follower);
                    }
                }
            }
        }
        ordered
    }
}

#[cfg(test)]
mod tests;
