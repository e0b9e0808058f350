//! Messages in the backup: each conversation's positions in stretches of [`BUCKET`], a chunk or more for each stretch.
//!
//! A message that comes, or on which something is noted, marks its bucket; a round reads the marked ones and writes them anew,
//! as they are shown: a deleted text is in no chunk after the next round. The bucket that is being filled is rewritten at most
//! every ten seconds, so that a message costs at most one bucket, and in a busy conversation its part of one.
//!
//! Names tell neither conversation nor time; they are in order, so that what is fetched comes newest first. What is too old, by
//! the user's choice, or does not fit any more, is *retired*: its row goes, its chunks become litter, and the round drops them.
//! **Expiry of messages (DESIGN §9) will retire buckets in [`Engine::drop_what_is_too_old`], and leave messages out in
//! [`Engine::is_to_be_kept`].**
//!
//! Which buckets there are is found by a *survey*: the newest of each conversation is read, then the one below, until what is
//! found is too old. It goes on after a restart.

use super::{Step, Then};
use crate::api::{ConversationId, KeptHistory, Message, MessageState};
use crate::engine::{Engine, Load};
use crate::history::{Told, chunks, told};
use crate::own::{NOTE_BYTES, Place};
use crate::rows::codec::record;
use crate::rows::encode;
use crate::state::{Bucket, part_name};
use parlour_e2ee::seal_backup_chunk;
use parlour_proto::frames::{MAX_BACKUP_BYTES, MAX_BACKUP_NAMES, Request};
use parlour_proto::ids::{MessageId, UnixMillis};
use rand_core::CryptoRngCore;

/// Positions of a conversation that lie together.
pub(crate) const BUCKET: u64 = 64;
/// So many empty buckets may lie between two with messages (positions are left free for what other devices tell).
const EMPTY: u32 = 128;
/// What is too old goes at once if its whole bucket is, and else so much later.
const STALE_MS: u64 = 7 * DAY_MS;
const DAY_MS: u64 = 24 * 3_600_000;
/// Most chunks and bytes of messages; the rest is for what is small, and for what is to be dropped.
const MOST_CHUNKS: u32 = MAX_BACKUP_NAMES - 256;
const MOST_BYTES: u64 = MAX_BACKUP_BYTES - (4 << 20);

record! {
    /// What a chunk holds.
    struct KeptPage {
        place: Place,
        messages: Vec<Told>,
    }
}

impl Engine {
    // ---- marks

    /// Something changed in the bucket of this position.
    pub(crate) fn mark_kept(&mut self, conversation: ConversationId, order: u64) {
        if !self.keeps_messages() || self.s.conversations.get(&conversation).is_none_or(|c| c.is_own) {
            return;
        }
        let (at, now) = ((conversation, order / BUCKET), self.now);
        match self.s.buckets.get(&at).map(|bucket| bucket.dirty) {
            Some(true) => {}
            Some(false) => drop(self.s.buckets.get_mut(&at).map(|bucket| bucket.dirty = true)),
            None => self.s.buckets.insert(at, Bucket::dirty(now, 0)),
        }
        self.backup.again |= self.backup.at == Some(at);
        self.backup_changed();
    }

    /// Something was noted on a message whose position is not known yet.
    pub(crate) fn mark_noted(&mut self, conversation: ConversationId, message: MessageId) {
        if self.keeps_messages() {
            let mut noted = self.s.noted.get(&conversation).cloned().unwrap_or_default();
            noted.push(message);
            self.s.noted.insert(conversation, noted);
        }
    }

    /// The position of a message on which something was noted.
    pub(crate) fn mark_found(&mut self, conversation: ConversationId, message: MessageId, order: u64) {
        if let Some(mut noted) = self.s.noted.get(&conversation).cloned() {
            noted.retain(|other| *other != message);
            match noted.is_empty() {
                true => drop(self.s.noted.remove(&conversation)),
                false => self.s.noted.insert(conversation, noted),
            }
        }
        self.mark_kept(conversation, order);
    }

    /// The last bucket of a conversation that may be kept now, and was not before.
    pub(crate) fn mark_newest(&mut self, conversation: ConversationId) {
        if let Some(order) = self.s.conversations.get(&conversation).map(|c| c.next_order) {
            self.mark_kept(conversation, order);
        }
    }

    /// What was noted before a crash, and not looked at.
    pub(super) fn look_at_noted(&mut self) {
        let noted: Vec<_> = self.s.noted.iter().map(|(id, noted)| (*id, noted.clone())).collect();
        for (conversation, message) in noted.into_iter().flat_map(|(id, all)| all.into_iter().map(move |m| (id, m))) {
            let prefix = self.message_prefix(conversation, message);
            self.load_rows(prefix, Load::Message(conversation, message));
        }
    }

    /// A conversation's messages are gone from here.
    pub(crate) fn forget_kept(&mut self, conversation: ConversationId) {
        let gone: Vec<_> =
            self.s.buckets.range((conversation, 0)..=(conversation, u64::MAX)).map(|(at, _)| *at).collect();
        if !gone.is_empty() {
            self.backup_changed();
        }
        gone.into_iter().for_each(|at| self.retire(at));
        self.s.noted.remove(&conversation);
    }

    fn keeps_messages(&self) -> bool {
        self.s.keeping.get(&()).is_some_and(|keeping| keeping.keeps && keeping.history != KeptHistory::Off)
    }

    // ---- what is kept

    pub(crate) fn kept_history(&self) -> KeptHistory {
        self.s.keeping.get(&()).map(|keeping| keeping.history).unwrap_or_default()
    }

    /// How many messages there are, in steps of a bucket.
    pub(super) fn kept_messages(&self) -> u64 {
        let messages: u64 = self.s.buckets.iter().map(|(_, bucket)| u64::from(bucket.messages)).sum();
        messages.next_multiple_of(BUCKET)
    }

    /// Messages from before then are not kept.
    fn kept_since(&self) -> UnixMillis {
        match self.kept_history() {
            KeptHistory::Off => UnixMillis(u64::MAX),
            KeptHistory::Days(days) => UnixMillis(self.now.0.saturating_sub(u64::from(days) * DAY_MS)),
            KeptHistory::All => UnixMillis(0),
        }
    }

    fn is_to_be_kept(&self, message: &Message) -> bool {
        message.time >= self.kept_since() && message.state != MessageState::Queued && message.timer.is_none()
    }

    pub(super) fn drop_what_is_too_old(&mut self) {
        let since = self.kept_since();
        let stale = UnixMillis(since.0.saturating_sub(STALE_MS));
        let old: Vec<_> =
            self.s.buckets.iter().filter(|(_, b)| b.newest < since && b.down == 0).map(|(at, _)| *at).collect();
        old.into_iter().for_each(|at| self.retire(at));
        let partly: Vec<_> = self.s.buckets.iter().filter(|(_, b)| b.oldest < stale).map(|(at, _)| *at).collect();
        for at in partly {
            if let Some(bucket) = self.s.buckets.get_mut(&at) {
                bucket.dirty = true;
            }
        }
    }

    /// Nothing of a bucket is kept any more.
    fn retire(&mut self, at: (ConversationId, u64)) {
        let Some(bucket) = self.s.buckets.remove(&at) else { return };
        for name in bucket.names() {
            self.s.litter.insert(name.to_vec(), ());
        }
    }

    /// Looks for what is to be kept, from the newest of each conversation on.
    pub(super) fn survey(&mut self) {
        if self.kept_history() == KeptHistory::Off {
            let all = self.s.buckets.keys();
            return all.into_iter().for_each(|at| self.retire(at));
        }
        let newest: Vec<_> =
            self.s.conversations.iter().filter(|(_, c)| !c.is_own).map(|(id, c)| (*id, c.next_order)).collect();
        for (id, order) in newest {
            self.look_at((id, order / BUCKET), self.now, EMPTY);
        }
    }

    /// Any of them may hold too much, or too little.
    pub(super) fn mark_all_buckets(&mut self) {
        for at in self.s.buckets.keys() {
            if let Some(bucket) = self.s.buckets.get_mut(&at) {
                bucket.dirty = true;
            }
        }
    }

    fn look_at(&mut self, at: (ConversationId, u64), newest: UnixMillis, down: u32) {
        match self.s.buckets.get_mut(&at) {
            Some(bucket) => bucket.down = down,
            None => self.s.buckets.insert(at, Bucket::dirty(newest, down)),
        }
        if self.backup.running && !self.backup.todo.contains(&at) {
            self.backup.todo.push(at);
        }
    }

    /// All is to be written under other names: the old ones.
    pub(super) fn forget_bucket_names(&mut self) -> Vec<[u8; 16]> {
        let mut names = Vec::new();
        for at in self.s.buckets.keys() {
            let Some(bucket) = self.s.buckets.get_mut(&at) else { continue };
            names.extend(bucket.names());
            *bucket = Bucket { chunks: 0, bytes: 0, dirty: true, down: bucket.down.max(1), ..bucket.clone() };
        }
        let keeping = self.keeping();
        (keeping.newer, keeping.older) = (0, 0);
        names
    }

    // ---- a bucket, read and sent

    /// Reads the newest bucket that is left; `false` when there is none.
    pub(super) fn read_next_bucket(&mut self, rng: &mut dyn CryptoRngCore) -> bool {
        let newest = |at: &(ConversationId, u64)| self.s.buckets.get(at).map(|bucket| bucket.newest);
        let Some(at) = self.backup.todo.iter().copied().max_by_key(newest) else { return false };
        self.backup.todo.retain(|other| *other != at);
        if self.s.buckets.contains(&at) {
            (self.backup.at, self.backup.again) = (Some(at), false);
            self.read_bucket(at.0, at.1, rng);
        }
        true
    }

    /// What is shown of a bucket was read.
    pub(crate) fn on_bucket_read(
        &mut self,
        conversation: ConversationId,
        bucket: u64,
        messages: Vec<Message>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let at = (conversation, bucket);
        if self.backup.at != Some(at) {
            return;
        }
        self.again = true;
        let Some(row) = self.s.buckets.get(&at).cloned() else { return self.backup.at = None };
        let older = row.down > 0;
        self.look_below(at, &row, &messages);
        let place = self.shared_conversation(conversation).map(|shared| shared.place);
        let messages: Vec<Message> = messages.into_iter().filter(|message| self.is_to_be_kept(message)).collect();
        match place.filter(|_| !messages.is_empty()) {
            Some(place) if row.dirty => self.send_bucket(at, row, place, messages, older, rng),
            Some(_) => self.backup.at = None,
            None => {
                self.retire(at);
                self.backup.at = None;
            }
        }
    }

    /// The survey goes on, unless all that was found is too old.
    fn look_below(&mut self, at: (ConversationId, u64), row: &Bucket, messages: &[Message]) {
        if row.down == 0 {
            return;
        }
        if let Some(bucket) = self.s.buckets.get_mut(&at) {
            bucket.down = 0;
        }
        let down = match messages {
            [] => row.down - 1,
            some if some.iter().any(|message| self.is_to_be_kept(message)) => EMPTY,
            _ => 0,
        };
        if let (Some(below), 1..) = (at.1.checked_sub(1), down) {
            let newest = messages.first().map_or(row.newest, |message| message.time);
            self.look_at((at.0, below), newest, down);
        }
    }

    fn send_bucket(
        &mut self,
        at: (ConversationId, u64),
        mut row: Bucket,
        place: Place,
        messages: Vec<Message>,
        older: bool,
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(key) = self.s.backup.get(&()).and_then(|backup| backup.key()) else { return self.backup.at = None };
        let times = || messages.iter().map(|message| message.time);
        let (oldest, newest) = (times().min().unwrap_or(row.newest), times().max().unwrap_or(row.newest));
        let count = messages.len() as u32;
        let messages: Vec<Told> = messages.into_iter().map(small_enough).collect();
        let pages = chunks(messages, NOTE_BYTES, |told| encode(told).len()).into_iter();
        let pages: Vec<Vec<u8>> = pages.map(|messages| encode(&KeptPage { place: place.clone(), messages })).collect();
        let chunks = pages.len() as u32;
        let bytes = pages.iter().map(|page| page.len() as u64).sum();
        if !self.fit_in(at, newest, chunks, bytes) {
            self.retire(at);
            return self.backup.at = None;
        }
        if row.chunks == 0 {
            row.name = self.bucket_name(older, rng);
        }
        // The names are stored before anything lies under them.
        let name = row.name;
        (row.chunks, row.bytes, row.down) = (row.chunks.max(chunks), row.bytes.max(bytes), 0);
        self.s.buckets.insert(at, row);
        let sent = Bucket { name, chunks, bytes, messages: count, oldest, newest, dirty: false, down: 0 };
        for (part, page) in (0..).zip(pages) {
            let name = part_name(&name, part);
            let then = if part + 1 == chunks { Then::Bucket(sent.clone()) } else { Then::More };
            let sealed = seal_backup_chunk(&key, &name, &page, rng);
            self.put_chunk(name, sealed, then);
        }
    }

    /// All chunks of the bucket are at the server.
    pub(super) fn bucket_sent(&mut self, sent: Bucket) {
        let Some(at) = self.backup.at.take() else { return };
        // It may have been retired meanwhile.
        let Some(row) = self.s.buckets.get(&at).cloned() else { return };
        for name in row.names().skip(sent.chunks as usize) {
            self.s.litter.insert(name.to_vec(), ());
        }
        let before = self.kept_messages();
        self.s.buckets.insert(at, Bucket { dirty: self.backup.again, down: row.down, ..sent });
        if self.kept_messages() != before {
            self.backup.parts.insert(super::Part::Settings, ());
        }
    }

    /// Names of older stretches follow those of newer ones; they tell nothing else.
    fn bucket_name(&mut self, older: bool, rng: &mut dyn CryptoRngCore) -> [u8; 16] {
        const MIDDLE: u32 = 1 << 31;
        let keeping = self.keeping();
        let rank = if older {
            keeping.older += 1;
            MIDDLE.saturating_add(keeping.older)
        } else {
            keeping.newer += 1;
            MIDDLE.saturating_sub(keeping.newer)
        };
        let mut name = [0; 16];
        rng.fill_bytes(&mut name);
        name[0] = 1;
        name[1..5].copy_from_slice(&rank.to_be_bytes());
        name[15] = 0;
        name
    }

    // ---- bounds

    /// Retires what is oldest until there is room; `false` if what is to be put is the oldest itself.
    fn fit_in(&mut self, at: (ConversationId, u64), newest: UnixMillis, chunks: u32, bytes: u64) -> bool {
        loop {
            let others = || self.s.buckets.iter().filter(|(other, bucket)| **other != at && bucket.chunks > 0);
            let (mut all_chunks, mut all_bytes) = (chunks, bytes);
            for (_, bucket) in others() {
                all_chunks += bucket.chunks;
                all_bytes += bucket.bytes;
            }
            if all_chunks <= MOST_CHUNKS && all_bytes <= MOST_BYTES {
                return true;
            }
            let oldest = others().min_by_key(|(_, bucket)| bucket.newest).map(|(at, bucket)| (*at, bucket.newest));
            self.keeping().left_out = true;
            match oldest.filter(|(_, time)| *time < newest) {
                Some((oldest, _)) => self.drop_bucket(oldest),
                None => return false,
            }
        }
    }

    fn drop_bucket(&mut self, at: (ConversationId, u64)) {
        let names: Vec<[u8; 16]> = self.s.buckets.get(&at).into_iter().flat_map(Bucket::names).collect();
        self.retire(at);
        for name in names.into_iter().rev() {
            self.backup.steps.push_front(Step { request: Request::DropBackup { name }, then: Then::Dropped(name) });
        }
    }

    /// The server has a smaller measure than we: litter goes first, then what is oldest.
    pub(super) fn backup_is_full(&mut self) {
        if let Some(name) = self.s.litter.keys().first().and_then(|name| name.as_slice().try_into().ok()) {
            let step = Step { request: Request::DropBackup { name }, then: Then::Dropped(name) };
            return self.backup.steps.push_front(step);
        }
        let at = self.backup.at;
        let others = self.s.buckets.iter().filter(|(other, bucket)| Some(**other) != at && bucket.chunks > 0);
        match others.min_by_key(|(_, bucket)| bucket.newest).map(|(at, _)| *at) {
            Some(oldest) => {
                self.keeping().left_out = true;
                self.drop_bucket(oldest);
            }
            None => self.later(crate::engine::Purpose::Backup, 3_600_000),
        }
    }
}

/// As it is told; reactions beyond what fits into a chunk are left out.
fn small_enough(message: Message) -> Told {
    const MOST_REACTIONS: usize = 64;
    let mut told = told(message);
    if told.reactions.len() > MOST_REACTIONS && encode(&told).len() > NOTE_BYTES {
        told.reactions.truncate(MOST_REACTIONS);
    }
    told
}
