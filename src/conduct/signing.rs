//! Act "sign": each holder, beyond the threshold too, signs root and targets with one PIN. That every new key signs the
//! new root is the proof that its holder has it.

use std::collections::BTreeMap;

use trustroot_core::check::Check;
use trustroot_core::event::Deed;
use trustroot_core::payload::Payload;
use trustroot_core::plan::TokenKind;
use trustroot_core::review::Review;
use trustroot_core::sigfile::{SignatureFile, SignedRole};
use trustroot_core::signature::Signed;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;

use super::{Conductor, Halt, Leave, Stand, WordsAsked};
use crate::seams::{Answer, Form, Question, SlotState, TokenError, Tone};

impl Conductor<'_> {
    /// With `old` the key is one of the root before that the new root no longer names.
    pub(super) fn sign(&mut self, step: &Step, stand: &Stand, holder: &Handle, old: bool) -> Result<(), Leave> {
        let ceremony = &stand.ceremony;
        let states = if old { &ceremony.old } else { &ceremony.holders };
        let (Some(proposal), Some(state)) = (&ceremony.proposal, states.get(holder)) else {
            return Err(Halt::Bug("nothing is proposed for signing".to_owned()).into());
        };
        let Some(key) = &state.key else {
            return Err(Halt::Bug(format!("{holder} has no key to sign with")).into());
        };
        self.plug_in(step, stand, holder, old)?;
        let Some(sitting) = &mut self.sitting else { return Err(Leave::Again) };
        // The token is known by its key before any try of the PIN is spent.
        match sitting.token.inspect() {
            Ok(SlotState::Occupied(found)) if found == *key => {}
            Ok(_) => return self.token_trouble(stand, step, holder, TokenError::NoKey),
            Err(error) => return self.token_trouble(stand, step, holder, error),
        }
        let serial = sitting.token.facts().serial;

        let asked = WordsAsked {
            step,
            name: "second-machine",
            who: holder,
            digest: proposal.root_digest(),
            what: "the root's digest, as ANOTHER machine shows them",
            optional: true,
        };
        let second_machine = self.words(stand, asked)?;
        let review = Review::of(proposal.root.clone(), proposal.targets.clone());
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "consent",
            who: holder.clone(),
            prompt: "Sign root and targets; this cannot be undone".into(),
            form: Form::Consent { word: Review::WORD },
            affirms: Some(review.affirms()),
        };
        let (root, targets) = loop {
            let Answer::Line(line) = self.ask(stand, &question)? else { continue };
            match review.consent(&line, proposal.root_digest()) {
                Ok(reviewed) => break reviewed,
                Err(refusal) => {
                    self.say(Tone::Trouble, format!("{refusal}."))?;
                    self.say(Tone::Hint, "Type the word in full, or press ! if something is wrong.")?;
                }
            }
        };
        let mut pin = self.pin(step, stand, holder)?;
        if state.sign_intent.is_none() {
            let deed = Deed::SignIntent {
                holder: holder.clone(),
                serial,
                root: proposal.root_digest(),
                targets: proposal.targets_digest(),
                second_machine,
                old,
            };
            self.commit(stand, step.id(), self.hands(stand, holder), deed, BTreeMap::new())?;
        }
        let stand = &self.stand()?;

        let both = loop {
            let Some(mut sitting) = self.sitting.take() else { return Err(Leave::Again) };
            let kind = sitting.token.facts().kind;
            let announce = |what: &str| match kind {
                TokenKind::Virtual => format!("Touch the token now: {what}. (Virtual: nothing to touch.)"),
                TokenKind::Yubikey => format!("Touch the token now: {what}."),
                TokenKind::Pkcs11 => format!("The token signs {what}. If it asks for a button or a touch, give it."),
            };
            let touch = kind == TokenKind::Yubikey;
            let mut both = Vec::new();
            let mut signature =
                self.touched(touch, announce("1 of 2, the root"), || sitting.token.sign_root(&root, &pin))?;
            if let Ok(made) = signature {
                both.push((SignedRole::Root, proposal.root.clone(), made));
                signature = self
                    .touched(touch, announce("2 of 2, the targets"), || sitting.token.sign_targets(&targets, &pin))?;
            }
            sitting.pin = Some(pin);
            self.sitting = Some(sitting);
            match signature {
                Ok(made) => {
                    both.push((SignedRole::Targets, proposal.targets.clone(), made));
                    break both;
                }
                // Asked for again on the spot: what was read and consented to still stands.
                Err(error @ TokenError::WrongPin { .. }) => {
                    self.wrong_pin(&error)?;
                    pin = self.pin(step, stand, holder)?;
                }
                Err(error) => return self.token_trouble(stand, step, holder, error),
            }
        };
        self.sitting = None;

        let mut evidence = BTreeMap::new();
        for (role, payload, signature) in both {
            let payload = Payload::from_canonical(&payload).map_err(|fault| Halt::Bug(fault.to_string()))?;
            // Checked by the core before it becomes an event: a token or a driver may be wrong.
            let Ok(signed) = Signed::check(key, &payload, &signature, self.room.verifier) else {
                let error = TokenError::Device(format!("its signature of {role} does not verify"));
                return self.token_trouble(stand, step, holder, error);
            };
            let file = SignatureFile::new(role, &signed, &signature);
            evidence.insert(format!("{}/{}", ceremony.dir, file.path()), file.to_canonical());
        }
        self.say(Tone::Done, format!("{holder} signed root and targets; both signatures verify."))?;
        let deed = Deed::Signed { holder: holder.clone(), fingerprint: key.fingerprint(), old };
        self.commit(stand, step.id(), self.hands(stand, holder), deed, evidence)
    }

    pub(super) fn one_machine(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let (read, needed) = (stand.ceremony.second_machines(), stand.ceremony.threshold());
        let what = format!("{read} holders read the digest from another machine; {needed} were needed.");
        let remedy = "Verify the published root from other machines before anybody relies on it.";
        self.log_exception(stand, step.id(), Some(Check::ReviewOneMachine), what, remedy.to_owned())
    }
}
