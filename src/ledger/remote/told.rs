//! Telling apart what git and the far end say when something does not work.
//!
//! git has no codes for this, so its English words decide, the most certain first. What matches none is shown as it is
//! ([`RemoteError::Git`]): a wrong guess would send people to the wrong place.

use crate::seams::RemoteError;

use super::program::Said;

/// What went wrong with `what` (`fetch`, `push`, `clone`) at `remote`.
pub(super) fn failure(what: &'static str, remote: &str, said: &Said) -> RemoteError {
    let remote = remote.to_owned();
    let words = said.words();
    let heard = said.err.to_ascii_lowercase();
    let any = |known: &[&str]| known.iter().any(|known| heard.contains(known));
    if said.late || any(NO_WAY) {
        return RemoteError::Unreachable { remote, said: words };
    }
    if any(HOST_KEY) {
        return RemoteError::HostKey { remote, said: words };
    }
    if any(FORBIDDEN_WAY) {
        return RemoteError::Address { url: remote, reason: "only https, ssh and paths are used" };
    }
    if any(TOO_LARGE) {
        return RemoteError::TooLarge { remote, what: "a pack of more than 1 GiB".to_owned() };
    }
    if any(DISK) {
        // A disk that is full here and one that is full there use the same words; only the far end's come as `remote:`.
        let far =
            heard.lines().any(|line| line.trim_start().starts_with("remote:") && DISK.iter().any(|d| line.contains(d)));
        if far || what == "push" {
            return RemoteError::FarDisk { remote, said: words };
        }
    }
    if what == "push" && any(MAY_NOT_WRITE) {
        return RemoteError::Denied { remote, said: words };
    }
    if any(UNKNOWN_PERSON) {
        return RemoteError::Authentication { remote, said: words };
    }
    if any(NOTHING_THERE) {
        return RemoteError::NoRepository { remote, said: words };
    }
    if what == "push" && any(MAY_NOT_WRITE_BY_SYSTEM) {
        return RemoteError::Denied { remote, said: words };
    }
    if any(MALFORMED) {
        return RemoteError::Damaged { remote, said: words };
    }
    RemoteError::Git { what, remote, said: words }
}

/// Why one reference was not taken: `reason` is what stands in parentheses in `git push --porcelain`, `all` everything said.
pub(super) fn rejection(remote: &str, branch: &str, reason: &str, said: &Said) -> RemoteError {
    let remote = remote.to_owned();
    let heard = format!("{reason}\n{}", said.err).to_ascii_lowercase();
    let words = {
        let own = said.words();
        let remotes: Vec<&str> = said.err.lines().filter(|line| line.starts_with("remote:")).collect();
        let far = super::program::words(&remotes.join("\n"), "");
        let reason = super::program::words(reason, "no reason given");
        if far.is_empty() { format!("{reason}; {own}") } else { format!("{reason}; {far}") }
    };
    let any = |known: &[&str]| known.iter().any(|known| heard.contains(known));
    let plain = reason.to_ascii_lowercase();
    let moved = ["fetch first", "non-fast-forward", "needs force", "stale info", "incorrect old value"];
    let raced = ["cannot lock ref", "failed to update ref", "failed to lock", "reference already exists"];
    if any(DISK) {
        return RemoteError::FarDisk { remote, said: words };
    }
    if any(PROTECTED) {
        return RemoteError::Protected { remote, branch: branch.to_owned(), said: words };
    }
    if plain.contains("hook declined") {
        return RemoteError::Declined { remote, said: words };
    }
    if moved.iter().any(|known| plain.contains(known)) {
        return RemoteError::Moved { remote, branch: branch.to_owned() };
    }
    if any(MAY_NOT_WRITE) || any(MAY_NOT_WRITE_BY_SYSTEM) {
        return RemoteError::Denied { remote, said: words };
    }
    if raced.iter().any(|known| plain.contains(known)) {
        return RemoteError::Moved { remote, branch: branch.to_owned() };
    }
    RemoteError::Declined { remote, said: words }
}

const NO_WAY: &[&str] = &[
    "could not resolve host",
    "could not resolve proxy",
    "name or service not known",
    "temporary failure in name resolution",
    "connection refused",
    "connection timed out",
    "operation timed out",
    "connection reset",
    "network is unreachable",
    "no route to host",
    "failed to connect",
    "couldn't connect to server",
    "could not connect to server",
    "operation too slow",
];
const HOST_KEY: &[&str] = &[
    "host key verification failed",
    "remote host identification has changed",
    "server certificate verification failed",
    "ssl certificate problem",
    "certificate subject name",
];
const FORBIDDEN_WAY: &[&str] = &["transport '", "protocol \"", "is not a git command"];
const TOO_LARGE: &[&str] =
    &["file size limit exceeded", "file too large", "died of signal 25", "exceeds maximum allowed size"];
const DISK: &[&str] = &["no space left on device", "disk quota exceeded", "out of disk space"];
const MAY_NOT_WRITE: &[&str] = &[
    "the requested url returned error: 403",
    "write access to repository not granted",
    "permission to ",
    "you are not allowed to push code to this project",
    "deploy key does not have write",
    "user permission denied",
];
const MAY_NOT_WRITE_BY_SYSTEM: &[&str] = &[
    "insufficient permission for adding an object",
    "unable to create temporary object directory",
    "read-only file system",
    "permission denied",
];
const UNKNOWN_PERSON: &[&str] = &[
    "permission denied (",
    "authentication failed",
    "could not read username",
    "could not read password",
    "terminal prompts disabled",
    "invalid username or",
    "invalid credentials",
    "the requested url returned error: 401",
    "the requested url returned error: 403",
    "too many authentication failures",
    "no supported authentication methods",
];
const NOTHING_THERE: &[&str] = &[
    "does not appear to be a git repository",
    "repository not found",
    "the project you were looking for could not be found",
    "' not found",
    "does not exist",
    "no such file or directory",
    "not a git repository",
    "detected dubious ownership",
    "could not read from remote repository",
    "the requested url returned error: 404",
];
const PROTECTED: &[&str] = &["protected branch", "gh006", "gh013", "not allowed to push code to protected branches"];
const MALFORMED: &[&str] = &[
    "fsck error",
    "index-pack failed",
    "invalid index-pack output",
    "bad object",
    "pack has bad",
    "unpack-objects failed",
    "did not send all necessary objects",
    "missing necessary objects",
    "early eof",
];
