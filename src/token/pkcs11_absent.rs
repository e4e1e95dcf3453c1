//! What stands in for PKCS#11 in a build without it: it says so when such a token is asked for.

use trustroot_core::event::TokenFacts;
use trustroot_core::key::PublicKey;
use trustroot_core::pkcs11_uri::Pkcs11Uri;
use trustroot_core::review::OnlinePayload;

use crate::seams::{OnlineKey, Pin, Token, TokenError, TokenState, Tokens, Wanted};

fn absent() -> TokenError {
    TokenError::Refused(
        "this build has no PKCS#11: it was made without the feature `pkcs11` (cargo build --features pkcs11)"
            .to_owned(),
    )
}

/// What a module would show of one token.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What the token says of itself.
    pub facts: TokenFacts,
    /// Its state.
    pub state: TokenState,
}

/// No token of any module.
#[derive(Default)]
pub struct Pkcs11Tokens;

impl Pkcs11Tokens {
    /// Nothing to load.
    pub fn new() -> Self {
        Self
    }

    /// Always an error.
    ///
    /// # Errors
    /// That this build has no PKCS#11.
    pub fn list(&mut self, _: &str) -> Result<Vec<Result<Shown, TokenError>>, TokenError> {
        Err(absent())
    }
}

/// A public key of a token: its id in hexadecimal, its label, and the key.
pub type PublicObject = (String, String, PublicKey);

/// What a module shows of one token and of the keys in it, without a PIN.
pub struct Inspected {
    /// The token.
    pub shown: Shown,
    /// The public keys that are seen.
    pub keys: Vec<PublicObject>,
}

impl Pkcs11Tokens {
    /// Always an error.
    ///
    /// # Errors
    /// That this build has no PKCS#11.
    pub fn inspect(&mut self, _: &str) -> Result<Vec<Result<Inspected, TokenError>>, TokenError> {
        Err(absent())
    }
}

impl Tokens for Pkcs11Tokens {
    fn open(&mut self, _: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        Err(absent())
    }
}

/// An online key behind a module; in this build there is none.
pub enum Pkcs11OnlineKey {}

impl Pkcs11OnlineKey {
    /// Always an error.
    ///
    /// # Errors
    /// That this build has no PKCS#11.
    pub fn open(_: &Pkcs11Uri) -> Result<Self, TokenError> {
        Err(absent())
    }
}

impl OnlineKey for Pkcs11OnlineKey {
    fn public(&self) -> &PublicKey {
        match *self {}
    }

    fn sign(&self, _: &OnlinePayload, _: Option<&Pin>) -> Result<Vec<u8>, TokenError> {
        match *self {}
    }
}
