//! Acts "propose" and "review": the payloads are built and linted, their twin is signed with throw-away keys and given to
//! two clients, and what will be signed is read aloud and read back. No PIN is asked for before this is done.

use std::collections::BTreeMap;

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::defunct::abandoned;
use trustroot_core::event::Deed;
use trustroot_core::key::PublicKey;
use trustroot_core::lint;
use trustroot_core::metadata::Role;
use trustroot_core::plan::OnlineRole;
use trustroot_core::proposal::{self, Built};
use trustroot_core::step::Step;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::twin::{Twin, TwinFault, TwinSet};

use super::{Conductor, Halt, Leave, Stand, WordsAsked};
use crate::seams::{Form, Question, ThrowAwayKey, Tone};

impl Conductor<'_> {
    pub(super) fn propose(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        self.rivals(step, stand)?;
        let before = ceremony.before.as_deref();
        let online = self.online_keys(stand)?;
        let built =
            proposal::build(ceremony, &online).map_err(|fault| refused(Check::ProposalBuilt, &fault.to_string()))?;
        let now = self.room.clock.now(stand.record.last_time());
        let mut findings = lint::lint(&lint::Proposal {
            root: built.root.bytes(),
            targets: built.targets.bytes(),
            old_root: before.map(|before| &before.root),
            old_targets: before.and_then(|before| before.targets.as_ref()),
            now,
        });
        for finding in findings.iter().filter(|finding| finding.level < Level::Refused) {
            self.say(Tone::Note, finding.to_string())?;
        }
        findings.retain(|finding| finding.level == Level::Refused);
        if !findings.is_empty() {
            return Err(Halt::Refused(findings).into());
        }
        self.say(Tone::Done, "Root and targets are built, and every lint passes.")?;

        let twin = self.twin(stand, &built, now)?;
        self.say(Tone::Done, format!("The twin, with throw-away keys, is accepted by {}.", twin.join(" and ")))?;

        let (root, targets) = (built.root.digest(), built.targets.digest());
        let mut evidence = BTreeMap::from([
            (format!("{}/signatures/root-{root}/payload.json", ceremony.dir), built.root.bytes().to_vec()),
            (format!("{}/signatures/targets-{targets}/payload.json", ceremony.dir), built.targets.bytes().to_vec()),
        ]);
        for (name, key) in &online {
            let dir = ceremony.key_dir(name, key.fingerprint());
            evidence.insert(format!("{dir}/public.pem"), key.to_pem().into_bytes());
        }
        let hands = self.hands_of_conductor(stand);
        self.commit(stand, step.id(), hands, Deed::Proposed { root, targets, twin }, evidence)
    }

    /// An abandoned ceremony that left signatures on another root of this version stands in the record, before anybody signs.
    fn rivals(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        if stand.ceremony.admits(Check::RivalPossible, None) {
            return Ok(());
        }
        let version = stand.ceremony.before.as_ref().map_or(1, |before| before.root.version().saturating_add(1));
        let found = abandoned(&stand.head.tree, version, self.room.verifier);
        if found.is_empty() {
            return Ok(());
        }
        for defunct in &found {
            self.say(Tone::Trouble, format!("RIVAL-POSSIBLE: {}.", defunct.what()))?;
        }
        let what = found.iter().map(|defunct| format!("{}.", defunct.what())).collect::<Vec<_>>().join(" ");
        let remedy = "Nobody signs the old payload any more; whoever verifies is told of it.";
        self.log_exception(stand, step.id(), Some(Check::RivalPossible), what, remedy.to_owned())?;
        Err(Leave::Again)
    }

    /// Signs the twin of the whole set to threshold and gives it to our own client and to the judges. Where a root is
    /// continued, they start from a twin of the one before; and clients in the middle of their requests, who do not see the new
    /// root yet, have to find files that fit as well.
    fn twin(&mut self, stand: &Stand, built: &Built, now: Timestamp) -> Result<Vec<String>, Leave> {
        let (plan, before) = (&stand.ceremony.plan, stand.ceremony.before.as_deref());
        let mut stand_ins: BTreeMap<PublicKey, Box<dyn ThrowAwayKey>> = BTreeMap::new();
        let throw_away = &mut *self.room.throw_away;
        let predecessor = before.map(|before| before.root.payload().bytes());
        let twins = TwinSet::of(predecessor, built.root.bytes(), built.targets.bytes(), &mut |original| {
            let key = throw_away.replace(original);
            let public = key.public().clone();
            stand_ins.insert(public.clone(), key);
            public
        })
        .map_err(|fault| no_twin(&fault))?;

        // Exactly the threshold signs: a role that needs one signature more than it says would be found here.
        let enough = |signers: BTreeMap<String, PublicKey>, threshold: usize| signers.into_iter().take(threshold);
        let old = |role: Role| {
            let threshold = before.map_or(0, |before| before.threshold(role));
            enough(twins.predecessor_signers(role), threshold)
        };
        let sign = |twin: &Twin, role: Role, threshold: u32, also: bool| {
            let new = enough(twins.signers(role), usize::try_from(threshold).unwrap_or(usize::MAX));
            let signers: BTreeMap<String, PublicKey> = new.chain(old(role).filter(|_| also)).collect();
            twin.file(signers.into_iter().filter_map(|(keyid, key)| Some((keyid, stand_ins.get(&key)?.sign(twin)))))
        };
        let root = sign(twins.root(), Role::Root, plan.root.threshold, true);
        let targets = sign(twins.targets(), Role::Targets, plan.targets.threshold, true);
        let snapshot = twins.snapshot(1, plan.snapshot.expires, &targets).map_err(|fault| no_twin(&fault))?;
        let snapshot = sign(&snapshot, Role::Snapshot, 1, overlaps(&plan.snapshot));
        let timestamp = twins.timestamp(1, plan.timestamp.expires, 1, &snapshot).map_err(|fault| no_twin(&fault))?;
        let timestamp = sign(&timestamp, Role::Timestamp, 1, overlaps(&plan.timestamp));
        let name = format!("{}.root.json", twins.root_version());
        let mut files = BTreeMap::from([
            (name, root.clone()),
            (format!("{}.targets.json", twins.targets_version()), targets),
            ("1.snapshot.json".to_owned(), snapshot),
            ("timestamp.json".to_owned(), timestamp),
        ]);
        let (Some(twin), Some(version)) = (twins.predecessor(), twins.predecessor_version()) else {
            return self.clients(&[root], &files, now);
        };
        let first =
            twin.file(old(Role::Root).filter_map(|(keyid, key)| Some((keyid, stand_ins.get(&key)?.sign(twin)))));
        files.insert(format!("{version}.root.json"), first.clone());
        let names = self.clients(std::slice::from_ref(&first), &files, now)?;
        if overlaps(&plan.snapshot) && overlaps(&plan.timestamp) {
            // A root that has expired is followed all the same, but nobody is in the middle of anything there.
            if before.is_some_and(|before| before.root.expires() > now) {
                self.in_the_middle(&first, &files, now)?;
            }
        }
        Ok(names)
    }

    pub(super) fn online_public(&self, name: &Handle) -> Result<PublicKey, Leave> {
        match self.room.online.get(name) {
            Some(key) => Ok(key.public().clone()),
            None => Err(Halt::Online { name: name.clone(), reason: "it was not handed in".to_owned() }.into()),
        }
    }

    fn online_keys(&self, stand: &Stand) -> Result<BTreeMap<Handle, PublicKey>, Leave> {
        let plan = &stand.ceremony.plan;
        // The key that signs once more is asked for now: found missing later, it would be missing after the quorum.
        for (role, planned) in [(Role::Snapshot, &plan.snapshot), (Role::Timestamp, &plan.timestamp)] {
            let (Some(name), Some(before)) = (&planned.before, &stand.ceremony.before) else { continue };
            if !before.keys(role).contains(&self.online_public(name)?) {
                let reason = format!("it is not the key that root {} gives the role {role}", before.root.version());
                return Err(Halt::Online { name: name.clone(), reason }.into());
            }
        }
        let names = [&plan.snapshot.key, &plan.timestamp.key];
        names.into_iter().map(|name| Ok((name.clone(), self.online_public(name)?))).collect()
    }

    pub(super) fn review(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        let Some(proposal) = &ceremony.proposal else {
            return Err(Halt::Bug("nothing is proposed for review".to_owned()).into());
        };
        let seats = &ceremony.plan.seats;
        let (root, targets) = (proposal.root_digest(), proposal.targets_digest());
        let listener = seats.scribe.clone();
        let asked = WordsAsked {
            step,
            name: "words",
            who: &listener,
            digest: root,
            what: "the root's payload digest, as read aloud",
            optional: false,
        };
        self.words(stand, asked)?;
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "objections",
            who: seats.conductor.clone(),
            prompt: "Any objections? If somebody objects, press !".into(),
            form: Form::Consent { word: "none" },
            affirms: Some(root),
        };
        self.consent(stand, &question, "none")?;
        let hands = self.hands_of_conductor(stand);
        self.commit(stand, step.id(), hands, Deed::Reviewed { root, targets, listener }, BTreeMap::new())
    }
}

/// Whether what the role signs now fits the root before as well.
fn overlaps(role: &OnlineRole) -> bool {
    role.keeps.is_some() || role.before.is_some()
}

fn no_twin(fault: &TwinFault) -> Halt {
    refused(Check::ProposalBuilt, &fault.to_string())
}

fn refused(check: Check, what: &str) -> Halt {
    let finding = Finding::new(Level::Refused, check, "the proposal", trustroot_core::page::Text::foreign(what));
    Halt::Refused(vec![finding.hint("mend the plan and hold another ceremony, or hand in the key that is missing")])
}
