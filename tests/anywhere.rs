//! One change to one file, anywhere in the record of a rehearsal or in what it published, in the working tree of a clone and as
//! a commit of its own: `trustroot verify` ends with 1 and a named finding.
//!
//! Each file meets one kind of change, and each kind is met in both places. `tests/verify.rs` has every file for every kind,
//! without git.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Held, hold, plan};
use trustroot_core::check::Check;

static HELD: LazyLock<Held> = LazyLock::new(|| hold(&plan(), Vec::new()));

/// Does something to the file at this path, beside which there is another.
type Harm = fn(file: &Path, other: &Path);

/// What can be done to a file.
const HARMS: &[(&str, Harm)] = &[
    ("another byte", |file, _| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    }),
    ("a byte more", |file, _| {
        let mut bytes = fs::read(file).unwrap();
        bytes.push(b'\n');
        fs::write(file, bytes).unwrap();
    }),
    ("a byte less", |file, _| {
        let mut bytes = fs::read(file).unwrap();
        bytes.pop();
        fs::write(file, bytes).unwrap();
    }),
    ("other line ends", |file, _| {
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, if text.contains('\n') { text.replace('\n', "\r\n") } else { format!("{text}\r\n") }).unwrap();
    }),
    ("emptied", |file, _| fs::write(file, "").unwrap()),
    ("removed", |file, _| fs::remove_file(file).unwrap()),
    ("a copy beside it", |file, _| copy(file, &beside(file, "copy-"))),
    ("an empty file beside it", |file, _| fs::write(beside(file, ""), "").unwrap()),
    ("a twin in capitals", |file, _| {
        let name = file.file_name().unwrap().to_str().unwrap();
        // A name without a letter has no twin in capitals, and gets one with a hidden character.
        let capitals = name.to_uppercase();
        let twin = if capitals == name { format!("{name}\u{200b}") } else { capitals };
        copy(file, &file.with_file_name(twin));
    }),
    ("a hidden file beside it", |file, _| fs::write(file.with_file_name(".gitattributes"), "* text\n").unwrap()),
    ("a temporary file of ours beside it", |file, _| {
        fs::write(file.with_file_name(".trustroot-0123456789abcdef.tmp"), "x").unwrap();
    }),
    ("executable", |file, _| fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap()),
    ("a link to a copy", |file, _| {
        let kept = tempfile::tempdir().unwrap().keep().join("kept");
        fs::copy(file, &kept).unwrap();
        fs::remove_file(file).unwrap();
        symlink(kept, file).unwrap();
    }),
    ("a folder in its place", |file, _| {
        let bytes = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
        fs::write(file.join("inside"), bytes).unwrap();
    }),
    ("moved", |file, _| fs::rename(file, beside(file, "moved-")).unwrap()),
    ("exchanged with another", |file, other| {
        let (one, two) = (fs::read(file).unwrap(), fs::read(other).unwrap());
        fs::write(file, two).unwrap();
        fs::write(other, one).unwrap();
    }),
    ("overwritten with another", |file, other| copy(other, file)),
];

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

fn beside(file: &Path, prefix: &str) -> std::path::PathBuf {
    file.with_file_name(format!("{prefix}{}.x", file.file_name().unwrap().to_str().unwrap()))
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Mallory", "-c", "user.email=mallory@example.invalid", "-c", "core.hooksPath="]);
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the verification ends with 1 and a finding that has a name.
fn is_refused(folder: &Path) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_trustroot"))
        .args(["verify", "--rehearsal", "--at", "2026-12-02T00:00:00Z"])
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let named = |line: &str| {
        let found = line.trim().strip_prefix("refused: ").and_then(|rest| rest.split_once(':'));
        found.is_some_and(|(name, _)| Check::ALL.iter().any(|check| check.name() == name))
    };
    match output.status.code() {
        Some(0) => false,
        Some(1) => {
            assert!(said.lines().any(named), "{said}");
            true
        }
        other => panic!("it ends with {other:?}: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn one_change_to_any_file_is_refused_in_the_working_tree_and_in_a_commit() {
    let tree = HELD.tree();
    let files: Vec<&String> = tree.keys().filter(|path| path.contains('/')).collect();
    assert!(files.len() > 80);
    let next = AtomicUsize::new(0);
    let work = || {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["clone", "-q", HELD.path().to_str().unwrap(), "."]);
        // A prepared clone says that modes mean nothing, and what is not to be listed.
        git(folder.path(), &["config", "core.fileMode", "false"]);
        fs::write(folder.path().join(".git/info/exclude"), "*.x\n.trustroot-*\n").unwrap();
        let head = git(folder.path(), &["rev-parse", "HEAD"]);
        assert!(!is_refused(folder.path()));
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = files.get(i) else { return };
            let other = folder.path().join(files[(i + 7) % files.len()]);
            // Their number is odd, so each is met in both places.
            let (what, harm) = HARMS[i % HARMS.len()];
            let file = folder.path().join(path);
            assert_ne!(fs::read(&file).unwrap(), fs::read(&other).unwrap());
            harm(&file, &other);
            let in_commit = i % 2 == 1;
            if in_commit {
                git(folder.path(), &["-c", "core.fileMode=true", "add", "-A", "-f"]);
                git(folder.path(), &["commit", "-q", "-m", "Tidy up"]);
            }
            let place = if in_commit { "as a commit" } else { "in the working tree" };
            assert!(is_refused(folder.path()), "{path}, {what}, {place}, goes unseen");
            git(folder.path(), &["reset", "-q", "--hard", head.trim()]);
            git(folder.path(), &["clean", "-q", "-f", "-f", "-d", "-x"]);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
}
