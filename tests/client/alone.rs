//! The client as a program of its own.

use std::path::Path;
use std::process::Command;

use super::{run, succeeds};

/// What one of the two programs says and does in the folder `here`, without its own name.
fn done(alone: bool, here: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let output = if alone {
        Command::new(env!("CARGO_BIN_EXE_trustroot-client")).current_dir(here).args(words).output().unwrap()
    } else {
        run(here, &[&["client"], words].concat())
    };
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(here.to_str().unwrap(), "HERE").replace("trustroot-client", "trustroot client")
    };
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_says_and_does_what_the_verb_does() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["rehearse", "--auto", "--dir", "made"]);
    let [verb, alone] = ["verb", "alone"].map(|name| folder.path().join(name));
    std::fs::create_dir_all(verb.join("targets")).unwrap();
    std::fs::create_dir_all(alone.join("targets")).unwrap();
    let dir = ["--metadata-dir", "metadata"];
    let url = ["--metadata-url", "../made/root"];
    let into = ["--target-base-url", "../made/root/targets", "--target-dir", "targets", "--target-name", "none"];
    for (words, code) in [
        (["init", "../made/root/1.root.json"].as_slice(), 1),
        (&[&dir[..], &["init", "none.json"]].concat(), 1),
        (&[&dir[..], &url, &["refresh"]].concat(), 1),
        (&[&dir[..], &["init", "../made/root/1.root.json"]].concat(), 0),
        (&[&dir[..], &["--offline", "refresh"]].concat(), 1),
        (&[&dir[..], &["refresh"]].concat(), 1),
        (&[&dir[..], &url, &["refresh"]].concat(), 0),
        (&[&dir[..], &["--offline", "refresh"]].concat(), 0),
        (&[&dir[..], &url, &into, &["download"]].concat(), 1),
        (&[&dir[..], &["refresh", "--no-such-option"]].concat(), 1),
        (&["--help"], 0),
        (&[], 1),
    ] {
        let (of_verb, of_alone) = (done(false, &verb, words), done(true, &alone, words));
        assert_eq!(of_verb.0, Some(code), "{words:?}: {}{}", of_verb.1, of_verb.2);
        if words.is_empty() || words == ["--help"] {
            // What it is for is told at more length where nothing else was said before.
            assert_eq!(of_alone.0, of_verb.0);
            assert!((of_alone.1 + &of_alone.2).contains("--metadata-dir"));
        } else {
            assert_eq!(of_alone, of_verb, "{words:?}");
        }
    }
    for name in ["root.json", "timestamp.json", "snapshot.json", "targets.json"] {
        let [a, b] = [&verb, &alone].map(|here| std::fs::read(here.join("metadata").join(name)).unwrap());
        assert_eq!(a, b, "{name}");
    }
    let version = Command::new(env!("CARGO_BIN_EXE_trustroot-client")).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("trustroot-client {}\n", env!("CARGO_PKG_VERSION")));
}
