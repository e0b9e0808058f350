//! The sweep and the end: asked of the writing thread in small pieces, so that commits go on in between.

use std::sync::PoisonError;

use tokio::sync::oneshot;

use super::{SqliteStore, writer::Command};
use crate::{QueueId, StoreError, Swept, UnixTime};

/// Rows that a sweep deletes in one go: below a millisecond of the writing thread.
const SWEEP_CHUNK: usize = 64;

impl SqliteStore {
    /// Deletes what has expired, destroys old keys and empties the log.
    pub(super) async fn sweep_expired(&self, now: UnixTime) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        loop {
            let deleted = self.ask(|answer| Command::SweepRows { now, limit: SWEEP_CHUNK, answer }).await?;
            swept.rows += deleted as u64;
            if deleted < SWEEP_CHUNK {
                break;
            }
        }
        let expired = self.0.shared.index().queues_with_expired(now.day());
        for queues in chunks(expired) {
            loop {
                let queues = queues.clone();
                let deleted =
                    self.ask(|answer| Command::SweepQueues { now, queues, limit: SWEEP_CHUNK, answer }).await?;
                swept.queue_rows += deleted as u64;
                if deleted < SWEEP_CHUNK {
                    break;
                }
            }
        }
        swept.day_keys = self.0.shared.keys.destroy_before(now.day(), self.0.shared.queue_row_days)?;
        self.ask(|answer| Command::Tidy { answer }).await?;
        Ok(swept)
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

/// Splits queues into parts of about a sweep's chunk of expired rows.
fn chunks(queues: Vec<(QueueId, usize)>) -> Vec<Vec<QueueId>> {
    let mut chunks = vec![Vec::new()];
    let mut rows = 0;
    for (queue, expired) in queues {
        if rows >= SWEEP_CHUNK {
            chunks.push(Vec::new());
            rows = 0;
        }
        rows += expired;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(queue);
        }
    }
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}
