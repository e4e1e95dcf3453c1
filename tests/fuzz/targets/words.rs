//! Digests as words. What is taken is the words of one digest, and what they are asked for by place; a client takes the same,
//! and digits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_client::bootstrap::spoken;
use trustroot_core::words;

fuzz_target!(|text: &str| match words::parse(text) {
    Ok(digest) => {
        assert_eq!(words::parse(&words::words(&digest).join(" ")), Ok(digest));
        assert_eq!(spoken(text).ok(), Some(digest));
        assert!(words::answers(&digest, &(1..=words::COUNT).collect::<Vec<_>>(), text));
    }
    Err(error) => {
        assert!(!error.to_string().contains(char::is_control), "{error}");
        match spoken(text) {
            Ok(digest) => assert_eq!(spoken(&digest.to_string()).ok(), Some(digest)),
            Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
        }
    }
});
