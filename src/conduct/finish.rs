//! Acts "assemble", "verify", "publish" and "close".

use std::collections::BTreeMap;

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::Deed;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::Refusal;
use trustroot_core::metadata::build::new_key_id;
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::page::closing;
use trustroot_core::payload::Payload;
use trustroot_core::proposal;
use trustroot_core::review::OnlinePayload;
use trustroot_core::sigfile::{SignedRole, collect};
use trustroot_core::signature::Verifier;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::trusted::{Floor, TrustedRoot};

use super::{Conductor, Halt, Hands, Leave, Stand};
use crate::seams::{Form, Question, Tone};

/// The names of the published files of a genesis, in `root/`.
const PUBLISHED: [&str; 4] = ["1.root.json", "1.targets.json", "1.snapshot.json", "timestamp.json"];

impl Conductor<'_> {
    pub(super) fn assemble(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        let plan = &ceremony.plan;
        let Some(proposed) = &ceremony.proposal else {
            return Err(Halt::Bug("nothing is proposed for assembly".to_owned()).into());
        };
        let keys: Vec<&PublicKey> = ceremony.holders.values().filter_map(|state| state.key.as_ref()).collect();
        let finished = |role, bytes: &[u8]| -> Result<Vec<u8>, Leave> {
            let payload = Payload::from_canonical(bytes).map_err(|fault| Halt::Bug(fault.to_string()))?;
            let collected = collect(&stand.head.tree, &ceremony.dir, role, &payload, &keys, self.room.verifier);
            if !collected.findings.is_empty() {
                return Err(Halt::Record(collected.findings).into());
            }
            let signatures = collected.valid.into_iter().filter_map(|(key, sig)| Some((new_key_id(&key)?, sig)));
            Ok(assemble(&payload, signatures))
        };
        let root = finished(SignedRole::Root, &proposed.root)?;
        let targets = finished(SignedRole::Targets, &proposed.targets)?;
        self.are_proposed(stand)?;
        let bug = |fault: trustroot_core::metadata::build::BuildFault| Halt::Bug(fault.to_string());
        let snapshot = self.sign_online(&plan.snapshot.key, &proposal::snapshot(plan, &targets).map_err(bug)?)?;
        let timestamp = self.sign_online(&plan.timestamp.key, &proposal::timestamp(plan, &snapshot).map_err(bug)?)?;

        let now = self.room.clock.now(stand.record.last_time());
        let contents = [root.clone(), targets, snapshot, timestamp];
        let files: BTreeMap<String, Vec<u8>> = PUBLISHED.map(str::to_owned).into_iter().zip(contents).collect();
        refresh_ours(&root, &files, now, self.room.verifier)
            .map_err(|refusal| Halt::Signed(vec![refusal.finding().clone()]))?;
        let evidence = files.into_iter().map(|(name, bytes)| (format!("root/{name}"), bytes)).collect();
        let hands = self.hands_of_conductor(stand);
        self.say(Tone::Done, "Root, targets, snapshot and timestamp are complete.")?;
        self.commit(stand, step.id(), hands, Deed::Assembled { root: proposed.root_digest() }, evidence)
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

    fn sign_online(&mut self, name: &Handle, payload: &Payload) -> Result<Vec<u8>, Leave> {
        let public = self.online_public(name)?;
        let online = OnlinePayload::new(payload.bytes().to_vec()).map_err(|fault| Halt::Bug(fault.to_string()))?;
        let fails = |reason: String| Halt::Online { name: name.clone(), reason };
        let key = self.room.online.get(name).ok_or_else(|| fails("it was not handed in".to_owned()))?;
        let signature = key.sign(&online).map_err(|error| fails(error.to_string()))?;
        let keyid = new_key_id(&public).ok_or_else(|| fails("metadata has no form for its kind".to_owned()))?;
        Ok(assemble(payload, [(keyid, signature)]))
    }

    pub(super) fn verify(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let mut files = BTreeMap::new();
        for name in PUBLISHED {
            let Some(bytes) = stand.head.tree.get(&format!("root/{name}")).and_then(|entry| entry.bytes()) else {
                let finding = Finding::new(Level::Refused, Check::MetaMissing, format!("root/{name}"), "it is missing");
                return Err(Halt::Record(vec![finding.hint("restore it from git")]).into());
            };
            files.insert(name.to_owned(), bytes.to_vec());
        }
        let root = files[PUBLISHED[0]].clone();
        let now = self.room.clock.now(stand.record.last_time());
        let clients = self.clients(&root, &files, now).map_err(|leave| match leave {
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
        let tag = format!("{}-root-1", ceremony.dir.trim_start_matches("ceremony/"));
        let hands = self.hands_of_conductor(stand);
        self.commit(stand, step.id(), hands, Deed::Published { tag }, BTreeMap::new())
    }

    /// Makes the tag of the publication, right after its event; again and to no effect if the program stopped in between.
    pub(super) fn tag(&mut self, stand: &Stand, tag: &str) -> Result<(), Halt> {
        let Some(proposed) = &stand.ceremony.proposal else { return Ok(()) };
        let time = stand.record.last_time().unwrap_or(stand.ceremony.plan.day);
        let mark = if stand.ceremony.plan.rehearsal { "REHEARSAL. Nothing here is to be trusted.\n\n" } else { "" };
        let digest = proposed.root_digest();
        let message = format!("Root 1 of {}\n\n{mark}Root payload digest: {digest}\n", self.dir);
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
