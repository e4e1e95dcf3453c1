//! Attestations: anchor, intermediates, device (f9), slot.
//!
//! Rules:
//! 1. The anchor is the one of rehearsals, `src/core/attestation/vendors/rehearsal.pem`. Its private key, and those of the
//!    intermediates, lie in `authorities/`: anybody can make such a chain, it proves nothing, and the names say so.
//! 2. What stands between anchor and device is on no card. It is published beside the anchor, as the vendor does it.
//! 3. The same key and statements give the same certificate, so the published files can be made again.

use sha2::{Digest as _, Sha256};

use crate::der::{bits, extension, name, seq, tlv, unsigned};
use crate::keys::Key;
use crate::keys::algorithm::P256;

/// The subject of the anchor.
pub const ANCHOR_NAME: &str = "TRUSTROOT REHEARSAL - NOT A REAL TOKEN";
/// The subject of device certificates.
pub const DEVICE_NAME: &str = "TRUSTROOT REHEARSAL PIV Attestation";

const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

/// How a device certificate hangs on the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// Directly, as up to firmware 5.7.3.
    #[default]
    Direct,
    /// Through two intermediates with RSA keys, which no program pins: they are handed in.
    Rsa,
    /// Through two intermediates with P-256 keys, pinned beside the anchor; the shape since firmware 5.7.4.
    Ecdsa,
}

/// An authority above the devices: its name, its key, and how many authorities may follow it.
struct Authority {
    name: &'static str,
    key: Key,
    path_length: u8,
}

impl Authority {
    fn new(name: &'static str, key: &str, path_length: u8) -> Self {
        Self { name, key: Key::from_pem(key).expect("the keys in authorities/ are keys"), path_length }
    }

    fn anchor() -> Self {
        Self::new(ANCHOR_NAME, include_str!("../authorities/anchor.pem"), 3)
    }

    fn certificate(&self, above: &Self) -> Vec<u8> {
        // keyCertSign and cRLSign.
        let usage = extension(KEY_USAGE, true, &tlv(0x03, &[0x01, 0x06]));
        certificate(above.name, &above.key, self.name, &self.key.spki(), &[authority(self.path_length), usage])
    }
}

impl Line {
    /// The authorities between anchor and device, from the anchor down.
    fn authorities(self) -> Vec<Authority> {
        match self {
            Self::Direct => Vec::new(),
            Self::Rsa => vec![
                Authority::new(
                    "TRUSTROOT REHEARSAL Attestation Intermediate A",
                    include_str!("../authorities/intermediate-a.pem"),
                    2,
                ),
                Authority::new("TRUSTROOT REHEARSAL PIV Attestation A", include_str!("../authorities/piv-a.pem"), 1),
            ],
            Self::Ecdsa => vec![
                Authority::new(
                    "TRUSTROOT REHEARSAL Attestation Intermediate 1",
                    include_str!("../authorities/intermediate-b.pem"),
                    2,
                ),
                Authority::new("TRUSTROOT REHEARSAL PIV Attestation 1", include_str!("../authorities/piv-b.pem"), 1),
            ],
        }
    }

    /// The certificates between anchor and device, DER, from the anchor down.
    pub fn intermediates(self) -> Vec<Vec<u8>> {
        let mut above = Authority::anchor();
        let mut certificates = Vec::new();
        for authority in self.authorities() {
            certificates.push(authority.certificate(&above));
            above = authority;
        }
        certificates
    }
}

/// The certificate of the anchor, DER.
pub fn anchor() -> Vec<u8> {
    let anchor = Authority::anchor();
    anchor.certificate(&anchor)
}

/// The certificate of a device, DER.
pub(crate) fn device(line: Line, key: &Key, firmware: [u8; 3]) -> Vec<u8> {
    let above = line.authorities().pop().unwrap_or_else(Authority::anchor);
    // As on a YubiKey: firmware, basic constraints, and no key usage.
    let extensions = [extension(&yubico(3), false, &firmware), authority(0)];
    certificate(above.name, &above.key, DEVICE_NAME, &key.spki(), &extensions)
}

/// The same by an authority that nobody knows, under the name of the one that is known.
pub(crate) fn device_by_a_stranger(line: Line, key: &Key, firmware: [u8; 3]) -> Vec<u8> {
    let above = line.authorities().pop().unwrap_or_else(Authority::anchor);
    let stranger = Key::generate(P256).expect("a P-256 key can be made");
    certificate(
        above.name,
        &stranger,
        DEVICE_NAME,
        &key.spki(),
        &[extension(&yubico(3), false, &firmware), authority(0)],
    )
}

/// What the certificate of a slot states.
pub(crate) struct Statement {
    pub(crate) slot: u8,
    pub(crate) firmware: [u8; 3],
    pub(crate) serial: u32,
    pub(crate) pin: u8,
    pub(crate) touch: u8,
    pub(crate) form_factor: u8,
    pub(crate) fips: bool,
    pub(crate) cspn: bool,
}

/// The certificate of the key in a slot, signed by the device's key.
pub(crate) fn slot(device: &Key, spki: &[u8], statement: &Statement) -> Vec<u8> {
    let mut extensions = vec![
        extension(&yubico(3), false, &statement.firmware),
        extension(&yubico(7), false, &unsigned(&statement.serial.to_be_bytes())),
        extension(&yubico(8), false, &[statement.pin, statement.touch]),
        extension(&yubico(9), false, &[statement.form_factor]),
    ];
    // The vendor says that these extensions mark a certified device; they state nothing besides.
    for (marked, leaf) in [(statement.fips, 10), (statement.cspn, 11)] {
        if marked {
            extensions.push(extension(&yubico(leaf), false, &[0x05, 0x00]));
        }
    }
    certificate(DEVICE_NAME, device, &format!("YubiKey PIV Attestation {:x}", statement.slot), spki, &extensions)
}

/// 1.3.6.1.4.1.41482.3.`leaf`
fn yubico(leaf: u8) -> Vec<u8> {
    vec![0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03, leaf]
}

/// Basic constraints of an authority.
fn authority(path_length: u8) -> Vec<u8> {
    extension(BASIC_CONSTRAINTS, true, &seq(&[tlv(0x01, &[0xff]), tlv(0x02, &[path_length])]))
}

fn certificate(issuer: &str, key: &Key, subject: &str, spki: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = match key.rsa_size() {
        Some(_) => seq(&[tlv(0x06, RSA_SHA256), tlv(0x05, &[])]),
        None => seq(&[tlv(0x06, ECDSA_SHA256)]),
    };
    let rest = [
        algorithm.clone(),
        name(issuer),
        // The dates of the vendor's own device certificates.
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
    let digest = Sha256::digest(&body);
    let signature = match key.rsa_size() {
        Some(size) => key.sign(&pkcs1(&digest, size)),
        None => key.sign(&digest),
    };
    seq(&[body, algorithm, bits(&signature.expect("an issuer signs a SHA-256 digest"))])
}

/// EMSA-PKCS1-v1_5 of a SHA-256 digest (RFC 8017, 9.2).
fn pkcs1(digest: &[u8], size: usize) -> Vec<u8> {
    let info = seq(&[seq(&[tlv(0x06, SHA256), tlv(0x05, &[])]), tlv(0x04, digest)]);
    [vec![0, 1], vec![0xff; size - info.len() - 3], vec![0], info].concat()
}
