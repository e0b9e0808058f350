//! The log of handshake rows: commits with their Welcome's shared part, and what undoing them needs.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use bytes::Bytes;
use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::{Log, MemberProof, Row, RowBody},
    ids::{Digest, MemberKey, MessageId, RoomId, UnixMillis},
    problem::{Code, Problem},
    wire,
};
use parlour_store::{KeyRange, Store};

use super::{
    Rooms,
    cell::{log_key, partition},
    fanout::Stored,
    no_such_room,
    state::UndoRecord,
};
use crate::{
    error::{Refused, refuse},
    record,
    sync::MutexExt as _,
};

/// Rows in one answer.
const PAGE_ROWS: usize = 64;
/// Bytes in one answer; one row is always given.
const PAGE_BYTES: usize = 1024 * 1024;

/// One commit in the log.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct LogRecord {
    #[n(0)]
    pub(super) seq: u64,
    #[n(1)]
    pub(super) time: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(super) commit_id: [u8; 16],
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(super) payload: Vec<u8>,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(super) next_send_key: [u8; 32],
    #[n(5)]
    pub(super) voids: Vec<u64>,
    #[cbor(n(6), with = "minicbor::bytes")]
    pub(super) member_key: [u8; 32],
    /// The Welcome's part for all joiners.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub(super) shared: Option<Vec<u8>>,
    /// The head before.
    #[n(8)]
    pub(super) head_before: u64,
    /// The send key before.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub(super) send_key_before: [u8; 32],
    #[n(10)]
    pub(super) undo: Vec<UndoRecord>,
    /// What it does to entries, as members are told.
    #[cbor(n(11), with = "minicbor::bytes")]
    pub(super) entries: [u8; 32],
    /// The room was in attributed mode before: `true`, or nothing.
    #[n(12)]
    pub(super) attributed_before: Option<bool>,
}

impl LogRecord {
    fn row(&self, room: RoomId) -> Row {
        let body = RowBody::Commit {
            commit_id: MessageId(self.commit_id),
            payload: Bytes::from(self.payload.clone()),
            next_send_key: Digest(self.next_send_key),
            voids: self.voids.clone(),
            member_key: MemberKey(self.member_key),
            entries: Digest(self.entries),
        };
        Row { seq: 0, room, room_seq: self.seq, time: UnixMillis(self.time), body }
    }
}

/// A log row as pushing needs it.
#[derive(Clone)]
struct Prepared {
    row: Bytes,
    shared: Bytes,
    time: UnixMillis,
}

/// Log rows that were resolved not long ago: five hundred members want the same one.
#[derive(Default)]
pub(super) struct LogCache(Mutex<CacheInner>);

#[derive(Default)]
struct CacheInner {
    rows: HashMap<(RoomId, u64), Prepared>,
    order: VecDeque<(RoomId, u64)>,
    bytes: usize,
}

const CACHE_BYTES: usize = 4 * 1024 * 1024;

impl LogCache {
    fn find(&self, room: RoomId, seq: u64) -> Option<Prepared> {
        self.0.locked().rows.get(&(room, seq)).cloned()
    }

    fn insert(&self, room: RoomId, seq: u64, prepared: Prepared) {
        let mut inner = self.0.locked();
        inner.bytes += prepared.row.len() + prepared.shared.len();
        if inner.rows.insert((room, seq), prepared).is_none() {
            inner.order.push_back((room, seq));
        }
        while inner.bytes > CACHE_BYTES && inner.order.len() > 1 {
            let Some(oldest) = inner.order.pop_front() else { break };
            if let Some(gone) = inner.rows.remove(&oldest) {
                inner.bytes -= gone.row.len() + gone.shared.len();
            }
        }
    }
}

impl<S: Store> Rooms<S> {
    pub(super) async fn log_record(&self, room: &RoomId, seq: u64) -> Result<Option<LogRecord>, Refused> {
        let Some(row) = self.store.get(&partition(room), &log_key(seq)).await? else { return Ok(None) };
        Ok(Some(record::decode(&row.value, "log row")?))
    }

    /// The wire bytes of a stored mailbox row, if no read is needed; `Err` gives it back.
    ///
    /// # Errors
    /// The row itself, for [`resolve`](Self::resolve).
    pub fn resolve_now(&self, stored: Stored) -> Result<Bytes, Stored> {
        match stored {
            Stored::Row(row) => Ok(row),
            Stored::Commit(room, seq) => {
                self.log_cache.find(room, seq).map(|found| found.row).ok_or(Stored::Commit(room, seq))
            }
            welcome @ Stored::Welcome(..) => Err(welcome),
        }
    }

    /// The wire bytes of a stored mailbox row; `None` when the log row that it points to is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn resolve(&self, stored: Stored) -> Result<Option<Bytes>, Refused> {
        match stored {
            Stored::Row(row) => Ok(Some(row)),
            Stored::Commit(room, seq) => Ok(self.prepared(room, seq).await?.map(|found| found.row)),
            Stored::Welcome(room, seq, own) => Ok(self.prepared(room, seq).await?.map(|found| {
                let body = RowBody::Welcome {
                    member_key: MemberKey(own.member_key),
                    shared: found.shared,
                    part: Bytes::from(own.part),
                    asked: own.asked,
                };
                wire::encode_row(&Row { seq: 0, room, room_seq: seq, time: found.time, body }).into()
            })),
        }
    }

    async fn prepared(&self, room: RoomId, seq: u64) -> Result<Option<Prepared>, Refused> {
        if let Some(found) = self.log_cache.find(room, seq) {
            return Ok(Some(found));
        }
        let Some(record) = self.log_record(&room, seq).await? else { return Ok(None) };
        let row = wire::encode_row(&record.row(room)).into();
        let time = UnixMillis(record.time);
        let prepared = Prepared { row, shared: record.shared.unwrap_or_default().into(), time };
        self.log_cache.insert(room, seq, prepared.clone());
        Ok(Some(prepared))
    }

    /// Handshake rows above `after`, for an open entry.
    ///
    /// # Errors
    /// `NoSuchRoom`, `BadSignature`, `NoRight` for an asked entry, `LogGone`.
    pub async fn fetch_log(
        &self,
        room: RoomId,
        after: u64,
        proof: &MemberProof,
        now: UnixMillis,
    ) -> Result<Log, Refused> {
        let cell = self.cell(&room, now).await?.ok_or_else(no_such_room)?;
        let state = cell.state();
        let entry = self.proven(&state, "log", &room, proof, &after.to_be_bytes(), now)?;
        if !entry.open {
            return refuse(Code::NoRight, "open the entry first");
        }
        let range = KeyRange { from: log_key(after.saturating_add(1)), to: Some(log_key(u64::MAX)) };
        let stored = self.store.range(&partition(&room), &range, PAGE_ROWS + 1).await?;
        let mut rows: Vec<Row> = Vec::new();
        let (mut bytes, mut previous) = (0, after);
        for row in stored.iter().take(PAGE_ROWS) {
            let record: LogRecord = record::decode(&row.value, "log row")?;
            if record.head_before > previous {
                let problem =
                    Problem::new(Code::LogGone, "the log does not go back that far; rebuild the conversation");
                return Err(problem.into());
            }
            bytes += record.payload.len();
            if bytes > PAGE_BYTES && !rows.is_empty() {
                break;
            }
            previous = record.seq;
            rows.push(record.row(room));
        }
        if rows.is_empty() && state.head > after {
            return refuse(Code::LogGone, "the log does not go back that far; rebuild the conversation");
        }
        let more = rows.len() < stored.len();
        Ok(Log { head: state.head, rows, more, successor: state.successor })
    }
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let undo = super::super::state::Undo { slot: 4, before: None };
        let log = LogRecord {
            seq: 300,
            time: 1_700_000_000_000,
            commit_id: [1; 16],
            payload: vec![2; 5],
            next_send_key: [3; 32],
            voids: vec![298, 299],
            member_key: [4; 32],
            shared: Some(vec![5; 3]),
            head_before: 297,
            send_key_before: [6; 32],
            undo: super::super::state::undo_records(&[undo]),
            entries: [7; 32],
            attributed_before: None,
        };
        holds("handshake log row", &encode(&log));
        holds("handshake log row, no Welcome", &encode(&LogRecord { shared: None, undo: Vec::new(), ..log }));
    }
}
