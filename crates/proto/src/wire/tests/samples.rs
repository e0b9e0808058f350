//! One of every kind of frame, the same in every run: what the byte snapshots hold.

use crate::frames::{
    AccountRef, AccountView, Answer, AppId, AppInfo, Claimed, ClaimedDevice, Commit, Ends, EntryChange, HeldKind,
    HeldRow, Holdings, KeyPackageUpload, Log, MemberProof, Pool, Push, ReachRule, Request, Rights, Row, RowBody,
    SignIn, SignedIn, Unlisted, Welcome, Who,
};
use crate::ids::{AccountId, DeviceId, Digest, MemberKey, MessageId, RoomId, Secret, UnixMillis};
use crate::problem::{Code, Problem};
use bytes::Bytes;

const ROOM: RoomId = RoomId([0x10; 16]);
const KEY: MemberKey = MemberKey([0x20; 32]);
const DEVICE: DeviceId = DeviceId([0x30; 16]);
const DIGEST: Digest = Digest([0x40; 32]);
const MESSAGE: MessageId = MessageId([0x50; 16]);
const TIME: UnixMillis = UnixMillis(1_790_000_000_123);

fn app() -> AppId {
    AppId::parse("den").unwrap()
}

fn account() -> AccountRef {
    AccountRef { app: app(), account: AccountId([0x60; 16]) }
}

fn secret() -> Secret {
    Secret([0x70; 32])
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn proof() -> MemberProof {
    MemberProof { member_key: KEY, time: TIME, signature: [0x80; 64] }
}

fn commit() -> Commit {
    Commit {
        room: ROOM,
        head: 17,
        commit_id: MESSAGE,
        payload: bytes("commit"),
        next_send_key: DIGEST,
        changes: vec![
            EntryChange::Add { member_key: KEY, grant: bytes("grant"), rights: Rights::ALL },
            EntryChange::Remove { member_key: KEY },
            EntryChange::Rekey { new: KEY },
        ],
        voids: vec![3, 300],
        welcome: Some(Welcome { shared: bytes("shared"), parts: vec![(KEY, bytes("part"))] }),
        member_key: KEY,
        signature: [0x80; 64],
    }
}

/// Puts the room into attributed mode.
fn attributed() -> Commit {
    Commit { changes: vec![EntryChange::Attributed { on: true }], voids: Vec::new(), welcome: None, ..commit() }
}

/// With a note where there are several of one kind.
pub(super) fn requests() -> Vec<(&'static str, Request)> {
    let handle = || "canary".to_owned();
    let bare = Commit { changes: vec![], voids: vec![], welcome: None, head: 0, ..commit() };
    let upload = KeyPackageUpload { key_package: bytes("key package"), member_key: KEY };
    let publish = |pool| Request::PublishKeyPackages { pool, packages: vec![upload.clone(), upload.clone()] };
    vec![
        ("", Request::Apps),
        ("", Request::RequestCode { app: app(), handle: "+491701234567".into() }),
        ("", Request::ProveCode { app: app(), handle: "+491701234567".into(), code: "424242".into() }),
        ("", Request::OpaqueRegister { app: app(), handle: handle(), message: bytes("opaque") }),
        ("", Request::OpaqueRegisterFinish { message: bytes("opaque") }),
        ("", Request::OpaqueLogin { app: app(), handle: handle(), message: bytes("opaque") }),
        ("", Request::OpaqueLoginFinish { message: bytes("opaque") }),
        (
            "",
            Request::Register {
                ticket: secret(),
                account: AccountId([0x60; 16]),
                root_key: [0x61; 32],
                links: vec![bytes("link"), bytes("link 2")],
                device: DEVICE,
            },
        ),
        ("", Request::AccountOfTicket { ticket: secret() }),
        ("", Request::AddDevice { ticket: secret(), link: bytes("link"), device: DEVICE }),
        ("", Request::Authenticate { device: DEVICE, signature: [0x80; 64] }),
        ("", Request::Ack { seq: 300 }),
        ("", publish(Pool::Door)),
        ("/stranger", publish(Pool::Stranger)),
        ("/last_resort", publish(Pool::LastResort)),
        ("", Request::AppendDeviceList { link: bytes("link") }),
        ("", Request::Claim { who: Who::Address { app: app(), handle: handle() }, room: ROOM }),
        ("/account", Request::Claim { who: Who::Account(account()), room: ROOM }),
        ("/invite", Request::Claim { who: Who::Invite(secret()), room: ROOM }),
        ("", Request::OwnGrant { room: ROOM, member_key: KEY }),
        ("", Request::CreateRoom { room: ROOM, member_key: KEY, send_key: DIGEST }),
        ("", Request::Reach),
        ("", Request::SetReach { from: app(), rule: ReachRule::Invite }),
        ("", Request::CreateInvite { digest: DIGEST, uses: 5, ttl_s: 86_400, everywhere: false }),
        ("/everywhere", Request::CreateInvite { digest: DIGEST, uses: 5, ttl_s: 86_400, everywhere: true }),
        ("", Request::RevokeInvite { digest: Some(DIGEST) }),
        ("/all", Request::RevokeInvite { digest: None }),
        ("", Request::PutDoor { digest: DIGEST }),
        ("", Request::DropDoor { digest: DIGEST }),
        ("", Request::Block { account: account() }),
        ("", Request::Unblock { account: account() }),
        ("", Request::DeleteAccount { signature: [0x80; 64] }),
        (
            "",
            Request::Send {
                room: ROOM,
                message_id: MESSAGE,
                send_key: secret(),
                tag: [0x90; 32],
                payload: bytes("payload"),
            },
        ),
        ("", Request::Commit(Box::new(commit()))),
        ("/bare", Request::Commit(Box::new(bare))),
        ("", Request::DoorClaim { account: account(), door: secret(), room: ROOM }),
        ("", Request::OpenEntry { room: ROOM, proof: proof() }),
        ("", Request::LeaveEntry { room: ROOM, proof: proof() }),
        ("", Request::FetchLog { room: ROOM, after: 17, proof: proof() }),
        ("", Request::Knock { room: ROOM, knock_id: MESSAGE, payload: bytes("knock"), proof: proof() }),
        ("", Request::SetSuccessor { room: ROOM, successor: RoomId([0x11; 16]), proof: proof() }),
        ("", Request::OpenRelay),
        ("", Request::JoinRelay { slot: 420_042 }),
        ("", Request::Relay { payload: bytes("canary payload") }),
        ("", Request::CloseRelay),
        ("", Request::OwnAccount),
        ("", Request::ClaimOwn { device: DEVICE, room: ROOM }),
        ("", Request::PutBackup { name: [0xba; 16], chunk: bytes("canary chunk") }),
        ("", Request::DropBackup { name: [0xba; 16] }),
        ("_first", Request::Backup { after: None }),
        ("", Request::Backup { after: Some([0xba; 16]) }),
        ("_first", Request::Holdings { after: None }),
        ("", Request::Holdings { after: Some(bytes("cursor")) }),
        ("", Request::Whisper { room: ROOM, send_key: secret(), payload: bytes("canary whisper") }),
        (
            "",
            Request::SignedSend {
                room: ROOM,
                message_id: MESSAGE,
                send_key: secret(),
                tag: [0x90; 32],
                payload: bytes("payload"),
                proof: Box::new(proof()),
            },
        ),
        ("/attributed", Request::Commit(Box::new(attributed()))),
        ("", Request::DropKeyPackages),
    ]
}

fn view() -> AccountView {
    AccountView { account: account(), root_key: [0x61; 32], links: vec![bytes("link"), bytes("link 2")] }
}

fn signed_in() -> SignedIn {
    SignedIn {
        account: account(),
        time: TIME,
        incarnation: 2,
        backup: UnixMillis(0),
        door: 50,
        stranger: 20,
        last_resort_used: true,
        newest: Vec::new(),
        list: 3,
    }
}

pub(super) fn answers() -> Vec<Result<Answer, Problem>> {
    let info = |sign_in| AppInfo {
        app: app(),
        name: "Den".into(),
        domain: "den.example.org".into(),
        sign_in,
        expiry_s: 31_536_000,
        expiry_least_s: 3_600,
        expiry_most_s: Some(31_622_400),
    };
    let device = ClaimedDevice {
        device: DEVICE,
        key_package: bytes("key package"),
        member_key: KEY,
        grant: bytes("grant"),
        last_resort: true,
    };
    let problem = Problem {
        code: Code::Behind,
        detail: "the head moved".into(),
        retry_after_ms: 250,
        head: 18,
        successor: Some(ROOM),
    };
    vec![
        Ok(Answer::Done),
        Ok(Answer::Apps(vec![info(SignIn::Phone), info(SignIn::Username), info(SignIn::AtHandle)])),
        Ok(Answer::Ticket { ticket: secret(), exists: true }),
        Ok(Answer::Opaque { message: bytes("opaque") }),
        Ok(Answer::Account(view())),
        Ok(Answer::Registered(signed_in())),
        Ok(Answer::SignedIn(signed_in())),
        Ok(Answer::Pools { door: 50, stranger: 20, last_resort_used: true }),
        Ok(Answer::Claimed(Claimed { view: view(), devices: vec![device] })),
        Ok(Answer::Grant { grant: bytes("grant") }),
        Ok(Answer::Reach(vec![
            (app(), ReachRule::Ask),
            (AppId::parse("bell").unwrap(), ReachRule::Invite),
            (AppId::parse("porch").unwrap(), ReachRule::Nobody),
        ])),
        Ok(Answer::Accepted { room_seq: 300, time: TIME, stamp: [0xa0; 32], closed: vec![KEY] }),
        Ok(Answer::Log(Log { head: 17, rows: rows(), more: true, successor: Some(ROOM) })),
        Ok(Answer::Relay { slot: 420_042 }),
        Ok(Answer::Backup { chunks: vec![([0xba; 16], bytes("canary chunk"))], more: true }),
        Ok(Answer::Holdings(holdings())),
        Err(problem),
        Err(Problem::new(Code::NotReachable, "")),
    ]
}

fn holdings() -> Holdings {
    let row = |day, ends| HeldRow { kind: 4, which: "from den: ask".into(), day, bytes: 300, ends };
    Holdings {
        kinds: vec![HeldKind { number: 4, name: "rule".into(), why: "reach".into(), erased: "the account".into() }],
        rows: vec![row(Some(20_000), Ends::At(TIME)), row(None, Ends::WithAccount)],
        unlisted: vec![Unlisted { name: "entries".into(), why: "sealed".into(), at_most: "400 days".into() }],
        next: Some(bytes("cursor")),
    }
}

pub(super) fn pushes() -> Vec<Push> {
    vec![
        Push::Hello { version: 1, nonce: [0xb0; 32], time: TIME },
        Push::Rows(rows()),
        Push::Rows(vec![]),
        Push::CaughtUp,
        Push::PoolsLow { door: 3, stranger: 0, last_resort_used: false },
        Push::Closing(Problem::new(Code::Unavailable, "the server restarts").retry_after_ms(1000)),
        Push::DeviceList { length: 3 },
        Push::Relay { payload: bytes("canary payload") },
        Push::RelayClosed,
        Push::Whisper { room: ROOM, payload: bytes("canary whisper") },
    ]
}

pub(super) fn rows() -> Vec<Row> {
    let row = |body| Row { seq: 5, room: ROOM, room_seq: 300, time: TIME, body };
    vec![
        row(RowBody::Message { message_id: MESSAGE, tag: [0x90; 32], stamp: [0xa0; 32], payload: bytes("payload") }),
        row(RowBody::Commit {
            commit_id: MESSAGE,
            payload: bytes("commit"),
            next_send_key: DIGEST,
            voids: vec![3, 300],
            member_key: KEY,
            entries: Digest([0x21; 32]),
        }),
        row(RowBody::Welcome { member_key: KEY, shared: bytes("shared"), part: bytes("part"), asked: true }),
        row(RowBody::Knock { knock_id: MESSAGE, member_key: KEY, payload: bytes("knock") }),
        row(RowBody::Successor { successor: RoomId([0x11; 16]), member_key: KEY }),
    ]
}
