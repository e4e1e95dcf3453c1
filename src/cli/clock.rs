//! The clocks: the machine's, and the fixed one of a seeded rehearsal. The one place where the time is read.

use std::time::{SystemTime, UNIX_EPOCH};

use trustroot_core::time::Timestamp;

use crate::seams::Clock;

/// The machine's clock.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self, _last: Option<Timestamp>) -> Timestamp {
        now()
    }
}

/// The machine's time.
pub(super) fn now() -> Timestamp {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    let epoch = Timestamp::from_day("1970-01-01");
    // The epoch is a day, and moving from it stops at the ends of what can be written.
    epoch.map_or_else(|_| unreachable!("1970-01-01 is a day"), |epoch| epoch.plus_seconds(seconds))
}

/// A clock that begins at a fixed moment and goes on by a fixed step from one event to the next.
pub(super) struct FixedClock {
    /// The time of the first event.
    pub(super) start: Timestamp,
}

/// Seconds from one event to the next under a fixed clock.
const STEP: i64 = 20;

impl Clock for FixedClock {
    fn now(&self, last: Option<Timestamp>) -> Timestamp {
        last.map_or(self.start, |last| last.plus_seconds(STEP))
    }
}
