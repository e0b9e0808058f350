//! Claims: how a stranger, or a contact with a door token, gets key packages and grants of an account (`DESIGN.md` §6, §7).
//!
//! Strangers are identified and metered; friends are not. For a stranger, *not reachable*, *blocked* and *not existing* are one
//! answer: the same reads and the same cryptography are done for all of them, against an account of nobody where there is none,
//! and a refusal leaves at a fixed time after the request came.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use parlour_proto::{
    device_list::{Action, DeviceList, Draft},
    frames::{AccountRef, Claimed, ClaimedDevice, Pool, ReachRule, Who},
    ids::{AccountId, DeviceId, Digest, RoomId, Secret, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{Batch, KeyRange, PartitionId, PartitionKind, RowBatch, Store};

use crate::{
    Rng,
    accounts::{Account, Accounts, Session, account_partition, view},
    apps::Apps,
    config::Config,
    directory::{self, Names},
    error::{Refused, refuse},
    grants::Grant,
    keypackages,
    keys::Keys,
    limits::{Buckets, Rate},
    mailboxes::{Mailboxes, Notice},
    reach::{self, InviteRecord},
    record,
    retention::{Kind, Lifetimes},
};

const DAY_MS: u64 = 86_400_000;
/// Days after sign-up in which an account counts as young.
const YOUNG_DAYS: u64 = 30;
/// How often one account may claim one other.
const PER_PAIR: Rate = Rate::per(20, 3_600);
/// How often one account may be claimed by strangers before they get last-resort packages.
const PER_TARGET: Rate = Rate::per(200, 3_600);
/// The account that is looked at where there is none.
const NOBODY: AccountId = AccountId([0; 16]);

/// Claims of this server.
pub struct Claims<S> {
    store: S,
    keys: Arc<Keys>,
    apps: Apps,
    accounts: Arc<Accounts<S>>,
    mailboxes: Arc<Mailboxes<S>>,
    pairs: Buckets<[u8; 32]>,
    targets: Buckets<AccountId>,
    doors: Buckets<Digest>,
    new_people: (u32, u32),
    answer_after: Duration,
    nobody: Nobody,
    lifetimes: Lifetimes,
}

/// A device list that belongs to nobody, to be verified where there is none to verify.
struct Nobody {
    root_key: [u8; 32],
    links: Vec<Bytes>,
}

impl Nobody {
    fn new() -> Self {
        let key = |byte| SigningKey::from_bytes(&[byte; 32]);
        let (root, device) = (key(1), key(2));
        let signing_key = device.verifying_key().to_bytes();
        let action = Action::Add { device: DeviceId([0; 16]), signing_key, hpke_key: [9; 32] };
        let link = Draft::first(NOBODY, UnixMillis(0), action).sign(&root);
        Self { root_key: root.verifying_key().to_bytes(), links: vec![link] }
    }

    /// Costs what verifying a list of one device costs.
    fn verify(&self) {
        let list = DeviceList::verify(NOBODY, &self.root_key, &self.links);
        std::hint::black_box(list.is_ok());
    }
}

/// Who is meant, as far as the directory knows.
struct Target {
    id: Option<AccountId>,
    /// The same for the same person, whether or not there is one.
    name: [u8; 32],
    invite: Option<Digest>,
}

impl<S: Store> Claims<S> {
    /// The claims on `store`.
    pub fn new(
        store: S,
        keys: Arc<Keys>,
        apps: Apps,
        accounts: Arc<Accounts<S>>,
        mailboxes: Arc<Mailboxes<S>>,
        config: &Config,
        lifetimes: Lifetimes,
    ) -> Self {
        let limits = &config.limits;
        Self {
            store,
            keys,
            apps,
            accounts,
            mailboxes,
            pairs: Buckets::new(PER_PAIR),
            targets: Buckets::new(PER_TARGET),
            doors: Buckets::new(Rate::per(limits.claims_per_door_per_hour, 3_600)),
            new_people: (limits.new_people_per_day, limits.new_people_per_day_later),
            answer_after: Duration::from_millis(limits.claim_answer_ms),
            nobody: Nobody::new(),
            lifetimes,
        }
    }

    /// Forgets who claimed how often, where it makes no difference any more.
    pub fn forget(&self, now: UnixMillis) {
        self.pairs.forget(now);
        self.targets.forget(now);
        self.doors.forget(now);
    }

    /// When a refused claim is answered, after it came. The sockets wait for it.
    pub fn answer_after(&self) -> Duration {
        self.answer_after
    }

    /// Key packages for a stranger.
    ///
    /// # Errors
    /// `NotReachable`, `TooManyNewPeople`, `SlowDown`, `NoSuchApp`, `BadHandle`.
    pub async fn claim(
        &self,
        session: &Session,
        who: &Who,
        room: RoomId,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Claimed, Refused> {
        let target = self.target(who).await?;
        if target.id == Some(session.account.account) {
            return Err(not_reachable());
        }
        self.pairs.take(self.pair(session, &target), now)?;
        self.meter(session, &target, now).await?;
        let Some(account) = self.reachable(session, &target, now).await? else { return Err(not_reachable()) };
        let id = target.id.unwrap_or(NOBODY);
        let pool = if self.targets.take(id, now).is_ok() { Pool::Stranger } else { Pool::LastResort };
        if let Some(digest) = &target.invite
            && !self.use_invite(&id, digest, now).await?
        {
            return Err(not_reachable());
        }
        self.give(id, &account, pool, false, room, None, now, rng).await
    }

    /// A key package of one other device of the account, by an open grant: nobody is contacted, nothing is metered.
    ///
    /// # Errors
    /// `NotReachable`.
    pub async fn claim_own(
        &self,
        session: &Session,
        device: DeviceId,
        room: RoomId,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Claimed, Refused> {
        let id = session.account.account;
        let account = self.accounts.account(&id).await?.filter(|_| device != session.device);
        self.give(id, &account.ok_or_else(not_reachable)?, Pool::Door, true, room, Some(device), now, rng).await
    }

    /// Key packages for whoever holds a door token.
    ///
    /// # Errors
    /// `NotReachable`, `SlowDown`.
    pub async fn door_claim(
        &self,
        who: &AccountRef,
        door: &Secret,
        room: RoomId,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Claimed, Refused> {
        let digest = door.digest();
        self.doors.take(digest, now)?;
        let account = self.accounts.account(&who.account).await?;
        let known = self.store.get(&account_partition(&who.account), &reach::door_key(&digest)).await?;
        let account = account.filter(|account| account.app == who.app && known.is_some()).ok_or_else(not_reachable)?;
        self.give(who.account, &account, Pool::Door, true, room, None, now, rng).await
    }

    async fn target(&self, who: &Who) -> Result<Target, Refused> {
        let name = |parts: &[&[u8]]| self.keys.relation.mac(b"target", parts);
        match who {
            Who::Address { app, handle } => {
                let handle = self.apps.handle(app, handle)?;
                let names = Names::of(&self.keys, app, self.apps.sign_in(app)?, &handle);
                let id = self.accounts.account_of(&names).await?;
                Ok(Target { id, name: name(&[b"handle", &names.handle.0]), invite: None })
            }
            Who::Account(account) => {
                let id = Some(account.account).filter(|id| *id != NOBODY);
                Ok(Target { id, name: name(&[b"account", &account.account.0]), invite: None })
            }
            Who::Invite(token) => {
                let digest = token.digest();
                let found = directory::find_invite(&self.store, &digest).await?;
                let id = found.map(|account| account.account);
                Ok(Target { id, name: name(&[b"invite", &digest.0]), invite: Some(digest) })
            }
        }
    }

    fn pair(&self, session: &Session, target: &Target) -> [u8; 32] {
        self.keys.relation.mac(b"pair", &[&session.account.account.0, &target.name])
    }

    /// The account, if the claimer may reach it. Everything is read and compared in every case.
    async fn reachable(&self, session: &Session, target: &Target, now: UnixMillis) -> Result<Option<Account>, Refused> {
        let id = target.id.unwrap_or(NOBODY);
        let partition = account_partition(&id);
        let account = self.accounts.account(&id).await?;
        let rule = self.store.get(&partition, &reach::rule_key(&session.account.app)).await?;
        let block = self.store.get(&partition, &reach::block_key(&self.keys, &id, &session.account)).await?;
        let digest = target.invite.unwrap_or(Digest(target.name));
        let invite = self.store.get(&partition, &reach::invite_key(&digest)).await?;
        let Some(account) = account else {
            self.nobody.verify();
            return Ok(None);
        };
        let rule = rule.and_then(|row| reach::rule_of(&row.value));
        let rule = rule.unwrap_or_else(|| self.apps.default_rule(&account.app, &session.account.app));
        let invite = invite
            .and_then(|row| record::decode::<InviteRecord>(&row.value, "invite").ok())
            .filter(|invite| invite.uses > 0 && now.0 < invite.until);
        let allowed = match rule {
            ReachRule::Ask => target.invite.is_none() || invite.is_some(),
            ReachRule::Invite => invite.is_some(),
            ReachRule::Nobody => invite.is_some_and(|invite| invite.everywhere == Some(true)),
        };
        Ok((allowed && block.is_none()).then_some(account))
    }

    /// Uses an invite once; `false` when it is used up.
    async fn use_invite(&self, id: &AccountId, digest: &Digest, now: UnixMillis) -> Result<bool, Refused> {
        let (partition, key) = (account_partition(id), reach::invite_key(digest));
        for _ in 0..16 {
            let Some(row) = self.store.get(&partition, &key).await? else { return Ok(false) };
            let mut invite: InviteRecord = record::decode(&row.value, "invite")?;
            if invite.uses == 0 || invite.until <= now.0 {
                return Ok(false);
            }
            invite.uses -= 1;
            let batch = RowBatch::new(partition.clone()).equals(key.clone(), row.value);
            let mut batches: Vec<Batch> = Vec::new();
            if invite.uses == 0 {
                batches.push(batch.delete(key.clone()).into());
                batches.push(directory::drop_invite(digest));
            } else {
                batches.push(batch.put(key.clone(), record::encode(&invite), row.kind, row.expires).into());
            }
            if self.store.commit(batches).await?.is_applied() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes one of today's new people, unless the target was claimed within 72 h: whatever comes of the claim.
    async fn meter(&self, session: &Session, target: &Target, now: UnixMillis) -> Result<(), Refused> {
        let own = self.accounts.account(&session.account.account).await?.ok_or_else(not_reachable)?;
        let (young, later) = self.new_people;
        let today = now.0 / DAY_MS;
        let most = if own.made_day + YOUNG_DAYS > today { young } else { later };
        let partition = claimer_partition(&self.keys, &session.account.account);
        let seen_key = [b"c", &target.name[..]].concat();
        let count_key = [b"n", &today.to_be_bytes()[..]].concat();
        for _ in 0..16 {
            let seen = self.store.get(&partition, &seen_key).await?;
            let count = self.store.get(&partition, &count_key).await?;
            let used = match &count {
                Some(row) => record::decode::<Count>(&row.value, "claim count")?.0,
                None => 0,
            };
            if seen.is_none() && used >= most {
                let wait = DAY_MS - now.0 % DAY_MS;
                let problem = Problem::new(Code::TooManyNewPeople, "you wrote to many new people today; try tomorrow");
                return Err(problem.retry_after_ms(wait).into());
            }
            let batch = RowBatch::new(partition.clone());
            let batch = match count {
                Some(row) => batch.equals(count_key.clone(), row.value),
                None => batch.absent(count_key.clone()),
            };
            let used = used + u32::from(seen.is_none());
            let count = Kind::ClaimCount;
            let batch = batch.put(
                count_key.clone(),
                record::encode(&Count(used)),
                count.row(),
                self.lifetimes.expires(count, now),
            );
            let claim = Kind::Claim;
            let batch = batch.put(seen_key.clone(), Vec::new(), claim.row(), self.lifetimes.expires(claim, now));
            if self.store.commit(vec![batch.into()]).await?.is_applied() {
                return Ok(());
            }
        }
        refuse(Code::SlowDown, "too many claims at once; try again")
    }

    #[expect(clippy::too_many_arguments, reason = "what a grant is made of")]
    async fn give(
        &self,
        id: AccountId,
        account: &Account,
        pool: Pool,
        open: bool,
        room: RoomId,
        only: Option<DeviceId>,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<Claimed, Refused> {
        let mut devices = Vec::new();
        for device in account.list.devices().filter(|device| only.is_none_or(|only| only == device.id)) {
            let Some(mailbox) = self.accounts.mailbox(&device.id).await? else { continue };
            if self.mailboxes.is_closed(&mailbox) {
                continue;
            }
            let Some(taken) = keypackages::take(&self.store, &device.id, pool).await? else { continue };
            if taken.left.is_low() {
                self.mailboxes.notify(&mailbox, Notice::PoolsLow);
            }
            let grant = Grant::new(mailbox, open, now, rng).seal(&self.keys, &room, &taken.member_key, rng);
            devices.push(ClaimedDevice {
                device: device.id,
                key_package: taken.key_package,
                member_key: taken.member_key,
                grant: grant.into(),
                last_resort: taken.last_resort,
            });
        }
        if devices.is_empty() {
            return Err(not_reachable());
        }
        let account_ref = AccountRef { app: account.app.clone(), account: id };
        Ok(Claimed { view: view(&account_ref, &account.list), devices })
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct Count(#[n(0)] u32);

/// Where an account's claims as a stranger are.
pub(crate) fn claimer_partition(keys: &Keys, account: &AccountId) -> PartitionId {
    PartitionId::new(PartitionKind::Safety, keys.relation.mac(b"claimer", &[&account.0]))
}

/// A day's count in words, and the day.
pub(crate) fn counted(key: &[u8], value: &[u8]) -> Option<(String, Option<u64>)> {
    let day = u64::from_be_bytes(key.get(1..)?.try_into().ok()?);
    let Count(count) = record::decode(value, "claim count").ok()?;
    Some((format!("{count} on that day"), Some(day)))
}

/// Erases what is kept of an account's claims.
pub(crate) fn erase(keys: &Keys, account: &AccountId) -> Batch {
    RowBatch::new(claimer_partition(keys, account)).delete_range(KeyRange::all()).into()
}

fn not_reachable() -> Refused {
    Problem::new(Code::NotReachable, "nobody there, or not for you").into()
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        holds("stranger claim count", &encode(&Count(7)));
    }
}
