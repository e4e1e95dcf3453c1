//! A strict reader of JSON (RFC 8259).
//!
//! Rules, each with an error of its own position:
//! 1. No name twice in one object: readers differ in which one counts.
//! 2. No fractions, no exponents, no integers beyond 64 bits: canonical JSON has none, and readers round them differently.
//! 3. At most [`MAX_DEPTH`] levels, at most [`MAX_BYTES`] bytes, at most [`MAX_VALUES`] values: a text of nothing but tiny
//!    values takes many times its length in memory.
//! 4. Nothing but white space after the value; UTF-8 without a byte order mark.
//!
//! The grammar itself (strings, escapes, surrogates) is `serde_json`'s; what is stricter here is decided by the visitor.

mod members;

pub use members::Members;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 32;
/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// The most values of one text, each member and item counted: targets metadata of 300,000 targets has as many. In memory they
/// take up to some 150 bytes each, beside their text.
pub const MAX_VALUES: usize = 1_500_000;

/// A JSON value. Objects are ordered by name; the order in the text has no meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number, of 64 bits with or without sign.
    Int(i128),
    /// A string.
    Str(String),
    /// An array.
    Arr(Vec<Value>),
    /// An object.
    Obj(Members),
}

impl Value {
    /// The member `name` of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_obj()?.get(name)
    }

    /// The members of an object.
    pub fn as_obj(&self) -> Option<&Members> {
        if let Self::Obj(members) = self { Some(members) } else { None }
    }

    /// The items of an array.
    pub fn as_arr(&self) -> Option<&[Self]> {
        if let Self::Arr(items) = self { Some(items) } else { None }
    }

    /// A string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }

    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Int(number) = self { u64::try_from(*number).ok() } else { None }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i128::from(number))
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(members: BTreeMap<String, Value>) -> Self {
        Self::Obj(members.into())
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Value {
    fn from(members: [(&str, Self); N]) -> Self {
        Self::Obj(members.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }
}

/// Why a text is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub struct JsonError {
    /// What is wrong; foreign text in it is escaped.
    pub what: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// Reads one value.
///
/// # Errors
/// The first rule that is broken; see the head of this file.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.len() > MAX_BYTES {
        return Err(JsonError { what: format!("longer than {MAX_BYTES} bytes"), line: 1, column: 1 });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let left = Cell::new(MAX_VALUES);
    let value = Level { depth: 0, left: &left }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        JsonError { what: what.to_string(), line: error.line().max(1), column: error.column().max(1) }
    })
}

/// Reads a value at this depth.
struct Level<'c> {
    depth: usize,
    /// How many more values may come.
    left: &'c Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level<'_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth + 1 > MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, left: self.left })
    }

    /// Counts a member or an item.
    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| E::custom(format!("more than {MAX_VALUES} values")))?);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without fractions")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(i128::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(i128::from(value)))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(E::custom("a number that is not a whole number of 64 bits"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Str(value.to_string()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            self.count()?;
            items.push(item);
        }
        Ok(Value::Arr(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Members::reading();
        while let Some(name) = map.next_key::<String>()? {
            if members.has(&name) {
                return Err(A::Error::custom(format!(
                    "the name \"{}\" twice in one object",
                    crate::text::escape(&name)
                )));
            }
            self.count()?;
            let value = map.next_value_seed(self.deeper()?)?;
            members.push(name, value);
        }
        Ok(Value::Obj(members.done()))
    }
}

/// Reads bytes strictly, and then into `T`, whose own rules (unknown fields, forms) apply on top.
///
/// # Errors
/// A broken rule of this file, or of `T`; foreign text in it is escaped.
pub fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, JsonError> {
    parse(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        JsonError { what: crate::text::escape(what), line: error.line().max(1), column: error.column().max(1) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(text: &str, why: &str) {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{:.80}: {error}", text);
    }

    #[test]
    fn accepts_what_canonical_json_can_say() {
        let value = parse(br#" {"b":[1,-2,18446744073709551615,null,true],"a":"\u00e9\ud83d\ude00"} "#).unwrap();
        assert_eq!(value.get("a").unwrap().as_str(), Some("é😀"));
        assert_eq!(value.get("b").unwrap().as_arr().unwrap()[2], Value::Int(u64::MAX.into()));
    }

    #[test]
    fn refuses_each_with_a_reason() {
        refuses(r#"{"a":1,"a":1}"#, "the name \"a\" twice in one object at line 1, column 10");
        refuses(r#"{"a":{"b":1,"\u0062":2}}"#, "the name \"b\" twice");
        refuses("1.0", "not a whole number");
        refuses("1e3", "not a whole number");
        refuses("-0", "not a whole number");
        refuses("18446744073709551616", "not a whole number");
        refuses("{} {}", "trailing characters");
        refuses("{}\0", "trailing characters");
        refuses("\u{feff}{}", "expected value");
        refuses("[1,]", "trailing comma");
        refuses("\"\\ud800\"", "hex escape");
        refuses("01", "invalid number");
        refuses("", "EOF");
        refuses("\"\u{1}\"", "control character");
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        refuses(&nested(MAX_DEPTH + 1), "nested deeper than 32 levels");
        refuses(&nested(100_000), "nested deeper");
    }

    #[test]
    fn values_have_a_limit() {
        let many = |values: usize| format!("[{}0]", "0,".repeat(values - 1));
        assert!(parse(many(MAX_VALUES).as_bytes()).is_ok());
        refuses(&many(MAX_VALUES + 1), "more than 1500000 values");
    }

    #[test]
    fn positions_are_kept() {
        let error = parse(b"{\n \"a\": 1,\n \"a\": 2}").unwrap_err();
        assert_eq!(error.line, 3);
    }
}
