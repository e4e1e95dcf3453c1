//! Keys: found, generated, read back, used.
//!
//! Rules:
//! 1. What is asked for when a key is generated: private, sensitive, not extractable, signs and does nothing else. What is
//!    recorded is what the module says afterwards.
//! 2. A public key is read from its own object, in the encodings that modules use.
//! 3. A digest is made here where the mechanism takes one (ECDSA), and the signature becomes DER.

use std::collections::BTreeMap;

use pkcs11::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use pkcs11::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use pkcs11::mechanism::{Mechanism, MechanismType};
use pkcs11::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use pkcs11::session::UserType;
use sha2::Digest as _;
use trustroot_core::claim::{Attribute as Claimed, Key as ClaimedKey};
use trustroot_core::digest::Digest;
use trustroot_core::key::{Algorithm, KeyError, PublicKey};
use trustroot_core::plan::KeyKind;
use trustroot_core::reply::{point_in, signature_in};

use super::session::{Session, Sought, blocked, failed};
use crate::seams::{Pin, TokenError};

/// The curves, as `CKA_EC_PARAMS` names them: the DER of an object identifier.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// Ed25519 as PKCS#11 3.0 names it too: PrintableString "edwards25519".
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";
/// The size of RSA keys that are generated.
const RSA_BITS: u64 = 3072;
/// The public exponent of RSA keys that are generated: 65,537.
const RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// The attributes of a private key that a claim holds.
const READ_BACK: [(Claimed, AttributeType); 13] = [
    (Claimed::AlwaysAuthenticate, AttributeType::AlwaysAuthenticate),
    (Claimed::AlwaysSensitive, AttributeType::AlwaysSensitive),
    (Claimed::Decrypt, AttributeType::Decrypt),
    (Claimed::Derive, AttributeType::Derive),
    (Claimed::Extractable, AttributeType::Extractable),
    (Claimed::Local, AttributeType::Local),
    (Claimed::NeverExtractable, AttributeType::NeverExtractable),
    (Claimed::Private, AttributeType::Private),
    (Claimed::Sensitive, AttributeType::Sensitive),
    (Claimed::Sign, AttributeType::Sign),
    (Claimed::SignRecover, AttributeType::SignRecover),
    (Claimed::Token, AttributeType::Token),
    (Claimed::Unwrap, AttributeType::Unwrap),
];

impl Session<'_> {
    fn find(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>, TokenError> {
        self.open.find_objects(template).map_err(|error| failed(&error))
    }

    fn read(&self, object: ObjectHandle, wanted: &[AttributeType]) -> Result<Vec<Attribute>, TokenError> {
        self.open.get_attributes(object, wanted).map_err(|error| failed(&error))
    }

    /// Whether a private key with this label is there; seen after the PIN only.
    pub(super) fn holds(&self, label: &str) -> Result<bool, TokenError> {
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.as_bytes().to_vec())];
        Ok(!self.find(&template)?.is_empty())
    }

    /// The public half of the key, if it is there; needs no PIN.
    pub(super) fn public(&self, sought: Sought<'_>) -> Result<Option<PublicKey>, TokenError> {
        Ok(self.public_with_id(sought)?.map(|(key, _)| key))
    }

    fn public_with_id(&self, sought: Sought<'_>) -> Result<Option<(PublicKey, Vec<u8>)>, TokenError> {
        let mut template = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
        match sought {
            Sought::Public(_) => {}
            Sought::Id(id) => template.push(Attribute::Id(bytes_of(id))),
            Sought::Label(label) => template.push(Attribute::Label(label.as_bytes().to_vec())),
        }
        let mut found = Vec::new();
        for object in self.find(&template)? {
            let key = match self.public_of(object) {
                Ok(Some(key)) => key,
                // Keys of other kinds may lie beside the one that is sought.
                Ok(None) if matches!(sought, Sought::Public(_)) => continue,
                Ok(None) => return Err(TokenError::Refused("its key is of a kind that is not understood".to_owned())),
                Err(_) if matches!(sought, Sought::Public(_)) => continue,
                Err(error) => return Err(error),
            };
            if let Sought::Public(wanted) = sought
                && key != *wanted
            {
                continue;
            }
            let id = self.read(object, &[AttributeType::Id])?.into_iter().find_map(|attribute| match attribute {
                Attribute::Id(id) => Some(id),
                _ => None,
            });
            let entry = (key, id.unwrap_or_default());
            if !found.contains(&entry) {
                found.push(entry);
            }
        }
        match found.len() {
            1 if found.iter().any(|(_, id)| id.is_empty()) => Err(TokenError::Refused(
                "its public key has no id (CKA_ID), by which the private half is found; give both the same one"
                    .to_owned(),
            )),
            0 | 1 => Ok(found.pop()),
            count => Err(TokenError::Refused(format!("{count} keys of the token have that id or label"))),
        }
    }

    /// Every public key that is seen and understood, with its id in hexadecimal and its label.
    pub(super) fn public_objects(&self) -> Result<Vec<(String, String, PublicKey)>, TokenError> {
        let mut found = Vec::new();
        for object in self.find(&[Attribute::Class(ObjectClass::PUBLIC_KEY)])? {
            let Ok(Some(key)) = self.public_of(object) else { continue };
            let (id, label) = self.named(object)?;
            found.push((id, label, key));
        }
        Ok(found)
    }

    /// Id in hexadecimal, and label, of an object.
    fn named(&self, object: ObjectHandle) -> Result<(String, String), TokenError> {
        let (mut id, mut label) = (String::new(), String::new());
        for attribute in self.read(object, &[AttributeType::Id, AttributeType::Label])? {
            match attribute {
                Attribute::Id(value) => id = value.iter().map(|byte| format!("{byte:02x}")).collect(),
                Attribute::Label(value) => label = String::from_utf8_lossy(&value).into_owned(),
                _ => {}
            }
        }
        Ok((id, label))
    }

    fn public_of(&self, object: ObjectHandle) -> Result<Option<PublicKey>, TokenError> {
        let wanted = [
            AttributeType::KeyType,
            AttributeType::EcParams,
            AttributeType::EcPoint,
            AttributeType::Modulus,
            AttributeType::PublicExponent,
        ];
        let (mut kind, mut curve, mut point, mut modulus, mut exponent) = (None, None, None, None, None);
        for attribute in self.read(object, &wanted)? {
            match attribute {
                Attribute::KeyType(value) => kind = Some(value),
                Attribute::EcParams(value) => curve = Some(value),
                Attribute::EcPoint(value) => point = Some(value),
                Attribute::Modulus(value) => modulus = Some(value),
                Attribute::PublicExponent(value) => exponent = Some(value),
                _ => {}
            }
        }
        let unreadable = |error: KeyError| TokenError::Refused(format!("its public key cannot be used: {error}"));
        let key = match (kind, curve.as_deref(), point.as_deref()) {
            (Some(KeyType::RSA), _, _) => {
                let (Some(modulus), Some(exponent)) = (modulus, exponent) else { return Ok(None) };
                PublicKey::from_rsa_numbers(&modulus, &exponent)
            }
            (Some(KeyType::EC), Some(P256), Some(point)) => PublicKey::from_p256_point(point_in(point)),
            (Some(KeyType::EC), Some(P384), Some(point)) => PublicKey::from_p384_point(point_in(point)),
            (Some(KeyType::EC_EDWARDS), Some(ED25519 | EDWARDS25519), Some(point)) => {
                point_in(point).try_into().map_err(|_| KeyError::Encoding).and_then(PublicKey::from_ed25519)
            }
            _ => return Ok(None),
        };
        key.map(Some).map_err(unreadable)
    }

    /// The private key and its public half.
    fn private(&self, sought: Sought<'_>) -> Result<(ObjectHandle, PublicKey), TokenError> {
        let (public, id) = self.public_with_id(sought)?.ok_or(TokenError::NoKey)?;
        let class = Attribute::Class(ObjectClass::PRIVATE_KEY);
        let private = match sought {
            Sought::Label(label) => self.find(&[class, Attribute::Label(label.as_bytes().to_vec())])?,
            _ => self.find(&[class, Attribute::Id(id)])?,
        };
        match private.as_slice() {
            [one] => Ok((*one, public)),
            [] => Err(TokenError::NoKey),
            _ => Err(TokenError::Refused("several private keys of the token have that id or label".to_owned())),
        }
    }

    /// What the module says of the key.
    pub(super) fn claimed(&self, sought: Sought<'_>) -> Result<(PublicKey, ClaimedKey), TokenError> {
        let (private, public) = self.private(sought)?;
        let mut attributes = BTreeMap::new();
        for (name, wanted) in READ_BACK {
            // One by one: some modules answer nothing at all where one attribute is unknown to them.
            let Ok(told) = self.open.get_attributes(private, &[wanted]) else { continue };
            let value = told.into_iter().find_map(|attribute| match attribute {
                Attribute::AlwaysAuthenticate(value)
                | Attribute::AlwaysSensitive(value)
                | Attribute::Decrypt(value)
                | Attribute::Derive(value)
                | Attribute::Extractable(value)
                | Attribute::Local(value)
                | Attribute::NeverExtractable(value)
                | Attribute::Private(value)
                | Attribute::Sensitive(value)
                | Attribute::Sign(value)
                | Attribute::SignRecover(value)
                | Attribute::Token(value)
                | Attribute::Unwrap(value) => Some(value),
                _ => None,
            });
            attributes.extend(value.map(|value| (name, value)));
        }
        let (id, label) = self.named(private)?;
        Ok((public, ClaimedKey { id, label, attributes }))
    }

    /// Generates a key pair under `label`. The caller has seen that no key has it.
    pub(super) fn generate(&self, kind: KeyKind, label: &str) -> Result<PublicKey, TokenError> {
        let curve = |curve: &[u8]| vec![Attribute::EcParams(curve.to_vec())];
        let (mechanism, parameters) = match kind {
            KeyKind::EcdsaP256 => (Mechanism::EccKeyPairGen, curve(P256)),
            KeyKind::EcdsaP384 => (Mechanism::EccKeyPairGen, curve(P384)),
            KeyKind::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, curve(ED25519)),
            KeyKind::RsaPss3072 => {
                let size = Attribute::ModulusBits(RSA_BITS.into());
                (Mechanism::RsaPkcsKeyPairGen, vec![size, Attribute::PublicExponent(RSA_EXPONENT.to_vec())])
            }
        };
        // The same for both halves, so that one leads to the other.
        let id = Digest::of(label.as_bytes()).as_bytes()[..8].to_vec();
        let named = [Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id)];
        let public = [named.to_vec(), parameters, vec![Attribute::Verify(true), Attribute::Private(false)]].concat();
        let rules = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            // SoftHSM has it true unless it is asked not to.
            Attribute::SignRecover(false),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ];
        let private = [named.as_slice(), rules.as_slice()].concat();
        self.open.generate_key_pair(&mechanism, &public, &private).map_err(|error| match error {
            pkcs11::error::Error::Pkcs11(error, _) if is_unportable(&error) => TokenError::Refused(format!(
                "its module does not generate such a key ({error:?}); modules for PIV cards do not: make the key with the \
                 token's own tools and name its id as `key` in the plan, or bring a YubiKey as kind \"yubikey\""
            )),
            error => failed(&error),
        })?;
        self.public(Sought::Label(label))?.ok_or(TokenError::NoKey)
    }

    /// Signs, as TUF wants it: DER for ECDSA, 64 bytes for Ed25519, PSS with a salt of 32 bytes for RSA.
    pub(super) fn sign(&self, sought: Sought<'_>, message: &[u8], pin: &Pin) -> Result<Vec<u8>, TokenError> {
        let (private, public) = self.private(sought)?;
        let (mechanism, data) = match public.algorithm() {
            Algorithm::EcdsaP256 => (Mechanism::Ecdsa, sha2::Sha256::digest(message).to_vec()),
            Algorithm::EcdsaP384 => (Mechanism::Ecdsa, sha2::Sha384::digest(message).to_vec()),
            Algorithm::Ed25519 => (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), message.to_vec()),
            Algorithm::RsaPss => {
                let rules =
                    PkcsPssParams { hash_alg: MechanismType::SHA256, mgf: PkcsMgfType::MGF1_SHA256, s_len: 32.into() };
                (Mechanism::Sha256RsaPkcsPss(rules), message.to_vec())
            }
        };
        let each_time = self.read(private, &[AttributeType::AlwaysAuthenticate]).unwrap_or_default();
        let made = if each_time.iter().any(|attribute| matches!(attribute, Attribute::AlwaysAuthenticate(true))) {
            // The PIN is for this signature, and is presented between its beginning and its end (PKCS#11, 5.6).
            self.open.sign_init(&mechanism, private).map_err(|error| failed(&error))?;
            if !self.slot.state()?.pin_tries.may_try() {
                return Err(blocked(self.slot.state()?.pin_tries));
            }
            self.present(UserType::ContextSpecific, pin)?;
            self.open.sign_update(&data).and_then(|()| self.open.sign_final())
        } else {
            self.open.sign(&mechanism, private, &data)
        };
        let signature = made.map_err(|error| failed(&error))?;
        match public.algorithm() {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => signature_in(&signature)
                .ok_or_else(|| TokenError::Device("its signature is not two numbers of one length".to_owned())),
            Algorithm::Ed25519 | Algorithm::RsaPss => Ok(signature),
        }
    }
}

/// What a module answers that generates no such keys, or not by the specification.
fn is_unportable(error: &pkcs11::error::RvError) -> bool {
    use pkcs11::error::RvError;
    matches!(
        error,
        RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::FunctionNotSupported
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::TemplateInconsistent
            | RvError::TemplateIncomplete
            | RvError::CurveNotSupported
            | RvError::DomainParamsInvalid
            | RvError::UserNotLoggedIn
    )
}

/// The bytes of an id in hexadecimal, whose form the plan or the URI checked.
fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_becomes_bytes() {
        assert_eq!(bytes_of("00ff10"), [0, 255, 16]);
    }
}
