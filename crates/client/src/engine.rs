//! The engine's frame: inputs are dispatched, state is settled, effects are handed out.
//!
//! Everything is *level-triggered*: the stored records say what is still to be done, [`Engine::settle`] looks at them and
//! asks for the next step, answers change records. After a crash or a lost socket nothing has to be remembered but the
//! records, and nothing is sent that does not follow from them. What is only in memory: which request is under way for
//! which [`Purpose`], loaded groups, the mailbox rows that are being worked on, intents that wait for an answer.

use crate::api::{Changes, ConversationId, Effect, Event, Failure, IdentityId, Input, IntentId, Reply, Role, Socket};
use crate::connection::Link;
use crate::intents::NetworkIntent;
use crate::rows::codec::BrokenRow;
use crate::rows::sorted::Sorted;
use crate::signup::SignUp;
use crate::state::{Stage, State};
use parlour_e2ee::Group;
use parlour_proto::frames::{AccountRef, Answer, Push, Row, ServerFrame};
use parlour_proto::ids::{DeviceId, Digest, MemberKey, MessageId, RoomId, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// What a request under way is for; one at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Authenticate,
    SignUp,
    Publish,
    Chore(u64),
    Claim(ConversationId),
    CreateRoom(RoomId),
    Commit(RoomId),
    MemberClaim(RoomId, AccountRef),
    Message(ConversationId),
    Log(RoomId),
    Grant(RoomId),
    Knock(RoomId),
    Successor(ConversationId),
    Apps,
    Intent(IntentId),
    DeleteAccount,
    Backup,
    OwnAccount,
    AppendList,
    /// A link of the own device list that the server does not have any more.
    GiveBack,
    ClaimOwn(RoomId, DeviceId),
    Whisper(ConversationId),
    OpenRelay,
    JoinRelay,
    Relay,
    CloseRelay,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) purpose: Purpose,
    pub(crate) role: Role,
    pub(crate) sent: UnixMillis,
}

/// Rows that were asked for.
#[derive(Debug)]
pub(crate) enum Load {
    Group(RoomId),
    Package(MemberKey),
    /// One message, to be shown.
    Message(ConversationId, MessageId),
    /// Whether a message is stored already.
    Seen(RoomId, MessageId),
    /// Whether what a device is said to have said before is here.
    Followed(RoomId, MessageId),
    /// Whether a message is here that its author says again, unasked.
    Lost(ConversationId, Box<crate::messages::Lost>),
    /// One own message, to be sent again.
    Again(ConversationId, MessageId),
    /// Of the first one asked for again, which is about the second.
    Aside(ConversationId, MessageId, MessageId),
    /// A page of a conversation's index, for a query.
    Page(u64),
    /// A message that a query shows.
    Listed(crate::pages::Listed),
    /// A message whose readers are asked for.
    Readers(IntentId),
    /// Somebody's picture, for a query.
    Picture(IntentId),
    /// Somebody's picture, for own devices.
    Face(AccountRef),
    /// A group's picture: to be handed to somebody new (under this key), or for own devices.
    GroupFace(Option<Vec<u8>>, ConversationId),
    /// Whether a message that another own device tells of is here already.
    Told(ConversationId, Box<crate::history::Told>),
    /// A day of the index of what is over.
    Day(u32),
    /// A message whose time may be over.
    Over((UnixMillis, ConversationId, MessageId)),
    /// A message whose clock has started: when it is over.
    End(ConversationId, MessageId, UnixMillis),
    /// A message that can be seen once, and is to be.
    Open(IntentId, ConversationId, MessageId),
    /// One that was seen on another own device.
    Opened(ConversationId, MessageId),
    /// A message that is to be kept, or no longer.
    Keep(Option<IntentId>, ConversationId, MessageId, bool),
    /// Which single messages are kept.
    Archive(IntentId, Option<UnixMillis>, usize),
    /// One of them, for a query.
    Archived(IntentId, ConversationId, MessageId),
    /// A message that is written anew.
    Refile(u64, ConversationId, MessageId),
    /// A message that another own device asks for.
    Asked(DeviceId, ConversationId, MessageId),
    /// The message up to which another own device has read.
    ReadUpTo(ConversationId, MessageId),
    Wipe(Vec<u8>),
}

/// A group in memory.
pub(crate) struct Loaded {
    pub(crate) group: Group,
    pub(crate) used: u64,
}

/// The client engine of one home. See [`crate::api`] for how to drive it.
pub struct Engine {
    pub(crate) s: State,
    pub(crate) now: UnixMillis,
    pub(crate) changes: Changes,
    actions: Vec<Effect>,
    events: Vec<Event>,
    effects: VecDeque<Effect>,
    wake: Option<UnixMillis>,
    told_wake: Option<UnixMillis>,

    pub(crate) inbox: Link,
    pub(crate) outbox: Link,
    pub(crate) outbox_wanted: bool,
    pub(crate) wanted: bool,
    pub(crate) signed_in: bool,
    pub(crate) server_caught_up: bool,
    /// When the inbox brought something last.
    pub(crate) last_heard: UnixMillis,
    pub(crate) drained: bool,
    pub(crate) server_ahead: i128,
    pub(crate) shown_connection: Option<crate::api::Connection>,
    pub(crate) flights: BTreeMap<u64, Flight>,
    pub(crate) next_request: u64,
    pub(crate) later: HashMap<Purpose, UnixMillis>,

    pub(crate) mailbox: VecDeque<Row>,
    pub(crate) to_ack: Option<u64>,
    /// Messages of the rows since the last acknowledgement that want a delivered report.
    pub(crate) delivered: BTreeMap<(ConversationId, RoomId), Vec<MessageId>>,
    /// Where something was said since the last input: told once, however much it was.
    pub(crate) touched: BTreeSet<ConversationId>,
    /// What was heard in groups before the roster that introduces whose it is.
    pub(crate) early: VecDeque<crate::early::Early>,
    /// Rooms that wait for handshake rows: since when, and the epoch or head that did not do.
    pub(crate) behind: BTreeMap<RoomId, UnixMillis>,

    /// What was said of interference, and when.
    pub(crate) interfered: BTreeMap<(Option<ConversationId>, crate::api::Interference), UnixMillis>,

    pub(crate) groups: HashMap<RoomId, Loaded>,
    pub(crate) uses: u64,
    pub(crate) package_rows: HashMap<MemberKey, parlour_e2ee::Rows>,
    pub(crate) loads: BTreeMap<u64, Load>,
    next_load: u64,
    /// Queries that read pages of a conversation.
    pub(crate) archives: BTreeMap<IntentId, crate::expiry::archive::Archive>,
    pub(crate) walks: BTreeMap<u64, crate::pages::Walk>,
    pub(crate) next_walk: u64,
    /// Conversations whose summary changed since the last input.
    pub(crate) changed: BTreeSet<ConversationId>,

    /// Leaves whose credentials were verified against the pinned lists.
    pub(crate) believed: HashSet<Digest>,
    pub(crate) sign_up: Option<SignUp>,
    pub(crate) network_intents: BTreeMap<IntentId, NetworkIntent>,
    pub(crate) sync_intents: Vec<IntentId>,
    /// First contacts that wait for their claim: the intent and the message.
    pub(crate) send_intents: Vec<(IntentId, ConversationId, MessageId)>,
    /// Invitations and joins that wait for the claim of their first contact.
    pub(crate) asking: Vec<(IntentId, ConversationId)>,
    /// Since when a guest's token is here.
    pub(crate) guests_ready: Sorted<crate::guests::GuestKey, UnixMillis>,
    /// Group changes that wait for claims and their commit.
    pub(crate) group_intents: Vec<(IntentId, RoomId, Option<Failure>)>,
    pub(crate) deleting: Option<crate::identity::Deleting>,
    pub(crate) pools: Option<crate::keypackages::Pools>,
    /// How many key packages a full pool holds.
    pub(crate) pool_size: u32,
    /// First contacts that begin anew.
    pub(crate) restarts: Vec<(ConversationId, AccountRef)>,
    /// Groups whose newcomers are to be told who is there.
    pub(crate) announce: Vec<(ConversationId, RoomId)>,

    /// The account's device list, verified; `None`: to be read anew.
    pub(crate) listed: Option<Vec<parlour_proto::device_list::Device>>,
    /// The server has another list than we.
    pub(crate) list_wanted: bool,
    /// The server lacks our device list's links from this one on.
    pub(crate) giving_back: Option<usize>,
    pub(crate) appending: Option<crate::devices::Appending>,
    pub(crate) offer: Option<crate::linking::Offer>,
    pub(crate) joining: Option<crate::linking::Joining>,
    pub(crate) relay: crate::linking::RelayOut,
    /// Devices or rooms changed: somebody may be missing somewhere.
    pub(crate) look: bool,
    /// When leaves are looked at for their age.
    pub(crate) renewals_due: Option<UnixMillis>,
    /// When it is our turn to bring a device in.
    pub(crate) turn: Option<UnixMillis>,
    /// Since when a device is missing in a room.
    pub(crate) noticed: Sorted<(RoomId, DeviceId), UnixMillis>,
    /// What devices were told of the rooms that they are to come into.
    pub(crate) told_rooms: Sorted<(RoomId, DeviceId), UnixMillis>,
    /// Rooms that this device is not in though other own devices may be, and when it says so.
    pub(crate) outside: Sorted<RoomId, crate::outside::Outside>,
    /// Own devices that have a leaf in a room and said that they are not in it.
    pub(crate) others_outside: BTreeSet<(RoomId, DeviceId)>,
    /// A page is being read for this device.
    pub(crate) copying: Option<DeviceId>,
    /// Something is being read for this entry of what is to be handed over.
    pub(crate) handing_over: Option<Vec<u8>>,
    /// Contacts with a device less: they get another door token.
    pub(crate) doors_to_renew: Vec<AccountRef>,
    /// Conversations that the other side has opened: own devices are told.
    pub(crate) opened: Vec<ConversationId>,
    /// Messages that were written before this device was in, sequenced after: own devices are asked for them.
    pub(crate) missed: Vec<(ConversationId, MessageId)>,
    /// Messages that are asked for without being counted as unreadable, and until when own devices may bring them before their authors
    /// are asked.
    pub(crate) asked_own: Sorted<MessageId, UnixMillis>,
    /// Conversations with a gap that another own device fills: the next position in it.
    pub(crate) filling: Vec<(ConversationId, u64)>,
    pub(crate) backup: crate::backup::Work,
    pub(crate) parting: Option<crate::parting::Parting>,
    pub(crate) sweep: crate::expiry::sweep::Sweep,
    /// The page of messages that is written anew.
    pub(crate) refiling: Option<crate::expiry::refile::Page>,
    pub(crate) next_page: u64,
    /// In these groups somebody is with devices that are gone.
    pub(crate) returned: Vec<(RoomId, AccountRef)>,
    /// When drafts are told to own devices.
    pub(crate) drafts_due: Vec<(ConversationId, UnixMillis)>,
    pub(crate) typing: crate::typing::Typing,
    pub(crate) again: bool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("rooms", &self.s.rooms.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over the stored rows of class [`crate::rows::EAGER`] (others are skipped).
    ///
    /// # Errors
    /// [`BrokenRow`] when a row is of a newer version, or damaged.
    pub fn open(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, BrokenRow> {
        Self::open_as(IdentityId(0), rows)
    }

    /// The engine of one of a home's identities.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_as(
        identity: IdentityId,
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, BrokenRow> {
        let mut s = State::new(identity.0);
        s.load_all(rows)?;
        Ok(Engine {
            s,
            now: UnixMillis(0),
            changes: Changes::default(),
            actions: Vec::new(),
            events: Vec::new(),
            effects: VecDeque::new(),
            wake: None,
            told_wake: None,
            inbox: Link::new(),
            outbox: Link::new(),
            outbox_wanted: false,
            wanted: false,
            signed_in: false,
            server_caught_up: false,
            last_heard: UnixMillis(0),
            drained: false,
            server_ahead: 0,
            shown_connection: None,
            flights: BTreeMap::new(),
            next_request: 0,
            later: HashMap::new(),
            mailbox: VecDeque::new(),
            to_ack: None,
            delivered: BTreeMap::new(),
            touched: BTreeSet::new(),
            early: VecDeque::new(),
            behind: BTreeMap::new(),
            interfered: BTreeMap::new(),
            groups: HashMap::new(),
            uses: 0,
            package_rows: HashMap::new(),
            loads: BTreeMap::new(),
            next_load: 0,
            archives: BTreeMap::new(),
            walks: BTreeMap::new(),
            next_walk: 0,
            changed: BTreeSet::new(),
            believed: HashSet::new(),
            sign_up: None,
            network_intents: BTreeMap::new(),
            sync_intents: Vec::new(),
            send_intents: Vec::new(),
            asking: Vec::new(),
            guests_ready: Sorted::new(),
            group_intents: Vec::new(),
            deleting: None,
            pools: None,
            pool_size: crate::keypackages::POOL_SIZE,
            restarts: Vec::new(),
            announce: Vec::new(),
            listed: None,
            list_wanted: false,
            giving_back: None,
            appending: None,
            offer: None,
            joining: None,
            relay: crate::linking::RelayOut::default(),
            look: true,
            renewals_due: None,
            turn: None,
            noticed: Sorted::new(),
            told_rooms: Sorted::new(),
            outside: Sorted::new(),
            others_outside: BTreeSet::new(),
            copying: None,
            handing_over: None,
            doors_to_renew: Vec::new(),
            opened: Vec::new(),
            missed: Vec::new(),
            asked_own: Sorted::new(),
            filling: Vec::new(),
            backup: crate::backup::Work::new(),
            parting: None,
            sweep: crate::expiry::sweep::Sweep::default(),
            refiling: None,
            next_page: 0,
            returned: Vec::new(),
            drafts_due: Vec::new(),
            typing: crate::typing::Typing::default(),
            again: false,
        })
    }

    /// Takes one input in. Drain [`poll`](Self::poll) afterwards.
    pub fn handle(&mut self, input: Input, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let set_back_ms = self.now.since(now);
        self.now = now;
        if set_back_ms > 0 {
            self.clock_set_back(set_back_ms);
        }
        self.wake = None;
        self.s.ring.seed(rng);
        self.tick_clock();
        match input {
            Input::Intent(id, intent) => self.on_intent(id, intent, rng),
            Input::Connected(socket) => self.on_connected(socket),
            Input::Disconnected(socket) => self.on_disconnected(socket, rng),
            Input::Frame(socket, frame) => self.on_frame(socket, frame, rng),
            Input::Tick => {}
            Input::Loaded { token, rows } => self.on_loaded(token, rows, rng),
        }
        self.settle(rng);
        self.finish();
    }

    /// The device's clock was set back: what was to be tried again at a time of the old clock is tried as much earlier, and
    /// what was sent then does not wait longer for its answer.
    fn clock_set_back(&mut self, by_ms: u64) {
        let back = |at: &mut UnixMillis| at.0 = at.0.saturating_sub(by_ms);
        // The server's time is what it was: what is signed with it stays good on a socket that is open.
        self.server_ahead += i128::from(by_ms);
        self.inbox.clock_set_back(by_ms);
        self.outbox.clock_set_back(by_ms);
        back(&mut self.last_heard);
        self.later.values_mut().for_each(back);
        self.flights.values_mut().for_each(|flight| back(&mut flight.sent));
        self.behind.values_mut().for_each(back);
        self.turn.iter_mut().for_each(back);
        self.drafts_due.iter_mut().for_each(|(_, due)| back(due));
    }

    /// The next effect; `None` when the shell may wait for the next input.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn on_frame(&mut self, socket: Socket, frame: ServerFrame, rng: &mut dyn CryptoRngCore) {
        if socket.role == Role::Inbox {
            self.last_heard = self.now;
        }
        match frame {
            ServerFrame::Answer { id, result } => {
                // Answers to what nobody asked (or to a socket before this one) mean nothing.
                if self.flights.get(&id).is_some_and(|flight| flight.role == socket.role)
                    && let Some(flight) = self.flights.remove(&id)
                {
                    self.on_answer(flight.purpose, result, rng);
                }
            }
            ServerFrame::Push(Push::Hello { version, nonce, time }) => {
                self.on_hello(socket.role, version, nonce, time);
            }
            ServerFrame::Push(_) if socket.role == Role::Outbox => {}
            ServerFrame::Push(Push::Rows(rows)) => self.on_rows(rows),
            ServerFrame::Push(Push::CaughtUp) => self.server_caught_up = true,
            ServerFrame::Push(Push::PoolsLow { door, stranger, last_resort_used }) => {
                self.on_pools(door, stranger, last_resort_used);
            }
            ServerFrame::Push(Push::DeviceList { length }) => self.list_is_at(length),
            ServerFrame::Push(Push::Relay { payload }) => self.on_relay(&payload, rng),
            ServerFrame::Push(Push::RelayClosed) => self.on_relay_closed(),
            ServerFrame::Push(Push::Whisper { room, payload }) => self.on_whisper(room, payload),
            ServerFrame::Push(Push::Closing(problem)) => self.on_closing(problem),
        }
    }

    fn on_answer(&mut self, purpose: Purpose, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        if let Err(problem) = &result
            && is_temporary(problem)
            && !(purpose == Purpose::Backup && problem.code == Code::Full)
            && !matches!(purpose, Purpose::Intent(_) | Purpose::SignUp)
            && !matches!(purpose, Purpose::OpenRelay | Purpose::JoinRelay | Purpose::Relay | Purpose::AppendList)
        {
            let wait = problem.retry_after_ms.max(1_000);
            self.later.insert(purpose.clone(), self.now.plus_ms(wait));
            if !matches!(purpose, Purpose::Claim(_)) {
                return;
            }
        }
        match purpose {
            Purpose::Authenticate => self.on_authenticated(result, rng),
            Purpose::SignUp => self.on_sign_up_answer(result, rng),
            Purpose::Publish => self.on_published(result),
            Purpose::Chore(number) => self.on_chore(number, result, rng),
            Purpose::Claim(conversation) => self.on_claimed(conversation, result, rng),
            Purpose::CreateRoom(room) => self.on_room_created(room, result),
            Purpose::Commit(room) => self.on_commit_answer(room, result),
            Purpose::MemberClaim(room, account) => self.on_member_claimed(room, &account, result),
            Purpose::Message(conversation) => self.on_message_answer(conversation, result, rng),
            Purpose::Log(room) => self.on_log(room, result, rng),
            Purpose::Grant(room) => self.on_knock_grant(room, result, rng),
            Purpose::Knock(room) => self.on_knocked(room, result),
            Purpose::Successor(conversation) => self.on_successor_set(conversation, result),
            Purpose::Intent(intent) => self.on_network_intent(intent, result, rng),
            Purpose::DeleteAccount => self.on_deleted(result),
            Purpose::Backup => self.on_backup_answer(result, rng),
            Purpose::OwnAccount => self.on_own_account(result),
            Purpose::AppendList => self.on_list_appended(result, rng),
            Purpose::GiveBack => self.on_given_back(result),
            Purpose::ClaimOwn(room, device) => self.on_own_claimed(room, device, result),
            Purpose::OpenRelay => self.on_relay_opened(result),
            Purpose::JoinRelay => self.on_relay_joined(result, rng),
            Purpose::Relay => self.on_relay_sent(result),
            Purpose::Apps => result.into_iter().for_each(|answer| self.on_apps(answer)),
            Purpose::Whisper(_) | Purpose::CloseRelay => {}
        }
    }

    /// Looks at what is to be done and asks for the next steps.
    fn settle(&mut self, rng: &mut dyn CryptoRngCore) {
        for _ in 0..16 {
            self.again = false;
            self.settle_sign_up(rng);
            self.settle_relay();
            self.settle_list(rng);
            if self.signed_in && self.publishing_intent().is_some() {
                self.settle_packages(rng);
            }
            self.settle_inbox();
            self.settle_network_intents();
            self.settle_wipes();
            self.settle_mailbox(rng);
            self.settle_expiry();
            self.settle_refiling(rng);
            if self.is_online() {
                self.settle_apps();
                self.settle_chores();
                self.settle_restored(rng);
                self.settle_packages(rng);
                self.settle_starts(rng);
                self.settle_doors(rng);
                self.settle_leaves(rng);
                self.settle_renewals(rng);
                self.settle_links();
                self.settle_guests();
                self.settle_joins(rng);
                self.settle_work(rng);
                self.hear_early(rng);
                self.ask_for_missing(rng);
                self.settle_profiles(rng);
                self.settle_seen(rng);
                self.settle_missed(rng);
                self.settle_outside(rng);
                self.settle_drafts(rng);
                self.settle_transfers(rng);
                self.settle_handing(rng);
                self.settle_returns(rng);
                self.settle_backup(rng);
                self.settle_outgoing(rng);
                self.settle_deleting();
            }
            self.settle_parting();
            self.settle_typing(rng);
            self.settle_sharing(rng);
            self.settle_silence(rng);
            self.settle_outbox();
            if !self.again {
                break;
            }
        }
        self.show_connection();
        self.finish_syncs();
    }

    fn finish(&mut self) {
        for conversation in std::mem::take(&mut self.touched) {
            self.tell_conversation(conversation);
        }
        self.shrink_groups();
        self.tell_changed();
        self.s.flush(&mut self.changes);
        if !self.changes.0.is_empty() {
            self.effects.push_back(Effect::Commit(std::mem::take(&mut self.changes)));
        }
        self.effects.extend(self.actions.drain(..));
        self.effects.extend(self.events.drain(..).map(Effect::Notify));
        if let Some(wake) = self.wake
            && self.told_wake.is_none_or(|told| told != wake || told <= self.now)
        {
            self.effects.push_back(Effect::WakeAt(wake));
            self.told_wake = Some(wake);
        }
    }

    fn on_loaded(&mut self, token: u64, rows: Vec<(Vec<u8>, Vec<u8>)>, rng: &mut dyn CryptoRngCore) {
        let rows = self.unshrouded(rows);
        match self.loads.remove(&token) {
            None => {}
            Some(Load::Day(day)) => self.on_day_rows(day, &rows),
            Some(Load::Over(place)) => self.on_over_rows(place, &rows, rng),
            Some(Load::End(conversation, message, end)) => self.on_end_rows(conversation, message, end, &rows),
            Some(Load::Open(intent, conversation, message)) => {
                self.on_open_rows(intent, conversation, message, &rows, rng);
            }
            Some(Load::Opened(conversation, message)) => self.gone_once(conversation, message, &rows, rng),
            Some(Load::Keep(intent, conversation, message, keep)) => {
                self.on_keep_rows(intent, (conversation, message), keep, &rows, rng);
            }
            Some(Load::Refile(page, conversation, message)) => self.on_refile_rows(page, conversation, message, &rows),
            Some(Load::Archive(intent, before, limit)) => self.on_archive_rows(intent, before, limit, &rows),
            Some(Load::Archived(intent, conversation, message)) => {
                self.on_archived_rows(intent, conversation, message, &rows);
            }
            Some(Load::Group(room)) => self.on_group_rows(room, rows),
            Some(Load::Package(member_key)) => self.on_package_rows(member_key, rows),
            Some(Load::Message(conversation, message)) => self.on_message_rows(conversation, message, &rows),
            Some(Load::Lost(conversation, lost)) => self.on_lost_rows(conversation, *lost, &rows),
            Some(Load::Followed(room, after)) => self.on_followed_rows(room, after, &rows),
            Some(Load::Seen(room, message)) => self.on_seen_rows(room, message, &rows),
            Some(Load::Again(conversation, message)) => self.on_again_rows(conversation, message, &rows, rng),
            Some(Load::Aside(conversation, message, about)) => {
                self.on_aside_rows(conversation, message, about, &rows, rng);
            }
            Some(Load::Page(walk)) => self.on_page_rows(walk, &rows, rng),
            Some(Load::Listed(listed)) => self.on_listed_rows(listed, &rows, rng),
            Some(Load::Readers(intent)) => self.on_readers_rows(intent, &rows),
            Some(Load::Picture(intent)) => self.on_picture_rows(intent, &rows),
            Some(Load::GroupFace(handing, group)) => self.on_group_face_rows(handing, group, &rows, rng),
            Some(Load::Face(account)) => {
                let row = rows.into_iter().next().map(|(_, row)| row.into());
                self.on_face_rows(account, row, rng);
            }
            Some(Load::Told(conversation, told)) => self.on_told_rows(conversation, *told, &rows),
            Some(Load::Asked(device, conversation, message)) => {
                self.on_asked_rows(device, conversation, message, &rows, rng);
            }
            Some(Load::ReadUpTo(conversation, message)) => self.on_read_rows(conversation, message, &rows, rng),
            Some(Load::Wipe(prefix)) => self.on_wipe_rows(prefix, &rows),
        }
    }

    /// Rows as they were before they were sealed under the keys of messages; without a key: with an empty value.
    pub(crate) fn unshrouded(&self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let messages = crate::rows::prefix(crate::rows::LAZY, b'm', self.s.number);
        let open = |(key, value): (Vec<u8>, Vec<u8>)| {
            let value =
                if key.starts_with(&messages) { self.s.ring.unshroud(&key, value).unwrap_or_default() } else { value };
            (key, value)
        };
        rows.into_iter().map(open).collect()
    }

    // ---- what the other modules use

    pub(crate) fn identity_id(&self) -> IdentityId {
        IdentityId(self.s.number)
    }

    /// The account, once there is one that can be used.
    pub(crate) fn me(&self) -> Option<&crate::state::Identity> {
        self.s.identity.get(&()).filter(|identity| matches!(identity.stage, Stage::Live))
    }

    pub(crate) fn act(&mut self, effect: Effect) {
        self.actions.push(effect);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(crate) fn done(&mut self, intent: IntentId, result: Result<Reply, Failure>) {
        self.tell(Event::Done(intent, result));
    }

    pub(crate) fn put_row(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.changes.0.push((key, value));
    }

    pub(crate) fn wake_at(&mut self, instant: UnixMillis) {
        self.wake = Some(self.wake.map_or(instant, |wake| wake.min(instant)));
    }

    pub(crate) fn load_rows(&mut self, prefix: Vec<u8>, load: Load) {
        self.next_load += 1;
        let token = self.next_load;
        self.loads.insert(token, load);
        self.act(Effect::Load { token, prefix });
    }

    /// Rows of these rooms must wait: is anything being loaded for them?
    pub(crate) fn is_loading_group(&self, room: &RoomId) -> bool {
        self.loads.values().any(|load| matches!(load, Load::Group(r) if r == room))
    }

    /// Lazy rows under this prefix are to be deleted, also after a crash.
    pub(crate) fn wipe(&mut self, prefix: Vec<u8>) {
        self.s.wipes.insert(prefix, ());
        self.again = true;
    }

    fn settle_wipes(&mut self) {
        let running: BTreeSet<Vec<u8>> = self
            .loads
            .values()
            .filter_map(|load| if let Load::Wipe(prefix) = load { Some(prefix.clone()) } else { None })
            .collect();
        for prefix in self.s.wipes.keys() {
            if !running.contains(&prefix) {
                self.load_rows(prefix.clone(), Load::Wipe(prefix));
            }
        }
    }

    fn on_wipe_rows(&mut self, prefix: Vec<u8>, rows: &[(Vec<u8>, Vec<u8>)]) {
        for (key, _) in rows.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            self.put_row(key.clone(), None);
        }
        self.s.wipes.remove(&prefix);
    }
}

/// Trying the same again later makes sense.
pub(crate) fn is_temporary(problem: &Problem) -> bool {
    matches!(problem.code, Code::SlowDown | Code::Unavailable | Code::Full | Code::Internal | Code::TooManyNewPeople)
}
