//! Reading the whole history of a repository that others made.
//!
//! Rules:
//! 1. Every commit that a reference, the log of a reference or a detached `HEAD` reaches is walked, once. Its tree is compared
//!    with the one before it ([`Scan`]). A tree or a file that a reference names by itself is looked through for roots, and so is
//!    a commit that nothing but the log of a branch of this clone's own names: what its owner tried and took back was never
//!    published, but a root that a quorum signed stays one.
//! 2. An object's header is looked at before the object is loaded, and what is loaded is checked against its id. Commits have
//!    a limit each, and all of them together; what goes beyond ends in a refusal.
//! 3. Objects that replace others (`refs/replace`) are not heeded, nor what git keeps besides to be faster (`commit-graph`,
//!    tags followed in `packed-refs`): all of it comes with a prepared clone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};

use git2::{ErrorCode, ObjectType, Odb, Oid, ReferenceType};
use trustroot_core::git::{self, ObjectId};
use trustroot_core::text;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{Back, Holder, Moment, Move, Past, Stray};

use super::read::{MAX_COMMITS, Reading};
use super::scan::{Hidden, Scan};
use super::{FETCHED, object_id, oid, shown};
use crate::seams::LedgerError;

/// The most bytes of a commit, message included.
const MAX_COMMIT: usize = 1 << 20;
/// The most parents of all commits together.
const MAX_PARENTS: usize = 10_000_000;
/// The most commits that are looked at to follow the logs of references.
const MAX_STEPS: usize = 50_000_000;
/// By how many seconds honest clocks may differ.
const CLOCKS: i64 = 3600;
/// The most entries of the log of one reference that are looked at, the newest first.
const MAX_LOG: usize = 2000;

impl Reading {
    /// What git remembers, up to `until` where a time is given: later commits are left out. `watch` is told how many
    /// commits were read, and of how many.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Damaged`] if objects are missing.
    pub fn whole_history(
        &self,
        until: Option<Timestamp>,
        mut watch: impl FnMut(usize, usize),
    ) -> Result<Past, LedgerError> {
        let odb = self.repo.odb().map_err(|error| self.git(&error))?;
        let mut walk = Walk {
            reading: self,
            odb: &odb,
            commits: Vec::new(),
            places: HashMap::new(),
            parents: 0,
            ranks: Vec::new(),
            steps: 0,
        };
        let Named { tips, others, left, own, moves } = self.all_named(&odb)?;
        let references = tips.len() + others.len();
        for tip in tips.values().chain(&left) {
            walk.from(*tip)?;
        }
        let head = self.head_commit()?.map(|head| head.id());
        if let Some(head) = head {
            walk.from(head)?;
        }
        let line = walk.line(head, until);
        // What only the logs of this clone's own branches name was nobody's but its owner's.
        let public = walk.commits.len();
        for tip in &own {
            walk.from(*tip)?;
        }
        let order = walk.order()?;
        walk.ranks = vec![0; order.len()];
        order.iter().enumerate().for_each(|(rank, number)| walk.ranks[*number] = rank);

        let mut past = Past {
            head: line.first().map(|newest| walk.commits[*newest].id.to_string()).unwrap_or_default(),
            references,
            cut: self.is_shallow(),
            replaced: self.has_replacements(),
            ..Past::default()
        };
        let on_line: HashSet<usize> = line.iter().copied().collect();
        past.line = line.len();
        past.back = walk.back(&line);
        let mut scan = Scan::new(self, &odb);
        // By commit: the newest moment that it or its first parents are, and the tree that the next changes are against.
        let mut bases: HashMap<usize, Base> = HashMap::new();
        let all = order.len();
        for number in order {
            let commit = &walk.commits[number];
            let base = commit.parents.first().and_then(|parent| bases.get(parent)).copied().unwrap_or_default();
            if until.is_some_and(|until| commit.time > until) {
                past.later += usize::from(number < public);
                bases.insert(number, base);
                continue;
            }
            past.commits += usize::from(number < public);
            watch(past.commits + past.later, all);
            let (mut changes, mut hidden) = scan.changes(base.tree, commit.tree)?;
            if number >= public {
                hidden.extend(scan.roots(&std::mem::take(&mut changes)));
            }
            past.strays.extend(hidden.into_iter().map(|Hidden { path, blob }| Stray {
                holder: Holder::Commit,
                id: commit.id.to_string(),
                time: commit.time,
                path,
                blob,
            }));
            let mut base = Base { tree: Some(commit.tree), ..base };
            if !changes.is_empty() {
                past.moments.push(Moment {
                    commit: commit.id.to_string(),
                    time: commit.time,
                    on_line: on_line.contains(&number),
                    before: base.moment,
                    changes,
                });
                base.moment = Some(past.moments.len() - 1);
            }
            bases.insert(number, base);
        }
        for (name, (id, kind)) in others {
            let id = object_id(id).ok_or_else(|| self.damaged(format!("{id} is the id of no object")))?;
            past.strays.extend(scan.strays(&name, id, kind)?);
        }
        past.unread = scan.unread();
        (past.folders, past.names, past.blobs) = scan.done();
        for (told, from, to) in moves {
            let follows = walk.reaches(to, from)?;
            if !follows && until.is_none_or(|until| told.time <= until) {
                past.moves.push(told);
            }
        }
        Ok(past)
    }

    /// The paths of the newest commit that a trust root of ours has.
    ///
    /// # Errors
    /// [`LedgerError::Limit`], or [`LedgerError::Io`] if objects are missing.
    pub fn top_paths(&self) -> Result<Vec<String>, LedgerError> {
        match self.head_commit()? {
            Some(commit) => Ok(self.names(&commit)?.into_keys().collect()),
            None => Ok(Vec::new()),
        }
    }

    /// What references and their logs name.
    fn all_named(&self, odb: &Odb<'_>) -> Result<Named, LedgerError> {
        let git = |error: git2::Error| self.git(&error);
        let mut all = Named::default();
        for reference in self.repo.references().map_err(git)? {
            let reference = reference.map_err(git)?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if name.starts_with(FETCHED) {
                continue;
            }
            match self.named(odb, &reference)? {
                Some((id, ObjectType::Commit)) => drop(all.tips.insert(name.clone(), id)),
                Some(other) => drop(all.others.insert(name.clone(), other)),
                None => continue,
            }
            if reference.kind() == Some(ReferenceType::Direct) {
                self.logged(&name, &mut all);
            }
        }
        // It has a log of its own, and is no reference among the others.
        self.logged("HEAD", &mut all);
        all.moves.sort_by(|(a, ..), (b, ..)| (a.time, &a.reference, &a.from).cmp(&(b.time, &b.reference, &b.from)));
        Ok(all)
    }

    /// What the log of a reference names, as far as it is there.
    fn logged(&self, name: &str, all: &mut Named) {
        // What a person did to branches of their own clone rewrites nobody's main line.
        let of_others = name.starts_with("refs/remotes/") || self.is_bare() && name != "HEAD";
        let Ok(log) = self.repo.reflog(name) else { return };
        for entry in log.iter().take(MAX_LOG) {
            let (from, to) = (entry.id_old(), entry.id_new());
            // A log may name what was cleared away since; then nothing more can be said.
            let there = [from, to].map(|id| !id.is_zero() && self.has(id));
            let named = [from, to].into_iter().zip(there).filter(|(_, there)| *there).map(|(id, _)| id);
            if of_others {
                all.left.extend(named)
            } else {
                all.own.extend(named)
            }
            if from == to || there != [true; 2] || !of_others {
                continue;
            }
            let told = Move {
                reference: name.to_owned(),
                from: from.to_string(),
                to: to.to_string(),
                time: time(entry.committer().when().seconds()),
                said: String::from_utf8_lossy(entry.message_bytes().unwrap_or_default()).into_owned(),
            };
            all.moves.push((told, from, to));
        }
    }

    fn has_replacements(&self) -> bool {
        self.repo.references_glob("refs/replace/*").is_ok_and(|mut all| all.next().is_some())
    }

    fn has(&self, commit: Oid) -> bool {
        self.repo.odb().is_ok_and(|odb| odb.read_header(commit).is_ok_and(|(_, kind)| kind == ObjectType::Commit))
    }

    /// That an object is of a kind, and not too large to load.
    pub(super) fn measure(&self, odb: &Odb<'_>, id: Oid, kind: ObjectType, most: usize) -> Result<(), LedgerError> {
        let size = self.size(odb, id, kind)?;
        if size > most {
            return Err(LedgerError::Limit(format!("the {kind} {id} has {size} bytes, more than {most}")));
        }
        Ok(())
    }

    /// How many bytes an object of this kind has.
    pub(super) fn size(&self, odb: &Odb<'_>, id: Oid, kind: ObjectType) -> Result<usize, LedgerError> {
        let (size, found) = odb.read_header(id).map_err(|error| self.missing(id, &error))?;
        if found != kind {
            return Err(self.damaged(format!("the object {id} is a {found}, where a {kind} is expected")));
        }
        Ok(size)
    }

    /// The bytes of an object that is of this kind and not too large.
    pub(super) fn object(&self, odb: &Odb<'_>, id: Oid, kind: ObjectType, most: usize) -> Result<Vec<u8>, LedgerError> {
        self.measure(odb, id, kind, most)?;
        Ok(odb.read(id).map_err(|error| self.missing(id, &error))?.data().to_vec())
    }

    pub(super) fn missing(&self, id: Oid, error: &git2::Error) -> LedgerError {
        match error.code() {
            ErrorCode::NotFound => self.damaged(format!("the object {id} is missing")),
            _ => self.damaged(format!("the object {id} cannot be read: {}", error.message())),
        }
    }

    pub(super) fn damaged(&self, reason: impl std::fmt::Display) -> LedgerError {
        LedgerError::Damaged { path: shown(&self.path), reason: text::escape(&reason.to_string()) }
    }
}

/// The time `seconds` after 1970, or the nearest that can be written.
fn time(seconds: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(seconds)
}

/// What references and their logs name.
#[derive(Default)]
struct Named {
    /// By reference: the commit.
    tips: BTreeMap<String, Oid>,
    /// By reference: a tree or a file that no commit holds there.
    others: BTreeMap<String, (Oid, ObjectType)>,
    /// Commits that the logs of others name.
    left: BTreeSet<Oid>,
    /// Commits that the logs of this clone's own branches name.
    own: BTreeSet<Oid>,
    /// The steps of the logs of others, each with where from and where to.
    moves: Vec<(Move, Oid, Oid)>,
}

/// What the changes of a commit are against.
#[derive(Clone, Copy, Default)]
struct Base {
    tree: Option<ObjectId>,
    moment: Option<usize>,
}

/// A commit, without its message.
struct Commit {
    id: Oid,
    tree: ObjectId,
    parents: Vec<usize>,
    time: Timestamp,
}

/// All commits, each once.
struct Walk<'a> {
    reading: &'a Reading,
    odb: &'a Odb<'a>,
    commits: Vec<Commit>,
    places: HashMap<Oid, usize>,
    parents: usize,
    /// By commit: how many commits stand before it in the order.
    ranks: Vec<usize>,
    steps: usize,
}

impl Walk<'_> {
    /// Takes `tip` and everything before it.
    fn from(&mut self, tip: Oid) -> Result<(), LedgerError> {
        let cut = self.reading.is_shallow();
        let mut open = vec![tip];
        // The parents of a commit are numbered once all of them are known.
        let mut parents: Vec<(usize, Vec<Oid>)> = Vec::new();
        while let Some(id) = open.pop() {
            if self.places.contains_key(&id) {
                continue;
            }
            if self.commits.len() >= MAX_COMMITS {
                return Err(LedgerError::Limit(format!("more than {MAX_COMMITS} commits")));
            }
            let raw = self.reading.object(self.odb, id, ObjectType::Commit, MAX_COMMIT)?;
            let Some(commit) = git::Commit::parse(&raw) else {
                return Err(self.reading.damaged(format!("the object {id} is no commit")));
            };
            let number = self.commits.len();
            self.places.insert(id, number);
            self.parents += commit.parents.len();
            if self.parents > MAX_PARENTS {
                return Err(LedgerError::Limit(format!("commits with more than {MAX_PARENTS} parents together")));
            }
            let mut known = Vec::new();
            for parent in commit.parents.into_iter().map(oid) {
                // Where a clone was cut, parents are named and not there.
                if cut && self.odb.read_header(parent).is_err() {
                    continue;
                }
                known.push(parent);
                open.push(parent);
            }
            parents.push((number, known));
            self.commits.push(Commit { id, tree: commit.tree, parents: Vec::new(), time: time(commit.time) });
        }
        for (number, known) in parents {
            self.commits[number].parents = known.iter().filter_map(|id| self.places.get(id).copied()).collect();
        }
        Ok(())
    }

    /// The main line: from the head, or the newest commit before `until`, along first parents.
    fn line(&self, head: Option<Oid>, until: Option<Timestamp>) -> Vec<usize> {
        let mut line = Vec::new();
        let mut next = head.and_then(|head| self.places.get(&head).copied());
        while let Some(number) = next {
            let commit = &self.commits[number];
            if until.is_none_or(|until| commit.time <= until) {
                line.push(number);
            }
            next = commit.parents.first().copied();
        }
        line
    }

    /// Where times go back along the main line.
    fn back(&self, line: &[usize]) -> Option<Back> {
        let pairs =
            line.iter().zip(line.iter().skip(1)).map(|(own, parent)| (&self.commits[*own], &self.commits[*parent]));
        let back: Vec<(&Commit, &Commit)> =
            pairs.filter(|(own, parent)| parent.time.unix().saturating_sub(own.time.unix()) > CLOCKS).collect();
        let (own, parent) =
            back.iter().max_by_key(|(own, parent)| parent.time.unix().saturating_sub(own.time.unix()))?;
        Some(Back { count: back.len(), commit: own.id.to_string(), farthest: (parent.time, own.time) })
    }

    /// Parents before children; otherwise by time, then by id.
    fn order(&self) -> Result<Vec<usize>, LedgerError> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.commits.len()];
        let mut waits: Vec<usize> = Vec::with_capacity(self.commits.len());
        let mut ready = BinaryHeap::new();
        let key = |number: usize| Reverse((self.commits[number].time, self.commits[number].id, number));
        for (number, commit) in self.commits.iter().enumerate() {
            waits.push(commit.parents.len());
            commit.parents.iter().for_each(|parent| children[*parent].push(number));
            if commit.parents.is_empty() {
                ready.push(key(number));
            }
        }
        let mut order = Vec::with_capacity(self.commits.len());
        while let Some(Reverse((_, _, number))) = ready.pop() {
            order.push(number);
            for child in &children[number] {
                waits[*child] -= 1;
                if waits[*child] == 0 {
                    ready.push(key(*child));
                }
            }
        }
        if order.len() != self.commits.len() {
            return Err(self.reading.io("the commits go round in a circle"));
        }
        Ok(order)
    }

    /// Whether `to` is or follows `from`.
    fn reaches(&mut self, to: Oid, from: Oid) -> Result<bool, LedgerError> {
        let (Some(to), Some(from)) = (self.places.get(&to), self.places.get(&from)) else { return Ok(false) };
        let rank = |number: usize| self.ranks.get(number).copied().unwrap_or_default();
        let least = rank(*from);
        // Nearest first: a log mostly goes a few commits forward.
        let (mut open, mut seen) = (VecDeque::from([*to]), HashSet::new());
        while let Some(number) = open.pop_front() {
            if number == *from {
                return Ok(true);
            }
            if !seen.insert(number) {
                continue;
            }
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(LedgerError::Limit(format!("logs of references over more than {MAX_STEPS} commits")));
            }
            // Whatever comes before it in the order cannot follow it.
            open.extend(self.commits[number].parents.iter().filter(|parent| rank(**parent) >= least));
        }
        Ok(false)
    }
}
