//! Keys that nobody attests: taken where the plan names one, and recorded with what their module says of them.

use std::collections::BTreeMap;

use trustroot_core::check::Level;
use trustroot_core::claim::{self, Origin, examine};
use trustroot_core::event::Deed;
use trustroot_core::key::PublicKey;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;

use super::{Conductor, Halt, Leave, Stand};
use crate::seams::{Form, Pkcs11Wanted, Question, TokenError, Tone};

impl Conductor<'_> {
    /// What is known of a token behind a PKCS#11 module; nothing of other tokens. With `old` it is the one of the key that
    /// leaves.
    pub(super) fn behind_module(&self, stand: &Stand, holder: &Handle, old: bool) -> Option<Pkcs11Wanted> {
        let ceremony = &stand.ceremony;
        let token = ceremony.planned_token(holder, old)?;
        let state = if old { ceremony.old.get(holder) } else { ceremony.holders.get(holder) };
        Some(Pkcs11Wanted {
            module: token.module.clone()?,
            label: token.label.clone(),
            algorithm: ceremony.plan.key_kind(token),
            id: token.key.clone(),
            name: format!("{} {holder}", ceremony.dir.trim_start_matches("ceremony/")),
            known: state.and_then(|state| state.key.clone()),
        })
    }

    /// Takes the key that the plan names, which was made before. It is written down before it is taken, as one that is
    /// generated would be.
    pub(super) fn take_key(
        &mut self,
        step: &Step,
        stand: &Stand,
        holder: &Handle,
        key: PublicKey,
        id: &str,
    ) -> Result<(), Leave> {
        let Some(sitting) = &self.sitting else { return Err(Leave::Again) };
        let serial = sitting.token.facts().serial;
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "consent",
            who: holder.clone(),
            prompt: "Take the key that is on this token, which was made before the ceremony".into(),
            form: Form::Consent { word: "take" },
            affirms: Some(key.fingerprint()),
        };
        self.consent(stand, &question, "take")?;
        let deed = Deed::GenerateIntent { holder: holder.clone(), serial, slot: format!("id {id}") };
        self.commit(stand, step.id(), self.hands(stand, holder), deed, BTreeMap::new())?;
        let stand = self.stand()?;
        self.record_claimed(step, &stand, holder, key)
    }

    /// Asks the module what it says of the key, compares it with the record at once, and commits key and claim.
    pub(super) fn record_claimed(
        &mut self,
        step: &Step,
        stand: &Stand,
        holder: &Handle,
        key: PublicKey,
    ) -> Result<(), Leave> {
        let plan = &stand.ceremony.plan;
        let planned = plan.holder(holder).map(|holder| plan.key_kind(&holder.token).algorithm());
        if let Some(planned) = planned.filter(|planned| *planned != key.algorithm()) {
            let error = TokenError::Refused(format!("its key is {}, and the plan has {planned}", key.algorithm()));
            return self.token_trouble(stand, step, holder, error);
        }
        let (facts, claim) = loop {
            let pin = self.pin(step, stand, holder)?;
            let Some(mut sitting) = self.sitting.take() else { return Err(Leave::Again) };
            let said = self.wait("Reading back what the module says of the key.", || sitting.token.claim(&pin))?;
            sitting.pin = Some(pin);
            let facts = sitting.token.facts();
            self.sitting = Some(sitting);
            match said {
                Ok(Some(claim)) => break (facts, claim),
                Ok(None) => return Err(Halt::Bug("a token that cannot attest made no claim".to_owned()).into()),
                Err(error @ TokenError::WrongPin { .. }) => self.wrong_pin(&error)?,
                Err(error) => return self.token_trouble(stand, step, holder, error),
            }
        };
        let expected = claim::Expected { key: &key, token: &facts, origin: Origin::planned(plan, holder) };
        let findings = examine(&claim, &expected, holder.as_str());
        let (fatal, mild): (Vec<_>, Vec<_>) = findings.into_iter().partition(|found| found.level == Level::Refused);
        for finding in &mild {
            self.say(Tone::Note, finding.to_string())?;
        }
        if !fatal.is_empty() {
            for finding in &fatal {
                self.say(Tone::Trouble, finding.to_string())?;
            }
            let names = fatal.iter().map(|finding| finding.check.name()).collect::<Vec<_>>().join(", ");
            let error = TokenError::Refused(format!("its module does not claim what it should ({names})"));
            return self.token_trouble(stand, step, holder, error);
        }
        let fingerprint = key.fingerprint();
        let dir = stand.ceremony.key_dir(holder, fingerprint);
        let evidence = BTreeMap::from([
            (format!("{dir}/public.pem"), key.to_pem().into_bytes()),
            (format!("{dir}/{}", claim::FILE), claim.to_canonical()),
        ]);
        let line = format!("Key {fingerprint}: CLAIMED by the module of token {}, not attested.", facts.serial);
        self.say(Tone::Done, line)?;
        let deed = Deed::Generated { holder: holder.clone(), serial: facts.serial, fingerprint };
        self.commit(stand, step.id(), self.hands(stand, holder), deed, evidence)
    }
}
