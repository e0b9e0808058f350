//! A member without manners: the MLS state of a real engine, used by hand.

use super::World;
use super::server::Server;
use bytes::Bytes;
use parlour_e2ee::{
    AccountRef, Change, ClaimedKeyPackage, DeviceKeys, Group, GroupError, Identity, LastResort, PendingCommit,
    WelcomeIn, make_key_package,
};
use parlour_proto::frames::{AccountRef as Account, Commit, EntryChange, Rights};
use parlour_proto::ids::{Digest, MemberKey, MessageId, RoomId, UnixMillis};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Where MLS state lies in a home's rows: class, kind, identity, room.
const GROUPS: &[u8] = b"lg\0\0";
/// Where a PrivateMessage has its epoch: behind version, wire format and the room's id.
const EPOCH: std::ops::Range<usize> = 21..29;

pub struct Insider {
    pub room: RoomId,
    pub group: Group,
    pub member_key: MemberKey,
    rng: ChaCha20Rng,
}

/// A commit that MLS allows, and what the server is told of it.
pub struct Forged {
    pub commit: Commit,
}

impl Insider {
    /// Takes a copy of this client's state in the room.
    pub fn copy(w: &World, client: usize, room: RoomId) -> Self {
        let start = [GROUPS, &room.0].concat();
        let rows = w.clients[client].rows.iter();
        let rows = rows.filter_map(|(key, value)| Some((key.strip_prefix(&start[..])?.to_vec(), value.clone())));
        let group = Group::load(rows.collect()).unwrap().unwrap();
        let member_key = MemberKey(group.member_key_pair().public());
        Insider { room, group, member_key, rng: ChaCha20Rng::seed_from_u64(7) }
    }

    /// A commit as the group's own rules let it be made, or not.
    pub fn try_commit(&mut self, change: Change) -> Result<(MessageId, PendingCommit), GroupError> {
        let id = MessageId::random(&mut self.rng);
        // Only a new leaf would need the device's keys.
        let keys = DeviceKeys::generate(&mut self.rng);
        let account = AccountRef { app: "bell".into(), id: [0; 16] };
        let me = Identity { account: &account, device: [0; 16], keys: &keys };
        let made = self.group.commit(&me, change, id.0, &mut self.rng)?;
        self.group.clear_pending().unwrap();
        Ok((id, made))
    }

    /// A message of any bytes, as MLS and franking allow it: id, tag, payload.
    pub fn seal(&mut self, content: &[u8]) -> Option<(MessageId, [u8; 32], Bytes)> {
        let id = MessageId::random(&mut self.rng);
        let sealed = self.group.seal_message(content, id.0, &mut self.rng).ok()?;
        Some((id, sealed.tag, sealed.payload.into()))
    }

    /// Brings in a leaf that claims to be a device of `account`, under keys of her own; its state.
    pub fn add_as(&mut self, account: &Account, server: &mut Server, now: UnixMillis) -> Self {
        let keys = DeviceKeys::generate(&mut self.rng);
        let whose = AccountRef { app: account.app.as_str().into(), id: account.account.0 };
        let me = Identity { account: &whose, device: [9; 16], keys: &keys };
        let package = make_key_package(&me, LastResort::No, now.0, &mut self.rng).unwrap();
        let claimed = ClaimedKeyPackage::parse(&package.public, now.0).unwrap().verify(&keys.signing_public()).unwrap();
        let (id, made) = self.try_commit(Change::add(vec![claimed])).unwrap();
        let mut forged = self.forged(server, id, made.commit, made.next_send_key_digest);
        let member_key = MemberKey(package.member_key);
        forged.commit.changes = vec![EntryChange::Add {
            member_key,
            grant: server.grant_as(&self.member_key, self.room, member_key),
            rights: Rights::ALL,
        }];
        let welcome = made.welcome.unwrap();
        let part = &welcome.parts[0].bytes;
        let welcome = WelcomeIn { room: self.room.0, shared: &welcome.shared, part };
        let group = Group::join(&welcome, package.rows).unwrap().group;
        forged.send(server);
        Insider { room: self.room, group, member_key, rng: ChaCha20Rng::seed_from_u64(8) }
    }

    /// A commit that all members can follow, on the server's present head.
    pub fn valid(&mut self, server: &Server, change: Change) -> Forged {
        let (id, made) = self.try_commit(change).unwrap();
        self.forged(server, id, made.commit, made.next_send_key_digest)
    }

    fn forged(&self, server: &Server, id: MessageId, commit: Vec<u8>, next_send_key: [u8; 32]) -> Forged {
        let commit = Commit {
            room: self.room,
            head: server.head(&self.room),
            commit_id: id,
            payload: commit.into(),
            next_send_key: Digest(next_send_key),
            changes: vec![],
            voids: vec![],
            welcome: None,
            member_key: self.member_key,
            signature: [0; 64],
        };
        Forged { commit }
    }
}

impl Forged {
    pub fn changes(mut self, changes: Vec<EntryChange>) -> Self {
        self.commit.changes = changes;
        self
    }

    pub fn voids(mut self, voids: Vec<u64>) -> Self {
        self.commit.voids = voids;
        self
    }

    /// As if it were of an epoch so many later.
    pub fn of_a_later_epoch(mut self, by: u64) -> Self {
        self.commit.payload = later(&self.commit.payload, by);
        self
    }

    pub fn send(self, server: &mut Server) {
        server.force(self.commit);
    }
}

/// The bytes of a PrivateMessage with another epoch in front.
pub fn later(payload: &[u8], by: u64) -> Bytes {
    let mut payload = payload.to_vec();
    let epoch = u64::from_be_bytes(payload[EPOCH].try_into().unwrap());
    payload[EPOCH].copy_from_slice(&(epoch + by).to_be_bytes());
    payload.into()
}
