//! `parlour audit`: each kind of row stored, how many, how old the oldest is, its lifetime, and why it is kept.

use crate::cli::AuditArgs;
use crate::disk::{Count, Disk, Stored};
use crate::exit::Trouble;
use crate::out::{Out, Style};
use parlour_server::retention::{Kept, Kind, Lifetime, queue_kept};
use parlour_store::{QueueKind, UnixDay};
use serde_json::json;

const DAY_S: u64 = 86_400;

/// Prints what is stored.
pub(crate) fn audit(args: &AuditArgs) -> Result<(), Trouble> {
    let out = Out::new(args.json, false);
    let census = Disk::open(&args.data).and_then(|disk| disk.census()).map_err(Trouble::failure)?;
    let today = UnixDay(u32::try_from(parlour_shell::clock::now().seconds() / DAY_S).unwrap_or(u32::MAX));
    let mut unknown = false;
    let mut lines = Vec::new();
    for kind in every_kind() {
        lines.push((kept(kind), census.get(&kind).copied().unwrap_or_default()));
    }
    for (kind, count) in census {
        if !every_kind().any(|known| known == kind) {
            unknown = true;
            lines.push((undeclared(), count));
        }
    }
    if !args.json {
        head(out, &args.data);
    }
    for (kept, count) in &lines {
        out.object(&object(kept, count, today));
        line(out, kept, count, today);
    }
    if !args.json {
        foot(out);
    }
    if unknown {
        return Err(Trouble::failure(anyhow::anyhow!(
            "the store holds rows that are not declared: another version wrote it"
        )));
    }
    Ok(())
}

fn every_kind() -> impl Iterator<Item = Stored> {
    let rows = Kind::ALL.iter().map(|kind| Stored::Row(kind.row()));
    [Stored::Queue(QueueKind::Mailbox), Stored::Shared].into_iter().chain(rows)
}

fn kept(stored: Stored) -> Kept {
    match stored {
        Stored::Row(row) => Kind::ALL.iter().find(|kind| kind.row() == row).map_or_else(undeclared, |kind| kind.kept()),
        Stored::Queue(kind) => queue_kept(kind),
        Stored::Shared => Kept {
            name: "shared ciphertext of waiting rows (sealed)",
            erased: "the last acknowledgement",
            why: "one copy for a message to more than two mailboxes",
            ..queue_kept(QueueKind::Mailbox)
        },
    }
}

fn undeclared() -> Kept {
    Kept { name: "UNDECLARED", lifetime: Lifetime::Work, erased: "unknown", why: "unknown: another version wrote it" }
}

fn head(out: Out, data: &std::path::Path) {
    out.line(format!("What {} stores, as its files show it without any key.\n", data.display()));
    out.line(out.paint(
        Style::Bold,
        &format!("{:>9}  {:>9}  {:>7}  {:<44} {:<13}", "rows", "bytes", "oldest", "what", "at most"),
    ));
}

fn line(out: Out, kept: &Kept, count: &Count, today: UnixDay) {
    let row = format!(
        "{:>9}  {:>9}  {:>7}  {:<44} {:<13}",
        count.rows,
        bytes(count.bytes),
        count.oldest.map_or(String::new(), |oldest| format!("{} d", today.0.saturating_sub(oldest.0))),
        kept.name,
        lifetime(kept.lifetime),
    );
    out.line(if count.rows == 0 { out.paint(Style::Dim, &row) } else { row });
    out.line(out.paint(Style::Dim, &format!("{:>31}{}; gone earlier by {}", "", kept.why, kept.erased)));
}

fn foot(out: Out) {
    out.line(
        "\nNot stored, in any form: text, names, passwords, address books, network addresses, who wrote a message,",
    );
    out.line(
        "which accounts are in a room. Times are kept as days. How this is held: SECURITY.md, docs/data-model.md.",
    );
}

fn object(kept: &Kept, count: &Count, today: UnixDay) -> serde_json::Value {
    let lifetime_s = match kept.lifetime {
        Lifetime::Seconds(s) => Some(s),
        Lifetime::Account | Lifetime::Work => None,
    };
    json!({
        "type": "kind", "name": kept.name, "rows": count.rows, "bytes": count.bytes,
        "oldest_days": count.oldest.map(|oldest| today.0.saturating_sub(oldest.0)),
        "lifetime": lifetime(kept.lifetime), "lifetime_s": lifetime_s, "erased_by": kept.erased, "why": kept.why,
    })
}

fn lifetime(lifetime: Lifetime) -> String {
    match lifetime {
        Lifetime::Account => "the account".to_owned(),
        Lifetime::Work => "until done".to_owned(),
        Lifetime::Seconds(s) if s % DAY_S == 0 => format!("{} d", s / DAY_S),
        Lifetime::Seconds(s) => format!("{} h", s / 3600),
    }
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=9_999_999 => format!("{} kB", count / 1000),
        _ => format!("{} MB", count / 1_000_000),
    }
}
