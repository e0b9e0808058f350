//! The closed loop: every room has one message under way; the next goes when the sender has the server's answer and
//! every online member (the sender too: the echo) has the row. Checks that each row comes once and in order.

use crate::net::{Net, SocketId};
use crate::room::PreparedSend;
use anyhow::{Result, anyhow, bail, ensure};
use parlour_proto::frames::{Push, RowBody, ServerFrame};
use parlour_proto::ids::MessageId;
use std::time::{Duration, Instant};

/// A room under load.
pub(crate) struct Lane {
    /// Anonymous socket that sends.
    pub(crate) outbox: SocketId,
    /// Inboxes of the members that are online.
    pub(crate) online: Vec<SocketId>,
    /// What is sent.
    pub(crate) send: PreparedSend,
    /// Number of the message under way.
    number: u64,
    /// Answers and rows still to come for it.
    missing: usize,
}

impl Lane {
    /// A lane at rest.
    pub(crate) fn new(outbox: SocketId, online: Vec<SocketId>, send: PreparedSend) -> Self {
        Self { outbox, online, send, number: 0, missing: 0 }
    }
}

/// Where a socket belongs.
#[derive(Clone, Copy)]
struct Place {
    lane: usize,
    /// Number of the last message whose row (or answer) came here.
    last: u64,
}

/// All lanes and their sockets.
pub(crate) struct ClosedLoop {
    /// The sockets.
    pub(crate) net: Net,
    lanes: Vec<Lane>,
    places: Vec<Option<Place>>,
    done: u64,
    stopping: bool,
    limit: u64,
}

impl ClosedLoop {
    /// Takes sockets and lanes; frames left from setting up are read and acknowledged.
    ///
    /// # Errors
    /// When a socket breaks.
    pub(crate) fn new(mut net: Net, lanes: Vec<Lane>) -> Result<Self> {
        net.sweep(&mut Vec::new())?;
        net.idle_for(Duration::from_millis(300))?;
        let mut places = Vec::new();
        for (lane, Lane { outbox, online, .. }) in lanes.iter().enumerate() {
            for &socket in online.iter().chain([outbox]) {
                places.resize(places.len().max(socket + 1), None);
                places[socket] = Some(Place { lane, last: 0 });
            }
        }
        Ok(Self { net, lanes, places, done: 0, stopping: false, limit: u64::MAX })
    }

    /// Puts the first message of every lane under way.
    ///
    /// # Errors
    /// When a socket breaks.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.stopping = false;
        (0..self.lanes.len()).try_for_each(|lane| self.next(lane))
    }

    /// Runs for a time; gives how many messages were done in it, by all that is asked of them.
    ///
    /// # Errors
    /// When something is refused, lost, doubled or out of order.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<u64> {
        let (end, before) = (Instant::now() + time, self.done);
        let mut got = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.net.turn(left, &mut got)?;
            self.take(&got)?;
        }
        Ok(self.done - before)
    }

    /// Begins, runs until every lane has done `each` messages more, and rests.
    ///
    /// # Errors
    /// As [`ClosedLoop::run_for`].
    pub(crate) fn run_messages(&mut self, each: u64) -> Result<u64> {
        let before = self.done;
        self.limit = self.lanes.first().map_or(0, |lane| lane.number) + each;
        self.begin()?;
        self.rest()?;
        self.limit = u64::MAX;
        Ok(self.done - before)
    }

    /// Sends nothing new and waits until everything under way is done and acknowledged.
    ///
    /// # Errors
    /// When it is not done 60 seconds after the last frame.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.stopping = true;
        self.rest()
    }

    /// Sends `count` messages into the first lane at once and waits for all their rows; gives how many copies came.
    ///
    /// # Errors
    /// As [`ClosedLoop::run_for`].
    pub(crate) fn burst(&mut self, count: u64) -> Result<u64> {
        let Some(lane) = self.lanes.first_mut() else { return Ok(0) };
        let (before, after) = (lane.number, lane.number + count);
        for number in before + 1..=after {
            self.net.send(lane.outbox, lane.send.frame(number))?;
        }
        lane.number = after;
        let mut last: Vec<u64> = vec![before; self.places.len()];
        let wanted = count * lane.online.len() as u64;
        let (mut copies, mut answers, mut got, mut last_frame) = (0, 0, Vec::new(), Instant::now());
        while copies < wanted || answers < count {
            self.net.turn(Duration::from_millis(50), &mut got)?;
            for (socket, frame) in &got {
                last_frame = Instant::now();
                if let ServerFrame::Answer { result, .. } = frame {
                    result.as_ref().map_err(|problem| anyhow!("a send was refused: {problem}"))?;
                    answers += 1;
                }
                for id in message_ids(frame) {
                    last[*socket] += 1;
                    copies += 1;
                    ensure!(
                        self.lanes[0].send.number(id) == Some(last[*socket]),
                        "a row is lost, doubled or out of order"
                    );
                }
            }
            ensure!(last_frame.elapsed() < Duration::from_secs(60), "{copies} of {wanted} copies came");
        }
        self.places.iter_mut().flatten().for_each(|place| place.last = after);
        self.net.idle_for(2 * crate::net::ACK_DELAY)?;
        Ok(copies)
    }

    fn rest(&mut self) -> Result<()> {
        let mut got = Vec::new();
        let mut last_frame = Instant::now();
        while self.lanes.iter().any(|lane| lane.missing > 0) {
            self.net.turn(Duration::from_millis(50), &mut got)?;
            if !got.is_empty() {
                last_frame = Instant::now();
            } else if last_frame.elapsed() > Duration::from_secs(60) {
                bail!("{} messages are lost", self.lanes.iter().filter(|lane| lane.missing > 0).count());
            }
            self.take(&got)?;
        }
        self.net.idle_for(2 * crate::net::ACK_DELAY)
    }

    fn next(&mut self, lane: usize) -> Result<()> {
        let lane = &mut self.lanes[lane];
        if self.stopping || lane.number >= self.limit {
            return Ok(());
        }
        lane.number += 1;
        lane.missing = lane.online.len() + 1;
        self.net.send(lane.outbox, lane.send.frame(lane.number))
    }

    fn take(&mut self, got: &[(SocketId, ServerFrame)]) -> Result<()> {
        for (socket, frame) in got {
            match frame {
                ServerFrame::Answer { result: Ok(_), .. } => self.one_came(*socket, None)?,
                ServerFrame::Answer { result: Err(problem), .. } => bail!("a send was refused: {problem}"),
                ServerFrame::Push(Push::Rows(_)) => {
                    message_ids(frame).try_for_each(|id| self.one_came(*socket, Some(id)))?;
                }
                ServerFrame::Push(Push::Closing(problem)) => bail!("the server closes a socket: {problem}"),
                ServerFrame::Push(_) => {}
            }
        }
        Ok(())
    }

    fn one_came(&mut self, socket: SocketId, id: Option<&MessageId>) -> Result<()> {
        let Some(place) = self.places.get_mut(socket).and_then(Option::as_mut) else { return Ok(()) };
        let lane = &mut self.lanes[place.lane];
        let number = id.map_or(Some(lane.number), |id| lane.send.number(id));
        if number != Some(lane.number) || place.last == lane.number {
            bail!("message {number:?} came where {} was expected (last one here: {})", lane.number, place.last);
        }
        place.last = lane.number;
        lane.missing -= 1;
        if lane.missing == 0 {
            self.done += 1;
            let lane = place.lane;
            self.next(lane)?;
        }
        Ok(())
    }
}

/// The message ids in a push of rows; none in any other frame.
pub(crate) fn message_ids(frame: &ServerFrame) -> impl Iterator<Item = &MessageId> {
    let rows = match frame {
        ServerFrame::Push(Push::Rows(rows)) => rows.as_slice(),
        _ => &[],
    };
    rows.iter().filter_map(|row| match &row.body {
        RowBody::Message { message_id, .. } => Some(message_id),
        _ => None,
    })
}
