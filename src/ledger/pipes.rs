//! A prepared repository may hold a pipe or a device where git has a file. Whoever opens a pipe waits for ever for somebody to
//! write, and so would whoever verifies: they are refused before anything is opened.

use std::collections::BTreeSet;
use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

/// A pipe or a device in git's folder of the repository that `path` lies in. A link counts as what it leads to; the folders
/// that are looked into all lie in the repository. What cannot be listed is left to whoever opens it.
pub(super) fn find(path: &Path) -> Option<PathBuf> {
    let (top, folder) = path.ancestors().find_map(|top| Some((top.canonicalize().ok()?, git_folder(top)?)))?;
    let mut seen = BTreeSet::new();
    let mut open = Vec::from([folder]);
    while let Some(here) = open.pop() {
        let Ok(kind) = fs::metadata(&here) else { continue };
        if is_odd(kind.file_type()) {
            return Some(here);
        }
        let inside = here.canonicalize().ok().filter(|real| kind.is_dir() && real.starts_with(&top));
        if inside.is_some_and(|real| seen.insert(real)) {
            let entries = fs::read_dir(&here).into_iter().flatten().flatten();
            open.extend(entries.filter(|one| one.file_type().is_ok_and(|kind| !kind.is_file())).map(|one| one.path()));
        }
    }
    None
}

/// Git's folder of a repository whose top is `top`, or of one without a working tree; or what stands in its place.
fn git_folder(top: &Path) -> Option<PathBuf> {
    let inside = top.join(".git");
    if fs::symlink_metadata(&inside).is_ok() {
        return Some(inside);
    }
    let bare = fs::symlink_metadata(top.join("HEAD")).is_ok() && top.join("objects").is_dir();
    bare.then(|| top.to_owned())
}

#[cfg(unix)]
fn is_odd(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
}

#[cfg(not(unix))]
fn is_odd(_: FileType) -> bool {
    false
}
