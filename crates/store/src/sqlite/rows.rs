//! The ordered rows of a group under way: the last change of each key is kept in memory and written once, at the end.
//!
//! So a room's head changed by fifty commits of a group is sealed and written once, and a job row that is put and
//! deleted within a group costs nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    keys::{Keys, PartitionTag},
    record::{RowPlace, open_row, seal_row},
    schema::from_sql,
};
use crate::{KeyRange, PartitionId, RowBatch, RowKind, StoreError, UnixTime, Write};

const SELECT: &str = "SELECT kind, expires, data FROM row WHERE part = ?1 AND key = ?2";
const UPSERT: &str = "INSERT INTO row(part, key, kind, expires, written, data, id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT(part, key) DO UPDATE SET kind = ?3, expires = ?4, written = ?5, data = ?6";
const DELETE: &str = "DELETE FROM row WHERE part = ?1 AND key = ?2";
const DELETE_FROM: &str = "DELETE FROM row WHERE part = ?1 AND key >= ?2";
const DELETE_BETWEEN: &str = "DELETE FROM row WHERE part = ?1 AND key >= ?2 AND key < ?3";

/// The rows that a group has changed so far.
pub(super) struct RowStage<'a> {
    db: &'a Connection,
    keys: &'a Keys,
    rng: &'a mut ChaCha20Rng,
    now: UnixTime,
    changed: BTreeMap<(PartitionTag, Vec<u8>), Change>,
}

enum Change {
    Put { partition: PartitionId, value: Bytes, kind: RowKind, expires: Option<UnixTime>, new: bool },
    Delete,
}

impl<'a> RowStage<'a> {
    pub(super) fn new(db: &'a Connection, keys: &'a Keys, rng: &'a mut ChaCha20Rng, now: UnixTime) -> Self {
        Self { db, keys, rng, now, changed: BTreeMap::new() }
    }

    /// Judges a batch's asserts and notes its writes; gives the assert that does not hold, if there is one.
    pub(super) fn apply(&mut self, batch: &RowBatch) -> Result<Option<usize>, StoreError> {
        let tag = self.keys.partition_tag(&batch.partition);
        for (index, assert) in batch.asserts.iter().enumerate() {
            if !assert.holds(self.stored(tag, assert.key())?.as_deref()) {
                return Ok(Some(index));
            }
        }
        for write in &batch.writes {
            let (key, change) = match write {
                Write::Put { key, value, kind, expires, new } => {
                    let expires = expires.map(UnixTime::rounded_up_to_hour);
                    let partition = batch.partition.clone();
                    let new = *new || self.is_new(tag, key);
                    (key, Change::Put { partition, value: value.clone(), kind: *kind, expires, new })
                }
                Write::Delete { key } if self.is_new(tag, key) => {
                    self.changed.remove(&(tag, key.clone()));
                    continue;
                }
                Write::Delete { key } => (key, Change::Delete),
                Write::DeleteRange(range) => {
                    self.delete_range(tag, range)?;
                    continue;
                }
            };
            self.changed.insert((tag, key.clone()), change);
        }
        Ok(None)
    }

    /// Whether the row under `key` exists only in this group so far.
    fn is_new(&self, tag: PartitionTag, key: &[u8]) -> bool {
        matches!(self.changed.get(&(tag, key.to_vec())), Some(Change::Put { new: true, .. }))
    }

    /// The live value under `key`, as the group has left it.
    fn stored(&self, tag: PartitionTag, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.changed.get(&(tag, key.to_vec())) {
            Some(Change::Delete) => return Ok(None),
            Some(Change::Put { value, expires, .. }) => {
                return Ok(expires.is_none_or(|expires| expires > self.now).then(|| value.clone()));
            }
            None => {}
        }
        let row = self
            .db
            .prepare_cached(SELECT)
            .and_then(|mut statement| {
                statement.query_row(params![tag, key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
            })
            .map_err(from_sql)?;
        let Some((kind, expires, sealed)): Option<(u8, Option<i64>, Vec<u8>)> = row else { return Ok(None) };
        if expires.is_some_and(|expires| expires <= self.now.0.cast_signed()) {
            return Ok(None);
        }
        let place = RowPlace { tag: &tag, key, kind: RowKind(kind) };
        let (_, value) = open_row(self.keys.rows(), place, sealed).ok_or(StoreError::Damaged)?;
        Ok(Some(value))
    }

    fn delete_range(&mut self, tag: PartitionTag, range: &KeyRange) -> Result<(), StoreError> {
        self.changed.retain(|(held, key), _| *held != tag || !range.contains(key));
        match &range.to {
            None => self.db.prepare_cached(DELETE_FROM).and_then(|mut s| s.execute(params![tag, range.from])),
            Some(to) => {
                self.db.prepare_cached(DELETE_BETWEEN).and_then(|mut s| s.execute(params![tag, range.from, to]))
            }
        }
        .map_err(from_sql)?;
        Ok(())
    }

    /// Writes the changes, in the order of the index.
    pub(super) fn flush(self) -> Result<(), StoreError> {
        for ((tag, key), change) in &self.changed {
            match change {
                Change::Delete => self.db.prepare_cached(DELETE).and_then(|mut s| s.execute(params![tag, key])),
                Change::Put { partition, value, kind, expires, .. } => {
                    let place = RowPlace { tag, key, kind: *kind };
                    let sealed = seal_row(self.keys.rows(), self.rng, place, partition, value);
                    let expires = expires.map(|expires| expires.0.cast_signed());
                    // A number at random: rows written together must not lie together.
                    let id = (self.rng.next_u64() >> 1).cast_signed();
                    let row = params![tag, key, kind.0, expires, self.now.day().0, sealed, id];
                    self.db.prepare_cached(UPSERT).and_then(|mut s| s.execute(row))
                }
            }
            .map_err(from_sql)?;
        }
        Ok(())
    }
}
