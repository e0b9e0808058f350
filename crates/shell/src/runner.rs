//! Runs one engine: a thread of its own, fed with intents, frames and ticks; each drain carried out in order.
//!
//! The engine's thread blocks while it commits; sockets live on the caller's runtime and wait meanwhile, so that a slow
//! disk, or a reader of [`Events`] who falls behind, slows the server's pushes down instead of filling memory.

mod home;
mod start;
mod work;

pub use start::StartError;

use crate::rows::RowsError;
use parlour_client::api::{Effect, Event, Failure, Input, Intent, IntentId, Reply};
use parlour_proto::ids::UnixMillis;
use rand_core::CryptoRngCore;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot, watch};

/// What the runner needs of an engine.
pub trait Core {
    /// Takes an input.
    fn handle(&mut self, input: Input, now: UnixMillis, rng: &mut dyn CryptoRngCore);
    /// Gives the next effect.
    fn poll(&mut self) -> Option<Effect>;
}

/// A running engine. Ends when dropped; [`Runner::stop`] also waits for the end.
pub struct Runner {
    commands: mpsc::Sender<Command>,
    stop: watch::Sender<bool>,
    next_id: AtomicU64,
    outcome: Arc<std::sync::OnceLock<Arc<RowsError>>>,
    ended: oneshot::Receiver<()>,
}

/// What the engine tells, in order. [`Event::Done`] is not among it: it goes to who asked. Whoever holds this must keep
/// reading, or drop it: the engine waits when 1,024 events have not been read.
pub struct Events(mpsc::Receiver<Event>);

/// Why an intent came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntentError {
    /// The engine says so.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The runner ended before the intent.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The runner has ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stopped {
    /// It was told to.
    #[error("the client was stopped")]
    Asked,
    /// The rows could not be read or written. What was acknowledged before is safe.
    #[error("the home cannot be read or written")]
    Rows(#[source] Arc<RowsError>),
}

struct Command {
    id: IntentId,
    intent: Intent,
    answer: oneshot::Sender<Result<Reply, Failure>>,
}

/// An intent on its way.
pub struct Pending {
    /// As in [`Event::Progress`].
    pub id: IntentId,
    answer: oneshot::Receiver<Result<Reply, Failure>>,
    outcome: Arc<std::sync::OnceLock<Arc<RowsError>>>,
}

impl Runner {
    /// Hands an intent over, waiting only while the engine is behind with earlier ones.
    ///
    /// # Errors
    /// When the runner has ended.
    pub async fn submit(&self, intent: Intent) -> Result<Pending, Stopped> {
        let id = IntentId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let (answer, receive) = oneshot::channel();
        self.commands.send(Command { id, intent, answer }).await.map_err(|_| stopped(&self.outcome))?;
        Ok(Pending { id, answer: receive, outcome: self.outcome.clone() })
    }

    /// Does something and waits for how it ended.
    ///
    /// # Errors
    /// The engine's failure, or that the runner has ended.
    pub async fn intent(&self, intent: Intent) -> Result<Reply, IntentError> {
        self.submit(intent).await?.done().await
    }

    /// Ends the engine and its sockets, and waits until the rows are closed.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.ended.await;
    }
}

impl Pending {
    /// Waits for the end.
    ///
    /// # Errors
    /// The engine's failure, or that the runner has ended.
    pub async fn done(self) -> Result<Reply, IntentError> {
        match self.answer.await {
            Ok(result) => result.map_err(IntentError::from),
            Err(_) => Err(stopped(&self.outcome).into()),
        }
    }
}

impl Events {
    /// The next event; `None` when the runner has ended.
    pub async fn recv(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event, if one is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

fn stopped(outcome: &std::sync::OnceLock<Arc<RowsError>>) -> Stopped {
    outcome.get().map_or(Stopped::Asked, |error| Stopped::Rows(error.clone()))
}
