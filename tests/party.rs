//! A signing party over real middleware: 3 of 5 holders, three YubiKeys of two generations behind pcscd, two tokens of
//! SoftHSM behind two modules, the program in a terminal, and people who do what the screen says when it says it.
//!
//! Run like `tests/yubikey.rs`, in a namespace of its own, see there; and as root, since a module is loaded only where its
//! owner is known. Then everything that was typed unseen is searched
//! for: on the screen as it was drawn, in the repository and its objects, in what was logged, in arguments and
//! environment of every process, in core dumps of a program that is killed, in files that were there for a while. What
//! came of it is left in `target/tmp/party` for python-tuf to judge (`scripts/test`).

#[path = "support/middleware.rs"]
mod middleware;
#[path = "support/pane.rs"]
mod pane;
#[path = "support/person.rs"]
mod person;
#[path = "support/secrets.rs"]
mod secrets;
#[path = "support/softhsm.rs"]
mod softhsm;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use middleware::{Card, Desk, until};
use person::{Asked, Person};
use secrets::{Found, Secrets, Watch};
use trustroot::judge::tough_client::ToughClient;
use trustroot::ledger::Reading;
use trustroot::seams::Judge as _;
use trustroot_core::time::Timestamp;

/// Whose YubiKey has which serial and firmware.
const YUBIKEYS: [(&str, u32, &str); 3] =
    [("alice", 20_000_101, "5.7.4"), ("bob", 20_000_102, "5.4.3"), ("carol", 20_000_103, "5.7.1")];
/// Whose key is in another slot than 9c, as the plan says.
const ELSEWHERE: (&str, &str) = ("carol", "9d");
/// Whose token lies behind a module.
const BEHIND_MODULES: [&str; 2] = ["dave", "erin"];
/// What a YubiKey types when it is touched outside a command.
const OTP: &str = "ccccccbcgujhingjrdejhgfnuetrgigvejhhgbkugded";

/// A secret that nothing else on this machine contains.
fn fresh_secret() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    bytes.iter().map(|byte| char::from(b"abcdefghjkmnpqrstuvwxyzACDEFGHJK"[usize::from(byte % 32)])).collect()
}

/// Everything that was agreed on before the day: who types what.
struct Typed {
    pins: BTreeMap<String, String>,
    puks: BTreeMap<String, String>,
}

impl Typed {
    fn new() -> Self {
        let of = |people: &[&str]| people.iter().map(|who| ((*who).to_owned(), fresh_secret())).collect();
        let yubikeys = YUBIKEYS.map(|(who, ..)| who);
        Self { pins: of(&[&yubikeys[..], &BEHIND_MODULES, &["olga"]].concat()), puks: of(&yubikeys) }
    }

    fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        for (what, typed) in [("PIN", &self.pins), ("PUK", &self.puks)] {
            typed.iter().for_each(|(who, secret)| secrets.add(&format!("{what} of {who}"), secret.as_bytes()));
        }
        secrets
    }
}

/// The people, their tokens, and the machine they sit at.
struct Party {
    desk: Desk,
    cards: BTreeMap<String, Card>,
    person: Person,
    /// The folder of everything that is not the desk's: `home`, `tmp`, `hsm`, `day` (the repository).
    folder: PathBuf,
    /// What is searched for.
    secrets: Arc<Mutex<Secrets>>,
    /// The YubiKeys whose management key is known.
    managed: BTreeSet<u32>,
    /// How many touches were asked for.
    touches: usize,
}

impl Party {
    /// Puts the YubiKey of `who` into its reader.
    fn plug_in(&mut self, who: &str) {
        let at = YUBIKEYS.iter().position(|(holder, ..)| *holder == who).unwrap();
        let (_, serial, version) = YUBIKEYS[at];
        let card = self.desk.put(u16::try_from(at).unwrap(), serial, version, &["--touch", "asked"]);
        self.cards.insert(who.to_owned(), card);
    }

    /// Looks until the screen asks for the next touch, and the token waits for it.
    fn is_asked_to_touch(&mut self, who: &str) {
        self.touches += 1;
        let pane = &self.person.pane;
        until("a touch is asked for", || pane.screen().matches("Touch the token now: ").count() == self.touches);
        until("the light blinks", || self.cards[who].tell("waiting") == "true");
    }

    fn touch(&self, who: &str) {
        assert_eq!(self.cards[who].tell("touch"), "ok");
    }

    /// Does what the screen says, until it asks for something that is for the test to answer.
    fn go_on_to(&mut self, step: &str, what: &str) -> Asked {
        self.go_on(|asked| asked.step == step && asked.text.starts_with(what))
            .unwrap_or_else(|| panic!("`{what}` of {step} was not asked:\n{}", self.person.pane.screen()))
    }

    fn go_on(&mut self, stop: impl Fn(&Asked) -> bool) -> Option<Asked> {
        while let Some(asked) = self.person.asked() {
            if stop(&asked) {
                return Some(asked);
            }
            self.answer(&asked);
        }
        None
    }

    /// Does what one question asks for.
    fn answer(&mut self, asked: &Asked) {
        if asked.text.starts_with("Plug in the YubiKey") {
            assert!(asked.text.contains("it is seen when it is there"), "{asked:?}");
            self.person.answered = person::prompts(&self.person.stands());
            self.plug_in(&asked.who);
            self.person.pane.see("> (it is there)");
        } else {
            let answer = self.person.answer(asked);
            self.person.enter(&answer);
        }
        if asked.step == format!("sign.{}.sign", asked.who) && asked.text.starts_with("The PIN of token") {
            for _ in 0..2 * self.cards.contains_key(&asked.who) as u8 {
                self.is_asked_to_touch(&asked.who);
                self.touch(&asked.who);
            }
        }
        if asked.step.ends_with(".generate") {
            self.learn_management_keys();
        }
    }

    /// The management keys, which nobody ever saw, out of the cards' own states.
    fn learn_management_keys(&mut self) {
        for (who, serial, _) in YUBIKEYS {
            let Ok(state) = std::fs::read(self.desk.folder().join(format!("{serial}.json"))) else { continue };
            let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
            if state["management"]["is_default"] == false && self.managed.insert(serial) {
                let hex = state["management"]["key"].as_str().unwrap();
                let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                let key: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
                self.secrets.lock().unwrap().add(&format!("management key of {who}"), &key);
            }
        }
    }

    /// Sends a signal that makes others leave a core dump, and looks that the program left none. It goes on afterwards.
    fn is_killed_without_a_core_dump(&mut self, signal: &str) {
        let pane = &self.person.pane;
        let shell = pane.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout;
        let shell = String::from_utf8_lossy(&shell).trim().to_owned();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let program = children.trim();
        let limits = std::fs::read_to_string(format!("/proc/{program}/limits")).unwrap();
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
        self.person.answered = person::prompts(&pane.screen());
        assert!(Command::new("kill").args([&format!("-{signal}"), program]).status().unwrap().success());
        let screen = self.person.stands();
        let said = &screen[screen.rfind("\n[").unwrap()..];
        assert!(!said.contains("core dumped") && said.contains("\nexit=1"), "{said}");
        // It does not echo, so the shell has to end the line.
        self.person.enter("stty sane; echo");
        self.person.run("ls core*");
        assert!(self.person.pane.screen().contains("ls: cannot access"), "a core dump");
        self.person.enter(&format!("trustroot run --online-key '{}'", online()));
    }
}

/// The online key, behind a module too.
fn online() -> String {
    format!("online=pkcs11:token=online;object=tuf?module-path={}", softhsm::module())
}

fn plan(text: &str, second: &str) -> String {
    let mut text = text.to_owned();
    let mut replace = |from: String, to: String| {
        assert_eq!(text.matches(&from).count(), 1, "{from}");
        text = text.replace(&from, &to);
    };
    for (i, (who, serial, _)) in YUBIKEYS.iter().enumerate() {
        let from = format!("{{ kind = \"virtual\", serial = {} }}", 90_000_001 + i);
        let slot = if *who == ELSEWHERE.0 { format!(", slot = \"{}\"", ELSEWHERE.1) } else { String::new() };
        replace(from, format!("{{ kind = \"yubikey\", serial = {serial}{slot} }}"));
    }
    let [dave, erin] = BEHIND_MODULES;
    let behind = |module: &str, label: &str, more: &str| {
        format!("{{ kind = \"pkcs11\", module = \"{module}\", label = \"{label}\", {more}attestation = \"claimed\" }}")
    };
    replace("{ kind = \"virtual\", serial = 90000004 }".to_owned(), behind(softhsm::module(), dave, ""));
    replace("{ kind = \"virtual\", serial = 90000005 }".to_owned(), behind(second, erin, "algorithm = \"ed25519\", "));
    replace("minimum_firmware = \"5.7.0\"".to_owned(), "minimum_firmware = \"5.4.0\"".to_owned());
    replace("# waive = [\"EUCLEAK\"]".to_owned(), "waive = [\"EUCLEAK\"]".to_owned());
    text
}

#[test]
fn five_holders_with_tokens_of_four_kinds_hold_a_genesis() {
    let folder = tempfile::tempdir().unwrap();
    let typed = Typed::new();
    let mut party = arrive(folder.path(), &typed);
    let watch = Watch::begin(&party.secrets, &folder.path().join("tmp"));
    party.person.enter(&format!("trustroot run plan.toml --online-key '{}'", online()));

    // Somebody else's token first: that is said, and no PIN is asked for.
    party.go_on_to("keys.alice.token", "Plug in the YubiKey with serial 20000101");
    party.person.answered = person::prompts(&party.person.stands());
    party.plug_in("bob");
    party.go_on_to("keys.alice.token", "Plug in the YubiKey with serial 20000101");
    party.person.pane.see("trouble: this is the token with serial 20000102; the one wanted has serial 20000101.");
    party.cards.clear();

    // Killed with the PIN typed and not sent, and again while it waits for a touch.
    party.go_on_to("sign.alice.sign", "The PIN of token");
    party.person.pane.type_(&typed.pins["alice"]);
    party.is_killed_without_a_core_dump("SEGV");
    let asked = party.go_on_to("sign.alice.sign", "The PIN of token");
    let pin = party.person.answer(&asked);
    party.person.enter(&pin);
    party.is_asked_to_touch("alice");
    party.is_killed_without_a_core_dump("ABRT");
    // The token does not know that nobody listens any more.
    party.touch("alice");

    // A count-down while it waits.
    let asked = party.go_on_to("sign.alice.sign", "The PIN of token");
    assert!(asked.text.contains("tries left: 3"), "{asked:?}");
    let pin = party.person.answer(&asked);
    party.person.enter(&pin);
    party.is_asked_to_touch("alice");
    let screen = party.person.pane.see("\n10 seconds left\n");
    assert!(screen.trim_end().ends_with("Touch the token now: 1 of 2, the root.\n10 seconds left"), "{screen}");
    party.touch("alice");
    party.is_asked_to_touch("alice");
    party.touch("alice");

    // An accidental touch types a one-time password, which is no consent.
    party.go_on_to("sign.carol.sign", "Sign root and targets");
    party.person.enter(OTP);
    party.person.pane.see("that was a one-time password");

    // A token behind a module is gone between the question for its PIN and the answer, and comes back.
    let (tokens, gone) = (folder.path().join("hsm/tokens"), folder.path().join("hsm/gone"));
    let asked = party.go_on_to("sign.dave.sign", "The PIN of token");
    std::fs::rename(&tokens, &gone).unwrap();
    party.answer(&asked);
    party.go_on_to("sign.dave.sign", "How does it go on");
    std::fs::rename(&gone, &tokens).unwrap();
    party.person.enter("again");

    assert!(party.go_on(|_| false).is_none());
    let screen = party.person.pane.screen();
    assert!(screen.trim_end().ends_with("exit=0 $") && screen.contains("\nIt verifies."), "{screen}");
    names_each_kind(&mut party);
    others_accept(&folder.path().join("day"));

    let (mut found, programs) = watch.end();
    for program in ["trustroot", "tmux", "pcscd", "virtual-yubikey", "sh"] {
        assert!(programs.contains(program), "{program} was not looked at: {programs:?}");
    }
    assert_eq!(party.managed.len(), YUBIKEYS.len());
    let secrets = party.secrets.lock().unwrap().clone();
    search(&party, &secrets, &mut found);
    assert_eq!(found, Found::new());
}

/// `verify` calls each holder's key what it is.
fn names_each_kind(party: &mut Party) {
    let said = party.person.run("trustroot verify --rehearsal");
    assert!(said.trim_end().ends_with("exit=0 $"), "{said}");
    for (who, worth) in [
        ("alice", "attested (ECDSA P-256, firmware 5.7.4), signed"),
        ("bob", "attested (ECDSA P-256, firmware 5.4.3, EUCLEAK waived), signed"),
        ("carol", "attested (ECDSA P-256, firmware 5.7.1), signed"),
        ("dave", "CLAIMED by its PKCS#11 module, not attested (ECDSA P-256), signed"),
        ("erin", "CLAIMED by its PKCS#11 module, not attested (Ed25519), signed"),
    ] {
        let line = said.lines().find(|line| line.trim_start().starts_with(&format!("{who} "))).unwrap_or_default();
        assert!(line.contains(worth), "{who} is not called {worth}:\n{said}");
    }
    // What was attested is tried without us too.
    let day = party.folder.join("day");
    let (holder, slot) = ELSEWHERE;
    let attested = format!("ceremony/*/keys/{holder}-*/attestation-{slot}.pem");
    let line = said.lines().find(|line| line.contains("/attestation-??.pem; do")).expect("a line for openssl").trim();
    for line in
        [line.to_owned(), format!("test -f {attested} && test 3 = $(ls ceremony/*/keys/*/attestation-* | wc -l)")]
    {
        let out = Command::new("sh").args(["-c", &line]).current_dir(&day).output().unwrap();
        assert!(out.status.success(), "{line}\n{}", String::from_utf8_lossy(&out.stderr));
    }
    let (headline, _) = said.split_once("\n\n").unwrap();
    for weak in ["waives EUCLEAK", "2 keys of ", " claimed by a PKCS#11 module, not attested"] {
        assert!(headline.contains(weak), "{weak} is not in the headline:\n{headline}");
    }
}

/// tough accepts what came of it, and it is left for python-tuf.
fn others_accept(day: &Path) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("party/root");
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).unwrap();
    let mut files = BTreeMap::new();
    for (path, entry) in Reading::open(day).unwrap().head().unwrap().tree {
        if let (Some(name), Some(bytes)) = (path.strip_prefix("root/"), entry.bytes()) {
            std::fs::write(root.join(name), bytes).unwrap();
            files.insert(name.to_owned(), bytes.to_vec());
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let now = Timestamp::from_unix(i64::try_from(now).unwrap()).unwrap();
    ToughClient::new(true).refresh(&files["1.root.json"], &files, now).unwrap();
}

/// Searches wherever something could lie that was typed, or made unseen.
fn search(party: &Party, secrets: &Secrets, found: &mut Found) {
    let screen = party.person.pane.screen();
    assert!(screen.contains("Touch the token now"));
    secrets.search("the screen", screen.as_bytes(), found);
    let raw = std::fs::read(party.folder.join("screen.raw")).unwrap();
    assert!(raw.len() > screen.len() / 2, "the screen was not written down as it was drawn");
    secrets.search("the screen as it was drawn", &raw, found);
    // The repository, its objects, homes, files that were forgotten; not what the tokens keep for themselves.
    for folder in ["day", "home", "tmp"] {
        let files = secrets.search_files(&party.folder.join(folder), found);
        assert!(files > 100 || folder != "day", "{files} files");
    }
    let bytes = secrets.search_objects(&party.folder.join("day"), found);
    assert!(bytes > 100_000, "{bytes} bytes of objects");
    let mut logs = 0;
    for entry in std::fs::read_dir(party.desk.folder()).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            logs += 1;
            secrets.search(&path.display().to_string(), &std::fs::read(&path).unwrap(), found);
        }
    }
    assert_eq!(logs, 1 + YUBIKEYS.len(), "pcscd and the cards write logs");
}

#[test]
fn a_search_finds_what_was_planted() {
    let folder = tempfile::tempdir().unwrap();
    let (tmp, git) = (folder.path().join("tmp"), folder.path().join("git"));
    std::fs::create_dir(&tmp).unwrap();
    assert!(Command::new("git").arg("init").arg("-q").arg(&git).status().unwrap().success());
    let [file, hexed, based, name, object, argument, variable, passing, shown] = [(); 9].map(|()| fresh_secret());
    let mut secrets = Secrets::default();
    for secret in [&file, &hexed, &based, &name, &object, &argument, &variable, &passing, &shown] {
        secrets.add(secret, secret.as_bytes());
    }
    secrets.add("nowhere", fresh_secret().as_bytes());

    let mut found = Found::new();
    std::fs::write(git.join("file"), format!("x{file}x")).unwrap();
    let hex: String = hexed.bytes().map(|byte| format!("{byte:02X}")).collect();
    std::fs::write(git.join("hexed"), hex).unwrap();
    let mut encode = Command::new("openssl");
    encode.args(["base64", "-A", "-out"]).arg(git.join("based")).stdin(Stdio::piped());
    let mut encode = encode.spawn().unwrap();
    write!(encode.stdin.take().unwrap(), "12{based}34").unwrap();
    assert!(encode.wait().unwrap().success());
    std::fs::write(git.join(&name), "").unwrap();
    assert_eq!(secrets.search_files(&git.join("no-such"), &mut found), 0);
    assert!(secrets.search_files(&git, &mut found) > 4);
    let mut hash = Command::new("git");
    hash.arg("-C").arg(&git).args(["hash-object", "-w", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut hash = hash.spawn().unwrap();
    write!(hash.stdin.take().unwrap(), "{object}").unwrap();
    assert!(hash.wait().unwrap().success());
    secrets.search_objects(&git, &mut found);

    let watch = Watch::begin(&Arc::new(Mutex::new(secrets.clone())), &tmp);
    let mut child = Command::new("sleep");
    child.env("VARIABLE", &variable).arg("5").arg0(format!("sleep-{argument}"));
    let mut child = child.spawn().unwrap();
    std::fs::write(tmp.join("passing"), &passing).unwrap();
    std::thread::sleep(Duration::from_millis(800));
    std::fs::remove_file(tmp.join("passing")).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    found.extend(watch.end().0);

    let pane = pane::Pane::open("planted", (80, 24), &["sh", "-c", &format!("echo {shown}; echo end; exec cat")]);
    secrets.search("the screen", pane.see("end").as_bytes(), &mut found);
    let found: BTreeSet<String> = found.into_iter().map(|(secret, _)| secret).collect();
    assert_eq!(found, BTreeSet::from([file, hexed, based, name, object, argument, variable, passing, shown]));
}

/// Everything is there before the day begins: repository, plan, tokens behind modules and the online key.
fn arrive(folder: &Path, typed: &Typed) -> Party {
    let desk = Desk::new(4);
    let (home, tmp, day) = (folder.join("home"), folder.join("tmp"), folder.join("day"));
    for folder in [&home, &tmp, &day] {
        std::fs::create_dir(folder).unwrap();
    }
    let mut labels: Vec<(&str, &str)> = BEHIND_MODULES.map(|who| (who, typed.pins[who].as_str())).to_vec();
    labels.push(("online", &typed.pins["olga"]));
    let conf = softhsm::tokens(&folder.join("hsm"), &labels);
    let generate =
        ["--keypairgen", "--key-type", "EC:prime256v1", "--usage-sign", "--sensitive", "--label", "tuf", "--id", "0f"];
    softhsm::tool(&conf, ("online", &typed.pins["olga"]), &generate);
    // A second module, by the name that p11-kit knows it by; a copy of a library is another one to the loader.
    let (second, modules) = (home.join("second.so"), home.join(".config/pkcs11/modules"));
    std::fs::copy(softhsm::module(), &second).unwrap();
    std::fs::create_dir_all(&modules).unwrap();
    std::fs::write(modules.join("second.module"), format!("module: {}\n", second.display())).unwrap();

    let variables = [
        format!("HOME={}", home.display()),
        format!("TMPDIR={}", tmp.display()),
        format!("SOFTHSM2_CONF={}", conf.display()),
        "GIT_CONFIG_NOSYSTEM=1".to_owned(),
    ];
    let (pins, puks) = (typed.pins.clone(), typed.puks.clone());
    let secret = move |asked: &Asked| match asked.text.contains("PUK for this token") {
        true => puks[&asked.who].clone(),
        false => pins[&asked.who].clone(),
    };
    let mut person = Person::at_shell("party", (100, 50), &variables, secret);
    let log = folder.join("screen.raw");
    assert!(person.pane.tmux(&["pipe-pane", "-o", &format!("exec cat >>'{}'", log.display())]).status.success());
    person.run(&format!(
        "cd {} && git init -q && git config user.name Olga && git config user.email olga@example.org",
        day.display()
    ));
    person.run("trustroot plan new plan.toml --rehearsal --day $(date -u +%F)");
    let text = std::fs::read_to_string(day.join("plan.toml")).unwrap();
    std::fs::write(day.join("plan.toml"), plan(&text, "second")).unwrap();
    // Programs that say nothing about it do leave core dumps here, wherever that can be had.
    person.run("ulimit -c unlimited");
    let said = person.run("(cd ../tmp && sh -c 'kill -SEGV $$')");
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let is_root =
        std::fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().eq(["0", "0", "4294967295"]);
    assert!(said.contains("core dumped") || pattern.starts_with('|') || !is_root, "{said}");
    Party {
        desk,
        cards: BTreeMap::new(),
        person,
        folder: folder.to_owned(),
        secrets: Arc::new(Mutex::new(typed.secrets())),
        managed: BTreeSet::new(),
        touches: 0,
    }
}
