//! The card, as a host sees it: the PIV applet, and as much of the management and OTP applets as clients ask for.
//!
//! Rules:
//! 1. [`Card::transmit`] takes one command and gives one answer; everything a host can do goes through it.
//! 2. What stands in [`State`] survives unplugging; logins, chains and witnesses do not.
//! 3. What the vendor's description leaves open follows from what the vendor's own clients do with it.
//! 4. A fault is asked for by a test, never by a host.

mod administer;
mod faults;
mod objects;
mod pins;
mod slots;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::apdu::{Command, status};
use crate::der::tlv;
use crate::state::State;

pub use faults::Faults;

/// The application that a command goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Applet {
    None,
    Piv,
    Management,
    Otp,
}

const PIV: &[u8] = &[0xa0, 0x00, 0x00, 0x03, 0x08];
const MANAGEMENT: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17];
const OTP: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01];
/// What the PIV applet adds to its name.
const PIV_SUFFIX: [u8; 6] = [0x00, 0x00, 0x10, 0x00, 0x01, 0x00];

/// The answer to reset of a YubiKey 5 over USB: T=1, historical bytes `YubiKey`.
pub const ATR: &[u8] = &[
    0x3b, 0xfd, 0x13, 0x00, 0x00, 0x81, 0x31, 0xfe, 0x15, 0x80, 0x73, 0xc0, 0x21, 0xc0, 0x57, 0x59, 0x75, 0x62, 0x69,
    0x4b, 0x65, 0x79, 0x40,
];

/// The longest command that is put together from parts.
const LONGEST: usize = 3072;

/// Who touches the card.
pub trait Finger: Send + Sync {
    /// Waits for a touch, at most so long. False: nobody came.
    fn touch_within(&self, limit: Duration) -> bool;
}

/// A finger that is always there.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysTouched;

impl Finger for AlwaysTouched {
    fn touch_within(&self, _: Duration) -> bool {
        true
    }
}

/// A virtual YubiKey.
pub struct Card {
    state: State,
    path: Option<PathBuf>,
    finger: Arc<dyn Finger>,
    /// How long it waits for a touch.
    pub touch_limit: Duration,
    /// What is to go wrong.
    pub faults: Faults,
    headers: Vec<[u8; 4]>,
    session: Session,
    touched_at: Option<Instant>,
}

/// What is forgotten when an application is selected.
struct Session {
    applet: Applet,
    has_pin: bool,
    /// Whether the PIN was presented in the command just before.
    has_fresh_pin: bool,
    is_administrator: bool,
    witness: Option<Vec<u8>>,
    challenge: Option<Vec<u8>>,
    /// Instruction and parameters of the command that comes in parts, and the parts so far.
    parts: Option<([u8; 3], Vec<u8>)>,
    /// What is left of the last answer.
    rest: Vec<u8>,
}

impl Session {
    fn of(applet: Applet) -> Self {
        Self {
            applet,
            has_pin: false,
            has_fresh_pin: false,
            is_administrator: false,
            witness: None,
            challenge: None,
            parts: None,
            rest: Vec::new(),
        }
    }
}

/// The data of an answer, or the status word of a refusal.
type Answer = Result<Vec<u8>, u16>;

impl Card {
    /// A card in this state. Each change is written to `path`, if there is one.
    pub fn new(state: State, path: Option<PathBuf>, finger: Arc<dyn Finger>) -> Self {
        Self {
            state,
            path,
            finger,
            touch_limit: Duration::from_secs(15),
            faults: Faults::default(),
            headers: Vec::new(),
            session: Session::of(Applet::None),
            touched_at: None,
        }
    }

    /// The serial number.
    pub fn serial(&self) -> u32 {
        self.state.model.serial
    }

    /// Class, instruction and parameters of every command that came, in order. The data, which may be a secret, is not kept.
    pub fn headers(&self) -> &[[u8; 4]] {
        &self.headers
    }

    /// Tries left of PIN and PUK.
    pub fn tries(&self) -> (u8, u8) {
        (self.state.pin.tries, self.state.puk.tries)
    }

    /// Power off, power on, or reset.
    pub fn power_cycle(&mut self) {
        self.session = Session::of(Applet::None);
        self.touched_at = None;
    }

    /// One command in, one answer out.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        let (mut answer, status) = self.answer(command).unwrap_or_else(|refused| (Vec::new(), refused));
        answer.extend(status.to_be_bytes());
        answer
    }

    fn answer(&mut self, bytes: &[u8]) -> Result<(Vec<u8>, u16), u16> {
        let command = Command::parse(bytes).ok_or(status::WRONG_LENGTH)?;
        self.headers.push([command.class, command.instruction, command.p1, command.p2]);
        // Chaining and the logical channels are the only classes there are.
        if command.class & !0x1c != 0 {
            return Err(status::NO_CLASS);
        }
        if command.instruction == 0xc0 {
            return self.more(command.expected);
        }
        self.session.rest.clear();
        let Some(data) = self.whole(&command)? else { return Ok((Vec::new(), status::OK)) };
        if let Some(status) = self.faults.next.remove(&command.instruction) {
            return Err(status);
        }
        let mut answer = self.dispatch(&command, &data)?;
        // Without extended length 256 bytes fit, and the rest is asked for.
        self.session.rest = answer.split_off(answer.len().min(command.expected.max(256)));
        Ok((answer, self.left()))
    }

    /// GET RESPONSE.
    fn more(&mut self, expected: usize) -> Result<(Vec<u8>, u16), u16> {
        let n = expected.clamp(1, 256).min(self.session.rest.len());
        if n == 0 {
            return Err(status::CONDITIONS);
        }
        let part = self.session.rest.drain(..n).collect();
        Ok((part, self.left()))
    }

    /// The status word of an answer of which `rest` is left.
    fn left(&self) -> u16 {
        match self.session.rest.len() {
            0 => status::OK,
            n => status::MORE | u16::from(u8::try_from(n).unwrap_or(0)),
        }
    }

    /// Puts a command together that comes in parts; nothing while parts are missing.
    fn whole(&mut self, command: &Command<'_>) -> Result<Option<Vec<u8>>, u16> {
        let head = [command.instruction, command.p1, command.p2];
        let mut data = match self.session.parts.take() {
            Some((begun, data)) if begun == head => data,
            _ => Vec::new(),
        };
        data.extend_from_slice(command.data);
        if data.len() > LONGEST {
            return Err(status::WRONG_LENGTH);
        }
        if command.class & 0x10 == 0 {
            return Ok(Some(data));
        }
        self.session.parts = Some((head, data));
        Ok(None)
    }

    fn dispatch(&mut self, command: &Command<'_>, data: &[u8]) -> Answer {
        let Command { instruction, p1, p2, .. } = *command;
        if instruction == 0xa4 {
            return self.select(p1, data);
        }
        match self.session.applet {
            Applet::None => Err(status::NO_INSTRUCTION),
            Applet::Otp if (instruction, p1) == (0x01, 0x10) => Ok(self.serial().to_be_bytes().to_vec()),
            Applet::Management if instruction == 0x1d => self.device_information(p1),
            Applet::Otp | Applet::Management => Err(status::NO_INSTRUCTION),
            Applet::Piv => self.piv(instruction, (p1, p2), data),
        }
    }

    fn piv(&mut self, instruction: u8, (p1, p2): (u8, u8), data: &[u8]) -> Answer {
        // A PIN policy of "always" means: in the command right before.
        let has_fresh_pin = std::mem::take(&mut self.session.has_fresh_pin);
        match instruction {
            0x20 => self.verify_pin(p1, p2, data),
            0x24 => self.change_secret(p1, p2, data),
            0x2c => self.unblock_pin(p1, p2, data),
            0x47 => self.generate(p1, p2, data),
            0x87 => self.authenticate(p1, p2, data, has_fresh_pin),
            0xcb => self.get_data(p1, p2, data),
            0xdb => self.put_data(p1, p2, data),
            0xf6 => self.move_key(p1, p2),
            0xf7 => self.metadata(p2),
            0xf8 => Ok(self.serial().to_be_bytes().to_vec()),
            0xf9 => self.attest(p1),
            0xfa => self.set_tries(p1, p2),
            0xfb => self.reset(),
            0xfd => Ok(self.state.model.firmware.to_vec()),
            0xfe => self.import(p1, p2, data),
            0xff => self.set_management_key(p1, p2, data),
            _ => Err(status::NO_INSTRUCTION),
        }
    }

    fn select(&mut self, p1: u8, name: &[u8]) -> Answer {
        if p1 != 4 {
            return Err(status::BAD_P1_P2);
        }
        // A name may be cut short, or have a version after it.
        let is = |full: &[u8]| name.len() >= 5 && (full.starts_with(name) || name.starts_with(full));
        let [major, minor, patch] = self.state.model.firmware;
        let (applet, answer) = if is(PIV) {
            let properties = [tlv(0x4f, &PIV_SUFFIX), tlv(0x79, &tlv(0x4f, PIV))].concat();
            (Applet::Piv, tlv(0x61, &properties))
        } else if is(MANAGEMENT) {
            (Applet::Management, format!("Virtual mgr - FW version {major}.{minor}.{patch}").into_bytes())
        } else if is(OTP) {
            (Applet::Otp, vec![major, minor, patch, 0x00, 0x05, 0x00, 0x00, 0x00])
        } else {
            self.session = Session::of(Applet::None);
            return Err(status::NOT_FOUND);
        };
        self.session = Session::of(applet);
        Ok(answer)
    }

    /// READ CONFIG of the management applet: PIV is there, and is the only thing.
    fn device_information(&self, page: u8) -> Answer {
        const PIV_ONLY: [u8; 2] = [0x00, 0x10];
        if page != 0 {
            return Err(status::BAD_P1_P2);
        }
        let model = &self.state.model;
        let mut fields = vec![
            tlv(0x01, &PIV_ONLY),
            tlv(0x02, &model.serial.to_be_bytes()),
            tlv(0x03, &PIV_ONLY),
            tlv(0x04, &[model.marked_form_factor()]),
            tlv(0x05, &model.firmware),
            tlv(0x06, &[0, 0]),
            tlv(0x07, &[15]),
            tlv(0x08, &[0]),
            tlv(0x0a, &[0]),
        ];
        if model.firmware >= [5, 7, 0] {
            if model.fips {
                fields.push(tlv(0x14, &PIV_ONLY));
            }
            fields.push(tlv(0x16, &[u8::from(model.pin_complexity)]));
        }
        let fields = fields.concat();
        let length = u8::try_from(fields.len()).map_err(|_| status::CONDITIONS)?;
        Ok([&[length][..], &fields].concat())
    }

    /// Waits for the finger, if the policy (1 never, 2 always, 3 once in 15 seconds) asks for it.
    fn touch(&mut self, policy: u8) -> Result<(), u16> {
        let was_touched = self.touched_at.is_some_and(|at| at.elapsed() < Duration::from_secs(15));
        if policy == 1 || (policy == 3 && was_touched) {
            return Ok(());
        }
        if !self.finger.touch_within(self.touch_limit) {
            return Err(status::NOT_SATISFIED);
        }
        self.touched_at = Some(Instant::now());
        Ok(())
    }

    fn store(&self) -> Result<(), u16> {
        match &self.path {
            Some(path) => self.state.store(path).map_err(|_| status::CONDITIONS),
            None => Ok(()),
        }
    }
}
