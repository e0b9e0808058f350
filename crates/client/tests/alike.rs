//! Between two apps everything is as within one: the same things done by two people (and their second devices) on every
//! pair of apps, and what each of them sees after each step, compared.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::frames::{AppId, ReachRule};
use parlour_proto::ids::MessageId;
use support::*;

const APPS: [&str; 3] = ["bell", "den", "porch"];

/// What everybody saw, step by step.
#[derive(Default)]
struct Trace(Vec<String>);

impl Trace {
    /// Notes what each of them sees: conversations and messages, without anything that names an app.
    fn look(&mut self, w: &mut World, step: &str, people: &[usize]) {
        w.run_for(3_000);
        for (number, person) in people.iter().enumerate() {
            let mut seen = Vec::new();
            for request in w.requests(*person) {
                let about = (request.group, request.joins.is_some());
                seen.push(format!("request {:?} {} {about:?}", request.text, request.claimed_name.is_some()));
            }
            let mut conversations = w.conversations(*person);
            conversations.sort_by_key(|c| (c.is_group, c.last_activity));
            for c in conversations {
                let last = c.last.as_ref().map(|last| (last.text.clone(), last.state));
                seen.push(format!(
                    "{:?} group {} unread {} of {} {last:?}",
                    c.state,
                    c.is_group,
                    c.unread,
                    c.members.len()
                ));
                for m in w.messages(*person, c.id) {
                    let own = m.from.is_none();
                    let reactions: Vec<_> = m.reactions.iter().map(|(_, emoji)| emoji).collect();
                    let flags = (own, m.edited, m.deleted, m.in_reply_to.is_some(), m.state);
                    seen.push(format!("  {:?} {flags:?} {reactions:?}", m.text));
                }
            }
            let status = w.status(*person);
            seen.push(format!("unreadable {} queued {} held {}", status.unreadable, status.queued, status.held));
            self.0.push(format!("{step}, {number}:\n{}", seen.join("\n")));
        }
    }
}

fn person(w: &mut World, app: &str, number: u32) -> (usize, String) {
    let client = w.home();
    let handle = match app {
        "bell" => format!("+4917012345{number:02}"),
        _ => format!("person{number}"),
    };
    assert!(matches!(w.ask(client, sign_up(app, &handle)), Ok(Reply::SignedUp { .. })));
    w.sync(client);
    for from in APPS.iter().filter(|other| **other != app) {
        let from = AppId::parse(from).unwrap();
        w.ask(client, Intent::SetReach { from, rule: ReachRule::Ask }).unwrap();
    }
    (client, format!("{handle}@{app}"))
}

fn say(w: &mut World, who: usize, to: ConversationId, body: Body) -> MessageId {
    match w.ask(who, Intent::Send { to: Target::Conversation(to), body }) {
        Ok(Reply::Queued { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

/// All that two people do with each other.
fn life(one_app: &str, other_app: &str) -> Trace {
    let (mut w, mut trace) = (World::new(1), Trace::default());
    let (ada, _) = person(&mut w, one_app, 1);
    let (ben, ben_s) = person(&mut w, other_app, 2);
    let both = [ada, ben];
    let first = w.send(ada, &ben_s, "may I?");
    let Ok(Reply::Queued { conversation: at_ada, .. }) = first else { panic!("{first:?}") };
    trace.look(&mut w, "asked", &both);
    let at_ben = w.requests(ben).pop().unwrap().id;
    w.ask(ben, Intent::Accept { request: at_ben }).unwrap();
    trace.look(&mut w, "accepted", &both);
    let text = say(&mut w, ada, at_ada, body("first"));
    trace.look(&mut w, "written", &both);
    w.ask(ben, Intent::MarkRead { conversation: at_ben }).unwrap();
    trace.look(&mut w, "read", &both);
    say(&mut w, ben, at_ben, Body::Text { text: "answer".into(), in_reply_to: Some(text), timer: None });
    say(&mut w, ben, at_ben, Body::Reaction { message: text, emoji: "+".into() });
    say(&mut w, ada, at_ada, Body::Edit { message: text, text: "better".into() });
    trace.look(&mut w, "answered, liked, edited", &both);
    say(&mut w, ada, at_ada, Body::Delete { message: text });
    trace.look(&mut w, "deleted", &both);
    w.offline(ben);
    for n in 0..5 {
        w.say(ada, at_ada, &format!("while away {n}"));
    }
    w.online(ben);
    trace.look(&mut w, "away and back", &both);
    let second = link(&mut w, ada);
    let three = [ada, ben, second];
    let at_second = w.only_conversation(second).id;
    w.say(second, at_second, "from the tablet");
    trace.look(&mut w, "a second device", &three);
    let members = vec![Target::Conversation(at_ada)];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    trace.look(&mut w, "a group", &three);
    let group = the_group(&mut w, ben).id;
    let sung = w.say(ben, group, "la");
    let at_tablet = the_group(&mut w, second).id;
    say(&mut w, second, at_tablet, Body::Reaction { message: sung, emoji: "!".into() });
    w.ask(ben, Intent::Rename { conversation: group, title: "Quartet".into() }).unwrap();
    trace.look(&mut w, "sung", &three);
    // Somebody else of the other app comes by a link, and another one is asked.
    let (cleo, _) = person(&mut w, other_app, 3);
    let (dora, dora_s) = person(&mut w, other_app, 4);
    let four = [ada, ben, second, cleo, dora];
    let intent = Intent::CreateGroupLink { conversation: group, approve: true, uses: 2, ttl_s: 3_600 };
    let Ok(Reply::GroupLink(link)) = w.ask(ben, intent) else { panic!() };
    w.ask(cleo, Intent::JoinByLink { link: link.text }).unwrap();
    trace.look(&mut w, "a link opened", &four);
    let request = w.requests(ben).pop().unwrap().id;
    w.ask(ben, Intent::Accept { request }).unwrap();
    let at_ada_s = the_group(&mut w, ada).id;
    let members = vec![Target::Address(dora_s)];
    w.ask(ada, Intent::AddMembers { conversation: at_ada_s, members }).unwrap();
    trace.look(&mut w, "joined, another one asked", &four);
    let request = w.requests(dora).pop().unwrap();
    assert_eq!(request.group.as_deref(), Some("Quartet"));
    w.ask(dora, Intent::Accept { request: request.id }).unwrap();
    trace.look(&mut w, "both in", &four);
    let at_cleo = w.only_conversation(cleo).id;
    w.say(cleo, at_cleo, "lala");
    trace.look(&mut w, "all sing", &four);
    w.wipe_mls(ben);
    w.run_for(60_000);
    w.say(ada, at_ada, "after the repair");
    trace.look(&mut w, "repaired", &three);
    w.ask(ben, Intent::Leave { conversation: group }).unwrap();
    trace.look(&mut w, "left", &three);
    w.ask(ben, Intent::Block { conversation: at_ben }).unwrap();
    w.say(ada, at_ada, "hello?");
    trace.look(&mut w, "blocked", &three);
    trace
}

#[test]
fn everything_is_the_same_between_any_two_apps() {
    let within = life("bell", "bell");
    assert!(within.0.len() > 50);
    for one in APPS {
        for other in APPS {
            let between = life(one, other);
            for (here, there) in within.0.iter().zip(&between.0) {
                assert_eq!(here, there, "{one} to {other}");
            }
            assert_eq!(within.0.len(), between.0.len());
        }
    }
}
