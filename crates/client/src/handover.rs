//! What somebody is given who was added to a group: its picture, and what was said before, as far as the policy says.
//!
//! Whoever added them hands it over in the conversation of those two, page by page, newest first; what is next is stored, so
//! that it goes on after a restart. Nobody but who added us may hand us anything, and it is their word: others' signatures do
//! not come along (SECURITY.md). What is handed lies before everything that the newcomer reads itself ([`GAP`]).
//!
//! Who came by a link has no such conversation. They are handed it in the group itself if that is small; in a large one, where
//! everybody would carry it, in the room by which they asked to join: who added them opens their entry there and leaves it
//! when all is said, and the newcomer keeps it so long ([`crate::joins`]). There is one device of theirs in that room: it tells
//! the others.

use crate::api::{ConversationId, ConversationState, Event, Message};
use crate::engine::{Engine, Load};
use crate::hearing::MOST_MEMBERS_WITH_REPORTS;
use crate::history::{GAP, Told, chunks, told};
use crate::messages::Pair;
use crate::own::{NOTE_BYTES, Note};
use crate::rows::codec::record;
use crate::rows::{decode, encode};
use crate::state::{Chore, Handing, Joiner, Room, Saying, StoredPicture};
use parlour_e2ee::ClaimedKeyPackage;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::RoomId;
use rand_core::CryptoRngCore;

/// Messages read at one time.
const PAGE: usize = 100;
/// Most messages that a newcomer is given; fewer than the positions that are free for them.
const MOST_HANDED: u64 = 1_000;
/// Instead of a count: all is handed over.
const ALL: u64 = u64::MAX;

record! {
    /// A piece of what is handed over.
    struct Handover {
        room: RoomId,
        picture: Option<StoredPicture>,
        /// Newest first. Their positions count from the newest, which is 0; `None` as author: who hands it over.
        messages: Vec<Told>,
        last: bool,
    }
}

fn key(room: &RoomId, account: &AccountRef) -> Vec<u8> {
    [&room.0[..], &account.account.0, account.app.as_str().as_bytes()].concat()
}

impl Room {
    /// Keeps in mind since when newcomers may have what is said.
    pub(crate) fn note_history(&mut self, history_s: Option<u64>, now: parlour_proto::ids::UnixMillis) {
        self.history_from = history_s.map(|_| self.history_from.unwrap_or(now));
    }
}

impl Engine {
    /// Whom these key packages bring in, we ourselves aside.
    fn brought_in(&self, joiners: &[Joiner]) -> Vec<AccountRef> {
        let account = |joiner: &Joiner| {
            let package = ClaimedKeyPackage::parse(&joiner.key_package, self.server_time().0).ok()?;
            crate::contacts::proto_account(&package.credential().account)
        };
        let mut accounts: Vec<AccountRef> = joiners.iter().filter_map(account).collect();
        accounts.sort();
        accounts.dedup();
        accounts.retain(|account| self.me().is_none_or(|me| me.account != *account));
        accounts
    }

    /// Notes what is to be handed to those whom we added.
    pub(crate) fn hand_over(&mut self, room: RoomId, conversation: ConversationId, joiners: &[Joiner]) {
        let now = self.server_time();
        let history_s = self.policy_of(&room).and_then(|(policy, _)| policy.history_s);
        let Some((r, c)) = self.s.rooms.get(&room).zip(self.s.conversations.get(&conversation)) else { return };
        let since = history_s.zip(r.history_from).map(|(seconds, from)| {
            parlour_proto::ids::UnixMillis(now.0.saturating_sub(seconds.saturating_mul(1_000))).max(from)
        });
        if since.is_none() && c.picture.is_none() {
            return;
        }
        let before = if since.is_some() { c.next_order.saturating_add(1) } else { 0 };
        for to in self.brought_in(joiners) {
            let handing = Handing { to: to.clone(), room, before, count: 0, since: since.unwrap_or(now), via: None };
            self.s.handing.insert(key(&room, &to), handing);
        }
    }

    /// Reads the next piece for somebody new.
    pub(crate) fn settle_handing(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.handing_over.is_some() {
            return;
        }
        let next = self.s.handing.iter().next().map(|(key, handing)| (key.clone(), handing.clone()));
        let Some((key, handing)) = next else { return };
        let group = self.s.rooms.get(&handing.room).filter(|r| r.usable()).map(|r| r.conversation);
        let (Some(group), Some(place)) = (group, self.place_to_hand(&handing)) else {
            return self.end_handing(&key);
        };
        // One piece at a time is on its way.
        let on_its_way = |saying: &Saying| matches!(saying, Saying::Handover { .. });
        if self.s.outgoing_of(place).any(|(_, item)| !item.accepted && on_its_way(&item.saying)) {
            return;
        }
        if handing.count == ALL {
            return self.end_handing(&key);
        }
        if handing.count == 0 && self.s.conversations.get(&group).is_some_and(|c| c.picture.is_some()) {
            self.handing_over = Some(key.clone());
            return self.load_group_picture(group, Load::GroupFace(Some(key), group));
        }
        self.hand_page(key, &handing, group, place, rng);
    }

    /// Where something is handed to somebody.
    fn place_to_hand(&self, handing: &Handing) -> Option<ConversationId> {
        let is_open = |id: &ConversationId| self.standing(*id) == Some(ConversationState::Open);
        let direct = self.conversation_with(&handing.to).filter(is_open);
        let group = self.s.rooms.get(&handing.room).map(|r| r.conversation);
        let small = |id: &ConversationId| {
            self.s.conversations.get(id).is_some_and(|c| c.members.len() < MOST_MEMBERS_WITH_REPORTS)
        };
        let via = handing.via.filter(|via| self.s.conversations.contains(via));
        direct.or(via).or_else(|| group.filter(small))
    }

    /// What is to be handed to somebody who asked to join by `via` goes there, if there is no other place; `false`: there is
    /// one, or nothing to hand.
    pub(crate) fn hand_in_join(&mut self, group: ConversationId, to: &AccountRef, via: ConversationId) -> bool {
        let is_of = |handing: &Handing| {
            handing.to == *to && self.s.rooms.get(&handing.room).is_some_and(|r| r.conversation == group)
        };
        let handing = self.s.handing.iter().find(|(_, handing)| is_of(handing));
        let Some((key, handing)) = handing.map(|(key, handing)| (key.clone(), handing.clone())) else { return false };
        if self.place_to_hand(&handing).is_some() || self.standing(via) != Some(ConversationState::Request) {
            return false;
        }
        let waits = |room: &RoomId| {
            let r = self.s.rooms.get(room).filter(|r| r.asked_here && r.usable())?;
            Some((*room, r.member.clone()))
        };
        let room = self.s.conversations.get(&via).and_then(|c| c.rooms.iter().find_map(waits));
        let Some((room, member)) = room else { return false };
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.asked_here = false;
        }
        self.s.add_chore(Chore::OpenEntry { room, member });
        if let Some(handing) = self.s.handing.get_mut(&key) {
            handing.via = Some(via);
        }
        true
    }

    /// Whether a conversation is there only for handing something over.
    pub(crate) fn is_handing_in(&self, via: ConversationId) -> bool {
        self.s.handing.iter().any(|(_, handing)| handing.via == Some(via))
    }

    fn end_handing(&mut self, key: &Vec<u8>) {
        let Some(handing) = self.s.handing.remove(key) else { return };
        if let Some(via) = handing.via.filter(|via| self.standing(*via) == Some(ConversationState::Request)) {
            self.drop_carrier(via);
        }
        self.again = true;
    }

    fn hand_page(
        &mut self,
        key: Vec<u8>,
        handing: &Handing,
        group: ConversationId,
        place: ConversationId,
        rng: &mut dyn CryptoRngCore,
    ) {
        if handing.before == 0 || handing.count > MOST_HANDED {
            if let Some(handing) = self.s.handing.get_mut(&key) {
                handing.count = ALL;
            }
            let end = Handover { room: handing.room, picture: None, messages: Vec::new(), last: true };
            return self.say_handover(place, &end, rng);
        }
        self.handing_over = Some(key);
        self.read_page(None, group, handing.before, PAGE, rng);
    }

    fn say_handover(&mut self, place: ConversationId, handover: &Handover, rng: &mut dyn CryptoRngCore) {
        let asked_by = self.best_room(place).filter(|_| self.standing(place) == Some(ConversationState::Request));
        // Our entry is open before anything is said: nothing else would come back.
        let opens = |chore: &Chore| matches!(chore, Chore::OpenEntry { room, .. } if Some(*room) == asked_by);
        let after = self.s.chores.iter().find(|(_, chore)| opens(chore)).map_or(0, |(id, _)| *id);
        self.say(place, Saying::Handover { note: encode(handover).into() }, asked_by, after, rng);
    }

    /// The group's picture is read: it goes first.
    pub(crate) fn on_group_face_rows(
        &mut self,
        handing: Option<Vec<u8>>,
        conversation: ConversationId,
        rows: &[Pair],
        rng: &mut dyn CryptoRngCore,
    ) {
        let picture = rows.first().and_then(|(_, row)| decode::<StoredPicture>(row).ok());
        let Some(key) = handing else { return self.tell_group_picture(conversation, picture, rng) };
        self.handing_over = None;
        self.again = true;
        let Some(handing) = self.s.handing.get_mut(&key) else { return };
        handing.count = 1;
        let handing = handing.clone();
        let room = handing.room;
        if let Some(place) = self.place_to_hand(&handing) {
            self.say_handover(place, &Handover { room, picture, messages: Vec::new(), last: false }, rng);
        }
    }

    /// A page is read.
    pub(crate) fn on_handed(&mut self, messages: Vec<Message>, rng: &mut dyn CryptoRngCore) {
        self.again = true;
        let Some(key) = self.handing_over.take() else { return };
        let Some(handing) = self.s.handing.get(&key).cloned() else { return };
        let oldest = messages.first().map_or(0, |message| message.order);
        let in_time = |message: &Message| message.time >= handing.since;
        let ended = messages.len() < PAGE || !messages.first().is_some_and(in_time);
        let wanted = messages
            .into_iter()
            .rev()
            .filter(|m| in_time(m) && !m.deleted && m.timer.is_none() && m.notice.is_none())
            .map(told);
        let mut count = handing.count.max(1);
        let mut numbered = Vec::new();
        for message in
            wanted.filter(|message| !message.is_queued()).take((MOST_HANDED + 1 - count.min(MOST_HANDED)) as usize)
        {
            numbered.push(Told { order: count - 1, ..message });
            count += 1;
        }
        if let Some(handing) = self.s.handing.get_mut(&key) {
            handing.before = if ended { 0 } else { oldest };
            handing.count = count;
        }
        let Some(place) = self.place_to_hand(&handing) else { return };
        for messages in chunks(numbered, NOTE_BYTES, |told| encode(told).len()) {
            self.say_handover(place, &Handover { room: handing.room, picture: None, messages, last: false }, rng);
        }
    }

    /// Somebody hands over what was before we came, in this conversation.
    pub(crate) fn hear_handover(
        &mut self,
        at: ConversationId,
        from: &AccountRef,
        note: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) {
        let Ok(handover) = decode::<Handover>(note) else { return };
        let Some(r) = self.s.rooms.get_mut(&handover.room) else { return };
        let group = r.conversation;
        if r.added_by.as_ref() != Some(from) {
            // For another newcomer; or by somebody who did not add us.
            return;
        }
        if handover.last {
            r.added_by = None;
        }
        let bare = self.s.conversations.get(&group).is_some_and(|c| c.is_group && c.picture.is_none());
        let own_picture = handover.picture.clone();
        if let Some(picture) = handover.picture.and_then(|picture| picture.shown()).filter(|_| bare) {
            self.set_group_picture(group, Some(&picture));
        }
        let others = if self.s.joins.contains(&at) { self.other_devices() } else { Vec::new() };
        if let (Some(place), Some(picture), [_, ..]) = (self.place_of(group), own_picture, &others[..]) {
            self.say_own(&Note::GroupFace { place, picture }, rng);
        }
        let (me, now) = (self.me().map(|me| me.account.clone()), self.server_time());
        let mut taken = Vec::new();
        if !handover.messages.is_empty() {
            self.tell(Event::Earlier { conversation: group });
        }
        for message in handover.messages {
            let author = Some(message.from.clone().unwrap_or_else(|| from.clone()));
            let own = author == me;
            if message.order >= MOST_HANDED || message.time > now {
                continue;
            }
            let order = GAP - 1 - message.order;
            let told = Told { from: author.filter(|_| !own), order, ..message };
            if !others.is_empty() {
                taken.push(told.clone());
            }
            self.put_handed(group, told);
        }
        for device in others {
            self.pass_on(device, group, taken.clone(), rng);
        }
        self.changed.insert(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale;
    use parlour_proto::ids::{MessageId, UnixMillis};

    fn told(order: u64) -> Told {
        Told {
            id: MessageId([9; 16]),
            order,
            from: None,
            text: "they said".to_owned(),
            in_reply_to: None,
            time: UnixMillis(0),
            state: 0,
            edited: false,
            deleted: false,
            reactions: Vec::new(),
            expires: None,
            kept: false,
            notice: None,
        }
    }

    fn handover(count: u64) -> Vec<u8> {
        encode(&Handover {
            room: RoomId([1; 16]),
            picture: None,
            messages: (0..count).map(told).collect(),
            last: false,
        })
    }

    /// How many messages are taken from what somebody hands over.
    fn taken(from: u16, count: u64) -> usize {
        let mut engine = Engine::open([]).unwrap();
        let mut room = scale::room(1);
        room.added_by = Some(scale::account(3));
        room.conversation = ConversationId([1; 16]);
        engine.s.rooms.insert(RoomId([1; 16]), room);
        engine.s.conversations.insert(ConversationId([1; 16]), scale::conversation(1));
        let at = ConversationId([2; 16]);
        engine.hear_handover(at, &scale::account(from), &handover(count), &mut rand_core::OsRng);
        engine.s.flush(&mut engine.changes);
        engine.changes.0.iter().filter(|(key, _)| key.starts_with(b"lm")).count()
    }

    #[test]
    fn what_is_handed_over_never_takes_the_place_of_what_was_said() {
        let mut engine = Engine::open([]).unwrap();
        let (group, from) = (ConversationId([1; 16]), scale::account(3));
        let mut room = scale::room(1);
        (room.added_by, room.conversation) = (Some(from.clone()), group);
        engine.s.rooms.insert(RoomId([1; 16]), room);
        let conversation = crate::state::Conversation { next_order: GAP + 1, ..scale::conversation(1) };
        engine.s.conversations.insert(group, conversation);
        let id = MessageId([9; 16]);
        engine.put_said(group, id, Some(&from), scale::said("true", UnixMillis(5)));
        engine.hear_handover(ConversationId([2; 16]), &from, &handover(1), &mut rand_core::OsRng);
        let rows: Vec<Pair> = engine.changes.0.drain(..).filter_map(|(key, value)| Some((key, value?))).collect();
        let of_message: Vec<Pair> = rows.into_iter().filter(|(key, _)| key.starts_with(b"lm")).collect();
        let of_message = engine.unshrouded(of_message);
        assert_eq!(of_message.len(), 2);
        assert_eq!(engine.show_rows(id, &of_message).unwrap().text, "true");
        assert_eq!(engine.show_rows(id, &of_message[1..]).unwrap().text, "they said", "where nothing was said");
        assert_eq!(engine.show_newest(group).unwrap().text, "true");
    }

    #[test]
    fn nobody_hands_over_what_is_kept_or_what_others_set() {
        let told = |notice| Told { from: Some(scale::account(3)), kept: true, notice, ..told(0) };
        let mut engine = Engine::open([]).unwrap();
        let group = ConversationId([1; 16]);
        engine.s.conversations.insert(group, scale::conversation(1));
        let set = crate::expiry::StoredNotice::Expiry { after_s: None, archive: true, existing: false };
        engine.put_handed(group, told(Some(set)));
        assert!(engine.changes.0.is_empty(), "a notice that a commit did not bring");
        engine.put_handed(group, told(None));
        let rows: Vec<Pair> = engine.changes.0.drain(..).filter_map(|(key, value)| Some((key, value?))).collect();
        let rows = engine.unshrouded(rows.into_iter().filter(|(key, _)| key.starts_with(b"lm")).collect());
        assert!(!engine.show_rows(MessageId([9; 16]), &rows).unwrap().kept, "what we keep is our affair");
    }

    #[test]
    fn only_who_added_us_hands_anything_over() {
        assert_eq!(taken(3, 5), 5);
        assert_eq!(taken(4, 5), 0, "somebody else");
        assert_eq!(taken(3, 5_000), 1_000, "no more than there is room for");
    }
}
