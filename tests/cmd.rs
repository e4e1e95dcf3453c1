//! Commands and what they answer.
//!
//! Commands that change nothing are in `tests/cmd/*.trycmd` (`TRYCMD=overwrite cargo test --test cmd` writes their answers
//! anew). Those that need a folder of their own are below; their expected texts are `tests/cmd/*.txt`
//! (`SNAPSHOTS=overwrite`). HOME is an empty folder, so no person's git is asked.

#[path = "support/stage.rs"]
mod stage;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use snapbox::{Data, assert_data_eq};

#[test]
fn commands_that_change_nothing() {
    trycmd::TestCases::new()
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CEILING_DIRECTORIES", concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
        .case("tests/cmd/*.trycmd");
}

/// A folder in which commands are typed, and what came of them.
struct Shell {
    folder: tempfile::TempDir,
    seen: String,
}

impl Shell {
    fn new() -> Self {
        Self { folder: stage::folder(), seen: String::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Runs `trustroot ARGS` and gives its standard output; the command, all it said and its exit code are noted.
    #[track_caller]
    fn run(&mut self, args: &str, code: i32) -> String {
        let (out, err) = self.quietly("trustroot", args, code);
        self.seen.push_str(&format!("$ trustroot {args}\n{out}{err}"));
        if code != 0 {
            self.seen.push_str(&format!("? {code}\n"));
        }
        self.seen.push('\n');
        out
    }

    #[track_caller]
    fn quietly(&self, program: &str, args: &str, code: i32) -> (String, String) {
        let program = if program == "trustroot" { env!("CARGO_BIN_EXE_trustroot") } else { program };
        let mut command = Command::new(program);
        command
            .args(args.split(' ').filter(|arg| !arg.is_empty()))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command.env_clear().env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CEILING_DIRECTORIES", self.folder.path().parent().unwrap());
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{program} {args}\n{out}{err}");
        let home = self.folder.path().display().to_string();
        (out.replace(&home, "[HOME]"), err.replace(&home, "[HOME]"))
    }

    #[track_caller]
    fn golden(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cmd/{name}.txt"));
        assert!(path.exists() || std::env::var_os("SNAPSHOTS").is_some(), "{} is missing", path.display());
        assert_data_eq!(Data::text(self.seen.clone()).raw(), Data::read_from(&path, None).raw());
    }
}

#[test]
fn plans_are_written_and_linted() {
    let mut shell = Shell::new();
    shell.run("plan new plans/genesis.toml --day 2090-06-01", 0);
    shell.run("plan new plans/genesis.toml", 3);
    shell.run("plan new other.toml --day 2090-13-01", 2);
    shell.run("plan new other.toml --holders 0", 2);
    shell.run("plan lint plans/genesis.toml", 0);
    shell.run("plan script plans/genesis.toml -o script.html", 0);
    assert!(std::fs::read_to_string(shell.path("script.html")).unwrap().contains("keys.alice.token"));
    let json = shell.quietly("trustroot", "plan lint --json plans/genesis.toml", 0).0;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["refused"], &report["record"]), (&false.into(), &"ceremony/2090-06-01-genesis".into()));

    let plan = std::fs::read_to_string(shell.path("plans/genesis.toml")).unwrap();
    for (name, from, to) in [
        ("typo.toml", "threshold = 3", "treshold = 3"),
        ("unknown.toml", "[targets]", "extra = 1\n[targets]"),
        ("twice.toml", "format = 1", "format = 1\nformat = 1"),
        ("day.toml", "day = \"2090-06-01\"", "day = \"2090-06-31\""),
        ("high.toml", "threshold = 3", "threshold = 6"),
        ("hidden.toml", "Alice Ashwood", "Alice\u{202e} Ashwood"),
    ] {
        assert!(plan.contains(from), "{from}");
        shell.write(name, &plan.replacen(from, to, 1));
        shell.run(&format!("plan lint {name}"), 1);
    }
    shell.run("plan script typo.toml", 1);
    shell.run("plan lint absent.toml", 3);
    shell.golden("plans");
}

#[test]
fn a_rehearsal_from_the_command_line() {
    let mut shell = Shell::new();
    shell.run("rehearse --auto --holders 2 --threshold 3", 2);
    shell.run("rehearse --auto --threshold 0", 2);
    shell.run("rehearse --auto --fault bob:tripped", 2);
    shell.run("rehearse --auto --seed x --holders 2 --threshold 2 --dir a --fault zoe:absent", 2);
    assert!(!shell.path("a").exists());
    shell.run("rehearse --holders 2 --threshold 2", 3);
    shell.write("full/letter.txt", "Dear Bob");
    shell.run("rehearse --auto --dir full", 1);
    assert_eq!(std::fs::read_to_string(shell.path("full/letter.txt")).unwrap(), "Dear Bob");

    // Everything but the pages goes to nobody in particular: no data on standard output.
    let (out, err) = shell.quietly("trustroot", "rehearse --auto --seed hello --holders 2 --threshold 2 --dir b", 0);
    assert_eq!(out, "");
    assert!(err.contains("Stops in this run: at most 4 a holder in the keys act"), "{err}");
    shell.run("rehearse --auto --seed hello --holders 2 --threshold 2 --dir b", 1);
    let status = shell.quietly("trustroot", "status b", 0).0;
    // Days until an expiry depend on today.
    let (stands, expiry) = status.split_once("Expiry\n").unwrap();
    let (expiry, _) = expiry.split_once("\n\n").unwrap();
    shell.seen.push_str(&format!("$ trustroot status b\n{stands}Expiry\n[...]\n\n"));
    assert_eq!(expiry.lines().count(), 4, "{expiry}");
    let json: serde_json::Value = serde_json::from_str(&shell.quietly("trustroot", "status --json b", 0).0).unwrap();
    shell.seen.push_str(&format!("$ trustroot status --json b\n{:#}\n\n", json["ceremony"]));
    assert_eq!(json["expiry"].as_array().unwrap().len(), 4);
    shell.run("-C b run", 1);
    assert_eq!(shell.quietly("trustroot", "-C b", 0).0, status);
    // For a cron job: nothing said and 0, or what is due and 1.
    shell.quietly("trustroot", "rehearse --auto --seed hello --holders 3 --threshold 2 --dir due", 0);
    let at = "--at 2026-01-06T00:00:00Z";
    assert_eq!(shell.quietly("trustroot", &format!("status --due {at} due"), 0), (String::new(), String::new()));
    assert_eq!(shell.quietly("trustroot", &format!("status --remind {at} due"), 0).0, "");
    let (out, err) = shell.quietly("trustroot", "status --due --at 2099-01-01T00:00:00Z b", 1);
    assert!(out.is_empty() && err.contains("EXPIRED: 1.root.json"), "{err}");
    let (text, _) = shell.quietly("trustroot", "status --remind markdown --at 2099-01-01T00:00:00Z b", 0);
    assert!(text.starts_with("# Due at the trust root of Rehearsal\n"), "{text}");
    shell.golden("rehearse");
}

#[test]
fn a_repository_that_is_not_ready() {
    let mut shell = Shell::new();
    shell.run("", 2);
    shell.run("run", 3);
    shell.run("status", 3);
    shell.quietly("git", "init -q -b main repo", 0);
    shell.run("-C repo", 2);
    shell.run("-C repo run", 3);
    shell.quietly("git", "-C repo config user.name Olga", 0);
    shell.quietly("git", "-C repo config user.email olga@example.org", 0);
    shell.run("-C repo run", 1);
    shell.run("-C repo status", 1);

    shell.quietly("trustroot", "plan new plan.toml --day 2090-06-01 --holders 2 --threshold 2", 0);
    shell.run("-C repo run --auto ../absent.toml", 3);
    shell.run("-C repo run ../plan.toml", 2);
    shell.quietly("trustroot", "plan new virtual.toml --day 2090-06-01 --rehearsal --holders 2 --threshold 2", 0);
    shell.quietly("openssl", "genpkey -algorithm ed25519 -out key.pem", 0);
    let key = shell.path("key.pem");
    let mode = |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    shell.run("-C repo run ../virtual.toml --online-key online=../key.pem", 1);
    // Nothing was frozen until the key could be used.
    assert!(!shell.path("repo/ceremony").exists());
    mode(0o600);
    let held = "-C repo run --auto ../virtual.toml --online-key online=../key.pem";
    shell.quietly("trustroot", held, 0);
    assert!(shell.path("repo/ceremony/2090-06-01-genesis/record.html").exists());
    let (author, _) = shell.quietly("git", "-C repo log -1 --format=%an", 0);
    assert_eq!(author, "Olga\n", "a rehearsal in somebody's own repository is theirs");
    shell.run(held, 1);

    // What a person changed stays as it is, and is named.
    shell.write("repo/ceremony/2090-06-01-genesis/note.txt", "mine");
    shell.run("-C repo run", 3);
    std::fs::remove_file(shell.path("repo/ceremony/2090-06-01-genesis/note.txt")).unwrap();
    shell.write("repo/ceremony/2090-06-01-genesis/plan.json", "{}");
    shell.run("-C repo run", 3);
    assert_eq!(std::fs::read_to_string(shell.path("repo/ceremony/2090-06-01-genesis/plan.json")).unwrap(), "{}");
    shell.golden("not-ready");
}

#[test]
fn completions_and_man_pages_are_made() {
    let shell = Shell::new();
    for (name, word) in [("bash", "complete -F"), ("zsh", "#compdef trustroot"), ("fish", "complete -c trustroot")] {
        assert!(shell.quietly("trustroot", &format!("completions {name}"), 0).0.contains(word), "{name}");
    }
    shell.quietly("trustroot", "man pages/man1", 0);
    for page in ["trustroot.1", "trustroot-rehearse.1", "trustroot-plan-lint.1"] {
        assert!(std::fs::read_to_string(shell.path("pages/man1").join(page)).unwrap().contains(".TH"), "{page}");
    }
}
