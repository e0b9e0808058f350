//! How long messages stay: the conversation's expiry, what is kept, what can be seen once.

use super::session::{Session, unexpected};
use super::{find, view};
use crate::cli::ExpiryArgs;
use crate::exit::Trouble;
use crate::text;
use parlour_client::api::{Expiry, Intent, Message, Reply, Timer};
use parlour_shell::clock;
use serde_json::json;

const DAY_MS: u64 = 86_400_000;

/// `expiry`.
pub(super) async fn expiry(session: &mut Session, args: &ExpiryArgs) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let conversation = find::conversation(session, &args.conversation).await?;
    let Some(now) = conversation.expiry else {
        return Err(Trouble::not_found("nothing is set there yet: it is being set up"));
    };
    let out = session.out;
    if args.set.is_none() && args.archive.is_none() {
        out.object(&json!({"type": "result", "ok": {"conversation": view::conversation(&conversation)}}));
        out.line(says(now, false));
        return Ok(());
    }
    let expiry =
        Expiry { after_s: args.set.map_or(now.after_s, |set| set.0), archive: args.archive.unwrap_or(now.archive) };
    let set = Intent::SetExpiry { conversation: conversation.id, expiry, existing: args.existing };
    let reply = session.network_intent(set).await?;
    let Reply::Conversation(_) = &reply else { return Err(unexpected(&reply)) };
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    out.line(says(expiry, args.existing));
    session.settle().await
}

/// `keep`.
pub(super) async fn keep(
    session: &mut Session,
    within: &str,
    message: Option<&str>,
    keep: bool,
) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let conversation = find::conversation(session, within).await?.id;
    let intent = match message {
        Some(typed) => {
            let message = find::message(session, conversation, typed).await?;
            Intent::Keep { conversation, message, keep }
        }
        None => Intent::KeepAll { conversation, keep },
    };
    let reply = session.intent(intent).await?;
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    session.out.line(if keep { "Kept, on your devices." } else { "Not kept any longer." });
    session.settle().await
}

/// `open`.
pub(super) async fn open(session: &mut Session, within: &str, typed: &str) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let conversation = find::conversation(session, within).await?.id;
    let message = find::message(session, conversation, typed).await?;
    let reply = session.intent(Intent::Open { conversation, message }).await?;
    let Reply::Messages(messages) = &reply else { return Err(unexpected(&reply)) };
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    for message in messages {
        session.out.line(text::plain(&message.text));
    }
    session.out.remark("It is gone now, from all of your devices.");
    session.settle().await
}

/// What is set, in words.
pub(super) fn says(expiry: Expiry, existing: bool) -> String {
    let lasts = match expiry.after_s {
        Some(seconds) => {
            format!("Messages are gone {} after they were sent", text::duration(u64::from(seconds) * 1_000))
        }
        None => "Messages stay".to_owned(),
    };
    let existing = if existing { ", also those that were there" } else { "" };
    let archive = if expiry.archive { " Each may keep messages for themselves." } else { "" };
    format!("{lasts}{existing}.{archive}")
}

/// How a message ends, where that is soon or by a timer of its own.
pub(super) fn left(message: &Message) -> Option<String> {
    if message.kept {
        return Some("kept".to_owned());
    }
    let now = clock::now();
    let left = message.expires.map(|end| end.since(now));
    match (message.timer, left) {
        // Its own clock has not started: the end that is known is the conversation's.
        (Some(Timer::Reading(seconds)), left) if left.is_none_or(|left| left > u64::from(seconds) * 1_000) => {
            Some(format!("gone {} after reading", text::duration(u64::from(seconds) * 1_000)))
        }
        (None, Some(left)) if left > DAY_MS => None,
        (_, left) => left.map(|left| format!("gone in {}", text::duration(left))),
    }
}
