//! A server in this process, and clients that speak the protocol over real sockets.

#![allow(dead_code, reason = "each test binary uses a part of the kit")]
#![allow(clippy::unwrap_used, reason = "a test kit")]

pub(crate) mod full;

use std::{collections::VecDeque, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use parlour_proto::{
    device_list::{Action, DeviceList, Draft, Signer},
    frames::*,
    ids::*,
    problem::{Code, Problem},
    wire,
};
use parlour_server::{
    config::Config,
    fresh_rng,
    keys::Keys,
    net::{self, RunningServer},
};
use parlour_store::{SqliteOptions, SqliteStore, Store, UnixTime};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpStream};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration for tests.
pub(crate) fn config(data: &Path) -> Config {
    let text = format!(
        "listen = '127.0.0.1:0'\ndata = '{}'\ndev_outbox = true\n\
         [limits]\ncodes_per_number_per_hour = 1000\n\
         [[app]]\nid = 'bell'\nname = 'Bell'\ndomain = 'bell.localhost'\nsign_in = 'phone'\n\
         [[app]]\nid = 'den'\nname = 'Den'\ndomain = 'den.localhost'\nsign_in = 'username'\n",
        data.display()
    );
    Config::parse(&text).unwrap()
}

/// The embedded store in a directory.
pub(crate) fn sqlite(data: &Path, options: &SqliteOptions) -> SqliteStore {
    let clock = Arc::new(|| UnixTime(net::now().seconds()));
    SqliteStore::open(data, clock, options).unwrap()
}

/// Starts a server on the embedded store.
pub(crate) async fn start(data: &Path) -> RunningServer {
    start_with(data, &SqliteOptions::default()).await
}

/// Starts a server on the embedded store with options.
pub(crate) async fn start_with(data: &Path, options: &SqliteOptions) -> RunningServer {
    let keys = open_keys(data);
    start_on(data, sqlite(data, options), keys).await
}

/// The server's keys of a directory.
pub(crate) fn open_keys(data: &Path) -> Keys {
    Keys::open(&data.join("keys"), net::now(), &mut fresh_rng()).unwrap()
}

/// Starts a server on any store.
pub(crate) async fn start_on<S: Store>(data: &Path, store: S, keys: Keys) -> RunningServer {
    net::run(&config(data), store, keys, Box::new(Vec::new)).await.unwrap()
}

/// A GET; the body.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> String {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).await.unwrap();
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// A socket.
pub(crate) struct Socket {
    pub(crate) ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
    pub(crate) pushes: VecDeque<Push>,
    pub(crate) answers: VecDeque<(u64, Result<Answer, Problem>)>,
    pub(crate) nonce: [u8; 32],
}

impl Socket {
    /// Connects and reads the greeting.
    pub(crate) async fn open(addr: SocketAddr, path: &str) -> Self {
        let (ws, _) = tokio_tungstenite::connect_async(format!("ws://{addr}{path}")).await.unwrap();
        let mut socket = Self { ws, next: 0, pushes: VecDeque::new(), answers: VecDeque::new(), nonce: [0; 32] };
        let Push::Hello { nonce, .. } = socket.push().await else { panic!("no greeting") };
        socket.nonce = nonce;
        socket
    }

    /// Reads one frame; `None` when the socket has ended.
    pub(crate) async fn frame(&mut self) -> Option<ServerFrame> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.ws.next()).await.expect("in time")?;
            match message.ok()? {
                Message::Binary(frame) => return Some(wire::decode_server(frame).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> bool {
        match self.frame().await {
            Some(ServerFrame::Push(push)) => self.pushes.push_back(push),
            Some(ServerFrame::Answer { id, result }) => self.answers.push_back((id, result)),
            None => return false,
        }
        true
    }

    /// The next push.
    pub(crate) async fn push(&mut self) -> Push {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return push;
            }
            assert!(self.read().await, "the socket ended");
        }
    }

    /// The next rows that are pushed.
    pub(crate) async fn rows(&mut self) -> Vec<Row> {
        loop {
            if let Push::Rows(rows) = self.push().await {
                return rows;
            }
        }
    }

    /// Sends a request; its id.
    pub(crate) async fn send(&mut self, request: Request) -> u64 {
        self.next += 1;
        let frame = wire::encode_client(&ClientFrame { id: self.next, request });
        self.raw(frame).await;
        self.next
    }

    /// Sends bytes.
    pub(crate) async fn raw(&mut self, frame: Bytes) {
        self.ws.send(Message::Binary(frame)).await.unwrap();
    }

    /// The answer to a request.
    pub(crate) async fn answer(&mut self, id: u64) -> Result<Answer, Problem> {
        loop {
            if let Some(at) = self.answers.iter().position(|(found, _)| *found == id) {
                return self.answers.remove(at).unwrap().1;
            }
            assert!(self.read().await, "the socket ended");
        }
    }

    /// Asks and waits.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Answer, Problem> {
        let id = self.send(request).await;
        self.answer(id).await
    }

    /// Why the server closed the socket.
    pub(crate) async fn closed(&mut self) -> Option<Code> {
        let mut code = None;
        while self.read().await {
            if let Some(Push::Closing(problem)) = self.pushes.pop_back() {
                code = Some(problem.code);
            }
        }
        code
    }
}

/// A person with one device.
pub(crate) struct Person {
    pub(crate) account: AccountRef,
    pub(crate) device: DeviceId,
    pub(crate) key: SigningKey,
    pub(crate) root: SigningKey,
    pub(crate) inbox: Socket,
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&Secret::random(&mut fresh_rng()).0)
}

/// The change that adds a device.
pub(crate) fn adds(device: DeviceId, key: &SigningKey) -> Action {
    let signing_key = key.verifying_key().to_bytes();
    Action::Add { device, signing_key, hpke_key: signing_key }
}

/// The newest code of a number.
pub(crate) async fn code(addr: SocketAddr, number: &str) -> String {
    let messages: Vec<serde_json::Value> = serde_json::from_str(&get(addr, "/dev/outbox").await).unwrap();
    let found = messages.iter().rev().find(|m| m["to"] == number).unwrap();
    found["code"].as_str().unwrap().to_owned()
}

/// A ticket for a number.
pub(crate) async fn phone_ticket(addr: SocketAddr, inbox: &mut Socket, number: &str) -> (Secret, bool) {
    let app = AppId::parse("bell").unwrap();
    let request = Request::RequestCode { app: app.clone(), handle: number.into() };
    assert_eq!(inbox.ask(request).await, Ok(Answer::Done));
    let code = code(addr, number).await;
    let request = Request::ProveCode { app, handle: number.into(), code };
    let Ok(Answer::Ticket { ticket, exists }) = inbox.ask(request).await else { panic!("no ticket") };
    (ticket, exists)
}

impl Person {
    /// Signs up on Bell with a number and publishes key packages.
    pub(crate) async fn sign_up(addr: SocketAddr, number: &str) -> Self {
        let mut inbox = Socket::open(addr, "/v1/inbox").await;
        let (ticket, exists) = phone_ticket(addr, &mut inbox, number).await;
        assert!(!exists);
        let (root, key) = (key(), key());
        let rng = &mut fresh_rng();
        let (account, device) = (AccountId::random(rng), DeviceId::random(rng));
        let action = Action::Add { device, signing_key: key.verifying_key().to_bytes(), hpke_key: [9; 32] };
        let link = Draft::first(account, net::now(), action).sign(&root);
        let root_key = root.verifying_key().to_bytes();
        let request = Request::Register { ticket, account, root_key, links: vec![link], device };
        let Ok(Answer::Registered(signed_in)) = inbox.ask(request).await else { panic!("not registered") };
        Self { account: signed_in.account, device, key, root, inbox }
    }

    /// Connects again.
    pub(crate) async fn reconnect(&mut self, addr: SocketAddr) -> Result<SignedIn, Problem> {
        let mut inbox = Socket::open(addr, "/v1/inbox").await;
        let signature = self.key.sign(&sign_in_bytes(&inbox.nonce, &self.device)).to_bytes();
        let answer = inbox.ask(Request::Authenticate { device: self.device, signature }).await?;
        self.inbox = inbox;
        let Answer::SignedIn(signed_in) = answer else { panic!("{answer:?}") };
        Ok(signed_in)
    }

    /// The device list as the server has it.
    pub(crate) async fn list(&mut self) -> DeviceList {
        let answer = self.inbox.ask(Request::OwnAccount).await;
        let Ok(Answer::Account(view)) = answer else { panic!("{answer:?}") };
        assert_eq!(view.account, self.account);
        DeviceList::verify(view.account.account, &view.root_key, &view.links).unwrap()
    }

    /// A link that this device signs.
    pub(crate) async fn link(&mut self, action: Action) -> Bytes {
        let signer = Signer::Device(self.device);
        self.list().await.draft(net::now(), action, signer).sign(&self.key)
    }

    /// Adds a further device of this person by a link, and signs it in.
    pub(crate) async fn add_device(&mut self, addr: SocketAddr) -> Self {
        let (device, key) = (DeviceId::random(&mut fresh_rng()), key());
        let link = self.link(adds(device, &key)).await;
        assert_eq!(self.inbox.ask(Request::AppendDeviceList { link }).await, Ok(Answer::Done));
        let inbox = Socket::open(addr, "/v1/inbox").await;
        let mut other = Self { account: self.account.clone(), device, key, root: self.root.clone(), inbox };
        other.reconnect(addr).await.unwrap();
        other
    }

    /// Publishes key packages whose member keys are given.
    pub(crate) async fn publish(&mut self, pool: Pool, keys: &[MemberKey]) {
        let packages = keys
            .iter()
            .map(|key| KeyPackageUpload { key_package: Bytes::copy_from_slice(&key.0), member_key: *key })
            .collect();
        let answer = self.inbox.ask(Request::PublishKeyPackages { pool, packages }).await;
        assert!(matches!(answer, Ok(Answer::Pools { .. })), "{answer:?}");
    }

    /// Makes a room.
    pub(crate) async fn create_room(&mut self) -> Chat {
        let rng = &mut fresh_rng();
        let (room, member, send_key) = (RoomId::random(rng), key(), Secret::random(rng));
        let member_key = MemberKey(member.verifying_key().to_bytes());
        let request = Request::CreateRoom { room, member_key, send_key: send_key.digest() };
        assert_eq!(self.inbox.ask(request).await, Ok(Answer::Done));
        Chat { room, member, send_key, head: 0 }
    }
}

/// A room, as one member knows it.
pub(crate) struct Chat {
    pub(crate) room: RoomId,
    pub(crate) member: SigningKey,
    pub(crate) send_key: Secret,
    pub(crate) head: u64,
}

impl Chat {
    /// A message.
    pub(crate) fn message(&self, text: &str) -> Request {
        Request::Send {
            room: self.room,
            message_id: MessageId::random(&mut fresh_rng()),
            send_key: self.send_key.clone(),
            tag: [7; 32],
            payload: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    /// A signed commit on the head that this member knows.
    pub(crate) fn commit(&self, changes: Vec<EntryChange>, next: &Secret, parts: Vec<(MemberKey, Bytes)>) -> Request {
        let mut commit = Commit {
            room: self.room,
            head: self.head,
            commit_id: MessageId::random(&mut fresh_rng()),
            payload: Bytes::from_static(b"commit"),
            next_send_key: next.digest(),
            changes,
            voids: vec![],
            welcome: (!parts.is_empty()).then(|| Welcome { shared: Bytes::from_static(b"shared"), parts }),
            member_key: MemberKey(self.member.verifying_key().to_bytes()),
            signature: [0; 64],
        };
        commit.signature = self.member.sign(&commit_bytes(&commit)).to_bytes();
        Request::Commit(Box::new(commit))
    }

    /// A proof by the member key.
    pub(crate) fn proof(&self, what: &str, detail: &[u8]) -> MemberProof {
        let time = net::now();
        let signature = self.member.sign(&entry_bytes(what, &self.room, time, detail)).to_bytes();
        MemberProof { member_key: MemberKey(self.member.verifying_key().to_bytes()), time, signature }
    }
}
