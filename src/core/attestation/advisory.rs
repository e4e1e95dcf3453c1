//! What is publicly known to be weak in tokens, by firmware and kind of key.
//!
//! Each entry is a vendor's own advisory. An advisory refuses by default; whoever waives one does it by name, in the plan,
//! where everybody reads it.

use crate::key::Algorithm;
use core::fmt;
use serde::{Deserialize, Serialize};

/// What people call an advisory, and what a plan that waives it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AdvisoryName {
    /// RSA keys that can be factored.
    #[serde(rename = "ROCA")]
    Roca,
    /// Predictable values in the FIPS series of 2019.
    #[serde(rename = "FIPS-2019")]
    Fips2019,
    /// ECDSA keys that can be read out in a laboratory.
    #[serde(rename = "EUCLEAK")]
    Eucleak,
}

impl fmt::Display for AdvisoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Roca => "ROCA",
            Self::Fips2019 => "FIPS-2019",
            Self::Eucleak => "EUCLEAK",
        })
    }
}

/// A published weakness.
#[derive(Clone, Copy, Debug)]
pub struct Advisory {
    /// What people call it.
    pub name: AdvisoryName,
    /// The vendor's number and the CVE.
    pub id: &'static str,
    /// What it means for a root key.
    pub what: &'static str,
    from: (u8, u8, u8),
    below: (u8, u8, u8),
    concerns: fn(Algorithm) -> bool,
}

/// Every advisory that is known here.
pub const ADVISORIES: &[Advisory] = &[
    Advisory {
        name: AdvisoryName::Roca,
        id: "YSA-2017-01, CVE-2017-15361",
        what: "an RSA key made by firmware 4.2.6 to 4.3.4 can be factored from its public half",
        from: (4, 2, 6),
        below: (4, 3, 5),
        concerns: |algorithm| matches!(algorithm, Algorithm::RsaPss),
    },
    Advisory {
        name: AdvisoryName::Fips2019,
        id: "YSA-2019-02",
        what: "firmware 4.4.2 to 4.4.4 uses predictable values in its first keys and signatures after it is plugged in",
        from: (4, 4, 2),
        below: (4, 4, 5),
        concerns: |_| true,
    },
    Advisory {
        name: AdvisoryName::Eucleak,
        id: "YSA-2024-03, CVE-2024-45678",
        what: "an ECDSA key of firmware below 5.7.0 can be read out by somebody who has the token, its PIN and a laboratory",
        from: (0, 0, 0),
        below: (5, 7, 0),
        concerns: |algorithm| matches!(algorithm, Algorithm::EcdsaP256 | Algorithm::EcdsaP384),
    },
];

/// The advisories that concern a key of this kind on this firmware (`major, minor, patch`).
pub fn advisories(firmware: (u8, u8, u8), algorithm: Algorithm) -> impl Iterator<Item = &'static Advisory> {
    ADVISORIES
        .iter()
        .filter(move |advisory| (advisory.from..advisory.below).contains(&firmware) && (advisory.concerns)(algorithm))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    #[test]
    fn by_firmware_and_kind() {
        let names =
            |firmware, algorithm| advisories(firmware, algorithm).map(|a| a.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names((4, 2, 6), Algorithm::RsaPss), ["ROCA"]);
        assert_eq!(names((4, 3, 4), Algorithm::RsaPss), ["ROCA"]);
        assert_eq!(names((4, 3, 5), Algorithm::RsaPss), Vec::<String>::new());
        assert_eq!(names((4, 4, 4), Algorithm::RsaPss), ["FIPS-2019"]);
        assert_eq!(names((4, 4, 4), Algorithm::EcdsaP256), ["FIPS-2019", "EUCLEAK"]);
        assert_eq!(names((4, 4, 5), Algorithm::EcdsaP256), ["EUCLEAK"]);
        assert_eq!(names((5, 6, 255), Algorithm::EcdsaP384), ["EUCLEAK"]);
        assert_eq!(names((5, 7, 0), Algorithm::EcdsaP256), Vec::<String>::new());
        assert_eq!(names((5, 4, 3), Algorithm::Ed25519), Vec::<String>::new());
    }
}
