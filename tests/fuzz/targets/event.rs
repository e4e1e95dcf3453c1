//! Events. One that is taken has one form, and a path inside the log of its author.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::event::Event;

fuzz_target!(|bytes: &[u8]| match Event::from_bytes(bytes) {
    Ok(event) => {
        assert_eq!(event.to_canonical(), bytes);
        let path = event.path();
        assert!(path.starts_with("log/") && path.matches('/').count() == 2 && !path.contains(".."), "{path}");
    }
    Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
});
