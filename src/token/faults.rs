//! Faults that virtual tokens play, so that people and tests practise trouble.
//!
//! A fault is written `HOLDER:FAULT` or `HOLDER:FAULT:TIMES`, such as `bob:pulled-mid-sign`. It fires once by default.
//! How often it fired is kept in the token's state, so a ceremony that is killed and resumed meets it no more often.

use std::str::FromStr;

use trustroot_core::text::{Handle, escape};

macro_rules! points {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// What goes wrong, and where.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultPoint { $($(#[doc = $doc])* $variant,)* }

        impl FaultPoint {
            /// Every fault there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as it is written on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

points! {
    /// No token answers when it is opened.
    Absent = "absent",
    /// Another token is plugged in.
    WrongToken = "wrong-token",
    /// The next PIN is taken as wrong, whatever it is; a try is spent.
    WrongPin = "wrong-pin",
    /// The token is pulled out before the key is generated.
    PulledBeforeGenerate = "pulled-before-generate",
    /// The token is pulled out after the key was generated and before it answers.
    PulledAfterGenerate = "pulled-after-generate",
    /// The token is pulled out while it signs.
    PulledMidSign = "pulled-mid-sign",
    /// Nobody touches the token while it signs.
    NotTouched = "not-touched",
    /// The attestation is of a token with another serial number.
    ForgedSerial = "forged-serial",
    /// The attestation is signed by an authority that nobody knows, under the name of the one that is known.
    ForgedAuthority = "forged-authority",
    /// The attestation is of another key.
    ForgedKey = "forged-key",
    /// The attestation says that neither PIN nor touch is asked for, as for a key that was imported with weak policies.
    ForgedPolicy = "forged-policy",
    /// The attestation is of another slot.
    ForgedSlot = "forged-slot",
    /// The attestation is of a firmware with a known weakness.
    OldFirmware = "old-firmware",
}

/// A fault that is to fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At whose token.
    pub holder: Handle,
    /// What goes wrong.
    pub at: FaultPoint,
    /// How often.
    pub times: u32,
}

/// A text that is no fault; it names those that are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a fault; write HOLDER:FAULT or HOLDER:FAULT:TIMES, FAULT being one of: {}", escape(.0), known())]
pub struct NotAFault(String);

fn known() -> String {
    FaultPoint::ALL.iter().map(|point| point.name()).collect::<Vec<_>>().join(", ")
}

impl Fault {
    /// Reads `HOLDER:FAULT` or `HOLDER:FAULT:TIMES`, TIMES from 1 to 99.
    ///
    /// # Errors
    /// Any other text.
    pub fn parse(text: &str) -> Result<Self, NotAFault> {
        let read = || {
            let mut parts = text.split(':');
            let holder = Handle::new(parts.next()?).ok()?;
            let name = parts.next()?;
            let at = FaultPoint::ALL.iter().copied().find(|point| point.name() == name)?;
            let times = match parts.next() {
                None => 1,
                Some(digits) => digits.parse().ok().filter(|times| (1..=99).contains(times))?,
            };
            parts.next().is_none().then_some(Self { holder, at, times })
        };
        read().ok_or_else(|| NotAFault(text.to_owned()))
    }
}

impl FromStr for Fault {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, NotAFault> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read() {
        for point in FaultPoint::ALL {
            let fault = Fault::parse(&format!("bob:{}", point.name())).unwrap();
            assert_eq!((fault.holder.as_str(), fault.at, fault.times), ("bob", *point, 1));
        }
        assert_eq!(Fault::parse("bob:absent:3").unwrap().times, 3);
    }

    #[test]
    fn anything_else_names_what_is_known() {
        for bad in [
            "",
            "bob",
            "bob:",
            ":absent",
            "bob:Absent",
            "bob:absent:0",
            "bob:absent:100",
            "bob:absent:1:1",
            "BOB:absent",
        ] {
            let error = Fault::parse(bad).unwrap_err().to_string();
            assert!(error.contains("pulled-mid-sign, not-touched"), "{error}");
        }
        assert!(Fault::parse("a\u{1b}[2J").unwrap_err().to_string().contains("a\\u{1b}[2J"));
    }
}
