//! PIN and PUK: presenting, changing, unblocking, and what is left when both are blocked.

use super::{Answer, Card};
use crate::apdu::status;
use crate::state::{FACTORY_PIN, FACTORY_PUK, Secret};

const PIN: u8 = 0x80;
const PUK: u8 = 0x81;

/// What a card with PIN complexity refuses, besides one character over and over.
const EASY: [&[u8]; 9] =
    [b"123456", b"123123", b"654321", b"123321", b"112233", b"121212", b"123456789", b"12345678", b"password"];

impl Card {
    /// VERIFY: presents the PIN, asks for the tries left, or logs out.
    pub(super) fn verify_pin(&mut self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        if p2 != PIN {
            return Err(status::NO_REFERENCE);
        }
        match (p1, data.len()) {
            (0xff, 0) => self.session.has_pin = false,
            (0, 0) if self.session.has_pin => {}
            (0, 0) if self.state.pin.tries == 0 => return Err(status::BLOCKED),
            (0, 0) => return Err(status::TRIES | u16::from(self.state.pin.tries)),
            (0, 8) => {
                let presented = self.state.pin.present(data);
                self.store()?;
                self.session.has_pin = presented.is_ok();
                self.session.has_fresh_pin = presented.is_ok();
                presented?;
            }
            (0, _) => return Err(status::WRONG_LENGTH),
            _ => return Err(status::BAD_P1_P2),
        }
        Ok(Vec::new())
    }

    /// CHANGE REFERENCE DATA.
    pub(super) fn change_secret(&mut self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        let (old, new) = two(p1, data)?;
        let fit = self.fit(new);
        let secret = match p2 {
            PIN => &mut self.state.pin,
            PUK => &mut self.state.puk,
            _ => return Err(status::NO_REFERENCE),
        };
        let presented = secret.present(old);
        if presented.is_ok() && fit.is_ok() {
            secret.replace(new);
        }
        if p2 == PIN {
            self.session.has_pin = presented.is_ok();
        }
        self.store()?;
        presented.and(fit).map(|()| Vec::new())
    }

    /// RESET RETRY COUNTER: a new PIN by the PUK.
    pub(super) fn unblock_pin(&mut self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        if p2 != PIN {
            return Err(status::NO_REFERENCE);
        }
        let (puk, new) = two(p1, data)?;
        let fit = self.fit(new);
        let presented = self.state.puk.present(puk);
        if presented.is_ok() && fit.is_ok() {
            self.state.pin.replace(new);
        }
        self.store()?;
        presented.and(fit).map(|()| Vec::new())
    }

    /// SET PIN RETRIES: both secrets become the factory's again.
    pub(super) fn set_tries(&mut self, pin: u8, puk: u8) -> Answer {
        if !self.session.is_administrator || !self.session.has_pin {
            return Err(status::NOT_SATISFIED);
        }
        if pin == 0 || puk == 0 {
            return Err(status::BAD_DATA);
        }
        self.state.pin = Secret::factory(FACTORY_PIN, pin);
        self.state.puk = Secret::factory(FACTORY_PUK, puk);
        self.session.has_pin = false;
        self.store()?;
        Ok(Vec::new())
    }

    /// RESET: only when both secrets are blocked.
    pub(super) fn reset(&mut self) -> Answer {
        if self.tries() != (0, 0) {
            return Err(status::CONDITIONS);
        }
        self.state.reset();
        self.session = super::Session::of(self.session.applet);
        self.store()?;
        Ok(Vec::new())
    }

    /// Whether a new secret may be one: 6 to 8 characters, padded with FF, and hard to guess where the model wants that.
    fn fit(&self, new: &[u8]) -> Result<(), u16> {
        let n = new.iter().position(|byte| *byte == 0xff).unwrap_or(new.len());
        let (typed, padding) = new.split_at(n);
        if n < 6 || padding.iter().any(|byte| *byte != 0xff) {
            return Err(status::BAD_DATA);
        }
        let is_easy = EASY.contains(&typed) || typed.iter().all(|byte| *byte == typed[0]);
        if self.state.model.pin_complexity && is_easy { Err(status::CONDITIONS) } else { Ok(()) }
    }
}

/// Two secrets of 8 bytes.
fn two(p1: u8, data: &[u8]) -> Result<(&[u8], &[u8]), u16> {
    if p1 != 0 {
        return Err(status::BAD_P1_P2);
    }
    if data.len() != 16 {
        return Err(status::WRONG_LENGTH);
    }
    Ok(data.split_at(8))
}
