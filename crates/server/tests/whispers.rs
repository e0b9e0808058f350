//! Whispers over real sockets: heard by who is there, and nowhere afterwards.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use kit::*;
use parlour_proto::{frames::*, ids::*, problem::Code};
use parlour_server::fresh_rng;

fn whisper(chat: &Chat, text: &str) -> Request {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    Request::Whisper { room: chat.room, send_key: chat.send_key.clone(), payload }
}

/// The next whisper, if one comes before the answer to another request on the same socket.
async fn heard(inbox: &mut Socket) -> Option<Bytes> {
    inbox.ask(Request::Apps).await.unwrap();
    let at = inbox.pushes.iter().position(|push| matches!(push, Push::Whisper { .. }))?;
    match inbox.pushes.remove(at) {
        Some(Push::Whisper { payload, .. }) => Some(payload),
        _ => None,
    }
}

/// Ann's room with Bob in it, his entry open.
async fn pair(addr: SocketAddr) -> (Person, Person, Chat, Socket) {
    let mut ann = Person::sign_up(addr, "+4930111111").await;
    let mut bob = Person::sign_up(addr, "+4930222222").await;
    let his = key();
    let his_key = MemberKey(his.verifying_key().to_bytes());
    bob.publish(Pool::Stranger, &[his_key]).await;
    let mut chat = ann.create_room().await;
    let claim = Request::Claim { who: Who::Account(bob.account.clone()), room: chat.room };
    let Ok(Answer::Claimed(claimed)) = ann.inbox.ask(claim).await else { panic!("not claimed") };
    let grant = claimed.devices[0].grant.clone();
    let mut out = Socket::open(addr, "/v1/outbox").await;
    let next = Secret::random(&mut fresh_rng());
    let add = EntryChange::Add { member_key: his_key, grant, rights: Rights::ALL };
    let commit = chat.commit(vec![add], &next, vec![(his_key, Bytes::from_static(b"part"))]);
    let Ok(Answer::Accepted { room_seq, .. }) = out.ask(commit).await else { panic!("no commit") };
    (chat.send_key, chat.head) = (next, room_seq);
    for person in [&mut ann, &mut bob] {
        // The whole of what waits is read; only then does a socket hear whispers.
        while person.inbox.push().await != Push::CaughtUp {}
        person.inbox.rows().await;
    }
    assert_eq!(out.ask(whisper(&chat, "canary-before-the-choice")).await, Ok(Answer::Done));
    assert_eq!(heard(&mut bob.inbox).await, None, "asked, not open");
    assert!(heard(&mut ann.inbox).await.is_some());
    let as_bob = Chat { room: chat.room, member: his, send_key: chat.send_key.clone(), head: chat.head };
    let open = Request::OpenEntry { room: chat.room, proof: as_bob.proof("open", &[]) };
    assert_eq!(out.ask(open).await, Ok(Answer::Done));
    (ann, bob, chat, out)
}

#[tokio::test]
async fn a_whisper_is_heard_now_or_never() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let (mut ann, mut bob, chat, mut out) = pair(server.addr).await;
    assert_eq!(out.ask(whisper(&chat, "one")).await, Ok(Answer::Done));
    assert_eq!(heard(&mut bob.inbox).await, Some(Bytes::from_static(b"one")));
    assert_eq!(heard(&mut ann.inbox).await, Some(Bytes::from_static(b"one")));
    assert_eq!(ann.inbox.ask(whisper(&chat, "signed in")).await.unwrap_err().code, Code::OutOfPlace);
    let other = Chat { send_key: Secret([9; 32]), member: key(), ..chat };
    assert_eq!(out.ask(whisper(&other, "x")).await.unwrap_err().code, Code::WrongSendKey);
    let large = Request::Whisper {
        room: chat.room,
        send_key: chat.send_key.clone(),
        payload: vec![0; MAX_WHISPER_BYTES + 1].into(),
    };
    assert_eq!(out.ask(large).await.unwrap_err().code, Code::TooLarge);

    drop(bob.inbox);
    bob.inbox = Socket::open(server.addr, "/v1/outbox").await;
    assert_eq!(out.ask(whisper(&chat, "two")).await, Ok(Answer::Done));
    assert!(matches!(out.ask(chat.message("three")).await, Ok(Answer::Accepted { .. })));
    bob.reconnect(server.addr).await.unwrap();
    let rows = bob.inbox.rows().await;
    assert!(matches!(&rows.last().unwrap().body, RowBody::Message { payload, .. } if &payload[..] == b"three"));
    assert_eq!(bob.inbox.push().await, Push::CaughtUp);
    assert_eq!(heard(&mut bob.inbox).await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_flood_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let (_ann, mut bob, chat, mut out) = pair(server.addr).await;
    let mut asked = Vec::new();
    for n in 0..200 {
        asked.push(out.send(whisper(&chat, "flood")).await);
        if n % 20 == 0 {
            asked.push(out.send(chat.message("hello")).await);
        }
    }
    for id in asked {
        assert!(out.answer(id).await.is_ok());
    }
    let mut rows = 0;
    while rows < 10 {
        rows += bob.inbox.rows().await.len();
    }
    let mut whispers = 0;
    while heard(&mut bob.inbox).await.is_some() {
        whispers += 1;
    }
    // Sixteen at once and four a second: `rows` above skipped those between messages.
    assert!(whispers <= 40, "{whispers}");
    let metrics = get(server.addr, "/metrics").await;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("parlour_whispers_total ")).unwrap();
    assert!((16..=40).contains(&counted.parse::<u32>().unwrap()), "{counted}");
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

fn holds(text: &[u8], canary: &[u8]) -> bool {
    text.windows(canary.len()).any(|part| part == canary)
}

#[tokio::test]
async fn nothing_of_it_is_logged_counted_by_room_or_stored() {
    let logs = Logs::default();
    let writer = logs.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let (_ann, mut bob, chat, mut out) = pair(server.addr).await;
    for _ in 0..10 {
        assert_eq!(out.ask(whisper(&chat, "canary-whisper")).await, Ok(Answer::Done));
        assert!(heard(&mut bob.inbox).await.is_some());
    }
    let metrics = get(server.addr, "/metrics").await;
    assert!(metrics.contains("parlour_whispers_total 11"), "{metrics}");
    drop((bob, out));
    server.stop().await;
    let logs = logs.0.lock().unwrap().clone();
    assert!(holds(&logs, b"started"), "logs are seen at all");
    let room = hex::encode(chat.room.0);
    for canary in [&b"canary"[..], room.as_bytes(), &chat.send_key.0, hex::encode(chat.send_key.0).as_bytes()] {
        assert!(!holds(&logs, canary), "in the log");
        assert!(!holds(metrics.as_bytes(), canary), "in the metrics");
    }
    assert!(!holds(&stored(dir.path()), b"canary"));
}
