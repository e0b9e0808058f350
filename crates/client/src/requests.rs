//! Requests: somebody who was not let in wrote. Accept, decline (silent), block.
//!
//! Until the choice nothing goes back: no report, no hello, the entry stays `asked`, so that the sender cannot tell a
//! declined request from one that nobody looked at.

use crate::api::{ConversationId, ConversationState, Failure, IntentId, Reply, Request};
use crate::engine::Engine;
use crate::state::{Chore, Saying, Standing};
use parlour_proto::content::mention;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::RoomId;
use rand_core::CryptoRngCore;

impl Engine {
    /// A request as far as it may be shown; `None` before its verified hello came.
    pub(crate) fn show_request(&self, id: ConversationId) -> Option<Request> {
        let c = self.s.conversations.get(&id)?;
        let asking = c.asking.as_ref().filter(|_| matches!(c.standing, Standing::Request));
        let joins = self.asks_to_join(id);
        Some(Request {
            id,
            from: c.members.first()?.clone(),
            // A friend's is not a request to write.
            time: asking.map(|asking| asking.time).or(joins.map(|(_, guest)| guest.since))?,
            text: asking.and_then(|asking| Some(mention::shown(asking.text.as_deref()?).0)),
            claimed_name: asking.and_then(|asking| asking.name.clone()),
            claimed_address: asking.and_then(|asking| asking.address.clone()),
            group: self.s.invitations.get(&id).filter(|_| asking.is_some()).cloned(),
            joins: joins.map(|((group, _), _)| group),
        })
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let mut all: Vec<_> = self.s.conversations.iter().filter_map(|(id, _)| self.show_request(*id)).collect();
        all.sort_by_key(|request| request.time);
        all
    }

    fn request_rooms(&self, id: ConversationId) -> Option<Vec<RoomId>> {
        let c = self.s.conversations.get(&id).filter(|c| matches!(c.standing, Standing::Request))?;
        Some(c.rooms.clone())
    }

    pub(crate) fn accept(&mut self, intent: IntentId, id: ConversationId, rng: &mut dyn CryptoRngCore) {
        if let Some(shown) = self.agree(id).and_then(|group| self.show_conversation(group)) {
            return self.done(intent, Ok(Reply::Conversation(shown)));
        }
        if self.request_rooms(id).is_none() {
            return self.done(intent, Err(Failure::NotFound("request")));
        }
        self.accept_here(id, rng);
        match self.show_conversation(id) {
            Some(shown) => self.done(intent, Ok(Reply::Conversation(shown))),
            None => self.done(intent, Err(Failure::NotFound("request"))),
        }
    }

    /// Somebody is let in, on this device.
    pub(crate) fn accept_here(&mut self, id: ConversationId, rng: &mut dyn CryptoRngCore) {
        for room in self.request_rooms(id).unwrap_or_default() {
            if self.s.rooms.get(&room).is_some_and(|r| r.asked_here && r.usable()) {
                self.check_peer(id, room);
            }
        }
        self.let_in_here(id, rng);
    }

    /// What a request's acceptance does on this device, whichever device it was accepted on.
    pub(crate) fn let_in_here(&mut self, id: ConversationId, rng: &mut dyn CryptoRngCore) {
        let Some(rooms) = self.request_rooms(id) else { return };
        self.s.invitations.remove(&id);
        for account in self.s.conversations.get(&id).map(|c| c.members.clone()).unwrap_or_default() {
            if let Some(contact) = self.s.contacts.get_mut(&account) {
                contact.befriended = true;
            }
        }
        for room in rooms {
            let waits = self.s.rooms.get(&room).filter(|r| r.asked_here && r.usable()).map(|r| r.member.clone());
            match waits {
                Some(member) => self.open_entry(id, room, member, rng),
                None => self.greet(id, room, rng),
            }
        }
        self.set_standing(id, Standing::Open);
    }

    /// Says who we are in a room whose entry is open already.
    fn greet(&mut self, id: ConversationId, room: RoomId, rng: &mut dyn CryptoRngCore) {
        let is_group = self.s.conversations.get(&id).is_some_and(|c| c.is_group);
        if !is_group && self.s.rooms.get(&room).is_some_and(|r| r.usable()) {
            let after = self.give_doors(id, rng);
            self.say(id, Saying::Accept, Some(room), after, rng);
        }
    }

    /// Compares who wrote with what the server shows, before an entry is opened. (Not after another own device has: it did, and tells who
    /// they are; the door token of a request may not be good any more.)
    pub(crate) fn check_peer(&mut self, id: ConversationId, room: RoomId) {
        let is_request = self.standing(id) == Some(ConversationState::Request);
        for account in self.s.conversations.get(&id).map(|c| c.members.clone()).unwrap_or_default() {
            let is_new = |contact: &crate::state::Contact| contact.door.is_some() && !contact.befriended;
            if is_request || self.s.contacts.get(&account).is_some_and(is_new) {
                self.s.add_chore(Chore::CheckPeer { account, room });
            }
        }
    }

    /// Opens what somebody asked for who is let in on another own device.
    pub(crate) fn open_asked(&mut self, id: ConversationId, rng: &mut dyn CryptoRngCore) {
        for room in self.s.conversations.get(&id).map(|c| c.rooms.clone()).unwrap_or_default() {
            let waits = self.s.rooms.get(&room).filter(|r| r.asked_here && r.usable()).map(|r| r.member.clone());
            if let Some(member) = waits {
                self.forget_heard(&room);
                self.open_entry(id, room, member, rng);
            }
        }
    }

    /// Opens our entry, then tells the other side that they are in.
    pub(crate) fn open_entry(
        &mut self,
        id: ConversationId,
        room: RoomId,
        member: zeroize::Zeroizing<Vec<u8>>,
        rng: &mut dyn CryptoRngCore,
    ) {
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.asked_here = false;
        }
        for account in self.s.conversations.get(&id).map(|c| c.members.clone()).unwrap_or_default() {
            if let Some(contact) = self.s.contacts.get_mut(&account) {
                contact.befriended = true;
            }
        }
        self.give_doors(id, rng);
        let after = self.s.add_chore(Chore::OpenEntry { room, member });
        self.say(id, Saying::Accept, Some(room), after, rng);
    }

    fn give_doors(&mut self, id: ConversationId, rng: &mut dyn CryptoRngCore) -> u64 {
        let members = self.s.conversations.get(&id).filter(|c| !c.is_group).map(|c| c.members.clone());
        members.unwrap_or_default().iter().map(|account| self.give_door(account, rng)).max().unwrap_or(0)
    }

    pub(crate) fn decline(&mut self, intent: IntentId, id: ConversationId, rng: &mut dyn CryptoRngCore) {
        if self.refuse_join(id, rng) {
            return self.done(intent, Ok(Reply::Ok));
        }
        if self.request_rooms(id).is_none() {
            return self.done(intent, Err(Failure::NotFound("request")));
        }
        self.share_dropped(id, true, rng);
        self.forget_conversation(id);
        self.done(intent, Ok(Reply::Ok));
    }

    pub(crate) fn block(&mut self, intent: IntentId, id: ConversationId) {
        let Some(c) = self.s.conversations.get(&id).cloned() else {
            return self.done(intent, Err(Failure::NotFound("conversation")));
        };
        let [account] = &c.members[..] else {
            return self.done(intent, Err(Failure::BadInput("only one person can be blocked, not a group".into())));
        };
        self.s.add_chore(Chore::Block { account: account.clone() });
        let contact = self.s.contacts.get(account);
        let given = contact.map(|c| c.given.iter().chain(&c.given_too).map(|token| token.digest()).collect::<Vec<_>>());
        for digest in given.unwrap_or_default() {
            self.s.add_chore(Chore::DropDoor { digest });
        }
        self.shut(account);
        self.done(intent, Ok(Reply::Ok));
    }

    /// What a block does on this device, whichever device it was said on.
    pub(crate) fn shut(&mut self, account: &AccountRef) {
        self.mark_blocked(account, true);
        self.drop_guests_of(account);
        let Some(id) = self.conversation_with(account) else { return };
        let Some(c) = self.s.conversations.get(&id).cloned() else { return };
        for room in &c.rooms {
            let member = self.s.rooms.get(room).map(|r| r.member.clone());
            if let Some(member) = member {
                self.s.add_chore(Chore::LeaveEntry { room: *room, member });
                self.forget_room(room);
            }
        }
        let was_request = matches!(c.standing, Standing::Request);
        if let Some(c) = self.s.conversations.get_mut(&id) {
            c.rooms.clear();
            c.asking = None;
        }
        if was_request {
            // The account stays known as blocked; its words do not stay.
            self.wipe_messages(id);
        }
        self.close_conversation(id, &Failure::NotFound("open conversation"));
    }

    pub(crate) fn mark_blocked(&mut self, account: &AccountRef, blocked: bool) {
        if blocked {
            self.forget_picture(account);
        }
        if let Some(contact) = self.s.contacts.get_mut(account) {
            contact.blocked = blocked;
            contact.befriended = false;
            contact.given = None;
            contact.given_too.clear();
            if blocked {
                contact.door = None;
            }
        }
    }

    pub(crate) fn unblock(&mut self, intent: IntentId, id: ConversationId) {
        let account = self.s.conversations.get(&id).and_then(|c| c.members.first().cloned());
        let Some(account) = account else {
            return self.done(intent, Err(Failure::NotFound("conversation")));
        };
        self.mark_blocked(&account, false);
        self.s.add_chore(Chore::Unblock { account });
        self.again = true;
        self.done(intent, Ok(Reply::Ok));
    }
}
