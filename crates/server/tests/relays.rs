//! Relays between two real sockets. Their times and totals are tested with a clock set by hand: `relays/tests.rs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use ed25519_dalek::Signer as _;
use kit::*;
use parlour_proto::{frames::*, ids::*, problem::Code};
use parlour_server::fresh_rng;

/// The next push that is neither rows nor the end of them.
async fn told(socket: &mut Socket) -> Push {
    loop {
        match socket.push().await {
            Push::Rows(_) | Push::CaughtUp => {}
            push => return push,
        }
    }
}

async fn open(inbox: &mut Socket) -> u32 {
    let answer = inbox.ask(Request::OpenRelay).await;
    let Ok(Answer::Relay { slot }) = answer else { panic!("{answer:?}") };
    slot
}

async fn ask(socket: &mut Socket, request: Request) -> Result<Answer, Code> {
    socket.ask(request).await.map_err(|problem| problem.code)
}

async fn join(addr: SocketAddr, slot: u32) -> Result<Socket, Code> {
    let mut socket = Socket::open(addr, "/v1/inbox").await;
    ask(&mut socket, Request::JoinRelay { slot }).await.map(|_| socket)
}

fn payload(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(bytes)
}

async fn hand_over(from: &mut Socket, to: &mut Socket, what: &Bytes) {
    assert_eq!(ask(from, Request::Relay { payload: what.clone() }).await, Ok(Answer::Done));
    assert_eq!(told(to).await, Push::Relay { payload: what.clone() });
}

#[tokio::test]
async fn a_new_device_is_linked_over_a_relay_and_signs_in_on_the_same_socket() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930000001").await;
    let slot = open(&mut ann.inbox).await;
    assert_eq!(ask(&mut ann.inbox, Request::Relay { payload: payload(b"early") }).await, Err(Code::Expired));
    let mut new = join(server.addr, slot).await.unwrap();
    let (device, own) = (DeviceId::random(&mut fresh_rng()), key());
    hand_over(&mut new, &mut ann.inbox, &payload(b"keys of the new device")).await;
    hand_over(&mut ann.inbox, &mut new, &Bytes::from(vec![7; MAX_RELAY_BYTES])).await;
    let link = ann.link(adds(device, &own)).await;
    assert_eq!(ask(&mut ann.inbox, Request::AppendDeviceList { link }).await, Ok(Answer::Done));
    hand_over(&mut ann.inbox, &mut new, &payload(b"it is on the list")).await;

    let signature = own.sign(&sign_in_bytes(&new.nonce, &device)).to_bytes();
    let answer = ask(&mut new, Request::Authenticate { device, signature }).await;
    assert!(matches!(answer, Ok(Answer::SignedIn(SignedIn { list: 2, .. }))), "{answer:?}");
    hand_over(&mut new, &mut ann.inbox, &payload(b"thank you")).await;
    hand_over(&mut ann.inbox, &mut new, &payload(b"the relay outlives signing in")).await;
    assert_eq!(ask(&mut new, Request::CloseRelay).await, Ok(Answer::Done));
    assert_eq!(told(&mut ann.inbox).await, Push::RelayClosed);
    for socket in [&mut new, &mut ann.inbox] {
        assert_eq!(ask(socket, Request::Relay { payload: payload(b"late") }).await, Err(Code::Expired));
        assert_eq!(ask(socket, Request::CloseRelay).await, Ok(Answer::Done), "also when there is none");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_slot_takes_one_joiner_and_is_nothing_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930000001").await;
    let slot = open(&mut ann.inbox).await;
    assert_eq!(join(server.addr, (slot + 1) % RELAY_SLOTS).await.err(), Some(Code::Expired));
    assert_eq!(join(server.addr, u32::MAX).await.err(), Some(Code::Expired));
    let mut first = join(server.addr, slot).await.unwrap();
    assert_eq!(join(server.addr, slot).await.err(), Some(Code::Expired), "taken");
    hand_over(&mut first, &mut ann.inbox, &payload(b"still the first one's")).await;
    assert_eq!(ask(&mut ann.inbox, Request::CloseRelay).await, Ok(Answer::Done));
    assert_eq!(told(&mut first).await, Push::RelayClosed);
    assert_eq!(join(server.addr, slot).await.err(), Some(Code::Expired), "over");

    // In its place: only who is signed in opens, only who is not joins, and none of it on an outbox.
    let slot = open(&mut ann.inbox).await;
    let mut stranger = Socket::open(server.addr, "/v1/inbox").await;
    assert_eq!(ask(&mut stranger, Request::OpenRelay).await, Err(Code::OutOfPlace));
    assert_eq!(ask(&mut ann.inbox, Request::JoinRelay { slot }).await, Err(Code::OutOfPlace));
    let mut outbox = Socket::open(server.addr, "/v1/outbox").await;
    for request in [
        Request::OpenRelay,
        Request::JoinRelay { slot },
        Request::Relay { payload: payload(b"x") },
        Request::CloseRelay,
    ] {
        assert_eq!(ask(&mut outbox, request).await, Err(Code::OutOfPlace));
    }
    // Nobody guesses for long.
    for _ in 1..10 {
        assert_eq!(ask(&mut stranger, Request::JoinRelay { slot: RELAY_SLOTS }).await, Err(Code::Expired));
    }
    stranger.send(Request::JoinRelay { slot: RELAY_SLOTS }).await;
    assert_eq!(stranger.closed().await, Some(Code::Expired));
    assert!(join(server.addr, slot).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn whoever_is_left_learns_that_the_other_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930000001").await;
    let slot = open(&mut ann.inbox).await;
    drop(join(server.addr, slot).await.unwrap());
    assert_eq!(told(&mut ann.inbox).await, Push::RelayClosed);

    let slot = open(&mut ann.inbox).await;
    let mut second = join(server.addr, slot).await.unwrap();
    let slot = open(&mut ann.inbox).await;
    assert_eq!(told(&mut second).await, Push::RelayClosed, "another one took its place");
    assert_eq!(ask(&mut second, Request::JoinRelay { slot }).await, Ok(Answer::Done), "and may be joined");
    drop(ann);
    assert_eq!(told(&mut second).await, Push::RelayClosed);
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_what_is_too_much_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930000001").await;
    let slot = open(&mut ann.inbox).await;
    let mut new = join(server.addr, slot).await.unwrap();
    let large = Request::Relay { payload: Bytes::from(vec![0; MAX_RELAY_BYTES + 1]) };
    assert_eq!(ask(&mut new, large).await, Err(Code::TooLarge));
    let x = payload(b"x");
    for n in 0..64 {
        let (from, to) = if n % 2 == 0 { (&mut new, &mut ann.inbox) } else { (&mut ann.inbox, &mut new) };
        hand_over(from, to, &x).await;
    }
    assert_eq!(ask(&mut new, Request::Relay { payload: x }).await, Err(Code::Expired));
    assert_eq!(told(&mut new).await, Push::RelayClosed);
    assert_eq!(told(&mut ann.inbox).await, Push::RelayClosed);
    server.stop().await;
}

/// What the server logs, at every level.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logs {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stored(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all.extend(stored(&entry.path()));
        } else {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    all
}

fn holds(text: &[u8], canary: &str) -> bool {
    text.windows(canary.len()).any(|part| part == canary.as_bytes())
}

#[tokio::test]
async fn neither_slot_nor_payload_is_logged_counted_or_stored() {
    let logs = Logs::default();
    let writer = logs.clone();
    // Without times, whose digits could be a slot's.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .without_time()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930000001").await;
    let slot = loop {
        let slot = open(&mut ann.inbox).await;
        if slot > 99_999 {
            break slot;
        }
    };
    let mut new = join(server.addr, slot).await.unwrap();
    hand_over(&mut new, &mut ann.inbox, &payload(b"canary-from-the-new-device")).await;
    hand_over(&mut ann.inbox, &mut new, &payload(b"canary-from-the-account")).await;
    assert_eq!(join(server.addr, slot).await.err(), Some(Code::Expired));
    let metrics = get(server.addr, "/metrics").await;
    assert!(metrics.contains("parlour_relays_open 1"), "{metrics}");
    drop((ann, new));
    server.stop().await;
    let logs = logs.0.lock().unwrap().clone();
    assert!(holds(&logs, "started"), "logs are seen at all");
    for canary in ["canary-from", &slot.to_string()] {
        assert!(!holds(&logs, canary), "{canary} in the log");
        assert!(!holds(metrics.as_bytes(), canary), "{canary} in the metrics");
    }
    assert!(!holds(&stored(dir.path()), "canary-from"));
}
