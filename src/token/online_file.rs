//! Online keys in files: PKCS#8 in PEM, Ed25519 or ECDSA P-256.
//!
//! Rules:
//! 1. A file that others can read is refused: its key may be known already. What the name points at is what counts, so a
//!    symbolic link to a closed file is fine.
//! 2. What was read is wiped. Errors name the file, never its content.
//! 3. Only snapshot and timestamp payloads can be handed in.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use p256::ecdsa::signature::Signer as _;
use trustroot_core::key::PublicKey;
use trustroot_core::review::OnlinePayload;
use trustroot_core::text::{Handle, escape};
use zeroize::Zeroizing;

use super::derive;
use crate::seams::{OnlineKey, Pin, TokenError};

/// The largest file that is read; keys have about 120 bytes.
const MAX_FILE: u64 = 16 * 1024;

/// The private half of an online key, in memory.
enum Private {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

/// An online key from a file.
pub struct FileKey {
    private: Private,
    public: PublicKey,
}

impl FileKey {
    /// Reads a private key, PKCS#8 in PEM (`-----BEGIN PRIVATE KEY-----`), Ed25519 or ECDSA P-256.
    ///
    /// # Errors
    /// [`TokenError::Refused`], naming the file and what to do: it cannot be read, others can read it, it is no such key.
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        let name = escape(&path.display().to_string());
        let make = format!("make one with `openssl genpkey -algorithm ed25519 -out {name}`");
        let refuse = |why: String| TokenError::Refused(format!("the online key in {name} cannot be used: {why}"));

        // Not blocking, so that a pipe without a writer is an error and not a wait.
        let open = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path);
        let file = open.map_err(|error| refuse(format!("{error}; {make}")))?;
        let metadata = file.metadata().map_err(|error| refuse(error.to_string()))?;
        if !metadata.is_file() {
            return Err(refuse(format!("it is not a file; {make}")));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(refuse(format!(
                "others may read or write it (mode {:03o}); `chmod 600 {name}` if nobody has read it, else replace the key",
                metadata.mode() & 0o777
            )));
        }
        // Room for all of it from the start: growing would leave copies behind that nobody wipes.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
        file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(|error| refuse(error.to_string()))?;
        if text.len() as u64 > MAX_FILE {
            return Err(refuse(format!("it is too long for a key; {make}")));
        }
        let text = std::str::from_utf8(&text).map_err(|_| refuse(format!("it is not PEM; {make}")))?;
        if text.contains("ENCRYPTED") {
            return Err(refuse(format!("it is encrypted, and nobody is asked for its password; {make}")));
        }
        Self::from_pem(text)
            .ok_or_else(|| refuse(format!("it is not an Ed25519 or P-256 private key (PKCS#8, PEM); {make}")))
    }

    fn from_pem(text: &str) -> Option<Self> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(text) {
            let public = PublicKey::from_ed25519(key.verifying_key().as_bytes()).ok()?;
            return Some(Self { private: Private::Ed25519(key), public });
        }
        let key = p256::ecdsa::SigningKey::from_pkcs8_pem(text).ok()?;
        let public = PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).ok()?;
        Some(Self { private: Private::P256(key), public })
    }
}

/// `O_NONBLOCK`, without which opening a pipe waits for its writer.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

impl OnlineKey for FileKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, payload: &OnlinePayload, _: Option<&Pin>) -> Result<Vec<u8>, TokenError> {
        Ok(match &self.private {
            Private::Ed25519(key) => key.sign(payload.bytes()).to_bytes().to_vec(),
            Private::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(payload.bytes());
                signature.to_der().as_bytes().to_vec()
            }
        })
    }
}

/// Writes the online key `name` of a rehearsal to `path`, for its owner only: an Ed25519 key that follows from seed and
/// name. A file that holds this key already is left as it is, so a rehearsal can be resumed.
///
/// # Errors
/// [`TokenError::Refused`] if something else is there, or the file cannot be written.
pub fn write_rehearsal_key(path: &Path, name: &Handle, seed: &[u8; 32]) -> Result<FileKey, TokenError> {
    let key = derive::ed25519("rehearsal online key", &[seed, name.as_str().as_bytes()]);
    let shown = escape(&path.display().to_string());
    let failed =
        |why: String| TokenError::Refused(format!("the rehearsal's online key cannot be written to {shown}: {why}"));
    // Without the public half (RFC 5958, version 1): openssl 3.0 reads no file that has it.
    let pair = ed25519_dalek::pkcs8::KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(error.to_string()))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| failed(error.to_string()))?;
            sync_folder(path).map_err(|error| failed(error.to_string()))?;
            FileKey::open(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = FileKey::open(path)?;
            if there.public().ed25519_bytes() != Some(key.verifying_key().to_bytes()) {
                return Err(failed("another key is there; move it away, or use another file".to_owned()));
            }
            Ok(there)
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
