//! The commands of `run --json`.

use crate::cli::{AllowedName, RoleName};
use crate::client::session::Ask;
use crate::client::{device, find, group, view};
use crate::exit::Trouble;
use parlour_client::api::{Body, ConversationId, Expiry, Intent, Target, Timer};
use parlour_proto::frames::{AppId, ReachRule};
use parlour_proto::ids::{Digest, MessageId};
use parlour_shell::Runner;
use serde::Deserialize;
use serde_json::Value;

/// One line of stdin. Conversations are named by id, address or title, messages by id.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Command {
    Apps {},
    Whoami {},
    Status {},
    Backup {},
    Holdings {},
    SetBackup {
        history: String,
    },
    Sync {},
    Offline {},
    Conversations {},
    Messages {
        conversation: String,
        before: Option<u64>,
        limit: Option<u32>,
    },
    Send {
        after_reading_s: Option<u32>,
        after_sending_s: Option<u32>,
        once: Option<bool>,
        to: Option<String>,
        invite: Option<String>,
        text: String,
        reply_to: Option<String>,
    },
    React {
        conversation: String,
        message: String,
        emoji: String,
    },
    Edit {
        conversation: String,
        message: String,
        text: String,
    },
    Delete {
        conversation: String,
        message: String,
    },
    MarkRead {
        conversation: String,
    },
    Requests {},
    Accept {
        request: String,
    },
    Decline {
        request: String,
    },
    Block {
        conversation: String,
    },
    Unblock {
        conversation: String,
    },
    Reach {},
    SetReach {
        from: String,
        rule: RuleName,
    },
    Invite {
        uses: Option<u32>,
        days: Option<u32>,
    },
    RevokeInvites {},
    Verify {
        with: String,
    },
    SetVerified {
        conversation: String,
        verified: bool,
    },
    SetReports {
        delivered: bool,
        read: bool,
        typing: Option<bool>,
    },
    Typing {
        conversation: String,
        typing: bool,
    },
    SetName {
        name: String,
    },
    GroupCreate {
        title: String,
        members: Vec<String>,
    },
    GroupAdd {
        conversation: String,
        members: Vec<String>,
    },
    GroupUninvite {
        conversation: String,
        member: String,
    },
    GroupLink {
        conversation: String,
        approve: Option<bool>,
        uses: Option<u32>,
        days: Option<u32>,
    },
    GroupLinks {
        conversation: String,
    },
    GroupUnlink {
        link: String,
    },
    GroupJoin {
        link: String,
    },
    GroupJoining {},
    GroupStopJoining {
        join: String,
    },
    GroupRemove {
        conversation: String,
        member: String,
    },
    GroupRename {
        conversation: String,
        title: String,
    },
    GroupRole {
        conversation: String,
        member: String,
        role: RoleName,
    },
    GroupRules {
        conversation: String,
        add: Option<AllowedName>,
        write: Option<AllowedName>,
        change: Option<AllowedName>,
        history_days: Option<u32>,
    },
    GroupAttributed {
        conversation: String,
        attributed: bool,
    },
    Leave {
        conversation: String,
    },
    SetExpiry {
        conversation: String,
        after_s: Option<u32>,
        archive: Option<bool>,
        existing: Option<bool>,
    },
    Keep {
        conversation: String,
        message: Option<String>,
        keep: bool,
    },
    Archive {
        before_ms: Option<u64>,
        limit: Option<u32>,
    },
    Open {
        conversation: String,
        message: String,
    },
    Devices {},
    DeviceAdd {},
    DeviceConfirm {
        yes: bool,
    },
    DeviceCancel {},
    DeviceRename {
        name: String,
    },
    DeviceRemove {
        device: String,
    },
    Drafts {},
    PutDraft {
        conversation: String,
        text: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RuleName {
    Ask,
    Invite,
    Nobody,
}

/// Reads a line: the id to repeat (any JSON value), and the command.
pub(super) fn parse(line: &[u8]) -> Result<(Value, Command), (Value, Trouble)> {
    let bad = |error: serde_json::Error| Trouble::usage(format!("not a command: {error}"));
    let mut value: Value = serde_json::from_slice(line).map_err(|error| (Value::Null, bad(error)))?;
    let id = value.as_object_mut().and_then(|object| object.remove("id")).unwrap_or(Value::Null);
    match serde_json::from_value(value) {
        Ok(command) => Ok((id, command)),
        Err(error) => Err((id, bad(error))),
    }
}

impl Command {
    /// Does it.
    pub(super) async fn run(self, mut runner: &Runner) -> Result<Value, Trouble> {
        let intent = self.intent(&mut runner).await?;
        Ok(view::reply(&runner.ask(intent).await?))
    }

    async fn intent(self, ask: &mut impl Ask) -> Result<Intent, Trouble> {
        Ok(match self {
            Self::Apps {} => Intent::Apps,
            Self::Whoami {} => Intent::WhoAmI,
            Self::Status {} => Intent::Status,
            Self::Backup {} => Intent::Backup,
            Self::Holdings {} => Intent::Holdings,
            Self::SetBackup { history } => {
                Intent::SetBackup { history: crate::cli::kept_history(&history).map_err(Trouble::usage)? }
            }
            Self::Sync {} => Intent::Sync,
            Self::Offline {} => Intent::GoOffline,
            Self::Conversations {} => Intent::Conversations,
            Self::Messages { conversation, before, limit } => {
                Intent::Messages { conversation: place(ask, &conversation).await?, before, limit: limit.unwrap_or(50) }
            }
            Self::SetExpiry { conversation, after_s, archive, existing } => {
                let expiry = Expiry { after_s, archive: archive.unwrap_or(false) };
                let existing = existing.unwrap_or(false);
                Intent::SetExpiry { conversation: place(ask, &conversation).await?, expiry, existing }
            }
            Self::Keep { conversation, message: of, keep } => {
                let conversation = place(ask, &conversation).await?;
                match of {
                    Some(of) => Intent::Keep { conversation, message: message(&of)?, keep },
                    None => Intent::KeepAll { conversation, keep },
                }
            }
            Self::Archive { before_ms, limit } => {
                Intent::Archive { before: before_ms.map(parlour_proto::ids::UnixMillis), limit: limit.unwrap_or(50) }
            }
            Self::Open { conversation, message: of } => {
                Intent::Open { conversation: place(ask, &conversation).await?, message: message(&of)? }
            }
            Self::Send { to, invite, text, reply_to, after_reading_s, after_sending_s, once } => {
                let to = match (to, invite) {
                    (Some(to), None) => whom(ask, &to).await?,
                    (None, Some(invite)) => Target::Invite(invite),
                    _ => return Err(Trouble::usage("send wants either to or invite")),
                };
                let in_reply_to = reply_to.as_deref().map(message).transpose()?;
                let timer = match (after_reading_s, after_sending_s, once.unwrap_or(false)) {
                    (None, None, false) => None,
                    (Some(seconds), None, false) => Some(Timer::Reading(seconds)),
                    (None, Some(seconds), false) => Some(Timer::Sending(seconds)),
                    (None, None, true) => Some(Timer::Once),
                    _ => return Err(Trouble::usage("a message has one timer")),
                };
                Intent::Send { to, body: Body::Text { text, in_reply_to, timer } }
            }
            Self::React { conversation, message: to, emoji } => {
                write(ask, &conversation, Body::Reaction { message: message(&to)?, emoji }).await?
            }
            Self::Edit { conversation, message: of, text } => {
                write(ask, &conversation, Body::Edit { message: message(&of)?, text }).await?
            }
            Self::Delete { conversation, message: of } => {
                write(ask, &conversation, Body::Delete { message: message(&of)? }).await?
            }
            Self::MarkRead { conversation } => Intent::MarkRead { conversation: place(ask, &conversation).await? },
            Self::Requests {} => Intent::Requests,
            Self::Accept { request } => Intent::Accept { request: find::request(ask, &request).await?.id },
            Self::Decline { request } => Intent::Decline { request: find::request(ask, &request).await?.id },
            Self::Block { conversation } => Intent::Block { conversation: place(ask, &conversation).await? },
            Self::Unblock { conversation } => Intent::Unblock { conversation: place(ask, &conversation).await? },
            Self::Reach {} => Intent::Reach,
            Self::SetReach { from, rule } => {
                let from = AppId::parse(&from).map_err(|problem| Trouble::usage(problem.detail))?;
                Intent::SetReach { from, rule: rule.into() }
            }
            Self::Invite { uses, days } => {
                Intent::CreateInvite { uses: uses.unwrap_or(1), ttl_s: u64::from(days.unwrap_or(7)) * 86_400 }
            }
            Self::RevokeInvites {} => Intent::RevokeInvites,
            Self::Verify { with } => Intent::SafetyNumber { with: whom(ask, &with).await? },
            Self::SetVerified { conversation, verified } => {
                Intent::SetVerified { conversation: place(ask, &conversation).await?, verified }
            }
            Self::SetReports { delivered, read, typing } => {
                Intent::SetReports { delivered, read, typing: typing.unwrap_or(true) }
            }
            Self::Typing { conversation, typing } => {
                Intent::Typing { conversation: place(ask, &conversation).await?, typing }
            }
            Self::SetName { name } => Intent::SetName { name },
            Self::GroupCreate { title, members } => {
                Intent::CreateGroup { title, members: find::people(ask, &members).await? }
            }
            Self::GroupAdd { conversation, members } => Intent::AddMembers {
                conversation: place(ask, &conversation).await?,
                members: find::people(ask, &members).await?,
            },
            Self::GroupUninvite { conversation, member } => {
                let group = find::conversation(ask, &conversation).await?;
                Intent::Uninvite { conversation: group.id, member: group::invited_of(&group, &member)? }
            }
            Self::GroupLink { conversation, approve, uses, days } => Intent::CreateGroupLink {
                conversation: place(ask, &conversation).await?,
                approve: approve.unwrap_or(false),
                uses: uses.unwrap_or(1),
                ttl_s: u64::from(days.unwrap_or(7)) * 86_400,
            },
            Self::GroupLinks { conversation } => Intent::GroupLinks { conversation: place(ask, &conversation).await? },
            Self::GroupUnlink { link } => Intent::RevokeGroupLink { link: digest(&link)? },
            Self::GroupJoin { link } => Intent::JoinByLink { link },
            Self::GroupJoining {} => Intent::Joining,
            Self::GroupStopJoining { join } => Intent::StopJoining { join: place(ask, &join).await? },
            Self::GroupRemove { conversation, member } => {
                let group = find::conversation(ask, &conversation).await?;
                Intent::RemoveMember { conversation: group.id, member: group::member_of(&group, &member)? }
            }
            Self::GroupRename { conversation, title } => {
                Intent::Rename { conversation: place(ask, &conversation).await?, title }
            }
            Self::GroupRole { conversation, member, role } => {
                let group = find::conversation(ask, &conversation).await?;
                let member = match member.as_str() {
                    "me" => find::me(ask).await?.account,
                    typed => group::member_of(&group, typed)?,
                };
                Intent::SetRole { conversation: group.id, member, role: role.into() }
            }
            Self::GroupRules { conversation, add, write, change, history_days } => {
                let group = find::conversation(ask, &conversation).await?;
                let rules = group::rules_with(&group, add, write, change, history_days)?;
                Intent::SetRules { conversation: group.id, rules }
            }
            Self::GroupAttributed { conversation, attributed } => {
                Intent::SetAttributed { conversation: place(ask, &conversation).await?, attributed }
            }
            Self::Leave { conversation } => Intent::Leave { conversation: place(ask, &conversation).await? },
            Self::Devices {} => Intent::Devices,
            Self::DeviceAdd {} => Intent::OfferLink,
            Self::DeviceConfirm { yes } => Intent::ConfirmLink { yes },
            Self::DeviceCancel {} => Intent::CancelLink,
            Self::DeviceRename { name } => Intent::NameDevice { name },
            Self::DeviceRemove { device } => {
                Intent::RevokeDevice { device: device::one(&device::devices(ask).await?, &device)?.id }
            }
            Self::Drafts {} => Intent::Drafts,
            Self::PutDraft { conversation, text } => {
                Intent::PutDraft { conversation: place(ask, &conversation).await?, text }
            }
        })
    }
}

impl From<RuleName> for ReachRule {
    fn from(name: RuleName) -> Self {
        match name {
            RuleName::Ask => ReachRule::Ask,
            RuleName::Invite => ReachRule::Invite,
            RuleName::Nobody => ReachRule::Nobody,
        }
    }
}

/// A conversation by whole id (also one that is new), address or title.
async fn place(ask: &mut impl Ask, typed: &str) -> Result<ConversationId, Trouble> {
    match find::whole_id(typed) {
        Some(id) => Ok(ConversationId(id)),
        None => Ok(find::conversation(ask, typed).await?.id),
    }
}

async fn whom(ask: &mut impl Ask, typed: &str) -> Result<Target, Trouble> {
    match find::whole_id(typed) {
        Some(id) => Ok(Target::Conversation(ConversationId(id))),
        None => find::target(ask, typed).await,
    }
}

async fn write(ask: &mut impl Ask, conversation: &str, body: Body) -> Result<Intent, Trouble> {
    Ok(Intent::Send { to: Target::Conversation(place(ask, conversation).await?), body })
}

fn digest(typed: &str) -> Result<Digest, Trouble> {
    let mut digest = [0; 32];
    match hex::decode_to_slice(typed, &mut digest) {
        Ok(()) => Ok(Digest(digest)),
        Err(_) => Err(Trouble::usage("a link is named by its id, 64 hexadecimal digits")),
    }
}

fn message(typed: &str) -> Result<MessageId, Trouble> {
    find::whole_id(typed)
        .map(MessageId)
        .ok_or_else(|| Trouble::usage("a message is named by its id, 32 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_id_whatever_it_is() {
        let (id, command) = parse(br#"{"id":["a",1],"do":"send","to":"alice@den","text":"hi"}"#).ok().unwrap();
        assert_eq!(id, serde_json::json!(["a", 1]));
        assert!(matches!(command, Command::Send { invite: None, .. }));
    }

    #[test]
    fn what_is_no_command_is_refused_with_its_id() {
        for line in [
            r#"{"id":7,"do":"fly"}"#,
            r#"{"id":7,"do":"send","to":"a@b"}"#,
            r#"{"id":7,"do":"status","extra":1}"#,
            r#"{"id":7}"#,
        ] {
            let (id, trouble) = parse(line.as_bytes()).err().unwrap();
            assert_eq!((id, trouble.code), (serde_json::json!(7), "bad_input"), "{line}");
        }
        assert_eq!(parse(b"[]").err().unwrap().0, Value::Null);
        assert_eq!(parse(b"{").err().unwrap().0, Value::Null);
    }
}
