//! Certificates and public keys, as PEM and as DER. What is taken is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::attestation::anchor::{Anchor, AnchorKind, certificate_from_pem, certificate_to_pem};
use trustroot_core::key::PublicKey;

fuzz_target!(|bytes: &[u8]| {
    let pem = std::str::from_utf8(bytes).unwrap_or_default();
    let der = certificate_from_pem(pem);
    if let Some(der) = &der {
        let again = certificate_to_pem(der).expect("what was read is written");
        assert_eq!(certificate_from_pem(&again).as_ref(), Some(der));
    }
    if let Ok(anchor) = Anchor::from_certificate(AnchorKind::Vendor, der.as_deref().unwrap_or(bytes)) {
        let _ = PublicKey::from_spki_der(&anchor.spki);
    }
    for key in [PublicKey::from_pem(pem), PublicKey::from_spki_der(bytes), PublicKey::from_p256_point(bytes)] {
        let Ok(key) = key else { continue };
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key.clone()));
        assert_eq!(PublicKey::from_spki_der(key.spki_der()), Ok(key));
    }
});
