//! The protobuf messages (`package parlour.v1`), written by hand so that building needs no `protoc`.
//! The same as a `.proto` listing: `docs/protocol.md`. A field number is never used again for something else.
//!
//! These types stay in this module: they are what arrives, not what is believed. Numbers below 16 (one byte of key) go to
//! what is sent often.

mod holdings;
mod rows;

pub(super) use holdings::{HeldKind, HeldRow, Holdings, HoldingsRequest, Unlisted};
pub(super) use rows::{CommitRow, KnockRow, MessageRow, Row, RowBody, Rows, SuccessorRow, WelcomeRow};

use bytes::Bytes;
use prost::{Message, Oneof};

/// Nothing but its presence.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Empty {}

// ---- client to server

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClientFrame {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(
        oneof = "Request",
        tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 32, 33, 34, 35, 36, 37, 38, 39, \
                40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 60, 61, 62, 90"
    )]
    pub request: Option<Request>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Request {
    #[prost(message, tag = "2")]
    Send(Send),
    #[prost(message, tag = "3")]
    Ack(Ack),
    #[prost(message, tag = "4")]
    Commit(Commit),
    #[prost(message, tag = "5")]
    DoorClaim(DoorClaim),
    #[prost(message, tag = "6")]
    OpenEntry(EntryRequest),
    #[prost(message, tag = "7")]
    LeaveEntry(EntryRequest),
    #[prost(message, tag = "8")]
    FetchLog(FetchLog),
    #[prost(message, tag = "9")]
    Knock(Knock),
    #[prost(message, tag = "10")]
    SetSuccessor(SetSuccessor),
    #[prost(message, tag = "16")]
    Apps(Empty),
    #[prost(message, tag = "17")]
    RequestCode(RequestCode),
    #[prost(message, tag = "18")]
    ProveCode(ProveCode),
    #[prost(message, tag = "19")]
    OpaqueRegister(OpaqueStart),
    #[prost(message, tag = "20")]
    OpaqueRegisterFinish(OpaqueFinish),
    #[prost(message, tag = "21")]
    OpaqueLogin(OpaqueStart),
    #[prost(message, tag = "22")]
    OpaqueLoginFinish(OpaqueFinish),
    #[prost(message, tag = "23")]
    Register(Register),
    #[prost(message, tag = "24")]
    AccountOfTicket(AccountOfTicket),
    #[prost(message, tag = "25")]
    AddDevice(AddDevice),
    #[prost(message, tag = "26")]
    Authenticate(Authenticate),
    #[prost(message, tag = "32")]
    PublishKeyPackages(PublishKeyPackages),
    #[prost(message, tag = "33")]
    AppendDeviceList(AppendDeviceList),
    #[prost(message, tag = "34")]
    Claim(Claim),
    #[prost(message, tag = "35")]
    OwnGrant(OwnGrant),
    #[prost(message, tag = "36")]
    CreateRoom(CreateRoom),
    #[prost(message, tag = "37")]
    Reach(Empty),
    #[prost(message, tag = "38")]
    SetReach(Reach),
    #[prost(message, tag = "39")]
    CreateInvite(CreateInvite),
    #[prost(message, tag = "40")]
    RevokeInvite(RevokeInvite),
    #[prost(message, tag = "41")]
    PutDoor(Door),
    #[prost(message, tag = "42")]
    DropDoor(Door),
    #[prost(message, tag = "43")]
    Block(Block),
    #[prost(message, tag = "44")]
    Unblock(Block),
    #[prost(message, tag = "45")]
    DeleteAccount(DeleteAccount),
    #[prost(message, tag = "46")]
    OpenRelay(Empty),
    #[prost(message, tag = "47")]
    JoinRelay(RelaySlot),
    #[prost(message, tag = "48")]
    Relay(RelayPayload),
    #[prost(message, tag = "49")]
    CloseRelay(Empty),
    #[prost(message, tag = "50")]
    OwnAccount(Empty),
    #[prost(message, tag = "51")]
    ClaimOwn(ClaimOwn),
    #[prost(message, tag = "52")]
    Whisper(Whisper),
    #[prost(message, tag = "53")]
    SignedSend(SignedSend),
    #[prost(message, tag = "54")]
    DropKeyPackages(Empty),
    #[prost(message, tag = "60")]
    PutBackup(BackupChunk),
    #[prost(message, tag = "61")]
    DropBackup(BackupName),
    #[prost(message, tag = "62")]
    Backup(BackupName),
    #[prost(message, tag = "90")]
    Holdings(HoldingsRequest),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Send {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub message_id: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub send_key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub tag: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignedSend {
    #[prost(message, optional, tag = "1")]
    pub send: Option<Send>,
    #[prost(message, optional, tag = "2")]
    pub proof: Option<MemberProof>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ack {
    #[prost(uint64, tag = "1")]
    pub seq: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Commit {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(uint64, tag = "2")]
    pub head: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub commit_id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub next_send_key: Bytes,
    #[prost(message, repeated, tag = "6")]
    pub changes: Vec<EntryChange>,
    #[prost(uint64, repeated, tag = "7")]
    pub voids: Vec<u64>,
    #[prost(message, optional, tag = "8")]
    pub welcome: Option<Welcome>,
    #[prost(bytes = "bytes", tag = "9")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "10")]
    pub signature: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EntryChange {
    #[prost(oneof = "Change", tags = "1, 2, 3, 4")]
    pub change: Option<Change>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Change {
    #[prost(message, tag = "1")]
    Add(AddEntry),
    /// Member key.
    #[prost(bytes = "bytes", tag = "2")]
    Remove(Bytes),
    /// The new member key.
    #[prost(bytes = "bytes", tag = "3")]
    Rekey(Bytes),
    /// Attributed mode, on or off.
    #[prost(bool, tag = "4")]
    Attributed(bool),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AddEntry {
    #[prost(bytes = "bytes", tag = "1")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub grant: Bytes,
    #[prost(uint32, tag = "3")]
    pub rights: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Welcome {
    #[prost(bytes = "bytes", tag = "1")]
    pub shared: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub parts: Vec<WelcomePart>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WelcomePart {
    #[prost(bytes = "bytes", tag = "1")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub part: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AccountRef {
    #[prost(string, tag = "1")]
    pub app: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub account: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DoorClaim {
    #[prost(message, optional, tag = "1")]
    pub account: Option<AccountRef>,
    #[prost(bytes = "bytes", tag = "2")]
    pub door: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub room: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MemberProof {
    #[prost(bytes = "bytes", tag = "1")]
    pub member_key: Bytes,
    #[prost(uint64, tag = "2")]
    pub time: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub signature: Bytes,
}

/// `open_entry`, `leave_entry`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EntryRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(message, optional, tag = "2")]
    pub proof: Option<MemberProof>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FetchLog {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(message, optional, tag = "2")]
    pub proof: Option<MemberProof>,
    #[prost(uint64, tag = "3")]
    pub after: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Knock {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(message, optional, tag = "2")]
    pub proof: Option<MemberProof>,
    #[prost(bytes = "bytes", tag = "3")]
    pub knock_id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSuccessor {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(message, optional, tag = "2")]
    pub proof: Option<MemberProof>,
    #[prost(bytes = "bytes", tag = "3")]
    pub successor: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestCode {
    #[prost(string, tag = "1")]
    pub app: String,
    #[prost(string, tag = "2")]
    pub handle: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProveCode {
    #[prost(string, tag = "1")]
    pub app: String,
    #[prost(string, tag = "2")]
    pub handle: String,
    #[prost(string, tag = "3")]
    pub code: String,
}

/// `opaque_register`, `opaque_login`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OpaqueStart {
    #[prost(string, tag = "1")]
    pub app: String,
    #[prost(string, tag = "2")]
    pub handle: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub message: Bytes,
}

/// `opaque_register_finish`, `opaque_login_finish`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OpaqueFinish {
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Register {
    #[prost(bytes = "bytes", tag = "1")]
    pub ticket: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub account: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub root_key: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub links: Vec<Bytes>,
    #[prost(bytes = "bytes", tag = "5")]
    pub device: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AccountOfTicket {
    #[prost(bytes = "bytes", tag = "1")]
    pub ticket: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AddDevice {
    #[prost(bytes = "bytes", tag = "1")]
    pub ticket: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub link: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub device: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Authenticate {
    #[prost(bytes = "bytes", tag = "1")]
    pub device: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub signature: Bytes,
}

/// 1 door, 2 stranger, 3 last resort.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PublishKeyPackages {
    #[prost(uint32, tag = "1")]
    pub pool: u32,
    #[prost(message, repeated, tag = "2")]
    pub packages: Vec<KeyPackageUpload>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyPackageUpload {
    #[prost(bytes = "bytes", tag = "1")]
    pub key_package: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub member_key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AppendDeviceList {
    #[prost(bytes = "bytes", tag = "1")]
    pub link: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Claim {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(oneof = "Who", tags = "2, 3, 4")]
    pub who: Option<Who>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Who {
    #[prost(message, tag = "2")]
    Address(Address),
    #[prost(message, tag = "3")]
    Account(AccountRef),
    /// Token.
    #[prost(bytes = "bytes", tag = "4")]
    Invite(Bytes),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Address {
    #[prost(string, tag = "1")]
    pub app: String,
    #[prost(string, tag = "2")]
    pub handle: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OwnGrant {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub member_key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateRoom {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub send_key: Bytes,
}

/// One rule: 1 ask, 2 invite, 3 nobody.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Reach {
    #[prost(string, tag = "1")]
    pub app: String,
    #[prost(uint32, tag = "2")]
    pub rule: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateInvite {
    #[prost(bytes = "bytes", tag = "1")]
    pub digest: Bytes,
    #[prost(uint32, tag = "2")]
    pub uses: u32,
    #[prost(uint64, tag = "3")]
    pub ttl_s: u64,
    #[prost(bool, tag = "4")]
    pub everywhere: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RevokeInvite {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub digest: Option<Bytes>,
}

/// `put_door`, `drop_door`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Door {
    #[prost(bytes = "bytes", tag = "1")]
    pub digest: Bytes,
}

/// `block`, `unblock`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Block {
    #[prost(message, optional, tag = "1")]
    pub account: Option<AccountRef>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeleteAccount {
    #[prost(bytes = "bytes", tag = "1")]
    pub signature: Bytes,
}

/// `join_relay`, and the answer to `open_relay`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RelaySlot {
    #[prost(uint32, tag = "1")]
    pub slot: u32,
}

/// To the other side of a relay, and from it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RelayPayload {
    #[prost(bytes = "bytes", tag = "1")]
    pub payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClaimOwn {
    #[prost(bytes = "bytes", tag = "1")]
    pub device: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub room: Bytes,
}

/// `put_backup`, and in the answer to `backup`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BackupChunk {
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub chunk: Bytes,
}

/// `drop_backup`; in `backup`, after which name (empty: from the first).
#[derive(Clone, PartialEq, Message)]
pub(super) struct BackupName {
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BackupChunks {
    #[prost(message, repeated, tag = "1")]
    pub chunks: Vec<BackupChunk>,
    #[prost(bool, tag = "2")]
    pub more: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Whisper {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub send_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
}

// ---- server to client

#[derive(Clone, PartialEq, Message)]
pub(super) struct ServerFrame {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(
        oneof = "Body",
        tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 32, 33, 34, 35, 36, 37, 90"
    )]
    pub body: Option<Body>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Body {
    // answers
    #[prost(message, tag = "2")]
    Accepted(Accepted),
    #[prost(message, tag = "3")]
    Done(Empty),
    #[prost(message, tag = "4")]
    Problem(Problem),
    #[prost(message, tag = "5")]
    Claimed(Claimed),
    #[prost(message, tag = "6")]
    Log(Log),
    #[prost(message, tag = "7")]
    Grant(Grant),
    #[prost(message, tag = "16")]
    Apps(Apps),
    #[prost(message, tag = "17")]
    Ticket(Ticket),
    #[prost(message, tag = "18")]
    Opaque(OpaqueAnswer),
    #[prost(message, tag = "19")]
    Account(AccountView),
    #[prost(message, tag = "20")]
    Registered(SignedIn),
    #[prost(message, tag = "21")]
    SignedIn(SignedIn),
    #[prost(message, tag = "22")]
    Pools(Pools),
    #[prost(message, tag = "23")]
    Reach(ReachSettings),
    #[prost(message, tag = "24")]
    RelayOpened(RelaySlot),
    #[prost(message, tag = "26")]
    Backup(BackupChunks),
    #[prost(message, tag = "90")]
    Holdings(Holdings),
    // pushes
    #[prost(message, tag = "8")]
    Rows(Rows),
    #[prost(message, tag = "9")]
    CaughtUp(Empty),
    #[prost(message, tag = "10")]
    PoolsLow(Pools),
    #[prost(message, tag = "32")]
    Hello(Hello),
    #[prost(message, tag = "33")]
    Closing(Problem),
    #[prost(message, tag = "34")]
    DeviceList(DeviceList),
    #[prost(message, tag = "35")]
    Relay(RelayPayload),
    #[prost(message, tag = "36")]
    RelayClosed(Empty),
    #[prost(message, tag = "37")]
    Whisper(Whispered),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Accepted {
    #[prost(uint64, tag = "1")]
    pub room_seq: u64,
    #[prost(uint64, tag = "2")]
    pub time: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub stamp: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub closed: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Problem {
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub detail: String,
    #[prost(uint64, tag = "3")]
    pub retry_after_ms: u64,
    #[prost(uint64, tag = "4")]
    pub head: u64,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub successor: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Claimed {
    #[prost(message, optional, tag = "1")]
    pub view: Option<AccountView>,
    #[prost(message, repeated, tag = "2")]
    pub devices: Vec<ClaimedDevice>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AccountView {
    #[prost(message, optional, tag = "1")]
    pub account: Option<AccountRef>,
    #[prost(bytes = "bytes", tag = "2")]
    pub root_key: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub links: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClaimedDevice {
    #[prost(bytes = "bytes", tag = "1")]
    pub device: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub key_package: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub grant: Bytes,
    #[prost(bool, tag = "5")]
    pub last_resort: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Log {
    #[prost(uint64, tag = "1")]
    pub head: u64,
    #[prost(message, repeated, tag = "2")]
    pub rows: Vec<Row>,
    #[prost(bool, tag = "3")]
    pub more: bool,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub successor: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Grant {
    #[prost(bytes = "bytes", tag = "1")]
    pub grant: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Apps {
    #[prost(message, repeated, tag = "1")]
    pub apps: Vec<AppInfo>,
}

/// Sign-in: 1 phone, 2 username, 3 at-handle.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AppInfo {
    #[prost(string, tag = "1")]
    pub app: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub domain: String,
    #[prost(uint32, tag = "4")]
    pub sign_in: u32,
    #[prost(uint64, tag = "5")]
    pub expiry_s: u64,
    #[prost(uint64, tag = "6")]
    pub expiry_least_s: u64,
    #[prost(uint64, optional, tag = "7")]
    pub expiry_most_s: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ticket {
    #[prost(bytes = "bytes", tag = "1")]
    pub ticket: Bytes,
    #[prost(bool, tag = "2")]
    pub exists: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OpaqueAnswer {
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignedIn {
    #[prost(message, optional, tag = "1")]
    pub account: Option<AccountRef>,
    #[prost(uint64, tag = "2")]
    pub time: u64,
    #[prost(uint64, tag = "3")]
    pub incarnation: u64,
    #[prost(message, optional, tag = "4")]
    pub pools: Option<Pools>,
    #[prost(uint32, tag = "5")]
    pub list: u32,
    #[prost(uint64, tag = "6")]
    pub backup: u64,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub newest: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Pools {
    #[prost(uint32, tag = "1")]
    pub door: u32,
    #[prost(uint32, tag = "2")]
    pub stranger: u32,
    #[prost(bool, tag = "3")]
    pub last_resort_used: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReachSettings {
    #[prost(message, repeated, tag = "1")]
    pub rules: Vec<Reach>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Hello {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub nonce: Bytes,
    #[prost(uint64, tag = "3")]
    pub time: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeviceList {
    #[prost(uint32, tag = "1")]
    pub length: u32,
}

/// To who is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Whispered {
    #[prost(bytes = "bytes", tag = "1")]
    pub room: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub payload: Bytes,
}
