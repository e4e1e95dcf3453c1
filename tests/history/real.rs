//! The twelve roots that Sigstore published and two attestations of its holders, in a repository of our own making: the
//! commits and their times are invented, the files are as they were. From the folder of public data that `TRUSTROOT_CORPUS`
//! names (feature `public-data`).

use super::found;
use super::stage::Stage;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use trustroot::ledger::Reading;
use trustroot_core::check::{Check, Level};
use trustroot_core::signature::Portable;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{Ask, HistoryReport, verify_history};

/// The day of each root, at which the one before it was still good; the last five overlap by some weeks.
const DAYS: [&str; 12] = [
    "2021-06-18",
    "2021-12-01",
    "2022-05-11",
    "2022-07-12",
    "2022-10-18",
    "2023-03-01",
    "2023-04-20",
    "2023-09-28",
    "2024-03-13",
    "2024-08-20",
    "2025-01-20",
    "2025-02-24",
];

fn corpus() -> PathBuf {
    let named = std::env::var_os("TRUSTROOT_CORPUS").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    assert!(folder.is_dir(), "there is no public data at {}; set TRUSTROOT_CORPUS", folder.display());
    folder
}

fn read(path: &str) -> Vec<u8> {
    fs::read(corpus().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// As the files lie in the history of `root-signing` today, without the rest.
fn sigstore() -> Stage {
    let mut stage = Stage::new();
    for serial in ["13078778", "14454335"] {
        for name in ["device_cert", "key_cert", "pubkey"] {
            let file = format!("{serial}_{name}.pem");
            let bytes = read(&format!("yubikey-attestations/{serial}/{file}"));
            stage.write(&format!("ceremony/2021-06-18/keys/{serial}/{file}"), &bytes);
        }
    }
    for (version, day) in (1..).zip(DAYS) {
        let root = read(&format!("sigstore-roots/{version}.root.json"));
        stage.write(&format!("metadata/root_history/{version}.root.json"), &root);
        stage.write("metadata/root.json", &root);
        stage.commit_at(Timestamp::from_day(day).unwrap().unix());
    }
    stage.finish();
    stage
}

#[test]
fn twelve_roots_of_sigstore_as_the_manual_shows_them() {
    let stage = sigstore();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_trustroot"))
        .args(["verify", "--at", "2025-03-01T00:00:00Z", "--html"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("sigstore.html"))
        .current_dir(stage.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(&format!("{}/", stage.path().canonicalize().unwrap().display()), "REPOSITORY");
    assert_eq!(output.status.code(), Some(0));
    // The manual quotes the beginning.
    let (quoted, _) = text.split_once("\nHolders\n").unwrap();
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to-verify.md")).unwrap();
    assert!(
        manual.contains(&format!("```text\n{quoted}```")),
        "docs/how-to-verify.md quotes another report:\n{quoted}"
    );
}

/// What is known of these roots, found form by form: nothing more, nothing less.
#[test]
fn each_old_form_is_named_where_it_is() {
    let found = found(&verified(false));
    let mut of: BTreeMap<Check, Vec<u64>> = BTreeMap::new();
    for (level, check, subject) in &found {
        let version = subject.strip_suffix(".root.json").and_then(|version| version.parse().ok());
        assert_eq!(*level, if version.is_some() { Level::Lenient } else { Level::Warning }, "{subject}");
        of.entry(*check).or_default().push(version.unwrap_or_default());
    }
    let expected: [(Check, Vec<u64>); 9] = [
        (Check::SpecVersion, (1..=12).collect()),
        (Check::ExpiresForm, (1..=3).collect()),
        (Check::KeyType, (1..=8).collect()),
        (Check::KeyEncoding, (1..=4).collect()),
        // Once for each of the people who signed under two ids.
        (Check::KeyDistinct, [5].repeat(4).into_iter().chain([9].repeat(5)).chain([10].repeat(5)).collect()),
        (Check::KeyId, vec![11]),
        (Check::SigEmpty, vec![12]),
        (Check::AttAdvisory, vec![0; 2]),
        // Only two of the attestations are here.
        (Check::AttMissing, vec![0; 4]),
    ];
    assert_eq!(of, BTreeMap::from(expected));
}

fn verified(strict: bool) -> HistoryReport {
    let stage = sigstore();
    let now = Timestamp::parse("2025-03-01T00:00:00Z").unwrap();
    let past = Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
    verify_history(&past, &Ask { now, rehearsal: false, strict, anchor: None }, &Portable)
}

#[test]
fn strictly_each_old_form_is_refused() {
    let found = found(&verified(true));
    let forms = [
        Check::SpecVersion,
        Check::ExpiresForm,
        Check::KeyType,
        Check::KeyEncoding,
        Check::KeyDistinct,
        Check::KeyId,
        Check::SigEmpty,
    ];
    for check in forms {
        assert!(found.iter().filter(|one| one.1 == check).all(|one| one.0 == Level::Refused), "{check}");
    }
    assert_eq!(found.iter().filter(|one| one.0 == Level::Refused).count(), 12 + 3 + 8 + 4 + 14 + 2);
}
