//! Online keys behind a module, named by a URI (RFC 7512).
//!
//! The URI never holds the PIN: arguments are seen by every user of the machine. The PIN is asked for when the key signs.

use trustroot_core::key::PublicKey;
use trustroot_core::pkcs11_uri::Pkcs11Uri;
use trustroot_core::review::OnlinePayload;

use super::module::Module;
use super::session::{Slot, Sought};
use crate::seams::{OnlineKey, Pin, TokenError, TokenState};

/// An online key on a token.
pub struct Pkcs11OnlineKey {
    uri: Pkcs11Uri,
    module: Module,
    public: PublicKey,
}

impl Pkcs11OnlineKey {
    /// Finds the key that the URI names, by its public half, which needs no PIN.
    ///
    /// # Errors
    /// The module, the token or the key is not there, or there are several.
    pub fn open(uri: &Pkcs11Uri) -> Result<Self, TokenError> {
        let module = Module::load(uri.module())?;
        let slot = slot(&module, uri)?;
        let found = slot.open(false)?.public(sought(uri))?;
        let public = found.ok_or_else(|| {
            TokenError::Refused(format!("no public key of the token is the one that {} names", uri.shown()))
        })?;
        Ok(Self { uri: uri.clone(), module, public })
    }
}

fn slot(module: &Module, uri: &Pkcs11Uri) -> Result<Slot, TokenError> {
    Slot::find(module, uri.token(), uri.serial())
}

fn sought(uri: &Pkcs11Uri) -> Sought<'_> {
    match (uri.id(), uri.object()) {
        (Some(id), _) => Sought::Id(id),
        (None, object) => Sought::Label(object.unwrap_or_default()),
    }
}

impl OnlineKey for Pkcs11OnlineKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn locked(&self) -> Result<Option<TokenState>, TokenError> {
        slot(&self.module, &self.uri)?.state().map(Some)
    }

    fn has_pin_pad(&self) -> bool {
        slot(&self.module, &self.uri).is_ok_and(|slot| slot.has_pin_pad())
    }

    fn sign(&self, payload: &OnlinePayload, pin: Option<&Pin>) -> Result<Vec<u8>, TokenError> {
        let pin = pin.ok_or_else(|| TokenError::Refused("its PIN was not asked for".to_owned()))?;
        let slot = slot(&self.module, &self.uri)?;
        let session = slot.log_in(pin)?;
        session.sign(Sought::Public(&self.public), payload.bytes(), pin)
    }
}
