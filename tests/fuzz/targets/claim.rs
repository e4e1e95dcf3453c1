//! Claims of PKCS#11 modules. One that is taken has one form, and what is found in it is inert.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::claim::{Claim, Expected, examine};
use trustroot_core::event::TokenFacts;
use trustroot_core::key::PublicKey;
use trustroot_core::plan::TokenKind;

fuzz_target!(|bytes: &[u8]| match Claim::from_bytes(bytes) {
    Ok(claim) => {
        assert_eq!(claim.to_canonical(), bytes);
        let token = TokenFacts {
            kind: TokenKind::Pkcs11,
            serial: claim.token.serial,
            model: claim.token.model.clone(),
            firmware: claim.token.firmware.clone(),
            label: None,
        };
        // RFC 8032, 7.1, test 1.
        let bytes = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
            0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ];
        let key = PublicKey::from_ed25519(&bytes).expect("a key");
        let expected = Expected { key: &key, token: &token, origin: claim.origin };
        for finding in examine(&claim, &expected, "claim.json") {
            assert!(!finding.to_string().contains(char::is_control), "{finding}");
        }
    }
    Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
});
