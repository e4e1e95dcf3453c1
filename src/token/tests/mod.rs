//! The tests of this layer. Independent judges: the openssl program, and the core's verification of attestations.

mod attestation;
mod online_file;
mod virtual_token;

use std::path::Path;
use std::process::{Command, Output};

use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::DecodePublicKey as _;
use trustroot_core::digest::Digest;
use trustroot_core::key::PublicKey;
use trustroot_core::plan::{
    Always, Attestation, Holder, KeyKind, KeyedRole, Kind, OnlineRole, Plan, PlannedToken, Seats, TokenKind,
    TokenPolicy,
};
use trustroot_core::review::{Review, Reviewed, Root, Targets};
use trustroot_core::serial::Serial;
use trustroot_core::slot::Slot;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp;
use zeroize::Zeroizing;

use super::{Fault, VirtualTokens};
use crate::seams::{NewSecrets, Pin, SlotState, Token, TokenError, Tokens as _, Wanted};

const SEED: [u8; 32] = [1; 32];
const PIN: &str = "739154";

pub(super) fn handle(text: &str) -> Handle {
    Handle::new(text).unwrap()
}

fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

/// Whether a signature is valid, by the libraries themselves.
pub(super) fn verifies(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    if let Some(bytes) = key.ed25519_bytes() {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).unwrap();
        return ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| key.verify_strict(message, &s).is_ok());
    }
    let key = p256::ecdsa::VerifyingKey::from_public_key_der(key.spki_der()).unwrap();
    p256::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
}

/// Runs openssl; it is there wherever this project is built or tested.
fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl can be started")
}

fn plan(rehearsal: bool) -> Plan {
    let day = |text| Timestamp::from_day(text).unwrap();
    let role = || KeyedRole { threshold: 1, expires: day("2027-01-01") };
    let online = || OnlineRole { key: handle("online"), keeps: None, before: None, expires: day("2026-12-01") };
    let holder = |name: &str, kind, serial: Option<u32>| Holder {
        handle: handle(name),
        name: name.to_owned(),
        organisation: None,
        country: None,
        term_ends: None,
        key: None,
        token: PlannedToken { serial: serial.map(Serial::from), ..PlannedToken::of(kind) },
        ssh: None,
    };
    Plan {
        format: 1,
        name: handle("practice"),
        title: "Practice".to_owned(),
        trust_root: "Practice".to_owned(),
        kind: Kind::Genesis,
        reason: None,
        day: day("2026-01-01"),
        rehearsal,
        follows: None,
        root: role(),
        targets: role(),
        snapshot: online(),
        timestamp: online(),
        tokens: TokenPolicy {
            algorithm: KeyKind::EcdsaP256,
            pin: Always::Always,
            touch: Always::Always,
            minimum_firmware: (5, 7, 0),
            attestation: Attestation::Required,
            waive: Vec::new(),
        },
        seats: Seats { conductor: handle("carol"), scribe: handle("sam"), witnesses: Vec::new() },
        holders: vec![
            holder("alice", TokenKind::Virtual, None),
            holder("bob", TokenKind::Virtual, Some(20_000_002)),
            holder("dora", TokenKind::Yubikey, None),
        ],
        leaving: Vec::new(),
        people: Vec::new(),
    }
}

fn tokens(folder: &Path, faults: &[&str]) -> VirtualTokens {
    let faults = faults.iter().map(|text| Fault::parse(text).unwrap()).collect();
    VirtualTokens::new(SEED, folder, &plan(true), faults).unwrap()
}

fn wanted(holder: &str) -> Wanted {
    Wanted { holder: handle(holder), kind: TokenKind::Virtual, serial: None, slot: Slot::SIGNATURE, pkcs11: None }
}

fn open(tokens: &mut VirtualTokens, holder: &str) -> Box<dyn Token> {
    tokens.open(&wanted(holder)).unwrap()
}

fn empty(token: &mut dyn Token) -> crate::seams::EmptySlot {
    match token.inspect().unwrap() {
        SlotState::Empty(slot) => slot,
        SlotState::Occupied(key) => panic!("the slot holds {key:?}"),
    }
}

fn occupied(token: &mut dyn Token) -> PublicKey {
    match token.inspect().unwrap() {
        SlotState::Empty(_) => panic!("the slot is empty"),
        SlotState::Occupied(key) => key,
    }
}

/// Provisioned, with a key.
fn enrolled(tokens: &mut VirtualTokens, holder: &str) -> (Box<dyn Token>, PublicKey) {
    let mut token = open(tokens, holder);
    token.provision(&NewSecrets { pin: &pin(PIN), puk: None }).unwrap();
    let slot = empty(&mut *token);
    let key = token.generate(slot, &pin(PIN)).unwrap();
    (token, key)
}

fn reviewed() -> (Reviewed<Root>, Reviewed<Targets>) {
    let review = Review::of(b"root payload".to_vec(), b"targets payload".to_vec());
    review.consent("sign", Digest::of(b"root payload")).unwrap()
}

fn error<T>(result: Result<T, TokenError>) -> TokenError {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}
