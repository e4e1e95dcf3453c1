//! The applet without any middleware, and its certificates before openssl and beside those that the core pins.

use std::process::Command;
use std::sync::Arc;

use virtual_yubikey::{AlwaysTouched, Card, Line, Model, State, algorithm, attest};

const PIN: &[u8] = b"123456\xff\xff";
const OTHER: &[u8] = b"654321\xff\xff";
const SELECT: &[u8] = &[0x00, 0xa4, 0x04, 0x00, 0x05, 0xa0, 0x00, 0x00, 0x03, 0x08];

fn card(model: Model) -> Card {
    let mut card = Card::new(State::factory(model), None, Arc::new(AlwaysTouched));
    assert_eq!(status(&card.transmit(SELECT)), 0x9000);
    card
}

fn command(instruction: u8, p1: u8, p2: u8, data: &[u8]) -> Vec<u8> {
    [&[0, instruction, p1, p2, u8::try_from(data.len()).unwrap()], data].concat()
}

fn status(answer: &[u8]) -> u16 {
    u16::from_be_bytes(answer[answer.len() - 2..].try_into().unwrap())
}

/// Proves the factory's management key, as a host does it alone: the challenge is encrypted.
fn administrate(card: &mut Card) {
    use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
    let key = virtual_yubikey::state::FACTORY_MANAGEMENT_KEY;
    let challenge = card.transmit(&command(0x87, 0x0a, 0x9b, &[0x7c, 2, 0x81, 0]));
    let mut block: [u8; 16] = challenge[4..20].try_into().unwrap();
    aes::Aes192::new_from_slice(&key).unwrap().encrypt_block((&mut block).into());
    let answer = card.transmit(&command(0x87, 0x0a, 0x9b, &[&[0x7c, 18, 0x82, 16][..], &block].concat()));
    assert_eq!(status(&answer), 0x9000);
}

fn generate(card: &mut Card, slot: u8) {
    administrate(card);
    let made = card.transmit(&command(0x47, 0, slot, &[0xac, 3, 0x80, 1, algorithm::P256]));
    assert_eq!(status(&made), 0x9000);
}

#[test]
fn three_wrong_pins_block_and_the_puk_unblocks() {
    let mut card = card(Model::new(7, [5, 7, 4]));
    let mut present = |instruction, data: &[u8]| status(&card.transmit(&command(instruction, 0, 0x80, data)));
    let wrong = b"000000\xff\xff";
    let answers = [wrong, wrong, wrong, PIN].map(|pin| present(0x20, pin));
    assert_eq!(answers, [0x63c2, 0x63c1, 0x6983, 0x6983]);
    assert_eq!(present(0x2c, &[b"12345678", OTHER].concat()), 0x9000);
    assert_eq!(present(0x20, OTHER), 0x9000);
}

#[test]
fn a_pin_that_is_always_asked_for_counts_for_the_next_command_only() {
    let mut card = card(Model::new(7, [5, 7, 4]));
    let without = card.transmit(&command(0x47, 0, 0x9c, &[0xac, 3, 0x80, 1, algorithm::P256]));
    assert_eq!(status(&without), 0x6982);
    generate(&mut card, 0x9c);
    let sign = command(0x87, algorithm::P256, 0x9c, &[&[0x7c, 36, 0x82, 0, 0x81, 32][..], &[5; 32]].concat());
    let pin = command(0x20, 0, 0x80, PIN);
    let answers = [&sign, &pin, &sign, &sign].map(|command| status(&card.transmit(command)));
    assert_eq!(answers, [0x6982, 0x9000, 0x9000, 0x6982]);
}

#[test]
fn the_attestation_key_signs_nothing_else() {
    let mut card = card(Model::new(7, [5, 7, 4]));
    card.transmit(&command(0x20, 0, 0x80, PIN));
    let sign = command(0x87, algorithm::P256, 0xf9, &[&[0x7c, 36, 0x82, 0, 0x81, 32][..], &[5; 32]].concat());
    assert_eq!(status(&card.transmit(&sign)), 0x6b00);
}

#[test]
fn pins_that_are_easy_to_guess_are_refused_where_the_model_says_so() {
    let change = command(0x24, 0, 0x80, &[PIN, b"111111\xff\xff"].concat());
    let mut strict = card(Model { pin_complexity: true, ..Model::new(7, [5, 7, 4]) });
    assert_eq!(status(&strict.transmit(&change)), 0x6985);
    assert_eq!(status(&card(Model::new(7, [5, 7, 4])).transmit(&change)), 0x9000);
}

#[test]
fn a_card_is_itself_again_after_it_was_unplugged() {
    let path = std::env::temp_dir().join(format!("virtual-yubikey-{}.json", std::process::id()));
    let load = || State::load(&path, Model::new(7, [5, 7, 4])).unwrap();
    let mut first = Card::new(load(), Some(path.clone()), Arc::new(AlwaysTouched));
    first.transmit(SELECT);
    generate(&mut first, 0x9c);
    let described = first.transmit(&command(0xf7, 0, 0x9c, &[]));
    let mut second = Card::new(load(), Some(path.clone()), Arc::new(AlwaysTouched));
    second.transmit(SELECT);
    let again = second.transmit(&command(0xf7, 0, 0x9c, &[]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(status(&again), 0x9000);
    assert_eq!(again, described);
}

/// All of an answer, asked for part by part.
fn whole(card: &mut Card, command: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = card.transmit(command);
    while let [0x61, _] = part[part.len() - 2..] {
        all.extend_from_slice(&part[..part.len() - 2]);
        part = card.transmit(&[0, 0xc0, 0, 0, 0]);
    }
    assert_eq!(status(&part), 0x9000);
    all.extend_from_slice(&part[..part.len() - 2]);
    all
}

/// Whether openssl finds a way from the slot's certificate to the anchor, and what it shows of the slot's.
fn judged(card: &mut Card, line: Line, name: &str) -> (bool, String) {
    let folder = std::env::temp_dir().join(format!("virtual-yubikey-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let openssl = |args: &[&str]| Command::new("openssl").args(args).current_dir(&folder).output().unwrap();
    let pem = |der: &[u8]| {
        std::fs::write(folder.join("one.der"), der).unwrap();
        String::from_utf8(openssl(&["x509", "-inform", "DER", "-in", "one.der"]).stdout).unwrap()
    };
    let slot = whole(card, &command(0xf9, 0x9c, 0, &[]));
    // 53, its length, 70, its length, the certificate, and five bytes more.
    let object = whole(card, &command(0xcb, 0x3f, 0xff, &[0x5c, 3, 0x5f, 0xff, 0x01]));
    let begin = object.windows(2).position(|two| two == [0x30, 0x82]).unwrap();
    let untrusted: String =
        line.intermediates().iter().chain([&object[begin..object.len() - 5].to_vec()]).map(|der| pem(der)).collect();
    std::fs::write(folder.join("anchor.pem"), pem(&attest::anchor())).unwrap();
    std::fs::write(folder.join("untrusted.pem"), untrusted).unwrap();
    std::fs::write(folder.join("slot.pem"), pem(&slot)).unwrap();
    // The dates are fixed, so the judge is given a time as well.
    let verify =
        ["verify", "-attime", "1767225600", "-CAfile", "anchor.pem", "-untrusted", "untrusted.pem", "slot.pem"];
    let verdict = openssl(&verify).status.success();
    let shown = openssl(&["x509", "-in", "slot.pem", "-noout", "-text"]).stdout;
    std::fs::remove_dir_all(&folder).unwrap();
    (verdict, String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn openssl_takes_every_line_and_no_stranger() {
    for (line, name) in [(Line::Direct, "direct"), (Line::Rsa, "rsa"), (Line::Ecdsa, "ecdsa")] {
        let mut card = card(Model { line, fips: true, cspn: true, ..Model::new(7, [5, 7, 4]) });
        generate(&mut card, 0x9c);
        let (verdict, shown) = judged(&mut card, line, name);
        assert!(verdict, "{name}");
        for leaf in [3, 7, 8, 9, 10, 11] {
            assert!(shown.contains(&format!("1.3.6.1.4.1.41482.3.{leaf}:")), "{leaf} in\n{shown}");
        }
        card.faults.stranger = true;
        assert!(!judged(&mut card, line, name).0, "a stranger's {name}");
    }
}

#[test]
fn the_pinned_certificates_are_those_made_here() {
    let pinned = |name: &str| {
        let path = format!("{}/../../src/core/attestation/vendors/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        let shown = Command::new("openssl").args(["x509", "-outform", "DER", "-in", &path]).output().unwrap();
        assert!(shown.status.success(), "{path}");
        shown.stdout
    };
    assert_eq!(attest::anchor(), pinned("rehearsal"));
    let between = [pinned("rehearsal-intermediate-1"), pinned("rehearsal-piv-attestation-1")];
    assert_eq!(Line::Ecdsa.intermediates(), between);
}
