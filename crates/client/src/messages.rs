//! Messages: how they are stored, what is noted on them, how they are shown.
//!
//! A message is one row (`0`, author) that nobody else can overwrite; an edit, deletion, reaction or report by somebody is
//! a row beside it (kind, account), so that nothing has to be read to store it. Who may do what is judged when they are put
//! together: an edit and a deletion count only from the author. (A deletion's text is erased as soon as the rows are read.)

use crate::api::{self, ConversationId, Event, Failure, IntentId, MessageState, Reply};
use crate::engine::{Engine, Load};
use crate::expiry::timers::Unread;
use crate::expiry::{StoredNotice, StoredTimer, key_end};
use crate::history::Told;
use crate::keyring::NEVER;
use crate::rows::codec::{choice, record};
use crate::rows::{decode, encode};
use crate::state::{Newest, Outgoing, Preview, Saying, Standing};
use bytes::Bytes;
use parlour_proto::content::mention;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{MessageId, RoomId, UnixMillis};

record! {
    /// A message as it was said.
    struct Stored {
        /// Position; own queued ones come last.
        order: u64,
        /// `None`: own.
        from: Option<AccountRef>,
        text: String,
        in_reply_to: Option<MessageId>,
        time: UnixMillis,
        /// [`MessageState`], without what reports tell.
        state: u32,
        /// For a report about it (`e2ee`'s `Evidence`), and the server's stamp.
        evidence: Bytes,
        stamp: [u8; 32],
        deleted: bool,
        /// When it is over, as far as that is known.
        expires: Option<UnixMillis>,
        timer: Option<StoredTimer>,
        /// It stays on own devices.
        kept: bool,
        /// It tells of something.
        notice: Option<StoredNotice>,
        /// The key that its rows are sealed under; 0: none.
        key: u64,
    }
}

impl Stored {
    /// Somebody else said it.
    fn is_received(&self) -> bool {
        self.from.is_some() && self.notice.is_none()
    }
}

/// What is known of a text that came.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) in_reply_to: Option<MessageId>,
    pub(crate) time: UnixMillis,
    pub(crate) evidence: Bytes,
    pub(crate) stamp: [u8; 32],
    pub(crate) timer: Option<StoredTimer>,
    pub(crate) expires: Option<UnixMillis>,
}

choice! {
    /// What somebody noted on a message; one of each kind and account, the last one counts.
    enum Note {
        0 Edit { by: AccountRef, text: String, },
        1 Delete { by: AccountRef, },
        2 Reaction { by: AccountRef, emoji: String, },
        3 Delivered { by: AccountRef, },
        4 Read { by: AccountRef, },
    }
}

/// Own queued messages come after everything that has a place.
pub(crate) const QUEUED: u64 = 1 << 62;
/// What is on its way to somebody new lies under a key that lasts about as long.
const TRANSIT_MS: u64 = 24 * 3_600_000;
/// So much of a message is kept for lists, bytes.
const PREVIEW_BYTES: usize = 256;

pub(crate) fn state_number(state: MessageState) -> u32 {
    match state {
        MessageState::Queued => 0,
        MessageState::Sent => 1,
        MessageState::Delivered => 2,
        MessageState::Read => 3,
        MessageState::Received => 4,
        MessageState::Failed => 5,
    }
}

fn state_of(number: u32) -> MessageState {
    match number {
        0 => MessageState::Queued,
        1 => MessageState::Sent,
        2 => MessageState::Delivered,
        3 => MessageState::Read,
        4 => MessageState::Received,
        _ => MessageState::Failed,
    }
}

fn account_bytes(account: &AccountRef) -> Vec<u8> {
    [&account.account.0[..], account.app.as_str().as_bytes()].concat()
}

impl Engine {
    pub(crate) fn message_prefix(&self, conversation: ConversationId, message: MessageId) -> Vec<u8> {
        let mut key = crate::conversation::messages_prefix(self.s.number, &conversation);
        key.extend(message.0);
        key
    }

    /// Writes a message and tells about it.
    fn put_message(&mut self, conversation: ConversationId, id: MessageId, mut stored: Stored) {
        let author = stored.from.clone().or_else(|| self.me().map(|me| me.account.clone()));
        let mut key = self.message_prefix(conversation, id);
        key.push(b'0');
        key.extend(author.map(|author| account_bytes(&author)).unwrap_or_default());
        self.file(conversation, &mut stored);
        self.put_text(key, stored.key, encode(&stored));
        self.place_message(conversation, id, &stored);
        let message = self.show(id, &stored);
        self.keep_newest(conversation, &message, stored.key);
        self.tell(Event::Message { conversation, message });
    }

    /// A row that holds what somebody said, sealed under a key of the ring.
    fn put_text(&mut self, row: Vec<u8>, key: u64, plain: Vec<u8>) {
        let value = self.s.ring.shroud(key, &row, plain);
        self.put_row(row, Some(value));
    }

    /// Finds the key that a message is to lie under, if it has none.
    fn file(&mut self, conversation: ConversationId, stored: &mut Stored) {
        if stored.key != 0 && self.s.ring.has(stored.key) {
            return;
        }
        stored.key = if stored.timer.is_some() && !stored.text.is_empty() {
            self.s.ring.single(conversation)
        } else if stored.kept {
            self.s.ring.key_for(conversation, NEVER)
        } else {
            self.s.ring.key_for(conversation, key_end(stored.time, stored.expires))
        };
    }

    /// The key for what is written into a conversation now.
    pub(crate) fn key_of_now(&mut self, conversation: ConversationId) -> u64 {
        let now = self.server_time();
        let after_s = self.expiry(conversation).and_then(|expiry| expiry.after_s);
        let expires = after_s.map(|seconds| now.plus_ms(u64::from(seconds) * 1_000));
        self.s.ring.key_for(conversation, key_end(now, expires))
    }

    /// The key under which something waits in the outbox.
    pub(crate) fn outgoing_key(&mut self, conversation: ConversationId, saying: &Saying) -> u64 {
        match saying {
            Saying::Text { timer: Some(_), .. } => self.s.ring.single(conversation),
            // Others' texts on their way to somebody who is new: here for moments.
            Saying::Own { .. } | Saying::Handover { .. } => {
                let now = self.server_time();
                self.s.ring.key_for(conversation, key_end(now, Some(now.plus_ms(TRANSIT_MS))))
            }
            saying if saying.is_said() => self.key_of_now(conversation),
            _ => 0,
        }
    }

    /// A message has a position, and an end: both are noted.
    fn place_message(&mut self, conversation: ConversationId, id: MessageId, stored: &Stored) {
        if stored.order >= QUEUED {
            return;
        }
        let received = stored.is_received();
        self.index_message(conversation, id, stored.order, received);
        self.mark_kept(conversation, stored.order);
        if let Some(expires) = stored.expires.filter(|_| !stored.kept) {
            self.index_over(conversation, id, expires, stored.order, received);
        }
    }

    /// A message that was read from the store is written again, with another end, or kept: under another key where it needs one.
    pub(crate) fn put_again(&mut self, conversation: ConversationId, id: MessageId, mut stored: Stored, rows: &[Pair]) {
        let Some((before, notes, first)) = parts(rows.iter()) else { return };
        if let Some(expires) = before.expires {
            self.unindex_over(conversation, id, expires);
        }
        if stored.timer.is_none() {
            stored.key = 0;
            self.file(conversation, &mut stored);
        }
        for (row, value) in rows.iter().filter(|(row, value)| *row != first && !value.is_empty()) {
            if matches!(row.get(NOTE_KIND), Some(&(b'0' | b'e' | b'r' | HANDED))) {
                self.put_text(row.clone(), stored.key, value.clone());
            }
        }
        self.put_text(first, stored.key, encode(&stored));
        self.place_message(conversation, id, &stored);
        if self.is_over(stored.expires, stored.kept) {
            return;
        }
        let message = self.assemble(id, &stored, &notes);
        if self.s.conversations.get(&conversation).and_then(|c| c.newest.as_ref()).is_some_and(|n| n.message == id) {
            self.keep_newest(conversation, &message, stored.key);
        }
        self.tell(Event::Message { conversation, message });
    }

    /// The conversation's summary follows its newest message, which lies under this key.
    fn keep_newest(&mut self, conversation: ConversationId, message: &api::Message, key: u64) {
        let Some(c) = self.s.conversations.get(&conversation) else { return };
        if c.newest.as_ref().is_some_and(|newest| newest.message != message.id && newest.order > message.order) {
            return;
        }
        let newest = Newest {
            message: message.id,
            order: message.order,
            from: message.from.clone(),
            text: String::new(),
            time: message.time,
            state: state_number(message.state),
            deleted: message.deleted,
            expires: message.expires.filter(|_| !message.kept),
            once: message.timer == Some(api::Timer::Once),
            notice: message.notice.map(StoredNotice::from),
        };
        let text = beginning(&message.text, PREVIEW_BYTES).to_owned();
        self.s.previews.insert(conversation, Preview { text, key });
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.newest = Some(newest);
        }
        self.changed.insert(conversation);
    }

    /// Lists show nothing of a conversation's messages.
    pub(crate) fn forget_newest(&mut self, conversation: ConversationId) {
        self.s.previews.remove(&conversation);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.newest = None;
            self.changed.insert(conversation);
        }
    }

    /// A message was found to be the newest that there is.
    pub(crate) fn newest_found(&mut self, conversation: ConversationId, message: &api::Message, rows: &[Pair]) {
        if let Some((stored, ..)) = parts(rows.iter()) {
            self.keep_newest(conversation, message, stored.key);
        }
    }

    /// The newest message, as another own device is told of it.
    pub(crate) fn newest_told(&self, conversation: ConversationId) -> Option<Newest> {
        let newest = self.s.conversations.get(&conversation)?.newest.clone()?;
        let text = self.s.previews.get(&conversation).map(|preview| preview.text.clone()).unwrap_or_default();
        (!self.is_over(newest.expires, false)).then_some(Newest { text, ..newest })
    }

    /// The newest message, as another own device told of it.
    pub(crate) fn take_newest(&mut self, conversation: ConversationId, told: Option<&Newest>) {
        let Some(newest) = told.filter(|newest| !self.is_over(newest.expires, false)) else { return };
        let key = self.s.ring.key_for(conversation, key_end(newest.time, newest.expires));
        self.s.previews.insert(conversation, Preview { text: newest.text.clone(), key });
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.newest = Some(Newest { text: String::new(), ..newest.clone() });
        }
    }

    /// The newest message as a list shows it; nothing of a request's before the choice, nor of what is over.
    pub(crate) fn show_newest(&self, id: ConversationId) -> Option<api::Preview> {
        let c = self.s.conversations.get(&id).filter(|c| !matches!(c.standing, Standing::Request))?;
        let newest = c.newest.as_ref().filter(|newest| !self.is_over(newest.expires, false))?;
        Some(api::Preview {
            id: newest.message,
            from: newest.from.clone(),
            from_name: newest.from.as_ref().and_then(|account| self.s.contacts.get(account)?.name.clone()),
            text: self.s.previews.get(&id).map(|preview| preview.text.clone()).unwrap_or_default(),
            deleted: newest.deleted,
            time: newest.time,
            state: state_of(newest.state),
            once: newest.once,
            notice: newest.notice.as_ref().map(StoredNotice::shown),
        })
    }

    /// A message with its text, also where that is seen once.
    pub(crate) fn show_whole(&self, id: MessageId, stored: &Stored) -> api::Message {
        let (text, mentions) = mention::shown(&stored.text);
        api::Message { text, mentions, ..self.show(id, stored) }
    }

    fn show(&self, id: MessageId, stored: &Stored) -> api::Message {
        let from_name = stored.from.as_ref().and_then(|account| self.s.contacts.get(account)?.name.clone());
        let once = matches!(stored.timer, Some(StoredTimer::Once));
        let (text, mentions) = if once { Default::default() } else { mention::shown(&stored.text) };
        api::Message {
            id,
            order: stored.order,
            from: stored.from.clone(),
            from_name,
            text,
            mentions,
            in_reply_to: stored.in_reply_to,
            edited: false,
            deleted: stored.deleted,
            reactions: Vec::new(),
            time: stored.time,
            state: state_of(stored.state),
            expires: stored.expires,
            timer: stored.timer.as_ref().map(StoredTimer::shown),
            kept: stored.kept,
            notice: stored.notice.as_ref().map(StoredNotice::shown),
        }
    }

    /// An outgoing text in a state of its way; other sayings have no message of their own.
    pub(crate) fn show_outgoing(
        &mut self,
        conversation: ConversationId,
        at: u64,
        item: &Outgoing,
        state: MessageState,
    ) {
        if let Some(stored) = own(item, QUEUED + at, state, [0; 32], None) {
            self.put_message(conversation, item.message, stored);
        }
    }

    /// An outgoing text whose echo will not come any more: it has its place.
    pub(crate) fn show_final(&mut self, conversation: ConversationId, item: &Outgoing, state: MessageState) {
        if matches!(item.saying, Saying::Text { .. })
            && let Some(stored) = own(item, self.next_order(conversation), state, [0; 32], None)
        {
            let now = self.server_time();
            let expires = self.expiry(conversation).and_then(|expiry| expiry.after_s);
            let expires = expires.map(|seconds| now.plus_ms(u64::from(seconds) * 1_000));
            self.put_message(conversation, item.message, Stored { expires, ..stored });
        }
    }

    /// The echo is there: the message has its place, and its time.
    pub(crate) fn show_echoed(
        &mut self,
        conversation: ConversationId,
        room: &RoomId,
        item: &Outgoing,
        stamp: [u8; 32],
        time: UnixMillis,
    ) {
        // A rule that came before it in the room: nobody shows it.
        let refused = self.may_say(conversation, &item.saying).is_err();
        let state = if refused { MessageState::Failed } else { MessageState::Sent };
        let Saying::Text { timer, .. } = &item.saying else { return };
        let (policy, timed) = (self.over_at(room, time), timer.as_ref().and_then(|timer| timer.end_of_own(time)));
        let expires = [policy, timed].into_iter().flatten().min();
        let kept = self.keeps(conversation, timer.as_ref());
        if let Some(stored) = own(item, self.next_order(conversation), state, stamp, expires) {
            self.put_message(conversation, item.message, Stored { kept, ..stored });
            self.touch(conversation);
        }
    }

    /// Stores a received text, or (`from` being `None`) one that another own device wrote.
    pub(crate) fn put_said(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        from: Option<&AccountRef>,
        said: Said,
    ) {
        if self.is_over(said.expires, false) {
            // It came too late: nobody sees it, nothing of it is written.
            return;
        }
        let order = self.next_order(conversation);
        let state = if from.is_some() { MessageState::Received } else { MessageState::Sent };
        let kept = self.keeps(conversation, said.timer.as_ref());
        let once = matches!(said.timer, Some(StoredTimer::Once));
        let stored = Stored {
            order,
            from: from.cloned(),
            text: if once && from.is_none() { String::new() } else { said.text },
            in_reply_to: said.in_reply_to,
            time: said.time,
            state: state_number(state),
            evidence: said.evidence,
            stamp: said.stamp,
            deleted: false,
            expires: said.expires,
            timer: said.timer,
            kept,
            notice: None,
            key: 0,
        };
        if from.is_some() {
            self.count_received(conversation, message, &stored);
        }
        self.touch(conversation);
        self.put_message(conversation, message, stored);
    }

    fn count_received(&mut self, conversation: ConversationId, id: MessageId, stored: &Stored) {
        let me = self.me().map(|me| me.account.clone());
        let names_us = mention::shown(&stored.text).1.iter().any(|mention| Some(&mention.account) == me.as_ref());
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.unread = c.unread.saturating_add(1);
            c.mentioned |= names_us;
        }
        let waits = match stored.timer {
            Some(StoredTimer::Reading { seconds }) => Some(seconds),
            Some(StoredTimer::Once) => Some(0),
            Some(StoredTimer::Sending { .. }) | None => None,
        };
        if let Some(seconds) = waits {
            self.s.unread.insert((conversation, id), Unread { order: stored.order, seconds });
        }
        self.arrived(conversation);
        self.s.counters().received += 1;
    }

    /// Something that everybody sees in the conversation; it is no news to be read.
    pub(crate) fn put_notice(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        from: Option<AccountRef>,
        time: UnixMillis,
        notice: StoredNotice,
    ) {
        let Some(c) = self.s.conversations.get(&conversation).filter(|c| !c.is_own) else { return };
        let all_read = c.unread == 0;
        let StoredNotice::Expiry { after_s, .. } = &notice;
        let expires = after_s.map(|seconds| time.plus_ms(u64::from(seconds) * 1_000));
        let state = if from.is_some() { MessageState::Received } else { MessageState::Sent };
        let order = self.next_order(conversation);
        let stored = Stored {
            order,
            from,
            text: String::new(),
            in_reply_to: None,
            time,
            state: state_number(state),
            evidence: Bytes::new(),
            stamp: [0; 32],
            deleted: false,
            expires,
            timer: None,
            kept: false,
            notice: Some(notice),
            key: 0,
        };
        if all_read && let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.read_up_to = order;
        }
        self.put_message(conversation, id, stored);
    }

    /// Stores a message as another own device showed it, at its position; nothing is told of it.
    pub(crate) fn put_told(&mut self, conversation: ConversationId, mut told: Told) {
        let me = self.me().map(|me| me.account.clone());
        let Some(author) = told.from.clone().or(me).filter(|_| !told.is_queued() && told.order < QUEUED) else {
            return;
        };
        if self.is_over(told.expires, told.kept) {
            return;
        }
        let id = told.id;
        let start = self.message_prefix(conversation, id);
        let key = |kind: u8, by: &AccountRef| [&start[..], &[kind], &account_bytes(by)].concat();
        let mut rows = Vec::new();
        if told.edited {
            let note = Note::Edit { by: author.clone(), text: told.text.clone() };
            rows.push((key(b'e', &author), encode(&note)));
        }
        for (by, emoji) in std::mem::take(&mut told.reactions) {
            let key = key(b'r', &by);
            rows.push((key, encode(&Note::Reaction { by, emoji })));
        }
        let mut stored = Stored::from(told);
        self.file(conversation, &mut stored);
        rows.push((key(b'0', &author), encode(&stored)));
        for (row, plain) in rows {
            self.put_text(row, stored.key, plain);
        }
        self.place_message(conversation, id, &stored);
        let message = self.show(id, &stored);
        self.keep_newest(conversation, &message, stored.key);
    }

    /// Stores what somebody handed over of before we came. It is their word: it lies beside what the author may have said to us
    /// under the same id, and never takes its place ([`parts`]); nobody's notes come along. It is over as the conversation's
    /// expiry says, whatever they say.
    pub(crate) fn put_handed(&mut self, conversation: ConversationId, told: Told) {
        let me = self.me().map(|me| me.account.clone());
        let says_something = told.order < QUEUED && told.notice.is_none();
        let Some(author) = told.from.clone().or(me).filter(|_| says_something) else { return };
        let policy = self.expiry(conversation).and_then(|expiry| expiry.after_s);
        let policy = policy.map(|seconds| told.time.plus_ms(u64::from(seconds) * 1_000));
        let expires = [policy, told.expires].into_iter().flatten().min();
        if self.is_over(expires, false) {
            return;
        }
        let id = told.id;
        let mut key = self.message_prefix(conversation, id);
        key.push(HANDED);
        key.extend(account_bytes(&author));
        let state = if told.from.is_none() { MessageState::Sent } else { MessageState::Received };
        let mut stored = Stored { state: state_number(state), expires, kept: false, ..Stored::from(told) };
        self.file(conversation, &mut stored);
        self.put_text(key, stored.key, encode(&stored));
        self.place_message(conversation, id, &stored);
        let newest = self.s.conversations.get(&conversation).and_then(|c| c.newest.as_ref());
        if newest.is_none_or(|newest| newest.order < stored.order) {
            let message = self.show(id, &stored);
            self.keep_newest(conversation, &message, stored.key);
        }
    }

    /// Notes something on a message, and shows it anew.
    pub(crate) fn note(&mut self, conversation: ConversationId, message: MessageId, note: &Note) {
        let (kind, by) = match note {
            Note::Edit { by, .. } => (b'e', by),
            Note::Delete { by } => (b'x', by),
            Note::Reaction { by, .. } => (b'r', by),
            Note::Delivered { by } => (b'd', by),
            Note::Read { by } => (b's', by),
        };
        let start = self.message_prefix(conversation, message);
        let mut key = start.clone();
        key.push(kind);
        key.extend(account_bytes(by));
        // Which end the message has is not known here: what is said on it goes with what is said now, and is deleted with the message.
        let under =
            if matches!(note, Note::Edit { .. } | Note::Reaction { .. }) { self.key_of_now(conversation) } else { 0 };
        self.put_text(key, under, encode(note));
        if !matches!(note, Note::Delivered { .. } | Note::Read { .. }) {
            self.mark_noted(conversation, message);
        }
        // A load under way may have read before this was written; a second one is cheap and right.
        self.load_rows(start, Load::Message(conversation, message));
    }

    pub(crate) fn on_message_rows(&mut self, conversation: ConversationId, id: MessageId, rows: &[(Vec<u8>, Vec<u8>)]) {
        if !self.s.conversations.contains(&conversation) {
            return;
        }
        let Some((stored, notes, key)) = parts(rows.iter()) else {
            return self.note_without_message(conversation, id, rows);
        };
        if stored.order < QUEUED {
            self.mark_found(conversation, id, stored.order);
        }
        if self.is_over(stored.expires, stored.kept) {
            return;
        }
        let message = self.assemble(id, &stored, &notes);
        let under = stored.key;
        if message.deleted && !stored.deleted {
            let erased = Stored { text: String::new(), evidence: Bytes::new(), deleted: true, ..stored };
            self.put_text(key.clone(), under, encode(&erased));
            let goes = |other: &[u8]| other != key && matches!(other.get(NOTE_KIND), Some(&(b'e' | HANDED)));
            for (other, _) in rows.iter().filter(|(other, _)| goes(other)) {
                self.put_row(other.clone(), None);
            }
            if message.from.is_some()
                && let Some(c) = self.s.conversations.get_mut(&conversation)
                && message.order > c.read_up_to
            {
                c.unread = c.unread.saturating_sub(1);
                self.changed.insert(conversation);
            }
        }
        if self.s.conversations.get(&conversation).and_then(|c| c.newest.as_ref()).is_some_and(|n| n.message == id) {
            self.keep_newest(conversation, &message, under);
        }
        self.tell(Event::Message { conversation, message });
    }

    /// Something was noted on what is not here: it is gone, or still to come. Reports of it are worth nothing; the rest goes in
    /// time.
    fn note_without_message(&mut self, conversation: ConversationId, id: MessageId, rows: &[Pair]) {
        let is_report = |key: &[u8]| matches!(key.get(NOTE_KIND), Some(&(b'd' | b's')));
        let (reports, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(key, _)| is_report(key));
        for (key, _) in reports {
            self.put_row(key.clone(), None);
        }
        let after_s = self.expiry(conversation).and_then(|expiry| expiry.after_s).filter(|_| !others.is_empty());
        if let Some(seconds) = after_s {
            let expires = self.server_time().plus_ms(u64::from(seconds) * 1_000);
            self.index_over(conversation, id, expires, QUEUED, false);
        }
    }

    fn assemble(&self, id: MessageId, stored: &Stored, notes: &[Note]) -> api::Message {
        let mut message = self.show(id, stored);
        let me = self.me().map(|me| me.account.clone());
        let author = stored.from.clone().or(me);
        for note in notes {
            match note {
                Note::Edit { by, text } if Some(by) == author.as_ref() => {
                    (message.text, message.mentions) = mention::shown(text);
                    message.edited = true;
                }
                Note::Delete { by } if Some(by) == author.as_ref() => message.deleted = true,
                Note::Reaction { by, emoji } if !emoji.is_empty() => {
                    message.reactions.push((by.clone(), emoji.clone()))
                }
                Note::Delivered { by } if Some(by) != author.as_ref() && message.state == MessageState::Sent => {
                    message.state = MessageState::Delivered;
                }
                Note::Read { by }
                    if Some(by) != author.as_ref()
                        && matches!(message.state, MessageState::Sent | MessageState::Delivered) =>
                {
                    message.state = MessageState::Read;
                }
                _ => {}
            }
        }
        if message.deleted {
            message.text = String::new();
            message.mentions.clear();
            message.edited = false;
            message.reactions.clear();
        }
        message
    }

    pub(crate) fn readers(&mut self, intent: IntentId, conversation: ConversationId, message: MessageId) {
        let prefix = self.message_prefix(conversation, message);
        self.load_rows(prefix, Load::Readers(intent));
    }

    /// What others reported of an own message.
    pub(crate) fn on_readers_rows(&mut self, intent: IntentId, rows: &[Pair]) {
        let own = parts(rows.iter()).filter(|(stored, ..)| stored.from.is_none());
        let Some((_, notes, _)) = own else { return self.done(intent, Err(Failure::NotFound("own message"))) };
        let me = self.me().map(|me| me.account.clone());
        let said = notes.into_iter().filter_map(|note| match note {
            Note::Read { by } => Some((by, MessageState::Read)),
            Note::Delivered { by } => Some((by, MessageState::Delivered)),
            _ => None,
        });
        let mut readers: Vec<_> = said.filter(|(by, _)| Some(by) != me.as_ref()).collect();
        // Of what one said the most counts.
        readers.sort();
        readers.reverse();
        readers.dedup_by(|later, first| later.0 == first.0);
        readers.reverse();
        self.done(intent, Ok(Reply::Readers(readers)));
    }

    /// A message put together from its rows; `None` if they hold none, or it is over.
    pub(crate) fn show_rows(&self, id: MessageId, rows: &[Pair]) -> Option<api::Message> {
        let (stored, notes, _) =
            parts(rows.iter()).filter(|(stored, ..)| !self.is_over(stored.expires, stored.kept))?;
        Some(self.assemble(id, &stored, &notes))
    }

    /// The key that is a message's own.
    pub(crate) fn single_key(&self, rows: &[Pair]) -> Option<u64> {
        parts(rows.iter()).map(|(stored, ..)| stored.key).filter(|key| self.s.ring.is_single(*key))
    }

    /// A message's position, and whether it was received.
    pub(crate) fn place_in(&self, rows: &[Pair]) -> Option<(u64, bool)> {
        parts(rows.iter()).map(|(stored, ..)| (stored.order, stored.is_received()))
    }

    /// An own message that somebody could not read: it is queued once more.
    pub(crate) fn on_again_rows(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        rows: &[(Vec<u8>, Vec<u8>)],
        rng: &mut dyn rand_core::CryptoRngCore,
    ) {
        let alias = rows.iter().find(|(key, _)| key.get(NOTE_KIND) == Some(&b'a'));
        if let Some(original) = alias.and_then(|(_, value)| decode(value).ok()) {
            // What could not be read was itself something sent once more.
            let prefix = self.message_prefix(conversation, original);
            return self.load_rows(prefix, Load::Again(conversation, original));
        }
        let Some((stored, notes, _)) = parts(rows.iter()) else { return };
        if self.is_over(stored.expires, stored.kept) || stored.timer.is_some() {
            return;
        }
        let message = self.assemble(id, &stored, &notes);
        if message.from.is_none() && !message.deleted && self.s.conversations.contains(&conversation) {
            let text = mention::said(&message.text, &message.mentions);
            let expires = message.expires;
            let saying = Saying::Again { message: id, text, in_reply_to: message.in_reply_to, expires };
            let again = self.say(conversation, saying, None, 0, rng);
            let mut key = self.message_prefix(conversation, again);
            key.push(b'a');
            self.put_row(key, Some(encode(&id)));
        }
    }
}

impl From<Told> for Stored {
    /// Without evidence: that stays with who heard it.
    fn from(told: Told) -> Self {
        Stored {
            order: told.order,
            from: told.from,
            text: told.text,
            in_reply_to: told.in_reply_to,
            time: told.time,
            state: told.state,
            evidence: Bytes::new(),
            stamp: [0; 32],
            deleted: told.deleted,
            expires: told.expires,
            timer: None,
            kept: told.kept,
            notice: told.notice,
            key: 0,
        }
    }
}

/// An outgoing text as it is stored. One that can be seen once is written down without its text.
fn own(
    item: &Outgoing,
    order: u64,
    state: MessageState,
    stamp: [u8; 32],
    expires: Option<UnixMillis>,
) -> Option<Stored> {
    let Saying::Text { text, in_reply_to, timer } = &item.saying else { return None };
    let once = matches!(timer, Some(StoredTimer::Once));
    // While it waits its end is not known; the key it lies under is the outbox's.
    let key = if (timer.is_some() && !once) || order >= QUEUED { item.key } else { 0 };
    Some(Stored {
        order,
        from: None,
        text: if once { String::new() } else { text.clone() },
        in_reply_to: *in_reply_to,
        time: item.queued,
        state: state_number(state),
        evidence: item.sealed.as_ref().map(|sealed| sealed.evidence.clone()).unwrap_or_default(),
        stamp,
        deleted: false,
        expires,
        timer: timer.clone(),
        kept: false,
        notice: None,
        key,
    })
}

/// The longest beginning of a text that fits.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// A stored row.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Where the kind stands in the key of a message's row: class, kind, identity, conversation, message.
const NOTE_KIND: usize = 1 + 1 + 2 + 16 + 16;

/// The kind of a message's row that somebody handed over.
const HANDED: u8 = b'h';

/// The message that was here first, with its key, and all notes. What was handed over counts where its author said nothing.
pub(crate) fn parts<'r>(rows: impl Iterator<Item = &'r Pair>) -> Option<(Stored, Vec<Note>, Vec<u8>)> {
    let mut first: Option<(Stored, Vec<u8>)> = None;
    let (mut handed, mut notes) = (None, Vec::new());
    for (key, value) in rows {
        let kind = key.get(NOTE_KIND).copied();
        if kind == Some(HANDED) {
            handed = decode::<Stored>(value).ok().map(|stored| (stored, key.clone())).or(handed);
        } else if kind == Some(b'0') {
            if let Ok(stored) = decode::<Stored>(value)
                && first.as_ref().is_none_or(|(other, _)| stored.order < other.order)
            {
                first = Some((stored, key.clone()));
            }
        } else if let Ok(note) = decode(value) {
            notes.push(note);
        }
    }
    first.or(handed).map(|(stored, key)| (stored, notes, key))
}
