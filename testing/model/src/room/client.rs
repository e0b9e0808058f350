//! A device: [`parlour_client::order`] decides, what is around it keeps what an engine keeps.

use parlour_client::order::{
    After, Said, after_commit, is_first_sight, is_open_handshake, newest_voids, undoes_ours, undoes_what_we_follow,
};

use super::{Commit, Plant, Room, Row, State, Step, renamed};

/// Where the pending commit's request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flight {
    /// None is under way.
    None,
    /// On its way.
    Asked,
    /// At the server, which writes it.
    Arrived,
    /// Accepted; the answer is on its way.
    Accepted(u64),
    /// Refused; the answer is on its way.
    Behind,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Stored: the commits it has merged.
    pub history: Vec<u32>,
    /// Stored: the newest handshake row dealt with.
    pub head: u64,
    /// Stored: the newest row of the room seen.
    watermark: u64,
    /// Stored: void rows since the last valid commit.
    voids: Vec<u64>,
    /// Commits wanted at the beginning.
    pub asked: u8,
    /// Stored: commits wanted.
    wants: u8,
    /// Stored: the commit that is made and not answered.
    pub pending: Option<Commit>,
    /// In memory: where the pending commit is.
    pub flight: Flight,
    /// In memory: asked for the log, which was so long then.
    pub log: Option<u8>,
    /// In memory: the head moved, and what moved it is not here.
    behind: bool,
    /// In memory: mailbox rows read.
    pub cursor: u8,
    /// Why it would need repair.
    pub astray: Option<&'static str>,
}

/// The id of the commit that a device makes on a head.
fn id_of(by: u8, head: u64) -> u32 {
    u32::from(by) << 16 | (head as u32 + 1)
}

/// What tells two devices apart, whatever they are called.
type Likeness<'a> =
    (usize, u64, u64, &'a [u64], (u8, u8), Option<(u64, bool)>, Flight, Option<u8>, bool, u8, Option<&'a str>);

impl Client {
    pub(super) fn likeness(&self) -> Likeness<'_> {
        let pending = self.pending.as_ref().map(|pending| (pending.head, pending.undo));
        let wants = (self.asked, self.wants);
        let memory = (self.flight, self.log, self.behind, self.cursor);
        let (flight, log, behind, cursor) = memory;
        let voids = &self.voids[..];
        (self.history.len(), self.head, self.watermark, voids, wants, pending, flight, log, behind, cursor, self.astray)
    }

    /// Calls all devices by other names.
    pub(super) fn rename(&mut self, name: &impl Fn(u8) -> u8) {
        self.history.iter_mut().for_each(|id| *id = renamed(*id, name));
        if let Some(pending) = &mut self.pending {
            pending.rename(name);
        }
    }

    /// A device at the beginning of the room, which wants so many commits.
    pub fn new(wants: u8) -> Self {
        Self {
            history: Vec::new(),
            head: 0,
            watermark: 0,
            voids: Vec::new(),
            asked: wants,
            wants,
            pending: None,
            flight: Flight::None,
            log: None,
            behind: false,
            cursor: 0,
            astray: None,
        }
    }

    /// Has what it wants, and nothing to undo.
    pub fn is_done(&self) -> bool {
        self.wants == 0 && self.pending.is_none() && self.voids.is_empty()
    }

    pub(super) fn steps(&self, of: u8, state: &State, steps: &mut Vec<Step>) {
        let idle = state.server.is_idle();
        let something = self.pending.is_some() || self.wants > 0 || !self.voids.is_empty();
        match self.flight {
            Flight::None if something && !self.behind => steps.push(Step::Go(of)),
            Flight::Asked if idle => steps.push(Step::Arrive(of)),
            Flight::Accepted(_) | Flight::Behind => steps.push(Step::Answer(of)),
            _ => {}
        }
        if self.flight != Flight::None && state.left.breaks > 0 {
            steps.push(Step::Break(of));
        }
        if usize::from(self.cursor) < state.server.mailboxes[usize::from(of)].len() {
            steps.push(Step::Row(of));
        }
        if self.log.is_some() {
            steps.push(Step::Log(of));
        } else if self.behind {
            steps.push(Step::AskLog(of));
        }
        if state.left.restarts > 0 {
            steps.push(Step::Restart(of));
        }
        if self.cursor > 0 && state.left.reconnects > 0 {
            steps.push(Step::Reconnect(of));
        }
    }

    fn make(&self, model: &Room, of: u8) -> Commit {
        let voids = if model.plants(Plant::VoidsUnnamed) { Vec::new() } else { newest_voids(&self.voids).to_vec() };
        Commit {
            // Random in the product: on one head a device makes one commit, so this names it as well.
            id: id_of(of, self.head),
            by: of,
            head: self.head,
            on: self.history.last().copied().unwrap_or(0),
            epoch: self.history.len() as u8,
            voids,
            undo: self.wants == 0,
            valid: true,
        }
    }

    fn head_moved(&mut self, seq: u64) {
        self.behind = false;
        self.head = self.head.max(seq);
    }

    /// The pending commit is in the room.
    fn accepted(&mut self, seq: u64) {
        let Some(commit) = self.pending.take() else { return };
        self.flight = Flight::None;
        if self.history.last() != Some(&commit.id) {
            self.history.push(commit.id);
        }
        self.voids.clear();
        self.head_moved(seq);
        if !commit.undo {
            self.wants -= 1;
        }
    }

    /// Gives the request that is now on a broken connection, if it may still arrive.
    fn drop_flight(&mut self) -> Option<Commit> {
        let asked = std::mem::replace(&mut self.flight, Flight::None) == Flight::Asked;
        self.pending.clone().filter(|_| asked)
    }

    fn redo(&mut self) -> Option<Commit> {
        let late = self.drop_flight();
        self.pending = None;
        late
    }

    fn void(&mut self, row: &Row) -> Option<Commit> {
        self.head_moved(row.seq);
        if undoes_what_we_follow(&self.voids, &row.commit.voids) {
            self.astray = Some("a row undoes what is followed here");
        }
        self.voids.push(row.seq);
        self.redo()
    }

    /// A handshake row; gives a request that nobody waits for any more.
    fn take(&mut self, model: &Room, row: &Row) -> Option<Commit> {
        if !is_open_handshake(self.head, row.seq) && !model.plants(Plant::RowsTwice) {
            return None;
        }
        let commit = &row.commit;
        if self.pending.as_ref().is_some_and(|pending| pending.id == commit.id) {
            self.accepted(row.seq);
            return None;
        }
        if !commit.valid || self.history.contains(&commit.id) {
            return self.void(row);
        }
        let (epoch, last) = (self.history.len(), self.history.last().copied().unwrap_or(0));
        match usize::from(commit.epoch).cmp(&epoch) {
            std::cmp::Ordering::Greater => self.astray = Some("a commit of an epoch that no commit leads to"),
            std::cmp::Ordering::Less => self.astray = Some("a commit of an epoch that is over"),
            std::cmp::Ordering::Equal if commit.on != last => self.astray = Some("a commit of another history"),
            std::cmp::Ordering::Equal if !undoes_ours(&self.voids, &commit.voids) => return self.void(row),
            std::cmp::Ordering::Equal => {
                self.history.push(commit.id);
                self.head_moved(row.seq);
                self.voids.clear();
                return self.redo();
            }
        }
        None
    }
}

impl State {
    /// What changes nothing for anybody happens at once: rows that are dealt with already, late requests that are refused.
    pub(super) fn skip_what_changes_nothing(&mut self, model: &Room) {
        if model.plant.is_none() {
            let Self { late, server, .. } = self;
            late.retain(|commit| commit.head >= server.head && !server.knows(commit.id));
        }
        for (client, mailbox) in self.clients.iter_mut().zip(&self.server.mailboxes) {
            while let Some(place) = mailbox.get(usize::from(client.cursor)) {
                let seq = self.server.log[usize::from(*place)].seq;
                if is_first_sight(client.watermark, seq) && is_open_handshake(client.head, seq)
                    || model.plants(Plant::RowsTwice)
                {
                    break;
                }
                client.watermark = client.watermark.max(seq);
                client.cursor += 1;
            }
        }
    }

    fn client(&mut self, of: u8) -> &mut Client {
        &mut self.clients[usize::from(of)]
    }

    fn is_late(&mut self, commit: Option<Commit>) {
        if let Some(commit) = commit
            && !self.late.contains(&commit)
        {
            self.late.push(commit);
            self.late.sort_by_key(|commit| commit.id);
        }
    }

    pub(super) fn go(&mut self, model: &Room, of: u8) {
        let client = self.client(of);
        if client.pending.is_none() {
            client.pending = Some(client.make(model, of));
        }
        client.flight = Flight::Asked;
        if model.plants(Plant::MergedWhenSent)
            && let Some(commit) = &client.pending
            && client.history.last() != Some(&commit.id)
        {
            client.history.push(commit.id);
        }
    }

    /// The connection breaks. A request that had not arrived may still do so.
    pub(super) fn break_off(&mut self, model: &Room, of: u8) {
        let client = self.client(of);
        let late = client.drop_flight();
        if model.plants(Plant::NewIdOnRetry) {
            client.pending = Some(Commit { id: id_of(of, u64::from(u16::MAX)), ..client.make(model, of) });
        }
        self.is_late(late);
    }

    pub(super) fn answer(&mut self, of: u8) {
        let client = self.client(of);
        let flight = std::mem::replace(&mut client.flight, Flight::None);
        let Some(made_on) = client.pending.as_ref().map(|pending| pending.head) else { return };
        let said = match flight {
            Flight::Accepted(seq) => Said::Accepted(seq),
            _ => Said::Behind,
        };
        match after_commit(said, client.head, made_on) {
            After::Merge(seq) => client.accepted(seq),
            After::ServerWentBack => client.astray = Some("the server went back"),
            After::MakeAnew => {
                let _ = client.redo();
            }
            After::FallBehind => client.behind = true,
        }
    }

    pub(super) fn row(&mut self, model: &Room, of: u8) {
        let at = self.client(of).cursor;
        let Some(place) = self.server.mailboxes[usize::from(of)].get(usize::from(at)).copied() else { return };
        let row = self.server.log[usize::from(place)].clone();
        let client = self.client(of);
        client.cursor += 1;
        let late = if is_first_sight(client.watermark, row.seq) || model.plants(Plant::RowsTwice) {
            client.watermark = client.watermark.max(row.seq);
            client.take(model, &row)
        } else {
            None
        };
        self.is_late(late);
    }

    pub(super) fn log(&mut self, model: &Room, of: u8) {
        let Some(known) = self.client(of).log.take() else { return };
        for at in 0..usize::from(known) {
            let late = self.clients[usize::from(of)].take(model, &self.server.log[at]);
            self.is_late(late);
        }
        self.client(of).behind = false;
    }

    /// What is in memory is gone; the connection with it.
    pub(super) fn restart(&mut self, of: u8) {
        let client = self.client(of);
        let late = client.drop_flight();
        (client.behind, client.cursor, client.log) = (false, 0, None);
        self.is_late(late);
    }
}
