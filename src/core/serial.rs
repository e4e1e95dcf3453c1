//! Serial numbers of tokens: a number on a YubiKey, a short text behind PKCS#11.
//!
//! In TOML and JSON a number stands bare and a text in quotes, and neither is ever read as the other: the serial that the
//! plan names, the one a token says, and the one in the record are compared as they are.

use crate::json::Value;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most bytes of a serial that is a text (PKCS#11 2.40, `CK_TOKEN_INFO`).
pub const MAX_TEXT: usize = 16;

/// The serial number of a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Inner);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Inner {
    Number(u32),
    /// Printable ASCII, filled up with zeros.
    Text([u8; MAX_TEXT]),
}

/// A text that is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial in quotes is 1 to 16 letters, digits or signs of ASCII, without a space at an end")]
pub struct NotASerial;

impl Serial {
    /// The text as a serial.
    ///
    /// # Errors
    /// See [`NotASerial`].
    pub fn text(text: &str) -> Result<Self, NotASerial> {
        let fits = (1..=MAX_TEXT).contains(&text.len()) && text.trim_matches(' ') == text;
        if !fits || !text.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
            return Err(NotASerial);
        }
        let mut bytes = [0; MAX_TEXT];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(Inner::Text(bytes)))
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<u32> {
        match self.0 {
            Inner::Number(number) => Some(number),
            Inner::Text(_) => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Inner::Number(_) => None,
            Inner::Text(bytes) => {
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(MAX_TEXT);
                core::str::from_utf8(&bytes[..end]).ok()
            }
        }
    }

    /// As metadata and reports write it.
    pub fn to_value(&self) -> Value {
        match self.as_text() {
            Some(text) => text.into(),
            None => u64::from(self.number().unwrap_or_default()).into(),
        }
    }

    /// Reads what [`Self::to_value`] writes.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value.as_str() {
            Some(text) => Self::text(text).ok(),
            None => u32::try_from(value.as_u64()?).ok().map(Self::from),
        }
    }
}

impl From<u32> for Serial {
    fn from(number: u32) -> Self {
        Self(Inner::Number(number))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Some(text) => f.write_str(text),
            None => write!(f, "{}", self.number().unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Serial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_text() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_u32(self.number().unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Serial;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a serial: a number of 32 bits, or a text of 1 to 16 characters")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Serial, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
                u32::try_from(number).map(Serial::from).map_err(|_| wrong())
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Serial, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Signed(number), &self);
                u32::try_from(number).map(Serial::from).map_err(|_| wrong())
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Serial, E> {
                Serial::text(text).map_err(E::custom)
            }

            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Serial, E> {
                self.visit_str(&text)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_text_are_never_one_serial() {
        let (number, text) = (Serial::from(12_345_678), Serial::text("12345678").unwrap());
        assert_ne!(number, text);
        assert_eq!((number.number(), number.as_text()), (Some(12_345_678), None));
        assert_eq!((text.number(), text.as_text()), (None, Some("12345678")));
        for serial in [number, text, Serial::text("a b-0123456789ab").unwrap()] {
            assert_eq!(Serial::from_value(&serial.to_value()), Some(serial));
            let json = serde_json::to_string(&serial).unwrap();
            assert_eq!(serde_json::from_str::<Serial>(&json).unwrap(), serial);
        }
    }

    #[test]
    fn what_is_no_serial() {
        for text in ["", " a", "a ", "0123456789abcdefg", "a\nb", "é"] {
            assert_eq!(Serial::text(text), Err(NotASerial), "{text:?}");
        }
        for json in ["-1", "4294967296", "1.5", "null", "\"\"", "[1]"] {
            assert!(serde_json::from_str::<Serial>(json).is_err(), "{json}");
        }
    }
}
