//! Bundles on a stick, both ways, and sticks that want something.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use trustroot::ledger::{GitLedger, Identity, Reading, clone};
use trustroot::seams::{LedgerError, RemoteError};

use crate::clones::{Community, Desk, git, handle, try_git};

fn open(community: &Community, name: &str, who: &str) -> Desk {
    community.desk(name, &handle(who))
}

/// A conductor without any remote, and a bundle of it.
fn on_a_stick() -> (Community, Desk, PathBuf) {
    let community = Community::new(2, 2);
    let mut olga = community.conductor(&[]);
    let stick = community.path("for-holders.bundle");
    olga.bundle(&stick).unwrap();
    (community, olga, stick)
}

#[test]
fn a_holder_without_a_network_and_back() {
    let (community, olga, stick) = on_a_stick();
    clone(community.folder.path(), "for-holders.bundle", &community.path("alice")).unwrap();
    assert_eq!(git(&community.path("alice"), &["remote"]), "", "a stick is no remote");
    let mut alice = open(&community, "alice", "alice").given(std::slice::from_ref(&stick));
    alice.sit();
    alice.enrol();
    let first = community.path("first.bundle");
    alice.remote().write_bundle(&first).unwrap();
    assert!(matches!(alice.remote().write_bundle(&first), Err(RemoteError::Occupied(_))));

    let mut olga = olga.given(std::slice::from_ref(&first));
    assert_eq!(olga.take(), Vec::<String>::new());
    assert!(olga.ceremony().holders[&handle("alice")].key.is_some());
    // Given again, and given again after others came: nothing happens.
    let head = olga.head().commit;
    assert_eq!(olga.take(), Vec::<String>::new());
    assert_eq!(olga.head().commit, head);

    clone(community.folder.path(), stick.to_str().unwrap(), &community.path("bob")).unwrap();
    let mut bob = open(&community, "bob", "bob").given(std::slice::from_ref(&stick));
    bob.sit();
    bob.enrol();
    let second = community.path("second.bundle");
    bob.remote().write_bundle(&second).unwrap();
    let mut olga = olga.given(&[second, first.clone()]);
    assert_eq!(olga.take(), Vec::<String>::new());
    olga.propose(1);
    fs::remove_file(&stick).unwrap();
    olga.remote().write_bundle(&stick).unwrap();

    alice.sit();
    alice.sign(1);
    let third = community.path("third.bundle");
    alice.remote().write_bundle(&third).unwrap();
    // Under the name of the first, and then the first again: what is newer stays.
    fs::copy(&third, &first).unwrap();
    assert_eq!(olga.take(), Vec::<String>::new());
    assert!(olga.ceremony().holders[&handle("alice")].signed);
    assert_eq!(git(&community.path("conductor"), &["status", "--porcelain"]), "");
    git(&community.path("conductor"), &["fsck", "--strict"]);
}

#[test]
fn what_a_stick_may_hold_instead_of_a_bundle() {
    let (community, olga, stick) = on_a_stick();
    let bytes = fs::read(&stick).unwrap();
    let at = |name: &str| community.path(name);
    let write = |name: &str, bytes: &[u8]| {
        fs::write(at(name), bytes).unwrap();
        at(name)
    };
    let head_ends = bytes.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
    let (head, pack) = bytes.split_at(head_ends);
    let head_text = std::str::from_utf8(head).unwrap();
    let mut flipped = bytes.clone();
    let last = flipped.len() - 30;
    flipped[last] ^= 1;
    let many = [head, b"PACK\0\0\0\x02\xff\xff\xff\xff", &pack[12..]].concat();
    fs::create_dir(at("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let cases = [
        (write("garbage", b"hello\n"), "no bundle", "begin like"),
        (write("empty", b""), "no bundle", "its head has no end"),
        (write("cut", &bytes[..bytes.len() / 2]), "damaged", ""),
        (write("flipped", &flipped), "damaged", ""),
        (write("many", &many), "no bundle", "2,000,000"),
        (write("longer", &[bytes.as_slice(), b"more"].concat()), "damaged", ""),
        (write("elsewhere", head_text.replace("refs/heads/main", "refs/trustroot/x").as_bytes()), "no bundle", "name"),
        (write("up", head_text.replace("refs/heads/main", "refs/heads/../x").as_bytes()), "no bundle", "name"),
        (at("folder"), "no bundle", "no file"),
        (at("pipe"), "no bundle", "no file"),
        (PathBuf::from("/dev/zero"), "no bundle", "no file"),
        (at("nothing"), "no bundle", "No such file"),
        (community.path("conductor"), "no bundle", "of a stick only bundles are read"),
    ];
    let mut olga = olga;
    for (file, what, why) in cases {
        olga = olga.given(std::slice::from_ref(&file));
        let look = olga.look();
        let [(source, error)] = look.failed.as_slice() else { panic!("{}: {:?}", file.display(), look.failed) };
        assert!(source.contains(file.to_str().unwrap()), "{source}");
        assert!(error.to_string().contains(what) && error.to_string().contains(why), "{}: {error}", file.display());
        assert!(!error.hint().is_empty());
    }
    assert_eq!(git(&community.path("conductor"), &["for-each-ref", "refs/trustroot"]), "");
}

#[test]
fn a_bundle_that_goes_on_from_what_is_not_here() {
    let (community, _olga, stick) = on_a_stick();
    let part = community.path("part.bundle");
    git(&community.path("conductor"), &["bundle", "create", "-q", part.to_str().unwrap(), "main~1..main"]);
    let into = community.path("fresh");
    let error = clone(community.folder.path(), part.to_str().unwrap(), &into).unwrap_err();
    assert!(matches!(&error, RemoteError::BundleGap { missing, .. } if missing.len() == 40), "{error}");
    assert!(error.hint().contains("whole bundle") && !into.exists());
    // With what it goes on from it is read.
    clone(community.folder.path(), stick.to_str().unwrap(), &into).unwrap();
    git(&into, &["reset", "-q", "--hard", "HEAD~1"]);
    let mut desk = open(&community, "fresh", "alice").given(&[part]);
    assert!(desk.look().failed.is_empty());
}

/// A pack made by hand of these objects, under a head that promises `commit`.
fn crafted(community: &Community, commit: &str, objects: &str) -> PathBuf {
    let mut child = Command::new("git")
        .args(["-C", community.path("conductor").to_str().unwrap(), "pack-objects", "-q", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), objects.as_bytes()).unwrap();
    let pack = child.wait_with_output().unwrap().stdout;
    let file = community.path("crafted.bundle");
    fs::write(&file, [format!("# v2 git bundle\n{commit} refs/heads/main\n\n").as_bytes(), &pack].concat()).unwrap();
    file
}

#[test]
fn a_pack_that_is_not_whole_and_one_with_what_git_refuses() {
    let (community, olga, _) = on_a_stick();
    drop(olga);
    let path = community.path("conductor");
    let commit = git(&path, &["rev-parse", "HEAD"]).trim().to_owned();
    let file = crafted(&community, &commit, &format!("{commit}\n"));
    let error = clone(community.folder.path(), file.to_str().unwrap(), &community.path("a")).unwrap_err();
    assert!(matches!(error, RemoteError::Damaged { .. }), "{error}");

    // A tree with `.git` in it, which a careless program would write to disk.
    let blob = git(&path, &["hash-object", "-w", ".gitattributes"]).trim().to_owned();
    let mut child = Command::new("git")
        .args(["-C", path.to_str().unwrap(), "mktree"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = format!("100644 blob {blob}\t.git\n");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), line.as_bytes()).unwrap();
    let tree = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let odd = git(&path, &["commit-tree", tree.trim(), "-m", "odd"]).trim().to_owned();
    let file = crafted(&community, &odd, &format!("{odd}\n{}\n{blob}\n", tree.trim()));
    let error = clone(community.folder.path(), file.to_str().unwrap(), &community.path("b")).unwrap_err();
    assert!(matches!(error, RemoteError::Damaged { .. }), "{error}");
    assert!(!community.path("a").exists() && !community.path("b").exists());
}

#[test]
fn a_bundle_with_links_and_submodules_is_cloned_without_following_them() {
    let (community, olga, _) = on_a_stick();
    drop(olga);
    let path = community.path("conductor");
    std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
    fs::write(path.join(".gitmodules"), "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=touch\n").unwrap();
    git(&path, &["add", "-A"]);
    let id = "0123456789012345678901234567890123456789";
    git(&path, &["update-index", "--add", "--cacheinfo", &format!("160000,{id},x")]);
    git(&path, &["commit", "-qm", "Odd"]);
    let file = community.path("odd.bundle");
    let made = try_git(&path, &["bundle", "create", "-q", file.to_str().unwrap(), "HEAD", "main"]);
    assert!(made.status.success());
    let into = community.path("odd");
    // git itself refuses the address in .gitmodules.
    let error = clone(community.folder.path(), file.to_str().unwrap(), &into).unwrap_err();
    assert!(matches!(error, RemoteError::Damaged { .. }), "{error}");

    git(&path, &["rm", "-q", "--cached", ".gitmodules"]);
    git(&path, &["commit", "-q", "--amend", "-m", "Odd"]);
    fs::remove_file(&file).unwrap();
    git(&path, &["bundle", "create", "-q", file.to_str().unwrap(), "HEAD", "main"]);
    clone(community.folder.path(), file.to_str().unwrap(), &into).unwrap();
    assert!(fs::symlink_metadata(into.join("link")).unwrap().is_symlink());
    assert!(
        Reading::open(&into)
            .unwrap()
            .head()
            .unwrap()
            .tree
            .keys()
            .all(|path| path.starts_with("ceremony/") || path == ".gitattributes")
    );
    let again = GitLedger::open_as(&into, Some(Identity::rehearsal()));
    assert!(!matches!(again, Err(LedgerError::Dirty { .. })));
}
