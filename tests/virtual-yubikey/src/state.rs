//! What a card keeps when it is unplugged, and the file it is kept in.
//!
//! The file is JSON, its bytes in hexadecimal, secrets and all. It is written whole after each change.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::apdu::status;
use crate::attest::{self, Line};
use crate::der::tlv;
use crate::keys::Key;
use crate::keys::algorithm::P256;

/// The slot of the device's own key, which signs attestations and nothing else.
pub(crate) const ATTESTATION_SLOT: u8 = 0xf9;
/// The data object that holds the device's certificate.
pub(crate) const ATTESTATION_OBJECT: &str = "5fff01";

/// The PIN of a factory-new card.
pub const FACTORY_PIN: &str = "123456";
/// The PUK of a factory-new card.
pub const FACTORY_PUK: &str = "12345678";
/// The management key of a factory-new card.
pub const FACTORY_MANAGEMENT_KEY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

/// Which YubiKey a card is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The serial number.
    pub serial: u32,
    /// `major, minor, patch`. Below 5.3.0 there is no metadata; since 5.7.0 there are AES-192 management keys, Ed25519,
    /// RSA of 3,072 and 4,096 bits, and keys can be moved.
    pub firmware: [u8; 3],
    /// The shape, as the vendor numbers it: 3 is a USB-C keychain. The FIPS mark is added by [`Self::fips`].
    pub form_factor: u8,
    /// Whether it is of the FIPS series.
    pub fips: bool,
    /// Whether it is of the CSPN series.
    pub cspn: bool,
    /// Whether it refuses PINs that are easy to guess.
    pub pin_complexity: bool,
    /// How its certificate hangs on the anchor.
    pub line: Line,
    /// The kind of its attestation key: [`P256`] or an RSA one.
    pub attestation_algorithm: u8,
}

impl Model {
    /// A YubiKey 5C of this firmware. Since 5.7.4 its certificate hangs on the anchor through intermediates.
    pub fn new(serial: u32, firmware: [u8; 3]) -> Self {
        let line = if firmware >= [5, 7, 4] { Line::Ecdsa } else { Line::Direct };
        Self {
            serial,
            firmware,
            form_factor: 3,
            fips: false,
            cspn: false,
            pin_complexity: false,
            line,
            attestation_algorithm: P256,
        }
    }

    /// The form factor with the mark of the FIPS series.
    pub(crate) fn marked_form_factor(&self) -> u8 {
        self.form_factor | if self.fips { 0x80 } else { 0 }
    }
}

/// A PIN or PUK, and its tries.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secret {
    /// Padded with FF to 8 bytes, hexadecimal.
    value: String,
    pub(crate) tries: u8,
    pub(crate) most: u8,
    pub(crate) is_default: bool,
}

impl Secret {
    pub(crate) fn factory(value: &str, most: u8) -> Self {
        let mut padded = value.as_bytes().to_vec();
        padded.resize(8, 0xff);
        Self { value: hex::encode(padded), tries: most, most, is_default: true }
    }

    /// Compares and counts; the error is the status word.
    pub(crate) fn present(&mut self, given: &[u8]) -> Result<(), u16> {
        if self.tries == 0 {
            return Err(status::BLOCKED);
        }
        if hex::encode(given) == self.value {
            self.tries = self.most;
            return Ok(());
        }
        self.tries -= 1;
        Err(if self.tries == 0 { status::BLOCKED } else { status::TRIES | u16::from(self.tries) })
    }

    pub(crate) fn replace(&mut self, new: &[u8]) {
        *self = Self { value: hex::encode(new), tries: self.most, most: self.most, is_default: false };
    }
}

/// The key that administers a card.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ManagementKey {
    pub(crate) algorithm: u8,
    pub(crate) key: String,
    pub(crate) touch: u8,
    pub(crate) is_default: bool,
}

/// What is in a slot.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) algorithm: u8,
    pub(crate) pin: u8,
    pub(crate) touch: u8,
    pub(crate) is_generated: bool,
    secret: String,
}

impl Slot {
    pub(crate) fn new(algorithm: u8, (pin, touch): (u8, u8), is_generated: bool, key: &Key) -> Self {
        Self { algorithm, pin, touch, is_generated, secret: hex::encode(key.to_bytes()) }
    }

    pub(crate) fn key(&self) -> Option<Key> {
        Key::from_bytes(self.algorithm, &hex::decode(&self.secret).ok()?)
    }
}

/// Everything that a card keeps.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    pub(crate) model: Model,
    pub(crate) pin: Secret,
    pub(crate) puk: Secret,
    pub(crate) management: ManagementKey,
    pub(crate) slots: BTreeMap<u8, Slot>,
    /// Data objects by their tag, hexadecimal both.
    pub(crate) objects: BTreeMap<String, String>,
}

impl State {
    /// A factory-new card, with an attestation key and its certificate.
    ///
    /// # Panics
    /// The model's attestation key is of a kind that cannot be made.
    pub fn factory(model: Model) -> Self {
        let key = Key::generate(model.attestation_algorithm).expect("an attestation key of a known kind");
        let certificate = attest::device(model.line, &key, model.firmware);
        let object = [tlv(0x70, &certificate), tlv(0x71, &[0]), tlv(0xfe, &[])].concat();
        Self {
            pin: Secret::factory(FACTORY_PIN, 3),
            puk: Secret::factory(FACTORY_PUK, 3),
            management: ManagementKey {
                algorithm: if model.firmware >= [5, 7, 0] { 0x0a } else { 0x03 },
                key: hex::encode(FACTORY_MANAGEMENT_KEY),
                touch: 1,
                is_default: true,
            },
            slots: BTreeMap::from([(ATTESTATION_SLOT, Slot::new(model.attestation_algorithm, (2, 1), true, &key))]),
            objects: BTreeMap::from([(ATTESTATION_OBJECT.to_owned(), hex::encode(object))]),
            model,
        }
    }

    /// As after the vendor's reset: the attestation key and its certificate stay.
    pub(crate) fn reset(&mut self) {
        let fresh = Self::factory(Model { attestation_algorithm: P256, ..self.model.clone() });
        let old = std::mem::replace(self, Self { model: self.model.clone(), ..fresh });
        self.slots = old.slots.into_iter().filter(|(slot, _)| *slot == ATTESTATION_SLOT).collect();
        self.objects = old.objects.into_iter().filter(|(tag, _)| tag == ATTESTATION_OBJECT).collect();
    }

    /// Reads the file, or makes a factory-new card of this model if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or holds no card.
    pub fn load(path: &Path, model: Model) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::factory(model)),
            Err(error) => Err(error),
        }
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn store(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&beside, path)
    }
}
