//! Somebody who has a door token, and poses as a device of the account that gave it.

use super::World;
use parlour_e2ee::{AccountRef as Account, Change, ClaimedKeyPackage, DeviceKeys, Group, Identity, Policy};
use parlour_proto::device_list::DeviceList;
use parlour_proto::frames::*;
use parlour_proto::ids::{Digest, MemberKey, MessageId, RoomId, Secret};
use parlour_proto::wire::decode_client;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// The number of a socket that is nobody's.
const SOCKET: (usize, bool) = (900, true);

/// Asks the server by hand.
fn ask(w: &mut World, socket: (usize, bool), request: Request) -> Result<Answer, parlour_proto::problem::Problem> {
    w.server.request(socket, ClientFrame { id: 777_777, request });
    let found = w
        .server
        .out
        .iter()
        .position(|(to, frame)| *to == socket && matches!(frame, ServerFrame::Answer { id: 777_777, .. }));
    match w.server.out.remove(found.expect("an answer")) {
        Some((_, ServerFrame::Answer { result, .. })) => result,
        other => panic!("{other:?}"),
    }
}

/// The door token to `account` that a client used, as recorded.
pub fn door(w: &World, client: usize, account: &AccountRef) -> Secret {
    let frames = w.recorded.iter().flatten().filter(|((who, _), _)| *who == client).flat_map(|(_, frames)| frames);
    let mut doors = frames.filter_map(|frame| match decode_client(frame.clone().into()).ok()?.request {
        Request::DoorClaim { account: whose, door, .. } if whose == *account => Some(door),
        _ => None,
    });
    doors.next_back().expect("a claim")
}

/// Whether a door token opens.
pub fn opens(w: &mut World, account: &AccountRef, door: &Secret) -> bool {
    w.server.connect(SOCKET);
    let claim = Request::DoorClaim { account: account.clone(), door: door.clone(), room: RoomId([9; 16]) };
    let claimed = ask(w, SOCKET, claim).is_ok();
    w.server.disconnect(SOCKET);
    w.server.out.retain(|(to, _)| *to != SOCKET);
    claimed
}

/// Makes a room of "own devices" of `account`, with a device that is on nobody's list, and brings its devices in. `inbox`: a
/// client that is signed in, to make the room.
pub fn pose(w: &mut World, inbox: usize, account: &AccountRef, door: &Secret, room: RoomId) {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    w.server.connect(SOCKET);
    let claim = Request::DoorClaim { account: account.clone(), door: door.clone(), room };
    let Ok(Answer::Claimed(claimed)) = ask(w, SOCKET, claim) else { panic!("not claimed") };
    let keys = DeviceKeys::generate(&mut rng);
    let whose = Account { app: account.app.as_str().into(), id: account.account.0 };
    let me = Identity { account: &whose, device: [9; 16], keys: &keys };
    let policy = Policy::direct(whose.clone(), whose.clone(), &mut rng);
    let mut group = Group::create(&me, room.0, &policy, &mut rng).unwrap();
    let member_key = MemberKey(group.member_key_pair().public());
    let create = Request::CreateRoom { room, member_key, send_key: Digest(group.send_key_digest().unwrap()) };
    ask(w, (inbox, false), create).unwrap();
    let list = DeviceList::verify(account.account, &claimed.view.root_key, &claimed.view.links).unwrap();
    let packages = claimed.devices.iter().map(|device| {
        let key = list.device(&device.device).unwrap().signing_key;
        ClaimedKeyPackage::parse(&device.key_package, w.now.0).unwrap().verify(&key).unwrap()
    });
    let packages = packages.collect();
    let id = MessageId::random(&mut rng);
    let made = group.commit(&me, Change::add(packages), id.0, &mut rng).unwrap();
    let welcome = made.welcome.unwrap();
    let add = |device: &ClaimedDevice| EntryChange::Add {
        member_key: device.member_key,
        grant: device.grant.clone(),
        rights: Rights::ALL,
    };
    let mut commit = Commit {
        room,
        head: 0,
        commit_id: id,
        payload: made.commit.into(),
        next_send_key: Digest(made.next_send_key_digest),
        changes: claimed.devices.iter().map(add).collect(),
        voids: vec![],
        welcome: Some(Welcome {
            shared: welcome.shared.into(),
            parts: welcome.parts.into_iter().map(|part| (MemberKey(part.member_key), part.bytes.into())).collect(),
        }),
        member_key,
        signature: [0; 64],
    };
    let secret: [u8; 32] = group.member_key_pair().to_bytes()[..].try_into().unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&secret);
    commit.signature = ed25519_dalek::Signer::sign(&key, &commit_bytes(&commit)).to_bytes();
    ask(w, SOCKET, Request::Commit(Box::new(commit))).unwrap();
    w.server.disconnect(SOCKET);
    w.server.out.retain(|(to, _)| *to != SOCKET);
}

/// What a client sent that names this room, by request.
pub fn sent_to(w: &World, client: usize, room: RoomId) -> Vec<String> {
    let frames = w.recorded.iter().flatten().filter(|((who, _), _)| *who == client).flat_map(|(_, frames)| frames);
    let requests = frames.filter_map(|frame| match decode_client(frame.clone().into()).ok()?.request {
        Request::Send { room: to, .. } if to == room => Some("send".to_owned()),
        Request::Commit(commit) if commit.room == room => Some("commit".to_owned()),
        Request::Knock { room: to, .. } if to == room => Some("knock".to_owned()),
        Request::ClaimOwn { room: to, .. } if to == room => Some("claim".to_owned()),
        _ => None,
    });
    requests.collect()
}

/// Frames of all clients are recorded from now on.
pub fn record(w: &mut World) {
    w.recorded.get_or_insert_default();
}
