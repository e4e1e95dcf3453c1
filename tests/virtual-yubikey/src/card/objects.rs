//! Data objects: certificates, and what clients keep on the card.

use super::{Answer, Card, PIV, PIV_SUFFIX};
use crate::apdu::status;
use crate::attest;
use crate::der::{read, tlv};
use crate::state::{ATTESTATION_OBJECT, ATTESTATION_SLOT};

impl Card {
    /// GET DATA.
    pub(super) fn get_data(&self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        if (p1, p2) != (0x3f, 0xff) {
            return Err(status::BAD_P1_P2);
        }
        let Some((0x5c, tag, _)) = read(data) else { return Err(status::BAD_DATA) };
        match tag {
            // The discovery object: the PIN of the application is the one that counts.
            [0x7e] => {
                let name = tlv(0x4f, &[PIV, &PIV_SUFFIX].concat());
                Ok(tlv(0x7e, &[&name[..], &[0x5f, 0x2f, 0x02, 0x40, 0x00]].concat()))
            }
            // Printed information, where the vendor's clients keep a management key under the PIN; fingerprints, face, iris.
            [0x5f, 0xc1, 0x03 | 0x08 | 0x09 | 0x21] if !self.session.has_pin => Err(status::NOT_SATISFIED),
            _ if self.faults.stranger && hex::encode(tag) == ATTESTATION_OBJECT => {
                let key = self.state.slots.get(&ATTESTATION_SLOT).and_then(|slot| slot.key());
                let (model, key) = (&self.state.model, key.ok_or(status::NOT_FOUND)?);
                let forged = attest::device_by_a_stranger(model.line, &key, model.firmware);
                Ok(tlv(0x53, &[tlv(0x70, &forged), tlv(0x71, &[0]), tlv(0xfe, &[])].concat()))
            }
            _ => {
                let value = self.state.objects.get(&hex::encode(tag)).ok_or(status::NOT_FOUND)?;
                Ok(tlv(0x53, &hex::decode(value).map_err(|_| status::CONDITIONS)?))
            }
        }
    }

    /// PUT DATA; an empty value removes the object.
    pub(super) fn put_data(&mut self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        if (p1, p2) != (0x3f, 0xff) {
            return Err(status::BAD_P1_P2);
        }
        if !self.session.is_administrator {
            return Err(status::NOT_SATISFIED);
        }
        let Some((0x5c, tag @ [_, _, _], rest)) = read(data) else { return Err(status::BAD_DATA) };
        let Some((0x53, value, _)) = read(rest) else { return Err(status::BAD_DATA) };
        if value.is_empty() {
            self.state.objects.remove(&hex::encode(tag));
        } else {
            self.state.objects.insert(hex::encode(tag), hex::encode(value));
        }
        self.store()?;
        Ok(Vec::new())
    }
}
