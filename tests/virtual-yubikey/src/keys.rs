//! Keys of slots and of authorities.
//!
//! Secrets lie in clear in memory and in the state file: this is a card for tests, and no vault.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use rsa::BoxedUint;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};

use crate::der::{bits, seq, tlv};

/// Kinds of keys, as PIV and the vendor number them.
pub mod algorithm {
    /// RSA with 1,024 bits.
    pub const RSA1024: u8 = 0x06;
    /// RSA with 2,048 bits.
    pub const RSA2048: u8 = 0x07;
    /// RSA with 3,072 bits; since firmware 5.7.
    pub const RSA3072: u8 = 0x05;
    /// RSA with 4,096 bits; since firmware 5.7.
    pub const RSA4096: u8 = 0x16;
    /// ECDSA on P-256.
    pub const P256: u8 = 0x11;
    /// ECDSA on P-384.
    pub const P384: u8 = 0x14;
    /// Ed25519; since firmware 5.7.
    pub const ED25519: u8 = 0xe0;
}
use algorithm::{ED25519, P256, P384, RSA1024, RSA2048, RSA3072, RSA4096};

/// A private key.
pub(crate) enum Key {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
    Rsa(Box<rsa::RsaPrivateKey>),
}

/// Chance of the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives chance");
    bytes
}

impl Key {
    /// A new key; nothing for a kind that is not known.
    pub(crate) fn generate(algorithm: u8) -> Option<Self> {
        let bits = match algorithm {
            RSA1024 => 1024,
            RSA2048 => 2048,
            RSA3072 => 3072,
            RSA4096 => 4096,
            P384 => return drawn(|| Self::from_bytes(P384, &random::<48>())),
            P256 | ED25519 => return drawn(|| Self::from_bytes(algorithm, &random::<32>())),
            _ => return None,
        };
        let mut chance = rand_core::UnwrapErr(getrandom::SysRng);
        Some(Self::Rsa(Box::new(rsa::RsaPrivateKey::new(&mut chance, bits).ok()?)))
    }

    /// A key from PKCS#8 in PEM, P-256 or RSA.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_pem(pem) {
            return Some(Self::P256(key));
        }
        Some(Self::Rsa(Box::new(rsa::RsaPrivateKey::from_pkcs8_pem(pem).ok()?)))
    }

    /// The scalar or seed; of RSA the two primes, each half as long as the modulus.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => key.to_bytes().to_vec(),
            Self::P384(key) => key.to_bytes().to_vec(),
            Self::Ed25519(key) => key.to_bytes().to_vec(),
            Self::Rsa(key) => {
                let half = |prime: &BoxedUint| padded(&prime.to_be_bytes_trimmed_vartime(), key.size() / 2);
                key.primes().iter().take(2).flat_map(half).collect()
            }
        }
    }

    /// The reverse of [`Self::to_bytes`].
    pub(crate) fn from_bytes(algorithm: u8, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            P256 => Some(Self::P256(p256::ecdsa::SigningKey::from_slice(bytes).ok()?)),
            P384 => Some(Self::P384(p384::ecdsa::SigningKey::from_slice(bytes).ok()?)),
            ED25519 => Some(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(bytes.try_into().ok()?))),
            RSA1024 | RSA2048 | RSA3072 | RSA4096 => {
                let (p, q) = bytes.split_at(bytes.len() / 2);
                let number = BoxedUint::from_be_slice_vartime;
                let key = rsa::RsaPrivateKey::from_p_q(number(p), number(q), BoxedUint::from(65_537_u64));
                Some(Self::Rsa(Box::new(key.ok()?)))
            }
            _ => None,
        }
    }

    /// The public key as GENERATE ASYMMETRIC and GET METADATA give it, without the 7F49 around it.
    pub(crate) fn public_tlv(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => tlv(0x86, key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::P384(key) => tlv(0x86, key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::Ed25519(key) => tlv(0x86, key.verifying_key().as_bytes()),
            Self::Rsa(key) => [tlv(0x81, &key.n_bytes()), tlv(0x82, &key.e_bytes())].concat(),
        }
    }

    /// The SubjectPublicKeyInfo, DER.
    pub(crate) fn spki(&self) -> Vec<u8> {
        let document = match self {
            Self::P256(key) => key.verifying_key().to_public_key_der(),
            Self::P384(key) => key.verifying_key().to_public_key_der(),
            Self::Ed25519(key) => return ed25519_spki(key.verifying_key().as_bytes()),
            Self::Rsa(key) => key.to_public_key().to_public_key_der(),
        };
        document.expect("a public key can be written").into_vec()
    }

    /// How many bytes the modulus of an RSA key has.
    pub(crate) fn rsa_size(&self) -> Option<usize> {
        match self {
            Self::Rsa(key) => Some(key.size()),
            _ => None,
        }
    }

    /// What GENERAL AUTHENTICATE does: ECDSA over a digest, Ed25519 over the message, the bare operation of RSA. Nothing
    /// for data of a length that the card refuses.
    pub(crate) fn sign(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(&digest(data, 32)?).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(&digest(data, 48)?).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            Self::Ed25519(key) => Some(key.sign(data).to_bytes().to_vec()),
            Self::Rsa(key) if data.len() == key.size() => {
                let number = BoxedUint::from_be_slice(data, key.n_bits_precision()).ok()?;
                let no_blinding = None::<&mut rand_core::UnwrapErr<getrandom::SysRng>>;
                let signed = rsa::hazmat::rsa_decrypt_and_check(key.as_ref(), no_blinding, &number).ok()?;
                Some(padded(&signed.to_be_bytes_trimmed_vartime(), key.size()))
            }
            Self::Rsa(_) => None,
        }
    }
}

/// RFC 8410, 4.
fn ed25519_spki(public: &[u8]) -> Vec<u8> {
    seq(&[seq(&[tlv(0x06, &[0x2b, 0x65, 0x70])]), bits(public)])
}

/// The first candidate that is a key; bytes that are no scalar of the curve are as good as never drawn.
fn drawn(candidate: impl FnMut() -> Option<Key>) -> Option<Key> {
    std::iter::repeat_with(candidate).flatten().next()
}

/// A digest that is no longer than the curve, with zeros in front.
fn digest(data: &[u8], n: usize) -> Option<Vec<u8>> {
    (data.len() <= n).then(|| padded(data, n))
}

fn padded(data: &[u8], n: usize) -> Vec<u8> {
    let data = &data[data.len().saturating_sub(n)..];
    [vec![0; n - data.len()], data.to_vec()].concat()
}
