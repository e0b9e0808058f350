//! The account's devices: linking this home to an account, adding one, naming, removing.

use super::session::{Ask, Door, Session, unexpected};
use super::{account, ask, view};
use crate::cli::{DeviceCommand, LinkArgs};
use crate::exit::{Exit, Trouble};
use crate::out::{Out, Style};
use crate::{qr, text};
use parlour_client::api::{Device, Event, Failure, Intent, LinkEnd, Reply};
use parlour_shell::clock;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// How long nothing may come of the history before a command ends; the rest comes with the next one that connects.
const QUIET: Duration = Duration::from_secs(30);

/// `link`.
pub(super) async fn link(door: Door, args: &LinkArgs) -> Result<(), Trouble> {
    let code = match &args.code {
        Some(code) => code.clone(),
        None if Out::can_ask() => ask::line("The code that the other device shows: ")?,
        None => return Err(Trouble::needs_input("which code does the other device show? call again with --code CODE")),
    };
    let home = door.make_home("parlour client link", args.passphrase)?;
    let server = account::server_of(&home, &args.server)?;
    let mut session = door.start(home, &server).await?;
    let result = link_with(&mut session, &server, code, args).await;
    session.close().await;
    result
}

async fn link_with(
    session: &mut Session,
    server: &parlour_shell::home::Server,
    code: String,
    args: &LinkArgs,
) -> Result<(), Trouble> {
    if let Reply::Identities(all) = session.intent(Intent::WhoAmI).await?
        && !all.is_empty()
    {
        return Err(Failure::AlreadySignedIn.into());
    }
    session.home.set_server(server)?;
    session.out.remark("Waiting until the other device confirms.");
    let code = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let name = args.name.clone().unwrap_or_else(default_name);
    let reply = session.network_intent(Intent::Link { code, name }).await?;
    let Reply::Linked { address, .. } = &reply else { return Err(unexpected(&reply)) };
    let out = session.out;
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    out.line(format!("You are {}.", out.paint(Style::Bold, address)));
    // Not waited for: no event may be missed.
    drop(session.runner.submit(Intent::Sync).await?);
    if !history(session, |event| matches!(event, Event::History { to: None, .. })).await? {
        out.remark("Not everything has come yet; the next command that connects fetches the rest.");
    }
    session.settle().await
}

/// What a home is called until somebody says something better.
pub(super) fn default_name() -> String {
    format!("Command line on {}", std::env::consts::OS)
}

/// Waits for a history's end; `false` when nothing more comes for a while.
async fn history(session: &mut Session, is_it: fn(&Event) -> bool) -> Result<bool, Trouble> {
    let mut progress = session.progress();
    loop {
        tokio::select! {
            event = timeout(QUIET, session.events.recv()) => {
                let Ok(Some(event)) = event else { return Ok(false) };
                progress.note(&event, None);
                if let Event::History { done, of, .. } = &event
                    && is_it(&event)
                {
                    session.out.object(&view::event(&event));
                    if done >= of {
                        return Ok(true);
                    }
                }
            }
            () = progress.due() => progress.show(),
        }
    }
}

/// `device`.
pub(super) async fn device(door: Door, command: &DeviceCommand) -> Result<(), Trouble> {
    let mut session = door.open("parlour client device").await?;
    let result = match command {
        DeviceCommand::List => list(&mut session).await.map(|()| false),
        DeviceCommand::Add { yes } => add(&mut session, *yes).await.map(|()| false),
        DeviceCommand::Rename { name } => rename(&mut session, name).await.map(|()| false),
        DeviceCommand::Remove { device, yes } => remove(&mut session, device, *yes).await,
    };
    let home = session.close().await;
    if result? {
        home.destroy()?;
    }
    Ok(())
}

async fn list(session: &mut Session) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let all = devices(session).await?;
    show(session.out, &all);
    Ok(())
}

fn show(out: Out, all: &[Device]) {
    for device in all {
        out.object(&json!({"type": "device", "device": view::device(device)}));
        let this = if device.this { "  (this one)" } else { "" };
        let seen = device.seen.filter(|_| !device.this);
        let seen = seen.map(|seen| format!(", last there {}", ago(seen))).unwrap_or_default();
        let about = format!("{}  added {}{seen}", text::short(&device.id.0), ago(device.added));
        out.line(format!("{}{this}  {}", out.paint(Style::Bold, &name_of(device)), out.paint(Style::Dim, &about)));
    }
}

fn ago(then: parlour_proto::ids::UnixMillis) -> String {
    match text::age(then, clock::now()).as_str() {
        "now" => "now".to_owned(),
        age => format!("{age} ago"),
    }
}

fn name_of(device: &Device) -> String {
    if device.name.is_empty() { "without a name".to_owned() } else { text::plain(&device.name) }
}

pub(super) async fn devices(asked: &mut impl Ask) -> Result<Vec<Device>, Trouble> {
    match asked.ask(Intent::Devices).await? {
        Reply::Devices(all) => Ok(all),
        other => Err(unexpected(&other)),
    }
}

async fn rename(session: &mut Session, name: &str) -> Result<(), Trouble> {
    session.sync_if_possible().await?;
    let reply = session.intent(Intent::NameDevice { name: name.to_owned() }).await?;
    let Reply::Devices(all) = &reply else { return Err(unexpected(&reply)) };
    show(session.out, all);
    session.settle().await
}

/// Takes a device away; whether it was this one.
async fn remove(session: &mut Session, typed: &str, yes: bool) -> Result<bool, Trouble> {
    session.sync().await?;
    let device = one(&devices(session).await?, typed)?;
    let (out, name) = (session.out, name_of(&device));
    if !yes {
        let what = if device.this {
            "This signs this device out and erases this home; the account's other devices keep everything."
        } else {
            "It is signed out at once and gets nothing any more. What it has shown it has shown."
        };
        out.remark(format!("{name}: {what}"));
        confirm("removing a device cannot be undone", "nothing was removed").await?;
    }
    let reply = session.network_intent(Intent::RevokeDevice { device: device.id }).await?;
    let Reply::Devices(_) = &reply else { return Err(unexpected(&reply)) };
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    out.line(if device.this { "Signed out.".to_owned() } else { format!("{name} is removed.") });
    if !device.this {
        session.settle().await?;
    }
    Ok(device.this)
}

/// A device by the beginning of its id, or by its name.
pub(super) fn one(all: &[Device], typed: &str) -> Result<Device, Trouble> {
    let starts =
        |device: &Device| typed.len() >= 4 && hex::encode(device.id.0).starts_with(&typed.to_ascii_lowercase());
    match all.iter().filter(|device| starts(device) || device.name == typed).collect::<Vec<_>>()[..] {
        [only] => Ok(only.clone()),
        [] => Err(Trouble::not_found(format!("no device {typed:?} of this account"))),
        _ => Err(Trouble::usage(format!("{typed:?} fits more than one device: type more of its id"))),
    }
}

/// Asks for a yes at the terminal.
async fn confirm(why: &str, nothing: &str) -> Result<(), Trouble> {
    if !Out::can_ask() {
        return Err(Trouble::needs_input(format!("{why}: call again with --yes")));
    }
    if is_yes(&typed("Type yes to go on: ").await?) { Ok(()) } else { Err(Trouble::needs_input(nothing)) }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.to_lowercase().as_str(), "y" | "yes")
}

/// A line from the terminal, while the sockets go on.
async fn typed(prompt: &'static str) -> Result<String, Trouble> {
    tokio::task::spawn_blocking(move || ask::line(prompt)).await.map_err(Trouble::failure)?
}

/// Shows a code until a device has come by it.
async fn add(session: &mut Session, yes: bool) -> Result<(), Trouble> {
    if !yes && !Out::can_ask() {
        return Err(Trouble::needs_input("somebody must say yes when a device asks: call again with --yes"));
    }
    session.sync().await?;
    let reply = session.network_intent(Intent::OfferLink).await?;
    let Reply::LinkCode { code, scan, until } = &reply else { return Err(unexpected(&reply)) };
    let out = session.out;
    out.object(&json!({"type": "link_code", "code": code, "scan": scan, "until_ms": until.0}));
    out.line(format!("\n    {}\n", out.paint(Style::Bold, &text::groups_of_three(code).join(" "))));
    qr::show(out, scan);
    out.line("\nType it on the new device, or scan it: “I use … on another device”, or parlour client link --code.");
    out.line(format!("Good for {}. Only for your own devices.", text::duration(until.since(clock::now()))));
    let name = asked(session).await?;
    if !agrees(session, &name, yes).await? {
        session.intent(Intent::ConfirmLink { yes: false }).await?;
        return Err(Trouble::needs_input("nothing was linked"));
    }
    session.intent(Intent::ConfirmLink { yes: true }).await?;
    out.object(&json!({"type": "result", "ok": {"name": name}}));
    out.line(format!("{} is linked and gets your conversations.", text::plain(&name)));
    if !history(session, |event| matches!(event, Event::History { to: Some(_), .. })).await? {
        out.remark("It has not got everything yet; the next command that connects sends the rest.");
    }
    session.settle().await
}

/// Waits until a device asks, and gives its name.
async fn asked(session: &mut Session) -> Result<String, Trouble> {
    loop {
        match session.events.recv().await {
            Some(Event::LinkAsked { name }) => return Ok(name),
            Some(Event::LinkEnded { why }) => return Err(ended(why)),
            Some(_) => {}
            None => return Err(session.intent(Intent::Status).await.err().unwrap_or_else(Trouble::offline)),
        }
    }
}

/// Whether the device that asks may be linked.
async fn agrees(session: &mut Session, name: &str, yes: bool) -> Result<bool, Trouble> {
    let out = session.out;
    out.object(&json!({"type": "link_asked", "name": name}));
    out.remark(format!("{} wants to be linked.", text::plain(name)));
    if yes {
        return Ok(true);
    }
    out.remark("Only if it is yours and in front of you: it will read everything, and write as you.");
    let answer = typed("Link it? [y/N] ");
    tokio::pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return Ok(is_yes(&answer?)),
            Some(event) = session.events.recv() => {
                if let Event::LinkEnded { why } = event {
                    return Err(ended(why));
                }
            }
        }
    }
}

/// A code that was shown is void.
fn ended(why: LinkEnd) -> Trouble {
    let (exit, says) = match why {
        LinkEnd::WrongCode => (
            Exit::NotAuthenticated,
            "somebody typed a wrong code, so this one is void: if it was not you, look who is near",
        ),
        LinkEnd::Gone => (Exit::NotFound, "the other device gave up, or lost its connection; the code is void"),
        LinkEnd::Expired => (Exit::NotFound, "the code was not used in time, or this device lost its connection"),
    };
    Trouble::new(exit, view::link_end(why), says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_client::api::Showing;
    use parlour_proto::ids::{DeviceId, UnixMillis};

    fn device(n: u8, name: &str) -> Device {
        Device { id: DeviceId([n; 16]), name: name.to_owned(), this: n == 1, added: UnixMillis(0), seen: None, showing: Showing::default() }
    }

    #[test]
    fn a_device_is_named_by_its_name_or_the_beginning_of_its_id() {
        let all = [device(1, "Laptop"), device(2, "Phone"), device(3, "Phone")];
        assert_eq!(one(&all, "Laptop").unwrap().id, all[0].id);
        assert_eq!(one(&all, "0202").unwrap().id, all[1].id);
        assert_eq!(one(&all, "Phone").unwrap_err().exit, Exit::Usage);
        assert_eq!(one(&all, "020").unwrap_err().exit, Exit::NotFound);
    }
}
