//! The client and a mirror that does anything, by chance from a seed. What the mirror can do, and what holds all the same, is in
//! `mirror/`; the fuzz target `client` looks further for inputs.
//!
//! Half of the inputs are judged by real signatures. For the other half every signature counts, so that changed metadata gets
//! as deep as it can.
//!
//! `TRUSTROOT_HOSTILE=N` tries N inputs in place of the usual few; the one that fails is printed.

mod mirror;
mod simulator;

use mirror::Mirror;
use mirror::owners::OWNERS;
use mirror::rounds::{Outcome, follow};
use std::sync::Arc;
use std::time::Duration;
use trustroot_client::source::{Body, FetchError, Source};
use trustroot_client::{Client, Limits};

/// Numbers by chance: xorshift, so that the same seed gives the same ones everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u8 {
        (self.next() >> 8) as u8 % end.min(255) as u8
    }

    /// Bytes, many of them small, as the choices in an input are, or from JSON.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next() % 120;
        let byte = |chance: u64| match chance % 4 {
            0 => (chance >> 8) as u8 % 10,
            1 => b"0123456789abcdef\"{}[]:,-"[(chance >> 8) as usize % 24],
            _ => (chance >> 8) as u8,
        };
        (0..length).map(|_| byte(self.next())).collect()
    }

    /// Rounds in which little is done to the files, so that most of them lead far: an edit that is signed with keys that the
    /// mirror has, and published in its place, or a file in another one's place.
    fn rounds(&mut self) -> Vec<u8> {
        let count = self.below(3);
        let mut bytes = vec![self.below(2) * 2, count];
        for _ in 0..=count {
            bytes.extend([0, 0, self.below(8), self.below(3)]);
            let deeds = self.below(3);
            bytes.push(deeds);
            for _ in 0..deeds {
                let kind = [6, 7, 8, 9, 12, 12, 12, 12][usize::from(self.below(8))];
                bytes.extend([self.below(255), kind]);
                match kind {
                    6 => bytes.extend([0, self.below(255)]),
                    7 | 8 => bytes.extend([0, self.below(255), 1, self.below(255)]),
                    9 => bytes.extend([self.below(3), self.below(255)]),
                    // One place; what it becomes; and the keys that sign it.
                    _ => {
                        bytes.extend([0, self.below(60), self.below(60)]);
                        let how = self.below(8);
                        bytes.extend([how, self.below(255)]);
                        bytes.extend((how == 3).then(|| self.below(4)));
                        bytes.push(0x7f);
                    }
                }
            }
            bytes.extend([self.below(2) * 3, self.below(3), 0]);
            bytes.truncate(bytes.len() - usize::from(bytes[bytes.len() - 3] == 0));
        }
        bytes
    }
}

#[test]
fn any_answers_leave_what_the_owners_signed() {
    let count = std::env::var("TRUSTROOT_HOSTILE").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let (mut chance, mut downloaded, mut failed) = (Chance(0x5eed), 0, 0);
    for number in 0..count {
        let bytes = if number % 2 == 0 { chance.bytes() } else { chance.rounds() };
        match std::panic::catch_unwind(|| follow(&bytes)) {
            Ok(Outcome { downloaded: 0, .. }) => failed += 1,
            Ok(outcome) => downloaded += outcome.downloaded,
            Err(panic) => {
                eprintln!("input {number}: {bytes:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(downloaded > 10 && failed > 10, "{downloaded} downloaded, {failed} without any: chance tries too little");
}

#[test]
fn answers_in_order_are_followed() {
    // Two rounds, the repository at its first two moments, nothing done to it; each time two targets that are there.
    // Of each round its kind, clock and path; then the moment, and that nothing is done to it.
    let rounds = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0];
    for consistent in [0, 2] {
        let input = [&[consistent], &rounds[..]].concat();
        assert_eq!(follow(&input), Outcome { root: 7, refreshed: 2, downloaded: 4 });
    }
}

/// A source of somebody else's that fails in the middle, from the root on that is asked for ahead.
#[derive(Debug)]
struct Failing(Box<dyn Source>);

impl Source for Failing {
    fn name(&self) -> String {
        "failing".to_owned()
    }

    fn open(&self, path: &str, from: u64, most: u64) -> Result<Body, FetchError> {
        assert_ne!(path, "6.root.json", "the source fails");
        self.0.open(path, from, most)
    }
}

#[test]
fn a_source_that_panics_leaves_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let files = &OWNERS[1].moments[1];
        let client = Client::new(&path, Limits::default());
        client.init(&files["metadata/1.root.json"]).unwrap();
        let honest = Mirror::honest(files, &Arc::default());
        let mirrors: [Box<dyn Source>; 1] = [Box::new(Failing(honest.serving("metadata")))];
        let refresh = || client.refresh(&mirrors, simulator::now()).map(|_| ());
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(refresh)).is_err();
        // What was believed before is lost with the panic; what lies here is not.
        tell.send((failed, client.refresh(&[honest.serving("metadata")], simulator::now()).is_ok())).unwrap();
    });
    let ended = told.recv_timeout(Duration::from_secs(20));
    assert_eq!(ended, Ok((true, true)), "the panic reaches the caller, and the folder can be used");
}
/// The inputs that fuzzing begins with, and those that once were findings.
#[test]
fn the_seeds_of_fuzzing_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/client");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        follow(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count >= 8, "{count} seeds");
}
