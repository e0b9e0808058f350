//! Relays: how a device that is not signed in reaches one that is, to be linked to its account.
//!
//! A signed-in socket opens a relay and learns its slot, six digits for people to type. One other socket joins it by the slot, ever.
//! Each then hands small payloads to the other until one of them ends it. What they say is sealed between them; here it only waits
//! for the other socket. All of it is in memory, nothing is stored, logged or counted by slot.
//!
//! | stage | becomes | when |
//! |---|---|---|
//! | open | joined | somebody joins by the slot |
//! | open, joined | over | either side closes it or its socket ends; its ten minutes pass; more is handed over than a relay carries |
//!
//! A relay that is over is out of the table at once. Its sides keep it until they have taken what still waits for them.
//!
//! Not here: who the two are to each other. A slot is short and can be guessed; the devices authenticate each other by what
//! they show to the person who holds both.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parlour_proto::{
    frames::RELAY_SLOTS,
    ids::{AccountId, UnixMillis},
    problem::{Code, Problem},
};
use rand_core::RngCore as _;

use crate::{
    Rng,
    limits::{Buckets, Rate},
    sync::MutexExt as _,
};

/// Most payloads of a relay, both directions together.
pub const MAX_PAYLOADS: u32 = 64;
/// Most bytes of a relay, both directions together.
pub const MAX_BYTES: usize = 256 * 1024;
/// Most relays at once.
pub const MAX_OPEN: usize = 10_000;
/// Most bytes that wait for slow sockets, in all relays together.
pub const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Relays that an account may open.
const OPENS: Rate = Rate::per(20, 3_600);
/// Joins tried from one network address.
const JOINS: Rate = Rate::per(30, 3_600);
/// Failed joins before the socket is closed.
const MAX_FAILED: u8 = 10;
/// Time for signing in, from the start of a socket or the end of its relay, milliseconds.
const SIGN_IN_MS: u64 = 30_000;

/// The open relays of this server.
#[derive(Debug)]
pub struct Relays {
    open: Mutex<HashMap<u32, Arc<Relay>>>,
    opens: Buckets<AccountId>,
    joins: Buckets<IpAddr>,
    waiting_bytes: Arc<AtomicUsize>,
    life_ms: u64,
}

impl Relays {
    /// No relay yet; each lives so long.
    pub fn new(life_ms: u64) -> Self {
        Self {
            open: Mutex::default(),
            opens: Buckets::new(OPENS),
            joins: Buckets::new(JOINS),
            waiting_bytes: Arc::default(),
            life_ms,
        }
    }
}

#[derive(Debug)]
struct Relay {
    slot: u32,
    until: UnixMillis,
    talk: Mutex<Talk>,
    wakers: [AtomicWaker; 2],
}

#[derive(Debug, Default)]
struct Talk {
    stage: Stage,
    payloads: u32,
    bytes: usize,
    waiting: [VecDeque<Waiting>; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    Joined,
    Over,
}

/// A payload that waits, counted while it does.
#[derive(Debug)]
struct Waiting {
    payload: Bytes,
    counter: Arc<AtomicUsize>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.payload.len(), Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Opener = 0,
    Joiner = 1,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Opener => Self::Joiner,
            Self::Joiner => Self::Opener,
        }
    }
}

impl Relay {
    /// Takes the only joiner there will be.
    fn admit(&self) -> bool {
        let mut talk = self.talk.locked();
        let free = talk.stage == Stage::Open;
        if free {
            talk.stage = Stage::Joined;
        }
        free
    }

    fn wake(&self, side: Side) {
        self.wakers[side as usize].wake();
    }
}

impl Relays {
    /// Forgets who opened and joined how many, where it makes no difference any more.
    pub fn forget(&self, now: UnixMillis) {
        self.opens.forget(now);
        self.joins.forget(now);
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.open.locked().len()
    }

    fn insert(&self, now: UnixMillis, rng: &mut Rng) -> Result<Arc<Relay>, Problem> {
        let mut open = self.open.locked();
        if open.len() >= MAX_OPEN {
            return Err(Problem::new(Code::SlowDown, "too many devices are being linked").retry_after_ms(60_000));
        }
        let slot = loop {
            // A remainder of 2^32 by a million: even enough for a number that is no secret.
            let slot = rng.next_u32() % RELAY_SLOTS;
            if !open.contains_key(&slot) {
                break slot;
            }
        };
        let until = now.plus_ms(self.life_ms);
        let relay = Arc::new(Relay { slot, until, talk: Mutex::default(), wakers: Default::default() });
        open.insert(slot, relay.clone());
        Ok(relay)
    }

    fn find(&self, slot: u32, now: UnixMillis) -> Option<Arc<Relay>> {
        self.open.locked().get(&slot).filter(|relay| now < relay.until).cloned()
    }

    /// Ends a relay for both sides. Can be repeated.
    fn end(&self, relay: &Arc<Relay>) {
        let mut open = self.open.locked();
        // The slot may be another relay's by now.
        if open.get(&relay.slot).is_some_and(|found| Arc::ptr_eq(found, relay)) {
            open.remove(&relay.slot);
        }
        drop(open);
        relay.talk.locked().stage = Stage::Over;
        relay.wake(Side::Opener);
        relay.wake(Side::Joiner);
    }
}

/// What a socket hears from its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The other side handed this over.
    Payload(Bytes),
    /// The relay is over.
    Closed,
}

/// One socket's part in relays: at most one at a time. Dropping it ends the relay.
#[derive(Debug)]
pub struct Seat {
    relays: Arc<Relays>,
    at: Option<(Arc<Relay>, Side)>,
    failed: u8,
    /// Since when the socket has no relay.
    since: UnixMillis,
}

impl Seat {
    /// A socket that has just been opened.
    pub fn new(relays: Arc<Relays>, now: UnixMillis) -> Self {
        Self { relays, at: None, failed: 0, since: now }
    }

    /// Opens a relay, in place of the one that the socket is in; its slot.
    ///
    /// # Errors
    /// `SlowDown`.
    pub fn open(&mut self, by: AccountId, now: UnixMillis, rng: &mut Rng) -> Result<u32, Problem> {
        self.relays.opens.take(by, now)?;
        self.leave(now);
        let relay = self.relays.insert(now, rng)?;
        let slot = relay.slot;
        self.at = Some((relay, Side::Opener));
        Ok(slot)
    }

    /// Joins a relay, in place of the one that the socket is in. `source` is the address to meter by; `None` for loopback.
    ///
    /// # Errors
    /// `Expired`: no such slot, taken, over; `SlowDown`.
    pub fn join(&mut self, slot: u32, source: Option<IpAddr>, now: UnixMillis) -> Result<(), Problem> {
        if let Some(source) = source {
            self.relays.joins.take(source, now)?;
        }
        let Some(relay) = self.relays.find(slot, now).filter(|relay| relay.admit()) else {
            self.failed = self.failed.saturating_add(1);
            return Err(expired());
        };
        self.leave(now);
        self.at = Some((relay, Side::Joiner));
        Ok(())
    }

    /// Whether so many joins failed that the socket has to go.
    pub fn is_barred(&self) -> bool {
        self.failed >= MAX_FAILED
    }

    /// Hands a payload to the other side. One too many ends the relay.
    ///
    /// # Errors
    /// `Expired` when nobody is there; `SlowDown`.
    pub fn hand_over(&mut self, payload: &[u8], now: UnixMillis) -> Result<(), Problem> {
        self.tick(now);
        let Some((relay, side)) = &self.at else { return Err(expired()) };
        let mut talk = relay.talk.locked();
        if talk.stage != Stage::Joined {
            return Err(expired());
        }
        let (payloads, bytes) = (talk.payloads + 1, talk.bytes + payload.len());
        if payloads > MAX_PAYLOADS || bytes > MAX_BYTES {
            drop(talk);
            self.relays.end(relay);
            return Err(expired());
        }
        let counter = self.relays.waiting_bytes.clone();
        if counter.fetch_add(payload.len(), Relaxed) + payload.len() > MAX_WAITING_BYTES {
            counter.fetch_sub(payload.len(), Relaxed);
            return Err(Problem::new(Code::SlowDown, "too much waits to be handed over").retry_after_ms(1_000));
        }
        (talk.payloads, talk.bytes) = (payloads, bytes);
        // Copied: a slice would keep the whole frame that it came in.
        let waiting = Waiting { payload: Bytes::copy_from_slice(payload), counter };
        talk.waiting[side.other() as usize].push_back(waiting);
        drop(talk);
        relay.wake(side.other());
        Ok(())
    }

    /// Ends the socket's relay, if it has one.
    pub fn leave(&mut self, now: UnixMillis) {
        if let Some((relay, _)) = self.at.take() {
            self.relays.end(&relay);
            self.since = now;
        }
    }

    /// What the other side has handed over, then that the relay is over.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, now: UnixMillis) -> Poll<Heard> {
        let Some((relay, side)) = &self.at else { return Poll::Pending };
        relay.wakers[*side as usize].register(cx.waker());
        let mut talk = relay.talk.locked();
        if let Some(waiting) = talk.waiting[*side as usize].pop_front() {
            return Poll::Ready(Heard::Payload(waiting.payload.clone()));
        }
        if talk.stage != Stage::Over {
            return Poll::Pending;
        }
        drop(talk);
        self.at = None;
        self.since = now;
        Poll::Ready(Heard::Closed)
    }

    /// Ends the socket's relay when its time is up.
    pub fn tick(&mut self, now: UnixMillis) {
        if let Some((relay, _)) = self.at.as_ref().filter(|(relay, _)| relay.until <= now) {
            self.relays.end(relay);
        }
    }

    /// Whether the socket is in a relay.
    pub fn is_taken(&self) -> bool {
        self.at.is_some()
    }

    /// Whether a socket that is not signed in has had its time for that.
    pub fn is_late(&self, now: UnixMillis) -> bool {
        self.at.is_none() && now.since(self.since) > SIGN_IN_MS
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave(self.since);
    }
}

fn expired() -> Problem {
    Problem::new(Code::Expired, "nobody is there: no such relay, taken, or over")
}

#[cfg(test)]
mod tests;
