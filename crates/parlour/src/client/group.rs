//! Groups.

use super::requests::simple;
use super::session::{Session, unexpected};
use super::{find, view};
use crate::cli::{AllowedName, GroupCommand};
use crate::exit::Trouble;
use crate::out::Style;
use crate::text;
use parlour_client::api::{Allowed, Conversation, GroupRole, GroupRules, Intent, Member, Reply};
use parlour_proto::frames::AccountRef;
use serde_json::json;

/// `group`.
pub(super) async fn group(session: &mut Session, command: &GroupCommand) -> Result<(), Trouble> {
    session.sync().await?;
    match command {
        GroupCommand::Create { title, members } => create(session, title, members).await,
        GroupCommand::Add { group, members } => {
            let conversation = find::conversation(session, group).await?.id;
            let members = find::people(session, members).await?;
            simple(session, Intent::AddMembers { conversation, members }, "Added.").await
        }
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
    session.settle().await
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
        let name = member.address.clone().or(member.name.clone()).unwrap_or_else(|| view::account(&member.account));
        line(&text::plain(&name), role(&member.account));
    }
    let GroupRules { add, write, change, history_s } = view.rules;
    let rules = [("add people", add), ("write", write), ("change name and picture", change)];
    for (what, _) in rules.into_iter().filter(|(_, allowed)| *allowed == Allowed::Admins) {
        out.line(out.paint(Style::Dim, &format!("Only admins {what}.")));
    }
    if let Some(seconds) = history_s {
        let days = seconds.div_ceil(86_400);
        let line = format!("Whoever is added is given what was said in the last {days} days, from when this was set.");
        out.line(out.paint(Style::Dim, &line));
    }
}

/// A member by address, name or account.
pub(super) fn member_of(group: &Conversation, typed: &str) -> Result<AccountRef, Trouble> {
    let fits = |member: &&Member| {
        member.address.as_deref().is_some_and(|address| find::same_address(address, typed))
            || member.name.as_deref() == Some(typed)
            || view::account(&member.account) == typed
    };
    match group.members.iter().filter(fits).collect::<Vec<_>>()[..] {
        [only] => Ok(only.account.clone()),
        [] => Err(Trouble::not_found(format!("no member {typed:?} in this group"))),
        _ => Err(Trouble::usage(format!("{typed:?} fits more than one member: give the address"))),
    }
}
