//! The engine as a state machine: frames of a server that says anything, and a store that somebody changed.

use bytes::Bytes;
use parlour_client::{
    Engine, Identities,
    api::{Effect, IdentityId, Input, Intent, IntentId, Proof, Role, Socket},
};
use parlour_proto::{
    frames::{Answer, AppId, Push, ServerFrame, SignIn},
    ids::UnixMillis,
    wire::{decode_server, encode_server},
};

use crate::{Plant, bug, records::NOW, rng, wire};

fn socket(role: Role) -> Socket {
    Socket { identity: IdentityId(0), role }
}

/// What the engine asks for is done at once, but that its frames go nowhere; its rows are kept.
fn drain(
    engine: &mut Identities,
    rows: &mut std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    asked: &mut Vec<(Socket, u64)>,
) {
    let mut rng = rng();
    for _ in 0..64 {
        let mut loads = Vec::new();
        while let Some(effect) = engine.poll() {
            match effect {
                Effect::Commit(changes) => {
                    for (key, value) in changes.0 {
                        match value {
                            Some(value) => drop(rows.insert(key, value)),
                            None => drop(rows.remove(&key)),
                        }
                    }
                }
                Effect::Load { token, prefix } => loads.push((token, prefix)),
                Effect::Open(socket) => loads.push((u64::MAX, vec![socket.role as u8])),
                Effect::Send(socket, frame) => asked.push((socket, frame.id)),
                _ => {}
            }
        }
        if loads.is_empty() {
            return;
        }
        for (token, prefix) in loads {
            let input = if token == u64::MAX {
                Input::Connected(socket(if prefix == [Role::Inbox as u8] { Role::Inbox } else { Role::Outbox }))
            } else {
                let found = rows.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
                Input::Loaded { token, rows: found.map(|(key, value)| (key.clone(), value.clone())).collect() }
            };
            engine.handle(input, UnixMillis(NOW), &mut rng);
        }
    }
}

/// Pieces of `LENGTH FRAME`; an answer is given the id of the newest request, one byte breaks the connection, what is no frame
/// lets time pass.
pub(crate) fn engine(input: &[u8], plant: Plant) {
    let mut engine = Identities::open([]).expect("an empty store");
    let (mut rows, mut asked, mut rng) = (Default::default(), Vec::new(), rng());
    let sign_up = Intent::SignUp {
        app: AppId::parse("bell").expect("an app"),
        handle: "+491701234567".into(),
        proof: Proof::Code("000000".into()),
    };
    engine.handle(Input::Intent(IntentId(1), Intent::Apps), UnixMillis(NOW), &mut rng);
    engine.handle(Input::Intent(IntentId(2), sign_up), UnixMillis(NOW), &mut rng);
    drain(&mut engine, &mut rows, &mut asked);
    // Nothing is asked before the server has said hello.
    let hello = wire::server_seeds().into_iter().filter_map(|frame| decode_server(frame.into()).ok());
    for frame in hello.filter(|frame| matches!(frame, ServerFrame::Push(Push::Hello { .. }))) {
        engine.handle(Input::Frame(socket(Role::Inbox), frame), UnixMillis(NOW), &mut rng);
    }
    drain(&mut engine, &mut rows, &mut asked);
    let (mut rest, mut now) = (input, NOW);
    for _ in 0..16 {
        let Some(([high, low], after)) = rest.split_first_chunk() else { break };
        let len = usize::from(u16::from_be_bytes([*high & 0x1f, *low])).min(after.len());
        let (frame, after) = after.split_at(len);
        rest = after;
        let role = if high & 0x80 == 0 { Role::Inbox } else { Role::Outbox };
        now += 1 << (high >> 5 & 3);
        let input = match decode_server(Bytes::copy_from_slice(frame)) {
            Ok(ServerFrame::Answer { result, .. }) => {
                let (socket, id) = asked.pop().unwrap_or((socket(role), 0));
                // An answer to what was asked because of an answer.
                bug(plant, id >= 3);
                Input::Frame(socket, ServerFrame::Answer { id, result })
            }
            Ok(frame) => Input::Frame(socket(role), frame),
            Err(_) if frame.len() == 1 => Input::Disconnected(socket(role)),
            Err(_) => Input::Tick,
        };
        engine.handle(input, UnixMillis(now), &mut rng);
        drain(&mut engine, &mut rows, &mut asked);
    }
    let _ = Identities::open(rows.clone()).expect("what the engine stored can be read");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let piece = |frame: &[u8]| [&(frame.len() as u16).to_be_bytes()[..], frame].concat();
    let frames: Vec<Vec<u8>> = wire::server_seeds().into_iter().filter(|frame| frame.len() < 0x1fff).collect();
    debug_assert!(frames.iter().all(|frame| decode_server(frame.clone().into()).map(|f| encode_server(&f)).is_ok()));
    let each = frames.iter().map(|frame| piece(frame));
    let pairs = frames.windows(3).map(|three| three.iter().flat_map(|frame| piece(frame)).collect());
    // A device that signs up, as far as the answers of the snapshots carry it.
    let apps = frames.iter().find_map(|frame| bell(frame)).expect("a snapshot of the apps");
    let rest = [2, 4, 5, 6, 7, 21].iter().filter_map(|at| frames.get(*at));
    let walk = [&apps].into_iter().chain(rest).flat_map(|frame| piece(frame)).collect();
    each.chain(pairs).chain([walk]).collect()
}

/// The apps of a server on which phones sign up.
fn bell(frame: &[u8]) -> Option<Vec<u8>> {
    let ServerFrame::Answer { id, result: Ok(Answer::Apps(mut apps)) } = decode_server(frame.to_vec().into()).ok()?
    else {
        return None;
    };
    let app = apps.first_mut()?;
    (app.app, app.sign_in) = (AppId::parse("bell").ok()?, SignIn::Phone);
    Some(encode_server(&ServerFrame::Answer { id, result: Ok(Answer::Apps(apps)) }).to_vec())
}

/// Rows as `KEYLENGTH KEY LENGTH VALUE`, as somebody with the disk's key may leave them.
pub(crate) fn home(input: &[u8], plant: Plant) {
    let (mut rows, mut rest) = (std::collections::BTreeMap::new(), input);
    while let Some((key, after)) = piece(rest) {
        let Some((value, after)) = piece(after) else { break };
        rows.insert(key.to_vec(), value.to_vec());
        rest = after;
    }
    let _ = Engine::open(rows.clone());
    let Ok(mut engine) = Identities::open(rows.clone()) else { return };
    let (mut asked, mut rng) = (Vec::new(), rng());
    for (at, intent) in [Intent::WhoAmI, Intent::Conversations, Intent::Sync].into_iter().enumerate() {
        engine.handle(Input::Intent(IntentId(at as u64), intent), UnixMillis(NOW), &mut rng);
        drain(&mut engine, &mut rows, &mut asked);
    }
    bug(plant, rows.len() > 2);
}

fn piece(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

pub(crate) fn home_seeds() -> Vec<Vec<u8>> {
    let mut engine = Identities::open([]).expect("an empty store");
    let (mut rows, mut asked, mut rng) = (std::collections::BTreeMap::new(), Vec::new(), rng());
    for (at, intent) in [Intent::Apps, Intent::Sync].into_iter().enumerate() {
        engine.handle(Input::Intent(IntentId(at as u64), intent), UnixMillis(NOW), &mut rng);
        drain(&mut engine, &mut rows, &mut asked);
    }
    let pair = |(key, value): (&Vec<u8>, &Vec<u8>)| {
        (key.len() < 256 && value.len() < 256)
            .then(|| [&[key.len() as u8], &key[..], &[value.len() as u8], &value[..]].concat())
    };
    let all: Vec<Vec<u8>> = rows.iter().filter_map(pair).collect();
    let mut seeds: Vec<Vec<u8>> = (0..=40u8).map(|kind| vec![1, kind, 0]).collect();
    seeds.push(all.concat());
    seeds.extend(all);
    seeds
}
