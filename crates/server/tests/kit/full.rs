//! People who have something of everything, and all that the files have of it.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use parlour_proto::{device_list::Draft, frames::*, ids::*, opaque::ClientRegistration, problem::Code};
use parlour_server::{fresh_rng, net};
use rusqlite::Connection;

use super::{Chat, Person, Socket, adds, key};

/// Rows by kind: the ends of each, in seconds, sorted; `None` for those that end with the account.
pub(crate) type Ledger = BTreeMap<u32, Vec<Option<u64>>>;

/// Somebody with a password.
pub(crate) async fn with_password(addr: std::net::SocketAddr, handle: &str) -> Person {
    let mut inbox = Socket::open(addr, "/v1/inbox").await;
    let (app, rng) = (AppId::parse("den").unwrap(), &mut fresh_rng());
    let (state, message) = ClientRegistration::start("correct horse", rng).unwrap();
    let request = Request::OpaqueRegister { app, handle: handle.into(), message };
    let Ok(Answer::Opaque { message }) = inbox.ask(request).await else { panic!() };
    let message = state.finish(&message, rng).unwrap();
    let Ok(Answer::Ticket { ticket, .. }) = inbox.ask(Request::OpaqueRegisterFinish { message }).await else {
        panic!()
    };
    let (root, key) = (key(), key());
    let (account, device) = (AccountId::random(rng), DeviceId::random(rng));
    let link = Draft::first(account, net::now(), adds(device, &key)).sign(&root);
    let root_key = root.verifying_key().to_bytes();
    let request = Request::Register { ticket, account, root_key, links: vec![link], device };
    let Ok(Answer::Registered(signed_in)) = inbox.ask(request).await else { panic!() };
    Person { account: signed_in.account, device, key, root, inbox }
}

/// All rows, as the files have them.
pub(crate) fn raw(data: &Path) -> Ledger {
    let db = Connection::open(data.join("store.db")).unwrap();
    let mut ledger = Ledger::new();
    for (sql, scale) in [("SELECT kind, expires FROM row", 1), ("SELECT 256, expires FROM entry", 86_400)] {
        let mut statement = db.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (kind, end): (u32, Option<i64>) = (row.get(0).unwrap(), row.get(1).unwrap());
            ledger.entry(kind).or_default().push(end.map(|end| end.cast_unsigned() * scale));
        }
    }
    ledger.values_mut().for_each(|ends| ends.sort_unstable());
    ledger
}

/// Asks until the server is not too busy for it.
pub(crate) async fn done(person: &mut Person, request: Request) {
    loop {
        match person.inbox.ask(request.clone()).await {
            Ok(_) => return,
            Err(problem) => assert_eq!(problem.code, Code::SlowDown, "{problem:?}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Gives a person something of everything; a room of its own with what waits in it, and an outbox.
pub(crate) async fn furnish(person: &mut Person, addr: std::net::SocketAddr, other: &AccountRef) -> (Chat, Socket) {
    let key = |n: u8| MemberKey([n; 32]);
    person.publish(Pool::Door, &[key(1), key(2)]).await;
    person.publish(Pool::Stranger, &[key(3), key(4), key(5)]).await;
    person.publish(Pool::LastResort, &[key(6)]).await;
    for (n, ttl_s) in [(1, 3_600), (2, 86_400), (3, 400 * 86_400)] {
        let digest = Digest([n; 32]);
        let digest = Digest::of(&[&digest.0[..], &person.account.account.0].concat());
        done(person, Request::CreateInvite { digest, uses: 2, ttl_s, everywhere: n == 1 }).await;
        done(person, Request::PutDoor { digest }).await;
    }
    done(person, Request::SetReach { from: person.account.app.clone(), rule: ReachRule::Ask }).await;
    done(person, Request::Block { account: other.clone() }).await;
    for n in 0..150u8 {
        done(person, Request::PutBackup { name: [n; 16], chunk: Bytes::from(vec![n; 100]) }).await;
    }
    let chat = person.create_room().await;
    let mut outbox = Socket::open(addr, "/v1/outbox").await;
    for n in 0..500 {
        outbox.ask(chat.message(&format!("waiting {n}"))).await.unwrap();
    }
    let next = Secret::random(&mut fresh_rng());
    outbox.ask(chat.commit(vec![], &next, vec![])).await.unwrap();
    (chat, outbox)
}
