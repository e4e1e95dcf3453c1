//! A holder's token gets into its reader: asked for by name, seen when it is there, and opened.
//!
//! Rules:
//! 1. Whose token it is, and which serial, is said before anything is asked.
//! 2. A token of a known serial that is in already is taken without a question. One that is new to the record is taken
//!    only when something was plugged in or Enter was pressed, since what is in may be another holder's.
//! 3. Where readers can be watched, nobody has to answer. Nothing is said to a card before something was plugged in.
//! 4. A real token that is not there, or another one, is nobody's exception: it is said what the readers say, and asked
//!    again for as long as it takes. The one key press leads out.

use trustroot_core::page::script;
use trustroot_core::plan::TokenKind;
use trustroot_core::step::Step;
use trustroot_core::text::Handle;

use super::{Conductor, Halt, Leave, Sitting, Stand};
use crate::seams::{Answer, Form, Glance, Question, Token, TokenError, Tokens, Tone, Wanted};

/// How often a token that was plugged in is looked at before it is said that it does not answer: it needs a moment.
const LOOKS: u8 = 8;

impl Conductor<'_> {
    /// Opens the holder's token if it is not open already, without asking first: it was plugged in at an earlier step of
    /// the sitting. After a restart the holder is asked.
    pub(super) fn plug_in_again(&mut self, step: &Step, stand: &Stand, holder: &Handle) -> Result<(), Leave> {
        if self.sitting.is_none() { self.plug_in(step, stand, holder, false) } else { Ok(()) }
    }

    /// Asks for the token, and opens it by the serial that plan or record name. With `old` it is the one of the key that
    /// leaves.
    pub(super) fn plug_in(&mut self, step: &Step, stand: &Stand, holder: &Handle, old: bool) -> Result<(), Leave> {
        self.sitting = None;
        let ceremony = &stand.ceremony;
        let Some(planned) = ceremony.planned_token(holder, old) else {
            return Err(Halt::Bug(format!("{holder} is not in the plan")).into());
        };
        let state = if old { ceremony.old.get(holder) } else { ceremony.holders.get(holder) };
        let known = state.and_then(|state| state.token.as_ref()).map(|token| token.serial);
        let pkcs11 = self.behind_module(stand, holder, old);
        let wanted = Wanted {
            holder: holder.clone(),
            kind: planned.kind,
            serial: known.or(planned.serial),
            slot: planned.slot(),
            pkcs11,
        };
        let serial = wanted.serial.map_or(String::new(), |serial| format!(" with serial {serial}"));
        let prompt = match planned.kind {
            TokenKind::Virtual => format!("Press Enter to plug in the virtual token{serial}"),
            TokenKind::Pkcs11 => {
                let label = planned.label.as_ref().map_or(String::new(), |label| format!(" \"{label}\""));
                format!("Connect the PKCS#11 token{label}{serial}, and press Enter when it is ready")
            }
            kind => format!("Plug in the {}{serial}, and wait for its light", script::kind_name(kind)),
        };
        let question = Question {
            step: step.id(),
            act: step.act(),
            name: "plug-in",
            who: holder.clone(),
            prompt: prompt.into(),
            form: Form::Ready,
            affirms: None,
        };
        let mut seen = self.room.tokens.glance(&wanted);
        if seen.is_some()
            && wanted.serial.is_some()
            && let Ok(token) = self.room.tokens.open(&wanted)
        {
            self.say(Tone::Note, format!("{holder}: the token{serial} is plugged in."))?;
            return self.begin_sitting(holder, token);
        }
        loop {
            let (audience, tokens) = (&mut *self.room.audience, &mut *self.room.tokens);
            let mut found = None;
            let answer = match seen.take() {
                None => audience.ask(&question)?,
                Some(seen) => {
                    let mut watch = Watch { fewest: seen.occupied(), seen, looks: 0 };
                    audience.ask_or_see(&question, &mut || {
                        found = watch.look(tokens, &wanted);
                        found.is_some()
                    })?
                }
            };
            if answer == Answer::Interject {
                self.trouble(stand, &question)?;
                return Err(Leave::Again);
            }
            match found.unwrap_or_else(|| self.room.tokens.open(&wanted)) {
                Ok(token) => return self.begin_sitting(holder, token),
                Err(error @ (TokenError::Unready { .. } | TokenError::Wrong { .. }))
                    if wanted.kind != TokenKind::Virtual =>
                {
                    self.say(Tone::Trouble, format!("{error}."))?;
                    self.say(Tone::Hint, format!("{}.", error.hint()))?;
                    seen = self.room.tokens.glance(&wanted);
                }
                Err(error) => return self.token_trouble(stand, step, holder, error),
            }
        }
    }

    fn begin_sitting(&mut self, holder: &Handle, token: Box<dyn Token>) -> Result<(), Leave> {
        self.sitting = Some(Sitting { holder: holder.clone(), token, pin: None });
        Ok(())
    }
}

/// Readers that are watched while somebody is asked to plug in.
struct Watch {
    /// As they were last.
    seen: Glance,
    /// The fewest that were occupied: with more than that, something was plugged in.
    fewest: usize,
    /// How often it is looked for the token until something changes again.
    looks: u8,
}

impl Watch {
    /// The token, or what is wrong with what was plugged in; nothing while there is nothing to say.
    fn look(&mut self, tokens: &mut dyn Tokens, wanted: &Wanted) -> Option<Result<Box<dyn Token>, TokenError>> {
        let now = tokens.glance(wanted).unwrap_or_default();
        self.fewest = self.fewest.min(now.occupied());
        if now != self.seen {
            (self.seen, self.looks) = (now, LOOKS);
        }
        self.looks = self.looks.checked_sub(1)?;
        match tokens.open(wanted) {
            Ok(token) => Some(Ok(token)),
            // Something was pulled out: the rest is no news.
            Err(_) if self.seen.occupied() <= self.fewest => None,
            Err(TokenError::Unready { .. }) if self.looks > 0 => None,
            Err(error) => {
                self.looks = 0;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use trustroot_core::slot::Slot;

    /// Readers, and what opening answers; a token is opened only as an error here, since none is there.
    struct Readers {
        places: Glance,
        answer: fn() -> TokenError,
        opened: u32,
    }

    impl Tokens for Readers {
        fn open(&mut self, _: &Wanted) -> Result<Box<dyn Token>, TokenError> {
            self.opened += 1;
            Err((self.answer)())
        }

        fn glance(&mut self, _: &Wanted) -> Option<Glance> {
            Some(self.places.clone())
        }
    }

    fn places(all: &[(&str, bool, u32)]) -> Glance {
        let places = all.iter().map(|(name, is_occupied, changes)| ((*name).to_owned(), (*is_occupied, *changes)));
        Glance { places: places.collect::<BTreeMap<_, _>>() }
    }

    fn silent() -> TokenError {
        TokenError::Unready { what: "it does not answer".to_owned(), remedy: String::new() }
    }

    fn wrong() -> TokenError {
        TokenError::Wrong { found: 2.into(), wanted: 1.into() }
    }

    #[test]
    fn only_what_was_plugged_in_is_looked_at_and_spoken_of() {
        let holder = Handle::new("alice").unwrap();
        let (kind, slot) = (TokenKind::Yubikey, Slot::SIGNATURE);
        let wanted = Wanted { holder, kind, serial: Some(1.into()), slot, pkcs11: None };
        // Another's token is in one of two readers.
        let before = places(&[("a", true, 1), ("b", false, 0)]);
        let mut readers = Readers { places: before.clone(), answer: wrong, opened: 0 };
        let mut watch = Watch { fewest: before.occupied(), seen: before, looks: 0 };
        let mut look = |readers: &mut Readers| watch.look(readers, &wanted).map(|found| found.err().unwrap());

        // Nothing changes: no card is spoken to.
        assert!((0..20).all(|_| look(&mut readers).is_none()));
        assert_eq!(readers.opened, 0);
        // It is pulled out: that is no news.
        readers.places = places(&[("a", false, 2), ("b", false, 0)]);
        assert!((0..20).all(|_| look(&mut readers).is_none()));
        assert_eq!(readers.opened, u32::from(LOOKS));
        // A wrong one is told at once, and once.
        readers.places = places(&[("a", false, 2), ("b", true, 1)]);
        assert!(matches!(look(&mut readers), Some(TokenError::Wrong { .. })));
        assert!((0..20).all(|_| look(&mut readers).is_none()));
        // One that does not answer gets its time first.
        (readers.answer, readers.opened) = (silent, 0);
        readers.places = places(&[("a", true, 3), ("b", true, 1)]);
        assert!((1..LOOKS).all(|_| look(&mut readers).is_none()));
        assert!(matches!(look(&mut readers), Some(TokenError::Unready { .. })));
        assert_eq!(readers.opened, u32::from(LOOKS));
        assert!((0..20).all(|_| look(&mut readers).is_none()));
        // Swapped for another between two looks: looked at, and the count of what is in says nothing new.
        readers.places = places(&[("a", true, 5), ("b", true, 1)]);
        assert!((1..LOOKS).all(|_| look(&mut readers).is_none()));
        // The service is gone with every reader: nothing is said, and nothing fails.
        readers.places = Glance::default();
        assert!((0..20).all(|_| look(&mut readers).is_none()));
    }
}
