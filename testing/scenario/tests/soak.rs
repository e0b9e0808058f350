//! Days of traffic, compressed: the built binary under a clock that goes forward an hour at a time, time of day and timers alike, with
//! people who write, read, go and come, and one who never comes back. What it keeps in memory and on the disk does not grow.
//!
//! `PARLOUR_SOAK=30 cargo test -p parlour-scenario --test soak` takes half an hour for the same days, with as much more traffic.

use anyhow::{Context as _, Result, bail, ensure};
use parlour_proto::frames::{Answer, Pool, Push, Request, RowBody, ServerFrame};
use parlour_proto::ids::{MessageId, RoomId};
use parlour_scenario::PATIENCE;
use parlour_scenario::device::{Device, WireRoom, claim, proof};
use parlour_scenario::process::{Circumstances, Clock, Server};
use parlour_scenario::site::{Site, config};
use parlour_scenario::wire::{Role, Wire};
use rand_core::OsRng;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Waiting rows live a day, to its end: what nobody fetches has its full measure after two.
const HOURS: i64 = 6 * 24;
/// Without `PARLOUR_SOAK`, in minutes.
const SHORT: f64 = 0.75;
const PAIRS: usize = 3;
const MIB: f64 = 1_048_576.0;
/// It is emptied from 16 MiB on.
const LARGEST_LOG: f64 = 24.0;

struct Traffic {
    hour: AtomicI64,
    acknowledged: AtomicU64,
    over: watch::Sender<bool>,
}

impl Traffic {
    fn is_over(&self) -> bool {
        *self.over.borrow()
    }
}

/// Writes some messages each hour, on sockets that the server closes when it likes; the ids that it took.
async fn write_on(site: Site, room: WireRoom, each_hour: usize, traffic: Arc<Traffic>) -> Result<BTreeSet<MessageId>> {
    let mut acknowledged = BTreeSet::new();
    let mut written_in = -1;
    let mut open: Vec<Request> = Vec::new();
    while !traffic.is_over() || !open.is_empty() {
        let hour = traffic.hour.load(Ordering::Relaxed);
        if open.is_empty() {
            if hour == written_in {
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            written_in = hour;
            open = (0..each_hour).map(|_| room.message(500)).collect();
        }
        let sent = async {
            let mut wire = Wire::connect(site, Role::Outbox).await?;
            while let Some(request) = open.last() {
                let Request::Send { message_id, .. } = request else { bail!("a send") };
                match wire.ask(request.clone()).await? {
                    Ok(Answer::Accepted { .. }) => acknowledged.insert(*message_id),
                    other => bail!("{other:?}"),
                };
                traffic.acknowledged.fetch_add(1, Ordering::Relaxed);
                open.pop();
            }
            anyhow::Ok(())
        };
        // What has no answer goes again.
        let _ = sent.await;
    }
    Ok(acknowledged)
}

/// Reads and acknowledges, on sockets that the server closes when it likes; the ids that came.
async fn read_on(site: Site, device: Device, mut goal: watch::Receiver<Option<BTreeSet<MessageId>>>) -> Result<()> {
    let mut seen = BTreeSet::new();
    loop {
        let Ok(mut wire) = device.sign_in(site).await else {
            tokio::task::yield_now().await;
            continue;
        };
        loop {
            let all = goal.borrow().as_ref().is_some_and(|goal| goal.is_subset(&seen));
            if all {
                return Ok(());
            }
            let frame = tokio::select! {
                frame = wire.receive() => frame,
                changed = goal.changed() => { changed?; continue }
            };
            let Ok(frame) = frame else { break };
            let ServerFrame::Push(Push::Rows(rows)) = frame else { continue };
            seen.extend(rows.iter().filter_map(|row| match row.body {
                RowBody::Message { message_id, .. } => Some(message_id),
                _ => None,
            }));
            if wire.ack(rows.last().map_or(0, |row| row.seq)).await.is_err() {
                break;
            }
        }
    }
}

/// What is there at one moment.
#[derive(Debug, Clone, Copy)]
struct Weight {
    memory: f64,
    database: f64,
    log: f64,
    keys: usize,
}

async fn weigh(server: &Server) -> Result<Weight> {
    Ok(Weight {
        memory: server.rss_bytes()? as f64 / MIB,
        database: server.site().metric("parlour_store_database_bytes").await? / MIB,
        log: server.site().metric("parlour_store_wal_bytes").await? / MIB,
        keys: files(&server.data().join("keys"), "day-")?,
    })
}

fn files(dir: &Path, prefix: &str) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(dir)? {
        count += usize::from(entry?.file_name().to_string_lossy().starts_with(prefix));
    }
    Ok(count)
}

/// The most in some of it.
fn most(weights: &[Weight], of: fn(&Weight) -> f64) -> f64 {
    weights.iter().map(of).fold(0.0, f64::max)
}

/// A room of two of which the second never reads, or reads always.
async fn pair(site: Site, number: usize) -> Result<(WireRoom, Device)> {
    let (_, mut one_inbox) = Device::sign_up(site, &format!("+49300020{number:02}")).await?;
    let (mut other, mut other_inbox) = Device::sign_up(site, &format!("+49300021{number:02}")).await?;
    other.publish(&mut other_inbox, Pool::Stranger, 1).await?;
    let mut outbox = Wire::connect(site, Role::Outbox).await?;
    let id = RoomId::random(&mut OsRng);
    let claimed = claim(&mut one_inbox, &other.number, id).await??;
    let mut room = WireRoom::create_as(&mut one_inbox, id).await?;
    room.add(&mut outbox, &claimed).await?;
    let key = other.member(&claimed.devices[0].member_key).context("its own key")?;
    outbox.granted(Request::OpenEntry { room: id, proof: proof(key, "open", &id, &[]) }).await?;
    Ok((room, other))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_six_days_of_traffic_neither_memory_nor_files_grow() -> Result<()> {
    let minutes = std::env::var("PARLOUR_SOAK").map_or(Ok(SHORT), |minutes| minutes.parse::<f64>())?;
    let hour = Duration::from_secs_f64(minutes * 60.0 / HOURS as f64);
    // As many as an hour has time for, on a busy machine, too.
    let each_hour = (hour.as_millis() as usize / 10).max(20);
    let dir = tempfile::tempdir()?;
    let clock = Clock::make(dir.path())?;
    let circumstances =
        Circumstances { environment: clock.environment().to_vec(), log: Some("info"), ..Circumstances::default() };
    let data = dir.path().join("data");
    std::fs::create_dir_all(&data)?;
    let short_lives = "[retention]\nmailbox_days = 1\nlog_days = 8\n\n[[app]]";
    std::fs::write(data.join("parlour.toml"), config(&data, 0, &[]).replacen("[[app]]", short_lives, 1))?;
    let mut server = Server::up_on(dir, data, circumstances)?;
    let site = server.site();

    let traffic =
        Arc::new(Traffic { hour: AtomicI64::new(0), acknowledged: AtomicU64::new(0), over: watch::channel(false).0 });
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for number in 0..PAIRS {
        let (room, reader) = pair(site, number).await?;
        writers.push(tokio::spawn(write_on(site, room, each_hour, traffic.clone())));
        // The last one's reader has gone for good.
        if number + 1 < PAIRS {
            let (tell, goal) = watch::channel(None);
            readers.push((tell, tokio::spawn(read_on(site, reader, goal))));
        }
    }
    let mut weights = Vec::new();
    for now in 1..=HOURS {
        tokio::time::sleep(hour).await;
        clock.pass(now * 3_600)?;
        traffic.hour.store(now, Ordering::Relaxed);
        if now % 4 == 0 {
            weights.push(weigh(&server).await?);
        }
    }
    traffic.over.send_replace(true);
    for (writer, reader) in writers.into_iter().zip(readers.into_iter().map(Some).chain([None])) {
        let acknowledged = timeout(PATIENCE, writer).await.context("a writer does not end")???;
        ensure!(!acknowledged.is_empty(), "nothing was written");
        if let Some((goal, reader)) = reader {
            goal.send_replace(Some(acknowledged));
            timeout(PATIENCE, reader).await.context("an acknowledged message does not come")???;
        }
    }

    let messages = traffic.acknowledged.load(Ordering::Relaxed);
    let lines: Vec<String> = weights.iter().map(|weight| format!("{weight:.1?}")).collect();
    let told = format!("{messages} messages\n{}", lines.join("\n"));
    let (first, second) = weights.split_at(weights.len() / 2);
    let grown = |of: fn(&Weight) -> f64, slack: f64| most(second, of) - (most(first, of) * 1.1 + slack);
    ensure!(grown(|weight| weight.memory, 6.0) < 0.0, "memory grows: {told}");
    ensure!(grown(|weight| weight.database, 1.0) < 0.0, "the database grows: {told}");
    // The log is emptied when nothing comes for seconds, or when it is large: anything below that is by chance.
    ensure!(most(&weights, |weight| weight.log) < LARGEST_LOG, "the log grows: {told}");
    ensure!(second.iter().all(|weight| weight.keys <= 4), "keys of days stay: {told}");
    // What nobody fetches did go (writers never read their own copies): else nothing was to be seen.
    ensure!(server.stop()? == 0, "it stops in order");
    let log = server.log()?;
    let swept = log.split("queue_rows=").skip(1).filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let (sweeps, gone) = swept.fold((0, 0), |(sweeps, gone), rows| (sweeps + 1, gone + rows));
    ensure!(sweeps > HOURS / 2, "only {sweeps} sweeps: the clock does not go. {told}");
    ensure!(gone > messages / 2, "only {gone} rows expired: {told}");
    ensure!(!log.contains("ERROR"), "an ERROR is a bug: {log}");
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{told}")?;
    Ok(())
}
