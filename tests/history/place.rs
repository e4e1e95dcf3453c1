//! What `verify` takes for a history, what it says where there is none, and what it prints for other programs.

use super::stage::{SET, Stage, key, root, signed};
use super::{found, judged, past, program, report};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// What `verify` says here: the exit code and all words.
fn said(folder: &Path, more: &[&str]) -> (i32, String) {
    let (code, out, error) = program(folder, 15, more);
    (code, out + &error)
}

#[test]
fn it_chooses_reports_and_the_lines_it_prints_hold() {
    let mut stage = Stage::clean();
    stage.finish();
    let html = stage.path().join("page.html");
    let (code, text, _) = program(stage.path(), 15, &["--html", html.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("it has no layout of ours"), "{text}");
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("class=\"track\"") && !page.contains("<script") && !page.contains("http:"), "{page}");
    let (code, json, _) = program(stage.path(), 15, &["--json", "--history"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["verdict"].as_str()), (0, Some("consistent")));
    let lines: Vec<&str> = json["equivalents"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(lines.iter().filter(|line| line.starts_with("quorum ")).count() >= 3, "{lines:?}");
    let script = format!("set -e\n{}\n", lines.join("\n"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(stage.path()).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_lines_that_it_prints_fail_where_the_check_fails() {
    let mut stage = Stage::clean();
    let payload = super::stage::plan(3).payload().unwrap();
    stage.write(&format!("{SET}/3.root.json"), &signed(&payload, &[key(1)]));
    stage.commit(12);
    let report = report(&mut stage, 15);
    let quorums: Vec<&String> = report.equivalents.iter().filter(|line| line.starts_with("quorum ")).collect();
    let tools: Vec<&String> =
        report.equivalents.iter().filter(|line| line.starts_with("LAID=") || line.starts_with("quorum()")).collect();
    let holds = |line: &str| {
        let script = format!("{}\n{}\n{line}", tools[0], tools[1]);
        Command::new("sh").args(["-c", &script]).current_dir(stage.path()).output().unwrap().status.success()
    };
    let third: Vec<bool> = quorums.iter().map(|line| holds(line)).collect();
    assert_eq!(third, [true, true, true, false, false], "{quorums:?}");
}

#[test]
fn a_page_of_many_findings_is_folded_and_of_bounded_size() {
    let mut stage = Stage::clean();
    let few = |version: u64| signed(&super::stage::files(version, 0).payload().unwrap(), &[key(1)]);
    (3..1503).for_each(|version| stage.write(&format!("{SET}/{version}.targets.json"), &few(version)));
    stage.commit(12);
    let report = report(&mut stage, 15);
    assert_eq!(report.findings.len(), 1500);
    let page = trustroot_core::verify::history::page(&report);
    // A dozen are shown at once, a thousand can be opened, the rest is counted.
    assert_eq!(page.matches("<section class=\"found").count(), 1012);
    assert!(page.contains("<summary>1488 more of META-QUORUM (warning)</summary>") && page.contains("and 488 more"));
    assert!(page.len() < 1_000_000, "{}", page.len());
}

#[test]
fn a_folder_that_is_no_repository() {
    let folder = folder();
    let (code, text) = said(folder.path(), &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("hint: ") && text.contains("--roots DIR"), "{text}");
    let (code, text) = said(folder.path(), &["--history"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("there is no git repository") && text.contains("hint: "), "{text}");
    let (code, text) = said(folder.path(), &["no-such-folder"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("no-such-folder") && text.contains("hint: give the folder"), "{text}");
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    for more in [&["file"][..], &["--roots", "file"], &["--roots", "no-such-folder"]] {
        let (code, text) = said(folder.path(), more);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("hint: give the folder") && !text.contains("committed"), "{text}");
    }
    let (code, text) = said(folder.path(), &["--html", "page.html"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("or no git repository"), "{text}");
}

#[test]
fn a_repository_without_a_commit() {
    let stage = Stage::new();
    for more in [&[][..], &["--history"]] {
        let (code, text) = said(stage.path(), more);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("has no commit yet") && text.contains("hint: "), "{text}");
    }
}

#[test]
fn a_repository_without_any_root_bare_or_not() {
    let mut stage = Stage::new();
    stage.write("README.md", b"text");
    stage.commit(1);
    stage.finish();
    let bare = folder();
    stage.git(&["clone", "-q", "--bare", ".", bare.path().to_str().unwrap()]);
    for place in [stage.path(), bare.path()] {
        for more in [&[][..], &["--history"]] {
            let (code, text) = said(place, more);
            assert_eq!(code, 1, "{text}");
            assert!(
                text.contains("is no trust root: no commit of it up to 2026-01-16T00:00:00Z holds a root")
                    && text.contains("hint: "),
                "{text}"
            );
        }
    }
}

#[test]
fn a_time_before_the_first_root() {
    let mut stage = Stage::clean();
    stage.finish();
    let (code, text, error) = program(stage.path(), 0, &[]);
    assert_eq!(code, 1, "{text}");
    assert!(error.contains("no commit of it up to 2026-01-01T00:00:00Z holds a root"), "{error}");
    assert!(error.contains("hint: ask about a later time"), "{error}");
}

#[test]
fn a_clone_that_left_contents_out() {
    let mut stage = Stage::clean();
    stage.finish();
    stage.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = folder();
    let url = format!("file://{}", stage.path().display());
    stage.git(&["clone", "-q", "--bare", "--filter=blob:none", &url, clone.path().to_str().unwrap()]);
    let (code, text) = said(clone.path(), &[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("is not whole") && text.contains("git fetch --refetch --no-filter"), "{text}");
    // As the hint says.
    let fetch = Command::new("git")
        .args(["-c", "remote.origin.partialclonefilter=", "fetch", "-q", "--refetch", "--no-filter", "origin"])
        .current_dir(clone.path())
        .output()
        .unwrap();
    assert!(fetch.status.success(), "{}", String::from_utf8_lossy(&fetch.stderr));
    assert_eq!(found(&judged(&past(clone.path(), 15), 15)), []);
}

#[test]
fn a_repository_of_another_user() {
    let mut stage = Stage::clean();
    stage.finish();
    // Whoever may give files away can try this; everybody else reads a folder that is closed.
    let given = std::os::unix::fs::chown(stage.path(), Some(12_345), Some(12_345)).is_ok()
        && std::os::unix::fs::chown(stage.path().join(".git"), Some(12_345), Some(12_345)).is_ok();
    if !given {
        fs::set_permissions(stage.path().join(".git"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let (code, text) = said(stage.path(), &["--history"]);
    if !given {
        fs::set_permissions(stage.path().join(".git"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("hint: "), "{text}");
    assert!(!given || text.contains("belongs to another user") && text.contains("safe.directory"), "{text}");
}

#[test]
fn a_trust_root_of_our_own_is_read_as_one_unless_its_history_is_asked_for() {
    let mut stage = Stage::new();
    stage.write("root/1.root.json", &root(1, ""));
    stage.commit(1);
    stage.finish();
    let (_, text) = said(stage.path(), &[]);
    assert!(!text.contains("the history of the repository"), "{text}");
    let (_, text) = said(stage.path(), &["--history"]);
    assert!(text.contains("the history of the repository") && text.contains("asked for by --history"), "{text}");
    let (code, text) = said(stage.path(), &["--html", "page.html"]);
    assert_eq!(code, 2, "{text}");
}

#[test]
fn an_unpacked_trust_root_inside_somebodys_repository_is_looked_at_by_itself() {
    let mut stage = Stage::clean();
    stage.finish();
    let inner = stage.path().join("unpacked");
    fs::create_dir_all(inner.join("root")).unwrap();
    fs::write(inner.join("root/1.root.json"), root(1, "")).unwrap();
    let (_, text) = said(&inner, &[]);
    assert!(text.contains("without git") && !text.contains("the history of the repository"), "{text}");
    // Any other folder of it means the repository.
    fs::create_dir_all(stage.path().join("repository/repository")).unwrap();
    let (_, text) = said(&stage.path().join(SET), &[]);
    assert!(text.contains("the history of the repository"), "{text}");
}

#[test]
fn what_lay_behind_is_told_from_what_lies_elsewhere() {
    let mut stage = Stage::new();
    stage.write("root/timestamp.json", b"1");
    stage.commit(1);
    stage.branch("ahead");
    stage.write("root/timestamp.json", b"3");
    stage.commit(3);
    stage.branch("main");
    stage.write("root/timestamp.json", b"2");
    stage.commit(2);
    stage.finish();
    let past = trustroot::ledger::Reading::open(stage.path()).unwrap().history("root").unwrap();
    let mut behind: Vec<(&[u8], bool)> = past.iter().map(|past| (past.bytes.as_slice(), past.behind)).collect();
    behind.sort_unstable();
    assert_eq!(behind, [(b"1".as_slice(), true), (b"2", true), (b"3", false)]);
}
