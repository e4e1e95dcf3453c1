//! Where chance comes from: the system, or the seed of a rehearsal.

use trustroot_core::digest::Digest;

use super::failure::{Failure, Kind};
use crate::seams::Entropy;

/// The system's source.
pub(super) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn below(&mut self, bound: u32, _purpose: &str, _about: &Digest) -> u32 {
        // Which words are asked for is no secret; if the system has no chance to give, the first ones are.
        let drawn = getrandom::u64().unwrap_or(0);
        reduce(drawn, bound)
    }
}

/// A source that follows from a seed: the same question about the same digest draws the same number.
pub(super) struct SeededEntropy(pub(super) [u8; 32]);

impl Entropy for SeededEntropy {
    fn below(&mut self, bound: u32, purpose: &str, about: &Digest) -> u32 {
        let mut input = self.0.to_vec();
        input.extend_from_slice(about.as_bytes());
        input.extend_from_slice(purpose.as_bytes());
        let digest = Digest::of(&input);
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        reduce(u64::from_be_bytes([a, b, c, d, e, f, g, h]), bound)
    }
}

/// A number below `bound`; the bias of the remainder is below 2^-32.
fn reduce(drawn: u64, bound: u32) -> u32 {
    u32::try_from(drawn % u64::from(bound.max(1))).unwrap_or(0)
}

/// 32 bytes from the system.
///
/// # Errors
/// The system has none to give.
pub(super) fn fresh() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Kind::Surroundings, format!("the system gives no randomness: {error}")))?;
    Ok(bytes)
}
