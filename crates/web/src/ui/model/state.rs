//! Everything the screens know outside the open conversation, reduced from the engine's events and replies.
//!
//! | `Me` | event | next |
//! |---|---|---|
//! | `Unknown` | who am I: nobody | `Nobody` |
//! | `Unknown`, `Nobody` | who am I: somebody | `Known` |
//! | `Known` | signed out (revoked, deleted) | `Gone` |

use parlour_client::api::{
    Connection, Conversation, ConversationId, ConversationState, Event, Identity, Message, MessageState, Request,
};
use parlour_proto::frames::{AppId, AppInfo};
use parlour_proto::ids::MessageId;
use std::collections::HashMap;
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

/// The last message of a conversation, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    id: MessageId,
    order: u64,
    /// One line.
    pub text: String,
    /// Who wrote it; `None`: oneself.
    pub by: Option<String>,
    /// Whether it is one's own.
    pub own: bool,
    /// Its tick.
    pub state: MessageState,
    /// Deleted for all.
    pub deleted: bool,
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
    previews: HashMap<ConversationId, Preview>,
}

impl AppState {
    /// Takes in an event; gives back what somebody should hear about.
    pub fn apply(&mut self, event: &Event) -> Option<News> {
        match event {
            Event::Connection { state, .. } => self.connection = Some(*state),
            Event::Conversation(conversation) => self.put_conversation(conversation.clone()),
            Event::Message { conversation, message } => return self.put_message(*conversation, message),
            Event::Request(request) => return self.put_request(request),
            Event::SignedOut { why, .. } => self.me = Me::Gone(why.clone()),
            Event::KeysChanged { conversation, .. } => return Some(News::KeysChanged(*conversation)),
            Event::Done(..) | Event::Progress { .. } => {}
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

    /// The newest message of a conversation, as just read for the list.
    pub fn put_preview(&mut self, conversation: ConversationId, message: &Message) {
        // A waiting message stands last and then takes its place among the others: the same message always fits.
        let fits = |known: &Preview| known.id == message.id || known.order <= message.order;
        let fits = self.previews.get(&conversation).is_none_or(fits);
        if fits {
            self.previews.insert(conversation, preview(message));
        }
    }

    /// The last message of a conversation, once known.
    pub fn preview(&self, conversation: ConversationId) -> Option<&Preview> {
        self.previews.get(&conversation)
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

    fn put_message(&mut self, conversation: ConversationId, message: &Message) -> Option<News> {
        let known = self.previews.get(&conversation).map(|known| known.order);
        self.put_preview(conversation, message);
        let is_new = message.state == MessageState::Received && known.is_none_or(|known| known < message.order);
        (is_new && !message.deleted && !message.edited).then(|| News::Message {
            conversation,
            by: message.from_name.clone(),
            text: message.text.clone(),
        })
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
}

/// Requests have a tray of their own.
fn is_listed(conversation: &Conversation) -> bool {
    conversation.state != ConversationState::Request
}

fn preview(message: &Message) -> Preview {
    Preview {
        id: message.id,
        order: message.order,
        text: super::text::preview(&message.text),
        by: message.from_name.clone(),
        own: message.from.is_none(),
        state: message.state,
        deleted: message.deleted,
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

    #[test]
    fn only_a_message_that_is_new_is_news() {
        let mut state = AppState::default();
        let event = Event::Message { conversation: chat(1, 0).id, message: received(5, "hi") };
        assert!(matches!(state.apply(&event), Some(News::Message { .. })));
        assert_eq!(state.apply(&event), None);
        let own = Event::Message { conversation: chat(1, 0).id, message: message(6, "mine") };
        assert_eq!(state.apply(&own), None);
        assert!(state.preview(chat(1, 0).id).unwrap().own);
    }

    #[test]
    fn an_old_message_that_changed_does_not_become_the_preview() {
        let mut state = AppState::default();
        state.put_preview(chat(1, 0).id, &received(9, "newest"));
        state.put_preview(chat(1, 0).id, &received(4, "older, edited"));
        assert_eq!(state.preview(chat(1, 0).id).unwrap().text, "newest");
    }

    #[test]
    fn an_own_message_that_got_its_place_makes_room_for_an_answer() {
        let mut state = AppState::default();
        let queued = Message { order: 1 << 40, state: MessageState::Queued, ..message(3, "mine") };
        state.put_preview(chat(1, 0).id, &queued);
        state.put_preview(chat(1, 0).id, &Message { order: 3, state: MessageState::Sent, ..queued });
        assert_eq!(state.preview(chat(1, 0).id).unwrap().state, MessageState::Sent);
        state.put_preview(chat(1, 0).id, &received(4, "answer"));
        assert_eq!(state.preview(chat(1, 0).id).unwrap().text, "answer");
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
