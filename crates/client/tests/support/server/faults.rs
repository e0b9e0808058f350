//! What tests look at in the server, and what they break.

use super::Server;
use bytes::Bytes;
use parlour_proto::frames::{AccountRef, Commit, EntryChange, Row, RowBody};
use parlour_proto::ids::{Digest, MailboxId, MemberKey, MessageId, RoomId, UnixMillis};
use rand_core::RngCore;

/// How a server goes back to an earlier state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoingBack {
    /// In another incarnation, with nothing given out twice.
    Openly,
    /// Saying nothing.
    Silently,
}

impl Server {
    pub fn waiting_rows(&self) -> usize {
        self.mailboxes.values().map(|(_, rows)| rows.len()).sum()
    }

    /// How many rows were ever put into mailboxes.
    pub fn rows_stored(&self) -> u64 {
        self.mailboxes.values().map(|(next, _)| next).sum()
    }

    pub fn empty_pools(&mut self, account: &AccountRef) {
        for device in self.accounts.get_mut(account).unwrap().devices.values_mut() {
            device.pools[0].clear();
            device.pools[1].clear();
        }
    }

    /// How many door tokens of this account somebody may hold.
    pub fn doors(&self, account: &AccountRef) -> usize {
        self.accounts[account].doors.len()
    }

    pub fn room_ids(&self) -> Vec<RoomId> {
        self.rooms.keys().copied().collect()
    }

    /// The room with the most entries.
    pub fn largest_room(&self) -> RoomId {
        *self.rooms.iter().max_by_key(|(_, room)| room.entries.len()).unwrap().0
    }

    pub fn entries(&self, room: &RoomId) -> usize {
        self.rooms[room].entries.len()
    }

    pub fn head(&self, room: &RoomId) -> u64 {
        self.rooms[room].head
    }

    /// The member keys of an account's entries in a room.
    pub fn entries_of(&self, room: &RoomId, account: &AccountRef) -> Vec<MemberKey> {
        let mailboxes: Vec<MailboxId> = self.accounts[account].devices.values().map(|device| device.mailbox).collect();
        let entries = self.rooms[room].entries.iter();
        entries.filter(|(_, entry)| mailboxes.contains(&entry.mailbox)).map(|(key, _)| *key).collect()
    }

    /// Takes a commit as the server takes an insider's: signed, and with the right bits.
    pub fn force(&mut self, commit: Commit) {
        self.apply_commit(commit).unwrap();
    }

    /// A grant for one more entry of whoever has this one.
    pub fn grant_as(&mut self, entry: &MemberKey, room: RoomId, member_key: MemberKey) -> Bytes {
        let mailbox = self.rooms[&room].entries[entry].mailbox;
        self.grant(super::Grant { room, member_key, mailbox, asked: false })
    }

    /// Puts a message into the room that nobody can read, as anybody can who has the send key.
    pub fn say_noise(&mut self, room: RoomId, payload: Bytes) {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        let now = self.now;
        let r = self.rooms.get_mut(&room).unwrap();
        r.seq += 1;
        let body = RowBody::Message { message_id: MessageId(id), tag: [1; 32], stamp: [2; 32], payload };
        let row = Row { seq: 0, room, room_seq: r.seq, time: now, body };
        let to: Vec<MailboxId> = r.entries.values().filter(|entry| !entry.asked).map(|entry| entry.mailbox).collect();
        for mailbox in to {
            self.deliver(mailbox, row.clone());
        }
    }

    /// The key package that a stranger gets next.
    pub fn next_package_of(&self, account: &AccountRef) -> MemberKey {
        let device = self.accounts[account].devices.values().next().unwrap();
        device.pools[1].front().unwrap().member_key
    }

    /// A message as a member sealed it, under a tag of its choice; the server is blind.
    pub fn say_sealed(&mut self, room: RoomId, id: MessageId, tag: [u8; 32], payload: Bytes) {
        let now = self.now;
        let r = self.rooms.get_mut(&room).unwrap();
        r.seq += 1;
        let body = RowBody::Message { message_id: id, tag, stamp: [2; 32], payload };
        let row = Row { seq: 0, room, room_seq: r.seq, time: now, body };
        let to: Vec<MailboxId> = r.entries.values().filter(|entry| !entry.asked).map(|entry| entry.mailbox).collect();
        for mailbox in to {
            self.deliver(mailbox, row.clone());
        }
    }

    /// An insider's commit that no member can follow: the server takes it, being blind.
    pub fn commit_rubbish(&mut self, room: RoomId) {
        self.commit_noise(room, &[]);
    }

    /// The same, removing the entries of an account beside it.
    pub fn throw_out(&mut self, room: RoomId, account: &AccountRef) {
        let theirs = self.entries_of(&room, account);
        assert!(!theirs.is_empty(), "they have no entry there");
        self.commit_noise(room, &theirs);
    }

    fn commit_noise(&mut self, room: RoomId, removes: &[MemberKey]) {
        let (head, member_key) = {
            let r = &self.rooms[&room];
            (r.head, *r.entries.iter().find(|(key, e)| !e.asked && !removes.contains(key)).unwrap().0)
        };
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        let commit = Commit {
            room,
            head,
            commit_id: MessageId(id),
            payload: Bytes::from_static(b"rubbish"),
            next_send_key: Digest([9; 32]),
            changes: removes.iter().map(|key| EntryChange::Remove { member_key: *key }).collect(),
            voids: vec![],
            welcome: None,
            member_key,
            signature: [0; 64],
        };
        self.apply_commit(commit).unwrap();
    }

    /// Goes back to a copy of itself. `Openly`: as `parlour restore` does it; else as one who puts old files back by hand, or who
    /// wants its clients to forget.
    pub fn go_back(&mut self, copy: &Server, made: UnixMillis, how: GoingBack) {
        let before = copy.fork();
        self.handles = before.handles;
        self.passwords = before.passwords;
        self.accounts = before.accounts;
        self.rooms = before.rooms;
        self.grants = before.grants;
        self.mailboxes = before.mailboxes;
        self.backups = before.backups;
        self.tickets.clear();
        self.sessions.clear();
        self.online.clear();
        self.out.clear();
        if how == GoingBack::Silently {
            return;
        }
        self.incarnation += 1;
        self.backup_made = made;
        let far = self.incarnation << 20;
        for room in self.rooms.values_mut() {
            room.seq = room.seq.max(far);
        }
        for (next, _) in self.mailboxes.values_mut() {
            *next = (*next).max(far);
        }
        for device in self.accounts.values_mut().flat_map(|account| account.devices.values_mut()) {
            device.pools = Default::default();
            device.last_resort_used = true;
        }
    }

    /// Whether an account has blocked another.
    pub fn has_blocked(&self, account: &AccountRef, other: &AccountRef) -> bool {
        self.accounts[account].blocked.contains(other)
    }

    /// How many devices an account has.
    pub fn devices_of(&self, account: &AccountRef) -> usize {
        self.accounts[account].devices.len()
    }

    /// The key of an epoch is valid for 60 s after the next; this makes them pass.
    pub fn expire_keys(&mut self) {
        for room in self.rooms.values_mut() {
            let last = room.keys.len() - 1;
            room.keys.drain(..last);
        }
    }
}
