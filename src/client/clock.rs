//! The system's clock. The workflow takes the time once, at its start, and goes by it to the end (TUF 5.1).

use std::time::{SystemTime, UNIX_EPOCH};
use trustroot_core::time::Timestamp;

/// The time that the system's clock shows, to the second. A clock beyond what can be written stands at the nearest end.
pub fn now() -> Timestamp {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    match Timestamp::from_unix(0) {
        Ok(epoch) => epoch.plus_seconds(seconds),
        Err(_) => unreachable!("1970 can be written"),
    }
}
