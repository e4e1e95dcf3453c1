//! What tokens answer: certificate objects of PIV cards, and public keys and signatures of PKCS#11 modules. Keys that are taken
//! are written and read again; a signature in DER holds the two numbers that were given.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::key::PublicKey;
use trustroot_core::reply::{certificate_in, point_in, signature_in};

fuzz_target!(|bytes: &[u8]| {
    if let Some(certificate) = certificate_in(bytes) {
        assert!(certificate.is_empty() || bytes.windows(certificate.len()).any(|part| part == certificate));
    }
    let point = point_in(bytes);
    assert!(bytes.ends_with(point) && bytes.len() - point.len() <= 2);
    let edwards = point.try_into().ok().map(PublicKey::from_ed25519);
    let half = bytes.len() / 2;
    let rsa = PublicKey::from_rsa_numbers(&bytes[..half], &bytes[half..]);
    for key in [PublicKey::from_p256_point(point), PublicKey::from_p384_point(point), rsa].into_iter().chain(edwards) {
        let Ok(key) = key else { continue };
        assert_eq!(PublicKey::from_spki_der(key.spki_der()), Ok(key));
    }
    let Some(signature) = signature_in(bytes) else { return };
    let [0x30, length, body @ ..] = signature.as_slice() else { panic!("no SEQUENCE") };
    assert_eq!(usize::from(*length), body.len());
    let rest = number(&bytes[..half], body);
    assert_eq!(number(&bytes[half..], rest), [0; 0]);
});

/// That an INTEGER begins there which is this unsigned number, in as few bytes as can be; what follows it.
fn number<'d>(number: &[u8], der: &'d [u8]) -> &'d [u8] {
    let [0x02, length, rest @ ..] = der else { panic!("no INTEGER") };
    let (digits, rest) = rest.split_at(usize::from(*length));
    assert!(digits[0] < 0x80, "a negative number");
    assert!(digits.len() == 1 || digits[0] != 0 || digits[1] >= 0x80, "a number longer than it need be");
    let plain = |number: &[u8]| number.iter().copied().skip_while(|digit| *digit == 0).collect::<Vec<_>>();
    assert_eq!(plain(digits), plain(number));
    rest
}
