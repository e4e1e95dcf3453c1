//! What a YubiKey says of a key's policies and of its own shape, in the vendor's numbers.

use core::fmt;

/// When a token asks for its PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinPolicy {
    /// Never.
    Never,
    /// Once after it was plugged in.
    Once,
    /// For each signature.
    Always,
    /// A value that is not understood.
    Unknown(u8),
}

/// When a token asks for a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchPolicy {
    /// Never.
    Never,
    /// For each signature.
    Always,
    /// Once in 15 seconds.
    Cached,
    /// A value that is not understood.
    Unknown(u8),
}

impl PinPolicy {
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Never,
            2 => Self::Once,
            3 => Self::Always,
            other => Self::Unknown(other),
        }
    }
}

impl TouchPolicy {
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Never,
            2 => Self::Always,
            3 => Self::Cached,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for PinPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Once => f.write_str("once"),
            Self::Always => f.write_str("always"),
            Self::Unknown(value) => write!(f, "unknown ({value})"),
        }
    }
}

impl fmt::Display for TouchPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Always => f.write_str("always"),
            Self::Cached => f.write_str("cached for 15 seconds"),
            Self::Unknown(value) => write!(f, "unknown ({value})"),
        }
    }
}

/// The shape of a token, as its maker numbers it; the highest bit marks the FIPS series, the next one the Security Key
/// series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormFactor(pub u8);

impl fmt::Display for FormFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 & 0x3f {
            1 => f.write_str("USB-A keychain"),
            2 => f.write_str("USB-A nano"),
            3 => f.write_str("USB-C keychain"),
            4 => f.write_str("USB-C nano"),
            5 => f.write_str("USB-C and Lightning"),
            6 => f.write_str("USB-A biometric"),
            7 => f.write_str("USB-C biometric"),
            other => write!(f, "unknown ({other})"),
        }?;
        if self.0 & 0x40 != 0 {
            f.write_str(", Security Key series")?;
        }
        if self.0 & 0x80 == 0 { Ok(()) } else { f.write_str(", FIPS series") }
    }
}
