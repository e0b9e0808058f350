//! One mailbox: rows are appended, handed over or read, pushed, worked on, acknowledged, deleted; and everything that can go
//! wrong between.
//!
//! | what happens | step |
//! |---|---|
//! | the store appends a row, and tells the connected socket a moment later | [`Step::Append`], `Offer` |
//! | a delivery is resumed after a crash: rows are appended once more | `AppendAgain` |
//! | the device connects (an older socket goes, its last acknowledgements may still come) | `Connect` |
//! | the socket looks for rows; it reads the queue, and sees what was read later | `Look`, `Read`, `Found` |
//! | it pushes what it has, one frame | `Push` |
//! | the device gets a frame; works on one row and commits; acknowledges when all are worked on | `Get`, `Work`, `Ack` |
//! | an acknowledgement arrives, is collected, is being written, is durable | `Acked`, `Flush`, `Flushed` |
//! | the connection breaks; the device dies; the server dies | `Break`, `Die`, `Crash` |
//!
//! Not modelled: rows that wait in the engine for their Welcome, sizes in bytes, the end of a row after thirty days.

mod parts;

use parlour_server::mailboxes::window::{Collected, Limits, Window};
use parlour_store::Seq;
use stateright::{Model, Property};

pub use parts::{Device, Socket};

/// Rows the socket may have unacknowledged, and how many are held for it.
const WINDOW: Limits = Limits { rows: 2, bytes: 1_000 };
const HELD: Limits = Limits { rows: 1, bytes: 1_000 };
/// Rows read at once, and pushed in a frame.
const READ: usize = 2;

/// What is put wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The device acknowledges what it got, before it is worked on and stored.
    AckedOnArrival,
    /// The server writes what it pushed as acknowledged.
    PushedIsAcked,
    /// A socket that reads the queue is not told that a row was appended meanwhile.
    OfferForgotten,
    /// A socket pushes what it was handed also if it has read it from the queue.
    CursorUnchecked,
    /// What was acknowledged while acknowledgements were being written is forgotten.
    AckForgotten,
    /// The device does not look at the room's watermark.
    WatermarkUnchecked,
}

/// A row: its place in the mailbox, and the room's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// In the mailbox.
    pub seq: u64,
    /// In the room.
    pub room_seq: u64,
}

/// How often things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Connections that break.
    pub breaks: u8,
    /// Deaths of the device.
    pub deaths: u8,
    /// Deaths of the server.
    pub crashes: u8,
    /// Rows that are appended once more.
    pub again: u8,
}

/// One run's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox {
    /// Rows that are appended in all.
    pub rows: u64,
    /// What may go wrong.
    pub faults: Faults,
    /// What is put wrong on purpose.
    pub plant: Option<Plant>,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Durable: the rows of the queue.
    pub queue: Vec<Row>,
    /// Durable: the last sequence of the mailbox, and the last of the room.
    pub last: Row,
    /// Durable: up to here rows were deleted.
    pub deleted: u64,
    /// Appended, and not told to the socket.
    pub offers: Vec<Row>,
    /// In the server's memory: acknowledgements to be written.
    pub acks: Collected<u8>,
    /// Those being written.
    pub flushing: Option<Vec<(u8, Seq)>>,
    /// The connected socket.
    pub socket: Option<Socket>,
    /// A connection that broke: what was acknowledged on it may still come.
    pub late: Option<(Window, Vec<u64>)>,
    /// The device.
    pub device: Device,
    /// What may still go wrong.
    pub left: Faults,
}

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the table at the head of the module")]
pub enum Step {
    Append,
    AppendAgain,
    Offer,
    Connect,
    Look,
    Read,
    Found,
    Push,
    Get,
    Work,
    Ack,
    Acked,
    LateAcked,
    Flush,
    Flushed,
    Break,
    Die,
    Crash,
}

impl Mailbox {
    fn plants(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }
}

impl State {
    /// All rows are shown, and nothing of them is left at the server.
    pub fn is_done(&self, model: &Mailbox) -> bool {
        self.device.watermark == model.rows && self.queue.is_empty() && self.acks == Collected::default()
    }
}

/// The only mailbox.
const MINE: u8 = 0;

impl Model for Mailbox {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            queue: Vec::new(),
            last: Row { seq: 0, room_seq: 0 },
            deleted: 0,
            offers: Vec::new(),
            acks: Collected::default(),
            flushing: None,
            socket: None,
            late: None,
            device: Device::default(),
            left: self.faults,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let mut may = |step: Step, may: bool| steps.extend(may.then_some(step));
        may(Step::Append, state.last.room_seq < self.rows);
        may(Step::AppendAgain, state.last.room_seq > 0 && state.left.again > 0);
        may(Step::Offer, !state.offers.is_empty());
        may(Step::Connect, state.socket.is_none());
        may(Step::Break, state.socket.is_some() && state.left.breaks > 0);
        may(Step::Flush, state.flushing.is_none() && state.acks != Collected::default());
        may(Step::Flushed, state.flushing.is_some());
        may(Step::LateAcked, state.late.is_some());
        may(Step::Work, state.device.has_work());
        may(Step::Die, state.left.deaths > 0);
        may(Step::Crash, state.left.crashes > 0);
        if let Some(socket) = &state.socket {
            may(Step::Look, socket.may_look());
            may(Step::Read, socket.reading);
            may(Step::Found, socket.found.is_some());
            may(Step::Push, !socket.frame.is_empty());
            may(Step::Get, !socket.frames.is_empty());
            may(Step::Ack, state.device.may_acknowledge());
            may(Step::Acked, !socket.acks.is_empty());
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Append => state.append(before.last.room_seq + 1),
            Step::AppendAgain => {
                state.left.again -= 1;
                state.append(before.last.room_seq);
            }
            Step::Offer => {
                let row = state.offers.remove(0);
                let forgets = self.plants(Plant::OfferForgotten);
                if let Some(socket) = state.socket.as_mut().filter(|socket| socket.rows.is_direct() || !forgets) {
                    socket.rows.offer(Seq(row.seq), row, 1);
                }
            }
            Step::Connect => state.socket = Some(Socket::new(state.acks.of(&MINE))),
            Step::Look => state.socket.as_mut()?.look(self),
            Step::Read => state.socket.as_mut()?.read(&before.queue),
            Step::Found => state.socket.as_mut()?.found(),
            Step::Push => {
                let last = state.socket.as_mut()?.push();
                if self.plants(Plant::PushedIsAcked) {
                    state.acks.add(MINE, last);
                }
            }
            Step::Get => {
                let frame = state.socket.as_mut()?.frames.remove(0);
                let newest = frame.last().map(|row| row.seq);
                state.device.get(frame);
                if self.plants(Plant::AckedOnArrival) {
                    state.socket.as_mut()?.acks.extend(newest);
                }
            }
            Step::Work => state.device.work(self),
            Step::Ack => state.socket.as_mut()?.acks.extend(state.device.to_ack.take()),
            Step::Acked => {
                let socket = state.socket.as_mut()?;
                let seq = socket.acks.remove(0);
                state.acked(seq);
            }
            Step::LateAcked => state.late_acked(),
            Step::Flush => state.flushing = Some(state.acks.to_write()),
            Step::Flushed => state.flushed(self),
            Step::Break => {
                state.left.breaks -= 1;
                state.break_off();
            }
            Step::Die => {
                state.left.deaths -= 1;
                state.break_off();
            }
            Step::Crash => {
                state.left.crashes -= 1;
                state.crash();
            }
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a row is shown once", |_, state: &State| !state.device.twice),
            Property::always("rows are shown in order, and none is left out", |_, state: &State| !state.device.skipped),
            Property::always("nothing is deleted before it is worked on", |_, state: &State| {
                state.deleted <= state.device.worked
            }),
            Property::always("no cursor passes a row that was not worked on", |_, state: &State| {
                state.acks.of(&MINE).0 <= state.device.worked
            }),
            Property::always("a socket pushes a row once", |_, state: &State| {
                state.socket.as_ref().is_none_or(|socket| !socket.twice)
            }),
            Property::sometimes("a row comes twice and is recognised", |_, state: &State| state.device.recognised),
            Property::sometimes("rows are handed over", |_, state: &State| {
                state.socket.as_ref().is_some_and(|socket| socket.rows.is_direct() && socket.has_pushed)
            }),
            Property::sometimes("all is shown and deleted", |model, state: &State| state.is_done(model)),
        ]
    }
}
