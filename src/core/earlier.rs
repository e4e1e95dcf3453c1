//! Earlier records: the first event of a ceremony names every record that is over, by one digest of its whole folder.
//!
//! What a ceremony did after its proposal is vouched for by no root signature of its own. The next root's signatures vouch for
//! the events before its proposal, so for that first event, and through it for every byte of every earlier record. A record
//! that was over cannot be taken away, changed or put in afterwards without that.

use crate::digest::Digest;
use crate::record::{Record, records};
use crate::replay::replay;
use crate::tree::{Entry, Tree};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use crate::check::Finding;
use alloc::vec::Vec;

/// SHA-256 of one line for each file below `dir`, in order of the paths' bytes: the SHA-256 of the file in hexadecimal
/// digits, two spaces, the path from the top of the repository, a line feed. `git ls-files` and `sha256sum` make the same.
pub fn folder_digest(tree: &Tree, dir: &str) -> Digest {
    let prefix = String::from(dir) + "/";
    let mut lines = String::new();
    for (path, entry) in tree.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)) {
        // What is no regular file is refused wherever a tree is judged; no digest can be mistaken for it.
        let digest = match entry {
            Entry::File(bytes) => Digest::of(bytes).to_string(),
            Entry::Odd(kind) => kind.to_string(),
        };
        lines.extend([digest.as_str(), "  ", path, "\n"]);
    }
    Digest::of(lines.as_bytes())
}

/// Every record in `tree` besides the one in `dir` that is over, closed or abandoned, by its folder.
///
/// # Errors
/// The findings about a record that cannot be read: a ceremony that named it would vouch for what nobody can judge.
pub fn over(tree: &Tree, dir: &str) -> Result<BTreeMap<String, Digest>, Vec<Finding>> {
    let mut over = BTreeMap::new();
    for other in records(tree).into_iter().filter(|other| other != dir) {
        let record = Record::read(tree, &other)?;
        let ceremony = replay(&record, tree).map_err(|finding| Vec::from([finding]))?;
        if ceremony.is_over() {
            let digest = folder_digest(tree, &other);
            over.insert(other, digest);
        }
    }
    Ok(over)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `printf` and `sha256sum` have it.
    #[test]
    fn the_digest_is_that_of_the_lines_of_sha256sum() {
        let mut tree = Tree::new();
        for (path, text) in [("ceremony/a/plan.json", "plan"), ("ceremony/a/log/b.json", "b"), ("ceremony/ab", "no")] {
            tree.insert(path.to_string(), Entry::File(text.as_bytes().to_vec()));
        }
        let lines = [&Digest::of(b"b").to_string(), "  ceremony/a/log/b.json\n", &Digest::of(b"plan").to_string()];
        let lines = lines.concat() + "  ceremony/a/plan.json\n";
        assert_eq!(folder_digest(&tree, "ceremony/a"), Digest::of(lines.as_bytes()));
        let before = folder_digest(&tree, "ceremony/a");
        tree.insert("ceremony/a/plan.json".to_string(), Entry::Odd("a symbolic link"));
        assert_ne!(folder_digest(&tree, "ceremony/a"), before);
    }
}
