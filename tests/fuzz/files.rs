//! Files out of bytes: with NUL between them, each a path, a line feed and its content.
//!
//! A file without a path is an event, which is laid where it belongs after the last one, with the plan of the record:
//! so changed events reach the replay, instead of ending at their digests.

use trustroot_core::digest::Digest;
use trustroot_core::event::Event;
use trustroot_core::tree::{Entry, Tree};

pub fn tree(bytes: &[u8]) -> Tree {
    let (mut tree, mut last, mut plan) = (Tree::new(), None, Digest::of(b""));
    let mut dir = String::new();
    for part in bytes.split(|byte| *byte == 0) {
        let Some(end) = part.iter().position(|byte| *byte == b'\n') else { continue };
        let (path, content) = (String::from_utf8_lossy(&part[..end]), &part[end + 1..]);
        if let (true, Ok(mut event)) = (path.is_empty(), Event::from_bytes(content)) {
            (event.plan, event.after) = (plan, last.into_iter().collect());
            let bytes = event.to_canonical();
            last = Some(Digest::of(&bytes));
            tree.insert(format!("{dir}/{}", event.path()), Entry::File(bytes));
            continue;
        }
        if let Some(of) = path.strip_suffix("/plan.json") {
            (dir, plan) = (of.to_owned(), Digest::of(content));
        }
        tree.insert(path.into_owned(), Entry::File(content.to_vec()));
    }
    tree
}
