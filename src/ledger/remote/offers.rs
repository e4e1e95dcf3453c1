//! Holders' branches as they were fetched, judged.

use std::collections::{BTreeMap, HashSet};

use git2::Oid;
use trustroot_core::branch::{self, ChangeKind, Offer, Place, judge};
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::signature::Portable;
use trustroot_core::text::Handle;
use trustroot_core::tree::{Entry, Tree};

use super::super::FETCHED;
use super::super::git::GitLedger;
use super::Source;
use crate::seams::{Ledger as _, LedgerError, Offered};

impl GitLedger {
    /// Every source that something was ever fetched from: remotes, bundles given now, and bundles of before.
    fn sources_ever(&self) -> Result<Vec<Source>, LedgerError> {
        let git = |error: git2::Error| self.reading.git(&error);
        let mut sources = self.all_sources();
        let given: HashSet<String> = sources.iter().map(Source::heads).collect();
        let mut earlier = HashSet::new();
        for reference in self.reading.repo.references().map_err(git)? {
            let reference = reference.map_err(git)?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let rest = name.strip_prefix(FETCHED).and_then(|rest| rest.strip_prefix("bundles/"));
            if let Some((stem, _)) = rest.and_then(|rest| rest.split_once("/heads/")) {
                let source = Source::Earlier(stem.to_owned());
                if !given.contains(&source.heads()) && earlier.insert(stem.to_owned()) {
                    sources.push(source);
                }
            }
        }
        Ok(sources)
    }

    /// The heads that a branch has at all sources, with the sources that have each.
    pub(super) fn heads_of(&self, branch: &str) -> Result<BTreeMap<Oid, Vec<String>>, LedgerError> {
        let mut heads: BTreeMap<Oid, Vec<String>> = BTreeMap::new();
        for source in self.sources_ever()? {
            if let Some(commit) = self.commit_at(&format!("{}{branch}", source.heads()))? {
                heads.entry(commit).or_default().push(source.shown());
            }
        }
        Ok(heads)
    }

    /// The holders' branches of the ceremony in `dir`, each judged over the files here and what the ones before it add.
    pub(super) fn offers(&self, dir: &str) -> Result<Vec<Offered>, LedgerError> {
        let mut branches: BTreeMap<Handle, BTreeMap<Oid, Vec<String>>> = BTreeMap::new();
        for source in self.sources_ever()? {
            for name in self.branches_below(&source.heads())? {
                let Some((_, handle)) = branch::of_name(&name).filter(|(of, _)| of == dir) else { continue };
                let Some(commit) = self.commit_at(&format!("{}{name}", source.heads()))? else { continue };
                branches.entry(handle).or_default().entry(commit).or_default().push(source.shown());
            }
        }
        let head = self.head()?;
        let tips: Vec<Oid> = self.reading.head_commit()?.iter().map(git2::Commit::id).collect();
        let known: HashSet<Oid> = self.reading.reached(&tips)?.into_iter().collect();
        let merged = self.merged_before(dir, &known)?;
        let mut tree = head.tree;
        let mut offers = Vec::new();
        for (handle, heads) in branches {
            for (commit, from) in &heads {
                // Two sources, of which one is behind.
                let newer = heads.keys().filter(|other| *other != commit);
                if newer.map(|other| self.contains(*other, *commit)).collect::<Result<Vec<_>, _>>()?.contains(&true) {
                    continue;
                }
                let before = merged.get(&handle).map(Vec::as_slice).unwrap_or_default();
                let (offer, judged) = match self.offer(dir, &handle, *commit, &known, before) {
                    Ok(offer) => {
                        let judged = judge(&tree, &offer, &Portable);
                        (offer, judged)
                    }
                    Err(error) => {
                        let name = branch::name(dir, &handle);
                        let what = format!("it cannot be read: {error}");
                        let finding = Finding::new(Level::Refused, Check::BranchForeign, name, what);
                        let offer = Offer {
                            handle: handle.clone(),
                            dir: dir.to_owned(),
                            commit: commit.to_string(),
                            tree: Tree::new(),
                            steps: Vec::new(),
                            lost: Vec::new(),
                        };
                        (offer, Err(vec![finding.hint(error.hint())]))
                    }
                };
                if let Ok(addition) = &judged {
                    let files = addition.files().iter();
                    tree.extend(files.map(|(path, bytes)| (path.clone(), Entry::File(bytes.clone()))));
                }
                offers.push(Offered { from: from.clone(), offer, judged });
            }
        }
        Ok(offers)
    }

    /// One branch as it is elsewhere.
    pub(super) fn offer(
        &self,
        dir: &str,
        handle: &Handle,
        commit: Oid,
        known: &HashSet<Oid>,
        merged: &[Oid],
    ) -> Result<Offer, LedgerError> {
        let steps = self.reading.steps(commit, known)?;
        let mut lost = Vec::new();
        if !steps.is_empty() {
            for before in merged {
                if !self.contains(commit, *before)? {
                    lost.push(before.to_string());
                }
            }
        }
        let tree = self.reading.at(&commit.to_string())?.tree;
        Ok(Offer { handle: handle.clone(), dir: dir.to_owned(), commit: commit.to_string(), tree, steps, lost })
    }

    /// The heads that were taken over before, by holder: what merges of this history name besides their first parent, and what
    /// adds an event of that holder.
    fn merged_before(&self, dir: &str, known: &HashSet<Oid>) -> Result<BTreeMap<Handle, Vec<Oid>>, LedgerError> {
        let mut merged: BTreeMap<Handle, Vec<Oid>> = BTreeMap::new();
        for id in known {
            let commit = self.reading.repo.find_commit(*id).map_err(|error| self.reading.git(&error))?;
            for parent in commit.parent_ids().skip(1).filter(|parent| known.contains(parent)) {
                let changes = self.reading.changes(parent)?;
                let added = changes.iter().filter(|change| change.kind == ChangeKind::Added);
                let mut author = added.filter_map(|change| match Place::of(dir, &change.path) {
                    Place::Event(author) => Some(author),
                    _ => None,
                });
                if let Some(author) = author.next_back() {
                    merged.entry(author).or_default().push(parent);
                }
            }
        }
        Ok(merged)
    }
}
