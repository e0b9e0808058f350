//! Key package pools of a device: for door tokens, for strangers, and one last resort. A claimed package is deleted in the
//! same batch that moves the counter on, so that it is given out once (`DESIGN.md` §4).

use bytes::Bytes;
use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::{KeyPackageUpload, Pool},
    ids::{DeviceId, MemberKey},
    problem::Code,
};
use parlour_store::{KeyRange, RowBatch, Store, UnixTime};

use crate::{
    accounts::{DEVICE, device_partition},
    error::{Refused, refuse},
    record,
    retention::Kind,
};

const COUNTS: &[u8] = b"n";
const LAST: &[u8] = b"L";
/// Packages a pool holds at most; what goes beyond is not taken.
const MOST: u64 = 128;
/// Below this a pool runs low.
pub const LOW: u32 = 20;
/// How often a lost race for the counter is run again.
const RACES: usize = 16;

/// Which packages there are: indices `first..next`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct Span {
    #[n(0)]
    first: u64,
    #[n(1)]
    next: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct Counts {
    #[n(0)]
    door: Span,
    #[n(1)]
    stranger: Span,
    #[n(2)]
    has_last: bool,
    #[n(3)]
    last_used: bool,
}

impl Counts {
    /// Without what is in the pools.
    fn emptied(self) -> Self {
        let emptied = |span: Span| Span { first: span.next, next: span.next };
        Self { door: emptied(self.door), stranger: emptied(self.stranger), ..self }
    }
}

/// What is left of a device's packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// For door tokens.
    pub door: u32,
    /// For strangers.
    pub stranger: u32,
    /// The last resort was given out, or there is none.
    pub last_resort_used: bool,
}

impl Left {
    /// Whether the device should hear of it.
    pub fn is_low(&self) -> bool {
        self.door < LOW || self.stranger < LOW || self.last_resort_used
    }
}

impl From<Counts> for Left {
    fn from(counts: Counts) -> Self {
        let left = |span: Span| span.next.saturating_sub(span.first) as u32;
        Self {
            door: left(counts.door),
            stranger: left(counts.stranger),
            last_resort_used: counts.last_used || !counts.has_last,
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct PackageRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    member_key: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    key_package: Vec<u8>,
}

/// A package that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// MLS KeyPackage.
    pub key_package: Bytes,
    /// As uploaded beside it.
    pub member_key: MemberKey,
    /// It is the last resort.
    pub last_resort: bool,
    /// What is left.
    pub left: Left,
}

fn package_key(pool: Pool, index: u64) -> Vec<u8> {
    let pool = if pool == Pool::Door { b'd' } else { b's' };
    [&[b'k', pool][..], &index.to_be_bytes()].concat()
}

async fn counts<S: Store>(store: &S, device: &DeviceId) -> Result<(Counts, Option<Bytes>), Refused> {
    let Some(row) = store.get(&device_partition(device), COUNTS).await? else { return Ok((Counts::default(), None)) };
    Ok((record::decode(&row.value, "pool")?, Some(row.value)))
}

/// What is left of a device's packages.
pub(crate) async fn left<S: Store>(store: &S, device: &DeviceId) -> Result<Left, Refused> {
    Ok(counts(store, device).await?.0.into())
}

/// A batch that changes the counters, unless somebody else did first.
fn change(device: &DeviceId, before: Option<Bytes>, after: &Counts) -> RowBatch {
    let batch = RowBatch::new(device_partition(device)).present(DEVICE);
    let batch = match before {
        Some(before) => batch.equals(COUNTS, before),
        None => batch.absent(COUNTS),
    };
    batch.put(COUNTS, record::encode(after), Kind::Pool.row(), None)
}

/// Adds packages to a pool, or replaces the last resort; they are gone at `expires`.
pub(crate) async fn publish<S: Store>(
    store: &S,
    device: &DeviceId,
    pool: Pool,
    packages: &[KeyPackageUpload],
    expires: Option<UnixTime>,
) -> Result<Left, Refused> {
    for _ in 0..RACES {
        let (before, bytes) = counts(store, device).await?;
        let mut after = before;
        let mut puts = Vec::new();
        for upload in packages {
            let value = record::encode(&PackageRecord {
                member_key: upload.member_key.0,
                key_package: upload.key_package.to_vec(),
            });
            let span = match pool {
                Pool::Door => &mut after.door,
                Pool::Stranger => &mut after.stranger,
                Pool::LastResort => {
                    (after.has_last, after.last_used) = (true, false);
                    puts.push((LAST.to_vec(), value, Kind::LastResort));
                    continue;
                }
            };
            if span.next - span.first < MOST {
                puts.push((package_key(pool, span.next), value, Kind::KeyPackage));
                span.next += 1;
            }
        }
        let mut batch = change(device, bytes, &after);
        for (key, value, kind) in puts {
            batch = batch.put(key, value, kind.row(), expires);
        }
        if store.commit(vec![batch.into()]).await?.is_applied() {
            return Ok(after.into());
        }
    }
    refuse(Code::SlowDown, "too many changes at once; try again")
}

/// Takes one package of a pool, or the last resort when the pool is empty. `None` when there is nothing.
pub(crate) async fn take<S: Store>(store: &S, device: &DeviceId, pool: Pool) -> Result<Option<Taken>, Refused> {
    let partition = device_partition(device);
    for _ in 0..RACES {
        let (before, bytes) = counts(store, device).await?;
        let mut after = before;
        let span = if pool == Pool::Door { &mut after.door } else { &mut after.stranger };
        let mut found = None;
        while found.is_none() && pool != Pool::LastResort && span.first < span.next {
            found = store.get(&partition, &package_key(pool, span.first)).await?;
            span.first += 1;
        }
        let key = package_key(pool, span.first.saturating_sub(1));
        let last_resort = found.is_none();
        if last_resort {
            found = store.get(&partition, LAST).await?;
            after.last_used = true;
        }
        let Some(row) = found else { return Ok(None) };
        let mut batch = change(device, bytes, &after);
        if !last_resort {
            batch = batch.present(key.clone()).delete(key);
        }
        if after != before && !store.commit(vec![batch.into()]).await?.is_applied() {
            continue;
        }
        let record: PackageRecord = record::decode(&row.value, "key package")?;
        return Ok(Some(Taken {
            key_package: record.key_package.into(),
            member_key: MemberKey(record.member_key),
            last_resort,
            left: after.into(),
        }));
    }
    refuse(Code::SlowDown, "too many claims at once; try again")
}

/// What is left of a device's packages, and the newest that is left in each pool.
pub(crate) async fn left_and_newest<S: Store>(store: &S, device: &DeviceId) -> Result<(Left, Vec<MemberKey>), Refused> {
    let counts = counts(store, device).await?.0;
    let Counts { door, stranger, has_last, .. } = counts;
    let newest = |pool, span: Span| (span.first < span.next).then(|| package_key(pool, span.next - 1));
    let last = has_last.then(|| LAST.to_vec());
    let mut keys = Vec::new();
    for key in [newest(Pool::Door, door), newest(Pool::Stranger, stranger), last].into_iter().flatten() {
        if let Some(row) = store.get(&device_partition(device), &key).await? {
            let record: PackageRecord = record::decode(&row.value, "key package")?;
            keys.push(MemberKey(record.member_key));
        }
    }
    Ok((counts.into(), keys))
}

/// Deletes all packages of a device.
pub(crate) async fn drop_all<S: Store>(store: &S, device: &DeviceId) -> Result<Left, Refused> {
    for _ in 0..RACES {
        let (before, bytes) = counts(store, device).await?;
        let after = Counts { has_last: false, ..before.emptied() };
        let batch = change(device, bytes, &after).delete_range(KeyRange::prefix(b"k".to_vec())).delete(LAST);
        if store.commit(vec![batch.into()]).await?.is_applied() {
            return Ok(after.into());
        }
    }
    refuse(Code::SlowDown, "too many claims at once; try again")
}

/// Deletes all packages but the last resorts, which count as used: after a restore any of them may have been given out before.
pub(crate) async fn forget_all<S: Store>(store: &S) -> Result<(), Refused> {
    let mut cursor = None;
    loop {
        let page = store.scan(Kind::Pool.row(), cursor, 256).await?;
        for (partition, row) in page.rows {
            let before: Counts = record::decode(&row.value, "pool")?;
            let after = Counts { last_used: before.has_last, ..before.emptied() };
            let batch = RowBatch::new(partition).delete_range(KeyRange::prefix(b"k".to_vec())).put(
                COUNTS,
                record::encode(&after),
                Kind::Pool.row(),
                None,
            );
            let _ = store.commit(vec![batch.into()]).await?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// A row of a pool in words.
pub(crate) fn said(key: &[u8], value: &[u8]) -> Option<String> {
    if key == COUNTS {
        let left: Left = record::decode::<Counts>(value, "pool").ok()?.into();
        return Some(format!("{} for contacts, {} for strangers", left.door, left.stranger));
    }
    match key {
        [b'k', pool, index @ ..] => {
            let whom = if *pool == b'd' { "contacts" } else { "strangers" };
            Some(format!("for {whom}, number {}", u64::from_be_bytes(index.try_into().ok()?)))
        }
        _ => Some("when the others are used up".to_owned()),
    }
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let counts = Counts {
            door: Span { first: 1, next: 300 },
            stranger: Span { first: 2, next: 3 },
            has_last: true,
            last_used: false,
        };
        holds("key package counters", &encode(&counts));
        holds("key package", &encode(&PackageRecord { member_key: [1; 32], key_package: vec![2; 5] }));
    }
}
