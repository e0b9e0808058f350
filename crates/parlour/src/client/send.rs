//! Writing: messages, reactions, edits, deletions.

use super::session::{PATIENCE, Session, connection, has_failed, unexpected};
use super::{accounts, ask, find, view};
use crate::cli::SendArgs;
use crate::client::progress::Progress;
use crate::exit::{Exit, Trouble};
use crate::out::Style;
use parlour_client::api::{
    Body, Conversation, ConversationId, ConversationState, Event, IdentityId, Intent, MessageState, Reply, Target,
};
use parlour_proto::ids::MessageId;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// `send`.
pub(super) async fn send(session: &mut Session, args: &SendArgs) -> Result<(), Trouble> {
    let (to, text) = match (&args.invite, &args.words[..]) {
        (Some(invite), [text]) => (Target::Invite(invite.clone()), text),
        (None, [to, text]) => (find::target(session, to).await?, text),
        (Some(_), _) => return Err(Trouble::usage("with --invite there is only the text")),
        (None, _) => return Err(Trouble::usage("to whom? send ADDRESS TEXT, or send --invite TOKEN TEXT")),
    };
    let in_reply_to = match &args.reply_to {
        Some(typed) => Some(replied(session, &to, typed).await?),
        None => None,
    };
    let from = match (&args.from, &to) {
        (Some(_), Target::Conversation(_)) | (None, _) => None,
        (Some(address), _) => Some(accounts::find(session, address).await?.id),
    };
    let body = Body::Text { text: ask::text(text)?, in_reply_to, timer: args.timer.timer() };
    deliver(session, from, to, body, patience(args)).await
}

async fn replied(session: &mut Session, to: &Target, typed: &str) -> Result<MessageId, Trouble> {
    let conversation = match to {
        Target::Conversation(id) => *id,
        Target::Address(address) => find::conversation(session, address).await?.id,
        Target::Invite(_) | Target::Account(_) => return Err(Trouble::usage("a first message answers nothing")),
    };
    find::message(session, conversation, typed).await
}

/// `react`.
pub(super) async fn react(session: &mut Session, within: &str, typed: &str, emoji: &str) -> Result<(), Trouble> {
    let (to, message) = place(session, within, typed).await?;
    deliver(session, None, to, Body::Reaction { message, emoji: emoji.to_owned() }, Patience::default()).await
}

/// `edit`.
pub(super) async fn edit(session: &mut Session, within: &str, typed: &str, text: &str) -> Result<(), Trouble> {
    let (to, message) = place(session, within, typed).await?;
    deliver(session, None, to, Body::Edit { message, text: ask::text(text)? }, Patience::default()).await
}

/// `delete`.
pub(super) async fn delete(session: &mut Session, within: &str, typed: &str) -> Result<(), Trouble> {
    let (to, message) = place(session, within, typed).await?;
    deliver(session, None, to, Body::Delete { message }, Patience::default()).await
}

async fn place(session: &mut Session, within: &str, typed: &str) -> Result<(Target, MessageId), Trouble> {
    let conversation = find::conversation(session, within).await?.id;
    let message = find::message(session, conversation, typed).await?;
    Ok((Target::Conversation(conversation), message))
}

/// How long to wait for the server.
#[derive(Clone, Copy)]
struct Patience {
    connect: bool,
    /// Goes on after a failed attempt to connect.
    keep_trying: bool,
    wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: true, keep_trying: false, wait: PATIENCE }
    }
}

fn patience(args: &SendArgs) -> Patience {
    match args.timeout {
        Some(seconds) => Patience { keep_trying: true, wait: Duration::from_secs(seconds), ..Patience::default() },
        None => Patience { connect: !args.no_wait, ..Patience::default() },
    }
}

/// Where a message stands when the command ends.
enum Outcome {
    /// The server has it.
    Sent,
    /// The other side has not accepted yet: kept here until then.
    UntilAccepted,
    /// Stored here, as asked for.
    Stored,
    /// The server has not taken it yet.
    NotYet,
}

/// Queues what was written and waits until the server has it.
async fn deliver(
    session: &mut Session,
    from: Option<IdentityId>,
    to: Target,
    body: Body,
    patience: Patience,
) -> Result<(), Trouble> {
    let (is_text, to_shown) = (matches!(body, Body::Text { .. }), shown(&to));
    let mut wait = Wait::new(patience);
    if patience.connect {
        wait.connect(session).await?;
    }
    let (conversation, message) = wait.queue(session, from, to, body).await?;
    let outcome = match patience.connect {
        true => wait.until_sent(session, conversation, message, is_text).await?,
        false => Outcome::Stored,
    };
    report(session, &outcome, conversation, message, &to_shown)
}

fn shown(to: &Target) -> String {
    match to {
        Target::Address(address) => format!(" to {address}"),
        _ => String::new(),
    }
}

/// What is known of the message on its way.
struct Wait {
    patience: Patience,
    until: Instant,
    offline: bool,
    states: Vec<(MessageId, MessageState)>,
    asked: Option<ConversationId>,
    /// Why the engine gave up what was queued.
    why: Option<Trouble>,
}

impl Wait {
    fn new(patience: Patience) -> Self {
        let until = Instant::now() + patience.wait;
        Self { patience, until, offline: false, states: Vec::new(), asked: None, why: None }
    }

    /// Connects, so that a first contact gets the server's answer; goes on without after a failed attempt.
    async fn connect(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let mut progress = Progress::new(session.out);
        let connected = session.runner.submit(Intent::Sync).await?.done();
        tokio::pin!(connected);
        while !self.offline || self.patience.keep_trying {
            tokio::select! {
                biased;
                done = &mut connected => return Ok(done.map(drop)?),
                Some(event) = session.events.recv() => {
                    progress.note(&event, None);
                    self.note(&event);
                }
                () = tokio::time::sleep_until(self.until) => break,
                () = progress.due() => progress.show(),
            }
        }
        Ok(())
    }

    /// Hands the message to the engine, which stores it.
    async fn queue(
        &mut self,
        session: &mut Session,
        from: Option<IdentityId>,
        to: Target,
        body: Body,
    ) -> Result<(ConversationId, MessageId), Trouble> {
        let send = Intent::Send { to, body };
        let send = match from {
            Some(identity) => Intent::As(identity, Box::new(send)),
            None => send,
        };
        let mut progress = Progress::new(session.out);
        let stored = session.runner.submit(send).await?.done();
        tokio::pin!(stored);
        loop {
            tokio::select! {
                biased;
                reply = &mut stored => return match reply? {
                    Reply::Queued { conversation, message } => Ok((conversation, message)),
                    other => Err(unexpected(&other)),
                },
                Some(event) = session.events.recv() => {
                    progress.note(&event, None);
                    self.note(&event);
                }
                () = progress.due() => progress.show(),
            }
        }
    }

    async fn until_sent(
        &mut self,
        session: &mut Session,
        conversation: ConversationId,
        message: MessageId,
        is_text: bool,
    ) -> Result<Outcome, Trouble> {
        if !is_text {
            // Reactions, edits and deletions have no ticks of their own: the queue tells.
            return match session.settle().await {
                Ok(()) => Ok(Outcome::Sent),
                Err(trouble) if trouble.exit == Exit::Offline => Ok(Outcome::NotYet),
                Err(trouble) => Err(trouble),
            };
        }
        let mut progress = Progress::new(session.out);
        self.asked = is_asked(session, conversation).await?.then_some(conversation);
        loop {
            match self.states.iter().rev().find(|(id, _)| *id == message).map(|(_, state)| *state) {
                Some(MessageState::Sent | MessageState::Delivered | MessageState::Read) => return Ok(Outcome::Sent),
                Some(MessageState::Failed) => return Err(self.why.take().unwrap_or_else(failed)),
                _ if self.asked.take() == Some(conversation) && is_queued(session, conversation, message).await? => {
                    return Ok(Outcome::UntilAccepted);
                }
                _ if self.offline && !self.patience.keep_trying => return Ok(Outcome::NotYet),
                _ => {}
            }
            tokio::select! {
                event = session.events.recv() => match event {
                    Some(event) => {
                        progress.note(&event, None);
                        self.note(&event);
                    }
                    None => return Ok(Outcome::NotYet),
                },
                () = tokio::time::sleep_until(self.until) => return Ok(Outcome::NotYet),
                () = progress.due() => progress.show(),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        if let Some(connection) = connection(event) {
            self.offline = has_failed(connection);
        }
        match event {
            Event::Message { message, .. } => self.states.push((message.id, message.state)),
            Event::NotSent { why, .. } => self.why = Some(why.clone().into()),
            Event::Conversation(Conversation { id, state: ConversationState::Asked, .. }) => self.asked = Some(*id),
            _ => {}
        }
    }
}

/// Whether the other side has yet to accept: then one message has gone, and more are kept.
async fn is_asked(session: &mut Session, id: ConversationId) -> Result<bool, Trouble> {
    let all = find::conversations(session).await?;
    Ok(all.iter().any(|conversation| conversation.id == id && conversation.state == ConversationState::Asked))
}

async fn is_queued(session: &mut Session, conversation: ConversationId, message: MessageId) -> Result<bool, Trouble> {
    let messages = find::messages(session, conversation, 1).await?;
    Ok(messages.iter().any(|last| last.id == message && last.state == MessageState::Queued))
}

fn failed() -> Trouble {
    Trouble::new(
        Exit::Refused,
        "failed",
        "the message could not be delivered: nobody there who can be reached, or it was refused",
    )
}

fn queued() -> Trouble {
    let text = "no connection to the server: the message is queued and goes with the next command that connects";
    Trouble::new(Exit::Offline, "queued", text)
}

fn report(
    session: &Session,
    outcome: &Outcome,
    conversation: ConversationId,
    message: MessageId,
    to: &str,
) -> Result<(), Trouble> {
    let (state, text) = match outcome {
        Outcome::Sent => ("sent", format!("sent{to}")),
        Outcome::UntilAccepted => ("asked", format!("kept here until they accept{to}")),
        Outcome::Stored => ("queued", format!("queued{to}")),
        Outcome::NotYet => ("queued", String::new()),
    };
    let mut ok = view::reply(&Reply::Queued { conversation, message });
    ok["state"] = json!(state);
    session.out.object(&json!({"type": "result", "ok": ok}));
    if matches!(outcome, Outcome::NotYet) {
        return Err(queued());
    }
    let id = crate::text::short(&message.0);
    session.out.line(format!("{text}  {}", session.out.paint(Style::Dim, &id)));
    Ok(())
}
