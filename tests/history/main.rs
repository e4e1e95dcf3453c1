//! `verify` on repositories that others made.
//!
//! Every repository is made by git at fixed times and with fixed keys, so its commits have the same ids everywhere, and whole
//! reports are compared: nothing more, nothing less. `SNAPSHOTS=overwrite` writes `reports/` anew; read what changed.

mod checks;
mod graphs;
mod hidden;
mod hostile;
mod kinds;
mod layouts;
mod place;
#[cfg(feature = "public-data")]
mod real;
mod stage;

use std::path::Path;
use std::process::Command;

use snapbox::data::DataFormat;
use snapbox::{Data, assert_data_eq};
use stage::{Stage, day};
use trustroot::ledger::Reading;
use trustroot_core::check::{Check, Level};
use trustroot_core::signature::Portable;
use trustroot_core::verify::history::{Ask, HistoryReport, Past, verify_history};

/// What git remembers there on this day.
fn past(path: &Path, at: i64) -> Past {
    Reading::open(path).unwrap().whole_history(Some(day(at)), |_, _| ()).unwrap()
}

/// What is found of it.
fn judged(past: &Past, at: i64) -> HistoryReport {
    verify_history(past, &Ask { now: day(at), rehearsal: true, strict: false, anchor: None }, &Portable)
}

fn report(stage: &mut Stage, at: i64) -> HistoryReport {
    stage.finish();
    judged(&past(stage.path(), at), at)
}

/// Every finding above a note.
fn found(report: &HistoryReport) -> Vec<(Level, Check, String)> {
    let told = report.findings.iter().filter(|told| told.finding.level > Level::Note);
    told.map(|told| (told.finding.level, told.finding.check, told.finding.subject.clone())).collect()
}

fn one(level: Level, check: Check, subject: &str) -> Vec<(Level, Check, String)> {
    vec![(level, check, subject.to_owned())]
}

/// Whether a finding names this commit.
fn names(report: &HistoryReport, check: Check, commit: &str) -> bool {
    let told = report.findings.iter().filter(|told| told.finding.check == check);
    told.flat_map(|told| &told.seen).any(|seen| seen.commit == commit)
}

/// Runs `verify` in a folder, on this day: the exit code, standard output, standard error.
fn program(folder: &Path, at: i64, more: &[&str]) -> (i32, String, String) {
    let at = day(at).to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_trustroot"))
        .args(["verify", "--rehearsal", "--at", &at])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Compares the report with `reports/NAME.txt`, and its headline and findings for programs with `reports/NAME.json`.
fn told(name: &str, stage: &mut Stage, at: i64) {
    stage.finish();
    let reports = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history/reports");
    // The pages lie where they can be looked at.
    let pages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("histories");
    std::fs::create_dir_all(&pages).unwrap();
    let page = pages.join(format!("{name}.html"));
    let (code, text, _) = program(stage.path(), at, &["--html", page.to_str().unwrap()]);
    let text = text.replace(&format!("{}/", stage.path().canonicalize().unwrap().display()), "REPOSITORY");
    // The lines for other programs are run, in `place`.
    let (report, lines) = text.split_once("\nThe same with other programs").unwrap();
    let (_, headline) = lines.rsplit_once("\n\n").unwrap();
    let expected = |end: &str| Data::read_from(&reports.join(format!("{name}.{end}")), Some(DataFormat::Text)).raw();
    assert_data_eq!(format!("{report}\n{headline}"), expected("txt"));
    let (json_code, json, _) = program(stage.path(), at, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json_code), if json["verdict"] == "refused" { (1, 1) } else { (0, 0) });
    let short = serde_json::json!({ "headline": json["headline"], "findings": json["findings"] });
    let short = serde_json::to_string_pretty(&short).unwrap() + "\n";
    assert_data_eq!(short, expected("json"));
}
