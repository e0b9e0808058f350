//! The server's end of a simulated connection: a stream of frames that the world carries.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use parlour_server::net::{Broken, Came, Line};

use crate::clockwork::locked;

/// What the server puts on a line.
#[derive(Debug)]
pub(crate) enum Put {
    /// A frame.
    Frame(Bytes),
    /// A question for a sign of life.
    Ping,
}

#[derive(Default)]
struct Shared {
    to_server: VecDeque<Came>,
    from_server: VecDeque<Put>,
    waker: Option<Waker>,
    broken: bool,
    closed: bool,
}

/// Both ends of a line.
#[derive(Clone)]
pub(crate) struct Wired {
    shared: Arc<Mutex<Shared>>,
    number: u64,
    /// The lines that the world has to look at.
    touched: Arc<Mutex<Vec<u64>>>,
}

impl Wired {
    /// A new line with a number; `touched` is told of it whenever the server does something.
    #[must_use]
    pub(crate) fn new(number: u64, touched: Arc<Mutex<Vec<u64>>>) -> Self {
        Self { shared: Arc::default(), number, touched }
    }

    /// Something reaches the server.
    pub(crate) fn bring(&self, came: Came) {
        let mut shared = locked(&self.shared);
        shared.broken |= matches!(came, Came::End);
        shared.to_server.push_back(came);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }

    /// What the server has put on it.
    #[must_use]
    pub(crate) fn take(&self) -> Vec<Put> {
        locked(&self.shared).from_server.drain(..).collect()
    }

    /// The server has let go of it.
    #[must_use]
    pub(crate) fn is_closed(&self) -> bool {
        locked(&self.shared).closed
    }

    /// The end that the server holds.
    #[must_use]
    pub(crate) fn server_end(&self) -> ServerEnd {
        ServerEnd(self.clone())
    }
}

/// Held by the server; closed when it is dropped.
pub(crate) struct ServerEnd(Wired);

impl ServerEnd {
    fn put(&self, put: Put) -> Result<(), Broken> {
        let mut shared = locked(&self.0.shared);
        if shared.broken {
            return Err(Broken);
        }
        shared.from_server.push_back(put);
        locked(&self.0.touched).push(self.0.number);
        Ok(())
    }
}

impl Line for ServerEnd {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, frame: Bytes) -> Result<(), Broken> {
        self.put(Put::Frame(frame))
    }

    fn ping(&mut self) -> Result<(), Broken> {
        self.put(Put::Ping)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        let mut shared = locked(&self.0.shared);
        match shared.to_server.pop_front() {
            Some(came) => Poll::Ready(came),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        locked(&self.0.shared).closed = true;
    }
}
