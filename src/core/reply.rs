//! What tokens answer, taken out of its bytes.

use alloc::vec::Vec;

/// The certificate in a certificate object of a PIV card (NIST SP 800-73-4, part 1, 3.1): the value of tag 0x70, byte for
/// byte. Some firmware writes the certificate without a tag around it.
pub fn certificate_in(object: &[u8]) -> Option<&[u8]> {
    let (length, rest) = match object {
        [0x30, ..] => return Some(object),
        [0x70, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [0x70, 0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x70, length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
        _ => return None,
    };
    rest.get(..length)
}

/// The point in `CKA_EC_POINT` (PKCS#11, 6.3), without the DER OCTET STRING around it, which some modules leave out. Short
/// lengths only: the longest point here has 97 bytes.
pub fn point_in(value: &[u8]) -> &[u8] {
    match value {
        [0x04, length, rest @ ..] if usize::from(*length) == rest.len() && rest.len() < 128 => rest,
        raw => raw,
    }
}

/// The signature in what `CKM_ECDSA` gives (PKCS#11, 6.3): two unsigned numbers of one length, one after the other, as DER:
/// SEQUENCE of two INTEGERs (RFC 3279, 2.2.3). Nothing for numbers of no length, or of more than 48 bytes each.
pub fn signature_in(pair: &[u8]) -> Option<Vec<u8>> {
    let half = pair.len() / 2;
    if !pair.len().is_multiple_of(2) || !(1..=48).contains(&half) {
        return None;
    }
    let mut body = Vec::new();
    for number in [&pair[..half], &pair[half..]] {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(half - 1);
        let digits = &number[start..];
        let sign = digits.first().is_some_and(|byte| byte & 0x80 != 0);
        body.extend([0x02, u8::try_from(digits.len()).ok()? + u8::from(sign)]);
        body.extend(sign.then_some(0));
        body.extend(digits);
    }
    // At most 2 * (2 + 1 + 48) bytes, so the length fits into one byte below 0x80.
    Some([&[0x30, u8::try_from(body.len()).ok()?], body.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_taken_out_of_its_object() {
        assert_eq!(certificate_in(&[0x70, 2, 0x30, 0, 0x71, 1, 0]), Some(&[0x30, 0][..]));
        assert_eq!(certificate_in(&[0x70, 0x81, 2, 0x30, 0, 0xfe, 0]), Some(&[0x30, 0][..]));
        assert_eq!(certificate_in(&[0x70, 0x82, 0, 2, 0x30, 0]), Some(&[0x30, 0][..]));
        assert_eq!(certificate_in(&[0x30, 0]), Some(&[0x30, 0][..]));
        for bad in [&[][..], &[0x70], &[0x70, 3, 0x30, 0], &[0x70, 0x82, 1, 0, 0x30], &[0x71, 0]] {
            assert_eq!(certificate_in(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn two_numbers_become_strict_der() {
        let pair = |r: u8, s: u8| {
            let mut bytes = [0; 64];
            (bytes[31], bytes[63]) = (r, s);
            signature_in(&bytes).unwrap()
        };
        assert_eq!(pair(1, 0x7f), [0x30, 6, 2, 1, 1, 2, 1, 0x7f]);
        assert_eq!(pair(0x80, 0), [0x30, 7, 2, 2, 0, 0x80, 2, 1, 0]);
        let full = signature_in(&[0xff; 96]).unwrap();
        assert_eq!((full.len(), full[1]), (104, 102));
        let signature = p256::ecdsa::Signature::from_slice(&[0x11; 64]).unwrap();
        assert_eq!(signature_in(&[0x11; 64]).unwrap(), signature.to_der().as_bytes());
        assert_eq!((signature_in(&[]), signature_in(&[1; 63]), signature_in(&[1; 98])), (None, None, None));
    }

    #[test]
    fn points_with_and_without_their_wrapping() {
        assert_eq!(point_in(&[0x04, 2, 7, 8]), [7, 8]);
        // An uncompressed point begins with 04 too; the second byte is no length then.
        assert_eq!(point_in(&[0x04, 9, 7, 8]), [0x04, 9, 7, 8]);
    }
}
