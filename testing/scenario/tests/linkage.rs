//! Who talks to whom: a thief of the database and its log guesses no better than chance. What the thief has and does stands
//! in `parlour_scenario::thief`.
//!
//! Accounts, rooms and requests are real, in the order in which an engine sends them; payloads are noise, which to the server
//! and the thief is the same.

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::SigningKey;
use parlour_proto::frames::{Pool, Push, Request};
use parlour_proto::ids::{RoomId, Secret};
use parlour_scenario::device::{Device, WireRoom, claim, noise, proof};
use parlour_scenario::process::Server;
use parlour_scenario::stats::binomial_bound;
use parlour_scenario::thief::{Loot, Part, hold_log, partitions};
use parlour_scenario::wire::{Role, Wire};
use parlour_scenario::{PATIENCE, seeded};
use rand_core::{OsRng, RngCore as _};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const PAIRS: usize = 30;
const FEATURES: f64 = 7.0;

/// Thirty pairs: account 2n wrote first to its friend, an account with an odd number, in a secret order.
struct Town {
    server: Server,
    devices: Vec<(Device, Option<Wire>)>,
    /// What the thief is told: the partitions of each account.
    parts: Vec<BTreeSet<Part>>,
    /// The secret: the friend of account 2n.
    friends: Vec<usize>,
    signed_up: BTreeSet<i64>,
    outbox: Wire,
}

/// When those who are asked answer.
#[derive(Clone, Copy)]
enum Answers {
    /// Some time later, others' questions and answers in between.
    Later,
    /// Before anybody else does anything.
    AtOnce,
}

/// A pair's room, and the key of the entry of who was asked.
struct Pair {
    one: usize,
    other: usize,
    room: WireRoom,
    key: SigningKey,
}

impl Town {
    async fn settle(seed: u64) -> Result<Self> {
        let server = Server::up()?;
        let mut known = partitions(server.data())?;
        let (mut devices, mut parts) = (Vec::new(), Vec::new());
        for n in 0..PAIRS * 2 {
            let (mut device, mut wire) = Device::sign_up(server.site(), &format!("+49300001{n:03}")).await?;
            device.publish(&mut wire, Pool::Stranger, 4).await?;
            device.publish(&mut wire, Pool::LastResort, 1).await?;
            let now = partitions(server.data())?;
            parts.push(now.difference(&known).cloned().collect());
            known = now;
            devices.push((device, Some(wire)));
        }
        let mut friends: Vec<usize> = (0..PAIRS).map(|n| 2 * n + 1).collect();
        shuffle(&mut friends, seed);
        // The order of signing up tells nothing of interest, and would only confuse the thief.
        log_is_emptied(server.data()).await?;
        let mut loot = Loot::default();
        loot.steal(server.data())?;
        let outbox = Wire::connect(server.site(), Role::Outbox).await?;
        let signed_up = loot.row_numbers();
        Ok(Self { server, devices, parts, friends, signed_up, outbox })
    }

    fn inbox(&mut self, account: usize) -> Result<&mut Wire> {
        self.devices[account].1.as_mut().context("online")
    }

    /// Account 2n's side of a first contact: door token, claim, room, commit, first message.
    async fn ask(&mut self, n: usize) -> Result<Pair> {
        let (one, other) = (2 * n, self.friends[n]);
        let number = self.devices[other].0.number.clone();
        let id = RoomId::random(&mut OsRng);
        let door = Request::PutDoor { digest: Secret::random(&mut OsRng).digest() };
        let inbox = self.inbox(one)?;
        let claimed = claim(inbox, &number, id).await??;
        let mut room = WireRoom::create_as(inbox, id).await?;
        inbox.granted(door).await?;
        room.add(&mut self.outbox, &claimed).await?;
        self.outbox.granted(room.message(600)).await?;
        let key = self.devices[other].0.member(&claimed.devices[0].member_key).context("its own key")?.clone();
        Ok(Pair { one, other, room, key })
    }

    /// The friend's side: the entry, a door token, an answer.
    async fn accept(&mut self, pair: &Pair) -> Result<()> {
        let room = pair.room.id;
        let open = Request::OpenEntry { room, proof: proof(&pair.key, "open", &room, &[]) };
        self.outbox.granted(open).await?;
        let door = Request::PutDoor { digest: Secret::random(&mut OsRng).digest() };
        self.inbox(pair.other)?.granted(door).await?;
        self.outbox.granted(pair.room.message(400)).await?;
        Ok(())
    }

    /// All first contacts, one after the other.
    async fn befriend(&mut self, seed: u64, answers: Answers) -> Result<Vec<Pair>> {
        let mut order: Vec<usize> = (0..PAIRS).flat_map(|n| [n, n]).collect();
        match answers {
            Answers::Later => shuffle(&mut order, seed),
            Answers::AtOnce => {
                let mut first: Vec<usize> = (0..PAIRS).collect();
                shuffle(&mut first, seed);
                order = first.into_iter().flat_map(|n| [n, n]).collect();
            }
        }
        let mut pairs: Vec<Option<Pair>> = (0..PAIRS).map(|_| None).collect();
        for n in order {
            match pairs[n].take() {
                None => pairs[n] = Some(self.ask(n).await?),
                Some(pair) => {
                    self.accept(&pair).await?;
                    pairs[n] = Some(pair);
                }
            }
        }
        pairs.into_iter().map(|pair| pair.context("everybody asked")).collect()
    }

    async fn restart(&mut self) -> Result<()> {
        self.devices.iter_mut().for_each(|(_, wire)| *wire = None);
        ensure!(self.server.stop()? == 0, "it stops in order");
        self.server.start()?;
        self.outbox = Wire::connect(self.server.site(), Role::Outbox).await?;
        Ok(())
    }

    /// How many of the thief's guesses are right, by feature; those beyond luck are told.
    fn judge(&self, loot: &Loot) -> (Vec<(&'static str, u32)>, Vec<String>) {
        let asked: Vec<usize> = (0..PAIRS).map(|n| 2 * n).collect();
        let chance = 1.0 / (PAIRS * 2 - 1) as f64;
        // All features together are beyond luck with a probability of a thousandth.
        let bound = binomial_bound(PAIRS as u32, chance, 1.0 - 0.001 / FEATURES);
        let guesses = loot.guess(&self.parts, &asked, &self.signed_up);
        let right =
            |friends: &[usize]| friends.iter().zip(&self.friends).filter(|(guess, friend)| guess == friend).count();
        let hits: Vec<_> = guesses.iter().map(|guess| (guess.feature, right(&guess.friend) as u32)).collect();
        let beyond = hits.iter().filter(|(_, hits)| *hits > bound);
        let beyond =
            beyond.map(|(feature, hits)| format!("{feature}: {hits} of {PAIRS} right, luck ends at {bound}")).collect();
        (hits, beyond)
    }
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut rng = seeded(seed);
    for last in (1..items.len()).rev() {
        items.swap(last, rng.next_u32() as usize % (last + 1));
    }
}

/// Waits until the server has rested: its log holds what was written together, in order, and is emptied after some seconds
/// without work.
async fn log_is_emptied(data: &Path) -> Result<()> {
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let emptied = async {
        while std::fs::metadata(data.join("store.db-wal"))?.len() > 0 {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, emptied).await.context("the log is kept")?
}

/// Drains a mailbox and acknowledges.
async fn drain(wire: &mut Wire) -> Result<usize> {
    let rows = wire.waiting_rows().await?;
    if let Some(row) = rows.last() {
        wire.ack(row.seq).await?;
    }
    Ok(rows.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linkage_adversary_guesses_no_better_than_chance() -> Result<()> {
    let mut town = Town::settle(1).await?;
    let mut pairs = town.befriend(2, Answers::Later).await?;
    // The log was emptied since: the sweep does it every hour, a stop does it, too.
    town.restart().await?;
    let data = town.server.data().to_owned();
    log_is_emptied(&data).await?;
    let held = hold_log(&data)?;

    // A day like others: who asked is online and writes, friends are away and their rows wait; some come, read and go;
    // some rooms change their keys.
    let mut rng = seeded(3);
    for pair in &pairs {
        let mut wire = town.devices[pair.one].0.sign_in(town.server.site()).await?;
        drain(&mut wire).await?;
        town.devices[pair.one].1 = Some(wire);
    }
    for round in 0..6 {
        let mut order: Vec<usize> = (0..PAIRS).collect();
        shuffle(&mut order, 10 + round);
        for n in order {
            let pair = &mut pairs[n];
            let len = [300, 400, 600, 900][rng.next_u32() as usize % 4];
            town.outbox.granted(pair.room.message(len)).await?;
            let own = town.devices[pair.one].1.as_mut().context("online")?;
            while let Push::Rows(rows) = own.push().await? {
                own.ack(rows.last().map_or(0, |row| row.seq)).await?;
                if rows.iter().any(|row| row.room == pair.room.id) {
                    break;
                }
            }
            if rng.next_u32().is_multiple_of(5) {
                pair.room.committed(&mut town.outbox, Vec::new()).await?;
            }
            if rng.next_u32().is_multiple_of(6) {
                drain(&mut town.devices[pair.other].0.sign_in(town.server.site()).await?).await?;
            }
        }
    }
    let mut loot = Loot::default();
    loot.steal(&data)?;
    drop(held);
    ensure!(loot.transactions() > 20, "the log tells only {} transactions", loot.transactions());
    let (hits, beyond) = town.judge(&loot);
    ensure!(beyond.is_empty(), "{beyond:?} of {hits:?}");

    // The same thief with one leak: an id that friends share, in one row of each.
    for (n, friend) in town.friends.iter().enumerate() {
        let shared = noise(16).to_vec();
        for account in [2 * n, *friend] {
            let part = town.parts[account].first().context("a partition")?.clone();
            loot.plant(part, [&noise(24)[..], &shared].concat());
        }
    }
    let (hits, beyond) = town.judge(&loot);
    let of = |feature: &str| hits.iter().find(|(name, _)| *name == feature).map_or(0, |(_, hits)| *hits);
    ensure!(of("bytes") == PAIRS as u32 && !beyond.is_empty(), "a shared id is not seen: {hits:?}");
    ensure!(of("all together") > PAIRS as u32 / 2, "the thief does not believe what it sees: {hits:?}");
    Ok(())
}

/// What the thief makes of friends whose rows are written one right after the other, from a log that is still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friends_who_write_in_step_are_seen() -> Result<()> {
    let mut town = Town::settle(4).await?;
    let data = town.server.data().to_owned();
    let mut order: Vec<usize> = (0..PAIRS).collect();
    shuffle(&mut order, 5);
    for n in order {
        for account in [2 * n, town.friends[n]] {
            let door = Request::PutDoor { digest: Secret::random(&mut OsRng).digest() };
            town.inbox(account)?.granted(door).await?;
        }
        // Room for the next pair: rows of nobody.
        town.inbox(2 * n)?.granted(Request::Reach).await?;
    }
    let mut loot = Loot::default();
    loot.steal(&data)?;
    let (hits, beyond) = town.judge(&loot);
    ensure!(!beyond.is_empty(), "the thief does not see neighbours: {hits:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friends_who_answer_at_once_are_not_linked() -> Result<()> {
    let mut town = Town::settle(8).await?;
    town.befriend(9, Answers::AtOnce).await?;
    // The log is emptied; what is left is the database.
    town.restart().await?;
    let mut loot = Loot::default();
    loot.steal(town.server.data())?;
    let (hits, beyond) = town.judge(&loot);
    ensure!(beyond.is_empty(), "{beyond:?} of {hits:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_contacts_in_the_log_are_not_linked_once_the_server_rests() -> Result<()> {
    let mut town = Town::settle(6).await?;
    town.befriend(7, Answers::Later).await?;
    log_is_emptied(town.server.data()).await?;
    let mut loot = Loot::default();
    loot.steal(town.server.data())?;
    let (hits, beyond) = town.judge(&loot);
    ensure!(beyond.is_empty(), "{beyond:?} of {hits:?}");
    Ok(())
}
