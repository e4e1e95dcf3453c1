//! A community whose holders sit at machines of their own: the conductor's clone with two remotes (bare repositories, by
//! path) and a stick, and a clone for each holder, which knows one remote or nothing but the stick.

#![allow(dead_code, unreachable_pub, reason = "each test uses another part of the community")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use trustroot::conduct::Ending;
use trustroot::seams::{Ledger as _, Pushed};
use trustroot::ui::rehearsed::Deviation;
use trustroot_core::replay::Ceremony;
use trustroot_core::seat::Turn;
use trustroot_core::text::Handle;

use crate::stage::{Sat, Stage, folder};

/// The community.
pub(crate) struct Community {
    /// The conductor's clone.
    pub(crate) stage: Stage,
    /// Each holder's clone.
    pub(crate) homes: BTreeMap<Handle, Home>,
    /// The bare repositories.
    hubs: TempDir,
    /// The stick.
    stick: TempDir,
    /// How many bundles were written so far.
    written: usize,
    /// How many sittings there were so far.
    pub(crate) sittings: usize,
}

/// A holder's clone.
pub(crate) struct Home {
    /// The clone, with the holder's tokens.
    pub(crate) stage: Stage,
    /// Whether it knows nothing but the stick.
    pub(crate) offline: bool,
}

/// One sitting of a holder: what they saw and answered, and what came of the one push.
pub(crate) struct Sitting {
    /// The sitting.
    pub(crate) sat: Sat,
    /// The pushes; none from a machine without a remote.
    pub(crate) pushed: Vec<Pushed>,
}

impl Community {
    /// A conductor's clone with two remotes, and nobody else yet.
    pub(crate) fn new(holders: usize, threshold: u32) -> Self {
        let stage = Stage::new(holders, threshold);
        let hubs = folder();
        for name in ["first", "second"] {
            let hub = hubs.path().join(format!("{name}.git"));
            git(&["init", "--quiet", "--bare", "--initial-branch=main", hub.to_str().unwrap()]);
            git(&["-C", stage.folder.path().to_str().unwrap(), "remote", "add", name, hub.to_str().unwrap()]);
        }
        let (stick, homes) = (folder(), BTreeMap::new());
        Self { stage, homes, hubs, stick, written: 0, sittings: 0 }
    }

    /// A bare repository, by its name.
    pub(crate) fn hub(&self, name: &str) -> PathBuf {
        self.hubs.path().join(format!("{name}.git"))
    }

    /// Lets the conductor go on until others are awaited or it is over; the stick then has all of it.
    pub(crate) fn conduct(&mut self, deviations: &mut Vec<Deviation>) -> Ending {
        let outcome = self.stage.hold(deviations);
        *deviations = outcome.unused.clone();
        let ending = match outcome.ended {
            Ok(ending) => ending,
            Err(halt) => panic!("it stopped: {halt}: {halt:?}\n{}", outcome.transcript.text()),
        };
        self.stick_takes(None);
        ending
    }

    /// Writes what the clone of `who`, or the conductor's, holds to the stick.
    fn stick_takes(&mut self, who: Option<&Handle>) {
        self.written += 1;
        let name = who.map_or("conductor", Handle::as_str);
        let file = self.stick.path().join(format!("{name}-{}.bundle", self.written));
        let stage = who.map_or(&self.stage, |who| &self.homes[who].stage);
        stage.ledger().apart().remote().unwrap().write_bundle(&file).unwrap();
        match who {
            // The newest holds all that the earlier ones did.
            None => self.homes.values_mut().filter(|home| home.offline).for_each(|home| {
                home.stage.bundles = vec![file.clone()];
            }),
            Some(_) => self.stage.bundles = vec![file],
        }
    }

    /// The clone of a holder, which is made when it is needed: every fifth knows only the stick, the others every other hub.
    fn home(&mut self, who: &Handle) -> &mut Home {
        if !self.homes.contains_key(who) {
            let n = self.homes.len();
            let offline = n % 5 == 4;
            let from = match (offline, n % 2) {
                (true, _) => self.stick.path().join(format!("conductor-{}.bundle", self.written)),
                (false, 0) => self.hub("first"),
                (false, _) => self.hub("second"),
            };
            let mut stage = Stage::clone_of(&from, &self.stage.plan, 100 + u8::try_from(n).unwrap());
            if offline {
                stage.bundles = vec![from];
            }
            self.homes.insert(who.clone(), Home { stage, offline });
        }
        self.homes.get_mut(who).unwrap()
    }

    /// One sitting of a holder: seat, lead, and one push or one bundle.
    pub(crate) fn sit(&mut self, who: &Handle, deviations: &[Deviation]) -> Sitting {
        let sat = self.sit_quietly(who, deviations);
        Sitting { sat, pushed: self.hand_over(who) }
    }

    /// One sitting whose outcome nobody else has yet.
    pub(crate) fn sit_quietly(&mut self, who: &Handle, deviations: &[Deviation]) -> Sat {
        self.sittings += 1;
        let plan = self.stage.plan.clone();
        let home = self.home(who);
        home.stage.take_plan(&plan);
        let mut ledger = home.stage.ledger();
        let remote = ledger.remote().unwrap();
        let (_, failed) = remote.conductor().unwrap();
        assert!(failed.is_empty(), "{failed:?}");
        remote.seat(&plan.record_dir(), who, plan.day.plus_seconds(9 * 3600)).unwrap();
        drop(ledger);
        let sat = home.stage.sit(who, deviations);
        assert_eq!(sat.unused, [], "deviations that nobody was asked for");
        sat
    }

    /// Pushes what a holder did, or carries it on the stick.
    pub(crate) fn hand_over(&mut self, who: &Handle) -> Vec<Pushed> {
        let home = &self.homes[who];
        if home.offline {
            self.stick_takes(Some(who));
            return Vec::new();
        }
        home.stage.ledger().remote().unwrap().push(None)
    }

    /// Those who can do something now, as the conductor's record says.
    pub(crate) fn whose_turn(&self) -> Vec<Handle> {
        let ceremony = self.stage.ceremony();
        let holders = ceremony.plan.holders.iter().map(|holder| &holder.handle);
        let old = ceremony.plan.leaving.iter().filter(|leaving| leaving.signs).map(|leaving| &leaving.handle);
        let mut all: Vec<Handle> = Vec::new();
        for handle in holders.chain(old).filter(|handle| **handle != ceremony.plan.seats.conductor) {
            let turn = ceremony.turn(handle, &std::collections::BTreeSet::new());
            if matches!(turn, Turn::Do(_)) && !all.contains(handle) {
                all.push(handle.clone());
            }
        }
        all
    }

    /// Holds the open ceremony: the conductor goes on, then everybody whose turn it is and who `sits` does; again and again,
    /// until it is over or nobody can do anything.
    pub(crate) fn hold(&mut self, deviations: &[Deviation], sits: impl Fn(&Ceremony, &Handle) -> bool) -> Ending {
        let mut deviations = deviations.to_vec();
        for _ in 0..12 {
            let ending = self.conduct(&mut deviations);
            let ceremony = self.stage.ceremony();
            let next: Vec<Handle> = self.whose_turn().into_iter().filter(|who| sits(&ceremony, who)).collect();
            if ending != Ending::Waits || next.is_empty() {
                assert_eq!(deviations, [], "deviations that nobody was asked for");
                return ending;
            }
            for who in next {
                let Sitting { sat, pushed } = self.sit(&who, &[]);
                if let Err(halt) = &sat.turn {
                    panic!("{who} stopped: {halt}\n{}", sat.transcript.text());
                }
                assert!(pushed.iter().all(|one| one.outcome.is_ok()), "{who}: {pushed:?}");
            }
        }
        panic!("it does not come to an end");
    }
}

/// Runs git.
pub(crate) fn git(args: &[&str]) {
    let status = Command::new("git").args(args).status().unwrap();
    assert!(status.success(), "git {args:?}");
}
