//! Replay: from the plan and the events to where the ceremony stands, and what comes next.
//!
//! Both [`replay`] and [`Ceremony::next`] are pure. Whoever conducts holds nothing between steps: after each commit the
//! record is read and replayed again, so stopping anywhere loses nothing.
//!
//! Rules: an event counts only if it could follow from where the ceremony stood (`LOG-STEP`), was written by somebody who
//! could do it, and names evidence that is there, byte for byte (`RECORD-FILES`). Deeds that cannot be undone need their
//! intent first (`INTENT-DONE`).

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::event::{Deed, Event, TokenFacts};
use crate::key::PublicKey;
use crate::plan::Plan;
use crate::record::{Logged, Record};
use crate::step::Step;
use crate::text::Handle;
use crate::time::Timestamp;
use crate::tree::{Entry, Tree};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

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
    /// The events that no other event follows.
    pub heads: BTreeSet<Digest>,
    /// Who is here, once the roll was called.
    pub present: Option<BTreeSet<Handle>>,
    /// Whether the time was read in two places.
    pub clock_read: bool,
    /// The program that opened the ceremony, once plan and program were read aloud.
    pub program: Option<String>,
    /// Each holder of the plan.
    pub holders: BTreeMap<Handle, HolderState>,
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
    /// The key, once generated.
    pub key: Option<PublicKey>,
    /// Who vouched for it, once they were asked.
    pub vouched: Option<BTreeSet<Handle>>,
    /// Whether signing began, and whether the words from another machine were given.
    pub sign_intent: Option<bool>,
    /// Whether root and targets are signed.
    pub signed: bool,
    /// Why the holder takes no further part.
    pub left: Option<String>,
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
    /// The event heads before it, which the root names.
    pub heads: BTreeSet<Digest>,
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

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This step.
    Do(Step),
    /// Nothing: the record is closed.
    Closed,
    /// Nothing: the ceremony was abandoned.
    Aborted,
    /// Nothing can be done: fewer holders are left than must sign.
    Stuck {
        /// How many are left.
        left: usize,
        /// How many must sign.
        threshold: usize,
    },
}

/// Replays the record over the files of its repository.
///
/// # Errors
/// The first event that could not follow, or whose evidence is missing or changed.
pub fn replay(record: &Record, tree: &Tree) -> Result<Ceremony, Finding> {
    let mut ceremony = Ceremony::new(record);
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
    fn new(record: &Record) -> Self {
        Self {
            plan: record.plan.clone(),
            plan_digest: record.plan_digest,
            dir: record.dir.clone(),
            events: Vec::new(),
            heads: record.heads(),
            present: None,
            clock_read: false,
            program: None,
            holders: record.plan.holders.iter().map(|h| (h.handle.clone(), HolderState::default())).collect(),
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
            Deed::Roll { present } => {
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
                step(opened && self.proposal.is_none(), "tokens are identified between opening and proposal")?;
                let planned = self.plan.holder(holder).map(|holder| &holder.token);
                step(
                    planned.is_some_and(|planned| planned.kind == token.kind),
                    "the token is not of the planned kind",
                )?;
                let serial = planned.and_then(|planned| planned.serial);
                step(serial.is_none_or(|serial| serial == token.serial), "the token has not the planned serial")?;
                let taken = self.holders.values().any(|h| h.token.as_ref().is_some_and(|t| t.serial == token.serial));
                step(!taken, "another holder, or this one, has the token already")?;
                let state = self.acting(holder)?;
                // The secrets that were replaced, and the key, are those of the token identified before.
                step(!state.provisioned, "the token of a holder changes only before its secrets are replaced")?;
                state.token = Some(token.clone());
            }
            Deed::Provisioned { holder, serial } => {
                let state = self.acting(holder)?;
                let same = state.token.as_ref().is_some_and(|token| token.serial == *serial);
                step(same && state.key.is_none() && !state.provisioned, "a token is provisioned once, before its key")?;
                state.provisioned = true;
            }
            Deed::GenerateIntent { holder, serial, .. } => {
                let state = self.acting(holder)?;
                let same = state.token.as_ref().is_some_and(|token| token.serial == *serial);
                step(
                    same && state.provisioned && state.key.is_none(),
                    "a key is generated once, on a provisioned token",
                )?;
                step(!state.generate_intent, "generating began before")?;
                state.generate_intent = true;
            }
            Deed::Generated { holder, serial, fingerprint } => {
                let key = self.published_key(event, holder, *fingerprint, tree)?;
                let taken = self.holders.values().any(|state| state.key.as_ref() == Some(&key));
                step(!taken, "another holder has this key")?;
                let state = self.acting(holder)?;
                let same = state.token.as_ref().is_some_and(|token| token.serial == *serial);
                step(same && state.key.is_none(), "a key is generated once, on the identified token")?;
                if !state.generate_intent {
                    return Err((Check::IntentDone, "a key was generated without its intent".to_string()));
                }
                state.key = Some(key);
            }
            Deed::Vouched { holder, fingerprint, by } => {
                let others = by.iter().all(|other| other != holder && self.is_present(other));
                step(others, "other people who are present vouch for a key")?;
                let state = self.acting(holder)?;
                let same = state.key.as_ref().is_some_and(|key| key.fingerprint() == *fingerprint);
                step(same && state.vouched.is_none(), "a key is vouched for once, after it was generated")?;
                state.vouched = Some(by.clone());
            }
            Deed::Proposed { root, targets, twin } => {
                step(opened && self.proposal.is_none(), "a proposal is made once, after the keys")?;
                let ready = self.taking_part().all(|(_, state)| state.vouched.is_some());
                step(ready, "a holder's key is missing")?;
                let payload = |role: &str, digest: &Digest| {
                    let path = format!("{}/signatures/{role}-{digest}/payload.json", self.dir);
                    let named = event.files.get(&path) == Some(digest);
                    tree.get(&path).and_then(Entry::bytes).filter(|_| named).map(<[u8]>::to_vec)
                };
                let (Some(root), Some(targets)) = (payload("root", root), payload("targets", targets)) else {
                    return Err((Check::LogStep, "it does not name the payloads it proposes".to_string()));
                };
                self.proposal = Some(Proposal { root, targets, twin: twin.clone(), heads: event.after.clone() });
            }
            Deed::Reviewed { root, targets, listener } => {
                step(self.is_proposed(root, targets) && !self.reviewed, "a proposal is reviewed once")?;
                step(self.is_present(listener), "the listener is not present")?;
                self.reviewed = true;
            }
            Deed::SignIntent { holder, serial, root, targets, second_machine } => {
                let fits = self.reviewed && !self.assembled && self.is_proposed(root, targets);
                step(fits, "what was reviewed is signed, before assembly")?;
                let state = self.acting(holder)?;
                let same = state.token.as_ref().is_some_and(|token| token.serial == *serial);
                step(
                    same && state.key.is_some() && !state.signed,
                    "a holder signs once, with the token of the record",
                )?;
                step(state.sign_intent.is_none(), "signing began before")?;
                state.sign_intent = Some(*second_machine);
            }
            Deed::Signed { holder, fingerprint } => {
                let named = self.proposal.as_ref().is_some_and(|proposal| self.names_signatures(event, proposal));
                let state = self.acting(holder)?;
                let same = state.key.as_ref().is_some_and(|key| key.fingerprint() == *fingerprint);
                step(same && !state.signed, "a holder signs once, with the key of the record")?;
                step(named, "it does not name one signature of the root and one of the targets")?;
                if state.sign_intent.is_none() {
                    return Err((Check::IntentDone, "something was signed without its intent".to_string()));
                }
                state.signed = true;
            }
            Deed::Assembled { root } => {
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
                step(usize::try_from(*number) == Ok(self.exceptions.len() + 1), "exceptions are numbered from 1")?;
                step(!self.read_back, "the exceptions were read back before")?;
                step(self.is_known(approved), "whoever approved it is not in the plan")?;
                self.exceptions.push(ExceptionEntry {
                    number: *number,
                    time: event.time,
                    step: event.step.clone(),
                    check: check.clone(),
                    what: what.clone(),
                    remedy: remedy.clone(),
                    approved: approved.clone(),
                });
            }
            Deed::Left { holder, reason } => {
                step(opened && !self.assembled, "holders leave between opening and assembly")?;
                self.acting(holder)?.left = Some(reason.clone());
            }
            Deed::Aborted { reason, .. } => {
                step(!self.has_quorum(), "from quorum on nothing can be abandoned: publish, then supersede")?;
                self.aborted = Some(reason.clone());
            }
            Deed::Chosen { fork, chosen } => {
                step(fork.len() > 1 && fork.contains(chosen), "one of the events of the fork is chosen")?;
            }
        }
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
            | Deed::Signed { holder, .. } => Some(holder),
            _ => None,
        };
        if own == Some(&event.author) {
            Ok(())
        } else {
            refuse("its author is neither the conductor nor the holder it is about")
        }
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

    fn acting(&mut self, holder: &Handle) -> Result<&mut HolderState, Refusal> {
        let present = self.is_present(holder);
        match self.holders.get_mut(holder) {
            Some(state) if present && state.left.is_none() => Ok(state),
            _ => Err((Check::LogStep, format!("{holder} is not a holder who takes part"))),
        }
    }

    fn is_known(&self, handle: &Handle) -> bool {
        self.holders.contains_key(handle) || self.plan.people.iter().any(|person| person.handle == *handle)
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

    /// How many holders must sign so that root and targets are both complete.
    pub fn threshold(&self) -> usize {
        usize::try_from(self.plan.root.threshold.max(self.plan.targets.threshold)).unwrap_or(usize::MAX)
    }

    /// Whether enough holders signed. From here on nothing can be abandoned.
    pub fn has_quorum(&self) -> bool {
        // Each signature is over both payloads, and holders have different keys; the metadata itself is judged by
        // `quorum` when it is assembled and verified.
        self.holders.values().filter(|state| state.signed).count() >= self.threshold()
    }

    /// How many holders gave the words of the digest from another machine.
    pub fn second_machines(&self) -> usize {
        self.holders.values().filter(|state| state.signed && state.sign_intent == Some(true)).count()
    }

    /// Whether an exception for `check` stands in the record, at `step` if one is given.
    pub fn admits(&self, check: Check, step: Option<&crate::event::StepId>) -> bool {
        let named = |entry: &&ExceptionEntry| entry.check.as_deref() == Some(check.name());
        self.exceptions.iter().filter(named).any(|entry| step.is_none_or(|step| entry.step == *step))
    }

    /// What comes next.
    pub fn next(&self) -> Next {
        if self.closed {
            return Next::Closed;
        }
        if self.aborted.is_some() {
            return Next::Aborted;
        }
        if self.present.is_none() {
            return Next::Do(Step::Roll);
        }
        if !self.clock_read {
            return Next::Do(Step::Clock);
        }
        if self.program.is_none() {
            return Next::Do(Step::Read);
        }
        if self.proposal.is_none() {
            for (handle, state) in self.taking_part() {
                let handle = handle.clone();
                let unvouched = Step::Unvouched(handle.clone());
                let step = match state {
                    HolderState { token: None, .. } => Step::Token(handle),
                    HolderState { provisioned: false, .. } => Step::Provision(handle),
                    HolderState { key: None, .. } => Step::Generate(handle),
                    HolderState { vouched: None, .. } => Step::Vouch(handle),
                    HolderState { vouched: Some(by), .. }
                        if by.len() < 2 && !self.admits(Check::EnrolUnvouched, Some(&unvouched.id())) =>
                    {
                        unvouched
                    }
                    HolderState { .. } => continue,
                };
                return Next::Do(step);
            }
        }
        // From quorum on the ceremony goes on with whoever is left. A signature counts, whatever its holder did after it.
        let gone = |state: &HolderState| state.signed && state.left.is_some();
        let left = self.taking_part().count() + self.holders.values().filter(|state| gone(state)).count();
        if !self.has_quorum() && left < self.threshold() {
            return Next::Stuck { left, threshold: self.threshold() };
        }
        if self.proposal.is_none() {
            return Next::Do(Step::Propose);
        }
        if !self.reviewed {
            return Next::Do(Step::Review);
        }
        if !self.assembled {
            if let Some((handle, _)) = self.taking_part().find(|(_, state)| !state.signed) {
                return Next::Do(Step::Sign(handle.clone()));
            }
            if self.second_machines() < self.threshold() && !self.admits(Check::ReviewOneMachine, None) {
                return Next::Do(Step::OneMachine);
            }
            return Next::Do(Step::Assemble);
        }
        if self.verified.is_none() {
            return Next::Do(Step::Verify);
        }
        if self.published.is_none() {
            return Next::Do(Step::Publish);
        }
        if !self.read_back {
            return Next::Do(Step::ReadBack);
        }
        Next::Do(Step::Close)
    }
}
