//! Devices that are added and revoked by a link, and what their account can do for them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use std::net::SocketAddr;

use ed25519_dalek::Signer as _;
use kit::*;
use parlour_proto::{
    device_list::{Action, Signer},
    frames::*,
    ids::*,
    problem::Code,
};
use parlour_server::{fresh_rng, net};

const ROOM: RoomId = RoomId([1; 16]);

fn member_key(n: u8) -> MemberKey {
    MemberKey([n; 32])
}

/// The next push that is neither rows nor the end of them.
async fn told(socket: &mut Socket) -> Push {
    loop {
        match socket.push().await {
            Push::Rows(_) | Push::CaughtUp => {}
            push => return push,
        }
    }
}

async fn append(person: &mut Person, action: Action) -> Result<Answer, Code> {
    let link = person.link(action).await;
    person.inbox.ask(Request::AppendDeviceList { link }).await.map_err(|problem| problem.code)
}

async fn claim_own(person: &mut Person, device: DeviceId) -> Result<Claimed, Code> {
    match person.inbox.ask(Request::ClaimOwn { device, room: ROOM }).await {
        Ok(Answer::Claimed(claimed)) => Ok(claimed),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(problem.code),
    }
}

async fn door_claim(addr: SocketAddr, account: &AccountRef, door: &Secret) -> Result<Vec<DeviceId>, Code> {
    let mut outbox = Socket::open(addr, "/v1/outbox").await;
    let request = Request::DoorClaim { account: account.clone(), door: door.clone(), room: ROOM };
    match outbox.ask(request).await {
        Ok(Answer::Claimed(claimed)) => Ok(claimed.devices.iter().map(|device| device.device).collect()),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(problem.code),
    }
}

#[tokio::test]
async fn a_newcomer_that_signs_a_removal_all_the_same_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut one = Person::sign_up(server.addr, "+4930000051").await;
    let mut thief = one.add_device(server.addr).await;
    let mut accomplice = thief.add_device(server.addr).await;
    let owner = one.device;
    for newcomer in [&mut thief, &mut accomplice] {
        assert_eq!(append(newcomer, Action::Remove { device: owner }).await, Err(Code::SlowDown));
    }
    assert!(append(&mut one, Action::Remove { device: thief.device }).await.is_ok());
    assert!(append(&mut one, Action::Remove { device: accomplice.device }).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_a_link_adds_signs_in_and_the_others_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut one = Person::sign_up(server.addr, "+4930000001").await;
    let mut two = one.add_device(server.addr).await;
    assert_eq!(two.list().await.devices().len(), 2);
    let signed_in = two.reconnect(server.addr).await.unwrap();
    assert_eq!((signed_in.account.clone(), signed_in.list), (one.account.clone(), 2));
    assert_eq!((signed_in.door, signed_in.stranger, signed_in.last_resort_used), (0, 0, true));
    assert_eq!(two.inbox.push().await, Push::CaughtUp);

    // The new device may add another one; whoever did it is not told what it knows.
    let three = two.add_device(server.addr).await;
    assert_eq!(told(&mut one.inbox).await, Push::DeviceList { length: 3 });
    assert!(two.inbox.ask(Request::Apps).await.is_ok());
    assert!(!two.inbox.pushes.iter().any(|push| matches!(push, Push::DeviceList { .. })));

    // By a ticket and the root key, too.
    let mut inbox = Socket::open(server.addr, "/v1/inbox").await;
    let (ticket, exists) = phone_ticket(server.addr, &mut inbox, "+4930000001").await;
    assert!(exists);
    let (device, fourth) = (DeviceId::random(&mut fresh_rng()), key());
    let link = one.list().await.draft(net::now(), adds(device, &fourth), Signer::Root).sign(&one.root);
    let answer = inbox.ask(Request::AddDevice { ticket, link, device }).await;
    assert!(matches!(answer, Ok(Answer::Registered(SignedIn { list: 4, .. }))), "{answer:?}");
    assert_eq!(told(&mut one.inbox).await, Push::DeviceList { length: 4 });
    assert_eq!(told(&mut two.inbox).await, Push::DeviceList { length: 4 });

    assert_eq!(append(&mut one, Action::Remove { device: three.device }).await, Ok(Answer::Done));
    assert_eq!(told(&mut two.inbox).await, Push::DeviceList { length: 5 });
    assert_eq!(told(&mut inbox).await, Push::DeviceList { length: 5 });
    server.stop().await;
}

#[tokio::test]
async fn a_link_that_does_not_follow_adds_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut one = Person::sign_up(server.addr, "+4930000001").await;
    let (device, own) = (DeviceId::random(&mut fresh_rng()), key());
    let list = one.list().await;
    let draft = |signer| list.draft(net::now(), adds(device, &own), signer);
    let by = Signer::Device(one.device);
    let mut good = draft(by).sign(&one.key).to_vec();
    let end = good.len() - 1;
    good[end] ^= 1;
    let forged = [
        draft(by).sign(&own),
        draft(Signer::Device(device)).sign(&own),
        draft(Signer::Root).sign(&one.key),
        good.into(),
    ];
    for link in forged {
        let refused = one.inbox.ask(Request::AppendDeviceList { link }).await;
        assert_eq!(refused.unwrap_err().code, Code::BadDeviceList);
    }
    let link = draft(by).sign(&one.key);
    let twice = Request::AppendDeviceList { link };
    assert_eq!(one.inbox.ask(twice.clone()).await, Ok(Answer::Done));
    assert_eq!(one.inbox.ask(twice).await.unwrap_err().code, Code::BadDeviceList);

    // The key that is on the list signs in, and no other.
    let mut inbox = Socket::open(server.addr, "/v1/inbox").await;
    let sign = |key: &ed25519_dalek::SigningKey, inbox: &Socket| Request::Authenticate {
        device,
        signature: key.sign(&sign_in_bytes(&inbox.nonce, &device)).to_bytes(),
    };
    let wrong = sign(&one.key, &inbox);
    assert_eq!(inbox.ask(wrong).await.unwrap_err().code, Code::NotAuthenticated);
    let right = sign(&own, &inbox);
    assert!(matches!(inbox.ask(right).await, Ok(Answer::SignedIn(SignedIn { list: 2, .. }))));
    server.stop().await;
}

#[tokio::test]
async fn an_own_device_is_claimed_alone_and_by_an_open_grant() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut one = Person::sign_up(server.addr, "+4930000001").await;
    let mut two = one.add_device(server.addr).await;
    let three = one.add_device(server.addr).await;
    assert_eq!(claim_own(&mut one, two.device).await.err(), Some(Code::NotReachable), "it has no packages yet");
    two.publish(Pool::Door, &[member_key(1)]).await;
    two.publish(Pool::LastResort, &[member_key(2)]).await;
    for (key, last_resort) in [(1, false), (2, true), (2, true)] {
        let claimed = claim_own(&mut one, two.device).await.unwrap();
        assert_eq!((&claimed.view.account, claimed.view.links.len()), (&one.account, 3));
        let [device] = &claimed.devices[..] else { panic!("{claimed:?}") };
        assert_eq!((device.device, device.member_key, device.last_resort), (two.device, member_key(key), last_resort));
    }
    for nobody in [one.device, three.device, DeviceId([9; 16])] {
        assert_eq!(claim_own(&mut one, nobody).await.err(), Some(Code::NotReachable));
    }
    let mut eve = Person::sign_up(server.addr, "+4930000002").await;
    assert_eq!(claim_own(&mut eve, two.device).await.err(), Some(Code::NotReachable), "not of this account");
    let own = Request::Claim { who: Who::Account(one.account.clone()), room: ROOM };
    assert_eq!(one.inbox.ask(own).await.unwrap_err().code, Code::NotReachable);
    for request in [Request::OwnAccount, Request::ClaimOwn { device: two.device, room: ROOM }] {
        let mut stranger = Socket::open(server.addr, "/v1/inbox").await;
        assert_eq!(stranger.ask(request).await.unwrap_err().code, Code::OutOfPlace);
    }

    // The grant makes an open entry: what is said in the room comes to the device at once.
    let mut chat = one.create_room().await;
    two.publish(Pool::Door, &[member_key(3)]).await;
    let request = Request::ClaimOwn { device: two.device, room: chat.room };
    let Ok(Answer::Claimed(claimed)) = one.inbox.ask(request).await else { panic!("not claimed") };
    let ClaimedDevice { member_key, grant, .. } = claimed.devices[0].clone();
    let next = Secret::random(&mut fresh_rng());
    let add = vec![EntryChange::Add { member_key, grant, rights: Rights::ALL }];
    let commit = chat.commit(add, &next, vec![(member_key, "part".into())]);
    let mut outbox = Socket::open(server.addr, "/v1/outbox").await;
    assert!(matches!(outbox.ask(commit).await, Ok(Answer::Accepted { .. })));
    chat.send_key = next;
    for text in ["one", "two"] {
        assert!(outbox.ask(chat.message(text)).await.is_ok());
    }
    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        bodies.extend(two.inbox.rows().await.into_iter().map(|row| row.body));
    }
    assert!(matches!(bodies[0], RowBody::Welcome { asked: false, .. }), "{bodies:?}");
    assert!(bodies[1..].iter().all(|body| matches!(body, RowBody::Message { .. })), "{bodies:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_device_gets_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut one = Person::sign_up(server.addr, "+4930000001").await;
    let mut two = one.add_device(server.addr).await;
    for (person, n) in [(&mut one, 10), (&mut two, 20)] {
        person.publish(Pool::Door, &[member_key(n), member_key(n + 1)]).await;
        person.publish(Pool::LastResort, &[member_key(n + 2)]).await;
    }
    let door = Secret::random(&mut fresh_rng());
    assert_eq!(one.inbox.ask(Request::PutDoor { digest: door.digest() }).await, Ok(Answer::Done));
    assert_eq!(door_claim(server.addr, &one.account, &door).await.unwrap().len(), 2);
    let (theirs, ours) = (two.create_room().await, one.create_room().await);
    let request = Request::ClaimOwn { device: two.device, room: ours.room };
    let Ok(Answer::Claimed(claimed)) = one.inbox.ask(request).await else { panic!("not claimed") };
    let ClaimedDevice { member_key, grant, .. } = claimed.devices[0].clone();

    assert_eq!(append(&mut one, Action::Remove { device: two.device }).await, Ok(Answer::Done));
    assert_eq!(two.inbox.closed().await, Some(Code::NotADevice));
    assert_eq!(two.reconnect(server.addr).await.unwrap_err().code, Code::NotADevice);
    let last = Action::Remove { device: one.device };
    assert_eq!(append(&mut one, last).await, Err(Code::BadDeviceList));
    assert!(one.reconnect(server.addr).await.is_ok());

    // Its key packages are gone, by all ways of claiming.
    assert_eq!(claim_own(&mut one, two.device).await.err(), Some(Code::NotReachable));
    assert_eq!(door_claim(server.addr, &one.account, &door).await, Ok(vec![one.device]));
    let mut eve = Person::sign_up(server.addr, "+4930000002").await;
    let stranger = Request::Claim { who: Who::Account(one.account.clone()), room: ROOM };
    let Ok(Answer::Claimed(claimed)) = eve.inbox.ask(stranger).await else { panic!("not claimed") };
    assert_eq!(claimed.devices.iter().map(|device| device.device).collect::<Vec<_>>(), vec![one.device]);

    // It signs no link, and comes back by none: neither by its id nor by a ticket.
    let list = one.list().await;
    let (third, own) = (DeviceId::random(&mut fresh_rng()), key());
    let add = adds(third, &own);
    let link = list.draft(net::now(), add, Signer::Device(two.device)).sign(&two.key);
    let refused = one.inbox.ask(Request::AppendDeviceList { link: link.clone() }).await;
    assert_eq!(refused.unwrap_err().code, Code::BadDeviceList);
    let mut inbox = Socket::open(server.addr, "/v1/inbox").await;
    let (ticket, _) = phone_ticket(server.addr, &mut inbox, "+4930000001").await;
    let refused = inbox.ask(Request::AddDevice { ticket, link, device: third }).await;
    assert_eq!(refused.unwrap_err().code, Code::BadDeviceList);
    let again = adds(two.device, &two.key);
    assert_eq!(append(&mut one, again).await, Err(Code::BadDeviceList));

    // Its entry in a room does nothing any more.
    let mut outbox = Socket::open(server.addr, "/v1/outbox").await;
    let next = Secret::random(&mut fresh_rng());
    let commit = theirs.commit(vec![], &next, vec![]);
    assert_eq!(outbox.ask(commit).await.unwrap_err().code, Code::NoSuchRoom);
    let proof = theirs.proof("log", &0u64.to_be_bytes());
    let request = Request::FetchLog { room: theirs.room, after: 0, proof };
    assert_eq!(outbox.ask(request).await.unwrap_err().code, Code::NoSuchRoom);
    // A grant that was claimed before makes an entry that nothing reaches; whoever used it is told.
    let add = vec![EntryChange::Add { member_key, grant, rights: Rights::ALL }];
    let answer = outbox.ask(ours.commit(add, &next, vec![(member_key, "part".into())])).await;
    assert!(matches!(&answer, Ok(Answer::Accepted { closed, .. }) if *closed == vec![member_key]), "{answer:?}");
    server.stop().await;
}
