//! `trustroot join` and `trustroot run` as people type them: one command each, from a genesis to a renewal, over a bare
//! repository and a bundle; what is said when a push is declined, and when somebody is in the wrong place.

#[path = "support/stage.rs"]
mod stage;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder with a bare repository and a clone for each person.
struct Places {
    folder: tempfile::TempDir,
}

impl Places {
    fn new() -> Self {
        let places = Self { folder: stage::folder() };
        let identity = "[user]\n\tname = Somebody\n\temail = somebody@example.org\n";
        std::fs::write(places.path(".gitconfig"), identity).unwrap();
        places.git(&["init", "--quiet", "--bare", "--initial-branch=main", "hub.git"]);
        places.git(&["init", "--quiet", "--initial-branch=main", "conductor"]);
        places
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, args: &[&str]) {
        let output = self.command("git", Path::new("")).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, program: &str, at: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path().join(at)).stdin(Stdio::null()).env_clear();
        command.env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CEILING_DIRECTORIES", self.folder.path()).env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Types `trustroot ARGS` in the folder `at`: what it said, on both outputs.
    #[track_caller]
    fn types(&self, at: &str, args: &str, code: i32) -> String {
        let mut command = self.command(env!("CARGO_BIN_EXE_trustroot"), Path::new(at));
        let output = command.args(args.split_whitespace()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert_eq!(output.status.code(), Some(code), "{at}: trustroot {args}\n{text}");
        text
    }

    /// Writes a plan by `plan new ARGS`, and opens a ceremony from it at the conductor's.
    fn open(&self, args: &str) -> String {
        let plan = self.path("plan.toml");
        let _ = std::fs::remove_file(&plan);
        self.types("conductor", &format!("plan new ../plan.toml --rehearsal {args}"), 0);
        self.types("conductor", "run ../plan.toml --auto", 0)
    }

    /// Whether the hub takes pushes.
    fn hub_declines(&self, declines: bool) {
        let hook = self.path("hub.git/hooks/pre-receive");
        if !declines {
            return std::fs::remove_file(hook).unwrap();
        }
        std::fs::write(&hook, "#!/bin/sh\necho 'only on weekdays' >&2\nexit 1\n").unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[track_caller]
fn says(text: &str, wanted: &str) {
    assert!(text.contains(wanted), "it does not say `{wanted}`:\n{text}");
}

#[test]
fn one_command_each_from_a_genesis_to_a_renewal() {
    let places = Places::new();
    let hub = places.path("hub.git").display().to_string();
    places.git(&["-C", "conductor", "remote", "add", "origin", &hub]);
    let waits = places.open("--holders 3 --threshold 2");
    says(&waits, "waits for others:\n  alice, for keys.alice.token, with token 90000001\n");
    // Each joins by the address alone; nobody has a token yet, so they say who they are, once.
    for who in ["alice", "bob", "carol"] {
        let joined = places.types("", &format!("join {hub} --dir {who} --as {who} --auto"), 0);
        says(&joined, "In this sitting: prompts 2, PIN entries 0, new secrets 1, pushes 1.");
    }
    says(&places.types("conductor", "run --auto", 0), "done: Taken in from carol: 4 events.");
    for who in ["alice", "bob", "carol"] {
        says(&places.types(who, "join --auto", 0), "(heard by ");
    }
    says(&places.types("conductor", "run --auto", 0), "  bob, for sign.bob.sign, with token 90000002\n");
    // Their second sittings: the token here says who sits here, even where that was forgotten.
    std::fs::remove_file(places.path("alice/.git/trustroot/seat")).unwrap();
    says(&places.types("alice", "join --auto", 0), "You are Alice Ashwood (alice)");
    says(&places.types("carol", "join --auto", 0), "done: carol signed root and targets");
    let asked_again = places.types("carol", "join --auto", 0);
    says(&asked_again, "Nothing more is yours now.\nAwaited, as far as is known here:\n  alice, for sign.alice.sign");
    says(&asked_again, "prompts 0, PIN entries 0, new secrets 0, pushes 0.");
    says(&places.types("conductor", "run --auto", 0), "\n          the new root: 2 of 2 signed\n");
    places.types("bob", "join --auto", 0);
    says(&places.types("conductor", "run --auto", 0), "It verifies.");

    // A renewal.
    places.open("--renew --reason Expiry.");
    let sitting = places.types("alice", "join --auto", 0);
    let effort = sitting.lines().find(|line| line.starts_with("In this sitting: ")).unwrap();
    println!("trustroot join, for a renewal. {effort}");
    assert_eq!(effort, "In this sitting: prompts 3, PIN entries 1, new secrets 0, pushes 1.");
    // A push that is declined: what the far end said, that nothing is lost, and two ways on.
    places.hub_declines(true);
    let declined = places.types("bob", "join --auto", 3);
    says(&declined, "Not pushed: a rule of origin declined the push:");
    says(&declined, "only on weekdays");
    says(
        &declined,
        "error: what you did is committed here, and nobody else has it yet\nhint: once what stands above is mended: trustroot join\nhint: or carry it to the conductor: trustroot join --bundle-out FILE\n",
    );
    places.hub_declines(false);
    let status = places.types("conductor", "status --look", 0);
    says(&status, "  alice, for sign.alice.sign, with token 90000001: arrived, not taken in yet\n");
    says(
        &status,
        "\nArrived, and not taken in yet (`trustroot run` takes in what holds)\n  alice        sign.alice.sign  at origin\n",
    );
    let json = places.types("conductor", "status --json", 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["ceremony"]["arrived"][0]["steps"][0], "sign.alice.sign");
    assert_eq!(json["ceremony"]["awaited"][1]["token"], 90_000_002);
    // Bob's second command asks nothing and pushes; carol's goes by a stick.
    says(&places.types("bob", "join --auto", 0), "prompts 0, PIN entries 0, new secrets 0, pushes 1.");
    says(
        &places.types("carol", "join --auto --bundle-out ../carol.bundle", 0),
        "prompts 3, PIN entries 1, new secrets 0, pushes 0.",
    );
    says(
        &places.types("conductor", "run --auto --bundle ../carol.bundle --bundle-out ../end.bundle", 0),
        "It verifies.",
    );
    // Whoever was there sees the end at home, and verifies it there; so does whoever is handed the stick.
    says(&places.types("bob", "join --auto", 0), "The ceremony is over, and its record closed.");
    says(&places.types("bob", "verify --rehearsal .", 0), "root 2");
    places.types("", "join end.bundle --dir offline --as carol --auto", 0);
    says(&places.types("offline", "verify --rehearsal .", 0), "root 2");
}

#[test]
fn a_rehearsal_apart_goes_through_with_trouble() {
    let places = Places::new();
    let args = "rehearse --apart --auto --holders 3 --threshold 2 --seed apart --absent carol --fault bob:wrong-pin";
    let said = places.types("", &format!("{args} --dir room"), 0);
    says(&said, "--- at the machine of bob ---");
    says(&said, "\nCarol Cedar does not come.\n");
    says(&said, "Exception 1 of bob, 2026-01-05T");
    says(&said, "It verifies.");
    assert!(!places.path("room/carol").exists() && places.path("room/alice/.git").exists());
    says(&places.types("", &format!("{args} --dir other --absent zoe"), 2), "hint: the holders are alice, bob, carol");
}

#[test]
fn who_is_in_the_wrong_place_is_told_where_to_go() {
    let places = Places::new();
    let hub = places.path("hub.git").display().to_string();
    says(
        &places.types("conductor", "join --auto", 2),
        "hint: trustroot join URL, or, if the ceremony is held at this machine: trustroot run",
    );
    says(&places.types("", "join nowhere.git --auto", 3), "hint: check the address letter by letter");
    says(&places.types("", "join ftp://example.org/root --auto", 2), "hint: give https://");
    says(&places.types("", &format!("join {hub} --dir early --auto"), 1), "hint: ask the conductor whether");
    places.git(&["-C", "conductor", "remote", "add", "origin", &hub]);
    places.open("--holders 3 --threshold 2");
    let join = |who: &str| format!("join {hub} --dir clone {who} --auto");
    says(&places.types("", &join("--as zoe"), 2), "hint: those who have: alice, bob, carol\n");
    says(&places.types("", &join("--as olga"), 2), "hint: the conductor's own machine: trustroot run");
    says(&places.types("", &join(""), 2), "hint: say it: trustroot -C ./clone join --as HANDLE");
    // A witness hears in the conductor's room, and has no branch.
    says(&places.types("", &join("--as quinn"), 2), "error: quinn has no part in this ceremony");
    std::fs::write(places.path("there.bundle"), "").unwrap();
    says(&places.types("", &join("--as bob"), 0), "done: Key ");
    says(&places.types("clone", "join --auto --bundle-out ../there.bundle", 2), "nothing is overwritten");
}
