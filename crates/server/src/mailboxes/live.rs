//! One connected mailbox: what the store's sink hands to the socket.
//!
//! What concerns rows is decided by [`Handover`]; here are the lock, the waker, and what is told beside rows.

use std::{
    collections::VecDeque,
    sync::Mutex,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parlour_store::Seq;

use super::window::{Handover, Limits, Next};
use crate::sync::MutexExt as _;

/// Rows handed over and not yet taken, at most.
const MAX_ROWS: u32 = 256;
/// Bytes handed over and not yet taken, at most.
const MAX_BYTES: usize = 512 * 1024;

/// Whispers handed over and not yet taken, at most: older ones give way.
const MAX_WHISPERS: usize = 16;

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
    /// A whisper, as a whole frame.
    Whisper(Bytes),
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
    rows: Handover<Bytes>,
    whispers: VecDeque<Bytes>,
    low: bool,
    list: Option<u32>,
    end: Option<Notice>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            rows: Handover::new(Limits { rows: MAX_ROWS, bytes: MAX_BYTES }),
            whispers: VecDeque::new(),
            low: false,
            list: None,
            end: None,
        }
    }
}

impl Live {
    /// A row was appended. Called by the store's writer.
    pub(super) fn offer(&self, seq: Seq, payload: Bytes) {
        let bytes = payload.len();
        let wake = self.inner.locked().rows.offer(seq, payload, bytes);
        if wake {
            self.waker.wake();
        }
    }

    /// Somebody whispers. A socket that is behind is not told: it would hear it out of its time.
    pub(super) fn whisper(&self, frame: &Bytes) {
        let mut inner = self.inner.locked();
        if !inner.rows.is_direct() {
            return;
        }
        if inner.whispers.len() == MAX_WHISPERS {
            inner.whispers.pop_front();
        }
        inner.whispers.push_back(frame.clone());
        let first = inner.whispers.len() == 1;
        drop(inner);
        if first {
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
        // Before the rows: what follows a whisper must not come before it.
        if let Some(frame) = inner.whispers.pop_front() {
            if inner.whispers.is_empty() {
                inner.whispers = VecDeque::new();
            }
            return Poll::Ready(Taken::Whisper(frame));
        }
        match inner.rows.next(Bytes::len) {
            Some(Next::Row(seq, payload)) => Poll::Ready(Taken::Row(seq, payload)),
            Some(Next::ReadQueue) => Poll::Ready(Taken::ReadQueue),
            None => Poll::Pending,
        }
    }

    /// A read of the queue found nothing: from now on rows are handed over, unless some were appended meanwhile.
    /// Tells whether that is so.
    pub fn go_direct(&self) -> bool {
        self.inner.locked().rows.go_direct()
    }

    /// A read of the queue found rows: there may be more.
    pub fn read_again(&self) {
        self.inner.locked().rows.read_again();
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
    fn whispers_are_for_who_keeps_up_and_the_oldest_give_way() {
        let whisper = |n: u8| Bytes::copy_from_slice(&[n]);
        let live = Live::default();
        live.whisper(&whisper(0));
        assert_eq!(take(&live), Some(Taken::ReadQueue));
        live.whisper(&whisper(1));
        assert!(live.go_direct());
        assert_eq!(take(&live), None, "it was behind");
        live.offer(Seq(1), Bytes::new());
        for n in 0..=MAX_WHISPERS as u8 {
            live.whisper(&whisper(n));
        }
        for n in 1..=MAX_WHISPERS as u8 {
            assert_eq!(take(&live), Some(Taken::Whisper(whisper(n))));
        }
        assert_eq!(take(&live), Some(Taken::Row(Seq(1), Bytes::new())));
        for seq in 2..=2 * u64::from(MAX_ROWS) {
            live.offer(Seq(seq), Bytes::new());
        }
        live.whisper(&whisper(0));
        assert_eq!(take(&live), Some(Taken::Row(Seq(2), Bytes::new())), "it is behind again");
    }

    #[test]
    fn a_slow_socket_falls_behind_instead_of_growing() {
        let live = Live::default();
        assert_eq!(take(&live), Some(Taken::ReadQueue));
        assert!(live.go_direct());
        for seq in 1..=2 * u64::from(MAX_ROWS) {
            live.offer(Seq(seq), Bytes::new());
        }
        for seq in 1..=u64::from(MAX_ROWS) {
            assert_eq!(take(&live), Some(Taken::Row(Seq(seq), Bytes::new())));
        }
        assert_eq!(take(&live), Some(Taken::ReadQueue));
    }
}
