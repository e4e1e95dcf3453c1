//! Ceremonies with tokens behind PKCS#11 modules, over SoftHSM: a real module, several tokens, real PINs.
//!
//! SoftHSM reads where its tokens are from the environment when it is loaded, so each test runs in a process of its own:
//! [`with_tokens`] makes the tokens and starts this program again, for that one test. What SoftHSM made is left in
//! `target/tmp/pkcs11-mixed` for python-tuf to judge (`scripts/test`).

#![cfg(feature = "pkcs11")]

mod common;
#[path = "support/softhsm.rs"]
mod softhsm;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use common::{FixedClock, FixedEntropy, PROGRAM, SEED, handle, rewritten};
use softhsm::module;
use trustroot::conduct::{Conductor, Ending, Halt, Program, Room};
use trustroot::judge::tough_client::ToughClient;
use trustroot::ledger::{GitLedger, Identity, Reading};
use trustroot::seams::{
    Answer, Judge, OnlineKey, Pin, Pkcs11Wanted, SlotState, Token, TokenError, Tokens, Tries, Wanted,
};
use trustroot::token::{Pkcs11OnlineKey, Pkcs11Tokens, SeededThrowAwayKeys, VirtualTokens, write_rehearsal_key};
use trustroot::ui::rehearsed::{Deviation, Instead, Rehearsed};
use trustroot_core::check::{Check, Level};
use trustroot_core::claim::{self, Claim, Origin};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Deed, StepId};
use trustroot_core::key::{Algorithm, PublicKey};
use trustroot_core::payload::Payload;
use trustroot_core::pkcs11_uri::Pkcs11Uri;
use trustroot_core::plan::template::{Template, template};
use trustroot_core::plan::{KeyKind, Plan, TokenKind};
use trustroot_core::review::{OnlinePayload, Review};
use trustroot_core::signature::{Portable, Signed};
use trustroot_core::slot::Slot;
use trustroot_core::time::Timestamp;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::report::{Evidence, Report, Verdict};
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};
use zeroize::Zeroizing;

/// The PIN of every token here; it is searched for afterwards.
const PIN: &str = "Sesame-4711";

/// Runs `body` in a process of its own, with these tokens of SoftHSM and nothing else.
fn with_tokens(test: &str, labels: &[&str], body: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os("TRUSTROOT_TEST_TOKENS") {
        return body(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let conf = softhsm::tokens(folder.path(), &labels.iter().map(|label| (*label, PIN)).collect::<Vec<_>>());
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    again.env("SOFTHSM2_CONF", &conf).env("TRUSTROOT_TEST_TOKENS", folder.path());
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

// ----------------------------------------------------------------------------------------------------- one token alone

fn wanted(label: &str, algorithm: KeyKind) -> Wanted {
    Wanted {
        holder: handle("alice"),
        kind: TokenKind::Pkcs11,
        serial: None,
        slot: Slot::SIGNATURE,
        pkcs11: Some(Pkcs11Wanted {
            module: module().to_owned(),
            label: Some(label.to_owned()),
            algorithm,
            id: None,
            name: format!("2026-12-01-genesis {label} {algorithm:?}"),
            known: None,
        }),
    }
}

fn known(wanted: &Wanted, key: &PublicKey) -> Wanted {
    let pkcs11 = wanted.pkcs11.clone().map(|behind| Pkcs11Wanted { known: Some(key.clone()), ..behind });
    Wanted { pkcs11, ..wanted.clone() }
}

fn generated(token: &mut dyn Token) -> PublicKey {
    let SlotState::Empty(slot) = token.inspect().unwrap() else { panic!("there is a key") };
    token.generate(slot, &pin(PIN)).unwrap()
}

fn error<T>(result: Result<T, TokenError>) -> TokenError {
    result.err().expect("an error")
}

#[test]
fn each_kind_of_key_is_generated_read_back_and_signs() {
    with_tokens("each_kind_of_key_is_generated_read_back_and_signs", &["one"], |_| {
        let mut tokens = Pkcs11Tokens::new();
        let kinds = [
            (KeyKind::EcdsaP256, Algorithm::EcdsaP256),
            (KeyKind::EcdsaP384, Algorithm::EcdsaP384),
            (KeyKind::Ed25519, Algorithm::Ed25519),
            (KeyKind::RsaPss3072, Algorithm::RsaPss),
        ];
        for (kind, algorithm) in kinds {
            let wanted = wanted("one", kind);
            let mut token = tokens.open(&wanted).unwrap();
            let key = generated(token.as_mut());
            assert_eq!(key.algorithm(), algorithm);

            // What the module says is what was asked for, and belongs to this key and token.
            let claim = token.claim(&pin(PIN)).unwrap().unwrap();
            assert_eq!(Claim::from_bytes(&claim.to_canonical()).as_ref(), Ok(&claim));
            let facts = token.facts();
            let expected = claim::Expected { key: &key, token: &facts, origin: Origin::Generated };
            assert_eq!(claim::examine(&claim, &expected, "claim.json"), []);

            // A payload as long as a real root: SoftHSM signs it in one call.
            let payload = Payload::of(&"x".repeat(9000).as_str().into());
            let review = Review::of(payload.bytes().to_vec(), payload.bytes().to_vec());
            let (root, targets) = review.consent("sign", review.affirms()).unwrap();
            let mut token = tokens.open(&known(&wanted, &key)).unwrap();
            for signature in [token.sign_root(&root, &pin(PIN)), token.sign_targets(&targets, &pin(PIN))] {
                Signed::check(&key, &payload, &signature.unwrap(), &Portable).unwrap();
            }
            // The key is there now, and is not made anew.
            assert!(
                matches!(tokens.open(&wanted).unwrap().inspect().unwrap(), SlotState::Occupied(found) if found == key)
            );
            assert!(error(token.attest()).to_string().contains("cannot attest"));
        }
    });
}

#[test]
fn a_wrong_pin_is_told_and_another_token_is_not_taken() {
    with_tokens("a_wrong_pin_is_told_and_another_token_is_not_taken", &["one", "two", "twins", "twins"], |_| {
        let mut tokens = Pkcs11Tokens::new();
        let wanted_one = wanted("one", KeyKind::Ed25519);
        let mut token = tokens.open(&wanted_one).unwrap();
        assert_eq!(token.state().unwrap().pin_tries, Tries::Untold);
        let SlotState::Empty(slot) = token.inspect().unwrap() else { panic!("there is a key") };
        let wrong = error(token.generate(slot, &pin("wrong-pin")));
        assert!(matches!(wrong, TokenError::WrongPin { tries: Tries::Low }), "{wrong}");
        assert_eq!(token.state().unwrap().pin_tries, Tries::Low);
        let key = generated(token.as_mut());
        assert_eq!(token.state().unwrap().pin_tries, Tries::Untold);
        // A place that was empty once is not, when it holds a key.
        let behind = wanted_one.pkcs11.as_ref().unwrap();
        let again = trustroot::seams::EmptySlot::assertion(&behind.name);
        assert!(matches!(error(token.generate(again, &pin(PIN))), TokenError::Occupied(_)));

        // The token of somebody else does not have the key of the record.
        let other = known(&wanted("two", KeyKind::Ed25519), &key);
        assert!(matches!(error(tokens.open(&other).unwrap().inspect()), TokenError::NoKey));
        // No token, and two of one label: what is there is said.
        let none = error(tokens.open(&wanted("three", KeyKind::Ed25519))).to_string();
        assert!(none.contains("no token with label \"three\"") && none.contains("\"one\", serial "), "{none}");
        let two = error(tokens.open(&wanted("twins", KeyKind::Ed25519)));
        assert!(two.to_string().contains("2 tokens") && two.hint().contains("serial"), "{two}");
        let serial = tokens.open(&wanted_one).unwrap().facts().serial;
        let by_serial = Wanted { serial: Some(serial), ..wanted_one.clone() };
        assert_eq!(tokens.open(&by_serial).unwrap().facts().serial, serial);
        let shown = tokens.list(module()).unwrap();
        assert_eq!(shown.iter().filter(|shown| shown.is_ok()).count(), 4);
    });
}

#[test]
fn tokens_are_listed_and_inspected_without_a_pin() {
    with_tokens("tokens_are_listed_and_inspected_without_a_pin", &["one", "two"], |_| {
        let wanted = wanted("one", KeyKind::EcdsaP256);
        let key = generated(Pkcs11Tokens::new().open(&wanted).unwrap().as_mut());
        let run = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_trustroot"));
            command.arg("token").args(args).args(["--module", module()]).output().unwrap()
        };
        let text = |args: &[&str]| {
            let output = run(args);
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&text(args)).unwrap() };
        let listed = text(&["list"]);
        assert!(listed.contains("PKCS#11 token \"one\"") && listed.contains("PKCS#11 token \"two\""), "{listed}");
        assert_eq!(json(&["list", "--json"])["tokens"].as_array().unwrap().len(), 2);
        let inspected = text(&["inspect", "--label", "one"]);
        let fingerprint = key.fingerprint().to_string();
        assert!(inspected.contains(&fingerprint) && inspected.contains("not attested"), "{inspected}");
        assert!(!inspected.contains("\"two\""), "{inspected}");
        let all = json(&["inspect", "--json"]);
        let tokens = all["tokens"].as_array().unwrap();
        let of = |label: &str| tokens.iter().find(|token| token["label"] == label).unwrap();
        assert_eq!(of("one")["keys"][0]["fingerprint"], fingerprint);
        assert_eq!((&of("two")["keys"], &of("two")["tries"]), (&serde_json::json!([]), &of("one")["tries"]));
        let none = run(&["inspect", "--label", "three"]);
        let said = String::from_utf8(none.stderr).unwrap();
        assert_eq!(none.status.code(), Some(3), "{said}");
        assert!(said.contains("no such token is there") && said.contains("hint: "), "{said}");
    });
}

#[test]
fn an_online_key_signs_behind_its_pin() {
    with_tokens("an_online_key_signs_behind_its_pin", &["online"], |_| {
        let mut tokens = Pkcs11Tokens::new();
        let wanted = wanted("online", KeyKind::Ed25519);
        let key = generated(tokens.open(&wanted).unwrap().as_mut());
        let object = wanted.pkcs11.unwrap().name.replace(' ', "%20");
        let uri = |object: &str| format!("pkcs11:token=online;object={object}?module-path={}", module());
        let online = Pkcs11OnlineKey::open(&Pkcs11Uri::parse(&uri(&object)).unwrap()).unwrap();
        assert_eq!(online.public(), &key);
        assert_eq!(online.locked().unwrap().unwrap().pin_tries, Tries::Untold);
        let payload = Payload::of(&[("_type", "timestamp".into())].into());
        let online_payload = OnlinePayload::new(payload.bytes().to_vec()).unwrap();
        let signature = online.sign(&online_payload, Some(&pin(PIN))).unwrap();
        Signed::check(&key, &payload, &signature, &Portable).unwrap();
        assert!(matches!(error(online.sign(&online_payload, Some(&pin("wrong")))), TokenError::WrongPin { .. }));
        assert!(error(online.sign(&online_payload, None)).to_string().contains("not asked for"));
        let missing = error(Pkcs11OnlineKey::open(&Pkcs11Uri::parse(&uri("another")).unwrap()));
        assert!(missing.to_string().contains("no public key of the token"), "{missing}");
    });
}

// -------------------------------------------------------------------------------------------------------- ceremonies

/// Three holders, two of whom must sign: a virtual token, a P-256 and an Ed25519 key on tokens of their own.
fn plan(carol: &str) -> Plan {
    let day = Timestamp::from_day("2026-12-01").unwrap();
    let name = handle("mixed");
    let (title, trust_root) = ("Tokens of several kinds", "Example");
    let wanted = Template { name: &name, title, trust_root, day, holders: 3, threshold: 2, rehearsal: true };
    let behind =
        |more: &str| format!("{{ kind = \"pkcs11\", module = \"{}\", attestation = \"claimed\", {more} }}", module());
    let text = template(&wanted).unwrap();
    let text = text.replace("{ kind = \"virtual\", serial = 90000002 }", &behind("label = \"bob\""));
    let text = text.replace("{ kind = \"virtual\", serial = 90000003 }", &behind(carol));
    Plan::from_toml(&text).unwrap()
}

const ED25519: &str = "label = \"carol\", algorithm = \"ed25519\"";

/// Virtual tokens and those behind modules.
struct Mixed(VirtualTokens, Pkcs11Tokens);

impl Tokens for Mixed {
    fn open(&mut self, wanted: &Wanted) -> Result<Box<dyn Token>, TokenError> {
        if wanted.kind == TokenKind::Virtual { self.0.open(wanted) } else { self.1.open(wanted) }
    }
}

/// What people saw.
#[derive(Clone, Default)]
struct Screen(Rc<RefCell<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// A repository in `folder`, in which a ceremony of `plan` is held or goes on.
struct Stage {
    folder: PathBuf,
    plan: Plan,
    screen: Screen,
}

impl Stage {
    fn new(folder: &Path, plan: Plan) -> Self {
        let stage = Self { folder: folder.to_owned(), plan, screen: Screen::default() };
        drop(common::open(&stage.repository(), &stage.plan));
        stage
    }

    fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn run(&self, deviations: Vec<Deviation>) -> Result<Ending, Halt> {
        let mut ledger = GitLedger::open_as(&self.repository(), Some(Identity::rehearsal())).unwrap();
        let name = &self.plan.snapshot.key;
        let key = write_rehearsal_key(&self.folder.join("online.pem"), name, &SEED).unwrap();
        let online = BTreeMap::from([(name.clone(), Box::new(key) as Box<dyn OnlineKey>)]);
        let virtual_tokens = VirtualTokens::new(SEED, &self.folder.join("virtual"), &self.plan, Vec::new()).unwrap();
        let mut tokens = Mixed(virtual_tokens, Pkcs11Tokens::new());
        let mut audience = Rehearsed::new("rehearse").deviating(deviations).watched(Box::new(self.screen.clone()));
        let judges: Vec<Box<dyn Judge>> = vec![Box::new(ToughClient::new(false))];
        let mut throw_away = SeededThrowAwayKeys::new(SEED.into());
        let room = Room {
            ledger: &mut ledger,
            audience: &mut audience,
            tokens: &mut tokens,
            online: &online,
            throw_away: &mut throw_away,
            judges: &judges,
            clock: &FixedClock::new(self.plan.day.plus_seconds(10 * 3600)),
            entropy: &mut FixedEntropy,
            verifier: &Portable,
            program: Program { version: PROGRAM.to_owned(), digest: None },
        };
        Conductor::new(room, &self.plan.record_dir()).run()
    }

    fn tree(&self) -> Tree {
        Reading::open(&self.repository()).unwrap().head().unwrap().tree
    }

    fn text(&self, file: &str) -> String {
        let path = format!("{}/{file}", self.plan.record_dir());
        String::from_utf8(self.tree()[&path].bytes().unwrap().to_vec()).unwrap()
    }
}

fn report(tree: &Tree) -> Report {
    let options = Options {
        now: Timestamp::parse("2026-12-01T12:00:00Z").unwrap(),
        rehearsal: true,
        strict: false,
        anchor: None,
        program: Some(PROGRAM),
        history: History::None,
        differences: &[],
    };
    verify_trust_root(tree, &options, &Portable)
}

fn refusals(report: &Report) -> Vec<(Check, String)> {
    let refused = report.findings.iter().filter(|finding| finding.level == Level::Refused);
    refused.map(|finding| (finding.check, finding.to_string())).collect()
}

fn at(act: Act, who: &str, what: &str, name: &str, nth: u32, instead: Instead) -> Deviation {
    Deviation { step: StepId::of(act, &handle(who), what), name: name.to_owned(), nth, instead }
}

/// The PIN of the tokens behind modules, wherever it is asked for; `Rehearsed` has the one of virtual tokens.
fn pins(who: &[&str]) -> Vec<Deviation> {
    let secret = || Instead::Secret(PIN.to_owned());
    who.iter()
        .flat_map(|who| {
            [at(Act::Keys, who, "generate", "pin", 1, secret()), at(Act::Sign, who, "sign", "pin", 1, secret())]
        })
        .collect()
}

#[test]
fn one_ceremony_mixes_kinds_and_shows_which_keys_are_claimed() {
    with_tokens("one_ceremony_mixes_kinds_and_shows_which_keys_are_claimed", &["bob", "carol"], |folder| {
        let stage = Stage::new(folder, plan(ED25519));
        assert_eq!(stage.run(pins(&["bob", "carol"])).unwrap(), Ending::Closed);
        let tree = stage.tree();

        let report = report(&tree);
        assert_eq!((refusals(&report), report.verdict), (Vec::new(), Verdict::Consistent));
        let evidence: Vec<_> =
            report.facts.holders.iter().map(|h| (h.handle.as_str(), h.proof.evidence, h.signed)).collect();
        let claimed = Evidence::Claimed;
        assert_eq!(evidence, [("alice", Evidence::Attested, true), ("bob", claimed, true), ("carol", claimed, true)]);
        let headline = report.caveats.join("; ");
        assert!(headline.contains("2 keys of ceremony/2026-12-01-mixed claimed by a PKCS#11 module, not attested"));
        assert!(report.not_checked.iter().any(|line| line.contains("nobody attests it")));

        // Wherever people look, a claim is called a claim. The screen is 80 columns wide, so lines are broken.
        let screen = stage.screen.text();
        let flat = screen.replace(['|', '!'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for shown in [
            "This token cannot attest its key.",
            "CLAIMED by the module of token",
            "2 of 3 holders' keys: only a PKCS#11 module claims that they are on a token. Nobody attests it.",
            "claimed by its PKCS#11 module, NOT attested",
        ] {
            assert!(flat.contains(shown), "{shown}: {screen}");
        }
        assert!(stage.text("README.md").contains("**claimed by its module, not attested**"));
        assert!(
            stage.text("record.html").contains("Its module claims that it cannot leave the token; nobody attests it.")
        );
        let root = String::from_utf8(tree["root/README.md"].bytes().unwrap().to_vec()).unwrap();
        assert_eq!(root.matches("claimed by its module, not attested").count(), 2);
        let root = String::from_utf8(tree["root/1.root.json"].bytes().unwrap().to_vec()).unwrap();
        assert_eq!(
            (root.matches("\"claim\":\"pkcs11\"").count(), root.matches("\"keytype\":\"ed25519\"").count()),
            (2, 2)
        );

        // Nobody typed a PIN into a file, and the screen never showed one.
        assert!(!screen.contains(PIN));
        let holds = |bytes: &[u8]| bytes.windows(PIN.len()).any(|window| window == PIN.as_bytes());
        assert!(tree.values().filter_map(Entry::bytes).all(|bytes| !holds(bytes)));

        // The lines that redo it without us.
        for line in report.equivalents.iter().filter(|line| !line.starts_with('#')) {
            let run = Command::new("sh").args(["-c", line]).current_dir(stage.repository()).output().unwrap();
            assert!(run.status.success(), "{line}\n{}", String::from_utf8_lossy(&run.stderr));
        }

        forged(&stage, &tree);
        left_for_python_tuf(&tree);
    });
}

/// A claim that is missing, another's or of a key that may leave is refused, however well the log is rewritten.
fn forged(stage: &Stage, tree: &Tree) {
    let dir = stage.plan.record_dir();
    let path = tree.keys().find(|path| path.contains("/keys/bob-") && path.ends_with("claim.json")).unwrap();
    let good = Claim::from_bytes(tree[path].bytes().unwrap()).unwrap();
    let with = |bytes: Option<Vec<u8>>| {
        let mut tree = rewritten(tree, &dir, |event| {
            if let (Deed::Generated { .. }, true) = (&event.deed, event.files.contains_key(path)) {
                match &bytes {
                    Some(bytes) => drop(event.files.insert(path.clone(), Digest::of(bytes))),
                    None => drop(event.files.remove(path)),
                }
            }
            true
        });
        match bytes {
            Some(bytes) => tree.insert(path.clone(), Entry::File(bytes)),
            None => tree.remove(path),
        };
        report(&tree)
    };
    let refuses = |bytes, check| {
        let refused = refusals(&with(bytes));
        assert!(refused.iter().any(|(found, _)| *found == check), "{check}: {refused:?}");
    };
    refuses(None, Check::ClaimForm);
    refuses(Some(b"{}".to_vec()), Check::ClaimForm);
    let mut claim = good.clone();
    claim.key.attributes.insert(claim::Attribute::Extractable, true);
    refuses(Some(claim.to_canonical()), Check::ClaimKey);
    let other = tree.keys().find(|path| path.contains("/keys/carol-") && path.ends_with("claim.json")).unwrap();
    refuses(tree[other].bytes().map(<[u8]>::to_vec), Check::ClaimBound);
}

/// What came of it, as it would be served, for `scripts/test` to hand to python-tuf.
fn left_for_python_tuf(tree: &Tree) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pkcs11-mixed");
    let _ = std::fs::remove_dir_all(&folder);
    for (path, entry) in tree.iter().filter(|(path, _)| path.starts_with("root/")) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, entry.bytes().unwrap()).unwrap();
    }
}

#[test]
fn a_wrong_pin_is_asked_for_again_and_a_stop_goes_on_where_it_was() {
    with_tokens("a_wrong_pin_is_asked_for_again_and_a_stop_goes_on_where_it_was", &["bob", "carol"], |folder| {
        let stage = Stage::new(folder, plan(ED25519));
        let secret = |text: &str| Instead::Secret(text.to_owned());
        let mut first = vec![
            at(Act::Keys, "bob", "generate", "pin", 1, secret("not-the-pin")),
            at(Act::Keys, "bob", "generate", "pin", 2, secret(PIN)),
            // The intent is in the record; the program stops before the key is made.
            at(Act::Keys, "carol", "generate", "pin", 1, Instead::Interrupted),
        ];
        assert!(matches!(stage.run(std::mem::take(&mut first)), Err(Halt::Audience(_))));
        let screen = stage.screen.text();
        assert!(screen.contains("wrong PIN; tries left: not told by this token, and fewer than all."), "{screen}");

        // As if it had stopped right after the key was made: the key is on the token, and not in the record.
        let mut tokens = Pkcs11Tokens::new();
        let mut lost = wanted("carol", KeyKind::Ed25519);
        lost.pkcs11.as_mut().unwrap().name = "2026-12-01-mixed carol".to_owned();
        let key = generated(tokens.open(&lost).unwrap().as_mut());
        let mut rest = pins(&["bob", "carol"]);
        rest.remove(0);
        assert_eq!(stage.run(rest).unwrap(), Ending::Closed);
        let report = report(&stage.tree());
        assert_eq!(refusals(&report), []);
        let carol = report.facts.holders.iter().find(|holder| holder.handle == "carol").unwrap();
        assert_eq!(carol.fingerprint, Some(key.fingerprint()));
    });
}

#[test]
fn a_key_that_was_there_is_taken_only_if_the_plan_names_it_and_it_was_never_elsewhere() {
    let test = "a_key_that_was_there_is_taken_only_if_the_plan_names_it_and_it_was_never_elsewhere";
    with_tokens(test, &["bob", "carol"], |folder| {
        let generate = ["--keypairgen", "--key-type", "EC:prime256v1", "--usage-sign", "--sensitive"];
        let named = ["--label", "old key", "--id", "0a0b"];
        softhsm::tool(&folder.join("softhsm2.conf"), ("carol", PIN), &[&generate[..], &named].concat());
        let stage = Stage::new(folder, plan("label = \"carol\", key = \"0a0b\""));
        assert_eq!(stage.run(pins(&["bob", "carol"])).unwrap(), Ending::Closed);
        let report = report(&stage.tree());
        assert_eq!(refusals(&report), []);
        assert!(stage.text("record.html").contains("It was made before the ceremony."));

        // One that was brought from outside may be anywhere: it is refused, and the holder is left out.
        let pem = folder.join("imported.pem");
        let mut make = Command::new("openssl");
        make.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&pem);
        assert!(make.output().unwrap().status.success());
        let mut import = Command::new("softhsm2-util");
        import.args(["--import", &pem.display().to_string(), "--token", "carol", "--label", "imported", "--id", "0c"]);
        assert!(import.args(["--pin", PIN]).output().unwrap().status.success());
        let other = folder.join("other");
        std::fs::create_dir(&other).unwrap();
        let second = Plan { name: handle("second"), ..plan("label = \"carol\", key = \"0c\"") };
        let stage = Stage::new(&other, second);
        let leave = Instead::Answer(Answer::One("leave".to_owned()));
        let mut answers = pins(&["bob", "carol"]);
        answers.push(at(Act::Keys, "carol", "generate", "token-trouble", 1, leave));
        assert_eq!(stage.run(answers).unwrap(), Ending::Closed);
        let screen = stage.screen.text();
        assert!(screen.contains("CLAIM-KEY: carol: the module says CKA_LOCAL = false, not true"), "{screen}");
    });
}

/// A module whose tokens have a pad, on which `typed` is typed, or nothing.
fn with_pad(folder: &Path, typed: Option<&str>) -> PathBuf {
    let (pad, library) = (folder.join("pad"), folder.join("pin_pad.so"));
    match typed {
        Some(typed) => std::fs::write(&pad, typed).unwrap(),
        None => std::fs::remove_file(&pad).unwrap_or_default(),
    }
    if !library.exists() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/pin_pad.c");
        let mut make = Command::new("cc");
        make.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]);
        make.arg(format!("-DREAL=\"{}\"", module())).arg(format!("-DPAD=\"{}\"", pad.display()));
        let made = make.arg("-o").arg(&library).arg(source).arg("-ldl").output().expect("a C compiler is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    library
}

#[test]
fn a_pin_that_is_typed_on_the_token_is_asked_for_nowhere_else() {
    with_tokens("a_pin_that_is_typed_on_the_token_is_asked_for_nowhere_else", &["bob", "carol"], |folder| {
        let library = with_pad(folder, None).display().to_string();
        let mut plan = plan(ED25519);
        plan.holders[2].token.module = Some(library.clone());

        // Nobody types, then somebody types something else; neither is the end.
        let mut tokens = Pkcs11Tokens::new();
        let mut alone = wanted("carol", KeyKind::Ed25519);
        alone.pkcs11.as_mut().unwrap().module = library;
        let mut token = tokens.open(&alone).unwrap();
        assert!(token.has_pin_pad());
        let SlotState::Empty(slot) = token.inspect().unwrap() else { panic!("there is a key") };
        let nothing = error(token.generate(slot, &Pin::on_pad()));
        assert!(nothing.to_string().contains("nothing was typed on the token's pad"), "{nothing}");
        with_pad(folder, Some("not-the-pin"));
        let SlotState::Empty(slot) = token.inspect().unwrap() else { panic!("there is a key") };
        assert!(matches!(error(token.generate(slot, &Pin::on_pad())), TokenError::WrongPin { .. }));
        drop(token);

        with_pad(folder, Some(PIN));
        let stage = Stage::new(folder, plan);
        assert_eq!(stage.run(pins(&["bob"])).unwrap(), Ending::Closed);
        assert_eq!(refusals(&report(&stage.tree())), []);
        let screen = stage.screen.text();
        let serial = tokens.open(&alone).unwrap().facts().serial;
        assert!(screen.contains(&format!("Type the PIN of token {serial} on its own pad, when it asks.")), "{screen}");
        assert!(!screen.contains(&format!("The PIN of token {serial};")), "{screen}");
    });
}
