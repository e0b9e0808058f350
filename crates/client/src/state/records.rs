//! The records themselves.

use crate::api::{ConversationId, Showing};
use crate::expiry::{StoredNotice, StoredTimer};
use crate::rows::codec::{choice, record};
use bytes::Bytes;
use parlour_proto::frames::{AccountRef, AppId};
use parlour_proto::ids::{DeviceId, Digest, MemberKey, MessageId, RoomId, Secret, UnixMillis};
use zeroize::Zeroizing;

choice! {
    /// How far this home's account is.
    enum Stage {
        /// The request that makes account or device may or may not have arrived. The words are kept until the answer is
        /// there (a crash must not cost the recovery key) and erased with it.
        0 Registering { words: Zeroizing<String>, },
        /// Signed up or in.
        1 Live,
        /// Deleted or revoked.
        2 Gone { why: String, },
    }
}

record! {
    /// A picture of somebody's profile, as [`parlour_proto::content::Picture`].
    struct StoredPicture {
        media_type: String,
        image: Bytes,
    }
}

record! {
    /// Who this home is.
    struct Identity {
        stage: Stage,
        account: AccountRef,
        device: DeviceId,
        /// `DeviceKeys`, as `e2ee` writes them.
        keys: Zeroizing<Vec<u8>>,
        root: [u8; 32],
        /// The handle may be told to others (never a phone number).
        public_handle: bool,
        /// Canonical.
        handle: String,
        name: String,
        picture: Option<StoredPicture>,
        /// Grows with each change of name or picture; 0: never had any.
        profile: u64,
        links: Vec<Bytes>,
        delivered_reports: bool,
        read_reports: bool,
        /// Others see that one is writing, and it is seen of others.
        typing_reports: bool,
        last_resort_made: UnixMillis,
        incarnation: u64,
        /// What the other devices call this one.
        device_name: String,
        /// When the others heard of this device last.
        seen_told: UnixMillis,
        /// The conversation among own devices, once there was more than one.
        own: Option<ConversationId>,
        showing: Showing,
        /// When the server was found restored from a backup last, by its clock.
        restored: UnixMillis,
        /// What it took since then it may have lost; 0: nothing.
        lost_since: UnixMillis,
        /// Own devices of which it was chosen what they show, before there was anybody to hear it.
        showing_untold: Vec<DeviceId>,
    }
}

record! {
    /// What is known of another device of the account.
    struct OwnDevice {
        name: String,
        /// When it was there, as it said.
        seen: Option<UnixMillis>,
        /// This device linked it, and is the first to bring it into rooms.
        mine: bool,
        /// It has been told what own devices know: contacts, settings, drafts.
        told: bool,
        showing: Showing,
    }
}

record! {
    /// What is being written in a conversation.
    struct Draft {
        text: String,
        /// Other own devices know it.
        told: bool,
    }
}

record! {
    /// Messages on their way to an own device that is new.
    struct Transfer {
        /// The next conversation first; older messages than that position are still to be sent.
        queue: Vec<(ConversationId, u64)>,
        /// All of each conversation; else what was said last.
        whole: bool,
        done: u64,
        of: u64,
    }
}

record! {
    /// What is still to be handed to somebody who was added to a group.
    struct Handing {
        to: AccountRef,
        room: RoomId,
        /// Messages before this position are next; 0: none.
        before: u64,
        /// Messages handed over so far.
        count: u64,
        /// Nothing that was said earlier.
        since: UnixMillis,
        /// The conversation by which they asked to join, where we have no other one with them and the group is large.
        via: Option<ConversationId>,
    }
}

record! {
    /// A room that another own device brings us into: of which conversation it is, and whether the other side has opened.
    struct Expected {
        conversation: ConversationId,
        open_there: bool,
    }
}

record! {
    /// What `Status` counts.
    struct Counters {
        received: u64,
        unreadable: u64,
        repairs: u64,
        next_chore: u64,
        /// What was refused as forged, altered, repeated or not fitting.
        refused: u64,
    }
}

record! {
    /// Somebody met: pinned root and device list, door tokens.
    struct Contact {
        root: [u8; 32],
        links: Vec<Bytes>,
        /// Addresses this side knows (typed here, or told end-to-end), canonical.
        addresses: Vec<String>,
        name: Option<String>,
        /// Of their picture, which lies in a row of its own.
        picture: Option<Digest>,
        /// Their token: reaches them unmetered.
        door: Option<Secret>,
        /// Our token that they hold.
        given: Option<Secret>,
        /// Tokens that another own device gave them at the same time.
        given_too: Vec<Secret>,
        /// We let them in, or they us.
        befriended: bool,
        blocked: bool,
        verified: bool,
        /// The conversation of two with them.
        conversation: Option<ConversationId>,
        /// Of what other own devices were told of them last.
        shared: Option<Digest>,
    }
}

choice! {
    /// [`crate::api::ConversationState`], stored.
    enum Standing {
        0 Starting,
        1 Asked,
        2 Request,
        3 Open,
        4 Repairing,
        5 Closed,
    }
}

record! {
    /// What a request shows.
    struct Asking {
        time: UnixMillis,
        text: Option<String>,
        name: Option<String>,
        address: Option<String>,
    }
}

record! {
    /// The beginning of a conversation's newest message.
    struct Newest {
        message: MessageId,
        order: u64,
        /// `None`: own.
        from: Option<AccountRef>,
        /// Only on its way to another own device, and in rows of before it was sealed ([`Conversation::preview`]).
        text: String,
        time: UnixMillis,
        /// As in a stored message.
        state: u32,
        deleted: bool,
        expires: Option<UnixMillis>,
        once: bool,
        notice: Option<StoredNotice>,
    }
}

record! {
    /// A conversation.
    struct Conversation {
        is_group: bool,
        /// Among own devices: nothing to be shown.
        is_own: bool,
        standing: Standing,
        /// The others (for two: one account), as MLS and device lists say.
        members: Vec<AccountRef>,
        title: String,
        /// Oldest first; those superseded stay readable.
        rooms: Vec<RoomId>,
        /// Messages of others after `read_up_to` that are still there.
        unread: u32,
        /// Up to this position all is read.
        read_up_to: u64,
        /// What a list shows of it; kept up to date with the message.
        newest: Option<Newest>,
        last_activity: UnixMillis,
        /// Next position for a message.
        next_order: u64,
        /// Positions below this one are as another own device counts.
        base: u64,
        /// The profile that was told here ([`Identity::profile`]).
        profile_sent: u64,
        /// While it is a request: what it shows (`None`: nothing verified came yet).
        asking: Option<Asking>,
        /// Something unread names us.
        mentioned: bool,
        /// Of a group's picture, which lies in a row of its own.
        picture: Option<Digest>,
        /// All of it is kept, where that is allowed.
        kept: bool,
        /// The beginning of the newest message, sealed under that message's key ([`Keyring::preview`]).
        ///
        /// [`Keyring::preview`]: crate::keyring::Keyring::preview
        preview: Bytes,
        /// Positions kept for messages that came, or are known, and cannot be shown yet ([`Engine::keep_place`]).
        ///
        /// [`Engine::keep_place`]: crate::engine::Engine::keep_place
        places: Vec<(MessageId, u64)>,
    }
}

record! {
    /// Somebody who is brought into a group as soon as we hold a door token of theirs.
    struct Guest {
        /// `None` while an address or invite is still to be asked about.
        account: Option<AccountRef>,
        /// The conversation of two that tells them, or by which they told us.
        via: Option<ConversationId>,
        since: UnixMillis,
        /// Of somebody who joins by a link: for this one claim.
        door: Option<Secret>,
        /// Our user has to agree first.
        waits: bool,
        /// This device asked them, or its user agreed: it is the first to act.
        mine: bool,
    }
}

record! {
    /// A link by which others join a group.
    struct GroupLink {
        group: ConversationId,
        /// The invite's token: reaches this account.
        token: Secret,
        /// Nobody's but ours and of those who have the link.
        secret: Secret,
        approve: bool,
        /// How often it can still be used.
        uses: u32,
        until: UnixMillis,
    }
}

record! {
    /// A group that we want into by somebody's link.
    struct Joining {
        /// `None` on the devices that did not open the link.
        secret: Option<Secret>,
        /// Who made the link, once the server has told.
        account: Option<AccountRef>,
        since: UnixMillis,
        /// The group that we are in by now: what was before is still to be handed over.
        joined: Option<ConversationId>,
    }
}

choice! {
    /// Whom a first contact is for.
    enum Whom {
        0 Address { app: AppId, handle: String, },
        1 Account { account: AccountRef, },
        2 Invite { token: Secret, },
    }
}

record! {
    /// A room that is to be made for a conversation of two.
    struct Start {
        whom: Whom,
        room: RoomId,
        /// The room it replaces, and whether the replacement has been announced there.
        predecessor: Option<(RoomId, bool)>,
        /// Without the door token, though there is one (it was refused).
        without_door: bool,
    }
}

choice! {
    /// How a room stands for us.
    enum Phase {
        /// We make it; nobody else is in it yet.
        0 Building,
        /// We are in.
        1 Live,
        /// Our MLS state is unusable; being repaired.
        2 Broken,
        /// Another room follows.
        3 Superseded,
        /// We are out.
        4 Left,
    }
}

record! {
    /// A room; rewritten with each row, so small.
    struct Room {
        conversation: ConversationId,
        phase: Phase,
        /// Our `MemberKeyPair`: signs for the entry also when the MLS state is lost.
        member: Zeroizing<Vec<u8>>,
        /// The policy's bytes: knocks are sealed under a key in it.
        policy: Bytes,
        /// Rows of the mailbox up to here are processed.
        watermark: u64,
        /// Handshake rows up to here are processed.
        head: u64,
        /// Void handshake rows since the last valid commit.
        voids: Vec<u64>,
        /// When, by the server's clock, void rows made us doubt our own state ([`crate::doubts`]); since somebody's last valid
        /// commit.
        doubts: Vec<UnixMillis>,
        /// Our own entry is `asked`.
        asked_here: bool,
        /// The others' entries are open: more than one message passes.
        open_there: bool,
        /// The hello is with the others.
        hello_sent: bool,
        /// Joined by the last-resort package: update the leaf before the first message.
        update_first: bool,
        /// Messages that could not be read and were not asked for again yet.
        unreadable: Vec<MessageId>,
        /// Messages asked for again.
        missing: Vec<MessageId>,
        /// The epoch in which this device came in, first or after it was out: what was written before was not for it.
        since: u64,
        /// Own other devices that have a leaf here.
        own_devices: Vec<DeviceId>,
        /// The others are to hear our device list: a device is gone from it.
        tell_list: bool,
        /// When the own leaf was made or renewed last, by the server's clock.
        renewed: UnixMillis,
        /// The server's day of the newest handshake, and what that day's handshakes weighed in bytes ([`crate::renewal`]).
        day: u64,
        day_bytes: u64,
        /// Since when, by the server's clock, the policy lets newcomers have what was said; as far as this device knows.
        history_from: Option<UnixMillis>,
        /// Who added us to this group, and may hand over what was said before.
        added_by: Option<AccountRef>,
        /// What this device said here last ([`crate::withheld`]); nothing since somebody came in.
        said: Option<MessageId>,
    }
}

record! {
    /// One device that a commit adds.
    struct Joiner {
        key_package: Bytes,
        member_key: MemberKey,
        grant: Bytes,
    }
}

choice! {
    /// A change that a commit is to make.
    enum Want {
        /// Key packages of a befriended account must be claimed first.
        0 Claim { account: AccountRef, },
        1 Add { account: AccountRef, devices: Vec<Joiner>, },
        2 Remove { account: AccountRef, },
        /// A leave that its author announced and signed.
        3 Leave { request: Bytes, },
        /// Entries whose mailbox is gone.
        4 Drop { member_keys: Vec<MemberKey>, },
        /// Lets a knocking device back in.
        5 Swap { old: MemberKey, joiner: Joiner, },
        /// A fresh own leaf; `for_voids`: only to undo void rows.
        6 Update { for_voids: bool, },
        /// A fresh own leaf, because it is old: put off where it would weigh too much today.
        12 Renew,
        /// A role: 0 member, 1 admin, 2 owner.
        7 Role { account: AccountRef, role: u32, },
        /// Rules: for each, whether only admins may.
        8 Rules { add: bool, write: bool, change: bool, history: Option<u64>, },
        /// Attributed mode, or not any more.
        14 Attributed { on: bool, },
        /// How long messages stay; `existing`: also those that are there.
        13 Expiry { after_s: Option<u32>, archive: bool, existing: bool, },
        /// A key package of an own device must be claimed first.
        9 ClaimOwn { device: DeviceId, },
        /// Leaves of devices that are not on their account's list any more.
        /// Key packages of somebody who is in with devices that are gone, and with no other: to be claimed.
        11 Return { account: AccountRef, },
        10 Gone { account: AccountRef, devices: Vec<DeviceId>, },
    }
}

record! {
    /// An entry change, as in [`parlour_proto::frames::EntryChange`].
    struct Change {
        kind: u32,
        member_key: MemberKey,
        grant: Bytes,
        rights: u32,
    }
}

record! {
    /// A commit that was stored before it was sent: the very bytes.
    struct Pending {
        head: u64,
        commit_id: MessageId,
        payload: Bytes,
        next_send_key: Digest,
        changes: Vec<Change>,
        voids: Vec<u64>,
        welcome: Option<(Bytes, Vec<(MemberKey, Bytes)>)>,
        member_key: MemberKey,
        signature: [u8; 64],
    }
}

choice! {
    /// How far a repair is.
    enum Repair {
        /// Handshake rows are missing: fetch them.
        0 Log,
        /// A grant for the fresh key package is needed.
        1 Grant { member_key: MemberKey, key_package: Bytes, since: UnixMillis, refused: u32, },
        /// The knock is to be sent, or was.
        2 Knock { member_key: MemberKey, knock_id: MessageId, payload: Bytes, sent: bool, since: UnixMillis, refused: u32, },
        /// A new room is being made.
        3 Rebuild,
        /// Our state is whole, but the server does not know our entry since then: another member's commit brings it back.
        4 Outside { since: UnixMillis, },
        /// The server's copy of the room is older than ours, since then as far as we know: nothing is sent or applied there, and
        /// it is made anew.
        5 Behind { since: UnixMillis, },
    }
}

record! {
    /// What a room still needs.
    struct Work {
        /// The room must be made, with this send key.
        create: Option<Digest>,
        wants: Vec<Want>,
        pending: Option<Pending>,
        repair: Option<Repair>,
    }
}

impl Work {
    pub(crate) fn nothing() -> Self {
        Work { create: None, wants: Vec::new(), pending: None, repair: None }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.create.is_none() && self.wants.is_empty() && self.pending.is_none() && self.repair.is_none()
    }
}

choice! {
    /// What an outgoing message says.
    enum Saying {
        0 Text { text: String, in_reply_to: Option<MessageId>, timer: Option<StoredTimer>, },
        1 Edit { message: MessageId, text: String, },
        2 Delete { message: MessageId, },
        3 Reaction { message: MessageId, emoji: String, },
        4 Delivered { messages: Vec<MessageId>, },
        5 Read { messages: Vec<MessageId>, },
        /// Only what the envelope carries: who I am, my door token.
        6 Hello,
        /// I let you in.
        7 Accept,
        /// I leave; signed by my leaf when it is sealed.
        8 Leave,
        /// Please send these again.
        9 Missing { messages: Vec<MessageId>, },
        /// An earlier message once more, for who could not read it.
        10 Again {
            message: MessageId,
            text: String,
            in_reply_to: Option<MessageId>,
            expires: Option<UnixMillis>,
            timer: Option<StoredTimer>,
        },
        /// Who is in a group, and its title.
        11 Roster { accounts: Vec<AccountRef>, },
        /// How I want to be seen, as it is when this is sealed.
        12 Profile,
        /// The group's new title.
        13 Title { title: String, },
        /// To own devices ([`crate::own`]).
        14 Own { note: Bytes, },
        /// Come into our group; its title is that of the moment when this is sealed.
        20 Invitation { group: ConversationId, },
        /// Let me in by your link.
        21 Join { secret: Secret, },
        /// The group's new picture.
        22 Picture { picture: Option<StoredPicture>, },
        /// To who was added to a group, in the conversation with them ([`crate::handover`]).
        23 Handover { note: Bytes, },
        /// Something that is no text, once more, for who could not read it ([`crate::asides`]); it lies encoded.
        24 Anew { of: MessageId, saying: Bytes, },
    }
}

record! {
    /// An encrypted message, as it is (re)sent.
    struct Sealed {
        room: RoomId,
        epoch: u64,
        send_key: Secret,
        tag: [u8; 32],
        payload: Bytes,
        evidence: Bytes,
        hello: bool,
    }
}

record! {
    /// A message in the outbox.
    struct Outgoing {
        message: MessageId,
        saying: Saying,
        queued: UnixMillis,
        /// Only in this room (a report, an acceptance); else in the conversation's best one.
        room: Option<RoomId>,
        /// Not before the chores below this number are done.
        after_chore: u64,
        sealed: Option<Sealed>,
        /// The server has it; the echo is still to come.
        accepted: bool,
        /// The key that this row is sealed under; 0: none.
        key: u64,
    }
}

choice! {
    /// A small idempotent request that must reach the server once.
    enum Chore {
        0 PutDoor { digest: Digest, },
        1 DropDoor { digest: Digest, },
        2 Block { account: AccountRef, },
        3 Unblock { account: AccountRef, },
        4 OpenEntry { room: RoomId, member: Zeroizing<Vec<u8>>, },
        5 LeaveEntry { room: RoomId, member: Zeroizing<Vec<u8>>, },
        /// Asks the server by their door token whether root and account of somebody who wrote to us belong together.
        6 CheckPeer { account: AccountRef, room: RoomId, },
        /// An invite is worth nothing from now on.
        10 DropInvite { digest: Digest, },
    }
}

impl Saying {
    /// It holds what somebody said to others.
    pub(crate) fn is_said(&self) -> bool {
        matches!(
            self,
            Saying::Text { .. }
                | Saying::Edit { .. }
                | Saying::Reaction { .. }
                | Saying::Again { .. }
                | Saying::Anew { .. }
        )
    }

    /// It may be all that a first contact says.
    pub(crate) fn begins(&self) -> bool {
        matches!(self, Saying::Text { .. } | Saying::Invitation { .. } | Saying::Join { .. })
    }
}

impl Want {
    /// The user wants it, not only the engine.
    pub(crate) fn is_a_choice(&self) -> bool {
        matches!(self, Want::Claim { .. } | Want::Add { .. } | Want::Remove { .. })
    }
}

impl Chore {
    /// The user chose it: to let in, leave, block or unblock.
    pub(crate) fn is_a_choice(&self) -> bool {
        match self {
            Chore::DropDoor { .. } | Chore::DropInvite { .. } | Chore::Block { .. } | Chore::Unblock { .. } => true,
            Chore::OpenEntry { .. } | Chore::LeaveEntry { .. } => true,
            Chore::PutDoor { .. } | Chore::CheckPeer { .. } => false,
        }
    }
}

record! {
    /// A key package with private parts here.
    struct Package {
        pool: u32,
        made: UnixMillis,
        /// The last resort that another one replaced; kept for Welcomes under way.
        replaced: bool,
    }
}

record! {
    /// A row that waits for the Welcome of its room, or for missing handshake rows.
    struct Waiting {
        came: UnixMillis,
        row: Bytes,
    }
}
