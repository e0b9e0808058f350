//! The ordered rows of a group under way: the last change of each key is kept in memory and written once, at the end.
//!
//! So a room's head changed by fifty commits of a group is sealed and written once, and a job row that is put and
//! deleted within a group costs nothing.

use std::collections::{BTreeMap, HashMap};

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

/// The rows that a group has changed so far. The batches are only borrowed, and a partition's tag is worked out only when the
/// database is asked: most of what a group writes it deletes again.
pub(super) struct RowStage<'g, 'a> {
    db: &'a Connection,
    keys: &'a Keys,
    rng: &'a mut ChaCha20Rng,
    now: UnixTime,
    changed: HashMap<&'g PartitionId, Changes<'g>>,
}

type Changes<'g> = BTreeMap<&'g [u8], Change<'g>>;

enum Change<'g> {
    Put { value: &'g Bytes, kind: RowKind, expires: Option<UnixTime>, new: bool },
    Delete,
}

impl<'g, 'a> RowStage<'g, 'a> {
    pub(super) fn new(db: &'a Connection, keys: &'a Keys, rng: &'a mut ChaCha20Rng, now: UnixTime) -> Self {
        Self { db, keys, rng, now, changed: HashMap::new() }
    }

    /// Judges a batch's asserts and notes its writes; gives the assert that does not hold, if there is one.
    pub(super) fn apply(&mut self, batch: &'g RowBatch) -> Result<Option<usize>, StoreError> {
        for (index, assert) in batch.asserts.iter().enumerate() {
            if !assert.holds(self.stored(&batch.partition, assert.key())?.as_deref()) {
                return Ok(Some(index));
            }
        }
        let changed = self.changed.entry(&batch.partition).or_default();
        for write in &batch.writes {
            match write {
                Write::Put { key, value, kind, expires, new } => {
                    let expires = expires.map(UnixTime::rounded_up_to_hour);
                    let new = *new || is_new(changed, key);
                    changed.insert(key, Change::Put { value, kind: *kind, expires, new });
                }
                Write::Delete { key } if is_new(changed, key) => {
                    changed.remove(&key[..]);
                }
                Write::Delete { key } => {
                    changed.insert(key, Change::Delete);
                }
                Write::DeleteRange(range) => {
                    changed.retain(|key, _| !range.contains(key));
                    delete_range(self.db, self.keys.partition_tag(&batch.partition), range)?;
                }
            }
        }
        Ok(None)
    }

    /// The live value under `key`, as the group has left it.
    fn stored(&self, partition: &PartitionId, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.changed.get(partition).and_then(|changed| changed.get(key)) {
            Some(Change::Delete) => return Ok(None),
            Some(Change::Put { value, expires, .. }) => {
                return Ok(expires.is_none_or(|expires| expires > self.now).then(|| Bytes::clone(value)));
            }
            None => {}
        }
        let tag = self.keys.partition_tag(partition);
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

    /// Writes the changes, in the order of the index.
    pub(super) fn flush(self) -> Result<(), StoreError> {
        let changed = self.changed.into_iter().filter(|(_, changed)| !changed.is_empty());
        let mut changed: Vec<(PartitionTag, &PartitionId, Changes<'_>)> =
            changed.map(|(partition, changed)| (self.keys.partition_tag(partition), partition, changed)).collect();
        changed.sort_unstable_by_key(|(tag, ..)| *tag);
        for (tag, partition, changed) in &changed {
            for (key, change) in changed {
                match change {
                    Change::Delete => self.db.prepare_cached(DELETE).and_then(|mut s| s.execute(params![tag, key])),
                    Change::Put { value, kind, expires, .. } => {
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
        }
        Ok(())
    }
}

/// Whether the row under `key` exists only in this group so far.
fn is_new(changed: &Changes<'_>, key: &[u8]) -> bool {
    matches!(changed.get(key), Some(Change::Put { new: true, .. }))
}

fn delete_range(db: &Connection, tag: PartitionTag, range: &KeyRange) -> Result<(), StoreError> {
    match &range.to {
        None => db.prepare_cached(DELETE_FROM).and_then(|mut s| s.execute(params![tag, range.from])),
        Some(to) => db.prepare_cached(DELETE_BETWEEN).and_then(|mut s| s.execute(params![tag, range.from, to])),
    }
    .map_err(from_sql)?;
    Ok(())
}
