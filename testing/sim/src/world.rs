//! The world: homes, the server, the network between them, and time. One seed, one run.
//!
//! The network is one of streams: a frame comes whole and in order, or the connection breaks and what was under way is lost.
//! What is sent twice, then, is sent twice by who lost the answer.

mod time;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use parlour_client::api::{Changes, ConversationState, Event, Input, Intent, MessageState, Reply, Role, Socket};
use parlour_proto::{
    frames::{ClientFrame, Push, Request, ServerFrame},
    ids::{MessageId, UnixMillis},
    wire,
};
use parlour_server::{
    config::Config,
    keys::Keys,
    net::{Came, Core, Role as At},
};
use parlour_shell::drain::{Action, Drain};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::{
    clockwork::{Around, Clockwork, START, Tasks, at_once, locked},
    home::{Cut, Home},
    line::{Put, Wired},
    plant::Plant,
    secrets::MARK,
    stage::Between,
    store::Watched,
    trace,
};

/// The fastest that anything travels, milliseconds.
const LEAST_DELAY: u64 = 5;
/// How many inputs that are there already go into one transaction, as in the shell.
const BATCH: usize = 32;

enum Happening {
    Open(u64),
    ToServer(u64, Came),
    ToClient(u64, Bytes),
    GoneAtClient(u64),
    GoneAtServer(u64),
    StartServer,
}

struct Link {
    home: usize,
    socket: Socket,
    line: Wired,
    /// Nothing goes through any more.
    cut: bool,
    at_server: u64,
    at_client: u64,
    /// It breaks instead of carrying the next answer.
    loses_answer: bool,
}

/// Counters of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Frames that arrived, either way.
    pub frames: u64,
    /// Frames that were lost.
    pub lost: u64,
    /// Ends of a home's process that nobody wanted.
    pub home_crashes: u64,
    /// Ends of the server that nobody wanted.
    pub server_crashes: u64,
}

/// Everything.
pub(crate) struct World {
    /// The time.
    pub clock: Arc<Clockwork>,
    /// What the server writes.
    pub store: Watched,
    /// The homes.
    pub homes: Vec<Home>,
    /// What was found while running.
    pub faults: Vec<String>,
    /// Counters.
    pub counts: Counts,
    /// Whether all that happens is told in words.
    pub traced: bool,
    /// Time in which all slept, milliseconds.
    pub slept_ms: u64,
    /// A frame takes at most so long, milliseconds.
    pub most_delay: u64,
    seed: u64,
    plant: Option<Plant>,
    tasks: Tasks,
    core: Option<Core<Watched>>,
    keys: Arc<Keys>,
    config: Config,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    touched: Arc<Mutex<Vec<u64>>>,
    happenings: BTreeMap<(u64, u64), Happening>,
    next_happening: u64,
    rng: ChaCha20Rng,
    digest: Sha256,
    /// Who rewrites what passes between homes and server.
    pub(crate) between: Option<Box<dyn Between>>,
    /// Account ids that must not be told on a socket, by home and identity.
    pub(crate) apart: BTreeMap<(usize, u16), Vec<[u8; 16]>>,
}

const CONFIG: &str = "listen = '127.0.0.1:0'\ndata = '/nowhere'\nweb = '/nowhere'\ndev_outbox = true\n\
    [limits]\ncodes_per_number_per_hour = 1000\nnew_people_per_day = 1000\n\
    [[app]]\nid = 'bell'\nname = 'Bell'\ndomain = 'bell.localhost'\nsign_in = 'phone'\nexpiry_days = 365\n\
    [[app]]\nid = 'den'\nname = 'Den'\ndomain = 'den.localhost'\nsign_in = 'username'\nexpiry_days = 365\n\
    [[app]]\nid = 'porch'\nname = 'Porch'\ndomain = 'porch.localhost'\nsign_in = 'at_handle'\nexpiry_days = 30\n";

impl World {
    /// A world with a server and nobody in it.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub(crate) fn new(seed: u64, plant: Option<Plant>) -> Self {
        let clock = Clockwork::new(seed);
        let store = Watched::new(clock.clone(), plant);
        let mut key_rng = parlour_server::Rng::seed_from_u64(seed ^ 0x6b65_7973);
        let keys = Keys::in_memory(UnixMillis(clock.ms()), &mut key_rng);
        let mut world = Self {
            store,
            homes: Vec::new(),
            faults: Vec::new(),
            counts: Counts::default(),
            traced: false,
            slept_ms: 0,
            most_delay: 60,
            seed,
            plant,
            tasks: Tasks::default(),
            core: None,
            keys: Arc::new(keys),
            config: Config::parse(CONFIG).expect("the configuration is sound"),
            links: BTreeMap::new(),
            next_link: 0,
            touched: Arc::default(),
            happenings: BTreeMap::new(),
            next_happening: 0,
            rng: ChaCha20Rng::seed_from_u64(seed ^ 0x6e65_7477),
            digest: Sha256::new(),
            apart: BTreeMap::new(),
            between: None,
            clock,
        };
        world.start_server();
        assert!(world.core.is_some(), "the server starts on an empty store");
        world
    }

    /// A new home; its number.
    pub(crate) fn home(&mut self) -> usize {
        let number = self.homes.len();
        self.homes.push(Home::new(self.seed.wrapping_mul(1_000).wrapping_add(number as u64)));
        number
    }

    /// A digest over every frame, row and event so far.
    #[must_use]
    pub(crate) fn digest(&self) -> String {
        let mut digest = self.digest.clone();
        digest.update(self.store.written().1);
        hex::encode(digest.finalize())
    }

    /// The world's time.
    #[must_use]
    pub(crate) fn now(&self) -> u64 {
        self.clock.ms()
    }

    /// The one-time code that was sent to this number last.
    #[must_use]
    pub(crate) fn code(&self, number: &str) -> Option<String> {
        let outbox = self.core.as_ref()?.outbox()?;
        outbox.into_iter().rev().find(|message| message.to == number).map(|message| message.code)
    }

    /// Takes something into the digest.
    fn note(&mut self, what: &str, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.digest.update(part));
        if self.traced {
            let sum = hex::encode(&Sha256::digest(parts.concat())[..6]);
            self.say(&format!("{what} {} B {sum}", parts.iter().map(|p| p.len()).sum::<usize>()));
        }
    }

    /// Says something in the list of all that happens.
    pub(crate) fn say(&mut self, what: &str) {
        if self.traced {
            tracing::info!("{:>12} {what}", self.now() - START.0);
        }
    }

    fn later(&mut self, at: u64, happening: Happening) {
        self.next_happening += 1;
        self.happenings.insert((at, self.next_happening), happening);
    }

    fn delay(&mut self) -> u64 {
        LEAST_DELAY + self.rng.next_u64() % self.most_delay.max(1)
    }

    // ---- the server

    fn start_server(&mut self) {
        let around = Around(self.clock.clone());
        let more = Box::new(Vec::new);
        let started = at_once(Core::start(&self.config, self.store.clone(), self.keys.clone(), Arc::new(around), more));
        match started {
            Ok(core) => {
                core.background().into_iter().for_each(|work| self.tasks.spawn(work));
                self.core = Some(core);
            }
            Err(_) => self.crash_server(),
        }
    }

    /// The server dies, and is started again a little later on what was durable.
    pub(crate) fn crash_server(&mut self) {
        self.counts.server_crashes += 1;
        self.tasks.kill();
        self.core = None;
        self.store = self.store.reopen();
        let all: Vec<u64> = self.links.keys().copied().collect();
        for link in all {
            self.cut(link);
        }
        let at = self.now() + 200 + self.rng.next_u64() % 8_000;
        self.later(at, Happening::StartServer);
    }

    fn run_server(&mut self) -> bool {
        if self.core.is_none() {
            return false;
        }
        let mut worked = false;
        while self.tasks.run() {
            worked = true;
            if self.store.has_crashed() {
                self.crash_server();
                return true;
            }
        }
        let mut touched = std::mem::take(&mut *locked(&self.touched));
        touched.sort_unstable();
        touched.dedup();
        for link in touched {
            worked = true;
            self.carry_from_server(link);
        }
        worked
    }

    fn carry_from_server(&mut self, number: u64) {
        let Some(link) = self.links.get(&number) else { return };
        let (put, closed, home) = (link.line.take(), link.line.is_closed(), link.home);
        for put in put {
            let at = self.now() + self.delay();
            let silent = self.homes[home].cut == Cut::Silently;
            let Some(link) = self.links.get_mut(&number).filter(|link| !link.cut) else { return };
            if silent {
                self.counts.lost += 1;
                continue;
            }
            link.at_client = link.at_client.max(at);
            let at = link.at_client;
            match put {
                Put::Frame(frame) => self.later(at, Happening::ToClient(number, frame)),
                Put::Ping => self.later(at, Happening::ToServer(number, Came::Life)),
            }
        }
        if closed && let Some(link) = self.links.get(&number).filter(|link| !link.cut) {
            let at = link.at_client.max(self.clock.ms()) + 1;
            self.later(at, Happening::GoneAtClient(number));
        }
    }

    // ---- the network

    /// Breaks a connection: what is under way is lost, and both ends hear of it.
    fn cut(&mut self, number: u64) {
        let at = self.now() + self.delay();
        let Some(link) = self.links.get_mut(&number).filter(|link| !link.cut) else { return };
        link.cut = true;
        self.later(at, Happening::GoneAtServer(number));
        self.later(at, Happening::GoneAtClient(number));
    }

    /// Breaks all connections of a home.
    pub(crate) fn break_links(&mut self, home: usize) {
        for link in self.homes[home].links.values().copied().collect::<Vec<_>>() {
            self.cut(link);
        }
    }

    /// The next answer to a home is lost, with its connection.
    pub(crate) fn lose_answer(&mut self, home: usize) {
        for link in self.homes[home].links.values() {
            if let Some(link) = self.links.get_mut(link) {
                link.loses_answer = true;
            }
        }
    }

    /// Cuts a home off, or not any more.
    pub(crate) fn set_cut(&mut self, home: usize, cut: Cut) {
        self.homes[home].cut = cut;
        // What was swallowed makes a hole in a stream: the connection is of no use any more.
        if cut != Cut::Silently {
            self.break_links(home);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::StartServer => {
                if self.core.is_none() {
                    self.start_server();
                }
            }
            Happening::Open(number) => {
                let Some(link) = self.links.get(&number).filter(|link| !link.cut) else { return };
                let (home, socket, line) = (link.home, link.socket, link.line.clone());
                match (self.homes[home].cut, self.core.clone()) {
                    (Cut::Silently, _) => {}
                    (Cut::No, Some(core)) => {
                        let at = if socket.role == Role::Inbox { At::Inbox } else { At::Outbox };
                        let end = line.server_end();
                        self.tasks.spawn(Box::pin(async move { core.serve(at, end, None).await }));
                        self.homes[home].inputs.push_back(Input::Connected(socket));
                    }
                    _ => self.gone_at_client(number),
                }
            }
            Happening::ToServer(number, came) => {
                let Some(link) = self.links.get(&number).filter(|link| !link.cut) else { return };
                if self.homes[link.home].cut == Cut::Silently {
                    self.counts.lost += 1;
                    return;
                }
                self.counts.frames += 1;
                link.line.bring(came);
            }
            Happening::ToClient(number, frame) => self.arrive_at_client(number, frame),
            Happening::GoneAtServer(number) => {
                if let Some(link) = self.links.get(&number) {
                    link.line.bring(Came::End);
                }
            }
            Happening::GoneAtClient(number) => self.gone_at_client(number),
        }
    }

    fn gone_at_client(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.cut = true;
        let (home, socket) = (link.home, link.socket);
        link.line.bring(Came::End);
        if self.homes[home].links.get(&socket) == Some(&number) {
            self.homes[home].links.remove(&socket);
            self.homes[home].inputs.push_back(Input::Disconnected(socket));
        }
        self.links.remove(&number);
    }

    fn arrive_at_client(&mut self, number: u64, frame: Bytes) {
        let Some(link) = self.links.get_mut(&number).filter(|link| !link.cut) else {
            self.counts.lost += 1;
            return;
        };
        let Ok(mut frame_read) = wire::decode_server(frame.clone()) else {
            self.faults.push("the server sent what is no frame".to_owned());
            return;
        };
        if link.loses_answer && matches!(frame_read, ServerFrame::Answer { .. }) {
            link.loses_answer = false;
            self.counts.lost += 1;
            return self.cut(number);
        }
        let (home, socket) = (link.home, link.socket);
        if self.homes[home].cut == Cut::Silently {
            self.counts.lost += 1;
            return;
        }
        if let ServerFrame::Push(Push::Rows(rows)) = &mut frame_read {
            match self.plant {
                Some(Plant::OrderReversed) if rows.len() > 1 => rows.reverse(),
                Some(Plant::RowLost) if self.rng.next_u64().is_multiple_of(20) => {
                    rows.remove(0);
                }
                _ => {}
            }
        }
        self.counts.frames += 1;
        if self.traced {
            self.say(&format!("to home {home}/{} {}", socket.identity.0, trace::server(&frame_read)));
        }
        self.note("frame to home", &[&number.to_be_bytes(), &frame]);
        if self.homes[home].links.get(&socket) == Some(&number) {
            let frames = match &mut self.between {
                Some(between) => between.to_client(home, socket, frame_read),
                None => vec![frame_read],
            };
            self.homes[home].inputs.extend(frames.into_iter().map(|frame| Input::Frame(socket, frame)));
        }
    }

    /// A frame reaches a home on the socket of this role, if that is there.
    pub(crate) fn bring(&mut self, home: usize, role: Role, frame: ServerFrame) {
        let socket = self.homes[home].links.keys().find(|socket| socket.role == role).copied();
        self.homes[home].inputs.extend(socket.map(|socket| Input::Frame(socket, frame)));
    }

    // ---- the homes

    /// Starts a home's process now.
    pub(crate) fn start_home(&mut self, home: usize) {
        if self.homes[home].engine.is_none() {
            self.homes[home].start();
            self.look_for_shown(home);
        }
    }

    /// A home's process dies; it is started again at `start_at`.
    pub(crate) fn crash_home(&mut self, home: usize, start_at: u64) {
        for link in self.homes[home].links.values().copied().collect::<Vec<_>>() {
            if let Some(link) = self.links.get_mut(&link) {
                link.cut = true;
            }
            let at = self.now() + self.delay();
            self.later(at, Happening::GoneAtServer(link));
            self.later(at + 1, Happening::GoneAtClient(link));
        }
        self.homes[home].die();
        self.homes[home].start_at = Some(start_at);
    }

    /// What was shown must be there after a crash.
    fn look_for_shown(&mut self, home: usize) {
        let shown = std::mem::take(&mut self.homes[home].shown);
        let mut by_conversation = BTreeMap::<_, Vec<MessageId>>::new();
        let now = self.now();
        for ((conversation, message), _) in shown.into_iter().filter(|(_, end)| *end > now) {
            by_conversation.entry(conversation).or_default().push(message);
        }
        for (conversation, messages) in by_conversation {
            let query = Intent::Messages { conversation, before: None, limit: 200 };
            let Some(Ok(Reply::Messages(found))) = self.query(home, query) else { continue };
            let is_gone = |id: &&MessageId| !found.iter().any(|message| message.id == **id);
            let gone: Vec<&MessageId> = messages.iter().filter(is_gone).collect();
            if !gone.is_empty() && !found.is_empty() && found.len() < 200 {
                self.faults.push(format!("home {home}: {gone:?} were shown, and are gone after a crash"));
            }
        }
    }

    /// Feeds a home what has come; whether there was anything.
    fn run_home(&mut self, home: usize) -> bool {
        let ms = self.now();
        let it = &mut self.homes[home];
        let now = it.now(ms);
        if it.inputs.is_empty() {
            return false;
        }
        let Some(engine) = &mut it.engine else {
            it.inputs.clear();
            return false;
        };
        for _ in 0..BATCH {
            let Some(input) = it.inputs.pop_front() else { break };
            engine.handle(input, now, &mut it.rng);
        }
        let drain = Drain::of(std::iter::from_fn(|| engine.poll()));
        self.carry_out(home, drain);
        true
    }

    fn carry_out(&mut self, home: usize, drain: Drain) {
        let Drain { changes, actions, events } = drain;
        let done = match self.plant {
            Some(Plant::ShownBeforeWritten) => {
                self.tell_all(home, events)
                    && self.write(home, changes)
                    && actions.into_iter().all(|action| self.act(home, action))
            }
            Some(Plant::AckedBeforeWritten) => {
                actions.into_iter().all(|action| self.act(home, action))
                    && self.write(home, changes)
                    && self.tell_all(home, events)
            }
            _ => {
                self.write(home, changes)
                    && actions.into_iter().all(|action| self.act(home, action))
                    && self.tell_all(home, events)
            }
        };
        if !done {
            self.counts.home_crashes += 1;
            let wait = if self.homes[home].full { 20_000 } else { 500 + self.rng.next_u64() % 5_000 };
            self.crash_home(home, self.now() + wait);
        }
    }

    fn tell_all(&mut self, home: usize, events: Vec<Event>) -> bool {
        events.into_iter().all(|event| {
            if self.homes[home].strikes() {
                return false;
            }
            self.tell(home, event);
            true
        })
    }

    fn write(&mut self, home: usize, changes: Changes) -> bool {
        if changes.0.is_empty() {
            return true;
        }
        let it = &mut self.homes[home];
        if it.strikes() || it.full {
            return false;
        }
        if it.tears && changes.0.len() > 1 {
            // Part of it is on the disk: its checksum does not fit, and the next start drops all of it (`testing/scenario` cuts
            // the power of the real store).
            it.tears = false;
            return false;
        }
        if self.plant == Some(Plant::DiskLies) && self.rng.next_u64().is_multiple_of(150) {
            return true;
        }
        for (key, value) in changes.0 {
            // OpenMLS writes hash maps into the secrets of an epoch and into a pending commit, in an order of their own: these
            // rows count by their length. All that follows from them counts to the byte.
            let length = value.as_ref().map_or(0, Vec::len).to_be_bytes();
            let is_map =
                [&b"mls/secrets/"[..], b"mls/state"].iter().any(|name| memchr::memmem::find(&key, name).is_some());
            let counted = if is_map { &length } else { value.as_deref().unwrap_or_default() };
            self.note(&format!("row {} of home {home}", key.escape_ascii()), &[&key, counted]);
            let rows = &mut self.homes[home].rows;
            match value {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
        true
    }

    fn act(&mut self, home: usize, action: Action) -> bool {
        if self.homes[home].strikes() {
            return false;
        }
        match action {
            Action::Load { token, prefix } => {
                let it = &mut self.homes[home];
                let rows = it.rows.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
                let rows = rows.map(|(key, value)| (key.clone(), value.clone())).collect();
                it.inputs.push_back(Input::Loaded { token, rows });
            }
            Action::WakeAt(instant) => self.homes[home].wake = Some(instant),
            Action::Open(socket) => {
                self.next_link += 1;
                let number = self.next_link;
                let line = Wired::new(number, self.touched.clone());
                let link = Link { home, socket, line, cut: false, at_server: 0, at_client: 0, loses_answer: false };
                self.links.insert(number, link);
                self.homes[home].links.insert(socket, number);
                let at = self.now() + self.delay();
                self.later(at, Happening::Open(number));
            }
            Action::Close(socket) => {
                if let Some(number) = self.homes[home].links.remove(&socket) {
                    let at = self.links.get(&number).map_or(0, |link| link.at_server).max(self.now() + LEAST_DELAY);
                    // What was sent before goes on its way.
                    self.later(at + 1, Happening::GoneAtClient(number));
                }
            }
            Action::Send(socket, frame) => self.send(home, socket, frame),
        }
        true
    }

    fn send(&mut self, home: usize, socket: Socket, mut frame: ClientFrame) {
        let Some(number) = self.homes[home].links.get(&socket).copied() else { return };
        self.spoil(home, socket, &mut frame);
        let frames = match &mut self.between {
            Some(between) => between.to_server(home, socket, frame),
            None => vec![frame],
        };
        let made_up = self.between.as_mut().map(|between| between.made_up()).unwrap_or_default();
        self.homes[home].inputs.extend(made_up.into_iter().map(|frame| Input::Frame(socket, frame)));
        frames.into_iter().for_each(|frame| self.send_frame(home, socket, number, &frame));
    }

    fn send_frame(&mut self, home: usize, socket: Socket, number: u64, frame: &ClientFrame) {
        let bytes = wire::encode_client(frame);
        if self.traced {
            self.say(&format!("from home {home}/{} {}", socket.identity.0, trace::client(frame)));
        }
        self.note("frame from home", &[&number.to_be_bytes(), &bytes]);
        if let Some(secret) = self.store.seen(|seen| seen.secrets.find(&bytes)) {
            self.faults.push(format!("{secret} in a frame of home {home}"));
        }
        if let Some(others) = self.apart.get(&(home, socket.identity.0)) {
            for other in others {
                if memchr::memmem::find(&bytes, other).is_some() {
                    self.faults.push(format!("home {home} tells the server of one account what another one is"));
                }
            }
        }
        let at = self.now() + self.delay();
        let Some(link) = self.links.get_mut(&number).filter(|link| !link.cut) else { return };
        link.at_server = link.at_server.max(at);
        let at = link.at_server;
        self.later(at, Happening::ToServer(number, Came::Frame(bytes)));
    }

    /// The planted bugs of a device that speaks.
    fn spoil(&mut self, home: usize, socket: Socket, frame: &mut ClientFrame) {
        match (self.plant, &mut frame.request) {
            (Some(Plant::DedupeOff), Request::Send { message_id, .. })
                if !self.homes[home].sent.insert(*message_id) =>
            {
                *message_id = MessageId::random(&mut self.rng);
            }
            (Some(Plant::PlainText), Request::PutBackup { chunk, .. }) => {
                *chunk = [&chunk[..], MARK.as_bytes()].concat().into();
            }
            (Some(Plant::LinkTold), Request::PutBackup { chunk, .. }) => {
                if let Some(other) = self.apart.get(&(home, socket.identity.0)).and_then(|others| others.first()) {
                    *chunk = [&chunk[..], other].concat().into();
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, home: usize, event: Event) {
        let it_now = self.now();
        let it = &mut self.homes[home];
        match event {
            Event::Done(id, result) => {
                it.answers.insert(id, result);
            }
            event => {
                if let Event::Message { conversation, message } = &event {
                    self.digest.update(message.id.0);
                    self.digest.update(message.order.to_be_bytes());
                    self.digest.update(message.text.as_bytes());
                    if message.state > MessageState::Queued
                        && message.state != MessageState::Failed
                        && message.timer.is_none()
                        && message.expires.is_none_or(|end| end.0 > it_now + 3_600_000)
                    {
                        let end = message.expires.map_or(u64::MAX, |end| end.0);
                        it.shown.insert((*conversation, message.id), end);
                    }
                }
                if let Event::Conversation(shown) = &event
                    && shown.state == ConversationState::Closed
                {
                    // Who blocks a request keeps nothing of it.
                    it.shown.retain(|(conversation, _), _| *conversation != shown.id);
                }
                if let Event::Gone { conversation, messages } = &event {
                    for message in messages {
                        it.shown.remove(&(*conversation, *message));
                    }
                }
                if self.between.is_none()
                    && self.plant.is_none()
                    && let Event::Interference { what, .. } = &event
                {
                    self.faults.push(format!(
                        "home {home}: an honest server, or one of the people, is said to interfere: {what:?}"
                    ));
                }
                it.events.push(event.clone());
                self.say(&format!("told home {home} {event:?}"));
            }
        }
    }
}
