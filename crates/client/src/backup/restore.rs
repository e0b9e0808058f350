//! Bringing the backup back: page by page, in the order of the names. First what is small, then messages, the newest first.
//! What was heard is stored with how far it is, so that a crash costs a page.

use super::PAGE;
use super::buckets::KeptPage;
use crate::api::{Event, Interference, Role};
use crate::engine::{Engine, Purpose};
use crate::own::Note;
use crate::rows::decode;
use bytes::Bytes;
use parlour_e2ee::{BackupSecret, SealError, ValueKey, open_backup_chunk};
use parlour_proto::frames::{MAX_BACKUP_NAMES, Request};
use parlour_proto::ids::Digest;
use rand_core::CryptoRngCore;

/// The first names under which messages lie.
const HISTORY: [u8; 16] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Most chunks that are fetched.
pub(super) const MOST_FETCHED: usize = 2 * MAX_BACKUP_NAMES as usize;
/// Most chunks that are fetched before messages begin.
const MOST_NOTES: usize = 1024;

/// What a chunk holds.
enum Content {
    Notes(Vec<Note>),
    Messages(KeptPage),
}

impl Engine {
    pub(super) fn is_restoring(&self) -> bool {
        self.s.backup.get(&()).is_some_and(|backup| backup.restore.is_some())
    }

    pub(super) fn fetch_backup(&mut self) {
        let fetched = self.s.keeping.get(&()).and_then(|keeping| keeping.fetched);
        let after = self.backup.cursor.or(fetched);
        self.ask(Role::Inbox, Purpose::Backup, || Request::Backup { after });
    }

    pub(super) fn restore(&mut self, chunks: Vec<([u8; 16], Bytes)>, more: bool, rng: &mut dyn CryptoRngCore) {
        let before = self.backup.cursor.or(self.s.keeping.get(&()).and_then(|keeping| keeping.fetched));
        if before.is_none() && !self.open_page(&chunks) {
            return self.restored();
        }
        let Some(key) = self.s.backup.get(&()).and_then(|backup| backup.key()) else { return self.restored() };
        let last = chunks.last().map(|(name, _)| *name);
        // A server that says that there is always more is believed as long as it goes on, and not for ever.
        let fetched = self.s.litter.len() + self.s.backup.get(&()).map_or(0, |backup| backup.stored.len());
        let more = last.filter(|last| more && fetched < MOST_FETCHED && before.is_none_or(|before| *last > before));
        let mut messages = Vec::new();
        for (name, chunk) in chunks.iter().filter(|(name, _)| *name != PAGE) {
            self.note_fetched(*name);
            match open_chunk(&key, name, chunk) {
                Ok(Content::Notes(notes)) if self.backup.notes.len() < MOST_NOTES => self.backup.notes.extend(notes),
                Ok(Content::Notes(_)) => {}
                Ok(Content::Messages(page)) => messages.push(page),
                // The key was being changed: everything lies under the page's, too.
                Err(SealError::OtherKey) => tracing::debug!("a chunk of the backup lies under another key"),
                Err(error) => {
                    tracing::warn!(%error, "a chunk of the backup does not open");
                    self.interfered(Interference::Backup, None);
                }
            }
        }
        let has_begun = last.is_some_and(|last| last >= HISTORY);
        if more.is_none() || has_begun {
            self.hear_notes(rng);
            messages.into_iter().for_each(|page| self.hear_page(page));
            self.tell_restored(more.is_none());
        }
        match more {
            Some(last) if has_begun => {
                self.backup.cursor = None;
                self.keeping().fetched = Some(last);
            }
            Some(last) => self.backup.cursor = Some(last),
            None => self.restored(),
        }
    }

    /// The key page is the first chunk.
    fn open_page(&mut self, chunks: &[([u8; 16], Bytes)]) -> bool {
        let Some(secret) = self.s.backup.get(&()).and_then(|backup| backup.restore.clone()) else { return false };
        let page = chunks.iter().find(|(name, _)| *name == PAGE);
        let key = page.and_then(|(_, page)| BackupSecret::from_bytes(secret).open_page(page).ok());
        let Some(key) = key else {
            if page.is_some() {
                self.interfered(Interference::Backup, None);
            }
            return false;
        };
        if let Some(backup) = self.s.backup.get_mut(&()) {
            backup.key = Some(key.as_bytes().to_vec().into());
            backup.stored.push((PAGE, Digest::of(key.as_bytes())));
        }
        self.backup_under_another_key();
        true
    }

    /// What lies there may be older than what is known by now: it is written anew, and messages get other names.
    fn note_fetched(&mut self, name: [u8; 16]) {
        let Some(backup) = self.s.backup.get_mut(&()) else { return };
        if name >= HISTORY {
            self.s.litter.insert(name.to_vec(), ());
        } else if !backup.stored.iter().any(|(stored, _)| *stored == name) {
            backup.stored.push((name, Digest([0; 32])));
        }
    }

    fn hear_notes(&mut self, rng: &mut dyn CryptoRngCore) {
        let mut notes = std::mem::take(&mut self.backup.notes);
        // Who people are comes before what one has with them.
        notes.sort_by_key(|note| match note {
            Note::Conversations { .. } => 1,
            Note::Guest { .. } | Note::Joining { .. } | Note::Link { .. } => 2,
            _ => 0,
        });
        let Some(this) = self.me().map(|me| me.device) else { return };
        for note in notes {
            if let Note::Keeping { messages, .. } = note {
                self.keeping().of = messages;
            }
            self.hear_read_note(this, note, rng);
        }
        self.look_at_rooms();
    }

    fn hear_page(&mut self, page: KeptPage) {
        let keeping = self.keeping();
        keeping.done += page.messages.len() as u64;
        let Some(conversation) = self.find_place(&page.place) else {
            return tracing::warn!("messages of a conversation that is not in the backup");
        };
        let newest = page.messages.iter().map(|told| told.time).max();
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.last_activity = c.last_activity.max(newest.unwrap_or(c.last_activity)).min(self.now);
        }
        page.messages.into_iter().for_each(|told| self.hear_told(conversation, told));
        self.changed.insert(conversation);
    }

    fn tell_restored(&mut self, is_all: bool) {
        let Some(keeping) = self.s.keeping.get_mut(&()) else { return };
        keeping.of = keeping.of.max(keeping.done);
        let (done, of) = (keeping.done, keeping.of);
        match (is_all, of) {
            (_, 0) => {}
            (true, _) => self.tell(Event::History { to: None, done: of, of }),
            (false, _) => self.tell(Event::History { to: None, done: done.min(of - 1), of }),
        }
    }

    /// All that there is was heard, or there is nothing that can be read.
    fn restored(&mut self) {
        let Some(backup) = self.s.backup.get_mut(&()) else { return };
        backup.restore = None;
        let opened = backup.key.is_some();
        self.backup.cursor = None;
        let keeping = self.keeping();
        (keeping.fetched, keeping.done, keeping.of) = (None, 0, 0);
        keeping.looked = opened;
        self.backup_changed();
    }
}

fn open_chunk(key: &ValueKey, name: &[u8; 16], chunk: &[u8]) -> Result<Content, SealError> {
    let opened = open_backup_chunk(key, name, chunk)?;
    let messages = || decode::<KeptPage>(&opened).map(Content::Messages);
    decode::<Vec<Note>>(&opened).map(Content::Notes).or_else(|_| messages()).map_err(|_| SealError::Malformed)
}
