//! The backup: which messages are in it.

use super::session::{Session, unexpected};
use super::view;
use crate::cli::BackupCommand;
use crate::exit::Trouble;
use crate::text;
use parlour_client::api::{Backup, Intent, KeptHistory, Reply};
use parlour_shell::clock;
use serde_json::json;

/// `backup`.
pub(super) async fn backup(session: &mut Session, command: &BackupCommand) -> Result<(), Trouble> {
    let intent = match command {
        BackupCommand::Show => {
            session.sync_if_possible().await?;
            Intent::Backup
        }
        BackupCommand::Set { history } => {
            session.sync_if_possible().await?;
            Intent::SetBackup { history: *history }
        }
    };
    let reply = session.intent(intent).await?;
    let Reply::Backup(backup) = &reply else { return Err(unexpected(&reply)) };
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    session.out.line(says(backup));
    if matches!(command, BackupCommand::Set { .. }) {
        session.settle().await?;
    }
    Ok(())
}

fn says(backup: &Backup) -> String {
    let kept = match backup.history {
        KeptHistory::Off => "Contacts, conversations and settings are in the backup; no messages.".to_owned(),
        KeptHistory::Days(days) => format!("Messages of the last {days} days are in the backup."),
        KeptHistory::All => "All messages are in the backup.".to_owned(),
    };
    let reaches = match backup.since {
        Some(since) => {
            let messages = match backup.messages {
                1 => "one message".to_owned(),
                many => format!("{many} messages"),
            };
            let back = match text::age(since, clock::now()).as_str() {
                "now" => "a minute".to_owned(),
                age => age.to_owned(),
            };
            format!(" It holds {messages} and reaches back {back}.")
        }
        None => String::new(),
    };
    let left_out = if backup.left_out { " What is older did not fit." } else { "" };
    let state = match (backup.here, backup.complete) {
        (false, _) => " Another device of yours keeps it.",
        (true, true) => " All of it is with the server.",
        (true, false) => " Something is still to be sent.",
    };
    format!("{kept}{reaches}{left_out}{state}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_is_shown() {
        for (typed, history) in [("off", KeptHistory::Off), ("all", KeptHistory::All), ("30d", KeptHistory::Days(30))] {
            assert_eq!(crate::cli::kept_history(typed), Ok(history));
            assert_eq!(view::kept_history(history), typed);
        }
        for wrong in ["", "0d", "d", "30", "-1d", "70000d", "none"] {
            assert!(crate::cli::kept_history(wrong).is_err(), "{wrong}");
        }
    }
}
