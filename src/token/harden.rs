//! What a process does before it touches a secret: it leaves no core dump.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// No core dump of this process, nor of the programs that it starts, is written; on Linux other processes of the same
/// user cannot read its memory either.
///
/// # Errors
/// The system refused.
pub fn no_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
