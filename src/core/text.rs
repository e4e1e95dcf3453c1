//! Text: what may be signed, what a handle is, and how foreign text is shown.
//!
//! Rules:
//! 1. Text that came from outside (a plan, a record, somebody's metadata, a token) is [`Untrusted`] and has no
//!    `Display`: it can be shown only through [`Untrusted::escaped`].
//! 2. Text that people sign is clean ([`check_clean`]): NFC, of one script, without controls, so that two different
//!    byte strings never look alike on the screen of the person who signs.
//! 3. Handles, which become file names, are `[a-z0-9-]`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;
use unicode_script::{Script, UnicodeScript as _};

/// Text from outside. It has no `Display` on purpose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// Marks `text` as foreign.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text with everything escaped that could move a cursor, hide or reorder what is shown: C0, DEL, C1,
    /// bidirectional controls, zero-width characters, line and paragraph separators, private use and unassigned
    /// planes, and the backslash that the escapes begin with.
    pub fn escaped(&self) -> String {
        escape(&self.0)
    }

    /// The text as it came. For comparing, hashing and storing; never for showing.
    pub fn raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// `text` with every character escaped that [`Untrusted::escaped`] names, as `\u{…}`.
pub fn escape(text: &str) -> String {
    // Most of what is escaped is key ids and names of files.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' {
            out.push_str("\\\\");
        } else if is_hidden(c) {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that change how others are shown, or are not shown themselves.
fn is_hidden(c: char) -> bool {
    matches!(u32::from(c),
        0x00..=0x1f | 0x7f..=0x9f            // C0, DEL, C1
        | 0xad                               // soft hyphen
        | 0x34f                              // combining grapheme joiner
        | 0x61c                              // Arabic letter mark
        | 0x115f..=0x1160 | 0x3164 | 0xffa0  // Hangul fillers
        | 0x17b4..=0x17b5                    // Khmer inherent vowels
        | 0x180b..=0x180f                    // Mongolian selectors
        | 0x200b..=0x200f                    // zero width, bidi marks
        | 0x2028..=0x202e                    // separators, bidi embeddings
        | 0x2060..=0x206f                    // invisible operators, bidi isolates
        | 0xfe00..=0xfe0f                    // variation selectors
        | 0xfeff                             // byte order mark
        | 0xfff0..=0xfffb                    // specials
        | 0x2800                             // Braille without a dot
        | 0x13430..=0x1343f                  // hieroglyph joiners
        | 0x1bca0..=0x1bca3                  // shorthand controls
        | 0x1d173..=0x1d17a                  // musical controls
        | 0xe000..=0xf8ff                    // private use
        | 0xe0000..=0x10ffff) // tags, selectors, private planes
}

/// The nearest of `known` to a mistyped `word`, if one is near: at most a third of its letters differ, and no other
/// is as near. For "did you mean"; nothing is decided by it.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Long words are nothing that somebody mistyped, and the table grows with both lengths.
    let typed: Vec<char> = word.chars().take(65).collect();
    if typed.len() > 64 {
        return None;
    }
    let mut best: Option<(usize, &str, bool)> = None;
    for candidate in known {
        let letters = candidate.chars().count();
        let most = (letters / 3).max(1);
        // So many letters differ at least; most words are done with here.
        if letters.abs_diff(typed.len()) > most {
            continue;
        }
        let distance = distance(&typed, candidate);
        if distance > most {
            continue;
        }
        match &mut best {
            Some((least, _, alone)) if *least == distance => *alone = false,
            Some((least, ..)) if *least < distance => {}
            _ => best = Some((distance, candidate, true)),
        }
    }
    best.and_then(|(_, candidate, alone)| alone.then_some(candidate))
}

/// Insertions, deletions and replacements from `a` to `b`, two letters swapped counting as one (optimal string
/// alignment).
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = alloc::vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = core::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Why a text may not be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Nothing, or only spaces, or spaces at an end.
    #[error("the text is empty or begins or ends with a space")]
    Blank,
    /// More than 200 characters.
    #[error("the text is longer than 200 characters")]
    Long,
    /// A character that is not shown, or changes how others are shown.
    #[error("the text contains the character U+{0:04X}, which is not shown as itself")]
    Hidden(u32),
    /// Not in Unicode Normalization Form C.
    #[error("the text is not in Unicode Normalization Form C (NFC)")]
    NotNfc,
    /// Letters of two scripts, such as Latin and Cyrillic, which look alike.
    #[error("the text mixes the scripts {0} and {1}")]
    Mixed(String, String),
}

/// Checks that `text` may be signed: 1 to 200 characters, NFC, of one script, nothing hidden.
///
/// # Errors
/// The first rule that is broken.
pub fn check_clean(text: &str) -> Result<(), TextFault> {
    if text.trim() != text || text.is_empty() {
        return Err(TextFault::Blank);
    }
    if text.chars().count() > 200 {
        return Err(TextFault::Long);
    }
    if let Some(c) = text.chars().find(|c| is_hidden(*c) || (c.is_whitespace() && *c != ' ')) {
        return Err(TextFault::Hidden(u32::from(c)));
    }
    if text.nfc().ne(text.chars()) {
        return Err(TextFault::NotNfc);
    }
    let mut seen: Option<Script> = None;
    for c in text.chars() {
        let script = c.script();
        if matches!(script, Script::Common | Script::Inherited) {
            continue;
        }
        match seen {
            None => seen = Some(script),
            Some(first) if first != script && !(is_japanese(first) && is_japanese(script)) => {
                return Err(TextFault::Mixed(first.full_name().to_string(), script.full_name().to_string()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Japanese is written in three scripts at once, none of which imitates another.
fn is_japanese(script: Script) -> bool {
    matches!(script, Script::Han | Script::Hiragana | Script::Katakana)
}

/// A short name for a person, a key or a ceremony: 1 to 40 of `[a-z0-9-]`, beginning with a letter or digit.
/// It becomes part of file names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

/// A text that is no handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handle is 1 to 40 of a-z, 0-9 and '-', and does not begin or end with '-'")]
pub struct NotAHandle;

impl Handle {
    /// Reads a handle.
    ///
    /// # Errors
    /// Any other character, a leading or trailing `-`, nothing, or more than 40 characters.
    pub fn new(text: &str) -> Result<Self, NotAHandle> {
        let known = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.is_empty() || text.len() > 40 || !known || text.starts_with('-') || text.ends_with('-') {
            return Err(NotAHandle);
        }
        Ok(Self(text.to_owned()))
    }

    /// The handle as text; safe in file names and on screens.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_inert() {
        let shown = Untrusted::new("a\u{1b}[2J\r\n\u{202e}b\u{200b}\\\u{9b}").escaped();
        assert_eq!(shown, "a\\u{1b}[2J\\u{d}\\u{a}\\u{202e}b\\u{200b}\\\\\\u{9b}");
    }

    /// Unicode's property Default_Ignorable_Code_Point beyond the well-known ones, and a blank that is no white space.
    #[test]
    fn characters_for_which_nothing_is_drawn() {
        for c in ['\u{1bca0}', '\u{1bca3}', '\u{1d173}', '\u{1d17a}', '\u{13430}', '\u{2800}', '\u{e0fff}'] {
            assert_eq!(escape(&String::from(c)), format!("\\u{{{:x}}}", u32::from(c)));
            assert_eq!(check_clean(&format!("a{c}b")), Err(TextFault::Hidden(u32::from(c))));
        }
    }

    #[test]
    fn clean_text() {
        for good in ["Ada Lovelace", "Zoë", "山田 太郎", "さくら 花", "O'Neill-Smith", "Анна"] {
            assert_eq!(check_clean(good), Ok(()), "{good}");
        }
        assert_eq!(check_clean(" x"), Err(TextFault::Blank));
        assert_eq!(check_clean("Zoe\u{308}"), Err(TextFault::NotNfc));
        assert_eq!(check_clean("a\u{200d}b"), Err(TextFault::Hidden(0x200d)));
        assert!(matches!(check_clean("\u{430}lice"), Err(TextFault::Mixed(..))));
        assert_eq!(check_clean(&"x".repeat(200)), Ok(()));
        assert_eq!(check_clean(&"x".repeat(201)), Err(TextFault::Long));
    }

    #[test]
    fn what_was_meant() {
        let fields = ["threshold", "expires", "name", "day"];
        let meant = |word| nearest(word, fields.into_iter());
        assert_eq!(meant("treshold"), Some("threshold"));
        assert_eq!(meant("thersholds"), Some("threshold"));
        assert_eq!(meant("dya"), Some("day"));
        assert_eq!(meant("organisation"), None);
        assert_eq!(nearest("cat", ["bat", "hat"].into_iter()), None, "two are as near");
        assert_eq!(meant(&"x".repeat(1 << 20)), None);
    }

    #[test]
    fn handles() {
        assert!(Handle::new("alice-2").is_ok());
        for bad in ["", "-a", "a-", "Alice", "a.b", "a/b", &"a".repeat(41)] {
            assert_eq!(Handle::new(bad), Err(NotAHandle), "{bad}");
        }
    }
}
