//! The way back after all devices were lost: conversations that came back from the backup get rooms again.

use crate::api::ConversationId;
use crate::engine::Engine;
use crate::state::{Saying, Standing, Want, Whom};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::RoomId;
use rand_core::CryptoRngCore;

/// Conversations that get a new room at one time.
const MOST_AT_ONCE: usize = 8;

impl Engine {
    /// Conversations that came back without a room, when no other device is there to bring us in: new rooms, by door token.
    pub(crate) fn settle_returns(&mut self, rng: &mut dyn CryptoRngCore) {
        for (room, account) in std::mem::take(&mut self.returned) {
            self.bring_back(room, account);
        }
        if self.s.backup.get(&()).is_none_or(|backup| backup.restore.is_some()) || !self.other_devices().is_empty() {
            return;
        }
        if self.s.expected.iter().next().is_none() {
            return;
        }
        let under_way = self.s.starts.iter().count();
        let lost: Vec<(RoomId, ConversationId, Option<AccountRef>)> = self
            .s
            .expected
            .iter()
            .filter_map(|(room, expected)| {
                let c = self.s.conversations.get(&expected.conversation)?;
                let with = c.members.first().filter(|_| !c.is_group).cloned();
                Some((*room, expected.conversation, with))
            })
            .collect();
        for (room, conversation, with) in lost.into_iter().take(MOST_AT_ONCE.saturating_sub(under_way)) {
            let Some(account) = with else { continue };
            self.s.expected.remove(&room);
            let reachable =
                self.s.contacts.get(&account).is_some_and(|contact| contact.door.is_some() && !contact.blocked);
            if reachable && !self.s.starts.contains(&conversation) {
                self.start(conversation, Whom::Account { account }, rng);
                self.set_standing(conversation, Standing::Repairing);
                // It says that the old devices are gone; who hears it brings the new one into groups.
                self.say(conversation, Saying::Hello, None, 0, rng);
            }
        }
    }

    /// Somebody's devices changed: in groups where only gone ones of theirs are, a friend who may brings the new one in.
    pub(crate) fn note_return(&mut self, account: &AccountRef) {
        if self.s.contacts.get(account).is_none_or(|contact| contact.door.is_none()) {
            return;
        }
        let groups: Vec<RoomId> = self
            .s
            .rooms
            .iter()
            .filter(|(_, r)| r.usable() && !r.asked_here)
            .filter(|(_, r)| {
                let c = self.s.conversations.get(&r.conversation);
                c.is_some_and(|c| c.is_group && c.members.contains(account))
            })
            .map(|(room, _)| *room)
            .collect();
        self.returned.extend(groups.into_iter().map(|room| (room, account.clone())));
    }

    fn bring_back(&mut self, room: RoomId, account: AccountRef) {
        let Some((policy, _)) = self.policy_of(&room) else { return };
        let Some(me) = self.me().map(|me| me.account.clone()) else { return };
        if policy.who_may_add.covers(self.role_in(&room, &me)) {
            self.want(room, Want::Return { account });
        }
    }
}
