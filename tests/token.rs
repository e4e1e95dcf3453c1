//! `trustroot token verify`: files that others made, in their layouts, and the printed `openssl` lines, which must pass.

use std::path::Path;
use std::process::{Command, Output};

use p256::ecdsa::SigningKey;
use trustroot::token::certificate::{Claims, DEVICE_NAME, Issuer};
use trustroot_core::attestation::anchor::certificate_to_pem;
use trustroot_core::key::PublicKey;

fn signing(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n; 32]).unwrap()
}

fn public(key: &SigningKey) -> String {
    PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap().to_pem()
}

/// Public key, attestation and device certificate of key `n` on the token `serial`, in PEM. The device hangs below the
/// rehearsal's lower intermediate, as devices of firmware 5.7.4 hang below the vendor's.
fn files(n: u8, serial: u32) -> [String; 3] {
    let claims = Claims { serial, firmware: (5, 7, 4), pin: 3, touch: 2, slot: "9c".to_owned() };
    let device = Issuer::new(DEVICE_NAME, signing(77));
    let [_, lower] = Issuer::rehearsal_intermediates();
    let key = signing(n);
    let pem = |der: &[u8]| certificate_to_pem(der).unwrap();
    [
        public(&key),
        pem(&device.attest(key.verifying_key(), &claims)),
        pem(&device.certificate(&lower, 0, Some(claims.firmware))),
    ]
}

fn write(folder: &Path, names: [&str; 3], files: &[String; 3]) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, text) in names.iter().zip(files) {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

const OURS: [&str; 3] = ["public.pem", "attestation-9c.pem", "f9-intermediate.pem"];

fn trustroot(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trustroot")).args(args).current_dir(folder).output().unwrap()
}

#[track_caller]
fn verify(folder: &Path, args: &[&str], code: i32) -> String {
    let output = trustroot(folder, &[&["token", "verify"], args].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn every_layout_is_read() {
    let room = tempfile::tempdir().unwrap();
    let here = room.path();
    write(&here.join("hardware-keys/101"), OURS, &files(1, 101));
    write(&here.join("hardware-keys/102"), OURS, &files(2, 102));
    write(&here.join("sigstore/103"), ["103_pubkey.pem", "103_key_cert.pem", "103_device_cert.pem"], &files(3, 103));
    verify(here, &["--rehearsal", "hardware-keys", "sigstore"], 0);
    verify(here, &["--rehearsal", "sigstore/103"], 0);
    // Without a public key it is said what was not checked.
    std::fs::remove_file(here.join("hardware-keys/101/public.pem")).unwrap();
    let text = verify(here, &["--rehearsal", "hardware-keys/101"], 0);
    assert!(text.contains("no public key was given"), "{text}");
    let [key, attestation, device] =
        ["public.pem", "attestation-9c.pem", "f9-intermediate.pem"].map(|name| format!("hardware-keys/102/{name}"));
    let named = ["--attestation", &attestation, "--intermediate", &device, "--public-key", &key];
    verify(here, &[&named[..], &["--serial", "102", "--rehearsal"]].concat(), 0);
    let anchors = String::from_utf8(trustroot(here, &["token", "anchors", "--rehearsal"]).stdout).unwrap();
    // Several intermediates, in any order, also those that lead nowhere.
    std::fs::write(here.join("all.pem"), anchors).unwrap();
    verify(here, &[&["--intermediate", "all.pem"], &named[..], &["--rehearsal"]].concat(), 0);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let room = tempfile::tempdir().unwrap();
    let here = room.path();
    let refused = |name: &str, args: &[&str]| {
        let text = verify(here, args, 1);
        assert!(text.contains(&format!("refused: {name}:")), "{name}: {text}");
    };
    write(&here.join("good/101"), OURS, &files(1, 101));
    refused("ATT-REHEARSAL", &["good"]);
    // What is called after a slot is of another.
    write(&here.join("slot/101"), ["public.pem", "attestation-9a.pem", "f9-intermediate.pem"], &files(1, 101));
    refused("ATT-SLOT", &["--rehearsal", "--slot", "9a", "slot"]);
    refused("ATT-FIRMWARE", &["--rehearsal", "--minimum-firmware", "5.7.5", "good"]);
    refused("ATT-SERIAL", &["--rehearsal", "--serial", "102", "good"]);
    // The folder is another token's.
    write(&here.join("moved/999"), OURS, &files(1, 101));
    refused("ATT-SERIAL", &["--rehearsal", "moved"]);
    // One token for two holders, and one key in two tokens.
    write(&here.join("twice/alice"), OURS, &files(1, 101));
    write(&here.join("twice/bob"), OURS, &files(2, 101));
    refused("ATT-SERIAL", &["--rehearsal", "twice"]);
    write(&here.join("copied/101"), OURS, &files(1, 101));
    write(&here.join("copied/102"), OURS, &files(1, 102));
    refused("KEY-DISTINCT", &["--rehearsal", "copied"]);
    let [_, attestation, device] = files(1, 101);
    write(&here.join("bound/101"), OURS, &[public(&signing(9)), attestation.clone(), device]);
    refused("ATT-BOUND", &["--rehearsal", "bound"]);
    // The attestation of a slot is no device certificate, and none at all is told so.
    write(&here.join("bare/101"), OURS, &[public(&signing(1)), attestation.clone(), attestation]);
    refused("ATT-CHAIN", &["--rehearsal", "bare"]);
    std::fs::remove_file(here.join("bare/101/f9-intermediate.pem")).unwrap();
    refused("ATT-FORM", &["--rehearsal", "bare"]);
}

#[test]
fn the_printed_lines_pass_and_notice_another_key() {
    let room = tempfile::tempdir().unwrap();
    let here = room.path();
    write(&here.join("keys/101"), OURS, &files(1, 101));
    write(&here.join("keys/102"), OURS, &files(2, 102));
    let anchors = trustroot(here, &["token", "anchors", "--rehearsal"]).stdout;
    std::fs::write(here.join("ANCHORS"), anchors).unwrap();
    let run = || {
        let json: serde_json::Value =
            serde_json::from_slice(&trustroot(here, &["token", "verify", "--rehearsal", "--json", "keys"]).stdout)
                .unwrap();
        let lines: Vec<&str> = json["equivalents"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        assert_eq!(lines.iter().filter(|line| line.starts_with("openssl verify")).count(), 2);
        Command::new("sh").args(["-euc", &lines.join("\n")]).current_dir(here).output().unwrap()
    };
    let judged = run();
    assert!(judged.status.success(), "{judged:?}");
    std::fs::write(here.join("keys/102/public.pem"), public(&signing(9))).unwrap();
    assert!(!run().status.success(), "the lines look at the key");
    std::fs::write(here.join("keys/102/public.pem"), public(&signing(2))).unwrap();
    std::fs::write(here.join("ANCHORS"), trustroot(here, &["token", "anchors"]).stdout).unwrap();
    assert!(!run().status.success(), "the lines look at the anchor");
}
