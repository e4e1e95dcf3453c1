//! A small DER writer, and the BER-TLV reader of commands.
//!
//! Certificates are written by hand, so that a test can ask for one that no device would issue.

/// Tag, length and value. Everything made here is far below 65,536 bytes.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag][..], &length(value.len()), value].concat()
}

/// The length of a value, in its shortest form.
pub(crate) fn length(n: usize) -> Vec<u8> {
    let [.., high, low] = n.to_be_bytes();
    match n {
        0..=0x7f => vec![low],
        0x80..=0xff => vec![0x81, low],
        _ => vec![0x82, high, low],
    }
}

pub(crate) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A non-negative INTEGER in its shortest form.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign = if digits.first().is_none_or(|byte| byte & 0x80 != 0) { &[0][..] } else { &[] };
    tlv(0x02, &[sign, &digits].concat())
}

pub(crate) fn bits(value: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], value].concat())
}

/// A name of one common name.
pub(crate) fn name(common_name: &str) -> Vec<u8> {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    seq(&[tlv(0x31, &seq(&[tlv(0x06, COMMON_NAME), tlv(0x0c, common_name.as_bytes())]))])
}

pub(crate) fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xff]) } else { Vec::new() };
    seq(&[tlv(0x06, id), critical, tlv(0x04, value)])
}

/// A tag of one byte (or of two, where the first is 5F or 7F), its value, and what follows it.
pub(crate) fn read(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (tag, rest) = match bytes {
        [first @ (0x5f | 0x7f), second, rest @ ..] => (u16::from_be_bytes([*first, *second]), rest),
        [tag, rest @ ..] => (u16::from(*tag), rest),
        [] => return None,
    };
    let (n, rest) = match rest {
        [n @ 0..=0x7f, rest @ ..] => (usize::from(*n), rest),
        [0x81, n, rest @ ..] => (usize::from(*n), rest),
        [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(n)?;
    Some((tag, value, rest))
}

/// Everything in `bytes`, tag by tag; nothing if that is not all there is.
pub(crate) fn read_all(mut bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (tag, value, rest) = read(bytes)?;
        found.push((tag, value));
        bytes = rest;
    }
    Some(found)
}
