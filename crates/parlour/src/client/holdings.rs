//! What the server holds about the account: each row in words, with its end.

use super::session::{Session, unexpected};
use super::view;
use crate::exit::Trouble;
use crate::out::{Out, Style};
use crate::text;
use parlour_client::api::{Ends, HeldKind, HeldRow, Holdings, Intent, Reply};
use parlour_proto::ids::UnixMillis;
use serde_json::{Value, json};

const DAY_MS: u64 = 86_400_000;

/// `holdings`.
pub(super) async fn holdings(session: &mut Session) -> Result<(), Trouble> {
    session.sync().await?;
    let reply = session.network_intent(Intent::Holdings).await?;
    let Reply::Holdings(held) = &reply else { return Err(unexpected(&reply)) };
    session.out.object(&json!({"type": "result", "ok": view::reply(&reply)}));
    tell(session.out, held);
    Ok(())
}

fn tell(out: Out, held: &Holdings) {
    let bytes: u64 = held.rows.iter().map(|row| row.bytes).sum();
    out.line(format!("The server holds {} rows about you, {}.", held.rows.len(), crate::audit::bytes(bytes)));
    for kind in &held.kinds {
        let rows = held.rows.iter().filter(|row| row.kind == kind.number);
        out.line(format!("\n{}", out.paint(Style::Bold, &kind.name)));
        out.line(out.paint(Style::Dim, &format!("  {}; gone earlier by {}", kind.why, kind.erased)));
        rows.for_each(|row| out.line(format!("  {}", says(row))));
    }
    out.line(format!("\n{}", out.paint(Style::Bold, "Besides, what it cannot list by account")));
    for unlisted in &held.unlisted {
        out.line(format!("  {}", unlisted.name));
        out.line(out.paint(Style::Dim, &format!("    {}; at most {}", unlisted.why, unlisted.at_most)));
    }
}

fn says(row: &HeldRow) -> String {
    let day = row.day.map(|day| format!("of {}", date(day)));
    let ends = match row.ends {
        Ends::WithAccount => "until you or the account end it".to_owned(),
        Ends::At(at) => format!("until {}", text::date(at)),
    };
    let parts = [
        Some(row.which.clone()).filter(|which| !which.is_empty()),
        day,
        Some(crate::audit::bytes(row.bytes)),
        Some(ends),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn date(day: u32) -> String {
    text::date(UnixMillis(u64::from(day) * DAY_MS))
}

/// For scripts, and to keep: the download.
pub(super) fn object(held: &Holdings) -> Value {
    let kind = |row: &HeldRow| held.kinds.iter().find(|kind| kind.number == row.kind);
    let word = |row: &HeldRow, of: fn(&HeldKind) -> &str| kind(row).map(|kind| of(kind).to_owned());
    let row = |row: &HeldRow| {
        let ends = match row.ends {
            Ends::WithAccount => None,
            Ends::At(at) => Some(at),
        };
        json!({
            "kind": row.kind, "name": word(row, |kind| &kind.name), "which": row.which, "day": row.day.map(date),
            "bytes": row.bytes, "ends": ends.map(text::date), "ends_ms": ends.map(|at| at.0),
            "why": word(row, |kind| &kind.why), "erased_by": word(row, |kind| &kind.erased),
        })
    };
    let unlisted = held.unlisted.iter().map(|one| json!({"name": one.name, "why": one.why, "at_most": one.at_most}));
    json!({"holdings": held.rows.iter().map(row).collect::<Vec<_>>(), "unlisted": unlisted.collect::<Vec<_>>()})
}
