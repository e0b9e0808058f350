//! Conversations: what users see of rooms.
//!
//! | standing | changes to | when |
//! |---|---|---|
//! | - | Starting | somebody is written to for the first time |
//! | - | Request | a Welcome for an `asked` entry came, from somebody who is not let in |
//! | - | Open | a Welcome for an `open` entry came, from somebody who is let in |
//! | Starting | Asked | the first message is with the server, their entry is `asked` |
//! | Starting | Open | they were reached by their door token |
//! | Starting | Closed | nobody there who can be reached |
//! | Asked | Open | their acceptance came; or they wrote to us at the same time |
//! | Request | Open | accepted; or we had written to them |
//! | Request | (gone) | declined: nothing is said, nothing is kept |
//! | Open | Repairing | MLS state was lost, here or there, and no room is usable |
//! | Repairing | Open | back in by a knock, or in the room that follows |
//! | any | Closed | blocked, left, the other side left |
//! | Closed | Starting | written to again |
//!
//! **Two people who write to each other at the same time** make two rooms. When the other's Welcome arrives, its room joins
//! the same conversation and is opened without asking: both have shown that they want it. Messages go to the usable room
//! with the lowest id, so that both sides soon use the same one; the other stays readable.

use crate::api::{self, ConversationId, ConversationState, Event, Failure, Member};
use crate::engine::Engine;
use crate::rows::{LAZY, prefix};
use crate::state::{Conversation, Outgoing, Phase, Room, Saying, Standing};
use bytes::Bytes;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{MessageId, RoomId};
use rand_core::CryptoRngCore;

/// Positions kept at one time; the oldest goes.
const MOST_PLACES: usize = 64;

impl Standing {
    pub(crate) fn shown(&self) -> ConversationState {
        match self {
            Standing::Starting => ConversationState::Starting,
            Standing::Asked => ConversationState::Asked,
            Standing::Request => ConversationState::Request,
            Standing::Open => ConversationState::Open,
            Standing::Repairing => ConversationState::Repairing,
            Standing::Closed => ConversationState::Closed,
        }
    }
}

impl Room {
    /// Messages can be written here (perhaps only one).
    pub(crate) fn usable(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }
}

/// Key prefix of a conversation's messages.
pub(crate) fn messages_prefix(identity: u16, conversation: &ConversationId) -> Vec<u8> {
    let mut key = prefix(LAZY, b'm', identity);
    key.extend(conversation.0);
    key
}

impl Engine {
    pub(crate) fn new_conversation(
        &mut self,
        is_group: bool,
        standing: Standing,
        members: Vec<AccountRef>,
        rng: &mut dyn CryptoRngCore,
    ) -> ConversationId {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let id = ConversationId(id);
        self.s.conversations.insert(
            id,
            Conversation {
                is_group,
                is_own: false,
                standing,
                members,
                title: String::new(),
                rooms: Vec::new(),
                unread: 0,
                read_up_to: 0,
                newest: None,
                last_activity: self.now,
                next_order: 1,
                base: 0,
                profile_sent: 0,
                asking: None,
                mentioned: false,
                picture: None,
                kept: false,
                preview: Bytes::new(),
                places: Vec::new(),
            },
        );
        id
    }

    pub(crate) fn standing(&self, conversation: ConversationId) -> Option<ConversationState> {
        self.s.conversations.get(&conversation).map(|c| c.standing.shown())
    }

    pub(crate) fn set_standing(&mut self, conversation: ConversationId, standing: Standing) {
        let changed = self.standing(conversation).is_some_and(|now| now != standing.shown());
        if changed && let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.standing = standing;
            self.again = true;
            self.mark_newest(conversation);
            self.tell_conversation(conversation);
        }
    }

    /// The room to write in: usable, opened by us, if possible opened by them; of several the lowest id.
    pub(crate) fn best_room(&self, conversation: ConversationId) -> Option<RoomId> {
        let rooms = &self.s.conversations.get(&conversation)?.rooms;
        let mut usable: Vec<(bool, RoomId)> = rooms
            .iter()
            .filter_map(|id| self.s.rooms.get(id).map(|room| (id, room)))
            .filter(|(_, room)| room.usable() && !room.asked_here)
            .map(|(id, room)| (!room.open_there, *id))
            .collect();
        usable.sort();
        usable.first().map(|(_, id)| *id)
    }

    /// After a room changed: where does the conversation stand?
    pub(crate) fn weigh(&mut self, conversation: ConversationId) {
        let Some(now) = self.standing(conversation) else { return };
        if matches!(now, ConversationState::Closed | ConversationState::Request) {
            return;
        }
        let best = self.best_room(conversation);
        let outside = best.is_some_and(|id| self.is_outside_long(&id));
        let best = best.and_then(|id| self.s.rooms.get(&id));
        let standing = match best {
            Some(_) if outside => Standing::Repairing,
            Some(room) if room.open_there => Standing::Open,
            Some(room) if room.hello_sent => Standing::Asked,
            Some(_) => Standing::Starting,
            None if self.s.starts.contains(&conversation) && now == ConversationState::Starting => Standing::Starting,
            None => {
                let building = self.s.conversations.get(&conversation).is_some_and(|c| {
                    c.rooms.iter().any(|id| self.s.rooms.get(id).is_some_and(|r| matches!(r.phase, Phase::Building)))
                });
                if building && now == ConversationState::Starting { Standing::Starting } else { Standing::Repairing }
            }
        };
        self.set_standing(conversation, standing);
    }

    /// Moves what was queued for a conversation that turned out to be another one.
    pub(crate) fn merge_conversations(&mut self, from: ConversationId, into: ConversationId) {
        let items: Vec<u64> = self.s.outgoing_of(from).map(|(at, _)| at).collect();
        for at in items {
            if let Some(item) = self.s.outgoing.remove(&(from, at)) {
                // The keys of the other one go with it.
                self.queue(into, Outgoing { key: 0, ..item });
            }
        }
        for (_, conversation, _) in self.send_intents.iter_mut().filter(|(_, id, _)| *id == from) {
            *conversation = into;
        }
        for (_, conversation) in self.asking.iter_mut().filter(|(_, id)| *id == from) {
            *conversation = into;
        }
        self.guests_move(from, into);
        self.forget_conversation(from);
    }

    /// Removes a conversation and everything of it from this device.
    pub(crate) fn forget_conversation(&mut self, conversation: ConversationId) {
        let Some(gone) = self.s.conversations.remove(&conversation) else { return };
        self.s.starts.remove(&conversation);
        self.s.invitations.remove(&conversation);
        self.guests_forget(conversation);
        let items: Vec<u64> = self.s.outgoing_of(conversation).map(|(at, _)| at).collect();
        for at in items {
            self.s.outgoing.remove(&(conversation, at));
        }
        for room in gone.rooms {
            self.forget_room(&room);
        }
        for account in &gone.members {
            if self.s.contacts.get(account).is_some_and(|contact| contact.conversation == Some(conversation))
                && let Some(contact) = self.s.contacts.get_mut(account)
            {
                contact.conversation = None;
            }
        }
        self.s.drafts.remove(&conversation);
        self.forget_asides(conversation);
        self.forget_group_picture(conversation);
        self.s.former.remove(&conversation);
        self.wipe_messages(conversation);
    }

    /// Deletes all messages of a conversation, and what is remembered of them.
    pub(crate) fn wipe_messages(&mut self, conversation: ConversationId) {
        self.wipe(messages_prefix(self.s.number, &conversation));
        self.wipe(crate::pages::index_prefix(self.s.number, &conversation));
        self.wipe(crate::expiry::archive::archive_prefix(self.s.number, Some(&conversation)));
        self.forget_kept(conversation);
        self.s.ring.destroy_all_of(conversation);
        self.s.refiling.remove(&conversation);
        let waiting: Vec<_> = self.s.unread.keys().into_iter().filter(|(of, _)| *of == conversation).collect();
        for at in &waiting {
            self.s.unread.remove(at);
        }
        self.forget_newest(conversation);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.unread = 0;
            c.mentioned = false;
        }
    }

    /// Removes a room; its later rows are dropped unread.
    pub(crate) fn forget_room(&mut self, room: &RoomId) {
        self.s.rooms.remove(room);
        self.s.work.remove(room);
        self.behind.remove(room);
        self.drop_waiting(room);
        self.s.tombstones.insert(*room, self.now);
        self.forget_heard(room);
        self.drop_group(room);
    }

    /// We are out of a room, or it is of no use any more.
    pub(crate) fn leave_room(&mut self, room: &RoomId) {
        let Some(r) = self.s.rooms.get_mut(room) else { return };
        r.phase = Phase::Left;
        let conversation = r.conversation;
        self.s.work.remove(room);
        self.behind.remove(room);
        self.drop_group(room);
        self.fail_group_intents(*room);
        let left =
            self.s.conversations.get(&conversation).is_some_and(|c| c.rooms.iter().all(|id| !self.has_a_future(id)));
        if left {
            self.close_conversation(conversation, &Failure::NotFound("open conversation"));
        } else {
            self.weigh(conversation);
        }
    }

    /// Whether something can be said in the room, now or after a repair.
    pub(crate) fn has_a_future(&self, room: &RoomId) -> bool {
        let repairs = || self.s.work.get(room).is_some_and(|work| work.repair.is_some());
        self.s.rooms.get(room).is_some_and(|r| match r.phase {
            Phase::Building | Phase::Live => true,
            Phase::Broken => repairs(),
            Phase::Superseded | Phase::Left => false,
        })
    }

    /// Nothing more can be said here: what is queued has failed.
    pub(crate) fn close_conversation(&mut self, conversation: ConversationId, why: &Failure) {
        self.s.starts.remove(&conversation);
        self.fail_outgoing(conversation, why);
        self.set_standing(conversation, Standing::Closed);
    }

    /// Takes everything out of a conversation's outbox; texts that the server does not have failed, and are told.
    pub(crate) fn fail_outgoing(&mut self, conversation: ConversationId, why: &Failure) {
        let mut messages = Vec::new();
        let items: Vec<u64> = self.s.outgoing_of(conversation).map(|(at, _)| at).collect();
        for at in items {
            if let Some(item) = self.s.outgoing.remove(&(conversation, at)) {
                // What the server has may have been read, though its echo does not come any more.
                let state = if item.accepted { api::MessageState::Sent } else { api::MessageState::Failed };
                self.show_final(conversation, &item, state);
                if !item.accepted && matches!(item.saying, Saying::Text { .. }) {
                    messages.push(item.message);
                }
            }
        }
        if !messages.is_empty() {
            self.tell(Event::NotSent { conversation, messages, why: why.clone() });
        }
    }

    pub(crate) fn show_member(&self, account: &AccountRef) -> Member {
        let contact = self.s.contacts.get(account);
        Member {
            account: account.clone(),
            address: contact.and_then(|c| c.addresses.first().cloned()),
            name: contact.and_then(|c| c.name.clone()),
            picture: contact.and_then(|c| c.picture),
        }
    }

    pub(crate) fn show_conversation(&self, id: ConversationId) -> Option<api::Conversation> {
        let c = self.s.conversations.get(&id).filter(|c| !c.is_own)?;
        let members: Vec<Member> = c.members.iter().map(|account| self.show_member(account)).collect();
        let title = if !c.title.is_empty() {
            c.title.clone()
        } else {
            let name = |m: &Member| {
                m.name.clone().or_else(|| m.address.clone()).unwrap_or_else(|| format!("somebody on {}", m.account.app))
            };
            let names: Vec<String> = members.iter().map(name).collect();
            if names.is_empty() { self.queued_title(id) } else { names.join(", ") }
        };
        let contact = |account| self.s.contacts.get(account);
        let group = c.is_group.then(|| self.show_group(id, c)).flatten().map(Box::new);
        // Where nothing is known of a group's roles, nobody sets anything.
        let role = group.as_ref().map(|group| group.role).or(c.is_group.then_some(api::GroupRole::Member));
        Some(api::Conversation {
            id,
            identity: self.identity_id(),
            title,
            is_group: c.is_group,
            state: c.standing.shown(),
            unread: c.unread,
            mentioned: c.mentioned && c.unread > 0,
            picture: c.picture,
            last: self.show_newest(id),
            last_activity: c.last_activity,
            verified: !c.members.is_empty() && c.members.iter().all(|m| contact(m).is_some_and(|c| c.verified)),
            members,
            expiry: self.expiry(id),
            expiry_range: self.expiry_range(id, role),
            group,
            kept: c.kept,
        })
    }

    /// Nobody is known yet but the address that was typed.
    pub(crate) fn queued_title(&self, id: ConversationId) -> String {
        match self.s.starts.get(&id).map(|start| &start.whom) {
            Some(crate::state::Whom::Address { app, handle }) => format!("{handle}@{app}"),
            Some(crate::state::Whom::Invite { .. }) => "somebody by invite".to_owned(),
            _ => String::new(),
        }
    }

    pub(crate) fn touch(&mut self, conversation: ConversationId) {
        let now = self.now;
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.last_activity = now;
            self.touched.insert(conversation);
        }
    }

    /// The next position for a message.
    pub(crate) fn next_order(&mut self, conversation: ConversationId) -> u64 {
        let Some(c) = self.s.conversations.get_mut(&conversation) else { return 0 };
        c.next_order += 1;
        c.next_order
    }

    /// A message is known of, and cannot be shown yet: it will stand here, where it stands for everybody else.
    pub(crate) fn keep_place(&mut self, conversation: ConversationId, message: MessageId) {
        let known =
            |c: &&mut crate::state::Conversation| !c.is_own && c.places.iter().all(|(kept, _)| *kept != message);
        let Some(c) = self.s.conversations.get_mut(&conversation).filter(known) else { return };
        c.next_order += 1;
        c.places.push((message, c.next_order));
        let surplus = c.places.len().saturating_sub(MOST_PLACES);
        c.places.drain(..surplus);
    }

    /// The position that was kept for a message, if there is one.
    pub(crate) fn kept_place(&mut self, conversation: ConversationId, message: &MessageId) -> Option<u64> {
        let is_it = |(kept, _): &(MessageId, u64)| kept == message;
        let at = self.s.conversations.get(&conversation)?.places.iter().position(is_it)?;
        Some(self.s.conversations.get_mut(&conversation)?.places.remove(at).1)
    }

    pub(crate) fn tell_keys_changed(&mut self, conversation: ConversationId, who: AccountRef) {
        self.tell(Event::KeysChanged { conversation, who });
    }
}
