//! Throw-away keys, which sign one twin and are forgotten.
//!
//! They follow from 32 bytes that the caller gives: random ones in a ceremony, the seed in a rehearsal. They are wiped
//! when they are dropped, are never written, and can sign nothing but a twin.

use p256::ecdsa::signature::Signer as _;
use trustroot_core::key::{Algorithm, PublicKey};
use trustroot_core::twin::Twin;
use zeroize::Zeroizing;

use super::derive;
use crate::seams::{ThrowAwayKey, ThrowAwayKeys};

/// A source of throw-away keys.
pub struct SeededThrowAwayKeys {
    seed: Zeroizing<[u8; 32]>,
    made: u64,
}

impl SeededThrowAwayKeys {
    /// Keys that follow from `seed`; each call of `replace` makes another.
    pub fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        Self { seed, made: 0 }
    }
}

impl ThrowAwayKeys for SeededThrowAwayKeys {
    fn replace(&mut self, original: &PublicKey) -> Box<dyn ThrowAwayKey> {
        Box::new(self.make(original))
    }
}

impl SeededThrowAwayKeys {
    /// An Ed25519 key stands in for Ed25519, a P-256 key for all else: other kinds are for reading old roots, and no
    /// twin is made of those.
    fn make(&mut self, original: &PublicKey) -> SeededThrowAwayKey {
        loop {
            self.made += 1;
            let number = self.made.to_be_bytes();
            let parts: [&[u8]; 2] = [self.seed.as_slice(), &number];
            let made = match original.algorithm() {
                Algorithm::Ed25519 => {
                    let key = derive::ed25519("throw-away", &parts);
                    PublicKey::from_ed25519(key.verifying_key().as_bytes())
                        .map(|public| (Private::Ed25519(key), public))
                }
                Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::RsaPss => {
                    let key = derive::p256("throw-away", &parts);
                    let point = key.verifying_key().to_sec1_point(false);
                    PublicKey::from_p256_point(point.as_bytes()).map(|public| (Private::P256(key), public))
                }
            };
            // A key that the core calls weak is one in 2^250; the next one is taken then.
            if let Ok((private, public)) = made {
                return SeededThrowAwayKey { private, public };
            }
        }
    }
}

enum Private {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

struct SeededThrowAwayKey {
    private: Private,
    public: PublicKey,
}

impl ThrowAwayKey for SeededThrowAwayKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, twin: &Twin) -> Vec<u8> {
        self.private.sign(twin.bytes())
    }
}

impl Private {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A twin cannot be made outside the core's own proof, so the private half is tried on plain bytes.
    #[test]
    fn each_kind_signs_for_its_public_half() {
        let message = b"a twin";
        let ed25519 = PublicKey::from_ed25519(derive::ed25519("original", &[]).verifying_key().as_bytes()).unwrap();
        let point = derive::p256("original", &[]).verifying_key().to_sec1_point(true);
        let p256 = PublicKey::from_p256_point(point.as_bytes()).unwrap();
        let mut keys = SeededThrowAwayKeys::new(Zeroizing::new([7; 32]));
        for original in [&ed25519, &p256, &ed25519, &p256] {
            let key = keys.make(original);
            assert_eq!(key.public.algorithm(), original.algorithm());
            assert_ne!(key.public, *original);
            assert!(super::super::tests::verifies(&key.public, message, &key.private.sign(message)));
            assert!(!super::super::tests::verifies(&key.public, b"another", &key.private.sign(message)));
        }
    }

    #[test]
    fn no_key_is_made_twice_and_a_seed_gives_the_same_ones() {
        let original = PublicKey::from_ed25519(derive::ed25519("original", &[]).verifying_key().as_bytes()).unwrap();
        let publics = |seed| {
            let mut keys = SeededThrowAwayKeys::new(Zeroizing::new([seed; 32]));
            (0..4).map(|_| keys.replace(&original).public().clone()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(publics(1).len(), 4);
        assert_eq!(publics(1), publics(1));
        assert!(publics(1).is_disjoint(&publics(2)));
    }
}
