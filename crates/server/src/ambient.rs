//! What the server takes from around it: the time, randomness, waiting. [`Machine`] is what a process has; a simulation brings
//! its own, and then two runs are alike to the byte.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parlour_proto::ids::UnixMillis;

use crate::{Rng, fresh_rng};

/// Ends at an instant.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time, randomness, and waiting.
pub trait Ambient: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> UnixMillis;

    /// A clock that nobody sets.
    fn instant(&self) -> Instant;

    /// A generator of its own for whoever asks.
    fn rng(&self) -> Rng;

    /// Waits until the clock that nobody sets shows this.
    fn sleep_until(&self, at: Instant) -> Sleep;

    /// Waits for so long.
    fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.instant() + time)
    }
}

/// The machine's clocks, the operating system's randomness, tokio's timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Ambient for Machine {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn rng(&self) -> Rng {
        fresh_rng()
    }

    fn sleep_until(&self, at: Instant) -> Sleep {
        Box::pin(tokio::time::sleep_until(at.into()))
    }
}
