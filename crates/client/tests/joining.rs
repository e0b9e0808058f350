//! Who comes into a group that was never let in: by an invitation, or by a link.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::address::Invite;
use parlour_proto::frames::{AppId, ReachRule};
use parlour_proto::ids::Secret;
use support::choir::Choir;
use support::*;

const DAY_MS: u64 = 24 * 3_600_000;

impl Choir {
    fn invited(&mut self) -> usize {
        let group = self.w.conversations(self.ada).into_iter().find(|c| c.id == self.at_ada).unwrap();
        group.group.map_or(0, |view| view.invited.len())
    }

    fn members(&mut self) -> usize {
        let group = self.w.conversations(self.ada).into_iter().find(|c| c.id == self.at_ada).unwrap();
        group.members.len()
    }

    fn links(&mut self, client: usize, group: ConversationId) -> Vec<GroupLink> {
        match self.w.ask(client, Intent::GroupLinks { conversation: group }) {
            Ok(Reply::GroupLinks(links)) => links,
            other => panic!("{other:?}"),
        }
    }

    fn let_only_admins_add(&mut self, client: usize, conversation: ConversationId) {
        let open = Allowed::Everyone;
        let rules = GroupRules { add: Allowed::Admins, write: open, change: open, history_s: None };
        self.w.ask(client, Intent::SetRules { conversation, rules }).unwrap();
        self.w.run_for(2_000);
    }
}

fn join(w: &mut World, client: usize, link: &str) -> Result<Reply, Failure> {
    let reply = w.ask(client, Intent::JoinByLink { link: link.to_owned() });
    w.run_for(3_000);
    reply
}

fn joining(w: &mut World, client: usize) -> Vec<Joining> {
    match w.ask(client, Intent::Joining) {
        Ok(Reply::Joining(joins)) => joins,
        other => panic!("{other:?}"),
    }
}

fn ended(w: &World, client: usize) -> Vec<Option<ConversationId>> {
    let events = w.clients[client].events.iter();
    events.filter_map(|e| if let Event::JoinEnded { joined, .. } = e { Some(*joined) } else { None }).collect()
}

fn groups(w: &mut World, client: usize) -> Vec<Conversation> {
    w.conversations(client).into_iter().filter(|c| c.is_group && c.state == ConversationState::Open).collect()
}

/// Whether one of them could be added by the other without being asked.
fn is_contact(w: &mut World, one: usize, address: &str) -> bool {
    let members = vec![Target::Address(address.to_owned())];
    match w.ask(one, Intent::CreateGroup { title: "Probe".into(), members }) {
        Ok(Reply::Conversation(c)) => c.members.len() == 1,
        other => panic!("{other:?}"),
    }
}

fn tablet(w: &mut World, of: usize) -> usize {
    let new = link(w, of);
    w.run_for(40_000);
    new
}

// ---- invitations

#[test]
fn a_stranger_who_is_added_is_asked_and_comes_in_by_accepting() {
    let mut c = Choir::new(1);
    let cleo = c.w.user(2);
    let before = c.w.conversations(c.ada).len();
    let Ok(Reply::Conversation(shown)) = c.add(&bell(2)) else { panic!() };
    let account = c.w.account(cleo);
    assert_eq!(shown.group.unwrap().invited.iter().map(|m| &m.account).collect::<Vec<_>>(), [&account]);
    assert_eq!(c.w.conversations(c.ada).len(), before, "what carries it is not shown");
    let request = c.w.requests(cleo).pop().unwrap();
    assert_eq!((request.group.as_deref(), request.text, request.joins), (Some("Garden"), None, None));
    assert!(groups(&mut c.w, cleo).is_empty(), "not before the choice");
    c.w.ask(cleo, Intent::Accept { request: request.id }).unwrap();
    c.w.run_for(5_000);
    let at_cleo = the_group(&mut c.w, cleo);
    assert_eq!((at_cleo.members.len(), at_cleo.title.as_str(), at_cleo.state), (2, "Garden", ConversationState::Open));
    assert_eq!((c.members(), c.invited()), (2, 0));
    c.w.say(cleo, at_cleo.id, "here I am");
    c.w.run_for(2_000);
    assert_eq!(c.w.texts(c.ben, c.at_ben), ["here I am"]);
    assert!(is_contact(&mut c.w, c.ada, &bell(2)), "they let each other in");
    for client in [c.ada, c.ben, cleo] {
        assert_eq!((c.w.status(client).queued, c.w.status(client).unreadable), (0, 0));
    }
}

#[test]
fn a_group_may_be_made_of_strangers_alone_and_of_an_invite() {
    let mut w = World::new(2);
    let (ada, ben, cleo) = (w.user(0), w.user(1), w.user(2));
    let Ok(Reply::Invite { text, .. }) = w.ask(cleo, Intent::CreateInvite { uses: 1, ttl_s: 3_600 }) else { panic!() };
    let members = vec![Target::Address(bell(1)), Target::Invite(text)];
    let Ok(Reply::Conversation(c)) = w.ask(ada, Intent::CreateGroup { title: "New".into(), members }) else { panic!() };
    assert_eq!((c.members.len(), c.group.unwrap().invited.len()), (0, 2));
    w.run_for(3_000);
    for client in [ben, cleo] {
        let request = w.requests(client).pop().unwrap().id;
        w.ask(client, Intent::Accept { request }).unwrap();
        w.run_for(5_000);
    }
    assert_eq!(the_group(&mut w, cleo).members.len(), 2);
}

#[test]
fn somebody_seen_in_a_group_can_be_asked_into_another_one() {
    let (mut w, users, _) = group(3, 3);
    let account = w.account(users[2]);
    let members = vec![Target::Account(account.clone())];
    let Ok(Reply::Conversation(c)) = w.ask(users[1], Intent::CreateGroup { title: "Trio".into(), members }) else {
        panic!()
    };
    assert_eq!(c.group.unwrap().invited[0].account, account);
    w.run_for(3_000);
    let request = w.requests(users[2]).pop().unwrap();
    assert_eq!(request.group.as_deref(), Some("Trio"));
    w.ask(users[2], Intent::Accept { request: request.id }).unwrap();
    w.run_for(5_000);
    assert_eq!(groups(&mut w, users[2]).len(), 2);
}

#[test]
fn nobody_there_is_told_at_once_and_leaves_nothing() {
    let mut c = Choir::new(4);
    let before = c.w.conversations(c.ada).len();
    assert_eq!(c.add(&bell(77)).unwrap_err(), Failure::NotReachable);
    assert_eq!((c.invited(), c.w.conversations(c.ada).len()), (0, before));
    assert!(matches!(c.add(&bell(0)), Err(Failure::BadInput(_) | Failure::NotReachable)), "oneself");
    assert_eq!(c.w.status(c.ada).queued, 0);
}

#[test]
fn an_acceptance_weeks_later_counts_and_one_after_thirty_days_does_not() {
    for (days, comes) in [(25, true), (31, false)] {
        let mut c = Choir::new(5);
        let cleo = c.w.user(2);
        c.add(&bell(2)).unwrap();
        let request = c.w.requests(cleo).pop().unwrap().id;
        for client in [c.ada, c.ben, cleo] {
            c.w.offline(client);
        }
        c.w.run_for(days * DAY_MS);
        c.w.crash(c.ada);
        c.w.online(cleo);
        c.w.ask(cleo, Intent::Accept { request }).unwrap();
        c.w.run_for(3_000);
        c.w.online(c.ada);
        assert_eq!((groups(&mut c.w, cleo).len() == 1, c.invited()), (comes, 0), "after {days} days");
    }
}

#[test]
fn an_invitation_ends_when_it_is_taken_back_or_the_adder_may_not_add_or_leaves() {
    for end in 0..4 {
        let mut c = Choir::new(6);
        let cleo = c.w.user(2);
        // Ben asks: he is no admin.
        let members = vec![Target::Address(bell(2))];
        c.w.ask(c.ben, Intent::AddMembers { conversation: c.at_ben, members }).unwrap();
        c.w.run_for(3_000);
        let request = c.w.requests(cleo).pop().unwrap().id;
        let member = c.w.account(cleo);
        let of_ben = c.w.account(c.ben);
        match end {
            0 => drop(c.w.ask(c.ben, Intent::Uninvite { conversation: c.at_ben, member }).unwrap()),
            1 => c.let_only_admins_add(c.ada, c.at_ada),
            2 => drop(c.w.ask(c.ben, Intent::Leave { conversation: c.at_ben }).unwrap()),
            _ => drop(c.w.ask(c.ada, Intent::RemoveMember { conversation: c.at_ada, member: of_ben }).unwrap()),
        }
        c.w.run_for(3_000);
        c.w.ask(cleo, Intent::Accept { request }).unwrap();
        c.w.run_for(60_000);
        assert!(groups(&mut c.w, cleo).is_empty(), "{end}");
        assert_eq!(c.w.status(c.ben).queued, 0, "{end}");
        // They are contacts now, no more.
        assert!(c.w.conversations(c.ben).iter().any(|c| c.members.len() == 1 && !c.is_group && c.last.is_none()));
    }
}

#[test]
fn who_declines_is_not_added_and_the_adder_is_not_told() {
    let mut c = Choir::new(7);
    let cleo = c.w.user(2);
    c.add(&bell(2)).unwrap();
    let request = c.w.requests(cleo).pop().unwrap().id;
    c.w.ask(cleo, Intent::Decline { request }).unwrap();
    c.w.run_for(60_000);
    assert_eq!((c.invited(), c.members()), (1, 1));
    assert!(c.w.conversations(cleo).is_empty());
}

#[test]
fn an_acceptance_at_one_device_brings_in_both_and_any_device_of_the_adder_does_it() {
    let mut c = Choir::new(8);
    let cleo = c.w.user(2);
    let (ada_s, cleo_s) = (tablet(&mut c.w, c.ada), tablet(&mut c.w, cleo));
    c.add(&bell(2)).unwrap();
    c.w.run_for(60_000);
    c.w.offline(c.ada);
    let request = c.w.requests(cleo_s).pop().unwrap();
    assert_eq!(request.group.as_deref(), Some("Garden"));
    c.w.offline(cleo);
    c.w.ask(cleo_s, Intent::Accept { request: request.id }).unwrap();
    c.w.run_for(120_000);
    assert_eq!(the_group(&mut c.w, ada_s).members.len(), 2, "the other device has added her");
    assert_eq!(groups(&mut c.w, cleo_s).len(), 1);
    c.w.online(cleo);
    c.w.online(c.ada);
    assert_eq!((groups(&mut c.w, cleo).len(), c.members(), c.invited()), (1, 2, 0));
    assert!(c.w.requests(cleo).is_empty());
    for client in [c.ada, ada_s, c.ben, cleo, cleo_s] {
        assert_eq!(c.w.status(client).unreadable, 0);
    }
}

// ---- links

#[test]
fn a_link_brings_somebody_in_and_makes_nobody_a_contact() {
    let mut c = Choir::new(20);
    let dan = c.w.user(3);
    let account = c.w.account(dan);
    let before = (c.w.conversations(c.ada).len(), c.w.server.doors(&account));
    let link = c.link(false, 2);
    assert_eq!(c.links(c.ada, c.at_ada), std::slice::from_ref(&link));
    assert!(join(&mut c.w, dan, &link.text).is_ok());
    c.w.run_for(2_000);
    let at_dan = c.w.only_conversation(dan);
    assert_eq!((at_dan.is_group, at_dan.members.len(), at_dan.title.as_str()), (true, 2, "Garden"));
    assert_eq!(ended(&c.w, dan), [Some(at_dan.id)]);
    assert!(joining(&mut c.w, dan).is_empty());
    assert_eq!(c.w.conversations(c.ada).len(), before.0, "no conversation of two");
    assert!(c.w.requests(c.ada).is_empty());
    assert_eq!((c.members(), c.invited()), (2, 0));
    assert_eq!(c.w.server.doors(&account), before.1, "his door token is worth nothing any more");
    let told = c.w.clients[c.ada].events.iter().any(|e| matches!(e, Event::Request(_)));
    assert!(!told, "nobody is asked");
    c.w.say(dan, at_dan.id, "la");
    c.w.run_for(2_000);
    assert_eq!(c.w.texts(c.ben, c.at_ben), ["la"]);
    assert_eq!(c.links(c.ada, c.at_ada)[0].uses, 1);
    for client in [c.ada, c.ben, dan] {
        assert_eq!((c.w.status(client).queued, c.w.status(client).unreadable), (0, 0));
    }
    assert!(!is_contact(&mut c.w, c.ada, &bell(3)) && !is_contact(&mut c.w, dan, &bell(0)));
}

#[test]
fn with_approval_it_is_a_request_that_lets_in_or_not() {
    let mut c = Choir::new(21);
    let (dan, eve) = (c.w.user(3), c.w.user(4));
    c.w.ask(dan, Intent::SetName { name: "Dan".into() }).unwrap();
    let link = c.link(true, 5);
    for client in [dan, eve] {
        assert!(join(&mut c.w, client, &link.text).is_ok());
        assert_eq!(joining(&mut c.w, client).len(), 1);
        assert!(c.w.conversations(client).is_empty(), "nothing to be seen while waiting");
    }
    let requests = c.w.requests(c.ada);
    assert!(requests.iter().all(|r| r.joins == Some(c.at_ada) && r.text.is_none()), "{requests:?}");
    assert_eq!(requests[0].claimed_name.as_deref(), Some("Dan"));
    assert_eq!((requests.len(), c.members(), c.invited()), (2, 1, 0));
    c.w.crash(c.ada);
    c.w.run_for(3_000);
    let Ok(Reply::Conversation(shown)) = c.w.ask(c.ada, Intent::Accept { request: requests[0].id }) else { panic!() };
    assert_eq!(shown.id, c.at_ada);
    c.w.ask(c.ada, Intent::Decline { request: requests[1].id }).unwrap();
    c.w.run_for(60_000);
    assert_eq!((groups(&mut c.w, dan).len(), groups(&mut c.w, eve).len(), c.members()), (1, 0, 2));
    assert!(c.w.requests(c.ada).is_empty());
    assert_eq!(joining(&mut c.w, eve).len(), 1, "she cannot tell");
    assert!(!is_contact(&mut c.w, c.ada, &bell(3)));
}

#[test]
fn a_secret_that_is_wrong_or_worth_nothing_looks_like_nobody_looking() {
    // 0 another secret, 1 revoked (by a device whose server does not know yet), 2 too old, 3 the maker may not add any more,
    // 4 the maker was removed, 5 used up.
    for end in 0..6 {
        let mut c = Choir::new(22);
        let dan = c.w.user(3);
        let ben_s = c.w.account(c.ben);
        let intent = Intent::CreateGroupLink { conversation: c.at_ben, approve: end % 2 == 0, uses: 1, ttl_s: 3_600 };
        let Ok(Reply::GroupLink(link)) = c.w.ask(c.ben, intent) else { panic!() };
        let mut text = link.text.clone();
        match end {
            0 => {
                let mut invite = Invite::parse(&text).unwrap();
                invite.group = Some(Secret([7; 32]));
                text = invite.to_text();
            }
            1 => drop(c.w.ask(c.ben, Intent::RevokeGroupLink { link: link.id }).unwrap()),
            2 => c.w.run_for(3_601_000),
            3 => c.let_only_admins_add(c.ada, c.at_ada),
            4 => {
                c.w.ask(c.ada, Intent::RemoveMember { conversation: c.at_ada, member: ben_s }).unwrap();
                c.w.run_for(3_000);
            }
            _ => {
                let eve = c.w.user(4);
                join(&mut c.w, eve, &text).unwrap();
                c.w.run_for(3_000);
                for request in c.w.requests(c.ben) {
                    c.w.ask(c.ben, Intent::Accept { request: request.id }).unwrap();
                }
                c.w.run_for(3_000);
                assert_eq!(groups(&mut c.w, eve).len(), 1);
            }
        }
        let members = c.members();
        let reply = join(&mut c.w, dan, &text);
        c.w.run_for(60_000);
        match end {
            0 | 3 => assert_eq!(joining(&mut c.w, dan).len(), 1, "{end}"),
            // The server does not know the invite any more.
            _ => assert!(reply.is_err() || joining(&mut c.w, dan).len() == 1, "{end} {reply:?}"),
        }
        assert!(c.w.conversations(dan).is_empty() && c.w.requests(c.ben).is_empty(), "{end}");
        assert_eq!(c.members(), members, "{end}");
        assert!(c.w.conversations(c.ben).iter().all(|c| c.is_group || c.last.is_some()), "{end}");
        assert_eq!(c.w.status(c.ben).unreadable, 0, "{end}");
    }
}

#[test]
fn what_nobody_answers_ends_after_thirty_days_or_when_one_stops_waiting() {
    let mut c = Choir::new(23);
    let (dan, eve) = (c.w.user(3), c.w.user(4));
    let accounts = [c.w.account(dan), c.w.account(eve)];
    let link = c.link(true, 9);
    join(&mut c.w, dan, &link.text).unwrap();
    join(&mut c.w, eve, &link.text).unwrap();
    let requests = c.w.requests(c.ada);
    let join = joining(&mut c.w, eve).pop().unwrap().id;
    c.w.ask(eve, Intent::StopJoining { join }).unwrap();
    c.w.run_for(3_000);
    for request in requests.iter().filter(|request| request.from == accounts[1]) {
        c.w.ask(c.ada, Intent::Accept { request: request.id }).unwrap();
    }
    c.w.run_for(60_000);
    assert!(groups(&mut c.w, eve).is_empty() && c.w.server.doors(&accounts[1]) == 0);
    for client in [c.ada, c.ben, dan, eve] {
        c.w.offline(client);
    }
    c.w.run_for(31 * DAY_MS);
    c.w.online(dan);
    c.w.online(c.ada);
    assert_eq!((ended(&c.w, dan), ended(&c.w, eve)), (vec![None], vec![None]));
    assert!(joining(&mut c.w, dan).is_empty() && c.w.requests(c.ada).is_empty());
    assert_eq!((c.w.server.doors(&accounts[0]), c.invited(), c.members()), (0, 0, 1));
}

#[test]
fn opening_a_link_twice_or_from_within_does_no_harm() {
    let mut c = Choir::new(24);
    let dan = c.w.user(3);
    let link = c.link(true, 9);
    join(&mut c.w, dan, &link.text).unwrap();
    join(&mut c.w, dan, &link.text).unwrap();
    let requests = c.w.requests(c.ada);
    assert_eq!((requests.len(), c.links(c.ada, c.at_ada)[0].uses), (1, 8));
    // He stops waiting and asks anew: still one request.
    let waits = joining(&mut c.w, dan).pop().unwrap().id;
    c.w.ask(dan, Intent::StopJoining { join: waits }).unwrap();
    join(&mut c.w, dan, &link.text).unwrap();
    let requests = c.w.requests(c.ada);
    assert_eq!((requests.len(), c.links(c.ada, c.at_ada)[0].uses), (1, 8));
    c.w.ask(c.ada, Intent::Accept { request: requests[0].id }).unwrap();
    c.w.run_for(5_000);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
    // From within: nothing comes of it.
    join(&mut c.w, dan, &link.text).unwrap();
    join(&mut c.w, c.ben, &link.text).unwrap();
    c.w.run_for(60_000);
    assert!(c.w.requests(c.ada).is_empty());
    assert_eq!((c.members(), c.links(c.ada, c.at_ada)[0].uses), (2, 8));
    assert!(join(&mut c.w, c.ada, &link.text).is_err(), "one's own");
    let say = Intent::Send { to: Target::Invite(link.text.clone()), body: body("hello") };
    assert!(matches!(c.w.ask(dan, say), Err(Failure::BadInput(_))), "it is no way to write to her");
}

#[test]
fn a_friend_joins_by_the_conversation_that_is_there() {
    let mut c = Choir::new(25);
    let dan = c.w.user(3);
    let (at_dan, at_ada) = c.w.befriend(dan, c.ada, &bell(0));
    let link = c.link(true, 1);
    join(&mut c.w, dan, &link.text).unwrap();
    let request = c.w.requests(c.ada).pop().unwrap();
    assert_eq!((request.id, request.joins), (at_ada, Some(c.at_ada)));
    c.w.ask(c.ada, Intent::Accept { request: request.id }).unwrap();
    c.w.run_for(5_000);
    assert_eq!((groups(&mut c.w, dan).len(), c.members()), (1, 2));
    c.w.say(dan, at_dan, "thank you");
    c.w.run_for(2_000);
    assert_eq!(c.w.texts(c.ada, at_ada), ["hello", "thank you"]);
    assert!(is_contact(&mut c.w, dan, &bell(0)), "they still are");
    assert_eq!(ended(&c.w, dan).len(), 1);
}

#[test]
fn a_join_and_a_request_to_write_are_two_things() {
    let mut c = Choir::new(26);
    let dan = c.w.user(3);
    c.w.send(dan, &bell(0), "may I write?").unwrap();
    c.w.run_for(2_000);
    let link = c.link(true, 3);
    join(&mut c.w, dan, &link.text).unwrap();
    let requests = c.w.requests(c.ada);
    let wants: Vec<_> = requests.iter().map(|r| (r.text.clone(), r.joins)).collect();
    assert_eq!(wants, [(Some("may I write?".to_owned()), None), (None, Some(c.at_ada))]);
    c.w.ask(c.ada, Intent::Accept { request: requests[1].id }).unwrap();
    c.w.run_for(5_000);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
    let left = c.w.requests(c.ada);
    assert_eq!(left.len(), 1, "to write is still to be chosen");
    c.w.ask(c.ada, Intent::Accept { request: left[0].id }).unwrap();
    c.w.run_for(5_000);
    c.w.say(c.ada, left[0].id, "yes");
    c.w.run_for(2_000);
    let two = c.w.conversations(dan).into_iter().find(|c| !c.is_group).unwrap();
    assert_eq!(c.w.texts(dan, two.id), ["may I write?", "yes"]);
}

#[test]
fn blocking_who_asks_to_join_ends_it() {
    let mut c = Choir::new(27);
    let dan = c.w.user(3);
    let link = c.link(true, 3);
    join(&mut c.w, dan, &link.text).unwrap();
    let request = c.w.requests(c.ada).pop().unwrap().id;
    c.w.ask(c.ada, Intent::Block { conversation: request }).unwrap();
    c.w.run_for(60_000);
    assert!(c.w.requests(c.ada).is_empty());
    assert_eq!((c.members(), groups(&mut c.w, dan).len()), (1, 0));
}

#[test]
fn the_token_of_a_link_reaches_where_strangers_do_not_get() {
    let mut c = Choir::new(28);
    let dan = c.w.home();
    c.w.ask(dan, sign_up("den", "dan")).unwrap();
    c.w.sync(dan);
    let from = AppId::parse("den").unwrap();
    c.w.ask(c.ada, Intent::SetReach { from, rule: ReachRule::Nobody }).unwrap();
    let link = c.link(false, 1);
    join(&mut c.w, dan, &link.text).unwrap();
    c.w.run_for(3_000);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
}

#[test]
fn what_is_written_to_who_made_the_link_is_not_lost() {
    let mut c = Choir::new(29);
    let dan = c.w.user(3);
    let link = c.link(true, 1);
    join(&mut c.w, dan, &link.text).unwrap();
    c.w.send(dan, &bell(0), "hello?").unwrap();
    c.w.run_for(3_000);
    let requests = c.w.requests(c.ada);
    let text = requests.iter().find(|request| request.text.as_deref() == Some("hello?"));
    assert!(text.is_some(), "{requests:?}");
    let join = requests.iter().find(|request| request.joins.is_some()).unwrap();
    c.w.ask(c.ada, Intent::Accept { request: join.id }).unwrap();
    c.w.run_for(5_000);
    assert_eq!((groups(&mut c.w, dan).len(), c.w.requests(c.ada).len()), (1, 1));
}

#[test]
fn all_own_devices_know_a_link_and_one_of_them_acts() {
    for away in 0..3 {
        let mut c = Choir::new(30);
        let dan = c.w.user(3);
        let link = c.link(false, 3);
        let (ada_s, dan_s) = (tablet(&mut c.w, c.ada), tablet(&mut c.w, dan));
        let at_tablet = the_group(&mut c.w, ada_s).id;
        assert_eq!(c.links(ada_s, at_tablet), std::slice::from_ref(&link), "told when it was linked");
        let Ok(Reply::GroupLink(second)) =
            c.w.ask(ada_s, Intent::CreateGroupLink { conversation: at_tablet, approve: false, uses: 1, ttl_s: 3_600 })
        else {
            panic!()
        };
        c.w.run_for(3_000);
        assert_eq!(c.links(c.ada, c.at_ada).len(), 2, "told when it was made");
        match away {
            0 => c.w.offline(c.ada),
            1 => c.w.offline(ada_s),
            _ => {}
        }
        join(&mut c.w, dan, &link.text).unwrap();
        c.w.run_for(90_000);
        assert_eq!((groups(&mut c.w, dan).len(), groups(&mut c.w, dan_s).len()), (1, 1), "{away}");
        c.w.online(c.ada);
        c.w.online(ada_s);
        assert_eq!(c.members(), 2);
        assert_eq!(c.links(c.ada, c.at_ada).iter().find(|l| l.id == link.id).unwrap().uses, 2);
        assert_eq!(c.links(ada_s, at_tablet).iter().find(|l| l.id == link.id).unwrap().uses, 2);
        assert!(c.w.conversations(dan_s).len() == 1 && c.w.conversations(dan).len() == 1);
        c.w.ask(c.ada, Intent::RevokeGroupLink { link: second.id }).unwrap();
        c.w.run_for(3_000);
        assert!(!c.links(ada_s, at_tablet).iter().any(|l| l.id == second.id));
        for client in [c.ada, ada_s, c.ben, dan, dan_s] {
            let status = c.w.status(client);
            assert_eq!((status.queued, status.unreadable, status.repairs), (0, 0, 0), "{away} {client}");
        }
    }
}

#[test]
fn a_choice_at_one_device_is_made_for_all() {
    let mut c = Choir::new(31);
    let (dan, eve) = (c.w.user(3), c.w.user(4));
    let link = c.link(true, 3);
    let ada_s = tablet(&mut c.w, c.ada);
    join(&mut c.w, dan, &link.text).unwrap();
    join(&mut c.w, eve, &link.text).unwrap();
    assert_eq!((c.w.requests(c.ada).len(), c.w.requests(ada_s).len()), (2, 2));
    let requests = c.w.requests(ada_s);
    c.w.ask(ada_s, Intent::Accept { request: requests[0].id }).unwrap();
    c.w.ask(ada_s, Intent::Decline { request: requests[1].id }).unwrap();
    c.w.run_for(5_000);
    assert_eq!((c.w.requests(c.ada).len(), c.w.requests(ada_s).len()), (0, 0));
    assert_eq!((c.members(), groups(&mut c.w, dan).len(), groups(&mut c.w, eve).len()), (2, 1, 0));
}

#[test]
fn revoking_all_invites_revokes_links() {
    let mut c = Choir::new(32);
    let dan = c.w.user(3);
    let link = c.link(false, 3);
    c.w.ask(c.ada, Intent::RevokeInvites).unwrap();
    assert!(c.links(c.ada, c.at_ada).is_empty());
    assert_eq!(join(&mut c.w, dan, &link.text).unwrap_err(), Failure::NotReachable);
    assert!(joining(&mut c.w, dan).is_empty() && c.w.conversations(dan).is_empty());
}

#[test]
fn many_come_by_one_link_and_no_more_than_it_allows() {
    let mut c = Choir::new(33);
    let link = c.link(false, 4);
    let crowd: Vec<usize> = (10..17).map(|n| c.w.user(n)).collect();
    for client in &crowd {
        c.w.start_intent(*client, Intent::JoinByLink { link: link.text.clone() });
    }
    c.w.run_for(60_000);
    let inside = crowd.iter().filter(|client| groups(&mut c.w, **client).len() == 1).count();
    assert_eq!((inside, c.members()), (4, 5));
    for client in crowd {
        assert!(c.w.conversations(client).len() <= 1);
    }
}

#[test]
fn who_left_or_was_removed_may_come_back_by_the_link_until_it_is_revoked() {
    let mut c = Choir::new(34);
    let dan = c.w.user(3);
    let account = c.w.account(dan);
    let link = c.link(false, 9);
    join(&mut c.w, dan, &link.text).unwrap();
    let at_dan = c.w.only_conversation(dan).id;
    c.w.ask(dan, Intent::Leave { conversation: at_dan }).unwrap();
    c.w.run_for(3_000);
    assert_eq!(c.members(), 1);
    join(&mut c.w, dan, &link.text).unwrap();
    c.w.run_for(3_000);
    assert_eq!((c.members(), c.w.only_conversation(dan).state), (2, ConversationState::Open));
    for revoked in [false, true] {
        let group = c.at_ada;
        c.w.ask(c.ada, Intent::RemoveMember { conversation: group, member: account.clone() }).unwrap();
        c.w.run_for(3_000);
        assert_eq!(c.members(), 1);
        if revoked {
            c.w.ask(c.ada, Intent::RevokeGroupLink { link: link.id }).unwrap();
            c.w.run_for(3_000);
        }
        let _ = join(&mut c.w, dan, &link.text);
        c.w.run_for(30_000);
        assert_eq!(c.members(), if revoked { 1 } else { 2 });
    }
    let said = c.w.only_conversation(dan);
    assert_eq!(said.state, ConversationState::Closed);
    assert_eq!((c.w.status(c.ada).unreadable, c.w.status(dan).unreadable), (0, 0));
}

#[test]
fn no_frame_holds_a_link_s_secret_and_no_other_app_hears_of_a_handle() {
    let mut c = Choir::new(35);
    let dan = c.w.user(3);
    c.w.recorded = Some(Default::default());
    let link = c.link(true, 2);
    join(&mut c.w, dan, &link.text).unwrap();
    let request = c.w.requests(c.ada).pop().unwrap().id;
    c.w.ask(c.ada, Intent::Accept { request }).unwrap();
    c.w.run_for(60_000);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
    let secret = Invite::parse(&link.text).unwrap().group.unwrap().0;
    let text = link.text.rsplit('.').next().unwrap().as_bytes().to_vec();
    let frames: Vec<Vec<u8>> = c.w.recorded.take().unwrap().into_values().flatten().collect();
    assert!(frames.len() > 10);
    for frame in frames {
        assert!(!frame.windows(32).any(|part| part == secret));
        assert!(!frame.windows(text.len()).any(|part| part == text));
    }
}

#[test]
fn whoever_brings_in_must_be_the_one_who_made_the_link() {
    // Dan waits for Ada; Eve, who is a stranger to him and has his address, is still one.
    let mut c = Choir::new(36);
    let (dan, eve) = (c.w.user(3), c.w.user(4));
    let link = c.link(true, 2);
    join(&mut c.w, dan, &link.text).unwrap();
    c.w.ask(eve, Intent::CreateGroup { title: "Trap".into(), members: vec![Target::Address(bell(3))] }).unwrap();
    c.w.run_for(5_000);
    assert!(groups(&mut c.w, dan).is_empty());
    assert_eq!(c.w.requests(dan).pop().unwrap().group.as_deref(), Some("Trap"));
    // One link is one group: the next one of Ada's is a request.
    let request = c.w.requests(c.ada).pop().unwrap().id;
    c.w.ask(c.ada, Intent::Accept { request }).unwrap();
    c.w.run_for(5_000);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
    let members = vec![Target::Address(bell(3))];
    c.w.ask(c.ada, Intent::CreateGroup { title: "Another".into(), members }).unwrap();
    c.w.run_for(5_000);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
}

#[test]
fn what_comes_is_in_the_backup() {
    let mut w = World::new(37);
    let ada = w.home();
    let Ok(Reply::SignedUp { recovery_key, .. }) = w.ask(ada, sign_up("bell", "+491701234500")) else { panic!() };
    w.sync(ada);
    let (ben, dan) = (w.user(1), w.user(3));
    w.befriend(ada, ben, &bell(1));
    let members = vec![Target::Address(bell(1))];
    let Ok(Reply::Conversation(c)) = w.ask(ada, Intent::CreateGroup { title: "Garden".into(), members }) else {
        panic!()
    };
    let intent = Intent::CreateGroupLink { conversation: c.id, approve: false, uses: 3, ttl_s: 7 * 86_400 };
    let Ok(Reply::GroupLink(link)) = w.ask(ada, intent) else { panic!() };
    w.run_for(60_000);
    assert!(w.status(ada).backed_up);
    w.offline(ada);
    let new = w.home();
    let Intent::SignUp { app, handle, proof } = sign_up("bell", "+491701234500") else { panic!() };
    w.ask(new, Intent::SignIn { app, handle, proof, recovery_key }).unwrap();
    w.sync(new);
    w.run_for(5_000);
    let Ok(Reply::Devices(devices)) = w.ask(new, Intent::Devices) else { panic!() };
    for device in devices.into_iter().filter(|device| !device.this) {
        w.ask(new, Intent::RevokeDevice { device: device.id }).unwrap();
    }
    w.run_for(60_000);
    let with_ben = w.conversations(new).into_iter().find(|c| !c.is_group).unwrap().id;
    w.say(new, with_ben, "I am back");
    w.run_for(120_000);
    let group = the_group(&mut w, new);
    assert_eq!(group.state, ConversationState::Open, "a friend brought her back");
    join(&mut w, dan, &link.text).unwrap();
    w.run_for(120_000);
    assert_eq!(groups(&mut w, dan).len(), 1);
}

/// Joins with approval and invitations, in which somebody dies before every effect in turn.
fn crashes(dying: usize, seed: u64) {
    let mut base = Choir::new(seed);
    base.w.user(2);
    base.w.user(3);
    let link = base.link(true, 1);
    let fork = |base: &Choir| Choir { w: base.w.fork(), ..*base };
    let run = |c: &mut Choir, what: &str| {
        let (cleo, dan) = (2, 3);
        c.w.start_intent(dan, Intent::JoinByLink { link: link.text.clone() });
        c.w.run_for(3_000);
        if joining(&mut c.w, dan).is_empty() {
            // He died before it was stored, or before he heard of it.
            let _ = c.w.ask(dan, Intent::JoinByLink { link: link.text.clone() });
        }
        let members = vec![Target::Address(bell(2))];
        let _ = c.w.ask(c.ada, Intent::AddMembers { conversation: c.at_ada, members });
        c.w.run_for(10_000);
        for client in [c.ada, cleo] {
            let request = c.w.requests(client).pop().unwrap_or_else(|| panic!("{what}: {client}")).id;
            let accepted = c.w.ask(client, Intent::Accept { request });
            // Asked once more after a crash: it was done.
            assert!(accepted.is_ok() || c.w.clients[client].crashes > 0, "{what}: {accepted:?}");
        }
        c.w.run_for(60_000);
        assert_eq!(groups(&mut c.w, dan).len(), 1, "{what}: joins");
        assert_eq!(groups(&mut c.w, cleo).len(), 1, "{what}: is invited");
        assert_eq!((c.members(), c.invited(), c.w.requests(c.ada).len()), (3, 0, 0), "{what}");
        assert_eq!((c.w.conversations(dan).len(), joining(&mut c.w, dan).len()), (1, 0), "{what}");
        for client in [c.ada, c.ben, cleo, dan] {
            let status = c.w.status(client);
            assert_eq!((status.queued, status.unreadable), (0, 0), "{what}: {client}");
        }
    };
    let mut c = fork(&base);
    let before = c.w.clients[dying].effects;
    run(&mut c, "without a crash");
    let effects = c.w.clients[dying].effects - before;
    assert!(effects > 20);
    for k in 1..=effects {
        let mut c = fork(&base);
        c.w.clients[dying].crash_at = Some(c.w.clients[dying].effects + k);
        run(&mut c, &format!("crash before effect {k} of {effects}"));
    }
}

#[test]
fn a_crash_between_any_two_effects_of_the_one_who_lets_in_loses_nothing() {
    crashes(0, 40);
}

#[test]
fn a_crash_between_any_two_effects_of_the_invited_loses_nothing() {
    crashes(2, 41);
}

#[test]
fn a_crash_between_any_two_effects_of_the_joiner_loses_nothing() {
    crashes(3, 42);
}
