//! Keys in slots: making, importing, moving, describing, attesting, and signing with them.

use super::{Answer, Card};
use crate::apdu::status;
use crate::attest::{self, Statement};
use crate::der::{length, read, read_all, tlv};
use crate::keys::Key;
use crate::keys::algorithm::{ED25519, P256, P384, RSA3072, RSA4096};
use crate::state::{ATTESTATION_SLOT, Secret, Slot};

const MANAGEMENT_KEY: u8 = 0x9b;

/// The first value with this tag.
fn value<'a>(tags: &[(u16, &'a [u8])], tag: u16) -> Option<&'a [u8]> {
    tags.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value)
}

fn is_slot(slot: u8) -> bool {
    matches!(slot, 0x9a | 0x9c | 0x9d | 0x9e | 0x82..=0x95 | ATTESTATION_SLOT)
}

/// Policies of PIN and touch as the tags AA and AB give them, or as the slot has them by itself.
fn policies(slot: u8, tags: &[(u16, &[u8])]) -> Result<(u8, u8), u16> {
    let given = |tag| match value(tags, tag) {
        None => Ok(0),
        Some([policy @ 0..=3]) => Ok(*policy),
        Some(_) => Err(status::BAD_DATA),
    };
    let pin = match (given(0xaa)?, slot) {
        (0, 0x9c) => 3,
        (0, 0x9e) => 1,
        (0, _) => 2,
        (policy, _) => policy,
    };
    Ok((pin, given(0xab)?.max(1)))
}

impl Card {
    /// GENERAL AUTHENTICATE: the management key's, or a signature.
    pub(super) fn authenticate(&mut self, algorithm: u8, slot: u8, data: &[u8], has_fresh_pin: bool) -> Answer {
        let Some((0x7c, body, _)) = read(data) else { return Err(status::BAD_DATA) };
        let tags = read_all(body).ok_or(status::BAD_DATA)?;
        let [witness, challenge, response] = [0x80, 0x81, 0x82].map(|tag| value(&tags, tag));
        if slot == MANAGEMENT_KEY {
            return self.authenticate_administrator(algorithm, witness, challenge, response);
        }
        // The attestation key signs attestations and nothing else.
        if slot == ATTESTATION_SLOT {
            return Err(status::WRONG_SLOT);
        }
        let held = self.state.slots.get(&slot).cloned().ok_or(status::NO_REFERENCE)?;
        if held.algorithm != algorithm {
            return Err(status::BAD_DATA);
        }
        let is_allowed = match held.pin {
            1 => true,
            2 => self.session.has_pin,
            _ => self.session.has_pin && has_fresh_pin,
        };
        if !is_allowed {
            return Err(status::NOT_SATISFIED);
        }
        let message = challenge.ok_or(status::BAD_DATA)?;
        self.touch(held.touch)?;
        let mut signature = held.key().and_then(|key| key.sign(message)).ok_or(status::BAD_DATA)?;
        if self.faults.bad_signatures
            && let Some(last) = signature.last_mut()
        {
            *last ^= 1;
        }
        Ok(tlv(0x7c, &tlv(0x82, &signature)))
    }

    /// GENERATE ASYMMETRIC KEY PAIR. As on the real device, a key that is there is overwritten.
    pub(super) fn generate(&mut self, p1: u8, slot: u8, data: &[u8]) -> Answer {
        if p1 != 0 {
            return Err(status::BAD_P1_P2);
        }
        self.may_change(slot)?;
        let Some((0xac, body, _)) = read(data) else { return Err(status::BAD_DATA) };
        let tags = read_all(body).ok_or(status::BAD_DATA)?;
        let Some([algorithm]) = value(&tags, 0x80) else { return Err(status::BAD_DATA) };
        self.knows(*algorithm)?;
        let policies = policies(slot, &tags)?;
        let key = Key::generate(*algorithm).ok_or(status::BAD_DATA)?;
        self.state.slots.insert(slot, Slot::new(*algorithm, policies, true, &key));
        self.store()?;
        let public = key.public_tlv();
        Ok([&[0x7f, 0x49][..], &length(public.len()), &public].concat())
    }

    /// IMPORT ASYMMETRIC KEY.
    pub(super) fn import(&mut self, algorithm: u8, slot: u8, data: &[u8]) -> Answer {
        self.may_change(slot)?;
        self.knows(algorithm)?;
        let tags = read_all(data).ok_or(status::BAD_DATA)?;
        let secret = match algorithm {
            P256 | P384 => value(&tags, 0x06).map(<[u8]>::to_vec),
            ED25519 => value(&tags, 0x07).map(<[u8]>::to_vec),
            _ => value(&tags, 0x01).zip(value(&tags, 0x02)).map(|(p, q)| [p, q].concat()),
        };
        let key = secret.and_then(|secret| Key::from_bytes(algorithm, &secret)).ok_or(status::BAD_DATA)?;
        self.state.slots.insert(slot, Slot::new(algorithm, policies(slot, &tags)?, false, &key));
        self.store()?;
        Ok(Vec::new())
    }

    /// MOVE KEY, and DELETE KEY where it is moved to FF.
    pub(super) fn move_key(&mut self, to: u8, from: u8) -> Answer {
        if self.state.model.firmware < [5, 7, 0] {
            return Err(status::NO_INSTRUCTION);
        }
        self.may_change(from)?;
        if to != 0xff && !is_slot(to) {
            return Err(status::WRONG_SLOT);
        }
        let key = self.state.slots.remove(&from).ok_or(status::NO_REFERENCE)?;
        if to != 0xff {
            self.state.slots.insert(to, key);
        }
        self.store()?;
        Ok(Vec::new())
    }

    /// GET METADATA, of a slot or of a secret. No try is spent.
    pub(super) fn metadata(&self, slot: u8) -> Answer {
        if self.state.model.firmware < [5, 3, 0] {
            return Err(status::NO_INSTRUCTION);
        }
        let secret = |secret: &Secret| {
            let default = tlv(5, &[u8::from(secret.is_default)]);
            [tlv(1, &[0xff]), default, tlv(6, &[secret.most, secret.tries])].concat()
        };
        match slot {
            0x80 => Ok(secret(&self.state.pin)),
            0x81 => Ok(secret(&self.state.puk)),
            MANAGEMENT_KEY => {
                let key = &self.state.management;
                let default = tlv(5, &[u8::from(key.is_default)]);
                Ok([tlv(1, &[key.algorithm]), tlv(2, &[0, key.touch]), default].concat())
            }
            _ => {
                let held = self.state.slots.get(&slot).ok_or(status::NO_REFERENCE)?;
                let key = held.key().ok_or(status::CONDITIONS)?;
                let origin = if held.is_generated { 1 } else { 2 };
                let policies = tlv(2, &[held.pin, held.touch]);
                Ok([tlv(1, &[held.algorithm]), policies, tlv(3, &[origin]), tlv(4, &key.public_tlv())].concat())
            }
        }
    }

    /// ATTEST: only keys that were made here.
    pub(super) fn attest(&self, slot: u8) -> Answer {
        if !is_slot(slot) || slot == ATTESTATION_SLOT {
            return Err(status::WRONG_SLOT);
        }
        let held = self.state.slots.get(&slot).ok_or(status::NO_REFERENCE)?;
        if !held.is_generated && !self.faults.imported {
            return Err(status::CONDITIONS);
        }
        let device = self.state.slots.get(&ATTESTATION_SLOT).and_then(Slot::key).ok_or(status::NO_REFERENCE)?;
        let key = if self.faults.other_key { Key::generate(held.algorithm) } else { held.key() };
        let (model, faults) = (&self.state.model, &self.faults);
        let (pin, touch) = faults.policies.unwrap_or((held.pin, held.touch));
        let statement = Statement {
            slot,
            firmware: faults.firmware.unwrap_or(model.firmware),
            serial: faults.serial.unwrap_or(model.serial),
            pin,
            touch,
            form_factor: model.marked_form_factor(),
            fips: model.fips,
            cspn: model.cspn,
        };
        Ok(attest::slot(&device, &key.ok_or(status::CONDITIONS)?.spki(), &statement))
    }

    /// Whether a slot may be changed now.
    fn may_change(&self, slot: u8) -> Result<(), u16> {
        if !is_slot(slot) {
            return Err(status::WRONG_SLOT);
        }
        if self.session.is_administrator { Ok(()) } else { Err(status::NOT_SATISFIED) }
    }

    /// Whether this firmware knows a kind of key.
    fn knows(&self, algorithm: u8) -> Result<(), u16> {
        let is_new = matches!(algorithm, ED25519 | RSA3072 | RSA4096);
        if is_new && self.state.model.firmware < [5, 7, 0] { Err(status::BAD_DATA) } else { Ok(()) }
    }
}
