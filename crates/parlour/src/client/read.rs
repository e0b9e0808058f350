//! Reading: what is new, a conversation, what comes; the list of conversations; the counters.

use super::expiry;
use super::session::{Session, unexpected};
use super::{find, view};
use crate::cli::ReadArgs;
use crate::exit::{Exit, Trouble};
use crate::out::{Out, Style};
use crate::text;
use parlour_client::api::{
    Conversation, ConversationId, ConversationState, Event, Intent, Message, MessageState, Notice, Reply, Timer,
};
use parlour_proto::ids::MessageId;
use parlour_shell::clock;
use serde_json::json;
use std::collections::HashMap;

/// Kept messages asked for at a time.
const KEPT_PAGE: u32 = 100;

/// `read`.
pub(super) async fn read(session: &mut Session, args: &ReadArgs) -> Result<(), Trouble> {
    let online = session.sync_if_possible().await?;
    let only = match &args.conversation {
        Some(typed) => Some(find::conversation(session, typed).await?),
        None => None,
    };
    let mut shown = Shown::default();
    match &only {
        Some(conversation) => {
            let messages = find::messages(session, conversation.id, args.limit).await?;
            show(session, conversation, &messages, args.keep_unread, &mut shown).await?;
        }
        None => show_unread(session, args.keep_unread, &mut shown).await?,
    }
    if args.follow {
        return follow(session, only.map(|c| c.id), args.keep_unread, shown).await;
    }
    if online {
        session.settle().await
    } else {
        Err(Trouble::new(Exit::Offline, "offline", "no connection to the server"))
    }
}

async fn show_unread(session: &mut Session, keep: bool, shown: &mut Shown) -> Result<(), Trouble> {
    let mut any = false;
    for conversation in find::conversations(session).await?.iter().rev().filter(|c| c.unread > 0) {
        let messages = unread_messages(session, conversation).await?;
        let new = last_received(&messages, conversation.unread as usize);
        show(session, conversation, new, keep, shown).await?;
        any = true;
    }
    let requests = find::requests(session).await?.len();
    if requests > 0 {
        session.out.line(format!("{requests} waiting to be let in: parlour client requests"));
    } else if !any {
        session.out.line("Nothing new.");
    }
    Ok(())
}

/// The newest messages, so many that all unread ones are among them.
async fn unread_messages(session: &mut Session, of: &Conversation) -> Result<Vec<Message>, Trouble> {
    let mut limit = of.unread.saturating_add(50);
    loop {
        let messages = find::messages(session, of.id, limit).await?;
        let received = messages.iter().filter(|message| message.from.is_some()).count();
        if received >= of.unread as usize || messages.len() < limit as usize {
            return Ok(messages);
        }
        limit = limit.saturating_mul(2);
    }
}

/// The messages from the `count`-th received one before the end on.
fn last_received(messages: &[Message], count: usize) -> &[Message] {
    let received = messages.iter().enumerate().rev().filter(|(_, message)| message.from.is_some());
    let from = received.take(count).last().map_or(messages.len(), |(index, _)| index);
    &messages[from..]
}

async fn show(
    session: &mut Session,
    of: &Conversation,
    messages: &[Message],
    keep: bool,
    shown: &mut Shown,
) -> Result<(), Trouble> {
    let out = session.out;
    out.line(heading(out, of));
    for message in messages {
        shown.changed(message);
        out.object(
            &json!({"type": "message", "conversation": hex::encode(of.id.0), "message": view::message(message)}),
        );
        out.line(line(out, of, message));
    }
    out.line("");
    if !keep {
        session.intent(Intent::MarkRead { conversation: of.id }).await?;
    }
    Ok(())
}

/// What was shown of each message, so that only what changed is shown again.
#[derive(Default)]
struct Shown(HashMap<MessageId, (String, bool, usize)>);

impl Shown {
    fn changed(&mut self, message: &Message) -> bool {
        let looks = (message.text.clone(), message.deleted, message.reactions.len());
        self.0.insert(message.id, looks.clone()) != Some(looks)
    }
}

async fn follow(
    session: &mut Session,
    only: Option<ConversationId>,
    keep: bool,
    mut shown: Shown,
) -> Result<(), Trouble> {
    let mut titles: HashMap<ConversationId, Conversation> =
        find::conversations(session).await?.into_iter().map(|c| (c.id, c)).collect();
    loop {
        let event = tokio::select! {
            event = session.events.recv() => event,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(event) = event else { return session.intent(Intent::Status).await.map(drop) };
        if session.out.json
            && belongs(&event, only)
            && let Some(value) = view::event(&event)
        {
            session.out.object(&value);
        }
        match event {
            Event::Conversation(conversation) => drop(titles.insert(conversation.id, conversation)),
            Event::NotSent { conversation, why, .. } if only.is_none_or(|id| id == conversation) => {
                session.out.remark(format!("What you wrote could not be sent: {}", Trouble::from(why)));
            }
            Event::Interference { what, .. } => session.out.line(format!(
                "Something came that does not fit, and was refused ({}): the server, or somebody in a conversation, may be interfering.",
                view::interference(what)
            )),
            Event::Request(request) if only.is_none() => session.out.line(format!(
                "Somebody on {} asks to write to you: parlour client accept {}",
                request.from.app,
                text::short(&request.id.0)
            )),
            Event::Message { conversation, message } if only.is_none_or(|id| id == conversation) => {
                if shown.changed(&message)
                    && let Some(of) = titles.get(&conversation)
                {
                    let place = if only.is_none() {
                        format!("{}  ", session.out.paint(Style::Bold, &text::plain(&of.title)))
                    } else {
                        String::new()
                    };
                    session.out.line(format!("{place}{}", line(session.out, of, &message)));
                }
                if message.from.is_some() && !keep {
                    session.intent(Intent::MarkRead { conversation }).await?;
                }
            }
            _ => {}
        }
    }
}

fn belongs(event: &Event, only: Option<ConversationId>) -> bool {
    let of = match event {
        Event::Message { conversation, .. }
        | Event::Gone { conversation, .. }
        | Event::NotSent { conversation, .. }
        | Event::Typing { conversation, .. }
        | Event::KeysChanged { conversation, .. } => *conversation,
        Event::Conversation(conversation) => conversation.id,
        _ => return true,
    };
    only.is_none_or(|id| id == of)
}

fn heading(out: Out, c: &Conversation) -> String {
    let id = out.paint(Style::Dim, &text::short(&c.id.0));
    let unread = if c.unread > 0 { out.paint(Style::Yellow, &format!("  {} new", c.unread)) } else { String::new() };
    let verified = if c.verified { out.paint(Style::Green, "  verified") } else { String::new() };
    let state = match c.state {
        ConversationState::Open => String::new(),
        state => format!("  ({})", view::conversation_state(state)),
    };
    format!("{}  {id}{state}{verified}{unread}", out.paint(Style::Bold, &text::plain(&c.title)))
}

fn line(out: Out, of: &Conversation, message: &Message) -> String {
    let who = match &message.from {
        None => out.paint(Style::Green, "you"),
        Some(account) => {
            let member = of.members.iter().find(|member| member.account == *account);
            let known = message.from_name.clone().or_else(|| member.and_then(|m| m.address.clone()));
            let known = known.unwrap_or_else(|| format!("{} on {}", text::short(&account.account.0), account.app));
            out.paint(Style::Cyan, &text::plain(&known))
        }
    };
    let body = if message.deleted {
        out.paint(Style::Dim, "deleted")
    } else if let Some(Notice::Expiry { expiry, existing }) = message.notice {
        out.paint(Style::Dim, &expiry::says(expiry, existing))
    } else if let Some(Notice::Attributed { on }) = message.notice {
        let says =
            if on { "turned attributed mode on: the server sees who sends here" } else { "turned attributed mode off" };
        out.paint(Style::Dim, says)
    } else if message.timer == Some(Timer::Once) {
        out.paint(Style::Dim, if message.from.is_some() { "can be seen once: open it" } else { "can be seen once" })
    } else {
        text::plain(&message.text).replace('\n', "\n      ")
    };
    let reply = message.in_reply_to.map(|id| format!("↳{} ", text::short(&id.0))).unwrap_or_default();
    let edited = if message.edited { out.paint(Style::Dim, " (edited)") } else { String::new() };
    let reactions: Vec<String> = message.reactions.iter().map(|(_, emoji)| text::plain(emoji)).collect();
    let reactions = if reactions.is_empty() { String::new() } else { format!("  [{}]", reactions.join(" ")) };
    let lasts = expiry::left(message).map(|left| out.paint(Style::Dim, &format!("  ({left})"))).unwrap_or_default();
    let about = format!("{} {:>6}", text::short(&message.id.0), text::age(message.time, clock::now()));
    format!(
        "  {}  {who}  {reply}{body}{edited}{lasts}{reactions}{}",
        out.paint(Style::Dim, &about),
        ticks(message.state)
    )
}

fn ticks(state: MessageState) -> &'static str {
    match state {
        MessageState::Queued => "  …",
        MessageState::Sent => "  ✓",
        MessageState::Delivered => "  ✓✓",
        MessageState::Read => "  ✓✓ read",
        MessageState::Received => "",
        MessageState::Failed => "  not delivered",
    }
}

/// `archive`.
pub(super) async fn archive(session: &mut Session) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let (out, all) = (session.out, find::conversations(session).await?);
    for conversation in all.iter().filter(|conversation| conversation.kept) {
        out.object(&json!({"type": "conversation", "conversation": view::conversation(conversation)}));
        out.line(format!("{}  all of it is kept", heading(out, conversation)));
    }
    let mut is_empty = !all.iter().any(|conversation| conversation.kept);
    let (mut before, mut within) = (None, None);
    loop {
        let reply = session.intent(Intent::Archive { before, limit: KEPT_PAGE }).await?;
        let Reply::Archive(page) = &reply else { return Err(unexpected(&reply)) };
        let Some((_, oldest)) = page.last() else { break };
        (before, is_empty) = (Some(oldest.time), false);
        for (of, message) in page {
            out.object(&json!({"type": "kept", "kept": view::kept(of, message)}));
            let Some(conversation) = all.iter().find(|conversation| conversation.id == *of) else { continue };
            if within.replace(*of) != Some(*of) {
                out.line(heading(out, conversation));
            }
            out.line(line(out, conversation, message));
        }
    }
    if is_empty {
        out.line("Nothing is kept. A message beyond its time: parlour client keep CONVERSATION MESSAGE");
    }
    Ok(())
}

/// `conversations`.
pub(super) async fn conversations(session: &mut Session) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let all = find::conversations(session).await?;
    for conversation in &all {
        session.out.object(&json!({"type": "conversation", "conversation": view::conversation(conversation)}));
        session.out.line(heading(session.out, conversation));
    }
    if all.is_empty() {
        session.out.line("None yet. Write to somebody: parlour client send alice@den 'Hello'");
    }
    session.settle().await
}

/// `status`: of this home, without connecting.
pub(super) async fn status(session: &mut Session) -> Result<(), Trouble> {
    let reply = session.intent(Intent::Status).await?;
    let Reply::Status(s) = &reply else { return Err(unexpected(&reply)) };
    let out = session.out;
    out.object(&json!({"type": "result", "ok": view::status(s)}));
    let rows = [
        ("conversations", s.conversations),
        ("requests waiting for you", s.requests),
        ("messages received", s.received),
        ("queued, not yet sent", s.queued),
        ("repairs", s.repairs),
        ("could not be shown", s.unreadable),
        ("refused: forged, altered, repeated, not fitting", s.refused),
    ];
    rows.iter().for_each(|(name, count)| out.line(format!("{count:>8}  {name}")));
    let backup = if s.backed_up { "has all that the recovery key brings back" } else { "is not up to date yet" };
    out.line(format!("  backup  {backup}"));
    Ok(())
}
