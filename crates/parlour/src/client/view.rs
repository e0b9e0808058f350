//! What the engine tells, as JSON. The shapes are documented in `docs/cli.md`; fields are added, never changed.

use crate::exit::Trouble;
use parlour_client::api::{
    Allowed, Connection, Conversation, ConversationState, Device, Event, Expiry, GroupLink, GroupRole, GroupRules,
    GroupView, Identity, Interference, Joining, KeptHistory, LinkEnd, Member, Mention, Message, MessageState, Notice,
    Preview, Reply, Request, Status, Timer,
};
use parlour_proto::frames::{AccountRef, AppInfo, ReachRule, SignIn};
use serde_json::{Value, json};

/// An event of `run --json`; `None` for what scripts are not told.
pub(super) fn event(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Done(..) => return None,
        Event::Progress { step, done, of, .. } => json!({"type": "progress", "step": step, "done": done, "of": of}),
        Event::Connection { state, .. } => connection(*state),
        Event::Message { conversation, message: m } => {
            json!({"type": "message", "conversation": hex::encode(conversation.0), "message": message(m)})
        }
        Event::Gone { conversation, messages } => json!({
            "type": "gone", "conversation": hex::encode(conversation.0),
            "messages": messages.iter().map(|id| hex::encode(id.0)).collect::<Vec<_>>(),
        }),
        Event::NotSent { conversation, messages, why } => json!({
            "type": "not_sent", "conversation": hex::encode(conversation.0),
            "messages": messages.iter().map(|id| hex::encode(id.0)).collect::<Vec<_>>(),
            "error": error(&Trouble::from(why.clone())),
        }),
        Event::Request(r) => json!({"type": "request", "request": request(r)}),
        Event::Conversation(c) => json!({"type": "conversation", "conversation": conversation(c)}),
        Event::Profile(m) => json!({"type": "profile", "member": member(m)}),
        Event::KeysChanged { conversation, who } => {
            json!({"type": "keys_changed", "conversation": hex::encode(conversation.0), "account": account(who)})
        }
        Event::Typing { conversation, who, typing } => json!({
            "type": "typing", "conversation": hex::encode(conversation.0), "account": account(who), "typing": typing,
        }),
        Event::LinkAsked { name } => json!({"type": "link_asked", "name": name}),
        Event::LinkEnded { why } => json!({"type": "link_ended", "why": link_end(*why)}),
        Event::Devices { identity, devices, new } => json!({
            "type": "devices", "identity": identity.0, "devices": devices.iter().map(device).collect::<Vec<_>>(),
            "new": new.map(|new| hex::encode(new.0)),
        }),
        Event::History { to, done, of } => {
            json!({"type": "history", "to": to.map(|to| hex::encode(to.0)), "done": done, "of": of})
        }
        Event::Draft { conversation, text } => {
            json!({"type": "draft", "conversation": hex::encode(conversation.0), "text": text})
        }
        Event::JoinEnded { join, joined } => json!({
            "type": "join_ended", "join": hex::encode(join.0), "conversation": joined.map(|joined| hex::encode(joined.0)),
        }),
        Event::Earlier { conversation } => json!({"type": "earlier", "conversation": hex::encode(conversation.0)}),
        Event::Identities(all) => {
            json!({"type": "identities", "identities": all.iter().map(self::identity).collect::<Vec<_>>()})
        }
        Event::Restored { identity, backup } => {
            json!({"type": "restored", "identity": identity.0, "backup_ms": backup.0})
        }
        Event::Interference { identity, conversation, what } => json!({
            "type": "interference", "identity": identity.0, "conversation": conversation.map(|id| hex::encode(id.0)),
            "what": interference(*what),
        }),
        Event::SignedOut { why, .. } => json!({"type": "signed_out", "why": why}),
    })
}

/// What an intent gave back, as the `ok` of a result.
pub(super) fn reply(reply: &Reply) -> Value {
    match reply {
        Reply::Ok => json!({}),
        Reply::Apps(apps) => json!({"apps": apps.iter().map(app).collect::<Vec<_>>()}),
        Reply::SignedUp { account: who, address, recovery_key } => {
            json!({"account": account(who), "address": address, "recovery_key": recovery_key.as_str()})
        }
        Reply::Identities(all) => json!({"identities": all.iter().map(identity).collect::<Vec<_>>()}),
        Reply::Queued { conversation, message } => {
            json!({"conversation": hex::encode(conversation.0), "message": hex::encode(message.0)})
        }
        Reply::Conversations(all) => json!({"conversations": all.iter().map(conversation).collect::<Vec<_>>()}),
        Reply::Conversation(one) => json!({"conversation": conversation(one)}),
        Reply::Messages(all) => json!({"messages": all.iter().map(message).collect::<Vec<_>>()}),
        Reply::Requests(all) => json!({"requests": all.iter().map(request).collect::<Vec<_>>()}),
        Reply::Reach(rules) => json!({"reach": reach(rules)}),
        Reply::Invite { text, expires } => json!({"invite": text, "expires_ms": expires.0}),
        Reply::SafetyNumber { digits, verified, address } => {
            json!({"digits": digits, "verified": verified, "address": address})
        }
        Reply::Status(counters) => status(counters),
        Reply::Picture(picture) => json!({"picture": picture.as_ref().map(|picture| {
            json!({"media_type": picture.media_type(), "bytes": picture.image().len()})
        })}),
        Reply::LinkCode { code, scan, until } => json!({"code": code, "scan": scan, "until_ms": until.0}),
        Reply::Linked { account: who, address } => json!({"account": account(who), "address": address}),
        Reply::Devices(all) => json!({"devices": all.iter().map(device).collect::<Vec<_>>()}),
        Reply::Backup(b) => json!({
            "history": kept_history(b.history), "here": b.here, "complete": b.complete,
            "since_ms": b.since.map(|since| since.0), "messages": b.messages, "bytes": b.bytes, "left_out": b.left_out,
        }),
        Reply::Holdings(held) => super::holdings::object(held),
        Reply::Archive(all) => json!({"kept": all.iter().map(|(of, one)| kept(of, one)).collect::<Vec<_>>()}),
        Reply::Readers(all) => {
            let readers = all.iter().map(|(who, state)| (account(who), Value::from(message_state(*state))));
            json!({"readers": Value::Object(readers.collect())})
        }
        Reply::GroupLink(link) => json!({"link": group_link(link)}),
        Reply::GroupLinks(all) => json!({"links": all.iter().map(group_link).collect::<Vec<_>>()}),
        Reply::Joining(all) => json!({"joining": all.iter().map(joining).collect::<Vec<_>>()}),
        Reply::Drafts(all) => {
            let drafts = all.iter().map(|(of, text)| json!({"conversation": hex::encode(of.0), "text": text}));
            json!({"drafts": drafts.collect::<Vec<_>>()})
        }
    }
}

/// A message that is kept, with where it was said.
pub(super) fn kept(of: &parlour_client::api::ConversationId, one: &Message) -> Value {
    json!({"conversation": hex::encode(of.0), "message": message(one)})
}

pub(super) fn error(trouble: &Trouble) -> Value {
    serde_json::to_value(trouble).expect("a struct of strings and numbers")
}

pub(super) fn account(who: &AccountRef) -> String {
    format!("{}/{}", who.app, hex::encode(who.account.0))
}

pub(super) fn app(app: &AppInfo) -> Value {
    let sign_in = match app.sign_in {
        SignIn::Phone => "phone",
        SignIn::Username => "username",
        SignIn::AtHandle => "at_handle",
    };
    json!({"app": app.app.as_str(), "name": app.name, "domain": app.domain, "sign_in": sign_in, "expiry_s": app.expiry_s,
        "expiry_least_s": app.expiry_least_s, "expiry_most_s": app.expiry_most_s})
}

pub(super) fn identity(identity: &Identity) -> Value {
    json!({
        "account": account(&identity.account), "address": identity.address, "name": identity.name,
        "linked": identity.id.0 != 0, "off": identity.showing.off,
        "quiet_minutes": identity.showing.quiet.map(|(from, until)| [from, until]),
    })
}

pub(super) fn device(d: &Device) -> Value {
    json!({
        "id": hex::encode(d.id.0), "name": d.name, "this": d.this, "added_ms": d.added.0,
        "seen_ms": d.seen.map(|seen| seen.0),
    })
}

pub(super) fn kept_history(history: KeptHistory) -> String {
    match history {
        KeptHistory::Off => "off".to_owned(),
        KeptHistory::Days(days) => format!("{days}d"),
        KeptHistory::All => "all".to_owned(),
    }
}

pub(super) fn link_end(why: LinkEnd) -> &'static str {
    match why {
        LinkEnd::WrongCode => "wrong_code",
        LinkEnd::Gone => "gone",
        LinkEnd::Expired => "expired",
    }
}

pub(super) fn conversation(c: &Conversation) -> Value {
    json!({
        "id": hex::encode(c.id.0), "title": c.title, "group": c.is_group, "state": conversation_state(c.state),
        "members": c.members.iter().map(member).collect::<Vec<_>>(),
        "unread": c.unread, "mentioned": c.mentioned, "picture": c.picture.map(|digest| hex::encode(&digest.0[..16])), "last": c.last.as_ref().map(preview), "last_activity_ms": c.last_activity.0, "verified": c.verified,
        "role": c.group.as_ref().map(|group| role_name(group.role)), "rules": c.group.as_deref().map(rules),
        "expiry": c.expiry.map(expiry), "expiry_range_s": c.expiry_range, "kept": c.kept,
        "invited": c.group.as_deref().map(|group| group.invited.iter().map(member).collect::<Vec<_>>()),
    })
}

pub(super) fn group_link(link: &GroupLink) -> Value {
    json!({
        "id": hex::encode(link.id.0), "link": link.text, "approve": link.approve, "uses": link.uses,
        "until_ms": link.until.0,
    })
}

pub(super) fn joining(join: &Joining) -> Value {
    json!({"id": hex::encode(join.id.0), "since_ms": join.since.0, "by": join.by.as_ref().map(account)})
}

fn rules(group: &GroupView) -> Value {
    let name = |allowed| match allowed {
        Allowed::Everyone => "everyone",
        Allowed::Admins => "admins",
    };
    let GroupRules { add, write, change, history_s } = group.rules;
    let roles = group.roles.iter().map(|(who, role)| (account(who), Value::from(role_name(*role))));
    json!({
        "add": name(add), "write": name(write), "change": name(change), "history_s": history_s, "attributed": group.attributed, "roles": Value::Object(roles.collect()),
    })
}

pub(super) fn role_name(role: GroupRole) -> &'static str {
    match role {
        GroupRole::Member => "member",
        GroupRole::Admin => "admin",
        GroupRole::Owner => "owner",
    }
}

fn preview(p: &Preview) -> Value {
    json!({
        "id": hex::encode(p.id.0), "from": p.from.as_ref().map(account), "from_name": p.from_name, "text": p.text,
        "deleted": p.deleted, "time_ms": p.time.0, "state": message_state(p.state), "once": p.once, "notice": p.notice.map(notice),
    })
}

fn member(m: &Member) -> Value {
    let picture = m.picture.map(|digest| hex::encode(&digest.0[..16]));
    json!({"account": account(&m.account), "address": m.address, "name": m.name, "picture": picture})
}

fn mention(m: &Mention) -> Value {
    json!({"start": m.start, "end": m.end, "account": account(&m.account)})
}

pub(super) fn message(m: &Message) -> Value {
    let reaction = |(who, emoji): &(AccountRef, String)| json!({"account": account(who), "emoji": emoji});
    json!({
        "id": hex::encode(m.id.0), "order": m.order, "from": m.from.as_ref().map(account), "from_name": m.from_name,
        "text": m.text, "mentions": m.mentions.iter().map(mention).collect::<Vec<_>>(), "in_reply_to": m.in_reply_to.map(|id| hex::encode(id.0)), "edited": m.edited,
        "deleted": m.deleted, "reactions": m.reactions.iter().map(reaction).collect::<Vec<_>>(),
        "time_ms": m.time.0, "state": message_state(m.state), "expires_ms": m.expires.map(|at| at.0),
        "timer": m.timer.map(timer), "kept": m.kept, "notice": m.notice.map(notice),
    })
}

/// `30s`, `30s after sending`, `once`.
pub(super) fn timer(timer: Timer) -> Value {
    match timer {
        Timer::Reading(seconds) => json!({"after_reading_s": seconds}),
        Timer::Sending(seconds) => json!({"after_sending_s": seconds}),
        Timer::Once => json!("once"),
    }
}

pub(super) fn expiry(expiry: Expiry) -> Value {
    json!({"after_s": expiry.after_s, "archive": expiry.archive})
}

/// `forged`, `repeated`, `reordered`, `withheld`, `keys`, `backup`.
pub(super) fn interference(what: Interference) -> &'static str {
    match what {
        Interference::Forged => "forged",
        Interference::Repeated => "repeated",
        Interference::Reordered => "reordered",
        Interference::Withheld => "withheld",
        Interference::Keys => "keys",
        Interference::Backup => "backup",
    }
}

fn notice(notice: Notice) -> Value {
    match notice {
        Notice::Attributed { on } => json!({"attributed": on}),
        Notice::Expiry { expiry: set, existing } => json!({"expiry": expiry(set), "existing": existing}),
    }
}

pub(super) fn request(r: &Request) -> Value {
    json!({
        "id": hex::encode(r.id.0), "from": account(&r.from), "time_ms": r.time.0, "text": r.text,
        "claimed_name": r.claimed_name, "claimed_address": r.claimed_address, "group": r.group,
        "joins": r.joins.map(|group| hex::encode(group.0)),
    })
}

pub(super) fn reach(rules: &[(parlour_proto::frames::AppId, ReachRule)]) -> Value {
    let pairs = rules.iter().map(|(app, rule)| (app.as_str().to_owned(), Value::from(rule_name(*rule))));
    Value::Object(pairs.collect())
}

pub(super) fn status(s: &Status) -> Value {
    json!({
        "received": s.received, "unreadable": s.unreadable, "refused": s.refused, "queued": s.queued, "held": s.held, "repairs": s.repairs,
        "conversations": s.conversations, "requests": s.requests, "backed_up": s.backed_up,
    })
}

pub(super) fn connection(state: Connection) -> Value {
    match state {
        Connection::Offline => json!({"type": "connection", "state": "offline"}),
        Connection::Waiting(until) => json!({"type": "connection", "state": "waiting", "until_ms": until.0}),
        Connection::CatchingUp => json!({"type": "connection", "state": "catching_up"}),
        Connection::Online => json!({"type": "connection", "state": "online"}),
    }
}

pub(super) fn rule_name(rule: ReachRule) -> &'static str {
    match rule {
        ReachRule::Ask => "ask",
        ReachRule::Invite => "invite",
        ReachRule::Nobody => "nobody",
    }
}

pub(super) fn conversation_state(state: ConversationState) -> &'static str {
    match state {
        ConversationState::Starting => "starting",
        ConversationState::Asked => "asked",
        ConversationState::Request => "request",
        ConversationState::Open => "open",
        ConversationState::Repairing => "repairing",
        ConversationState::Closed => "closed",
    }
}

pub(super) fn message_state(state: MessageState) -> &'static str {
    match state {
        MessageState::Queued => "queued",
        MessageState::Sent => "sent",
        MessageState::Delivered => "delivered",
        MessageState::Read => "read",
        MessageState::Received => "received",
        MessageState::Failed => "failed",
    }
}
