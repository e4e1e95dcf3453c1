//! How the person's git is called: what reaches it of the surroundings, and what never does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use trustroot::ledger::clone;
use trustroot::seams::RemoteError;

use crate::clones::{Community, room};

/// Says to this program, started once more, that it is the one to look at.
const INSIDE: &str = "TRUSTROOT_TEST_INSIDE";

/// In a process of its own, because surroundings belong to a process: `git` is a program that notes how it was called.
#[test]
fn nothing_of_the_callers_git_reaches_git() {
    if let Some(folder) = std::env::var_os(INSIDE) {
        let community = Community { folder: tempfile::tempdir_in(&folder).unwrap(), ..Community::new(1, 1) };
        community.bare("hub");
        let mut olga = community.conductor(&["hub"]);
        olga.look();
        return;
    }
    let folder = room();
    let real = String::from_utf8(Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout).unwrap();
    let noted = folder.path().join("noted");
    fs::create_dir(folder.path().join("bin")).unwrap();
    let fake = folder.path().join("bin/git");
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in *' push '* | *' fetch '*) {{ echo \"CALL $*\"; env; }} >>'{}';; esac\nexec '{}' \"$@\"\n",
        noted.display(),
        real.trim()
    );
    fs::write(&fake, text).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program::nothing_of_the_callers_git_reaches_git"])
        .env(INSIDE, folder.path())
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("SSH_AUTH_SOCK", "/run/agent")
        .env("https_proxy", "http://proxy.example:3128")
        .env("GIT_SSH_COMMAND", "touch /tmp/trustroot-no")
        .env("GIT_TRACE", "1")
        .env("GIT_EXEC_PATH_X", "/nowhere")
        .env("GIT_ALLOW_PROTOCOL", "ext")
        .env("GIT_CONFIG_PARAMETERS", "'core.hookspath=/tmp'")
        .env("TRUSTROOT_SECRET", "hunter2")
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    let noted = fs::read_to_string(noted).unwrap();
    assert!(noted.lines().filter(|line| line.starts_with("CALL ")).count() >= 2, "{noted}");
    for line in noted.lines().filter(|line| line.starts_with("GIT_")) {
        let ours = ["GIT_ALLOW_PROTOCOL=file:https:ssh", "GIT_NO_REPLACE_OBJECTS=1", "GIT_TERMINAL_PROMPT=0"];
        assert!(ours.contains(&line), "{line}");
    }
    for line in ["SSH_AUTH_SOCK=/run/agent", "https_proxy=http://proxy.example:3128", "LC_ALL=C"] {
        assert!(noted.lines().any(|noted| noted == line), "{line}");
    }
    assert!(!noted.contains("hunter2") && !noted.contains("trustroot-no"));
    let calls: Vec<&str> = noted.lines().filter(|line| line.starts_with("CALL ")).collect();
    assert!(calls.iter().all(|call| call.contains(" -- hub ") && !call.contains("--force") && !call.contains('+')));
}

#[test]
fn addresses_that_are_not_cloned() {
    let folder = room();
    let into = folder.path().join("clone");
    for from in [
        "ext::sh -c touch% /tmp/trustroot-no",
        "--upload-pack=touch /tmp/trustroot-no",
        "-u",
        "http://127.0.0.1:1/x",
        "git://127.0.0.1:1/x",
        "fd::3",
        "ssh://-oProxyCommand=touch/x",
        "https://bob:hunter2@127.0.0.1:1/x",
        "https://ghp_hunter2@127.0.0.1:1/x",
        "ftp://bob:hunter2@127.0.0.1/x",
    ] {
        let error = clone(folder.path(), from, &into).unwrap_err();
        assert!(matches!(error, RemoteError::Address { .. }), "{from}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let error = clone(folder.path(), "nothing/there", &into).unwrap_err();
    assert!(matches!(error, RemoteError::NoRepository { .. }), "{error}");
    let error = clone(folder.path(), "https://127.0.0.1:1/x", &into).unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
    fs::create_dir(&into).unwrap();
    let error = clone(folder.path(), "https://127.0.0.1:1/x", &into).unwrap_err();
    assert!(matches!(error, RemoteError::Occupied(_)), "{error}");
    assert!(!std::path::Path::new("/tmp/trustroot-no").exists());
}
