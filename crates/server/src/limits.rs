//! Token buckets, in memory only: how often something may happen. Nothing of them is ever stored.

use std::{collections::HashMap, hash::Hash, sync::Mutex};

use parlour_proto::{
    ids::UnixMillis,
    problem::{Code, Problem},
};

use crate::sync::MutexExt;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens a second.
    pub per_s: f32,
    /// Most tokens at once.
    pub burst: f32,
}

impl Rate {
    /// `count` within `seconds`, all of them at once if need be.
    pub const fn per(count: u32, seconds: u32) -> Self {
        Self { per_s: count as f32 / seconds as f32, burst: count as f32 }
    }
}

/// One bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: f32,
    at: UnixMillis,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: UnixMillis) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// `SlowDown` with the time after which there is one again.
    pub fn take(&mut self, rate: Rate, now: UnixMillis) -> Result<(), Problem> {
        let gained = now.since(self.at) as f32 / 1000.0 * rate.per_s;
        self.tokens = (self.tokens + gained).min(rate.burst);
        self.at = self.at.max(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait_ms = ((1.0 - self.tokens) / rate.per_s.max(1e-6) * 1000.0).ceil();
        Err(Problem::new(Code::SlowDown, "too many requests; try again later")
            .retry_after_ms(wait_ms.clamp(1.0, 86_400_000.0) as u64))
    }

    fn is_full(&self, rate: Rate, now: UnixMillis) -> bool {
        self.tokens + now.since(self.at) as f32 / 1000.0 * rate.per_s >= rate.burst
    }
}

/// Buckets by key, bounded: full ones are forgotten.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

const PRUNE_AT: usize = 16_384;

impl<K: Hash + Eq> Buckets<K> {
    /// No bucket yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one token from the bucket of `key`.
    ///
    /// # Errors
    /// `SlowDown` when it is empty.
    pub fn take(&self, key: K, now: UnixMillis) -> Result<(), Problem> {
        let mut buckets = self.buckets.locked();
        if buckets.len() >= PRUNE_AT && buckets.len().is_power_of_two() {
            let rate = self.rate;
            buckets.retain(|_, bucket| !bucket.is_full(rate, now));
        }
        buckets.entry(key).or_insert_with(|| Bucket::full(self.rate, now)).take(self.rate, now)
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// Forgets the full buckets: an hour after its last use every bucket of ours is full again.
    pub fn forget(&self, now: UnixMillis) {
        let mut buckets = self.buckets.locked();
        buckets.retain(|_, bucket| !bucket.is_full(self.rate, now));
        buckets.shrink_to(PRUNE_AT);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.buckets.locked().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_and_tells_when() {
        let rate = Rate::per(2, 10);
        let buckets = Buckets::new(rate);
        let now = UnixMillis(1_000_000);
        assert!(buckets.take(1, now).is_ok() && buckets.take(1, now).is_ok());
        let problem = buckets.take(1, now).unwrap_err();
        assert_eq!((problem.code, problem.retry_after_ms), (Code::SlowDown, 5_000));
        assert!(buckets.take(2, now).is_ok());
        assert!(buckets.take(1, now.plus_ms(5_001)).is_ok());
    }

    #[test]
    fn a_clock_that_jumps_back_gives_nothing_and_takes_nothing() {
        let rate = Rate::per(1, 10);
        let mut bucket = Bucket::full(rate, UnixMillis(100_000));
        assert!(bucket.take(rate, UnixMillis(100_000)).is_ok());
        assert!(bucket.take(rate, UnixMillis(0)).is_err());
        assert!(bucket.take(rate, UnixMillis(110_000)).is_ok());
    }
}
