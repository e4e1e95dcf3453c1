//! Tokens of SoftHSM in a folder of their own, which no configuration of this machine names.
//!
//! SoftHSM reads where its tokens are from `SOFTHSM2_CONF` when it is loaded, so a program that uses these tokens is
//! started with that variable.

#![allow(dead_code, unreachable_pub, reason = "tests include this file as a module of their own, and use a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions put the module.
const MODULES: [&str; 3] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"];
/// The PIN of the security officer of every token.
pub(crate) const SO_PIN: &str = "87654321";

/// The path of the module.
pub(crate) fn module() -> &'static str {
    MODULES.into_iter().find(|path| Path::new(path).exists()).expect("SoftHSM is there; scripts/setup test installs it")
}

/// Makes a token of each label, with its PIN, under `folder`; the file that `SOFTHSM2_CONF` is to name.
pub(crate) fn tokens(folder: &Path, labels: &[(&str, &str)]) -> PathBuf {
    let tokens = folder.join("tokens");
    std::fs::create_dir_all(&tokens).unwrap();
    let conf = folder.join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    std::fs::write(&conf, text).unwrap();
    for (label, pin) in labels {
        let mut make = Command::new("softhsm2-util");
        make.args(["--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin]);
        let made = make.env("SOFTHSM2_CONF", &conf).output().expect("softhsm2-util is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    conf
}

/// Runs `pkcs11-tool` with the token of this label, logged in.
pub(crate) fn tool(conf: &Path, (label, pin): (&str, &str), more: &[&str]) {
    let mut tool = Command::new("pkcs11-tool");
    tool.env("SOFTHSM2_CONF", conf).args(["--module", module(), "--token-label", label, "--login", "--pin", pin]);
    let made = tool.args(more).output().expect("pkcs11-tool is there; scripts/setup test installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
