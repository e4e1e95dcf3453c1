//! Act "open": who is here, the time from two places, plan and program.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::earlier;
use trustroot_core::event::Deed;
use trustroot_core::page::Text;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;

use super::{CLOCKS_APART, Conductor, Halt, Hands, Leave, Stand, WordsAsked};
use crate::seams::{Answer, Choice, Form, Question, Tone};

impl Conductor<'_> {
    pub(super) fn roll(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let plan = &stand.ceremony.plan;
        let mut handles: Vec<&Handle> = plan.holders.iter().map(|holder| &holder.handle).collect();
        let seats = [&plan.seats.conductor, &plan.seats.scribe].into_iter().chain(&plan.seats.witnesses);
        let old = plan.leaving.iter().filter(|leaving| leaving.signs).map(|leaving| &leaving.handle);
        for seat in old.chain(seats) {
            if !handles.contains(&seat) {
                handles.push(seat);
            }
        }
        // The page above names everybody; the list is for calling them by number.
        let choice = |handle: &&Handle| Choice { key: handle.to_string(), label: Text::default() };
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "present",
            who: plan.seats.conductor.clone(),
            prompt: "Who is here".into(),
            form: Form::Several(handles.iter().map(choice).collect()),
            affirms: None,
        };
        loop {
            let Answer::Several(keys) = self.ask(stand, &question)? else { continue };
            let present: BTreeSet<Handle> =
                handles.iter().filter(|handle| keys.contains(handle.as_str())).map(|&handle| handle.clone()).collect();
            let mut with = stand.ceremony.clone();
            with.present = Some(present.clone());
            let short = with.standings().into_iter().find(|standing| !standing.possible());
            let trouble = if !present.contains(&plan.seats.conductor) || !present.contains(&plan.seats.scribe) {
                Some("Conductor and scribe must be here; name others in the plan if they cannot come.".to_owned())
            } else {
                short.map(|short| {
                    let of = if plan.follows.is_some() { format!(" for {}", short.of) } else { String::new() };
                    format!("Holders here{of}: {}; {} must sign.", short.awaited.len(), short.need)
                })
            };
            if let Some(trouble) = trouble {
                self.say(Tone::Trouble, trouble)?;
                self.say(Tone::Hint, "Answer again, or stop with Ctrl-C and meet on the stand-by date.")?;
                continue;
            }
            let hands = Hands::of(&plan.seats.conductor, [plan.seats.scribe.clone()]);
            let earlier = earlier::over(&stand.head.tree, &self.dir).map_err(Halt::Record)?;
            return self.commit(stand, step.id(), hands, Deed::Roll { present, earlier }, BTreeMap::new());
        }
    }

    pub(super) fn clock(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let plan = &stand.ceremony.plan;
        let here = self.room.clock.now(stand.record.last_time());
        let time_of_day = here.to_string()[11..16].to_owned();
        // This computer's time is not given away where another clock is to be read; a rehearsal's may be years off.
        let example = if plan.rehearsal { time_of_day.as_str() } else { "14:05" };
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "heard",
            who: plan.seats.scribe.clone(),
            prompt: "The time in UTC as you heard it, and where it was read".into(),
            form: Form::Line { example: format!("{example} wall clock"), optional: false },
            affirms: None,
        };
        loop {
            let Answer::Line(line) = self.ask(stand, &question)? else { continue };
            let (heard, source) = line.split_once(' ').unwrap_or((line.as_str(), ""));
            let Some(seconds) = seconds_of_day(heard).filter(|_| !source.trim().is_empty()) else {
                self.say(Tone::Trouble, "A time and a place were expected: HH:MM, a space, and where it was read.")?;
                continue;
            };
            let apart = (here.unix() - seconds).rem_euclid(86_400);
            let apart = apart.min(86_400 - apart);
            if apart > CLOCKS_APART {
                // Rounded up: what is refused must not look allowed.
                let minutes = (apart + 59) / 60;
                let line = format!("This computer says {time_of_day} UTC; the clocks are {minutes} minutes apart.");
                self.say(Tone::Trouble, line)?;
                self.say(
                    Tone::Hint,
                    "Read it again, in UTC. If this computer is wrong, stop with Ctrl-C and set its clock.",
                )?;
                continue;
            }
            let hands = Hands::of(&plan.seats.conductor, [plan.seats.scribe.clone()]);
            let deed = Deed::Clock { heard: heard.to_owned(), source: source.trim().to_owned() };
            return self.commit(stand, step.id(), hands, deed, BTreeMap::new());
        }
    }

    pub(super) fn read(&mut self, step: &Step, stand: &Stand) -> Result<(), Leave> {
        let plan = &stand.ceremony.plan;
        let listener = plan.seats.scribe.clone();
        let digest = stand.ceremony.plan_digest;
        let asked = WordsAsked {
            step,
            name: "words",
            who: &listener,
            digest,
            what: "the plan's digest, as read aloud",
            optional: false,
        };
        self.words(stand, asked)?;
        // A rehearsal's root is the same whatever version rehearses, so that a regenerated one is no rival of itself.
        let program = match self.room.program.version.split_once(' ') {
            Some((name, _)) if plan.rehearsal => name.to_owned(),
            _ => self.room.program.version.clone(),
        };
        let deed = Deed::Read { program, program_digest: self.room.program.digest, listener: listener.clone() };
        let hands = Hands::of(&plan.seats.conductor, [listener]);
        self.commit(stand, step.id(), hands, deed, BTreeMap::new())
    }
}

/// `HH:MM` or `HH:MM:SS` as seconds of the day.
fn seconds_of_day(text: &str) -> Option<i64> {
    let parts: Vec<i64> =
        text.trim_end_matches(['Z', 'z']).split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match parts[..] {
        [hours @ 0..24, minutes @ 0..60] => Some(hours * 3600 + minutes * 60),
        [hours @ 0..24, minutes @ 0..60, seconds @ 0..60] => Some(hours * 3600 + minutes * 60 + seconds),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::seconds_of_day;

    #[test]
    fn times_of_day() {
        assert_eq!(seconds_of_day("00:00"), Some(0));
        assert_eq!(seconds_of_day("23:59:59Z"), Some(86_399));
        for bad in ["24:00", "12:60", "12", "12:", "noon", "1:2:3:4"] {
            assert_eq!(seconds_of_day(bad), None, "{bad}");
        }
    }
}
