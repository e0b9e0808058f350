//! What was said before a device came: another own device brings it, newest first, page by page.
//!
//! | step | of whom |
//! |---|---|
//! | settings, contacts, pictures, drafts, then all conversations are told | who linked it, or the oldest device that is there |
//! | the new device is brought into the rooms ([`crate::leaves`]) | the same |
//! | a page of messages from each conversation in turn, the newest ones first | the same |
//! | what comes is put where it was there: positions are the same on both | the new device |
//!
//! A page is read when the one before it is with the server; which is next is stored, so that it goes on after a restart of
//! either. The new device gives its own messages positions behind all of these ([`GAP`]).

use crate::api::{ConversationId, Event, Message, MessageState, Showing};
use crate::engine::{Engine, Load};
use crate::expiry::StoredNotice;
use crate::own::{NOTE_BYTES, Note, Place, SharedConversation, digest_of};
use crate::rows::codec::record;
use crate::rows::encode;
use crate::state::{StoredPicture, Transfer};
use bytes::Bytes;
use parlour_proto::content::mention;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{DeviceId, MessageId, RoomId, UnixMillis};
use rand_core::CryptoRngCore;

/// Positions left free between what is told of a conversation and the first message that the new device reads itself.
pub(crate) const GAP: u64 = 2048;
/// Messages read at one time.
const PAGE: usize = 100;
/// A single message that own devices are asked for is not asked of its author so long.
const OWN_FIRST_MS: u64 = 60_000;
/// So many that were not brought are remembered.
const MOST_ASKED: usize = 1024;

record! {
    /// A message as the other device shows it.
    struct Told {
        id: MessageId,
        order: u64,
        /// `None`: own.
        from: Option<AccountRef>,
        text: String,
        in_reply_to: Option<MessageId>,
        time: UnixMillis,
        state: u32,
        edited: bool,
        deleted: bool,
        reactions: Vec<(AccountRef, String)>,
        expires: Option<UnixMillis>,
        kept: bool,
        notice: Option<StoredNotice>,
    }
}

impl Engine {
    /// Tells a new device everything but messages. They follow.
    pub(crate) fn tell_all(&mut self, device: DeviceId, rng: &mut dyn CryptoRngCore) {
        // First: the device may have chosen, too, and says it as soon as it is in; that is newer.
        for shown in self.show_devices() {
            if shown.showing != Showing::default() {
                self.say_own(&Note::Showing { device: shown.id, showing: shown.showing }, rng);
            }
        }
        self.share_settings(rng);
        if let Some(note) = self.backup_note() {
            self.say_own(&note, rng);
            self.say_own(&Note::Keeping { history: self.kept_history(), messages: 0 }, rng);
        }
        let mut contacts = Vec::new();
        for account in self.s.contacts.keys() {
            let Some(shared) = self.shared(&account) else { continue };
            self.mark_shared(&account, digest_of(&shared));
            contacts.push(shared);
        }
        for contacts in chunks(contacts, NOTE_BYTES, |shared| encode(shared).len()) {
            self.say_own(&Note::Contacts { contacts }, rng);
        }
        let mut conversations: Vec<_> = self.s.conversations.iter().filter(|(_, c)| !c.is_own).collect();
        conversations.sort_by_key(|(_, c)| std::cmp::Reverse(c.last_activity));
        let conversations: Vec<ConversationId> = conversations.into_iter().map(|(id, _)| *id).collect();
        let shared: Vec<_> = conversations.iter().filter_map(|id| self.shared_conversation(*id)).collect();
        for conversations in chunks(shared, NOTE_BYTES, |shared| encode(shared).len()) {
            self.say_own(&Note::Conversations { conversations }, rng);
        }
        for note in self.coming_notes() {
            self.say_own(&note, rng);
        }
        for (id, text) in self.drafts() {
            if let Some(place) = self.place_of(id) {
                self.say_own(&Note::Draft { place, text: Some(text) }, rng);
            }
        }
        self.ask_for_faces();
        self.ask_for_group_pictures();
        self.say_own(&Note::Told { device }, rng);
        let of = conversations.iter().filter_map(|id| self.s.conversations.get(id)).map(|c| c.next_order).sum();
        let queue = conversations.into_iter().map(|id| (id, u64::MAX)).collect();
        self.s.transfers.insert(device, Transfer { queue, whole: true, done: 0, of });
        if let Some(known) = self.s.devices.get_mut(&device) {
            known.told = true;
        }
    }

    /// A device that is brought into a room needs what was said in its conversation before.
    pub(crate) fn transfer_too(&mut self, device: DeviceId, conversation: ConversationId) {
        let of = self.s.conversations.get(&conversation).map_or(0, |c| c.next_order);
        match self.s.transfers.get_mut(&device) {
            Some(transfer) if transfer.queue.iter().any(|(id, _)| *id == conversation) => {}
            Some(transfer) => {
                transfer.queue.push((conversation, u64::MAX));
                transfer.of += of;
            }
            None => {
                let queue = vec![(conversation, u64::MAX)];
                self.s.transfers.insert(device, Transfer { queue, whole: false, done: 0, of });
            }
        }
    }

    /// As the other devices are told of it; `None` for requests, which every device gets by itself, and for what only carries
    /// a join.
    pub(crate) fn shared_conversation(&self, id: ConversationId) -> Option<SharedConversation> {
        let c = self.s.conversations.get(&id)?;
        if matches!(c.standing, crate::state::Standing::Request) || self.s.joins.contains(&id) {
            return None;
        }
        let room = self.best_room(id);
        Some(SharedConversation {
            place: self.place_of(id)?,
            is_group: c.is_group,
            members: c.members.clone(),
            title: c.title.clone(),
            closed: matches!(c.standing, crate::state::Standing::Closed),
            room,
            open_there: room.and_then(|room| self.s.rooms.get(&room)).is_some_and(|r| r.open_there),
            next_order: c.next_order,
            unread: c.unread,
            read_up_to: c.read_up_to,
            newest: self.newest_told(id),
            last_activity: c.last_activity,
            kept: c.kept,
        })
    }

    /// Reads the next page for a device that is new.
    pub(crate) fn settle_transfers(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.copying.is_some() || !self.own_is_said() {
            return;
        }
        let next = self.s.transfers.iter().next().map(|(device, transfer)| (*device, transfer.queue.first().copied()));
        let Some((device, next)) = next.filter(|(device, _)| !self.is_being_brought_in(device)) else { return };
        let Some((conversation, before)) = next else {
            let of =
                self.s.transfers.remove(&device).filter(|transfer| transfer.whole).map(|transfer| transfer.of.max(1));
            if let Some(of) = of {
                self.say_history(device, Place { rooms: Vec::new(), with: None }, Vec::new(), of, of, rng);
            }
            return;
        };
        self.copying = Some(device);
        self.read_page(Some(device), conversation, before, PAGE, rng);
    }

    /// A page is read: it goes to the new device.
    pub(crate) fn on_copied(
        &mut self,
        device: DeviceId,
        conversation: ConversationId,
        messages: Vec<Message>,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.copying = None;
        self.again = true;
        let place = self.place_of(conversation);
        let Some(transfer) = self.s.transfers.get_mut(&device) else { return };
        if transfer.queue.first().is_some_and(|(id, _)| *id == conversation) {
            let (_, before) = transfer.queue.remove(0);
            let oldest = messages.first().map(|message| message.order);
            let from = before.min(messages.last().map_or(0, |message| message.order));
            transfer.done = (transfer.done + from.saturating_sub(oldest.unwrap_or(0)) + 1).min(transfer.of);
            if let Some(oldest) = oldest.filter(|_| transfer.whole && messages.len() >= PAGE) {
                transfer.queue.push((conversation, oldest));
            }
        }
        // What is brought later, by the way, is no news.
        let (done, of) = if transfer.whole { (transfer.done, transfer.of) } else { (0, 0) };
        let Some(place) = place else { return };
        // What has a timer stays on the devices that it came to.
        let told: Vec<Told> = messages.into_iter().rev().filter(|message| message.timer.is_none()).map(told).collect();
        for messages in chunks(told, NOTE_BYTES, |told| encode(told).len()) {
            self.say_history(device, place.clone(), messages, done, of, rng);
        }
        if of > 0 {
            self.tell(Event::History { to: Some(device), done, of });
        }
    }

    fn say_history(
        &mut self,
        to: DeviceId,
        place: Place,
        messages: Vec<Told>,
        done: u64,
        of: u64,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.say_own(&Note::History { to, place, messages, done, of }, rng);
        if done == of && of > 0 {
            self.tell(Event::History { to: Some(to), done, of });
        }
    }

    /// What only this device was handed, for another one.
    pub(crate) fn pass_on(
        &mut self,
        to: DeviceId,
        conversation: ConversationId,
        messages: Vec<Told>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(place) = self.place_of(conversation) else { return };
        for messages in chunks(messages, NOTE_BYTES, |told| encode(told).len()) {
            self.say_history(to, place.clone(), messages, 0, 0, rng);
        }
    }

    /// Messages from before this device came.
    pub(crate) fn hear_history(&mut self, to: DeviceId, place: &Place, messages: Vec<Told>, done: u64, of: u64) {
        if self.me().is_none_or(|me| me.device != to) {
            return;
        }
        if let Some(conversation) = self.find_place(place) {
            // Those that get a position here, get it in the order in which they were said.
            let mut messages = messages;
            messages.sort_by_key(|told| told.order);
            for message in messages {
                self.hear_told(conversation, message);
            }
            self.changed.insert(conversation);
        }
        if of > 0 {
            self.tell(Event::History { to: None, done, of });
        }
    }

    /// Positions of the other device mean something where this one took the conversation over from it.
    pub(crate) fn hear_told(&mut self, conversation: ConversationId, told: Told) {
        let Some(base) = self.s.conversations.get(&conversation).map(|c| c.base) else { return };
        if told.is_queued() && told.order.saturating_add(GAP) > base {
            return;
        }
        self.found_again(conversation, told.id);
        // (The other one's last position is among them: looked up like what is new, it would be lost in a crash.)
        if told.order.saturating_add(GAP) <= base {
            self.put_told(conversation, told);
        } else {
            let prefix = self.message_prefix(conversation, told.id);
            self.load_rows(prefix, Load::Told(conversation, Box::new(told)));
        }
    }

    /// It is not here: new to this device, in the gap or at the end.
    pub(crate) fn put_new(&mut self, conversation: ConversationId, told: Told) {
        let Some(base) = self.s.conversations.get(&conversation).map(|c| c.base) else { return };
        let kept = self.kept_place(conversation, &told.id).filter(|_| told.order >= base);
        let order = if told.order < base { told.order } else { kept.unwrap_or_else(|| self.place_for(conversation)) };
        let received = told.from.is_some() && !told.deleted;
        if let Some(c) = self.s.conversations.get_mut(&conversation).filter(|c| received && order > c.read_up_to) {
            c.unread = c.unread.saturating_add(1);
        }
        self.put_told(conversation, Told { order, ..told });
    }

    // ---- what was said before this device's entry was opened

    /// Messages that came between the acceptance on another device and the opening here get positions of their own.
    pub(crate) fn ask_to_fill(&mut self, conversation: ConversationId, rng: &mut dyn CryptoRngCore) {
        let Some(c) = self.s.conversations.get_mut(&conversation) else { return };
        self.filling.retain(|(id, _)| *id != conversation);
        self.filling.push((conversation, c.next_order + 1));
        c.next_order += GAP;
        // All of it comes that way.
        for room in c.rooms.clone() {
            self.forget_heard(&room);
        }
        if let Some(place) = self.place_of(conversation) {
            self.say_own(&Note::Fill { place }, rng);
        }
    }

    pub(crate) fn hear_fill(&mut self, from: DeviceId, place: &Place) {
        if self.is_first_but(from)
            && let Some(conversation) = self.find_place(place)
        {
            self.transfer_too(from, conversation);
            self.again = true;
        }
    }

    /// Another own device has opened its entry in a conversation of two: what was said between the acceptance on the first of us and that
    /// did not come there.
    pub(crate) fn opened_by_own(&mut self, conversation: ConversationId, device: DeviceId) {
        if self.is_first_but(device) {
            self.transfer_too(device, conversation);
            self.again = true;
        }
    }

    /// Whether we are the oldest device that is not the one that asks: it answers.
    fn is_first_but(&mut self, asks: DeviceId) -> bool {
        let first = self.listed().iter().map(|device| device.id).find(|id| *id != asks);
        first == self.me().map(|me| me.device)
    }

    /// Where a message goes that another device brings: in the gap that was left for it, or at the end.
    fn place_for(&mut self, conversation: ConversationId) -> u64 {
        match self.filling.iter_mut().find(|(id, _)| *id == conversation) {
            Some((_, next)) => {
                *next += 1;
                *next - 1
            }
            None => self.next_order(conversation),
        }
    }

    // ---- single messages

    /// A message that was written before this device was in the room, and sequenced after. If none of the others brings it, its author
    /// is asked (after a restart at once). It does not count as unreadable: it may be nothing that is shown.
    pub(crate) fn ask_own_for(&mut self, room: RoomId, conversation: ConversationId, message: MessageId) {
        if !self.is_brought_in(&room) || self.is_own_room(&room) {
            return;
        }
        self.missed.push((conversation, message));
        self.again = true;
        self.ask_uncounted(room, message, self.now.plus_ms(OWN_FIRST_MS));
    }

    /// A message is to be asked for from then on, and does not count as one that could not be read.
    pub(crate) fn ask_uncounted(&mut self, room: RoomId, message: MessageId, from: UnixMillis) {
        self.again = true;
        if !self.ask_again_for(room, message) {
            return;
        }
        self.asked_own.insert(message, from);
        if self.asked_own.len() > MOST_ASKED
            && let Some((oldest, _)) =
                self.asked_own.iter().map(|(message, due)| (*message, *due)).min_by_key(|(_, due)| *due)
        {
            self.asked_own.remove(&oldest);
        }
    }

    /// Whether it is for the other own devices to bring it, as yet.
    pub(crate) fn waits_for_own(&self, message: &MessageId) -> bool {
        self.asked_own.get(message).is_some_and(|due| self.now < *due)
    }

    pub(crate) fn settle_missed(&mut self, rng: &mut dyn CryptoRngCore) {
        if let Some(due) = self.asked_own.iter().map(|(_, due)| *due).filter(|due| self.now < *due).min() {
            self.wake_at(due);
        }
        let mut missed = std::mem::take(&mut self.missed);
        while let Some((conversation, _)) = missed.first().copied() {
            let (these, others) = missed.into_iter().partition(|(id, _)| *id == conversation);
            missed = others;
            let these: Vec<(ConversationId, MessageId)> = these;
            let messages = these.into_iter().map(|(_, message)| message).collect();
            if let Some(place) = self.place_of(conversation) {
                self.say_own(&Note::Ask { place, messages }, rng);
            }
        }
    }

    pub(crate) fn hear_ask(&mut self, from: DeviceId, place: &Place, messages: Vec<MessageId>) {
        if !self.is_first_but(from) {
            return;
        }
        let Some(conversation) = self.find_place(place) else { return };
        for message in messages {
            let prefix = self.message_prefix(conversation, message);
            self.load_rows(prefix, Load::Asked(from, conversation, message));
        }
    }

    pub(crate) fn on_asked_rows(
        &mut self,
        device: DeviceId,
        conversation: ConversationId,
        message: MessageId,
        rows: &[(Vec<u8>, Vec<u8>)],
        rng: &mut dyn CryptoRngCore,
    ) {
        let shown = self.show_rows(message, rows).filter(|message| message.timer.is_none()).map(told);
        if let (Some(told), Some(place)) = (shown, self.place_of(conversation)) {
            self.say_history(device, place, vec![told], 0, 0, rng);
        }
    }

    // ---- pictures

    /// The pictures of contacts are read, to be told.
    fn ask_for_faces(&mut self) {
        let with_picture: Vec<AccountRef> =
            self.s.contacts.iter().filter(|(_, c)| c.picture.is_some()).map(|(account, _)| account.clone()).collect();
        for account in with_picture {
            self.load_face(account);
        }
    }

    pub(crate) fn on_face_rows(&mut self, account: AccountRef, row: Option<Bytes>, rng: &mut dyn CryptoRngCore) {
        let picture = row.and_then(|row| crate::rows::decode::<StoredPicture>(&row).ok());
        if let Some(picture) = picture {
            self.say_own(&Note::Face { account, picture }, rng);
        }
    }

    pub(crate) fn hear_face(&mut self, account: &AccountRef, picture: &StoredPicture) {
        // What they told this device itself is newer.
        if self.s.contacts.get(account).is_some_and(|contact| contact.picture.is_none()) {
            self.put_face(account, picture);
        }
    }
}

pub(crate) fn told(message: Message) -> Told {
    Told {
        id: message.id,
        order: message.order,
        from: message.from,
        text: mention::said(&message.text, &message.mentions),
        in_reply_to: message.in_reply_to,
        time: message.time,
        state: crate::messages::state_number(message.state),
        edited: message.edited,
        deleted: message.deleted,
        reactions: message.reactions,
        expires: message.expires,
        kept: message.kept,
        notice: message.notice.map(StoredNotice::from),
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told(..)")
    }
}

impl Told {
    pub(crate) fn is_queued(&self) -> bool {
        self.state == crate::messages::state_number(MessageState::Queued)
    }
}

/// Parts whose sizes, together, are at most `most`; an item that is larger is alone.
pub(crate) fn chunks<T>(items: Vec<T>, most: usize, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut all, mut bytes) = (Vec::<Vec<T>>::new(), 0);
    for item in items {
        let more = size(&item);
        match all.last_mut().filter(|_| bytes + more <= most) {
            Some(chunk) => {
                chunk.push(item);
                bytes += more;
            }
            None => {
                all.push(vec![item]);
                bytes = more;
            }
        }
    }
    all
}
