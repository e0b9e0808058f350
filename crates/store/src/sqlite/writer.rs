//! The writing thread: takes what waits as one group, writes it in one transaction, and only then tells anybody.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use rand_chacha::ChaCha20Rng;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    Shared,
    checkpoint::{Checkpointer, lock},
    keys::from_io,
    queues::{Numbers, QueuePlan},
    reserve::Reserve,
    rows::RowStage,
    schema::from_sql,
};
use crate::{Answer, Batch, Outcome, QueueBatch, QueueId, Seq, StoreError, UnixTime};

/// From this size on, the log is written back and emptied even while commits wait.
const LARGE_WAL_BYTES: u64 = 16 << 20;

/// After so long without work the log is emptied: it holds what was written together, in order, and deleted rows.
const IDLE: Duration = Duration::from_secs(3);

/// Pieces of a sweep follow each other so far apart …
const PACE: Duration = Duration::from_millis(25);
/// … or only so far, when there was no commit for as long as `BUSY`.
const QUIET: Duration = Duration::from_millis(2);
const BUSY: Duration = Duration::from_millis(100);

const SWEEP_ROWS: &str =
    "DELETE FROM row WHERE id IN (SELECT id FROM row WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";

/// What the writing thread is asked to do.
pub(super) enum Command {
    Commit(Request),
    SweepRows {
        now: UnixTime,
        limit: usize,
        answer: oneshot::Sender<Result<usize, StoreError>>,
    },
    SweepQueues {
        now: UnixTime,
        rows: Vec<(QueueId, Seq)>,
        answer: oneshot::Sender<Result<usize, StoreError>>,
    },
    /// Empties the log, so that what was deleted is gone from it, too.
    Tidy {
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Overwrites what is left in the gaps of some pages; see [`super::gaps`].
    Overwrite {
        first: u32,
        answer: oneshot::Sender<Result<(Option<u32>, usize), StoreError>>,
    },
    Close {
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
}

impl Command {
    fn is_chore(&self) -> bool {
        matches!(self, Self::SweepRows { .. } | Self::SweepQueues { .. } | Self::Overwrite { .. })
    }
}

/// A commit that waits.
pub(super) struct Request {
    pub(super) batches: Vec<Batch>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Queue batches, each with the number of its commit in the group.
type NumberedBatches<'g> = Vec<(usize, &'g QueueBatch)>;

/// The thread's own state.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) checkpointer: Checkpointer,
    pub(super) reserve: Reserve,
    pub(super) shared: Arc<Shared>,
    pub(super) rng: ChaCha20Rng,
    pub(super) numbers: Numbers,
    pub(super) wal: PathBuf,
    pub(super) group: usize,
    /// Pieces of a sweep, which give way to commits.
    pub(super) chores: VecDeque<Command>,
    pub(super) last_chore: Instant,
    pub(super) last_commit: Instant,
    /// Something was written since the log was emptied.
    pub(super) unsettled: bool,
    /// A reader was in the way when the log was to be emptied last.
    pub(super) hindered: bool,
}

impl Writer {
    /// Works until the store is closed or its last handle is gone.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut pending = None;
        while let Some(command) = pending.take().or_else(|| self.next(commands)) {
            match command {
                Command::Commit(first) => {
                    let mut group = vec![first];
                    while group.len() < self.group {
                        match commands.try_recv() {
                            Ok(Command::Commit(next)) => group.push(next),
                            Ok(chore) if chore.is_chore() => self.chores.push_back(chore),
                            Ok(other) => {
                                pending = Some(other);
                                break;
                            }
                            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                        }
                    }
                    self.commit_group(group);
                }
                Command::SweepRows { now, limit, answer } => {
                    let swept = self.at_leisure(|writer| writer.with_room(|writer| writer.sweep_rows(now, limit)));
                    let _ = answer.send(swept);
                }
                Command::SweepQueues { now, rows, answer } => {
                    let sweep = |writer: &mut Self| writer.sweep_queues(now, &rows);
                    let swept = self.at_leisure(|writer| writer.with_room(sweep));
                    let _ = answer.send(swept);
                }
                Command::Tidy { answer } => {
                    let _ = answer.send(self.tidy());
                }
                Command::Overwrite { first, answer } => {
                    self.overwrite(first, answer);
                    self.last_chore = Instant::now();
                }
                Command::Close { answer } => {
                    let emptied = self.empty_wal();
                    drop(self);
                    let _ = answer.send(emptied.map(drop));
                    return;
                }
            }
        }
    }

    /// The next command. A piece of a sweep comes last, but not for ever; the log is emptied when nothing comes for a while.
    fn next(&mut self, commands: &Receiver<Command>) -> Option<Command> {
        while !self.chores.is_empty() {
            let pause = if self.last_commit.elapsed() < BUSY { PACE } else { QUIET };
            let left = pause.saturating_sub(self.last_chore.elapsed());
            let next = if left.is_zero() { Err(RecvTimeoutError::Timeout) } else { commands.recv_timeout(left) };
            match next {
                Ok(chore) if chore.is_chore() => self.chores.push_back(chore),
                Ok(command) => return Some(command),
                Err(_) => return self.chores.pop_front(),
            }
        }
        while self.unsettled {
            match commands.recv_timeout(IDLE) {
                Ok(chore) if chore.is_chore() => {
                    self.chores.push_back(chore);
                    return self.next(commands);
                }
                Ok(command) => return Some(command),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let emptied = self.empty_wal();
                    let emptied = emptied.inspect_err(|error| tracing::warn!(%error, "the log was not emptied"));
                    self.regain();
                    // With a reader in the way it is tried again: what was deleted must not stay in the log.
                    self.unsettled = matches!(emptied, Ok(false));
                }
            }
        }
        match commands.recv().ok()? {
            chore if chore.is_chore() => {
                self.chores.push_back(chore);
                self.next(commands)
            }
            command => Some(command),
        }
    }

    /// Deletes without a sync of its own: what a power cut takes back has expired all the same, and the next commit's sync covers it.
    fn at_leisure<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.unsettled = true;
        self.db.pragma_update(None, "synchronous", "NORMAL").map_err(from_sql)?;
        let done = work(self);
        self.checkpointer.look(&self.db);
        self.last_chore = Instant::now();
        self.db.pragma_update(None, "synchronous", "FULL").map_err(from_sql)?;
        done
    }

    /// Commits a group. If it fails as a whole, each commit gets its own try: what deletes may work on a full disk.
    fn commit_group(&mut self, group: Vec<Request>) {
        self.shared.waiting.fetch_sub(group.len(), Ordering::Relaxed);
        self.shared.counters.group(group.len());
        let (batches, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|request| (request.batches, request.answer)).unzip();
        self.unsettled = true;
        self.last_commit = Instant::now();
        match self.with_room(|writer| writer.commit(&batches)) {
            Ok(outcomes) => {
                self.bound_wal();
                self.regain();
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(Ok(outcome));
                }
                self.checkpointer.look(&self.db);
            }
            Err(error) => {
                let mut answers = answers.into_iter().zip(&batches);
                if batches.len() == 1 {
                    let _ = answers.next().map(|(answer, _)| answer.send(Err(error)));
                    return;
                }
                for (answer, batches) in answers {
                    let outcome = self.commit(std::slice::from_ref(batches));
                    let outcome = outcome.map(|mut outcomes| outcomes.remove(0));
                    let _ = answer.send(outcome);
                }
            }
        }
    }

    /// Does something that writes; when there is no room, makes some and tries again.
    fn with_room<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut result = work(self);
        if matches!(result, Err(StoreError::Full)) && self.empty_wal().is_ok() {
            // The log may be what fills the disk.
            result = work(self);
        }
        if matches!(result, Err(StoreError::Full)) && self.reserve.relieve(&self.db)? {
            self.empty_wal().ok();
            result = work(self);
        }
        result
    }

    /// Writes the log back before the rest of the disk is too small for what it adds to the database.
    fn bound_wal(&mut self) {
        let wal = std::fs::metadata(&self.wal).map_or(0, |file| file.len());
        if wal > self.reserve.log_may_take() {
            self.empty_wal().ok();
        }
    }

    fn regain(&mut self) {
        let regained = self.reserve.regain(&self.db);
        regained.inspect_err(|error| tracing::warn!(%error, "the reserve was not made")).ok();
    }

    /// Writes a group in one transaction; when it is durable, enters it into the index and tells the sink.
    fn commit(&mut self, group: &[Vec<Batch>]) -> Result<Vec<Outcome>, StoreError> {
        let now = self.shared.clock.now();
        let mut plan = QueuePlan::new(now.day(), self.shared.queue_row_days);
        let changes = self.db.total_changes();
        let outcomes = self.transaction(&mut plan, |writer, plan| {
            let (mut outcomes, queue_batches) = writer.stage_rows(group, now)?;
            if !queue_batches.is_empty() {
                let mut index = writer.shared.index();
                for (request, batch) in queue_batches {
                    let mut refused = Vec::new();
                    let seqs = match &mut outcomes[request] {
                        Outcome::Applied { appended } => appended,
                        Outcome::Refused { .. } => &mut refused,
                    };
                    plan.add(&mut index, &mut writer.numbers, batch, seqs);
                }
                plan.settle(&index, &mut writer.numbers);
            }
            Ok(outcomes)
        })?;
        if self.db.total_changes() != changes {
            self.shared.counters.committed();
        }
        self.shared.counters.outcomes(&outcomes);
        if let Some(sink) = self.shared.sink() {
            for row in plan.appends {
                sink.appended(row.queue, row.seq, row.head, row.payload);
            }
        }
        Ok(outcomes)
    }

    /// Applies the row batches in order; gives the queue batches that are to follow, with their commit's number.
    fn stage_rows<'g>(
        &mut self,
        group: &'g [Vec<Batch>],
        now: UnixTime,
    ) -> Result<(Vec<Outcome>, NumberedBatches<'g>), StoreError> {
        let mut rows = RowStage::new(&self.db, &self.shared.keys, &mut self.rng, now);
        let mut queue_batches = Vec::new();
        let mut outcomes = Vec::with_capacity(group.len());
        for (request, batches) in group.iter().enumerate() {
            let mut outcome = Outcome::Applied { appended: Vec::new() };
            for (index, batch) in batches.iter().enumerate() {
                match batch {
                    Batch::Queue(batch) => queue_batches.push((request, batch)),
                    Batch::Rows(batch) => {
                        if let Some(assert) = rows.apply(batch)? {
                            outcome = Outcome::Refused { batch: index, assert };
                            break;
                        }
                    }
                }
            }
            outcomes.push(outcome);
        }
        rows.flush()?;
        Ok((outcomes, queue_batches))
    }

    /// Runs `stage` and writes its plan, all or nothing; the index follows when the rest is durable.
    fn transaction<T>(
        &mut self,
        plan: &mut QueuePlan,
        stage: impl FnOnce(&mut Self, &mut QueuePlan) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let written = self.execute("BEGIN IMMEDIATE").and_then(|()| {
            let staged = stage(self, plan)?;
            let deleted = plan.write(&self.db, &self.shared.keys, &mut self.rng)?;
            self.execute("COMMIT")?;
            self.shared.counters.deleted(deleted);
            Ok(staged)
        });
        if written.is_err() {
            if !self.db.is_autocommit() {
                let rolled_back = self.execute("ROLLBACK");
                rolled_back.inspect_err(|error| tracing::error!(%error, "rollback failed")).ok();
            }
            plan.abandon(&mut self.shared.index());
            self.shared.counters.failed();
            return written;
        }
        plan.enter(&mut self.shared.index());
        written
    }

    fn execute(&self, statement: &str) -> Result<(), StoreError> {
        self.db.prepare_cached(statement).and_then(|mut s| s.execute([])).map_err(from_sql)?;
        Ok(())
    }

    fn sweep_rows(&mut self, now: UnixTime, limit: usize) -> Result<usize, StoreError> {
        let deleted = self
            .db
            .prepare_cached(SWEEP_ROWS)
            .and_then(|mut s| s.execute([now.0.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)]))
            .map_err(from_sql)?;
        Ok(deleted)
    }

    fn sweep_queues(&mut self, now: UnixTime, rows: &[(QueueId, Seq)]) -> Result<usize, StoreError> {
        let mut plan = QueuePlan::new(now.day(), self.shared.queue_row_days);
        self.transaction(&mut plan, |writer, plan| {
            let index = writer.shared.index();
            let taken = plan.expire(&index, rows);
            plan.settle(&index, &mut writer.numbers);
            Ok(taken)
        })
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        let wal = std::fs::metadata(&self.wal).map_or(0, |file| file.len());
        let idle = self.shared.waiting.load(Ordering::Relaxed) == 0;
        if wal > 0 && (idle || wal >= LARGE_WAL_BYTES) {
            self.empty_wal()?;
        }
        self.regain();
        Ok(())
    }

    /// Overwrites the gaps of some pages; answers when that is durable, for which no commit waits. While the log is written back it
    /// waits itself.
    fn overwrite(&mut self, first: u32, answer: oneshot::Sender<Result<(Option<u32>, usize), StoreError>>) {
        match self.overwrite_some(first) {
            Ok((next, changed)) if changed > 0 => self.checkpointer.sync(self.shared.gaps.clone(), move |synced| {
                let _ = answer.send(synced.map(|()| (next, changed)).map_err(from_io));
            }),
            done => drop(answer.send(done)),
        }
    }

    fn overwrite_some(&mut self, first: u32) -> Result<(Option<u32>, usize), StoreError> {
        let file = self.checkpointer.file();
        let Ok(_held) = file.try_lock() else { return Ok((Some(first), 0)) };
        if first == 0 {
            self.db.execute_batch("PRAGMA shrink_memory").map_err(from_sql)?;
        }
        self.shared.gaps.overwrite(first).map_err(from_io)
    }

    /// Writes the log back and cuts it to nothing, unless a reader is in the way: then the next time. `false` then.
    fn empty_wal(&mut self) -> Result<bool, StoreError> {
        let file = self.checkpointer.file();
        let _held = lock(&file);
        if self.hindered {
            // Who reads for long (a backup) is waited for once, not each time: commits would wait, too.
            let (all, written): (i64, i64) = self
                .db
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))
                .map_err(from_sql)?;
            if written < all {
                return Ok(false);
            }
        }
        self.hindered = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(from_sql)?;
        if !self.hindered {
            self.shared.counters.truncated();
        }
        Ok(!self.hindered)
    }
}
