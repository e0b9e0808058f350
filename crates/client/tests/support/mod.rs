//! Several engines and a server in one process, stepped by hand: a manual clock, seeded randomness, rows that survive a
//! crash. A crash drops the engine and every effect that it has not had done.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "shared by several test binaries, each uses a part")]

pub mod choir;
pub mod impostor;
pub mod insider;
pub mod server;

use parlour_client::api::*;
use parlour_client::{Identities, POOL_SIZE};
use parlour_proto::frames::{AccountRef, AppId, Push, Request as Frame, ServerFrame};
use parlour_proto::ids::{DeviceId, MessageId, UnixMillis};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use server::Server;
use server::faults::GoingBack;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zeroize::Zeroizing;

/// Frames, by client and identity.
pub type Recorded = BTreeMap<(usize, IdentityId), Vec<Vec<u8>>>;
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

pub struct Client {
    engine: Identities,
    pub rows: Rows,
    inputs: VecDeque<Input>,
    pub events: Vec<Event>,
    wake: Option<UnixMillis>,
    pub sockets: BTreeSet<Socket>,
    /// Crash before the effect with this number.
    pub crash_at: Option<u64>,
    pub effects: u64,
    pub crashes: u64,
    /// Whether sockets can be opened.
    pub network: bool,
    pub synced: bool,
    /// So far ahead is the device's clock, ms.
    pub ahead: i64,
    /// The process is not running.
    pub off: bool,
}

pub struct World {
    pub server: Server,
    pub clients: Vec<Client>,
    pub now: UnixMillis,
    rng: ChaCha20Rng,
    next_intent: u64,
    /// Answers to sends and commits that are lost (the socket breaks instead).
    pub lose_answers: u32,
    held: BTreeSet<usize>,
    held_frames: Vec<(usize, Input)>,
    /// Every frame that the server got, by client and identity.
    pub recorded: Option<Recorded>,
    /// Every request on a signed-in socket, with its time.
    pub watched: Option<Vec<Watched>>,
    /// Key packages in each pool of those who come from now on.
    pub pool_size: u32,
}

/// A request of a client's identity.
pub type Watched = (usize, IdentityId, UnixMillis, Frame);

const NOBODY: IdentityId = IdentityId(0);
/// The server tells sockets apart by client, identity and role.
const PER_IDENTITY: usize = 1_000;

fn key(client: usize, socket: Socket) -> (usize, bool) {
    (client + PER_IDENTITY * usize::from(socket.identity.0), socket.role == Role::Outbox)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let server = Server::new(seed);
        let now = server.now;
        let rng = ChaCha20Rng::seed_from_u64(seed + 1);
        World {
            server,
            clients: Vec::new(),
            now,
            rng,
            next_intent: 0,
            lose_answers: 0,
            held: BTreeSet::new(),
            held_frames: Vec::new(),
            recorded: None,
            watched: None,
            pool_size: POOL_SIZE,
        }
    }

    pub fn home(&mut self) -> usize {
        self.clients.push(Client {
            engine: Identities::open([]).unwrap().with_pools(self.pool_size),
            rows: Rows::new(),
            inputs: VecDeque::new(),
            events: Vec::new(),
            wake: None,
            sockets: BTreeSet::new(),
            crash_at: None,
            effects: 0,
            crashes: 0,
            network: true,
            synced: false,
            ahead: 0,
            off: false,
        });
        self.clients.len() - 1
    }

    /// The same world with all processes started anew.
    pub fn fork(&self) -> Self {
        let mut fork = World {
            server: self.server.fork(),
            clients: Vec::new(),
            now: self.now,
            rng: self.rng.clone(),
            next_intent: self.next_intent,
            lose_answers: 0,
            held: BTreeSet::new(),
            held_frames: Vec::new(),
            recorded: None,
            watched: None,
            pool_size: self.pool_size,
        };
        for client in &self.clients {
            let new = fork.home();
            fork.clients[new].rows = client.rows.clone();
            fork.clients[new].synced = client.synced;
            fork.crash(new);
            fork.clients[new].crashes = 0;
        }
        fork.run_for(5_000);
        fork
    }

    /// Says something until it is certain that it is stored, however often the process dies meanwhile.
    pub fn say_surely(&mut self, client: usize, to: &Target, text: &str) {
        for _ in 0..5 {
            let crashes = self.clients[client].crashes;
            let id = self.start_intent(client, Intent::Send { to: to.clone(), body: body(text) });
            for _ in 0..20 {
                self.run();
                if self.reply(client, id).is_some_and(|reply| reply.is_ok()) {
                    return;
                }
                if self.clients[client].crashes > crashes {
                    break;
                }
                self.run_for(1_000);
            }
            self.run_for(100);
            for conversation in self.conversations(client) {
                if self.texts(client, conversation.id).iter().any(|other| other == text) {
                    return;
                }
            }
        }
        panic!("could not say {text}");
    }

    /// The server goes back to a copy of itself (made at `made`), all its sockets gone; clients connect again.
    pub fn go_back(&mut self, copy: &Server, how: GoingBack) {
        let made = copy.now;
        for client in 0..self.clients.len() {
            self.drop_sockets(client);
        }
        self.server.go_back(copy, made, how);
        self.run_for(180_000);
    }

    /// Holds back what the server pushes to a client's inbox.
    pub fn hold(&mut self, client: usize) {
        self.held.insert(client);
    }

    pub fn release(&mut self, client: usize) {
        self.release_with(client, |_| {});
    }

    /// Lets go of the first frames that were held.
    pub fn release_some(&mut self, client: usize, frames: usize) {
        for _ in 0..frames {
            let at = self.held_frames.iter().position(|(c, _)| *c == client).unwrap();
            let (_, input) = self.held_frames.remove(at);
            self.clients[client].inputs.push_back(input);
        }
        self.run();
    }

    /// Lets go of what was held, after a change.
    pub fn release_with(&mut self, client: usize, change: impl FnOnce(&mut Vec<Input>)) {
        self.held.remove(&client);
        let (mine, others) = std::mem::take(&mut self.held_frames).into_iter().partition(|(c, _)| *c == client);
        self.held_frames = others;
        let mine: Vec<(usize, Input)> = mine;
        let mut mine: Vec<Input> = mine.into_iter().map(|(_, input)| input).collect();
        change(&mut mine);
        self.clients[client].inputs.extend(mine);
        self.run();
    }

    /// A signed-up, connected client on Bell.
    pub fn user(&mut self, number: u32) -> usize {
        let client = self.home();
        let handle = format!("+4917012345{number:02}");
        let reply = self.ask(client, sign_up("bell", &handle));
        assert!(matches!(reply, Ok(Reply::SignedUp { .. })), "{reply:?}");
        self.sync(client);
        client
    }

    pub fn sync(&mut self, client: usize) {
        self.clients[client].synced = true;
        let reply = self.ask(client, Intent::Sync);
        assert!(reply.is_ok(), "{reply:?}");
    }

    pub fn account(&mut self, client: usize) -> AccountRef {
        match self.ask(client, Intent::WhoAmI) {
            Ok(Reply::Identities(mut all)) => all.pop().unwrap().account,
            other => panic!("{other:?}"),
        }
    }

    pub fn start_intent(&mut self, client: usize, intent: Intent) -> IntentId {
        self.next_intent += 1;
        let id = IntentId(self.next_intent);
        self.clients[client].inputs.push_back(Input::Intent(id, intent));
        id
    }

    /// Runs until this intent is done, at most ten simulated minutes.
    pub fn ask(&mut self, client: usize, intent: Intent) -> Result<Reply, Failure> {
        let mut crashes = self.clients[client].crashes;
        let mut id = self.start_intent(client, intent.clone());
        for _ in 0..600 {
            self.run();
            if let Some(result) = self.reply(client, id) {
                return result;
            }
            if self.clients[client].crashes > crashes {
                crashes = self.clients[client].crashes;
                id = self.start_intent(client, intent.clone());
            }
            self.run_for(1_000);
        }
        panic!("intent was not answered");
    }

    pub fn reply(&self, client: usize, id: IntentId) -> Option<Result<Reply, Failure>> {
        self.clients[client].events.iter().find_map(|event| match event {
            Event::Done(done, result) if *done == id => Some(result.clone()),
            _ => None,
        })
    }

    pub fn send(&mut self, client: usize, to: &str, text: &str) -> Result<Reply, Failure> {
        self.ask(client, Intent::Send { to: Target::Address(to.to_owned()), body: body(text) })
    }

    pub fn say(&mut self, client: usize, conversation: ConversationId, text: &str) -> MessageId {
        match self.ask(client, Intent::Send { to: Target::Conversation(conversation), body: body(text) }) {
            Ok(Reply::Queued { message, .. }) => message,
            other => panic!("{other:?}"),
        }
    }

    pub fn requests(&mut self, client: usize) -> Vec<Request> {
        match self.ask(client, Intent::Requests) {
            Ok(Reply::Requests(requests)) => requests,
            other => panic!("{other:?}"),
        }
    }

    pub fn conversations(&mut self, client: usize) -> Vec<Conversation> {
        match self.ask(client, Intent::Conversations) {
            Ok(Reply::Conversations(all)) => all,
            other => panic!("{other:?}"),
        }
    }

    pub fn only_conversation(&mut self, client: usize) -> Conversation {
        let mut all = self.conversations(client);
        assert_eq!(all.len(), 1, "{all:?}");
        all.pop().unwrap()
    }

    pub fn messages(&mut self, client: usize, conversation: ConversationId) -> Vec<Message> {
        match self.ask(client, Intent::Messages { conversation, before: None, limit: 1000 }) {
            Ok(Reply::Messages(all)) => all,
            other => panic!("{other:?}"),
        }
    }

    pub fn texts(&mut self, client: usize, conversation: ConversationId) -> Vec<String> {
        self.messages(client, conversation).into_iter().map(|message| message.text).collect()
    }

    /// All texts of the only conversation.
    pub fn all_texts(&mut self, client: usize) -> Vec<String> {
        let id = self.only_conversation(client).id;
        self.texts(client, id)
    }

    pub fn status(&mut self, client: usize) -> Status {
        match self.ask(client, Intent::Status) {
            Ok(Reply::Status(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Two users who have let each other in; each one's conversation with the other.
    pub fn befriend(&mut self, one: usize, other: usize, address: &str) -> (ConversationId, ConversationId) {
        let reply = self.send(one, address, "hello");
        let Ok(Reply::Queued { conversation, .. }) = reply else { panic!("{reply:?}") };
        self.run_for(2_000);
        let request = self.requests(other).pop().expect("a request");
        let reply = self.ask(other, Intent::Accept { request: request.id });
        assert!(matches!(reply, Ok(Reply::Conversation(_))), "{reply:?}");
        self.run_for(2_000);
        (conversation, request.id)
    }

    pub fn drop_sockets(&mut self, client: usize) {
        for socket in std::mem::take(&mut self.clients[client].sockets) {
            self.server.disconnect(key(client, socket));
            self.clients[client].inputs.push_back(Input::Disconnected(socket));
        }
    }

    pub fn offline(&mut self, client: usize) {
        self.clients[client].network = false;
        self.drop_sockets(client);
        self.run();
    }

    pub fn online(&mut self, client: usize) {
        self.clients[client].network = true;
        self.run_for(70_000);
    }

    /// The process dies and starts again.
    pub fn crash(&mut self, client: usize) {
        for socket in self.clients[client].sockets.clone() {
            self.server.disconnect(key(client, socket));
        }
        let c = &mut self.clients[client];
        c.crashes += 1;
        c.sockets.clear();
        c.inputs.clear();
        c.wake = None;
        c.engine = Identities::open(c.rows.clone()).unwrap().with_pools(self.pool_size);
        if c.synced {
            self.start_intent(client, Intent::Sync);
        }
    }

    /// The process ends, until [`start`](Self::start).
    pub fn stop(&mut self, client: usize) {
        self.crash(client);
        self.clients[client].inputs.clear();
        self.clients[client].off = true;
    }

    pub fn start(&mut self, client: usize) {
        self.clients[client].off = false;
        self.crash(client);
    }

    fn device_now(&self, client: usize) -> UnixMillis {
        UnixMillis(self.now.0.saturating_add_signed(self.clients[client].ahead))
    }

    /// Works until nobody has anything to do at this instant.
    pub fn run(&mut self) {
        for _ in 0..200_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the engines never come to rest");
    }

    /// Hands out what the server has sent, then one input to each client; `false` if there was nothing to do.
    pub fn step(&mut self) -> bool {
        let mut worked = false;
        while let Some(((at, outbox), frame)) = self.server.out.pop_front() {
            worked = true;
            let (client, identity) = (at % PER_IDENTITY, IdentityId((at / PER_IDENTITY) as u16));
            let role = if outbox { Role::Outbox } else { Role::Inbox };
            if outbox && matches!(&frame, ServerFrame::Answer { .. }) && self.lose_answers > 0 {
                self.lose_answers -= 1;
                self.drop_sockets(client);
                continue;
            }
            let input = Input::Frame(Socket { identity, role }, frame);
            if !outbox && self.held.contains(&client) {
                self.held_frames.push((client, input));
            } else {
                self.clients[client].inputs.push_back(input);
            }
        }
        for client in 0..self.clients.len() {
            if let Some(input) = self.clients[client].inputs.pop_front() {
                worked = true;
                self.feed(client, input);
            }
        }
        worked
    }

    /// Lets time pass, waking who wants to be woken.
    pub fn run_for(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        loop {
            self.run();
            let wake = |client: &Client| Some(UnixMillis(client.wake?.0.saturating_add_signed(-client.ahead)));
            let next = self.clients.iter().filter_map(wake).min().filter(|wake| *wake <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            self.server.tick(self.now);
            let now = self.now;
            for client in &mut self.clients {
                let device_now = UnixMillis(now.0.saturating_add_signed(client.ahead));
                if client.wake.is_some_and(|wake| wake <= device_now) {
                    client.wake = None;
                    client.inputs.push_back(Input::Tick);
                }
            }
        }
        self.now = end;
        self.server.tick(end);
        for client in self.clients.iter_mut().filter(|client| !client.off) {
            client.inputs.push_back(Input::Tick);
        }
        self.run();
    }

    fn feed(&mut self, client: usize, input: Input) {
        let now = self.device_now(client);
        let c = &mut self.clients[client];
        if c.off {
            return;
        }
        c.engine.handle(input, now, &mut self.rng);
        while let Some(effect) = self.clients[client].engine.poll() {
            let c = &mut self.clients[client];
            c.effects += 1;
            if c.crash_at == Some(c.effects) {
                self.crash(client);
                return;
            }
            self.perform(client, effect);
        }
    }

    fn perform(&mut self, client: usize, effect: Effect) {
        let c = &mut self.clients[client];
        match effect {
            Effect::Commit(changes) => {
                for (key, value) in changes.0 {
                    match value {
                        Some(value) => c.rows.insert(key, value),
                        None => c.rows.remove(&key),
                    };
                }
            }
            Effect::Load { token, prefix } => {
                let rows = c.rows.iter().filter(|(key, _)| key.starts_with(&prefix));
                let rows = rows.map(|(key, value)| (key.clone(), value.clone())).collect();
                c.inputs.push_back(Input::Loaded { token, rows });
            }
            Effect::Open(socket) => {
                if c.network {
                    c.sockets.insert(socket);
                    c.inputs.push_back(Input::Connected(socket));
                    self.server.connect(key(client, socket));
                } else {
                    c.inputs.push_back(Input::Disconnected(socket));
                }
            }
            Effect::Close(socket) => {
                c.sockets.remove(&socket);
                self.server.disconnect(key(client, socket));
            }
            Effect::Send(socket, frame) => {
                // A socket may have died while the engine did not know it yet.
                if !c.sockets.contains(&socket) {
                    return;
                }
                if let Some(recorded) = &mut self.recorded {
                    let bytes = parlour_proto::wire::encode_client(&frame).to_vec();
                    recorded.entry((client, socket.identity)).or_default().push(bytes);
                }
                if let Some(watched) = self.watched.as_mut().filter(|_| socket.role == Role::Inbox) {
                    watched.push((client, socket.identity, self.now, frame.request.clone()));
                }
                self.server.request(key(client, socket), frame);
            }
            Effect::Notify(event) => c.events.push(event),
            Effect::WakeAt(instant) => c.wake = Some(instant),
        }
    }

    /// The client's MLS state is gone.
    pub fn wipe_mls(&mut self, client: usize) {
        self.clients[client].rows.retain(|key, _| !key.starts_with(b"lg"));
        self.crash(client);
    }

    /// Pushes a frame to a client as if the server had.
    pub fn inject(&mut self, client: usize, push: Push) {
        let socket = Socket { identity: NOBODY, role: Role::Inbox };
        self.clients[client].inputs.push_back(Input::Frame(socket, ServerFrame::Push(push)));
    }
}

/// A group of so many, made by the first; each one's conversation.
pub fn group(seed: u64, size: u32) -> (World, Vec<usize>, Vec<ConversationId>) {
    let mut w = World::new(seed);
    let users: Vec<usize> = (0..size).map(|n| w.user(n)).collect();
    for n in 1..size {
        w.befriend(users[0], users[n as usize], &bell(n));
    }
    let members = (1..size).map(|n| Target::Address(bell(n))).collect();
    let reply = w.ask(users[0], Intent::CreateGroup { title: "Garden".into(), members });
    assert!(matches!(reply, Ok(Reply::Conversation(_))), "{reply:?}");
    w.run_for(5_000);
    let groups = users.iter().map(|user| the_group(&mut w, *user).id).collect();
    (w, users, groups)
}

pub fn the_group(w: &mut World, client: usize) -> Conversation {
    let mut groups: Vec<_> = w.conversations(client).into_iter().filter(|c| c.is_group).collect();
    assert_eq!(groups.len(), 1, "{groups:?}");
    groups.pop().unwrap()
}

/// The devices of a client's account.
pub fn devices(w: &mut World, client: usize) -> Vec<Device> {
    match w.ask(client, Intent::Devices) {
        Ok(Reply::Devices(devices)) => devices,
        other => panic!("{other:?}"),
    }
}

pub fn this_device(w: &mut World, client: usize) -> DeviceId {
    devices(w, client).into_iter().find(|device| device.this).unwrap().id
}

/// Takes a client off the list of another's devices.
pub fn revoke(w: &mut World, by: usize, client: usize) {
    let device = this_device(w, client);
    w.ask(by, Intent::RevokeDevice { device }).unwrap();
}

/// Links a new home to a client's account.
pub fn link(w: &mut World, old: usize) -> usize {
    let Ok(Reply::LinkCode { code, .. }) = w.ask(old, Intent::OfferLink) else { panic!("no code") };
    let new = w.home();
    let joining = w.start_intent(new, Intent::Link { code, name: "Tablet".into() });
    w.run();
    assert!(matches!(w.ask(old, Intent::ConfirmLink { yes: true }), Ok(Reply::Ok)));
    w.run();
    assert!(matches!(w.reply(new, joining), Some(Ok(Reply::Linked { .. }))));
    w.sync(new);
    w.run_for(20_000);
    new
}

pub fn body(text: &str) -> Body {
    Body::Text { text: text.to_owned(), in_reply_to: None, timer: None }
}

pub fn sign_up(app: &str, handle: &str) -> Intent {
    let proof = if app == "bell" {
        Proof::Code("123456".to_owned())
    } else {
        Proof::Password(Zeroizing::new("correct horse".to_owned()))
    };
    Intent::SignUp { app: AppId::parse(app).unwrap(), handle: handle.to_owned(), proof }
}

pub fn bell(number: u32) -> String {
    format!("+4917012345{number:02}@bell")
}
