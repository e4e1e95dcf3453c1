//! Ceremonies with YubiKeys over real pcscd, in which everything that can go wrong at a token goes wrong once.
//!
//! Built with `--features middleware` and run as `tests/yubikey.rs` is.
//!
//! Rules:
//! 1. The conductor, the ledger and the `yubikey` crate are the real ones. A hand plugs, pulls and touches the cards; it acts
//!    when the conductor opens a token, or while a card waits.
//! 2. What went wrong is said with its own words, stands in the record, and costs nobody a key or a try that was not typed.

#[path = "support/middleware.rs"]
mod middleware;
#[path = "support/pane.rs"]
mod pane;
#[path = "support/person.rs"]
mod person;
#[path = "support/stage.rs"]
mod stage;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;

use middleware::{Card, Desk, tell, until};
use person::Person;
use stage::{PIN, Stage, at, one, pin};
use trustroot::conduct::Ending;
use trustroot::seams::{NewSecrets, Pin, SlotState, Token, TokenError, Tokens, Wanted};
use trustroot::token::VirtualTokens;
use trustroot::token::piv::{YubikeyToken, YubikeyTokens};
use trustroot_core::check::Level;
use trustroot_core::plan::TokenKind;
use trustroot_core::signature::Portable;
use trustroot_core::tree::Entry;
use trustroot_core::verify::report::Evidence;
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};
use zeroize::Zeroizing;

/// A token of each firmware generation, and one that nobody asked for.
const ALICE: u32 = 20_000_201;
const BOB: u32 = 20_000_202;
const STRANGER: u32 = 20_000_203;

thread_local! {
    static HAND: RefCell<Option<Hand>> = const { RefCell::new(None) };
}

/// Who plugs tokens in, and what is in the readers.
struct Hand {
    desk: Desk,
    cards: BTreeMap<u32, Card>,
    opened: BTreeMap<String, u32>,
    moving: Option<JoinHandle<()>>,
}

/// Virtual tokens as they are, and YubiKeys after the hand did what comes next.
struct ByHand(VirtualTokens);

impl Tokens for ByHand {
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        if wanted.kind == TokenKind::Virtual {
            return self.0.open(wanted);
        }
        HAND.with_borrow_mut(|hand| hand.as_mut().unwrap().act(wanted.holder.as_str()));
        YubikeyTokens.open(wanted)
    }
}

fn secret(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

/// What `Rehearsed` types as the PUK.
fn puk() -> Pin {
    secret(&PIN.chars().rev().collect::<String>())
}

fn token(serial: u32) -> YubikeyToken {
    YubikeyTokens.open_serial(Some(serial)).unwrap_or_else(|error| panic!("{serial}: {error}"))
}

/// Writes a key into slot 9c that everybody has, as somebody does who has the token and its PIN.
fn import(serial: u32) {
    let mut token = yubikey::YubiKey::open_by_serial(yubikey::Serial(serial)).unwrap();
    token.verify_pin(PIN.as_bytes()).unwrap();
    let management = yubikey::MgmKey::get_protected(&mut token).unwrap();
    token.authenticate(&management).unwrap();
    let (touch, pin) = (yubikey::TouchPolicy::Always, yubikey::PinPolicy::Always);
    yubikey::piv::import_ecc_key(
        &mut token,
        yubikey::piv::SlotId::Signature,
        yubikey::piv::AlgorithmId::EccP256,
        &[7; 32],
        touch,
        pin,
    )
    .unwrap();
}

impl Hand {
    fn insert(&mut self, reader: u16, serial: u32, version: &str) {
        let card = self.desk.card(reader, serial, version, &["--touch-limit", "3"]);
        self.cards.insert(serial, card);
    }

    fn tell(&self, serial: u32, line: &str) {
        assert_eq!(self.cards[&serial].tell(line), "ok", "{line}");
    }

    /// Puts a card back that was pulled a while ago, and looks until it is seen.
    fn put_back(&self, serial: u32) {
        until("the reader is empty", || YubikeyTokens.open_serial(Some(serial)).is_err());
        // A hand is not faster than the service, which looks a few times a second.
        std::thread::sleep(Duration::from_secs(1));
        self.tell(serial, "insert");
        until("it is back", || YubikeyTokens.open_serial(Some(serial)).is_ok());
    }

    /// From now on alice's token says this of its key, and nothing else that is wrong.
    fn forge(&self, fault: &str) {
        self.tell(ALICE, "fault none");
        self.tell(ALICE, &format!("fault {fault}"));
    }

    /// What happens before the conductor opens the token of `holder` for the nth time.
    fn act(&mut self, holder: &str) {
        let opened = self.opened.entry(holder.to_owned()).or_default();
        *opened += 1;
        let nth = *opened;
        match (holder, nth) {
            // Plugging in: no service, nothing there, another token, and then two of which one is wanted.
            ("alice", 1) => self.desk.stop(),
            ("alice", 2) => self.desk.start(),
            ("alice", 3) => self.insert(0, STRANGER, "5.7.4"),
            ("alice", 4) => {
                self.cards.remove(&STRANGER).unwrap().stop();
                self.insert(1, BOB, "5.4.3");
                // Somebody used it before: there is a key in it.
                let mut used = token(BOB);
                used.provision(&NewSecrets { pin: &secret("other-1n"), puk: Some(&puk()) }).unwrap();
                let Ok(SlotState::Empty(slot)) = used.inspect() else { panic!("a fresh token has an empty slot") };
                used.generate(slot, &secret("other-1n")).unwrap();
                drop(used);
                self.insert(0, ALICE, "5.7.4");
                // Pulled when a key is to be made, before the card begins.
                self.tell(ALICE, "fault pull-before 47");
            }
            // Somebody puts a key in that was made elsewhere.
            ("alice", 5) => {
                self.put_back(ALICE);
                import(ALICE);
            }
            // It is reset, and left as the factory made it.
            ("alice", 6) => token(ALICE).reset().unwrap(),
            // Prepared again; and pulled when the key was just made, before the host hears of it.
            ("alice", 7) => {
                token(ALICE).provision(&NewSecrets { pin: &secret(PIN), puk: Some(&puk()) }).unwrap();
                self.tell(ALICE, "fault pull-after 47");
            }
            // Back, and every forgery of what it says of the key, one after the other.
            ("alice", 8) => {
                self.put_back(ALICE);
                self.forge("serial 999");
            }
            ("alice", 9) => self.forge("stranger"),
            ("alice", 10) => self.forge("other-key"),
            ("alice", 11) => self.forge("policies 2 2"),
            ("alice", 12) => self.forge("policies 3 1"),
            ("alice", 13) => self.forge("firmware 5.1.7"),
            ("alice", 14) => self.tell(ALICE, "fault none"),
            // To sign: two wrong PINs, and the third try is not spent; the PUK sets a PIN anew.
            ("alice", 15) => self.put_back(ALICE),
            ("alice", 16) => token(ALICE).unblock(&puk(), &secret(PIN)).unwrap(),
            // The plan names no serial, and two answer.
            ("bob", 1) => {}
            ("bob", 2) => self.tell(ALICE, "pull"),
            // A key that somebody made before is never written over; a reset empties the token.
            ("bob", 3) => token(BOB).reset().unwrap(),
            // Nobody touches, and then it is pulled while it waits.
            ("bob", 4) => self.tell(BOB, "touched never"),
            ("bob", 5) => {
                self.tell(BOB, "touched asked");
                let control = self.cards[&BOB].control.clone();
                self.moving = Some(std::thread::spawn(move || {
                    until("it waits for a touch", || tell(&control, "waiting").contains("true"));
                    assert_eq!(tell(&control, "pull"), "ok");
                }));
            }
            ("bob", 6) => {
                self.moving.take().unwrap().join().unwrap();
                self.put_back(BOB);
                self.tell(BOB, "touched always");
            }
            (who, n) => panic!("{who} plugs in {n} times"),
        }
    }
}

fn plan(text: String) -> String {
    text.replace("{ kind = \"virtual\", serial = 90000001 }", &format!("{{ kind = \"yubikey\", serial = {ALICE} }}"))
        .replace("{ kind = \"virtual\", serial = 90000002 }", "{ kind = \"yubikey\" }")
        .replace("minimum_firmware = \"5.7.0\"", "minimum_firmware = \"5.4.0\"")
        .replace("# waive = [\"EUCLEAK\"]", "waive = [\"EUCLEAK\"]")
}

/// One test, because there is one pcscd in a namespace.
#[test]
fn trouble_at_tokens_costs_nobody_a_key() {
    everything_goes_wrong_once_and_the_root_is_made();
    killed_between_the_key_and_its_record();
}

fn everything_goes_wrong_once_and_the_root_is_made() {
    let hand = Hand { desk: Desk::new(2), cards: BTreeMap::new(), opened: BTreeMap::new(), moving: None };
    HAND.set(Some(hand));
    let mut stage = Stage::changed(3, 2, plan);
    stage.tokens = Some(|tokens| Box::new(ByHand(tokens)));
    let again = |step: &'static str, nth| at(step, "token-trouble", nth, one("again"));
    let deviations = [
        at("keys.alice.provision", "new-pin", 1, pin("123456")),
        at("sign.alice.sign", "pin", 1, pin("wr0ng-1n")),
        at("sign.alice.sign", "pin", 2, pin("wr0ng-2n")),
        again("sign.alice.sign", 1),
    ];
    let outcome = stage.hold(&deviations);
    assert_eq!(outcome.ending(), Ending::Closed);
    let text = outcome.transcript.text();
    println!("{text}");
    said_in_order(&text);

    // Nothing that went wrong is left in what was made, and no secret of anybody.
    let tree = stage.tree();
    let options = Options {
        now: stage.start.plus_seconds(3600),
        rehearsal: true,
        strict: false,
        anchor: None,
        program: None,
        history: History::None,
        differences: &[],
    };
    let report = verify_trust_root(&tree, &options, &Portable);
    let refused: Vec<_> = report.findings.iter().filter(|finding| finding.level == Level::Refused).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let holders: Vec<_> =
        report.facts.holders.iter().map(|h| (h.handle.as_str(), h.proof.evidence, h.signed)).collect();
    let signed = |who| (who, Evidence::Attested, true);
    assert_eq!(holders, [signed("alice"), signed("bob"), signed("carol")]);
    let typed: [&[u8]; 4] = [PIN.as_bytes(), b"wr0ng-1n", b"wr0ng-2n", b"other-1n"];
    for bytes in tree.values().filter_map(Entry::bytes) {
        assert!(typed.iter().all(|secret| !bytes.windows(secret.len()).any(|window| window == *secret)));
    }
    let tries = |serial| HAND.with_borrow(|hand| hand.as_ref().unwrap().cards[&serial].tell("tries"));
    assert_eq!([tries(ALICE), tries(BOB)], ["3 3", "3 3"], "no try is missing");
    HAND.set(None);
}

/// What each trouble is called, in the order in which it happens.
fn said_in_order(text: &str) {
    let mut lines = text.lines().filter(|line| line.starts_with("trouble: "));
    for words in [
        "the smart-card service does not run.",
        "nothing is in it; ",
        "this is the token with serial 20000203; the one wanted has serial 20000201.",
        "That is the factory PIN, which everybody knows.",
        "the token was pulled out before it answered.",
        "the token does not attest this key: it was imported, or f9 is gone.",
        "its PIN is the factory's, which everybody knows; change it first,",
        "the token was pulled out before it answered.",
        "ATT-SERIAL: token 20000201: the attestation is of token 999, not of token 20000201",
        "its attestation does not hold (ATT-SERIAL).",
        "ATT-CHAIN: token 20000201: no pinned anchor is above",
        "its attestation does not hold (ATT-CHAIN).",
        "ATT-BOUND: token 20000201: the attested key is",
        "its attestation does not hold (ATT-BOUND).",
        "ATT-POLICY: token 20000201: PIN once, touch always; both must be always",
        "its attestation does not hold (ATT-POLICY).",
        "ATT-POLICY: token 20000201: PIN always, touch never; both must be always",
        "its attestation does not hold (ATT-POLICY).",
        "ATT-FIRMWARE: token 20000201: the firmware is 5.1.7, the least the plan allows is 5.4.0",
        "its attestation does not hold (ATT-FIRMWARE).",
        "several YubiKeys answer: 20000201, 20000202.",
        "the slot 9c holds a key already.",
        "wrong PIN; tries left: 2.",
        "wrong PIN; tries left: 1.",
        "no more tries of the PIN are spent here; tries left: 1.",
        "the token was not touched in time.",
        "the token was pulled out before it answered.",
    ] {
        let line = lines.next().unwrap_or_else(|| panic!("`{words}` was not said:\n{text}"));
        assert!(line.contains(words), "`{words}` was not said next, but `{line}`:\n{text}");
    }
    assert_eq!(lines.next(), None);
    assert!(text.contains("note: Exception 14 is in the record."), "{text}");
}

/// The program itself, at a terminal, killed when the token has made the key and before the host heard of it.
fn killed_between_the_key_and_its_record() {
    let desk = Desk::new(2);
    let card = desk.put(0, ALICE, "5.7.4", &[]);
    let folder = tempfile::tempdir().unwrap();
    let day = folder.path().join("day");
    std::fs::create_dir(&day).unwrap();
    let size = (100, 50);
    let mut person = Person::at_shell("killed", size, &[], |asked| match asked.text.contains("PUK") {
        true => "9uk-9uk9".to_owned(),
        false => PIN.to_owned(),
    });
    person.run(&format!("cd {} && git init -q && git config user.name O && git config user.email o@o", day.display()));
    person.run("openssl genpkey -algorithm ed25519 -out ../online.pem");
    person.run("trustroot plan new plan.toml --rehearsal --holders 1 --threshold 1 --day $(date -u +%F)");
    let text = std::fs::read_to_string(day.join("plan.toml")).unwrap();
    std::fs::write(day.join("plan.toml"), plan(text)).unwrap();
    person.enter("trustroot run plan.toml --online-key online=../online.pem");
    person.go_to("keys.alice.generate", "Generate the key");
    assert_eq!(card.tell("fault hold-after 47"), "ok");
    person.enter("generate");
    until("the key is made", || card.tell("held") == "true");
    let shell = String::from_utf8(person.pane.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout).unwrap();
    let shell = shell.trim();
    let program = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    person.answered = person::prompts(&person.pane.screen());
    assert!(std::process::Command::new("kill").args(["-KILL", program.trim()]).status().unwrap().success());
    let screen = person.stands();
    assert!(screen.trim_end().ends_with("exit=137 $"), "{screen}");
    assert_eq!(card.tell("let-go"), "ok");
    // It was killed with the echo off.
    person.enter("stty sane; echo");
    let Ok(SlotState::Occupied(made)) = token(ALICE).inspect() else { panic!("no key was made") };

    // The next start takes the key that is there, by its attestation, and asks for no other.
    person.enter("trustroot run --online-key online=../online.pem");
    let screen = person.go_to_the_end();
    assert!(screen.trim_end().ends_with("exit=0 $") && screen.contains("\nIt verifies."), "{screen}");
    assert!(screen.contains(&format!("done: Key {}: attested by the token", made.fingerprint())), "{screen}");
    assert_eq!(screen.matches("Generate the key on this token").count(), 1, "{screen}");
    assert_eq!(card.tell("tries"), "3 3");
    let mut log = std::process::Command::new("git");
    let log = log.arg("-C").arg(&day).args(["log", "--name-only", "--format="]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    // The intent and the deed, once each.
    assert_eq!(log.lines().filter(|line| line.contains("-keys.alice.generate-")).count(), 2, "{log}");
}
