//! A thief of the database: reads `store.db` and its write-ahead log without any key, transaction by transaction, and guesses
//! who is whose friend.
//!
//! **What it is assumed to have.** Copies of `store.db` and `store.db-wal` at several instants, nothing of `DATA/keys`. Beyond
//! that it is *told*, for strength: which partitions belong to which account (all that appeared while that account signed up), and
//! which accounts wrote first. **What it does.** It replays the log into the state after each transaction; between two
//! accounts it looks for
//! - *bytes*: windows of eight equal bytes in keys, values and partition names, rare ones counting more;
//! - *row numbers*: rows of the two that were made right after each other, directly, or on both sides of one room's rows;
//! - *transactions*: writes of the two in one transaction, or few apart, directly, or by way of one room's writes (which
//!   is what neighbouring pages of the log say, too: they come in the order of transactions);
//! - *columns*: equal expiry, day and size of rows that came after the sign-up.
//!
//! Each of these makes a guess, and so do all together.

use anyhow::{Context as _, Result, ensure};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The room's rows, by their kinds in the plain (`parlour_server::retention`).
const ROOM_KINDS: std::ops::RangeInclusive<u8> = 16..=21;
/// Bytes of a window.
const WINDOW: usize = 8;

/// A partition's name in the database: a keyed hash.
pub type Part = Vec<u8>;

/// A row as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    part: Part,
    key: Vec<u8>,
    kind: u8,
    expires: Option<i64>,
    written: i64,
    data: Vec<u8>,
}

type State = BTreeMap<i64, Row>;

/// What one transaction wrote: in which partitions.
#[derive(Debug, Default)]
struct Step {
    parts: BTreeSet<Part>,
}

/// What was stolen.
#[derive(Default)]
pub struct Loot {
    rows: BTreeMap<i64, Row>,
    steps: Vec<Step>,
}

/// A feature's guesses.
#[derive(Debug, Clone)]
pub struct Guesses {
    /// Which feature.
    pub feature: &'static str,
    /// For each account that was asked about, the guessed friend.
    pub friend: Vec<usize>,
}

/// All partitions that there are now, read beside a running server.
///
/// # Errors
/// When the database cannot be read.
pub fn partitions(data: &Path) -> Result<BTreeSet<Part>> {
    let database = read_only(&data.join("store.db"))?;
    let mut statement = database.prepare("SELECT DISTINCT part FROM row")?;
    let parts = statement.query_map([], |row| row.get(0))?;
    Ok(parts.collect::<Result<_, _>>()?)
}

fn read_only(path: &Path) -> Result<rusqlite::Connection> {
    let database = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(database)
}

/// Keeps the log of a server that rests from being written back, until the connection is dropped: the database stays as it is, and
/// what comes after is in the log, all of it.
///
/// # Errors
/// When the database cannot be read, or something is in its log.
pub fn hold_log(data: &Path) -> Result<rusqlite::Connection> {
    let reader = read_only(&data.join("store.db"))?;
    reader.execute_batch("BEGIN")?;
    reader.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, u32>(0))?;
    ensure!(std::fs::metadata(data.join("store.db-wal"))?.len() == 0, "there is something in the log");
    Ok(reader)
}

impl Loot {
    /// Copies the database and its log, and adds what they tell: of a server that rests, or whose log is [held](hold_log).
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn steal(&mut self, data: &Path) -> Result<()> {
        let (database, log) = (std::fs::read(data.join("store.db"))?, std::fs::read(data.join("store.db-wal"))?);
        let scratch = tempfile::tempdir()?;
        let mut image = Image { path: scratch.path().join("image.db"), bytes: database };
        let mut state = image.read()?;
        self.learn(&State::new(), &state, false);
        for transaction in transactions(&log)? {
            image.apply(&transaction);
            let next = image.read()?;
            self.learn(&state, &next, true);
            state = next;
        }
        Ok(())
    }

    /// Adds a row to what was stolen: a planted leak.
    pub fn plant(&mut self, part: Part, data: Vec<u8>) {
        let id = (1..).find(|id| !self.rows.contains_key(id)).unwrap_or_default();
        self.rows.insert(id, Row { part, key: vec![0], kind: 99, expires: None, written: 0, data });
    }

    /// How many transactions of the log it has seen.
    pub fn transactions(&self) -> usize {
        self.steps.len()
    }

    fn learn(&mut self, before: &State, after: &State, is_step: bool) {
        let mut step = Step::default();
        for (id, row) in after {
            if before.get(id) != Some(row) {
                step.parts.insert(row.part.clone());
                self.rows.insert(*id, row.clone());
            }
        }
        for (id, row) in before {
            if !after.contains_key(id) {
                step.parts.insert(row.part.clone());
            }
        }
        if is_step && !step.parts.is_empty() {
            self.steps.push(step);
        }
    }

    /// Guesses, for each of `asked`, its friend among all other accounts. `accounts`: the partitions of each account.
    /// `signed_up`: the row numbers that signing up made.
    pub fn guess(&self, accounts: &[BTreeSet<Part>], asked: &[usize], signed_up: &BTreeSet<i64>) -> Vec<Guesses> {
        let owner: HashMap<&Part, usize> = accounts
            .iter()
            .enumerate()
            .flat_map(|(account, parts)| parts.iter().map(move |part| (part, account)))
            .collect();
        let view = View { loot: self, owner, accounts: accounts.len(), signed_up };
        let features: Vec<(&'static str, Scores)> = vec![
            ("bytes", view.bytes()),
            ("row numbers", view.row_numbers()),
            ("row numbers by rooms", view.row_numbers_by_rooms()),
            ("transactions", view.transactions()),
            ("transactions by rooms", view.transactions_by_rooms()),
            ("columns", view.columns()),
        ];
        let mut all = Scores::new(accounts.len());
        for (_, scores) in &features {
            all.add(&scores.weighed());
        }
        let features = features.into_iter().chain([("all together", all)]);
        features
            .map(|(feature, scores)| Guesses { feature, friend: asked.iter().map(|one| scores.best(*one)).collect() })
            .collect()
    }

    /// The row numbers seen so far.
    pub fn row_numbers(&self) -> BTreeSet<i64> {
        self.rows.keys().copied().collect()
    }
}

/// How much two accounts look like friends.
struct Scores {
    accounts: usize,
    scores: Vec<f64>,
}

impl Scores {
    fn new(accounts: usize) -> Self {
        Self { accounts, scores: vec![0.0; accounts * accounts] }
    }

    fn more(&mut self, one: usize, other: usize, by: f64) {
        if one != other {
            self.scores[one * self.accounts + other] += by;
            self.scores[other * self.accounts + one] += by;
        }
    }

    fn of(&self, one: usize) -> &[f64] {
        &self.scores[one * self.accounts..][..self.accounts]
    }

    /// Each account's scores as parts of the best, weighed by how far the best stands above the second: a feature that
    /// speaks for nobody in particular says nothing.
    fn weighed(&self) -> Self {
        let mut weighed = Self::new(self.accounts);
        for one in 0..self.accounts {
            let (mut best, mut second) = (0.0f64, 0.0f64);
            for score in self.of(one) {
                second = second.max(score.min(best));
                best = best.max(*score);
            }
            let weight = if best > 0.0 { (best - second) / best } else { 0.0 };
            for (other, score) in self.of(one).iter().enumerate() {
                weighed.scores[one * self.accounts + other] = if best > 0.0 { weight * score / best } else { 0.0 };
            }
        }
        weighed
    }

    fn add(&mut self, other: &Self) {
        self.scores.iter_mut().zip(&other.scores).for_each(|(score, more)| *score += more);
    }

    /// The friend that looks most like one; where nothing speaks for anybody, somebody, but not always the same.
    fn best(&self, one: usize) -> usize {
        let luck = |other: usize| (other * 7919 + one * 104_729) % 1009;
        let others = (0..self.accounts).filter(|other| *other != one);
        let better = |a: &usize, b: &usize| self.of(one)[*a].total_cmp(&self.of(one)[*b]).then(luck(*a).cmp(&luck(*b)));
        others.max_by(better).unwrap_or_default()
    }
}

/// The loot, with what the thief was told.
struct View<'a> {
    loot: &'a Loot,
    owner: HashMap<&'a Part, usize>,
    accounts: usize,
    signed_up: &'a BTreeSet<i64>,
}

impl View<'_> {
    fn later_rows(&self) -> impl Iterator<Item = (i64, &Row)> {
        self.loot.rows.iter().filter(|(id, _)| !self.signed_up.contains(id)).map(|(id, row)| (*id, row))
    }

    fn bytes(&self) -> Scores {
        let mut holders: HashMap<&[u8], BTreeSet<usize>> = HashMap::new();
        for row in self.loot.rows.values() {
            let Some(owner) = self.owner.get(&row.part) else { continue };
            for text in [&row.part, &row.key, &row.data] {
                for window in text.windows(WINDOW) {
                    holders.entry(window).or_default().insert(*owner);
                }
            }
        }
        let mut scores = Scores::new(self.accounts);
        for owners in holders.values().filter(|owners| (2..=4).contains(&owners.len())) {
            let owners: Vec<usize> = owners.iter().copied().collect();
            for (at, one) in owners.iter().enumerate() {
                owners[at + 1..].iter().for_each(|other| scores.more(*one, *other, 1.0 / owners.len() as f64));
            }
        }
        scores
    }

    /// Places of an account's later rows in the order of all later rows; those of rooms apart.
    fn places(&self) -> (Vec<Vec<usize>>, BTreeMap<&Part, Vec<usize>>) {
        let mut accounts = vec![Vec::new(); self.accounts];
        let mut rooms: BTreeMap<&Part, Vec<usize>> = BTreeMap::new();
        for (place, (_, row)) in self.later_rows().enumerate() {
            match self.owner.get(&row.part) {
                Some(owner) => accounts[*owner].push(place),
                None if ROOM_KINDS.contains(&row.kind) => rooms.entry(&row.part).or_default().push(place),
                None => {}
            }
        }
        (accounts, rooms)
    }

    fn row_numbers(&self) -> Scores {
        near(&self.places().0)
    }

    fn row_numbers_by_rooms(&self) -> Scores {
        let (accounts, rooms) = self.places();
        near_rooms(&accounts, rooms.values())
    }

    /// In which transactions something of each account, and of each room, was written.
    fn moments(&self) -> (Vec<Vec<usize>>, BTreeMap<&Part, Vec<usize>>) {
        let rooms_known: BTreeSet<&Part> =
            self.loot.rows.values().filter(|row| ROOM_KINDS.contains(&row.kind)).map(|row| &row.part).collect();
        let mut accounts = vec![Vec::new(); self.accounts];
        let mut rooms: BTreeMap<&Part, Vec<usize>> = BTreeMap::new();
        for (moment, step) in self.loot.steps.iter().enumerate() {
            for part in &step.parts {
                match self.owner.get(part) {
                    Some(owner) => accounts[*owner].push(moment),
                    None if rooms_known.contains(part) => rooms.entry(part).or_default().push(moment),
                    None => {}
                }
            }
        }
        (accounts, rooms)
    }

    fn transactions(&self) -> Scores {
        near(&self.moments().0)
    }

    fn transactions_by_rooms(&self) -> Scores {
        let (accounts, rooms) = self.moments();
        near_rooms(&accounts, rooms.values())
    }

    fn columns(&self) -> Scores {
        let mut alike: HashMap<_, BTreeSet<usize>> = HashMap::new();
        for (_, row) in self.later_rows() {
            if let Some(owner) = self.owner.get(&row.part) {
                let shape = (row.kind, row.expires, row.written, row.data.len(), row.key.len());
                alike.entry(shape).or_default().insert(*owner);
            }
        }
        let mut scores = Scores::new(self.accounts);
        for owners in alike.values().filter(|owners| owners.len() > 1) {
            let owners: Vec<usize> = owners.iter().copied().collect();
            for (at, one) in owners.iter().enumerate() {
                owners[at + 1..].iter().for_each(|other| scores.more(*one, *other, 1.0 / owners.len() as f64));
            }
        }
        scores
    }
}

/// The closer two accounts' moments, the more they look like friends.
fn near(accounts: &[Vec<usize>]) -> Scores {
    let mut scores = Scores::new(accounts.len());
    for (one, mine) in accounts.iter().enumerate() {
        for (other, theirs) in accounts.iter().enumerate().skip(one + 1) {
            for a in mine {
                for b in theirs {
                    let apart = a.abs_diff(*b) as f64;
                    scores.more(one, other, 1.0 / (1.0 + apart * apart));
                }
            }
        }
    }
    scores
}

/// The same by way of rooms: both wrote when a room was written.
fn near_rooms<'a>(accounts: &[Vec<usize>], rooms: impl Iterator<Item = &'a Vec<usize>>) -> Scores {
    let mut scores = Scores::new(accounts.len());
    for room in rooms {
        let affinity: Vec<f64> = accounts
            .iter()
            .map(|mine| {
                let closest = mine.iter().flat_map(|a| room.iter().map(move |b| a.abs_diff(*b))).min();
                closest.map_or(0.0, |apart| (1.0 / (1.0 + apart as f64)).powi(4))
            })
            .collect();
        for one in 0..accounts.len() {
            for other in one + 1..accounts.len() {
                scores.more(one, other, affinity[one] * affinity[other]);
            }
        }
    }
    scores
}

/// A database file as of one transaction.
struct Image {
    path: std::path::PathBuf,
    bytes: Vec<u8>,
}

/// Pages that one transaction wrote: number (from 1) and bytes.
type Transaction = Vec<(usize, Vec<u8>)>;

impl Image {
    fn apply(&mut self, transaction: &Transaction) {
        for (number, page) in transaction {
            let end = number * page.len();
            if self.bytes.len() < end {
                self.bytes.resize(end, 0);
            }
            self.bytes[end - page.len()..end].copy_from_slice(page);
        }
    }

    fn read(&self) -> Result<State> {
        if self.bytes.len() < 100 {
            return Ok(State::new());
        }
        let mut bytes = self.bytes.clone();
        // "Legacy" instead of "WAL", so that it opens without a log.
        bytes[18..20].copy_from_slice(&[1, 1]);
        std::fs::write(&self.path, bytes)?;
        let database = read_only(&self.path)?;
        let is_there: u32 =
            database.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'row'", [], |row| row.get(0))?;
        if is_there == 0 {
            return Ok(State::new());
        }
        let mut statement = database.prepare("SELECT id, part, key, kind, expires, written, data FROM row")?;
        let rows = statement.query_map([], |row| {
            let (part, key, kind) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, Row { part, key, kind, expires: row.get(4)?, written: row.get(5)?, data: row.get(6)? }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The committed transactions of a log, in order (the file format's section 4).
fn transactions(log: &[u8]) -> Result<Vec<Transaction>> {
    if log.len() < 32 {
        return Ok(Vec::new());
    }
    let number = |at: usize| -> Result<u32> {
        let bytes = log.get(at..at + 4).context("a truncated log")?;
        Ok(u32::from_be_bytes(bytes.try_into()?))
    };
    ensure!(number(0)? & !1 == 0x377f_0682, "not a write-ahead log");
    let page_bytes = number(8)? as usize;
    let salt = log.get(16..24).context("a truncated log")?;
    let (mut all, mut open) = (Vec::new(), Transaction::new());
    let mut at = 32;
    while at + 24 + page_bytes <= log.len() && log.get(at + 8..at + 16) == Some(salt) {
        open.push((number(at)? as usize, log[at + 24..at + 24 + page_bytes].to_vec()));
        if number(at + 4)? != 0 {
            all.push(std::mem::take(&mut open));
        }
        at += 24 + page_bytes;
    }
    Ok(all)
}
