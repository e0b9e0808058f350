//! The engine's thread: one transaction per drain, then frames, then events.

use super::{Command, Core};
use crate::clock;
use crate::drain::{Action, Drain};
use crate::net::{Endpoint, Link, Received};
use crate::rows::{Rows, RowsError};
use parlour_client::api::{Event, Failure, Input, IntentId, Reply, Socket};
use parlour_proto::ids::UnixMillis;
use rand_core::OsRng;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// The timer looks at the clock at least this often: the clock may be set, the machine may sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How many frames that are there already go into one transaction.
const BATCH: usize = 32;

/// Where the thread's inputs come from, and where events go.
pub(super) struct Ends {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Everything the thread owns.
pub(super) struct Work<C> {
    core: C,
    rows: Box<dyn Rows>,
    endpoint: Endpoint,
    sockets: Handle,
    links: HashMap<Socket, (u64, Link)>,
    generation: u64,
    tell: mpsc::Sender<(Socket, u64, Received)>,
    told: mpsc::Receiver<(Socket, u64, Received)>,
    waiting: HashMap<IntentId, oneshot::Sender<Result<Reply, Failure>>>,
    wake_at: Option<UnixMillis>,
    /// What the clock showed when the timer looked at it last.
    looked_at: UnixMillis,
    inputs: VecDeque<Input>,
}

/// Why the thread's loop goes no further.
pub(super) enum End {
    Asked,
    Rows(RowsError),
}

impl<C: Core> Work<C> {
    pub(super) fn new(core: C, rows: Box<dyn Rows>, endpoint: Endpoint, sockets: Handle) -> Self {
        let (tell, told) = mpsc::channel(64);
        Self {
            core,
            rows,
            endpoint,
            sockets,
            links: HashMap::new(),
            generation: 0,
            tell,
            told,
            waiting: HashMap::new(),
            wake_at: None,
            looked_at: clock::now(),
            inputs: VecDeque::from([Input::Tick]),
        }
    }

    /// Works until told to stop, or until the rows fail.
    pub(super) async fn run(&mut self, ends: &mut Ends) -> End {
        loop {
            if let Err(end) = self.drain(ends).await {
                return end;
            }
            tokio::select! {
                biased;
                _ = ends.stop.changed() => return End::Asked,
                received = self.told.recv() => self.receive_batch(received),
                command = ends.commands.recv() => match command {
                    Some(command) => self.accept(command),
                    None => return End::Asked,
                },
                () = sleep(self.wake_at) => self.tick(),
            }
        }
    }

    fn accept(&mut self, Command { id, intent, answer }: Command) {
        self.waiting.insert(id, answer);
        self.inputs.push_back(Input::Intent(id, intent));
    }

    /// Takes what has come, and what else is there already.
    fn receive_batch(&mut self, mut next: Option<(Socket, u64, Received)>) {
        for _ in 0..BATCH {
            let Some((socket, generation, received)) = next else { return };
            self.receive(socket, generation, received);
            next = self.told.try_recv().ok();
        }
        if let Some((socket, generation, received)) = next {
            self.receive(socket, generation, received);
        }
    }

    /// What comes from a socket that was closed or replaced meanwhile is dropped.
    fn receive(&mut self, socket: Socket, generation: u64, received: Received) {
        if self.links.get(&socket).is_none_or(|(current, _)| *current != generation) {
            return;
        }
        self.inputs.push_back(match received {
            Received::Connected => Input::Connected(socket),
            Received::Frame(frame) => Input::Frame(socket, frame),
            Received::Gone => {
                self.links.remove(&socket);
                Input::Disconnected(socket)
            }
        });
    }

    /// A clock that was set back shows the engine's instant late, or never: the engine is asked for another one.
    fn tick(&mut self) {
        let now = clock::now();
        let set_back = now < std::mem::replace(&mut self.looked_at, now);
        if set_back || self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            self.inputs.push_back(Input::Tick);
        }
    }

    /// Feeds all inputs and carries out what they lead to, until there is nothing left.
    async fn drain(&mut self, ends: &mut Ends) -> Result<(), End> {
        while !self.inputs.is_empty() {
            for input in std::mem::take(&mut self.inputs) {
                self.core.handle(input, clock::now(), &mut OsRng);
            }
            let drain = Drain::of(std::iter::from_fn(|| self.core.poll()));
            if !drain.changes.0.is_empty() {
                self.rows.commit(&drain.changes).map_err(End::Rows)?;
            }
            for action in drain.actions {
                self.carry_out(action).map_err(End::Rows)?;
            }
            for event in drain.events {
                self.notify(event, ends).await?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, action: Action) -> Result<(), RowsError> {
        match action {
            Action::Open(socket) => {
                self.generation += 1;
                let (endpoint, tell) = (self.endpoint.clone(), self.tell.clone());
                let link = Link::open(&self.sockets, endpoint, socket, self.generation, tell);
                self.links.insert(socket, (self.generation, link));
            }
            Action::Close(socket) => drop(self.links.remove(&socket)),
            Action::Send(socket, frame) => match self.links.get(&socket) {
                Some((_, link)) => link.send(frame),
                None => tracing::debug!(role = ?socket.role, "a frame for a socket that is gone"),
            },
            Action::Load { token, prefix } => {
                let rows = self.rows.load(&prefix)?;
                self.inputs.push_back(Input::Loaded { token, rows });
            }
            Action::WakeAt(instant) => self.wake_at = Some(instant),
        }
        Ok(())
    }

    /// Waits while the reader of events is behind; if there is no reader, events are dropped.
    async fn notify(&mut self, event: Event, ends: &mut Ends) -> Result<(), End> {
        if let Event::Done(id, result) = event {
            if let Some(answer) = self.waiting.remove(&id) {
                let _ = answer.send(result);
            }
            return Ok(());
        }
        tokio::select! {
            _ = ends.events.send(event) => Ok(()),
            _ = ends.stop.changed() => Err(End::Asked),
        }
    }
}

async fn sleep(wake_at: Option<UnixMillis>) {
    let wait = wake_at.map_or(LONGEST_SLEEP, |at| Duration::from_millis(at.since(clock::now())));
    tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
}
