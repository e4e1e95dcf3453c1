//! Branches that are not what a holder's branch may be, as they come over a real remote. Each is refused by its named check, and
//! nothing of it is taken; the others are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use trustroot::seams::{Commit, Ledger as _};

use crate::clones::{Community, Desk, commit_file, git, handle, public, signatures};

/// A community where alice and bob have their keys on the conductor's branch, and a root was proposed.
fn proposed() -> (Community, Desk) {
    let community = Community::new(2, 2);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    for who in community.holders() {
        let mut desk = community.holder(&who, "hub");
        desk.enrol();
        desk.push();
    }
    assert_eq!(olga.take(), Vec::<String>::new());
    olga.propose(1);
    olga.push();
    (community, olga)
}

/// Lets bob sign as he should and `change` do something to alice's clone after she signed; then the conductor finds `check`,
/// takes nothing of alice's branch, and takes bob's.
fn refused(check: &str, change: impl FnOnce(&Community, &Path)) {
    let (community, mut olga) = proposed();
    let mut bob = community.desk("bob", &handle("bob"));
    bob.sit();
    bob.sign(1);
    bob.push();
    let mut alice = community.desk("alice", &handle("alice"));
    alice.sit();
    alice.sign(1);
    drop(alice);
    let path = community.path("alice");
    change(&community, &path);
    git(&path, &["push", "-q", "--force", "origin", &format!("HEAD:refs/heads/{}", branch(&community, "alice"))]);

    let told = olga.take();
    assert!(!told.is_empty() && told.iter().all(|line| line.starts_with(check)), "{check}: {told:#?}");
    let ceremony = olga.ceremony();
    assert!(!ceremony.holders[&handle("alice")].signed && ceremony.holders[&handle("bob")].signed);
    assert_eq!(git(&community.path("conductor"), &["status", "--porcelain"]), "");
    assert_eq!(olga.take().len(), told.len(), "it is told again");
}

fn branch(community: &Community, who: &str) -> String {
    trustroot_core::branch::name(&community.dir, &handle(who))
}

#[test]
fn another_persons_files() {
    refused("BRANCH-FOREIGN", |community, path| {
        commit_file(path, &format!("{}/log/bob/0009-sign.bob.sign-0123456789abcdef.json", community.dir), b"{}");
    });
}

#[test]
fn what_the_newest_commit_no_longer_shows() {
    refused("BRANCH-FOREIGN", |_, path| {
        commit_file(path, ".github/workflows/release.yml", b"on: push");
        git(path, &["rm", "-q", "-r", ".github"]);
        git(path, &["commit", "-qm", "Nothing to see"]);
    });
}

#[test]
fn a_merge_that_slips_something_in() {
    refused("BRANCH-FOREIGN", |_, path| {
        git(path, &["checkout", "-q", "-b", "side", "HEAD~1"]);
        git(path, &["commit", "-q", "--allow-empty", "-m", "Side"]);
        git(path, &["checkout", "-q", "-"]);
        git(path, &["merge", "-q", "--no-commit", "--no-ff", "side"]);
        fs::write(path.join("root"), "not a folder").unwrap();
        git(path, &["add", "-A"]);
        git(path, &["commit", "-qm", "Merge"]);
    });
}

#[test]
fn a_link_in_the_place_of_a_file() {
    refused("BRANCH-FOREIGN", |community, path| {
        let file = signatures(&community.dir, &handle("alice"), 1).into_keys().next().unwrap();
        let parent = path.join(&file).parent().unwrap().to_owned();
        fs::create_dir_all(&parent).unwrap();
        symlink("/etc/passwd", parent.join("0123456789abcdef-0123456789abcdef.json")).unwrap();
        let own = format!("{}-0123456789abcdef.json", public(&handle("alice")).fingerprint().short());
        symlink("/etc/passwd", parent.join(own)).unwrap();
        git(path, &["add", "-A"]);
        git(path, &["commit", "-qm", "Link"]);
    });
}

#[test]
fn a_submodule_and_names_that_file_systems_mistake() {
    refused("BRANCH-FOREIGN", |community, path| {
        let zeros = "0123456789012345678901234567890123456789";
        for name in ["vendored", &format!("{}/keys/alice-0123456789abcdef", community.dir)] {
            git(path, &["update-index", "--add", "--cacheinfo", &format!("160000,{zeros},{name}")]);
        }
        let blob = git(path, &["hash-object", "-w", "ceremony/../.gitattributes"]);
        for name in ["CEREMONY/x", &format!("{}/log/alice/..%2f", community.dir), "root/nul:x"] {
            git(path, &["update-index", "--add", "--cacheinfo", &format!("100644,{},{name}", blob.trim())]);
        }
        git(path, &["commit", "-qm", "Odd"]);
        git(path, &["reset", "-q", "--hard"]);
    });
}

#[test]
fn a_history_that_was_rewritten() {
    refused("BRANCH-REWRITE", |community, path| {
        // Everything of alice's once more, as new commits on what was there before her key was taken over.
        let root = git(path, &["rev-list", "--reverse", "--first-parent", "HEAD"]);
        let before = root.split_whitespace().nth(3).unwrap();
        let tree = git(path, &["rev-parse", "HEAD^{tree}"]);
        git(path, &["checkout", "-q", "-f", before]);
        git(path, &["read-tree", "-u", "--reset", tree.trim()]);
        for other in ["log/olga", "keys/bob-*", "log/bob", "signatures"] {
            let path_of = format!("{}/{other}", community.dir);
            git(path, &["rm", "-q", "-r", "-f", "--ignore-unmatch", &path_of]);
        }
        git(path, &["checkout", "-q", before, "--", "."]);
        git(path, &["commit", "-qm", "Rewritten"]);
    });
}

#[test]
fn an_own_event_that_was_changed() {
    refused("BRANCH-REWRITE", |community, path| {
        let log = path.join(format!("{}/log/alice", community.dir));
        let mut events: Vec<_> = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
        events.sort();
        fs::write(&events[0], "{}").unwrap();
        git(path, &["commit", "-qam", "Better"]);
    });
}

#[test]
fn a_co_holders_key_under_the_same_name() {
    refused("BRANCH-KEY", |community, path| {
        let bob = handle("bob");
        let file = format!("{}/keys/bob-{}/public.pem", community.dir, public(&bob).fingerprint().short());
        commit_file(path, &file, public(&handle("mallory")).to_pem().as_bytes());
    });
}

#[test]
fn content_that_changed_after_signatures() {
    refused("BRANCH-PAYLOAD", |community, path| {
        // Signed as it should be; but something else than what was proposed, too.
        for (file, bytes) in signatures(&community.dir, &handle("alice"), 2) {
            commit_file(path, &file, &bytes);
        }
    });
}

#[test]
fn a_proposal_that_a_holder_edits() {
    refused("BRANCH-PAYLOAD", |community, path| {
        let payload = crate::clones::payloads(1)[0].1.digest();
        commit_file(path, &format!("{}/signatures/root-{payload}/payload.json", community.dir), b"{}");
    });
}

#[test]
fn a_signature_by_nobody_and_a_file_that_no_event_names() {
    let (community, mut olga) = proposed();
    let mut alice = community.desk("alice", &handle("alice"));
    alice.sit();
    let mut files = alice.signatures(1);
    for bytes in files.values_mut() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        // The last digits of the signature, so that it is in form and signs nothing.
        let at = text.rfind("\"}").unwrap();
        let digit = if text.as_bytes()[at - 1] == b'0' { "1" } else { "0" };
        *bytes = format!("{}{digit}{}", &text[..at - 1], &text[at..]).into_bytes();
    }
    let named = |(path, bytes): (&String, &Vec<u8>)| {
        let (start, _) = path.rsplit_once('-').unwrap();
        (format!("{start}-{}.json", trustroot_core::digest::Digest::of(bytes).short()), bytes.clone())
    };
    let files: BTreeMap<String, Vec<u8>> = files.iter().map(named).collect();
    alice.sign_with(1, files);
    alice.push();
    let told = olga.take();
    assert!(told.iter().all(|line| line.starts_with("SIG-PAYLOAD")) && told.len() == 2, "{told:#?}");

    let mut bob = community.desk("bob", &handle("bob"));
    bob.sit();
    let head = bob.head();
    let files = bob.signatures(1);
    let time = bob.now();
    bob.ledger.append(&Commit { parent: head.commit, files, message: "Sign".to_owned(), time }).unwrap();
    bob.push();
    let told = olga.take();
    assert!(told.iter().filter(|line| line.starts_with("RECORD-FILES")).count() == 2, "{told:#?}");
}

#[test]
fn what_came_too_late_is_refused_whatever_the_order() {
    let (community, mut olga) = proposed();
    // A third seat that nobody has, and a holder whose key comes after the proposal.
    let mut mallory = community.desk("alice", &handle("alice"));
    mallory.sit();
    let name = branch(&community, "mallory");
    git(&community.path("alice"), &["push", "-q", "origin", &format!("HEAD~1:refs/heads/{name}")]);
    git(&community.path("alice"), &["checkout", "-q", "-b", "x"]);
    commit_file(&community.path("alice"), "x", b"x");
    git(&community.path("alice"), &["push", "-q", "origin", &format!("HEAD:refs/heads/{name}")]);
    drop(mallory);
    let told = olga.take();
    assert!(told.iter().all(|line| line.starts_with("BRANCH-FOREIGN")) && told.len() == 2, "{told:#?}");

    git(&community.path("alice"), &["checkout", "-q", &branch(&community, "alice")]);
    let mut alice = community.desk("alice", &handle("alice"));
    alice.sit();
    alice.sign(1);
    alice.push();
    let reason = "nobody came".to_owned();
    let deed = trustroot_core::event::Deed::Aborted { reason, missing: Some(2) };
    let step = trustroot_core::event::StepId::new(trustroot_core::event::Act::Sign, "abort");
    olga.act(step, deed, BTreeMap::new());
    let told = olga.take();
    let late = |line: &&String| line.starts_with("LOG-STEP") && line.contains("gone on without it");
    assert_eq!(told.iter().filter(late).count(), 2, "{told:#?}");
}

#[test]
fn what_was_heard_late_holds_no_signature_up() {
    let community = Community::new(2, 2);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    let mut desks: Vec<Desk> = community.holders().iter().map(|who| community.holder(who, "hub")).collect();
    for desk in &mut desks {
        desk.enrol();
        desk.push();
    }
    assert_eq!(olga.take(), Vec::<String>::new());
    olga.push();
    // Bob hears alice's key while the conductor goes on with those in the room.
    let bob = &mut desks[1];
    bob.sit();
    let alice = handle("alice");
    let heard = trustroot_core::event::Deed::Heard { holder: alice.clone(), fingerprint: public(&alice).fingerprint() };
    let step = trustroot_core::step::Step::of(&heard)[0].id();
    bob.act(step, heard, BTreeMap::new());
    olga.propose(1);
    olga.push();
    let seat = bob.sit();
    assert_ne!(seat.head.commit.as_deref(), Some(seat.conductor.as_str()), "the two have parted, and are merged");
    bob.sign(1);
    bob.push();
    assert_eq!(olga.take(), Vec::<String>::new());
    assert!(olga.ceremony().holders[&handle("bob")].signed);
    assert!(crate::merge_findings(&olga).is_empty());
}

#[test]
fn two_branches_that_hold_alone_and_not_together() {
    let community = Community::new(2, 2);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    let mut alice = community.holder("alice", "hub");
    let mut bob = community.holder("bob", "hub");
    alice.enrol();
    alice.push();
    // Bob has a key that alice has too.
    let who = handle("bob");
    bob.enrol_with_key(&who, &handle("alice"));
    bob.push();
    let told = olga.take();
    assert!(told.len() == 1 && told[0].starts_with("BRANCH-KEY"), "{told:#?}");
    assert!(olga.ceremony().holders[&handle("alice")].key.is_some());
    assert!(olga.ceremony().holders[&who].key.is_none());
}

#[test]
fn what_a_remote_rewrites_is_told_and_what_it_had_is_kept() {
    let (community, mut olga) = proposed();
    let mut alice = community.desk("alice", &handle("alice"));
    alice.sit();
    alice.sign(1);
    alice.push();
    let signed = git(&community.path("alice"), &["rev-parse", "HEAD"]);
    assert_eq!(olga.look().offers.iter().filter(|offered| offered.judged.is_ok()).count(), 2);
    // Somebody takes alice's signature away again before it was taken over, and goes back on the conductor's branch.
    let hub = community.path("hub");
    git(&hub, &["update-ref", &format!("refs/heads/{}", branch(&community, "alice")), &format!("{}~2", signed.trim())]);
    git(&hub, &["update-ref", "refs/heads/main", "main~1"]);
    let told = olga.take();
    let starts = |check: &str| told.iter().filter(|line| line.starts_with(check)).count();
    assert_eq!((starts("BRANCH-REWRITE"), starts("HISTORY-REWRITE"), told.len()), (1, 1, 2), "{told:#?}");
    assert!(olga.ceremony().holders[&handle("alice")].signed, "what was fetched once is not lost");
}
