//! Who may do what in a group: roles and rules are in the policy, which all members hold alike. Changing them is a commit;
//! what is *said* (texts, titles) each member judges when it hears it, by the policy in force at that place of the room.

use crate::api::{Allowed, ConversationId, Failure, GroupRole, GroupRules, GroupView, IntentId, Reply};
use crate::contacts::e2ee_account;
use crate::engine::Engine;
use crate::saying::Heard;
use crate::state::{Conversation, Saying, Want};
use parlour_e2ee::{Kind, Policy};
use parlour_proto::content::clean_name;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::RoomId;
use rand_core::CryptoRngCore;

impl Engine {
    pub(crate) fn rename(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        title: &str,
        rng: &mut dyn CryptoRngCore,
    ) {
        let renamed = self.group_room(conversation).and_then(|room| {
            let title = clean_name(title).ok_or_else(|| Failure::BadInput("a group needs a title".into()))?;
            let saying = Saying::Title { title: title.clone() };
            self.may_say(conversation, &saying)?;
            self.say(conversation, saying, Some(room), 0, rng);
            self.set_title(conversation, title);
            Ok(Reply::Ok)
        });
        self.done(intent, renamed);
    }

    pub(crate) fn set_role(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        member: AccountRef,
        role: GroupRole,
    ) {
        let wanted = self.group_room(conversation).and_then(|room| {
            let is_me = self.me().is_some_and(|me| me.account == member);
            if !is_me && !self.s.conversations.get(&conversation).is_some_and(|c| c.members.contains(&member)) {
                return Err(Failure::NotFound("member"));
            }
            self.needs(&room, GroupRole::Owner, "only owners give roles")?;
            let mut after = self.policy_of(&room).ok_or(Failure::NotFound("group that can be changed now"))?.0;
            give(&mut after, e2ee_account(&member), role as u32);
            if !after.roles.values().any(|role| *role == GroupRole::Owner) {
                return Err(Failure::BadInput("a group needs an owner: make somebody else one first".into()));
            }
            Ok((room, Want::Role { account: member, role: role as u32 }))
        });
        self.want_for(intent, wanted);
    }

    pub(crate) fn set_rules(&mut self, intent: IntentId, conversation: ConversationId, rules: GroupRules) {
        let wanted = self.group_room(conversation).and_then(|room| {
            self.needs(&room, GroupRole::Admin, "only admins set a group's rules")?;
            let admins = |allowed| allowed == Allowed::Admins;
            let (add, write, change) = (admins(rules.add), admins(rules.write), admins(rules.change));
            Ok((room, Want::Rules { add, write, change, history: rules.history_s }))
        });
        self.want_for(intent, wanted);
    }

    pub(crate) fn set_attributed(&mut self, intent: IntentId, conversation: ConversationId, on: bool) {
        let wanted = self.group_room(conversation).and_then(|room| {
            if !on {
                self.needs(&room, GroupRole::Admin, "only admins end this")?;
            }
            Ok((room, Want::Attributed { on }))
        });
        self.want_for(intent, wanted);
    }

    /// Whether what is sent there is signed for the server.
    pub(crate) fn is_attributed(&self, room: &RoomId) -> bool {
        self.policy_of(room).is_some_and(|(policy, _)| policy.attributed)
    }

    pub(crate) fn want_for(&mut self, intent: IntentId, wanted: Result<(RoomId, Want), Failure>) {
        match wanted {
            Err(failure) => self.done(intent, Err(failure)),
            Ok((room, want)) => {
                self.want(room, want);
                self.group_intents.push((intent, room, None));
            }
        }
    }

    fn needs(&self, room: &RoomId, role: GroupRole, why: &str) -> Result<(), Failure> {
        let mine = self.me().map(|me| self.role_in(room, &me.account));
        if mine >= Some(role) { Ok(()) } else { Err(Failure::BadInput(why.to_owned())) }
    }

    /// Whether we may say this here, now.
    pub(crate) fn may_say(&self, conversation: ConversationId, saying: &Saying) -> Result<(), Failure> {
        let room = self.best_room(conversation);
        let policy = room.and_then(|room| Some((room, self.policy_of(&room)?.0)));
        let Some((room, policy)) = policy.filter(|(_, policy)| policy.kind == Kind::Group) else { return Ok(()) };
        match saying {
            Saying::Text { .. } | Saying::Edit { .. } if policy.who_may_write == Allowed::Admins => {
                self.needs(&room, GroupRole::Admin, "only admins write in this group")
            }
            Saying::Title { .. } | Saying::Picture { .. } if policy.who_may_change == Allowed::Admins => {
                self.needs(&room, GroupRole::Admin, "only admins change title and picture of this group")
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody may say this in the room, by the policy in force at its place there.
    pub(crate) fn is_allowed(
        &self,
        room: RoomId,
        conversation: ConversationId,
        from: &AccountRef,
        said: &Heard,
    ) -> bool {
        let is_group = self.s.conversations.get(&conversation).is_some_and(|c| c.is_group);
        let Some((policy, _)) = self.policy_of(&room).filter(|_| is_group) else { return true };
        let rule = match said {
            Heard::Text { .. } | Heard::Edit { .. } => policy.who_may_write,
            Heard::Title(_) | Heard::Picture(_) => policy.who_may_change,
            _ => return true,
        };
        // Who they are in a group of a thousand takes a look at all of them.
        rule == Allowed::Everyone || rule.covers(self.role_in(&room, from))
    }

    pub(crate) fn show_group(&self, id: ConversationId, c: &Conversation) -> Option<GroupView> {
        let room = c.rooms.iter().rev().find(|room| self.s.rooms.get(room).is_some_and(|r| r.usable()))?;
        let (policy, _) = self.policy_of(room)?;
        let me = self.me()?;
        let accounts: Vec<_> = c.members.iter().chain([&me.account]).map(e2ee_account).collect();
        let roles = policy.roles_in(&accounts);
        let role = |account: &AccountRef| roles(&e2ee_account(account));
        let roles = c.members.iter().map(|member| (member.clone(), role(member)));
        let rules = GroupRules {
            add: policy.who_may_add,
            write: policy.who_may_write,
            change: policy.who_may_change,
            history_s: policy.history_s,
        };
        let roles = roles.filter(|(_, role)| *role != GroupRole::Member).collect();
        let attributed = policy.attributed;
        Some(GroupView { role: role(&me.account), rules, attributed, roles, invited: self.show_invited(id) })
    }
}

pub(crate) fn allowed(only_admins: bool) -> Allowed {
    if only_admins { Allowed::Admins } else { Allowed::Everyone }
}

/// Writes a role into a policy; 0 is nobody in particular.
pub(crate) fn give(policy: &mut Policy, account: parlour_e2ee::AccountRef, role: u32) {
    let role = match role {
        0 => None,
        1 => Some(GroupRole::Admin),
        _ => Some(GroupRole::Owner),
    };
    match role {
        Some(role) => policy.roles.insert(account, role),
        None => policy.roles.remove(&account),
    };
}
