//! SSH signatures that the real `ssh-keygen` makes, checked by the core.
//!
//! Needs `ssh-keygen` (package openssh-client); `scripts/setup test` installs it.

use std::path::Path;
use std::process::Command;
use trustroot_core::ssh::{SshError, fingerprint, verify};

const NAMESPACE: &str = "trustroot-record";
const MESSAGE: &[u8] = b"{\"the\":\"record\"}";

fn ssh_keygen(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .current_dir(dir)
        .env_remove("SSH_AUTH_SOCK")
        .output()
        .expect("ssh-keygen is there (package openssh-client)");
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A new key: the line of its `.pub` file.
fn key(dir: &Path, name: &str, kind: &[&str]) -> String {
    ssh_keygen(dir, &[&["-q", "-N", "", "-C", "bob@example.org at home", "-f", name, "-t"], kind].concat());
    std::fs::read_to_string(dir.join(name).with_extension("pub")).unwrap()
}

fn sign(dir: &Path, name: &str, options: &[&str]) -> String {
    std::fs::write(dir.join("message"), MESSAGE).unwrap();
    let _ = std::fs::remove_file(dir.join("message.sig"));
    ssh_keygen(dir, &[&["-Y", "sign", "-f", name, "-n", NAMESPACE], options, &["message"]].concat());
    std::fs::read_to_string(dir.join("message.sig")).unwrap()
}

#[test]
fn what_ssh_keygen_signs_verifies() {
    let dir = tempfile::tempdir().unwrap();
    for (name, kind) in [("ed", &["ed25519"][..]), ("ec", &["ecdsa", "-b", "256"])] {
        let line = key(dir.path(), name, kind);
        for hash in ["sha256", "sha512"] {
            let signature = sign(dir.path(), name, &["-O", &format!("hashalg={hash}")]);
            assert_eq!(verify(&line, NAMESPACE, MESSAGE, &signature), Ok(()), "{name} {hash}");
        }
        let printed = ssh_keygen(dir.path(), &["-l", "-f", name]);
        assert!(printed.contains(&fingerprint(&line).unwrap()), "{printed}");
    }
}

#[test]
fn what_was_changed_or_meant_otherwise_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let line = key(dir.path(), "ed", &["ed25519"]);
    let other = key(dir.path(), "other", &["ed25519"]);
    let signature = sign(dir.path(), "ed", &[]);

    assert_eq!(
        verify(&line, "trustroot-event", MESSAGE, &signature),
        Err(SshError::Namespace { found: NAMESPACE.into(), wanted: "trustroot-event".into() })
    );
    assert_eq!(verify(&other, NAMESPACE, MESSAGE, &signature), Err(SshError::OtherKey(fingerprint(&line).unwrap())));
    for at in 0..MESSAGE.len() {
        let mut message = MESSAGE.to_vec();
        message[at] ^= 1;
        assert_eq!(verify(&line, NAMESPACE, &message, &signature), Err(SshError::Invalid));
    }
    // No character of the armour can be changed.
    for at in 0..signature.len() - 1 {
        let mut bytes = signature.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verify(&line, NAMESPACE, MESSAGE, &changed).is_err(), "character {at}");
    }
    assert_eq!(verify(&line, NAMESPACE, MESSAGE, &format!("{signature}\n")), Err(SshError::Form));
}

#[test]
fn other_kinds_of_keys_are_named_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, kind, called) in
        [("rsa", &["rsa", "-b", "2048"][..], "ssh-rsa"), ("p384", &["ecdsa", "-b", "384"], "ecdsa-sha2-nistp384")]
    {
        let line = key(dir.path(), name, kind);
        let signature = sign(dir.path(), name, &[]);
        assert_eq!(verify(&line, NAMESPACE, MESSAGE, &signature), Err(SshError::KeyKind(called.into())));
    }
}
