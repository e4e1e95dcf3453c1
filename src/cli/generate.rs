//! `trustroot completions` and `trustroot man`: both come from the one definition of the command line.

use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

use super::{Failure, Kind, print};

/// Print completions for a shell.
#[derive(clap::Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Write man pages into a folder.
#[derive(clap::Args)]
pub(super) struct Man {
    /// The folder, which is made if it is not there.
    dir: PathBuf,
}

/// Prints the completions.
pub(super) fn completions(args: &Completions, command: &mut Command) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, command, "trustroot", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Writes `trustroot.1` and a page for each verb.
pub(super) fn man(here: &Path, args: &Man, command: Command) -> Result<(), Failure> {
    let dir = here.join(&args.dir);
    std::fs::create_dir_all(&dir).map_err(|error| Failure::file(&dir, &error))?;
    clap_mangen::generate_to(command, &dir)
        .map_err(|error| Failure::new(Kind::Surroundings, format!("{}: {error}", dir.display())))
}
