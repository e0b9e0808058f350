//! Starting a runner: rows are read, the engine is opened on them, the thread begins.

use super::work::{End, Ends, Work};
use super::{Core, Events, Runner};
use crate::home::HomeError;
use crate::net::Endpoint;
use crate::rows::{Rows, RowsError};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot, watch};

/// How many events may wait for their reader.
const EVENTS: usize = 1024;
/// How many intents may wait for the engine.
const COMMANDS: usize = 64;

/// Why a runner did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The home's database did not open.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The rows could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The engine did not understand its rows.
    #[error("the home's contents are not understood: {0}")]
    Engine(String),
    /// The system gave no thread.
    #[error("no thread for the engine")]
    Thread(#[source] std::io::Error),
}

impl Runner {
    /// Runs any engine on any rows. `open` is called on the engine's own thread; `held` is dropped when it has ended.
    ///
    /// # Errors
    /// What `open` says.
    pub async fn start_with<C, F, H>(
        mut rows: Box<dyn Rows>,
        endpoint: Endpoint,
        held: H,
        open: F,
    ) -> Result<(Self, Events), StartError>
    where
        C: Core,
        F: FnOnce(&mut dyn Rows) -> Result<C, StartError> + Send + 'static,
        H: Send + 'static,
    {
        let (commands, receive_commands) = mpsc::channel(COMMANDS);
        let (events, receive_events) = mpsc::channel(EVENTS);
        let (stop, watch_stop) = watch::channel(false);
        let (started, is_started) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let outcome = Arc::new(OnceLock::new());
        let mut ends = Ends { commands: receive_commands, events, stop: watch_stop };
        let (sockets, told) = (tokio::runtime::Handle::current(), outcome.clone());
        let body = move || {
            match open(&mut *rows) {
                Err(error) => drop(started.send(Err(error))),
                Ok(core) => {
                    let _ = started.send(Ok(()));
                    let mut work = Work::new(core, rows, endpoint, sockets);
                    if let End::Rows(error) = block_on(work.run(&mut ends)) {
                        tracing::error!(%error, "the home cannot be read or written");
                        let _ = told.set(Arc::new(error));
                    }
                }
            }
            drop((ends, held));
            let _ = ending.send(());
        };
        let thread = std::thread::Builder::new().name("parlour-engine".to_owned());
        thread.spawn(body).map_err(StartError::Thread)?;
        is_started.await.unwrap_or_else(|_| Err(StartError::Engine("it ended at once".to_owned())))?;
        let runner = Self { commands, stop, next_id: AtomicU64::new(1), outcome, ended };
        Ok((runner, Events(receive_events)))
    }
}

/// Runs the engine's loop on this thread, with a timer of its own.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a timer needs no resource of the system").block_on(work)
}

#[cfg(test)]
mod tests;
