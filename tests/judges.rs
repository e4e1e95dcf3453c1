//! Programs that others wrote judge the virtual YubiKey, and then what this program makes of one: `ykman`,
//! `yubico-piv-tool`, ykcs11 and OpenSC, over real pcscd.
//!
//! Built with `--features middleware` and run as `tests/yubikey.rs` is; `scripts/setup test` installs the judges.
//!
//! Rules:
//! 1. What our own code says of a token is never the only word: another program looks at the same card.
//! 2. Two cards are there at once, one of each firmware generation, so that every judge has to pick the right one.
//! 3. What a judge of this version cannot do with a card is left to another judge, and said where it is left out.

#[path = "support/middleware.rs"]
mod middleware;
#[path = "support/pane.rs"]
mod pane;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use middleware::{Card, Desk};
use pane::Pane;
use serde_json::Value;
use trustroot::seams::{Pin, Pkcs11Wanted, SlotState, Token, TokenError, Tokens as _, Tries, Wanted};
use trustroot::token::Pkcs11Tokens;
use trustroot_core::check::Level;
use trustroot_core::claim::{Attribute, Expected, Origin, examine};
use trustroot_core::key::PublicKey;
use trustroot_core::payload::Payload;
use trustroot_core::plan::{KeyKind, TokenKind};
use trustroot_core::review::{Review, Reviewed, Root};
use trustroot_core::signature::{Portable, Signed};
use trustroot_core::slot::Slot;
use trustroot_core::text::Handle;
use zeroize::Zeroizing;

/// Firmware that keeps its management key as AES, and firmware that keeps it as 3DES.
const NEW: (u32, &str, &str) = (20_000_101, "5.7.4", "AES192");
const OLD: (u32, &str, &str) = (20_000_102, "5.4.3", "TDES");
/// The factory's secrets.
const FACTORY: (&str, &str, &str) = ("123456", "12345678", "010203040506070801020304050607080102030405060708");
const PIN: &str = "s3sam-0!";
const PUK: &str = "9uk-9uk9";

/// Where distributions put the modules.
fn library(name: &str) -> PathBuf {
    let folders = [
        format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH),
        "/usr/lib64".to_owned(),
        "/usr/lib64/pkcs11".to_owned(),
        "/usr/lib".to_owned(),
    ];
    let mut all = folders.iter().map(|folder| Path::new(folder).join(name));
    all.find(|path| path.exists()).unwrap_or_else(|| panic!("{name} is not installed: scripts/setup test"))
}

/// A folder to work in, and the cards on the desk.
struct Room {
    folder: PathBuf,
    desk: Desk,
}

impl Room {
    /// Runs a program in the folder; what it printed, if it succeeded.
    #[track_caller]
    fn run(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
        let output = self.output(program, args);
        let said = said(&output);
        assert!(output.status.success(), "{args:?}\n{said}");
        said
    }

    /// The same, for what must be refused.
    #[track_caller]
    fn refused(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
        let output = self.output(program, args);
        let said = said(&output);
        assert!(!output.status.success(), "{args:?} is not refused\n{said}");
        said
    }

    fn output(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
        let program = program.as_ref();
        // None of the judges may wait for a person.
        let mut command = Command::new("timeout");
        command.arg("60").arg(program).args(args).current_dir(&self.folder).stdin(std::process::Stdio::null());
        command.output().unwrap_or_else(|error| panic!("{program:?}: {error}"))
    }

    #[track_caller]
    fn ykman(&self, serial: u32, args: &[&str]) -> String {
        self.run(ykman(), &[&["--device", &serial.to_string()], args].concat())
    }

    #[track_caller]
    fn trustroot(&self, args: &[&str]) -> String {
        self.run(env!("CARGO_BIN_EXE_trustroot"), args)
    }

    /// A report of this program for programs.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let output = self.output(env!("CARGO_BIN_EXE_trustroot"), args);
        assert!(output.status.success(), "{args:?}\n{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
    }

    /// Runs this program at a terminal. Each answer is typed when the screen ends with a prompt that follows these words.
    #[track_caller]
    fn at_terminal(&self, test: &str, args: &str, answers: &[(&str, &str)], code: i32) -> String {
        let script = format!(
            "cd '{}'; '{}' {args}; echo EXIT=$?; exec cat",
            self.folder.display(),
            env!("CARGO_BIN_EXE_trustroot")
        );
        let pane = Pane::open(test, (110, 50), &["sh", "-c", &script]);
        for (words, answer) in answers {
            let mut screen = String::new();
            pane::until(|| {
                screen = pane.screen();
                screen.rfind(words).is_some_and(|at| screen[at..].trim_end().ends_with("\n>"))
            })
            .unwrap_or_else(|()| panic!("`{words}` is not asked:\n{screen}"));
            pane.enter(answer);
        }
        let screen = pane.see("EXIT=");
        assert!(screen.contains(&format!("EXIT={code}")), "{screen}");
        for secret in [PIN, PUK] {
            assert!(!screen.contains(secret), "a secret is on the screen:\n{screen}");
        }
        screen
    }

    /// The certificates above every device, for openssl.
    fn anchors(&self) {
        std::fs::write(self.folder.join("anchors.pem"), self.trustroot(&["token", "anchors", "--rehearsal"])).unwrap();
    }

    #[track_caller]
    fn openssl(&self, line: &str) {
        self.run("openssl", &line.split(' ').collect::<Vec<_>>());
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The vendor's tool in the environment that `scripts/setup test` made.
fn ykman() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ykman/bin/ykman");
    assert!(program.exists(), "{} is not there: scripts/setup test installs it", program.display());
    program
}

#[track_caller]
fn contains(text: &str, all: &[&str]) {
    for words in all {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
}

/// One test, because there is one pcscd in a namespace; each part says what it is about when it fails.
#[test]
fn others_take_the_virtual_card_for_a_yubikey_and_see_the_state_that_we_claim() {
    let desk = Desk::new(2);
    let folder = desk.folder().join("work");
    std::fs::create_dir(&folder).unwrap();
    let room = Room { folder, desk };
    room.anchors();
    let cards = [room.desk.card(0, NEW.0, NEW.1, &[]), room.desk.card(1, OLD.0, OLD.1, &[])];
    let listed = room.run(ykman(), &["list"]);
    for (serial, firmware, kind) in [NEW, OLD] {
        contains(&listed, &[&format!("({firmware}) [CCID] Serial: {serial}")]);
        ykman_takes_it(&room, serial, firmware, kind);
    }
    yubico_piv_tool_takes_it(&room);
    modules_take_it(&room);
    for (serial, _, _) in [NEW, OLD] {
        a_key_that_ykman_made_is_seen_rightly(&room, serial);
        room.ykman(serial, &["piv", "reset", "--force"]);
    }
    for (serial, _, kind) in [NEW, OLD] {
        what_we_made_is_what_ykman_sees(&room, serial, kind);
    }
    for card in &cards {
        a_root_is_signed_through_modules(&room, card);
    }
    the_end_of_a_token(&room, &cards[0]);
}

// ------------------------------------------------------------------------------------------------ the card is judged

fn ykman_takes_it(room: &Room, serial: u32, firmware: &str, kind: &str) {
    let (pin, puk, management) = FACTORY;
    contains(&room.ykman(serial, &["info"]), &["PIV         \tEnabled", &format!("Firmware version: {firmware}")]);
    contains(
        &room.ykman(serial, &["piv", "info"]),
        &[
            "PIN tries remaining:      3/3",
            "PUK tries remaining:      3/3",
            &format!("Management key algorithm: {kind}"),
            "Using default PIN!",
            "Using default PUK!",
            "Using default Management key!",
        ],
    );
    room.ykman(serial, &["piv", "access", "change-pin", "-P", pin, "-n", PIN]);
    room.ykman(serial, &["piv", "access", "change-puk", "-p", puk, "-n", PUK]);
    let changed = ["piv", "access", "change-management-key", "--generate", "--protect", "-m", management, "-P", PIN];
    room.ykman(serial, &changed);
    let info = room.ykman(serial, &["piv", "info"]);
    contains(&info, &[&format!("Management key algorithm: {kind}"), "stored on the YubiKey, protected by PIN"]);
    assert!(!info.contains("default"), "{info}");

    // Made in the card, attested up to the anchor, and signing what openssl verifies.
    let key = ["--algorithm", "ECCP256", "--pin-policy", "ALWAYS", "--touch-policy", "ALWAYS", "9c", "made.pem"];
    room.ykman(serial, &[&["piv", "keys", "generate", "-P", PIN], &key[..]].concat());
    room.ykman(serial, &["piv", "keys", "attest", "9c", "attested.pem"]);
    room.ykman(serial, &["piv", "certificates", "export", "f9", "device.pem"]);
    room.openssl("verify -no_check_time -CAfile anchors.pem -untrusted device.pem attested.pem");
    room.ykman(serial, &["piv", "certificates", "generate", "-P", PIN, "-s", "CN=made", "9c", "made.pem"]);
    room.ykman(serial, &["piv", "certificates", "export", "9c", "signed.pem"]);
    room.openssl("verify -check_ss_sig -CAfile signed.pem signed.pem");
    let public = ["x509", "-in", "attested.pem", "-noout", "-pubkey"];
    assert_eq!(room.run("openssl", &public), std::fs::read_to_string(room.folder.join("made.pem")).unwrap());

    // One that came from outside signs too, and is not attested.
    let kind = if serial == NEW.0 { "EC -pkeyopt ec_paramgen_curve:P-384" } else { "RSA" };
    room.openssl(&format!("genpkey -algorithm {kind} -out outside.pem"));
    room.ykman(serial, &["piv", "keys", "import", "-P", PIN, "9e", "outside.pem"]);
    room.ykman(serial, &["piv", "keys", "export", "--verify", "-P", PIN, "9e", "outside-public.pem"]);
    room.refused(ykman(), &["--device", &serial.to_string(), "piv", "keys", "attest", "9e", "-"]);
}

/// Version 2.2 knows management keys of 3DES only, so on a new card it does what needs none.
fn yubico_piv_tool_takes_it(room: &Room) {
    for ((serial, firmware, _), reader) in [(NEW, "VIRTUAL 00 00"), (OLD, "VIRTUAL 00 01")] {
        let tool = |args: &[&str]| room.run("yubico-piv-tool", &[&["-r", reader], args].concat());
        contains(&tool(&["-a", "status"]), &[firmware, &serial.to_string(), "CN=made", "PIN tries left:\t3"]);
        let wrong = room.refused("yubico-piv-tool", &["-r", reader, "-a", "verify-pin", "-P", "wrong-1"]);
        contains(&wrong, &["2 tries left before pin is blocked"]);
        tool(&["-a", "change-pin", "-P", PIN, "-N", "654321"]);
        tool(&["-a", "unblock-pin", "-P", PUK, "-N", PIN]);
        tool(&["-a", "change-puk", "-P", PUK, "-N", PUK]);
        tool(&["-a", "attest", "-s", "9c", "-o", "attested.pem"]);
        tool(&["-a", "read-certificate", "-s", "f9", "-o", "device.pem"]);
        tool(&["-a", "read-certificate", "-s", "9c", "-o", "signed.pem"]);
        room.openssl("verify -no_check_time -CAfile anchors.pem -untrusted device.pem attested.pem");
        std::fs::write(room.folder.join("data"), b"what is signed").unwrap();
        let sign = ["--sign", "-s", "9c", "-A", "ECCP256", "-H", "SHA256", "-i", "data", "-o", "signature"];
        tool(&[&["-a", "verify-pin", "-P", PIN], &sign[..]].concat());
        is_signed_by_slot(room);
    }
    let tool = |args: &[&str]| room.run("yubico-piv-tool", &[&["-r", "VIRTUAL 00 01"], args].concat());
    room.ykman(OLD.0, &["piv", "access", "change-management-key", "-n", FACTORY.2, "-P", PIN, "--force"]);
    let policies = ["--pin-policy=always", "--touch-policy=always", "-o", "made.pem"];
    tool(&[&["-a", "generate", "-s", "9d", "-A", "ECCP256"], &policies[..]].concat());
    tool(&["-a", "attest", "-s", "9d", "-o", "attested.pem"]);
    room.openssl("verify -no_check_time -CAfile anchors.pem -untrusted device.pem attested.pem");
    room.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out outside.pem");
    room.openssl("req -x509 -key outside.pem -subj /CN=outside -out outside-certificate.pem");
    tool(&["-a", "import-key", "-s", "9a", "-i", "outside.pem"]);
    tool(&["-a", "import-certificate", "-s", "9a", "-i", "outside-certificate.pem"]);
    contains(&tool(&["-a", "status"]), &["CN=outside"]);
    let other = "112233445566778811223344556677881122334455667788";
    tool(&["-a", "set-mgm-key", "-n", other]);
    tool(&[&format!("-k{other}"), "-a", "set-mgm-key", "-n", FACTORY.2]);
}

/// Whether `signature` is the signature over `data` by the key of the certificate `signed.pem`.
#[track_caller]
fn is_signed_by_slot(room: &Room) {
    let public = room.run("openssl", &["x509", "-in", "signed.pem", "-noout", "-pubkey"]);
    std::fs::write(room.folder.join("public.pem"), public).unwrap();
    room.openssl("dgst -sha256 -verify public.pem -signature signature data");
}

fn modules_take_it(room: &Room) {
    contains(&room.run("opensc-tool", &["--list-readers"]), &["VIRTUAL 00 00", "VIRTUAL 00 01"]);
    for (reader, (serial, _, _)) in ["0", "1"].iter().zip([NEW, OLD]) {
        contains(&room.run("opensc-tool", &["--reader", reader, "--name"]), &["Personal Identity Verification Card"]);
        contains(&room.run("pkcs15-tool", &["--reader", reader, "--list-keys"]), &["SIGN key"]);
        room.ykman(serial, &["piv", "certificates", "export", "9c", "signed.pem"]);
        for module in ["libykcs11.so", "opensc-pkcs11.so"] {
            let module = library(module).display().to_string();
            let tool = |args: &[&str]| {
                room.run("pkcs11-tool", &[&["--module", &module, "--slot-index", reader], args].concat())
            };
            contains(
                &tool(&["--login", "--pin", PIN, "--list-objects"]),
                &["Private Key Object; EC", "always authenticate"],
            );
            let sign = ["--sign", "--id", "02", "-m", "ECDSA-SHA256", "--signature-format", "openssl"];
            tool(&[&["--login", "--pin", PIN], &sign[..], &["-i", "data", "-o", "signature"]].concat());
            is_signed_by_slot(room);
        }
        // OpenSC takes nothing but digits for a new PIN, so ykcs11 puts back what was there.
        for (module, old, new) in [("opensc-pkcs11.so", PIN, "65432100"), ("libykcs11.so", "65432100", PIN)] {
            let module = library(module).display().to_string();
            let change = ["--login", "--pin", old, "--change-pin", "--new-pin", new];
            room.run("pkcs11-tool", &[&["--module", &module, "--slot-index", reader], &change[..]].concat());
        }
    }
    // ykcs11 generates for whoever has the management key, where it is of 3DES.
    let module = library("libykcs11.so").display().to_string();
    let officer = ["--login", "--login-type", "so", "--so-pin", FACTORY.2];
    let key = ["--keypairgen", "--id", "1", "--key-type", "EC:secp256r1"];
    room.run("pkcs11-tool", &[&["--module", &module, "--slot-index", "1"], &officer[..], &key[..]].concat());
    contains(&room.ykman(OLD.0, &["piv", "keys", "info", "9a"]), &["ECCP256", "GENERATED"]);
}

// --------------------------------------------------------------------------------------------- this program is judged

/// What a judge made, in our words: the key, where it came from, and its attestation.
fn a_key_that_ykman_made_is_seen_rightly(room: &Room, serial: u32) {
    room.ykman(serial, &["piv", "keys", "export", "9c", "made.pem"]);
    let made = PublicKey::from_pem(&std::fs::read_to_string(room.folder.join("made.pem")).unwrap()).unwrap();
    let n = serial.to_string();
    let seen = room.json(&["token", "inspect", "--serial", &n, "--json"]);
    let slots: Vec<_> = seen["slots"].as_array().unwrap().iter().map(|s| (&s["slot"], &s["generated"])).collect();
    let generated =
        |slot: &str| slots.iter().find(|(name, _)| **name == slot).map(|(_, generated)| (*generated).clone());
    assert_eq!((generated("9c"), generated("9e")), (Some(true.into()), Some(false.into())), "{seen:#}");
    contains(
        &room.trustroot(&["token", "inspect", "--serial", &n]),
        &["slot 9e", "IMPORTED: somebody may have a copy"],
    );
    let facts = &seen["attestation"]["facts"];
    assert_eq!(facts["fingerprint"], made.fingerprint().to_string());
    assert_eq!((facts["pin-policy"].as_str(), facts["touch-policy"].as_str()), (Some("always"), Some("always")));
    assert_eq!(seen["state"]["management-key"]["factory"], false);
    let weak = ["token", "attest", "--serial", &n, "--rehearsal", "--out", "by-ykman"];
    if serial == OLD.0 {
        contains(
            &room.refused(env!("CARGO_BIN_EXE_trustroot"), &weak),
            &["ATT-ADVISORY", "EUCLEAK", "nothing was written"],
        );
        assert!(!room.folder.join("by-ykman").join(&n).exists());
    }
    room.trustroot(&[&weak[..], &["--advisories", "report"]].concat());
    let written = std::fs::read_to_string(room.folder.join(format!("by-ykman/{n}/public.pem"))).unwrap();
    assert_eq!(PublicKey::from_pem(&written).unwrap(), made);
    let verified = ["token", "verify", "--rehearsal", "--advisories", "report", "by-ykman", "--json"];
    let verdict = room.json(&verified);
    let lines: Vec<_> = verdict["equivalents"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    room.run("cp", &["anchors.pem", "ANCHORS"]);
    room.run("sh", &["-euc", &lines.join("\n")]);
}

fn what_we_made_is_what_ykman_sees(room: &Room, serial: u32, kind: &str) {
    let n = serial.to_string();
    let fresh = room.json(&["token", "inspect", "--serial", &n, "--json"]);
    assert_eq!(fresh["state"]["pin"], serde_json::json!({ "factory": true, "tries": 3 }));
    assert_eq!((&fresh["slots"], &fresh["attestation"]), (&serde_json::json!([]), &Value::Null));
    contains(&room.trustroot(&["token", "list"]), &[&format!("YubiKey {n}, firmware ")]);
    let listed = room.json(&["token", "list", "--json"]);
    assert!(listed["readers"].as_array().unwrap().iter().any(|reader| reader["serial"] == serial), "{listed:#}");
    // Two answer, and which one is meant was not said.
    contains(
        &room.refused(env!("CARGO_BIN_EXE_trustroot"), &["token", "inspect"]),
        &["several YubiKeys answer", "hint:"],
    );

    let args = format!("token provision --generate --json --serial {n} >provisioned.json");
    let made = room.at_terminal(
        &format!("provision-{n}"),
        &args,
        &[
            ("A new PIN for token", PIN),
            ("the same again:", PIN),
            ("A new PUK for token", PUK),
            ("the same again:", PUK),
            ("Generate a key in slot 9c", "generate"),
        ],
        0,
    );
    contains(&made, &["PIN: the FACTORY's, which everybody knows; tries left: 3", "each was proved"]);
    let info = room.ykman(serial, &["piv", "info"]);
    let kind = format!("Management key algorithm: {kind}");
    contains(&info, &["PIN tries remaining:      3/3", "PUK tries remaining:      3/3", &kind, "protected by PIN"]);
    assert!(!info.contains("default"), "{info}");
    let key = room.ykman(serial, &["piv", "keys", "info", "9c"]);
    contains(&key, &["ECCP256", "GENERATED", "PIN required for use:   ALWAYS", "Touch required for use: ALWAYS"]);
    room.ykman(serial, &["piv", "keys", "export", "9c", "made.pem"]);
    let key = PublicKey::from_pem(&std::fs::read_to_string(room.folder.join("made.pem")).unwrap()).unwrap();
    let told: Value = serde_json::from_slice(&std::fs::read(room.folder.join("provisioned.json")).unwrap()).unwrap();
    let expected =
        serde_json::json!({ "serial": serial, "provisioned": true, "fingerprint": key.fingerprint().to_string() });
    assert_eq!(told, expected);

    // What we write is what the card said to ykman, byte for byte; a second run finds it there.
    let attest = ["token", "attest", "--serial", &n, "--rehearsal", "--advisories", "report"];
    room.trustroot(&attest);
    let again = room.json(&[&attest[..], &["--json"]].concat());
    assert_eq!(again["attestation"]["attested"], true);
    room.ykman(serial, &["piv", "keys", "attest", "9c", "attested.pem"]);
    room.openssl(
        "verify -no_check_time -CAfile anchors.pem -untrusted device.pem attested.pem"
            .replace("device.pem", &format!("hardware-keys/{n}/f9-intermediate.pem"))
            .as_str(),
    );
    let ours =
        room.run("openssl", &["x509", "-in", &format!("hardware-keys/{n}/attestation-9c.pem"), "-noout", "-pubkey"]);
    assert_eq!(ours, room.run("openssl", &["x509", "-in", "attested.pem", "-noout", "-pubkey"]));
    // A key is not made over another.
    let provision = format!("token provision --generate --serial {n}");
    contains(&room.at_terminal(&format!("again-{n}"), &provision, &[], 3), &["the slot 9c holds a key already"]);
    // With nothing but the PIN ykman uses the management key that we left.
    let subject = format!("CN=holder-{n}");
    room.ykman(serial, &["piv", "certificates", "generate", "-P", PIN, "-s", &subject, "9c", "made.pem"]);
}

fn wanted(module: &Path, label: &str) -> Wanted {
    Wanted {
        holder: Handle::new("alice").unwrap(),
        kind: TokenKind::Pkcs11,
        serial: None,
        slot: Slot::SIGNATURE,
        pkcs11: Some(Pkcs11Wanted {
            module: module.display().to_string(),
            label: Some(label.to_owned()),
            algorithm: KeyKind::EcdsaP256,
            // 9c, as both modules number it.
            id: Some("02".to_owned()),
            name: "2026-12-01-genesis alice".to_owned(),
            known: None,
        }),
    }
}

fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

/// A key whose PIN is asked for each signature, through modules that were not made for this program.
fn a_root_is_signed_through_modules(room: &Room, card: &Card) {
    let serial = card.serial;
    let made = std::fs::read_to_string(room.folder.join(format!("hardware-keys/{serial}/public.pem"))).unwrap();
    let key = PublicKey::from_pem(&made).unwrap();
    let payload = Payload::of(&"x".repeat(9000).as_str().into());
    let review = Review::of(payload.bytes().to_vec(), payload.bytes().to_vec());
    let (root, targets) = review.consent("sign", review.affirms()).unwrap();
    for (module, label) in [
        ("libykcs11.so", format!("YubiKey PIV #{serial}")),
        // OpenSC names a card after the certificate in it.
        ("opensc-pkcs11.so", format!("holder-{serial}")),
    ] {
        let wanted = wanted(&library(module), &label);
        let mut tokens = Pkcs11Tokens::new();
        let mut token = tokens.open(&wanted).unwrap_or_else(|error| panic!("{module}: {error}"));
        assert!(matches!(token.inspect(), Ok(SlotState::Occupied(found)) if found == key), "{module}");
        for signature in [token.sign_root(&root, &pin(PIN)), token.sign_targets(&targets, &pin(PIN))] {
            let signature = signature.unwrap_or_else(|error| panic!("{module}: {error}"));
            Signed::check(&key, &payload, &signature, &Portable).unwrap();
        }
        // What the module claims of the key holds; that ykcs11 says of every key that it decrypts is told, and no more.
        let (claim, facts) = (token.claim(&pin(PIN)).unwrap().unwrap(), token.facts());
        let found = examine(&claim, &Expected { key: &key, token: &facts, origin: Origin::Existing }, "claim.json");
        assert!(found.iter().all(|finding| finding.level < Level::Refused), "{module}: {found:?}");
        let told: Vec<_> = claim.key.attributes.iter().filter(|(_, value)| **value).map(|(name, _)| *name).collect();
        for name in [Attribute::AlwaysAuthenticate, Attribute::NeverExtractable, Attribute::Sensitive, Attribute::Local]
        {
            assert!(told.contains(&name), "{module}: {claim:?}");
        }
        wrong_pins_behind_a_module(room, card, token.as_mut(), &root);
        assert!(matches!(token.inspect(), Ok(SlotState::Occupied(_))));
    }
}

/// Flags are all that a module tells of tries, and the last one is not spent.
fn wrong_pins_behind_a_module(room: &Room, card: &Card, token: &mut dyn Token, root: &Reviewed<Root>) {
    assert_eq!(token.state().unwrap().pin_tries, Tries::Untold);
    let mut refused = |text: &str| token.sign_root(root, &pin(text)).unwrap_err();
    // ykcs11 tells that one was wrong, OpenSC does not yet.
    let wrong = refused("wr0ng-pn");
    assert!(matches!(wrong, TokenError::WrongPin { tries: Tries::Low | Tries::Untold }), "{wrong:?}");
    assert_eq!(card.tell("tries"), "2 3", "one wrong PIN is one try, though a signature presents it twice");
    let wrong = refused("wr0ng-pn");
    assert!(matches!(wrong, TokenError::WrongPin { tries: Tries::Left(1) }), "{wrong:?}");
    for text in ["wr0ng-pn", PIN] {
        let blocked = refused(text);
        assert!(matches!(blocked, TokenError::PinBlocked { tries: Tries::Left(1), .. }), "{blocked:?}");
        contains(blocked.hint(), &["--init-pin", "trustroot token unblock"]);
    }
    assert_eq!(card.tell("tries"), "1 3");
    let reader = if card.serial == NEW.0 { "VIRTUAL 00 00" } else { "VIRTUAL 00 01" };
    room.run("yubico-piv-tool", &["-r", reader, "-a", "unblock-pin", "-P", PUK, "-N", PIN]);
}

/// The PIN is blocked and comes back by the PUK, and then the key goes, as the screen says.
fn the_end_of_a_token(room: &Room, card: &Card) {
    let n = card.serial.to_string();
    let reader = "VIRTUAL 00 00";
    for _ in 0..3 {
        room.refused("yubico-piv-tool", &["-r", reader, "-a", "verify-pin", "-P", "wrong-1"]);
    }
    contains(&room.trustroot(&["token", "inspect", "--serial", &n]), &["PIN: its own; tries left: 0"]);
    let unblock = format!("token unblock --json --serial {n} >unblocked.json");
    let puk = ("The PUK of token", "no-puk-0");
    let wrong = room.at_terminal("unblock-wrong", &unblock, &[puk, ("A new PIN", PIN), ("the same again:", PIN)], 3);
    contains(&wrong, &["wrong PUK; tries left: 2", "hint: "]);
    let right = [("The PUK of token", PUK), ("A new PIN", PIN), ("the same again:", PIN)];
    contains(&room.at_terminal("unblock", &unblock, &right, 0), &["done: the PIN is new", "tries left: 3"]);
    let told: Value = serde_json::from_slice(&std::fs::read(room.folder.join("unblocked.json")).unwrap()).unwrap();
    assert_eq!(told, serde_json::json!({ "serial": card.serial, "pin-tries": 3 }));
    contains(&room.ykman(card.serial, &["piv", "info"]), &["PIN tries remaining:      3/3"]);

    // Without the root that it served, nobody knows whether the key may go.
    let retire = format!("token retire --json --serial {n} >retired.json");
    contains(&room.at_terminal("retire-nowhere", &retire, &[], 1), &["whether its key is in a root cannot be said"]);
    let clone = room.folder.join("clone");
    room.run(env!("CARGO_BIN_EXE_trustroot"), &["rehearse", "--auto", "--dir", &clone.display().to_string()]);
    let retire = format!("-C clone {retire}");
    contains(&room.at_terminal("retire-unsure", &retire, &[("every PIV key in it", "no")], 1), &["nothing was done"]);
    assert_eq!(card.tell("tries"), "3 3");
    contains(
        &room.at_terminal("retire", &retire, &[("every PIV key in it", "destroy")], 0),
        &["not in the newest root here", "the token is as it left the factory"],
    );
    let told: Value = serde_json::from_slice(&std::fs::read(room.folder.join("retired.json")).unwrap()).unwrap();
    assert_eq!(told, serde_json::json!({ "serial": card.serial, "retired": true }));
    contains(&room.ykman(card.serial, &["piv", "info"]), &["Using default PIN!", "Using default Management key!"]);
}
