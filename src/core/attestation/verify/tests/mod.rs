//! The pinned certificates. Real attestations are in `real`; one vector
//! for each failure is in the tests of the root package's virtual tokens, which can sign.

#[cfg(feature = "public-data")]
mod real;

use super::*;
use crate::attestation::anchor::{certificate_from_pem, vendors};

#[test]
fn the_pinned_intermediates_lead_to_the_newer_root() {
    let anchors = Anchors::pinned();
    for (pem, omits_null) in vendors::YUBICO_INTERMEDIATES[2..].iter().zip([false, false, true]) {
        let der = certificate_from_pem(pem).unwrap();
        let certificate = Certificate::parse(&der).unwrap();
        assert_eq!(certificate.without_null, omits_null);
        let path = climb(&certificate, &[], &anchors).unwrap();
        assert_eq!(path.anchor.name, "CN=Yubico Attestation Root 1");
        assert_eq!(path.above.len(), 1);
        // Without the tier above it there is no way.
        let alone = Anchors { intermediates: Vec::new(), ..anchors.clone() };
        assert!(climb(&certificate, &[], &alone).is_err());
    }
}
