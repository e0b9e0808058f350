//! A small world for tests of attacks: a few people, the real server, and somebody between them who rewrites what passes.
//!
//! Whoever sits there is as strong as a malicious server: it reads and changes every frame both ways, keeps some back, makes up
//! others, and has all that the real server has. What it does not have is in nobody's frames: the keys of the people.

use parlour_client::api::{
    Conversation, ConversationId, Event, Failure, Intent, Message, Proof, Reply, Request as Asking, Role, Socket,
    Status, Target,
};
use parlour_proto::{
    frames::{AccountRef, AppId, ClientFrame, ServerFrame},
    ids::MessageId,
};

use crate::world::World;

/// Whoever sits between the homes and the server.
pub trait Between {
    /// What a home gets in place of what the server sent.
    fn to_client(&mut self, home: usize, socket: Socket, frame: ServerFrame) -> Vec<ServerFrame> {
        let _ = (home, socket);
        vec![frame]
    }

    /// What the server gets in place of what a home sent.
    fn to_server(&mut self, home: usize, socket: Socket, frame: ClientFrame) -> Vec<ClientFrame> {
        let _ = (home, socket);
        vec![frame]
    }

    /// What the home that sent just now gets at once, as if the server had answered.
    fn made_up(&mut self) -> Vec<ServerFrame> {
        Vec::new()
    }
}

/// People, the server, and who is between.
pub struct Stage {
    w: World,
    numbers: Vec<String>,
}

const PATIENCE_MS: u64 = 600_000;

impl Stage {
    /// An honest server, and nobody there.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { w: World::new(seed, None), numbers: Vec::new() }
    }

    /// From now on this one is between.
    pub fn put_between(&mut self, between: impl Between + 'static) {
        self.w.between = Some(Box::new(between));
    }

    /// Nobody is any more.
    pub fn be_honest(&mut self) {
        self.w.between = None;
    }

    /// Somebody new on Bell, connected; their home.
    ///
    /// # Panics
    /// When they cannot sign up.
    pub fn person(&mut self) -> usize {
        self.person_with_key().0
    }

    /// The same, with the words of the recovery key.
    ///
    /// # Panics
    /// When they cannot sign up.
    pub fn person_with_key(&mut self) -> (usize, String) {
        let home = self.w.home();
        let number = format!("+49170{:07}", 1_000_000 + home * 37);
        let proof = self.prove(home, &number);
        let reply = self.ask(home, Intent::SignUp { app: bell(), handle: number.clone(), proof });
        let Ok(Reply::SignedUp { recovery_key, .. }) = reply else { panic!("they sign up") };
        self.numbers.resize(home + 1, String::new());
        self.numbers[home] = number;
        self.connect(home);
        (home, recovery_key.to_string())
    }

    /// Links another device to somebody's account; its home.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn link_device(&mut self, of: usize) -> usize {
        let Ok(Reply::LinkCode { code, .. }) = self.ask(of, Intent::OfferLink) else { panic!("no code") };
        let home = self.w.home();
        let number = self.numbers[of].clone();
        self.numbers.resize(home + 1, number);
        let (id, starts) =
            (self.w.homes[home].intent(Intent::Link { code, name: "Tablet".into() }), self.w.homes[home].starts);
        self.run_for(10_000);
        self.ask(of, Intent::ConfirmLink { yes: true }).expect("it is linked");
        let linked = self.w.wait(home, id, starts, PATIENCE_MS);
        assert!(matches!(linked, Some(Ok(Reply::Linked { .. }))), "{linked:?}");
        self.connect(home);
        home
    }

    /// An empty home, and a proof that it may use for this person's number.
    pub fn second_home(&mut self, of: usize) -> (usize, AppId, String, Proof) {
        let home = self.w.home();
        let number = self.numbers[of].clone();
        self.numbers.resize(home + 1, number.clone());
        let proof = self.prove(home, &number);
        (home, bell(), number, proof)
    }

    fn prove(&mut self, home: usize, number: &str) -> Proof {
        self.ask(home, Intent::RequestCode { app: bell(), handle: number.to_owned() }).expect("a code comes");
        Proof::Code(self.w.code(number).unwrap_or_default())
    }

    /// A home that is signed in connects, and stays connected.
    pub fn connect(&mut self, home: usize) {
        self.w.homes[home].synced = true;
        let _ = self.ask(home, Intent::Sync);
    }

    /// A home's clock is set forward so much, milliseconds.
    pub fn set_clock_forward(&mut self, home: usize, by_ms: u32) {
        self.w.homes[home].ahead += i64::from(by_ms);
    }

    /// The server dies, and starts again on what was durable.
    pub fn crash_server(&mut self) {
        self.w.crash_server();
    }

    /// What is wrong however malicious anybody is: what the server sent was no frame, or a secret was told.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.w.faults
    }

    /// Breaks a home's connections; it makes new ones.
    pub fn break_links(&mut self, home: usize) {
        self.w.break_links(home);
    }

    /// What others write to somebody.
    #[must_use]
    pub fn address(&self, home: usize) -> String {
        format!("{}@bell", self.numbers[home])
    }

    /// What comes of an intent.
    ///
    /// # Errors
    /// The engine's; [`Failure::Offline`] if nothing came of it in ten minutes.
    pub fn ask(&mut self, home: usize, intent: Intent) -> Result<Reply, Failure> {
        self.w.ask(home, intent, PATIENCE_MS).unwrap_or(Err(Failure::Offline))
    }

    /// The same, without waiting for what comes of it.
    pub fn begin(&mut self, home: usize, intent: Intent) {
        self.w.homes[home].intent(intent);
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, ms: u64) {
        self.w.run_for(ms);
    }

    /// A frame reaches a home as if the server had sent it just now.
    pub fn bring(&mut self, home: usize, role: Role, frame: ServerFrame) {
        self.w.bring(home, role, frame);
        self.w.run_for(1_000);
    }

    /// Two people let each other in; each one's conversation with the other.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn befriend(&mut self, one: usize, other: usize) -> (ConversationId, ConversationId) {
        let to = Target::Address(self.address(other));
        let reply = self.ask(one, Intent::Send { to, body: text("hello") });
        let Ok(Reply::Queued { conversation, .. }) = reply else { panic!("{reply:?}") };
        self.run_for(5_000);
        let request = self.requests(other).pop().expect("a request");
        let reply = self.ask(other, Intent::Accept { request: request.id });
        assert!(matches!(reply, Ok(Reply::Conversation(_))), "{reply:?}");
        self.run_for(5_000);
        (conversation, request.id)
    }

    /// A group of so many new people, made by the first; everybody's home and conversation.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn group(&mut self, size: usize) -> Vec<(usize, ConversationId)> {
        let people: Vec<usize> = (0..size).map(|_| self.person()).collect();
        for other in &people[1..] {
            self.befriend(people[0], *other);
        }
        let members = people[1..].iter().map(|home| Target::Address(self.address(*home))).collect();
        let reply = self.ask(people[0], Intent::CreateGroup { title: "Garden".into(), members });
        assert!(matches!(reply, Ok(Reply::Conversation(_))), "{reply:?}");
        self.run_for(10_000);
        people.into_iter().map(|home| (home, self.the_group(home).id)).collect()
    }

    /// Whose account a home is of.
    ///
    /// # Panics
    /// When it is nobody's.
    pub fn account(&mut self, home: usize) -> AccountRef {
        match self.ask(home, Intent::WhoAmI) {
            Ok(Reply::Identities(mut all)) => all.pop().expect("somebody").account,
            other => panic!("{other:?}"),
        }
    }

    /// Somebody's groups.
    pub fn groups(&mut self, home: usize) -> Vec<Conversation> {
        self.conversations(home).into_iter().filter(|conversation| conversation.is_group).collect()
    }

    /// Somebody's newest conversation of two.
    ///
    /// # Panics
    /// When there is none.
    pub fn the_conversation_of(&mut self, home: usize) -> ConversationId {
        self.conversations(home).into_iter().find(|conversation| !conversation.is_group).expect("a conversation").id
    }

    fn conversations(&mut self, home: usize) -> Vec<Conversation> {
        match self.ask(home, Intent::Conversations) {
            Ok(Reply::Conversations(all)) => all,
            other => panic!("{other:?}"),
        }
    }

    /// Somebody's only group.
    ///
    /// # Panics
    /// When there is none.
    pub fn the_group(&mut self, home: usize) -> Conversation {
        self.groups(home).pop().expect("a group")
    }

    /// Says something, and lets it arrive.
    ///
    /// # Panics
    /// When the engine does not take it.
    pub fn say(&mut self, home: usize, conversation: ConversationId, what: &str) -> MessageId {
        let to = Target::Conversation(conversation);
        let reply = self.ask(home, Intent::Send { to, body: text(what) });
        let Ok(Reply::Queued { message, .. }) = reply else { panic!("{reply:?}") };
        self.run_for(5_000);
        message
    }

    /// The messages of a conversation.
    ///
    /// # Panics
    /// When there is no such conversation.
    pub fn messages(&mut self, home: usize, conversation: ConversationId) -> Vec<Message> {
        match self.ask(home, Intent::Messages { conversation, before: None, limit: 1_000 }) {
            Ok(Reply::Messages(all)) => all,
            other => panic!("{other:?}"),
        }
    }

    /// Their texts.
    pub fn texts(&mut self, home: usize, conversation: ConversationId) -> Vec<String> {
        self.messages(home, conversation).into_iter().map(|message| message.text).collect()
    }

    /// Requests that wait for a choice.
    ///
    /// # Panics
    /// When the engine does not say.
    pub fn requests(&mut self, home: usize) -> Vec<Asking> {
        match self.ask(home, Intent::Requests) {
            Ok(Reply::Requests(all)) => all,
            other => panic!("{other:?}"),
        }
    }

    /// The counters.
    ///
    /// # Panics
    /// When the engine does not say.
    pub fn status(&mut self, home: usize) -> Status {
        match self.ask(home, Intent::Status) {
            Ok(Reply::Status(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    /// What a home was told since the last time.
    pub fn events(&mut self, home: usize) -> Vec<Event> {
        std::mem::take(&mut self.w.homes[home].events)
    }

    /// A home's rows, all of them.
    #[must_use]
    pub fn rows(&self, home: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.w.homes[home].rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

fn bell() -> AppId {
    AppId::parse("bell").expect("a name")
}

/// A text as a body.
#[must_use]
pub fn text(text: &str) -> parlour_client::api::Body {
    parlour_client::api::Body::Text { text: text.to_owned(), in_reply_to: None, timer: None }
}
