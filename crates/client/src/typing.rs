//! Who is writing: whispered in the room to whoever is there, kept in memory and nowhere else (`docs/decisions/0016-typing.md`).
//!
//! Our own side is told with each key that the user is writing, and whispers it once in [`EVERY_MS`]; when they stop without
//! sending it whispers that. (A text says it by itself.) A whisper that cannot go at once is dropped, and so is one that comes
//! for a group that cannot be read now: the next one will do.
//!
//! | somebody is | changes to | when |
//! |---|---|---|
//! | not shown | shown | they whisper that they write |
//! | shown | shown, for longer | they whisper it again |
//! | shown | not shown | they whisper that they have stopped; a text or an edit of theirs comes; [`SHOWN_MS`] are over; the conversation is not open any more; they are blocked or gone; the user switches it off |
//!
//! Any member can whisper in another's name (`e2ee`): nothing but this follows from a whisper.

use crate::api::{ConversationId, ConversationState, Event, Failure, IntentId, Reply, Role};
use crate::contacts::{Trust, proto_account};
use crate::engine::{Engine, Purpose};
use crate::mls::Ready;
use crate::saying::Heard;
use crate::state::Saying;
use bytes::Bytes;
use parlour_proto::frames::{AccountRef, Request};
use parlour_proto::ids::{RoomId, Secret, UnixMillis};
use rand_core::CryptoRngCore;
use std::collections::{BTreeMap, VecDeque};

/// Who writes whispers it once in this time, ms.
const EVERY_MS: u64 = 4_000;
/// Somebody is shown as writing for so long after they whispered it, ms.
const SHOWN_MS: u64 = 8_000;
/// A whisper that waited longer says nothing any more, ms.
const LATE_MS: u64 = 4_000;
/// Most whispers that wait for their groups to be loaded.
const MOST_WAITING: usize = 64;
/// What a whisper says.
const WRITES: u8 = 1;
const STOPPED: u8 = 2;

/// Who writes where, as far as it is known now.
#[derive(Default)]
pub(crate) struct Typing {
    own: BTreeMap<ConversationId, Own>,
    /// Until when.
    shown: BTreeMap<(ConversationId, AccountRef), UnixMillis>,
    /// Since when.
    waiting: VecDeque<(UnixMillis, RoomId, Bytes)>,
}

/// What the others were told of us in one conversation.
#[derive(Default)]
struct Own {
    /// When they heard last that we write.
    told: Option<UnixMillis>,
    /// They have not heard since that we stopped.
    writes: bool,
    /// What they are to hear, and since when.
    wanted: Option<(u8, UnixMillis)>,
}

impl Engine {
    // ---- we

    /// The user writes, or has stopped.
    pub(crate) fn typing(&mut self, intent: IntentId, conversation: ConversationId, typing: bool) {
        if self.s.conversations.get(&conversation).is_none_or(|c| c.is_own) {
            return self.done(intent, Err(Failure::NotFound("conversation")));
        }
        if self.is_online() && self.whispers_in(conversation).is_some() {
            let now = self.now;
            let own = self.typing.own.entry(conversation).or_default();
            let told = own.told.map(|told| now.since(told));
            own.wanted = match typing {
                true if told.is_none_or(|ago| ago >= EVERY_MS) => Some((WRITES, now)),
                false if own.writes && told.is_some_and(|ago| ago < SHOWN_MS) => Some((STOPPED, now)),
                _ => None,
            };
        }
        self.done(intent, Ok(Reply::Ok));
    }

    /// What was written is on its way, and says itself that it is written.
    pub(crate) fn has_written(&mut self, conversation: ConversationId) {
        self.typing.own.remove(&conversation);
    }

    /// The room that we whisper in, where we do: as reports, and only what we may write.
    fn whispers_in(&self, conversation: ConversationId) -> Option<RoomId> {
        let room = self.best_room(conversation).filter(|room| !self.behind.contains_key(room))?;
        let text = Saying::Text { text: String::new(), in_reply_to: None, timer: None };
        let may = self.me().is_some_and(|me| me.typing_reports)
            && self.reports_wanted(conversation, room)
            && self.may_say(conversation, &text).is_ok();
        may.then_some(room)
    }

    fn settle_own_typing(&mut self, rng: &mut dyn CryptoRngCore) {
        let now = self.now;
        self.typing
            .own
            .retain(|_, own| own.wanted.is_some() || own.told.is_some_and(|told| now.since(told) < SHOWN_MS));
        let wanted = self.typing.own.iter().filter_map(|(id, own)| own.wanted.map(|wanted| (*id, wanted)));
        for (conversation, (says, since)) in wanted.collect::<Vec<_>>() {
            let room = self.whispers_in(conversation).filter(|_| now.since(since) <= LATE_MS);
            let sent = match room {
                None => false,
                Some(room) => match self.need_group(&room) {
                    Ready::NotYet => continue,
                    Ready::Never => false,
                    Ready::Yes if !self.outbox.is_open() => {
                        self.outbox_wanted = true;
                        continue;
                    }
                    Ready::Yes if !self.may(&Purpose::Whisper(conversation)) => continue,
                    Ready::Yes => self.whisper(conversation, room, says, rng),
                },
            };
            let Some(own) = self.typing.own.get_mut(&conversation) else { continue };
            own.wanted = None;
            if sent {
                own.writes = says == WRITES;
                own.told = if own.writes { Some(now) } else { own.told };
            }
        }
    }

    fn whisper(&mut self, conversation: ConversationId, room: RoomId, says: u8, rng: &mut dyn CryptoRngCore) -> bool {
        let Some(group) = self.group(&room) else { return false };
        let (Ok(send_key), Ok(payload)) = (group.send_key(), group.seal_whisper(&[says], rng)) else { return false };
        self.ask(Role::Outbox, Purpose::Whisper(conversation), || Request::Whisper {
            room,
            send_key: Secret(*send_key),
            payload: payload.into(),
        })
    }

    // ---- others

    pub(crate) fn on_whisper(&mut self, room: RoomId, payload: Bytes) {
        if self.typing.waiting.len() == MOST_WAITING {
            self.typing.waiting.pop_front();
        }
        self.typing.waiting.push_back((self.now, room, payload));
    }

    fn settle_whispers(&mut self) {
        for (came, room, payload) in std::mem::take(&mut self.typing.waiting) {
            let conversation = self.s.rooms.get(&room).map(|r| r.conversation);
            let conversation = conversation.filter(|id| self.is_typing_shown(*id) && self.reports_wanted(*id, room));
            let Some(conversation) = conversation.filter(|_| self.now.since(came) <= LATE_MS) else { continue };
            match self.need_group(&room) {
                Ready::Yes => self.hear_whisper(conversation, room, &payload),
                Ready::NotYet => self.typing.waiting.push_back((came, room, payload)),
                Ready::Never => {}
            }
        }
    }

    fn hear_whisper(&mut self, conversation: ConversationId, room: RoomId, payload: &[u8]) {
        let Some(whisper) = self.group(&room).and_then(|group| group.open_whisper(payload)) else { return };
        let Some(who) = proto_account(whisper.sender.account()) else { return };
        let text = Heard::Text { text: String::new(), in_reply_to: None, ends: None };
        let believed = self.is_shown_typing(conversation, &who)
            && self.is_allowed(room, conversation, &who, &text)
            && self.trust(&whisper.sender) == Trust::Verified;
        match whisper.content[..] {
            [WRITES] if believed => {
                let until = self.now.plus_ms(SHOWN_MS);
                if self.typing.shown.insert((conversation, who.clone()), until).is_none() {
                    self.tell(Event::Typing { conversation, who, typing: true });
                }
            }
            [STOPPED] if believed => self.end_typing(conversation, &who),
            _ => {}
        }
    }

    /// A text of theirs is here: what they whispered before it is over. (So is what others whispered and could not be read
    /// yet: the next one will do.)
    pub(crate) fn has_said(&mut self, conversation: ConversationId, room: RoomId, who: &AccountRef) {
        self.typing.waiting.retain(|(_, at, _)| *at != room);
        self.end_typing(conversation, who);
    }

    /// Somebody writes no more.
    fn end_typing(&mut self, conversation: ConversationId, who: &AccountRef) {
        if self.typing.shown.remove(&(conversation, who.clone())).is_some() {
            self.tell(Event::Typing { conversation, who: who.clone(), typing: false });
        }
    }

    /// Whether it is shown here at all.
    fn is_typing_shown(&self, conversation: ConversationId) -> bool {
        self.me().is_some_and(|me| me.typing_reports) && self.standing(conversation) == Some(ConversationState::Open)
    }

    /// Whether it is shown of somebody: never of ourselves (another own device), or of whom we blocked.
    fn is_shown_typing(&self, conversation: ConversationId, who: &AccountRef) -> bool {
        self.is_typing_shown(conversation)
            && self.s.conversations.get(&conversation).is_some_and(|c| c.members.contains(who))
            && !self.s.contacts.get(who).is_some_and(|contact| contact.blocked)
    }

    fn settle_shown_typing(&mut self) {
        let over = |((id, who), until): &(&(ConversationId, AccountRef), &UnixMillis)| {
            let clock_went_back = until.since(self.now) > SHOWN_MS;
            self.now >= **until || clock_went_back || !self.is_shown_typing(*id, who)
        };
        let over: Vec<_> = self.typing.shown.iter().filter(over).map(|(key, _)| key.clone()).collect();
        for (conversation, who) in over {
            self.end_typing(conversation, &who);
        }
        if let Some(next) = self.typing.shown.values().min().copied() {
            self.wake_at(next);
        }
    }

    pub(crate) fn settle_typing(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.is_online() {
            self.settle_whispers();
            self.settle_own_typing(rng);
        }
        self.settle_shown_typing();
    }
}
