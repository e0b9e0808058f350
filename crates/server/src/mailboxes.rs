//! Mailboxes: which are closed, who is connected, what is acknowledged. The rows themselves are the store's queues.
//!
//! Appended rows go from the store's sink straight to the connection ([`Live`]) that has caught up; one that has not reads
//! the queue. Acknowledgements are cumulative and repeatable, so they are collected for some milliseconds and written together:
//! losing them in a crash only delivers rows once more, which engines recognise by (room, sequence).

mod live;
pub mod window;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parlour_proto::ids::{MailboxId, UnixMillis};
use parlour_store::{Batch, PartitionId, PartitionKind, QueueId, RowBatch, Seq, Sink, Store};

use window::Collected;

pub use live::{Live, Notice, RoomForRows, Taken};

use crate::{
    error::Refused,
    keys::Keys,
    retention::{Kind, Lifetimes},
    sync::{MutexExt as _, RwLockExt as _},
};

/// How long acknowledgements are collected, milliseconds.
pub const ACK_EVERY_MS: u64 = 25;

const SHARDS: usize = 16;

/// Who is connected now.
#[derive(Debug, Default)]
pub struct Connected {
    shards: [RwLock<HashMap<MailboxId, Arc<Live>>>; SHARDS],
}

impl Connected {
    fn shard(&self, mailbox: &MailboxId) -> &RwLock<HashMap<MailboxId, Arc<Live>>> {
        &self.shards[usize::from(mailbox.0[0]) % SHARDS]
    }

    fn find(&self, mailbox: &MailboxId) -> Option<Arc<Live>> {
        self.shard(mailbox).reading().get(mailbox).cloned()
    }
}

impl Sink for Connected {
    fn appended(&self, queue: QueueId, seq: Seq, _head: Bytes, payload: Bytes) {
        let QueueId::Mailbox(id) = queue;
        let mailbox = MailboxId(id);
        let shard = self.shard(&mailbox).reading();
        if let Some(live) = shard.get(&mailbox) {
            live.offer(seq, payload);
        }
    }
}

/// All mailboxes of this server.
#[derive(Debug)]
pub struct Mailboxes<S> {
    store: S,
    keys: Arc<Keys>,
    connected: Arc<Connected>,
    closed: RwLock<HashSet<[u8; 32]>>,
    closings: AtomicU64,
    acks: Mutex<Collected<MailboxId>>,
}

impl<S: Store> Mailboxes<S> {
    /// The mailboxes of `store`; reads which ones are closed, and listens for appended rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(store: S, keys: Arc<Keys>) -> Result<Self, Refused> {
        let connected = Arc::new(Connected::default());
        store.attach(connected.clone());
        let mut closed = HashSet::new();
        for row in store.range(&closed_partition(), &parlour_store::KeyRange::all(), usize::MAX).await? {
            closed.extend(<[u8; 32]>::try_from(row.key.as_slice()));
        }
        let acks = Mutex::default();
        Ok(Self { store, keys, connected, closed: RwLock::new(closed), closings: AtomicU64::new(0), acks })
    }

    /// A number that grows whenever a mailbox is closed.
    pub fn closings(&self) -> u64 {
        self.closings.load(Ordering::Acquire)
    }

    /// Whether the mailbox is closed for good.
    pub fn is_closed(&self, mailbox: &MailboxId) -> bool {
        let closed = self.closed.reading();
        !closed.is_empty() && closed.contains(&self.closed_name(mailbox))
    }

    /// Deletes all its rows, closes its socket, and remembers that it is gone. Can be repeated.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(&self, mailbox: MailboxId, notice: Notice, now: UnixMillis) -> Result<(), Refused> {
        self.closed.writing().insert(self.closed_name(&mailbox));
        self.closings.fetch_add(1, Ordering::AcqRel);
        let _ = self.store.commit(self.closing(&mailbox, now).into()).await?;
        if let Some(live) = self.connected.find(&mailbox) {
            live.notify(notice);
        }
        Ok(())
    }

    /// What closing a mailbox writes, for a commit that leads to it; [`close`](Self::close) does the rest.
    pub(crate) fn closing(&self, mailbox: &MailboxId, now: UnixMillis) -> [Batch; 2] {
        let (name, kind) = (self.closed_name(mailbox), Kind::Closed);
        let tombstone = RowBatch::new(closed_partition()).put(
            name,
            Vec::new(),
            kind.row(),
            Lifetimes::default().expires(kind, now),
        );
        [tombstone.into(), Batch::drop_queue(QueueId::Mailbox(mailbox.0))]
    }

    fn closed_name(&self, mailbox: &MailboxId) -> [u8; 32] {
        self.keys.relation.mac(b"closed mailbox", &[&mailbox.0])
    }

    /// Connects a socket; an older socket of the same mailbox is told to go.
    pub fn connect(&self, mailbox: MailboxId) -> Arc<Live> {
        let live = Arc::new(Live::default());
        let older = self.connected.shard(&mailbox).writing().insert(mailbox, live.clone());
        if let Some(older) = older {
            older.notify(Notice::Replaced);
        }
        live
    }

    /// Takes a socket's connection away, unless a newer one has replaced it.
    pub fn disconnect(&self, mailbox: &MailboxId, live: &Arc<Live>) {
        let mut shard = self.connected.shard(mailbox).writing();
        if shard.get(mailbox).is_some_and(|found| Arc::ptr_eq(found, live)) {
            shard.remove(mailbox);
        }
    }

    /// Tells a connected mailbox something; nothing happens if it is not connected.
    pub fn notify(&self, mailbox: &MailboxId, notice: Notice) {
        if let Some(live) = self.connected.find(mailbox) {
            live.notify(notice);
        }
    }

    /// Hands a push to a connected mailbox that has caught up; nothing happens if there is none.
    pub(crate) fn whisper(&self, mailbox: &MailboxId, frame: &Bytes) {
        if let Some(live) = self.connected.shard(mailbox).reading().get(mailbox) {
            live.whisper(frame);
        }
    }

    /// Tells all connected mailboxes something.
    pub fn notify_all(&self, notice: Notice) {
        for shard in &self.connected.shards {
            shard.reading().values().for_each(|live| live.notify(notice));
        }
    }

    /// Remembers an acknowledgement for the next [`flush_acks`](Self::flush_acks).
    pub fn ack(&self, mailbox: MailboxId, seq: Seq) {
        self.acks.locked().add(mailbox, seq);
    }

    /// Where a connecting device goes on: behind what it has acknowledged and what is not yet written.
    pub fn acked(&self, mailbox: &MailboxId) -> Seq {
        self.acks.locked().of(mailbox)
    }

    /// Writes the collected acknowledgements, if there are any.
    ///
    /// # Errors
    /// The store's; they are kept for the next try.
    pub async fn flush_acks(&self) -> Result<(), Refused> {
        let taken = self.acks.locked().to_write();
        if taken.is_empty() {
            return Ok(());
        }
        let batches = taken.iter().map(|(mailbox, seq)| Batch::ack(QueueId::Mailbox(mailbox.0), *seq)).collect();
        let _ = self.store.commit(batches).await?;
        self.acks.locked().written(taken);
        Ok(())
    }
}

fn closed_partition() -> PartitionId {
    PartitionId::new(PartitionKind::Meta, b"closed mailboxes")
}
