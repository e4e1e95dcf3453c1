//! Addresses, and what is shown of what programs say about them: no option, no helper, no password. And those of folders, as a
//! client takes them; a server's are only looked at in the target `http`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_client::{Limits, source};
use trustroot_core::address::{Address, without_credentials};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let shown = without_credentials(text);
    assert!(shown.len() <= text.len() + text.matches('@').count() * '…'.len_utf8());
    if !text.starts_with("http") {
        match source::from_text(text, &Limits::default()) {
            Ok(folder) => assert!(!folder.name().contains(char::is_control), "{}", folder.name()),
            Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
        }
    }
    let Ok(address) = Address::parse(text) else { return };
    assert!(!text.starts_with('-') && !address.shown().contains(|c: char| c.is_control()));
    // The secret of https, whatever is in it.
    if let Some((user, _)) = text.strip_prefix("https://").and_then(|rest| rest.split('/').next()?.rsplit_once('@')) {
        assert!(address.holds_secret());
        // A path may hold the same text again; before the host it is gone.
        let secret = format!("{user}@");
        let left = format!("{address:?}").matches(&secret).count();
        assert!(user.len() < 4 || left < text.matches(&secret).count(), "{address:?}");
    }
    if let Some(path) = address.path() {
        assert!(!path.is_empty() && !address.holds_secret());
    }
});
