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
use crate::event::{Deed, Event};
use crate::key::PublicKey;
use crate::predecessor::Predecessor;
use crate::record::Record;
use crate::step::Step;
use crate::text::Handle;
use crate::tree::{Entry, Tree};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

pub use crate::ceremony::{Ceremony, ExceptionEntry, HolderState, Proposal};
pub use crate::next::Next;

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
}
