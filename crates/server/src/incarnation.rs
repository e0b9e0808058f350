//! The server's incarnation: which life of the data this is. It grows with every restore from a backup (`docs/decisions/0023-restore.md`).
//!
//! A restored server has forgotten what it told clients after the backup. So that nothing it says now is taken for that:
//! - the incarnation is a time in milliseconds, later than the one before: two restores of one backup do not have the same;
//! - sequences in rooms go on from it times [`SEQUENCES_PER_MS`]: faster than any room is written to, so above all that were given
//!   out in any life before, also of another restore;
//! - key packages that could have been given out after the backup are gone, but for the last resorts, which may come twice;
//! - clients look, at their next sign-in, whether the server knows less of their rooms than they do.

use minicbor::{Decode, Encode};
use parlour_proto::ids::UnixMillis;
use parlour_store::{PartitionId, PartitionKind, RowBatch, Store, UnixTime};

use crate::{
    error::Refused,
    keypackages, record,
    retention::{Kind, Lifetimes},
};

/// The incarnation of data that was never restored.
pub const FIRST: u64 = 1;
/// A room takes fewer messages in a millisecond.
const SEQUENCES_PER_MS: u64 = 1_024;

/// Which life of the data this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// Grows with every restore.
    pub number: u64,
    /// When the backup was made of which this life was restored; 0: never restored.
    pub backup: UnixMillis,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct IncarnationRecord {
    #[n(0)]
    number: u64,
    #[n(1)]
    backup: u64,
}

impl Incarnation {
    /// Data that was never restored.
    pub const NEW: Self = Self { number: FIRST, backup: UnixMillis(0) };

    /// The incarnation of a store.
    ///
    /// # Errors
    /// The store's.
    pub async fn read<S: Store>(store: &S) -> Result<Self, Refused> {
        let Some(row) = store.get(&partition(), KEY).await? else { return Ok(Self::NEW) };
        let record: IncarnationRecord = record::decode(&row.value, "incarnation")?;
        Ok(Self { number: record.number, backup: UnixMillis(record.backup) })
    }

    /// The first sequence that a room may give out in this life.
    pub(crate) fn first_sequence(self) -> u64 {
        if self.number == FIRST { 1 } else { self.number.saturating_mul(SEQUENCES_PER_MS) }
    }

    /// Begins another life on data that was just restored from a backup made at `backup`: nothing serves it yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin<S: Store>(store: &S, backup: UnixMillis, now: UnixMillis) -> Result<Self, Refused> {
        let before = Self::read(store).await?;
        let next = Self { number: now.0.max(before.number + 1), backup };
        keypackages::forget_all(store).await?;
        let record = IncarnationRecord { number: next.number, backup: backup.0 };
        let kind = Kind::Incarnation;
        let batch = RowBatch::new(partition()).put(
            KEY,
            record::encode(&record),
            kind.row(),
            Lifetimes::default().expires(kind, now),
        );
        let _ = store.commit(vec![batch.into()]).await?;
        // What was over before this life began is not in it.
        store.sweep(UnixTime(now.seconds())).await?;
        Ok(next)
    }
}

/// A time for people: `2026-11-22 19:30 UTC`.
pub fn utc(time: UnixMillis) -> String {
    // Howard Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years begin in March.
    let (days, minutes) = (time.seconds() / 86_400 + 719_468, time.seconds() % 86_400 / 60);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

const KEY: &[u8] = b"incarnation";

fn partition() -> PartitionId {
    PartitionId::new(PartitionKind::Meta, b"incarnation")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlour_store::{ManualClock, MemoryStore};

    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        holds("incarnation", &encode(&IncarnationRecord { number: 1_700_000_000_000, backup: 1_600_000_000_000 }));
    }

    #[test]
    fn a_time_is_said_as_people_write_it() {
        assert_eq!(utc(UnixMillis(0)), "1970-01-01 00:00 UTC");
        assert_eq!(utc(UnixMillis(1_709_210_096_000)), "2024-02-29 12:34 UTC");
        assert_eq!(utc(UnixMillis(1_798_761_599_000)), "2026-12-31 23:59 UTC");
    }

    #[tokio::test]
    async fn each_restore_is_another_one_whatever_the_clock_says() {
        let store = MemoryStore::new(Arc::new(ManualClock::new(UnixTime(1_000))));
        assert_eq!(Incarnation::read(&store).await.unwrap(), Incarnation::NEW);
        let first = Incarnation::begin(&store, UnixMillis(5), UnixMillis(1_000_000)).await.unwrap();
        assert_eq!((first.number, first.backup), (1_000_000, UnixMillis(5)));
        let second = Incarnation::begin(&store, UnixMillis(5), UnixMillis(10)).await.unwrap();
        assert!(second.number > first.number && second.first_sequence() > first.first_sequence());
        assert_eq!(Incarnation::read(&store).await.unwrap(), second);
    }
}
