//! The frames of the two sockets, as verified types. `wire` turns them into protobuf and back.
//!
//! **Inbox** (`/v1/inbox`): one per device, signed in, or on its way to sign up. **Outbox** (`/v1/outbox`): never signed
//! in; whoever holds a room's send key, a member key or a door token may use it. Each request carries an id of the
//! client's choice (not 0) that its answer repeats; pushes carry 0. Answers may come in another order than requests.
//!
//! Flows, message by message: `docs/protocol.md`.

use crate::ids::{AccountId, DeviceId, Digest, MemberKey, MessageId, RoomId, Secret, UnixMillis};
use crate::problem::Problem;
use bytes::Bytes;

mod holdings;
mod shown;

pub use holdings::*;

/// The protocol version in [`Push::Hello`] and the socket's path.
pub const PROTOCOL_VERSION: u32 = 1;
/// The largest frame either side accepts, bytes.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// The largest application message payload (an MLS PrivateMessage), bytes.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// The largest message that passes to an `asked` entry, bytes.
pub const MAX_ASKED_MESSAGE_BYTES: usize = 16 * 1024;
/// The largest key package, bytes.
pub const MAX_KEY_PACKAGE_BYTES: usize = 16 * 1024;
/// Most key packages in one [`Request::PublishKeyPackages`].
pub const MAX_KEY_PACKAGES_PER_FRAME: usize = 128;
/// Most entry changes in one commit.
pub const MAX_ENTRY_CHANGES: usize = 1024;
/// Most void rows named in one commit.
pub const MAX_VOIDS: usize = 1024;
/// Most rows in one [`Push::Rows`] or [`Answer::Log`].
pub const MAX_ROWS_PER_FRAME: usize = 1024;
/// The longest handle as typed, bytes.
pub const MAX_HANDLE_BYTES: usize = 256;
/// The longest one-time code, bytes.
pub const MAX_CODE_BYTES: usize = 16;
/// The largest OPAQUE message, bytes.
pub const MAX_OPAQUE_BYTES: usize = 512;
/// The largest grant, bytes.
pub const MAX_GRANT_BYTES: usize = 512;
/// The largest payload of a knock, bytes.
pub const MAX_KNOCK_BYTES: usize = 32 * 1024;
/// The largest whisper, bytes.
pub const MAX_WHISPER_BYTES: usize = 256;
/// In a room of more entries nobody's whispers are handed on: 32 people with four devices each.
pub const MAX_WHISPER_ENTRIES: usize = 128;
/// The largest payload that a relay hands on, bytes.
pub const MAX_RELAY_BYTES: usize = 16 * 1024;
/// The largest chunk of a backup, bytes.
pub const MAX_BACKUP_CHUNK_BYTES: usize = 80 * 1024;
/// Most chunks of an account's backup.
pub const MAX_BACKUP_NAMES: u32 = 2048;
/// Most bytes of all of them.
pub const MAX_BACKUP_BYTES: u64 = 48 << 20;
/// Most chunks of a backup in one [`Answer::Backup`].
pub const MAX_BACKUP_CHUNKS: usize = 32;
/// Relays are numbered below this: six decimal digits.
pub const RELAY_SLOTS: u32 = 1_000_000;
/// Most apps of a deployment.
pub const MAX_APPS: usize = 256;

/// An app of this deployment, by its short name (`bell`): 1 to 32 of `a-z`, `0-9`, `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(String);

impl AppId {
    /// Parses a short name.
    ///
    /// # Errors
    /// [`Problem`] with `NoSuchApp` when it is empty, too long, or has other characters.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        let fits = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(Problem::new(crate::problem::Code::NoSuchApp, "an app's name is 1 to 32 of a-z, 0-9 and -"))
        }
    }

    /// The short name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AppId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One account, as the wire and credentials name it (`mimi://<app-domain>/u/<account>`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountRef {
    /// The app it lives on.
    pub app: AppId,
    /// The account there.
    pub account: AccountId,
}

/// How people sign in to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignIn {
    /// E.164 number and one-time code.
    Phone,
    /// Username and password (OPAQUE).
    Username,
    /// Public @handle and password (OPAQUE).
    AtHandle,
}

/// What anybody may know of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInfo {
    /// Short name, as in addresses.
    pub app: AppId,
    /// Name for people.
    pub name: String,
    /// Provider domain.
    pub domain: String,
    /// How people sign in.
    pub sign_in: SignIn,
    /// Default conversation expiry, seconds.
    pub expiry_s: u64,
    /// The shortest that people can choose, seconds.
    pub expiry_least_s: u64,
    /// The longest that people can choose, seconds; `None`: also none at all.
    pub expiry_most_s: Option<u64>,
}

// ---- client to server -------------------------------------------------------------------------------------------

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFrame {
    /// Chosen by the client, not 0; the answer repeats it.
    pub id: u64,
    /// What it wants.
    pub request: Request,
}

/// Everything a client can ask for. The comment tells the socket, the state it needs, and the answer.
#[allow(missing_docs, reason = "the comment on each variant tells its fields")]
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    // -- either socket, any state
    /// Which apps are there. → [`Answer::Apps`]
    Apps,

    // -- inbox, before signing in
    /// Sends a one-time code to a phone number. → [`Answer::Done`] whether or not an account exists.
    RequestCode { app: AppId, handle: String },
    /// Proves a number by its code. → [`Answer::Ticket`]
    ProveCode { app: AppId, handle: String, code: String },
    /// OPAQUE registration, first message (`RegistrationRequest`). → [`Answer::Opaque`], or `HandleTaken`.
    OpaqueRegister { app: AppId, handle: String, message: Bytes },
    /// OPAQUE registration, last message (`RegistrationUpload`). → [`Answer::Ticket`]; stored only by `Register`.
    OpaqueRegisterFinish { message: Bytes },
    /// OPAQUE login, first message (`CredentialRequest`). → [`Answer::Opaque`], for unknown users too.
    OpaqueLogin { app: AppId, handle: String, message: Bytes },
    /// OPAQUE login, last message (`CredentialFinalization`). → [`Answer::Ticket`]
    OpaqueLoginFinish { message: Bytes },
    /// Makes the account that a ticket proves a handle for. `links` is its whole device list: the first link signed by
    /// `root_key`, adding `device`. → [`Answer::Registered`]; the socket is then signed in.
    Register { ticket: Secret, account: AccountId, root_key: [u8; 32], links: Vec<Bytes>, device: DeviceId },
    /// With a ticket for an existing account: its reference and device list, so that the recovery key (or another
    /// device) can sign a new device in. → [`Answer::Account`]
    AccountOfTicket { ticket: Secret },
    /// Adds a device by a signed link; the ticket proves the handle, the link's signature authorises. → [`Answer::Registered`];
    /// the socket is then signed in.
    AddDevice { ticket: Secret, link: Bytes, device: DeviceId },
    /// Signs in a known device: Ed25519 signature by the device key over [`sign_in_bytes`]. → [`Answer::SignedIn`]
    Authenticate { device: DeviceId, signature: [u8; 64] },
    /// Joins the relay that a signed-in device has opened; a slot takes one joiner, ever. → `Done`, or `Expired`: no such slot,
    /// taken, over
    JoinRelay { slot: u32 },

    // -- inbox, either side of a relay, signed in or not
    /// Hands a payload of at most [`MAX_RELAY_BYTES`] to the other side, which gets it as [`Push::Relay`]. → `Done`, or
    /// `Expired`: nobody is there
    Relay { payload: Bytes },
    /// Ends the relay for both sides. → `Done`, also when there is none
    CloseRelay,

    // -- inbox, signed in
    /// Deletes all mailbox rows up to and with `seq`. No answer (id is ignored).
    Ack { seq: u64 },
    /// Adds key packages to a pool. → [`Answer::Pools`]
    PublishKeyPackages { pool: Pool, packages: Vec<KeyPackageUpload> },
    /// Deletes all key packages of this device, the last resort too: it does not have their private parts (any more).
    /// → [`Answer::Pools`]
    DropKeyPackages,
    /// Appends a signed change to the device list. Adding a device makes its mailbox, so that it can authenticate; revoking one
    /// closes its mailbox, socket, key packages. The last one cannot be revoked. → `Done`
    AppendDeviceList { link: Bytes },
    /// This account with its device list. → [`Answer::Account`]
    OwnAccount,
    /// A key package of one other device of this account, with an open grant. → [`Answer::Claimed`] with that device alone,
    /// `NotReachable` when it is not listed, has no packages or is the one that asks
    ClaimOwn { device: DeviceId, room: RoomId },
    /// Stores a chunk of the account's backup, sealed by its devices, in the place of the one of this name. → `Done`, `Full`
    PutBackup { name: [u8; 16], chunk: Bytes },
    /// Deletes a chunk. → `Done`, also when there is none
    DropBackup { name: [u8; 16] },
    /// The chunks whose names are above `after`, by name. → [`Answer::Backup`]
    Backup { after: Option<[u8; 16]> },
    /// Opens a relay by which a device that is not signed in can be reached, in place of one that is open on this socket.
    /// → [`Answer::Relay`]
    OpenRelay,
    /// Key packages of somebody, as a stranger or by invite: metered, bound to `room`. → [`Answer::Claimed`], `NotReachable`,
    /// `TooManyNewPeople`
    Claim { who: Who, room: RoomId },
    /// A grant for this device's own mailbox under a (new) member key. → [`Answer::Grant`]
    OwnGrant { room: RoomId, member_key: MemberKey },
    /// Makes a room whose only entry is this device's (all rights, open). Metered; the creator is not stored. → `Done`, `RoomExists`
    CreateRoom { room: RoomId, member_key: MemberKey, send_key: Digest },
    /// This account's reach settings. → [`Answer::Reach`]
    Reach,
    /// Changes one reach rule. → [`Answer::Reach`]
    SetReach { from: AppId, rule: ReachRule },
    /// Makes an invite: the client draws the token and tells its digest. `everywhere`: it reaches also from apps whose people
    /// may not ask (a link to a group is given to whom one likes). → `Done`
    CreateInvite { digest: Digest, uses: u32, ttl_s: u64, everywhere: bool },
    /// Revokes an invite (`Some`) or all of them (`None`). → `Done`
    RevokeInvite { digest: Option<Digest> },
    /// Stores the digest of a door token that a contact holds. → `Done`
    PutDoor { digest: Digest },
    /// Deletes a door token's digest. → `Done`
    DropDoor { digest: Digest },
    /// Blocks an account: its claims are answered as if there were nobody. → `Done`
    Block { account: AccountRef },
    /// Takes a block back. → `Done`
    Unblock { account: AccountRef },
    /// What the server holds of this account, from a cursor on. → [`Answer::Holdings`]
    Holdings { after: Option<Bytes> },
    /// Deletes the account: Ed25519 signature by the device key over [`delete_account_bytes`]. → `Done`; the socket closes.
    DeleteAccount { signature: [u8; 64] },

    // -- outbox (anonymous)
    /// An application message. → [`Answer::Accepted`]; `WrongSendKey`; `Attributed`: the room wants a signature; the same message id again gets the same answer.
    Send { room: RoomId, message_id: MessageId, send_key: Secret, tag: [u8; 32], payload: Bytes },
    /// The same in a room in attributed mode, signed by the sender's entry and metered for it. → [`Answer::Accepted`]; `WrongSendKey`;
    /// `NoSuchRoom`, `BadSignature`; `SlowDown` with a time to come back. Elsewhere it is taken as a `Send` is.
    SignedSend {
        room: RoomId,
        message_id: MessageId,
        send_key: Secret,
        tag: [u8; 32],
        payload: Bytes,
        proof: Box<MemberProof>,
    },
    /// A commit. → [`Answer::Accepted`], `Behind`; the same commit id again gets the same answer.
    Commit(Box<Commit>),
    /// Key packages of somebody who gave a door token: anonymous, not metered per claimer; grants are `open`. → [`Answer::Claimed`]
    DoorClaim { account: AccountRef, door: Secret, room: RoomId },
    /// Opens one's own `asked` entry (signature over [`entry_bytes`]). → `Done`
    OpenEntry { room: RoomId, proof: MemberProof },
    /// Drops one's own entry. → `Done`, also when it is gone already
    LeaveEntry { room: RoomId, proof: MemberProof },
    /// Handshake rows with a sequence above `after`. → [`Answer::Log`], `LogGone`
    FetchLog { room: RoomId, after: u64, proof: MemberProof },
    /// Asks to be let back in; `payload` is sealed for the members. → [`Answer::Accepted`]
    Knock { room: RoomId, knock_id: MessageId, payload: Bytes, proof: MemberProof },
    /// Names the room that follows; one winner. Needs the right to commit. → `Done`, or `Succeeded` with the winner
    SetSuccessor { room: RoomId, successor: RoomId, proof: MemberProof },
    /// Something small that is worth nothing later, at most [`MAX_WHISPER_BYTES`]: handed at once, as [`Push::Whisper`], to open
    /// entries whose devices are connected, and kept nowhere. Only with the newest epoch's send key. → `Done`, also when it was
    /// dropped (too many, a room of more than [`MAX_WHISPER_ENTRIES`]); `WrongSendKey`
    Whisper { room: RoomId, send_key: Secret, payload: Bytes },
}

/// A signature by an entry's member key over [`entry_bytes`], fresh within ten minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberProof {
    /// The entry.
    pub member_key: MemberKey,
    /// When it was signed, the client's estimate of server time.
    pub time: UnixMillis,
    /// Ed25519.
    pub signature: [u8; 64],
}

/// Whom a claim is for.
#[allow(missing_docs, reason = "the comment on each variant tells its fields")]
#[derive(Clone, PartialEq, Eq)]
pub enum Who {
    /// By address: a handle as typed, on an app.
    Address { app: AppId, handle: String },
    /// By reference (somebody met before, without a door token).
    Account(AccountRef),
    /// By invite.
    Invite(Secret),
}

/// Which pool a key package is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// For claims with a door token.
    Door,
    /// For everybody else.
    Stranger,
    /// Given out when a pool is empty, again and again, until replaced. One per device.
    LastResort,
}

/// A key package and the member key that is in its credential (the server cannot read it there).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPackageUpload {
    /// MLS KeyPackage, at most [`MAX_KEY_PACKAGE_BYTES`].
    pub key_package: Bytes,
    /// The same as in its leaf's credential.
    pub member_key: MemberKey,
}

/// A commit, as the server sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Commit {
    /// The room.
    pub room: RoomId,
    /// The handshake head that the committer processed last (0: none yet).
    pub head: u64,
    /// Idempotency.
    pub commit_id: MessageId,
    /// MLS PrivateMessage with the commit.
    pub payload: Bytes,
    /// Digest of the next epoch's send key.
    pub next_send_key: Digest,
    /// What changes at the server, in this order.
    pub changes: Vec<EntryChange>,
    /// Sequences of void rows since the last valid commit, whose entry changes the server undoes before `changes`.
    pub voids: Vec<u64>,
    /// For those who join.
    pub welcome: Option<Welcome>,
    /// The committer's entry.
    pub member_key: MemberKey,
    /// Ed25519 by `member_key` over [`commit_bytes`].
    pub signature: [u8; 64],
}

/// What a commit changes in the list of entries.
#[allow(missing_docs, reason = "the comment on each variant tells its fields")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryChange {
    /// A new entry; whether it is `open` or `asked` is sealed in the grant.
    Add { member_key: MemberKey, grant: Bytes, rights: Rights },
    /// An entry goes, with its send keys at once.
    Remove { member_key: MemberKey },
    /// The committer's own entry gets a new member key.
    Rekey { new: MemberKey },
    /// The room goes into attributed mode (sends are signed by entries and metered for each), or out of it.
    Attributed { on: bool },
}

/// What an entry may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rights(pub u8);

impl Rights {
    /// May commit at all.
    pub const COMMIT: Rights = Rights(1);
    /// May add entries.
    pub const ADD: Rights = Rights(2);
    /// May remove entries other than its own.
    pub const REMOVE: Rights = Rights(4);
    /// All of them.
    pub const ALL: Rights = Rights(7);

    /// Whether all bits of `other` are set.
    pub fn allow(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The Welcome of a commit, split: the shared part once, a small part per joiner.
#[derive(Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Encrypted group info and tree: the same for all joiners.
    pub shared: Bytes,
    /// One per joining entry.
    pub parts: Vec<(MemberKey, Bytes)>,
}

// ---- server to client -------------------------------------------------------------------------------------------

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The answer to the request with this id.
    Answer {
        /// The request's id.
        id: u64,
        /// What came of it.
        result: Result<Answer, Problem>,
    },
    /// Something the client did not ask for.
    Push(Push),
}

/// Answers.
#[allow(missing_docs, reason = "the comment on each variant tells its fields")]
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// The apps of this deployment.
    Apps(Vec<AppInfo>),
    /// A handle is proven; good for ten minutes and one use. `exists`: there is an account already.
    Ticket { ticket: Secret, exists: bool },
    /// The server's OPAQUE message.
    Opaque { message: Bytes },
    /// The account of a ticket.
    Account(AccountView),
    /// Account or device is made; the socket is signed in.
    Registered(SignedIn),
    /// The device is signed in; waiting rows follow as pushes, then [`Push::CaughtUp`].
    SignedIn(SignedIn),
    /// How many key packages are left.
    Pools { door: u32, stranger: u32, last_resort_used: bool },
    /// Key packages of an account's devices.
    Claimed(Claimed),
    /// A grant.
    Grant { grant: Bytes },
    /// The reach settings: for each app of the deployment.
    Reach(Vec<(AppId, ReachRule)>),
    /// Stored durably at this sequence of the room. For a send, `stamp` is over the tag. `closed`: entries whose mailbox is
    /// gone (told to committers): their leaves should be removed.
    Accepted { room_seq: u64, time: UnixMillis, stamp: [u8; 32], closed: Vec<MemberKey> },
    /// Part of a room's log.
    Log(Log),
    /// Chunks of the account's backup, at most [`MAX_BACKUP_CHUNKS`]; `more` of them follow the last.
    Backup { chunks: Vec<([u8; 16], Bytes)>, more: bool },
    /// What the server holds of the account: a page of it.
    Holdings(Holdings),
    /// A relay is open; `slot` is below [`RELAY_SLOTS`] and unique among open ones.
    Relay { slot: u32 },
}

/// The state a device starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The account.
    pub account: AccountRef,
    /// Server time now.
    pub time: UnixMillis,
    /// Grows with every restore of the server from a backup.
    pub incarnation: u64,
    /// When the backup was made of which the server was restored last; 0: never.
    pub backup: UnixMillis,
    /// Key packages left for door claims.
    pub door: u32,
    /// Key packages left for strangers.
    pub stranger: u32,
    /// Whether the last-resort package was given out (or there is none).
    pub last_resort_used: bool,
    /// The newest package that is left in each pool, at most three: a device that does not know one of them is an older copy of
    /// itself, and what is made for it by these packages, it cannot read.
    pub newest: Vec<MemberKey>,
    /// How many links the account's device list has.
    pub list: u32,
}

/// An account as its own people or a claimer see it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountView {
    /// Which one.
    pub account: AccountRef,
    /// Ed25519.
    pub root_key: [u8; 32],
    /// The device list: all links, oldest first.
    pub links: Vec<Bytes>,
}

/// What a claim gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Whose.
    pub view: AccountView,
    /// One per device.
    pub devices: Vec<ClaimedDevice>,
}

/// One device's key package.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedDevice {
    /// The device.
    pub device: DeviceId,
    /// MLS KeyPackage.
    pub key_package: Bytes,
    /// As uploaded beside it.
    pub member_key: MemberKey,
    /// Opaque to clients; for one entry in the room that the claim named.
    pub grant: Bytes,
    /// It is the last-resort package: whoever joins by it updates its leaf before its first message.
    pub last_resort: bool,
}

/// Who may contact me, from one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReachRule {
    /// Everyone there may ask.
    Ask,
    /// Only who holds an invite (or a door token).
    Invite,
    /// Nobody (but door tokens, and invites that are made for everywhere).
    Nobody,
}

/// Part of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The handshake head.
    pub head: u64,
    /// Handshake rows, oldest first.
    pub rows: Vec<Row>,
    /// There is more after the last row.
    pub more: bool,
    /// The room that follows this one.
    pub successor: Option<RoomId>,
}

/// Pushes.
#[allow(missing_docs, reason = "the comment on each variant tells its fields")]
#[derive(Clone, PartialEq, Eq)]
pub enum Push {
    /// First frame on every socket. `nonce` is what [`Request::Authenticate`] signs.
    Hello { version: u32, nonce: [u8; 32], time: UnixMillis },
    /// Waiting rows, in order of `seq`.
    Rows(Vec<Row>),
    /// All rows that waited at sign-in have been pushed.
    CaughtUp,
    /// A pool runs low.
    PoolsLow { door: u32, stranger: u32, last_resort_used: bool },
    /// The account's device list was changed, on another socket; it has now so many links.
    DeviceList { length: u32 },
    /// What the other side of the relay hands over.
    Relay { payload: Bytes },
    /// The relay is over: the other side closed it or left, or its time is up.
    RelayClosed,
    /// What a member of the room whispers just now, whoever it is (this device, too). It is in no mailbox and has no place
    /// among the rows.
    Whisper { room: RoomId, payload: Bytes },
    /// The server closes this socket, and why (`Unavailable`: it restarts; `NotADevice`: revoked or account deleted …).
    Closing(Problem),
}

/// One row of a mailbox (or of a log, where `seq` is 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Cursor in this mailbox.
    pub seq: u64,
    /// The room it belongs to.
    pub room: RoomId,
    /// Position in the room: strictly increasing, not gapless.
    pub room_seq: u64,
    /// When the server accepted it.
    pub time: UnixMillis,
    /// What it is.
    pub body: RowBody,
}

/// What a row carries.
#[allow(missing_docs, reason = "the comment on each variant tells its fields")]
#[derive(Clone, PartialEq, Eq)]
pub enum RowBody {
    /// An application message.
    Message { message_id: MessageId, tag: [u8; 32], stamp: [u8; 32], payload: Bytes },
    /// A handshake: for everybody who was an entry before or is after it. `entries` is the [`entries_digest`] of what it did
    /// at the server.
    Commit {
        commit_id: MessageId,
        payload: Bytes,
        next_send_key: Digest,
        voids: Vec<u64>,
        member_key: MemberKey,
        entries: Digest,
    },
    /// For who joins: `first` is the room sequence of the commit that added it; later rows are for its epoch.
    Welcome { member_key: MemberKey, shared: Bytes, part: Bytes, asked: bool },
    /// Somebody asks to be let back in.
    Knock { knock_id: MessageId, member_key: MemberKey, payload: Bytes },
    /// The room has a successor.
    Successor { successor: RoomId, member_key: MemberKey },
}

// ---- what is signed ---------------------------------------------------------------------------------------------

/// What [`Request::Authenticate`] signs: label, nonce of [`Push::Hello`], device.
pub fn sign_in_bytes(nonce: &[u8; 32], device: &DeviceId) -> Vec<u8> {
    labelled(b"parlour-sign-in-1", &[nonce, &device.0])
}

/// What [`Request::DeleteAccount`] signs: label, nonce of [`Push::Hello`], account.
pub fn delete_account_bytes(nonce: &[u8; 32], account: &AccountId) -> Vec<u8> {
    labelled(b"parlour-delete-1", &[nonce, &account.0])
}

/// What a [`MemberProof`] signs. `what` is the request's name in lower case (`open`, `leave`, `log`, `knock`, `successor`),
/// `detail` its other fields: empty for `open` and `leave`, 8 bytes big-endian `after`, `knock_id || SHA-256(payload)`, `successor`.
pub fn entry_bytes(what: &str, room: &RoomId, time: UnixMillis, detail: &[u8]) -> Vec<u8> {
    labelled(b"parlour-entry-1", &[what.as_bytes(), &room.0, &time.0.to_be_bytes(), detail])
}

/// What a [`MemberProof`] for `send` has as `detail`: message id, franking tag, SHA-256 of the payload.
pub fn send_detail(message_id: &MessageId, tag: &[u8; 32], payload: &[u8]) -> Vec<u8> {
    [&message_id.0[..], tag, &Digest::of(payload).0].concat()
}

/// What a [`Commit`] signs: every field but the signature.
pub fn commit_bytes(commit: &Commit) -> Vec<u8> {
    let mut changes = Vec::new();
    for change in &commit.changes {
        changes.extend(without_grant(change));
        if let EntryChange::Add { grant, .. } = change {
            changes.extend(Digest::of(grant).0);
        }
    }
    let voids: Vec<u8> = commit.voids.iter().flat_map(|seq| seq.to_be_bytes()).collect();
    let mut welcome = Vec::new();
    if let Some(w) = &commit.welcome {
        welcome.extend(Digest::of(&w.shared).0);
        for (key, part) in &w.parts {
            welcome.extend(key.0);
            welcome.extend(Digest::of(part).0);
        }
    }
    labelled(
        b"parlour-commit-1",
        &[
            &commit.room.0,
            &commit.head.to_be_bytes(),
            &commit.commit_id.0,
            &Digest::of(&commit.payload).0,
            &commit.next_send_key.0,
            &changes,
            &voids,
            &welcome,
            &commit.member_key.0,
        ],
    )
}

/// Digest of what a commit does to the room's entries, in no order and without grants: members hold it against the leaves that
/// the commit removes, adds and changes. SHA-256 over label and, sorted: `1 || member key || rights` for one added, `2 || member
/// key` for one removed, `3 || member key` for the committer's new one, `4 || 1` or `4 || 0` for attributed mode.
pub fn entries_digest(changes: &[EntryChange]) -> Digest {
    let mut parts: Vec<Vec<u8>> = changes.iter().map(without_grant).collect();
    parts.sort();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Digest::of(&labelled(b"parlour-entries-1", &parts))
}

fn without_grant(change: &EntryChange) -> Vec<u8> {
    let (kind, key, rights) = match change {
        EntryChange::Attributed { on } => return vec![4, u8::from(*on)],
        EntryChange::Add { member_key, rights, .. } => (1, member_key, Some(rights.0)),
        EntryChange::Remove { member_key } => (2, member_key, None),
        EntryChange::Rekey { new } => (3, new, None),
    };
    std::iter::once(kind).chain(key.0).chain(rights).collect()
}

/// Label, then each part behind its length (4 bytes, big-endian): no two inputs give the same bytes.
pub fn labelled(label: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let total = parts.iter().map(|part| part.len() + 4).sum::<usize>() + label.len() + 4;
    let mut out = Vec::with_capacity(total);
    for part in std::iter::once(&label).chain(parts) {
        out.extend((part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}
