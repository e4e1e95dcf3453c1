//! The root that a ceremony continues: found in `root/` by the payload digests that the plan names, so that nothing but
//! those very payloads can stand in for it. Signatures that were added to the files later change nothing here.

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::json::Value;
use crate::key::PublicKey;
use crate::metadata::root::Root;
use crate::metadata::targets::Targets;
use crate::metadata::{Metadata, Role};
use crate::plan::{Follows, Plan};
use crate::proposal::HOLDERS;
use crate::serial::Serial;
use crate::tree::{Entry, Tree};
use crate::verify::roots::root_number;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The root that is continued, and the targets whose files carry over.
#[derive(Clone, Debug)]
pub struct Predecessor {
    /// The root.
    pub root: Metadata<Root>,
    /// The targets, if there are any.
    pub targets: Option<Metadata<Targets>>,
}

/// What the root says of a person behind a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The short name. Foreign text.
    pub handle: Option<String>,
    /// The name in full. Foreign text.
    pub name: Option<String>,
    /// The organisation. Foreign text.
    pub organisation: Option<String>,
    /// The country. Foreign text.
    pub country: Option<String>,
    /// The serial number of the token.
    pub serial: Option<Serial>,
}

impl Predecessor {
    /// The newest root in `root/`, and the newest targets there; nothing if there is no root that can be read.
    pub fn newest(tree: &Tree) -> Option<Self> {
        let number = tree.keys().filter_map(|path| root_number(path.strip_prefix("root/")?)).max()?;
        let path = format!("root/{number}.root.json");
        let root = Metadata::parse(&path, tree.get(&path)?.bytes()?).ok()?;
        let targets = newest(tree, "targets").and_then(|(_, path)| {
            let bytes = tree.get(&path)?.bytes()?;
            Metadata::parse(&path, bytes).ok()
        });
        Some(Self { root, targets })
    }

    /// What a proposed root of this version follows: the root with the version before it, and the newest targets.
    pub fn of_version(version: u64, tree: &Tree) -> Option<Self> {
        let path = format!("root/{}.root.json", version.checked_sub(1)?);
        let root = Metadata::parse(&path, tree.get(&path)?.bytes()?).ok()?;
        let targets = Self::newest(tree).and_then(|newest| newest.targets);
        Some(Self { root, targets })
    }

    /// What the plan follows; nothing for a genesis.
    ///
    /// # Errors
    /// `PLAN-FOLLOWS` if `root/` does not hold it.
    pub fn of(plan: &Plan, tree: &Tree) -> Result<Option<Self>, Finding> {
        let Some(follows) = &plan.follows else { return Ok(None) };
        let missing = |what: String| {
            let finding = Finding::new(Level::Refused, Check::PlanFollows, "follows", what);
            finding.hint("the plan is for another trust root, or for another version; look at root/ with `git log`")
        };
        let path = format!("root/{}.root.json", follows.version);
        let read = tree.get(&path).and_then(Entry::bytes).and_then(|bytes| Metadata::<Root>::parse(&path, bytes).ok());
        let root = read.filter(|root| root.payload().digest() == follows.root && root.version() == follows.version);
        let root =
            root.ok_or_else(|| missing(format!("{path} is not the root with payload digest {}", follows.root)))?;
        let Some(digest) = follows.targets else { return Ok(Some(Self { root, targets: None })) };
        let named = tree.iter().filter(|(path, _)| path.starts_with("root/") && path.ends_with(".targets.json"));
        let mut read = named.filter_map(|(path, entry)| Metadata::<Targets>::parse(path, entry.bytes()?).ok());
        let targets = read.find(|targets| targets.payload().digest() == digest);
        let targets =
            targets.ok_or_else(|| missing(format!("no targets in root/ have the payload digest {digest}")))?;
        Ok(Some(Self { root, targets: Some(targets) }))
    }

    /// How a plan names it.
    pub fn follows(&self) -> Follows {
        Follows {
            version: self.root.version(),
            root: self.root.payload().digest(),
            targets: self.targets.as_ref().map(|targets| targets.payload().digest()),
            elsewhere: None,
        }
    }

    /// The key with this fingerprint, among those of the role root.
    pub fn root_key(&self, fingerprint: Digest) -> Option<&PublicKey> {
        self.keys(Role::Root).into_iter().find(|key| key.fingerprint() == fingerprint)
    }

    /// The different usable keys of a role.
    pub fn keys(&self, role: Role) -> BTreeSet<&PublicKey> {
        let body = self.root.body();
        body.role(role).keyids.iter().filter_map(|id| body.keys().get(id)?.public()).collect()
    }

    /// How many of them must sign. 0 never gets here: such a role is refused when it is read.
    pub fn threshold(&self, role: Role) -> usize {
        usize::try_from(self.root.body().role(role).threshold).unwrap_or(usize::MAX)
    }

    /// The key ids under which the role names `key`: what a client that stands at this root looks signatures up by. An old
    /// root may name a key in an old form, and so by another id than the new root does.
    pub fn key_ids(&self, role: Role, key: &PublicKey) -> Vec<String> {
        let body = self.root.body();
        let ids = body.role(role).keyids.iter();
        ids.filter(|id| body.keys().get(*id).and_then(|found| found.public()) == Some(key)).cloned().collect()
    }

    /// Whether one online key signs the role alone, and none of the holders' does: what an online role of ours is.
    pub fn is_online(&self, role: Role) -> bool {
        let keys = self.keys(role);
        keys.len() == 1 && self.threshold(role) == 1 && keys.is_disjoint(&self.keys(Role::Root))
    }

    /// Whom tuf-on-ci names for the key with one of these ids.
    fn owner(&self, ids: &[String]) -> Known {
        let keys = self.root.body().keys();
        let named = ids.iter().find_map(|id| keys.get(id)?.value().get(KEYOWNER).and_then(Value::as_str));
        let Some(owner) = named else { return Known::default() };
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let handle: String = owner.trim_start_matches('@').chars().map(plain).collect();
        Known { handle: Some(handle), name: Some(owner.to_string()), ..Known::default() }
    }

    /// What the root says of the person behind `key`; nothing where another program made it and has no form for it.
    pub fn known(&self, key: &PublicKey) -> Known {
        let ids = self.key_ids(Role::Root, key);
        let people = self.root.signed().get(HOLDERS).and_then(Value::as_arr).unwrap_or_default();
        let named = |person: &&Value| {
            person.get("keyid").and_then(Value::as_str).is_some_and(|id| ids.iter().any(|own| own == id))
        };
        let Some(person) = people.iter().find(named) else { return self.owner(&ids) };
        let text = |name: &str| person.get(name).and_then(Value::as_str).map(ToString::to_string);
        let serial = person.get("serial").and_then(Serial::from_value);
        Known {
            handle: text("handle"),
            name: text("name"),
            organisation: text("organisation"),
            country: text("country"),
            serial,
        }
    }
}

/// Where tuf-on-ci names the holder: inside the key object, as a name on a forge such as `@alice`.
const KEYOWNER: &str = "x-tuf-on-ci-keyowner";

/// The newest numbered metadata of `role` in `root/`: its number and its path.
pub fn newest(tree: &Tree, role: &str) -> Option<(u64, String)> {
    let number = |path: &String| {
        let digits = path.strip_prefix("root/")?.strip_suffix(".json")?.strip_suffix(role)?.strip_suffix('.')?;
        digits.parse::<u64>().ok().filter(|number| number.to_string() == digits)
    };
    tree.keys().filter_map(|path| Some((number(path)?, path.clone()))).max()
}
