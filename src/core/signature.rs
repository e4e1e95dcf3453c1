//! Signatures: the one place where one is checked, and the value that a passed check leaves behind.
//!
//! Rules:
//! 1. [`Signed`] is made by [`Signed::check`] and by nothing else. It says: this key signed the payload with this digest.
//! 2. An ECDSA signature is strict DER (minimal lengths and integers, `0 < r, s < n`), an Ed25519 signature 64 bytes.
//!    The form is checked here, before any verifier is asked, so that verifiers cannot differ in it.
//! 3. Both `s` and `n - s` verify, as they do in every TUF client. What is recorded is bound by digest, so the other form
//!    is another file; [`is_low_s`] and [`normal_form`] tell them apart.

use crate::digest::Digest;
use crate::key::{Algorithm, PublicKey};
use crate::payload::Payload;
use alloc::vec::Vec;

/// What decides whether a signature is a key's over a message. Whoever injects one vouches for it.
pub trait Verifier: Sync {
    /// Whether `signature` is `key`'s over `payload`: DER for ECDSA (P-256 with SHA-256, P-384 with SHA-384), 64 bytes for
    /// Ed25519 (RFC 8032, strict), PSS with SHA-256 and a salt of 32 bytes for RSA.
    fn verify(&self, key: &PublicKey, payload: &[u8], signature: &[u8]) -> bool;

    /// The same of a payload, whose SHA-256 is known: whoever verifies it under several keys need not make it again.
    fn verify_payload(&self, key: &PublicKey, payload: &Payload, signature: &[u8]) -> bool {
        self.verify(key, payload.bytes(), signature)
    }
}

/// The verifier in portable Rust that is always there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Verifier for Portable {
    fn verify(&self, key: &PublicKey, payload: &[u8], signature: &[u8]) -> bool {
        key.verifies(payload, signature)
    }
}

/// Proof that a key signed a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    key: PublicKey,
    payload: Digest,
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There are no bytes; some tools leave such placeholders.
    #[error("the signature is empty")]
    Empty,
    /// The bytes are not a signature of this kind of key in its strict form.
    #[error("the bytes are not a well-formed signature of this kind of key")]
    Form,
    /// The signature is another key's, or over something else.
    #[error("the signature is not this key's over this payload")]
    Invalid,
}

impl Signed {
    /// Checks that `signature` is `key`'s over `payload`.
    ///
    /// # Errors
    /// [`SignatureFault`]; each of them means that the signature counts for nothing.
    pub fn check(
        key: &PublicKey,
        payload: &Payload,
        signature: &[u8],
        verifier: &dyn Verifier,
    ) -> Result<Self, SignatureFault> {
        if signature.is_empty() {
            return Err(SignatureFault::Empty);
        }
        if !is_well_formed(key.algorithm(), signature) {
            return Err(SignatureFault::Form);
        }
        if !verifier.verify_payload(key, payload, signature) {
            return Err(SignatureFault::Invalid);
        }
        Ok(Self { key: key.clone(), payload: payload.digest() })
    }

    /// The key that signed.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The digest of the payload that it signed.
    pub fn payload(&self) -> Digest {
        self.payload
    }
}

/// Whether the bytes have the strict form of a signature of this kind. Says nothing about whose it is.
pub fn is_well_formed(algorithm: Algorithm, signature: &[u8]) -> bool {
    match algorithm {
        // Encoding what was decoded gives the one DER form there is.
        Algorithm::EcdsaP256 => {
            p256::ecdsa::Signature::from_der(signature).is_ok_and(|s| s.to_der().as_bytes() == signature)
        }
        Algorithm::EcdsaP384 => {
            p384::ecdsa::Signature::from_der(signature).is_ok_and(|s| s.to_der().as_bytes() == signature)
        }
        Algorithm::Ed25519 => signature.len() == 64,
        // As long as the modulus, which is 2,048 to 4,096 bits; the verifier compares it with the key at hand.
        Algorithm::RsaPss => (256..=512).contains(&signature.len()),
    }
}

/// Whether the `s` of an ECDSA signature is the lower of its two forms; nothing for other kinds and for bytes that are not
/// well formed.
pub fn is_low_s(algorithm: Algorithm, signature: &[u8]) -> Option<bool> {
    normal_form(algorithm, signature).map(|normal| normal == signature)
}

/// The form with the lower `s` of an ECDSA signature, in DER; nothing for other kinds and for bytes that are not well
/// formed. Two signatures with one normal form are one signature, written in two ways.
pub fn normal_form(algorithm: Algorithm, signature: &[u8]) -> Option<Vec<u8>> {
    if !is_well_formed(algorithm, signature) {
        return None;
    }
    match algorithm {
        Algorithm::EcdsaP256 => {
            let parsed = p256::ecdsa::Signature::from_der(signature).ok()?;
            Some(parsed.normalize_s().to_der().as_bytes().to_vec())
        }
        Algorithm::EcdsaP384 => {
            let parsed = p384::ecdsa::Signature::from_der(signature).ok()?;
            Some(parsed.normalize_s().to_der().as_bytes().to_vec())
        }
        Algorithm::Ed25519 | Algorithm::RsaPss => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;
    use crate::testing::{Key, ec, ed};

    fn payload(text: &str) -> Payload {
        Payload::of(&parse(text.as_bytes()).unwrap())
    }

    fn check(key: &Key, signature: &[u8]) -> Result<Signed, SignatureFault> {
        Signed::check(&key.public(), &payload("{}"), signature, &Portable)
    }

    /// A verifier that says yes to everything, to show what is decided before it is asked.
    struct Yes;
    impl Verifier for Yes {
        fn verify(&self, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
            true
        }
    }

    #[test]
    fn a_good_signature_leaves_proof() {
        for key in [ec(1), ed(1)] {
            let signed = check(&key, &key.sign(b"{}")).unwrap();
            assert_eq!((signed.key(), signed.payload()), (&key.public(), Digest::of(b"{}")));
        }
    }

    #[test]
    fn another_payload() {
        for key in [ec(1), ed(1)] {
            assert_eq!(check(&key, &key.sign(b"[]")), Err(SignatureFault::Invalid));
        }
    }

    #[test]
    fn another_key() {
        assert_eq!(check(&ec(1), &ec(2).sign(b"{}")), Err(SignatureFault::Invalid));
        assert_eq!(check(&ed(1), &ed(2).sign(b"{}")), Err(SignatureFault::Invalid));
    }

    #[test]
    fn empty() {
        assert_eq!(check(&ec(1), b""), Err(SignatureFault::Empty));
    }

    #[test]
    fn a_signature_of_another_kind_of_key() {
        assert_eq!(check(&ec(1), &ed(1).sign(b"{}")), Err(SignatureFault::Form));
        assert_eq!(check(&ed(1), &ec(1).sign(b"{}")), Err(SignatureFault::Form));
    }

    fn refused_before_the_verifier(signature: &[u8]) {
        let key = ec(1).public();
        let result = Signed::check(&key, &payload("{}"), signature, &Yes);
        assert_eq!(result, Err(SignatureFault::Form), "{}", hex::encode(signature));
    }

    #[test]
    fn der_with_a_byte_after_it() {
        let mut signature = ec(1).sign(b"{}");
        signature.push(0);
        refused_before_the_verifier(&signature);
    }

    #[test]
    fn der_with_a_padded_integer() {
        refused_before_the_verifier(&hex::decode("300702020001020101").unwrap());
    }

    #[test]
    fn der_with_a_negative_integer() {
        refused_before_the_verifier(&hex::decode("3006020181020101").unwrap());
    }

    #[test]
    fn der_with_a_long_length() {
        refused_before_the_verifier(&hex::decode("308106020101020101").unwrap());
    }

    #[test]
    fn der_with_r_or_s_of_zero() {
        refused_before_the_verifier(&hex::decode("3006020100020101").unwrap());
        refused_before_the_verifier(&hex::decode("3006020101020100").unwrap());
    }

    #[test]
    fn der_with_s_beyond_the_order() {
        let n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        refused_before_the_verifier(&hex::decode(["3026020101022100", n].concat()).unwrap());
    }

    #[test]
    fn raw_r_and_s_are_no_der() {
        refused_before_the_verifier(&[1; 64]);
    }

    #[test]
    fn both_forms_of_s_verify_and_are_told_apart() {
        let signature = ec(1).sign(b"{}");
        let parsed = p256::ecdsa::Signature::from_der(&signature).unwrap();
        let negated = p256::ecdsa::Signature::from_scalars(parsed.r().to_bytes(), (-*parsed.s()).to_bytes()).unwrap();
        let other = negated.to_der().as_bytes().to_vec();
        assert!(check(&ec(1), &signature).is_ok() && check(&ec(1), &other).is_ok());
        let low = |s: &[u8]| is_low_s(Algorithm::EcdsaP256, s).unwrap();
        assert_ne!(low(&signature), low(&other));
        assert_eq!(normal_form(Algorithm::EcdsaP256, &signature), normal_form(Algorithm::EcdsaP256, &other));
        assert_eq!(normal_form(Algorithm::Ed25519, &[0; 64]), None);
    }

    /// RFC 8032, 7.1, test 1 with `S + L` in place of `S`.
    #[test]
    fn ed25519_with_s_beyond_the_order() {
        let bytes = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let key = PublicKey::from_ed25519(&bytes.try_into().unwrap()).unwrap();
        let good = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let mut signature = hex::decode(good).unwrap();
        assert!(Portable.verify(&key, b"", &signature));
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut carry = 0;
        for (s, l) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*s) + u16::from(l) + carry;
            *s = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert!(!Portable.verify(&key, b"", &signature));
    }

    #[test]
    fn ed25519_keys_of_small_order_are_no_keys() {
        use crate::key::KeyError;
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(PublicKey::from_ed25519(&one).unwrap_err(), KeyError::Weak);
        assert_eq!(PublicKey::from_ed25519(&[0; 32]).unwrap_err(), KeyError::Weak);
    }

    /// Made with `openssl dgst -sha384 -sign`, over `{}`.
    #[test]
    fn p384_by_openssl() {
        let key = PublicKey::from_pem(P384).unwrap();
        let signature = hex::decode(
            [
                "306502304102a91baeb3f32e7852c507e0fa043756ff99965efb8e01c310e022016b501a92e6cd255a694a6229db91d4b000",
                "9da00231008f4ee8b4a8ed712503b9bf1a104fe63528cb0145631f0481c16a03cb835e0b4d653cc9723019ba9122c7de3a61",
                "bdfabc",
            ]
            .concat(),
        )
        .unwrap();
        assert!(Signed::check(&key, &payload("{}"), &signature, &Portable).is_ok());
        assert_eq!(Signed::check(&key, &payload("[]"), &signature, &Portable), Err(SignatureFault::Invalid));
        let normal = normal_form(Algorithm::EcdsaP384, &signature).unwrap();
        assert!(Signed::check(&key, &payload("{}"), &normal, &Portable).is_ok());
    }

    /// Made with `openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32`, over `{}`.
    #[test]
    fn rsa_pss_by_openssl() {
        let key = PublicKey::from_pem(RSA).unwrap();
        let signature = hex::decode(
            [
                "c47eaf3a013924e00809ae53a6d56a331556cf516322dcf953d62cb9871c0a52d8259e81c44dd71d75635c40c2d9d32e6aaa",
                "e558613d4b2857af73b10b1a1c6a1f84f9112518ca1e8df2c854ddb0ca312fd2c3c62302039c9a8a894911debc95a226541b",
                "8ceabaad82ea0f61388ddc727931809fe74f08c8bd3c3d9cfbfbdd939d5417bfd9aba9a488f6cc58811bea63189cdccc1f5e",
                "aa67cf2feaf94d024fba545bb46f5246a1a42505580dee635e4fe304b4b68ae83b661602031cb87299a37404b5192ecb3316",
                "b0a133aa50df68845031daa2821d5589758743fee9dfbe0b19cd73080925bbc54b754b279f6ce9b5709f4100a3e877d82498",
                "76400095b75d",
            ]
            .concat(),
        )
        .unwrap();
        assert!(Signed::check(&key, &payload("{}"), &signature, &Portable).is_ok());
        assert_eq!(Signed::check(&key, &payload("[]"), &signature, &Portable), Err(SignatureFault::Invalid));
        let longer = [&[0], signature.as_slice()].concat();
        assert_eq!(Signed::check(&key, &payload("{}"), &longer, &Portable), Err(SignatureFault::Invalid));
    }

    /// As before, with a salt of 20 bytes.
    #[test]
    fn rsa_pss_with_another_salt() {
        let key = PublicKey::from_pem(RSA).unwrap();
        let signature = hex::decode(
            [
                "4f92b5ee03f2c4921e85366fbb0b73ee4ee48965c22d31fb5814109f343694193acdd96df9af4f9d447b75cd16d992761158",
                "97cffb1755261515ef6dd5108ba9fb7a426311c6bc400039cde9e64897842200d19f33334461964ec04f2c809f3d4ed9bba4",
                "837bd50d8c6849161747ca7ea9e365cfd735a6c04968bacecf0c677cf2f68f706fe4dc3f0db8c0d01dd3912dacc35c5fa548",
                "3dd77829590ddbbc75401144fb36a1a526a9b8a9b091a963c33af7b64c481298cbf9f32c306c63687978309cb28792ebda3a",
                "ea186e719ced495f810cb62ea34ead2b009e688411d16305c0770e3f3828fe7a7166d8019e212363725f3c63b8055155f369",
                "bcd1d2449171",
            ]
            .concat(),
        )
        .unwrap();
        assert_eq!(Signed::check(&key, &payload("{}"), &signature, &Portable), Err(SignatureFault::Invalid));
    }

    #[test]
    fn rsa_keys_of_1024_bits_are_no_keys() {
        assert_eq!(PublicKey::from_pem(RSA_1024).unwrap_err(), crate::key::KeyError::RsaSize(1024));
    }

    const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEc/7EaxMKh9Ai6WaeTl3JHdbJBB4+lFBb
VVcXWxdV4kAoen8ND9buYgWE6SJ0xWN3UX1SQ692H0laZI5DbBtXx/y7k8L1CtPk
PdOZDjeBbMw5lVaEHRkOgkQfDj8lBWPS
-----END PUBLIC KEY-----
";
    const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAzWVamM/vFmlSnwOeyGfg
jzfMGCA1CP12S6BCTRd7USuwqKMfzyQdaxUigLqHwB86gsUDPYypI0PAKEXo+L66
DcY/BHQEllcFOEa+nMswSGkY+iUbEWkMynfNeCDZvQ5zdncLud1m7Knpkx0/2ktn
oLv9SEz+jWwe1L3yMHYtxG2MyEt82/G22mH67I8llb/sd4uH1CAx2W7Dof50otzN
vJTzTX3ZApus90UR96zlVmK2h1A/V0oPtY0UTEkeFyXce8g1oRBBWm4WSsrsskao
V5AckD7U6rrUksChcCDoE2hp61UFfaqivbe+KBfaGaMtCa9Y9gSVpeYKG7JEKzb7
kQIDAQAB
-----END PUBLIC KEY-----
";
    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC541GlejQptWhdTIL5K1KCGHyD
/QqYkBomuheUZauGLpS84qBNJtDAL7/RDuyeBNvsoiDXv3CFI5LNO8myJd8tq0CZ
hvCfJf/cxng4zpxTMhu/0qy9rYv7FADApugOrV475QInvYwrynd52Z/m3Ad1R9Oc
4PX7FLmqZ0K8pBRdFQIDAQAB
-----END PUBLIC KEY-----
";
}
