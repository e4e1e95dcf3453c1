//! Files of answers. What is taken stands in the file; an error is inert and names a line of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::answers::read;

fuzz_target!(|text: &str| {
    let lines = text.matches('\n').count() + 1;
    match read(text) {
        Ok(all) => {
            for entry in all.values().flatten() {
                assert!((1..=lines).contains(&entry.line));
                // In digits of either case.
                let affirmed = entry.affirms.map(|digest| digest.to_string());
                assert!(affirmed.is_none_or(|hex| text.contains('\\') || text.to_ascii_lowercase().contains(&hex)));
            }
        }
        Err(error) => {
            assert!((1..=lines).contains(&error.line), "{error}");
            assert!(!error.what.contains(char::is_control), "{error}");
        }
    }
});
