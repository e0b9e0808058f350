//! Fresh leaf keys from time to time: who copied this device's state once reads what comes after no more
//! (post-compromise security, RFC 9420 §16.6).
//!
//! - A leaf is renewed a day after it was made or renewed last, where something was said since; in groups each device has its
//!   turn less often ([`interval`]). The moment has nothing to do with what this device says: a commit is signed by its
//!   entry, a message by nobody.
//! - A renewal in a large group whose tree is cold is large, and goes to everybody. All members see the same commits, so
//!   they keep the same account of them: past [`DAILY_BYTES`] of handshakes a day in a room, renewals wait until tomorrow.

use crate::api::ConversationId;
use crate::engine::Engine;
use crate::state::{Phase, Room, Want};
use parlour_proto::ids::{RoomId, UnixMillis};
use rand_core::CryptoRngCore;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// So many devices have their turn within a day.
const TURNS_PER_DAY: u64 = 32;
/// Among own devices there is little to be read, and nobody leaves unnoticed.
const OWN_MS: u64 = 7 * DAY_MS;
/// A leaf that others cannot read is renewed early, but not more often.
const EARLY_MS: u64 = 10 * MINUTE_MS;
/// Rooms that are renewed at one look; the rest a minute later.
const MOST_AT_ONCE: usize = 16;
/// In a room of fewer accounts a renewal is small, and needs no measure: nobody can keep the others from it by noise.
const SMALL: usize = 32;
const SMALL_BYTES: usize = 64 * 1024;
/// What handshakes of a room may weigh in a day (of the server's clock) for a renewal to be added to them.
const DAILY_BYTES: u64 = 2 * 1024 * 1024;

impl Engine {
    /// Looks, about once an hour while there is a connection, which leaves are old.
    pub(crate) fn settle_renewals(&mut self, rng: &mut dyn CryptoRngCore) {
        let first = self.now.plus_ms(MINUTE_MS);
        let due = *self.renewals_due.get_or_insert_with(|| first.plus_ms(rng.next_u64() % (4 * MINUTE_MS)));
        if self.now < due {
            return self.wake_at(due);
        }
        let old: Vec<RoomId> = self.s.rooms.keys().into_iter().filter(|room| self.is_old(room)).collect();
        let wait = if old.len() > MOST_AT_ONCE { MINUTE_MS } else { HOUR_MS };
        self.renewals_due = Some(self.now.plus_ms(wait + rng.next_u64() % (wait / 2)));
        for room in old.into_iter().take(MOST_AT_ONCE) {
            self.want(room, Want::Renew);
        }
    }

    /// Somebody could not read what this device wrote. A home that was put back to what it was before uses keys a second time, which nobody
    /// can read, and cannot know it: with a fresh leaf that is over.
    pub(crate) fn renew_early(&mut self, conversation: ConversationId) {
        let Some(room) = self.best_room(conversation) else { return };
        if self.is_due(&room, EARLY_MS) {
            self.want(room, Want::Renew);
        }
    }

    /// Whether the own leaf of a room is old, and something was said since.
    fn is_old(&self, room: &RoomId) -> bool {
        let Some(r) = self.s.rooms.get(room) else { return false };
        let Some(c) = self.s.conversations.get(&r.conversation) else { return false };
        let interval = if c.is_own { OWN_MS } else { interval(c.members.len()) };
        (c.is_own || c.last_activity > r.renewed) && self.is_due(room, interval)
    }

    /// Whether the own leaf is as old as that, and nothing else is being done in the room.
    fn is_due(&self, room: &RoomId, interval: u64) -> bool {
        let now = self.server_time();
        let Some(r) = self.s.rooms.get(room).filter(|r| matches!(r.phase, Phase::Live) && !r.asked_here) else {
            return false;
        };
        let Some(c) = self.s.conversations.get(&r.conversation) else { return false };
        let idle = self.s.work.get(room).is_none_or(|work| work.is_done());
        let fits = c.members.len() < SMALL || r.handshakes(now) < DAILY_BYTES;
        idle && now.since(r.renewed) >= interval && fits
    }

    /// Whether a renewal of this size may go out today.
    pub(crate) fn may_weigh(&self, room: &RoomId, bytes: usize) -> bool {
        let now = self.server_time();
        // The first of a day always may: else nobody would ever begin to warm a very large tree.
        self.s.rooms.get(room).is_none_or(|r| match r.handshakes(now) {
            0 => true,
            spent => bytes <= SMALL_BYTES || spent.saturating_add(bytes as u64) <= DAILY_BYTES,
        })
    }

    /// No renewal any more today: the next one would weigh too much.
    pub(crate) fn put_off(&mut self, room: &RoomId) {
        let now = self.server_time();
        if let Some(r) = self.s.rooms.get_mut(room) {
            (r.day, r.day_bytes) = (day(now), DAILY_BYTES);
        }
    }

    /// A commit is in the room, somebody's or our own.
    pub(crate) fn weighed(&mut self, room: &RoomId, bytes: usize) {
        let now = self.server_time();
        if let Some(r) = self.s.rooms.get_mut(room) {
            let spent = r.handshakes(now).saturating_add(bytes as u64);
            (r.day, r.day_bytes) = (day(now), spent);
        }
    }

    /// The own leaf has fresh keys.
    pub(crate) fn renewed(&mut self, room: &RoomId) {
        let now = self.server_time();
        if let Some(r) = self.s.rooms.get_mut(room) {
            r.renewed = now;
        }
    }
}

impl Room {
    /// What handshakes weighed since the server's day began, bytes.
    fn handshakes(&self, now: UnixMillis) -> u64 {
        if self.day == day(now) { self.day_bytes } else { 0 }
    }
}

fn day(now: UnixMillis) -> u64 {
    now.0 / DAY_MS
}

/// How old a leaf may grow in a conversation with so many others, in ms.
fn interval(others: usize) -> u64 {
    DAY_MS * (others as u64 / TURNS_PER_DAY).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_larger_groups_each_has_its_turn_less_often() {
        assert_eq!([1, 31, 64, 999].map(interval), [DAY_MS, DAY_MS, 2 * DAY_MS, 31 * DAY_MS]);
    }

    #[test]
    fn a_day_takes_so_much_and_the_next_begins_anew() {
        let mut engine = Engine::open([]).unwrap();
        let room = RoomId([1; 16]);
        engine.s.rooms.insert(room, crate::scale::room(1));
        assert!(engine.may_weigh(&room, 3 * 1024 * 1024), "the first of a day always may");
        engine.weighed(&room, 1024 * 1024);
        assert!(engine.may_weigh(&room, 1024 * 1024));
        assert!(!engine.may_weigh(&room, 1024 * 1024 + 1));
        engine.put_off(&room);
        assert!(!engine.may_weigh(&room, SMALL_BYTES + 1));
        assert!(engine.may_weigh(&room, SMALL_BYTES), "a small one always may");
        engine.now = engine.now.plus_ms(DAY_MS);
        assert!(engine.may_weigh(&room, 1024));
    }
}
