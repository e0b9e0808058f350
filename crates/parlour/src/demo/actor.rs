//! Somebody in the demo: a home, an engine, sockets; the same as `parlour client` has.

use crate::exit::Trouble;
use crate::out::Style;
use anyhow::{Context as _, anyhow};
use parlour_client::api::{Body, ConversationId, Event, Intent, Message, MessageState, Proof, Reply, Target};
use parlour_proto::frames::AppId;
use parlour_proto::ids::MessageId;
use parlour_shell::{Endpoint, Events, Home, Runner, Unlock};
use std::path::Path;
use std::time::Duration;

/// How long anything in the demo may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is fixed of somebody.
#[derive(Clone, Copy)]
pub(super) struct Role {
    pub(super) name: &'static str,
    pub(super) app: &'static str,
    pub(super) handle: &'static str,
    pub(super) style: Style,
}

/// Somebody with a running client.
pub(super) struct Actor {
    pub(super) role: Role,
    pub(super) address: String,
    runner: Runner,
    events: Events,
}

impl Actor {
    /// Makes a home and starts its client; nobody is signed in yet.
    pub(super) async fn enter(role: Role, homes: &Path, url: &str) -> Result<Self, Trouble> {
        let home = Home::open_or_make(&homes.join(role.name), &Unlock::KeyFile, "parlour demo")?;
        let endpoint = Endpoint::parse(url, None).map_err(Trouble::failure)?;
        let (runner, events) = Runner::start(&home, endpoint).await?;
        Ok(Self { role, address: String::new(), runner, events })
    }

    pub(super) fn app(&self) -> AppId {
        AppId::parse(self.role.app).expect("the demo's apps have good names")
    }

    /// Asks for a one-time code.
    pub(super) async fn request_code(&mut self) -> Result<(), Trouble> {
        let intent = Intent::RequestCode { app: self.app(), handle: self.role.handle.to_owned() };
        self.intent(intent).await.map(drop)
    }

    /// Makes an account and stays connected.
    pub(super) async fn sign_up(&mut self, proof: Proof) -> Result<(), Trouble> {
        let intent = Intent::SignUp { app: self.app(), handle: self.role.handle.to_owned(), proof };
        if let Reply::SignedUp { address, .. } = self.intent(intent).await? {
            self.address = address;
        }
        self.connect().await
    }

    pub(super) async fn connect(&mut self) -> Result<(), Trouble> {
        self.intent(Intent::Sync).await.map(drop)
    }

    pub(super) async fn disconnect(&mut self) -> Result<(), Trouble> {
        self.intent(Intent::GoOffline).await.map(drop)
    }

    /// Does something, within reason.
    pub(super) async fn intent(&mut self, intent: Intent) -> Result<Reply, Trouble> {
        let done = self.runner.intent(intent);
        tokio::time::timeout(PATIENCE, done).await.map_err(|_| self.stuck("an answer"))?.map_err(Trouble::from)
    }

    /// Writes, and waits until the server has it.
    pub(super) async fn write(&mut self, to: Target, text: &str) -> Result<ConversationId, Trouble> {
        let body = Body::Text { text: text.to_owned(), in_reply_to: None, timer: None };
        let reply = self.intent(Intent::Send { to, body }).await?;
        let Reply::Queued { conversation, message } = reply else { return Err(self.stuck("a place in the queue")) };
        self.state(message, MessageState::Sent).await?;
        Ok(conversation)
    }

    /// Waits until an own message has come that far.
    pub(super) async fn state(&mut self, id: MessageId, state: MessageState) -> Result<(), Trouble> {
        let wanted = |event: &Event| match event {
            Event::Message { message, .. } if message.id == id && message.state >= state => Some(()),
            _ => None,
        };
        self.until("a tick", wanted).await
    }

    /// Waits for a message with this text.
    pub(super) async fn reads(&mut self, text: &str) -> Result<(ConversationId, Message), Trouble> {
        let wanted = |event: &Event| match event {
            Event::Message { conversation, message } if message.from.is_some() && message.text == text => {
                Some((*conversation, message.clone()))
            }
            _ => None,
        };
        self.until("a message", wanted).await
    }

    /// Waits for an event.
    pub(super) async fn until<T>(&mut self, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> Result<T, Trouble> {
        let search = async {
            while let Some(event) = self.events.recv().await {
                if let Some(found) = wanted(&event) {
                    return Some(found);
                }
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, search).await.ok().flatten();
        found.ok_or_else(|| self.stuck(what))
    }

    /// Ends the client.
    pub(super) async fn leave(self) {
        drop(self.events);
        self.runner.stop().await;
    }

    fn stuck(&self, what: &str) -> Trouble {
        Trouble::failure(anyhow!("{} waited for {what} in vain", self.role.name).context("the demo does not go on"))
    }
}

/// What a reply holds, or that it is another one.
pub(super) fn expect<T>(found: Option<T>) -> Result<T, Trouble> {
    found.context("the engine gave another answer than expected").map_err(Trouble::failure)
}
