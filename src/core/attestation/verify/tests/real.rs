//! Two real attestations, from the folder of public data that `TRUSTROOT_CORPUS` names (feature `public-data`).

use crate::attestation::anchor::{certificate_from_pem, vendors};
use crate::attestation::verify::*;
use std::path::PathBuf;
use std::vec;

struct Real {
    serial: u32,
    key: PublicKey,
    slot: Vec<u8>,
    device: Vec<u8>,
}

/// `TRUSTROOT_CORPUS`, or `shared/corpus` beside the clone.
fn corpus() -> PathBuf {
    let folder = std::env::var_os("TRUSTROOT_CORPUS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus")), PathBuf::from);
    assert!(
        folder.join("yubikey-attestations").is_dir(),
        "the corpus of real attestations is not at {}; set TRUSTROOT_CORPUS to the folder that holds yubikey-attestations",
        folder.display()
    );
    folder
}

fn real(serial: u32) -> Real {
    let folder = corpus().join(format!("yubikey-attestations/{serial}"));
    let file = |what: &str| std::fs::read_to_string(folder.join(format!("{serial}_{what}.pem"))).unwrap();
    Real {
        serial,
        key: PublicKey::from_pem(&file("pubkey")).unwrap(),
        slot: certificate_from_pem(&file("key_cert")).unwrap(),
        device: certificate_from_pem(&file("device_cert")).unwrap(),
    }
}

impl Real {
    fn expected(&self) -> Expected<'_> {
        let slot = "9c";
        let minimum_firmware = (5, 2, 0);
        Expected { key: &self.key, serial: self.serial, slot, minimum_firmware, rehearsal: false, waived: &[] }
    }
}

fn refusals(findings: &[Finding]) -> Vec<Check> {
    findings.iter().filter(|f| f.level == Level::Refused).map(|f| f.check).collect()
}

#[test]
fn real_attestations_reach_the_vendor_and_name_eucleak() {
    for (serial, firmware) in [(13078778, (5, 2, 6)), (14454335, (5, 2, 7))] {
        let real = real(serial);
        let examined = examine(&real.slot, &real.device, &[], &real.expected(), &Anchors::pinned());
        assert_eq!(refusals(&examined.findings), [Check::AttAdvisory], "{:?}", examined.findings);
        let advisory = examined.findings.iter().find(|f| f.check == Check::AttAdvisory).unwrap();
        assert!(advisory.what.line().contains("EUCLEAK"), "{advisory}");

        let facts = examined.facts.unwrap();
        assert_eq!((facts.serial, facts.firmware, facts.slot.as_str()), (serial, firmware, "9c"));
        assert_eq!((facts.pin, facts.touch), (PinPolicy::Always, TouchPolicy::Always));
        assert_eq!((facts.anchor.kind, facts.anchor.path_length), (AnchorKind::Vendor, Some(1)));
        assert_eq!(
            facts.chain,
            ["CN=Yubico PIV Root CA Serial 263751", "CN=Yubico PIV Attestation", "CN=YubiKey PIV Attestation 9c"]
        );
        // The f9 certificates of 2021 have no key usage: a leniency, and it is named.
        assert!(examined.findings.iter().any(|f| f.level == Level::Note && f.what.line().contains("no key usage")));
    }
}

#[test]
fn what_is_expected_is_held_against_what_is_said() {
    let (real, other) = (real(13078778), real(14454335));
    let check = |expected: &Expected<'_>| {
        let mut checks = refusals(&verify(&real.slot, &real.device, &[], expected, &Anchors::pinned()).unwrap_err());
        checks.retain(|check| *check != Check::AttAdvisory);
        checks
    };
    assert_eq!(check(&Expected { key: &other.key, ..real.expected() }), [Check::AttBound]);
    assert_eq!(check(&Expected { serial: 1, ..real.expected() }), [Check::AttSerial]);
    assert_eq!(check(&Expected { slot: "9a", ..real.expected() }), [Check::AttSlot]);
    assert_eq!(check(&Expected { minimum_firmware: (5, 2, 7), ..real.expected() }), [Check::AttFirmware]);
    // A real token may rehearse; what it says counts there as everywhere.
    assert_eq!(check(&Expected { rehearsal: true, ..real.expected() }), []);
    let everything =
        Expected { key: &other.key, serial: 1, slot: "9a", minimum_firmware: (9, 0, 0), ..real.expected() };
    assert_eq!(check(&everything), [Check::AttBound, Check::AttSerial, Check::AttSlot, Check::AttFirmware]);
}

#[test]
fn a_waiver_is_by_name_and_stays_a_finding() {
    let real = real(14454335);
    let waived = Expected { waived: &[AdvisoryName::Eucleak], ..real.expected() };
    let attested = verify(&real.slot, &real.device, &[], &waived, &Anchors::pinned()).unwrap();
    let said = attested.notes().iter().find(|finding| finding.check == Check::AttAdvisory).unwrap();
    assert_eq!(said.level, Level::Warning);
    assert!(said.what.line().contains("EUCLEAK") && said.what.line().ends_with("waived by name"), "{said}");
    let others = Expected { waived: &[AdvisoryName::Roca, AdvisoryName::Fips2019], ..real.expected() };
    assert_eq!(
        refusals(&verify(&real.slot, &real.device, &[], &others, &Anchors::pinned()).unwrap_err()),
        [Check::AttAdvisory]
    );
}

#[test]
fn what_it_says_can_be_read_alone() {
    let real = real(13078778);
    let examined = read(&real.slot, &real.device, &[], "a file", &Anchors::pinned());
    assert_eq!(refusals(&examined.findings), []);
    let facts = examined.facts.unwrap();
    assert_eq!((facts.key, facts.serial, facts.fips, facts.cspn), (real.key, real.serial, false, false));
}

#[test]
fn another_devices_certificate_is_refused() {
    let (real, other) = (real(13078778), real(14454335));
    let findings = verify(&real.slot, &other.device, &[], &real.expected(), &Anchors::pinned()).unwrap_err();
    assert_eq!(refusals(&findings), [Check::AttChain]);
    assert!(findings[0].what.line().contains("is not the device's"), "{}", findings[0]);
}

#[test]
fn every_changed_byte_is_refused() {
    let anchors = Anchors::pinned();
    for (real, which) in
        [13078778, 14454335].into_iter().flat_map(|serial| ["slot", "device"].map(|w| (real(serial), w)))
    {
        let length = if which == "slot" { real.slot.len() } else { real.device.len() };
        for n in 0..length {
            let (mut slot, mut device) = (real.slot.clone(), real.device.clone());
            let certificate = if which == "slot" { &mut slot } else { &mut device };
            certificate[n] ^= 1 << (n % 8);
            let examined = examine(&slot, &device, &[], &real.expected(), &anchors);
            assert!(examined.facts.is_none(), "byte {n} of the {which}'s certificate does not matter");
            let checks = refusals(&examined.findings);
            assert!(matches!(checks[..], [Check::AttForm | Check::AttChain]), "byte {n} of {which}: {checks:?}");
        }
    }
}

#[test]
fn cut_and_extended_certificates_are_refused() {
    let real = real(14454335);
    let check = |slot: &[u8], device: &[u8]| {
        refusals(&verify(slot, device, &[], &real.expected(), &Anchors::pinned()).unwrap_err())
    };
    for n in 0..real.slot.len() {
        assert_eq!(check(&real.slot[..n], &real.device), [Check::AttForm]);
    }
    assert_eq!(check(&[&real.slot[..], &[0]].concat(), &real.device), [Check::AttForm]);
    assert_eq!(check(&real.slot, &[&real.device[..], &[0]].concat()), [Check::AttForm]);
    assert_eq!(check(&vec![0x30; 1 << 20], &[]), [Check::AttForm, Check::AttForm]);
}

#[test]
fn a_device_without_an_anchor_is_refused() {
    let real = real(13078778);
    let mut anchors = Anchors::pinned();
    anchors.anchors.retain(|anchor| !anchor.name.contains("263751"));
    let findings = verify(&real.slot, &real.device, &[], &real.expected(), &anchors).unwrap_err();
    assert_eq!(refusals(&findings), [Check::AttChain]);
    // A certificate that somebody offers is a link, never an anchor.
    let root = certificate_from_pem(vendors::YUBICO_PIV_CA_1).unwrap();
    let findings = verify(&real.slot, &real.device, &[&root], &real.expected(), &anchors).unwrap_err();
    assert_eq!(refusals(&findings), [Check::AttChain]);
}

#[test]
fn openssl_agrees_that_the_vendor_made_them() {
    let folder = std::env::temp_dir().join(std::format!("trustroot-anchors-{}", std::process::id()));
    let pinned = [vendors::YUBICO_PIV_CA_1, vendors::YUBICO_CA_1].into_iter().chain(vendors::YUBICO_INTERMEDIATES);
    std::fs::write(&folder, pinned.collect::<std::string::String>()).unwrap();
    for serial in ["13078778", "14454335"] {
        let file = |what: &str| corpus().join(format!("yubikey-attestations/{serial}/{serial}_{what}.pem"));
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["verify", "-no_check_time", "-CAfile"]).arg(&folder);
        let judged = openssl.arg("-untrusted").arg(file("device_cert")).arg(file("key_cert")).output().unwrap();
        assert!(judged.status.success(), "{judged:?}");
    }
    std::fs::remove_file(&folder).unwrap();
}
