//! The room's epoch protocol: three devices that want commits, one room at the server, and everything that can go wrong between.
//!
//! | what happens | step |
//! |---|---|
//! | a device makes and stores its next commit (if it has none pending) and sends it | [`Step::Go`] |
//! | the request arrives; it breaks off before or after; what broke off arrives late, or never | `Arrive`, `Break`, `Late` |
//! | the server's store makes the next batch durable: the room, then one mailbox row for each, then the end of the job | `Write` |
//! | the answer is read; a mailbox row is read; the log is asked for and read, which may take time | `Answer`, `Row`, `AskLog`, `Log` |
//! | a device starts again, or its inbox does: all rows come again | `Restart`, `Reconnect` |
//! | the server dies between any two batches | `Crash` |
//! | an insider puts a commit into the room that every member can tell is invalid | `Cheat` |
//!
//! What MLS does is here one line each: a commit is made on an epoch and good for it alone, its maker cannot read it. Not
//! modelled: messages, time (who is behind may ask for the log at once), changes of who is in the room, repair: the model
//! shows that honest devices never need it.

mod client;
mod server;

use std::fmt;

use stateright::{Model, Property};

pub use client::Client;
pub use server::Server;

/// Devices in the room.
pub const CLIENTS: usize = 3;

/// What is put wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The server does not look at the head that a commit names.
    HeadUnchecked,
    /// The server looks at the head before it looks whether it knows the commit.
    HeadBeforeAnswer,
    /// The server answers before the room is durable.
    AnswerBeforeDurable,
    /// After a crash, sequences do not go on behind the block that was reserved.
    SequencesRepeated,
    /// After a crash, deliveries are not resumed.
    JobForgotten,
    /// The server does not take the entry changes of void rows back.
    VoidsKept,
    /// A device makes its commit anew, under another id, when an answer is lost.
    NewIdOnRetry,
    /// A device merges its commit when it sends it.
    MergedWhenSent,
    /// A device deals with a handshake row again when it comes again.
    RowsTwice,
    /// A device does not name the void rows.
    VoidsUnnamed,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Drawn once by its maker.
    pub id: u32,
    /// Who made it; [`CLIENTS`] is the insider.
    pub by: u8,
    /// The head it names.
    pub head: u64,
    /// The last commit of the epoch it was made on; 0 at the beginning.
    pub on: u32,
    /// How many commits had led there.
    pub epoch: u8,
    /// Void rows that it names.
    pub voids: Vec<u64>,
    /// Made to undo void rows only.
    pub undo: bool,
    /// Whether it can be followed.
    pub valid: bool,
}

/// A handshake row of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Its sequence.
    pub seq: u64,
    /// What it holds.
    pub commit: Commit,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The room at the server.
    pub server: Server,
    /// The devices.
    pub clients: [Client; CLIENTS],
    /// Requests of connections that broke.
    pub late: Vec<Commit>,
    /// What may still go wrong.
    pub left: Faults,
}

/// How often things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Connections that break while a commit is under way.
    pub breaks: u8,
    /// Inboxes that begin anew.
    pub reconnects: u8,
    /// Devices that die.
    pub restarts: u8,
    /// Deaths of the server.
    pub crashes: u8,
    /// Invalid commits of an insider.
    pub cheats: u8,
}

/// One run's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Commits that each device wants.
    pub wants: [u8; CLIENTS],
    /// What may go wrong.
    pub faults: Faults,
    /// What is put wrong on purpose.
    pub plant: Option<Plant>,
}

/// What can happen next; the number is the device's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table at the head of the module")]
pub enum Step {
    Go(u8),
    Arrive(u8),
    Break(u8),
    Late(u8),
    Write,
    Answer(u8),
    Row(u8),
    AskLog(u8),
    Log(u8),
    Restart(u8),
    Reconnect(u8),
    Crash,
    Cheat,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, of) = match self {
            Self::Go(of) => ("Go", of),
            Self::Arrive(of) => ("Arrive", of),
            Self::Break(of) => ("Break", of),
            Self::Late(of) => ("Late", of),
            Self::Answer(of) => ("Answer", of),
            Self::Row(of) => ("Row", of),
            Self::AskLog(of) => ("AskLog", of),
            Self::Log(of) => ("Log", of),
            Self::Restart(of) => ("Restart", of),
            Self::Reconnect(of) => ("Reconnect", of),
            Self::Write => return f.write_str("Write"),
            Self::Crash => return f.write_str("Crash"),
            Self::Cheat => return f.write_str("Cheat"),
        };
        write!(f, "{name}({of})")
    }
}

impl Room {
    fn plants(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }
}

impl Commit {
    fn rename(&mut self, name: &impl Fn(u8) -> u8) {
        (self.id, self.on, self.by) = (renamed(self.id, name), renamed(self.on, name), name(self.by));
    }
}

/// The same id of a device that is called otherwise.
fn renamed(id: u32, name: impl Fn(u8) -> u8) -> u32 {
    if id == 0 { 0 } else { u32::from(name((id >> 16) as u8)) << 16 | (id & 0xffff) }
}

impl State {
    /// Devices are alike: states that differ only in which is which are one.
    fn rename(&mut self) {
        let mut order = [0, 1, 2];
        order.sort_by(|one, two| self.clients[*one].likeness().cmp(&self.clients[*two].likeness()));
        if order == [0, 1, 2] {
            return;
        }
        let name = |by: u8| order.iter().position(|at| *at == usize::from(by)).map_or(by, |at| at as u8);
        self.clients = order.map(|at| self.clients[at].clone());
        self.clients.iter_mut().for_each(|client| client.rename(&name));
        self.server.rename(&name, order);
        self.late.iter_mut().for_each(|commit| commit.rename(&name));
        self.late.sort_by_key(|commit| commit.id);
    }

    /// All that was wanted is done, nothing is void, and everybody has the same.
    pub fn agrees(&self) -> bool {
        let history = &self.clients[0].history;
        self.server.is_idle()
            && self.clients.iter().all(|client| client.is_done() && client.history == *history)
            && self.server.valid() == *history
    }
}

impl Model for Room {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let clients = self.wants.map(Client::new);
        vec![State { server: Server::default(), clients, late: Vec::new(), left: self.faults }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (client, of) in state.clients.iter().zip(0u8..) {
            client.steps(of, state, steps);
        }
        if state.server.writing.is_some() {
            steps.push(Step::Write);
        } else {
            steps.extend((0..state.late.len()).map(|at| Step::Late(at as u8)));
            if state.left.cheats > 0 {
                steps.push(Step::Cheat);
            }
        }
        if state.left.crashes > 0 {
            steps.push(Step::Crash);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Go(of) => state.go(self, of),
            Step::Arrive(of) => state.arrive(self, of),
            Step::Break(of) => {
                state.left.breaks -= 1;
                state.break_off(self, of);
            }
            Step::Late(at) => {
                let commit = state.late.remove(usize::from(at));
                let _ = state.server.take(self, commit, None);
            }
            Step::Write => state.write(self),
            Step::Answer(of) => state.answer(of),
            Step::Row(of) => state.row(self, of),
            Step::AskLog(of) => {
                let known = state.server.log.len() as u8;
                state.clients[usize::from(of)].log = Some(known);
            }
            Step::Log(of) => state.log(self, of),
            Step::Restart(of) => {
                state.left.restarts -= 1;
                state.restart(of);
            }
            Step::Reconnect(of) => {
                state.left.reconnects -= 1;
                state.clients[usize::from(of)].cursor = 0;
            }
            Step::Crash => {
                state.left.crashes -= 1;
                state.crash(self);
            }
            Step::Cheat => {
                state.left.cheats -= 1;
                let commit = Commit {
                    id: (CLIENTS as u32) << 16 | u32::from(state.left.cheats),
                    by: CLIENTS as u8,
                    head: state.server.head,
                    on: 0,
                    epoch: 0,
                    voids: Vec::new(),
                    undo: false,
                    valid: false,
                };
                let _ = state.server.take(self, commit, None);
            }
        }
        state.skip_what_changes_nothing(self);
        state.rename();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never two histories", |_, state: &State| {
                let valid = state.server.valid();
                state.clients.iter().all(|client| valid.starts_with(&client.history))
            }),
            Property::always("an acknowledged commit is in the room once", |_, state: &State| {
                let log = &state.server.log;
                let times = |id: u32| log.iter().filter(|row| row.commit.id == id).count();
                state.clients.iter().all(|client| client.history.iter().all(|id| times(*id) == 1))
            }),
            Property::always("what is wanted is done once", |_, state: &State| {
                let log = &state.server.log;
                let done = |of: u8| {
                    log.iter().filter(|row| row.commit.valid && row.commit.by == of && !row.commit.undo).count()
                };
                (0..CLIENTS).all(|of| done(of as u8) <= usize::from(state.clients[of].asked))
            }),
            Property::always("the same commit gets the same answer", |_, state: &State| !state.server.contradicted),
            Property::always("a sequence is used once, and they rise", |_, state: &State| {
                state.server.log.is_sorted_by(|before, after| before.seq < after.seq)
            }),
            Property::always("the entries are what the valid commits made them", |_, state: &State| {
                state.server.entries_fit()
            }),
            Property::always("nobody loses the thread", |_, state: &State| {
                state.clients.iter().all(|client| client.astray.is_none())
            }),
            Property::sometimes("a commit is behind", |_, state: &State| {
                state.clients.iter().any(|client| client.flight == client::Flight::Behind)
            }),
            Property::sometimes("all agree", |_, state: &State| state.agrees()),
        ]
    }
}
