//! Acts "propose" and "review": the payloads are built and linted, their twin is signed with throw-away keys and given to
//! two clients, and what will be signed is read aloud and read back. No PIN is asked for before this is done.

use std::collections::BTreeMap;

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::event::Deed;
use trustroot_core::key::PublicKey;
use trustroot_core::lint;
use trustroot_core::metadata::Role;
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
        let online = self.online_keys(stand)?;
        let built =
            proposal::build(ceremony, &online).map_err(|fault| refused(Check::ProposalBuilt, &fault.to_string()))?;
        let now = self.room.clock.now(stand.record.last_time());
        let mut findings = lint::lint(&lint::Proposal {
            root: built.root.bytes(),
            targets: built.targets.bytes(),
            old_root: None,
            old_targets: None,
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

    /// Signs the twin of the whole set to threshold and gives it to our own client and to the judges.
    fn twin(&mut self, stand: &Stand, built: &Built, now: Timestamp) -> Result<Vec<String>, Leave> {
        let plan = &stand.ceremony.plan;
        let mut stand_ins: BTreeMap<PublicKey, Box<dyn ThrowAwayKey>> = BTreeMap::new();
        let throw_away = &mut *self.room.throw_away;
        let twins = TwinSet::of(None, built.root.bytes(), built.targets.bytes(), &mut |original| {
            let key = throw_away.replace(original);
            let public = key.public().clone();
            stand_ins.insert(public.clone(), key);
            public
        })
        .map_err(|fault| no_twin(&fault))?;

        // Exactly the threshold signs: a role that needs one signature more than it says would be found here.
        let sign = |twin: &Twin, role: Role, threshold: u32| {
            let signers = twins.signers(role).into_iter().take(usize::try_from(threshold).unwrap_or(usize::MAX));
            twin.file(signers.filter_map(|(keyid, key)| Some((keyid, stand_ins.get(&key)?.sign(twin)))))
        };
        let root = sign(twins.root(), Role::Root, plan.root.threshold);
        let targets = sign(twins.targets(), Role::Targets, plan.targets.threshold);
        let snapshot = twins.snapshot(1, plan.snapshot.expires, &targets).map_err(|fault| no_twin(&fault))?;
        let snapshot = sign(&snapshot, Role::Snapshot, 1);
        let timestamp = twins.timestamp(1, plan.timestamp.expires, 1, &snapshot).map_err(|fault| no_twin(&fault))?;
        let timestamp = sign(&timestamp, Role::Timestamp, 1);
        let files = BTreeMap::from([
            ("1.root.json".to_owned(), root.clone()),
            ("1.targets.json".to_owned(), targets),
            ("1.snapshot.json".to_owned(), snapshot),
            ("timestamp.json".to_owned(), timestamp),
        ]);
        self.clients(&root, &files, now)
    }

    /// Our own trusted set and every judge refresh from these files to the end; their names.
    pub(super) fn clients(
        &mut self,
        root: &[u8],
        files: &BTreeMap<String, Vec<u8>>,
        now: Timestamp,
    ) -> Result<Vec<String>, Leave> {
        super::finish::refresh_ours(root, files, now, self.room.verifier).map_err(|refusal| {
            let finding = Finding::new(Level::Refused, Check::ClientOurs, "our own client", refusal.to_string());
            Halt::Refused(vec![finding.hint("look for a mistake of the plan or of the program")])
        })?;
        let mut names = vec![self.room.program.version.clone()];
        for judge in self.room.judges {
            judge.refresh(root, files, now).map_err(|reason| {
                let what = trustroot_core::page::Text::own("it refused: ").and_foreign(reason);
                let finding = Finding::new(Level::Refused, Check::ClientOther, judge.name(), what);
                Halt::Refused(vec![
                    finding.hint("nothing was signed; mend the plan, or look for a mistake of the program"),
                ])
            })?;
            names.push(judge.name());
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

fn no_twin(fault: &TwinFault) -> Halt {
    refused(Check::ProposalBuilt, &fault.to_string())
}

fn refused(check: Check, what: &str) -> Halt {
    let finding = Finding::new(Level::Refused, check, "the proposal", trustroot_core::page::Text::foreign(what));
    Halt::Refused(vec![finding.hint("mend the plan and hold another ceremony, or hand in the key that is missing")])
}
