//! The traits between the layers, and nothing that implements them.
//!
//! `conduct` knows only what stands here and in the core. `cli` is the one place that chooses implementations and
//! hands them in. Each trait says what its caller may rely on; errors say what happened and what to do now.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, StepId, TokenFacts};
use trustroot_core::key::PublicKey;
use trustroot_core::page::{Page, Text};
use trustroot_core::review::{OnlinePayload, Reviewed};
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::Tree;
use trustroot_core::twin::Twin;
use zeroize::Zeroizing;

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

    /// The secret, for the call that presents it to a token.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

// ----------------------------------------------------------------------------------------------------------- tokens

/// The place where tokens are found.
pub trait Tokens {
    /// Opens the token that `wanted` describes. The caller has asked for it to be plugged in.
    ///
    /// # Errors
    /// [`TokenError::Absent`] and [`TokenError::Wrong`] name what was found instead.
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError>;
}

/// The token that is looked for: whose it is, what the plan says of it, and what the record already knows.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose.
    pub holder: Handle,
    /// The kind in the plan.
    pub kind: trustroot_core::plan::TokenKind,
    /// The serial, where the plan or the record names one.
    pub serial: Option<u32>,
}

/// A signing token. A handle is held for one sitting and dropped after it.
pub trait Token {
    /// What the token says of itself.
    fn facts(&self) -> TokenFacts;

    /// Tries left and factory defaults, read without spending a try.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn state(&mut self) -> Result<TokenState, TokenError>;

    /// Replaces the factory PIN, PUK and management key, each proved before the old one is dropped. The PUK and the
    /// management key are made by the token's own layer and kept under the PIN.
    ///
    /// # Errors
    /// [`TokenError::NotFresh`] for a token whose PIN is not the factory's.
    fn provision(&mut self, pin: &Pin) -> Result<(), TokenError>;

    /// Looks into the signing slot.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn inspect(&mut self) -> Result<SlotState, TokenError>;

    /// Generates a key in a slot that [`Self::inspect`] found empty. Irreversible.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn generate(&mut self, slot: EmptySlot, pin: &Pin) -> Result<PublicKey, TokenError>;

    /// The attestation of the key in the signing slot, and the certificate of the device that made it, both in DER.
    /// Nothing is verified here.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn attest(&mut self) -> Result<AttestationFiles, TokenError>;

    /// Signs a root payload that was reviewed. ECDSA signatures are DER.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn sign_root(&mut self, payload: &Reviewed<trustroot_core::review::Root>, pin: &Pin)
    -> Result<Vec<u8>, TokenError>;

    /// Signs a targets payload that was reviewed.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn sign_targets(
        &mut self,
        payload: &Reviewed<trustroot_core::review::Targets>,
        pin: &Pin,
    ) -> Result<Vec<u8>, TokenError>;
}

/// What can be known of a token without spending a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// Whether the PIN is the factory's.
    pub pin_is_default: bool,
    /// Tries of the PIN that are left.
    pub pin_tries: u8,
}

/// What is in the signing slot.
pub enum SlotState {
    /// Nothing; here is the right to generate.
    Empty(EmptySlot),
    /// A key.
    Occupied(PublicKey),
}

/// The right to generate into the signing slot. Token back-ends make it when inspection finds the slot empty, and
/// `generate` consumes it, so overwriting a key cannot be written.
#[derive(Debug)]
pub struct EmptySlot {
    name: String,
}

impl EmptySlot {
    /// For token back-ends: the slot called `name` was inspected and found empty.
    pub fn assertion(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// The name of the slot, such as `9c`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// An attestation as the token gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationFiles {
    /// The attestation certificate of the signing slot, DER.
    pub slot: Vec<u8>,
    /// The device's own attestation certificate (slot f9), DER.
    pub device: Vec<u8>,
}

/// What went wrong at a token. The texts are shown to the holder; each has a remedy in [`TokenError::hint`].
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No token answers.
    #[error("no token answers for {0}")]
    Absent(Handle),
    /// Another token than the one wanted.
    #[error("this is the token with serial {found}; the one wanted has serial {wanted}")]
    Wrong {
        /// What was found.
        found: u32,
        /// What was wanted.
        wanted: u32,
    },
    /// The PIN was wrong.
    #[error("wrong PIN; tries left: {tries}")]
    WrongPin {
        /// What is left.
        tries: u8,
    },
    /// The PIN is blocked, or one more wrong PIN would block it.
    #[error("no more tries of the PIN are spent here; tries left: {tries}")]
    PinBlocked {
        /// What is left.
        tries: u8,
    },
    /// The token was pulled out.
    #[error("the token was pulled out before it answered")]
    Removed,
    /// Nobody touched the token in time.
    #[error("the token was not touched in time")]
    NotTouched,
    /// The token is not in factory state.
    #[error("the token is not fresh: its PIN was changed before")]
    NotFresh,
    /// The slot holds a key already.
    #[error("the slot {0} holds a key already")]
    Occupied(String),
    /// The slot is empty where a key was expected.
    #[error("the slot holds no key")]
    NoKey,
    /// The back-end refuses, for the reason given.
    #[error("{0}")]
    Refused(String),
    /// The device or its driver failed.
    #[error("the token failed: {0}")]
    Device(String),
}

impl TokenError {
    /// What to do now.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Absent(_) => "plug the token in, wait for its light, and try again",
            Self::Wrong { .. } => "unplug this token and plug in the one whose serial is wanted",
            Self::WrongPin { .. } => "type the PIN again, slowly; the last try is never spent here",
            Self::PinBlocked { .. } => "unblock the PIN with the PUK outside the ceremony, or leave this token out",
            Self::Removed => "plug it in again and repeat the step; nothing was signed unless the record says so",
            Self::NotTouched => "try again, and touch the token when its light blinks",
            Self::NotFresh => "use a fresh token, or reset this one if none of its keys is in a root",
            Self::Occupied(_) => "use an empty token; a key is never overwritten",
            Self::NoKey => "this is not the token whose key was recorded; plug that one in",
            Self::Refused(_) => "read the reason, mend it in the plan or bring another token",
            Self::Device(_) => "unplug the token, plug it in again, and repeat the step",
        }
    }
}

/// A key that signs the online roles.
pub trait OnlineKey {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// Signs a snapshot or timestamp payload; no other kind can be handed in.
    ///
    /// # Errors
    /// The key's place cannot be reached.
    fn sign(&self, payload: &OnlinePayload) -> Result<Vec<u8>, TokenError>;
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

// ----------------------------------------------------------------------------------------------------------- ledger

/// A git repository that holds a trust root.
pub trait Ledger {
    /// The files of the newest commit under `ceremony/` and `root/`, and where that is.
    ///
    /// # Errors
    /// See [`LedgerError`].
    fn head(&self) -> Result<Head, LedgerError>;

    /// Commits one step: objects first, then the branch by compare-and-swap, then the working tree.
    ///
    /// # Errors
    /// [`LedgerError::Moved`] if the branch is no longer where `commit.parent` says; nothing is changed then.
    fn append(&mut self, commit: &Commit) -> Result<Head, LedgerError>;

    /// Makes the tag `name` at the newest commit, signed where the person's git is set up for it, annotated otherwise.
    /// An existing tag of that name at that commit is left as it is.
    ///
    /// # Errors
    /// [`LedgerError::TagExists`] if the name is taken by something else.
    fn tag(&mut self, name: &str, message: &str, time: Timestamp) -> Result<(), LedgerError>;

    /// Signs `bytes` with the person's own SSH key in `namespace` (`ssh-keygen -Y sign`); nothing if their git is not
    /// set up for SSH signatures. The result is the armoured signature.
    ///
    /// # Errors
    /// `ssh-keygen` was set up and failed, or the person refused.
    fn ssh_sign(&mut self, namespace: &str, bytes: &[u8]) -> Result<Option<String>, LedgerError>;
}

/// A moment of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The full id of the commit; nothing before the first.
    pub commit: Option<String>,
    /// The files under `ceremony/` and `root/`, and `.gitattributes`.
    pub tree: Tree,
}

/// One step, one event, one commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Where the branch must be; nothing for the first commit.
    pub parent: Option<String>,
    /// The files to add or replace, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The message: a line of what, a blank line, trailers.
    pub message: String,
    /// The time stated, as author's and committer's.
    pub time: Timestamp,
}

/// What went wrong at the repository.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no repository.
    #[error("there is no git repository at {0}")]
    NotFound(String),
    /// The repository belongs to somebody else.
    #[error("the repository at {0} belongs to another user of this machine")]
    Foreign(String),
    /// The working tree holds changes that are not ours.
    #[error("the working tree at {path} holds changes that no step made: {}", files.join(", "))]
    Dirty {
        /// The repository.
        path: String,
        /// The first few paths, escaped.
        files: Vec<String>,
    },
    /// Somebody else committed in the meantime.
    #[error("the branch moved: it was expected at {expected} and is at {found}")]
    Moved {
        /// The commit expected.
        expected: String,
        /// The commit found.
        found: String,
    },
    /// No branch is checked out, or a merge or rebase is under way.
    #[error("the repository is in the middle of something: {0}")]
    Busy(String),
    /// The tag's name is taken.
    #[error("the tag {0} exists already and points elsewhere")]
    TagExists(String),
    /// The person's name or mail address is not set.
    #[error("git does not know who you are")]
    NoIdentity,
    /// `ssh-keygen` failed.
    #[error("ssh-keygen could not sign: {0}")]
    SshSign(String),
    /// `gpg` or `gpgsm` failed.
    #[error("gpg could not sign: {0}")]
    GpgSign(String),
    /// There is more than a trust root ever holds.
    #[error("the repository is larger than a trust root may be: {0}")]
    Limit(String),
    /// The commit or tag that was asked for must not be made: a path outside the trust root, a change to what is
    /// append-only. Nothing was changed.
    #[error("this must not be committed: {0}")]
    Unfit(String),
    /// The repository is of a kind that is not read: another hash, another storage of references, a working tree that is
    /// somewhere else.
    #[error("the repository at {path} is of a kind that is not read here: {reason}")]
    Unknown {
        /// The repository.
        path: String,
        /// What git said, escaped.
        reason: String,
    },
    /// Objects are missing, or are not what their ids say.
    #[error("the repository at {path} is not whole: {reason}")]
    Damaged {
        /// The repository.
        path: String,
        /// What git said, escaped.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("the repository at {path} cannot be read or written: {reason}")]
    Io {
        /// The repository.
        path: String,
        /// What the system or git said, escaped.
        reason: String,
    },
}

impl LedgerError {
    /// What to do now.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "go to the trust root's clone, or make one with `git init` and `trustroot plan new`",
            Self::Foreign(_) => {
                "work in a clone of your own, or, if you trust it, `git config --global --add safe.directory PATH`"
            }
            Self::Dirty { .. } => "look with `git status`; commit or stash what is yours, then start again",
            Self::Moved { .. } => {
                "another process or person committed; start again, and the ceremony goes on from there"
            }
            Self::Busy(_) => {
                "let the other process end, or finish or abort it with git, check the branch out, then start again"
            }
            Self::TagExists(_) => {
                "look with `git show TAG`; a published tag is never moved, so name the ceremony differently"
            }
            Self::NoIdentity => "git config user.name \"Your Name\" && git config user.email you@example.org",
            Self::SshSign(_) => "check user.signingkey and your agent (`ssh-add -L`), then start again",
            Self::GpgSign(_) => "check user.signingkey and `gpg --list-secret-keys`, then start again",
            Self::Limit(_) => "look with `git ls-files` for what does not belong there, and verify a clone without it",
            Self::Unfit(_) => {
                "nothing was changed; look at the path with `git log`, and report it if no person put it there"
            }
            Self::Unknown { .. } => {
                "make a clone that any git reads, with `git clone --ref-format=files URL`; repositories with SHA-256 ids are \
                 not read"
            }
            Self::Damaged { .. } => {
                "a clone that left objects out is completed by `git fetch --refetch --no-filter`; else look with \
                 `git fsck`, and make a new clone"
            }
            Self::Io { .. } => "check space and permissions (`df`, `ls -l`); what was committed is safe, start again",
        }
    }
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
