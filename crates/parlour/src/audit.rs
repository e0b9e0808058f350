//! `parlour audit`: each kind of row stored, how many, how old the oldest is, its lifetime, and why it is kept; then the files, and
//! what the server has in memory only. It reads the real tables: what is not declared, or has a longer life than declared, fails it.

use crate::cli::AuditArgs;
use crate::disk::{Count, Disk, Stored};
use crate::exit::Trouble;
use crate::out::{Out, Style};
use parlour_server::config::{Config, FILE_NAME};
use parlour_server::retention::unstored::{FILES, MEMORY, Unstored, file_of};
use parlour_server::retention::{Kept, Kind, Lifetime, Lifetimes, queue_kept};
use parlour_store::{QueueKind, UnixDay};
use serde_json::json;
use std::path::{Path, PathBuf};

const DAY_S: u64 = 86_400;
const UNDECLARED: &str = "UNDECLARED";
/// Ends are rounded up to the hour, or to the day.
const ROUNDING_S: u64 = 3_600;

/// Prints what is stored.
pub(crate) fn audit(args: &AuditArgs) -> Result<(), Trouble> {
    let out = Out::new(args.json, false);
    let (data, lifetimes) = in_force(args)?;
    let disk = Disk::open(&data).map_err(Trouble::failure)?;
    let census = disk.census().map_err(Trouble::failure)?;
    let today = UnixDay(u32::try_from(parlour_shell::clock::now().seconds() / DAY_S).unwrap_or(u32::MAX));
    let mut lines: Vec<(Kept, Count)> =
        every_kind().map(|kind| (kept(kind), census.get(&kind).copied().unwrap_or_default())).collect();
    lines.extend(
        census
            .iter()
            .filter(|(kind, _)| !every_kind().any(|known| known == **kind))
            .map(|(kind, count)| (kept(*kind), *count)),
    );
    if !args.json {
        head(out, &data);
    }
    for (kept, count) in &lines {
        out.object(&object(kept, count, &lifetimes, today));
        line(out, kept, count, &lifetimes, today);
    }
    let files = disk.files().map_err(Trouble::failure)?;
    tell_files(out, &files, &lifetimes);
    tell_memory(out, &lifetimes);
    if !args.json {
        foot(out);
    }
    judge(&lines, &disk.strange_tables().map_err(Trouble::failure)?)
}

/// The data directory, and the lifetimes that are in force in it: of the configuration that is named, or lies there.
fn in_force(args: &AuditArgs) -> Result<(PathBuf, Lifetimes), Trouble> {
    let beside = args.data.as_ref().map(|data| data.join(FILE_NAME)).filter(|path| path.is_file());
    let config =
        args.config.clone().or(beside).map(|path| Config::load(&path)).transpose().map_err(Trouble::failure)?;
    let lifetimes = config.as_ref().map(|config| config.retention.lifetimes()).transpose();
    let lifetimes = lifetimes.map_err(|mut faults| Trouble::failure(faults.swap_remove(0)))?.unwrap_or_default();
    let data = args.data.clone().or(config.map(|config| config.data));
    Ok((
        data.ok_or_else(|| Trouble::failure(anyhow::anyhow!("which data directory? Give --data or --config.")))?,
        lifetimes,
    ))
}

/// Fails for what is not declared, and for what would live longer than declared.
fn judge(lines: &[(Kept, Count)], tables: &[String]) -> Result<(), Trouble> {
    if !tables.is_empty() {
        return Err(Trouble::failure(anyhow::anyhow!(
            "the database has tables that are not declared: {}",
            tables.join(", ")
        )));
    }
    if lines.iter().any(|(kept, _)| kept.name == UNDECLARED) {
        let what = "the store holds rows that are not declared: another version wrote it";
        return Err(Trouble::failure(anyhow::anyhow!(what)));
    }
    // By the ceiling: what was written before the operator chose less keeps the end that it had.
    for (kept, count) in lines {
        let Some(most_s) = kept.lifetime.ceiling_s() else { continue };
        if count.endless > 0 || count.longest_s > most_s + ROUNDING_S {
            let what = format!("some rows of \"{}\" live longer than declared", kept.name);
            return Err(Trouble::failure(anyhow::anyhow!(what)));
        }
    }
    Ok(())
}

fn every_kind() -> impl Iterator<Item = Stored> {
    let rows = Kind::ALL.iter().map(|kind| Stored::Row(kind.row()));
    [Stored::Queue(QueueKind::Mailbox), Stored::Shared].into_iter().chain(rows)
}

fn kept(stored: Stored) -> Kept {
    match stored {
        Stored::Row(row) => Kind::of(row).map_or_else(undeclared, Kind::kept),
        Stored::Queue(kind) => queue_kept(kind),
        Stored::Shared => Kept {
            name: "shared ciphertext of waiting rows (sealed)",
            erased: "the last acknowledgement",
            why: "one copy for a message to more than two mailboxes",
            ..queue_kept(QueueKind::Mailbox)
        },
        Stored::Stray(_) => undeclared(),
    }
}

fn undeclared() -> Kept {
    Kept { name: UNDECLARED, lifetime: Lifetime::Work, erased: "unknown", why: "unknown: another version wrote it" }
}

fn head(out: Out, data: &Path) {
    out.line(format!("What {} stores, as its files show it without any key.\n", data.display()));
    out.line(out.paint(
        Style::Bold,
        &format!("{:>9}  {:>9}  {:>7}  {:<44} {:<13}", "rows", "bytes", "oldest", "what", "at most"),
    ));
}

fn line(out: Out, kept: &Kept, count: &Count, lifetimes: &Lifetimes, today: UnixDay) {
    let row = format!(
        "{:>9}  {:>9}  {:>7}  {:<44} {:<13}",
        count.rows,
        bytes(count.bytes),
        count.oldest.map_or(String::new(), |oldest| format!("{} d", today.0.saturating_sub(oldest.0))),
        kept.name,
        kept.lifetime.words(lifetimes),
    );
    out.line(if count.rows == 0 { out.paint(Style::Dim, &row) } else { row });
    out.line(out.paint(Style::Dim, &format!("{:>31}{}; gone earlier by {}", "", kept.why, kept.erased)));
}

fn tell_files(out: Out, files: &std::collections::BTreeMap<String, u64>, lifetimes: &Lifetimes) {
    out.line(out.paint(Style::Bold, "\nFiles"));
    for file in FILES {
        let there = files.iter().filter(|(path, _)| file_of(path).is_some_and(|found| found.path == file.path));
        let (count, size) = there.fold((0u64, 0u64), |(count, size), (_, len)| (count + 1, size + len));
        unstored(out, ("file", file.path), &file.about, lifetimes, Some((count, size)));
    }
    for path in files.keys().filter(|path| file_of(path).is_none()) {
        out.object(&json!({"type": "other_file", "path": path, "bytes": files[path]}));
        out.line(out.paint(Style::Yellow, &format!("{:>31}{path}: not the server's", "")));
    }
}

fn tell_memory(out: Out, lifetimes: &Lifetimes) {
    out.line(out.paint(Style::Bold, "\nIn memory only; a restart forgets it"));
    for about in MEMORY {
        unstored(out, ("memory", about.name), about, lifetimes, None);
    }
}

fn unstored(out: Out, (kind, name): (&str, &str), about: &Unstored, lifetimes: &Lifetimes, size: Option<(u64, u64)>) {
    let at_most = about.span.words(lifetimes);
    out.object(&json!({
        "type": kind, "name": name, "what": about.name, "files": size.map(|(count, _)| count), "bytes": size.map(|(_, size)| size),
        "lifetime": at_most, "erased_by": about.erased, "why": about.why,
    }));
    let size = size.map_or(String::new(), |(_, size)| bytes(size));
    out.line(format!("{size:>20}           {name:<54} {at_most}"));
    let what = if name == about.name { about.why.to_owned() } else { format!("{}: {}", about.name, about.why) };
    let ends = if about.erased == "-" { String::new() } else { format!("; gone earlier by {}", about.erased) };
    out.line(out.paint(Style::Dim, &format!("{:>31}{what}{ends}", "")));
}

fn foot(out: Out) {
    out.line(
        "\nNot stored, in any form: text, names, passwords, address books, network addresses, who wrote a message,",
    );
    out.line(
        "which accounts are in a room. Times are kept as days. How this is held: SECURITY.md, docs/data-model.md.",
    );
}

fn object(kept: &Kept, count: &Count, lifetimes: &Lifetimes, today: UnixDay) -> serde_json::Value {
    let setting = match kept.lifetime {
        Lifetime::Set(setting) => Some(setting.name()),
        Lifetime::Account | Lifetime::Seconds(_) | Lifetime::Work | Lifetime::Data => None,
    };
    json!({
        "type": "kind", "name": kept.name, "rows": count.rows, "bytes": count.bytes,
        "oldest_days": count.oldest.map(|oldest| today.0.saturating_sub(oldest.0)),
        "lifetime": kept.lifetime.words(lifetimes), "lifetime_s": lifetimes.most_s(kept.lifetime), "setting": setting,
        "erased_by": kept.erased, "why": kept.why,
    })
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=9_999_999 => format!("{} kB", count / 1000),
        _ => format!("{} MB", count / 1_000_000),
    }
}
