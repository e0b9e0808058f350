//! Groups.

use super::requests::simple;
use super::session::{Session, unexpected};
use super::{find, view};
use crate::cli::GroupCommand;
use crate::exit::Trouble;
use crate::out::Style;
use crate::text;
use parlour_client::api::{Conversation, Intent, Member, Reply};
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
