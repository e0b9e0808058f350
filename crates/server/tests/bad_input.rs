//! What is malformed, oversized, out of place or too much gets a stable code, and the server goes on.

mod kit;

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use kit::*;
use parlour_proto::{frames::*, ids::*, problem::Code, wire};
use parlour_server::fresh_rng;
use parlour_store::SqliteOptions;
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpStream};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn malformed_frames_are_answered_and_the_socket_survives() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    for path in ["/v1/inbox", "/v1/outbox"] {
        let mut socket = Socket::open(server.addr, path).await;
        let whole = wire::encode_client(&ClientFrame { id: 9, request: Request::Apps });
        for bad in [Bytes::from_static(b"\xff\xff\xff"), Bytes::new(), whole.slice(..whole.len() - 1)] {
            socket.raw(bad).await;
            let Some(ServerFrame::Answer { result, .. }) = socket.frame().await else { panic!("no answer") };
            assert_eq!(result.unwrap_err().code, Code::Malformed);
        }
        socket.ws.send(Message::Text("hello".into())).await.unwrap();
        let Some(ServerFrame::Answer { result, .. }) = socket.frame().await else { panic!("no answer") };
        assert_eq!(result.unwrap_err().code, Code::Malformed);
        assert!(matches!(socket.ask(Request::Apps).await, Ok(Answer::Apps(apps)) if apps.len() == 2));
        for _ in 0..40 {
            let _ = socket.ws.send(Message::Binary(Bytes::from_static(b"\xff"))).await;
        }
        assert_eq!(socket.closed().await, Some(Code::Malformed), "but not for ever");
    }
    server.stop().await;
}

#[tokio::test]
async fn oversized_frames_close_the_socket_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut socket = Socket::open(server.addr, "/v1/outbox").await;
    let _ = socket.ws.send(Message::Binary(Bytes::from(vec![0; MAX_FRAME_BYTES + 1]))).await;
    let code = socket.closed().await;
    assert!(code.is_none() || code == Some(Code::TooLarge));
    let mut socket = Socket::open(server.addr, "/v1/outbox").await;
    let request = Request::Send {
        room: RoomId([1; 16]),
        message_id: MessageId([1; 16]),
        send_key: Secret([1; 32]),
        tag: [0; 32],
        payload: Bytes::from(vec![0; MAX_MESSAGE_BYTES + 1]),
    };
    assert_eq!(socket.ask(request).await.unwrap_err().code, Code::TooLarge);
    server.stop().await;
}

#[tokio::test]
async fn requests_out_of_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930333333").await;
    let chat = ann.create_room().await;
    assert_eq!(ann.inbox.ask(chat.message("x")).await.unwrap_err().code, Code::OutOfPlace);
    let mut out = Socket::open(server.addr, "/v1/outbox").await;
    assert_eq!(out.ask(Request::Reach).await.unwrap_err().code, Code::OutOfPlace);
    let mut stranger = Socket::open(server.addr, "/v1/inbox").await;
    assert_eq!(stranger.ask(Request::Reach).await.unwrap_err().code, Code::OutOfPlace);
    let message = Bytes::from_static(b"x");
    assert_eq!(stranger.ask(Request::OpaqueLoginFinish { message }).await.unwrap_err().code, Code::OutOfPlace);
    let signature = [0; 64];
    let device = DeviceId([1; 16]);
    let unknown = stranger.ask(Request::Authenticate { device, signature }).await;
    assert_eq!(unknown.unwrap_err().code, Code::NotADevice);
    let wrong = stranger.ask(Request::Authenticate { device: ann.device, signature }).await;
    assert_eq!(wrong.unwrap_err().code, Code::NotAuthenticated);
    let ticket = Secret([1; 32]);
    assert_eq!(stranger.ask(Request::AccountOfTicket { ticket }).await.unwrap_err().code, Code::Expired);
    let app = AppId::parse("nowhere").unwrap();
    let request = Request::RequestCode { app, handle: "+4930".into() };
    assert_eq!(stranger.ask(request).await.unwrap_err().code, Code::NoSuchApp);
    let app = AppId::parse("den").unwrap();
    let request = Request::RequestCode { app, handle: "ann".into() };
    assert_eq!(stranger.ask(request).await.unwrap_err().code, Code::NoSuchApp, "not by code");
    server.stop().await;
}

#[tokio::test]
async fn a_newer_socket_of_the_device_replaces_the_older() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930444444").await;
    let signature = {
        use ed25519_dalek::Signer as _;
        let mut newer = Socket::open(server.addr, "/v1/inbox").await;
        let signature = ann.key.sign(&sign_in_bytes(&newer.nonce, &ann.device)).to_bytes();
        newer.ask(Request::Authenticate { device: ann.device, signature }).await.unwrap();
        assert_eq!(ann.inbox.closed().await, Some(Code::OutOfPlace));
        signature
    };
    let mut other = Socket::open(server.addr, "/v1/inbox").await;
    let replayed = other.ask(Request::Authenticate { device: ann.device, signature }).await;
    assert_eq!(replayed.unwrap_err().code, Code::NotAuthenticated, "a signature is for one socket");
    server.stop().await;
}

#[tokio::test]
async fn codes_expire_by_tries_and_tickets_by_use() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut inbox = Socket::open(server.addr, "/v1/inbox").await;
    let (app, handle) = (AppId::parse("bell").unwrap(), "+4930555555".to_owned());
    let prove = |code: &str| Request::ProveCode { app: app.clone(), handle: handle.clone(), code: code.into() };
    assert_eq!(inbox.ask(prove("123456")).await.unwrap_err().code, Code::Expired);
    inbox.ask(Request::RequestCode { app: app.clone(), handle: handle.clone() }).await.unwrap();
    for _ in 0..4 {
        assert_eq!(inbox.ask(prove("abcdef")).await.unwrap_err().code, Code::NotAuthenticated);
    }
    assert_eq!(inbox.ask(prove("abcdef")).await.unwrap_err().code, Code::TriesExhausted);
    let right = code(server.addr, &handle).await;
    assert_eq!(inbox.ask(prove(&right)).await.unwrap_err().code, Code::TriesExhausted);
    server.stop().await;
}

#[tokio::test]
async fn half_open_connections_do_not_keep_people_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut open = Vec::new();
    for n in 0..300 {
        let mut tcp = TcpStream::connect(server.addr).await.unwrap();
        if n % 2 == 0 {
            tcp.write_all(b"GET /v1/inbox HTTP/1.1\r\nHost:").await.unwrap();
        }
        open.push(tcp);
    }
    Person::sign_up(server.addr, "+4930666666").await;
    server.stop().await;
    for mut tcp in open {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(20), tcp.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "closed by the server");
    }
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930777777").await;
    let chat = ann.create_room().await;
    let mut out = Socket::open(server.addr, "/v1/outbox").await;
    let text = "x".repeat(8 * 1024);
    for _ in 0..20 {
        let mut ids = Vec::new();
        for _ in 0..60 {
            ids.push(out.send(chat.message(&text)).await);
        }
        for id in ids {
            assert!(out.answer(id).await.is_ok());
        }
    }
    let mut last = 0;
    let mut count = 0;
    while count < 1_200 {
        for row in ann.inbox.rows().await {
            assert!(row.room_seq > last);
            last = row.room_seq;
            count += 1;
            ann.inbox.send(Request::Ack { seq: row.seq }).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions { max_bytes: Some(1024 * 1024), ..SqliteOptions::default() };
    let server = start_with(dir.path(), &options).await;
    let mut ann = Person::sign_up(server.addr, "+4930888888").await;
    let chat = ann.create_room().await;
    let mut out = Socket::open(server.addr, "/v1/outbox").await;
    let text = "x".repeat(32 * 1024);
    let mut accepted = 0;
    let full = loop {
        match out.ask(chat.message(&text)).await {
            Ok(_) => accepted += 1,
            Err(problem) => break problem,
        }
        assert!(accepted < 200, "the quota holds");
    };
    assert_eq!(full.code, Code::Full);
    ann.reconnect(server.addr).await.unwrap();
    let mut seen = 0;
    while seen < accepted {
        let rows = ann.inbox.rows().await;
        seen += rows.len();
        let seq = rows.last().unwrap().seq;
        ann.inbox.send(Request::Ack { seq }).await;
    }
    // Acknowledging makes room: sooner or later messages pass again.
    let mut tries = 0;
    while out.ask(chat.message("small again")).await.is_err() {
        tries += 1;
        assert!(tries < 200, "deleting makes room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn nothing_readable_about_anybody_is_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930999123").await;
    let chat = ann.create_room().await;
    let mut out = Socket::open(server.addr, "/v1/outbox").await;
    out.ask(chat.message("CANARY-TEXT-IN-A-PAYLOAD")).await.unwrap();
    let digest = Secret::random(&mut fresh_rng()).digest();
    ann.inbox.ask(Request::CreateInvite { digest, uses: 1, ttl_s: 3_600, everywhere: false }).await.unwrap();
    server.stop().await;
    let needles: [&[u8]; 7] = [
        b"CANARY-TEXT-IN-A-PAYLOAD",
        b"30999123",
        b"127.0.0.1",
        &chat.room.0,
        &chat.send_key.0,
        &chat.send_key.digest().0,
        &ann.account.account.0,
    ];
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap().chain(std::fs::read_dir(dir.path().join("keys")).unwrap()) {
        let path = entry.unwrap().path();
        if path.is_file() {
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for needle in needles {
                let found = bytes.windows(needle.len()).any(|window| window == needle);
                assert!(!found, "{} holds {:?}", path.display(), String::from_utf8_lossy(needle));
            }
        }
    }
    assert!(files >= 4);
}
