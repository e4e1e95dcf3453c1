//! `trustroot rehearse --apart`: the same with a clone for each holder, and a bare repository between them, in one folder. The
//! program itself sits down at each of them in turn, as `trustroot join` does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use trustroot_core::digest::Digest;
use trustroot_core::plan::Plan;
use trustroot_core::replay::Ceremony;
use trustroot_core::seat::Turn;
use trustroot_core::text::{Handle, escape};

use super::failure::{Failure, Kind};
use super::rehearsal::Rehearsal;
use super::{ceremony, join, rehearse};
use crate::conduct::Ending;
use crate::ledger::{self, GitLedger};
use crate::seams::{Answer, Ledger as _};
use crate::ui::rehearsed::{Deviation, Instead};
use crate::ui::report;

/// How often the conductor goes on at most: each time somebody did something, or somebody is gone on without.
const ROUNDS: usize = 60;

/// The folder of a rehearsal whose holders sit apart.
pub(super) struct Apart {
    folder: PathBuf,
    /// Who never comes.
    absent: BTreeSet<Handle>,
}

impl Apart {
    /// In this folder, with these people who never come.
    pub(super) fn new(folder: &Path, absent: &[Handle]) -> Self {
        Self { folder: folder.to_owned(), absent: absent.iter().cloned().collect() }
    }

    /// Where the conductor's clone is.
    pub(super) fn conductor(&self) -> PathBuf {
        self.folder.join("conductor")
    }

    /// Puts the bare repository between the clones, where it is not there yet.
    pub(super) fn hub(&self, ledger: &GitLedger, plan: &Plan) -> Result<(), Failure> {
        if let Some(who) = self.absent.iter().find(|who| plan.holder(who).is_none()) {
            let holders: Vec<_> = plan.holders.iter().map(|holder| holder.handle.as_str()).collect();
            let failure = Failure::new(Kind::Usage, format!("{who} is no holder, and cannot be missed"));
            return Err(failure.hint(format!("the holders are {}", holders.join(", "))));
        }
        let hub = self.address()?;
        if !hub.exists() {
            ledger::bare(&hub)?;
        }
        Ok(ledger.add_remote("origin", &hub)?)
    }

    /// The bare repository, by its whole path: clones elsewhere name it.
    fn address(&self) -> Result<PathBuf, Failure> {
        let folder = self.folder.canonicalize().map_err(|error| Failure::file(&self.folder, &error))?;
        Ok(folder.join("hub.git"))
    }

    /// Holds one ceremony: the conductor goes on, then everybody whose turn it is, until it is over.
    pub(super) fn hold(
        &self,
        ledger: &mut GitLedger,
        record: &str,
        plan: &Plan,
        settings: &Rehearsal,
        by_itself: bool,
    ) -> Result<Ending, Failure> {
        let mut without = Vec::new();
        for _ in 0..ROUNDS {
            report::people("\n--- at the conductor's ---");
            let deviations = std::mem::take(&mut without);
            let ending = rehearse::one(&self.conductor(), ledger, record, plan, settings, by_itself, deviations)?;
            if ending != Ending::Waits {
                return Ok(ending);
            }
            let found = ceremony::read(&ledger.head()?.tree, record)?.ceremony;
            let comes = |who: &&Handle| !self.absent.contains(*who);
            let next: Vec<Handle> = whose_turn(&found).into_iter().filter(|who| comes(&who)).collect();
            for who in &next {
                report::people(&format!("\n--- at the machine of {who} ---"));
                join::run(&self.home(who, settings)?, &join::Args::at(who.clone(), by_itself))?;
            }
            if next.is_empty() {
                match by_itself.then(|| self.without(&found)).flatten() {
                    Some(deviations) => without = deviations,
                    None => return Ok(Ending::Waits),
                }
            }
        }
        Err(Failure::new(Kind::Bug, "the rehearsal goes round in a circle"))
    }

    /// The clone of a holder, with tokens of its own.
    fn home(&self, who: &Handle, settings: &Rehearsal) -> Result<PathBuf, Failure> {
        let folder = self.folder.canonicalize().map_err(|error| Failure::file(&self.folder, &error))?;
        let dir = folder.join(who.as_str());
        if dir.join(".git").exists() {
            return Ok(dir);
        }
        let hub = self.address()?;
        ledger::clone(&folder, &hub.display().to_string(), &dir)?;
        let seed = [&settings.seed[..], who.as_str().as_bytes()].concat();
        let of_holder = |fault: &&String| fault.split(':').next() == Some(who.as_str());
        let own = Rehearsal {
            seed: *Digest::of(&seed).as_bytes(),
            faults: settings.faults.iter().filter(of_holder).cloned().collect(),
            kinds: Vec::new(),
            ..settings.clone()
        };
        own.write(GitLedger::open_as(&dir, Some(crate::ledger::Identity::rehearsal()))?.state_dir())?;
        Ok(dir)
    }

    /// How the conductor goes on without the first of those who never come; nothing if nobody of them is awaited.
    fn without(&self, ceremony: &Ceremony) -> Option<Vec<Deviation>> {
        let awaited = ceremony.awaited();
        let first = awaited.first()?;
        let who = &awaited.iter().find(|one| self.absent.contains(&one.who))?.who;
        let answer = |name: &str, key: &str| Deviation {
            step: first.step.id(),
            name: name.to_owned(),
            nth: 1,
            instead: Instead::Answer(Answer::One(key.to_owned())),
        };
        report::people(&format!("\n{} does not come.", escape(ceremony.plan.name_of(who))));
        Some(vec![answer("waiting", "without"), answer("go-on-without", who.as_str())])
    }
}

/// Who can do something now.
fn whose_turn(ceremony: &Ceremony) -> Vec<Handle> {
    let can = |who: &&&Handle| matches!(ceremony.turn(who, &BTreeSet::new()), Turn::Do(_));
    join::people(&ceremony.plan).iter().filter(can).map(|who| (*who).clone()).collect()
}
