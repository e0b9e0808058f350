//! What does not come. Each message tells which one its device said before in the room (the extension `parlour.after`). Who did not
//! hear that one asks for it like for one that could not be read, and gets it once more: whoever withholds a message has to withhold
//! all that its author's device says after it, too.
//!
//! Reports and notes to own devices are not in this chain, and it is not there in groups of more than
//! [`MOST_MEMBERS_WITH_REPORTS`]: each of them would ask. It begins anew when somebody comes into a group, so that nobody learns the
//! id of what was said before they came, to ask for it.

use crate::api::ConversationId;
use crate::engine::{Engine, Load};
use crate::hearing::MOST_MEMBERS_WITH_REPORTS;
use crate::saying::Heard;
use crate::state::Saying;
use parlour_proto::ids::{DeviceId, MessageId, RoomId};

impl Saying {
    /// Whether it is told of in the next one.
    fn is_chained(&self) -> bool {
        let reports = matches!(self, Saying::Delivered { .. } | Saying::Read { .. } | Saying::Missing { .. });
        !reports && !matches!(self, Saying::Own { .. } | Saying::Handover { .. })
    }
}

impl Heard {
    fn is_chained(&self) -> bool {
        !matches!(self, Heard::Reports(_) | Heard::Own(_))
    }
}

impl Engine {
    /// What this device said before what it says now.
    pub(crate) fn said_before(&self, room: &RoomId, saying: &Saying) -> Option<MessageId> {
        let r = self.s.rooms.get(room)?;
        r.said.filter(|_| saying.is_chained() && self.is_small(r.conversation))
    }

    fn is_small(&self, conversation: ConversationId) -> bool {
        self.s.conversations.get(&conversation).is_some_and(|c| c.members.len() < MOST_MEMBERS_WITH_REPORTS)
    }

    /// Something is with the server.
    pub(crate) fn note_said(&mut self, room: &RoomId, saying: &Saying, message: MessageId) {
        let chained = saying.meant().is_some_and(|(saying, _)| saying.is_chained());
        if let Some(r) = self.s.rooms.get_mut(room).filter(|_| chained) {
            r.said = Some(message);
        }
    }

    /// A device said something `after` something else: was that heard?
    pub(crate) fn follow(
        &mut self,
        room: RoomId,
        conversation: ConversationId,
        device: DeviceId,
        said: (MessageId, &Heard),
        after: Option<MessageId>,
    ) {
        let (message, heard) = said;
        if !heard.is_chained() || !self.is_small(conversation) {
            return;
        }
        let last = self.s.heard.get(&(room, device)).copied();
        self.s.heard.insert((room, device), message);
        let Some(after) = after.filter(|after| last.is_some_and(|last| last != *after)) else { return };
        if self.is_brought_in(&room) {
            return self.ask_own_for(room, conversation, after);
        }
        self.keep_place(conversation, after);
        let prefix = self.message_prefix(conversation, after);
        self.load_rows(prefix, Load::Followed(room, after));
    }

    /// Asks for it, unless it is here: a device that was put back to an older state of itself tells of older ones.
    pub(crate) fn on_followed_rows(&mut self, room: RoomId, after: MessageId, rows: &[(Vec<u8>, Vec<u8>)]) {
        if crate::messages::is_stored(rows) {
            if let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) {
                self.kept_place(conversation, &after);
            }
        } else {
            tracing::debug!(?room, ?after, "a message that did not come");
            self.ask_uncounted(room, after, self.now);
        }
    }

    /// What was said in a room before this device came in (again) is not asked for.
    pub(crate) fn forget_heard(&mut self, room: &RoomId) {
        let range = (*room, DeviceId([0; 16]))..=(*room, DeviceId([0xff; 16]));
        let heard: Vec<_> = self.s.heard.range(range).map(|(key, _)| *key).collect();
        for key in heard {
            self.s.heard.remove(&key);
        }
    }
}
