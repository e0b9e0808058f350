//! A hand-driven poll loop over many WebSockets: one thread, no allocation per idle turn, no task per socket.
//!
//! Acknowledges like a client that coalesces: an inbox's rows are acknowledged cumulatively when [`ACK_ROWS`] rows
//! are unacknowledged or the oldest of them is [`ACK_DELAY`] old, whichever comes first.

use crate::socket::{Ws, decode, encode};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use parlour_proto::frames::{ClientFrame, Push, Request, ServerFrame};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Longest time a row stays unacknowledged.
pub(crate) const ACK_DELAY: Duration = Duration::from_millis(20);
/// Most rows that stay unacknowledged.
pub(crate) const ACK_ROWS: usize = 32;

/// A socket of a [`Net`].
pub(crate) type SocketId = usize;

struct Live {
    ws: Ws,
    open: bool,
    /// Highest sequence not acknowledged yet, how many rows, and when to acknowledge at the latest.
    unacked: Option<(u64, usize, Instant)>,
}

/// Many sockets and one poll.
pub(crate) struct Net {
    poll: Poll,
    events: Events,
    sockets: Vec<Live>,
    due: VecDeque<(Instant, SocketId)>,
}

impl Net {
    /// An empty one.
    ///
    /// # Errors
    /// When the system gives no poll.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(1024), sockets: Vec::new(), due: VecDeque::new() })
    }

    /// Takes a socket over. Frames that it holds already come with the next [`Net::turn`] that finds it readable, so it
    /// must have been read up to what the caller waits for.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking or polled.
    pub(crate) fn add(&mut self, ws: Ws) -> Result<SocketId> {
        let id = self.sockets.len();
        let tcp = ws.get_ref().tcp();
        tcp.set_nonblocking(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&std::os::fd::AsRawFd::as_raw_fd(tcp)), Token(id), interest)?;
        self.sockets.push(Live { ws, open: true, unacked: None });
        Ok(id)
    }

    /// Sends an encoded frame; what does not fit now goes when the socket is writable.
    ///
    /// # Errors
    /// When the socket is closed.
    pub(crate) fn send(&mut self, id: SocketId, frame: impl Into<Bytes>) -> Result<()> {
        match self.sockets[id].ws.send(Message::binary(frame)) {
            Ok(()) => Ok(()),
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(e) => Err(e).context("the server closed a socket that was sent on"),
        }
    }

    /// Waits until something comes, at most `timeout`; hands every frame to `take`. Acknowledges what is due.
    ///
    /// # Errors
    /// When a socket breaks or a frame does not decode.
    pub(crate) fn turn(&mut self, timeout: Duration, got: &mut Vec<(SocketId, ServerFrame)>) -> Result<()> {
        got.clear();
        self.acknowledge_due(Instant::now())?;
        let until_due = self.due.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        let timeout = until_due.map_or(timeout, |due| due.min(timeout));
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let ready: Vec<(SocketId, bool)> =
            self.events.iter().map(|e| (e.token().0, e.is_readable() || e.is_read_closed())).collect();
        for (id, readable) in ready {
            if readable { self.read(id, got)? } else { self.flush(id)? }
        }
        Ok(())
    }

    /// Reads whatever is there on every socket (once after [`Net::add`], when frames may wait in a buffer).
    ///
    /// # Errors
    /// As [`Net::turn`].
    pub(crate) fn sweep(&mut self, got: &mut Vec<(SocketId, ServerFrame)>) -> Result<()> {
        got.clear();
        (0..self.sockets.len()).try_for_each(|id| self.read(id, got))
    }

    /// Turns for `time`, dropping the frames: acknowledgements go out, pings are answered.
    ///
    /// # Errors
    /// As [`Net::turn`].
    pub(crate) fn idle_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let mut got = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(left, &mut got)?;
        }
        Ok(())
    }

    /// How many sockets the server has closed.
    pub(crate) fn closed(&self) -> usize {
        self.sockets.iter().filter(|socket| !socket.open).count()
    }

    fn flush(&mut self, id: SocketId) -> Result<()> {
        match self.sockets[id].ws.flush() {
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Ok(()),
            other => other.context("flushing a socket"),
        }
    }

    fn read(&mut self, id: SocketId, got: &mut Vec<(SocketId, ServerFrame)>) -> Result<()> {
        if !self.sockets[id].open {
            return Ok(());
        }
        loop {
            match self.sockets[id].ws.read() {
                Ok(Message::Binary(bytes)) => {
                    let frame = decode(bytes)?;
                    if let ServerFrame::Push(Push::Rows(rows)) = &frame
                        && let Some(last) = rows.last()
                    {
                        self.note_rows(id, last.seq, rows.len())?;
                    }
                    got.push((id, frame));
                }
                Ok(Message::Close(_)) => {}
                Ok(Message::Text(_)) => bail!("the server sent a text frame"),
                Ok(_) => {}
                Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    self.sockets[id].open = false;
                    return Ok(());
                }
                Err(e) => return Err(e).context("reading a socket"),
            }
        }
    }

    fn note_rows(&mut self, id: SocketId, seq: u64, rows: usize) -> Result<()> {
        let (count, due) = match self.sockets[id].unacked {
            Some((_, count, due)) => (count + rows, due),
            None => {
                let due = Instant::now() + ACK_DELAY;
                self.due.push_back((due, id));
                (rows, due)
            }
        };
        self.sockets[id].unacked = Some((seq, count, due));
        if count >= ACK_ROWS { self.acknowledge(id) } else { Ok(()) }
    }

    fn acknowledge_due(&mut self, now: Instant) -> Result<()> {
        while let Some((due, id)) = self.due.front().copied().filter(|(due, _)| *due <= now) {
            self.due.pop_front();
            if self.sockets[id].unacked.is_some_and(|(_, _, noted)| noted == due) {
                self.acknowledge(id)?;
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, id: SocketId) -> Result<()> {
        let Some((seq, _, _)) = self.sockets[id].unacked.take() else { return Ok(()) };
        self.send(id, encode(&ClientFrame { id: 1, request: Request::Ack { seq } }))
    }
}
