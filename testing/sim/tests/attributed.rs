//! Attributed mode: a group that is flooded by nobody in particular finds out who, and goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

use std::{cell::RefCell, rc::Rc};

use parlour_client::api::{ConversationId, Failure, GroupRole, Intent, Notice, Reply, Role, Socket};
use parlour_proto::{
    frames::{Answer, ClientFrame, Request, ServerFrame},
    ids::MessageId,
    problem::{Code, Problem},
};
use parlour_sim::stage::{Between, Stage};

const MINUTE_MS: u64 = 60_000;

/// What clients send into rooms, as it goes by.
#[derive(Default)]
struct Watch {
    signed: Rc<RefCell<Vec<usize>>>,
    unsigned: Rc<RefCell<Vec<Request>>>,
    slowed: Rc<RefCell<usize>>,
}

impl Between for Watch {
    fn to_client(&mut self, _: usize, _: Socket, frame: ServerFrame) -> Vec<ServerFrame> {
        if let ServerFrame::Answer { result: Err(problem), .. } = &frame {
            *self.slowed.borrow_mut() += usize::from(problem.code == Code::SlowDown);
        }
        vec![frame]
    }

    fn to_server(&mut self, home: usize, _: Socket, frame: ClientFrame) -> Vec<ClientFrame> {
        match &frame.request {
            Request::SignedSend { .. } => self.signed.borrow_mut().push(home),
            Request::Send { .. } => self.unsigned.borrow_mut().push(frame.request.clone()),
            _ => {}
        }
        vec![frame]
    }
}

fn set(conversation: ConversationId, attributed: bool) -> Intent {
    Intent::SetAttributed { conversation, attributed }
}

fn notices(s: &mut Stage, who: (usize, ConversationId)) -> Vec<(bool, Notice)> {
    let all = s.messages(who.0, who.1);
    all.into_iter().filter_map(|message| Some((message.from.is_none(), message.notice?))).collect()
}

#[test]
fn any_member_turns_it_on_all_see_it_and_an_admin_ends_it() {
    let mut s = Stage::new(60);
    let people = s.group(4);
    let (ada, ben, cleo) = (people[0], people[1], people[2]);
    let reply = s.ask(ben.0, set(ben.1, true));
    assert!(matches!(reply, Ok(Reply::Conversation(_))), "{reply:?}");
    s.run_for(10_000);
    for who in &people {
        assert!(s.the_group(who.0).group.unwrap().attributed);
        assert_eq!(notices(&mut s, *who), [(who.0 == ben.0, Notice::Attributed { on: true })]);
    }
    let watch = Watch::default();
    let (signed, unsigned) = (watch.signed.clone(), watch.unsigned.clone());
    s.put_between(watch);
    for who in &people {
        s.say(who.0, who.1, &format!("says {}", who.0));
    }
    s.run_for(MINUTE_MS);
    assert_eq!(signed.take().len(), 4, "one for each text: nobody reports what arrived");
    assert!(unsigned.take().is_empty(), "nothing goes unsigned");
    for who in &people {
        let texts = s.texts(who.0, who.1);
        assert!(people.iter().all(|by| texts.contains(&format!("says {}", by.0))), "{texts:?}");
    }
    assert!(matches!(s.ask(cleo.0, set(cleo.1, false)), Err(Failure::BadInput(_))), "members do not end it");
    s.ask(ada.0, set(ada.1, false)).unwrap();
    s.run_for(10_000);
    s.say(cleo.0, cleo.1, "free again");
    assert!(signed.take().is_empty());
    assert!(s.texts(ben.0, ben.1).contains(&"free again".to_owned()));
    assert!(!s.the_group(ben.0).group.unwrap().attributed);
    for who in people {
        assert_eq!(s.status(who.0).refused, 0, "no one takes it for interference");
    }
}

/// One home's messages are sent again and again under new ids: a member without manners, and no telling which.
struct Flood {
    by: usize,
    copies: u64,
}

impl Between for Flood {
    fn to_server(&mut self, home: usize, socket: Socket, frame: ClientFrame) -> Vec<ClientFrame> {
        let mut frames = vec![frame.clone()];
        if home == self.by && socket.role == Role::Outbox && matches!(frame.request, Request::Send { .. }) {
            for n in 1..=self.copies {
                let mut copy = frame.clone();
                copy.id = (1 << 40) + n;
                if let Request::Send { message_id, .. } = &mut copy.request {
                    *message_id = MessageId([n.to_be_bytes(), n.to_be_bytes()].concat().try_into().unwrap());
                }
                frames.push(copy);
            }
        }
        frames
    }
}

#[test]
fn a_flood_by_nobody_in_particular_ends_when_somebody_turns_it_on() {
    let mut s = Stage::new(61);
    let people = s.group(3);
    let (ada, ben, mallory) = (people[0], people[1], people[2]);
    s.put_between(Flood { by: mallory.0, copies: 200 });
    s.say(mallory.0, mallory.1, "flood");
    s.run_for(MINUTE_MS);
    let flooded = s.status(ben.0);
    assert!(flooded.refused >= 100, "the copies reach him, and none is shown: {flooded:?}");
    s.ask(ben.0, set(ben.1, true)).unwrap();
    s.run_for(MINUTE_MS);
    let before = s.status(ben.0).refused;
    s.put_between(Flood { by: mallory.0, copies: 200 });
    // Her own engine signs now; copies of what it signs are refused, and unsigned ones, too.
    s.say(mallory.0, mallory.1, "once");
    s.say(ada.0, ada.1, "heard");
    s.run_for(MINUTE_MS);
    assert_eq!(s.status(ben.0).refused, before, "nothing of it comes through");
    assert!(s.texts(ben.0, ben.1).contains(&"heard".to_owned()));
}

#[test]
fn who_signs_too_many_waits_and_loses_nothing() {
    let mut s = Stage::new(62);
    let people = s.group(3);
    let (ada, ben) = (people[0], people[1]);
    s.ask(ada.0, set(ada.1, true)).unwrap();
    s.run_for(10_000);
    let watch = Watch::default();
    let slowed = watch.slowed.clone();
    s.put_between(watch);
    for n in 0..120 {
        let to = parlour_client::api::Target::Conversation(ben.1);
        s.ask(ben.0, Intent::Send { to, body: parlour_sim::stage::text(&format!("{n}")) }).unwrap();
    }
    s.run_for(1_000);
    s.say(ada.0, ada.1, "in between");
    assert!(s.texts(people[2].0, people[2].1).contains(&"in between".to_owned()), "the others are not held up");
    s.run_for(5 * MINUTE_MS);
    let texts = s.texts(ada.0, ada.1);
    let his: Vec<u32> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    assert_eq!(his, (0..120).collect::<Vec<_>>(), "all of them come, in the end, in their order");
    assert!(*slowed.borrow() > 0, "he had to wait");
    assert_eq!(s.status(ben.0).queued, 0);
}

#[test]
fn a_commit_that_turns_it_off_by_a_member_is_refused_before_it_is_made() {
    let mut s = Stage::new(63);
    let people = s.group(3);
    s.ask(people[0].0, set(people[0].1, true)).unwrap();
    s.run_for(10_000);
    let member = s.account(people[1].0);
    s.ask(people[0].0, Intent::SetRole { conversation: people[0].1, member, role: GroupRole::Admin }).unwrap();
    s.run_for(10_000);
    s.ask(people[1].0, set(people[1].1, false)).unwrap();
    assert!(matches!(s.ask(people[2].0, set(people[2].1, false)), Err(Failure::BadInput(_))));
}

#[test]
fn a_newcomer_and_a_second_device_sign_like_the_others() {
    let mut s = Stage::new(64);
    let people = s.group(3);
    let (ada, ben) = (people[0], people[1]);
    s.ask(ben.0, set(ben.1, true)).unwrap();
    s.run_for(10_000);
    let dora = s.person();
    s.befriend(ada.0, dora);
    let members = vec![parlour_client::api::Target::Address(s.address(dora))];
    s.ask(ada.0, Intent::AddMembers { conversation: ada.1, members }).unwrap();
    s.run_for(10_000);
    let tablet = s.link_device(ben.0);
    s.run_for(2 * MINUTE_MS);
    let watch = Watch::default();
    let signed = watch.signed.clone();
    s.put_between(watch);
    let (at_dora, at_tablet) = (s.the_group(dora).id, s.the_group(tablet).id);
    s.say(dora, at_dora, "from dora");
    s.say(tablet, at_tablet, "from the tablet");
    s.run_for(MINUTE_MS);
    for who in [dora, tablet] {
        assert!(signed.borrow().contains(&who));
    }
    let texts = s.texts(ada.0, ada.1);
    assert!(["from dora", "from the tablet"].iter().all(|said| texts.contains(&(*said).to_owned())), "{texts:?}");
}

/// A server that wants to know who sends, without any commit that says so.
struct Curious(Rc<RefCell<usize>>);

impl Between for Curious {
    fn to_client(&mut self, _: usize, socket: Socket, frame: ServerFrame) -> Vec<ServerFrame> {
        match frame {
            ServerFrame::Answer { id, result: Ok(Answer::Accepted { .. }) } if socket.role == Role::Outbox => {
                vec![ServerFrame::Answer { id, result: Err(Problem::new(Code::Attributed, "sign")) }]
            }
            frame => vec![frame],
        }
    }

    fn to_server(&mut self, _: usize, _: Socket, frame: ClientFrame) -> Vec<ClientFrame> {
        *self.0.borrow_mut() += usize::from(matches!(frame.request, Request::SignedSend { .. }));
        vec![frame]
    }
}

#[test]
fn a_server_that_asks_for_signatures_by_itself_gets_none() {
    let mut s = Stage::new(65);
    let people = s.group(3);
    let signed = Rc::new(RefCell::new(0));
    s.put_between(Curious(signed.clone()));
    s.say(people[0].0, people[0].1, "anonymous");
    s.run_for(10 * MINUTE_MS);
    assert_eq!(*signed.borrow(), 0);
    s.be_honest();
    s.run_for(MINUTE_MS);
    let texts = s.texts(people[1].0, people[1].1);
    assert_eq!(texts.iter().filter(|text| *text == "anonymous").count(), 1);
}

#[test]
fn a_clock_that_is_set_forward_holds_nothing_up() {
    let mut s = Stage::new(66);
    let people = s.group(3);
    s.ask(people[0].0, set(people[0].1, true)).unwrap();
    s.run_for(10_000);
    s.say(people[1].0, people[1].1, "before");
    s.set_clock_forward(people[1].0, 3_600_000);
    s.say(people[1].0, people[1].1, "after");
    s.run_for(MINUTE_MS);
    assert_eq!(s.status(people[1].0).queued, 0);
    assert!(s.texts(people[2].0, people[2].1).contains(&"after".to_owned()));
}
