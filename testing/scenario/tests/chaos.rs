//! A machine that is short of something: descriptors, or a disk that keeps up. What was acknowledged stays, what is open goes on, and
//! the server comes back to itself when the shortage ends.

use anyhow::{Context as _, Result, bail, ensure};
use parlour_proto::frames::{Answer, Push, Request, RowBody};
use parlour_proto::ids::MessageId;
use parlour_proto::problem::Code;
use parlour_scenario::device::{Device, RoomOfTwo, WireRoom};
use parlour_scenario::person::{Person, befriend, exactly_once, talk};
use parlour_scenario::process::{Circumstances, Clock, Server, SlowDisk};
use parlour_scenario::site::Site;
use parlour_scenario::wire::Wire;
use parlour_scenario::{PATIENCE, http};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MIB: u64 = 1 << 20;

/// Two strangers in a room; one writes, the other reads.
struct Pair {
    room: WireRoom,
    outbox: Wire,
    other: Device,
    inbox: Wire,
    /// What was acknowledged, and where.
    acknowledged: BTreeMap<MessageId, u64>,
    seen: BTreeMap<MessageId, BTreeSet<u64>>,
}

impl Pair {
    async fn in_a_room(site: Site, number: usize) -> Result<Self> {
        let of = |prefix: &str| format!("+{prefix}{number:02}");
        let two = RoomOfTwo::of(site, &of("49300010"), &of("49300011"), 2).await?;
        let RoomOfTwo { room, outbox, other, other_inbox: inbox, .. } = two;
        Ok(Self { room, outbox, other, inbox, acknowledged: BTreeMap::new(), seen: BTreeMap::new() })
    }

    /// Sends so many messages, all under way at once, and waits for the answers: accepted, or a problem that says when to try again.
    async fn send(&mut self, count: usize) -> Result<usize> {
        let mut asked = Vec::new();
        for _ in 0..count {
            let request = self.room.message(300);
            let Request::Send { message_id, .. } = &request else { bail!("a send") };
            let message_id = *message_id;
            asked.push((self.outbox.send(request).await?, message_id));
        }
        let before = self.acknowledged.len();
        for (id, message_id) in asked {
            match self.outbox.answer(id).await? {
                Ok(Answer::Accepted { room_seq, .. }) => {
                    self.acknowledged.insert(message_id, room_seq);
                }
                Ok(other) => bail!("{other:?}"),
                Err(problem) => ensure!(problem.code == Code::SlowDown && problem.retry_after_ms > 0, "{problem:?}"),
            }
        }
        Ok(self.acknowledged.len() - before)
    }

    /// Reads until all that was acknowledged is here, each once and where it was said to be.
    async fn read(&mut self) -> Result<()> {
        let reading = async {
            while !self.acknowledged.keys().all(|id| self.seen.contains_key(id)) {
                let Push::Rows(rows) = self.inbox.push().await? else { continue };
                for row in &rows {
                    if let RowBody::Message { message_id, .. } = row.body {
                        self.seen.entry(message_id).or_default().insert(row.room_seq);
                    }
                }
                self.inbox.ack(rows.last().map_or(0, |row| row.seq)).await?;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, reading).await.context("an acknowledged message does not come")??;
        for (id, room_seq) in &self.acknowledged {
            let places = &self.seen[id];
            ensure!(places.len() == 1 && places.contains(room_seq), "answered {room_seq}, delivered {places:?}");
        }
        Ok(())
    }
}

fn no_error(server: &Server) -> Result<()> {
    let log = server.log()?;
    ensure!(!log.contains("ERROR"), "an ERROR is a bug: {log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_what_is_open_goes_on_and_the_rest_waits() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let clock = Clock::make(dir.path())?;
    let circumstances =
        Circumstances { environment: clock.environment().to_vec(), descriptors: Some(256), log: Some("info") };
    let data = dir.path().join("data");
    let mut server = Server::up_under(dir, data, &[], circumstances)?;
    let site = server.site();
    let mut pair = Pair::in_a_room(site, 1).await?;
    let ana = Person::on_bell(server.scratch(), "ana", "+4930000001", site).await?;
    let ben = Person::on_bell(server.scratch(), "ben", "+4930000002", site).await?;
    let (at_ana, at_ben) = befriend(&ana, &ben).await?;
    talk((&ana, at_ana), (&ben, at_ben), "before").await?;

    // Three times as many as it may have, and they stay.
    let mut crowd = Vec::new();
    for _ in 0..768 {
        crowd.push(TcpStream::connect(site.addr).await?);
    }
    for round in 0..20 {
        ensure!(pair.send(10).await? == 10, "round {round}");
    }
    pair.read().await?;
    // A new day begins: its key is a new file.
    clock.set_ahead(26 * 3_600)?;
    ensure!(pair.send(10).await? == 10, "on the next day");
    pair.read().await?;
    talk((&ana, at_ana), (&ben, at_ben), "among them").await?;

    // Who asks how it is, is told; who wants a socket hears that there is no room. The crowd may be before them, for a moment.
    let asked = async {
        let ask = async |path: &str| match http::get(site.addr, path).await {
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        };
        while ask("/health").await != "ok\n" {}
        while !ask("/v1/inbox").await.contains("503 Service Unavailable") {}
    };
    timeout(PATIENCE, asked).await.context("a full server does not say how it is")?;

    // The crowd says nothing: so the server has nothing to do.
    let (before, since) = (server.cpu()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (worked, passed) = (server.cpu()? - before, since.elapsed());
    ensure!(worked < passed / 5, "{worked:?} of work in {passed:?} with nothing to do");

    // They go, and others come in; whoever is new waits no longer than for that.
    drop(crowd);
    let came = async {
        loop {
            match Device::sign_up(site, "+4930000003").await {
                Ok(_) => return,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, came).await.context("nobody comes in any more")?;
    ensure!(http::get(site.addr, "/health").await? == "ok\n");
    talk((&ana, at_ana), (&ben, at_ben), "after").await?;
    ensure!(server.stop()? == 0, "it stops in order");
    no_error(&server)
}

/// A server on a disk that is as slow as the test says.
async fn on_a_slow_disk() -> Result<(Server, SlowDisk)> {
    let dir = tempfile::tempdir()?;
    let disk = SlowDisk::make(dir.path())?;
    let circumstances =
        Circumstances { environment: disk.environment().to_vec(), log: Some("info"), ..Circumstances::default() };
    let data = dir.path().join("data");
    Ok((Server::up_under(dir, data, &[], circumstances)?, disk))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_disk_people_meet_and_nothing_acknowledged_is_lost() -> Result<()> {
    let (mut server, disk) = on_a_slow_disk().await?;
    let site = server.site();
    let mut pairs = Vec::new();
    for number in 0..8 {
        pairs.push(Pair::in_a_room(site, number).await?);
    }
    disk.set_late(200)?;
    let before = server.rss_bytes()?;
    let meeting = async {
        let ana = Person::on_bell(server.scratch(), "ana", "+4930000001", site).await?;
        let ben = Person::on_bell(server.scratch(), "ben", "+4930000002", site).await?;
        let (at_ana, at_ben) = befriend(&ana, &ben).await?;
        let texts: Vec<String> = (0..20).map(|n| format!("slowly {n}")).collect();
        for text in &texts {
            ana.say(at_ana, text).await?;
        }
        exactly_once(&texts, &ben.until_heard(at_ben, "slowly 19").await?)?;
        anyhow::Ok((ana, ben, at_ana, at_ben))
    };
    // 200 at once on each socket: more than the server takes up before it has answered some.
    let flooding = futures_util::future::join_all(pairs.iter_mut().map(|pair| async move {
        let mut sent = 0;
        for _ in 0..3 {
            sent += pair.send(200).await?;
        }
        anyhow::Ok(sent)
    }));
    let (met, flooded) = tokio::join!(meeting, flooding);
    let (ana, ben, at_ana, at_ben) = met?;
    let total = flooded.into_iter().sum::<Result<usize>>()?;
    ensure!(total > 4_000, "only {total} of 4800 messages were taken");
    let grown = server.rss_bytes()?.saturating_sub(before);
    ensure!(grown < 64 * MIB, "waiting for the disk takes {} MiB", grown / MIB);

    // In the middle of it the process dies; what had been acknowledged by then is there.
    let dying = futures_util::future::join_all(
        pairs.iter_mut().map(|pair| async move { while pair.send(50).await.is_ok() {} }),
    );
    let killing = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        server.kill()
    };
    let (_, killed) = tokio::join!(dying, killing);
    killed?;
    disk.set_late(0)?;
    server.start()?;
    for pair in &mut pairs {
        pair.inbox = pair.other.sign_in(site).await?;
        pair.read().await?;
    }
    talk((&ana, at_ana), (&ben, at_ben), "quick again").await?;
    ensure!(server.stop()? == 0, "it stops in order");
    no_error(&server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_takes_seconds_reading_goes_on() -> Result<()> {
    const LATE_MS: u64 = 4_000;
    let (mut server, disk) = on_a_slow_disk().await?;
    let site = server.site();
    let mut pair = Pair::in_a_room(site, 1).await?;
    let (reader, mut signed_in) = Device::sign_up(site, "+4930000009").await?;
    ensure!(pair.send(50).await? == 50, "while the disk is quick");
    pair.read().await?;
    disk.set_late(LATE_MS.cast_signed())?;
    let since = Instant::now();
    let request = pair.room.message(300);
    let waiting = pair.outbox.send(request).await?;
    // Signing in, reading, pages: none of it waits for what is being written.
    for _ in 0..20 {
        signed_in.granted(Request::Reach).await?;
    }
    drop(signed_in);
    reader.sign_in(site).await?.waiting_rows().await?;
    ensure!(http::get(site.addr, "/health").await? == "ok\n");
    let read = since.elapsed();
    ensure!(read < Duration::from_millis(LATE_MS), "reading took {read:?}: as long as a sync");
    ensure!(pair.outbox.answer(waiting).await?.is_ok(), "the message is taken in the end");
    ensure!(since.elapsed() >= Duration::from_millis(LATE_MS), "the disk was not slow: the test shows nothing");
    disk.set_late(0)?;
    ensure!(server.stop()? == 0, "it stops in order");
    no_error(&server)
}
