//! Welcomes: into a new conversation, into one that is there, or back into a room whose state was lost.

use crate::api::{ConversationId, Interference};
use crate::contacts::{Trust, proto_account};
use crate::engine::Engine;
use crate::history::GAP;
use crate::incoming::Step;
use crate::keypackages;
use crate::mls;
use crate::state::{Chore, Expected, Phase, Room, Standing, Want};
use bytes::Bytes;
use parlour_e2ee::{Group, Joined, Kind, WelcomeIn};
use parlour_proto::frames::{AccountRef, Row};
use parlour_proto::ids::{MemberKey, RoomId};
use rand_core::CryptoRngCore;

impl Engine {
    pub(crate) fn take_welcome(
        &mut self,
        row: &Row,
        member_key: MemberKey,
        shared: &[u8],
        part: &[u8],
        asked: bool,
        rng: &mut dyn CryptoRngCore,
    ) -> Step {
        if self.s.tombstones.contains(&row.room) || !self.s.packages.contains(&member_key.0) {
            // Declined or left; or joined by this very Welcome before.
            return Step::Done;
        }
        if self.list_wanted {
            // An own device that is newer than the list that is known here may have made it.
            return Step::Wait;
        }
        let usable = |r: &Room| matches!(r.phase, Phase::Building | Phase::Live | Phase::Superseded);
        if self.s.rooms.get(&row.room).is_some_and(usable) {
            // Joined by this very Welcome before; or somebody wants to put another group in the place of one that works.
            return Step::Done;
        }
        // Old state of this room must be gone before new state is written under the same keys.
        if self.s.wipes.contains(&mls::rows_prefix(self.s.number, &row.room)) || !self.need_package(member_key) {
            return Step::Wait;
        }
        let Some(rows) = self.package_rows.remove(&member_key) else { return Step::Wait };
        let welcome = WelcomeIn { room: row.room.0, shared, part };
        match Group::join(&welcome, rows) {
            Ok(joined) => self.joined(row, member_key, joined, asked, rng),
            Err(error) => {
                tracing::warn!(%error, "a welcome was refused");
                self.count_unreadable("a welcome that does not open");
                self.interfered(Interference::Forged, None);
            }
        }
        Step::Done
    }

    fn joined(&mut self, row: &Row, member_key: MemberKey, joined: Joined, asked: bool, rng: &mut dyn CryptoRngCore) {
        let Joined { group, consumed, added_by, last_resort, .. } = joined;
        let start = keypackages::rows_prefix(self.s.number, &member_key);
        for (key, value) in consumed.puts {
            self.put_row([&start[..], &key].concat(), Some(value));
        }
        for key in consumed.deletes {
            self.put_row([&start[..], &key].concat(), None);
        }
        if !last_resort {
            self.s.packages.remove(&member_key.0);
        }
        let member: zeroize::Zeroizing<Vec<u8>> = group.member_key_pair().to_bytes().to_vec().into();
        let by = proto_account(added_by.account());
        let me = self.me().map(|me| me.account.clone());
        if let Some(me) = me.as_ref().filter(|me| by.as_ref() == Some(*me))
            && self.was_signed(me, &added_by)
        {
            // Taken off our list since: another device of ours brings us in, if the room is one of theirs.
            return self.lost_place(row.room);
        }
        let Some(by) = by.filter(|_| self.trust(&added_by) != Trust::Wrong) else {
            tracing::warn!("a welcome by somebody who is not who they say");
            self.count_unreadable("a welcome by somebody who is not who they say");
            self.interfered(Interference::Keys, None);
            self.refuse_room(row.room, member);
            return;
        };
        let policy = group.policy().clone();
        let mut others: Vec<AccountRef> = group.members().iter().filter_map(|m| proto_account(m.account())).collect();
        others.sort();
        others.dedup();
        others.retain(|account| Some(account) != me.as_ref());
        let is_group = policy.kind == Kind::Group;
        let by_us = me.as_ref() == Some(&by);
        if by_us && self.trust(&added_by) != Trust::Verified {
            tracing::warn!("a welcome by a device that is not on our own list");
            self.count_unreadable("a welcome by a device that is not on our list");
            self.interfered(Interference::Keys, None);
            self.refuse_room(row.room, member);
            return;
        }
        let is_own = by_us && !is_group && others.is_empty();
        let two = is_group || is_own || (by_us && others.len() == 1) || others == [by.clone()];
        if !two || self.s.contacts.get(&by).is_some_and(|contact| contact.blocked) {
            self.refuse_room(row.room, member);
            return;
        }
        let knocked = is_group && self.is_group_room(&row.room) && self.is_knocking(&row.room);
        if knocked && !self.belongs(&row.room, &by, true) && !self.is_known(&by) {
            tracing::info!("let back in by somebody who was not in the group");
            return self.knock_elsewhere(row.room, member, rng);
        }
        if !knocked && !self.belongs(&row.room, &by, is_group) {
            tracing::warn!("a welcome into a known room by somebody who is not in it");
            self.count_unreadable("a welcome into a known room by somebody who is not in it");
            self.interfered_in(&row.room, Interference::Forged);
            return;
        }
        let predecessor = policy.predecessor.map(RoomId);
        let predecessor = predecessor.filter(|old| match is_group {
            true => self.is_rightful(old, &by, &policy),
            false => self.belongs(old, &by, is_group),
        });
        let expected = self.s.expected.remove(&row.room);
        let (conversation, opens) = if is_own {
            match self.own_conversation(rng) {
                Some(own) => (own, true),
                None => return,
            }
        } else if by_us {
            (self.conversation_of_ours(row.room, &others, is_group, expected.as_ref(), rng), true)
        } else {
            self.conversation_for(row.room, &by, &others, is_group, asked, predecessor, expected.as_ref(), rng)
        };
        let again =
            self.s.rooms.get(&row.room).map(|r| (r.hello_sent, r.unreadable.clone(), r.missing.clone(), r.since));
        // Whom another own device wrote to, knows it already; what they know of this one is a hello's affair. Whether they have let us in
        // is told before the Welcome, or (what was told was lost, or comes late) shows when they say something.
        let was_open = expected.map(|expected| expected.open_there);
        let was_open = was_open.or(self.s.rooms.get(&row.room).map(|r| r.open_there));
        let open_there = !by_us || is_own || was_open.unwrap_or(is_group);
        let said_hello = is_own || !open_there || (is_group && !by_us);
        let first = || (false, Vec::new(), Vec::new(), group.epoch());
        let (hello_sent, unreadable, missing, mut since) = again.unwrap_or_else(first);
        if self.s.rooms.get(&row.room).is_some_and(|r| matches!(r.phase, Phase::Left)) {
            // What was said while we were out is not for us.
            since = group.epoch();
        }
        // They may answer us, or want into a group by a link of ours: what they say first tells (see `hear_hello`).
        let opens = opens && (is_group || by_us || !asked || !self.waits_for(conversation));
        let may_hand_over = is_group && !by_us && self.make_room_before(conversation);
        self.s.rooms.insert(
            row.room,
            Room {
                conversation,
                phase: Phase::Live,
                member: member.clone(),
                policy: Bytes::from(policy.to_bytes()),
                watermark: row.room_seq,
                head: row.room_seq,
                voids: Vec::new(),
                doubts: Vec::new(),
                asked_here: asked && !opens,
                open_there,
                hello_sent: hello_sent || said_hello,
                update_first: last_resort,
                unreadable,
                missing,
                since,
                own_devices: Vec::new(),
                tell_list: false,
                renewed: self.server_time(),
                day: 0,
                day_bytes: 0,
                history_from: None,
                added_by: may_hand_over.then(|| by.clone()),
                said: None,
            },
        );
        self.forget_heard(&row.room);
        self.s.work(row.room).repair = None;
        self.s.tidy_work(&row.room);
        self.behind.remove(&row.room);
        self.keep_group(row.room, group);
        self.attach(conversation, row.room);
        if let Some(old) = predecessor {
            self.superseded_by(old, row.room);
            self.choose_among_twins(conversation, old);
        }
        if last_resort {
            self.want(row.room, Want::Update { for_voids: false });
        }
        if asked && opens && !by_us {
            self.check_peer(conversation, row.room);
            self.open_entry(conversation, row.room, member, rng);
        }
        let before: Vec<_> =
            self.s.waiting.range((row.room, 0)..=(row.room, row.room_seq)).map(|(key, _)| *key).collect();
        for key in before {
            self.s.waiting.remove(&key);
        }
        self.replay(row.room, rng);
        self.refresh_members(row.room);
        self.weigh(conversation);
        if is_group {
            self.joined_by(&by, conversation, rng);
        }
    }

    /// Whether another own device brought us into a room.
    pub(crate) fn is_brought_in(&self, room: &RoomId) -> bool {
        self.s.rooms.get(room).is_some_and(|r| !r.own_devices.is_empty())
    }

    /// Which conversation a room is of that another own device brought us into.
    fn conversation_of_ours(
        &mut self,
        room: RoomId,
        others: &[AccountRef],
        is_group: bool,
        expected: Option<&Expected>,
        rng: &mut dyn CryptoRngCore,
    ) -> ConversationId {
        let known = self.s.rooms.get(&room).map(|r| r.conversation);
        let known = known.or(expected.map(|expected| expected.conversation));
        let with = others.first().filter(|_| !is_group);
        let known = known.or_else(|| self.conversation_with(with?));
        let id = match known.filter(|id| self.s.conversations.contains(id)) {
            Some(id) => id,
            None => self.new_conversation(is_group, Standing::Open, others.to_vec(), rng),
        };
        if let Some(contact) = with.and_then(|account| self.s.contacts.get_mut(account)) {
            contact.conversation = Some(id);
        }
        self.set_standing(id, Standing::Open);
        id
    }

    /// Whether a room is unknown, or one in which this account is.
    fn belongs(&self, room: &RoomId, by: &AccountRef, is_group: bool) -> bool {
        if self.me().is_some_and(|me| me.account == *by) {
            return true;
        }
        let Some(conversation) = self.s.rooms.get(room).map(|r| r.conversation) else { return true };
        if is_group && self.is_awaited(by) {
            // Left before whoever made the link came.
            return self.s.conversations.get(&conversation).is_some_and(|c| c.is_group);
        }
        if is_group && self.standing(conversation) == Some(crate::api::ConversationState::Closed) {
            // Who brings us back may have come after we left: as good as who brings us into a group that is new.
            return self.s.conversations.get(&conversation).is_some_and(|c| c.is_group && c.members.contains(by))
                || self.is_known(by);
        }
        self.s.conversations.get(&conversation).is_some_and(|c| c.is_group == is_group && c.members.contains(by))
    }

    /// Whether we wrote first, and no answer is here yet.
    pub(crate) fn waits_for(&self, conversation: ConversationId) -> bool {
        use crate::api::ConversationState::{Asked, Starting};
        matches!(self.standing(conversation), Some(Asked | Starting))
    }

    /// Whether we let them in, or wrote to them.
    fn is_known(&self, account: &AccountRef) -> bool {
        self.s.contacts.get(account).is_some_and(|contact| contact.befriended) || self.is_wanted(account)
    }

    /// Whether we wrote to them. (With a door token of theirs that is open at once, their answer still being under way.)
    fn is_wanted(&self, account: &AccountRef) -> bool {
        use crate::api::ConversationState::{Closed, Request};
        let standing = self.conversation_with(account).and_then(|id| self.standing(id));
        standing.is_some_and(|standing| !matches!(standing, Closed | Request))
    }

    /// In a conversation that is new, positions are left free for what was said before; `false` in one that was here.
    fn make_room_before(&mut self, conversation: ConversationId) -> bool {
        let is_told = self.s.former.contains(&conversation);
        let is_new = |c: &&mut crate::state::Conversation| c.rooms.is_empty() && !is_told;
        let Some(c) = self.s.conversations.get_mut(&conversation).filter(is_new) else { return false };
        c.base = GAP;
        c.read_up_to = GAP;
        c.next_order = GAP + 1;
        true
    }

    fn attach(&mut self, conversation: ConversationId, room: RoomId) {
        if let Some(c) = self.s.conversations.get_mut(&conversation)
            && !c.rooms.contains(&room)
        {
            c.rooms.push(room);
        }
    }

    /// A room we do not want to be in: our entry goes, later rows are dropped.
    pub(crate) fn refuse_room(&mut self, room: RoomId, member: zeroize::Zeroizing<Vec<u8>>) {
        self.s.add_chore(Chore::LeaveEntry { room, member });
        self.forget_room(&room);
    }

    /// Which conversation a joined room belongs to, and whether its entry is opened without asking the user.
    #[allow(clippy::too_many_arguments, reason = "what is known about one Welcome")]
    fn conversation_for(
        &mut self,
        room: RoomId,
        by: &AccountRef,
        others: &[AccountRef],
        is_group: bool,
        asked: bool,
        predecessor: Option<RoomId>,
        expected: Option<&Expected>,
        rng: &mut dyn CryptoRngCore,
    ) -> (ConversationId, bool) {
        let same_people = |c: &crate::state::Conversation| c.is_group == is_group && (is_group || c.members == others);
        let known = [Some(room), predecessor].into_iter().flatten().find_map(|id| {
            let joined = self.s.rooms.get(&id).map(|r| r.conversation);
            let expected = joined.or_else(|| expected.filter(|_| id == room).map(|e| e.conversation));
            let conversation = expected.or_else(|| self.had_room(&[id]))?;
            self.s.conversations.get(&conversation).filter(|c| same_people(c)).map(|_| conversation)
        });
        let with_them = if is_group { None } else { self.conversation_with(by) };
        let befriended = self.s.contacts.get(by).is_some_and(|contact| contact.befriended);
        if let Some(conversation) = known.or(with_them) {
            use crate::api::ConversationState::{Closed, Request};
            return match self.standing(conversation) {
                Some(Request) => (conversation, false),
                Some(Closed) if asked && !befriended => {
                    self.set_standing(conversation, Standing::Request);
                    (conversation, false)
                }
                Some(Closed) => {
                    self.set_standing(conversation, Standing::Open);
                    self.tell_it_is_open(conversation, is_group);
                    (conversation, true)
                }
                // We wrote to them, or talk with them: both want it.
                _ => (conversation, true),
            };
        }
        // Whoever we wrote to has a door token of ours: a group that they make before their answer is here is no stranger's.
        let opens = befriended || (is_group && (self.is_awaited(by) || self.is_wanted(by)));
        let standing = if opens { Standing::Open } else { Standing::Request };
        let conversation = self.new_conversation(is_group, standing, others.to_vec(), rng);
        if !is_group && let Some(contact) = self.s.contacts.get_mut(by) {
            contact.conversation = Some(conversation);
        }
        if opens {
            self.tell_conversation(conversation);
            self.tell_it_is_open(conversation, is_group);
        }
        (conversation, opens)
    }

    /// Tells the other own devices of a group that is no stranger's: why it is none, they may hear after its Welcome.
    fn tell_it_is_open(&mut self, conversation: ConversationId, is_group: bool) {
        if is_group {
            self.opened.push(conversation);
        }
    }
}
