//! The certificates of virtual tokens: rehearsal anchor, device (f9), slot; shaped like a YubiKey's.
//!
//! Rules:
//! 1. The private key of the rehearsal anchor comes from a constant in this file. Anybody can make such a chain; it
//!    proves nothing, and the anchor's and the device's names say so.
//! 2. The same inputs give the same bytes: dates are fixed, serial numbers are hashes, signatures are RFC 6979.
//! 3. A certificate that lies ([`Claims`]) is for practising refusal; it chains to the rehearsal anchor or to nothing.

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256};

use super::derive;

/// The subject of the rehearsal anchor.
pub const ANCHOR_NAME: &str = "TRUSTROOT REHEARSAL - NOT A REAL TOKEN";
/// The subject of the device certificates below it.
pub const DEVICE_NAME: &str = "TRUSTROOT REHEARSAL PIV Attestation";
/// The subjects between them, from the anchor down, for tokens shaped like those of firmware 5.7.4 and later.
pub const INTERMEDIATE_NAMES: [&str; 2] =
    ["TRUSTROOT REHEARSAL Attestation Intermediate 1", "TRUSTROOT REHEARSAL PIV Attestation 1"];
/// Where the anchor's private key comes from. It is public, on purpose.
const PUBLIC_CONSTANT: &[u8] = b"trustroot rehearsal anchor, public private key, proves nothing";

const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

/// What the certificate of a slot states.
#[derive(Clone, Debug)]
pub struct Claims {
    /// The serial number.
    pub serial: u32,
    /// `major, minor, patch`.
    pub firmware: (u8, u8, u8),
    /// The PIN policy as a YubiKey encodes it: 1 never, 2 once, 3 always.
    pub pin: u8,
    /// The touch policy as a YubiKey encodes it: 1 never, 2 always, 3 cached.
    pub touch: u8,
    /// The slot, such as `9c`.
    pub slot: String,
}

/// An issuer: its name and its key.
pub struct Issuer {
    name: String,
    key: SigningKey,
}

impl Issuer {
    /// An issuer with this common name and key.
    pub fn new(name: &str, key: SigningKey) -> Self {
        Self { name: name.to_owned(), key }
    }

    /// The rehearsal anchor.
    pub fn rehearsal() -> Self {
        Self::new(ANCHOR_NAME, derive::p256("rehearsal anchor", &[PUBLIC_CONSTANT]))
    }

    /// The intermediates of rehearsals, from the anchor down, pinned like the vendor's. The lower one issues the
    /// certificates of devices.
    pub fn rehearsal_intermediates() -> [Self; 2] {
        INTERMEDIATE_NAMES
            .map(|name| Self::new(name, derive::p256("rehearsal intermediate", &[PUBLIC_CONSTANT, name.as_bytes()])))
    }

    /// The certificate of this issuer as an authority, signed by `above`. `path_length` is how many authorities may
    /// follow it.
    pub fn certificate(&self, above: &Issuer, path_length: u8, firmware: Option<(u8, u8, u8)>) -> Vec<u8> {
        let constraints = seq(&[tlv(0x01, &[0xff]), tlv(0x02, &[path_length])]);
        let mut extensions = vec![extension(BASIC_CONSTRAINTS, true, &constraints)];
        match firmware {
            // As on a YubiKey: firmware, basic constraints, and no key usage.
            Some((major, minor, patch)) => extensions.insert(0, extension(&yubico(3), false, &[major, minor, patch])),
            // keyCertSign and cRLSign.
            None => extensions.push(extension(KEY_USAGE, true, &tlv(0x03, &[0x01, 0x06]))),
        }
        certificate(above, &self.name, &spki(self.key.verifying_key()), &extensions)
    }

    /// The attestation that this issuer, as a device, gives the key in a slot.
    pub fn attest(&self, key: &p256::ecdsa::VerifyingKey, claims: &Claims) -> Vec<u8> {
        let (major, minor, patch) = claims.firmware;
        certificate(
            self,
            &format!("YubiKey PIV Attestation {}", claims.slot),
            &spki(key),
            &[
                extension(&yubico(3), false, &[major, minor, patch]),
                extension(&yubico(7), false, &unsigned(&claims.serial.to_be_bytes())),
                extension(&yubico(8), false, &[claims.pin, claims.touch]),
                // USB-C keychain.
                extension(&yubico(9), false, &[3]),
            ],
        )
    }
}

/// A certificate of `subject` and its key, signed by `issuer`. What it states is the caller's business.
pub(super) fn certificate(issuer: &Issuer, subject: &str, spki: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = seq(&[tlv(0x06, ECDSA_SHA256)]);
    let rest = [
        algorithm.clone(),
        name(&issuer.name),
        // The dates of Yubico's own f9 certificates.
        seq(&[tlv(0x17, b"160314000000Z"), tlv(0x18, b"20520417000000Z")]),
        name(subject),
        spki.to_vec(),
        tlv(0xa3, &seq(extensions)),
    ]
    .concat();
    let mut serial: [u8; 16] = [0; 16];
    serial.copy_from_slice(&Sha256::digest(&rest)[..16]);
    // Positive, and 16 bytes long in its shortest form.
    serial[0] = serial[0] & 0x7f | 0x40;
    let body = seq(&[tlv(0xa0, &tlv(0x02, &[2])), tlv(0x02, &serial), rest]);
    let signature: p256::ecdsa::Signature = issuer.key.sign(&body);
    let signature = [&[0][..], signature.to_der().as_bytes()].concat();
    seq(&[body, algorithm, tlv(0x03, &signature)])
}

/// The SubjectPublicKeyInfo of a key, its point uncompressed.
pub(super) fn spki(key: &p256::ecdsa::VerifyingKey) -> Vec<u8> {
    let point = [&[0][..], key.to_sec1_point(false).as_bytes()].concat();
    seq(&[seq(&[tlv(0x06, EC_PUBLIC_KEY), tlv(0x06, P256)]), tlv(0x03, &point)])
}

/// 1.3.6.1.4.1.41482.3.`leaf`
pub(super) fn yubico(leaf: u8) -> Vec<u8> {
    vec![0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03, leaf]
}

fn name(common_name: &str) -> Vec<u8> {
    seq(&[tlv(0x31, &seq(&[tlv(0x06, COMMON_NAME), tlv(0x0c, common_name.as_bytes())]))])
}

pub(super) fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xff]) } else { Vec::new() };
    seq(&[tlv(0x06, id), critical, tlv(0x04, value)])
}

/// A non-negative INTEGER in its shortest form.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign = if digits.first().is_none_or(|byte| byte & 0x80 != 0) { &[0][..] } else { &[] };
    tlv(0x02, &[sign, &digits].concat())
}

pub(super) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// Tag, length and value. Everything made here is far below 65,536 bytes.
pub(super) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let [.., high, low] = value.len().to_be_bytes();
    let length = match value.len() {
        0..=0x7f => vec![low],
        0x80..=0xff => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, value].concat()
}
