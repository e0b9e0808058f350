//! What every view has at hand: the state as signals, and the way to the engine.

use super::dom;
use super::face::Faces;
use crate::bus::{Call, Outcome};
use crate::ui::model::devices::Devices;
use crate::ui::model::route::{Route, conversation_from_hex, conversation_hex};
use crate::ui::model::state::{AppState, News, Trouble};
use crate::ui::model::thread::{PAGE, Thread};
use crate::ui::port::{Engine, Fault, Happening};
use crate::ui::strings::{explain, fill, t};
use futures_channel::mpsc::UnboundedReceiver;
use futures_util::StreamExt as _;
use futures_util::future::join4;
use leptos::prelude::*;
use leptos::task::spawn_local;
use parlour_client::api::{ConversationId, Event, Failure, Identity, IdentityId, Intent, LinkEnd, Reply, Reports};
use parlour_proto::frames::{AppId, SignIn};
use parlour_proto::ids::{MessageId, UnixMillis};
use std::collections::HashMap;
use std::rc::Rc;
use zeroize::Zeroizing;

/// How it looks here; kept outside the sealed rows, for nothing in it is about people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looks {
    pub theme: String,
    pub size: String,
    pub language: String,
}

/// A sentence at the lower edge, for a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toast {
    pub text: String,
    pub is_error: bool,
    number: u32,
}

/// An account just made, until its recovery key is kept and its name given.
#[derive(Clone)]
pub(crate) struct Newborn {
    pub address: String,
    pub words: Zeroizing<String>,
    pub kept: bool,
}

/// What the composer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Writing {
    #[default]
    New,
    Reply(MessageId),
    Edit(MessageId),
}

/// All of it; a handle, to be copied into every view and handler.
#[derive(Clone, Copy)]
pub(crate) struct Desk {
    engine: StoredValue<Rc<dyn Engine>, LocalStorage>,
    pub app: StoredValue<AppId>,
    pub name: StoredValue<String>,
    pub sign_in: SignIn,
    pub state: RwSignal<AppState>,
    pub thread: RwSignal<Thread>,
    pub writing: RwSignal<Writing>,
    /// What is being written, on any own device.
    pub drafts: RwSignal<HashMap<ConversationId, String>>,
    /// How often it was heard that one is in a group by a link, or will not be.
    pub joins: RwSignal<u32>,
    /// The last of them that another device wrote, for the field that shows it.
    pub heard_draft: RwSignal<Option<(ConversationId, String)>>,
    /// Whether somebody has typed into the field since it was filled.
    pub has_typed: StoredValue<bool>,
    /// The account's devices, and what goes on between them.
    pub devices: RwSignal<Devices>,
    pub keys_changed: RwSignal<HashMap<ConversationId, UnixMillis>>,
    pub route: RwSignal<Route>,
    pub looks: RwSignal<Looks>,
    /// Whether a message that comes while nobody looks is told of, without anything of it.
    pub notifies: RwSignal<bool>,
    /// Pictures of people.
    pub faces: Faces,
    pub newborn: RwSignal<Option<Newborn>>,
    pub toast: RwSignal<Option<Toast>>,
    /// For screen readers: what just happened.
    pub said: RwSignal<String>,
    /// Today, so that separators move at midnight.
    pub today: RwSignal<i64>,
}

impl Desk {
    pub(crate) fn new(app: AppId, name: String, sign_in: SignIn, engine: Rc<dyn Engine>) -> Self {
        let desk = Self {
            engine: StoredValue::new_local(engine),
            app: StoredValue::new(app),
            name: StoredValue::new(name),
            sign_in,
            state: RwSignal::new(AppState::default()),
            thread: RwSignal::new(Thread::default()),
            writing: RwSignal::new(Writing::New),
            drafts: RwSignal::new(HashMap::new()),
            joins: RwSignal::new(0),
            heard_draft: RwSignal::new(None),
            has_typed: StoredValue::new(false),
            devices: RwSignal::new(Devices::default()),
            keys_changed: RwSignal::new(HashMap::new()),
            route: RwSignal::new(Route::parse(&dom::hash())),
            looks: RwSignal::new(Looks::load()),
            notifies: RwSignal::new(super::notify::is_on()),
            faces: Faces::new(),
            newborn: RwSignal::new(None),
            toast: RwSignal::new(None),
            said: RwSignal::new(String::new()),
            today: RwSignal::new(dom::today()),
        };
        desk.keep_page_in_step();
        desk
    }

    /// Asks the engine.
    pub(crate) async fn ask(self, intent: Intent) -> Result<Reply, Fault> {
        match self.call(Call::Intent(intent)).await? {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Kept(_) => Err(Fault::Interrupted),
        }
    }

    async fn call(self, call: Call) -> Result<Outcome, Fault> {
        let answer = self.engine.with_value(|engine| engine.call(call));
        answer.await
    }

    /// Asks, and says so if it fails; then does something with the reply.
    pub(crate) fn then(self, intent: Intent, with: impl FnOnce(Reply) + 'static) {
        spawn_local(async move {
            match self.ask(intent).await {
                Ok(reply) => with(reply),
                Err(fault) => self.complain(&fault),
            }
        });
    }

    /// Asks, and says so if it fails.
    pub(crate) fn please(self, intent: Intent) {
        self.then(intent, |_| {});
    }

    pub(crate) fn keep(self, key: String, value: Option<Vec<u8>>) {
        spawn_local(async move {
            if let Err(fault) = self.call(Call::Keep { key, value }).await {
                self.complain(&fault);
            }
        });
    }

    pub(super) async fn kept(self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        match self.call(Call::Kept { prefix: prefix.to_owned() }).await {
            Ok(Outcome::Kept(notes)) => notes,
            _ => Vec::new(),
        }
    }

    /// Forgets everything here.
    pub(crate) fn wipe(self) {
        if let Some(storage) = dom::storage() {
            let _ = storage.clear();
        }
        spawn_local(async move {
            let _ = self.call(Call::Wipe).await;
        });
    }

    pub(crate) fn go(self, route: Route) {
        dom::set_hash(&route.hash());
    }

    pub(crate) fn tell(self, text: impl Into<String>) {
        self.put_toast(text.into(), false);
    }

    pub(crate) fn complain_text(self, text: &str) {
        self.put_toast(text.to_owned(), true);
    }

    pub(crate) fn complain(self, fault: &Fault) {
        self.put_toast(explain(fault), true);
    }

    fn put_toast(self, text: String, is_error: bool) {
        let number = self.toast.with_untracked(|toast| toast.as_ref().map_or(0, |toast| toast.number + 1));
        self.toast.set(Some(Toast { text, is_error, number }));
        let over = move || {
            if self.toast.with_untracked(|toast| toast.as_ref().is_some_and(|toast| toast.number == number)) {
                self.toast.set(None);
            }
        };
        set_timeout(over, std::time::Duration::from_secs(if is_error { 7 } else { 4 }));
    }

    /// Listens to the engine. All that came at once is taken in at once, so that catching up does not redraw a thousand times.
    pub(crate) fn hear(self, happenings: UnboundedReceiver<Happening>) {
        spawn_local(async move {
            let mut batches = happenings.ready_chunks(2000);
            while let Some(batch) = batches.next().await {
                self.take(batch);
                next_frame().await;
            }
        });
    }

    fn take(self, batch: Vec<Happening>) {
        let mut events = Vec::new();
        for happening in batch {
            match happening {
                Happening::Event(event) => events.push(event),
                Happening::Here => {
                    self.state.update(|state| {
                        state.trouble = None;
                        state.forget_typing();
                    });
                    // Another engine knows of no code.
                    self.devices.update(|devices| devices.end_offer(LinkEnd::Expired));
                    spawn_local(self.read_all());
                }
                Happening::OtherBuild => self.state.update(|state| state.trouble = Some(Trouble::OtherBuild)),
                Happening::Broken(why) => self.state.update(|state| state.trouble = Some(Trouble::Broken(why))),
                Happening::Wiped => {}
            }
        }
        if !events.is_empty() {
            self.take_events(&events);
        }
    }

    fn take_events(self, events: &[Event]) {
        let mut news = Vec::new();
        for event in events {
            self.hear_of_accounts(event);
        }
        self.state.update(|state| {
            // Where there are several accounts, a request that is not known waits until it is known whom it asks.
            let waits = |event: &Event, state: &AppState| matches!(event, Event::Request(request) if !state.linked.is_empty() && state.asked(request.id).is_none());
            for event in events {
                if !waits(event, state) {
                    news.extend(state.apply(event));
                }
            }
        });
        let open = self.thread.with_untracked(Thread::id);
        let here = |event: &&Event| matches!(event, Event::Message { conversation, .. } | Event::Gone { conversation, .. } if Some(*conversation) == open);
        if events.iter().any(|event| here(&event)) {
            self.thread.update(|thread| {
                for event in events.iter().filter(here) {
                    match event {
                        Event::Message { message, .. } => thread.hear(message.clone()),
                        Event::Gone { messages, .. } => thread.forget(messages),
                        _ => {}
                    }
                }
            });
            for event in events.iter().filter(here) {
                if let Event::Gone { messages, .. } = event {
                    self.forget(messages);
                }
            }
        }
        for event in events {
            if let Event::NotSent { why, .. } = event {
                self.complain(&Fault::Failed(why.clone()));
            }
            if let Event::Earlier { conversation } = event
                && Some(*conversation) == open
                && let Some(Some(before)) = self.thread.try_update_untracked(Thread::grows)
            {
                self.read_page(*conversation, before);
            }
            self.hear_of_devices(event);
        }
        self.announce(&news);
        // Another tab has linked an account.
        let is_new = |state: &AppState| {
            let of = |event: &Event| matches!(event, Event::Conversation(one) if state.account(one.identity).is_none());
            state.identity().is_some() && events.iter().any(of)
        };
        if self.state.with_untracked(is_new) {
            spawn_local(self.read_me());
        }
    }

    /// Messages of the open conversation are not to be seen any more: nobody answers or changes them, or hears them read out.
    fn forget(self, gone: &[MessageId]) {
        if let Writing::Reply(id) | Writing::Edit(id) = self.writing.get_untracked()
            && gone.contains(&id)
        {
            self.writing.set(Writing::New);
        }
        self.said.set(String::new());
    }

    /// What happens to linked accounts, to wishes to join, and to the server.
    fn hear_of_accounts(self, event: &Event) {
        match event {
            Event::SignedOut { identity, .. } => {
                let account = self.state.with_untracked(|state| state.linked_to(*identity).cloned());
                if let Some(account) = account {
                    let address = super::accounts::shown(&account.address);
                    self.tell(fill(t().account_gone, &[("address", &address)]));
                }
            }
            Event::Restored { .. } => self.tell(t().server_restored),
            Event::Interference { .. } => self.tell(t().interference),
            Event::JoinEnded { joined, .. } => {
                self.joins.update(|joins| *joins += 1);
                if joined.is_none() {
                    self.tell(t().join_ended);
                }
            }
            Event::Request(request) => {
                let waits = |state: &AppState| !state.linked.is_empty() && state.asked(request.id).is_none();
                if self.state.with_untracked(waits) {
                    spawn_local(self.hear_request(request.clone()));
                }
            }
            _ => {}
        }
    }

    pub(super) fn announce(self, news: &[News]) {
        let open = self.route.with_untracked(Route::conversation);
        let minute = super::accounts::minute_now();
        let is_loud = |state: &AppState| news.iter().any(|one| state.is_loud(one, minute));
        if self.state.with_untracked(is_loud) && !dom::is_visible() && self.notifies.get_untracked() {
            super::notify::notify(self);
        }
        for one in news {
            match one {
                News::Message { conversation, by, text } if Some(*conversation) == open => {
                    let by = by.clone().unwrap_or_default();
                    self.said.set(fill(t().said_message, &[("who", &by), ("text", text)]));
                }
                News::Message { .. } => {}
                News::Request(_) => self.said.set(t().said_request.to_owned()),
                News::KeysChanged(conversation) => self.note_keys(*conversation),
                // The notice is an alert itself.
                News::Device => {}
            }
        }
    }

    fn note_keys(self, conversation: ConversationId) {
        let now = dom::now();
        self.keys_changed.update(|keys| {
            keys.insert(conversation, now);
        });
        self.keep(format!("keys/{}", conversation_hex(conversation)), Some(now.0.to_be_bytes().to_vec()));
        if self.thread.with_untracked(Thread::id) == Some(conversation) {
            self.thread.update(|thread| thread.keys_changed = Some(now));
        }
        self.said.set(t().keys_changed_short.to_owned());
    }

    /// Reads everything that is shown, again. All of it is asked for at once; the answers come in this order. The network
    /// comes after it, as nobody waits for it as for what is here.
    pub(crate) async fn read_all(self) {
        let (known, (), (), ()) =
            join4(self.begin(), self.read_notes(), self.read_drafts(), self.read_conversations()).await;
        if !known {
            return;
        }
        if self.state.with_untracked(|state| state.identity().is_some()) {
            if let Some(id) = self.route.with_untracked(Route::conversation) {
                self.thread.set(Thread::default());
                self.open(id);
            }
            self.read_requests().await;
            spawn_local(self.read_devices());
        }
        if let Ok(Reply::Apps(apps)) = self.ask(Intent::Apps).await {
            self.state.update(|state| state.apps = apps);
        }
    }

    /// Reads who this is, and has it connected before a page is drawn that asks the server; whether it could be read.
    async fn begin(self) -> bool {
        let Some(all) = self.who_am_i().await else { return false };
        if !all.is_empty() {
            self.please(Intent::Sync);
        }
        self.state.update(|state| state.set_accounts(all));
        true
    }

    /// Reads who this is.
    pub(super) async fn read_me(self) {
        if let Some(all) = self.who_am_i().await {
            self.state.update(|state| state.set_accounts(all));
        }
    }

    async fn who_am_i(self) -> Option<Vec<Identity>> {
        match self.ask(Intent::WhoAmI).await {
            Ok(Reply::Identities(all)) => Some(all),
            Err(Fault::Failed(Failure::NotSignedIn)) => Some(Vec::new()),
            _ => None,
        }
    }

    async fn read_conversations(self) {
        if let Ok(Reply::Conversations(chats)) = self.ask(Intent::Conversations).await {
            self.state.update(|state| state.set_conversations(chats));
        }
    }

    async fn read_notes(self) {
        let id = |key: &str| conversation_from_hex(key.split_once('/')?.1);
        let keys = self.kept("keys/").await.into_iter();
        let keys = keys.filter_map(|(key, at)| Some((id(&key)?, UnixMillis(u64::from_be_bytes(at.try_into().ok()?)))));
        self.keys_changed.set(keys.collect());
    }

    /// Opens a conversation: its newest page, and the unread line.
    pub(crate) fn open(self, id: ConversationId) {
        if self.thread.with_untracked(Thread::id) == Some(id) {
            return;
        }
        let unread = self.state.with_untracked(|state| state.chat(id).map_or(0, |chat| chat.unread));
        let mut thread = Thread::open(id, unread);
        thread.keys_changed = self.keys_changed.with_untracked(|keys| keys.get(&id).copied());
        thread.loading = true;
        self.thread.set(thread);
        self.writing.set(Writing::New);
        self.read_page(id, None);
    }

    /// Reads the page before what has been read, if there is one.
    pub(crate) fn read_older(self) {
        let (id, before) = self.thread.with_untracked(|thread| (thread.id(), thread.page_before()));
        if let (Some(id), Some(before)) = (id, before) {
            // Nothing that is shown depends on it.
            self.thread.update_untracked(|thread| thread.loading = true);
            self.read_page(id, Some(before));
        }
    }

    fn read_page(self, id: ConversationId, before: Option<u64>) {
        let intent = Intent::Messages { conversation: id, before, limit: PAGE };
        spawn_local(async move {
            let page = match self.ask(intent).await {
                Ok(Reply::Messages(page)) => Ok(page),
                Ok(_) => Err(Fault::Interrupted),
                Err(fault) => Err(fault),
            };
            let is_here = self.thread.with_untracked(Thread::id) == Some(id);
            match page {
                Ok(page) if is_here => {
                    let before = self.thread.try_update(|thread| {
                        let grown = thread.page_came(before, page);
                        grown.then(|| thread.grows()).flatten()
                    });
                    if let Some(Some(before)) = before {
                        self.read_page(id, before);
                    }
                }
                Ok(_) => {}
                Err(fault) => {
                    if is_here {
                        self.thread.update_untracked(Thread::page_failed);
                    }
                    self.complain(&fault);
                }
            }
        });
    }

    /// The open conversation is being looked at.
    pub(crate) fn mark_read(self) {
        let Some(id) = self.route.with_untracked(Route::conversation) else { return };
        let unread = self.state.with_untracked(|state| state.chat(id).map_or(0, |chat| chat.unread));
        if unread > 0 && dom::is_visible() {
            self.please(Intent::MarkRead { conversation: id });
        }
    }

    /// A draft changed; `None` when it was sent or emptied.
    pub(crate) fn put_draft(self, id: ConversationId, text: Option<String>) {
        let text = text.filter(|text| !text.trim().is_empty());
        let known = self.drafts.with_untracked(|drafts| drafts.get(&id).cloned());
        if known == text {
            return;
        }
        self.please(Intent::PutDraft { conversation: id, text: text.clone() });
        self.drafts.update(|drafts| match text {
            Some(text) => drop(drafts.insert(id, text)),
            None => drop(drafts.remove(&id)),
        });
    }

    /// Who writes in a conversation, in one sentence.
    pub(super) fn who_writes(self, id: ConversationId) -> Option<String> {
        let names = self.state.with(|state| state.writers(id));
        let name = |name: &String| if name.is_empty() { t().somebody.to_owned() } else { name.clone() };
        match names.as_slice() {
            [] => None,
            [one] => Some(fill(t().writing_one, &[("who", &name(one))])),
            [one, other] => Some(fill(t().writing_two, &[("who", &name(one)), ("other", &name(other))])),
            more => Some(fill(t().writing_more, &[("n", &more.len().to_string())])),
        }
    }

    /// What an account tells of itself; the engine knows it for all its devices.
    pub(crate) fn set_reports(self, id: IdentityId, reports: Reports) {
        let Reports { delivered, read, typing } = reports;
        self.state.update(|state| {
            if let Some(account) = state.account_mut(id) {
                account.reports = reports;
            }
        });
        spawn_local(async move {
            if let Err(fault) = self.ask(self.as_account(id, Intent::SetReports { delivered, read, typing })).await {
                self.complain(&fault);
                self.read_me().await;
            }
        });
    }

    /// The name of the app this is.
    pub(crate) fn app_name(self) -> String {
        self.name.get_value()
    }

    /// Address, title, favicon, theme and language follow the state.
    fn keep_page_in_step(self) {
        let moved = window_event_listener(leptos::ev::hashchange, move |_| self.route.set(Route::parse(&dom::hash())));
        let shown = window_event_listener(leptos::ev::visibilitychange, move |_| {
            self.today.set(dom::today());
            self.mark_read();
        });
        on_cleanup(move || {
            moved.remove();
            shown.remove();
        });
        Effect::new(move |_| {
            match self.route.with(Route::conversation) {
                Some(id) => self.open(id),
                // Opened again, it says what came meanwhile.
                None => self.thread.set(Thread::default()),
            }
        });
        let unread_here = Memo::new(move |_| {
            let open = self.route.with(Route::conversation);
            open.map_or(0, |id| self.state.with(|state| state.chat(id).map_or(0, |chat| chat.unread)))
        });
        Effect::new(move |_| {
            if unread_here.get() > 0 {
                self.mark_read();
            }
        });
        let unread = Memo::new(move |_| self.state.with(AppState::unread));
        Effect::new(move |_| {
            let name = self.app_name();
            let unread = unread.get();
            if unread == 0 {
                super::notify::take_back();
            }
            dom::set_title(&if unread > 0 { format!("({unread}) {name}") } else { name });
            self.app.with_value(|app| dom::set_favicon(app.as_str(), unread > 0));
        });
        Effect::new(move |_| self.looks.with(Looks::apply));
    }
}

impl Looks {
    fn load() -> Self {
        let of = |key: &str| dom::storage().and_then(|storage| storage.get_item(key).ok()?);
        Self {
            theme: of("theme").unwrap_or_else(|| "system".to_owned()),
            size: of("size").unwrap_or_else(|| "normal".to_owned()),
            language: of("language").unwrap_or_else(dom::language),
        }
    }

    fn apply(&self) {
        dom::set_root_attribute("data-theme", &self.theme);
        dom::set_root_attribute("data-size", &self.size);
        dom::set_root_attribute("lang", t().code);
        dom::set_root_attribute("dir", "ltr");
    }

    /// Keeps them for the next start.
    pub(crate) fn save(&self) {
        if let Some(storage) = dom::storage() {
            for (key, value) in [("theme", &self.theme), ("size", &self.size), ("language", &self.language)] {
                let _ = storage.set_item(key, value);
            }
        }
    }
}

/// Waits about as long as a picture stands. (Not `requestAnimationFrame`: it never comes in a tab that was just hidden.)
async fn next_frame() {
    let (tell, told) = futures_channel::oneshot::channel::<()>();
    set_timeout(
        move || {
            let _ = tell.send(());
        },
        std::time::Duration::from_millis(16),
    );
    let _ = told.await;
}
