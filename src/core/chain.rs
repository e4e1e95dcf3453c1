//! The chain of roots: who signed a root, and whether it follows its predecessor (TUF 5.3).
//!
//! Rules:
//! 1. A root is signed by a quorum of its own keys and, after the first, by a quorum of its predecessor's.
//! 2. Its version is its predecessor's plus one.
//! 3. A signature is looked up by key id in the root whose keys are asked about, among the ids of the role; what is counted
//!    is the public key found there. An id that names one key in one root and another in the next fools nobody.

use crate::check::Check;
use crate::key::PublicKey;
use crate::metadata::root::Root;
use crate::metadata::targets::Targets;
use crate::metadata::tufkey::TufKey;
use crate::metadata::{Metadata, Refusal, Role};
use crate::quorum::{QuorumMet, RoleKeys, Shortfall, quorum};
use crate::signature::{SignatureFault, Signed, Verifier};
use crate::text;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A root that follows another: proof that both quorums signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// By the predecessor's keys.
    pub by_old: QuorumMet,
    /// By its own keys.
    pub by_new: QuorumMet,
}

/// What became of one signature in a file.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The key id it is filed under; escaped.
    pub keyid: String,
    /// The proof, or why it does not count.
    pub result: Result<Signed, SignatureFault>,
}

/// The signatures of one file. However many roots are asked about them, each is checked once with each key that it is
/// filed under: a root and its predecessor mostly share their keys.
pub(crate) struct Signatures<'a, T> {
    file: &'a Metadata<T>,
    verifier: &'a dyn Verifier,
    /// By the place in the file, and the key.
    known: BTreeMap<(usize, &'a PublicKey), Result<Signed, SignatureFault>>,
}

impl<'a, T> Signatures<'a, T> {
    /// Those of `file`; nothing is checked yet.
    pub(crate) fn of(file: &'a Metadata<T>, verifier: &'a dyn Verifier) -> Self {
        Self { file, verifier, known: BTreeMap::new() }
    }

    /// Checks those that are filed under one of `keyids`, with the keys that these name among `keys`.
    pub(crate) fn by(&mut self, keyids: &[String], keys: &'a BTreeMap<String, TufKey>) -> Vec<Tried> {
        let ids: BTreeSet<&str> = keyids.iter().map(String::as_str).collect();
        let mut tried = Vec::new();
        for (place, signature) in self.file.signatures().iter().enumerate() {
            let Some(key) = keys.get(&signature.keyid).filter(|_| ids.contains(signature.keyid.as_str())) else {
                continue;
            };
            let Some(key) = key.public() else { continue };
            let check = || Signed::check(key, self.file.payload(), &signature.sig, self.verifier);
            let result = self.known.entry((place, key)).or_insert_with(check).clone();
            tried.push(Tried { keyid: text::escape(&signature.keyid), result });
        }
        tried
    }

    /// As [`Self::by`], with the keys that `root` gives to `role`.
    pub(crate) fn by_role(&mut self, root: &'a Root, role: Role) -> Vec<Tried> {
        self.by(&root.role(role).keyids, root.keys())
    }

    /// That a quorum of `role`, as `root` has it, is among them.
    fn quorum(&mut self, root: &'a Metadata<Root>, role: Role, check: Check) -> Result<QuorumMet, Refusal> {
        let keys = role_keys(root, role)?;
        let signed = held(&self.by_role(root.body(), role));
        let whose = format!("the role {role} in version {} of the root", root.version());
        quorum(keys, self.file.payload(), &signed).map_err(|short| shortfall(self.file.name(), check, &whose, &short))
    }
}

/// The signatures that hold.
pub(crate) fn held(tried: &[Tried]) -> Vec<Signed> {
    tried.iter().filter_map(|one| one.result.clone().ok()).collect()
}

/// The keys of a role, if its quorum can be met at all.
///
/// # Errors
/// `ROLE-THRESHOLD`, about the root.
pub fn role_keys(root: &Metadata<Root>, role: Role) -> Result<&RoleKeys, Refusal> {
    root.body().role(role).keys.as_ref().map_err(|fault| {
        Refusal::new(Check::RoleThreshold, root.name().to_string(), format!("the role {role} has {fault}"))
    })
}

/// That a quorum of `role`, as `root` has it, signed `file`.
///
/// # Errors
/// `ROLE-THRESHOLD` if the role has none, else `check` with who is missing.
pub fn signed_by<T>(
    root: &Metadata<Root>,
    role: Role,
    file: &Metadata<T>,
    check: Check,
    verifier: &dyn Verifier,
) -> Result<QuorumMet, Refusal> {
    Signatures::of(file, verifier).quorum(root, role, check)
}

/// Whether one of the keys that `root` gives to `role` signed `file`, however many have to.
pub(crate) fn signed_by_one<T>(root: &Metadata<Root>, role: Role, file: &Metadata<T>, verifier: &dyn Verifier) -> bool {
    Signatures::of(file, verifier).by_role(root.body(), role).iter().any(|tried| tried.result.is_ok())
}

/// That a quorum of the role called `role`, as the targets `from` delegate to it, signed `file` (TUF 5.6.7).
///
/// # Errors
/// `META-MISSING` if nothing is delegated to that role, `ROLE-THRESHOLD` if its quorum cannot be met at all, `META-QUORUM`.
pub fn signed_by_delegate(
    from: &Metadata<Targets>,
    role: &str,
    file: &Metadata<Targets>,
    verifier: &dyn Verifier,
) -> Result<QuorumMet, Refusal> {
    let subject = || text::escape(&format!("{role}.json"));
    let delegations = from.body().delegations();
    let Some((delegations, keyed)) = delegations.and_then(|all| Some((all, all.role(role)?))) else {
        return Err(not_delegated(from, role));
    };
    let keys = keyed
        .keys
        .as_ref()
        .map_err(|fault| Refusal::new(Check::RoleThreshold, subject(), format!("its delegation has {fault}")))?;
    let tried = Signatures::of(file, verifier).by(&keyed.keyids, &delegations.keys);
    quorum(keys, file.payload(), &held(&tried))
        .map_err(|short| shortfall(file.name(), Check::MetaQuorum, "its delegation", &short))
}

/// `META-MISSING`: `from` delegates nothing to the role called `role`.
pub(crate) fn not_delegated(from: &Metadata<Targets>, role: &str) -> Refusal {
    let what = format!("nothing is delegated to this role by {}", from.name());
    Refusal::new(Check::MetaMissing, text::escape(&format!("{role}.json")), what)
}

/// A shortfall in words.
pub(crate) fn shortfall(subject: &str, check: Check, whose: &str, short: &Shortfall) -> Refusal {
    let mut missing: Vec<String> = short.missing.iter().map(|key| key.fingerprint().short()).take(8).collect();
    if short.missing.len() > missing.len() {
        missing.push("others".to_string());
    }
    let what = format!(
        "{} of the {} different keys needed by {whose} have signed; not signed have {}",
        short.have.len(),
        short.need,
        missing.join(", ")
    );
    Refusal::new(check, subject.to_string(), what)
        .hint("if signatures are still being collected, wait for them; else do not use this file")
}

/// That a root is signed by a quorum of its own keys: all that can be asked of the first.
///
/// # Errors
/// `ROOT-QUORUM`.
pub fn own_quorum(root: &Metadata<Root>, verifier: &dyn Verifier) -> Result<QuorumMet, Refusal> {
    signed_by(root, Role::Root, root, Check::RootQuorum, verifier)
}

/// That `new` follows `old` (TUF 5.3.4, 5.3.5).
///
/// # Errors
/// `ROOT-QUORUM-OLD`, `ROOT-QUORUM` and `ROOT-VERSION`, in this order.
pub fn follows(old: &Metadata<Root>, new: &Metadata<Root>, verifier: &dyn Verifier) -> Result<Step, Refusal> {
    // 5.3.4: "signed by: (1) a threshold of keys specified in the trusted root metadata file (version N), and (2) a
    // threshold of keys specified in the new root metadata file being validated (version N+1)".
    let mut signatures = Signatures::of(new, verifier);
    let by_old = signatures.quorum(old, Role::Root, Check::RootQuorumOld)?;
    let by_new = signatures.quorum(new, Role::Root, Check::RootQuorum)?;
    next_version(old, new)?;
    Ok(Step { by_old, by_new })
}

/// 5.3.5: "The version number of the latest root metadata file (version N+1) MUST be exactly equal to the version number
/// of the trusted root metadata file (version N) incremented by one."
pub(crate) fn next_version(old: &Metadata<Root>, new: &Metadata<Root>) -> Result<(), Refusal> {
    if old.version().checked_add(1) == Some(new.version()) {
        return Ok(());
    }
    let what = format!("version {} cannot follow version {}", new.version(), old.version());
    Err(Refusal::new(Check::RootVersion, new.name().to_string(), what))
}
