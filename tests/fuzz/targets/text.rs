//! Foreign text. Escaped, it hides nothing and can be read back; what may be signed needs no escape.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::text::{Handle, check_clean, escape};

/// Control characters, and those that Unicode calls default-ignorable or separators: nothing is drawn for them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0
            | 0xfff0..=0xfff8 | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

fn unescape(text: &str) -> Option<String> {
    let Some((before, after)) = text.split_once('\\') else { return Some(text.to_owned()) };
    let (c, rest) = match after.strip_prefix("u{") {
        Some(digits) => {
            let (digits, rest) = digits.split_once('}')?;
            (char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, rest)
        }
        None => ('\\', after.strip_prefix('\\')?),
    };
    Some(format!("{before}{c}{}", unescape(rest)?))
}

fuzz_target!(|text: &str| {
    // Reading back recurses.
    let text = text.get(..text.len().min(512)).unwrap_or_default();
    let escaped = escape(text);
    assert!(!escaped.contains(is_hidden), "{escaped:?}");
    assert_eq!(unescape(&escaped).as_deref(), Some(text));
    if check_clean(text).is_ok() {
        assert_eq!(escaped, text.replace('\\', "\\\\"));
    }
    if let Ok(handle) = Handle::new(text) {
        assert_eq!(check_clean(handle.as_str()), Ok(()));
    }
});
