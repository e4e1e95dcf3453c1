//! What a test may want to go wrong at a card.

use std::collections::BTreeMap;

/// What goes wrong. All but [`Self::next`] last until they are taken back.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The next command with this instruction is answered by this status word, and does nothing.
    pub next: BTreeMap<u8, u16>,
    /// The card is pulled when a command with this instruction comes, before it does anything.
    pub pull_before: Option<u8>,
    /// The card is pulled after a command with this instruction did its work, before it answers.
    pub pull_after: Option<u8>,
    /// The answer to a command with this instruction, whose work is done, is held back until it is let go or the card is
    /// pulled. It happens once.
    pub hold_after: Option<u8>,
    /// The last byte of signatures is changed.
    pub bad_signatures: bool,
    /// Attestations name this serial number.
    pub serial: Option<u32>,
    /// Attestations name this firmware.
    pub firmware: Option<[u8; 3]>,
    /// Attestations name these policies of PIN and touch.
    pub policies: Option<(u8, u8)>,
    /// Attestations are of another key than the one in the slot.
    pub other_key: bool,
    /// Attestations are given for imported keys too, as if they were made here.
    pub imported: bool,
    /// The device's certificate is signed by an authority that nobody knows, under the name of the one that is known.
    pub stranger: bool,
}
