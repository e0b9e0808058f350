//! Everything the screens know outside the open conversation, reduced from the engine's events and replies.
//!
//! | `Me` | event | next |
//! |---|---|---|
//! | `Unknown` | who am I: nobody | `Nobody` |
//! | `Unknown`, `Nobody` | who am I: somebody | `Known` |
//! | `Known` | signed out (revoked, deleted) | `Gone` |

use parlour_client::api::{
    Connection, Conversation, ConversationId, ConversationState, Event, Identity, IdentityId, Member, Message, Preview,
    Request,
};
use parlour_proto::frames::{AppId, AppInfo};
use std::sync::Arc;

/// Who uses this browser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Me {
    /// The engine has not answered yet.
    #[default]
    Unknown,
    /// Nobody signed in.
    Nobody,
    /// Somebody.
    Known(Identity),
    /// The account is gone or this device was revoked.
    Gone(String),
}

/// Why there is no engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Another tab runs another version.
    OtherBuild,
    /// It cannot run, and why.
    Broken(String),
}

/// The state.
#[derive(Debug, Clone, Default)]
pub struct AppState {
    /// Who.
    pub me: Me,
    /// The inbox connection; `None` until the engine says.
    pub connection: Option<Connection>,
    /// The apps of this server.
    pub apps: Vec<AppInfo>,
    /// Requests waiting for a choice, newest first.
    pub requests: Vec<Request>,
    /// What keeps the engine from running.
    pub trouble: Option<Trouble>,
    /// Whether the conversations have been read once.
    pub loaded: bool,
    chats: Vec<Arc<Conversation>>,
}

impl AppState {
    /// Takes in an event; gives back what somebody should hear about.
    pub fn apply(&mut self, event: &Event) -> Option<News> {
        match event {
            Event::Connection { state, .. } => self.connection = Some(*state),
            Event::Conversation(conversation) => return self.hear_conversation(conversation),
            Event::Message { conversation, message } => self.put_message(*conversation, message),
            Event::Request(request) => return self.put_request(request),
            Event::SignedOut { why, .. } => self.me = Me::Gone(why.clone()),
            Event::KeysChanged { conversation, .. } => return Some(News::KeysChanged(*conversation)),
            Event::Profile(member) => self.put_profile(member),
            Event::Devices { identity: IdentityId(0), new: Some(_), .. } => return Some(News::Device),
            Event::Identities(all) => self.put_identities(all),
            Event::Devices { .. } | Event::LinkAsked { .. } | Event::LinkEnded { .. } => {}
            Event::History { .. } | Event::Draft { .. } => {}
            Event::NotSent { .. } | Event::Done(..) | Event::Progress { .. } => {}
        }
        None
    }

    /// All conversations, as just read.
    pub fn set_conversations(&mut self, conversations: Vec<Conversation>) {
        self.chats = conversations.into_iter().filter(is_listed).map(Arc::new).collect();
        self.sort();
        self.loaded = true;
    }

    /// One conversation is new or changed.
    pub fn put_conversation(&mut self, conversation: Conversation) {
        self.chats.retain(|known| known.id != conversation.id);
        self.requests
            .retain(|request| request.id != conversation.id || conversation.state == ConversationState::Request);
        if is_listed(&conversation) {
            self.chats.push(Arc::new(conversation));
            self.sort();
        }
    }

    /// A request is answered, or its conversation was forgotten.
    pub fn forget(&mut self, id: ConversationId) {
        self.requests.retain(|request| request.id != id);
    }

    /// All requests, as just read.
    pub fn set_requests(&mut self, mut requests: Vec<Request>) {
        requests.sort_by_key(|request| std::cmp::Reverse(request.time));
        self.requests = requests;
    }

    /// All conversations, newest first.
    pub fn chats(&self) -> &[Arc<Conversation>] {
        &self.chats
    }

    /// One of them.
    pub fn chat(&self, id: ConversationId) -> Option<&Arc<Conversation>> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    /// Those whose title, names or addresses contain all words of a search.
    pub fn found(&self, search: &str) -> Vec<Arc<Conversation>> {
        let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
        let fits = |chat: &&Arc<Conversation>| {
            let mut text = chat.title.to_lowercase();
            for member in &chat.members {
                text.extend(member.name.iter().chain(&member.address).flat_map(|name| [" ", name]));
            }
            let text = text.to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        self.chats.iter().filter(fits).cloned().collect()
    }

    /// Unread messages and waiting requests, for the title.
    pub fn unread(&self) -> u64 {
        self.chats.iter().map(|chat| u64::from(chat.unread)).sum::<u64>() + self.requests.len() as u64
    }

    /// Name for people of an app.
    pub fn app_name(&self, app: &AppId) -> String {
        let known = self.apps.iter().find(|info| info.app == *app).map(|info| info.name.clone());
        known.unwrap_or_else(|| {
            let mut letters = app.as_str().chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        })
    }

    /// The one signed in.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.me {
            Me::Known(identity) => Some(identity),
            _ => None,
        }
    }

    /// More unread messages than before: the newest is news.
    fn hear_conversation(&mut self, conversation: &Conversation) -> Option<News> {
        let known = self.chat(conversation.id).map_or(0, |chat| chat.unread);
        self.put_conversation(conversation.clone());
        let last = conversation.last.as_ref().filter(|_| conversation.unread > known && is_listed(conversation))?;
        Some(News::Message {
            conversation: conversation.id,
            by: last.from_name.clone(),
            text: super::text::preview(&last.text),
        })
    }

    /// A tick, an edit, a deletion of the message that the list shows.
    fn put_message(&mut self, conversation: ConversationId, message: &Message) {
        let chat = self.chats.iter_mut().find(|chat| chat.id == conversation);
        if let Some(last) = chat.and_then(|chat| Arc::make_mut(chat).last.as_mut())
            && last.id == message.id
        {
            *last = preview(message);
        }
    }

    /// Another own device changed one's name.
    fn put_identities(&mut self, all: &[Identity]) {
        if let (Me::Known(me), Some(first)) = (&mut self.me, all.first()) {
            me.clone_from(first);
        }
    }

    /// Somebody looks another way, wherever they are shown.
    fn put_profile(&mut self, member: &Member) {
        let of = |known: &&mut Member| known.account == member.account;
        for chat in &mut self.chats {
            if !chat.members.iter().any(|known| known.account == member.account) {
                continue;
            }
            let chat = Arc::make_mut(chat);
            if let Some(known) = chat.members.iter_mut().find(of) {
                known.clone_from(member);
            }
            if let Some(name) = member.name.as_ref().filter(|_| !chat.is_group) {
                chat.title.clone_from(name);
            }
        }
    }

    fn put_request(&mut self, request: &Request) -> Option<News> {
        let is_new = !self.requests.iter().any(|known| known.id == request.id);
        self.requests.retain(|known| known.id != request.id);
        self.requests.insert(0, request.clone());
        is_new.then_some(News::Request)
    }

    fn sort(&mut self) {
        self.chats.sort_by_key(|chat| std::cmp::Reverse((chat.last_activity, chat.id)));
    }
}

/// What somebody should hear about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A message came in.
    Message {
        /// Where.
        conversation: ConversationId,
        /// Who wrote it.
        by: Option<String>,
        /// What.
        text: String,
    },
    /// Somebody asks.
    Request,
    /// Somebody's keys changed.
    KeysChanged(ConversationId),
    /// The account has a device that nobody here has linked.
    Device,
}

/// Requests have a tray of their own.
fn is_listed(conversation: &Conversation) -> bool {
    conversation.state != ConversationState::Request
}

fn preview(message: &Message) -> Preview {
    Preview {
        id: message.id,
        from: message.from.clone(),
        from_name: message.from_name.clone(),
        text: message.text.clone(),
        deleted: message.deleted,
        time: message.time,
        state: message.state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::model::samples::{chat, message, received};

    #[test]
    fn the_newest_conversation_is_first_and_requests_are_not_among_them() {
        let mut state = AppState::default();
        let mut asking = chat(3, 30);
        asking.state = ConversationState::Request;
        state.set_conversations(vec![chat(1, 10), chat(2, 20), asking]);
        state.apply(&Event::Conversation(chat(1, 40)));
        let order: Vec<u64> = state.chats().iter().map(|chat| chat.last_activity.0).collect();
        assert_eq!(order, [40, 20]);
    }

    fn with_last(unread: u32, message: &Message) -> Event {
        Event::Conversation(Conversation { unread, last: Some(preview(message)), ..chat(1, 0) })
    }

    #[test]
    fn only_what_adds_to_the_unread_is_news() {
        let mut state = AppState::default();
        assert!(matches!(state.apply(&with_last(1, &received(5, "hi"))), Some(News::Message { .. })));
        assert_eq!(state.apply(&with_last(1, &received(5, "hi"))), None);
        assert_eq!(state.apply(&with_last(0, &message(6, "mine"))), None);
        assert!(matches!(state.apply(&with_last(1, &received(7, "again"))), Some(News::Message { .. })));
    }

    #[test]
    fn the_list_follows_its_message_and_no_older_one() {
        let mut state = AppState::default();
        state.apply(&with_last(0, &message(9, "newest")));
        let text = |state: &AppState| state.chats()[0].last.as_ref().unwrap().text.clone();
        state.apply(&Event::Message { conversation: chat(1, 0).id, message: received(4, "older, edited") });
        assert_eq!(text(&state), "newest");
        state.apply(&Event::Message { conversation: chat(1, 0).id, message: message(9, "edited") });
        assert_eq!(text(&state), "edited");
    }

    #[test]
    fn an_accepted_request_leaves_the_tray() {
        let mut state = AppState::default();
        let request = crate::ui::model::samples::request(7);
        assert_eq!(state.apply(&Event::Request(request.clone())), Some(News::Request));
        assert_eq!(state.unread(), 1);
        state.apply(&Event::Conversation(chat(7, 5)));
        assert!(state.requests.is_empty());
        assert_eq!(state.chats().len(), 1);
    }

    #[test]
    fn search_wants_all_words_somewhere() {
        let mut state = AppState::default();
        let mut ana = chat(1, 10);
        ana.title = "Ana López".to_owned();
        state.set_conversations(vec![ana, chat(2, 20)]);
        assert_eq!(state.found("lóp an").len(), 1);
        assert_eq!(state.found("").len(), 2);
        assert!(state.found("ana nobody").is_empty());
    }
}
