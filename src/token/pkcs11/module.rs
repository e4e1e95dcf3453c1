//! Modules: found by path or in the configuration of p11-kit, looked at, and loaded once.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use pkcs11::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use pkcs11::error::{Error, RvError};
use trustroot_core::text::escape;

use super::session::{Slot, failed};
use crate::seams::TokenError;

/// A module that is loaded and initialised. Clones share it.
#[derive(Clone)]
pub(super) struct Module {
    pub(super) library: Pkcs11,
    pub(super) path: PathBuf,
}

/// Where p11-kit keeps its configuration, the person's own first (pkcs11.conf(5)).
const CONFIGURED: [&str; 3] = ["/etc/pkcs11/modules", "/usr/local/share/p11-kit/modules", "/usr/share/p11-kit/modules"];
/// The largest configuration file that is read.
const MAX_CONFIGURATION: u64 = 64 * 1024;

impl Module {
    /// Loads the module called `name`: a library by absolute path, or a name of p11-kit's configuration.
    pub(super) fn load(name: &str) -> Result<Self, TokenError> {
        let path = if name.starts_with('/') { PathBuf::from(name) } else { configured(name)? };
        let path = fs::canonicalize(&path).map_err(|error| unusable(&path, &error.to_string()))?;
        is_safe(&path)?;
        let library = Pkcs11::new(&path).map_err(|error| unusable(&path, &error.to_string()))?;
        let module = Self { library, path };
        module.initialise()?;
        Ok(module)
    }

    fn initialise(&self) -> Result<(), TokenError> {
        match self.library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another part of this process did it before, with the same library.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(error) => Err(unusable(&self.path, &format!("it cannot be initialised ({})", failed(&error)))),
        }
    }

    /// Ends everything that the module does in this process, and begins anew: some modules answer nothing but errors once
    /// a token, or the way to it, was gone. Nobody may be in a session.
    pub(super) fn begin_anew(&self) -> Result<(), TokenError> {
        self.library.clone().finalize().map_err(|error| failed(&error))?;
        self.initialise()
    }

    /// The slots with a token, or why one cannot be used. What is wrong with one does not keep from the others.
    pub(super) fn slots(&self) -> Result<Vec<Result<Slot, TokenError>>, TokenError> {
        let slots = self.library.get_slots_with_token().map_err(|error| failed(&error))?;
        let open = slots.into_iter().map(|slot| Slot::new(self.clone(), slot));
        // A token that was never initialised has neither label nor PIN.
        Ok(open.filter(|slot| slot.as_ref().map_or(true, Slot::is_initialised)).collect())
    }
}

fn unusable(path: &Path, why: &str) -> TokenError {
    let (path, why) = (escape(&path.display().to_string()), escape(why));
    TokenError::Unready {
        what: format!("the PKCS#11 module {path} cannot be used: {why}"),
        remedy:
            "install the module's package, or mend its path in the plan; `p11-kit list-modules` shows what there is"
                .to_owned(),
    }
}

/// The library that p11-kit's configuration calls `name`.
fn configured(name: &str) -> Result<PathBuf, TokenError> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".config/pkcs11/modules"));
    let folders: Vec<PathBuf> = home.into_iter().chain(CONFIGURED.map(PathBuf::from)).collect();
    for folder in &folders {
        let file = folder.join(format!("{name}.module"));
        let Ok(found) = fs::metadata(&file) else { continue };
        if found.len() > MAX_CONFIGURATION {
            return Err(unusable(&file, "it is too long for a configuration"));
        }
        let text = fs::read_to_string(&file).map_err(|error| unusable(&file, &error.to_string()))?;
        let library = library_of(&text).ok_or_else(|| unusable(&file, "it has no line `module: …`"))?;
        if library.starts_with('/') {
            return Ok(PathBuf::from(library));
        }
        return in_library_folders(library)
            .ok_or_else(|| unusable(&file, &format!("{library} is in no library folder")));
    }
    let looked = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(unusable(Path::new(&format!("{name}.module")), &format!("it is not in {looked}")))
}

/// The value of the line `module:` of a configuration.
fn library_of(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut values = lines.filter_map(|line| line.strip_prefix("module:")).map(str::trim);
    values.find(|value| !value.is_empty())
}

/// A library without a folder, where distributions keep modules.
fn in_library_folders(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return None;
    }
    let architecture = std::env::consts::ARCH;
    let folders = [
        format!("/usr/lib/{architecture}-linux-gnu/pkcs11"),
        "/usr/lib64/pkcs11".to_owned(),
        "/usr/lib/pkcs11".to_owned(),
        "/usr/local/lib/pkcs11".to_owned(),
        "/opt/homebrew/lib/pkcs11".to_owned(),
    ];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Refuses a file that somebody else could have put there: a plan comes from other people, and what it names would run here.
fn is_safe(path: &Path) -> Result<(), TokenError> {
    let person = rustix::process::geteuid().as_raw();
    for (place, is_folder) in path.ancestors().zip(std::iter::once(false).chain(std::iter::repeat(true))) {
        let found = fs::metadata(place).map_err(|error| unusable(path, &error.to_string()))?;
        if !is_folder && !found.is_file() {
            return Err(unusable(path, "it is not a file"));
        }
        let foreign = found.uid() != 0 && found.uid() != person;
        // In a folder with the sticky bit others cannot replace what is not theirs.
        let writable = found.mode() & 0o022 != 0 && !(is_folder && found.mode() & 0o1000 != 0);
        if foreign || writable {
            let place = escape(&place.display().to_string());
            let what = format!("others may change {place}, and what it names would run here with your PIN");
            return Err(unusable(path, &what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_line_of_a_configuration() {
        assert_eq!(library_of("# module: no\n module: a.so \npriority: 1\nmodule: b.so\n"), Some("a.so"));
        assert_eq!(library_of("module:\ntrust-policy: yes\n"), None);
    }

    #[test]
    fn a_library_that_others_may_change_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("module.so");
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(&file, b"").unwrap();
        let file = fs::canonicalize(file).unwrap();
        mode(&file, 0o644);
        is_safe(&file).unwrap();
        mode(&file, 0o664);
        assert!(is_safe(&file).unwrap_err().to_string().contains("others may change"));
        mode(&file, 0o644);
        mode(file.parent().unwrap(), 0o777);
        assert!(is_safe(&file).unwrap_err().to_string().contains("others may change"));
        mode(file.parent().unwrap(), 0o700);
        assert!(is_safe(file.parent().unwrap()).unwrap_err().to_string().contains("not a file"));
        // What is no library is not loaded either, and a name that nobody configured is not found.
        assert!(Module::load(file.to_str().unwrap()).err().unwrap().to_string().contains("cannot be used"));
        assert!(Module::load("no-such-module").err().unwrap().to_string().contains("no-such-module.module"));
        assert!(Module::load("/no/such/module.so").err().unwrap().to_string().contains("No such file"));
    }
}
