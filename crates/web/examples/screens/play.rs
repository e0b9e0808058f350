//! A play of the engine: answers at once, remembers what was written, and somebody answers now and then.

use crate::people;
use futures_channel::mpsc::{UnboundedSender, unbounded};
use parlour_client::api::{
    Body, Connection, Conversation, ConversationId, ConversationState, Event, Failure, Identity, IdentityId, Intent,
    Message, MessageState, Proof, Reply, Status, Target,
};
use parlour_proto::frames::{AppId, AppInfo, ReachRule, SignIn};
use parlour_proto::ids::UnixMillis;
use parlour_proto::problem::{Code, Problem};
use parlour_web::bus::{Call, Outcome};
use parlour_web::ui::port::{Answer, Engine, Fault, Happening, Page};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

struct Stage {
    app: AppId,
    now: UnixMillis,
    signed_in: bool,
    name: String,
    chats: Vec<Conversation>,
    messages: HashMap<ConversationId, Vec<Message>>,
    notes: HashMap<String, Vec<u8>>,
    reach: Vec<(AppId, ReachRule)>,
    requests: Vec<parlour_client::api::Request>,
    tell: UnboundedSender<Happening>,
}

struct Play(Rc<RefCell<Stage>>);

/// Begins.
pub(crate) fn start() {
    let search = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
    let asked = |name: &str| {
        search
            .trim_start_matches('?')
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value.to_owned())
    };
    let number = |name: &str| asked(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let app = people::app(&asked("app").unwrap_or_else(|| "bell".to_owned()));
    let now = UnixMillis(js_sys::Date::now() as u64);
    let (tell, happenings) = unbounded();
    let chats = if asked("stage").as_deref() == Some("empty") {
        Vec::new()
    } else {
        people::conversations(now, number("chats") as u32)
    };
    let requests = if chats.is_empty() { Vec::new() } else { people::requests(now) };
    let mut messages = HashMap::new();
    for n in 0..chats.len() as u32 {
        messages.insert(people::id(n), people::messages(n, now, number("many")));
    }
    let mut notes = HashMap::new();
    if number("many") == 0 {
        notes.insert(
            format!("keys/{}", parlour_web::ui::model::route::conversation_hex(people::id(0))),
            people::keys_changed_at(now).0.to_be_bytes().to_vec(),
        );
        notes.insert(
            format!("draft/{}", parlour_web::ui::model::route::conversation_hex(people::id(3))),
            b"They are wonderful, who".to_vec(),
        );
    }
    let reach = ["bell", "den", "porch"].map(|one| {
        (
            people::app(one),
            if one == app.as_str() {
                ReachRule::Ask
            } else if one == "den" {
                ReachRule::Invite
            } else {
                ReachRule::Nobody
            },
        )
    });
    let (name, sign_in) = match app.as_str() {
        "den" => ("Den", SignIn::Username),
        "porch" => ("Porch", SignIn::AtHandle),
        _ => ("Bell", SignIn::Phone),
    };
    let signed_in = asked("stage").as_deref() != Some("new");
    let stage = Rc::new(RefCell::new(Stage {
        app: app.clone(),
        now,
        signed_in,
        name: if signed_in { "Robin".to_owned() } else { String::new() },
        chats,
        messages,
        notes,
        reach: reach.to_vec(),
        requests,
        tell: tell.clone(),
    }));
    let _ = tell.unbounded_send(Happening::Here);
    let connection =
        if asked("state").as_deref() == Some("offline") { Connection::Waiting(now) } else { Connection::Online };
    let _ = tell.unbounded_send(Happening::Event(Event::Connection { identity: IdentityId(0), state: connection }));
    parlour_web::ui::mount(Page { app, name: name.to_owned(), sign_in, engine: Rc::new(Play(stage)), happenings });
}

impl Engine for Play {
    fn call(&self, call: Call) -> Answer {
        let stage = self.0.clone();
        Box::pin(async move {
            let mut stage = stage.borrow_mut();
            match call {
                Call::Intent(intent) => stage.intent(intent).map(Outcome::Reply).map_err(Fault::Failed),
                Call::Keep { key, value } => {
                    match value {
                        Some(value) => drop(stage.notes.insert(key, value)),
                        None => drop(stage.notes.remove(&key)),
                    }
                    Ok(Outcome::Kept(Vec::new()))
                }
                Call::Kept { prefix } => Ok(Outcome::Kept(
                    stage
                        .notes
                        .iter()
                        .filter(|(key, _)| key.starts_with(&prefix))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect(),
                )),
                Call::Wipe => {
                    let _ = web_sys::window().map(|window| window.location().set_search("?stage=new"));
                    Ok(Outcome::Kept(Vec::new()))
                }
            }
        })
    }
}

impl Stage {
    fn intent(&mut self, intent: Intent) -> Result<Reply, Failure> {
        Ok(match intent {
            Intent::Apps => Reply::Apps(apps()),
            Intent::RequestCode { .. } => Reply::Ok,
            Intent::SignUp { proof: Proof::Code(code), .. } if code != "123456" => {
                return Err(Failure::Refused(Problem::new(Code::NotAuthenticated, "")));
            }
            Intent::SignUp { .. } | Intent::SignIn { .. } => {
                self.signed_in = true;
                self.chats.clear();
                self.requests.clear();
                Reply::SignedUp {
                    account: people::account(0, self.app.as_str()),
                    address: self.address(),
                    recovery_key: WORDS.to_owned().into(),
                }
            }
            Intent::WhoAmI if !self.signed_in => return Err(Failure::NotSignedIn),
            Intent::WhoAmI => Reply::Identities(vec![Identity {
                id: IdentityId(0),
                account: people::account(0, self.app.as_str()),
                address: self.address(),
                name: self.name.clone(),
            }]),
            Intent::Send { to, body } => self.send(to, body)?,
            Intent::Conversations => Reply::Conversations(self.chats.clone()),
            Intent::Messages { conversation, before, limit } => {
                let all = self.messages.get(&conversation).map(Vec::as_slice).unwrap_or_default();
                let end = all
                    .iter()
                    .position(|message| before.is_some_and(|before| message.order >= before))
                    .unwrap_or(all.len());
                Reply::Messages(all[end.saturating_sub(limit as usize)..end].to_vec())
            }
            Intent::MarkRead { conversation } => {
                self.change(conversation, |chat| chat.unread = 0);
                Reply::Ok
            }
            Intent::Requests => Reply::Requests(self.requests.clone()),
            Intent::Accept { request } => {
                self.requests.retain(|known| known.id != request);
                let chat = Conversation {
                    id: request,
                    title: "Amira Haddad".to_owned(),
                    state: ConversationState::Open,
                    unread: 0,
                    verified: false,
                    ..people::conversations(self.now, 0)[3].clone()
                };
                self.chats.insert(0, chat.clone());
                self.messages.insert(request, people::messages(3, self.now, 0));
                Reply::Conversation(chat)
            }
            Intent::Block { conversation } => {
                self.change(conversation, |chat| chat.state = ConversationState::Closed);
                Reply::Ok
            }
            Intent::Unblock { conversation } => {
                self.change(conversation, |chat| chat.state = ConversationState::Open);
                Reply::Ok
            }
            Intent::Reach => Reply::Reach(self.reach.clone()),
            Intent::SetReach { from, rule } => {
                self.reach.iter_mut().filter(|(app, _)| *app == from).for_each(|(_, known)| *known = rule);
                Reply::Reach(self.reach.clone())
            }
            Intent::CreateInvite { .. } => Reply::Invite {
                text: format!("parlour:invite/{}/Zm9yIGxvb2tpbmcgYXQgb25seSwgbm90IGEgdG9rZW4", self.app),
                expires: people::in_a_month(self.now),
            },
            Intent::SafetyNumber { .. } => Reply::SafetyNumber {
                digits: "35712 48203 99164 20077 51390 64258 71003 18842 90615 33471 26809 77520".to_owned(),
                verified: false,
                address: String::new(),
            },
            Intent::SetVerified { conversation, verified } => {
                self.change(conversation, |chat| chat.verified = verified);
                Reply::Ok
            }
            Intent::SetName { name } => {
                self.name = name;
                Reply::Ok
            }
            Intent::CreateGroup { title, .. } => {
                let chat = Conversation {
                    id: people::id(700),
                    title,
                    last_activity: self.now,
                    unread: 0,
                    ..people::conversations(self.now, 0)[1].clone()
                };
                self.chats.insert(0, chat.clone());
                Reply::Conversation(chat)
            }
            Intent::Status => Reply::Status(Status {
                received: 4812,
                unreadable: 0,
                queued: 1,
                repairs: 2,
                conversations: self.chats.len() as u64,
                requests: 2,
            }),
            _ => Reply::Ok,
        })
    }

    fn address(&self) -> String {
        match self.app.as_str() {
            "den" => "robin@den",
            "porch" => "@robin@porch",
            _ => "+491701234567@bell",
        }
        .to_owned()
    }

    fn change(&mut self, id: ConversationId, with: impl FnOnce(&mut Conversation)) {
        if let Some(chat) = self.chats.iter_mut().find(|chat| chat.id == id) {
            with(chat);
            let _ = self.tell.unbounded_send(Happening::Event(Event::Conversation(chat.clone())));
        }
    }

    fn send(&mut self, to: Target, body: Body) -> Result<Reply, Failure> {
        let conversation = match to {
            Target::Conversation(id) => id,
            Target::Address(address) if address.starts_with("nobody") => return Err(Failure::NotReachable),
            Target::Address(title) | Target::Invite(title) => {
                let id = people::id(500 + self.chats.len() as u32);
                let chat = Conversation {
                    id,
                    title,
                    state: ConversationState::Asked,
                    unread: 0,
                    last_activity: self.now,
                    verified: false,
                    ..people::conversations(self.now, 0)[0].clone()
                };
                self.chats.insert(0, chat.clone());
                let _ = self.tell.unbounded_send(Happening::Event(Event::Conversation(chat)));
                id
            }
        };
        let me = people::account(0, self.app.as_str());
        let all = self.messages.entry(conversation).or_default();
        let message = match body {
            Body::Text { text, in_reply_to } => {
                let order = all.last().map_or(1, |last| last.order + 1);
                let message = Message {
                    id: people::message_id(999, order),
                    order,
                    from: None,
                    from_name: None,
                    text,
                    in_reply_to,
                    edited: false,
                    deleted: false,
                    reactions: Vec::new(),
                    time: UnixMillis(js_sys::Date::now() as u64),
                    state: MessageState::Queued,
                };
                all.push(message.clone());
                later(self.tell.clone(), conversation, message.clone());
                message
            }
            Body::Edit { message, text } => edit(all, message, |known| {
                known.text = text;
                known.edited = true;
            })?,
            Body::Delete { message } => edit(all, message, |known| {
                known.text = String::new();
                known.deleted = true;
            })?,
            Body::Reaction { message, emoji } => edit(all, message, |known| {
                known.reactions.retain(|(who, _)| *who != me);
                if !emoji.is_empty() {
                    known.reactions.push((me, emoji));
                }
            })?,
        };
        let id = message.id;
        let _ = self.tell.unbounded_send(Happening::Event(Event::Message { conversation, message }));
        Ok(Reply::Queued { conversation, message: id })
    }
}

fn edit(
    all: &mut [Message],
    id: parlour_proto::ids::MessageId,
    with: impl FnOnce(&mut Message),
) -> Result<Message, Failure> {
    let known = all.iter_mut().find(|message| message.id == id).ok_or(Failure::NotFound("message"))?;
    with(known);
    Ok(known.clone())
}

/// The ticks come one after the other.
fn later(tell: UnboundedSender<Happening>, conversation: ConversationId, message: Message) {
    for (ms, state) in [(300, MessageState::Sent), (900, MessageState::Delivered), (2500, MessageState::Read)] {
        let (tell, message) = (tell.clone(), Message { state, ..message.clone() });
        leptos::prelude::set_timeout(
            move || drop(tell.unbounded_send(Happening::Event(Event::Message { conversation, message }))),
            std::time::Duration::from_millis(ms),
        );
    }
}

fn apps() -> Vec<AppInfo> {
    [("bell", "Bell", SignIn::Phone), ("den", "Den", SignIn::Username), ("porch", "Porch", SignIn::AtHandle)]
        .map(|(app, name, sign_in)| AppInfo {
            app: people::app(app),
            name: name.to_owned(),
            domain: format!("{app}.example.org"),
            sign_in,
            expiry_s: 31_536_000,
        })
        .to_vec()
}

const WORDS: &str = "harbour linen actual orbit mango velvet primary tumble acoustic river silent orange \
    gadget winter humble castle ribbon sample crystal mother unfold ladder pepper dawn";
