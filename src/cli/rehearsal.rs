//! What a rehearsal keeps beside its repository, in `.git/trustroot/`, so that it can be stopped and resumed: the seed,
//! whether the clock is fixed, who commits, and the faults to practise. None of it is ever committed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use trustroot_core::digest::Digest;
use trustroot_core::plan::Plan;
use trustroot_core::text::Handle;

use super::chance;
use super::failure::{Failure, Kind};
use crate::token::Fault;

/// The name of the file.
const FILE: &str = "rehearsal.json";
/// The PIN that `--auto` types, and that people are told to type, in a rehearsal.
pub(super) const PIN: &str = "rehearse";

/// The settings of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rehearsal {
    /// Everything in it follows from this.
    pub(super) seed: [u8; 32],
    /// Whether the clock is fixed too, so that the bytes are the same each time.
    pub(super) fixed_clock: bool,
    /// The faults to practise, as typed.
    pub(super) faults: Vec<String>,
    /// What is rehearsed after the genesis, in order, as typed.
    pub(super) kinds: Vec<String>,
    /// Whether the person's own git identity commits, and signs where their git is set up for it: a rehearsal in their own
    /// repository. Otherwise the one identity of rehearsals does, and nothing is signed.
    pub(super) own_identity: bool,
}

impl Rehearsal {
    /// A rehearsal of the machine's own time and chance.
    pub(super) fn fresh(faults: Vec<String>, own_identity: bool) -> Result<Self, Failure> {
        Ok(Self { seed: chance::fresh()?, fixed_clock: false, faults, kinds: Vec::new(), own_identity })
    }

    /// A rehearsal whose bytes follow from a text.
    pub(super) fn seeded(text: &str, faults: Vec<String>) -> Self {
        let seed = *Digest::of(format!("trustroot rehearsal seed\n{text}").as_bytes()).as_bytes();
        Self { seed, fixed_clock: true, faults, kinds: Vec::new(), own_identity: false }
    }

    /// The faults.
    pub(super) fn faults(&self) -> Result<Vec<Fault>, Failure> {
        self.faults
            .iter()
            .map(|text| Fault::parse(text).map_err(|error| Failure::new(Kind::Usage, error.to_string())))
            .collect()
    }

    /// The faults that are practised in the ceremony of this plan. In a chain the genesis is not what is practised, and somebody
    /// who comes or goes has a token in some of the ceremonies only.
    pub(super) fn faults_in(&self, plan: &Plan) -> Result<Vec<Fault>, Failure> {
        if self.kinds.is_empty() {
            return self.faults();
        }
        let leaves = |holder: &Handle| plan.leaving.iter().any(|leaving| leaving.handle == *holder && leaving.signs);
        let takes_part = |fault: &Fault| plan.holder(&fault.holder).is_some() || leaves(&fault.holder);
        let faults = self.faults()?.into_iter().filter(|fault| plan.follows.is_some() && takes_part(fault));
        Ok(faults.collect())
    }

    /// Writes the settings into the state folder of the repository, whole or not at all.
    pub(super) fn write(&self, state: &Path) -> Result<(), Failure> {
        let path = state.join(FILE);
        let text = json!({ "seed": Digest::from_bytes(self.seed).to_string(), "fixed-clock": self.fixed_clock, "faults": self.faults, "kinds": self.kinds, "own-identity": self.own_identity });
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(state)?;
            writeln!(file, "{text}")?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(state)?.sync_all()
        };
        write().map_err(|error| Failure::file(&path, &error))
    }

    /// Reads the settings; nothing if this repository is no rehearsal's.
    pub(super) fn read(state: &Path) -> Result<Option<Self>, Failure> {
        let path = state.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        let read = || {
            let value: Value = serde_json::from_str(&text).ok()?;
            let seed = *Digest::from_hex(value.get("seed")?.as_str()?).ok()?.as_bytes();
            let faults = value.get("faults")?.as_array()?;
            let faults = faults.iter().map(|fault| Some(fault.as_str()?.to_owned())).collect::<Option<_>>()?;
            let kinds = value.get("kinds")?.as_array()?;
            let kinds = kinds.iter().map(|kind| Some(kind.as_str()?.to_owned())).collect::<Option<_>>()?;
            let flag = |name: &str| value.get(name)?.as_bool();
            Some(Self { seed, fixed_clock: flag("fixed-clock")?, faults, kinds, own_identity: flag("own-identity")? })
        };
        let damaged = || {
            let message = format!("{} is damaged", trustroot_core::text::escape(&path.display().to_string()));
            Failure::new(Kind::Surroundings, message).hint("rehearse anew in another folder")
        };
        read().map(Some).ok_or_else(damaged)
    }
}
