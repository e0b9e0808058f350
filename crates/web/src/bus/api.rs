//! The engine's vocabulary as [`Wire`] values. Adding a field or variant there stops this file from compiling.

use super::codec::{In, Out, Wire, lists, wire_enum, wire_struct, written};
use parlour_client::api::{
    Allowed, Backup, Body, Connection, Conversation, ConversationId, ConversationState, Device, Ends, Event, Expiry,
    Failure, GroupLink, GroupRole, GroupRules, GroupView, HeldKind, HeldRow, Holdings, Identity, IdentityId, Intent,
    IntentId, Interference, Joining, KeptHistory, LinkEnd, Member, Mention, Message, MessageState, Notice, Picture,
    Preview, Proof, Reply, Reports, Request, Showing, Status, Target, Timer, Unlisted,
};
use parlour_proto::frames::{AccountRef, AppId, AppInfo, ReachRule, SignIn};
use parlour_proto::ids::{AccountId, DeviceId, Digest, MessageId, RoomId, UnixMillis};
use parlour_proto::problem::{Code, Problem};

wire_struct! { IdentityId(id) }
wire_struct! { ConversationId(id) }
wire_struct! { IntentId(id) }
wire_struct! { AccountId(id) }
wire_struct! { DeviceId(id) }
wire_struct! { MessageId(id) }
wire_struct! { RoomId(id) }
wire_struct! { UnixMillis(ms) }
wire_struct! { Digest(bytes) }
wire_struct! { AccountRef { app, account } }
wire_struct! { AppInfo { app, name, domain, sign_in, expiry_s, expiry_least_s, expiry_most_s } }
wire_struct! { Problem { code, detail, retry_after_ms, head, successor } }
wire_struct! { Identity { id, account, address, name, showing, reports } }
wire_struct! { Reports { delivered, read, typing } }
wire_struct! { Mention { start, end, account } }
wire_struct! { Conversation { id, identity, title, members, is_group, state, unread, mentioned, picture, last, last_activity, verified, group, expiry, expiry_range, kept } }
wire_struct! { GroupRules { add, write, change, history_s } }
wire_struct! { GroupView { role, rules, attributed, roles, invited } }
wire_struct! { Preview { id, from, from_name, text, deleted, time, state, once, notice } }
wire_struct! { Member { account, address, name, picture } }
wire_struct! {
    Message {
        id, order, from, from_name, text, mentions, in_reply_to, edited, deleted, reactions, time, state, expires, timer, kept, notice
    }
}
wire_struct! { Request { id, from, time, text, claimed_name, claimed_address, group, joins } }
wire_struct! { GroupLink { id, text, approve, uses, until } }
wire_struct! { Joining { id, since, by } }
wire_struct! { Showing { off, quiet } }
wire_struct! { Expiry { after_s, archive } }
wire_struct! { Device { id, name, this, added, seen, showing } }
wire_struct! { Status { received, unreadable, refused, queued, held, repairs, conversations, requests, backed_up } }

wire_struct! { Holdings { kinds, rows, unlisted } }
wire_struct! { HeldKind { number, name, why, erased } }
wire_struct! { HeldRow { kind, which, day, bytes, ends } }
wire_struct! { Unlisted { name, why, at_most } }
wire_struct! { Backup { history, here, complete, since, messages, bytes, left_out } }

wire_enum! { Timer { 0 Reading(seconds), 1 Sending(seconds), 2 Once } }
wire_enum! { Notice { 0 Expiry { expiry, existing }, 1 Attributed { on } } }
wire_enum! { Ends { 0 WithAccount, 1 At(at) } }
wire_enum! { KeptHistory { 0 Off, 1 Days(days), 2 All } }
wire_enum! { SignIn { 0 Phone, 1 Username, 2 AtHandle } }
wire_enum! { ReachRule { 0 Ask, 1 Invite, 2 Nobody } }
wire_enum! { GroupRole { 0 Member, 1 Admin, 2 Owner } }
wire_enum! { Allowed { 0 Everyone, 1 Admins } }
wire_enum! { Proof { 0 Code(code), 1 Password(password) } }
wire_enum! { Target { 0 Address(address), 1 Invite(text), 2 Conversation(id), 3 Account(account) } }
wire_enum! {
    Body {
        0 Text { text, in_reply_to, timer },
        1 Edit { message, text },
        2 Delete { message },
        3 Reaction { message, emoji },
    }
}
wire_enum! { Connection { 0 Offline, 1 Waiting(until), 2 CatchingUp, 3 Online } }
wire_enum! { ConversationState { 0 Starting, 1 Asked, 2 Request, 3 Open, 4 Repairing, 5 Closed } }
wire_enum! { Interference { 0 Forged, 1 Repeated, 2 Withheld, 3 Keys, 4 Backup, 5 Reordered } }
wire_enum! { LinkEnd { 0 WrongCode, 1 Gone, 2 Expired } }
wire_enum! { MessageState { 0 Queued, 1 Sent, 2 Delivered, 3 Read, 4 Received, 5 Failed } }

wire_enum! {
    Intent {
        0 Apps,
        1 RequestCode { app, handle },
        2 SignUp { app, handle, proof },
        3 SignIn { app, handle, proof, recovery_key },
        4 WhoAmI,
        5 Sync,
        6 GoOffline,
        7 Send { to, body },
        8 Conversations,
        9 Messages { conversation, before, limit },
        10 MarkRead { conversation },
        11 Requests,
        12 Accept { request },
        13 Decline { request },
        14 Block { conversation },
        15 Unblock { conversation },
        16 Reach,
        17 SetReach { from, rule },
        18 CreateInvite { uses, ttl_s },
        19 RevokeInvites,
        20 SafetyNumber { with },
        21 SetVerified { conversation, verified },
        22 SetReports { delivered, read, typing },
        23 SetName { name },
        24 CreateGroup { title, members },
        25 AddMembers { conversation, members },
        26 RemoveMember { conversation, member },
        27 Leave { conversation },
        28 Status,
        29 DeleteAccount,
        30 SetProfile { name, picture },
        31 Picture { of },
        32 Rename { conversation, title },
        33 SetRole { conversation, member, role },
        34 SetRules { conversation, rules },
        35 OfferLink,
        36 ConfirmLink { yes },
        37 CancelLink,
        38 Link { code, name },
        39 Devices,
        40 NameDevice { name },
        41 RevokeDevice { device },
        42 PutDraft { conversation, text },
        43 Drafts,
        44 LinkAccount { code, name },
        45 Unlink { identity },
        46 As(identity, intent),
        47 SetShowing { device, showing },
        48 Readers { conversation, message },
        49 Typing { conversation, typing },
        60 Uninvite { conversation, member },
        61 CreateGroupLink { conversation, approve, uses, ttl_s },
        62 GroupLinks { conversation },
        63 RevokeGroupLink { link },
        64 JoinByLink { link },
        65 Joining,
        66 StopJoining { join },
        70 SetGroupPicture { conversation, picture },
        71 GroupPicture { conversation },
        80 Backup,
        81 SetBackup { history },
        90 SetExpiry { conversation, expiry, existing },
        91 Open { conversation, message },
        92 Keep { conversation, message, keep },
        93 KeepAll { conversation, keep },
        96 Holdings,
        97 Archive { before, limit },
        110 SetAttributed { conversation, attributed },
    }
}

wire_enum! {
    Event {
        0 Done(id, result),
        1 Progress { intent, step, done, of },
        2 Connection { identity, state },
        3 Message { conversation, message },
        4 Request(request),
        5 Conversation(conversation),
        6 KeysChanged { conversation, who },
        7 SignedOut { identity, why },
        8 NotSent { conversation, messages, why },
        9 Profile(member),
        10 LinkAsked { name },
        11 LinkEnded { why },
        12 Devices { identity, devices, new },
        13 History { to, done, of },
        14 Draft { conversation, text },
        15 Identities(identities),
        16 Typing { conversation, who, typing },
        20 JoinEnded { join, joined },
        21 Earlier { conversation },
        90 Gone { conversation, messages },
        95 Restored { identity, backup },
        110 Interference { identity, conversation, what },
    }
}

wire_enum! {
    Reply {
        0 Ok,
        1 Apps(apps),
        2 SignedUp { account, address, recovery_key },
        3 Identities(identities),
        4 Queued { conversation, message },
        5 Conversations(conversations),
        6 Conversation(conversation),
        7 Messages(messages),
        8 Requests(requests),
        9 Reach(rules),
        10 Invite { text, expires },
        11 SafetyNumber { digits, verified, address },
        12 Status(status),
        13 Picture(picture),
        14 LinkCode { code, scan, until },
        15 Linked { account, address },
        16 Devices(devices),
        17 Drafts(drafts),
        18 Readers(readers),
        30 GroupLink(link),
        31 GroupLinks(links),
        32 Joining(joins),
        40 Backup(backup),
        90 Holdings(held),
        91 Archive(messages),
    }
}

wire_enum! {
    Failure {
        0 NotSignedIn,
        1 AlreadySignedIn,
        2 BadInput(why),
        3 NotFound(what),
        4 NotReachable,
        5 Refused(problem),
        6 Offline,
        7 Suspicious(what),
    }
}

lists! {
    AppInfo, GroupLink, Identity, Joining, Conversation, Device, Member, Mention, Message, Request, Target, (AppId, ReachRule), (AccountRef, String),
    (AccountRef, GroupRole), (AccountRef, MessageState), (ConversationId, String), (ConversationId, Message), (IdentityId, Connection), (String, Vec<u8>), MessageId, Event,
    HeldKind, HeldRow, Unlisted,
}

impl Wire for AppId {
    fn put(&self, out: &mut Out) {
        written(out.str(self.as_str()));
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        AppId::parse(input.str().ok()?).ok()
    }
}

impl Wire for Picture {
    fn put(&self, out: &mut Out) {
        written(out.str(self.media_type()));
        written(out.bytes(self.image()));
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        let media_type = input.str().ok()?;
        Picture::new(media_type, input.bytes().ok()?.to_vec().into())
    }
}

impl Wire for Code {
    fn put(&self, out: &mut Out) {
        (*self as u32).put(out);
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        u32::take(input).map(Code::from_number)
    }
}

/// The few nouns of [`Failure::NotFound`]; each is kept once for the life of the page.
impl Wire for &'static str {
    fn put(&self, out: &mut Out) {
        written(out.str(self));
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        input.str().ok().map(intern)
    }
}

fn intern(word: &str) -> &'static str {
    use std::sync::Mutex;
    static WORDS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut words = WORDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = words.iter().find(|known| **known == word) {
        return known;
    }
    let kept: &'static str = Box::leak(word.to_owned().into_boxed_str());
    words.push(kept);
    kept
}
