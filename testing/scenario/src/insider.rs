//! A member without manners: the state of a real engine, taken from its stopped home, used by hand.

use crate::device::{proof, sign_commit};
use crate::site::Site;
use crate::wire::{Role, Wire};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use parlour_e2ee::{AccountRef, Change, DeviceKeys, Group, Identity};
use parlour_proto::frames::{Answer, Commit, EntryChange, Log, Request};
use parlour_proto::ids::{Digest, MemberKey, MessageId, RoomId};
use parlour_shell::rows::Rows;
use rand_core::OsRng;

/// Where MLS state lies in a home's rows: class, kind, identity, room.
const GROUPS: &[u8] = b"lg\0\0";

/// A member of one room.
pub struct Insider {
    /// The room.
    pub room: RoomId,
    /// Its MLS state.
    pub group: Group,
    /// Its entry's key.
    pub member: SigningKey,
    outbox: Wire,
}

impl Insider {
    /// Takes over the rooms in these rows: one insider for each.
    ///
    /// # Errors
    /// When a group does not load.
    pub async fn all(rows: &mut dyn Rows, site: Site) -> Result<Vec<Self>> {
        let rows = rows.load(GROUPS)?;
        let mut rooms: Vec<[u8; 16]> =
            rows.iter().filter_map(|(key, _)| key.get(GROUPS.len()..GROUPS.len() + 16)?.try_into().ok()).collect();
        rooms.dedup();
        let mut insiders = Vec::new();
        for room in rooms {
            let start = [GROUPS, &room].concat();
            let of_room =
                rows.iter().filter_map(|(key, value)| Some((key.strip_prefix(&start[..])?.to_vec(), value.clone())));
            let group = Group::load(of_room.collect())?.context("a group")?;
            let member = SigningKey::from_bytes(&group.member_key_pair().to_bytes());
            let outbox = Wire::connect(site, Role::Outbox).await?;
            insiders.push(Self { room: RoomId(room), group, member, outbox });
        }
        Ok(insiders)
    }

    /// The room's log from the beginning.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn log(&mut self) -> Result<Log> {
        let proof = proof(&self.member, "log", &self.room, &0u64.to_be_bytes());
        match self.outbox.granted(Request::FetchLog { room: self.room, after: 0, proof }).await? {
            Answer::Log(log) => Ok(log),
            other => bail!("no log: {other:?}"),
        }
    }

    /// Commits these bytes, whatever they are, on the present head.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub async fn force(&mut self, payload: Bytes, next_send_key: Digest, changes: Vec<EntryChange>) -> Result<u64> {
        let commit_id = MessageId::random(&mut OsRng);
        let commit = Commit { next_send_key, changes, ..self.commit(commit_id, payload).await? };
        self.send(commit).await
    }

    /// Makes a commit that every member can follow (it changes nothing in the group), and tells the server that it takes these
    /// rows back and changes these entries.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub async fn follow(&mut self, voids: Vec<u64>, changes: Vec<EntryChange>) -> Result<u64> {
        let commit_id = MessageId::random(&mut OsRng);
        // Only a new leaf would need the device's keys.
        let keys = DeviceKeys::generate(&mut OsRng);
        let account = AccountRef { app: String::new(), id: [0; 16] };
        let me = Identity { account: &account, device: [0; 16], keys: &keys };
        let made = self.group.commit(&me, Change::default(), commit_id.0, &mut OsRng)?;
        self.group.clear_pending()?;
        let next_send_key = Digest(made.next_send_key_digest);
        let plain = self.commit(commit_id, made.commit.into()).await?;
        self.send(Commit { next_send_key, changes, voids, ..plain }).await
    }

    async fn commit(&mut self, commit_id: MessageId, payload: Bytes) -> Result<Commit> {
        Ok(Commit {
            room: self.room,
            head: self.log().await?.head,
            commit_id,
            payload,
            next_send_key: Digest([0; 32]),
            changes: Vec::new(),
            voids: Vec::new(),
            welcome: None,
            member_key: MemberKey(self.member.verifying_key().to_bytes()),
            signature: [0; 64],
        })
    }

    async fn send(&mut self, mut commit: Commit) -> Result<u64> {
        sign_commit(&mut commit, &self.member);
        match self.outbox.granted(Request::Commit(Box::new(commit))).await? {
            Answer::Accepted { room_seq, .. } => Ok(room_seq),
            other => bail!("not accepted: {other:?}"),
        }
    }
}
