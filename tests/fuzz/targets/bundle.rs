//! The head of a bundle: what is read of it is inside, named as git names things, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::bundle::{Bundle, is_bundle, is_reference};

fuzz_target!(|bytes: &[u8]| {
    let Ok(bundle) = Bundle::read(bytes) else { return };
    assert!(is_bundle(bytes) && bytes[bundle.pack..].starts_with(b"PACK"));
    let id = |id: &String| id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(bundle.needs.iter().chain(bundle.references.values()).all(id));
    for name in bundle.references.keys() {
        assert!(name == "HEAD" || is_reference(name), "{name}");
        assert!(!name.contains("..") && name.bytes().all(|b| b.is_ascii_graphic()), "{name}");
    }
    // Nothing after the head matters.
    assert_eq!(Bundle::read(&bytes[..bundle.pack + 12]), Ok(bundle));
});
