//! The device list of an account: devices come and go by signed links, and what the server keeps for a device goes with them.
//!
//! A link authorises; a session, or a ticket, only says whose list is meant. A device that a link adds gets its record and mailbox in
//! the same commit, so that it can sign in as soon as the link is there.

use bytes::Bytes;
use parlour_proto::{
    device_list::{AHEAD_MS, Device, DeviceList, Link},
    frames::{AccountRef, AccountView},
    ids::{AccountId, DeviceId, MailboxId, Secret, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{Batch, KeyRange, Outcome, RowBatch, Store};

use super::{
    Accounts, DAY_MS, DEVICE, DeviceRecord, PROFILE, Session, account_partition, device_partition, link_key,
    not_a_device, view,
};
use crate::{
    Rng,
    error::{Refused, refuse},
    mailboxes::Notice,
    record,
    retention::Kind,
};

/// A list, and what one more link makes of it.
struct Change {
    link: Bytes,
    before: DeviceList,
    after: DeviceList,
}

impl Change {
    fn new(before: DeviceList, link: Bytes, now: UnixMillis) -> Result<Self, Problem> {
        in_time(&before, &link, now)?;
        let mut after = before.clone();
        after.append(link.clone())?;
        if after.devices().len() == 0 {
            let detail = "the last device stays on the list; delete the account instead";
            return Err(Problem::new(Code::BadDeviceList, detail));
        }
        Ok(Self { link, before, after })
    }

    fn added(&self) -> Option<&Device> {
        self.after.devices().find(|device| self.before.device(&device.id).is_none())
    }

    fn removed(&self) -> Option<&Device> {
        self.before.devices().find(|device| self.after.device(&device.id).is_none())
    }
}

/// A link is not from the future, and a newcomer gives notice.
fn in_time(list: &DeviceList, link: &Bytes, now: UnixMillis) -> Result<(), Problem> {
    let draft = Link::read(link)?.draft;
    if draft.time > now.plus_ms(AHEAD_MS) {
        return Err(Problem::new(Code::BadDeviceList, "the link is from the future: look at the clock"));
    }
    match list.notice(&draft, now) {
        Some(until) => {
            let detail = "a device that is new may not remove those that were there before; the recovery key may";
            Err(Problem { retry_after_ms: until.since(now), ..Problem::new(Code::SlowDown, detail) })
        }
        None => Ok(()),
    }
}

impl<S: Store> Accounts<S> {
    /// The account of a session, with its device list.
    ///
    /// # Errors
    /// `NotADevice` when the account is gone.
    pub async fn own_account(&self, session: &Session) -> Result<AccountView, Refused> {
        let account = self.account(&session.account.account).await?.ok_or_else(not_a_device)?;
        Ok(view(&session.account, &account.list))
    }

    /// How many links the list of a session's account has. To be asked when the session's mailbox is connected: what changes from
    /// then on is told there.
    ///
    /// # Errors
    /// `NotADevice` when the device was revoked, or its account deleted, since it was authenticated.
    pub(crate) async fn list_length(&self, session: &Session) -> Result<u32, Refused> {
        let partition = account_partition(&session.account.account);
        let links = self.store.range(&partition, &KeyRange::prefix(b"l".to_vec()), usize::MAX).await?;
        if links.is_empty() || self.mailboxes.is_closed(&session.mailbox) {
            return Err(not_a_device());
        }
        Ok(links.len() as u32)
    }

    /// Appends a signed change to the device list. A device that it adds can sign in; one that it takes off loses mailbox, key
    /// packages and socket. The other devices are told.
    ///
    /// # Errors
    /// `BadDeviceList`; `SlowDown` while the signer owes notice; `NotADevice` when the account is gone.
    pub async fn append_link(
        &self,
        session: &Session,
        link: Bytes,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<(), Refused> {
        let account = self.account(&session.account.account).await?.ok_or_else(not_a_device)?;
        let change = Change::new(account.list, link, now)?;
        let added = change.added().map(|device| admitted(&session.account, device, rng));
        self.commit_change(&session.account, &change, added.as_ref(), now).await?;
        self.tell_list(&change.after, &session.device).await;
        Ok(())
    }

    /// Adds a device by a link that the root key or a listed device signed; the ticket proves the handle. The other devices are told.
    ///
    /// # Errors
    /// `Expired`, `BadDeviceList`.
    pub async fn add_device(
        &self,
        secret: &Secret,
        link: Bytes,
        device: DeviceId,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Session, Refused> {
        let ticket = self.tickets.look(secret, now)?;
        let (account, list) = self.owner(&ticket).await?;
        let change = Change::new(list, link, now)?;
        let Some(added) = change.added().filter(|added| added.id == device) else {
            return refuse(Code::BadDeviceList, "the link does not add this device");
        };
        let session = admitted(&account, added, rng);
        self.tickets.take(secret, now)?;
        self.commit_change(&account, &change, Some(&session), now).await?;
        self.tell_list(&change.after, &device).await;
        Ok(session)
    }

    async fn commit_change(
        &self,
        account: &AccountRef,
        change: &Change,
        added: Option<&Session>,
        now: UnixMillis,
    ) -> Result<(), Refused> {
        let device = added.map(|session| put_device(session, now));
        let mut batches: Vec<Batch> = device.map(Batch::from).into_iter().collect();
        batches.push(put_link(&account.account, change.before.links().len(), &change.link));
        let mut closes = None;
        if let Some(gone) = change.removed() {
            // One commit with the link: the embedded store applies it as a whole.
            closes = self.mailbox(&gone.id).await?;
            batches.push(erase_device(&gone.id));
            batches.extend(closes.iter().flat_map(|mailbox| self.mailboxes.closing(mailbox, now)));
        }
        match (self.store.commit(batches).await?, added) {
            (Outcome::Applied { .. }, _) => {}
            (Outcome::Refused { batch: 0, .. }, Some(_)) => {
                return refuse(Code::BadDeviceList, "a device with this id is known already; draw a new one");
            }
            (Outcome::Refused { .. }, added) => {
                if let Some(session) = added {
                    let _ = self.store.commit(vec![take_back(session, now)]).await?;
                }
                return refuse(Code::BadDeviceList, "the list changed meanwhile; fetch it and sign again");
            }
        }
        if let Some(mailbox) = closes {
            self.mailboxes.close(mailbox, Notice::Gone, now).await?;
        }
        Ok(())
    }

    /// Tells the connected devices of a list, but one, how long it is now.
    async fn tell_list(&self, list: &DeviceList, but: &DeviceId) {
        let notice = Notice::DeviceList { length: list.links().len() as u32 };
        for device in list.devices().filter(|device| device.id != *but) {
            if let Ok(Some(mailbox)) = self.mailbox(&device.id).await {
                self.mailboxes.notify(&mailbox, notice);
            }
        }
    }

    /// Takes everything of a device away. Can be repeated.
    pub(super) async fn revoke(&self, device: &DeviceId, now: UnixMillis) -> Result<(), Refused> {
        if let Some(mailbox) = self.mailbox(device).await? {
            self.mailboxes.close(mailbox, Notice::Gone, now).await?;
        }
        let _ = self.store.commit(vec![erase_device(device)]).await?;
        Ok(())
    }
}

/// A device that a link adds, with a fresh mailbox.
fn admitted(account: &AccountRef, device: &Device, rng: &mut Rng) -> Session {
    Session {
        account: account.clone(),
        device: device.id,
        mailbox: MailboxId::random(rng),
        signing_key: device.signing_key,
    }
}

fn device_record(session: &Session, now: UnixMillis) -> Vec<u8> {
    record::encode(&DeviceRecord {
        app: session.account.app.as_str().into(),
        account: session.account.account.0,
        mailbox: session.mailbox.0,
        signing_key: session.signing_key,
        seen_day: now.0 / DAY_MS,
    })
}

pub(super) fn put_device(session: &Session, now: UnixMillis) -> RowBatch {
    let batch = RowBatch::new(device_partition(&session.device)).absent(DEVICE);
    batch.put(DEVICE, device_record(session, now), Kind::Device.row(), None)
}

/// The record of a device whose link was not taken: it would keep the device from coming by another link.
fn take_back(session: &Session, now: UnixMillis) -> Batch {
    let batch = RowBatch::new(device_partition(&session.device));
    batch.equals(DEVICE, device_record(session, now)).delete(DEVICE).into()
}

fn erase_device(device: &DeviceId) -> Batch {
    RowBatch::new(device_partition(device)).delete_range(KeyRange::all()).into()
}

fn put_link(account: &AccountId, index: usize, link: &Bytes) -> Batch {
    RowBatch::new(account_partition(account))
        .present(PROFILE)
        .absent(link_key(index))
        .put(link_key(index), link.clone(), Kind::Link.row(), None)
        .into()
}

#[cfg(test)]
mod tests;
