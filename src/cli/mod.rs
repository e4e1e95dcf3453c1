//! The command line: one file per verb, and the only place where the layers are wired together.

mod branches;
mod ceremony;
mod chance;
mod client;
mod clock;
mod failure;
mod generate;
mod import;
mod join;
mod kit;
mod plan;
mod rehearsal;
mod rehearse;
mod rehearse_apart;
mod room;
mod run;
mod status;
mod token;
mod verify;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use failure::{Failure, Kind};

use crate::ui::report;

/// Key-signing ceremonies, and the TUF trust roots that come out of them.
///
/// Without a verb, trustroot finds the repository it is in and does the next right thing.
#[derive(Parser)]
#[command(name = "trustroot", version, max_term_width = 100)]
struct Cli {
    /// Work in this folder instead of the current one.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Hold a whole ceremony with virtual tokens, in a fresh repository, and verify it.
    Rehearse(rehearse::Args),
    /// Write and lint a plan, and print the script for the room.
    Plan(plan::Args),
    /// Take over a trust root that another program kept, byte for byte.
    Import(import::Args),
    /// Conduct a ceremony on this machine: open it from a plan, or go on with the open one.
    Run(run::Args),
    /// Take part in a ceremony from your own machine: enrol, hear others, review and sign.
    Join(join::Args),
    /// Say where a ceremony and its trust root stand.
    Status(status::Args),
    /// Verify a trust root, or numbered roots, or a proposal. Offline, and without set-up.
    Verify(verify::Args),
    /// Look at tokens, prepare one, and verify what one says of its key.
    Token(token::Args),
    /// A TUF client: follow a trust root, and download what it vouches for.
    Client(client::Args),
    /// Print completions for a shell.
    Completions(generate::Completions),
    /// Write man pages into a folder.
    Man(generate::Man),
}

/// A TUF client: follow a trust root, and download what it vouches for.
///
/// The same as trustroot client, in a program of its own that knows nothing of ceremonies.
#[derive(Parser)]
#[command(name = "trustroot-client", version, max_term_width = 100)]
struct ClientCli {
    /// Work in this folder instead of the current one.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    #[command(flatten)]
    args: client::Args,
}

/// Parses the command line of `trustroot-client`, runs it, prints what went wrong, and gives the exit code: 0 or 1.
pub fn client_main() -> u8 {
    match ClientCli::try_parse() {
        Ok(cli) => ended(client::run(&cli.directory.unwrap_or_else(|| PathBuf::from(".")), &cli.args)),
        Err(error) => misunderstood(&error).min(1),
    }
}

/// Parses the command line, runs the verb, prints what went wrong, and gives the exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = misunderstood(&error);
            // Those who drive clients know 0 and 1 only.
            let client = std::env::args_os().nth(1).is_some_and(|verb| verb == "client");
            return if client { code.min(1) } else { code };
        }
    };
    let here = cli.directory.unwrap_or_else(|| PathBuf::from("."));
    let done = match cli.verb {
        None => run::next(&here),
        Some(Verb::Rehearse(args)) => rehearse::run(&here, &args),
        Some(Verb::Plan(args)) => plan::run(&here, &args),
        Some(Verb::Import(args)) => import::run(&here, &args),
        Some(Verb::Run(args)) => run::run(&here, &args),
        Some(Verb::Join(args)) => join::run(&here, &args),
        Some(Verb::Status(args)) => status::run(&here, &args),
        Some(Verb::Verify(args)) => verify::run(&here, &args),
        Some(Verb::Token(args)) => token::run(&here, &args),
        Some(Verb::Client(args)) => client::run(&here, &args),
        Some(Verb::Completions(args)) => generate::completions(&args, &mut Cli::command()),
        Some(Verb::Man(args)) => generate::man(&here, &args, Cli::command()),
    };
    ended(done)
}

/// Prints what clap has to say: a mistake, or help.
fn misunderstood(error: &clap::Error) -> u8 {
    // Where nothing can be shown there is nobody left to tell.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(Kind::Usage as u8)
}

/// The exit code of what was done, after its failure was printed.
fn ended(done: Result<(), Failure>) -> u8 {
    match done {
        Ok(()) => 0,
        Err(failure) => {
            report::people(&failure.lines());
            failure.kind as u8
        }
    }
}

/// Name and version of this program, as records name it.
pub(crate) fn program_version() -> String {
    format!("trustroot {}", env!("CARGO_PKG_VERSION"))
}

/// Prints data; a reader that went away is not a failure.
fn print(text: &str) -> Result<(), Failure> {
    match report::data(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Kind::Surroundings, format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}
