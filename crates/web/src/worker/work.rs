//! The loop: what has come goes into the engine, what the engine wants is done, in the order that survives a crash.
//!
//! A round takes in what is there, but no more than [`ROUND_MS`] of it, and then carries out what it led to. So much has to be
//! waited for by somebody who opens a conversation while a thousand others are being read. What pages ask for goes first.

use super::pages::Pages;
use super::socket::{Link, Received};
use super::timer::Timer;
use crate::bus::{Call, FromWorker, Outcome, Tab, ToWorker};
use crate::js;
use crate::rows::{NOTES, Rows, RowsError};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender};
use futures_util::StreamExt as _;
use parlour_client::Identities;
use parlour_client::api::{
    Changes, Connection, Effect, Event, Failure, IdentityId, Input, Intent, IntentId, Reply, Socket,
};
use parlour_proto::ids::UnixMillis;
use parlour_proto::wire;
use rand_core::OsRng;
use std::collections::{BTreeMap, HashMap, VecDeque};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;

/// How many of those that have come are looked at in a round.
const BATCH: usize = 64;
/// After so long no further input goes into a round.
const ROUND_MS: u64 = 50;

/// What can come.
pub(super) enum Incoming {
    /// A page says something.
    Page(Tab, ToWorker),
    /// A socket tells something; the number is its generation.
    Socket(Socket, u64, Received),
    /// The timer rang.
    Tick,
    /// The browser says that the network is there (or gone).
    Network(Network),
}

/// The browser's opinion of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    There,
    Gone,
}

/// How the loop ended, when it did not fail.
pub(super) enum Ended {
    /// Everything was forgotten, as a page asked.
    Wiped,
}

pub(super) struct Work<'p> {
    engine: Identities,
    rows: Rows,
    pages: &'p Pages,
    tell: UnboundedSender<Incoming>,
    timer: Timer,
    wake_at: Option<UnixMillis>,
    links: HashMap<Socket, (u64, Link)>,
    generation: u64,
    /// What pages ask for, and what was read for it.
    asked: VecDeque<Input>,
    /// All else.
    inputs: VecDeque<Input>,
    /// Notes to be written with the next transaction, and whom to tell then.
    notes: (Changes, Vec<(Tab, u64)>),
    /// Who waits for which intent; the worker's own intents are not in it.
    waiting: HashMap<IntentId, (Tab, u64)>,
    next_intent: u64,
    connections: BTreeMap<IdentityId, Connection>,
}

impl<'p> Work<'p> {
    pub(super) fn new(engine: Identities, rows: Rows, pages: &'p Pages, tell: UnboundedSender<Incoming>) -> Self {
        listen_to_network(&tell);
        Self {
            engine,
            rows,
            pages,
            timer: Timer::new(tell.clone()),
            tell,
            wake_at: None,
            links: HashMap::new(),
            generation: 0,
            asked: VecDeque::new(),
            inputs: VecDeque::from([Input::Tick]),
            notes: (Changes::default(), Vec::new()),
            waiting: HashMap::new(),
            next_intent: 1,
            connections: BTreeMap::new(),
        }
    }

    /// Works until a page wants everything forgotten, or until the rows fail. The network waits until a page wants it: first
    /// it has its lists.
    pub(super) async fn run(mut self, mut told: UnboundedReceiver<Incoming>) -> Result<Ended, RowsError> {
        self.round().await?;
        self.pages.tell_all(&self.here());
        loop {
            let mut wiped_by = None;
            if self.is_idle() {
                let Some(first) = told.next().await else { break };
                wiped_by = self.accept(first).await?;
            }
            for _ in 1..BATCH {
                let Ok(next) = told.try_recv() else { break };
                wiped_by = wiped_by.or(self.accept(next).await?);
            }
            if let Some((tab, id)) = wiped_by {
                self.links.clear();
                self.rows.wipe().await?;
                self.pages.tell(tab, &FromWorker::Answer { id, result: Ok(Outcome::Kept(Vec::new())) });
                break;
            }
            self.round().await?;
        }
        Ok(Ended::Wiped)
    }

    fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.inputs.is_empty() && self.notes.1.is_empty()
    }

    fn here(&self) -> FromWorker {
        self.pages.here(self.connections.iter().map(|(identity, state)| (*identity, *state)).collect())
    }

    /// Takes one thing in; gives who wants everything forgotten, if that is what came.
    async fn accept(&mut self, incoming: Incoming) -> Result<Option<(Tab, u64)>, RowsError> {
        match incoming {
            Incoming::Page(tab, ToWorker::Hello) => self.pages.tell(tab, &self.here()),
            Incoming::Page(tab, ToWorker::Call { id, call: Call::Wipe }) => return Ok(Some((tab, id))),
            Incoming::Page(tab, ToWorker::Call { id, call }) => self.call(tab, id, call).await?,
            Incoming::Page(_, ToWorker::Bye | ToWorker::Begin) => {}
            Incoming::Socket(socket, generation, received) => self.receive(socket, generation, received),
            Incoming::Tick => self.tick(),
            Incoming::Network(network) => self.network(network),
        }
        Ok(None)
    }

    async fn call(&mut self, tab: Tab, id: u64, call: Call) -> Result<(), RowsError> {
        match call {
            Call::Intent(intent) => {
                let number = self.own_intent(intent);
                self.waiting.insert(number, (tab, id));
            }
            Call::Keep { key, value } => {
                self.notes.0.0.push((note_key(&key), value));
                self.notes.1.push((tab, id));
            }
            Call::Kept { prefix } => {
                let notes = self.kept(&prefix).await?;
                self.pages.tell(tab, &FromWorker::Answer { id, result: Ok(Outcome::Kept(notes)) });
            }
            Call::Wipe => {}
        }
        Ok(())
    }

    /// Stored notes, with those that are about to be written.
    async fn kept(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, RowsError> {
        let mut notes: BTreeMap<Vec<u8>, Vec<u8>> = self.rows.load(&note_key(prefix)).await?.into_iter().collect();
        for (key, value) in self.notes.0.0.iter().filter(|(key, _)| key.starts_with(&note_key(prefix))) {
            match value {
                Some(value) => drop(notes.insert(key.clone(), value.clone())),
                None => drop(notes.remove(key)),
            }
        }
        Ok(notes.into_iter().map(|(key, value)| (String::from_utf8_lossy(&key[1..]).into_owned(), value)).collect())
    }

    fn own_intent(&mut self, intent: Intent) -> IntentId {
        let number = IntentId(self.next_intent);
        self.next_intent += 1;
        self.asked.push_back(Input::Intent(number, intent));
        number
    }

    /// What comes from a socket that was closed or replaced meanwhile is dropped. A frame that this version does not
    /// understand is skipped: a newer server may say more than an old client knows.
    fn receive(&mut self, socket: Socket, generation: u64, received: Received) {
        if self.links.get(&socket).is_none_or(|(current, _)| *current != generation) {
            return;
        }
        match received {
            Received::Connected => self.inputs.push_back(Input::Connected(socket)),
            Received::Frame(bytes) => match wire::decode_server(bytes.into()) {
                Ok(frame) => self.inputs.push_back(Input::Frame(socket, frame)),
                Err(problem) => {
                    web_sys::console::warn_1(&format!("a frame was not understood ({:?})", problem.code).into())
                }
            },
            Received::Gone => {
                self.links.remove(&socket);
                self.inputs.push_back(Input::Disconnected(socket));
            }
        }
    }

    fn tick(&mut self) {
        match self.wake_at {
            Some(at) if at <= js::now() => {
                self.wake_at = None;
                self.inputs.push_back(Input::Tick);
            }
            Some(at) => self.timer.set(at),
            None => {}
        }
    }

    /// The browser often knows before a socket does.
    fn network(&mut self, network: Network) {
        match network {
            Network::Gone => {
                let gone: Vec<Socket> = self.links.drain().map(|(socket, _)| socket).collect();
                self.inputs.extend(gone.into_iter().map(Input::Disconnected));
            }
            Network::There => drop(self.own_intent(Intent::Sync)),
        }
    }

    /// Feeds inputs and carries out what they lead to.
    async fn round(&mut self) -> Result<(), RowsError> {
        let until = UnixMillis(js::now().0 + ROUND_MS);
        while let Some(input) = self.asked.pop_front().or_else(|| self.inputs.pop_front()) {
            let now = js::now();
            self.engine.handle(input, now, &mut OsRng);
            if now >= until {
                break;
            }
        }
        let (mut changes, noted) = std::mem::take(&mut self.notes);
        let (mut actions, mut loads, mut events) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(effect) = self.engine.poll() {
            match effect {
                Effect::Commit(more) => changes.0.extend(more.0),
                Effect::Notify(event) => events.push(event),
                Effect::Load { token, prefix } => loads.push((token, prefix)),
                action => actions.push(action),
            }
        }
        if !changes.0.is_empty() {
            self.rows.commit(&changes).await?;
        }
        for action in actions {
            self.carry_out(action);
        }
        self.load(&loads).await?;
        for (tab, id) in noted {
            self.pages.tell(tab, &FromWorker::Answer { id, result: Ok(Outcome::Kept(Vec::new())) });
        }
        self.notify(events);
        Ok(())
    }

    /// Reads what the engine asked for; the next round hands it over.
    async fn load(&mut self, loads: &[(u64, Vec<u8>)]) -> Result<(), RowsError> {
        if loads.is_empty() {
            return Ok(());
        }
        let prefixes: Vec<&[u8]> = loads.iter().map(|(_, prefix)| prefix.as_slice()).collect();
        let all = self.rows.load_each(&prefixes).await?;
        let loaded = loads.iter().zip(all).map(|((token, _), rows)| Input::Loaded { token: *token, rows });
        self.asked.extend(loaded);
        Ok(())
    }

    fn carry_out(&mut self, action: Effect) {
        match action {
            Effect::Open(socket) => {
                self.generation += 1;
                match Link::open(socket, self.generation, self.tell.clone()) {
                    Ok(link) => drop(self.links.insert(socket, (self.generation, link))),
                    Err(error) => {
                        web_sys::console::error_1(&error.to_string().into());
                        self.inputs.push_back(Input::Disconnected(socket));
                    }
                }
            }
            Effect::Close(socket) => drop(self.links.remove(&socket)),
            Effect::Send(socket, frame) => {
                if let Some((_, link)) = self.links.get(&socket) {
                    link.send(&frame);
                }
            }
            Effect::WakeAt(instant) => {
                self.wake_at = Some(instant);
                self.timer.set(instant);
            }
            // Sorted out before.
            Effect::Commit(_) | Effect::Notify(_) | Effect::Load { .. } => {}
        }
    }

    /// Tells the pages: what is for all of them together, but nothing after an answer that it came before.
    fn notify(&mut self, events: Vec<Event>) {
        let mut for_all = Vec::new();
        for event in events {
            match event {
                Event::Done(number, result) => {
                    self.tell_events(&mut for_all);
                    self.done(number, result);
                }
                Event::Progress { intent, step, done, of } => {
                    if let Some((tab, id)) = self.waiting.get(&intent) {
                        let event = Event::Progress { intent: IntentId(*id), step, done, of };
                        self.pages.tell(*tab, &FromWorker::Events(vec![event]));
                    }
                }
                event => {
                    if let Event::Connection { identity, state } = &event {
                        self.connections.insert(*identity, *state);
                    }
                    for_all.push(event);
                }
            }
        }
        self.tell_events(&mut for_all);
    }

    fn tell_events(&self, events: &mut Vec<Event>) {
        if !events.is_empty() {
            self.pages.tell_all(&FromWorker::Events(std::mem::take(events)));
        }
    }

    fn done(&mut self, number: IntentId, result: Result<Reply, Failure>) {
        let Some((tab, id)) = self.waiting.remove(&number) else { return };
        let signed_up = matches!(result, Ok(Reply::SignedUp { .. } | Reply::Linked { .. }));
        self.pages.tell(tab, &FromWorker::Answer { id, result: result.map(Outcome::Reply) });
        if signed_up {
            self.own_intent(Intent::Sync);
        }
    }
}

fn note_key(name: &str) -> Vec<u8> {
    [&[NOTES], name.as_bytes()].concat()
}

fn listen_to_network(tell: &UnboundedSender<Incoming>) {
    for (name, network) in [("online", Network::There), ("offline", Network::Gone)] {
        let tell = tell.clone();
        let heard = Closure::<dyn FnMut()>::new(move || {
            let _ = tell.unbounded_send(Incoming::Network(network));
        });
        let scope: web_sys::EventTarget = js_sys::global().unchecked_into();
        let _ = scope.add_event_listener_with_callback(name, heard.as_ref().unchecked_ref());
        heard.forget();
    }
}
