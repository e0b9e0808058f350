//! The accounts that this home answers for, beside its own: linking, showing, unlinking.

use super::device::{default_name, history};
use super::session::{Session, unexpected};
use super::{ask, view};
use crate::cli::AccountCommand;
use crate::exit::Trouble;
use crate::out::{Out, Style};
use parlour_client::api::{Device, Event, Identity, IdentityId, Intent, Reply, Showing};
use serde_json::json;

/// `account`.
pub(super) async fn account(session: &mut Session, command: &AccountCommand) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    match command {
        AccountCommand::List => list(session).await,
        AccountCommand::Link { code, name } => link(session, code.clone(), name.clone()).await,
        AccountCommand::Unlink { address } => unlink(session, address).await,
        AccountCommand::Show { address, off, quiet } => show(session, address, *off, quiet.as_deref()).await,
    }
}

async fn identities(session: &mut Session) -> Result<Vec<Identity>, Trouble> {
    match session.intent(Intent::WhoAmI).await? {
        Reply::Identities(all) => Ok(all),
        other => Err(unexpected(&other)),
    }
}

/// The account that answers to an address here.
pub(super) async fn find(session: &mut Session, address: &str) -> Result<Identity, Trouble> {
    let wanted = address.trim_start_matches('@');
    let all = identities(session).await?;
    let found = all.into_iter().find(|identity| identity.address.trim_start_matches('@') == wanted);
    found.ok_or_else(|| Trouble::usage(format!("{address} is not an account of this home: `account list` shows them")))
}

async fn list(session: &mut Session) -> Result<(), Trouble> {
    let all = identities(session).await?;
    tell(session.out, &all);
    session.settle().await
}

fn tell(out: Out, all: &[Identity]) {
    for identity in all {
        out.object(&json!({"type": "account", "account": view::identity(identity)}));
        let linked = if identity.id == IdentityId(0) { "" } else { "  linked" };
        let shown = shown(identity.showing);
        out.line(format!(
            "{}{}",
            out.paint(Style::Bold, &identity.address),
            out.paint(Style::Dim, &format!("{linked}{shown}"))
        ));
    }
}

fn shown(showing: Showing) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let quiet = showing.quiet.map(|(from, until)| format!(", quiet from {} to {}", time(from), time(until)));
    format!("{}{}", if showing.off { ", read elsewhere" } else { "" }, quiet.unwrap_or_default())
}

async fn link(session: &mut Session, code: Option<String>, name: Option<String>) -> Result<(), Trouble> {
    let code = match code {
        Some(code) => code,
        None if Out::can_ask() => ask::line("The code that the other app shows: ")?,
        None => return Err(Trouble::needs_input("which code does the other app show? call again with --code CODE")),
    };
    session.out.remark("Waiting until the other device confirms.");
    let name = name.unwrap_or_else(default_name);
    let reply = session.network_intent(Intent::LinkAccount { code, name }).await?;
    let Reply::Linked { address, .. } = &reply else { return Err(unexpected(&reply)) };
    let out = session.out;
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    out.line(format!("This home answers for {}, too.", out.paint(Style::Bold, address)));
    if !history(session, |event| matches!(event, Event::History { to: None, .. })).await? {
        out.remark("Not everything has come yet; the next command that connects fetches the rest.");
    }
    session.settle().await
}

async fn unlink(session: &mut Session, address: &str) -> Result<(), Trouble> {
    let identity = find(session, address).await?;
    let reply = session.network_intent(Intent::Unlink { identity: identity.id }).await?;
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    session.out.line("Nothing of it is here any more.");
    session.settle().await
}

async fn show(session: &mut Session, address: &str, off: bool, quiet: Option<&str>) -> Result<(), Trouble> {
    let identity = find(session, address).await?;
    let quiet = quiet.map(hours).transpose()?;
    let devices = Intent::As(identity.id, Box::new(Intent::Devices));
    let Reply::Devices(devices) = session.intent(devices).await? else { return Err(unexpected(&Reply::Ok)) };
    let Some(Device { id, .. }) = devices.into_iter().find(|device| device.this) else {
        return Err(Trouble::usage("this home is not on that account's list any more"));
    };
    session.intent(Intent::SetShowing { device: id, showing: Showing { off, quiet } }).await?;
    list(session).await
}

/// `HH:MM-HH:MM`, as minutes of the day.
fn hours(text: &str) -> Result<(u16, u16), Trouble> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let found = text.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
    found.ok_or_else(|| Trouble::usage("quiet hours are given as 22:00-07:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_minutes_of_the_day() {
        assert_eq!(hours("22:00-07:30").ok(), Some((1320, 450)));
        assert_eq!(
            shown(Showing { off: true, quiet: Some((1320, 450)) }),
            ", read elsewhere, quiet from 22:00 to 07:30"
        );
        for wrong in ["", "22-7", "24:00-07:00", "22:60-07:00", "22:00"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}
