//! The documents show what the program prints, and commands that it has.
//!
//! Rules:
//! 1. Each fenced block `transcript` of the README stands, line for line, in what a seeded rehearsal and its verification
//!    print.
//! 2. Each line of a fenced block `sh`, in any document, that begins with `trustroot` names a verb and flags that `--help`
//!    names; one that begins with `scripts/` names a file that is there.
//! 3. Each link to a file leads to one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TOP: &str = env!("CARGO_MANIFEST_DIR");

fn trustroot(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trustroot")).args(args).output().unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The README and every page of `docs`.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![Path::new(TOP).join("README.md"), Path::new(TOP).join("CHANGELOG.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = std::fs::read_dir(Path::new(TOP).join(folder)).unwrap();
        found.extend(
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    found.sort();
    found
}

/// The contents of the fenced blocks of this kind.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info == kind, String::new())),
            (Some(_), Some(_)) => found.extend(open.take().filter(|(wanted, _)| *wanted).map(|(_, block)| block)),
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    found
}

#[test]
fn transcripts_are_what_the_program_prints() {
    let room = tempfile::tempdir().unwrap();
    let dir = room.path().join("rehearsal");
    let dir = dir.to_str().unwrap();
    let rehearsal = trustroot(&["rehearse", "--auto", "--seed", "hello", "--dir", dir]);
    assert!(rehearsal.status.success(), "{}", String::from_utf8_lossy(&rehearsal.stderr));
    let verify = |path: &str| trustroot(&["verify", "--rehearsal", "--at", "2026-01-05T09:14:40Z", path]);
    let whole = verify(dir);
    let roots = trustroot(&["verify", "--rehearsal", "--roots", &format!("{dir}/root")]);
    assert!(whole.status.success() && roots.status.success(), "{}", String::from_utf8_lossy(&whole.stdout));
    let printed = [rehearsal.stderr, whole.stdout, roots.stdout].concat();
    let printed = format!("\n{}", String::from_utf8(printed).unwrap());

    let mut seen = 0;
    for path in documents() {
        for block in blocks(&read(&path), "transcript") {
            assert!(printed.contains(&format!("\n{block}")), "{}: this is not printed:\n{block}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "the README shows a ceremony");
    let readme = read(&Path::new(TOP).join("README.md"));
    let digest = readme.split_once("--anchor ").unwrap().1;
    assert!(printed.contains(&digest[..64]), "the anchor of the README is that of its ceremony");
    let page = read(&Path::new(TOP).join("docs/how-to-verify.md"));
    let words = page.split_once("--anchor \"").and_then(|(_, rest)| rest.split('"').next()).unwrap();
    let flat = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(words), "the words of how-to-verify.md are those of the same ceremony");
}

#[test]
fn commands_are_those_that_help_names() {
    let mut seen = 0;
    for path in documents() {
        for line in blocks(&read(&path), "sh").iter().flat_map(|block| block.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let shown = format!("{}: {line}", path.display());
            match words.first() {
                Some(&"trustroot") => command(&words[1..], &shown),
                Some(script) if script.starts_with("scripts/") => {
                    assert!(Path::new(TOP).join(script).is_file(), "{shown}");
                }
                _ => continue,
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "the documents show commands");
}

/// Whether the verbs and flags of a command line are known.
fn command(words: &[&str], shown: &str) {
    let mut verbs: Vec<&str> = Vec::new();
    loop {
        let help = trustroot(&[verbs.as_slice(), &["--help"]].concat());
        assert!(help.status.success(), "{shown}: no such verb");
        let help = String::from_utf8(help.stdout).unwrap();
        let commands = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap_or(""));
        let known: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
        match words.get(verbs.len()) {
            Some(word) if known.contains(word) => verbs.push(word),
            next => {
                let bare = next.is_none_or(|word| word.starts_with('-'));
                assert!(known.is_empty() || (verbs.is_empty() && bare), "{shown}: no such verb");
                for flag in words.iter().filter(|word| word.starts_with('-')) {
                    let known = help.split([' ', ',', '\n']).any(|word| word == *flag);
                    assert!(known, "{shown}: no such flag: {flag}");
                }
                return;
            }
        }
    }
}

#[test]
fn links_lead_to_files() {
    for path in documents() {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap_or_default();
            assert!(path.parent().unwrap().join(file).exists(), "{}: {target} leads nowhere", path.display());
        }
    }
}

#[test]
fn blocks_are_found_by_kind() {
    let text = "```sh\na\n```\n\n```text\nb\n```\n```sh\nc\n\nd\n```\n";
    assert_eq!(blocks(text, "sh"), ["a\n", "c\n\nd\n"]);
    assert!(blocks(text, "transcript").is_empty());
}

/// The functions of every test in `src` and `tests`.
fn tests_in(folder: &Path, found: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for part in read(&path).split("#[test]").skip(1) {
                let name = part.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
                found.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
}

#[test]
fn evidence_names_tests_that_are_there() {
    let mut known = std::collections::BTreeSet::new();
    for folder in ["src", "tests"] {
        tests_in(&Path::new(TOP).join(folder), &mut known);
    }
    for page in ["docs/threat-model.md", "docs/how-ceremonies-went-wrong.md"] {
        let text = read(&Path::new(TOP).join(page));
        let quoted = text.split('`').skip(1).step_by(2);
        // Names of tests are sentences: two underscores at least, and nothing else in backquotes looks like that.
        let names: Vec<&str> = quoted
            .filter(|name| {
                name.matches('_').count() >= 2
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            })
            .collect();
        assert!(names.len() >= 10, "{page} names its evidence");
        for name in names {
            assert!(known.contains(name), "{page}: there is no test called {name}");
        }
    }
}

#[test]
fn each_failure_that_is_told_has_its_source_its_device_and_its_test() {
    let text = read(&Path::new(TOP).join("docs/how-ceremonies-went-wrong.md"));
    let failures: Vec<&str> = text.split("\n\n").filter(|paragraph| paragraph.starts_with("**")).collect();
    assert!(failures.len() >= 25, "{}", failures.len());
    for failure in failures {
        let title = failure.lines().next().unwrap();
        assert!(failure.contains("*Source:"), "no source: {title}");
        let (_, device) = failure.split_once("Here:").unwrap_or_else(|| panic!("no device: {title}"));
        let names = device.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() >= 2);
        assert!(names.count() > 0, "no test: {title}");
    }
}
