//! Folders of every layout, made here from one small repository; and what stands in the way of taking one over.

use super::*;
use crate::metadata::targets::Target;
use crate::signature::Portable;
use crate::testing::{Published, Repository, changed, file, now};

/// A repository of two roots, as another program made it.
struct Foreign {
    first: Vec<u8>,
    last: Published,
    repository: Repository,
}

fn foreign() -> Foreign {
    let mut repository = Repository::new();
    repository.root.extra.clear();
    let first = file(&repository.root.payload().unwrap(), &repository.holders);
    repository.root.version = 2;
    let last = repository.publish();
    Foreign { first, last, repository }
}

/// A path and its bytes.
type Named<'a> = (&'a str, &'a [u8]);

fn tree(files: &[Named<'_>]) -> Tree {
    files.iter().map(|(path, bytes)| ((*path).to_string(), Entry::File(bytes.to_vec()))).collect()
}

fn ask() -> Ask {
    Ask { now: now(), roots_only: false, anchor: None, rehearsal: false }
}

fn look(tree: &Tree) -> Import {
    import(tree, &ask(), &Portable)
}

/// What refuses.
fn refused(import: &Import) -> Vec<(Check, String)> {
    let all = import.roots.all_findings().chain(&import.findings);
    let refused = all.filter(|finding| finding.level == Level::Refused);
    refused.map(|finding| (finding.check, finding.subject.clone())).collect()
}

/// Every layout gives the same files in ours.
#[test]
fn every_layout_gives_the_same_bytes_in_ours() {
    let Foreign { first, last, .. } = foreign();
    let (root, timestamp) = (last.root.as_slice(), last.timestamp.as_slice());
    let (snapshot, targets) = (last.snapshot.as_slice(), last.targets.as_slice());
    let hashed = alloc::format!("targets/{}.a.txt", Target::of(b"a").hashes.prefix().unwrap());
    let layouts: [(Layout, &[Named<'_>]); 4] = [
        (
            Layout::TufOnCi,
            &[
                ("metadata/root_history/1.root.json", &first),
                ("metadata/root_history/2.root.json", root),
                ("metadata/root.json", root),
                ("metadata/timestamp.json", timestamp),
                ("metadata/snapshot.json", snapshot),
                ("metadata/targets.json", targets),
                ("targets/a.txt", b"a"),
            ],
        ),
        (
            Layout::Consistent,
            &[
                ("metadata/1.root.json", &first),
                ("metadata/2.root.json", root),
                ("metadata/timestamp.json", timestamp),
                ("metadata/1.snapshot.json", snapshot),
                ("metadata/1.targets.json", targets),
                (&hashed, b"a"),
            ],
        ),
        (
            Layout::Unnumbered,
            &[
                ("1.root.json", &first),
                ("root.json", root),
                ("timestamp.json", timestamp),
                ("snapshot.json", snapshot),
                ("targets.json", targets),
                ("targets/a.txt", b"a"),
            ],
        ),
        (
            // A clone of many things, with the metadata somewhere.
            Layout::Consistent,
            &[
                ("docs/readme.txt", b""),
                ("site/tuf/1.root.json", &first),
                ("site/tuf/2.root.json", root),
                ("site/tuf/timestamp.json", timestamp),
                ("site/tuf/1.snapshot.json", snapshot),
                ("site/tuf/1.targets.json", targets),
                ("site/targets/a.txt", b"a"),
            ],
        ),
    ];
    let mut wanted = BTreeMap::from([
        ("root/1.root.json", first.as_slice()),
        ("root/2.root.json", root),
        ("root/timestamp.json", timestamp),
        ("root/1.snapshot.json", snapshot),
        ("root/1.targets.json", targets),
    ]);
    let hashed = alloc::format!("root/{hashed}");
    wanted.insert(&hashed, b"a");
    for (layout, files) in layouts {
        let found = look(&tree(files));
        assert!(found.accepted(), "{layout:?}: {:?}", refused(&found));
        assert_eq!(found.layout, layout);
        let taken: BTreeMap<&str, &[u8]> = found.files.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
        assert_eq!(taken, wanted, "{layout:?}");
        assert_eq!(found.set, Some(Versions { timestamp: 1, snapshot: 1, targets: 1 }));
        assert_eq!(found.left, [""; 0], "{layout:?}");
    }
    // Roots alone: it is said what is lacking.
    let found = look(&tree(&[("1.root.json", &first), ("2.root.json", root)]));
    assert!(found.accepted() && found.layout == Layout::Roots && found.set.is_none());
    assert!(found.findings.iter().any(|finding| finding.check == Check::MetaMissing), "{:?}", found.findings);
    // And so it is where nothing else is wanted.
    let all = layouts[0].1;
    let found = import(&tree(all), &Ask { roots_only: true, ..ask() }, &Portable);
    assert_eq!((found.accepted(), found.files.len(), found.left.len()), (true, 2, 3));
}

#[test]
fn nothing_that_does_not_hold_is_taken() {
    let Foreign { first, last, repository } = foreign();
    let whole: Vec<(&str, &[u8])> = alloc::vec![
        ("1.root.json", first.as_slice()),
        ("2.root.json", &last.root),
        ("timestamp.json", &last.timestamp),
        ("1.snapshot.json", &last.snapshot),
        ("1.targets.json", &last.targets),
        ("targets/a.txt", b"a"),
    ];
    let with = |name: &str, bytes: Option<&[u8]>| {
        let mut tree = tree(&whole);
        tree.remove(name);
        if let Some(bytes) = bytes {
            tree.insert(name.to_string(), Entry::File(bytes.to_vec()));
        }
        refused(&look(&tree)).into_iter().map(|(check, _)| check).collect::<Vec<_>>()
    };
    assert_eq!(with("nothing", None), []);
    assert_eq!(with("1.root.json", None), [Check::RootGap]);
    assert_eq!(with("timestamp.json", None), [Check::MetaMissing]);
    assert_eq!(with("1.snapshot.json", None), [Check::MetaMissing]);
    assert_eq!(with("1.targets.json", Some(&last.snapshot)), [Check::MetaHash]);
    assert_eq!(with("2.root.json", Some(&first)), [Check::RootVersion]);
    // A root that nobody signed, and a second one of the same version.
    let unsigned = file(&changed(&repository.root.payload().unwrap(), |_| ()), &[]);
    assert_eq!(with("2.root.json", Some(&unsigned)), [Check::RootQuorum, Check::RootQuorumOld]);
    let other = changed(&repository.root.payload().unwrap(), |members| {
        members.insert("x-other".to_string(), Value::from("y"));
    });
    let other = file(&other, &repository.holders);
    assert_eq!(with("root.json", Some(&other)), [Check::RootRival]);
    // The same one with fewer signatures is left out, and said.
    let fewer = file(&repository.root.payload().unwrap(), &repository.holders[..2]);
    assert_eq!(with("root.json", Some(&fewer)), []);
    // Roots in two places: which is meant?
    assert_eq!(refused(&look(&tree(&[("a/1.root.json", &first), ("b/1.root.json", &first)])))[0].0, Check::RootGap);
    assert_eq!(refused(&look(&tree(&[("a/x.json", &first)])))[0].0, Check::RootGap);
}

#[test]
fn an_anchor_and_a_rehearsal_are_looked_at() {
    let Foreign { first, last, mut repository } = foreign();
    let files: [(&str, &[u8]); 2] = [("1.root.json", &first), ("2.root.json", &last.root)];
    let digest = repository.root.payload().unwrap().digest();
    let anchored = import(&tree(&files), &Ask { anchor: Some(digest), ..ask() }, &Portable);
    assert_eq!((anchored.accepted(), anchored.anchored), (true, Some(2)));
    let other = Ask { anchor: Some(Digest::of(b"other")), ..ask() };
    assert_eq!(refused(&import(&tree(&files), &other, &Portable))[0].0, Check::Anchor);
    repository.root.version = 1;
    repository.root.extra.insert(REHEARSAL.to_string(), Value::from("a rehearsal"));
    let marked = file(&repository.root.payload().unwrap(), &repository.holders);
    let marked = tree(&[("1.root.json", &marked)]);
    assert_eq!(refused(&look(&marked))[0].0, Check::Rehearsal);
    assert!(import(&marked, &Ask { rehearsal: true, ..ask() }, &Portable).accepted());
}

/// A root that a ceremony made belongs to its record; and what expired is looked at all the same.
#[test]
fn what_expired_is_said_and_a_record_is_not_left_behind() {
    let Foreign { first, last, mut repository } = foreign();
    let whole: [(&str, &[u8]); 5] = [
        ("1.root.json", &first),
        ("2.root.json", &last.root),
        ("timestamp.json", &last.timestamp),
        ("1.snapshot.json", &last.snapshot),
        ("1.targets.json", &last.targets),
    ];
    let late = Ask { now: now().plus_days(101), ..ask() };
    let found = import(&tree(&whole), &late, &Portable);
    assert!(found.accepted() && found.set.is_some(), "{:?}", refused(&found));
    assert_eq!(found.findings.iter().filter(|finding| finding.check == Check::Expired).count(), 1);
    let missing = found.findings.iter().find(|finding| finding.check == Check::MetaMissing).unwrap();
    assert!(missing.what.line().contains("1 files that the targets name are not here, such as a.txt"), "{missing}");
    repository.root.version = 1;
    repository.root.extra.insert(crate::proposal::RECORD.to_string(), Value::from("a record"));
    let ours = file(&repository.root.payload().unwrap(), &repository.holders);
    assert_eq!(refused(&look(&tree(&[("root/1.root.json", &ours)])))[0].0, Check::RootRecord);
}

/// An online role that several keys sign, or a holder's: said before anybody plans.
#[test]
fn a_snapshot_that_holders_sign_is_said() {
    let Foreign { mut repository, .. } = foreign();
    repository.root.version = 1;
    repository.root.snapshot = repository.root.root.clone();
    let root = file(&repository.root.payload().unwrap(), &repository.holders);
    let found = look(&tree(&[("1.root.json", &root)]));
    assert!(found.accepted(), "{:?}", refused(&found));
    let said = found.findings.iter().find(|finding| finding.check == Check::KeyRoles).unwrap();
    assert!(said.what.line().starts_with("2 of 3 keys sign the snapshot"), "{said}");
}
