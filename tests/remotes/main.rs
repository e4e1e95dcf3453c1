//! Everybody at a clone of their own: what is fetched, judged, merged and pushed, over real git repositories.

mod arrival;
mod attacks;
mod bundles;
#[path = "../support/clones.rs"]
mod clones;
mod program;
mod pushes;

use clones::{Community, Desk, git};
use trustroot_core::check::Check;
use trustroot_core::signature::Portable;
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};

// ------------------------------------------------------------------------------------------------------ as it should go

#[test]
fn a_ceremony_over_clones_and_one_remote() {
    let community = Community::new(3, 2);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    let mut desks: Vec<_> = community.holders().iter().map(|who| community.holder(who, "hub")).collect();
    for desk in &mut desks {
        desk.enrol();
        desk.push();
        assert!(!desk.remote().unpushed().unwrap());
    }
    assert_eq!(olga.take(), Vec::<String>::new());
    assert_eq!(olga.ceremony().holders.values().filter(|state| state.key.is_some()).count(), 3);
    let parents = git(&community.path("conductor"), &["rev-list", "--parents", "-1", "HEAD"]);
    assert_eq!(parents.split_whitespace().count(), 5, "the conductor's head, and one for each holder");
    olga.propose(1);
    olga.push();
    for desk in &mut desks {
        let seat = desk.sit();
        assert_eq!(seat.head.commit.as_deref(), Some(seat.conductor.as_str()), "a fast-forward");
        desk.sign(1);
        desk.push();
    }
    assert_eq!(olga.take(), Vec::<String>::new());
    let ceremony = olga.ceremony();
    assert!(ceremony.has_quorum() && ceremony.holders.values().all(|state| state.signed));
    olga.push();
    git(&community.path("conductor"), &["fsck", "--strict"]);
    assert_eq!(git(&community.path("conductor"), &["status", "--porcelain"]), "");
    assert_eq!(olga.take(), Vec::<String>::new(), "what was taken is not taken again");
}

// ------------------------------------------------------------------------------------------------------------- verify

/// What verification says of the merges of a repository.
fn merge_findings(desk: &Desk) -> Vec<String> {
    let options = Options {
        now: desk.now(),
        rehearsal: true,
        strict: false,
        anchor: None,
        program: None,
        history: History::None,
        differences: &[],
    };
    let merges = desk.ledger.reading().merges().unwrap();
    let report = verify_trust_root(&desk.tree(), &options, &Portable).with_merges(&merges);
    let found = report.findings.iter().filter(|finding| finding.check == Check::MergeUnion);
    found.map(ToString::to_string).collect()
}

#[test]
fn a_merge_that_is_no_union_is_found() {
    let community = Community::new(2, 2);
    community.bare("hub");
    let mut olga = community.conductor(&["hub"]);
    for who in community.holders() {
        let mut desk = community.holder(&who, "hub");
        desk.enrol();
        desk.push();
    }
    assert_eq!(olga.take(), Vec::<String>::new());
    assert_eq!(merge_findings(&olga), Vec::<String>::new());
    let path = community.path("conductor");
    let [merge, before] = ["HEAD", "HEAD~1"].map(|name| git(&path, &["rev-parse", name]).trim().to_owned());
    let parents = git(&path, &["rev-list", "--parents", "-1", &merge]);
    let (dir, log) = (&community.dir, format!("{}/log", community.dir));

    // The same merge once more, with one thing done to its tree.
    let again = |change: &dyn Fn()| {
        git(&path, &["checkout", "-q", "-f", &merge]);
        git(&path, &["clean", "-fdq"]);
        change();
        git(&path, &["add", "-A"]);
        let tree = git(&path, &["write-tree"]);
        let mut arguments = vec!["commit-tree", tree.trim(), "-m", "Merge"];
        for parent in parents.split_whitespace().skip(1) {
            arguments.extend(["-p", parent]);
        }
        let commit = git(&path, &arguments);
        git(&path, &["reset", "-q", "--hard"]);
        git(&path, &["checkout", "-q", "-B", "main", commit.trim()]);
    };
    drop(olga);
    let file = |name: &str| path.join(name);
    let first = |folder: &str| {
        let mut names: Vec<_> = std::fs::read_dir(file(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.remove(0)
    };
    for (what, change) in [
        ("has this file", &(|| std::fs::write(file(&format!("{dir}/keys/stray")), "x").unwrap()) as &dyn Fn()),
        ("lacks this file", &|| std::fs::remove_file(first(&format!("{log}/alice"))).unwrap()),
        ("has other bytes", &|| std::fs::write(first(&format!("{log}/bob")), "{}").unwrap()),
        ("has this file", &|| {
            std::fs::create_dir_all(file("root")).unwrap();
            std::fs::write(file("root/2.root.json"), "{}").unwrap();
        }),
    ] {
        again(change);
        let reading = trustroot::ledger::Reading::open(&path).unwrap();
        let merges = reading.merges().unwrap();
        assert_eq!((merges.count, merges.odd.len()), (1, 1), "{what}");
        let tree = reading.head().unwrap().tree;
        let options = Options {
            now: community.plan.day,
            rehearsal: true,
            strict: false,
            anchor: None,
            program: None,
            history: History::None,
            differences: &[],
        };
        let report = verify_trust_root(&tree, &options, &Portable).with_merges(&merges);
        let found = report.findings.iter().find(|finding| finding.check == Check::MergeUnion).unwrap();
        assert!(found.to_string().contains(what), "{found}");
        assert!(!report.accepted());
    }
    // What people edit and what lies outside the trust root may be merged by hand.
    again(&|| {
        std::fs::create_dir_all(file("ceremony/plans")).unwrap();
        std::fs::write(file("ceremony/plans/next.toml"), "x").unwrap();
        std::fs::write(file("NOTES.md"), "x").unwrap();
    });
    assert_eq!(merge_findings(&community.conductor_again()), Vec::<String>::new());
    assert_ne!(before, merge);
}
