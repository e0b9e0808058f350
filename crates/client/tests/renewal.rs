//! Leaves are renewed: a copy of a device's state reads what came before, and little of what comes after.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::frames::{Push, Row, ServerFrame};
use support::*;

const DAY_MS: u64 = 24 * 3_600_000;
const SECRET: &str = "after the theft";

/// Lets a day go by in which both write; what the server pushed to `client` meanwhile.
fn overheard(w: &mut World, client: usize, says: impl FnOnce(&mut World)) -> Vec<Row> {
    w.hold(client);
    says(w);
    let mut rows = Vec::new();
    w.release_with(client, |inputs| {
        for input in inputs {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(pushed))) = input {
                rows.extend(pushed.iter().cloned());
            }
        }
    });
    w.run_for(1_000);
    rows
}

/// Somebody copies Ada's home, and hears everything that her mailbox gets from then on. Whether they read what Ben
/// writes `days` later.
fn a_thief_reads(days: u64) -> bool {
    let mut w = World::new(90 + days);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(1));
    w.say(ada, at_ada, "hello");
    let copied = w.clients[ada].rows.clone();
    let mut heard = Vec::new();
    for day in 0..days {
        heard.extend(overheard(&mut w, ada, |w| {
            w.say(ben, at_ben, &format!("day {day}"));
        }));
        heard.extend(overheard(&mut w, ada, |w| w.run_for(60_000)));
        w.say(ada, at_ada, "so it is");
        // While nothing is held: she renews, he follows; and the other way round.
        w.run_for(DAY_MS / 2);
        heard.extend(overheard(&mut w, ada, |w| w.run_for(DAY_MS / 2)));
    }
    heard.extend(overheard(&mut w, ada, |w| {
        w.say(ben, at_ben, SECRET);
    }));
    assert!(w.texts(ada, at_ada).iter().any(|text| text == SECRET), "she reads it herself");

    let thief = w.home();
    w.clients[thief].network = false;
    w.clients[thief].rows = copied;
    w.crash(thief);
    for row in heard {
        w.inject(thief, Push::Rows(vec![row]));
    }
    w.run();
    w.all_texts(thief).iter().any(|text| text == SECRET)
}

#[test]
fn who_copied_a_device_reads_on_only_until_it_renews_its_keys() {
    assert!(a_thief_reads(0), "at once, a copy is as good as the device");
    assert!(!a_thief_reads(3), "days later, it is worth nothing");
}

#[test]
fn a_conversation_in_which_nothing_is_said_is_left_alone() {
    let mut w = World::new(91);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, _) = w.befriend(ada, ben, &bell(1));
    w.run_for(2 * DAY_MS);
    let renewed = w.server.commits;
    w.run_for(60 * DAY_MS);
    assert_eq!(w.server.commits, renewed);
    // What is said is renewed after, by each once a day at most.
    for day in 0..10 {
        w.say(ada, at_ada, &format!("day {day}"));
        w.run_for(DAY_MS);
    }
    let renewals = w.server.commits - renewed;
    assert!((16..=22).contains(&renewals), "{renewals} in ten days");
    assert_eq!(w.all_texts(ada), w.all_texts(ben));
    assert_eq!(w.status(ben).unreadable, 0);
}

#[test]
fn a_group_renews_one_by_one_and_loses_nothing() {
    let (mut w, users, conversations) = group(92, 6);
    let before = w.server.commits;
    for day in 0..4 {
        for (user, conversation) in users.iter().zip(&conversations) {
            w.say(*user, *conversation, &format!("{user} on day {day}"));
        }
        w.run_for(DAY_MS);
    }
    let renewals = w.server.commits - before;
    assert!((12..=30).contains(&renewals), "{renewals} in four days");
    for user in &users {
        assert_eq!(w.status(*user).unreadable, 0);
    }
    let all: Vec<_> = users.iter().zip(&conversations).map(|(user, c)| w.texts(*user, *c)).collect();
    assert!(all.iter().all(|texts| texts.len() == 24 && *texts == all[0]), "{all:?}");
}
