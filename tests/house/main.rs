//! The house rules: which layer may use what, and what the repository looks like.
//!
//! Every rule is a function from text to findings. Beside the test that holds the repository to it stands one that
//! shows what it refuses. Who adds a layer, or a dependency, says in [`LAYERS`] or [`CRATES`] who may use it.

mod source;

use source::{calls_macro, paths, tokens};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each layer of the root package and the layers it may use. `core` and `client` are packages of their own, which
/// cannot name the others; they are reached as `trustroot_core` and `trustroot_client`.
const LAYERS: &[(&str, &[&str])] = &[
    ("seams", &["core"]),
    ("token", &["core", "seams"]),
    ("ledger", &["core", "seams"]),
    ("ui", &["core", "seams"]),
    ("judge", &["core", "seams"]),
    ("conduct", &["core", "seams"]),
    ("cli", &["core", "seams", "token", "ledger", "ui", "judge", "conduct", "client"]),
    ("main", &["cli", "ui"]),
    ("client_main", &["cli"]),
    ("lib", &[]),
];

/// Each crate that the root package depends on, and the layers that may use it. `cli` wires things together, but builds
/// nothing out of foreign parts that have a layer of their own.
const CRATES: &[(&str, &[&str])] = &[
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("console", &["ui"]),
    ("ctrlc", &["ui", "cli"]),
    ("der", &["token"]),
    ("dialoguer", &["ui"]),
    ("ed25519_dalek", &["token", "cli"]),
    ("futures_core", &["judge"]),
    ("getrandom", &["token", "cli"]),
    ("git2", &["ledger"]),
    ("hex", &["token", "ledger", "ui", "cli"]),
    ("p256", &["token", "cli"]),
    ("pcsc", &["token"]),
    ("pkcs11", &["token"]),
    ("qrcodegen", &["cli"]),
    ("region", &["seams"]),
    ("rustix", &["seams", "token", "ledger", "ui", "cli", "main"]),
    ("serde", &["token", "ui", "cli"]),
    ("serde_json", &["token", "ledger", "ui", "cli"]),
    ("sha2", &["token", "ledger"]),
    ("spki", &["token"]),
    ("tempfile", &["token", "ledger", "judge", "cli"]),
    ("thiserror", &["seams", "token", "ledger", "ui", "judge", "conduct", "cli"]),
    ("tokio", &["judge"]),
    ("tough", &["judge"]),
    ("unicode_width", &["ui"]),
    ("url", &["judge"]),
    ("x509_cert", &["token"]),
    ("yubikey", &["token"]),
    ("zeroize", &["seams", "token", "ledger", "ui", "cli"]),
];

/// What may lie at the top.
const TOP: &[&str] = &[
    ".ci",
    ".gitattributes",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "ceremony",
    "clippy.toml",
    "deny.toml",
    "docs",
    "root",
    "rustfmt.toml",
    "scripts",
    "src",
    "tests",
];

/// The longest file that is still read in one sitting is about 600 lines; this leaves room to finish a thought.
const LONGEST: usize = 650;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the repository, relative to its top: what git tracks, or everything where there is no git.
fn files() -> Vec<PathBuf> {
    if top().join(".git").exists() {
        let output = Command::new("git")
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(top())
            .output()
            .expect("git is there");
        assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
        let names = String::from_utf8(output.stdout).unwrap();
        let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
        return files.filter(|path| top().join(path).exists()).collect();
    }
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(top().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if path == Path::new("target") {
                continue;
            }
            if top().join(&path).is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(top().join(path)).unwrap()).into_owned()
}

/// The Rust files under `src`, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let all = files();
    let rust = all.into_iter().filter(|path| path.starts_with("src") && path.extension().is_some_and(|e| e == "rs"));
    let sources: Vec<_> = rust.map(|path| (path.clone(), read(&path))).collect();
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

/// Holds every source file to `rule`.
fn hold(rule: impl Fn(&Path, &str) -> Vec<String>) {
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| rule(path, text).into_iter().map(move |what| format!("{}: {what}", path.display())))
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Holds that `rule` finds something in `text`, if that were the file `path`.
#[track_caller]
fn refuses(rule: impl Fn(&Path, &str) -> Vec<String>, path: &str, text: &str) {
    assert!(!rule(Path::new(path), text).is_empty(), "{path}: {text}");
}

/// Holds that `rule` finds nothing.
#[track_caller]
fn allows(rule: impl Fn(&Path, &str) -> Vec<String>, path: &str, text: &str) {
    assert_eq!(rule(Path::new(path), text), Vec::<String>::new(), "{path}: {text}");
}

// ------------------------------------------------------------------------------------------------------------ layers

/// The layer of a file under `src`.
fn layer(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_string()
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests.rs" | "tests" | "testing.rs")))
}

/// The modules above the code in `path`: `src/ui/plain.rs` is `ui::plain`, `src/ui/mod.rs` is `ui`.
fn module(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").iter().skip(1).map(|part| part.to_str().unwrap().to_string()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// The layer or foreign crate that a path leads to. Nothing for the standard library and for names of the file itself.
fn target(from: &Path, path: &[String]) -> Option<Result<String, String>> {
    let word = |i: usize| path.get(i).map(String::as_str);
    match word(0)? {
        "crate" | "trustroot" => match word(1) {
            None | Some("*" | "self") => Some(Ok("the whole program".into())),
            Some(layer) => Some(Ok(layer.into())),
        },
        "super" => {
            // Code in an inline module stands deeper than its file; `super` then leads less far, never farther.
            let ups = path.iter().take_while(|part| *part == "super").count();
            let above = module(from);
            if ups < above.len() {
                return None;
            }
            Some(Ok(word(ups).unwrap_or("the whole program").into()))
        }
        "trustroot_core" => Some(Ok("core".into())),
        "trustroot_client" => Some(Ok("client".into())),
        name if CRATES.iter().any(|(known, _)| *known == name) => Some(Err(name.into())),
        _ => None,
    }
}

fn edges(path: &Path, text: &str) -> Vec<String> {
    if is_test_file(path) {
        return Vec::new();
    }
    let layer = layer(path);
    let named = paths(&tokens(text));
    if layer == "core" || layer == "client" {
        let foreign: &[&str] = if layer == "core" { &["trustroot", "trustroot_client"] } else { &["trustroot"] };
        return named
            .iter()
            .filter(|path| foreign.contains(&path[0].as_str()))
            .map(|path| format!("{layer} may not use {}", path.join("::")))
            .collect();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{layer} is no layer; a new one is entered in LAYERS, with what it may use")];
    };
    let mut found = Vec::new();
    for path_named in &named {
        let refused = match target(path, path_named) {
            Some(Ok(to)) => to != layer && !allowed.contains(&to.as_str()),
            Some(Err(name)) => !CRATES.iter().any(|(known, layers)| *known == name && layers.contains(&layer.as_str())),
            None => false,
        };
        if refused {
            found.push(format!("{layer} may not use {}", path_named.join("::")));
        }
    }
    found
}

#[test]
fn layers_use_only_what_they_may() {
    hold(edges);
}

#[test]
fn edges_that_are_refused() {
    refuses(edges, "src/token/piv.rs", "use crate::ledger::Git;");
    refuses(edges, "src/token/piv.rs", "fn f() { crate::ui::report::say() }");
    refuses(edges, "src/token/piv.rs", "use super::super::ui;");
    refuses(edges, "src/token/mod.rs", "use super::client::X;");
    refuses(edges, "src/token/piv.rs", "use crate::{seams::{Pin, Token}, conduct::next};");
    refuses(edges, "src/token/piv.rs", "use crate as everything;");
    refuses(edges, "src/ui/mod.rs", "use trustroot::ledger;");
    refuses(edges, "src/ledger/read.rs", "use trustroot_client::Client;");
    refuses(edges, "src/conduct/mod.rs", "use git2::Oid;");
    refuses(edges, "src/conduct/mod.rs", "use crate::judge::tough_client;");
    refuses(edges, "src/cli/verify.rs", "fn f() { git2::Repository::open() }");
    refuses(edges, "src/judge/mod.rs", "use dialoguer::Input;");
    refuses(edges, "src/core/key.rs", "use trustroot::seams;");
    refuses(edges, "src/client/lib.rs", "use trustroot::seams;");
    refuses(edges, "src/cupboard/mod.rs", "");
    allows(
        edges,
        "src/token/piv.rs",
        "use crate::seams::Pin; use crate::token::x; use super::y; use trustroot_core::key;",
    );
    allows(edges, "src/token/piv.rs", "#[cfg(test)] mod tests { use crate::ledger::Git; }");
    allows(edges, "src/cli/run.rs", "use crate::{conduct, ledger, ui};");
    allows(edges, "src/core/key.rs", "use crate::digest::Digest; use super::x;");
}

#[test]
fn every_dependency_has_its_layers() {
    let known = |name: &str| {
        let name = name.replace('-', "_");
        name.starts_with("trustroot_") || CRATES.iter().any(|(known, _)| *known == name)
    };
    let text = read(Path::new("Cargo.toml"));
    let unknown: Vec<_> =
        dependencies(&text).into_iter().filter(|line| line.table == "dependencies" && !known(&line.name)).collect();
    assert!(unknown.is_empty(), "enter in CRATES who may use {unknown:?}");
    assert!(!known("left-pad"));
}

fn terminal(path: &Path, text: &str) -> Vec<String> {
    if path.starts_with("src/ui") || path == Path::new("src/main.rs") || is_test_file(path) {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut found: Vec<String> =
        calls_macro(&tokens, &["println", "eprintln", "print", "eprint", "dbg"]).into_iter().collect();
    for path in paths(&tokens) {
        let written = path.join("::");
        let ends = matches!(path.last().map(String::as_str), Some("stdout" | "stderr"));
        if matches!(path[0].as_str(), "dialoguer" | "console")
            || (ends && path.iter().any(|p| p == "io" || p == "stdio"))
        {
            found.push(written);
        }
    }
    found.into_iter().map(|what| format!("only ui writes to the terminal, not {what}")).collect()
}

#[test]
fn only_ui_writes_to_the_terminal() {
    hold(terminal);
    refuses(terminal, "src/conduct/mod.rs", "fn f() { println!(\"x\") }");
    refuses(terminal, "src/token/piv.rs", "fn f() { dbg!(pin) }");
    refuses(terminal, "src/cli/run.rs", "fn f() { eprintln!() }");
    refuses(terminal, "src/cli/run.rs", "use std::io::{self, stdout};");
    refuses(terminal, "src/cli/run.rs", "fn f() { io::stderr().write_all(b) }");
    refuses(terminal, "src/cli/run.rs", "use dialoguer::Input;");
    allows(terminal, "src/ui/plain.rs", "fn f() { println!() }");
    allows(terminal, "src/ledger/git.rs", "fn f() { command.stdout(Stdio::piped()); output.stderr; \"println!\"; }");
}

fn logging(path: &Path, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let crates = ["log", "tracing", "env_logger", "slog"];
    let named = paths(&tokens).into_iter().filter(|p| crates.contains(&p[0].as_str())).map(|p| p.join("::"));
    let called = calls_macro(&tokens, &["trace", "debug", "info", "warn", "error", "log"]);
    if path.starts_with("src/token") { named.chain(called).collect() } else { Vec::new() }
}

#[test]
fn tokens_log_nothing() {
    hold(logging);
    refuses(logging, "src/token/piv.rs", "fn f() { log::debug!(\"{pin:?}\") }");
    refuses(logging, "src/token/piv.rs", "fn f() { warn!(\"{pin:?}\") }");
    refuses(logging, "src/token/piv.rs", "use tracing::info;");
    allows(logging, "src/token/piv.rs", "#[error(\"no token\")] struct Absent;");
}

// -------------------------------------------------------------------------------------------------------------- core

fn no_std(path: &Path, text: &str) -> Vec<String> {
    if !path.starts_with("src/core") || is_test_file(path) {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut found: Vec<String> =
        paths(&tokens).into_iter().filter(|path| path[0] == "std").map(|path| path.join("::")).collect();
    if path == Path::new("src/core/lib.rs") && !tokens.join(" ").contains("# ! [ no_std ]") {
        found.push("lib.rs does not say no_std".into());
    }
    found
}

#[test]
fn core_knows_no_standard_library() {
    hold(no_std);
    let lib = "#![no_std]\n#[cfg(test)]\nextern crate std;";
    allows(no_std, "src/core/lib.rs", lib);
    refuses(no_std, "src/core/lib.rs", "#[cfg(test)]\nextern crate std;");
    refuses(no_std, "src/core/lib.rs", "#![no_std]\nextern crate std;");
    refuses(no_std, "src/core/time.rs", "fn now() { std::time::SystemTime::now() }");
    allows(no_std, "src/core/time.rs", "#[cfg(test)]\nmod tests { use std::vec; }");
}

/// The packages with a feature `std` in what `cargo tree -e features` prints.
fn std_features(tree: &str) -> Vec<String> {
    tree.lines().filter(|line| line.contains("feature \"std\"")).map(String::from).collect()
}

#[test]
fn no_dependency_of_core_brings_the_standard_library() {
    // Core alone: together with the other packages, features are unified and `std` is on.
    let edges = "normal,features,no-proc-macro";
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", "trustroot-core", "-e", edges, "--prefix", "none"])
        .current_dir(top())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("p256 feature \"alloc\""), "{tree}");
    assert_eq!(std_features(&tree), Vec::<String>::new());
    assert_eq!(std_features("jiff feature \"std\"\nhex feature \"alloc\"").len(), 1);
}

// -------------------------------------------------------------------------------------------------------- repository

/// One line of a table of dependencies.
#[derive(Debug)]
struct Dependency {
    table: String,
    name: String,
    comment: Option<String>,
}

fn dependencies(text: &str) -> Vec<Dependency> {
    let (mut found, mut table, mut above) = (Vec::new(), String::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix('#') {
            above = Some(comment.trim().to_string());
            continue;
        }
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_string();
            // `[dependencies.name]`, the long form.
            if let Some((kind, name)) = table.rsplit_once('.').filter(|(kind, _)| kind.ends_with("dependencies")) {
                found.push(Dependency { table: kind.to_string(), name: name.to_string(), comment: above.take() });
            }
        } else if table.ends_with("dependencies") && line.contains('=') {
            let beside = line.rsplit_once("# ").map(|(_, comment)| comment.trim().to_string());
            let name = line.split(['=', '.']).next().unwrap().trim().to_string();
            found.push(Dependency { table: table.clone(), name, comment: beside.or(above) });
        }
        above = None;
    }
    found
}

fn unexplained(text: &str) -> Vec<String> {
    let explained = |comment: &Option<String>| {
        comment.as_ref().is_some_and(|text| text.ends_with('.') && text.split_whitespace().count() >= 3)
    };
    dependencies(text).into_iter().filter(|line| !explained(&line.comment)).map(|line| line.name).collect()
}

/// The manifests of the workspace.
fn manifests() -> Vec<(PathBuf, String)> {
    let all: Vec<_> = files()
        .into_iter()
        .filter(|path| path == Path::new("Cargo.toml") || (path.starts_with("src") && path.ends_with("Cargo.toml")))
        .map(|path| (path.clone(), read(&path)))
        .collect();
    assert!(all.len() >= 2);
    all
}

#[test]
fn every_dependency_says_why_it_is_there() {
    for (path, text) in manifests() {
        assert!(dependencies(&text).len() > 2, "{}: the dependencies were not found", path.display());
        let found = unexplained(&text);
        assert!(found.is_empty(), "{}: a sentence above each of {found:?}", path.display());
    }
    assert_eq!(
        unexplained("[dependencies]\n# The clock of the room.\na = \"1\"\nb = \"1\"\nc = \"1\" # why"),
        ["b", "c"]
    );
    assert_eq!(unexplained("[dev-dependencies]\n# Reads the old form.\n\na.workspace = true"), ["a"]);
    assert_eq!(unexplained("[dependencies.long]\nversion = \"1\""), ["long"]);
}

fn permissive(text: &str, is_top: bool) -> bool {
    let plain: String = text.split_whitespace().collect();
    !plain.contains("[lints]workspace=true") || (is_top && !plain.contains("unsafe_code=\"forbid\""))
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let all: BTreeMap<_, _> = manifests().into_iter().collect();
    for (path, text) in &all {
        assert!(!permissive(text, path == Path::new("Cargo.toml")), "{}", path.display());
    }
    assert!(permissive("[package]\n[dependencies]", false));
    assert!(permissive("[lints]\nworkspace = true\n[workspace.lints.rust]\nunsafe_code = \"deny\"", true));
}

fn strangers(files: &[PathBuf]) -> Vec<String> {
    let firsts = files.iter().map(|path| path.iter().next().unwrap().to_str().unwrap().to_string());
    let mut found: Vec<String> = firsts.filter(|name| name != ".git" && !TOP.contains(&name.as_str())).collect();
    found.dedup();
    found
}

#[test]
fn the_top_of_the_repository_holds_nothing_else() {
    assert_eq!(strangers(&files()), Vec::<String>::new());
    assert_eq!(strangers(&["src/lib.rs".into(), "notes.txt".into(), "tools/x".into()]), ["notes.txt", "tools"]);
}

fn long(path: &Path, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let what = format!("{lines} lines are not read in one sitting: {}", path.display());
    if lines > LONGEST { vec![what] } else { Vec::new() }
}

#[test]
fn files_are_read_in_one_sitting() {
    hold(long);
    refuses(long, "src/ui/x.rs", &"\n".repeat(LONGEST + 1));
}

fn head(_: &Path, text: &str) -> Vec<String> {
    if text.starts_with("//! ") { Vec::new() } else { vec!["the file does not open with what it holds".into()] }
}

#[test]
fn files_open_with_what_they_hold() {
    hold(head);
    refuses(head, "src/ui/x.rs", "use std::fmt;\n//! Late.");
}

/// Marks of unfinished work, and tests that do not run.
fn unfinished(_: &Path, text: &str) -> Vec<String> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimplemented", "!(")];
    let off = [concat!("#[", "ignore"), concat!(", ", "ignore)]")];
    marks.iter().chain(&off).filter(|mark| text.contains(**mark)).map(|mark| format!("says {mark}")).collect()
}

#[test]
fn nothing_is_left_for_later() {
    let text =
        |path: &PathBuf| !path.starts_with("root") && !path.starts_with("ceremony") && path != Path::new("Cargo.lock");
    for path in files().into_iter().filter(text) {
        assert_eq!(unfinished(&path, &read(&path)), Vec::<String>::new(), "{}", path.display());
    }
    refuses(unfinished, "src/ui/x.rs", concat!("// TO", "DO: later"));
    refuses(unfinished, "tests/x.rs", concat!("#[test]\n#[", "ignore = \"slow\"]"));
}
