//! Claims: what a PKCS#11 module says of a key that nobody attests.
//!
//! Rules:
//! 1. A claim is what the module answered, and no more. It is compared with the record, and is never equal to an
//!    attestation: a module that lies, or a program in its place, says whatever it likes.
//! 2. It names the key and the token that the record names (`CLAIM-BOUND`).
//! 3. It says that the private key is sensitive, never leaves the token, and does nothing but sign; of a key that was
//!    generated in the ceremony also that it was made there and was never otherwise (`CLAIM-KEY`).
//! 4. Its file is the canonical JSON of [`Claim`] and nothing else, in `keys/<holder>-<fingerprint>/claim.json`
//!    (`CLAIM-FORM`). Texts in it are foreign.

use crate::check::{Check, Finding, Level};
use crate::digest::Digest;
use crate::event::TokenFacts;
use crate::key::PublicKey;
use crate::page::Text;
use crate::plan::Plan;
use crate::serial::Serial;
use crate::text::Handle;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The only format of claims there is.
pub const FORMAT: u32 = 1;
/// The longest file that is read, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// The name of the file.
pub const FILE: &str = "claim.json";
/// The longest text that a module may give, in bytes.
const MAX_TEXT: usize = 128;

/// What a module said of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// [`FORMAT`].
    pub format: u32,
    /// The key fingerprint.
    pub fingerprint: Digest,
    /// How the key came to be on the token, as the ceremony saw it.
    pub origin: Origin,
    /// The module.
    pub module: Module,
    /// The token.
    pub token: Token,
    /// The private key.
    pub key: Key,
}

/// How a key came to be on its token, as far as the ceremony saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The ceremony asked the module to generate it.
    Generated,
    /// It was there before.
    Existing,
}

/// What a module says of itself (PKCS#11, `CK_INFO`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// `libraryDescription`.
    pub description: String,
    /// `manufacturerID`.
    pub manufacturer: String,
    /// `libraryVersion`, `major.minor`.
    pub version: String,
    /// `cryptokiVersion`, `major.minor`.
    pub cryptoki: String,
}

/// What a module says of a token (PKCS#11, `CK_TOKEN_INFO`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// `label`.
    pub label: String,
    /// `manufacturerID`.
    pub manufacturer: String,
    /// `model`.
    pub model: String,
    /// `serialNumber`.
    pub serial: Serial,
    /// `firmwareVersion`, `major.minor`.
    pub firmware: String,
    /// `hardwareVersion`, `major.minor`.
    pub hardware: String,
}

/// What a module says of a private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// `CKA_ID`, hexadecimal.
    pub id: String,
    /// `CKA_LABEL`.
    pub label: String,
    /// The attributes that the module told; one that is missing was not told.
    pub attributes: BTreeMap<Attribute, bool>,
}

/// An attribute of a private key; each is true or false (PKCS#11, 4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribute {
    /// `CKA_ALWAYS_AUTHENTICATE`: each signature needs the PIN anew.
    AlwaysAuthenticate,
    /// `CKA_ALWAYS_SENSITIVE`: it was never otherwise than sensitive.
    AlwaysSensitive,
    /// `CKA_DECRYPT`.
    Decrypt,
    /// `CKA_DERIVE`.
    Derive,
    /// `CKA_EXTRACTABLE`: it may leave the token, wrapped.
    Extractable,
    /// `CKA_LOCAL`: it was generated on the token.
    Local,
    /// `CKA_NEVER_EXTRACTABLE`: it could never leave.
    NeverExtractable,
    /// `CKA_PRIVATE`: it is seen only after the PIN.
    Private,
    /// `CKA_SENSITIVE`: its value cannot be read.
    Sensitive,
    /// `CKA_SIGN`.
    Sign,
    /// `CKA_SIGN_RECOVER`.
    SignRecover,
    /// `CKA_TOKEN`: it stays when the session ends.
    Token,
    /// `CKA_UNWRAP`.
    Unwrap,
}

impl Origin {
    /// How the plan has the key of this holder come to be.
    pub fn planned(plan: &Plan, holder: &Handle) -> Self {
        match plan.holder(holder).and_then(|holder| holder.token.key.as_ref()) {
            Some(_) => Self::Existing,
            None => Self::Generated,
        }
    }
}

impl Attribute {
    /// The name of PKCS#11.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlwaysAuthenticate => "CKA_ALWAYS_AUTHENTICATE",
            Self::AlwaysSensitive => "CKA_ALWAYS_SENSITIVE",
            Self::Decrypt => "CKA_DECRYPT",
            Self::Derive => "CKA_DERIVE",
            Self::Extractable => "CKA_EXTRACTABLE",
            Self::Local => "CKA_LOCAL",
            Self::NeverExtractable => "CKA_NEVER_EXTRACTABLE",
            Self::Private => "CKA_PRIVATE",
            Self::Sensitive => "CKA_SENSITIVE",
            Self::Sign => "CKA_SIGN",
            Self::SignRecover => "CKA_SIGN_RECOVER",
            Self::Token => "CKA_TOKEN",
            Self::Unwrap => "CKA_UNWRAP",
        }
    }
}

/// Bytes that are no claim. The text is escaped where it quotes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a claim: {0}")]
pub struct NotAClaim(String);

impl Claim {
    /// The bytes of the file.
    pub fn to_canonical(&self) -> Vec<u8> {
        crate::canonical::of(self)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Bytes that are not the canonical JSON of a claim, another format, texts longer than a module's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAClaim> {
        if bytes.len() > MAX_BYTES {
            return Err(NotAClaim(format!("longer than {MAX_BYTES} bytes")));
        }
        let claim: Self = crate::json::read(bytes).map_err(|error| NotAClaim(error.to_string()))?;
        if claim.format != FORMAT {
            return Err(NotAClaim(format!("format {} is not known; this program knows {FORMAT}", claim.format)));
        }
        let (module, token, key) = (&claim.module, &claim.token, &claim.key);
        let texts = [
            &module.description,
            &module.manufacturer,
            &module.version,
            &module.cryptoki,
            &token.label,
            &token.manufacturer,
            &token.model,
            &token.firmware,
            &token.hardware,
            &key.label,
        ];
        if texts.iter().any(|text| text.len() > MAX_TEXT) {
            return Err(NotAClaim(format!("a text of more than {MAX_TEXT} bytes")));
        }
        if !is_id(&key.id) {
            return Err(NotAClaim("the id of the key is not 1 to 64 bytes in lower-case hexadecimal".to_string()));
        }
        if claim.to_canonical() != bytes {
            return Err(NotAClaim("the bytes are not in canonical form".to_string()));
        }
        Ok(claim)
    }
}

/// Whether a text is a `CKA_ID` as plans and claims write it: 1 to 64 bytes in lower-case hexadecimal.
pub fn is_id(text: &str) -> bool {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits && text.len().is_multiple_of(2) && (2..=128).contains(&text.len())
}

/// What the record says, with which a claim is compared.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The published key.
    pub key: &'a PublicKey,
    /// The token that was identified.
    pub token: &'a TokenFacts,
    /// How the plan has it.
    pub origin: Origin,
}

/// Compares a claim with the record. Nothing found means that the module says what it should; it proves nothing.
pub fn examine(claim: &Claim, expected: &Expected<'_>, subject: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refuse = |check, what: Text, hint: &str| {
        found.push(Finding::new(Level::Refused, check, subject, what).hint(hint));
    };
    let another = "it belongs to another key or token; ask the holder for the module's claim of this key";
    if claim.fingerprint != expected.key.fingerprint() {
        let what = format!("it is about the key {}, not {}", claim.fingerprint, expected.key.fingerprint());
        refuse(Check::ClaimBound, what.into(), another);
    }
    let token = expected.token;
    if claim.token.serial != token.serial {
        let what = format!("it names the serial {}, and the record {}", claim.token.serial, token.serial);
        refuse(Check::ClaimBound, what.into(), another);
    }
    let label = token.label.as_deref().unwrap_or_default();
    for (name, said, recorded) in [
        ("label", &claim.token.label, label),
        ("model", &claim.token.model, token.model.as_str()),
        ("firmware", &claim.token.firmware, token.firmware.as_str()),
    ] {
        if said != recorded {
            let what = Text::own(format!("its {name} of the token is \"")).and_foreign(said);
            refuse(Check::ClaimBound, what.and("\", and the record has another"), another);
        }
    }
    if claim.origin != expected.origin {
        let what = "plan and claim differ in whether the key was generated in the ceremony or there before";
        refuse(Check::ClaimBound, what.into(), another);
    }
    found.extend(rules(claim, subject));
    found
}

/// What each attribute has to be, and whether a module that does not tell it is believed.
fn rules(claim: &Claim, subject: &str) -> Vec<Finding> {
    use Attribute::{
        AlwaysSensitive, Decrypt, Derive, Extractable, Local, NeverExtractable, Private, Sensitive, Sign, SignRecover,
        Token, Unwrap,
    };
    let generated = claim.origin == Origin::Generated;
    // What was made before may have been made for more; what was made here was asked to sign and nothing else.
    let use_level = if generated { Level::Refused } else { Level::Warning };
    let untold = if generated { Some(Level::Refused) } else { Some(Level::Warning) };
    let wanted = [
        (Sensitive, true, Level::Refused, Some(Level::Refused)),
        (Extractable, false, Level::Refused, Some(Level::Refused)),
        (AlwaysSensitive, true, Level::Refused, untold),
        (NeverExtractable, true, Level::Refused, untold),
        (Local, true, Level::Refused, untold),
        (Token, true, Level::Refused, Some(Level::Refused)),
        (Private, true, Level::Refused, untold),
        (Sign, true, Level::Refused, Some(Level::Refused)),
        // Not every module knows every use; one that is not told is not there.
        (SignRecover, false, use_level, None),
        (Decrypt, false, use_level, None),
        (Unwrap, false, use_level, None),
        (Derive, false, use_level, None),
    ];
    let mut found = Vec::new();
    for (attribute, should, level, untold) in wanted {
        let (level, what) = match (claim.key.attributes.get(&attribute), untold) {
            (Some(said), _) if *said == should => continue,
            (Some(said), _) => (level, format!("the module says {} = {said}, not {should}", attribute.name())),
            (None, None) => continue,
            (None, Some(level)) => (level, format!("the module does not say whether {} is {should}", attribute.name())),
        };
        let hint = "make a key that is sensitive, not extractable, and signs only, on a token whose module says so";
        found.push(Finding::new(level, Check::ClaimKey, subject, what).hint(hint));
    }
    found
}

#[cfg(test)]
mod tests;
