//! Addresses of hosts, looked up once and not for each file.
//!
//! A look-up that may not take for ever costs a thread of its own, since the system's cannot be broken off; a chain of a
//! thousand roots would make a thousand. What an address was is remembered for a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an address is remembered.
const FRESH: Duration = Duration::from_secs(60);

/// The system's resolver, and what it said last. A client asks one host, and rarely another that it is led to.
#[derive(Debug, Default)]
pub(crate) struct Remembering {
    system: DefaultResolver,
    last: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    /// Scheme, host and port.
    place: String,
    since: Instant,
    addresses: ResolvedSocketAddrs,
}

impl Resolver for Remembering {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let place =
            format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()));
        // It is set as a whole, so one who panicked left nothing half done.
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last().as_ref().filter(|known| known.place == place && known.since.elapsed() < FRESH) {
            return Ok(known.addresses.clone());
        }
        let since = Instant::now();
        let addresses = self.system.resolve(uri, config, timeout)?;
        *last() = Some(Known { place, since, addresses: addresses.clone() });
        Ok(addresses)
    }
}
