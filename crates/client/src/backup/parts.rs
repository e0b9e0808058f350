//! What is small in the backup: settings, contacts, conversations. Contacts and conversations are spread over [`PARTS`] chunks
//! by their ids, so that a change costs one chunk. A part with a change is computed when it is its turn; it is sent if its
//! digest is another one.

use super::{PAGE, Then};
use crate::api::{ConversationId, KeptHistory};
use crate::backup::buckets::BUCKET;
use crate::engine::Engine;
use crate::history::chunks;
use crate::own::{NOTE_BYTES, Note, Shared, SharedConversation};
use crate::rows::encode;
use crate::state::Backup;
use parlour_e2ee::{ValueKey, backup_name, seal_backup_chunk};
use parlour_proto::ids::{Digest, UnixMillis};
use rand_core::CryptoRngCore;

/// Contacts, and conversations, are spread over so many chunks.
const PARTS: u32 = 16;

/// A part of what is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Settings,
    Contacts(u32),
    Conversations(u32),
    /// Who is to come into groups, and where we are to come in.
    Coming,
}

/// A chunk as it should be: what is in it, and the digest of that.
struct Chunk {
    name: [u8; 16],
    digest: Digest,
    notes: Vec<Note>,
}

fn part_of(id: &[u8; 16]) -> u32 {
    u32::from(id[0]) % PARTS
}

impl Engine {
    /// Marks the parts of what changed since the last input.
    pub(super) fn mark_parts(&mut self) {
        let contacts = self.s.contacts.changed().into_iter().map(|account| Part::Contacts(part_of(&account.account.0)));
        let conversations = self.s.conversations.changed().into_iter().map(|id| Part::Conversations(part_of(&id.0)));
        let settings = self.s.identity.has_changed().then_some(Part::Settings);
        let comes = self.s.guests.has_changed() || self.s.links.has_changed() || self.s.joins.has_changed();
        let coming = comes.then_some(Part::Coming);
        let changed: Vec<Part> = contacts.chain(conversations).chain(settings).chain(coming).collect();
        if !changed.is_empty() {
            self.backup_changed();
        }
        for part in changed {
            self.backup.parts.insert(part, ());
        }
    }

    /// Computes the marked parts, and sends what is not at the server.
    pub(super) fn send_parts(&mut self, key: &ValueKey, rng: &mut dyn CryptoRngCore) {
        let all = std::mem::take(&mut self.backup.all_parts);
        let marked: Vec<Part> = self.backup.parts.take_keys().collect();
        let every =
            (0..PARTS).flat_map(|n| [Part::Contacts(n), Part::Conversations(n)]).chain([Part::Settings, Part::Coming]);
        let parts = if all { every.collect() } else { marked };
        let mut kept = Vec::new();
        for part in parts {
            let chunks = self.part_chunks(part, key);
            self.drop_longer(part, key, chunks.len() as u32);
            for chunk in chunks {
                kept.push(chunk.name);
                self.send_part(key, chunk, rng);
            }
        }
        if all {
            self.drop_parts(|name| name != PAGE && !kept.contains(&name));
        }
    }

    fn send_part(&mut self, key: &ValueKey, chunk: Chunk, rng: &mut dyn CryptoRngCore) {
        let stored = self.s.backup.get(&()).is_some_and(|backup| backup.stored.contains(&(chunk.name, chunk.digest)));
        if !stored {
            let sealed = seal_backup_chunk(key, &chunk.name, &encode(&chunk.notes), rng);
            self.put_chunk(chunk.name, sealed, Then::Stored(chunk.name, Some(chunk.digest)));
        }
    }

    /// Chunks of a part after its last one are of no use any more.
    fn drop_longer(&mut self, part: Part, key: &ValueKey, from: u32) {
        for more in from.. {
            let name = name_of(part, more, key);
            let is_there = |backup: &Backup| backup.stored.iter().any(|(stored, _)| *stored == name);
            if !self.s.backup.get(&()).is_some_and(is_there) {
                return;
            }
            self.drop_parts(|stored| stored == name);
        }
    }

    fn drop_parts(&mut self, is_stale: impl Fn([u8; 16]) -> bool) {
        let Some(backup) = self.s.backup.get_mut(&()) else { return };
        let (stale, kept) = std::mem::take(&mut backup.stored).into_iter().partition(|(name, _)| is_stale(*name));
        backup.stored = kept;
        let stale: Vec<([u8; 16], Digest)> = stale;
        for (name, _) in stale {
            self.s.litter.insert(name.to_vec(), ());
        }
    }

    fn part_chunks(&self, part: Part, key: &ValueKey) -> Vec<Chunk> {
        let chunk = |(more, notes): (usize, Vec<Note>)| {
            let digest = Digest::of(&encode(&notes));
            Chunk { name: name_of(part, more as u32, key), digest, notes }
        };
        self.part_notes(part).into_iter().enumerate().map(chunk).collect()
    }

    /// What does not fit into one chunk goes on in another one.
    fn part_notes(&self, part: Part) -> Vec<Vec<Note>> {
        match part {
            Part::Settings => {
                let keeping = Note::Keeping { history: self.kept_history(), messages: self.kept_messages() };
                vec![self.settings_note().into_iter().chain([keeping]).collect()]
            }
            Part::Coming => chunks(self.coming_notes(), NOTE_BYTES, |note| encode(note).len()),
            Part::Contacts(n) => {
                let contacts = self.s.contacts.iter().filter(|(account, _)| part_of(&account.account.0) == n);
                let contacts: Vec<Shared> = contacts.filter_map(|(account, _)| self.shared(account)).collect();
                let chunks = chunks(contacts, NOTE_BYTES, |shared| encode(shared).len());
                chunks.into_iter().map(|contacts| vec![Note::Contacts { contacts }]).collect()
            }
            Part::Conversations(n) => {
                let kept = self.s.conversations.iter().filter(|(id, _)| part_of(&id.0) == n);
                let kept: Vec<SharedConversation> = kept.filter_map(|(id, _)| self.kept_conversation(*id)).collect();
                let chunks = chunks(kept, NOTE_BYTES, |shared| encode(shared).len());
                chunks.into_iter().map(|conversations| vec![Note::Conversations { conversations }]).collect()
            }
        }
    }

    /// A conversation as it is kept: without what changes with each message. Its positions are told in steps of a bucket; what
    /// comes back counts as read.
    fn kept_conversation(&self, id: ConversationId) -> Option<SharedConversation> {
        let mut kept = self.shared_conversation(id)?;
        let keeps_messages = self.kept_history() != KeptHistory::Off;
        kept.next_order = if keeps_messages { (kept.next_order / BUCKET + 1) * BUCKET } else { 0 };
        kept.read_up_to = kept.next_order;
        kept.unread = 0;
        kept.newest = None;
        // To the day: the list comes back in about this order.
        kept.last_activity = UnixMillis(kept.last_activity.0 / 86_400_000 * 86_400_000);
        Some(kept)
    }
}

fn name_of(part: Part, more: u32, key: &ValueKey) -> [u8; 16] {
    match part {
        Part::Settings => backup_name(key, "settings", more),
        Part::Coming => backup_name(key, "coming", more),
        Part::Contacts(n) => backup_name(key, "contacts", n + PARTS * more),
        Part::Conversations(n) => backup_name(key, "conversations", n + PARTS * more),
    }
}
