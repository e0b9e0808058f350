//! The simulated time, and the small executor that runs the server in it. One thread, one order: what is woken runs in the order
//! of its number.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use parlour_proto::ids::UnixMillis;
use parlour_server::{
    Rng,
    ambient::{Ambient, Sleep},
};
use parlour_store::{Clock, UnixTime};
use rand_core::SeedableRng as _;

/// When each run begins: 2027-03-01, 08:00 UTC.
pub(crate) const START: UnixMillis = UnixMillis(1_803_888_000_000);

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clock of the server and of the world, its timers, and the server's randomness.
pub(crate) struct Clockwork {
    now: AtomicU64,
    base: Instant,
    seed: u64,
    drawn: AtomicU64,
    timers: Mutex<BTreeMap<(u64, u64), Waker>>,
    next_timer: AtomicU64,
}

impl Clockwork {
    /// A clock at [`START`]; randomness from a seed.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(START.0),
            base: Instant::now(),
            seed,
            drawn: AtomicU64::new(0),
            timers: Mutex::default(),
            next_timer: AtomicU64::new(0),
        })
    }

    /// The world's time, milliseconds.
    #[must_use]
    pub(crate) fn ms(&self) -> u64 {
        self.now.load(SeqCst)
    }

    /// Moves on to this time, and wakes who waited for it.
    pub(crate) fn set(&self, ms: u64) {
        self.now.fetch_max(ms, SeqCst);
        let due = {
            let mut timers = locked(&self.timers);
            let later = timers.split_off(&(self.ms() + 1, 0));
            std::mem::replace(&mut *timers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// When somebody wants to be woken next.
    #[must_use]
    pub(crate) fn next(&self) -> Option<u64> {
        locked(&self.timers).keys().next().map(|(at, _)| *at)
    }

    fn ms_of(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base);
        START.0 + u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 2)
    }
}

impl Clock for Clockwork {
    fn now(&self) -> UnixTime {
        UnixTime(self.ms() / 1_000)
    }
}

/// The [`Ambient`] of the simulated server.
#[derive(Clone)]
pub(crate) struct Around(pub Arc<Clockwork>);

impl Ambient for Around {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.ms())
    }

    fn instant(&self) -> Instant {
        self.0.base + Duration::from_millis(self.0.ms() - START.0)
    }

    fn rng(&self) -> Rng {
        let drawn = self.0.drawn.fetch_add(1, SeqCst);
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&self.0.seed.to_be_bytes());
        seed[8..16].copy_from_slice(&drawn.to_be_bytes());
        Rng::from_seed(seed)
    }

    fn sleep_until(&self, at: Instant) -> Sleep {
        Box::pin(Timer { clockwork: self.0.clone(), at: self.0.ms_of(at), key: None })
    }
}

struct Timer {
    clockwork: Arc<Clockwork>,
    at: u64,
    key: Option<(u64, u64)>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clockwork.ms() >= self.at {
            return Poll::Ready(());
        }
        let key = match self.key {
            Some(key) => key,
            None => (self.at, self.clockwork.next_timer.fetch_add(1, SeqCst)),
        };
        self.key = Some(key);
        locked(&self.clockwork.timers).insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            locked(&self.clockwork.timers).remove(&key);
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    woken: Arc<Flag>,
}

/// The server's tasks. Dropping them all is what a crash does.
#[derive(Default)]
pub(crate) struct Tasks {
    all: BTreeMap<u64, Task>,
    next: u64,
}

impl Tasks {
    /// One more.
    pub(crate) fn spawn(&mut self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.next += 1;
        self.all.insert(self.next, Task { future, woken: Arc::new(Flag(AtomicBool::new(true))) });
    }

    /// Ends all of them where they are.
    pub(crate) fn kill(&mut self) {
        self.all.clear();
    }

    /// Runs who is woken, once each; whether there was anybody.
    pub(crate) fn run(&mut self) -> bool {
        let woken: Vec<u64> =
            self.all.iter().filter(|(_, task)| task.woken.0.swap(false, SeqCst)).map(|(id, _)| *id).collect();
        for id in &woken {
            let Some(task) = self.all.get_mut(id) else { continue };
            let waker = Waker::from(task.woken.clone());
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.all.remove(id);
            }
        }
        !woken.is_empty()
    }
}

/// Runs something that waits for nobody but itself.
///
/// # Panics
/// When it waits for somebody else.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
    panic!("this waits for something");
}
