//! Accounts and rooms at the level of frames: real keys and signatures, payloads of noise (the server cannot tell).

use crate::site::{Site, app};
use crate::wire::{Role, Wire};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use parlour_proto::device_list::{Action, Draft};
use parlour_proto::frames::{
    AccountRef, Answer, Claimed, Commit, EntryChange, KeyPackageUpload, MemberProof, Pool, Request, Rights, Welcome,
    Who, commit_bytes, entry_bytes, sign_in_bytes,
};
use parlour_proto::ids::{AccountId, DeviceId, MemberKey, MessageId, RoomId, Secret, UnixMillis};
use parlour_proto::problem::Problem;
use rand_core::{OsRng, RngCore as _};
use std::collections::HashMap;

/// Random bytes.
pub fn noise(len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    OsRng.fill_bytes(&mut bytes);
    bytes.into()
}

/// An account with one device, as far as the server can tell.
pub struct Device {
    /// The account.
    pub account: AccountRef,
    /// Its number.
    pub number: String,
    /// The device.
    pub id: DeviceId,
    key: SigningKey,
    members: HashMap<MemberKey, SigningKey>,
}

impl Device {
    /// Signs up on Bell with a number of its own.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sign_up(site: Site, number: &str) -> Result<(Self, Wire)> {
        let mut wire = Wire::connect(site, Role::Inbox).await?;
        let ticket = Self::ticket(site, &mut wire, number).await?;
        let (root, key) = (SigningKey::generate(&mut OsRng), SigningKey::generate(&mut OsRng));
        let (account, id) = (AccountId::random(&mut OsRng), DeviceId::random(&mut OsRng));
        let add = Action::Add { device: id, signing_key: key.verifying_key().to_bytes(), hpke_key: [9; 32] };
        let link = Draft::first(account, parlour_shell::clock::now(), add).sign(&root);
        let root_key = root.verifying_key().to_bytes();
        wire.granted(Request::Register { ticket, account, root_key, links: vec![link], device: id }).await?;
        let account = AccountRef { app: app("bell"), account };
        Ok((Self { account, number: number.to_owned(), id, key, members: HashMap::new() }, wire))
    }

    /// Proves a number.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn ticket(site: Site, wire: &mut Wire, number: &str) -> Result<Secret> {
        wire.granted(Request::RequestCode { app: app("bell"), handle: number.to_owned() }).await?;
        let code = site.code(number).await?;
        let prove = Request::ProveCode { app: app("bell"), handle: number.to_owned(), code };
        match wire.granted(prove).await? {
            Answer::Ticket { ticket, .. } => Ok(ticket),
            other => bail!("no ticket: {other:?}"),
        }
    }

    /// Signs in on a socket of its own.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sign_in(&self, site: Site) -> Result<Wire> {
        let mut wire = Wire::connect(site, Role::Inbox).await?;
        let request = self.authenticate(&wire.nonce);
        wire.granted(request).await?;
        Ok(wire)
    }

    /// What signs it in on a socket with this nonce.
    pub fn authenticate(&self, nonce: &[u8; 32]) -> Request {
        let signature = self.key.sign(&sign_in_bytes(nonce, &self.id)).to_bytes();
        Request::Authenticate { device: self.id, signature }
    }

    /// Publishes key packages of noise, with real member keys.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn publish(&mut self, wire: &mut Wire, pool: Pool, count: usize) -> Result<()> {
        let mut make = || {
            let key = SigningKey::generate(&mut OsRng);
            let member_key = MemberKey(key.verifying_key().to_bytes());
            self.members.insert(member_key, key);
            KeyPackageUpload { key_package: noise(64), member_key }
        };
        let packages = (0..count).map(|_| make()).collect();
        wire.granted(Request::PublishKeyPackages { pool, packages }).await?;
        Ok(())
    }

    /// The key of an entry that one of its packages made.
    pub fn member(&self, member_key: &MemberKey) -> Option<&SigningKey> {
        self.members.get(member_key)
    }
}

/// A claim by address.
///
/// # Errors
/// When the socket is gone, or something else comes back.
pub async fn claim(wire: &mut Wire, number: &str, room: RoomId) -> Result<Result<Claimed, Problem>> {
    let who = Who::Address { app: app("bell"), handle: number.to_owned() };
    match wire.ask(Request::Claim { who, room }).await? {
        Ok(Answer::Claimed(claimed)) => Ok(Ok(claimed)),
        Ok(other) => bail!("not what was asked for: {other:?}"),
        Err(problem) => Ok(Err(problem)),
    }
}

/// A room as its maker knows it; its commits change nothing but entries and send keys.
pub struct WireRoom {
    /// The room.
    pub id: RoomId,
    /// The maker's entry.
    pub member: SigningKey,
    /// Of the present epoch.
    pub send_key: Secret,
    /// The handshake head.
    pub head: u64,
}

impl WireRoom {
    /// Makes a room.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create(inbox: &mut Wire) -> Result<Self> {
        let id = RoomId::random(&mut OsRng);
        Self::create_as(inbox, id).await
    }

    /// Makes a room of a given id, for which something was claimed before.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_as(inbox: &mut Wire, id: RoomId) -> Result<Self> {
        let room = Self { id, member: SigningKey::generate(&mut OsRng), send_key: Secret::random(&mut OsRng), head: 0 };
        let request = Request::CreateRoom { room: id, member_key: room.member_key(), send_key: room.send_key.digest() };
        inbox.granted(request).await?;
        Ok(room)
    }

    /// The maker's member key.
    pub fn member_key(&self) -> MemberKey {
        MemberKey(self.member.verifying_key().to_bytes())
    }

    /// A commit with these changes; gives it and the next epoch's send key.
    pub fn commit(&self, changes: Vec<EntryChange>) -> (Commit, Secret) {
        let next = Secret::random(&mut OsRng);
        let joins = |change: &EntryChange| match change {
            EntryChange::Add { member_key, .. } => Some((*member_key, noise(32))),
            _ => None,
        };
        let parts: Vec<_> = changes.iter().filter_map(joins).collect();
        let welcome = (!parts.is_empty()).then(|| Welcome { shared: noise(64), parts });
        let mut commit = Commit {
            room: self.id,
            head: self.head,
            commit_id: MessageId::random(&mut OsRng),
            payload: noise(64),
            next_send_key: next.digest(),
            changes,
            voids: Vec::new(),
            welcome,
            member_key: self.member_key(),
            signature: [0; 64],
        };
        sign_commit(&mut commit, &self.member);
        (commit, next)
    }

    /// Sends a commit that must be accepted.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn committed(&mut self, outbox: &mut Wire, changes: Vec<EntryChange>) -> Result<()> {
        let (commit, next) = self.commit(changes);
        match outbox.granted(Request::Commit(Box::new(commit))).await? {
            Answer::Accepted { room_seq, .. } => self.head = room_seq,
            other => bail!("not accepted: {other:?}"),
        }
        self.send_key = next;
        Ok(())
    }

    /// Adds all devices of a claim.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn add(&mut self, outbox: &mut Wire, claimed: &Claimed) -> Result<()> {
        self.committed(outbox, additions(claimed)).await
    }

    /// A message of so many bytes.
    pub fn message(&self, len: usize) -> Request {
        Request::Send {
            room: self.id,
            message_id: MessageId::random(&mut OsRng),
            send_key: self.send_key.clone(),
            tag: [3; 32],
            payload: noise(len),
        }
    }
}

/// The entries that a claim allows.
pub fn additions(claimed: &Claimed) -> Vec<EntryChange> {
    let add = |device: &parlour_proto::frames::ClaimedDevice| EntryChange::Add {
        member_key: device.member_key,
        grant: device.grant.clone(),
        rights: Rights::ALL,
    };
    claimed.devices.iter().map(add).collect()
}

/// Signs a commit as it is now.
pub fn sign_commit(commit: &mut Commit, key: &SigningKey) {
    commit.signature = key.sign(&commit_bytes(commit)).to_bytes();
}

/// A proof by a member key, of this moment.
pub fn proof(key: &SigningKey, what: &str, room: &RoomId, detail: &[u8]) -> MemberProof {
    proof_at(key, what, room, detail, parlour_shell::clock::now())
}

/// The same, of another moment.
pub fn proof_at(key: &SigningKey, what: &str, room: &RoomId, detail: &[u8], time: UnixMillis) -> MemberProof {
    MemberProof {
        member_key: MemberKey(key.verifying_key().to_bytes()),
        time,
        signature: key.sign(&entry_bytes(what, room, time, detail)).to_bytes(),
    }
}

/// Two accounts that nobody knows, in a room of their own, both entries open.
pub struct RoomOfTwo {
    /// Who made it, signed in.
    pub one: Device,
    /// Their socket.
    pub one_inbox: Wire,
    /// Whom they added, signed in.
    pub other: Device,
    /// Their socket.
    pub other_inbox: Wire,
    /// The key of the other's entry.
    pub other_key: SigningKey,
    /// The room, as its maker knows it.
    pub room: WireRoom,
    /// For its messages and commits.
    pub outbox: Wire,
}

impl RoomOfTwo {
    /// Signs both up by their numbers; the other has so many key packages.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn of(site: Site, one: &str, other: &str, packages: usize) -> Result<Self> {
        let (one, mut one_inbox) = Device::sign_up(site, one).await?;
        let (mut other, mut other_inbox) = Device::sign_up(site, other).await?;
        other.publish(&mut other_inbox, Pool::Stranger, packages).await?;
        let mut outbox = Wire::connect(site, Role::Outbox).await?;
        let id = RoomId::random(&mut OsRng);
        let claimed = claim(&mut one_inbox, &other.number, id).await??;
        let mut room = WireRoom::create_as(&mut one_inbox, id).await?;
        room.add(&mut outbox, &claimed).await?;
        let other_key = other.member(&claimed.devices[0].member_key).context("its own key")?.clone();
        let request = Request::OpenEntry { room: id, proof: proof(&other_key, "open", &id, &[]) };
        outbox.granted(request).await?;
        Ok(Self { one, one_inbox, other, other_inbox, other_key, room, outbox })
    }
}
