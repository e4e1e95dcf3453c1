//! Act "keys": each holder's token, its secrets, its key and attestation, and those who hear the fingerprint.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::attestation::anchor::{Anchors, certificate_to_pem};
use trustroot_core::attestation::verify::{Expected, examine};
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::Deed;
use trustroot_core::key::PublicKey;
use trustroot_core::page::script;
use trustroot_core::plan::{Attestation, PlannedToken, TokenKind};
use trustroot_core::seat::HEARERS;
use trustroot_core::slot::Slot;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;

use super::{Conductor, Halt, Hands, Leave, Stand, WordsAsked};
use crate::seams::{EmptySlot, Form, NewSecrets, Pin, PinReset, Question, SlotState, TokenError, Tone};

/// The shortest and longest PIN that a YubiKey takes, in bytes.
const PIN_LENGTH: (usize, usize) = (6, 8);

impl Conductor<'_> {
    pub(super) fn token(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        self.plug_in(step, stand, holder, false)?;
        let Some(sitting) = &mut self.sitting else { return Err(Leave::Again) };
        let facts = sitting.token.facts();
        let state = match sitting.token.state() {
            Ok(state) => state,
            Err(error) => return self.token_trouble(stand, step, holder, error),
        };
        let taken = stand
            .ceremony
            .holders
            .iter()
            .find(|(_, other)| other.token.as_ref().is_some_and(|token| token.serial == facts.serial));
        if let Some((other, _)) = taken {
            let error = TokenError::Refused(format!("the token with serial {} is {other}'s already", facts.serial));
            return self.token_trouble(stand, step, holder, error);
        }
        let pin = if state.pin_is_default { "the factory's" } else { "its own" };
        let line = format!(
            "Serial {}, firmware {}; PIN: {pin}; tries left: {}.",
            facts.serial, facts.firmware, state.pin_tries
        );
        self.say(Tone::Done, line)?;
        let deed = Deed::Token { holder: holder.clone(), token: facts };
        self.commit(stand, step.id(), self.hands(stand, holder), deed, BTreeMap::new())
    }

    pub(super) fn provision(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        self.plug_in_again(step, stand, holder)?;
        let Some(sitting) = &mut self.sitting else { return Err(Leave::Again) };
        let serial = sitting.token.facts().serial;
        let (state, has_puk) = match sitting.token.state() {
            Ok(state) => (state, sitting.token.has_puk()),
            Err(error) => return self.token_trouble(stand, step, holder, error),
        };
        let empty = match sitting.token.inspect() {
            Ok(slot) => matches!(slot, SlotState::Empty(_)),
            Err(error) => return self.token_trouble(stand, step, holder, error),
        };
        if !empty {
            return self.token_trouble(stand, step, holder, TokenError::Occupied(self.slot(stand, holder).to_string()));
        }
        if state.has_factory_secrets() {
            // A run that was stopped may have replaced the PIN already, and then the PUK: those are asked for as they are.
            let pin = if state.pin_is_default {
                self.new_secret(step, holder, "new-pin", None)?
            } else {
                self.pin(step, stand, holder)?
            };
            let puk = match state.puk {
                Some((true, _)) if has_puk => Some(self.new_secret(step, holder, "new-puk", Some(&pin))?),
                Some((false, tries)) if has_puk => Some(self.known_puk(step, stand, holder, tries)?),
                _ => None,
            };
            let Some(mut sitting) = self.sitting.take() else { return Err(Leave::Again) };
            let done = sitting.token.provision(&NewSecrets { pin: &pin, puk: puk.as_ref() });
            let sitting = self.sitting.insert(sitting);
            match done {
                Ok(()) => {}
                Err(error @ (TokenError::WrongPin { .. } | TokenError::WrongPuk { .. })) if has_puk => {
                    self.wrong_pin(&error)?;
                    return Err(Leave::Again);
                }
                Err(error) => return self.token_trouble(stand, step, holder, error),
            }
            sitting.pin = Some(pin);
            self.say(Tone::Done, "New PIN, PUK and management key are set.")?;
        } else {
            // Its secrets were replaced and the program stopped before it could be written down, or the holder did it at
            // home. Either way the factory PIN is gone and the slot is empty, which is what this step establishes.
            self.say(Tone::Note, "This token has a PIN of its own already, and its slot is empty.")?;
        }
        let deed = Deed::Provisioned { holder: holder.clone(), serial };
        self.commit(stand, step.id(), self.hands(stand, holder), deed, BTreeMap::new())
    }

    pub(super) fn generate(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        self.plug_in_again(step, stand, holder)?;
        let begun = stand.ceremony.holders.get(holder).is_some_and(|state| state.generate_intent);
        let Some(sitting) = &mut self.sitting else { return Err(Leave::Again) };
        let serial = sitting.token.facts().serial;
        let slot = match sitting.token.inspect() {
            Ok(slot) => slot,
            Err(error) => return self.token_trouble(stand, step, holder, error),
        };
        let key = match slot {
            SlotState::Occupied(key) if !begun => {
                if let Some(id) = self.behind_module(stand, holder, false).and_then(|behind| behind.id) {
                    return self.take_key(step, stand, holder, key, &id);
                }
                return self.token_trouble(
                    stand,
                    step,
                    holder,
                    TokenError::Occupied(self.slot(stand, holder).to_string()),
                );
            }
            // The key was made and the program stopped before it could be written down: the intent is in the record,
            // the slot was empty when it was written, and the attestation says that the key was made there.
            SlotState::Occupied(key) => key,
            SlotState::Empty(slot) => {
                let question = Question {
                    step: step.id(),
                    act: step.act(),
                    name: "consent",
                    who: holder.clone(),
                    prompt: "Generate the key on this token; this cannot be undone".into(),
                    form: Form::Consent { word: "generate" },
                    affirms: None,
                };
                self.consent(stand, &question, "generate")?;
                if !begun {
                    let deed = Deed::GenerateIntent { holder: holder.clone(), serial, slot: slot.name().to_owned() };
                    self.commit(stand, step.id(), self.hands(stand, holder), deed, BTreeMap::new())?;
                }
                // The intent moved the ledger; what follows is committed from where it stands now.
                let stand = self.stand()?;
                return self.make_key(step, &stand, holder, slot);
            }
        };
        self.record_key(step, stand, holder, key)
    }

    fn make_key(&mut self, step: &Step, stand: &Stand, holder: &Handle, mut slot: EmptySlot) -> Result<(), Leave> {
        loop {
            let pin = self.pin(step, stand, holder)?;
            let Some(mut sitting) = self.sitting.take() else { return Err(Leave::Again) };
            let made = self.wait("Generating; this takes a few seconds.", || sitting.token.generate(slot, &pin))?;
            sitting.pin = Some(pin);
            let sitting = self.sitting.insert(sitting);
            match made {
                Ok(key) => return self.record_key(step, stand, holder, key),
                Err(error @ TokenError::WrongPin { .. }) => {
                    slot = match sitting.token.inspect() {
                        Ok(SlotState::Empty(slot)) => slot,
                        Ok(SlotState::Occupied(_)) => return Err(Leave::Again),
                        Err(error) => return self.token_trouble(stand, step, holder, error),
                    };
                    self.wrong_pin(&error)?;
                }
                Err(error) => return self.token_trouble(stand, step, holder, error),
            }
        }
    }

    /// Attests the key, verifies the attestation at once, and commits key and certificates; or what a module claims of it,
    /// where the token cannot attest.
    fn record_key(&mut self, step: &Step, stand: &Stand, holder: &Handle, key: PublicKey) -> Result<(), Leave> {
        let Some(sitting) = &mut self.sitting else { return Err(Leave::Again) };
        let facts = sitting.token.facts();
        if !facts.kind.attests() {
            return self.record_claimed(step, stand, holder, key);
        }
        let Some(serial) = facts.serial.number() else {
            return Err(Halt::Bug("a token that attests has a number as its serial".to_owned()).into());
        };
        let files = match sitting.token.attest() {
            Ok(files) => files,
            Err(error) => return self.token_trouble(stand, step, holder, error),
        };
        let plan = &stand.ceremony.plan;
        let slot = self.slot(stand, holder);
        let expected = Expected {
            key: &key,
            serial,
            slot: &slot.to_string(),
            minimum_firmware: plan.tokens.minimum_firmware,
            rehearsal: plan.rehearsal,
            waived: &plan.tokens.waive,
        };
        let examined = examine(&files.slot, &files.device, &[], &expected, &Anchors::pinned());
        let (fatal, mild): (Vec<_>, Vec<_>) =
            examined.findings.into_iter().partition(|finding| finding.level == Level::Refused);
        // The vendor's own odd forms, accepted by name, are listed by `verify`; here they would only distract.
        for finding in mild.iter().filter(|finding| finding.level > Level::Lenient) {
            self.say(Tone::Note, finding.to_string())?;
        }
        if !fatal.is_empty() && plan.tokens.attestation == Attestation::Required {
            for finding in &fatal {
                self.say(Tone::Trouble, finding.to_string())?;
            }
            let names = fatal.iter().map(|finding| finding.check.name()).collect::<Vec<_>>().join(", ");
            let error = TokenError::Refused(format!("its attestation does not hold ({names})"));
            return self.token_trouble(stand, step, holder, error);
        }
        let fingerprint = key.fingerprint();
        let dir = stand.ceremony.key_dir(holder, fingerprint);
        let pem = |der: &[u8]| certificate_to_pem(der).unwrap_or_default().into_bytes();
        let evidence = BTreeMap::from([
            (format!("{dir}/public.pem"), key.to_pem().into_bytes()),
            (format!("{dir}/{}", slot.attestation_file()), pem(&files.slot)),
            (format!("{dir}/f9-intermediate.pem"), pem(&files.device)),
        ]);
        let proved = if fatal.is_empty() { "attested by" } else { "NOT attested, on" };
        self.say(Tone::Done, format!("Key {fingerprint}: {proved} the token {}.", facts.serial))?;
        let deed = Deed::Generated { holder: holder.clone(), serial: facts.serial, fingerprint };
        self.commit(stand, step.id(), self.hands(stand, holder), deed, evidence)
    }

    pub(super) fn vouch(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        let Some(key) = stand.ceremony.holders.get(holder).and_then(|state| state.key.as_ref()) else {
            return Err(Halt::Bug(format!("{holder} has no key to vouch for")).into());
        };
        let fingerprint = key.fingerprint();
        // Who heard it at a machine of their own is not asked again.
        let mut by = stand.ceremony.holders.get(holder).map_or_else(BTreeSet::new, |state| state.heard.clone());
        for who in script::vouchers(&stand.ceremony, holder) {
            if by.len() >= HEARERS || by.contains(&who) {
                continue;
            }
            let asked = WordsAsked {
                step,
                name: "heard",
                who: &who,
                digest: fingerprint,
                what: &format!("the key of {holder}, as you heard them"),
                optional: true,
            };
            if self.words(stand, asked)? {
                by.insert(who);
            }
        }
        self.vouched_by(step, stand, holder, fingerprint, by)
    }

    /// Sums up who heard the key elsewhere, and asks nobody here.
    pub(super) fn vouched(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        let state = stand.ceremony.holders.get(holder);
        let Some((key, heard)) = state.and_then(|state| Some((state.key.as_ref()?, state.heard.clone()))) else {
            return Err(Halt::Bug(format!("{holder} has no key to vouch for")).into());
        };
        self.vouched_by(step, stand, holder, key.fingerprint(), heard)
    }

    fn vouched_by(
        &mut self,
        step: &Step,
        stand: &Stand,
        holder: &Handle,
        fingerprint: Digest,
        by: BTreeSet<Handle>,
    ) -> Result<(), Leave> {
        let hands = Hands::of(holder, by.iter().cloned());
        let deed = Deed::Vouched { holder: holder.clone(), fingerprint, by };
        self.commit(stand, step.id(), hands, deed, BTreeMap::new())
    }

    pub(super) fn unvouched(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        let by = stand.ceremony.holders.get(holder).and_then(|state| state.vouched.as_ref()).map_or(0, BTreeSet::len);
        let what = format!("{by} other people vouched for the key of {holder}; two are asked for.");
        let remedy = "The root carries the key all the same; ask the holder to publish the fingerprint elsewhere.";
        self.log_exception(stand, step.id(), Some(Check::EnrolUnvouched), what, remedy.to_owned())
    }

    // ------------------------------------------------------------------------------------------ the sitting

    /// The holder acts, the scribe checks; at a machine of one's own nobody does.
    pub(super) fn hands(&self, stand: &Stand, holder: &Handle) -> Hands {
        if self.seat.is_some() {
            return Hands::of(holder, []);
        }
        Hands::of(holder, [stand.ceremony.plan.seats.scribe.clone()].into_iter().filter(|scribe| scribe != holder))
    }

    /// The slot that the holder's key gets or is in.
    fn slot(&self, stand: &Stand, holder: &Handle) -> Slot {
        stand.ceremony.planned_token(holder, false).map_or(Slot::SIGNATURE, PlannedToken::slot)
    }

    /// A new PIN, or a new PUK that is not the PIN.
    fn new_secret(
        &mut self,
        step: &Step,
        holder: &Handle,
        name: &'static str,
        unlike: Option<&Pin>,
    ) -> Result<Pin, Leave> {
        let prompt = match unlike {
            None => "A new PIN for this token",
            Some(_) => "A new PUK for this token; it sets a new PIN when the PIN is blocked, and is not the PIN",
        };
        let question = Question {
            step: step.id(),
            act: step.act(),
            name,
            who: holder.clone(),
            prompt: prompt.into(),
            form: Form::Secret { min: PIN_LENGTH.0, max: PIN_LENGTH.1 },
            affirms: None,
        };
        loop {
            let pin = self.room.audience.secret(&question, true)?;
            if unlike.is_none() && pin.expose() == b"123456" {
                self.say(Tone::Trouble, "That is the factory PIN, which everybody knows.")?;
            } else if unlike.is_some() && pin.expose() == b"12345678" {
                self.say(Tone::Trouble, "That is the factory PUK, which everybody knows.")?;
            } else if unlike.is_some_and(|other| other.expose() == pin.expose()) {
                self.say(Tone::Trouble, "That is the PIN; who sees one typed would know both.")?;
            } else if !pin.expose().iter().all(u8::is_ascii_graphic) {
                self.say(
                    Tone::Trouble,
                    "A PIN has no spaces and no accents: a token counts bytes, and keyboards differ.",
                )?;
            } else {
                return Ok(pin);
            }
        }
    }

    /// The PUK that an earlier run set; its last try is never spent.
    fn known_puk(&mut self, step: &Step, stand: &Stand, holder: &Handle, tries: u8) -> Result<Pin, Leave> {
        if tries <= 1 {
            let error = TokenError::PukBlocked { tries };
            return Err(self.token_trouble(stand, step, holder, error).err().unwrap_or(Leave::Again));
        }
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "puk",
            who: holder.clone(),
            prompt: format!("The PUK of this token; tries left: {tries}").into(),
            form: Form::Secret { min: PIN_LENGTH.0, max: PIN_LENGTH.1 },
            affirms: None,
        };
        Ok(self.room.audience.secret(&question, false)?)
    }

    /// The PIN of the sitting, taken out of it; asked for if it was not typed yet. Tries left are shown first, and the last
    /// one is never spent.
    pub(super) fn pin(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<Pin, Leave> {
        let Some(sitting) = &mut self.sitting else { return Err(Leave::Again) };
        if let Some(pin) = sitting.pin.take() {
            return Ok(pin);
        }
        let state = match sitting.token.state() {
            Ok(state) => state,
            Err(error) => return Err(self.token_trouble(stand, step, holder, error).err().unwrap_or(Leave::Again)),
        };
        if state.pin_is_default {
            let what = "its PIN is the factory's, which everybody knows; change it first, by `trustroot token provision` \
                        where the token has no key, else by `ykman piv access change-pin`";
            let error = TokenError::Refused(what.to_owned());
            return Err(self.token_trouble(stand, step, holder, error).err().unwrap_or(Leave::Again));
        }
        if !state.pin_tries.may_try() {
            let error = TokenError::PinBlocked {
                tries: state.pin_tries,
                reset: if sitting.token.facts().kind == TokenKind::Pkcs11 { PinReset::Officer } else { PinReset::Puk },
            };
            return Err(self.token_trouble(stand, step, holder, error).err().unwrap_or(Leave::Again));
        }
        let serial = sitting.token.facts().serial;
        let (min, max) = sitting.token.pin_length();
        if sitting.token.has_pin_pad() {
            self.say(Tone::Note, format!("Type the PIN of token {serial} on its own pad, when it asks."))?;
            return Ok(Pin::on_pad());
        }
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "pin",
            who: holder.clone(),
            prompt: format!("The PIN of token {serial}; tries left: {}", state.pin_tries).into(),
            form: Form::Secret { min, max },
            affirms: None,
        };
        Ok(self.room.audience.secret(&question, false)?)
    }

    /// Says that the PIN was wrong, and forgets it, so that [`Self::pin`] asks again.
    pub(super) fn wrong_pin(&mut self, error: &TokenError) -> Result<(), Leave> {
        if let Some(sitting) = &mut self.sitting {
            sitting.pin = None;
        }
        self.say(Tone::Trouble, format!("{error}."))?;
        match error {
            // Not asked again: what to do then is said next.
            TokenError::WrongPin { tries } if !tries.may_try() => Ok(()),
            _ => self.say(Tone::Hint, format!("{}.", error.hint())),
        }
    }
}
