//! Acts "assemble", "verify", "publish" and "close".

use std::collections::BTreeMap;

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::Deed;
use trustroot_core::metadata::build::new_key_id;
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::targets::Targets;
use trustroot_core::metadata::{Metadata, Refusal, Role};
use trustroot_core::page::closing;
use trustroot_core::payload::Payload;
use trustroot_core::plan::OnlineRole;
use trustroot_core::proposal::{Online, filed};
use trustroot_core::review::OnlinePayload;
use trustroot_core::sigfile::{SignedRole, collect};
use trustroot_core::signature::Verifier;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;
use trustroot_core::trusted::{Floor, TrustedRoot};
use trustroot_core::verify::roots::root_number;

use super::{Conductor, Halt, Hands, Leave, Stand};
use crate::seams::{Form, Pin, PinReset, Question, TokenError, TokenState, Tone};

impl Conductor<'_> {
    pub(super) fn assemble(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        let plan = &ceremony.plan;
        let Some(proposed) = &ceremony.proposal else {
            return Err(Halt::Bug("nothing is proposed for assembly".to_owned()).into());
        };
        let keys = ceremony.signing_keys();
        let finished = |role, bytes: &[u8]| -> Result<Vec<u8>, Leave> {
            let payload = Payload::from_canonical(bytes).map_err(|fault| Halt::Bug(fault.to_string()))?;
            let collected = collect(&stand.head.tree, &ceremony.dir, role, &payload, &keys, self.room.verifier);
            if !collected.findings.is_empty() {
                return Err(Halt::Record(collected.findings).into());
            }
            Ok(assemble(&payload, filed(ceremony, role, collected.valid)))
        };
        let root = finished(SignedRole::Root, &proposed.root)?;
        let targets = finished(SignedRole::Targets, &proposed.targets)?;
        self.are_proposed(stand)?;
        let bug = |fault: trustroot_core::metadata::build::BuildFault| Halt::Bug(fault.to_string());
        let online = Online::of(&stand.head.tree, plan);
        let versions = versions(stand)?;
        let mut pins = BTreeMap::new();
        let snapshot = online.snapshot(plan, versions.1, &targets).map_err(bug)?;
        let snapshot = self.sign_online(step, stand, &mut pins, (Role::Snapshot, &plan.snapshot), &snapshot)?;
        let timestamp = online.timestamp(plan, &snapshot).map_err(bug)?;
        let timestamp = self.sign_online(step, stand, &mut pins, (Role::Timestamp, &plan.timestamp), &timestamp)?;
        drop(pins);

        let now = self.room.clock.now(stand.record.last_time());
        let made = BTreeMap::from([
            (format!("{}.root.json", versions.0), root),
            (format!("{}.targets.json", versions.1), targets),
            (format!("{}.snapshot.json", online.next_snapshot()), snapshot),
            ("timestamp.json".to_owned(), timestamp),
        ]);
        let (mut files, roots) = served(&stand.head.tree);
        files.extend(made.clone());
        let start = roots.last().or(files.get("1.root.json")).cloned().unwrap_or_default();
        refresh_ours(&start, &files, now, self.room.verifier)
            .map_err(|refusal| Halt::Signed(vec![refusal.finding().clone()]))?;
        let evidence = made.into_iter().map(|(name, bytes)| (format!("root/{name}"), bytes)).collect();
        let hands = self.hands_of_conductor(stand);
        self.say(Tone::Done, "Root, targets, snapshot and timestamp are complete.")?;
        let timestamp = Some(online.next_timestamp()).filter(|version| *version > 1);
        let deed = Deed::Assembled { root: proposed.root_digest(), timestamp };
        self.commit(stand, step.id(), hands, deed, evidence)
    }

    /// The online keys at hand are those that holders signed into the root.
    fn are_proposed(&self, stand: &Stand) -> Result<(), Leave> {
        let plan = &stand.ceremony.plan;
        for name in [&plan.snapshot.key, &plan.timestamp.key] {
            let key = self.online_public(name)?;
            let path = format!("{}/public.pem", stand.ceremony.key_dir(name, key.fingerprint()));
            if stand.head.tree.get(&path).and_then(|entry| entry.bytes()) != Some(key.to_pem().as_bytes()) {
                let reason = format!("the key {} is not the one that was proposed and signed", key.fingerprint());
                return Err(Halt::Online { name: name.clone(), reason }.into());
            }
        }
        Ok(())
    }

    /// Signs with the role's key and, for one overlap, with the key that the root before gives the role.
    fn sign_online(
        &mut self,
        step: &Step,
        stand: &Stand,
        pins: &mut BTreeMap<Handle, Pin>,
        (role, planned): (Role, &OnlineRole),
        payload: &Payload,
    ) -> Result<Vec<u8>, Leave> {
        let online = OnlinePayload::new(payload.bytes().to_vec()).map_err(|fault| Halt::Bug(fault.to_string()))?;
        let mut signatures = Vec::new();
        for name in [Some(&planned.key), planned.before.as_ref()].into_iter().flatten() {
            let public = self.online_public(name)?;
            let signature = self.sign_with(step, stand, pins, name, &online)?;
            let mut ids: Vec<String> = stand.ceremony.before.iter().flat_map(|b| b.key_ids(role, &public)).collect();
            if *name == planned.key {
                let reason = "metadata has no form for its kind".to_owned();
                ids.push(new_key_id(&public).ok_or_else(|| Halt::Online { name: name.clone(), reason })?);
            }
            signatures.extend(ids.into_iter().map(|id| (id, signature.clone())));
        }
        Ok(assemble(payload, signatures))
    }

    /// Signs with the online key `name`. A PIN that it needs is asked for once, and kept in `pins` for this assembly.
    fn sign_with(
        &mut self,
        step: &Step,
        stand: &Stand,
        pins: &mut BTreeMap<Handle, Pin>,
        name: &Handle,
        online: &OnlinePayload,
    ) -> Result<Vec<u8>, Leave> {
        let fails = |reason: String| Halt::Online { name: name.clone(), reason };
        let key = self.room.online.get(name).ok_or_else(|| fails("it was not handed in".to_owned()))?;
        loop {
            let state = key.locked().map_err(|error| fails(format!("{error}; {}", error.hint())))?;
            if let Some(state) = state.filter(|_| !pins.contains_key(name)) {
                let pin = match (state.pin_tries.may_try(), key.has_pin_pad()) {
                    (false, _) => {
                        let error = TokenError::PinBlocked { tries: state.pin_tries, reset: PinReset::Officer };
                        return Err(fails(format!("{error}; {}", error.hint())).into());
                    }
                    (true, true) => {
                        let line = format!("Type the PIN of the online key \"{name}\" on its token's own pad.");
                        self.say(Tone::Note, line)?;
                        Pin::on_pad()
                    }
                    (true, false) => self.online_pin(step, stand, name, state)?,
                };
                pins.insert(name.clone(), pin);
            }
            let made = match pins.get(name) {
                Some(pin) => {
                    self.wait(format!("Signing with the online key \"{name}\"."), || key.sign(online, Some(pin)))?
                }
                None => key.sign(online, None),
            };
            match made {
                Ok(signature) => return Ok(signature),
                Err(error @ TokenError::WrongPin { .. }) => {
                    pins.remove(name);
                    self.say(Tone::Trouble, format!("{error}."))?;
                }
                Err(error) => return Err(fails(format!("{error}; {}", error.hint())).into()),
            }
        }
    }

    fn online_pin(&mut self, step: &Step, stand: &Stand, name: &Handle, state: TokenState) -> Result<Pin, Leave> {
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "online-pin",
            who: stand.ceremony.plan.seats.conductor.clone(),
            prompt: format!("The PIN of the online key \"{name}\"; tries left: {}", state.pin_tries).into(),
            form: Form::Secret { min: 1, max: 255 },
            affirms: None,
        };
        Ok(self.room.audience.secret(&question, false)?)
    }

    /// Clients that stopped at any root, from the first to the newest, refresh to the end.
    pub(super) fn verify(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let assembled = stand.ceremony.events.iter().find(|logged| matches!(logged.event.deed, Deed::Assembled { .. }));
        for path in assembled.into_iter().flat_map(|logged| logged.event.files.keys()) {
            if stand.head.tree.get(path).and_then(|entry| entry.bytes()).is_none() {
                let finding = Finding::new(Level::Refused, Check::MetaMissing, path.clone(), "it is missing");
                return Err(Halt::Record(vec![finding.hint("restore it from git")]).into());
            }
        }
        let (files, roots) = served(&stand.head.tree);
        let now = self.room.clock.now(stand.record.last_time());
        let clients = self.clients(&roots, &files, now).map_err(|leave| match leave {
            Leave::Halt(Halt::Refused(findings)) => Leave::Halt(Halt::Signed(findings)),
            other => other,
        })?;
        self.say(Tone::Done, format!("Refreshed to the end by {}.", clients.join(" and ")))?;
        let hands = self.hands_of_conductor(stand);
        self.commit(stand, step.id(), hands, Deed::Verified { clients }, BTreeMap::new())
    }

    pub(super) fn publish(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        let Some(proposed) = &ceremony.proposal else {
            return Err(Halt::Bug("nothing is proposed for publication".to_owned()).into());
        };
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "consent",
            who: ceremony.plan.seats.conductor.clone(),
            prompt: "Publish, if nobody objects; this cannot be undone".into(),
            form: Form::Consent { word: "publish" },
            affirms: Some(proposed.root_digest()),
        };
        self.consent(stand, &question, "publish")?;
        let tag = format!("{}-root-{}", ceremony.dir.trim_start_matches("ceremony/"), versions(stand)?.0);
        let hands = self.hands_of_conductor(stand);
        self.commit(stand, step.id(), hands, Deed::Published { tag }, BTreeMap::new())
    }

    /// Makes the tag of the publication, right after its event; again and to no effect if the program stopped in between.
    pub(super) fn tag(&mut self, stand: &Stand, tag: &str) -> Result<(), Halt> {
        let Some(proposed) = &stand.ceremony.proposal else { return Ok(()) };
        let time = stand.record.last_time().unwrap_or(stand.ceremony.plan.day);
        let mark = if stand.ceremony.plan.rehearsal { "REHEARSAL. Nothing here is to be trusted.\n\n" } else { "" };
        let digest = proposed.root_digest();
        let version = stand.ceremony.before.as_ref().map_or(1, |before| before.root.version().saturating_add(1));
        let message = format!("Root {version} of {}\n\n{mark}Root payload digest: {digest}\n", self.dir);
        Ok(self.room.ledger.tag(tag, &message, time)?)
    }

    pub(super) fn exceptions(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        let scribe = ceremony.plan.seats.scribe.clone();
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "accept",
            who: scribe.clone(),
            prompt: "Accept the list, if nothing is missing".into(),
            form: Form::Consent { word: "accepted" },
            affirms: None,
        };
        self.consent(stand, &question, "accepted")?;
        let exceptions = u32::try_from(ceremony.exceptions.len()).unwrap_or(u32::MAX);
        let hands = Hands::of(&scribe, [ceremony.plan.seats.conductor.clone()]);
        self.commit(stand, step.id(), hands, Deed::ReadBack { exceptions }, BTreeMap::new())
    }

    pub(super) fn close(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let evidence = closing::pages(&stand.ceremony, &stand.record, &self.room.program.version);
        let hands = self.hands_of_conductor(stand);
        let deed = Deed::Closed { program: self.room.program.version.clone() };
        self.commit(stand, step.id(), hands, deed, evidence)?;
        let digest = stand.ceremony.proposal.as_ref().map(|proposal| proposal.root_digest());
        let digest = digest.as_ref().map_or_else(String::new, Digest::to_string);
        self.say(Tone::Done, format!("The record is closed. Root payload digest: {digest}"))
    }
}

/// The versions of the proposed root and targets.
fn versions(stand: &Stand) -> Result<(u64, u64), Halt> {
    let proposed = stand.ceremony.proposal.as_ref().ok_or_else(|| Halt::Bug("nothing is proposed".to_owned()))?;
    let bug = |refusal: Refusal| Halt::Bug(refusal.to_string());
    let root = Metadata::<Root>::of_payload("the proposed root", &proposed.root).map_err(bug)?;
    let targets = Metadata::<Targets>::of_payload("the proposed targets", &proposed.targets).map_err(bug)?;
    Ok((root.version(), targets.version()))
}

/// What `root/` serves, by name, and its numbered roots in order.
fn served(tree: &Tree) -> (BTreeMap<String, Vec<u8>>, Vec<Vec<u8>>) {
    let named = tree.iter().filter_map(|(path, entry)| Some((path.strip_prefix("root/")?, entry.bytes()?)));
    let metadata = named.filter(|(name, _)| !name.contains('/') && name.ends_with(".json"));
    let files: BTreeMap<String, Vec<u8>> = metadata.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
    let numbered: BTreeMap<u64, Vec<u8>> =
        files.iter().filter_map(|(name, bytes)| Some((root_number(name)?, bytes.clone()))).collect();
    (files, numbered.into_values().collect())
}

/// Our own client's refresh from `root` over `files`, to the end.
pub(super) fn refresh_ours(
    root: &[u8],
    files: &BTreeMap<String, Vec<u8>>,
    now: Timestamp,
    verifier: &dyn Verifier,
) -> Result<(), Refusal> {
    let file = |name: &str| {
        let missing = || Refusal::new(Check::MetaMissing, name, "it is missing");
        files.get(name).map(Vec::as_slice).ok_or_else(missing)
    };
    let mut trusted = TrustedRoot::pinned(root, verifier)?;
    while let Some(next) = files.get(&format!("{}.root.json", trusted.metadata().version() + 1)) {
        trusted = trusted.advance(next, verifier)?;
    }
    let timestamp = trusted.at(now)?.timestamp(file("timestamp.json")?, &Floor::none(), verifier)?;
    let version = timestamp.metadata().body().snapshot().version;
    let snapshot = timestamp.snapshot(file(&format!("{version}.snapshot.json"))?, verifier)?;
    let version = snapshot.metadata().body().meta().get("targets.json").map_or(1, |meta| meta.version);
    snapshot.targets(file(&format!("{version}.targets.json"))?, verifier)?;
    Ok(())
}
