//! Records written anew by somebody who has no key, but everything else: the log is whole, digests fit, and the pages are
//! rendered again. What root signatures vouch for holds such a forger; what came after is looked at here.

mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use common::{Held, hold, plan, refused, verify};
use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Deed, Event, StepId};
use trustroot_core::page::closing;
use trustroot_core::record::Record;
use trustroot_core::replay::replay;
use trustroot_core::signature::Portable;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::report::Verdict;
use trustroot_core::verify::trust_root::{History, Options, verify_trust_root};

static HELD: LazyLock<Held> = LazyLock::new(|| hold(&plan(), Vec::new()));
static TREE: LazyLock<Tree> = LazyLock::new(|| HELD.tree());

/// The rehearsal with `change` made to its events, and pages that fit them.
fn forged(tree: &Tree, mut change: impl FnMut(&mut Event) -> bool) -> Tree {
    let dir = &HELD.record;
    let mut tree = common::rewritten(tree, dir, &mut change);
    let whole = Record::read(&tree, dir).unwrap();
    let (closed, before) = whole.events.split_last().unwrap();
    let Deed::Closed { program } = &closed.event.deed else { panic!("the last event closes") };
    let record = Record { events: before.to_vec(), ..whole.clone() };
    // What cannot be replayed is refused whatever its pages say.
    let Ok(ceremony) = replay(&record, &tree) else { return tree };
    let pages = closing::pages(&ceremony, &record, program);
    for (path, bytes) in &pages {
        tree.insert(path.clone(), Entry::File(bytes.clone()));
    }
    common::rewritten(&tree, dir, |event| {
        if let Deed::Closed { .. } = event.deed {
            event.files = pages.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect();
        }
        true
    })
}

#[test]
fn a_forger_who_changes_nothing_makes_the_same_bytes() {
    assert_eq!(forged(&TREE, |_| true), *TREE);
}

#[test]
fn the_limit_of_what_is_seen_from_inside_is_what_the_threat_model_says() {
    // Nobody's root signature is over what came after the proposal, and no SSH signature lies here.
    let tree = forged(&TREE, |event| {
        if let Deed::Published { tag } = &mut event.deed {
            tag.push_str("-x");
        }
        true
    });
    let report = verify(&tree);
    assert_eq!(report.verdict, Verdict::Consistent, "{:?}", report.findings);
    assert!(report.not_checked.iter().any(|line| line.contains("what came after, are stated")));
}

#[test]
fn a_file_smuggled_into_root_as_the_snapshot_of_the_ceremony_is_refused() {
    for name in ["root/zzz.snapshot.json", "root/targets/x.snapshot.json", "root/2.snapshot.json"] {
        let mut tree = TREE.clone();
        tree.insert(name.to_owned(), Entry::File(b"<script>".to_vec()));
        let tree = forged(&tree, |event| {
            if let Deed::Assembled { .. } = event.deed {
                event.files.remove("root/1.snapshot.json");
                event.files.insert(name.to_owned(), Digest::of(b"<script>"));
            }
            true
        });
        assert_eq!(refused(&verify(&tree)), BTreeSet::from([Check::RootFiles]), "{name}");
    }
}

#[test]
fn a_step_that_is_not_the_one_of_its_deed_is_refused() {
    // The page of a record, file names and commits say the step; people read that and not the deed.
    let alice = common::handle("alice");
    let tree = forged(&TREE, |event| {
        if let Deed::Signed { holder, .. } = &event.deed {
            event.step = StepId::of(Act::Sign, if *holder == alice { &event.author } else { &alice }, "sign");
        }
        true
    });
    assert!(refused(&verify(&tree)).contains(&Check::LogStep));
}

#[test]
fn pages_that_another_program_rendered_than_the_one_read_aloud_stand_in_the_headline() {
    let mut tree = TREE.clone();
    let page = format!("{}/record.html", HELD.record);
    tree.insert(page.clone(), Entry::File(b"<p>Nothing went wrong.</p>".to_vec()));
    let tree = common::rewritten(&tree, &HELD.record, |event| {
        if let Deed::Closed { program } = &mut event.deed {
            *program = "another 9.9.9".to_owned();
            event.files.insert(page.clone(), Digest::of(b"<p>Nothing went wrong.</p>"));
        }
        true
    });
    let report = verify(&tree);
    let told = |finding: &&trustroot_core::check::Finding| {
        finding.check == Check::RecordPages && finding.level == Level::Warning
    };
    assert_eq!(report.findings.iter().filter(told).count(), 1, "{:?}", report.findings);
    assert!(report.headline().contains("the pages of"), "{}", report.headline());
}

#[test]
fn a_tag_that_means_something_to_a_shell_is_in_no_printed_line() {
    let tag = "x; touch /tmp/seen; y";
    let tree = forged(&TREE, |event| {
        if let Deed::Published { tag: stated } = &mut event.deed {
            tag.clone_into(stated);
        }
        true
    });
    let options = Options { history: History::Whole(&[]), ..common::options() };
    let lines = |tree: &Tree| verify_trust_root(tree, &options, &Portable).equivalents.join("\n");
    assert!(lines(&TREE).contains("refs/tags/"), "{}", lines(&TREE));
    assert!(!lines(&tree).contains("touch"), "{}", lines(&tree));
}
