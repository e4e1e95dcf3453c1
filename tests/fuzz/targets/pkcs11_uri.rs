//! PKCS#11 URIs. One that is taken names a module, a token and a key; an error is inert.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::pkcs11_uri::Pkcs11Uri;
use trustroot_core::plan::parse::is_module;

fuzz_target!(|text: &str| match Pkcs11Uri::parse(text) {
    Ok(uri) => {
        assert!(is_module(uri.module()));
        assert!(uri.token().is_some() || uri.serial().is_some());
        assert!(uri.id().is_some() != uri.object().is_some());
        assert!(!text.contains("pin-value"));
        assert!(!uri.shown().contains(char::is_control));
    }
    Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
});
