//! A clock that is set by hand; no sockets.

use super::*;
use crate::testing::{NOON, rng};

const LIFE_MS: u64 = 600_000;
const ANN: AccountId = AccountId([1; 16]);

/// Sockets of one server, at one time.
struct World {
    relays: Arc<Relays>,
    now: UnixMillis,
    rng: Rng,
}

impl World {
    fn new() -> Self {
        Self { relays: Arc::new(Relays::new(LIFE_MS)), now: NOON, rng: rng(1) }
    }

    fn seat(&self) -> Seat {
        Seat::new(self.relays.clone(), self.now)
    }

    fn open(&mut self, by: u8) -> (Seat, u32) {
        let mut seat = self.seat();
        let slot = seat.open(AccountId([by; 16]), self.now, &mut self.rng).unwrap();
        (seat, slot)
    }

    fn pair(&mut self) -> (Seat, Seat) {
        let (opener, slot) = self.open(1);
        let mut joiner = self.seat();
        joiner.join(slot, None, self.now).unwrap();
        (opener, joiner)
    }

    fn hear(&self, seat: &mut Seat) -> Option<Heard> {
        let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
        match seat.poll_next(&mut cx, self.now) {
            Poll::Ready(heard) => Some(heard),
            Poll::Pending => None,
        }
    }
}

fn code<T>(result: Result<T, Problem>) -> Option<Code> {
    result.err().map(|problem| problem.code)
}

fn payload(text: &'static [u8]) -> Option<Heard> {
    Some(Heard::Payload(Bytes::from_static(text)))
}

#[test]
fn what_one_side_hands_over_the_other_hears_in_order() {
    let mut world = World::new();
    let (mut opener, slot) = world.open(1);
    assert_eq!(code(opener.hand_over(b"too early", world.now)), Some(Code::Expired));
    let mut joiner = world.seat();
    joiner.join(slot, None, world.now).unwrap();
    opener.hand_over(b"one", world.now).unwrap();
    opener.hand_over(b"two", world.now).unwrap();
    joiner.hand_over(b"three", world.now).unwrap();
    assert_eq!(world.hear(&mut joiner), payload(b"one"));
    assert_eq!(world.hear(&mut opener), payload(b"three"));
    // What was handed over before the end is heard before it.
    opener.leave(world.now);
    assert_eq!(world.hear(&mut joiner), payload(b"two"));
    assert_eq!(code(joiner.hand_over(b"four", world.now)), Some(Code::Expired));
    assert_eq!(world.hear(&mut joiner), Some(Heard::Closed));
    assert_eq!((world.hear(&mut joiner), world.hear(&mut opener)), (None, None));
    assert_eq!((world.relays.count(), world.relays.waiting_bytes.load(Relaxed)), (0, 0));
}

#[test]
fn a_slot_takes_one_joiner_ever() {
    let mut world = World::new();
    let (mut opener, slot) = world.open(1);
    let (mut first, mut second) = (world.seat(), world.seat());
    first.join(slot, None, world.now).unwrap();
    assert_eq!(code(second.join(slot, None, world.now)), Some(Code::Expired));
    drop(first);
    assert_eq!(code(second.join(slot, None, world.now)), Some(Code::Expired));
    assert_eq!(world.hear(&mut opener), Some(Heard::Closed));
    assert_eq!(code(second.join(RELAY_SLOTS, None, world.now)), Some(Code::Expired));
}

#[test]
fn a_second_relay_of_a_socket_replaces_the_first() {
    let mut world = World::new();
    let (mut opener, mut joiner) = world.pair();
    let slot = opener.open(ANN, world.now, &mut world.rng).unwrap();
    assert_eq!(world.hear(&mut joiner), Some(Heard::Closed));
    assert_eq!(world.hear(&mut opener), None, "its new one is open");
    joiner.join(slot, None, world.now).unwrap();
    opener.hand_over(b"again", world.now).unwrap();
    assert_eq!(world.hear(&mut joiner), payload(b"again"));
}

#[test]
fn a_relay_that_ended_does_not_end_a_later_one_at_its_slot() {
    let mut world = World::new();
    let (mut opener, mut joiner) = world.pair();
    opener.leave(world.now);
    // The same randomness draws the same slot.
    world.rng = rng(1);
    let (mut later, slot) = world.open(2);
    assert_eq!(joiner.at.as_ref().map(|(relay, _)| relay.slot), Some(slot));
    assert_eq!(world.hear(&mut joiner), Some(Heard::Closed));
    let mut other = world.seat();
    other.join(slot, None, world.now).unwrap();
    later.hand_over(b"hello", world.now).unwrap();
    assert_eq!(world.hear(&mut other), payload(b"hello"));
}

#[test]
fn ten_minutes_end_a_relay_for_both() {
    let mut world = World::new();
    let (mut opener, mut joiner) = world.pair();
    let (alone, slot) = world.open(2);
    world.now = NOON.plus_ms(LIFE_MS - 1);
    opener.tick(world.now);
    assert_eq!(world.hear(&mut joiner), None);
    world.now = NOON.plus_ms(LIFE_MS);
    assert_eq!(code(world.seat().join(slot, None, world.now)), Some(Code::Expired), "though nobody has looked at it");
    opener.tick(world.now);
    assert_eq!(world.hear(&mut opener), Some(Heard::Closed));
    assert_eq!(world.hear(&mut joiner), Some(Heard::Closed));
    drop(alone);
    assert_eq!(world.relays.count(), 0);
    // Late, but before anybody's tick.
    let (mut opener, _joiner) = world.pair();
    world.now = world.now.plus_ms(LIFE_MS);
    assert_eq!(code(opener.hand_over(b"late", world.now)), Some(Code::Expired));
    assert_eq!(world.hear(&mut opener), Some(Heard::Closed));
}

#[test]
fn a_joined_stranger_may_stay_until_the_relay_is_over_and_thirty_seconds_more() {
    let mut world = World::new();
    let (mut opener, mut joiner) = world.pair();
    let stranger = world.seat();
    world.now = NOON.plus_ms(30_000);
    assert!(!stranger.is_late(world.now));
    world.now = NOON.plus_ms(30_001);
    assert!(stranger.is_late(world.now) && !joiner.is_late(world.now));
    world.now = NOON.plus_ms(300_000);
    opener.leave(world.now);
    assert!(!joiner.is_late(world.now));
    assert_eq!(world.hear(&mut joiner), Some(Heard::Closed));
    assert!(!joiner.is_late(world.now.plus_ms(30_000)));
    assert!(joiner.is_late(world.now.plus_ms(30_001)));
}

#[test]
fn a_failed_join_gives_no_time() {
    let world = World::new();
    let mut stranger = world.seat();
    for n in 1..=10 {
        assert!(!stranger.is_barred());
        assert_eq!(code(stranger.join(n, None, world.now.plus_ms(29_000))), Some(Code::Expired));
    }
    assert!(stranger.is_barred());
    assert!(stranger.is_late(world.now.plus_ms(30_001)));
}

#[test]
fn the_payload_after_the_last_ends_the_relay() {
    let mut world = World::new();
    let (mut opener, mut joiner) = world.pair();
    for n in 0..MAX_PAYLOADS {
        let (from, to) = if n % 2 == 0 { (&mut opener, &mut joiner) } else { (&mut joiner, &mut opener) };
        from.hand_over(b"x", world.now).unwrap();
        assert_eq!(world.hear(to), payload(b"x"));
    }
    assert_eq!(code(opener.hand_over(b"x", world.now)), Some(Code::Expired));
    assert_eq!(world.hear(&mut joiner), Some(Heard::Closed));
    assert_eq!(world.hear(&mut opener), Some(Heard::Closed));
}

#[test]
fn so_does_the_byte_after_the_last() {
    let mut world = World::new();
    let (mut opener, mut joiner) = world.pair();
    let most = parlour_proto::frames::MAX_RELAY_BYTES;
    for _ in 0..MAX_BYTES / most {
        joiner.hand_over(&vec![0; most], world.now).unwrap();
    }
    assert_eq!(world.relays.waiting_bytes.load(Relaxed), MAX_BYTES);
    assert_eq!(code(joiner.hand_over(b"x", world.now)), Some(Code::Expired));
    let heard = std::iter::from_fn(|| world.hear(&mut opener)).count();
    assert_eq!(heard, MAX_BYTES / most + 1, "what waits is still heard, then the end");
    assert_eq!(world.relays.waiting_bytes.load(Relaxed), 0);
}

#[test]
fn what_waits_for_slow_sockets_is_bounded() {
    let mut world = World::new();
    let (mut opener, mut joiner) = world.pair();
    world.relays.waiting_bytes.store(MAX_WAITING_BYTES - 1, Relaxed);
    assert_eq!(code(opener.hand_over(b"xx", world.now)), Some(Code::SlowDown));
    opener.hand_over(b"x", world.now).unwrap();
    assert_eq!(world.hear(&mut joiner), payload(b"x"));
    assert_eq!(world.relays.waiting_bytes.load(Relaxed), MAX_WAITING_BYTES - 1);
    drop((opener, joiner));
}

#[test]
fn opening_and_joining_are_metered() {
    let mut world = World::new();
    let mut opener = world.seat();
    for _ in 0..20 {
        opener.open(ANN, world.now, &mut world.rng).unwrap();
    }
    assert_eq!(code(opener.open(ANN, world.now, &mut world.rng)), Some(Code::SlowDown));
    assert!(opener.is_taken(), "the one it has stays");
    let source = Some(IpAddr::from([192, 0, 2, 1]));
    for _ in 0..30 {
        assert_eq!(code(world.seat().join(RELAY_SLOTS, source, world.now)), Some(Code::Expired));
    }
    let mut slowed = world.seat();
    assert_eq!(code(slowed.join(RELAY_SLOTS, source, world.now)), Some(Code::SlowDown));
    assert_eq!(slowed.failed, 0);
    assert_eq!(code(slowed.join(RELAY_SLOTS, None, world.now)), Some(Code::Expired), "loopback is not metered");
}

#[test]
fn there_are_ten_thousand_relays_at_most() {
    let mut world = World::new();
    let seats: Vec<Seat> = (0..MAX_OPEN as u64)
        .map(|n| {
            let mut seat = world.seat();
            let mut account = [0; 16];
            account[..8].copy_from_slice(&n.to_be_bytes());
            seat.open(AccountId(account), world.now, &mut world.rng).unwrap();
            seat
        })
        .collect();
    assert_eq!(world.relays.count(), MAX_OPEN);
    assert_eq!(code(world.seat().open(AccountId([9; 16]), world.now, &mut world.rng)), Some(Code::SlowDown));
    drop(seats);
    assert_eq!(world.relays.count(), 0);
}
