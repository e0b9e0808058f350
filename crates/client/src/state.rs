//! The small records: what the engine remembers between two runs, one CBOR row each (keys: see [`crate::rows`]).
//!
//! None of them implements `Debug`: they hold names, addresses, texts and keys.

mod kept;
mod records;

pub(crate) use kept::*;
pub(crate) use records::*;

use crate::api::{Changes, ConversationId};
use crate::asides::Aside;
use crate::expiry::Apps;
use crate::expiry::clock::Clock;
use crate::expiry::refile::Refile;
use crate::expiry::timers::Unread;
use crate::keyring::Keyring;
use crate::rows::codec::BrokenRow;
use crate::rows::{EAGER, Table, identity_of};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{DeviceId, MessageId, RoomId, UnixMillis};
use std::collections::BTreeMap;

/// Every table.
pub(crate) struct State {
    /// Which identity these rows are of.
    pub(crate) number: u16,
    pub(crate) identity: Table<(), Identity>,
    pub(crate) counters: Table<(), Counters>,
    pub(crate) contacts: Table<AccountRef, Contact>,
    pub(crate) conversations: Table<ConversationId, Conversation>,
    pub(crate) starts: Table<ConversationId, Start>,
    pub(crate) rooms: Table<RoomId, Room>,
    pub(crate) work: Table<RoomId, Work>,
    pub(crate) outgoing: Table<(ConversationId, u64), Outgoing>,
    pub(crate) chores: Table<u64, Chore>,
    pub(crate) packages: Table<[u8; 32], Package>,
    pub(crate) waiting: Table<(RoomId, u64), Waiting>,
    pub(crate) tombstones: Table<RoomId, UnixMillis>,
    pub(crate) wipes: Table<Vec<u8>, ()>,
    pub(crate) backup: Table<(), Backup>,
    pub(crate) devices: Table<DeviceId, OwnDevice>,
    pub(crate) drafts: Table<ConversationId, Draft>,
    pub(crate) transfers: Table<DeviceId, Transfer>,
    /// By room and account.
    pub(crate) handing: Table<Vec<u8>, Handing>,
    pub(crate) expected: Table<RoomId, Expected>,
    pub(crate) guests: Table<(ConversationId, u64), Guest>,
    /// By the digest of the invite's token.
    pub(crate) links: Table<[u8; 32], GroupLink>,
    pub(crate) joins: Table<ConversationId, Joining>,
    /// Titles of the groups that requests are invitations to, as they say.
    pub(crate) invitations: Table<ConversationId, String>,
    pub(crate) keeping: Table<(), Keeping>,
    pub(crate) buckets: Table<(ConversationId, u64), Bucket>,
    /// Chunks that are to be dropped once what follows them is at the server.
    pub(crate) litter: Table<Vec<u8>, ()>,
    /// Messages on which something was noted, and whose bucket is not known to be changed yet.
    pub(crate) noted: Table<ConversationId, Vec<MessageId>>,
    /// Rooms that a conversation had before this device came.
    pub(crate) former: Table<ConversationId, Vec<RoomId>>,
    pub(crate) ring: Keyring,
    /// Messages whose clock starts when they are read.
    pub(crate) unread: Table<(ConversationId, MessageId), Unread>,
    pub(crate) clock: Table<(), Clock>,
    pub(crate) refiling: Table<ConversationId, Refile>,
    pub(crate) apps: Table<(), Apps>,
    /// Rooms of which the server is to tell how much it knows ([`crate::restored`]).
    pub(crate) comparing: Table<RoomId, ()>,
    /// Conversations in which own messages since then may be lost.
    pub(crate) resays: Table<ConversationId, UnixMillis>,
    /// What was sent lately and is no text ([`crate::asides`]).
    pub(crate) asides: Table<u64, Aside>,
    /// What each device said last in a room ([`crate::withheld`]).
    pub(crate) heard: Table<(RoomId, DeviceId), MessageId>,
    /// Rows whose key is gone: they go, too.
    blind: Vec<Vec<u8>>,
}

impl State {
    pub(crate) fn new(number: u16) -> Self {
        State {
            number,
            identity: Table::new(b'i'),
            counters: Table::new(b'n'),
            contacts: Table::new(b'c'),
            conversations: Table::new(b'v'),
            starts: Table::new(b's'),
            rooms: Table::new(b'r'),
            work: Table::new(b'w'),
            outgoing: Table::new(b'o'),
            chores: Table::new(b'h'),
            packages: Table::new(b'p'),
            waiting: Table::new(b'u'),
            tombstones: Table::new(b't'),
            wipes: Table::new(b'x'),
            backup: Table::new(b'b'),
            devices: Table::new(b'd'),
            drafts: Table::new(b'a'),
            transfers: Table::new(b'y'),
            handing: Table::new(b'e'),
            expected: Table::new(b'k'),
            guests: Table::new(b'g'),
            links: Table::new(b'l'),
            joins: Table::new(b'j'),
            invitations: Table::new(b'q'),
            keeping: Table::new(b'K'),
            buckets: Table::new(b'B'),
            litter: Table::new(b'L'),
            noted: Table::new(b'N'),
            former: Table::new(b'F'),
            ring: Keyring::new(),
            unread: Table::new(b'R'),
            clock: Table::new(b'C'),
            refiling: Table::new(b'E'),
            apps: Table::new(b'A'),
            comparing: Table::new(b'M'),
            resays: Table::new(b'S'),
            asides: Table::new(b'D'),
            heard: Table::new(b'H'),
            blind: Vec::new(),
        }
    }

    /// Takes all stored rows in: keys first, then what lies under them.
    pub(crate) fn load_all(&mut self, rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<(), BrokenRow> {
        let mut sealed = Vec::new();
        for (key, value) in rows {
            if matches!(key.get(1), Some(&(b'o' | b'b'))) {
                sealed.push((key, value));
            } else {
                self.load(&key, &value)?;
            }
        }
        self.ring.loaded();
        for (key, value) in sealed {
            match self.ring.unshroud(&key, value) {
                Some(plain) => self.load(&key, &plain)?,
                None if identity_of(&key) == Some(self.number) => self.blind.push(key),
                None => {}
            }
        }
        self.take_old_previews();
        Ok(())
    }

    /// Previews were not sealed once.
    fn take_old_previews(&mut self) {
        let is_old = |c: &Conversation| c.newest.as_ref().is_some_and(|newest| !newest.text.is_empty());
        let old: Vec<_> = self.conversations.iter().filter(|(_, c)| is_old(c)).map(|(id, _)| *id).collect();
        for id in old {
            let Some(c) = self.conversations.get_mut(&id) else { continue };
            let text = c.newest.as_mut().map(|newest| std::mem::take(&mut newest.text)).unwrap_or_default();
            c.preview = self.ring.preview(0, &id, &text);
        }
    }

    /// Takes one stored row in; rows of class lazy and of other identities are skipped.
    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), BrokenRow> {
        let Some(rest) = key.strip_prefix(EAGER) else { return Ok(()) };
        let (Some(&kind), Some(identity), Some(rest)) = (rest.first(), rest.get(1..3), rest.get(3..)) else {
            return Err(BrokenRow);
        };
        if identity != self.number.to_be_bytes() {
            return Ok(());
        }
        let known = self.identity.load(kind, rest, value)?
            || self.counters.load(kind, rest, value)?
            || self.contacts.load(kind, rest, value)?
            || self.conversations.load(kind, rest, value)?
            || self.starts.load(kind, rest, value)?
            || self.rooms.load(kind, rest, value)?
            || self.work.load(kind, rest, value)?
            || self.outgoing.load(kind, rest, value)?
            || self.chores.load(kind, rest, value)?
            || self.packages.load(kind, rest, value)?
            || self.waiting.load(kind, rest, value)?
            || self.tombstones.load(kind, rest, value)?
            || self.wipes.load(kind, rest, value)?
            || self.backup.load(kind, rest, value)?
            || self.devices.load(kind, rest, value)?
            || self.drafts.load(kind, rest, value)?
            || self.transfers.load(kind, rest, value)?
            || self.handing.load(kind, rest, value)?
            || self.expected.load(kind, rest, value)?
            || self.guests.load(kind, rest, value)?
            || self.links.load(kind, rest, value)?
            || self.joins.load(kind, rest, value)?
            || self.invitations.load(kind, rest, value)?
            || self.keeping.load(kind, rest, value)?
            || self.buckets.load(kind, rest, value)?
            || self.litter.load(kind, rest, value)?
            || self.noted.load(kind, rest, value)?
            || self.former.load(kind, rest, value)?
            || self.ring.load(kind, rest, value)?
            || self.unread.load(kind, rest, value)?
            || self.clock.load(kind, rest, value)?
            || self.refiling.load(kind, rest, value)?
            || self.apps.load(kind, rest, value)?
            || self.comparing.load(kind, rest, value)?
            || self.resays.load(kind, rest, value)?
            || self.asides.load(kind, rest, value)?
            || self.heard.load(kind, rest, value)?;
        if known { Ok(()) } else { Err(BrokenRow) }
    }

    /// Writes everything that changed.
    pub(crate) fn flush(&mut self, changes: &mut Changes) {
        let number = self.number;
        self.identity.flush(number, changes);
        self.counters.flush(number, changes);
        self.contacts.flush(number, changes);
        self.conversations.flush(number, changes);
        self.starts.flush(number, changes);
        self.rooms.flush(number, changes);
        self.work.flush(number, changes);
        self.outgoing.flush_sealed(number, changes, |item, row, plain| self.ring.shroud(item.key, row, plain));
        self.chores.flush(number, changes);
        self.packages.flush(number, changes);
        self.waiting.flush(number, changes);
        self.tombstones.flush(number, changes);
        self.wipes.flush(number, changes);
        self.backup.flush_sealed(number, changes, |backup, row, plain| self.ring.shroud(backup.under, row, plain));
        self.devices.flush(number, changes);
        self.drafts.flush(number, changes);
        self.transfers.flush(number, changes);
        self.handing.flush(number, changes);
        self.expected.flush(number, changes);
        self.guests.flush(number, changes);
        self.links.flush(number, changes);
        self.joins.flush(number, changes);
        self.invitations.flush(number, changes);
        self.keeping.flush(number, changes);
        self.buckets.flush(number, changes);
        self.litter.flush(number, changes);
        self.noted.flush(number, changes);
        self.former.flush(number, changes);
        self.ring.flush(number, changes);
        self.unread.flush(number, changes);
        self.clock.flush(number, changes);
        self.refiling.flush(number, changes);
        self.apps.flush(number, changes);
        self.comparing.flush(number, changes);
        self.resays.flush(number, changes);
        self.asides.flush(number, changes);
        self.heard.flush(number, changes);
        changes.0.extend(self.blind.drain(..).map(|key| (key, None)));
    }

    /// Forgets everything but who this home was.
    pub(crate) fn clear(&mut self) {
        self.contacts.clear();
        self.conversations.clear();
        self.starts.clear();
        self.rooms.clear();
        self.work.clear();
        self.outgoing.clear();
        self.chores.clear();
        self.packages.clear();
        self.waiting.clear();
        self.tombstones.clear();
        self.counters.clear();
        self.backup.clear();
        self.devices.clear();
        self.drafts.clear();
        self.transfers.clear();
        self.handing.clear();
        self.expected.clear();
        self.guests.clear();
        self.links.clear();
        self.joins.clear();
        self.invitations.clear();
        self.keeping.clear();
        self.buckets.clear();
        self.litter.clear();
        self.noted.clear();
        self.former.clear();
        self.ring.clear();
        self.unread.clear();
        self.clock.clear();
        self.refiling.clear();
        self.apps.clear();
        self.comparing.clear();
        self.resays.clear();
        self.asides.clear();
        self.heard.clear();
    }

    /// The counters, made when missing.
    pub(crate) fn counters(&mut self) -> &mut Counters {
        if !self.counters.contains(&()) {
            self.counters.insert((), Counters { received: 0, unreadable: 0, repairs: 0, next_chore: 0, refused: 0 });
        }
        self.counters.get_mut(&()).expect("inserted above")
    }

    /// Puts a chore at the end; gives its number plus one: what waits for it names that.
    pub(crate) fn add_chore(&mut self, chore: Chore) -> u64 {
        let counters = self.counters();
        let number = counters.next_chore;
        counters.next_chore += 1;
        self.chores.insert(number, chore);
        number + 1
    }

    /// Whether all chores below `number` are done.
    pub(crate) fn chores_done(&self, number: u64) -> bool {
        self.chores.range(..number).next().is_none()
    }

    /// What a room still needs, made when missing.
    pub(crate) fn work(&mut self, room: RoomId) -> &mut Work {
        if !self.work.contains(&room) {
            self.work.insert(room, Work::nothing());
        }
        self.work.get_mut(&room).expect("inserted above")
    }

    /// Drops the work row once nothing is left to do.
    pub(crate) fn tidy_work(&mut self, room: &RoomId) {
        if self.work.get(room).is_some_and(Work::is_done) {
            self.work.remove(room);
        }
    }

    /// The outgoing messages of a conversation, oldest first.
    pub(crate) fn outgoing_of(&self, conversation: ConversationId) -> impl Iterator<Item = (u64, &Outgoing)> {
        self.outgoing.range((conversation, 0)..=(conversation, u64::MAX)).map(|((_, at), item)| (*at, item))
    }

    /// The room rows that wait, by room.
    pub(crate) fn waiting_by_room(&self) -> BTreeMap<RoomId, usize> {
        let mut counts = BTreeMap::new();
        for ((room, _), _) in self.waiting.iter() {
            *counts.entry(*room).or_default() += 1;
        }
        counts
    }
}
