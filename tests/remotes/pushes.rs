//! What a far end may answer to a push, each told apart: over paths, over ssh as the person's own configuration has it, and over
//! https with git's own server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use trustroot::seams::{Caught, PushOutcome, RemoteError};
use trustroot_core::time::Timestamp;

use crate::clones::{Community, Desk, commit_file, git, handle};

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A holder with something to push, whose clone's settings `change` changes.
fn with_something_to_push(change: impl FnOnce(&Community, &Path)) -> (Community, Desk) {
    let community = Community::new(1, 1);
    community.bare("hub");
    drop(community.conductor(&["hub"]));
    let mut alice = community.holder("alice", "hub");
    alice.enrol();
    change(&community, &community.path("alice"));
    (community, alice)
}

/// The one error of a push.
fn failed(desk: &mut Desk) -> RemoteError {
    let mut outcomes = desk.try_push();
    assert_eq!(outcomes.len(), 1);
    assert!(desk.remote().unpushed().unwrap(), "what was not pushed is known for that");
    let error = outcomes.remove(0).unwrap_err();
    assert!(!error.hint().is_empty());
    error
}

#[test]
fn done_and_up_to_date() {
    let (_community, mut alice) = with_something_to_push(|_, _| {});
    assert!(alice.remote().unpushed().unwrap());
    assert_eq!(alice.try_push().remove(0).unwrap(), PushOutcome::Done);
    assert!(!alice.remote().unpushed().unwrap());
    assert_eq!(alice.try_push().remove(0).unwrap(), PushOutcome::UpToDate);
}

#[test]
fn a_branch_whose_commit_is_gone_is_damage_and_not_a_branch_that_is_not_there() {
    let (community, mut alice) = with_something_to_push(|_, _| {});
    alice.try_push().remove(0).unwrap();
    let clone = community.path("alice");
    let known = git(&clone, &["for-each-ref", "--format=%(refname)", "refs/trustroot"]);
    let own = known.lines().find(|name| name.ends_with("/alice")).unwrap();
    let gone = "0123456789abcdef0123456789abcdef01234567";
    fs::write(clone.join(".git").join(own), format!("{gone}\n")).unwrap();
    let refused = alice.remote().unpushed().unwrap_err().to_string();
    assert!(refused.contains(&format!("the object {gone} is missing")), "{refused}");
    // The far end has the branch whole, and a push finds that out.
    assert_eq!(alice.try_push().remove(0).unwrap(), PushOutcome::UpToDate);
    assert!(!alice.remote().unpushed().unwrap());
}

#[test]
fn a_hook_declines() {
    let (_community, mut alice) = with_something_to_push(|community, _| {
        script(&community.path("hub/hooks/pre-receive"), "printf 'our policy says \\033[31mno\\n' >&2; exit 1");
    });
    let error = failed(&mut alice);
    assert!(matches!(&error, RemoteError::Declined { said, .. } if said.contains("our policy says")), "{error}");
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

#[test]
fn a_protected_branch() {
    let (_community, mut alice) = with_something_to_push(|community, _| {
        let words = "echo 'GH006: Protected branch update failed for refs/heads/x.' >&2; exit 1";
        script(&community.path("hub/hooks/update"), words);
    });
    let error = failed(&mut alice);
    assert!(matches!(&error, RemoteError::Protected { branch, .. } if branch.ends_with("/alice")), "{error}");
    assert!(error.hint().contains("--bundle-out"));
}

#[cfg(target_os = "linux")]
#[test]
fn permission_denied_at_the_far_end() {
    let (community, mut alice) = with_something_to_push(|community, clone| {
        let hub = community.path("hub");
        // As nobody, whose repository it is not; for people who are not root the folder is made read-only besides.
        script(
            &community.path("receive"),
            "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'\n\
             if [ \"$(id -u)\" = 0 ]; then exec setpriv --reuid 65534 --regid 65534 --clear-groups git-receive-pack \"$1\"; fi\n\
             exec git-receive-pack \"$1\"",
        );
        for folder in [hub.join("objects"), hub.clone()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
        }
        fs::set_permissions(community.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        git(clone, &["config", "remote.origin.receivepack", community.path("receive").to_str().unwrap()]);
    });
    let error = failed(&mut alice);
    assert!(matches!(error, RemoteError::Denied { .. }), "{error}");
    fs::set_permissions(community.path("hub"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(community.path("hub/objects"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_at_the_far_end() {
    let (_community, mut alice) = with_something_to_push(|community, clone| {
        script(
            &community.path("receive"),
            "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'\n\
             exec unshare --mount --map-root-user sh -c 'mkdir \"$1.small\" && mount -t tmpfs -o size=160k none \"$1.small\" \
             && cp -a \"$1/HEAD\" \"$1/config\" \"$1.small/\" && mkdir -p \"$1.small/objects\" \"$1.small/refs\" \
             && echo \"$1/objects\" >\"$1.small/alternates\" && mkdir -p \"$1.small/objects/info\" \
             && mv \"$1.small/alternates\" \"$1.small/objects/info/\" \
             && dd if=/dev/zero of=\"$1.small/fill\" bs=4096 2>/dev/null; exec git-receive-pack \"$1.small\"' sh \"$1\"",
        );
        git(clone, &["config", "remote.origin.receivepack", community.path("receive").to_str().unwrap()]);
    });
    let error = failed(&mut alice);
    assert!(matches!(error, RemoteError::FarDisk { .. }), "{error}");
}

#[test]
fn ways_that_lead_nowhere() {
    let to = |url: &'static str| {
        let (_community, mut alice) = with_something_to_push(|_, clone| {
            git(clone, &["config", "remote.origin.url", url]);
        });
        failed(&mut alice)
    };
    for (url, fits) in [
        ("https://127.0.0.1:1/x.git", (|error| matches!(error, RemoteError::Unreachable { .. })) as fn(&_) -> bool),
        ("ssh://127.0.0.1:1/x.git", |error| matches!(error, RemoteError::Unreachable { .. } | RemoteError::Git { .. })),
        ("/no/such/repository", |error| matches!(error, RemoteError::NoRepository { .. })),
        ("ext::sh -c touch% /tmp/trustroot-no", |error| matches!(error, RemoteError::Address { .. })),
        ("http://127.0.0.1:1/x.git", |error| matches!(error, RemoteError::Address { .. })),
        ("git://127.0.0.1:1/x.git", |error| matches!(error, RemoteError::Address { .. })),
        ("-uecho", |error| matches!(error, RemoteError::Address { .. })),
    ] {
        let error = to(url);
        assert!(fits(&error), "{url}: {error}");
    }
    assert!(!Path::new("/tmp/trustroot-no").exists());
}

/// As the person's own `core.sshCommand`: ssh itself would do what the last line does, on another machine.
fn by_ssh(community: &Community, clone: &Path, text: &str) {
    let ssh = community.path("ssh");
    script(&ssh, text);
    git(clone, &["config", "core.sshCommand", ssh.to_str().unwrap()]);
    let url = format!("git@far.example:{}", community.path("hub").display());
    git(clone, &["remote", "set-url", "origin", &url]);
}

#[test]
fn over_ssh_as_the_persons_settings_have_it() {
    let (_community, mut alice) = with_something_to_push(|community, clone| {
        by_ssh(community, clone, "while [ \"$1\" != git@far.example ]; do shift; done; shift; exec sh -c \"$*\"");
    });
    assert_eq!(alice.try_push().remove(0).unwrap(), PushOutcome::Done);
    assert!(alice.look().failed.is_empty());

    for (said, fits) in [
        (
            "git@far.example: Permission denied (publickey).",
            (|error| matches!(error, RemoteError::Authentication { .. })) as fn(&_) -> bool,
        ),
        ("Host key verification failed.", |error| matches!(error, RemoteError::HostKey { .. })),
        ("ssh: connect to host far.example port 22: Connection refused", |error| {
            matches!(error, RemoteError::Unreachable { .. })
        }),
        ("ERROR: Repository not found.", |error| matches!(error, RemoteError::NoRepository { .. })),
        ("ERROR: Permission to x/y.git denied to alice.", |error| matches!(error, RemoteError::Denied { .. })),
    ] {
        let (_community, mut alice) = with_something_to_push(|community, clone| {
            by_ssh(community, clone, &format!("echo '{said}' >&2; exit 255"));
        });
        let error = failed(&mut alice);
        assert!(fits(&error), "{said}: {error}");
    }
}

#[test]
fn somebody_else_pushed() {
    let community = Community::new(1, 1);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    let time = Timestamp::from_day("2026-01-06").unwrap();
    // An ordinary clone of somebody who edits a page, and a plan, and what is no part of the trust root.
    let other = community.path("other");
    git(community.folder.path(), &["clone", "-q", "hub", other.to_str().unwrap()]);
    commit_file(&other, "docs/page.md", b"hello");
    commit_file(&other, "ceremony/plans/next.toml", b"# soon");
    git(&other, &["push", "-q", "origin", "main"]);
    olga.propose_nothing();
    let error = failed(&mut olga);
    assert!(matches!(&error, RemoteError::Moved { branch, .. } if branch == "main"), "{error}");
    assert!(error.hint().contains("--force"));
    olga.look();
    assert!(matches!(olga.remote().catch_up(time).unwrap(), Caught::Forward(_)));
    assert_eq!(fs::read(community.path("conductor/docs/page.md")).unwrap(), b"hello");
    assert_eq!(fs::read(community.path("conductor/ceremony/plans/next.toml")).unwrap(), b"# soon");
    assert_eq!(git(&community.path("conductor"), &["status", "--porcelain"]), "");
    olga.push();
    assert!(matches!(olga.remote().catch_up(time).unwrap(), Caught::Nothing));
    assert!(crate::merge_findings(&olga).is_empty());

    // What cannot be merged is not.
    git(&other, &["pull", "-q"]);
    commit_file(&other, &format!("{}/plan.json", community.dir), b"{}");
    git(&other, &["push", "-q", "origin", "main"]);
    olga.look();
    let before = olga.head().commit;
    let refused = olga.remote().catch_up(time);
    // A fast-forward would be possible, and what it brings is no record.
    match refused {
        Err(error) => assert!(error.to_string().contains("plan.json"), "{error}"),
        Ok(caught) => panic!("{caught:?}"),
    }
    assert_eq!(olga.head().commit, before);
}

#[test]
fn two_clones_of_one_holder() {
    let (community, mut here) = with_something_to_push(|_, _| {});
    let tip = git(&community.path("alice"), &["rev-parse", "HEAD"]);
    here.push();
    git(community.folder.path(), &["clone", "-q", "hub", "work"]);
    let mut there = community.desk("work", &handle("alice"));
    there.sit();
    assert_eq!(there.head().commit.as_deref(), Some(tip.trim()), "it goes on where it was left");
    // The answer to a push was lost: the far end has it, and this clone does not know.
    let known = format!("refs/trustroot/remotes/origin/heads/trustroot/2026-01-05-genesis/{}", "alice");
    git(&community.path("alice"), &["update-ref", "-d", &known]);
    assert!(here.remote().unpushed().unwrap());
    assert_eq!(here.try_push().remove(0).unwrap(), PushOutcome::UpToDate);
    assert!(!here.remote().unpushed().unwrap());

    // Both go on from there: one has to give way, and is told so.
    there.note("at work");
    there.push();
    here.note("at home");
    let error = failed(&mut here);
    assert!(matches!(error, RemoteError::Moved { .. }), "{error}");
    let before = here.head();
    let (dir, time) = (community.dir.clone(), Timestamp::from_day("2026-01-06").unwrap());
    let refused = here.remote().seat(&dir, &handle("alice"), time).unwrap_err();
    assert!(refused.to_string().contains("LOG-FORK"), "{refused}");
    assert_eq!(here.head(), before);
}

// ------------------------------------------------------------------------------------------------------------- https

/// git's own server behind TLS, on 127.0.0.1, for a minute at most.
struct Server {
    child: std::process::Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already, if it fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(community: &Community) -> Self {
        let folder = community.folder.path().to_owned();
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-keyout", "tls.key", "-out", "tls.pem"])
            .current_dir(&folder)
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/https_git.py");
        let child = std::process::Command::new("python3")
            .arg(program)
            .arg(&folder)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let said = folder.join("port");
        let begun = std::time::Instant::now();
        let port = loop {
            if let Ok(port) = fs::read_to_string(&said).unwrap_or_default().trim().parse() {
                break port;
            }
            assert!(begun.elapsed().as_secs() < 60, "the server does not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        Self { child, port, folder }
    }

    fn url(&self, user: &str, path: &str) -> String {
        format!("https://{user}127.0.0.1:{}/{path}", self.port)
    }

    fn answers(&self, how: &str) {
        fs::write(self.folder.join("answer"), how).unwrap();
    }
}

#[test]
fn over_https() {
    let (community, mut alice) = with_something_to_push(|_, _| {});
    git(&community.path("hub"), &["config", "http.receivepack", "true"]);
    let server = Server::start(&community);
    let clone = community.path("alice");
    let to = |url: &str| drop(git(&clone, &["remote", "set-url", "origin", url]));
    to(&server.url("", "hub"));
    // A certificate that nobody vouches for.
    let error = failed(&mut alice);
    assert!(matches!(error, RemoteError::HostKey { .. }), "{error}");
    git(&clone, &["config", "http.sslCAInfo", community.path("tls.pem").to_str().unwrap()]);
    to(&server.url("", "nothing"));
    let error = failed(&mut alice);
    assert!(matches!(error, RemoteError::NoRepository { .. }), "{error}");
    // Whatever the address holds, nothing of it is told.
    for (answer, fits) in [
        ("401", (|error| matches!(error, RemoteError::Authentication { .. })) as fn(&_) -> bool),
        ("403", |error| matches!(error, RemoteError::Denied { .. })),
        ("404", |error| matches!(error, RemoteError::NoRepository { .. })),
    ] {
        server.answers(answer);
        to(&server.url("bob:hunter2@", "hub"));
        let error = failed(&mut alice);
        assert!(fits(&error), "{answer}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        let look = alice.look();
        assert_eq!(look.failed.len(), 1);
        assert!(!format!("{look:?} {:?}", alice.remote().sources()).contains("hunter2"));
    }
    server.answers("");
    assert_eq!(alice.try_push().remove(0).unwrap(), PushOutcome::Done);
    assert!(alice.look().failed.is_empty());
    let all = git(&clone, &["log", "--all", "--format=%B%an%cn", "-p"]);
    assert!(!all.contains("hunter2"));
}
