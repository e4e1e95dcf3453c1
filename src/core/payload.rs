//! The payload: the canonical bytes of `signed`, and their digest.
//!
//! Rules:
//! 1. A payload is made from a JSON value as it was read, unknown fields and all; never from typed fields.
//! 2. Its digest, the *payload digest*, is what people read aloud. Signatures added later do not change it.
//! 3. Canonical JSON (OLPC) writes control characters as they are, so the payload of a root with PEM keys has line feeds
//!    inside strings and is *not* JSON. [`Payload::to_json`] is the same value as JSON, which is what gets published.

use crate::canonical;
use crate::digest::Digest;
use crate::json::{self, JsonError, Value};
use alloc::vec::Vec;

/// Canonical JSON (OLPC) that is or will be signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Vec<u8>,
    digest: Digest,
}

/// Why bytes are no payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// Not JSON as the strict reader has it.
    #[error("not strict JSON: {0}")]
    Json(#[from] JsonError),
    /// JSON in another form than the canonical one.
    #[error("the bytes are not in canonical form; what is signed has one form only")]
    Form,
}

impl Payload {
    /// The payload that signs `signed`, the value of that member as it was read.
    pub fn of(signed: &Value) -> Self {
        Self::within(signed, 0)
    }

    /// As [`Self::of`], where the text that `signed` was read from is within `length` bytes.
    pub(crate) fn within(signed: &Value, length: usize) -> Self {
        let bytes = canonical::to_vec_of(signed, length);
        let digest = Digest::of(&bytes);
        Self { bytes, digest }
    }

    /// Takes bytes that are canonical already, such as a proposed payload read from a record.
    ///
    /// # Errors
    /// [`NotCanonical`]: what would be signed is not what was handed in.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, NotCanonical> {
        Self::read(bytes).map(|(payload, _)| payload)
    }

    /// As [`Self::from_canonical`], with the value that the bytes stand for.
    ///
    /// # Errors
    /// [`NotCanonical`].
    pub fn read(bytes: &[u8]) -> Result<(Self, Value), NotCanonical> {
        let value = json::parse(&as_json(bytes))?;
        let payload = Self::of(&value);
        if payload.bytes == bytes { Ok((payload, value)) } else { Err(NotCanonical::Form) }
    }

    /// The same value as JSON: the canonical bytes with control characters escaped.
    pub fn to_json(&self) -> Vec<u8> {
        as_json(&self.bytes)
    }

    /// The canonical bytes, which are what is signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload digest: SHA-256 of [`Self::bytes`].
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Canonical bytes with control characters escaped. In the canonical form these are inside strings, and no backslash
/// stands alone before them. Bytes that are not canonical become something whose canonical form differs from them.
fn as_json(canonical: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(canonical.len());
    for byte in canonical {
        match byte {
            b'\n' => json.extend_from_slice(b"\\n"),
            0x00..=0x1f => json.extend_from_slice(alloc::format!("\\u{byte:04x}").as_bytes()),
            _ => json.push(*byte),
        }
    }
    json
}

impl core::fmt::Debug for Payload {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Payload {}", self.digest.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_bytes_are_taken() {
        let payload = Payload::from_canonical(br#"{"a":1}"#).unwrap();
        assert_eq!(payload.digest(), Digest::of(br#"{"a":1}"#));
    }

    #[test]
    fn white_space_is_another_form() {
        assert_eq!(Payload::from_canonical(br#"{"a": 1}"#), Err(NotCanonical::Form));
    }

    #[test]
    fn a_newline_at_the_end_is_another_form() {
        assert!(matches!(Payload::from_canonical(b"{}\n"), Err(NotCanonical::Json(_))));
    }

    #[test]
    fn a_repeated_name_is_refused() {
        assert!(matches!(Payload::from_canonical(br#"{"a":1,"a":1}"#), Err(NotCanonical::Json(_))));
    }

    #[test]
    fn control_characters_come_back() {
        let value = Value::from("a\nb\\\u{0}\u{1f}\"\u{7f}");
        let payload = Payload::of(&value);
        assert_eq!(payload.bytes(), b"\"a\nb\\\\\x00\x1f\\\"\x7f\"");
        assert_eq!(Payload::read(payload.bytes()), Ok((payload.clone(), value.clone())));
        assert_eq!(json::parse(&payload.to_json()), Ok(value));
    }

    #[test]
    fn a_backslash_before_a_line_feed_is_another_form() {
        assert_eq!(Payload::from_canonical(b"\"\\\n\""), Err(NotCanonical::Form));
    }

    #[test]
    fn an_escaped_line_feed_is_another_form() {
        assert_eq!(Payload::from_canonical(b"\"\\n\""), Err(NotCanonical::Form));
    }
}
