//! How messages get into the store: said here, heard, told by an own device, handed over; each under its key, with its place and its
//! end.

use super::{HANDED, NOTE_KIND, Note, Pair, QUEUED, Said, Stored, account_bytes, parts, state_number};
use crate::api::{ConversationId, Event, MessageState};
use crate::engine::{Engine, Load};
use crate::expiry::timers::Unread;
use crate::expiry::{StoredNotice, StoredTimer, key_end};
use crate::history::Told;
use crate::keyring::NEVER;
use crate::rows::encode;
use crate::state::{Outgoing, Saying};
use bytes::Bytes;
use parlour_proto::content::mention;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{MessageId, RoomId, UnixMillis};

/// What is on its way to somebody new lies under a key that lasts about as long.
const TRANSIT_MS: u64 = 24 * 3_600_000;

impl Engine {
    /// Writes a message and tells about it.
    pub(super) fn put_message(&mut self, conversation: ConversationId, id: MessageId, mut stored: Stored) {
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
    pub(super) fn put_text(&mut self, row: Vec<u8>, key: u64, plain: Vec<u8>) {
        let value = self.s.ring.shroud(key, &row, plain);
        self.put_row(row, Some(value));
    }

    /// Finds the key that a message is to lie under, if it has none.
    pub(super) fn file(&mut self, conversation: ConversationId, stored: &mut Stored) {
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
    pub(super) fn place_message(&mut self, conversation: ConversationId, id: MessageId, stored: &Stored) {
        if stored.order >= QUEUED {
            return;
        }
        let received = stored.is_received();
        self.index_message(conversation, id, stored.order, received);
        self.mark_kept(conversation, stored.order);
        if stored.kept {
            self.index_kept(conversation, id, stored.time);
        }
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
        if before.kept && !stored.kept {
            self.unindex_kept(conversation, id);
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
        let order = self.kept_place(conversation, &message).unwrap_or_else(|| self.next_order(conversation));
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

    pub(super) fn count_received(&mut self, conversation: ConversationId, id: MessageId, stored: &Stored) {
        let me = self.me().map(|me| me.account.clone());
        let names_us = mention::shown(&stored.text).1.iter().any(|mention| Some(&mention.account) == me.as_ref());
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.unread = c.unread.saturating_add(1);
            c.mentioned |= names_us;
            // One that comes late is unread among others that are read.
            c.read_up_to = c.read_up_to.min(stored.order.saturating_sub(1));
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
        let after_s = match &notice {
            StoredNotice::Expiry { after_s, .. } => *after_s,
            StoredNotice::Attributed { .. } => self.expiry(conversation).and_then(|expiry| expiry.after_s),
        };
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

    /// Another own device brings a message: it is stored if it is not here. What was noted on it may have come before it, and holds.
    pub(crate) fn on_told_rows(&mut self, conversation: ConversationId, mut told: Told, rows: &[Pair]) {
        let is_here = rows.iter().any(|(key, _)| matches!(key.get(NOTE_KIND), Some(&(b'0' | HANDED | b'x'))));
        if is_here {
            return;
        }
        let id = told.id;
        let is_noted = |kind: u8, by: Option<&AccountRef>| {
            let by = by.map(account_bytes).unwrap_or_default();
            rows.iter().any(|(key, _)| key.get(NOTE_KIND) == Some(&kind) && key.ends_with(&by))
        };
        told.edited &= !is_noted(b'e', told.from.as_ref());
        told.reactions.retain(|(by, _)| !is_noted(b'r', Some(by)));
        self.put_new(conversation, told);
        if !rows.is_empty() {
            self.load_rows(self.message_prefix(conversation, id), Load::Message(conversation, id));
        }
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
