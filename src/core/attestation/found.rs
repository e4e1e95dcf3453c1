//! Attestations among certificates that lie together, under whatever names.

use super::certificate::Certificate;
use super::verify::OID_POLICY;
use alloc::vec::Vec;

/// The most certificates of one folder that are looked at.
const MAX_CERTIFICATES: usize = 256;

/// The certificates of slots among these, in DER, each with the certificate of the device that issued it, if that is there
/// too. Both are given by their place; what is no attestation is passed over.
pub fn pairs(certificates: &[&[u8]]) -> Vec<(usize, Option<usize>)> {
    let parsed: Vec<(usize, Certificate<'_>)> = certificates
        .iter()
        .take(MAX_CERTIFICATES)
        .enumerate()
        .filter_map(|(place, der)| Some((place, Certificate::parse(der).ok()?)))
        .collect();
    let slots = parsed.iter().filter(|(_, one)| one.extension(&OID_POLICY).is_some());
    let device = |slot: &Certificate<'_>| {
        let named =
            || parsed.iter().filter(|(_, one)| one.subject == slot.issuer && one.extension(&OID_POLICY).is_none());
        // All devices have one name: the signature tells them apart.
        named().find(|(_, one)| slot.is_signed_by(one.spki)).or_else(|| named().next()).map(|(place, _)| *place)
    };
    slots.map(|(place, slot)| (*place, device(slot))).collect()
}
