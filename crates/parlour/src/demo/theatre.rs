//! The demo's surroundings: the server, its disk, the paper it is drawn on, and the pace.

use super::stage::{Line, Paper, dump, styled, text};
use crate::audit::bytes;
use crate::disk::{Count, Disk, Stored};
use crate::host::Host;
use crate::out::{Out, Style};
use anyhow::Context as _;
use parlour_server::config::Config;
use parlour_server::retention::{Kind, queue_kept};
use parlour_store::QueueKind;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two lines of a card.
const LINE: Duration = Duration::from_millis(35);
/// After a card.
const CARD: Duration = Duration::from_millis(1_600);

/// Where it takes place.
pub(super) struct Theatre {
    pub(super) host: Host,
    pub(super) homes: PathBuf,
    pub(super) data: PathBuf,
    disk: Disk,
    seen: BTreeMap<Stored, Count>,
    paper: Paper,
    paced: bool,
    scene: usize,
}

impl Theatre {
    /// Starts the server on a free port, with a data directory of its own.
    pub(super) async fn open(dir: &Path, fast: bool) -> anyhow::Result<Self> {
        let (data, homes) = (dir.join("server"), dir.join("homes"));
        let mut config = Config::load(&Config::write_default(&data)?)?;
        config.listen.set_port(0);
        let host = Host::start(config).await?;
        let disk = Disk::open(&data)?;
        let seen = disk.census()?;
        let terminal = std::io::stdout().is_terminal();
        let columns = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        let paper = Paper::new(columns, Out::new(false, false).colour);
        Ok(Self { host, homes, data, disk, seen, paper, paced: terminal && !fast, scene: 0 })
    }

    /// Ends the server.
    pub(super) async fn close(self) {
        self.host.stop().await;
    }

    /// Shows a card: what people do and see, and beside it what the server holds now.
    pub(super) async fn card(&mut self, title: &str, left: &[Line], right: &[Line]) {
        self.scene += 1;
        let card = self.paper.card(&format!("{} · {title}", self.scene), left, right);
        self.show(&card).await;
        self.rest(CARD).await;
    }

    /// Shows a paragraph over the whole width.
    pub(super) async fn paragraph(&self, line: &Line) {
        self.show(&self.paper.paragraph(line)).await;
    }

    async fn show(&self, lines: &[String]) {
        for line in lines {
            say(line);
            self.rest(LINE).await;
        }
    }

    async fn rest(&self, time: Duration) {
        if self.paced {
            tokio::time::sleep(time).await;
        }
    }

    /// What was added to and taken from the server's disk since the last look.
    pub(super) fn changes(&mut self) -> anyhow::Result<Vec<Line>> {
        let now = self.disk.census()?;
        let kinds: Vec<Stored> = now.keys().chain(self.seen.keys()).copied().collect();
        let mut lines = BTreeMap::new();
        for kind in kinds {
            let count = |census: &BTreeMap<Stored, Count>| census.get(&kind).copied().unwrap_or_default();
            let (old, new) = (count(&self.seen), count(&now));
            if old.rows != new.rows {
                lines.insert(kind, change(kind, old, new));
            }
        }
        self.seen = now;
        if lines.is_empty() {
            return Ok(vec![vec![styled(Style::Dim, "nothing new, nothing less")]]);
        }
        Ok(lines.into_values().collect())
    }

    /// How many rows wait in mailboxes.
    pub(super) fn waiting(&self) -> anyhow::Result<u64> {
        let census = self.disk.census()?;
        Ok(census.get(&Stored::Queue(QueueKind::Mailbox)).map_or(0, |count| count.rows))
    }

    /// The newest row that waits in a mailbox, as it lies on the disk.
    pub(super) fn newest_waiting(&self, lines: usize) -> anyhow::Result<Vec<Line>> {
        let rows = self.disk.waiting(1)?;
        let Some((number, row)) = rows.first() else {
            return Ok(vec![vec![styled(Style::Dim, "no row waits in any mailbox")]]);
        };
        let mut out = vec![vec![text(format!("row {number} of the mailboxes, {}, sealed:", bytes(row.len() as u64)))]];
        out.extend(dump(row, self.paper.dump_width(), lines));
        Ok(out)
    }

    /// Whether a text stands in any file of the server.
    pub(super) fn search(&self, what: &str, texts: &[&str]) -> anyhow::Result<Line> {
        let search = self.disk.search(texts)?;
        let read = format!(" ({} files, {} read)", search.files, bytes(search.bytes));
        Ok(match &search.found[..] {
            [] => vec![
                styled(Style::Green, "✓ "),
                text(format!("{what}: in none of the server's files")),
                styled(Style::Dim, read),
            ],
            found => {
                let names: Vec<String> =
                    found.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
                vec![styled(Style::Red, "✗ "), text(format!("{what}: found in {}", names.join(", ")))]
            }
        })
    }

    /// Waits until something is true of the server's disk.
    pub(super) async fn until(&self, what: &str, wanted: impl Fn(&Self) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        for _ in 0..600 {
            if wanted(self)? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        anyhow::bail!("waited for {what} in vain")
    }

    /// The newest one-time code, from the development outbox, as a person would look it up.
    pub(super) async fn code(&self) -> anyhow::Result<String> {
        self.host.newest_code().await.context("the development outbox shows no code")
    }
}

fn change(kind: Stored, old: Count, new: Count) -> Line {
    let name = match kind {
        Stored::Row(row) => Kind::of(row).map_or("unknown", |known| known.kept().name),
        Stored::Stray(_) => "unknown",
        Stored::Queue(queue) => queue_kept(queue).name,
        Stored::Shared => "shared ciphertext",
    };
    let (sign, rows, style) = match new.rows.checked_sub(old.rows) {
        Some(more) => ('+', more, Style::Yellow),
        None => ('−', old.rows - new.rows, Style::Green),
    };
    let now = if new.rows == 0 { "none left".to_owned() } else { format!("now {}, {}", new.rows, bytes(new.bytes)) };
    vec![
        styled(style, format!("{:>5} ", format!("{sign}{rows}"))),
        text(format!("{name} ")),
        styled(Style::Dim, format!("({now})")),
    ]
}

/// A line on stdout.
pub(super) fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}
