//! "Forget me", on the real store: what a deleted account leaves behind, byte by byte, and who may have its handle when.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use std::{collections::HashSet, path::Path, sync::Arc};

use ed25519_dalek::{Signer as _, SigningKey};
use kit::{full::*, *};
use parlour_proto::{device_list::Draft, frames::*, ids::*, problem::Code};
use parlour_server::{
    accounts::{Accounts, NewAccount, Session},
    apps::Apps,
    error::Refused,
    fresh_rng,
    keys::Keys,
    mailboxes::Mailboxes,
    retention::{Kind, Settings},
};
use parlour_store::{ManualClock, SqliteOptions, SqliteStore, Store as _, UnixTime};
use rusqlite::Connection;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A piece of every sealed value that is stored now.
fn pieces(data: &Path) -> HashSet<Vec<u8>> {
    let db = Connection::open(data.join("store.db")).unwrap();
    let all = "SELECT data FROM entry UNION ALL SELECT data FROM payload UNION ALL SELECT data FROM row";
    let mut statement = db.prepare(all).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    rows.map(|row| row.unwrap()[..24].to_vec()).collect()
}

/// How many of the pieces stand in any file.
fn found(dir: &Path, pieces: &HashSet<Vec<u8>>) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += self::found(&path, pieces);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found += bytes.windows(24).filter(|window| pieces.contains(*window)).count();
        }
    }
    found
}

/// What a ledger has more than another: kind and how many.
fn more(after: &Ledger, before: &Ledger) -> Vec<(u32, i64)> {
    let kinds: std::collections::BTreeSet<u32> = after.keys().chain(before.keys()).copied().collect();
    let count = |ledger: &Ledger, kind: u32| ledger.get(&kind).map_or(0, Vec::len) as i64;
    let change = kinds.into_iter().map(|kind| (kind, count(after, kind) - count(before, kind)));
    change.filter(|(_, change)| *change != 0).collect()
}

#[tokio::test]
async fn a_deleted_account_leaves_its_freed_handle_and_closed_mailboxes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ben = Person::sign_up(server.addr, "+4930000052").await;
    let own = ben.account.clone();
    furnish(&mut ben, server.addr, &own).await;
    let (before, others) = (raw(dir.path()), pieces(dir.path()));

    let mut ada = with_password(server.addr, "ada.lovelace").await;
    let (chat, mut outbox) = furnish(&mut ada, server.addr, &ben.account).await;
    let mut second = ada.add_device(server.addr).await;
    second.publish(Pool::Door, &[MemberKey([9; 32])]).await;
    let mut third = ada.add_device(server.addr).await;
    let action = parlour_proto::device_list::Action::Remove { device: third.device };
    let link = ada.link(action).await;
    ada.inbox.ask(Request::AppendDeviceList { link }).await.unwrap();
    assert_eq!(third.inbox.closed().await, Some(Code::NotADevice));
    let who = Who::Account(ben.account.clone());
    drop(ada.inbox.ask(Request::Claim { who, room: RoomId::random(&mut fresh_rng()) }).await);
    let claimed = pieces(dir.path());
    let hers: HashSet<Vec<u8>> = claimed.difference(&others).cloned().collect();
    assert!(hers.len() > 600, "{}", hers.len());

    // Her devices leave their rooms first: the last one to leave a room erases it.
    let leave = Request::LeaveEntry { room: chat.room, proof: chat.proof("leave", &[]) };
    outbox.ask(leave).await.unwrap();
    let signature = ada.key.sign(&delete_account_bytes(&ada.inbox.nonce, &ada.account.account)).to_bytes();
    ada.inbox.ask(Request::DeleteAccount { signature }).await.unwrap();
    // At once: when the answer is there, her rows are not.
    let left = more(&raw(dir.path()), &before);
    let number = |kind: Kind| u32::from(kind.row().0);
    // Of a handle with a look-alike entry there are two; of three devices one was revoked before.
    assert_eq!(left, [(number(Kind::Quarantine), 2), (number(Kind::Closed), 3)]);
    assert_eq!(second.inbox.closed().await, Some(Code::NotADevice));
    server.stop().await;
    // A minute later the server sweeps.
    let now = UnixTime(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let store = SqliteStore::open(dir.path(), Arc::new(move || now), &SqliteOptions::default()).unwrap();
    store.sweep(now).await.unwrap();
    store.close().await.unwrap();
    let still: HashSet<Vec<u8>> = hers.difference(&pieces(dir.path())).cloned().collect();
    assert!(still.len() > 600);
    assert_eq!(found(dir.path(), &still), 0, "sealed rows of hers are in free pages, the log, or other files");
}

/// Accounts on disk, with a clock that is set by hand.
struct World {
    clock: Arc<ManualClock>,
    store: SqliteStore,
    accounts: Accounts<SqliteStore>,
    now: UnixMillis,
}

impl World {
    async fn new(data: &Path, quarantine_days: u32) -> Self {
        let now = UnixMillis(20_500 * DAY_MS + 12 * HOUR_MS);
        let clock = Arc::new(ManualClock::new(UnixTime(now.seconds())));
        let store = SqliteStore::open(data, clock.clone(), &SqliteOptions::default()).unwrap();
        let keys = Arc::new(Keys::open(&data.join("keys"), now, &mut fresh_rng()).unwrap());
        let mailboxes = Arc::new(Mailboxes::open(store.clone(), keys.clone()).await.unwrap());
        let lifetimes = Settings { quarantine_days, ..Settings::default() }.lifetimes().unwrap();
        let config = config(data);
        let accounts = Accounts::new(store.clone(), keys, Apps::new(&config), mailboxes, &config, lifetimes);
        Self { clock, store, accounts, now }
    }

    /// Time passes, and the hourly sweep comes by.
    async fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.clock.set(UnixTime(self.now.seconds()));
        self.store.sweep(UnixTime(self.now.seconds())).await.unwrap();
    }

    async fn sign_up(&self, number: &str, key: &SigningKey) -> Result<Session, Code> {
        let (app, rng) = (AppId::parse("bell").unwrap(), &mut fresh_rng());
        self.accounts.request_code(&app, number, None, self.now, rng).unwrap();
        let code = self.accounts.codes.outbox(self.now).unwrap().pop().unwrap().code;
        let answer = self.accounts.prove_code(&app, number, &code, self.now, rng).await.unwrap();
        let Answer::Ticket { ticket, .. } = answer else { panic!("{answer:?}") };
        let (account, device) = (AccountId::random(rng), DeviceId::random(rng));
        let root = kit::key();
        let links = [Draft::first(account, self.now, adds(device, key)).sign(&root)];
        let new = NewAccount { account, root_key: root.verifying_key().to_bytes(), links: &links, device };
        let made = self.accounts.register(&ticket, &new, self.now, rng).await;
        made.map_err(|refused: Refused| refused.problem().code)
    }
}

#[tokio::test]
async fn a_freed_handle_is_nobodys_for_as_long_as_the_operator_says() {
    for days in [30, 1, 200] {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(dir.path(), days).await;
        let (hers, his) = (key(), key());
        let session = world.sign_up("+4930000061", &hers).await.unwrap();
        let signature = hers.sign(&delete_account_bytes(&[7; 32], &session.account.account)).to_bytes();
        world.accounts.delete(&session, &[7; 32], &signature, world.now).await.unwrap();
        assert_eq!(world.sign_up("+4930000061", &his).await.err(), Some(Code::HandleTaken));
        world.pass_ms(u64::from(days) * DAY_MS - 1).await;
        assert_eq!(world.sign_up("+4930000061", &his).await.err(), Some(Code::HandleTaken), "{days} days");
        world.pass_ms(HOUR_MS).await;
        // Whoever has it then is somebody else: another account, another root key.
        let other = world.sign_up("+4930000061", &his).await.unwrap();
        assert_ne!(other.account, session.account);
        world.store.close().await.unwrap();
    }
}
