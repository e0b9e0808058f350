//! What lists show of a conversation: its newest message, of which the text lies under that message's key.

use super::{Pair, parts, state_number, state_of};
use crate::api::{self, ConversationId};
use crate::engine::Engine;
use crate::expiry::{StoredNotice, key_end};
use crate::state::{Newest, Standing};
use bytes::Bytes;

/// So much of a message is kept for lists, bytes.
const PREVIEW_BYTES: usize = 256;

impl Engine {
    /// The conversation's summary follows its newest message, which lies under this key.
    pub(super) fn keep_newest(&mut self, conversation: ConversationId, message: &api::Message, key: u64) {
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
        let preview = self.s.ring.preview(key, &conversation, beginning(&message.text, PREVIEW_BYTES));
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            (c.newest, c.preview) = (Some(newest), preview);
        }
        self.changed.insert(conversation);
    }

    /// Lists show nothing of a conversation's messages.
    pub(crate) fn forget_newest(&mut self, conversation: ConversationId) {
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            (c.newest, c.preview) = (None, Bytes::new());
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
        let c = self.s.conversations.get(&conversation)?;
        let newest = c.newest.clone().filter(|newest| !self.is_over(newest.expires, false))?;
        Some(Newest { text: self.s.ring.previewed(&conversation, &c.preview), ..newest })
    }

    /// The newest message, as another own device told of it.
    pub(crate) fn take_newest(&mut self, conversation: ConversationId, told: Option<&Newest>) {
        let Some(newest) = told.filter(|newest| !self.is_over(newest.expires, false)) else { return };
        let key = self.s.ring.key_for(conversation, key_end(newest.time, newest.expires));
        let preview = self.s.ring.preview(key, &conversation, &newest.text);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            (c.newest, c.preview) = (Some(Newest { text: String::new(), ..newest.clone() }), preview);
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
            text: self.s.ring.previewed(&id, &c.preview),
            deleted: newest.deleted,
            time: newest.time,
            state: state_of(newest.state),
            once: newest.once,
            notice: newest.notice.as_ref().map(StoredNotice::shown),
        })
    }
}

/// The longest beginning of a text that fits.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
