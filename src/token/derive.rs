//! Keys and numbers derived from a seed, for rehearsals and throw-away keys. The same inputs give the same keys.

use p256::ecdsa::SigningKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// 32 bytes for this purpose from these parts. Each part is preceded by its length, so no two lists collide.
pub(super) fn bytes(label: &str, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha256::new();
    for part in [b"trustroot derivation 1".as_slice(), label.as_bytes()].iter().chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Zeroizing::new(hash.finalize().into())
}

/// A P-256 key. Bytes that are no scalar of the curve (zero, or not below its order) are rejected and the next taken,
/// so every key is equally likely.
pub(super) fn p256(label: &str, parts: &[&[u8]]) -> SigningKey {
    let mut n: u64 = 0;
    loop {
        let counter = n.to_be_bytes();
        let candidate = bytes(label, &[parts, &[&counter]].concat());
        if let Ok(key) = SigningKey::from_slice(candidate.as_slice()) {
            return key;
        }
        n += 1;
    }
}

/// An Ed25519 key.
pub(super) fn ed25519(label: &str, parts: &[&[u8]]) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&bytes(label, parts))
}
