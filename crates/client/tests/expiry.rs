//! What is said is over when its time is: hidden, destroyed, unreadable in copies from before; and not a moment before that is sure.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_client::identities::Identities;
use parlour_client::rows::{KEY_RING, SHREDDED};
use parlour_proto::ids::MessageId;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use support::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const YEAR_S: u32 = 365 * 86_400;

/// Ada and Ben, on Bell, friends; each one's conversation.
struct Two {
    w: World,
    ada: usize,
    ben: usize,
    at_ada: ConversationId,
    at_ben: ConversationId,
}

fn two(seed: u64) -> Two {
    let mut w = World::new(seed);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    Two { w, ada, ben, at_ada, at_ben }
}

fn hours(hours: u32) -> Expiry {
    Expiry { after_s: Some(hours * 3_600), archive: false }
}

impl Two {
    fn set(&mut self, expiry: Expiry, existing: bool) {
        let set = Intent::SetExpiry { conversation: self.at_ada, expiry, existing };
        let reply = self.w.ask(self.ada, set);
        assert!(matches!(&reply, Ok(Reply::Conversation(c)) if c.expiry == Some(expiry)), "{reply:?}");
        self.w.run_for(2_000);
    }

    fn say(&mut self, text: &str, timer: Option<Timer>) -> MessageId {
        let body = Body::Text { text: text.into(), in_reply_to: None, timer };
        let message = match self.w.ask(self.ada, Intent::Send { to: Target::Conversation(self.at_ada), body }) {
            Ok(Reply::Queued { message, .. }) => message,
            other => panic!("{other:?}"),
        };
        self.w.run_for(2_000);
        message
    }

    fn texts(&mut self) -> (Vec<String>, Vec<String>) {
        (texts(&mut self.w, self.ada, self.at_ada), texts(&mut self.w, self.ben, self.at_ben))
    }

    fn read(&mut self) {
        self.w.ask(self.ben, Intent::MarkRead { conversation: self.at_ben }).unwrap();
        self.w.run_for(1_000);
    }
}

/// What is said in a conversation, without what it tells of itself.
fn texts(w: &mut World, client: usize, conversation: ConversationId) -> Vec<String> {
    let messages = w.messages(client, conversation).into_iter();
    messages.filter(|message| message.notice.is_none()).map(|message| message.text).collect()
}

fn notices(w: &mut World, client: usize, conversation: ConversationId) -> Vec<(bool, Notice)> {
    let messages = w.messages(client, conversation).into_iter();
    messages.filter_map(|message| Some((message.from.is_none(), message.notice?))).collect()
}

fn gone(w: &World, client: usize) -> Vec<MessageId> {
    let events = w.clients[client].events.iter();
    events.flat_map(|event| if let Event::Gone { messages, .. } = event { messages.clone() } else { vec![] }).collect()
}

/// Rows of texts and their notes.
fn message_rows(w: &World, client: usize, message: MessageId) -> usize {
    let of = |key: &&Vec<u8>| key.starts_with(b"lm") && key.get(20..36) == Some(&message.0[..]);
    w.clients[client].rows.keys().filter(of).count()
}

fn shows_anywhere(rows: &Rows, text: &str) -> bool {
    rows.values().any(|value| value.windows(text.len()).any(|part| part == text.as_bytes()))
}

fn other_app(w: &mut World, app: &str, handle: &str) -> usize {
    let client = w.home();
    w.ask(client, sign_up(app, handle)).unwrap();
    w.sync(client);
    client
}

/// What somebody sees who has old rows, and the keys that are there now.
fn opened_with_the_keys_of_now(old: &Rows, now: &Rows, conversation: ConversationId) -> Vec<Message> {
    let is_key = |key: &[u8]| key.starts_with(KEY_RING) || key.starts_with(SHREDDED);
    let mut rows: Rows = old.iter().filter(|(key, _)| !is_key(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    rows.extend(now.iter().filter(|(key, _)| is_key(key)).map(|(k, v)| (k.clone(), v.clone())));
    // His clock says what he likes: long before.
    listed(&rows, conversation, parlour_proto::ids::UnixMillis(1))
}

/// The conversation as an engine over these rows shows it.
fn listed(rows: &Rows, conversation: ConversationId, now: parlour_proto::ids::UnixMillis) -> Vec<Message> {
    let mut engine = Identities::open(rows.clone()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut inputs = vec![Input::Intent(IntentId(1), Intent::Messages { conversation, before: None, limit: 1_000 })];
    let mut rows = rows.clone();
    while let Some(input) = inputs.pop() {
        engine.handle(input, now, &mut rng);
        while let Some(effect) = engine.poll() {
            match effect {
                Effect::Commit(changes) => {
                    for (key, value) in changes.0 {
                        match value {
                            Some(value) => drop(rows.insert(key, value)),
                            None => drop(rows.remove(&key)),
                        }
                    }
                }
                Effect::Load { token, prefix } => {
                    let found = rows.iter().filter(|(key, _)| key.starts_with(&prefix));
                    let rows = found.map(|(key, value)| (key.clone(), value.clone())).collect();
                    inputs.push(Input::Loaded { token, rows });
                }
                Effect::Notify(Event::Done(_, Ok(Reply::Messages(messages)))) => return messages,
                _ => {}
            }
        }
    }
    panic!("no answer");
}

// ---- a conversation's expiry

#[test]
fn the_shortest_of_the_apps_goes_at_first() {
    let mut w = World::new(501);
    let (ada, ben) = (w.user(1), w.user(2));
    let porch = other_app(&mut w, "porch", "@cleo");
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    let of = |w: &mut World, client, id| {
        w.conversations(client).into_iter().find(|c| c.id == id).unwrap().expiry.unwrap().after_s
    };
    assert_eq!((of(&mut w, ada, at_ada), of(&mut w, ben, at_ben)), (Some(YEAR_S), Some(YEAR_S)));
    w.ask(
        porch,
        Intent::SetReach {
            from: parlour_proto::frames::AppId::parse("bell").unwrap(),
            rule: parlour_proto::frames::ReachRule::Ask,
        },
    )
    .unwrap();
    let (at_ada, at_porch) = w.befriend(ada, porch, "@cleo@porch");
    assert_eq!((of(&mut w, ada, at_ada), of(&mut w, porch, at_porch)), (Some(30 * 86_400), Some(30 * 86_400)));
    let members = vec![Target::Address(bell(2))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.run_for(5_000);
    assert_eq!(the_group(&mut w, ben).expiry, Some(Expiry { after_s: Some(YEAR_S), archive: false }));
    assert_eq!(the_group(&mut w, ben).expiry_range, None, "a member does not set it");
    assert_eq!(the_group(&mut w, ada).expiry_range, Some((3_600, None)));
}

#[test]
fn what_is_said_after_it_was_set_is_over_in_time_and_what_was_before_is_not() {
    let mut t = two(502);
    t.read();
    let before = t.say("from before", None);
    t.set(hours(1), false);
    let after = t.say("for an hour", None);
    let told = Notice::Expiry { expiry: hours(1), existing: false };
    assert_eq!(notices(&mut t.w, t.ada, t.at_ada), [(true, told)]);
    assert_eq!(notices(&mut t.w, t.ben, t.at_ben), [(false, told)]);
    let unread = |t: &mut Two| t.w.only_conversation(t.ben).unread;
    assert_eq!(unread(&mut t), 2, "a notice is not unread");
    t.w.run_for(HOUR - 60_000);
    assert_eq!(t.texts().1, ["hello", "from before", "for an hour"]);
    let shown = t.w.messages(t.ben, t.at_ben).pop().unwrap();
    let left = shown.expires.unwrap().since(t.w.now);
    assert!((30_000..=60_000).contains(&left), "{left}");
    t.w.run_for(70_000);
    assert_eq!(t.texts(), (vec!["hello".into(), "from before".into()], vec!["hello".into(), "from before".into()]));
    assert!(gone(&t.w, t.ben).contains(&after) && gone(&t.w, t.ada).contains(&after));
    assert!(!gone(&t.w, t.ben).contains(&before));
    assert_eq!(unread(&mut t), 1);
    let last = t.w.only_conversation(t.ben).last.unwrap();
    assert_eq!((last.text.as_str(), last.notice), ("from before", None), "the notice is over, too");
    for client in [t.ada, t.ben] {
        assert_eq!(message_rows(&t.w, client, after), 0);
        assert!(message_rows(&t.w, client, before) > 0);
    }
}

#[test]
fn what_is_there_can_be_shortened_and_lengthened_too() {
    let mut t = two(503);
    let old = t.say("an old one", None);
    t.w.run_for(3 * HOUR);
    t.say("a new one", None);
    t.set(hours(2), true);
    assert_eq!(t.texts().1, ["a new one"], "hello and the old one are over at once");
    assert_eq!(notices(&mut t.w, t.ben, t.at_ben), [(false, Notice::Expiry { expiry: hours(2), existing: true })]);
    assert_eq!((message_rows(&t.w, t.ada, old), message_rows(&t.w, t.ben, old)), (0, 0));
    t.set(Expiry { after_s: None, archive: false }, true);
    t.w.run_for(20 * HOUR);
    assert_eq!(t.texts().0, ["a new one"], "it stays");
    let shown = t.w.messages(t.ada, t.at_ada).into_iter().find(|m| m.text == "a new one").unwrap();
    assert_eq!(shown.expires, None);
}

#[test]
fn a_member_who_was_away_finds_what_was_said_meanwhile_gone_before_anything_is_shown() {
    let mut t = two(504);
    t.read();
    t.set(hours(1), false);
    t.w.stop(t.ben);
    let message = t.say("nobody reads this", None);
    t.w.run_for(5 * HOUR);
    t.w.start(t.ben);
    t.w.run_for(10_000);
    assert_eq!(t.texts().1, ["hello"]);
    assert_eq!(t.w.only_conversation(t.ben).unread, 0);
    assert_eq!(message_rows(&t.w, t.ben, message), 0);
    assert!(
        !t.w.clients[t.ben]
            .events
            .iter()
            .any(|event| matches!(event, Event::Message { message: m, .. } if m.id == message))
    );
}

#[test]
fn weeks_without_the_device_hide_at_opening_and_destroy_when_that_is_sure() {
    let mut t = two(505);
    t.set(hours(24), false);
    let message = t.say("a day", None);
    assert_eq!(t.w.only_conversation(t.ben).last.unwrap().text, "a day");
    t.w.stop(t.ben);
    t.w.run_for(21 * DAY);
    t.w.clients[t.ben].network = false;
    t.w.start(t.ben);
    t.w.run();
    assert_eq!(t.texts().1, ["hello"], "without the network, at once");
    assert_ne!(t.w.only_conversation(t.ben).last.map(|last| last.text), Some("a day".into()));
    assert!(message_rows(&t.w, t.ben, message) > 0, "a clock alone destroys nothing after three weeks");
    t.w.online(t.ben);
    t.w.run_for(25 * HOUR);
    assert_eq!(message_rows(&t.w, t.ben, message), 0);
}

#[test]
fn a_clock_eighty_years_ahead_hides_and_costs_nothing() {
    let mut t = two(506);
    t.set(hours(48), false);
    let message = t.say("two days", None);
    t.w.offline(t.ben);
    t.w.clients[t.ben].ahead = 80 * 365 * DAY as i64;
    t.w.run_for(30 * HOUR);
    assert_eq!(t.texts().1, Vec::<String>::new(), "a year is over, too");
    assert!(message_rows(&t.w, t.ben, message) > 0);
    t.w.clients[t.ben].ahead = 0;
    t.w.crash(t.ben);
    t.w.run_for(1_000);
    assert_eq!(t.texts().1, ["hello", "two days"], "the clock is right again");
    t.w.run_for(20 * HOUR);
    assert_eq!(t.texts().1, ["hello"]);
    assert_eq!(message_rows(&t.w, t.ben, message), 0);
}

#[test]
fn a_clock_that_is_set_back_brings_nothing_to_light() {
    let mut t = two(507);
    t.set(hours(1), false);
    t.say("an hour", None);
    t.w.run_for(HOUR - 1_000);
    t.w.stop(t.ben);
    // What was sure is on the disk to the hour.
    t.w.start(t.ben);
    t.w.run_for(10_000);
    assert_eq!(t.texts().1, ["hello"]);
    t.w.clients[t.ben].network = false;
    t.w.clients[t.ben].ahead = -30 * DAY as i64;
    t.w.crash(t.ben);
    t.w.run_for(1_000);
    assert_eq!(t.texts().1, ["hello"]);
    // What comes meanwhile is over in time, too, by the server's clock.
    t.w.clients[t.ben].network = true;
    t.w.run_for(70_000);
    t.say("another hour", None);
    assert_eq!(t.texts().1, ["hello", "another hour"]);
    t.w.run_for(2 * HOUR);
    assert_eq!(t.texts().1, ["hello"]);
}

// ---- keys

#[test]
fn copies_of_before_do_not_open_with_what_is_there_afterwards() {
    let mut t = two(508);
    t.set(hours(1), false);
    let message = t.say("SECRET text", None);
    let edit = Body::Edit { message, text: "SECRET edited".into() };
    t.w.ask(t.ada, Intent::Send { to: Target::Conversation(t.at_ada), body: edit }).unwrap();
    let timed = t.say("SECRET timed", Some(Timer::Sending(60)));
    t.w.run_for(2_000);
    let before =
        [(t.ada, t.at_ada), (t.ben, t.at_ben)].map(|(client, at)| (client, at, t.w.clients[client].rows.clone()));
    for (_, at, rows) in &before {
        assert!(!shows_anywhere(rows, "SECRET"), "texts lie under keys of their own");
        let shown = listed(rows, *at, t.w.now);
        assert!(shown.iter().any(|m| m.id == message && m.text == "SECRET edited"));
        assert!(shown.iter().any(|m| m.id == timed && m.text == "SECRET timed"));
    }
    t.w.run_for(HOUR + 5 * 60_000);
    for (client, at, rows) in &before {
        let now = &t.w.clients[*client].rows;
        assert!(!shows_anywhere(now, "SECRET"));
        let shown = opened_with_the_keys_of_now(rows, now, *at);
        assert!(shown.iter().all(|m| !m.text.contains("SECRET")), "{shown:?}");
        assert!(shown.iter().any(|m| m.text == "hello"), "what is not over opens");
    }
}

#[test]
fn shortening_destroys_the_keys_of_before() {
    let mut t = two(509);
    let message = t.say("SECRET text", None);
    let before = t.w.clients[t.ben].rows.clone();
    t.w.run_for(2 * HOUR);
    t.say("stays", None);
    t.set(hours(1), true);
    assert_eq!(t.texts().1, ["stays"]);
    let shown = opened_with_the_keys_of_now(&before, &t.w.clients[t.ben].rows, t.at_ben);
    assert!(shown.iter().all(|m| m.id != message && m.text != "hello"), "{shown:?}");
}

#[test]
fn what_waits_for_the_network_longer_than_it_lives_is_sent_all_the_same() {
    let mut t = two(510);
    t.set(hours(1), false);
    t.w.offline(t.ada);
    t.say("written on a mountain", None);
    t.w.run_for(30 * HOUR);
    t.w.crash(t.ada);
    t.w.run_for(HOUR);
    t.w.online(t.ada);
    assert_eq!(
        t.texts(),
        (vec!["hello".into(), "written on a mountain".into()], vec!["hello".into(), "written on a mountain".into()])
    );
    t.w.run_for(2 * HOUR);
    assert_eq!(t.texts(), (vec!["hello".into()], vec!["hello".into()]));
}

#[test]
fn a_crash_before_any_effect_neither_keeps_nor_loses_anything() {
    let mut t = two(511);
    t.say("before", None);
    t.set(hours(2), false);
    t.say("for two hours", None);
    t.w.run_for(HOUR);
    let world = t.w;
    let (ben, at_ben, at_ada, ada) = (t.ben, t.at_ben, t.at_ada, t.ada);
    for nth in 1..40 {
        let mut w = world.fork();
        let effects = w.clients[ben].effects;
        w.clients[ben].crash_at = Some(effects + nth);
        let set = Intent::SetExpiry { conversation: at_ada, expiry: hours(3), existing: true };
        w.ask(ada, set).unwrap();
        w.run_for(60_000);
        assert_eq!(texts(&mut w, ben, at_ben), ["hello", "before", "for two hours"], "{nth}");
        assert!(
            w.messages(ben, at_ben)
                .iter()
                .filter(|m| m.notice.is_none())
                .all(|m| m.expires == Some(m.time.plus_ms(3 * HOUR))),
            "{nth}"
        );
        let effects = w.clients[ben].effects;
        w.clients[ben].crash_at = Some(effects + nth);
        w.run_for(3 * HOUR);
        assert_eq!(texts(&mut w, ben, at_ben), Vec::<String>::new(), "{nth}");
        let left = w.clients[ben]
            .rows
            .keys()
            .filter(|key| key.starts_with(b"lm") || key.starts_with(b"lx") || key.starts_with(b"lq"));
        assert_eq!(left.count(), 0, "{nth}");
    }
}

// ---- timers

#[test]
fn a_timer_runs_from_reading_on_all_of_a_readers_devices_and_from_sending_for_its_author() {
    let mut t = two(512);
    let tablet = link(&mut t.w, t.ben);
    let at_tablet = t.w.only_conversation(tablet).id;
    let message = t.say("thirty seconds", Some(Timer::Reading(30)));
    t.w.run_for(31_000);
    assert_eq!(t.texts().0, ["hello"], "its author's clock began with sending");
    assert_eq!(t.texts().1, ["hello", "thirty seconds"], "nobody has read it");
    t.w.ask(tablet, Intent::MarkRead { conversation: at_tablet }).unwrap();
    t.w.run_for(2_000);
    let end = |w: &mut World, client, at| w.messages(client, at).into_iter().find(|m| m.id == message).unwrap().expires;
    let (here, there) = (end(&mut t.w, t.ben, t.at_ben), end(&mut t.w, tablet, at_tablet));
    assert!(here.is_some() && here == there);
    t.w.run_for(31_000);
    assert_eq!((t.texts().1, texts(&mut t.w, tablet, at_tablet)), (vec!["hello".into()], vec!["hello".into()]));
    for client in [t.ada, t.ben, tablet] {
        assert_eq!(message_rows(&t.w, client, message), 0);
    }
}

/// Ben's device has lost its group state and cannot read what comes; his tablet can.
#[test]
fn what_has_a_timer_and_could_not_be_read_is_sent_once_more_with_its_timer() {
    for (seed, timer) in [(530, Timer::Reading(600)), (531, Timer::Sending(600)), (532, Timer::Once)] {
        let mut t = two(seed);
        let tablet = link(&mut t.w, t.ben);
        t.w.wipe_mls(t.ben);
        t.w.run_for(5_000);
        let message = t.say("while it lasts", Some(timer));
        t.w.run_for(20_000);
        let at_ben = t.w.messages(t.ben, t.at_ben).into_iter().find(|shown| shown.id == message);
        if timer == Timer::Once {
            // It may have been seen on the tablet, and nothing of that would be left.
            assert!(at_ben.is_none());
            continue;
        }
        assert_eq!(at_ben.and_then(|shown| shown.timer).is_some(), matches!(timer, Timer::Reading(_)));
        t.w.ask(t.ben, Intent::MarkRead { conversation: t.at_ben }).unwrap();
        t.w.run_for(500_000);
        assert_eq!(t.texts().1, ["hello", "while it lasts"], "{timer:?}");
        t.w.run_for(150_000);
        for client in [t.ada, t.ben, tablet] {
            assert_eq!(t.w.all_texts(client), ["hello"], "{timer:?}");
        }
    }
}

#[test]
fn a_timer_from_sending_runs_for_everybody_at_once_and_in_bounds() {
    let mut t = two(513);
    t.say("a minute", Some(Timer::Sending(60)));
    assert_eq!(t.texts().1, ["hello", "a minute"]);
    let shown = t.w.messages(t.ben, t.at_ben).pop().unwrap();
    assert!(matches!(shown.timer, Some(Timer::Sending(55..=60))), "{:?}", shown.timer);
    t.w.run_for(61_000);
    assert_eq!(t.texts(), (vec!["hello".into()], vec!["hello".into()]));
    for seconds in [0, 4, MOST_TIMER_S + 1] {
        for timer in [Timer::Sending(seconds), Timer::Reading(seconds)] {
            let body = Body::Text { text: "x".into(), in_reply_to: None, timer: Some(timer) };
            let send = Intent::Send { to: Target::Conversation(t.at_ada), body };
            assert!(matches!(t.w.ask(t.ada, send), Err(Failure::BadInput(_))), "{timer:?}");
        }
    }
}

#[test]
fn a_timer_from_sending_lasts_as_long_whatever_its_authors_clock_says() {
    for (seed, ahead) in [(514, DAY as i64 - 1), (515, -(DAY as i64 - 1))] {
        let mut t = two(seed);
        t.w.clients[t.ada].ahead = ahead;
        t.say("a minute", Some(Timer::Sending(60)));
        t.w.run_for(30_000);
        assert_eq!(t.texts().1, ["hello", "a minute"], "{ahead}");
        t.w.run_for(30_000);
        assert_eq!(t.texts().1, ["hello"], "{ahead}");
    }
}

#[test]
fn what_can_be_seen_once_is_seen_once() {
    let mut t = two(514);
    let tablet = link(&mut t.w, t.ben);
    let at_tablet = t.w.only_conversation(tablet).id;
    let message = t.say("SECRET once", Some(Timer::Once));
    let open = |w: &mut World, client, conversation| w.ask(client, Intent::Open { conversation, message });
    assert!(open(&mut t.w, t.ada, t.at_ada).is_err(), "not by its author");
    for (client, at) in [(t.ada, t.at_ada), (t.ben, t.at_ben), (tablet, at_tablet)] {
        let shown = t.w.messages(client, at).pop().unwrap();
        assert_eq!((shown.id, shown.text.as_str(), shown.timer), (message, "", Some(Timer::Once)));
        let last = t.w.only_conversation(client).last.unwrap();
        assert_eq!((last.text.as_str(), last.once), ("", true));
        assert!(!shows_anywhere(&t.w.clients[client].rows, "SECRET"));
    }
    t.read();
    t.w.run_for(2_000);
    let state = |t: &mut Two| t.w.messages(t.ada, t.at_ada).pop().unwrap().state;
    assert_ne!(state(&mut t), MessageState::Read, "who has read what is there has not opened it");
    let before = t.w.clients[tablet].rows.clone();
    match open(&mut t.w, t.ben, t.at_ben) {
        Ok(Reply::Messages(all)) => assert_eq!(all[0].text, "SECRET once"),
        other => panic!("{other:?}"),
    }
    assert!(open(&mut t.w, t.ben, t.at_ben).is_err());
    t.w.run_for(2_000);
    assert!(open(&mut t.w, tablet, at_tablet).is_err(), "nor on another device");
    assert!(opened_with_the_keys_of_now(&before, &t.w.clients[tablet].rows, at_tablet).iter().all(|m| m.id != message));
    assert_eq!(state(&mut t), MessageState::Read, "its author hears of it");
    assert_eq!((message_rows(&t.w, t.ben, message), message_rows(&t.w, tablet, message)), (0, 0));
    // Unseen, it does not stay.
    t.say("never seen", Some(Timer::Once));
    t.w.run_for(29 * DAY);
    assert_eq!(t.texts().1, ["hello"]);
}

#[test]
fn what_has_a_timer_goes_nowhere_else() {
    let mut t = two(515);
    t.say("with a timer", Some(Timer::Reading(600)));
    let tablet = link(&mut t.w, t.ben);
    t.w.run_for(60_000);
    let at_tablet = t.w.only_conversation(tablet).id;
    assert_eq!(texts(&mut t.w, tablet, at_tablet), ["hello"], "not to a new device");
    assert_eq!(t.texts().1, ["hello", "with a timer"]);
}

// ---- the archive

#[test]
fn one_keeps_what_the_policy_lets_one_keep() {
    let mut t = two(516);
    let tablet = link(&mut t.w, t.ben);
    let at_tablet = t.w.only_conversation(tablet).id;
    t.set(hours(1), false);
    let no = t.say("not to be kept", None);
    let keep = |w: &mut World, client, conversation, message, keep| {
        w.ask(client, Intent::Keep { conversation, message, keep })
    };
    assert!(matches!(keep(&mut t.w, t.ben, t.at_ben, no, true), Err(Failure::BadInput(_))));
    t.set(Expiry { archive: true, ..hours(1) }, false);
    let [kept, let_go] = ["to be kept", "kept and let go"].map(|text| t.say(text, None));
    let timed = t.say("with a timer", Some(Timer::Reading(3_000)));
    keep(&mut t.w, t.ben, t.at_ben, kept, true).unwrap();
    keep(&mut t.w, t.ben, t.at_ben, let_go, true).unwrap();
    assert!(matches!(keep(&mut t.w, t.ben, t.at_ben, timed, true), Err(Failure::BadInput(_))));
    t.w.run_for(2_000);
    let on_tablet = t.w.messages(tablet, at_tablet).into_iter().find(|m| m.id == kept).unwrap();
    assert!(on_tablet.kept);
    let at_author = t.w.messages(t.ada, t.at_ada).into_iter().find(|m| m.id == kept).unwrap();
    assert!(!at_author.kept, "it is nobody else's affair");
    t.read();
    t.w.run_for(3 * HOUR);
    assert_eq!(t.texts(), (vec!["hello".into()], vec!["hello".into(), "to be kept".into(), "kept and let go".into()]));
    keep(&mut t.w, tablet, at_tablet, let_go, false).unwrap();
    t.w.run_for(60_000);
    assert_eq!(t.texts().1, ["hello", "to be kept"]);
    assert_eq!(texts(&mut t.w, tablet, at_tablet), ["hello", "to be kept"]);
    assert_eq!(message_rows(&t.w, t.ben, let_go), 0);
}

fn archive(
    w: &mut World,
    client: usize,
    before: Option<parlour_proto::ids::UnixMillis>,
    limit: u32,
) -> Vec<(ConversationId, String)> {
    match w.ask(client, Intent::Archive { before, limit }) {
        Ok(Reply::Archive(all)) => {
            assert!(all.iter().all(|(_, message)| message.kept && !message.text.is_empty()));
            assert!(all.is_sorted_by(|(_, one), (_, other)| one.time >= other.time), "{all:?}");
            all.into_iter().map(|(of, message)| (of, message.text)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_kept_is_found_in_one_place_on_every_own_device() {
    let mut t = two(520);
    t.set(Expiry { archive: true, ..hours(24) }, false);
    let early = t.say("kept before the tablet came", None);
    let keep = |t: &mut Two, message, keep| {
        t.w.ask(t.ben, Intent::Keep { conversation: t.at_ben, message, keep }).unwrap();
        t.w.run_for(2_000);
    };
    keep(&mut t, early, true);
    let tablet = link(&mut t.w, t.ben);
    t.w.run_for(60_000);
    let at_tablet = t.w.only_conversation(tablet).id;
    let [second, third, gone] = ["the second", "the third", "taken back"].map(|text| {
        t.w.run_for(3_000);
        let message = t.say(text, None);
        keep(&mut t, message, true);
        message
    });
    t.say("not kept", None);
    let all = ["taken back", "the third", "the second", "kept before the tablet came"];
    for (client, at) in [(t.ben, t.at_ben), (tablet, at_tablet)] {
        assert_eq!(archive(&mut t.w, client, None, 50), all.map(|text| (at, text.to_owned())), "{client}");
    }
    assert_eq!(archive(&mut t.w, t.ada, None, 50), [], "it is nobody else's affair");
    // In pages, also over a restart.
    t.w.crash(tablet);
    t.w.run_for(5_000);
    let times: Vec<_> =
        t.w.messages(tablet, at_tablet).into_iter().map(|message| (message.text, message.time)).collect();
    let time = |text: &str| times.iter().find(|(of, _)| of == text).unwrap().1;
    assert_eq!(archive(&mut t.w, tablet, None, 2).len(), 2);
    assert_eq!(archive(&mut t.w, tablet, Some(time("the third")), 1), [(at_tablet, "the second".to_owned())]);
    assert_eq!(archive(&mut t.w, tablet, Some(time(all[3])), 50), []);
    assert_eq!(archive(&mut t.w, tablet, None, 0), []);
    // What its author takes back is not in it, nor what one lets go of; what is over for all others stays.
    t.w.ask(t.ada, Intent::Send { to: Target::Conversation(t.at_ada), body: Body::Delete { message: gone } }).unwrap();
    t.w.run_for(2_000);
    keep(&mut t, third, false);
    t.w.run_for(30 * HOUR);
    let left = ["the second", "kept before the tablet came"];
    for (client, at) in [(t.ben, t.at_ben), (tablet, at_tablet)] {
        assert_eq!(archive(&mut t.w, client, None, 50), left.map(|text| (at, text.to_owned())), "{client}");
    }
    // A page of nothing but what was taken back is no end.
    let newest = t.say("taken back, too", None);
    keep(&mut t, newest, true);
    t.w.ask(t.ada, Intent::Send { to: Target::Conversation(t.at_ada), body: Body::Delete { message: newest } })
        .unwrap();
    t.w.run_for(2_000);
    for (client, at) in [(t.ben, t.at_ben), (tablet, at_tablet)] {
        assert_eq!(archive(&mut t.w, client, None, 1), [(at, left[0].to_owned())], "{client}");
    }
    // What is kept as a whole is found there.
    t.w.ask(t.ben, Intent::KeepAll { conversation: t.at_ben, keep: true }).unwrap();
    t.say("with all else", None);
    assert!(archive(&mut t.w, t.ben, None, 50).iter().all(|(_, text)| text != "with all else"));
    t.w.ask(t.ben, Intent::KeepAll { conversation: t.at_ben, keep: false }).unwrap();
    t.w.run_for(60_000);
    assert_eq!((archive(&mut t.w, t.ben, None, 50), archive(&mut t.w, tablet, None, 50)), (vec![], vec![]));
    let index = |t: &Two| t.w.clients[t.ben].rows.keys().filter(|key| key.starts_with(b"lK")).count();
    assert_eq!((index(&t), second), (0, second), "nor does anything else say what was kept");
}

#[test]
fn all_of_a_conversation_can_be_kept() {
    let mut t = two(517);
    t.set(Expiry { archive: true, ..hours(1) }, true);
    t.say("there already", None);
    let all = |keep| Intent::KeepAll { conversation: t.at_ben, keep };
    assert!(matches!(t.w.ask(t.ben, all(true)), Ok(Reply::Conversation(c)) if c.kept));
    let not_kept = all(false);
    t.say("after that", None);
    t.w.run_for(2 * HOUR);
    assert_eq!(t.texts(), (vec![], vec!["hello".into(), "there already".into(), "after that".into()]));
    t.w.ask(t.ben, not_kept).unwrap();
    t.w.run_for(60_000);
    assert_eq!(t.texts().1, Vec::<String>::new());
}

#[test]
fn one_change_upon_another_loses_nothing_and_does_both() {
    for steps in 0..30 {
        let mut t = two(519);
        t.set(Expiry { archive: true, ..hours(24) }, false);
        for n in 0..3 {
            t.say(&format!("text {n}"), None);
        }
        let set = |after| Intent::SetExpiry {
            conversation: t.at_ben,
            expiry: Expiry { archive: true, ..hours(after) },
            existing: true,
        };
        let (first, second) = (set(3), set(2));
        t.w.start_intent(t.ben, first);
        t.w.start_intent(t.ben, second);
        for _ in 0..steps {
            t.w.step();
        }
        // In the midst of it, whatever is being read.
        t.w.start_intent(t.ben, Intent::KeepAll { conversation: t.at_ben, keep: true });
        t.w.step();
        t.w.start_intent(t.ben, Intent::KeepAll { conversation: t.at_ben, keep: false });
        t.w.run_for(60_000);
        let shown: Vec<_> = t.w.messages(t.ben, t.at_ben).into_iter().filter(|m| m.notice.is_none()).collect();
        assert_eq!(shown.len(), 4, "{steps}");
        let is_right = |m: &Message| m.expires == Some(m.time.plus_ms(2 * HOUR)) && !m.kept;
        assert!(shown.iter().all(is_right), "{steps}: {shown:?}");
    }
}

// ---- bounds, and bad input

#[test]
fn who_may_set_it_sets_it_within_bounds() {
    let (mut w, users, groups) = group(518, 3);
    let set = |w: &mut World, who: usize, after_s| {
        let expiry = Expiry { after_s, archive: false };
        w.ask(users[who], Intent::SetExpiry { conversation: groups[who], expiry, existing: false })
    };
    assert!(matches!(set(&mut w, 1, Some(7_200)), Err(Failure::BadInput(_))), "a member does not");
    for seconds in [0, 3_599, MOST_EXPIRY_S + 1, u32::MAX] {
        assert!(matches!(set(&mut w, 0, Some(seconds)), Err(Failure::BadInput(_))), "{seconds}");
    }
    for after_s in [Some(3_600), Some(MOST_EXPIRY_S), None, Some(7_200)] {
        assert!(set(&mut w, 0, after_s).is_ok(), "{after_s:?}");
    }
    w.run_for(2_000);
    for (user, group) in users.iter().zip(&groups) {
        assert_eq!(notices(&mut w, *user, *group).len(), 4);
        assert_eq!(the_group(&mut w, *user).expiry, Some(hours(2)));
    }
    let nowhere = Intent::SetExpiry { conversation: ConversationId([9; 16]), expiry: hours(1), existing: false };
    assert!(matches!(w.ask(users[0], nowhere), Err(Failure::NotFound(_))));
}
