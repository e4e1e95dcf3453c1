//! What a commit says in its own bytes.

use super::ObjectId;
use alloc::vec::Vec;

/// A commit, without author and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, in order.
    pub parents: Vec<ObjectId>,
    /// The committer's time, in seconds since 1970.
    pub time: i64,
}

impl Commit {
    /// Reads a commit; nothing if the bytes are none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let tree = ObjectId::from_hex(lines.next()?.strip_prefix(b"tree ")?)?;
        let mut parents = Vec::new();
        let mut lines = lines.peekable();
        // Where git stops reading parents, they end.
        while let Some(parent) = lines.peek().and_then(|line| line.strip_prefix(b"parent ")) {
            parents.push(ObjectId::from_hex(parent)?);
            lines.next();
        }
        let committer = lines.take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(b"committer "));
        Some(Self { tree, parents, time: committer.map_or(0, seconds) })
    }
}

/// The time in `Name <mail> seconds zone`, where the name may hold anything. A commit whose time cannot be read is from 1970,
/// as git has it: it counts like any other.
fn seconds(committer: &[u8]) -> i64 {
    let after = committer.rsplit(|byte| *byte == b'>').next().unwrap_or_default();
    let text = core::str::from_utf8(after).unwrap_or_default().split_ascii_whitespace().next().unwrap_or_default();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let beyond = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    text.parse().unwrap_or(if all_digits { beyond } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    const TREE: &str = "0123456789abcdef0123456789abcdef01234567";
    const PARENT: &str = "89abcdef0123456789abcdef0123456789abcdef";

    fn commit(parents: &[&str], committer: &str) -> String {
        let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        format!("tree {TREE}\n{parents}author A <a@b> 1 +0000\ncommitter {committer}\n\ncommitter B <b@c> 9 +0000\n")
    }

    #[test]
    fn parents_in_order_and_the_committers_time() {
        let read = Commit::parse(commit(&[PARENT, TREE], "A <a@b> 1767607200 +0100").as_bytes()).unwrap();
        let id = |text: &str| ObjectId::from_hex(text.as_bytes()).unwrap();
        assert_eq!(read, Commit { tree: id(TREE), parents: alloc::vec![id(PARENT), id(TREE)], time: 1_767_607_200 });
    }

    #[test]
    fn a_time_that_cannot_be_read_is_1970_and_one_too_large_is_the_last() {
        for (committer, time) in [
            ("A <a@b> -5 +0000", -5),
            ("> 7 <> 8 +0000", 8),
            ("A <a@b>", 0),
            ("A <a@b> soon +0000", 0),
            ("A <a@b> - +0000", 0),
            ("A <a@b> 99999999999999999999 +0000", i64::MAX),
            ("A <a@b> -99999999999999999999 +0000", i64::MIN),
        ] {
            assert_eq!(Commit::parse(commit(&[], committer).as_bytes()).unwrap().time, time, "{committer}");
        }
    }

    #[test]
    fn what_is_no_commit() {
        let whole = commit(&[PARENT], "A <a@b> 1 +0000");
        for bad in ["", "tree ", &whole[1..], &whole.replacen('0', "", 1), &whole.replacen("8", "x", 1)] {
            assert_eq!(Commit::parse(bad.as_bytes()), None, "{bad:?}");
        }
        // git reads parents up to the first line that is none.
        let late = whole.replacen("author", &format!("x\nparent {TREE}\nauthor"), 1);
        assert_eq!(Commit::parse(late.as_bytes()).unwrap().parents.len(), 1);
    }
}
