//! The backup: what a lost device would take along is kept at the server, sealed, and the recovery key brings it back.
//!
//! In it are the notes that own devices tell each other ([`crate::own`]): settings, contacts with their door tokens,
//! conversations, and who is to come into groups ([`parts`]); and, as the user chose, messages ([`buckets`]). MLS state is never in it. The oldest device that
//! is there keeps it. Chunks lie under a key that it draws and seals to a key that only the recovery key has (the key page).
//! When a device is revoked the key changes, and all chunks with it: first they, then the page, then the old ones go, so that
//! at any moment what the page opens is whole.
//!
//! | | |
//! |---|---|
//! | at sign-up, or signing in with the recovery key | the public key follows from the root key; devices linked later are told |
//! | something changed | it is marked; nothing is computed |
//! | [`SETTLE_MS`] later, or before going offline | a *round*: what is marked is read, sealed and sent, one chunk at a time |
//! | another device becomes the one that keeps it | it looks what lies there, writes everything, drops the rest |
//! | signing in with the recovery key | all chunks are fetched and heard like notes of an own device ([`restore`]) |
//! | no other device is left, and a conversation has no room | it gets a new one ([`returns`]) |

mod buckets;
mod parts;
mod restore;
mod returns;

pub(crate) use buckets::BUCKET;
use parts::Part;

use crate::api::{self, ConversationId, Failure, IntentId, KeptHistory, Reply, Role};
use crate::engine::{Engine, Purpose, is_temporary};
use crate::own::Note;
use crate::rows::sorted::Sorted;
use crate::state::{Backup, Bucket, Keeping};
use bytes::Bytes;
use parlour_e2ee::{BackupSecret, RootKey, ValueKey, seal_backup_page};
use parlour_proto::frames::{Answer, Request};
use parlour_proto::ids::{DeviceId, Digest, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;
use std::collections::VecDeque;

/// Changes are collected for so long.
const SETTLE_MS: u64 = 10_000;
/// A device that was not seen for so long does not keep the backup; the next one does.
const AWAY_MS: u64 = 3 * 24 * 3_600_000;
/// How often it is looked whether something is too old to be kept, and who keeps it.
const LOOK_MS: u64 = 6 * 3_600_000;
/// After so long another device may have kept it, and what it said of that be lost.
const FORGOTTEN_MS: u64 = 20 * 24 * 3_600_000;
/// Where something in the chunks is over, all of a backup of at most so many bytes is written under another key once a day; of a larger one
/// once a week.
const SMALL_BYTES: u64 = 4 << 20;
const SMALL_MS: u64 = 24 * 3_600_000;
const LARGE_MS: u64 = 7 * SMALL_MS;
/// Keys of the ring that are not for messages.
const NO_CONVERSATION: ConversationId = ConversationId([0; 16]);
/// Where the key page lies.
const PAGE: [u8; 16] = [0; 16];

/// The work on the backup that is under way.
pub(crate) struct Work {
    /// When what is marked is sent.
    due: Option<UnixMillis>,
    /// When to look at it anyway.
    look_at: UnixMillis,
    /// A round is under way.
    running: bool,
    /// Parts with a change.
    parts: Sorted<Part, ()>,
    /// Any part may have a change: after a start.
    all_parts: bool,
    /// Buckets of this round that are still to be read.
    todo: Vec<(ConversationId, u64)>,
    /// The bucket that is being read or sent, and whether it changed meanwhile.
    at: Option<(ConversationId, u64)>,
    again: bool,
    /// What is to be sent, in order.
    steps: VecDeque<Step>,
    /// Chunks are fetched, or looked at, up to this name.
    cursor: Option<[u8; 16]>,
    /// What was fetched and not heard yet.
    notes: Vec<Note>,
}

impl Work {
    /// After a start nothing is known to be at the server as it is here.
    pub(crate) fn new() -> Self {
        Work {
            due: Some(UnixMillis(0)),
            look_at: UnixMillis(0),
            running: false,
            parts: Sorted::new(),
            all_parts: true,
            todo: Vec::new(),
            at: None,
            again: false,
            steps: VecDeque::new(),
            cursor: None,
            notes: Vec::new(),
        }
    }
}

/// A request, and what its answer means.
struct Step {
    request: Request,
    then: Then,
}

enum Then {
    /// The part has this digest; without one it is gone.
    Stored([u8; 16], Option<Digest>),
    /// The bucket is there as it was read.
    Bucket(Bucket),
    /// Chunks of it follow.
    More,
    Dropped([u8; 16]),
    /// What lies there is told.
    Looked,
}

impl Backup {
    /// Of a new account, or one that comes back.
    pub(crate) fn of(root: &RootKey) -> Self {
        let public = BackupSecret::of(root).public().into();
        Backup { public, key: None, stored: Vec::new(), restore: None, under: 0 }
    }

    fn key(&self) -> Option<ValueKey> {
        Some(ValueKey::from_bytes(self.key.as_ref()?[..].try_into().ok()?))
    }
}

impl Engine {
    // ---- rounds

    /// Something changed that is in the backup.
    pub(crate) fn backup_changed(&mut self) {
        if self.backup.due.is_none() {
            self.backup.due = Some(self.now.plus_ms(SETTLE_MS));
        }
    }

    pub(crate) fn settle_backup(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.is_restoring() {
            return self.fetch_backup();
        }
        self.mark_parts();
        if !self.backup.running && !self.start_round(rng) {
            return;
        }
        if self.backup.steps.is_empty() && self.backup.at.is_none() {
            self.next_steps(rng);
        }
        if !self.may(&Purpose::Backup) {
            return;
        }
        match self.backup.steps.front().map(|step| step.request.clone()) {
            Some(request) => drop(self.ask(Role::Inbox, Purpose::Backup, || request)),
            None if self.backup.at.is_none() => self.backup.running = false,
            None => {}
        }
    }

    /// Begins to send what is marked, when it is time and this device's affair.
    fn start_round(&mut self, rng: &mut dyn CryptoRngCore) -> bool {
        let due = self.backup.due.unwrap_or(UnixMillis(u64::MAX)).min(self.backup.look_at);
        if self.now < due {
            self.wake_at(due);
            return false;
        }
        self.backup.due = None;
        self.backup.look_at = self.now.plus_ms(LOOK_MS);
        self.wake_at(self.backup.look_at);
        if !self.keeps_backup() {
            self.stop_keeping();
            return false;
        }
        self.take_over(rng);
        self.renew_for_what_is_over();
        if self.s.backup.get(&()).is_some_and(|backup| backup.key().is_none()) {
            self.draw_backup_key(rng);
        }
        if self.backup.all_parts {
            self.look_at_noted();
        }
        self.drop_what_is_too_old();
        self.backup.todo = self.s.buckets.iter().filter(|(_, b)| b.dirty || b.down > 0).map(|(at, _)| *at).collect();
        self.backup.running = true;
        true
    }

    /// What a round sends, in this order: parts, buckets, the key page; then what lies there and should not is dropped.
    fn next_steps(&mut self, rng: &mut dyn CryptoRngCore) {
        let Some(key) = self.s.backup.get(&()).and_then(Backup::key) else { return };
        self.send_parts(&key, rng);
        if self.backup.steps.is_empty() && !self.read_next_bucket(rng) {
            self.send_page(&key, rng);
        }
        if self.backup.steps.is_empty() && self.backup.at.is_none() {
            self.drop_litter();
        }
    }

    fn send_page(&mut self, key: &ValueKey, rng: &mut dyn CryptoRngCore) {
        let Some(backup) = self.s.backup.get(&()) else { return };
        let digest = Digest::of(key.as_bytes());
        if backup.stored.contains(&(PAGE, digest)) {
            return;
        }
        match seal_backup_page(&backup.public, key, rng) {
            Ok(page) => self.put_chunk(PAGE, page, Then::Stored(PAGE, Some(digest))),
            Err(error) => tracing::warn!(%error, "there is no key to back up for"),
        }
    }

    fn drop_litter(&mut self) {
        let looked = self.s.keeping.get(&()).is_some_and(|keeping| keeping.looked);
        if !looked {
            let request = Request::Backup { after: self.backup.cursor };
            return self.backup.steps.push_back(Step { request, then: Then::Looked });
        }
        let names: Vec<[u8; 16]> =
            self.s.litter.keys().iter().filter_map(|name| name.as_slice().try_into().ok()).collect();
        for name in names {
            let request = Request::DropBackup { name };
            self.backup.steps.push_back(Step { request, then: Then::Dropped(name) });
        }
    }

    fn put_chunk(&mut self, name: [u8; 16], chunk: Vec<u8>, then: Then) {
        self.s.litter.remove(&name.to_vec());
        let request = Request::PutBackup { name, chunk: chunk.into() };
        self.backup.steps.push_back(Step { request, then });
    }

    pub(crate) fn on_backup_answer(&mut self, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        self.again = true;
        if self.is_restoring() {
            return match result {
                Ok(Answer::Backup { chunks, more }) => self.restore(chunks, more, rng),
                _ => self.later(Purpose::Backup, 60_000),
            };
        }
        match result {
            Ok(Answer::Backup { chunks, more }) => self.looked_at(&chunks, more),
            Ok(_) => {}
            Err(problem) if problem.code == Code::Full => return self.backup_is_full(),
            Err(problem) if is_temporary(&problem) => return self.later(Purpose::Backup, 60_000),
            Err(problem) => tracing::warn!(code = ?problem.code, "a part of the backup was refused"),
        }
        match self.backup.steps.pop_front().map(|step| step.then) {
            Some(Then::Stored(name, digest)) => self.note_stored(name, digest),
            Some(Then::Bucket(bucket)) => self.bucket_sent(bucket),
            Some(Then::Dropped(name)) => drop(self.s.litter.remove(&name.to_vec())),
            Some(Then::More | Then::Looked) | None => {}
        }
    }

    fn note_stored(&mut self, name: [u8; 16], digest: Option<Digest>) {
        let Some(backup) = self.s.backup.get_mut(&()) else { return };
        backup.stored.retain(|(stored, _)| *stored != name);
        backup.stored.extend(digest.map(|digest| (name, digest)));
    }

    // ---- who keeps it

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

    /// How the backup is kept, made when missing.
    pub(crate) fn keeping(&mut self) -> &mut Keeping {
        if !self.s.keeping.contains(&()) {
            self.s.keeping.insert((), Keeping::new());
        }
        self.s.keeping.get_mut(&()).expect("inserted above")
    }

    /// This device keeps it, from now on or still. At first nothing is known of what another one made of it.
    fn take_over(&mut self, rng: &mut dyn CryptoRngCore) {
        let now = self.now;
        let keeping = self.keeping();
        let last = std::mem::replace(&mut keeping.last, now);
        if keeping.keeps && now.since(last) < FORGOTTEN_MS {
            return;
        }
        self.stop_keeping();
        self.keeping().keeps = true;
        self.say_own(&Note::Keeper, rng);
        for (_, digest) in self.s.backup.get_mut(&()).into_iter().flat_map(|backup| &mut backup.stored) {
            *digest = Digest([0; 32]);
        }
        self.backup.all_parts = true;
        self.survey();
    }

    /// Another device keeps it now: what this one knows of it is void.
    pub(crate) fn hear_keeper(&mut self, from: DeviceId) {
        let now = self.now;
        if self.me().is_none_or(|me| me.device == from) {
            return;
        }
        if let Some(device) = self.s.devices.get_mut(&from) {
            device.seen = device.seen.max(Some(now));
        }
        self.stop_keeping();
        self.backup_changed();
    }

    fn stop_keeping(&mut self) {
        if !self.s.keeping.get(&()).is_some_and(|keeping| keeping.keeps) {
            return;
        }
        let keeping = self.keeping();
        (keeping.keeps, keeping.looked, keeping.left_out) = (false, false, false);
        self.s.buckets.clear();
        self.s.litter.clear();
        self.forget_round();
    }

    /// What is under way comes to nothing, and what is answered to it means nothing.
    pub(crate) fn forget_round(&mut self) {
        self.flights.retain(|_, flight| flight.purpose != Purpose::Backup);
        let before = std::mem::replace(&mut self.backup, Work::new());
        (self.backup.due, self.backup.look_at) = (before.due, before.look_at);
    }

    /// A page of what lies there: whatever is not ours is dropped in the end.
    fn looked_at(&mut self, chunks: &[([u8; 16], Bytes)], more: bool) {
        let before = self.backup.cursor;
        let last = chunks.last().map(|(name, _)| *name).filter(|name| before.is_none_or(|before| *name > before));
        for (name, _) in chunks {
            if !self.is_kept_name(name) {
                self.s.litter.insert(name.to_vec(), ());
            }
        }
        // A server that says that there is always more is believed as long as it goes on, and not for ever.
        match last.filter(|_| more && self.s.litter.len() < restore::MOST_FETCHED) {
            Some(last) => self.backup.cursor = Some(last),
            None => {
                self.backup.cursor = None;
                self.keeping().looked = true;
            }
        }
    }

    fn is_kept_name(&self, name: &[u8; 16]) -> bool {
        let part = self.s.backup.get(&()).is_some_and(|backup| backup.stored.iter().any(|(stored, _)| stored == name));
        *name == PAGE || part || self.s.buckets.iter().any(|(_, bucket)| bucket.names().any(|kept| kept == *name))
    }

    // ---- the key

    fn draw_backup_key(&mut self, rng: &mut dyn CryptoRngCore) {
        let key = ValueKey::generate(rng);
        let Some(backup) = self.s.backup.get_mut(&()) else { return };
        backup.key = Some(key.as_bytes().to_vec().into());
        // What lies under another key goes once everything lies under this one.
        let old: Vec<[u8; 16]> =
            std::mem::take(&mut backup.stored).into_iter().map(|(name, _)| name).filter(|name| *name != PAGE).collect();
        for name in old.into_iter().chain(self.forget_bucket_names()) {
            self.s.litter.insert(name.to_vec(), ());
        }
        self.backup.all_parts = true;
        self.backup_under_another_key();
        if let Some(note) = self.backup_note() {
            self.say_own(&note, rng);
        }
    }

    /// A device that knew the key is gone: another key, and everything anew under it.
    pub(crate) fn renew_backup(&mut self) {
        if let Some(backup) = self.s.backup.get_mut(&()) {
            backup.key = None;
        }
        self.forget_round();
        self.backup.due = Some(self.now);
    }

    pub(crate) fn backup_note(&self) -> Option<Note> {
        let backup = self.s.backup.get(&())?;
        Some(Note::Backup { public: backup.public.clone(), key: backup.key.clone() })
    }

    pub(crate) fn hear_backup(&mut self, public: Bytes, key: Option<zeroize::Zeroizing<Vec<u8>>>) {
        let known = self.s.backup.get(&()).cloned();
        let mut backup = known.unwrap_or(Backup { public, key: None, stored: Vec::new(), restore: None, under: 0 });
        let is_another = backup.key != key;
        if is_another {
            // What lies there is under the other key: this device finds out when it is the one that keeps it.
            backup.stored.clear();
            self.stop_keeping();
            self.backup_changed();
        }
        backup.key = key;
        self.s.backup.insert((), backup);
        if is_another {
            self.backup_under_another_key();
        }
    }

    /// The chunks' key is another one: where the one before was written down, it does not open any more.
    fn backup_under_another_key(&mut self) {
        let under = self.s.ring.single(NO_CONVERSATION);
        if let Some(backup) = self.s.backup.get_mut(&()) {
            let before = std::mem::replace(&mut backup.under, under);
            self.s.ring.destroy(&[before]);
        }
    }

    /// Something that is over lies in a chunk: the bucket is written anew without it, and from time to time everything under another
    /// key, so that a copy of the server's from before does not open with ours.
    pub(crate) fn over_in_backup(&mut self, conversation: ConversationId, order: u64) {
        let bucket = self.s.buckets.get(&(conversation, order / buckets::BUCKET));
        if bucket.is_some_and(|bucket| bucket.chunks > 0) {
            self.keeping().over = true;
        }
    }

    fn renew_for_what_is_over(&mut self) {
        let bytes: u64 = self.s.buckets.iter().map(|(_, bucket)| bucket.bytes).sum();
        let stretch = if bytes <= SMALL_BYTES { SMALL_MS } else { LARGE_MS };
        let now = self.now;
        let Some(keeping) = self.s.keeping.get_mut(&()).filter(|keeping| keeping.over) else { return };
        if now.since(keeping.renewed) < stretch {
            return;
        }
        (keeping.over, keeping.renewed) = (false, now);
        if let Some(backup) = self.s.backup.get_mut(&()) {
            backup.key = None;
        }
    }

    // ---- what the user sees and wants

    /// Nothing is waiting to go into the backup, as far as this device knows.
    pub(crate) fn is_backed_up(&self) -> bool {
        let kept = self.s.backup.get(&()).is_some_and(|backup| backup.key.is_some() && backup.restore.is_none());
        kept && self.backup.due.is_none() && !self.backup.running
    }

    pub(crate) fn show_backup(&self) -> api::Backup {
        let keeping = self.s.keeping.get(&());
        let kept = || self.s.buckets.iter().map(|(_, bucket)| bucket).filter(|bucket| bucket.chunks > 0);
        api::Backup {
            history: keeping.map(|keeping| keeping.history).unwrap_or_default(),
            here: keeping.is_some_and(|keeping| keeping.keeps),
            complete: self.is_backed_up(),
            since: kept().map(|bucket| bucket.oldest).min(),
            messages: kept().map(|bucket| u64::from(bucket.messages)).sum(),
            bytes: kept().map(|bucket| bucket.bytes).sum(),
            left_out: keeping.is_some_and(|keeping| keeping.left_out),
        }
    }

    pub(crate) fn set_backup(&mut self, intent: IntentId, history: KeptHistory, rng: &mut dyn CryptoRngCore) {
        if history == KeptHistory::Days(0) {
            return self.done(intent, Err(Failure::BadInput("at least one day; or nothing at all".into())));
        }
        self.keep_history(history);
        let messages = self.kept_messages();
        self.say_own(&Note::Keeping { history, messages }, rng);
        self.done(intent, Ok(Reply::Backup(self.show_backup())));
    }

    /// The user's choice, here or on another device.
    pub(crate) fn keep_history(&mut self, history: KeptHistory) {
        let keeping = self.keeping();
        if keeping.history == history {
            return;
        }
        keeping.history = history;
        keeping.left_out = false;
        if keeping.keeps {
            self.mark_all_buckets();
            self.survey();
            self.backup.all_parts = true;
        }
        self.backup.due = Some(self.now);
        self.again = true;
    }

    /// What waits goes into the backup now: somebody wants to go.
    pub(crate) fn back_up_at_once(&mut self) {
        if self.backup.due.is_some() && self.s.keeping.get(&()).is_some_and(|keeping| keeping.keeps) {
            self.backup.due = Some(self.now);
        }
    }
}
