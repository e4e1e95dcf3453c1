//! Public keys, whatever form they came in.
//!
//! A [`PublicKey`] is compared, ordered and counted by the DER of its SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), so two
//! spellings of one key are one key. Keys that would let a signature pass that nobody made (points of small order,
//! non-canonical encodings, RSA below 2,048 bits) are refused when they are read.

use crate::digest::Digest;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use spki::der::pem::LineEnding;
use spki::{DecodePublicKey as _, EncodePublicKey as _};

/// A public key that can be verified with. One key stands in many roles of many roots, so clones share what it is.
#[derive(Clone)]
pub struct PublicKey(Arc<Decoded>);

struct Decoded {
    inner: Inner,
    spki: Vec<u8>,
}

enum Inner {
    EcdsaP256(p256::ecdsa::VerifyingKey),
    EcdsaP384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(rsa::RsaPublicKey),
}

/// The kinds of keys that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// ECDSA over NIST P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA over NIST P-384 with SHA-384.
    EcdsaP384,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes (RFC 8017), 2,048 to 4,096 bits; for reading only.
    RsaPss,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
            Self::RsaPss => "RSA-PSS",
        })
    }
}

/// Why bytes are not a usable public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a SubjectPublicKeyInfo in DER, or its PEM.
    #[error("not a public key in DER or PEM (SubjectPublicKeyInfo)")]
    Encoding,
    /// A well-formed key of a kind that is not understood.
    #[error("a key of a kind that is not understood; known are ECDSA P-256 and P-384, Ed25519 and RSA")]
    Unknown,
    /// A key that verifies what nobody signed: a point of small order, or not the canonical encoding.
    #[error("a weak key: its point is of small order or not canonically encoded")]
    Weak,
    /// An RSA key outside 2,048 to 4,096 bits.
    #[error("an RSA key of {0} bits; 2,048 to 4,096 are accepted")]
    RsaSize(usize),
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        const OID_EC: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
        const OID_ED25519: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.3.101.112");
        const OID_RSA: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        const OID_P256: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
        const OID_P384: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.3.132.0.34");

        let info = spki::SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::Encoding)?;
        let inner = match info.algorithm.oid {
            OID_EC => match info.algorithm.parameters_oid() {
                Ok(OID_P256) => Inner::EcdsaP256(
                    p256::ecdsa::VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::Encoding)?,
                ),
                Ok(OID_P384) => Inner::EcdsaP384(
                    p384::ecdsa::VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::Encoding)?,
                ),
                _ => return Err(KeyError::Unknown),
            },
            OID_ED25519 => {
                let bytes = info.subject_public_key.as_bytes().ok_or(KeyError::Encoding)?;
                let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Encoding)?;
                return Self::from_ed25519(bytes);
            }
            OID_RSA => {
                let key = rsa::RsaPublicKey::from_public_key_der(der).map_err(|_| KeyError::Encoding)?;
                let bits = rsa::traits::PublicKeyParts::n(&key).bits() as usize;
                if !(2048..=4096).contains(&bits) {
                    return Err(KeyError::RsaSize(bits));
                }
                Inner::Rsa(key)
            }
            _ => return Err(KeyError::Unknown),
        };
        Self::canonical(inner)
    }

    /// Reads the PEM of a SubjectPublicKeyInfo (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, document) = spki::Document::from_pem(pem).map_err(|_| KeyError::Encoding)?;
        if label != "PUBLIC KEY" {
            return Err(KeyError::Encoding);
        }
        Self::from_spki_der(document.as_bytes())
    }

    /// Reads a SEC 1 point of P-256, compressed or not.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] for bytes that are no point of the curve.
    pub fn from_p256_point(point: &[u8]) -> Result<Self, KeyError> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Encoding)?;
        Self::canonical(Inner::EcdsaP256(key))
    }

    /// Reads a SEC 1 point of P-384, compressed or not.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] for bytes that are no point of the curve.
    pub fn from_p384_point(point: &[u8]) -> Result<Self, KeyError> {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Encoding)?;
        Self::canonical(Inner::EcdsaP384(key))
    }

    /// Takes modulus and public exponent of an RSA key, big-endian.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`], and [`KeyError::Encoding`] for numbers that are no key.
    pub fn from_rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let number = |bytes: &[u8]| rsa::BoxedUint::from_be_slice_vartime(bytes);
        if modulus.len() > 1024 || exponent.len() > 8 {
            return Err(KeyError::Encoding);
        }
        let key = rsa::RsaPublicKey::new(number(modulus), number(exponent)).map_err(|_| KeyError::Encoding)?;
        let der = key.to_public_key_der().map_err(|_| KeyError::Encoding)?;
        Self::from_spki_der(der.as_bytes())
    }

    /// Reads the 32 bytes of an Ed25519 key.
    ///
    /// # Errors
    /// [`KeyError::Weak`] for points of small order and for encodings that are not canonical.
    pub fn from_ed25519(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Encoding)?;
        // `to_edwards().compress()` is the one canonical encoding; anything else is a second spelling of the point.
        if key.is_weak() || key.to_edwards().compress().to_bytes() != *bytes {
            return Err(KeyError::Weak);
        }
        Self::canonical(Inner::Ed25519(key))
    }

    fn canonical(inner: Inner) -> Result<Self, KeyError> {
        let document = match &inner {
            Inner::EcdsaP256(key) => key.to_public_key_der(),
            Inner::EcdsaP384(key) => key.to_public_key_der(),
            Inner::Ed25519(key) => {
                // ed25519-dalek's own encoder needs its `pkcs8` feature, which brings private keys along.
                let mut spki = hex::decode("302a300506032b6570032100").map_err(|_| KeyError::Encoding)?;
                spki.extend_from_slice(key.as_bytes());
                return Ok(Self(Arc::new(Decoded { inner, spki })));
            }
            Inner::Rsa(key) => key.to_public_key_der(),
        };
        let spki = document.map_err(|_| KeyError::Encoding)?.as_bytes().to_vec();
        Ok(Self(Arc::new(Decoded { inner, spki })))
    }

    /// The kind of the key.
    pub fn algorithm(&self) -> Algorithm {
        match self.0.inner {
            Inner::EcdsaP256(_) => Algorithm::EcdsaP256,
            Inner::EcdsaP384(_) => Algorithm::EcdsaP384,
            Inner::Ed25519(_) => Algorithm::Ed25519,
            Inner::Rsa(_) => Algorithm::RsaPss,
        }
    }

    /// The canonical DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The PEM of [`Self::spki_der`], ending in a newline.
    pub fn to_pem(&self) -> String {
        spki::Document::try_from(self.0.spki.as_slice())
            .and_then(|document| document.to_pem("PUBLIC KEY", LineEnding::LF))
            .map(|pem| pem.to_string())
            .unwrap_or_default()
    }

    /// The key fingerprint: SHA-256 of the DER SubjectPublicKeyInfo.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0.spki)
    }

    /// The 32 bytes of an Ed25519 key; nothing for other kinds.
    pub fn ed25519_bytes(&self) -> Option<[u8; 32]> {
        match &self.0.inner {
            Inner::Ed25519(key) => Some(key.to_bytes()),
            _ => None,
        }
    }

    /// Whether `signature` is this key's over `message`, in the encoding that TUF uses: DER for ECDSA, 64 bytes for
    /// Ed25519 (checked as RFC 8032 asks, cofactorless and strict), PSS with a 32-byte salt for RSA.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        use rsa::signature::Verifier as _;
        match &self.0.inner {
            Inner::EcdsaP256(key) => {
                p256::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }
            Inner::EcdsaP384(key) => {
                p384::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }
            Inner::Ed25519(key) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| key.verify_strict(message, &s).is_ok())
            }
            Inner::Rsa(key) => {
                let key = rsa::pss::VerifyingKey::<sha2::Sha256>::new(key.clone());
                rsa::pss::Signature::try_from(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.spki.cmp(&other.0.spki)
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.spki.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), self.fingerprint().short())
    }
}
