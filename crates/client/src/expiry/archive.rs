//! The archive: what is kept beyond its time, on own devices and in the backup; nobody else knows.
//!
//! A message that is kept says so itself. An index names those that are kept one by one, so that they can be listed; of a
//! conversation that is kept as a whole ([`Conversation::kept`](crate::state::Conversation::kept)) only what was kept before that.

use crate::api::{self, ConversationId, Event, Failure, IntentId, Reply};
use crate::engine::{Engine, Load};
use crate::expiry::StoredTimer;
use crate::expiry::refile::Refiling;
use crate::messages::Pair;
use crate::own::{Note, Place};
use crate::rows::{LAZY, decode, encode, prefix};
use parlour_proto::ids::{MessageId, UnixMillis};
use rand_core::CryptoRngCore;

/// Most messages of one answer, but for those of one instant.
const MOST: usize = 200;

/// A query under way.
pub(crate) struct Archive {
    waiting: usize,
    /// The time of the oldest that is looked for.
    oldest: UnixMillis,
    limit: usize,
    found: Vec<(ConversationId, api::Message)>,
}

/// Key prefix of the index, or of a conversation's part of it.
pub(crate) fn archive_prefix(identity: u16, conversation: Option<&ConversationId>) -> Vec<u8> {
    let mut key = prefix(LAZY, b'K', identity);
    key.extend(conversation.iter().flat_map(|conversation| conversation.0));
    key
}

/// What an index row is for, and when that was said.
fn entry((key, value): &Pair) -> Option<(UnixMillis, ConversationId, MessageId)> {
    let (conversation, message) = key.get(4..)?.split_first_chunk()?;
    Some((decode(value).ok()?, ConversationId(*conversation), MessageId(message.try_into().ok()?)))
}

impl Engine {
    // ---- the list

    fn archive_row(&self, conversation: ConversationId, message: MessageId) -> Vec<u8> {
        [&archive_prefix(self.s.number, Some(&conversation))[..], &message.0].concat()
    }

    /// A message is kept. Where all is kept it does not have to be found among others.
    pub(crate) fn index_kept(&mut self, conversation: ConversationId, message: MessageId, time: UnixMillis) {
        if self.s.conversations.get(&conversation).is_some_and(|c| !c.kept) {
            let row = self.archive_row(conversation, message);
            self.put_row(row, Some(encode(&time)));
        }
    }

    /// It is not, any longer.
    pub(crate) fn unindex_kept(&mut self, conversation: ConversationId, message: MessageId) {
        let row = self.archive_row(conversation, message);
        self.put_row(row, None);
    }

    /// `Archive`.
    pub(crate) fn read_archive(&mut self, intent: IntentId, before: Option<UnixMillis>, limit: u32) {
        let limit = usize::try_from(limit).map_or(MOST, |limit| limit.min(MOST));
        self.load_rows(archive_prefix(self.s.number, None), Load::Archive(intent, before, limit));
    }

    pub(crate) fn on_archive_rows(
        &mut self,
        intent: IntentId,
        before: Option<UnixMillis>,
        limit: usize,
        rows: &[Pair],
    ) {
        let mut kept: Vec<_> = rows.iter().filter_map(entry).collect();
        kept.retain(|(time, ..)| before.is_none_or(|before| *time < before));
        kept.sort_unstable_by(|one, other| other.cmp(one));
        let oldest = limit.checked_sub(1).and_then(|last| Some(kept.get(last)?.0));
        kept.retain(|(time, ..)| limit > 0 && oldest.is_none_or(|oldest| *time >= oldest));
        let Some((oldest, ..)) = kept.last().copied() else {
            return self.done(intent, Ok(Reply::Archive(Vec::new())));
        };
        self.archives.insert(intent, Archive { waiting: kept.len(), oldest, limit, found: Vec::new() });
        for (_, conversation, message) in kept {
            let prefix = self.message_prefix(conversation, message);
            self.load_rows(prefix, Load::Archived(intent, conversation, message));
        }
    }

    pub(crate) fn on_archived_rows(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        message: MessageId,
        rows: &[Pair],
    ) {
        let shown = self.show_rows(message, rows).filter(|message| message.kept && !message.deleted);
        if shown.is_none() {
            // Its author took it back.
            self.unindex_kept(conversation, message);
        }
        let Some(archive) = self.archives.get_mut(&intent) else { return };
        archive.waiting -= 1;
        archive.found.extend(shown.map(|message| (conversation, message)));
        if archive.waiting > 0 {
            return;
        }
        let Some(Archive { oldest, limit, mut found, .. }) = self.archives.remove(&intent) else { return };
        if found.is_empty() {
            // An empty answer says that there are no older ones.
            let prefix = archive_prefix(self.s.number, None);
            return self.load_rows(prefix, Load::Archive(intent, Some(oldest), limit));
        }
        found.sort_by_key(|(_, message)| std::cmp::Reverse((message.time, message.id)));
        self.done(intent, Ok(Reply::Archive(found)));
    }

    // ---- what is kept

    /// Whether something may be kept in a conversation.
    fn may_keep(&self, conversation: ConversationId, keep: bool) -> Result<(), Failure> {
        match self.expiry(conversation) {
            _ if !self.s.conversations.contains(&conversation) => Err(Failure::NotFound("conversation")),
            Some(expiry) if keep && !expiry.archive => {
                Err(Failure::BadInput("keeping messages is not allowed in this conversation".into()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn keep(&mut self, intent: IntentId, conversation: ConversationId, message: MessageId, keep: bool) {
        if let Err(failure) = self.may_keep(conversation, keep) {
            return self.done(intent, Err(failure));
        }
        let prefix = self.message_prefix(conversation, message);
        self.load_rows(prefix, Load::Keep(Some(intent), conversation, message, keep));
    }

    pub(crate) fn hear_kept(&mut self, place: &Place, message: MessageId, keep: bool) {
        if let Some(conversation) = self.find_place(place) {
            let prefix = self.message_prefix(conversation, message);
            self.load_rows(prefix, Load::Keep(None, conversation, message, keep));
        }
    }

    pub(crate) fn on_keep_rows(
        &mut self,
        intent: Option<IntentId>,
        (conversation, id): (ConversationId, MessageId),
        keep: bool,
        rows: &[Pair],
        rng: &mut dyn CryptoRngCore,
    ) {
        let shown = self.show_rows(id, rows);
        let stored = crate::messages::parts(rows.iter()).map(|(stored, ..)| stored).filter(|_| shown.is_some());
        let result = match stored {
            None => Err(Failure::NotFound("message")),
            Some(stored) if stored.timer.is_some() => {
                Err(Failure::BadInput("a message with a timer cannot be kept".into()))
            }
            Some(mut stored) => {
                stored.kept = keep;
                self.put_again(conversation, id, stored, rows);
                if intent.is_some()
                    && let Some(place) = self.place_of(conversation)
                {
                    self.say_own(&Note::Kept { place, message: id, keep }, rng);
                }
                Ok(Reply::Ok)
            }
        };
        if let Some(intent) = intent {
            self.done(intent, result);
        }
    }

    pub(crate) fn keep_all(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        keep: bool,
        rng: &mut dyn CryptoRngCore,
    ) {
        if let Err(failure) = self.may_keep(conversation, keep) {
            return self.done(intent, Err(failure));
        }
        self.set_kept(conversation, keep);
        if let Some(place) = self.place_of(conversation) {
            self.say_own(&Note::KeptAll { place, keep }, rng);
        }
        let shown = self.show_conversation(conversation).ok_or(Failure::NotFound("conversation"));
        self.done(intent, shown.map(Reply::Conversation));
    }

    pub(crate) fn set_kept(&mut self, conversation: ConversationId, keep: bool) {
        let Some(c) = self.s.conversations.get_mut(&conversation).filter(|c| c.kept != keep) else { return };
        c.kept = keep;
        self.refile(conversation, Refiling::Keep { keep });
        if let Some(shown) = self.show_conversation(conversation) {
            self.tell(Event::Conversation(shown));
        }
    }

    /// Whether something that is said now is kept.
    pub(crate) fn keeps(&self, conversation: ConversationId, timer: Option<&StoredTimer>) -> bool {
        timer.is_none()
            && self.s.conversations.get(&conversation).is_some_and(|c| c.kept)
            && self.expiry(conversation).is_some_and(|expiry| expiry.archive)
    }
}
