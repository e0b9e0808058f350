//! Messages: how they are stored, what is noted on them, how they are shown.
//!
//! A message is one row (`0`, author) that nobody else can overwrite; an edit, deletion, reaction or report by somebody is
//! a row beside it (kind, account), so that nothing has to be read to store it. Who may do what is judged when they are put
//! together: an edit and a deletion count only from the author. (A deletion's text is erased as soon as the rows are read.)
//! Rows that hold what somebody said are sealed under the message's key ([`crate::keyring`]).

mod filing;
mod newest;

use crate::api::{self, ConversationId, Event, Failure, IntentId, MessageState, Reply};
use crate::engine::{Engine, Load};
use crate::expiry::{StoredNotice, StoredTimer};
use crate::history::Told;
use crate::rows::codec::{choice, record};
use crate::rows::{decode, encode};
use crate::state::Saying;
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

/// A message that its author says again unasked: the server may have lost it before it was here.
pub(crate) struct Lost {
    pub(crate) message: MessageId,
    pub(crate) room: RoomId,
    /// `None`: another own device.
    pub(crate) from: Option<AccountRef>,
    pub(crate) said: Said,
}

impl std::fmt::Debug for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lost(..)")
    }
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

    pub(crate) fn assemble(&self, id: MessageId, stored: &Stored, notes: &[Note]) -> api::Message {
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

    /// A message is said again that nobody here asked for: it is taken if nothing is stored under its id.
    pub(crate) fn said_unasked(
        &mut self,
        conversation: ConversationId,
        room: RoomId,
        message: MessageId,
        from: Option<AccountRef>,
        said: Said,
    ) {
        let prefix = self.message_prefix(conversation, message);
        self.load_rows(prefix, Load::Lost(conversation, Box::new(Lost { message, room, from, said })));
    }

    pub(crate) fn on_lost_rows(&mut self, conversation: ConversationId, lost: Lost, rows: &[Pair]) {
        if is_stored(rows) || !self.s.conversations.contains(&conversation) {
            return;
        }
        let Lost { message, room, from, said } = lost;
        self.put_said(conversation, message, from.as_ref(), said);
        if from.is_some() {
            self.delivered.entry((conversation, room)).or_default().push(message);
        }
        self.again = true;
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
            self.say_nothing_anew(conversation, id, rng);
            let prefix = self.message_prefix(conversation, original);
            return self.load_rows(prefix, Load::Again(conversation, original));
        }
        let Some((stored, notes, _)) = parts(rows.iter()) else { return self.say_aside(conversation, id, rng) };
        // What is seen once may have been, on another device: nothing of that would be left.
        if self.is_over(stored.expires, stored.kept) || matches!(stored.timer, Some(StoredTimer::Once)) {
            return;
        }
        let timer = stored.timer.as_ref().filter(|timer| timer.counts_from_reading()).cloned();
        let message = self.assemble(id, &stored, &notes);
        if message.from.is_none() {
            self.renew_early(conversation);
        }
        if message.from.is_none() && message.deleted {
            return self.say_nothing_anew(conversation, id, rng);
        }
        if message.from.is_none() && self.s.conversations.contains(&conversation) {
            let text = mention::said(&message.text, &message.mentions);
            // One's own end of what counts from reading is not the readers'.
            let expires = match (&timer, self.best_room(conversation)) {
                (Some(_), Some(room)) => self.over_at(&room, stored.time),
                _ => message.expires,
            };
            let saying = Saying::Again { message: id, text, in_reply_to: message.in_reply_to, expires, timer };
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

/// A stored row.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Where the kind stands in the key of a message's row: class, kind, identity, conversation, message.
const NOTE_KIND: usize = 1 + 1 + 2 + 16 + 16;

/// Whether a message is among what is stored under its id, or was; what others noted on it may be there before.
pub(crate) fn is_stored(rows: &[Pair]) -> bool {
    rows.iter().any(|(key, _)| matches!(key.get(NOTE_KIND), Some(&(b'0' | HANDED | b'x'))))
}

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
