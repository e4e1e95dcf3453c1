//! SSH signatures of files (PROTOCOL.sshsig of OpenSSH), as `ssh-keygen -Y sign` makes them.
//!
//! Rules:
//! 1. The key is the one that the caller names; the key inside the signature must be the same one and proves nothing.
//! 2. The namespace is the one that the caller names, so that a signature made for one purpose counts for no other.
//! 3. Ed25519 and ECDSA P-256, both also as FIDO keys (`sk-…`). A FIDO signature counts only if somebody touched the key.
//! 4. The armour has one spelling, that of `ssh-keygen`: nothing before it, nothing after it, no other wrapping.
//! 5. The message is hashed with SHA-256 or SHA-512, the two that the protocol knows; the reserved field is empty.

use crate::key::PublicKey;
use crate::text::escape;
use alloc::format;
use alloc::string::{String, ToString};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, SshSig};

/// The namespace of signatures beside events.
pub const EVENT_NAMESPACE: &str = "trustroot-event";
/// The namespace of signatures over a closed record.
pub const RECORD_NAMESPACE: &str = "trustroot-record";
/// The longest armour that is read, in bytes. The largest of a known kind is below 1 KiB.
pub const MAX_ARMOUR: usize = 4096;
/// The longest public key line that is read, in bytes.
pub const MAX_LINE: usize = 4096;

/// The flag of a FIDO signature that says: somebody was there (CTAP, "user present").
const USER_PRESENT: u8 = 0x01;

/// Why a signature does not count. Foreign text in it is escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// The public key is not one line of an OpenSSH `.pub` file.
    #[error("the public key is not a line such as `ssh-ed25519 AAAA… comment`")]
    KeyForm,
    /// A key of a kind that is not accepted; the text names it.
    #[error(
        "an SSH key of the kind {0} is not accepted; use ssh-ed25519, ecdsa-sha2-nistp256 or their sk- forms (ssh-keygen -t ed25519)"
    )]
    KeyKind(String),
    /// A key that verifies what nobody signed.
    #[error("the SSH key is weak or is no point of its curve")]
    KeyWeak,
    /// The signature is not the armour that `ssh-keygen` writes.
    #[error("not an SSH signature as `ssh-keygen -Y sign` writes it")]
    Form,
    /// The signature is made for another purpose.
    #[error("the SSH signature is for the namespace {found:?}, not for {wanted:?}")]
    Namespace {
        /// What the signature says, escaped.
        found: String,
        /// What the caller asked for.
        wanted: String,
    },
    /// The signature is by another key.
    #[error("the SSH signature is by another key ({0})")]
    OtherKey(String),
    /// The key inside the signature and the signature itself are of different kinds.
    #[error("the SSH signature is of another kind than its key")]
    Kind,
    /// Nobody touched the FIDO key.
    #[error("the SSH signature was made without a touch of its security key")]
    NoTouch,
    /// The signature is not over these bytes.
    #[error("the SSH signature does not verify: the file or the signature was changed")]
    Invalid,
}

/// Checks that `armoured` is a signature over `message`, for `namespace`, by the key in `public_line`.
///
/// `public_line` is one line of a `.pub` file: kind, base64, and maybe a comment, which is ignored.
///
/// # Errors
/// The first rule that is broken; see [`SshError`].
pub fn verify(public_line: &str, namespace: &str, message: &[u8], armoured: &str) -> Result<(), SshError> {
    let key = public_key(public_line)?;
    let signature = signature(armoured)?;
    if signature.namespace() != namespace {
        return Err(SshError::Namespace { found: escape(signature.namespace()), wanted: namespace.to_string() });
    }
    if signature.public_key() != key.key_data() {
        let other = ssh_key::PublicKey::from(signature.public_key().clone());
        return Err(SshError::OtherKey(other.fingerprint(ssh_key::HashAlg::Sha256).to_string()));
    }
    if signature.signature().algorithm() != key.algorithm() {
        return Err(SshError::Kind);
    }
    if let KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) = key.key_data() {
        // The crate keeps the flags and the counter (1 and 4 bytes) behind the signature proper.
        let flags = signature.signature_bytes().iter().rev().nth(4).copied().ok_or(SshError::Form)?;
        if flags & USER_PRESENT == 0 {
            return Err(SshError::NoTouch);
        }
    }
    key.verify(namespace, message, &signature).map_err(|_| SshError::Invalid)
}

/// The SHA-256 fingerprint of the key in `public_line`, as `ssh-keygen -l` prints it (`SHA256:…`).
///
/// # Errors
/// The key is not one that [`verify`] would accept.
pub fn fingerprint(public_line: &str) -> Result<String, SshError> {
    Ok(public_key(public_line)?.fingerprint(ssh_key::HashAlg::Sha256).to_string())
}

fn public_key(line: &str) -> Result<ssh_key::PublicKey, SshError> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    if line.len() > MAX_LINE || line.chars().any(char::is_control) {
        return Err(SshError::KeyForm);
    }
    // Read without its comment, in which people write whatever they like.
    let mut words = line.split(' ');
    let (Some(kind), Some(base64)) = (words.next(), words.next()) else { return Err(SshError::KeyForm) };
    let key = match ssh_key::PublicKey::from_openssh(&format!("{kind} {base64}")) {
        Ok(key) => key,
        Err(_) if is_other_kind(kind) => return Err(SshError::KeyKind(escape(kind))),
        Err(_) => return Err(SshError::KeyForm),
    };
    let point = match key.key_data() {
        KeyData::Ed25519(key) => PublicKey::from_ed25519(&key.0),
        KeyData::SkEd25519(key) => PublicKey::from_ed25519(&key.public_key().0),
        KeyData::Ecdsa(ssh_key::public::EcdsaPublicKey::NistP256(point)) => {
            PublicKey::from_p256_point(point.as_bytes())
        }
        KeyData::SkEcdsaSha2NistP256(key) => PublicKey::from_p256_point(key.ec_point().as_bytes()),
        _ => return Err(SshError::KeyKind(escape(kind))),
    };
    point.map_err(|_| SshError::KeyWeak)?;
    Ok(key)
}

/// Whether `kind` is a name of OpenSSH for a kind that is not accepted here.
fn is_other_kind(kind: &str) -> bool {
    !matches!(
        Algorithm::new(kind),
        Ok(Algorithm::Ed25519
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::Ecdsa { curve: ssh_key::EcdsaCurve::NistP256 })
            | Err(_)
    )
}

fn signature(armoured: &str) -> Result<SshSig, SshError> {
    if armoured.len() > MAX_ARMOUR {
        return Err(SshError::Form);
    }
    let signature = SshSig::from_pem(armoured).map_err(|_| SshError::Form)?;
    if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
        return Err(SshError::Form);
    }
    // One spelling: whatever the reader lets pass (other wrapping, text around the armour, bytes behind the last field)
    // is not what the writer gives.
    let again = signature.to_pem(ssh_key::LineEnding::LF).map_err(|_| SshError::Form)?;
    let lines = |text: &str| text.strip_suffix('\n').unwrap_or(text).to_string();
    if lines(&again) == lines(armoured) { Ok(signature) } else { Err(SshError::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use ed25519_dalek::Signer as _;
    use sha2::Digest as _;
    use ssh_key::{HashAlg, Signature};

    const MESSAGE: &[u8] = b"what was done";

    fn secret() -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[7; 32])
    }

    fn line(data: &KeyData) -> String {
        ssh_key::PublicKey::new(data.clone(), "bob@example.org on the laptop").to_openssh().unwrap()
    }

    fn plain() -> KeyData {
        KeyData::Ed25519(ssh_key::public::Ed25519PublicKey(secret().verifying_key().to_bytes()))
    }

    fn sk() -> KeyData {
        let point = ssh_key::public::Ed25519PublicKey(secret().verifying_key().to_bytes());
        KeyData::SkEd25519(ssh_key::public::SkEd25519::new(point, "ssh:"))
    }

    fn armour(data: &KeyData, kind: Algorithm, bytes: Vec<u8>) -> String {
        let signature = Signature::new(kind, bytes).unwrap();
        SshSig::new(data.clone(), "n", HashAlg::Sha512, signature).unwrap().to_pem(ssh_key::LineEnding::LF).unwrap()
    }

    /// What a FIDO key of the kind Ed25519 gives, with these flags.
    fn touched(flags: u8) -> String {
        let inner = SshSig::signed_data("n", HashAlg::Sha512, MESSAGE).unwrap();
        let mut signed = sha2::Sha256::digest(b"ssh:").to_vec();
        let trailer = [flags, 0, 0, 0, 5];
        signed.extend(trailer);
        signed.extend(sha2::Sha256::digest(&inner));
        let mut bytes = secret().sign(&signed).to_vec();
        bytes.extend(trailer);
        armour(&sk(), Algorithm::SkEd25519, bytes)
    }

    fn good() -> String {
        let inner = SshSig::signed_data("n", HashAlg::Sha512, MESSAGE).unwrap();
        armour(&plain(), Algorithm::Ed25519, secret().sign(&inner).to_vec())
    }

    #[test]
    fn a_good_one() {
        assert_eq!(verify(&line(&plain()), "n", MESSAGE, &good()), Ok(()));
        assert_eq!(verify(&line(&plain()), "n", b"something else", &good()), Err(SshError::Invalid));
        assert!(fingerprint(&line(&plain())).unwrap().starts_with("SHA256:"));
    }

    #[test]
    fn a_security_key_must_be_touched() {
        assert_eq!(verify(&line(&sk()), "n", MESSAGE, &touched(0x01)), Ok(()));
        assert_eq!(verify(&line(&sk()), "n", MESSAGE, &touched(0x05)), Ok(()));
        for flags in [0x00, 0x04] {
            assert_eq!(verify(&line(&sk()), "n", MESSAGE, &touched(flags)), Err(SshError::NoTouch));
        }
        // The same point as a plain key is another key.
        assert!(matches!(verify(&line(&plain()), "n", MESSAGE, &touched(0x01)), Err(SshError::OtherKey(_))));
    }

    #[test]
    fn kinds_are_not_mixed() {
        let inner = SshSig::signed_data("n", HashAlg::Sha512, MESSAGE).unwrap();
        let mut bytes = secret().sign(&inner).to_vec();
        bytes.extend([1, 0, 0, 0, 5]);
        let mixed = armour(&plain(), Algorithm::SkEd25519, bytes);
        assert_eq!(verify(&line(&plain()), "n", MESSAGE, &mixed), Err(SshError::Kind));
    }

    #[test]
    fn one_spelling_of_the_armour() {
        let good = good();
        let key = line(&plain());
        assert_eq!(verify(&key, "n", MESSAGE, good.trim_end()), Ok(()));
        let mut wide = good.replacen('\n', "", 2);
        wide = wide.replacen("SIGNATURE-----", "SIGNATURE-----\n", 1);
        for bad in [
            format!("{good}x"),
            format!("{good}\n"),
            format!("{good}{good}"),
            format!("before\n{good}"),
            good.replace('\n', "\r\n"),
            good.replace("SSH SIGNATURE", "PGP SIGNATURE"),
            wide,
            String::new(),
            "A".repeat(MAX_ARMOUR + 1),
        ] {
            assert_eq!(verify(&key, "n", MESSAGE, &bad), Err(SshError::Form), "{bad}");
        }
    }

    /// The good signature with the first `from` in its bytes replaced.
    fn changed(from: &[u8], to: &[u8]) -> String {
        use ssh_key::encoding::Encode as _;
        let bytes = SshSig::from_pem(good()).unwrap().encode_vec().unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        let bytes = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
        let text = <base64ct::Base64 as base64ct::Encoding>::encode_string(&bytes);
        let lines: Vec<_> = text.as_bytes().chunks(70).map(|line| core::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
    }

    #[test]
    fn fields_that_have_one_value() {
        let key = line(&plain());
        let check = |from: &[u8], to: &[u8]| verify(&key, "n", MESSAGE, &changed(from, to));
        assert_eq!(check(b"SSHSIG", b"SSHSIG"), Ok(()));
        assert_eq!(check(b"SSHSIG", b"SSHSEK"), Err(SshError::Form));
        for version in [0, 2] {
            assert_eq!(
                check(b"SSHSIG\0\0\0\x01", &[b"SSHSIG\0\0\0".as_slice(), &[version]].concat()),
                Err(SshError::Form)
            );
        }
        assert_eq!(check(b"\x01n\0\0\0\0", b"\x01n\0\0\0\x01r"), Err(SshError::Form));
        assert_eq!(check(b"\x06sha512", b"\x04sha1"), Err(SshError::Form));
        assert_eq!(check(b"sha512", b"sha384"), Err(SshError::Form));
        assert_eq!(check(b"\x06sha512", b"\x06sha256"), Err(SshError::Invalid));
        assert_eq!(check(b"\x01n", b"\x01m"), Err(SshError::Namespace { found: "m".into(), wanted: "n".into() }));
        // Something behind the last field.
        use ssh_key::encoding::Encode as _;
        let end = SshSig::from_pem(good()).unwrap().encode_vec().unwrap();
        let end = &end[end.len() - 16..];
        assert_eq!(check(end, &[end, b"\0"].concat()), Err(SshError::Form));
        assert_eq!(check(end, &end[..15]), Err(SshError::Form));
    }

    #[test]
    fn keys_that_are_refused() {
        let check = |line: &str| verify(line, "n", MESSAGE, &good()).unwrap_err();
        let good = line(&plain());
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "bob",
            &good.replacen("ssh", "no-pty ssh", 1),
            &format!("{good}\n\n"),
        ] {
            assert_eq!(check(bad), SshError::KeyForm, "{bad}");
        }
        for kind in ["ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp384"] {
            assert_eq!(check(&good.replacen("ssh-ed25519", kind, 1)), SshError::KeyKind(kind.into()));
        }
        // The identity point verifies anything for whoever knows the trick.
        let mut identity = [0; 32];
        identity[0] = 1;
        let weak = KeyData::Ed25519(ssh_key::public::Ed25519PublicKey(identity));
        assert_eq!(check(&line(&weak)), SshError::KeyWeak);
    }
}
