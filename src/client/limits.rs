//! How much a server may make the client read, wait and hold.

use std::time::Duration;

/// Limits on what a hostile mirror can cost. The defaults suit every repository that is known of; each can be set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest root metadata, in bytes.
    pub root: u64,
    /// The longest timestamp, in bytes.
    pub timestamp: u64,
    /// The longest snapshot, in bytes, where the timestamp does not say how long it is.
    pub snapshot: u64,
    /// The longest targets metadata, in bytes, where the snapshot does not say how long it is.
    pub targets: u64,
    /// The most bytes of all delegated roles that one search for a target takes.
    pub delegated: u64,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a server may say nothing.
    pub silence: Duration,
    /// The fewest bytes a second that a body may come at, averaged, once [`Self::silence`] has passed.
    pub rate: u64,
    /// How many roots may be asked for before the ones below them are verified. They are believed in order all the same.
    pub ahead: usize,
    /// How many connections ask for roots at once.
    pub connections: usize,
    /// How long to wait for another process that works on the same local state.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root: 1 << 20,
            timestamp: 64 << 10,
            snapshot: 16 << 20,
            targets: trustroot_core::json::MAX_BYTES as u64,
            delegated: trustroot_core::search::MAX_BYTES as u64,
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(30),
            rate: 1024,
            ahead: 16,
            connections: 6,
            wait: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// How long a body of at most `bytes` may take.
    pub(crate) fn body(&self, bytes: u64) -> Duration {
        self.silence + Duration::from_secs(bytes / self.rate.max(1))
    }
}
