//! Every content at every path of a history, once: where and when it first lay there.

use super::files::is_numbered;
use super::past::{Held, Past};
use super::report::Seen;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where a content first lay.
#[derive(Clone, Debug)]
pub(super) struct Sighting<'a> {
    /// The earliest moment that brought the content to this path.
    pub(super) moment: usize,
    /// The earliest of the main line, if there is one.
    pub(super) on_line: Option<usize>,
    /// The folder; empty for the top.
    pub(super) folder: &'a str,
    /// The name in the folder.
    pub(super) name: &'a str,
    pub(super) blob: usize,
}

impl Sighting<'_> {
    pub(super) fn path(&self) -> String {
        if self.folder.is_empty() { self.name.to_string() } else { format!("{}/{}", self.folder, self.name) }
    }

    pub(super) fn seen(&self, past: &Past) -> Seen {
        Seen::at(past, self.on_line.unwrap_or(self.moment), &self.path(), Some(self.blob))
    }
}

/// All of them, in the order of moments.
pub(super) struct Sightings<'a> {
    all: Vec<Sighting<'a>>,
    /// By content: where it lay first on the main line, else anywhere.
    best: BTreeMap<usize, usize>,
}

impl<'a> Sightings<'a> {
    pub(super) fn of(past: &'a Past) -> Self {
        let mut all: Vec<Sighting<'a>> = Vec::new();
        let mut known: BTreeMap<(usize, usize, usize), usize> = BTreeMap::new();
        for (moment, at) in past.moments.iter().enumerate() {
            for change in &at.changes {
                let Some(Held::Blob(blob)) = change.held else { continue };
                let (Some(folder), Some(name)) = (past.folders.get(change.folder), past.names.get(change.name)) else {
                    continue;
                };
                let number = match known.entry((change.folder, change.name, blob)) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        all.push(Sighting { moment, on_line: None, folder, name, blob });
                        *new.insert(all.len() - 1)
                    }
                };
                if let Some(one) = all.get_mut(number).filter(|one| at.on_line && one.on_line.is_none()) {
                    one.on_line = Some(moment);
                }
            }
        }
        let mut best: BTreeMap<usize, usize> = BTreeMap::new();
        let rank =
            |one: &Sighting<'_>| (one.on_line.is_none(), one.on_line, one.on_line.is_some() && !is_numbered(one.name));
        for (number, one) in all.iter().enumerate() {
            let known = best.entry(one.blob).or_insert(number);
            if all.get(*known).is_some_and(|known| rank(one) < rank(known)) {
                *known = number;
            }
        }
        Self { all, best }
    }

    /// All, in the order of moments.
    pub(super) fn iter(&self) -> core::slice::Iter<'_, Sighting<'a>> {
        self.all.iter()
    }

    /// Those that a moment brought.
    pub(super) fn of_moment(&self, moment: usize) -> &[Sighting<'a>] {
        let from = self.all.partition_point(|one| one.moment < moment);
        let until = self.all.partition_point(|one| one.moment <= moment);
        self.all.get(from..until).unwrap_or_default()
    }

    /// Where a content lay first on the main line, else anywhere.
    pub(super) fn best(&self, blob: usize) -> Option<&Sighting<'a>> {
        self.all.get(*self.best.get(&blob)?)
    }
}
