//! The first root: where it comes from, and why it is the right one.
//!
//! A root that came with the program, or on a stick, is a file. A root from a URL is worth nothing by itself: it is taken
//! only if its payload digest is one that somebody said elsewhere, in digits or in words. Other places may be asked too; if
//! one of them has another root, nothing is taken.

use trustroot_core::digest::Digest;
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::signature::Verifier;
use trustroot_core::trusted::TrustedRoot;
use trustroot_core::words;

use crate::error::Error;
use crate::limits::Limits;
use crate::source::{self, read};

/// The payload digest that was said: 64 hexadecimal digits in any case, or 32 words.
///
/// # Errors
/// [`Error::Fingerprint`] with the word that is wrong.
pub fn spoken(text: &str) -> Result<Digest, Error> {
    let compact: String = text.split_whitespace().collect::<String>().to_ascii_lowercase();
    if let Ok(digest) = Digest::from_hex(compact.strip_prefix("sha256:").unwrap_or(&compact)) {
        return Ok(digest);
    }
    words::parse(text).map_err(|error| Error::Fingerprint(error.to_string()))
}

/// The root at an address: the address of the file itself, over http, https or file, or the path of a file.
///
/// # Errors
/// [`Error::Address`], [`Error::Fetch`], [`Error::Store`].
pub fn fetch(address: &str, limits: &Limits) -> Result<Vec<u8>, Error> {
    // In the name of a file it would be encoded, and no file is called that.
    if (address.starts_with("https://") || address.starts_with("http://")) && address.contains(['?', '#']) {
        return Err(Error::Address { text: address.to_owned(), why: "it has a query or a fragment" });
    }
    let (folder, name) = match address.trim_end_matches('/').rsplit_once('/') {
        Some((folder, name)) if !name.is_empty() => (if folder.is_empty() { "/" } else { folder }, name),
        _ => (".", address),
    };
    let source = source::from_text(folder, limits)?;
    let fault = |why| Error::Fetch { file: trustroot_core::text::escape(name), source_name: source.name(), why };
    read(source.as_ref(), name, limits.root, limits).map_err(fault)
}

/// Refuses `root` unless its payload digest is `said`.
///
/// # Errors
/// [`Error::Differs`], and what is refused in the root.
pub fn is_said(root: &[u8], said: &Digest, verifier: &dyn Verifier) -> Result<(), Error> {
    let trusted = TrustedRoot::pinned(root, verifier)?;
    let found = trusted.metadata().payload().digest();
    if found == *said {
        return Ok(());
    }
    Err(Error::Differs(format!("the root there has the payload digest {found}, not the one that was said, {said}")))
}

/// Refuses `root` unless the root at `address` is the same: the same payload, whoever else signed it meanwhile.
///
/// # Errors
/// [`Error::Differs`], and what could not be had.
pub fn is_also_at(root: &[u8], address: &str, limits: &Limits) -> Result<(), Error> {
    let other = fetch(address, limits)?;
    let payload = |bytes: &[u8]| Metadata::<Root>::parse("the root", bytes).map(|root| root.payload().digest());
    let (here, there) = (payload(root)?, payload(&other)?);
    if here == there {
        return Ok(());
    }
    let address = trustroot_core::text::escape(address);
    Err(Error::Differs(format!("at {address} lies another root: its payload digest is {there}, here it is {here}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_said_in_digits_or_words() {
        let digest = Digest::of(b"");
        let words = words::words(&digest).join(" ").to_uppercase();
        for said in [digest.to_string(), digest.to_string().to_uppercase(), format!("sha256:{digest}"), words] {
            assert_eq!(spoken(&said).unwrap(), digest, "{said}");
        }
        for wrong in ["", "e3b0c442", "flatfoot unicorn treadmil"] {
            assert!(matches!(spoken(wrong), Err(Error::Fingerprint(_))), "{wrong}");
        }
    }

    #[test]
    fn an_address_with_a_query_is_refused_for_that() {
        for bad in ["https://h.example/1.root.json?raw=1", "http://h.example/1.root.json#top"] {
            assert!(matches!(fetch(bad, &Limits::default()), Err(Error::Address { why, .. }) if why.contains("query")));
        }
    }

    #[test]
    fn what_was_said_decides() {
        let root = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../root/1.root.json")).unwrap();
        let digest = Metadata::<Root>::parse("root", &root).unwrap().payload().digest();
        assert!(is_said(&root, &digest, &crate::Fast).is_ok());
        assert!(matches!(is_said(&root, &Digest::of(b""), &crate::Fast), Err(Error::Differs(_))));
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../root/1.root.json");
        assert!(is_also_at(&root, place, &Limits::default()).is_ok());
        assert!(is_also_at(&root, "/nowhere/1.root.json", &Limits::default()).is_err());
    }
}
