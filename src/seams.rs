//! The traits between the layers, and nothing that implements them.
//!
//! `conduct` knows only what stands here and in the core. `cli` is the one place that chooses implementations and
//! hands them in. Each trait says what its caller may rely on; errors say what happened and what to do now.

mod ledger;
mod remote;
mod tokens;

pub use ledger::{Commit, Head, Ledger, LedgerError};
pub use remote::{Caught, Look, Offered, PushOutcome, Pushed, Remote, RemoteError, Seat};

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, StepId};
use trustroot_core::key::PublicKey;
use trustroot_core::page::{Page, Text};
use trustroot_core::review::OnlinePayload;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::twin::Twin;
use zeroize::Zeroizing;

pub use tokens::{
    AttestationFiles, EmptySlot, Glance, NewSecrets, PinReset, Pkcs11Wanted, SlotState, Token, TokenError, TokenState,
    Tokens, Tries, Wanted,
};

// ---------------------------------------------------------------------------------------------------------- secrets

/// A PIN or another secret that a person typed.
///
/// It has no `Debug`, `Display`, `Clone` or `Serialize`. Its bytes lie in memory that is locked where the system allows
/// it, and are wiped when it is dropped.
pub struct Pin {
    // Dropped in this order: the bytes are wiped while their page is still locked.
    bytes: Zeroizing<Box<[u8]>>,
    _lock: Option<region::LockGuard>,
}

impl Pin {
    /// Takes the secret over; `typed` is wiped.
    pub fn new(typed: Zeroizing<String>) -> Self {
        let bytes = Zeroizing::new(typed.as_bytes().to_vec().into_boxed_slice());
        // A refusal (an empty secret, a limit of the system) leaves the secret in ordinary memory, wiped all the same.
        let lock = region::lock(bytes.as_ptr(), bytes.len()).ok();
        Self { bytes, _lock: lock }
    }

    /// No secret at all: for a token whose own pad asks for it.
    pub fn on_pad() -> Self {
        Self::new(Zeroizing::new(String::new()))
    }

    /// The secret, for the call that presents it to a token.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

// ----------------------------------------------------------------------------------------------------------- tokens

/// A key that signs the online roles.
pub trait OnlineKey {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// The state of the PIN that the key needs; nothing for a key that needs none.
    ///
    /// # Errors
    /// The key's place cannot be reached.
    fn locked(&self) -> Result<Option<TokenState>, TokenError> {
        Ok(None)
    }

    /// Whether the PIN is typed on the token itself.
    fn has_pin_pad(&self) -> bool {
        false
    }

    /// Signs a snapshot or timestamp payload; no other kind can be handed in. `pin` is what [`Self::locked`] asks for.
    ///
    /// # Errors
    /// The key's place cannot be reached, or the PIN was wrong.
    fn sign(&self, payload: &OnlinePayload, pin: Option<&Pin>) -> Result<Vec<u8>, TokenError>;
}

/// Keys that exist for one twin and are forgotten.
pub trait ThrowAwayKeys {
    /// A fresh key, of the kind that stands in for `original`.
    fn replace(&mut self, original: &PublicKey) -> Box<dyn ThrowAwayKey>;
}

/// One throw-away key.
pub trait ThrowAwayKey {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// Signs a twin; no real payload can be handed in.
    fn sign(&self, twin: &Twin) -> Vec<u8>;
}

/// An independent TUF client.
pub trait Judge {
    /// Its name and version, such as `tough 0.24.0`.
    fn name(&self) -> String;

    /// Starts from the bytes of `1.root.json` in `root`, refreshes from `files` (as they would be served, by name), and
    /// ends at the newest metadata.
    ///
    /// # Errors
    /// What the client said when it refused.
    fn refresh(&self, root: &[u8], files: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> Result<(), String>;
}

// --------------------------------------------------------------------------------------------------------- audience

/// The one seam to the person.
pub trait Audience {
    /// Shows a page.
    ///
    /// # Errors
    /// The page could not be shown.
    fn show(&mut self, page: &Page) -> Result<(), AudienceError>;

    /// Says one line: what was just done, or what to do now.
    ///
    /// # Errors
    /// The line could not be shown.
    fn say(&mut self, kind: Tone, line: &Text) -> Result<(), AudienceError>;

    /// Asks. There is no default: an answer was typed, or there is none.
    ///
    /// # Errors
    /// See [`AudienceError`].
    fn ask(&mut self, question: &Question) -> Result<Answer, AudienceError>;

    /// Asks for something to be done ([`Form::Ready`]), and looks a few times a second whether it is: `is_done` says so, and
    /// then nobody has to answer. An audience that cannot look while it asks only asks.
    ///
    /// # Errors
    /// See [`AudienceError`].
    fn ask_or_see(&mut self, question: &Question, is_done: &mut dyn FnMut() -> bool) -> Result<Answer, AudienceError> {
        let _ = is_done;
        self.ask(question)
    }

    /// Asks for a secret, which is never shown. With `repeat` it is typed twice.
    ///
    /// # Errors
    /// See [`AudienceError`].
    fn secret(&mut self, question: &Question, repeat: bool) -> Result<Pin, AudienceError>;

    /// Announces a wait (a touch, long work), with the echo of keys switched off until `work` is done.
    ///
    /// # Errors
    /// The announcement could not be shown; `work` is not begun then.
    fn wait(&mut self, announce: &Text, work: &mut dyn FnMut()) -> Result<(), AudienceError>;

    /// As [`Self::wait`], for work that a person must do something for within `seconds`: what is left is counted down
    /// where somebody watches.
    ///
    /// # Errors
    /// As [`Self::wait`].
    fn count_down(&mut self, announce: &Text, seconds: u16, work: &mut dyn FnMut()) -> Result<(), AudienceError> {
        let _ = seconds;
        self.wait(announce, work)
    }
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something was done.
    Done,
    /// For information.
    Note,
    /// Something went wrong, and here is what.
    Trouble,
    /// What to do about it.
    Hint,
}

/// A question to one person.
#[derive(Clone, Debug)]
pub struct Question {
    /// The step it belongs to; with `name` it is the key in an answers file.
    pub step: StepId,
    /// The act it belongs to.
    pub act: Act,
    /// Which question of the step.
    pub name: &'static str,
    /// Who is asked.
    pub who: Handle,
    /// What is asked, one line.
    pub prompt: Text,
    /// What an answer looks like.
    pub form: Form,
    /// The digest that the answer affirms; an answers file must name the same.
    pub affirms: Option<Digest>,
}

/// What an answer looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A free line. The example is what a rehearsal answers by itself.
    Line {
        /// An example.
        example: String,
        /// Whether nothing is an answer.
        optional: bool,
    },
    /// Exactly this word or these words, which the person has read or heard; they are never shown by the prompt.
    /// With `optional`, nothing at all is an answer too.
    Exactly {
        /// The words, lower case, separated by single spaces.
        expect: String,
        /// Whether nothing is an answer.
        optional: bool,
    },
    /// The one word given, typed in full: consent to what cannot be undone.
    Consent {
        /// The word, which the prompt shows.
        word: &'static str,
    },
    /// One of several.
    One(Vec<Choice>),
    /// Any number of several; at first all are taken.
    Several(Vec<Choice>),
    /// Nothing but Enter, when the thing asked for is done.
    Ready,
    /// A secret; the minimum and maximum length in bytes.
    Secret {
        /// The fewest bytes.
        min: usize,
        /// The most bytes.
        max: usize,
    },
}

/// One possible answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What an answers file and the record call it.
    pub key: String,
    /// What is shown.
    pub label: Text,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A line, as typed, trimmed.
    Line(String),
    /// The key of the choice.
    One(String),
    /// The keys of the choices.
    Several(BTreeSet<String>),
    /// It is done.
    Ready,
    /// The one key press that interrupts any question but a secret: an exception is to be logged, or more.
    Interject,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AudienceError {
    /// Ctrl-C, or the terminal was closed.
    #[error("interrupted")]
    Interrupted,
    /// There is nobody to ask.
    #[error("the question could not be asked: {0}")]
    NotAsked(String),
    /// An answers file does not fit.
    #[error("{0}")]
    Answers(String),
    /// The terminal failed.
    #[error("the terminal failed: {0}")]
    Io(#[from] std::io::Error),
}

// ------------------------------------------------------------------------------------------------- time and entropy

/// Where the time comes from.
pub trait Clock {
    /// The time of the next event. A system clock ignores `last`, the time of the newest event; a rehearsal's fixed
    /// clock counts on from it, so that a resumed rehearsal ends in the same bytes.
    fn now(&self, last: Option<Timestamp>) -> Timestamp;
}

/// Where chance comes from.
pub trait Entropy {
    /// A number below `bound`. `purpose` and `about` say what for: a seeded source derives the number from them, so that it
    /// does not depend on what was drawn before.
    fn below(&mut self, bound: u32, purpose: &str, about: &Digest) -> u32;
}
