//! The mailbox: each row once, in order, and only what can be believed.
//!
//! Rows are worked on strictly in order; one whose group is being loaded holds up those behind it (all rooms of a push are
//! loaded at once). A row is processed once per (room, room sequence): the room's watermark moves in the same transaction as
//! everything that the row changes. The cumulative acknowledgement follows that transaction, once per push.
//!
//! | row | of a room that is | what happens |
//! |---|---|---|
//! | any | forgotten (tombstone) | dropped |
//! | message, commit, … | unknown | waits for its Welcome: 64 per room, 512 in all, 24 h |
//! | Welcome | unknown, or known and lost | [`crate::joining`] |
//! | message | known | echo of ours; or decrypted, checked, [`crate::messages`] |
//! | commit | known | own: merged; other's: checked, merged; void: remembered for the next commit; else repair |
//! | knock, successor | known | [`crate::repair`] |

use crate::api::{ConversationId, Interference};
use crate::contacts::Trust;
use crate::engine::{Engine, Load};
use crate::mls::Ready;
use crate::order::{is_first_sight, is_new_in_hand, is_open_handshake, undoes_ours, undoes_what_we_follow};
use crate::state::{Phase, Repair as Repairing, Waiting, Want};
use bytes::Bytes;
use parlour_e2ee::{Group, Invalid, Member, Processed, Repair, RowMeta, StagedChange};
use parlour_proto::frames::{EntryChange, Request, Rights, Row, RowBody, entries_digest};
use parlour_proto::ids::{MemberKey, MessageId, RoomId};
use rand_core::CryptoRngCore;

const MOST_WAITING_PER_ROOM: usize = 64;
const MOST_WAITING: usize = 512;
const WAITING_MS: u64 = 24 * 3_600_000;
const TOMBSTONE_MS: u64 = 38 * 24 * 3_600_000;
/// Unreadable messages remembered per room.
const MOST_UNREADABLE: usize = 256;

/// Where a handshake row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The mailbox: one before it may be missing.
    Mailbox,
    /// The room's log, which has no gaps.
    Log,
}

/// Whether a row is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// Something is being loaded for it.
    Wait,
}

impl Engine {
    pub(crate) fn on_rows(&mut self, rows: Vec<Row>) {
        for row in rows {
            if !is_new_in_hand(self.mailbox.back().map(|last| last.seq), row.seq) {
                continue;
            }
            let welcome = matches!(row.body, RowBody::Welcome { .. });
            if !welcome && self.s.rooms.contains(&row.room) {
                self.need_group(&row.room);
            }
            self.mailbox.push_back(row);
        }
    }

    /// Works on the mailbox as far as possible; when it is empty, acknowledges and reports.
    pub(crate) fn settle_mailbox(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.me().is_none() {
            self.mailbox.clear();
            return;
        }
        while let Some(row) = self.mailbox.front().cloned() {
            if self.take_row(&row, rng) == Step::Wait {
                return;
            }
            self.to_ack = Some(row.seq);
            self.mailbox.pop_front();
        }
        if let Some(seq) = self.to_ack.take() {
            self.send_reports(rng);
            if self.inbox.is_open() && self.signed_in {
                self.next_request += 1;
                let frame = parlour_proto::frames::ClientFrame { id: self.next_request, request: Request::Ack { seq } };
                self.send_frame(crate::api::Role::Inbox, frame);
            }
        }
        if self.server_caught_up && !self.drained && self.signed_in {
            self.drained = true;
            self.sweep_waiting();
            self.again = true;
        }
    }

    fn take_row(&mut self, row: &Row, rng: &mut dyn CryptoRngCore) -> Step {
        if let RowBody::Welcome { member_key, shared, part, asked } = &row.body {
            return self.take_welcome(row, *member_key, shared, part, *asked, rng);
        }
        if self.s.tombstones.contains(&row.room) {
            return Step::Done;
        }
        let Some(room) = self.s.rooms.get(&row.room) else {
            self.keep_waiting(row);
            return Step::Done;
        };
        if !is_first_sight(room.watermark, row.room_seq) {
            let conversation = room.conversation;
            return self.take_late(row, conversation, rng);
        }
        let step = self.take_known(row, rng);
        if step == Step::Done
            && let Some(room) = self.s.rooms.get_mut(&row.room)
        {
            room.watermark = room.watermark.max(row.room_seq);
        }
        step
    }

    /// A row of a room that is known, not seen before.
    fn take_known(&mut self, row: &Row, rng: &mut dyn CryptoRngCore) -> Step {
        let Some(conversation) = self.s.rooms.get(&row.room).map(|room| room.conversation) else { return Step::Done };
        match &row.body {
            RowBody::Message { message_id, tag, stamp, payload } => {
                if self.take_echo(conversation, *message_id, payload, *stamp, (&row.room, row.time)) {
                    return Step::Done;
                }
                let meta =
                    RowMeta { room_seq: row.room_seq, id: message_id.0, next_send_key_digest: None, tag: Some(*tag) };
                self.take_message(row, conversation, *message_id, *stamp, payload, &meta, rng)
            }
            RowBody::Commit { .. } => self.take_commit(row, From::Mailbox, rng),
            RowBody::Knock { member_key, payload, .. } => self.take_knock(row.room, *member_key, payload),
            RowBody::Successor { successor, member_key } => self.take_successor(row.room, *successor, *member_key),
            RowBody::Welcome { .. } => Step::Done,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one row")]
    fn take_message(
        &mut self,
        row: &Row,
        conversation: ConversationId,
        message: MessageId,
        stamp: [u8; 32],
        payload: &[u8],
        meta: &RowMeta,
        rng: &mut dyn CryptoRngCore,
    ) -> Step {
        match self.need_group(&row.room) {
            Ready::NotYet => return Step::Wait,
            // Said before the others knew that we are out: it is not for us any more.
            Ready::Never if self.s.rooms.get(&row.room).is_some_and(|r| matches!(r.phase, Phase::Left)) => {
                return Step::Done;
            }
            Ready::Never => {
                self.unreadable(row.room, message, "without state of the room");
                return Step::Done;
            }
            Ready::Yes => {}
        }
        let Some(processed) = self.with_group(&row.room, |group| group.process(payload, meta)) else {
            return Step::Done;
        };
        match processed {
            Ok(Processed::Message(heard)) => {
                if let Some(r) = self.s.rooms.get_mut(&row.room).filter(|r| !r.doubts.is_empty()) {
                    // Somebody is in the same epoch as we.
                    r.doubts.clear();
                }
                self.hear(row, conversation, message, stamp, *heard, rng);
            }
            Ok(Processed::OwnMessage | Processed::OwnCommit) => {}
            // New in the room, yet its key was used before: its sender works with an old copy of its state, or the
            // server says something twice. Which of them, the store knows.
            Ok(Processed::Duplicate) => {
                let mut prefix = crate::conversation::messages_prefix(self.s.number, &conversation);
                prefix.extend(message.0);
                self.load_rows(prefix, Load::Seen(row.room, message));
            }
            Ok(Processed::Invalid(reason)) => self.refuse_row(&row.room, reason),
            Ok(Processed::NeedsRepair(Repair::FutureEpoch)) => {
                self.keep_waiting(row);
                self.fall_behind(row.room);
            }
            // Written while we were being added, sequenced after: not for us, and nothing is missing.
            Ok(Processed::NeedsRepair(Repair::EpochGone)) if self.is_before_us(&row.room, payload) => {
                self.ask_own_for(row.room, conversation, message);
            }
            Ok(Processed::NeedsRepair(Repair::EpochGone)) => {
                self.unreadable(row.room, message, "of an epoch whose keys are gone");
            }
            Ok(Processed::NeedsRepair(Repair::GenerationGone)) => {
                self.unreadable(row.room, message, "its key is gone");
            }
            Ok(Processed::NeedsRepair(Repair::Removed)) => self.removed_from(row.room),
            Ok(Processed::NeedsRepair(Repair::PathSecret) | Processed::OldCopy) | Err(_) => {
                self.unreadable(row.room, message, "the room's state does not fit");
                self.break_room(row.room);
            }
            // A handshake in a message's row: `e2ee` refuses it as framing.
            Ok(Processed::Commit(_)) => {
                self.with_group(&row.room, |group| group.refuse_staged().ok());
            }
        }
        Step::Done
    }

    /// A row whose key was used before: if no message is stored under its id, it is new to us.
    pub(crate) fn on_seen_rows(&mut self, room: RoomId, message: MessageId, rows: &[(Vec<u8>, Vec<u8>)]) {
        if !crate::messages::is_stored(rows) {
            self.unreadable(room, message, "its key was used before, and nothing is stored under its id");
        } else if !self.is_recently_restored() {
            self.interfered_in(&room, Interference::Repeated);
        }
    }

    fn is_before_us(&self, room: &RoomId, payload: &[u8]) -> bool {
        let since = self.s.rooms.get(room).map_or(0, |r| r.since);
        Group::epoch_of(payload).is_some_and(|epoch| epoch < since)
    }

    fn refuse_row(&mut self, room: &RoomId, reason: Invalid) {
        tracing::warn!(%reason, "a row was refused");
        self.count_unreadable("a row that is refused");
        self.interfered_in(room, Interference::Forged);
    }

    /// A handshake row.
    pub(crate) fn take_commit(&mut self, row: &Row, from: From, rng: &mut dyn CryptoRngCore) -> Step {
        let RowBody::Commit { commit_id, payload, next_send_key, .. } = &row.body else { return Step::Done };
        let Some(room) = self.s.rooms.get(&row.room) else { return Step::Done };
        if !is_open_handshake(room.head, row.room_seq) {
            return Step::Done;
        }
        if from == From::Mailbox && self.is_frozen(&row.room) {
            // If it belongs to what we know, the log has it, too.
            return Step::Done;
        }
        match self.need_group(&row.room) {
            Ready::NotYet => return Step::Wait,
            Ready::Never => {
                self.head_moved(row.room, row.room_seq);
                return Step::Done;
            }
            Ready::Yes => {}
        }
        let meta =
            RowMeta { room_seq: row.room_seq, id: commit_id.0, next_send_key_digest: Some(next_send_key.0), tag: None };
        let Some(processed) = self.with_group(&row.room, |group| group.process(payload, &meta)) else {
            return Step::Done;
        };
        match processed {
            Ok(Processed::Commit(staged)) => self.take_staged(row, *staged, rng),
            Ok(Processed::OwnCommit) => self.commit_accepted(row.room, row.room_seq),
            // What was merged is not above the head: it was put into the room once more.
            Ok(Processed::Duplicate) => self.void_row(row),
            Ok(Processed::Invalid(reason)) => {
                self.refuse_row(&row.room, reason);
                self.void_row(row);
            }
            // No commit is missing, and none leads there: no one of us made it.
            Ok(Processed::NeedsRepair(Repair::FutureEpoch)) if from == From::Log && self.is_group_room(&row.room) => {
                tracing::warn!("a commit of an epoch that no commit leads to");
                self.count_unreadable("a commit of an epoch that no commit leads to");
                self.interfered_in(&row.room, Interference::Forged);
                self.void_row(row);
                self.doubt(row.room, row.time);
            }
            Ok(Processed::NeedsRepair(Repair::FutureEpoch)) => {
                self.keep_waiting(row);
                self.fall_behind(row.room);
            }
            Ok(Processed::NeedsRepair(Repair::Removed)) => {
                self.head_moved(row.room, row.room_seq);
                self.removed_from(row.room);
            }
            Ok(Processed::NeedsRepair(_) | Processed::OldCopy) | Err(_) => {
                self.head_moved(row.room, row.room_seq);
                self.break_room(row.room);
            }
            Ok(Processed::Message(_) | Processed::OwnMessage) => self.void_row(row),
        }
        Step::Done
    }

    fn take_staged(&mut self, row: &Row, staged: StagedChange, rng: &mut dyn CryptoRngCore) {
        if !self.fits_the_room(row, &staged) {
            self.with_group(&row.room, |group| group.refuse_staged().ok());
            tracing::warn!("a commit did something else to the room than to the group");
            self.count_unreadable("a commit that does not fit the room");
            self.interfered_in(&row.room, Interference::Forged);
            return self.void_row(row);
        }
        // A leaf that its device did not sign is a lie of the committer, and void for all who know that device's key;
        // not all may know it, so the row is followed and the leaf is not believed (see `hear`).
        let lies = staged.added.iter().chain(staged.updated.iter().map(|(_, after)| after));
        if lies.into_iter().any(|member| self.trust(member) == Trust::Wrong) {
            tracing::warn!("a commit brought in a leaf that its device did not sign");
        }
        let (by, policy) = (crate::contacts::proto_account(staged.committer.account()), staged.policy.clone());
        let merged = self.with_group(&row.room, |group| group.merge_staged());
        if !matches!(merged, Some(Ok(()))) {
            return self.break_room(row.room);
        }
        self.head_moved(row.room, row.room_seq);
        if let RowBody::Commit { payload, .. } = &row.body {
            self.weighed(&row.room, payload.len());
        }
        self.let_in(row.room);
        if let Some(room) = self.s.rooms.get_mut(&row.room) {
            room.voids.clear();
            room.doubts.clear();
        }
        if self.s.work.get(&row.room).is_some_and(|work| work.pending.is_some()) {
            self.redo(row.room);
        }
        if staged.self_removed {
            return self.removed_from(row.room);
        }
        self.refresh_members(row.room);
        if let (Some((before, after)), RowBody::Commit { commit_id, .. }) = (policy, &row.body) {
            let by = by.filter(|by| self.me().is_none_or(|me| me.account != *by));
            self.policy_set(row.room, by, row.time, *commit_id, (&before, &after));
        }
        self.replay(row.room, rng);
        self.again = true;
    }

    /// Whether the commit did to the room's entries what it does to the group's leaves, and undid the void rows, no more and
    /// no less. Every member who followed the room finds the same: all have the same leaves and the same void rows since
    /// the last valid commit (whoever joined since, joined by that commit).
    fn fits_the_room(&self, row: &Row, staged: &StagedChange) -> bool {
        let RowBody::Commit { voids, entries, .. } = &row.body else { return false };
        let ours = self.s.rooms.get(&row.room).map_or(&[][..], |room| &room.voids);
        *entries == entries_digest(&changes_of(staged)) && undoes_ours(ours, voids)
    }

    /// A handshake row of the room is dealt with.
    pub(crate) fn head_moved(&mut self, room: RoomId, room_seq: u64) {
        self.behind.remove(&room);
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.head = r.head.max(room_seq);
        }
        self.again = true;
    }

    /// A handshake row that means nothing: the next valid commit undoes what the server did for it.
    fn void_row(&mut self, row: &Row) {
        let room = row.room;
        self.head_moved(room, row.room_seq);
        let Some(r) = self.s.rooms.get_mut(&room) else { return };
        let undoes_what_we_follow = match &row.body {
            RowBody::Commit { voids, .. } => undoes_what_we_follow(&r.voids, voids),
            _ => false,
        };
        r.voids.push(row.room_seq);
        if undoes_what_we_follow {
            self.doubt(room, row.time);
        }
        if self.s.work.get(&room).is_some_and(|work| work.pending.is_some()) {
            self.redo(room);
        }
        self.want_undo(room);
    }

    /// A commit of ours is to undo the void rows, unless somebody else's comes first.
    pub(crate) fn want_undo(&mut self, room: RoomId) {
        let wants = self.s.work.get(&room).map_or(&[][..], |work| &work.wants);
        if !wants.iter().any(|want| matches!(want, Want::Update { .. })) {
            self.want(room, Want::Update { for_voids: true });
        }
    }

    /// Rows that the server counts are not here yet: wait for them, then ask for the log.
    pub(crate) fn fall_behind(&mut self, room: RoomId) {
        let now = self.now;
        self.behind.entry(room).or_insert(now);
        self.again = true;
    }

    /// We are out of the group: by a removal, or for a moment, until the Welcome of a swap is read.
    fn removed_from(&mut self, room: RoomId) {
        let repair = self.s.work.get(&room).and_then(|work| work.repair.as_ref());
        if repair.is_some_and(|repair| !matches!(repair, Repairing::Outside { .. })) {
            return;
        }
        if let Some(r) = self.s.rooms.get(&room)
            && !matches!(r.phase, Phase::Left)
        {
            self.leave_room(&room);
        }
    }

    /// Something came that cannot be read, nor asked for again; the log tells why.
    pub(crate) fn count_unreadable(&mut self, why: &'static str) {
        tracing::debug!(why, "unreadable");
        self.s.counters().unreadable += 1;
    }

    /// A message that could not be read: its sender is asked for it when the room works again.
    pub(crate) fn unreadable(&mut self, room: RoomId, message: MessageId, why: &'static str) {
        self.again = true;
        if self.ask_again_for(room, message) {
            tracing::debug!(?room, ?message, "a message that cannot be read");
            self.count_unreadable(why);
        }
    }

    /// A message is to be asked for; `false`: it was already, and was given once more as it was.
    pub(crate) fn ask_again_for(&mut self, room: RoomId, message: MessageId) -> bool {
        let known = |r: &crate::state::Room| r.unreadable.contains(&message) || r.missing.contains(&message);
        if self.s.rooms.get(&room).is_some_and(known) {
            return false;
        }
        if let Some(r) = self.s.rooms.get_mut(&room)
            && r.unreadable.len() < MOST_UNREADABLE
        {
            r.unreadable.push(message);
        }
        if let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) {
            self.keep_place(conversation, message);
        }
        true
    }

    // ---- rows that wait

    fn keep_waiting(&mut self, row: &Row) {
        let counts = self.s.waiting_by_room();
        let here = counts.get(&row.room).copied().unwrap_or(0);
        if here >= MOST_WAITING_PER_ROOM || counts.values().sum::<usize>() >= MOST_WAITING {
            self.count_unreadable("more rows wait than may");
            return;
        }
        let bytes = parlour_proto::wire::encode_row(row);
        self.s.waiting.insert((row.room, row.room_seq), Waiting { came: self.now, row: bytes.into() });
    }

    /// Rows that waited for a state that is lost: their messages are asked for again.
    pub(crate) fn give_up_waiting(&mut self, room: &RoomId) {
        let rows: Vec<_> = self.s.waiting.range((*room, 0)..=(*room, u64::MAX)).map(|(_, w)| w.row.clone()).collect();
        for row in rows.into_iter().filter_map(|row| parlour_proto::wire::decode_row(row).ok()) {
            if let RowBody::Message { message_id, .. } = row.body {
                self.unreadable(*room, message_id, "it waited for a state that is lost");
            }
        }
        self.drop_waiting(room);
    }

    pub(crate) fn drop_waiting(&mut self, room: &RoomId) {
        let keys: Vec<_> = self.s.waiting.range((*room, 0)..=(*room, u64::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            self.s.waiting.remove(&key);
        }
    }

    /// Works on the rows of a room that waited; those that cannot be read now either are given up (messages are asked for).
    pub(crate) fn replay(&mut self, room: RoomId, rng: &mut dyn CryptoRngCore) {
        let keys: Vec<_> = self.s.waiting.range((room, 0)..=(room, u64::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            // A commit among them has those after it worked on: each is heard once.
            let Some(waited) = self.s.waiting.remove(&key) else { continue };
            let Ok(row) = parlour_proto::wire::decode_row(waited.row.clone()) else { continue };
            if self.take_known(&row, rng) == Step::Wait {
                self.s.waiting.insert(key, waited);
            } else if let Some(r) = self.s.rooms.get_mut(&room) {
                r.watermark = r.watermark.max(row.room_seq);
            }
        }
    }

    fn sweep_waiting(&mut self) {
        let now = self.now;
        let is_late = |waiting: &Waiting| now.since(waiting.came) > WAITING_MS;
        let late: Vec<_> =
            self.s.waiting.iter().filter(|(_, w)| is_late(w)).map(|(key, w)| (*key, w.row.clone())).collect();
        for (key, row) in late {
            self.s.waiting.remove(&key);
            let row = parlour_proto::wire::decode_row(row).ok();
            let Some(RowBody::Message { message_id, .. }) = row.map(|row| row.body) else { continue };
            // In a room that is known its author can be asked for it.
            self.unreadable(key.0, message_id, "it waited too long");
        }
        let old: Vec<_> =
            self.s.tombstones.iter().filter(|(_, made)| now.since(**made) > TOMBSTONE_MS).map(|(r, _)| *r).collect();
        for room in old {
            self.s.tombstones.remove(&room);
        }
    }
}

/// What a commit must do to the entries: one for each leaf, and attributed mode as the policy says. The grants are the server's and the committer's affair.
fn changes_of(staged: &StagedChange) -> Vec<EntryChange> {
    let remove = |member: &Member| EntryChange::Remove { member_key: MemberKey(member.member_key()) };
    let add = |member: &Member| {
        let member_key = MemberKey(member.member_key());
        EntryChange::Add { member_key, grant: Bytes::new(), rights: Rights::ALL }
    };
    let rekeyed = staged.updated.iter().filter(|(before, after)| before.member_key() != after.member_key());
    let rekey = rekeyed.map(|(_, after)| EntryChange::Rekey { new: MemberKey(after.member_key()) });
    let attributed = staged.attributed.map(|on| EntryChange::Attributed { on });
    staged.removed.iter().map(remove).chain(staged.added.iter().map(add)).chain(rekey).chain(attributed).collect()
}
