//! Signing up and in, who am I, deleting the account.

use super::session::{Door, Session, unexpected};
use super::{ask, device, view};
use crate::cli::{ProofArgs, ServerArgs, SignInArgs, SignUpArgs};
use crate::exit::Trouble;
use crate::out::{Out, Style};
use parlour_client::api::{Failure, Intent, Proof, Reply};
use parlour_proto::frames::{AppId, AppInfo, SignIn};
use parlour_shell::Home;
use parlour_shell::home::Server;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// `sign-up`.
pub(super) async fn sign_up(door: Door, args: &SignUpArgs) -> Result<(), Trouble> {
    let (mut session, app) = meet(door, &args.server, &args.proof, args.passphrase).await?;
    let result = sign_up_with(&mut session, &app, args).await;
    session.close().await;
    result
}

async fn sign_up_with(session: &mut Session, app: &AppInfo, args: &SignUpArgs) -> Result<(), Trouble> {
    let proof = proof(session, app, &args.proof, true).await?;
    let key_file = args.recovery_key_file.as_deref().map(new_private_file).transpose()?;
    let intent = Intent::SignUp { app: app.app.clone(), handle: args.proof.handle.clone(), proof };
    let reply = session.network_intent(intent).await.inspect_err(|_| {
        // The file was made to be sure that the key can be kept; there is none now.
        if let Some(path) = &args.recovery_key_file {
            let _ = std::fs::remove_file(path);
        }
    })?;
    let Reply::SignedUp { address, recovery_key, account } = &reply else { return Err(unexpected(&reply)) };
    session.intent(Intent::NameDevice { name: device::default_name() }).await?;
    let out = session.out;
    match key_file {
        Some(mut file) => {
            writeln!(file, "{}", recovery_key.as_str()).and_then(|()| file.sync_all()).map_err(Trouble::failure)?;
            out.object(&json!({"type": "result", "ok": {"account": view::account(account), "address": address}}));
            out.line(format!("You are {}.", out.paint(Style::Bold, address)));
        }
        None => {
            out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
            out.line(format!("You are {}.", out.paint(Style::Bold, address)));
            show_recovery_key(out, recovery_key);
        }
    }
    Ok(())
}

fn show_recovery_key(out: Out, key: &str) {
    out.line(
        "\nThe recovery key. It is shown once; write it on paper: whoever has it can add devices to your account.\n",
    );
    let words: Vec<&str> = key.split_whitespace().collect();
    for (row, line) in words.chunks(6).enumerate() {
        let cells = line.iter().enumerate().map(|(i, word)| format!("{:>2} {word:<10}", row * 6 + i + 1));
        out.line(format!("  {}", cells.collect::<String>().trim_end()));
    }
    out.line("");
}

/// `sign-in`.
pub(super) async fn sign_in(door: Door, args: &SignInArgs) -> Result<(), Trouble> {
    let (mut session, app) = meet(door, &args.server, &args.proof, args.passphrase).await?;
    let result = sign_in_with(&mut session, &app, args).await;
    session.close().await;
    result
}

async fn sign_in_with(session: &mut Session, app: &AppInfo, args: &SignInArgs) -> Result<(), Trouble> {
    let proof = proof(session, app, &args.proof, false).await?;
    let recovery_key = match &args.recovery_key_file {
        Some(file) => ask::secret_from(file)?,
        None => ask::secret("Recovery key (24 words): ", "--recovery-key-file FILE")?,
    };
    let (app, handle) = (app.app.clone(), args.proof.handle.clone());
    session.network_intent(Intent::SignIn { app, handle, proof, recovery_key }).await?;
    session.intent(Intent::NameDevice { name: device::default_name() }).await?;
    whoami(session).await
}

/// Opens the home, finds the server and, on it, the app.
async fn meet(
    door: Door,
    server: &ServerArgs,
    proof: &ProofArgs,
    passphrase: bool,
) -> Result<(Session, AppInfo), Trouble> {
    let home = door.make_home("parlour client sign-up", passphrase)?;
    let server = server_of(&home, server)?;
    let mut session = door.start(home, &server).await?;
    match app_of(&mut session, &proof.app).await {
        Ok(app) => {
            session.home.set_server(&server)?;
            Ok((session, app))
        }
        Err(trouble) => {
            session.close().await;
            Err(trouble)
        }
    }
}

pub(super) fn server_of(home: &Home, args: &ServerArgs) -> Result<Server, Trouble> {
    let known = home.server()?;
    let ca_pem = match &args.ca {
        Some(path) => {
            Some(std::fs::read_to_string(path).map_err(|e| Trouble::usage(format!("{}: {e}", path.display())))?)
        }
        None => known.as_ref().and_then(|server| server.ca_pem.clone()),
    };
    let url = args.server.clone().or(known.map(|server| server.url));
    let url = url.ok_or_else(|| Trouble::usage("which server? say --server URL (parlour up prints one)"))?;
    Ok(Server { url, ca_pem })
}

async fn app_of(session: &mut Session, name: &str) -> Result<AppInfo, Trouble> {
    if let Reply::Identities(all) = session.intent(Intent::WhoAmI).await?
        && !all.is_empty()
    {
        return Err(Failure::AlreadySignedIn.into());
    }
    let reply = session.network_intent(Intent::Apps).await?;
    let Reply::Apps(apps) = reply else { return Err(unexpected(&reply)) };
    let names: Vec<&str> = apps.iter().map(|app| app.app.as_str()).collect();
    let unknown = || Trouble::not_found(format!("no app {name:?} on this server; it has {}", names.join(", ")));
    apps.iter().find(|app| app.app.as_str() == name).cloned().ok_or_else(unknown)
}

/// A code or password, as the app wants it.
async fn proof(session: &mut Session, app: &AppInfo, args: &ProofArgs, new: bool) -> Result<Proof, Trouble> {
    if app.sign_in != SignIn::Phone {
        return password(args, new).map(Proof::Password);
    }
    if args.password_file.is_some() {
        return Err(Trouble::usage(format!("{} takes a code (--code), not a password", app.name)));
    }
    match &args.code {
        Some(code) => Ok(Proof::Code(code.clone())),
        None => request_code(session, &app.app, &args.handle).await.map(Proof::Code),
    }
}

fn password(args: &ProofArgs, new: bool) -> Result<Zeroizing<String>, Trouble> {
    match (&args.password_file, &args.code) {
        (_, Some(_)) => Err(Trouble::usage("this app takes a password (--password-file), not a code")),
        (Some(file), None) => ask::secret_from(file),
        (None, None) if new => ask::new_secret("A password: ", "--password-file FILE"),
        (None, None) => ask::secret("Password: ", "--password-file FILE"),
    }
}

async fn request_code(session: &mut Session, app: &AppId, handle: &str) -> Result<String, Trouble> {
    session.network_intent(Intent::RequestCode { app: app.clone(), handle: handle.to_owned() }).await?;
    if Out::can_ask() {
        return ask::line("A code is on its way. Code: ");
    }
    Err(Trouble::needs_input("a code is on its way: call again with --code CODE"))
}

/// A file for the recovery key, that was not there before and is for its owner only.
fn new_private_file(path: &Path) -> Result<File, Trouble> {
    let opened = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    opened.map_err(|error| Trouble::usage(format!("{}: {error}", path.display())))
}

/// `whoami`.
pub(super) async fn whoami(session: &mut Session) -> Result<(), Trouble> {
    let reply = session.intent(Intent::WhoAmI).await?;
    let Reply::Identities(all) = &reply else { return Err(unexpected(&reply)) };
    if all.is_empty() {
        return Err(Failure::NotSignedIn.into());
    }
    let out = session.out;
    out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    for identity in all {
        let name = if identity.name.is_empty() { String::new() } else { format!("  ({})", identity.name) };
        out.line(format!("{}{name}", out.paint(Style::Bold, &identity.address)));
        out.line(out.paint(Style::Dim, &format!("account {}", view::account(&identity.account))));
    }
    Ok(())
}

/// `delete-account`.
pub(super) async fn delete(door: Door, yes: bool) -> Result<(), Trouble> {
    let mut session = door.open("parlour client delete-account").await?;
    let result = delete_with(&mut session, yes).await;
    let home = session.close().await;
    if result.is_ok() {
        home.destroy()?;
    }
    result
}

async fn delete_with(session: &mut Session, yes: bool) -> Result<(), Trouble> {
    whoami_on_stderr(session).await?;
    if !yes {
        if !Out::can_ask() {
            return Err(Trouble::needs_input("deleting an account cannot be undone: call again with --yes"));
        }
        session.out.remark("This deletes the account, everything waiting for it, and this home. It cannot be undone.");
        if ask::line("Type yes to go on: ")? != "yes" {
            return Err(Trouble::needs_input("nothing was deleted"));
        }
    }
    session.sync().await?;
    session.network_intent(Intent::DeleteAccount).await?;
    session.out.object(&json!({"type": "result", "ok": {}}));
    session.out.line("The account is gone.");
    Ok(())
}

async fn whoami_on_stderr(session: &mut Session) -> Result<(), Trouble> {
    match session.intent(Intent::WhoAmI).await? {
        Reply::Identities(all) if all.is_empty() => Err(Failure::NotSignedIn.into()),
        Reply::Identities(all) => {
            all.iter().for_each(|identity| session.out.remark(format!("Account: {}", identity.address)));
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}
