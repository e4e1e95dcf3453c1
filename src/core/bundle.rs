//! The head of a bundle file: which commits it holds, and on which it builds.
//!
//! A bundle is `git bundle`'s format 2 or 3: a line that names the format, capabilities (format 3), commits that must be there
//! already, references, an empty line, a pack. Rules:
//! 1. Only what is read here is taken from a bundle; its pack is git's to judge.
//! 2. Names of references are plain: `refs/heads/…` and `refs/tags/…` of visible ASCII, by git's own rules, none twice.
//! 3. Bundles that leave objects out (`filter`) or have other ids than SHA-1 are refused.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The most bytes before the pack.
pub const MAX_HEAD: usize = 1 << 20;
/// The most references, and the most commits that must be there.
const MAX_LINES: usize = 4096;
/// The most objects in the pack.
const MAX_OBJECTS: u32 = 2_000_000;

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The full ids of the commits that it builds on.
    pub needs: Vec<String>,
    /// The references and the full ids that they point to.
    pub references: BTreeMap<String, String>,
    /// Where the pack begins.
    pub pack: usize,
}

/// Why something is no bundle that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotABundle(pub &'static str);

/// Whether a file that begins with `bytes` calls itself a bundle.
pub fn is_bundle(bytes: &[u8]) -> bool {
    bytes.starts_with(b"# v2 git bundle\n") || bytes.starts_with(b"# v3 git bundle\n")
}

impl Bundle {
    /// Reads the head of a bundle from its first bytes: [`MAX_HEAD`] and the 12 of the pack's own head, or the whole file.
    ///
    /// # Errors
    /// Every broken rule of the head of this file.
    pub fn read(bytes: &[u8]) -> Result<Self, NotABundle> {
        let refuse = |why| Err(NotABundle(why));
        let mut lines = Lines { rest: bytes, at: 0 };
        let third = match lines.next()? {
            b"# v2 git bundle" => false,
            b"# v3 git bundle" => true,
            _ => return refuse("it does not begin like one"),
        };
        let (mut needs, mut references) = (Vec::new(), BTreeMap::new());
        loop {
            let line = lines.next()?;
            if let Some(capability) = line.strip_prefix(b"@") {
                if !third || !needs.is_empty() || !references.is_empty() {
                    return refuse("a capability stands where none may");
                }
                if capability != b"object-format=sha1" {
                    return refuse("it leaves objects out, or is of a kind that is not read");
                }
            } else if let Some(need) = line.strip_prefix(b"-") {
                if !references.is_empty() {
                    return refuse("its lines are out of order");
                }
                let (id, rest) = need.split_at_checked(40).ok_or(NotABundle("a line is cut short"))?;
                if !rest.is_empty() && !rest.starts_with(b" ") {
                    return refuse("an id has more than 40 digits");
                }
                needs.push(id_of(id)?);
            } else if line.is_empty() {
                break;
            } else {
                let (id, rest) = line.split_at_checked(40).ok_or(NotABundle("a line is cut short"))?;
                let name = rest.strip_prefix(b" ").and_then(|name| core::str::from_utf8(name).ok());
                let name = name.filter(|name| *name == "HEAD" || is_reference(name));
                let name = name.ok_or(NotABundle("a reference has a name that is not read"))?;
                if references.insert(name.to_owned(), id_of(id)?).is_some() {
                    return refuse("a reference stands there twice");
                }
            }
            if needs.len() > MAX_LINES || references.len() > MAX_LINES {
                return refuse("it names more than 4,096 references or commits");
            }
        }
        let head = lines.rest.get(..12).ok_or(NotABundle("it has no pack"))?;
        let number = |at: usize| head.get(at..at + 4).map_or(0, |b| b.iter().fold(0, |n, b| n << 8 | u32::from(*b)));
        if !head.starts_with(b"PACK") || !matches!(number(4), 2 | 3) {
            return refuse("no pack of a known kind follows its head");
        }
        if number(8) > MAX_OBJECTS {
            return refuse("its pack holds more than 2,000,000 objects");
        }
        Ok(Self { needs, references, pack: lines.at })
    }
}

/// Lines, up to the most bytes.
struct Lines<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a [u8], NotABundle> {
        let within = self.rest.get(..MAX_HEAD.saturating_sub(self.at)).unwrap_or(self.rest);
        let end = within.iter().position(|b| *b == b'\n').ok_or(NotABundle("its head has no end within 1 MiB"))?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        self.at += end + 1;
        Ok(line)
    }
}

fn id_of(digits: &[u8]) -> Result<String, NotABundle> {
    let digit = |b: &u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
    match core::str::from_utf8(digits) {
        Ok(text) if digits.len() == 40 && digits.iter().all(digit) => Ok(text.to_owned()),
        _ => Err(NotABundle("an id is not 40 hexadecimal digits")),
    }
}

/// Whether `name` is the full name of a branch or tag that git takes, of visible ASCII.
pub fn is_reference(name: &str) -> bool {
    let inside = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
    let letter = |b: u8| b.is_ascii_graphic() && !b"~^:?*[\\".contains(&b);
    let part = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".lock");
    inside.is_some_and(|inside| {
        name.len() <= 255
            && inside.bytes().all(letter)
            && inside.split('/').all(part)
            && !inside.contains("..")
            && !inside.contains("@{")
            && !inside.ends_with('.')
            && inside != "@"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn bundle(head: &str) -> Vec<u8> {
        [head.as_bytes(), b"PACK\0\0\0\x02\0\0\0\x01rest"].concat()
    }

    #[test]
    fn bundles() {
        let whole = format!("# v2 git bundle\n-{ID} subject \u{1b}[2J\n-{ID}\n{ID} refs/heads/main\n{ID} HEAD\n\n");
        let read = Bundle::read(&bundle(&whole)).unwrap();
        assert_eq!((read.needs.len(), read.references.len(), read.pack), (2, 2, whole.len()));
        assert_eq!(read.references["refs/heads/main"], ID);
        let third = format!("# v3 git bundle\n@object-format=sha1\n{ID} refs/heads/trustroot/2026-11-22-x/bob\n\n");
        assert!(Bundle::read(&bundle(&third)).unwrap().needs.is_empty());
        assert!(is_bundle(third.as_bytes()) && !is_bundle(b"PACK"));
    }

    #[test]
    fn what_is_no_bundle() {
        let line = |line: &str| format!("# v2 git bundle\n{line}\n\n");
        let long = format!("# v2 git bundle\n-{ID} {}\n\n", "x".repeat(MAX_HEAD));
        for (bad, why) in [
            (String::new(), "end within"),
            ("# v4 git bundle\n\n".to_owned(), "begin like"),
            ("# v2 git bundle\n".to_owned(), "end within"),
            (line("@object-format=sha1"), "where none may"),
            (format!("# v3 git bundle\n@filter=blob:none\n{ID} HEAD\n\n"), "leaves objects out"),
            (format!("# v3 git bundle\n@object-format=sha256\n{ID} HEAD\n\n"), "kind that is not read"),
            (line(&format!("{ID} HEAD\n-{ID}")), "out of order"),
            (line(&format!("{ID} HEAD\n{ID} HEAD")), "twice"),
            (line("0123"), "cut short"),
            (line(&format!("-{ID}0")), "40 digits"),
            (line(&format!("{} HEAD", ID.to_uppercase())), "hexadecimal"),
            (line(&format!("{ID} refs/heads/../x")), "name that is not read"),
            (line(&format!("{ID} refs/trustroot/x")), "name that is not read"),
            (line(&format!("{ID}\trefs/heads/x")), "name that is not read"),
            (long, "end within"),
        ] {
            let said = Bundle::read(&bundle(&bad)).unwrap_err();
            assert!(said.0.contains(why), "{bad:.80}: {said}");
        }
        let empty = format!("# v2 git bundle\n{ID} HEAD\n\n");
        for (pack, why) in [
            (vec![], "no pack"),
            (b"PACK\0\0\0\x04\0\0\0\x01".to_vec(), "known kind"),
            (b"PACK\0\0\0\x02\xff\0\0\0".to_vec(), "2,000,000"),
        ] {
            let said = Bundle::read(&[empty.as_bytes(), &pack].concat()).unwrap_err();
            assert!(said.0.contains(why), "{said}");
        }
    }

    #[test]
    fn references() {
        for good in ["refs/heads/main", "refs/heads/trustroot/2026-11-22-x/bob", "refs/tags/v1.0", "refs/heads/a@b"] {
            assert!(is_reference(good), "{good}");
        }
        for bad in [
            "main",
            "refs/heads/",
            "refs/heads//x",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs/heads/x/-y",
            "refs/heads/a b",
            "refs/heads/a..b",
            "refs/heads/a@{1}",
            "refs/heads/@",
            "refs/heads/a.",
            "refs/heads/ä",
            "refs/remotes/x/y",
            "refs/heads/a\\b",
            "refs/heads/x*",
        ] {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
