//! Messages: how they are stored, what is noted on them, how they are shown.
//!
//! A message is one row (`0`, author) that nobody else can overwrite; an edit, deletion, reaction or report by somebody is
//! a row beside it (kind, account), so that nothing has to be read to store it. Who may do what is judged when they are put
//! together: an edit and a deletion count only from the author. (A deletion's text is erased as soon as the rows are read.)

use crate::api::{self, ConversationId, Event, Failure, IntentId, MessageState, Reply};
use crate::engine::{Engine, Load};
use crate::history::Told;
use crate::rows::codec::{choice, record};
use crate::rows::{decode, encode};
use crate::state::{Conversation, Newest, Outgoing, Saying, Standing};
use bytes::Bytes;
use parlour_proto::content::mention;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{MessageId, UnixMillis};

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
    fn put_message(&mut self, conversation: ConversationId, id: MessageId, stored: &Stored) {
        let author = stored.from.clone().or_else(|| self.me().map(|me| me.account.clone()));
        let mut key = self.message_prefix(conversation, id);
        key.push(b'0');
        key.extend(author.map(|author| account_bytes(&author)).unwrap_or_default());
        self.put_row(key, Some(encode(stored)));
        if stored.order < QUEUED {
            self.index_message(conversation, id, stored.order, stored.from.is_some());
            self.mark_kept(conversation, stored.order);
        }
        let message = self.show(id, stored);
        self.keep_newest(conversation, &message);
        self.tell(Event::Message { conversation, message });
    }

    /// The conversation's summary follows its newest message.
    fn keep_newest(&mut self, conversation: ConversationId, message: &api::Message) {
        let Some(c) = self.s.conversations.get(&conversation) else { return };
        if c.newest.as_ref().is_some_and(|newest| newest.message != message.id && newest.order > message.order) {
            return;
        }
        let newest = Newest {
            message: message.id,
            order: message.order,
            from: message.from.clone(),
            text: beginning(&message.text, PREVIEW_BYTES).to_owned(),
            time: message.time,
            state: state_number(message.state),
            deleted: message.deleted,
        };
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.newest = Some(newest);
        }
        self.changed.insert(conversation);
    }

    /// The newest message as a list shows it; nothing of a request's before the choice.
    pub(crate) fn show_newest(&self, c: &Conversation) -> Option<api::Preview> {
        let newest = c.newest.as_ref().filter(|_| !matches!(c.standing, Standing::Request))?;
        Some(api::Preview {
            id: newest.message,
            from: newest.from.clone(),
            from_name: newest.from.as_ref().and_then(|account| self.s.contacts.get(account)?.name.clone()),
            text: newest.text.clone(),
            deleted: newest.deleted,
            time: newest.time,
            state: state_of(newest.state),
            once: false,
            notice: None,
        })
    }

    fn show(&self, id: MessageId, stored: &Stored) -> api::Message {
        let from_name = stored.from.as_ref().and_then(|account| self.s.contacts.get(account)?.name.clone());
        let (text, mentions) = mention::shown(&stored.text);
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
            expires: None,
            timer: None,
            kept: false,
            notice: None,
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
        if let Some(stored) = own(item, QUEUED + at, state, [0; 32]) {
            self.put_message(conversation, item.message, &stored);
        }
    }

    /// An outgoing text whose echo will not come any more: it has its place.
    pub(crate) fn show_final(&mut self, conversation: ConversationId, item: &Outgoing, state: MessageState) {
        if matches!(item.saying, Saying::Text { .. })
            && let Some(stored) = own(item, self.next_order(conversation), state, [0; 32])
        {
            self.put_message(conversation, item.message, &stored);
        }
    }

    /// The echo is there: the message has its place.
    pub(crate) fn show_echoed(&mut self, conversation: ConversationId, item: &Outgoing, stamp: [u8; 32]) {
        // A rule that came before it in the room: nobody shows it.
        let refused = self.may_say(conversation, &item.saying).is_err();
        let state = if refused { MessageState::Failed } else { MessageState::Sent };
        if matches!(item.saying, Saying::Text { .. })
            && let Some(stored) = own(item, self.next_order(conversation), state, stamp)
        {
            self.put_message(conversation, item.message, &stored);
            self.touch(conversation);
        }
    }

    /// Stores a received text.
    #[allow(clippy::too_many_arguments, reason = "what is known about one message")]
    pub(crate) fn put_received(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        from: &AccountRef,
        text: String,
        in_reply_to: Option<MessageId>,
        time: UnixMillis,
        evidence: Bytes,
        stamp: [u8; 32],
    ) {
        let stored = Stored {
            order: self.next_order(conversation),
            from: Some(from.clone()),
            text,
            in_reply_to,
            time,
            state: state_number(MessageState::Received),
            evidence,
            stamp,
            deleted: false,
        };
        let me = self.me().map(|me| me.account.clone());
        let names_us = mention::shown(&stored.text).1.iter().any(|mention| Some(&mention.account) == me.as_ref());
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.unread = c.unread.saturating_add(1);
            c.mentioned |= names_us;
        }
        self.arrived(conversation);
        self.s.counters().received += 1;
        self.touch(conversation);
        self.put_message(conversation, message, &stored);
    }

    /// Stores a text that another own device wrote.
    #[allow(clippy::too_many_arguments, reason = "what is known about one message")]
    pub(crate) fn put_own(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        text: String,
        in_reply_to: Option<MessageId>,
        time: UnixMillis,
        evidence: Bytes,
        stamp: [u8; 32],
    ) {
        let order = self.next_order(conversation);
        let state = state_number(MessageState::Sent);
        let stored = Stored { order, from: None, text, in_reply_to, time, state, evidence, stamp, deleted: false };
        self.touch(conversation);
        self.put_message(conversation, message, &stored);
    }

    /// Stores a message as another own device showed it, at its position; nothing is told of it.
    pub(crate) fn put_told(&mut self, conversation: ConversationId, mut told: Told) {
        let me = self.me().map(|me| me.account.clone());
        let Some(author) = told.from.clone().or(me).filter(|_| !told.is_queued() && told.order < QUEUED) else {
            return;
        };
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
        let stored = Stored::from(told);
        rows.push((key(b'0', &author), encode(&stored)));
        for (key, row) in rows {
            self.put_row(key, Some(row));
        }
        self.index_message(conversation, id, stored.order, stored.from.is_some());
        self.mark_kept(conversation, stored.order);
        let message = self.show(id, &stored);
        self.keep_newest(conversation, &message);
    }

    /// Stores what somebody handed over of before we came. It is their word: it lies beside what the author may have said to us
    /// under the same id, and never takes its place ([`parts`]); nobody's notes come along.
    pub(crate) fn put_handed(&mut self, conversation: ConversationId, told: Told) {
        let me = self.me().map(|me| me.account.clone());
        let Some(author) = told.from.clone().or(me).filter(|_| told.order < QUEUED) else { return };
        let id = told.id;
        let mut key = self.message_prefix(conversation, id);
        key.push(HANDED);
        key.extend(account_bytes(&author));
        let state = if told.from.is_none() { MessageState::Sent } else { MessageState::Received };
        let stored = Stored { state: state_number(state), ..Stored::from(told) };
        self.put_row(key, Some(encode(&stored)));
        self.index_message(conversation, id, stored.order, stored.from.is_some());
        self.mark_kept(conversation, stored.order);
        let newest = self.s.conversations.get(&conversation).and_then(|c| c.newest.as_ref());
        if newest.is_none_or(|newest| newest.order < stored.order) {
            let message = self.show(id, &stored);
            self.keep_newest(conversation, &message);
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
        self.put_row(key, Some(encode(note)));
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
        let Some((stored, notes, key)) = parts(rows.iter()) else { return };
        if stored.order < QUEUED {
            self.mark_found(conversation, id, stored.order);
        }
        let message = self.assemble(id, &stored, &notes);
        if message.deleted && !stored.deleted {
            let erased = Stored { text: String::new(), evidence: Bytes::new(), deleted: true, ..stored };
            self.put_row(key.clone(), Some(encode(&erased)));
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
            self.keep_newest(conversation, &message);
        }
        self.tell(Event::Message { conversation, message });
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

    /// A message put together from its rows; `None` if they hold none.
    pub(crate) fn show_rows(&self, id: MessageId, rows: &[Pair]) -> Option<api::Message> {
        let (stored, notes, _) = parts(rows.iter())?;
        Some(self.assemble(id, &stored, &notes))
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
        let message = self.assemble(id, &stored, &notes);
        if message.from.is_none() && !message.deleted && self.s.conversations.contains(&conversation) {
            let text = mention::said(&message.text, &message.mentions);
            let saying = Saying::Again { message: id, text, in_reply_to: message.in_reply_to };
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
        }
    }
}

/// An outgoing text as it is stored.
fn own(item: &Outgoing, order: u64, state: MessageState, stamp: [u8; 32]) -> Option<Stored> {
    let Saying::Text { text, in_reply_to } = &item.saying else { return None };
    Some(Stored {
        order,
        from: None,
        text: text.clone(),
        in_reply_to: *in_reply_to,
        time: item.queued,
        state: state_number(state),
        evidence: item.sealed.as_ref().map(|sealed| sealed.evidence.clone()).unwrap_or_default(),
        stamp,
        deleted: false,
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
fn parts<'r>(rows: impl Iterator<Item = &'r Pair>) -> Option<(Stored, Vec<Note>, Vec<u8>)> {
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
