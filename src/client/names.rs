//! Names: of files as they are asked for, and as they lie here.
//!
//! Rules:
//! 1. A role name is percent-encoded in file names, everything but letters, digits and `-._~`, so `/` and `..` lead nowhere.
//! 2. No delegated role can take the place of a top-level file, not even where case does not count.
//! 3. A target path is a path below its folder, or it is refused.

use crate::error::Error;
use trustroot_core::digest::Digest;
use trustroot_core::metadata::targets::Target;

/// The longest name of a file here, in bytes.
const LONGEST: usize = 200;

/// `text` with every byte percent-encoded that is not unreserved (RFC 3986, 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The name under which the metadata of `role` is published, with its version where snapshots are consistent (TUF 6.2).
pub(crate) fn published(role: &str, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("{version}.{}.json", encode(role)),
        None => format!("{}.json", encode(role)),
    }
}

/// The name under which the metadata of a delegated role lies here.
pub(crate) fn local(role: &str) -> String {
    let name = encode(role);
    let top = ["root", "timestamp", "snapshot", "targets"];
    if name.len() > LONGEST {
        return format!("sha256-{}.json", Digest::of(role.as_bytes()));
    }
    if top.iter().any(|top| name.eq_ignore_ascii_case(top)) {
        // Where case does not count, `Root.json` would be `root.json`.
        let (first, rest) = name.split_at(1);
        return format!("%{:02X}{rest}.json", first.as_bytes()[0]);
    }
    format!("{name}.json")
}

/// The path under which a target is asked for: with a hash before its last part where snapshots are consistent.
pub(crate) fn target(path: &str, target: &Target, consistent: bool) -> Result<String, Error> {
    if path.is_empty() || path.split('/').any(|part| part == "." || part == "..") || path.contains('\\') {
        return Err(Error::Path(path.to_owned()));
    }
    let Some(hash) = target.hashes.prefix().filter(|_| consistent) else { return Ok(path.to_owned()) };
    Ok(match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{hash}.{name}"),
        None => format!("{hash}.{path}"),
    })
}

/// The path below its folder under which a target lies here: its own, where that is a plain one, else one encoded name.
pub(crate) fn file(path: &str) -> Result<String, Error> {
    if path.is_empty() || path.split('/').any(|part| part == "." || part == "..") || path.contains('\\') {
        return Err(Error::Path(path.to_owned()));
    }
    let plain = |part: &str| {
        let device = part.contains(':') || part.ends_with([' ', '.']);
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= LONGEST
            && !device
            && !part.contains(char::is_control)
    };
    if path.split('/').all(plain) {
        return Ok(path.to_owned());
    }
    let name = encode(path);
    // A name that begins with a dot could be one of ours.
    let name = name.strip_prefix('.').map(|rest| format!("%2E{rest}")).unwrap_or(name);
    Ok(if name.len() > LONGEST { format!("sha256-{}", Digest::of(path.as_bytes())) } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_encoded_and_never_top_level() {
        assert_eq!(published("../x?", Some(3)), "3...%2Fx%3F.json");
        assert_eq!(published("ä", None), "%C3%A4.json");
        assert_eq!(local("Root"), "%52oot.json");
        assert_eq!(local("A"), "A.json");
        assert!(local(&"x".repeat(300)).starts_with("sha256-"));
    }

    #[test]
    fn targets_stay_below_their_folder() {
        for bad in ["", "..", "a/../b", "./a", "a\\b", "a/.."] {
            assert!(matches!(file(bad), Err(Error::Path(_))), "{bad}");
            assert!(target(bad, &Target::of(b""), true).is_err());
        }
        for (path, here) in [
            ("a/b.txt", "a/b.txt"),
            ("/etc/x", "%2Fetc%2Fx"),
            (".hidden", "%2Ehidden"),
            ("a//b", "a%2F%2Fb"),
            ("c:x", "c%3Ax"),
        ] {
            assert_eq!(file(path).unwrap(), here);
        }
    }

    #[test]
    fn the_hash_stands_before_the_last_part() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(target("a/b", &Target::of(b""), true).unwrap(), format!("a/{empty}.b"));
        assert_eq!(target("a/b", &Target::of(b""), false).unwrap(), "a/b");
    }
}
