//! `parlour client …`: one home, one command.

mod account;
mod accounts;
mod ask;
mod backup;
mod device;
mod expiry;
mod find;
mod group;
mod holdings;
mod lines;
mod people;
mod progress;
mod read;
mod requests;
mod send;
mod session;
mod view;

use crate::cli::{ClientArgs, ClientCommand};
use crate::exit::Trouble;
use crate::out::Out;

/// Runs one client command.
pub(crate) async fn run(args: ClientArgs) -> Result<(), Trouble> {
    let out = Out::new(args.json, args.progress);
    let result = dispatch(&args, out).await;
    if let Err(trouble) = &result {
        out.object(&serde_json::json!({ "type": "error", "error": trouble }));
    }
    result
}

async fn dispatch(args: &ClientArgs, out: Out) -> Result<(), Trouble> {
    use ClientCommand as C;
    let door = session::Door::new(args, out)?;
    match &args.command {
        C::SignUp(sign_up) => return account::sign_up(door, sign_up).await,
        C::SignIn(sign_in) => return account::sign_in(door, sign_in).await,
        C::Link(link) => return device::link(door, link).await,
        C::Device(command) => return device::device(door, command).await,
        C::DeleteAccount { yes } => return account::delete(door, *yes).await,
        _ => {}
    }
    let mut session = door.open(name(&args.command)).await?;
    let result = match &args.command {
        C::SignUp(_) | C::SignIn(_) | C::Link(_) | C::Device(_) | C::DeleteAccount { .. } => {
            unreachable!("handled above")
        }
        C::Account(command) => accounts::account(&mut session, command).await,
        C::Holdings => holdings::holdings(&mut session).await,
        C::Backup(command) => backup::backup(&mut session, command).await,
        C::Whoami => account::whoami(&mut session).await,
        C::Expiry(expiry) => expiry::expiry(&mut session, expiry).await,
        C::Keep { conversation, message, no } => {
            expiry::keep(&mut session, conversation, message.as_deref(), !no).await
        }
        C::Archive => read::archive(&mut session).await,
        C::Open { conversation, message } => expiry::open(&mut session, conversation, message).await,
        C::Send(send) => send::send(&mut session, send).await,
        C::React { conversation, message, emoji } => send::react(&mut session, conversation, message, emoji).await,
        C::Edit { conversation, message, text } => send::edit(&mut session, conversation, message, text).await,
        C::Delete { conversation, message } => send::delete(&mut session, conversation, message).await,
        C::Read(read) => read::read(&mut session, read).await,
        C::Conversations => read::conversations(&mut session).await,
        C::Status => read::status(&mut session).await,
        C::Requests { show } => requests::list(&mut session, *show).await,
        C::Accept { id } => requests::accept(&mut session, id).await,
        C::Decline { id } => requests::decline(&mut session, id).await,
        C::Block { id } => requests::block(&mut session, id).await,
        C::Unblock { id } => requests::unblock(&mut session, id).await,
        C::Reach(reach) => people::reach(&mut session, reach).await,
        C::Invite(invite) => people::invite(&mut session, invite).await,
        C::Verify { with, matches, differs } => people::verify(&mut session, with, *matches, *differs).await,
        C::Name { name } => people::name(&mut session, name).await,
        C::Reports { delivered, read, typing } => people::reports(&mut session, *delivered, *read, *typing).await,
        C::Group(command) => group::group(&mut session, command).await,
        C::Run => lines::run(&mut session).await,
    };
    session.close().await;
    result
}

/// What others are told when they find the home in use.
fn name(command: &ClientCommand) -> &'static str {
    match command {
        ClientCommand::Run => "parlour client run",
        ClientCommand::Read(_) => "parlour client read",
        ClientCommand::Send(_) => "parlour client send",
        _ => "parlour client",
    }
}
