//! The client of the crate `tough`, the strict judge.
//!
//! Rules:
//! 1. Files are served from memory under their own names, as a static web server would; nothing is fetched from
//!    anywhere else. Only `tough`'s own store of trusted metadata lies on disk, in a directory that `tough` removes.
//! 2. Yes means: `tough` got to the end, *and* the end is the newest root, snapshot and targets among the files.
//! 3. `tough` reads the machine's clock and cannot be told another time. So its check of expiry is asked for only where
//!    the ceremony runs on that clock; otherwise [`Judge::name`] says that it was not asked for.
//! 4. Hostile metadata gets a refusal. `tough` works in a thread of its own, with room for the deepest chain of
//!    delegations that is let in, and a panic there is a refusal too.

use crate::seams::Judge;
use futures_core::Stream;
use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tough::{
    Bytes, ExpirationEnforcement, RepositoryLoader, Transport, TransportError, TransportErrorKind, TransportStream,
};
use trustroot_core::text::escape;
use trustroot_core::time::Timestamp;
use url::Url;

/// The version of `tough` that this program is built with. A test holds it to `Cargo.lock`.
pub const TOUGH_VERSION: &str = "0.24.0";

/// The most files that may be served besides the timestamp and numbered roots, snapshots and targets. `tough` loads
/// delegations by recursion, so their number bounds its stack.
pub const MAX_DELEGATED: usize = 1000;

/// Stack for [`MAX_DELEGATED`] nested delegations, with a wide margin. The system commits only what is used.
const STACK: usize = 256 << 20;

/// Where the files seem to be. `.invalid` is never resolved (RFC 6761), and nothing here would.
const BASE: &str = "https://repository.invalid/";

/// The crate `tough` as a [`Judge`].
#[derive(Clone, Copy, Debug)]
pub struct ToughClient {
    enforce_expiry: bool,
}

impl ToughClient {
    /// A client that refuses expired metadata if `enforce_expiry`, by the *machine's* clock. Set it only where the
    /// ceremony's time is the machine's.
    pub fn new(enforce_expiry: bool) -> Self {
        Self { enforce_expiry }
    }
}

impl Judge for ToughClient {
    fn name(&self) -> String {
        let asked = if self.enforce_expiry { "" } else { " (expiry not asked)" };
        format!("tough {TOUGH_VERSION}{asked}")
    }

    fn refresh(&self, root: &[u8], files: &BTreeMap<String, Vec<u8>>, _now: Timestamp) -> Result<(), String> {
        let others = files.keys().filter(|name| !is_top_level(name)).count();
        if others > MAX_DELEGATED {
            return Err(format!("there are {others} files of delegated roles; at most {MAX_DELEGATED} are judged"));
        }
        let served =
            Served(Arc::new(files.iter().map(|(name, bytes)| (name.clone(), Bytes::copy_from_slice(bytes))).collect()));
        let enforce = self.enforce_expiry;
        let ended = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("tough".into())
                .stack_size(STACK)
                .spawn_scoped(scope, || load(root, served, enforce))
                .map_err(|error| format!("no thread could be started: {error}"))?
                .join()
                .map_err(|_| "tough stopped in a panic".to_string())?
        })?;
        for (role, end) in [("root", ended.root), ("snapshot", ended.snapshot), ("targets", ended.targets)] {
            match files.keys().filter_map(|name| number(name, role)).max() {
                Some(newest) if newest != end => {
                    return Err(format!(
                        "tough ended at version {end} of {role}; the newest file is {newest}.{role}.json"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The versions that `tough` ended at.
struct Ended {
    root: u64,
    snapshot: u64,
    targets: u64,
}

/// Lets `tough` load the repository. Every error is one escaped line.
fn load(root: &[u8], served: Served, enforce: bool) -> Result<Ended, String> {
    let base = Url::parse(BASE).map_err(|error| chain(&error))?;
    let targets = base.join("targets/").map_err(|error| chain(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| format!("no runtime could be started: {}", chain(&error)))?;
    let repository = runtime
        .block_on(
            RepositoryLoader::new(&root, base, targets)
                .transport(served)
                .expiration_enforcement(ExpirationEnforcement::from(enforce))
                .load(),
        )
        .map_err(|error| chain(&error))?;
    Ok(Ended {
        root: repository.root().signed.version.get(),
        snapshot: repository.snapshot().signed.version.get(),
        targets: repository.targets().signed.version.get(),
    })
}

/// The version in the name `VERSION.ROLE.json`; nothing for other names and for a version that is not written plainly.
fn number(name: &str, role: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?.strip_suffix(role)?.strip_suffix('.')?;
    let version = digits.parse::<u64>().ok()?;
    (version.to_string() == digits).then_some(version)
}

fn is_top_level(name: &str) -> bool {
    name == "timestamp.json" || ["root", "snapshot", "targets"].iter().any(|role| number(name, role).is_some())
}

/// An error and all its causes on one line, escaped. A cause that the line before it repeats is left out.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    escape(&line.replace(BASE, ""))
}

/// Files in memory, as `tough` fetches them.
#[derive(Clone, Debug)]
struct Served(Arc<BTreeMap<String, Bytes>>);

#[tough::async_trait]
impl Transport for Served {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        match url.as_str().strip_prefix(BASE).and_then(|name| self.0.get(name)) {
            Some(bytes) => Ok(Box::pin(Whole(Some(bytes.clone())))),
            None => Err(TransportError::new(TransportErrorKind::FileNotFound, url)),
        }
    }
}

/// A stream of one piece.
struct Whole(Option<Bytes>);

impl Stream for Whole {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

#[cfg(test)]
mod tests;
