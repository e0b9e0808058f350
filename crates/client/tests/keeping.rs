//! Messages in the backup: what the user chose comes back as it was, costs little, and is gone where it should be.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_e2ee::{BackupSecret, RootKey, open_backup_chunk};
use std::collections::BTreeSet;
use support::*;
use zeroize::Zeroizing;

const DAY_MS: u64 = 24 * 3_600_000;
type Words = Zeroizing<String>;

fn ada(w: &mut World) -> (usize, Words) {
    let client = w.home();
    let reply = w.ask(client, sign_up("bell", "+491701234500"));
    let Ok(Reply::SignedUp { recovery_key, .. }) = reply else { panic!("{reply:?}") };
    w.sync(client);
    (client, recovery_key)
}

/// All is lost: a new home, from the words.
fn start_over(w: &mut World, lost: usize, words: &Words) -> usize {
    w.clients[lost].synced = false;
    w.offline(lost);
    let new = w.home();
    let Intent::SignUp { app, handle, proof } = sign_up("bell", "+491701234500") else { panic!() };
    w.ask(new, Intent::SignIn { app, handle, proof, recovery_key: words.clone() }).unwrap();
    w.sync(new);
    w.run_for(20_000);
    new
}

fn revoke_others(w: &mut World, client: usize) {
    let Ok(Reply::Devices(devices)) = w.ask(client, Intent::Devices) else { panic!() };
    for device in devices.into_iter().filter(|device| !device.this) {
        w.ask(client, Intent::RevokeDevice { device: device.id }).unwrap();
    }
    w.run_for(120_000);
}

fn set(w: &mut World, client: usize, history: KeptHistory) {
    let Ok(Reply::Backup(backup)) = w.ask(client, Intent::SetBackup { history }) else { panic!() };
    assert_eq!(backup.history, history);
}

fn backup(w: &mut World, client: usize) -> Backup {
    let Ok(Reply::Backup(backup)) = w.ask(client, Intent::Backup) else { panic!() };
    backup
}

fn say(w: &mut World, who: usize, to: ConversationId, body: Body) -> parlour_proto::ids::MessageId {
    match w.ask(who, Intent::Send { to: Target::Conversation(to), body }) {
        Ok(Reply::Queued { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

/// All messages of all conversations, as they are shown.
fn seen(w: &mut World, client: usize) -> Vec<String> {
    let mut all = Vec::new();
    for c in w.conversations(client) {
        for m in w.messages(client, c.id) {
            let reactions: Vec<_> = m.reactions.iter().map(|(_, emoji)| emoji).collect();
            let reply = m.in_reply_to.is_some();
            let flags = (m.from.is_none(), m.edited, m.deleted, reply, m.state, m.time.0);
            all.push(format!("{} {:?} {flags:?} {reactions:?}", c.title, m.text));
        }
    }
    all.sort();
    all
}

/// Everything in the backup that the words open.
fn opened(w: &mut World, client: usize, words: &Words) -> Vec<Vec<u8>> {
    let account = w.account(client);
    let chunks = w.server.backups[&account].clone();
    let secret = BackupSecret::of(&RootKey::from_recovery_words(words).unwrap());
    let key = secret.open_page(&chunks[&[0; 16]]).unwrap();
    let others = chunks.iter().filter(|(name, _)| **name != [0; 16]);
    others.map(|(name, chunk)| open_backup_chunk(&key, name, chunk).unwrap().to_vec()).collect()
}

fn has(chunks: &[Vec<u8>], text: &str) -> bool {
    chunks.iter().any(|chunk| chunk.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// Of chunks with messages.
fn names(w: &mut World, client: usize) -> BTreeSet<[u8; 16]> {
    let account = w.account(client);
    w.server.backups[&account].keys().filter(|name| name[0] == 1).copied().collect()
}

fn messages_at_server(w: &mut World, client: usize) -> usize {
    names(w, client).len()
}

/// Ada with a conversation of two and a group, in which everything was done that can be done.
fn a_life(w: &mut World) -> (usize, Words, usize, ConversationId) {
    let (ada, words) = ada(w);
    let (ben, cleo) = (w.user(1), w.user(2));
    w.ask(ben, Intent::SetName { name: "Ben".into() }).unwrap();
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(1));
    w.befriend(ada, cleo, &bell(2));
    let members = vec![Target::Address(bell(1)), Target::Address(bell(2))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.run_for(5_000);
    let first = w.say(ada, at_ada, "is to be edited");
    let second = w.say(ben, at_ben, "SECRET: is to be deleted");
    w.run_for(60_000);
    say(w, ben, at_ben, Body::Text { text: "an answer".into(), in_reply_to: Some(first), timer: None });
    say(w, ada, at_ada, Body::Edit { message: first, text: "was edited".into() });
    say(w, ben, at_ben, Body::Reaction { message: first, emoji: "+".into() });
    say(w, ben, at_ben, Body::Delete { message: second });
    let choir = the_group(w, ada).id;
    for n in 0..70 {
        w.say(ada, choir, &format!("la {n}"));
    }
    w.run_for(2_000);
    w.ask(ben, Intent::MarkRead { conversation: at_ben }).unwrap();
    w.ask(ada, Intent::MarkRead { conversation: at_ada }).unwrap();
    w.say(ada, at_ada, "not read yet");
    w.run_for(60_000);
    (ada, words, ben, at_ben)
}

#[test]
fn what_was_said_comes_back_as_it_was_twice_and_the_conversation_goes_on() {
    let mut w = World::new(1);
    let (ada, words, ben, at_ben) = a_life(&mut w);
    let before = seen(&mut w, ada);
    assert!(before.len() > 74, "{}", before.len());
    let chunks = opened(&mut w, ada, &words);
    assert!(has(&chunks, "was edited") && has(&chunks, "la 69"));
    assert!(!has(&chunks, "SECRET") && !has(&chunks, "to be edited"), "what was deleted is in no chunk");
    let stored = w.server.backups.values().flat_map(|chunks| chunks.values().map(|chunk| chunk.to_vec()));
    assert!(!has(&stored.collect::<Vec<_>>(), "la 6"), "nobody reads it without the words");
    let shown = backup(&mut w, ada);
    assert!(shown.complete && shown.here && shown.since.is_some() && !shown.left_out, "{shown:?}");
    assert_eq!((shown.messages as usize, shown.history), (before.len(), KeptHistory::Days(30)));

    let new = start_over(&mut w, ada, &words);
    assert_eq!(seen(&mut w, new), before);
    assert!(w.conversations(new).iter().all(|c| c.unread == 0));
    let told = w.clients[new].events.iter().filter_map(|event| match event {
        Event::History { to: None, done, of } => Some((*done, *of)),
        _ => None,
    });
    let told: Vec<(u64, u64)> = told.collect();
    assert!(told.len() > 1 && told.is_sorted_by_key(|(done, _)| *done), "{told:?}");
    let (done, of) = told.last().unwrap();
    assert!(done == of && *of >= 76, "{told:?}");

    // It goes on where it was, and what comes later is kept, too.
    revoke_others(&mut w, new);
    w.say(ben, at_ben, "after the loss");
    w.run_for(60_000);
    let mine = w.conversations(new).into_iter().find(|c| c.title == "Ben").unwrap().id;
    assert_eq!(w.texts(new, mine).last().unwrap(), "after the loss");
    let choir = the_group(&mut w, new).id;
    w.say(new, choir, "la, again");
    w.run_for(60_000);
    let later = seen(&mut w, new);
    assert_eq!(later.len(), before.len() + 2);
    let third = start_over(&mut w, new, &words);
    assert_eq!(seen(&mut w, third), later);
    assert_eq!(w.status(third).unreadable, 0);
}

#[test]
fn what_the_user_does_not_want_there_is_destroyed_there() {
    let mut w = World::new(2);
    let (ada, words, _, _) = a_life(&mut w);
    assert!(messages_at_server(&mut w, ada) >= 3);
    set(&mut w, ada, KeptHistory::Off);
    w.run_for(5_000);
    assert_eq!(messages_at_server(&mut w, ada), 0);
    assert!(!has(&opened(&mut w, ada, &words), "la 1"));
    let shown = backup(&mut w, ada);
    assert!(shown.complete && shown.messages == 0 && shown.since.is_none(), "{shown:?}");
    let choir = the_group(&mut w, ada).id;
    w.say(ada, choir, "nobody keeps this");
    w.run_for(60_000);
    assert_eq!(messages_at_server(&mut w, ada), 0);
    assert_eq!(
        w.ask(ada, Intent::SetBackup { history: KeptHistory::Days(0) }).err().map(|e| e.to_string().len() > 3),
        Some(true)
    );

    // Wanted again, it is there again: so many days, or all.
    w.run_for(10 * DAY_MS);
    w.say(ada, choir, "ten days later");
    w.run_for(60_000);
    set(&mut w, ada, KeptHistory::Days(7));
    w.run_for(60_000);
    let chunks = opened(&mut w, ada, &words);
    assert!(has(&chunks, "ten days later") && !has(&chunks, "nobody keeps this"));
    set(&mut w, ada, KeptHistory::All);
    w.run_for(60_000);
    let chunks = opened(&mut w, ada, &words);
    assert!(has(&chunks, "ten days later") && has(&chunks, "la 1") && has(&chunks, "nobody keeps this"));
    // What becomes too old goes by itself, though nothing else happens there.
    set(&mut w, ada, KeptHistory::Days(30));
    w.run_for(50 * DAY_MS);
    assert_eq!(messages_at_server(&mut w, ada), 0);
    let new = start_over(&mut w, ada, &words);
    assert!(seen(&mut w, new).is_empty());
}

#[test]
fn a_crash_at_any_moment_of_writing_or_fetching_loses_nothing() {
    let mut w = World::new(3);
    let (ada, words, ben, at_ben) = a_life(&mut w);
    let whole = seen(&mut w, ada).len();
    // While it is written.
    for n in 1..40 {
        let mut w = w.fork();
        let at_ada = w.conversations(ada).into_iter().find(|c| c.title == "Ben").unwrap().id;
        w.run_for(60_000);
        w.say(ben, at_ben, "one more");
        w.run_for(2_000);
        say(&mut w, ada, at_ada, Body::Text { text: "and one".into(), in_reply_to: None, timer: None });
        w.run();
        w.clients[ada].crash_at = Some(w.clients[ada].effects + n);
        w.run_for(120_000);
        let before = seen(&mut w, ada);
        assert_eq!(before.len(), whole + 2, "{n}");
        w.run_for(60_000);
        let new = start_over(&mut w, ada, &words);
        assert_eq!(seen(&mut w, new), before, "{n}");
    }
    // While it is fetched.
    let before = seen(&mut w, ada);
    w.clients[ada].synced = false;
    w.offline(ada);
    for n in (1..140).step_by(3) {
        let mut w = w.fork();
        let new = w.home();
        let Intent::SignUp { app, handle, proof } = sign_up("bell", "+491701234500") else { panic!() };
        w.ask(new, Intent::SignIn { app, handle, proof, recovery_key: words.clone() }).unwrap();
        w.clients[new].crash_at = Some(w.clients[new].effects + n);
        w.sync(new);
        w.run_for(120_000);
        assert_eq!(seen(&mut w, new), before, "{n}");
    }
}

#[test]
fn another_device_takes_over_and_nothing_is_left_that_nobody_knows() {
    let mut w = World::new(4);
    let (ada, words, ben, at_ben) = a_life(&mut w);
    let Ok(Reply::LinkCode { code, .. }) = w.ask(ada, Intent::OfferLink) else { panic!() };
    let tablet = w.home();
    w.start_intent(tablet, Intent::Link { code, name: "Tablet".into() });
    w.run();
    w.ask(ada, Intent::ConfirmLink { yes: true }).unwrap();
    w.sync(tablet);
    w.run_for(60_000);
    set(&mut w, tablet, KeptHistory::All);
    w.run_for(20_000);
    assert_eq!(backup(&mut w, ada).history, KeptHistory::All, "the choice is the account's");
    assert!(!backup(&mut w, tablet).here);
    let by_phone = names(&mut w, ada);
    // The phone is away for long: the tablet keeps the backup.
    w.clients[ada].synced = false;
    w.offline(ada);
    w.run_for(4 * DAY_MS);
    w.say(ben, at_ben, "for the tablet alone");
    w.run_for(DAY_MS);
    let shown = backup(&mut w, tablet);
    assert!(shown.here && shown.complete, "{shown:?}");
    let chunks = opened(&mut w, tablet, &words);
    assert!(has(&chunks, "for the tablet alone") && has(&chunks, "la 1"));
    let by_tablet = names(&mut w, tablet);
    assert!(by_tablet.is_disjoint(&by_phone), "what the phone wrote is gone");
    // It is back, and keeps it again.
    w.clients[ada].synced = true;
    w.clients[ada].network = true;
    w.sync(ada);
    w.run_for(DAY_MS);
    assert!(backup(&mut w, ada).here && !backup(&mut w, tablet).here);
    let names = names(&mut w, ada);
    assert!(names.is_disjoint(&by_tablet) && names.len() >= 4);
    let before = seen(&mut w, ada);
    w.clients[tablet].synced = false;
    w.offline(tablet);
    let new = start_over(&mut w, ada, &words);
    assert_eq!(seen(&mut w, new), before);
}

#[test]
fn a_message_costs_little_and_a_full_server_gets_what_is_newest() {
    let mut w = World::new(5);
    let (ada, words) = ada(&mut w);
    let ben = w.user(1);
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(1));
    w.run_for(60_000);
    let text = "This is about as long as what people write to each other.";
    let before = w.server.backup_bytes;
    for n in 0..300 {
        let (who, at) = if n % 3 == 0 { (ada, at_ada) } else { (ben, at_ben) };
        w.say(who, at, text);
        w.run_for(3_000);
    }
    w.run_for(20_000);
    let account = w.account(ada);
    let per_message = (w.server.backup_bytes - before) / 300;
    assert!((200..2_500).contains(&per_message), "{per_message} bytes per message");
    eprintln!("{per_message} bytes per message, every 3 s");
    let sizes: BTreeSet<usize> =
        w.server.backups[&account].iter().filter(|(name, _)| name[0] == 1).map(|(_, chunk)| chunk.len()).collect();
    assert!(sizes.len() <= 3, "{sizes:?}");

    // No room for more: the oldest goes.
    w.server.most_chunks = Some(w.server.backups[&account].len());
    for n in 0..140 {
        w.say(ada, at_ada, &format!("more {n}"));
    }
    w.run_for(120_000);
    let shown = backup(&mut w, ada);
    assert!(shown.left_out && shown.complete, "{shown:?}");
    let before = w.messages(ada, at_ada);
    let new = start_over(&mut w, ada, &words);
    let mine = w.only_conversation(new).id;
    let after = w.messages(new, mine);
    assert!(after.len() >= 250 && after.len() < before.len(), "{}", after.len());
    let texts = |all: &[Message]| all.iter().rev().take(250).map(|m| m.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&after), texts(&before), "the newest are there");
}

#[test]
fn a_server_that_gives_out_rubbish_without_end_is_not_believed_for_ever() {
    let mut w = World::new(7);
    let (ada, words) = ada(&mut w);
    w.run_for(60_000);
    w.server.endless_backup = true;
    let new = start_over(&mut w, ada, &words);
    w.run_for(60_000);
    assert!(w.clients[new].rows.len() < 10_000, "{}", w.clients[new].rows.len());
    w.server.endless_backup = false;
    w.run_for(60_000);
    assert!(backup(&mut w, new).complete);
}

#[test]
fn a_revocation_in_the_middle_of_a_round_leaves_nothing_out() {
    for n in 0..12 {
        let mut w = World::new(30 + n);
        let (ada, words, ben, at_ben) = a_life(&mut w);
        let Ok(Reply::LinkCode { code, .. }) = w.ask(ada, Intent::OfferLink) else { panic!() };
        let tablet = w.home();
        w.start_intent(tablet, Intent::Link { code, name: "Tablet".into() });
        w.run();
        w.ask(ada, Intent::ConfirmLink { yes: true }).unwrap();
        w.run_for(30_000);
        let Ok(Reply::Devices(devices)) = w.ask(ada, Intent::Devices) else { panic!() };
        let device = devices.iter().find(|device| !device.this).unwrap().id;
        // A round begins; the list changes some steps later.
        set(&mut w, ada, KeptHistory::All);
        for _ in 0..n {
            w.step();
        }
        w.start_intent(ada, Intent::RevokeDevice { device });
        w.run();
        w.say(ben, at_ben, "after it");
        w.run_for(60_000);
        let before = seen(&mut w, ada);
        let new = start_over(&mut w, ada, &words);
        assert_eq!(seen(&mut w, new), before, "{n}");
    }
}

#[test]
fn what_lies_there_while_the_key_is_changed_is_nobody_interfering() {
    let mut w = World::new(31);
    let (ada, words, ..) = a_life(&mut w);
    let Ok(Reply::LinkCode { code, .. }) = w.ask(ada, Intent::OfferLink) else { panic!() };
    let tablet = w.home();
    w.start_intent(tablet, Intent::Link { code, name: "Tablet".into() });
    w.run();
    w.ask(ada, Intent::ConfirmLink { yes: true }).unwrap();
    w.run_for(30_000);
    let before = seen(&mut w, ada);
    let chunks = names(&mut w, ada);
    let Ok(Reply::Devices(devices)) = w.ask(ada, Intent::Devices) else { panic!() };
    let device = devices.iter().find(|device| !device.this).unwrap().id;
    // Until something lies there under the next key, beside the page of the one before.
    let mut w = (5..400)
        .step_by(5)
        .find_map(|n| {
            let mut w = w.fork();
            w.clients[ada].synced = false;
            w.clients[ada].crash_at = Some(w.clients[ada].effects + n);
            w.start_intent(ada, Intent::RevokeDevice { device });
            w.run_for(30_000);
            let now = names(&mut w, ada);
            (now.is_superset(&chunks) && now.len() > chunks.len() + 1).then_some(w)
        })
        .unwrap();
    let new = start_over(&mut w, ada, &words);
    assert_eq!(seen(&mut w, new), before);
    assert!(!w.clients[new].events.iter().any(|event| matches!(event, Event::Interference { .. })));
}

#[test]
fn a_home_of_before_there_were_messages_in_the_backup_adds_them() {
    let mut w = World::new(8);
    let (ada, words, _, _) = a_life(&mut w);
    let account = w.account(ada);
    let before = seen(&mut w, ada);
    // As it was: none of the new rows, no messages at the server.
    w.clients[ada].rows.retain(|key, _| !matches!(&key[..2], b"eK" | b"eB" | b"eL" | b"eN" | b"eF"));
    w.server.backups.get_mut(&account).unwrap().retain(|name, _| name[0] == 0);
    w.crash(ada);
    w.run_for(120_000);
    let shown = backup(&mut w, ada);
    assert!(shown.complete && shown.messages as usize == before.len(), "{shown:?}");
    let new = start_over(&mut w, ada, &words);
    assert_eq!(seen(&mut w, new), before);
}

#[test]
fn what_is_over_is_in_no_backup() {
    let mut w = World::new(9);
    let (ada, words, _, _) = a_life(&mut w);
    let at_ada = w.conversations(ada).into_iter().find(|c| c.title == "Ben").unwrap().id;
    set(&mut w, ada, KeptHistory::All);
    let expiry = Expiry { after_s: Some(3_600), archive: true };
    w.ask(ada, Intent::SetExpiry { conversation: at_ada, expiry, existing: false }).unwrap();
    let kept = w.say(ada, at_ada, "SECRET that is kept");
    w.say(ada, at_ada, "SECRET of an hour");
    let timed = Body::Text { text: "SECRET with a timer".into(), in_reply_to: None, timer: Some(Timer::Reading(600)) };
    say(&mut w, ada, at_ada, timed);
    w.ask(ada, Intent::Keep { conversation: at_ada, message: kept, keep: true }).unwrap();
    w.run_for(120_000);
    assert!(has(&opened(&mut w, ada, &words), "SECRET of an hour"));
    assert!(!has(&opened(&mut w, ada, &words), "SECRET with a timer"));
    let account = w.account(ada);
    let (copy, rows) = (w.server.backups[&account].clone(), w.clients[ada].rows.clone());
    w.run_for(2 * 3_600_000);
    assert!(!has(&opened(&mut w, ada, &words), "SECRET of an hour"));
    // A copy of the server's from before opens with none of the keys of now, and those of then are nowhere.
    let secret = BackupSecret::of(&RootKey::from_recovery_words(&words).unwrap());
    let key = secret.open_page(&w.server.backups[&account][&[0; 16]]).unwrap();
    assert!(copy.iter().all(|(name, chunk)| open_backup_chunk(&key, name, chunk).is_err()));
    let key_before = secret.open_page(&copy[&[0; 16]]).unwrap();
    let holds = |rows: &Rows, key: &[u8]| rows.values().any(|value| value.windows(32).any(|part| part == key));
    assert!(!holds(&rows, key_before.as_bytes()), "it lies under a key of the ring, which is another one by now");
    let row = |rows: &Rows| rows.iter().find(|(key, _)| key.starts_with(b"eb")).unwrap().1[1..9].to_vec();
    assert_ne!(row(&rows), row(&w.clients[ada].rows));
    assert!(has(&opened(&mut w, ada, &words), "SECRET that is kept"));
    // What comes back knows when it is over, and what was kept.
    w.say(ada, at_ada, "for another hour");
    w.run_for(120_000);
    let new = start_over(&mut w, ada, &words);
    let is_it = |c: &Conversation| !c.is_group && c.last.as_ref().is_some_and(|last| last.text == "for another hour");
    let id = w.conversations(new).into_iter().find(is_it).unwrap().id;
    let texts = |w: &mut World| w.texts(new, id).join(", ");
    assert!(texts(&mut w).contains("SECRET that is kept"));
    w.run_for(2 * 3_600_000);
    let left = texts(&mut w);
    assert!(left.contains("SECRET that is kept") && !left.contains("for another hour"), "{left}");
}

#[test]
fn going_offline_sends_what_is_marked_first() {
    let mut w = World::new(6);
    let (ada, words, _, _) = a_life(&mut w);
    let choir = the_group(&mut w, ada).id;
    w.say(ada, choir, "in the last second");
    w.run_for(500);
    assert!(!has(&opened(&mut w, ada, &words), "in the last second"));
    w.ask(ada, Intent::GoOffline).unwrap();
    assert!(has(&opened(&mut w, ada, &words), "in the last second"));
    // A server that does not answer does not hold anybody.
    w.sync(ada);
    w.say(ada, choir, "and once more");
    w.hold(ada);
    let from = w.now;
    w.ask(ada, Intent::GoOffline).unwrap();
    assert!(w.now.since(from) < 10_000);
}
