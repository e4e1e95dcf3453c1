//! A virtual token as a model of a YubiKey: PIN, slot, signatures, faults, and what survives a restart.

use super::*;
use crate::seams::Tries;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn production_and_real_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = error(VirtualTokens::new(SEED, folder.path(), &plan(false), Vec::new()));
    assert!(matches!(refused, TokenError::Refused(ref why) if why.contains("rehearsal")), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let mut tokens = tokens(folder.path(), &[]);
    let dora = Wanted { kind: TokenKind::Yubikey, ..wanted("dora") };
    assert!(matches!(error(tokens.open(&dora)), TokenError::Refused(_)));
    assert!(matches!(error(tokens.open(&wanted("dora"))), TokenError::Absent(_)));
    let fault = vec![Fault::parse("dora:absent").unwrap()];
    let refused = error(VirtualTokens::new(SEED, folder.path(), &plan(true), fault));
    assert!(matches!(refused, TokenError::Refused(_)), "{refused}");
}

#[test]
fn a_whole_sitting() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = tokens(folder.path(), &[]);
    let mut token = open(&mut tokens, "bob");
    let facts = token.facts();
    assert_eq!((facts.serial, facts.firmware.as_str()), (20_000_002.into(), "5.7.4"));
    assert!(facts.model.contains("REHEARSAL"));
    let state = token.state().unwrap();
    assert_eq!((state.pin_is_default, state.pin_tries), (true, Tries::Left(3)));
    assert!(matches!(error(token.attest()), TokenError::NoKey));
    let (root, targets) = reviewed();
    assert!(matches!(error(token.sign_root(&root, &pin("123456"))), TokenError::NoKey));

    for bad in ["123456", "12345", "123456789", "12 456", "häuser"] {
        assert!(
            matches!(error(token.provision(&NewSecrets { pin: &pin(bad), puk: None })), TokenError::Refused(_)),
            "{bad}"
        );
    }
    token.provision(&NewSecrets { pin: &pin(PIN), puk: None }).unwrap();
    assert!(matches!(error(token.provision(&NewSecrets { pin: &pin(PIN), puk: None })), TokenError::NotFresh));
    assert!(!token.state().unwrap().pin_is_default);

    let slot = empty(&mut *token);
    let second_right = empty(&mut *token);
    let key = token.generate(slot, &pin(PIN)).unwrap();
    assert!(matches!(error(token.generate(second_right, &pin(PIN))), TokenError::Occupied(_)));
    assert_eq!(occupied(&mut *token), key);

    let signature = token.sign_root(&root, &pin(PIN)).unwrap();
    assert!(verifies(&key, b"root payload", &signature));
    assert!(!verifies(&key, b"targets payload", &signature));
    assert!(verifies(&key, b"targets payload", &token.sign_targets(&targets, &pin(PIN)).unwrap()));

    // openssl agrees.
    fs::write(folder.path().join("key.pem"), key.to_pem()).unwrap();
    fs::write(folder.path().join("payload"), root.bytes()).unwrap();
    fs::write(folder.path().join("signature"), &signature).unwrap();
    let judged =
        openssl(folder.path(), &["dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "payload"]);
    assert!(judged.status.success(), "{judged:?}");
}

#[test]
fn each_signature_needs_the_pin_and_the_last_try_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = tokens(folder.path(), &[]);
    let (mut token, _) = enrolled(&mut tokens, "bob");
    let (root, targets) = reviewed();
    token.sign_root(&root, &pin(PIN)).unwrap();
    assert!(matches!(
        error(token.sign_targets(&targets, &pin("000000"))),
        TokenError::WrongPin { tries: Tries::Left(2) }
    ));
    // The right PIN gives the tries back.
    token.sign_targets(&targets, &pin(PIN)).unwrap();
    assert_eq!(token.state().unwrap().pin_tries, Tries::Left(3));
    assert!(matches!(error(token.sign_root(&root, &pin("000000"))), TokenError::WrongPin { tries: Tries::Left(2) }));
    assert!(matches!(error(token.sign_root(&root, &pin("000000"))), TokenError::WrongPin { tries: Tries::Left(1) }));
    // Not even the right one is presented now, and unplugging changes nothing.
    assert!(matches!(error(token.sign_root(&root, &pin(PIN))), TokenError::PinBlocked { tries: Tries::Left(1), .. }));
    drop(token);
    let mut token = open(&mut tokens, "bob");
    assert!(matches!(error(token.sign_root(&root, &pin(PIN))), TokenError::PinBlocked { tries: Tries::Left(1), .. }));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed: [u8; 32]| {
        let folder = tempfile::tempdir().unwrap();
        let mut tokens = VirtualTokens::new(seed, folder.path(), &plan(true), Vec::new()).unwrap();
        let mut all = Vec::new();
        for holder in ["alice", "bob"] {
            let (mut token, key) = enrolled(&mut tokens, holder);
            let files = token.attest().unwrap();
            let signature = token.sign_root(&reviewed().0, &pin(PIN)).unwrap();
            all.push((token.facts().serial, key, files.slot, files.device, signature));
        }
        assert_ne!(all[0].1, all[1].1);
        all
    };
    assert_eq!(run([1; 32]), run([1; 32]));
    assert_ne!(run([1; 32])[1].1, run([2; 32])[1].1);
}

#[test]
fn another_process_finds_the_token_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (_, key) = enrolled(&mut tokens(folder.path(), &[]), "alice");
    let mut tokens = tokens(folder.path(), &[]);
    let serial = tokens.serial(&handle("alice")).unwrap();
    assert!((90_000_000..100_000_000).contains(&serial));
    let mut token = tokens.open(&Wanted { serial: Some(serial.into()), ..wanted("alice") }).unwrap();
    assert_eq!(occupied(&mut *token), key);
    token.sign_root(&reviewed().0, &pin(PIN)).unwrap();
    let wrong = error(tokens.open(&Wanted { serial: Some(7.into()), ..wanted("alice") }));
    assert!(
        matches!(wrong, TokenError::Wrong { found, wanted } if (found, wanted) == (serial.into(), 7.into())),
        "{wrong}"
    );
}

#[test]
fn the_state_holds_no_pin_is_closed_to_others_and_is_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = tokens(folder.path(), &[]);
    enrolled(&mut tokens, "bob");
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let text = fs::read_to_string(&files[0]).unwrap();
    assert!(!text.contains(PIN) && !text.contains("123456"), "{text}");
    assert!(text.contains("rehearsal"));
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);

    let foreign =
        error(VirtualTokens::new([9; 32], folder.path(), &plan(true), Vec::new()).unwrap().open(&wanted("bob")));
    assert!(foreign.to_string().contains("another seed"), "{foreign}");
    fs::write(&files[0], text.replace("\"bob\"", "\"alice\"")).unwrap();
    assert!(error(tokens.open(&wanted("bob"))).to_string().contains("belongs to alice"));
    for bad in ["", "{}", &text.replace("\"format\": 1", "\"format\": 2"), &text[..text.len() / 2]] {
        fs::write(&files[0], bad).unwrap();
        assert!(matches!(error(tokens.open(&wanted("bob"))), TokenError::Device(_)), "{bad}");
    }
}

/// Each byte of a state's file as another one: a token, or refused in words that move no cursor.
#[test]
fn a_changed_state_is_a_token_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = tokens(folder.path(), &[]);
    enrolled(&mut tokens, "bob");
    let states = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = states().find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("\"bob\""))).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for other in [0, b'9', b'"', 0x1b, 0xff] {
            let mut changed = whole.clone();
            changed[at] = other;
            fs::write(&path, changed).unwrap();
            if let Err(refused) = tokens.open(&wanted("bob")) {
                assert!(matches!(refused, TokenError::Device(_)), "{at}: {refused}");
                assert!(!refused.to_string().contains(char::is_control), "{at}: {refused}");
            }
        }
    }
}

#[test]
fn absent_and_wrong_fire_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = tokens(folder.path(), &["bob:absent", "bob:wrong-token"]);
    open(&mut tokens, "alice");
    assert!(matches!(error(tokens.open(&wanted("bob"))), TokenError::Absent(_)));
    let wrong = error(tokens.open(&wanted("bob")));
    assert!(
        matches!(wrong, TokenError::Wrong { found, wanted } if wanted == 20_000_002.into() && found != wanted),
        "{wrong}"
    );
    open(&mut tokens, "bob");
}

#[test]
fn a_token_pulled_mid_sign_answers_nothing_until_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = tokens(folder.path(), &["bob:pulled-mid-sign", "bob:not-touched:2", "bob:wrong-pin"]);
    let mut token = open(&mut tokens, "bob");
    assert!(matches!(
        error(token.provision(&NewSecrets { pin: &pin(PIN), puk: None })),
        TokenError::WrongPin { tries: Tries::Left(2) }
    ));
    drop(token);
    let (mut token, key) = enrolled(&mut tokens, "bob");
    let (root, targets) = reviewed();
    for _ in 0..2 {
        assert!(matches!(error(token.sign_root(&root, &pin(PIN))), TokenError::NotTouched));
    }
    assert!(matches!(error(token.sign_root(&root, &pin(PIN))), TokenError::Removed));
    assert!(matches!(error(token.sign_root(&root, &pin(PIN))), TokenError::Removed));
    assert!(matches!(error(token.sign_targets(&targets, &pin(PIN))), TokenError::Removed));
    assert!(matches!(error(token.state()), TokenError::Removed));
    assert!(matches!(error(token.inspect()), TokenError::Removed));
    assert!(matches!(error(token.attest()), TokenError::Removed));
    assert!(matches!(error(token.provision(&NewSecrets { pin: &pin(PIN), puk: None })), TokenError::Removed));
    let mut token = open(&mut tokens, "bob");
    assert!(verifies(&key, root.bytes(), &token.sign_root(&root, &pin(PIN)).unwrap()));
}

#[test]
fn a_token_pulled_while_it_generates_has_the_key_or_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = tokens(folder.path(), &["bob:pulled-before-generate", "bob:pulled-after-generate"]);
    let mut token = open(&mut tokens, "bob");
    token.provision(&NewSecrets { pin: &pin(PIN), puk: None }).unwrap();
    let slot = empty(&mut *token);
    assert!(matches!(error(token.generate(slot, &pin(PIN))), TokenError::Removed));
    let mut token = open(&mut tokens, "bob");
    let slot = empty(&mut *token);
    assert!(matches!(error(token.generate(slot, &pin(PIN))), TokenError::Removed));
    let mut token = open(&mut tokens, "bob");
    let key = occupied(&mut *token);
    assert!(verifies(&key, b"root payload", &token.sign_root(&reviewed().0, &pin(PIN)).unwrap()));
}

#[test]
fn faults_that_fired_stay_fired_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = || tokens(folder.path(), &["bob:absent:2"]);
    assert!(matches!(error(start().open(&wanted("bob"))), TokenError::Absent(_)));
    assert!(matches!(error(start().open(&wanted("bob"))), TokenError::Absent(_)));
    open(&mut start(), "bob");
}

#[test]
fn no_core_dump_is_left() {
    crate::token::no_core_dumps().unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    #[cfg(target_os = "linux")]
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
}
