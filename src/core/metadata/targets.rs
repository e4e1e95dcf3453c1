//! Targets metadata (TUF 4.5): files, and who else may name files.

use super::fields::{Hashes, Notes, boolean, number, object, text, texts};
use super::tufkey::{KeyedRole, TufKey, read_keys};
use super::{Body, Refusal};
use crate::check::Check;
use crate::digest::Digest;
use crate::json::{Members, Value};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The fields of targets metadata, top-level or delegated.
#[derive(Clone, Debug)]
pub struct Targets {
    signed: Arc<Value>,
    delegations: Option<Delegations>,
}

/// The files of targets metadata by their paths, in order. A view: there may be a hundred thousand, each of which was read
/// and found good before, and few are ever asked for.
#[derive(Clone, Copy, Debug)]
pub struct TargetFiles<'a>(Option<&'a Members>);

/// A file that clients may download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The length in bytes.
    pub length: u64,
    /// The hashes.
    pub hashes: Hashes,
    /// What the application keeps beside it, as it was read.
    pub custom: Option<Value>,
}

/// Who else may name files.
#[derive(Clone, Debug)]
pub struct Delegations {
    /// The keys of the delegated roles, by key id.
    pub keys: BTreeMap<String, TufKey>,
    /// To whom.
    pub to: Delegates,
}

/// The two ways to delegate.
#[derive(Clone, Debug)]
pub enum Delegates {
    /// Roles in order of priority.
    Roles(Vec<DelegatedRole>),
    /// Hash bins with common keys (TAP 15).
    Succinct(SuccinctRoles),
}

/// One delegated role.
#[derive(Clone, Debug)]
pub struct DelegatedRole {
    /// The name. Foreign text; in file names it is percent-encoded.
    pub name: String,
    /// Its keys and threshold.
    pub role: KeyedRole,
    /// Which files it is trusted for.
    pub paths: Paths,
    /// Whether the search ends here for files that match.
    pub terminating: bool,
}

/// Which files a role is trusted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paths {
    /// Shell patterns: `*` and `?`, neither of which matches `/`.
    Patterns(Vec<String>),
    /// Beginnings of the hexadecimal SHA-256 of the target's path.
    HashPrefixes(Vec<String>),
}

/// Hash bins that share keys and a threshold.
#[derive(Clone, Debug)]
pub struct SuccinctRoles {
    /// The keys and the threshold.
    pub role: KeyedRole,
    /// How many bits of the hash choose the bin: 1 to 32.
    pub bit_length: u32,
    /// What the names of the bins begin with.
    pub name_prefix: String,
}

impl Body for Targets {
    const TYPE: &'static str = "targets";
    const MOST: usize = crate::json::MAX_BYTES;

    fn read(signed: &Arc<Value>, notes: &mut Notes) -> Result<Self, Refusal> {
        for value in object(signed, "targets", notes)?.values() {
            Target::read(value, notes)?;
        }
        let delegations = signed.get("delegations").map(|of| Delegations::read(of, notes)).transpose()?;
        Ok(Self { signed: Arc::clone(signed), delegations })
    }
}

impl Targets {
    /// The files by their path.
    pub fn targets(&self) -> TargetFiles<'_> {
        TargetFiles(self.signed.get("targets").and_then(Value::as_obj))
    }

    /// The delegations, if there are any.
    pub fn delegations(&self) -> Option<&Delegations> {
        self.delegations.as_ref()
    }
}

impl<'a> TargetFiles<'a> {
    /// No files.
    pub const NONE: Self = Self(None);

    /// The file at `path`.
    pub fn get(self, path: &str) -> Option<Target> {
        Target::read(self.0?.get(path)?, &Notes::new("")).ok()
    }

    /// Whether there is a file at `path`.
    pub fn contains(self, path: &str) -> bool {
        self.0.is_some_and(|members| members.contains_key(path))
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.0.map_or(0, Members::len)
    }

    /// Their paths. Foreign text.
    pub fn paths(self) -> impl Iterator<Item = &'a str> {
        self.0.into_iter().flat_map(|members| members.keys().map(String::as_str))
    }

    /// Each path, which is foreign text, with its file.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Target)> {
        let notes = Notes::new("");
        let members = self.0.into_iter().flat_map(Members::iter);
        members.filter_map(move |(path, value)| Some((path.as_str(), Target::read(value, &notes).ok()?)))
    }
}

impl Target {
    /// What there is to say of the file `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, hashes: Hashes::sha256(Digest::of(bytes)), custom: None }
    }

    fn read(of: &Value, notes: &Notes) -> Result<Self, Refusal> {
        let custom = of.get("custom").cloned();
        Ok(Self { length: number(of, "length", notes)?, hashes: Hashes::read(of, notes)?, custom })
    }

    /// Whether `bytes` are the file.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.length == bytes.len() as u64 && self.hashes.matches(bytes)
    }

    /// The object as it is written.
    pub fn to_value(&self) -> Value {
        let mut members = BTreeMap::from([
            ("length".to_string(), Value::from(self.length)),
            ("hashes".to_string(), self.hashes.to_value()),
        ]);
        members.extend(self.custom.clone().map(|custom| ("custom".to_string(), custom)));
        members.into()
    }
}

impl Delegations {
    fn read(of: &Value, notes: &mut Notes) -> Result<Self, Refusal> {
        let keys = read_keys(of, None, notes)?;
        let to = match (of.get("roles"), of.get("succinct_roles")) {
            (Some(roles), None) => {
                let items = roles.as_arr().ok_or_else(|| notes.refusal(Check::MetaForm, "`roles` is not an array"))?;
                let mut names = BTreeSet::new();
                let mut read = Vec::new();
                for item in items {
                    let role = DelegatedRole::read(item, &keys, notes)?;
                    // TUF 4.5: a name is unique among one file's delegations, and is no top-level role.
                    let top = super::Role::ALL.iter().any(|top| top.name() == role.name);
                    if top || role.name.is_empty() || !names.insert(role.name.clone()) {
                        let what = "a delegated role has no name, another role's, or that of a top-level role";
                        return Err(notes.refusal(Check::MetaForm, what));
                    }
                    read.push(role);
                }
                Delegates::Roles(read)
            }
            (None, Some(succinct)) => Delegates::Succinct(SuccinctRoles::read(succinct, &keys, notes)?),
            _ => {
                let what = "`delegations` has to have one of `roles` and `succinct_roles`";
                return Err(notes.refusal(Check::MetaForm, what));
            }
        };
        Ok(Self { keys, to })
    }

    /// The keys of the delegated role called `name`.
    pub fn role(&self, name: &str) -> Option<&KeyedRole> {
        match &self.to {
            Delegates::Roles(roles) => roles.iter().find(|role| role.name == name).map(|role| &role.role),
            Delegates::Succinct(bins) => bins.has(name).then_some(&bins.role),
        }
    }

    /// The roles to ask for the file at `path`, in order, each with whether the search ends there (TUF 5.6.7.1).
    pub fn for_path(&self, path: &str) -> Vec<(String, bool)> {
        match &self.to {
            Delegates::Roles(roles) => {
                let matching = roles.iter().filter(|role| role.paths.matches(path));
                matching.map(|role| (role.name.clone(), role.terminating)).collect()
            }
            Delegates::Succinct(bins) => alloc::vec![(bins.bin(path), true)],
        }
    }
}

impl DelegatedRole {
    fn read(of: &Value, keys: &BTreeMap<String, TufKey>, notes: &mut Notes) -> Result<Self, Refusal> {
        let name = text(of, "name", notes)?.to_string();
        let role = KeyedRole::read(of, &name, keys, notes)?;
        let paths = match (of.get("paths"), of.get("path_hash_prefixes")) {
            (Some(_), None) => Paths::Patterns(texts(of, "paths", notes)?),
            (None, Some(_)) => Paths::HashPrefixes(texts(of, "path_hash_prefixes", notes)?),
            _ => {
                let what = "a delegated role has to have one of `paths` and `path_hash_prefixes`";
                return Err(notes.refusal(Check::MetaForm, what));
            }
        };
        Ok(Self { name, role, paths, terminating: boolean(of, "terminating", notes)? })
    }
}

impl Paths {
    /// Whether the role is trusted for the file at `path`.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Patterns(patterns) => patterns.iter().any(|pattern| glob(pattern, path)),
            Self::HashPrefixes(prefixes) => {
                let hash = Digest::of(path.as_bytes()).to_string();
                prefixes.iter().any(|prefix| hash.starts_with(prefix.as_str()))
            }
        }
    }
}

impl SuccinctRoles {
    fn read(of: &Value, keys: &BTreeMap<String, TufKey>, notes: &mut Notes) -> Result<Self, Refusal> {
        let name_prefix = text(of, "name_prefix", notes)?.to_string();
        let role = KeyedRole::read(of, &name_prefix, keys, notes)?;
        let bit_length = u32::try_from(number(of, "bit_length", notes)?).ok().filter(|bits| (1..=32).contains(bits));
        let bit_length =
            bit_length.ok_or_else(|| notes.refusal(Check::MetaForm, "the field `bit_length` is not 1 to 32"))?;
        Ok(Self { role, bit_length, name_prefix })
    }

    /// The name of the bin for the file at `path`.
    pub fn bin(&self, path: &str) -> String {
        let hash = Digest::of(path.as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        let number = u32::from_be_bytes([a, b, c, d]) >> (32 - self.bit_length);
        format!("{}-{number:0width$x}", self.name_prefix, width = self.width())
    }

    /// Whether `name` is that of a bin.
    pub fn has(&self, name: &str) -> bool {
        let digits = name.strip_prefix(self.name_prefix.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let well_formed =
            |d: &&str| d.len() == self.width() && d.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let number = digits.filter(well_formed).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.is_some_and(|number| number < 1 << self.bit_length)
    }

    /// How many hexadecimal digits the largest bin's number has.
    fn width(&self) -> usize {
        self.bit_length.div_ceil(4) as usize
    }
}

/// Whether a shell pattern matches a path; `*` and `?` do not match `/` (TUF 4.5). Time is linear in the product of the
/// lengths.
fn glob(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on if the last `*` has to take one character more.
    let mut star: Option<(usize, usize)> = None;
    while t < path.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some('?') if path[t] != '/' => {}
            Some(c) if *c == path[t] && *c != '?' => {}
            _ => match star {
                Some((after, taken)) if path[taken] != '/' => {
                    star = Some((after, taken + 1));
                    (p, t) = (after, taken + 1);
                    continue;
                }
                _ => return false,
            },
        }
        p += 1;
        t += 1;
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path) in
            [("*", "a"), ("a/*.txt", "a/b.txt"), ("a?c", "abc"), ("*/*", "x/y"), ("**", "ab"), ("a*b*c", "a1b2b3c")]
        {
            assert!(glob(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("*", "a/b"), ("a?c", "a/c"), ("*.txt", "a.txt.exe"), ("", "a"), ("?", ""), ("a*", "ba")]
        {
            assert!(!glob(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        assert!(!glob(&"*a".repeat(1000), &"a".repeat(999)));
    }

    #[test]
    fn bins() {
        let keys = BTreeMap::new();
        let of = crate::json::parse(br#"{"keyids":[],"threshold":1,"bit_length":5,"name_prefix":"bin"}"#).unwrap();
        let bins = SuccinctRoles::read(&of, &keys, &mut Notes::new("x")).unwrap();
        // The SHA-256 of nothing begins with e3: the upper five bits are 1c.
        assert_eq!(bins.bin(""), "bin-1c");
        assert!(bins.has("bin-1f") && bins.has("bin-00"));
        for other in ["bin-20", "bin-1F", "bin-1", "bin-001", "bin", "bin-+1", "nib-01"] {
            assert!(!bins.has(other), "{other}");
        }
    }
}
