//! Searching for secrets, wherever a program could have left one.
//!
//! Rules:
//! 1. A secret is searched for as it is, in hexadecimal of both cases, and in Base64 at each of its three alignments.
//! 2. What is searched is counted, so that a search of nothing is not taken for one that found nothing.
//! 3. Processes are looked at again and again, from another thread, for as long as a [`Watch`] lives.

#![allow(dead_code, unreachable_pub, reason = "tests include this file as a module of their own, and use a part of it")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What must not be found, in every form it could have.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<(String, String)>);

/// One place where something was found: which secret, and where.
pub(crate) type Found = BTreeSet<(String, String)>;

impl Secrets {
    /// Adds one, called `name`.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        assert!(bytes.len() >= 6, "{name} is too short to be told from chance");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [latin(bytes), hex.to_uppercase(), hex].into_iter().chain(base64(bytes)) {
            self.0.push((name.to_owned(), form));
        }
    }

    /// Searches bytes that came from `place`.
    pub(crate) fn search(&self, place: &str, bytes: &[u8], found: &mut Found) {
        let text = latin(bytes);
        let here = self.0.iter().filter(|(_, form)| text.contains(form.as_str()));
        found.extend(here.map(|(name, _)| (name.clone(), place.to_owned())));
    }

    /// Searches every file below a folder, names included; how many there were.
    pub(crate) fn search_files(&self, folder: &Path, found: &mut Found) -> usize {
        let (mut files, mut folders) = (0, vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            // A folder or file that went away in the meantime is none to search.
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                self.search("a name", path.as_os_str().as_encoded_bytes(), found);
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(kind) if kind.is_file() => {
                        if let Ok(bytes) = std::fs::read(&path) {
                            files += 1;
                            self.search(&path.display().to_string(), &bytes, found);
                        }
                    }
                    _ => {}
                }
            }
        }
        files
    }

    /// Searches every object of a git repository, those that nothing names included; how many bytes they have.
    pub(crate) fn search_objects(&self, repository: &Path, found: &mut Found) -> usize {
        let git = ["cat-file", "--batch", "--batch-all-objects", "--unordered"];
        let objects = Command::new("git").arg("-C").arg(repository).args(git).output().expect("git is there");
        assert!(objects.status.success(), "{}", String::from_utf8_lossy(&objects.stderr));
        self.search(&format!("objects of {}", repository.display()), &objects.stdout, found);
        objects.stdout.len()
    }
}

/// Bytes as a text of as many characters.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// What a longer Base64 text that holds these bytes contains for sure, at each of three alignments.
fn base64(bytes: &[u8]) -> Vec<String> {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = |skip: usize| {
        let aligned = &bytes[skip..];
        let signs = aligned.chunks_exact(3).flat_map(|three| {
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            [18, 12, 6, 0].map(|shift| char::from(SIGNS[(bits >> shift & 63) as usize]))
        });
        signs.collect::<String>()
    };
    (0..3).map(whole).filter(|form| form.len() >= 8).collect()
}

/// Looks at the arguments and the environment of every process that can be looked at, and at every file of a folder for
/// what is there only for a while, until it is ended.
pub(crate) struct Watch {
    ended: Arc<AtomicBool>,
    seen: Arc<Mutex<(Found, BTreeSet<String>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins, with `folder` for what lies there only for a while. More secrets can be added to those that are shared.
    pub(crate) fn begin(secrets: &Arc<Mutex<Secrets>>, folder: &Path) -> Self {
        let (ended, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let folder = folder.to_owned();
        let thread = {
            let (ended, seen, secrets) = (ended.clone(), Arc::clone(&seen), secrets.clone());
            std::thread::spawn(move || {
                while !ended.load(SeqCst) {
                    let secrets = secrets.lock().expect("nobody panicked").clone();
                    look(&secrets, &folder, &seen);
                    std::thread::sleep(Duration::from_millis(50));
                }
            })
        };
        Self { ended, seen, thread: Some(thread) }
    }

    /// Ends; what was found, and the names of the programs whose arguments were read.
    pub(crate) fn end(mut self) -> (Found, BTreeSet<String>) {
        self.ended.store(true, SeqCst);
        self.thread.take().expect("a thread").join().expect("it looked to the end");
        let seen = self.seen.lock().expect("nobody panicked");
        seen.clone()
    }
}

fn look(secrets: &Secrets, folder: &Path, seen: &Mutex<(Found, BTreeSet<String>)>) {
    let (mut found, mut programs) = (Found::new(), BTreeSet::new());
    for process in std::fs::read_dir("/proc").expect("a system with /proc").flatten() {
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // A process that went away in the meantime is none to look at.
        for what in ["cmdline", "environ"] {
            let Ok(bytes) = std::fs::read(process.path().join(what)) else { continue };
            let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name.rsplit(|byte| *byte == b'/').next().unwrap_or_default());
            if what == "cmdline" {
                programs.insert(name.clone().into_owned());
            }
            secrets.search(&format!("{what} of a process"), &bytes, &mut found);
        }
    }
    secrets.search_files(folder, &mut found);
    let mut seen = seen.lock().expect("nobody panicked");
    seen.0.extend(found);
    seen.1.extend(programs);
}
