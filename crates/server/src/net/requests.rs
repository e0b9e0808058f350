//! What each request does: the table between frames and the domain.

use std::sync::Arc;

use bytes::Bytes;
use parlour_proto::{
    frames::{Answer, Request, SignedIn},
    ids::UnixMillis,
    problem::{Code, Problem},
};
use parlour_store::Store;

use super::{
    feed::Feed,
    server::{Server, Source},
};
use crate::{
    accounts::{LoginState, NewAccount, RegisterState, Session},
    backups,
    error::{Refused, refuse},
    incarnation, keypackages,
    reach::{Reach, Terms},
    relays::Seat,
    retention::Kind,
    rooms::{Send, SendPending, Whisper, Whispered},
};

/// A password exchange between its two messages.
#[derive(Debug, Default)]
pub(super) enum Exchange {
    /// None.
    #[default]
    None,
    /// Signing up.
    Register(Box<RegisterState>),
    /// Signing in.
    Login(LoginState),
}

/// What came of a request.
pub(super) enum Done<S: Store> {
    /// An answer.
    Answer(Answer),
    /// An answer when a message is durable.
    Pending(SendPending),
    /// An answer, and the exchange goes on.
    Exchange(Answer, Exchange),
    /// The socket is signed in, and its mailbox connected.
    SignedIn(Box<(Arc<Session>, Feed<S>)>, Answer),
    /// An answer, and the socket closes: the account is gone.
    Gone(Answer),
}

type Outcome<S> = Result<Done<S>, Refused>;

fn done<S: Store>() -> Outcome<S> {
    Ok(Done::Answer(Answer::Done))
}

fn out_of_place<S: Store>() -> Outcome<S> {
    refuse(Code::OutOfPlace, "not on this socket, or not in its present state")
}

/// A request on the anonymous socket.
pub(super) async fn outbox<S: Store>(server: Arc<Server<S>>, request: Request) -> Outcome<S> {
    let now = server.ambient.now();
    let rooms = &server.rooms;
    match request {
        Request::Apps => Ok(Done::Answer(Answer::Apps(server.apps.infos()))),
        Request::Send { room, message_id, send_key, tag, payload } => {
            rooms.send(Send { room, message_id, send_key, tag, payload, by: None }, now).await.map(Done::Pending)
        }
        Request::SignedSend { room, message_id, send_key, tag, payload, proof } => {
            let send = Send { room, message_id, send_key, tag, payload, by: Some(*proof) };
            rooms.send(send, now).await.map(Done::Pending)
        }
        Request::Commit(commit) => {
            let answer = rooms.commit(&commit, now, &mut server.ambient.rng()).await?;
            server.metrics.commits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(Done::Answer(answer))
        }
        Request::DoorClaim { account, door, room } => {
            let claimed = server.claims.door_claim(&account, &door, room, now, &mut server.ambient.rng()).await?;
            Ok(Done::Answer(Answer::Claimed(claimed)))
        }
        Request::OpenEntry { room, proof } => rooms.open_entry(room, &proof, now).await.and_then(|()| done()),
        Request::LeaveEntry { room, proof } => rooms.leave_entry(room, &proof, now).await.and_then(|()| done()),
        Request::FetchLog { room, after, proof } => {
            Ok(Done::Answer(Answer::Log(rooms.fetch_log(room, after, &proof, now).await?)))
        }
        Request::Knock { room, knock_id, payload, proof } => {
            rooms.knock(room, knock_id, payload, &proof, now).await.map(Done::Pending)
        }
        Request::SetSuccessor { room, successor, proof } => {
            rooms.set_successor(room, successor, &proof, now).await.and_then(|()| done())
        }
        Request::Whisper { room, send_key, payload } => {
            let whispered = rooms.whisper(&Whisper { room, send_key, payload }, now).await?;
            if whispered == Whispered::HandedOn {
                server.metrics.whispers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            done()
        }
        _ => out_of_place(),
    }
}

/// A request on an inbox that is not signed in.
pub(super) async fn stranger<S: Store>(
    server: Arc<Server<S>>,
    request: Request,
    exchange: Exchange,
    nonce: [u8; 32],
    source: Source,
) -> Outcome<S> {
    let (now, accounts) = (server.ambient.now(), &server.accounts);
    let rng = &mut server.ambient.rng();
    match (request, exchange) {
        (Request::Apps, _) => Ok(Done::Answer(Answer::Apps(server.apps.infos()))),
        (Request::RequestCode { app, handle }, _) => {
            accounts.request_code(&app, &handle, source, now, rng).and_then(|()| done())
        }
        (Request::ProveCode { app, handle, code }, _) => {
            accounts.prove_code(&app, &handle, &code, now, rng).await.map(Done::Answer)
        }
        (Request::OpaqueRegister { app, handle, message }, _) => {
            let (state, message) = accounts.opaque_register(&app, &handle, &message, source, now).await?;
            Ok(Done::Exchange(Answer::Opaque { message }, Exchange::Register(Box::new(state))))
        }
        (Request::OpaqueRegisterFinish { message }, Exchange::Register(state)) => {
            accounts.opaque_register_finish(*state, &message, now, rng).map(Done::Answer)
        }
        (Request::OpaqueLogin { app, handle, message }, _) => {
            let (state, message) = accounts.opaque_login(&app, &handle, &message, now, rng).await?;
            Ok(Done::Exchange(Answer::Opaque { message }, Exchange::Login(state)))
        }
        (Request::OpaqueLoginFinish { message }, Exchange::Login(state)) => {
            accounts.opaque_login_finish(state, &message, now, rng).map(Done::Answer)
        }
        (Request::Register { ticket, account, root_key, links, device }, _) => {
            let new = NewAccount { account, root_key, links: &links, device };
            let session = accounts.register(&ticket, &new, now, rng).await?;
            sign_in(&server, session, Answer::Registered, now).await
        }
        (Request::AccountOfTicket { ticket }, _) => {
            Ok(Done::Answer(Answer::Account(accounts.account_of_ticket(&ticket, now).await?)))
        }
        (Request::AddDevice { ticket, link, device }, _) => {
            let session = accounts.add_device(&ticket, link, device, now, rng).await?;
            sign_in(&server, session, Answer::Registered, now).await
        }
        (Request::Authenticate { device, signature }, _) => {
            let session = accounts.authenticate(device, &signature, &nonce, now).await;
            let session = session.map_err(|refused| forgotten(&server, refused, now))?;
            sign_in(&server, session, Answer::SignedIn, now).await
        }
        _ => out_of_place(),
    }
}

/// How long after a restore a device that is not known is told that it may be the server who forgot it.
const RESTORED_MS: u64 = 90 * 86_400_000;

/// A device that came after the backup was made is not known to a restored server: it is told so.
fn forgotten<S: Store>(server: &Server<S>, refused: Refused, now: UnixMillis) -> Refused {
    let (number, backup) = (server.incarnation.number, server.incarnation.backup);
    let recent = backup.0 > 0 && now.since(UnixMillis(number)) < RESTORED_MS;
    match refused {
        Refused::Problem(problem) if recent && problem.code == Code::NotADevice => {
            let detail = format!(
                "the server was restored from a backup of {} and does not know this device: if it came after that, sign up or \
                 link it again",
                incarnation::utc(backup)
            );
            Problem::new(Code::NotADevice, detail).into()
        }
        refused => refused,
    }
}

/// Connects the mailbox, then looks at the account once more: a change of its list, or the device's end, is either seen now or
/// told to the connected mailbox.
async fn sign_in<S: Store>(
    server: &Arc<Server<S>>,
    session: Session,
    answer: impl FnOnce(SignedIn) -> Answer,
    now: UnixMillis,
) -> Outcome<S> {
    let feed = Feed::connect(server.clone(), session.mailbox);
    let list = server.accounts.list_length(&session).await?;
    let (left, newest) = keypackages::left_and_newest(&server.store, &session.device).await?;
    let state = SignedIn {
        account: session.account.clone(),
        time: now,
        incarnation: server.incarnation.number,
        backup: server.incarnation.backup,
        door: left.door,
        stranger: left.stranger,
        last_resort_used: left.last_resort_used,
        newest,
        list,
    };
    Ok(Done::SignedIn(Box::new((Arc::new(session), feed)), answer(state)))
}

fn pools<S: Store>(left: keypackages::Left) -> Outcome<S> {
    let (door, stranger, last_resort_used) = (left.door, left.stranger, left.last_resort_used);
    Ok(Done::Answer(Answer::Pools { door, stranger, last_resort_used }))
}

/// A request on a signed-in inbox.
pub(super) async fn member<S: Store>(
    server: Arc<Server<S>>,
    request: Request,
    session: Arc<Session>,
    nonce: [u8; 32],
) -> Outcome<S> {
    let now = server.ambient.now();
    let session = &*session;
    let reach = Reach {
        store: &server.store,
        keys: &server.keys,
        apps: &server.apps,
        owner: &session.account,
        lifetimes: &server.lifetimes,
    };
    match request {
        Request::Apps => Ok(Done::Answer(Answer::Apps(server.apps.infos()))),
        Request::PublishKeyPackages { pool, packages } => {
            let expires = server.lifetimes.expires(Kind::KeyPackage, now);
            let left = keypackages::publish(&server.store, &session.device, pool, &packages, expires).await?;
            pools(left)
        }
        Request::DropKeyPackages => pools(keypackages::drop_all(&server.store, &session.device).await?),
        Request::AppendDeviceList { link } => {
            server.accounts.append_link(session, link, now, &mut server.ambient.rng()).await.and_then(|()| done())
        }
        Request::PutBackup { name, chunk } => {
            backups::put(&server.store, &session.account.account, &name, chunk).await.and_then(|()| done())
        }
        Request::DropBackup { name } => {
            backups::erase(&server.store, &session.account.account, &name).await.and_then(|()| done())
        }
        Request::Backup { after } => {
            Ok(Done::Answer(backups::page(&server.store, &session.account.account, after).await?))
        }
        Request::Holdings { after } => {
            Ok(Done::Answer(Answer::Holdings(server.accounts.holdings(session, after.as_ref()).await?)))
        }
        Request::OwnAccount => Ok(Done::Answer(Answer::Account(server.accounts.own_account(session).await?))),
        Request::ClaimOwn { device, room } => {
            let claimed = server.claims.claim_own(session, device, room, now, &mut server.ambient.rng()).await?;
            Ok(Done::Answer(Answer::Claimed(claimed)))
        }
        Request::Claim { who, room } => claim(&server, session, &who, room, now).await,
        Request::OwnGrant { room, member_key } => {
            let rng = &mut server.ambient.rng();
            let grant = crate::grants::Grant::new(session.mailbox, true, now, rng);
            let grant = Bytes::from(grant.seal(&server.keys, &room, &member_key, rng));
            Ok(Done::Answer(Answer::Grant { grant }))
        }
        Request::CreateRoom { room, member_key, send_key } => {
            server.new_rooms.take(session.account.account, now)?;
            let rng = &mut server.ambient.rng();
            server.rooms.create(room, member_key, send_key, session.mailbox, now, rng).await.and_then(|()| done())
        }
        Request::Reach => Ok(Done::Answer(Answer::Reach(reach.rules().await?))),
        Request::SetReach { from, rule } => {
            reach.set_rule(&from, rule).await?;
            Ok(Done::Answer(Answer::Reach(reach.rules().await?)))
        }
        Request::CreateInvite { digest, uses, ttl_s, everywhere } => {
            let terms = Terms { uses, ttl_s, everywhere };
            reach.create_invite(&digest, terms, now).await.and_then(|()| done())
        }
        Request::RevokeInvite { digest } => reach.revoke_invite(digest.as_ref()).await.and_then(|()| done()),
        Request::PutDoor { digest } => reach.put_door(&digest).await.and_then(|()| done()),
        Request::DropDoor { digest } => reach.drop_door(&digest).await.and_then(|()| done()),
        Request::Block { account } => reach.block(&account).await.and_then(|()| done()),
        Request::Unblock { account } => reach.unblock(&account).await.and_then(|()| done()),
        Request::DeleteAccount { signature } => {
            server.accounts.delete(session, &nonce, &signature, now).await?;
            Ok(Done::Gone(Answer::Done))
        }
        _ => out_of_place(),
    }
}

/// A request about the socket's relay; `None` when it is about something else. `session` is `None` before signing in.
pub(super) fn relay<S: Store>(
    server: &Server<S>,
    seat: &mut Seat,
    request: &Request,
    session: Option<&Session>,
    source: Source,
) -> Option<Result<Answer, Problem>> {
    let now = server.ambient.now();
    Some(match (request, session) {
        (Request::OpenRelay, Some(session)) => {
            seat.open(session.account.account, now, &mut server.ambient.rng()).map(|slot| Answer::Relay { slot })
        }
        (Request::JoinRelay { slot }, None) => seat.join(*slot, source, now).map(|()| Answer::Done),
        (Request::Relay { payload }, _) => seat.hand_over(payload, now).map(|()| Answer::Done),
        (Request::CloseRelay, _) => {
            seat.leave(now);
            Ok(Answer::Done)
        }
        _ => return None,
    })
}

/// A refused claim is answered at a fixed time after it came, whatever the reason.
async fn claim<S: Store>(
    server: &Arc<Server<S>>,
    session: &Session,
    who: &parlour_proto::frames::Who,
    room: parlour_proto::ids::RoomId,
    now: UnixMillis,
) -> Outcome<S> {
    let answer_at = server.ambient.instant() + server.claims.answer_after();
    let claimed = server.claims.claim(session, who, room, now, &mut server.ambient.rng()).await;
    server.metrics.claims.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    match claimed {
        Ok(claimed) => Ok(Done::Answer(Answer::Claimed(claimed))),
        Err(refused) => {
            server.ambient.sleep_until(answer_at).await;
            Err(refused)
        }
    }
}

/// What a socket is told when it has to go.
pub(super) fn farewell(notice: crate::mailboxes::Notice) -> Problem {
    use crate::mailboxes::Notice;
    match notice {
        Notice::Stopping => Problem::new(Code::Unavailable, "the server restarts; connect again").retry_after_ms(1_000),
        Notice::Gone => Problem::new(Code::NotADevice, "the device was revoked, or its account deleted"),
        Notice::Replaced | Notice::PoolsLow | Notice::DeviceList { .. } => {
            Problem::new(Code::OutOfPlace, "the same device has connected elsewhere")
        }
    }
}
