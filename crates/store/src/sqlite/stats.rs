//! What the store counts about itself: totals only, nothing about anybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Outcome;

/// Totals since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Transactions made durable, each with one sync of the log.
    pub syncs: u64,
    /// Groups of commits taken at once.
    pub groups: u64,
    /// Commits in all groups.
    pub commits: u64,
    /// The largest group.
    pub largest_group: u64,
    /// Commits refused by an assert.
    pub refused: u64,
    /// Transactions rolled back.
    pub failed: u64,
    /// Queue rows appended.
    pub appended: u64,
    /// Queue rows deleted.
    pub deleted: u64,
    /// Times the log was emptied.
    pub wal_truncations: u64,
    /// Rows that were found damaged.
    pub damaged: u64,
    /// Commits that wait now.
    pub waiting: u64,
    /// Bytes of the database now.
    pub database_bytes: u64,
    /// Bytes of the log now.
    pub wal_bytes: u64,
}

/// The counters behind [`StoreStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    syncs: AtomicU64,
    groups: AtomicU64,
    commits: AtomicU64,
    largest_group: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    appended: AtomicU64,
    deleted: AtomicU64,
    wal_truncations: AtomicU64,
    damaged: AtomicU64,
}

impl Counters {
    pub(super) fn group(&self, commits: usize) {
        self.groups.fetch_add(1, Relaxed);
        self.commits.fetch_add(commits as u64, Relaxed);
        self.largest_group.fetch_max(commits as u64, Relaxed);
    }

    pub(super) fn committed(&self) {
        self.syncs.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn outcomes(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Applied { appended } => self.appended.fetch_add(appended.len() as u64, Relaxed),
                Outcome::Refused { .. } => self.refused.fetch_add(1, Relaxed),
            };
        }
    }

    pub(super) fn deleted(&self, rows: u64) {
        self.deleted.fetch_add(rows, Relaxed);
    }

    pub(super) fn truncated(&self) {
        self.wal_truncations.fetch_add(1, Relaxed);
    }

    /// Counts and reports a damaged row. The number is its place in the table, and says nothing about anybody.
    pub(super) fn damaged(&self, what: &str, number: i64) {
        self.damaged.fetch_add(1, Relaxed);
        tracing::error!(number, "a stored {what} does not open: the file is damaged, or was changed");
    }

    pub(super) fn totals(&self) -> StoreStats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        StoreStats {
            syncs: read(&self.syncs),
            groups: read(&self.groups),
            commits: read(&self.commits),
            largest_group: read(&self.largest_group),
            refused: read(&self.refused),
            failed: read(&self.failed),
            appended: read(&self.appended),
            deleted: read(&self.deleted),
            wal_truncations: read(&self.wal_truncations),
            damaged: read(&self.damaged),
            ..StoreStats::default()
        }
    }
}
