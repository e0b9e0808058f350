//! Door tokens, and who must not come in by them: contacts as own devices, devices that are gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::ids::RoomId;
use support::*;

#[test]
fn a_contact_cannot_pose_as_an_own_device() {
    let mut w = World::new(10);
    impostor::record(&mut w);
    let (ada, mallory) = (w.user(0), w.user(1));
    w.befriend(mallory, ada, &bell(0));
    let tablet = link(&mut w, ada);
    let members = vec![Target::Address(bell(0))];
    w.ask(mallory, Intent::CreateGroup { title: "Trap".into(), members }).unwrap();
    w.run_for(5_000);
    let account = w.account(ada);
    let door = impostor::door(&w, mallory, &account);
    // The lowest id: if it counted, it would be the room that own devices use.
    let room = RoomId([0; 16]);
    impostor::pose(&mut w, mallory, &account, &door, room);
    w.run_for(10_000);
    w.ask(ada, Intent::SetName { name: "Ada".into() }).unwrap();
    w.ask(tablet, Intent::NameDevice { name: "Slate".into() }).unwrap();
    w.run_for(10_000);
    for device in [ada, tablet] {
        assert!(impostor::sent_to(&w, device, room).is_empty(), "{:?}", impostor::sent_to(&w, device, room));
        assert_eq!(w.conversations(device).len(), 2);
    }
    let Ok(Reply::Identities(me)) = w.ask(tablet, Intent::WhoAmI) else { panic!() };
    assert_eq!(me[0].name, "Ada");
    assert!(devices(&mut w, ada).iter().any(|device| device.name == "Slate"));
}

#[test]
fn what_a_revoked_device_knew_opens_no_door() {
    let mut w = World::new(11);
    impostor::record(&mut w);
    let (ada, ben) = (w.user(0), w.user(1));
    w.befriend(ada, ben, &bell(1));
    let tablet = link(&mut w, ada);
    let members = vec![Target::Address(bell(1))];
    w.ask(tablet, Intent::CreateGroup { title: "Ours".into(), members }).unwrap();
    w.run_for(5_000);
    let ben_s = w.account(ben);
    let door = impostor::door(&w, tablet, &ben_s);
    assert!(impostor::opens(&mut w, &ben_s, &door));
    revoke(&mut w, ada, tablet);
    w.run_for(10_000);
    assert!(!impostor::opens(&mut w, &ben_s, &door), "Ben has heard of it and changed the lock");
    // Ada has got the new key.
    let members = vec![Target::Address(bell(1))];
    w.ask(ada, Intent::CreateGroup { title: "Without it".into(), members }).unwrap();
    w.run_for(5_000);
    assert!(w.conversations(ben).iter().any(|c| c.title == "Without it" && c.state == ConversationState::Open));
}

#[test]
fn who_revokes_a_device_while_a_request_waits_can_accept_it() {
    let (mut w, users, _) = group(12, 3);
    impostor::record(&mut w);
    let (ada, ben) = (users[1], users[2]);
    let tablet = link(&mut w, ben);
    w.send(ada, &bell(2), "may I?").unwrap();
    w.run_for(5_000);
    assert_eq!(w.requests(tablet).len(), 1);
    let ada_too = link(&mut w, ada);
    for (by, gone) in [(ben, tablet), (ada, ada_too)] {
        revoke(&mut w, by, gone);
        // They hear of it in the group. What she gave with the request is all that he has of her.
        w.run_for(10_000);
    }
    let request = w.requests(ben).pop().unwrap().id;
    w.ask(ben, Intent::Accept { request }).unwrap();
    w.run_for(10_000);
    assert_eq!(w.texts(ben, request), ["may I?"]);
    let at_ben = w.conversations(ben).into_iter().find(|c| c.id == request).unwrap();
    assert_eq!(at_ben.state, ConversationState::Open);
    // The tablet knew it too: it is worth nothing after the answer.
    let ada_s = w.account(ada);
    let door = impostor::door(&w, ben, &ada_s);
    assert!(!impostor::opens(&mut w, &ada_s, &door));
}
