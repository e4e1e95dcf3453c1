//! Objects of git. The first byte says which: a commit, a tag, or two trees, the length of the first in two bytes. A tree that
//! is read beside another says what it says alone, and what two trees hold otherwise does not depend on what was passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::git::{Commit, Item, Kept, Listing, Mode, Named, ObjectId, Pairs, alike, tagged};

fuzz_target!(|bytes: &[u8]| match bytes {
    [0, bytes @ ..] => commit(bytes),
    [1, bytes @ ..] => {
        let Some(id) = tagged(bytes) else { return };
        assert_eq!(ObjectId::from_hex(&bytes[7..47]), Some(id));
    }
    [_, high, low, bytes @ ..] => {
        let at = usize::from(u16::from_be_bytes([*high, *low])).min(bytes.len());
        trees(&bytes[..at], &bytes[at..]);
    }
    _ => {}
});

fn commit(bytes: &[u8]) {
    let Some(commit) = Commit::parse(bytes) else { return };
    let parents: String = commit.parents.iter().map(|parent| format!("parent {parent}\n")).collect();
    let written = format!("tree {}\n{parents}", commit.tree);
    let same = bytes.get(..written.len()).is_some_and(|head| head.eq_ignore_ascii_case(written.as_bytes()));
    // The last line may end with the bytes.
    assert!(same || bytes.eq_ignore_ascii_case(written.trim_end().as_bytes()), "{written:?}");
}

fn trees(old: &[u8], new: &[u8]) {
    let alone = |raw: &[u8]| Listing::parse(raw.to_vec(), &Listing::default());
    let read = alone(new);
    if let Some(read) = &read {
        entries(read, new);
    }
    let Some(old) = alone(old) else { return };
    let beside = Listing::parse(new.to_vec(), &old);
    match (read, beside) {
        (None, None) => {}
        (Some(read), Some(beside)) => {
            assert_eq!(told(&beside), told(&read));
            assert_eq!(differ(&old, &beside, false), differ(&old, &read, true));
        }
        (read, beside) => panic!("read alone: {}, beside another: {}", read.is_some(), beside.is_some()),
    }
}

/// Every byte belongs to an entry, and no entry is lost.
fn entries(read: &Listing, raw: &[u8]) {
    let all: Vec<&Item> = read.files().iter().chain(read.folders()).collect();
    assert_eq!(all.len(), read.entries());
    let least: usize = all.iter().map(|item| read.name(item).len() + 23).sum();
    let most: usize = all.iter().map(|item| read.name(item).len() + 29).sum();
    assert!((least..=most).contains(&raw.len()), "{} bytes of {least} to {most}", raw.len());
    assert!(read.files().is_sorted_by(|a, b| read.name(a) <= read.name(b)));
    assert!(read.folders().is_sorted_by(|a, b| read.name(a) <= read.name(b)));
    for item in all {
        assert!(!read.name(item).contains(&0));
        assert!(raw.windows(20).any(|id| id == item.id.as_bytes()));
    }
}

/// What a tree says: its entries and what they are, what is kept of them, and where its earlier roots are.
fn told(listing: &Listing) -> (Vec<(&[u8], ObjectId, Mode, Named, bool)>, bool, Option<ObjectId>) {
    let all = listing.files().iter().chain(listing.folders());
    let told =
        all.map(|item| (listing.name(item), item.id, item.mode, item.named, listing.keeps(item, Kept::Here))).collect();
    (told, listing.is_of_metadata(), listing.history())
}

/// The names at which two trees differ.
fn differ(old: &Listing, new: &Listing, all: bool) -> Vec<Vec<u8>> {
    let pairs = Pairs::of_files((old, new), all).chain(Pairs::of_folders((old, new), all));
    pairs.filter(|(_, before, after)| !alike(before, after)).map(|(name, ..)| name.to_vec()).collect()
}
