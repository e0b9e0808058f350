//! From what is typed (an address, the first characters of an id, a title) to what is meant.

use super::session::{Ask, unexpected};
use crate::exit::Trouble;
use parlour_client::api::{Conversation, ConversationId, Failure, Identity, Intent, Message, Reply, Request, Target};
use parlour_proto::frames::{AccountRef, AppId};
use parlour_proto::ids::{AccountId, MessageId};

/// Fewer characters of an id are too easily wrong.
const SHORTEST_ID: usize = 4;

/// Whom to write to: an address may be of somebody new; all else must be here.
pub(super) async fn target(asked: &mut impl Ask, typed: &str) -> Result<Target, Trouble> {
    if is_address(typed) {
        return Ok(Target::Address(typed.to_owned()));
    }
    Ok(Target::Conversation(conversation(asked, typed).await?.id))
}

/// People for a group: by address, invite, the conversation of two with them (who signs in by a number does not tell it), or
/// account.
pub(super) async fn people(asked: &mut impl Ask, typed: &[String]) -> Result<Vec<Target>, Trouble> {
    let mut targets = Vec::new();
    for typed in typed {
        targets.push(match account(typed) {
            Some(account) => Target::Account(account),
            None if typed.contains(':') => Target::Invite(typed.clone()),
            None => target(asked, typed).await?,
        });
    }
    Ok(targets)
}

/// An account as members without an address are shown: `app/0123…`.
fn account(typed: &str) -> Option<AccountRef> {
    let (app, account) = typed.split_once('/')?;
    Some(AccountRef { app: AppId::parse(app).ok()?, account: AccountId(whole_id(account)?) })
}

/// A conversation that is here.
pub(super) async fn conversation(asked: &mut impl Ask, typed: &str) -> Result<Conversation, Trouble> {
    let all = conversations(asked).await?;
    one(all.iter().filter(|conversation| names(conversation, typed)).collect(), "conversation", typed).cloned()
}

/// A request that is here.
pub(super) async fn request(asked: &mut impl Ask, typed: &str) -> Result<Request, Trouble> {
    let all = requests(asked).await?;
    let found = all.iter().filter(|request| {
        starts(&request.id.0, typed) || request.claimed_address.as_deref().is_some_and(|a| same_address(a, typed))
    });
    one(found.collect(), "request", typed).cloned()
}

/// A message of a conversation.
pub(super) async fn message(asked: &mut impl Ask, within: ConversationId, typed: &str) -> Result<MessageId, Trouble> {
    if let Some(whole) = whole_id(typed) {
        return Ok(MessageId(whole));
    }
    let all = messages(asked, within, u32::MAX).await?;
    one(all.iter().filter(|message| starts(&message.id.0, typed)).collect(), "message", typed).map(|found| found.id)
}

/// Who we are here.
pub(super) async fn me(asked: &mut impl Ask) -> Result<Identity, Trouble> {
    match asked.ask(Intent::WhoAmI).await? {
        Reply::Identities(all) => all.into_iter().next().ok_or_else(|| Failure::NotSignedIn.into()),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn conversations(asked: &mut impl Ask) -> Result<Vec<Conversation>, Trouble> {
    match asked.ask(Intent::Conversations).await? {
        Reply::Conversations(all) => Ok(all),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn requests(asked: &mut impl Ask) -> Result<Vec<Request>, Trouble> {
    match asked.ask(Intent::Requests).await? {
        Reply::Requests(all) => Ok(all),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn messages(asked: &mut impl Ask, of: ConversationId, limit: u32) -> Result<Vec<Message>, Trouble> {
    match asked.ask(Intent::Messages { conversation: of, before: None, limit }).await? {
        Reply::Messages(all) => Ok(all),
        other => Err(unexpected(&other)),
    }
}

fn one<'a, T>(found: Vec<&'a T>, what: &str, typed: &str) -> Result<&'a T, Trouble> {
    match found[..] {
        [only] => Ok(only),
        [] => Err(Trouble::not_found(format!("no {what} {typed:?} here"))),
        _ => Err(Trouble::usage(format!("{typed:?} fits more than one {what}: type more of its id"))),
    }
}

/// `handle@app`, also `@handle@app`.
pub(super) fn is_address(typed: &str) -> bool {
    typed.rsplit_once('@').is_some_and(|(handle, app)| !handle.trim_matches('@').is_empty() && !app.is_empty())
}

/// Whether what was typed names the conversation: its id, its title, or (of two people) the other's address.
pub(super) fn names(conversation: &Conversation, typed: &str) -> bool {
    let other = match &conversation.members[..] {
        [other] if !conversation.is_group => other.address.as_deref(),
        _ => None,
    };
    starts(&conversation.id.0, typed) || conversation.title == typed || other.is_some_and(|a| same_address(a, typed))
}

pub(super) fn same_address(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches('@').to_lowercase();
    bare(one) == bare(other)
}

pub(super) fn starts(id: &[u8], typed: &str) -> bool {
    typed.len() >= SHORTEST_ID && hex::encode(id).starts_with(&typed.to_ascii_lowercase())
}

/// An id typed whole.
pub(super) fn whole_id(typed: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    hex::decode_to_slice(typed, &mut id).ok()?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_handle_and_an_app() {
        assert!(is_address("alice@den") && is_address("@maya@porch") && is_address("+15550100@bell"));
        assert!(!is_address("alice") && !is_address("@maya") && !is_address("alice@") && !is_address("@@porch"));
    }

    #[test]
    fn an_at_sign_in_front_does_not_make_another_address() {
        assert!(same_address("@Maya@porch", "maya@porch"));
        assert!(!same_address("maya@porch", "maya@den"));
    }

    #[test]
    fn four_characters_of_an_id_are_the_least() {
        assert!(starts(&[0xab, 0xcd, 0xef], "ABCD"));
        assert!(!starts(&[0xab, 0xcd, 0xef], "abc"));
    }
}
