//! What became of wanted changes: who waited for them is told, those who came are introduced.

use crate::api::{Failure, Reply};
use crate::engine::Engine;
use crate::hearing::MOST_MEMBERS_WITH_REPORTS;
use crate::history::chunks;
use crate::rows::encode;
use crate::state::{Phase, Saying, Want};
use bytes::Bytes;
use parlour_proto::content::MAX_EXTENSION_BYTES;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{DeviceId, RoomId};
use rand_core::CryptoRngCore;

/// So much of who is there goes into one message: lists may grow a little until it is sealed.
const ROSTER_BYTES: usize = MAX_EXTENSION_BYTES / 2;

impl Engine {
    /// The first want is fulfilled, or there is nothing left of it.
    pub(crate) fn want_done(&mut self, room: RoomId) {
        self.again = true;
        let work = self.s.work(room);
        if work.wants.is_empty() {
            return;
        }
        let want = work.wants.remove(0);
        let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) else { return };
        let is_group = self.s.conversations.get(&conversation).is_some_and(|c| c.is_group);
        let me = self.me().map(|me| me.account.clone());
        let newcomers = matches!(&want, Want::Add { account, .. } if Some(account) != me.as_ref());
        self.look_at_rooms();
        if let Want::Add { devices, .. } = &want
            && is_group
        {
            self.hand_over(room, conversation, devices);
        }
        if is_group && newcomers && self.s.work(room).wants.is_empty() {
            self.announce.push((conversation, room));
        }
        self.weigh(conversation);
        self.finish_group_intents(room);
    }

    pub(crate) fn want_failed(&mut self, room: RoomId, failure: &Failure) {
        self.want_failed_at(room, 0, failure);
    }

    pub(crate) fn want_failed_at(&mut self, room: RoomId, at: usize, failure: &Failure) {
        for (_, _, outcome) in self.group_intents.iter_mut().filter(|(_, r, _)| *r == room) {
            *outcome = Some(failure.clone());
        }
        let work = self.s.work(room);
        let want = (at < work.wants.len()).then(|| work.wants.remove(at));
        if let Some(Want::Claim { account } | Want::Add { account, .. }) = &want {
            self.guest_failed(room, account);
        }
        let building = self.s.rooms.get(&room).is_some_and(|r| matches!(r.phase, Phase::Building));
        let conversation = self.s.rooms.get(&room).map(|r| r.conversation);
        let is_group = conversation.and_then(|c| self.s.conversations.get(&c)).is_some_and(|c| c.is_group);
        if building
            && !is_group
            && matches!(want, Some(Want::Add { .. }))
            && let Some(conversation) = conversation
        {
            self.leave_room(&room);
            self.close_conversation(conversation, failure);
        }
        if building && is_group && self.replaces_another(&room) && self.s.work(room).wants.is_empty() {
            // None of them can be reached now; they can be added later.
            self.want(room, Want::Update { for_voids: false });
        }
        self.finish_group_intents(room);
        self.again = true;
    }

    /// Tells those who waited for a group's changes that nothing comes of them: its state is of no use.
    pub(crate) fn fail_group_intents(&mut self, room: RoomId) {
        let (mine, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.group_intents).into_iter().partition(|(_, r, _)| *r == room);
        self.group_intents = others;
        for (intent, _, failure) in mine {
            self.done(intent, Err(failure.unwrap_or(Failure::NotFound("group that can be changed now"))));
        }
    }

    /// Tells those who waited for a group's changes, once none is left.
    pub(crate) fn finish_group_intents(&mut self, room: RoomId) {
        if self.s.work.get(&room).is_some_and(|work| !work.wants.is_empty() || work.pending.is_some()) {
            return;
        }
        let (mine, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.group_intents).into_iter().partition(|(id, r, _)| {
                // Not before the server has told of each who is asked whether there is anybody.
                *r == room && !self.asking.iter().any(|(asking, _)| asking == id)
            });
        self.group_intents = others;
        let conversation = self.s.rooms.get(&room).map(|r| r.conversation);
        for (intent, _, failure) in mine {
            let shown = conversation.and_then(|c| self.show_conversation(c));
            let reply = match (failure, shown) {
                (Some(failure), _) => Err(failure),
                (None, Some(shown)) => Ok(Reply::Conversation(shown)),
                (None, None) => Ok(Reply::Ok),
            };
            self.done(intent, reply);
        }
    }

    /// Who is in the conversation, as MLS says.
    pub(crate) fn refresh_members(&mut self, room: RoomId) {
        let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) else { return };
        let me = self.me().map(|me| me.account.clone());
        let Some(group) = self.group(&room) else { return };
        let policy: Bytes = group.policy().to_bytes().into();
        let history_s = group.policy().history_s;
        let all = group.members();
        let mut members: Vec<_> = all.iter().filter_map(|m| crate::contacts::proto_account(m.account())).collect();
        members.sort();
        members.dedup();
        members.retain(|account| Some(account) != me.as_ref());
        self.note_own_devices(room, &all);
        let now = self.server_time();
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.note_history(history_s, now);
        }
        let ruled =
            self.s.rooms.get_mut(&room).is_some_and(|r| std::mem::replace(&mut r.policy, policy.clone()) != policy);
        if ruled {
            self.tell_conversation(conversation);
        }
        if members.is_empty() && !self.is_group_room(&room) && !self.is_own_room(&room) {
            self.nobody_is_left(room);
        }
        let changed = self
            .s
            .conversations
            .get(&conversation)
            .is_some_and(|c| (c.is_group || !members.is_empty()) && c.members != members);
        if changed && let Some(c) = self.s.conversations.get_mut(&conversation) {
            let newcomers = members.iter().any(|member| !c.members.contains(member));
            if newcomers && let Some(r) = self.s.rooms.get_mut(&room) {
                r.said = None;
            }
            if c.is_group && newcomers && members.len() < MOST_MEMBERS_WITH_REPORTS {
                // They do not know us yet.
                c.profile_sent = 0;
            }
            c.members = members;
            self.tell_conversation(conversation);
        }
    }

    /// All devices of the other side are gone: nothing is said here any more, but in the room that they come back with.
    fn nobody_is_left(&mut self, room: RoomId) {
        let Some(r) = self.s.rooms.get_mut(&room).filter(|r| matches!(r.phase, Phase::Live)) else { return };
        r.phase = Phase::Superseded;
        let conversation = r.conversation;
        self.s.work.remove(&room);
        self.forget_sealed(conversation, room);
        self.weigh(conversation);
    }

    /// Which own other devices are in a room.
    fn note_own_devices(&mut self, room: RoomId, members: &[parlour_e2ee::Member]) {
        let Some(me) = self.me() else { return };
        let (account, this) = (crate::contacts::e2ee_account(&me.account), me.device);
        let mine = members.iter().filter(|member| *member.account() == account && member.device() != this.0);
        let mut devices: Vec<DeviceId> = mine.map(|member| DeviceId(member.device())).collect();
        devices.sort();
        if let Some(r) = self.s.rooms.get_mut(&room).filter(|r| r.own_devices != devices) {
            self.others_outside.retain(|(of, device)| *of != room || devices.contains(device));
            r.own_devices = devices;
            self.look_at_rooms();
        }
    }

    pub(crate) fn is_group_room(&self, room: &RoomId) -> bool {
        let conversation = self.s.rooms.get(room).and_then(|r| self.s.conversations.get(&r.conversation));
        conversation.is_some_and(|c| c.is_group)
    }

    /// Notes a room's wish for a fresh leaf or anything else, once.
    pub(crate) fn want(&mut self, room: RoomId, want: Want) {
        self.s.work(room).wants.push(want);
        self.again = true;
    }

    /// Queues who is in a group, for everybody in it.
    pub(crate) fn settle_announcements(&mut self, rng: &mut dyn CryptoRngCore) {
        for (conversation, room) in std::mem::take(&mut self.announce) {
            let Some(c) = self.s.conversations.get(&conversation) else { continue };
            let mut accounts = c.members.clone();
            accounts.extend(self.me().map(|me| me.account.clone()));
            let size = |account: &AccountRef| self.known(account).map_or(0, |known| encode(&known).len());
            for accounts in chunks(accounts, ROSTER_BYTES, size) {
                self.say(conversation, Saying::Roster { accounts }, Some(room), 0, rng);
            }
        }
    }
}
