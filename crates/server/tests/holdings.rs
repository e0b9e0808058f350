//! "What we hold about you" is complete: what every account is told, together, is what the raw store has, row by row, with the same
//! ends; but for what belongs to rooms and to the deployment, of which it says that it is there.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use bytes::Bytes;
use ed25519_dalek::Signer as _;
use kit::{full::*, *};
use parlour_proto::{frames::*, ids::*, problem::Code};
use parlour_server::{fresh_rng, retention::Kind};

/// What is of rooms, of the deployment, or of nobody that can be told by the store.
const ELSEWHERE: [Kind; 11] = [
    Kind::Room,
    Kind::RoomSeq,
    Kind::Log,
    Kind::CommitId,
    Kind::GrantUsed,
    Kind::AskedUsed,
    Kind::Job,
    Kind::Closed,
    Kind::KeyCheck,
    Kind::Incarnation,
    Kind::Quarantine,
];

/// All pages.
async fn holdings(person: &mut Person) -> (Holdings, usize) {
    let (mut all, mut pages, mut after) = (Holdings::default(), 0, None);
    loop {
        let Ok(Answer::Holdings(page)) = person.inbox.ask(Request::Holdings { after }).await else { panic!() };
        pages += 1;
        for row in &page.rows {
            assert!(page.kinds.iter().any(|kind| kind.number == row.kind && !kind.name.is_empty()));
        }
        all.rows.extend(page.rows);
        all.unlisted = page.unlisted;
        after = page.next;
        if after.is_none() {
            return (all, pages);
        }
    }
}

fn enter(ledger: &mut Ledger, rows: &[HeldRow]) {
    for row in rows {
        let end = match row.ends {
            Ends::WithAccount => None,
            Ends::At(at) => Some(at.seconds()),
        };
        ledger.entry(row.kind).or_default().push(end);
    }
}

#[tokio::test]
async fn what_accounts_are_told_is_what_the_store_has() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ada = Person::sign_up(server.addr, "+4930000041").await;
    let mut ben = Person::sign_up(server.addr, "+4930000042").await;
    let mut cleo = with_password(server.addr, "cleo").await;
    furnish(&mut ada, server.addr, &cleo.account).await;
    let mut second = ada.add_device(server.addr).await;
    second.publish(Pool::Door, &[MemberKey([7; 32])]).await;
    // Ben writes to two strangers; one of them is nobody.
    for handle in ["+4930000041", "+4930000049"] {
        let who = Who::Address { app: AppId::parse("bell").unwrap(), handle: handle.into() };
        drop(ben.inbox.ask(Request::Claim { who, room: RoomId::random(&mut fresh_rng()) }).await);
    }
    let mut told = Ledger::new();
    let mut pages = Vec::new();
    for person in [&mut ada, &mut ben, &mut cleo] {
        let (held, count) = holdings(person).await;
        enter(&mut told, &held.rows);
        pages.push(count);
        let words: Vec<&str> = held.unlisted.iter().map(|unlisted| unlisted.name.as_str()).collect();
        assert!(words[0].starts_with("entries in rooms"), "{words:?}");
    }
    assert!(pages[0] >= 2 && pages[1] == 1, "{pages:?}");
    // Another device of the account is told the same.
    let (one, other) = (holdings(&mut ada).await.0, holdings(&mut second).await.0);
    assert_eq!(one.rows.len(), other.rows.len());
    let which = |kind: u32| -> Vec<&str> {
        one.rows.iter().filter(|row| row.kind == kind).map(|row| row.which.as_str()).collect()
    };
    assert_eq!(which(1), ["+4930000041 on bell, with its root key"]);
    assert_eq!(which(4), ["from bell: ask"]);
    assert_eq!(which(2), ["number 1", "number 2"]);
    assert_eq!(which(HELD_WAITING).iter().filter(|which| which.ends_with(": message")).count(), 500);

    let mut stranger = Socket::open(server.addr, "/v1/inbox").await;
    let refused = stranger.ask(Request::Holdings { after: None }).await.unwrap_err();
    assert_eq!(refused.code, Code::OutOfPlace);
    let cursor = Some(Bytes::from_static(b"no"));
    assert_eq!(ada.inbox.ask(Request::Holdings { after: cursor }).await.unwrap_err().code, Code::Malformed);

    server.stop().await;
    let mut raw = raw(dir.path());
    for kind in ELSEWHERE {
        raw.remove(&u32::from(kind.row().0));
    }
    told.values_mut().for_each(|ends| ends.sort_unstable());
    let counts = |ledger: &Ledger| ledger.iter().map(|(kind, ends)| (*kind, ends.len())).collect::<Vec<_>>();
    assert_eq!(counts(&told), counts(&raw));
    assert_eq!(told, raw, "the same number of rows, with other ends");
    // The test is worth something: nearly every kind that an account can have was there.
    let missing: Vec<&Kind> = Kind::ALL
        .iter()
        .filter(|kind| !ELSEWHERE.contains(kind) && !raw.contains_key(&u32::from(kind.row().0)))
        .collect();
    assert_eq!(missing, [&Kind::Deletion], "an account that is being deleted can't ask");
}

#[tokio::test]
async fn a_deleted_account_is_told_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ada = Person::sign_up(server.addr, "+4930000043").await;
    let mut other = ada.add_device(server.addr).await;
    let signature = ada.key.sign(&delete_account_bytes(&ada.inbox.nonce, &ada.account.account)).to_bytes();
    ada.inbox.ask(Request::DeleteAccount { signature }).await.unwrap();
    other.inbox.send(Request::Holdings { after: None }).await;
    assert_eq!(other.inbox.closed().await, Some(Code::NotADevice));
    server.stop().await;
}
