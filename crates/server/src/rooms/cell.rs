//! One room in memory, and the bounded cache of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parlour_proto::{
    frames::RowBody,
    ids::{MailboxId, MessageId, RoomId, UnixMillis},
    wire,
};
use parlour_store::{KeyRange, PartitionId, PartitionKind, QueueId, QueueLimit, RowBatch, Store, UnixTime};

use super::{Rooms, Stored, order::Sequences, state::RoomState};
use crate::{
    error::Refused,
    keys::Keys,
    limits::{Bucket, Rate},
    mailboxes::Mailboxes,
    retention::{Kind, Setting},
    sync::MutexExt as _,
};

/// Keys of a room's rows; the small ones under one prefix, so that loading a room is one read.
pub(super) const SMALL: [u8; 1] = [1];
pub(super) const STATE: [u8; 2] = [1, b's'];
pub(super) const BOUND: [u8; 2] = [1, b'q'];
const ASKED: [u8; 2] = [1, b'a'];
const JOB: [u8; 2] = [1, b'j'];

pub(super) fn asked_key(slot: u32) -> Vec<u8> {
    [&ASKED[..], &slot.to_be_bytes()].concat()
}

pub(super) fn job_key(seq: u64) -> Vec<u8> {
    [&JOB[..], &seq.to_be_bytes()].concat()
}

pub(super) fn log_key(seq: u64) -> Vec<u8> {
    [&[2][..], &seq.to_be_bytes()].concat()
}

pub(super) fn commit_key(id: &MessageId) -> Vec<u8> {
    [&[3][..], &id.0].concat()
}

pub(super) fn grant_key(id: &[u8; 16]) -> Vec<u8> {
    [&[4][..], id].concat()
}

pub(super) fn partition(room: &RoomId) -> PartitionId {
    PartitionId::new(PartitionKind::Room, room.0)
}

/// Recent message ids kept in memory.
const RECENT: usize = 512;
/// How many of them are forgotten at once.
const FORGET: usize = 256;
/// How many of them are looked through at once.
const LOOK_BLOCK: usize = 64;
/// Entries, and waiting rows of each, that are looked through for recent ids when a room is loaded.
const LOOK_ENTRIES: usize = 16;
const LOOK: QueueLimit = QueueLimit { rows: 1_024, bytes: 1 << 20 };
/// A room whose state row has less than three quarters of its time left gets it renewed when it is loaded.
const RENEW_BELOW: (u64, u64) = (3, 4);

/// A message accepted not long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) id: MessageId,
    pub(super) seq: u64,
    pub(super) time: UnixMillis,
    pub(super) stamp: [u8; 32],
}

impl Recent {
    /// The message of a mailbox row, if it is one of `room`.
    fn of_row(payload: &Bytes, room: &RoomId) -> Option<Self> {
        let Stored::Row(bytes) = Stored::parse(payload)? else { return None };
        let row = wire::decode_row(bytes).ok().filter(|row| row.room == *room)?;
        let (id, stamp) = match row.body {
            RowBody::Message { message_id, stamp, .. } => (message_id, stamp),
            RowBody::Knock { knock_id, .. } => (knock_id, [0; 32]),
            _ => return None,
        };
        Some(Self { id, seq: row.room_seq, time: row.time, stamp })
    }
}

/// The last bytes of an id: whoever counts up there or draws at random, they nearly always tell.
fn short_id(id: &MessageId) -> u32 {
    id.0.last_chunk().map_or(0, |last| u32::from_le_bytes(*last))
}

/// Who gets a message now.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    /// Mailboxes of open entries, each once.
    pub(super) open: Vec<MailboxId>,
    /// Asked entries: slot and mailbox.
    pub(super) asked: Vec<(u32, MailboxId)>,
    /// There are entries whose token is to be dropped.
    pub(super) dead: bool,
}

/// What changes in a cell.
pub(super) struct Inner {
    pub(super) state: Arc<RoomState>,
    pub(super) spoilt: bool,
    sequences: Sequences,
    /// Each with whether it is known to be durable.
    recent: Vec<(Recent, bool)>,
    /// The ends of the ids in `recent`: what a send looks through, small and in one piece.
    recent_ids: Vec<u32>,
    /// Asked entries that have had their message.
    pub(super) asked_used: Vec<u32>,
    targets: Option<(u64, Arc<Targets>)>,
    sends: Option<Bucket>,
    whispers: Option<Bucket>,
    commits: HashMap<u32, Bucket>,
    signed: HashMap<u32, Bucket>,
}

impl Inner {
    /// Takes the next sequence, and adds the write that reserves it to `batch` unless that is durable already.
    pub(super) fn take_seq(&mut self, mut batch: RowBatch, expires: Option<UnixTime>) -> (u64, RowBatch) {
        let (seq, bound) = self.sequences.take();
        if let Some(bound) = bound {
            batch = batch.put(BOUND, bound.to_be_bytes().to_vec(), Kind::RoomSeq.row(), expires);
        }
        (seq, batch)
    }

    /// The reservation that was current when a now durable batch was made.
    pub(super) fn bound(&self) -> u64 {
        self.sequences.bound()
    }

    pub(super) fn bound_is_durable(&mut self, bound: u64) {
        self.sequences.is_durable(bound);
    }

    /// A message of not long ago, and whether it is known to be durable.
    pub(super) fn find_recent(&self, id: &MessageId) -> Option<(Recent, bool)> {
        let short = short_id(id);
        // Whole blocks without a way out are compared several at once.
        let blocks = self.recent_ids.chunks(LOOK_BLOCK).zip(self.recent.chunks(LOOK_BLOCK));
        let likely = blocks.filter(|(ids, _)| ids.iter().fold(false, |any, found| any | (*found == short)));
        likely.flat_map(|(_, recent)| recent).find(|(recent, _)| recent.id == *id).copied()
    }

    /// Remembers a message.
    pub(super) fn remember(&mut self, recent: Recent) {
        if self.recent.len() == RECENT {
            self.recent_ids.drain(..FORGET);
            self.recent.drain(..FORGET);
        }
        self.recent_ids.push(short_id(&recent.id));
        self.recent.push((recent, false));
    }

    pub(super) fn recent_is_durable(&mut self, seq: u64) {
        if let Some(found) = self.recent.iter_mut().rev().find(|(recent, _)| recent.seq == seq) {
            found.1 = true;
        }
    }

    /// Who gets a message; entries whose mailbox is closed are left out.
    pub(super) fn targets<S: Store>(&mut self, mailboxes: &Mailboxes<S>) -> Arc<Targets> {
        let closings = mailboxes.closings();
        if let Some((at, targets)) = &self.targets
            && *at == closings
        {
            return targets.clone();
        }
        let mut targets = Targets::default();
        let mut seen = std::collections::HashSet::new();
        for entry in &self.state.entries {
            if entry.dead || mailboxes.is_closed(&entry.mailbox) {
                targets.dead |= !entry.dead || !entry.token.is_empty();
            } else if !entry.open {
                targets.asked.push((entry.slot, entry.mailbox));
            } else if seen.insert(entry.mailbox) {
                targets.open.push(entry.mailbox);
            }
        }
        let targets = Arc::new(targets);
        self.targets = Some((closings, targets.clone()));
        targets
    }

    pub(super) fn set_state(&mut self, state: Arc<RoomState>) {
        self.state = state;
        self.targets = None;
    }

    pub(super) fn meter_send(&mut self, rate: Rate, now: UnixMillis) -> Result<(), Refused> {
        Ok(self.sends.get_or_insert_with(|| Bucket::full(rate, now)).take(rate, now)?)
    }

    pub(super) fn may_whisper(&mut self, rate: Rate, now: UnixMillis) -> bool {
        self.whispers.get_or_insert_with(|| Bucket::full(rate, now)).take(rate, now).is_ok()
    }

    pub(super) fn meter_signed(&mut self, slot: u32, rate: Rate, now: UnixMillis) -> Result<(), Refused> {
        Ok(self.signed.entry(slot).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)?)
    }

    pub(super) fn meter_commit(&mut self, slot: u32, rate: Rate, now: UnixMillis) -> Result<(), Refused> {
        Ok(self.commits.entry(slot).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)?)
    }
}

/// One room in memory.
pub(crate) struct Cell {
    pub(super) room: RoomId,
    pub(super) gate: tokio::sync::Mutex<()>,
    pub(super) inner: Mutex<Option<Inner>>,
    used: AtomicU64,
    after_fault: bool,
}

impl Cell {
    fn new(room: RoomId, after_fault: bool) -> Self {
        Self {
            room,
            gate: tokio::sync::Mutex::default(),
            inner: Mutex::default(),
            used: AtomicU64::new(0),
            after_fault,
        }
    }

    /// Does something with the loaded room.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(self.inner.locked().as_mut().expect("a cell is loaded before anybody gets it"))
    }

    /// The state as of now.
    pub(super) fn state(&self) -> Arc<RoomState> {
        self.with(|inner| inner.state.clone())
    }

    /// Forgets what is in memory: the store knows better.
    pub(super) fn spoil(&self) {
        if let Some(inner) = self.inner.locked().as_mut() {
            inner.spoilt = true;
        }
    }

    fn is_usable(&self) -> bool {
        self.inner.locked().as_ref().is_some_and(|inner| !inner.spoilt)
    }

    fn is_spoilt(&self) -> bool {
        self.inner.locked().as_ref().is_some_and(|inner| inner.spoilt)
    }
}

/// The rooms in memory.
pub(super) struct Cache {
    cells: Mutex<HashMap<RoomId, Arc<Cell>>>,
    clock: AtomicU64,
    most: usize,
}

impl Cache {
    pub(super) fn new(most: usize) -> Self {
        Self { cells: Mutex::default(), clock: AtomicU64::new(0), most: most.max(16) }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.locked().len()
    }

    fn find(&self, room: &RoomId) -> Option<Arc<Cell>> {
        let cell = self.cells.locked().get(room).cloned()?;
        cell.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(cell)
    }

    /// The cell of a room, perhaps not loaded; a spoilt one is replaced.
    fn find_or_insert(&self, room: &RoomId) -> Arc<Cell> {
        let mut cells = self.cells.locked();
        let after_fault = match cells.get(room) {
            Some(cell) if !cell.is_spoilt() => return cell.clone(),
            found => found.is_some(),
        };
        if cells.len() >= self.most {
            self.evict(&mut cells);
        }
        let cell = Arc::new(Cell::new(*room, after_fault));
        cell.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        cells.insert(*room, cell.clone());
        cell
    }

    /// Drops the older half of the rooms that nobody is using; those in use must stay the only cell of their room.
    fn evict(&self, cells: &mut HashMap<RoomId, Arc<Cell>>) {
        let mut ages: Vec<u64> = cells.values().map(|cell| cell.used.load(Ordering::Relaxed)).collect();
        let middle = ages.len() / 2;
        let (_, median, _) = ages.select_nth_unstable(middle);
        let median = *median;
        cells.retain(|_, cell| cell.used.load(Ordering::Relaxed) > median || Arc::strong_count(cell) > 1);
    }

    /// Whether this is the room's cell: there must never be two in use.
    fn holds(&self, cell: &Arc<Cell>) -> bool {
        self.cells.locked().get(&cell.room).is_some_and(|found| Arc::ptr_eq(found, cell))
    }

    pub(super) fn forget(&self, cell: &Arc<Cell>) {
        let mut cells = self.cells.locked();
        if cells.get(&cell.room).is_some_and(|found| Arc::ptr_eq(found, cell)) {
            cells.remove(&cell.room);
        }
    }
}

impl<S: Store> Rooms<S> {
    /// The room, if it is in memory and usable: the way of nearly every send.
    pub(super) fn cell_now(&self, room: &RoomId) -> Option<Arc<Cell>> {
        self.cache.find(room).filter(|cell| cell.is_usable())
    }

    /// The room, loaded if need be; `None` if there is none.
    pub(crate) async fn cell(&self, room: &RoomId, now: UnixMillis) -> Result<Option<Arc<Cell>>, Refused> {
        loop {
            if let Some(cell) = self.cell_now(room) {
                return Ok(Some(cell));
            }
            let cell = self.cache.find_or_insert(room);
            let gate = cell.gate.lock().await;
            if cell.is_usable() {
                drop(gate);
                return Ok(Some(cell));
            }
            if cell.is_spoilt() || !self.cache.holds(&cell) {
                continue;
            }
            let loaded = self.load(&cell, now).await;
            drop(gate);
            match loaded {
                Ok(true) => return Ok(Some(cell)),
                Ok(false) => {
                    self.cache.forget(&cell);
                    return Ok(None);
                }
                Err(error) => {
                    self.cache.forget(&cell);
                    return Err(error);
                }
            }
        }
    }

    /// Reads a room from the store and finishes the deliveries that a crash interrupted.
    async fn load(&self, cell: &Cell, now: UnixMillis) -> Result<bool, Refused> {
        let room = &cell.room;
        if cell.after_fault {
            // What an earlier cell submitted is decided before this one reads.
            let barrier = RowBatch::new(partition(room)).delete([0]);
            let _ = self.store.commit(vec![barrier.into()]).await?;
        }
        let rows = self.store.range(&partition(room), &KeyRange::prefix(SMALL), usize::MAX).await?;
        let Some(state) = rows.iter().find(|row| row.key == STATE) else { return Ok(false) };
        let renew_below_s = self.limits.lifetimes.seconds(Setting::Room) * RENEW_BELOW.0 / RENEW_BELOW.1;
        let renew =
            state.expires.is_some_and(|expires| expires < UnixTime(now.seconds()).plus_s(renew_below_s)).then(|| {
                // What is small goes on with the room: its sequence, and who has had a message.
                let small = rows.iter().filter(|row| !row.key.starts_with(&JOB));
                small.fold(RowBatch::new(partition(room)).present(STATE), |batch, row| {
                    batch.put(row.key.clone(), row.value.clone(), row.kind, self.expires(Kind::Room, now))
                })
            });
        let bound = rows
            .iter()
            .find(|row| row.key == BOUND)
            .and_then(|row| Some(u64::from_be_bytes(row.value[..].try_into().ok()?)))
            .ok_or(Refused::Damaged("room sequence"))?;
        let state = RoomState::from_bytes(&state.value, room, &self.keys)?;
        let slots = rows.iter().filter_map(|row| row.key.strip_prefix(&ASKED));
        let asked_used = slots.filter_map(|slot| Some(u32::from_be_bytes(slot.try_into().ok()?))).collect();
        for row in rows.iter().filter(|row| row.key.starts_with(&JOB)) {
            self.resume(room, &row.value).await?;
        }
        if let Some(renew) = renew {
            let _ = self.store.commit(vec![renew.into()]).await?;
        }
        let recent = self.waiting_ids(room, &state).await?;
        *cell.inner.locked() = Some(Inner {
            state: Arc::new(state),
            spoilt: false,
            sequences: Sequences::loaded(bound, self.limits.first_sequence),
            recent_ids: recent.iter().map(|(recent, _)| short_id(&recent.id)).collect(),
            recent,
            asked_used,
            targets: None,
            sends: None,
            whispers: None,
            commits: HashMap::new(),
            signed: HashMap::new(),
        });
        Ok(true)
    }

    /// The ids of messages that still wait for a member, newest last: whoever has not seen its own message come back may
    /// send it again, and then its own mailbox still holds it. So no row of their own is needed for them.
    async fn waiting_ids(&self, room: &RoomId, state: &RoomState) -> Result<Vec<(Recent, bool)>, Refused> {
        let mut found = BTreeMap::new();
        for entry in state.entries.iter().filter(|entry| !entry.dead).take(LOOK_ENTRIES) {
            let rows = self.store.queue_latest(QueueId::Mailbox(entry.mailbox.0), LOOK).await?;
            found.extend(rows.iter().filter_map(|row| Recent::of_row(&row.payload, room)).map(|one| (one.seq, one)));
        }
        let newest = found.len().saturating_sub(RECENT);
        Ok(found.into_values().skip(newest).map(|one| (one, true)).collect())
    }

    /// Finishes the deliveries that a crash interrupted: at a start, before the sockets open.
    ///
    /// # Errors
    /// The store's.
    pub async fn resume_all(&self, now: UnixMillis) -> Result<u64, Refused> {
        let mut cursor = None;
        let mut resumed = 0;
        loop {
            let page = self.store.scan(Kind::Job.row(), cursor, 256).await?;
            for (partition, _) in &page.rows {
                let Ok(room) = RoomId::try_from(&partition.id[..]) else { continue };
                resumed += u64::from(self.cell(&room, now).await?.is_some());
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(resumed);
            }
        }
    }
}

/// The key that seals a fan-out's shared payload is the store's; its name must not tell the room.
pub(super) fn payload_id(keys: &Keys, room: &RoomId, seq: u64) -> parlour_store::PayloadId {
    let name = keys.relation.mac(b"payload", &[&room.0, &seq.to_be_bytes()]);
    let mut id = [0; 16];
    id.copy_from_slice(&name[..16]);
    parlour_store::PayloadId(id)
}
