//! Review: the only way from a proposal to something that a token will sign.
//!
//! A token signs [`Reviewed`] payloads. One is made only by [`Review::consent`], from the word a holder typed under the
//! review page of exactly these bytes. Online keys sign [`OnlinePayload`]s, which only snapshot and timestamp make.

use crate::digest::Digest;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

/// The root role, as a type.
#[derive(Clone, Copy, Debug)]
pub enum Root {}

/// The targets role, as a type.
#[derive(Clone, Copy, Debug)]
pub enum Targets {}

/// A payload of role `R` whose review page was answered with consent.
pub struct Reviewed<R> {
    bytes: Vec<u8>,
    role: PhantomData<R>,
}

impl<R> Reviewed<R> {
    /// The canonical bytes to sign.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// A proposal that is being looked at: the exact bytes of root and targets.
pub struct Review {
    root: Vec<u8>,
    targets: Vec<u8>,
}

/// The word that was typed is not the one that consents, or it was typed under another page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoConsent {
    /// Another word.
    #[error("consent is the word \"{}\", typed in full; nothing was signed", Review::WORD)]
    Word,
    /// Another digest.
    #[error("the answer affirms {affirmed}, the page shows {shown}; nothing was signed")]
    Digest {
        /// What the answer is for.
        affirmed: Digest,
        /// What was shown.
        shown: Digest,
    },
}

impl Review {
    /// The word that consents.
    pub const WORD: &'static str = "sign";

    /// The review of these canonical payloads.
    pub fn of(root: Vec<u8>, targets: Vec<u8>) -> Self {
        Self { root, targets }
    }

    /// The payload digest of the root: what the page shows, what is read aloud, and what an answer affirms.
    pub fn affirms(&self) -> Digest {
        Digest::of(&self.root)
    }

    /// The answered page.
    ///
    /// # Errors
    /// Any other word, or an answer to another page.
    pub fn consent(&self, typed: &str, affirmed: Digest) -> Result<(Reviewed<Root>, Reviewed<Targets>), NoConsent> {
        if affirmed != self.affirms() {
            return Err(NoConsent::Digest { affirmed, shown: self.affirms() });
        }
        if typed != Self::WORD {
            return Err(NoConsent::Word);
        }
        Ok((
            Reviewed { bytes: self.root.clone(), role: PhantomData },
            Reviewed { bytes: self.targets.clone(), role: PhantomData },
        ))
    }
}

/// The canonical payload of a snapshot or a timestamp.
pub struct OnlinePayload {
    bytes: Vec<u8>,
}

/// A payload that an online key does not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an online key signs snapshot and timestamp only, not \"{}\"", crate::text::escape(.0))]
pub struct NotOnline(String);

impl OnlinePayload {
    /// Takes canonical bytes whose `_type` is snapshot or timestamp.
    ///
    /// # Errors
    /// Any other type of metadata, or bytes that are not canonical JSON.
    pub fn new(bytes: Vec<u8>) -> Result<Self, NotOnline> {
        let value = crate::json::parse(&bytes).map_err(|_| NotOnline("not JSON".into()))?;
        let kind = value.get("_type").and_then(crate::json::Value::as_str).unwrap_or("nothing");
        if !matches!(kind, "snapshot" | "timestamp") || crate::canonical::to_vec(&value) != bytes {
            return Err(NotOnline(kind.into()));
        }
        Ok(Self { bytes })
    }

    /// The canonical bytes to sign.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
