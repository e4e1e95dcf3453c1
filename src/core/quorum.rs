//! Quorum: the one place where a threshold is counted.
//!
//! Rules:
//! 1. Different *public keys* are counted, never key ids: one key under two ids is one key.
//! 2. Only keys of the role count, and only for the payload at hand.
//! 3. [`RoleKeys`] cannot hold a threshold of 0, nor one that its keys can never reach.

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::payload::Payload;
use crate::signature::Signed;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// The keys of a role and how many of them must sign (TUF 4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleKeys {
    keys: BTreeSet<PublicKey>,
    threshold: usize,
}

/// Why keys and a threshold make no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleFault {
    /// A threshold of 0: anything would pass.
    #[error("a threshold of 0, which anything would meet")]
    Zero,
    /// A threshold that the keys cannot reach.
    #[error("a threshold of {threshold} with {keys} different usable keys, which can never be met")]
    Beyond {
        /// The threshold.
        threshold: u64,
        /// How many different keys there are that can be verified with.
        keys: usize,
    },
}

impl RoleKeys {
    /// The role with these keys, repeated ones taken once.
    ///
    /// # Errors
    /// [`RoleFault`]: no signature could be judged by such a role.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, threshold: u64) -> Result<Self, RoleFault> {
        let keys: BTreeSet<_> = keys.into_iter().collect();
        if threshold == 0 {
            return Err(RoleFault::Zero);
        }
        match usize::try_from(threshold) {
            Ok(reachable) if reachable <= keys.len() => Ok(Self { keys, threshold: reachable }),
            _ => Err(RoleFault::Beyond { threshold, keys: keys.len() }),
        }
    }

    /// The different keys.
    pub fn keys(&self) -> &BTreeSet<PublicKey> {
        &self.keys
    }

    /// How many of them must sign; at least 1 and at most [`Self::keys`].
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}

/// Proof that a quorum of a role signed a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumMet {
    payload: Digest,
    threshold: usize,
    signers: BTreeSet<PublicKey>,
}

impl QuorumMet {
    /// The digest of the payload that was signed.
    pub fn payload(&self) -> Digest {
        self.payload
    }

    /// How many had to sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The keys of the role that signed, at least [`Self::threshold`] of them.
    pub fn signers(&self) -> &BTreeSet<PublicKey> {
        &self.signers
    }
}

/// Too few keys of a role signed a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of the {need} different keys that must sign have signed; {} did not", have.len(), missing.len())]
pub struct Shortfall {
    /// The keys of the role that signed.
    pub have: BTreeSet<PublicKey>,
    /// How many must sign.
    pub need: usize,
    /// The keys of the role that did not sign.
    pub missing: Vec<PublicKey>,
}

/// Counts the keys of `role` that signed `payload`. Anything else in `signed` is passed over.
///
/// # Errors
/// [`Shortfall`], with the keys that are missing.
pub fn quorum(role: &RoleKeys, payload: &Payload, signed: &[Signed]) -> Result<QuorumMet, Shortfall> {
    let signers: BTreeSet<_> = signed
        .iter()
        .filter(|one| one.payload() == payload.digest() && role.keys.contains(one.key()))
        .map(|one| one.key().clone())
        .collect();
    if signers.len() >= role.threshold {
        return Ok(QuorumMet { payload: payload.digest(), threshold: role.threshold, signers });
    }
    let missing = role.keys.difference(&signers).cloned().collect();
    Err(Shortfall { have: signers, need: role.threshold, missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Value;
    use crate::signature::Portable;
    use crate::testing::{Key, ec, ed};
    use proptest::prelude::*;

    fn payload() -> Payload {
        Payload::of(&Value::from("this"))
    }

    fn signed(key: &Key, payload: &Payload) -> Signed {
        Signed::check(&key.public(), payload, &key.sign(payload.bytes()), &Portable).unwrap()
    }

    fn role(keys: &[Key], threshold: u64) -> RoleKeys {
        RoleKeys::new(keys.iter().map(Key::public), threshold).unwrap()
    }

    #[test]
    fn enough() {
        let met =
            quorum(&role(&[ec(1), ed(2)], 2), &payload(), &[signed(&ec(1), &payload()), signed(&ed(2), &payload())]);
        let met = met.unwrap();
        assert_eq!((met.signers().len(), met.threshold(), met.payload()), (2, 2, payload().digest()));
    }

    #[test]
    fn one_key_twice_is_one() {
        let twice = [signed(&ec(1), &payload()), signed(&ec(1), &payload())];
        let short = quorum(&role(&[ec(1), ec(2)], 2), &payload(), &twice).unwrap_err();
        assert_eq!((short.have.len(), short.need), (1, 2));
        assert_eq!(short.missing, [ec(2).public()]);
    }

    #[test]
    fn a_signature_over_another_payload_does_not_count() {
        let other = Payload::of(&Value::from("that"));
        assert!(quorum(&role(&[ec(1)], 1), &payload(), &[signed(&ec(1), &other)]).is_err());
    }

    #[test]
    fn a_key_that_is_not_of_the_role_does_not_count() {
        assert!(quorum(&role(&[ec(1)], 1), &payload(), &[signed(&ec(2), &payload())]).is_err());
    }

    #[test]
    fn a_threshold_of_zero_is_no_role() {
        assert_eq!(RoleKeys::new([ec(1).public()], 0), Err(RoleFault::Zero));
    }

    #[test]
    fn a_threshold_beyond_different_keys_is_no_role() {
        let twice = [ec(1).public(), ec(1).public()];
        assert_eq!(RoleKeys::new(twice, 2), Err(RoleFault::Beyond { threshold: 2, keys: 1 }));
        assert!(matches!(RoleKeys::new([ec(1).public()], u64::MAX), Err(RoleFault::Beyond { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// However often keys sign, a quorum is met exactly when enough different ones of the role did.
        #[test]
        fn different_keys_decide(who in proptest::collection::vec(0u8..6, 0..12), threshold in 1u64..=4) {
            let keys: Vec<Key> = (0..4).map(ed).collect();
            let all: Vec<Signed> = who.iter().map(|n| signed(&ed(*n), &payload())).collect();
            let different: BTreeSet<u8> = who.into_iter().filter(|n| *n < 4).collect();
            let result = quorum(&role(&keys, threshold), &payload(), &all);
            prop_assert_eq!(result.is_ok(), different.len() as u64 >= threshold);
        }
    }
}
