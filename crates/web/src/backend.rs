//! What the screens talk to: the engine, wherever it runs.
//!
//! ```ignore
//! let backend = Backend::start()?;
//! let mut told = backend.listen();
//! match backend.intent(Intent::Conversations).await? { Reply::Conversations(list) => …, _ => … }
//! while let Some(told) = told.next().await { … }
//! ```
//!
//! Calls made before the engine runs wait for it. Exactly one tab of an origin runs the engine; the others reach it over
//! a BroadcastChannel, and one of them takes over when that tab closes (see [`crate::tabs`]). Screens need not care, but
//! for two things: on every [`Told::Engine`] with [`EngineState::Here`] they ask again for what they show (events may
//! have been missed), and a call can end as [`CallError::Interrupted`].

mod transport;

use crate::bus::{self, Call, FromWorker, Outcome, Tab, ToWorker};
use crate::js::{self, JsError};
use crate::tabs::Calls;
use futures_channel::{mpsc, oneshot};
use parlour_client::api::{Connection, Event, Failure, IdentityId, Intent, Reply};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use transport::Transport;

/// Whoever holds it owns the engine. The browser gives it to the next tab in line when the holder goes.
const LOCK: &str = "parlour-engine";

/// The page's way to the engine. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Backend(Rc<Inner>);

/// What the screens are told.
#[derive(Debug, Clone)]
pub enum Told {
    /// By the engine (never `Done`).
    Event(Event),
    /// The engine's own state changed.
    Engine(EngineState),
}

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// Nobody has answered yet.
    Starting,
    /// It runs. Told again when another tab takes over: ask again for what is shown.
    Here,
    /// Another tab runs another version: the user closes the other tabs and loads this page again.
    OtherBuild,
    /// It cannot run, and why (English, for the curious). [`Backend::restart`] tries again.
    Broken(String),
    /// Everything on this device was forgotten; the page is about to load itself again.
    Wiped,
}

/// Why a call came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The engine says so.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The tab that did the work was closed meanwhile: nobody knows whether it was done. Look, then ask again.
    #[error("interrupted: it may have been done, or not")]
    Interrupted,
    /// The answer was for something else; a bug.
    #[error("unexpected answer")]
    Unexpected,
}

type Answer = oneshot::Sender<Result<Outcome, CallError>>;

struct Inner {
    tab: Tab,
    transport: Transport,
    state: RefCell<State>,
}

struct State {
    calls: Calls<Call, Answer>,
    engine: EngineState,
    connections: BTreeMap<IdentityId, Connection>,
    listeners: Vec<mpsc::UnboundedSender<Told>>,
}

impl Backend {
    /// Looks for the engine's owner, or becomes it.
    ///
    /// # Errors
    /// When the browser lacks what is needed (workers, BroadcastChannel, Web Locks).
    pub fn start() -> Result<Self, JsError> {
        let (tell, told) = mpsc::unbounded();
        let state = State {
            calls: Calls::new(),
            engine: EngineState::Starting,
            connections: BTreeMap::new(),
            listeners: Vec::new(),
        };
        let transport = Transport::open(tell)?;
        let backend = Self(Rc::new(Inner { tab: Tab(js::random_id()), transport, state: RefCell::new(state) }));
        wasm_bindgen_futures::spawn_local(backend.clone().hear(told));
        backend.send(&ToWorker::Hello);
        let owner = backend.clone();
        js::hold_lock(&navigator(), LOCK, move || owner.own())?;
        Ok(backend)
    }

    /// Does something with the engine and waits for how it ended.
    ///
    /// # Errors
    /// The engine's failure, or that the tab which ran the engine was closed meanwhile.
    pub async fn intent(&self, intent: Intent) -> Result<Reply, CallError> {
        match self.call(Call::Intent(intent)).await? {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Kept(_) => Err(CallError::Unexpected),
        }
    }

    /// Keeps a note of the screens' own (a setting), sealed like the engine's rows; `None` forgets it.
    ///
    /// # Errors
    /// As [`Backend::intent`].
    pub async fn keep(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), CallError> {
        self.call(Call::Keep { key: key.to_owned(), value }).await.map(drop)
    }

    /// The notes whose name starts with `prefix`, by name.
    ///
    /// # Errors
    /// As [`Backend::intent`].
    pub async fn kept(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, CallError> {
        match self.call(Call::Kept { prefix: prefix.to_owned() }).await? {
            Outcome::Kept(notes) => Ok(notes),
            Outcome::Reply(_) => Err(CallError::Unexpected),
        }
    }

    /// Forgets everything on this device, in all tabs. The pages then load themselves again.
    ///
    /// # Errors
    /// As [`Backend::intent`].
    pub async fn wipe(&self) -> Result<(), CallError> {
        self.call(Call::Wipe).await.map(drop)
    }

    /// A new listener; drop it to stop.
    pub fn listen(&self) -> mpsc::UnboundedReceiver<Told> {
        let (tell, told) = mpsc::unbounded();
        let mut state = self.0.state.borrow_mut();
        let _ = tell.unbounded_send(Told::Engine(state.engine.clone()));
        for (identity, connection) in &state.connections {
            let event = Event::Connection { identity: *identity, state: *connection };
            let _ = tell.unbounded_send(Told::Event(event));
        }
        state.listeners.push(tell);
        told
    }

    /// Where the engine is now.
    pub fn engine(&self) -> EngineState {
        self.0.state.borrow().engine.clone()
    }

    /// Starts the engine again after [`EngineState::Broken`], if it runs in this tab.
    pub fn restart(&self) {
        self.0.state.borrow_mut().calls.owner_is_gone();
        self.change(EngineState::Starting);
        self.0.transport.restart();
        self.send(&ToWorker::Begin);
    }

    /// Any call, as it is.
    ///
    /// # Errors
    /// As [`Backend::intent`].
    pub async fn call(&self, call: Call) -> Result<Outcome, CallError> {
        let (answer, answered) = oneshot::channel();
        let id = self.0.state.borrow_mut().calls.start(call.clone(), answer);
        if let Some(id) = id {
            self.send(&ToWorker::Call { id, call });
        }
        answered.await.unwrap_or(Err(CallError::Interrupted))
    }

    /// This tab holds the lock: it runs the engine. A worker that is loaded hears this; one that is not yet says when it is.
    fn own(&self) {
        self.0.transport.start_worker();
        self.send(&ToWorker::Begin);
    }

    fn send(&self, message: &ToWorker) {
        self.0.transport.send(&bus::encode(self.0.tab, message));
    }

    async fn hear(self, mut told: mpsc::UnboundedReceiver<transport::Heard>) {
        use futures_util::StreamExt as _;
        while let Some(heard) = told.next().await {
            match heard {
                transport::Heard::Bytes(bytes) => match bus::decode::<FromWorker>(&bytes) {
                    Some((tab, message)) if tab == self.0.tab || tab == Tab::ALL => self.take(message),
                    _ => {}
                },
                transport::Heard::Crash(why) => self.change(EngineState::Broken(why)),
            }
        }
    }

    fn take(&self, message: FromWorker) {
        match message {
            FromWorker::Here { owner, build, connections } => self.meet(owner, &build, connections),
            FromWorker::Answer { id, result } => {
                let answer = self.0.state.borrow_mut().calls.finish(id);
                if let Some(answer) = answer {
                    let _ = answer.send(result.map_err(CallError::from));
                }
            }
            FromWorker::Events(events) => {
                for event in events {
                    if let Event::Connection { identity, state } = &event {
                        self.0.state.borrow_mut().connections.insert(*identity, *state);
                    }
                    self.tell(Told::Event(event));
                }
            }
            FromWorker::Wiped => {
                self.change(EngineState::Wiped);
                if let Some(window) = web_sys::window() {
                    let _ = window.location().reload();
                }
            }
            FromWorker::Broken(why) => self.change(EngineState::Broken(why)),
            FromWorker::Ready => self.send(&ToWorker::Begin),
        }
    }

    fn meet(&self, owner: u64, build: &str, connections: Vec<(IdentityId, Connection)>) {
        if build != self.0.transport.build() {
            return self.change(EngineState::OtherBuild);
        }
        self.0.transport.drop_early();
        let mut state = self.0.state.borrow_mut();
        state.connections = connections.iter().copied().collect();
        let handover = state.calls.owner_is(owner, Call::is_repeatable);
        drop(state);
        for answer in handover.interrupted {
            let _ = answer.send(Err(CallError::Interrupted));
        }
        for (id, call) in handover.send {
            self.send(&ToWorker::Call { id, call });
        }
        self.change(EngineState::Here);
        for (identity, state) in connections {
            self.tell(Told::Event(Event::Connection { identity, state }));
        }
    }

    fn change(&self, engine: EngineState) {
        self.0.state.borrow_mut().engine = engine.clone();
        self.tell(Told::Engine(engine));
    }

    fn tell(&self, told: Told) {
        let mut state = self.0.state.borrow_mut();
        state.listeners.retain(|listener| listener.unbounded_send(told.clone()).is_ok());
    }
}

fn navigator() -> wasm_bindgen::JsValue {
    web_sys::window().map_or(wasm_bindgen::JsValue::UNDEFINED, |window| window.navigator().into())
}
