//! Groups.

mod links;

use super::requests::simple;
use super::session::{LOOK_AGAIN, PATIENCE, Session, unexpected};
use super::{find, view};
use crate::cli::{AllowedName, GroupCommand, OnOff};
use crate::exit::Trouble;
use crate::out::Style;
use crate::text;
use parlour_client::api::{Allowed, Conversation, ConversationId, GroupRole, GroupRules, Intent, Member, Reply};
use parlour_proto::frames::AccountRef;
use serde_json::json;
use tokio::time::Instant;

/// `group`.
pub(super) async fn group(session: &mut Session, command: &GroupCommand) -> Result<(), Trouble> {
    session.sync().await?;
    match command {
        GroupCommand::Create { title, members } => create(session, title, members).await,
        GroupCommand::Add { group, members } => {
            let conversation = find::conversation(session, group).await?.id;
            let members = find::people(session, members).await?;
            added(session, Intent::AddMembers { conversation, members }).await
        }
        GroupCommand::Uninvite { group, member } => {
            let group = find::conversation(session, group).await?;
            let member = invited_of(&group, member)?;
            changed(session, Intent::Uninvite { conversation: group.id, member }).await
        }
        GroupCommand::Link { group, approve, uses, days, qr } => {
            let conversation = find::conversation(session, group).await?.id;
            let ttl_s = u64::from(*days) * 86_400;
            let made = Intent::CreateGroupLink { conversation, approve: *approve, uses: *uses, ttl_s };
            links::make(session, made, *qr).await
        }
        GroupCommand::Links { group } => {
            let conversation = find::conversation(session, group).await?.id;
            links::list(session, conversation).await
        }
        GroupCommand::Unlink { group, link } => {
            let conversation = find::conversation(session, group).await?.id;
            links::revoke(session, conversation, link.as_deref()).await
        }
        GroupCommand::Join { link } => links::join(session, link).await,
        GroupCommand::Joining => links::joining(session).await,
        GroupCommand::StopJoining { join } => links::stop(session, join).await,
        GroupCommand::Remove { group, member } => {
            let conversation = find::conversation(session, group).await?;
            let member = member_of(&conversation, member)?;
            simple(session, Intent::RemoveMember { conversation: conversation.id, member }, "Removed.").await
        }
        GroupCommand::Show { group } => {
            let group = find::conversation(session, group).await?;
            show(session, &group);
            Ok(())
        }
        GroupCommand::Rename { group, title } => {
            let conversation = find::conversation(session, group).await?.id;
            simple(session, Intent::Rename { conversation, title: title.clone() }, "Renamed.").await
        }
        GroupCommand::Role { group, member, role } => {
            let group = find::conversation(session, group).await?;
            let member = match member.as_str() {
                "me" => find::me(session).await?.account,
                typed => member_of(&group, typed)?,
            };
            let intent = Intent::SetRole { conversation: group.id, member, role: (*role).into() };
            changed(session, intent).await
        }
        GroupCommand::Rules { group, add, write, change, history } => {
            let group = find::conversation(session, group).await?;
            let rules = rules_with(&group, *add, *write, *change, *history)?;
            changed(session, Intent::SetRules { conversation: group.id, rules }).await
        }
        GroupCommand::Attributed { group, mode } => {
            let conversation = find::conversation(session, group).await?.id;
            let attributed = matches!(mode, OnOff::On);
            changed(session, Intent::SetAttributed { conversation, attributed }).await
        }
        GroupCommand::Leave { group } => {
            let conversation = find::conversation(session, group).await?.id;
            simple(session, Intent::Leave { conversation }, "Left.").await
        }
    }
}

async fn create(session: &mut Session, title: &str, members: &[String]) -> Result<(), Trouble> {
    let members = find::people(session, members).await?;
    let reply = session.intent(Intent::CreateGroup { title: title.to_owned(), members }).await?;
    let Reply::Conversation(group) = &reply else { return Err(unexpected(&reply)) };
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    let id = session.out.paint(Style::Dim, &text::short(&group.id.0));
    session.out.line(format!("{}  {id}", session.out.paint(Style::Bold, &text::plain(&group.title))));
    say_invited(session, group);
    session.settle().await
}

/// Adds people, and says who was asked.
async fn added(session: &mut Session, intent: Intent) -> Result<(), Trouble> {
    let reply = session.intent(intent).await?;
    let Reply::Conversation(group) = &reply else { return Err(unexpected(&reply)) };
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    let asked = group.group.as_ref().is_some_and(|view| !view.invited.is_empty());
    session.out.line(if asked { "Added, but for:" } else { "Added." });
    say_invited(session, group);
    session.settle().await
}

/// Who is not in yet.
fn say_invited(session: &Session, group: &Conversation) {
    for member in group.group.iter().flat_map(|view| &view.invited) {
        session.out.line(format!("  {}  asked: comes in by accepting", name_of(member)));
    }
}

fn name_of(member: &Member) -> String {
    let name = member.address.clone().or(member.name.clone()).unwrap_or_else(|| view::account(&member.account));
    text::plain(&name)
}

/// Waits until those who were let in are in, as far as it is up to this side.
pub(super) async fn until_in(session: &mut Session, group: ConversationId) -> Result<(), Trouble> {
    let until = Instant::now() + PATIENCE;
    loop {
        session.settle().await?;
        let all = find::conversations(session).await?;
        let waits = all.iter().find(|c| c.id == group).and_then(|c| c.group.as_ref());
        if waits.is_none_or(|view| view.invited.is_empty()) || Instant::now() > until {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Asks for a change that the whole group takes, and shows the group after it.
async fn changed(session: &mut Session, intent: Intent) -> Result<(), Trouble> {
    let reply = session.intent(intent).await?;
    let Reply::Conversation(group) = &reply else { return Err(unexpected(&reply)) };
    show(session, group);
    session.settle().await
}

/// The group's rules with these ones changed.
pub(super) fn rules_with(
    group: &Conversation,
    add: Option<AllowedName>,
    write: Option<AllowedName>,
    change: Option<AllowedName>,
    history_days: Option<u32>,
) -> Result<GroupRules, Trouble> {
    let Some(view) = &group.group else {
        return Err(Trouble::not_found("no group of this name that can be changed now".to_owned()));
    };
    let or = |named: Option<AllowedName>, now| named.map_or(now, Into::into);
    let now = view.rules;
    let history_s = match history_days {
        None => now.history_s,
        Some(0) => None,
        Some(days) => Some(u64::from(days) * 86_400),
    };
    let (add, write, change) = (or(add, now.add), or(write, now.write), or(change, now.change));
    Ok(GroupRules { add, write, change, history_s })
}

fn show(session: &mut Session, group: &Conversation) {
    let out = &session.out;
    out.object(&json!({"type": "result", "ok": {"conversation": view::conversation(group)}}));
    out.line(out.paint(Style::Bold, &text::plain(&group.title)));
    let Some(view) = &group.group else { return };
    let role = |who: &AccountRef| view.roles.iter().find(|(account, _)| account == who).map(|(_, role)| *role);
    let line = |name: &str, role: Option<GroupRole>| match role {
        Some(role @ (GroupRole::Admin | GroupRole::Owner)) => {
            out.line(format!("  {name}  {}", out.paint(Style::Dim, view::role_name(role))));
        }
        _ => out.line(format!("  {name}")),
    };
    line("you", Some(view.role));
    for member in &group.members {
        line(&name_of(member), role(&member.account));
    }
    for member in &view.invited {
        out.line(format!("  {}  {}", name_of(member), out.paint(Style::Dim, "asked, not in yet")));
    }
    let GroupRules { add, write, change, history_s } = view.rules;
    let rules = [("add people", add), ("write", write), ("change name and picture", change)];
    for (what, _) in rules.into_iter().filter(|(_, allowed)| *allowed == Allowed::Admins) {
        out.line(out.paint(Style::Dim, &format!("Only admins {what}.")));
    }
    if view.attributed {
        out.line(out.paint(
            Style::Dim,
            "Attributed mode: the server sees who sends, and lets each send only so many messages.",
        ));
    }
    if let Some(seconds) = history_s {
        let days = seconds.div_ceil(86_400);
        let line = format!("Whoever is added is given what was said in the last {days} days, from when this was set.");
        out.line(out.paint(Style::Dim, &line));
    }
}

/// A member by address, name or account.
pub(super) fn member_of(group: &Conversation, typed: &str) -> Result<AccountRef, Trouble> {
    one_of(&group.members, typed, "is in this group")
}

/// Somebody who was asked and is not in yet.
pub(super) fn invited_of(group: &Conversation, typed: &str) -> Result<AccountRef, Trouble> {
    one_of(group.group.as_ref().map_or(&[][..], |view| &view.invited), typed, "is invited to this group")
}

fn one_of(members: &[Member], typed: &str, what: &str) -> Result<AccountRef, Trouble> {
    let fits = |member: &&Member| {
        member.address.as_deref().is_some_and(|address| find::same_address(address, typed))
            || member.name.as_deref() == Some(typed)
            || view::account(&member.account) == typed
    };
    match members.iter().filter(fits).collect::<Vec<_>>()[..] {
        [only] => Ok(only.account.clone()),
        [] => Err(Trouble::not_found(format!("nobody {typed:?} {what}"))),
        _ => Err(Trouble::usage(format!("{typed:?} fits more than one member: give the address"))),
    }
}
