//! What honest software does not send is refused, counted, and said.
//!
//! Nothing here decides what is believed: that is decided where it comes in. Here the user gets to know of it, once an hour for each kind
//! and conversation, however much comes; [`Status::refused`](crate::api::Status) counts all of it. Who did it cannot be told: a server
//! can make what a member can, and in a group a member can make most of what a server can.

use crate::api::{ConversationId, Event, Failure, Interference};
use crate::engine::Engine;
use parlour_proto::ids::RoomId;

/// The same is not said again before this.
const QUIET_MS: u64 = 3_600_000;

impl Engine {
    /// Something was refused.
    pub(crate) fn interfered(&mut self, what: Interference, conversation: Option<ConversationId>) {
        self.s.counters().refused += 1;
        let now = self.now;
        let said = self.interfered.get(&(conversation, what));
        if said.is_some_and(|said| now.since(*said) < QUIET_MS) {
            return;
        }
        self.interfered.insert((conversation, what), now);
        let identity = self.identity_id();
        self.tell(Event::Interference { identity, conversation, what });
    }

    /// The same, in a room.
    pub(crate) fn interfered_in(&mut self, room: &RoomId, what: Interference) {
        let conversation = self.s.rooms.get(room).map(|r| r.conversation);
        self.interfered(what, conversation.filter(|id| !self.s.conversations.get(id).is_some_and(|c| c.is_own)));
    }

    /// What the server showed of somebody's keys, if it was refused as not fitting.
    pub(crate) fn note_suspicious<T>(&mut self, outcome: &Result<T, Failure>) {
        // A server that was restored shows lists of before, until their devices have told it the newest links.
        if matches!(outcome, Err(Failure::Suspicious(_))) && !self.is_recently_restored() {
            self.interfered(Interference::Keys, None);
        }
    }
}
