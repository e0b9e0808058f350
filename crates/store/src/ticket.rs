//! The answer to a commit that is already under way.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use crate::{Outcome, StoreError};

/// What [`CommitTicket`] waits for.
pub type Answer = Result<Outcome, StoreError>;

/// A commit under way; await it for its outcome. Dropping it does not cancel the commit.
#[derive(Debug)]
pub struct CommitTicket(State);

#[derive(Debug)]
enum State {
    Ready(Option<Answer>),
    Waiting(oneshot::Receiver<Answer>),
}

impl CommitTicket {
    /// A ticket whose answer is known: for stores that apply at once, and for refusals.
    #[must_use]
    pub fn ready(answer: Answer) -> Self {
        Self(State::Ready(Some(answer)))
    }

    /// A ticket, and the sender of its answer. A sender that is dropped answers [`StoreError::Closed`].
    #[must_use]
    pub fn pending() -> (oneshot::Sender<Answer>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(State::Waiting(receiver)))
    }

    /// Waits for the answer on a thread that is not part of an async runtime.
    ///
    /// # Errors
    /// As the commit's.
    pub fn wait(self) -> Answer {
        match self.0 {
            State::Ready(answer) => answer.unwrap_or(Err(StoreError::Closed)),
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or(Err(StoreError::Closed)),
        }
    }
}

impl Future for CommitTicket {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            State::Ready(answer) => Poll::Ready(answer.take().unwrap_or(Err(StoreError::Closed))),
            State::Waiting(receiver) => {
                Pin::new(receiver).poll(cx).map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
            }
        }
    }
}
