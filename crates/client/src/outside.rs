//! Rooms in which the other own devices are, and which this one is not in though they think so: its state is an old copy, or who
//! brought it in was taken off the list before it came there. It cannot knock, for the server does not know the key that it has.
//!
//! It says so in the room of own devices when that lasts. The oldest other one that is in the room, and did not say the same, takes
//! its leaf out, and brings it in again like a device that is new ([`crate::leaves`]).

use crate::engine::Engine;
use crate::history::chunks;
use crate::own::{NOTE_BYTES, Note};
use crate::state::{Expected, Want};
use parlour_proto::ids::{DeviceId, RoomId, UnixMillis};
use rand_core::CryptoRngCore;

/// A Welcome may be under way so long.
const PATIENCE_MS: u64 = 60_000;
/// Nobody may have been there to hear it, or what they sent was lost: said again after pauses that double, up to this.
const LONGEST_MS: u64 = 24 * 3_600_000;

/// A room that this device is not in.
pub(crate) struct Outside {
    /// When it says so next.
    due: UnixMillis,
    /// How long it waits then.
    pause_ms: u64,
}

impl Engine {
    /// This device is out of a room in which others of this account may be.
    pub(crate) fn lost_place(&mut self, room: RoomId) {
        if self.other_devices().is_empty() {
            return;
        }
        if let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) {
            self.s.expected.insert(room, Expected { conversation, open_there: true });
        }
        self.outside.insert(room, Outside { due: self.now, pause_ms: PATIENCE_MS });
        self.again = true;
    }

    /// Tells the others, when it lasts.
    pub(crate) fn settle_outside(&mut self, rng: &mut dyn CryptoRngCore) {
        if !self.drained || self.own_room().is_none() || self.other_devices().is_empty() {
            return;
        }
        let due = self.now.plus_ms(PATIENCE_MS);
        for room in self.s.expected.keys() {
            if self.outside.get(&room).is_none() {
                self.outside.insert(room, Outside { due, pause_ms: PATIENCE_MS });
            }
        }
        let mut said = Vec::new();
        let rooms: Vec<_> = self.outside.iter().map(|(room, outside)| (*room, outside.due, outside.pause_ms)).collect();
        for (room, due, pause_ms) in rooms {
            if self.is_in(&room) {
                self.outside.remove(&room);
            } else if self.now >= due {
                let next = Outside { due: self.now.plus_ms(pause_ms), pause_ms: LONGEST_MS.min(pause_ms * 2) };
                self.wake_at(next.due);
                self.outside.insert(room, next);
                said.push(room);
            } else {
                self.wake_at(due);
            }
        }
        for rooms in chunks(said, NOTE_BYTES, |room| room.0.len()) {
            self.say_own(&Note::Outside { rooms }, rng);
        }
    }

    /// Whether nothing is missing here: we are in it, or in another room of its conversation, or that is gone.
    fn is_in(&self, room: &RoomId) -> bool {
        let here = self.s.rooms.get(room);
        let conversation = self.s.expected.get(room).map(|expected| expected.conversation);
        here.is_some_and(|r| r.usable())
            || conversation.is_some_and(|id| !self.s.conversations.contains(&id) || self.best_room(id).is_some())
    }

    /// Another own device is not in a room: it is brought in again.
    pub(crate) fn hear_outside(&mut self, from: DeviceId, room: RoomId) {
        let Some(me) = self.me().map(|me| (me.account.clone(), me.device)) else { return };
        let (account, this) = me;
        let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) else { return };
        let Some(room) = self.best_room(conversation) else { return };
        let there = self.s.rooms.get(&room).map(|r| r.own_devices.clone()).unwrap_or_default();
        if !there.contains(&from) {
            return;
        }
        self.others_outside.insert((room, from));
        let is_out = |id: &DeviceId| self.others_outside.contains(&(room, *id));
        let (out, inside): (Vec<DeviceId>, Vec<DeviceId>) = there.into_iter().partition(is_out);
        let first = self.listed().iter().map(|device| device.id).find(|id| *id == this || inside.contains(id));
        if first == Some(this) {
            for device in &out {
                self.told_rooms.remove(&(room, *device));
            }
            self.want(room, Want::Gone { account, devices: out });
        }
    }
}
