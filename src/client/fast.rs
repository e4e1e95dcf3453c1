//! Signature checks with aws-lc, three to five times as fast as the portable ones. What they accept is the same.
//!
//! The strict forms of signatures and keys are decided in the core, before any verifier is asked. One difference is left
//! and is made good here: an Ed25519 signature whose `R` is of small order, which only the key's holder can make, is
//! refused by the strict portable check and accepted by aws-lc.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use trustroot_core::key::{Algorithm, PublicKey};
use trustroot_core::payload::Payload;
use trustroot_core::signature::{Portable, Verifier};

/// Checks ECDSA P-256 and Ed25519 with aws-lc, and rarer kinds with [`Portable`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Fast;

/// The canonical encodings of the points whose order divides 8 (RFC 8032, 5.1.2), without their sign.
const SMALL: [[u8; 32]; 5] = [
    [0; 32],
    *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
];

fn is_small(point: &[u8]) -> bool {
    SMALL.iter().any(|small| point.len() == 32 && point[..31] == small[..31] && point[31] & 0x7f == small[31])
}

/// The point of a P-256 key: the end of the DER, uncompressed, 1 + 2 * 32 bytes.
fn p256(key: &PublicKey) -> Option<UnparsedPublicKey<&[u8]>> {
    let spki = key.spki_der();
    let point = spki.get(spki.len().checked_sub(65)?..)?;
    Some(UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point))
}

impl Verifier for Fast {
    fn verify(&self, key: &PublicKey, payload: &[u8], signature: &[u8]) -> bool {
        match key.algorithm() {
            Algorithm::EcdsaP256 => p256(key).is_some_and(|key| key.verify(payload, signature).is_ok()),
            Algorithm::Ed25519 => {
                let Some(bytes) = key.ed25519_bytes() else { return false };
                signature.len() == 64
                    && !is_small(&signature[..32])
                    && UnparsedPublicKey::new(&ED25519, bytes).verify(payload, signature).is_ok()
            }
            _ => Portable.verify(key, payload, signature),
        }
    }

    fn verify_payload(&self, key: &PublicKey, payload: &Payload, signature: &[u8]) -> bool {
        if !matches!(key.algorithm(), Algorithm::EcdsaP256) {
            return self.verify(key, payload.bytes(), signature);
        }
        // ECDSA signs the digest, which a payload made of its own bytes.
        let digest = Digest::import_less_safe(payload.digest().as_bytes(), &SHA256);
        let verified = |key: UnparsedPublicKey<_>| key.verify_digest(&digest.ok()?, signature).ok();
        p256(key).and_then(verified).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::Signer as _;
    use p256::ecdsa::{Signature, SigningKey};

    #[test]
    fn the_small_points_are_those_that_the_core_refuses_as_keys() {
        for small in SMALL {
            for sign in [0, 0x80] {
                let mut point = small;
                point[31] |= sign;
                assert!(is_small(&point));
                assert!(PublicKey::from_ed25519(&point).is_err(), "{point:02x?}");
            }
        }
        assert!(!is_small(ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes()));
    }

    /// Both verifiers say this of a signature.
    #[track_caller]
    fn both(key: &PublicKey, message: &[u8], signature: &[u8], holds: bool) {
        assert_eq!((Fast.verify(key, message, signature), Portable.verify(key, message, signature)), (holds, holds));
    }

    #[test]
    fn what_holds_for_one_verifier_holds_for_the_other() {
        for number in 1..=40_u8 {
            let message = vec![number; usize::from(number) * 7];
            let ec = SigningKey::from_slice(&[number; 32]).unwrap();
            let public = PublicKey::from_p256_point(ec.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
            let signature: Signature = ec.sign(&message);
            let negated = Signature::from_scalars(signature.r().to_bytes(), (-*signature.s()).to_bytes()).unwrap();
            for form in [signature, negated] {
                both(&public, &message, form.to_der().as_bytes(), true);
                both(&public, b"other", form.to_der().as_bytes(), false);
            }
            let ed = ed25519_dalek::SigningKey::from_bytes(&[number; 32]);
            let public = PublicKey::from_ed25519(ed.verifying_key().as_bytes()).unwrap();
            let mut signature = ed.sign(&message).to_bytes();
            both(&public, &message, &signature, true);
            both(&public, b"other", &signature, false);
            let bit = usize::from(number) * 11 % 512;
            signature[bit / 8] ^= 1 << (bit % 8);
            both(&public, &message, &signature, false);
        }
    }

    #[test]
    fn a_payload_is_its_bytes() {
        let payload = Payload::from_canonical(br#"{"a":1}"#).unwrap();
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let p256 = PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
        let ed = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let ed25519 = PublicKey::from_ed25519(ed.verifying_key().as_bytes()).unwrap();
        let sign = |message: &[u8]| {
            let ecdsa: Signature = key.sign(message);
            [(&p256, ecdsa.to_der().as_bytes().to_vec()), (&ed25519, ed.sign(message).to_bytes().to_vec())]
        };
        for (message, holds) in [(payload.bytes(), true), (&b"{}"[..], false)] {
            for (key, signature) in sign(message) {
                assert_eq!(Fast.verify_payload(key, &payload, &signature), holds);
                assert_eq!(Portable.verify_payload(key, &payload, &signature), holds);
            }
        }
    }

    /// A second spelling of a good signature: `S + L` in place of `S` (RFC 8032, 5.1.7).
    #[test]
    fn ed25519_with_s_beyond_the_order() {
        let ed = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        let public = PublicKey::from_ed25519(ed.verifying_key().as_bytes()).unwrap();
        let mut signature = ed.sign(b"").to_bytes();
        let order =
            *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";
        let mut carry = 0;
        for (s, l) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*s) + u16::from(l) + carry;
            *s = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        both(&public, b"", &signature, false);
    }
}
