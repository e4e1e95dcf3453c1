//! `trustroot-client`: the client alone.

fn main() -> std::process::ExitCode {
    trustroot::cli::client_main().into()
}
