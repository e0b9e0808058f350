//! What a signed-in socket pushes: waiting rows from the queue, then rows as they are appended, within a window of
//! unacknowledged ones, so that a slow reader holds little memory.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use parlour_proto::{ids::MailboxId, wire::RowsWriter};
use parlour_store::{QueueId, QueueLimit, QueueRow, Seq, Store, StoreError};

use super::server::Server;
use crate::{
    error::Refused,
    mailboxes::{
        Live, Notice, RoomForRows, Taken,
        window::{Limits, Window},
    },
    rooms::Stored,
};

/// Rows and bytes that may be unacknowledged.
const WINDOW: Limits = Limits { rows: 512, bytes: 1024 * 1024 };
/// A frame is sent when it has so many bytes or rows.
const FRAME_BYTES: usize = 24 * 1024;
const FRAME_ROWS: usize = 128;
/// Rows and bytes read from the queue at once.
const READ: QueueLimit = QueueLimit { rows: 128, bytes: 128 * 1024 };

type Resolving = Pin<Box<dyn Future<Output = Result<Option<Bytes>, Refused>> + Send>>;
type Reading = Pin<Box<dyn Future<Output = Result<Vec<QueueRow>, StoreError>> + Send>>;

/// What the socket has to do.
pub(super) enum Fed {
    /// Send a frame of rows.
    Rows(Bytes, u64),
    /// Send a frame that somebody whispers.
    Whisper(Bytes),
    /// All that waited at sign-in has been pushed.
    CaughtUp,
    /// Tell something.
    Notice(Notice),
    /// Reading failed.
    Failed(Refused),
}

/// The pushing side of a signed-in socket.
pub(super) struct Feed<S: Store> {
    server: Arc<Server<S>>,
    pub(super) mailbox: MailboxId,
    live: Arc<Live>,
    window: Window,
    read: VecDeque<QueueRow>,
    reading: Option<Reading>,
    resolving: Option<(Seq, Resolving)>,
    caught_up: bool,
    /// What comes after the rows just given.
    later: Option<Fed>,
}

impl<S: Store> Feed<S> {
    /// Connects a mailbox.
    pub(super) fn connect(server: Arc<Server<S>>, mailbox: MailboxId) -> Self {
        let live = server.mailboxes.connect(mailbox);
        let window = Window::new(server.mailboxes.acked(&mailbox), WINDOW);
        Self {
            server,
            mailbox,
            live,
            window,
            read: VecDeque::new(),
            reading: None,
            resolving: None,
            caught_up: false,
            later: None,
        }
    }

    /// Acknowledges rows; only what was pushed counts.
    pub(super) fn ack(&mut self, seq: u64) {
        let Some(seq) = self.window.ack(Seq(seq)) else { return };
        self.server.mailboxes.ack(self.mailbox, seq);
        self.server.acks_wait.notify_one();
    }

    /// The next thing to do.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Fed> {
        if let Some(later) = self.later.take() {
            return Poll::Ready(later);
        }
        let mut frame = RowsWriter::default();
        let mut last = self.window.cursor();
        let end = loop {
            let full = frame.rows() >= FRAME_ROWS || frame.len_bytes() >= FRAME_BYTES;
            let room = self.window.has_room(frame.rows());
            if full || !room {
                // Registers for notices, and for rows once there is room.
                if !full && let Poll::Ready(Taken::Notice(notice)) = self.live.poll_take(cx, RoomForRows::No) {
                    break Some(Fed::Notice(notice));
                }
                break None;
            }
            match self.poll_row(cx) {
                Poll::Pending => break None,
                Poll::Ready(Step::Row(seq, row)) => {
                    frame.push_encoded(seq.0, &row);
                    last = seq;
                }
                Poll::Ready(Step::Other(other)) => break Some(other),
            }
        };
        if frame.rows() == 0 {
            return end.map_or(Poll::Pending, Poll::Ready);
        }
        self.later = end;
        let rows = frame.rows() as u64;
        let frame = frame.finish();
        self.window.push(last, rows as u32, frame.len() as u32);
        Poll::Ready(Fed::Rows(frame, rows))
    }

    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some((seq, resolving)) = &mut self.resolving {
                let seq = *seq;
                let resolved = std::task::ready!(resolving.as_mut().poll(cx));
                self.resolving = None;
                match resolved {
                    Ok(Some(row)) => return Poll::Ready(Step::Row(seq, row)),
                    // The log row is gone, and with it what the row points to.
                    Ok(None) => continue,
                    Err(error) => return Poll::Ready(Step::Other(Fed::Failed(error))),
                }
            }
            if let Some(row) = self.read.pop_front() {
                if let Some(step) = self.take(row.seq, &row.payload) {
                    return Poll::Ready(step);
                }
                continue;
            }
            if let Some(reading) = &mut self.reading {
                let rows = std::task::ready!(reading.as_mut().poll(cx));
                self.reading = None;
                match rows {
                    Ok(rows) if rows.is_empty() => {
                        if self.live.go_direct() && !self.caught_up {
                            self.read = VecDeque::new();
                            self.caught_up = true;
                            return Poll::Ready(Step::Other(Fed::CaughtUp));
                        }
                    }
                    Ok(rows) => {
                        self.live.read_again();
                        self.read = rows.into();
                    }
                    Err(error) => return Poll::Ready(Step::Other(Fed::Failed(error.into()))),
                }
                continue;
            }
            match std::task::ready!(self.live.poll_take(cx, RoomForRows::Yes)) {
                Taken::Row(seq, payload) => {
                    if let Some(step) = self.take(seq, &payload) {
                        return Poll::Ready(step);
                    }
                }
                Taken::ReadQueue => {
                    let (store, queue, after) =
                        (self.server.store.clone(), QueueId::Mailbox(self.mailbox.0), self.window.cursor());
                    self.reading = Some(Box::pin(async move { store.queue_range(queue, after, READ).await }));
                }
                Taken::Whisper(frame) => return Poll::Ready(Step::Other(Fed::Whisper(frame))),
                Taken::Notice(notice) => return Poll::Ready(Step::Other(Fed::Notice(notice))),
            }
        }
    }

    /// A row as it is stored; `None` when there is nothing to push (yet).
    fn take(&mut self, seq: Seq, payload: &Bytes) -> Option<Step> {
        if !self.window.take(seq) {
            return None;
        }
        let Some(stored) = Stored::parse(payload) else {
            tracing::error!("a mailbox row is not readable");
            return None;
        };
        match self.server.rooms.resolve_now(stored) {
            Ok(row) => Some(Step::Row(seq, row)),
            Err(stored) => {
                let server = self.server.clone();
                self.resolving = Some((seq, Box::pin(async move { server.rooms.resolve(stored).await })));
                None
            }
        }
    }
}

enum Step {
    Row(Seq, Bytes),
    Other(Fed),
}

impl<S: Store> Drop for Feed<S> {
    fn drop(&mut self) {
        self.server.mailboxes.disconnect(&self.mailbox, &self.live);
    }
}
