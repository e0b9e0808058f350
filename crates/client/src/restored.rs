//! A server that was restored from a backup has forgotten what came after it (`docs/decisions/0023-restore.md`, `0024`).
//!
//! | what | this device |
//! |---|---|
//! | a room | is *compared*: nothing is sent or applied there before the server has told its head |
//! | a room whose head is behind ours, or that it does not know | is *frozen*, and made anew: in a conversation of two by either side, in a group by an admin; never is the server's older copy followed |
//! | a message under way, no echo yet | is sent again: the same bytes, the same id |
//! | an own message of after the backup | is sent again under its id; who has it drops it |
//! | a request of after the backup | is written again |
//! | door tokens, blocks, the newest links of the device list, the account's backup | are given to the server once more |
//!
//! A server that goes back without saying so shows it by a head below ours, an older list, or a sequence for a new message that is
//! not new: the room is frozen just the same. Saying so for no reason costs it the comparisons, and no room.

use crate::api::{ConversationId, ConversationState, Event, Interference, Message, MessageState};
use crate::engine::{Engine, Load, Purpose};
use crate::incoming::Step;
use crate::mls::Ready;
use crate::state::{Chore, Outgoing, Phase, Repair, Saying};
use parlour_e2ee::{Group, Processed, Role, RowMeta};
use parlour_proto::content::mention;
use parlour_proto::frames::{Log, Row, RowBody, SignedIn};
use parlour_proto::ids::{RoomId, Secret, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

/// Rooms compared at one time.
const MOST_AT_ONCE: usize = 16;
/// What was acknowledged so long before the backup is in it.
const MARGIN_MS: u64 = 60_000;
/// Nothing older is said again: it would not wait in a mailbox any more.
const MOST_AGO_MS: u64 = 30 * 24 * 3_600_000;
/// Messages of one conversation that are looked through for own ones.
pub(crate) const MOST_AGAIN: usize = 256;
/// Admins make a frozen group anew one after the other, …
const TURN_MS: u64 = 20_000;
/// … and who is none waits so long for them.
const ADMIN_MS: u64 = 24 * 3_600_000;
/// For so long after a restore others may still have to come and tell the server what they know.
const RECENT_MS: u64 = 7 * 24 * 3_600_000;
/// How often a room that cannot be made anew yet is tried again.
const AGAIN_MS: u64 = 60_000;

impl Engine {
    /// The server says which life of its data this is.
    pub(crate) fn note_incarnation(&mut self, signed_in: &SignedIn) {
        let now = self.server_time();
        let Some(me) = self.s.identity.get_mut(&()) else { return };
        let before = me.incarnation;
        if before == signed_in.incarnation {
            return;
        }
        me.incarnation = signed_in.incarnation;
        if before == 0 {
            return;
        }
        me.restored = now;
        tracing::warn!("the server was restored from a backup");
        self.to_ack = None;
        let live = |room: &RoomId| self.s.rooms.get(room).is_some_and(|r| r.usable() && !r.asked_here);
        let rooms: Vec<RoomId> = self.s.rooms.keys().into_iter().filter(live).collect();
        for room in rooms {
            self.s.comparing.insert(room, ());
            if !self.is_own_room(&room)
                && let Some(r) = self.s.rooms.get_mut(&room).filter(|r| r.open_there)
            {
                // Who we are may be what was lost: what is said next says it, too.
                r.hello_sent = false;
            }
        }
        self.send_again(signed_in.backup);
        self.tell_the_server_again();
        let identity = self.identity_id();
        self.tell(Event::Restored { identity, backup: signed_in.backup });
        self.again = true;
    }

    /// What has no echo goes out again; what has is looked through, if it came after the backup.
    fn send_again(&mut self, backup: UnixMillis) {
        let accepted: Vec<_> = self.s.outgoing.iter().filter(|(_, item)| item.accepted).map(|(at, _)| *at).collect();
        for at in accepted {
            if let Some(item) = self.s.outgoing.get_mut(&at) {
                item.accepted = false;
            }
        }
        if backup.0 == 0 {
            return;
        }
        let earliest = self.server_time().0.saturating_sub(MOST_AGO_MS);
        let since = UnixMillis(backup.0.saturating_sub(MARGIN_MS).max(earliest));
        if let Some(me) = self.s.identity.get_mut(&()) {
            me.lost_since = since;
        }
        let conversations: Vec<_> = self.s.conversations.iter().filter(|(_, c)| !c.is_own).map(|(id, _)| *id).collect();
        for conversation in conversations {
            self.s.resays.insert(conversation, since);
        }
    }

    /// What this device knows, and the server perhaps does not any more. (Who is let in and who is not: it learns nothing new.)
    fn tell_the_server_again(&mut self) {
        for account in self.s.contacts.keys() {
            let Some(contact) = self.s.contacts.get(&account) else { continue };
            let given = contact.given.iter().chain(&contact.given_too).map(Secret::digest);
            let mut chores: Vec<Chore> = given.map(|digest| Chore::PutDoor { digest }).collect();
            if contact.blocked {
                chores = vec![Chore::Block { account }];
            }
            for chore in chores {
                self.s.add_chore(chore);
            }
        }
        self.renew_backup();
    }

    /// Whether nothing is sent or applied in a room for now.
    pub(crate) fn is_frozen(&self, room: &RoomId) -> bool {
        self.s.comparing.contains(room) || self.is_behind(room)
    }

    /// Whether the server's copy of a room is older than ours.
    pub(crate) fn is_behind(&self, room: &RoomId) -> bool {
        self.s.work.get(room).is_some_and(|work| matches!(work.repair, Some(Repair::Behind { .. })))
    }

    pub(crate) fn settle_restored(&mut self, rng: &mut dyn CryptoRngCore) {
        let asked = self.flights.values().filter(|flight| matches!(flight.purpose, Purpose::Log(_))).count();
        for room in self.s.comparing.keys().into_iter().take(MOST_AT_ONCE.saturating_sub(asked)) {
            if self.s.rooms.get(&room).is_some_and(|r| r.usable()) {
                self.fetch_log(room);
            } else {
                self.compared(&room);
            }
        }
        for conversation in self.s.resays.keys() {
            self.look_for_lost(conversation, rng);
        }
    }

    fn compared(&mut self, room: &RoomId) {
        self.s.comparing.remove(room);
        self.again = true;
    }

    // ---- comparing

    /// The log came for a room: `None` when all is well and it is to be worked on.
    pub(crate) fn compare(&mut self, room: RoomId, log: &Log) -> Option<()> {
        let (head, live) = self.s.rooms.get(&room).map(|r| (r.head, r.usable()))?;
        if !live || self.is_behind(&room) {
            return None;
        }
        if log.head < head {
            self.room_is_behind(room);
            return Some(());
        }
        if !self.s.comparing.contains(&room) {
            return None;
        }
        if !log.rows.is_empty() {
            match self.need_group(&room) {
                Ready::NotYet => {
                    self.later(Purpose::Log(room), 100);
                    return Some(());
                }
                Ready::Never => {}
                Ready::Yes => {
                    let epoch = self.group(&room).map_or(0, |group| group.epoch());
                    let is_older = |row: &Row| match &row.body {
                        RowBody::Commit { payload, .. } => Group::epoch_of(payload).is_some_and(|of| of < epoch),
                        _ => false,
                    };
                    if log.rows.iter().any(is_older) {
                        // Somebody goes on from before what we know.
                        self.room_is_behind(room);
                        return Some(());
                    }
                }
            }
        }
        if !log.more {
            self.compared(&room);
        }
        log.rows.is_empty().then_some(())
    }

    /// The server did not tell the log of a room that is being compared.
    pub(crate) fn compare_refused(&mut self, room: RoomId, problem: &Problem) {
        match problem.code {
            // Made, joined, or its key changed after the backup.
            Code::NoSuchRoom | Code::BadSignature => self.room_is_behind(room),
            Code::LogGone => {
                self.compared(&room);
                self.break_room(room);
            }
            // Opened after the backup: until it is so again, what others say does not come.
            Code::NoRight if !self.is_group_room(&room) => self.room_is_behind(room),
            Code::NoRight => {
                let opening =
                    self.s.chores.iter().any(|(_, c)| matches!(c, Chore::OpenEntry { room: of, .. } if *of == room));
                if let Some(member) = self.s.rooms.get(&room).map(|r| r.member.clone()).filter(|_| !opening) {
                    self.s.add_chore(Chore::OpenEntry { room, member });
                }
                self.later(Purpose::Log(room), 1_000);
            }
            _ => self.later(Purpose::Log(room), 5_000),
        }
    }

    /// The server knows less of a room than we do: it is frozen, and made anew.
    pub(crate) fn room_is_behind(&mut self, room: RoomId) {
        self.compared(&room);
        let Some(r) = self.s.rooms.get(&room).filter(|r| matches!(r.phase, Phase::Live)) else { return };
        let conversation = r.conversation;
        if self.is_behind(&room) {
            return;
        }
        tracing::warn!("the server knows less of a room than this device: the room is made anew");
        self.s.counters().repairs += 1;
        self.behind.remove(&room);
        if self.is_own_room(&room) {
            // The next one is made at once.
            return self.leave_room(&room);
        }
        if self.s.work.get(&room).is_some_and(|work| work.pending.is_some()) {
            self.redo(room);
        }
        let now = self.now;
        let work = self.s.work(room);
        work.wants.clear();
        work.create = None;
        work.repair = Some(Repair::Behind { since: now });
        self.fail_group_intents(room);
        self.forget_sealed(conversation, room);
        self.flights.retain(|_, flight| flight.purpose != Purpose::Message(conversation));
        self.weigh(conversation);
    }

    /// A frozen room: who makes it anew, and when.
    pub(crate) fn settle_behind(&mut self, room: RoomId, since: UnixMillis, rng: &mut dyn CryptoRngCore) {
        if !self.is_group_room(&room) {
            return self.rebuild(room, rng);
        }
        let turn = self.turn_of_ours(&room);
        let due = since.plus_ms(turn.unwrap_or(ADMIN_MS));
        if self.now < due {
            return self.wake_at(due);
        }
        match turn {
            Some(_) => self.rebuild_group(room, rng),
            // Nobody who could knows what we know, or nobody is there: what the server has goes on.
            None => {
                self.s.work(room).repair = None;
                self.break_room(room);
            }
        }
    }

    /// How long this admin's device waits for others who can do it; `None`: it is none.
    fn turn_of_ours(&mut self, room: &RoomId) -> Option<u64> {
        let me = self.me().map(|me| (me.account.clone(), me.device)).filter(|_| self.is_admin(room))?;
        let (_, conversation) = self.policy_of(room)?;
        let members = self.s.conversations.get(&conversation).map(|c| c.members.clone()).unwrap_or_default();
        let before = members.iter().filter(|account| **account < me.0 && self.role_in(room, account) >= Role::Admin);
        let before = before.count();
        let device = self.listed().iter().position(|device| device.id == me.1).unwrap_or(0);
        Some((before + device) as u64 * TURN_MS)
    }

    /// The server is said to have been restored not long ago: who does not seem to be there may have to come first.
    pub(crate) fn is_recently_restored(&self) -> bool {
        let restored = self.me().map_or(UnixMillis(0), |me| me.restored);
        restored.0 > 0 && self.server_time().since(restored) < RECENT_MS
    }

    /// A room that replaces another cannot be made yet; `true`: it is tried again.
    pub(crate) fn waits_for_others(&mut self, conversation: ConversationId) -> bool {
        let rebuilds = self.s.starts.get(&conversation).is_some_and(|start| start.predecessor.is_some());
        let waits = rebuilds && self.is_recently_restored();
        if waits {
            if let Some(start) = self.s.starts.get_mut(&conversation) {
                start.without_door = false;
            }
            self.later(Purpose::Claim(conversation), AGAIN_MS);
        }
        waits
    }

    /// A room is replaced: who was not in it as the server had it did not hear what was said there since.
    pub(crate) fn says_again_after(&mut self, conversation: ConversationId) {
        let Some(since) = self.me().map(|me| me.lost_since).filter(|since| since.0 > 0) else { return };
        let is_own = self.s.conversations.get(&conversation).is_none_or(|c| c.is_own);
        if !is_own && self.is_recently_restored() {
            self.s.resays.insert(conversation, since);
            self.again = true;
        }
    }

    // ---- a row that is not new by its sequence

    /// A row at or below the watermark: it came before, nearly always. If it reads, it did not: the server has gone back, and gives
    /// sequences out again.
    pub(crate) fn take_late(&mut self, row: &Row, conversation: ConversationId, rng: &mut dyn CryptoRngCore) -> Step {
        let RowBody::Message { message_id, tag, stamp, payload } = &row.body else { return Step::Done };
        if self.take_echo(conversation, *message_id, payload, *stamp, (&row.room, row.time)) {
            return Step::Done;
        }
        match self.need_group(&row.room) {
            Ready::NotYet => return Step::Wait,
            Ready::Never => return Step::Done,
            Ready::Yes => {}
        }
        let meta = RowMeta { room_seq: row.room_seq, id: message_id.0, next_send_key_digest: None, tag: Some(*tag) };
        if let Some(Ok(Processed::Message(heard))) = self.with_group(&row.room, |group| group.process(payload, &meta)) {
            tracing::warn!("a new message under an old sequence: the server has gone back");
            if !self.is_recently_restored() {
                self.interfered_in(&row.room, Interference::Reordered);
            }
            self.hear(row, conversation, *message_id, *stamp, *heard, rng);
        }
        Step::Done
    }

    // ---- what the server took after the backup

    fn look_for_lost(&mut self, conversation: ConversationId, rng: &mut dyn CryptoRngCore) {
        use ConversationState::{Asked, Closed, Open, Repairing, Request, Starting};
        let frozen = self
            .s
            .conversations
            .get(&conversation)
            .is_some_and(|c| c.rooms.iter().any(|room| self.s.comparing.contains(room)));
        match self.standing(conversation) {
            None | Some(Closed | Request) => drop(self.s.resays.remove(&conversation)),
            Some(Repairing) => {}
            Some(Open | Asked | Starting) if frozen || self.best_room(conversation).is_none() => {}
            Some(Open | Asked | Starting) => {
                let Some(since) = self.s.resays.remove(&conversation) else { return };
                self.read_own(conversation, since, rng);
            }
        }
    }

    /// The newest messages of a conversation: those of ours of after the backup, which nobody is known to have, are said again.
    pub(crate) fn on_own_read(
        &mut self,
        conversation: ConversationId,
        since: UnixMillis,
        messages: Vec<Message>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(room) = self.best_room(conversation).and_then(|room| self.s.rooms.get(&room)) else {
            // Its room was lost meanwhile: once more when there is another.
            self.s.resays.insert(conversation, since);
            return;
        };
        let (open, first) = (room.open_there, !room.hello_sent);
        let several = self.s.conversations.get(&conversation).is_some_and(|c| c.members.len() > 1);
        let lost = |message: &Message| {
            let unheard = message.state == MessageState::Sent
                || (several && matches!(message.state, MessageState::Delivered | MessageState::Read));
            let plain = message.timer.is_none() && message.notice.is_none() && !message.deleted;
            message.from.is_none() && unheard && plain && message.time >= since
        };
        for message in messages.into_iter().filter(lost) {
            if open {
                let prefix = self.message_prefix(conversation, message.id);
                self.load_rows(prefix, Load::Again(conversation, message.id));
            } else if first {
                let text = mention::said(&message.text, &message.mentions);
                let saying = Saying::Text { text, in_reply_to: message.in_reply_to, timer: None };
                let queued = message.time;
                let item = Outgoing {
                    message: message.id,
                    saying,
                    queued,
                    room: None,
                    after_chore: 0,
                    sealed: None,
                    accepted: false,
                    key: 0,
                };
                self.queue(conversation, item);
            }
        }
        let _ = rng;
    }
}
