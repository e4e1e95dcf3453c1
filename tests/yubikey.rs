//! The YubiKey back-end over real middleware: pcscd, and virtual cards behind vpcd.
//!
//! Built with `--features middleware`, and run inside a namespace of its own, since vpcd listens on every interface:
//!
//! ```sh
//! unshare -mn sh -c 'mount -t tmpfs none /run/pcscd; ip link set lo up; exec cargo test --features middleware --test yubikey'
//! ```
//!
//! `TRUSTROOT_VIRTUAL_YUBIKEY` names the program that plays a card, made by `cargo build -p virtual-yubikey`.

#[path = "support/middleware.rs"]
mod middleware;

use std::time::Duration;

use middleware::{Desk, empty, tell, until};
use trustroot::seams::{NewSecrets, Pin, SlotState, Token as _, TokenError, Tries};
use trustroot::token::piv::{Seen, YubikeyToken, YubikeyTokens, readers, slots};
use trustroot_core::digest::Digest;
use trustroot_core::key::PublicKey;
use trustroot_core::payload::Payload;
use trustroot_core::review::{Review, Reviewed, Root};
use trustroot_core::signature::{Portable, Signed};
use zeroize::Zeroizing;

const PIN: &str = "p1n-p1n";
const PUK: &str = "puk-puk1";
const PAYLOAD: &[u8] = b"{\"_type\":\"root\"}";

fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

fn open(serial: u32) -> YubikeyToken {
    YubikeyTokens.open_serial(Some(serial)).unwrap_or_else(|error| panic!("{serial}: {error}"))
}

#[track_caller]
fn refused<T>(result: Result<T, TokenError>) -> TokenError {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}

fn provision(token: &mut YubikeyToken, new_pin: &str, puk: &str) -> Result<(), TokenError> {
    token.provision(&NewSecrets { pin: &pin(new_pin), puk: Some(&pin(puk)) })
}

fn enrolled(serial: u32) -> PublicKey {
    let mut token = open(serial);
    provision(&mut token, PIN, PUK).unwrap();
    let Ok(SlotState::Empty(slot)) = token.inspect() else { panic!("a fresh token has an empty slot") };
    token.generate(slot, &pin(PIN)).unwrap()
}

fn root() -> Reviewed<Root> {
    let review = Review::of(PAYLOAD.to_vec(), b"{}".to_vec());
    review.consent(Review::WORD, Digest::of(PAYLOAD)).unwrap().0
}

fn verifies(key: &PublicKey, signature: &[u8]) {
    let payload = Payload::from_canonical(PAYLOAD).unwrap();
    assert!(Signed::check(key, &payload, signature, &Portable).is_ok());
}

/// One test, because there is one pcscd in a namespace; each part says what it is about when it fails.
#[test]
fn a_yubikey_from_the_factory_to_its_end() {
    let mut desk = Desk::new(2);
    nothing_is_plugged_in();
    both_kinds_of_management_key(&desk);
    wrong_pins_and_the_puk(&desk);
    two_tokens_and_the_wrong_one(&desk);
    an_interrupted_provision_goes_on(&desk);
    touches_and_pulls(&desk);
    a_look_disturbs_nobody(&desk);
    the_service_stops(&mut desk);
}

fn nothing_is_plugged_in() {
    let error = refused(YubikeyTokens.open_serial(Some(1)));
    assert!(matches!(&error, TokenError::Unready { what, .. } if what.contains("nothing is in it")), "{error}");
}

fn both_kinds_of_management_key(desk: &Desk) {
    for (serial, version) in [(20_000_001, "5.7.4"), (20_000_002, "5.4.3")] {
        let card = desk.card(0, serial, version, &["--touch", "always"]);
        let mut token = open(serial);
        let fresh = token.state().unwrap();
        assert_eq!(
            (fresh.pin_is_default, fresh.puk, fresh.management_key_is_default),
            (true, Some((true, 3)), Some(true))
        );
        // Nothing is generated under factory secrets, nothing weak takes their place, and no try is spent on saying so.
        let Ok(SlotState::Empty(slot)) = token.inspect() else { panic!("a fresh token has an empty slot") };
        assert!(matches!(refused(token.generate(slot, &pin("123456"))), TokenError::Refused(_)));
        for (bad_pin, bad_puk) in [("123456", PUK), ("short", PUK), ("käse-123", PUK), (PIN, "12345678"), (PIN, PIN)] {
            assert!(matches!(refused(provision(&mut token, bad_pin, bad_puk)), TokenError::Refused(_)), "{bad_pin}");
        }
        assert_eq!(token.state().unwrap(), fresh);
        drop(token);

        let key = enrolled(serial);
        let mut token = open(serial);
        assert!(!token.state().unwrap().has_factory_secrets());
        assert!(matches!(token.inspect(), Ok(SlotState::Occupied(found)) if found == key));
        let found = slots(&mut token).unwrap();
        assert_eq!(
            found.iter().map(|slot| (slot.slot.as_str(), slot.generated)).collect::<Vec<_>>(),
            [("9c", Some(true))]
        );
        verifies(&key, &token.sign_root(&root(), &pin(PIN)).unwrap());
        // A key is never written over, whoever gives the right to.
        let slot = trustroot::seams::EmptySlot::assertion("9c");
        assert!(matches!(refused(token.generate(slot, &pin(PIN))), TokenError::Occupied(_)));
        assert!(token.attest().is_ok());
        // The end: everything is gone, and it is as it was.
        token.reset().unwrap();
        assert_eq!(token.state().unwrap(), fresh);
        assert!(matches!(token.inspect(), Ok(SlotState::Empty(_))));
        assert!(matches!(refused(token.attest()), TokenError::NoKey));
        drop(token);
        card.stop();
    }
}

fn wrong_pins_and_the_puk(desk: &Desk) {
    let card = desk.card(0, 20_000_003, "5.7.4", &["--touch", "always"]);
    let key = enrolled(20_000_003);
    let mut token = open(20_000_003);
    assert!(matches!(
        refused(token.sign_root(&root(), &pin("wrong-1"))),
        TokenError::WrongPin { tries: Tries::Left(2) }
    ));
    assert!(matches!(
        refused(token.sign_root(&root(), &pin("wrong-2"))),
        TokenError::WrongPin { tries: Tries::Left(1) }
    ));
    // The last try is not spent, not even on the right PIN.
    for text in ["wrong-3", PIN] {
        assert!(matches!(
            refused(token.sign_root(&root(), &pin(text))),
            TokenError::PinBlocked { tries: Tries::Left(1), .. }
        ));
        assert_eq!(token.state().unwrap().pin_tries, Tries::Left(1));
    }
    assert!(matches!(refused(token.unblock(&pin("not-puk1"), &pin("new-pin1"))), TokenError::WrongPuk { tries: 2 }));
    assert!(matches!(refused(token.unblock(&pin(PUK), &pin("123456"))), TokenError::Refused(_)));
    token.unblock(&pin(PUK), &pin("new-pin1")).unwrap();
    assert_eq!(token.state().unwrap().pin_tries, Tries::Left(3));
    verifies(&key, &token.sign_root(&root(), &pin("new-pin1")).unwrap());
    // The PUK's last try is not spent either.
    for tries in [2, 1] {
        let error = refused(token.unblock(&pin("not-puk1"), &pin("new-pin2")));
        assert!(matches!(error, TokenError::WrongPuk { tries: left } if left == tries), "{error}");
    }
    assert!(matches!(refused(token.unblock(&pin(PUK), &pin("new-pin2"))), TokenError::PukBlocked { tries: 1 }));
    drop(token);
    card.stop();
}

fn two_tokens_and_the_wrong_one(desk: &Desk) {
    let first = desk.card(0, 20_000_004, "5.7.4", &[]);
    let wrong = refused(YubikeyTokens.open_serial(Some(5)));
    let serials = (20_000_004.into(), 5.into());
    assert!(matches!(wrong, TokenError::Wrong { found, wanted } if (found, wanted) == serials), "{wrong}");
    assert_eq!(YubikeyTokens.open_serial(None).unwrap().serial(), 20_000_004);
    let second = desk.card(1, 20_000_005, "5.4.3", &[]);
    assert_eq!(open(20_000_004).serial(), 20_000_004);
    assert_eq!(open(20_000_005).serial(), 20_000_005);
    let error = refused(YubikeyTokens.open_serial(None));
    assert!(matches!(&error, TokenError::Unready { what, .. } if what.contains("several YubiKeys")), "{error}");
    drop(first);
    second.stop();
}

fn an_interrupted_provision_goes_on(desk: &Desk) {
    let card = desk.card(0, 20_000_006, "5.7.4", &[]);
    let mut token = open(20_000_006);
    // The PIN is replaced, and then the change of the PUK fails: CHANGE REFERENCE DATA is 24, its second use.
    provision(&mut token, PIN, PUK).unwrap();
    token.reset().unwrap();
    assert_eq!(card.tell("fault ff 6f00"), "ok");
    let error = refused(provision(&mut token, PIN, PUK));
    assert!(matches!(error, TokenError::Device(_)), "{error}");
    let state = token.state().unwrap();
    assert_eq!(
        (state.pin_is_default, state.puk, state.management_key_is_default),
        (false, Some((false, 3)), Some(true))
    );
    assert!(state.has_factory_secrets());
    drop(token);
    // Another run, another handle: other secrets are wrong, the ones that were set lead on.
    let mut token = open(20_000_006);
    assert!(matches!(refused(provision(&mut token, "other-1", PUK)), TokenError::WrongPin { tries: Tries::Left(2) }));
    assert!(matches!(refused(provision(&mut token, PIN, "other-12")), TokenError::WrongPuk { tries: 2 }));
    provision(&mut token, PIN, PUK).unwrap();
    assert!(!token.state().unwrap().has_factory_secrets());
    drop(token);
    card.stop();
}

fn touches_and_pulls(desk: &Desk) {
    let card = desk.card(0, 20_000_007, "5.7.4", &["--touch", "asked", "--touch-limit", "4"]);
    let key = enrolled(20_000_007);
    let mut token = open(20_000_007);
    assert!(matches!(refused(token.sign_root(&root(), &pin(PIN))), TokenError::NotTouched));
    let control = card.control.clone();
    let finger = std::thread::spawn(move || {
        until("it waits for a touch", || tell(&control, "waiting").contains("true"));
        tell(&control, "touch")
    });
    verifies(&key, &token.sign_root(&root(), &pin(PIN)).unwrap());
    finger.join().unwrap();
    // Pulled while it waits, and put back: the old handle is dead, a new one signs.
    let control = card.control.clone();
    let hand = std::thread::spawn(move || {
        until("it waits for a touch", || tell(&control, "waiting").contains("true"));
        tell(&control, "pull")
    });
    let error = refused(token.sign_root(&root(), &pin(PIN)));
    assert!(matches!(error, TokenError::Removed), "{error}");
    hand.join().unwrap();
    assert!(matches!(refused(token.sign_root(&root(), &pin(PIN))), TokenError::Removed));
    drop(token);
    empty();
    // A hand is not faster than the service, which looks a few times a second.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(card.tell("insert"), "ok");
    until("it is back", || YubikeyTokens.open_serial(Some(20_000_007)).is_ok());
    let mut token = open(20_000_007);
    assert!(matches!(token.inspect(), Ok(SlotState::Occupied(found)) if found == key));
    assert_eq!(token.state().unwrap().pin_tries, Tries::Left(3), "none of this spent a try");
    drop(token);
    card.stop();
}

/// Another program is in the middle of something with the card, and stays there.
fn a_look_disturbs_nobody(desk: &Desk) {
    let card = desk.card(0, 20_000_008, "5.7.4", &[]);
    let others = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let reader = others.list_readers_owned().unwrap().remove(0);
    let connect = |mode| others.connect(&reader, mode, pcsc::Protocols::T1).unwrap();
    let version = |card: &pcsc::Card| {
        let mut answer = [0; 16];
        card.transmit(&[0x00, 0xfd, 0x00, 0x00, 0x00], &mut answer).map(<[u8]>::to_vec)
    };
    let said = || match &readers().unwrap()[0].seen {
        Seen::Nothing { why, remedy } => (why.clone(), *remedy),
        Seen::Token(_) => panic!("it answers"),
    };
    let other = connect(pcsc::ShareMode::Shared);
    let mut token = open(20_000_008);
    token.state().unwrap();
    drop(token);
    // A reset would be an error here; that the applet is another one now is not.
    assert!(version(&other).is_ok());
    // PIV is switched off, and what the other program does goes on.
    assert_eq!(card.tell("fault a4 6a82"), "ok");
    assert_eq!(said().0, "PIV is switched off on this YubiKey");
    assert!(version(&other).is_ok());
    other.disconnect(pcsc::Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
    let alone = connect(pcsc::ShareMode::Exclusive);
    let (why, remedy) = said();
    assert!(
        why == "another program uses it alone" && remedy.is_some_and(|remedy| remedy.contains("scdaemon")),
        "{why}"
    );
    assert!(version(&alone).is_ok());
    drop(alone);
    card.stop();
}

fn the_service_stops(desk: &mut Desk) {
    desk.stop();
    let error = refused(YubikeyTokens.open_serial(None));
    assert!(matches!(&error, TokenError::Unready { what, .. } if what.contains("does not run")), "{error}");
    assert!(!error.hint().is_empty());
    desk.start();
}
