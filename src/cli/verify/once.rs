//! Signature checks of a long history: each once, fast, and seen by whoever watches.
//!
//! Rules:
//! 1. The same key, payload and signature are asked about once; what was answered is remembered by their digest.
//! 2. Where somebody watches, at most two lines a second say how far it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use trustroot_client::Fast;
use trustroot_core::digest::Digest;
use trustroot_core::key::PublicKey;
use trustroot_core::signature::Verifier;

use crate::ui::report;

/// What is shown of long work.
pub(super) struct Shown {
    last: Instant,
    watched: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self { last: Instant::now(), watched: report::watched() }
    }
}

impl Shown {
    /// Shows a line, if somebody watches and the last is some time ago.
    pub(super) fn show(&mut self, line: impl FnOnce() -> String) {
        if self.watched && self.last.elapsed() >= Duration::from_millis(500) {
            self.last = Instant::now();
            report::people(&line());
        }
    }
}

/// A verifier that asks once.
#[derive(Default)]
pub(super) struct Once(Mutex<(BTreeMap<Digest, bool>, Shown)>);

impl Verifier for Once {
    fn verify(&self, key: &PublicKey, payload: &[u8], signature: &[u8]) -> bool {
        let spki = key.spki_der();
        let mut asked = Vec::with_capacity(16 + spki.len() + signature.len() + payload.len());
        for part in [spki, signature] {
            asked.extend((part.len() as u64).to_be_bytes());
            asked.extend(part);
        }
        asked.extend(payload);
        let asked = Digest::of(&asked);
        // Every state between two lines is a good one.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (answers, shown) = &mut *known;
        if let Some(answer) = answers.get(&asked) {
            return *answer;
        }
        let answer = Fast.verify(key, payload, signature);
        answers.insert(asked, answer);
        shown.show(|| format!("{} signatures are checked …", answers.len()));
        answer
    }
}
