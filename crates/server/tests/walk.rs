//! The main job over real sockets: two people meet, talk, are away, come back, part.

mod kit;

use bytes::Bytes;
use kit::*;
use parlour_proto::{frames::*, ids::*, problem::Code};
use parlour_server::fresh_rng;

#[tokio::test]
async fn two_people_meet_and_talk() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ann = Person::sign_up(server.addr, "+4930111111").await;
    let mut bob = Person::sign_up(server.addr, "+4930222222").await;
    assert_eq!(bob.inbox.push().await, Push::CaughtUp);
    let bob_member = key();
    let bob_key = MemberKey(bob_member.verifying_key().to_bytes());
    bob.publish(Pool::Stranger, &[bob_key]).await;

    let mut chat = ann.create_room().await;
    let who = Who::Address { app: AppId::parse("bell").unwrap(), handle: "+49 30 222222".into() };
    let Ok(Answer::Claimed(claimed)) = ann.inbox.ask(Request::Claim { who, room: chat.room }).await else {
        panic!("not claimed")
    };
    assert_eq!(claimed.view.account, bob.account);
    assert_eq!(claimed.devices[0].member_key, bob_key);
    assert!(!claimed.devices[0].last_resort);
    let grant = claimed.devices[0].grant.clone();

    let mut out = Socket::open(server.addr, "/v1/outbox").await;
    let next = Secret::random(&mut fresh_rng());
    let add = EntryChange::Add { member_key: bob_key, grant, rights: Rights::ALL };
    let commit = chat.commit(vec![add], &next, vec![(bob_key, Bytes::from_static(b"part"))]);
    let first = out.ask(commit.clone()).await;
    let Ok(Answer::Accepted { room_seq: head, .. }) = first else { panic!("{first:?}") };
    assert_eq!(out.ask(commit).await, first, "accepted_commit_whose_answer_was_lost");
    let rows = ann.inbox.rows().await;
    assert!(matches!(&rows[0].body, RowBody::Commit { payload, .. } if &payload[..] == b"commit"));
    let rows = bob.inbox.rows().await;
    let RowBody::Welcome { member_key, shared, part, asked } = &rows[0].body else { panic!("{rows:?}") };
    assert_eq!((*member_key, &shared[..], &part[..], *asked), (bob_key, &b"shared"[..], &b"part"[..], true));
    assert_eq!(rows[0].room_seq, head);

    (chat.send_key, chat.head) = (next, head);
    let one = chat.message("one");
    let sent = out.ask(one.clone()).await;
    assert!(matches!(sent, Ok(Answer::Accepted { .. })), "{sent:?}");
    assert_eq!(out.ask(one).await, sent, "the same message again gets the same answer");
    assert!(matches!(out.ask(chat.message("two")).await, Ok(Answer::Accepted { .. })));
    let rows = bob.inbox.rows().await;
    assert!(matches!(&rows[0].body, RowBody::Message { payload, .. } if &payload[..] == b"one"));

    let his = Chat { room: chat.room, member: bob_member, send_key: chat.send_key.clone(), head };
    let mut bob_out = Socket::open(server.addr, "/v1/outbox").await;
    let log = Request::FetchLog { room: his.room, after: 0, proof: his.proof("log", &0u64.to_be_bytes()) };
    assert_eq!(bob_out.ask(log.clone()).await.unwrap_err().code, Code::NoRight);
    let open = Request::OpenEntry { room: his.room, proof: his.proof("open", &[]) };
    assert_eq!(bob_out.ask(open).await, Ok(Answer::Done));
    let Ok(Answer::Log(log)) = bob_out.ask(log).await else { panic!("no log") };
    assert_eq!((log.rows.len(), log.more), (1, false));

    assert!(matches!(bob_out.ask(his.message("three")).await, Ok(Answer::Accepted { .. })));
    let rows = bob.inbox.rows().await;
    assert!(matches!(&rows[0].body, RowBody::Message { payload, .. } if &payload[..] == b"three"), "two did not pass");
    bob.inbox.send(Request::Ack { seq: rows[0].seq }).await;

    // Away, and back.
    drop(bob.inbox);
    bob.inbox = Socket::open(server.addr, "/v1/outbox").await;
    assert!(matches!(out.ask(chat.message("four")).await, Ok(Answer::Accepted { .. })));
    bob.reconnect(server.addr).await.unwrap();
    let rows = bob.inbox.rows().await;
    assert!(matches!(&rows[0].body, RowBody::Message { payload, .. } if &payload[..] == b"four"));
    assert_eq!(rows.len(), 1);
    assert_eq!(bob.inbox.push().await, Push::CaughtUp);

    server.stop().await;
    assert_eq!(bob.inbox.closed().await, Some(Code::Unavailable));
    // And over a restart.
    let server = start(dir.path()).await;
    bob.reconnect(server.addr).await.unwrap();
    assert_eq!(bob.inbox.rows().await.len(), 1);
    let mut out = Socket::open(server.addr, "/v1/outbox").await;
    assert!(matches!(out.ask(chat.message("five")).await, Ok(Answer::Accepted { .. })));
    let rows = bob.inbox.rows().await;
    assert!(matches!(&rows[0].body, RowBody::Message { payload, .. } if &payload[..] == b"five"));

    // The account goes, and with it everything that leads to it.
    use ed25519_dalek::Signer as _;
    let signature = bob.key.sign(&delete_account_bytes(&bob.inbox.nonce, &bob.account.account)).to_bytes();
    assert_eq!(bob.inbox.ask(Request::DeleteAccount { signature }).await, Ok(Answer::Done));
    assert_eq!(bob.inbox.closed().await, Some(Code::NotADevice));
    assert_eq!(bob.reconnect(server.addr).await.unwrap_err().code, Code::NotADevice);
    let who = Who::Account(bob.account.clone());
    ann.reconnect(server.addr).await.unwrap();
    let gone = ann.inbox.ask(Request::Claim { who, room: chat.room }).await;
    assert_eq!(gone.unwrap_err().code, Code::NotReachable);
    let next = Secret::random(&mut fresh_rng());
    let Ok(Answer::Accepted { closed, .. }) = out.ask(chat.commit(vec![], &next, vec![])).await else {
        panic!("refused")
    };
    assert_eq!(closed, vec![bob_key], "the next committer is told whose mailbox is gone");
    let mut inbox = Socket::open(server.addr, "/v1/inbox").await;
    let (ticket, exists) = phone_ticket(server.addr, &mut inbox, "+4930222222").await;
    assert!(!exists);
    let (root, device) = (key(), DeviceId::random(&mut fresh_rng()));
    let account = AccountId::random(&mut fresh_rng());
    let signing_key = key().verifying_key().to_bytes();
    let action = parlour_proto::device_list::Action::Add { device, signing_key, hpke_key: [3; 32] };
    let link = parlour_proto::device_list::Draft::first(account, UnixMillis(1), action).sign(&root);
    let root_key = root.verifying_key().to_bytes();
    let again = inbox.ask(Request::Register { ticket, account, root_key, links: vec![link], device }).await;
    assert_eq!(again.unwrap_err().code, Code::HandleTaken, "quarantined");
    server.stop().await;
}

#[tokio::test]
async fn the_pages_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    assert_eq!(get(server.addr, "/health").await, "ok\n");
    assert!(get(server.addr, "/metrics").await.contains("parlour_connections 1"));
    assert!(get(server.addr, "/dev").await.contains("Not for people"));
    assert_eq!(get(server.addr, "/dev/outbox?format=json").await, "[]");
    assert_eq!(get(server.addr, "/nothing").await, "not found\n");
    server.stop().await;
}

#[tokio::test]
async fn a_database_is_not_started_with_other_keys() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).await.stop().await;
    std::fs::remove_file(dir.path().join("keys/server.key")).unwrap();
    let keys = open_keys(dir.path());
    let store = sqlite(dir.path(), &parlour_store::SqliteOptions::default());
    let refused = parlour_server::net::run(&config(dir.path()), store, keys, Box::new(Vec::new)).await;
    assert!(matches!(refused.err(), Some(parlour_server::net::StartError::WrongKeys)));
}
