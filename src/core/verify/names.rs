//! The names of files, before anything is read: what is no plain file, names that look alike, folders of no record.

use super::look::Look;
use crate::check::Check;
use crate::page::Text;
use crate::tree::Entry;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use unicode_normalization::UnicodeNormalization as _;

/// Where people edit; nothing there is bound by a record.
const PLANS: &str = "ceremony/plans/";
/// What keeps git from changing line ends.
const ATTRIBUTES: &str = ".gitattributes";

pub(super) fn look(look: &mut Look<'_>, records: &[String]) {
    let tree = look.tree;
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut files = 0usize;
    for (path, entry) in tree {
        let top = path.split('/').next().unwrap_or_default();
        if !matches!(top, "ceremony" | "root") && [ATTRIBUTES, "ceremony", "root"].iter().any(|t| is_twin(t, top)) {
            look.refuse(Check::NameTwin, path, format!("some file systems take it for {}", top.to_lowercase())).hint =
                Some("remove it; on such a system it hides the other".into());
        }
        if !matches!(top, "ceremony" | "root") || path.starts_with(PLANS) {
            continue;
        }
        files += 1;
        let check = if top == "root" { Check::RootFiles } else { Check::RecordFiles };
        if let Entry::Odd(kind) = entry {
            look.refuse(check, path, format!("it is {kind}, not a regular file")).hint =
                Some("a trust root holds plain files only; remove it".into());
        }
        // File systems differ in case and in Unicode form: of two such names one hides the other.
        let folded: String = path.nfkc().flat_map(char::to_lowercase).nfkc().collect();
        if let Some(other) = seen.insert(folded, path) {
            let what = format!("it differs from {} only in case or Unicode form", crate::text::escape(other));
            look.refuse(Check::NameTwin, path, what).hint = Some("remove the one that no record names".into());
        }
        let in_record = records.iter().any(|dir| path.strip_prefix(dir.as_str()).is_some_and(|s| s.starts_with('/')));
        if top == "ceremony" && !in_record {
            look.refuse(Check::RecordFiles, path, "it lies in no record: its folder has no plan.json").hint =
                Some("restore the plan from git, or move the file to ceremony/plans".into());
        }
    }
    let attributes = look.bytes(ATTRIBUTES).and_then(|bytes| core::str::from_utf8(bytes).ok());
    let told = match attributes {
        Some(text) if text.lines().any(|line| line.trim() == "* -text") => {
            text.lines().find(|line| may_change_bytes(line)).map(|line| {
                Text::own("git may change bytes, and every digest with them, by the line `").and_foreign(line).and("`")
            })
        }
        _ => Some("the line `* -text` is missing: git may change line ends, and every digest with them".into()),
    };
    if let Some(what) = told {
        look.warn(Check::RootFiles, ATTRIBUTES, what).hint =
            Some("keep the line `* -text`, and no other that changes bytes".into());
    }
    look.checked.push(format!("names and kinds of {files} files in ceremony/ and root/"));
}

fn is_twin(name: &str, other: &str) -> bool {
    name != other && name.eq_ignore_ascii_case(other)
}

/// Whether a line of attributes may make git write other bytes than it holds. Macros are not looked into.
fn may_change_bytes(line: &str) -> bool {
    let line = line.trim();
    let changes = |attribute: &str| {
        let name = attribute.trim_start_matches(['-', '!']).split('=').next().unwrap_or_default();
        matches!(name, "text" | "eol" | "crlf" | "ident" | "filter" | "working-tree-encoding")
    };
    line != "* -text"
        && !line.starts_with('#')
        && (line.starts_with("[attr]") || line.split_whitespace().skip(1).any(changes))
}
