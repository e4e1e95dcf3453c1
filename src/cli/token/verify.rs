//! `trustroot token verify`: attestations in files, whoever made them.
//!
//! Either the files are named one by one, or a folder is: with the names of this program and of the Rust project
//! (`attestation-SLOT.pem`, `f9-intermediate.pem`, `public.pem`), or with Sigstore's (`N_key_cert.pem`,
//! `N_device_cert.pem`, `N_pubkey.pem`), or a folder of such folders. A folder called by a number is that token's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::key::PublicKey;
use trustroot_core::plan::read_firmware;
use trustroot_core::text::escape;

use super::attestation::{Verdict, Wanted, certificates, openssl, verdict};
use crate::cli::failure::{Failure, Kind};
use crate::cli::print;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The most folders that are looked into at once.
const MAX_FOLDERS: usize = 1000;

/// Whether a published weakness refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Advisories {
    /// It refuses.
    Block,
    /// It is reported.
    Report,
}

#[derive(clap::Args)]
pub(super) struct Args {
    /// Folders with attestations, or folders of such folders.
    #[arg(value_name = "DIR", required_unless_present = "attestation", conflicts_with_all = ["attestation", "intermediates", "public_key"])]
    folders: Vec<PathBuf>,
    /// The attestation certificate of the key, PEM.
    #[arg(long, value_name = "KEY.pem")]
    attestation: Option<PathBuf>,
    /// The device's certificate (f9), and whatever stands between it and the vendor's anchor; may be given again.
    #[arg(long = "intermediate", value_name = "F9.pem")]
    intermediates: Vec<PathBuf>,
    /// The published key, PEM.
    #[arg(long, value_name = "PUB.pem")]
    public_key: Option<PathBuf>,
    /// The serial number of the token that is meant.
    #[arg(long, value_name = "N")]
    serial: Option<u32>,
    /// The slot that is meant.
    #[arg(long, value_name = "SLOT", default_value = "9c")]
    slot: String,
    /// The least firmware, MAJOR.MINOR.PATCH.
    #[arg(long, value_name = "VERSION", value_parser = firmware, default_value = "0.0.0")]
    minimum_firmware: (u8, u8, u8),
    /// Whether a published weakness refuses.
    #[arg(long, value_enum, default_value = "block")]
    advisories: Advisories,
    /// Accept a virtual token's attestation, which proves nothing.
    #[arg(long)]
    rehearsal: bool,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

fn firmware(text: &str) -> Result<(u8, u8, u8), String> {
    read_firmware(text).ok_or_else(|| "write MAJOR.MINOR.PATCH, such as 5.7.0".to_owned())
}

/// The files of one attestation.
struct Files {
    name: String,
    attestation: PathBuf,
    intermediates: Vec<PathBuf>,
    key: Option<PathBuf>,
    serial: Option<u32>,
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let mut found = Vec::new();
    if let Some(attestation) = &args.attestation {
        found.push(Files {
            name: shown(attestation),
            attestation: here.join(attestation),
            intermediates: args.intermediates.iter().map(|file| here.join(file)).collect(),
            key: args.public_key.as_ref().map(|file| here.join(file)),
            serial: None,
        });
    }
    for folder in &args.folders {
        found.extend(in_folder(&here.join(folder), &args.slot, true)?);
    }
    let mut verdicts = Vec::new();
    let mut lines = Vec::new();
    for files in &found {
        let (verdict, equivalents) = one(files, args)?;
        verdicts.push(verdict);
        lines.extend(equivalents);
    }
    unique(&mut verdicts);
    let holds = verdicts.iter().all(Verdict::holds);
    if args.json {
        let all: Vec<_> = verdicts.iter().map(Verdict::json).collect();
        print(&format!("{:#}", json!({ "attested": holds, "attestations": all, "equivalents": lines })))?;
    } else {
        let mut out: Vec<String> = verdicts.iter().map(Verdict::text).collect();
        out.push(format!("To look again without this program:\n{}\n", lines.join("\n")));
        print(&out.join("\n"))?;
    }
    match verdicts.iter().filter(|verdict| !verdict.holds()).count() {
        0 => Ok(()),
        bad => {
            let message = format!("{bad} of {} attestations do not hold", verdicts.len());
            let failure = Failure::new(Kind::Refused, message);
            Err(failure.hint("docs/checks.md has a paragraph for each name of a check"))
        }
    }
}

fn one(files: &Files, args: &Args) -> Result<(Verdict, Vec<String>), Failure> {
    let pem = |path: &Path| -> Result<Vec<Vec<u8>>, Failure> {
        let found = certificates(&text(path)?);
        if found.is_empty() {
            let failure = Failure::new(Kind::Refused, format!("{} holds no certificate in PEM", shown(path)));
            return Err(failure.hint("openssl x509 -inform DER -in FILE -out FILE.pem makes one of a DER file"));
        }
        Ok(found)
    };
    let mut slot = pem(&files.attestation)?;
    // A file may hold the whole chain, the slot's certificate first.
    let mut others = slot.split_off(1);
    for file in &files.intermediates {
        others.extend(pem(file)?);
    }
    let key = files.key.as_deref().map(|path| {
        PublicKey::from_pem(&text(path)?).map_err(|error| {
            Failure::new(Kind::Refused, format!("{}: {error}", shown(path)))
                .hint("a public key begins with -----BEGIN PUBLIC KEY-----")
        })
    });
    let wanted = Wanted {
        key: key.transpose()?,
        serial: args.serial.or(files.serial),
        slot: args.slot.clone(),
        minimum_firmware: args.minimum_firmware,
        rehearsal: args.rehearsal,
        report_only: args.advisories == Advisories::Report,
    };
    let mut verdict = verdict(&files.name, &slot.remove(0), &others, &wanted);
    if let (Some(given), Some(folder)) = (args.serial, files.serial)
        && given != folder
    {
        let what = format!("the folder is called {folder}, and the token that is meant is {given}");
        verdict.findings.push(Finding::new(Level::Refused, Check::AttSerial, files.name.clone(), what));
    }
    let path = |path: &PathBuf| path.display().to_string();
    let intermediates: Vec<String> = files.intermediates.iter().map(path).collect();
    let key = files.key.as_ref().map(path);
    Ok((verdict, openssl(&path(&files.attestation), &intermediates, key.as_deref(), args.rehearsal)))
}

/// One token is one holder's, and one key is in one token.
fn unique(verdicts: &mut [Verdict]) {
    let (mut serials, mut keys) = (BTreeMap::new(), BTreeMap::new());
    for verdict in verdicts {
        let Some(facts) = &verdict.facts else { continue };
        let name = verdict.name.clone();
        if let Some(other) = serials.insert(facts.serial, name.clone()) {
            let what = format!("token {} attests for {other} too", facts.serial);
            verdict.findings.push(Finding::new(Level::Refused, Check::AttSerial, name.clone(), what));
        }
        if let Some(other) = keys.insert(facts.key.fingerprint(), name.clone()) {
            let what = format!("its key is that of {other}");
            verdict.findings.push(Finding::new(Level::Refused, Check::KeyDistinct, name, what));
        }
    }
}

/// The attestations of a slot in a folder, or in the folders in it.
fn in_folder(folder: &Path, slot: &str, deeper: bool) -> Result<Vec<Files>, Failure> {
    let failed = |error: std::io::Error| Failure::file(folder, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    let is_there = |name: &str| names.iter().any(|other| other == name).then(|| folder.join(name));
    let called = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let serial = called.parse::<u32>().ok().filter(|serial| serial.to_string() == called);
    let made =
        |attestation, intermediates, key| vec![Files { name: shown(folder), attestation, intermediates, key, serial }];
    if let Some(attestation) = is_there(&format!("attestation-{slot}.pem")) {
        let device = is_there("f9-intermediate.pem").or_else(|| is_there("f9-intermediates.pem"));
        return Ok(made(attestation, device.into_iter().collect(), is_there("public.pem")));
    }
    if let Some(attestation) = is_there(&format!("{called}_key_cert.pem")) {
        let device = is_there(&format!("{called}_device_cert.pem"));
        return Ok(made(attestation, device.into_iter().collect(), is_there(&format!("{called}_pubkey.pem"))));
    }
    let mut found = Vec::new();
    if deeper {
        if names.len() > MAX_FOLDERS {
            return Err(Failure::new(Kind::Refused, format!("{} holds more than {MAX_FOLDERS} files", shown(folder)))
                .hint("name the folders one by one"));
        }
        for name in names {
            let path = folder.join(name);
            if path.is_dir() {
                found.extend(in_folder(&path, slot, false)?);
            }
        }
        if found.is_empty() {
            return Err(Failure::new(Kind::Refused, format!("{} holds no attestation", shown(folder)))
                .hint("files are called attestation-9c.pem (or as --slot says) and f9-intermediate.pem, or N_key_cert.pem and N_device_cert.pem in a folder N"));
        }
    }
    Ok(found)
}

fn text(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let failed = |error| Failure::file(path, &error);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn shown(path: &Path) -> String {
    escape(&path.display().to_string())
}
