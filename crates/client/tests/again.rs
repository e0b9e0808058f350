//! What could not be read is said once more, whatever it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use support::*;

fn pair(seed: u64) -> (World, usize, usize, ConversationId, ConversationId) {
    let mut w = World::new(seed);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    (w, ada, ben, at_ada, at_ben)
}

fn shown(w: &mut World, client: usize, conversation: ConversationId, id: parlour_proto::ids::MessageId) -> Message {
    w.messages(client, conversation).into_iter().find(|message| message.id == id).unwrap()
}

#[test]
fn edits_deletions_and_reactions_that_could_not_be_read_are_said_once_more() {
    for n in 0..4 {
        let (mut w, ada, ben, at_ada, at_ben) = pair(200 + n);
        let first = w.say(ada, at_ada, "fist");
        let second = w.say(ada, at_ada, "second");
        let third = w.say(ben, at_ben, "third");
        w.run_for(5_000);
        w.wipe_mls(ben);
        w.run_for(5_000);
        let to = Target::Conversation(at_ada);
        let body = match n {
            0 => Body::Edit { message: first, text: "first".into() },
            1 => Body::Delete { message: second },
            2 => Body::Reaction { message: third, emoji: "👍".into() },
            _ => Body::Edit { message: second, text: "changed".into() },
        };
        w.ask(ada, Intent::Send { to: to.clone(), body }).unwrap();
        if n == 3 {
            // Changed again, and gone, before it is asked for.
            w.ask(ada, Intent::Send { to, body: Body::Delete { message: second } }).unwrap();
        }
        w.run_for(30_000);
        let told = [first, second, third].map(|id| shown(&mut w, ben, at_ben, id));
        match n {
            0 => assert_eq!((told[0].text.as_str(), told[0].edited), ("first", true)),
            2 => assert_eq!(told[2].reactions.len(), 1),
            _ => assert!(told[1].deleted),
        }
        assert_eq!((w.status(ben).repairs, w.status(ben).unreadable), (1, 0), "{n}");
        assert_eq!(w.status(ada).unreadable, 0, "{n}");
    }
}

#[test]
fn what_tells_nobody_anything_new_counts_as_read_once_it_is_said_again() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(210);
    w.say(ben, at_ben, "is it you?");
    w.run_for(5_000);
    w.wipe_mls(ben);
    w.run_for(5_000);
    // A report, and who she is by now.
    w.ask(ada, Intent::MarkRead { conversation: at_ada }).unwrap();
    w.ask(ada, Intent::SetName { name: "Ada".into() }).unwrap();
    w.run_for(30_000);
    assert_eq!((w.status(ben).repairs, w.status(ben).unreadable), (1, 0));
    assert_eq!(w.only_conversation(ben).title, "Ada");
}
