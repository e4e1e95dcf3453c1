//! `trustroot token`: tokens outside a ceremony, and attestations that anybody made.

mod attestation;
#[cfg(feature = "piv")]
mod enrol;
mod modules;
#[cfg(feature = "piv")]
mod show;
mod verify;

use std::path::{Path, PathBuf};

use trustroot_core::attestation::anchor::vendors;

use super::failure::Failure;
#[cfg(not(feature = "piv"))]
use super::failure::Kind;
use super::print;
use crate::seams::Tries;

/// Look at tokens, prepare one, and verify what one says of its key.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// List every reader, the YubiKey in it, or why none answers and what to do; or the tokens of PKCS#11 modules.
    List(List),
    /// Show what a token says of itself, without spending a try.
    Inspect(Inspect),
    /// Replace the factory PIN, PUK and management key, and on request generate a key in slot 9c.
    Provision(Provision),
    /// Write public key and attestation of slot 9c, verified, into DIR/SERIAL/.
    Attest(Attest),
    /// Verify attestations in files, whoever made them.
    Verify(verify::Args),
    /// Set a new PIN with the PUK, for a PIN that is blocked or forgotten.
    Unblock(One),
    /// Reset a token whose key is in no root any more. Every key in it is destroyed.
    Retire(One),
    /// Print the pinned certificates, which attestations are verified from.
    Anchors(Anchors),
}

#[derive(clap::Args)]
struct List {
    /// List the tokens of this PKCS#11 module instead: its library by absolute path, or its name in p11-kit's configuration.
    #[arg(long, value_name = "MODULE")]
    module: Vec<String>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

/// Which token.
#[derive(clap::Args)]
struct One {
    /// The serial number; it may be left out where one YubiKey is plugged in.
    #[arg(long, value_name = "N")]
    serial: Option<u32>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Inspect {
    #[command(flatten)]
    one: One,
    /// Inspect the tokens of this PKCS#11 module instead: its library by absolute path, or its name in p11-kit's
    /// configuration. No PIN is asked for, so only public keys are seen.
    #[arg(long, value_name = "MODULE", conflicts_with = "serial")]
    module: Option<String>,
    /// Only the token with this label.
    #[arg(long, value_name = "LABEL", requires = "module")]
    label: Option<String>,
}

#[derive(clap::Args)]
struct Provision {
    #[command(flatten)]
    one: One,
    /// Then generate a key in slot 9c: ECDSA P-256, PIN always, touch always.
    #[arg(long)]
    generate: bool,
}

#[derive(clap::Args)]
struct Attest {
    #[command(flatten)]
    one: One,
    /// The folder; files of the same name in it are not written over.
    #[arg(long, value_name = "DIR", default_value = "hardware-keys")]
    out: PathBuf,
    /// Whether a published weakness refuses.
    #[arg(long, value_enum, default_value = "block")]
    advisories: verify::Advisories,
    /// Accept a virtual token's attestation, which proves nothing.
    #[arg(long)]
    rehearsal: bool,
}

#[derive(clap::Args)]
struct Anchors {
    /// Print the rehearsal's too, which proves nothing.
    #[arg(long)]
    rehearsal: bool,
}

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Verify(args) => verify::run(here, args),
        What::Anchors(args) => anchors(args),
        What::List(args) if !args.module.is_empty() => modules::list(&args.module, args.json),
        #[cfg(feature = "piv")]
        What::List(args) => show::list(args.json),
        What::Inspect(Inspect { one, module: Some(module), label }) => {
            modules::inspect(module, label.as_deref(), one.json)
        }
        #[cfg(feature = "piv")]
        What::Inspect(args) => show::inspect(args.one.serial, args.one.json),
        #[cfg(feature = "piv")]
        What::Provision(args) => enrol::provision(args),
        #[cfg(feature = "piv")]
        What::Attest(args) => enrol::attest(here, args),
        #[cfg(feature = "piv")]
        What::Unblock(args) => enrol::unblock(args),
        #[cfg(feature = "piv")]
        What::Retire(args) => enrol::retire(here, args),
        #[cfg(not(feature = "piv"))]
        What::List(_)
        | What::Inspect(_)
        | What::Provision(_)
        | What::Attest(_)
        | What::Unblock(_)
        | What::Retire(_) => Err(Failure::new(Kind::Surroundings, "this build cannot talk to YubiKeys")
            .hint("build it with them: cargo build --features piv (it needs the PC/SC library)")),
    }
}

/// So many tries, or what the token tells instead.
fn tries_json(tries: Tries) -> serde_json::Value {
    match tries {
        Tries::Left(left) => left.into(),
        untold => untold.to_string().into(),
    }
}

fn anchors(args: &Anchors) -> Result<(), Failure> {
    let mut out = [vendors::YUBICO_PIV_CA_1, vendors::YUBICO_CA_1].concat();
    out.push_str(&vendors::YUBICO_INTERMEDIATES.concat());
    if args.rehearsal {
        out.push_str(vendors::REHEARSAL);
        out.push_str(&vendors::REHEARSAL_INTERMEDIATES.concat());
    }
    print(&out)
}
