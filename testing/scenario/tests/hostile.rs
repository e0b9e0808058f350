//! Nonsense, greed and silence on raw sockets of the built binary, while two people talk: clear codes, bounded memory, and
//! nobody else notices.

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::SigningKey;
use parlour_client::api::ConversationId;
use parlour_proto::frames::{Answer, EntryChange, Push, Request, RowBody, ServerFrame, Who};
use parlour_proto::ids::{MessageId, RoomId, Secret, UnixMillis};
use parlour_proto::problem::Code;
use parlour_scenario::device::{Device, RoomOfTwo, WireRoom, additions, claim, noise, proof, proof_at, sign_commit};
use parlour_scenario::person::{Person, befriend, talk};
use parlour_scenario::process::Server;
use parlour_scenario::site::{Site, app};
use parlour_scenario::wire::{Role, Wire, frame};
use parlour_scenario::{http, seeded};
use rand_core::{OsRng, RngCore as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const MIB: u64 = 1 << 20;

/// Two people whom nothing may disturb.
struct Witnesses(Person, Person, ConversationId, ConversationId);

impl Witnesses {
    async fn on(server: &Server) -> Result<Self> {
        let ana = Person::on_bell(server.scratch(), "ana", "+4930000001", server.site()).await?;
        let ben = Person::on_bell(server.scratch(), "ben", "+4930000002", server.site()).await?;
        let (at_ana, at_ben) = befriend(&ana, &ben).await?;
        Ok(Self(ana, ben, at_ana, at_ben))
    }

    async fn talk(&self, mark: &str) -> Result<()> {
        talk((&self.0, self.2), (&self.1, self.3), mark).await
    }
}

/// No panic, no ERROR, still there.
fn unharmed(server: &mut Server) -> Result<()> {
    ensure!(!server.has_ended()?, "the server ended: {}", server.log()?);
    let log = server.log()?;
    let bad = log.lines().find(|line| line.contains("ERROR") || line.contains("panicked"));
    ensure!(bad.is_none(), "{bad:?}");
    Ok(())
}

/// A field of protobuf: number, wire type 2, bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut varint = |mut value: usize| {
        while value > 127 {
            out.push(value as u8 & 127 | 128);
            value >>= 7;
        }
        out.push(value as u8);
    };
    varint(usize::from(number) << 3 | 2);
    varint(bytes.len());
    out.extend_from_slice(bytes);
    out
}

/// Frames that no client sends, and the codes that they deserve.
fn bad_frames() -> Vec<(&'static str, Vec<u8>, Code)> {
    let with_id = |body: Vec<u8>| [vec![8, 7], body].concat();
    let room = [1; 16];
    let send = |room: &[u8], id: &[u8], key: &[u8], tag: &[u8], payload: &[u8]| {
        let body = [field(1, room), field(2, id), field(3, key), field(4, tag), field(5, payload)].concat();
        with_id(field(2, &body))
    };
    let whole = frame(
        7,
        Request::Send {
            room: RoomId(room),
            message_id: MessageId(room),
            send_key: Secret([2; 32]),
            tag: [3; 32],
            payload: noise(100),
        },
    );
    vec![
        ("empty", Vec::new(), Code::Malformed),
        ("no request", vec![8, 7], Code::Malformed),
        ("unknown request", with_id(field(15, b"x")), Code::Malformed),
        ("truncated", whole[..whole.len() - 1].to_vec(), Code::Malformed),
        ("half", whole[..whole.len() / 2].to_vec(), Code::Malformed),
        ("short room", send(&room[..15], &room, &[2; 32], &[3; 32], b"x"), Code::Malformed),
        ("long room", send(&[1; 17], &room, &[2; 32], &[3; 32], b"x"), Code::Malformed),
        ("short key", send(&room, &room, &[2; 31], &[3; 32], b"x"), Code::Malformed),
        ("no tag", send(&room, &room, &[2; 32], b"", b"x"), Code::Malformed),
        ("large payload", send(&room, &room, &[2; 32], &[3; 32], &vec![0; 300_000]), Code::TooLarge),
        ("a bomb of fields", with_id(field(4, &[0x32, 0].repeat(500_000))), Code::TooLarge),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_gets_stable_codes_and_others_talk_on() -> Result<()> {
    let mut server = Server::up()?;
    let site = server.site();
    let witnesses = Witnesses::on(&server).await?;
    let mut outbox = Wire::connect(site, Role::Outbox).await?;
    for (name, bytes, code) in bad_frames() {
        outbox.send_raw(Message::binary(bytes)).await?;
        let ServerFrame::Answer { result: Err(problem), .. } = outbox.receive().await? else {
            anyhow::bail!("{name} was taken")
        };
        ensure!(problem.code == code, "{name}: {problem:?}");
        ensure!(!problem.detail.is_empty(), "{name}: no word of help");
    }
    outbox.send_raw(Message::text("hello?")).await?;
    let ServerFrame::Answer { id: 0, result: Err(problem) } = outbox.receive().await? else {
        anyhow::bail!("a text frame was taken")
    };
    ensure!(problem.code == Code::Malformed, "{problem:?}");
    // The socket lives on after all that.
    outbox.granted(Request::Apps).await?;

    // Requests on the wrong socket, or too early.
    ensure!(outbox.refused(Request::Reach).await? == Code::OutOfPlace);
    let mut inbox = Wire::connect(site, Role::Inbox).await?;
    let room = RoomId::random(&mut OsRng);
    let who = Who::Address { app: app("bell"), handle: "+4930000001".into() };
    ensure!(inbox.refused(Request::Claim { who, room }).await? == Code::OutOfPlace);
    ensure!(
        inbox
            .refused(Request::Authenticate { device: parlour_proto::ids::DeviceId([9; 16]), signature: [0; 64] })
            .await?
            == Code::NotADevice
    );
    let wrong_app = Request::RequestCode { app: app("nowhere"), handle: "x".into() };
    ensure!(inbox.refused(wrong_app).await? == Code::NoSuchApp);
    ensure!(inbox.refused(Request::RequestCode { app: app("bell"), handle: "ana".into() }).await? == Code::BadHandle);

    // Too large to be read at all: told, then closed.
    let mut large = Wire::connect(site, Role::Outbox).await?;
    let _ = large.send_raw(Message::binary(vec![0; 5 * MIB as usize])).await;
    let told = large.closed().await?;
    ensure!(matches!(told, Some(Code::TooLarge) | None), "{told:?}");

    // Noise, as frames: an answer each, or an end of the socket; never an end of the server.
    let mut rng = seeded(1);
    for _ in 0..20 {
        let mut wire = Wire::connect(site, Role::Inbox).await?;
        for _ in 0..30 {
            let mut bytes = vec![0; rng.next_u32() as usize % 200];
            rng.fill_bytes(&mut bytes);
            if wire.send_raw(Message::binary(bytes)).await.is_err() || wire.receive().await.is_err() {
                break;
            }
        }
    }
    // Somebody who never stops is shown the door.
    let mut stubborn = Wire::connect(site, Role::Inbox).await?;
    for _ in 0..200 {
        if stubborn.send_raw(Message::binary(vec![255])).await.is_err() {
            break;
        }
    }
    ensure!(stubborn.closed().await? == Some(Code::Malformed));
    witnesses.talk("after nonsense").await?;

    // Not WebSocket, not HTTP.
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\0\0\0\0garbage\r\n\r\n",
        b"POST /v1/inbox HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /v1/inbox HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\r\n\r\n\r\n\r\nSSH-2.0-scenario\r\n",
    ] {
        let mut stream = TcpStream::connect(site.addr).await?;
        stream.write_all(garbage).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(25), stream.read_to_end(&mut answer)).await.context("it hangs")?;
        ensure!(!answer.windows(5).any(|five| five == b"root:"), "a file of the machine");
        ensure!(!answer.starts_with(b"HTTP/1.1 101"), "no handshake, no socket");
    }
    // A head that never ends.
    let mut endless = TcpStream::connect(site.addr).await?;
    let mut written = 0u64;
    while endless.write_all(&[b'a'; 4096]).await.is_ok() && written < 8 * MIB {
        written += 4096;
    }
    ensure!(written < 8 * MIB, "the server reads a head of 8 MiB");
    ensure!(http::get(site.addr, "/health").await? == "ok\n");
    witnesses.talk("after garbage").await?;
    unharmed(&mut server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections() -> Result<()> {
    let most = rlimit::increase_nofile_limit(12_000)?;
    let mut server = Server::up()?;
    let addr = server.site().addr;
    let witnesses = Witnesses::on(&server).await?;
    // As many as this machine lets both of us have.
    let wanted = 10_000.min(most.saturating_sub(1_500)) as usize;
    let before = server.rss_bytes()?;
    let mut half_open = Vec::with_capacity(wanted);
    for n in 0..wanted {
        let socket = TcpSocket::new_v4()?;
        let source = Ipv4Addr::new(127, 0, 1, (n % 250) as u8 + 1);
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
        let mut stream = socket.connect(addr).await.with_context(|| format!("connection {n}"))?;
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"GET /v1/inbox HT").await?,
            _ => stream.write_all(b"GET /v1/inbox HTTP/1.1\r\nHost: x\r\nX-A: ").await?,
        }
        half_open.push(stream);
        if n % 2_500 == 2_499 {
            witnesses.talk(&format!("beside {n}")).await?;
        }
    }
    let grown = server.rss_bytes()?.saturating_sub(before);
    ensure!(grown < 40_000 * wanted as u64 + 64 * MIB, "{wanted} half-open connections take {} MiB", grown / MIB);
    witnesses.talk("beside all of them").await?;
    // Nobody may stay half open for ever: the server lets go.
    for stream in &mut half_open {
        let mut byte = [0; 512];
        let end = async {
            while let Ok(read) = stream.read(&mut byte).await
                && read > 0
            {}
        };
        timeout(Duration::from_secs(40), end).await.context("a half-open connection is kept")?;
    }
    drop(half_open);
    witnesses.talk("after them").await?;
    unharmed(&mut server)
}

async fn strangers(site: Site, number: usize) -> Result<RoomOfTwo> {
    RoomOfTwo::of(site, &format!("+493000030{number}"), &format!("+493000040{number}"), 20).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader() -> Result<()> {
    let mut server = Server::up()?;
    let site = server.site();
    let witnesses = Witnesses::on(&server).await?;
    let mut s = strangers(site, 1).await?;
    drop(s.other_inbox);
    // Signs in, and never reads again.
    let deaf = s.other.sign_in(site).await?;
    // The writer's own copies are read, or there would be two of them.
    let before = server.rss_bytes()?;
    let mut seen = 0;
    for round in 0..40u64 {
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(s.outbox.send(s.room.message(100_000)).await?);
        }
        for id in ids {
            s.outbox.answer(id).await??;
        }
        while seen < (round + 1) * 10 {
            if let Push::Rows(rows) = s.one_inbox.push().await? {
                seen += rows.iter().filter(|row| matches!(row.body, RowBody::Message { .. })).count() as u64;
                s.one_inbox.ack(rows.last().map_or(0, |row| row.seq)).await?;
            }
        }
    }
    // 40 MB wait for somebody who does not read them; the server holds a window of that, not all.
    let grown = server.rss_bytes()?.saturating_sub(before);
    ensure!(grown < 160 * MIB, "one slow reader takes {} MiB", grown / MIB);
    witnesses.talk("beside the deaf").await?;
    drop(deaf);
    // And nothing is lost: whoever reads in the end gets all of it.
    let mut back = s.other.sign_in(site).await?;
    let mut messages = 0;
    let mut caught_up = false;
    while messages < 400 || !caught_up {
        match back.push().await? {
            Push::Rows(rows) => {
                messages += rows.iter().filter(|row| matches!(row.body, RowBody::Message { .. })).count();
                back.ack(rows.last().map_or(0, |row| row.seq)).await?;
            }
            Push::CaughtUp => caught_up = true,
            _ => {}
        }
    }
    ensure!(messages == 400, "{messages} messages");
    unharmed(&mut server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_and_expired_proofs() -> Result<()> {
    let mut server = Server::up()?;
    let site = server.site();
    let bell = || app("bell");
    let mut wire = Wire::connect(site, Role::Inbox).await?;

    // Codes: wrong ones count, the right one works once, and never after five wrong ones.
    let number = "+4930000100".to_owned();
    let prove = |code: String| Request::ProveCode { app: bell(), handle: number.clone(), code };
    ensure!(wire.refused(prove("123456".into())).await? == Code::Expired, "no code was asked for");
    wire.granted(Request::RequestCode { app: bell(), handle: number.clone() }).await?;
    let code = site.code(&number).await?;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    ensure!(wire.refused(prove(wrong.into())).await? == Code::NotAuthenticated);
    wire.granted(prove(code.clone())).await?;
    ensure!(wire.refused(prove(code)).await? == Code::Expired, "a code works once");
    wire.granted(Request::RequestCode { app: bell(), handle: number.clone() }).await?;
    let code = site.code(&number).await?;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..4 {
        ensure!(wire.refused(prove(wrong.into())).await? == Code::NotAuthenticated);
    }
    ensure!(wire.refused(prove(wrong.into())).await? == Code::TriesExhausted);
    ensure!(wire.refused(prove(code)).await? == Code::TriesExhausted);

    // Tickets: for one account, once.
    let mut second = Wire::connect(site, Role::Inbox).await?;
    let ticket = Device::ticket(site, &mut second, "+4930000101").await?;
    let account = Request::AccountOfTicket { ticket: ticket.clone() };
    ensure!(second.ask(account).await?.is_err(), "there is no account yet");
    let forged = Request::AccountOfTicket { ticket: Secret::random(&mut OsRng) };
    ensure!(second.refused(forged).await? == Code::Expired);

    // Signing in: a signature is for one nonce.
    let mut s = strangers(site, 2).await?;
    let replay = s.one.authenticate(&s.one_inbox.nonce);
    ensure!(second.refused(replay).await? == Code::NotAuthenticated);

    // Invites: as often as they say, and not after they are revoked.
    let token = Secret::random(&mut OsRng);
    let invite = Request::CreateInvite { digest: token.digest(), uses: 1, ttl_s: 3600, everywhere: false };
    s.other_inbox.granted(invite).await?;
    let claim_by =
        |token: &Secret| Request::Claim { who: Who::Invite(token.clone()), room: RoomId::random(&mut OsRng) };
    s.one_inbox.granted(claim_by(&token)).await?;
    ensure!(s.one_inbox.refused(claim_by(&token)).await? == Code::NotReachable, "used up");
    let token = Secret::random(&mut OsRng);
    s.other_inbox
        .granted(Request::CreateInvite { digest: token.digest(), uses: 5, ttl_s: 3600, everywhere: false })
        .await?;
    s.other_inbox.granted(Request::RevokeInvite { digest: Some(token.digest()) }).await?;
    ensure!(s.one_inbox.refused(claim_by(&token)).await? == Code::NotReachable, "revoked");
    ensure!(s.one_inbox.refused(claim_by(&Secret::random(&mut OsRng))).await? == Code::NotReachable, "made up");
    // Door tokens that nobody gave.
    let door = Request::DoorClaim {
        account: s.other.account.clone(),
        door: Secret::random(&mut OsRng),
        room: RoomId::random(&mut OsRng),
    };
    ensure!(s.outbox.refused(door).await? == Code::NotReachable);
    unharmed(&mut server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_used_in_another_room() -> Result<()> {
    let mut server = Server::up()?;
    let site = server.site();
    let mut s = strangers(site, 3).await?;
    let commit = |room: &WireRoom, changes| Request::Commit(Box::new(room.commit(changes).0));
    let (here, there) = (RoomId::random(&mut OsRng), RoomId::random(&mut OsRng));
    let claimed = claim(&mut s.one_inbox, &s.other.number, here).await??;
    let second = claim(&mut s.one_inbox, &s.other.number, here).await??;
    let mut room_here = WireRoom::create_as(&mut s.one_inbox, here).await?;
    let room_there = WireRoom::create_as(&mut s.one_inbox, there).await?;

    // The grant of one room in another; under another key; changed; with another claim's key.
    ensure!(s.outbox.refused(commit(&room_there, additions(&claimed))).await? == Code::BadGrant, "another room");
    let change = |edit: &dyn Fn(&mut EntryChange)| {
        let mut changes = additions(&claimed);
        changes.iter_mut().for_each(edit);
        changes
    };
    let other_key = change(&|change| {
        if let EntryChange::Add { member_key, .. } = change {
            *member_key = second.devices[0].member_key;
        }
    });
    ensure!(s.outbox.refused(commit(&room_here, other_key)).await? == Code::BadGrant, "another key");
    let flipped = change(&|change| {
        if let EntryChange::Add { grant, .. } = change {
            let mut bytes = grant.to_vec();
            bytes[20] ^= 1;
            *grant = bytes.into();
        }
    });
    ensure!(s.outbox.refused(commit(&room_here, flipped)).await? == Code::BadGrant, "a flipped bit");
    // Rightly used it works, once.
    room_here.add(&mut s.outbox, &claimed).await?;
    let again = s.outbox.refused(commit(&room_here, additions(&claimed))).await?;
    ensure!(matches!(again, Code::BadGrant | Code::NoRight | Code::Malformed), "used twice: {again:?}");

    // Send keys and member keys are of one room, too.
    let Request::Send { message_id, tag, payload, .. } = room_here.message(10) else { unreachable!("a send") };
    let send_key = room_here.send_key.clone();
    let elsewhere = Request::Send { room: s.room.id, message_id, send_key, tag, payload };
    ensure!(s.outbox.refused(elsewhere).await? == Code::WrongSendKey);
    let log = |proof| Request::FetchLog { room: s.room.id, after: 0, proof };
    let wrong_key = proof(&room_here.member, "log", &s.room.id, &0u64.to_be_bytes());
    ensure!(s.outbox.refused(log(wrong_key)).await? == Code::NoSuchRoom);
    let wrong_room = proof(&s.room.member, "log", &here, &0u64.to_be_bytes());
    ensure!(s.outbox.refused(log(wrong_room)).await? == Code::BadSignature);
    let old = UnixMillis(parlour_shell::clock::now().0 - 11 * 60_000);
    let stale = proof_at(&s.room.member, "log", &s.room.id, &0u64.to_be_bytes(), old);
    ensure!(s.outbox.refused(log(stale)).await? == Code::BadSignature);
    unharmed(&mut server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_removed_members_and_replays() -> Result<()> {
    let mut server = Server::up()?;
    let site = server.site();
    let mut s = strangers(site, 4).await?;

    // A wrong send key; a room that is none.
    let Request::Send { room, message_id, tag, payload, send_key } = s.room.message(10) else { unreachable!("a send") };
    let with_key = |key: Secret| Request::Send { room, message_id, send_key: key, tag, payload: payload.clone() };
    ensure!(s.outbox.refused(with_key(Secret::random(&mut OsRng))).await? == Code::WrongSendKey);
    let nowhere = RoomId::random(&mut OsRng);
    let lost = Request::Send { room: nowhere, message_id, send_key: send_key.clone(), tag, payload: payload.clone() };
    ensure!(s.outbox.refused(lost).await? == Code::NoSuchRoom);

    // The same message thrice, on two sockets: one row, one answer.
    let first = s.outbox.granted(with_key(send_key.clone())).await?;
    let mut second_outbox = Wire::connect(site, Role::Outbox).await?;
    for _ in 0..2 {
        ensure!(second_outbox.granted(with_key(send_key.clone())).await? == first, "another answer");
    }
    // The same commit twice; an older one; one signed by somebody else.
    let (commit, next) = s.room.commit(Vec::new());
    let (stale, _) = s.room.commit(Vec::new());
    let accepted = s.outbox.granted(Request::Commit(Box::new(commit.clone()))).await?;
    ensure!(second_outbox.granted(Request::Commit(Box::new(commit.clone()))).await? == accepted);
    let Answer::Accepted { room_seq, .. } = accepted else { anyhow::bail!("{accepted:?}") };
    (s.room.head, s.room.send_key) = (room_seq, next);
    match s.outbox.ask(Request::Commit(Box::new(stale))).await? {
        Err(problem) => ensure!(problem.code == Code::Behind && problem.head == room_seq, "{problem:?}"),
        Ok(answer) => anyhow::bail!("{answer:?}"),
    }
    let (mut forged, _) = s.room.commit(Vec::new());
    sign_commit(&mut forged, &s.other_key);
    ensure!(s.outbox.refused(Request::Commit(Box::new(forged.clone()))).await? == Code::BadSignature);
    forged.member_key = parlour_proto::ids::MemberKey(SigningKey::generate(&mut OsRng).verifying_key().to_bytes());
    ensure!(s.outbox.refused(Request::Commit(Box::new(forged))).await? == Code::BadSignature);

    // Ordinary commits leave the key before them valid for a while; removals do not.
    s.outbox.granted(message_under(&s.room, send_key)).await?;
    let before_removal = s.room.send_key.clone();
    let member_key = parlour_proto::ids::MemberKey(s.other_key.verifying_key().to_bytes());
    s.room.committed(&mut s.outbox, vec![EntryChange::Remove { member_key }]).await?;
    ensure!(s.outbox.refused(message_under(&s.room, before_removal)).await? == Code::WrongSendKey);
    let log = Request::FetchLog {
        room: s.room.id,
        after: 0,
        proof: proof(&s.other_key, "log", &s.room.id, &0u64.to_be_bytes()),
    };
    ensure!(s.outbox.refused(log).await? == Code::NoSuchRoom, "a removed member is nobody");
    let removed = WireRoom { id: s.room.id, member: s.other_key.clone(), send_key: Secret([0; 32]), head: s.room.head };
    let (commit, _) = removed.commit(Vec::new());
    ensure!(s.outbox.refused(Request::Commit(Box::new(commit))).await? == Code::NoSuchRoom);

    // What was removed gets nothing more.
    s.outbox.granted(s.room.message(20)).await?;
    drop(s.other_inbox);
    let mut back = s.other.sign_in(site).await?;
    let rows = back.waiting_rows().await?;
    let messages = rows.iter().filter(|row| matches!(row.body, RowBody::Message { .. })).count();
    ensure!(messages == 2, "{messages} messages: one before each of the two commits");
    unharmed(&mut server)
}

/// A message into the room under a key of one's choice.
fn message_under(room: &WireRoom, send_key: Secret) -> Request {
    let message_id = MessageId::random(&mut OsRng);
    Request::Send { room: room.id, message_id, send_key, tag: [0; 32], payload: noise(10) }
}
