//! One virtual YubiKey in a reader of a running `pcscd`; see README.md.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use virtual_yubikey::control::{firmware, serve, touch};
use virtual_yubikey::{Line, Model, Reader, State, Touch, algorithm, attest};

const USAGE: &str = "\
usage: virtual-yubikey --control SOCKET [OPTION...]
       virtual-yubikey --certificates FOLDER

  --serial N            20000001 if nothing is said
  --version A.B.C       5.7.4
  --state FILE          keeps the card; made where it is missing
  --port N              where vpcd listens: 35963
  --touch WHEN          always | never | asked (by the control socket) | MILLISECONDS; always
  --touch-limit SECONDS how long it waits for a touch: 15
  --line LINE           direct | rsa | ecdsa: how its certificate hangs on the anchor; ecdsa since 5.7.4
  --attestation-key K   p256 | rsa2048; p256
  --fips --cspn         of the certified series
  --pin-complexity      refuses PINs that are easy to guess
  --certificates FOLDER writes the anchor and every intermediate there, as DER, and ends
";

struct Options {
    model: Model,
    line: Option<Line>,
    state: Option<PathBuf>,
    control: Option<PathBuf>,
    certificates: Option<PathBuf>,
    port: u16,
    touch: Touch,
    touch_limit: Duration,
}

/// Reads the arguments; nothing if they are not understood.
fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut read = Options {
        model: Model::new(20_000_001, [5, 7, 4]),
        line: None,
        state: None,
        control: None,
        certificates: None,
        port: 35963,
        touch: Touch::Always,
        touch_limit: Duration::from_secs(15),
    };
    while let Some(option) = args.next() {
        match option.as_str() {
            "--fips" => read.model.fips = true,
            "--cspn" => read.model.cspn = true,
            "--pin-complexity" => read.model.pin_complexity = true,
            _ => {
                let value = args.next()?;
                match option.as_str() {
                    "--serial" => read.model.serial = value.parse().ok()?,
                    "--version" => read.model.firmware = firmware(&value)?,
                    "--state" => read.state = Some(value.into()),
                    "--control" => read.control = Some(value.into()),
                    "--certificates" => read.certificates = Some(value.into()),
                    "--port" => read.port = value.parse().ok()?,
                    "--touch" => read.touch = touch(&value)?,
                    "--touch-limit" => read.touch_limit = Duration::from_secs(value.parse().ok()?),
                    "--line" => {
                        read.line = Some(match value.as_str() {
                            "direct" => Line::Direct,
                            "rsa" => Line::Rsa,
                            "ecdsa" => Line::Ecdsa,
                            _ => return None,
                        });
                    }
                    "--attestation-key" => {
                        read.model.attestation_algorithm = match value.as_str() {
                            "p256" => algorithm::P256,
                            "rsa2048" => algorithm::RSA2048,
                            _ => return None,
                        };
                    }
                    _ => return None,
                }
            }
        }
    }
    // What a firmware has by itself, unless something else was said.
    read.model.line = read.line.unwrap_or(Model::new(read.model.serial, read.model.firmware).line);
    Some(read)
}

fn write_certificates(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("anchor.der"), attest::anchor())?;
    for (line, name) in [(Line::Rsa, "rsa"), (Line::Ecdsa, "ecdsa")] {
        for (n, der) in line.intermediates().iter().enumerate() {
            std::fs::write(folder.join(format!("{name}-{}.der", n + 1)), der)?;
        }
    }
    Ok(())
}

fn run(options: Options) -> std::io::Result<()> {
    if let Some(folder) = &options.certificates {
        return write_certificates(folder);
    }
    let control = options.control.ok_or_else(|| std::io::Error::other("--control SOCKET is missing"))?;
    let state = match &options.state {
        Some(path) => State::load(path, options.model)?,
        None => State::factory(options.model),
    };
    let reader = Reader::insert(state, options.state.as_deref(), options.port, options.touch, options.touch_limit);
    serve(&control, &reader)
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("virtual-yubikey: {error}");
            ExitCode::FAILURE
        }
    }
}
