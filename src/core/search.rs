//! The search for the metadata that names a target (TUF 5.6.7), over delegations.
//!
//! Rules:
//! 1. Pre-order, depth first, in the order in which a file lists its delegations. A role is looked at once, however many
//!    delegate to it, so a circle ends.
//! 2. A delegation that is terminating and matches ends the search after the role and what it delegates to, whether or not
//!    the target is found there.
//! 3. A role is believed for a path only if every delegation on the way matches it, and only with the keys that the
//!    delegation which led there gives it.
//! 4. What cannot be had or does not verify ends the search: the caller hands in bytes or gives up; there is no way to go on
//!    without them.
//! 5. At most [`MAX_ROLES`] roles are looked at, of [`MAX_BYTES`] bytes together: each may delegate on, so all may have to
//!    be kept until the end.

use crate::check::Check;
use crate::metadata::Refusal;
use crate::metadata::targets::Target;
use crate::signature::Verifier;
use crate::text;
use crate::trusted::TrustedTargets;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most delegated roles that one search looks at.
pub const MAX_ROLES: usize = 1024;
/// The most bytes of all delegated roles that one search looks at: as many as one file may have.
pub const MAX_BYTES: usize = crate::json::MAX_BYTES;

/// A search for one target.
#[derive(Debug)]
pub struct Search {
    path: String,
    found: Option<(Target, TrustedTargets)>,
    visited: BTreeSet<String>,
    /// Roles still to be looked at, each with who delegates to it; the next one last.
    open: Vec<(TrustedTargets, String)>,
    /// How many bytes of delegated roles may still be looked at.
    left: usize,
}

/// What a search needs next.
#[derive(Debug)]
pub enum Next<'a> {
    /// The target, and the metadata that names it.
    Found(&'a Target, &'a TrustedTargets),
    /// The bytes of the metadata of this role; hand them to [`Search::answer`]. Foreign text.
    Role(&'a str),
    /// No role that is trusted for the path names it.
    Nothing,
}

impl Search {
    /// A search for `path` that begins at the top-level targets.
    pub fn new(top: &TrustedTargets, path: &str) -> Self {
        let mut search =
            Self { path: path.to_string(), found: None, visited: BTreeSet::new(), open: Vec::new(), left: MAX_BYTES };
        search.look(top);
        search
    }

    /// The same search, over at most so many bytes of delegated roles in place of [`MAX_BYTES`].
    #[must_use]
    pub fn of_at_most(mut self, bytes: usize) -> Self {
        self.left = bytes;
        self
    }

    /// What is needed next.
    ///
    /// # Errors
    /// `META-MISSING` when more than [`MAX_ROLES`] roles would be looked at.
    pub fn next(&self) -> Result<Next<'_>, Refusal> {
        if let Some((target, by)) = &self.found {
            return Ok(Next::Found(target, by));
        }
        let Some((_, role)) = self.open.last() else { return Ok(Next::Nothing) };
        if self.visited.len() >= MAX_ROLES {
            let what = format!("not found in {MAX_ROLES} delegated roles; the search ends here");
            return Err(Refusal::new(Check::MetaMissing, text::escape(&self.path), what));
        }
        Ok(Next::Role(role))
    }

    /// Who delegates to the role that is needed next, if one is.
    pub fn delegator(&self) -> Option<&TrustedTargets> {
        self.open.last().map(|(by, _)| by)
    }

    /// Takes the metadata of the role that [`Self::next`] asked for.
    ///
    /// # Errors
    /// What [`TrustedTargets::delegated`] refuses; the search can only be given up then, or answered with other bytes.
    /// `META-MISSING` when all roles together have more bytes than they may.
    pub fn answer(&mut self, bytes: &[u8], verifier: &dyn Verifier) -> Result<(), Refusal> {
        let Some((by, role)) = self.open.last() else { return Ok(()) };
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            let what = "not found in as many bytes of delegated roles as one search may take; it ends here";
            return Err(Refusal::new(Check::MetaMissing, text::escape(&self.path), what));
        };
        let targets = by.delegated(role, bytes, verifier)?;
        self.left = left;
        if let Some((_, role)) = self.open.pop() {
            self.visited.insert(role);
        }
        self.look(&targets);
        Ok(())
    }

    /// Looks at one file: is the target in it, and to whom does it delegate?
    fn look(&mut self, targets: &TrustedTargets) {
        let body = targets.metadata().body();
        if let Some(target) = body.targets().get(&self.path) {
            self.found = Some((target, targets.clone()));
            return;
        }
        let mut below = Vec::new();
        for (role, terminating) in body.delegations().map(|to| to.for_path(&self.path)).unwrap_or_default() {
            below.push((targets.clone(), role));
            if terminating {
                self.open.clear();
                break;
            }
        }
        below.reverse();
        self.open.append(&mut below);
        while self.open.last().is_some_and(|(_, role)| self.visited.contains(role)) {
            self.open.pop();
        }
    }
}
