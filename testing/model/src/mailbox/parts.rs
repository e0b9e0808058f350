//! The server's socket and the device: [`window`](parlour_server::mailboxes::window) and [`parlour_client::order`] decide.

use std::collections::VecDeque;

use parlour_client::order::{is_first_sight, is_new_in_hand};
use parlour_server::mailboxes::window::{Handover, Next, Window};
use parlour_store::Seq;

use super::{HELD, MINE, Mailbox, Plant, READ, Row, State, WINDOW};

/// A connected socket, and what is on its way in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    /// What it has taken and pushed.
    pub window: Window,
    /// How it gets rows.
    pub rows: Handover<Row>,
    /// A read of the queue is under way.
    pub reading: bool,
    /// What it found, on its way to the socket.
    pub found: Option<Vec<Row>>,
    /// Read, and not taken.
    read: VecDeque<Row>,
    /// Taken, and not pushed.
    pub frame: Vec<Row>,
    /// Pushed, on their way.
    pub frames: Vec<Vec<Row>>,
    /// Acknowledgements on their way.
    pub acks: Vec<u64>,
    newest: u64,
    /// It pushed a row for the second time.
    pub twice: bool,
    /// It has pushed something.
    pub has_pushed: bool,
}

impl Socket {
    pub(super) fn new(cursor: Seq) -> Self {
        Self {
            window: Window::new(cursor, WINDOW),
            rows: Handover::new(HELD),
            reading: false,
            found: None,
            read: VecDeque::new(),
            frame: Vec::new(),
            frames: Vec::new(),
            acks: Vec::new(),
            newest: 0,
            twice: false,
            has_pushed: false,
        }
    }

    pub(super) fn may_look(&self) -> bool {
        let full = self.frame.len() >= READ || !self.window.has_room(self.frame.len());
        !full && !self.reading && self.found.is_none()
    }

    /// One thing at a time, as the feed does it.
    pub(super) fn look(&mut self, model: &Mailbox) {
        let row = match self.read.pop_front() {
            Some(row) => row,
            None => match self.rows.next(|_| 1) {
                Some(Next::Row(_, row)) => row,
                Some(Next::ReadQueue) => {
                    self.reading = true;
                    return;
                }
                None => return,
            },
        };
        if self.window.take(Seq(row.seq)) || model.plants(Plant::CursorUnchecked) {
            self.twice |= row.seq <= self.newest;
            self.newest = self.newest.max(row.seq);
            self.frame.push(row);
        }
    }

    /// What the queue holds when it is read.
    pub(super) fn read(&mut self, queue: &[Row]) {
        self.reading = false;
        let after = self.window.cursor().0;
        self.found = Some(queue.iter().filter(|row| row.seq > after).take(READ).copied().collect());
    }

    /// The socket sees what was read; rows may have been appended since.
    pub(super) fn found(&mut self) {
        self.read = self.found.take().unwrap_or_default().into();
        if self.read.is_empty() {
            self.rows.go_direct();
        } else {
            self.rows.read_again();
        }
    }

    pub(super) fn push(&mut self) -> Seq {
        let frame = std::mem::take(&mut self.frame);
        let last = Seq(frame.last().map_or(0, |row| row.seq));
        self.window.push(last, frame.len() as u32, frame.len() as u32);
        self.frames.push(frame);
        self.has_pushed = true;
        last
    }
}

/// The device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Device {
    /// Stored: the newest row of the room that was shown.
    pub watermark: u64,
    /// Up to here the mailbox's rows are worked on, and stored.
    pub worked: u64,
    in_hand: VecDeque<Row>,
    /// To be acknowledged when nothing is in hand.
    pub to_ack: Option<u64>,
    /// It showed a row for the second time.
    pub twice: bool,
    /// It showed a row before one that comes first.
    pub skipped: bool,
    /// It was told something again, and knew it.
    pub recognised: bool,
}

impl Device {
    pub(super) fn has_work(&self) -> bool {
        !self.in_hand.is_empty()
    }

    pub(super) fn may_acknowledge(&self) -> bool {
        self.in_hand.is_empty() && self.to_ack.is_some()
    }

    pub(super) fn get(&mut self, frame: Vec<Row>) {
        for row in frame {
            if is_new_in_hand(self.in_hand.back().map(|last| last.seq), row.seq) {
                self.in_hand.push_back(row);
            }
        }
    }

    pub(super) fn work(&mut self, model: &Mailbox) {
        let Some(row) = self.in_hand.pop_front() else { return };
        let first = is_first_sight(self.watermark, row.room_seq);
        self.recognised |= !first;
        if first || model.plants(Plant::WatermarkUnchecked) {
            self.twice |= !first;
            self.skipped |= row.room_seq > self.watermark + 1;
            self.watermark = self.watermark.max(row.room_seq);
        }
        self.worked = self.worked.max(row.seq);
        self.to_ack = Some(row.seq);
    }

    /// What is in hand is gone: with the device, or with the connection that it came on.
    pub(super) fn die(&mut self) {
        self.in_hand.clear();
        self.to_ack = None;
    }
}

impl State {
    pub(super) fn append(&mut self, room_seq: u64) {
        let row = Row { seq: self.last.seq + 1, room_seq };
        self.last = row;
        self.queue.push(row);
        self.offers.push(row);
    }

    pub(super) fn acked(&mut self, seq: u64) {
        let counts = self.socket.as_mut().and_then(|socket| socket.window.ack(Seq(seq)));
        if let Some(seq) = counts {
            self.acks.add(MINE, seq);
        }
    }

    pub(super) fn late_acked(&mut self) {
        let Some((mut window, mut acks)) = self.late.take() else { return };
        if !acks.is_empty()
            && let Some(seq) = window.ack(Seq(acks.remove(0)))
        {
            self.acks.add(MINE, seq);
        }
        self.late = (!acks.is_empty()).then_some((window, acks));
    }

    pub(super) fn flushed(&mut self, model: &Mailbox) {
        let Some(taken) = self.flushing.take() else { return };
        for (_, seq) in &taken {
            self.queue.retain(|row| row.seq > seq.0);
            self.deleted = self.deleted.max(seq.0);
        }
        self.acks.written(taken);
        if model.plants(Plant::AckForgotten) {
            self.acks = Default::default();
        }
    }

    /// What was pushed does not arrive; what was acknowledged may.
    pub(super) fn break_off(&mut self) {
        self.device.die();
        let Some(socket) = self.socket.take() else { return };
        if !socket.acks.is_empty() {
            self.late = Some((socket.window, socket.acks));
        }
    }

    /// What is in memory is gone.
    pub(super) fn crash(&mut self) {
        self.break_off();
        (self.late, self.flushing) = (None, None);
        self.acks = Default::default();
        self.offers.clear();
    }
}
