//! The client in a process of its own: the test program that this is part of, started again for [`does_what_it_is_told`]
//! alone. What kills a process, or fills its disk, cannot be tried within the test program itself.
#![allow(dead_code, unreachable_pub)]

use crate::simulator::{Case, Repository, now, versions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use trustroot_client::source::{self, Source};
use trustroot_client::{Client, Error, Limits, Progress};

/// Tell the process that it is the client, and what to do: the mirrors, a folder for metadata and targets, the targets.
const TOLD: [&str; 3] = ["TRUSTROOT_TEST_MIRRORS", "TRUSTROOT_TEST_DIR", "TRUSTROOT_TEST_TARGETS"];

/// Does nothing in the test program itself.
#[test]
fn does_what_it_is_told() {
    let [Ok(mirrors), Ok(dir), Ok(targets)] = TOLD.map(std::env::var) else { return };
    if let Err(error) = follow(&mirrors, Path::new(&dir), &targets) {
        panic!("{error}\nhint: {}\n{error:?}", error.hint());
    }
}

/// Refreshes, then downloads one target after the other. A line is said at every step.
fn follow(mirrors: &str, dir: &Path, targets: &str) -> Result<(), Error> {
    let at = |part: &str| -> Vec<Box<dyn Source>> {
        let url = |mirror: &str| source::from_text(&format!("{mirror}/{part}"), &Limits::default()).unwrap();
        mirrors.split(' ').map(url).collect()
    };
    let client = Client::new(&dir.join("metadata"), Limits::default()).watched(|progress| match progress {
        Progress::Root(version) => say(&format!("root {version}")),
        Progress::Target { path, have, .. } => say(&format!("{path}: {have}")),
        Progress::Mirror(error) => say(&format!("another mirror: {error}")),
    });
    let (metadata, bases) = (at("metadata"), at("targets"));
    'refreshed: loop {
        let mut session = client.refresh(&metadata, now())?;
        say(&format!("refreshed to {:?}", versions(&session)));
        let found: Vec<_> = targets.split_whitespace().map(|path| session.find(path)).collect::<Result<_, _>>()?;
        drop(session);
        for found in found {
            match client.download(&found, &bases, &dir.join("targets")) {
                Ok(_) => say(&format!("{} is there", found.path)),
                Err(error @ Error::Stale(_)) => {
                    say(&error.to_string());
                    continue 'refreshed;
                }
                Err(error) => return Err(error),
            }
        }
        return Ok(());
    }
}

/// Says a line. Nobody may be listening any more.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// So many bytes for a target, others for each `first` one.
pub fn content(first: usize, length: usize) -> Vec<u8> {
    let some: Vec<u8> = (first..first + 251).map(|n| n as u8).collect();
    let mut all = some.repeat(length / some.len() + 1);
    all.truncate(length);
    all
}

/// A client that asks the repository itself.
pub fn child(repository: &Repository, case: &Case, targets: &[&str]) -> Command {
    started(&[], &[repository.server.url("")], case.folder.path(), targets)
}

/// A client that is started by the command `before`, if that is not empty.
pub fn started(before: &[&str], mirrors: &[String], dir: &Path, targets: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap().display().to_string();
    let words = [before, &[program.as_str(), "--exact", "again::does_what_it_is_told", "--nocapture"]].concat();
    let mirrors: Vec<_> = mirrors.iter().map(|mirror| mirror.trim_end_matches('/')).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env(TOLD[0], mirrors.join(" ")).env(TOLD[1], dir).env(TOLD[2], targets.join(" "));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Kills it as soon as it says what `moment` waits for, and a little later. Whether it came to that.
pub fn kill_at(mut child: Child, mut moment: impl FnMut(&str) -> bool, later: Duration) -> bool {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let came = lines.any(|line| moment(&line.unwrap()));
    std::thread::sleep(later);
    child.kill().unwrap();
    // What it still says is read, so that it does not wait for that in place of going on.
    lines.for_each(drop);
    child.wait().unwrap();
    came
}

/// Waits until it ends. Whether it ended well, and all that it said.
pub fn ended(child: Child) -> (bool, String) {
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.success(), said.concat())
}
