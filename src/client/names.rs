//! Names: of files as they are asked for, and as they lie here.
//!
//! Rules:
//! 1. A role name is percent-encoded in file names, everything but letters, digits and `-._~`, so `/` and `..` lead nowhere.
//! 2. No delegated role can take the place of a top-level file, not even where case does not count.
//! 3. A target path is a path below its folder, or it is refused.
//! 4. Different names lie in different files: who may sign for one name must not thereby write the file of another.

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

/// What the name of a file begins with that stands for a longer name, before the digest of that.
const LONG: &str = "sha256-";

/// `text` as one part of a path. No other text gives the same.
fn part(text: &str) -> String {
    let name = encode(text);
    if name.len() > LONGEST {
        return format!("{LONG}{}", Digest::of(text.as_bytes()));
    }
    // Names of ours begin with a dot. Where case does not count, `Root` would be `root`.
    let top = ["root", "timestamp", "snapshot", "targets"].iter().any(|top| name.eq_ignore_ascii_case(top));
    match name.chars().next() {
        Some(first) if first == '.' || top || is_long(&name) => format!("%{:02X}{}", u32::from(first), &name[1..]),
        _ => name,
    }
}

/// Whether this is what stands for a longer name.
fn is_long(name: &str) -> bool {
    name.get(..LONG.len()).is_some_and(|start| start.eq_ignore_ascii_case(LONG))
}

/// Whether this could be what an encoded name looks like.
fn is_encoded(name: &str) -> bool {
    let two = |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    is_long(name) || name.split('%').skip(1).any(two)
}

/// The name under which the metadata of a delegated role lies here.
pub(crate) fn local(role: &str) -> String {
    format!("{}.json", part(role))
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
    let own = path.split('/').all(plain) && (path.contains('/') || !is_encoded(path));
    Ok(if own { path.to_owned() } else { part(path) })
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
        assert_eq!(local(".x"), "%2Ex.json");
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
            ("100%", "100%"),
            ("a%20b", "a%2520b"),
            ("a%20b/c", "a%20b/c"),
        ] {
            assert_eq!(file(path).unwrap(), here);
        }
    }

    #[test]
    fn different_names_lie_in_different_files() {
        let long = "x".repeat(300);
        let mut names: Vec<String> =
            ["/etc/x", ".x", "x.", "a b", "c:x", "a//b", "root", "Root", "%"].map(str::to_owned).into();
        names.push(long);
        // What each lies under, taken for a name of its own, and once more.
        for _ in 0..3 {
            let more = names.iter().flat_map(|name| [file(name).unwrap(), part(name)]).collect::<Vec<_>>();
            names.extend(more);
            names.sort();
            names.dedup();
        }
        for of in [|name: &str| file(name).unwrap(), local] {
            let files: std::collections::BTreeSet<_> = names.iter().map(|name| of(name).to_lowercase()).collect();
            // `root` and `Root` alone may be one, as plain paths where case does not count.
            assert!(files.len() + 1 >= names.len(), "{names:?}");
            let files: std::collections::BTreeSet<_> = names.iter().map(|name| of(name)).collect();
            assert_eq!(files.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn the_hash_stands_before_the_last_part() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(target("a/b", &Target::of(b""), true).unwrap(), format!("a/{empty}.b"));
        assert_eq!(target("a/b", &Target::of(b""), false).unwrap(), "a/b");
    }
}
