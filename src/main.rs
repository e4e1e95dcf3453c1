//! `trustroot`: parse, run, map failure to exit code.

fn main() -> std::process::ExitCode {
    trustroot::cli::main().into()
}
