//! The backup: what a lost device would take along is kept at the server, sealed, and the recovery key brings it back.
//!
//! In it are the same notes that own devices tell each other ([`crate::own`]): settings, contacts with their door tokens,
//! conversations, and who is to come into groups; no messages, no MLS state. Contacts and conversations are spread over [`PARTS`] chunks by their ids, so that a
//! change costs one chunk. The oldest device that is there keeps the backup; chunks lie under a key that it draws and seals to a
//! key that only the recovery key has (the key page). When a device is revoked the key changes, and all chunks with it.
//!
//! | | |
//! |---|---|
//! | at sign-up, or signing in with the recovery key | the public key follows from the root key; devices linked later are told |
//! | something changed, and [`SETTLE_MS`] passed | chunks whose digest changed are sent, one after the other |
//! | signing in with the recovery key | all chunks are fetched and heard like notes of an own device |
//! | no other device is left, and a conversation has no room | it gets a new one, by the contact's door token ([`crate::claims`]); in groups friends bring the new device in ([`Engine::settle_returns`]) |

use crate::api::{ConversationId, Role};
use crate::engine::{Engine, Purpose, is_temporary};
use crate::history::chunks;
use crate::own::{NOTE_BYTES, Note, Shared, SharedConversation};
use crate::rows::{decode, encode};
use crate::state::{Backup, Standing, Want, Whom};
use bytes::Bytes;
use parlour_e2ee::{BackupSecret, RootKey, ValueKey, backup_name, open, seal, seal_backup_page};
use parlour_proto::frames::{AccountRef, Answer, Request};
use parlour_proto::ids::{DeviceId, Digest, RoomId, UnixMillis};
use parlour_proto::problem::Problem;
use rand_core::CryptoRngCore;

/// Contacts, and conversations, are spread over so many chunks.
const PARTS: u32 = 16;
/// Changes are collected for so long.
const SETTLE_MS: u64 = 10_000;
/// A device that was not seen for so long does not keep the backup; the next one does.
const AWAY_MS: u64 = 3 * 24 * 3_600_000;
/// Where the key page lies.
const PAGE: [u8; 16] = [0; 16];
/// Conversations that get a new room at one time.
const MOST_AT_ONCE: usize = 8;
const CHUNK: &[u8] = b"parlour-backup-chunk-1";

/// A chunk as it should be: what is in it, and the digest of that.
struct Chunk {
    name: [u8; 16],
    digest: Digest,
    notes: Vec<Note>,
}

impl Backup {
    /// Of a new account, or one that comes back.
    pub(crate) fn of(root: &RootKey) -> Self {
        let public = BackupSecret::of(root).public().into();
        Backup { public, key: None, stored: Vec::new(), restore: None }
    }

    fn key(&self) -> Option<ValueKey> {
        Some(ValueKey::from_bytes(self.key.as_ref()?[..].try_into().ok()?))
    }
}

impl Engine {
    // ---- keeping it

    /// Something changed that is in the backup.
    pub(crate) fn backup_changed(&mut self) {
        if self.backup_due.is_none() {
            self.backup_due = Some(self.now.plus_ms(SETTLE_MS));
        }
    }

    pub(crate) fn settle_backup(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.s.backup.get(&()).is_some_and(|backup| backup.restore.is_some()) {
            return self.fetch_backup();
        }
        let comes = self.s.guests.has_changed() || self.s.links.has_changed() || self.s.joins.has_changed();
        if comes || self.s.contacts.has_changed() || self.s.conversations.has_changed() || self.s.identity.has_changed()
        {
            self.backup_changed();
        }
        let Some(due) = self.backup_due else { return };
        if self.now < due {
            return self.wake_at(due);
        }
        if !self.keeps_backup() || !self.may(&Purpose::Backup) {
            return;
        }
        match self.next_chunk(rng) {
            Some(request) => drop(self.ask(Role::Inbox, Purpose::Backup, || request)),
            None => self.backup_due = None,
        }
    }

    /// The oldest device that is there.
    fn keeps_backup(&mut self) -> bool {
        let Some(this) = self.me().map(|me| me.device) else { return false };
        let now = self.now;
        let older: Vec<DeviceId> = self.listed().iter().map(|device| device.id).take_while(|id| *id != this).collect();
        let is_here = |id: &DeviceId| {
            let seen = self.s.devices.get(id).and_then(|device| device.seen);
            seen.is_some_and(|seen| now.since(seen) < AWAY_MS)
        };
        self.s.backup.contains(&()) && !older.iter().any(is_here)
    }

    /// What is to be sent or deleted next, noted as done; `None` when the server has all.
    fn next_chunk(&mut self, rng: &mut dyn CryptoRngCore) -> Option<Request> {
        let backup = self.s.backup.get(&())?.clone();
        let key = match backup.key() {
            Some(key) => key,
            None => {
                let key = ValueKey::generate(rng);
                let page = seal_backup_page(&backup.public, &key, rng).ok()?;
                let kept = self.s.backup.get_mut(&())?;
                kept.key = Some(key.as_bytes().to_vec().into());
                let note = Note::Backup { public: backup.public.clone(), key: kept.key.clone() };
                self.say_own(&note, rng);
                self.backup_under_way = None;
                return Some(Request::PutBackup { name: PAGE, chunk: page.into() });
            }
        };
        let wanted = self.wanted_chunks(&key);
        let is_wanted = |name: &[u8; 16]| wanted.iter().any(|chunk| chunk.name == *name);
        let stale = backup.stored.iter().find(|(name, _)| !is_wanted(name)).map(|(name, _)| *name);
        if let Some(name) = stale {
            self.backup_under_way = Some((name, None));
            return Some(Request::DropBackup { name });
        }
        let differs = |name: &[u8; 16], digest: Digest| !backup.stored.iter().any(|(n, d)| n == name && *d == digest);
        let chunk = wanted.into_iter().find(|chunk| differs(&chunk.name, chunk.digest))?;
        let name = chunk.name;
        let sealed = seal(&key, &[CHUNK, &name[..]].concat(), &encode(&chunk.notes), rng);
        self.backup_under_way = Some((name, Some(chunk.digest)));
        Some(Request::PutBackup { name, chunk: sealed.into() })
    }

    fn wanted_chunks(&self, key: &ValueKey) -> Vec<Chunk> {
        let mut all = Vec::new();
        let mut put = |what: &str, part: u32, notes: Vec<Note>| {
            all.push(Chunk { name: backup_name(key, what, part), digest: Digest::of(&encode(&notes)), notes });
        };
        if let Some(settings) = self.settings_note() {
            put("settings", 0, vec![settings]);
        }
        for (more, notes) in chunks(self.coming_notes(), NOTE_BYTES, |note| encode(note).len()).into_iter().enumerate()
        {
            put("coming", more as u32, notes);
        }
        for part in 0..PARTS {
            let in_part = |id: &[u8; 16]| u32::from(id[0]) % PARTS == part;
            let contacts = self.s.contacts.iter().filter(|(account, _)| in_part(&account.account.0));
            let contacts: Vec<Shared> = contacts.filter_map(|(account, _)| self.shared(account)).collect();
            // What does not fit into one chunk goes on in another one.
            for (more, contacts) in chunks(contacts, NOTE_BYTES, |shared| encode(shared).len()).into_iter().enumerate()
            {
                put("contacts", part + PARTS * more as u32, vec![Note::Contacts { contacts }]);
            }
            let kept = self.s.conversations.iter().filter(|(id, _)| in_part(&id.0));
            let kept: Vec<SharedConversation> = kept.filter_map(|(id, _)| self.kept_conversation(*id)).collect();
            for (more, conversations) in chunks(kept, NOTE_BYTES, |shared| encode(shared).len()).into_iter().enumerate()
            {
                put("conversations", part + PARTS * more as u32, vec![Note::Conversations { conversations }]);
            }
        }
        all
    }

    /// A conversation as it is kept: without what changes with each message.
    fn kept_conversation(&self, id: ConversationId) -> Option<SharedConversation> {
        let mut kept = self.shared_conversation(id)?;
        kept.next_order = 0;
        kept.unread = 0;
        kept.read_up_to = 0;
        kept.newest = None;
        // To the day: the list comes back in about this order.
        kept.last_activity = UnixMillis(kept.last_activity.0 / 86_400_000 * 86_400_000);
        Some(kept)
    }

    pub(crate) fn on_backup_answer(&mut self, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        self.again = true;
        match result {
            Ok(Answer::Backup { chunks, more }) => self.restore(chunks, more, rng),
            Ok(_) => {
                let Some((name, digest)) = self.backup_under_way.take() else { return };
                let Some(backup) = self.s.backup.get_mut(&()) else { return };
                backup.stored.retain(|(stored, _)| *stored != name);
                backup.stored.extend(digest.map(|digest| (name, digest)));
            }
            Err(problem) if is_temporary(&problem) => self.later(Purpose::Backup, 60_000),
            Err(problem) => {
                tracing::warn!(code = ?problem.code, "the backup was refused");
                self.backup_due = None;
            }
        }
    }

    /// A device that knew the key is gone: another key, and everything anew under it.
    pub(crate) fn renew_backup(&mut self) {
        if let Some(backup) = self.s.backup.get_mut(&()) {
            backup.key = None;
        }
        self.backup_due = Some(self.now);
    }

    pub(crate) fn backup_note(&self) -> Option<Note> {
        let backup = self.s.backup.get(&())?;
        Some(Note::Backup { public: backup.public.clone(), key: backup.key.clone() })
    }

    pub(crate) fn hear_backup(&mut self, public: Bytes, key: Option<zeroize::Zeroizing<Vec<u8>>>) {
        let known = self.s.backup.get(&()).cloned();
        let mut backup = known.unwrap_or(Backup { public, key: None, stored: Vec::new(), restore: None });
        if backup.key != key {
            // What lies there is under the other key: this device finds out when it is the one that keeps it.
            backup.stored.clear();
        }
        backup.key = key;
        self.s.backup.insert((), backup);
    }

    /// Nothing is waiting to go into the backup, as far as this device knows.
    pub(crate) fn is_backed_up(&self) -> bool {
        let kept = self.s.backup.get(&()).is_some_and(|backup| backup.key.is_some() && backup.restore.is_none());
        kept && self.backup_due.is_none()
    }

    // ---- bringing it back

    fn fetch_backup(&mut self) {
        let after = self.restored.last().map(|(name, _)| *name);
        self.ask(Role::Inbox, Purpose::Backup, || Request::Backup { after });
    }

    fn restore(&mut self, chunks: Vec<([u8; 16], Bytes)>, more: bool, rng: &mut dyn CryptoRngCore) {
        let Some(secret) = self.s.backup.get(&()).and_then(|backup| backup.restore.clone()) else { return };
        // A server that says that there is always more, is not believed for ever.
        let more = more && !chunks.is_empty() && self.restored.len() < 2048;
        self.restored.extend(chunks);
        if more {
            return;
        }
        let chunks = std::mem::take(&mut self.restored);
        let page = chunks.iter().find(|(name, _)| *name == PAGE);
        let key = page.and_then(|(_, page)| BackupSecret::from_bytes(secret).open_page(page).ok());
        if let Some(backup) = self.s.backup.get_mut(&()) {
            backup.restore = None;
            backup.key = key.as_ref().map(|key| key.as_bytes().to_vec().into());
            // What lies there may be older than what is known by now.
            backup.stored =
                chunks.iter().map(|(name, _)| (*name, Digest([0; 32]))).filter(|(n, _)| *n != PAGE).collect();
        }
        let Some(key) = key else { return self.backup_changed() };
        let mut notes: Vec<Note> = Vec::new();
        for (name, chunk) in chunks.iter().filter(|(name, _)| *name != PAGE) {
            let opened = open(&key, &[CHUNK, &name[..]].concat(), chunk);
            let read = opened.ok().and_then(|opened| decode::<Vec<Note>>(&opened).ok());
            match read {
                Some(read) => notes.extend(read),
                None => tracing::warn!("a chunk of the backup does not open"),
            }
        }
        // Who people are comes before what one has with them, and that before who comes into it.
        notes.sort_by_key(|note| match note {
            Note::Conversations { .. } => 1,
            Note::Guest { .. } | Note::Link { .. } | Note::Joining { .. } => 2,
            _ => 0,
        });
        let Some(this) = self.me().map(|me| me.device) else { return };
        for note in notes {
            self.hear_read_note(this, note, rng);
        }
        self.look_at_rooms();
        self.backup_changed();
    }

    // ---- rooms again

    /// Conversations that came back without a room, when no other device is there to bring us in: new rooms, by door token.
    pub(crate) fn settle_returns(&mut self, rng: &mut dyn CryptoRngCore) {
        for (room, account) in std::mem::take(&mut self.returned) {
            self.bring_back(room, account);
        }
        if self.s.backup.get(&()).is_none_or(|backup| backup.restore.is_some()) || !self.other_devices().is_empty() {
            return;
        }
        if self.s.expected.iter().next().is_none() {
            return;
        }
        let under_way = self.s.starts.iter().count();
        let lost: Vec<(RoomId, ConversationId, Option<AccountRef>)> = self
            .s
            .expected
            .iter()
            .filter_map(|(room, expected)| {
                let c = self.s.conversations.get(&expected.conversation)?;
                let with = c.members.first().filter(|_| !c.is_group).cloned();
                Some((*room, expected.conversation, with))
            })
            .collect();
        for (room, conversation, with) in lost.into_iter().take(MOST_AT_ONCE.saturating_sub(under_way)) {
            let Some(account) = with else { continue };
            self.s.expected.remove(&room);
            let reachable =
                self.s.contacts.get(&account).is_some_and(|contact| contact.door.is_some() && !contact.blocked);
            if reachable && !self.s.starts.contains(&conversation) {
                self.start(conversation, Whom::Account { account }, rng);
                self.set_standing(conversation, Standing::Repairing);
            }
        }
    }

    /// Somebody's devices changed: in groups where only gone ones of theirs are, a friend who may brings the new one in.
    pub(crate) fn note_return(&mut self, account: &AccountRef) {
        if self.s.contacts.get(account).is_none_or(|contact| contact.door.is_none()) {
            return;
        }
        let groups: Vec<RoomId> = self
            .s
            .rooms
            .iter()
            .filter(|(_, r)| r.usable() && !r.asked_here)
            .filter(|(_, r)| {
                let c = self.s.conversations.get(&r.conversation);
                c.is_some_and(|c| c.is_group && c.members.contains(account))
            })
            .map(|(room, _)| *room)
            .collect();
        self.returned.extend(groups.into_iter().map(|room| (room, account.clone())));
    }

    fn bring_back(&mut self, room: RoomId, account: AccountRef) {
        if self.may_add(&room) {
            self.want(room, Want::Return { account });
        }
    }
}
