//! The verifiers are held equal: what one takes the other takes, and it is what the rules say.
//!
//! Each case goes through [`Signed::check`], the only maker of a proof, with the portable verifier of the core and with
//! the one of the client. Honest signatures are a small part: the rest is what implementations are known to differ in.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha512};
use trustroot_client::Fast;
use trustroot_core::json::Value;
use trustroot_core::key::{KeyError, PublicKey};
use trustroot_core::payload::Payload;
use trustroot_core::signature::{Portable, SignatureFault, Signed};

fn payload(number: u64) -> Payload {
    Payload::of(&Value::from([("n", Value::from(number))]))
}

/// What both verifiers say of a signature; they have to say the same.
#[track_caller]
fn both(key: &PublicKey, payload: &Payload, signature: &[u8]) -> Result<(), SignatureFault> {
    let portable = Signed::check(key, payload, signature, &Portable).map(drop);
    let fast = Signed::check(key, payload, signature, &Fast).map(drop);
    assert_eq!(portable, fast, "key {}, signature {}", hex(key.spki_der()), hex(signature));
    portable
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---------------------------------------------------------------------------------------------------------- Ed25519

/// An Ed25519 signature made from its parts, whatever they are (RFC 8032, 5.1.6): `R`, and `S = r + k * a` for the key's
/// bytes and the message.
fn sign_with(point: &[u8; 32], r: &[u8; 32], nonce: Scalar, secret: Scalar, message: &[u8]) -> [u8; 64] {
    let s = nonce + challenge(point, r, message) * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

fn challenge(point: &[u8; 32], r: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(point).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

fn scalar(number: u64) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(number.to_be_bytes()).into())
}

fn bytes(point: EdwardsPoint) -> [u8; 32] {
    point.compress().to_bytes()
}

#[test]
fn honest_ed25519_and_every_bit_of_it_changed() {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let public = PublicKey::from_ed25519(key.verifying_key().as_bytes()).unwrap();
    let signature = key.sign(payload(1).bytes()).to_bytes();
    assert_eq!(both(&public, &payload(1), &signature), Ok(()));
    assert_eq!(both(&public, &payload(2), &signature), Err(SignatureFault::Invalid));
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(both(&public, &payload(1), &changed), Err(SignatureFault::Invalid), "bit {bit}");
    }
    for length in (0..64).chain([65, 96, 128]) {
        let other: Vec<u8> = signature.iter().copied().cycle().take(length).collect();
        let fault = if length == 0 { SignatureFault::Empty } else { SignatureFault::Form };
        assert_eq!(both(&public, &payload(1), &other), Err(fault), "{length} bytes");
    }
}

/// `S + L`, `S + 2 L` and so on, as far as 256 bits hold them.
#[test]
fn ed25519_with_s_beyond_the_order() {
    let order = *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let public = PublicKey::from_ed25519(key.verifying_key().as_bytes()).unwrap();
    let mut signature = key.sign(payload(3).bytes()).to_bytes();
    for times in 1..15 {
        let mut carry = 0;
        for (s, l) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*s) + u16::from(l) + carry;
            (*s, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert_eq!(both(&public, &payload(3), &signature), Err(SignatureFault::Invalid), "{times}");
    }
}

/// Keys of small order verify what nobody signed, and keys with a second spelling are two keys: neither is a key.
#[test]
fn ed25519_keys_that_are_none() {
    for point in EIGHT_TORSION {
        assert_eq!(PublicKey::from_ed25519(&bytes(point)).unwrap_err(), KeyError::Weak);
    }
    // `y` and `y + p` for every `y` that has room for both, with both signs.
    for y in 0..19_u8 {
        for sign in [0, 0x80] {
            let mut second = [0xff; 32];
            (second[0], second[31]) = (0xed + y, 0x7f | sign);
            assert!(PublicKey::from_ed25519(&second).is_err(), "{}", hex(&second));
        }
    }
}

/// A key that is not of prime order: `A = a B + T`. Its holder can make signatures on which implementations differ that
/// multiply by the cofactor. Neither of ours does.
#[test]
fn ed25519_keys_of_mixed_order() {
    let (mut held, mut failed) = (0, 0);
    for (number, torsion) in (0..200_u64).flat_map(|number| EIGHT_TORSION[1..].iter().map(move |point| (number, point)))
    {
        let (secret, nonce) = (scalar(number), scalar(number + 1000));
        let point = bytes(ED25519_BASEPOINT_POINT * secret + torsion);
        let public = PublicKey::from_ed25519(&point).unwrap();
        let r = bytes(ED25519_BASEPOINT_POINT * nonce);
        let signature = sign_with(&point, &r, nonce, secret, payload(number).bytes());
        match both(&public, &payload(number), &signature) {
            Ok(()) => held += 1,
            Err(fault) => {
                assert_eq!(fault, SignatureFault::Invalid);
                failed += 1;
            }
        }
    }
    // The torsion cancels where the challenge is a multiple of its order: for some, and not for most.
    assert!(held > 100 && failed > 800, "{held} held, {failed} failed");
}

/// `R` of small order or mixed order, in canonical and other spellings, over a key that is good.
#[test]
fn ed25519_with_odd_r() {
    let secret = scalar(5);
    let point = bytes(ED25519_BASEPOINT_POINT * secret);
    let public = PublicKey::from_ed25519(&point).unwrap();
    for torsion in EIGHT_TORSION {
        // S B = R + k A holds without the cofactor only for the neutral element, and strictly for none.
        let r = bytes(torsion);
        let signature = sign_with(&point, &r, Scalar::ZERO, secret, payload(5).bytes());
        assert_eq!(both(&public, &payload(5), &signature), Err(SignatureFault::Invalid), "{}", hex(&r));
        let nonce = scalar(6);
        let r = bytes(ED25519_BASEPOINT_POINT * nonce + torsion);
        let signature = sign_with(&point, &r, nonce, secret, payload(5).bytes());
        let good = torsion == EdwardsPoint::default();
        assert_eq!(both(&public, &payload(5), &signature).is_ok(), good, "{}", hex(&r));
    }
    for r in ["0100000000000000000000000000000000000000000000000000000000000080"]
        .into_iter()
        .chain(["eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"])
        .chain(["eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"])
        .chain(["ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"])
    {
        let mut second = [0; 32];
        for (at, byte) in second.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&r[2 * at..2 * at + 2], 16).unwrap();
        }
        let signature = sign_with(&point, &second, Scalar::ZERO, secret, payload(5).bytes());
        assert_eq!(both(&public, &payload(5), &signature), Err(SignatureFault::Invalid), "{r}");
    }
}

// ------------------------------------------------------------------------------------------------------------ ECDSA

fn integer(bytes: &[u8]) -> Vec<u8> {
    [&[0x02, bytes.len() as u8], bytes].concat()
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    let inner = parts.concat();
    [&[0x30, inner.len() as u8][..], &inner].concat()
}

/// The shortest bytes of a positive integer.
fn minimal(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let rest = &bytes[start..];
    if rest[0] & 0x80 == 0 { rest.to_vec() } else { [&[0], rest].concat() }
}

#[test]
fn ecdsa_honest_and_in_every_spelling() {
    let key = p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
    let public = PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
    let payload = payload(8);
    for number in 0..40_u64 {
        let payload = self::payload(number);
        let signature: p256::ecdsa::Signature = key.sign(payload.bytes());
        let high =
            p256::ecdsa::Signature::from_scalars(signature.r().to_bytes(), (-*signature.s()).to_bytes()).unwrap();
        for form in [signature, high] {
            assert_eq!(both(&public, &payload, form.to_der().as_bytes()), Ok(()), "low s and high s both hold");
            assert_eq!(
                both(&public, &self::payload(number + 1), form.to_der().as_bytes()),
                Err(SignatureFault::Invalid)
            );
        }
    }
    let signature: p256::ecdsa::Signature = key.sign(payload.bytes());
    let (r, s) = (signature.r().to_bytes().to_vec(), signature.s().to_bytes().to_vec());
    let good = sequence(&[integer(&minimal(&r)), integer(&minimal(&s))]);
    assert_eq!(both(&public, &payload, &good), Ok(()));

    let padded = |bytes: &[u8]| integer(&[&[0, 0], bytes].concat());
    let long = [&[0x30, 0x81, good[1]], &good[2..]].concat();
    let indefinite = [&[0x30, 0x80], &good[2..], &[0, 0]].concat();
    let odd: [(&str, Vec<u8>); 15] = [
        ("r padded", sequence(&[padded(&r), integer(&minimal(&s))])),
        ("s padded", sequence(&[integer(&minimal(&r)), padded(&s)])),
        ("a long length", long),
        ("an indefinite length", indefinite),
        ("a byte after it", [good.as_slice(), &[0]].concat()),
        ("a third integer", sequence(&[integer(&minimal(&r)), integer(&minimal(&s)), integer(&[1])])),
        ("one integer", sequence(&[integer(&minimal(&r))])),
        ("nothing in it", sequence(&[])),
        ("r of 0", sequence(&[integer(&[0]), integer(&minimal(&s))])),
        ("s of 0", sequence(&[integer(&minimal(&r)), integer(&[0])])),
        ("r negative", sequence(&[integer(&[0x81]), integer(&minimal(&s))])),
        ("an empty integer", sequence(&[integer(&[]), integer(&minimal(&s))])),
        ("r and s bare", [r.clone(), s.clone()].concat()),
        ("a set, no sequence", [&[0x31], &good[1..]].concat()),
        ("an octet string", sequence(&[[&[0x04, 0x20], r.as_slice()].concat(), integer(&minimal(&s))])),
    ];
    for (what, signature) in &odd {
        assert_eq!(both(&public, &payload, signature), Err(SignatureFault::Form), "{what}");
    }
    for length in 1..good.len() {
        assert_eq!(both(&public, &payload, &good[..length]), Err(SignatureFault::Form), "cut to {length}");
    }
}

#[test]
fn ecdsa_numbers_at_the_edges() {
    let order: [u8; 32] = (-p256::Scalar::ONE).to_bytes().into();
    let mut beyond = order;
    // n - 1, and then n, n + 1 and the largest there is.
    let above = |add: u8, bytes: &mut [u8; 32]| bytes[31] += add;
    let key = p256::ecdsa::SigningKey::from_slice(&[4; 32]).unwrap();
    let public = PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
    let one = integer(&[1]);
    let pairs = |number: &[u8]| {
        let number = integer(&minimal(number));
        [
            sequence(&[number.clone(), one.clone()]),
            sequence(&[one.clone(), number.clone()]),
            sequence(&[number.clone(), number]),
        ]
    };
    for signature in pairs(&order).into_iter().chain([sequence(&[one.clone(), one.clone()])]) {
        assert_eq!(both(&public, &payload(9), &signature), Err(SignatureFault::Invalid));
    }
    above(1, &mut beyond);
    for number in [
        beyond,
        {
            above(1, &mut beyond);
            beyond
        },
        [0xff; 32],
    ] {
        for signature in pairs(&number) {
            assert_eq!(both(&public, &payload(9), &signature), Err(SignatureFault::Form), "{}", hex(&signature));
        }
    }
}

/// Points in other spellings are the same key; what is no point of the curve is no key.
#[test]
fn ecdsa_keys() {
    let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap();
    let [whole, short] = [false, true].map(|short| key.verifying_key().to_sec1_point(short).as_bytes().to_vec());
    let public = PublicKey::from_p256_point(&whole).unwrap();
    assert_eq!(PublicKey::from_p256_point(&short).unwrap(), public);
    let signature: p256::ecdsa::Signature = key.sign(payload(1).bytes());
    assert_eq!(both(&PublicKey::from_p256_point(&short).unwrap(), &payload(1), signature.to_der().as_bytes()), Ok(()));
    let mut hybrid = whole.clone();
    hybrid[0] = 6 + (whole[64] & 1);
    let mut off = whole.clone();
    off[64] ^= 1;
    for none in [&[0][..], &[], &hybrid, &off, &whole[..64], &[whole.as_slice(), &[0]].concat(), &[4; 65]] {
        assert!(PublicKey::from_p256_point(none).is_err(), "{}", hex(none));
    }
}
