//! The room at the server: [`turn`], [`Sequences`] and [`are_newest`] decide, what is around them keeps what a store keeps.

use parlour_server::rooms::order::{Sequences, Turn, are_newest, turn};

use super::{CLIENTS, Commit, Plant, Room, Row, State, client::Flight, renamed};

/// Batches of one commit: the room's, a mailbox row for each device, the end of the job.
const BATCHES: u8 = CLIENTS as u8 + 2;

/// The room: what is durable, and what is in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Durable: the last handshake row.
    pub head: u64,
    /// Durable: the log.
    pub log: Vec<Row>,
    /// Durable: each device's rows, as places in the log.
    pub mailboxes: [Vec<u8>; CLIENTS],
    /// Durable: the reserved sequences.
    bound: u64,
    /// Durable: whose entry changes stand.
    entries: Vec<u32>,
    /// In memory: the sequences.
    sequences: Sequences,
    /// In memory: batches that are being written.
    pub writing: Option<Writing>,
    /// Whether a commit that is in the room was ever told that it is not.
    pub contradicted: bool,
}

/// The batches of a commit, as far as they are durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Writing {
    row: Row,
    bound: Option<u64>,
    /// Whose mailboxes, in the order of delivery.
    to: [u8; CLIENTS],
    done: u8,
    /// Who waits for the answer.
    whose: Option<u8>,
}

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Says {
    Accepted(u64),
    Behind,
    /// When it is durable.
    Wait,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            head: 0,
            log: Vec::new(),
            mailboxes: Default::default(),
            bound: 0,
            entries: Vec::new(),
            sequences: Sequences::loaded(0, 1),
            writing: None,
            contradicted: false,
        }
    }
}

impl Server {
    /// Calls all devices by other names; `order` tells which mailbox comes where.
    pub(super) fn rename(&mut self, name: &impl Fn(u8) -> u8, order: [usize; CLIENTS]) {
        self.log.iter_mut().for_each(|row| row.commit.rename(name));
        self.entries.iter_mut().for_each(|id| *id = renamed(*id, name));
        self.mailboxes = order.map(|at| std::mem::take(&mut self.mailboxes[at]));
        if let Some(writing) = &mut self.writing {
            writing.row.commit.rename(name);
            writing.to = writing.to.map(name);
            writing.whose = writing.whose.map(name);
        }
    }

    /// Nothing is being written.
    pub fn is_idle(&self) -> bool {
        self.writing.is_none()
    }

    /// The commits that count, in order.
    pub fn valid(&self) -> Vec<u32> {
        self.log.iter().filter(|row| row.commit.valid).map(|row| row.commit.id).collect()
    }

    /// Entry changes stand of all valid commits, and of the void ones since the last valid.
    pub fn entries_fit(&self) -> bool {
        let since = self.log.iter().rposition(|row| row.commit.valid).map_or(0, |at| at + 1);
        let stands = |(at, row): (usize, &Row)| (row.commit.valid || at >= since).then_some(row.commit.id);
        self.entries == self.log.iter().enumerate().filter_map(stands).collect::<Vec<_>>()
    }

    /// Whether a commit is in the log, or on its way there.
    pub(super) fn knows(&self, id: u32) -> bool {
        self.log.iter().any(|row| row.commit.id == id)
    }

    /// A commit arrives, while none is being written.
    pub(super) fn take(&mut self, model: &Room, commit: Commit, whose: Option<u8>) -> Says {
        let in_log = self.log.iter().find(|row| row.commit.id == commit.id).map(|row| row.seq);
        let answered = in_log.filter(|_| !model.plants(Plant::HeadBeforeAnswer) || commit.head == self.head);
        let named = if model.plants(Plant::HeadUnchecked) { self.head } else { commit.head };
        match turn(answered, named, self.head) {
            Turn::Answered(seq) => return Says::Accepted(seq),
            Turn::Behind(_) => {
                self.contradicted |= in_log.is_some();
                return Says::Behind;
            }
            Turn::Next => {}
        }
        if !self.are_newest(&commit.voids) {
            return Says::Behind;
        }
        let (seq, bound) = self.sequences.take();
        let early = model.plants(Plant::AnswerBeforeDurable);
        let waits = whose.filter(|_| !early);
        self.writing = Some(Writing { row: Row { seq, commit }, bound, to: [0, 1, 2], done: 0, whose: waits });
        if early { Says::Accepted(seq) } else { Says::Wait }
    }

    /// As the store's range would give them: from the oldest that is named up to the head, one more than are named.
    fn are_newest(&self, named: &[u64]) -> bool {
        let Some(first) = named.iter().min() else { return true };
        let rows = self.log.iter().map(|row| row.seq).filter(|seq| seq >= first);
        are_newest(named, &rows.take(named.len() + 1).collect::<Vec<_>>())
    }

    /// The next batch is durable; the answer, when it was the last.
    fn write(&mut self, keeps_voids: bool) -> Option<(Option<u8>, u64)> {
        let writing = self.writing.as_mut()?;
        let done = usize::from(writing.done);
        writing.done += 1;
        if done == 0 {
            let row = writing.row.clone();
            self.head = row.seq;
            self.bound = writing.bound.unwrap_or(self.bound);
            let undone = |id: &u32| {
                self.log.iter().any(|before| before.commit.id == *id && row.commit.voids.contains(&before.seq))
            };
            if !keeps_voids {
                self.entries.retain(|id| !undone(id));
            }
            self.entries.push(row.commit.id);
            self.log.push(row);
        } else if let Some(of) = writing.to.get(done - 1) {
            self.mailboxes[usize::from(*of)].push(self.log.len() as u8 - 1);
        }
        if writing.done < BATCHES {
            return None;
        }
        let written = self.writing.take()?;
        self.sequences.is_durable(self.sequences.bound());
        Some((written.whose, written.row.seq))
    }

    fn may_go_on(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.done < BATCHES - 1)
    }

    /// It dies, and starts again with what is durable.
    fn crash(&mut self, model: &Room) {
        let bound = if model.plants(Plant::SequencesRepeated) { self.head.saturating_sub(1) } else { self.bound };
        self.sequences = Sequences::loaded(bound, 1);
        let begun = self.writing.take().filter(|writing| writing.done > 0);
        // A job was made with the room's batch: it is delivered again, from its beginning.
        self.writing = begun.filter(|_| !model.plants(Plant::JobForgotten)).map(|writing| Writing {
            done: 1,
            whose: None,
            bound: None,
            ..writing
        });
    }
}

impl State {
    pub(super) fn arrive(&mut self, model: &Room, of: u8) {
        let client = &mut self.clients[usize::from(of)];
        let Some(commit) = client.pending.clone() else { return };
        client.flight = match self.server.take(model, commit, Some(of)) {
            Says::Accepted(seq) => Flight::Accepted(seq),
            Says::Behind => Flight::Behind,
            Says::Wait => Flight::Arrived,
        };
    }

    pub(super) fn write(&mut self, model: &Room) {
        let mut done = self.server.write(model.plants(Plant::VoidsKept));
        // Who reads late reads as if it were written late: that the rows come one by one matters for crashes only.
        while self.left.crashes == 0 && done.is_none() && self.server.may_go_on() {
            done = self.server.write(model.plants(Plant::VoidsKept));
        }
        let Some((whose, seq)) = done else { return };
        let waiting = whose.map(|of| &mut self.clients[usize::from(of)].flight);
        if let Some(flight) = waiting.filter(|flight| **flight == Flight::Arrived) {
            *flight = Flight::Accepted(seq);
        }
    }

    /// All connections end with it: what was under way on them is gone.
    pub(super) fn crash(&mut self, model: &Room) {
        self.server.crash(model);
        self.late.clear();
        for client in &mut self.clients {
            client.flight = Flight::None;
            client.log = None;
            client.cursor = 0;
        }
    }
}
