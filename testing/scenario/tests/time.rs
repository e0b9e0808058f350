//! Days that pass and clocks that jump: the server's own rooms, mailboxes, keys and store, with a clock that a test moves.
//! (Engines that are away as long: `crates/client/tests`.)

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use parlour_proto::frames::{Answer, EntryChange, Rights, Row, RowBody};
use parlour_proto::ids::{MailboxId, MemberKey, MessageId, UnixMillis};
use parlour_proto::ids::{RoomId, Secret};
use parlour_proto::wire::decode_row;
use parlour_scenario::device::{WireRoom, noise, proof_at};
use parlour_scenario::seeded;
use parlour_server::grants::Grant;
use parlour_server::keys::Keys;
use parlour_server::mailboxes::Mailboxes;
use parlour_server::retention::Kind;
use parlour_server::rooms::{RoomLimits, Rooms, Send, Stored};
use parlour_store::{ManualClock, QueueId, QueueLimit, Seq, SqliteOptions, SqliteStore, Store as _, UnixTime};
use rand_core::{OsRng, SeedableRng as _};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const ANA: MailboxId = MailboxId([1; 16]);
const BEN: MailboxId = MailboxId([2; 16]);

/// A server's rooms on disk, and its clock.
struct Server {
    clock: Arc<ManualClock>,
    store: SqliteStore,
    keys: Arc<Keys>,
    mailboxes: Arc<Mailboxes<SqliteStore>>,
    rooms: Rooms<SqliteStore>,
    now: UnixMillis,
}

impl Server {
    async fn open(data: &Path, clock: Arc<ManualClock>, now: UnixMillis) -> Result<Self> {
        clock.set(UnixTime(now.seconds()));
        let store = SqliteStore::open(data, clock.clone(), &SqliteOptions::default())?;
        let mut rng = parlour_server::Rng::seed_from_u64(1);
        let keys = Arc::new(Keys::open(&data.join("keys"), now, &mut rng)?);
        let mailboxes = Arc::new(Mailboxes::open(store.clone(), keys.clone()).await?);
        let rooms = Rooms::new(store.clone(), keys.clone(), mailboxes.clone(), RoomLimits::default());
        rooms.resume_all(now).await?;
        Ok(Self { clock, store, keys, mailboxes, rooms, now })
    }

    async fn restart(self, data: &Path) -> Result<Self> {
        self.store.close().await?;
        let Self { clock, now, .. } = self;
        Self::open(data, clock, now).await
    }

    /// Moves the clock, and does what the hourly sweep does.
    async fn at(&mut self, now: UnixMillis) -> Result<()> {
        self.now = now;
        self.clock.set(UnixTime(now.seconds()));
        self.keys.rotate(now, &mut parlour_server::fresh_rng())?;
        self.store.sweep(UnixTime(now.seconds())).await?;
        Ok(())
    }

    async fn room_of_two(&self) -> Result<(WireRoom, SigningKey)> {
        let room = WireRoom {
            id: RoomId::random(&mut OsRng),
            member: SigningKey::generate(&mut OsRng),
            send_key: Secret::random(&mut OsRng),
            head: 0,
        };
        let rng = &mut parlour_server::fresh_rng();
        self.rooms.create(room.id, room.member_key(), room.send_key.digest(), ANA, self.now, rng).await?;
        let ben = SigningKey::generate(&mut OsRng);
        let member_key = MemberKey(ben.verifying_key().to_bytes());
        let grant = Grant::new(BEN, true, self.now, rng).seal(&self.keys, &room.id, &member_key, rng);
        let mut room = room;
        self.commit(&mut room, vec![EntryChange::Add { member_key, grant: grant.into(), rights: Rights::ALL }]).await?;
        Ok((room, ben))
    }

    async fn commit(&self, room: &mut WireRoom, changes: Vec<EntryChange>) -> Result<u64> {
        let (commit, next) = room.commit(changes);
        match self.rooms.commit(&commit, self.now, &mut parlour_server::fresh_rng()).await? {
            Answer::Accepted { room_seq, .. } => {
                (room.head, room.send_key) = (room_seq, next);
                Ok(room_seq)
            }
            other => bail!("{other:?}"),
        }
    }

    async fn send(&self, room: &WireRoom, message_id: MessageId, payload: Bytes) -> Result<u64> {
        let send = Send { room: room.id, message_id, send_key: room.send_key.clone(), tag: [0; 32], payload, by: None };
        match self.rooms.send(send, self.now).await?.done().await? {
            Answer::Accepted { room_seq, .. } => Ok(room_seq),
            other => bail!("{other:?}"),
        }
    }

    /// What a device finds that connects now.
    async fn waiting(&self, mailbox: MailboxId) -> Result<Vec<Row>> {
        let (mut all, mut after) = (Vec::new(), Seq::START);
        loop {
            let page = self
                .store
                .queue_range(QueueId::Mailbox(mailbox.0), after, QueueLimit { rows: 50, bytes: 1 << 20 })
                .await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = last.seq;
            for row in page {
                let stored = Stored::parse(&row.payload).context("a row that is readable")?;
                if let Some(row) = self.rooms.resolve(stored).await? {
                    all.push(decode_row(row)?);
                }
            }
        }
    }
}

fn noon() -> UnixMillis {
    UnixMillis(20_500 * DAY_MS + 12 * HOUR_MS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn away_29_9_days() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let mut server = Server::open(&data, Arc::default(), noon()).await?;
    let (mut room, ben) = server.room_of_two().await?;
    let joined = room.head;

    // Every six hours a message, every third day a commit, a restart now and then; Ben is away.
    let (mut messages, mut commits) = (Vec::new(), Vec::new());
    let end = noon().plus_ms(DAY_MS * 299 / 10);
    for step in 1u64.. {
        let now = noon().plus_ms(step * 6 * HOUR_MS);
        if now >= end {
            break;
        }
        server.at(now).await?;
        if step % 12 == 0 {
            commits.push(server.commit(&mut room, Vec::new()).await?);
        }
        if step % 37 == 0 {
            server = server.restart(&data).await?;
        }
        messages.push(server.send(&room, MessageId::random(&mut OsRng), noise(200)).await?);
    }
    ensure!(messages.len() > 110 && commits.len() == 9, "{} messages, {} commits", messages.len(), commits.len());
    server.at(end).await?;
    server = server.restart(&data).await?;

    let rows = server.waiting(BEN).await?;
    let welcomes = rows.iter().filter(|row| matches!(row.body, RowBody::Welcome { .. })).count();
    let seqs = |rows: &[Row], wanted: fn(&RowBody) -> bool| {
        rows.iter().filter(|row| wanted(&row.body)).map(|row| row.room_seq).collect::<Vec<_>>()
    };
    ensure!(welcomes == 1, "{welcomes} Welcomes");
    ensure!(
        seqs(&rows, |body| matches!(body, RowBody::Message { .. })) == messages,
        "messages are lost, or out of order"
    );
    let found = seqs(&rows, |body| matches!(body, RowBody::Commit { .. }));
    ensure!(found == commits, "commits: {found:?} instead of {commits:?}");
    ensure!(rows.is_sorted_by_key(|row| row.room_seq), "not in the room's order");
    // He can also go by the log, and write at once.
    let proof = proof_at(&ben, "log", &room.id, &joined.to_be_bytes(), server.now);
    let log = server.rooms.fetch_log(room.id, joined, &proof, server.now).await?;
    ensure!(log.rows.iter().map(|row| row.room_seq).collect::<Vec<_>>() == commits, "the log has holes");
    server.send(&room, MessageId::random(&mut OsRng), noise(10)).await?;

    // What is not fetched goes: rows after 30 to 31 days, and their keys with them; the log stays a week longer.
    server.at(noon().plus_ms(32 * DAY_MS)).await?;
    let rows = server.waiting(BEN).await?;
    let oldest = rows.iter().map(|row| row.time).min().context("the younger ones are still there")?;
    ensure!(oldest >= noon(), "{oldest:?}");
    ensure!(!rows.iter().any(|row| matches!(row.body, RowBody::Welcome { .. })), "a row of day 0 lives on day 32");
    ensure!(rows.len() > 90, "{} rows: too many went", rows.len());
    let day = |day: u64| data.join(format!("keys/day-{}.key", noon().0 / DAY_MS + day));
    ensure!(!day(0).exists() && day(2).exists(), "day keys: the first is destroyed, a later one is not");
    let proof = proof_at(&ben, "log", &room.id, &joined.to_be_bytes(), server.now);
    let log = server.rooms.fetch_log(room.id, joined, &proof, server.now).await?;
    ensure!(log.rows.len() == commits.len(), "the log outlives mailbox rows");
    server.at(noon().plus_ms(75 * DAY_MS)).await?;
    ensure!(server.waiting(BEN).await?.is_empty(), "rows for ever");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_jumps() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let mut server = Server::open(&data, Arc::default(), noon()).await?;
    let (mut room, _) = server.room_of_two().await?;
    let mut sent = Vec::new();
    let mut rng = seeded(5);
    let jumps: [i64; 9] = [0, 3, -6, 49, -49, 170, -300, 240, 0];
    let mut now = noon();
    for (round, hours) in jumps.into_iter().enumerate() {
        now = UnixMillis(now.0.saturating_add_signed(hours * HOUR_MS.cast_signed()));
        server.at(now).await?;
        for _ in 0..5 {
            let id = MessageId::random(&mut rng);
            let payload = noise(50);
            let seq = server.send(&room, id, payload.clone()).await?;
            ensure!(server.send(&room, id, payload).await? == seq, "the same message in another place");
            sent.push(seq);
        }
        sent.push(server.commit(&mut room, Vec::new()).await?);
        if round % 2 == 1 {
            server = server.restart(&data).await?;
        }
    }
    ensure!(sent.is_sorted() && sent.iter().collect::<BTreeSet<_>>().len() == sent.len(), "{sent:?}");
    for mailbox in [ANA, BEN] {
        let found: Vec<u64> =
            server.waiting(mailbox).await?.iter().map(|row| row.room_seq).filter(|seq| sent.contains(seq)).collect();
        ensure!(found == sent, "{found:?} instead of {sent:?}");
    }
    Ok(())
}

/// Copies the files of a directory, not its folders.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().context("a name")?))?;
        }
    }
    Ok(())
}

/// What a thief reads who has these files of a database and these keys, on a day when nothing had expired: the payloads that wait,
/// and the values of all ordered rows.
async fn read_stolen(database: &Path, keys: &Path, at: UnixMillis) -> Result<(usize, Vec<Bytes>)> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    copy_files(database, &data)?;
    copy_files(keys, &data.join("keys"))?;
    let clock = Arc::new(ManualClock::new(UnixTime(at.seconds())));
    let store = SqliteStore::open(&data, clock, &SqliteOptions::default())?;
    let mut waiting = 0;
    for mailbox in [ANA, BEN] {
        let limit = QueueLimit { rows: 1_000, bytes: 1 << 24 };
        waiting += store.queue_range(QueueId::Mailbox(mailbox.0), Seq::START, limit).await?.len();
    }
    let mut values = Vec::new();
    for kind in Kind::ALL {
        let page = store.scan(kind.row(), None, 10_000).await?;
        values.extend(page.rows.into_iter().map(|(_, row)| row.value));
    }
    Ok((waiting, values))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_database_stays_shut_once_the_day_key_is_gone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let mut server = Server::open(&data, Arc::default(), noon()).await?;
    let (room, _) = server.room_of_two().await?;
    let payloads: Vec<Bytes> = (0..20).map(|_| noise(500)).collect();
    for payload in &payloads {
        server.send(&room, MessageId::random(&mut OsRng), payload.clone()).await?;
    }
    // Somebody copies the database while they wait. (The keys lie apart from it, and are backed up apart from it.)
    let copy = dir.path().join("copy");
    copy_files(&data, &copy)?;
    let keys = data.join("keys");
    let (waiting, values) = read_stolen(&copy, &keys, noon()).await?;
    ensure!(waiting >= 40, "with the keys of that day {waiting} rows open: else this test shows nothing");
    let holds = |value: &Bytes, payload: &Bytes| value.windows(24).any(|window| window == &payload[..24]);
    let stray = values.iter().any(|value| payloads.iter().any(|payload| holds(value, payload)));
    ensure!(!stray, "a message lies in a row under the storage key");

    // 31 days later the day's key is destroyed. Whoever takes all that is there then opens nothing of what waited.
    server.at(noon().plus_ms(30 * DAY_MS)).await?;
    let day = noon().0 / DAY_MS;
    ensure!(keys.join(format!("day-{day}.key")).exists(), "rows of the day may still live");
    server.at(UnixMillis((day + 31) * DAY_MS)).await?;
    ensure!(!keys.join(format!("day-{day}.key")).exists(), "its key outlives every row of the day");
    server.send(&room, MessageId::random(&mut OsRng), noise(10)).await?;
    let (waiting, _) = read_stolen(&copy, &keys, noon()).await?;
    ensure!(waiting == 0, "{waiting} rows are opened by what is left");
    // Not by any other key that is there, either.
    let mut tried = 0;
    for entry in std::fs::read_dir(&keys)? {
        let bytes = std::fs::read(entry?.path())?;
        for key in bytes.windows(32).step_by(8) {
            let attempt = dir.path().join("attempt");
            copy_files(&keys, &attempt)?;
            std::fs::write(attempt.join(format!("day-{day}.key")), key)?;
            ensure!(read_stolen(&copy, &attempt, noon()).await?.0 == 0, "a key that is left opens them");
            std::fs::remove_dir_all(&attempt)?;
            tried += 1;
        }
    }
    ensure!(tried > 10, "{tried} keys");
    Ok(())
}

/// Pieces of every sealed row that waits.
fn sealed_rows(data: &Path) -> Result<Vec<Vec<u8>>> {
    let database = rusqlite::Connection::open(data.join("store.db"))?;
    let mut statement = database.prepare("SELECT data FROM entry UNION ALL SELECT data FROM payload")?;
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(rows
        .iter()
        .flat_map(|row| row.chunks(200).filter(|part| part.len() >= 24).map(|part| part[..24].to_vec()))
        .collect())
}

fn count_found(dir: &Path, needles: &[Vec<u8>]) -> Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found += count_found(&path, needles)?;
        } else {
            let bytes = std::fs::read(&path)?;
            found += needles.iter().filter(|needle| memchr::memmem::find(&bytes, needle).is_some()).count();
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_in_no_page_and_no_log() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let server = Server::open(&data, Arc::default(), noon()).await?;
    let (room, _) = server.room_of_two().await?;
    for len in [10, 500, 3_000, 20_000, 200_000] {
        server.send(&room, MessageId::random(&mut OsRng), noise(len)).await?;
    }
    let sealed = sealed_rows(&data)?;
    // (But for those that lie over two pages.)
    let there = count_found(&data, &sealed)?;
    ensure!(sealed.len() > 1_000 && there > sealed.len() * 9 / 10, "{there} of {} pieces", sealed.len());
    for mailbox in [ANA, BEN] {
        server.mailboxes.ack(mailbox, Seq(u64::MAX));
    }
    server.mailboxes.flush_acks().await?;
    ensure!(sealed_rows(&data)?.is_empty(), "acknowledged rows are still there");
    // The log is emptied after three seconds without work; nobody has to sweep.
    let emptied = async {
        while server.store.stats().wal_bytes > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(parlour_scenario::PATIENCE, emptied).await.context("the log is not emptied")?;
    ensure!(count_found(&data, &sealed)? == 0, "deleted ciphertext is left in a file");

    // What is left shows no time but days, and full hours.
    let database = rusqlite::Connection::open(data.join("store.db"))?;
    let exact = "SELECT count(*) FROM row WHERE expires % 3600 <> 0 OR written > 100000";
    ensure!(database.query_row(exact, [], |row| row.get::<_, u64>(0))? == 0, "exact times in the plain");
    ensure!(
        database.query_row("SELECT count(*) FROM row", [], |row| row.get::<_, u64>(0))? > 3,
        "nothing was looked at"
    );
    Ok(())
}
