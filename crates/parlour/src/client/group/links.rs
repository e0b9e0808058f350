//! Links to groups: made, listed, revoked, opened.

use crate::client::requests::simple;
use crate::client::session::{LOOK_AGAIN, Session, unexpected};
use crate::client::{find, view};
use crate::exit::Trouble;
use crate::out::Style;
use crate::{qr, text};
use parlour_client::api::{ConversationId, GroupLink, Intent, Joining, Reply};
use parlour_shell::clock;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How long a join is waited for: where no approval is needed, and somebody of theirs is there, it takes a moment.
const A_MOMENT: Duration = Duration::from_secs(3);

/// `group link`.
pub(super) async fn make(session: &mut Session, intent: Intent, as_qr: bool) -> Result<(), Trouble> {
    let reply = session.network_intent(intent).await?;
    let Reply::GroupLink(link) = &reply else { return Err(unexpected(&reply)) };
    let out = session.out;
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    out.line(&link.text);
    if as_qr {
        qr::show(out, &link.text);
    }
    out.line(out.paint(Style::Dim, &described(link)));
    session.settle().await
}

fn described(link: &GroupLink) -> String {
    let days = text::duration(link.until.since(clock::now()));
    let approve = if link.approve { ", I am asked first" } else { "" };
    format!("{}  for {} use(s), {days}{approve}", text::short(&link.id.0), link.uses)
}

/// `group links`.
pub(super) async fn list(session: &mut Session, conversation: ConversationId) -> Result<(), Trouble> {
    let links = links_to(session, conversation).await?;
    for link in &links {
        session.out.object(&json!({"type": "link", "link": view::group_link(link)}));
        session.out.line(&link.text);
        session.out.line(format!("          {}", described(link)));
    }
    if links.is_empty() {
        session.out.line("No links of yours lead here.");
    }
    Ok(())
}

async fn links_to(session: &mut Session, conversation: ConversationId) -> Result<Vec<GroupLink>, Trouble> {
    match session.intent(Intent::GroupLinks { conversation }).await? {
        Reply::GroupLinks(links) => Ok(links),
        other => Err(unexpected(&other)),
    }
}

/// `group unlink`.
pub(super) async fn revoke(
    session: &mut Session,
    conversation: ConversationId,
    typed: Option<&str>,
) -> Result<(), Trouble> {
    let links = links_to(session, conversation).await?;
    let meant: Vec<_> = links.iter().filter(|link| typed.is_none_or(|typed| find::starts(&link.id.0, typed))).collect();
    match (typed, meant.len()) {
        (Some(typed), 0) => return Err(Trouble::not_found(format!("no link {typed:?} to this group"))),
        (Some(typed), 2..) => return Err(Trouble::usage(format!("{typed:?} fits more than one link"))),
        _ => {}
    }
    for link in meant {
        session.intent(Intent::RevokeGroupLink { link: link.id }).await?;
    }
    session.out.object(&json!({"type": "result", "ok": {}}));
    session.out.line("Nobody joins by it any more.");
    session.settle().await
}

/// `group join`.
pub(super) async fn join(session: &mut Session, link: &str) -> Result<(), Trouble> {
    let before: Vec<ConversationId> = find::conversations(session).await?.iter().map(|c| c.id).collect();
    session.network_intent(Intent::JoinByLink { link: link.to_owned() }).await?;
    session.settle().await?;
    let until = Instant::now() + A_MOMENT;
    loop {
        let all = find::conversations(session).await?;
        if let Some(group) = all.iter().find(|c| c.is_group && !before.contains(&c.id)) {
            session.out.object(&json!({"type": "result", "ok": {"conversation": view::conversation(group)}}));
            let id = session.out.paint(Style::Dim, &text::short(&group.id.0));
            session.out.line(format!("In: {}  {id}", session.out.paint(Style::Bold, &text::plain(&group.title))));
            return session.settle().await;
        }
        if Instant::now() > until {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    session.out.object(&json!({"type": "result", "ok": {}}));
    session.out.line(
        "Asked. The group appears among your conversations when you are let in; you are not told if you are not.",
    );
    Ok(())
}

/// `group joining`.
pub(super) async fn joining(session: &mut Session) -> Result<(), Trouble> {
    let all = waiting(session).await?;
    for join in &all {
        session.out.object(&json!({"type": "joining", "joining": view::joining(join)}));
        let by = join.by.as_ref().map_or("somebody".to_owned(), |by| format!("somebody on {}", by.app));
        let age = text::age(join.since, clock::now());
        session.out.line(format!("{}  a link of {by}, {age}", text::short(&join.id.0)));
    }
    if all.is_empty() {
        session.out.line("You wait for no group.");
    }
    Ok(())
}

async fn waiting(session: &mut Session) -> Result<Vec<Joining>, Trouble> {
    match session.intent(Intent::Joining).await? {
        Reply::Joining(all) => Ok(all),
        other => Err(unexpected(&other)),
    }
}

/// `group stop-joining`.
pub(super) async fn stop(session: &mut Session, typed: &str) -> Result<(), Trouble> {
    let all = waiting(session).await?;
    let meant: Vec<_> = all.iter().filter(|join| find::starts(&join.id.0, typed)).collect();
    let [join] = meant[..] else {
        return Err(Trouble::not_found(format!("no group {typed:?} that you wait for, or more than one")));
    };
    simple(session, Intent::StopJoining { join: join.id }, "You do not wait for it any more.").await
}
