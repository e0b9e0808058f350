//! Everything the screens know outside the open conversation, reduced from the engine's events and replies.
//!
//! | `Me` | event | next |
//! |---|---|---|
//! | `Unknown` | who am I: nobody | `Nobody` |
//! | `Unknown`, `Nobody` | who am I: somebody | `Known` |
//! | `Known` | signed out (revoked, deleted) | `Gone` |

use super::quiet::is_quiet;
use crate::ui::strings::t;
use parlour_client::api::{
    Connection, Conversation, ConversationId, ConversationState, Event, Identity, IdentityId, Member, Message, Preview,
    Request, Timer,
};
use parlour_proto::frames::{AccountRef, AppId, AppInfo};
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
    /// The accounts of other apps that this one answers for, too.
    pub linked: Vec<Identity>,
    /// What keeps the engine from running.
    pub trouble: Option<Trouble>,
    /// Whether the conversations have been read once.
    pub loaded: bool,
    /// Newest first, and those of accounts that are not shown here.
    chats: Vec<Arc<Conversation>>,
    /// Waiting for a choice, newest first; with the account that is asked.
    requests: Vec<(IdentityId, Request)>,
    /// Who is writing now, where; the first to begin first.
    typing: HashMap<ConversationId, Vec<AccountRef>>,
}

impl AppState {
    /// Takes in an event; gives back what somebody should hear about.
    pub fn apply(&mut self, event: &Event) -> Option<News> {
        match event {
            Event::Connection { identity: OWN, state } => self.connection = Some(*state),
            Event::Conversation(conversation) => return self.hear_conversation(conversation),
            Event::Message { conversation, message } => self.put_message(*conversation, message),
            Event::Request(request) => return self.put_request(self.asked(request.id).unwrap_or(OWN), request),
            Event::SignedOut { identity: OWN, why } => self.me = Me::Gone(why.clone()),
            // What is left of a linked one goes with the list of identities that follows.
            Event::Connection { .. } | Event::SignedOut { .. } => {}
            Event::KeysChanged { conversation, .. } => return Some(News::KeysChanged(*conversation)),
            Event::Profile(member) => self.put_profile(member),
            Event::Devices { identity: IdentityId(0), new: Some(_), .. } => return Some(News::Device),
            Event::Identities(all) => self.put_identities(all),
            Event::Typing { conversation, who, typing } => self.put_typing(*conversation, who, *typing),
            Event::Devices { .. } | Event::LinkAsked { .. } | Event::LinkEnded { .. } => {}
            Event::Restored { .. } | Event::Earlier { .. } | Event::Interference { .. } => {}
            Event::History { .. } | Event::Draft { .. } | Event::JoinEnded { .. } => {}
            Event::Gone { conversation, messages } => self.drop_messages(*conversation, messages),
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
            .retain(|(_, request)| request.id != conversation.id || conversation.state == ConversationState::Request);
        if is_listed(&conversation) {
            self.chats.push(Arc::new(conversation));
            self.sort();
        }
    }

    /// Nobody is known to write: another engine starts from nothing.
    pub fn forget_typing(&mut self) {
        self.typing.clear();
    }

    /// Who is writing there, as they are called; an empty name for somebody who has none.
    pub fn writers(&self, id: ConversationId) -> Vec<String> {
        let writing = self.typing.get(&id).map(Vec::as_slice).unwrap_or_default();
        let Some(chat) = self.chat(id).filter(|_| !writing.is_empty()) else { return Vec::new() };
        let name = |who: &AccountRef| {
            let member = chat.members.iter().find(|member| member.account == *who);
            let name = member.and_then(|member| member.name.clone().or_else(|| member.address.clone()));
            name.or_else(|| (!chat.is_group).then(|| chat.title.clone())).unwrap_or_default()
        };
        writing.iter().map(name).collect()
    }

    /// A request is answered, or its conversation was forgotten.
    pub fn forget(&mut self, id: ConversationId) {
        self.requests.retain(|(_, request)| request.id != id);
    }

    /// All requests, as just read, with the account that is asked.
    pub fn set_requests(&mut self, mut requests: Vec<(IdentityId, Request)>) {
        requests.sort_by_key(|(_, request)| std::cmp::Reverse(request.time));
        self.requests = requests;
    }

    /// Those to accounts that are shown here, newest first.
    pub fn requests(&self) -> impl Iterator<Item = &(IdentityId, Request)> {
        self.requests.iter().filter(|(asked, _)| self.is_shown(*asked))
    }

    /// The account that a known request asks.
    pub fn asked(&self, id: ConversationId) -> Option<IdentityId> {
        self.requests.iter().find(|(_, request)| request.id == id).map(|(asked, _)| *asked)
    }

    /// All accounts, this app's own first.
    pub fn accounts(&self) -> impl Iterator<Item = &Identity> {
        self.identity().into_iter().chain(&self.linked)
    }

    /// One of them.
    pub fn account(&self, id: IdentityId) -> Option<&Identity> {
        self.accounts().find(|account| account.id == id)
    }

    /// One of them, to be changed.
    pub fn account_mut(&mut self, id: IdentityId) -> Option<&mut Identity> {
        let own = match &mut self.me {
            Me::Known(me) => Some(me),
            _ => None,
        };
        own.into_iter().chain(&mut self.linked).find(|account| account.id == id)
    }

    /// The account that talks in a conversation.
    pub fn account_in(&self, id: ConversationId) -> Option<&Identity> {
        self.account(self.chat(id)?.identity)
    }

    /// The account that it is of, where it is another one than this app's own.
    pub fn linked_to(&self, id: IdentityId) -> Option<&Identity> {
        self.linked.iter().find(|account| account.id == id)
    }

    /// All accounts, as just read or told; what was of others goes.
    pub fn set_accounts(&mut self, mut all: Vec<Identity>) {
        all.sort_by_key(|account| account.id);
        let mut all = all.into_iter();
        self.me = all.next().map_or(Me::Nobody, Me::Known);
        self.linked = all.collect();
        let ids: Vec<IdentityId> = self.accounts().map(|account| account.id).collect();
        self.chats.retain(|chat| ids.contains(&chat.identity));
        self.requests.retain(|(asked, _)| ids.contains(asked));
    }

    /// Whether what comes for an account is shown here.
    pub fn is_shown(&self, id: IdentityId) -> bool {
        self.account(id).is_none_or(|account| !account.showing.off)
    }

    /// Whether something makes a sound at this minute of the day.
    pub fn is_loud(&self, news: &News, minute: u16) -> bool {
        let of = match news {
            News::Message { conversation, .. } | News::KeysChanged(conversation) => {
                self.chat(*conversation).map(|chat| chat.identity)
            }
            News::Request(asked) => Some(*asked),
            News::Device => None,
        };
        let showing = of.and_then(|of| self.account(of)).map(|account| account.showing);
        showing.is_none_or(|showing| !showing.off && !is_quiet(showing.quiet, minute))
    }

    /// The conversations of accounts that are shown here, newest first.
    pub fn chats(&self) -> impl Iterator<Item = &Arc<Conversation>> {
        self.chats.iter().filter(|chat| self.is_shown(chat.identity))
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
        self.chats().filter(fits).cloned().collect()
    }

    /// Unread messages and waiting requests, for the title.
    pub fn unread(&self) -> u64 {
        self.chats().map(|chat| u64::from(chat.unread)).sum::<u64>() + self.requests().count() as u64
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
        let is_new = conversation.unread > known && is_listed(conversation) && self.is_shown(conversation.identity);
        let last = conversation.last.as_ref().filter(|_| is_new)?;
        Some(News::Message {
            conversation: conversation.id,
            by: last.from_name.clone(),
            text: super::lasting::line(last, t()),
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

    /// The message that the list shows may be among those whose time is over; what is the newest now, comes.
    fn drop_messages(&mut self, conversation: ConversationId, gone: &[MessageId]) {
        let chat = self.chats.iter_mut().find(|chat| chat.id == conversation);
        let shown = |chat: &&mut Arc<Conversation>| chat.last.as_ref().is_some_and(|last| gone.contains(&last.id));
        if let Some(chat) = chat.filter(shown) {
            Arc::make_mut(chat).last = None;
        }
    }

    /// Another own device changed one's name, or an account came or went. Somebody who is nobody here does not become
    /// somebody by it.
    fn put_identities(&mut self, all: &[Identity]) {
        if matches!(self.me, Me::Known(_)) && all.iter().any(|account| account.id == OWN) {
            self.set_accounts(all.to_vec());
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

    fn put_typing(&mut self, conversation: ConversationId, who: &AccountRef, typing: bool) {
        let writing = self.typing.entry(conversation).or_default();
        writing.retain(|known| known != who);
        if typing {
            writing.push(who.clone());
        }
        if writing.is_empty() {
            self.typing.remove(&conversation);
        }
    }

    /// Somebody asks one of the accounts.
    pub fn put_request(&mut self, asked: IdentityId, request: &Request) -> Option<News> {
        let is_new = self.asked(request.id).is_none();
        self.forget(request.id);
        self.requests.insert(0, (asked, request.clone()));
        (is_new && self.is_shown(asked)).then_some(News::Request(asked))
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
    /// Somebody asks this account.
    Request(IdentityId),
    /// Somebody's keys changed.
    KeysChanged(ConversationId),
    /// The account has a device that nobody here has linked.
    Device,
}

/// This app's own account.
pub const OWN: IdentityId = IdentityId(0);

/// Requests have a tray of their own.
fn is_listed(conversation: &Conversation) -> bool {
    conversation.state != ConversationState::Request
}

/// A message as the list shows it.
pub(crate) fn preview(message: &Message) -> Preview {
    let once = message.timer == Some(Timer::Once);
    Preview {
        id: message.id,
        from: message.from.clone(),
        from_name: message.from_name.clone(),
        text: if once { String::new() } else { message.text.clone() },
        deleted: message.deleted,
        time: message.time,
        state: message.state,
        once,
        notice: message.notice,
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
        let order: Vec<u64> = state.chats().map(|chat| chat.last_activity.0).collect();
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
        let text = |state: &AppState| state.chats().next().unwrap().last.as_ref().unwrap().text.clone();
        state.apply(&Event::Message { conversation: chat(1, 0).id, message: received(4, "older, edited") });
        assert_eq!(text(&state), "newest");
        state.apply(&Event::Message { conversation: chat(1, 0).id, message: message(9, "edited") });
        assert_eq!(text(&state), "edited");
    }

    #[test]
    fn what_is_gone_is_not_shown_in_the_list_and_what_came_after_it_is() {
        let mut state = AppState::default();
        let gone = |n| Event::Gone { conversation: chat(1, 0).id, messages: vec![message(n, "").id] };
        let shown = |state: &AppState| state.chats().next().unwrap().last.as_ref().map(|last| last.text.clone());
        state.apply(&with_last(0, &message(9, "newest")));
        state.apply(&gone(8));
        assert_eq!(shown(&state).as_deref(), Some("newest"));
        state.apply(&gone(9));
        assert_eq!(shown(&state), None);
    }

    #[test]
    fn who_writes_is_named_until_they_stop_or_the_engine_starts_anew() {
        use crate::ui::model::samples::account;
        let mut state = AppState::default();
        let named = |n: u8, name: Option<&str>| Member {
            account: account(n),
            address: None,
            name: name.map(str::to_owned),
            picture: None,
        };
        let members = vec![named(1, Some("Ben")), named(2, Some("Cleo")), named(3, None)];
        state.set_conversations(vec![Conversation { members, is_group: true, ..chat(1, 10) }]);
        let id = chat(1, 0).id;
        let mut says = |n, typing| {
            state.apply(&Event::Typing { conversation: id, who: account(n), typing });
            state.writers(id)
        };
        assert_eq!(says(1, true), ["Ben"]);
        assert_eq!(says(2, true), ["Ben", "Cleo"]);
        assert_eq!(says(3, true), ["Ben", "Cleo", ""]);
        assert_eq!(says(1, false), ["Cleo", ""]);
        state.forget_typing();
        assert!(state.writers(id).is_empty());
    }

    #[test]
    fn what_is_of_an_account_that_is_not_shown_is_nowhere_and_comes_back_with_it() {
        use crate::ui::model::samples::{identity, request};
        let (own, den) = (identity(0, "bell"), identity(1, "den"));
        let mut state = AppState::default();
        state.set_accounts(vec![den.clone(), own.clone()]);
        assert_eq!(state.identity(), Some(&own));
        let of_den = |unread| Conversation { identity: IdentityId(1), unread, ..chat(2, 20) };
        state.set_conversations(vec![chat(1, 10), of_den(0)]);
        assert_eq!(state.account_in(of_den(0).id), Some(&den));
        let heard = Conversation { last: Some(preview(&received(5, "hi"))), ..of_den(1) };
        let news = state.apply(&Event::Conversation(heard.clone())).unwrap();
        assert!(state.is_loud(&news, 600));
        state.put_request(IdentityId(1), &request(7));
        assert_eq!((state.chats().count(), state.unread()), (2, 2));

        let mut quiet = den.clone();
        quiet.showing.quiet = Some((540, 660));
        state.apply(&Event::Identities(vec![own.clone(), quiet]));
        assert!(!state.is_loud(&news, 600) && state.is_loud(&news, 660));

        let mut off = den.clone();
        off.showing.off = true;
        state.apply(&Event::Identities(vec![own.clone(), off]));
        assert_eq!((state.chats().count(), state.unread(), state.found("").len()), (1, 0, 1));
        assert_eq!(state.apply(&Event::Conversation(Conversation { unread: 2, ..heard })), None);
        assert_eq!(state.put_request(IdentityId(1), &request(8)), None);

        state.apply(&Event::Identities(vec![own.clone(), den]));
        assert_eq!((state.chats().count(), state.requests().count()), (2, 2));
        state.apply(&Event::Identities(vec![own]));
        assert_eq!((state.chats().count(), state.requests().count(), state.accounts().count()), (1, 0, 1));
    }

    #[test]
    fn a_linked_account_that_is_signed_out_signs_nobody_else_out() {
        use crate::ui::model::samples::identity;
        let mut state = AppState::default();
        state.set_accounts(vec![identity(0, "bell"), identity(1, "den")]);
        state.apply(&Event::SignedOut { identity: IdentityId(1), why: "revoked".to_owned() });
        assert!(state.identity().is_some());
        state.apply(&Event::SignedOut { identity: OWN, why: "revoked".to_owned() });
        assert!(matches!(state.me, Me::Gone(_)));
    }

    #[test]
    fn an_accepted_request_leaves_the_tray() {
        let mut state = AppState::default();
        let request = crate::ui::model::samples::request(7);
        assert_eq!(state.apply(&Event::Request(request.clone())), Some(News::Request(OWN)));
        assert_eq!(state.unread(), 1);
        state.apply(&Event::Conversation(chat(7, 5)));
        assert!(state.requests.is_empty());
        assert_eq!(state.chats().count(), 1);
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
