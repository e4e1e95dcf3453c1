//! The management key: proving it, and replacing it.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};

use super::{Answer, Card};
use crate::apdu::status;
use crate::der::tlv;
use crate::keys::random;
use crate::state::ManagementKey;

const TDES: u8 = 0x03;
const AES128: u8 = 0x08;
const AES192: u8 = 0x0a;
const AES256: u8 = 0x0c;

impl Card {
    /// GENERAL AUTHENTICATE with the management key: both sides prove it, or only the host. The arguments are the values of
    /// the tags witness, challenge and response.
    pub(super) fn authenticate_administrator(
        &mut self,
        algorithm: u8,
        witness: Option<&[u8]>,
        challenge: Option<&[u8]>,
        response: Option<&[u8]>,
    ) -> Answer {
        if algorithm != self.state.management.algorithm {
            return Err(status::BAD_DATA);
        }
        let key = hex::decode(&self.state.management.key).map_err(|_| status::CONDITIONS)?;
        let n = block_length(algorithm);
        let encrypted = |block: &[u8]| encrypt(algorithm, &key, block).ok_or(status::BAD_DATA);
        let answer = |tag, value: &[u8]| Ok(tlv(0x7c, &tlv(tag, value)));
        match (witness, challenge, response) {
            // Both sides: the witness is asked for, then its answer comes with a challenge.
            (Some([]), None, _) => {
                let fresh = random::<16>()[..n].to_vec();
                let shown = encrypted(&fresh)?;
                (self.session.witness, self.session.challenge) = (Some(fresh), None);
                answer(0x80, &shown)
            }
            (Some(witness), Some(challenge), _) => {
                let mine = self.session.witness.take().ok_or(status::CONDITIONS)?;
                if mine != witness || challenge.len() != n {
                    return Err(status::NOT_SATISFIED);
                }
                let proof = encrypted(challenge)?;
                self.touch(self.state.management.touch)?;
                self.session.is_administrator = true;
                answer(0x82, &proof)
            }
            // The host alone: the challenge is asked for, then its answer comes.
            (None, Some([]), None) => {
                let fresh = random::<16>()[..n].to_vec();
                (self.session.witness, self.session.challenge) = (None, Some(fresh.clone()));
                answer(0x81, &fresh)
            }
            (None, None, Some(response)) => {
                let mine = self.session.challenge.take().ok_or(status::CONDITIONS)?;
                if encrypted(&mine)? != response {
                    return Err(status::NOT_SATISFIED);
                }
                self.touch(self.state.management.touch)?;
                self.session.is_administrator = true;
                Ok(Vec::new())
            }
            _ => Err(status::BAD_DATA),
        }
    }

    /// SET MANAGEMENT KEY.
    pub(super) fn set_management_key(&mut self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        if !self.session.is_administrator {
            return Err(status::NOT_SATISFIED);
        }
        let touch = match (p1, p2) {
            (0xff, 0xff) => 1,
            (0xff, 0xfe) => 2,
            (0xff, 0xfd) => 3,
            _ => return Err(status::BAD_P1_P2),
        };
        let [algorithm, 0x9b, n, key @ ..] = data else { return Err(status::BAD_DATA) };
        let wanted = match *algorithm {
            TDES | AES192 => 24,
            AES128 => 16,
            AES256 => 32,
            _ => return Err(status::BAD_DATA),
        };
        // AES came with firmware 5.4.
        let is_too_new = *algorithm != TDES && self.state.model.firmware < [5, 4, 0];
        if usize::from(*n) != wanted || key.len() != wanted || is_too_new {
            return Err(status::BAD_DATA);
        }
        self.state.management =
            ManagementKey { algorithm: *algorithm, key: hex::encode(key), touch, is_default: false };
        self.store()?;
        Ok(Vec::new())
    }
}

fn block_length(algorithm: u8) -> usize {
    if algorithm == TDES { 8 } else { 16 }
}

fn encrypt(algorithm: u8, key: &[u8], block: &[u8]) -> Option<Vec<u8>> {
    macro_rules! by {
        ($cipher:ty) => {{
            let mut block = block.try_into().ok()?;
            <$cipher>::new_from_slice(key).ok()?.encrypt_block(&mut block);
            Some(block.to_vec())
        }};
    }
    match algorithm {
        TDES => by!(des::TdesEde3),
        AES128 => by!(aes::Aes128),
        AES192 => by!(aes::Aes192),
        AES256 => by!(aes::Aes256),
        _ => None,
    }
}
