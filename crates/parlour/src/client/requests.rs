//! Requests: first contacts that wait for a choice.

use super::session::{Session, unexpected};
use super::{find, view};
use crate::exit::Trouble;
use crate::out::Style;
use crate::text;
use parlour_client::api::{ConversationId, Intent, Reply, Request};
use parlour_shell::clock;
use serde_json::json;

/// `requests`.
pub(super) async fn list(session: &mut Session, show: bool) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let all = find::requests(session).await?;
    let out = session.out;
    for request in &all {
        out.object(&json!({"type": "request", "request": view::request(request)}));
        let id = out.paint(Style::Bold, &text::short(&request.id.0));
        let wants = match (request.joins, &request.group) {
            (Some(group), _) => format!(" asks to join {}", text::short(&group.0)),
            (None, Some(_)) => " invites to a group".to_owned(),
            (None, None) => String::new(),
        };
        out.line(format!("{id}  somebody on {}{wants}, {}", request.from.app, text::age(request.time, clock::now())));
        if show {
            claims(request).iter().for_each(|line| out.line(format!("          {line}")));
        }
    }
    match all.len() {
        0 => out.line("Nobody is waiting."),
        _ if show => {}
        _ => out.line("\nWhat they wrote: --show. Then: parlour client accept ID, decline ID (silently), or block ID."),
    }
    Ok(())
}

/// What a stranger says of itself; nobody vouches for it.
fn claims(request: &Request) -> Vec<String> {
    let name = request.claimed_name.as_ref().map(|name| format!("says to be {}", text::plain(name)));
    let address =
        request.claimed_address.as_ref().map(|address| format!("says to be reached at {}", text::plain(address)));
    let group = request.group.as_ref().map(|title| format!("invites to: {}", text::plain(title)));
    let wrote = request
        .text
        .as_ref()
        .map(|wrote| format!("wrote: {}", text::plain(wrote).replace('\n', "\n                 ")));
    [name, address, group, wrote].into_iter().flatten().collect()
}

/// `accept`.
pub(super) async fn accept(session: &mut Session, typed: &str) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let Request { id: request, joins, .. } = find::request(session, typed).await?;
    let reply = session.intent(Intent::Accept { request }).await?;
    let Reply::Conversation(conversation) = &reply else { return Err(unexpected(&reply)) };
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    let title = session.out.paint(Style::Bold, &text::plain(&conversation.title));
    if joins.is_some() {
        session.out.line(format!("They are let into {title}."));
        return super::group::until_in(session, conversation.id).await;
    }
    session.out.line(format!("{title} may write to you now: parlour client read {}", text::short(&conversation.id.0)));
    session.settle().await
}

/// `decline`.
pub(super) async fn decline(session: &mut Session, typed: &str) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let request = find::request(session, typed).await?.id;
    simple(session, Intent::Decline { request }, "Forgotten. The other side is not told.").await
}

/// `block`.
pub(super) async fn block(session: &mut Session, typed: &str) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let conversation = either(session, typed).await?;
    simple(session, Intent::Block { conversation }, "Blocked. The other side is not told.").await
}

/// `unblock`.
pub(super) async fn unblock(session: &mut Session, typed: &str) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let conversation = find::conversation(session, typed).await?.id;
    simple(session, Intent::Unblock { conversation }, "No longer blocked.").await
}

/// A request or a conversation.
async fn either(session: &mut Session, typed: &str) -> Result<ConversationId, Trouble> {
    match find::request(session, typed).await {
        Ok(request) => Ok(request.id),
        Err(_) => Ok(find::conversation(session, typed).await?.id),
    }
}

/// Does what answers with nothing, says so, and waits until the server has it.
pub(super) async fn simple(session: &mut Session, intent: Intent, said: &str) -> Result<(), Trouble> {
    session.intent(intent).await?;
    session.out.object(&json!({"type": "result", "ok": {}}));
    session.out.line(said);
    session.settle().await
}
