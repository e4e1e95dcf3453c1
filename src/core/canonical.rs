//! Canonical JSON in the sense of OLPC, which TUF signs: names sorted by code point, no white space, whole numbers,
//! strings in UTF-8 with `"` and `\` escaped and nothing else.
//!
//! No Unicode normalisation is applied: `securesystemslib`, `go-tuf` and `tuf-js` apply none, and `tough` does, so what
//! we sign is NFC by lint and all agree. Nothing is decided here about what may be signed.

use crate::json::Value;
use alloc::string::ToString;
use alloc::vec::Vec;

/// The canonical bytes of `value`.
pub fn to_vec(value: &Value) -> Vec<u8> {
    to_vec_of(value, 0)
}

/// As [`to_vec`], with room for `length` bytes from the start. The text that `value` was read from is never shorter.
pub fn to_vec_of(value: &Value, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    write(value, &mut out);
    out
}

/// The canonical bytes of what `value` serialises to.
///
/// # Panics
/// If `value` serialises to a fraction or to a map without string keys, which none of our types does.
pub fn of<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("our own types serialise");
    to_vec(&crate::json::parse(&json).expect("our own types have no fractions and no repeated names"))
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Str(text) => write_str(text, out),
        Value::Arr(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Obj(members) => {
            out.push(b'{');
            // Strings compare by their UTF-8 bytes, which is the order of code points.
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_str(name, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

fn write_str(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    // Whole parts at once: most strings are long and have neither.
    while let Some(place) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..place]);
        out.extend_from_slice(&[b'\\', rest[place]]);
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn canonical(text: &str) -> alloc::string::String {
        alloc::string::String::from_utf8(to_vec(&parse(text.as_bytes()).unwrap())).unwrap()
    }

    #[test]
    fn the_form() {
        assert_eq!(canonical(r#"{ "b" : [ 1 , -2 ], "a" : null, "A": true }"#), r#"{"A":true,"a":null,"b":[1,-2]}"#);
        assert_eq!(canonical(r#""\"\\\n\u0001\u00e9/\/""#), "\"\\\"\\\\\n\u{1}é//\"");
        // By code point, not by UTF-16 unit: U+FF61 comes before U+1F600.
        assert_eq!(canonical(r#"{"\ud83d\ude00":1,"\uff61":2}"#), "{\"\u{ff61}\":2,\"\u{1f600}\":1}");
        assert_eq!(canonical("\"e\\u0301\""), "\"e\u{301}\"");
    }
}
