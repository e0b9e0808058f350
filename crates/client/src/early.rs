//! What is heard of somebody in a group before the roster that introduces them: who adds somebody says who they are right after
//! the commit, and whoever was added may be faster.
//!
//! It is kept in memory until they are introduced. Its key is used up and its row acknowledged: so that a crash loses nothing,
//! a message waits with those that are asked for once more, and is taken from there when it is heard.

use crate::api::ConversationId;
use crate::contacts::Trust;
use crate::engine::Engine;
use parlour_e2ee::Message;
use parlour_proto::frames::Row;
use parlour_proto::ids::{MessageId, UnixMillis};
use rand_core::CryptoRngCore;

/// So many messages are kept; the oldest goes.
const MOST: usize = 256;
/// So many bytes of them.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// An introduction comes within this, or a message is refused: the user is told.
pub(crate) const PATIENCE_MS: u64 = 120_000;

/// A message of somebody who was not introduced yet.
pub(crate) struct Early {
    pub(crate) row: Row,
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
    pub(crate) stamp: [u8; 32],
    pub(crate) heard: Message,
    /// When it is given up; `None`: no sooner than others need its place, and nobody is told.
    pub(crate) until: Option<UnixMillis>,
}

impl Engine {
    /// Keeps a message of somebody unknown; `again`: it is one that was asked for, and is not asked for another time.
    pub(crate) fn keep_early(&mut self, early: Early, again: bool) {
        if !again && let Some(r) = self.s.rooms.get_mut(&early.row.room) {
            let known = r.unreadable.contains(&early.message) || r.missing.contains(&early.message);
            if !known && r.unreadable.len() < MOST {
                r.unreadable.push(early.message);
            }
            self.keep_place(early.conversation, early.message);
        }
        if let Some(until) = early.until {
            self.wake_at(until);
        }
        self.early.push_back(early);
        let bytes = |early: &Early| early.heard.content.len();
        while self.early.len() > MOST || self.early.iter().map(bytes).sum::<usize>() > MOST_BYTES {
            self.early.pop_front();
        }
    }

    /// Whether it waits for an introduction.
    pub(crate) fn is_early(&self, message: &MessageId) -> bool {
        self.early.iter().any(|early| early.message == *message)
    }

    /// Hears those who have been introduced meanwhile, if their keys fit the introduction, and gives up what nobody vouched for.
    pub(crate) fn hear_early(&mut self, rng: &mut dyn CryptoRngCore) {
        let now = self.now;
        for early in std::mem::take(&mut self.early) {
            let verified = self.trust(&early.heard.sender) == Trust::Verified;
            let over = early.until.is_some_and(|until| now >= until);
            if !verified && !over {
                self.early.push_back(early);
                continue;
            }
            let Early { row, conversation, message, stamp, heard, .. } = early;
            if verified && let Some(r) = self.s.rooms.get_mut(&row.room) {
                r.unreadable.retain(|id| *id != message);
                r.missing.retain(|id| *id != message);
            }
            self.hear_now(&row, conversation, message, stamp, heard, true, rng);
        }
        if let Some(next) = self.early.iter().filter_map(|early| early.until).min() {
            self.wake_at(next);
        }
    }
}
