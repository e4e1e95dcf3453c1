//! Moments in UTC, to the second. There is no clock here: `now` is always an argument.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, in whole seconds. Written `YYYY-MM-DDTHH:MM:SSZ`, the one form of the TUF specification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

/// A text that is not a moment in the form asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written YYYY-MM-DDTHH:MM:SSZ, in UTC and to the second")]
pub struct NotATime;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(jiff::Timestamp::UNIX_EPOCH);
    /// 0001-01-01T00:00:00Z, before which nothing can be written.
    pub const EARLIEST: Self = Self(jiff::Timestamp::constant(-62_135_596_800, 0));

    /// The moment `seconds` after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// Outside the years 0001 to 9999, which the written form cannot express.
    pub fn from_unix(seconds: i64) -> Result<Self, NotATime> {
        let moment = jiff::Timestamp::from_second(seconds).map_err(|_| NotATime)?;
        let year = moment.to_zoned(jiff::tz::TimeZone::UTC).year();
        if (1..=9999).contains(&year) { Ok(Self(moment)) } else { Err(NotATime) }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix(self) -> i64 {
        self.0.as_second()
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ` and nothing else.
    ///
    /// # Errors
    /// Any other form, and dates that do not exist.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        let moment = Self::parse_lenient(text)?;
        if moment.to_string() == text { Ok(moment) } else { Err(NotATime) }
    }

    /// Reads any RFC 3339 form, with fraction or offset; a fraction is cut off.
    ///
    /// # Errors
    /// A text that RFC 3339 does not know.
    pub fn parse_lenient(text: &str) -> Result<Self, NotATime> {
        if !text.is_ascii() || text.len() > 40 || text.contains('[') {
            return Err(NotATime);
        }
        let moment: jiff::Timestamp = text.parse().map_err(|_| NotATime)?;
        Self::from_unix(moment.as_second())
    }

    /// The start of the day written `YYYY-MM-DD`.
    ///
    /// # Errors
    /// Any other form, and days that do not exist.
    pub fn from_day(text: &str) -> Result<Self, NotATime> {
        if text.len() != 10 {
            return Err(NotATime);
        }
        Self::parse(&format!("{text}T00:00:00Z"))
    }

    /// The day in UTC, `YYYY-MM-DD`.
    pub fn day(self) -> String {
        let mut text = self.to_string();
        text.truncate(10);
        text
    }

    /// The moment `seconds` later (earlier, if negative); stops at the ends of what can be written.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        let moved = self.unix().saturating_add(seconds);
        Self::from_unix(moved).unwrap_or(if seconds < 0 {
            Self::from_unix(-62_135_596_800).unwrap_or(self)
        } else {
            Self::from_unix(253_402_207_200).unwrap_or(self)
        })
    }

    /// The moment `days` of 86,400 seconds later.
    pub fn plus_days(self, days: i64) -> Self {
        self.plus_seconds(days.saturating_mul(86_400))
    }

    /// Whole days from `self` until `later`, rounded down; negative if it lies before.
    pub fn days_until(self, later: Self) -> i64 {
        (later.unix() - self.unix()).div_euclid(86_400)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form() {
        let noon = Timestamp::parse("2026-11-22T12:00:00Z").unwrap();
        assert_eq!(noon.to_string(), "2026-11-22T12:00:00Z");
        assert_eq!(noon.day(), "2026-11-22");
        for other in [
            "2026-11-22T12:00:00.5Z",
            "2026-11-22T12:00:00+00:00",
            "2026-11-22 12:00:00Z",
            "2026-11-22t12:00:00z",
            "2026-02-30T00:00:00Z",
            "2026-11-22T12:00:60Z",
            "",
        ] {
            assert_eq!(Timestamp::parse(other), Err(NotATime), "{other}");
        }
    }

    #[test]
    fn lenient_forms_of_the_past() {
        assert_eq!(
            Timestamp::parse_lenient("2021-12-18T13:28:12.99008-06:00").unwrap().to_string(),
            "2021-12-18T19:28:12Z"
        );
    }

    #[test]
    fn days() {
        let day = Timestamp::from_day("2026-11-22").unwrap();
        assert_eq!(day.plus_days(365).day(), "2027-11-22");
        assert_eq!(day.days_until(day.plus_seconds(-1)), -1);
        assert_eq!(Timestamp::from_day("2026-11-2"), Err(NotATime));
    }

    #[test]
    fn ends_of_time() {
        let end = Timestamp::parse("9999-12-30T00:00:00Z").unwrap();
        assert!(end.plus_days(i64::MAX) >= end);
        // The last moment that can be held, and the first.
        for (unix, towards) in [(253_402_207_200, 1), (-62_135_596_800, -1)] {
            let last = Timestamp::from_unix(unix).unwrap();
            assert_eq!(last.plus_seconds(towards), last);
            assert_eq!(Timestamp::from_unix(unix + towards), Err(NotATime));
        }
    }
}
