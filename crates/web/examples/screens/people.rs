//! People and what they say.

use parlour_client::api::{
    Conversation, ConversationId, ConversationState, IdentityId, Member, Message, MessageState, Request,
};
use parlour_proto::frames::{AccountRef, AppId};
use parlour_proto::ids::{AccountId, MessageId, UnixMillis};

const MINUTE: u64 = 60_000;
const DAY: u64 = 1440 * MINUTE;

pub(crate) fn app(name: &str) -> AppId {
    AppId::parse(name).unwrap_or_else(|_| unreachable!("a good name"))
}

pub(crate) fn account(n: u32, on: &str) -> AccountRef {
    let mut id = [n as u8; 16];
    id[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
    AccountRef { app: app(on), account: AccountId(id) }
}

pub(crate) fn id(n: u32) -> ConversationId {
    let mut id = [0xc0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    ConversationId(id)
}

pub(crate) fn message_id(chat: u32, n: u64) -> MessageId {
    let mut id = [0xe0; 16];
    id[..4].copy_from_slice(&chat.to_be_bytes());
    id[8..].copy_from_slice(&n.to_be_bytes());
    MessageId(id)
}

/// title, app, address, last line, minutes ago, unread, verified
type Line = (&'static str, &'static str, Option<&'static str>, &'static str, u64, u32, bool);

const LINES: [Line; 13] = [
    ("Mara Lindqvist", "den", Some("mara@den"), "Then I take the 9:40 and you bring the tent 🏕️", 2, 0, true),
    ("Sunday choir", "den", None, "Who has the alto part of the Byrd?", 11, 4, false),
    ("Papa", "bell", None, "Ruf an, wenn du da bist.", 47, 1, true),
    ("Jonas Okafor", "porch", Some("@jonas@porch"), "The photos are up – yours is the third.", 95, 0, false),
    ("נועה כהן", "porch", Some("@noa@porch"), "נתראה מחר בשמונה?", 180, 2, false),
    ("Flat 12", "den", None, "The plumber comes on Thursday between 8 and 12", 300, 0, false),
    ("Ilse", "bell", None, "👍", 1500, 0, false),
    ("Dr. Weber’s practice", "den", Some("weber@den"), "Your appointment: Tuesday, 14:20", 1700, 0, false),
    ("Tomás Ferreira", "porch", Some("@tomas@porch"), "obrigado! I owe you one", 3100, 0, true),
    ("+44 20 7946 0958", "bell", None, "Is the bike still there?", 4600, 0, false),
    ("Rosa", "den", Some("rosa@den"), "see https://den.example.org/recipes/lentils", 9000, 0, false),
    ("Walking group", "porch", None, "Saturday is dry, they say", 15000, 0, false),
    ("Herr Brandt", "bell", None, "", 44000, 0, false),
];

pub(crate) fn conversations(now: UnixMillis, more: u32) -> Vec<Conversation> {
    let named = LINES.iter().enumerate().map(|(n, line)| conversation(n as u32, line, now));
    let rest = (LINES.len() as u32..more).map(|n| {
        let line = ("", "bell", None, "", 50_000 + u64::from(n) * 37, 0, false);
        Conversation {
            title: format!("{} {}", FIRST[n as usize % FIRST.len()], LAST[n as usize / 7 % LAST.len()]),
            ..conversation(n, &line, now)
        }
    });
    named.chain(rest).collect()
}

const FIRST: [&str; 9] = ["Anna", "Bilal", "Chiara", "David", "Elif", "Farid", "Greta", "Hanna", "Ivo"];
const LAST: [&str; 7] = ["Adler", "Baumann", "Costa", "Demir", "Eriksen", "Fontaine", "Gruber"];

fn conversation(n: u32, line: &Line, now: UnixMillis) -> Conversation {
    let (title, on, address, _, ago, unread, verified) = line;
    let is_group = matches!(*title, "Sunday choir" | "Flat 12" | "Walking group");
    let member = |n: u32, name: &str, on: &str, address: Option<&str>| Member {
        account: account(n, on),
        address: address.map(str::to_owned),
        name: Some(name.to_owned()),
    };
    let members = if is_group {
        vec![
            member(2, "Mara", "den", None),
            member(30, "Edda", "den", None),
            member(31, "Paul", "bell", None),
            member(32, "Kofi", "porch", None),
            member(33, "Lin", "den", None),
        ]
    } else {
        vec![member(n + 1, title, on, *address)]
    };
    let state = match *title {
        "+44 20 7946 0958" => ConversationState::Asked,
        "Herr Brandt" => ConversationState::Closed,
        "Ilse" => ConversationState::Repairing,
        _ => ConversationState::Open,
    };
    Conversation {
        id: id(n),
        identity: IdentityId(0),
        title: (*title).to_owned(),
        members,
        is_group,
        state,
        unread: *unread,
        last_activity: UnixMillis(now.0 - ago * MINUTE),
        verified: *verified,
    }
}

/// who (0: me), minutes ago, what
const MARA: [(u32, u64, &str); 24] = [
    (1, 3000, "Are you still up for the lake?"),
    (0, 2998, "Always!"),
    (0, 2998, "If it does not rain."),
    (1, 2990, "It will not. I looked at three forecasts and chose the one I liked."),
    (1, 1510, "Look what I found in the cellar"),
    (
        1,
        1510,
        "Two sleeping bags, one stove, and half a monopoly. The stove may even work. I cleaned it with vinegar, which the internet says one must never do, and it has been shining at me reproachfully ever since.",
    ),
    (0, 1495, "😂"),
    (0, 1494, "Bring the monopoly."),
    (
        1,
        1490,
        "The map of the shore path: https://walks.example.org/lake/east-shore?from=station, the last bit is steep.",
    ),
    (0, 1480, "Perfect, thank you"),
    (1, 300, "מה שלומך? (I am practising)"),
    (0, 295, "טוב מאוד, תודה!"),
    (0, 294, "That is all I know, though."),
    (1, 290, "More than Jonas, who thought it was Greek."),
    (1, 60, "So, trains. There is one at 8:12 and one at 9:40."),
    (0, 58, "8:12 is a joke, yes?"),
    (1, 57, "It is a train."),
    (0, 55, "9:40."),
    (1, 54, "9:40 it is. Who is bringing what?\n\n– tent\n– stove\n– coffee (!)\n– the half monopoly"),
    (0, 40, "I take the tent and the coffee"),
    (1, 38, "❤️"),
    (1, 12, "One more thing: my phone is new, so you may see a note about keys here. It really is me."),
    (0, 6, "That is what somebody who is not you would say."),
    (1, 2, "Then I take the 9:40 and you bring the tent 🏕️"),
];

const CHOIR: [(u32, u64, &str); 12] = [
    (30, 700, "Rehearsal is in the small hall tonight"),
    (31, 690, "With heating?"),
    (30, 688, "With blankets."),
    (0, 680, "I bring tea"),
    (2, 120, "Thank you all, that was lovely. The end of the Sanctus still drags, but we know that."),
    (2, 120, "Next week Byrd."),
    (32, 100, "👏👏👏"),
    (0, 90, "Recording will be up tonight"),
    (33, 30, "Could somebody send me the second page? Mine has coffee on it."),
    (31, 22, "Which one, ours or the real one"),
    (33, 20, "The one with notes."),
    (30, 11, "Who has the alto part of the Byrd?"),
];

pub(crate) fn messages(chat: u32, now: UnixMillis, many: u64) -> Vec<Message> {
    let mut out = Vec::new();
    let spoken: Vec<(u32, u64, String)> = match chat {
        0 if many > 0 => (0..many)
            .map(|n| ((n / 3 % 2) as u32, (many - n) * 7, format!("{} {}", LOREM[(n * 7 % 11) as usize], n)))
            .collect(),
        0 => MARA.iter().map(|(who, ago, text)| (*who, *ago, (*text).to_owned())).collect(),
        1 => CHOIR.iter().map(|(who, ago, text)| (*who, *ago, (*text).to_owned())).collect(),
        n => LINES
            .get(n as usize)
            .filter(|line| !line.3.is_empty())
            .map(|line| (n + 1, line.4, line.3.to_owned()))
            .into_iter()
            .collect(),
    };
    for (n, (who, ago, text)) in spoken.into_iter().enumerate() {
        let n = n as u64;
        let own = who == 0;
        let on = if who == 31 {
            "bell"
        } else if who == 32 {
            "porch"
        } else {
            "den"
        };
        out.push(Message {
            id: message_id(chat, n),
            order: n + 1,
            from: (!own).then(|| account(who, on)),
            from_name: (!own).then(|| name(chat, who)),
            text,
            in_reply_to: None,
            edited: false,
            deleted: false,
            reactions: Vec::new(),
            time: UnixMillis(now.0 - ago * MINUTE),
            state: if own { MessageState::Read } else { MessageState::Received },
        });
    }
    if chat == 0 && many == 0 {
        dress(&mut out);
    }
    out
}

/// An answer, reactions, an edit, a deletion, all ticks.
fn dress(out: &mut [Message]) {
    let heart = |n: u32| (account(n, "den"), "❤️".to_owned());
    out[5].reactions = vec![(account(0, "bell"), "😂".to_owned()), (account(1, "den"), "😂".to_owned()), heart(3)];
    out[7].in_reply_to = Some(out[5].id);
    out[9].edited = true;
    out[13].reactions = vec![(account(0, "bell"), "😂".to_owned())];
    out[16].deleted = true;
    out[16].text = String::new();
    out[19].state = MessageState::Delivered;
    out[22].state = MessageState::Sent;
    out[22].in_reply_to = Some(out[21].id);
}

fn name(chat: u32, who: u32) -> String {
    match who {
        2 if chat == 1 => "Mara",
        30 => "Edda",
        31 => "Paul",
        32 => "Kofi",
        33 => "Lin",
        _ => LINES.get(chat as usize).map_or("Anna", |line| line.0),
    }
    .to_owned()
}

pub(crate) fn requests(now: UnixMillis) -> Vec<Request> {
    [(90, "porch", 14), (91, "den", 400)]
        .map(|(n, on, ago)| Request {
            id: id(n),
            from: account(n, on),
            time: UnixMillis(now.0 - ago * MINUTE),
            text: Some("CANARY: not before the choice".to_owned()),
            claimed_name: Some("CANARY NAME".to_owned()),
            claimed_address: None,
        })
        .to_vec()
}

pub(crate) fn keys_changed_at(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0 - 13 * MINUTE)
}

/// For the invite.
pub(crate) fn in_a_month(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0 + 30 * DAY)
}

const LOREM: [&str; 11] = [
    "Yes.",
    "On my way",
    "Did you see that the bakery is open again?",
    "Ha!",
    "I will ask her tomorrow, she is at her sister’s until then and never looks at her phone.",
    "ok",
    "Good night",
    "That is exactly what I said, and nobody wanted to hear it; now they all do.",
    "👍",
    "When?",
    "A bit later than we thought, sorry",
];
