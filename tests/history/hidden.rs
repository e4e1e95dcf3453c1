//! A second root of one version, where a maintainer who wants it unseen could keep it: each is found, and named exactly.

use super::stage::{SET, Stage, root};
use super::{found, judged, one, past, program, report};
use git2::{ObjectType, Repository};
use std::fs;
use trustroot::ledger::Reading;
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::verify::history::HistoryReport;

fn rival() -> Vec<u8> {
    root(2, "another")
}

/// That the rival is found, and where: what holds it, that one's id, and the path.
fn found_at(report: &HistoryReport, holder: &str, id: &str, path: &str) {
    assert_eq!(found(report), one(Level::Refused, Check::RootRival, "root 2"));
    let seen = &report.findings[0].seen[0];
    let place = (seen.holder.name(), seen.commit.as_str(), seen.path.as_str(), seen.digest);
    assert_eq!(place, (holder, id, path, Some(Digest::of(&rival()))));
}

#[test]
fn under_a_name_that_does_not_say_so() {
    for path in [
        "README",
        "notes/2026/minutes.txt",
        "old.json",
        "ROOT.JSON",
        &format!("{SET}/2.root.json.orig"),
        &format!("{SET}/2.snapshot.json"),
        &format!("{SET}/film.pem"),
        "metadata/root_history/2/x",
        "repository/metadata/root_history/more/2.root.json",
    ] {
        let mut stage = Stage::clean();
        stage.branch("hidden");
        if path.contains("root_history/more") {
            // Beside metadata such a folder belongs to it, and the one in it is a folder like others.
            stage.write("repository/metadata/root.json", &root(2, ""));
        }
        stage.write(path, &rival());
        let commit = stage.commit(11);
        // Taken away at once.
        stage.remove(path);
        stage.commit(12);
        found_at(&report(&mut stage, 15), "commit", &commit, path);
    }
}

#[test]
fn with_its_words_written_as_escapes() {
    let mut stage = Stage::clean();
    let text = String::from_utf8(rival()).unwrap().replace("\"root\"", "\"\\u0072oot\"");
    stage.write("x", format!("\n {text}").as_bytes());
    let commit = stage.commit(11);
    let report = report(&mut stage, 15);
    assert_eq!(found(&report), one(Level::Refused, Check::RootRival, "root 2"));
    assert_eq!((report.findings[0].seen[0].commit.as_str(), report.findings[0].seen[0].path.as_str()), (&*commit, "x"));
}

#[test]
fn as_what_a_link_points_to() {
    let mut stage = Stage::clean();
    stage.link("elsewhere/2.root.json", &String::from_utf8(rival()).unwrap());
    let commit = stage.commit(11);
    found_at(&report(&mut stage, 15), "commit", &commit, "elsewhere/2.root.json");
}

#[test]
fn in_a_note_and_in_a_stash() {
    let mut stage = Stage::clean();
    stage.finish();
    let file = stage.path().join("2.root.json");
    fs::write(&file, rival()).unwrap();
    let blob = stage.git(&["hash-object", "-w", "2.root.json"]);
    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    stage.git(&[&who[..], &["notes", "add", "-C", &blob, "HEAD"]].concat());
    let commit = stage.git(&["rev-parse", "refs/notes/commits"]);
    let path = stage.git(&["rev-parse", "HEAD"]);
    let past = Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
    found_at(&judged(&past, 15), "commit", &commit, &path);

    let mut stage = Stage::clean();
    stage.finish();
    stage.git(&["reset", "-q", "--hard"]);
    fs::write(stage.path().join("2.root.json"), rival()).unwrap();
    stage.git(&[&who[..], &["stash", "push", "-q", "--include-untracked"]].concat());
    let commit = stage.git(&["rev-parse", "refs/stash^3"]);
    // One that was put away after it, and then it was dropped: only the log of the stash knows the first.
    fs::write(stage.path().join("more.txt"), "text").unwrap();
    stage.git(&[&who[..], &["stash", "push", "-q", "--include-untracked"]].concat());
    let past = Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
    found_at(&judged(&past, 15), "commit", &commit, "2.root.json");
}

/// What the owner of a clone tried and took back is nobody's rewrite; a root that a quorum signed stays one.
#[test]
fn in_what_only_the_log_of_a_branch_of_ones_own_remembers() {
    for rivals in [false, true] {
        let mut stage = Stage::clean();
        let second = stage.tip();
        stage.set(3, 30);
        if rivals {
            stage.write(&format!("{SET}/2.root.json"), &rival());
        }
        stage.branch("tried");
        let tried = stage.commit(11);
        stage.branch("main");
        stage.reset(&second);
        stage.set(3, 60);
        stage.commit(12);
        stage.set(4, 60);
        stage.commit(13);
        stage.finish();
        stage.git(&["branch", "-q", "--create-reflog", "again", &tried]);
        stage.git(&["branch", "-q", "--force", "again", "main"]);
        stage.git(&["branch", "-q", "-D", "tried"]);
        let past = Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
        let report = judged(&past, 15);
        assert_eq!(report.facts.commits, (4, 4));
        if rivals {
            found_at(&report, "commit", &tried, &format!("{SET}/2.root.json"));
        } else {
            assert_eq!(found(&report), []);
        }
    }
}

#[test]
fn in_a_tag_of_a_file_and_in_a_tag_of_a_tree() {
    for (annotated, packed) in [(false, false), (true, false), (true, true)] {
        let mut stage = Stage::clean();
        stage.finish();
        let repository = Repository::open(stage.path()).unwrap();
        let file = repository.blob(&rival()).unwrap();
        let mut builder = repository.treebuilder(None).unwrap();
        builder.insert("2.root.json", file, 0o100_644).unwrap();
        let inner = builder.write().unwrap();
        let mut builder = repository.treebuilder(None).unwrap();
        builder.insert("metadata", inner, 0o040_000).unwrap();
        let tree = builder.write().unwrap();
        let tag = |id: &str| {
            let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "tag"];
            let how: &[&str] = if annotated { &["-a", "-m", "tag"] } else { &[] };
            stage.git(&[&who[..], how, &["--force", "hidden", id]].concat());
            if packed {
                stage.git(&["pack-refs", "--all"]);
            }
            past(stage.path(), 15)
        };
        let (file, tree) = (file.to_string(), tree.to_string());
        found_at(&judged(&tag(&file), 15), "blob", &file, "refs/tags/hidden");
        let report = judged(&tag(&tree), 15);
        found_at(&report, "tree", &tree, "refs/tags/hidden:metadata/2.root.json");
        // The path is one that git shows.
        assert_eq!(stage.git(&["show", "refs/tags/hidden:metadata/2.root.json"]).as_bytes(), rival().trim_ascii_end());
        let (_, text, _) = program(stage.path(), 15, &[]);
        assert!(text.contains(&format!("no commit, but the tree {tree}  refs/tags/hidden:metadata/")), "{text}");
        let (_, json, _) = program(stage.path(), 15, &["--json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["findings"][0]["seen"][0]["tree"], tree.as_str());
    }
}

/// `packed-refs` may say what a tag leads to, so that it need not be opened; it comes with a prepared clone.
#[test]
fn behind_a_reference_that_is_said_to_lead_elsewhere() {
    for name in ["refs/heads/hidden", "refs/heads/main"] {
        let mut stage = Stage::clean();
        let clean = stage.tip();
        stage.branch("hidden");
        stage.write(&format!("{SET}/2.root.json"), &rival());
        let commit = stage.commit(11);
        stage.finish();
        let git = stage.path().join(".git");
        fs::remove_file(git.join("refs/heads/hidden")).unwrap();
        fs::remove_file(git.join("refs/heads/main")).unwrap();
        let packed = if name.ends_with("main") {
            format!("{commit} refs/heads/main\n^{clean}\n")
        } else {
            format!("{commit} {name}\n^{clean}\n{clean} refs/heads/main\n")
        };
        let head = "# pack-refs with: peeled fully-peeled sorted \n";
        fs::write(git.join("packed-refs"), format!("{head}{packed}")).unwrap();
        let report = judged(&past(stage.path(), 15), 15);
        assert!(super::names(&report, Check::RootRival, &commit));
        // What git shows is what is verified.
        assert_eq!(report.facts.head, stage.git(&["rev-parse", "HEAD"]));
    }
}

#[test]
fn behind_a_reference_whose_object_is_missing() {
    let mut stage = Stage::clean();
    stage.branch("other");
    stage.write("README.md", b"text");
    let commit = stage.commit(11);
    stage.finish();
    fs::remove_file(stage.path().join(".git/objects").join(&commit[..2]).join(&commit[2..])).unwrap();
    let (code, _, error) = program(stage.path(), 15, &[]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains(&format!("the object {commit} is missing")) && error.contains("hint: "), "{error}");
}

#[test]
fn in_a_commit_whose_head_is_odd() {
    for committer in [
        "committer A <a@b> 99999999999999999999999999 +0000",
        "committer A <a@b> -5 +0000",
        "committer A <a@b>",
        "committer A <a@b> soon +0000",
        "committers A",
    ] {
        let mut stage = Stage::clean();
        stage.finish();
        let repository = Repository::open(stage.path()).unwrap();
        let base = repository.head().unwrap().target().unwrap();
        let file = repository.blob(&rival()).unwrap();
        let mut builder = repository.treebuilder(None).unwrap();
        builder.insert("x", file, 0o100_644).unwrap();
        let tree = builder.write().unwrap();
        let text = format!("tree {tree}\nparent {base}\nauthor A <a@b> 1 +0000\n{committer}\n\nchange\n");
        let commit = repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap().to_string();
        fs::write(stage.path().join(".git/refs/heads/odd"), format!("{commit}\n")).unwrap();
        let past = Reading::open(stage.path()).unwrap().whole_history(None, |_, _| ()).unwrap();
        found_at(&judged(&past, 15), "commit", &commit, "x");
    }
}

/// Opening a pipe waits for whoever writes into it.
#[test]
#[cfg(unix)]
fn a_pipe_where_git_has_a_file_is_refused_and_not_opened() {
    for name in ["packed-refs", "shallow", "config", "HEAD", "info/grafts", "objects/info/alternates", "refs/heads/x"] {
        let stage = Stage::clean();
        let path = stage.path().join(".git").join(name);
        let _ = fs::remove_file(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (tell, told) = std::sync::mpsc::channel();
        let top = stage.path().to_owned();
        std::thread::spawn(move || tell.send(Reading::open(&top).map(|_| ()).map_err(|error| error.to_string())));
        let said = told.recv_timeout(std::time::Duration::from_secs(20)).expect("it does not wait").unwrap_err();
        assert!(said.contains(name) && said.contains("a pipe or a device"), "{said}");
    }
}
