//! Replay: from the plan and the events to where the ceremony stands, and what comes next.
//!
//! Both [`replay`] and `Ceremony::next` are pure. Whoever conducts holds nothing between steps: after each commit the
//! record is read and replayed again, so stopping anywhere loses nothing.
//!
//! Rules: an event counts only if it could follow from where the ceremony stood (`LOG-STEP`), was written by somebody who
//! could do it, and names evidence that is there, byte for byte (`RECORD-FILES`). Deeds that cannot be undone need their
//! intent first (`INTENT-DONE`).

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::event::{Deed, Event, TokenFacts};
use crate::key::PublicKey;
use crate::plan::{Plan, PlannedToken};
use crate::predecessor::Predecessor;
use crate::record::{Logged, Record};
use crate::signers::{Standing, standings};
use crate::step::Step;
use crate::text::Handle;
use crate::time::Timestamp;
use crate::tree::{Entry, Tree};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use crate::next::Next;

/// Where a ceremony stands.
#[derive(Clone, Debug)]
pub struct Ceremony {
    /// The frozen plan.
    pub plan: Plan,
    /// SHA-256 of `plan.json`.
    pub plan_digest: Digest,
    /// The folder of the record.
    pub dir: String,
    /// The events that count, in replay order.
    pub events: Vec<Logged>,
    /// What the conductor's next event follows: the events that no other follows, and the conductor's last one.
    pub heads: BTreeSet<Digest>,
    /// Who is here, once the roll was called.
    pub present: Option<BTreeSet<Handle>>,
    /// Whether the time was read in two places.
    pub clock_read: bool,
    /// The program that opened the ceremony, once plan and program were read aloud.
    pub program: Option<String>,
    /// The root that is continued; nothing in a genesis.
    pub before: Option<Arc<Predecessor>>,
    /// Each holder of the plan.
    pub holders: BTreeMap<Handle, HolderState>,
    /// Those who sign once more with a key that the new root no longer names.
    pub old: BTreeMap<Handle, HolderState>,
    /// What was proposed.
    pub proposal: Option<Proposal>,
    /// Whether the review page was read aloud and read back.
    pub reviewed: bool,
    /// Whether the signatures became metadata.
    pub assembled: bool,
    /// The clients that refreshed to the end.
    pub verified: Option<Vec<String>>,
    /// The tag of the publication.
    pub published: Option<String>,
    /// Whether the exceptions were read back.
    pub read_back: bool,
    /// Whether the record is closed.
    pub closed: bool,
    /// The exceptions, in replay order.
    pub exceptions: Vec<ExceptionEntry>,
    /// Why the ceremony was abandoned, if it was.
    pub aborted: Option<String>,
}

/// Where one holder stands.
#[derive(Clone, Debug, Default)]
pub struct HolderState {
    /// The token, once identified.
    pub token: Option<TokenFacts>,
    /// Whether its secrets were replaced.
    pub provisioned: bool,
    /// Whether generating began.
    pub generate_intent: bool,
    /// The key: once generated, or from the beginning where it is one of the root before.
    pub key: Option<PublicKey>,
    /// Whether the key is one of the root before.
    pub kept: bool,
    /// Who heard its fingerprint at a machine of their own.
    pub heard: BTreeSet<Handle>,
    /// Who vouched for it, once they were asked.
    pub vouched: Option<BTreeSet<Handle>>,
    /// Whether signing began, and whether the words from another machine were given.
    pub sign_intent: Option<bool>,
    /// Whether root and targets are signed.
    pub signed: bool,
    /// Why the holder takes no further part.
    pub left: Option<String>,
}

impl HolderState {
    /// Whether a key can be generated: the secrets were replaced, or are not replaced in a ceremony.
    pub(crate) fn is_provisioned(&self) -> bool {
        self.provisioned || self.token.as_ref().is_some_and(|token| !token.kind.is_provisioned_here())
    }
}

/// The exact bytes that were proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The canonical payload of the root.
    pub root: Vec<u8>,
    /// The canonical payload of the targets.
    pub targets: Vec<u8>,
    /// The clients that accepted the twin.
    pub twin: Vec<String>,
    /// The events that it follows, which the root names.
    pub heads: BTreeSet<Digest>,
    /// The holders whose keys it names.
    pub holders: BTreeSet<Handle>,
}

impl Proposal {
    /// The payload digest of the root.
    pub fn root_digest(&self) -> Digest {
        Digest::of(&self.root)
    }

    /// The payload digest of the targets.
    pub fn targets_digest(&self) -> Digest {
        Digest::of(&self.targets)
    }
}

/// An exception as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionEntry {
    /// Who wrote it down; each author counts from 1.
    pub author: Handle,
    /// The number, as read aloud.
    pub number: u32,
    /// When.
    pub time: Timestamp,
    /// At which step.
    pub step: crate::event::StepId,
    /// The named check it stands for.
    pub check: Option<String>,
    /// What happened.
    pub what: String,
    /// What was done about it.
    pub remedy: String,
    /// Who approved going on.
    pub approved: Handle,
}

/// Replays the record over the files of its repository.
///
/// # Errors
/// The first event that could not follow, or whose evidence is missing or changed; `PLAN-FOLLOWS` if the root that the plan
/// continues is not in `root/`.
pub fn replay(record: &Record, tree: &Tree) -> Result<Ceremony, Finding> {
    let before = Predecessor::of(&record.plan, tree)?;
    let mut ceremony = Ceremony::planned(record, before.map(Arc::new));
    for logged in &record.events {
        let path = || format!("{}/{}", record.dir, logged.event.path());
        ceremony.check_files(&logged.event, tree)?;
        ceremony.apply(&logged.event, tree).map_err(|(check, what)| {
            let finding = Finding::new(Level::Refused, check, path(), what);
            finding.hint("the record was changed, or written by another program; do not go on from it")
        })?;
        ceremony.events.push(logged.clone());
    }
    Ok(ceremony)
}

type Refusal = (Check, String);

impl Ceremony {
    /// The ceremony of a record before its first event, over the root that the plan continues.
    pub fn planned(record: &Record, before: Option<Arc<Predecessor>>) -> Self {
        let plan = &record.plan;
        let kept = |fingerprint: Option<Digest>| {
            let key = fingerprint.and_then(|fingerprint| before.as_ref()?.root_key(fingerprint)).cloned();
            HolderState { kept: fingerprint.is_some(), key, ..HolderState::default() }
        };
        let holders = plan.holders.iter().map(|holder| (holder.handle.clone(), kept(holder.key))).collect();
        let signing = plan.leaving.iter().filter(|leaving| leaving.signs);
        let old = signing.map(|leaving| (leaving.handle.clone(), kept(Some(leaving.key)))).collect();
        Self {
            plan: record.plan.clone(),
            plan_digest: record.plan_digest,
            dir: record.dir.clone(),
            events: Vec::new(),
            heads: record.after(&record.plan.seats.conductor),
            present: None,
            clock_read: false,
            program: None,
            before,
            holders,
            old,
            proposal: None,
            reviewed: false,
            assembled: false,
            verified: None,
            published: None,
            read_back: false,
            closed: false,
            exceptions: Vec::new(),
            aborted: None,
        }
    }

    /// Evidence inside the record never changes; what lies in `root/` is judged by `verify`, because later ceremonies
    /// and the online roles replace some of it.
    fn check_files(&self, event: &Event, tree: &Tree) -> Result<(), Finding> {
        for (path, digest) in &event.files {
            if !path.starts_with(&format!("{}/", self.dir)) {
                if path.starts_with("root/") {
                    continue;
                }
                let what = format!("{} names a file outside its record", event.path());
                return Err(Finding::new(Level::Refused, Check::RecordFiles, crate::text::escape(path), what));
            }
            let what = match tree.get(path) {
                Some(Entry::File(bytes)) if Digest::of(bytes) == *digest => continue,
                Some(Entry::File(_)) => format!("it is not the file that {} names", event.path()),
                Some(Entry::Odd(kind)) => format!("it is {kind}, not a regular file"),
                None => format!("it is missing; {} names it", event.path()),
            };
            return Err(Finding::new(Level::Refused, Check::RecordFiles, crate::text::escape(path), what)
                .hint("restore it from git; `git log -- PATH` says who changed it"));
        }
        Ok(())
    }

    fn apply(&mut self, event: &Event, tree: &Tree) -> Result<(), Refusal> {
        self.check_hands(event)?;
        let step = |fits: bool, why: &str| if fits { Ok(()) } else { Err((Check::LogStep, why.to_string())) };
        step(!self.closed, "the record was closed before it")?;
        step(self.aborted.is_none(), "the ceremony was abandoned before it")?;
        let opened = self.program.is_some();
        match &event.deed {
            Deed::Roll { present, .. } => {
                step(self.present.is_none(), "the roll was called before")?;
                let known = present.iter().all(|handle| self.is_known(handle));
                step(known, "somebody is present who is not in the plan")?;
                let seated = present.contains(&self.plan.seats.conductor) && present.contains(&self.plan.seats.scribe);
                step(seated, "conductor and scribe must be present")?;
                self.present = Some(present.clone());
            }
            Deed::Clock { .. } => {
                step(self.present.is_some() && !self.clock_read, "the time is read once, after the roll")?;
                self.clock_read = true;
            }
            Deed::Read { program, listener, .. } => {
                step(self.clock_read && !opened, "plan and program are read once, after the time")?;
                step(self.is_present(listener), "the listener is not present")?;
                self.program = Some(program.clone());
            }
            Deed::Token { holder, token } => {
                let early = self.proposal.is_none() || self.went_on_without(holder, event);
                step(opened && early, "tokens are identified between opening and proposal")?;
                let planned = self.plan.holder(holder).map(|holder| &holder.token);
                step(
                    planned.is_some_and(|planned| planned.kind == token.kind),
                    "the token is not of the planned kind",
                )?;
                let serial = planned.and_then(|planned| planned.serial);
                step(serial.is_none_or(|serial| serial == token.serial), "the token has not the planned serial")?;
                let label = planned.and_then(|planned| planned.label.as_ref());
                step(label.is_none_or(|label| token.label.as_ref() == Some(label)), "it has not the planned label")?;
                let taken = self.holders.values().any(|h| h.token.as_ref().is_some_and(|t| t.serial == token.serial));
                step(!taken, "another holder, or this one, has the token already")?;
                let state = self.acting(holder, event)?;
                step(!state.kept, "the key of this holder is kept; no other is made")?;
                // The secrets that were replaced, and the key, are those of the token identified before.
                let begun = state.provisioned || state.generate_intent;
                step(!begun, "the token of a holder changes only before its secrets are replaced")?;
                state.token = Some(token.clone());
            }
            Deed::Provisioned { holder, serial } => {
                let state = self.acting(holder, event)?;
                let same = state.token.as_ref().is_some_and(|token| token.serial == *serial);
                step(same && state.key.is_none() && !state.provisioned, "a token is provisioned once, before its key")?;
                step(
                    state.token.as_ref().is_some_and(|token| token.kind.is_provisioned_here()),
                    "nothing of it is replaced",
                )?;
                state.provisioned = true;
            }
            Deed::GenerateIntent { holder, serial, .. } => {
                let state = self.acting(holder, event)?;
                let same = state.token.as_ref().is_some_and(|token| token.serial == *serial);
                step(
                    same && state.is_provisioned() && state.key.is_none(),
                    "a key is generated once, on a provisioned token",
                )?;
                step(!state.generate_intent, "generating began before")?;
                state.generate_intent = true;
            }
            Deed::Generated { holder, serial, fingerprint } => {
                let key = self.published_key(event, holder, *fingerprint, tree)?;
                let taken = self.holders.values().any(|state| state.key.as_ref() == Some(&key));
                step(!taken, "another holder has this key")?;
                let before = self.before.as_ref().map(|before| before.root.body().keys());
                let old = before.is_some_and(|keys| keys.values().any(|old| old.public() == Some(&key)));
                step(!old, "the key was in the root before, and the plan does not say that it is kept")?;
                let state = self.acting(holder, event)?;
                let same = state.token.as_ref().is_some_and(|token| token.serial == *serial);
                step(same && state.key.is_none(), "a key is generated once, on the identified token")?;
                if !state.generate_intent {
                    return Err((Check::IntentDone, "a key was generated without its intent".to_string()));
                }
                state.key = Some(key);
            }
            Deed::Heard { holder, fingerprint } => {
                let other = event.acted != *holder && self.is_present(&event.acted);
                step(other, "another person who is present hears a key")?;
                let known = self.holders.get_mut(holder).filter(|state| !state.kept);
                let same =
                    |state: &&mut HolderState| state.key.as_ref().is_some_and(|key| key.fingerprint() == *fingerprint);
                let Some(state) = known.filter(same) else {
                    return Err((Check::LogStep, "a key is heard after it was generated".to_string()));
                };
                step(state.heard.insert(event.acted.clone()), "somebody hears a key once")?;
            }
            Deed::Vouched { holder, fingerprint, by } => {
                let others = by.iter().all(|other| other != holder && self.is_present(other));
                step(others, "other people who are present vouch for a key")?;
                let state = self.acting(holder, event)?;
                let same = state.key.as_ref().is_some_and(|key| key.fingerprint() == *fingerprint);
                step(same && state.vouched.is_none(), "a key is vouched for once, after it was generated")?;
                state.vouched = Some(by.clone());
            }
            Deed::Proposed { root, targets, twin } => {
                step(opened && self.proposal.is_none(), "a proposal is made once, after the keys")?;
                let ready = self.taking_part().all(|(_, state)| state.kept || state.vouched.is_some());
                step(ready, "a holder's key is missing")?;
                let payload = |role: &str, digest: &Digest| {
                    let path = format!("{}/signatures/{role}-{digest}/payload.json", self.dir);
                    let named = event.files.get(&path) == Some(digest);
                    tree.get(&path).and_then(Entry::bytes).filter(|_| named).map(<[u8]>::to_vec)
                };
                let (Some(root), Some(targets)) = (payload("root", root), payload("targets", targets)) else {
                    return Err((Check::LogStep, "it does not name the payloads it proposes".to_string()));
                };
                let holders = self.keyholders().map(|(handle, _)| handle.clone()).collect();
                let heads = event.after.clone();
                self.proposal = Some(Proposal { root, targets, twin: twin.clone(), heads, holders });
            }
            Deed::Reviewed { root, targets, listener } => {
                step(self.is_proposed(root, targets) && !self.reviewed, "a proposal is reviewed once")?;
                step(self.is_present(listener), "the listener is not present")?;
                self.reviewed = true;
            }
            Deed::SignIntent { holder, serial, root, targets, second_machine, old } => {
                let fits = self.reviewed && !self.assembled && self.is_proposed(root, targets);
                step(fits, "what was reviewed is signed, before assembly")?;
                // A key that is kept is known by itself; its token by the plan, where that names one.
                let planned = self.planned_token(holder, *old).and_then(|planned| planned.serial);
                let state = self.signing(holder, *old, event)?;
                let same = match &state.token {
                    Some(token) => token.serial == *serial,
                    None => state.kept && planned.is_none_or(|planned| planned == *serial),
                };
                step(
                    same && state.key.is_some() && !state.signed,
                    "a holder signs once, with the token of the record",
                )?;
                step(state.sign_intent.is_none(), "signing began before")?;
                state.sign_intent = Some(*second_machine);
            }
            Deed::Signed { holder, fingerprint, old } => {
                let named = self.proposal.as_ref().is_some_and(|proposal| self.names_signatures(event, proposal));
                let state = self.signing(holder, *old, event)?;
                let same = state.key.as_ref().is_some_and(|key| key.fingerprint() == *fingerprint);
                step(same && !state.signed, "a holder signs once, with the key of the record")?;
                step(named, "it does not name one signature of the root and one of the targets")?;
                if state.sign_intent.is_none() {
                    return Err((Check::IntentDone, "something was signed without its intent".to_string()));
                }
                state.signed = true;
            }
            Deed::Assembled { root, .. } => {
                let fits = self.proposal.as_ref().is_some_and(|p| p.root_digest() == *root) && !self.assembled;
                step(fits && self.has_quorum(), "a proposal is assembled once, when a quorum signed")?;
                self.assembled = true;
            }
            Deed::Verified { clients } => {
                step(self.assembled && self.verified.is_none(), "clients refresh once, after assembly")?;
                self.verified = Some(clients.clone());
            }
            Deed::Published { tag } => {
                step(self.verified.is_some() && self.published.is_none(), "what was verified is published once")?;
                self.published = Some(tag.clone());
            }
            Deed::ReadBack { exceptions } => {
                step(self.published.is_some() && !self.read_back, "exceptions are read back once, after publication")?;
                step(usize::try_from(*exceptions) == Ok(self.exceptions.len()), "there are more or fewer exceptions")?;
                step(event.acted == self.plan.seats.scribe, "only the scribe accepts exceptions")?;
                self.read_back = true;
            }
            Deed::Closed { .. } => {
                step(self.read_back, "a record is closed after the exceptions were read back")?;
                self.closed = true;
            }
            Deed::Exception { number, check, what, remedy, approved } => {
                step(*number == self.next_exception(&event.author), "exceptions are numbered from 1 for each author")?;
                step(!self.read_back, "the exceptions were read back before")?;
                step(self.is_known(approved), "whoever approved it is not in the plan")?;
                self.exceptions.push(ExceptionEntry {
                    author: event.author.clone(),
                    number: *number,
                    time: event.time,
                    step: event.step.clone(),
                    check: check.clone(),
                    what: what.clone(),
                    remedy: remedy.clone(),
                    approved: approved.clone(),
                });
            }
            Deed::Left { holder, reason, old } => {
                step(opened && !self.assembled, "holders leave between opening and assembly")?;
                self.signing(holder, *old, event)?.left = Some(reason.clone());
            }
            Deed::Aborted { reason, .. } => {
                step(!self.has_quorum(), "from quorum on nothing can be abandoned: publish, then supersede")?;
                self.aborted = Some(reason.clone());
            }
            Deed::Chosen { fork, chosen } => {
                step(fork.len() > 1 && fork.contains(chosen), "one of the events of the fork is chosen")?;
            }
        }
        // People read the step, on pages, in file names and in commits, and not the deed.
        let at = Step::of(&event.deed);
        step(at.is_empty() || at.iter().any(|one| one.id() == event.step), "its step is not the one of its deed")?;
        Ok(())
    }

    /// Who may have written the event, and in whose name.
    fn check_hands(&self, event: &Event) -> Result<(), Refusal> {
        let refuse = |why: &str| Err((Check::LogStep, why.to_string()));
        if !self.is_known(&event.acted) || event.checked.iter().any(|handle| !self.is_known(handle)) {
            return refuse("it names somebody who is not in the plan");
        }
        if event.author == self.plan.seats.conductor {
            return Ok(());
        }
        let own = match &event.deed {
            Deed::Token { holder, .. }
            | Deed::Provisioned { holder, .. }
            | Deed::GenerateIntent { holder, .. }
            | Deed::Generated { holder, .. }
            | Deed::SignIntent { holder, .. }
            | Deed::Signed { holder, .. } => *holder == event.author,
            Deed::Heard { holder, .. } => *holder != event.author,
            Deed::Exception { approved, .. } => {
                *approved == event.author && event.step.holder() == Some(event.author.as_str())
            }
            _ => false,
        };
        if !own {
            return refuse("its author is neither the conductor nor the holder it is about");
        }
        if event.acted != event.author {
            return refuse("at a machine of one's own, nobody else acts");
        }
        Ok(())
    }

    /// The public key that a `Generated` event names as evidence.
    fn published_key(
        &self,
        event: &Event,
        holder: &Handle,
        fingerprint: Digest,
        tree: &Tree,
    ) -> Result<PublicKey, Refusal> {
        let path = format!("{}/public.pem", self.key_dir(holder, fingerprint));
        let bytes = tree.get(&path).and_then(Entry::bytes).filter(|_| event.files.contains_key(&path));
        let Some(pem) = bytes.and_then(|bytes| core::str::from_utf8(bytes).ok()) else {
            return Err((Check::RecordFiles, format!("it does not name {path}")));
        };
        let key = PublicKey::from_pem(pem).map_err(|error| (Check::KeyForm, format!("{path}: {error}")))?;
        if key.fingerprint() != fingerprint || key.to_pem() != pem {
            return Err((
                Check::AttBound,
                format!("{path} does not hold the key {fingerprint}, or not in its one form"),
            ));
        }
        Ok(key)
    }

    /// Whether the event names one signature file of each payload, and nothing else. Whether they are valid is for
    /// `sigfile`.
    fn names_signatures(&self, event: &Event, proposal: &Proposal) -> bool {
        let folders = [("root", proposal.root_digest()), ("targets", proposal.targets_digest())];
        let folders = folders.map(|(role, digest)| format!("{}/signatures/{role}-{digest}/", self.dir));
        let count = |folder: &String| event.files.keys().filter(|path| path.starts_with(folder.as_str())).count();
        event.files.len() == 2 && folders.iter().all(|folder| count(folder) == 1)
    }

    fn acting(&mut self, holder: &Handle, event: &Event) -> Result<&mut HolderState, Refusal> {
        let present = self.is_present(holder);
        let parallel = self.went_on_without(holder, event);
        match self.holders.get_mut(holder) {
            Some(state) if present && (state.left.is_none() || parallel) => Ok(state),
            _ => Err((Check::LogStep, format!("{holder} is not a holder who takes part"))),
        }
    }

    /// The state of the key that signs: the new root's, or with `old` one that leaves.
    fn signing(&mut self, holder: &Handle, old: bool, event: &Event) -> Result<&mut HolderState, Refusal> {
        let named = self.proposal.as_ref().is_some_and(|proposal| old || proposal.holders.contains(holder));
        let own = event.author == *holder && *holder != self.plan.seats.conductor;
        let present = self.is_present(holder);
        let among = if old { &mut self.old } else { &mut self.holders };
        match among.get_mut(holder) {
            Some(state) if present && (state.left.is_none() || own && named) => Ok(state),
            _ if old => Err((Check::LogStep, format!("{holder} does not sign with an old key here"))),
            _ => Err((Check::LogStep, format!("{holder} is not a holder who takes part"))),
        }
    }

    /// Whether the conductor went on without a holder who wrote this at a machine of their own, maybe before they heard of it.
    /// It counts then, in whichever order the two are replayed; the root goes without the holder's new key all the same.
    fn went_on_without(&self, holder: &Handle, event: &Event) -> bool {
        let left = self.holders.get(holder).is_some_and(|state| state.left.is_some());
        left && event.author == *holder && *holder != self.plan.seats.conductor
    }

    /// The number of the next exception that `author` writes down.
    pub fn next_exception(&self, author: &Handle) -> u32 {
        let before = self.exceptions.iter().filter(|entry| entry.author == *author).count();
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The token that the plan expects of a holder, or with `old` the one of the key that leaves.
    pub fn planned_token(&self, holder: &Handle, old: bool) -> Option<&PlannedToken> {
        if old {
            return self.plan.signing_old(holder).map(|leaving| &leaving.token);
        }
        self.plan.holder(holder).map(|holder| &holder.token)
    }

    fn is_known(&self, handle: &Handle) -> bool {
        self.holders.contains_key(handle)
            || self.plan.leaving.iter().any(|leaving| leaving.handle == *handle)
            || self.plan.people.iter().any(|person| person.handle == *handle)
    }

    /// Whether this person was there when the roll was called.
    pub fn is_present(&self, handle: &Handle) -> bool {
        self.present.as_ref().is_some_and(|present| present.contains(handle))
    }

    fn is_proposed(&self, root: &Digest, targets: &Digest) -> bool {
        self.proposal.as_ref().is_some_and(|p| p.root_digest() == *root && p.targets_digest() == *targets)
    }

    /// The folder of a key, from the top of the repository.
    pub fn key_dir(&self, name: &Handle, fingerprint: Digest) -> String {
        format!("{}/keys/{name}-{}", self.dir, fingerprint.short())
    }

    /// The holders who are present and have not left, in the order of the plan.
    pub fn taking_part(&self) -> impl Iterator<Item = (&Handle, &HolderState)> {
        let in_order = self.plan.holders.iter().filter_map(|h| self.holders.get_key_value(&h.handle));
        in_order.filter(|(handle, state)| self.is_present(handle) && state.left.is_none())
    }

    /// The holders whose keys the root names, in the order of the plan: those whose key is kept, whether they are here or
    /// not, and those who are here and make one.
    pub fn keyholders(&self) -> impl Iterator<Item = (&Handle, &HolderState)> {
        let in_order = self.plan.holders.iter().filter_map(|h| self.holders.get_key_value(&h.handle));
        in_order.filter(|(handle, state)| {
            let here = self.present.is_none() || self.is_present(handle);
            state.kept || state.signed || here && state.left.is_none()
        })
    }

    /// Every key that may sign here: the holders', and those that leave.
    pub fn signing_keys(&self) -> Vec<&PublicKey> {
        self.holders.values().chain(self.old.values()).filter_map(|state| state.key.as_ref()).collect()
    }

    /// How many holders must sign so that the new root and its targets are both complete.
    pub fn threshold(&self) -> usize {
        usize::try_from(self.plan.root.threshold.max(self.plan.targets.threshold)).unwrap_or(usize::MAX)
    }

    /// Whether nothing more can be added: it was closed, or abandoned.
    pub fn is_over(&self) -> bool {
        self.closed || self.aborted.is_some()
    }

    /// Every threshold that has to be met, and where the ceremony stands to it.
    pub fn standings(&self) -> Vec<Standing> {
        standings(self)
    }

    /// Whether enough holders signed, for the new root and for the one before. From here on nothing can be abandoned.
    pub fn has_quorum(&self) -> bool {
        // Each signature is over both payloads, and holders have different keys; the metadata itself is judged by
        // `quorum` when it is assembled and verified.
        self.standings().iter().all(|standing| standing.missing() == 0)
    }

    /// How many signatures at least are missing until root and targets are complete.
    pub fn missing(&self) -> usize {
        self.standings().iter().map(Standing::missing).max().unwrap_or(0)
    }

    /// How many holders gave the words of the digest from another machine.
    pub fn second_machines(&self) -> usize {
        let all = self.holders.values().chain(self.old.values());
        all.filter(|state| state.signed && state.sign_intent == Some(true)).count()
    }

    /// Whether an exception for `check` stands in the record, at `step` if one is given.
    pub fn admits(&self, check: Check, step: Option<&crate::event::StepId>) -> bool {
        let named = |entry: &&ExceptionEntry| entry.check.as_deref() == Some(check.name());
        self.exceptions.iter().filter(named).any(|entry| step.is_none_or(|step| entry.step == *step))
    }
}
