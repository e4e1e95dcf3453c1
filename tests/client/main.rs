//! The verb `client` as people run it, and the kit that a project gives them.

mod alone;
mod begin;
#[cfg(target_os = "linux")]
mod clock;
mod download;
mod kit;

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in the folder `here`.
fn run(here: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trustroot")).current_dir(here).args(words).output().unwrap()
}

/// What it says to people.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it, and gives its data.
#[track_caller]
fn succeeds(here: &Path, words: &[&str]) -> String {
    let output = run(here, words);
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}
