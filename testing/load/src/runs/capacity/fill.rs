//! A store with accounts and waiting messages in it, written through its port while no server has it open.

use anyhow::{Result, ensure};
use bytes::Bytes;
use parlour_store::{
    Batch, CommitTicket, PartitionId, PartitionKind, Payload, QueueId, RowBatch, RowKind, SqliteOptions, SqliteStore,
    Store, UnixTime,
};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a message of 300 bytes comes to as a waiting row, before it is sealed.
const MESSAGE_BYTES: usize = 560;
/// Rows of an account with one device: kind, partition, bytes. Key packages are left out: a full pool of two hundred is half a
/// megabyte for each account, and no request touches those of others.
const ACCOUNT_ROWS: [(u8, PartitionKind, usize); 4] = [
    (1, PartitionKind::Account, 90),
    (2, PartitionKind::Account, 330),
    (8, PartitionKind::Directory, 40),
    (12, PartitionKind::Device, 120),
];
const CHUNK: u64 = 2_000;
/// Chunks on their way.
const UNDER_WAY: usize = 4;

/// How much is in it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filled {
    /// Accounts, each with a mailbox.
    pub(super) accounts: u64,
    /// Waiting messages, spread over the mailboxes.
    pub(super) rows: u64,
}

/// Goes on from what is there.
pub(super) async fn fill(data: &Path, filled: &mut Filled, to: Filled) -> Result<()> {
    let now = UnixTime(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    let options = SqliteOptions { cache_kib: 2_000_000, ..SqliteOptions::default() };
    let store = SqliteStore::open(data, Arc::new(move || now), &options)?;
    let mut under_way = VecDeque::new();
    while filled.accounts < to.accounts {
        let end = (filled.accounts + CHUNK).min(to.accounts);
        let batches = (filled.accounts..end).flat_map(account).collect();
        push(&mut under_way, store.commit(batches)).await?;
        filled.accounts = end;
    }
    while filled.rows < to.rows {
        let end = (filled.rows + CHUNK).min(to.rows);
        let batches = (filled.rows..end).map(|number| message(number % to.accounts.max(1), now)).collect();
        push(&mut under_way, store.commit(batches)).await?;
        filled.rows = end;
    }
    for ticket in under_way {
        ensure!(ticket.await?.is_applied(), "the rows are not taken");
    }
    store.close().await?;
    // Else what is measured first pays for what the system has not written yet.
    ensure!(std::process::Command::new("sync").status()?.success(), "sync");
    Ok(())
}

async fn push(under_way: &mut VecDeque<CommitTicket>, ticket: CommitTicket) -> Result<()> {
    under_way.push_back(ticket);
    if under_way.len() > UNDER_WAY
        && let Some(oldest) = under_way.pop_front()
    {
        ensure!(oldest.await?.is_applied(), "the rows are not taken");
    }
    Ok(())
}

fn account(number: u64) -> Vec<Batch> {
    let row = |(kind, partition, bytes): &(u8, PartitionKind, usize)| {
        let partition = PartitionId::new(*partition, number.to_be_bytes());
        RowBatch::new(partition).put([*kind], vec![7; *bytes], RowKind(*kind), None).into()
    };
    ACCOUNT_ROWS.iter().map(row).collect()
}

fn message(account: u64, now: UnixTime) -> Batch {
    let mut mailbox = [0; 16];
    mailbox[..8].copy_from_slice(&account.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let payload = Payload::Inline(Bytes::from(vec![7; MESSAGE_BYTES]));
    Batch::append(QueueId::Mailbox(mailbox), Bytes::new(), payload, now.day().plus(30))
}
