//! Real middleware with virtual cards: pcscd with readers of vpcd, and YubiKeys of the project's own in them.
//!
//! Rules:
//! 1. vpcd listens on every interface, so all of this runs in a namespace of its own, where one pcscd is the only one.
//! 2. Every process that is started ends with its owner.
//! 3. Nothing sleeps for a fixed time where something can be looked at until it shows.
//! 4. What pcscd and the cards print is kept in the folder, for tests to search.

#![allow(dead_code, unreachable_pub, reason = "tests include this file as a module of their own, and use a part of it")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trustroot::token::piv::{Reader, Seen, readers};

/// Where vpcd lies on Debian.
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
/// Where the first reader listens; each has the next number.
const FIRST_PORT: u16 = 35963;

/// A process that ends with its owner.
pub(crate) struct Running(Child);

impl Running {
    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// pcscd with readers of vpcd, and no card in them.
pub(crate) struct Desk {
    folder: TempDir,
    service: Option<Running>,
}

impl Desk {
    /// With at least so many readers; `readers` are made in pairs.
    pub(crate) fn new(readers: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for pair in 0..readers.div_ceil(2) {
            // The driver keeps its state in globals: a copy under another name is another pair of readers.
            let driver = folder.path().join(format!("libifdvpcd-{pair}.so"));
            std::fs::copy(DRIVER, &driver).unwrap_or_else(|error| panic!("{DRIVER}: {error}; scripts/setup test"));
            let port = FIRST_PORT + 2 * pair;
            let more = if pair == 0 { String::new() } else { format!(" {pair}") };
            text += &format!(
                "FRIENDLYNAME \"Yubico YubiKey CCID VIRTUAL{more}\"\nDEVICENAME /dev/null:{port:#X}\n\
                 LIBPATH {}\nCHANNELID {port:#X}\n",
                driver.display()
            );
        }
        std::fs::write(folder.path().join("readers.conf"), text).unwrap();
        let mut desk = Self { folder, service: None };
        desk.start();
        desk
    }

    /// Starts the service again after [`Self::stop`].
    pub(crate) fn start(&mut self) {
        let mut command = Command::new("pcscd");
        command.arg("--foreground").arg("-c").arg(self.folder.path().join("readers.conf"));
        let child =
            command.stdout(self.log("pcscd")).stderr(self.log("pcscd")).spawn().expect("pcscd is not installed");
        self.service = Some(Running(child));
        until("pcscd answers", || readers().is_ok());
    }

    /// Ends the service, as if it had never been started.
    pub(crate) fn stop(&mut self) {
        self.service = None;
    }

    /// Where everything of this desk lies: configurations, states of cards (`SERIAL.json`), sockets, logs (`*.log`).
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self, of: &str) -> Stdio {
        let path = self.folder.path().join(format!("{of}.log"));
        File::options().append(true).create(true).open(path).unwrap().into()
    }

    /// Puts a YubiKey into a reader, from 0, and looks until it is seen. A card of this serial goes on where it was.
    pub(crate) fn card(&self, reader: u16, serial: u32, version: &str, more: &[&str]) -> Card {
        let card = self.put(reader, serial, version, more);
        until("the card is seen", || readers().is_ok_and(|all| all.iter().any(|reader| holds(reader, serial))));
        card
    }

    /// As [`Self::card`], for others to see: whoever looks at a card disturbs those who use it.
    pub(crate) fn put(&self, reader: u16, serial: u32, version: &str, more: &[&str]) -> Card {
        let program = std::env::var_os("TRUSTROOT_VIRTUAL_YUBIKEY")
            .expect("TRUSTROOT_VIRTUAL_YUBIKEY does not name the program that plays a card");
        let control = self.folder.path().join(format!("{serial}.sock"));
        let mut command = Command::new(program);
        command.args(["--port", &(FIRST_PORT + reader).to_string()]);
        command.args(["--serial", &serial.to_string(), "--version", version]);
        command.arg("--state").arg(self.folder.path().join(format!("{serial}.json")));
        command.arg("--control").arg(&control).args(more).stdin(Stdio::null());
        let log = format!("card-{serial}");
        let child = command.stdout(self.log(&log)).stderr(self.log(&log)).spawn().unwrap();
        until("the card can be told", || UnixStream::connect(&control).is_ok());
        Card { serial, control, process: Some(Running(child)) }
    }
}

fn holds(reader: &Reader, serial: u32) -> bool {
    matches!(&reader.seen, Seen::Token(token) if token.serial() == serial)
}

/// One virtual YubiKey. Dropping it pulls it for good.
pub(crate) struct Card {
    /// Its serial.
    pub(crate) serial: u32,
    /// Its control socket; what it takes stands in the package `virtual-yubikey`, at `control`.
    pub(crate) control: PathBuf,
    process: Option<Running>,
}

impl Card {
    /// Gives one order, and returns the answer.
    pub(crate) fn tell(&self, line: &str) -> String {
        tell(&self.control, line)
    }

    /// Pulls it, and looks until every reader is empty.
    pub(crate) fn stop(mut self) {
        self.process = None;
        empty();
    }
}

/// Looks until every reader is empty.
#[track_caller]
pub(crate) fn empty() {
    until("the readers are empty", || {
        readers().is_ok_and(|all| all.iter().all(|reader| matches!(reader.seen, Seen::Nothing { .. })))
    });
}

/// Gives one order to the card behind a control socket, and returns the answer.
pub(crate) fn tell(control: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(control).unwrap();
    writeln!(stream, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.trim().to_owned()
}

/// Looks until something holds, for twenty seconds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 seconds: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
