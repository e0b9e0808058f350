//! Who may contact me, invites, safety numbers, my name.

use super::requests::simple;
use super::session::{Session, unexpected};
use super::{find, view};
use crate::cli::{InviteArgs, ReachCommand, Rule};
use crate::exit::Trouble;
use crate::out::Style;
use crate::{qr, text};
use parlour_client::api::{Intent, Reply};
use parlour_proto::frames::{AppId, ReachRule};
use parlour_shell::clock;
use serde_json::json;

const DAY_S: u64 = 86_400;

/// `reach`.
pub(super) async fn reach(session: &mut Session, command: &ReachCommand) -> Result<(), Trouble> {
    let intent = match command {
        ReachCommand::Show => Intent::Reach,
        ReachCommand::Set { from, rule } => {
            let from = AppId::parse(from).map_err(|problem| Trouble::usage(problem.detail))?;
            Intent::SetReach { from, rule: rule_of(*rule) }
        }
    };
    session.sync().await?;
    let reply = session.network_intent(intent).await?;
    let Reply::Reach(rules) = &reply else { return Err(unexpected(&reply)) };
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    for (app, rule) in rules {
        let meaning = match rule {
            ReachRule::Ask => "everyone there may ask",
            ReachRule::Invite => "only with an invite of mine",
            ReachRule::Nobody => "nobody",
        };
        session.out.line(format!("{:>12}  {meaning}", app.as_str()));
    }
    Ok(())
}

fn rule_of(rule: Rule) -> ReachRule {
    match rule {
        Rule::Ask => ReachRule::Ask,
        Rule::Invite => ReachRule::Invite,
        Rule::Nobody => ReachRule::Nobody,
    }
}

/// `invite`.
pub(super) async fn invite(session: &mut Session, args: &InviteArgs) -> Result<(), Trouble> {
    session.sync().await?;
    if args.revoke_all {
        return simple(session, Intent::RevokeInvites, "All invites are revoked.").await;
    }
    let intent = Intent::CreateInvite { uses: args.uses, ttl_s: u64::from(args.days) * DAY_S };
    let reply = session.network_intent(intent).await?;
    let Reply::Invite { text: invite, expires } = &reply else { return Err(unexpected(&reply)) };
    let out = session.out;
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    out.line(invite);
    if args.qr {
        qr::show(out, invite);
    }
    who_may_use_it(session).await?;
    let days = text::duration(expires.since(clock::now()));
    out.line(
        out.paint(Style::Dim, &format!("for {} use(s), {days}: parlour client send --invite … 'Hello'", args.uses)),
    );
    Ok(())
}

/// An invite does not turn an app on.
async fn who_may_use_it(session: &mut Session) -> Result<(), Trouble> {
    if let Reply::Reach(rules) = session.network_intent(Intent::Reach).await? {
        let off: Vec<&str> =
            rules.iter().filter(|(_, rule)| *rule == ReachRule::Nobody).map(|(app, _)| app.as_str()).collect();
        if !off.is_empty() {
            let off = off.join(", ");
            session.out.line(format!("Not for people on {off}: turned off (parlour client reach set --from … invite)"));
        }
    }
    Ok(())
}

/// `verify`.
pub(super) async fn verify(session: &mut Session, typed: &str, matches: bool, differs: bool) -> Result<(), Trouble> {
    let with = find::target(session, typed).await?;
    let reply = session.intent(Intent::SafetyNumber { with }).await?;
    let Reply::SafetyNumber { digits, verified, address } = &reply else { return Err(unexpected(&reply)) };
    let out = session.out;
    if matches || differs {
        let conversation = find::conversation(session, typed).await?.id;
        let said = if matches {
            "Remembered: verified."
        } else {
            "Remembered: not verified. Do not trust what comes from there."
        };
        return simple(session, Intent::SetVerified { conversation, verified: matches }, said).await;
    }
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    // Who came from a phone app has no address to show: then what was typed.
    let shown = if address.is_empty() { typed } else { address };
    let state = if *verified { out.paint(Style::Green, "verified") } else { "not verified yet".to_owned() };
    out.line(format!("Safety number with {} ({state}):\n", out.paint(Style::Bold, &text::plain(shown))));
    for row in text::groups_of_five(digits).chunks(4) {
        out.line(format!("    {}", row.join("  ")));
    }
    out.line("");
    qr::show(out, digits);
    out.line("\nCompare it with theirs, over the phone or side by side. The same? parlour client verify … --matches");
    Ok(())
}

/// `name`.
pub(super) async fn name(session: &mut Session, name: &str) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    simple(session, Intent::SetName { name: name.to_owned() }, "People you talk to will see it.").await
}

/// `reports`.
pub(super) async fn reports(session: &mut Session, delivered: bool, read: bool, typing: bool) -> Result<(), Trouble> {
    simple(session, Intent::SetReports { delivered, read, typing }, "Remembered.").await
}
