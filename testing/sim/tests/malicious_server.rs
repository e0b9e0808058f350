//! A malicious server: somebody between real clients and the real server who reorders, repeats, drops, delays, forges, shows
//! two members two different things, and swaps keys. Each time the client says so, or nobody is harmed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use parlour_client::api::{
    ConversationId, ConversationState, Event, Failure, GroupRole, Intent, Interference, MessageState, Reply, Role,
    Socket, Target,
};
use parlour_proto::{
    frames::{Answer, ClientFrame, Push, Request, Row, RowBody, ServerFrame},
    ids::{Digest, MessageId, UnixMillis},
};
use parlour_sim::stage::{Between, Stage, text};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// Rewrites what comes to some homes.
struct ToClients<F>(F);

impl<F: FnMut(usize, ServerFrame) -> Vec<ServerFrame>> Between for ToClients<F> {
    fn to_client(&mut self, home: usize, _: Socket, frame: ServerFrame) -> Vec<ServerFrame> {
        (self.0)(home, frame)
    }
}

/// Rewrites the rows that come to one home: what is left of each push.
fn rows_to(who: usize, mut change: impl FnMut(Vec<Row>) -> Vec<Row> + 'static) -> impl Between + 'static {
    ToClients(move |home, frame| match frame {
        ServerFrame::Push(Push::Rows(rows)) if home == who => {
            let rows = change(rows);
            if rows.is_empty() { Vec::new() } else { vec![rows_frame(rows)] }
        }
        frame => vec![frame],
    })
}

fn rows_frame(rows: Vec<Row>) -> ServerFrame {
    ServerFrame::Push(Push::Rows(rows))
}

fn is_message(row: &Row) -> bool {
    matches!(row.body, RowBody::Message { .. })
}

fn is_commit(row: &Row) -> bool {
    matches!(row.body, RowBody::Commit { .. })
}

/// Two friends, and their conversation as each of them has it.
struct Pair {
    s: Stage,
    ada: usize,
    ben: usize,
    at_ada: ConversationId,
    at_ben: ConversationId,
}

fn pair(seed: u64) -> Pair {
    let mut s = Stage::new(seed);
    let (ada, ben) = (s.person(), s.person());
    let (at_ada, at_ben) = s.befriend(ada, ben);
    s.events(ada);
    s.events(ben);
    Pair { s, ada, ben, at_ada, at_ben }
}

impl Pair {
    /// Both say something, and both read it: nothing is broken for good.
    fn talk(&mut self, what: &str) {
        self.s.be_honest();
        self.s.say(self.ada, self.at_ada, &format!("{what}, says ada"));
        self.s.say(self.ben, self.at_ben, &format!("{what}, says ben"));
        self.s.run_for(2 * MINUTE_MS);
        for (home, at) in [(self.ada, self.at_ada), (self.ben, self.at_ben)] {
            let texts = self.s.texts(home, at);
            for who in ["ada", "ben"] {
                let said = format!("{what}, says {who}");
                assert_eq!(texts.iter().filter(|text| **text == said).count(), 1, "{texts:?}");
            }
        }
    }

    /// So often something was said of it to this home.
    fn told(&mut self, home: usize, what: Interference) -> usize {
        told(&mut self.s, home, what)
    }
}

fn told(s: &mut Stage, home: usize, what: Interference) -> usize {
    let events = s.events(home);
    events.iter().filter(|event| matches!(event, Event::Interference { what: told, .. } if *told == what)).count()
}

#[test]
fn an_honest_server_is_not_said_to_interfere() {
    let mut s = Stage::new(9);
    let people = s.group(4);
    for round in 0..4 {
        for (n, who) in people.iter().enumerate() {
            s.say(who.0, who.1, &format!("{round} {n}"));
            s.break_links(who.0);
        }
        s.ask(people[0].0, Intent::Rename { conversation: people[0].1, title: format!("Garden {round}") }).unwrap();
        s.run_for(12 * HOUR_MS);
    }
    let member = s.account(people[3].0);
    s.ask(people[0].0, Intent::RemoveMember { conversation: people[0].1, member }).unwrap();
    s.run_for(HOUR_MS);
    for who in people {
        assert_eq!(s.status(who.0).refused, 0);
        assert!(!s.events(who.0).iter().any(|event| matches!(event, Event::Interference { .. })));
    }
}

#[test]
fn rows_in_another_order_are_read_once_and_that_is_said() {
    let mut p = pair(1);
    let held = Rc::new(RefCell::new(Vec::new()));
    let keep = held.clone();
    p.s.put_between(rows_to(p.ben, move |rows| {
        keep.borrow_mut().extend(rows);
        Vec::new()
    }));
    for n in 0..6 {
        p.s.say(p.ada, p.at_ada, &format!("{n}"));
    }
    let mut rows = held.take();
    assert!(rows.iter().filter(|row| is_message(row)).count() >= 6);
    p.s.be_honest();
    // The same cursors, other rows: all of them backwards.
    let mut cursors: Vec<u64> = rows.iter().map(|row| row.seq).collect();
    cursors.sort_unstable();
    rows.reverse();
    for (row, seq) in rows.iter_mut().zip(cursors) {
        row.seq = seq;
    }
    p.s.bring(p.ben, Role::Inbox, rows_frame(rows));
    let mut texts = p.s.texts(p.ben, p.at_ben);
    texts.retain(|text| text.len() == 1);
    texts.sort();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5"], "each once");
    assert_eq!(p.told(p.ben, Interference::Reordered), 1, "it is said");
    p.talk("after");
}

#[test]
fn rows_that_come_again_are_read_once_and_said_when_they_claim_to_be_new() {
    let mut p = pair(2);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let keep = seen.clone();
    p.s.put_between(rows_to(p.ben, move |rows| {
        keep.borrow_mut().extend(rows.clone());
        rows
    }));
    for n in 0..3 {
        p.s.say(p.ada, p.at_ada, &format!("{n}"));
    }
    p.s.be_honest();
    let rows: Vec<Row> = seen.take().into_iter().filter(is_message).collect();
    // As they were; under a new cursor; under a new cursor and a new place in the room.
    p.s.bring(p.ben, Role::Inbox, rows_frame(rows.clone()));
    let far = |by: u64, rows: &[Row], place: u64| {
        let mut rows = rows.to_vec();
        for (n, row) in rows.iter_mut().enumerate() {
            row.seq += by + n as u64;
            row.room_seq += place;
        }
        rows
    };
    p.s.bring(p.ben, Role::Inbox, rows_frame(far(1_000, &rows, 0)));
    assert_eq!(p.told(p.ben, Interference::Repeated), 0, "a server may bring rows twice");
    p.s.bring(p.ben, Role::Inbox, rows_frame(far(2_000, &rows, 1_000)));
    p.s.run_for(MINUTE_MS);
    let texts = p.s.texts(p.ben, p.at_ben);
    for n in 0..3 {
        assert_eq!(texts.iter().filter(|text| **text == format!("{n}")).count(), 1, "{texts:?}");
    }
    assert_eq!(p.told(p.ben, Interference::Repeated), 1, "it is said, once");
    assert!(p.s.status(p.ben).refused >= 3);
}

#[test]
fn a_message_that_is_dropped_is_not_shown_as_delivered() {
    let mut p = pair(3);
    p.s.put_between(rows_to(p.ben, |rows| rows.into_iter().filter(|row| !is_message(row)).collect()));
    let lost = p.s.say(p.ada, p.at_ada, "lost");
    p.s.run_for(60_000);
    let shown = p.s.messages(p.ada, p.at_ada);
    let state = |id: MessageId| shown.iter().find(|message| message.id == id).unwrap().state;
    assert_eq!(state(lost), MessageState::Sent, "one tick: taken, and not with him");
}

#[test]
fn a_message_that_is_dropped_is_asked_for_when_its_author_says_something_else() {
    let mut p = pair(3);
    let dropped = Rc::new(Cell::new(0));
    let count = dropped.clone();
    p.s.put_between(rows_to(p.ben, move |rows| {
        let (messages, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_message);
        count.set(count.get() + messages.len());
        others
    }));
    let lost = p.s.say(p.ada, p.at_ada, "lost");
    p.s.run_for(60_000);
    assert_eq!(dropped.get(), 1);
    p.talk("after");
    let texts: Vec<_> = p.s.messages(p.ben, p.at_ben).into_iter().map(|message| message.text).collect();
    assert!(texts.contains(&"lost".to_owned()), "{texts:?}");
    let shown = p.s.messages(p.ada, p.at_ada);
    assert!(shown.iter().find(|message| message.id == lost).unwrap().state >= MessageState::Delivered);
}

#[test]
fn what_is_delayed_for_a_day_is_read_where_it_was_said() {
    let mut p = pair(4);
    let held = Rc::new(RefCell::new(Vec::new()));
    let keep = held.clone();
    p.s.put_between(rows_to(p.ben, move |rows| {
        keep.borrow_mut().extend(rows);
        Vec::new()
    }));
    p.s.say(p.ada, p.at_ada, "late");
    p.s.run_for(24 * HOUR_MS);
    let rows = held.take();
    p.s.be_honest();
    p.s.bring(p.ben, Role::Inbox, rows_frame(rows));
    assert!(p.s.texts(p.ben, p.at_ben).contains(&"late".to_owned()));
    p.talk("after");
}

#[test]
fn a_message_that_is_altered_in_any_part_is_refused_and_said() {
    type Alter = fn(&mut Row);
    let alterations: [(&str, Alter); 4] = [
        ("its text", |row| {
            if let RowBody::Message { payload, .. } = &mut row.body {
                let mut bytes = payload.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                *payload = bytes.into();
            }
        }),
        ("its tag", |row| {
            if let RowBody::Message { tag, .. } = &mut row.body {
                tag[0] ^= 1;
            }
        }),
        ("its id", |row| {
            if let RowBody::Message { message_id, .. } = &mut row.body {
                message_id.0[0] ^= 1;
            }
        }),
        ("all of it", |row| {
            if let RowBody::Message { payload, .. } = &mut row.body {
                *payload = vec![7; 400].into();
            }
        }),
    ];
    for (n, (what, alter)) in alterations.into_iter().enumerate() {
        let mut p = pair(10 + n as u64);
        p.s.put_between(rows_to(p.ben, move |mut rows| {
            rows.iter_mut().filter(|row| is_message(row)).for_each(alter);
            rows
        }));
        p.s.say(p.ada, p.at_ada, "genuine");
        assert!(!p.s.texts(p.ben, p.at_ben).contains(&"genuine".to_owned()), "{what}");
        assert_eq!(p.told(p.ben, Interference::Forged), 1, "{what} was altered, and that is said");
        assert!(p.s.status(p.ben).refused >= 1);
        p.talk("after");
    }
}

#[test]
fn a_message_put_into_another_room_is_refused_and_said() {
    let mut s = Stage::new(20);
    let (ada, ben, cleo) = (s.person(), s.person(), s.person());
    let (at_ada, at_ben) = s.befriend(ada, ben);
    let (_, cleo_at_ben) = s.befriend(cleo, ben);
    let room_of_cleo = Rc::new(RefCell::new(None));
    let keep = room_of_cleo.clone();
    s.put_between(rows_to(ben, move |rows| {
        *keep.borrow_mut() = rows.first().map(|row| row.room);
        rows
    }));
    let cleos = s.the_conversation_of(cleo);
    s.say(cleo, cleos, "from cleo");
    let room = room_of_cleo.borrow().unwrap();
    s.put_between(rows_to(ben, move |mut rows| {
        rows.iter_mut().filter(|row| is_message(row)).for_each(|row| {
            row.room = room;
            row.room_seq += 1_000;
        });
        rows
    }));
    s.events(ben);
    s.say(ada, at_ada, "for ben, from ada");
    for at in [at_ben, cleo_at_ben] {
        assert!(!s.texts(ben, at).contains(&"for ben, from ada".to_owned()));
    }
    assert_eq!(told(&mut s, ben, Interference::Forged), 1);
}

#[test]
fn a_commit_that_is_altered_is_void_and_said_and_does_not_part_the_group() {
    let mut s = Stage::new(21);
    let people = s.group(3);
    let (ada, ben) = (people[0], people[1]);
    s.events(ben.0);
    s.put_between(ToClients(move |home, mut frame| {
        let rows = match &mut frame {
            ServerFrame::Push(Push::Rows(rows)) => rows,
            ServerFrame::Answer { result: Ok(Answer::Log(log)), .. } => &mut log.rows,
            _ => return vec![frame],
        };
        if home == ben.0 {
            for row in rows {
                if let RowBody::Commit { next_send_key, .. } = &mut row.body {
                    *next_send_key = Digest([9; 32]);
                }
            }
        }
        vec![frame]
    }));
    s.ask(ada.0, admins_write(ada.1)).unwrap();
    s.run_for(10_000);
    assert!(told(&mut s, ben.0, Interference::Forged) >= 1, "said");
    s.be_honest();
    s.say(ada.0, ada.1, "rules");
    s.run_for(2 * HOUR_MS);
    s.say(ada.0, ada.1, "after");
    s.run_for(MINUTE_MS);
    let texts = s.texts(ben.0, ben.1);
    assert!(texts.contains(&"rules".to_owned()) && texts.contains(&"after".to_owned()), "he came back: {texts:?}");
}

fn admins_write(conversation: ConversationId) -> Intent {
    use parlour_client::api::{Allowed, GroupRules};
    let rules =
        GroupRules { add: Allowed::Everyone, write: Allowed::Admins, change: Allowed::Everyone, history_s: None };
    Intent::SetRules { conversation, rules }
}

#[test]
fn a_commit_that_is_withheld_is_said_and_nothing_is_written_past_it() {
    let mut s = Stage::new(22);
    let people = s.group(3);
    let (ada, ben, cleo) = (people[0], people[1], people[2]);
    s.events(ben.0);
    s.put_between(ToClients(move |home, mut frame| {
        match &mut frame {
            ServerFrame::Push(Push::Rows(rows)) if home == ben.0 => {
                rows.retain(|row| !is_commit(row));
                if rows.is_empty() {
                    return Vec::new();
                }
            }
            ServerFrame::Answer { result: Ok(Answer::Log(log)), .. } if home == ben.0 => log.rows.clear(),
            _ => {}
        }
        vec![frame]
    }));
    let member = s.account(cleo.0);
    s.ask(ada.0, Intent::RemoveMember { conversation: ada.1, member }).unwrap();
    s.run_for(10_000);
    s.say(ada.0, ada.1, "without cleo");
    s.run_for(MINUTE_MS);
    assert!(told(&mut s, ben.0, Interference::Withheld) >= 1, "he is told that something is kept from him");
    s.say(ben.0, ben.1, "for those who are in");
    s.run_for(10 * MINUTE_MS);
    assert!(!s.texts(cleo.0, cleo.1).contains(&"for those who are in".to_owned()), "not for who was removed");
    s.be_honest();
    s.break_links(ben.0);
    s.run_for(2 * HOUR_MS);
    for who in [ada, ben] {
        let texts = s.texts(who.0, who.1);
        for said in ["without cleo", "for those who are in"] {
            assert!(texts.contains(&said.to_owned()), "{texts:?}");
        }
    }
}

/// One member is shown a history of his own: the others' commits never come to him, and his is answered as if it had won.
struct Split {
    apart: usize,
    answer: Option<ServerFrame>,
    said: Rc<RefCell<Option<Request>>>,
}

impl Between for Split {
    fn to_client(&mut self, home: usize, _: Socket, mut frame: ServerFrame) -> Vec<ServerFrame> {
        match &mut frame {
            ServerFrame::Push(Push::Rows(rows)) if self.apart == home => {
                rows.retain(|row| !is_commit(row));
                if rows.is_empty() {
                    return Vec::new();
                }
            }
            ServerFrame::Answer { result: Ok(Answer::Log(log)), .. } if self.apart == home => log.rows.clear(),
            _ => {}
        }
        vec![frame]
    }

    fn to_server(&mut self, home: usize, _: Socket, frame: ClientFrame) -> Vec<ClientFrame> {
        let taken = Answer::Accepted { room_seq: 1_000, time: UnixMillis(0), stamp: [0; 32], closed: Vec::new() };
        match &frame.request {
            Request::Commit(_) if self.apart == home => {
                self.answer = Some(ServerFrame::Answer { id: frame.id, result: Ok(taken) });
                Vec::new()
            }
            Request::Send { .. } if self.apart == home => {
                *self.said.borrow_mut() = Some(frame.request.clone());
                self.answer = Some(ServerFrame::Answer { id: frame.id, result: Ok(taken) });
                Vec::new()
            }
            _ => vec![frame],
        }
    }

    fn made_up(&mut self) -> Vec<ServerFrame> {
        self.answer.take().into_iter().collect()
    }
}

#[test]
fn members_who_are_shown_two_histories_notice_by_the_first_word_and_stay_apart_in_the_open() {
    let mut s = Stage::new(23);
    let people = s.group(3);
    let (ada, ben, cleo) = (people[0], people[1], people[2]);
    let member = s.account(ben.0);
    s.ask(ada.0, Intent::SetRole { conversation: ada.1, member, role: GroupRole::Admin }).unwrap();
    s.run_for(10_000);
    for who in &people {
        s.events(who.0);
    }
    let said = Rc::new(RefCell::new(None));
    s.put_between(Split { apart: ben.0, answer: None, said: said.clone() });
    let member = s.account(cleo.0);
    s.ask(ada.0, Intent::SetRole { conversation: ada.1, member, role: GroupRole::Admin }).unwrap();
    s.ask(ben.0, admins_write(ben.1)).unwrap();
    s.run_for(10_000);
    // Both are an epoch further on, and each in one of their own.
    s.say(ada.0, ada.1, "on one side");
    assert!(!s.texts(ben.0, ben.1).contains(&"on one side".to_owned()));
    assert_eq!(told(&mut s, ben.0, Interference::Forged), 1, "he notices by the first word");
    s.say(ben.0, ben.1, "on the other");
    let Some(Request::Send { room, message_id, tag, payload, .. }) = said.take() else { panic!("he said nothing") };
    let body = RowBody::Message { message_id, tag, stamp: [0; 32], payload };
    let row = Row { seq: 1 << 40, room, room_seq: 1_001, time: UnixMillis(0), body };
    s.bring(ada.0, Role::Inbox, rows_frame(vec![row]));
    assert_eq!(told(&mut s, ada.0, Interference::Forged), 1, "so does she");
    for who in [ada, cleo] {
        assert!(!s.texts(who.0, who.1).contains(&"on the other".to_owned()));
    }
    // Shown one history again, they are not put together behind their backs: his side is a group of its own beside hers.
    s.be_honest();
    people.iter().for_each(|who| s.break_links(who.0));
    s.say(ada.0, ada.1, "together");
    s.say(ben.0, ben.1, "again");
    s.run_for(26 * HOUR_MS);
    assert!(!s.texts(ada.0, ada.1).contains(&"again".to_owned()));
    assert!(!s.texts(ben.0, ben.1).contains(&"together".to_owned()));
    assert_eq!(s.groups(ada.0).len(), 2, "she sees both");
}

/// Somebody's claims are answered with another root key: an account that the server made up.
fn other_root(view: &mut parlour_proto::frames::AccountView) {
    view.root_key = [7; 32];
}

#[test]
fn another_account_key_than_the_known_one_is_refused_and_said() {
    let mut p = pair(30);
    p.s.put_between(ToClients(|_, mut frame| {
        if let ServerFrame::Answer { result: Ok(Answer::Claimed(claimed)), .. } = &mut frame {
            other_root(&mut claimed.view);
        }
        vec![frame]
    }));
    // A group with him needs his key packages.
    let members = vec![Target::Conversation(p.at_ada)];
    let made = p.s.ask(p.ada, Intent::CreateGroup { title: "Garden".into(), members });
    p.s.run_for(MINUTE_MS);
    let events = p.s.events(p.ada);
    let _ = made;
    assert!(
        events.iter().any(|event| matches!(event, Event::Interference { what: Interference::Keys, .. })),
        "{events:?}"
    );
    assert!(p.s.requests(p.ben).is_empty());
    p.talk("after");
}

#[test]
fn swapped_key_packages_are_refused_and_said() {
    let mut s = Stage::new(31);
    let (ada, ben, mallory) = (s.person(), s.person(), s.person());
    let (at_ada, _) = s.befriend(ada, ben);
    s.befriend(ada, mallory);
    let theirs = Rc::new(RefCell::new(None));
    let keep = theirs.clone();
    s.put_between(ToClients(move |_, mut frame| {
        if let ServerFrame::Answer { result: Ok(Answer::Claimed(claimed)), .. } = &mut frame {
            let mut kept = keep.borrow_mut();
            match &*kept {
                // The first claim is for mallory's: they are given out as ben's from then on.
                None => *kept = Some(claimed.devices.clone()),
                Some(devices) => claimed.devices.clone_from(devices),
            }
        }
        vec![frame]
    }));
    let members = vec![Target::Address(s.address(mallory))];
    s.ask(ada, Intent::CreateGroup { title: "Hers".into(), members }).unwrap();
    s.run_for(10_000);
    s.events(ada);
    let _ = s.ask(ada, Intent::CreateGroup { title: "His".into(), members: vec![Target::Conversation(at_ada)] });
    s.run_for(MINUTE_MS);
    assert!(told(&mut s, ada, Interference::Keys) >= 1, "said");
    let groups = s.groups(mallory);
    assert!(!groups.iter().any(|group| group.title == "His"), "she is in nothing that was not for her");
}

#[test]
fn an_older_device_list_of_a_contact_is_refused_and_said() {
    let mut s = Stage::new(32);
    let (ada, ben) = (s.person(), s.person());
    let (at_ada, _) = s.befriend(ada, ben);
    let second = s.link_device(ben);
    s.run_for(MINUTE_MS);
    // Both know the longer list by now: something is said with it.
    let _ = second;
    let at_ben = s.the_conversation_of(ben);
    s.say(ben, at_ben, "from one of two");
    s.events(ada);
    s.put_between(ToClients(|_, mut frame| {
        if let ServerFrame::Answer { result: Ok(Answer::Claimed(claimed)), .. } = &mut frame {
            claimed.view.links.truncate(1);
            let known: Vec<_> = claimed.view.links.clone();
            assert_eq!(known.len(), 1);
        }
        vec![frame]
    }));
    let _ = s.ask(ada, Intent::CreateGroup { title: "Garden".into(), members: vec![Target::Conversation(at_ada)] });
    s.run_for(MINUTE_MS);
    assert!(told(&mut s, ada, Interference::Keys) >= 1, "said");
}

#[test]
fn an_older_list_of_ones_own_devices_is_refused_and_said() {
    let mut s = Stage::new(37);
    let ada = s.person();
    s.link_device(ada);
    s.run_for(MINUTE_MS);
    s.events(ada);
    let devices = |s: &mut Stage| match s.ask(ada, Intent::Devices) {
        Ok(Reply::Devices(devices)) => devices.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(devices(&mut s), 2);
    // As if the tablet, or its removal, had never been.
    s.put_between(ToClients(move |home, mut frame| {
        match &mut frame {
            ServerFrame::Answer { result: Ok(Answer::SignedIn(signed_in)), .. } if home == ada => signed_in.list = 1,
            ServerFrame::Answer { result: Ok(Answer::Account(view)), .. } if home == ada => view.links.truncate(1),
            _ => {}
        }
        vec![frame]
    }));
    s.break_links(ada);
    s.run_for(MINUTE_MS);
    assert_eq!(told(&mut s, ada, Interference::Keys), 1, "said");
    assert_eq!(devices(&mut s), 2, "and not believed");
}

/// A backup with chunks that were altered, swapped or left out.
fn restored_from(seed: u64, alter: fn(&mut Vec<([u8; 16], bytes::Bytes)>)) -> (Stage, usize) {
    let mut s = Stage::new(seed);
    let (ada, recovery) = s.person_with_key();
    let ben = s.person();
    let (at_ada, _) = s.befriend(ada, ben);
    s.say(ada, at_ada, "kept");
    s.run_for(2 * HOUR_MS);
    s.put_between(ToClients(move |_, mut frame| {
        if let ServerFrame::Answer { result: Ok(Answer::Backup { chunks, .. }), .. } = &mut frame {
            alter(chunks);
        }
        vec![frame]
    }));
    let (home, app, handle, proof) = s.second_home(ada);
    let recovery_key = recovery.into();
    s.ask(home, Intent::SignIn { app, handle, proof, recovery_key }).unwrap();
    s.connect(home);
    s.run_for(10 * MINUTE_MS);
    (s, home)
}

#[test]
fn an_altered_backup_is_not_believed_and_that_is_said() {
    let (mut s, home) = restored_from(33, |chunks| {
        for (_, chunk) in chunks {
            let mut bytes = chunk.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            *chunk = bytes.into();
        }
    });
    assert_eq!(told(&mut s, home, Interference::Backup), 1, "said");
    let (mut s, home) = restored_from(34, |chunks| {
        // The content of one under the name of another.
        if chunks.len() > 2 {
            let swapped = chunks[1].1.clone();
            let last = chunks.len() - 1;
            chunks[1].1 = chunks[last].1.clone();
            chunks[last].1 = swapped;
        }
    });
    assert_eq!(told(&mut s, home, Interference::Backup), 1, "said");
}

#[test]
fn answers_that_do_not_belong_to_the_question_do_no_harm() {
    let mut p = pair(35);
    // Every answer is another one's: `Done` for all, and the genuine ones under ids that nobody asked with.
    p.s.put_between(ToClients(|_, frame| match frame {
        ServerFrame::Answer { id, result } => vec![
            ServerFrame::Answer { id: id + 1_000_000, result },
            ServerFrame::Answer { id, result: Ok(Answer::Done) },
        ],
        frame => vec![frame],
    }));
    let message = p.s.say(p.ada, p.at_ada, "hello?");
    let made = p.s.ask(p.ada, Intent::Send { to: Target::Address("+4917012345678@bell".into()), body: text("nobody") });
    assert!(matches!(made, Err(Failure::Suspicious(_))), "{made:?}");
    p.s.break_links(p.ada);
    p.talk("after");
    let shown = p.s.messages(p.ada, p.at_ada);
    assert!(shown.iter().find(|shown| shown.id == message).unwrap().state >= MessageState::Sent);
}

#[test]
fn a_server_that_takes_everything_and_says_nothing_is_seen() {
    let mut p = pair(36);
    struct Deaf;
    impl Between for Deaf {
        fn to_server(&mut self, _: usize, socket: Socket, frame: ClientFrame) -> Vec<ClientFrame> {
            if socket.role == Role::Outbox && matches!(frame.request, Request::Send { .. }) {
                Vec::new()
            } else {
                vec![frame]
            }
        }
    }
    p.s.put_between(Deaf);
    let message = p.s.say(p.ada, p.at_ada, "into nothing");
    p.s.run_for(10 * MINUTE_MS);
    let state = |s: &mut Stage, ada, at, id| s.messages(ada, at).into_iter().find(|m| m.id == id).unwrap().state;
    assert_eq!(state(&mut p.s, p.ada, p.at_ada, message), MessageState::Queued, "no tick");
    assert!(p.s.status(p.ada).queued >= 1);
    p.talk("after");
    assert!(state(&mut p.s, p.ada, p.at_ada, message) >= MessageState::Delivered);
    let open = p.s.ask(p.ada, Intent::Conversations);
    let Ok(Reply::Conversations(open)) = open else { panic!("{open:?}") };
    assert_eq!(open[0].state, ConversationState::Open);
}
