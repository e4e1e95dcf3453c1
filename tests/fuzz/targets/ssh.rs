//! SSH signatures: the line of the key, the armour and the message, with NUL between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::ssh;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (line, armour) = (text(), text());
    let message = parts.next().unwrap_or_default();
    match ssh::verify(line, "trustroot-event", message, armour) {
        Ok(()) => {
            assert!(ssh::fingerprint(line).is_ok());
            let changed = [message, b"x"].concat();
            assert_eq!(ssh::verify(line, "trustroot-event", &changed, armour), Err(ssh::SshError::Invalid));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
});
