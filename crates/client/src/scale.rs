//! What a large home costs, counted in rows that are read: 1,000 conversations, one of them with 10,000 messages.

use crate::api::{Conversation as Shown, ConversationId, Effect, Event, Input, Intent, IntentId, Message, Reply};
use crate::engine::Engine;
use crate::messages::Said;
use crate::rows::EAGER;
use crate::state::{Contact, Conversation, Identity, Phase, Room, Stage, Standing};
use bytes::Bytes;
use parlour_proto::frames::{AccountRef, AppId};
use parlour_proto::ids::{AccountId, DeviceId, MessageId, RoomId, UnixMillis};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

const CONVERSATIONS: u16 = 1_000;
const MESSAGES: u64 = 10_000;
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// The one with the messages.
const LONG: ConversationId = ConversationId([0; 16]);

fn numbered(n: u16) -> [u8; 16] {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    id
}

fn message_id(n: u64) -> MessageId {
    // As spread as random ids are.
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    MessageId(id)
}

pub(crate) fn account(n: u16) -> AccountRef {
    AccountRef { app: AppId::parse("bell").unwrap(), account: AccountId(numbered(n)) }
}

fn identity() -> Identity {
    Identity {
        stage: Stage::Live,
        account: account(u16::MAX),
        device: DeviceId([1; 16]),
        keys: Zeroizing::new(Vec::new()),
        root: [0; 32],
        public_handle: false,
        handle: "+491".to_owned(),
        name: String::new(),
        picture: None,
        profile: 0,
        links: Vec::new(),
        delivered_reports: true,
        read_reports: true,
        typing_reports: true,
        last_resort_made: NOW,
        device_name: String::new(),
        seen_told: UnixMillis(0),
        own: None,
        showing: crate::api::Showing::default(),
        restored: UnixMillis(0),
        lost_since: UnixMillis(0),
        showing_untold: Vec::new(),
        incarnation: 1,
    }
}

fn contact(n: u16) -> Contact {
    Contact {
        root: [0; 32],
        links: Vec::new(),
        addresses: vec![format!("+49170{n}@bell")],
        name: Some(format!("Person {n}")),
        picture: None,
        door: None,
        given_too: Vec::new(),
        shared: None,
        given: None,
        befriended: true,
        blocked: false,
        verified: false,
        conversation: Some(ConversationId(numbered(n))),
    }
}

pub(crate) fn conversation(n: u16) -> Conversation {
    Conversation {
        is_group: false,
        is_own: false,
        standing: Standing::Open,
        members: vec![account(n)],
        title: String::new(),
        rooms: vec![RoomId(numbered(n))],
        unread: 0,
        read_up_to: 0,
        newest: None,
        last_activity: UnixMillis(NOW.0 - u64::from(n)),
        base: 0,
        next_order: 1,
        profile_sent: 0,
        asking: None,
        mentioned: false,
        picture: None,
        kept: false,
        preview: Bytes::new(),
        places: Vec::new(),
    }
}

/// A text as it comes, to stay.
pub(crate) fn said(text: &str, time: UnixMillis) -> Said {
    Said {
        text: text.to_owned(),
        in_reply_to: None,
        time,
        evidence: Bytes::new(),
        stamp: [0; 32],
        timer: None,
        expires: None,
    }
}

pub(crate) fn room(n: u16) -> Room {
    Room {
        conversation: ConversationId(numbered(n)),
        phase: Phase::Live,
        member: Zeroizing::new(vec![7; 32]),
        policy: Bytes::new(),
        watermark: 9,
        head: 1,
        voids: Vec::new(),
        doubts: Vec::new(),
        asked_here: false,
        open_there: true,
        hello_sent: true,
        update_first: false,
        unreadable: Vec::new(),
        missing: Vec::new(),
        own_devices: Vec::new(),
        tell_list: false,
        renewed: NOW,
        day: 0,
        day_bytes: 0,
        history_from: None,
        added_by: None,
        said: None,
        since: 0,
    }
}

/// A home's rows, and how many of them were read.
struct Home {
    engine: Engine,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    read: usize,
    events: Vec<Event>,
    rng: ChaCha20Rng,
}

impl Home {
    /// A home with 1,000 conversations that has just been opened.
    fn large() -> Self {
        let mut engine = Engine::open([]).unwrap();
        engine.s.identity.insert((), identity());
        for n in 0..CONVERSATIONS {
            engine.s.contacts.insert(account(n), contact(n));
            engine.s.conversations.insert(ConversationId(numbered(n)), conversation(n));
            engine.s.rooms.insert(RoomId(numbered(n)), room(n));
        }
        let mut home =
            Home { engine, rows: BTreeMap::new(), read: 0, events: Vec::new(), rng: ChaCha20Rng::seed_from_u64(1) };
        for n in 0..CONVERSATIONS {
            let mls = [b"lg\0\0", &numbered(n)[..], b"state"].concat();
            home.rows.insert(mls, vec![0; 64]);
        }
        for n in 0..MESSAGES {
            home.receive(n);
        }
        home.reopen();
        home
    }

    fn receive(&mut self, n: u64) {
        let text = format!("message {n}");
        let time = UnixMillis(NOW.0 + n);
        self.engine.put_said(LONG, message_id(n), Some(&account(0)), said(&text, time));
        self.handle(Input::Tick);
    }

    /// Opens the engine anew, from its stored rows.
    fn reopen(&mut self) {
        let start = self.rows.iter().filter(|(key, _)| key.starts_with(EAGER));
        let start: Vec<_> = start.map(|(key, value)| (key.clone(), value.clone())).collect();
        self.read = start.len();
        self.engine = Engine::open(start).unwrap();
        self.events.clear();
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.engine.handle(input, NOW, &mut self.rng);
            while let Some(effect) = self.engine.poll() {
                match effect {
                    Effect::Commit(changes) => self.write(changes.0),
                    Effect::Load { token, prefix } => {
                        let from = self.rows.range(prefix.clone()..);
                        let rows: Vec<_> = from
                            .take_while(|(key, _)| key.starts_with(&prefix))
                            .map(|(key, value)| (key.clone(), value.clone()))
                            .collect();
                        self.read += rows.len();
                        inputs.push(Input::Loaded { token, rows });
                    }
                    Effect::Notify(event) => self.events.push(event),
                    _ => {}
                }
            }
        }
    }

    fn write(&mut self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
        for (key, value) in changes {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    fn ask(&mut self, intent: Intent) -> Reply {
        self.read = 0;
        self.events.clear();
        self.handle(Input::Intent(IntentId(1), intent));
        let done = self.events.iter().find_map(|event| match event {
            Event::Done(_, result) => Some(result.clone()),
            _ => None,
        });
        done.expect("answered").expect("possible")
    }

    fn messages(&mut self, before: Option<u64>, limit: u32) -> Vec<Message> {
        match self.ask(Intent::Messages { conversation: LONG, before, limit }) {
            Reply::Messages(messages) => messages,
            other => panic!("{other:?}"),
        }
    }

    fn conversations(&mut self) -> Vec<Shown> {
        match self.ask(Intent::Conversations) {
            Reply::Conversations(all) => all,
            other => panic!("{other:?}"),
        }
    }
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

#[test]
fn a_start_reads_a_few_small_rows_of_each_conversation_and_no_message() {
    let mut home = Home::large();
    assert!(home.rows.len() > 2 * MESSAGES as usize);
    assert!(home.read < 4 * usize::from(CONVERSATIONS), "{} rows", home.read);
    let at_start = home.read;
    home.handle(Input::Intent(IntentId(1), Intent::Sync));
    home.handle(Input::Tick);
    assert_eq!(home.read, at_start, "MLS state and messages are read when they are needed");
}

#[test]
fn the_list_of_conversations_reads_nothing_and_shows_the_newest_message() {
    let mut home = Home::large();
    let all = home.conversations();
    assert_eq!(home.read, 0);
    assert_eq!(all.len(), usize::from(CONVERSATIONS));
    let long = all.iter().find(|c| c.id == LONG).unwrap();
    assert_eq!(long.unread, MESSAGES as u32);
    let last = long.last.as_ref().unwrap();
    assert_eq!((last.text.as_str(), last.from_name.as_deref()), ("message 9999", Some("Person 0")));
}

#[test]
fn a_page_costs_what_it_shows_wherever_it_is() {
    let mut home = Home::large();
    let mut before = None;
    let mut seen = 0;
    for page in 0..10 {
        let messages = home.messages(before, 50);
        let newest = MESSAGES - 50 * page;
        let expected: Vec<String> = (newest - 50..newest).map(|n| format!("message {n}")).collect();
        assert_eq!(texts(&messages), expected);
        assert!(home.read < 50 + 4 * 32 + 50, "{} rows for a page", home.read);
        before = messages.first().map(|message| message.order);
        seen += messages.len();
    }
    assert_eq!(seen, 500);
    let first = home.messages(Some(3), 50);
    assert_eq!(texts(&first), ["message 0"]);
    assert!(home.messages(Some(0), 50).is_empty());
    assert!(home.messages(None, 0).is_empty());
}

#[test]
fn everything_can_be_asked_for_at_once() {
    let mut home = Home::large();
    assert_eq!(home.messages(None, u32::MAX).len(), MESSAGES as usize);
}

#[test]
fn a_message_that_comes_again_is_shown_once() {
    let mut home = Home::large();
    home.receive(MESSAGES - 2);
    let messages = home.messages(None, 3);
    assert_eq!(texts(&messages), ["message 9997", "message 9999", "message 9998"]);
}

#[test]
fn marking_as_read_reads_the_index_of_what_is_new() {
    let mut home = Home::large();
    home.ask(Intent::MarkRead { conversation: LONG });
    assert_eq!(home.conversations().iter().map(|c| c.unread).sum::<u32>(), 0);
    home.receive(MESSAGES);
    home.receive(MESSAGES + 1);
    home.ask(Intent::MarkRead { conversation: LONG });
    assert!(home.read <= 2 * 32, "{} rows", home.read);
    let told = home.engine.s.outgoing_of(LONG).last().map(|(_, item)| item.saying.clone());
    let Some(crate::state::Saying::Read { messages }) = told else { panic!("no report") };
    assert_eq!(messages, [message_id(MESSAGES), message_id(MESSAGES + 1)]);
    assert_eq!(home.conversations().iter().map(|c| c.unread).sum::<u32>(), 0);
}
