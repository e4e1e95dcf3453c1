//! Signatures by the person's own programs: `ssh-keygen`, `gpg` or `gpgsm`, as their git is set up.
//!
//! Rules:
//! 1. The settings are git's own (`gpg.format`, `user.signingkey`, `gpg.ssh.program`, …), read from git's configuration.
//! 2. The program talks to the person itself: it keeps our terminal for passphrases and touches. Its input is a file.
//! 3. Its environment is ours without `GIT_*`; agents, homes and askpass programs are what the person knows.
//! 4. A setting that asks for a signature is never passed over: a signature that cannot be made is an error.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git2::{Config, ErrorCode};
use trustroot_core::text;

use crate::seams::LedgerError;

/// The most bytes that a signature may have.
const MAX_SIGNATURE: usize = 64 << 10;

/// A program that signs, and with which key.
pub(super) enum Signer {
    Ssh { program: OsString, key: SshKey },
    Gpg { program: OsString, key: Option<String> },
}

/// Where `ssh-keygen` finds its key.
pub(super) enum SshKey {
    /// In a file.
    File(PathBuf),
    /// In the agent; this is the public half, one line.
    Agent(String),
}

impl Signer {
    /// The signer that `gpg.format` and `user.signingkey` describe.
    ///
    /// # Errors
    /// A setting that git would not take either; the text names it.
    pub(super) fn from_config(config: &Config) -> Result<Self, LedgerError> {
        let format = text_of(config, "gpg.format")?.unwrap_or_else(|| "openpgp".to_owned());
        match format.as_str() {
            "ssh" => Self::ssh(config)?
                .ok_or_else(|| LedgerError::SshSign("gpg.format is ssh, and user.signingkey names no key".to_owned())),
            "openpgp" => {
                let program = match program_of(config, "gpg.openpgp.program")? {
                    Some(program) => Some(program),
                    None => program_of(config, "gpg.program")?,
                };
                Ok(Self::Gpg {
                    program: program.unwrap_or_else(|| "gpg".into()),
                    key: text_of(config, "user.signingkey")?,
                })
            }
            "x509" => Ok(Self::Gpg {
                program: program_of(config, "gpg.x509.program")?.unwrap_or_else(|| "gpgsm".into()),
                key: text_of(config, "user.signingkey")?,
            }),
            other => Err(LedgerError::GpgSign(format!(
                "gpg.format is set to {}, which git does not know",
                text::escape(other)
            ))),
        }
    }

    /// The SSH signer; nothing if git is not set up for SSH signatures.
    pub(super) fn ssh(config: &Config) -> Result<Option<Self>, LedgerError> {
        if text_of(config, "gpg.format")?.as_deref() != Some("ssh") {
            return Ok(None);
        }
        let Some(key) = text_of(config, "user.signingkey")? else { return Ok(None) };
        let literal = key.strip_prefix("key::").or_else(|| key.starts_with("ssh-").then_some(key.as_str()));
        let key = match literal {
            Some(line) => SshKey::Agent(line.trim().to_owned()),
            // Read again as a path, which expands `~`.
            None => {
                SshKey::File(config.get_path("user.signingkey").map_err(|error| setting("user.signingkey", &error))?)
            }
        };
        let program = program_of(config, "gpg.ssh.program")?.unwrap_or_else(|| "ssh-keygen".into());
        Ok(Some(Self::Ssh { program, key }))
    }

    /// The armoured signature of `bytes`. `namespace` is for SSH alone; `who` is whose key OpenPGP looks for if
    /// `user.signingkey` does not say. `folder` is where the program runs, `scratch` is a folder of our own.
    pub(super) fn sign(
        &self,
        namespace: &str,
        who: &str,
        bytes: &[u8],
        folder: &Path,
        scratch: &Path,
    ) -> Result<String, LedgerError> {
        match self {
            Self::Ssh { program, key } => ssh_sign(program, key, namespace, bytes, folder, scratch),
            Self::Gpg { program, key } => gpg_sign(program, key.as_deref().unwrap_or(who), bytes, folder),
        }
    }
}

fn ssh_sign(
    program: &OsString,
    key: &SshKey,
    namespace: &str,
    bytes: &[u8],
    folder: &Path,
    scratch: &Path,
) -> Result<String, LedgerError> {
    let failed = |error: std::io::Error| LedgerError::SshSign(text::escape(&error.to_string()));
    // A file and not a pipe: with a pipe as its input ssh-keygen would ask an askpass program instead of the terminal.
    let scratch = tempfile::Builder::new().prefix("sign-").tempdir_in(scratch).map_err(failed)?;
    let message = scratch.path().join("message");
    std::fs::write(&message, bytes).map_err(failed)?;
    let mut command = program_in(program, folder);
    command.args(["-q", "-Y", "sign", "-n", namespace]);
    match key {
        SshKey::File(path) => {
            command.arg("-f").arg(path);
        }
        SshKey::Agent(line) => {
            let path = scratch.path().join("key.pub");
            std::fs::write(&path, format!("{line}\n")).map_err(failed)?;
            command.arg("-U").arg("-f").arg(path);
        }
    }
    let status = command
        .arg(&message)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| LedgerError::SshSign(format!("{}: {error}", text::escape(&program.to_string_lossy()))))?;
    if !status.success() {
        return Err(LedgerError::SshSign(format!("it ended with {status}; what it said stands above")));
    }
    let signature = std::fs::read(message.with_extension("sig")).map_err(failed)?;
    armoured(signature, "-----BEGIN SSH SIGNATURE-----").map_err(LedgerError::SshSign)
}

fn gpg_sign(program: &OsString, key: &str, bytes: &[u8], folder: &Path) -> Result<String, LedgerError> {
    let failed =
        |error: std::io::Error| LedgerError::GpgSign(format!("{}: {error}", text::escape(&program.to_string_lossy())));
    let mut child = program_in(program, folder)
        .args(["--status-fd=2", "-bsau", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let written = match child.stdin.take() {
        Some(mut input) => input.write_all(bytes),
        None => Ok(()),
    };
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stderr);
    // The exit status alone is not what git goes by either: gpg says on its status line that it signed.
    let signed = said.lines().any(|line| line.starts_with("[GNUPG:] SIG_CREATED "));
    if !output.status.success() || !signed || written.is_err() {
        let words = said.lines().rfind(|line| !line.starts_with("[GNUPG:]")).unwrap_or("it gave no reason");
        return Err(LedgerError::GpgSign(text::escape(words)));
    }
    armoured(output.stdout, "-----BEGIN ").map_err(LedgerError::GpgSign)
}

/// A signature as text, if it looks like one.
fn armoured(signature: Vec<u8>, first: &str) -> Result<String, String> {
    match String::from_utf8(signature) {
        Ok(text) if text.len() <= MAX_SIGNATURE && text.starts_with(first) && !text.contains('\0') => Ok(text),
        _ => Err("what it wrote is no armoured signature".to_owned()),
    }
}

/// `program`, to be run in `folder` with the person's environment, less what steers git.
fn program_in(program: &OsString, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Whether the setting `name` is true; unset is false.
pub(super) fn is_set(config: &Config, name: &str) -> Result<bool, LedgerError> {
    match config.get_bool(name) {
        Ok(value) => Ok(value),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
        Err(error) => Err(setting(name, &error)),
    }
}

/// The text of the setting `name`; nothing if it is unset or empty.
pub(super) fn text_of(config: &Config, name: &str) -> Result<Option<String>, LedgerError> {
    match config.get_string(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(setting(name, &error)),
    }
}

/// The program that the setting `name` names, with `~` expanded.
fn program_of(config: &Config, name: &str) -> Result<Option<OsString>, LedgerError> {
    if text_of(config, name)?.is_none() {
        return Ok(None);
    }
    config.get_path(name).map(|path| Some(path.into_os_string())).map_err(|error| setting(name, &error))
}

fn setting(name: &str, error: &git2::Error) -> LedgerError {
    LedgerError::Io { path: format!("git's setting {name}"), reason: text::escape(error.message()) }
}
