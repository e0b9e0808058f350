//! Proving a handle, making an account, signing a device in.

use std::net::IpAddr;

use bytes::Bytes;
use parlour_proto::{
    device_list::DeviceList,
    frames::{AccountRef, AccountView, Answer, AppId, sign_in_bytes},
    handle::Handle,
    ids::{AccountId, DeviceId, MailboxId, Secret, UnixMillis},
    opaque::{PasswordFile, ServerLogin},
    problem::{Code, Problem},
};
use parlour_store::{Batch, Outcome, RowBatch, Store};

use super::{
    Accounts, DAY_MS, DEVICE, PASSWORD, PROFILE, ProfileRecord, Session, account_partition, device_partition,
    devices::put_device, link_key, not_a_device, tickets::Ticket, view,
};
use crate::{
    Rng,
    apps::ByCode,
    directory::{self, Entry, Names},
    error::{Refused, refuse},
    record,
    retention::Kind,
    rooms::verifies,
};

/// A registration with a password between its two messages; lives in the socket.
#[derive(Debug)]
pub struct RegisterState(Ticket);

/// An account to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewAccount<'a> {
    /// Drawn by the client.
    pub account: AccountId,
    /// Ed25519.
    pub root_key: [u8; 32],
    /// The whole device list.
    pub links: &'a [Bytes],
    /// The one device on it.
    pub device: DeviceId,
}

/// A login with a password between its two messages; lives in the socket.
#[derive(Debug)]
pub struct LoginState(Box<ServerLogin>, Ticket);

impl<S: Store> Accounts<S> {
    /// Sends a one-time code, whether or not there is an account.
    ///
    /// # Errors
    /// `NoSuchApp`, `BadHandle`, `SlowDown`.
    pub fn request_code(
        &self,
        app: &AppId,
        typed: &str,
        source: Option<IpAddr>,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<(), Refused> {
        self.apps.require(app, ByCode::Yes)?;
        let handle = self.apps.handle(app, typed)?;
        let names = self.names(app, &handle)?;
        Ok(self.codes.send(names.handle, (app, handle.canonical()), source, now, rng)?)
    }

    /// Proves a number by its code.
    ///
    /// # Errors
    /// As [`Codes::prove`](super::codes::Codes::prove).
    pub async fn prove_code(
        &self,
        app: &AppId,
        typed: &str,
        code: &str,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Answer, Refused> {
        self.apps.require(app, ByCode::Yes)?;
        let handle = self.apps.handle(app, typed)?;
        let names = self.names(app, &handle)?;
        self.codes.prove(&names.handle, code, now)?;
        let account = self.account_of(&names).await?;
        self.issue(Ticket { app: app.clone(), handle, names, password: None, account }, now, rng)
    }

    /// First message of a registration with a password.
    ///
    /// # Errors
    /// `HandleTaken`, `BadHandle`, `NoSuchApp`, `Malformed`, `SlowDown`.
    pub async fn opaque_register(
        &self,
        app: &AppId,
        typed: &str,
        message: &[u8],
        source: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<(RegisterState, Bytes), Refused> {
        self.apps.require(app, ByCode::No)?;
        if let Some(source) = source {
            // Whether a name is taken cannot be hidden from who wants it; from who tries them all it can.
            self.names_tried.take(source, now)?;
        }
        let handle = self.apps.handle(app, typed)?;
        let names = self.names(app, &handle)?;
        self.attempts.take(names.handle, now)?;
        self.require_free(&names).await?;
        let answer = self.keys.opaque.register(app, &handle, message).map_err(bad_message)?;
        let ticket = Ticket { app: app.clone(), handle, names, password: None, account: None };
        Ok((RegisterState(ticket), answer))
    }

    /// Last message of a registration with a password.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn opaque_register_finish(
        &self,
        state: RegisterState,
        message: &[u8],
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Answer, Refused> {
        let password = PasswordFile::from_upload(message).map_err(bad_message)?;
        self.issue(Ticket { password: Some(password), ..state.0 }, now, rng)
    }

    /// First message of a login. Whoever does not exist is answered like whoever does.
    ///
    /// # Errors
    /// `BadHandle`, `NoSuchApp`, `Malformed`, `SlowDown`.
    pub async fn opaque_login(
        &self,
        app: &AppId,
        typed: &str,
        message: &[u8],
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<(LoginState, Bytes), Refused> {
        self.apps.require(app, ByCode::No)?;
        let handle = self.apps.handle(app, typed)?;
        let names = self.names(app, &handle)?;
        self.attempts.take(names.handle, now)?;
        let account = self.account_of(&names).await?;
        // Nobody has the account of all zeros: the same read, finding nothing.
        let partition = account_partition(&account.unwrap_or(AccountId([0; 16])));
        let row = self.store.get(&partition, PASSWORD).await?;
        let file = row.map(|row| PasswordFile::from_bytes(row.value)).transpose();
        let file = file.map_err(|_| Refused::Damaged("password record"))?;
        let (login, answer) = self.keys.opaque.login(app, &handle, file.as_ref(), message, rng).map_err(bad_message)?;
        let ticket = Ticket { app: app.clone(), handle, names, password: None, account };
        Ok((LoginState(Box::new(login), ticket), answer))
    }

    /// Last message of a login.
    ///
    /// # Errors
    /// `NotAuthenticated` for a wrong password and for nobody alike.
    pub fn opaque_login_finish(
        &self,
        state: LoginState,
        message: &[u8],
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Answer, Refused> {
        let LoginState(login, ticket) = state;
        if login.finish(message).is_err() || ticket.account.is_none() {
            return refuse(Code::NotAuthenticated, "handle or password is wrong");
        }
        self.issue(ticket, now, rng)
    }

    /// Makes the account that a ticket proves a handle for.
    ///
    /// # Errors
    /// `Expired`, `HandleTaken`, `BadDeviceList`.
    pub async fn register(
        &self,
        secret: &Secret,
        new: &NewAccount<'_>,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Session, Refused> {
        let ticket = self.tickets.take(secret, now)?;
        let made = self.make_account(&ticket, new, now, rng).await;
        if made.is_err() {
            self.tickets.give_back(secret, ticket, now);
        }
        made
    }

    async fn make_account(
        &self,
        ticket: &Ticket,
        new: &NewAccount<'_>,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Session, Refused> {
        let NewAccount { account, root_key, links, device } = *new;
        let list = DeviceList::verify(account, &root_key, links).map_err(Problem::from)?;
        let listed = list.device(&device).filter(|_| list.devices().len() == 1);
        let Some(listed) = listed else {
            return refuse(Code::BadDeviceList, "a new account's list holds the signing-up device alone");
        };
        let before = self.require_free(&ticket.names).await?;
        let signing_key = listed.signing_key;
        let mailbox = MailboxId::random(rng);
        let account_ref = AccountRef { app: ticket.app.clone(), account };
        let session = Session { account: account_ref, device, mailbox, signing_key };
        let mut batches = directory::take(&ticket.names, account, before);
        let directory_batches = batches.len();
        batches.push(put_device(&session, now).into());
        batches.push(self.put_account(ticket, &list, now));
        match self.store.commit(batches).await? {
            Outcome::Applied { .. } => Ok(session),
            Outcome::Refused { batch, .. } if batch < directory_batches => Err(taken()),
            Outcome::Refused { .. } => refuse(Code::BadDeviceList, "account or device is known already; draw new ids"),
        }
    }

    fn put_account(&self, ticket: &Ticket, list: &DeviceList, now: UnixMillis) -> Batch {
        let profile = ProfileRecord {
            app: ticket.app.as_str().into(),
            handle: ticket.handle.canonical().into(),
            root_key: list.root_key(),
            made_day: now.0 / DAY_MS,
            name: ticket.names.handle.0,
            skeleton: ticket.names.skeleton.map(|name| name.0),
        };
        let mut batch = RowBatch::new(account_partition(&list.account())).absent(PROFILE).put(
            PROFILE,
            record::encode(&profile),
            Kind::Profile.row(),
            None,
        );
        if let Some(password) = &ticket.password {
            batch = batch.put(PASSWORD, password.to_bytes(), Kind::Password.row(), None);
        }
        for (index, link) in list.links().iter().enumerate() {
            batch = batch.put(link_key(index), link.clone(), Kind::Link.row(), None);
        }
        batch.into()
    }

    /// The account of a ticket, for its owner to sign a device in.
    ///
    /// # Errors
    /// `Expired`; `NotAuthenticated` when nobody has the handle.
    pub async fn account_of_ticket(&self, secret: &Secret, now: UnixMillis) -> Result<AccountView, Refused> {
        let ticket = self.tickets.look(secret, now)?;
        let (account, list) = self.owner(&ticket).await?;
        Ok(view(&account, &list))
    }

    pub(super) async fn owner(&self, ticket: &Ticket) -> Result<(AccountRef, DeviceList), Refused> {
        let nobody = || Problem::new(Code::NotAuthenticated, "nobody has this handle; sign up instead");
        let id = ticket.account.ok_or_else(nobody)?;
        let account = self.account(&id).await?.ok_or_else(nobody)?;
        Ok((AccountRef { app: account.app, account: id }, account.list))
    }

    /// Signs a known device in.
    ///
    /// # Errors
    /// `NotADevice`, `NotAuthenticated`.
    pub async fn authenticate(
        &self,
        device: DeviceId,
        signature: &[u8; 64],
        nonce: &[u8; 32],
        now: UnixMillis,
    ) -> Result<Session, Refused> {
        let mut record = self.device(&device).await?.ok_or_else(not_a_device)?;
        if !verifies(&record.signing_key, &sign_in_bytes(nonce, &device), signature) {
            return refuse(Code::NotAuthenticated, "the device's signature is wrong");
        }
        let account = AccountId(record.account);
        let app = AppId::parse(&record.app).map_err(|_| Refused::Damaged("device"))?;
        // A device record is worth nothing without its account, or off the account's list.
        let listed = self.account(&account).await?.is_some_and(|found| found.list.device(&device).is_some());
        let mailbox = MailboxId(record.mailbox);
        if !listed || self.mailboxes.is_closed(&mailbox) {
            return Err(not_a_device());
        }
        let signing_key = record.signing_key;
        if record.seen_day < now.0 / DAY_MS {
            record.seen_day = now.0 / DAY_MS;
            let batch = RowBatch::new(device_partition(&device)).present(DEVICE);
            let batch = batch.put(DEVICE, record::encode(&record), Kind::Device.row(), None);
            // A full disk must not keep anybody from reading.
            drop(self.store.commit(vec![batch.into()]));
        }
        Ok(Session { account: AccountRef { app, account }, device, mailbox, signing_key })
    }

    pub(super) fn names(&self, app: &AppId, handle: &Handle) -> Result<Names, Refused> {
        Ok(Names::of(&self.keys, app, self.apps.sign_in(app)?, handle))
    }

    /// The existing account of a handle.
    pub(crate) async fn account_of(&self, names: &Names) -> Result<Option<AccountId>, Refused> {
        let found = directory::find(&self.store, &names.handle).await?;
        let account = match found {
            Some((Entry::Account(account), _)) => account,
            _ => AccountId([0; 16]),
        };
        let profile = self.store.get(&account_partition(&account), PROFILE).await?;
        Ok(profile.map(|_| account))
    }

    /// Checks that nobody has the handle, or one that looks like it; gives the worthless entry that is in the way.
    async fn require_free(&self, names: &Names) -> Result<Option<Bytes>, Refused> {
        if let Some(skeleton) = &names.skeleton
            && let Some(other) = directory::find_skeleton(&self.store, skeleton).await?
            && other != names.handle
            && self.is_in_use(&Names { handle: other, skeleton: None }).await?
        {
            return refuse(Code::BadHandle, "the handle looks like another one; choose a different one");
        }
        if self.is_in_use(names).await? {
            return Err(taken());
        }
        Ok(directory::find(&self.store, &names.handle).await?.map(|(_, bytes)| bytes))
    }

    async fn is_in_use(&self, names: &Names) -> Result<bool, Refused> {
        let found = directory::find(&self.store, &names.handle).await?;
        let quarantined = matches!(found, Some((Entry::Quarantined, _)));
        Ok(quarantined || self.account_of(names).await?.is_some())
    }

    fn issue(&self, ticket: Ticket, now: UnixMillis, rng: &mut Rng) -> Result<Answer, Refused> {
        let exists = ticket.account.is_some();
        let ticket = self.tickets.issue(ticket, now, rng)?;
        Ok(Answer::Ticket { ticket, exists })
    }
}

fn taken() -> Refused {
    Problem::new(Code::HandleTaken, "the handle belongs to somebody, or was freed not long ago").into()
}

fn bad_message(_: parlour_proto::opaque::OpaqueError) -> Refused {
    Problem::new(Code::Malformed, "not a message of the password exchange").into()
}
