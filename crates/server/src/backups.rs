//! An account's backup: chunks that its devices sealed, in its own partition. The server knows their number and sizes.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::{Answer, MAX_BACKUP_CHUNK_BYTES, MAX_BACKUP_CHUNKS},
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
/// Most chunks of an account: 32 MiB.
const MOST: u32 = 512;
/// How often a lost race for the count is run again.
const RACES: usize = 16;
const _: () = assert!(MOST as usize * MAX_BACKUP_CHUNK_BYTES <= 32 << 20);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct Count(#[n(0)] u32);

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

async fn change<S: Store>(store: &S, id: &AccountId, name: &[u8; 16], chunk: Option<Bytes>) -> Result<(), Refused> {
    let (partition, key) = (account_partition(id), chunk_key(name));
    for _ in 0..RACES {
        let before = store.get(&partition, COUNT).await?.map(|row| row.value);
        let Count(count) =
            before.as_ref().map(|value| record::decode(value, "backup count")).transpose()?.unwrap_or_default();
        let is_there = store.get(&partition, &key).await?.is_some();
        let after = match (&chunk, is_there) {
            (Some(_), false) if count >= MOST => return refuse(Code::Full, "a backup has at most 512 chunks"),
            (Some(_), false) => count + 1,
            (None, true) => count.saturating_sub(1),
            (None, false) => return Ok(()),
            (Some(_), true) => count,
        };
        let batch = RowBatch::new(partition.clone()).present(PROFILE);
        let batch = match before {
            Some(before) => batch.equals(COUNT, before),
            None => batch.absent(COUNT),
        };
        let batch = if is_there { batch.present(key.clone()) } else { batch.absent(key.clone()) };
        let batch = match &chunk {
            Some(chunk) => batch.put(key.clone(), chunk.clone(), Kind::Backup.row(), None),
            None => batch.delete(key.clone()),
        };
        let batch = batch.put(COUNT, record::encode(&Count(after)), Kind::BackupCount.row(), None);
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
        holds("backup count", &encode(&Count(7)));
    }
}
