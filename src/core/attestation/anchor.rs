//! Trust anchors in the sense of RFC 5280, 6.1.1 (d): a subject's name and its public key, taken as true.
//!
//! Rules:
//! 1. Anchors are reviewed data in `vendors/`; nothing a record or a token brings becomes one.
//! 2. Besides name and key an anchor keeps its validity, its path length and the SHA-256 of the vendor's certificate,
//!    which is what people compare. The anchor's own signature is not looked at: it proves nothing.
//! 3. Vendors' anchors and the rehearsal's are different kinds, and no verification accepts both.

use super::certificate::{Authority, Certificate, NotACertificate, name_text};
use crate::digest::Digest;
use alloc::string::String;
use alloc::vec::Vec;

/// The vendors' certificates and the rehearsal's, as PEM, under the names of their files.
pub mod vendors {
    /// `Yubico PIV Root CA Serial 263751`, for firmware up to 5.7.3.
    pub const YUBICO_PIV_CA_1: &str = include_str!("vendors/yubico-piv-ca-1.pem");
    /// `Yubico Attestation Root 1`, for firmware 5.7.4 and later.
    pub const YUBICO_CA_1: &str = include_str!("vendors/yubico-ca-1.pem");
    /// What stands between `Yubico Attestation Root 1` and the devices; none of it is on the devices.
    pub const YUBICO_INTERMEDIATES: [&str; 5] = [
        include_str!("vendors/yubico-attestation-intermediate-a-1.pem"),
        include_str!("vendors/yubico-attestation-intermediate-b-1.pem"),
        include_str!("vendors/yubico-piv-attestation-a-1.pem"),
        include_str!("vendors/yubico-piv-attestation-b-1.pem"),
        include_str!("vendors/yubico-piv-attestation-b2-1.pem"),
    ];
    /// The anchor of rehearsals. Its private key is public, and its name says that it proves nothing.
    pub const REHEARSAL: &str = include_str!("vendors/rehearsal.pem");
    /// Between the anchor of rehearsals and tokens that are shaped like those of firmware 5.7.4 and later.
    pub const REHEARSAL_INTERMEDIATES: [&str; 2] =
        [include_str!("vendors/rehearsal-intermediate-1.pem"), include_str!("vendors/rehearsal-piv-attestation-1.pem")];
}

/// Who stands behind an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnchorKind {
    /// A vendor of tokens.
    Vendor,
    /// Nobody: the private key is public.
    Rehearsal,
}

/// A trust anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Who stands behind it.
    pub kind: AnchorKind,
    /// The subject as RFC 4514 writes it, for showing.
    pub name: String,
    /// The subject, DER.
    pub subject: Vec<u8>,
    /// The SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Not before and not after, in seconds since 1970-01-01T00:00:00Z.
    pub validity: (u64, u64),
    /// How many authorities may stand between this one and the slot's certificate; no limit where nothing is said.
    pub path_length: Option<u8>,
    /// SHA-256 of the certificate.
    pub certificate: Digest,
}

impl Anchor {
    /// Takes a certificate as an anchor. Whoever calls this decides to trust it.
    ///
    /// # Errors
    /// Bytes that are no certificate, or not one of a certification authority.
    pub fn from_certificate(kind: AnchorKind, der: &[u8]) -> Result<Self, NotACertificate> {
        let certificate = Certificate::parse(der)?;
        let Authority::Yes(path_length) = certificate.authority()? else {
            return Err(NotACertificate::NOT_AN_AUTHORITY);
        };
        Ok(Self {
            kind,
            name: name_text(certificate.subject),
            subject: certificate.subject.to_vec(),
            spki: certificate.spki.to_vec(),
            validity: certificate.validity,
            path_length,
            certificate: Digest::of(der),
        })
    }
}

/// The anchors that a verification starts from, and the intermediates that go with them.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// The anchors.
    pub anchors: Vec<Anchor>,
    /// Certificates between anchors and devices, DER. They are links, not anchors: each is verified.
    pub intermediates: Vec<Vec<u8>>,
}

impl Anchors {
    /// The anchors of this program: the vendors' and the rehearsal's.
    ///
    /// A file that could not be read would be left out, which can only refuse more; a test counts them.
    pub fn pinned() -> Self {
        let pinned = [
            (AnchorKind::Vendor, vendors::YUBICO_PIV_CA_1),
            (AnchorKind::Vendor, vendors::YUBICO_CA_1),
            (AnchorKind::Rehearsal, vendors::REHEARSAL),
        ];
        let anchors =
            pinned.iter().filter_map(|(kind, pem)| Anchor::from_certificate(*kind, &certificate_from_pem(pem)?).ok());
        let intermediates = vendors::YUBICO_INTERMEDIATES.iter().chain(&vendors::REHEARSAL_INTERMEDIATES);
        let intermediates = intermediates.filter_map(|pem| certificate_from_pem(pem));
        Self { anchors: anchors.collect(), intermediates: intermediates.collect() }
    }
}

/// The DER of the one certificate in `pem` (`-----BEGIN CERTIFICATE-----`); nothing for anything else.
pub fn certificate_from_pem(pem: &str) -> Option<Vec<u8>> {
    let (label, document) = spki::Document::from_pem(pem).ok()?;
    (label == "CERTIFICATE").then(|| document.as_bytes().to_vec())
}

/// The PEM of a certificate in DER, ending in a newline; nothing for bytes that are not DER.
pub fn certificate_to_pem(der: &[u8]) -> Option<String> {
    spki::Document::try_from(der).ok()?.to_pem("CERTIFICATE", spki::der::pem::LineEnding::LF).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn the_files_are_those_of_the_vendor() {
        let listed = include_str!("vendors/README.md");
        let vendors = [vendors::YUBICO_PIV_CA_1, vendors::YUBICO_CA_1];
        for pem in vendors.into_iter().chain(vendors::YUBICO_INTERMEDIATES) {
            let digest = Digest::of(&certificate_from_pem(pem).unwrap()).to_string();
            assert!(listed.contains(&digest), "{digest} is not in vendors/README.md");
        }
        // The two roots once more, so that a change of file and list together is seen here.
        let known = |n: usize| Anchors::pinned().anchors[n].certificate.to_string();
        assert_eq!(known(0), "63ece914e54dd87915f34033c85af4c0696ba1512f8add66ced738331207b546");
        assert_eq!(known(1), "62760c6a6ef91679f454c8902b80fd009825b3f25da90f1fbace2ec6586cd5a8");
    }

    #[test]
    fn pinned_anchors_are_all_there() {
        let pinned = Anchors::pinned();
        let names: Vec<_> = pinned.anchors.iter().map(|anchor| (anchor.kind, anchor.name.as_str())).collect();
        assert_eq!(
            names,
            [
                (AnchorKind::Vendor, "CN=Yubico PIV Root CA Serial 263751"),
                (AnchorKind::Vendor, "CN=Yubico Attestation Root 1"),
                (AnchorKind::Rehearsal, "CN=TRUSTROOT REHEARSAL - NOT A REAL TOKEN"),
            ]
        );
        assert_eq!(pinned.anchors.iter().map(|a| a.path_length).collect::<Vec<_>>(), [Some(1), Some(3), Some(3)]);
        assert_eq!(pinned.intermediates.len(), 7);
    }

    #[test]
    fn pem_survives() {
        for pem in vendors::YUBICO_INTERMEDIATES {
            assert_eq!(certificate_to_pem(&certificate_from_pem(pem).unwrap()).unwrap(), pem);
        }
        assert_eq!(certificate_from_pem("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"), None);
    }
}
