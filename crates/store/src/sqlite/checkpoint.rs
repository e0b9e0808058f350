//! The log is written back on a thread of its own, so that commits do not wait for it.
//!
//! Left to itself, SQLite writes the log back within the commit that makes it long: everybody waits for thousands of pages in
//! random places and for two syncs. Another connection may do that while commits go on (a passive checkpoint), but the log begins
//! anew only when nothing of it is left, and commits add to it all the time. So this thread writes nearly all of it back, and the
//! writing thread the little that came meanwhile.
//!
//! | pages in the log | what happens after a commit |
//! |---|---|
//! | `STEP` more than before the last pass | this thread is asked to write them back |
//! | `LONG`, all written back but `LITTLE` | the writing thread does the rest, and the next commit begins the log anew |
//! | `LONG`, and more than `LITTLE` comes during each pass | the same from `BUSY` on, after `PASSES` of them |
//! | `FAR_BEHIND` | the writing thread waits and does all of it: commits must not outrun the disk |
//!
//! In small steps because a commit's sync waits for whatever the disk has been given: for four thousand pages all over the file that
//! is tens of milliseconds, for two hundred it is hardly more than without them.
//!
//! A reader that takes long (a backup) keeps the log from being written back beyond what it sees: it is tried again as the log grows.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use super::{
    gaps::Gaps,
    keys::from_io,
    schema::{connect, from_sql},
};
use crate::StoreError;

/// Pages that this thread writes back at once.
const STEP: usize = 256;
/// Pages of the log from which on it is to begin anew.
const LONG: usize = 4_000;
/// Pages that the writing thread itself writes back, to begin the log anew: about as long as a commit.
const LITTLE: usize = 32;
/// The same while so much is written that nearly nothing cannot be had: some milliseconds.
const BUSY: usize = 400;
/// So often that is tried.
const PASSES: usize = 6;
/// 128 MiB.
const FAR_BEHIND: usize = 32_768;

thread_local! {
    /// Pages of the log after this thread's last commit.
    static PAGES: Cell<usize> = const { Cell::new(0) };
}

/// What the thread is asked to do.
enum Ask {
    /// To write the log back; the pass's number.
    Pass(u64),
    /// To make durable what was overwritten of gaps, and then to tell.
    Sync(Arc<Gaps>, Box<dyn FnOnce(std::io::Result<()>) + Send>),
}

/// The writing thread's end.
pub(super) struct Checkpointer {
    asks: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// Held by whoever writes to the database file.
    file: Arc<Mutex<()>>,
    /// The last pass that was asked for; another number for each, and for each log that begins anew.
    pass: u64,
    /// Pages of this log that are known to be written back.
    written: usize,
    /// Passes since the log is `LONG`.
    late: usize,
    /// The log's pages when it was looked at last.
    pages: usize,
    /// Looked at again when the log is so long.
    next: usize,
}

#[derive(Default)]
struct Shared {
    working: AtomicBool,
    /// A pass that ended, and the pages that are written back since.
    ended: Mutex<(u64, usize)>,
}

impl Checkpointer {
    /// Starts the thread. From now on `db` does not write the log back by itself.
    ///
    /// # Errors
    /// When the database does not open or no thread can be had.
    pub(super) fn start(data: &Path, db: &Connection) -> Result<Self, StoreError> {
        db.wal_hook(Some(|_, pages| {
            PAGES.set(usize::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let own = connect(&data.join("store.db"))?;
        own.pragma_update(None, "synchronous", "FULL").map_err(from_sql)?;
        let shared = Arc::new(Shared::default());
        let (asks, asked) = channel();
        let file = Arc::new(Mutex::new(()));
        let (theirs, held) = (shared.clone(), file.clone());
        let thread = thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || work(&own, &theirs, &held, &asked))
            .map_err(from_io)?;
        Ok(Self {
            asks: Some(asks),
            thread: Some(thread),
            shared,
            file,
            pass: 0,
            written: 0,
            late: 0,
            pages: 0,
            next: STEP,
        })
    }

    /// After a commit on `db`, by the thread that made it: has the log written back if it is long.
    pub(super) fn look(&mut self, db: &Connection) {
        let pages = PAGES.get();
        if pages < self.pages {
            (self.pass, self.written, self.late, self.next) = (self.pass + 1, 0, 0, STEP);
        }
        self.pages = pages;
        let working = self.shared.working.load(Ordering::Acquire);
        if pages < self.next || (working && pages < FAR_BEHIND) {
            return;
        }
        let (pass, written) = *lock(&self.shared.ended);
        let is_hindered = pass == self.pass && written <= self.written;
        if pass == self.pass {
            self.written = self.written.max(written);
        }
        let left = pages.saturating_sub(self.written);
        let is_little = left <= LITTLE || (left <= BUSY && self.late >= PASSES);
        if pages >= FAR_BEHIND || (pages >= LONG && is_little) {
            self.finish(db, pages);
        } else {
            self.late += usize::from(pages >= LONG);
            self.next = pages
                + if is_hindered {
                    LONG
                } else if pages >= LONG {
                    1
                } else {
                    STEP
                };
            self.ask();
        }
    }

    /// Writes back what is left.
    fn finish(&mut self, db: &Connection, pages: usize) {
        let file = self.file.clone();
        let _held = lock(&file);
        match write_back(db) {
            Ok(written) => self.written = written,
            Err(error) => tracing::warn!(%error, "the log was not written back"),
        }
        self.next = pages + if self.written < pages { LONG } else { STEP };
    }

    fn ask(&mut self) {
        self.pass += 1;
        self.shared.working.store(true, Ordering::Release);
        if self.asks.as_ref().is_none_or(|asks| asks.send(Ask::Pass(self.pass)).is_err()) {
            self.shared.working.store(false, Ordering::Release);
        }
    }

    /// Has gaps that were overwritten made durable; `tell` is told how that went.
    pub(super) fn sync(&self, gaps: Arc<Gaps>, tell: impl FnOnce(std::io::Result<()>) + Send + 'static) {
        // Without the thread `tell` is dropped, which says as much.
        let _ = self.asks.as_ref().map(|asks| asks.send(Ask::Sync(gaps, Box::new(tell))));
    }

    /// Lock it, and nothing is written back meanwhile.
    pub(super) fn file(&self) -> Arc<Mutex<()>> {
        self.file.clone()
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(db: &Connection, shared: &Shared, file: &Mutex<()>, asked: &Receiver<Ask>) {
    while let Ok(ask) = asked.recv() {
        let pass = match ask {
            Ask::Pass(pass) => pass,
            Ask::Sync(gaps, tell) => {
                let synced = gaps.sync();
                // Before anybody can take the store for closed and open it anew: see `gaps`.
                drop(gaps);
                tell(synced);
                continue;
            }
        };
        let written = {
            let _held = lock(file);
            write_back(db)
        };
        let written = written.inspect_err(|error| tracing::warn!(%error, "the log was not written back"));
        *lock(&shared.ended) = (pass, written.unwrap_or(0));
        shared.working.store(false, Ordering::Release);
    }
}

/// Writes back what no reader is in the way of; gives the pages of the log that are written back by now.
fn write_back(db: &Connection) -> Result<usize, StoreError> {
    let written: i64 = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)).map_err(from_sql)?;
    Ok(usize::try_from(written).unwrap_or(0))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of a few thousand pages, many times over: it is written back, and does not grow much beyond `LONG`.
    #[test]
    fn the_log_begins_anew_without_waiting_for_whoever_writes() {
        let dir = tempfile::tempdir().unwrap();
        let db = connect(&dir.path().join("store.db")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)",
        )
        .unwrap();
        let mut checkpointer = Checkpointer::start(dir.path(), &db).unwrap();
        let (mut longest, mut fresh) = (0, 0);
        for round in 0..6_000 {
            db.execute_batch(&format!("INSERT OR REPLACE INTO t VALUES ({}, zeroblob(40000))", round % 200)).unwrap();
            checkpointer.look(&db);
            longest = longest.max(PAGES.get());
            fresh += usize::from(round > 300 && PAGES.get() < 50);
        }
        assert!(fresh > 0, "the log began anew {fresh} times");
        assert!(longest < FAR_BEHIND + LONG + 50, "{longest} pages");
        let count = |db: &Connection| db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(&db), 200);
        drop(checkpointer);
        assert_eq!(count(&connect(&dir.path().join("store.db")).unwrap()), 200);
    }

    /// Whoever reads for long keeps the log; when they end it is written back.
    #[test]
    fn a_long_reader_is_no_reason_to_try_at_each_commit() {
        let dir = tempfile::tempdir().unwrap();
        let db = connect(&dir.path().join("store.db")).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB); INSERT INTO t VALUES (0, x'00')")
            .unwrap();
        let mut checkpointer = Checkpointer::start(dir.path(), &db).unwrap();
        let reader = connect(&dir.path().join("store.db")).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        let write = |checkpointer: &mut Checkpointer, round: usize| {
            db.execute_batch(&format!("INSERT OR REPLACE INTO t VALUES ({}, zeroblob(40000))", round % 200)).unwrap();
            checkpointer.look(&db);
        };
        (0..2_000).for_each(|round| write(&mut checkpointer, round));
        assert!(PAGES.get() > 4 * LONG);
        assert!(checkpointer.pass < 100, "{} passes", checkpointer.pass);
        reader.execute_batch("COMMIT").unwrap();
        let begins_anew = (0..20_000).any(|round| {
            write(&mut checkpointer, round);
            PAGES.get() < LONG
        });
        assert!(begins_anew, "{} pages", PAGES.get());
    }
}
