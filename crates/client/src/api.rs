//! What a shell and the engine say to each other.
//!
//! The engine never awaits, reads a clock or draws randomness: a shell calls `handle(input, now, rng)` and then drains
//! `poll()` until it gives `None`. Of the effects of one `handle` the shell commits all [`Effect::Commit`] changes in **one**
//! transaction first, **then** sends the frames, **then** notifies. A crash between any two of these is safe.

pub use parlour_e2ee::{Allowed, Role as GroupRole};
pub use parlour_proto::content::Picture;
pub use parlour_proto::content::mention::Mention;
use parlour_proto::frames::{AccountRef, AppId, AppInfo, ClientFrame, ReachRule, ServerFrame};
pub use parlour_proto::frames::{Ends, HELD_WAITING, HeldKind, HeldRow, Unlisted};
use parlour_proto::ids::{DeviceId, Digest, MessageId, UnixMillis};
use zeroize::Zeroizing;

/// One of the engine's identities (an account and this device's keys for it); 0 is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId(pub u16);

/// Which of an identity's two sockets. Identities never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `/v1/inbox`, signed in.
    Inbox,
    /// `/v1/outbox`, anonymous, opened on demand.
    Outbox,
}

/// A socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socket {
    /// Whose.
    pub identity: IdentityId,
    /// Which.
    pub role: Role,
}

/// A conversation on this device; random, local, never on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(pub [u8; 16]);

/// Ties an intent to its [`Event::Done`]; the shell's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(pub u64);

/// What goes into the engine.
#[derive(Debug)]
pub enum Input {
    /// The user wants something.
    Intent(IntentId, Intent),
    /// A socket asked for by [`Effect::Open`] is there.
    Connected(Socket),
    /// A socket is gone, or could not be opened. The engine decides when to try again (exponential, with jitter).
    Disconnected(Socket),
    /// A frame came.
    Frame(Socket, ServerFrame),
    /// The instant of an [`Effect::WakeAt`] has come (extra ticks do no harm).
    Tick,
    /// The rows asked for by [`Effect::Load`], in key order.
    Loaded {
        /// Of the effect.
        token: u64,
        /// Keys and values.
        rows: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

/// What comes out of it.
#[derive(Debug)]
pub enum Effect {
    /// Write these rows; all of one drain in one transaction, before anything else.
    Commit(Changes),
    /// Read all rows whose key starts with `prefix` and answer with [`Input::Loaded`].
    Load {
        /// Repeated in the answer.
        token: u64,
        /// Key prefix.
        prefix: Vec<u8>,
    },
    /// Open a socket.
    Open(Socket),
    /// Close it.
    Close(Socket),
    /// Send a frame on an open socket.
    Send(Socket, ClientFrame),
    /// Tell the user.
    Notify(Event),
    /// Call `handle(Tick)` at this instant, or a little later. Replaces the earlier wish.
    WakeAt(UnixMillis),
}

/// Rows to write: `None` deletes. Applied in order; the last write of a key wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(pub Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// How a user proves a handle.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The one-time code sent to the number.
    Code(String),
    /// The password (goes into OPAQUE, never to the server).
    Password(Zeroizing<String>),
}

/// Whom something is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address, `handle@app` (`@handle@app` too).
    Address(String),
    /// An invite's text.
    Invite(String),
    /// A conversation that is there.
    Conversation(ConversationId),
    /// Somebody seen in a group.
    Account(AccountRef),
}

/// What a user can want. Each ends in exactly one [`Event::Done`], at once or when the network has answered.
#[derive(Debug, Clone)]
pub enum Intent {
    /// The apps of the server. → [`Reply::Apps`]
    Apps,
    /// Sends a one-time code. → [`Reply::Ok`]
    RequestCode { app: AppId, handle: String },
    /// Makes an account. → [`Reply::SignedUp`]
    SignUp { app: AppId, handle: String, proof: Proof },
    /// Signs a new device in with the recovery key's 24 words. → [`Reply::Ok`]
    SignIn { app: AppId, handle: String, proof: Proof, recovery_key: Zeroizing<String> },
    /// Who am I. → [`Reply::Identities`]
    WhoAmI,
    /// Starts connecting and stays connected. → [`Reply::Ok`] when the waiting rows have been drained.
    Sync,
    /// Drops the sockets; what is queued stays. → [`Reply::Ok`]
    GoOffline,
    /// Writes to somebody; a first contact becomes a request there. → [`Reply::Queued`] when stored here (it is sent when
    /// the network allows; [`Event::Message`] with a changed `state` follows).
    Send { to: Target, body: Body },
    /// All conversations, newest first. → [`Reply::Conversations`]
    Conversations,
    /// Messages of a conversation, oldest first, before `before` (order) if given. → [`Reply::Messages`]
    Messages { conversation: ConversationId, before: Option<u64>, limit: u32 },
    /// To whom an own message was delivered, and who has read it, as far as they say so. → [`Reply::Readers`]
    Readers { conversation: ConversationId, message: MessageId },
    /// Marks everything in it as read; sends read reports if they are on. → [`Reply::Ok`]
    MarkRead { conversation: ConversationId },
    /// Requests waiting for a choice. → [`Reply::Requests`]
    Requests,
    /// Lets somebody in. → [`Reply::Conversation`]
    Accept { request: ConversationId },
    /// Forgets a request silently. → [`Reply::Ok`]
    Decline { request: ConversationId },
    /// Blocks the other side of a request or conversation. → [`Reply::Ok`]
    Block { conversation: ConversationId },
    /// Unblocks an account by address or conversation. → [`Reply::Ok`]
    Unblock { conversation: ConversationId },
    /// Who may contact me. → [`Reply::Reach`]
    Reach,
    /// Changes one rule. → [`Reply::Reach`]
    SetReach { from: AppId, rule: ReachRule },
    /// Makes an invite. → [`Reply::Invite`]
    CreateInvite { uses: u32, ttl_s: u64 },
    /// Revokes all invites. → [`Reply::Ok`]
    RevokeInvites,
    /// The safety number with somebody. → [`Reply::SafetyNumber`]
    SafetyNumber { with: Target },
    /// Marks somebody's safety number as compared (`true`) or not. → [`Reply::Ok`]
    SetVerified { conversation: ConversationId, verified: bool },
    /// Switches delivered and read reports, and whether others see that one is writing (who does not tell does not see it,
    /// either). All are on at first. → [`Reply::Ok`]
    SetReports { delivered: bool, read: bool, typing: bool },
    /// The name people see, sent end-to-end to those one talks to. → [`Reply::Ok`]
    SetName { name: String },
    /// Name and picture that people see, sent end-to-end to those one talks to; the picture never with a first contact,
    /// only after acceptance. The name has at most [`MAX_DISPLAY_NAME_CHARS`] characters. → [`Reply::Ok`]
    ///
    /// [`MAX_DISPLAY_NAME_CHARS`]: parlour_proto::content::MAX_DISPLAY_NAME_CHARS
    SetProfile { name: String, picture: Option<Picture> },
    /// Somebody's picture, or (`None`) one's own. → [`Reply::Picture`]
    Picture { of: Option<AccountRef> },
    /// Makes a group; for who is asked first, see [`Intent::AddMembers`]. → [`Reply::Conversation`]
    CreateGroup { title: String, members: Vec<Target> },
    /// Adds people. Those who never let us in are asked first (they get a request), and come in when they accept, at any
    /// time within 30 days: until then they are in [`GroupView::invited`]. → [`Reply::Conversation`]
    AddMembers { conversation: ConversationId, members: Vec<Target> },
    /// Takes an invitation back: they are not brought in any more. (What they were sent stays with them.)
    /// → [`Reply::Conversation`]
    Uninvite { conversation: ConversationId, member: AccountRef },
    /// Makes a link by which so many can join, with our approval (a request) or without. → [`Reply::GroupLink`]
    CreateGroupLink { conversation: ConversationId, approve: bool, uses: u32, ttl_s: u64 },
    /// The links to a group that were made by this account. → [`Reply::GroupLinks`]
    GroupLinks { conversation: ConversationId },
    /// Nobody joins by this link any more. → [`Reply::Ok`]
    RevokeGroupLink { link: Digest },
    /// Asks to join by a link. → [`Reply::Ok`] when it leads to somebody; [`Event::JoinEnded`] follows.
    JoinByLink { link: String },
    /// Where one asked to join, and nothing came yet. → [`Reply::Joining`]
    Joining,
    /// Does not want to join any more. → [`Reply::Ok`]
    StopJoining { join: ConversationId },
    /// Removes somebody. → [`Reply::Ok`]
    RemoveMember { conversation: ConversationId, member: AccountRef },
    /// Changes a group's title, for all. → [`Reply::Ok`]
    Rename { conversation: ConversationId, title: String },
    /// Changes a group's picture, for all; `None` takes it away. → [`Reply::Ok`]
    SetGroupPicture { conversation: ConversationId, picture: Option<Picture> },
    /// A group's picture. → [`Reply::Picture`]
    GroupPicture { conversation: ConversationId },
    /// Says how long what is said in a conversation stays, for all; who may set a group's rules does, and either of two. `existing`:
    /// what is there follows it, too; else only what is said from then on. A message with a [`Notice`] in it tells everybody.
    /// → [`Reply::Conversation`] when the conversation has taken it
    SetExpiry { conversation: ConversationId, expiry: Expiry, existing: bool },
    /// Shows a message that can be seen once; it is gone from all own devices with the answer. → [`Reply::Messages`], of one
    Open { conversation: ConversationId, message: MessageId },
    /// Keeps a message beyond its time, on own devices only (or, `keep` being `false`, no longer): where the conversation's
    /// [`Expiry::archive`] allows it; never one with a [`Timer`]. → [`Reply::Ok`]
    Keep { conversation: ConversationId, message: MessageId, keep: bool },
    /// Keeps all of a conversation from now on, what is there included; as [`Intent::Keep`]. → [`Reply::Conversation`]
    KeepAll { conversation: ConversationId, keep: bool },
    /// Single messages that are kept ([`Intent::Keep`]), of any conversation: the newest `limit` of those from before an instant
    /// (`None`: of all), and whatever has the same time as the oldest of them; newest first. → [`Reply::Archive`]
    Archive { before: Option<UnixMillis>, limit: u32 },
    /// Gives a member (or oneself) a role; owners do. → [`Reply::Conversation`] when the group has taken it
    SetRole { conversation: ConversationId, member: AccountRef, role: GroupRole },
    /// Says who may do what in a group; admins do. → [`Reply::Conversation`] when the group has taken it
    SetRules { conversation: ConversationId, rules: GroupRules },
    /// Puts a group into attributed mode (any member), or out of it (admins): the server is told who sends each message, and lets each
    /// send only so many; not what it says. For a group that is flooded. → [`Reply::Conversation`] when the group has taken it
    SetAttributed { conversation: ConversationId, attributed: bool },
    /// Leaves. → [`Reply::Ok`]
    Leave { conversation: ConversationId },
    /// Shows a code by which another device can be linked to this account; an earlier one is void.
    /// → [`Reply::LinkCode`]; [`Event::LinkAsked`] or [`Event::LinkEnded`] follows
    OfferLink,
    /// Whether who asked ([`Event::LinkAsked`]) is to be linked. → [`Reply::Ok`] when it is on the account's list
    ConfirmLink { yes: bool },
    /// The code is void from now on; where one was typed: gives up. → [`Reply::Ok`]
    CancelLink,
    /// On an empty home: makes this device one of the account whose device shows the code. `name` is what the other devices
    /// call this one. Answered when the other side has confirmed. → [`Reply::Linked`]; [`Event::History`] follows
    Link { code: String, name: String },
    /// On a home that has an account: answers for another one, too, whose device shows the code. As [`Intent::Link`].
    LinkAccount { code: String, name: String },
    /// Does not answer for a linked account any more: this device goes from its list, and everything of it from here.
    /// → [`Reply::Ok`]
    Unlink { identity: IdentityId },
    /// What this identity is to do; without it, the first one does what is not about a conversation.
    As(IdentityId, Box<Intent>),
    /// The account's devices. → [`Reply::Devices`]
    Devices,
    /// What the other devices call this one. → [`Reply::Devices`]
    NameDevice { name: String },
    /// Takes a device off the account's list, for good: this one (which signs it out), or a lost one. → [`Reply::Devices`]
    RevokeDevice { device: DeviceId },
    /// Where messages of an account are shown: whether this device shows them, and when it is quiet. Any own device can say it
    /// of any. One that shows nothing goes on receiving. → [`Reply::Devices`]
    SetShowing { device: DeviceId, showing: Showing },
    /// What is being written in a conversation, for all own devices; `None`: nothing any more. → [`Reply::Ok`]
    PutDraft { conversation: ConversationId, text: Option<String> },
    /// The user is writing in a conversation (to be said with each key: the others are told seldom enough), or has stopped
    /// without sending. Nobody hears of it but who is there now, in an open conversation of few. → [`Reply::Ok`], at once
    Typing { conversation: ConversationId, typing: bool },
    /// All drafts. → [`Reply::Drafts`]
    Drafts,
    /// How the backup is kept. → [`Reply::Backup`]
    Backup,
    /// What of the history the recovery key is to bring back, for all own devices; what is not to be kept any more is destroyed at the
    /// server. → [`Reply::Backup`]
    SetBackup { history: KeptHistory },
    /// What the server holds of the account: every row that it can list, and what it cannot list. → [`Reply::Holdings`]
    Holdings,
    /// Counters: what came, what could not be shown, what waits. → [`Reply::Status`]
    Status,
    /// Deletes the account at the server and everything here. → [`Reply::Ok`]
    DeleteAccount,
}

/// What can be written into a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A text. Mentions in it are written as [`mention`](parlour_proto::content::mention)s.
    Text { text: String, in_reply_to: Option<MessageId>, timer: Option<Timer> },
    /// A new text for one's own earlier message.
    Edit { message: MessageId, text: String },
    /// Deletes one's own earlier message for all.
    Delete { message: MessageId },
    /// A reaction; an empty one takes it back.
    Reaction { message: MessageId, emoji: String },
}

/// How a message ends before its conversation's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// So many seconds after it was read, [`LEAST_TIMER_S`] to [`MOST_TIMER_S`]: each reader's own clock starts, all of a reader's devices
    /// agree. For who wrote it: after it was sent.
    Reading(u32),
    /// So many seconds after it was sent.
    Sending(u32),
    /// When it was seen once ([`Intent::Open`]); unseen, four weeks after it was sent. Whoever wrote it does not see it again.
    Once,
}

/// The shortest [`Timer`], seconds.
pub const LEAST_TIMER_S: u32 = 5;
/// The longest [`Timer`], seconds: four weeks.
pub const MOST_TIMER_S: u32 = 4 * 7 * 86_400;
/// The shortest [`Expiry`], seconds.
pub const LEAST_EXPIRY_S: u32 = 3_600;
/// The longest [`Expiry`], seconds: a year.
pub const MOST_EXPIRY_S: u32 = 366 * 86_400;

/// How long what is said in a conversation stays. In the policy: the same for all who are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// Seconds after it was sent, [`LEAST_EXPIRY_S`] to [`MOST_EXPIRY_S`]; `None`: it stays.
    pub after_s: Option<u32>,
    /// Each may keep messages for themselves ([`Intent::Keep`]).
    pub archive: bool,
}

/// Something that happened in a conversation and that everybody sees there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Somebody set how long messages stay; `existing`: also those that were there.
    Expiry { expiry: Expiry, existing: bool },
    /// Somebody put the group into attributed mode ([`Intent::SetAttributed`]), or out of it.
    Attributed { on: bool },
}

/// What the engine tells.
#[derive(Debug, Clone)]
pub enum Event {
    /// An intent came to its end.
    Done(IntentId, Result<Reply, Failure>),
    /// An intent takes long.
    Progress { intent: IntentId, step: String, done: u64, of: u64 },
    /// The connection's state changed.
    Connection { identity: IdentityId, state: Connection },
    /// A message is new or changed (edited, deleted, reacted to, delivered, read).
    Message { conversation: ConversationId, message: Message },
    /// Messages are not to be seen any more: their time is over.
    Gone { conversation: ConversationId, messages: Vec<MessageId> },
    /// What was queued will not be sent (its messages are `Failed`), and why: a first contact found nobody later on, or
    /// the conversation closed. What an intent's own [`Event::Done`] tells at once is not told here.
    NotSent { conversation: ConversationId, messages: Vec<MessageId>, why: Failure },
    /// Somebody is writing, or is not any more: they stopped, their message is here (told after this), or it was some seconds
    /// ago. A conversation that is not open any more, and one whose engine was started anew, has nobody writing.
    Typing { conversation: ConversationId, who: AccountRef, typing: bool },
    /// A request came in.
    Request(Request),
    /// A conversation is new or changed (people, state, newest message, unread count).
    Conversation(Conversation),
    /// Somebody is to be seen in another way: name or picture changed, wherever they are shown.
    Profile(Member),
    /// The keys of somebody changed: compare safety numbers again.
    KeysChanged { conversation: ConversationId, who: AccountRef },
    /// A device that knows the code asks to be linked: answer with [`Intent::ConfirmLink`].
    LinkAsked { name: String },
    /// Nothing comes of a code that was shown: it was wrong, cancelled over there, or too old.
    LinkEnded { why: LinkEnd },
    /// The account's devices changed, or what is known of them. `new`: one that nobody here has linked (by the recovery key,
    /// or by another device).
    Devices { identity: IdentityId, devices: Vec<Device>, new: Option<DeviceId> },
    /// Conversations and messages come from another own device (or from the backup), or go to one: so many of so many messages;
    /// equal at the end.
    History { to: Option<DeviceId>, done: u64, of: u64 },
    /// Messages from before one came into a group were handed over: they come before all that is there. Who shows its beginning reads it
    /// again.
    Earlier { conversation: ConversationId },
    /// Another own device changed how the account wants to be seen.
    Identities(Vec<Identity>),
    /// Nothing is waited for any more where one asked to join: one is in, or (`None`) nothing came.
    JoinEnded { join: ConversationId, joined: Option<ConversationId> },
    /// Another own device changed a draft.
    Draft { conversation: ConversationId, text: Option<String> },
    /// The server was restored from a backup of that time (0: it does not say) and forgot what came after it. What this device knows
    /// is told it again, rooms are made anew where need be, and own messages are sent again; reach rules are those of then.
    Restored { identity: IdentityId, backup: UnixMillis },
    /// Something came that honest software does not send. Nothing of it was believed or shown; who did it cannot be told. Said once an
    /// hour for each kind and conversation, counted in [`Status::refused`].
    Interference { identity: IdentityId, conversation: Option<ConversationId>, what: Interference },
    /// The account is gone or this device was revoked; nothing can be sent any more.
    SignedOut { identity: IdentityId, why: String },
}

/// What came, and does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interference {
    /// A message or change that is forged, was altered on its way, or that its sender may not make.
    Forged,
    /// A message that was here before, as if it were new.
    Repeated,
    /// Messages in another order than that in which they were taken.
    Reordered,
    /// The others follow a change of the conversation that the server does not give out.
    Withheld,
    /// Keys, or a list of devices, that do not fit what is known.
    Keys,
    /// A piece of the backup that this account's devices did not write.
    Backup,
}

/// State of the inbox connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Not wanted.
    Offline,
    /// Trying; the next try is at this instant.
    Waiting(UnixMillis),
    /// Signed in, draining what waited.
    CatchingUp,
    /// All there.
    Online,
}

/// What an intent gives back.
#[derive(Debug, Clone)]
pub enum Reply {
    Ok,
    Apps(Vec<AppInfo>),
    SignedUp {
        account: AccountRef,
        address: String,
        recovery_key: Zeroizing<String>,
    },
    Identities(Vec<Identity>),
    Queued {
        conversation: ConversationId,
        message: MessageId,
    },
    Conversations(Vec<Conversation>),
    Conversation(Conversation),
    Messages(Vec<Message>),
    Requests(Vec<Request>),
    Reach(Vec<(AppId, ReachRule)>),
    Invite {
        text: String,
        expires: UnixMillis,
    },
    SafetyNumber {
        digits: String,
        verified: bool,
        address: String,
    },
    Status(Status),
    Picture(Option<Picture>),
    /// Digits to be typed in groups of three, the same as a text to be scanned, and until when they are good.
    LinkCode {
        code: String,
        scan: String,
        until: UnixMillis,
    },
    Linked {
        account: AccountRef,
        address: String,
    },
    Devices(Vec<Device>),
    /// `Delivered` or `Read`; who is not named has said nothing.
    Readers(Vec<(AccountRef, MessageState)>),
    Drafts(Vec<(ConversationId, String)>),
    GroupLink(GroupLink),
    GroupLinks(Vec<GroupLink>),
    Joining(Vec<Joining>),
    Backup(Backup),
    Holdings(Holdings),
    Archive(Vec<(ConversationId, Message)>),
}

/// What the server holds of the account, in the server's words; the numbers of kinds are stable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// What the kinds of `rows` are, by number.
    pub kinds: Vec<HeldKind>,
    /// Every row that it can list.
    pub rows: Vec<HeldRow>,
    /// What there is besides.
    pub unlisted: Vec<Unlisted>,
}

/// Which messages are in the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptHistory {
    /// None.
    Off,
    /// Those of so many last days.
    Days(u16),
    /// All, as long as there is room.
    All,
}

impl Default for KeptHistory {
    fn default() -> Self {
        Self::Days(30)
    }
}

/// The backup that the recovery key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    pub history: KeptHistory,
    /// This device keeps it: what follows is known. (The account's oldest device that is there does.)
    pub here: bool,
    /// All that is to be in it is with the server.
    pub complete: bool,
    /// It reaches back to here; `None`: no message is in it.
    pub since: Option<UnixMillis>,
    pub messages: u64,
    /// Of messages, before padding.
    pub bytes: u64,
    /// Something old was left out: it did not fit.
    pub left_out: bool,
}

/// A link by which others join a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLink {
    /// The same on all own devices.
    pub id: Digest,
    /// Whoever reads it can use it.
    pub text: String,
    /// Who uses it becomes a request.
    pub approve: bool,
    /// How often it can still be used.
    pub uses: u32,
    pub until: UnixMillis,
}

/// A group that one wants into by a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    pub id: ConversationId,
    pub since: UnixMillis,
    /// Who made the link; `None` before the server has told.
    pub by: Option<AccountRef>,
}

/// One of the account's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub id: DeviceId,
    /// As it is called; known to the account's own devices only.
    pub name: String,
    /// The one that answers.
    pub this: bool,
    pub added: UnixMillis,
    /// When it was last there, as it said itself, to some hours; `None`: it never said.
    pub seen: Option<UnixMillis>,
    pub showing: Showing,
}

/// Whether a device shows the messages of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Showing {
    /// Nothing of the account is shown here: it is read elsewhere.
    pub off: bool,
    /// Shown, but without a sound: minutes of the device's own day, from and until (through midnight if until is less).
    pub quiet: Option<(u16, u16)>,
}

/// Why a code that was shown is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// Somebody tried another code. Show a new one, and look who is near.
    WrongCode,
    /// The other side gave up, or its connection broke.
    Gone,
    /// It was not used in time, or this side lost its connection.
    Expired,
}

/// Who I am.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: IdentityId,
    pub account: AccountRef,
    pub address: String,
    pub name: String,
    /// Whether this device shows what comes for it.
    pub showing: Showing,
    /// What others are told of what its people do.
    pub reports: Reports,
}

/// Which reports go out; without one's own, others' are not shown either where that is told (typing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reports {
    pub delivered: bool,
    pub read: bool,
    pub typing: bool,
}

/// A conversation as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub id: ConversationId,
    pub identity: IdentityId,
    /// Group title, or the other's name, or their address as far as known.
    pub title: String,
    /// The others.
    pub members: Vec<Member>,
    pub is_group: bool,
    pub state: ConversationState,
    pub unread: u32,
    /// Something unread names us.
    pub mentioned: bool,
    /// A group's picture, if it has one ([`Intent::GroupPicture`]); another picture, another digest.
    pub picture: Option<Digest>,
    /// The newest message; `None` without one, and while it is a request.
    pub last: Option<Preview>,
    pub last_activity: UnixMillis,
    pub verified: bool,
    /// What goes for a group; `None` for two, and while there is no room of it yet.
    pub group: Option<Box<GroupView>>,
    /// How long what is said stays; `None` while there is no room of it yet.
    pub expiry: Option<Expiry>,
    /// One may set it, between these (seconds); without a most, also off. `None`: one may not.
    pub expiry_range: Option<(u32, Option<u32>)>,
    /// All of it is kept here ([`Intent::KeepAll`]).
    pub kept: bool,
}

/// Who may do what in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRules {
    /// Bring people in.
    pub add: Allowed,
    /// Write (everybody may react and delete what they wrote).
    pub write: Allowed,
    /// Change title and picture.
    pub change: Allowed,
    /// How many seconds back somebody who is added is given what was said, from when this was set on; `None`: nothing.
    pub history_s: Option<u64>,
}

/// A group's rules and roles. Where no owner is left, admins are shown as owners; where no admin is left, everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Own role.
    pub role: GroupRole,
    pub rules: GroupRules,
    /// The server is told who sends ([`Intent::SetAttributed`]).
    pub attributed: bool,
    /// Of the others; who is not named is a member.
    pub roles: Vec<(AccountRef, GroupRole)>,
    /// Whom this account has asked into it, or let join, and who is not in yet.
    pub invited: Vec<Member>,
}

/// The newest message of a conversation, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub id: MessageId,
    /// `None`: own.
    pub from: Option<AccountRef>,
    pub from_name: Option<String>,
    /// The beginning, at most 256 bytes; empty when deleted.
    pub text: String,
    pub deleted: bool,
    pub time: UnixMillis,
    pub state: MessageState,
    /// It can be seen once: there is no text here.
    pub once: bool,
    /// It tells of something ([`Message::notice`]).
    pub notice: Option<Notice>,
}

/// Somebody in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub account: AccountRef,
    /// The address, if this side knows a handle (it typed it, or the other told it).
    pub address: Option<String>,
    pub name: Option<String>,
    /// There is a picture ([`Intent::Picture`]); another picture, another digest.
    pub picture: Option<Digest>,
}

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationState {
    /// Being set up; messages are queued here.
    Starting,
    /// The other side has not accepted; one message has gone, more are queued.
    Asked,
    /// Somebody asks us.
    Request,
    /// Open.
    Open,
    /// Being repaired; messages are queued.
    Repairing,
    /// The other side is gone, we left, or we blocked.
    Closed,
}

/// A message as a screen shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: MessageId,
    /// Position on this device: own queued messages last.
    pub order: u64,
    /// `None`: own.
    pub from: Option<AccountRef>,
    pub from_name: Option<String>,
    /// As people see it.
    pub text: String,
    /// Who is named where in the text.
    pub mentions: Vec<Mention>,
    pub in_reply_to: Option<MessageId>,
    pub edited: bool,
    pub deleted: bool,
    pub reactions: Vec<(AccountRef, String)>,
    pub time: UnixMillis,
    pub state: MessageState,
    /// When it goes, if that is known already; `None`: it stays, or its clock starts when it is read.
    pub expires: Option<UnixMillis>,
    pub timer: Option<Timer>,
    /// It stays on own devices, whatever `expires` says.
    pub kept: bool,
    /// It tells of something instead of saying something; `from` did it.
    pub notice: Option<Notice>,
}

/// Ticks of an own message; `Received` for others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageState {
    Queued,
    Sent,
    Delivered,
    Read,
    Received,
    Failed,
}

/// Somebody wants to write to us. Nothing of theirs is shown before the choice but what the server and MLS vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub id: ConversationId,
    pub from: AccountRef,
    pub time: UnixMillis,
    /// What they wrote, their name and address as they say: to be shown only after a choice (screens) or on demand (scripts).
    pub text: Option<String>,
    pub claimed_name: Option<String>,
    pub claimed_address: Option<String>,
    /// It invites to a group, of this title as they say.
    pub group: Option<String>,
    /// They ask to join this group by a link of ours: accepting brings them in, and lets them do nothing else.
    pub joins: Option<ConversationId>,
}

/// Counters since the account is on this device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    pub received: u64,
    /// Messages that came and could not be shown, nor were sent once more.
    pub unreadable: u64,
    /// What came and was refused, being forged, altered, repeated or not fitting ([`Event::Interference`]).
    pub refused: u64,
    /// What the user did and the server does not know yet: messages, and choices such as accepting, blocking, leaving,
    /// adding and removing.
    pub queued: u64,
    /// Of those, texts that are kept until the other side accepts.
    pub held: u64,
    pub repairs: u64,
    pub conversations: u64,
    pub requests: u64,
    /// All that the recovery key brings back is with the server.
    pub backed_up: bool,
}

/// Why an intent failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not signed in on this home.
    #[error("not signed in here: sign up or sign in first")]
    NotSignedIn,
    /// Signed in already.
    #[error("this home is signed in already")]
    AlreadySignedIn,
    /// What was given does not parse.
    #[error("{0}")]
    BadInput(String),
    /// No such conversation, request or message here.
    #[error("no such {0} here")]
    NotFound(&'static str),
    /// The recipient cannot be reached: no such person, or they are not open to you.
    #[error(
        "nobody there who can be reached from your app; ask them for an invite, or to turn your app on under reach"
    )]
    NotReachable,
    /// The server refused.
    #[error("{0}")]
    Refused(parlour_proto::problem::Problem),
    /// The network is not there; the intent was not queued.
    #[error("no connection to the server")]
    Offline,
    /// The server's keys or lists do not fit what this device knows: somebody may be interfering.
    #[error("the server showed something that does not fit: {0}")]
    Suspicious(String),
}
