//! Vectors of attestations: the slot's certificate and the device's, as PEM. They chain to the rehearsal's anchor.

use trustroot::token::certificate::{ANCHOR_NAME, Claims, DEVICE_NAME, Issuer};
use trustroot_core::attestation::anchor::certificate_to_pem;
use trustroot_core::check::{Check, Level};

use super::make::{Key, key};
use super::{Kind, Vector, fails, passes};

/// The serial number that is expected.
pub(crate) const SERIAL: u32 = 90_000_001;

fn claims() -> Claims {
    Claims { serial: SERIAL, firmware: (5, 7, 4), pin: 3, touch: 2, slot: "9c".to_owned() }
}

fn pem(slot: &[u8], device: &[u8]) -> Vec<u8> {
    [slot, device].map(|der| certificate_to_pem(der).unwrap()).concat().into_bytes()
}

fn attested(key: &Key, claims: &Claims) -> Vec<u8> {
    let device = Issuer::new(DEVICE_NAME, super::make::key(21).signing());
    let slot = device.attest(key.signing().verifying_key(), claims);
    pem(&slot, &device.certificate(&Issuer::rehearsal(), 0, Some(claims.firmware)))
}

pub(crate) fn vectors() -> Vec<Vector> {
    use Check::{AttAdvisory, AttBound, AttChain, AttFirmware, AttForm, AttPolicy, AttRehearsal, AttSerial, AttSlot};
    let good = || attested(&key(1), &claims());
    let fails = |check, name, kind, bytes| fails(check, name, kind, Level::Refused, bytes);
    let usual = Kind::Attestation;
    let firmware = |firmware| attested(&key(1), &Claims { firmware, ..claims() });
    let by = |authority: &Issuer, device: &Issuer, signer: &Issuer| {
        pem(
            &signer.attest(key(1).signing().verifying_key(), &claims()),
            &device.certificate(authority, 0, Some((5, 7, 4))),
        )
    };
    let device = || Issuer::new(DEVICE_NAME, key(21).signing());
    let policy = |pin, touch| attested(&key(1), &Claims { pin, touch, ..claims() });
    vec![
        // DER, and no certificate.
        fails(AttForm, "an-empty-sequence", usual, {
            pem(&[0x30, 0x00], &device().certificate(&Issuer::rehearsal(), 0, Some((5, 7, 4))))
        }),
        passes(AttForm, "good", usual, good()),
        fails(AttChain, "forged-anchor", usual, by(&Issuer::new(ANCHOR_NAME, key(22).signing()), &device(), &device())),
        fails(AttChain, "another-device", usual, {
            by(&Issuer::rehearsal(), &device(), &Issuer::new(DEVICE_NAME, key(23).signing()))
        }),
        fails(AttChain, "another-name", usual, {
            by(&Issuer::rehearsal(), &device(), &Issuer::new("Another", key(21).signing()))
        }),
        passes(AttChain, "good", usual, good()),
        passes(AttChain, "through-intermediates", usual, {
            let [_, lower] = Issuer::rehearsal_intermediates();
            by(&lower, &device(), &device())
        }),
        fails(AttChain, "an-intermediate-not-of-piv", usual, {
            let [upper, _] = Issuer::rehearsal_intermediates();
            by(&upper, &device(), &device())
        }),
        fails(AttBound, "another-key", usual, attested(&key(2), &claims())),
        passes(AttBound, "the-key", usual, good()),
        fails(AttSerial, "one-more", usual, attested(&key(1), &Claims { serial: SERIAL + 1, ..claims() })),
        passes(AttSerial, "the-serial", usual, good()),
        fails(AttSlot, "9a", usual, attested(&key(1), &Claims { slot: "9a".to_owned(), ..claims() })),
        passes(AttSlot, "9c", usual, good()),
        fails(AttPolicy, "pin-once", usual, policy(2, 2)),
        fails(AttPolicy, "touch-cached", usual, policy(3, 3)),
        fails(AttPolicy, "touch-never", usual, policy(3, 1)),
        passes(AttPolicy, "always", usual, policy(3, 2)),
        fails(AttFirmware, "5.7.3", usual, firmware((5, 7, 3))),
        passes(AttFirmware, "5.7.4", usual, firmware((5, 7, 4))),
        fails(AttAdvisory, "5.6.255", Kind::OldAttestation, firmware((5, 6, 255))),
        fails(AttAdvisory, "another-is-waived", Kind::WaivedAttestation, firmware((4, 4, 4))),
        passes(AttAdvisory, "5.7.0", Kind::OldAttestation, firmware((5, 7, 0))),
        super::fails(AttAdvisory, "waived", Kind::WaivedAttestation, Level::Warning, firmware((5, 4, 3))),
        fails(AttRehearsal, "in-production", Kind::ProductionAttestation, good()),
        passes(AttRehearsal, "in-a-rehearsal", usual, good()),
    ]
}
