//! Holders' branches: whatever alice's changes, judging it ends, and takes nothing that is not alice's. What stands before a
//! line of NUL, `branch` and NUL is here already; what stands after it is in the branch. A file without content is removed.
#![no_main]

#[path = "../files.rs"]
mod files;

use libfuzzer_sys::fuzz_target;
use trustroot_core::branch::{Change, ChangeKind, Offer, Place, Step, judge, name, of_name, onward, union};
use trustroot_core::record::records;
use trustroot_core::signature::Portable;
use trustroot_core::text::Handle;
use trustroot_core::tree::{Entry, Tree};

const BETWEEN: &[u8] = b"\0branch\0";

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.windows(BETWEEN.len()).position(|part| part == BETWEEN).unwrap_or(bytes.len());
    let here = files::tree(&bytes[..at]);
    let mut there = files::tree(bytes);
    there.retain(|_, entry| entry.bytes().is_none_or(|bytes| !bytes.is_empty()));
    let alice = Handle::new("alice").expect("a handle");
    let Some(dir) = records(&here).into_iter().next() else { return };
    if let Some((of, who)) = of_name(&name(&dir, &alice)) {
        assert_eq!((of, who.as_str()), (dir.clone(), "alice"));
    }

    let mut changes = Vec::new();
    let paths: std::collections::BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    for path in paths {
        let kind = match (here.get(path), there.get(path)) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            (before, after) if before == after => continue,
            _ => ChangeKind::Changed,
        };
        changes.push(Change { path: path.clone(), kind });
        if Place::of(&dir, path) != Place::Elsewhere {
            let inside = path.strip_prefix(&dir).expect("a place is inside the record");
            assert!(inside.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != ".."), "{path}");
        }
    }
    if let Ok(merged) = onward(&Tree::new(), &here, &there) {
        assert!(here.keys().chain(there.keys()).all(|path| merged.contains_key(path.as_str())));
    }
    let commit = "0".repeat(40);
    let steps = vec![Step { commit: commit.clone(), changes }];
    let offer = Offer { handle: alice, dir: dir.clone(), commit, tree: there, steps, lost: Vec::new() };
    let addition = match judge(&here, &offer, &Portable) {
        Ok(addition) => addition,
        Err(findings) => {
            assert!(!findings.is_empty());
            assert!(findings.iter().all(|finding| !finding.to_string().contains(|c: char| c.is_control())));
            return;
        }
    };
    for path in addition.files().keys() {
        let own = match Place::of(&dir, path) {
            Place::Event(who) | Place::EventSignature(who) | Place::Key(who, _) => who.as_str() == "alice",
            Place::Signature(..) => true,
            Place::Payload(..) | Place::Elsewhere => false,
        };
        assert!(own && !matches!(here.get(path), Some(Entry::File(_))), "{path} was taken from a branch of alice");
    }
    assert_eq!(union(&here, &[&addition], &Portable).as_ref(), Ok(addition.files()));
});
