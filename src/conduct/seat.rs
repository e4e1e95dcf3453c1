//! One holder at a machine of their own: led through what is theirs now, as the author of their own chain.
//!
//! Rules:
//! 1. A holder writes what is about their own key, what they heard of others' keys, and exceptions of their own. All else is
//!    the conductor's.
//! 2. What will be signed is shown on this machine, from this machine's copy, before the token is asked for.
//! 3. Who does not hear a key now is asked again at the next sitting, and not in this one.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::event::{Deed, StepId};
use trustroot_core::page::{Block, Page, script};
use trustroot_core::seat::Turn;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;

use super::trouble::{AGAIN, choice};
use super::{Conductor, Halt, Hands, Leave, Room, Stand, WordsAsked};
use crate::seams::{AudienceError, Tone};

impl<'a> Conductor<'a> {
    /// The seat of `who`, at a machine of their own, in the ceremony whose record is in `dir`.
    pub fn at_home(room: Room<'a>, dir: &str, who: Handle) -> Self {
        Self { seat: Some(who), ..Self::new(room, dir) }
    }

    /// Leads whoever sits here through all that is theirs now, and says whose turn it is then.
    ///
    /// # Errors
    /// See [`Halt`]. Starting again goes on at the step where it stopped.
    pub fn sit(&mut self) -> Result<Turn, Halt> {
        let Some(seat) = self.seat.clone() else {
            return Err(Halt::Bug("nobody sits at this machine but the conductor".to_owned()));
        };
        let mut unheard = BTreeSet::new();
        let mut shown = false;
        loop {
            let stand = self.stand()?;
            let step = match stand.ceremony.turn(&seat, &unheard) {
                Turn::Do(step) => step,
                other => return Ok(other),
            };
            if let (Step::Sign(_) | Step::SignOld(_), false) = (&step, shown) {
                self.room.audience.show(&script::page(&Step::Review, &stand.ceremony))?;
                shown = true;
            }
            match (self.step(&step, &stand), step) {
                // What was heard is in the record, and not asked about again; what was not is not asked again now.
                (Ok(()), Step::Hear(holder)) => drop(unheard.insert(holder)),
                (Ok(()) | Err(Leave::Again), _) => {}
                (Err(Leave::Halt(halt)), _) => return Err(halt),
            }
        }
    }

    /// Asks whoever sits here for words of the key of `holder`, as they heard them.
    pub(super) fn hear(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        let key = stand.ceremony.holders.get(holder).and_then(|state| state.key.as_ref());
        let (Some(key), Some(who)) = (key, self.seat.clone()) else {
            return Err(Halt::Bug(format!("there is no key of {holder} to hear")).into());
        };
        let asked = WordsAsked {
            step,
            name: "heard",
            who: &who,
            digest: key.fingerprint(),
            what: &format!("the key of {holder}, as you hear them; nothing if {holder} cannot be heard now"),
            optional: true,
        };
        if !self.words(stand, asked)? {
            self.say(Tone::Note, format!("Not heard now; you are asked for the key of {holder} again next time."))?;
            return Ok(());
        }
        let deed = Deed::Heard { holder: holder.clone(), fingerprint: key.fingerprint() };
        self.commit(stand, step.id(), Hands::of(&who, []), deed, BTreeMap::new())
    }

    /// The page behind the one key press, at a machine of one's own.
    pub(super) fn trouble_at_home(&mut self, stand: &Stand, seat: &Handle, step: &StepId) -> Result<(), Leave> {
        let own = step.holder() == Some(seat.as_str());
        let mut choices = vec![choice("back", "nothing is; begin this step again")];
        if own {
            choices.push(choice("exception", "log an exception, then begin this step again"));
        }
        choices.push(choice("pause", "stop here, and tell the conductor; `trustroot join` goes on at this step"));
        match self.choose(stand, step, "trouble", "Something is wrong. What now", choices)?.as_str() {
            "exception" => {
                let what =
                    self.line(stand, step, "exception-what", "What happened, in a sentence", "A cup fell over.")?;
                let remedy = self.line(stand, step, "exception-remedy", "What was done about it", AGAIN)?;
                self.log_exception(stand, step.clone(), None, what, remedy)
            }
            "pause" => Err(AudienceError::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

/// The page of a step as somebody reads it who sits alone: nobody checks, no camera runs, and others are elsewhere.
pub(super) fn at_home(step: &Step, mut page: Page) -> Page {
    page.checks.clear();
    let instead = match step {
        Step::Token(_) => "Plug this token in, and no other. Compare the serial with the one on the token.",
        Step::Provision(_) => {
            "Nobody looks on. Choose a PIN of 6 to 8 letters, digits or signs that you use nowhere else, and type it twice."
        }
        Step::Sign(_) | Step::SignOld(_) => {
            "Ask the conductor, or somebody who looks at the proposal elsewhere, to read the words to you. Compare them with \
             those below, all of them, then type the ones asked for."
        }
        _ => return page,
    };
    for block in &mut page.blocks {
        if let Block::Do(text) = block {
            *text = instead.into();
        }
    }
    page
}
