//! Two want the same at the same time, or one answers without knowing that it is an answer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use support::choir::Choir;
use support::*;

fn groups(w: &mut World, client: usize) -> Vec<Conversation> {
    w.conversations(client).into_iter().filter(|c| c.is_group && c.state == ConversationState::Open).collect()
}

#[test]
fn joining_by_the_link_of_who_has_asked_oneself_answers_nothing() {
    let mut c = Choir::new(40);
    let dan = c.w.user(3);
    let ben = c.w.account(c.ben);
    c.w.send(c.ada, &bell(3), "would you sing with us?").unwrap();
    c.w.run_for(2_000);
    let link = c.link(false, 3);
    c.w.ask(dan, Intent::JoinByLink { link: link.text }).unwrap();
    c.w.run_for(5_000);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
    let two = |w: &mut World, of| w.conversations(of).into_iter().find(|c| !c.is_group && c.members[0].account != ben);
    assert_eq!(two(&mut c.w, c.ada).unwrap().state, ConversationState::Asked, "nobody let her in");
    let request = c.w.requests(dan).pop().unwrap();
    c.w.ask(dan, Intent::Accept { request: request.id }).unwrap();
    c.w.run_for(5_000);
    c.w.say(dan, request.id, "I do already");
    c.w.run_for(2_000);
    let at_ada = two(&mut c.w, c.ada).unwrap();
    assert_eq!(at_ada.state, ConversationState::Open);
    assert_eq!(c.w.texts(c.ada, at_ada.id), ["would you sing with us?", "I do already"]);
}

#[test]
fn writing_to_whose_request_waits_lets_them_in() {
    let mut c = Choir::new(41);
    let dan = c.w.user(3);
    // An invitation names nobody's address: dan cannot know that he writes to who asked.
    c.add(&bell(3)).unwrap();
    assert_eq!(c.w.requests(dan).len(), 1);
    c.w.send(dan, &bell(0), "is it you?").unwrap();
    c.w.run_for(5_000);
    assert_eq!(c.w.requests(dan).len(), 0);
    let two = c.w.conversations(dan).into_iter().find(|c| !c.is_group).unwrap();
    assert_eq!(two.state, ConversationState::Open);
    let of_ada: Vec<_> = c.w.conversations(c.ada).into_iter().filter(|c| !c.is_group).map(|c| c.id).collect();
    assert!(of_ada.into_iter().any(|at| c.w.texts(c.ada, at) == ["is it you?"]));
    assert_eq!(groups(&mut c.w, dan).len(), 1, "and the invitation is accepted");
}

#[test]
fn writing_to_whose_invitation_one_declined_accepts_it() {
    let mut c = Choir::new(43);
    let dan = c.w.user(3);
    c.add(&bell(3)).unwrap();
    let request = c.w.requests(dan).pop().unwrap();
    c.w.ask(dan, Intent::Decline { request: request.id }).unwrap();
    c.w.run_for(2_000);
    c.w.send(dan, &bell(0), "I have thought about it").unwrap();
    // Ada's engine brings him in at once: the group may be there before her answer is.
    c.w.run_for(5_000);
    assert_eq!(c.w.requests(dan).len(), 0);
    assert_eq!(groups(&mut c.w, dan).len(), 1);
    let at_dan = groups(&mut c.w, dan)[0].id;
    c.w.say(c.ben, c.at_ben, "welcome");
    c.w.run_for(2_000);
    assert_eq!(c.w.texts(dan, at_dan), ["welcome"]);
    assert_eq!(c.w.status(dan).unreadable, 0);
}

#[test]
fn who_came_after_one_left_may_bring_one_back() {
    let mut c = Choir::new(42);
    let dan = c.w.user(3);
    c.w.befriend(c.ada, dan, &bell(3));
    c.w.befriend(c.ben, dan, &bell(3));
    c.w.ask(c.ben, Intent::Leave { conversation: c.at_ben }).unwrap();
    c.w.run_for(5_000);
    c.add(&bell(3)).unwrap();
    let at_dan = groups(&mut c.w, dan)[0].id;
    let members = vec![Target::Account(c.w.account(c.ben))];
    c.w.ask(dan, Intent::AddMembers { conversation: at_dan, members }).unwrap();
    c.w.run_for(5_000);
    assert_eq!(groups(&mut c.w, c.ben).len(), 1);
    c.w.say(dan, at_dan, "here again");
    c.w.run_for(2_000);
    let at_ben = groups(&mut c.w, c.ben)[0].id;
    assert!(c.w.texts(c.ben, at_ben).contains(&"here again".to_owned()));
}

#[test]
fn writing_to_whose_invitation_one_blocked_is_refused_until_they_are_unblocked() {
    let mut c = Choir::new(44);
    let dan = c.w.user(3);
    c.add(&bell(3)).unwrap();
    let request = c.w.requests(dan).pop().unwrap();
    c.w.ask(dan, Intent::Block { conversation: request.id }).unwrap();
    c.w.run_for(2_000);
    // An invitation names nobody's address: whom he writes to, shows when the server has told.
    let refused = c.w.send(dan, &bell(0), "is it you?");
    assert!(matches!(&refused, Err(Failure::BadInput(why)) if why.contains("unblock")), "{refused:?}");
    c.w.run_for(5_000);
    assert_eq!(groups(&mut c.w, dan).len(), 0);
    let of_ada: Vec<_> = c.w.conversations(c.ada).into_iter().map(|c| c.id).collect();
    assert!(of_ada.into_iter().all(|at| c.w.texts(c.ada, at) != ["is it you?"]));
}

/// What comes to a device takes its time: it reads a request, tells the others of somebody new, and only then reads that they were
/// let in long ago.
#[test]
fn who_is_let_in_while_another_device_is_behind_is_let_in_there() {
    let mut w = World::new(21);
    let (ada, ben) = (w.user(1), w.user(2));
    let tablet = link(&mut w, ben);
    w.run_for(5_000);
    w.ask(ben, Intent::GoOffline).unwrap();
    w.hold(tablet);
    w.send(ada, &bell(2), "hello").unwrap();
    w.run_for(2_000);
    w.sync(ben);
    w.run_for(2_000);
    let request = w.requests(ben).pop().unwrap().id;
    w.ask(ben, Intent::Accept { request }).unwrap();
    w.run_for(2_000);
    w.release_some(tablet, 2);
    assert_eq!(w.requests(tablet).len(), 1);
    w.release(tablet);
    w.run_for(20_000);
    assert!(w.requests(tablet).is_empty());
    let at_ada = w.only_conversation(ada).id;
    w.say(ada, at_ada, "after");
    w.run_for(2_000);
    for home in [ben, tablet] {
        let theirs = w.only_conversation(home);
        assert_eq!(theirs.state, ConversationState::Open);
        assert_eq!(w.texts(home, theirs.id), ["hello", "after"]);
    }
}
