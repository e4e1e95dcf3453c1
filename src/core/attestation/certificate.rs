//! X.509 certificates, as far as attestations need them (RFC 5280, section 4.1).
//!
//! Rules:
//! 1. Names, keys and what is signed are slices of the input: nothing is compared or hashed after re-encoding.
//! 2. Encoding is DER and nothing else; no byte may follow the certificate, and none is ignored but the serial number
//!    (which some devices encode with a superfluous zero).
//! 3. Leniencies are remembered by name, never silent.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::Digest as _;
use spki::DecodePublicKey as _;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

/// The largest certificate that is looked at. The vendors' have about 1,000 bytes.
const MAX_CERTIFICATE: usize = 8 * 1024;

const OID_BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const OID_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const OID_COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Bytes that are no certificate in the form that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotACertificate(&'static str);

impl NotACertificate {
    pub(super) const NOT_AN_AUTHORITY: Self = Self("it is not the certificate of a certification authority");
}

/// A parsed certificate that borrows its DER.
#[derive(Clone, Debug)]
pub(super) struct Certificate<'a> {
    pub(super) der: &'a [u8],
    tbs: &'a [u8],
    /// The issuer's name, DER.
    pub(super) issuer: &'a [u8],
    /// The subject's name, DER.
    pub(super) subject: &'a [u8],
    /// The SubjectPublicKeyInfo, DER.
    pub(super) spki: &'a [u8],
    /// Not before and not after, in seconds since 1970-01-01T00:00:00Z.
    pub(super) validity: (u64, u64),
    algorithm: SignatureAlgorithm,
    /// Whether the parameters of an RSA signature algorithm are absent where RFC 4055 asks for NULL.
    pub(super) without_null: bool,
    signature: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Extension<'a> {
    id: ObjectIdentifier,
    critical: bool,
    value: &'a [u8],
}

/// What basic constraints say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// There is no such extension.
    Unsaid,
    /// Not a certification authority.
    No,
    /// A certification authority, with at most this many authorities between it and the end.
    Yes(Option<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignatureAlgorithm {
    Rsa(Hash),
    Ecdsa(Hash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl SignatureAlgorithm {
    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
        const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
        const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
        const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
        const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
        const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
        Some(match oid {
            RSA_SHA256 => Self::Rsa(Hash::Sha256),
            RSA_SHA384 => Self::Rsa(Hash::Sha384),
            RSA_SHA512 => Self::Rsa(Hash::Sha512),
            ECDSA_SHA256 => Self::Ecdsa(Hash::Sha256),
            ECDSA_SHA384 => Self::Ecdsa(Hash::Sha384),
            ECDSA_SHA512 => Self::Ecdsa(Hash::Sha512),
            _ => return None,
        })
    }
}

/// Ends a closure over a reader that reports `der` errors, with our own reason.
fn malformed(reason: &'static str) -> impl Fn(der::Error) -> NotACertificate {
    move |_| NotACertificate(reason)
}

impl<'a> Certificate<'a> {
    /// Reads one certificate, in DER.
    pub(super) fn parse(der: &'a [u8]) -> Result<Self, NotACertificate> {
        if der.len() > MAX_CERTIFICATE {
            return Err(NotACertificate("longer than any attestation certificate"));
        }
        let outer = AnyRef::from_der(der).map_err(malformed("not DER, or bytes after the certificate"))?;
        let (tbs, algorithm, signature) = sequence(outer, |reader| {
            Ok((reader.tlv_bytes()?, reader.tlv_bytes()?, reader.decode::<BitStringRef<'a>>()?))
        })
        .map_err(malformed("not a certificate (RFC 5280, 4.1)"))?;
        let signature = signature.as_bytes().ok_or(NotACertificate("the signature is not a whole number of bytes"))?;

        let body = AnyRef::from_der(tbs).map_err(malformed("its signed part is not DER"))?;
        let fields = sequence(body, Fields::read).map_err(malformed("its signed part is not that of a version 3"))?;
        // RFC 5280, 4.1.1.2: what stands outside the signature must be what stands inside.
        if fields.algorithm != algorithm {
            return Err(NotACertificate("the signature algorithm inside is not the one outside"));
        }
        let (algorithm, without_null) = signature_algorithm(algorithm)?;
        for (n, extension) in fields.extensions.iter().enumerate() {
            if fields.extensions.iter().skip(n + 1).any(|other| other.id == extension.id) {
                return Err(NotACertificate("an extension is there twice"));
            }
        }
        Ok(Self {
            der,
            tbs,
            issuer: fields.issuer,
            subject: fields.subject,
            spki: fields.spki,
            validity: fields.validity,
            algorithm,
            without_null,
            signature,
            extensions: fields.extensions,
        })
    }

    /// The value of an extension.
    pub(super) fn extension(&self, id: &ObjectIdentifier) -> Option<&'a [u8]> {
        self.extensions.iter().find(|extension| extension.id == *id).map(|extension| extension.value)
    }

    /// Whether a critical extension is there that this program does not know (RFC 5280, 4.2: refuse).
    pub(super) fn has_unknown_critical(&self) -> bool {
        let known = [OID_BASIC_CONSTRAINTS, OID_KEY_USAGE];
        self.extensions.iter().any(|extension| extension.critical && !known.contains(&extension.id))
    }

    /// What basic constraints say.
    pub(super) fn authority(&self) -> Result<Authority, NotACertificate> {
        let Some(value) = self.extension(&OID_BASIC_CONSTRAINTS) else { return Ok(Authority::Unsaid) };
        let constraints =
            BasicConstraints::from_der(value).map_err(malformed("its basic constraints are malformed"))?;
        Ok(if constraints.ca { Authority::Yes(constraints.path_len_constraint) } else { Authority::No })
    }

    /// Whether the key may sign certificates; nothing where key usage is not said.
    pub(super) fn may_sign_certificates(&self) -> Result<Option<bool>, NotACertificate> {
        let Some(value) = self.extension(&OID_KEY_USAGE) else { return Ok(None) };
        let usage = KeyUsage::from_der(value).map_err(malformed("its key usage is malformed"))?;
        Ok(Some(usage.key_cert_sign()))
    }

    /// Whether the key in `spki` made this certificate's signature.
    pub(super) fn is_signed_by(&self, spki: &[u8]) -> bool {
        match self.algorithm {
            SignatureAlgorithm::Rsa(hash) => rsa_verifies(hash, spki, self.tbs, self.signature),
            SignatureAlgorithm::Ecdsa(hash) => ecdsa_verifies(hash, spki, self.tbs, self.signature),
        }
    }
}

/// The fields of a TBSCertificate that are used.
struct Fields<'a> {
    algorithm: &'a [u8],
    issuer: &'a [u8],
    validity: (u64, u64),
    subject: &'a [u8],
    spki: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

impl<'a> Fields<'a> {
    fn read(reader: &mut SliceReader<'a>) -> der::Result<Self> {
        // Version 3 is [0] { INTEGER 2 }; earlier ones have no extensions, so they cannot attest.
        let version = reader.tlv_bytes()?;
        if version != [0xa0, 0x03, 0x02, 0x01, 0x02] {
            return Err(Tag::Integer.value_error().into());
        }
        let serial = AnyRef::decode(reader)?;
        serial.tag().assert_eq(Tag::Integer)?;
        let algorithm = reader.tlv_bytes()?;
        let issuer = reader.tlv_bytes()?;
        let validity = x509_cert::time::Validity::<x509_cert::certificate::Rfc5280>::decode(reader)?;
        let subject = reader.tlv_bytes()?;
        let spki = reader.tlv_bytes()?;
        let mut extensions = Vec::new();
        if !reader.is_finished() {
            // Unique identifiers ([1], [2]) are refused along with everything else that is not [3].
            let wrapped = AnyRef::decode(reader)?;
            if wrapped.tag() != (Tag::ContextSpecific { constructed: true, number: der::TagNumber(3) }) {
                return Err(Tag::Sequence.value_error().into());
            }
            let list = AnyRef::from_der(wrapped.value())?;
            sequence(list, |reader| {
                while !reader.is_finished() {
                    extensions.push(sequence(AnyRef::decode(reader)?, Extension::read)?);
                }
                Ok(())
            })?;
        }
        let validity =
            (validity.not_before.to_unix_duration().as_secs(), validity.not_after.to_unix_duration().as_secs());
        Ok(Self { algorithm, issuer, validity, subject, spki, extensions })
    }
}

impl<'a> Extension<'a> {
    fn read(reader: &mut SliceReader<'a>) -> der::Result<Self> {
        let id = ObjectIdentifier::decode(reader)?;
        let critical = if Tag::peek(reader)? == Tag::Boolean { bool::decode(reader)? } else { false };
        let value = <&der::asn1::OctetStringRef>::decode(reader)?.as_bytes();
        Ok(Self { id, critical, value })
    }
}

/// Reads all of a SEQUENCE, so that nothing is left over in it.
fn sequence<'a, T>(any: AnyRef<'a>, read: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>) -> der::Result<T> {
    any.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(any.value())?;
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// The algorithm, and whether RSA's NULL is missing.
fn signature_algorithm(der: &[u8]) -> Result<(SignatureAlgorithm, bool), NotACertificate> {
    let identifier =
        spki::AlgorithmIdentifierRef::from_der(der).map_err(malformed("its signature algorithm is malformed"))?;
    let algorithm = SignatureAlgorithm::from_oid(identifier.oid)
        .ok_or(NotACertificate("its signature algorithm is not RSA PKCS#1 v1.5 or ECDSA with SHA-256, 384 or 512"))?;
    match (algorithm, identifier.parameters) {
        (SignatureAlgorithm::Rsa(_), Some(parameters)) if parameters.is_null() => Ok((algorithm, false)),
        (SignatureAlgorithm::Rsa(_), None) => Ok((algorithm, true)),
        (SignatureAlgorithm::Ecdsa(_), None) => Ok((algorithm, false)),
        _ => Err(NotACertificate("its signature algorithm has parameters that do not belong there")),
    }
}

fn rsa_verifies(hash: Hash, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = rsa::RsaPublicKey::from_public_key_der(spki) else { return false };
    if !(2048..=4096).contains(&rsa::traits::PublicKeyParts::n(&key).bits()) {
        return false;
    }
    let Ok(signature) = rsa::pkcs1v15::Signature::try_from(signature) else { return false };
    match hash {
        Hash::Sha256 => rsa::pkcs1v15::VerifyingKey::<sha2::Sha256>::new(key).verify(message, &signature).is_ok(),
        Hash::Sha384 => rsa::pkcs1v15::VerifyingKey::<sha2::Sha384>::new(key).verify(message, &signature).is_ok(),
        Hash::Sha512 => rsa::pkcs1v15::VerifyingKey::<sha2::Sha512>::new(key).verify(message, &signature).is_ok(),
    }
}

fn ecdsa_verifies(hash: Hash, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let digest: Vec<u8> = match hash {
        Hash::Sha256 => sha2::Sha256::digest(message).to_vec(),
        Hash::Sha384 => sha2::Sha384::digest(message).to_vec(),
        Hash::Sha512 => sha2::Sha512::digest(message).to_vec(),
    };
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(spki) {
        return p256::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(&digest, &s).is_ok());
    }
    if let Ok(key) = p384::ecdsa::VerifyingKey::from_public_key_der(spki) {
        return p384::ecdsa::Signature::from_der(signature).is_ok_and(|s| key.verify_prehash(&digest, &s).is_ok());
    }
    false
}

/// A name as RFC 4514 writes it, for showing; foreign text.
pub(super) fn name_text(der: &[u8]) -> String {
    x509_cert::name::Name::from_der(der).map_or_else(|_| "a name that cannot be read".to_string(), |n| n.to_string())
}

/// The common name, where the name is that one attribute and nothing else.
pub(super) fn only_common_name(der: &[u8]) -> Option<&str> {
    let read = || -> der::Result<(ObjectIdentifier, AnyRef<'_>)> {
        sequence(AnyRef::from_der(der)?, |names| {
            let set = AnyRef::decode(names)?;
            set.tag().assert_eq(Tag::Set)?;
            sequence(AnyRef::from_der(set.value())?, |attribute| {
                Ok((ObjectIdentifier::decode(attribute)?, AnyRef::decode(attribute)?))
            })
        })
    };
    let (id, value) = read().ok()?;
    let textual = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString);
    (id == OID_COMMON_NAME && textual).then(|| core::str::from_utf8(value.value()).ok())?
}
