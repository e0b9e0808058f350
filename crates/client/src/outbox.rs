//! The outbox: what is to be said, until its echo is back.
//!
//! | an item is | until |
//! |---|---|
//! | queued | its conversation has a room that takes it, chores before it are done, no commit is wanted there |
//! | sealed | (stored with the very bytes, before they are sent) the server answers |
//! | accepted | the echo comes back in the mailbox, which also tells its place among the others |
//!
//! One item of a conversation is under way at a time: their order is kept. A lost answer means that the same bytes are sent
//! again under the same message id, after the mailbox was drained: the echo may have been in it. `WrongSendKey` means that a
//! commit is on its way: the item is sealed again, same id, in the epoch after it.

use crate::api::{ConversationId, ConversationState, MessageState, Role};
use crate::engine::{Engine, Purpose};
use crate::expiry::StoredTimer;
use crate::mls::Ready;
use crate::saying::{self, Around, HELLO_BYTES, Hello};
use crate::signing;
use crate::state::{Outgoing, Phase, Saying, Sealed, StoredPicture};
use bytes::Bytes;
use parlour_proto::frames::{Answer, MAX_ASKED_MESSAGE_BYTES, Request, send_detail};
use parlour_proto::ids::{MessageId, RoomId, Secret, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

/// The longest first content that is sure to fit, padded and encrypted, into what an `asked` entry lets pass, bytes.
const MAX_FIRST_BYTES: usize = MAX_ASKED_MESSAGE_BYTES - 2 * 1024;

impl Engine {
    /// Queues something to say; gives its message id.
    pub(crate) fn say(
        &mut self,
        conversation: ConversationId,
        saying: Saying,
        room: Option<RoomId>,
        after_chore: u64,
        rng: &mut dyn CryptoRngCore,
    ) -> MessageId {
        let message = MessageId::random(rng);
        let queued = self.now;
        self.queue(
            conversation,
            Outgoing { message, saying, queued, room, after_chore, sealed: None, accepted: false, key: 0 },
        );
        message
    }

    /// Puts an item at the end.
    pub(crate) fn queue(&mut self, conversation: ConversationId, mut item: Outgoing) {
        if item.key == 0 {
            item.key = self.outgoing_key(conversation, &item.saying);
        }
        let last = self.s.outgoing_of(conversation).map(|(at, _)| at).last();
        let at = last.map_or(1, |at| at + 1).max(self.s.conversations.get(&conversation).map_or(1, |c| c.next_order));
        self.show_outgoing(conversation, at, &item, MessageState::Queued);
        self.s.outgoing.insert((conversation, at), item);
        self.again = true;
    }

    pub(crate) fn settle_outgoing(&mut self, rng: &mut dyn CryptoRngCore) {
        let mut conversations: Vec<ConversationId> =
            self.s.outgoing.iter().filter(|(_, item)| !item.accepted).map(|((id, _), _)| *id).collect();
        conversations.dedup();
        for conversation in conversations {
            self.send_next(conversation, rng);
        }
    }

    fn send_next(&mut self, conversation: ConversationId, rng: &mut dyn CryptoRngCore) {
        if !self.may(&Purpose::Message(conversation)) {
            return;
        }
        let Some((at, room)) = self.next_item(conversation) else { return };
        let sealed = self.s.outgoing.get(&(conversation, at)).and_then(|item| item.sealed.clone());
        let sealed = match sealed.filter(|sealed| sealed.room == room) {
            Some(sealed) => sealed,
            None if self.need_group(&room) != Ready::Yes => return,
            None => match self.seal(conversation, at, room, rng) {
                Some(sealed) => sealed,
                None => return,
            },
        };
        let Some(message_id) = self.s.outgoing.get(&(conversation, at)).map(|item| item.message) else { return };
        let Sealed { send_key, tag, payload, .. } = sealed;
        if !self.is_attributed(&room) {
            let send = || Request::Send { room, message_id, send_key, tag, payload };
            self.ask(Role::Outbox, Purpose::Message(conversation), send);
            return;
        }
        let Some(member) = self.s.rooms.get(&room).map(|r| r.member.clone()) else { return };
        let detail = send_detail(&message_id, &tag, &payload);
        let Some(proof) = signing::proof(&member, "send", &room, self.server_time(), &detail) else { return };
        let proof = Box::new(proof);
        let send = || Request::SignedSend { room, message_id, send_key, tag, payload, proof };
        self.ask(Role::Outbox, Purpose::Message(conversation), send);
    }

    /// The first item that may go out now, and where to.
    fn next_item(&mut self, conversation: ConversationId) -> Option<(u64, RoomId)> {
        let standing = self.standing(conversation)?;
        let best = self.best_room(conversation);
        let items: Vec<_> = self
            .s
            .outgoing_of(conversation)
            .filter(|(_, item)| !item.accepted)
            .map(|(at, item)| (at, item.room, item.after_chore, matches!(item.saying, Saying::Text { .. })))
            .collect();
        for (at, wanted, after_chore, _) in items {
            let Some(room) = wanted.or(best) else { continue };
            let Some(r) = self.s.rooms.get(&room) else {
                self.s.outgoing.remove(&(conversation, at));
                continue;
            };
            if wanted.is_some() && matches!(r.phase, Phase::Left | Phase::Superseded) {
                self.s.outgoing.remove(&(conversation, at));
                continue;
            }
            let takes = r.usable()
                && !r.asked_here
                && (r.open_there || !r.hello_sent)
                && !self.behind.contains_key(&room)
                && !self.is_frozen(&room)
                && self
                    .s
                    .work
                    .get(&room)
                    .is_none_or(|w| w.wants.is_empty() && w.pending.is_none() && w.repair.is_none())
                && self.s.chores_done(after_chore)
                && (wanted.is_some() || standing != ConversationState::Request);
            return takes.then_some((at, room));
        }
        None
    }

    /// Encrypts an item and stores the bytes with it.
    fn seal(
        &mut self,
        conversation: ConversationId,
        at: u64,
        room: RoomId,
        rng: &mut dyn CryptoRngCore,
    ) -> Option<Sealed> {
        let item = self.s.outgoing.get(&(conversation, at))?.clone();
        let (first, open_there) = self.s.rooms.get(&room).map(|r| (!r.hello_sent, r.open_there))?;
        let Some((saying, of)) = item.saying.meant() else {
            self.fail_item(conversation, at);
            return None;
        };
        let hello = first || matches!(saying, Saying::Accept | Saying::Hello);
        if hello && !self.door_ready(conversation) {
            return None;
        }
        if first && !open_there {
            let links = saying::links_bytes(&self.me()?.links);
            let most = MAX_FIRST_BYTES.saturating_sub(links + HELLO_BYTES);
            let long = matches!(&saying, Saying::Text { text, .. } if text.len() > most);
            if long {
                // Too long to knock on a door with: the hello goes alone, the text after the acceptance.
                self.hello_first(conversation, at, rng);
                return None;
            }
        }
        if self.may_say(conversation, &saying).is_err() {
            // The rules changed while it was waiting.
            self.fail_item(conversation, at);
            return None;
        }
        if matches!(&saying, Saying::Invitation { group } if !self.is_invited(*group, conversation)) {
            // Taken back before it went.
            self.fail_item(conversation, at);
            return None;
        }
        let after = self.said_before(&room, &saying);
        let around = Around { of, after, ..self.around(conversation, room, &saying, hello)? };
        let content = match saying::write(&saying, around, rng) {
            Ok(content) => content,
            Err(_) => {
                self.fail_item(conversation, at);
                return None;
            }
        };
        let sealed = self.with_group(&room, |group| {
            let send_key = group.send_key()?;
            group.seal_message(&content, item.message.0, rng).map(|sealed| (send_key, sealed))
        })?;
        let Ok((send_key, sealed)) = sealed else {
            self.break_room(room);
            return None;
        };
        let sealed = Sealed {
            room,
            epoch: sealed.epoch,
            send_key: Secret(*send_key),
            tag: sealed.tag,
            evidence: sealed.evidence.to_bytes().into(),
            payload: sealed.payload.into(),
            hello,
        };
        self.s.outgoing.get_mut(&(conversation, at))?.sealed = Some(sealed.clone());
        self.profile_told(conversation, &saying, hello);
        self.keep_aside(conversation, item.message, &item.saying);
        Some(sealed)
    }

    fn hello_first(&mut self, conversation: ConversationId, at: u64, rng: &mut dyn CryptoRngCore) {
        let message = MessageId::random(rng);
        let hello = Outgoing {
            message,
            saying: Saying::Hello,
            queued: self.now,
            room: None,
            after_chore: 0,
            sealed: None,
            accepted: false,
            key: 0,
        };
        if at > 0 && !self.s.outgoing.contains(&(conversation, at - 1)) {
            self.s.outgoing.insert((conversation, at - 1), hello);
        } else {
            // No place before it: the text itself moves to the end.
            let Some(item) = self.s.outgoing.remove(&(conversation, at)) else { return };
            self.s.outgoing.insert((conversation, at), hello);
            self.queue(conversation, item);
        }
        self.again = true;
    }

    /// The door token that a hello carries is known to the server.
    fn door_ready(&self, conversation: ConversationId) -> bool {
        let Some(c) = self.s.conversations.get(&conversation) else { return true };
        let digests: Vec<_> = c
            .members
            .iter()
            .filter_map(|account| self.s.contacts.get(account)?.given.as_ref().map(Secret::digest))
            .collect();
        !self.s.chores.iter().any(|(_, chore)| match chore {
            crate::state::Chore::PutDoor { digest } => digests.contains(digest),
            _ => false,
        })
    }

    /// What goes into a message beside what is said.
    fn around(&mut self, conversation: ConversationId, room: RoomId, saying: &Saying, hello: bool) -> Option<Around> {
        let c = self.s.conversations.get(&conversation)?;
        let mut around = Around { title: c.title.clone(), now: self.server_time(), ..Around::default() };
        let me = self.me()?;
        around.name = me.name.clone();
        around.picture =
            me.picture.as_ref().filter(|_| matches!(saying, Saying::Profile)).and_then(StoredPicture::shown);
        if hello {
            // A door token is for one: in a group everybody would read it.
            let door = match (&c.members[..], c.is_group) {
                ([account], false) => self.s.contacts.get(account).and_then(|contact| contact.given.clone()),
                _ => None,
            };
            around.hello = Some(Hello {
                root: me.root,
                links: me.links.clone(),
                accepts: matches!(saying, Saying::Accept),
                door,
                name: Some(me.name.clone()).filter(|name| !name.is_empty()),
                address: me.public_handle.then(|| crate::identity::address(me)),
            });
        }
        if let Saying::Invitation { group } = saying {
            around.title = self.s.conversations.get(group).map(|c| c.title.clone()).unwrap_or_default();
        }
        if let Saying::Roster { accounts } = saying {
            around.roster = accounts.iter().filter_map(|account| self.known(account)).collect();
        }
        if matches!(saying, Saying::Leave) {
            let request = self.group(&room)?.request_leave().ok()?;
            around.leave = Some(Bytes::from(request.to_bytes()));
        }
        Some(around)
    }

    fn fail_item(&mut self, conversation: ConversationId, at: u64) {
        if let Some(item) = self.s.outgoing.remove(&(conversation, at)) {
            self.show_final(conversation, &item, MessageState::Failed);
            self.again = true;
        }
    }

    pub(crate) fn on_message_answer(
        &mut self,
        conversation: ConversationId,
        result: Result<Answer, Problem>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let under_way = self.s.outgoing_of(conversation).find(|(_, item)| !item.accepted && item.sealed.is_some());
        let Some((at, room)) = under_way.and_then(|(at, item)| Some((at, item.sealed.as_ref()?.room))) else { return };
        self.again = true;
        match result {
            // Its echo would have been here: the server has gone back, and gives out what it gave out before.
            Ok(Answer::Accepted { room_seq, .. })
                if self.s.rooms.get(&room).is_some_and(|r| room_seq <= r.watermark) =>
            {
                self.room_is_behind(room);
            }
            Ok(Answer::Accepted { .. }) => self.accepted(conversation, at),
            Ok(_) => self.later(Purpose::Message(conversation), 1_000),
            Err(problem) => match problem.code {
                // Attributed mode: never by the server's word alone; the commit that says so is on its way, or is void and undone.
                Code::WrongSendKey | Code::Attributed => self.seal_again(conversation, at, room),
                Code::NoSuchRoom | Code::LogGone => self.break_room(room),
                Code::Succeeded => self.supersede(room, problem.successor),
                Code::TooLarge | Code::Malformed => self.fail_item(conversation, at),
                // Signed at a time that is not the server's: the clock was set since its hello. Another hello tells it.
                Code::BadSignature => {
                    self.give_up(Role::Outbox, rng);
                    self.later(Purpose::Message(conversation), 2_000);
                }
                _ => self.later(Purpose::Message(conversation), 2_000),
            },
        }
    }

    pub(crate) fn later(&mut self, purpose: Purpose, ms: u64) {
        let at = self.now.plus_ms(ms);
        self.later.insert(purpose, at);
        self.wake_at(at);
    }

    /// The send key is not valid: a commit is on its way to us. (Nothing was stored at the server under this id.)
    fn seal_again(&mut self, conversation: ConversationId, at: u64, room: RoomId) {
        let epoch = match self.s.outgoing.get_mut(&(conversation, at)) {
            Some(item) => item.sealed.take().map(|sealed| sealed.epoch),
            None => return,
        };
        let moved_on = self.group(&room).map(|group| group.epoch()) > epoch;
        if !moved_on {
            self.fall_behind(room);
        }
    }

    fn accepted(&mut self, conversation: ConversationId, at: u64) {
        let Some(item) = self.s.outgoing.get_mut(&(conversation, at)) else { return };
        item.accepted = true;
        let item = item.clone();
        self.show_outgoing(conversation, at, &item, MessageState::Sent);
        self.said(conversation, &item);
        if matches!(item.saying, Saying::Own { .. }) {
            self.look_at_rooms();
        }
    }

    /// What follows from a message being with the server.
    fn said(&mut self, conversation: ConversationId, item: &Outgoing) {
        let Some(sealed) = &item.sealed else { return };
        self.note_said(&sealed.room, &item.saying, item.message);
        if sealed.hello
            && let Some(room) = self.s.rooms.get_mut(&sealed.room)
        {
            room.hello_sent = true;
            // Own devices come after the first word.
            self.look_at_rooms();
        }
        if matches!(item.saying, Saying::Leave) && self.deleting.is_none() {
            self.left(sealed.room);
        }
        self.weigh(conversation);
    }

    /// A mailbox row that is the echo of something in the outbox: it is done.
    pub(crate) fn take_echo(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        payload: &Bytes,
        stamp: [u8; 32],
        (room, time): (&RoomId, UnixMillis),
    ) -> bool {
        let found = self
            .s
            .outgoing_of(conversation)
            .find(|(_, item)| item.message == message && item.sealed.as_ref().is_some_and(|s| s.payload == *payload))
            .map(|(at, _)| at);
        let Some(at) = found else { return false };
        let Some(item) = self.s.outgoing.remove(&(conversation, at)) else { return false };
        self.flights.retain(|_, flight| item.accepted || flight.purpose != Purpose::Message(conversation));
        self.show_echoed(conversation, room, &item, stamp, time);
        if matches!(item.saying, Saying::Text { timer: Some(StoredTimer::Once), .. }) {
            // Only those whom it is for see it.
            self.s.ring.destroy(&[item.key]);
        }
        if let Saying::Title { title } = &item.saying {
            // Of several who rename at once, the last in the room's order counts.
            self.set_title(conversation, title.clone());
        }
        if !item.accepted {
            self.said(conversation, &item);
            if matches!(item.saying, Saying::Own { .. }) {
                self.look_at_rooms();
            }
        }
        self.again = true;
        true
    }
}
