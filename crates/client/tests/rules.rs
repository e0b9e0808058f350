//! Roles and rules of groups: who may add, write, change; the same for everybody, whatever races.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use parlour_client::api::*;
use parlour_e2ee::Change;
use parlour_proto::frames::AccountRef;
use support::insider::Insider;
use support::{World, bell, body, group, the_group};

const OPEN: GroupRules =
    GroupRules { add: Allowed::Everyone, write: Allowed::Everyone, change: Allowed::Everyone, history_s: None };

struct Choir {
    w: World,
    people: Vec<usize>,
    at: Vec<ConversationId>,
    accounts: Vec<AccountRef>,
}

/// Made by the first.
fn choir(seed: u64, size: u32) -> Choir {
    let (mut w, people, at) = group(seed, size);
    let accounts = people.iter().map(|person| w.account(*person)).collect();
    Choir { w, people, at, accounts }
}

impl Choir {
    fn set_role(&mut self, by: usize, of: usize, role: GroupRole) -> Result<Reply, Failure> {
        let intent = Intent::SetRole { conversation: self.at[by], member: self.accounts[of].clone(), role };
        let reply = self.w.ask(self.people[by], intent);
        self.w.run_for(2_000);
        reply
    }

    fn set_rules(&mut self, by: usize, rules: GroupRules) -> Result<Reply, Failure> {
        let reply = self.w.ask(self.people[by], Intent::SetRules { conversation: self.at[by], rules });
        self.w.run_for(2_000);
        reply
    }

    fn rename(&mut self, by: usize, title: &str) -> Result<Reply, Failure> {
        let intent = Intent::Rename { conversation: self.at[by], title: title.into() };
        self.w.ask(self.people[by], intent)
    }

    fn say(&mut self, by: usize, text: &str) -> Result<Reply, Failure> {
        let to = Target::Conversation(self.at[by]);
        let reply = self.w.ask(self.people[by], Intent::Send { to, body: body(text) });
        self.w.run_for(2_000);
        reply
    }

    fn view(&mut self, who: usize) -> GroupView {
        *the_group(&mut self.w, self.people[who]).group.unwrap()
    }

    fn texts(&mut self, who: usize) -> Vec<String> {
        self.w.texts(self.people[who], self.at[who])
    }
}

fn refused(reply: &Result<Reply, Failure>) -> bool {
    matches!(reply, Err(Failure::BadInput(_)))
}

#[test]
fn owners_give_roles_and_everybody_sees_them() {
    let mut c = choir(401, 3);
    assert_eq!(c.view(0).role, GroupRole::Owner);
    assert_eq!(
        c.view(1),
        GroupView {
            role: GroupRole::Member,
            rules: OPEN,
            attributed: false,
            roles: vec![(c.accounts[0].clone(), GroupRole::Owner)],
            invited: vec![]
        }
    );
    assert!(refused(&c.set_role(1, 1, GroupRole::Owner)), "not by oneself");
    assert!(refused(&c.set_role(0, 0, GroupRole::Member)), "a group has an owner");
    assert!(matches!(c.set_role(0, 1, GroupRole::Admin), Ok(Reply::Conversation(_))));
    assert_eq!(c.view(1).role, GroupRole::Admin);
    assert!(c.view(2).roles.contains(&(c.accounts[1].clone(), GroupRole::Admin)));
    assert!(refused(&c.set_role(1, 2, GroupRole::Admin)), "admins give no roles");
    assert!(matches!(c.set_role(0, 2, GroupRole::Owner), Ok(Reply::Conversation(_))));
    assert!(matches!(c.set_role(2, 0, GroupRole::Member), Ok(Reply::Conversation(_))), "an owner like the other");
    assert_eq!(c.view(0).role, GroupRole::Member);
    // It stays so after a start.
    c.w.crash(c.people[0]);
    c.w.run_for(2_000);
    assert_eq!(c.view(0).roles.len(), 2);
}

#[test]
fn where_only_admins_write_nobody_hears_anybody_else() {
    let mut c = choir(402, 3);
    assert!(c.set_role(0, 1, GroupRole::Admin).is_ok());
    // Cleo is away while the rule is made, and writes before she knows of it.
    c.w.offline(c.people[2]);
    assert!(c.say(2, "I did not know").is_ok());
    assert!(c.set_rules(1, GroupRules { write: Allowed::Admins, ..OPEN }).is_ok());
    c.w.online(c.people[2]);
    assert_eq!(c.view(2).rules.write, Allowed::Admins);
    assert!(refused(&c.say(2, "May I?")));
    assert!(c.say(1, "No").is_ok());
    for who in 0..2 {
        assert_eq!(c.texts(who), ["No"]);
    }
    let own = c.w.messages(c.people[2], c.at[2]).into_iter().find(|message| message.text == "I did not know").unwrap();
    assert_eq!(own.state, MessageState::Failed, "her own screen says that it did not go out");
    // She may react, and is heard again when the rule is gone.
    let of = c.w.messages(c.people[2], c.at[2]).into_iter().find(|message| message.text == "No").unwrap();
    let reaction = Body::Reaction { message: of.id, emoji: "👍".into() };
    let to = Target::Conversation(c.at[2]);
    assert!(c.w.ask(c.people[2], Intent::Send { to, body: reaction }).is_ok());
    assert!(c.set_rules(0, OPEN).is_ok());
    assert!(c.say(2, "Thank you").is_ok());
    assert_eq!(c.texts(0), ["No", "Thank you"]);
    let liked = c.w.messages(c.people[0], c.at[0]).into_iter().find(|message| message.text == "No").unwrap();
    assert_eq!(liked.reactions.len(), 1);
}

#[test]
fn where_only_admins_add_others_cannot() {
    let mut c = choir(403, 3);
    assert!(refused(&c.set_rules(1, OPEN)), "members set no rules");
    assert!(c.set_rules(0, GroupRules { add: Allowed::Admins, ..OPEN }).is_ok());
    let dora = c.w.user(9);
    c.w.befriend(c.people[1], dora, &bell(9));
    let add = Intent::AddMembers { conversation: c.at[1], members: vec![Target::Address(bell(9))] };
    assert!(c.w.ask(c.people[1], add.clone()).is_err());
    assert!(c.w.conversations(dora).iter().all(|c| !c.is_group));
    assert!(c.set_role(0, 1, GroupRole::Admin).is_ok());
    assert!(c.w.ask(c.people[1], add).is_ok());
    c.w.run_for(2_000);
    assert_eq!(the_group(&mut c.w, dora).members.len(), 3);
}

#[test]
fn titles_converge_and_only_who_may_changes_them() {
    let mut c = choir(404, 3);
    // Two at once: one of the titles, the same for all.
    for who in 0..3 {
        c.w.hold(c.people[who]);
    }
    assert!(c.rename(1, "Altos").is_ok());
    assert!(c.rename(2, "Basses").is_ok());
    for who in 0..3 {
        c.w.release(c.people[who]);
    }
    c.w.run_for(2_000);
    let titles: Vec<String> = (0..3).map(|who| the_group(&mut c.w, c.people[who]).title).collect();
    assert!(titles.iter().all(|title| *title == titles[0] && title != "Garden"), "{titles:?}");
    assert!(refused(&c.rename(1, "")));
    assert!(c.set_rules(0, GroupRules { change: Allowed::Admins, ..OPEN }).is_ok());
    assert!(refused(&c.rename(1, "Mine")));
    assert!(c.rename(0, "Ours").is_ok());
    c.w.run_for(2_000);
    for who in 0..3 {
        assert_eq!(the_group(&mut c.w, c.people[who]).title, "Ours");
    }
}

#[test]
fn changes_of_many_at_once_all_take_effect() {
    let mut c = choir(405, 4);
    for of in 1..4 {
        assert!(c.set_role(0, of, GroupRole::Owner).is_ok());
    }
    for who in 0..4 {
        c.w.hold(c.people[who]);
    }
    let rules = |add, write| GroupRules { add, write, ..OPEN };
    let mut intents = Vec::new();
    let at = c.at.clone();
    let role = |by: usize, of: usize| Intent::SetRole {
        conversation: at[by],
        member: c.accounts[of].clone(),
        role: GroupRole::Admin,
    };
    for (by, intent) in [
        (0, role(0, 1)),
        (2, role(2, 3)),
        (3, Intent::SetRules { conversation: at[3], rules: rules(Allowed::Admins, Allowed::Everyone) }),
    ] {
        intents.push((by, c.w.start_intent(c.people[by], intent)));
    }
    c.w.run();
    for who in 0..4 {
        c.w.release(c.people[who]);
    }
    c.w.run_for(20_000);
    let views: Vec<GroupView> = (0..4).map(|who| c.view(who)).collect();
    assert!(views.iter().all(|view| view.rules == views[0].rules), "{views:?}");
    assert_eq!(views[0].rules.add, Allowed::Admins);
    assert_eq!((views[1].role, views[3].role), (GroupRole::Admin, GroupRole::Admin));
    for (by, id) in intents {
        assert!(c.w.reply(c.people[by], id).is_some_and(|reply| reply.is_ok()), "{by}");
    }
}

#[test]
fn who_has_read_a_message_is_told() {
    let (mut w, users, groups) = group(77, 3);
    let message = w.say(users[0], groups[0], "who sings?");
    w.run_for(2_000);
    w.ask(users[1], Intent::MarkRead { conversation: groups[1] }).unwrap();
    w.run_for(2_000);
    let readers = |w: &mut World, client: usize, conversation| w.ask(client, Intent::Readers { conversation, message });
    let mut expected = vec![(w.account(users[1]), MessageState::Read), (w.account(users[2]), MessageState::Delivered)];
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    match readers(&mut w, users[0], groups[0]) {
        Ok(Reply::Readers(readers)) => assert_eq!(readers, expected),
        other => panic!("{other:?}"),
    }
    assert!(matches!(readers(&mut w, users[1], groups[1]), Err(Failure::NotFound(_))), "only of own messages");
}

impl Choir {
    /// Adds somebody who was in before.
    fn add_again(&mut self, by: usize, of: usize) {
        let members = vec![Target::Account(self.accounts[of].clone())];
        let reply = self.w.ask(self.people[by], Intent::AddMembers { conversation: self.at[by], members });
        assert!(reply.is_ok(), "{reply:?}");
        self.w.run_for(3_000);
    }

    fn remove(&mut self, by: usize, of: usize) {
        let intent = Intent::RemoveMember { conversation: self.at[by], member: self.accounts[of].clone() };
        let reply = self.w.ask(self.people[by], intent);
        assert!(reply.is_ok(), "{reply:?}");
        self.w.run_for(3_000);
    }

    /// All of these see the same roles, and no void rows, repairs or unreadable messages.
    fn agree(&mut self, who: &[usize]) -> Vec<(AccountRef, GroupRole)> {
        let mut seen = Vec::new();
        for person in who {
            let view = self.view(*person);
            let mut roles = view.roles;
            if view.role != GroupRole::Member {
                roles.push((self.accounts[*person].clone(), view.role));
            }
            roles.sort_by(|one, other| one.0.cmp(&other.0));
            let status = self.w.status(self.people[*person]);
            assert_eq!((status.unreadable, status.repairs), (0, 0), "{person}");
            seen.push(roles);
        }
        assert!(seen.iter().all(|roles| *roles == seen[0]), "{seen:?}");
        seen.remove(0)
    }
}

#[test]
fn who_was_an_admin_and_is_added_again_is_a_member() {
    for leaves in [false, true] {
        let mut c = choir(410, 4);
        assert!(c.set_role(0, 1, GroupRole::Admin).is_ok());
        if leaves {
            // Whoever is quickest lets her go.
            c.w.offline(c.people[0]);
            c.w.ask(c.people[1], Intent::Leave { conversation: c.at[1] }).unwrap();
            c.w.run_for(3_000);
            c.w.online(c.people[0]);
        } else {
            c.remove(0, 1);
        }
        assert_eq!(c.agree(&[0, 2, 3]), [(c.accounts[0].clone(), GroupRole::Owner)]);
        c.add_again(0, 1);
        assert_eq!(c.view(1).role, GroupRole::Member, "leaves: {leaves}");
        assert_eq!(c.agree(&[0, 1, 2, 3]), [(c.accounts[0].clone(), GroupRole::Owner)]);
        assert!(refused(&c.set_rules(1, OPEN)));
    }
}

#[test]
fn a_group_outlives_its_last_owner_and_who_comes_back_does_not_own_it() {
    // With an admin in it, and without.
    for admin in [true, false] {
        let mut c = choir(411, 4);
        if admin {
            assert!(c.set_role(0, 1, GroupRole::Admin).is_ok());
        }
        c.w.ask(c.people[0], Intent::Leave { conversation: c.at[0] }).unwrap();
        c.w.run_for(5_000);
        let acting = c.agree(&[1, 2, 3]);
        let expected = if admin { vec![c.accounts[1].clone()] } else { c.accounts[1..].to_vec() };
        let mut expected: Vec<_> = expected.into_iter().map(|account| (account, GroupRole::Owner)).collect();
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(acting, expected, "they act as owners");
        c.add_again(2, 0);
        let role = if admin { GroupRole::Member } else { GroupRole::Owner };
        assert_eq!(c.view(0).role, role, "like everybody else");
        // It can have an owner of its own again, whom nobody outranks.
        let by = 1;
        assert!(c.set_role(by, by, GroupRole::Owner).is_ok());
        assert_eq!(c.agree(&[0, 1, 2, 3]), [(c.accounts[1].clone(), GroupRole::Owner)]);
        assert!(c.say(3, "on we sing").is_ok());
        assert_eq!(c.texts(2), ["on we sing"]);
    }
}

#[test]
fn removals_that_race_take_each_role_once() {
    let mut c = choir(412, 5);
    for of in [1, 2, 3] {
        assert!(c.set_role(0, of, GroupRole::Owner).is_ok());
    }
    for who in 0..5 {
        c.w.hold(c.people[who]);
    }
    // Two remove the same one, a third another one, who leaves by himself.
    let remove = |c: &Choir, by: usize, of: usize| Intent::RemoveMember {
        conversation: c.at[by],
        member: c.accounts[of].clone(),
    };
    let intents = [(0, remove(&c, 0, 2)), (1, remove(&c, 1, 2)), (4, Intent::Leave { conversation: c.at[4] })];
    let mut waits = Vec::new();
    for (by, intent) in intents {
        waits.push((by, c.w.start_intent(c.people[by], intent)));
    }
    waits.push((1, c.w.start_intent(c.people[1], remove(&c, 1, 3))));
    c.w.ask(c.people[3], Intent::Leave { conversation: c.at[3] }).unwrap();
    c.w.run();
    for who in 0..5 {
        c.w.release(c.people[who]);
    }
    c.w.run_for(30_000);
    for (by, id) in waits {
        assert!(c.w.reply(c.people[by], id).is_some_and(|reply| reply.is_ok()), "{by}");
    }
    assert_eq!(c.agree(&[0, 1]).len(), 2);
    for of in [2, 3] {
        c.add_again(0, of);
        assert_eq!(c.view(of).role, GroupRole::Member);
    }
    assert!(c.say(2, "back").is_ok());
    assert_eq!(c.texts(0), ["back"]);
}

#[test]
fn a_role_of_somebody_who_is_in_cannot_be_dropped_by_the_way() {
    let mut c = choir(413, 4);
    assert!(c.set_role(0, 1, GroupRole::Admin).is_ok());
    let room = c.w.server.largest_room();
    let mut insider = Insider::copy(&c.w, c.people[2], room);
    let listed: Vec<_> = insider.group.policy().roles.keys().cloned().collect();
    assert_eq!(listed.len(), 2);
    let me = insider.group.own_leaf();
    let other = insider.group.members().into_iter().find(|m| m.leaf != me && !listed.contains(m.account())).unwrap();
    for account in listed {
        let mut policy = insider.group.policy().clone();
        policy.roles.remove(&account);
        // Alone, and beside a removal. (That nobody follows who makes it all the same: `e2ee`, `cheats`.)
        assert!(insider.try_commit(Change::policy(policy.clone())).is_err());
        assert!(insider.try_commit(Change::remove(vec![other.leaf]).and(Change::policy(policy.clone()))).is_err());
    }
    for who in 0..4 {
        assert_eq!(c.view(who).role == GroupRole::Owner, who == 0);
        assert_eq!(c.view(who).role == GroupRole::Admin, who == 1);
    }
    assert!(c.say(0, "nothing happened").is_ok());
    assert_eq!(c.texts(3), ["nothing happened"]);
}
