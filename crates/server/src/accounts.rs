//! Accounts: sign-up, sign-in, devices, deletion. Proving a handle gives a ticket; only a signature by the root key or a listed
//! device authorises a device (`DESIGN.md` §4).
//!
//! An account's partition is the truth about it. Directory entries and device records point to it and are worth nothing without.

pub mod codes;
mod delete;
mod devices;
mod holdings;
mod sign_in;
pub mod tickets;

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use minicbor::{Decode, Encode};
use parlour_proto::{
    device_list::DeviceList,
    frames::{AccountRef, AccountView, AppId},
    ids::{AccountId, DeviceId, MailboxId, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{KeyRange, PartitionId, PartitionKind, Store};
use tokio::sync::Notify;

pub use sign_in::{LoginState, NewAccount, RegisterState};

use self::{codes::Codes, tickets::Tickets};
use crate::{
    apps::Apps,
    config::Config,
    directory::HandleId,
    error::Refused,
    keys::Keys,
    limits::{Buckets, Rate},
    mailboxes::{Mailboxes, Notice},
    record,
    retention::{Kind, Lifetimes, Setting},
};

pub(crate) const PROFILE: &[u8] = b"p";
pub(crate) const PASSWORD: &[u8] = b"o";
pub(crate) const DEVICE: &[u8] = b"d";
const DAY_MS: u64 = 86_400_000;
/// A device that has not drained its mailbox for so many days loses it.
const IDLE_DAYS: u64 = 90;

fn link_key(index: usize) -> Vec<u8> {
    [b"l", &(index as u32).to_be_bytes()[..]].concat()
}

pub(crate) fn account_partition(account: &AccountId) -> PartitionId {
    PartitionId::new(PartitionKind::Account, account.0)
}

pub(crate) fn device_partition(device: &DeviceId) -> PartitionId {
    PartitionId::new(PartitionKind::Device, device.0)
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(crate) struct ProfileRecord {
    #[n(0)]
    pub(crate) app: String,
    #[n(1)]
    pub(crate) handle: String,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) root_key: [u8; 32],
    /// The day of sign-up: young accounts may write to fewer strangers.
    #[n(3)]
    pub(crate) made_day: u64,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(crate) name: [u8; 32],
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) skeleton: Option<[u8; 32]>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct DeviceRecord {
    #[n(0)]
    app: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    account: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    mailbox: [u8; 16],
    #[cbor(n(3), with = "minicbor::bytes")]
    signing_key: [u8; 32],
    /// The day on which its mailbox was last connected to.
    #[n(4)]
    seen_day: u64,
}

/// A signed-in device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The account.
    pub account: AccountRef,
    /// The device.
    pub device: DeviceId,
    /// Its mailbox.
    pub mailbox: MailboxId,
    /// Ed25519.
    pub signing_key: [u8; 32],
}

/// An account with its verified device list.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) app: AppId,
    pub(crate) made_day: u64,
    pub(crate) list: DeviceList,
    names: (HandleId, Option<HandleId>),
}

/// All accounts of this server.
pub struct Accounts<S> {
    store: S,
    keys: Arc<Keys>,
    apps: Apps,
    mailboxes: Arc<Mailboxes<S>>,
    /// One-time codes.
    pub codes: Codes,
    tickets: Tickets,
    attempts: Buckets<HandleId>,
    names_tried: Buckets<IpAddr>,
    lifetimes: Lifetimes,
    /// Somebody was deleted: what is left of them in the files is not to wait for the hour.
    pub(crate) deleted: Notify,
}

impl<S: Store> Accounts<S> {
    /// The accounts of `store`.
    pub fn new(
        store: S,
        keys: Arc<Keys>,
        apps: Apps,
        mailboxes: Arc<Mailboxes<S>>,
        config: &Config,
        lifetimes: Lifetimes,
    ) -> Self {
        let attempts = Rate::per(config.limits.sign_ins_per_handle_per_hour, 3_600);
        Self {
            store,
            keys,
            apps,
            mailboxes,
            codes: Codes::new(&config.limits, config.dev_outbox, lifetimes.ms(Setting::Code)),
            tickets: Tickets::new(lifetimes.ms(Setting::Ticket)),
            attempts: Buckets::new(attempts),
            names_tried: Buckets::new(Rate::per(config.limits.names_per_address_per_hour, 3_600)),
            lifetimes,
            deleted: Notify::new(),
        }
    }

    /// An account; `None` if there is none.
    pub(crate) async fn account(&self, id: &AccountId) -> Result<Option<Account>, Refused> {
        let partition = account_partition(id);
        let profile = self.store.get(&partition, PROFILE).await?;
        let links = self.store.range(&partition, &KeyRange::prefix(b"l".to_vec()), usize::MAX).await?;
        let Some(profile) = profile else { return Ok(None) };
        let profile: ProfileRecord = record::decode(&profile.value, "account")?;
        let links: Vec<Bytes> = links.into_iter().map(|row| row.value).collect();
        let list = DeviceList::verify(*id, &profile.root_key, &links).map_err(|_| Refused::Damaged("device list"))?;
        let app = AppId::parse(&profile.app).map_err(|_| Refused::Damaged("account"))?;
        let names = (HandleId(profile.name), profile.skeleton.map(HandleId));
        Ok(Some(Account { app, made_day: profile.made_day, list, names }))
    }

    async fn device(&self, device: &DeviceId) -> Result<Option<DeviceRecord>, Refused> {
        let Some(row) = self.store.get(&device_partition(device), DEVICE).await? else { return Ok(None) };
        Ok(Some(record::decode(&row.value, "device")?))
    }

    /// The mailbox of a device.
    pub(crate) async fn mailbox(&self, device: &DeviceId) -> Result<Option<MailboxId>, Refused> {
        Ok(self.device(device).await?.map(|record| MailboxId(record.mailbox)))
    }

    /// Forgets what is in memory and over: codes, tickets, how often something was tried.
    pub fn forget(&self, now: UnixMillis) {
        self.codes.forget(now);
        self.tickets.forget(now);
        self.attempts.forget(now);
        self.names_tried.forget(now);
    }

    /// Closes the mailboxes of devices that have not connected for 90 days.
    ///
    /// # Errors
    /// The store's.
    pub async fn close_idle(&self, now: UnixMillis) -> Result<u64, Refused> {
        let (mut cursor, mut closed) = (None, 0);
        loop {
            let page = self.store.scan(Kind::Device.row(), cursor, 256).await?;
            for (_, row) in &page.rows {
                let record: DeviceRecord = record::decode(&row.value, "device")?;
                let mailbox = MailboxId(record.mailbox);
                if record.seen_day + IDLE_DAYS < now.0 / DAY_MS && !self.mailboxes.is_closed(&mailbox) {
                    self.mailboxes.close(mailbox, Notice::Gone, now).await?;
                    closed += 1;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(closed);
            }
        }
    }
}

pub(crate) fn view(account: &AccountRef, list: &DeviceList) -> AccountView {
    AccountView { account: account.clone(), root_key: list.root_key(), links: list.links().to_vec() }
}

fn not_a_device() -> Refused {
    Problem::new(Code::NotADevice, "the device is not, or no longer, on the account's list").into()
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let (app, handle) = ("den".to_owned(), "ada".to_owned());
        let profile = ProfileRecord {
            app: app.clone(),
            handle,
            root_key: [1; 32],
            made_day: 20_000,
            name: [2; 32],
            skeleton: Some([3; 32]),
        };
        holds("account", &encode(&profile));
        holds("account, no skeleton", &encode(&ProfileRecord { skeleton: None, ..profile }));
        let device = DeviceRecord { app, account: [4; 16], mailbox: [5; 16], signing_key: [6; 32], seen_day: 20_001 };
        holds("device", &encode(&device));
    }
}
