//! An account's backup: chunks that its devices sealed, in its own partition. The server knows their number and sizes.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::{Answer, MAX_BACKUP_BYTES, MAX_BACKUP_CHUNKS, MAX_BACKUP_NAMES},
    ids::AccountId,
    problem::Code,
};
use parlour_store::{KeyRange, RowBatch, Store};

use crate::{
    accounts::{PROFILE, account_partition},
    error::{Refused, refuse},
    record,
    retention::Kind,
};

const COUNT: &[u8] = b"C";
/// How often a lost race for the count is run again.
const RACES: usize = 16;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct Count {
    #[n(0)]
    chunks: u32,
    /// `None` where they were not counted yet.
    #[n(1)]
    bytes: Option<u64>,
}

impl Count {
    const NOTHING: Self = Self { chunks: 0, bytes: Some(0) };

    fn bytes(&self) -> u64 {
        self.bytes.unwrap_or_default()
    }

    /// With a chunk of so many bytes in the place of another one (`None`: no chunk).
    fn with(self, chunk: Option<usize>, instead_of: Option<usize>) -> Self {
        let chunks = (self.chunks + u32::from(chunk.is_some())).saturating_sub(u32::from(instead_of.is_some()));
        let bytes = (self.bytes() + chunk.unwrap_or(0) as u64).saturating_sub(instead_of.unwrap_or(0) as u64);
        Self { chunks, bytes: Some(bytes) }
    }

    fn fits(&self) -> bool {
        self.chunks <= MAX_BACKUP_NAMES && self.bytes() <= MAX_BACKUP_BYTES
    }
}

fn chunk_key(name: &[u8; 16]) -> Vec<u8> {
    [b"c", &name[..]].concat()
}

/// Stores a chunk in the place of the one of this name.
///
/// # Errors
/// `Full` when there are too many; the store's.
pub(crate) async fn put<S: Store>(store: &S, id: &AccountId, name: &[u8; 16], chunk: Bytes) -> Result<(), Refused> {
    change(store, id, name, Some(chunk)).await
}

/// Deletes a chunk, if it is there.
///
/// # Errors
/// The store's.
pub(crate) async fn erase<S: Store>(store: &S, id: &AccountId, name: &[u8; 16]) -> Result<(), Refused> {
    change(store, id, name, None).await
}

/// The bytes, too, where only chunks were counted.
async fn counted<S: Store>(store: &S, id: &AccountId, count: Count) -> Result<Count, Refused> {
    if count.bytes.is_some() {
        return Ok(count);
    }
    let rows = store.range(&account_partition(id), &KeyRange::prefix(b"c".to_vec()), usize::MAX).await?;
    let bytes = rows.iter().filter(|row| row.key.len() == chunk_key(&[0; 16]).len()).map(|row| row.value.len() as u64);
    Ok(Count { bytes: Some(bytes.sum()), ..count })
}

async fn change<S: Store>(store: &S, id: &AccountId, name: &[u8; 16], chunk: Option<Bytes>) -> Result<(), Refused> {
    let (partition, key) = (account_partition(id), chunk_key(name));
    for _ in 0..RACES {
        let before = store.get(&partition, COUNT).await?.map(|row| row.value);
        let count = before.as_ref().map(|value| record::decode(value, "backup count")).transpose()?;
        let count = counted(store, id, count.unwrap_or(Count::NOTHING)).await?;
        let there = store.get(&partition, &key).await?.map(|row| row.value.len());
        if chunk.is_none() && there.is_none() {
            return Ok(());
        }
        let after = count.with(chunk.as_ref().map(Bytes::len), there);
        // What makes it smaller always goes.
        if !after.fits() && (after.chunks > count.chunks || after.bytes() > count.bytes()) {
            return refuse(Code::Full, "a backup has at most 2048 chunks and 48 MiB");
        }
        let batch = RowBatch::new(partition.clone()).present(PROFILE);
        let batch = match before {
            Some(before) => batch.equals(COUNT, before),
            None => batch.absent(COUNT),
        };
        let batch = if there.is_some() { batch.present(key.clone()) } else { batch.absent(key.clone()) };
        let batch = match &chunk {
            Some(chunk) => batch.put(key.clone(), chunk.clone(), Kind::Backup.row(), None),
            None => batch.delete(key.clone()),
        };
        let batch = batch.put(COUNT, record::encode(&after), Kind::BackupCount.row(), None);
        if store.commit(vec![batch.into()]).await?.is_applied() {
            return Ok(());
        }
    }
    refuse(Code::SlowDown, "too many changes at once; try again")
}

/// The chunks above `after`, by name, as many as fit into an answer.
///
/// # Errors
/// The store's.
pub(crate) async fn page<S: Store>(store: &S, id: &AccountId, after: Option<[u8; 16]>) -> Result<Answer, Refused> {
    // The first key above the name, up to the next kind of key.
    let from = after.map_or(b"c".to_vec(), |name| [&chunk_key(&name)[..], &[0]].concat());
    let range = KeyRange::new(from, b"d".to_vec());
    let rows = store.range(&account_partition(id), &range, MAX_BACKUP_CHUNKS + 1).await?;
    let chunks = rows.into_iter().filter_map(|row| Some((row.key.get(1..)?.try_into().ok()?, row.value)));
    let mut chunks: Vec<([u8; 16], Bytes)> = chunks.collect();
    let more = chunks.len() > MAX_BACKUP_CHUNKS;
    chunks.truncate(MAX_BACKUP_CHUNKS);
    Ok(Answer::Backup { chunks, more })
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        holds("backup count", &encode(&Count { chunks: 7, bytes: None }));
        holds("backup count with bytes", &encode(&Count { chunks: 7, bytes: Some(70_000) }));
    }

    #[test]
    fn a_record_without_bytes_is_read_and_sums_follow_what_is_put_and_dropped() {
        let old: Count = record::decode(&encode(&Count { chunks: 3, bytes: None }), "count").unwrap();
        assert_eq!((old.chunks, old.bytes), (3, None));
        let after = Count::NOTHING.with(Some(50), None).with(Some(10), None).with(Some(70), Some(50));
        assert_eq!(after, Count { chunks: 2, bytes: Some(80) });
        assert_eq!(after.with(None, Some(10)), Count { chunks: 1, bytes: Some(70) });
    }
}
