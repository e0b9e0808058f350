//! Time as the store counts it. There is no ambient clock here: whoever opens a store gives it a [`Clock`].

use std::sync::atomic::{AtomicU64, Ordering};

/// The longest life of a queue row, in days after the day on which it was written.
///
/// The key that seals a day's rows is destroyed after this many days, so that a row can't outlive it (`DESIGN.md` §6).
pub const QUEUE_ROW_MAX_DAYS: u32 = 31;

const SECONDS_PER_HOUR: u64 = 3_600;
const SECONDS_PER_DAY: u64 = 86_400;

/// Seconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

/// Whole days since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixDay(pub u32);

impl UnixTime {
    /// The day that holds this instant.
    #[must_use]
    pub fn day(self) -> UnixDay {
        UnixDay(u32::try_from(self.0 / SECONDS_PER_DAY).unwrap_or(u32::MAX))
    }

    /// This instant, or the next full hour: the precision with which row expiry is stored.
    #[must_use]
    pub fn rounded_up_to_hour(self) -> Self {
        Self(self.0.div_ceil(SECONDS_PER_HOUR).saturating_mul(SECONDS_PER_HOUR))
    }

    /// The first day that begins at or after this instant: the precision with which queue rows expire.
    #[must_use]
    pub fn rounded_up_to_day(self) -> UnixDay {
        UnixDay(u32::try_from(self.0.div_ceil(SECONDS_PER_DAY)).unwrap_or(u32::MAX))
    }

    /// This instant moved by `seconds` into the future.
    #[must_use]
    pub fn plus_s(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl UnixDay {
    /// The instant at which this day begins.
    #[must_use]
    pub fn start(self) -> UnixTime {
        UnixTime(u64::from(self.0) * SECONDS_PER_DAY)
    }

    /// This day moved by `days` into the future.
    #[must_use]
    pub fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// This day, but no later than a row written on `today` may live.
    #[must_use]
    pub(crate) fn capped(self, today: Self) -> Self {
        self.min(today.plus(QUEUE_ROW_MAX_DAYS))
    }
}

/// Where a store gets the time from. Any `Fn() -> UnixTime` will do.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> UnixTime;
}

impl<F: Fn() -> UnixTime + Send + Sync + 'static> Clock for F {
    fn now(&self) -> UnixTime {
        self()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Moves the clock to `now`, forwards or backwards.
    pub fn set(&self, now: UnixTime) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward by `seconds`.
    pub fn advance_s(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_rounded_up_never_down() {
        assert_eq!(UnixTime(3_600).rounded_up_to_hour(), UnixTime(3_600));
        assert_eq!(UnixTime(3_601).rounded_up_to_hour(), UnixTime(7_200));
        assert_eq!(UnixTime(86_400).rounded_up_to_day(), UnixDay(1));
        assert_eq!(UnixTime(86_401).rounded_up_to_day(), UnixDay(2));
        assert_eq!(UnixTime(86_401).day(), UnixDay(1));
    }
}
