//! A group made anew by an admin: its state is lost, and nobody let it back in (DESIGN §5 d).
//!
//! | step | of whom |
//! |---|---|
//! | a new room under the old one's policy, which names its predecessor | an admin whose knock was not answered |
//! | claims for everybody who was in the group: by door token, else at the door like a stranger's | the same |
//! | the Welcome is believed if an admin of the old room made it, and its policy is the old one's | every member |
//! | two admins did it at once: the room with the lower id counts, for everybody | every member |
//!
//! The server has no say in it. (In a conversation of two it orders the two sides, `successor`; in a group anybody with an
//! entry could name one.)

use crate::api::ConversationId;
use crate::contacts::e2ee_account;
use crate::engine::Engine;
use crate::state::{Phase, Repair, Want};
use parlour_e2ee::{Kind, Policy, Role};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::RoomId;
use rand_core::CryptoRngCore;

impl Engine {
    /// Whether this account may make the room's group anew.
    pub(crate) fn is_admin(&self, room: &RoomId) -> bool {
        self.me().is_some_and(|me| self.role_in(room, &me.account) >= Role::Admin)
    }

    /// The role of somebody in a room, as its last policy and members say; works without the MLS state.
    pub(crate) fn role_in(&self, room: &RoomId, account: &AccountRef) -> Role {
        let Some((policy, conversation)) = self.policy_of(room) else { return Role::Member };
        let members = self.s.conversations.get(&conversation).map_or(&[][..], |c| &c.members);
        let members: Vec<_> = members.iter().chain(self.me().map(|me| &me.account)).map(e2ee_account).collect();
        let account = e2ee_account(account);
        if members.contains(&account) { policy.role_in(&account, &members) } else { Role::Member }
    }

    pub(crate) fn policy_of(&self, room: &RoomId) -> Option<(Policy, ConversationId)> {
        let room = self.s.rooms.get(room)?;
        Some((Policy::from_bytes(&room.policy).ok()?, room.conversation))
    }

    /// Whether a group under `policy`, made by `by`, is the one that follows on `old`.
    pub(crate) fn is_rightful(&self, old: &RoomId, by: &AccountRef, policy: &Policy) -> bool {
        self.policy_of(old).is_some_and(|(before, _)| {
            before.kind == Kind::Group && policy.succeeds(&before, old.0) && self.role_in(old, by) >= Role::Admin
        })
    }

    /// Whether the room was made in place of another one.
    pub(crate) fn replaces_another(&self, room: &RoomId) -> bool {
        self.policy_of(room).is_some_and(|(policy, _)| policy.predecessor.is_some())
    }

    pub(crate) fn rebuild_group(&mut self, old: RoomId, rng: &mut dyn CryptoRngCore) {
        let Some((policy, conversation)) = self.policy_of(&old) else { return self.leave_room(&old) };
        let Some(members) = self.s.conversations.get(&conversation).map(|c| c.members.clone()) else { return };
        let room = RoomId::random(rng);
        let policy = policy.successor(old.0, rng);
        if self.create_room(conversation, room, &policy, true, rng).is_err() {
            return self.leave_room(&old);
        }
        tracing::info!("a group is made anew");
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.hello_sent = true;
        }
        for account in members {
            self.want(room, Want::Claim { account });
        }
        self.s.work(old).repair = Some(Repair::Rebuild);
        self.again = true;
    }

    /// Our own new room is there: the old one is done with.
    pub(crate) fn rebuilt(&mut self, room: RoomId) {
        let Some((policy, conversation)) = self.policy_of(&room) else { return };
        if let Some(old) = policy.predecessor.map(RoomId).filter(|_| policy.kind == Kind::Group) {
            self.superseded_by(old, room);
            self.choose_among_twins(conversation, old);
        }
    }

    /// Of several rooms in the place of one, the one with the lowest id goes on.
    pub(crate) fn choose_among_twins(&mut self, conversation: ConversationId, old: RoomId) {
        let rooms = self.s.conversations.get(&conversation).map(|c| c.rooms.clone()).unwrap_or_default();
        let follows = |room: &RoomId| {
            let live = self.s.rooms.get(room).is_some_and(|r| matches!(r.phase, Phase::Live));
            live && self.policy_of(room).is_some_and(|(policy, _)| policy.predecessor == Some(old.0))
        };
        let mut twins: Vec<RoomId> = rooms.into_iter().filter(|room| follows(room)).collect();
        twins.sort();
        for other in twins.iter().skip(1) {
            self.superseded_by(*other, twins[0]);
        }
    }
}
