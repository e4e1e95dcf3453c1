//! PIV slots that hold a key of somebody's own: 9a, 9c, 9d, 9e and the retired ones, 82 to 95 (NIST SP 800-73-4, part 1,
//! table 4b). Slot f9 is the device's own and is none of them.

use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;
use serde::{Deserialize, Serialize};

/// A slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slot(u8);

/// A text that names no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a slot is \"9a\", \"9c\", \"9d\", \"9e\", or \"82\" to \"95\"")]
pub struct NotASlot;

impl Slot {
    /// 9c, for signatures: the one that is used where a plan names none.
    pub const SIGNATURE: Self = Self(0x9c);

    /// The slot of this name: two digits, lower case.
    ///
    /// # Errors
    /// See [`NotASlot`].
    pub fn parse(text: &str) -> Result<Self, NotASlot> {
        let number = u8::from_str_radix(text, 16).map_err(|_| NotASlot)?;
        let slot = Self(number);
        let is_one = Self::all().any(|known| known == slot);
        if is_one && slot.to_string() == text { Ok(slot) } else { Err(NotASlot) }
    }

    /// Every slot, those with a purpose first.
    pub fn all() -> impl Iterator<Item = Self> {
        [0x9a, 0x9c, 0x9d, 0x9e].into_iter().chain(0x82..=0x95).map(Self)
    }

    /// The name of the file that holds the attestation of its key, beside `public.pem`.
    pub fn attestation_file(self) -> String {
        format!("attestation-{self}.pem")
    }

    /// The slot whose attestation a file of this name holds.
    pub fn of_attestation_file(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix("attestation-")?.strip_suffix(".pem")?).ok()
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl TryFrom<String> for Slot {
    type Error = NotASlot;

    fn try_from(text: String) -> Result<Self, NotASlot> {
        Self::parse(&text)
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> Self {
        slot.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_one_name_and_one_file() {
        for name in ["9a", "9c", "9d", "9e", "82", "8f", "90", "95"] {
            let slot = Slot::parse(name).unwrap();
            assert_eq!(
                (slot.to_string().as_str(), Slot::of_attestation_file(&slot.attestation_file())),
                (name, Some(slot))
            );
        }
        for name in ["9b", "9C", "81", "96", "f9", "", "9", "09c", "+9c", "9c ", "é"] {
            assert_eq!(Slot::parse(name), Err(NotASlot), "{name}");
        }
        for file in ["attestation-9b.pem", "attestation-9c.pem.pem", "attestation-.pem", "9c.pem"] {
            assert_eq!(Slot::of_attestation_file(file), None, "{file}");
        }
    }
}
