//! Disks that are full, and databases of another time.

use anyhow::{Context as _, Result, bail, ensure};
use parlour_proto::frames::{Answer, Request, RowBody};
use parlour_proto::ids::{MessageId, RoomId};
use parlour_proto::problem::Code;
use parlour_scenario::device::{Device, RoomOfTwo, WireRoom, noise};
use parlour_scenario::host::Host;
use parlour_scenario::http;
use parlour_scenario::person::{Person, befriend, exactly_once};
use parlour_scenario::process::Server;
use parlour_scenario::site::Site;
use parlour_scenario::wire::{Role, Wire};
use parlour_store::SqliteOptions;
use rand_core::OsRng;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;

/// A file system of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one in memory; `None` when this user may not.
    fn mount(at: &Path, bytes: u64) -> Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        Ok(mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned())))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Writes into a room until nothing more goes; the ids that were acknowledged, and the code that ended it.
async fn fill(outbox: &mut Wire, room: &WireRoom) -> Result<(Vec<MessageId>, Code)> {
    let mut acknowledged = Vec::new();
    for _ in 0..2_000 {
        let request = room.message(30_000);
        let Request::Send { message_id, .. } = &request else { bail!("a send") };
        let message_id = *message_id;
        match outbox.ask(request).await? {
            Ok(_) => acknowledged.push(message_id),
            Err(problem) => {
                ensure!(problem.retry_after_ms > 0, "nobody is told when to try again");
                return Ok((acknowledged, problem.code));
            }
        }
    }
    bail!("the disk takes everything")
}

async fn strangers(site: Site) -> Result<RoomOfTwo> {
    RoomOfTwo::of(site, "+4930000301", "+4930000302", 2).await
}

/// Fills the disk, and holds the server to its word: nothing more is taken, everything that was taken is given out, and
/// once `relief` has come writing goes on.
async fn full_and_back(site: Site, relief: impl FnOnce() -> Result<()>) -> Result<()> {
    let RoomOfTwo { room, mut one_inbox, other, other_inbox, mut outbox, .. } = strangers(site).await?;
    drop(other_inbox);
    let (acknowledged, code) = fill(&mut outbox, &room).await?;
    ensure!(code == Code::Full, "{code:?}");
    ensure!(acknowledged.len() > 20, "only {} messages went", acknowledged.len());
    // Other writes are refused alike, with the same code; pages and reads go on.
    ensure!(http::get(site.addr, "/health").await? == "ok\n");
    ensure!(matches!(one_inbox.granted(Request::Reach).await?, Answer::Reach(_)));
    let create = Request::CreateRoom {
        room: RoomId::random(&mut OsRng),
        member_key: room.member_key(),
        send_key: room.send_key.digest(),
    };
    let created = one_inbox.ask(create).await?;
    ensure!(created.as_ref().err().is_none_or(|problem| problem.code == Code::Full), "{created:?}");

    // Both read, and acknowledge, which deletes.
    let mut reader = other.sign_in(site).await?;
    let mut wanted = acknowledged.clone();
    let mut last = 0;
    while !wanted.is_empty() {
        let parlour_proto::frames::Push::Rows(rows) = reader.push().await? else { continue };
        for row in rows {
            last = row.seq;
            if let RowBody::Message { message_id, .. } = row.body {
                wanted.retain(|id| *id != message_id);
            }
        }
        reader.ack(last).await?;
    }
    let mut own = acknowledged.len();
    while own > 0 {
        let parlour_proto::frames::Push::Rows(rows) = one_inbox.push().await? else { continue };
        own = own.saturating_sub(rows.iter().filter(|row| matches!(row.body, RowBody::Message { .. })).count());
        one_inbox.ack(rows.last().map_or(0, |row| row.seq)).await?;
    }
    relief()?;
    let message_id = MessageId::random(&mut OsRng);
    let retry =
        Request::Send { room: room.id, message_id, send_key: room.send_key.clone(), tag: [0; 32], payload: noise(500) };
    // Acknowledgements are collected for some milliseconds: the same message is tried again, as clients do.
    let recovered = async {
        loop {
            match outbox.ask(retry.clone()).await? {
                Ok(_) => return anyhow::Ok(()),
                Err(problem) => ensure!(matches!(problem.code, Code::Full | Code::SlowDown), "{problem}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(parlour_scenario::PATIENCE, recovered).await.context("it never recovers")??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_by_quota() -> Result<()> {
    let options = SqliteOptions { max_bytes: Some(3 * MIB), ..SqliteOptions::default() };
    let host = Host::up_with(&[], &options).await?;
    // What is acknowledged makes room enough.
    full_and_back(host.site(), || Ok(())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let disk = dir.path().join("disk");
    let Some(mounted) = SmallDisk::mount(&disk, 64 * MIB)? else {
        eprintln!("skipped: this user may not mount a small disk; full_by_quota covers the rest");
        return Ok(());
    };
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 48 * MIB as usize])?;
    let mut server = Server::up_in(dir, disk.join("data"), &[])?;
    full_and_back(server.site(), || Ok(std::fs::remove_file(&ballast)?)).await?;
    // It starts again on a full disk, too, and what people have is there.
    let ana = Person::on_bell(server.scratch(), "ana", "+4930000001", server.site()).await?;
    let ben = Person::on_bell(server.scratch(), "ben", "+4930000002", server.site()).await?;
    let (at_ana, at_ben) = befriend(&ana, &ben).await?;
    let ben = ben.stop().await;
    let texts: Vec<String> = (0..5).map(|n| format!("before the disk was full {n}")).collect();
    for text in &texts {
        ana.say(at_ana, text).await?;
    }
    ana.until_sent().await?;
    fill_up(&ballast)?;
    server.kill()?;
    server.start().context("starting on a full disk")?;
    let ben = Person::start(&ben).await?;
    let syncing = ben.runner.submit(parlour_client::api::Intent::Sync).await?;
    let heard = ben.until_heard(at_ben, &texts[4]).await?;
    exactly_once(&texts, &heard)?;
    std::fs::remove_file(&ballast)?;
    syncing.done().await?;
    ben.say(at_ben, "with room again").await?;
    ana.until_heard(at_ana, "with room again").await?;
    drop((server, mounted));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_full_disk_heals_by_acknowledgements() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let disk = dir.path().join("disk");
    let Some(mounted) = SmallDisk::mount(&disk, 12 * MIB)? else {
        eprintln!("skipped: this user may not mount a small disk; full_by_quota covers the rest");
        return Ok(());
    };
    let server = Server::up_in(dir, disk.join("data"), &[])?;
    full_and_back(server.site(), || Ok(())).await?;
    drop((server, mounted));
    Ok(())
}

/// Signs in again and again, acknowledging what is there, until nothing comes any more.
async fn until_drained(device: &Device, site: Site) -> Result<()> {
    let drained = async {
        loop {
            let mut inbox = device.sign_in(site).await?;
            match inbox.waiting_rows().await?.last() {
                Some(row) => inbox.ack(row.seq).await?,
                None => return anyhow::Ok(()),
            }
        }
    };
    tokio::time::timeout(parlour_scenario::PATIENCE, drained).await.context("acknowledgements are not kept")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filled_by_others_to_the_last_byte_it_still_deletes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let disk = dir.path().join("disk");
    let Some(mounted) = SmallDisk::mount(&disk, 64 * MIB)? else {
        eprintln!("skipped: this user may not mount a small disk; the store's own tests cover the reserve");
        return Ok(());
    };
    let mut server = Server::up_in(dir, disk.join("data"), &[])?;
    let reserve = server.data().join("reserve");
    ensure!(std::fs::metadata(&reserve)?.len() == 4 * MIB, "a sixteenth of the disk is kept back");
    let RoomOfTwo { room, one_inbox: _inbox, other, other_inbox, mut outbox, .. } = strangers(server.site()).await?;
    drop(other_inbox);
    for _ in 0..20 {
        outbox.granted(room.message(30_000)).await?;
    }
    let ballast = disk.join("ballast");
    fill_up(&ballast)?;
    let (_, code) = fill(&mut outbox, &room).await?;
    ensure!(code == Code::Full, "{code:?}");
    ensure!(!reserve.exists(), "the reserve is given up");

    // What is acknowledged is deleted, and stays so when the server starts anew on the full disk.
    until_drained(&other, server.site()).await?;
    ensure!(server.stop()? == 0, "it stops in order");
    server.start().context("starting on a full disk")?;
    let mut inbox = other.sign_in(server.site()).await?;
    ensure!(inbox.waiting_rows().await?.is_empty(), "what was acknowledged comes again");

    // With room again all goes on, and the reserve is there for the next time.
    std::fs::remove_file(&ballast)?;
    let mut outbox = Wire::connect(server.site(), Role::Outbox).await?;
    outbox.granted(room.message(30_000)).await?;
    let regained = async {
        while !reserve.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(parlour_scenario::PATIENCE, regained).await.context("the reserve is not made anew")?;
    drop((server, mounted));
    Ok(())
}

/// Writes a file until its file system has no byte left.
fn fill_up(ballast: &Path) -> Result<()> {
    let mut file = std::fs::File::create(ballast)?;
    loop {
        // What still fits is written, too.
        if let Err(error) = file.write_all(&[1; 65_536]) {
            ensure!(error.kind() == ErrorKind::StorageFull, "{error}");
            return Ok(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_of_a_newer_version() -> Result<()> {
    let mut server = Server::up()?;
    ensure!(server.stop()? == 0, "it stops in order");
    let path = server.data().join("store.db");
    let database = rusqlite::Connection::open(&path)?;
    let format: u32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    database.pragma_update(None, "user_version", format + 1)?;
    drop(database);
    let before = std::fs::read(&path)?;
    let refused = server.start().err().context("a newer database is opened")?.to_string();
    ensure!(refused.contains("newer") || refused.contains(&format!("format {}", format + 1)), "{refused}");
    ensure!(std::fs::read(&path)? == before, "and changed");
    // Back in its own time it opens.
    rusqlite::Connection::open(&path)?.pragma_update(None, "user_version", format)?;
    server.start()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_another_server() -> Result<()> {
    let mut server = Server::up()?;
    ensure!(server.stop()? == 0, "it stops in order");
    let key = server.data().join("keys/store.key");
    let right = std::fs::read(&key)?;
    std::fs::write(&key, [7; 32])?;
    let refused = server.start().err().context("another's key is taken")?.to_string();
    ensure!(refused.contains("key"), "{refused}");
    std::fs::write(&key, right)?;
    server.start()
}
