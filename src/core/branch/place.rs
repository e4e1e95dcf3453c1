//! Where a file of a record lies, and so whose it is.
//!
//! Rules:
//! 1. A path is taken apart from its ends: handles may hold `-`, so a folder of keys is a name, a `-`, and 16 digits.
//! 2. What is not exactly a file that a record has is [`Place::Elsewhere`]: nothing is guessed.

use crate::digest::Digest;
use crate::sigfile::SignedRole;
use crate::slot::Slot;
use crate::text::Handle;
use alloc::string::ToString as _;

/// The files about a key, its attestation aside, which is named for its slot.
const KEY_FILES: [&str; 3] = ["public.pem", "f9-intermediate.pem", "claim.json"];
/// How many digits the short form of a digest has.
const SHORT: usize = 16;

/// A place in the record of one ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// An event of this author.
    Event(Handle),
    /// The SSH signature of an event of this author.
    EventSignature(Handle),
    /// A file about a key: whose, and the fingerprint in short form.
    Key(Handle, &'a str),
    /// A payload, by the role and digest that its folder is named for.
    Payload(SignedRole, Digest),
    /// A signature: the role and digest that its folder is named for, and the fingerprint of its key in short form.
    Signature(SignedRole, Digest, &'a str),
    /// Anything else in the repository.
    Elsewhere,
}

impl<'a> Place<'a> {
    /// The place of `path`, from the top of the repository, in the record at `dir`.
    pub fn of(dir: &str, path: &'a str) -> Self {
        let inside = path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/'));
        inside.and_then(Self::inside).unwrap_or(Self::Elsewhere)
    }

    fn inside(path: &'a str) -> Option<Self> {
        let (top, rest) = path.split_once('/')?;
        let (folder, file) = rest.split_once('/')?;
        match top {
            "log" => {
                let author = Handle::new(folder).ok()?;
                if let Some(event) = file.strip_suffix(".sig") {
                    return is_event(event).then_some(Self::EventSignature(author));
                }
                is_event(file).then_some(Self::Event(author))
            }
            "keys" => {
                let (name, short) = named(folder)?;
                let is_one = KEY_FILES.contains(&file) || Slot::of_attestation_file(file).is_some();
                is_one.then_some(Self::Key(name, short))
            }
            "signatures" => {
                let (role, digest) = folder.split_once('-')?;
                let role = match role {
                    "root" => SignedRole::Root,
                    "targets" => SignedRole::Targets,
                    _ => return None,
                };
                let digest = Digest::from_hex(digest).ok().filter(|read| read.to_string() == digest)?;
                if file == "payload.json" {
                    return Some(Self::Payload(role, digest));
                }
                let (key, own) = file.strip_suffix(".json")?.split_once('-')?;
                (is_short(key) && is_short(own)).then_some(Self::Signature(role, digest, key))
            }
            _ => None,
        }
    }
}

/// Whose key, and its short fingerprint, from the name of a folder of keys.
pub(super) fn named(folder: &str) -> Option<(Handle, &str)> {
    let at = folder.len().checked_sub(SHORT)?;
    let (name, short) = (folder.get(..at)?, folder.get(at..)?);
    let name = Handle::new(name.strip_suffix('-')?).ok()?;
    is_short(short).then_some((name, short))
}

fn is_short(text: &str) -> bool {
    text.len() == SHORT && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

/// `<n, four digits>-<step>-<digest, short>.json`. That the content belongs there is for the reader of records.
fn is_event(file: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let parts = || {
        let (number, rest) = file.strip_suffix(".json")?.split_once('-')?;
        let (step, digest) = rest.rsplit_once('-')?;
        let counted = (4..=10).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let said = !step.is_empty() && step.len() <= 80 && step.bytes().all(letter);
        Some(counted && said && is_short(digest))
    };
    parts().unwrap_or(false)
}
