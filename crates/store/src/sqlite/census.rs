//! Counting what is stored, for audit. Reads the whole table, so it runs on a thread of its own.

use std::collections::BTreeMap;

use super::{Shared, schema::from_sql};
use crate::{Counted, KindCount, RowKind, StoreError, UnixDay};

const CENSUS: &str = "SELECT kind, count(*), sum(length(key) + length(data)), min(written) FROM row GROUP BY kind";

impl Shared {
    pub(super) fn count_kinds(&self) -> Result<Vec<KindCount>, StoreError> {
        let mut counts = self.read(|db| {
            let mut statement = db.prepare(CENSUS).map_err(from_sql)?;
            let rows = statement.query_map([], |row| {
                Ok(KindCount {
                    kind: Counted::Rows(RowKind(row.get(0)?)),
                    rows: row.get::<_, i64>(1)?.cast_unsigned(),
                    bytes: row.get::<_, i64>(2)?.cast_unsigned(),
                    oldest: Some(UnixDay(row.get(3)?)),
                })
            });
            rows.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>).map_err(from_sql)
        })?;
        counts.extend(self.count_queues());
        Ok(counts)
    }

    fn count_queues(&self) -> Vec<KindCount> {
        let mut counts = BTreeMap::<Counted, KindCount>::new();
        let mut count = |kind, bytes: u64, written: UnixDay| {
            let count = counts.entry(kind).or_insert(KindCount { kind, rows: 0, bytes: 0, oldest: None });
            count.rows += 1;
            count.bytes += bytes;
            count.oldest = Some(count.oldest.map_or(written, |oldest| oldest.min(written)));
        };
        let index = self.index();
        for (queue, entry) in index.all() {
            count(Counted::Queue(queue.kind()), u64::from(index.own_len(entry)), entry.written);
        }
        for (_, payload) in index.payloads() {
            count(Counted::Payloads, u64::from(payload.len), payload.written);
        }
        counts.into_values().collect()
    }
}
