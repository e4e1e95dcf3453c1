//! What a virtual token remembers: one small file, `<serial>.json`.
//!
//! Rules:
//! 1. A change is written to a new file, synced, renamed over the old one, and the folder is synced; killed anywhere,
//!    the token is as before or as after.
//! 2. The PIN is not in it, only a salted hash. A PIN is short enough to be found from that: use no real one.
//! 3. No private key is in it either; keys follow from the seed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trustroot_core::digest::Digest;
use trustroot_core::text::{Handle, escape};

use super::derive;
use crate::seams::TokenError;

/// The tries that a YubiKey gives.
pub(super) const TRIES: u8 = 3;
/// The PIN of a YubiKey as it comes from the factory.
pub(super) const FACTORY_PIN: &[u8] = b"123456";
/// The largest state that is read; real ones have about 400 bytes.
const MAX_STATE: u64 = 16 * 1024;

/// The state of one virtual token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: u32,
    /// Says in the file what this is.
    what: String,
    pub(super) holder: Handle,
    pub(super) serial: u32,
    /// A hash of the seed: another seed makes other keys, and that must not go unseen.
    seed: Digest,
    pin_salt: Digest,
    pin_hash: Digest,
    pub(super) pin_is_default: bool,
    pub(super) pin_tries: u8,
    /// Whether the slot holds a key.
    pub(super) key: bool,
    /// How many keys were generated; the present one is the last.
    pub(super) generation: u32,
    /// How often each fault fired.
    pub(super) fired: BTreeMap<String, u32>,
}

const WHAT: &str = "virtual token of a rehearsal; proves nothing";

impl State {
    /// A token as it comes from the factory.
    fn fresh(seed: &[u8; 32], holder: &Handle, serial: u32) -> Self {
        let mut state = Self {
            format: 1,
            what: WHAT.to_owned(),
            holder: holder.clone(),
            serial,
            seed: seed_check(seed),
            pin_salt: Digest::from_bytes(*derive::bytes("pin salt", &[seed, &serial.to_be_bytes()])),
            pin_hash: Digest::of(&[]),
            pin_is_default: true,
            pin_tries: TRIES,
            key: false,
            generation: 0,
            fired: BTreeMap::new(),
        };
        state.set_pin(FACTORY_PIN);
        state.pin_is_default = true;
        state
    }

    /// Replaces the PIN.
    pub(super) fn set_pin(&mut self, pin: &[u8]) {
        self.pin_hash = self.hash(pin);
        self.pin_is_default = false;
        self.pin_tries = TRIES;
    }

    /// Whether this is the PIN.
    pub(super) fn is_pin(&self, pin: &[u8]) -> bool {
        self.hash(pin) == self.pin_hash
    }

    fn hash(&self, pin: &[u8]) -> Digest {
        Digest::from_bytes(*derive::bytes("pin", &[self.pin_salt.as_bytes(), pin]))
    }

    /// The state of `serial` in `folder`; a fresh one where there is no file yet.
    pub(super) fn load(folder: &Path, seed: &[u8; 32], holder: &Handle, serial: u32) -> Result<Self, TokenError> {
        let path = path(folder, serial);
        let wrong = |why: &str| TokenError::Device(format!("its state {} {why}", shown(&path)));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::fresh(seed, holder, serial)),
            Err(error) => return Err(wrong(&format!("cannot be read: {error}"))),
        };
        let mut bytes = Vec::new();
        file.take(MAX_STATE).read_to_end(&mut bytes).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let state: Self = serde_json::from_slice(&bytes).map_err(|_| wrong("is not the state of a virtual token"))?;
        if state.format != 1
            || state.serial != serial
            || state.pin_tries > TRIES
            || (state.key && state.generation == 0)
        {
            return Err(wrong("is not the state of this virtual token"));
        }
        if state.holder != *holder {
            return Err(wrong(&format!("belongs to {}, not to {holder}", state.holder)));
        }
        if state.seed != seed_check(seed) {
            return Err(wrong("was made from another seed; give the same seed, or an empty folder"));
        }
        Ok(state)
    }

    /// Writes the state, whole or not at all.
    pub(super) fn store(&self, folder: &Path) -> Result<(), TokenError> {
        let path = path(folder, self.serial);
        let write = || -> io::Result<()> {
            let mut bytes = serde_json::to_vec_pretty(self)?;
            bytes.push(b'\n');
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| TokenError::Device(format!("its state {} cannot be written: {error}", shown(&path))))
    }
}

/// Makes the folder of states, for its owner only.
pub(super) fn make_folder(folder: &Path) -> Result<(), TokenError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        TokenError::Device(format!("the folder {} of virtual tokens cannot be made: {error}", shown(folder)))
    })
}

fn path(folder: &Path, serial: u32) -> PathBuf {
    folder.join(format!("{serial}.json"))
}

fn shown(path: &Path) -> String {
    escape(&path.display().to_string())
}

fn seed_check(seed: &[u8; 32]) -> Digest {
    Digest::from_bytes(*derive::bytes("seed check", &[seed]))
}
