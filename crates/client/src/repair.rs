//! Repair, without the user noticing (DESIGN §5).
//!
//! | stage | asks | leads on when |
//! |---|---|---|
//! | Log | handshake rows after our head | state is there and they bring us up: done; else Grant |
//! | Grant | an own grant for a fresh key package | it comes: Knock; the room does not know us: Rebuild |
//! | Knock | to be let back in; any online member swaps our leaf | a Welcome comes: done; in a conversation of two after 20 s: Rebuild |
//! | Rebuild | a successor, by compare-and-set, then a first contact by the door token ([`crate::claims`]) | the new room is there |
//!
//! A room without usable MLS state is `Broken`: its messages are counted unreadable and asked for again afterwards.
//!
//! **Outside.** A member of a group whose state is whole, but whom the server does not know, was thrown out by a void commit:
//! it may not commit any more, but the next valid commit of anybody brings its entry back under the same member key. So it
//! keeps its state and what it wants to say, waits for that commit, and asks for the log now and then, ever more rarely.

use crate::api::{Interference, Role};
use crate::contacts::proto_account;
use crate::engine::{Engine, Purpose};
use crate::incoming::{From, Step};
use crate::mls::Ready;
use crate::rows::codec::record;
use crate::rows::{decode, encode};
use crate::signing;
use crate::state::{Joiner, Phase, Repair, Standing, Start, Want, Whom};
use bytes::Bytes;
use parlour_e2ee::Policy;
use parlour_proto::frames::{Answer, Pool, Request, Row, RowBody};
use parlour_proto::ids::{Digest, MemberKey, MessageId, RoomId, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

/// How long a conversation of two waits for the other side to answer a knock before it is rebuilt.
const KNOCK_MS: u64 = 20_000;
/// A group's knock is repeated. An admin does not wait so long: it makes the group anew.
const KNOCK_AGAIN_MS: u64 = 24 * 3_600_000;
const GROUP_KNOCK_MS: u64 = 3_600_000;
/// The first pause after an answer by somebody we do not know.
const REFUSED_MS: u64 = 10_000;
/// Who is outside looks for the first time after so long, …
const LOOK_MS: u64 = 30_000;
/// … and at last as rarely as this.
const LONGEST_LOOK_MS: u64 = 6 * 3_600_000;
/// A void commit that nobody undid: as long as a row of it may wait for those who could.
const VOID_PATIENCE_MS: u64 = 30 * 24 * 3_600_000;
/// Not known to the server, and no void commit seen: the row that tells why is late by no more than this.
const PATIENCE_MS: u64 = 600_000;

record! {
    /// What a knock carries, sealed for the members.
    struct KnockPayload {
        key_package: Bytes,
        member_key: MemberKey,
        grant: Bytes,
    }
}

impl Engine {
    /// The room's MLS state is of no use: it goes, and the way back in begins.
    pub(crate) fn break_room(&mut self, room: RoomId) {
        let Some(r) = self.s.rooms.get_mut(&room) else { return };
        if matches!(r.phase, Phase::Broken | Phase::Left) {
            return;
        }
        let was_building = matches!(r.phase, Phase::Building);
        let conversation = r.conversation;
        r.phase = Phase::Broken;
        self.s.counters().repairs += 1;
        self.give_up_waiting(&room);
        self.drop_group(&room);
        self.behind.remove(&room);
        let work = self.s.work(room);
        work.pending = None;
        work.wants.clear();
        work.create = None;
        work.repair = Some(Repair::Log);
        self.fail_group_intents(room);
        self.forget_sealed(conversation, room);
        if was_building {
            // Nobody else is in it: made anew.
            self.start_over(conversation, room);
        }
        self.weigh(conversation);
        self.again = true;
    }

    /// What was sealed for this room and did not get there is sealed anew for the next.
    pub(crate) fn forget_sealed(&mut self, conversation: crate::api::ConversationId, room: RoomId) {
        let items: Vec<u64> = self
            .s
            .outgoing_of(conversation)
            .filter(|(_, item)| !item.accepted && item.sealed.as_ref().is_some_and(|s| s.room == room))
            .map(|(at, _)| at)
            .collect();
        for at in items {
            if let Some(item) = self.s.outgoing.get_mut(&(conversation, at)) {
                item.sealed = None;
            }
        }
    }

    /// Makes another room for a conversation of two, in place of one that never came to be.
    pub(crate) fn start_over(&mut self, conversation: crate::api::ConversationId, room: RoomId) {
        let account =
            self.s.conversations.get(&conversation).filter(|c| !c.is_group).and_then(|c| c.members.first().cloned());
        self.forget_room(&room);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.rooms.retain(|id| *id != room);
        }
        if let Some(account) = account {
            self.restarts.push((conversation, account));
        }
        self.again = true;
    }

    pub(crate) fn settle_repair(&mut self, room: RoomId, rng: &mut dyn CryptoRngCore) {
        let Some(repair) = self.s.work.get(&room).and_then(|work| work.repair.clone()) else { return };
        match repair {
            Repair::Log => self.fetch_log(room),
            Repair::Grant { member_key, .. } => {
                self.ask(Role::Inbox, Purpose::Grant(room), || Request::OwnGrant { room, member_key });
            }
            Repair::Knock { knock_id, payload, sent, since, .. } => {
                if sent {
                    self.wait_for_welcome(room, since, rng);
                } else {
                    self.knock(room, knock_id, payload);
                }
            }
            Repair::Rebuild => {}
            Repair::Outside { .. } => self.fetch_log(room),
            Repair::Behind { since } => self.settle_behind(room, since, rng),
        }
    }

    /// The server does not know our entry. In a group whose state is whole somebody's commit may bring it back: wait.
    pub(crate) fn shut_out(&mut self, room: RoomId) {
        let Some(r) = self.s.rooms.get(&room) else { return };
        let (conversation, whole, thrown_out) = (r.conversation, matches!(r.phase, Phase::Live), !r.voids.is_empty());
        let is_group = self.s.conversations.get(&conversation).is_some_and(|c| c.is_group);
        if !whole || !is_group {
            return self.break_room(room);
        }
        let waited = self.now.since(self.outside_since(room));
        let patience = if thrown_out { VOID_PATIENCE_MS } else { PATIENCE_MS };
        if waited >= patience {
            self.leave_room(&room);
            return self.lost_place(room);
        }
        self.behind.remove(&room);
        self.later(Purpose::Log(room), (waited / 2).clamp(LOOK_MS, LONGEST_LOOK_MS));
        self.weigh(conversation);
        self.again = true;
    }

    /// Since when we are outside; from now on if we were not.
    fn outside_since(&mut self, room: RoomId) -> UnixMillis {
        let now = self.now;
        let repair = &mut self.s.work(room).repair;
        if let Some(Repair::Outside { since }) = repair {
            return *since;
        }
        *repair = Some(Repair::Outside { since: now });
        self.s.counters().repairs += 1;
        now
    }

    /// Whether we are outside for longer than the next commit takes among people who are there.
    pub(crate) fn is_outside_long(&self, room: &RoomId) -> bool {
        let repair = self.s.work.get(room).and_then(|work| work.repair.as_ref());
        matches!(repair, Some(Repair::Outside { since }) if self.now.since(*since) >= LOOK_MS) || self.is_behind(room)
    }

    /// The server knows our entry again: what waited goes on.
    pub(crate) fn let_in(&mut self, room: RoomId) {
        if !self.s.work.get(&room).is_some_and(|work| matches!(work.repair, Some(Repair::Outside { .. }))) {
            return;
        }
        self.s.work(room).repair = None;
        self.later.remove(&Purpose::Log(room));
        if let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) {
            self.weigh(conversation);
        }
        self.again = true;
    }

    pub(crate) fn fetch_log(&mut self, room: RoomId) {
        let Some((member, after)) = self.s.rooms.get(&room).map(|r| (r.member.clone(), r.head)) else { return };
        let time = self.server_time();
        let Some(proof) = signing::proof(&member, "log", &room, time, &after.to_be_bytes()) else { return };
        self.ask(Role::Outbox, Purpose::Log(room), || Request::FetchLog { room, after, proof });
    }

    pub(crate) fn on_log(&mut self, room: RoomId, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        self.again = true;
        let Some(before) = self.s.rooms.get(&room).map(|r| r.head) else { return };
        let log = match result {
            Ok(Answer::Log(log)) => log,
            Ok(_) => return self.later(Purpose::Log(room), 5_000),
            Err(problem) if problem.code == Code::Succeeded => return self.supersede(room, problem.successor),
            Err(problem) if self.s.comparing.contains(&room) => return self.compare_refused(room, &problem),
            Err(problem) => return self.log_refused(room, &problem, rng),
        };
        if let Some(successor) = log.successor.filter(|_| !self.is_group_room(&room)) {
            self.supersede(room, Some(successor));
            return;
        }
        if self.compare(room, &log).is_some() {
            return;
        }
        self.let_in(room);
        for row in log.rows.iter().filter(|row| row.room == room && matches!(row.body, RowBody::Commit { .. })) {
            self.take_log_row(row, rng);
        }
        let Some(r) = self.s.rooms.get(&room) else { return };
        let (progress, waits) = (r.head > before, self.s.waiting_by_room().contains_key(&room));
        if matches!(r.phase, Phase::Broken) {
            return self.prepare_knock(room, rng);
        }
        if log.more && progress {
            // The next page, at once.
            self.behind.insert(room, UnixMillis(0));
            return;
        }
        self.behind.remove(&room);
        if waits && !progress {
            self.interfered_in(&room, Interference::Withheld);
        }
        if waits && !self.is_group_room(&room) {
            // Rows of an epoch that not even the log leads to.
            self.break_room(room);
        } else if !progress && r_has_voids(self, room) {
            self.want_undo(room);
        } else if !progress {
            // The server refuses our key and has nothing newer: try once more, slowly.
            if let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) {
                self.later(Purpose::Message(conversation), 5_000);
            }
        }
    }

    fn take_log_row(&mut self, row: &Row, rng: &mut dyn CryptoRngCore) {
        if self.take_commit(row, From::Log, rng) == Step::Wait {
            // Not loaded: the next look at the log will find it so.
            self.fall_behind(row.room);
        }
    }

    fn log_refused(&mut self, room: RoomId, problem: &Problem, rng: &mut dyn CryptoRngCore) {
        let broken = self.s.rooms.get(&room).is_some_and(|r| matches!(r.phase, Phase::Broken));
        match problem.code {
            Code::NoSuchRoom | Code::BadSignature if broken => self.rebuild(room, rng),
            Code::LogGone if broken => self.prepare_knock(room, rng),
            Code::NoSuchRoom => self.shut_out(room),
            Code::LogGone => {
                self.behind.remove(&room);
                self.break_room(room);
            }
            Code::NoRight => {
                // Our entry is not open yet.
                self.behind.remove(&room);
                self.later(Purpose::Log(room), 5_000);
            }
            Code::BadSignature => {
                // Signed at a time that is not the server's: the clock was set since its hello. Another hello tells it.
                self.give_up(Role::Outbox, rng);
                self.later(Purpose::Log(room), 5_000);
            }
            _ => self.later(Purpose::Log(room), 5_000),
        }
    }

    /// Makes a fresh key package to be let back in with.
    fn prepare_knock(&mut self, room: RoomId, rng: &mut dyn CryptoRngCore) {
        let Some(made) = self.make_package(Pool::Door, rng) else { return };
        let since = self.now;
        let refused = self.answers_refused(&room);
        self.s.work(room).repair =
            Some(Repair::Grant { member_key: made.member_key, key_package: made.key_package, since, refused });
    }

    /// How many answers to our knocks were of no use.
    fn answers_refused(&self, room: &RoomId) -> u32 {
        match self.s.work.get(room).and_then(|work| work.repair.as_ref()) {
            Some(Repair::Grant { refused, .. } | Repair::Knock { refused, .. }) => *refused,
            _ => 0,
        }
    }

    /// Whether we ask this group to be let back in. (The answer can be here before we hear that the knock is with the server.)
    pub(crate) fn is_knocking(&self, room: &RoomId) -> bool {
        let repair = self.s.work.get(room).and_then(|work| work.repair.as_ref());
        matches!(repair, Some(Repair::Grant { .. } | Repair::Knock { .. }))
    }

    /// Somebody let us back in of whom we do not know that they are in the group: they may have come after what we remember, or the
    /// server and somebody who was thrown out show us another group. Our place there is the one they gave us; from it somebody else
    /// is asked, after a pause that grows.
    pub(crate) fn knock_elsewhere(&mut self, room: RoomId, member: Zeroizing<Vec<u8>>, rng: &mut dyn CryptoRngCore) {
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.member = member;
        }
        if let Some(Repair::Grant { refused, .. } | Repair::Knock { refused, .. }) = &mut self.s.work(room).repair {
            *refused += 1;
        }
        let pause = REFUSED_MS << (self.answers_refused(&room).saturating_sub(1)).min(16);
        self.prepare_knock(room, rng);
        self.later(Purpose::Grant(room), pause.min(KNOCK_AGAIN_MS));
    }

    pub(crate) fn on_knock_grant(
        &mut self,
        room: RoomId,
        result: Result<Answer, Problem>,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.again = true;
        let repair = self.s.work.get(&room).and_then(|work| work.repair.clone());
        let Some(Repair::Grant { member_key, key_package, since, refused }) = repair else { return };
        let Ok(Answer::Grant { grant }) = result else { return self.rebuild(room, rng) };
        let Some(policy) = self.s.rooms.get(&room).and_then(|r| Policy::from_bytes(&r.policy).ok()) else {
            return self.rebuild(room, rng);
        };
        let payload = encode(&KnockPayload { key_package, member_key, grant });
        let payload: Bytes = parlour_e2ee::seal_knock(&policy, &room.0, &payload, rng).into();
        let knock_id = MessageId::random(rng);
        self.s.work(room).repair = Some(Repair::Knock { member_key, knock_id, payload, sent: false, since, refused });
    }

    fn knock(&mut self, room: RoomId, knock_id: MessageId, payload: Bytes) {
        let Some(member) = self.s.rooms.get(&room).map(|r| r.member.clone()) else { return };
        let time = self.server_time();
        let detail = [&knock_id.0[..], &Digest::of(&payload).0].concat();
        let Some(proof) = signing::proof(&member, "knock", &room, time, &detail) else { return };
        self.ask(Role::Outbox, Purpose::Knock(room), || Request::Knock { room, knock_id, payload, proof });
    }

    pub(crate) fn on_knocked(&mut self, room: RoomId, result: Result<Answer, Problem>) {
        self.again = true;
        let now = self.now;
        let Some(Repair::Knock { sent, since, .. }) = &mut self.s.work(room).repair else { return };
        if result.is_ok() {
            *sent = true;
            *since = now;
        } else {
            // Not even knocking is possible: on to the next way at once.
            *sent = true;
            *since = UnixMillis(0);
        }
    }

    fn wait_for_welcome(&mut self, room: RoomId, since: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let conversation = self.s.rooms.get(&room).map(|r| r.conversation);
        let is_group = conversation.and_then(|c| self.s.conversations.get(&c)).is_some_and(|c| c.is_group);
        let makes_anew = is_group && self.is_admin(&room);
        let patience = match (is_group, makes_anew) {
            (false, _) => KNOCK_MS,
            (true, true) => GROUP_KNOCK_MS,
            (true, false) => KNOCK_AGAIN_MS,
        };
        if self.now.since(since) < patience {
            return self.wake_at(since.plus_ms(patience));
        }
        if makes_anew {
            self.rebuild_group(room, rng);
        } else if is_group {
            self.prepare_knock(room, rng);
        } else {
            self.rebuild(room, rng);
        }
        self.again = true;
    }

    /// A new room for a conversation of two. Who has no place in a group any more must be added again.
    pub(crate) fn rebuild(&mut self, room: RoomId, rng: &mut dyn CryptoRngCore) {
        let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) else { return };
        let Some(c) = self.s.conversations.get(&conversation) else { return };
        let account = c.members.first().cloned().filter(|_| !c.is_group);
        let Some(account) = account else { return self.leave_room(&room) };
        self.s.work(room).repair = Some(Repair::Rebuild);
        if !self.s.starts.contains(&conversation) {
            let start = Start {
                whom: Whom::Account { account },
                room: RoomId::random(rng),
                predecessor: Some((room, false)),
                without_door: false,
            };
            self.s.starts.insert(conversation, start);
        }
        self.set_standing(conversation, Standing::Repairing);
        self.again = true;
    }

    // ---- the other side

    /// Somebody in the room asks to be let back in.
    pub(crate) fn take_knock(&mut self, room: RoomId, old: MemberKey, payload: &[u8]) -> Step {
        match self.need_group(&room) {
            Ready::NotYet => return Step::Wait,
            Ready::Never => return Step::Done,
            Ready::Yes => {}
        }
        if self.is_frozen(&room) || !self.s.rooms.get(&room).is_some_and(|r| r.usable()) {
            return Step::Done;
        }
        let Some(joiner) = self.open_knock(room, old, payload) else {
            tracing::warn!("a knock that cannot be believed");
            return Step::Done;
        };
        self.want(room, Want::Swap { old, joiner });
        Step::Done
    }

    fn open_knock(&mut self, room: RoomId, old: MemberKey, payload: &[u8]) -> Option<Joiner> {
        let group = self.group(&room)?;
        let leaf = group.members().into_iter().find(|member| member.member_key() == old.0)?;
        if leaf.leaf == group.own_leaf() {
            return None;
        }
        let payload = parlour_e2ee::open_knock(group.policy(), &room.0, payload).ok()?;
        let knock: KnockPayload = decode(&payload).ok()?;
        let joiner = Joiner { key_package: knock.key_package, member_key: knock.member_key, grant: knock.grant };
        let account = proto_account(leaf.account())?;
        let package = self.open_joiner(&account, &joiner).ok()?;
        let device = parlour_proto::ids::DeviceId(leaf.device());
        let key = self.device_signing_key(&account, &device)?;
        (package.credential().device == device.0 && package.verify(&key).is_ok()).then_some(joiner)
    }

    /// Somebody says that another room follows.
    pub(crate) fn take_successor(&mut self, room: RoomId, successor: RoomId, by: MemberKey) -> Step {
        let ours = self
            .s
            .rooms
            .get(&room)
            .and_then(|r| signing::member_key(&r.member))
            .is_some_and(|key| key.verifying_key().to_bytes() == by.0);
        if !ours {
            self.supersede(room, Some(successor));
        }
        Step::Done
    }

    /// The room has a successor; writing goes on there once its Welcome is here. In a group anybody with an entry can say so:
    /// there only an admin's Welcome counts ([`Engine::is_rightful`]).
    pub(crate) fn supersede(&mut self, room: RoomId, successor: Option<RoomId>) {
        if self.is_group_room(&room) {
            return;
        }
        let Some(r) = self.s.rooms.get(&room) else { return };
        let conversation = r.conversation;
        if self.s.starts.get(&conversation).is_some_and(|start| Some(start.room) == successor)
            || successor.is_some_and(|next| self.s.rooms.get(&next).is_some_and(|r| matches!(r.phase, Phase::Building)))
        {
            return;
        }
        self.superseded_by(room, successor.unwrap_or(room));
        self.weigh(conversation);
    }

    pub(crate) fn superseded_by(&mut self, room: RoomId, successor: RoomId) {
        if room == successor {
            return;
        }
        let Some(r) = self.s.rooms.get_mut(&room) else { return };
        let conversation = r.conversation;
        if matches!(r.phase, Phase::Live) {
            r.phase = Phase::Superseded;
        }
        if self.s.starts.get(&conversation).is_some_and(|start| start.predecessor.is_some_and(|(old, _)| old == room)) {
            self.s.starts.remove(&conversation);
        }
        self.s.work.remove(&room);
        self.behind.remove(&room);
        self.forget_sealed(conversation, room);
        self.says_again_after(conversation);
        self.again = true;
    }
}

fn r_has_voids(engine: &Engine, room: RoomId) -> bool {
    engine.s.rooms.get(&room).is_some_and(|r| !r.voids.is_empty())
}
