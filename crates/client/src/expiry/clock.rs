//! What time it is, for what is to be hidden and for what is to be destroyed (DESIGN §9).
//!
//! Hidden is what is over by any clock: the device's (as the server corrects it), or the time that was sure before, so that a clock
//! that is set back brings nothing to light. Destroyed is what is over by the time that is *sure*: it follows the device's clock in
//! steps of at most two days. After a longer step (a clock that is wrong, or a device that was off) it stays where it is
//! until the server agrees with the device's clock and 24 hours have passed, by running or by the server's own clock.

use crate::rows::codec::record;
use parlour_proto::ids::UnixMillis;

const HOUR_MS: u64 = 3_600_000;
/// A longer step is doubted.
const STEP_MS: u64 = 48 * HOUR_MS;
/// So long it is doubted.
const PROBATION_MS: u64 = 24 * HOUR_MS;
/// Between two inputs at most, for that the engine ran all the time.
const RUNNING_MS: u64 = 2 * HOUR_MS;

record! {
    /// A step of the device's clock that may be wrong.
    struct Doubt {
        /// How long the engine has run since.
        ran_ms: u64,
        /// The server's clock, as it was seen first.
        server: Option<UnixMillis>,
    }
}

record! {
    /// What is remembered of time.
    struct Clock {
        sure: UnixMillis,
        doubt: Option<Doubt>,
        /// Days (since 1970) before this one are swept.
        swept: u32,
        /// The last day on which anything is over.
        last: u32,
    }
}

/// The clocks of this run.
#[derive(Default)]
pub(crate) struct Running {
    /// The device's, at the input before.
    before: Option<UnixMillis>,
    /// The server's, carried on since it was heard.
    pub(crate) server: Option<UnixMillis>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { sure: UnixMillis(0), doubt: None, swept: 0, last: 0 }
    }

    /// Takes an input's time in.
    pub(crate) fn tick(&mut self, running: &mut Running, now: UnixMillis) {
        let step = running.before.map_or(0, |before| now.since(before));
        let ran = if step <= RUNNING_MS { step } else { 0 };
        running.before = Some(now);
        running.server = running.server.map(|server| server.plus_ms(ran));
        let server = running.server;
        if self.sure == UnixMillis(0) {
            // Before the server was heard nothing is sure, and there is nothing.
            self.sure = server.map_or(self.sure, |server| server.min(now));
            return;
        }
        if now < self.sure {
            // The device's clock is behind: the server's counts, as fast as it can have gone.
            self.sure = server.map_or(self.sure, |server| self.sure.plus_ms(ran).min(server).max(self.sure));
        } else if now.since(self.sure) <= STEP_MS {
            (self.sure, self.doubt) = (now, None);
        } else {
            self.weigh(now, server, ran);
        }
    }

    fn weigh(&mut self, now: UnixMillis, server: Option<UnixMillis>, ran: u64) {
        let doubt = self.doubt.get_or_insert(Doubt { ran_ms: 0, server });
        doubt.ran_ms += ran;
        doubt.server = doubt.server.or(server);
        let Some(server) = server else { return };
        let agrees = server.since(now).max(now.since(server)) <= STEP_MS;
        let passed = doubt.ran_ms.max(doubt.server.map_or(0, |first| server.since(first)));
        if agrees && passed >= PROBATION_MS {
            (self.sure, self.doubt) = (now.min(server), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_800_000_000_000;
    const DAY: u64 = 24 * HOUR_MS;

    /// Runs through instants after a start at `T`, the server saying the same clock where it is said to.
    struct Device {
        clock: Clock,
        running: Running,
    }

    impl Device {
        fn new() -> Self {
            let mut device = Device { clock: Clock::new(), running: Running::default() };
            device.hears(T);
            device.at(T);
            assert_eq!(device.clock.sure.0, T);
            device
        }
        fn at(&mut self, now: u64) -> u64 {
            self.clock.tick(&mut self.running, UnixMillis(now));
            self.clock.sure.0
        }
        fn hears(&mut self, server: u64) {
            self.running.server = Some(UnixMillis(server));
        }
        fn restarts(&mut self) {
            self.running = Running::default();
        }
    }

    #[test]
    fn time_that_passes_is_sure() {
        let mut device = Device::new();
        assert_eq!(device.at(T + 5_000), T + 5_000);
        device.restarts();
        assert_eq!(device.at(T + 2 * DAY), T + 2 * DAY, "a weekend without it");
    }

    #[test]
    fn a_clock_eighty_years_ahead_makes_nothing_sure_and_is_forgiven() {
        let mut device = Device::new();
        let ahead = T + 80 * 365 * DAY;
        for hour in 0..100 {
            assert_eq!(device.at(ahead + hour * HOUR_MS), T, "without the server, for ever");
        }
        device.hears(T + 4 * DAY);
        for hour in 100..200 {
            assert_eq!(device.at(ahead + hour * HOUR_MS), T, "the server does not agree");
        }
        assert_eq!(device.at(T + DAY), T + DAY, "set right");
    }

    #[test]
    fn weeks_without_it_are_sure_a_day_after_the_server_agreed() {
        let mut device = Device::new();
        device.restarts();
        let back = T + 21 * DAY;
        assert_eq!(device.at(back), T);
        device.hears(back);
        for hour in 1..24 {
            assert_eq!(device.at(back + hour * HOUR_MS), T, "{hour}");
        }
        assert_eq!(device.at(back + 24 * HOUR_MS), back + 24 * HOUR_MS);
    }

    #[test]
    fn commands_that_run_for_moments_come_to_be_sure_by_the_servers_clock() {
        let mut device = Device::new();
        let back = T + 21 * DAY;
        for hours in [0, 10, 20, 25] {
            device.restarts();
            let now = back + hours * HOUR_MS;
            device.at(now);
            device.hears(now);
            let sure = device.at(now + 1);
            assert_eq!(sure > T, hours >= 24, "{hours}");
        }
    }

    #[test]
    fn a_clock_set_back_takes_nothing_back_and_the_server_carries_on() {
        let mut device = Device::new();
        assert_eq!(device.at(T + DAY), T + DAY);
        assert_eq!(device.at(T - 300 * DAY), T + DAY);
        device.hears(T + 10 * DAY);
        for hour in 1..=20 {
            device.at(T - 300 * DAY + hour * HOUR_MS);
        }
        assert_eq!(device.clock.sure.0, T + DAY + 20 * HOUR_MS, "as fast as time passes, not as the server says");
    }

    #[test]
    fn a_server_alone_moves_nothing() {
        let mut device = Device::new();
        for n in 1..50 {
            device.hears(T + n * 40 * HOUR_MS);
            assert_eq!(device.at(T + n), T + n);
        }
    }
}
