//! Delivery: a job in the room's partition, rows into the mailboxes, the end of the job. Resumed from its watermark.

use bytes::{BufMut as _, Bytes, BytesMut};
use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::{Row, RowBody},
    ids::{MailboxId, MemberKey, RoomId, UnixMillis},
    wire,
};
use parlour_store::{Batch, Payload, QueueId, QueueWrite, RowBatch, Store, UnixDay};

use super::{
    Rooms,
    cell::{job_key, partition, payload_id},
};
use crate::{error::Refused, record, retention::Kind};

/// Appends between two watermarks of one delivery.
const CHUNK: usize = 256;

/// First byte of a mailbox row's payload: what the rest is.
mod stored {
    /// A row as on the wire, without its mailbox sequence.
    pub(super) const ROW: u8 = 0;
    /// A pointer to a commit in the log: room, sequence.
    pub(super) const COMMIT: u8 = 1;
    /// A Welcome, whose shared part is in the log.
    pub(super) const WELCOME: u8 = 2;
}

/// A mailbox row as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// The bytes of the wire, but the mailbox sequence.
    Row(Bytes),
    /// In the log of a room, at a sequence.
    Commit(RoomId, u64),
    /// A Welcome, to be completed from the log of a room.
    Welcome(RoomId, u64, Box<WelcomeRecord>),
}

/// A joiner's part of a Welcome.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct WelcomeRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) room: [u8; 16],
    #[n(1)]
    pub(super) seq: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(super) member_key: [u8; 32],
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(super) part: Vec<u8>,
    #[n(4)]
    pub(super) asked: bool,
}

impl Stored {
    /// Reads a mailbox row's payload.
    pub fn parse(payload: &Bytes) -> Option<Self> {
        let (&first, rest) = payload.split_first()?;
        match first {
            stored::ROW => Some(Self::Row(payload.slice(1..))),
            stored::COMMIT => {
                let room = RoomId::try_from(rest.get(..16)?).ok()?;
                Some(Self::Commit(room, u64::from_be_bytes(rest.get(16..24)?.try_into().ok()?)))
            }
            stored::WELCOME => {
                let record: WelcomeRecord = record::decode(rest, "welcome").ok()?;
                Some(Self::Welcome(RoomId(record.room), record.seq, Box::new(record)))
            }
            _ => None,
        }
    }
}

/// The payload of a message (or knock, or successor) row.
pub(super) fn row_payload(room: RoomId, room_seq: u64, time: UnixMillis, body: RowBody) -> Bytes {
    let row = wire::encode_row(&Row { seq: 0, room, room_seq, time, body });
    let mut out = BytesMut::with_capacity(row.len() + 1);
    out.put_u8(stored::ROW);
    out.put_slice(&row);
    out.freeze()
}

pub(super) fn commit_payload(room: &RoomId, seq: u64) -> Bytes {
    [&[stored::COMMIT][..], &room.0, &seq.to_be_bytes()].concat().into()
}

pub(super) fn welcome_payload(room: &RoomId, seq: u64, member_key: &MemberKey, part: &[u8], asked: bool) -> Bytes {
    let record = WelcomeRecord { room: room.0, seq, member_key: member_key.0, part: part.to_vec(), asked };
    [vec![stored::WELCOME], record::encode(&record)].concat().into()
}

/// A delivery under way.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct Job {
    #[n(0)]
    pub(super) seq: u64,
    /// The row for all of `to`.
    #[cbor(n(1), with = "record::shared_bytes")]
    pub(super) payload: Bytes,
    /// Mailboxes, 16 bytes each.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(super) to: Vec<u8>,
    /// Rows of their own.
    #[n(3)]
    pub(super) own: Vec<OwnRow>,
    /// How many of `to` and `own` are done.
    #[n(4)]
    pub(super) done: u32,
    #[n(5)]
    pub(super) time: u64,
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct OwnRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) mailbox: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(super) payload: Vec<u8>,
}

impl Job {
    pub(super) fn new(seq: u64, payload: &Bytes, to: &[MailboxId], time: UnixMillis) -> Self {
        let to = to.iter().flat_map(|mailbox| mailbox.0).collect();
        Self { seq, payload: payload.clone(), to, own: Vec::new(), done: 0, time: time.0 }
    }

    /// The write that makes the job.
    pub(super) fn put(&self, batch: RowBatch) -> RowBatch {
        let about = self.payload.len() + self.to.len() + 64 * (self.own.len() + 1);
        batch.put_new(job_key(self.seq), record::encode_sized(self, about), Kind::Job.row())
    }
}

impl<S: Store> Rooms<S> {
    /// The batches of a delivery after the one that holds the job.
    pub(super) fn delivery(&self, room: &RoomId, mut job: Job, payload: Bytes) -> Vec<Batch> {
        let time = UnixMillis(job.time);
        let expires = self.limits.lifetimes.mailbox_row_expires(time);
        let to = std::mem::take(&mut job.to);
        let own = std::mem::take(&mut job.own);
        let rows = to.chunks_exact(16).map(|mailbox| (mailbox.try_into().expect("chunks of 16"), None));
        let rows: Vec<([u8; 16], Option<Bytes>)> =
            rows.chain(own.iter().map(|own| (own.mailbox, Some(Bytes::from(own.payload.clone()))))).collect();
        let mut batches = Vec::with_capacity(rows.len() + 2);
        let shared = rows.iter().filter(|(_, own)| own.is_none()).count() > 2 && payload.len() > 64;
        let id = if shared { Some(payload_id(&self.keys, room, job.seq)) } else { None };
        let mut since_mark = 0;
        for (at, (mailbox, own)) in rows.iter().enumerate().skip(job.done as usize) {
            if since_mark == CHUNK {
                since_mark = 0;
                let mark = Job {
                    seq: job.seq,
                    payload: payload.clone(),
                    to: to.clone(),
                    own: own_clone(&rows, to.len() / 16),
                    done: at as u32,
                    time: job.time,
                };
                let mark =
                    RowBatch::new(partition(room)).put(job_key(mark.seq), record::encode(&mark), Kind::Job.row(), None);
                batches.push(mark.into());
            }
            since_mark += 1;
            let content = match (own, id) {
                (Some(own), _) => Payload::Inline(own.clone()),
                (None, Some(id)) => Payload::Shared { id, data: payload.clone() },
                (None, None) => Payload::Inline(payload.clone()),
            };
            batches.push(append(QueueId::Mailbox(*mailbox), content, expires));
        }
        batches.push(RowBatch::new(partition(room)).delete(job_key(job.seq)).into());
        batches
    }

    /// The rest of a delivery, but for mailboxes that were closed since it began.
    fn without_closed(&self, mut job: Job) -> Job {
        let open = |mailbox: &[u8]| mailbox.try_into().is_ok_and(|id| !self.mailboxes.is_closed(&MailboxId(id)));
        let done = job.done as usize;
        let to = job.to.chunks_exact(16).enumerate();
        let to: Vec<u8> = to.filter(|(at, to)| *at >= done && open(to)).flat_map(|(_, to)| to.to_vec()).collect();
        let own_done = done.saturating_sub(job.to.len() / 16);
        job.own = job.own.into_iter().skip(own_done).filter(|own| open(&own.mailbox)).collect();
        (job.to, job.done) = (to, 0);
        job
    }

    /// Finishes a delivery that a crash interrupted.
    pub(super) async fn resume(&self, room: &RoomId, value: &[u8]) -> Result<(), Refused> {
        let job: Job = record::decode(value, "job")?;
        let job = self.without_closed(job);
        let payload = job.payload.clone();
        let batches = self.delivery(room, job, payload);
        let _ = self.store.commit(batches).await?;
        Ok(())
    }
}

fn own_clone(rows: &[([u8; 16], Option<Bytes>)], from: usize) -> Vec<OwnRow> {
    let own = rows.iter().skip(from);
    own.filter_map(|(mailbox, own)| Some(OwnRow { mailbox: *mailbox, payload: own.as_ref()?.to_vec() })).collect()
}

fn append(queue: QueueId, payload: Payload, expires: UnixDay) -> Batch {
    let write = QueueWrite::Append { head: Bytes::new(), payload, expires };
    parlour_store::QueueBatch { queue, writes: vec![write] }.into()
}

#[cfg(test)]
mod stored_bytes {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let (payload, time) = (Bytes::from_static(b"payload"), UnixMillis(1_700_000_000_000));
        let job = Job::new(300, &payload, &[MailboxId([1; 16]), MailboxId([2; 16])], time);
        holds("delivery under way", &encode(&job));
        let own = vec![OwnRow { mailbox: [3; 16], payload: vec![4; 3] }];
        holds("delivery under way, own rows", &encode(&Job { own, done: 1, ..job }));
        let (room, key) = (RoomId([5; 16]), MemberKey([6; 32]));
        holds("mailbox row, commit", &commit_payload(&room, 300));
        holds("mailbox row, Welcome", &welcome_payload(&room, 300, &key, b"part", true));
        let body = RowBody::Message {
            message_id: parlour_proto::ids::MessageId([7; 16]),
            tag: [8; 32],
            stamp: [9; 32],
            payload,
        };
        holds("mailbox row, message", &row_payload(room, 300, time, body));
    }
}
