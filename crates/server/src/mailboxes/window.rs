//! The mailbox's cursor and acknowledgements, as pure steps: what a socket takes, pushes and holds unacknowledged
//! ([`Window`]), whether rows are handed over or read from the queue ([`Handover`]), and which acknowledgements are to be
//! written ([`Collected`]).
//!
//! No store, no lock, no socket: the server calls these, and so does the model that is checked exhaustively
//! (`testing/model`, `docs/decisions/0026-model.md`).

use std::collections::{BTreeMap, VecDeque};

use parlour_store::Seq;

/// How much may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Rows.
    pub rows: u32,
    /// Bytes.
    pub bytes: usize,
}

/// One pushed frame that is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Unacked {
    last: Seq,
    rows: u32,
    bytes: u32,
}

/// What a socket has taken and pushed, and what of it is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    limits: Limits,
    /// The last row taken.
    cursor: Seq,
    pushed: Seq,
    unacked: VecDeque<Unacked>,
    rows: u32,
    bytes: usize,
}

impl Window {
    /// A window that begins behind `cursor`.
    pub fn new(cursor: Seq, limits: Limits) -> Self {
        Self { limits, cursor, pushed: cursor, unacked: VecDeque::new(), rows: 0, bytes: 0 }
    }

    /// The last row taken.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Whether there is room for `waiting` rows and one more.
    pub fn has_room(&self, waiting: usize) -> bool {
        self.rows < self.limits.rows
            && self.bytes < self.limits.bytes
            && self.rows as usize + waiting < self.limits.rows as usize
    }

    /// Takes a row; tells whether it is new to this socket. One that was handed over may have been read from the queue before.
    pub fn take(&mut self, seq: Seq) -> bool {
        let new = seq > self.cursor;
        self.cursor = self.cursor.max(seq);
        new
    }

    /// A frame of rows goes out, `last` being its last.
    pub fn push(&mut self, last: Seq, rows: u32, bytes: u32) {
        self.unacked.push_back(Unacked { last, rows, bytes });
        self.rows += rows;
        self.bytes += bytes as usize;
        self.pushed = last;
    }

    /// Acknowledges rows; only what was pushed counts. Gives what is acknowledged of the mailbox.
    pub fn ack(&mut self, seq: Seq) -> Option<Seq> {
        let seq = seq.min(self.pushed);
        if seq == Seq::START {
            return None;
        }
        while let Some(first) = self.unacked.front().filter(|first| first.last <= seq) {
            self.rows -= first.rows;
            self.bytes -= first.bytes as usize;
            self.unacked.pop_front();
        }
        if self.unacked.is_empty() && self.unacked.capacity() > 16 {
            self.unacked.shrink_to(4);
        }
        Some(seq)
    }
}

/// Whether appended rows are handed over to the socket (*direct*), or it reads them from the queue (*behind*).
///
/// A socket becomes direct when a read found nothing and nothing was appended since; it falls behind when it does not keep up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handover<T> {
    limits: Limits,
    direct: bool,
    more: bool,
    rows: VecDeque<(Seq, T)>,
    bytes: usize,
}

/// What a socket finds of rows.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// A row, handed over.
    Row(Seq, T),
    /// There may be rows to read from the queue.
    ReadQueue,
}

impl<T> Handover<T> {
    /// Of a socket that has read nothing yet; so much is held for it.
    pub fn new(limits: Limits) -> Self {
        Self { limits, direct: false, more: true, rows: VecDeque::new(), bytes: 0 }
    }

    /// Whether rows are handed over now.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// A row was appended; tells whether the socket has to be woken.
    pub fn offer(&mut self, seq: Seq, row: T, bytes: usize) -> bool {
        if self.direct && self.rows.len() < self.limits.rows as usize && self.bytes < self.limits.bytes {
            self.bytes += bytes;
            self.rows.push_back((seq, row));
            return self.rows.len() == 1;
        }
        let wake = self.direct || !self.more;
        self.direct = false;
        self.more = true;
        wake
    }

    /// The next thing to do, if there is one; `bytes` measures a row as [`offer`](Self::offer) was told.
    pub fn next(&mut self, bytes: impl Fn(&T) -> usize) -> Option<Next<T>> {
        if let Some((seq, row)) = self.rows.pop_front() {
            self.bytes -= bytes(&row);
            if self.rows.is_empty() {
                self.rows.shrink_to(8);
            }
            return Some(Next::Row(seq, row));
        }
        if !self.direct && self.more {
            self.more = false;
            return Some(Next::ReadQueue);
        }
        None
    }

    /// A read of the queue found nothing: from now on rows are handed over, unless some were appended meanwhile.
    /// Tells whether that is so.
    pub fn go_direct(&mut self) -> bool {
        self.direct = !self.more;
        self.direct
    }

    /// A read of the queue found rows: there may be more.
    pub fn read_again(&mut self) {
        self.more = true;
    }
}

/// Acknowledgements that are collected, to be written together. In order: what is written first does not depend on chance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Collected<M: Ord>(BTreeMap<M, Seq>);

impl<M: Ord> Default for Collected<M> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<M: Ord + Copy> Collected<M> {
    /// Remembers an acknowledgement.
    pub fn add(&mut self, mailbox: M, seq: Seq) {
        let held = self.0.entry(mailbox).or_default();
        *held = (*held).max(seq);
    }

    /// Where a connecting device goes on: behind what it has acknowledged and what is not yet written.
    pub fn of(&self, mailbox: &M) -> Seq {
        self.0.get(mailbox).copied().unwrap_or(Seq::START)
    }

    /// What is to be written now; it stays until it [is](Self::written).
    pub fn to_write(&self) -> Vec<(M, Seq)> {
        self.0.iter().map(|(mailbox, seq)| (*mailbox, *seq)).collect()
    }

    /// These are durable; what came after them is still to be written.
    pub fn written(&mut self, taken: Vec<(M, Seq)>) {
        for (mailbox, seq) in taken {
            if self.0.get(&mailbox) == Some(&seq) {
                self.0.remove(&mailbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits { rows: 2, bytes: 100 };

    #[test]
    fn what_was_not_pushed_is_not_acknowledged() {
        let mut window = Window::new(Seq::START, SMALL);
        assert_eq!(window.ack(Seq(9)), None);
        assert!(window.take(Seq(1)) && window.take(Seq(2)));
        window.push(Seq(1), 1, 10);
        assert_eq!(window.ack(Seq(9)), Some(Seq(1)));
    }

    #[test]
    fn a_full_window_has_room_again_when_it_is_acknowledged() {
        let mut window = Window::new(Seq(4), SMALL);
        assert!(window.take(Seq(5)) && !window.take(Seq(5)) && window.take(Seq(6)));
        window.push(Seq(6), 2, 20);
        assert!(!window.has_room(0));
        window.ack(Seq(5));
        assert!(!window.has_room(0), "part of a frame is no frame");
        window.ack(Seq(6));
        assert!(window.has_room(1) && !window.has_room(2));
    }

    #[test]
    fn what_is_acknowledged_while_it_is_being_written_is_written_the_next_time() {
        let mut acks = Collected::default();
        acks.add(1, Seq(4));
        let taken = acks.to_write();
        acks.add(1, Seq(6));
        acks.add(1, Seq(5));
        acks.written(taken);
        assert_eq!(acks.of(&1), Seq(6));
        acks.written(acks.to_write());
        assert_eq!(acks.of(&1), Seq::START);
    }
}
