//! Commits, tags and bytes, signed by the person's own programs.

use super::*;

#[test]
fn commits_and_tags_are_signed_as_git_is_set_up() {
    let (place, mut ledger) = Place::with_person(true);
    let first = ledger.append(&step(None, 1)).unwrap().commit.unwrap();
    ledger.append(&step(Some(&first), 2)).unwrap();
    ledger.tag("genesis", "The first root", at(3)).unwrap();
    place.git(&["verify-commit", "HEAD", "HEAD~1"]);
    let judged = place.try_git(&["verify-tag", "genesis"]);
    assert!(judged.status.success());
    assert!(String::from_utf8_lossy(&judged.stderr).contains("Good \"git\" signature for ada@example.org"));
    assert_eq!(
        place.git(&["for-each-ref", "--format=%(taggername) %(taggerdate:raw) %(subject)", "refs/tags"]),
        "Ada 1800000180 +0000 The first root\n"
    );
    place.assert_sound();
    assert_eq!(fs::read_dir(ledger.state_dir()).unwrap().count(), 1, "nothing is left of the signing");
}

#[test]
fn a_rehearsal_never_signs() {
    let (place, ledger) = Place::with_person(true);
    drop(ledger);
    let mut ledger = place.open().unwrap();
    ledger.append(&step(None, 1)).unwrap();
    ledger.tag("t", "m", at(2)).unwrap();
    assert_eq!(ledger.ssh_sign("trustroot-event", b"x").unwrap(), None);
    assert!(!place.git(&["cat-file", "commit", "HEAD"]).contains("gpgsig"));
    assert!(!place.git(&["cat-file", "tag", "t"]).contains("BEGIN"));
}

#[test]
fn bytes_are_signed_in_their_namespace() {
    let (place, mut ledger) = Place::with_person(false);
    let signature = ledger.ssh_sign("trustroot-event", b"the event").unwrap().unwrap();
    let file = place.folder.path().join("event.sig");
    fs::write(&file, &signature).unwrap();
    let judged = |namespace: &str| {
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", "ada@example.org", "-n", namespace, "-f"])
            .arg(place.folder.path().join("allowed"))
            .arg("-s")
            .arg(&file)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"the event").unwrap();
        child.wait().unwrap().success()
    };
    assert!(judged("trustroot-event"));
    assert!(!judged("git"));
    place.git(&["config", "--unset", "gpg.format"]);
    assert_eq!(ledger.ssh_sign("trustroot-event", b"x").unwrap(), None);
}

#[test]
fn a_signature_that_is_wanted_and_cannot_be_made_is_an_error() {
    let (place, mut ledger) = Place::with_person(true);
    place.git(&["config", "user.signingkey", "/nowhere/key"]);
    assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::SshSign(_))));
    assert!(matches!(ledger.ssh_sign("trustroot-event", b"x"), Err(LedgerError::SshSign(_))));
    place.git(&["config", "--unset", "user.signingkey"]);
    assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::SshSign(_))));
    place.git(&["config", "gpg.format", "openpgp"]);
    for program in ["/nowhere/gpg", "false", "true"] {
        place.git(&["config", "gpg.program", program]);
        assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::GpgSign(_))), "{program}");
    }
    place.git(&["config", "gpg.format", "smoke"]);
    assert!(matches!(ledger.append(&step(None, 1)), Err(LedgerError::GpgSign(_))));
    assert_eq!(ledger.head().unwrap().commit, None);
}

#[test]
fn openpgp_is_asked_as_git_asks_it() {
    let (place, mut ledger) = Place::with_person(true);
    let program = place.folder.path().join("gpg");
    fs::write(
        &program,
        "#!/bin/sh\nenv | grep ^GIT_ && exit 1\n\
         echo \"$@\" >\"$0.arguments\"; cat >\"$0.input\"\necho '[GNUPG:] SIG_CREATED D' >&2\n\
         printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nAAAA\\n-----END PGP SIGNATURE-----\\n'\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    place.git(&["config", "gpg.format", "openpgp"]);
    place.git(&["config", "gpg.program", program.to_str().unwrap()]);
    place.git(&["config", "--unset", "user.signingkey"]);
    ledger.append(&step(None, 1)).unwrap();
    let beside = |end: &str| fs::read_to_string(place.folder.path().join(format!("gpg.{end}"))).unwrap();
    assert_eq!(beside("arguments"), "--status-fd=2 -bsau Ada <ada@example.org>\n");
    let object = place.git(&["cat-file", "commit", "HEAD"]);
    let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----\n";
    assert_eq!(object.replace(signature, ""), beside("input"));
    assert!(object.contains(signature), "{object}");
    place.assert_sound();
}

#[test]
fn a_tag_is_made_once() {
    let (place, mut ledger, first) = Place::with_one_step();
    ledger.tag("genesis", "The first root\n\nand more", at(2)).unwrap();
    let tag = place.git(&["rev-parse", "refs/tags/genesis"]);
    ledger.tag("genesis", "said differently", at(9)).unwrap();
    assert_eq!(place.git(&["rev-parse", "refs/tags/genesis"]), tag);
    assert_eq!(place.git(&["cat-file", "-t", "genesis"]), "tag\n");
    ledger.append(&step(Some(&first), 2)).unwrap();
    assert!(matches!(ledger.tag("genesis", "moved", at(3)), Err(LedgerError::TagExists(_))));
    for bad in ["", "-d", "a..b", "a b", "a/", "a\nb", "a\0b"] {
        assert!(matches!(ledger.tag(bad, "m", at(3)), Err(LedgerError::Unfit(_))), "{}", bad.escape_debug());
    }
    place.assert_sound();
}
