//! One connected mailbox: what the store's sink hands to the socket.
//!
//! States: *behind* (rows are read from the queue; the sink only says that there are more) and *direct* (the sink hands them
//! over). A socket becomes direct when a read found nothing and nothing was appended since; it falls behind when it does not keep up.

use std::{
    collections::VecDeque,
    sync::Mutex,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parlour_store::Seq;

use crate::sync::MutexExt as _;

/// Rows handed over and not yet taken, at most.
const MAX_ROWS: usize = 256;
/// Bytes handed over and not yet taken, at most.
const MAX_BYTES: usize = 512 * 1024;

/// Something else than rows that a socket has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A pool runs low.
    PoolsLow,
    /// The account's device list was changed.
    DeviceList {
        /// How many links it has now.
        length: u32,
    },
    /// The same device connected elsewhere.
    Replaced,
    /// The device was revoked, or its account deleted.
    Gone,
    /// The server stops.
    Stopping,
}

/// What a socket finds when it looks.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// A row, handed over.
    Row(Seq, Bytes),
    /// There are rows to read from the queue.
    ReadQueue,
    /// Something to tell.
    Notice(Notice),
}

/// A connected mailbox.
#[derive(Debug, Default)]
pub struct Live {
    inner: Mutex<Inner>,
    waker: AtomicWaker,
}

#[derive(Debug)]
struct Inner {
    direct: bool,
    more: bool,
    rows: VecDeque<(Seq, Bytes)>,
    bytes: usize,
    low: bool,
    list: Option<u32>,
    end: Option<Notice>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { direct: false, more: true, rows: VecDeque::new(), bytes: 0, low: false, list: None, end: None }
    }
}

impl Live {
    /// A row was appended. Called by the store's writer.
    pub(super) fn offer(&self, seq: Seq, payload: Bytes) {
        let mut inner = self.inner.locked();
        if inner.direct && inner.rows.len() < MAX_ROWS && inner.bytes < MAX_BYTES {
            inner.bytes += payload.len();
            inner.rows.push_back((seq, payload));
            let first = inner.rows.len() == 1;
            drop(inner);
            if first {
                self.waker.wake();
            }
            return;
        }
        let wake = inner.direct || !inner.more;
        inner.direct = false;
        inner.more = true;
        drop(inner);
        if wake {
            self.waker.wake();
        }
    }

    /// Tells the socket something.
    pub(super) fn notify(&self, notice: Notice) {
        let mut inner = self.inner.locked();
        match notice {
            Notice::PoolsLow => inner.low = true,
            Notice::DeviceList { length } => inner.list = inner.list.max(Some(length)),
            end => inner.end = inner.end.or(Some(end)),
        }
        drop(inner);
        self.waker.wake();
    }

    /// Takes the next thing; `rows` tells whether the socket has room for rows now.
    pub fn poll_take(&self, cx: &mut Context<'_>, rows: RoomForRows) -> Poll<Taken> {
        self.waker.register(cx.waker());
        let mut inner = self.inner.locked();
        if let Some(end) = inner.end.take() {
            return Poll::Ready(Taken::Notice(end));
        }
        if std::mem::take(&mut inner.low) {
            return Poll::Ready(Taken::Notice(Notice::PoolsLow));
        }
        if let Some(length) = inner.list.take() {
            return Poll::Ready(Taken::Notice(Notice::DeviceList { length }));
        }
        if rows == RoomForRows::No {
            return Poll::Pending;
        }
        if let Some((seq, payload)) = inner.rows.pop_front() {
            inner.bytes -= payload.len();
            if inner.rows.is_empty() {
                inner.rows.shrink_to(8);
            }
            return Poll::Ready(Taken::Row(seq, payload));
        }
        if !inner.direct && inner.more {
            inner.more = false;
            return Poll::Ready(Taken::ReadQueue);
        }
        Poll::Pending
    }

    /// A read of the queue found nothing: from now on rows are handed over, unless some were appended meanwhile.
    /// Tells whether that is so.
    pub fn go_direct(&self) -> bool {
        let mut inner = self.inner.locked();
        inner.direct = !inner.more;
        inner.direct
    }

    /// A read of the queue found rows: there may be more.
    pub fn read_again(&self) {
        self.inner.locked().more = true;
    }
}

/// Whether a socket has room for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomForRows {
    /// It has.
    Yes,
    /// Too much is unacknowledged.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(live: &Live) -> Option<Taken> {
        let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
        match live.poll_take(&mut cx, RoomForRows::Yes) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_row_appended_during_the_last_read_is_not_missed() {
        let live = Live::default();
        assert_eq!(take(&live), Some(Taken::ReadQueue));
        live.offer(Seq(1), Bytes::new());
        assert!(!live.go_direct());
        assert_eq!(take(&live), Some(Taken::ReadQueue));
        assert!(live.go_direct());
        live.offer(Seq(2), Bytes::new());
        assert_eq!(take(&live), Some(Taken::Row(Seq(2), Bytes::new())));
        assert_eq!(take(&live), None);
    }

    #[test]
    fn a_slow_socket_falls_behind_instead_of_growing() {
        let live = Live::default();
        assert_eq!(take(&live), Some(Taken::ReadQueue));
        assert!(live.go_direct());
        for seq in 1..=2 * MAX_ROWS as u64 {
            live.offer(Seq(seq), Bytes::new());
        }
        for seq in 1..=MAX_ROWS as u64 {
            assert_eq!(take(&live), Some(Taken::Row(Seq(seq), Bytes::new())));
        }
        assert_eq!(take(&live), Some(Taken::ReadQueue));
    }
}
