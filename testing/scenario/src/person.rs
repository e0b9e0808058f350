//! Somebody with a real engine on a home on disk, over real sockets.

use crate::PATIENCE;
use crate::site::{Site, app};
use anyhow::{Context as _, Result, bail};
use parlour_client::Identities;
use parlour_client::api::{
    Body, Conversation, ConversationId, ConversationState, Device, Event, Intent, Message, MessageState, Proof, Reply,
    Status, Target,
};
use parlour_client::rows::EAGER;
use parlour_proto::frames::{AccountRef, ReachRule};
use parlour_proto::ids::MessageId;
use parlour_shell::rows::Rows;
use parlour_shell::runner::{IntentError, StartError};
use parlour_shell::{Endpoint, Events, Home, Runner, Unlock};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How often a state is looked at again although nothing was told.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A home, and where its server is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The home's directory.
    pub home: PathBuf,
    /// The server (or who stands before it).
    pub site: Site,
}

impl Place {
    /// A home below `dir`.
    pub fn new(dir: &Path, name: &str, site: Site) -> Self {
        Self { home: dir.join("homes").join(name), site }
    }

    /// Opens the home.
    ///
    /// # Errors
    /// When it is locked or damaged.
    pub fn open(&self) -> Result<Home> {
        Ok(Home::open_or_make(&self.home, &Unlock::KeyFile, "scenario")?)
    }

    /// Its rows, without an engine.
    ///
    /// # Errors
    /// When it is locked or damaged.
    pub fn rows(&self) -> Result<Box<dyn Rows>> {
        Ok(self.open()?.rows()?)
    }

    /// Copies the home's files.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn copy_to(&self, to: &Path) -> Result<()> {
        if to.exists() {
            std::fs::remove_dir_all(to)?;
        }
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(&self.home)? {
            let entry = entry?;
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Puts copied files back.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn restore(&self, from: &Path) -> Result<()> {
        Place { home: from.to_owned(), site: self.site }.copy_to(&self.home)
    }
}

/// What somebody waits for is among so many of the newest messages.
const NEWEST: u32 = 512;

/// A running client.
pub struct Person {
    /// Its engine.
    pub runner: Runner,
    /// Its home and server.
    pub place: Place,
    /// How others write to it; empty before it has an account.
    pub address: String,
    told: watch::Receiver<u64>,
}

impl Person {
    /// Starts the engine of a home, not connected yet.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(place: &Place) -> Result<Self> {
        let home = place.open()?;
        let (runner, events) = Runner::start(&home, Endpoint::parse(&place.site.url(), None)?).await?;
        Self::running(runner, events, place).await
    }

    /// The same on other rows; `held` keeps the home locked as long as the caller holds it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_on(rows: Box<dyn Rows>, place: &Place) -> Result<Self> {
        let (runner, events) = Runner::start_on(rows, Endpoint::parse(&place.site.url(), None)?).await?;
        Self::running(runner, events, place).await
    }

    async fn running(runner: Runner, mut events: Events, place: &Place) -> Result<Self> {
        let (tell, told) = watch::channel(0);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if !matches!(event, Event::Progress { .. }) {
                    tell.send_modify(|count| *count += 1);
                }
            }
        });
        let mut person = Self { runner, place: place.clone(), address: String::new(), told };
        if let Ok(Reply::Identities(mut identities)) = person.ask(Intent::WhoAmI).await
            && let Some(identity) = identities.pop()
        {
            person.address = identity.address;
        }
        Ok(person)
    }

    /// Signs up by number or by password, and connects. Reports are off: every row is somebody's text.
    ///
    /// # Errors
    /// When the server or the engine refuses.
    pub async fn sign_up(place: &Place, app_name: &str, handle: &str, password: &str) -> Result<Self> {
        Self::start(place).await?.signed_up(app_name, handle, password).await
    }

    /// The same in a home that the command line can open, with so few key packages that it stays small.
    ///
    /// # Errors
    /// When the server or the engine refuses.
    pub async fn sign_up_small(place: &Place, app_name: &str, handle: &str, password: &str) -> Result<Self> {
        let home = place.open()?;
        home.set_server(&parlour_shell::home::Server { url: place.site.url(), ca_pem: None })?;
        let open = |rows: &mut dyn Rows| {
            let opened = Identities::open(rows.load(EAGER)?);
            opened.map(|opened| opened.with_pools(2)).map_err(|error| StartError::Engine(error.to_string()))
        };
        let endpoint = Endpoint::parse(&place.site.url(), None)?;
        let (runner, events) = Runner::start_with(home.rows()?, endpoint, home.clone(), open).await?;
        Self::running(runner, events, place).await?.signed_up(app_name, handle, password).await
    }

    async fn signed_up(mut self, app_name: &str, handle: &str, password: &str) -> Result<Self> {
        let handle = handle.to_owned();
        let proof = if app_name == "bell" {
            self.ask(Intent::RequestCode { app: app(app_name), handle: handle.clone() }).await?;
            Proof::Code(self.place.site.code(&handle).await?)
        } else {
            Proof::Password(password.to_owned().into())
        };
        match self.ask(Intent::SignUp { app: app(app_name), handle, proof }).await? {
            Reply::SignedUp { address, .. } => self.address = address,
            other => bail!("signing up gave {other:?}"),
        }
        self.ask(Intent::SetReports { delivered: false, read: false, typing: false }).await?;
        self.sync().await?;
        Ok(self)
    }

    /// Signs up on Bell.
    ///
    /// # Errors
    /// When the server or the engine refuses.
    pub async fn on_bell(dir: &Path, name: &str, number: &str, site: Site) -> Result<Self> {
        Self::sign_up(&Place::new(dir, name, site), "bell", number, "").await
    }

    /// One more device of somebody's account: linked by a code, confirmed there, and connected.
    ///
    /// # Errors
    /// When a step does not come to its end.
    pub async fn link(place: &Place, other: &Self, name: &str) -> Result<Self> {
        let mut person = Self::start(place).await?;
        let Reply::LinkCode { code, .. } = other.ask(Intent::OfferLink).await? else { bail!("no code") };
        // Nobody asks at first: then there is nothing to confirm.
        let confirmed = other.until("a device asks", async || {
            Ok(other.try_ask(Intent::ConfirmLink { yes: true }).await?.ok().map(drop))
        });
        let (linked, confirmed) = tokio::join!(person.ask(Intent::Link { code, name: name.to_owned() }), confirmed);
        confirmed?;
        match linked? {
            Reply::Linked { address, .. } => person.address = address,
            reply => bail!("linking gave {reply:?}"),
        }
        person.sync().await?;
        Ok(person)
    }

    /// The account's devices.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        match self.ask(Intent::Devices).await? {
            Reply::Devices(devices) => Ok(devices),
            reply => bail!("{reply:?}"),
        }
    }

    /// Starts the engine of a home and connects.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn back(place: &Place) -> Result<Self> {
        let person = Self::start(place).await?;
        person.sync().await?;
        Ok(person)
    }

    /// Does something that must end in time.
    ///
    /// # Errors
    /// How it failed.
    pub async fn ask(&self, intent: Intent) -> Result<Reply> {
        Ok(self.try_ask(intent).await??)
    }

    /// The same, with the engine's own failure apart.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn try_ask(&self, intent: Intent) -> Result<Result<Reply, IntentError>> {
        let what = format!("{intent:?}");
        let what = what.split([' ', '{']).next().unwrap_or_default().to_owned();
        timeout(PATIENCE, self.runner.intent(intent)).await.with_context(|| format!("{what} does not end"))
    }

    /// Connects and waits until everything that waited is here.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn sync(&self) -> Result<()> {
        self.ask(Intent::Sync).await.map(drop)
    }

    /// Drops the sockets.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn go_offline(&self) -> Result<()> {
        self.ask(Intent::GoOffline).await.map(drop)
    }

    /// Writes; stored here when this returns.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn write(&self, to: Target, text: &str) -> Result<(ConversationId, MessageId)> {
        let body = Body::Text { text: text.to_owned(), in_reply_to: None, timer: None };
        match self.ask(Intent::Send { to, body }).await? {
            Reply::Queued { conversation, message } => Ok((conversation, message)),
            other => bail!("sending gave {other:?}"),
        }
    }

    /// Writes into a conversation.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn say(&self, conversation: ConversationId, text: &str) -> Result<MessageId> {
        Ok(self.write(Target::Conversation(conversation), text).await?.1)
    }

    /// Waits until somebody asks; the conversation.
    ///
    /// # Errors
    /// When nobody does.
    pub async fn request(&self) -> Result<ConversationId> {
        self.until("a request", async || match self.ask(Intent::Requests).await? {
            Reply::Requests(requests) => Ok(requests.first().map(|request| request.id)),
            other => bail!("{other:?}"),
        })
        .await
    }

    /// Accepts.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn accept(&self, request: ConversationId) -> Result<()> {
        self.ask(Intent::Accept { request }).await.map(drop)
    }

    /// Turns another app on.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn reachable_from(&self, from: &str) -> Result<()> {
        self.ask(Intent::SetReach { from: app(from), rule: ReachRule::Ask }).await.map(drop)
    }

    /// All conversations.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn conversations(&self) -> Result<Vec<Conversation>> {
        match self.ask(Intent::Conversations).await? {
            Reply::Conversations(conversations) => Ok(conversations),
            other => bail!("{other:?}"),
        }
    }

    /// All messages of a conversation, oldest first.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn messages(&self, conversation: ConversationId) -> Result<Vec<Message>> {
        self.newest(conversation, 100_000).await
    }

    async fn newest(&self, conversation: ConversationId, limit: u32) -> Result<Vec<Message>> {
        match self.ask(Intent::Messages { conversation, before: None, limit }).await? {
            Reply::Messages(messages) => Ok(messages),
            other => bail!("{other:?}"),
        }
    }

    /// The texts of others in a conversation, oldest first.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn heard(&self, conversation: ConversationId) -> Result<Vec<String>> {
        let messages = self.messages(conversation).await?;
        let heard = messages.into_iter().filter(|message| message.state == MessageState::Received);
        Ok(heard.map(|message| message.text).collect())
    }

    /// Counters.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn status(&self) -> Result<Status> {
        match self.ask(Intent::Status).await? {
            Reply::Status(status) => Ok(status),
            other => bail!("{other:?}"),
        }
    }

    /// The account.
    ///
    /// # Errors
    /// When there is none.
    pub async fn account(&self) -> Result<AccountRef> {
        match self.ask(Intent::WhoAmI).await? {
            Reply::Identities(mut all) => Ok(all.pop().context("an identity")?.account),
            other => bail!("{other:?}"),
        }
    }

    /// Waits until a conversation is in this state.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn until_state(&self, conversation: ConversationId, state: ConversationState) -> Result<()> {
        self.until(&format!("{state:?}"), async || {
            let found = self.conversations().await?.into_iter().find(|c| c.id == conversation);
            Ok(found.filter(|c| c.state == state).map(drop))
        })
        .await
    }

    /// Waits until there is a group (or another conversation that `wanted` picks).
    ///
    /// # Errors
    /// When there is none.
    pub async fn until_conversation(&self, wanted: impl Fn(&Conversation) -> bool) -> Result<ConversationId> {
        self.until("a conversation", async || Ok(self.conversations().await?.iter().find(|c| wanted(c)).map(|c| c.id)))
            .await
    }

    /// Waits until the last of others' texts that came is `last`, then gives all.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn until_heard(&self, conversation: ConversationId, last: &str) -> Result<Vec<String>> {
        let heard = self.heard(conversation).await?;
        if heard.iter().any(|text| text == last) {
            return Ok(heard);
        }
        // From here on it is among the newest: a long conversation is not read at each event.
        self.until(&format!("to hear {last:?}"), async || {
            let newest = self.newest(conversation, NEWEST).await?;
            Ok(newest.iter().any(|message| message.text == last).then_some(()))
        })
        .await?;
        self.heard(conversation).await
    }

    /// Waits until nothing is queued any more.
    ///
    /// # Errors
    /// When something stays.
    pub async fn until_sent(&self) -> Result<()> {
        self.until("everything is sent", async || Ok((self.status().await?.queued == 0).then_some(()))).await
    }

    /// Looks again whenever something was told, until there is an answer.
    ///
    /// # Errors
    /// When there is none in time; what the person sees is in the error.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let mut told = self.told.clone();
        let end = Instant::now() + PATIENCE;
        loop {
            told.borrow_and_update();
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if Instant::now() > end {
                let seen = (self.status().await?, self.conversations().await?);
                let name = self.place.home.file_name().unwrap_or_default().to_string_lossy().into_owned();
                bail!("{name} waited in vain for {what}; it sees {seen:#?}");
            }
            // An event, or a while: counters change without one.
            let _ = timeout(LOOK_AGAIN, told.changed()).await;
        }
    }

    /// Ends the engine, and gives the place for coming back.
    pub async fn stop(self) -> Place {
        self.runner.stop().await;
        self.place
    }
}

/// Makes friends: `one` writes first, `other` accepts. The conversation on both sides.
///
/// # Errors
/// When they do not find together.
pub async fn befriend(one: &Person, other: &Person) -> Result<(ConversationId, ConversationId)> {
    let (at_one, _) = one.write(Target::Address(other.address.clone()), "may I?").await?;
    let at_other = other.request().await?;
    other.accept(at_other).await?;
    one.until_state(at_one, ConversationState::Open).await?;
    other.until_state(at_other, ConversationState::Open).await?;
    Ok((at_one, at_other))
}

/// Both write to each other and read it.
///
/// # Errors
/// When something does not come.
pub async fn talk(one: (&Person, ConversationId), other: (&Person, ConversationId), mark: &str) -> Result<()> {
    one.0.say(one.1, &format!("{mark} one")).await?;
    other.0.until_heard(other.1, &format!("{mark} one")).await?;
    other.0.say(other.1, &format!("{mark} other")).await?;
    one.0.until_heard(one.1, &format!("{mark} other")).await?;
    Ok(())
}

/// Whether every text came exactly once, in the order of writing. Others' texts between them do not matter.
///
/// # Errors
/// Which one did not.
pub fn exactly_once(written: &[String], heard: &[String]) -> Result<()> {
    let all: HashSet<&String> = written.iter().collect();
    let heard: Vec<&String> = heard.iter().filter(|text| all.contains(text)).collect();
    let same = heard.len() == written.len() && heard.iter().zip(written).all(|(heard, written)| *heard == written);
    anyhow::ensure!(same, "written {} texts, heard {}:\n{written:?}\n{heard:?}", written.len(), heard.len());
    Ok(())
}
