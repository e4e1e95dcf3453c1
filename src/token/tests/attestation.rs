//! Attestations of virtual tokens before the core's verification and before openssl: a good one, and each forgery with
//! the name of the check that refuses it.

use super::*;
use crate::seams::AttestationFiles;
use crate::token::FaultPoint;
use crate::token::certificate::{
    ANCHOR_NAME, BASIC_CONSTRAINTS, Claims, DEVICE_NAME, Issuer, KEY_USAGE, certificate, extension, seq, spki, tlv,
    yubico,
};
use crate::token::derive;
use std::fs;
use trustroot_core::attestation::anchor::{certificate_to_pem, vendors};
use trustroot_core::attestation::{Anchor, AnchorKind, Anchors, Expected, PinPolicy, TouchPolicy, verify};
use trustroot_core::check::{Check, Finding, Level};

const SERIAL: u32 = 20_000_002;

fn expected(key: &PublicKey) -> Expected<'_> {
    Expected { key, serial: SERIAL, slot: "9c", minimum_firmware: (5, 7, 0), rehearsal: true, waived: &[] }
}

fn refusals(findings: &[Finding]) -> Vec<Check> {
    findings.iter().filter(|f| f.level == Level::Refused).map(|f| f.check).collect()
}

fn checks(files: &AttestationFiles, expected: &Expected<'_>) -> Vec<Check> {
    match verify(&files.slot, &files.device, &[], expected, &Anchors::pinned()) {
        Ok(_) => Vec::new(),
        Err(findings) => refusals(&findings),
    }
}

#[test]
fn the_anchor_in_core_is_the_one_made_here() {
    let anchor = Issuer::rehearsal();
    assert_eq!(certificate_to_pem(&anchor.certificate(&anchor, 3, None)).unwrap(), vendors::REHEARSAL);
    let [upper, lower] = Issuer::rehearsal_intermediates();
    let made = [upper.certificate(&anchor, 2, None), lower.certificate(&upper, 1, None)];
    for (made, pinned) in made.iter().zip(vendors::REHEARSAL_INTERMEDIATES) {
        assert_eq!(certificate_to_pem(made).unwrap(), pinned);
    }
}

#[test]
fn a_virtual_attestation_is_a_rehearsals_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut token, key) = enrolled(&mut tokens(folder.path(), &[]), "bob");
    let files = token.attest().unwrap();
    let attested = verify(&files.slot, &files.device, &[], &expected(&key), &Anchors::pinned()).unwrap();
    let facts = attested.facts();
    assert_eq!((facts.serial, facts.firmware, facts.slot.as_str()), (SERIAL, (5, 7, 4), "9c"));
    assert_eq!((facts.pin, facts.touch), (PinPolicy::Always, TouchPolicy::Always));
    assert_eq!(facts.anchor.kind, AnchorKind::Rehearsal);
    assert_eq!(facts.key, key);
    assert_eq!(
        facts.chain,
        [&format!("CN={ANCHOR_NAME}"), &format!("CN={DEVICE_NAME}"), "CN=YubiKey PIV Attestation 9c"]
    );
    assert_eq!(checks(&files, &Expected { rehearsal: false, ..expected(&key) }), [Check::AttRehearsal]);
}

#[test]
fn openssl_takes_the_chain_and_shows_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (mut token, key) = enrolled(&mut tokens(folder.path(), &[]), "bob");
    let files = token.attest().unwrap();
    let write = |name: &str, pem: &str| fs::write(folder.path().join(name), pem).unwrap();
    write("anchor.pem", vendors::REHEARSAL);
    write("device.pem", &certificate_to_pem(&files.device).unwrap());
    write("slot.pem", &certificate_to_pem(&files.slot).unwrap());
    // The dates are fixed, so the judge is given a time as well.
    let judged = openssl(
        folder.path(),
        &["verify", "-attime", "1767225600", "-CAfile", "anchor.pem", "-untrusted", "device.pem", "slot.pem"],
    );
    assert!(judged.status.success(), "{judged:?}");
    for file in ["anchor.pem", "device.pem", "slot.pem"] {
        let shown = openssl(folder.path(), &["x509", "-in", file, "-noout", "-text"]);
        assert!(shown.status.success());
        assert!(String::from_utf8(shown.stdout).unwrap().contains("REHEARSAL"), "{file}");
    }
    let public = openssl(folder.path(), &["x509", "-in", "slot.pem", "-noout", "-pubkey"]);
    assert_eq!(String::from_utf8(public.stdout).unwrap(), key.to_pem());
}

#[test]
fn each_forgery_is_refused_by_name_once() {
    let forgeries: [(FaultPoint, &[Check]); 6] = [
        (FaultPoint::ForgedSerial, &[Check::AttSerial]),
        (FaultPoint::ForgedAuthority, &[Check::AttChain]),
        (FaultPoint::ForgedKey, &[Check::AttBound]),
        (FaultPoint::ForgedPolicy, &[Check::AttPolicy]),
        (FaultPoint::ForgedSlot, &[Check::AttSlot]),
        (FaultPoint::OldFirmware, &[Check::AttFirmware, Check::AttAdvisory]),
    ];
    for (fault, refused) in forgeries {
        let folder = tempfile::tempdir().unwrap();
        let mut tokens = tokens(folder.path(), &[&format!("bob:{}", fault.name())]);
        let (mut token, key) = enrolled(&mut tokens, "bob");
        assert_eq!(checks(&token.attest().unwrap(), &expected(&key)), refused, "{}", fault.name());
        assert_eq!(checks(&token.attest().unwrap(), &expected(&key)), [], "{} fires once", fault.name());
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut token, key) = enrolled(&mut tokens(folder.path(), &[]), "bob");
    let files = token.attest().unwrap();
    for n in 0..files.slot.len() + files.device.len() {
        let mut changed = files.clone();
        match n.checked_sub(files.slot.len()) {
            None => changed.slot[n] ^= 1 << (n % 8),
            Some(n) => changed.device[n] ^= 1 << (n % 8),
        }
        let refused = checks(&changed, &expected(&key));
        assert!(matches!(refused[..], [Check::AttForm | Check::AttChain]), "byte {n}: {refused:?}");
    }
}

/// Chains that a virtual token does not make, under an anchor of the test's own.
struct Made {
    anchor: Issuer,
    device: Issuer,
    device_key: p256::ecdsa::SigningKey,
    key: p256::ecdsa::SigningKey,
}

impl Made {
    fn new() -> Self {
        let issuer = |name: &str| Issuer::new(name, derive::p256(name, &[]));
        let device_key = derive::p256("Device", &[]);
        Self { anchor: issuer("Anchor"), device: issuer("Device"), device_key, key: derive::p256("slot", &[]) }
    }

    fn claims() -> Claims {
        Claims { serial: SERIAL, firmware: (5, 7, 4), pin: 3, touch: 2, slot: "9c".to_owned() }
    }

    fn slot(&self) -> Vec<u8> {
        self.device.attest(self.key.verifying_key(), &Self::claims())
    }

    /// A device certificate with these extensions.
    fn device_with(&self, extensions: &[Vec<u8>]) -> Vec<u8> {
        certificate(&self.anchor, "Device", &spki(self.device_key.verifying_key()), extensions)
    }

    /// All findings under an anchor with this path length, and whether the attestation was accepted.
    fn findings(&self, path_length: u8, slot: &[u8], device: &[u8], offered: &[&[u8]]) -> (bool, Vec<Finding>) {
        let root = self.anchor.certificate(&self.anchor, path_length, None);
        let anchors = vec![Anchor::from_certificate(AnchorKind::Vendor, &root).unwrap()];
        let anchors = Anchors { anchors, intermediates: Vec::new() };
        let key = PublicKey::from_p256_point(self.key.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
        let expected = Expected { rehearsal: false, ..expected(&key) };
        match verify(slot, device, offered, &expected, &anchors) {
            Ok(attested) => (true, attested.notes().to_vec()),
            Err(findings) => (false, findings),
        }
    }

    /// Why `ATT-CHAIN` refuses; nothing stands for accepted.
    fn verdict(&self, path_length: u8, slot: &[u8], device: &[u8], offered: &[&[u8]]) -> Option<String> {
        let (accepted, findings) = self.findings(path_length, slot, device, offered);
        if accepted {
            return None;
        }
        assert_eq!(refusals(&findings), [Check::AttChain]);
        Some(findings.iter().find(|f| f.level == Level::Refused).unwrap().what.line())
    }
}

#[test]
fn a_chain_through_two_tiers_holds_and_path_lengths_count() {
    let made = Made::new();
    let issuer = |name: &str| Issuer::new(name, derive::p256(name, &[]));
    let (upper, lower) = (issuer("Yubico Attestation Intermediate Z 9"), issuer("Yubico PIV Attestation Z 9"));
    let device = made.device.certificate(&lower, 0, Some((5, 7, 4)));
    let lower_certificate = |length| lower.certificate(&upper, length, None);
    let upper_certificate = |length| upper.certificate(&made.anchor, length, None);
    let try_lengths = |root, upper_length, lower_length| {
        let (lower, upper) = (lower_certificate(lower_length), upper_certificate(upper_length));
        made.verdict(root, &made.slot(), &device, &[&lower, &upper])
    };
    assert_eq!(try_lengths(3, 2, 1), None);
    for (root, upper, lower) in [(2, 2, 1), (3, 1, 1), (3, 2, 0)] {
        assert!(try_lengths(root, upper, lower).unwrap().contains("path length"), "{root} {upper} {lower}");
    }
    // A tier is missing; or there is one too many.
    let lower = lower_certificate(1);
    assert!(made.verdict(3, &made.slot(), &device, &[&lower]).unwrap().contains("no pinned anchor"));
}

#[test]
fn an_intermediate_for_something_else_issues_no_device() {
    let made = Made::new();
    let other = Issuer::new("Yubico OPGP Attestation Z 9", derive::p256("other", &[]));
    let device = made.device.certificate(&other, 0, Some((5, 7, 4)));
    let certificate = other.certificate(&made.anchor, 1, None);
    assert!(made.verdict(2, &made.slot(), &device, &[&certificate]).unwrap().contains("does not issue those of PIV"));
}

#[test]
fn a_key_in_a_slot_attests_nothing() {
    // The holder of a real 9c key signs a certificate with it, and hands in the real attestation as the device's.
    let made = Made::new();
    let device = made.device.certificate(&made.anchor, 0, Some((5, 7, 4)));
    let real_slot = made.slot();
    let forger = Issuer::new("YubiKey PIV Attestation 9c", made.key.clone());
    let forged = forger.attest(made.key.verifying_key(), &Made::claims());
    let verdict = made.verdict(3, &forged, &real_slot, &[&device]).unwrap();
    assert!(verdict.contains("attestation of a slot"), "{verdict}");
}

#[test]
fn names_and_signatures_of_each_link_count() {
    let made = Made::new();
    let device = made.device.certificate(&made.anchor, 0, Some((5, 7, 4)));
    assert_eq!(made.verdict(1, &made.slot(), &device, &[]), None);
    assert!(made.verdict(0, &made.slot(), &device, &[]).unwrap().contains("path length"));
    // The same key under another name, and another key under the same name.
    let renamed = Issuer::new("Other", derive::p256("Device", &[]));
    let slot = renamed.attest(made.key.verifying_key(), &Made::claims());
    assert!(made.verdict(1, &slot, &device, &[]).unwrap().contains("was issued by \"CN=Other\""));
    let rekeyed = Issuer::new("Device", derive::p256("other", &[]));
    let slot = rekeyed.attest(made.key.verifying_key(), &Made::claims());
    assert!(made.verdict(1, &slot, &device, &[]).unwrap().contains("not the device's"));
    // A foreign name cannot move the cursor.
    let hostile = Issuer::new("\u{1b}[2J\u{202e}", derive::p256("Device", &[]));
    let slot = hostile.attest(made.key.verifying_key(), &Made::claims());
    let shown = made.verdict(1, &slot, &device, &[]).unwrap();
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn odd_device_certificates_are_taken_by_name_and_bad_ones_are_not() {
    let made = Made::new();
    let firmware = || extension(&yubico(3), false, &[5, 7, 4]);
    let authority = |ca: &[u8]| extension(BASIC_CONSTRAINTS, true, &seq(&[ca.to_vec()]));
    let yes = || authority(&tlv(0x01, &[0xff]));

    // Lenient: no basic constraints, no key usage.
    let (accepted, notes) = made.findings(1, &made.slot(), &made.device_with(&[firmware()]), &[]);
    assert!(accepted, "{notes:?}");
    let notes: Vec<_> = notes.iter().map(|note| note.what.line()).collect();
    assert_eq!(notes.iter().filter(|n| n.contains("no basic constraints") || n.contains("no key usage")).count(), 2);

    // Key usage that allows it needs no leniency; one that does not is refused, as is what is not understood.
    let usage = |bits: u8| extension(KEY_USAGE, true, &tlv(0x03, &[0x01, bits]));
    let (accepted, notes) = made.findings(1, &made.slot(), &made.device_with(&[yes(), usage(0x06)]), &[]);
    assert!(accepted && notes.is_empty(), "{notes:?}");
    for (extensions, why) in [
        (vec![authority(&[])], "no certification authority"),
        (vec![yes(), usage(0x80)], "key usage"),
        (vec![yes(), extension(&yubico(3), true, &[5, 7, 4])], "critical extension"),
        (vec![yes(), extension(&yubico(8), false, &[3, 2])], "attestation of a slot"),
    ] {
        let verdict = made.verdict(1, &made.slot(), &made.device_with(&extensions), &[]).unwrap();
        assert!(verdict.contains(why), "{verdict}");
    }
}

#[test]
fn a_slots_certificate_in_another_form_is_refused() {
    let made = Made::new();
    let device = made.device.certificate(&made.anchor, 0, Some((5, 7, 4)));
    let ext = |leaf: u8, value: &[u8]| extension(&yubico(leaf), false, value);
    let [firmware, policy] = [ext(3, &[5, 7, 4]), ext(8, &[3, 2])];
    let serial = ext(7, &tlv(0x02, &[0x01, 0x31, 0x2d, 0x02]));
    let name = "YubiKey PIV Attestation 9c";
    let check = |subject: &str, extensions: &[&Vec<u8>]| {
        let extensions: Vec<Vec<u8>> = extensions.iter().copied().cloned().collect();
        let slot = certificate(&made.device, subject, &spki(made.key.verifying_key()), &extensions);
        let (accepted, findings) = made.findings(1, &slot, &device, &[]);
        assert_eq!(accepted, refusals(&findings).is_empty());
        refusals(&findings)
    };
    // The form factor may be missing; nothing else may.
    assert_eq!(check(name, &[&firmware, &serial, &policy]), []);
    assert_eq!(check(name, &[&serial, &policy]), [Check::AttForm]);
    assert_eq!(check(name, &[&firmware, &policy]), [Check::AttForm]);
    assert_eq!(check(name, &[&firmware, &serial]), [Check::AttForm]);
    assert_eq!(check("YubiKey OPGP Attestation 9c", &[&firmware, &serial, &policy]), [Check::AttForm]);
    assert_eq!(check(name, &[&firmware, &serial, &policy, &policy]), [Check::AttForm]);
    for odd in [&[5, 7][..], &[5, 7, 4, 0], &[]] {
        assert_eq!(check(name, &[&ext(3, odd), &serial, &policy]), [Check::AttForm]);
    }
    // Negative, longer than 32 bits, with a superfluous zero, followed by something, another type.
    for odd in [&[2, 1, 0x80][..], &[2, 5, 1, 0, 0, 0, 0], &[2, 2, 0, 1], &[2, 1, 1, 0], &[4, 1, 1]] {
        assert_eq!(check(name, &[&firmware, &ext(7, odd), &policy]), [Check::AttForm]);
    }
    assert_eq!(check(name, &[&firmware, &serial, &ext(8, &[3])]), [Check::AttForm]);
    assert_eq!(check(name, &[&firmware, &serial, &policy, &ext(9, &[])]), [Check::AttForm]);
    // Policies that are not always, or not understood.
    for weak in [[1, 2], [2, 2], [3, 1], [3, 3], [0, 2], [3, 0xff]] {
        assert_eq!(check(name, &[&firmware, &serial, &ext(8, &weak)]), [Check::AttPolicy]);
    }
    let authority = extension(BASIC_CONSTRAINTS, true, &seq(&[tlv(0x01, &[0xff])]));
    assert_eq!(check(name, &[&firmware, &serial, &policy, &authority]), [Check::AttChain]);
}
