//! What a room is at the server, and the pure decisions about it: entries, send keys, head. No store, no clock.

use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::Rights,
    ids::{Digest, MailboxId, MemberKey, RoomId, UnixMillis},
};
use subtle::ConstantTimeEq as _;

use crate::{error::Refused, keys::Keys, record};

/// How long the send key before the last commit stays valid, milliseconds (unless that commit removed somebody).
pub(crate) const PREVIOUS_KEY_MS: u64 = 60_000;
/// Most entries of a room.
pub(crate) const MAX_ENTRIES: usize = 10_000;

/// One device's row in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Names the entry within the room for good; never used again, and the same after a rekey.
    pub(crate) slot: u32,
    /// What the server knows of the member.
    pub(crate) member_key: MemberKey,
    /// The mailbox, sealed to this room and member key.
    pub(crate) token: Vec<u8>,
    /// What the token holds.
    pub(crate) mailbox: MailboxId,
    /// Accepted (`open`), or a request (`asked`).
    pub(crate) open: bool,
    /// What it may do.
    pub(crate) rights: Rights,
    /// Its mailbox is gone.
    pub(crate) dead: bool,
}

/// Everything that decides about sends and commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomState {
    /// Sequence of the last handshake row; 0 before the first.
    pub(crate) head: u64,
    /// Digest of the send key of the newest epoch.
    pub(crate) send_key: Digest,
    /// Digest of the epoch before, and until when it is valid.
    pub(crate) previous: Option<(Digest, UnixMillis)>,
    /// The entries.
    pub(crate) entries: Vec<Entry>,
    /// The next slot.
    pub(crate) next_slot: u32,
    /// Slots whose owner left on its own: an undone commit does not bring them back.
    pub(crate) left: Vec<u32>,
    /// The room that follows.
    pub(crate) successor: Option<RoomId>,
    /// Attributed mode: sends are signed by entries, and metered for each.
    pub(crate) attributed: bool,
}

impl RoomState {
    /// A room with one entry that may do everything.
    pub(crate) fn new(send_key: Digest, creator: Entry) -> Self {
        Self {
            head: 0,
            send_key,
            previous: None,
            next_slot: creator.slot + 1,
            entries: vec![creator],
            left: Vec::new(),
            successor: None,
            attributed: false,
        }
    }

    /// The entry of a member key.
    pub(crate) fn entry(&self, key: &MemberKey) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.member_key == *key)
    }

    /// The entry of a member key, to change.
    pub(crate) fn entry_mut(&mut self, key: &MemberKey) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.member_key == *key)
    }

    /// Whether this send key is valid now; the time it takes does not depend on the key.
    pub(crate) fn accepts(&self, key: &Digest, now: UnixMillis) -> bool {
        let current = key.0.ct_eq(&self.send_key.0);
        let (previous, until) = self.previous.unwrap_or((self.send_key, UnixMillis(0)));
        let previous = key.0.ct_eq(&previous.0) & subtle::Choice::from(u8::from(now < until));
        (current | previous).into()
    }

    /// Whether this is the newest epoch's send key; as above.
    pub(crate) fn is_newest(&self, key: &Digest) -> bool {
        key.0.ct_eq(&self.send_key.0).into()
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct EntryRecord {
    #[n(0)]
    slot: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    member_key: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    token: Vec<u8>,
    #[n(3)]
    open: bool,
    #[n(4)]
    rights: u8,
    #[n(5)]
    dead: bool,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StateRecord {
    #[n(0)]
    head: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    send_key: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    previous: Option<[u8; 32]>,
    #[n(3)]
    previous_until: u64,
    #[n(4)]
    entries: Vec<EntryRecord>,
    #[n(5)]
    next_slot: u32,
    #[n(6)]
    left: Vec<u32>,
    #[cbor(n(7), with = "minicbor::bytes")]
    successor: Option<[u8; 16]>,
    /// `true`, or nothing: rows of before attributed mode.
    #[n(8)]
    attributed: Option<bool>,
}

/// An entry before a change, for undoing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undo {
    /// Which entry.
    pub(crate) slot: u32,
    /// What it was; `None` if it was not there.
    pub(crate) before: Option<Entry>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(crate) struct UndoRecord {
    #[n(0)]
    slot: u32,
    #[n(1)]
    before: Option<EntryRecord>,
}

fn entry_record(entry: &Entry) -> EntryRecord {
    EntryRecord {
        slot: entry.slot,
        member_key: entry.member_key.0,
        token: entry.token.clone(),
        open: entry.open,
        rights: entry.rights.0,
        dead: entry.dead,
    }
}

/// An entry whose token does not open was moved here from elsewhere: it is dead, its mailbox nobody's.
fn entry_of(record: EntryRecord, room: &RoomId, keys: &Keys) -> Entry {
    let member_key = MemberKey(record.member_key);
    let mailbox = super::token::open(keys, room, &member_key, &record.token);
    Entry {
        slot: record.slot,
        member_key,
        dead: record.dead || mailbox.is_none(),
        mailbox: mailbox.unwrap_or(MailboxId([0; 16])),
        token: record.token,
        open: record.open,
        rights: Rights(record.rights),
    }
}

pub(crate) fn undo_records(undo: &[Undo]) -> Vec<UndoRecord> {
    undo.iter().map(|u| UndoRecord { slot: u.slot, before: u.before.as_ref().map(entry_record) }).collect()
}

pub(crate) fn undos_of(records: Vec<UndoRecord>, room: &RoomId, keys: &Keys) -> Vec<Undo> {
    let undo = |r: UndoRecord| Undo { slot: r.slot, before: r.before.map(|e| entry_of(e, room, keys)) };
    records.into_iter().map(undo).collect()
}

impl RoomState {
    /// The stored bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        record::encode(&StateRecord {
            head: self.head,
            send_key: self.send_key.0,
            previous: self.previous.map(|(digest, _)| digest.0),
            previous_until: self.previous.map_or(0, |(_, until)| until.0),
            entries: self.entries.iter().map(entry_record).collect(),
            next_slot: self.next_slot,
            left: self.left.clone(),
            successor: self.successor.map(|room| room.0),
            attributed: self.attributed.then_some(true),
        })
    }

    /// The state of stored bytes.
    pub(crate) fn from_bytes(bytes: &[u8], room: &RoomId, keys: &Keys) -> Result<Self, Refused> {
        let record: StateRecord = record::decode(bytes, "room")?;
        Ok(Self {
            head: record.head,
            send_key: Digest(record.send_key),
            previous: record.previous.map(|digest| (Digest(digest), UnixMillis(record.previous_until))),
            entries: record.entries.into_iter().map(|entry| entry_of(entry, room, keys)).collect(),
            next_slot: record.next_slot,
            left: record.left,
            successor: record.successor.map(RoomId),
            attributed: record.attributed == Some(true),
        })
    }

    /// Takes the entry changes of a void row back. Whoever left on its own meanwhile stays away, whoever opened its entry stays open.
    pub(crate) fn undo(&mut self, undos: &[Undo]) -> Vec<Undo> {
        let mut redo = Vec::new();
        for undo in undos.iter().rev() {
            let at = self.entries.iter().position(|entry| entry.slot == undo.slot);
            redo.push(Undo { slot: undo.slot, before: at.map(|at| self.entries[at].clone()) });
            match (at, &undo.before) {
                (Some(at), Some(before)) => {
                    let open = self.entries[at].open || before.open;
                    self.entries[at] = Entry { open, dead: self.entries[at].dead, ..before.clone() };
                }
                (None, Some(before)) if !self.left.contains(&undo.slot) => self.entries.push(before.clone()),
                (Some(at), None) => {
                    self.entries.remove(at);
                }
                (None, _) => {}
            }
        }
        redo
    }
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let entry = Entry {
            slot: 4,
            member_key: MemberKey([1; 32]),
            token: vec![2; 5],
            mailbox: MailboxId([3; 16]),
            open: true,
            rights: Rights::ALL,
            dead: false,
        };
        let first = RoomState::new(Digest([4; 32]), entry.clone());
        holds("room, new", &first.to_bytes());
        let later = RoomState {
            head: 300,
            previous: Some((Digest([5; 32]), UnixMillis(1_700_000_000_000))),
            left: vec![1, 2],
            successor: Some(RoomId([6; 16])),
            ..first
        };
        holds("room, later", &later.to_bytes());
        holds("room, attributed", &RoomState { attributed: true, ..later }.to_bytes());
        let undo = Undo { slot: 4, before: Some(entry) };
        holds("undo of an entry", &encode(&undo_records(&[undo])));
    }
}
