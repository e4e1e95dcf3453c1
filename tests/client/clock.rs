//! The client under a clock that is off, as libfaketime makes one: the program reads the system's clock through libc, and
//! whatever that clock says, nothing goes back and nothing is left that a later run cannot use.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use super::{said, succeeds};

/// The client at this time by the system's clock.
fn at(time: &str, here: &Path, words: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_trustroot");
    let mut command = Command::new("faketime");
    command.args([time, program, "client", "--metadata-dir", "metadata", "--metadata-url", "repository/root"]);
    command.env("TZ", "UTC").current_dir(here).args(words);
    command.output().expect("faketime is installed; scripts/setup test does it")
}

/// What the client has stored.
fn stored(here: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(here.join("metadata")).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn a_clock_that_is_off_costs_a_refusal_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // Its dates follow from the seed: published on 2026-01-05, the timestamp expires some days later.
    succeeds(here, &["rehearse", "--auto", "--seed", "clock", "--dir", "repository"]);

    let begun = at("2026-01-06 10:00:00", here, &["init", "repository/root/1.root.json"]);
    assert!(begun.status.success(), "{}", said(&begun));
    let good = at("2026-01-06 10:00:00", here, &["refresh"]);
    assert!(good.status.success(), "{}", said(&good));
    let first = stored(here);
    assert_eq!(first.len(), 4);

    // An hour to either side is within every expiry, and a year back is as well: TUF looks at the end of validity alone.
    for (time, fine) in [
        ("2026-01-06 09:00:00", true),
        ("2026-01-06 11:00:00", true),
        ("2025-01-06 10:00:00", true),
        ("2027-01-06 10:00:00", false),
        ("2038-01-20 00:00:00", false),
        ("1971-01-01 00:00:00", true),
    ] {
        let output = at(time, here, &["refresh"]);
        assert_eq!(output.status.code(), Some(i32::from(!fine)), "{time}: {}", said(&output));
        assert_eq!(said(&output).contains("EXPIRED"), !fine, "{time}: {}", said(&output));
        assert_eq!(stored(here), first, "{time}: nothing that was trusted changes");
        let offline = at(time, here, &["--offline", "refresh"]);
        assert_eq!(offline.status.code(), Some(i32::from(!fine)), "{time}: {}", said(&offline));
    }
    assert!(at("2026-01-06 10:00:00", here, &["refresh"]).status.success(), "the right time again");
}

#[test]
fn an_expired_first_root_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeeds(here, &["rehearse", "--auto", "--seed", "clock", "--dir", "repository"]);
    let begun = at("2029-01-01 00:00:00", here, &["init", "repository/root/1.root.json"]);
    let told = said(&begun);
    assert!(
        begun.status.success() && told.contains("this root expired at") && told.contains("looks for newer"),
        "{told}"
    );
    let late = at("2029-01-01 00:00:00", here, &["refresh"]);
    let told = said(&late);
    assert!(late.status.code() == Some(1) && told.contains("EXPIRED") && told.contains("hint:"), "{told}");
}
