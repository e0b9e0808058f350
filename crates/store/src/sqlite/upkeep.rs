//! The sweep and the end: asked of the writing thread in small pieces, so that commits go on in between.

use std::sync::PoisonError;

use tokio::sync::oneshot;

use super::{SqliteStore, writer::Command};
use crate::{StoreError, Swept, UnixTime};

/// Rows that a sweep deletes in one go. Each is in another page of an index, and what is changed between two checkpoints is written
/// while commits wait: the fewer at a time, the shorter.
const SWEEP_CHUNK: usize = 16;

impl SqliteStore {
    /// Deletes what has expired, destroys old keys, empties the log and overwrites what is left in pages.
    pub(super) async fn sweep_expired(&self, now: UnixTime) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        loop {
            let deleted = self.ask(|answer| Command::SweepRows { now, limit: SWEEP_CHUNK, answer }).await?;
            swept.rows += deleted as u64;
            if deleted < SWEEP_CHUNK {
                break;
            }
        }
        // In the order of their numbers: neighbours lie in one page.
        let mut expired = self.0.shared.index().all_expired(now.day());
        expired.sort_unstable_by_key(|(number, ..)| *number);
        for rows in expired.chunks(SWEEP_CHUNK) {
            let rows = rows.iter().map(|(_, queue, seq)| (*queue, *seq)).collect();
            swept.queue_rows += self.ask(|answer| Command::SweepQueues { now, rows, answer }).await? as u64;
        }
        swept.day_keys = self.0.shared.keys.destroy_before(now.day(), self.0.shared.queue_row_days)?;
        self.ask(|answer| Command::Tidy { answer }).await?;
        self.overwrite_gaps().await?;
        Ok(swept)
    }

    /// Overwrites what is left of deleted rows in the gaps of pages.
    async fn overwrite_gaps(&self) -> Result<(), StoreError> {
        let (mut next, mut overwritten) = (Some(0), 0);
        while let Some(first) = next {
            let changed;
            (next, changed) = self.ask(|answer| Command::Overwrite { first, answer }).await?;
            overwritten += changed;
        }
        tracing::debug!(pages = overwritten, "what moved cells left in pages is overwritten");
        Ok(())
    }

    /// Ends the writing thread and lets go of the directory.
    pub(super) async fn shut_down(&self) -> Result<(), StoreError> {
        let emptied = self.ask(|answer| Command::Close { answer }).await;
        if let Some(writer) = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
        *self.0.shared.sink.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.shared.readers.close();
        self.0.shared.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        emptied
    }

    /// Has the writing thread do something, and waits for it.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let commands = self.0.commands.as_ref().ok_or(StoreError::Closed)?;
        commands.send(command(sender)).map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}
